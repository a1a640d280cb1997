/* SPDX-License-Identifier: MIT */
/*
 * intake.h - how much a connection may receive now.
 */
#ifndef TORC_CONN_INTAKE_H
#define TORC_CONN_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "conn/conn.h"
#include "conn/net.h"
#include "reactor/reactor.h"
#include "reactor/timers.h"

/* Arm the receive if input is wanted and can be taken. */
void torc_intake_arm(struct torc_conn *conn);

/* Wait until others, or the handler, free memory: it holds its limit. */
void torc_intake_wait(struct torc_conn *conn);

/* Whether all that may be held has come or is coming, and no fiber reads. */
bool torc_intake_is_full(const struct torc_conn *conn);

/*
 * How many bytes may be read from the socket by hand. 0: wait, as above.
 */
uint32_t torc_intake_room(struct torc_conn *conn);

/* A fiber waits for more input. */
void torc_intake_want(struct torc_conn *conn);
/* Nothing keeps it from receiving any more but what it has, which is counted
 * when this turn ends. */
void torc_intake_want_later(struct torc_conn *conn);

/* Receive nothing until a fiber wants input. */
void torc_intake_hold(struct torc_conn *conn);

/* Slow the peer down: the handler does not read. */
void torc_intake_slow_down(struct torc_conn *conn);

/*
 * No receive buffer is left, because other connections are faster. Unless there
 * will be more buffers now, this connection is read by hand.
 */
void torc_intake_run_dry(struct torc_conn *conn);

/* The shortage of buffers is over. */
static inline void
torc_intake_end_drought(struct torc_net *net)
{
	net->dry = false;
}

/* End the receive: tell the kernel now or later. */
void torc_intake_end(struct torc_conn *conn);
/* The kernel did not find the receive; or the receive has ended. */
void torc_intake_missed(struct torc_conn *conn);
void torc_intake_ended(struct torc_conn *conn);

/* The connection is over. */
void torc_intake_forget(struct torc_conn *conn);

/* A receive that was claimed has been taken: quiet sends may follow it. */
static inline void
torc_intake_settle(struct torc_conn *conn)
{
	if (conn->arming && conn->reactor->ring.sq_taken >= conn->arm_mark)
		conn->arming = 0;
}

/* A peer that was slowed may go on, if enough was read. */
void torc_intake_speed_up(struct torc_conn *conn);

/* The time of the favourite is up. */
void torc_intake_disfavour(struct torc_timer *timer);

/* Let those go on that wait for memory, if there is some. */
void torc_intake_feed(struct torc_net *net);

#endif
