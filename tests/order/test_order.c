/* SPDX-License-Identifier: MIT */
/*
 * test_order.c - the barriers of ring/PROTOCOL.md between real threads: the
 * second one plays the kernel, or another thread of the program, with the
 * orders that these use. What is checked here is that nothing is lost, doubled
 * or torn; under ThreadSanitizer (`make tsan`) a barrier that is too weak is a
 * data race, on any machine.
 *
 * There is no SQPOLL in torc, hence no thread of the kernel that would have
 * to be woken: a submission is taken in the enter that follows it. The second
 * thread takes them at any time all the same, as the thread of SQPOLL does.
 *
 * wrap: torc_sys_enter torc_sys_write
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/seam.h"

#include "reactor/mailbox.h"
#include "sys/sys.h"
#include "tests/order/sides.h"

#define ROUNDS 8
#define LIMIT_MS 100000	/* for what has been lost */

/* The kernel that is played; NULL: the real one. */
static struct sides *played;
static uint64_t deadline_ms;

int
__wrap_torc_sys_enter(int fd, uint32_t to_submit, uint32_t min_complete,
    uint32_t flags, const void *arg, size_t arg_size)
{
	if (played != NULL)
		return sides_enter(played, to_submit, flags);
	return __real_torc_sys_enter(fd, to_submit, min_complete, flags, arg,
	    arg_size);
}

int
__wrap_torc_sys_write(int fd, const void *data, size_t size)
{
	if (played == NULL)
		return __real_torc_sys_write(fd, data, size);
	sides_event(played, fd);
	return (int)size;
}

/* On any thread, so not by cmocka, which would leave it by a long jump. */
void
sides_fail(const char *claim)
{
	fprintf(stderr, "does not hold: %s\n", claim);
	abort();
}

void
sides_await(const void *word)
{
	(void)word;
	if (now_ms() > deadline_ms)
		sides_fail("what is waited for comes");
	sched_yield();
}

/* ---- Pairings ---- */

struct side {
	pthread_t thread;
	pthread_barrier_t *start;
	void (*run)(struct sides *sides);
};

static void *
run_side(void *arg)
{
	const struct side *side = arg;

	pthread_barrier_wait(side->start);
	side->run(played);
	return NULL;
}

static void
run_pairing(const struct pairing *pairing)
{
	struct side side[SIDES_MAX];
	pthread_barrier_t start;
	unsigned count = 0;

	while (count < SIDES_MAX && pairing->side[count] != NULL)
		count++;
	assert_int_equal(pthread_barrier_init(&start, NULL, count), 0);
	deadline_ms = now_ms() + LIMIT_MS;
	for (unsigned i = 0; i < count; i++) {
		side[i] = (struct side) {
			.start = &start,
			.run = pairing->side[i],
		};
		assert_int_equal(pthread_create(&side[i].thread, NULL,
		    run_side, &side[i]), 0);
	}
	for (unsigned i = 0; i < count; i++)
		pthread_join(side[i].thread, NULL);
	pthread_barrier_destroy(&start);
	pairing->check(played);
}

/* Rings of 2, 4 and 8 entries; the indices wrap in the middle. */
static void
pairing_holds(void **state)
{
	const struct pairing *pairing = *state;
	struct sides *sides = malloc(sizeof(*sides));

	assert_non_null(sides);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		sides_init(sides, 2u << round % 3, SIDES_POSTS,
		    SIDES_POSTS / 2);
		played = sides;
		run_pairing(pairing);
		played = NULL;
	}
	free(sides);
}

/* ---- K1: a drain from another thread ---- */

static void
a_drain_from_another_thread_ends_a_reactor_that_sleeps(void **state)
{
	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct server server;

		server_start(&server, NULL, echo_handler, NULL);
		assert_int_equal(server_drain(&server, 5000), 0);
	}
}

/* ---- V1, V2: the workers of torc_serve ---- */

#define REACTORS 2

static const char *const anywhere[] = { "127.0.0.1:0", NULL };

/* Plain: V2 is to carry it from each start to `ready`. */
static struct {
	unsigned started[REACTORS];
	unsigned ready;
} site;

static int
note_start(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	site.started[torc_reactor_index(reactor)]++;
	return 0;
}

static void
note_ready(void *arg)
{
	(void)arg;
	site.ready++;
	for (unsigned i = 0; i < REACTORS; i++) {
		if (site.started[i] != 1)
			sides_fail("ready is called after every start");
	}
	kill(getpid(), SIGTERM);
}

static void
ready_is_called_once_and_sees_what_every_start_did(void **state)
{
	const struct torc_config config = {
		.listen = anywhere,
		.handler = echo_handler,
		.start = note_start,
		.reactors = REACTORS,
		.unpinned = true,
	};
	struct torc_error error;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		memset(&site, 0, sizeof(site));
		assert_int_equal(torc_serve(&config, note_ready, &error), 0);
		assert_int_equal(site.ready, 1);
	}
}

static int
fail_at_once(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	return torc_reactor_index(reactor) == 0 ? -EUCLEAN : -ENOTUNIQ;
}

static void
workers_that_fail_at_once_report_one_of_their_errors(void **state)
{
	const struct torc_config config = {
		.listen = anywhere,
		.handler = echo_handler,
		.start = fail_at_once,
		.reactors = REACTORS,
		.unpinned = true,
	};
	struct torc_error error;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		int rc = torc_serve(&config, NULL, &error);

		assert_true(rc == -EUCLEAN || rc == -ENOTUNIQ);
	}
}

/* The second one, when it is cancelled, because the first one has failed. */
static int
fail_in_turn(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	if (torc_reactor_index(reactor) == 0)
		return -EUCLEAN;
	while (torc_sleep(torc_after_ms(100)) == 0)
		continue;
	return -ENOTUNIQ;
}

static void
the_first_of_two_errors_is_reported(void **state)
{
	const struct torc_config config = {
		.listen = anywhere,
		.handler = echo_handler,
		.start = fail_in_turn,
		.reactors = REACTORS,
		.unpinned = true,
	};
	struct torc_error error;

	(void)state;
	assert_int_equal(torc_serve(&config, NULL, &error),
	    -EUCLEAN);
}

#define PAIRINGS_MAX 16

int
main(void)
{
	const struct CMUnitTest others[] = {
		cmocka_unit_test(
		    a_drain_from_another_thread_ends_a_reactor_that_sleeps),
		cmocka_unit_test(
		    ready_is_called_once_and_sees_what_every_start_did),
		cmocka_unit_test(
		    workers_that_fail_at_once_report_one_of_their_errors),
		cmocka_unit_test(the_first_of_two_errors_is_reported),
	};
	struct CMUnitTest tests[PAIRINGS_MAX];
	int failed;

	for (unsigned i = 0; i < pairing_count; i++) {
		tests[i] = (struct CMUnitTest) {
			.name = pairings[i].name,
			.test_func = pairing_holds,
			.initial_state = (void *)(uintptr_t)&pairings[i],
		};
	}
	failed = _cmocka_run_group_tests("pairings", tests, pairing_count,
	    NULL, NULL);
	return failed + cmocka_run_group_tests_name("order", others, NULL,
	    NULL);
}
