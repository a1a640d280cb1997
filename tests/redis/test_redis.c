/* SPDX-License-Identifier: MIT */
/*
 * test_redis.c - the client of Redis with real servers.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"
#include "tests/redis/said.h"
#include "tests/redis/servers.h"

#include "conn/redis/redis.h"

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
	struct torc_error error;
	int line;

	if (torc_redis_create(&scene->redis, &scene->config, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		return __LINE__;
	}
	line = scene->play(scene->redis);
	if (line != 0)
		fprintf(stderr, "line %d\n", line);
	torc_redis_destroy(scene->redis, TORC_NEVER);
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

	torc_redis_reply_free(reply);
	return is;
}

static bool
took_integer(struct torc_redis_reply *reply, int64_t integer)
{
	bool is = reply != NULL && reply->type == TORC_REDIS_INTEGER &&
	    reply->integer == integer;

	torc_redis_reply_free(reply);
	return is;
}

static bool
took_nil(struct torc_redis_reply *reply)
{
	bool is = reply != NULL && reply->type == TORC_REDIS_NIL;

	torc_redis_reply_free(reply);
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
	EXPECT(torc_redis_call(redis, set, 3, NULL, LATE) == 0);
	EXPECT(torc_redis_do(redis, &reply, LATE, "GET", "bytes", NULL) == 0);
	EXPECT(reply->size == 5 && memcmp(reply->text, "a\r\n\0b", 6) == 0);
	torc_redis_reply_free(reply);
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
	torc_redis_reply_free(reply);
	EXPECT(torc_redis_do(redis, NULL, LATE, "ZADD", "z", "1.5", "m",
	    NULL) == 0);
	EXPECT(torc_redis_do(redis, &reply, LATE, "ZSCORE", "z", "m",
	    NULL) == 0);
	EXPECT(reply->type == TORC_REDIS_DOUBLE);
	EXPECT(fabs(reply->number - 1.5) < 1e-9);
	torc_redis_reply_free(reply);
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
	EXPECT(heard(-EREMOTEIO, &reply) == -EREMOTEIO);
	EXPECT(strncmp(said, "WRONGTYPE ", 10) == 0);
	EXPECT(said_fate == TORC_REDIS_ANSWERED);
	EXPECT(torc_redis_do(redis, NULL, LATE, "NOSUCH", NULL) ==
	    -EREMOTEIO);
	EXPECT(torc_redis_do(redis, &after, LATE, "CLIENT", "ID",
	    NULL) == 0);
	EXPECT(before->integer == after->integer);
	torc_redis_reply_free(before);
	torc_redis_reply_free(after);
	return 0;
}

static void
an_error_of_redis_fails_its_command_and_keeps_the_connection(void **state)
{
	(void)state;
	play(fail_and_go_on);
}

/* An error of `size` letters, and of the code in front of them. */
static int
fail_at_length(struct torc_redis *redis, const char *size,
    struct torc_redis_reply **reply)
{
	return torc_redis_do(redis, reply, LATE, "EVAL",
	    "return redis.error_reply('LONG ' .. string.rep('x', ARGV[1]))",
	    "0", size, NULL);
}

static int
hear_long_words(struct torc_redis *redis)
{
	const struct torc_error *error;
	struct torc_redis_reply *reply;

	EXPECT(fail_at_length(redis, "900", &reply) == -EREMOTEIO);
	error = torc_redis_reply_error(reply);
	EXPECT(reply->size == 905 && !error->cut);
	EXPECT(strcmp(error->text, reply->text) == 0);
	torc_redis_reply_free(reply);
	EXPECT(fail_at_length(redis, "3000", &reply) == -EREMOTEIO);
	error = torc_redis_reply_error(reply);
	EXPECT(reply->size == 3005 && strlen(reply->text) == 3005);
	EXPECT(error->code == -EREMOTEIO && error->cut);
	EXPECT(strncmp(error->text, reply->text, 900) == 0);
	EXPECT(strcmp(error->text + strlen(error->text) - 4, "x...") == 0);
	torc_redis_reply_free(reply);
	return 0;
}

static void
words_of_redis_are_whole_in_the_reply_and_an_error_says_if_they_are_cut(
    void **state)
{
	(void)state;
	play(hear_long_words);
}

static int
lose_idle(struct torc_redis *redis)
{
	struct torc_redis_reply *before, *after;

	EXPECT(torc_redis_do(redis, &before, LATE, "CLIENT", "ID",
	    NULL) == 0);
	EXPECT(redis_ask(server.port, "CLIENT KILL TYPE normal", ":"));
	/* Its end is on its way, and may be so for long. */
	while (torc_redis_link_alive(redis->nodes[0]->set.members[0]->item))
		EXPECT(torc_sleep(torc_after_ms(1)) == 0);
	EXPECT(torc_redis_do(redis, &after, LATE, "CLIENT", "ID", NULL) == 0);
	EXPECT(before->integer != after->integer);
	torc_redis_reply_free(before);
	torc_redis_reply_free(after);
	return 0;
}

