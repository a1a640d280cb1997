/* SPDX-License-Identifier: MIT */
/*
 * test_pg_shapes.c - statements that stay prepared while what they refer to
 * changes: each value is read as what it is, and what is out of date is
 * prepared again.
 */
#include "tests/pg/scene.h"
#include "tests/pg/stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Values with the names of their columns, as text ---- */

#define SEEN_SIZE 256u

static void
see_row(char *seen, const struct torc_pg_column *columns,
    const struct torc_pg_row *row)
{
	size_t used = strlen(seen);

	for (unsigned i = 0; i < row->count; i++) {
		const struct torc_slice value = row->values[i];
		int64_t whole;
		double real;

		if (torc_pg_read_int(&columns[i], value, &whole) == 0)
			used += (size_t)snprintf(seen + used, SEEN_SIZE - used,
			    "%s=%lld;", columns[i].name, (long long)whole);
		else if (torc_pg_read_float(&columns[i], value, &real) == 0)
			used += (size_t)snprintf(seen + used, SEEN_SIZE - used,
			    "%s=%g;", columns[i].name, real);
		else
			used += (size_t)snprintf(seen + used, SEEN_SIZE - used,
			    "%s='%.*s';", columns[i].name, (int)value.size,
			    (const char *)value.data);
	}
}

/* In a batch of two if `batched`. */
static int
see_shared(struct torc_pg *pg, struct torc_pg_statement statement,
    bool batched, char *seen)
{
	const struct torc_pg_statement two[] = { plain("select 7"),
		statement };
	struct torc_pg_result *result;
	struct torc_pg_row row;
	int rc = batched ? torc_pg_batch(pg, two, 2, &result, LATE) :
	    torc_pg_query(pg, &statement, &result, LATE);

	if (rc == 0) {
		torc_pg_result_seek(result, batched);
		while (torc_pg_result_next_row(result, &row))
			see_row(seen, torc_pg_result_columns(result), &row);
	}
	torc_pg_result_free(result);
	return rc;
}

static int
see_in(struct torc_pg_session *session, struct torc_pg_statement statement,
    char *seen)
{
	struct torc_pg_row row;
	int rc = torc_pg_session_begin(session, &statement, LATE);

	while (rc == 0 &&
	    (rc = torc_pg_session_next_row(session, &row, LATE)) == 1) {
		if (torc_pg_session_column_count(session) != row.count)
			return -EILSEQ;
		see_row(seen, torc_pg_session_columns(session), &row);
		rc = 0;
	}
	return rc;
}

/* By a query, in a batch, in a session; as text and in binary; three times. */
static int
see_in_all_ways(struct scene *scene, const char *sql, const char *expected)
{
	struct torc_pg_session *session = scene->arg;
	char seen[SEEN_SIZE];

	for (unsigned i = 0; i < 18; i++) {
		const struct torc_pg_statement statement = { .sql = sql,
			.binary = i % 2 == 1 };
		int rc;

		seen[0] = '\0';
		rc = i % 3 == 2 ? see_in(session, statement, seen) :
		    see_shared(scene->pg, statement, i % 3 == 1, seen);
		if (rc < 0 || strcmp(seen, expected) != 0) {
			print_message("%s: %d, %s, and not %s\n", sql, rc,
			    seen, expected);
			return __LINE__;
		}
	}
	return 0;
}

static int
with_session(struct scene *scene, int (*act)(struct scene *scene,
    struct torc_pg_session *session))
{
	struct torc_pg_session *session;
	int line;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	line = act(scene, session);
	torc_pg_session_release(session);
	return line;
}

/* ---- Tables, types, functions ---- */

