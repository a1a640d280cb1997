/* SPDX-License-Identifier: MIT */
/*
 * siege.c - clients with bad manners, and one good client beside them.
 *
 *     siege MANNER PORT PATH PEERS SECONDS [BADPATH]
 *
 * A process of its own is the bad ones, as many as PEERS; this one asks for
 * PATH, on a connection that stays and on a new one in turns, and prints what
 * that took: "answers failures p50 p99 longest", times in microseconds. A
 * request that is not answered with 200 in two seconds has failed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_US 4000		/* of the good client, between requests */
#define GIVE_UP_MS 2000
#define TICK_MS 5		/* of the bad ones */
#define HEAD_MAX 40000u
#define OPEN_AT_ONCE 50u	/* bad ones, in a tick */

static uint64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- Manners ---- */

/* What a bad client does. %s in texts is the path. */
struct manner {
	const char *name;
	const char *opening;	/* sent when it is connected */
	const char *again;	/* and this, in each `every_ms` */
	unsigned every_ms;	/* 0: as fast as it is taken */
	unsigned leave_ms;	/* it resets then, and comes again; 0: stays */
	unsigned read_bytes;	/* in each `every_ms`; 0: nothing */
	unsigned fill;		/* `opening` is followed by so many bytes, */
	const char *closing;	/* and by this */
	bool narrow;		/* it has a small receive buffer */
};

#define GET "GET %s HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET_BEGUN "GET %s HTTP/1.1\r\nHost: a\r\n"

static const struct manner manners[] = {
	{ .name = "nothing" },
	{ .name = "idle", .opening = "" },
	{ .name = "half", .opening = GET_BEGUN "X: " },
	{ .name = "trickle", .opening = GET_BEGUN "X: ", .again = "x",
	    .every_ms = 500 },
	{ .name = "unread", .opening = GET, .again = GET, .every_ms = 100,
	    .narrow = true },
	{ .name = "flood", .opening = GET, .again = GET, .narrow = true },
	{ .name = "behind", .opening = GET, .fill = 300000, .narrow = true },
	{ .name = "long", .opening = GET_BEGUN "X: ", .fill = 6000,
	    .closing = "\r\n\r\n", .leave_ms = 500 },
	{ .name = "slow-read", .opening = GET, .every_ms = 200,
	    .read_bytes = 100, .narrow = true },
	{ .name = "upload", .opening = "POST %s HTTP/1.1\r\nHost: a\r\n"
	    "Content-Length: 1000000\r\n\r\nx", .again = "x",
	    .every_ms = 500 },
	{ .name = "chunks", .opening = "POST %s HTTP/1.1\r\nHost: a\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n", .again = "1\r\na\r\n",
	    .every_ms = 100 },
	{ .name = "churn", .opening = GET, .leave_ms = 500 },
	{ .name = "leave", .opening = GET, .leave_ms = 500 },
};
#define MANNERS (sizeof(manners) / sizeof(manners[0]))

static const struct manner *
find_manner(const char *name)
{
	for (size_t i = 0; i < MANNERS; i++) {
		if (strcmp(manners[i].name, name) == 0)
			return &manners[i];
	}
	return NULL;
}

/* ---- Bad clients ---- */

struct peer {
	int fd;			/* -1: comes again */
	const struct manner *manner;
	uint64_t since;		/* it is connected, or tried to be */
	uint64_t next;		/* when it does something again */
	size_t sent;		/* of its opening and what fills it */
	bool connected;
};

static const char *bad_path;
static unsigned bad_port;

static struct sockaddr_in
at(const char *host, unsigned port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port) };

	inet_pton(AF_INET, host, &address.sin_addr);
	return address;
}

static void
leave(struct peer *peer)
{
	const struct linger at_once = { .l_onoff = 1 };

	setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &at_once,
	    sizeof(at_once));
	close(peer->fd);
	peer->fd = -1;
}

static void
come(struct peer *peer)
{
	const struct sockaddr_in from = at("127.0.0.2", 0);
	const struct sockaddr_in to = at("127.0.0.1", bad_port);
	const int small = 2048;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);

	if (fd < 0)
		return;
	if (peer->manner->narrow)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (bind(fd, (const struct sockaddr *)&from, sizeof(from)) < 0 ||
	    (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 &&
	    errno != EINPROGRESS)) {
		close(fd);
		return;
	}
	*peer = (struct peer) { .fd = fd, .manner = peer->manner,
	    .since = now_us() };
}

