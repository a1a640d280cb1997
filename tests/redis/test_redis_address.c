/* SPDX-License-Identifier: MIT */
/*
 * test_redis_address.c - where Redis is: addresses in all forms, URIs, and
 * several servers of which the first that is there is taken.
 */
#include <errno.h>
#include <netinet/in.h>
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

#include "conn/redis/redis.h"
#include "conn/transport.h"

#define LATE torc_after_ms(30000)
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

/* ---- The stage ---- */

static void
on_reactor(int (*entry)(void *arg), void *arg)
{
	struct server reactor;
	int line;

	server_start(&reactor, NULL, echo_handler, NULL);
	line = server_fiber(&reactor, entry, arg);
	assert_int_equal(server_stop(&reactor), 0);
	if (line != 0)
		fail_msg("line %d does not hold", line);
}

static void
play_with(int (*act)(struct torc_redis *redis),
    const struct torc_redis_config *config)
{
	struct scene scene = { .config = *config, .play = act };

	on_reactor(run_scene, &scene);
}

static void
play_at(int (*act)(struct torc_redis *redis), const char *address)
{
	const struct torc_redis_config config = { .address = address,
		.retry_min_ms = 1, .retry_max_ms = 5 };

	play_with(act, &config);
}

/* ---- URIs ---- */

static bool
says(struct torc_redis *redis, const char *text, const char *first,
    const char *second)
{
	struct torc_redis_reply *reply;
	bool is = torc_redis_do(redis, &reply, LATE, first, second,
	    NULL) == 0 && strstr(reply->text, text) != NULL;

	torc_redis_reply_free(reply);
	return is;
}

static int
be_alice(struct torc_redis *redis)
{
	EXPECT(says(redis, "alice", "ACL", "WHOAMI"));
	EXPECT(says(redis, " db=5 ", "CLIENT", "INFO"));
	return 0;
}

static int
be_anybody(struct torc_redis *redis)
{
	EXPECT(says(redis, "default", "ACL", "WHOAMI"));
	EXPECT(says(redis, " db=0 ", "CLIENT", "INFO"));
	return 0;
}

static void
a_uri_names_user_password_host_and_database(void **state)
{
	static const char *const arguments[] = { "--requirepass", "secret",
		"--user", "alice", "on", ">p@s:s/%?", "~*", "&*", "+@all",
		NULL };
	static const struct {
		const char *format;
		int (*play)(struct torc_redis *redis);
	} uris[] = {
		{ "redis://alice:p%%40s%%3As%%2f%%25%%3f@127.0.0.1:%u/5",
		    be_alice },
		{ "redis://%%61lice:p@s%%3As%%2F%%25%%3F@localhost:%u/5",
		    be_alice },
		{ "redis://:secret@127.0.0.1:%u", be_anybody },
		{ "REDIS://:secret@127.0.0.1:%u/", be_anybody },
		{ "redis://default:secret@127.0.0.1:%u/0", be_anybody },
		{ "redis://:secret@127.0.0.1:1,127.0.0.1:%u/0", be_anybody },
	};
	struct torc_redis_config config = { .user = "alice",
		.password = "p@s:s/%?", .database = 5 };
	struct redis_server guarded;
	char address[128];

	(void)state;
	if (!redis_available())
		skip();
	redis_start(&guarded, arguments);
	for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(address, sizeof(address), uris[i].format,
		    guarded.port);
#pragma GCC diagnostic pop
		play_at(uris[i].play, address);
	}
	/* The rest of it may be in the configuration. */
	snprintf(address, sizeof(address), "redis://localhost:%u",
	    guarded.port);
	config.address = address;
	play_with(be_alice, &config);
	redis_end(&guarded);
}