static void
a_connection_that_ended_while_idle_is_replaced_before_use(void **state)
{
	const struct torc_redis_config config = { .address = server.address,
		.name = "idle" };

	(void)state;
	play_with(lose_idle, &config);
}

/* What is said with these words, on the connection of all and on one's own. */
static const struct {
	const char *words[8];
	bool session;		/* a session may do it */
} harmful[] = {
	{ { "MULTI" }, true }, { { "select", "1" }, true },
	{ { "BLPOP", "a", "0.01" }, true }, { { "WATCH", "a" }, true },
	{ { "BLMPOP", "0.01", "1", "a", "LEFT" }, true },
	{ { "WAIT", "0", "1" }, true }, { { "ASKING" }, true },
	{ { "XREAD", "COUNT", "1", "block", "1", "STREAMS", "s", "0" }, true },
	{ { "XREADGROUP", "GROUP", "STREAMS", "c", "BLOCK", "1", "STREAMS" },
	    true },
	{ { "SCRIPT", "DEBUG", "NO" }, true }, { { "RESET" }, true },
	{ { "CLIENT", "NO-EVICT", "off" }, true },
	{ { "CLIENT", "TRACKING", "off" }, true },
	{ { "CLIENT", "SETNAME", "x" }, true },
	{ { "CLIENT", "NOT-KNOWN-YET" }, true }, { { "hello", "3" }, true },
	{ { "READWRITE" }, true }, { { "QUIT" }, true },
	{ { "SUBSCRIBE", "a" }, false }, { { "MONITOR" }, false },
	{ { "SSUBSCRIBE", "a" }, false }, { { "PSYNC", "?", "-1" }, false },
	{ { "REPLCONF", "ACK", "0" }, false },
	{ { "client", "reply", "off" }, false },
	{ { "POST", "/" }, false }, { { "Host:", "x" }, false },
}, harmless[] = {
	{ { "CLIENT", "ID" }, true }, { { "CLIENT", "INFO" }, true },
	{ { "CLIENT", "TRACKINGINFO" }, true }, { { "ROLE" }, true },
	{ { "SCRIPT", "LOAD", "return 1" }, true }, { { "PUBSUB",
	    "CHANNELS" }, true },
	{ { "XREAD", "COUNT", "1", "STREAMS", "BLOCK", "0" }, true },
	{ { "XGROUP", "CREATE", "s", "BLOCK", "0", "MKSTREAM" }, true },
	{ { "XREADGROUP", "GROUP", "BLOCK", "c", "STREAMS", "s", ">" },
	    true },
};

static unsigned
as_slices(struct torc_slice *argv, const char *const *words)
{
	unsigned argc = 0;

	for (; argc < 8 && words[argc] != NULL; argc++)
		argv[argc] = word(words[argc]);
	return argc;
}

/* 0 if a session may say that, or what it is told. */
static int
say_in_session(struct torc_redis *redis, unsigned argc,
    const struct torc_slice *argv)
{
	struct torc_redis_session *session;
	int rc = torc_redis_session_acquire(redis, NULL, &session, NULL, LATE);

	if (rc < 0)
		return rc;
	rc = torc_redis_session_call(session, argv, argc, NULL, LATE);
	torc_redis_session_release(session);
	return rc == -EREMOTEIO ? 0 : rc;
}

static int
call_wrongly(struct torc_redis *redis)
{
	struct torc_slice argv[8];

	for (size_t i = 0; i < sizeof(harmful) / sizeof(harmful[0]); i++) {
		unsigned argc = as_slices(argv, harmful[i].words);
		struct torc_redis_reply *reply;
		int rc = torc_redis_call(redis, argv, argc, &reply, LATE);

		rc = heard(rc, &reply);

		if (rc != -EOPNOTSUPP)
			fprintf(stderr, "sent: %s\n", harmful[i].words[0]);
		EXPECT(rc == -EOPNOTSUPP);
		EXPECT(said_fate == TORC_REDIS_UNSENT);
		rc = say_in_session(redis, argc, argv);
		if (rc != (harmful[i].session ? 0 : -EOPNOTSUPP))
			fprintf(stderr, "session: %s: %d\n",
			    harmful[i].words[0], rc);
		EXPECT(rc == (harmful[i].session ? 0 : -EOPNOTSUPP));
	}
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
		unsigned argc = as_slices(argv, harmless[i].words);

		EXPECT(torc_redis_call(redis, argv, argc, NULL, LATE) == 0);
	}
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
	EXPECT(torc_redis_batch(redis, commands, COUNT, &reply, LATE) == 0);
	EXPECT(reply->type == TORC_REDIS_ARRAY && reply->size == COUNT);
	for (int i = 0; i < COUNT; i++)
		EXPECT(i == 500 ?
		    reply->items[i].type == TORC_REDIS_ERROR :
		    reply->items[i].integer == i + (i < 500));
	torc_redis_reply_free(reply);
	EXPECT(torc_redis_batch(redis, commands, 1, &reply, LATE) == 0);
	EXPECT(reply->type == TORC_REDIS_ARRAY && reply->size == 1);
	EXPECT(reply->items[0].integer == COUNT);
	torc_redis_reply_free(reply);
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
	EXPECT(torc_redis_call(redis, set, 3, NULL, LATE) == 0);
	EXPECT(torc_redis_do(redis, &reply, LATE, "GET", "much", NULL) == 0);
	EXPECT(reply->size == size);
	EXPECT(stream_matches(7, 0, (const uint8_t *)reply->text, size));
	torc_redis_reply_free(reply);
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

