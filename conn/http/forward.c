/* SPDX-License-Identifier: MIT */
/* forward.c - forwards a request to an origin, and the answer back. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "conn/http/exchange.h"
#include "conn/http/hop.h"
#include "reactor/config.h"
#include "sys/sys.h"
#include "sys/trap.h"

#define ROOM_LEAST 4096u	/* bytes of an answer that need not wait */
#define HEAD_KEPT 4096u		/* bytes of a head, on the stack */

/* ---- For all fibers of an exchange ---- */

static const struct torc_http_client_config *
config_of(const struct torc_http_exchange *exchange)
{
	return &exchange->origin->config;
}

torc_deadline
torc_http_patience(const struct torc_http_exchange *exchange)
{
	return exchange->half_closed ? sooner(exchange->deadline,
	    config_of(exchange)->half_close_ms) : exchange->deadline;
}

/* Whether the origin has sent everything. */
static bool
is_over(const struct torc_http_exchange *exchange)
{
	return exchange->complete || exchange->received;
}

/*
 * Whether others wait for a connection while this exchange has one, or waits
 * for one.
 */
static bool
is_pressed(const struct torc_http_exchange *exchange)
{
	struct torc_pool_stats stats;

	torc_pool_stats_read(exchange->origin->pool, &stats);
	return stats.waiting > 0 && !is_over(exchange);
}

/* Begin to watch for the client going away, or for its FIN if none came yet. */
static void
watch(struct torc_http_exchange *exchange)
{
	const bool fin = !exchange->half_closed &&
	    config_of(exchange)->half_close_ms != TORC_NO_LIMIT;

	torc_conn_watch_begin(exchange->http->conn,
	    fin ? TORC_WATCH_FIN : TORC_WATCH_RESET);
}

void
torc_http_deliver_begin(struct torc_http_exchange *exchange)
{
	if (torc_fiber_self() == exchange->handler)
		torc_conn_watch_end(exchange->http->conn);
}

void
torc_http_deliver_end(struct torc_http_exchange *exchange)
{
	if (torc_fiber_self() == exchange->handler)
		watch(exchange);
}

bool
torc_http_goes_on(struct torc_http_exchange *exchange, int rc)
{
	struct torc_conn *conn = exchange->http->conn;
	int state;

	if (rc != -ECANCELED || torc_fiber_self() != exchange->handler)
		return false;
	state = torc_conn_peer_state(conn);
	if (state == TORC_PEER_OPEN)
		return false;
	if (state < 0 || exchange->half_closed || is_pressed(exchange)) {
		exchange->gone = true;
		return false;
	}
	exchange->half_closed = true;
	exchange->progress = torc_now();
	torc_conn_watch_end(conn);
	watch(exchange);
	return true;
}

torc_deadline
torc_http_silent_at(const struct torc_http_exchange *exchange)
{
	const unsigned ms = config_of(exchange)->half_close_ms;

	return !exchange->half_closed || ms == TORC_NO_LIMIT ||
	    exchange->slow_count > 0 || is_over(exchange) ? TORC_NEVER :
	    torc_at(exchange->progress + ms * 1000000ull);
}

static unsigned
status_of(const struct torc_http_exchange *exchange, int error)
{
	if (error == -EKEYREJECTED || error == -EPROTO)
		return 502;
	/* The origin was never reached. */
	if (exchange->call.input.conn == NULL)
		return 503;
	switch (error) {
	case -ETIMEDOUT:
		return 504;
	case -EBADMSG:
	case -EMSGSIZE:
	case -E2BIG:
	case -EFBIG:
	case -EPROTONOSUPPORT:
	case -EOPNOTSUPP:
	case -ECONNRESET:
	case -ECONNABORTED:
	case -EPIPE:
	case -ENOLINK:
		return 502;
	default:
		return 503;
	}
}

int
torc_http_fail(struct torc_http_exchange *exchange, int error)
{
	struct torc_http *http = exchange->http;
	const struct torc_http_refusal refusal = {
		.status = status_of(exchange, error), .error = error,
		.why = exchange->call.response.why,
	};

	torc_http_deliver_begin(exchange);
	torc_http_refuse(http, &refusal, TORC_NEVER);
	/* It must be sent even while more of the request is awaited. */
	torc_conn_push(http->conn);
	return error;
}