/* What is read of an address, with spaces in between. */
static int
read_addresses(void *arg)
{
	static const struct {
		const char *address;
		const char *read;
	} good[] = {
		{ NULL, "127.0.0.1:6379" },
		{ "cache", "cache:6379" },
		{ "cache.example.org:7000", "cache.example.org:7000" },
		{ "[::1]", "[::1]:6379" }, { "[::1]:1", "[::1]:1" },
		{ "[fe80::1%eth0]:7", "[fe80::1%eth0]:7" },
		{ "a:1,b,[::1],unix:/run/x", "a:1 b:6379 [::1]:6379 "
		    "unix:/run/x" },
		{ "unix:relative", "unix:relative" },
		{ "redis://", "localhost:6379" },
		{ "redis://x", "x:6379" },
		{ "redis:///3", "localhost:6379" },
		{ "redis://[fe80::1%25eth0]:7/1", "[fe80::1%eth0]:7" },
		{ "redis://a,b:2/1", "a:6379 b:2" },
	};

	(void)arg;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const struct torc_redis_config config = {
			.address = good[i].address };
		struct torc_redis *redis;
		char text[256] = "";

		EXPECT(torc_redis_create(&redis, &config, NULL) == 0);
		for (unsigned k = 0; k < redis->address_count; k++) {
			strcat(text, k > 0 ? " " : "");
			strcat(text, redis->addresses[k]);
		}
		if (strcmp(text, good[i].read) != 0)
			fprintf(stderr, "read: %s\n", text);
		EXPECT(strcmp(text, good[i].read) == 0);
		torc_redis_destroy(redis, TORC_NEVER);
	}
	return 0;
}

static void
addresses_without_a_port_have_that_of_redis(void **state)
{
	(void)state;
	on_reactor(read_addresses, NULL);
}

#define LONG "0123456789012345678901234567890123456789012345678901234567890123"

static struct torc_transport_dialler nobody;

static const struct {
	struct torc_redis_config config;
	const char *why;
} bad[] = {
	{ { .address = "" }, "must not be empty" },
	{ { .address = "a:1," }, "must not be empty" },
	{ { .address = ",a:1", .cluster = true }, "must not be empty" },
	{ { .address = "a:b" }, "the port must be 1 to 65535" },
	{ { .address = "a:0" }, "the port" },
	{ { .address = "a:65536" }, "the port" },
	{ { .address = "a:" }, "the port" },
	{ { .address = "::1" }, "[IPv6]:port" },
	{ { .address = "fe80::1" }, "IPv6 must be in brackets" },
	{ { .address = "[::1" }, "must be host:port" },
	{ { .address = "[::1]x" }, "must be host:port" },
	{ { .address = "a b:1" }, "must be host:port" },
	{ { .address = "a/b" }, "must be host:port" },
	{ { .address = ":6379" }, "must be host:port" },
	{ { .address = "unix:" }, "the path" },
	{ { .address = "unix:/" LONG LONG }, "the path" },
	{ { .address = LONG LONG LONG LONG }, "must be host:port" },
	{ { .address = "rediss://a" }, "rediss:// needs TLS: `transport` must "
	    "be set" },
	{ { .address = "redis://u:hidden@a", .transport = &nobody },
	    "must be rediss://" },
	{ { .address = "a", .server_name = "b" }, "needs transport" },
	{ { .address = "a", .transport = &nobody, .server_name = "" },
	    "server_name: must be a name" },
	{ { .address = "http://a" }, "begin with redis://" },
	{ { .address = "redis+unix:///x" }, "unix:PATH" },
	{ { .address = "u:hidden@a:1" }, "begin with redis://" },
	{ { .address = "redis://u:hidden@a/x" }, "from 0 to 1048576" },
	{ { .address = "redis://u:hidden@a/1/2" }, "from 0 to 1048576" },
	{ { .address = "redis://a/1048577" }, "from 0 to 1048576" },
	{ { .address = "redis://a/99999999999999999999" },
	    "from 0 to 1048576" },
	{ { .address = "redis://u:hidden%4@a" }, "the password" },
	{ { .address = "redis://u:hidden%zz@a" }, "the password" },
	{ { .address = "redis://u%00:hidden@a" }, "the user" },
	{ { .address = "redis://a%" }, "the host" },
	{ { .address = "redis://u:hidden@a?x=1" }, "no parameters" },
	{ { .address = "redis://u:hidden" }, "behind user:password@" },
	{ { .address = "redis://:hidden" }, "behind user:password@" },
	{ { .address = "redis://u/hidden" }, "from 0 to 1048576" },
	{ { .address = "redis://u,x:hidden" }, "behind user:password@" },
	{ { .address = "redis://u:hidden@a:1,redis://b" },
	    "a second URI" },
	{ { .address = "redis://u@a" }, "user: needs a password" },
	{ { .address = "redis://:hidden@a", .password = "x" },
	    "password: must not be in the address" },
	{ { .address = "redis://u:hidden@a", .user = "x",
	    .password = "x" }, "user: must not be in the address" },
	{ { .address = "redis://a/1", .database = 2 },
	    "database: must not be in the address" },
	{ { .address = "redis://a/1", .cluster = true },
	    "database: must be 0 in a cluster" },
};

