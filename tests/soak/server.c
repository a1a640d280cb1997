/* SPDX-License-Identifier: MIT */
/*
 * server.c - start and stop servers, and read what they hold.
 */
#include "tests/soak/server.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_SECONDS 20
#define STOP_SECONDS 30
#define TRIES 5		/* ports: another process may be faster */

static void
pause_ms(long ms)
{
	const struct timespec time = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000,
	};

	nanosleep(&time, NULL);
}

static unsigned
free_port(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
		perror("soak: a free port");
		exit(2);
	}
	close(fd);
	return ntohs(address.sin_port);
}

/* In the child: few descriptors, and locked memory that is charged. */
static void
set_limits(void)
{
	const struct rlimit files = { SERVER_FILES, SERVER_FILES };
	const struct rlimit locked = { SERVER_LOCKED, SERVER_LOCKED };

	setrlimit(RLIMIT_NOFILE, &files);
	/* Other programs of a user may have locked as much: root's are not
	 * charged as long as they have the capability. */
	if (prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0) == 0)
		setrlimit(RLIMIT_MEMLOCK, &locked);
}

static void
run_server(const struct server *server, const char *path)
{
	char address[32];
	int log = open(server->log, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	snprintf(address, sizeof(address), "127.0.0.1:%u", server->port);
	dup2(log, STDERR_FILENO);
	close(log);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	set_limits();
	execl(path, server->name, "-r", SERVER_THREADS, "-l", address,
	    (char *)NULL);
	_exit(127);
}

bool
server_lives(const struct server *server)
{
	siginfo_t info = { .si_pid = 0 };

	return waitid(P_PID, (id_t)server->pid, &info,
	    WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

static bool
says_ready(const struct server *server)
{
	char text[4096] = "";
	FILE *log = fopen(server->log, "r");

	if (log == NULL)
		return false;
	text[fread(text, 1, sizeof(text) - 1, log)] = '\0';
	fclose(log);
	return strstr(text, ": ready on") != NULL;
}

static bool
try_to_start(struct server *server, const char *path)
{
	server->port = free_port();
	unlink(server->log);
	server->pid = fork();
	if (server->pid == 0)
		run_server(server, path);
	for (int i = 0; i < START_SECONDS * 50; i++) {
		if (says_ready(server))
			return true;
		if (!server_lives(server))
			break;
		pause_ms(20);
	}
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	return false;
}

void
server_start(struct server *server, const char *folder, const char *name,
    const char *logs)
{
	char path[256];

	server->name = name;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	snprintf(server->log, sizeof(server->log), "%s/%s.log", logs, name);
	for (int i = 0; i < TRIES; i++) {
		if (try_to_start(server, path))
			return;
	}
	fprintf(stderr, "soak: %s does not start: see %s\n", path,
	    server->log);
	exit(2);
}

bool
server_stop(struct server *server)
{
	int status;

	kill(server->pid, SIGTERM);
	for (int i = 0; i < STOP_SECONDS * 50 && server_lives(server); i++)
		pause_ms(20);
	kill(server->pid, SIGKILL);
	return waitpid(server->pid, &status, 0) == server->pid && status == 0;
}

/* ---- What it holds ---- */

/* The sum of the numbers behind `key` in a file of /proc; 0 without any. */
static long
sum_of(const struct server *server, const char *file, const char *key)
{
	char path[96], line[512];
	long sum = 0, value;
	FILE *from;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)server->pid, file);
	from = fopen(path, "r");
	if (from == NULL)
		return 0;
	while (fgets(line, sizeof(line), from) != NULL) {
		if (strncmp(line, key, strlen(key)) == 0 &&
		    sscanf(line + strlen(key), "%ld", &value) == 1)
			sum += value;
	}
	fclose(from);
	return sum;
}

/* The KiB of what is mapped of its rings: the kernel has them locked. */
static long
mapped_of_rings(const struct server *server)
{
	char path[64], line[512];
	unsigned long start, end;
	long size = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)server->pid);
	maps = fopen(path, "r");
	if (maps == NULL)
		return 0;
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (strstr(line, "[io_uring]") != NULL &&
		    sscanf(line, "%lx-%lx", &start, &end) == 2)
			size += (long)(end - start) / 1024;
	}
	fclose(maps);
	return size;
}

/* One ring, by what the kernel says of its descriptor. */
static void
sample_ring(const char *path, struct sample *sample)
{
	FILE *info = fopen(path, "r");
	bool overflown = false;
	unsigned value;
	char line[512];

	while (info != NULL && fgets(line, sizeof(line), info) != NULL) {
		if (sscanf(line, "SqTail: %u", &value) == 1)
			sample->sqes += value;
		else if (sscanf(line, "CqTail: %u", &value) == 1)
			sample->cqes += value;
		else if (sscanf(line, "SQEs: %u", &value) == 1 ||
		    sscanf(line, "CQEs: %u", &value) == 1)
			sample->pending += value;
		else if (strncmp(line, "CqOverflowList:", 15) == 0)
			overflown = true;
		else if (line[0] == ' ' && overflown)
			sample->pending++;
		else if (strncmp(line, "  op=", 5) == 0)
			sample->armed++;
	}
	if (info != NULL)
		fclose(info);
}

static void
sample_fd(const struct server *server, const char *fd, struct sample *sample)
{
	char path[320], target[64] = "";

	sample->fds++;
	snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)server->pid, fd);
	if (readlink(path, target, sizeof(target) - 1) < 0 ||
	    strcmp(target, "anon_inode:[io_uring]") != 0)
		return;
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", (int)server->pid,
	    fd);
	sample_ring(path, sample);
}

void
server_sample(const struct server *server, struct sample *sample)
{
	char path[64];
	const struct dirent *entry;
	DIR *fds;

	memset(sample, 0, sizeof(*sample));
	sample->resident = sum_of(server, "smaps_rollup", "Rss:");
	sample->locked = sum_of(server, "status", "VmLck:") +
	    sum_of(server, "status", "VmPin:") + mapped_of_rings(server);
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)server->pid);
	fds = opendir(path);
	while (fds != NULL && (entry = readdir(fds)) != NULL) {
		if (entry->d_name[0] != '.')
			sample_fd(server, entry->d_name, sample);
	}
	if (fds != NULL)
		closedir(fds);
}

bool
server_sample_at_rest(const struct server *server, long fds,
    unsigned seconds, struct sample *sample)
{
	for (unsigned i = 0; i < seconds * 20; i++) {
		server_sample(server, sample);
		if (sample->fds <= fds && sample->pending == 0)
			return true;
		pause_ms(50);
	}
	return false;
}
