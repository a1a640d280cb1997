/* SPDX-License-Identifier: MIT */
/*
 * soak.c - well-behaved and terrible clients against the real servers, for a
 * while, round after round; then nothing may have grown.
 *
 * usage: soak FOLDER LOGS [SECONDS]
 *
 * FOLDER has echo and codec. The first quarter of the time warms them up; the
 * rest is PHASES equal parts, with a sample of what each server holds at the
 * end of each, when its clients are gone. A wrong answer, a server that dies,
 * descriptors, locked memory or armed requests that are more at the end than
 * at the start, requests that stay pending, or memory that rises from phase
 * to phase is a failure; "ok" and "FAILED" lines say so. The seed of all
 * sizes and bytes is printed; TORC_SEED gives it again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/soak/server.h"

#define CLIENTS 64u
#define CROWD (SERVER_FILES + 64u)	/* more than the server may accept */
#define LARGE (8u << 20)	/* more than sockets and torc hold */
#define SMALL 16384u
#define PHASES 4u
#define CLIENT_SECONDS 60	/* until a client gives up */
#define REST_SECONDS 30		/* until a server must have closed them all */
#define SLACK_KIB 1024		/* of memory, which is no leak yet */

static struct server echo, codec;
static uint64_t random_state;
static uint64_t connections, bytes_back, turned_away;

/* What a client saw that it must not see ends the run, and the servers. */
__attribute__((format(printf, 1, 2), noreturn))
static void
wrong(const char *format, ...)
{
	va_list list;

	printf("FAILED every answer is right: ");
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	printf(" (errno: %s)\n", strerror(errno));
	exit(1);
}

static uint64_t
next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* ---- Clients ---- */

static int
open_client(const struct server *server)
{
	const struct timeval limit = { .tv_sec = CLIENT_SECONDS };
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)server->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		wrong("no socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)&address,
	    sizeof(address)) < 0)
		wrong("%s: no connection", server->name);
	connections++;
	return fd;
}

static void
reset_client(int fd)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

static uint8_t
byte_of(uint32_t key, size_t at)
{
	return (uint8_t)((at * 0x9e3779b1u ^ key * 0x85ebca6bu) >> 11);
}

static void
send_all(int fd, const void *data, size_t size)
{
	if (send(fd, data, size, MSG_NOSIGNAL) != (ssize_t)size)
		wrong("%zu bytes are not sent", size);
}

/* Send the bytes [from, from + size) of the stream `key`. */
static void
send_stream(int fd, uint32_t key, size_t from, size_t size)
{
	uint8_t bytes[SMALL];

	for (size_t i = 0; i < size; i++)
		bytes[i] = byte_of(key, from + i);
	send_all(fd, bytes, size);
}

/* See these bytes come back. */
static void
expect_stream(int fd, uint32_t key, size_t from, size_t size)
{
	uint8_t bytes[SMALL];
	size_t at = 0;

	while (at < size) {
		const size_t left = size - at;
		const ssize_t got = recv(fd, bytes,
		    left < SMALL ? left : SMALL, 0);

		if (got <= 0)
			wrong("echo ends after %zu of %zu bytes", at, size);
		for (size_t i = 0; i < (size_t)got; i++, at++) {
			if (bytes[i] != byte_of(key, from + at))
				wrong("echo: byte %zu differs", from + at);
		}
	}
	bytes_back += size;
}

static void
expect_end(int fd)
{
	char byte;

	if (recv(fd, &byte, 1, 0) != 0)
		wrong("no FIN where the stream ends");
}

/* ---- Clients of echo ---- */

static void
short_lives(void)
{
	int fds[CLIENTS];
	size_t sizes[CLIENTS];

	for (uint32_t i = 0; i < CLIENTS; i++) {
		fds[i] = open_client(&echo);
		sizes[i] = 1 + next_random() % SMALL;
		send_stream(fds[i], i, 0, sizes[i]);
	}
	for (uint32_t i = 0; i < CLIENTS; i++) {
		expect_stream(fds[i], i, 0, sizes[i]);
		close(fds[i]);
	}
}

static void
half_closed(void)
{
	int fds[CLIENTS];

	for (uint32_t i = 0; i < CLIENTS; i++) {
		fds[i] = open_client(&echo);
		send_stream(fds[i], i, 0, SMALL);
		shutdown(fds[i], SHUT_WR);
	}
	for (uint32_t i = 0; i < CLIENTS; i++) {
		expect_stream(fds[i], i, 0, SMALL);
		expect_end(fds[i]);
		close(fds[i]);
	}
}

/* Resets, and closes with unread bytes, at any point of the exchange. */
static void
vanishing(void)
{
	int fds[CLIENTS];

	for (uint32_t i = 0; i < CLIENTS; i++) {
		fds[i] = open_client(&echo);
		if (i % 4 != 0)
			send_stream(fds[i], i, 0, 1 + next_random() % SMALL);
		if (i % 8 == 5)
			expect_stream(fds[i], i, 0, 1);
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		if (next_random() % 2 == 0)
			reset_client(fds[i]);
		else
			close(fds[i]);
	}
}