static int
change_tables(struct scene *scene, struct torc_pg_session *session)
{
	static const struct {
		const char *change;
		const char *seen;
	} steps[] = {
		{ "drop table if exists t; create table t (a int, b int); "
		    "insert into t values (1, 2)", "a=1;b=2;" },
		{ "alter table t add column c text default 'new'",
		    "a=1;b=2;c='new';" },
		{ "alter table t alter column a type text using 'x' || a",
		    "a='x1';b=2;c='new';" },
		{ "alter table t alter column a type float8 using 1.5",
		    "a=1.5;b=2;c='new';" },
		{ "alter table t rename column b to bb; "
		    "alter table t drop column c", "a=1.5;bb=2;" },
		{ "drop table t; create table t (z smallint); "
		    "insert into t values (-3)", "z=-3;" },
	};

	scene->arg = session;
	for (unsigned i = 0; i < COUNT(steps); i++) {
		EXPECT(pg_server_sql(&postgres, steps[i].change));
		EXPECT(see_in_all_ways(scene, "select * from t",
		    steps[i].seen) == 0);
	}
	return 0;
}

static int
change_types_and_functions(struct scene *scene,
    struct torc_pg_session *session)
{
	scene->arg = session;
	EXPECT(pg_server_sql(&postgres, "drop type if exists e; "
	    "create type e as enum ('one')"));
	EXPECT(see_in_all_ways(scene, "select 'one'::e as v",
	    "v='one';") == 0);
	EXPECT(pg_server_sql(&postgres, "drop type e; "
	    "create type e as enum ('zero', 'one')"));
	EXPECT(see_in_all_ways(scene, "select 'one'::e as v",
	    "v='one';") == 0);
	EXPECT(pg_server_sql(&postgres, "drop function if exists f; "
	    "create function f() returns int language sql as 'select 5'"));
	EXPECT(see_in_all_ways(scene, "select f() as v", "v=5;") == 0);
	EXPECT(pg_server_sql(&postgres, "drop function f; create function f() "
	    "returns text language sql as $$select text 'five'$$"));
	EXPECT(see_in_all_ways(scene, "select f() as v", "v='five';") == 0);
	EXPECT(pg_server_sql(&postgres, "drop function f; create function f() "
	    "returns int language plpgsql as $$begin return 6; end$$"));
	EXPECT(see_in_all_ways(scene, "select f() as v", "v=6;") == 0);
	return 0;
}

static int
change_all(struct scene *scene)
{
	int line = with_session(scene, change_tables);

	return line != 0 ? line :
	    with_session(scene, change_types_and_functions);
}

static void
what_was_made_anew_under_a_statement_is_read_as_what_it_is(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 }, change_all);
}

/* ---- The types of parameters ---- */

static int
insert(struct torc_pg *pg, const char *text)
{
	const struct torc_pg_param param = torc_pg_text(text);
	const struct torc_pg_statement statement = {
		"insert into typed values ($1)", &param, 1, false };
	struct torc_pg_result *result;
	int rc = torc_pg_query(pg, &statement, &result, LATE);

	torc_pg_result_free(result);
	return rc;
}

/* The server chose them when the column had another type. */
static int
change_parameters(struct scene *scene)
{
	struct torc_pg *pg = scene->pg;

	EXPECT(pg_server_sql(&postgres, "drop table if exists typed; "
	    "create table typed (a smallint)"));
	EXPECT(insert(pg, "7") == 0);
	EXPECT(insert(pg, "70000") == -EREMOTEIO);
	EXPECT(pg_server_sql(&postgres,
	    "alter table typed alter column a type int"));
	EXPECT(insert(pg, "70000") == 0);
	EXPECT(insert(pg, "seven") == -EREMOTEIO);
	EXPECT(pg_server_sql(&postgres,
	    "alter table typed alter column a type text"));
	EXPECT(insert(pg, "seven") == 0);
	EXPECT(pg_server_sql(&postgres, "drop table typed; drop type if "
	    "exists mood; create type mood as enum ('sad'); "
	    "create table typed (a mood)"));
	EXPECT(insert(pg, "sad") == 0);
	EXPECT(pg_server_sql(&postgres, "drop table typed; drop type mood; "
	    "create type mood as enum ('sad', 'glad'); "
	    "create table typed (a mood)"));
	EXPECT(insert(pg, "glad") == 0);
	return 0;
}

