/* SPDX-License-Identifier: MIT */
/*
 * frozen.c - the sizes of the structures that programs have themselves, on
 * their stacks or in their own structures: the same in all versions of the
 * library. What they call reserved is for fields that come later.
 */
#include "reactor/frozen.h"

#include "conn/kit/torc_client.h"
#include "conn/kit/torc_pipeline.h"

TORC_FROZEN(torc_dialled, 1160);
TORC_FROZEN(torc_request, 72);
TORC_FROZEN(torc_pipeline_kind, 64);
TORC_FROZEN(torc_pipeline, 112);
