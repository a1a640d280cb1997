/* SPDX-License-Identifier: MIT */
/*
 * noted.h - what holds on another thread, or in a child, is noted there, since
 * only the thread of the test may fail it.
 */
#ifndef TORC_TESTS_NOTED_H
#define TORC_TESTS_NOTED_H

#include <stdatomic.h>

#include "tests/harness.h"

static _Atomic int broken_line;
#define EXPECT(condition) note((condition), __LINE__)

static inline void
note(bool holds, int line)
{
	int none = 0;

	if (!holds)
		atomic_compare_exchange_strong(&broken_line, &none, line);
}

/* The first line that did not hold since the last call fails the test. */
static inline void
assert_all_held(void)
{
	int line = broken_line;

	broken_line = 0;
	if (line != 0)
		fail_msg("line %d does not hold", line);
}

#endif
