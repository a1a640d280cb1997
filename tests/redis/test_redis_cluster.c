/* SPDX-License-Identifier: MIT */
/*
 * test_redis_cluster.c - a real cluster of three: keys are found wherever they
 * are, also while they move.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"
#include "tests/redis/scene.h"
#include "tests/redis/servers.h"

#include "conn/redis/torc_redis.h"

#define LATE torc_after_ms(30000)
#define NODES 3
#define START_MS 60000u
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

static struct redis_server nodes[NODES];
static const char *const ranges[NODES] = { "0 5460", "5461 10922",
	"10923 16383" };

static bool
tell(unsigned node, const char *wanted, const char *format, ...)
{
	char command[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	return redis_ask(nodes[node].port, command, wanted);
}

static void
start_cluster(void)
{
	static const char *const arguments[] = { "--cluster-enabled", "yes",
		"--cluster-node-timeout", "1000", NULL };
	const uint64_t until = now_ms() + START_MS;

	for (unsigned i = 0; i < NODES; i++) {
		redis_start(&nodes[i], arguments);
		assert_true(tell(i, "+OK", "CLUSTER ADDSLOTSRANGE %s",
		    ranges[i]));
		assert_true(tell(i, "+OK", "CLUSTER SET-CONFIG-EPOCH %u",
		    i + 1));
		if (i > 0)
			assert_true(tell(i, "+OK",
			    "CLUSTER MEET 127.0.0.1 %u", nodes[0].port));
	}
	for (unsigned i = 0; i < NODES; i++) {
		while (!tell(i, "cluster_state:ok", "CLUSTER INFO\r\nQUIT") ||
		    !tell(i, "cluster_known_nodes:3",
		    "CLUSTER INFO\r\nQUIT")) {
			assert_true(now_ms() < until);
			pause_ms(50);
		}
	}
}

static void
play(int (*act)(struct torc_redis *redis))
{
	char addresses[256];
	struct scene scene = { .play = act, .config = { .cluster = true,
		.address = addresses } };
	const unsigned fds = count_fds();
	struct server reactor;
	int line;

	/* The first one of those that are known is dead. */
	snprintf(addresses, sizeof(addresses), "127.0.0.1:1,%s",
	    nodes[0].address);
	server_start(&reactor, NULL, echo_handler, NULL);
	line = server_fiber(&reactor, run_scene, &scene);
	assert_int_equal(server_stop(&reactor), 0);
	if (line != 0)
		fail_msg("line %d does not hold", line);
	assert_int_equal(count_fds(), fds);
}

static struct torc_slice
word(const char *text)
{
	return (struct torc_slice) { (const uint8_t *)text, strlen(text) };
}

static bool
reads(struct torc_redis *redis, const char *key, const char *value)
{
	struct torc_redis_reply *reply;
	bool is = torc_redis_do(redis, &reply, LATE, "GET", key, NULL) == 0 &&
	    reply->type == TORC_REDIS_STRING &&
	    strcmp(reply->text, value) == 0;

	torc_redis_reply_free(reply);
	return is;
}

/* ---- Claims ---- */

static int
set_everywhere(struct torc_redis *redis)
{
	for (unsigned i = 0; i < 300; i++) {
		char key[32], value[32];

		snprintf(key, sizeof(key), "key:%u", i);
		snprintf(value, sizeof(value), "%u", i * 7);
		EXPECT(torc_redis_do(redis, NULL, LATE, "SET", key, value,
		    NULL) == 0);
	}
	for (unsigned i = 0; i < 300; i++) {
		char key[32], value[32];

		snprintf(key, sizeof(key), "key:%u", i);
		snprintf(value, sizeof(value), "%u", i * 7);
		EXPECT(reads(redis, key, value));
	}
	return 0;
}

