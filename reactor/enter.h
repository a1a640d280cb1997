/* SPDX-License-Identifier: MIT */
/*
 * enter.h - the enter of a turn.
 */
#ifndef TORC_REACTOR_ENTER_H
#define TORC_REACTOR_ENTER_H

#include <stdbool.h>

#include "reactor/torc_runtime.h"

/* Something is to be done: it must not sleep. */
bool torc_enter_has_work(const struct torc_reactor *reactor);

/*
 * Submit, and wait until something happens or the deadline has come. 0, or what
 * the loop cannot go on after.
 */
int torc_enter(struct torc_reactor *reactor, torc_deadline deadline);

/* How things are, for the page. */
void torc_enter_show_gauges(struct torc_reactor *reactor);

#endif
