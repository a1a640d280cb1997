/* SPDX-License-Identifier: MIT */
/*
 * test_redis_outage.c - a server that asks Redis, while Redis is killed,
 * stopped, slowed down and restarted.
 *
 * wrap: torc_sys_socket malloc calloc realloc strdup free
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/harness.h"
#include "tests/http/outage.h"
#include "tests/redis/servers.h"

#include "conn/redis/torc_redis.h"

static struct redis_server redis;

static int
open_client(void)
{
	const struct torc_redis_config config = { .address = redis.address };
	struct torc_redis *client;

	return torc_redis_create(&client, &config, NULL);
}

static void
close_client(void)
{
	torc_redis_destroy(torc_redis_of(torc_reactor_self()), TORC_NEVER);
}

static int
ask(torc_deadline deadline)
{
	static unsigned count;
	struct torc_redis_reply *reply;
	char word[16];
	int rc;

	snprintf(word, sizeof(word), "%u", count++);
	rc = torc_redis_do(torc_redis_of(torc_reactor_self()), &reply,
	    deadline, "ECHO", word, NULL);
	if (rc == 0 && strcmp(reply->text, word) != 0)
		rc = -EILSEQ;
	torc_redis_reply_free(reply);
	return rc;
}

static void
kill_server(void)
{
	redis_kill(&redis);
}

static void
end_server(void)
{
	kill(redis.pid, SIGTERM);
	waitpid(redis.pid, NULL, 0);
}

static void
start_server(void)
{
	redis_restart(&redis);
}

static void
signal_server(int number)
{
	kill(redis.pid, number);
}

/* A68 */
static void
a_server_outlives_its_redis_and_finds_it_again_within_a_second(void **state)
{
	const struct outage_backend backend = { .open = open_client,
		.close = close_client, .ask = ask, .kill = kill_server,
		.end = end_server, .start = start_server,
		.signal = signal_server };

	(void)state;
	if (!redis_available())
		skip();
	redis_start(&redis, NULL);
	outage_is_survived(&backend);
	redis_end(&redis);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_server_outlives_its_redis_and_finds_it_again_within_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
