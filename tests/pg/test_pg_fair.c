/* SPDX-License-Identifier: MIT */
/*
 * test_pg_fair.c - many share a connection, and one of them asks for what is
 * too much, or does not belong there: that one has an error, and nobody else.
 */
#include "tests/pg/scene.h"
#include "tests/pg/stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Those that share the connection ---- */

#define OTHERS 8

struct others {
	struct torc_pg *pg;
	bool over;
	unsigned answered;
	unsigned failed;
	uint64_t ids[OTHERS];
};

static int
ask_on_and_on(void *arg)
{
	struct others *others = arg;

	while (!others->over)
		if (says(others->pg, "select 'small'", "small"))
			others->answered++;
		else
			others->failed++;
	return 0;
}

static int
begin_others(struct others *others, struct torc_pg *pg)
{
	*others = (struct others) { .pg = pg };
	for (int i = 0; i < OTHERS; i++)
		EXPECT(torc_fiber_spawn(&others->ids[i], ask_on_and_on,
		    others) == 0);
	return 0;
}

/* All of theirs were answered, on one connection, and after what was done
 * meanwhile, too. */
static int
end_others(struct others *others)
{
	const unsigned before = others->answered;
	struct client_stats stats;

	while (others->answered < before + OTHERS && others->failed == 0)
		torc_yield();
	others->over = true;
	for (int i = 0; i < OTHERS; i++)
		EXPECT(torc_fiber_join(others->ids[i], NULL, LATE) == 0);
	read_stats(others->pg, &stats);
	EXPECT(others->failed == 0);
	EXPECT(stats.shared.opens == 1 && stats.own.retired == 0);
	return 0;
}

/* What becomes of a statement. */
struct fate {
	const char *sql;
	int rc;
	enum torc_pg_outcome outcome;
	const char *words;
};

static bool
becomes(struct torc_pg *pg, const struct fate *fate)
{
	struct torc_pg_result *result;
	const struct torc_pg_error *error;
	int rc = ask(pg, fate->sql, &result);
	bool so = rc == fate->rc && result != NULL;

	error = so ? torc_pg_result_error(result) : NULL;
	so = so && (rc == 0 || (error->outcome == fate->outcome &&
	    strstr(error->text, fate->words) != NULL));
	if (!so)
		print_message("%s: %d, %s\n", fate->sql, rc, error != NULL ?
		    error->text : "nothing");
	torc_pg_result_free(result);
	return so;
}

static int
become_all(struct scene *scene, const struct fate *fates, unsigned count)
{
	struct others others;

	EXPECT(begin_others(&others, scene->pg) == 0);
	for (unsigned i = 0; i < 3 * count; i++)
		EXPECT(becomes(scene->pg, &fates[i % count]));
	return end_others(&others);
}

/* ---- What is too much ---- */

static int
ask_for_too_much(struct scene *scene)
{
	static const struct fate fates[] = {
		{ "select repeat('x', 100000)", -EMSGSIZE, TORC_PG_DONE,
		    "message_max" },
		{ "select repeat('x', 900) from generate_series(1, 100)",
		    -EMSGSIZE, TORC_PG_DONE, "result_max" },
		{ "select repeat('x', 100000) from generate_series(1, 9)",
		    -EMSGSIZE, TORC_PG_DONE, "message_max" },
		{ "select 1, repeat('x', 100000) from generate_series(1, 3) "
		    "union all select 1 / 0, null", -EREMOTEIO, TORC_PG_UNDONE,
		    "division by zero" },
		/* More than a message for the names of its columns. */
		{ "select * from wide", -EMSGSIZE, TORC_PG_DONE,
		    "message_max" },
		/* The beginning of its words is there. */
		{ "select shout(5000)", -EREMOTEIO, TORC_PG_UNDONE, "xxxxx" },
		{ "select whisper(5000)", 0, TORC_PG_DONE, "" },
		{ "select shout(50)", -EREMOTEIO, TORC_PG_UNDONE, "xxxxx" },
		{ "select 1", 0, TORC_PG_DONE, "" },
	};

	return become_all(scene, fates, COUNT(fates));
}

static void
make_functions(void)
{
	char sql[8000] = "drop table if exists wide; create table wide (";
	size_t used = strlen(sql);

	for (int i = 0; i < 100; i++)
		used += (size_t)snprintf(sql + used, sizeof(sql) - used,
		    "%sa_column_of_a_long_name_%d int", i > 0 ? ", " : "", i);
	strcpy(sql + used, "); insert into wide default values");
	assert_true(pg_server_sql(&postgres, sql));
	assert_true(pg_server_sql(&postgres, "create or replace function "
	    "shout(size int) returns int language plpgsql as $$begin raise "
	    "exception '%', repeat('x', size); end$$; create or replace "
	    "function whisper(size int) returns int language plpgsql as "
	    "$$begin raise notice '%', repeat('x', size); return 1; end$$"));
}

