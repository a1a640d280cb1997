/* SPDX-License-Identifier: MIT */
/*
 * test_pg_corners.c - what seldom happens to the client of PostgreSQL, on a
 * real server: no memory for one thing or another, a server that says
 * farewell, statements and rows of unusual shapes.
 *
 * wrap: malloc calloc realloc strdup free
 */
#include "tests/harness.h"
#include "tests/seam.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/pg/torc_pg.h"
#include "tests/pg/server.h"
#include "tests/pg/stats.h"

#define LATE torc_after_ms(60000)
#define WIDE 40			/* columns; more than fit into a result */
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

static struct pg_server postgres;

/* ---- An allocation that fails ---- */

static _Thread_local bool watched;	/* on this thread, they count */
static unsigned taken;			/* so many did */
static unsigned fail_at;		/* this one fails; 0: none */
static atomic_long live;		/* of all threads */

static bool
fails(void)
{
	return watched && ++taken == fail_at;
}

static void *
counted(void *memory)
{
	live += memory != NULL;
	return memory;
}

void *
__wrap_malloc(size_t size)
{
	return fails() ? NULL : counted(__real_malloc(size));
}

void *
__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : counted(__real_calloc(count, size));
}

void *
__wrap_realloc(void *memory, size_t size)
{
	if (fails())
		return NULL;
	return memory == NULL ? counted(__real_malloc(size)) :
	    __real_realloc(memory, size);
}

char *
__wrap_strdup(const char *text)
{
	return fails() ? NULL : counted(__real_strdup(text));
}

void
__wrap_free(void *memory)
{
	live -= memory != NULL;
	__real_free(memory);
}

/* ---- The stage ---- */

struct scene {
	struct torc_pg_config config;
	struct torc_pg *pg;
	int (*play)(struct scene *scene);
};

static int
run_scene(void *arg)
{
	struct scene *scene = arg;
	int line;

	EXPECT(torc_pg_create(&scene->pg, &scene->config, NULL) == 0);
	line = scene->play(scene);
	if (line == 0)		/* else something may be rented still */
		torc_pg_destroy(scene->pg, TORC_NEVER);
	return line;
}

static void
play_on(int (*entry)(void *arg), struct scene scene)
{
	const unsigned fds = count_fds();
	struct server server;
	int line;

	scene.config.address = postgres.tcp;
	scene.config.user = "torc";
	scene.config.database = "torc";
	server_start(&server, NULL, echo_handler, NULL);
	line = server_fiber(&server, entry, &scene);
	assert_int_equal(server_stop(&server), 0);
	if (line != 0)
		fail_msg("line %d does not hold", line);
	assert_int_equal(count_fds(), fds);
}

static void
play_with(struct torc_pg_config config, int (*act)(struct scene *scene))
{
	play_on(run_scene, (struct scene) { .config = config, .play = act });
}

static bool
is(struct torc_slice value, const char *text)
{
	return value.data != NULL && value.size == strlen(text) &&
	    memcmp(value.data, text, value.size) == 0;
}

/* ---- No memory ---- */

/*
 * A call that found no memory says so, or its connection ends; what others
 * are told is never that they ran out of time, or that the protocol was
 * broken.
 */
static bool
is_shortage(int rc)
{
	return rc == -ENOMEM || rc == -ECONNABORTED;
}

static const char *
wide(char *sql, size_t size)
{
	size_t used = (size_t)snprintf(sql, size, "select repeat('x', 9000)");

	for (int i = 1; i < WIDE; i++)
		used += (size_t)snprintf(sql + used, size - used, ", %d", i);
	return sql;
}

static bool
is_wide(const struct torc_pg_row *row)
{
	return row->count == WIDE && row->values[0].size == 9000 &&
	    is(row->values[WIDE - 1], "39");
}