static int
ask_in_one_turn(struct torc_redis *redis)
{
	return run_askers(redis, count_up, 0);
}

static void
fibers_share_a_connection_and_each_gets_its_own_reply(void **state)
{
	(void)state;
	play(count_together);
}

static void
the_commands_of_one_turn_leave_in_few_sends(void **state)
{
	struct torc_counters counters;

	(void)state;
	/* Of these is that of the login, too. */
	counters = play(ask_in_one_turn);
	print_message("%d commands in %lu sends\n", FIBERS,
	    (unsigned long)(counters.quiet_sends + counters.loud_sends));
	assert_true(counters.quiet_sends + counters.loud_sends < FIBERS / 4);
}

static void
fibers_share_several_connections(void **state)
{
	const struct torc_redis_config config = { .address = server.address,
		.shared_connections = 4, .name = "four" };

	(void)state;
	play_with(count_together, &config);
}

#define LINES 16u

static uint64_t
count_sends(const struct torc_counters *counters)
{
	return counters->quiet_sends + counters->loud_sends;
}

/* With all lines open: the sends of a turn in which every fiber asks. */
static int
ask_over_open_lines(struct torc_redis *redis)
{
	const struct torc_counters *counters = torc_reactor_self()->counters;
	uint64_t before;

	for (int i = 0; i < 100 && counters->dials < LINES; i++)
		EXPECT(run_askers(redis, count_up, 5) == 0);
	EXPECT(counters->dials == LINES);
	before = count_sends(counters);
	EXPECT(run_askers(redis, count_up, 0) == 0);
	print_message("%d commands in %lu sends over %u connections\n",
	    FIBERS, (unsigned long)(count_sends(counters) - before), LINES);
	EXPECT(count_sends(counters) - before < LINES / 2);
	return 0;
}

static void
the_commands_of_one_turn_are_not_scattered_over_connections(void **state)
{
	const struct torc_redis_config config = { .address = server.address,
		.shared_connections = LINES };

	(void)state;
	play_with(ask_over_open_lines, &config);
}

static bool small_is_over;

static int
get_until_it_is_over(void *arg)
{
	struct asker *asker = arg;

	while (!small_is_over && asker->result == 0) {
		asker->result = torc_redis_do(asker->redis, NULL, LATE,
		    "GET", "small", NULL);
		asker->times++;
	}
	return 0;
}

/* The server ends a connection that sends an argument of more than 1 MiB. */
static int
send_too_much(struct torc_redis *redis)
{
	static struct asker askers[8];
	const size_t size = (1u << 20) + 1;
	uint8_t *data = calloc(1, size);
	const struct torc_slice set[] = { word("SET"), word("much"),
		{ data, size } };
	struct torc_redis_reply *before, *after, *reply;

	EXPECT(torc_redis_do(redis, &before, LATE, "CLIENT", "ID",
	    NULL) == 0);
	small_is_over = false;
	for (unsigned i = 0; i < 8; i++) {
		askers[i] = (struct asker) { .redis = redis };
		EXPECT(torc_fiber_spawn(&askers[i].id, get_until_it_is_over,
		    &askers[i]) == 0);
	}
	for (unsigned i = 0; i < 5; i++) {
		EXPECT(torc_redis_call(redis, set, 3, &reply, LATE) < 0);
		EXPECT(torc_redis_reply_fate(reply) != TORC_REDIS_UNSENT);
		torc_redis_reply_free(reply);
	}
	small_is_over = true;
	for (unsigned i = 0; i < 8; i++) {
		EXPECT(torc_fiber_join(askers[i].id, NULL, LATE) == 0);
		EXPECT(askers[i].result == 0 && askers[i].times > 1);
	}
	EXPECT(torc_redis_do(redis, &after, LATE, "CLIENT", "ID", NULL) == 0);
	EXPECT(before->integer == after->integer);
	torc_redis_reply_free(before);
	torc_redis_reply_free(after);
	free(data);
	return 0;
}

