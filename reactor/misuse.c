/* SPDX-License-Identifier: MIT */
/*
 * misuse.c - whose reactor it is, and what a child of a fork finds.
 */
#include "reactor/misuse.h"

#include <pthread.h>
#include <stdbool.h>

#include "reactor/reactor.h"
#include "sys/pages.h"

#define LIFE 0x746f726300000000u	/* "torc", and how many forks ago */

#define AFTER_FORK "a child of fork() may not use the reactors, fibers and " \
    "connections of its parent: it may exec, _exit, or create reactors of " \
    "its own"

struct torc_reactor torc_inherited;
_Thread_local struct torc_reactor *torc_current;

static uint32_t forks;		/* between the first process and this one */

/*
 * The tables of connections, listeners and operations are not inherited. Zeroes
 * take their place, so that a call which is given one of these finds that it
 * belongs to no reactor, and says so.
 */
static void
blank(struct torc_reactor *reactor)
{
	torc_pages_blank(reactor->stats_page.page, reactor->stats_page.size);
	for (int i = TORC_KIND_OP; i < TORC_KIND_CANCEL; i++) {
		const struct torc_slots *slots = reactor->kinds[i].slots;

		if (slots->capacity > 0 && !slots->borrowed)
			torc_pages_blank(slots->base,
			    slots->capacity * slots->stride);
	}
}

/* On the only thread that there is. */
static void
in_child(void)
{
	struct torc_reactor *reactor = torc_current;

	forks++;
	torc_current = &torc_inherited;
	if (reactor != NULL && reactor != &torc_inherited)
		blank(reactor);
}

struct torc_reactor *
torc_nobody(void)
{
	return forks > 0 ? &torc_inherited : NULL;
}

static void
prepare(void)
{
	pthread_atfork(NULL, NULL, in_child);
}

uint64_t
torc_life_begin(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, prepare);
	return LIFE | forks;
}

void
torc_reactor_vouch(const struct torc_reactor *reactor)
{
	torc_require(reactor != NULL,
	    "a call needs a reactor, but was given NULL");
	torc_require((reactor->life & ~(uint64_t)UINT32_MAX) == LIFE,
	    "a reactor is used after it was destroyed, or was never created");
	torc_require(reactor->life == (LIFE | forks), AFTER_FORK);
}

const char *
torc_misuse(const struct torc_reactor *reactor, const char *text)
{
	const bool inherited = reactor == NULL ? torc_current != NULL :
	    reactor == &torc_inherited || reactor->life != (LIFE | forks);

	return forks > 0 && inherited ? AFTER_FORK : text;
}
