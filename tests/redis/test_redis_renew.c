/* SPDX-License-Identifier: MIT */
/*
 * test_redis_renew.c - a connection that leads to the wrong server is renewed,
 * and nobody waits or fails for that.
 *
 * wrap: torc_sys_resolve
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"
#include "tests/redis/said.h"
#include "tests/redis/scene.h"
#include "tests/redis/servers.h"
#include "tests/seam.h"

#include "conn/address.h"
#include "conn/redis/torc_redis.h"
#include "sys/sys.h"

#define LATE torc_after_ms(30000)
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

/* ---- A server that is one thing at first, and another one later ---- */

static const char *answer_first;	/* to SET, on the first connection */
static const char *answer_later;	/* to HELLO, on all others */
static atomic_uint accepted;
static atomic_bool gate_shut;	/* those others get no answer yet */

#define MAP "%1\r\n+proto\r\n:3\r\n"

static const char *
find_answer(const struct torc_slice *in, unsigned number)
{
	if (memmem(in->data, in->size, "HELLO", 5) != NULL)
		return number == 0 ? MAP : answer_later;
	if (memmem(in->data, in->size, "SET", 3) != NULL)
		return number == 0 ? answer_first : "+OK\r\n";
	return number == 0 ? "$3\r\nold\r\n" : "$3\r\nnew\r\n";
}

/* Several may come at once; nothing else in them has a star. */
static unsigned
count_commands(const struct torc_slice *in)
{
	unsigned count = 0;

	for (size_t i = 0; i < in->size; i++)
		count += in->data[i] == '*';
	return count;
}

static int
serve(struct torc_conn *conn, void *arg)
{
	const unsigned number = atomic_fetch_add(&accepted, 1);
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, TORC_NEVER) > 0) {
		const char *text = find_answer(&in, number);
		unsigned count = count_commands(&in);

		torc_conn_consume(conn, in.size);
		while (number > 0 && gate_shut) {
			if (torc_sleep(torc_after_ms(1)) < 0)
				return -1;
		}
		for (; count > 0; count--)
			if (torc_conn_write(conn, text, strlen(text), LATE) < 0)
				return -1;
	}
	return TORC_CLOSE;
}

/* ---- The stage ---- */

static void
open_gate(void)
{
	gate_shut = false;
}

static void
play_at(int (*act)(struct torc_redis *redis), const char *address,
    unsigned lines)
{
	struct scene scene = { .play = act, .over = open_gate,
		.config = { .address = address, .shared_connections = lines,
		.retry_min_ms = 1, .retry_max_ms = 5 } };
	struct server reactor;
	int line;

	server_start(&reactor, NULL, echo_handler, NULL);
	line = server_fiber(&reactor, run_scene, &scene);
	assert_int_equal(server_stop(&reactor), 0);
	if (line != 0)
		fail_msg("line %d does not hold", line);
}

static void
play(int (*act)(struct torc_redis *redis), const char *first,
    const char *later)
{
	const unsigned fds = count_fds();
	struct server server;
	char address[32];

	answer_first = first;
	answer_later = later;
	accepted = 0;
	gate_shut = false;
	server_start(&server, NULL, serve, NULL);
	snprintf(address, sizeof(address), "127.0.0.1:%u", server.port);
	play_at(act, address, 1);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(count_fds(), fds);
}

static bool
reads(struct torc_redis *redis, const char *value)
{
	struct torc_redis_reply *reply;
	bool is = torc_redis_do(redis, &reply, LATE, "GET", "k", NULL) == 0 &&
	    reply->type == TORC_REDIS_STRING &&
	    strcmp(reply->text, value) == 0;

	torc_redis_reply_free(reply);
	return is;
}

static int
set(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;
	int rc = torc_redis_do(redis, &reply, LATE, "SET", "k", "v", NULL);

	return heard(rc, &reply);
}

/* ---- Which errors ---- */

static int
be_renewed(struct torc_redis *redis)
{
	EXPECT(reads(redis, "old"));
	EXPECT(set(redis) == -EREMOTEIO);
	EXPECT(said_fate == TORC_REDIS_ANSWERED);
	while (set(redis) == -EREMOTEIO)
		EXPECT(torc_sleep(torc_after_ms(1)) == 0);
	EXPECT(set(redis) == 0 && reads(redis, "new"));
	EXPECT(accepted == 2);
	return 0;
}

