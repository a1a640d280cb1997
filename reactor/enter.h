/* SPDX-License-Identifier: MIT */
/*
 * enter.h - the enter of a turn.
 */
#ifndef TORC_REACTOR_ENTER_H
#define TORC_REACTOR_ENTER_H

#include <stdbool.h>

#include "reactor/torc_runtime.h"

/* Whether there is work, so that the reactor must not sleep. */
bool torc_enter_has_work(const struct torc_reactor *reactor);

/*
 * Submit, and wait until something happens or the deadline passes. Returns 0,
 * or an error that ends the loop.
 */
int torc_enter(struct torc_reactor *reactor, torc_deadline deadline);

/* Write the gauges of the statistics page. */
void torc_enter_show_gauges(struct torc_reactor *reactor);

#endif
