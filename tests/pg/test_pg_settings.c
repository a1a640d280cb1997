/* SPDX-License-Identifier: MIT */
/*
 * test_pg_settings.c - what one leaves behind in a session is not there for
 * the next.
 */
#include "tests/pg/scene.h"
#include "tests/pg/stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- What is left, and how it shows ---- */

static const struct {
	const char *change;
	const char *look;
	const char *before;
	const char *after;
} ways[] = {
	{ "set statement_timeout = 4321", "show statement_timeout", "0",
	    "4321ms" },
	{ "select set_config('search_path', 'nowhere', false)",
	    "show search_path", "\"$user\", public", "nowhere" },
	{ "set role other", "select current_user::text", "torc", "other" },
	{ "set session authorization other", "select session_user::text",
	    "torc", "other" },
	{ "select pg_advisory_lock(7)", "select count(*) from pg_locks where "
	    "locktype = 'advisory' and pid = pg_backend_pid()", "0", "1" },
	{ "create temp table mine as select 1 as a", "select count(*) from "
	    "pg_class where relname = 'mine'", "0", "1" },
	{ "listen news", "select count(*) from pg_listening_channels()", "0",
	    "1" },
	{ "prepare p as select 1", "select count(*) from "
	    "pg_prepared_statements where name = 'p'", "0", "1" },
	{ "begin; declare c cursor with hold for select 1; commit",
	    "select count(*) from pg_cursors where name = 'c'", "0", "1" },
};

/* Rented again as soon as it is back: the only one that there is. */
static int
rent(struct scene *scene, struct torc_pg_session **session)
{
	return torc_pg_session_acquire(scene->pg, session, NULL, LATE);
}

static int
leave_things(struct scene *scene, bool stay)
{
	struct torc_pg_session *session;
	struct client_stats stats;

	for (unsigned i = 0; i < COUNT(ways); i++) {
		EXPECT(rent(scene, &session) == 0);
		EXPECT(session_says(session, ways[i].look, ways[i].before));
		EXPECT(session_does(session, ways[i].change));
		EXPECT(session_says(session, ways[i].look, ways[i].after));
		torc_pg_session_release(session);
		EXPECT(rent(scene, &session) == 0);
		EXPECT(session_says(session, ways[i].look,
		    stay ? ways[i].after : ways[i].before));
		/* For the next round. */
		EXPECT(!stay || session_does(session, "discard all"));
		torc_pg_session_release(session);
	}
	read_stats(scene->pg, &stats);
	EXPECT(stats.sessions.opens == 1);
	return 0;
}

static int
leave_nothing(struct scene *scene)
{
	return leave_things(scene, false);
}

static int
leave_all(struct scene *scene)
{
	return leave_things(scene, true);
}

static void
a_session_is_as_it_was_for_the_next_one(void **state)
{
	(void)state;
	assert_true(pg_server_sql(&postgres, "drop role if exists other; "
	    "create role other superuser"));
	play_with((struct torc_pg_config) { .sessions = 1 }, leave_nothing);
	play_with((struct torc_pg_config) { .sessions = 1,
	    .reset = "discard all" }, leave_nothing);
	play_with((struct torc_pg_config) { .sessions = 1, .reset = "" },
	    leave_all);
}

/* Nothing resets it; so the next one has another connection. */
static int
listen_and_leave(struct scene *scene)
{
	struct torc_pg_session *session;
	struct client_stats stats;

	EXPECT(rent(scene, &session) == 0);
	EXPECT(torc_pg_session_listen(session, "news", LATE) == 0);
	torc_pg_session_release(session);
	EXPECT(rent(scene, &session) == 0);
	EXPECT(session_says(session, "select count(*) from "
	    "pg_listening_channels()", "0"));
	torc_pg_session_release(session);
	read_stats(scene->pg, &stats);
	EXPECT(stats.sessions.opens == 2);
	return 0;
}

static void
a_session_that_listens_is_nobody_elses(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .sessions = 1, .reset = "" },
	    listen_and_leave);
}

