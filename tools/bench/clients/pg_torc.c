/*
 * pg_torc.c - one select by key after the other, by many fibers of a reactor.
 *
 *	pg_torc ADDRESS CONNECTIONS FIBERS COUNT BATCH_US [BATCH]
 *
 * With BATCH, at most 64, each fiber asks as many at once, with one Sync.
 * BATCH_US is that of torc_config: PostgreSQL sends the answer to each Sync
 * alone, so a reactor may wake up for each, or let some gather. Prints the CPU
 * time and the time of a select, in microseconds.
 */
#include <torc_pg.h>

#include <stdlib.h>

#include "tools/bench/clients/fiber_load.h"

#define KEYS 1000u
#define BATCH_MAX 64u
#define SELECT "select value from pairs where key = $1"

static struct torc_pg_config config = { .user = "bench",
	.database = "postgres" };

static int
open_pg(void **client)
{
	struct torc_pg *pg;
	int rc = torc_pg_create(&pg, &config, NULL, 0);

	*client = rc == 0 ? pg : NULL;
	return rc;
}

static void
close_pg(void *client)
{
	torc_pg_destroy(client);
}

static bool
select_one(void *client, unsigned long number)
{
	const struct torc_pg_param param =
	    torc_pg_int4((int32_t)(number % KEYS));
	const struct torc_pg_statement statement = { SELECT, &param, 1,
		false };
	struct torc_pg_result *result;
	struct torc_pg_row row;
	bool right = torc_pg_query(client, &statement, &result,
	    torc_after_ms(10000)) == 0 && torc_pg_next_row(result, &row) &&
	    row.values[0].size == 100;

	torc_pg_free(result);
	return right;
}

static unsigned batch;

static bool
select_batch(void *client, unsigned long number)
{
	struct torc_pg_param params[BATCH_MAX];
	struct torc_pg_statement statements[BATCH_MAX];
	struct torc_pg_result *result;
	struct torc_pg_row row;
	bool right;

	for (unsigned i = 0; i < batch; i++) {
		params[i] = torc_pg_int4((int32_t)((number + i) % KEYS));
		statements[i] = (struct torc_pg_statement) { SELECT,
			&params[i], 1, false };
	}
	right = torc_pg_batch(client, statements, batch, &result,
	    torc_after_ms(10000)) == 0;
	for (unsigned i = 0; right && i < batch; i++) {
		torc_pg_seek(result, i);
		right = torc_pg_next_row(result, &row) &&
		    row.values[0].size == 100;
	}
	torc_pg_free(result);
	return right;
}

int
main(int argc, char **argv)
{
	struct fiber_load load = { .open = open_pg, .close = close_pg,
		.ask = select_one };

	if (argc != 6 && argc != 7)
		return 64;
	if (argc == 7) {
		batch = (unsigned)atoi(argv[6]);
		if (batch == 0 || batch > BATCH_MAX)
			return 64;
		load.ask = select_batch;
		load.each = batch;
	}
	config.address = argv[1];
	config.shared = (unsigned)atoi(argv[2]);
	load.fibers = (unsigned)atoi(argv[3]);
	load.count = atol(argv[4]);
	load.batch_us = (unsigned)atoi(argv[5]);
	return run_fiber_load(&load);
}
