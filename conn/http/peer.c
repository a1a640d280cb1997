/* SPDX-License-Identifier: MIT */
/*
 * peer.c - X-Forwarded-For: adds the client's address to a forwarded request.
 */
#include "conn/http/exchange.h"

#define ADDRESS_MAX 128u	/* bytes: any address, with its port */

int
torc_http_forward_for(struct torc_http *http,
    struct torc_http_client *origin, const struct torc_http_forwarding *how,
    torc_deadline deadline)
{
	struct torc_http_field added[TORC_HTTP_ADDED];
	struct torc_http_forwarding with = *how;
	char peer[ADDRESS_MAX], *port;
	int rc = torc_conn_peer_address(http->conn, peer, sizeof(peer));

	torc_require(how->added_count < TORC_HTTP_ADDED,
	    "torc_http_forward() adds at most TORC_HTTP_ADDED fields, and "
	    "forwarded_for is one of them");
	if (rc < 0)
		return rc;
	port = strrchr(peer, ':');
	if (port != NULL)
		*port = '\0';
	if (how->added_count > 0)
		memcpy(added, how->added, how->added_count * sizeof(added[0]));
	added[how->added_count] = (struct torc_http_field) {
		torc_http_text("X-Forwarded-For"), torc_http_text(peer),
	};
	with.added = added;
	with.added_count++;
	with.forwarded_for = false;
	return torc_http_forward(http, origin, &with, deadline);
}
