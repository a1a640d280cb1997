/* SPDX-License-Identifier: MIT */
/*
 * peer_epoll.c - the same responder on epoll, edge-triggered: one read() and
 * one write() an event.
 *
 *	peer_epoll [-e] PORT		-e: echo
 */
#include "tools/bench/responder.h"

#include <errno.h>
#include <sys/epoll.h>

enum { EVENTS_MAX = 512, READ_SIZE = 65536 };

/*
 * What could not be written because the socket was full. Nothing more is read
 * until it is.
 */
struct connection {
	char *pending;		/* echo: a copy of the bytes */
	size_t pending_size;	/* HTTP: of the endless row of answers */
	uint8_t matched;
};

static struct connection *connections;	/* by descriptor */
static char input[READ_SIZE];
static bool echo;

/* True when all was written or is kept for later; false: the peer is gone. */
static bool
write_echo(int fd, const char *data, size_t size)
{
	struct connection *conn = &connections[fd];
	ssize_t count = write(fd, data, size);

	if (count < 0 && errno != EAGAIN)
		return false;
	if (count < 0)
		count = 0;
	size -= (size_t)count;
	if (size > 0 && conn->pending == NULL) {
		conn->pending = allocate(size, 1);
		memcpy(conn->pending, data + count, size);
	} else if (size > 0) {
		memmove(conn->pending, data + count, size);
	} else {
		free(conn->pending);
		conn->pending = NULL;
	}
	conn->pending_size = size;
	return true;
}

/* The same for answers; the first may be one that was written in part. */
static bool
write_answers(int fd, size_t size)
{
	struct connection *conn = &connections[fd];
	size_t offset, room;
	ssize_t count;

	while (size > 0) {
		offset = (ANSWER_SIZE - size % ANSWER_SIZE) % ANSWER_SIZE;
		room = sizeof(answers) - offset;
		count = write(fd, answers + offset, size < room ? size : room);
		if (count < 0 && errno != EAGAIN)
			return false;
		if (count < 0)
			break;
		size -= (size_t)count;
	}
	conn->pending_size = size;
	return true;
}

static bool
write_pending(int fd)
{
	struct connection *conn = &connections[fd];

	if (conn->pending_size == 0)
		return true;
	if (echo)
		return write_echo(fd, conn->pending, conn->pending_size);
	return write_answers(fd, conn->pending_size);
}

static bool
respond(int fd, size_t size)
{
	unsigned count;

	if (echo)
		return write_echo(fd, input, size);
	count = count_requests(input, size, &connections[fd].matched);
	return write_answers(fd, count * ANSWER_SIZE);
}

/* Reads and answers until the socket is empty. False: close it. */
static bool
serve_input(int fd, bool until_end)
{
	ssize_t size;

	while (connections[fd].pending_size == 0) {
		size = read(fd, input, sizeof(input));
		if (size < 0 && errno == EAGAIN)
			return true;
		if (size <= 0 || !respond(fd, (size_t)size))
			return false;
		/* A short read has emptied it: an edge will come. */
		if (size < READ_SIZE && !until_end)
			return true;
	}
	return true;
}

static void
close_connection(int fd)
{
	free(connections[fd].pending);
	connections[fd] = (struct connection){ 0 };
	close(fd);
}

static void
accept_all(int epoll, int listener)
{
	struct epoll_event event = { 0 };
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
		event.data.fd = fd;
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			die("epoll_ctl");
	}
	if (errno != EAGAIN && errno != ECONNABORTED)
		die("accept");
}

static void
serve_connection(const struct epoll_event *event)
{
	const uint32_t ends = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
	const bool was_full = connections[event->data.fd].pending_size > 0;
	int fd = event->data.fd;

	if (!write_pending(fd)) {
		close_connection(fd);
		return;
	}
	/* What came while the socket was full has had its edge. */
	if (!was_full && !(event->events & (EPOLLIN | ends)))
		return;
	if (!serve_input(fd, was_full || (event->events & ends)))
		close_connection(fd);
}

int
main(int argc, char **argv)
{
	const struct responder_options options =
	    start_responder(argc, argv, "e");
	struct epoll_event event = { 0 }, events[EVENTS_MAX];
	int listener, epoll, count;

	echo = options.echo;
	connections = allocate(raise_descriptor_limit(), sizeof(*connections));
	listener = listen_on(options.port, SOCK_NONBLOCK);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	event.events = EPOLLIN;
	event.data.fd = listener;
	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
		die("epoll");
	for (;;) {
		count = epoll_wait(epoll, events, EVENTS_MAX, -1);
		for (int i = 0; i < count; i++) {
			if (events[i].data.fd == listener)
				accept_all(epoll, listener);
			else
				serve_connection(&events[i]);
		}
	}
}
