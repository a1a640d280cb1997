/* SPDX-License-Identifier: MIT */
/*
 * test_pg_pooler.c - behind PgBouncer, which gives each transaction, or each
 * statement, to whichever server is free: every answer is that of its own
 * statement.
 */
#include "tests/pg/scene.h"
#include "tests/pg/stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIBERS 6
#define ROUNDS 40

/* PgBouncer 1.21 and later has it; earlier ones do not know this line. */
static const char *
without_prepared(void)
{
	return getenv("PGBOUNCER") != NULL ? "max_prepared_statements = 0" :
	    "";
}

static bool
play_behind(const char *mode, unsigned servers, const char *more,
    struct torc_pg_config config, int (*act)(struct scene *scene))
{
	struct pg_pooler pooler;

	if (!pg_pooler_start(&pooler, &postgres, mode, servers, more))
		return false;
	config.address = pooler.tcp;
	play_with(config, act);
	pg_pooler_stop(&pooler);
	return true;
}

/* ---- Many statements at once ---- */

static const struct {
	const char *sql;
	const char *answer;
} lines[] = {
	{ "select 'zero'", "zero" },
	{ "select 'one' from (select pg_sleep(0.001)) as s", "one" },
	{ "select 'two' from generate_series(1, 3)", "two" },
	{ "select 3", "3" },
};

struct fiber {
	struct torc_pg *pg;
	unsigned index;
	uint64_t id;
};

/* The first one that is wrong, or 0. */
static int
ask_at_random(void *arg)
{
	const struct fiber *fiber = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		const unsigned of = (i * 7 + fiber->index * 3) % COUNT(lines);

		EXPECT(says(fiber->pg, lines[of].sql, lines[of].answer));
	}
	return 0;
}

static int
batch_at_random(void *arg)
{
	const struct fiber *fiber = arg;
	const struct torc_pg_statement both[] = { plain(lines[0].sql),
		plain(lines[2].sql), plain(lines[0].sql) };
	struct torc_pg_result *result;
	struct torc_pg_row row;

	for (unsigned i = 0; i < ROUNDS; i++) {
		EXPECT(torc_pg_batch(fiber->pg, both, 3, &result, LATE) == 0);
		for (unsigned j = 0; j < 3; j++) {
			torc_pg_result_seek(result, j);
			EXPECT(torc_pg_result_next_row(result, &row) &&
			    is(row.values[0], j == 1 ? "two" : "zero"));
		}
		torc_pg_result_free(result);
	}
	return 0;
}

static int
rent_at_random(void *arg)
{
	const struct fiber *fiber = arg;
	struct torc_pg_session *session;

	for (unsigned i = 0; i < ROUNDS / 4; i++) {
		EXPECT(torc_pg_session_acquire(fiber->pg, &session, NULL,
		    LATE) == 0);
		for (unsigned j = 0; j < COUNT(lines); j++)
			EXPECT(session_says(session, lines[j].sql,
			    lines[j].answer));
		torc_pg_session_release(session);
	}
	return 0;
}

static int
play_together(struct scene *scene, int (*const *ways)(void *arg),
    unsigned count)
{
	struct fiber fibers[FIBERS];
	int line = 0, first = 0;

	for (unsigned i = 0; i < FIBERS; i++) {
		fibers[i] = (struct fiber) { .pg = scene->pg, .index = i };
		EXPECT(torc_fiber_spawn(&fibers[i].id, ways[i % count],
		    &fibers[i]) == 0);
	}
	for (unsigned i = 0; i < FIBERS; i++) {
		EXPECT(torc_fiber_join(fibers[i].id, &line, LATE) == 0);
		if (first == 0)
			first = line;
	}
	return first;
}

static int
ask_in_all_ways(struct scene *scene)
{
	int (*const ways[])(void *arg) = { ask_at_random, batch_at_random,
		rent_at_random };

	return play_together(scene, ways, COUNT(ways));
}

/* In the first, each connection has a server for itself. */
static const struct {
	const char *name;
	unsigned servers;
} modes[] = { { "session", 20 }, { "transaction", 3 }, { "statement", 3 } };

