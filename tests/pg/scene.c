/* SPDX-License-Identifier: MIT */
/*
 * scene.c - what scene.h says.
 */
#include "tests/pg/scene.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/pg/secure.h"

struct pg_server postgres;

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

void
scene_play(struct scene scene)
{
	const unsigned fds = count_fds();
	struct server server;
	int line;

	if (scene.config.address == NULL)
		scene.config.address = postgres.tcp;
	if (scene.config.user == NULL)
		scene.config.user = "torc";
	if (scene.config.database == NULL)
		scene.config.database = "torc";
	if (scene.config.transport == NULL)
		scene.config.transport = pg_server_transport(&postgres);
	server_start(&server, NULL, echo_handler, NULL);
	line = server_fiber(&server, run_scene, &scene);
	assert_int_equal(server_stop(&server), 0);
	if (line != 0)
		fail_msg("line %d does not hold", line);
	assert_int_equal(count_fds(), fds);
}

/* ---- Asking in one line ---- */

struct torc_pg_statement
plain(const char *sql)
{
	return (struct torc_pg_statement) { .sql = sql };
}

bool
is(struct torc_slice value, const char *text)
{
	return value.data != NULL && value.size == strlen(text) &&
	    memcmp(value.data, text, value.size) == 0;
}

int
ask(struct torc_pg *pg, const char *sql, struct torc_pg_result **result)
{
	const struct torc_pg_statement statement = plain(sql);

	return torc_pg_query(pg, &statement, result, LATE);
}

bool
says(struct torc_pg *pg, const char *sql, const char *text)
{
	struct torc_pg_result *result;
	struct torc_pg_row row;
	bool said = ask(pg, sql, &result) == 0 &&
	    torc_pg_result_next_row(result, &row) && is(row.values[0], text);

	torc_pg_result_free(result);
	return said;
}

bool
does(struct torc_pg *pg, const char *sql)
{
	struct torc_pg_result *result;
	bool done = ask(pg, sql, &result) == 0;

	torc_pg_result_free(result);
	return done;
}

bool
fails_with(struct torc_pg *pg, const char *sql, const char *state)
{
	struct torc_pg_result *result;
	bool so = ask(pg, sql, &result) == -EREMOTEIO && result != NULL &&
	    strcmp(torc_pg_result_error(result)->state, state) == 0;

	torc_pg_result_free(result);
	return so;
}

bool
session_says(struct torc_pg_session *session, const char *sql,
    const char *text)
{
	const struct torc_pg_statement statement = plain(sql);
	struct torc_pg_row row;
	bool said = torc_pg_session_begin(session, &statement, LATE) == 0 &&
	    torc_pg_session_next_row(session, &row, LATE) == 1 &&
	    row.count > 0 && is(row.values[0], text);

	return torc_pg_session_end(session, LATE) == 0 && said;
}

bool
session_does(struct torc_pg_session *session, const char *sql)
{
	return torc_pg_session_run(session, sql, LATE) == 0;
}

/* ---- Programs ---- */

static void
nothing_can_be_said_without_a_server(void **state)
{
	(void)state;
}

int
scene_main(const char *name, const struct CMUnitTest *tests, size_t count)
{
	return scene_main_with(name, tests, count, NULL, NULL);
}

int
scene_main_with(const char *name, const struct CMUnitTest *tests,
    size_t count, CMFixtureFunction make, CMFixtureFunction remove)
{
	const struct CMUnitTest none =
	    cmocka_unit_test(nothing_can_be_said_without_a_server);
	int failed;

	cmocka_set_test_filter(getenv("TORC_TEST"));
	if (!pg_server_make(&postgres))
		return _cmocka_run_group_tests(name, &none, 1, NULL, NULL);
	failed = _cmocka_run_group_tests(name, tests, count, make, remove);
	pg_server_remove(&postgres);
	return failed;
}
