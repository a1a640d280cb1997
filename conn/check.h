/* SPDX-License-Identifier: MIT */
/*
 * check.h - what must agree in a connection, a listener, and what connections
 * share, whenever none of their own calls is under way. What does not agree
 * stops the process. The simulation asks at each step, and builds with
 * TORC_DEBUG (sys/trap.h) whenever a connection is looked at and in each turn.
 */
#ifndef TORC_CONN_CHECK_H
#define TORC_CONN_CHECK_H

#include "conn/conn.h"
#include "conn/net.h"
#include "sys/trap.h"

struct torc_listener;

/* One connection that is open. */
void torc_conn_check(const struct torc_conn *conn);

/* One listener that is open. */
void torc_listener_check(const struct torc_listener *listener);

/* All of a reactor's, and what is counted of them. */
void torc_net_check(const struct torc_net *net);

#endif
