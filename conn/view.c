/* SPDX-License-Identifier: MIT */
/*
 * view.c - what a handler was shown of its input: made, put together, consumed.
 */
#include <errno.h>
#include <string.h>

#include "conn/conn.h"
#include "conn/held.h"
#include "conn/intake.h"
#include "conn/net.h"
#include "conn/torc_protocol.h"
#include "conn/view.h"
#include "sys/poison.h"

/* The view lies where it did before torc_conn_rewind(). */
static void
forget_rewind(struct torc_conn *conn)
{
	if (!conn->rewound)
		return;
	conn->rewound = false;
	conn->view_bid = conn->rewound_bid;
}

static void
drop_view(struct torc_conn *conn)
{
	torc_debug_assert(conn->view_bid == TORC_NO_BID ||
	    conn->joined == NULL);
	forget_rewind(conn);
	if (conn->view_bid != TORC_NO_BID) {
		torc_poison(conn->view, conn->view_size);
		torc_bufring_put(&conn->net->buffers, conn->view_bid);
	} else if (conn->joined != NULL) {
		torc_held_free(conn, conn->joined, conn->joined_size);
		conn->joined = NULL;
		conn->joined_size = 0;
	}
	conn->view = NULL;
	conn->view_size = 0;
	conn->view_bid = TORC_NO_BID;
	conn->fresh = false;
}

/*
 * Have the view, and room for `more` bytes behind it, in memory of the
 * connection's own.
 */
static int
join(struct torc_conn *conn, uint32_t more)
{
	uint32_t needed = conn->view_size + more;
	uint32_t size = conn->joined_size;
	uint8_t *bytes = conn->joined;

	torc_debug_assert(conn->view_size > 0 && !conn->rewound);
	if (needed > size) {
		size = size == 0 ? 512 : size;
		while (size < needed)
			size *= 2;
		bytes = torc_held_alloc(conn, size);
		if (bytes == NULL)
			return -ENOMEM;
		conn->reactor->counters->joins++;
	}
	/* What was consumed of it makes room. */
	if (bytes == conn->joined)
		torc_unpoison(bytes, size);
	/* Bytes that come one by one must not be moved by each. */
	if (bytes != conn->view)
		memmove(bytes, conn->view, conn->view_size);
	if (bytes != conn->joined) {
		uint32_t view_size = conn->view_size;

		drop_view(conn);
		conn->view_size = view_size;
		conn->joined = bytes;
		conn->joined_size = size;
	}
	conn->view = bytes;
	return 0;
}

int
torc_view_keep(struct torc_conn *conn)
{
	torc_assert(!conn->rewound);
	if (conn->view_size == 0 || conn->view_bid == TORC_NO_BID)
		return 0;
	return join(conn, 0);
}

/* All pieces behind what is left of the view. */
static int
extend_view(struct torc_conn *conn)
{
	uint32_t more = 0;
	int rc;

	torc_debug_assert(conn->pieced && conn->view_size > 0);
	for (struct torc_piece *piece = conn->first; piece != NULL;
	    piece = piece->next)
		more += piece->size;
	rc = join(conn, more);
	if (rc < 0)
		return rc;
	while (conn->first != NULL) {
		struct torc_piece piece = torc_held_take(conn);

		memcpy(conn->view + conn->view_size, piece.data, piece.size);
		conn->view_size += piece.size;
		torc_held_let_go(conn, piece.data, piece.size,
		    piece.bid);
	}
	return 0;
}

void
torc_view_set(struct torc_conn *conn, uint8_t *data, uint32_t size,
    uint32_t bid)
{
	torc_debug_assert(size > 0 && !conn->fresh);
	torc_assert(conn->view_size == 0 && conn->view_bid == TORC_NO_BID);
	conn->view = data;
	conn->view_size = size;
	conn->view_bid = bid;
	conn->fresh = true;
	if (torc_unlikely(bid == TORC_NO_BID)) {
		torc_assert(conn->joined == NULL);
		conn->joined = data;
		conn->joined_size = size;
	}
}

/* Make a view of what came, if anything did. 1, 0 or a negative errno. */
int
torc_view_refresh(struct torc_conn *conn)
{
	if (conn->fresh)
		return 1;
	if (conn->first == NULL)
		return 0;
	if (conn->view_size == 0) {
		struct torc_piece piece = torc_held_take(conn);

		torc_view_set(conn, piece.data, piece.size, piece.bid);
	} else {
		int rc = extend_view(conn);

		if (rc < 0)
			return rc;
	}
	torc_intake_speed_up(conn);
	return 1;
}

void
torc_view_discard(struct torc_conn *conn)
{
	if (conn->view_size > 0)
		drop_view(conn);
	while (conn->first != NULL) {
		struct torc_piece piece = torc_held_take(conn);

		torc_held_let_go(conn, piece.data, piece.size,
		    piece.bid);
	}
	torc_intake_speed_up(conn);
}

void
torc_view_renew(struct torc_conn *conn)
{
	torc_debug_assert(conn->view_size > 0);
	conn->fresh = true;
}

/* ---- For handlers ---- */

/* A part of the view, or what lies in no buffer of the kernel's. */
static __attribute__((noinline)) void
consume_carefully(struct torc_conn *conn, size_t size)
{
	torc_conn_require(conn);
	torc_require(size <= conn->view_size,
	    "more bytes are consumed than the view has");
	forget_rewind(conn);
	if (size == conn->view_size && size > 0) {
		drop_view(conn);
		torc_intake_speed_up(conn);
		return;
	}
	if (size > 0) {		/* else there may be no view at all */
		torc_poison(conn->view, size);
		conn->view += size;
	}
	conn->view_size -= (uint32_t)size;
	torc_intake_speed_up(conn);
}

void
torc_conn_consume(struct torc_conn *conn, size_t size)
{
	const uint32_t bid = conn->view_bid;

	if (torc_unlikely(torc_current != conn->reactor ||
	    size != conn->view_size || bid == TORC_NO_BID)) {
		consume_carefully(conn, size);
		return;
	}
	conn->view_size = 0;
	conn->view_bid = TORC_NO_BID;
	torc_poison(conn->view, size);
	torc_bufring_put(&conn->net->buffers, bid);
}

void
torc_conn_rewind(struct torc_conn *conn, size_t size)
{
	torc_conn_require(conn);
	torc_require(size <= conn->view_size,
	    "more bytes are consumed than the view has");
	if (conn->view_size == 0)
		return;
	if (!conn->rewound)
		conn->rewound_bid = conn->view_bid;
	conn->rewound = true;
	conn->rewound_size = (uint32_t)size;
	/* So that whatever touches the view looks closer. */
	conn->view_bid = TORC_NO_BID;
}

void
torc_view_rewind(struct torc_conn *conn)
{
	if (!conn->rewound)
		return;
	consume_carefully(conn, conn->rewound_size);
	conn->fresh = conn->view_size > 0;
}

size_t
torc_conn_unread(const struct torc_conn *conn)
{
	size_t size;

	torc_conn_require(conn);
	size = conn->view_size - (conn->rewound ? conn->rewound_size : 0);
	for (const struct torc_piece *piece = conn->first; piece != NULL;
	    piece = piece->next)
		size += piece->size;
	return size;
}