/* What it says first, in whole: its opening, and what fills it. */
static size_t
opening_of(const struct manner *manner, char *text)
{
	int size = snprintf(text, HEAD_MAX, manner->opening, bad_path);
	size_t fill = manner->fill < HEAD_MAX ? manner->fill : 0;

	if (size < 0)
		return 0;
	memset(text + size, 'x', fill);
	size += (int)fill;
	size += sprintf(text + size, "%s", manner->closing != NULL ?
	    manner->closing : "");
	return (size_t)size;
}

/* False: it was turned away. */
static bool
say(struct peer *peer, const char *text, size_t size)
{
	ssize_t rc = send(peer->fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT);

	return rc >= 0 || errno == EAGAIN || errno == ENOTCONN;
}

static bool
say_opening(struct peer *peer)
{
	char text[HEAD_MAX + 1000];
	size_t size = opening_of(peer->manner, text);

	peer->connected = true;
	if (!say(peer, text, size))
		return false;
	memset(text, 'A', sizeof(text));
	for (size_t left = peer->manner->fill; left >= HEAD_MAX;
	    left -= HEAD_MAX) {
		if (!say(peer, text, HEAD_MAX))
			return false;
	}
	return true;
}

static bool
is_connected(const struct peer *peer)
{
	struct sockaddr_in name;
	socklen_t size = sizeof(name);

	return getpeername(peer->fd, (struct sockaddr *)&name, &size) == 0;
}

static bool
read_some(struct peer *peer)
{
	char bytes[4096];
	size_t size = peer->manner->read_bytes;
	ssize_t rc;

	if (size == 0)
		return true;
	rc = recv(peer->fd, bytes, size < sizeof(bytes) ? size :
	    sizeof(bytes), MSG_DONTWAIT);
	return rc > 0 || (rc < 0 && errno == EAGAIN);
}

/* What it does at this time. False: its connection is over. */
static bool
act(struct peer *peer, uint64_t now)
{
	const struct manner *manner = peer->manner;
	char text[2000];

	if (!peer->connected)
		return is_connected(peer) ? say_opening(peer) :
		    now - peer->since < 3000000;
	if (manner->leave_ms > 0 &&
	    now - peer->since > manner->leave_ms * 1000ull)
		return false;
	if (now < peer->next)
		return true;
	peer->next = now + (manner->every_ms > 0 ? manner->every_ms : 20) *
	    1000ull;
	if (!read_some(peer))
		return false;
	if (manner->again != NULL) {
		int size = snprintf(text, sizeof(text), manner->again,
		    bad_path);

		if (size > 0 && !say(peer, text, (size_t)size))
			return false;
	}
	return true;
}

static void
behave_badly(struct peer *peers, size_t count)
{
	for (;;) {
		const struct timespec tick = { 0, TICK_MS * 1000000 };
		uint64_t now = now_us();
		unsigned opened = 0;

		for (size_t i = 0; i < count; i++) {
			struct peer *peer = &peers[i];

			if (peer->fd < 0) {
				if (opened++ < OPEN_AT_ONCE)
					come(peer);
			} else if (!act(peer, now)) {
				leave(peer);
			}
		}
		nanosleep(&tick, NULL);
	}
}

/* A process that is all of the bad ones. "mixed": some of each manner. */
static pid_t
begin_siege(const char *manner, size_t count)
{
	struct peer *peers = calloc(count + 1, sizeof(*peers));
	pid_t pid = peers == NULL ? -1 : fork();

	if (pid != 0)
		return pid;
	setpriority(PRIO_PROCESS, 0, 5);
	for (size_t i = 0; i < count; i++) {
		peers[i].fd = -1;
		peers[i].manner = strcmp(manner, "mixed") == 0 ?
		    &manners[1 + i % (MANNERS - 1)] : find_manner(manner);
	}
	behave_badly(peers, count);
	_exit(0);
}

/* ---- The good client ---- */

