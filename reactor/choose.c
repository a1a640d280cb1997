/* SPDX-License-Identifier: MIT */
/*
 * choose.c - waiting for one of several things.
 *
 * First each is looked at, in order. If none happens at once, the fiber begins
 * to wait for all of them and parks. What wakes it is one of these: a waiter
 * of it was woken, which takes its other waiters out of their queues in the
 * same moment, so that at most one thing is handed over; an operation or the
 * layer above has told it to look again; its time is up. Then it waits for
 * nothing any more, and only then lets the kernel go.
 */
#include "reactor/choose.h"

#include <errno.h>

#include "reactor/fiber.h"
#include "reactor/op.h"

_Static_assert(sizeof(struct torc_choice) == 5 * 8 + 192,
    "programs have choices on their stacks");
TORC_FITS_CHOICE(struct torc_waiter);

/* ---- Waiters ---- */

bool
torc_choice_enter(struct torc_choice *choice, struct torc_chooser *chooser,
    struct torc_waiters *queue)
{
	struct torc_waiter *waiter = torc_choice_room(choice,
	    struct torc_waiter);

	torc_debug_assert(queue != NULL && !chooser->began);
	torc_debug_assert(chooser->reactor->current != NULL);
	*waiter = (struct torc_waiter) {
		.fiber = chooser->reactor->current,
		.chooser = chooser,
		.item = choice->item,
	};
	torc_waiter_enter(queue, waiter);
	return false;
}

void
torc_choice_leave(struct torc_choice *choice)
{
	struct torc_waiter *waiter = torc_choice_room(choice,
	    struct torc_waiter);

	torc_debug_assert(waiter->fiber != NULL);
	if (waiter->queue != NULL)
		torc_waiter_leave(waiter);
}

void
torc_chooser_settle(struct torc_chooser *chooser,
    const struct torc_waiter *waiter)
{
	torc_debug_assert(!waiter->woken || waiter->queue == NULL);
	torc_assert(chooser->began && chooser->settled == NULL);
	for (unsigned i = 0; i < chooser->count; i++) {
		struct torc_choice *choice = &chooser->choices[i];

		if ((const void *)choice->room.bytes == waiter)
			chooser->settled = choice;
		if (choice->kind->end == torc_choice_leave)
			torc_choice_leave(choice);
	}
	torc_assert(chooser->settled != NULL);
}

static bool
look_for_nothing(struct torc_choice *choice)
{
	(void)choice;
	return false;
}

static bool
begin_wait(struct torc_choice *choice, struct torc_chooser *chooser)
{
	torc_debug_assert(choice->object != NULL);
	return torc_choice_enter(choice, chooser, choice->object);
}

static const struct torc_choice_kind of_waiters = {
	.look = look_for_nothing,
	.begin = begin_wait,
	.end = torc_choice_leave,
};

struct torc_choice
torc_choice_wait(struct torc_waiters *waiters)
{
	torc_require(waiters != NULL,
	    "torc_choice_wait needs waiters, but was given NULL");
	return (struct torc_choice) { .kind = &of_waiters, .object = waiters };
}

static bool
look_for_drain(struct torc_choice *choice)
{
	torc_debug_assert(torc_current != NULL);
	choice->result = 0;
	return torc_reactor_draining(torc_current);
}

static bool
begin_drain(struct torc_choice *choice, struct torc_chooser *chooser)
{
	torc_debug_assert(chooser->reactor->phase < TORC_PHASE_DRAINING);
	return torc_choice_enter(choice, chooser,
	    &chooser->reactor->drain_waiters);
}

static const struct torc_choice_kind of_drain = {
	.look = look_for_drain,
	.begin = begin_drain,
	.end = torc_choice_leave,
};

struct torc_choice
torc_choice_drain(void)
{
	return (struct torc_choice) { .kind = &of_drain };
}

/* ---- Times ---- */

