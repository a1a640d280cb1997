/* SPDX-License-Identifier: MIT */
/*
 * clock.h - the time of a turn.
 */
#ifndef TORC_REACTOR_CLOCK_H
#define TORC_REACTOR_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct torc_reactor;

/* Look at the clock; `entered`: an enter came since the last look. */
void torc_clock_look(struct torc_reactor *reactor, bool entered);

/* The next deadline of a timer, or of the drain; or UINT64_MAX. */
uint64_t torc_clock_next(const struct torc_reactor *reactor);

#endif
