/* SPDX-License-Identifier: MIT */
/*
 * test_pg_client.c - the client and a real PostgreSQL.
 */
#include "tests/harness.h"

#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/pg/torc_pg.h"
#include "tests/pg/secure.h"
#include "tests/pg/server.h"
#include "tests/pg/stats.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LATE torc_after_ms(60000)
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

static struct pg_server postgres;

/* ---- The stage: a client on a reactor ---- */

struct scene {
	struct torc_pg_config config;
	struct torc_pg *pg;
	int (*play)(struct scene *scene);
	unsigned notices;
	char notice[128];
};

static void
note(struct torc_pg *pg, const struct torc_pg_error *notice, void *arg)
{
	struct scene *scene = arg;

	assert_ptr_equal(pg, scene->pg);
	scene->notices++;
	snprintf(scene->notice, sizeof(scene->notice), "%.100s", notice->text);
}

static int
run_scene(void *arg)
{
	struct scene *scene = arg;
	int line;

	EXPECT(torc_pg_create(&scene->pg, &scene->config, NULL) == 0);
	EXPECT(torc_pg_of(torc_reactor_self()) == scene->pg);
	line = scene->play(scene);
	if (line != 0)		/* what is rented then is left */
		return line;
	torc_pg_destroy(scene->pg, TORC_NEVER);
	EXPECT(torc_pg_of(torc_reactor_self()) == NULL);
	return line;
}

/* How many sends there were. */
static unsigned long
play_with(struct torc_pg_config config, int (*act)(struct scene *scene))
{
	struct scene scene = { .config = config, .play = act };
	struct torc_counters counters;
	unsigned fds = count_fds();
	struct server server;
	int line;

	if (scene.config.address == NULL)
		scene.config.address = postgres.tcp;
	if (scene.config.user == NULL)
		scene.config.user = "torc";
	scene.config.database = "torc";
	scene.config.transport = pg_server_transport(&postgres);
	scene.config.notice = note;
	scene.config.arg = &scene;
	server_start(&server, NULL, echo_handler, NULL);
	line = server_fiber(&server, run_scene, &scene);
	counters = server_counters(&server);
	assert_int_equal(server_stop(&server), 0);
	if (line != 0)
		fail_msg("line %d does not hold", line);
	assert_int_equal(count_fds(), fds);
	return counters.quiet_sends + counters.loud_sends;
}

static unsigned long
play(int (*act)(struct scene *scene))
{
	return play_with((struct torc_pg_config) { .shared = 2 }, act);
}

/* ---- Asking in one line ---- */

static int
ask(struct torc_pg *pg, const char *sql, struct torc_pg_result **result)
{
	const struct torc_pg_statement statement = { .sql = sql };

	return torc_pg_query(pg, &statement, result, LATE);
}

/* The number that is the first value; -errno. */
static int64_t
ask_number(struct torc_pg *pg, const char *sql,
    const struct torc_pg_param *params, unsigned count, bool binary)
{
	const struct torc_pg_statement statement = { sql, params, count,
		binary };
	struct torc_pg_result *result;
	struct torc_pg_row row;
	int64_t number = -ENODATA;
	int rc = torc_pg_query(pg, &statement, &result, LATE);

	if (rc == 0 && torc_pg_result_next_row(result, &row))
		rc = torc_pg_read_int(
		    torc_pg_result_columns(result), row.values[0], &number);
	torc_pg_result_free(result);
	return rc < 0 ? rc : number;
}

static bool
fails_with(struct torc_pg *pg, const char *sql, const char *state)
{
	struct torc_pg_result *result;
	int rc = ask(pg, sql, &result);
	bool same = rc == -EREMOTEIO && result != NULL &&
	    strcmp(torc_pg_result_error(result)->state, state) == 0;

	torc_pg_result_free(result);
	return same;
}

static bool
is(struct torc_slice value, const char *text)
{
	return value.size == strlen(text) &&
	    memcmp(value.data, text, value.size) == 0;
}

/* ---- Statements ---- */

static int
ask_things(struct scene *scene)
{
	const struct torc_pg_param params[] = { torc_pg_int4(40),
		torc_pg_text("2") };
	struct torc_pg *pg = scene->pg;

	EXPECT(ask_number(pg, "select 42", NULL, 0, false) == 42);
	EXPECT(ask_number(pg, "select 42", NULL, 0, true) == 42);
	EXPECT(ask_number(pg, "select $1 + $2", params, 2, false) == 42);
	EXPECT(ask_number(pg, "select $1 + $2", params, 2, true) == 42);
	return 0;
}

/* A71 */
static void
a_select_of_42_and_one_with_parameters_are_answered(void **state)
{
	char name[32];

	(void)state;
	play(ask_things);
	snprintf(name, sizeof(name), "localhost:%u", postgres.port);
	play_with((struct torc_pg_config) { .address = name }, ask_things);
	play_with((struct torc_pg_config) { .address = postgres.local },
	    ask_things);
}

static int
fail_and_go_on(struct scene *scene)
{
	struct torc_pg *pg = scene->pg;
	struct client_stats stats;
	struct torc_pg_result *result;

	EXPECT(fails_with(pg, "select * from nowhere", "42P01"));
	EXPECT(ask_number(pg, "select 1", NULL, 0, false) == 1);
	EXPECT(fails_with(pg, "select 1/0", "22012"));
	EXPECT(ask(pg, "select 'x'::int", &result) == -EREMOTEIO);
	EXPECT(torc_pg_result_error(result)->position == 8);
	EXPECT(strcmp(torc_pg_result_error(result)->severity, "ERROR") == 0);
	EXPECT(strstr(torc_pg_result_error(result)->text, "invalid input"));
	torc_pg_result_free(result);
	EXPECT(ask_number(pg, "select 2", NULL, 0, false) == 2);
	EXPECT(pg_server_sql(&postgres, "drop table if exists strict; "
	    "create table strict (a int not null)"));
	EXPECT(ask(pg, "insert into strict values (null)", &result) ==
	    -EREMOTEIO);
	EXPECT(strcmp(torc_pg_result_error(result)->table, "strict") == 0);
	EXPECT(strcmp(torc_pg_result_error(result)->column, "a") == 0);
	torc_pg_result_free(result);
	read_stats(pg, &stats);
	EXPECT(stats.shared.opens == 1);
	return 0;
}

/* A71, I75 */
static void
an_error_fails_its_statement_and_leaves_the_connection_usable(void **state)
{
	(void)state;
	play(fail_and_go_on);
}

static int
prepare(struct scene *scene)
{
	const struct torc_pg_param none = torc_pg_int4(0),
	    two = torc_pg_int4(2);
	struct torc_pg *pg = scene->pg;
	struct client_stats stats;

	for (int i = 0; i < 5; i++)
		EXPECT(ask_number(pg, "select 6 / $1", &two, 1, true) == 3);
	read_stats(pg, &stats);
	EXPECT(stats.own.prepared == 1);
	/* It fails when it runs, and when it is bound: kept. */
	EXPECT(ask_number(pg, "select 6 / $1", &none, 1, true) ==
	    -EREMOTEIO);
	EXPECT(ask_number(pg, "select 6 / $1", &two, 1, true) == 3);
	read_stats(pg, &stats);
	EXPECT(stats.own.prepared == 1);
	/* It cannot be parsed: not kept, and tried anew each time. */
	EXPECT(fails_with(pg, "selec", "42601"));
	EXPECT(fails_with(pg, "selec", "42601"));
	read_stats(pg, &stats);
	EXPECT(stats.own.prepared == 3 && stats.own.repeated == 0);
	EXPECT(ask_number(pg, "select count(*) from pg_prepared_statements",
	    NULL, 0, false) == 2);
	return 0;
}

/* A71, I75 */
static void
a_failed_execute_keeps_the_statement_and_a_failed_parse_drops_it(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 }, prepare);
}

