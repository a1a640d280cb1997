/* SPDX-License-Identifier: MIT */
/*
 * origin.c - what is behind the proxies that are besieged: `origin PORT` says
 * "ok" to every request, over /slow after four seconds, and closes its
 * connection without an answer over /poison. Bodies are read and dropped.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNS 65536
#define HEAD 16384u
#define SLOW_MS 4000

struct conn {
	char *head;		/* of the request that is read */
	size_t size;
	uint64_t body;		/* bytes of it that are to be dropped */
	uint64_t answer_at;	/* ms; 0: not slow */
};

static struct conn conns[CONNS];	/* by descriptor */
static int top;

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void
drop(int fd)
{
	free(conns[fd].head);
	memset(&conns[fd], 0, sizeof(conns[fd]));
	close(fd);
}

static bool
answer(int fd)
{
	static const char text[] = "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 2\r\n\r\nok";

	return send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL) > 0;
}

/* A whole head is there: what becomes of it. False: close. */
static bool
serve(int fd, size_t size)
{
	struct conn *conn = &conns[fd];
	const char *length;

	conn->head[size - 1] = '\0';
	length = strcasestr(conn->head, "\r\ncontent-length:");
	conn->body = length == NULL ? 0 : strtoull(length + 17, NULL, 10);
	if (strstr(conn->head, "/poison") != NULL)
		return false;
	if (strstr(conn->head, "/slow") == NULL)
		return answer(fd);
	conn->answer_at = now_ms() + SLOW_MS;
	return true;
}

/* Requests that are whole. False: close. */
static bool
look(int fd)
{
	struct conn *conn = &conns[fd];

	for (;;) {
		size_t gone = conn->body < conn->size ? (size_t)conn->body :
		    conn->size;
		char *end;

		conn->body -= gone;
		conn->size -= gone;
		memmove(conn->head, conn->head + gone, conn->size);
		if (conn->body > 0 || conn->answer_at > 0)
			return true;
		end = memmem(conn->head, conn->size, "\r\n\r\n", 4);
		if (end == NULL)
			return conn->size < HEAD;
		gone = (size_t)(end + 4 - conn->head);
		if (!serve(fd, gone))
			return false;
		conn->size -= gone;
		memmove(conn->head, conn->head + gone, conn->size);
	}
}

static void
read_some(int fd)
{
	struct conn *conn = &conns[fd];
	ssize_t rc = recv(fd, conn->head + conn->size, HEAD - conn->size,
	    MSG_DONTWAIT);

	if (rc < 0 && errno == EAGAIN)
		return;
	conn->size += rc > 0 ? (size_t)rc : 0;
	if (rc <= 0 || !look(fd))
		drop(fd);
}

static void
greet(int epoll, int listener)
{
	const int on = 1;
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK |
	    SOCK_CLOEXEC)) >= 0) {
		struct epoll_event event = { .events = EPOLLIN,
		    .data.fd = fd };

		if (fd >= CONNS) {
			close(fd);
			continue;
		}
		conns[fd].head = malloc(HEAD);
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
		top = fd >= top ? fd + 1 : top;
	}
}

static void
answer_slow_ones(void)
{
	uint64_t now = now_ms();

	for (int fd = 0; fd < top; fd++) {
		if (conns[fd].answer_at == 0 || conns[fd].answer_at > now)
			continue;
		conns[fd].answer_at = 0;
		if (!answer(fd) || !look(fd))
			drop(fd);
	}
}

static int
listen_on(unsigned port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 4096) < 0) {
		perror("origin");
		exit(1);
	}
	return fd;
}

int
main(int argc, char **argv)
{
	struct epoll_event event = { .events = EPOLLIN }, events[256];
	int listener = listen_on(argc > 1 ? (unsigned)atoi(argv[1]) : 0);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	event.data.fd = listener;
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int count = epoll_wait(epoll, events, 256, 50);

		for (int i = 0; i < count; i++) {
			if (events[i].data.fd == listener)
				greet(epoll, listener);
			else if (conns[events[i].data.fd].head != NULL)
				read_some(events[i].data.fd);
		}
		answer_slow_ones();
	}
}
