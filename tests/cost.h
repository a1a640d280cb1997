/* SPDX-License-Identifier: MIT */
/*
 * cost.h - what a byte costs at most, in steps: the basic blocks that were run
 * of objects built with -fsanitize-coverage=trace-pc, which calls a function of
 * ours from each.
 */
#ifndef TORC_TESTS_COST_H
#define TORC_TESTS_COST_H

#include <stdio.h>
#include <string.h>

#include "tests/harness.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LARGEST (256u << 10)

static uint64_t steps;
static char bytes[LARGEST + 4096];

void __sanitizer_cov_trace_pc(void);

void
__sanitizer_cov_trace_pc(void)
{
	steps++;
}

/* To `bytes`: `first`, `again` as often as it fits into `size`, and `last`. */
static inline size_t
make(size_t size, const char *first, const char *again, const char *last)
{
	char *at = bytes + sprintf(bytes, "%s", first);
	const size_t length = strlen(again);

	for (; (size_t)(at - bytes) + length <= size; at += length)
		memcpy(at, again, length);
	at += sprintf(at, "%s", last);
	return (size_t)(at - bytes);
}

/* `size` bytes of `what` took all these steps, and may take `most` each. */
static inline void
assert_cheap(const char *what, size_t size, unsigned most)
{
	if (steps > (uint64_t)most * size)
		fail_msg("%s, %zu bytes: %.1f steps a byte, at most %u", what,
		    size, (double)steps / (double)size, most);
}

#endif