/* In a function, where nobody sees it. */
#define FORGET_ALL "select forget_all()"
#define MAKE_FORGET_ALL "create or replace function forget_all() " \
	"returns void language plpgsql as $$ begin execute " \
	"'deallocate all'; end $$; "

static int
forget(struct scene *scene)
{
	struct torc_pg *pg = scene->pg;
	struct torc_pg_result *result;
	struct client_stats stats;

	EXPECT(pg_server_sql(&postgres, MAKE_FORGET_ALL
	    "drop table if exists c; create table c as select 1 as a"));
	EXPECT(ask_number(pg, "select * from c", NULL, 0, false) == 1);
	/* The plan must not change its result. */
	EXPECT(ask(pg, "alter table c alter a type bigint", &result) == 0);
	torc_pg_result_free(result);
	EXPECT(ask_number(pg, "select * from c", NULL, 0, true) == 1);
	EXPECT(ask_number(pg, "select * from c", NULL, 0, false) == 1);
	read_stats(pg, &stats);
	EXPECT(stats.own.repeated == 1);
	/* 26000. */
	EXPECT(ask(pg, FORGET_ALL, &result) == 0);
	torc_pg_result_free(result);
	EXPECT(ask_number(pg, "select * from c", NULL, 0, false) == 1);
	read_stats(pg, &stats);
	EXPECT(stats.own.repeated == 2 && stats.shared.opens == 1);
	return 0;
}

/* I75 */
static void
a_statement_that_the_server_forgot_is_prepared_again(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 }, forget);
}

static int
prepare_many(struct scene *scene)
{
	struct torc_pg *pg = scene->pg;
	char sql[64];

	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 20; i++) {
			snprintf(sql, sizeof(sql), "select %d", i);
			EXPECT(ask_number(pg, sql, NULL, 0, false) == i);
		}
	EXPECT(ask_number(pg, "select count(*) from pg_prepared_statements",
	    NULL, 0, false) == 4);
	return 0;
}

static void
no_more_statements_are_kept_than_allowed(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1, .statements = 4 },
	    prepare_many);
}

/* ---- The ways to log in ---- */

static int
log_in(struct scene *scene)
{
	return ask_number(scene->pg, "select 1", NULL, 0, false) == 1 ? 0 :
	    __LINE__;
}

static int
be_refused(struct scene *scene)
{
	struct torc_pg_session *session;
	struct torc_error error;

	EXPECT(ask_number(scene->pg, "select 1", NULL, 0, false) == -EACCES);
	EXPECT(torc_pg_session_acquire(scene->pg, &session, &error, LATE) ==
	    -EACCES);
	EXPECT(error.code == -EACCES);
	EXPECT(strncmp(error.text, "log in to", 9) == 0);
	return 0;
}

#define LOGIN(name, secret) \
	(struct torc_pg_config) { .user = name, .password = secret }

static void
each_way_to_log_in_works_and_refuses_a_wrong_password(void **state)
{
	static const char *const users[] = { "hashed", "scram" };
	struct torc_pg_config config = LOGIN("clear", PG_PASSWORD);

	(void)state;
	play_with(LOGIN("torc", NULL), log_in);
	for (unsigned i = 0; i < COUNT(users); i++) {
		play_with(LOGIN(users[i], PG_PASSWORD), log_in);
		play_with(LOGIN(users[i], "wrong"), be_refused);
		play_with(LOGIN(users[i], NULL), be_refused);
	}
	play_with(config, be_refused);
	config.allow_cleartext = true;
	play_with(config, log_in);
	config.password = "wrong";
	play_with(config, be_refused);
}

/* */
static void
nothing_less_than_scram_is_accepted_when_it_is_required(void **state)
{
	static const char *const users[] = { "torc", "clear", "hashed" };
	struct torc_pg_config config = LOGIN("scram", PG_PASSWORD);

	(void)state;
	config.require_scram = true;
	config.allow_cleartext = true;
	play_with(config, log_in);
	for (unsigned i = 0; i < COUNT(users); i++) {
		config.user = users[i];
		play_with(config, be_refused);
	}
}

/* ---- Sessions ---- */

static int
stream(struct scene *scene)
{
	const struct torc_pg_param five = torc_pg_int4(5);
	const struct torc_pg_statement rows = {
		"select i, 'row ' || i, null from generate_series(1, $1) i",
		&five, 1, false };
	const struct torc_pg_column *columns;
	struct torc_pg_session *session;
	struct torc_pg_row row;
	char text[16];

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(strcmp(torc_pg_session_parameter(session, "server_encoding"),
	    "UTF8") == 0);
	for (int round = 0; round < 2; round++) {
		EXPECT(torc_pg_session_begin(session, &rows, LATE) == 0);
		EXPECT(torc_pg_session_column_count(session) == 3);
		columns = torc_pg_session_columns(session);
		EXPECT(strcmp(columns[0].name, "i") == 0);
		EXPECT(columns[0].type == TORC_PG_INT4);
		for (int i = 1; i <= 5; i++) {
			EXPECT(torc_pg_session_next_row(session, &row,
			    LATE) == 1);
			snprintf(text, sizeof(text), "row %d", i);
			EXPECT(row.count == 3 && is(row.values[1], text));
			EXPECT(row.values[2].data == NULL);
		}
		EXPECT(torc_pg_session_next_row(session, &row, LATE) == 0);
		EXPECT(torc_pg_session_next_row(session, &row, LATE) == 0);
		EXPECT(strcmp(torc_pg_session_tag(session), "SELECT 5") == 0);
		EXPECT(torc_pg_session_affected(session) == 5);
		EXPECT(torc_pg_session_state(session) == 'I');
	}
	torc_pg_session_release(session);
	return 0;
}

/* A71 */
static void
five_rows_come_one_by_one_twice(void **state)
{
	(void)state;
	play(stream);
}

#define MANY 400000

static int
stream_slowly(struct scene *scene)
{
	const struct torc_pg_statement rows = { .sql = "select i, "
		"repeat('x', 100) from generate_series(1, 400000) i",
		.binary = true };
	const struct torc_pg_column *columns;
	struct torc_pg_session *session;
	struct torc_pg_row row;
	size_t before, most = 0;
	int64_t number;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	before = resident_bytes();
	EXPECT(torc_pg_session_begin(session, &rows, LATE) == 0);
	columns = torc_pg_session_columns(session);
	/* It could all come in this time. */
	torc_sleep(torc_after_ms(300));
	for (int i = 1; i <= MANY; i++) {
		EXPECT(torc_pg_session_next_row(session, &row, LATE) == 1);
		EXPECT(torc_pg_read_int(columns, row.values[0],
		    &number) == 0 && number == i);
		EXPECT(row.values[1].size == 100);
		if (i % 10000 == 0 && resident_bytes() > most)
			most = resident_bytes();
	}
	EXPECT(torc_pg_session_next_row(session, &row, LATE) == 0);
	/* Of 46 MB. */
	EXPECT(most < before + (12u << 20));
	torc_pg_session_release(session);
	return 0;
}

static void
a_large_result_is_read_in_little_memory(void **state)
{
	(void)state;
	play(stream_slowly);
}

