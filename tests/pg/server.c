/* SPDX-License-Identifier: MIT */
/*
 * server.c - a PostgreSQL for the tests.
 */
#include "tests/pg/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"

#define READY_MS 30000u

static char programs[256];	/* where initdb and postgres are */

static bool
give_up(const char *why)
{
	printf("SKIP: no PostgreSQL: %s\n", why);
	fflush(stdout);
	return false;
}

static bool
find_programs(void)
{
	glob_t found;
	bool any = glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL,
	    &found) == 0;

	if (any) {
		const char *last = found.gl_pathv[found.gl_pathc - 1];

		snprintf(programs, sizeof(programs), "%.*s",
		    (int)(strrchr(last, '/') - last), last);
		globfree(&found);
	}
	return any;
}

/* PostgreSQL refuses to run as root. */
static void
become_postgres(void)
{
	const struct passwd *user = geteuid() == 0 ? getpwnam("postgres") :
	    NULL;

	if (geteuid() == 0 && (user == NULL || setgid(user->pw_gid) < 0 ||
	    setuid(user->pw_uid) < 0))
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGQUIT);
}

/* Run a program, with what it says in the log; its pid. */
static pid_t
launch(const struct pg_server *server, const char *const *arguments)
{
	char path[512];
	pid_t pid;
	int log;

	snprintf(path, sizeof(path), "%s/log", server->folder);
	pid = fork();
	if (pid != 0)
		return pid;
	become_postgres();
	log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (chdir(server->folder) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(127);
	snprintf(path, sizeof(path), "%s/%s", programs, arguments[0]);
	execv(path, (char *const *)(const void *)arguments);
	_exit(127);
}

static bool
make_folder(struct pg_server *server)
{
	const struct passwd *user = getpwnam("postgres");

	strcpy(server->folder, "/tmp/torc-pg-XXXXXX");
	return mkdtemp(server->folder) != NULL && (geteuid() != 0 ||
	    (user != NULL && chown(server->folder, user->pw_uid,
	    user->pw_gid) == 0));
}

static bool
write_rules(const struct pg_server *server)
{
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "%s/data/pg_hba.conf", server->folder);
	file = fopen(path, "w");
	if (file == NULL)
		return false;
	fputs("local all all trust\n"
	    "local replication all trust\n"
	    "host all clear 127.0.0.1/32 password\n"
	    "host all hashed 127.0.0.1/32 md5\n"
	    "host all scram,prepared 127.0.0.1/32 scram-sha-256\n"
	    "host all all 127.0.0.1/32 trust\n"
	    "host all all ::1/128 trust\n", file);
	return fclose(file) == 0;
}

static void
name_addresses(struct pg_server *server)
{
	server->port = spare_port();
	snprintf(server->tcp, sizeof(server->tcp), "127.0.0.1:%u",
	    server->port);
	snprintf(server->local, sizeof(server->local),
	    "unix:%s/.s.PGSQL.%u", server->folder, server->port);
	snprintf(server->key, sizeof(server->key), "host=%s port=%u",
	    server->folder, server->port);
}

bool
pg_server_make(struct pg_server *server)
{
	const char *const initdb[] = { "initdb", "-D", "data", "-U", "torc",
		"-A", "trust", "-N", "--locale=C", "-E", "UTF8", NULL };
	int status;

	if (!find_programs())
		return give_up("no initdb");
	if (!make_folder(server))
		return give_up("no user postgres, or no folder");
	if (waitpid(launch(server, initdb), &status, 0) < 0 || status != 0)
		return give_up("initdb failed");
	name_addresses(server);
	return write_rules(server) && pg_server_start(server) &&
	    pg_server_sql(server, "create database torc;") &&
	    pg_server_sql(server,
	    "create role clear login password '" PG_PASSWORD "';"
	    "create role scram login password '" PG_PASSWORD "';"
	    "set password_encryption = 'md5';"
	    "create role hashed login password '" PG_PASSWORD "'");
}

bool
pg_server_copy(struct pg_server *standby, const struct pg_server *primary)
{
	char port[16];
	const char *const copy[] = { "pg_basebackup", "-D", "data", "-h",
		primary->folder, "-p", port, "-U", "torc", "-R", "-c", "fast",
		NULL };
	int status;

	snprintf(port, sizeof(port), "%u", primary->port);
	if (!make_folder(standby) ||
	    waitpid(launch(standby, copy), &status, 0) < 0 || status != 0)
		return false;
	name_addresses(standby);
	return pg_server_start(standby);
}

/* ---- Running it ---- */

static PGconn *
connect_libpq(const struct pg_server *server, const char *database)
{
	char text[256];

	snprintf(text, sizeof(text),
	    "%s user=torc dbname=%s connect_timeout=10", server->key,
	    database);
	return PQconnectdb(text);
}

static bool
is_ready(const struct pg_server *server)
{
	PGconn *connection = connect_libpq(server, "postgres");
	bool ready = PQstatus(connection) == CONNECTION_OK;

	PQfinish(connection);
	return ready;
}

bool
pg_server_start(struct pg_server *server)
{
	char port[16];
	const char *const arguments[] = { "postgres", "-D", "data", "-p",
		port, "-k", server->folder, "-c",
		"listen_addresses=127.0.0.1", "-c", "fsync=off", "-c",
		"shared_buffers=16MB", "-c", "max_connections=80", "-c",
		"autovacuum=off", NULL };

	snprintf(port, sizeof(port), "%u", server->port);
	server->pid = launch(server, arguments);
	for (unsigned ms = 0; ms < READY_MS; ms += 20) {
		if (is_ready(server))
			return true;
		/* Processes of one that was killed may be in its way. */
		if (waitpid(server->pid, NULL, WNOHANG) == server->pid)
			server->pid = launch(server, arguments);
		usleep(20000);
	}
	return false;
}

