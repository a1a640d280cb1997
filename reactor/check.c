/* SPDX-License-Identifier: MIT */
/*
 * check.c - what must agree in a reactor's fibers, timers and tables.
 */
#include "reactor/check.h"
#include "reactor/fiber.h"

static void
check_fiber(const struct torc_reactor *reactor,
    const struct torc_fiber_slot *slot)
{
	const struct torc_fiber *fiber = slot->fiber;

	torc_assert(fiber->slot == slot && fiber->reactor == reactor);
	torc_assert(fiber->state == TORC_FIBER_READY ||
	    fiber->state == TORC_FIBER_PARKED);
	torc_assert(torc_node_linked(&fiber->ready) ==
	    (fiber->state == TORC_FIBER_READY));
	torc_assert(slot->joiner == NULL || slot->joinable);
	torc_assert(slot->joiner != fiber);
	/* A wait that is to end is known to the timers. */
	torc_assert(fiber->state != TORC_FIBER_PARKED ||
	    fiber->deadline == UINT64_MAX ||
	    (torc_timer_armed(&fiber->timer) &&
	    torc_timers_when(&reactor->timers, &fiber->timer) <=
	    fiber->deadline));
}

static void
check_fibers(const struct torc_reactor *reactor)
{
	const struct torc_fiber_slot *slot = NULL;
	uint32_t alive = 0, daemons = 0;

	torc_assert(reactor->current == NULL && reactor->ended == NULL);
	while ((slot = torc_slots_each(&reactor->fibers, slot)) != NULL) {
		if (slot->fiber == NULL)
			continue;
		check_fiber(reactor, slot);
		alive++;
		daemons += slot->fiber->daemon;
	}
	torc_assert(reactor->stacks.in_use == alive);
	torc_assert(reactor->daemons == daemons);
}

void
torc_reactor_check_tables(const struct torc_reactor *reactor)
{
	check_fibers(reactor);
	torc_timers_check(&reactor->timers);
	torc_slots_check(&reactor->fibers);
	torc_slots_check(&reactor->ops);
}