/* Each message of the server's is above the bound in turn. */
static void
what_is_too_long_for_one_is_read_past_and_nobody_else_hears_of_it(
    void **state)
{
	(void)state;
	make_functions();
	play_with((struct torc_pg_config) { .shared = 1, .message_max = 1024,
	    .result_max = 4096 }, ask_for_too_much);
}

/* A batch right behind it in the same turn. */
static int
batch_behind_a_large_row(struct scene *scene)
{
	const struct torc_pg_statement large =
	    plain("select repeat('x', 3000000)");
	char one[64], two[64], sum[16];
	struct torc_pg_statement both[] = { plain(one), plain(two) };
	struct torc_pg_result *result;
	struct others others;

	EXPECT(pg_server_sql(&postgres, "drop table if exists orders; "
	    "create table orders (id int)"));
	EXPECT(begin_others(&others, scene->pg) == 0);
	for (int i = 0; i < 10; i++) {
		snprintf(one, sizeof(one), "insert into orders values (%d)",
		    2 * i);
		snprintf(two, sizeof(two), "insert into orders values (%d)",
		    2 * i + 1);
		EXPECT(torc_pg_query(scene->pg, &large, &result,
		    LATE) == -EMSGSIZE);
		torc_pg_result_free(result);
		EXPECT(torc_pg_batch(scene->pg, both, 2, &result, LATE) == 0);
		torc_pg_result_free(result);
		snprintf(sum, sizeof(sum), "%d", 2 * i + 2);
		EXPECT(says(scene->pg, "select count(*) from orders", sum));
	}
	return end_others(&others);
}

static void
a_batch_beside_a_row_that_is_too_long_is_done(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1,
	    .message_max = 1 << 20 }, batch_behind_a_large_row);
}

#define HUGE (100u << 20)

/* It is read past, and not kept in between. */
static int
ask_for_a_huge_row(struct scene *scene)
{
	const size_t before = resident_bytes();
	size_t most = before;
	struct torc_pg_result *result;
	char sql[64];

	snprintf(sql, sizeof(sql), "select repeat('x', %u)", HUGE);
	for (int i = 0; i < 3; i++) {
		EXPECT(ask(scene->pg, sql, &result) == -EMSGSIZE);
		torc_pg_result_free(result);
		if (resident_bytes() > most)
			most = resident_bytes();
	}
	EXPECT(most < before + HUGE / 8);
	return 0;
}

static void
what_is_read_past_takes_no_memory(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 },
	    ask_for_a_huge_row);
}

/* ---- What does not belong there ---- */

/* In a transaction that failed, the server would refuse what others ask. */
static int
fail_within_a_transaction(struct scene *scene)
{
	const struct torc_pg_statement good[] = { plain("begin"),
		plain("insert into kept values (1)"), plain("commit") };
	const struct torc_pg_statement bad[] = { plain("begin isolation "
	    "level serializable"), plain("insert into kept values (2)"),
		plain("select 1 / 0"), plain("commit") };
	struct torc_pg_result *result;
	struct others others;

	EXPECT(pg_server_sql(&postgres, "drop table if exists kept; "
	    "create table kept (a int)"));
	EXPECT(begin_others(&others, scene->pg) == 0);
	for (int i = 0; i < 5; i++) {
		EXPECT(torc_pg_batch(scene->pg, good, 3, &result, LATE) == 0);
		torc_pg_result_free(result);
		EXPECT(torc_pg_batch(scene->pg, bad, 4, &result, LATE) ==
		    -EREMOTEIO);
		EXPECT(torc_pg_result_error(result)->statement == 2);
		torc_pg_result_free(result);
	}
	EXPECT(says(scene->pg, "select sum(a) from kept", "5"));
	return end_others(&others);
}

static unsigned notices;

static void
count_notice(struct torc_pg *pg, const struct torc_pg_error *notice,
    void *arg)
{
	(void)pg;
	(void)arg;
	print_message("%s\n", notice->text);
	notices++;
}

static void
a_transaction_of_a_batch_that_fails_is_over_for_the_others(void **state)
{
	(void)state;
	notices = 0;
	play_with((struct torc_pg_config) { .shared = 1,
	    .notice = count_notice }, fail_within_a_transaction);
	assert_int_equal(notices, 0);
}

