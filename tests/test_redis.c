/*
 * test_redis.c - the client of Redis with real servers.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"
#include "tests/redis_servers.h"

#include "conn/redis/torc_redis.h"

#define LATE torc_after_ms(30000)
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

/* ---- The stage: a reactor with a client of a server ---- */

static struct redis_server server;	/* of most tests */

struct scene {
	struct torc_redis_config config;
	struct torc_redis *redis;
	int (*play)(struct torc_redis *redis);
};

static int
run_scene(void *arg)
{
	struct scene *scene = arg;
	char text[256] = "";
	int line;

	if (torc_redis_open(&scene->redis, &scene->config, text,
	    sizeof(text)) < 0) {
		fprintf(stderr, "%s\n", text);
		return __LINE__;
	}
	line = scene->play(scene->redis);
	if (line != 0)
		fprintf(stderr, "why: %s\n", torc_redis_why(scene->redis));
	torc_redis_close(scene->redis);
	return line;
}

static struct torc_counters
play_with(int (*act)(struct torc_redis *redis),
    const struct torc_redis_config *config)
{
	struct scene scene = { .config = *config, .play = act };
	struct torc_counters counters;
	struct server reactor;
	unsigned fds = count_fds();
	int line;

	server_start(&reactor, NULL, echo_handler, NULL);
	line = server_fiber(&reactor, run_scene, &scene);
	counters = server_counters(&reactor);
	assert_int_equal(server_stop(&reactor), 0);
	if (line != 0)
		fail_msg("line %d does not hold", line);
	assert_int_equal(count_fds(), fds);
	return counters;
}

static struct torc_counters
play(int (*act)(struct torc_redis *redis))
{
	const struct torc_redis_config config = { .address = server.address };

	return play_with(act, &config);
}

static struct torc_slice
word(const char *text)
{
	return (struct torc_slice) { (const uint8_t *)text, strlen(text) };
}

static bool
is_text(const struct torc_redis_reply *reply, const char *text)
{
	return reply != NULL && reply->type <= TORC_REDIS_VERBATIM &&
	    reply->type != TORC_REDIS_NIL && reply->size == strlen(text) &&
	    memcmp(reply->text, text, reply->size) == 0;
}

/* The reply is that text; it is freed. */
static bool
took_text(struct torc_redis_reply *reply, const char *text)
{
	bool is = is_text(reply, text);

	torc_redis_free(reply);
	return is;
}

static bool
took_integer(struct torc_redis_reply *reply, int64_t integer)
{
	bool is = reply != NULL && reply->type == TORC_REDIS_INTEGER &&
	    reply->integer == integer;

	torc_redis_free(reply);
	return is;
}

static bool
took_nil(struct torc_redis_reply *reply)
{
	bool is = reply != NULL && reply->type == TORC_REDIS_NIL;

	torc_redis_free(reply);
	return is;
}

/* ---- Commands ---- */

static int
set_and_get(struct torc_redis *redis)
{
	const struct torc_slice set[] = { word("SET"), word("bytes"),
		{ (const uint8_t *)"a\r\n\0b", 5 } };
	struct torc_redis_reply *reply;

	EXPECT(torc_redis_of(torc_reactor_self()) == redis);
	EXPECT(torc_redis_do(redis, &reply, LATE, "SET", "key", "value",
	    NULL) == 0);
	EXPECT(took_text(reply, "OK"));
	EXPECT(torc_redis_do(redis, &reply, LATE, "GET", "key", NULL) == 0);
	EXPECT(took_text(reply, "value"));
	EXPECT(torc_redis_call(redis, NULL, LATE, 3, set) == 0);
	EXPECT(torc_redis_do(redis, &reply, LATE, "GET", "bytes", NULL) == 0);
	EXPECT(reply->size == 5 && memcmp(reply->text, "a\r\n\0b", 6) == 0);
	torc_redis_free(reply);
	EXPECT(torc_redis_do(redis, &reply, LATE, "GET", "none", NULL) == 0);
	EXPECT(took_nil(reply));
	EXPECT(torc_redis_do(redis, NULL, LATE, "DEL", "n", NULL) == 0);
	for (int i = 1; i <= 3; i++) {
		EXPECT(torc_redis_do(redis, &reply, LATE, "INCR", "n",
		    NULL) == 0);
		EXPECT(took_integer(reply, i));
	}
	return 0;
}

static void
what_was_set_is_got_and_counted(void **state)
{
	(void)state;
	play(set_and_get);
}

static void
the_same_over_resp2_and_over_a_local_socket(void **state)
{
	const struct torc_redis_config config = { .address = server.local,
		.protocol = 2 };

	(void)state;
	play_with(set_and_get, &config);
}

