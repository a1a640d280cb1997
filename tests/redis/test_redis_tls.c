/* SPDX-License-Identifier: MIT */
/*
 * test_redis_tls.c - whom a client of Redis asks to prove its name, by a
 * transport that hides nothing (tests/toy.h): servers of the configuration, and
 * those that a cluster or a sentinel names. All are one server.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/redis/said.h"
#include "tests/redis/scene.h"
#include "tests/toy.h"

#include "conn/listen.h"
#include "conn/net.h"

#define LATE torc_after_ms(30000)
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

/* ---- The dialler ---- */

static char names[256];		/* that were to be proved, in order */
static bool trusting;		/* it was not asked for a proof of the name */
static bool broken;

static uint32_t
open_nothing(struct torc_transport *transport, const uint8_t *data,
    uint32_t size, uint8_t *out)
{
	(void)data;
	(void)size;
	(void)out;
	transport->error = -EKEYREJECTED;
	return 0;
}

static struct torc_transport *
dial_toy(struct torc_transport_dialler *dialler, const char *name,
    enum torc_trust trust)
{
	static struct torc_transport_kind closed;
	struct torc_transport *transport = toy_make();

	(void)dialler;
	if (names[0] != '\0')
		strcat(names, " ");
	strcat(names, name);
	trusting |= trust != TORC_TRUST_NAME;
	if (broken) {
		closed = *transport->kind;
		closed.open = open_nothing;
		transport->kind = &closed;
	}
	return transport;
}

static const char *
say_why(const struct torc_transport *transport)
{
	(void)transport;
	return broken ? "the certificate is for somebody else" : NULL;
}

static struct torc_transport_dialler toys = {
	.make = dial_toy,
	.why = say_why,
};

/* ---- The server ---- */

static unsigned port;
static const char *other;	/* where the key is: a host, or NULL: here */
static unsigned gets;

static int
say(struct torc_conn *conn, const char *text)
{
	return torc_conn_write(conn, text, strlen(text), LATE);
}

