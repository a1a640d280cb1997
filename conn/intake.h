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

/* It holds all that it may: wait for others, or for its handler. */
void torc_intake_wait(struct torc_conn *conn);

/* As many bytes as may be kept have come, or are about to, and nobody reads. */
bool torc_intake_is_full(const struct torc_conn *conn);

/*
 * How many bytes of its socket it may be given by hand. 0: it waits, as above.
 */
uint32_t torc_intake_room(struct torc_conn *conn);

/* Somebody waits for more: it is not the peer that waits. */
void torc_intake_want(struct torc_conn *conn);

/* Nothing is to be received until somebody wants something. */
void torc_intake_hold(struct torc_conn *conn);

/* The handler does not read: let the peer feel it. */
void torc_intake_slow_down(struct torc_conn *conn);

/*
 * There is no buffer, although none stays where it is for long: others are
 * faster. Unless there will be more now, this one is served by hand.
 */
void torc_intake_run_dry(struct torc_conn *conn);

/* ... that was seen to. */
static inline void
torc_intake_end_drought(struct torc_net *net)
{
	net->dry = false;
}

/* The receive is to end: the kernel is told, now or later. */
void torc_intake_end(struct torc_conn *conn);
/* ... that was not heard; or it has ended. */
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
