/* SPDX-License-Identifier: MIT */
/*
 * fiber.h - fibers: stacks that are switched to. The reactor's own stack is
 * the scheduler; a fiber is resumed from it and parks back to it.
 *
 *   READY    in the ready queue: will be resumed
 *   RUNNING  the current one
 *   PARKED   waits to be woken; by its deadline and by a cancel, too, unless
 *            the wait is one for the kernel to let go of memory
 *   ENDED    its function has returned; its stack goes back
 */
#ifndef TORC_REACTOR_FIBER_H
#define TORC_REACTOR_FIBER_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "reactor/list.h"
#include "reactor/reactor.h"
#include "reactor/torc_runtime.h"
#include "reactor/sanitizer.h"
#include "reactor/slots.h"
#include "reactor/timers.h"
#include "sys/switch.h"

enum torc_fiber_state {
	TORC_FIBER_READY,
	TORC_FIBER_RUNNING,
	TORC_FIBER_PARKED,
	TORC_FIBER_ENDED,
};

/* Why each wait of a fiber ends with -ECANCELED. */
enum {
	TORC_CANCEL_ASKED = 1,	/* for good */
	TORC_CANCEL_PEER = 2,	/* the peer that it watches has gone */
};

/* Lives at the top of the fiber's stack, in the page that it uses anyway. */
struct torc_fiber {
	struct torc_node ready;		/* in the ready queue */
	void *sp;			/* while it does not run */
	struct torc_reactor *reactor;
	uint64_t deadline;		/* of its wait */
	int result;			/* of its wait */
	uint8_t state;			/* enum torc_fiber_state */
	bool interruptible;		/* its wait */
	uint8_t cancelled;		/* TORC_CANCEL_, why its waits end */
	bool daemon;			/* does not hold a drain */
	void *seen;			/* the layer's: where bytes are shown */
	void *home;			/* the layer's: what it is the handler
					 * of, or NULL */
	struct torc_timer timer;	/* may be armed for an older, earlier
					 * deadline: it looks again then */
	torc_fiber_entry *entry;
	void *arg;
	struct torc_fiber_slot *slot;
	struct torc_group *group;	/* that it is in, or NULL */
	struct torc_fiber *kin_next;	/* ... with these */
	struct torc_fiber *kin_prev;
	unsigned groups;		/* that it has begun and not ended */
	void *stack;
	void *sanitizer;		/* the sanitizer's idea of it */
};

/* What outlives a fiber: the result, for the fiber that joins it. */
struct torc_fiber_slot {
	struct torc_slot slot;
	struct torc_fiber *fiber;	/* NULL: ended */
	struct torc_fiber *joiner;
	int result;
	bool joinable;
};

/* As torc_fiber_spawn(), for a reactor's thread outside fibers, too. */
int torc_fiber_start(struct torc_reactor *reactor, uint64_t *id,
    torc_fiber_entry *entry, void *arg);

/* The same, for a daemon. -ESHUTDOWN when a drain has ended the daemons. */
int torc_fiber_start_daemon(struct torc_reactor *reactor, uint64_t *id,
    torc_fiber_entry *entry, void *arg);

/* The same, for what the calling fiber needs: a daemon's is a daemon. */
int torc_fiber_start_helper(struct torc_reactor *reactor, uint64_t *id,
    torc_fiber_entry *entry, void *arg);

/* The same, and nobody joins; `*fiber` is the one that was made. */
int torc_fiber_start_kin(struct torc_reactor *reactor,
    struct torc_fiber **fiber, torc_fiber_entry *entry, void *arg);

/* End the wait of a fiber with -ECANCELED, if it may end. */
void torc_fiber_interrupt(struct torc_fiber *fiber);

/* The same, also if the wait has ended, and it has not run yet. */
void torc_fiber_interrupt_always(struct torc_fiber *fiber);

/* As torc_fiber_wake(), but it always runs later, never inside the call. */
void torc_fiber_wake_later(struct torc_fiber *fiber, int result);

/*
 * From now on each wait of a fiber ends with -ECANCELED, because of `why`
 * (TORC_CANCEL_): the one that it is in, in the coming turn.
 */
void torc_fiber_notify(struct torc_fiber *fiber, uint8_t why);

/* There is no such reason any more. */
void torc_fiber_pacify(struct torc_fiber *fiber, uint8_t why);

/* The fiber with this id, or NULL if it has ended. */
struct torc_fiber *torc_fiber_find(const struct torc_reactor *reactor,
    uint64_t id);