static void
a_command_that_redis_ends_its_connection_for_is_alone_on_it(void **state)
{
	(void)state;
	assert_true(redis_ask(server.port,
	    "CONFIG SET proto-max-bulk-len 1048576", "+OK"));
	play(send_too_much);
	assert_true(redis_ask(server.port,
	    "CONFIG SET proto-max-bulk-len 536870912", "+OK"));
}

/* ---- Transactions and scripts ---- */

static int
transact(struct torc_redis *redis)
{
	const struct torc_slice set[] = { word("SET"), word("t"),
		word("1") };
	const struct torc_slice add[] = { word("INCR"), word("t") };
	const struct torc_slice push[] = { word("LPUSH"), word("t"),
		word("x") };
	const struct torc_slice none[] = { word("NOSUCH") };
	const struct torc_redis_command good[] = { { set, 3 }, { add, 2 },
		{ push, 3 } };
	const struct torc_redis_command bad[] = { { add, 2 }, { none, 1 } };
	struct torc_redis_reply *reply;

	EXPECT(torc_redis_transact(redis, good, 3, &reply, LATE) == 0);
	EXPECT(reply->type == TORC_REDIS_ARRAY && reply->size == 3);
	EXPECT(reply->items[1].integer == 2);
	EXPECT(reply->items[2].type == TORC_REDIS_ERROR);
	torc_redis_reply_free(reply);
	EXPECT(torc_redis_transact(redis, bad, 2, &reply, LATE) ==
	    -EREMOTEIO);
	EXPECT(strstr(reply->text, "unknown command") != NULL);
	torc_redis_reply_free(reply);
	EXPECT(torc_redis_do(redis, &reply, LATE, "GET", "t", NULL) == 0);
	EXPECT(took_text(reply, "2"));
	return 0;
}

static void
a_transaction_is_done_as_a_whole_or_not_at_all(void **state)
{
	(void)state;
	play(transact);
}

static int
run_scripts(struct torc_redis *redis)
{
	struct torc_redis_script script = { .text =
		"return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}" };
	const struct torc_slice argv[] = { word("s"), word("x") };
	struct torc_redis_reply *reply;

	EXPECT(torc_redis_do(redis, NULL, LATE, "DEL", "s", NULL) == 0);
	for (int i = 1; i <= 3; i++) {
		/* The second time the server has forgotten it. */
		if (i == 2)
			EXPECT(torc_redis_do(redis, NULL, LATE, "SCRIPT",
			    "FLUSH", NULL) == 0);
		EXPECT(torc_redis_eval(
			   redis, &script, argv, 2, 1, &reply, LATE) == 0);
		EXPECT(reply->size == 3 && is_text(&reply->items[1], "x"));
		EXPECT(reply->items[2].integer == i);
		torc_redis_reply_free(reply);
		EXPECT(strlen(script.sha) == 40);
	}
	script = (struct torc_redis_script) { .text = "no script" };
	EXPECT(torc_redis_eval(redis, &script, NULL, 0, 0, &reply, LATE) ==
	    -EREMOTEIO);
	torc_redis_reply_free(reply);
	return 0;
}

static void
a_script_runs_by_its_hash_also_when_the_server_forgot_it(void **state)
{
	(void)state;
	play(run_scripts);
}

/* ---- Sessions ---- */

static int
watch(struct torc_redis *redis)
{
	struct torc_redis_session *session;
	struct torc_redis_reply *reply;

	EXPECT(torc_redis_session_acquire(redis, NULL, &session, NULL,
	    LATE) == 0);
	EXPECT(torc_redis_session_do(session, NULL, LATE, "WATCH", "w",
	    NULL) == 0);
	EXPECT(torc_redis_session_do(session, NULL, LATE, "MULTI",
	    NULL) == 0);
	EXPECT(torc_redis_session_do(session, &reply, LATE, "INCR", "w",
	    NULL) == 0);
	EXPECT(took_text(reply, "QUEUED"));
	/* Somebody else is faster. */
	EXPECT(torc_redis_do(redis, NULL, LATE, "SET", "w", "9", NULL) == 0);
	EXPECT(torc_redis_session_do(session, &reply, LATE, "EXEC",
	    NULL) == 0);
	EXPECT(took_nil(reply));
	torc_redis_session_release(session);
	EXPECT(torc_redis_do(redis, &reply, LATE, "GET", "w", NULL) == 0);
	EXPECT(took_text(reply, "9"));
	return 0;
}

static void
what_is_watched_and_changed_is_not_executed(void **state)
{
	(void)state;
	play(watch);
}

