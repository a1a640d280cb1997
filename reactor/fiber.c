/* SPDX-License-Identifier: MIT */
/*
 * fiber.c - making, parking, waking and ending fibers.
 */
#include "reactor/fiber.h"

#include <errno.h>

#include "reactor/group.h"
#include "sys/switch.h"
#include "sys/sys.h"

#define ID_KIND (TORC_KINDS - 1)	/* so that no id is 0 */

/*
 * Fibers do not start at the same place in a page: the lines that all of them
 * use would fall into the same few sets of the cache.
 */
#define COLOURS 16u
#define COLOUR 64u

static void
run_entry(void *arg)
{
	struct torc_fiber *fiber = arg;

	torc_debug_assert(fiber->entry != NULL && fiber->slot != NULL);
	torc_debug_assert(fiber->state == TORC_FIBER_RUNNING);
	torc_debug_assert(fiber->reactor->current == fiber);
	torc_sanitizer_arrive(NULL);
	fiber->result = fiber->entry(fiber->arg);
	torc_require(fiber->groups == 0,
	    "a fiber returns before it has ended its group");
	if (torc_unlikely(fiber->group != NULL))
		torc_group_leave(fiber);
	fiber->state = TORC_FIBER_ENDED;
	fiber->reactor->ended = fiber;
	torc_fiber_leave(fiber->reactor, fiber);
	torc_trap(__FILE__, __LINE__, "a fiber was resumed after its end");
}

void
torc_fiber_leave_laden(struct torc_reactor *reactor, struct torc_fiber *fiber)
{
	struct torc_belongings *belongings = &reactor->belongings;
	struct torc_exceptions *exceptions = belongings->exceptions;
	const union torc_modes modes = belongings->now;
	struct torc_exceptions thrown = { NULL, 0 };
	const bool altered = !torc_modes_equal(&modes, &belongings->loop);

	torc_debug_assert(reactor->scheduler_sp != NULL);
	torc_debug_assert(reactor->current == fiber);
	torc_debug_assert(fiber->state != TORC_FIBER_RUNNING);
	if (altered)
		torc_modes_set(&belongings->loop);
	else if (exceptions == NULL)
		belongings->usual = modes;	/* with new flags of errors */
	if (exceptions != NULL) {
		thrown = *exceptions;
		*exceptions = (struct torc_exceptions) { NULL, 0 };
	}
	torc_fiber_switch_away(reactor, fiber);
	if (exceptions != NULL)
		*exceptions = thrown;
	if (altered)
		torc_modes_set(&modes);
}

/* The fiber, or what is left of it, that `id` names, or NULL. */
static struct torc_fiber_slot *
find(const struct torc_reactor *reactor, uint64_t id)
{
	return torc_tag_kind(id) == ID_KIND ?
	    torc_slots_find(&reactor->fibers, id) : NULL;
}

struct torc_fiber *
torc_fiber_find(const struct torc_reactor *reactor, uint64_t id)
{
	const struct torc_fiber_slot *slot = find(reactor, id);

	torc_debug_assert(reactor->fibers.count <= reactor->fibers.capacity);
	return slot != NULL ? slot->fiber : NULL;
}

/* The deadline of a wait, or of one before it, has come. */
static void
look_at_deadline(struct torc_timer *timer)
{
	struct torc_fiber *fiber =
	    torc_container(timer, struct torc_fiber, timer);
	struct torc_reactor *reactor = fiber->reactor;

	torc_debug_assert(!torc_timer_armed(timer));
	torc_debug_assert(reactor->current == NULL);
	if (fiber->state != TORC_FIBER_PARKED ||
	    fiber->deadline == UINT64_MAX)
		return;
	if (fiber->deadline > reactor->due) {
		torc_timers_arm(&reactor->timers, timer, fiber->deadline);
		return;
	}
	reactor->counters->timeouts++;
	torc_fiber_wake(fiber, -ETIMEDOUT);
}

