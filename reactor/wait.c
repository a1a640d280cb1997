/*
 * wait.c - fibers that wait for something of the program's own.
 */
#include "reactor/fiber.h"

/* A fiber in a queue, on the fiber's stack. */
struct torc_waiter {
	struct torc_waiter *next;
	struct torc_waiter *prev;
	struct torc_fiber *fiber;
	int result;
	bool woken;		/* and in no queue any more */
};

static void
append(struct torc_waiters *waiters, struct torc_waiter *waiter)
{
	waiter->prev = waiters->last;
	if (waiters->last != NULL)
		waiters->last->next = waiter;
	else
		waiters->first = waiter;
	waiters->last = waiter;
}

static void
take_out(struct torc_waiters *waiters, struct torc_waiter *waiter)
{
	if (waiter->prev != NULL)
		waiter->prev->next = waiter->next;
	else
		waiters->first = waiter->next;
	if (waiter->next != NULL)
		waiter->next->prev = waiter->prev;
	else
		waiters->last = waiter->prev;
}

int
torc_wait(struct torc_waiters *waiters, torc_deadline deadline)
{
	struct torc_reactor *reactor = torc_reactor_of_fiber();
	struct torc_waiter waiter = { .fiber = reactor->current };
	int rc;

	torc_require(waiters != NULL, "torc_wait needs waiters, and not NULL");
	append(waiters, &waiter);
	rc = torc_fiber_park(reactor, deadline);
	if (waiter.woken)
		return waiter.result;
	take_out(waiters, &waiter);
	return rc;
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

	torc_require(waiters != NULL, "torc_wake needs waiters, and not NULL");
	waiter = waiters->first;
	if (waiter == NULL)
		return false;
	torc_reactor_check(waiter->fiber->reactor);
	take_out(waiters, waiter);
	waiter->woken = true;
	waiter->result = result;
	/* Nothing happens if its time was up: it sees that it was woken. */
	torc_fiber_wake(waiter->fiber, 0);
	return true;
}

unsigned
torc_wake_all(struct torc_waiters *waiters, int result)
{
	unsigned count = 0, woken = 0;

	torc_require(waiters != NULL,
	    "torc_wake_all needs waiters, and not NULL");
	/* Not those that come while the first ones run. */
	for (struct torc_waiter *waiter = waiters->first; waiter != NULL;
	    waiter = waiter->next)
		count++;
	while (woken < count && torc_wake(waiters, result))
		woken++;
	return woken;
}
