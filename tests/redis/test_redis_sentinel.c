/* SPDX-License-Identifier: MIT */
/*
 * test_redis_sentinel.c - the master is found by sentinels, real ones and such
 * as do not know, or know something else.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/redis/said.h"
#include "tests/redis/scene.h"
#include "tests/redis/servers.h"

#include "conn/redis/torc_redis.h"

#define LATE torc_after_ms(60000)
#define CALL_MS 300u
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

/* ---- The stage ---- */

static void
play(int (*act)(struct torc_redis *redis),
    const struct torc_redis_config *config)
{
	struct scene scene = { .config = *config, .play = act };
	struct server reactor;
	int line;

	scene.config.retry_min_ms = 1;
	scene.config.retry_max_ms = 20;
	server_start(&reactor, NULL, echo_handler, NULL);
	line = server_fiber(&reactor, run_scene, &scene);
	assert_int_equal(server_stop(&reactor), 0);
	if (line != 0)
		fail_msg("line %d does not hold", line);
}

/* ---- Real ones ---- */

static struct redis_server servers[2];
static struct redis_server sentinel;

/* Whether its answer to a command has that text in it. */
static bool
sentinel_says(const char *command, const char *wanted)
{
	static char text[65536];
	size_t size = 0;
	int fd = client_open(sentinel.port);

	client_send(fd, "AUTH hush\r\n", 11);
	client_send(fd, command, strlen(command));
	/* It knows no QUIT. */
	client_send(fd, "\r\nPING\r\n", 8);
	text[0] = '\0';
	while (strstr(text, "+PONG\r\n") == NULL) {
		ssize_t got = recv(fd, text + size, sizeof(text) - 1 - size,
		    0);

		/* io_uring may interrupt what blocks its thread. */
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		size += (size_t)got;
		text[size] = '\0';
	}
	close(fd);
	return strstr(text, wanted) != NULL;
}

/* The port of the server that takes a write; 0: none does. */
static unsigned
who_writes(struct torc_redis *redis)
{
	struct torc_redis_reply *reply = NULL;
	unsigned port = 0;

	if (torc_redis_do(redis, NULL, torc_after_ms(CALL_MS), "SET", "k",
	    "v", NULL) == 0 &&
	    torc_redis_do(redis, &reply, torc_after_ms(CALL_MS), "CONFIG",
	    "GET", "port", NULL) == 0)
		port = (unsigned)strtoul(reply->items[1].text, NULL, 10);
	torc_redis_reply_free(reply);
	return port;
}

static bool
writes_to(struct torc_redis *redis, unsigned port)
{
	const torc_deadline until = LATE;

	while (!torc_passed(until)) {
		if (who_writes(redis) == port)
			return true;
		torc_sleep(torc_after_ms(10));
	}
	return false;
}

/*
 * The master is demoted, and lives on: it does not know that for ten seconds,
 * and what is written to it until then is lost.
 */
static int
leave_the_demoted(struct torc_redis *redis)
{
	EXPECT(who_writes(redis) == servers[0].port);
	/* No replica is good at once. */
	while (!sentinel_says("SENTINEL FAILOVER cache", "+OK\r\n+OK"))
		EXPECT(torc_sleep(torc_after_ms(50)) == 0);
	EXPECT(writes_to(redis, servers[1].port));
	EXPECT(redis_ask(servers[0].port, "ROLE\r\nQUIT", "master"));
	return 0;
}

static int
leave_the_silent(struct torc_redis *redis)
{
	EXPECT(who_writes(redis) == servers[1].port);
	EXPECT(kill(servers[1].pid, SIGSTOP) == 0);
	EXPECT(writes_to(redis, servers[0].port));
	return 0;
}

static void
await_replica(unsigned which)
{
	while (!redis_ask(servers[which].port, "INFO replication\r\nQUIT",
	    "master_link_status:up"))
		pause_ms(50);
}