/* Parks. As torc_yield(), for a cancelled fiber, too. */
void torc_fiber_step_aside(struct torc_reactor *reactor);

/* Cancel every fiber, or every daemon. On the scheduler's stack. */
void torc_fiber_cancel_all(struct torc_reactor *reactor);
void torc_fiber_cancel_daemons(struct torc_reactor *reactor);

/* No fiber of an abandoned reactor runs again: tell the sanitizer. */
void torc_fiber_forget_all(struct torc_reactor *reactor);

/* As torc_fault_report(), unless the program has a handler of its own. */
void torc_fault_report_gently(void);

/* Give back what a fiber has that never ran, but for its slot. */
void torc_fiber_drop(struct torc_fiber *fiber);

/* What follows is on the way of every request, and so it is inline. */

/* Arm the timer of a wait. 0, or -ETIMEDOUT if the time has come. */
int torc_fiber_set_deadline(struct torc_fiber *fiber, torc_deadline deadline);

/*
 * The function of reactor->ended has returned: it leaves its result, and gives
 * its stack back. On the scheduler's stack.
 */
void torc_fiber_bury(struct torc_reactor *reactor);

/* As torc_fiber_leave(), for a fiber that has something to take along. */
void torc_fiber_leave_laden(struct torc_reactor *reactor,
    struct torc_fiber *fiber);

static inline void
torc_fiber_switch_away(struct torc_reactor *reactor, struct torc_fiber *fiber)
{
	void *mark;

	torc_debug_assert(reactor->current == fiber);
	torc_debug_assert(fiber->state != TORC_FIBER_RUNNING);
	reactor->current = NULL;
	torc_sanitizer_leave(&mark, reactor->scheduler_sanitizer,
	    fiber->state == TORC_FIBER_ENDED);
	torc_switch(&fiber->sp, reactor->scheduler_sp);
	torc_sanitizer_arrive(mark);
}

/* Switch from the fiber that runs to the scheduler, until it is resumed. */
static inline void
torc_fiber_leave(struct torc_reactor *reactor, struct torc_fiber *fiber)
{
	struct torc_belongings *belongings = &reactor->belongings;

	torc_debug_assert(reactor->scheduler_sp != NULL);
	torc_debug_assert(reactor == torc_current);
	torc_modes_get(&belongings->now);
	if (torc_likely(belongings->now.word == belongings->usual.word))
		torc_fiber_switch_away(reactor, fiber);
	else
		torc_fiber_leave_laden(reactor, fiber);
}

/* Bytes that come for a fiber are shown there. */
static inline void
torc_fiber_show_at(struct torc_fiber *fiber, void *seen)
{
	torc_debug_assert(seen != NULL && fiber->state != TORC_FIBER_ENDED);
	fiber->seen = seen;
}

/* It is the handler of `home`, or of nothing. */
static inline void
torc_fiber_move(struct torc_fiber *fiber, void *home)
{
	torc_debug_assert(home == NULL || fiber->home == NULL);
	fiber->home = home;
}

/* A fiber may wait until then, and its timer need not be armed for that. */
static inline bool
torc_fiber_may_park(const struct torc_reactor *reactor,
    const struct torc_fiber *fiber, torc_deadline deadline)
{
	torc_debug_assert(fiber->state == TORC_FIBER_RUNNING);
	return !fiber->cancelled && (deadline.at == UINT64_MAX ||
	    (deadline.at > reactor->due && torc_timer_armed(&fiber->timer) &&
	    torc_timers_when(&reactor->timers, &fiber->timer) <= deadline.at));
}

/* Parks. The result is in the fiber. Only if torc_fiber_may_park(). */
static inline void
torc_fiber_park_simply(struct torc_reactor *reactor, torc_deadline deadline)
{
	struct torc_fiber *fiber = reactor->current;

	torc_debug_assert(fiber->state == TORC_FIBER_RUNNING);
	torc_debug_assert(deadline.at > reactor->due);
	torc_debug_assert(fiber != NULL && !torc_node_linked(&fiber->ready));
	torc_debug_assert(deadline.at == UINT64_MAX ||
	    torc_timer_armed(&fiber->timer));
	fiber->deadline = deadline.at;
	fiber->interruptible = true;
	fiber->state = TORC_FIBER_PARKED;
	torc_fiber_leave(reactor, fiber);
}

/* It waits for something else than bytes of its home. */
static inline void
torc_fiber_leave_home(struct torc_reactor *reactor)
{
	void *home = reactor->current->home;

	torc_debug_assert(reactor->current->home == NULL ||
	    reactor->layer != NULL);
	if (home != NULL)
		reactor->layer->away(home);
}

