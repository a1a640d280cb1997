/* SPDX-License-Identifier: MIT */
/*
 * test_redis_corners.c - what seldom happens to the client of Redis, with a
 * server whose answers are rules: silence, odd messages, odd maps of a
 * cluster, arguments that cannot be.
 *
 * wrap: torc_sys_now
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"
#include "tests/redis/scene.h"
#include "tests/redis/said.h"
#include "tests/seam.h"

#include "conn/redis/torc_redis.h"
#include "sys/sys.h"

#define LATE torc_after_ms(600000)
#define SILENCE_NS 31000000000u	/* more than a subscriber bears */
#define WORDS "a", "a", "a", "a", "a", "a", "a", "a"
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

/* ---- Time that can be made to pass ---- */

static atomic_ulong passed_ns;

uint64_t
__wrap_torc_sys_now(void)
{
	return __real_torc_sys_now() + atomic_load(&passed_ns);
}

/* ---- A server ---- */

/* The answer to what has this word in it; of several rules, the first. */
struct rule {
	const char *word;
	const char *answer;	/* with %u for the port */
	unsigned times;		/* that it is given; 0: always */
};

#define RULES 12

static struct rule rules[RULES];
static unsigned port;
static unsigned accepted;	/* connections */
static unsigned pings;

static const char *
find_answer(const struct torc_slice *in)
{
	for (struct rule *rule = rules; rule->word != NULL; rule++) {
		if (memmem(in->data, in->size, rule->word,
		    strlen(rule->word)) == NULL)
			continue;
		if (rule->times == 1)
			rule->word = "\n\n";	/* not again */
		if (rule->times > 1)
			rule->times--;
		return rule->answer;
	}
	return "-ERR there is no rule\r\n";
}

/* What is sent together comes together here. */
static int
follow_rules(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	char text[600];

	(void)arg;
	accepted++;
	while (torc_conn_recv(conn, &in, TORC_NEVER) > 0) {
		int size;

		pings += memmem(in.data, in.size, "PING", 4) != NULL;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		size = snprintf(text, sizeof(text), find_answer(&in), port);
#pragma GCC diagnostic pop
		torc_conn_consume(conn, in.size);
		if (torc_conn_write(conn, text, (size_t)size,
		    TORC_NEVER) < 0)
			return -1;
	}
	return TORC_CLOSE;
}

#define GREETING { "HELLO", "%%1\r\n+proto\r\n:3\r\n", 0 }
#define WELCOME { "SUBSCRIBE", \
	">3\r\n$9\r\nsubscribe\r\n$3\r\none\r\n:1\r\n", 0 }

/* ---- The stage: server and client on one reactor ---- */