static int
connect_well(unsigned port)
{
	const struct sockaddr_in to = at("127.0.0.1", port);
	const struct timeval limit = { .tv_sec = GIVE_UP_MS / 1000 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* The length of the body that a head says, or -1 if it is no 200. */
static long
read_head(const char *head)
{
	const char *field = strcasestr(head, "\r\ncontent-length:");

	if (strncmp(head, "HTTP/1.1 200", 12) != 0)
		return -1;
	return field == NULL ? 0 : atol(field + 17);
}

/* True: it was answered in whole. */
static bool
ask(int fd, const char *request)
{
	static char answer[1 << 16];
	const char *end = NULL;		/* of the head */
	size_t got = 0;
	long body = 0;

	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return false;
	while (end == NULL || got < (size_t)(end + 4 - answer) +
	    (size_t)body) {
		ssize_t rc;

		rc = recv(fd, answer + got, sizeof(answer) - 1 - got, 0);
		if (rc <= 0)
			return false;
		got += (size_t)rc;
		answer[got] = '\0';
		if (end == NULL && (end = strstr(answer, "\r\n\r\n")) != NULL &&
		    (body = read_head(answer)) < 0)
			return false;
	}
	return true;
}

struct result {
	uint32_t *took;
	size_t count;
	size_t failed;
};

static int
compare(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
take_note(struct result *result, uint64_t since, bool answered)
{
	result->took[result->count++] = (uint32_t)(now_us() - since);
	result->failed += !answered;
}

/* On a connection that stays; it is made anew where it ended. */
static void
ask_an_old_one(struct result *result, unsigned port, const char *path, int *fd)
{
	uint64_t since = now_us();
	char request[1000];
	bool answered;

	snprintf(request, sizeof(request), GET, path);
	if (*fd < 0)
		*fd = connect_well(port);
	answered = *fd >= 0 && ask(*fd, request);
	take_note(result, since, answered);
	if (!answered && *fd >= 0) {
		close(*fd);
		*fd = -1;
	}
}

static void
ask_a_new_one(struct result *result, unsigned port, const char *path)
{
	uint64_t since = now_us();
	char request[1000];
	int fd = connect_well(port);

	snprintf(request, sizeof(request), GET_BEGUN
	    "Connection: close\r\n\r\n", path);
	take_note(result, since, fd >= 0 && ask(fd, request));
	if (fd >= 0)
		close(fd);
}

static int
be_good(unsigned port, const char *path, unsigned seconds)
{
	const size_t most = seconds * 1000000ull / PAUSE_US * 2 + 2;
	const struct timespec pause = { 0, PAUSE_US * 1000 };
	struct result result = { calloc(most, sizeof(uint32_t)), 0, 0 };
	uint64_t end = now_us() + seconds * 1000000ull;
	int old = -1;

	if (result.took == NULL)
		return 1;
	while (now_us() < end && result.count + 2 <= most) {
		ask_an_old_one(&result, port, path, &old);
		ask_a_new_one(&result, port, path);
		nanosleep(&pause, NULL);
	}
	qsort(result.took, result.count, sizeof(uint32_t), compare);
	printf("%zu %zu %u %u %u\n", result.count, result.failed,
	    result.took[result.count / 2],
	    result.took[result.count * 99 / 100],
	    result.took[result.count - 1]);
	return 0;
}

static int
usage(void)
{
	fprintf(stderr, "usage: siege MANNER PORT PATH PEERS SECONDS "
	    "[BADPATH]\nmanners: mixed");
	for (size_t i = 0; i < MANNERS; i++)
		fprintf(stderr, " %s", manners[i].name);
	fprintf(stderr, "\n");
	return 2;
}

int
main(int argc, char **argv)
{
	struct rlimit files;
	pid_t pid;
	int rc;

	if (argc < 6 || (strcmp(argv[1], "mixed") != 0 &&
	    find_manner(argv[1]) == NULL))
		return usage();
	bad_port = (unsigned)atoi(argv[2]);
	bad_path = argv[argc > 6 ? 6 : 3];
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	pid = begin_siege(argv[1], (size_t)atoi(argv[4]));
	if (pid < 0)
		return 1;
	/* Until all of them have come. */
	sleep(1);
	rc = be_good(bad_port, argv[3], (unsigned)atoi(argv[5]));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return rc;
}
