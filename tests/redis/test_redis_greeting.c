/* SPDX-License-Identifier: MIT */
/*
 * test_redis_greeting.c - who answers as Redis does is let be Redis, and
 * nobody else.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"

#include "conn/redis/torc_redis.h"

#define LATE torc_after_ms(30000)
#define ASKED 5u		/* times, of each server */
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

#define MAP "%1\r\n+proto\r\n:3\r\n"
#define OLD "-ERR unknown command `HELLO`, with args beginning with: `3`, " \
	"`AUTH`, `default`, `secret`, \r\n"
#define VALUE "$2\r\nok\r\n"

/* What a server says to each command; NULL: to its bytes, the same bytes. */
struct manner {
	const char *hello;
	const char *auth;	/* and SELECT, and CLIENT SETNAME */
	const char *ping;
	unsigned protocol;	/* of the client */
	bool secret;		/* it has a password */
	int result;		/* of a GET */
	const char *why;
};

static const struct manner *manner;
static atomic_uint gets;	/* that reached the server */

static const char *
find_answer(const struct torc_slice *in)
{
	static const char *const words[] = { "HELLO", "PING", "GET" };
	const char *const answers[] = { manner->hello, manner->ping, VALUE };

	for (size_t i = 0; i < 3; i++) {
		if (memmem(in->data, in->size, words[i],
		    strlen(words[i])) == NULL)
			continue;
		gets += i == 2;
		return answers[i];
	}
	return manner->auth;
}

static int
serve(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc = 0;

	(void)arg;
	while (rc == 0 && torc_conn_recv(conn, &in, LATE) > 0) {
		const char *text = find_answer(&in);

		if (text != NULL && text[0] == '\0')
			return TORC_CLOSE;
		rc = torc_conn_write(conn, text == NULL ?
		    (const void *)in.data : text,
		    text == NULL ? in.size : strlen(text), LATE);
		torc_conn_consume(conn, in.size);
	}
	return TORC_CLOSE;
}

static int
ask(void *arg)
{
	struct torc_redis_config config = { .address = arg,
		.protocol = manner->protocol,
		.password = manner->secret ? "secret" : NULL,
		.retry_min_ms = 1, .retry_max_ms = 1 };
	struct torc_redis *redis;

	EXPECT(torc_redis_create(&redis, &config, NULL) == 0);
	for (unsigned i = 0; i < ASKED; i++) {
		struct torc_redis_reply *reply;
		int rc = torc_redis_do(redis, &reply, LATE, "GET", "k", NULL);
		const char *why = torc_redis_reply_error(reply)->text;

		if (rc != manner->result || (rc < 0 &&
		    strstr(why, manner->why) == NULL))
			fprintf(stderr, "%d: %s\n", rc, why);
		EXPECT(rc == manner->result);
		EXPECT((reply->type == TORC_REDIS_FAILURE) == (rc < 0));
		EXPECT(rc == 0 || strstr(why, manner->why) != NULL);
		EXPECT(rc == 0 || strstr(why, "secret") == NULL);
		EXPECT(rc == 0 || torc_redis_reply_fate(reply) ==
		    TORC_REDIS_UNSENT);
		torc_redis_reply_free(reply);
		torc_sleep(torc_after_ms(2));
	}
	torc_redis_destroy(redis, TORC_NEVER);
	EXPECT(gets == (manner->result == 0 ? ASKED : 0));
	return 0;
}

static void
play(const struct manner *with, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct server server;
		char address[32];
		int line;

		manner = &with[i];
		gets = 0;
		server_start(&server, NULL, serve, NULL);
		snprintf(address, sizeof(address), "127.0.0.1:%u",
		    server.port);
		line = server_fiber(&server, ask, address);
		assert_int_equal(server_stop(&server), 0);
		if (line != 0)
			fail_msg("server %zu: line %d does not hold", i, line);
	}
}

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define STRANGER(text) { text, text, text, 0, false, -EPROTO, "not Redis" }

