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
/* Bytes have come that its transport is to open. */
void torc_recv_unseal(struct torc_conn *conn, uint8_t *data, uint32_t size,
    uint32_t bid);
/* A thread has done a step of its handshake. */
void torc_recv_take_back(struct torc_conn *conn);
/* End receiving with an error: torc_conn_advance() reports it. */
void torc_recv_fail(struct torc_conn *conn, int error);
/* Tell the fiber that waits for input, if any, that the end is known. */
void torc_recv_tell_end(struct torc_conn *conn);
/* Read a polled socket that has bytes. */
void torc_recv_ready(struct torc_conn *conn);
/* Begin or end a wait for input, which is shown in `*seen`. */
void torc_recv_enter(struct torc_conn *conn, struct torc_slice *seen);
void torc_recv_leave(struct torc_conn *conn);
/*
 * Parks. Wait for input. Returns the number of bytes if an empty view received
 * them and nothing else happened, and shows them in `*seen`; 0 if there is
 * other news; or a negative errno.
 */
int torc_recv_park(struct torc_conn *conn, struct torc_slice *seen,
    torc_deadline deadline);
/* Whether anything has come, or has ended, that no view has shown. */
static inline bool
torc_recv_news(const struct torc_conn *conn)
{
	return conn->news != 0;
}

/* Whether no received byte is left. */
static inline bool
torc_recv_idle(const struct torc_conn *conn)
{
	return conn->view_size == 0 && !conn->pieced;
}

#endif