/* Lay a fiber out on top of a stack. */
static struct torc_fiber *
lay_out(struct torc_reactor *reactor, void *stack)
{
	uintptr_t top = (uintptr_t)stack + reactor->stacks.size;
	uintptr_t colour = (uintptr_t)stack / reactor->stacks.stride;
	struct torc_fiber *fiber;

	torc_debug_assert(reactor->stacks.size > sizeof(struct torc_fiber));
	torc_debug_assert(reactor->stacks.in_use > 0);
	top -= colour % COLOURS * COLOUR + sizeof(struct torc_fiber);
	top &= ~(uintptr_t)(COLOUR - 1);
	fiber = (struct torc_fiber *)top;
	*fiber = (struct torc_fiber) {
		.reactor = reactor,
		.deadline = UINT64_MAX,
		.timer.fire = look_at_deadline,
		.stack = stack,
	};
	fiber->sp = torc_switch_prepare(fiber, run_entry, fiber);
	fiber->sanitizer = torc_sanitizer_create(stack, fiber);
	return fiber;
}

/* `*made` is the fiber. */
static int
start(struct torc_reactor *reactor, uint64_t *id, torc_fiber_entry *entry,
    void *arg, bool daemon, struct torc_fiber **made)
{
	struct torc_fiber_slot *slot;
	struct torc_fiber *fiber;
	void *stack;

	torc_debug_assert(torc_current == reactor ||
	    reactor->phase == TORC_PHASE_CREATED);
	torc_debug_assert(reactor->phase != TORC_PHASE_ENDED);
	torc_debug_assert(entry != NULL);
	if (reactor->phase >= TORC_PHASE_STOPPING ||
	    (daemon && reactor->dismissed))
		return -ESHUTDOWN;
	slot = torc_slots_take(&reactor->fibers);
	if (slot == NULL)
		return -ENOMEM;
	stack = torc_stacks_take(&reactor->stacks);
	if (stack == NULL) {
		torc_slots_give(&reactor->fibers, slot);
		return -ENOMEM;
	}
	fiber = lay_out(reactor, stack);
	fiber->entry = entry;
	fiber->arg = arg;
	fiber->slot = slot;
	fiber->daemon = daemon;
	reactor->daemons += daemon;
	slot->fiber = fiber;
	slot->joiner = NULL;
	slot->joinable = id != NULL;
	if (id != NULL)
		*id = torc_slots_tag(&reactor->fibers, slot, ID_KIND);
	fiber->state = TORC_FIBER_READY;
	torc_list_append(&reactor->ready, &fiber->ready);
	reactor->counters->fibers++;
	*made = fiber;
	return 0;
}

int
torc_fiber_start(struct torc_reactor *reactor, uint64_t *id,
    torc_fiber_entry *entry, void *arg)
{
	struct torc_fiber *fiber;

	return start(reactor, id, entry, arg, false, &fiber);
}

int
torc_fiber_start_daemon(struct torc_reactor *reactor, uint64_t *id,
    torc_fiber_entry *entry, void *arg)
{
	struct torc_fiber *fiber;

	return start(reactor, id, entry, arg, true, &fiber);
}

static bool
is_on_daemon(const struct torc_reactor *reactor)
{
	return reactor->current != NULL && reactor->current->daemon;
}

int
torc_fiber_start_helper(struct torc_reactor *reactor, uint64_t *id,
    torc_fiber_entry *entry, void *arg)
{
	struct torc_fiber *fiber;

	return start(reactor, id, entry, arg, is_on_daemon(reactor), &fiber);
}

int
torc_fiber_start_kin(struct torc_reactor *reactor, struct torc_fiber **fiber,
    torc_fiber_entry *entry, void *arg)
{
	return start(reactor, NULL, entry, arg, is_on_daemon(reactor), fiber);
}

void
torc_fiber_forget_all(struct torc_reactor *reactor)
{
	struct torc_fiber_slot *slot = NULL;

	torc_debug_assert(reactor->current == NULL);
	while ((slot = torc_slots_each(&reactor->fibers, slot)) != NULL) {
		if (slot->fiber != NULL)
			torc_sanitizer_destroy(slot->fiber->sanitizer,
			    slot->fiber->stack, slot->fiber);
	}
}

void
torc_fiber_drop(struct torc_fiber *fiber)
{
	torc_debug_assert(fiber->reactor->current != fiber);
	torc_debug_assert(fiber->stack != NULL);
	torc_sanitizer_destroy(fiber->sanitizer, fiber->stack, fiber);
	torc_stacks_give(&fiber->reactor->stacks, fiber->stack);
}