static void
a_parameter_has_the_type_that_its_column_has_now(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 }, change_parameters);
}

/* ---- Statements whose rows are another one's ---- */

static int
fetch_in_turn(struct scene *scene, struct torc_pg_session *session,
    bool binary)
{
	const struct torc_pg_statement fetch = { .sql = "fetch next from c",
		.binary = binary };
	const struct torc_pg_statement execute = { .sql = "execute p",
		.binary = binary };
	char seen[SEEN_SIZE] = "";

	(void)scene;
	EXPECT(session_does(session, "begin; declare c cursor for "
	    "select 4607182418800017408 as a"));
	EXPECT(see_in(session, fetch, seen) == 0);
	EXPECT(strcmp(seen, "a=4607182418800017408;") == 0);
	EXPECT(session_does(session, "close c; declare c cursor for "
	    "select 1::float8 as b"));
	seen[0] = '\0';
	EXPECT(see_in(session, fetch, seen) == 0);
	EXPECT(strcmp(seen, "b=1;") == 0);
	EXPECT(session_does(session, "close c; declare c cursor for "
	    "select 'x' as c, 2 as d"));
	seen[0] = '\0';
	EXPECT(see_in(session, fetch, seen) == 0);
	EXPECT(strcmp(seen, "c='x';d=2;") == 0);
	EXPECT(session_does(session, "commit; prepare p as select 1 as a"));
	seen[0] = '\0';
	EXPECT(see_in(session, execute, seen) == 0);
	EXPECT(strcmp(seen, "a=1;") == 0);
	EXPECT(session_does(session, "deallocate p; "
	    "prepare p as select 2.5::float4 as f, 1 as a"));
	seen[0] = '\0';
	EXPECT(see_in(session, execute, seen) == 0);
	EXPECT(strcmp(seen, "f=2.5;a=1;") == 0);
	EXPECT(session_does(session, "deallocate p"));
	return 0;
}

static int
fetch_as_text(struct scene *scene, struct torc_pg_session *session)
{
	return fetch_in_turn(scene, session, false);
}

static int
fetch_in_binary(struct scene *scene, struct torc_pg_session *session)
{
	return fetch_in_turn(scene, session, true);
}

static int
call_in_turn(struct scene *scene, struct torc_pg_session *session)
{
	scene->arg = session;
	EXPECT(pg_server_sql(&postgres, "drop procedure if exists q; "
	    "create procedure q(inout a int) language plpgsql as "
	    "$$begin a := 5; end$$"));
	EXPECT(see_in_all_ways(scene, "call q(1)", "a=5;") == 0);
	EXPECT(pg_server_sql(&postgres, "drop procedure q; "
	    "create procedure q(inout a int, inout b float8 default 0.5) "
	    "language plpgsql as $$begin a := 6; end$$"));
	EXPECT(see_in_all_ways(scene, "call q(1)", "a=6;b=0.5;") == 0);
	EXPECT(see_in_all_ways(scene, "show server_encoding",
	    "server_encoding='UTF8';") == 0);
	return 0;
}

/* One text, and another table by a setting or by its name. */
static int
look_elsewhere(struct scene *scene, struct torc_pg_session *session)
{
	const struct torc_pg_statement statement = {
		.sql = "select * from place", .binary = true };
	char seen[SEEN_SIZE] = "";

	(void)scene;
	EXPECT(session_does(session, "drop table if exists place; create "
	    "table place (a int); insert into place values (1); drop schema "
	    "if exists other cascade; create schema other; create table "
	    "other.place (b float8); insert into other.place values (2)"));
	EXPECT(see_in(session, statement, seen) == 0);
	EXPECT(strcmp(seen, "a=1;") == 0);
	EXPECT(session_does(session, "set search_path to other"));
	seen[0] = '\0';
	EXPECT(see_in(session, statement, seen) == 0);
	EXPECT(strcmp(seen, "b=2;") == 0);
	EXPECT(session_does(session, "create temp table place as "
	    "select 3::int2 as c"));
	seen[0] = '\0';
	EXPECT(see_in(session, statement, seen) == 0);
	EXPECT(strcmp(seen, "c=3;") == 0);
	EXPECT(session_does(session, "discard all"));
	seen[0] = '\0';
	EXPECT(see_in(session, statement, seen) == 0);
	EXPECT(strcmp(seen, "a=1;") == 0);
	return 0;
}