static int
ask_for_what_stays(struct scene *scene)
{
	static const struct fate fates[] = {
		{ "set statement_timeout = 5", -EOPNOTSUPP, TORC_PG_UNSENT,
		    "torc_pg_session_acquire" },
		{ "/* a */ -- b\n ; SeT\trole torc", -EOPNOTSUPP,
		    TORC_PG_UNSENT, "torc_pg_session_acquire" },
		{ "reset all", -EOPNOTSUPP, TORC_PG_UNSENT,
		    "torc_pg_session_acquire" },
		{ "listen news", -EOPNOTSUPP, TORC_PG_UNSENT,
		    "torc_pg_session_acquire" },
		{ "prepare p as select 1", -EOPNOTSUPP, TORC_PG_UNSENT,
		    "torc_pg_session_acquire" },
		{ "deallocate all", -EOPNOTSUPP, TORC_PG_UNSENT,
		    "torc_pg_session_acquire" },
		{ "discard all", -EOPNOTSUPP, TORC_PG_UNSENT,
		    "torc_pg_session_acquire" },
		{ "create temp table x (a int)", -EOPNOTSUPP, TORC_PG_UNSENT,
		    "torc_pg_session_acquire" },
		{ "select 1 as a into temporary x", -EOPNOTSUPP,
		    TORC_PG_UNSENT, "torc_pg_session_acquire" },
		{ "select set_config('statement_timeout', '5', false)",
		    -EOPNOTSUPP, TORC_PG_UNSENT, "torc_pg_session_acquire" },
		{ "select pg_advisory_lock(1)", -EOPNOTSUPP, TORC_PG_UNSENT,
		    "torc_pg_session_acquire" },
		{ "explain analyze select pg_advisory_lock(1)", -EOPNOTSUPP,
		    TORC_PG_UNSENT, "torc_pg_session_acquire" },
		{ "create table pg_temp.x (a int)", -EOPNOTSUPP,
		    TORC_PG_UNSENT, "torc_pg_session_acquire" },
		{ "do $$ begin set statement_timeout = 5; end $$",
		    -EOPNOTSUPP, TORC_PG_UNSENT, "torc_pg_session_acquire" },
		{ "start transaction", -EOPNOTSUPP, TORC_PG_UNSENT,
		    "torc_pg_session_acquire" },
		{ "commit and chain", -EOPNOTSUPP, TORC_PG_UNSENT,
		    "torc_pg_session_acquire" },
		{ "copy kept from stdin", -EOPNOTSUPP, TORC_PG_UNSENT,
		    "torc_pg_copy_in_begin" },
		{ "copy (select 1) to stdout", -EOPNOTSUPP, TORC_PG_UNSENT,
		    "torc_pg_copy_out_begin" },
		/* What only looks like it. */
		{ "select 'set statement_timeout = 5'", 0, TORC_PG_DONE, "" },
		{ "select set_config('statement_timeout', '500', true)", 0,
		    TORC_PG_DONE, "" },
		{ "select pg_advisory_xact_lock(1)", 0, TORC_PG_DONE, "" },
		{ "set local statement_timeout = 5", 0, TORC_PG_DONE, "" },
		{ "select 1 as \"into temp\", $$ set_config( $$", 0,
		    TORC_PG_DONE, "" },
		{ "select a as temp from kept", 0, TORC_PG_DONE, "" },
		{ "rollback", 0, TORC_PG_DONE, "" },
		{ "notify news, 'good'", 0, TORC_PG_DONE, "" },
		{ "explain select pg_advisory_lock(1)", 0, TORC_PG_DONE, "" },
		{ "do $$ begin set local statement_timeout = 5; end $$", 0,
		    TORC_PG_DONE, "" },
	};

	EXPECT(pg_server_sql(&postgres, "drop table if exists kept; "
	    "create table kept (a int)"));
	return become_all(scene, fates, COUNT(fates));
}

static void
what_would_change_the_session_of_all_is_refused_before_it_is_sent(
    void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 },
	    ask_for_what_stays);
}

static int
change_in_secret(struct scene *scene)
{
	struct client_stats stats;

	/* No word of it, but the server tells of this parameter. */
	EXPECT(does(scene->pg, "do $$ begin execute "
	    "'set timezone to ''Asia/Tokyo'''; end $$"));
	EXPECT(!says(scene->pg, "show timezone", "Asia/Tokyo"));
	read_stats(scene->pg, &stats);
	EXPECT(stats.own.retired == 1 && stats.shared.opens == 2);
	/* And not of this one. */
	EXPECT(does(scene->pg, "do $$ begin execute "
	    "'set statement_timeout to 4321'; end $$"));
	EXPECT(says(scene->pg, "show statement_timeout", "0"));
	return 0;
}

static void
a_shared_connection_whose_settings_have_changed_is_left(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 }, change_in_secret);
}

/* ---- What takes long ---- */

static int
sleep_long(void *arg)
{
	return says(arg, "select 'slept' from (select pg_sleep(4)) s",
	    "slept") ? 0 : __LINE__;
}

