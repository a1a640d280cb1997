/* SPDX-License-Identifier: MIT */
/*
 * exchange.h - a request that is forwarded, and its answer.
 *
 *   forward.c  keeps the request's body, asks, and sees to the end of it all
 *   upload.c   what is not whole yet of the body, to the origin
 *   relay.c    the answer, to the client
 *   slow.c     exchanges that wait for their clients
 *   tunnel.c   what comes after 101
 *   peer.c     who has asked, for the origin
 *
 * Mostly the handler's fiber does all of it. A body that is not whole, or is
 * long, has a fiber of its own, and so has its answer then: they meet in no
 * call, and the handler's fiber waits for both. An answer that its client does
 * not take at once is kept, and written by a fiber of its own, too. The
 * handler's fiber watches the client whatever the others do.
 */
#ifndef TORC_HTTP_EXCHANGE_H
#define TORC_HTTP_EXCHANGE_H

#include "conn/http/origin.h"

struct torc_http_exchange {
	struct torc_http *http;
	struct torc_http_client *origin;
	const struct torc_http_forwarding *how;
	torc_deadline deadline;
	uint64_t handler;	/* its fiber */
	uint64_t uploader;	/* fibers, or 0 */
	uint64_t answerer;
	bool expects;		/* 100 Continue is the origin's to say */
	bool upgrades;
	bool half_closed;	/* the client has sent FIN, and may listen */
	bool gone;		/* the client has */
	struct torc_waiters events;	/* the handler's fiber waits for the
				 * others */

	/* The request's body. */
	struct torc_http_spool body;
	bool whole;		/* nothing of it is to come */
	int upload_error;	/* of the client's side */

	/* The answer. */
	struct torc_http_spool reply;
	struct torc_waiters space;	/* its reader waits for room */
	struct torc_waiters filled;	/* its writer waits for bytes */
	int read_error;
	bool complete;		/* nothing is to come */
	bool received;		/* the origin has done its part */
	bool answered;		/* the fiber of the answer has ended */
	uint64_t progress;	/* when the origin last sent something */

	/* slow.c */
	struct torc_node slow;
	uint64_t slow_since;	/* it has stood still */
	uint64_t slow_mark;	/* torc_conn_progress() then */
	unsigned slow_count;
	bool aside;
	bool evicted;

	struct torc_http_call call;
};

/* ---- forward.c ---- */

/* Until when to wait for the origin. */
torc_deadline torc_http_patience(const struct torc_http_exchange *exchange);

/*
 * A wait of the handler's fiber has ended with `rc`. True: it is to be begun
 * again, for the client has only sent FIN.
 */
bool torc_http_goes_on(struct torc_http_exchange *exchange, int rc);

/*
 * When a client that has sent FIN is not waited for any more: TORC_NEVER if it
 * has not, or if the origin need not send anything now.
 */
torc_deadline torc_http_silent_at(const struct torc_http_exchange *exchange);

/*
 * From begin to end, a fiber waits for the client to take what is written. That
 * ends by itself when it has gone; when it only sends FIN, it goes on.
 */
void torc_http_deliver_begin(struct torc_http_exchange *exchange);
void torc_http_deliver_end(struct torc_http_exchange *exchange);

/* Nothing more is read of the answer: the connection is for others. */
void torc_http_origin_is_done(struct torc_http_exchange *exchange);

/* Answer with why there is no answer, if one is due. Returns `error`. */
int torc_http_fail(struct torc_http_exchange *exchange, int error);

/* ---- upload.c ---- */

/* Parks. What is kept of the body, and what is to come. A fiber's entry. */
int torc_http_upload(void *exchange);

/* ---- relay.c ---- */

/*
 * Parks. The head of the answer, and those before it: 0, and it is in the
 * call; or an error, and nothing was answered.
 */
int torc_http_await_answer(struct torc_http_exchange *exchange);

/* Parks. The rest of it. 0 or an error. */
int torc_http_relay(struct torc_http_exchange *exchange);

/* ---- slow.c ---- */

/*
 * From begin to end, the exchange waits for its client, and does not need the
 * connection that it has to the origin. It may be evicted meanwhile: then
 * `space` and `events` are woken.
 */
void torc_http_slow_begin(struct torc_http_exchange *exchange);
void torc_http_slow_end(struct torc_http_exchange *exchange);

/* ---- peer.c ---- */

/* Parks. torc_http_forward() with a field that names the peer. */
int torc_http_forward_for(struct torc_http *http,
    struct torc_http_client *origin, const struct torc_http_forwarding *how,
    torc_deadline deadline);

/* ---- tunnel.c ---- */

/* Parks. The origin has answered with 101. */
int torc_http_tunnel(struct torc_http_exchange *exchange);

#endif