/* Nothing resets it, but what its last user left open ends with him. */
static int
leave_open(struct scene *scene)
{
	const uint64_t begun = now_ms();
	struct torc_pg_session *session;
	struct torc_pg_row row;

	EXPECT(rent(scene, &session) == 0);
	EXPECT(session_does(session, "begin"));
	torc_pg_session_release(session);
	EXPECT(rent(scene, &session) == 0);
	EXPECT(torc_pg_session_state(session) == 'I');
	EXPECT(torc_pg_session_begin_simple(session,
	    "select generate_series(1, 3)", LATE) == 0);
	EXPECT(torc_pg_session_next_row(session, &row, LATE) == 1);
	torc_pg_session_release(session);
	EXPECT(rent(scene, &session) == 0);
	EXPECT(session_says(session, "select 7", "7"));
	/* What still runs is not waited for. */
	EXPECT(torc_pg_session_begin_simple(session, "select repeat('x', "
	    "20000), pg_sleep(case when i = 3 then 100 else 0 end) from "
	    "generate_series(1, 3) as i", LATE) == 0);
	torc_pg_session_release(session);
	EXPECT(rent(scene, &session) == 0);
	EXPECT(session_says(session, "select 8", "8"));
	torc_pg_session_release(session);
	EXPECT(now_ms() - begun < 60000);
	return 0;
}

static void
what_a_user_leaves_open_ends_although_nothing_is_reset(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .sessions = 1, .reset = "" },
	    leave_open);
}

/* ---- What it costs ---- */

static int
keep_prepared(struct scene *scene)
{
	struct torc_pg_session *session;
	struct client_stats stats;

	for (int i = 0; i < 5; i++) {
		EXPECT(rent(scene, &session) == 0);
		EXPECT(session_says(session, "select 'kept'", "kept"));
		torc_pg_session_release(session);
	}
	read_stats(scene->pg, &stats);
	EXPECT(stats.own.prepared == 1 && stats.own.repeated == 0);
	return 0;
}

static void
a_reset_keeps_what_is_prepared(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .sessions = 1 }, keep_prepared);
}

/* In a transaction nothing can be asked twice. */
static int
discard_within(struct scene *scene)
{
	struct torc_pg_session *session;

	EXPECT(rent(scene, &session) == 0);
	EXPECT(session_says(session, "select 'kept'", "kept"));
	EXPECT(session_does(session, "deallocate all; begin"));
	EXPECT(session_says(session, "select 'kept'", "kept"));
	EXPECT(session_does(session, "commit"));
	torc_pg_session_release(session);
	return 0;
}

static void
what_was_discarded_is_prepared_again_in_a_transaction_too(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .sessions = 1 }, discard_within);
}

static int
fail_to_reset(struct scene *scene)
{
	struct torc_pg_session *session;
	struct client_stats stats;

	EXPECT(rent(scene, &session) == 0);
	EXPECT(session_does(session, "set application_name = 'left'"));
	torc_pg_session_release(session);
	EXPECT(rent(scene, &session) == 0);
	EXPECT(session_says(session, "show application_name", ""));
	torc_pg_session_release(session);
	read_stats(scene->pg, &stats);
	EXPECT(stats.sessions.opens == 2);
	return 0;
}

static void
a_session_that_cannot_be_reset_is_closed(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .sessions = 1,
	    .reset = "select 1 / 0" }, fail_to_reset);
}

static int
rent_for_nothing(struct scene *scene)
{
	struct torc_pg_session *session;
	struct client_stats stats;

	EXPECT(rent(scene, &session) == 0);
	torc_pg_session_release(session);
	read_stats(scene->pg, &stats);
	EXPECT(stats.sessions.idle == 1);
	return 0;
}

static void
a_session_that_was_not_asked_anything_is_not_reset(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .sessions = 1 },
	    rent_for_nothing);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_is_as_it_was_for_the_next_one),
		cmocka_unit_test(a_session_that_listens_is_nobody_elses),
		cmocka_unit_test(
		    what_a_user_leaves_open_ends_although_nothing_is_reset),
		cmocka_unit_test(a_reset_keeps_what_is_prepared),
		cmocka_unit_test(
		    what_was_discarded_is_prepared_again_in_a_transaction_too),
		cmocka_unit_test(a_session_that_cannot_be_reset_is_closed),
		cmocka_unit_test(
		    a_session_that_was_not_asked_anything_is_not_reset),
	};

	return scene_main("pg_settings", tests, COUNT(tests));
}