static int
be_left(struct torc_redis *redis)
{
	for (unsigned i = 0; i < 20; i++) {
		EXPECT(set(redis) == -EREMOTEIO);
		EXPECT(reads(redis, "old"));
		EXPECT(torc_sleep(torc_after_ms(1)) == 0);
	}
	EXPECT(accepted == 1);
	return 0;
}

static void
an_error_that_another_server_would_not_have_renews_the_connection(
    void **state)
{
	static const char *const mended[] = {
		"-READONLY You can't write against a read only replica.\r\n",
		"-LOADING Redis is loading the dataset in memory\r\n",
		"-MASTERDOWN Link with MASTER is down\r\n",
		"-NOREPLICAS Not enough good replicas to write.\r\n",
		"-NOAUTH Authentication required.\r\n" };
	static const char *const others[] = { "-ERR no\r\n",
		"-MISCONF Redis is configured to save\r\n",
		"-OOM command not allowed\r\n", "-WRONGTYPE no\r\n",
		"-READONLYNOT a code\r\n" };

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		play(be_renewed, mended[i], MAP);
		play(be_left, others[i], MAP);
	}
}

static struct torc_slice
word(const char *text)
{
	return (struct torc_slice) { (const uint8_t *)text, strlen(text) };
}

/* In a batch, in a transaction, and on a session. */
static int
be_renewed_by_several(struct torc_redis *redis)
{
	const struct torc_slice argv[] = { word("SET"), word("k"),
		word("v") };
	const struct torc_redis_command command = { argv, 3 };
	struct torc_redis_session *session;
	struct torc_redis_reply *reply;

	EXPECT(torc_redis_batch(redis, &command, 1, &reply, LATE) == 0);
	EXPECT(reply->items[0].type == TORC_REDIS_ERROR);
	torc_redis_reply_free(reply);
	while (!reads(redis, "new"))
		EXPECT(torc_sleep(torc_after_ms(1)) == 0);
	EXPECT(accepted == 2);
	accepted = 0;
	for (unsigned i = 0; i < 2; i++) {
		EXPECT(torc_redis_session_acquire(
			   redis, NULL, &session, NULL, LATE) == 0);
		EXPECT(torc_redis_session_call(session, argv, 3, NULL, LATE) ==
		    (i == 0 ? -EREMOTEIO : 0));
		torc_redis_session_release(session);
	}
	return 0;
}

static void
batches_and_sessions_renew_it_too(void **state)
{
	(void)state;
	play(be_renewed_by_several, "-READONLY no\r\n", MAP);
}

/* ---- Nobody waits, and nobody fails ---- */

static int
go_on_with_the_old_one(struct torc_redis *redis)
{
	EXPECT(set(redis) == -EREMOTEIO);
	for (unsigned i = 0; i < 100; i++) {
		EXPECT(reads(redis, "old"));
		EXPECT(torc_sleep(torc_after_ms(1)) == 0);
	}
	EXPECT(accepted > 1);
	return 0;
}

/* A greeting that hangs holds nobody up. */
static int
wait_for_nobody(struct torc_redis *redis)
{
	const uint64_t begin = now_ms();

	gate_shut = true;
	EXPECT(set(redis) == -EREMOTEIO);
	while (accepted < 2)
		EXPECT(reads(redis, "old"));
	for (unsigned i = 0; i < 100; i++)
		EXPECT(reads(redis, "old"));
	EXPECT(now_ms() - begin < 20000);
	gate_shut = false;
	while (!reads(redis, "new"))
		EXPECT(torc_sleep(torc_after_ms(1)) == 0);
	EXPECT(set(redis) == 0);
	return 0;
}

static void
the_old_connection_serves_until_the_new_one_is_open(void **state)
{
	(void)state;
	play(go_on_with_the_old_one, "-READONLY no\r\n",
	    "-ERR max number of clients reached\r\n");
	play(wait_for_nobody, "-READONLY no\r\n", MAP);
}

/* A fiber that asks, at a time or until then. */
struct asker {
	struct torc_redis *redis;
	torc_deadline at;
};