static int
ask_for_much(struct torc_pg *pg)
{
	const struct torc_pg_param params[] = { torc_pg_int4(40),
		torc_pg_text("2") };
	const struct torc_pg_statement sum = { "select $1 + $2", params, 2,
		false };
	char text[512];
	const struct torc_pg_statement row_of_many = {
		.sql = wide(text, sizeof(text)) };
	struct torc_pg_result *result;
	struct torc_pg_row row;
	int rc = torc_pg_query(pg, &sum, &result, LATE);

	EXPECT(rc == 0 || is_shortage(rc));
	EXPECT(rc < 0 || (torc_pg_result_next_row(result, &row) &&
	    is(row.values[0], "42")));
	torc_pg_result_free(result);
	rc = torc_pg_query(pg, &row_of_many, &result, LATE);
	EXPECT(rc == 0 || is_shortage(rc));
	EXPECT(
	    rc < 0 || (torc_pg_result_next_row(result, &row) && is_wide(&row)));
	torc_pg_result_free(result);
	return 0;
}

/* Each step if all before it went well: what the first that did not said. */
static int
use_session(struct torc_pg_session *session)
{
	char text[512];
	const struct torc_pg_statement row_of_many = {
		.sql = wide(text, sizeof(text)) };
	struct torc_pg_notification news;
	struct torc_slice line;
	struct torc_pg_row row;
	int rc = torc_pg_session_begin(session, &row_of_many, LATE);

	if (rc == 0)
		rc = torc_pg_session_next_row(session, &row, LATE);
	if (rc == 1)
		rc = is_wide(&row) ? torc_pg_session_end(session, LATE) :
		    -EILSEQ;
	if (rc == 0)
		rc = torc_pg_session_listen(session, "news", LATE);
	if (rc == 0)
		rc = torc_pg_session_run(session, "notify news, 'good'", LATE);
	if (rc == 0)
		rc = torc_pg_session_await_notification(session, &news, LATE);
	if (rc == 0)
		rc = strcmp(news.payload, "good") == 0 ? 0 : -EILSEQ;
	if (rc == 0)
		rc = torc_pg_copy_out_begin(
		    session, "copy (select 7) to stdout", LATE);
	if (rc == 0)
		rc = torc_pg_copy_out_read(session, &line, LATE);
	if (rc == 1)
		rc = is(line, "7\n") ?
		    torc_pg_copy_out_end(session, NULL, LATE) : -EILSEQ;
	return rc;
}

static int
use_client(struct torc_pg *pg)
{
	struct torc_pg_session *session;
	int line = ask_for_much(pg);
	int rc = torc_pg_session_acquire(pg, &session, NULL, LATE);

	EXPECT(rc == 0 || is_shortage(rc));
	if (rc == 0) {
		rc = use_session(session);
		torc_pg_session_release(session);
		/* The last one: a notification was lost, which is told. */
		EXPECT(rc == 0 || is_shortage(rc) || rc == -EOVERFLOW);
	}
	return line;
}

static int
run_short_of_memory(void *arg)
{
	static const char *const parameters[] = { "application_name", "short",
		NULL };
	struct scene *scene = arg;
	int line, rc;

	scene->config.parameters = parameters;
	watched = true;
	rc = torc_pg_create(&scene->pg, &scene->config, NULL);
	line = rc == 0 ? use_client(scene->pg) : 0;
	watched = false;
	EXPECT(rc == 0 || rc == -ENOMEM);
	if (rc < 0 || line != 0)
		return line;
	/* It was that once. */
	EXPECT(use_client(scene->pg) == 0);
	torc_pg_destroy(scene->pg, TORC_NEVER);
	return 0;
}

/* Each one in turn, from the client's own to that of the last row. */
static void
an_allocation_that_fails_costs_its_call_and_nothing_is_lost(void **state)
{
	const struct torc_pg_config hasty = { .shared = 1, .retry_min_ms = 1,
		.retry_max_ms = 1 };
	unsigned count;

	(void)state;
	for (count = 1; taken >= fail_at; count++) {
		const long before = live;

		fail_at = count;
		taken = 0;
		play_on(run_short_of_memory, (struct scene) {
		    .config = hasty });
		assert_int_equal(live, before);
	}
	fail_at = 0;
	/* The last round met none that failed; many before it did. */
	assert_true(count > 40);
}

