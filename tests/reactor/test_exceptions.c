/* SPDX-License-Identifier: MIT */
/*
 * test_exceptions.c - what a runtime of C++ keeps for a thread belongs to the
 * fiber that runs. The runtime is one of this program's own; cxx.sh has real
 * ones.
 */
#include "tests/harness.h"

#include <unistd.h>

#include "reactor/fiber.h"

static struct torc_exceptions globals;

struct torc_exceptions *__cxa_get_globals(void);

struct torc_exceptions *
__cxa_get_globals(void)
{
	return &globals;
}

static unsigned held;		/* what was as it should be */

static bool
are(const void *caught, unsigned uncaught)
{
	return globals.caught == caught && globals.uncaught == uncaught;
}

static int
handle_one(void *arg)
{
	held += are(NULL, 0);
	globals = (struct torc_exceptions) { arg, 3 };
	for (int i = 0; i < 5; i++) {
		torc_yield();
		held += are(arg, 3);
	}
	return 0;
}

static int
handle_none(void *arg)
{
	(void)arg;
	for (int i = 0; i < 5; i++) {
		held += are(NULL, 0);
		torc_yield();
	}
	return 0;
}

static void
see_none(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)reactor;
	(void)post;
	held += are(NULL, 0);
}

/* The loop is run in a handler, too; its caller finds what it had. */
static void
fibers_and_the_loop_s_caller_each_have_their_own_exceptions(void **state)
{
	struct torc_post post = { .call = see_none };
	struct torc_reactor *reactor;
	int mine, first, second;

	(void)state;
	alarm(HANG_SECONDS);
	assert_int_equal(torc_reactor_create(&reactor, NULL, NULL), 0);
	torc_fiber_start(reactor, NULL, handle_one, &first);
	torc_fiber_start(reactor, NULL, handle_one, &second);
	torc_fiber_start(reactor, NULL, handle_none, NULL);
	globals = (struct torc_exceptions) { &mine, 1 };
	assert_int_equal(torc_reactor_turn(reactor, TORC_AT_ONCE), 1);
	assert_true(are(&mine, 1));
	torc_reactor_post(reactor, &post);
	torc_reactor_drain(reactor, TORC_NEVER);
	assert_int_equal(torc_reactor_run(reactor), 0);
	assert_true(are(&mine, 1));
	torc_reactor_destroy(reactor);
	assert_int_equal(held, 6 + 6 + 5 + 1);
}

/* Modes are taken along, too, where every fiber that leaves has something. */
static int
round_upwards(void *arg)
{
	union torc_modes modes = { 0 }, found = { 0 };

	torc_modes_get(&modes);
#if defined(__x86_64__)
	modes.mxcsr |= 0x4000;
	modes.x87 |= 0x800;
#else
	modes.word |= 0x400000;
#endif
	torc_modes_set(&modes);
	torc_yield();
	torc_modes_get(&found);
	*(bool *)arg = torc_modes_equal(&modes, &found);
	return 0;
}

static void
a_fiber_of_such_a_program_keeps_its_rounding(void **state)
{
	union torc_modes before = { 0 }, after = { 0 };
	struct torc_reactor *reactor;
	bool kept = false;

	(void)state;
	torc_modes_get(&before);
	assert_int_equal(torc_reactor_create(&reactor, NULL, NULL), 0);
	torc_fiber_start(reactor, NULL, round_upwards, &kept);
	torc_reactor_drain(reactor, TORC_NEVER);
	assert_int_equal(torc_reactor_run(reactor), 0);
	torc_reactor_destroy(reactor);
	torc_modes_get(&after);
	assert_true(kept && torc_modes_equal(&before, &after));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
	    fibers_and_the_loop_s_caller_each_have_their_own_exceptions),
		cmocka_unit_test(a_fiber_of_such_a_program_keeps_its_rounding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
