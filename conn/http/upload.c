/* SPDX-License-Identifier: MIT */
/* upload.c - sends a body that is incomplete or long to an origin. */
#include <errno.h>
#include <limits.h>

#include "conn/http/exchange.h"

/* The origin takes no more of the body: it may have answered. */
#define NOT_TAKEN INT_MAX

/*
 * Parks. Send what was kept. Returns 0, or an error: the origin takes no more.
 */
static int
send_kept(struct torc_http_exchange *exchange)
{
	int rc = 0;

	while (rc == 0 && exchange->body.size > 0) {
		const struct torc_slice piece =
		    torc_http_spool_first(&exchange->body);

		rc = torc_http_call_write(&exchange->call, piece.data,
		    piece.size, exchange->deadline);
		if (rc == 0)
			rc = torc_http_call_flush(&exchange->call,
			    exchange->deadline);
		torc_http_spool_drop(&exchange->body, piece.size);
	}
	torc_http_spool_clear(&exchange->body);
	return rc;
}

/*
 * Parks. Receive the next piece from the client. Returns its size, 0 at the
 * end, or an error. Bytes written before do not wait for it.
 */
static int
receive(struct torc_http_exchange *exchange, struct torc_slice *piece)
{
	struct torc_http *http = exchange->http;
	int rc = torc_http_poll_body(http, piece, TORC_AT_ONCE);

	if (rc != -EAGAIN)
		return rc;
	rc = torc_http_call_flush(&exchange->call, exchange->deadline);
	if (rc < 0)
		return NOT_TAKEN;
	torc_http_slow_begin(exchange);
	rc = torc_http_poll_body(http, piece, exchange->deadline);
	torc_http_slow_end(exchange);
	return rc == -EAGAIN ? -ETIMEDOUT : rc;
}

/*
 * Parks. Send the rest of the body. Returns 0, NOT_TAKEN, or an error of the
 * client.
 */
static int
send_rest(struct torc_http_exchange *exchange)
{
	struct torc_slice piece;
	int rc;

	while ((rc = receive(exchange, &piece)) > 0) {
		if (rc == NOT_TAKEN || torc_http_call_write(&exchange->call,
		    piece.data, piece.size, exchange->deadline) < 0)
			return NOT_TAKEN;
	}
	return rc;
}

int
torc_http_upload(void *arg)
{
	struct torc_http_exchange *exchange = arg;
	int rc = send_kept(exchange) < 0 ? NOT_TAKEN : 0;

	if (rc == 0 && !exchange->whole)
		rc = send_rest(exchange);
	if (rc == 0)
		torc_http_call_finish(&exchange->call, exchange->deadline);
	if (rc < 0) {
		exchange->upload_error = rc;
		torc_wake_all(&exchange->events, 0);
	}
	return 0;
}