void
torc_http_origin_is_done(struct torc_http_exchange *exchange)
{
	if (exchange->uploader == 0) {
		torc_http_call_end(&exchange->call);
		return;
	}
	exchange->received = true;
	torc_wake_all(&exchange->events, 0);
}

/* ---- The request ---- */

/* Whether a request may be begun whose body is incomplete. */
static bool
may_begin(const struct torc_http_exchange *exchange)
{
	struct torc_pool_stats stats;

	torc_pool_stats_read(exchange->origin->pool, &stats);
	return stats.aside < exchange->origin->config.aside_max / 2;
}

/*
 * Parks. Keep the request's body until it is complete, or until it is better to
 * begin without the rest: there is no room, or it takes too long. Returns 0 or
 * an error.
 */
static int
gather(struct torc_http_exchange *exchange)
{
	const struct torc_http_client_config *config = config_of(exchange);
	torc_deadline by = config->stream ? TORC_AT_ONCE :
	    torc_after_ms(config->gather_ms);
	struct torc_slice piece;
	int rc = 0;

	while (rc == 0 && torc_http_spool_open(&exchange->body)) {
		rc = torc_http_poll_body(exchange->http, &piece, by);
		if (rc == -EAGAIN && (config->stream || may_begin(exchange)))
			return 0;
		if (rc == -EAGAIN) {
			by = torc_after_ms(config->gather_ms);
			rc = 0;
			continue;
		}
		exchange->whole = rc == 0;
		if (rc <= 0)
			return rc;
		rc = torc_http_spool_put(&exchange->body, piece.data,
		    piece.size);
	}
	return rc;
}

/* Add the fields that a forwarder writes. `left` is room for a number. */
static void
add_fields(struct torc_http_exchange *exchange, struct torc_http_hop *hop,
    int64_t forwards, char left[24])
{
	const struct torc_http_forwarding *how = exchange->how;
	const struct torc_http_head *head = &exchange->http->request;

	for (unsigned i = 0; i < how->added_count; i++)
		hop->fields[hop->count++] = how->added[i];
	if (head->host.size > 0)
		torc_http_hop_add(hop, "Host", head->host);
	if (exchange->expects)
		torc_http_hop_add(hop, "Expect",
		    torc_http_text("100-continue"));
	if (exchange->upgrades)
		torc_http_hop_add(hop, "Upgrade",
		    *torc_http_find(head, "upgrade"));
	if (forwards > 0) {
		snprintf(left, 24, "%" PRId64, forwards - 1);
		torc_http_hop_replace(hop, "max-forwards", left);
	}
}

/*
 * Parks. Send the head of the request, and its body if that is one piece and
 * has a length.
 */
static int
ask(struct torc_http_exchange *exchange, unsigned flags)
{
	const struct torc_http_head *head = &exchange->http->request;
	const struct torc_slice body = torc_http_spool_first(&exchange->body);
	struct torc_http_request request = {
		.method = head->method_name,
		.target = torc_http_hop_path(head),
		.upgrade = exchange->upgrades,
		.key = exchange->how->key,
	};
	const torc_deadline by = sooner(torc_http_patience(exchange),
	    config_of(exchange)->queue_ms);
	struct torc_http_hop hop;
	char left[24];
	int rc = torc_http_hop_begin(&hop, head, exchange->how->via);

	if (rc < 0)
		return rc;
	add_fields(exchange, &hop, torc_http_hop_forwards(head), left);
	request.fields = hop.fields;
	request.field_count = hop.count;
	if (!(flags & ASK_STREAMED)) {
		request.body = body.data;
		request.size = body.size;
	}
	rc = torc_http_call_ask(exchange->origin, &exchange->call, &request,
	    head->body == TORC_HTTP_SIZED ? head->length : TORC_HTTP_UNKNOWN,
	    flags, by);
	torc_http_hop_end(&hop);
	return rc;
}

/* ---- All of it on the handler's fiber ---- */

