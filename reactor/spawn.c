/* SPDX-License-Identifier: MIT */
/*
 * spawn.c - fibers that a program begins, and whether they hold a drain.
 */
#include "reactor/fiber.h"

int
torc_fiber_spawn(uint64_t *id, torc_fiber_entry *entry, void *arg)
{
	struct torc_reactor *reactor = torc_reactor_own(
	    "torc_fiber_spawn was called outside a reactor's thread");

	torc_require(entry != NULL, "torc_fiber_spawn needs an entry");
	return torc_fiber_start_helper(reactor, id, entry, arg);
}

int
torc_fiber_spawn_daemon(uint64_t *id, torc_fiber_entry *entry, void *arg)
{
	struct torc_reactor *reactor = torc_reactor_own(
	    "torc_fiber_spawn_daemon was called outside a reactor's thread");

	torc_require(entry != NULL, "torc_fiber_spawn_daemon needs an entry");
	return torc_fiber_start_daemon(reactor, id, entry, arg);
}

void
torc_fiber_set_daemon(bool daemon)
{
	struct torc_reactor *reactor = torc_reactor_own(
	    "torc_fiber_set_daemon was called outside a reactor's thread");
	struct torc_fiber *fiber = reactor->current;

	torc_require(fiber != NULL,
	    "torc_fiber_set_daemon was called outside a fiber");
	reactor->daemons += daemon;
	reactor->daemons -= fiber->daemon;
	fiber->daemon = daemon;
}
