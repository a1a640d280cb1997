/* SPDX-License-Identifier: MIT */
/*
 * carrier.c - exchanges and what carries them: HTTP/1.1. Handlers that forward
 * a request, or switch to another protocol, do not depend on it.
 */
#include <errno.h>

#include "conn/http/service.h"

struct torc_http *
torc_exchange_http(struct torc_exchange *exchange)
{
	return &exchange->http;
}

struct torc_http *
torc_exchange_plain(struct torc_exchange *exchange)
{
	return exchange->filtered || exchange->http.chunked ? NULL :
	    &exchange->http;
}

const struct torc_conn *
torc_exchange_conn(const struct torc_exchange *exchange)
{
	return exchange->http.conn;
}

int
torc_exchange_peer(const struct torc_exchange *exchange, char *text,
    size_t size)
{
	return torc_conn_peer_address(exchange->http.conn, text, size);
}

void
torc_exchange_watch_begin(struct torc_exchange *exchange,
    enum torc_watch what)
{
	torc_conn_watch_begin(exchange->http.conn, what);
}

void
torc_exchange_watch_end(struct torc_exchange *exchange)
{
	torc_conn_watch_end(exchange->http.conn);
}

int
torc_exchange_read(struct torc_exchange *exchange, struct torc_slice *piece,
    torc_deadline deadline)
{
	return torc_http_read(&exchange->http, piece, deadline);
}

const struct torc_slice *
torc_exchange_trailer(const struct torc_exchange *exchange, const char *name)
{
	return torc_http_find(&exchange->http.trailer, name);
}

int
torc_exchange_inform(struct torc_exchange *exchange, unsigned status,
    const struct torc_http_field *fields, unsigned field_count,
    torc_deadline deadline)
{
	return torc_http_inform(&exchange->http, status, fields, field_count,
	    deadline);
}

int
torc_exchange_forward_sized(struct torc_exchange *exchange,
    struct torc_http_client *origin, const struct torc_http_forwarding *how,
    size_t how_size, torc_deadline deadline)
{
	return torc_http_forward_sized(&exchange->http, origin, how, how_size,
	    deadline);
}

bool
torc_exchange_wants(const struct torc_exchange *exchange,
    const char *protocol)
{
	const struct torc_slice *wanted = torc_http_find(
	    &exchange->http.request, "upgrade");

	torc_require(protocol != NULL, "the name of a protocol is NULL");
	return exchange->http.upgrade &&
	    torc_http_lists(*wanted, torc_http_text(protocol));
}

int
torc_exchange_take_over(struct torc_exchange *exchange, const char *protocol,
    struct torc_conn **conn, torc_deadline deadline)
{
	const unsigned count = exchange->field_count;
	int rc;

	torc_require(conn != NULL,
	    "torc_exchange_take_over() needs a place for the connection");
	if (!torc_exchange_wants(exchange, protocol))
		return -EINVAL;
	exchange->fields[count] = (struct torc_http_field) {
		torc_http_text("Upgrade"), torc_http_text(protocol),
	};
	rc = torc_http_take_over(&exchange->http, exchange->fields, count + 1,
	    deadline);
	if (rc == 0)
		*conn = exchange->http.conn;
	return rc;
}
