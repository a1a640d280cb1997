/* SPDX-License-Identifier: MIT */
/*
 * drain.h - connections while their reactor drains.
 */
#ifndef TORC_CONN_DRAIN_H
#define TORC_CONN_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "conn/conn.h"

/* The reactor drains: no new connections, and an end for those that idle. */
void torc_drain_begin(struct torc_net *net);
/* In a drain: the time of one that idles or lingers is up. */
void torc_drain_look(struct torc_conn *conn);
/* It ends in a drain while nothing was asked; or there is something to read. */
void torc_drain_set_silent(struct torc_conn *conn, bool silent);
/* In a drain, a connection may wait for a request until then. */
uint64_t torc_drain_idle_by(const struct torc_conn *conn);
/*
 * A drain has come to its deadline, and was not cut short by a stop: what the
 * kernel has is sent to the end.
 */
bool torc_drain_is_over(const struct torc_conn *conn);
/* For how long the peer's FIN is awaited after ours; TORC_NO_LIMIT: for ever */
unsigned torc_drain_linger_ms(const struct torc_conn *conn);

#endif