static void
what_does_not_greet_as_redis_does_gets_no_command(void **state)
{
	static const struct manner strangers[] = {
		{ NULL, NULL, NULL, 0, false, -EPROTO, "answer to HELLO" },
		{ NULL, NULL, NULL, 2, false, -EPROTO, "answer to PING" },
		{ NULL, NULL, NULL, 2, true, -EPROTO, "answer to AUTH" },
		STRANGER("+OK\r\n"), STRANGER(":1\r\n"), STRANGER("%0\r\n"),
		STRANGER("$5\r\nHELLO\r\n"), STRANGER("_\r\n"),
		STRANGER("%1\r\n+proto\r\n:2\r\n"),
		STRANGER("*2\r\n+proto\r\n:3\r\n"),
		{ "", "+OK\r\n", "+OK\r\n", 2, false, -EPROTO, "to PING" },
		{ "", "+OK\r\n", "+OK\r\n", 2, true, -EPROTO, "to PING" },
		{ OLD, "+OK\r\n", "*1\r\n$4\r\nPING\r\n", 0, true, -EPROTO,
		    "to PING" },
		STRANGER("HTTP/1.1 400 Bad Request\r\n\r\n"),
		STRANGER("220 mail.example.org ESMTP\r\n"),
		{ "", "", "", 0, false, -ECONNRESET, "no answer to HELLO" },
	};

	(void)state;
	play(strangers, COUNT(strangers));
}

static void
redis_of_any_age_and_in_any_state_is_recognized(void **state)
{
	static const struct manner servers[] = {
		{ MAP, "", "", 0, false, 0, NULL },
		{ MAP, "", "", 3, true, 0, NULL },
		{ "%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n", "", "", 0, false, 0,
		    NULL },
		{ OLD, "", "+PONG\r\n", 0, false, 0, NULL },
		{ OLD, "+OK\r\n", "+PONG\r\n", 0, true, 0, NULL },
		{ "-NOPROTO unsupported protocol version\r\n", "",
		    "+PONG\r\n", 0, false, 0, NULL },
		{ "-unsupported command 'HELLO'\r\n", "", "+PONG\r\n", 0,
		    false, 0, NULL },
		{ "", "", "+PONG\r\n", 2, false, 0, NULL },
		{ "", "+OK\r\n", "-NOPERM no ping\r\n", 2, true, 0, NULL },
		{ "", "", "-LOADING Redis is loading\r\n", 2, false, 0,
		    NULL },
		{ "", "", "-MASTERDOWN Link with MASTER is down\r\n", 2,
		    false, 0, NULL },
		{ "", "", "-MISCONF Errors writing\r\n", 2, false, 0, NULL },
		{ "", "", "-BUSY Redis is busy\r\n", 2, false, 0, NULL },
	};

	(void)state;
	play(servers, COUNT(servers));
}

static void
redis_that_refuses_us_says_why_and_is_not_asked_in_another_way(void **state)
{
	static const struct manner servers[] = {
		{ "-ERR max number of clients reached\r\n", "", "+PONG\r\n", 0,
		    false, -ECONNREFUSED, "max number of clients" },
		{ "-ERR Client sent AUTH, but no password is set\r\n", "",
		    "+PONG\r\n", 0, true, -ECONNREFUSED, "no password is" },
		{ "-DENIED Redis is running in protected mode\r\n", "",
		    "+PONG\r\n", 0, false, -EACCES, "protected mode" },
		{ "-NOAUTH HELLO must be called\r\n", "", "+PONG\r\n", 0,
		    false, -EACCES, "NOAUTH" },
		{ "-WRONGPASS invalid\r\n", "", "+PONG\r\n", 0, true, -EACCES,
		    "WRONGPASS" },
		{ "", "-WRONGPASS invalid\r\n", "+PONG\r\n", 2, true, -EACCES,
		    "WRONGPASS" },
		{ "", "", "-NOAUTH Authentication required.\r\n", 2, false,
		    -EACCES, "NOAUTH" },
		{ OLD, "", "+PONG\r\n", 3, true, -ECONNREFUSED,
		    "does not speak RESP3" },
	};

	(void)state;
	play(servers, COUNT(servers));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    what_does_not_greet_as_redis_does_gets_no_command),
		cmocka_unit_test(
		    redis_of_any_age_and_in_any_state_is_recognized),
		cmocka_unit_test(
		    redis_that_refuses_us_says_why_and_is_not_asked_in_another_way),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
