/*
 * redis_torc.c - GET after GET by many fibers of one reactor.
 *
 *	redis_torc PORT LINES FIBERS COUNT
 *
 * Prints the CPU time and the time of a GET, in microseconds.
 */
#include <torc_redis.h>

#include <stdlib.h>

#include "tools/bench/clients/fiber_load.h"

static struct torc_redis_config config;

static int
open_redis(void **client)
{
	struct torc_redis *redis;
	int rc = torc_redis_open(&redis, &config, NULL, 0);

	*client = rc == 0 ? redis : NULL;
	return rc;
}

static void
close_redis(void *client)
{
	torc_redis_close(client);
}

static bool
get(void *client, unsigned long number)
{
	struct torc_redis_reply *reply;
	bool right = torc_redis_do(client, &reply, torc_after_ms(10000),
	    "GET", "key", NULL) == 0 && reply->size == 100;

	(void)number;
	torc_redis_free(reply);
	return right;
}

int
main(int argc, char **argv)
{
	struct fiber_load load = { .open = open_redis, .close = close_redis,
		.ask = get };
	char address[32];

	if (argc != 5)
		return 64;
	snprintf(address, sizeof(address), "127.0.0.1:%s", argv[1]);
	config.address = address;
	config.lines = (unsigned)atoi(argv[2]);
	load.fibers = (unsigned)atoi(argv[3]);
	load.count = atol(argv[4]);
	return run_fiber_load(&load);
}