bool
pg_server_sql(const struct pg_server *server, const char *sql)
{
	const bool creates = strncmp(sql, "create database", 15) == 0;
	PGconn *connection = connect_libpq(server,
	    creates ? "postgres" : "torc");
	PGresult *result = PQexec(connection, sql);
	ExecStatusType status = PQresultStatus(result);
	bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
	    status == PGRES_EMPTY_QUERY;

	if (!good)
		printf("%s: %s", sql, PQerrorMessage(connection));
	PQclear(result);
	PQfinish(connection);
	return good;
}

/* Stop the one that makes the others, and wait until it stands still: after
 * kill(2), it may go on for a moment and make one more. */
static void
hold(pid_t pid)
{
	siginfo_t info;

	kill(pid, SIGSTOP);
	waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOWAIT);
}

/*
 * The children of a process, as text. By syscall(2): ThreadSanitizer follows
 * descriptors by libc's calls, and does not see those that a ring closes, of
 * which this one may have the number.
 */
static void
list_children(pid_t pid, char *text, size_t room)
{
	char path[64];
	long fd, size;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? 0 : syscall(SYS_read, fd, text, room - 1);
	text[size > 0 ? size : 0] = '\0';
	if (fd >= 0)
		syscall(SYS_close, fd);
}

void
pg_server_signal(const struct pg_server *server, int number)
{
	char text[4096], *at;

	if (number != SIGCONT)
		hold(server->pid);
	/* Twice: where one ends meanwhile, another one may be left out. */
	for (int i = 0; i < 2; i++) {
		list_children(server->pid, text, sizeof(text));
		for (at = text; *at >= '0' && *at <= '9'; at += *at == ' ')
			kill((pid_t)strtol(at, &at, 10), number);
	}
	if (number != SIGSTOP)
		kill(server->pid, number);
}

void
pg_server_kill(struct pg_server *server)
{
	pg_server_signal(server, SIGKILL);
	waitpid(server->pid, NULL, 0);
	server->pid = 0;
}

void
pg_server_stop(struct pg_server *server)
{
	if (server->pid == 0)
		return;
	kill(server->pid, SIGINT);	/* at once, in order */
	waitpid(server->pid, NULL, 0);
	server->pid = 0;
}

/* ---- PgBouncer ---- */

static bool
write_pooler(const struct pg_pooler *pooler, const struct pg_server *server,
    const char *mode, unsigned servers, const char *more)
{
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "%s/ini", pooler->folder);
	file = fopen(path, "w");
	if (file == NULL)
		return false;
	fprintf(file, "[databases]\ntorc = host=%s port=%u dbname=torc "
	    "user=torc\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
	    "listen_port = %s\nunix_socket_dir =\nauth_type = any\n"
	    "pool_mode = %s\ndefault_pool_size = %u\n%s\n",
	    server->folder, server->port, strchr(pooler->tcp, ':') + 1, mode,
	    servers, more);
	return fclose(file) == 0 && chmod(path, 0644) == 0 &&
	    chmod(pooler->folder, 0755) == 0;
}

static pid_t
launch_pooler(const struct pg_pooler *pooler)
{
	const char *program = getenv("PGBOUNCER");
	char path[96];
	pid_t pid = fork();
	int log;

	if (pid != 0)
		return pid;
	snprintf(path, sizeof(path), "%s/log", pooler->folder);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	become_postgres();
	snprintf(path, sizeof(path), "%s/ini", pooler->folder);
	if (dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(127);
	execl(program != NULL ? program : "/usr/sbin/pgbouncer", "pgbouncer",
	    "-q", path, NULL);
	_exit(127);
}

static bool
can_connect(unsigned port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool can = connect(fd, (struct sockaddr *)&address,
	    sizeof(address)) == 0;

	close(fd);
	return can;
}

bool
pg_pooler_start(struct pg_pooler *pooler, const struct pg_server *server,
    const char *mode, unsigned servers, const char *more)
{
	const unsigned port = spare_port();

	snprintf(pooler->tcp, sizeof(pooler->tcp), "127.0.0.1:%u", port);
	strcpy(pooler->folder, "/tmp/torc-pooler-XXXXXX");
	if (mkdtemp(pooler->folder) == NULL ||
	    !write_pooler(pooler, server, mode, servers, more))
		return give_up("no folder for PgBouncer");
	pooler->pid = launch_pooler(pooler);
	for (unsigned ms = 0; ms < READY_MS; ms += 20) {
		if (can_connect(port))
			return true;
		if (waitpid(pooler->pid, NULL, WNOHANG) == pooler->pid)
			return give_up("PgBouncer does not start");
		usleep(20000);
	}
	return false;
}

static void
remove_folder(const char *folder)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	if (system(command) != 0)
		printf("%s is left\n", folder);
}

void
pg_pooler_stop(struct pg_pooler *pooler)
{
	kill(pooler->pid, SIGTERM);
	waitpid(pooler->pid, NULL, 0);
	remove_folder(pooler->folder);
}

void
pg_server_remove(struct pg_server *server)
{
	pg_server_stop(server);
	remove_folder(server->folder);
}
