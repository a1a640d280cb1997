/* SPDX-License-Identifier: MIT */
/*
 * frozen.c - the sizes of the structures that programs have themselves, on
 * their stacks or in arrays: the same in all versions of the library.
 */
#include "reactor/frozen.h"

#include "conn/redis/torc_redis.h"

TORC_FROZEN(torc_resp_limits, 32);
TORC_FROZEN(torc_resp_item, 72);
TORC_FROZEN(torc_resp_level, 16);
TORC_FROZEN(torc_resp_reader, 640);
TORC_FROZEN(torc_resp_arena, 24);
TORC_FROZEN(torc_resp_tree, 640 + 32 + 8 * 32 + 32);
TORC_FROZEN(torc_redis_reply, 32);
TORC_FROZEN(torc_redis_command, 16);
TORC_FROZEN(torc_redis_script, 64);
TORC_FROZEN(torc_redis_message, 56);