void
torc_chooser_set_time(struct torc_chooser *chooser, struct torc_choice *choice,
    uint64_t until)
{
	torc_debug_assert(chooser->settled == NULL);
	torc_debug_assert(choice >= chooser->choices &&
	    choice < chooser->choices + chooser->count);
	/* What happens just when the deadline passes has happened. */
	if (until > chooser->until ||
	    (until == chooser->until && chooser->earliest != NULL))
		return;
	chooser->until = until;
	chooser->earliest = choice;
}

static bool
look_for_time(struct torc_choice *choice)
{
	torc_debug_assert(torc_current->current != NULL);
	choice->result = 0;
	return choice->number <= torc_current->due;
}

static bool
begin_time(struct torc_choice *choice, struct torc_chooser *chooser)
{
	torc_debug_assert(choice->number > chooser->reactor->due);
	torc_chooser_set_time(chooser, choice, choice->number);
	return false;
}

static const struct torc_choice_kind of_time = {
	.look = look_for_time,
	.begin = begin_time,
};

struct torc_choice
torc_choice_sleep(torc_deadline until)
{
	return (struct torc_choice) { .kind = &of_time, .number = until.at };
}

/* ---- Descriptors ---- */

struct poll {
	struct torc_op op;
	struct torc_fiber *fiber;
	int result;
	bool told;		/* to end */
	bool over;
};
TORC_FITS_CHOICE(struct poll);

static void
end_poll(struct torc_op *op, int32_t result, uint32_t flags)
{
	struct poll *poll = torc_container(op, struct poll, op);

	torc_debug_assert(!poll->over && !(flags & IORING_CQE_F_MORE));
	(void)flags;
	poll->result = result;
	poll->over = true;
	torc_fiber_wake(poll->fiber, 0);
}

static bool
begin_poll(struct torc_choice *choice, struct torc_chooser *chooser)
{
	struct poll *poll = torc_choice_room(choice, struct poll);

	torc_debug_assert(chooser->reactor->current != NULL);
	*poll = (struct poll) {
		.op.sqe = {
			.opcode = IORING_OP_POLL_ADD,
			.fd = (int)(uint32_t)choice->number,
			.poll32_events = (uint32_t)(choice->number >> 32),
		},
		.op.done = end_poll,
		.fiber = chooser->reactor->current,
	};
	choice->result = torc_op_start(chooser->reactor, &poll->op);
	return choice->result < 0;
}

static bool
poll_happened(struct torc_choice *choice, int rc)
{
	const struct poll *poll = torc_choice_room(choice, struct poll);

	torc_debug_assert(poll->fiber != NULL);
	(void)rc;
	if (!poll->over || (poll->told && torc_op_gave_up(poll->result)))
		return false;
	choice->result = poll->result;
	return true;
}

static void
finish_poll(struct torc_choice *choice)
{
	struct poll *poll = torc_choice_room(choice, struct poll);

	torc_debug_assert(poll->fiber == poll->op.reactor->current);
	if (poll->over)
		return;
	poll->told = true;
	torc_op_cancel(&poll->op);
	while (!poll->over)
		torc_fiber_park_firmly(poll->op.reactor);
}

static const struct torc_choice_kind of_poll = {
	.look = look_for_nothing,
	.begin = begin_poll,
	.happened = poll_happened,
	.finish = finish_poll,
};

struct torc_choice
torc_choice_poll(int fd, unsigned events)
{
	return (struct torc_choice) {
		.kind = &of_poll,
		.number = (uint64_t)events << 32 | (uint32_t)fd,
	};
}

/* ---- Choosing ---- */

/* Begin with the one behind the last that has begun. True: one is chosen. */
static bool
begin_all(struct torc_chooser *chooser, unsigned *begun)
{
	torc_debug_assert(!chooser->began && *begun == 0);
	while (*begun < chooser->count) {
		struct torc_choice *choice = &chooser->choices[*begun];

		if (choice->kind->begin(choice, chooser))
			return true;
		++*begun;
	}
	chooser->began = true;
	return false;
}

