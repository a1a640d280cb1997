/* SPDX-License-Identifier: MIT */
/*
 * redis_torc.c - GET after GET by many fibers of one reactor.
 *
 *	redis_torc ADDRESS LINES FIBERS COUNT [BATCH_US]
 *
 * Prints the CPU time and the time of a GET, in microseconds.
 */
#include "tools/bench/clients/fiber_load.h"
#include "tools/bench/clients/questions.h"

static int
open_redis(void **client, const char *address, unsigned lines)
{
	const struct torc_redis_config config = { .address = address,
		.shared_connections = lines };
	struct torc_redis *redis;
	int rc = torc_redis_create(&redis, &config, NULL);

	*client = rc == 0 ? redis : NULL;
	return rc;
}

static void
close_redis(void *client)
{
	torc_redis_destroy(client, TORC_NEVER);
}

static bool
get(void *client, unsigned long number)
{
	struct torc_redis_reply *reply;
	bool right = ask_redis(client, &reply);

	(void)number;
	torc_redis_reply_free(reply);
	return right;
}

int
main(int argc, char **argv)
{
	struct fiber_load load = { .open = open_redis, .close = close_redis,
		.ask = get };

	return run_fiber_load(argc, argv, &load);
}