static void
play(int (*act)(struct torc_redis *redis), bool cluster,
    const struct rule *with, size_t size)
{
	struct scene scene = { .play = act, .config = { .cluster = cluster,
		.retry_min_ms = 1, .retry_max_ms = 1 } };
	const unsigned fds = count_fds();
	struct server server;
	char address[32];
	int line;

	memset(rules, 0, sizeof(rules));
	assert_true(size < sizeof(rules));
	memcpy(rules, with, size);
	accepted = 0;
	pings = 0;
	server_start(&server, NULL, follow_rules, NULL);
	port = server.port;
	snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	scene.config.address = address;
	line = server_fiber(&server, run_scene, &scene);
	assert_int_equal(server_stop(&server), 0);
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
answers(struct torc_redis *redis, const char *text)
{
	struct torc_redis_reply *reply;
	int rc = torc_redis_do(redis, &reply, LATE, "GET", "foo", NULL);
	bool same = rc == 0 && reply->type <= TORC_REDIS_VERBATIM &&
	    strcmp(reply->text, text) == 0;

	torc_redis_reply_free(reply);
	return same;
}

/* ---- Messages ---- */

static bool
next_is(struct torc_redis_subscriber *subscriber, enum torc_redis_event event,
    const char *text)
{
	struct torc_redis_message message;

	return torc_redis_subscriber_next(subscriber, &message, NULL, LATE) ==
	    0 &&
	    message.event == event &&
	    (text == NULL || strcmp(message.text, text) == 0);
}

/* When the server has seen `arg` probes, so much time has passed again. */
static int
let_time_pass(void *arg)
{
	const unsigned *count = arg;

	for (unsigned i = 0; i < *count; i++) {
		const unsigned before = pings, there = accepted;

		torc_sleep(torc_after_ms(20));
		atomic_fetch_add(&passed_ns, SILENCE_NS);
		while (pings == before && accepted == there)
			torc_sleep(torc_after_ms(1));
	}
	return 0;
}

static int
listen_in_silence(struct torc_redis *redis)
{
	struct torc_redis_subscriber *subscriber;
	struct torc_error error;
	struct torc_redis_message message;
	unsigned count = 3;
	uint64_t id;

	EXPECT(torc_redis_subscriber_create(redis, &subscriber) == 0);
	EXPECT(torc_redis_subscribe(subscriber, "one", NULL, LATE) == 0);
	EXPECT(next_is(subscriber, TORC_REDIS_SUBSCRIBED, NULL));
	EXPECT(accepted == 1 && pings == 0);
	/* One probe is answered; the next one is not, and that is the end. */
	EXPECT(torc_fiber_spawn(&id, let_time_pass, &count) == 0);
	EXPECT(next_is(subscriber, TORC_REDIS_CONNECTED, NULL));
	EXPECT(pings == 2 && accepted == 2);
	EXPECT(next_is(subscriber, TORC_REDIS_SUBSCRIBED, NULL));
	EXPECT(torc_fiber_join(id, NULL, LATE) == 0);
	EXPECT(torc_redis_subscriber_next(subscriber, &message, &error,
	    torc_after_ms(5)) == -ETIMEDOUT);
	EXPECT(error.code == -ETIMEDOUT);
	EXPECT(strcmp(error.text, "nothing came before the deadline") == 0);
	torc_redis_subscriber_destroy(subscriber);
	return 0;
}

static void
a_server_that_is_silent_is_asked_and_then_left(void **state)
{
	static const struct rule with[] = { GREETING, WELCOME,
		{ "PING", "+PONG\r\n", 1 }, { "PING", "", 0 } };

	(void)state;
	play(listen_in_silence, false, with, sizeof(with));
}

#define MESSAGE(text) ">3\r\n+message\r\n+one\r\n" text

static int
listen_to_nonsense(struct torc_redis *redis)
{
	struct torc_redis_subscriber *subscriber;
	struct torc_error error;

	EXPECT(torc_redis_subscriber_create(redis, &subscriber) == 0);
	EXPECT(torc_redis_subscribe(subscriber, "one", NULL, LATE) == 0);
	EXPECT(next_is(subscriber, TORC_REDIS_SUBSCRIBED, NULL));
	EXPECT(next_is(subscriber, TORC_REDIS_MESSAGE, "sense"));
	EXPECT(torc_redis_psubscribe(subscriber, "t*", NULL, LATE) == 0);
	EXPECT(torc_redis_subscriber_next(subscriber,
	    &(struct torc_redis_message){ 0 },
	    &error, LATE) == -EREMOTEIO);
	EXPECT(strstr(error.text, "NOPERM") != NULL);
	EXPECT(torc_redis_punsubscribe(subscriber, "t*", NULL, LATE) == 0);
	EXPECT(next_is(subscriber, TORC_REDIS_UNSUBSCRIBED, NULL));
	EXPECT(torc_redis_punsubscribe(subscriber, "t*", NULL, LATE) ==
	    -ENOENT);
	/* What is no message at all ends the connection, and is told. */
	EXPECT(torc_redis_unsubscribe(subscriber, "one", NULL, LATE) == 0);
	EXPECT(torc_redis_subscriber_next(subscriber,
	    &(struct torc_redis_message){ 0 },
	    NULL, LATE) == -EBADMSG);
	EXPECT(torc_redis_subscribe(subscriber, "one", NULL, LATE) == 0);
	EXPECT(next_is(subscriber, TORC_REDIS_CONNECTED, NULL));
	EXPECT(next_is(subscriber, TORC_REDIS_SUBSCRIBED, NULL));
	EXPECT(accepted == 2);
	torc_redis_subscriber_destroy(subscriber);
	torc_redis_subscriber_destroy(NULL);
	return 0;
}

static void
what_is_no_message_is_passed_over_refused_or_the_end(void **state)
{
	static const struct rule with[] = { GREETING,
		{ "PUNSUBSCRIBE", ">3\r\n+punsubscribe\r\n+t*\r\n:1\r\n", 0 },
		{ "UNSUBSCRIBE", "!no protocol\r\n", 0 },
		{ "PSUBSCRIBE", "-NOPERM no such channels\r\n", 0 },
		{ "SUBSCRIBE", ">3\r\n+subscribe\r\n+one\r\n:1\r\n"
		    ">2\r\n+few\r\n+x\r\n" ">3\r\n:1\r\n:2\r\n:3\r\n"
		    ">3\r\n+unknown\r\n+x\r\n+y\r\n" MESSAGE("*0\r\n")
		    MESSAGE("+sense\r\n"), 0 } };

	(void)state;
	play(listen_to_nonsense, false, with, sizeof(with));
}

#define DEEP4 "*1\r\n*1\r\n*1\r\n*1\r\n"
#define DEEP32 DEEP4 DEEP4 DEEP4 DEEP4 DEEP4 DEEP4 DEEP4 DEEP4

static int
listen_to_too_much(struct torc_redis *redis)
{
	struct torc_redis_subscriber *subscriber;
	struct torc_error error;
	struct torc_redis_message message;

	EXPECT(torc_redis_subscriber_create(redis, &subscriber) == 0);
	EXPECT(torc_redis_subscribe(subscriber, "one", NULL, LATE) == 0);
	EXPECT(next_is(subscriber, TORC_REDIS_SUBSCRIBED, NULL));
	for (unsigned i = 0; i < 2; i++) {
		EXPECT(torc_redis_subscriber_next(subscriber, &message, &error,
		    LATE) ==
		    -ELOOP);
		EXPECT(strstr(error.text, "reply_depth_max"));
		EXPECT(next_is(subscriber, TORC_REDIS_MESSAGE, "sense"));
	}
	EXPECT(accepted == 1);
	torc_redis_subscriber_destroy(subscriber);
	return 0;
}

static void
a_message_over_a_limit_is_told_once_and_the_next_one_comes(void **state)
{
	static const struct rule with[] = { GREETING,
		{ "SUBSCRIBE", ">3\r\n+subscribe\r\n+one\r\n:1\r\n"
		    MESSAGE(DEEP32 ":1\r\n") MESSAGE("+sense\r\n")
		    MESSAGE(DEEP32 "*2\r\n+a\r\n$0\r\n\r\n")
		    MESSAGE("+sense\r\n"), 0 } };

	(void)state;
	play(listen_to_too_much, false, with, sizeof(with));
}

static int
listen_too_much(struct torc_redis *redis)
{
	struct torc_redis_subscriber *subscriber;
	char name[16];

	EXPECT(torc_redis_subscriber_create(redis, &subscriber) == 0);
	for (unsigned i = 0; i < 4096; i++) {
		snprintf(name, sizeof(name), "%u", i);
		EXPECT(torc_redis_subscribe(subscriber, name, NULL, LATE) == 0);
	}
	EXPECT(torc_redis_subscribe(subscriber, "4096", NULL, LATE) ==
	    -ENOBUFS);
	EXPECT(torc_redis_unsubscribe(subscriber, "7", NULL, LATE) == 0);
	EXPECT(torc_redis_subscribe(subscriber, "4096", NULL, LATE) == 0);
	torc_redis_subscriber_destroy(subscriber);
	return 0;
}

static int
listen_to_the_dead(struct torc_redis *redis)
{
	const struct torc_redis_config nowhere = { .address = "127.0.0.1:1" };
	struct torc_redis_subscriber *subscriber;
	struct torc_error error;
	struct torc_redis_message message;
	struct torc_redis *dead;

	(void)redis;
	EXPECT(torc_redis_create(&dead, &nowhere, NULL) == 0);
	EXPECT(torc_redis_subscriber_create(dead, &subscriber) == 0);
	EXPECT(torc_redis_subscriber_next(subscriber, &message, &error,
	    torc_after_ms(200)) == -ETIMEDOUT);
	EXPECT(error.code == -ETIMEDOUT);
	EXPECT(strstr(error.text, "127.0.0.1:1: ") != NULL);
	EXPECT(torc_redis_unsubscribe(subscriber, "x", &error, LATE) ==
	    -ENOENT);
	EXPECT(strstr(error.text, "no subscription to \"x\"") != NULL);
	torc_redis_subscriber_destroy(subscriber);
	torc_redis_destroy(dead, TORC_NEVER);
	torc_redis_destroy(NULL, TORC_NEVER);
	return 0;
}

static void
a_subscriber_has_a_bound_and_tries_to_connect_until_its_deadline(void **state)
{
	static const struct rule with[] = { GREETING };

	(void)state;
	play(listen_too_much, false, with, sizeof(with));
	play(listen_to_the_dead, false, with, sizeof(with));
}

/* ---- Arguments ---- */

static int
ask_wrongly(struct torc_redis *redis)
{
	const struct torc_slice argv[] = { word("GET"), word("foo") };
	struct torc_redis_script script = { .text = "return 1" };
	struct torc_redis_session *session;
	struct torc_redis_reply *reply;
	struct torc_resp_item item;

	EXPECT(heard(torc_redis_batch(redis, NULL, 0, &reply, LATE), &reply) ==
	    -EINVAL);
	EXPECT(heard(torc_redis_transact(redis, NULL, 0, &reply, LATE),
	    &reply) == -EINVAL);
	EXPECT(heard(torc_redis_eval(redis, &script, argv, 1, 2, &reply, LATE),
	    &reply) == -EINVAL);
	EXPECT(strstr(said, "2 keys among 1 arguments"));
	EXPECT(heard(torc_redis_do(redis, &reply, LATE, "MGET", WORDS, WORDS,
	    WORDS, WORDS, WORDS, WORDS, WORDS, WORDS, NULL), &reply) ==
	    -E2BIG);
	EXPECT(heard(torc_redis_do(redis, &reply, LATE, "CLIENT", "SETNAME",
	    "x", NULL), &reply) == -EOPNOTSUPP);
	EXPECT(heard(torc_redis_do(redis, &reply, LATE, "CLIENT", "REPLY",
	    "OFF", NULL), &reply) == -EOPNOTSUPP);
	EXPECT(heard(torc_redis_eval(redis, &script, argv, 2, 1, &reply, LATE),
	    &reply) == -EPROTO);
	EXPECT(strstr(said, "the script was not run"));
	EXPECT(said_fate == TORC_REDIS_UNSENT);
	/* No hash, and nobody who wants what comes instead. */
	EXPECT(torc_redis_eval(redis, &script, argv, 2, 1, NULL, LATE) ==
	    -EPROTO);
	EXPECT(torc_redis_session_acquire(redis, NULL, &session, NULL,
	    LATE) == 0);
	EXPECT(torc_redis_session_read(session, &item, LATE) == -EINVAL);
	EXPECT(strstr(torc_redis_session_error(session)->text, "no reply"));
	EXPECT(torc_redis_session_send(session, argv, 2, LATE) == 0);
	EXPECT(torc_redis_session_send(session, argv, 2, LATE) == -EBUSY);
	EXPECT(torc_redis_session_read(session, &item, torc_after_ms(5)) ==
	    -ETIMEDOUT);
	EXPECT(strstr(torc_redis_session_error(session)->text,
	    "before the deadline of the call"));
	EXPECT(torc_redis_session_fate(session) == TORC_REDIS_UNKNOWN);
	EXPECT(torc_redis_session_send(session, argv, 2, LATE) == -ENOTCONN);
	torc_redis_session_release(session);
	/* Longer than any name of a command that is known. */
	EXPECT(torc_redis_do(redis, &reply, LATE, "GETANDWAITFORALONGTIME",
	    "x", NULL) == -EREMOTEIO);
	torc_redis_reply_free(reply);
	return 0;
}

static void
what_cannot_be_asked_is_refused_and_told(void **state)
{
	static const struct rule with[] = { GREETING,
		{ "SCRIPT", ":1\r\n", 0 }, { "EVALSHA", "-NOSCRIPT\r\n", 0 },
		{ "GETANDWAIT", "-ERR unknown command\r\n", 0 },
		{ "GET", "", 0 } };

	(void)state;
	play(ask_wrongly, false, with, sizeof(with));
}

/* ---- A cluster of one, and its map ---- */

/* All slots are at no host in particular: where the map came from. */
#define MAP "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:%u\r\n"
/* Ranges that are none, in front of it. */
#define ODD_MAP "*5\r\n:1\r\n" \
	"*3\r\n:0\r\n:1\r\n*2\r\n:7\r\n:%1$u\r\n" \
	"*3\r\n:0\r\n:1\r\n*2\r\n$1\r\nx\r\n+port\r\n" \
	"*3\r\n:-5\r\n:1\r\n*2\r\n$0\r\n\r\n:%1$u\r\n" \
	"*3\r\n:0\r\n:16383\r\n*2\r\n_\r\n:%1$u\r\n"
#define FOUND { "GET", "$2\r\nok\r\n", 0 }

static int
ask_once(struct torc_redis *redis)
{
	EXPECT(answers(redis, "ok"));
	EXPECT(accepted == 1);
	return 0;
}

static int
ask_by_keys_elsewhere(struct torc_redis *redis)
{
	EXPECT(torc_redis_do(redis, NULL, LATE, "XREAD", "COUNT", "1",
	    "STREAMS", "foo", "0", NULL) == 0);
	EXPECT(torc_redis_do(redis, NULL, LATE, "XREAD", NULL) == 0);
	EXPECT(torc_redis_do(redis, NULL, LATE, "OBJECT", "ENCODING", "foo",
	    NULL) == 0);
	EXPECT(torc_redis_do(redis, NULL, LATE, "EVAL", "return 1", "0",
	    NULL) == 0);
	return ask_once(redis);
}

static int
ask_two_together(struct torc_redis *redis)
{
	const struct torc_slice argv[] = { word("GET"), word("foo") };
	const struct torc_redis_command commands[] = { { argv, 2 },
		{ argv, 2 } };
	struct torc_redis_reply *reply;

	EXPECT(torc_redis_batch(redis, commands, 2, &reply, LATE) == 0);
	EXPECT(reply->size == 2 && strcmp(reply->items[1].text, "b") == 0);
	torc_redis_reply_free(reply);
	return 0;
}

static int
ask_in_vain(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;

	EXPECT(torc_redis_do(redis, &reply, LATE, "GET", "foo", NULL) ==
	    -EPROTO);
	EXPECT(strstr(reply->text, "no map of slots: ERR disabled"));
	torc_redis_reply_free(reply);
	return 0;
}

static int
be_sent_nowhere(struct torc_redis *redis)
{
	struct torc_redis_reply *reply;

	EXPECT(torc_redis_do(redis, &reply, LATE, "GET", "foo", NULL) ==
	    -EREMOTEIO);
	EXPECT(strcmp(reply->text, "MOVED nowhere") == 0);
	torc_redis_reply_free(reply);
	EXPECT(torc_redis_do(redis, &reply, LATE, "GET", "foo", NULL) ==
	    -EREMOTEIO);
	torc_redis_reply_free(reply);
	return answers(redis, "ok") ? 0 : __LINE__;
}

static int
be_sent_back_later(struct torc_redis *redis)
{
	EXPECT(answers(redis, "ok"));
	/* By now a map is old, and another one is asked for. */
	atomic_fetch_add(&passed_ns, 2000000000u);
	EXPECT(torc_redis_do(redis, NULL, LATE, "DEL", "foo", NULL) == 0);
	EXPECT(answers(redis, "ok"));
	return 0;
}

#define LONG_HOST "hosthosthosthosthosthosthosthosthosthosthosthosthosthost" \
	"hosthosthosthosthosthosthosthosthosthosthosthosthosthosthosthosthost" \
	"hosthosthosthosthosthosthosthosthosthosthosthosthosthosthosthosthost" \
	"hosthosthosthosthosthosthosthosthosthosthosthosthosthosthosthosthost"

static void
maps_and_redirections_are_followed_as_far_as_they_make_sense(void **state)
{
	static const struct rule plain[] = { GREETING,
		{ "SLOTS", MAP, 0 }, { "XREAD", "+OK\r\n", 0 },
		{ "OBJECT", "+OK\r\n", 0 }, { "EVAL", "+OK\r\n", 0 }, FOUND };
	static const struct rule odd[] = { GREETING,
		{ "SLOTS", ODD_MAP, 0 }, FOUND };
	static const struct rule none[] = { GREETING,
		{ "SLOTS", "-ERR disabled\r\n", 0 }, FOUND };
	static const struct rule nowhere[] = { GREETING, { "SLOTS", MAP, 0 },
		{ "GET", "-MOVED nowhere\r\n", 1 },
		{ "GET", "-MOVED 12182 " LONG_HOST ":%u\r\n", 1 }, FOUND };
	static const struct rule both[] = { GREETING, { "SLOTS", MAP, 0 },
		{ "GET", "-MOVED 12182 :%1$u\r\n-MOVED 12182 :%1$u\r\n", 1 },
		{ "GET", "+a\r\n+b\r\n", 0 } };
	static const struct rule back[] = { GREETING, { "SLOTS", MAP, 0 },
		{ "DEL", "-MOVED 12182 :%u\r\n", 1 },
		{ "DEL", ":1\r\n", 0 }, FOUND };

	(void)state;
	play(ask_by_keys_elsewhere, true, plain, sizeof(plain));
	play(ask_once, true, odd, sizeof(odd));
	play(ask_in_vain, true, none, sizeof(none));
	play(be_sent_nowhere, true, nowhere, sizeof(nowhere));
	play(ask_two_together, true, both, sizeof(both));
	play(be_sent_back_later, true, back, sizeof(back));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_server_that_is_silent_is_asked_and_then_left),
		cmocka_unit_test(
		    what_is_no_message_is_passed_over_refused_or_the_end),
		cmocka_unit_test(
		    a_message_over_a_limit_is_told_once_and_the_next_one_comes),
		cmocka_unit_test(
		    a_subscriber_has_a_bound_and_tries_to_connect_until_its_deadline),
		cmocka_unit_test(what_cannot_be_asked_is_refused_and_told),
		cmocka_unit_test(
		    maps_and_redirections_are_followed_as_far_as_they_make_sense),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("redis_corners", tests, NULL, NULL);
}
