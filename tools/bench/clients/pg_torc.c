/*
 * pg_torc.c - one select by key after the other, by many fibers of a reactor.
 *
 *	pg_torc ADDRESS CONNECTIONS FIBERS COUNT BATCH_US
 *
 * BATCH_US is that of torc_config: PostgreSQL sends the answer to each Sync
 * alone, so a reactor may wake up for each, or let some gather. Prints the CPU
 * time and the time of a select, in microseconds.
 */
#include <torc_pg.h>

#include <stdlib.h>

#include "tools/bench/clients/fiber_load.h"

#define KEYS 1000u

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
	const struct torc_pg_statement statement = {
		"select value from pairs where key = $1", &param, 1, false };
	struct torc_pg_result *result;
	struct torc_pg_row row;
	bool right = torc_pg_query(client, &statement, &result,
	    torc_after_ms(10000)) == 0 && torc_pg_next_row(result, &row) &&
	    row.values[0].size == 100;

	torc_pg_free(result);
	return right;
}

int
main(int argc, char **argv)
{
	struct fiber_load load = { .open = open_pg, .close = close_pg,
		.ask = select_one };

	if (argc != 6)
		return 64;
	config.address = argv[1];
	config.shared = (unsigned)atoi(argv[2]);
	load.fibers = (unsigned)atoi(argv[3]);
	load.count = atol(argv[4]);
	load.batch_us = (unsigned)atoi(argv[5]);
	return run_fiber_load(&load);
}
