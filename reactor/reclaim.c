/* SPDX-License-Identifier: MIT */
/*
 * reclaim.c - descriptors that can be spared, asked for when there are none
 * left. A process has one limit for all of its reactors: the lock of their
 * list (process.h) is taken when a keeper comes or goes, and when descriptors
 * have run out.
 */
#include <errno.h>
#include <sys/resource.h>

#include "reactor/process.h"
#include "reactor/reactor.h"
#include "sys/sys.h"

#define ASKED_FOR 32u		/* descriptors, of another reactor */
#define CLOSING_NS 10000000u	/* what was let go of may be closed later */

/* Keepers of the process that ask for a share, since it was forked. */
static struct {
	unsigned sharers;
	uint32_t forks;
} shares;

/* The lock is held. */
static unsigned *
sharers(void)
{
	if (shares.forks != torc_process_forks()) {
		shares.forks = torc_process_forks();
		shares.sharers = 0;
	}
	return &shares.sharers;
}

/* ---- Keepers ---- */

void
torc_keeper_add(struct torc_keeper *keeper)
{
	struct torc_reactor *reactor = torc_reactor_own(
	    "a keeper is added outside a reactor's thread");

	torc_require(keeper != NULL && keeper->reclaim != NULL,
	    "a keeper is added without a function");
	torc_debug_assert(keeper != reactor->keepers);
	keeper->reactor = reactor;
	keeper->next = reactor->keepers;
	reactor->keepers = keeper;
	torc_process_lock();
	reactor->keeping = true;
	*sharers() += keeper->shares;
	torc_process_unlock();
}

void
torc_keeper_remove(struct torc_keeper *keeper)
{
	struct torc_reactor *reactor = keeper->reactor;
	struct torc_keeper **at = &reactor->keepers;

	torc_debug_assert(reactor != NULL);
	while (*at != NULL && *at != keeper)
		at = &(*at)->next;
	torc_require(*at != NULL,
	    "a keeper is removed twice, or was never added");
	*at = keeper->next;
	torc_process_lock();
	*sharers() -= keeper->shares;
	reactor->keeping = reactor->keepers != NULL;
	torc_process_unlock();
}

void
torc_reclaim_forget(struct torc_reactor *reactor)
{
	while (reactor->keepers != NULL)
		torc_keeper_remove(reactor->keepers);
}

unsigned
torc_keeper_share(void)
{
	uint64_t soft = UINT64_MAX;
	unsigned count;

	torc_sys_rlimit(RLIMIT_NOFILE, &soft);
	torc_process_lock();
	count = *sharers();
	torc_process_unlock();
	soft = soft / 2 / (count > 0 ? count : 1);
	return soft < UINT32_MAX ? (unsigned)soft : UINT32_MAX;
}

/* ---- Asking ---- */

static unsigned
ask_keepers(struct torc_reactor *reactor, unsigned want)
{
	unsigned freed = 0;

	torc_debug_assert(reactor == torc_current);
	torc_debug_assert(want > 0);
	for (struct torc_keeper *keeper = reactor->keepers; keeper != NULL &&
	    freed < want; keeper = keeper->next)
		freed += keeper->reclaim(want - freed, keeper->arg);
	if (freed > 0)
		reactor->reclaimed_until = reactor->now + CLOSING_NS;
	return freed;
}

static void
be_asked(struct torc_reactor *reactor, struct torc_post *post)
{
	torc_debug_assert(post == &reactor->reclaim);
	(void)post;
	torc_process_lock();
	reactor->asked_to_reclaim = false;
	torc_process_unlock();
	ask_keepers(reactor, ASKED_FOR);
}

/* Each is asked once at a time. Whether there are any. */
static bool
ask_others(const struct torc_reactor *self)
{
	struct torc_reactor *reactor = NULL;
	bool asked = false;

	torc_process_lock();
	while ((reactor = torc_process_each(reactor)) != NULL) {
		if (reactor == self || !reactor->keeping)
			continue;
		reactor->reclaim.call = be_asked;
		if (!reactor->asked_to_reclaim)
			reactor->asked_to_reclaim = torc_reactor_post(reactor,
			    &reactor->reclaim) == 0;
		asked |= reactor->asked_to_reclaim;
	}
	torc_process_unlock();
	return asked;
}

int
torc_reclaim(unsigned want)
{
	struct torc_reactor *reactor = torc_reactor_own(
	    "torc_reclaim() is called outside a reactor's thread");
	unsigned freed;

	freed = ask_keepers(reactor, want);
	if (freed > 0)
		return (int)freed;
	return ask_others(reactor) || reactor->now < reactor->reclaimed_until ?
	    -EAGAIN : 0;
}