/* The id of the next session's connection; it is given back. */
static int64_t
session_id(struct torc_redis *redis, const char *command, const char *word1)
{
	struct torc_redis_session *session;
	struct torc_redis_reply *reply = NULL;
	int64_t id = -1;

	if (torc_redis_session_acquire(redis, NULL, &session, NULL, LATE) < 0)
		return -1;
	if (torc_redis_session_do(session, &reply, LATE, "CLIENT", "ID",
	    NULL) == 0)
		id = reply->integer;
	torc_redis_reply_free(reply);
	if (command != NULL)
		torc_redis_session_do(session, NULL, LATE, command, word1,
		    NULL);
	torc_redis_session_release(session);
	return id;
}

static int
soil_sessions(struct torc_redis *redis)
{
	const int64_t first = session_id(redis, NULL, NULL);
	struct torc_redis_session *session;

	EXPECT(first >= 0);
	EXPECT(session_id(redis, "GET", "x") == first);
	EXPECT(session_id(redis, "WATCH", "x") == first);
	EXPECT(session_id(redis, NULL, NULL) != first);
	int64_t second = session_id(redis, "MULTI", NULL);

	EXPECT(session_id(redis, NULL, NULL) != second);
	second = session_id(redis, "SELECT", "3");
	EXPECT(session_id(redis, NULL, NULL) != second);
	/* EXEC without MULTI ends no WATCH. */
	EXPECT(torc_redis_session_acquire(redis, NULL, &session, NULL,
	    LATE) == 0);
	EXPECT(torc_redis_session_do(session, NULL, LATE, "WATCH", "x",
	    NULL) == 0);
	EXPECT(torc_redis_session_do(session, NULL, LATE, "EXEC", NULL) ==
	    -EREMOTEIO);
	torc_redis_session_release(session);
	EXPECT(session_id(redis, NULL, NULL) > second + 1);
	second = session_id(redis, "SUBSCRIBE", "refused");
	EXPECT(session_id(redis, NULL, NULL) == second);
	return 0;
}

static void
a_session_that_was_changed_is_nobody_elses(void **state)
{
	(void)state;
	play(soil_sessions);
}

static int
time_out_session(struct torc_redis *redis)
{
	struct torc_redis_session *session;
	struct torc_redis_reply *reply;

	EXPECT(torc_redis_session_acquire(redis, NULL, &session, NULL,
	    LATE) == 0);
	EXPECT(torc_redis_session_do(session, &reply, torc_after_ms(50),
	    "BLPOP", "nothing", "0", NULL) == -ETIMEDOUT);
	EXPECT(heard(-ETIMEDOUT, &reply) == -ETIMEDOUT);
	EXPECT(strstr(said, "no reply before the deadline of the call"));
	EXPECT(said_fate == TORC_REDIS_UNKNOWN);
	EXPECT(torc_redis_session_do(session, NULL, LATE, "PING", NULL) ==
	    -ENOTCONN);
	EXPECT(torc_redis_session_error(session)->code == -ENOTCONN);
	EXPECT(torc_redis_session_fate(session) == TORC_REDIS_UNSENT);
	torc_redis_session_release(session);
	/* What comes is not taken for another's reply. */
	EXPECT(torc_redis_do(redis, NULL, LATE, "LPUSH", "nothing", "x",
	    NULL) == 0);
	EXPECT(torc_redis_session_acquire(redis, NULL, &session, NULL,
	    LATE) == 0);
	EXPECT(torc_redis_session_do(session, &reply, LATE, "PING",
	    NULL) == 0);
	EXPECT(took_text(reply, "PONG"));
	torc_redis_session_release(session);
	return 0;
}

static void
a_session_that_ran_out_of_time_is_closed(void **state)
{
	(void)state;
	play(time_out_session);
}

static int
stream(struct torc_redis *redis)
{
	enum { COUNT = 2000, SIZE = 1000 };
	struct torc_redis_session *session;
	const struct torc_slice range[] = { word("LRANGE"), word("large"),
		word("0"), word("-1") };
	struct torc_resp_item item;
	char text[SIZE + 1];
	unsigned items = 0;
	size_t bytes = 0;
	int rc;

	memset(text, 'x', SIZE);
	text[SIZE] = '\0';
	EXPECT(torc_redis_do(redis, NULL, LATE, "DEL", "large", NULL) == 0);
	for (unsigned i = 0; i < COUNT; i++)
		EXPECT(torc_redis_do(redis, NULL, LATE, "RPUSH", "large",
		    text, NULL) == 0);
	EXPECT(torc_redis_session_acquire(redis, NULL, &session, NULL,
	    LATE) == 0);
	for (unsigned round = 0; round < 2; round++) {
		EXPECT(torc_redis_session_send(session, range, 4, LATE) == 0);
		EXPECT(torc_redis_session_do(session, NULL, LATE, "PING",
		    NULL) == -EBUSY);
		do {
			rc = torc_redis_session_read(session, &item, LATE);
			EXPECT(rc >= 0);
			items += item.first;
			bytes += item.piece.size;
		} while (rc == 1);
	}
	EXPECT(items == 2 * (COUNT + 1) && bytes == 2 * COUNT * SIZE);
	EXPECT(torc_redis_session_do(session, NULL, LATE, "PING",
	    NULL) == 0);
	torc_redis_session_release(session);
	return 0;
}

