/* SPDX-License-Identifier: MIT */
/*
 * test_pg_outage.c - a server that asks PostgreSQL, while PostgreSQL is
 * killed, stopped, slowed down and restarted.
 *
 * wrap: torc_sys_socket malloc calloc realloc strdup free
 */
#include <errno.h>
#include <stddef.h>

#include "tests/harness.h"
#include "tests/http/outage.h"
#include "tests/pg/server.h"

#include "conn/pg/torc_pg.h"

static struct pg_server postgres;

static int
open_client(void)
{
	const struct torc_pg_config config = { .address = postgres.tcp,
		.user = "scram", .database = "torc", .password = PG_PASSWORD,
		.shared = 1 };
	struct torc_pg *client;

	return torc_pg_create(&client, &config, NULL);
}

static void
close_client(void)
{
	torc_pg_destroy(torc_pg_of(torc_reactor_self()), TORC_NEVER);
}

static int
ask(torc_deadline deadline)
{
	static int count;
	const int asked = count++;
	const struct torc_pg_param number = torc_pg_int4(asked);
	const struct torc_pg_statement statement = { "select $1 + 0", &number,
		1, false };
	struct torc_pg_result *result;
	struct torc_pg_row row;
	int64_t answer = -1;
	int rc = torc_pg_query(torc_pg_of(torc_reactor_self()), &statement,
	    &result, deadline);

	if (rc == 0 && (!torc_pg_result_next_row(result, &row) ||
	    torc_pg_read_int(torc_pg_result_columns(result), row.values[0],
	    &answer) < 0 || answer != asked))
		rc = -EILSEQ;
	torc_pg_result_free(result);
	return rc;
}

static void
kill_server(void)
{
	pg_server_kill(&postgres);
}

static void
end_server(void)
{
	pg_server_stop(&postgres);
}

static void
start_server(void)
{
	assert_true(pg_server_start(&postgres));
}

static void
signal_server(int number)
{
	pg_server_signal(&postgres, number);
}

/* A68 */
static void
a_server_outlives_its_postgresql_and_finds_it_again_within_a_second(
    void **state)
{
	const struct outage_backend backend = { .open = open_client,
		.close = close_client, .ask = ask, .kill = kill_server,
		.end = end_server, .start = start_server,
		.signal = signal_server };

	(void)state;
	if (!pg_server_make(&postgres))
		skip();
	outage_is_survived(&backend);
	pg_server_remove(&postgres);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_server_outlives_its_postgresql_and_finds_it_again_within_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