/* ---- Statements and rows ---- */

static int
ask_in_odd_ways(struct scene *scene)
{
	const struct torc_pg_param four = torc_pg_int4(4),
	    eight = torc_pg_int8(8);
	const struct torc_pg_statement of_four = { "select $1", &four, 1,
		false };
	const struct torc_pg_statement of_eight = { "select $1", &eight, 1,
		false };
	const struct torc_pg_statement insert = { .sql =
		"insert into odd select generate_series(1, 7)" };
	struct torc_pg_result *result;
	struct client_stats stats;
	struct torc_pg_row row;

	/* One text, two statements. */
	for (int i = 0; i < 2; i++) {
		EXPECT(torc_pg_query(scene->pg, &of_four, &result, LATE) == 0);
		EXPECT(torc_pg_result_next_row(result, &row) &&
		    is(row.values[0], "4"));
		EXPECT(torc_pg_result_columns(result)->type == TORC_PG_INT4);
		torc_pg_result_free(result);
		EXPECT(torc_pg_query(scene->pg, &of_eight, &result,
		    LATE) == 0);
		EXPECT(torc_pg_result_next_row(result, &row) &&
		    is(row.values[0], "8"));
		EXPECT(torc_pg_result_columns(result)->type == TORC_PG_INT8);
		torc_pg_result_free(result);
	}
	read_stats(scene->pg, &stats);
	EXPECT(stats.own.prepared == 2);
	EXPECT(torc_pg_query(scene->pg, &insert, &result, LATE) == 0);
	EXPECT(torc_pg_result_affected(result) == 7);
	EXPECT(torc_pg_result_row_count(result) == 0);
	torc_pg_result_free(result);
	return 0;
}

static void
types_of_parameters_tell_statements_apart_and_changed_rows_are_counted(
    void **state)
{
	(void)state;
	assert_true(pg_server_sql(&postgres,
	    "drop table if exists odd; create table odd (a int)"));
	play_with((struct torc_pg_config) { .shared = 1 }, ask_in_odd_ways);
}

static int
first_of(struct torc_pg_session *session, const char *sql)
{
	const struct torc_pg_statement statement = { .sql = sql };
	struct torc_pg_row row;
	int rc = torc_pg_session_begin(session, &statement, LATE);

	if (rc == 0)
		rc = torc_pg_session_next_row(session, &row, LATE);
	if (rc == 1)
		rc = is(row.values[0], "1") ? 1 : -EILSEQ;
	return rc;
}

/* ---- As many parameters as data has ---- */

#define PARAMS_MOST 65535u

static int
ask_with_many(struct scene *scene)
{
	static struct torc_pg_param params[PARAMS_MOST + 1];
	struct torc_pg_statement statements[] = {
		{ .sql = "insert into odd values (1)" },
		{ "select $65535", params, PARAMS_MOST, false },
	};
	struct torc_pg_session *session;
	struct torc_pg_result *result;
	struct torc_pg_row row;

	for (unsigned i = 0; i <= PARAMS_MOST; i++)
		params[i] = torc_pg_int4((int32_t)i);
	EXPECT(torc_pg_query(scene->pg, &statements[1], &result, LATE) == 0);
	EXPECT(torc_pg_result_next_row(result, &row) &&
	    is(row.values[0], "65534"));
	torc_pg_result_free(result);
	statements[1].param_count++;
	EXPECT(torc_pg_query(scene->pg, &statements[1], &result, LATE) ==
	    -E2BIG);
	EXPECT(strstr(torc_pg_result_error(result)->text, "65536 parameters"));
	torc_pg_result_free(result);
	EXPECT(torc_pg_batch(scene->pg, statements, 2, &result, LATE) ==
	    -E2BIG);
	EXPECT(torc_pg_result_error(result)->statement == 1);
	torc_pg_result_free(result);
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_begin(session, &statements[1], LATE) == -E2BIG);
	EXPECT(strstr(torc_pg_session_error(session)->text,
	    "65536 parameters"));
	EXPECT(first_of(session, "select count(*) + 1 from odd") == 1);
	torc_pg_session_release(session);
	return 0;
}

