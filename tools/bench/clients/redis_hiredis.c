/* SPDX-License-Identifier: MIT */
/*
 * redis_hiredis.c - GET after GET by hiredis, which blocks.
 *
 *	redis_hiredis PORT PIPELINE COUNT
 *
 * Prints the CPU time and the time of a GET, in microseconds. It sets the key
 * first.
 */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench/clients/client_load.h"

static unsigned failed;
static int pipeline;

static void
take(redisContext *redis)
{
	void *reply = NULL;

	failed += redisGetReply(redis, &reply) != REDIS_OK ||
	    ((redisReply *)reply)->len != 100;
	if (reply != NULL)
		freeReplyObject(reply);
}

static void
run(void *redis, long count)
{
	const char *argv[] = { "GET", "key" };
	const size_t sizes[] = { 3, 3 };

	for (long i = 0; i < count && failed == 0; i += pipeline) {
		for (int j = 0; j < pipeline; j++)
			redisAppendCommandArgv(redis, 2, argv, sizes);
		for (int j = 0; j < pipeline; j++)
			take(redis);
	}
}

int
main(int argc, char **argv)
{
	char value[101];
	redisContext *redis;
	long count;

	if (argc != 4)
		return 64;
	pipeline = atoi(argv[2]);
	count = atol(argv[3]);
	redis = redisConnect("127.0.0.1", atoi(argv[1]));
	if (pipeline <= 0 || count <= 0 || redis == NULL || redis->err != 0)
		return 1;
	memset(value, 'x', 100);
	value[100] = '\0';
	freeReplyObject(redisCommand(redis, "SET key %s", value));
	measure_load(run, redis, count);
	redisFree(redis);
	return failed > 0;
}