static void
start_servers(void)
{
	char command[96];

	redis_start(&servers[0], NULL);
	redis_start(&servers[1], NULL);
	snprintf(command, sizeof(command), "REPLICAOF 127.0.0.1 %u",
	    servers[0].port);
	assert_true(redis_ask(servers[1].port, command, "+OK"));
	await_replica(1);
	redis_start_sentinel(&sentinel, servers[0].port, "hush");
	while (!sentinel_says("SENTINEL MASTER cache",
	    "num-slaves\r\n$1\r\n1"))
		pause_ms(50);
}

static void
the_master_is_followed_wherever_sentinels_say_it_is(void **state)
{
	struct torc_redis_config config = { .sentinel = "cache",
		.sentinel_password = "hush", .open_ms = 1000 };
	char addresses[128];

	(void)state;
	if (!redis_available())
		skip();
	start_servers();
	/* The first one is away. */
	snprintf(addresses, sizeof(addresses), "127.0.0.1:1,%s",
	    sentinel.address);
	config.address = addresses;
	play(leave_the_demoted, &config);
	/* The next failover needs it. */
	await_replica(0);
	play(leave_the_silent, &config);
	kill(servers[1].pid, SIGCONT);
	redis_end(&sentinel);
	redis_end(&servers[0]);
	redis_end(&servers[1]);
}

/* ---- Others ---- */

/* Of two ports, the first is a sentinel's, the second a server's. */
static const char *_Atomic said_by_sentinel;	/* %u: the server's port */
static const char *_Atomic role;
static atomic_uint server_port;
static atomic_uint gets;	/* that reached the server */
static atomic_uint asked;	/* times, the sentinel was */

static int
serve(struct torc_conn *conn, void *arg)
{
	const bool is_sentinel = arg != NULL;
	struct torc_slice in;
	char text[128];
	int rc = 0;

	while (rc == 0 && torc_conn_recv(conn, &in, LATE) > 0) {
		const char *answer = "$2\r\nok\r\n";

		if (memmem(in.data, in.size, "HELLO", 5) != NULL) {
			answer = "%1\r\n+proto\r\n:3\r\n";
		} else if (memmem(in.data, in.size, "ROLE", 4) != NULL) {
			answer = role;
		} else if (is_sentinel) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			snprintf(text, sizeof(text), said_by_sentinel,
			    server_port);
#pragma GCC diagnostic pop
			answer = text;
			asked++;
		} else {
			gets++;
		}
		torc_conn_consume(conn, in.size);
		rc = torc_conn_write(conn, answer, strlen(answer), LATE);
	}
	return TORC_CLOSE;
}

static int expected;
static const char *expected_why;

static int
ask(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;
	int rc = torc_redis_do(redis, &reply, LATE, "GET", "k", NULL);

	rc = heard(rc, &reply);
	if (rc != expected || (rc < 0 && strstr(said, expected_why) == NULL))
		fprintf(stderr, "%d: %s\n", rc, said);
	EXPECT(rc == expected);
	EXPECT(rc == 0 || strstr(said, expected_why) != NULL);
	EXPECT(rc == 0 || said_fate == TORC_REDIS_UNSENT);
	EXPECT(gets == (rc == 0) && asked > 0);
	return 0;
}

#define MASTER "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"
#define PORT "*2\r\n$9\r\n127.0.0.1\r\n$5\r\n%5u\r\n"

