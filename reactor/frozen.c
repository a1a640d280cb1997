/* SPDX-License-Identifier: MIT */
/*
 * frozen.c - the sizes of the structures that programs have themselves, on
 * their stacks or in their own structures: the same in all versions of the
 * library. What they call reserved is for fields that come later.
 */
#include "reactor/frozen.h"

#include "reactor/torc_runtime.h"

TORC_FROZEN(torc_deadline, 8);
TORC_FROZEN(torc_error, 1024);
TORC_FROZEN(torc_key, 8);
TORC_FROZEN(torc_post, 24);
TORC_FROZEN(torc_protocol, 24);
TORC_FROZEN(torc_waiters, 16);
TORC_FROZEN(torc_group, 72);
TORC_FROZEN(torc_choice, 232);
TORC_FROZEN(torc_keeper, 56);
