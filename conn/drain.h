/* SPDX-License-Identifier: MIT */
/*
 * drain.h - connections while their reactor drains.
 */
#ifndef TORC_CONN_DRAIN_H
#define TORC_CONN_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "conn/conn.h"

/* Begin a drain: accept no more, and end connections that idle. */
void torc_drain_begin(struct torc_net *net);
/* In a drain: end a connection whose time to idle or linger is up. */
void torc_drain_look(struct torc_conn *conn);
/* Note whether the peer has nothing left to read when it ends in a drain. */
void torc_drain_set_silent(struct torc_conn *conn, bool silent);
/* Until when a connection may wait for a request in a drain. */
uint64_t torc_drain_idle_by(const struct torc_conn *conn);
/*
 * Whether a drain has reached its deadline, and was not cut short by a stop.
 * Then the kernel sends all that it has.
 */
bool torc_drain_is_over(const struct torc_conn *conn);
/* How long to wait for the peer's FIN after ours; TORC_NO_LIMIT: for ever. */
unsigned torc_drain_linger_ms(const struct torc_conn *conn);

#endif