static int
open_wrongly(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct torc_redis *redis;
		struct torc_error error;
		const char *text = error.text;
		int rc = torc_redis_create(&redis, &bad[i].config, &error);

		if (rc != -EINVAL || strstr(text, bad[i].why) == NULL)
			fprintf(stderr, "%s: %d: %s\n", bad[i].config.address,
			    rc, text);
		EXPECT(rc == -EINVAL);
		EXPECT(strstr(text, bad[i].why) != NULL);
		EXPECT(strstr(text, "hidden") == NULL);
		EXPECT(torc_redis_create(&redis, &bad[i].config, NULL) ==
		    -EINVAL);
	}
	return 0;
}

static void
what_is_no_address_is_refused_when_the_client_is_made(void **state)
{
	(void)state;
	on_reactor(open_wrongly, NULL);
}

/* ---- Words ---- */

static void
words_are_cut_between_characters(void **state)
{
	static const char *const wide[] = { "\xc3\xbc", "\xe2\x82\xac",
		"\xf0\x9f\x98\x80" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const size_t width = strlen(wide[i]);

		for (size_t size = 1; size < 40; size++) {
			char text[64], all[256] = "";

			for (int k = 0; k < 20; k++)
				strcat(all, wide[i]);
			assert_true(torc_text_print(text, size, "%s", all));
			assert_true(strlen(text) < size);
			if (size < 5)
				continue;
			assert_string_equal(text + strlen(text) - 3, "...");
			assert_int_equal((strlen(text) - 3) % width, 0);
			/* As much as there is room for. */
			assert_true(strlen(text) + width >= size);
		}
	}
}

#define DEAD "127.0.0.1:1,"
#define DEAD_8 DEAD DEAD DEAD DEAD DEAD DEAD DEAD DEAD

static int
ask_one_that_is_dead(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;

	EXPECT(torc_redis_do(redis, &reply, LATE, "PING", NULL) ==
	    -ECONNREFUSED);
	EXPECT(!torc_redis_reply_error(reply)->cut);
	torc_redis_reply_free(reply);
	return 0;
}

static int
ask_many_that_are_dead(struct torc_redis *redis)
{
	const struct torc_error *error;
	struct torc_redis_reply *reply;

	EXPECT(torc_redis_do(redis, &reply, LATE, "PING", NULL) ==
	    -ECONNREFUSED);
	error = torc_redis_reply_error(reply);
	EXPECT(error->cut && strlen(error->text) > 1000);
	EXPECT(strcmp(error->text + strlen(error->text) - 3, "...") == 0);
	torc_redis_reply_free(reply);
	return 0;
}

static void
what_is_said_of_many_addresses_is_marked_as_cut(void **state)
{
	(void)state;
	play_at(ask_one_that_is_dead, "127.0.0.1:1");
	play_at(ask_many_that_are_dead,
	    DEAD_8 DEAD_8 DEAD_8 DEAD_8 "127.0.0.1:1");
}

/* ---- Several ---- */

static struct redis_server servers[2];
static char both[256];

/* What the fiber has done for it: a process is not made on a fiber. */
static atomic_int order;	/* the server, and 10 if it is to be there */

static void *
obey(void *arg)
{
	(void)arg;
	for (;;) {
		const int wanted = order;

		if (wanted == -2)
			return NULL;
		if (wanted >= 10)
			redis_restart(&servers[wanted - 10]);
		else if (wanted >= 0)
			redis_kill(&servers[wanted]);
		if (wanted >= 0)
			order = -1;
		pause_ms(1);
	}
}