static void
a_parameter_more_than_can_be_counted_is_refused_in_words(void **state)
{
	(void)state;
	assert_true(pg_server_sql(&postgres,
	    "drop table if exists odd; create table odd (a int)"));
	play_with((struct torc_pg_config) { .shared = 1 }, ask_with_many);
}

static int
make_it_forget(struct scene *scene)
{
	struct torc_pg_session *session;
	struct client_stats stats;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_run(
	    session, "create temp table c as select 1 as a", LATE) == 0);
	EXPECT(first_of(session, "select * from c") == 1);
	EXPECT(torc_pg_session_run(session, "alter table c alter a type bigint",
	    LATE) == 0);
	EXPECT(first_of(session, "select * from c") == 1);
	read_stats(scene->pg, &stats);
	EXPECT(stats.own.repeated == 1);
	/* In a transaction the refusal has ended it: nothing is repeated. */
	EXPECT(torc_pg_session_run(session,
	    "begin; alter table c alter a type int", LATE) == 0);
	EXPECT(first_of(session, "select * from c") == -EREMOTEIO);
	EXPECT(torc_pg_session_state(session) == 'E');
	read_stats(scene->pg, &stats);
	EXPECT(stats.own.repeated == 1);
	EXPECT(torc_pg_session_run(session, "rollback", LATE) == 0);
	EXPECT(first_of(session, "select * from c") == 1);
	torc_pg_session_release(session);
	return 0;
}

static void
a_session_prepares_again_what_was_forgotten_but_not_in_a_transaction(
    void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .sessions = 1 }, make_it_forget);
}

static int
fail_in_the_middle(struct scene *scene)
{
	const struct torc_pg_statement rows = { .sql =
		"select 6 / (3 - a), repeat('x', 9000) "
		"from generate_series(1, 5) a" };
	struct torc_pg_session *session;
	struct torc_pg_row row;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_begin(session, &rows, LATE) == 0);
	EXPECT(torc_pg_session_next_row(session, &row, LATE) == 1);
	EXPECT(torc_pg_session_next_row(session, &row, LATE) == 1);
	EXPECT(torc_pg_session_next_row(session, &row, LATE) == -EREMOTEIO);
	EXPECT(strcmp(torc_pg_session_error(session)->state, "22012") == 0);
	EXPECT(torc_pg_session_state(session) == 'I');
	/* The next result of a text, thrown away, is what fails. */
	EXPECT(torc_pg_session_begin_simple(session, "select 1; select 1/0",
	    LATE) == 0);
	EXPECT(torc_pg_session_next_result(session, LATE) == -EREMOTEIO);
	EXPECT(torc_pg_copy_in_begin(
	    session, "copy nowhere from stdin", LATE) == -EREMOTEIO);
	EXPECT(strcmp(torc_pg_session_error(session)->state, "42P01") == 0);
	EXPECT(first_of(session, "select 1") == 1);
	torc_pg_session_release(session);
	return 0;
}

static void
an_error_behind_rows_is_told_in_their_place_and_the_session_goes_on(
    void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .sessions = 1 },
	    fail_in_the_middle);
}

