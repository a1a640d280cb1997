/* SPDX-License-Identifier: MIT */
/*
 * watch.h - polls of a connection's socket.
 */
#ifndef TORC_CONN_WATCH_H
#define TORC_CONN_WATCH_H

#include "conn/conn.h"

void torc_watch_complete(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe);
/* The receive is replaced by a poll, and then a read. */
void torc_watch_input(struct torc_conn *conn);
/* The cancel of a poll was not heard. */
void torc_watch_missed(struct torc_conn *conn);
/* Poll the socket if the peer's end would not be noticed otherwise. */
void torc_watch_advance(struct torc_conn *conn);
/* Tell the watcher, if there is one, that the peer's end is known. */
void torc_watch_tell(struct torc_conn *conn);
/* The handler has returned: it watches no more. */
void torc_watch_drop(struct torc_conn *conn);

#endif