/* Parks. Send a request whose body is complete and small. */
static int
ask_whole(struct torc_http_exchange *exchange, unsigned flags)
{
	const struct torc_slice body = torc_http_spool_first(&exchange->body);
	const bool chunked = exchange->http->request.body ==
	    TORC_HTTP_CHUNKED;
	int rc;

	do
		rc = ask(exchange, flags | (chunked ? ASK_STREAMED : 0));
	while (torc_http_goes_on(exchange, rc));
	if (rc < 0 || !chunked)
		return rc;
	/* An origin that takes no more of a body may have answered. */
	if (torc_http_call_write(&exchange->call, body.data, body.size,
	    exchange->deadline) == 0)
		torc_http_call_finish(&exchange->call, exchange->deadline);
	return 0;
}

/* Parks. Send the request, and read the head of the answer. */
static int
ask_and_await(struct torc_http_exchange *exchange, unsigned flags)
{
	int rc = ask_whole(exchange, flags);

	if (rc < 0)
		return rc;
	rc = torc_http_await_answer(exchange);
	if (rc < 0)
		torc_http_call_end(&exchange->call);
	return rc;
}

/* Parks. */
static int
pass_whole(struct torc_http_exchange *exchange)
{
	int rc = ask_and_await(exchange, 0);

	if (torc_http_call_stale(&exchange->call, rc))
		rc = ask_and_await(exchange, ASK_FRESH);
	torc_http_spool_clear(&exchange->body);
	if (rc < 0)
		return torc_http_fail(exchange, rc);
	rc = exchange->call.response.status == 101 ?
	    torc_http_tunnel(exchange) : torc_http_relay(exchange);
	torc_http_call_end(&exchange->call);
	return rc;
}

/* ---- Both ways at once ---- */

/* A fiber's entry. */
static int
run_answer(void *arg)
{
	struct torc_http_exchange *exchange = arg;
	int rc = torc_http_await_answer(exchange);

	rc = rc < 0 ? torc_http_fail(exchange, rc) : torc_http_relay(exchange);
	if (rc == 0)
		torc_conn_push(exchange->http->conn);
	exchange->answered = true;
	torc_wake_all(&exchange->events, 0);
	return rc;
}

/* Parks. End the upload and the call, which are not needed any more. */
static void
end_asking(struct torc_http_exchange *exchange)
{
	if (exchange->uploader != 0)
		torc_fiber_reap(exchange->uploader, NULL, TORC_NEVER);
	exchange->uploader = 0;
	torc_http_call_end(&exchange->call);
}

/*
 * Parks. Wait until there is an answer, or until there will be none. Returns 0
 * or an error.
 */
static int
supervise(struct torc_http_exchange *exchange)
{
	torc_deadline by;
	int rc = 0;

	while (!exchange->answered && rc == 0) {
		if (exchange->evicted)
			return torc_http_fail(exchange, -EBUSY);
		if (exchange->upload_error < 0)
			return exchange->upload_error;
		if (exchange->received)
			end_asking(exchange);
		by = torc_http_silent_at(exchange);
		rc = torc_wait(&exchange->events, by);
		if (torc_http_goes_on(exchange, rc) || rc == -EBUSY ||
		    (rc == -ETIMEDOUT &&
			by.at < torc_http_silent_at(exchange).at))
			rc = 0;
	}
	return rc;
}

/* Parks. */
static int
pass_in_pieces(struct torc_http_exchange *exchange)
{
	int rc, result = -ECANCELED;

	do
		rc = ask(exchange, ASK_STREAMED);
	while (torc_http_goes_on(exchange, rc));
	if (rc < 0)
		return torc_http_fail(exchange, rc);
	torc_conn_push(exchange->http->conn);
	rc = torc_fiber_spawn(&exchange->answerer, run_answer, exchange);
	if (rc < 0) {
		torc_http_call_end(&exchange->call);
		return torc_http_fail(exchange, rc);
	}
	rc = torc_fiber_spawn(&exchange->uploader, torc_http_upload,
	    exchange);
	if (rc < 0)
		exchange->uploader = 0;
	else
		rc = supervise(exchange);
	/* In any case both fibers end before their exchange does. */
	torc_fiber_reap(exchange->answerer, &result, TORC_NEVER);
	end_asking(exchange);
	return rc < 0 ? rc : result;
}

/* ---- The whole ---- */

