/* SPDX-License-Identifier: MIT */
/*
 * wait.h - fibers in queues. A fiber that waits has a waiter in a queue, in
 * memory that stays where it is until the fiber goes on. One that waits for one
 * of several things has a waiter for each: the first that is woken takes the
 * others out of their queues in the same moment.
 */
#ifndef TORC_REACTOR_WAIT_H
#define TORC_REACTOR_WAIT_H

#include <stdbool.h>

#include "reactor/torc_runtime.h"

struct torc_chooser;
struct torc_fiber;

struct torc_waiter {
	struct torc_waiter *next;
	struct torc_waiter *prev;
	struct torc_waiters *queue;	/* that it is in, or NULL */
	struct torc_fiber *fiber;
	struct torc_chooser *chooser;	/* or NULL: it waits for nothing else */
	void *item;		/* what it sends, or where it receives */
	int result;
	bool woken;
};

void torc_waiter_enter(struct torc_waiters *queue, struct torc_waiter *waiter);
void torc_waiter_leave(struct torc_waiter *waiter);

/* Take it out of its queue, with a result. Its fiber must then be woken. */
void torc_waiter_settle(struct torc_waiter *waiter, int result);

/*
 * Parks. Wait in a queue with an item. Returns the result of the fiber that
 * woke it, or of the wait. Firmly: until woken, whatever else happens.
 */
int torc_waiter_park(struct torc_waiters *queue, void *item,
    torc_deadline deadline);
void torc_waiter_park_firmly(struct torc_waiters *queue);

#endif
