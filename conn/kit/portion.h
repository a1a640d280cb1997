/* SPDX-License-Identifier: MIT */
/*
 * portion.h - the time for one of several attempts. Those who dial use it.
 */
#ifndef TORC_KIT_PORTION_H
#define TORC_KIT_PORTION_H

#include "reactor/torc_runtime.h"

/*
 * An equal part of the time that remains, for one attempt of the `left` (at
 * least 1) that may be made, one after the other: a server that does not answer
 * must leave time for the others.
 */
static inline torc_deadline
torc_portion(torc_deadline deadline, unsigned left)
{
	const uint64_t now = torc_now();

	return deadline.at == UINT64_MAX || deadline.at <= now || left <= 1 ?
	    deadline : torc_at(now + (deadline.at - now) / left);
}

#endif