/* Parks. */
static int
pass_on(struct torc_http_exchange *exchange)
{
	struct torc_http *http = exchange->http;
	const bool small = exchange->whole && exchange->body.blocks <= 1;
	int rc;

	watch(exchange);
	rc = small ? pass_whole(exchange) : pass_in_pieces(exchange);
	torc_conn_watch_end(http->conn);
	if (!exchange->gone)
		return rc;
	/* There is no client to answer. */
	http->output = OUTPUT_BROKEN;
	return -ECONNRESET;
}

/* Whether the client waits for 100, which the origin decides about. */
static bool
waits_for_continue(const struct torc_http *http)
{
	return http->request.body != TORC_HTTP_NONE && !http->continued &&
	    http->input.used == http->input.view.size;
}

/*
 * Whether an upgrade is forwarded. HTTP/2 in clear text is not: its requests
 * would bypass everything that a forwarder does.
 */
static bool
may_upgrade(const struct torc_http *http)
{
	const struct torc_slice *upgrade = torc_http_find(&http->request,
	    "upgrade");

	return http->upgrade && http->request.body == TORC_HTTP_NONE &&
	    !torc_http_lists(*upgrade, torc_http_text("h2c"));
}

static int
forward(struct torc_http *http, struct torc_http_client *origin,
    const struct torc_http_forwarding *how, torc_deadline deadline)
{
	struct torc_http_exchange exchange;
	int rc = 0;

	/* All but the fields, which would be a page to touch. */
	memset(&exchange, 0, offsetof(struct torc_http_exchange, call.fields));
	exchange.http = http;
	exchange.origin = origin;
	exchange.how = how;
	exchange.deadline = deadline;
	exchange.handler = torc_fiber_self();
	exchange.body.budget = &origin->budget;
	exchange.reply.budget = &origin->budget;
	exchange.expects = waits_for_continue(http);
	exchange.upgrades = may_upgrade(http);
	exchange.whole = http->request.body == TORC_HTTP_NONE;
	torc_http_withhold_continue(http);
	/* No more requests are sent for a client that does not read its
	 * answers. */
	if (torc_conn_room(http->conn) < ROOM_LEAST)
		rc = torc_http_flush(http, deadline);
	if (rc == 0 && !exchange.whole && !exchange.expects)
		rc = gather(&exchange);
	if (rc == 0)
		rc = pass_on(&exchange);
	else	/* The client is told, unless it was told before. */
		torc_http_fail(&exchange, rc);
	torc_http_spool_clear(&exchange.body);
	torc_http_spool_clear(&exchange.reply);
	return rc;
}

int
torc_http_forward_sized(struct torc_http *http,
    struct torc_http_client *origin, const struct torc_http_forwarding *how,
    size_t how_size, torc_deadline deadline)
{
	static const struct torc_http_refusal no_memory = {
		.status = 503, .error = -ENOMEM,
	};
	/* A fiber that waits for the origin keeps no receive buffer. */
	const uint32_t size = http->lent ? http->request.size : 0;
	const int64_t forwards = torc_http_hop_forwards(&http->request);
	char few[HEAD_KEPT], *memory = few;
	struct torc_http_forwarding known;
	int rc = torc_config_take(&known, sizeof(known), how, how_size,
	    "torc_http_forwarding", NULL);

	torc_require(known.via != NULL && strlen(known.via) <= TORC_HTTP_VIA,
	    "the name in Via has at most TORC_HTTP_VIA bytes");
	torc_require(known.added_count <= TORC_HTTP_ADDED,
	    "torc_http_forward() adds at most TORC_HTTP_ADDED fields");
	/* The origin would wait for bytes that were already consumed. */
	if (rc == 0 && http->input.received > 0)
		rc = -EINVAL;
	if (rc < 0)
		return rc;
	if (known.forwarded_for)
		return torc_http_forward_for(http, origin, &known, deadline);
	if (forwards == 0 || forwards == -EBADMSG)
		return torc_http_hop_last(http, forwards, deadline);
	if (size > sizeof(few))
		memory = torc_sys_alloc_raw(size);
	if (memory == NULL) {
		rc = torc_http_refuse(http, &no_memory, deadline);
		return rc < 0 ? rc : -ENOMEM;
	}
	if (size > 0)
		torc_http_keep(http, memory, size);
	rc = forward(http, origin, &known, deadline);
	if (memory != few)
		torc_sys_free(memory);
	return rc;
}
