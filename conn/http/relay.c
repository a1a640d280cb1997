/* SPDX-License-Identifier: MIT */
/* relay.c - passes the answer of an origin on to the client. */
#include <errno.h>

#include "conn/http/exchange.h"
#include "conn/http/hop.h"

#define OURS 512u		/* bytes of fields that we add to a head */
#define FRAME (TORC_HTTP_CHUNK_LINE + 2u)	/* bytes around a chunk */

/* ---- Heads ---- */

/*
 * If the client has not taken earlier output, the head has to wait. Meanwhile
 * the exchange counts as slow, so that its connection does not keep others
 * waiting.
 */
static bool
makes_wait(const struct torc_http_exchange *exchange)
{
	return torc_conn_room(exchange->http->conn) <
	    exchange->call.response.size + OURS;
}

/* Parks. Pass a head with status 1xx on at once. */
static int
relay_interim(struct torc_http_exchange *exchange)
{
	const struct torc_http_head *response = &exchange->call.response;
	const bool slow = makes_wait(exchange);
	struct torc_http *http = exchange->http;
	struct torc_http_hop hop;
	int rc = torc_http_hop_begin(&hop, response, exchange->how->via);

	if (rc < 0)
		return rc;
	if (slow)
		torc_http_slow_begin(exchange);
	torc_http_deliver_begin(exchange);
	rc = torc_http_inform(http, response->status, hop.fields, hop.count,
	    exchange->deadline);
	torc_http_deliver_end(exchange);
	if (slow)
		torc_http_slow_end(exchange);
	torc_http_hop_end(&hop);
	if (rc == 0)
		torc_conn_push(http->conn);
	return rc;
}

int
torc_http_await_answer(struct torc_http_exchange *exchange)
{
	int rc;

	do {
		rc = torc_http_call_next(&exchange->call,
		    torc_http_patience(exchange));
		if (rc > 0)
			rc = relay_interim(exchange) < 0 ? -ECONNRESET : 1;
		exchange->progress = torc_now();
	} while (rc > 0 || torc_http_goes_on(exchange, rc));
	return rc;
}

/* Parks. */
static int
relay_head(struct torc_http_exchange *exchange)
{
	const struct torc_http_head *response = &exchange->call.response;
	const bool slow = makes_wait(exchange);
	struct torc_http *http = exchange->http;
	struct torc_http_hop hop;
	int rc = torc_http_hop_begin(&hop, response, exchange->how->via);

	if (rc < 0)
		return torc_http_fail(exchange, rc);
	if (slow)
		torc_http_slow_begin(exchange);
	torc_http_deliver_begin(exchange);
	rc = torc_http_begin(http, response->status, hop.fields, hop.count,
	    response->has_length ? response->length : TORC_HTTP_UNKNOWN,
	    exchange->deadline);
	torc_http_deliver_end(exchange);
	if (slow)
		torc_http_slow_end(exchange);
	torc_http_hop_end(&hop);
	/* The head cannot be written. */
	return rc < 0 && http->output == OUTPUT_DUE ?
	    torc_http_fail(exchange, -EBADMSG) : rc;
}

/* ---- What the client takes at once ---- */

/* Parks. Read the next piece. Returns its size, 0 at the end, or an error. */
static int
next_piece(struct torc_http_exchange *exchange, struct torc_slice *piece)
{
	int rc;

	do
		rc = torc_http_call_read(&exchange->call, piece,
		    torc_http_patience(exchange));
	while (torc_http_goes_on(exchange, rc));
	exchange->progress = torc_now();
	return rc;
}

/* Whether a piece can be written without making the origin wait. */
static bool
has_room(const struct torc_http *http, struct torc_slice piece)
{
	return torc_conn_room(http->conn) >= piece.size + FRAME;
}

/*
 * Parks. Pass pieces on while the client takes them at once. Returns the size
 * of the first piece that it does not take, 0 at the end, or an error.
 */
static int
relay_directly(struct torc_http_exchange *exchange, struct torc_slice *piece)
{
	struct torc_http *http = exchange->http;
	int rc;

	do {
		/* Output is sent while the origin is awaited. */
		if (!torc_http_call_ready(&exchange->call))
			torc_conn_push(http->conn);
		rc = next_piece(exchange, piece);
		if (rc <= 0 || !has_room(http, *piece))
			return rc;
		rc = torc_http_write(http, piece->data, piece->size,
		    exchange->deadline);
	} while (rc == 0);
	return rc;
}