static int
ask_types(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;

	EXPECT(torc_redis_do(redis, NULL, LATE, "DEL", "h", "z", NULL) == 0);
	EXPECT(torc_redis_do(redis, NULL, LATE, "HSET", "h", "a", "1", "b",
	    "2", NULL) == 0);
	EXPECT(torc_redis_do(redis, &reply, LATE, "HGETALL", "h", NULL) == 0);
	EXPECT(reply->type == TORC_REDIS_MAP && reply->size == 4);
	EXPECT(is_text(&reply->items[2], "b"));
	torc_redis_free(reply);
	EXPECT(torc_redis_do(redis, NULL, LATE, "ZADD", "z", "1.5", "m",
	    NULL) == 0);
	EXPECT(torc_redis_do(redis, &reply, LATE, "ZSCORE", "z", "m",
	    NULL) == 0);
	EXPECT(reply->type == TORC_REDIS_DOUBLE);
	EXPECT(fabs(reply->number - 1.5) < 1e-9);
	torc_redis_free(reply);
	return 0;
}

static void
resp3_is_spoken_to_servers_that_know_it(void **state)
{
	(void)state;
	play(ask_types);
}

static int
fail_and_go_on(struct torc_redis *redis)
{
	struct torc_redis_reply *reply, *before, *after;

	EXPECT(torc_redis_do(redis, &before, LATE, "CLIENT", "ID",
	    NULL) == 0);
	EXPECT(torc_redis_do(redis, NULL, LATE, "SET", "text", "x",
	    NULL) == 0);
	EXPECT(torc_redis_do(redis, &reply, LATE, "LPUSH", "text", "y",
	    NULL) == -EREMOTEIO);
	EXPECT(reply->type == TORC_REDIS_ERROR);
	EXPECT(strncmp(reply->text, "WRONGTYPE ", 10) == 0);
	EXPECT(strcmp(reply->text, torc_redis_why(redis)) == 0);
	torc_redis_free(reply);
	EXPECT(torc_redis_do(redis, NULL, LATE, "NOSUCH", NULL) ==
	    -EREMOTEIO);
	EXPECT(torc_redis_do(redis, &after, LATE, "CLIENT", "ID",
	    NULL) == 0);
	EXPECT(before->integer == after->integer);
	torc_redis_free(before);
	torc_redis_free(after);
	return 0;
}

static void
an_error_of_redis_fails_its_command_and_keeps_the_connection(void **state)
{
	(void)state;
	play(fail_and_go_on);
}

static int
call_wrongly(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;
	static const char *const stateful[] = { "MULTI", "select", "BLPOP",
		"WATCH", "SUBSCRIBE", "MONITOR", "hello", "QUIT" };
	struct torc_slice much[] = { word("SET"), word("k"),
		{ (const uint8_t *)"", (512u << 20) + 1 } };

	for (size_t i = 0; i < sizeof(stateful) / sizeof(stateful[0]); i++)
		EXPECT(torc_redis_do(redis, NULL, LATE, stateful[i], "a",
		    NULL) == -EOPNOTSUPP);
	EXPECT(torc_redis_do(redis, NULL, LATE, "XREAD", "BLOCK", "0",
	    "STREAMS", "s", "0", NULL) == -EOPNOTSUPP);
	EXPECT(torc_redis_do(redis, NULL, LATE, "XREAD", "STREAMS", "s", "0",
	    NULL) == 0);
	EXPECT(torc_redis_call(redis, &reply, LATE, 3, much) == -EMSGSIZE);
	EXPECT(reply == NULL);
	EXPECT(torc_redis_do(redis, NULL, LATE, NULL) == -EINVAL);
	return 0;
}

static void
what_would_harm_others_on_the_connection_is_refused(void **state)
{
	(void)state;
	play(call_wrongly);
}

static int
send_batches(struct torc_redis *redis)
{
	enum { COUNT = 1000 };
	static struct torc_redis_command commands[COUNT];
	static struct torc_slice argv[COUNT][2];
	struct torc_redis_reply *reply;

	EXPECT(torc_redis_do(redis, NULL, LATE, "DEL", "n", NULL) == 0);
	for (unsigned i = 0; i < COUNT; i++) {
		argv[i][0] = word(i == 500 ? "LPUSH" : "INCR");
		argv[i][1] = word("n");
		commands[i] = (struct torc_redis_command) { argv[i], 2 };
	}
	EXPECT(torc_redis_batch(redis, &reply, LATE, COUNT, commands) == 0);
	EXPECT(reply->type == TORC_REDIS_ARRAY && reply->size == COUNT);
	for (int i = 0; i < COUNT; i++)
		EXPECT(i == 500 ?
		    reply->items[i].type == TORC_REDIS_ERROR :
		    reply->items[i].integer == i + (i < 500));
	torc_redis_free(reply);
	EXPECT(torc_redis_batch(redis, &reply, LATE, 1, commands) == 0);
	EXPECT(reply->type == TORC_REDIS_ARRAY && reply->size == 1);
	EXPECT(reply->items[0].integer == COUNT);
	torc_redis_free(reply);
	return 0;
}

