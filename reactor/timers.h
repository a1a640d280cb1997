/* SPDX-License-Identifier: MIT */
/*
 * timers.h - timers in user space: a heap with four children a node. The
 * first one is the timeout of the reactor's wait; the kernel sees no other.
 */
#ifndef TORC_REACTOR_TIMERS_H
#define TORC_REACTOR_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "sys/trap.h"

struct torc_timer {
	/* Called by torc_timers_run(), no longer armed; may arm it again. */
	void (*fire)(struct torc_timer *timer);
	uint32_t place;		/* in the heap, from 1; 0: not armed */
};

struct torc_timers_entry {
	uint64_t when;
	struct torc_timer *timer;
};

struct torc_timers {
	struct torc_timers_entry *heap;
	uint32_t count;
	uint32_t capacity;
	uint64_t after;		/* in a pass: what is armed is later */
};

/* 0 or -ENOMEM. `capacity` timers can be armed at once. */
int torc_timers_init(struct torc_timers *timers, uint32_t capacity);
void torc_timers_fini(struct torc_timers *timers);

/* Arm, or move, a timer to `when` (ns). */
TORC_BESIDE void torc_timers_arm(struct torc_timers *timers,
    struct torc_timer *timer, uint64_t when);

/* Disarm; nothing if it is not armed. */
TORC_BESIDE void torc_timers_disarm(struct torc_timers *timers,
    struct torc_timer *timer);

/* Fire all that are due at `now`; those armed meanwhile wait their turn. */
void torc_timers_run(struct torc_timers *timers, uint64_t now);

/* Each armed timer is where it says, and none before its parent. */
void torc_timers_check(const struct torc_timers *timers);

static inline bool
torc_timer_armed(const struct torc_timer *timer)
{
	return timer->place != 0;
}

/* When an armed timer is due. */
static inline uint64_t
torc_timers_when(const struct torc_timers *timers,
    const struct torc_timer *timer)
{
	torc_debug_assert(timer->place > 0 && timer->place <= timers->count);
	torc_debug_assert(timers->heap[timer->place - 1].timer == timer);
	return timers->heap[timer->place - 1].when;
}

/* When the first is due, or UINT64_MAX. */
static inline uint64_t
torc_timers_next(const struct torc_timers *timers)
{
	return timers->count == 0 ? UINT64_MAX : timers->heap[0].when;
}

#endif
