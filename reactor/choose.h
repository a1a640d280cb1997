/* SPDX-License-Identifier: MIT */
/*
 * choose.h - a fiber that waits for one of several things, and what there is
 * to wait for. The layer above has kinds of its own.
 */
#ifndef TORC_REACTOR_CHOOSE_H
#define TORC_REACTOR_CHOOSE_H

#include <stdbool.h>
#include <stdint.h>

#include "reactor/torc_runtime.h"
#include "reactor/wait.h"

/* On the stack of the fiber, while it waits. */
struct torc_chooser {
	struct torc_reactor *reactor;
	struct torc_choice *choices;
	unsigned count;
	uint64_t until;			/* the earliest of `deadline` ... */
	struct torc_choice *earliest;	/* and of what has one of its own */
	struct torc_choice *settled;	/* something was handed over */
	bool began;			/* all are waited for */
};

/*
 * All functions but `look` and `begin` may be NULL. Each is called with the
 * choice, whose `result` those that return true set.
 */
struct torc_choice_kind {
	/* It happens at once, and this is it. */
	bool (*look)(struct torc_choice *choice);
	/* Be told when it happens. True: it has, or cannot be waited for. */
	bool (*begin)(struct torc_choice *choice,
	    struct torc_chooser *chooser);
	/* The fiber was woken with `rc`: whether it has happened. */
	bool (*happened)(struct torc_choice *choice, int rc);
	/* Its own time is over, which `begin` has set. */
	void (*expire)(struct torc_choice *choice);
	/* Be told no more. Must not touch what may be gone from now on. */
	void (*end)(struct torc_choice *choice);
	/* Parks firmly until the kernel has let go of the choice. */
	void (*finish)(struct torc_choice *choice);
};

/* The memory that a kind has in a choice while it is waited for. */
#define torc_choice_room(choice, type) \
	((type *)(void *)(choice)->room.bytes)
#define TORC_FITS_CHOICE(type) _Static_assert(sizeof(type) <= \
	sizeof(((struct torc_choice *)0)->room), #type " fits a choice")

/* A waiter of it was woken: the others leave their queues. */
void torc_chooser_settle(struct torc_chooser *chooser,
    const struct torc_waiter *waiter);

/* It happens at `until` of its own, unless another one does before. */
void torc_chooser_set_time(struct torc_chooser *chooser,
    struct torc_choice *choice, uint64_t until);

/* For kinds whose choices are a waiter in a queue. */
bool torc_choice_enter(struct torc_choice *choice,
    struct torc_chooser *chooser, struct torc_waiters *queue);
void torc_choice_leave(struct torc_choice *choice);

#endif
