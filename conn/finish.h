/* SPDX-License-Identifier: MIT */
/*
 * finish.h - the last steps of a connection that ends in order.
 */
#ifndef TORC_CONN_FINISH_H
#define TORC_CONN_FINISH_H

#include "conn/conn.h"

/*
 * Parks. In order if that is possible by the deadlines, else with RST. The
 * second one may be 0: then the peer has `linger_ms` after our FIN.
 */
int torc_finish(
    struct torc_conn *conn, torc_deadline sent_by, torc_deadline fin_by);
/*
 * Parks. The calls of other fibers on the connection end, as if these were
 * cancelled, before it is closed.
 */
void torc_finish_others(struct torc_conn *conn);
/* Close a dormant one, in order if it has something to send. */
void torc_conn_retire(struct torc_conn *conn);

#endif
