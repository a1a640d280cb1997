/* SPDX-License-Identifier: MIT */
/* origin.h - the inside of a client, for the files that forward with it. */
#ifndef TORC_HTTP_ORIGIN_H
#define TORC_HTTP_ORIGIN_H

#include "conn/http/http.h"
#include "conn/http/spool.h"
#include "reactor/list.h"
#include "sys/trap.h"

/* A connection of the pool. */
struct torc_http_link {
	struct torc_conn *conn;
	bool used;		/* for a request before, or it was idle: the
				 * origin may be about to end it */
	bool unclean;		/* something is unread or unsent */
	bool taken;		/* out of the pool: it was taken over */
	struct torc_http_field *fields;	/* room for many, or NULL */
};

struct torc_http_client {
	uint32_t alive;		/* CLIENT_ALIVE until it is freed */
	struct torc_pool *pool;
	struct torc_http_client_config config;
	bool closed;
	struct torc_error failure;	/* of TLS, the last one; code 0: none */
	/* For forwarding. */
	struct torc_http_budget budget;
	struct torc_list slow;	/* exchanges that wait for their clients, the
				 * longest first: see slow.c */
	unsigned unplaced;	/* of them, not set aside */
	uint64_t evictor;	/* a fiber, or 0 */
	const char *host;
	const char *name;
	char address[];		/* and the host and the name behind it */
};

/* ---- client.c ---- */

/*
 * After a call failed with `code`: what TLS has to do with it, in words, which
 * are the client's; or NULL. `link`: its connection, or NULL: it has none.
 */
const char *torc_http_client_why(struct torc_http_client *client,
    const struct torc_http_link *link, int code);

/* Free a link whose connection is closed. */
void torc_http_link_free(struct torc_http_link *link);

/* ---- call.c, response.c ---- */

static inline struct torc_conn *
torc_http_conn_of(const struct torc_http_call *call)
{
	torc_require(call->link != NULL,
	    "a call of HTTP is used that has failed or was ended");
	return call->link->conn;
}

/*
 * Parks. Send a request, as torc_http_client_call() or torc_http_call_begin()
 * (STREAMED, with the length of the body), but do not wait for an answer.
 */
enum { ASK_STREAMED = 1, ASK_FRESH = 2 };
int torc_http_call_ask(struct torc_http_client *client,
    struct torc_http_call *call, const struct torc_http_request *request,
    uint64_t length, unsigned flags, torc_deadline deadline);

/*
 * After a call failed with `rc`: whether the request may be sent again, once,
 * on a fresh connection.
 */
bool torc_http_call_stale(const struct torc_http_call *call, int rc);

/*
 * Parks. As torc_http_call_answer(), but returns 1 for each head with status
 * 1xx before the answer. It is in call->response until the next call.
 */
int torc_http_call_next(struct torc_http_call *call, torc_deadline deadline);

/* Whether more of the body is in view, or its end. */
static inline bool
torc_http_call_ready(const struct torc_http_call *call)
{
	return call->input.state == INPUT_NONE ||
	    call->input.used < call->input.view.size;
}

/* Parks. End a call whose connection was taken over, with FIN. */
void torc_http_call_close(struct torc_http_call *call, torc_deadline deadline);

#endif