/* The fiber that waits for the end of this one, or NULL. */
static struct torc_fiber *
bury_one(struct torc_reactor *reactor)
{
	struct torc_fiber *fiber = reactor->ended;
	struct torc_fiber_slot *slot = fiber->slot;

	torc_debug_assert(fiber->reactor == reactor);
	torc_debug_assert(reactor->daemons >= fiber->daemon);
	torc_debug_assert(fiber->state == TORC_FIBER_ENDED);
	torc_debug_assert(reactor->current == NULL);
	torc_debug_assert(fiber->group == NULL && fiber->groups == 0);
	torc_assert(slot->fiber == fiber && !torc_node_linked(&fiber->ready));
	reactor->ended = NULL;
	torc_timers_disarm(&reactor->timers, &fiber->timer);
	reactor->daemons -= fiber->daemon;
	slot->result = fiber->result;
	slot->fiber = NULL;
	torc_fiber_drop(fiber);
	if (slot->joinable)
		return slot->joiner;
	torc_slots_give(&reactor->fibers, slot);
	return NULL;
}

void
torc_fiber_bury(struct torc_reactor *reactor)
{
	torc_debug_assert(reactor->ended != NULL);
	/* What waited for it may end at once, and so on for thousands: a loop,
	 * since a call inside the other would need a stack as deep. */
	do {
		struct torc_fiber *joiner = bury_one(reactor);

		torc_assert(reactor->current == NULL);
		if (joiner == NULL || joiner->state != TORC_FIBER_PARKED)
			continue;
		joiner->result = 0;
		torc_fiber_switch_to(reactor, joiner);
	} while (reactor->ended != NULL);
}

int
torc_fiber_set_deadline(struct torc_fiber *fiber, torc_deadline deadline)
{
	struct torc_reactor *reactor = fiber->reactor;

	torc_debug_assert(fiber->state == TORC_FIBER_RUNNING);
	torc_debug_assert(deadline.at < UINT64_MAX);
	torc_debug_assert(fiber == reactor->current);
	if (deadline.at <= reactor->due)
		return -ETIMEDOUT;
	if (!torc_timer_armed(&fiber->timer) ||
	    torc_timers_when(&reactor->timers, &fiber->timer) > deadline.at)
		torc_timers_arm(&reactor->timers, &fiber->timer, deadline.at);
	return 0;
}

void
torc_fiber_interrupt(struct torc_fiber *fiber)
{
	torc_debug_assert(fiber->reactor == torc_current);
	if (fiber->state == TORC_FIBER_PARKED && fiber->interruptible)
		torc_fiber_wake(fiber, -ECANCELED);
}

void
torc_fiber_interrupt_always(struct torc_fiber *fiber)
{
	torc_debug_assert(fiber->reactor == torc_current);
	torc_debug_assert(fiber->state != TORC_FIBER_ENDED);
	torc_fiber_interrupt(fiber);
	fiber->result = -ECANCELED;
}

void
torc_fiber_wake_later(struct torc_fiber *fiber, int result)
{
	torc_debug_assert(fiber->reactor == torc_current);
	if (fiber->state != TORC_FIBER_PARKED)
		return;
	fiber->state = TORC_FIBER_READY;
	fiber->result = result;
	torc_list_append(&fiber->reactor->ready, &fiber->ready);
}

void
torc_fiber_notify(struct torc_fiber *fiber, uint8_t why)
{
	torc_debug_assert(fiber->reactor == torc_current);
	torc_debug_assert(why == TORC_CANCEL_PEER || why == TORC_CANCEL_ASKED);
	torc_debug_assert(fiber->state != TORC_FIBER_ENDED);
	fiber->cancelled |= why;
	if (fiber->interruptible)
		torc_fiber_wake_later(fiber, -ECANCELED);
}

void
torc_fiber_pacify(struct torc_fiber *fiber, uint8_t why)
{
	torc_debug_assert(why == TORC_CANCEL_PEER);
	fiber->cancelled &= (uint8_t)~why;
}

static void
cancel(struct torc_fiber *fiber)
{
	torc_debug_assert(fiber->state != TORC_FIBER_ENDED);
	fiber->cancelled |= TORC_CANCEL_ASKED;
	torc_fiber_interrupt(fiber);
}