static int
ask_soon(struct torc_pg *pg)
{
	const struct torc_pg_statement statement = plain("select 1");
	struct torc_pg_result *result;
	int rc = torc_pg_query(pg, &statement, &result, torc_after_ms(2500));

	torc_pg_result_free(result);
	return rc;
}

/* Of several that ask after it, so many fail, and it is answered itself. */
static int
ask_beside_a_sleeper(struct scene *scene, int most)
{
	uint64_t sleeper;
	int failed = 0, line;

	EXPECT(ask_soon(scene->pg) == 0);
	EXPECT(torc_fiber_spawn(&sleeper, sleep_long, scene->pg) == 0);
	EXPECT(torc_sleep(torc_after_ms(100)) == 0);
	for (int i = 0; i < 20; i++)
		failed += ask_soon(scene->pg) < 0;
	EXPECT(failed == most);
	EXPECT(torc_fiber_join(sleeper, &line, LATE) == 0 && line == 0);
	return 0;
}

static int
ask_beside_it(struct scene *scene)
{
	return ask_beside_a_sleeper(scene, 0);
}

/* The one that finds out that nothing is answered there. */
static int
ask_behind_it(struct scene *scene)
{
	return ask_beside_a_sleeper(scene, 1);
}

static void
a_statement_that_takes_long_keeps_at_most_one_of_the_others(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 2 }, ask_beside_it);
	play_with((struct torc_pg_config) { .shared = 1 }, ask_behind_it);
}

/* ---- Sessions ---- */

static int
read_past_in_a_session(struct scene *scene)
{
	const struct torc_pg_statement rows = plain("select repeat('x', "
	    "case when i = 2 then 100000 else i end) from "
	    "generate_series(1, 3) i");
	const struct torc_pg_statement wide = plain("select * from wide");
	struct torc_pg_session *session;
	struct torc_slice line;
	struct torc_pg_row row;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_begin(session, &rows, LATE) == 0);
	EXPECT(torc_pg_session_next_row(session, &row, LATE) == 1);
	EXPECT(is(row.values[0], "x"));
	EXPECT(torc_pg_session_next_row(session, &row, LATE) == -EMSGSIZE);
	EXPECT(strstr(torc_pg_session_error(session)->text, "message_max"));
	EXPECT(torc_pg_session_next_row(session, &row, LATE) == 1);
	EXPECT(is(row.values[0], "xxx"));
	EXPECT(torc_pg_session_next_row(session, &row, LATE) == 0);
	EXPECT(torc_pg_session_begin(session, &wide, LATE) == -EMSGSIZE);
	EXPECT(session_says(session, "select 1", "1"));
	/* Of several results, where nobody wants that row. */
	EXPECT(torc_pg_session_begin_simple(session,
	    "select repeat('x', 100000); "
	    "select 2",
	    LATE) == 0);
	EXPECT(torc_pg_session_next_result(session, LATE) == 1);
	EXPECT(torc_pg_session_next_row(session, &row, LATE) == 1);
	EXPECT(is(row.values[0], "2"));
	EXPECT(
	    torc_pg_copy_out_begin(session,
		"copy (select repeat('x', case when "
		"i = 1 then 100000 else i end) from generate_series(1, 2) i) "
		"to stdout",
		LATE) == 0);
	EXPECT(torc_pg_copy_out_read(session, &line, LATE) == -EMSGSIZE);
	EXPECT(torc_pg_copy_out_read(session, &line, LATE) == 1);
	EXPECT(is(line, "xx\n"));
	EXPECT(torc_pg_copy_out_read(session, &line, LATE) == 0);
	EXPECT(torc_pg_session_run(session, "select shout(5000)", LATE) ==
	    -EREMOTEIO);
	EXPECT(torc_pg_session_state(session) == 'I');
	torc_pg_session_release(session);
	return 0;
}

static void
a_row_that_is_too_long_in_a_session_is_one_row(void **state)
{
	(void)state;
	make_functions();
	play_with((struct torc_pg_config) { .message_max = 1024 },
	    read_past_in_a_session);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    what_is_too_long_for_one_is_read_past_and_nobody_else_hears_of_it),
		cmocka_unit_test(
		    a_batch_beside_a_row_that_is_too_long_is_done),
		cmocka_unit_test(what_is_read_past_takes_no_memory),
		cmocka_unit_test(
		    a_transaction_of_a_batch_that_fails_is_over_for_the_others),
		cmocka_unit_test(
		    what_would_change_the_session_of_all_is_refused_before_it_is_sent),
		cmocka_unit_test(
		    a_shared_connection_whose_settings_have_changed_is_left),
		cmocka_unit_test(
		    a_statement_that_takes_long_keeps_at_most_one_of_the_others),
		cmocka_unit_test(
		    a_row_that_is_too_long_in_a_session_is_one_row),
	};

	return scene_main("pg_fair", tests, COUNT(tests));
}
