/*
 * intake.h - how much a connection may receive now.
 */
#ifndef TORC_CONN_INTAKE_H
#define TORC_CONN_INTAKE_H

#include <stdbool.h>

#include "conn/conn.h"
#include "reactor/timers.h"

/* Arm the receive if input is wanted and can be taken. */
void torc_intake_arm(struct torc_conn *conn);

/* It holds all that it may: wait for others, or for its handler. */
void torc_intake_wait(struct torc_conn *conn);

/* As many bytes as may be kept have come, or are about to, and nobody reads. */
bool torc_intake_is_full(const struct torc_conn *conn);

/* A peer that was slowed may go on, if enough was read. */
void torc_intake_speed_up(struct torc_conn *conn);

/* The time of the favourite is up. */
void torc_intake_disfavour(struct torc_timer *timer);

/* Let those go on that wait for memory, if there is some. */
void torc_intake_feed(struct torc_net *net);

#endif
