/* SPDX-License-Identifier: MIT */
/*
 * test_pg_chaos.c - a PostgreSQL that is killed, stopped and started again
 * while many ask, and many who give up at any moment: every call ends in time,
 * and nobody sees another's answer.
 */
#include "tests/harness.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/pg/torc_pg.h"
#include "tests/pg/server.h"
#include "tests/pg/stats.h"

#define LATE torc_after_ms(60000)
#define FIBERS 64
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

static struct pg_server postgres;

/* ---- Those who ask ---- */

struct load {
	struct server server;
	pthread_t thread;
	struct torc_pg *pg;
	unsigned patience_ms;	/* of each question */
	bool restless;		/* time out and cancel at random */
	unsigned rounds;	/* 0: until told */
	int line;
	atomic_bool over;
	atomic_uint answered;
	atomic_uint failed;
	atomic_uint wrong;
	atomic_uint latest_ms;	/* behind its deadline */
	atomic_uint attempts;	/* to connect */
	uint64_t ids[FIBERS];
};

struct asker {
	struct load *load;
	unsigned index;
	uint32_t noise;
};

static unsigned
random_below(struct asker *asker, unsigned most)
{
	asker->noise = asker->noise * 1664525u + 1013904223u;
	return (asker->noise >> 8) % most;
}

static int
check_row(struct load *load, const struct torc_pg_column *columns,
    const struct torc_pg_row *row, int64_t key)
{
	int64_t number = -1;

	torc_pg_read_int(columns, row->values[0], &number);
	atomic_fetch_add(number == key ? &load->answered : &load->wrong, 1);
	return 0;
}

/* One that takes long now and then. */
#define QUESTION "select $1, case when $2 then pg_sleep(0.02) end"

static int
ask_shared(struct load *load, const struct torc_pg_statement *question,
    int64_t key, torc_deadline deadline)
{
	struct torc_pg_result *result;
	struct torc_pg_row row;
	int rc = torc_pg_query(load->pg, question, &result, deadline);

	if (rc == 0 && torc_pg_result_next_row(result, &row))
		check_row(load, torc_pg_result_columns(result), &row, key);
	torc_pg_result_free(result);
	return rc;
}

static int
ask_session(struct load *load, const struct torc_pg_statement *question,
    int64_t key, torc_deadline deadline)
{
	struct torc_pg_session *session;
	struct torc_pg_row row;
	int rc = torc_pg_session_acquire(load->pg, &session, NULL, deadline);

	if (rc < 0)
		return rc;
	if (key % 3 == 0)
		rc = torc_pg_session_run(session, "begin", deadline);
	if (rc == 0)
		rc = torc_pg_session_begin(session, question, deadline);
	if (rc == 0)
		rc = torc_pg_session_next_row(session, &row, deadline);
	if (rc == 1) {
		check_row(load, torc_pg_session_columns(session), &row, key);
		rc = 0;
	}
	torc_pg_session_release(session);
	return rc;
}

static int
ask_once(struct asker *asker, int64_t key)
{
	struct load *load = asker->load;
	const struct torc_pg_param params[] = { torc_pg_int8(key),
		torc_pg_bool(load->restless && key % 16 == 0) };
	const struct torc_pg_statement question = { QUESTION, params, 2,
		key % 2 };
	unsigned ms = load->restless ? 1 + random_below(asker, 40) :
	    load->patience_ms;
	uint64_t due = now_ms() + ms, now;
	int rc = asker->index % 4 == 0 ?
	    ask_session(load, &question, key, torc_after_ms(ms)) :
	    ask_shared(load, &question, key, torc_after_ms(ms));

	now = now_ms();
	if (now > due && now - due > atomic_load(&load->latest_ms))
		atomic_store(&load->latest_ms, (unsigned)(now - due));
	if (rc < 0)
		atomic_fetch_add(&load->failed, 1);
	return rc;
}

/* Keys are those of one fiber alone. */
static int
ask_on(void *arg)
{
	struct asker *asker = arg;
	struct load *load = asker->load;

	for (unsigned i = 0; !atomic_load(&load->over) && (load->rounds == 0 ||
	    i < load->rounds); i++) {
		int rc = ask_once(asker, (int64_t)i << 8 | asker->index);

		/* It was cancelled, and can ask no more. */
		if (rc == -ECANCELED)
			return 0;
		/* As a server would, that answers 503 meanwhile. */
		if (rc < 0)
			torc_sleep(torc_after_ms(5));
	}
	return 0;
}

static int
count_attempts(void *arg)
{
	struct load *load = arg;
	struct client_stats stats;

	while (!atomic_load(&load->over)) {
		read_stats(load->pg, &stats);
		atomic_store(&load->attempts, (unsigned)(stats.shared.opens +
		    stats.shared.failures + stats.sessions.opens +
		    stats.sessions.failures + stats.own.cancels));
		torc_sleep(torc_after_ms(5));
	}
	return 0;
}

/* Those who are cancelled are replaced: only the restless are. */
static int
run_fibers(struct load *load)
{
	struct asker askers[FIBERS];
	uint32_t noise = 1;

	for (unsigned i = 0; i < FIBERS; i++) {
		askers[i] = (struct asker) { load, i, i * 7919 + 1 };
		EXPECT(torc_fiber_spawn(&load->ids[i], ask_on,
		    &askers[i]) == 0);
	}
	for (unsigned i = 0; load->restless && i < 200; i++) {
		unsigned at;

		torc_sleep(torc_after_ms(3));
		noise = noise * 1664525u + 1013904223u;
		at = (noise >> 8) % FIBERS;
		torc_fiber_cancel(load->ids[at]);
		EXPECT(torc_fiber_join(load->ids[at], NULL, LATE) == 0);
		EXPECT(torc_fiber_spawn(&load->ids[at], ask_on,
		    &askers[at]) == 0);
	}
	for (unsigned i = 0; i < FIBERS; i++)
		EXPECT(torc_fiber_join(load->ids[i], NULL, LATE) == 0);
	return 0;
}