/* Send until nothing is taken any more: echo holds back. How much that was. */
static size_t
send_until_full(int fd, uint32_t key)
{
	struct pollfd room = { .fd = fd, .events = POLLOUT };
	uint8_t bytes[SMALL];
	size_t sent = 0;

	while (sent < LARGE && poll(&room, 1, 200) == 1) {
		ssize_t taken;

		for (size_t i = 0; i < SMALL; i++)
			bytes[i] = byte_of(key, sent + i);
		taken = send(fd, bytes, SMALL, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (taken < 0 && errno != EAGAIN)
			wrong("echo does not wait for a slow reader");
		sent += taken > 0 ? (size_t)taken : 0;
	}
	return sent;
}

static void
slow_readers(void)
{
	size_t sent[4];
	int fds[4];

	for (uint32_t i = 0; i < 4; i++) {
		fds[i] = open_client(&echo);
		sent[i] = send_until_full(fds[i], i);
	}
	reset_client(fds[3]);
	for (uint32_t i = 0; i < 3; i++) {
		shutdown(fds[i], SHUT_WR);
		expect_stream(fds[i], i, 0, sent[i]);
		expect_end(fds[i]);
		close(fds[i]);
	}
}

static void
byte_by_byte(void)
{
	const int fd = open_client(&echo);

	for (size_t i = 0; i < 300; i++) {
		send_stream(fd, 7, i, 1);
		if (i % 3 == 0)
			expect_stream(fd, 7, i / 3, 1);
	}
	expect_stream(fd, 7, 100, 200);
	close(fd);
}

/* Everything that comes while the server is stopped is answered later. */
static void
stopped(void)
{
	const struct timespec moment = { .tv_nsec = 50000000 };
	int fds[CLIENTS];

	kill(echo.pid, SIGSTOP);
	for (uint32_t i = 0; i < CLIENTS; i++) {
		fds[i] = open_client(&echo);
		send_stream(fds[i], i, 0, SMALL);
		if (i % 4 == 3)
			reset_client(fds[i]);
	}
	nanosleep(&moment, NULL);
	kill(echo.pid, SIGCONT);
	for (uint32_t i = 0; i < CLIENTS; i++) {
		if (i % 4 == 3)
			continue;
		expect_stream(fds[i], i, 0, SMALL);
		close(fds[i]);
	}
}

/* Whether this client of a crowd is served; the others are turned away. */
static bool
served(int fd, uint32_t key)
{
	uint8_t byte;
	const ssize_t got = recv(fd, &byte, 1, 0);

	if (got == 0 || (got < 0 && errno == ECONNRESET))
		return false;
	if (got < 0 || byte != byte_of(key, 0))
		wrong("one of a crowd gets something else");
	bytes_back++;
	return true;
}

/* More than there are descriptors for: those who wait follow those who go. */
static void
crowd(void)
{
	unsigned count = 0;
	int fds[CROWD];

	for (uint32_t i = 0; i < CROWD; i++) {
		fds[i] = open_client(&echo);
		/* One who is turned away already may refuse it. */
		send(fds[i], &(uint8_t){ byte_of(i, 0) }, 1, MSG_NOSIGNAL);
	}
	for (uint32_t i = 0; i < CROWD; i++) {
		count += served(fds[i], i);
		close(fds[i]);
	}
	if (count < SERVER_FILES / 2)
		wrong("of a crowd of %u, %u are served", CROWD, count);
	turned_away += CROWD - count;
}

/* ---- Clients of codec ---- */

/* How many answers with this status come before the FIN. */
static unsigned
count_answers(int fd, const char *status)
{
	char text[65536];
	size_t size = 0;
	unsigned count = 0;
	ssize_t got;

	while ((got = recv(fd, text + size, sizeof(text) - 1 - size, 0)) > 0)
		size += (size_t)got;
	if (got < 0)
		wrong("codec: no FIN after the answers");
	text[size] = '\0';
	bytes_back += size;
	for (const char *at = text; (at = strstr(at, status)) != NULL; at++)
		count++;
	return count;
}

static void
expect_answers(const char *request, unsigned times, const char *status,
    unsigned expected)
{
	int fds[8];

	for (unsigned i = 0; i < 8; i++) {
		fds[i] = open_client(&codec);
		for (unsigned n = 0; n < times; n++)
			send_all(fds[i], request, strlen(request));
		shutdown(fds[i], SHUT_WR);
	}
	for (unsigned i = 0; i < 8; i++) {
		const unsigned count = count_answers(fds[i], status);

		if (count != expected)
			wrong("codec: %u answers of %s, not %u", count,
			    status, expected);
		close(fds[i]);
	}
}

static void
requests(void)
{
	expect_answers("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 100,
	    "HTTP/1.1 200 ", 100);
	expect_answers("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	    1, "HTTP/1.1 200 ", 1);
	expect_answers("no request at all\r\n\r\n", 1, "HTTP/1.1 400 ", 1);
}

static void
half_a_head(void)
{
	int fds[CLIENTS];

	for (unsigned i = 0; i < CLIENTS; i++) {
		fds[i] = open_client(&codec);
		send_all(fds[i], "GET / HTTP/1.1\r\nHost:", 21);
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		if (i % 2 == 0)
			reset_client(fds[i]);
		else
			close(fds[i]);
	}
}

/* ---- Rounds, phases, and what is compared ---- */

static void
round_of_clients(void)
{
	static void (*const all[])(void) = {
		short_lives, half_closed, vanishing, slow_readers,
		byte_by_byte, stopped, crowd, requests, half_a_head,
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		all[i]();
		if (!server_lives(&echo) || !server_lives(&codec))
			wrong("a server died");
	}
}

/* Rounds until `end`, one at least; how many. */
static unsigned
rounds_until(double end)
{
	unsigned rounds = 0;

	do {
		round_of_clients();
		rounds++;
	} while (now() < end);
	return rounds;
}

static void
show(const char *when, const struct server *server,
    const struct sample *sample)
{
	printf("%-8s %-6s %5ld fds %7ld KiB %5ld locked %3ld armed "
	    "%3ld pending %10u sqes %10u cqes\n", when, server->name,
	    sample->fds, sample->resident, sample->locked, sample->armed,
	    sample->pending, (unsigned)sample->sqes, (unsigned)sample->cqes);
}

static bool
claim(const struct server *server, const char *text, bool holds)
{
	printf("%s %s %s\n", holds ? "ok" : "FAILED", server->name, text);
	return holds;
}

/*
 * Memory that was needed once is kept, and how much that is depends on what
 * meets: it rises now and then, less and less. What leaks rises always.
 */
static bool
leaks(const struct sample samples[PHASES + 1])
{
	for (unsigned i = 0; i < PHASES; i++) {
		if (samples[i + 1].resident <= samples[i].resident)
			return false;
	}
	return samples[PHASES].resident > samples[0].resident + SLACK_KIB;
}

static bool
compare(const struct server *server, const struct sample samples[PHASES + 1])
{
	const struct sample *first = &samples[0], *last = &samples[PHASES];
	bool holds = claim(server, "holds the descriptors that it held",
	    last->fds == first->fds);

	holds &= claim(server, "needs no more memory all the time",
	    !leaks(samples));
	holds &= claim(server, "has as much locked memory as before",
	    last->locked == first->locked);
	holds &= claim(server, "has the requests armed that it had",
	    last->armed == first->armed);
	return holds & claim(server, "has submitted and completed",
	    last->sqes != first->sqes && last->cqes != first->cqes);
}

/* Use both until `end`, and sample each when its clients have gone. */
static bool
use(struct server *const servers[2], double end, const struct sample idle[2],
    struct sample *const now_of[2])
{
	bool holds = true;
	char when[32];

	snprintf(when, sizeof(when), "+%u", rounds_until(end));
	for (int i = 0; i < 2; i++) {
		if (!server_sample_at_rest(servers[i], idle[i].fds,
		    REST_SECONDS, now_of[i]))
			holds = claim(servers[i], "closes what clients opened"
			    " and has nothing pending", false);
		show(when, servers[i], now_of[i]);
	}
	return holds;
}

static bool
soak(unsigned seconds)
{
	struct server *const servers[] = { &echo, &codec };
	struct sample idle[2], samples[2][PHASES + 1];
	const double start = now();
	bool holds = true;

	for (int i = 0; i < 2; i++)
		server_sample(servers[i], &idle[i]);
	for (unsigned phase = 0; phase <= PHASES; phase++) {
		/* The warm-up is a quarter. */
		if (!use(servers, start + seconds *
		    (0.25 + 0.75 * phase / PHASES), idle,
		    (struct sample *[]){ &samples[0][phase],
		    &samples[1][phase] }))
			return false;
	}
	for (int i = 0; i < 2; i++) {
		holds &= compare(servers[i], samples[i]);
		holds &= claim(servers[i], "ends when it is told to",
		    server_stop(servers[i]));
	}
	return holds;
}

int
main(int argc, char **argv)
{
	const char *seed = getenv("TORC_SEED");
	const unsigned seconds = argc > 3 ? (unsigned)atoi(argv[3]) : 20;
	const struct rlimit files = { 2 * CROWD, 2 * CROWD };

	if (argc < 3 || seconds == 0) {
		fprintf(stderr, "usage: soak FOLDER LOGS [SECONDS]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	random_state = seed != NULL ? strtoull(seed, NULL, 0) :
	    (uint64_t)time(NULL) * 0x9e3779b97f4a7c15u | 1;
	printf("TORC_SEED=0x%llx\n", (unsigned long long)random_state);
	setrlimit(RLIMIT_NOFILE, &files);
	server_start(&echo, argv[1], "echo", argv[2]);
	server_start(&codec, argv[1], "codec", argv[2]);
	if (!soak(seconds))
		return 1;
	printf("ok every answer is right: %llu connections, %llu turned away, "
	    "%llu MiB back\n", (unsigned long long)connections,
	    (unsigned long long)turned_away,
	    (unsigned long long)bytes_back >> 20);
	return 0;
}
