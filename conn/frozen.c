/* SPDX-License-Identifier: MIT */
/*
 * frozen.c - the sizes of the structures that programs have themselves, on
 * their stacks or in their own structures: the same in all versions of the
 * library. What they call reserved is for fields that come later.
 */
#include "reactor/frozen.h"

#include "conn/torc.h"
#include "conn/torc_protocol.h"

TORC_FROZEN(torc_slice, 16);
TORC_FROZEN(torc_pace, 24);
TORC_FROZEN(torc_progress, 16);