/* Its line is good for nothing then, and it asks for another one. */
static int
ask_too_late(void *arg)
{
	struct asker *asker = arg;

	EXPECT(torc_redis_do(asker->redis, NULL, asker->at, "GET", "k",
	    NULL) == -ETIMEDOUT);
	EXPECT(reads(asker->redis, "new"));
	return 0;
}

/* A moment before that, on the same line, which is to be renewed. */
static int
ask_just_before(void *arg)
{
	struct asker *asker = arg;

	EXPECT(torc_sleep(torc_at(asker->at.at - 1)) == 0);
	EXPECT(reads(asker->redis, "new"));
	return 0;
}

static int
open_one_for_both(struct torc_redis *redis)
{
	struct asker asker = { redis, torc_after_ms(200) };
	int (*const entries[])(void *arg) = { ask_too_late, ask_just_before };
	struct torc_redis_session *session;
	uint64_t fibers[2];
	int result;

	EXPECT(torc_redis_session_acquire(redis, NULL, &session, NULL,
	    LATE) == 0);
	EXPECT(reads(redis, "new") && accepted == 2);
	gate_shut = true;
	for (unsigned i = 0; i < 2; i++)
		EXPECT(torc_fiber_spawn(&fibers[i], entries[i], &asker) == 0);
	EXPECT(torc_redis_session_do(session, NULL, LATE, "SET", "k", "v",
	    NULL) == -EREMOTEIO);
	torc_redis_session_release(session);
	while (accepted < 3)
		EXPECT(torc_sleep(torc_after_ms(1)) == 0);
	gate_shut = false;
	for (unsigned i = 0; i < 2; i++) {
		EXPECT(torc_fiber_join(fibers[i], &result, LATE) == 0);
		EXPECT(result == 0);
	}
	EXPECT(reads(redis, "new") && accepted == 3);
	return 0;
}

static void
one_connection_is_opened_where_one_is_renewed_and_none_is_left(void **state)
{
	(void)state;
	play(open_one_for_both, "-READONLY no\r\n", MAP);
}

/* ---- Several servers of one name ---- */

static unsigned name_size;	/* the last address is the master's */

int
__wrap_torc_sys_resolve(const char *host, struct sockaddr_storage *addresses,
    unsigned most)
{
	if (strcmp(host, "redis.test") != 0)
		return __real_torc_sys_resolve(host, addresses, most);
	torc_address_parse("127.0.0.2:1", &addresses[0]);
	torc_address_parse("127.0.0.3:1", &addresses[1]);
	torc_address_parse("127.0.0.1:1", &addresses[2]);
	return (int)name_size;
}

static int
serve_as(struct torc_conn *conn, void *role)
{
	const bool master = strcmp(role, "master") == 0;
	struct torc_slice in;

	accepted++;
	while (torc_conn_recv(conn, &in, TORC_NEVER) > 0) {
		const char *text = memmem(in.data, in.size, "HELLO", 5) !=
		    NULL ? MAP : memmem(in.data, in.size, "GET", 3) != NULL ?
		    "$1\r\n1\r\n" : master ? "+OK\r\n" :
		    "-READONLY no\r\n";

		torc_conn_consume(conn, in.size);
		if (torc_conn_write(conn, text, strlen(text), LATE) < 0)
			return -1;
	}
	return TORC_CLOSE;
}

static int
add_replicas(void *port)
{
	char address[32];

	for (int i = 2; i <= 3; i++) {
		snprintf(address, sizeof(address), "127.0.0.%d:%u", i,
		    *(const unsigned *)port);
		EXPECT(torc_listen(torc_reactor_self(), address, serve_as,
		    "replica") >= 0);
	}
	return 0;
}

static int
find_the_master(struct torc_redis *redis)
{
	EXPECT(reads(redis, "1"));
	while (set(redis) < 0)
		EXPECT(torc_sleep(torc_after_ms(1)) == 0);
	/* Each of the others was looked at once. */
	EXPECT(accepted == 3);
	return 0;
}

static int
serve_without_it(struct torc_redis *redis)
{
	const uint64_t begin = now_ms();

	while (now_ms() - begin < 700) {
		EXPECT(set(redis) == -EREMOTEIO);
		EXPECT(reads(redis, "1"));
		EXPECT(torc_sleep(torc_after_ms(1)) == 0);
	}
	/* What was wrong is tried again, after a while. */
	EXPECT(accepted > 3);
	return 0;
}

