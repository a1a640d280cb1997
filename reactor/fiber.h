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

#include <stdbool.h>
#include <stdint.h>

#include "reactor/list.h"
#include "reactor/runtime.h"
#include "reactor/slots.h"
#include "reactor/timers.h"

enum torc_fiber_state {
	TORC_FIBER_READY,
	TORC_FIBER_RUNNING,
	TORC_FIBER_PARKED,
	TORC_FIBER_ENDED,
};

/* Lives at the top of the fiber's stack, in the page that it uses anyway. */
struct torc_fiber {
	struct torc_node ready;		/* in the ready queue */
	void *sp;			/* while it does not run */
	struct torc_reactor *reactor;
	uint64_t deadline;		/* of its wait */
	int result;			/* of its wait */
	uint8_t state;			/* enum torc_fiber_state */
	bool cancelled;
	bool interruptible;		/* its wait */
	struct torc_timer timer;	/* may be armed for an older, earlier
					 * deadline: it looks again then */
	torc_fiber_entry *entry;
	void *arg;
	struct torc_fiber_slot *slot;
	void *stack;
	void *sanitizer;		/* the sanitizer's idea of it */
};

/* What outlives a fiber: the result, for the one who joins. */
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

/*
 * Parks. Wait for torc_fiber_wake(): its result, or -ETIMEDOUT, -ECANCELED.
 * A deadline that has passed returns at once.
 */
int torc_fiber_park(struct torc_reactor *reactor, uint64_t deadline);

/* Parks. Wait for torc_fiber_wake(), whatever else happens. */
int torc_fiber_park_firmly(struct torc_reactor *reactor);

/*
 * End the wait of a fiber: at once if nobody runs, else in this turn. Nothing
 * happens if it is not parked any more (then its wait has ended already).
 */
void torc_fiber_wake(struct torc_fiber *fiber, int result);

/* Run a fiber until it parks or ends. On the scheduler's stack. */
void torc_fiber_resume(struct torc_fiber *fiber);

/* Cancel every fiber. On the scheduler's stack. */
void torc_fiber_cancel_all(struct torc_reactor *reactor);

#endif