/* However it is written. */
static int
fail_to_commit(struct torc_pg_session *session)
{
	static const struct {
		const char *sql;
		char state;
		bool prepared;
		int rc;
	} ends[] = {
		{ "/* all */ commit", 'I', false, -EREMOTEIO },
		{ "-- all\n;END WORK", 'I', false, -EREMOTEIO },
		{ "commit; begin", 'T', false, -EREMOTEIO },
		{ "rollback to s; commit; rollback", 'I', false, 0 },
		{ "commit and chain", 'T', false, -EREMOTEIO },
		{ "prepare transaction 'lost'", 'I', false, -EREMOTEIO },
		{ "commit", 'I', true, -EREMOTEIO },
		{ "rollback -- and no commit", 'I', false, 0 },
		{ "rollback; begin; commit", 'I', false, 0 },
		{ "abort", 'I', true, 0 },
	};

	for (unsigned i = 0; i < COUNT(ends); i++) {
		const struct torc_pg_statement statement = {
			.sql = ends[i].sql };
		int rc;

		EXPECT(torc_pg_session_run(
		    session, "rollback; begin; savepoint s", LATE) == 0);
		EXPECT(torc_pg_session_run(session, "select nothing", LATE) ==
		    -EREMOTEIO);
		rc = ends[i].prepared ?
		    torc_pg_session_begin(session, &statement, LATE) :
		    torc_pg_session_run(session, ends[i].sql, LATE);
		if (ends[i].prepared && rc == 0)
			rc = torc_pg_session_end(session, LATE);
		if (rc != ends[i].rc ||
		    torc_pg_session_state(session) != ends[i].state)
			print_message("%s: %d, %c\n", ends[i].sql, rc,
			    torc_pg_session_state(session));
		EXPECT(rc == ends[i].rc);
		EXPECT(torc_pg_session_state(session) == ends[i].state);
	}
	return torc_pg_session_run(session, "rollback", LATE);
}

static int
transact(struct scene *scene)
{
	struct torc_pg_session *session;
	struct client_stats stats;
	struct torc_pg *pg = scene->pg;

	EXPECT(torc_pg_session_acquire(pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_run(session, "drop table if exists t; "
	    "create table t (a int)", LATE) == 0);
	EXPECT(torc_pg_session_run(session, "begin", LATE) == 0);
	EXPECT(torc_pg_session_state(session) == 'T');
	EXPECT(torc_pg_session_run(session, "insert into t values (1)", LATE) ==
	    0);
	EXPECT(ask_number(pg, "select count(*) from t", NULL, 0, false) == 0);
	EXPECT(torc_pg_session_run(session, "commit", LATE) == 0);
	EXPECT(ask_number(pg, "select count(*) from t", NULL, 0, false) == 1);
	/* One that failed does not commit, and that is said. */
	EXPECT(torc_pg_session_run(session, "begin; insert into t values (2)",
	    LATE) == 0);
	EXPECT(
	    torc_pg_session_run(session, "select nothing", LATE) == -EREMOTEIO);
	EXPECT(strcmp(torc_pg_session_error(session)->state, "42703") == 0);
	EXPECT(torc_pg_session_state(session) == 'E');
	EXPECT(torc_pg_session_run(session, "commit", LATE) == -EREMOTEIO);
	EXPECT(torc_pg_session_state(session) == 'I');
	EXPECT(fail_to_commit(session) == 0);
	/* One that was left open is rolled back, and its connection kept. */
	EXPECT(torc_pg_session_run(session, "begin; insert into t values (3)",
	    LATE) == 0);
	torc_pg_session_release(session);
	EXPECT(torc_pg_session_acquire(pg, &session, NULL, LATE) == 0);
	while (read_stats(pg, &stats), stats.sessions.idle == 0)
		torc_sleep(torc_after_ms(1));
	EXPECT(ask_number(pg, "select count(*) from t", NULL, 0, false) == 1);
	torc_pg_session_release(session);
	return 0;
}

static void
a_transaction_belongs_to_its_session_and_one_left_open_is_undone(void **state)
{
	(void)state;
	play(transact);
}

static int
run_several(struct scene *scene)
{
	struct torc_pg_session *session;
	struct torc_pg_row row;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_begin_simple(session,
	    "select 1, 2; set x.y = 'z'; ; "
	    "select 'last' where true; select 1/0; select 3",
	    LATE) == 0);
	EXPECT(torc_pg_session_next_row(session, &row, LATE) == 1 &&
	    row.count == 2);
	EXPECT(torc_pg_session_next_row(session, &row, LATE) == 0);
	EXPECT(torc_pg_session_next_result(session, LATE) == 1);
	EXPECT(torc_pg_session_next_row(session, &row, LATE) == 0);
	EXPECT(strcmp(torc_pg_session_tag(session), "SET") == 0);
	EXPECT(torc_pg_session_next_result(session, LATE) == 1);
	EXPECT(torc_pg_session_next_row(session, &row, LATE) == 1 &&
	    is(row.values[0], "last"));
	EXPECT(torc_pg_session_next_result(session, LATE) == -EREMOTEIO);
	EXPECT(strcmp(torc_pg_session_error(session)->state, "22012") == 0);
	EXPECT(torc_pg_session_begin_simple(session, "", LATE) == 0);
	EXPECT(torc_pg_session_next_row(session, &row, LATE) == 0);
	EXPECT(torc_pg_session_next_result(session, LATE) == 0);
	torc_pg_session_release(session);
	return 0;
}

static void
the_results_of_several_statements_come_one_after_the_other(void **state)
{
	(void)state;
	play(run_several);
}

/* ---- Giving up ---- */

static int64_t
process_of(struct torc_pg_session *session)
{
	const struct torc_pg_statement statement = {
		.sql = "select pg_backend_pid()" };
	struct torc_pg_row row;
	int64_t process = 0;

	if (torc_pg_session_begin(session, &statement, LATE) == 0 &&
	    torc_pg_session_next_row(session, &row, LATE) == 1 &&
	    torc_pg_session_column_count(session) == 1)
		torc_pg_read_int(torc_pg_session_columns(session),
		    row.values[0], &process);
	torc_pg_session_end(session, LATE);
	return process;
}

static int
give_up(struct scene *scene)
{
	struct torc_pg_session *session;
	uint64_t begun = now_ms();
	struct client_stats stats;
	int64_t process;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	process = process_of(session);
	EXPECT(torc_pg_session_run(session, "select pg_sleep(100)",
	    torc_after_ms(50)) == -ETIMEDOUT);
	EXPECT(torc_pg_session_state(session) == 0);
	EXPECT(torc_pg_session_end(session, LATE) == -EREMOTEIO);
	EXPECT(strcmp(torc_pg_session_error(session)->state, "57014") == 0);
	for (int i = 0; i < 100; i++)
		EXPECT(process_of(session) == process);
	/* And once more, left to the one who cleans up. */
	EXPECT(torc_pg_session_run(session, "begin; select pg_sleep(100)",
	    torc_after_ms(50)) == -ETIMEDOUT);
	torc_pg_session_release(session);
	while (read_stats(scene->pg, &stats), stats.sessions.rented > 0)
		torc_sleep(torc_after_ms(1));
	EXPECT(stats.sessions.idle == 1 && stats.own.cancels >= 2);
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(process_of(session) == process);
	torc_pg_session_release(session);
	EXPECT(now_ms() - begun < 60000);
	return 0;
}

/* */
static void
a_deadline_cancels_the_statement_and_the_session_goes_on(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .cancel_ms = 30000 }, give_up);
}

static int
leave_rows(struct scene *scene)
{
	const struct torc_pg_statement rows = {
		.sql = "select generate_series(1, 100000000)" };
	struct torc_pg_session *session;
	struct client_stats stats;
	struct torc_pg_row row;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_begin(session, &rows, LATE) == 0);
	EXPECT(torc_pg_session_next_row(session, &row, LATE) == 1);
	torc_pg_session_release(session);
	while (read_stats(scene->pg, &stats), stats.sessions.rented > 0)
		torc_sleep(torc_after_ms(1));
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(process_of(session) > 0);
	EXPECT(strcmp(torc_pg_session_error(session)->state, "") == 0);
	torc_pg_session_release(session);
	return 0;
}

/* */
static void
rows_that_nobody_read_reach_nobody_else(void **state)
{
	(void)state;
	play(leave_rows);
}

