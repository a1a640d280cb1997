/* SPDX-License-Identifier: MIT */
/*
 * access.c - what programs ask a reactor, and the time.
 */
#include <stdarg.h>
#include <stdio.h>

#include "reactor/reactor.h"
#include "sys/sys.h"

struct torc_reactor *
torc_reactor_self(void)
{
	return torc_current == &torc_inherited ? NULL : torc_current;
}

unsigned
torc_reactor_index(const struct torc_reactor *reactor)
{
	torc_reactor_vouch(reactor);
	return reactor->index;
}

enum torc_phase
torc_reactor_phase(const struct torc_reactor *reactor)
{
	torc_reactor_vouch(reactor);
	return reactor->phase;
}

bool
torc_reactor_draining(const struct torc_reactor *reactor)
{
	torc_reactor_vouch(reactor);
	return reactor->phase >= TORC_PHASE_DRAINING;
}

uint64_t
torc_now(void)
{
	const struct torc_reactor *reactor = torc_current;

	torc_debug_assert(torc_current == NULL ||
	    torc_current->now >= torc_current->due);
	return reactor != NULL && reactor != &torc_inherited ? reactor->now :
	    torc_sys_now();
}

/* The time that is `count` units of so many nanoseconds from now. */
static inline torc_deadline
after(uint64_t count, uint64_t unit)
{
	uint64_t now = torc_now();
	uint64_t span;

	torc_debug_assert(unit > 0);
	return __builtin_mul_overflow(count, unit, &span) ||
	    span > UINT64_MAX - now ? TORC_NEVER : torc_at(now + span);
}

torc_deadline
torc_after_us(uint64_t us)
{
	return after(us, 1000);
}

torc_deadline
torc_after_ms(uint64_t ms)
{
	return after(ms, 1000000);
}

void
torc_reactor_notice(struct torc_reactor *reactor, const char *format, ...)
{
	char text[256];
	va_list list;

	torc_debug_assert(torc_current == reactor);
	if (reactor->config.notice == NULL)
		return;
	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	reactor->config.notice(text, reactor->config.arg);
}
