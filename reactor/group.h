/* SPDX-License-Identifier: MIT */
/*
 * group.h - what a group has to be told by its fibers.
 */
#ifndef TORC_REACTOR_GROUP_H
#define TORC_REACTOR_GROUP_H

struct torc_fiber;

/* The function of a fiber that is in a group has returned. On the fiber. */
void torc_group_leave(struct torc_fiber *fiber);

#endif