static int
give_up_shared(struct scene *scene)
{
	const struct torc_pg_statement slow = {
		.sql = "select pg_sleep(100)" };
	struct torc_pg_result *result;
	struct client_stats stats;

	/* A connection is open: it does not count against the deadline. */
	EXPECT(ask_number(scene->pg, "select 1", NULL, 0, false) == 1);
	EXPECT(torc_pg_query(scene->pg, &slow, &result,
	    torc_after_ms(100)) == -ETIMEDOUT);
	EXPECT(torc_pg_result_error(result)->outcome == TORC_PG_UNKNOWN);
	EXPECT(torc_pg_result_error(result)->text[0] != '\0');
	torc_pg_result_free(result);
	EXPECT(ask_number(scene->pg, "select 7", NULL, 0, false) == 7);
	read_stats(scene->pg, &stats);
	EXPECT(stats.own.retired == 1 && stats.shared.opens == 2);
	return 0;
}

/* A70, I71 */
static void
a_shared_connection_whose_oldest_statement_is_late_is_left(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 }, give_up_shared);
}

static int
ask_for_much(void *arg)
{
	struct torc_pg_result *result;
	int rc = ask(arg, "select repeat('x', 1000) from "
	    "generate_series(1, 50000), (select pg_sleep(0.2)) as later",
	    &result);

	torc_pg_result_free(result);
	return rc;
}

/* The server cannot send that, and reads no more of this before it could. */
static int
say_much_behind_what_was_given_up(struct scene *scene)
{
	const size_t size = 32u << 20;
	char *text = calloc(1, size);
	struct torc_pg_param param;
	struct client_stats stats;
	uint64_t id;
	int rc;

	memset(text, 'y', size);
	param = torc_pg_text_n(text, size);
	EXPECT(ask_number(scene->pg, "select 1", NULL, 0, false) == 1);
	EXPECT(torc_fiber_spawn(&id, ask_for_much, scene->pg) == 0);
	EXPECT(torc_sleep(torc_after_ms(50)) == 0);
	EXPECT(torc_fiber_reap(id, &rc, TORC_NEVER) == 0 && rc == -ECANCELED);
	EXPECT(torc_sleep(torc_after_ms(500)) == 0);
	EXPECT(ask_number(scene->pg, "select length($1)", &param, 1, false) ==
	    (int64_t)size);
	free(text);
	read_stats(scene->pg, &stats);
	EXPECT(stats.own.retired == 0 && stats.shared.opens == 1);
	return 0;
}

static void
a_large_statement_waits_for_no_answer_that_nobody_reads(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 },
	    say_much_behind_what_was_given_up);
}

static int
lose_idle(struct scene *scene)
{
	struct torc_pg_session *session;
	struct client_stats stats;

	EXPECT(ask_number(scene->pg, "select 1", NULL, 0, false) == 1);
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	torc_pg_session_release(session);
	EXPECT(pg_server_sql(&postgres, "select pg_terminate_backend(pid, "
	    "10000) from pg_stat_activity where usename = 'torc' and "
	    "pid <> pg_backend_pid()"));
	/* Until it has come to us: one turn, in which it is received. */
	torc_sleep(torc_after_ms(50));
	EXPECT(ask_number(scene->pg, "select 1", NULL, 0, false) == 1);
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_run(session, "select 1", LATE) == 0);
	torc_pg_session_release(session);
	read_stats(scene->pg, &stats);
	EXPECT(stats.shared.opens == 2 && stats.sessions.opens == 2);
	return 0;
}

/* I77 */
static void
an_idle_connection_that_the_server_closed_is_replaced_before_use(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 }, lose_idle);
}

/* ---- What does not belong on a shared connection ---- */

static int
misuse(struct scene *scene)
{
	struct torc_pg *pg = scene->pg;
	struct torc_pg_result *result;
	struct client_stats stats;

	EXPECT(ask(pg, "begin", &result) == -EOPNOTSUPP);
	EXPECT(strstr(torc_pg_result_error(result)->text, "transaction"));
	EXPECT(torc_pg_result_error(result)->outcome == TORC_PG_UNSENT);
	torc_pg_result_free(result);
	EXPECT(ask_number(pg, "select 1", NULL, 0, false) == 1);
	EXPECT(ask(pg, "copy (select 1) to stdout", &result) == -EOPNOTSUPP);
	EXPECT(strstr(
	    torc_pg_result_error(result)->text, "torc_pg_copy_out_begin"));
	torc_pg_result_free(result);
	EXPECT(ask_number(pg, "select 1", NULL, 0, false) == 1);
	/* More than its bound: no part of it, and the connection goes on. */
	EXPECT(ask(pg, "select * from generate_series(1, 1000)", &result) ==
	    -EMSGSIZE);
	EXPECT(strstr(torc_pg_result_error(result)->text, "result_max"));
	EXPECT(torc_pg_result_row_count(result) == 0);
	torc_pg_result_free(result);
	EXPECT(ask(pg, "select * from generate_series(1, 50)", &result) == 0);
	EXPECT(torc_pg_result_row_count(result) == 50);
	torc_pg_result_free(result);
	/* A message above its bound, too. */
	EXPECT(ask(pg, "select repeat('x', 4096)", &result) == -EMSGSIZE);
	EXPECT(strstr(torc_pg_result_error(result)->text, "message_max"));
	EXPECT(torc_pg_result_error(result)->outcome == TORC_PG_DONE);
	torc_pg_result_free(result);
	EXPECT(ask_number(pg, "select 1", NULL, 0, false) == 1);
	read_stats(pg, &stats);
	EXPECT(stats.shared.opens == 1 && stats.own.retired == 0);
	return 0;
}

/* I82 */
static void
what_is_too_large_or_does_not_belong_there_is_refused(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1, .result_max = 1024,
	    .message_max = 4096 }, misuse);
}

/* ---- COPY ---- */

static int
copy(struct scene *scene)
{
	struct torc_pg_session *session;
	struct torc_slice line;
	char text[64];
	uint64_t rows;
	int count = 0;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_run(session,
	    "drop table if exists copied; create "
	    "table copied (a int, b text)",
	    LATE) == 0);
	EXPECT(torc_pg_copy_in_begin(session, "copy copied from stdin", LATE) ==
	    0);
	for (int i = 0; i < 50000; i++) {
		int size = snprintf(text, sizeof(text), "%d\tline %d\n", i,
		    i);

		EXPECT(torc_pg_copy_in_write(session, text, (size_t)size,
		    LATE) == 0);
	}
	EXPECT(torc_pg_copy_in_end(session, NULL, &rows, LATE) == 0);
	EXPECT(rows == 50000);
	EXPECT(torc_pg_copy_out_begin(session,
	    "copy (select * from copied order "
	    "by a) to stdout",
	    LATE) == 0);
	while (torc_pg_copy_out_read(session, &line, LATE) == 1) {
		snprintf(text, sizeof(text), "%d\tline %d\n", count, count);
		EXPECT(is(line, text));
		count++;
	}
	EXPECT(count == 50000 && torc_pg_session_state(session) == 'I');
	/* Given up in the middle: the rest is read past. */
	EXPECT(torc_pg_copy_out_begin(session, "copy copied to stdout", LATE) ==
	    0);
	EXPECT(torc_pg_copy_out_read(session, &line, LATE) == 1);
	EXPECT(torc_pg_copy_out_end(session, &rows, LATE) == 0);
	EXPECT(rows == 50000 && torc_pg_session_state(session) == 'I');
	torc_pg_session_release(session);
	return 0;
}

static void
copy_moves_rows_in_both_directions(void **state)
{
	(void)state;
	play(copy);
}

