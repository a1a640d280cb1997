/* SPDX-License-Identifier: MIT */
/*
 * test_redis_map.c - a cluster whose nodes come and go: those that it has no
 * more are forgotten, and nobody notices. All of its addresses are those of
 * one server, which knows by its own address who it is meant to be.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"
#include "tests/redis/scene.h"

#include "conn/redis/redis.h"

#define LATE torc_after_ms(30000)
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

/* ---- The cluster ---- */

enum manner {
	STAY,			/* node `owner` has all slots */
	MOVE,			/* after each GET, the next node has them */
	OVERLAP,		/* its map has all slots, again and again */
	LOADING,		/* node 0 is not ready, and the map moves on */
	DOWN,			/* the cluster is down for three commands */
};

static enum manner manner;
static unsigned port;
static atomic_uint owner;	/* node 0 is 127.1.0.1, 1 is 127.1.0.2, ... */
static atomic_uint open_now;	/* connections */
static atomic_uint open_most;
static atomic_uint maps;	/* that were asked for */
static atomic_uint trouble;	/* answers that were none */

static void
address_of(char *text, size_t size, unsigned node)
{
	snprintf(text, size, "127.1.%u.%u", node / 200, 1 + node % 200);
}

/* Who this connection takes us for. */
static unsigned
node_of(const struct torc_conn *conn)
{
	unsigned high = 0, low = 1;
	char text[128];

	torc_conn_local_address(conn, text, sizeof(text));
	sscanf(text, "127.1.%u.%u", &high, &low);
	return high * 200 + low - 1;
}

static int
say(struct torc_conn *conn, const char *text)
{
	return torc_conn_write(conn, text, strlen(text), LATE);
}

static int
say_map(struct torc_conn *conn)
{
	char host[32], text[256];
	const unsigned ranges = manner == OVERLAP ? 20000 : 1;
	int rc;

	atomic_fetch_add(&maps, 1);
	snprintf(text, sizeof(text), "*%u\r\n", ranges);
	rc = say(conn, text);
	for (unsigned i = 0; rc == 0 && i < ranges; i++) {
		address_of(host, sizeof(host), i == 0 ? owner : 900);
		snprintf(text, sizeof(text), "*3\r\n:0\r\n:16383\r\n"
		    "*2\r\n$%zu\r\n%s\r\n:%u\r\n", strlen(host), host, port);
		rc = say(conn, text);
	}
	return rc;
}

static int
answer_get(struct torc_conn *conn)
{
	const unsigned self = node_of(conn);
	char host[32], text[128];

	if (manner == LOADING && self == 0) {
		owner = 1;
		trouble++;
		return say(conn, "-LOADING Redis is loading\r\n");
	}
	if (manner == DOWN && trouble < 3) {
		trouble++;
		return say(conn, "-CLUSTERDOWN The cluster is down\r\n");
	}
	if (self != owner) {
		address_of(host, sizeof(host), owner);
		snprintf(text, sizeof(text), "-MOVED 12182 %s:%u\r\n", host,
		    port);
		return say(conn, text);
	}
	snprintf(text, sizeof(text), ":%u\r\n", self);
	if (manner == MOVE)
		owner++;
	return say(conn, text);
}

static int
answer(struct torc_conn *conn, const struct torc_redis_reply *command)
{
	const char *name = command->items[0].text;

	if (strcmp(name, "HELLO") == 0)
		return say(conn, "%1\r\n+proto\r\n:3\r\n");
	if (strcmp(name, "CLUSTER") == 0)
		return say_map(conn);
	return strcmp(name, "GET") == 0 ? answer_get(conn) :
	    say(conn, "+PONG\r\n");
}

static int
be_a_node(struct torc_conn *conn, void *arg)
{
	const unsigned now = atomic_fetch_add(&open_now, 1) + 1;
	struct torc_slice in;
	int rc = 0;

	(void)arg;
	if (now > open_most)
		open_most = now;
	while (rc >= 0 && torc_conn_recv(conn, &in, LATE) > 0)
		rc = obey_all(conn, in, answer);
	atomic_fetch_sub(&open_now, 1);
	return TORC_CLOSE;
}

