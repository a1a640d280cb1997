/* SPDX-License-Identifier: MIT */
/*
 * pool_conn.c - pools of connections to which a protocol adds nothing.
 */
#include "conn/kit/torc_client.h"

#define CLOSE_MS 1000u		/* for what is staged, and the peer's FIN */

static int
open_conn(void **item, torc_deadline deadline, void *address)
{
	struct torc_conn *conn;
	int rc = torc_dial_name(&conn, address, deadline);

	if (rc == 0)
		*item = conn;
	return rc;
}

static void
close_conn(void *item, void *address)
{
	(void)address;
	torc_conn_close(item, torc_after_ms(CLOSE_MS));
}

static bool
conn_usable(void *item, void *address)
{
	(void)address;
	return torc_conn_usable(item);
}

const struct torc_pool_kind *
torc_conn_pool_kind(void)
{
	/* A program of a later torc has more of it, which is zero here. */
	static const struct {
		struct torc_pool_kind kind;
		void *later[32];
	} kind = { .kind = {
		.name = "connections", .open = open_conn,
		.close = close_conn, .usable = conn_usable,
	} };

	return &kind.kind;
}
