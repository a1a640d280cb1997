/* SPDX-License-Identifier: MIT */
/*
 * group.c - fibers that end together.
 */
#include <errno.h>

#include "reactor/fiber.h"
#include "reactor/group.h"
#include "reactor/wait.h"

static void
link_up(struct torc_group *group, struct torc_fiber *fiber)
{
	struct torc_fiber *first = group->first;

	torc_debug_assert(fiber->group == NULL || fiber->group == group);
	fiber->group = group;
	fiber->kin_prev = NULL;
	fiber->kin_next = first;
	if (first != NULL)
		first->kin_prev = fiber;
	group->first = fiber;
	group->alive++;
}

static void
unlink_it(struct torc_group *group, struct torc_fiber *fiber)
{
	torc_debug_assert(fiber->group == group);
	torc_assert(fiber->group == group && group->alive > 0);
	if (fiber->kin_prev != NULL)
		fiber->kin_prev->kin_next = fiber->kin_next;
	else
		group->first = fiber->kin_next;
	if (fiber->kin_next != NULL)
		fiber->kin_next->kin_prev = fiber->kin_prev;
	fiber->group = NULL;
	group->alive--;
}

/* None of them runs before this returns, so the list stays as it is. */
static void
cancel_all(struct torc_group *group)
{
	group->cancelled = true;
	for (struct torc_fiber *fiber = group->first; fiber != NULL;
	    fiber = fiber->kin_next)
		torc_fiber_notify(fiber, TORC_CANCEL_ASKED);
}

void
torc_group_leave(struct torc_fiber *fiber)
{
	struct torc_group *group = fiber->group;
	const int result = fiber->result;

	torc_debug_assert(fiber->group != NULL);
	unlink_it(group, fiber);
	if (!group->cancelled) {
		if (result < 0 && group->error == 0)
			group->error = result;
		if (result < 0 ? group->mode == TORC_GROUP_UNTIL_ERROR :
		    group->mode == TORC_GROUP_UNTIL_DONE)
			cancel_all(group);
	}
	if (group->alive <= group->awaited)
		torc_wake(&group->owner, 0);
}

/* ---- For programs ---- */

void
torc_group_begin(struct torc_group *group, unsigned limit,
    enum torc_group_mode mode)
{
	struct torc_reactor *reactor = torc_reactor_of_fiber();

	torc_require(group != NULL, "a call needs a group, but was given NULL");
	*group = (struct torc_group) {
		.begun_by = reactor->current,
		.limit = limit > 0 ? limit : UINT32_MAX,
		.mode = mode,
	};
	reactor->current->groups++;
}

static struct torc_reactor *
check_owner(const struct torc_group *group)
{
	struct torc_reactor *reactor = torc_reactor_of_fiber();

	torc_require(group != NULL, "a call needs a group, but was given NULL");
	torc_require(group->begun_by == reactor->current,
	    "a group is used by another fiber than the one that began it");
	return reactor;
}

int
torc_group_spawn(struct torc_group *group, torc_fiber_entry *entry, void *arg,
    torc_deadline deadline)
{
	struct torc_reactor *reactor = check_owner(group);
	struct torc_fiber *fiber;
	int rc = reactor->current->cancelled ? -ECANCELED : 0;

	torc_require(entry != NULL, "torc_group_spawn needs an entry");
	group->awaited = group->limit - 1;
	while (rc == 0 && group->alive >= group->limit && !group->cancelled)
		rc = torc_wait(&group->owner, deadline);
	if (rc < 0 && (group->alive >= group->limit || rc != -ETIMEDOUT))
		return rc;
	if (group->cancelled)
		return -ECANCELED;
	rc = torc_fiber_start_kin(reactor, &fiber, entry, arg);
	if (rc == 0)
		link_up(group, fiber);
	return rc;
}

void
torc_group_cancel(struct torc_group *group)
{
	torc_reactor_own(
	    "torc_group_cancel was called outside a reactor's thread");
	torc_require(group != NULL, "a call needs a group, but was given NULL");
	torc_require(group->begun_by != NULL,
	    "a group is cancelled before it has begun, or after its end");
	if (!group->cancelled)
		cancel_all(group);
}

int
torc_group_end(struct torc_group *group, int *error, torc_deadline deadline)
{
	struct torc_reactor *reactor = check_owner(group);
	int rc = 0;

	group->awaited = 0;
	while (group->alive > 0 && rc == 0)
		rc = torc_wait(&group->owner, deadline);
	/* All have ended in the moment in which the time was up. */
	if (group->alive == 0)
		rc = 0;
	else if (!group->cancelled)
		cancel_all(group);
	while (group->alive > 0)
		torc_waiter_park_firmly(&group->owner);
	group->begun_by = NULL;
	reactor->current->groups--;
	if (error != NULL)
		*error = group->error;
	return rc;
}