static int
copy_wrongly(struct scene *scene)
{
	const struct torc_pg_statement prepared = {
		.sql = "copy c from stdin" };
	struct torc_pg_row row;
	struct torc_pg_session *session;
	char *large = calloc(1, 1 << 20);
	int rc = 0;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_run(
	    session, "create temp table c (a int)", LATE) == 0);
	/* Given up by us. */
	EXPECT(torc_pg_copy_in_begin(session, "copy c from stdin", LATE) == 0);
	EXPECT(torc_pg_copy_in_write(session, "1\n", 2, LATE) == 0);
	EXPECT(torc_pg_copy_in_end(session, "no more", NULL, LATE) == 0);
	/* Refused by the server, before the end of what there is. */
	EXPECT(torc_pg_copy_in_begin(session, "copy c from stdin", LATE) == 0);
	memset(large, 'x', 1 << 20);
	memcpy(large, "oops\n", 5);
	for (int i = 0; i < 1000 && rc == 0; i++)
		rc = torc_pg_copy_in_write(session, large, 1 << 20, LATE);
	free(large);
	EXPECT(rc == -EREMOTEIO);
	EXPECT(strcmp(torc_pg_session_error(session)->state, "22P02") == 0);
	EXPECT(torc_pg_session_run(session, "select 1", LATE) == 0);
	/* The wrong function for it, and a statement that is none. */
	EXPECT(torc_pg_session_begin_simple(
	    session, "copy c from stdin", LATE) == -EOPNOTSUPP);
	EXPECT(torc_pg_session_begin(session, &prepared, LATE) == 0);
	EXPECT(torc_pg_session_next_row(session, &row, LATE) == -EOPNOTSUPP);
	EXPECT(torc_pg_copy_out_begin(session, "copy c from stdin", LATE) ==
	    -EOPNOTSUPP);
	EXPECT(torc_pg_copy_in_begin(session, "select 1", LATE) == -EOPNOTSUPP);
	EXPECT(torc_pg_session_run(session, "insert into c values (1)", LATE) ==
	    0);
	/* Left in the middle. */
	EXPECT(torc_pg_copy_in_begin(session, "copy c from stdin", LATE) == 0);
	torc_pg_session_release(session);
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_run(session, "select 1", LATE) == 0);
	torc_pg_session_release(session);
	return 0;
}

static void
a_copy_that_fails_on_either_side_leaves_the_session_usable(void **state)
{
	(void)state;
	play(copy_wrongly);
}

/* ---- Notifications and notices ---- */

static int
be_notified(struct scene *scene)
{
	struct torc_pg_notification notification;
	struct torc_pg_session *session;
	struct torc_pg_result *result;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_listen(session, "News \"of\" today", LATE) == 0);
	EXPECT(torc_pg_session_await_notification(
	    session, &notification, torc_after_ms(20)) == -ETIMEDOUT);
	for (int i = 0; i < 3; i++) {
		EXPECT(ask(scene->pg, "select pg_notify('News \"of\" "
		    "today', 'payload')", &result) == 0);
		torc_pg_result_free(result);
		if (i == 1)	/* it comes while a statement runs */
			EXPECT(torc_pg_session_run(session,
			    "select pg_sleep(0.05)", LATE) == 0);
	}
	for (int i = 0; i < 3; i++) {
		EXPECT(torc_pg_session_await_notification(
		    session, &notification, LATE) == 0);
		EXPECT(strcmp(notification.channel, "News \"of\" today") ==
		    0);
		EXPECT(strcmp(notification.payload, "payload") == 0);
	}
	EXPECT(torc_pg_session_run(session,
	    "do $$ begin raise notice 'psst'; end "
	    "$$",
	    LATE) == 0);
	EXPECT(scene->notices == 1 && strcmp(scene->notice, "psst") == 0);
	torc_pg_session_release(session);
	return 0;
}

static void
notifications_come_as_a_stream_and_notices_are_told(void **state)
{
	(void)state;
	play(be_notified);
}

static int
be_flooded(struct scene *scene)
{
	struct torc_pg_notification notification;
	struct torc_pg_session *session;
	int count = 0, rc;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_listen(session, "flood", LATE) == 0);
	EXPECT(torc_pg_session_run(session,
	    "select pg_notify('flood', i::text) from "
	    "generate_series(1, 1000) i",
	    LATE) == 0);
	while ((rc = torc_pg_session_await_notification(
		    session, &notification, LATE)) == 0)
		count++;
	EXPECT(rc == -EOVERFLOW && count > 5 && count < 1000);
	EXPECT(torc_pg_session_run(session, "notify flood", LATE) == 0);
	EXPECT(torc_pg_session_await_notification(
	    session, &notification, LATE) == 0);
	torc_pg_session_release(session);
	return 0;
}

static void
notifications_that_nobody_takes_are_bounded_and_the_loss_is_told(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .notices_max = 1024 },
	    be_flooded);
}

/* ---- Against another implementation ---- */

static const char *const samples[] = {
	"select 1::int2, -1::int4, 9223372036854775807::int8, 7::oid",
	"select 1.5::float4, 'nan'::float8, -0.1::float8, true, false",
	"select '\\x00ff'::bytea, ''::text, null::text, 'a\tb'::varchar",
	"select now()::date, 'x'::char(3), '{1,2}'::int[], 1.50::numeric",
	"select g, repeat('y', g * 100) from generate_series(1, 200) g",
	"select 1 where false",
	"values (1, 'a'), (2, null)",
};

static int
compare_rows(struct torc_pg_result *ours, const PGresult *theirs)
{
	struct torc_pg_row row;
	int columns = PQnfields(theirs), at = 0;

	EXPECT((int)torc_pg_result_row_count(ours) == PQntuples(theirs));
	EXPECT((int)torc_pg_result_column_count(ours) == columns);
	for (int i = 0; i < columns; i++) {
		EXPECT(
		    torc_pg_result_columns(ours)[i].type == PQftype(theirs, i));
		EXPECT(strcmp(torc_pg_result_columns(ours)[i].name,
		    PQfname(theirs, i)) == 0);
	}
	for (; torc_pg_result_next_row(ours, &row); at++)
		for (int i = 0; i < columns; i++) {
			struct torc_slice value = row.values[i];

			EXPECT((value.data == NULL) ==
			    PQgetisnull(theirs, at, i));
			EXPECT((int)value.size == PQgetlength(theirs, at, i));
			EXPECT(value.size == 0 || memcmp(value.data,
			    PQgetvalue(theirs, at, i), value.size) == 0);
		}
	EXPECT(at == PQntuples(theirs));
	return 0;
}

static int
compare(struct scene *scene)
{
	char key[128];
	PGconn *other;

	snprintf(key, sizeof(key), "%.60s user=torc dbname=torc",
	    postgres.key);
	other = PQconnectdb(key);
	for (unsigned i = 0; i < 2 * COUNT(samples); i++) {
		const struct torc_pg_statement statement = {
			.sql = samples[i / 2], .binary = i % 2 };
		PGresult *theirs = PQexecParams(other, samples[i / 2], 0, NULL,
		    NULL, NULL, NULL, i % 2);
		struct torc_pg_result *ours;
		int line;

		EXPECT(torc_pg_query(scene->pg, &statement, &ours, LATE) ==
		    0);
		line = compare_rows(ours, theirs);
		torc_pg_result_free(ours);
		PQclear(theirs);
		if (line != 0)
			return line;
	}
	PQfinish(other);
	return 0;
}

static void
columns_and_values_are_those_that_libpq_sees(void **state)
{
	(void)state;
	play(compare);
}

static int
send_back(struct scene *scene)
{
	static uint8_t large[3 << 20];
	const struct torc_pg_param params[] = { torc_pg_int2(-2),
		torc_pg_int8(INT64_MIN), torc_pg_float4(1.5f),
		torc_pg_float8(-0.1), torc_pg_bool(true), torc_pg_null(),
		torc_pg_text("text"), torc_pg_bytea(large, sizeof(large)) };
	const struct torc_pg_statement statement = {
		"select $1, $2, $3, $4, $5, $6::text, $7::text, $8", params,
		COUNT(params), true };
	const struct torc_pg_column *columns;
	struct torc_pg_result *result;
	struct torc_pg_row row;
	int64_t number;
	double real;
	bool truth;

	stream_fill(7, 0, large, sizeof(large));
	EXPECT(torc_pg_query(scene->pg, &statement, &result, LATE) == 0);
	EXPECT(torc_pg_result_next_row(result, &row) && row.count == 8);
	columns = torc_pg_result_columns(result);
	EXPECT(torc_pg_read_int(&columns[0], row.values[0], &number) == 0 &&
	    number == -2);
	EXPECT(torc_pg_read_int(&columns[1], row.values[1], &number) == 0 &&
	    number == INT64_MIN);
	EXPECT(torc_pg_read_float(&columns[2], row.values[2], &real) == 0 &&
	    real == 1.5);
	EXPECT(torc_pg_read_float(&columns[3], row.values[3], &real) == 0 &&
	    real == -0.1);
	EXPECT(torc_pg_read_bool(&columns[4], row.values[4], &truth) == 0 &&
	    truth);
	EXPECT(torc_pg_read_int(&columns[0], row.values[5], &number) ==
	    -ENODATA);
	EXPECT(is(row.values[6], "text"));
	EXPECT(row.values[7].size == sizeof(large));
	EXPECT(stream_matches(7, 0, row.values[7].data, sizeof(large)));
	torc_pg_result_free(result);
	return 0;
}

