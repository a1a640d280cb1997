/* SPDX-License-Identifier: MIT */
/*
 * on_fiber.h - claims that are looked at on a fiber of a reactor: what does
 * not hold there is told to the test as its line.
 */
#ifndef TORC_TESTS_ON_FIBER_H
#define TORC_TESTS_ON_FIBER_H

#include "tests/harness.h"

#define SOON torc_after_ms(20)
#define LATE torc_after_ms(60000)

#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

static inline void
on_fiber(torc_fiber_entry *entry, const struct torc_config *config)
{
	struct server server;
	int line;

	server_start(&server, config, echo_handler, NULL);
	line = server_fiber(&server, entry, NULL);
	assert_int_equal(server_stop(&server), 0);
	if (line != 0)
		fail_msg("line %d does not hold", line);
}

#endif
