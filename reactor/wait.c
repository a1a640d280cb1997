/* SPDX-License-Identifier: MIT */
/*
 * wait.c - fibers that wait for something of the program's own.
 */
#include <errno.h>

#include "reactor/choose.h"
#include "reactor/fiber.h"
#include "reactor/wait.h"

/* Not inline: gcc 12 does not see that whoever wakes a waiter takes it out. */
__attribute__((noinline)) void
torc_waiter_enter(struct torc_waiters *queue, struct torc_waiter *waiter)
{
	torc_debug_assert((queue->first == NULL) == (queue->last == NULL));
	torc_debug_assert(waiter->fiber != NULL && !waiter->woken);
	torc_assert(waiter->queue == NULL);
	waiter->queue = queue;
	waiter->next = NULL;
	waiter->prev = queue->last;
	if (queue->last != NULL)
		queue->last->next = waiter;
	else
		queue->first = waiter;
	queue->last = waiter;
}

void
torc_waiter_leave(struct torc_waiter *waiter)
{
	struct torc_waiters *queue = waiter->queue;

	torc_assert(queue != NULL);
	torc_debug_assert(queue->first != NULL && queue->last != NULL);
	waiter->queue = NULL;
	if (waiter->prev != NULL)
		waiter->prev->next = waiter->next;
	else
		queue->first = waiter->next;
	if (waiter->next != NULL)
		waiter->next->prev = waiter->prev;
	else
		queue->last = waiter->prev;
}

void
torc_waiter_settle(struct torc_waiter *waiter, int result)
{
	torc_debug_assert(waiter->fiber->state != TORC_FIBER_ENDED);
	torc_assert(!waiter->woken);
	torc_waiter_leave(waiter);
	waiter->woken = true;
	waiter->result = result;
	/* Nobody else may hand it anything from now on. */
	if (waiter->chooser != NULL)
		torc_chooser_settle(waiter->chooser, waiter);
}

int
torc_waiter_park(struct torc_waiters *queue, void *item, torc_deadline deadline)
{
	struct torc_reactor *reactor = torc_reactor_of_fiber();
	struct torc_waiter waiter = {
		.fiber = reactor->current,
		.item = item,
	};
	int rc;

	torc_debug_assert(reactor->current->state == TORC_FIBER_RUNNING);
	torc_waiter_enter(queue, &waiter);
	rc = torc_fiber_park(reactor, deadline);
	/* Also if its time was up, or it was cancelled, after that. */
	if (waiter.woken)
		return waiter.result;
	torc_waiter_leave(&waiter);
	return rc;
}

void
torc_waiter_park_firmly(struct torc_waiters *queue)
{
	struct torc_reactor *reactor = torc_reactor_of_fiber();
	struct torc_waiter waiter = { .fiber = reactor->current };

	torc_waiter_enter(queue, &waiter);
	while (!waiter.woken)
		torc_fiber_park_firmly(reactor);
}

int
torc_wait(struct torc_waiters *waiters, torc_deadline deadline)
{
	torc_require(waiters != NULL,
	    "torc_wait needs waiters, but was given NULL");
	return torc_waiter_park(waiters, NULL, deadline);
}

int
torc_reactor_await_drain(torc_deadline deadline)
{
	struct torc_reactor *reactor = torc_reactor_of_fiber();

	return torc_reactor_draining(reactor) ? 0 :
	    torc_wait(&reactor->drain_waiters, deadline);
}

bool
torc_wake(struct torc_waiters *waiters, int result)
{
	struct torc_waiter *waiter;

	torc_require(waiters != NULL,
	    "torc_wake needs waiters, but was given NULL");
	waiter = waiters->first;
	if (waiter == NULL)
		return false;
	torc_reactor_check(waiter->fiber->reactor);
	torc_waiter_settle(waiter, result);
	/* Nothing happens if its time was up: it sees that it was woken. */
	torc_fiber_wake(waiter->fiber, 0);
	return true;
}

unsigned
torc_wake_all(struct torc_waiters *waiters, int result)
{
	struct torc_waiters now;
	unsigned woken = 0;

	torc_require(waiters != NULL,
	    "torc_wake_all needs waiters, but was given NULL");
	/* Not those that come while the first ones run: those that are there
	 * move to a queue that nobody else knows. */
	now = *waiters;
	*waiters = (struct torc_waiters) { NULL, NULL };
	for (struct torc_waiter *waiter = now.first; waiter != NULL;
	    waiter = waiter->next)
		waiter->queue = &now;
	while (torc_wake(&now, result))
		woken++;
	return woken;
}

int
torc_sleep(torc_deadline deadline)
{
	int rc = torc_fiber_park(torc_reactor_of_fiber(), deadline);

	return rc == -ETIMEDOUT ? 0 : rc;
}

int
torc_yield(void)
{
	struct torc_reactor *reactor = torc_reactor_of_fiber();
	struct torc_fiber *fiber = reactor->current;

	if (fiber->cancelled)
		return -ECANCELED;
	torc_fiber_leave_home(reactor);
	torc_fiber_step_aside(reactor);
	return fiber->cancelled ? -ECANCELED : 0;
}
