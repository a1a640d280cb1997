/* SPDX-License-Identifier: MIT */
/*
 * embed.c - torc in a loop that is not its own: an echo server beside a timer
 * and a signal, which the program's own epoll waits for.
 *
 *     cc -o embed embed.c $(pkg-config --cflags --libs torc)
 *     ./embed 127.0.0.1:7000
 *
 * Try it with: nc 127.0.0.1 7000
 *
 * Each second it prints how many connections there are. SIGTERM ends it. The
 * same works with any loop that can poll a descriptor until a time: that of
 * GLib, libuv or Qt.
 */
#define _GNU_SOURCE 1

#include <torc.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum source { TORC, TIMER, SIGNAL };

static int
echo(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, torc_after_ms(60000)) > 0) {
		if (torc_conn_write(conn, in.data, in.size,
		    torc_after_ms(30000)) < 0)
			return -1;
		torc_conn_consume(conn, in.size);
	}
	return TORC_CLOSE;
}

/* A descriptor that is readable each second. */
static int
open_timer(void)
{
	const struct itimerspec second = { { 1, 0 }, { 1, 0 } };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

	if (fd >= 0 && timerfd_settime(fd, 0, &second, NULL) < 0)
		return -1;
	return fd;
}

/* A descriptor that is readable after SIGTERM or SIGINT. */
static int
open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -1;
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* Returns how long epoll may wait, in milliseconds: -1 is for ever. */
static int
time_left(const struct torc_reactor *reactor)
{
	const uint64_t due = torc_reactor_due(reactor), now = torc_now();

	if (due == UINT64_MAX)
		return -1;
	if (due <= now)
		return 0;
	/* Rounded up: a turn before its time finds nothing to do. */
	return due - now > 60000000000 ? 60000 :
	    (int)((due - now + 999999) / 1000000);
}

/* The program's own descriptors. */
static void
handle(struct torc_reactor *reactor, enum source source, int fd)
{
	struct signalfd_siginfo info;
	struct torc_stats stats;
	uint64_t ticks;

	if (source == TIMER && read(fd, &ticks, sizeof(ticks)) > 0) {
		torc_reactor_stats_read(reactor, &stats);
		printf("embed: connections: %llu\n",
		    (unsigned long long)stats.connections);
		fflush(stdout);
	}
	if (source == SIGNAL && read(fd, &info, sizeof(info)) > 0)
		torc_reactor_drain(reactor, torc_after_ms(5000));
}

/* Returns 0 when the reactor has ended, or a negative errno. */
static int
loop(struct torc_reactor *reactor, int epoll, const int *fds)
{
	struct epoll_event events[3];
	int count, rc;

	/* torc takes turns until it has to wait; then epoll waits for all. */
	while ((rc = torc_reactor_turn(reactor, TORC_AT_ONCE)) > 0) {
		count = epoll_wait(epoll, events, 3, time_left(reactor));
		if (count < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < count; i++)
			handle(reactor, events[i].data.u32,
			    fds[events[i].data.u32]);
	}
	return rc;
}

static int
fail(const char *what, int error)
{
	fprintf(stderr, "embed: %s: %s\n", what, strerror(error));
	return 1;
}

int
main(int argc, char **argv)
{
	struct torc_reactor *reactor;
	struct torc_error error;
	int fds[3], epoll, rc;

	if (argc != 2) {
		fprintf(stderr, "usage: embed ADDRESS\nSends every byte back, "
		    "and shows how many connections there are.\n");
		return 64;
	}
	if (torc_reactor_create(&reactor, NULL, &error) < 0) {
		fprintf(stderr, "embed: %s\n", error.text);
		return 78;
	}
	rc = torc_listen(reactor, argv[1], echo, NULL);
	if (rc < 0)
		return fail(argv[1], -rc);
	signal(SIGPIPE, SIG_IGN);
	fds[TORC] = torc_reactor_fd(reactor);
	fds[TIMER] = open_timer();
	fds[SIGNAL] = open_signals();
	epoll = epoll_create1(EPOLL_CLOEXEC);
	for (uint32_t i = TORC; i <= SIGNAL; i++) {
		struct epoll_event event = { .events = EPOLLIN,
			.data.u32 = i };

		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) < 0)
			return fail("epoll", errno);
	}
	printf("embed: ready on %s\n", argv[1]);
	fflush(stdout);
	rc = loop(reactor, epoll, fds);
	torc_reactor_destroy(reactor);
	return rc < 0 ? fail("torc", -rc) : 0;
}