static void
a_reply_is_read_item_by_item(void **state)
{
	(void)state;
	play(stream);
}

/* ---- Messages ---- */

static bool
next_is(struct torc_redis_subscriber *subscriber, enum torc_redis_event event,
    const char *channel, const char *text)
{
	struct torc_redis_message message;

	if (torc_redis_subscriber_next(subscriber, &message, NULL, LATE) < 0)
		return false;
	return message.event == event &&
	    (channel == NULL || strcmp(message.channel, channel) == 0) &&
	    (text == NULL || strcmp(message.text, text) == 0);
}

static int
listen_to_channels(struct torc_redis *redis)
{
	struct torc_redis_subscriber *subscriber;
	struct torc_redis_message message;

	EXPECT(torc_redis_subscriber_create(redis, &subscriber) == 0);
	EXPECT(torc_redis_subscribe(subscriber, "one", NULL, LATE) == 0);
	EXPECT(next_is(subscriber, TORC_REDIS_SUBSCRIBED, "one", NULL));
	EXPECT(torc_redis_psubscribe(subscriber, "t*", NULL, LATE) == 0);
	EXPECT(next_is(subscriber, TORC_REDIS_SUBSCRIBED, "t*", NULL));
	EXPECT(torc_redis_do(redis, NULL, LATE, "PUBLISH", "one", "1",
	    NULL) == 0);
	EXPECT(torc_redis_do(redis, NULL, LATE, "PUBLISH", "other", "no",
	    NULL) == 0);
	EXPECT(torc_redis_do(redis, NULL, LATE, "PUBLISH", "two", "2",
	    NULL) == 0);
	EXPECT(next_is(subscriber, TORC_REDIS_MESSAGE, "one", "1"));
	EXPECT(torc_redis_subscriber_next(subscriber, &message, NULL, LATE) ==
	    0);
	EXPECT(strcmp(message.pattern, "t*") == 0);
	EXPECT(strcmp(message.channel, "two") == 0);
	EXPECT(message.size == 1 && strcmp(message.text, "2") == 0);
	EXPECT(torc_redis_unsubscribe(subscriber, "none", NULL, LATE) ==
	    -ENOENT);
	EXPECT(torc_redis_unsubscribe(subscriber, "one", NULL, LATE) == 0);
	EXPECT(next_is(subscriber, TORC_REDIS_UNSUBSCRIBED, "one", NULL));
	EXPECT(torc_redis_subscriber_next(subscriber, &message, NULL,
	    torc_after_ms(20)) == -ETIMEDOUT);
	EXPECT(torc_redis_do(redis, NULL, LATE, "PUBLISH", "two", "3",
	    NULL) == 0);
	EXPECT(next_is(subscriber, TORC_REDIS_MESSAGE, "two", "3"));
	torc_redis_subscriber_destroy(subscriber);
	return 0;
}

static void
messages_come_as_a_stream(void **state)
{
	const struct torc_redis_config config = { .address = server.address,
		.protocol = 2 };

	(void)state;
	play(listen_to_channels);
	play_with(listen_to_channels, &config);
}

static int
lose_subscriber(struct torc_redis *redis)
{
	struct torc_redis_subscriber *subscriber;

	EXPECT(torc_redis_subscriber_create(redis, &subscriber) == 0);
	EXPECT(torc_redis_subscribe(subscriber, "a", NULL, LATE) == 0);
	EXPECT(torc_redis_psubscribe(subscriber, "b*", NULL, LATE) == 0);
	EXPECT(next_is(subscriber, TORC_REDIS_SUBSCRIBED, "a", NULL));
	EXPECT(next_is(subscriber, TORC_REDIS_SUBSCRIBED, "b*", NULL));
	EXPECT(torc_redis_do(redis, NULL, LATE, "CLIENT", "KILL", "TYPE",
	    "pubsub", NULL) == 0);
	EXPECT(next_is(subscriber, TORC_REDIS_CONNECTED, NULL, NULL));
	EXPECT(next_is(subscriber, TORC_REDIS_SUBSCRIBED, "a", NULL));
	EXPECT(next_is(subscriber, TORC_REDIS_SUBSCRIBED, "b*", NULL));
	EXPECT(torc_redis_do(redis, NULL, LATE, "PUBLISH", "bb", "again",
	    NULL) == 0);
	EXPECT(next_is(subscriber, TORC_REDIS_MESSAGE, "bb", "again"));
	torc_redis_subscriber_destroy(subscriber);
	return 0;
}

