/* SPDX-License-Identifier: MIT */
/*
 * peer_libevent.c - the same responder on libevent's bufferevents.
 *
 *	peer_libevent [-e] PORT		-e: echo
 */
#include "tools/bench/responder.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

struct connection {
	uint8_t matched;
};

static bool echo;

/* Requests that end in all that was read; takes it out of the buffer. */
static unsigned
take_requests(struct evbuffer *input, uint8_t *matched)
{
	struct evbuffer_iovec piece;
	unsigned count = 0;

	while (evbuffer_peek(input, -1, NULL, &piece, 1) > 0) {
		count += count_requests(piece.iov_base, piece.iov_len,
		    matched);
		evbuffer_drain(input, piece.iov_len);
	}
	return count;
}

static void
input_read(struct bufferevent *bev, void *arg)
{
	struct connection *conn = arg;
	struct evbuffer *input = bufferevent_get_input(bev);
	unsigned count;

	if (echo) {
		bufferevent_write_buffer(bev, input);
		return;
	}
	count = take_requests(input, &conn->matched);
	for (; count > ANSWERS_MAX; count -= ANSWERS_MAX)
		bufferevent_write(bev, answers, sizeof(answers));
	if (count > 0)
		bufferevent_write(bev, answers, count * ANSWER_SIZE);
}

static void
connection_ended(struct bufferevent *bev, short what, void *arg)
{
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) {
		bufferevent_free(bev);
		free(arg);
	}
}

static void
connection_came(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *address, int address_size, void *arg)
{
	struct connection *conn = allocate(1, sizeof(*conn));
	struct bufferevent *bev;

	(void)address;
	(void)address_size;
	(void)arg;
	bev = bufferevent_socket_new(evconnlistener_get_base(listener), fd,
	    BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL)
		die("bufferevent_socket_new");
	bufferevent_setcb(bev, input_read, NULL, connection_ended, conn);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

int
main(int argc, char **argv)
{
	const struct responder_options options =
	    start_responder(argc, argv, "e");
	struct event_base *base = event_base_new();

	echo = options.echo;
	raise_descriptor_limit();
	if (base == NULL || evconnlistener_new(base, connection_came, NULL,
	    LEV_OPT_CLOSE_ON_FREE, 0,
	    listen_on(options.port, SOCK_NONBLOCK)) == NULL)
		die("libevent");
	return event_base_dispatch(base);
}
