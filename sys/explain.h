/* SPDX-License-Identifier: MIT */
/*
 * explain.h - why io_uring is not available here: one cause, with the values
 * that were read, and one fix.
 */
#ifndef TORC_SYS_EXPLAIN_H
#define TORC_SYS_EXPLAIN_H

#include <stddef.h>
#include <stdint.h>

/*
 * Explain the failure `error` (a negative errno) of setting up a ring that
 * needs `memory` bytes of locked memory, in one or two lines of text without
 * a final newline. Reads /proc and the limits where it can; needs neither.
 * `text` is always terminated. Any thread; call it soon after the failure.
 */
void torc_explain(char *text, size_t size, int error, uint64_t memory);

/* The same of another call that takes memory for a ring, by its name. */
void torc_explain_call(char *text, size_t size, const char *call, int error,
    uint64_t memory);

#endif
