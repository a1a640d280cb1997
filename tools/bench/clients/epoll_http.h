/* SPDX-License-Identifier: MIT */
/*
 * epoll_http.h - what one would write by hand instead of a runtime: an HTTP
 * server of one thread on epoll, for handlers that ask a backend. No parser to
 * speak of: a request ends with its empty line, and has no body.
 *
 * The program that includes it defines ask(), which leads to answer(), now or
 * in a later turn; and end_turn(), for what is sent once in a turn.
 */
#ifndef BENCH_EPOLL_HTTP_H
#define BENCH_EPOLL_HTTP_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX 4096u
#define ANSWER_MAX 1024u
#define PEERS_MAX 4096u		/* with a request in flight, at most */

/* What epoll tells of. */
struct source {
	void (*ready)(struct source *source, uint32_t events);
	int fd;
};

struct peer {
	struct source source;
	bool asked;		/* an answer is due */
	bool gone;
	size_t used;
	char request[REQUEST_MAX];
};

static int loop_fd;

static void ask(struct peer *peer);
static void end_turn(void);

static void
watch(struct source *source, int operation, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (epoll_ctl(loop_fd, operation, source->fd, &event) < 0) {
		perror("epoll_ctl");
		exit(1);
	}
}

static void
let_go(struct peer *peer)
{
	close(peer->source.fd);
	free(peer);
}

/* `body` may be NULL: the backend has failed. */
static void
answer(struct peer *peer, const char *body, size_t size)
{
	char text[ANSWER_MAX];
	size_t used;

	peer->asked = false;
	if (peer->gone) {
		let_go(peer);
		return;
	}
	if (size > ANSWER_MAX - 64)
		body = NULL;
	used = (size_t)snprintf(text, sizeof(text), "HTTP/1.1 %s\r\n"
	    "Content-Length: %zu\r\n\r\n", body != NULL ? "200 OK" :
	    "503 Service Unavailable", body != NULL ? size : 0);
	if (body != NULL) {
		memcpy(text + used, body, size);
		used += size;
	}
	if (send(peer->source.fd, text, used, MSG_NOSIGNAL) != (ssize_t)used)
		fprintf(stderr, "an answer was cut off\n");
}

static void
read_request(struct source *source, uint32_t events)
{
	struct peer *peer = (struct peer *)source;
	ssize_t got = recv(source->fd, peer->request + peer->used,
	    REQUEST_MAX - peer->used, 0);

	(void)events;
	if (got <= 0 && peer->asked) {
		peer->gone = true;
		watch(source, EPOLL_CTL_DEL, 0);
		return;
	}
	if (got <= 0) {
		let_go(peer);
		return;
	}
	peer->used += (size_t)got;
	if (peer->used >= 4 &&
	    memcmp(peer->request + peer->used - 4, "\r\n\r\n", 4) == 0) {
		peer->used = 0;
		peer->asked = true;
		ask(peer);
	}
}

static void
take_peer(struct source *source, uint32_t events)
{
	const int on = 1, fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK);
	struct peer *peer = fd < 0 ? NULL : calloc(1, sizeof(*peer));

	(void)events;
	if (peer == NULL)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	peer->source = (struct source) { read_request, fd };
	watch(&peer->source, EPOLL_CTL_ADD, EPOLLIN);
}

static void
open_loop(unsigned port)
{
	static struct source listener = { .ready = take_peer };
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const int on = 1;

	loop_fd = epoll_create1(0);
	listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener.fd, (const struct sockaddr *)&address,
	    sizeof(address)) < 0 || listen(listener.fd, 1024) < 0) {
		perror("listen");
		exit(1);
	}
	watch(&listener, EPOLL_CTL_ADD, EPOLLIN);
}

static _Noreturn void
run_loop(void)
{
	struct epoll_event events[256];

	for (;;) {
		int count = epoll_wait(loop_fd, events, 256, -1);

		for (int i = 0; i < count; i++) {
			struct source *source = events[i].data.ptr;

			source->ready(source, events[i].events);
		}
		end_turn();
	}
}

#endif