static void
what_sentinels_say_is_believed_as_far_as_it_is_so(void **state)
{
	static const struct {
		const char *said;
		const char *role;
		int result;
		const char *why;
	} manners[] = {
		{ PORT, MASTER, 0, NULL },
		{ PORT, "*5\r\n$5\r\nslave\r\n:1\r\n:2\r\n:3\r\n:4\r\n",
		    -ECONNREFUSED, "it is not a master, but a slave" },
		{ PORT, "-NOPERM no ROLE\r\n", -EACCES, "ROLE: NOPERM" },
		{ PORT, "+master\r\n", -EPROTO, "answer to ROLE" },
		{ "_\r\n", MASTER, -ENOENT,
		    "does not know a master \"cache\"" },
		{ "*-1\r\n", MASTER, -ENOENT,
		    "does not know a master \"cache\"" },
		{ "-IDONTKNOW no\r\n", MASTER, -ENOENT, "IDONTKNOW" },
		{ "+OK\r\n", MASTER, -EPROTO, "is not an address" },
		{ "*2\r\n:1\r\n:2\r\n", MASTER, -EPROTO, "is not an address" },
		{ "*2\r\n$9\r\n127.0.0.1\r\n$1\r\n1\r\n", MASTER,
		    -ECONNREFUSED, "127.0.0.1:1: cannot connect" },
	};
	struct torc_redis_config config = { .sentinel = "cache" };
	struct server sentinels, redis;
	char address[64];

	(void)state;
	server_start(&redis, NULL, serve, NULL);
	server_start(&sentinels, NULL, serve, &config);
	server_port = redis.port;
	snprintf(address, sizeof(address), "127.0.0.1:%u", sentinels.port);
	config.address = address;
	for (size_t i = 0; i < sizeof(manners) / sizeof(manners[0]); i++) {
		said_by_sentinel = manners[i].said;
		role = manners[i].role;
		expected = manners[i].result;
		expected_why = manners[i].why;
		gets = asked = 0;
		play(ask, &config);
	}
	server_stop(&sentinels);
	server_stop(&redis);
}

static struct torc_redis *kept;

static int
open_and_keep(void *arg)
{
	EXPECT(torc_redis_create(&kept, arg, NULL) == 0);
	EXPECT(torc_redis_do(kept, NULL, LATE, "GET", "k", NULL) == 0);
	/* The daemon has subscribed. */
	while (asked < 2)
		EXPECT(torc_sleep(torc_after_ms(1)) == 0);
	return 0;
}

static void
a_client_of_sentinels_does_not_hold_up_a_drain(void **state)
{
	struct torc_redis_config config = { .sentinel = "cache" };
	struct server sentinels, redis, reactor;
	const uint64_t begin = now_ms();
	char address[64];

	(void)state;
	said_by_sentinel = PORT;
	role = MASTER;
	asked = 0;
	server_start(&redis, NULL, serve, NULL);
	server_start(&sentinels, NULL, serve, &config);
	server_port = redis.port;
	snprintf(address, sizeof(address), "127.0.0.1:%u", sentinels.port);
	config.address = address;
	server_start(&reactor, NULL, echo_handler, NULL);
	assert_int_equal(server_fiber(&reactor, open_and_keep, &config), 0);
	torc_reactor_drain(reactor.reactor, torc_after_ms(600000));
	assert_int_equal(pthread_join(reactor.thread, NULL), 0);
	torc_redis_destroy(kept, TORC_NEVER);
	torc_reactor_destroy(reactor.reactor);
	assert_true(now_ms() - begin < 60000);
	server_stop(&sentinels);
	server_stop(&redis);
}

static int
open_wrongly(void *arg)
{
	static const struct {
		struct torc_redis_config config;
		const char *why;
	} bad[] = {
		{ { .sentinel = "x", .cluster = true },
		    "must not be set in a cluster" },
		{ { .sentinel = "" }, "the name of a master" },
		{ { .sentinel_password = "x" }, "needs sentinel" },
		{ { .sentinel = "x", .sentinel_user = "y" },
		    "needs sentinel_password" },
	};

	(void)arg;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct torc_redis *redis;
		struct torc_error error;

		EXPECT(torc_redis_create(&redis, &bad[i].config, &error) ==
		    -EINVAL);
		EXPECT(strstr(error.text, bad[i].why) != NULL);
	}
	return 0;
}

static void
a_wrong_configuration_of_sentinels_is_refused(void **state)
{
	struct server reactor;

	(void)state;
	server_start(&reactor, NULL, echo_handler, NULL);
	assert_int_equal(server_fiber(&reactor, open_wrongly, NULL), 0);
	assert_int_equal(server_stop(&reactor), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    what_sentinels_say_is_believed_as_far_as_it_is_so),
		cmocka_unit_test(
		    a_wrong_configuration_of_sentinels_is_refused),
		cmocka_unit_test(
		    a_client_of_sentinels_does_not_hold_up_a_drain),
		cmocka_unit_test(
		    the_master_is_followed_wherever_sentinels_say_it_is),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