static void
have(int wanted)
{
	order = wanted;
	while (order >= 0)
		torc_sleep(torc_after_ms(1));
}

/* Which of the servers answers; -1: none. */
static int
who_is_there(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;
	int who = -1;

	if (torc_redis_do(redis, &reply, LATE, "CONFIG", "GET", "port",
	    NULL) == 0)
		who = strtoul(reply->items[1].text, NULL, 10) ==
		    servers[1].port;
	torc_redis_reply_free(reply);
	return who;
}

static int
who_is_there_soon(struct torc_redis *redis)
{
	const torc_deadline until = LATE;
	int who = -1;

	while (who < 0 && !torc_passed(until)) {
		who = who_is_there(redis);
		if (who < 0)
			torc_sleep(torc_after_ms(2));
	}
	return who;
}

static int
lose_one_after_the_other(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;
	char name[128];

	EXPECT(who_is_there(redis) == 0);
	have(0);
	EXPECT(who_is_there_soon(redis) == 1);
	/* It is not left for one that comes back. */
	have(10);
	EXPECT(who_is_there(redis) == 1);
	have(1);
	EXPECT(who_is_there_soon(redis) == 0);
	have(0);
	EXPECT(torc_redis_do(redis, NULL, LATE, "PING", NULL) < 0);
	while (heard(torc_redis_do(redis, &reply, LATE, "PING", NULL),
	    &reply) != -ECONNREFUSED)
		torc_sleep(torc_after_ms(2));
	for (unsigned i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "%s: cannot connect",
		    servers[i].address);
		EXPECT(strstr(said, name) != NULL);
	}
	have(11);
	EXPECT(who_is_there_soon(redis) == 1);
	have(10);
	return 0;
}

static void
of_several_addresses_the_first_that_is_there_is_taken(void **state)
{
	pthread_t thread;

	(void)state;
	if (!redis_available())
		skip();
	order = -1;
	assert_int_equal(pthread_create(&thread, NULL, obey, NULL), 0);
	play_at(lose_one_after_the_other, both);
	order = -2;
	pthread_join(thread, NULL);
}

static int
be_with_the_second(struct torc_redis *redis)
{
	EXPECT(who_is_there_soon(redis) == 1);
	return 0;
}

/* It takes connections, and says nothing. */
static void
an_address_that_hangs_leaves_time_for_the_next_one(void **state)
{
	struct sockaddr_in name = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(name);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct torc_redis_config config = { .open_ms = 1000 };
	char address[128];

	(void)state;
	if (!redis_available())
		skip();
	assert_int_equal(bind(fd, (struct sockaddr *)&name, size), 0);
	assert_int_equal(listen(fd, 16), 0);
	getsockname(fd, (struct sockaddr *)&name, &size);
	snprintf(address, sizeof(address), "127.0.0.1:%u,%s",
	    ntohs(name.sin_port), servers[1].address);
	config.address = address;
	play_with(be_with_the_second, &config);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_uri_names_user_password_host_and_database),
		cmocka_unit_test(addresses_without_a_port_have_that_of_redis),
		cmocka_unit_test(
		    what_is_no_address_is_refused_when_the_client_is_made),
		cmocka_unit_test(words_are_cut_between_characters),
		cmocka_unit_test(
		    what_is_said_of_many_addresses_is_marked_as_cut),
		cmocka_unit_test(
		    an_address_that_hangs_leaves_time_for_the_next_one),
		/* The last: servers end with the thread that started them. */
		cmocka_unit_test(
		    of_several_addresses_the_first_that_is_there_is_taken),
	};
	int failed;

	for (unsigned i = 0; i < 2 && redis_available(); i++)
		redis_start(&servers[i], NULL);
	snprintf(both, sizeof(both), "%s,%s", servers[0].address,
	    servers[1].address);
	cmocka_set_test_filter(getenv("TORC_TEST"));
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	for (unsigned i = 0; i < 2 && redis_available(); i++)
		redis_end(&servers[i]);
	return failed;
}