/*
 * Parks. Wait for torc_fiber_wake(): its result, or -ETIMEDOUT, -ECANCELED.
 * A deadline that has passed returns at once.
 */
static inline int
torc_fiber_park(struct torc_reactor *reactor, torc_deadline deadline)
{
	struct torc_fiber *fiber = reactor->current;

	torc_debug_assert(fiber != NULL && fiber->state == TORC_FIBER_RUNNING);
	if (torc_unlikely(fiber->cancelled))
		return -ECANCELED;
	if (deadline.at != UINT64_MAX) {
		int rc = torc_fiber_set_deadline(fiber, deadline);

		if (rc < 0)
			return rc;
	}
	torc_fiber_leave_home(reactor);
	torc_fiber_park_simply(reactor, deadline);
	return fiber->result;
}

/*
 * Parks. Wait for torc_fiber_wake(): its result, or -ETIMEDOUT. A cancel does
 * not end it.
 */
static inline int
torc_fiber_park_firmly_until(struct torc_reactor *reactor,
    torc_deadline deadline)
{
	struct torc_fiber *fiber = reactor->current;

	torc_debug_assert(fiber != NULL && fiber->state == TORC_FIBER_RUNNING);
	if (deadline.at != UINT64_MAX) {
		int rc = torc_fiber_set_deadline(fiber, deadline);

		if (rc < 0)
			return rc;
	}
	torc_fiber_leave_home(reactor);
	fiber->deadline = deadline.at;
	fiber->interruptible = false;
	fiber->state = TORC_FIBER_PARKED;
	torc_fiber_leave(reactor, fiber);
	return fiber->result;
}

/* Parks. Wait for torc_fiber_wake(), whatever else happens. */
static inline int
torc_fiber_park_firmly(struct torc_reactor *reactor)
{
	return torc_fiber_park_firmly_until(reactor, TORC_NEVER);
}

/*
 * Run a fiber until it parks or ends. On the scheduler's stack, as the last
 * act of a completion: the dispatcher sees to one that has ended.
 */
static inline void
torc_fiber_switch_to(struct torc_reactor *reactor, struct torc_fiber *fiber)
{
	void *mark;

	torc_debug_assert(reactor == torc_current);
	torc_debug_assert(reactor->current == NULL && reactor->ended == NULL);
	torc_debug_assert(fiber->reactor == reactor && fiber->sp != NULL);
	torc_debug_assert(fiber->state == TORC_FIBER_READY ||
	    fiber->state == TORC_FIBER_PARKED);
	torc_debug_assert(!torc_node_linked(&fiber->ready));
	fiber->state = TORC_FIBER_RUNNING;
	reactor->current = fiber;
	reactor->counters->resumes++;
	torc_sanitizer_leave(&mark, fiber->sanitizer, false);
	torc_switch(&reactor->scheduler_sp, fiber->sp);
	torc_sanitizer_arrive(mark);
}

/* The same, when there is more to do after it. */
static inline void
torc_fiber_resume(struct torc_fiber *fiber)
{
	struct torc_reactor *reactor = fiber->reactor;

	torc_debug_assert(reactor->ended == NULL);
	torc_assert(reactor->current == NULL);
	torc_fiber_switch_to(reactor, fiber);
	if (torc_unlikely(reactor->ended != NULL))
		torc_fiber_bury(reactor);
}

/* The same, with the result of its wait. */
static inline void
torc_fiber_hand(struct torc_reactor *reactor, struct torc_fiber *fiber,
    int result)
{
	torc_debug_assert(reactor == torc_current && fiber->seen != NULL);
	torc_debug_assert(fiber->state == TORC_FIBER_PARKED);
	fiber->result = result;
	torc_fiber_switch_to(reactor, fiber);
}

/*
 * End the wait of a fiber: at once if nobody runs, else in this turn. Nothing
 * happens if it is not parked any more (then its wait has ended already).
 */
static inline void
torc_fiber_wake(struct torc_fiber *fiber, int result)
{
	torc_debug_assert(fiber->state != TORC_FIBER_ENDED);
	torc_debug_assert(fiber->reactor == torc_current);
	if (torc_unlikely(fiber->state != TORC_FIBER_PARKED))
		return;
	fiber->state = TORC_FIBER_READY;
	fiber->result = result;
	if (torc_likely(fiber->reactor->current == NULL))
		torc_fiber_resume(fiber);
	else
		torc_list_append(&fiber->reactor->ready, &fiber->ready);
}

#endif