void
torc_fiber_cancel_all(struct torc_reactor *reactor)
{
	struct torc_fiber_slot *slot = NULL;

	torc_debug_assert(reactor->current == NULL &&
	    reactor->phase == TORC_PHASE_STOPPING);
	while ((slot = torc_slots_each(&reactor->fibers, slot)) != NULL) {
		if (slot->fiber != NULL)
			cancel(slot->fiber);
	}
}

void
torc_fiber_cancel_daemons(struct torc_reactor *reactor)
{
	struct torc_fiber_slot *slot = NULL;

	torc_debug_assert(reactor->current == NULL && reactor->dismissed);
	while ((slot = torc_slots_each(&reactor->fibers, slot)) != NULL) {
		if (slot->fiber != NULL && slot->fiber->daemon)
			cancel(slot->fiber);
	}
}

/* The slot of a fiber that the calling one may wait for, or NULL. */
static struct torc_fiber_slot *
find_to_join(const struct torc_reactor *reactor, uint64_t id)
{
	struct torc_fiber_slot *slot = find(reactor, id);

	if (slot == NULL || !slot->joinable)
		return NULL;
	torc_require(slot->joiner == NULL, "a fiber is joined twice");
	torc_require(slot->fiber != reactor->current,
	    "a fiber joins itself");
	return slot;
}

/* It has ended, and was waited for. */
static void
take_result(struct torc_reactor *reactor, struct torc_fiber_slot *slot,
    int *result)
{
	torc_debug_assert(slot->slot.next == TORC_SLOT_TAKEN);
	torc_assert(slot->fiber == NULL);
	torc_debug_assert(slot->joinable && slot->joiner == NULL);
	if (result != NULL)
		*result = slot->result;
	torc_slots_give(&reactor->fibers, slot);
}

int
torc_fiber_join(uint64_t id, int *result, torc_deadline deadline)
{
	struct torc_reactor *reactor = torc_reactor_of_fiber();
	struct torc_fiber_slot *slot = find_to_join(reactor, id);
	int rc = 0;

	if (slot == NULL)
		return -ESRCH;
	if (slot->fiber != NULL) {
		slot->joiner = reactor->current;
		rc = torc_fiber_park(reactor, deadline);
		slot->joiner = NULL;
	}
	if (slot->fiber != NULL)
		return rc;
	take_result(reactor, slot, result);
	return 0;
}

int
torc_fiber_reap(uint64_t id, int *result, torc_deadline deadline)
{
	struct torc_reactor *reactor = torc_reactor_of_fiber();
	struct torc_fiber_slot *slot = find_to_join(reactor, id);
	int rc = 0;

	if (slot == NULL)
		return -ESRCH;
	if (slot->fiber != NULL)
		cancel(slot->fiber);
	while (slot->fiber != NULL && rc == 0) {
		slot->joiner = reactor->current;
		rc = torc_fiber_park_firmly_until(reactor, deadline);
		slot->joiner = NULL;
	}
	if (slot->fiber != NULL)
		return rc;
	take_result(reactor, slot, result);
	return 0;
}

int
torc_fiber_cancel(uint64_t id)
{
	const struct torc_reactor *reactor = torc_reactor_own(
	    "torc_fiber_cancel was called outside a reactor's thread");
	struct torc_fiber_slot *slot = find(reactor, id);

	if (slot == NULL || slot->fiber == NULL)
		return -ESRCH;
	cancel(slot->fiber);
	return 0;
}

uint64_t
torc_fiber_self(void)
{
	struct torc_reactor *reactor = torc_current;

	if (reactor == NULL || reactor->current == NULL)
		return 0;
	return torc_slots_tag(&reactor->fibers, reactor->current->slot,
	    ID_KIND);
}

void
torc_fiber_step_aside(struct torc_reactor *reactor)
{
	struct torc_fiber *fiber = reactor->current;

	torc_debug_assert(fiber->reactor == reactor);
	torc_debug_assert(fiber->state == TORC_FIBER_RUNNING);
	torc_debug_assert(!torc_node_linked(&fiber->ready));
	fiber->result = 0;
	fiber->state = TORC_FIBER_READY;
	torc_list_append(&reactor->yielded, &fiber->ready);
	torc_fiber_leave(reactor, fiber);
}
