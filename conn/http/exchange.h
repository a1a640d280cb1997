/* SPDX-License-Identifier: MIT */
/*
 * exchange.h - a request that is forwarded, and its answer.
 *
 *   forward.c  keeps the request's body, sends the request, and cleans up
 *   upload.c   sends a body that is incomplete or long to the origin
 *   relay.c    passes the answer on to the client
 *   slow.c     exchanges that wait for their clients
 *   tunnel.c   passes bytes after 101
 *   peer.c     tells the origin the address of the client
 *
 * Usually the handler's fiber does everything. A body that is incomplete or
 * long is sent by a fiber of its own, and then the answer is read by another
 * one. The two use different functions of the call, and the handler's
 * fiber waits for both. An answer that the client does not take at once is
 * kept, and a fiber of its own writes it. The handler's fiber always watches
 * the client.
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

/* Returns the time until which to wait for the origin. */
torc_deadline torc_http_patience(const struct torc_http_exchange *exchange);

/*
 * A wait of the handler's fiber has ended with `rc`. Returns true if the fiber
 * must wait again, because the client has only sent FIN.
 */
bool torc_http_goes_on(struct torc_http_exchange *exchange, int rc);

/*
 * Returns when to give up for a client that has sent FIN. It is TORC_NEVER if
 * the client has not, or if the origin need not send anything now.
 */
torc_deadline torc_http_silent_at(const struct torc_http_exchange *exchange);

/*
 * Between begin and end, a fiber waits for the client to take what is written.
 * The wait ends if the client has gone, and goes on if the client only sent
 * FIN.
 */
void torc_http_deliver_begin(struct torc_http_exchange *exchange);
void torc_http_deliver_end(struct torc_http_exchange *exchange);

/* No more of the answer will be read: release the connection for others. */
void torc_http_origin_is_done(struct torc_http_exchange *exchange);

/* Answer with an error, if an answer is due. Returns `error`. */
int torc_http_fail(struct torc_http_exchange *exchange, int error);

/* ---- upload.c ---- */

/*
 * Parks. Send the kept part of the body, and the rest of it. A fiber's entry.
 */
int torc_http_upload(void *exchange);

/* ---- relay.c ---- */

/*
 * Parks. Wait for the head of the answer, and forward those with status 1xx.
 * Returns 0, and the head is in the call; or an error, and nothing was
 * answered.
 */
int torc_http_await_answer(struct torc_http_exchange *exchange);

/* Parks. Pass the answer on to its end. Returns 0 or an error. */
int torc_http_relay(struct torc_http_exchange *exchange);

/* ---- slow.c ---- */

/*
 * Between begin and end, the exchange waits for its client, and does not need
 * its connection to the origin. The exchange may be evicted meanwhile: then
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

/* Parks. Pass bytes both ways after the origin has answered with 101. */
int torc_http_tunnel(struct torc_http_exchange *exchange);

#endif
