/* SPDX-License-Identifier: MIT */
/*
 * fault.c - why a fiber has touched memory that it must not.
 */
#include "reactor/fiber.h"
#include "sys/fault.h"

/* As much of memory lies at NULL as a structure has, and more. */
#define NULL_SIZE 4096u

static void
say_overrun(const struct torc_reactor *reactor)
{
	char index[TORC_DIGITS], size[TORC_DIGITS];
	const char *const parts[] = { "reactor ",
	    torc_digits(index, reactor->index),
	    ": a fiber ran over its stack of ",
	    torc_digits(size, reactor->stacks.size),
	    " bytes: raise stack_size, or put less on the stack", NULL };

	torc_debug_assert(reactor->current != NULL);
	torc_say(parts);
}

static void
say_null(const struct torc_reactor *reactor, uintptr_t address)
{
	char index[TORC_DIGITS], offset[TORC_DIGITS];
	const char *const parts[] = { "reactor ",
	    torc_digits(index, reactor->index),
	    ": a NULL pointer was followed, to address ",
	    torc_digits(offset, address),
	    ": perhaps a call was given NULL instead of a connection",
	    NULL };

	torc_debug_assert(reactor != NULL);
	torc_say(parts);
}

/* In a signal handler. */
static void
look(uintptr_t address)
{
	const struct torc_reactor *reactor = torc_reactor_self();
	const struct torc_fiber *fiber =
	    reactor != NULL ? reactor->current : NULL;

	if (fiber != NULL &&
	    (uintptr_t)fiber->stack - address - 1 < reactor->stacks.guard)
		say_overrun(reactor);
	else if (reactor != NULL && address < NULL_SIZE)
		say_null(reactor, address);
}

int
torc_fault_report(void)
{
	return torc_fault_watch(look, false);
}

void
torc_fault_report_gently(void)
{
	torc_fault_watch(look, true);
}