static void
keys_are_found_on_the_node_that_has_them(void **state)
{
	(void)state;
	play(set_everywhere);
	/* All have some, and nobody was sent on: that counts as an error. */
	for (unsigned i = 0; i < NODES; i++) {
		assert_false(tell(i, ":0\r", "DBSIZE\r\nQUIT"));
		assert_false(tell(i, "errorstat_MOVED",
		    "INFO errorstats\r\nQUIT"));
	}
}

static int
use_tags(struct torc_redis *redis)
{
	const struct torc_slice set[] = { word("SET"), word("{tag}a"),
		word("1") };
	const struct torc_slice add[] = { word("INCR"), word("{tag}a") };
	const struct torc_slice other[] = { word("INCR"), word("elsewhere") };
	const struct torc_redis_command same[] = { { set, 3 }, { add, 2 } };
	const struct torc_redis_command far[] = { { set, 3 }, { other, 2 } };
	struct torc_redis_script script = { .text =
		"return redis.call('GET', KEYS[1])" };
	struct torc_redis_session *session;
	struct torc_redis_reply *reply;

	EXPECT(torc_redis_transact(redis, same, 2, &reply, LATE) == 0);
	EXPECT(reply->size == 2 && reply->items[1].integer == 2);
	torc_redis_reply_free(reply);
	EXPECT(torc_redis_transact(redis, far, 2, &reply, LATE) == -EXDEV);
	EXPECT(reply->type == TORC_REDIS_FAILURE);
	torc_redis_reply_free(reply);
	EXPECT(torc_redis_batch(redis, far, 2, NULL, LATE) == -EXDEV);
	EXPECT(torc_redis_batch(redis, same, 2, NULL, LATE) == 0);
	EXPECT(torc_redis_do(redis, NULL, LATE, "MGET", "{tag}a", "{tag}b",
	    NULL) == 0);
	EXPECT(
	    torc_redis_eval(redis, &script, &set[1], 1, 1, &reply, LATE) == 0);
	EXPECT(strcmp(reply->text, "2") == 0);
	torc_redis_reply_free(reply);
	EXPECT(torc_redis_session_acquire(redis, "{tag}b", &session, NULL,
	    LATE) == 0);
	EXPECT(torc_redis_session_do(session, NULL, LATE, "WATCH", "{tag}a",
	    NULL) == 0);
	torc_redis_session_release(session);
	return 0;
}

static void
tags_keep_keys_together_and_what_is_apart_is_refused(void **state)
{
	(void)state;
	play(use_tags);
}

static char ids[NODES][41];	/* of the nodes */

static int
ask_ids(struct torc_redis *redis)
{
	(void)redis;
	for (unsigned i = 0; i < NODES; i++) {
		const struct torc_redis_config config = {
			.address = nodes[i].address };
		struct torc_redis *node;
		struct torc_redis_reply *reply;

		EXPECT(torc_redis_create(&node, &config, NULL) == 0);
		EXPECT(torc_redis_do(node, &reply, LATE, "CLUSTER", "MYID",
		    NULL) == 0);
		EXPECT(reply->size == 40);
		memcpy(ids[i], reply->text, 41);
		torc_redis_reply_free(reply);
		torc_redis_destroy(node, TORC_NEVER);
	}
	return 0;
}

/* "foo" has the slot 12182: on the last node. */
#define FOO 12182u

static int
move_away(struct torc_redis *redis)
{
	EXPECT(torc_redis_do(redis, NULL, LATE, "DEL", "foo", NULL) == 0);
	for (unsigned i = NODES; i-- > 0;)
		EXPECT(tell(i, "+OK", "CLUSTER SETSLOT %u NODE %s", FOO,
		    ids[0]));
	EXPECT(torc_redis_do(redis, NULL, LATE, "SET", "foo", "moved",
	    NULL) == 0);
	EXPECT(reads(redis, "foo", "moved"));
	EXPECT(tell(0, "moved", "GET foo"));
	EXPECT(tell(2, "MOVED", "GET foo"));
	return 0;
}