static int
run_load(void *arg)
{
	struct load *load = arg;
	const struct torc_pg_config config = { .address = postgres.tcp,
		.user = "scram", .database = "torc", .password = PG_PASSWORD,
		.shared = 4, .sessions = 8, .open_ms = 1000,
		.cancel_ms = 500 };
	uint64_t counter;
	int line;

	EXPECT(torc_pg_create(&load->pg, &config, NULL) == 0);
	EXPECT(torc_fiber_spawn(&counter, count_attempts, load) == 0);
	line = run_fibers(load);
	atomic_store(&load->over, true);
	EXPECT(torc_fiber_join(counter, NULL, LATE) == 0);
	if (line == 0)
		torc_pg_destroy(load->pg, TORC_NEVER);
	return line;
}

static void *
run_thread(void *arg)
{
	struct load *load = arg;

	load->line = server_fiber(&load->server, run_load, load);
	return NULL;
}

static void
load_start(struct load *load)
{
	server_start(&load->server, NULL, echo_handler, NULL);
	assert_int_equal(pthread_create(&load->thread, NULL, run_thread,
	    load), 0);
}

static void
load_end(struct load *load)
{
	assert_int_equal(pthread_join(load->thread, NULL), 0);
	assert_int_equal(server_stop(&load->server), 0);
	if (load->line != 0)
		fail_msg("line %d does not hold", load->line);
	print_message("%u answered, %u failed, at most %u ms late\n",
	    atomic_load(&load->answered), atomic_load(&load->failed),
	    atomic_load(&load->latest_ms));
	assert_int_equal(atomic_load(&load->wrong), 0);
	assert_true(atomic_load(&load->answered) > FIBERS);
	/* All of it is slow at times; a call without end is not that. */
	assert_true(atomic_load(&load->latest_ms) < 20000);
}

/* ---- Claims ---- */

/* R-170, I72, I73 */
static void
who_gives_up_at_random_never_leaves_an_answer_to_another(void **state)
{
	struct load *load = calloc(1, sizeof(*load));
	unsigned fds = count_fds();

	(void)state;
	load->restless = true;
	load->rounds = 60;
	load_start(load);
	load_end(load);
	assert_true(atomic_load(&load->failed) > 0);
	assert_int_equal(count_fds(), fds);
	free(load);
}

/* Until `count` more are answered; how many milliseconds that took. */
static unsigned
await_answers(struct load *load, unsigned count)
{
	unsigned before = atomic_load(&load->answered);
	uint64_t begun = now_ms();

	while (atomic_load(&load->answered) - before < count) {
		assert_true(now_ms() - begun < 30000);
		pause_ms(2);
	}
	return (unsigned)(now_ms() - begun);
}

/* Nobody is answered, and all of them fail in time. */
static void
see_it_dead(struct load *load, unsigned ms)
{
	unsigned attempts, answered, failed;

	pause_ms(300);
	attempts = atomic_load(&load->attempts);
	answered = atomic_load(&load->answered);
	failed = atomic_load(&load->failed);
	pause_ms(ms);
	assert_int_equal(atomic_load(&load->answered), answered);
	assert_true(atomic_load(&load->failed) > failed);
	print_message("dead for %u ms: %u attempts to connect\n", ms,
	    atomic_load(&load->attempts) - attempts);
	assert_true(atomic_load(&load->attempts) - attempts <
	    50 * (ms / 1000));
}

/* A68, I68, I69 */
static void
a_server_that_is_killed_stopped_or_restarted_is_found_again(void **state)
{
	struct load *load = calloc(1, sizeof(*load));
	unsigned fds = count_fds();

	(void)state;
	load->patience_ms = 150;
	load_start(load);
	await_answers(load, 500);
	pg_server_kill(&postgres);
	see_it_dead(load, 2000);
	assert_true(pg_server_start(&postgres));
	print_message("killed: back after %u ms\n", await_answers(load, 1));
	await_answers(load, 500);
	pg_server_signal(&postgres, SIGSTOP);
	see_it_dead(load, 2000);
	pg_server_signal(&postgres, SIGCONT);
	print_message("stopped: back after %u ms\n", await_answers(load, 1));
	await_answers(load, 500);
	pg_server_stop(&postgres);
	assert_true(pg_server_start(&postgres));
	print_message("restarted: back after %u ms\n",
	    await_answers(load, 1));
	await_answers(load, 500);
	atomic_store(&load->over, true);
	load_end(load);
	assert_int_equal(count_fds(), fds);
	free(load);
}

/* SKIP and the reason are printed already. */
static void
nothing_can_be_said_without_a_server(void **state)
{
	(void)state;
}

int
main(void)
{
	const struct CMUnitTest none[] = {
		cmocka_unit_test(nothing_can_be_said_without_a_server),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    who_gives_up_at_random_never_leaves_an_answer_to_another),
		cmocka_unit_test(
		    a_server_that_is_killed_stopped_or_restarted_is_found_again),
	};
	int failed;

	cmocka_set_test_filter(getenv("TORC_TEST"));
	if (!pg_server_make(&postgres))
		return cmocka_run_group_tests_name("pg_chaos", none, NULL,
		    NULL);
	failed = cmocka_run_group_tests_name("pg_chaos", tests, NULL, NULL);
	pg_server_remove(&postgres);
	return failed;
}