static void
of_the_addresses_of_a_name_the_one_that_takes_writes_is_found(void **state)
{
	struct server server;
	char address[32];

	(void)state;
	server_start(&server, NULL, serve_as, "master");
	assert_int_equal(server_fiber(&server, add_replicas, &server.port),
	    0);
	snprintf(address, sizeof(address), "redis.test:%u", server.port);
	name_size = 3;
	accepted = 0;
	play_at(find_the_master, address, 1);
	name_size = 2;
	accepted = 0;
	play_at(serve_without_it, address, 1);
	assert_int_equal(server_stop(&server), 0);
}

/* ---- Real servers ---- */

static struct redis_server servers[2];

static int
write_to_a_replica(struct torc_redis *redis)
{
	const struct torc_counters *counters = torc_reactor_self()->counters;
	const uint64_t begin = now_ms();
	unsigned count = 0;
	uint64_t dials;

	EXPECT(reads(redis, "1"));
	dials = counters->dials;
	while (now_ms() - begin < 1000) {
		EXPECT(set(redis) == -EREMOTEIO);
		EXPECT(reads(redis, "1"));
		EXPECT(torc_sleep(torc_after_ms(1)) == 0);
		count++;
	}
	print_message("%u refused, %u connections\n", count,
	    (unsigned)(counters->dials - dials));
	EXPECT(counters->dials > dials);
	/* After pauses of 100, 200, 400 ms and so on. */
	EXPECT(counters->dials - dials <=
	    5 + (now_ms() - begin) / 1000);
	return 0;
}

static int
follow_the_master(struct torc_redis *redis)
{
	struct torc_redis_subscriber *subscriber;
	struct torc_redis_message message;
	int rc;

	EXPECT(torc_redis_subscriber_create(redis, &subscriber) == 0);
	EXPECT(torc_redis_subscribe(subscriber, "news", NULL, LATE) == 0);
	EXPECT(torc_redis_subscriber_next(subscriber, &message, NULL, LATE) ==
	    0);
	EXPECT(set(redis) == -EREMOTEIO);
	while ((rc = set(redis)) < 0) {
		EXPECT(rc == -EREMOTEIO);
		EXPECT(torc_sleep(torc_after_ms(1)) == 0);
	}
	/* Messages come from where all else is, from now on. */
	EXPECT(torc_redis_subscriber_next(subscriber, &message, NULL, LATE) ==
	    0);
	EXPECT(message.event == TORC_REDIS_CONNECTED);
	torc_redis_subscriber_destroy(subscriber);
	return 0;
}

static void
of_several_servers_the_one_that_takes_writes_is_found(void **state)
{
	char both[256];

	(void)state;
	if (!redis_available())
		skip();
	redis_start(&servers[0], NULL);
	redis_start(&servers[1], NULL);
	assert_true(redis_ask(servers[1].port, "SET k 1", "+OK"));
	snprintf(both, sizeof(both), "REPLICAOF 127.0.0.1 %u",
	    servers[1].port);
	assert_true(redis_ask(servers[0].port, both, "+OK"));
	while (!redis_ask(servers[0].port, "INFO replication\r\nQUIT",
	    "master_link_status:up"))
		pause_ms(20);
	play_at(write_to_a_replica, servers[0].address, 1);
	snprintf(both, sizeof(both), "%s,%s", servers[0].address,
	    servers[1].address);
	play_at(follow_the_master, both, 1);
	play_at(follow_the_master, both, 4);
	redis_end(&servers[0]);
	redis_end(&servers[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    an_error_that_another_server_would_not_have_renews_the_connection),
		cmocka_unit_test(batches_and_sessions_renew_it_too),
		cmocka_unit_test(
		    of_the_addresses_of_a_name_the_one_that_takes_writes_is_found),
		cmocka_unit_test(
		    the_old_connection_serves_until_the_new_one_is_open),
		cmocka_unit_test(
		    one_connection_is_opened_where_one_is_renewed_and_none_is_left),
		cmocka_unit_test(
		    of_several_servers_the_one_that_takes_writes_is_found),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
