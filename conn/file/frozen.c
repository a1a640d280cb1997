/* SPDX-License-Identifier: MIT */
/*
 * frozen.c - the sizes of the structures that programs have themselves, on
 * their stacks or in their own structures: the same in all versions of the
 * library. What they call reserved is for fields that come later.
 */
#include "reactor/frozen.h"

#include "conn/file/torc_file.h"

TORC_FROZEN(torc_file_time, 16);
TORC_FROZEN(torc_file_info, 96);
TORC_FROZEN(torc_file_walk, 4112);
TORC_FROZEN(torc_file_entry, 40);
TORC_FROZEN(torc_file_tree, 56);