/* ---- What is kept for it ---- */

/*
 * Parks. Wait until there is room for more of the answer. Returns 0 or an
 * error.
 */
static int
make_room(struct torc_http_exchange *exchange)
{
	int rc = 0;

	if (torc_http_spool_open(&exchange->reply))
		return 0;
	torc_http_slow_begin(exchange);
	while (rc == 0 && !exchange->evicted &&
	    !torc_http_spool_open(&exchange->reply))
		rc = torc_wait(&exchange->space, exchange->deadline);
	torc_http_slow_end(exchange);
	return exchange->evicted ? -EBUSY : rc;
}

/*
 * A fiber's entry: read the rest of the answer, and keep it. The origin's part
 * ends with it, even after an error.
 */
static int
run_reader(void *arg)
{
	struct torc_http_exchange *exchange = arg;
	struct torc_slice piece;
	int rc;

	do {
		rc = make_room(exchange);
		if (rc == 0)
			rc = next_piece(exchange, &piece);
		if (rc <= 0)
			break;
		rc = torc_http_spool_put(&exchange->reply, piece.data,
		    piece.size);
		torc_wake(&exchange->filled, 0);
	} while (rc == 0);
	exchange->read_error = rc;
	exchange->complete = true;
	torc_http_origin_is_done(exchange);
	torc_wake(&exchange->filled, 0);
	return rc;
}

/*
 * Parks. Wait until more is kept, or until nothing more will come. Returns 0 or
 * an error.
 */
static int
await_more(struct torc_http_exchange *exchange)
{
	int rc = 0;

	while (rc == 0 && exchange->reply.size == 0 && !exchange->complete) {
		const torc_deadline by = torc_http_silent_at(exchange);

		rc = torc_wait(&exchange->filled, by);
		if (torc_http_goes_on(exchange, rc) ||
		    (rc == -ETIMEDOUT &&
			by.at < torc_http_silent_at(exchange).at))
			rc = 0;
	}
	return rc;
}

/* Parks. Write what is kept, as it arrives. Returns 0 or an error. */
static int
write_kept(struct torc_http_exchange *exchange)
{
	struct torc_http *http = exchange->http;
	int rc;

	while ((rc = await_more(exchange)) == 0) {
		const struct torc_slice piece =
		    torc_http_spool_first(&exchange->reply);

		if (piece.size == 0)
			return exchange->read_error;
		torc_http_deliver_begin(exchange);
		rc = torc_http_write(http, piece.data, piece.size,
		    exchange->deadline);
		if (rc == 0)
			rc = torc_http_flush(http, exchange->deadline);
		torc_http_deliver_end(exchange);
		if (rc < 0)
			break;
		torc_http_spool_drop(&exchange->reply, piece.size);
		torc_wake(&exchange->space, 0);
	}
	return rc;
}

/*
 * Parks. The client does not take this piece at once: another fiber reads the
 * rest of the answer as fast as the origin sends it.
 */
static int
relay_kept(struct torc_http_exchange *exchange, struct torc_slice piece)
{
	uint64_t reader;
	int rc = torc_http_spool_put(&exchange->reply, piece.data, piece.size);

	if (rc == 0)
		rc = torc_fiber_spawn(&reader, run_reader, exchange);
	if (rc < 0)
		return rc;
	rc = write_kept(exchange);
	/* The fiber ends before its exchange does. */
	torc_fiber_reap(reader, NULL, TORC_NEVER);
	return rc;
}

/* ---- The whole ---- */

int
torc_http_relay(struct torc_http_exchange *exchange)
{
	struct torc_slice piece;
	int rc = relay_head(exchange);

	if (rc == 0)
		rc = relay_directly(exchange, &piece);
	if (rc > 0)
		rc = relay_kept(exchange, piece);
	else if (rc == 0)
		torc_http_origin_is_done(exchange);
	if (rc < 0)
		return rc;
	torc_http_deliver_begin(exchange);
	rc = torc_http_end(exchange->http, exchange->deadline);
	torc_http_deliver_end(exchange);
	return rc;
}