static void
a_subscriber_that_lost_its_connection_subscribes_again_and_says_so(
    void **state)
{
	(void)state;
	play(lose_subscriber);
}

/* ---- Being let in ---- */

static int
ask_who(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;

	EXPECT(torc_redis_do(redis, &reply, LATE, "ACL", "WHOAMI",
	    NULL) == 0);
	EXPECT(took_text(reply, "alice"));
	EXPECT(torc_redis_do(redis, &reply, LATE, "CLIENT", "GETNAME",
	    NULL) == 0);
	EXPECT(took_text(reply, "torc"));
	EXPECT(torc_redis_do(redis, &reply, LATE, "CLIENT", "INFO",
	    NULL) == 0);
	EXPECT(strstr(reply->text, " db=5 ") != NULL);
	torc_redis_reply_free(reply);
	EXPECT(torc_redis_do(redis, &reply, LATE, "GET", "forbidden",
	    NULL) == -EREMOTEIO);
	EXPECT(strncmp(reply->text, "NOPERM", 6) == 0);
	torc_redis_reply_free(reply);
	return 0;
}

static int
be_refused(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;

	EXPECT(torc_redis_do(redis, &reply, LATE, "PING", NULL) == -EACCES);
	EXPECT(reply->type == TORC_REDIS_FAILURE);
	EXPECT(reply->integer == -EACCES);
	EXPECT(heard(-EACCES, &reply) == -EACCES);
	EXPECT(strstr(said, "HELLO: ") != NULL ||
	    strstr(said, "AUTH: ") != NULL);
	return 0;
}

static int
need_password(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;

	EXPECT(torc_redis_do(redis, &reply, LATE, "PING", NULL) < 0);
	EXPECT(strstr(reply->text, "NOAUTH") != NULL);
	torc_redis_reply_free(reply);
	return 0;
}

static void
users_passwords_databases_and_names_are_as_configured(void **state)
{
	static const char *const arguments[] = { "--requirepass", "secret",
		"--user", "alice", "on", ">wonder", "~allowed*", "&*", "+@all",
		NULL };
	struct redis_server guarded;
	struct torc_redis_config config = { .user = "alice",
		.password = "wonder", .name = "torc", .database = 5 };

	(void)state;
	redis_start(&guarded, arguments);
	config.address = guarded.address;
	for (unsigned protocol = 2; protocol <= 3; protocol++) {
		config.protocol = protocol;
		config.password = "wonder";
		play_with(ask_who, &config);
		config.password = "wrong";
		play_with(be_refused, &config);
	}
	/* Its own greeting is larger than that. */
	config = (struct torc_redis_config) { .address = guarded.address,
		.password = "secret", .reply_bytes_max = 10,
		.reply_items_max = 1 };
	play_with(set_and_get, &config);
	config = (struct torc_redis_config) { .address = guarded.address };
	play_with(need_password, &config);
	config.password = "secret";
	play_with(set_and_get, &config);
	config.protocol = 2;
	play_with(set_and_get, &config);
	redis_end(&guarded);
}

static int
open_wrongly(void *arg)
{
	static const struct {
		struct torc_redis_config config;
		const char *text;
	} wrong[] = {
		{ { .protocol = 1 }, "protocol = 1" },
		{ { .protocol = 4 }, "protocol = 4: must be from 0 to 3" },
		{ { .shared_connections = 65 },
		    "shared_connections = 65: must be from 1 to 64" },
		{ { .user = "x" }, "user: needs a password" },
		{ { .cluster = true, .database = 1 }, "database" },
		{ { .reply_depth_max = 33 },
		    "reply_depth_max = 33: must be from 1 to 32" },
		{ { .cluster = true, .address = "a:1,,b:1" }, "address" },
		{ { .retry_min_ms = 90000 }, "retry_min_ms" },
	};
	struct torc_redis *redis;

	(void)arg;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct torc_error error;

		EXPECT(torc_redis_create(&redis, &wrong[i].config, &error) ==
		    -EINVAL);
		if (strstr(error.text, wrong[i].text) == NULL)
			fprintf(stderr, "%zu: %s\n", i, error.text);
		EXPECT(strstr(error.text, wrong[i].text) != NULL);
		EXPECT(error.code == -EINVAL && !error.cut);
		EXPECT(torc_redis_create(&redis, &wrong[i].config, NULL) ==
		    -EINVAL);
	}
	EXPECT(torc_redis_of(torc_reactor_self()) == NULL);
	return 0;
}

static void
a_wrong_configuration_is_refused_by_name(void **state)
{
	struct server reactor;

	(void)state;
	server_start(&reactor, NULL, echo_handler, NULL);
	assert_int_equal(server_fiber(&reactor, open_wrongly, NULL), 0);
	assert_int_equal(server_stop(&reactor), 0);
}

/* What a program has that was compiled for a later version. */
struct later {
	struct torc_redis_config config;
	uint64_t added;
};