static int
answer(struct torc_conn *conn, const struct torc_redis_reply *command)
{
	const char *name = command->items[0].text;
	const char *host = other != NULL ? other : "";
	char text[160];

	if (strcmp(name, "HELLO") == 0)
		return say(conn, "%1\r\n+proto\r\n:3\r\n");
	if (strcmp(name, "ROLE") == 0)
		return say(conn, "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
	if (strcmp(name, "CLUSTER") == 0)
		snprintf(text, sizeof(text), "*1\r\n*3\r\n:0\r\n:16383\r\n"
		    "*2\r\n$%zu\r\n%s\r\n:%u\r\n", strlen(host), host, port);
	else if (strcmp(name, "SENTINEL") == 0)
		snprintf(text, sizeof(text), "*2\r\n$%zu\r\n%s\r\n$5\r\n%5u"
		    "\r\n", strlen(host), host, port);
	else
		snprintf(text, sizeof(text), "+PONG\r\n");
	gets += strcmp(name, "GET") == 0;
	return say(conn, text);
}

static int
be_redis(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc = 0;

	(void)arg;
	while (rc >= 0 && torc_conn_recv(conn, &in, LATE) > 0)
		rc = obey_all(conn, in, answer);
	return TORC_CLOSE;
}

static void
listen_with_toys(struct torc_reactor *reactor, void *arg)
{
	const int listener = torc_listen(reactor, "0.0.0.0:0", be_redis, NULL);

	if (arg != NULL)
		torc_listen_set_maker(reactor->layer_state, listener, arg);
	port = torc_listen_port(reactor, listener);
}

/* ---- The stage ---- */

static int
ask(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;
	int rc = torc_redis_do(redis, &reply, LATE, "GET", "foo", NULL);

	rc = heard(rc, &reply);
	EXPECT(rc == 0);
	return 0;
}

/* `format`: the address, with the server's port. */
static void
play(const char *format, struct torc_redis_config config,
    int (*act)(struct torc_redis *redis), bool sealed)
{
	struct scene scene = { .config = config, .play = act };
	struct server redis, reactor;
	char address[128];
	int line;

	names[0] = '\0';
	trusting = false;
	gets = 0;
	server_start(&redis, NULL, be_redis, NULL);
	server_call(&redis, listen_with_toys, sealed ? &toy_maker : NULL);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(address, sizeof(address), format, port);
#pragma GCC diagnostic pop
	scene.config.address = address;
	scene.config.transport = &toys;
	server_start(&reactor, NULL, echo_handler, NULL);
	line = server_fiber(&reactor, run_scene, &scene);
	assert_int_equal(server_stop(&reactor), 0);
	assert_int_equal(server_stop(&redis), 0);
	if (line != 0)
		fail_msg("%s: line %d does not hold", address, line);
	assert_false(trusting);
}

/* ---- Claims ---- */

static void
a_server_has_to_prove_the_name_of_its_address_or_the_one_that_is_set(
    void **state)
{
	static const struct {
		const char *format;
		const char *server_name;
		const char *names;
	} cases[] = {
		{ "127.0.0.1:%u", NULL, "127.0.0.1" },
		{ "localhost:%u", NULL, "localhost" },
		{ "rediss://localhost:%u/0", NULL, "localhost" },
		{ "REDISS://127.0.0.1:%u", NULL, "127.0.0.1" },
		{ "127.0.0.1:%u", "redis.test", "redis.test" },
		{ "localhost:%u", "redis.test", "redis.test" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		play(cases[i].format, (struct torc_redis_config) {
		    .server_name = cases[i].server_name }, ask, true);
		assert_string_equal(names, cases[i].names);
		assert_int_equal(gets, 1);
	}
}

static void
a_node_of_a_cluster_has_to_prove_its_name_or_the_one_that_is_set(
    void **state)
{
	static const struct {
		const char *other;
		const char *server_name;
		const char *names;
	} cases[] = {
		{ "127.0.0.2", NULL, "127.0.0.1 127.0.0.2" },
		{ "127.0.0.2", "redis.test", "redis.test redis.test" },
		{ "localhost", "redis.test", "redis.test localhost" },
		{ "localhost", NULL, "127.0.0.1 localhost" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		other = cases[i].other;
		play("127.0.0.1:%u", (struct torc_redis_config) {
		    .cluster = true, .server_name = cases[i].server_name },
		    ask, true);
		assert_string_equal(names, cases[i].names);
	}
	other = NULL;
}

static void
sentinels_and_the_master_that_they_name_have_tls_too(void **state)
{
	static const struct {
		const char *other;
		const char *server_name;
		const char *names;	/* those of the first connections */
	} cases[] = {
		{ "127.0.0.2", NULL, "127.0.0.1 127.0.0.2" },
		{ "127.0.0.2", "redis.test", "redis.test redis.test" },
		{ "localhost", "redis.test", "redis.test localhost" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		other = cases[i].other;
		play("127.0.0.1:%u", (struct torc_redis_config) {
		    .sentinel = "cache",
		    .server_name = cases[i].server_name }, ask, true);
		assert_memory_equal(names, cases[i].names,
		    strlen(cases[i].names));
	}
	other = NULL;
}

static int
be_refused(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;
	int rc = torc_redis_do(redis, &reply, LATE, "GET", "foo", NULL);

	rc = heard(rc, &reply);
	EXPECT(rc == -EKEYREJECTED);
	EXPECT(strstr(said, "handshake with localhost: the certificate is for "
	    "somebody else") != NULL);
	EXPECT(said_fate == TORC_REDIS_UNSENT);
	return 0;
}

static void
who_does_not_prove_its_name_is_not_talked_to(void **state)
{
	(void)state;
	broken = true;
	play("localhost:%u", (struct torc_redis_config) { .open_ms = 20000 },
	    be_refused, true);
	broken = false;
	assert_int_equal(gets, 0);
}

static int
find_clear_text(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;
	int rc = torc_redis_do(redis, &reply, LATE, "GET", "foo", NULL);

	rc = heard(rc, &reply);
	EXPECT(rc == -ENOLINK);
	EXPECT(strstr(said, "handshake with 127.0.0.1: it closed the "
	    "connection") != NULL);
	return 0;
}

static void
a_server_in_clear_text_is_not_talked_to(void **state)
{
	(void)state;
	play("127.0.0.1:%u", (struct torc_redis_config) { .open_ms = 20000 },
	    find_clear_text, false);
	assert_int_equal(gets, 0);
}

static void
listen_at_path(struct torc_reactor *reactor, void *arg)
{
	assert_true(torc_listen(reactor, arg, be_redis, NULL) >= 0);
}

static void
a_unix_socket_never_has_tls(void **state)
{
	char folder[] = "/tmp/torc-redis-XXXXXX", address[64];
	struct scene scene = { .play = ask, .config = { .address = address,
		.transport = &toys, .server_name = "redis.test" } };
	struct server redis;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(address, sizeof(address), "unix:%s/sock", folder);
	names[0] = '\0';
	server_start(&redis, NULL, be_redis, NULL);
	server_call(&redis, listen_at_path, address);
	assert_int_equal(server_fiber(&redis, run_scene, &scene), 0);
	assert_string_equal(names, "");
	assert_int_equal(server_stop(&redis), 0);
	unlink(address + 5);
	rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_server_has_to_prove_the_name_of_its_address_or_the_one_that_is_set),
		cmocka_unit_test(
		    a_node_of_a_cluster_has_to_prove_its_name_or_the_one_that_is_set),
		cmocka_unit_test(
		    sentinels_and_the_master_that_they_name_have_tls_too),
		cmocka_unit_test(who_does_not_prove_its_name_is_not_talked_to),
		cmocka_unit_test(a_server_in_clear_text_is_not_talked_to),
		cmocka_unit_test(a_unix_socket_never_has_tls),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("redis_tls", tests, NULL, NULL);
}
