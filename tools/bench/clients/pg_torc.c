/* SPDX-License-Identifier: MIT */
/*
 * pg_torc.c - one select by key after the other, by many fibers of a reactor.
 *
 *	pg_torc ADDRESS CONNECTIONS FIBERS COUNT [BATCH_US [BATCH]]
 *
 * With BATCH, each fiber asks as many at once, with one Sync. Prints the CPU
 * time and the time of a select, in microseconds. PostgreSQL sends the answer
 * to each Sync alone, so BATCH_US matters.
 */
#include "tools/bench/clients/fiber_load.h"
#include "tools/bench/clients/questions.h"

static int
open_pg(void **client, const char *address, unsigned connections)
{
	const struct torc_pg_config config = { .address = address,
		.user = "bench", .database = "postgres",
		.shared = connections };
	struct torc_pg *pg;
	int rc = torc_pg_create(&pg, &config, NULL);

	*client = rc == 0 ? pg : NULL;
	return rc;
}

static void
close_pg(void *client)
{
	torc_pg_destroy(client, TORC_NEVER);
}

static bool
select_one(void *client, unsigned long number)
{
	struct torc_pg_result *result;
	struct torc_pg_row row;
	bool right = ask_pg(client, number, &result, &row);

	torc_pg_result_free(result);
	return right;
}

static bool
select_batch(void *client, unsigned long number, unsigned count)
{
	struct torc_pg_param params[BATCH_MAX];
	struct torc_pg_statement statements[BATCH_MAX];
	struct torc_pg_result *result;
	struct torc_pg_row row;
	bool right;

	for (unsigned i = 0; i < count; i++) {
		params[i] = torc_pg_int4((int32_t)((number + i) % KEYS));
		statements[i] = (struct torc_pg_statement) { SELECT,
			&params[i], 1, false };
	}
	right = torc_pg_batch(client, statements, count, &result,
	    torc_after_ms(ASK_MS)) == 0;
	for (unsigned i = 0; right && i < count; i++) {
		torc_pg_result_seek(result, i);
		right = torc_pg_result_next_row(result, &row) &&
		    row.values[0].size == VALUE_SIZE;
	}
	torc_pg_result_free(result);
	return right;
}

int
main(int argc, char **argv)
{
	struct fiber_load load = { .open = open_pg, .close = close_pg,
		.ask = select_one, .ask_batch = select_batch };

	return run_fiber_load(argc, argv, &load);
}