static int
open_from_other_versions(void *arg)
{
	struct later later = { .config.address = server.address };
	struct torc_redis *redis;
	struct torc_error error;

	(void)arg;
	later.config.reply_depth_max = 33;
	/* It ended before this field. */
	EXPECT(torc_redis_create_sized(&redis, &later.config,
	    offsetof(struct torc_redis_config, reply_depth_max), &error) == 0);
	EXPECT(torc_redis_do(redis, NULL, LATE, "PING", NULL) == 0);
	EXPECT(torc_redis_destroy(redis, TORC_NEVER) == 0);
	later.config.reply_depth_max = 0;
	EXPECT(torc_redis_create_sized(&redis, &later.config, sizeof(later),
	    &error) == 0);
	EXPECT(torc_redis_destroy(redis, TORC_NEVER) == 0);
	later.added = 1;
	EXPECT(torc_redis_create_sized(&redis, &later.config, sizeof(later),
	    &error) == -EINVAL);
	EXPECT(error.code == -EINVAL &&
	    strstr(error.text, "struct torc_redis_config") != NULL);
	EXPECT(torc_redis_of(torc_reactor_self()) == NULL);
	return 0;
}

static void
a_configuration_of_another_version_is_taken(void **state)
{
	struct server reactor;

	(void)state;
	server_start(&reactor, NULL, echo_handler, NULL);
	assert_int_equal(server_fiber(&reactor, open_from_other_versions,
	    NULL), 0);
	assert_int_equal(server_stop(&reactor), 0);
}

/* ---- The reactor's end ---- */

static struct torc_redis *kept;

static int
open_and_keep(void *arg)
{
	const struct torc_redis_config config = { .address = server.address };
	struct torc_redis_session *session;

	(void)arg;
	EXPECT(torc_redis_create(&kept, &config, NULL) == 0);
	EXPECT(torc_redis_do(kept, NULL, LATE, "PING", NULL) == 0);
	EXPECT(torc_redis_session_acquire(kept, NULL, &session, NULL, LATE) ==
	    0);
	torc_redis_session_release(session);
	return 0;
}

static void
an_open_client_does_not_hold_up_a_drain_and_is_closed_after_it(void **state)
{
	struct server reactor;
	const uint64_t begin = now_ms();

	(void)state;
	server_start(&reactor, NULL, echo_handler, NULL);
	assert_int_equal(server_fiber(&reactor, open_and_keep, NULL), 0);
	torc_reactor_drain(reactor.reactor, torc_after_ms(600000));
	assert_int_equal(pthread_join(reactor.thread, NULL), 0);
	torc_redis_destroy(kept, TORC_NEVER);
	torc_reactor_destroy(reactor.reactor);
	assert_true(now_ms() - begin < 60000);
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
		    words_of_redis_are_whole_in_the_reply_and_an_error_says_if_they_are_cut),
		cmocka_unit_test(
		    a_connection_that_ended_while_idle_is_replaced_before_use),
		cmocka_unit_test(
		    what_would_harm_others_on_the_connection_is_refused),
		cmocka_unit_test(a_batch_is_answered_in_order),
		cmocka_unit_test(two_mebibytes_pass_intact_both_ways),
		cmocka_unit_test(
		    fibers_share_a_connection_and_each_gets_its_own_reply),
		cmocka_unit_test(the_commands_of_one_turn_leave_in_few_sends),
		cmocka_unit_test(fibers_share_several_connections),
		cmocka_unit_test(
		    the_commands_of_one_turn_are_not_scattered_over_connections),
		cmocka_unit_test(
		    a_command_that_redis_ends_its_connection_for_is_alone_on_it),
		cmocka_unit_test(
		    a_transaction_is_done_as_a_whole_or_not_at_all),
		cmocka_unit_test(
		    a_script_runs_by_its_hash_also_when_the_server_forgot_it),
		cmocka_unit_test(what_is_watched_and_changed_is_not_executed),
		cmocka_unit_test(a_session_that_was_changed_is_nobody_elses),
		cmocka_unit_test(a_session_that_ran_out_of_time_is_closed),
		cmocka_unit_test(a_reply_is_read_item_by_item),
		cmocka_unit_test(messages_come_as_a_stream),
		cmocka_unit_test(
		    a_subscriber_that_lost_its_connection_subscribes_again_and_says_so),
		cmocka_unit_test(
		    users_passwords_databases_and_names_are_as_configured),
		cmocka_unit_test(a_wrong_configuration_is_refused_by_name),
		cmocka_unit_test(a_configuration_of_another_version_is_taken),
		cmocka_unit_test(
		    an_open_client_does_not_hold_up_a_drain_and_is_closed_after_it),
	};
	int failed;

	if (!redis_available())
		return 0;
	redis_start(&server, NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	redis_end(&server);
	return failed;
}
