/* SPDX-License-Identifier: MIT */
/*
 * view.h - the view: the input that a handler was shown.
 */
#ifndef TORC_CONN_VIEW_H
#define TORC_CONN_VIEW_H

#include <stdint.h>

#include "conn/conn.h"
#include "conn/net.h"
#include "ring/bufring.h"

/* Show bytes that came while the view was empty. */
void torc_view_set(struct torc_conn *conn, uint8_t *data, uint32_t size,
    uint32_t bid);

/* Make a view of the bytes that came: 1; 0 if none came; or -errno. */
int torc_view_refresh(struct torc_conn *conn);

/* Move the view out of the kernel's buffer. 0 or -ENOMEM. */
int torc_view_keep(struct torc_conn *conn);

/* Do what torc_conn_rewind() has left for the next receive. */
void torc_view_rewind(struct torc_conn *conn);

/* Show bytes that are all of a receive buffer. */
static inline void
torc_view_set_whole(struct torc_conn *conn, uint32_t bid, uint32_t size)
{
	torc_debug_assert(conn->view_size == 0 &&
	    conn->view_bid == TORC_NO_BID);
	torc_debug_assert(conn->joined == NULL && size > 0);
	conn->view_bid = bid;
	conn->view = torc_bufring_take_whole(&conn->net->buffers, bid, size);
	conn->view_size = size;
}

/* Show the view. Returns its size. */
static inline int
torc_view_show(struct torc_conn *conn, struct torc_slice *in)
{
	in->data = conn->view;
	in->size = conn->view_size;
	conn->fresh = false;
	return (int)conn->view_size;
}

/* Show the view again: no handler has seen it. */
void torc_view_renew(struct torc_conn *conn);

/* Drop all that was received. */
void torc_view_discard(struct torc_conn *conn);

#endif