static void
parameters_of_each_type_and_large_ones_come_back_as_they_were(void **state)
{
	(void)state;
	play(send_back);
}

/* ---- Many at once ---- */

#define FIBERS 64
#define ROUNDS 50

struct fiber {
	struct scene *scene;
	uint64_t id;
	int index;
	int rounds;
	int answered;
};

static int
ask_by_key(void *arg)
{
	struct fiber *fiber = arg;

	for (int i = 0; i < fiber->rounds; i++) {
		int key = fiber->index * ROUNDS + i;
		const struct torc_pg_param param = torc_pg_int4(key);

		if (ask_number(fiber->scene->pg, "select $1", &param, 1,
		    true) == key)
			fiber->answered++;
	}
	return 0;
}

static int
ask_together(struct scene *scene, int rounds)
{
	struct fiber fibers[FIBERS];
	struct client_stats stats;

	for (int i = 0; i < FIBERS; i++) {
		fibers[i] = (struct fiber) { .scene = scene, .index = i,
			.rounds = rounds };
		EXPECT(torc_fiber_spawn(&fibers[i].id, ask_by_key,
		    &fibers[i]) == 0);
	}
	for (int i = 0; i < FIBERS; i++) {
		EXPECT(torc_fiber_join(fibers[i].id, NULL, LATE) == 0);
		EXPECT(fibers[i].answered == rounds);
	}
	read_stats(scene->pg, &stats);
	EXPECT(stats.own.queries == (uint64_t)(FIBERS * rounds));
	EXPECT(stats.shared.opens <= 2 && stats.own.prepared <= 2);
	return 0;
}

static int
ask_often(struct scene *scene)
{
	return ask_together(scene, ROUNDS);
}

static int
ask_in_one_turn(struct scene *scene)
{
	return ask_together(scene, 1);
}

static void
many_fibers_share_two_connections_and_each_gets_its_own_answer(void **state)
{
	(void)state;
	play(ask_often);
}

static void
the_statements_of_one_turn_leave_in_few_sends(void **state)
{
	unsigned long sends;

	(void)state;
	/* Of these are those of the login and the farewell, too. */
	sends = play(ask_in_one_turn);
	print_message("%d statements in %lu sends\n", FIBERS, sends);
	assert_true(sends < FIBERS / 4);
}

/* ---- Batches ---- */

static struct torc_pg_statement
plain(const char *sql)
{
	return (struct torc_pg_statement) { .sql = sql };
}

/* The first value of a statement of the batch; -errno. */
static int64_t
number_at(struct torc_pg_result *result, unsigned index)
{
	struct torc_pg_row row;
	int64_t number;
	int rc;

	torc_pg_result_seek(result, index);
	if (!torc_pg_result_next_row(result, &row))
		return -ENODATA;
	rc = torc_pg_read_int(
	    torc_pg_result_columns(result), row.values[0], &number);
	return rc < 0 ? rc : number;
}

#define OF_BATCH 40u

/* Select 0, 1, 2 ... plus `base`, every third in binary: 0, or a line. */
static int
batch_numbers(struct torc_pg *pg, unsigned base)
{
	struct torc_pg_param params[OF_BATCH];
	struct torc_pg_statement statements[OF_BATCH];
	struct torc_pg_result *result;

	for (unsigned i = 0; i < OF_BATCH; i++) {
		params[i] = torc_pg_int4((int32_t)(base + i));
		statements[i] = (struct torc_pg_statement) { "select $1",
			&params[i], 1, i % 3 == 0 };
	}
	EXPECT(torc_pg_batch(pg, statements, OF_BATCH, &result, LATE) == 0);
	for (unsigned i = OF_BATCH; i-- > 0;)
		EXPECT(number_at(result, i) == (int64_t)(base + i));
	torc_pg_result_free(result);
	return 0;
}

static int
ask_in_batches(struct scene *scene)
{
	const struct torc_pg_statement mixed[] = {
		plain("select generate_series(1, 1000)"), plain(""),
		plain("create table b (a int primary key)"),
		plain("insert into b select generate_series(1, 30)"),
		plain("select a, a as b, a as c, a as d, a as e, a as f, "
		    "a as g, a as h, a as i, a as j, a as k, a as l, a as m, "
		    "a as n, a as o, a as p, a as q from b order by a desc"),
		plain("select 7 as seven"),
	};
	struct torc_pg_result *result;
	struct client_stats stats;
	struct torc_pg_row row;
	int64_t number;

	EXPECT(pg_server_sql(&postgres, "drop table if exists b"));
	EXPECT(batch_numbers(scene->pg, 0) == 0);
	EXPECT(batch_numbers(scene->pg, 1000) == 0);
	read_stats(scene->pg, &stats);
	EXPECT(stats.own.prepared == 2 && stats.own.queries == 2 * OF_BATCH);
	EXPECT(torc_pg_batch(scene->pg, mixed, COUNT(mixed), &result, LATE) ==
	    0);
	EXPECT(torc_pg_result_row_count(result) == 1000);
	EXPECT(number_at(result, 5) == 7 &&
	    torc_pg_result_column_count(result) == 1);
	EXPECT(strcmp(torc_pg_result_columns(result)->name, "seven") == 0);
	EXPECT(!torc_pg_result_next_row(result, &row));
	EXPECT(number_at(result, 4) == 30 &&
	    torc_pg_result_row_count(result) == 30);
	EXPECT(torc_pg_result_next_row(result, &row) && row.count == 17);
	EXPECT(torc_pg_read_int(torc_pg_result_columns(result), row.values[16],
	    &number) == 0 && number == 29);
	torc_pg_result_seek(result, 3);
	EXPECT(torc_pg_result_affected(result) == 30 &&
	    torc_pg_result_row_count(result) == 0 &&
	    !torc_pg_result_next_row(result, &row));
	EXPECT(number_at(result, 0) == 1 && number_at(result, 1) == -ENODATA);
	torc_pg_result_free(result);
	return 0;
}

static void
the_results_of_a_batch_are_those_of_its_statements(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 }, ask_in_batches);
}

/* The batch fails in this statement, with this state. */
static int
fail_batch(struct torc_pg *pg, const struct torc_pg_statement *statements,
    unsigned count, unsigned failed, const char *sqlstate)
{
	struct torc_pg_result *result;
	struct torc_pg_row row;

	EXPECT(torc_pg_batch(pg, statements, count, &result, LATE) ==
	    -EREMOTEIO);
	EXPECT(torc_pg_result_error(result)->statement == failed);
	EXPECT(strcmp(torc_pg_result_error(result)->state, sqlstate) == 0);
	for (unsigned i = 0; i < count; i++) {
		torc_pg_result_seek(result, i);
		EXPECT(!torc_pg_result_next_row(result, &row));
		EXPECT(torc_pg_result_affected(result) == 0);
	}
	torc_pg_result_free(result);
	return 0;
}