static int
move_slowly(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;
	const uint64_t begin = now_ms();
	int rc;

	/* From the first node to the second one, key by key. */
	EXPECT(tell(1, "+OK", "CLUSTER SETSLOT %u IMPORTING %s", FOO,
	    ids[0]));
	EXPECT(tell(0, "+OK", "CLUSTER SETSLOT %u MIGRATING %s", FOO,
	    ids[1]));
	EXPECT(reads(redis, "foo", "moved"));
	EXPECT(torc_redis_do(redis, NULL, LATE, "SET", "{foo}new", "asked",
	    NULL) == 0);
	EXPECT(reads(redis, "{foo}new", "asked"));
	EXPECT(tell(1, "asked", "ASKING\r\nGET {foo}new"));
	/* One is here, one is there: it is tried again, but not for ever. */
	EXPECT(torc_redis_do(redis, &reply, LATE, "MGET", "foo", "{foo}new",
	    NULL) == -EREMOTEIO);
	EXPECT(strncmp(reply->text, "TRYAGAIN", 8) == 0);
	torc_redis_reply_free(reply);
	EXPECT(now_ms() - begin < 20000);
	/* The last answer, unless the next one did not come in time. */
	rc = torc_redis_do(redis, &reply, torc_after_ms(400), "MGET", "foo",
	    "{foo}new", NULL);
	EXPECT(rc == -EREMOTEIO || rc == -ETIMEDOUT);
	torc_redis_reply_free(reply);
	EXPECT(tell(0, "+OK", "MIGRATE 127.0.0.1 %u foo 0 5000",
	    nodes[1].port));
	EXPECT(torc_redis_do(redis, NULL, LATE, "MGET", "foo", "{foo}new",
	    NULL) == 0);
	for (unsigned i = NODES; i-- > 0;)
		EXPECT(tell(i, "+OK", "CLUSTER SETSLOT %u NODE %s", FOO,
		    ids[1]));
	EXPECT(reads(redis, "foo", "moved"));
	return 0;
}

static void
a_slot_that_moves_is_followed(void **state)
{
	(void)state;
	play(ask_ids);
	play(move_away);
	play(move_slowly);
}

static int
hear_messages(struct torc_redis *redis)
{
	struct torc_redis_subscriber *subscriber;
	struct torc_redis_message message;

	EXPECT(torc_redis_subscriber_create(redis, &subscriber) == 0);
	EXPECT(torc_redis_subscribe(subscriber, "news", NULL, LATE) == 0);
	EXPECT(torc_redis_subscriber_next(subscriber, &message, NULL, LATE) ==
	    0);
	EXPECT(message.event == TORC_REDIS_SUBSCRIBED);
	EXPECT(torc_redis_do(redis, NULL, LATE, "PUBLISH", "news", "x",
	    NULL) == 0);
	EXPECT(torc_redis_subscriber_next(subscriber, &message, NULL, LATE) ==
	    0);
	EXPECT(strcmp(message.text, "x") == 0);
	torc_redis_subscriber_destroy(subscriber);
	return 0;
}

static void
messages_reach_subscribers_of_any_node(void **state)
{
	(void)state;
	play(hear_messages);
}

/* What the fiber asks a thread to do: a process is not made on a fiber. */
enum { UNTOUCHED, DEAD, ALIVE, OVER };
static atomic_int asked;
static atomic_int done;

static void *
obey(void *arg)
{
	(void)arg;
	while (asked != OVER) {
		if (asked == DEAD && done < DEAD) {
			redis_kill(&nodes[2]);
			done = DEAD;
		} else if (asked == ALIVE && done < ALIVE) {
			redis_restart(&nodes[2]);
			done = ALIVE;
		}
		pause_ms(1);
	}
	return NULL;
}

static void
have_it(int state)
{
	asked = state;
	while (done != state)
		torc_sleep(torc_after_ms(1));
}

