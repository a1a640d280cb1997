/* SPDX-License-Identifier: MIT */
/*
 * check.h - what must agree in a reactor's fibers, timers and tables.
 */
#ifndef TORC_REACTOR_CHECK_H
#define TORC_REACTOR_CHECK_H

struct torc_reactor;

/* On the scheduler's stack. What does not agree stops the process. */
void torc_reactor_check_tables(const struct torc_reactor *reactor);

#endif