static void
listen_everywhere(struct torc_reactor *reactor, void *arg)
{
	int listener = torc_listen(reactor, "0.0.0.0:0", be_a_node, NULL);

	(void)arg;
	port = torc_listen_port(reactor, listener);
}

/* ---- The stage ---- */

static void
play(int (*act)(struct torc_redis *redis), enum manner how)
{
	struct scene scene = { .play = act, .config = { .cluster = true,
		.retry_min_ms = 1, .retry_max_ms = 5 } };
	const unsigned fds = count_fds();
	struct server cluster, reactor;
	char address[64];
	int line;

	manner = how;
	owner = open_now = open_most = maps = trouble = 0;
	server_start(&cluster, NULL, be_a_node, NULL);
	server_call(&cluster, listen_everywhere, NULL);
	snprintf(address, sizeof(address), "127.1.0.1:%u", port);
	scene.config.address = address;
	server_start(&reactor, NULL, echo_handler, NULL);
	line = server_fiber(&reactor, run_scene, &scene);
	assert_int_equal(server_stop(&reactor), 0);
	assert_int_equal(server_stop(&cluster), 0);
	if (line != 0)
		fail_msg("line %d does not hold", line);
	assert_int_equal(count_fds(), fds);
}

/* Which node has answered; -1: none. */
static int
ask(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;
	int node = -1;

	if (torc_redis_do(redis, &reply, LATE, "GET", "foo", NULL) == 0)
		node = (int)reply->integer;
	torc_redis_reply_free(reply);
	return node;
}

/* ---- Claims ---- */

static int
follow_a_thousand(struct torc_redis *redis)
{
	for (int i = 0; i < 1000; i++) {
		EXPECT(ask(redis) == i);
		EXPECT(redis->node_count <= 3);
	}
	print_message("1000 nodes, at most %u connections, %u maps\n",
	    open_most, maps);
	EXPECT(open_most <= 8);
	return 0;
}

static void
nodes_that_a_cluster_has_no_more_are_forgotten(void **state)
{
	(void)state;
	play(follow_a_thousand, MOVE);
}

struct askers {
	struct torc_redis *redis;
	unsigned wrong;
};

static int
ask_often(void *arg)
{
	struct askers *askers = arg;

	for (unsigned i = 0; i < 30; i++)
		askers->wrong += ask(askers->redis) < 0;
	return 0;
}

static int
follow_together(struct torc_redis *redis)
{
	struct askers askers = { .redis = redis };
	uint64_t ids[20];

	for (unsigned i = 0; i < 20; i++)
		EXPECT(torc_fiber_spawn(&ids[i], ask_often, &askers) == 0);
	for (unsigned i = 0; i < 20; i++)
		EXPECT(torc_fiber_join(ids[i], NULL, LATE) == 0);
	/* One may be sent on more often than it likes to. */
	print_message("%u of 600 were sent on too often\n", askers.wrong);
	EXPECT(ask(redis) >= 0);
	EXPECT(redis->gone == NULL && redis->node_count <= 3);
	return 0;
}

static void
a_node_is_freed_when_the_last_that_uses_it_has_left(void **state)
{
	(void)state;
	play(follow_together, MOVE);
}

static int
stay_with_a_node(struct torc_redis *redis)
{
	struct torc_redis_session *session;

	EXPECT(ask(redis) == 0);
	owner = 1;
	redis->mapped_at -= 2000000000;		/* it is old */
	EXPECT(ask(redis) == 1);
	EXPECT(maps == 2);
	EXPECT(torc_redis_session_acquire(redis, "foo", &session, NULL,
	    LATE) == 0);
	owner = 2;
	redis->mapped_at -= 2000000000;
	EXPECT(ask(redis) == 2);
	/* The node is none of the cluster any more, and yet there. */
	EXPECT(redis->gone != NULL && redis->gone->next == NULL);
	EXPECT(torc_redis_session_do(session, NULL, LATE, "PING", NULL) == 0);
	torc_redis_session_release(session);
	EXPECT(ask(redis) == 2);
	EXPECT(redis->gone == NULL);
	/* What is configured is remembered, and holds no connection. */
	EXPECT(redis->node_count == 2 && redis->nodes[0]->seed);
	EXPECT(redis->nodes[0]->set.count == 0);
	return 0;
}

