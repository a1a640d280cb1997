/* SPDX-License-Identifier: MIT */
/*
 * frozen.c - the sizes of the structures that programs have themselves, on
 * their stacks or in their own structures: the same in all versions of the
 * library. What they call reserved is for fields that come later.
 */
#include "reactor/frozen.h"

#include "conn/http/torc_http.h"
#include "conn/http/torc_service.h"

TORC_FROZEN(torc_http_field, 32);
TORC_FROZEN(torc_http_limits, 12);
TORC_FROZEN(torc_http_head, 160);
TORC_FROZEN(torc_http_wait, 16);
TORC_FROZEN(torc_http_chunks, 32);
TORC_FROZEN(torc_http_writer, 32);
TORC_FROZEN(torc_http_input, 104);
TORC_FROZEN(torc_http, 4832);
TORC_FROZEN(torc_http_call, 4728);
TORC_FROZEN(torc_pairs, 48);
TORC_FROZEN(torc_json, 96);
