/* SPDX-License-Identifier: MIT */
/*
 * memory.h - locked memory: what rings and their buffers take of it, and what
 * is left.
 *
 * The kernel charges a user, not a process, and no file says with how much.
 * What can be seen is added up: queues and buffer rings (charged since Linux
 * 6.14), and pages that are pinned (VmPin: registered buffers, most of them).
 * A user may have more that cannot be seen, so what is left is an upper bound.
 * VmLck is mlock(2)'s, and has its limit to itself.
 */
#ifndef RINGSTAT_MEMORY_H
#define RINGSTAT_MEMORY_H

#include "tools/ringstat/model.h"

/* Whether this kernel charges rings. */
bool memory_charges_rings(void);

/*
 * Work out what is left to each process of `user`, or (UNKNOWN) of everybody,
 * in the sample. `whole` has all processes of that user: the sample itself, or
 * another one.
 */
void memory_account(struct sample *sample, const struct sample *whole,
    int64_t user);

/* Whether RLIMIT_MEMLOCK binds the process. */
bool memory_is_limited(const struct process *process);

#endif