static int
fail_in_batches(struct scene *scene)
{
	struct torc_pg_statement statements[] = {
		plain("insert into kept values (1)"), plain("select 1"),
		plain("select 1 / (1 - 1)"), plain("insert into kept "
		    "values (2)"), plain("select 'never seen'"),
	};
	const struct torc_pg_statement late[] = {
		plain("insert into kept values (5)"),
		plain("insert into kept values (5)"),
	};
	const char *count = "select count(*) from kept";
	struct torc_pg *pg = scene->pg;
	struct torc_pg_result *result;
	struct client_stats stats;

	EXPECT(pg_server_sql(&postgres, "drop table if exists kept; create "
	    "table kept (a int unique deferrable initially deferred)"));
	EXPECT(fail_batch(pg, statements, 5, 2, "22012") == 0);
	EXPECT(ask_number(pg, count, NULL, 0, false) == 0);
	/* Those behind it were not prepared, and nobody thinks that. */
	EXPECT(ask_number(pg, "select 'never seen' is null", NULL, 0, true) ==
	    -EINVAL);
	EXPECT(ask(pg, "select 'never seen'", &result) == 0);
	torc_pg_result_free(result);
	statements[2].sql = "selec";
	EXPECT(fail_batch(pg, statements, 5, 2, "42601") == 0);
	EXPECT(fail_batch(pg, late, 2, 2, "23505") == 0);
	EXPECT(ask_number(pg, count, NULL, 0, false) == 0);
	statements[2].sql = "select 3";
	EXPECT(torc_pg_batch(pg, statements, 5, &result, LATE) == 0);
	torc_pg_result_free(result);
	EXPECT(ask_number(pg, count, NULL, 0, false) == 2);
	read_stats(pg, &stats);
	EXPECT(stats.shared.opens == 1 && stats.own.repeated == 0);
	return 0;
}

static void
a_statement_that_fails_is_named_and_undoes_its_batch(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 }, fail_in_batches);
}

/* What all of them need is to be prepared by who fails, and is not, then: more
 * than once. */
static int
ask_behind_a_failure(void *arg)
{
	const struct torc_pg_statement failing[] = {
		plain("select 1 / (2 - 2)"), plain("select 1234"),
	};
	int line = 0;

	for (int i = 0; line == 0 && i < 3; i++)
		line = fail_batch(arg, failing, 2, 0, "22012");
	return line;
}

static int
ask_1234(void *arg)
{
	return ask_number(arg, "select 1234", NULL, 0, false) == 1234 ? 0 :
	    __LINE__;
}

static int
batch_among_others(void *arg)
{
	return batch_numbers(arg, 5000);
}

static int
fail_among_others(struct scene *scene)
{
	int (*const ways[])(void *arg) = { ask_behind_a_failure, ask_1234,
		batch_among_others };
	struct client_stats stats;
	uint64_t ids[24];
	int line;

	EXPECT(ask_number(scene->pg, "select 1", NULL, 0, false) == 1);
	for (unsigned i = 0; i < COUNT(ids); i++)
		EXPECT(torc_fiber_spawn(&ids[i], ways[i % COUNT(ways)],
		    scene->pg) == 0);
	for (unsigned i = 0; i < COUNT(ids); i++) {
		EXPECT(torc_fiber_join(ids[i], &line, LATE) == 0);
		if (line != 0)
			return line;
	}
	read_stats(scene->pg, &stats);
	EXPECT(stats.shared.opens == 1 && stats.own.repeated > 0);
	return 0;
}

static void
a_batch_that_fails_is_nothing_to_the_others_on_its_connection(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 }, fail_among_others);
}

static int
batch_beyond_the_cache(struct scene *scene)
{
	struct torc_pg_statement statements[20];
	char sql[20][32];
	struct torc_pg_result *result;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 20; i++) {
			snprintf(sql[i], sizeof(sql[i]), "select %d",
			    i % 10 * (round + 1));
			statements[i] = plain(sql[i]);
		}
		EXPECT(torc_pg_batch(scene->pg, statements, 20, &result,
		    LATE) == 0);
		for (int i = 0; i < 20; i++)
			EXPECT(number_at(result, (unsigned)i) ==
			    i % 10 * (round + 1));
		torc_pg_result_free(result);
		/* Where they were dropped, and none of them prepared. */
		statements[0] = plain("selec");
		EXPECT(fail_batch(scene->pg, statements, 20, 0, "42601") == 0);
	}
	EXPECT(ask_number(scene->pg, "select count(*) from "
	    "pg_prepared_statements", NULL, 0, false) <= 4);
	return 0;
}

static void
a_batch_of_more_statements_than_are_kept_is_answered(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1, .statements = 4 },
	    batch_beyond_the_cache);
}

#define PIECE 4096u
#define PIECES 9000u

/* More than all buffers hold, in both directions at once. */
static int
batch_much(struct scene *scene)
{
	static struct torc_pg_param params[PIECES];
	static struct torc_pg_statement statements[PIECES];
	char *text = malloc(PIECE);
	struct torc_pg_result *result;
	struct torc_pg_row row;

	memset(text, 'y', PIECE);
	for (unsigned i = 0; i < PIECES; i++) {
		params[i] = torc_pg_text_n(text, PIECE - i % 1000);
		statements[i] = (struct torc_pg_statement) {
			"select $1::text", &params[i], 1, false };
	}
	EXPECT(torc_pg_batch(scene->pg, statements, PIECES, &result, LATE) ==
	    0);
	for (unsigned i = 0; i < PIECES; i++) {
		torc_pg_result_seek(result, i);
		EXPECT(torc_pg_result_next_row(result, &row) &&
		    row.values[0].size == PIECE - i % 1000);
	}
	torc_pg_result_free(result);
	free(text);
	return 0;
}

static int
batch_too_much(struct scene *scene)
{
	const struct torc_pg_statement statements[] = {
		plain("select 1"), plain("select repeat('x', 600)"),
		plain("select repeat('y', 600)"),
	};
	struct torc_pg_result *result;

	EXPECT(torc_pg_batch(scene->pg, statements, 2, &result, LATE) == 0);
	torc_pg_result_free(result);
	EXPECT(torc_pg_batch(scene->pg, statements, 3, &result, LATE) ==
	    -EMSGSIZE);
	EXPECT(torc_pg_result_error(result)->statement == 2);
	torc_pg_result_free(result);
	EXPECT(ask_number(scene->pg, "select 1", NULL, 0, false) == 1);
	EXPECT(torc_pg_batch(scene->pg, NULL, 0, &result, LATE) == -EINVAL);
	EXPECT(result != NULL && torc_pg_result_row_count(result) == 0);
	torc_pg_result_free(result);
	return 0;
}

static void
a_batch_may_be_larger_than_all_buffers_but_not_than_its_bound(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1,
	    .result_max = 64u << 20 }, batch_much);
	play_with((struct torc_pg_config) { .shared = 1, .result_max = 1024 },
	    batch_too_much);
}

static int
give_up_batch(struct scene *scene)
{
	const struct torc_pg_statement slow[] = {
		plain("select 111"), plain("select pg_sleep(0.3)"),
		plain("select 222"),
	};
	struct torc_pg_result *result;
	struct client_stats stats;

	EXPECT(ask_number(scene->pg, "select 1", NULL, 0, false) == 1);
	EXPECT(torc_pg_batch(scene->pg, slow, 3, &result,
	    torc_after_ms(50)) == -ETIMEDOUT);
	EXPECT(torc_pg_result_error(result)->outcome == TORC_PG_UNKNOWN);
	torc_pg_result_free(result);
	EXPECT(batch_numbers(scene->pg, 300) == 0);
	read_stats(scene->pg, &stats);
	EXPECT(stats.own.retired == 1 && stats.shared.opens == 2);
	return 0;
}

static int
wait_for_slow(void *arg)
{
	const struct torc_pg_statement slow[] = {
		plain("select 111"), plain("select pg_sleep(0.3)"),
		plain("select 222"),
	};
	struct torc_pg_result *result;
	int rc = torc_pg_batch(arg, slow, 3, &result, LATE);

	if (torc_pg_result_error(result)->outcome != TORC_PG_UNKNOWN)
		rc = -EILSEQ;
	torc_pg_result_free(result);
	return rc;
}