/* Its end has two Syncs, and a cancel could come between them. */
static int
copy_prepared(struct scene *scene)
{
	const struct torc_pg_statement prepared = {
		.sql = "copy odd from stdin" };
	struct torc_pg_session *session;
	struct client_stats stats;
	struct torc_pg_row row;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	for (int i = 0; i < 20; i++) {
		EXPECT(torc_pg_session_begin(session, &prepared, LATE) == 0);
		EXPECT(torc_pg_session_next_row(session, &row, LATE) ==
		    -EOPNOTSUPP);
		EXPECT(first_of(session, "select 1") == 1);
		EXPECT(torc_pg_session_begin(session, &prepared, LATE) == 0);
		EXPECT(torc_pg_session_end(session, LATE) == -EREMOTEIO);
		EXPECT(first_of(session, "select 1") == 1);
	}
	read_stats(scene->pg, &stats);
	EXPECT(stats.own.cancels == 0 && stats.sessions.opens == 1);
	/* Given up in the middle: nobody knows what comes next. */
	EXPECT(torc_pg_session_begin(session, &prepared, LATE) == 0);
	EXPECT(torc_pg_session_next_row(session, &row, LATE) == -EOPNOTSUPP);
	EXPECT(torc_pg_session_next_row(session, &row, torc_after_ms(20)) ==
	    -ETIMEDOUT);
	EXPECT(torc_pg_session_run(session, "select 1", LATE) == -ECONNABORTED);
	EXPECT(torc_pg_session_state(session) == 0);
	torc_pg_session_release(session);
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(first_of(session, "select 1") == 1);
	torc_pg_session_release(session);
	return 0;
}

/* */
static void
a_prepared_copy_ends_without_a_cancel_or_with_its_session(void **state)
{
	(void)state;
	assert_true(pg_server_sql(&postgres,
	    "drop table if exists odd; create table odd (a int)"));
	play_with((struct torc_pg_config) { .sessions = 1 }, copy_prepared);
}

/* ---- What comes unasked ---- */

static int
hear_farewell(struct scene *scene)
{
	struct torc_pg_notification news;
	struct torc_pg_session *session;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_listen(session, "news", LATE) == 0);
	EXPECT(pg_server_sql(&postgres, "select pg_terminate_backend(pid) "
	    "from pg_stat_activity where application_name = 'listener'"));
	EXPECT(torc_pg_session_await_notification(session, &news, LATE) ==
	    -ECONNRESET);
	EXPECT(strcmp(torc_pg_session_error(session)->state, "57P01") == 0);
	EXPECT(torc_pg_session_state(session) == 0);
	torc_pg_session_release(session);
	return 0;
}

static void
a_server_that_goes_tells_who_listens_why(void **state)
{
	static const char *const parameters[] = { "application_name",
		"listener", NULL };

	(void)state;
	play_with((struct torc_pg_config) { .parameters = parameters },
	    hear_farewell);
}

static int
leave_news(struct scene *scene)
{
	struct torc_pg_session *session;
	char name[600];

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_listen(session, "news", LATE) == 0);
	EXPECT(torc_pg_session_run(session,
	    "notify news, 'one'; notify news, 'two'", LATE) == 0);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	EXPECT(torc_pg_session_listen(session, name, LATE) == -ENAMETOOLONG);
	torc_pg_session_release(session);
	return 0;
}

static void
notifications_that_nobody_took_are_freed_with_their_session(void **state)
{
	const long before = live;

	(void)state;
	play_with((struct torc_pg_config) { .sessions = 1 }, leave_news);
	assert_int_equal(live, before);
}

static unsigned notices;

static void
count_notice(struct torc_pg *pg, const struct torc_pg_error *notice,
    void *arg)
{
	(void)pg;
	(void)arg;
	notices += strcmp(notice->text, "a row has come in") == 0;
}

static int
copy_amid_notices(struct scene *scene)
{
	static char piece[1000];	/* of 500 rows */
	struct torc_pg_session *session;
	uint64_t rows, pieces;

	for (unsigned i = 0; i < sizeof(piece); i++)
		piece[i] = i % 2 == 0 ? '1' : '\n';
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(
	    torc_pg_copy_in_begin(session, "copy noisy from stdin", LATE) == 0);
	/* Until it is heard before the end. */
	for (pieces = 0; notices == 0; pieces++) {
		EXPECT(pieces < 60000);
		EXPECT(torc_pg_copy_in_write(session, piece, sizeof(piece),
		    LATE) == 0);
		EXPECT(torc_sleep(torc_after_ms(1)) == 0);
	}
	EXPECT(torc_pg_copy_in_end(session, NULL, &rows, LATE) == 0);
	EXPECT(rows == 500 * pieces && notices == rows);
	torc_pg_session_release(session);
	return 0;
}