static int
read_what_the_text_does_not_say(struct scene *scene)
{
	int line = with_session(scene, fetch_as_text);

	if (line == 0)
		line = with_session(scene, fetch_in_binary);
	if (line == 0)
		line = with_session(scene, call_in_turn);
	return line != 0 ? line : with_session(scene, look_elsewhere);
}

static void
rows_that_the_text_does_not_tell_of_are_read_as_what_they_are(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1, .sessions = 1 },
	    read_what_the_text_does_not_say);
}

/* ---- What is not done twice ---- */

static int
fail_in_the_end(struct scene *scene)
{
	struct client_stats stats;

	EXPECT(pg_server_sql(&postgres, "drop sequence if exists times; "
	    "create sequence times; create or replace function g() returns "
	    "int language plpgsql as $$begin perform nextval('times'); "
	    "raise exception 'gone' using errcode = '42P01'; end$$"));
	for (int i = 0; i < 3; i++)
		EXPECT(fails_with(scene->pg, "select g()", "42P01"));
	EXPECT(says(scene->pg, "select last_value from times", "3"));
	read_stats(scene->pg, &stats);
	EXPECT(stats.own.repeated == 0);
	/* While it is bound, it is: once. */
	EXPECT(pg_server_sql(&postgres, "drop table if exists gone; "
	    "create table gone (a int)"));
	EXPECT(does(scene->pg, "select * from gone"));
	EXPECT(pg_server_sql(&postgres, "drop table gone"));
	EXPECT(fails_with(scene->pg, "select * from gone", "42P01"));
	read_stats(scene->pg, &stats);
	EXPECT(stats.own.repeated == 1);
	EXPECT(fails_with(scene->pg, "select * from gone", "42P01"));
	read_stats(scene->pg, &stats);
	EXPECT(stats.own.repeated == 1 && stats.shared.opens == 1);
	return 0;
}

static void
a_statement_that_was_executed_is_not_executed_again(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 }, fail_in_the_end);
}

static int
keep_nothing(struct scene *scene)
{
	struct torc_pg_session *session;

	for (int i = 0; i < 3; i++)
		EXPECT(says(scene->pg, "select 'again'", "again"));
	EXPECT(says(scene->pg, "select count(*) from pg_prepared_statements",
	    "0"));
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	for (int i = 0; i < 3; i++)
		EXPECT(session_says(session, "select 'again'", "again"));
	EXPECT(session_says(session, "select count(*) from "
	    "pg_prepared_statements", "0"));
	torc_pg_session_release(session);
	return 0;
}

static int
keep_one(struct scene *scene)
{
	EXPECT(says(scene->pg, "select 'again'", "again"));
	EXPECT(says(scene->pg, "select count(*) from pg_prepared_statements",
	    "2"));
	return 0;
}

static void
unnamed_statements_are_not_kept_by_the_server(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1, .unnamed = true },
	    keep_nothing);
	play_with((struct torc_pg_config) { .shared = 1 }, keep_one);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    what_was_made_anew_under_a_statement_is_read_as_what_it_is),
		cmocka_unit_test(
		    a_parameter_has_the_type_that_its_column_has_now),
		cmocka_unit_test(
		    rows_that_the_text_does_not_tell_of_are_read_as_what_they_are),
		cmocka_unit_test(
		    a_statement_that_was_executed_is_not_executed_again),
		cmocka_unit_test(
		    unnamed_statements_are_not_kept_by_the_server),
	};

	return scene_main("pg_shapes", tests, COUNT(tests));
}