/* On the same connection: the answers that come are those of the other. */
static int
cancel_batch(struct scene *scene)
{
	struct client_stats stats;
	uint64_t id;
	int rc;

	EXPECT(ask_number(scene->pg, "select 1", NULL, 0, false) == 1);
	EXPECT(torc_fiber_spawn(&id, wait_for_slow, scene->pg) == 0);
	EXPECT(torc_sleep(torc_after_ms(50)) == 0);
	EXPECT(torc_fiber_reap(id, &rc, TORC_NEVER) == 0 && rc == -ECANCELED);
	EXPECT(batch_numbers(scene->pg, 300) == 0);
	read_stats(scene->pg, &stats);
	EXPECT(stats.own.retired == 0 && stats.shared.opens == 1);
	return 0;
}

static void
the_answers_to_a_batch_that_was_given_up_reach_nobody(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 }, give_up_batch);
	play_with((struct torc_pg_config) { .shared = 1 }, cancel_batch);
}

static int
forget_in_batches(struct scene *scene)
{
	struct torc_pg_statement statements[] = {
		plain("insert into twice values (1)"),
		plain("select 42"), plain("insert into twice values (2)"),
	};
	const char *count = "select count(*) from twice";
	struct torc_pg *pg = scene->pg;
	struct torc_pg_result *result;
	struct client_stats stats;

	EXPECT(pg_server_sql(&postgres, MAKE_FORGET_ALL
	    "drop table if exists twice; create table twice (a int)"));
	EXPECT(ask_number(pg, "select 42", NULL, 0, false) == 42);
	EXPECT(ask(pg, FORGET_ALL, &result) == 0);
	torc_pg_result_free(result);
	EXPECT(torc_pg_batch(pg, statements, 3, &result, LATE) == 0);
	EXPECT(number_at(result, 1) == 42);
	torc_pg_result_free(result);
	EXPECT(ask_number(pg, count, NULL, 0, false) == 2);
	read_stats(pg, &stats);
	EXPECT(stats.own.repeated == 1);
	/* What was committed is not done twice. */
	EXPECT(ask(pg, FORGET_ALL, &result) == 0);
	torc_pg_result_free(result);
	statements[0].sql = "insert into twice values (3)";
	statements[1].sql = "commit";
	EXPECT(fail_batch(pg, statements, 3, 2, "26000") == 0);
	EXPECT(ask_number(pg, count, NULL, 0, true) == 3);
	read_stats(pg, &stats);
	/* Beside it, the one that forgets all, and itself. */
	EXPECT(stats.own.repeated == 2 && stats.shared.opens == 1);
	return 0;
}

static void
a_batch_is_repeated_for_a_forgotten_statement_if_it_was_undone(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 }, forget_in_batches);
}

static int
stray_in_batches(struct scene *scene)
{
	struct torc_pg_statement statements[] = {
		plain("begin"), plain("select 1"), plain("commit"),
	};
	const struct torc_pg_statement copy[] = {
		plain("select 1"), plain("copy (select 1) to stdout"),
	};
	struct torc_pg_result *result;

	EXPECT(torc_pg_batch(scene->pg, statements, 3, &result, LATE) == 0);
	torc_pg_result_free(result);
	EXPECT(torc_pg_batch(scene->pg, statements, 2, &result, LATE) ==
	    -EOPNOTSUPP);
	EXPECT(strstr(torc_pg_result_error(result)->text, "open"));
	EXPECT(torc_pg_result_error(result)->outcome == TORC_PG_UNSENT);
	torc_pg_result_free(result);
	EXPECT(torc_pg_batch(scene->pg, copy, 2, &result, LATE) ==
	    -EOPNOTSUPP);
	torc_pg_result_free(result);
	EXPECT(ask_number(scene->pg, "select 1", NULL, 0, false) == 1);
	return 0;
}

static void
a_batch_that_leaves_a_transaction_open_or_copies_is_refused(void **state)
{
	(void)state;
	play(stray_in_batches);
}

static void
nothing_can_be_said_without_a_server(void **state)
{
	(void)state;
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(
	    a_select_of_42_and_one_with_parameters_are_answered),
	cmocka_unit_test(
	    an_error_fails_its_statement_and_leaves_the_connection_usable),
	cmocka_unit_test(
	    a_failed_execute_keeps_the_statement_and_a_failed_parse_drops_it),
	cmocka_unit_test(
	    a_statement_that_the_server_forgot_is_prepared_again),
	cmocka_unit_test(no_more_statements_are_kept_than_allowed),
	cmocka_unit_test(
	    each_way_to_log_in_works_and_refuses_a_wrong_password),
	cmocka_unit_test(
	    nothing_less_than_scram_is_accepted_when_it_is_required),
	cmocka_unit_test(five_rows_come_one_by_one_twice),
	cmocka_unit_test(a_large_result_is_read_in_little_memory),
	cmocka_unit_test(
	    a_transaction_belongs_to_its_session_and_one_left_open_is_undone),
	cmocka_unit_test(
	    the_results_of_several_statements_come_one_after_the_other),
	cmocka_unit_test(
	    a_deadline_cancels_the_statement_and_the_session_goes_on),
	cmocka_unit_test(rows_that_nobody_read_reach_nobody_else),
	cmocka_unit_test(
	    a_shared_connection_whose_oldest_statement_is_late_is_left),
	cmocka_unit_test(
	    an_idle_connection_that_the_server_closed_is_replaced_before_use),
	cmocka_unit_test(
	    what_is_too_large_or_does_not_belong_there_is_refused),
	cmocka_unit_test(copy_moves_rows_in_both_directions),
	cmocka_unit_test(
	    a_copy_that_fails_on_either_side_leaves_the_session_usable),
	cmocka_unit_test(
	    notifications_come_as_a_stream_and_notices_are_told),
	cmocka_unit_test(
	    notifications_that_nobody_takes_are_bounded_and_the_loss_is_told),
	cmocka_unit_test(columns_and_values_are_those_that_libpq_sees),
	cmocka_unit_test(
	    parameters_of_each_type_and_large_ones_come_back_as_they_were),
	cmocka_unit_test(
	    many_fibers_share_two_connections_and_each_gets_its_own_answer),
	cmocka_unit_test(
	    a_large_statement_waits_for_no_answer_that_nobody_reads),
	cmocka_unit_test(the_statements_of_one_turn_leave_in_few_sends),
	cmocka_unit_test(
	    the_results_of_a_batch_are_those_of_its_statements),
	cmocka_unit_test(
	    a_statement_that_fails_is_named_and_undoes_its_batch),
	cmocka_unit_test(
	    a_batch_that_fails_is_nothing_to_the_others_on_its_connection),
	cmocka_unit_test(
	    a_batch_of_more_statements_than_are_kept_is_answered),
	cmocka_unit_test(
	    a_batch_may_be_larger_than_all_buffers_but_not_than_its_bound),
	cmocka_unit_test(
	    the_answers_to_a_batch_that_was_given_up_reach_nobody),
	cmocka_unit_test(
	    a_batch_is_repeated_for_a_forgotten_statement_if_it_was_undone),
	cmocka_unit_test(
	    a_batch_that_leaves_a_transaction_open_or_copies_is_refused),
};

int
main(void)
{
	const struct CMUnitTest none[] = {
		cmocka_unit_test(nothing_can_be_said_without_a_server),
	};
	int failed;

	cmocka_set_test_filter(getenv("TORC_TEST"));
	if (!pg_server_make(&postgres))
		return cmocka_run_group_tests_name("pg_client", none, NULL,
		    NULL);
	failed = cmocka_run_group_tests_name("pg_client", tests, NULL, NULL);
	pg_server_remove(&postgres);
	return failed;
}