static int
lose_a_node(struct torc_redis *redis)
{
	uint64_t begin;

	/* "a" has the slot 15495. */
	EXPECT(torc_redis_do(redis, NULL, LATE, "SET", "a", "1", NULL) == 0);
	have_it(DEAD);
	for (unsigned i = 0; i < 5; i++) {
		begin = now_ms();
		EXPECT(torc_redis_do(redis, NULL, torc_after_ms(1000), "GET",
		    "a", NULL) < 0);
		EXPECT(now_ms() - begin < 1000 + 10000);
	}
	have_it(ALIVE);
	begin = now_ms();
	while (torc_redis_do(redis, NULL, torc_after_ms(1000), "SET", "a",
	    "back", NULL) < 0)
		EXPECT(now_ms() - begin < 60000);
	EXPECT(reads(redis, "a", "back"));
	return 0;
}

static void
a_node_that_dies_is_an_error_in_time_and_is_used_again_when_it_is_back(
    void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, obey, NULL), 0);
	play(lose_a_node);
	asked = OVER;
	pthread_join(thread, NULL);
	/* It ends with the thread that started it, or is ended now. */
	redis_kill(&nodes[2]);
	redis_restart(&nodes[2]);
}

static struct redis_server replica;	/* of the last node */

static void
start_replica(void)
{
	static const char *const arguments[] = { "--cluster-enabled", "yes",
		"--cluster-node-timeout", "1000", NULL };
	const uint64_t until = now_ms() + START_MS;
	char command[96];

	redis_start(&replica, arguments);
	snprintf(command, sizeof(command), "CLUSTER MEET 127.0.0.1 %u",
	    nodes[0].port);
	assert_true(redis_ask(replica.port, command, "+OK"));
	snprintf(command, sizeof(command), "CLUSTER REPLICATE %s\r\nQUIT",
	    ids[2]);
	/* It has to hear of that node first. */
	while (!redis_ask(replica.port, command, "+OK\r\n+OK")) {
		assert_true(now_ms() < until);
		pause_ms(100);
	}
	while (!redis_ask(replica.port, "INFO replication\r\nQUIT",
	    "master_link_status:up")) {
		assert_true(now_ms() < until);
		pause_ms(100);
	}
}

static int
follow_the_replica(struct torc_redis *redis)
{
	const uint64_t begin = now_ms();
	struct torc_redis_session *session;

	EXPECT(torc_redis_do(redis, NULL, LATE, "SET", "a", "1", NULL) == 0);
	EXPECT(torc_redis_session_acquire(redis, "a", &session, NULL, LATE) ==
	    0);
	have_it(DEAD);
	while (torc_redis_do(redis, NULL, torc_after_ms(1000), "SET", "a",
	    "2", NULL) < 0)
		EXPECT(now_ms() - begin < 50000);
	EXPECT(reads(redis, "a", "2"));
	EXPECT(redis_ask(replica.port, "GET a\r\nQUIT", "2"));
	EXPECT(torc_redis_session_do(session, NULL, LATE, "PING", NULL) < 0);
	torc_redis_session_release(session);
	EXPECT(reads(redis, "a", "2"));
	return 0;
}

static void
a_replica_that_takes_over_is_found(void **state)
{
	pthread_t thread;

	(void)state;
	asked = done = UNTOUCHED;
	start_replica();
	assert_int_equal(pthread_create(&thread, NULL, obey, NULL), 0);
	play(follow_the_replica);
	asked = OVER;
	pthread_join(thread, NULL);
	redis_end(&replica);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_found_on_the_node_that_has_them),
		cmocka_unit_test(
		    tags_keep_keys_together_and_what_is_apart_is_refused),
		cmocka_unit_test(a_slot_that_moves_is_followed),
		cmocka_unit_test(messages_reach_subscribers_of_any_node),
		cmocka_unit_test(
		    a_node_that_dies_is_an_error_in_time_and_is_used_again_when_it_is_back),
		cmocka_unit_test(a_replica_that_takes_over_is_found),
	};
	int failed;

	if (!redis_available())
		return 0;
	start_cluster();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	for (unsigned i = 0; i < NODES; i++)
		redis_end(&nodes[i]);
	return failed;
}
