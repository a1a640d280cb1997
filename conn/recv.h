/* SPDX-License-Identifier: MIT */
/*
 * recv.h - receiving.
 */
#ifndef TORC_CONN_RECV_H
#define TORC_CONN_RECV_H

#include <stdbool.h>

#include "conn/conn.h"

void torc_recv_complete(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe);
/* The same for connections with a transport. */
void torc_recv_sealed(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe);
void torc_recv_stray(struct torc_reactor *reactor,
    const struct io_uring_cqe *cqe);
/* No more is to be received: torc_conn_advance() will tell. */
void torc_recv_fail(struct torc_conn *conn, int error);
/* Tell who waits for input, if anybody does, that its end is known. */
void torc_recv_tell_end(struct torc_conn *conn);
/* A polled socket has something: read it. */
void torc_recv_ready(struct torc_conn *conn);
/* The current fiber waits for input, to be shown in `*seen`; or no more. */
void torc_recv_enter(struct torc_conn *conn, struct torc_slice *seen);
void torc_recv_leave(struct torc_conn *conn);
/*
 * Parks. 0 if there is news; how many bytes were received into an empty view
 * and are in `*seen`, if that is all; or a negative errno.
 */
int torc_recv_park(struct torc_conn *conn, struct torc_slice *seen,
    torc_deadline deadline);
/* Something was received, or ended, that no view has shown. */
static inline bool
torc_recv_news(const struct torc_conn *conn)
{
	return conn->news != 0;
}

/* Nothing received is left. */
static inline bool
torc_recv_idle(const struct torc_conn *conn)
{
	return conn->view_size == 0 && !conn->pieced;
}

#endif