static void
each_answer_behind_a_pooler_is_that_of_its_statement(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNT(modes); i++)
		if (!play_behind(modes[i].name, modes[i].servers,
		    without_prepared(),
		    (struct torc_pg_config) { .shared = 3 }, ask_in_all_ways))
			return;
}

static int
ask_unnamed(struct scene *scene)
{
	struct client_stats stats;

	EXPECT(ask_in_all_ways(scene) == 0);
	read_stats(scene->pg, &stats);
	EXPECT(stats.own.repeated == 0);
	EXPECT(says(scene->pg, "select count(*) from pg_prepared_statements",
	    "0"));
	return 0;
}

static void
unnamed_statements_behind_a_pooler_fail_never_and_leave_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNT(modes); i++)
		if (!play_behind(modes[i].name, modes[i].servers,
		    without_prepared(),
		    (struct torc_pg_config) { .shared = 3, .unnamed = true },
		    ask_unnamed))
			return;
}

static int
ask_followed(struct scene *scene)
{
	struct client_stats stats;

	EXPECT(ask_in_all_ways(scene) == 0);
	read_stats(scene->pg, &stats);
	EXPECT(stats.own.repeated == 0);
	return 0;
}

/* Only with a PgBouncer that knows them. */
static void
a_pooler_that_follows_prepared_statements_makes_none_fail(void **state)
{
	(void)state;
	if (getenv("PGBOUNCER") == NULL)
		return;
	assert_true(play_behind("transaction", 3,
	    "max_prepared_statements = 100",
	    (struct torc_pg_config) { .shared = 3 }, ask_followed));
}

/* ---- Clients of one server ---- */

/* Two clients, and one server for both of them: what is the first statement of
 * the one is the first of the other, too. */
static int
ask_as_two(struct scene *scene)
{
	struct torc_pg *other;

	EXPECT(torc_pg_create(&other, &scene->config, NULL) == 0);
	for (int i = 0; i < 10; i++) {
		EXPECT(says(scene->pg, "select 'mine'", "mine"));
		EXPECT(says(other, "select 'theirs'", "theirs"));
		EXPECT(says(scene->pg, "select 1", "1"));
		EXPECT(says(other, "select 2", "2"));
	}
	torc_pg_destroy(other, TORC_NEVER);
	return 0;
}

static void
clients_that_share_a_server_have_statements_of_their_own(void **state)
{
	(void)state;
	play_behind("transaction", 1, without_prepared(),
	    (struct torc_pg_config) { .shared = 1 }, ask_as_two);
}

/* ---- Transactions ---- */

static int
transact(struct scene *scene)
{
	struct torc_pg_session *session;

	EXPECT(pg_server_sql(&postgres, "drop table if exists sums; "
	    "create table sums (a int)"));
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	for (int i = 0; i < 5; i++) {
		EXPECT(session_does(session, "begin"));
		EXPECT(session_does(session, "insert into sums values (1)"));
		EXPECT(session_does(session, i == 4 ? "rollback" : "commit"));
		EXPECT(session_says(session, "select count(*) from sums",
		    i == 0 ? "1" : i == 1 ? "2" : i == 2 ? "3" : "4"));
	}
	torc_pg_session_release(session);
	return 0;
}

static void
a_transaction_behind_a_pooler_is_one(void **state)
{
	(void)state;
	play_behind("transaction", 2, without_prepared(),
	    (struct torc_pg_config) { .unnamed = true }, transact);
	play_behind("session", 2, without_prepared(),
	    (struct torc_pg_config) { .sessions = 1 }, transact);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    each_answer_behind_a_pooler_is_that_of_its_statement),
		cmocka_unit_test(
		    unnamed_statements_behind_a_pooler_fail_never_and_leave_nothing),
		cmocka_unit_test(
		    a_pooler_that_follows_prepared_statements_makes_none_fail),
		cmocka_unit_test(
		    clients_that_share_a_server_have_statements_of_their_own),
		cmocka_unit_test(a_transaction_behind_a_pooler_is_one),
	};

	return scene_main("pg_pooler", tests, COUNT(tests));
}
