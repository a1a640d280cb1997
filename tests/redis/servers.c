/* SPDX-License-Identifier: MIT */
/*
 * servers.c - start and end real servers.
 */
#include "tests/redis/servers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"

#define START_MS 30000u
#define TEXT_MAX 65536u
#define ATTEMPTS 5		/* a port may be taken meanwhile */

bool
redis_available(void)
{
	static int known = -1;

	if (known >= 0)
		return known;
	known = access("/usr/bin/redis-server", X_OK) == 0;
	if (!known)
		printf("SKIP: redis-server is not installed\n");
	return known;
}

static int
connect_to(unsigned port)
{
	const struct timeval limit = { .tv_sec = CLIENT_SECONDS };
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)&address,
	    sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

bool
redis_ask(unsigned port, const char *command, const char *wanted)
{
	static char text[TEXT_MAX];
	size_t size = 0;
	bool found = false;
	int fd = connect_to(port);

	if (fd < 0)
		return false;
	if (write(fd, command, strlen(command)) != (ssize_t)strlen(command) ||
	    write(fd, "\r\n", 2) != 2)
		size = sizeof(text);
	while (!found && size < sizeof(text) - 1) {
		ssize_t got = read(fd, text + size, sizeof(text) - 1 - size);

		/* On a reactor's thread, io_uring may interrupt it. */
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		size += (size_t)got;
		text[size] = '\0';
		found = strstr(text, wanted) != NULL;
	}
	close(fd);
	return found;
}

/* In the child. Its configuration is a file, since it writes to it. */
static _Noreturn void
become_sentinel(const struct redis_server *server)
{
	char path[96], port[12];

	snprintf(path, sizeof(path), "%s/sentinel.conf", server->folder);
	snprintf(port, sizeof(port), "%u", server->port);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execl("/usr/bin/redis-server", "redis-server", path, "--sentinel",
	    "--port", port, NULL);
	_exit(127);
}

/* In the child: become the server. */
static _Noreturn void
become(const struct redis_server *server)
{
	const char *arguments[16 + REDIS_ARGUMENTS] = { "redis-server" };
	char port[12], path[96], log[96];
	size_t count = 1;
	const char *const common[] = { "--port", port, "--bind", "127.0.0.1",
		"--unixsocket", path, "--dir", server->folder, "--save", "",
		"--logfile", log, NULL };

	snprintf(port, sizeof(port), "%u", server->port);
	snprintf(path, sizeof(path), "%s/sock", server->folder);
	snprintf(log, sizeof(log), "%s/log", server->folder);
	for (size_t i = 0; common[i] != NULL; i++)
		arguments[count++] = common[i];
	for (size_t i = 0; server->arguments[i] != NULL; i++)
		arguments[count++] = server->arguments[i];
	arguments[count] = NULL;
	/* It does not outlive the test. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execv("/usr/bin/redis-server", (char **)(uintptr_t)arguments);
	_exit(127);
}

/* Whether it answers, before it ends or the time is up. */
static bool
await_answer(const struct redis_server *server)
{
	const uint64_t until = now_ms() + START_MS;

	while (now_ms() < until) {
		int status;

		if (redis_ask(server->port, "PING", "\r\n"))
			return true;
		if (waitpid(server->pid, &status, WNOHANG) == server->pid)
			return false;
		pause_ms(10);
	}
	return false;
}

static bool
try_start(struct redis_server *server)
{
	server->pid = fork();
	assert_true(server->pid >= 0);
	if (server->pid == 0 && server->sentinel)
		become_sentinel(server);
	if (server->pid == 0)
		become(server);
	return await_answer(server);
}

void
redis_restart(struct redis_server *server)
{
	if (!try_start(server))
		fail_msg("redis-server does not start at %s",
		    server->address);
}

static void
make_folder(struct redis_server *server)
{
	memset(server, 0, sizeof(*server));
	strcpy(server->folder, "/tmp/torc-redis-XXXXXX");
	assert_non_null(mkdtemp(server->folder));
}

/* At a port that is free. */
static void
start(struct redis_server *server)
{
	bool started = false;

	for (unsigned i = 0; i < ATTEMPTS && !started; i++) {
		server->port = spare_port();
		started = try_start(server);
	}
	snprintf(server->address, sizeof(server->address), "127.0.0.1:%u",
	    server->port);
	if (!started)
		fail_msg("redis-server does not start");
}

void
redis_start_sentinel(struct redis_server *server, unsigned port,
    const char *password)
{
	char path[96];
	FILE *file;

	make_folder(server);
	server->sentinel = true;
	snprintf(path, sizeof(path), "%s/sentinel.conf", server->folder);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "bind 127.0.0.1\ndir %s\nlogfile %s/log\n"
	    "sentinel monitor cache 127.0.0.1 %u 1\n"
	    "sentinel down-after-milliseconds cache 500\n"
	    "sentinel failover-timeout cache 3000\n", server->folder,
	    server->folder, port);
	if (password != NULL)
		fprintf(file, "requirepass %s\n", password);
	fclose(file);
	start(server);
}

void
redis_start(struct redis_server *server, const char *const *arguments)
{
	make_folder(server);
	for (size_t i = 0; arguments != NULL && arguments[i] != NULL; i++)
		server->arguments[i] = arguments[i];
	snprintf(server->local, sizeof(server->local), "unix:%s/sock",
	    server->folder);
	start(server);
}

void
redis_kill(struct redis_server *server)
{
	if (server->pid == 0)
		return;
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	server->pid = 0;
}

void
redis_end(struct redis_server *server)
{
	static const char *const files[] = { "sock", "log", "nodes.conf",
		"users.acl", "dump.rdb", "sentinel.conf" };
	char path[128];

	redis_kill(server);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", server->folder,
		    files[i]);
		unlink(path);
	}
	rmdir(server->folder);
}
