/* SPDX-License-Identifier: MIT */
/* tunnel.c - after 101: passes bytes in both directions as they come. */
#include <errno.h>

#include "conn/http/exchange.h"
#include "conn/http/hop.h"

#define GOODBYE_MS 1000u	/* for the FIN of an origin */

struct tunnel {
	struct torc_conn *client;
	struct torc_conn *origin;
	uint64_t idle_ns;
	uint64_t moved_at;	/* when a byte last went through */
	unsigned writing;	/* directions that wait for their reader */
	int error;		/* of the direction that failed first */
};

/*
 * The side that is written to has a time limit of its own, which is renewed by
 * each byte that it takes.
 */
static torc_deadline
idle_at(const struct tunnel *tunnel)
{
	const uint64_t since = tunnel->writing > 0 ? torc_now() :
	    tunnel->moved_at;

	return tunnel->idle_ns == UINT64_MAX ? TORC_NEVER :
	    torc_at(since + tunnel->idle_ns);
}

/* Parks. Receive bytes. Returns how many, 0 at the end, or an error. */
static int
receive(struct tunnel *tunnel, struct torc_conn *from, struct torc_slice *in)
{
	int rc;

	do
		rc = torc_conn_recv(from, in, idle_at(tunnel));
	while (rc == -ETIMEDOUT && !torc_passed(idle_at(tunnel)));
	/* A drain says that the client sends no more. */
	return rc == -ESHUTDOWN ? 0 : rc;
}

/* Parks. Pass on everything in view. Returns 0 or an error. */
static int
pass(struct tunnel *tunnel, struct torc_conn *from, struct torc_conn *to,
    struct torc_slice in)
{
	const bool from_client = from == tunnel->client;
	int rc;

	tunnel->writing++;
	/* While the origin takes nothing, a reset of the client ends the
	 * wait. */
	if (from_client)
		torc_conn_watch_begin(from, TORC_WATCH_RESET);
	rc = torc_conn_write(to, in.data, in.size, TORC_NEVER);
	torc_conn_consume(from, in.size);
	if (rc == 0)
		rc = torc_conn_flush(to, TORC_NEVER);
	if (from_client)
		torc_conn_watch_end(from);
	tunnel->writing--;
	tunnel->moved_at = torc_now();
	return rc;
}

/* Parks. Pass on one direction, and its FIN. Returns 0 or an error. */
static int
pump(struct tunnel *tunnel, struct torc_conn *from, struct torc_conn *to)
{
	struct torc_slice in;
	int rc;

	while ((rc = receive(tunnel, from, &in)) > 0) {
		rc = pass(tunnel, from, to, in);
		if (rc < 0)
			break;
	}
	if (rc == 0)
		rc = torc_conn_shutdown(to, idle_at(tunnel));
	if (rc < 0 && tunnel->error == 0)
		tunnel->error = rc;
	return rc;
}

static int
run_back(void *arg)
{
	struct tunnel *tunnel = arg;

	return pump(tunnel, tunnel->origin, tunnel->client);
}

/* Parks. Pass on both directions, until both have ended or one has failed. */
static int
run_tunnel(struct tunnel *tunnel)
{
	uint64_t id;
	int rc = torc_fiber_spawn(&id, run_back, tunnel), back = 0;

	if (rc < 0)
		return rc;
	rc = pump(tunnel, tunnel->client, tunnel->origin);
	if (rc == 0)
		rc = torc_fiber_join(id, &back, TORC_NEVER);
	if (rc < 0)
		torc_fiber_reap(id, &back, TORC_NEVER);
	return rc < 0 ? rc : back;
}

/* Parks. Pass the answer on. */
static int
take_over(struct torc_http_exchange *exchange)
{
	const struct torc_http_head *response = &exchange->call.response;
	const struct torc_slice *upgrade = torc_http_find(response,
	    "upgrade");
	struct torc_http_hop hop;
	int rc = torc_http_hop_begin(&hop, response, exchange->how->via);

	if (rc < 0)
		return rc;
	torc_http_hop_add(&hop, "Upgrade", *upgrade);
	rc = torc_http_take_over(exchange->http, hop.fields, hop.count,
	    exchange->deadline);
	torc_http_hop_end(&hop);
	return rc;
}

int
torc_http_tunnel(struct torc_http_exchange *exchange)
{
	const unsigned ms = exchange->origin->config.tunnel_ms;
	struct tunnel tunnel = {
		.client = exchange->http->conn,
		.idle_ns = ms == TORC_NO_LIMIT ? UINT64_MAX : ms * 1000000ull,
		.moved_at = torc_now(),
	};
	int rc;

	/* From here on, the end of the client is seen by reading. */
	torc_conn_watch_end(tunnel.client);
	rc = take_over(exchange);
	if (rc < 0)
		return torc_http_fail(exchange, rc);
	tunnel.origin = torc_http_call_conn(&exchange->call);
	torc_conn_set_pace(tunnel.client, ms, TORC_NO_LIMIT);
	torc_conn_set_pace(tunnel.origin, ms, TORC_NO_LIMIT);
	rc = run_tunnel(&tunnel);
	torc_conn_set_pace(tunnel.client, exchange->http->config.write_ms,
	    exchange->http->config.write_rate);
	if (rc == 0)
		torc_http_call_close(&exchange->call,
		    torc_after_ms(GOODBYE_MS));
	else	/* Neither side must look complete. */
		exchange->http->output = OUTPUT_BROKEN;
	return rc;
}