static void
a_server_that_talks_while_it_is_written_to_is_heard(void **state)
{
	(void)state;
	assert_true(pg_server_sql(&postgres, "drop table if exists noisy; "
	    "create table noisy (a int); create or replace function shout() "
	    "returns trigger language plpgsql as $$ begin raise notice "
	    "'a row has come in'; return new; end $$; create trigger noise "
	    "before insert on noisy for each row execute function shout()"));
	notices = 0;
	play_with((struct torc_pg_config) { .notice = count_notice },
	    copy_amid_notices);
}

#define LARGE (32u << 20)

/* It has more to say than all buffers hold, and reads nothing before that is
 * said. */
static int
say_much_to_one_that_talks(struct scene *scene)
{
	char *text = calloc(1, LARGE + 1);
	struct torc_pg_param param;
	const struct torc_pg_statement statement = {
		"select length($1) - 33554431", &param, 1, false };
	struct torc_pg_notification news;
	struct torc_pg_session *session;
	struct torc_pg_row row;

	memset(text, 'y', LARGE);
	param = torc_pg_text_n(text, LARGE);
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_listen(session, "flood", LATE) == 0);
	EXPECT(pg_server_sql(&postgres, "select count(pg_notify('flood', "
	    "repeat('x', 7900) || i)) from generate_series(1, 4000) i"));
	EXPECT(torc_sleep(torc_after_ms(300)) == 0);
	EXPECT(torc_pg_session_begin(session, &statement, LATE) == 0);
	EXPECT(torc_pg_session_next_row(session, &row, LATE) == 1);
	EXPECT(is(row.values[0], "1"));
	EXPECT(torc_pg_session_end(session, LATE) == 0);
	/* The first of them, and that there were more. */
	EXPECT(torc_pg_session_await_notification(session, &news, LATE) == 0);
	EXPECT(strcmp(news.channel, "flood") == 0);
	torc_pg_session_release(session);
	free(text);
	return 0;
}

static void
a_server_that_talks_before_it_reads_on_is_read_from(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .sessions = 1 },
	    say_much_to_one_that_talks);
}

static void
nothing_can_be_said_without_a_server(void **state)
{
	(void)state;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    an_allocation_that_fails_costs_its_call_and_nothing_is_lost),
		cmocka_unit_test(
		    types_of_parameters_tell_statements_apart_and_changed_rows_are_counted),
		cmocka_unit_test(
		    a_session_prepares_again_what_was_forgotten_but_not_in_a_transaction),
		cmocka_unit_test(
		    a_parameter_more_than_can_be_counted_is_refused_in_words),
		cmocka_unit_test(
		    an_error_behind_rows_is_told_in_their_place_and_the_session_goes_on),
		cmocka_unit_test(
		    a_prepared_copy_ends_without_a_cancel_or_with_its_session),
		cmocka_unit_test(a_server_that_goes_tells_who_listens_why),
		cmocka_unit_test(
		    notifications_that_nobody_took_are_freed_with_their_session),
		cmocka_unit_test(
		    a_server_that_talks_while_it_is_written_to_is_heard),
		cmocka_unit_test(
		    a_server_that_talks_before_it_reads_on_is_read_from),
	};
	const struct CMUnitTest none[] = {
		cmocka_unit_test(nothing_can_be_said_without_a_server),
	};
	int failed;

	cmocka_set_test_filter(getenv("TORC_TEST"));
	if (!pg_server_make(&postgres))
		return cmocka_run_group_tests_name("pg_corners", none, NULL,
		    NULL);
	failed = cmocka_run_group_tests_name("pg_corners", tests, NULL, NULL);
	pg_server_remove(&postgres);
	return failed;
}