/* Which has happened, now that the wait has ended with `rc`; or `rc`. */
static int
find_happened(const struct torc_chooser *chooser, int rc)
{
	const struct torc_waiter *waiter;

	torc_debug_assert(chooser->began);
	/* It cannot be given back; what else has happened can wait. */
	if (chooser->settled != NULL) {
		waiter = torc_choice_room(chooser->settled,
		    struct torc_waiter);
		chooser->settled->result = waiter->result;
		return (int)(chooser->settled - chooser->choices);
	}
	for (unsigned i = 0; i < chooser->count; i++) {
		struct torc_choice *choice = &chooser->choices[i];

		if (choice->kind->happened != NULL &&
		    choice->kind->happened(choice, rc))
			return (int)i;
	}
	if (rc != -ETIMEDOUT || chooser->earliest == NULL ||
	    chooser->until > chooser->reactor->due)
		return rc;
	if (chooser->earliest->kind->expire != NULL)
		chooser->earliest->kind->expire(chooser->earliest);
	else
		chooser->earliest->result = 0;
	return (int)(chooser->earliest - chooser->choices);
}

/* Parks. The index of the one that has happened, or a negative errno. */
static int
await(const struct torc_chooser *chooser)
{
	int chosen;

	torc_debug_assert(chooser->count == 0 || chooser->choices != NULL);
	torc_debug_assert(chooser->began && chooser->settled == NULL);
	do {
		int rc = torc_fiber_park(chooser->reactor,
		    torc_at(chooser->until));

		/* Nothing is 0 from here on, but the first of them. */
		chosen = find_happened(chooser, rc >= 0 ? -EAGAIN : rc);
	} while (chosen == -EAGAIN);
	return chosen;
}

/* Parks. Those that have begun are not waited for any more. */
static void
end_all(struct torc_chooser *chooser, unsigned begun)
{
	torc_debug_assert(chooser->reactor->current != NULL);
	torc_debug_assert(chooser->settled == NULL || chooser->began);
	torc_debug_assert(begun <= chooser->count);
	for (unsigned i = 0; i < begun; i++) {
		if (chooser->choices[i].kind->end != NULL)
			chooser->choices[i].kind->end(&chooser->choices[i]);
	}
	for (unsigned i = 0; i < begun; i++) {
		if (chooser->choices[i].kind->finish != NULL)
			chooser->choices[i].kind->finish(&chooser->choices[i]);
	}
}

/* What the kernel has done in the very moment in which it was told to end. */
static int
find_late(const struct torc_chooser *chooser, int rc)
{
	torc_debug_assert(rc < 0);
	for (unsigned i = 0; i < chooser->count; i++) {
		struct torc_choice *choice = &chooser->choices[i];

		if (choice->kind->finish != NULL &&
		    choice->kind->happened(choice, rc))
			return (int)i;
	}
	return rc;
}

int
torc_choose(struct torc_choice *choices, unsigned count, torc_deadline deadline)
{
	struct torc_chooser chooser = {
		.reactor = torc_reactor_of_fiber(),
		.choices = choices,
		.count = count,
		.until = deadline.at,
	};
	unsigned begun = 0;
	int chosen;

	torc_require((choices != NULL || count == 0) && count <= INT32_MAX,
	    "torc_choose needs something to choose from");
	if (chooser.reactor->current->cancelled)
		return -ECANCELED;
	for (unsigned i = 0; i < count; i++) {
		torc_require(choices[i].kind != NULL,
		    "a choice was not made by one of torc's functions");
		if (choices[i].kind->look(&choices[i]))
			return (int)i;
	}
	if (begin_all(&chooser, &begun)) {
		chosen = (int)begun;
		end_all(&chooser, begun);
		return chosen;
	}
	chosen = await(&chooser);
	end_all(&chooser, begun);
	return chosen >= 0 ? chosen : find_late(&chooser, chosen);
}