static void
a_batch_is_answered_in_order(void **state)
{
	(void)state;
	play(send_batches);
}

static int
send_much(struct torc_redis *redis)
{
	const size_t size = 2u << 20;
	uint8_t *data = malloc(size);
	const struct torc_slice set[] = { word("SET"), word("much"),
		{ data, size } };
	struct torc_redis_reply *reply;

	stream_fill(7, 0, data, size);
	EXPECT(torc_redis_call(redis, NULL, LATE, 3, set) == 0);
	EXPECT(torc_redis_do(redis, &reply, LATE, "GET", "much", NULL) == 0);
	EXPECT(reply->size == size);
	EXPECT(stream_matches(7, 0, (const uint8_t *)reply->text, size));
	torc_redis_free(reply);
	EXPECT(torc_redis_do(redis, NULL, LATE, "DEL", "much", NULL) == 0);
	free(data);
	return 0;
}

static void
two_mebibytes_pass_intact_both_ways(void **state)
{
	(void)state;
	play(send_much);
}

/* ---- Many fibers ---- */

#define FIBERS 64

struct asker {
	struct torc_redis *redis;
	unsigned index;
	unsigned times;
	int result;
	uint64_t id;
};

static int
count_up(void *arg)
{
	struct asker *asker = arg;
	char key[32];

	snprintf(key, sizeof(key), "count:%u", asker->index);
	asker->result = torc_redis_do(asker->redis, NULL, LATE, "DEL", key,
	    NULL);
	for (unsigned i = 1; i <= asker->times && asker->result == 0; i++) {
		struct torc_redis_reply *reply;

		asker->result = torc_redis_do(asker->redis, &reply, LATE,
		    "INCR", key, NULL);
		if (!took_integer(reply, i) && asker->result == 0)
			asker->result = -EILSEQ;
	}
	return 0;
}

static int
run_askers(struct torc_redis *redis, torc_fiber_entry *entry, unsigned times)
{
	static struct asker askers[FIBERS];

	for (unsigned i = 0; i < FIBERS; i++) {
		askers[i] = (struct asker) { .redis = redis, .index = i,
			.times = times };
		EXPECT(torc_fiber_spawn(&askers[i].id, entry,
		    &askers[i]) == 0);
	}
	for (unsigned i = 0; i < FIBERS; i++) {
		EXPECT(torc_fiber_join(askers[i].id, NULL, LATE) == 0);
		if (askers[i].result != 0)
			fprintf(stderr, "fiber %u: %d\n", i,
			    askers[i].result);
		EXPECT(askers[i].result == 0);
	}
	return 0;
}

static int
count_together(struct torc_redis *redis)
{
	return run_askers(redis, count_up, 50);
}

static void
fibers_share_a_connection_and_the_commands_of_a_turn_share_a_send(void **state)
{
	struct torc_counters counters;

	(void)state;
	counters = play(count_together);
	assert_true(counters.quiet_sends + counters.loud_sends <
	    FIBERS * 50 / 4);
}

static void
fibers_share_several_connections(void **state)
{
	const struct torc_redis_config config = { .address = server.address,
		.lines = 4, .name = "four" };

	(void)state;
	play_with(count_together, &config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_set_is_got_and_counted),
		cmocka_unit_test(the_same_over_resp2_and_over_a_local_socket),
		cmocka_unit_test(resp3_is_spoken_to_servers_that_know_it),
		cmocka_unit_test(
		    an_error_of_redis_fails_its_command_and_keeps_the_connection),
		cmocka_unit_test(
		    what_would_harm_others_on_the_connection_is_refused),
		cmocka_unit_test(a_batch_is_answered_in_order),
		cmocka_unit_test(two_mebibytes_pass_intact_both_ways),
		cmocka_unit_test(
		    fibers_share_a_connection_and_the_commands_of_a_turn_share_a_send),
		cmocka_unit_test(fibers_share_several_connections),
	};
	int failed;

	if (!redis_available())
		return 0;
	redis_start(&server, NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	redis_end(&server);
	return failed;
}