static void
a_session_outlives_the_place_of_its_node_in_the_map(void **state)
{
	(void)state;
	play(stay_with_a_node, STAY);
}

/* All that is known of the cluster is gone at once, but for its first name. */
static int
begin_again_from_the_seed(struct torc_redis *redis)
{
	EXPECT(ask(redis) == 0);
	owner = 1;
	EXPECT(ask(redis) == 1);
	/* A node that nobody listens for takes its place. */
	strcpy(redis->slots[12182]->address, "127.1.0.2:1");
	EXPECT(torc_redis_do(redis, NULL, LATE, "PING", NULL) == 0);
	torc_redis_node_rest(redis->slots[12182]);
	owner = 2;
	EXPECT(ask(redis) == 2);
	return 0;
}

static void
when_all_nodes_are_lost_those_of_the_configuration_are_asked(void **state)
{
	(void)state;
	play(begin_again_from_the_seed, STAY);
}

/* Which node a session's connection leads to; -1: to one that has not "foo". */
static int
ask_in_session(struct torc_redis *redis)
{
	struct torc_redis_session *session;
	struct torc_redis_reply *reply = NULL;
	int node = -1;

	if (torc_redis_session_acquire(redis, "foo", &session, NULL, LATE) < 0)
		return -2;
	if (torc_redis_session_do(session, &reply, LATE, "GET", "foo",
	    NULL) == 0)
		node = (int)reply->integer;
	torc_redis_reply_free(reply);
	torc_redis_session_release(session);
	return node;
}

static int
find_by_sessions(struct torc_redis *redis)
{
	EXPECT(ask_in_session(redis) == 0);
	owner = 1;
	EXPECT(ask_in_session(redis) == -1);
	EXPECT(ask_in_session(redis) == 1);
	EXPECT(maps == 1);
	/* The next one is away when it is asked for the first time. */
	owner = 2;
	EXPECT(ask_in_session(redis) == -1);
	strcpy(redis->slots[12182]->address, "127.1.0.3:1");
	owner = 3;
	EXPECT(ask_in_session(redis) == 3);
	EXPECT(maps == 2);
	return 0;
}

static void
sessions_alone_follow_a_cluster_too(void **state)
{
	(void)state;
	play(find_by_sessions, STAY);
}

static int
read_an_endless_map(struct torc_redis *redis)
{
	EXPECT(ask(redis) == 0);
	/* Of 20,000 times all slots, the first. */
	for (unsigned i = 0; i < REDIS_SLOTS; i++)
		EXPECT(strncmp(redis->slots[i]->address, "127.1.0.1:",
		    10) == 0);
	EXPECT(redis->node_count == 1);
	return 0;
}

static void
a_map_has_each_slot_once(void **state)
{
	(void)state;
	play(read_an_endless_map, OVERLAP);
}

static int
wait_until_it_is_over(struct torc_redis *redis)
{
	EXPECT(ask(redis) >= 0);
	EXPECT(trouble > 0);
	return 0;
}

/* The map is old by then. */
static int
go_where_the_slots_are(struct torc_redis *redis)
{
	EXPECT(torc_redis_do(redis, NULL, LATE, "PING", NULL) == 0);
	redis->mapped_at -= 2000000000;
	EXPECT(ask(redis) == 1);
	EXPECT(trouble == 1 && maps == 2);
	return 0;
}

static void
what_passes_in_a_cluster_is_waited_for(void **state)
{
	(void)state;
	play(wait_until_it_is_over, DOWN);
	play(go_where_the_slots_are, LOADING);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    nodes_that_a_cluster_has_no_more_are_forgotten),
		cmocka_unit_test(
		    a_node_is_freed_when_the_last_that_uses_it_has_left),
		cmocka_unit_test(
		    a_session_outlives_the_place_of_its_node_in_the_map),
		cmocka_unit_test(
		    when_all_nodes_are_lost_those_of_the_configuration_are_asked),
		cmocka_unit_test(sessions_alone_follow_a_cluster_too),
		cmocka_unit_test(a_map_has_each_slot_once),
		cmocka_unit_test(what_passes_in_a_cluster_is_waited_for),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
