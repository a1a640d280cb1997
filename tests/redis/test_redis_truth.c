/* SPDX-License-Identifier: MIT */
/*
 * test_redis_truth.c - many fibers share a connection to Redis: what is wrong
 * with one command is an error of that one, and what all are told when the
 * connection breaks is true of each.
 *
 * wrap: malloc
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"
#include "tests/redis/scene.h"
#include "tests/seam.h"

#include "conn/redis/torc_redis.h"
#include "tests/redis/said.h"

#define LATE torc_after_ms(60000)
#define MANY 64u
#define IDS 8192u
#define LARGE (24u << 20)
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

/* ---- Memory ---- */

static _Thread_local size_t taken;	/* by this thread, in all */

void *
__wrap_malloc(size_t size)
{
	taken += size;
	return __real_malloc(size);
}

/* ---- A server that keeps a book ---- */

/*
 * "GET ID MANNER" is answered with the ID, but:
 *
 *	bytes items deep line	over that limit
 *	large			by LARGE bytes
 *	close			not at all, and the connection ends
 *	nonsense		in no protocol
 *	push			with news over a limit in front
 */
static atomic_uint done[IDS];	/* how often each was done */
static atomic_bool gate_shut;	/* commands are read, and not done yet */
static atomic_uint accepted;	/* connections */
static atomic_uint breaks;	/* at random: one of so many commands; or 0 */
static atomic_uint cut;		/* bytes in each send; or 0: as they come */

static int
say(struct torc_conn *conn, const char *text, size_t size)
{
	const size_t step = cut > 0 ? cut : size;
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < size; at += step) {
		rc = torc_conn_write(conn, text + at,
		    size - at < step ? size - at : step, LATE);
		if (rc == 0 && cut > 0)
			rc = torc_conn_flush(conn, LATE);
		if (rc == 0 && cut > 0)
			rc = torc_yield();
	}
	return rc;
}

static int
say_text(struct torc_conn *conn, const char *text)
{
	return say(conn, text, strlen(text));
}

static int
say_often(struct torc_conn *conn, unsigned times, const char *text)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < times; i++)
		rc = say_text(conn, text);
	return rc;
}

static int
say_large(struct torc_conn *conn)
{
	static const char part[65536];
	char head[32];
	int rc;

	snprintf(head, sizeof(head), "$%u\r\n", LARGE);
	rc = say_text(conn, head);
	for (size_t i = 0; rc == 0 && i < LARGE / sizeof(part); i++)
		rc = torc_conn_write(conn, part, sizeof(part), LATE);
	return rc < 0 ? rc : say_text(conn, "\r\n");
}

static int
answer(struct torc_conn *conn, const char *id, const char *manner)
{
	char text[64];
	int rc = 0;

	if (strcmp(manner, "close") == 0)
		return -1;
	if (strcmp(manner, "nonsense") == 0)
		return say_text(conn, "?what\r\n");
	if (strcmp(manner, "large") == 0)
		return say_large(conn);
	if (strcmp(manner, "bytes") == 0) {
		rc = say_text(conn, "*2\r\n$1500\r\n");
		if (rc == 0)
			rc = say_often(conn, 150, "$1\r\nx\r\n+y\n");
		return rc < 0 ? rc : say_text(conn, "\r\n:7\r\n");
	}
	if (strcmp(manner, "items") == 0)
		return say_text(conn, "*20\r\n") < 0 ? -1 :
		    say_often(conn, 20, "*4\r\n:1\r\n$2\r\nab\r\n_\r\n*0\r\n");
	if (strcmp(manner, "deep") == 0)
		return say_often(conn, 40, "*1\r\n") < 0 ? -1 :
		    say_text(conn, "+bottom\r\n");
	if (strcmp(manner, "line") == 0)
		return say_text(conn, "-ERR ") < 0 ||
		    say_often(conn, 50, "0123456789") < 0 ? -1 :
		    say_text(conn, "\r\n");
	if (strcmp(manner, "push") == 0)
		rc = say_text(conn, ">60\r\n") < 0 ||
		    say_often(conn, 60, "$3\r\nnew\r\n") < 0 ? -1 : 0;
	snprintf(text, sizeof(text), "$%zu\r\n%s\r\n", strlen(id), id);
	return rc < 0 ? rc : say_text(conn, text);
}

/* 0, or the connection is over. */
static int
obey(struct torc_conn *conn, const struct torc_redis_reply *command)
{
	static _Thread_local uint32_t noise = 1;
	const struct torc_redis_reply *words = command->items;

	if (strcmp(words[0].text, "HELLO") == 0)
		return say_text(conn, "%1\r\n+proto\r\n:3\r\n");
	if (strcmp(words[0].text, "MULTI") == 0)
		return say_text(conn, "+OK\r\n");
	if (command->size < 3)
		return say_text(conn, "+PONG\r\n");
	while (gate_shut)
		torc_sleep(torc_after_ms(1));
	noise = noise * 1664525 + 1013904223;
	if (breaks > 0 && (noise >> 8) % (2 * breaks) == 0)
		return -1;
	atomic_fetch_add(&done[strtoul(words[1].text, NULL, 10)], 1);
	if (breaks > 0 && (noise >> 8) % (2 * breaks) == 1)
		return -1;
	return answer(conn, words[1].text, words[2].text);
}

static int
keep_book(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc = 0;

	(void)arg;
	atomic_fetch_add(&accepted, 1);
	while (rc >= 0 && torc_conn_recv(conn, &in, LATE) > 0)
		rc = obey_all(conn, in, obey);
	return rc < 0 ? -1 : TORC_CLOSE;
}

static bool is_unsent[IDS];	/* the client says so */

/* ---- The stage ---- */

static void
open_gate(void)
{
	gate_shut = false;
}

static void
play_on(const struct torc_config *on, int (*act)(struct torc_redis *redis),
    const struct torc_redis_config *with)
{
	struct scene scene = { .config = *with, .play = act,
		.over = open_gate };
	struct server backend, reactor;
	const unsigned fds = count_fds();
	char address[32];
	int line;

	memset(done, 0, sizeof(done));
	memset(is_unsent, 0, sizeof(is_unsent));
	gate_shut = false;
	accepted = breaks = cut = 0;
	server_start(&backend, NULL, keep_book, NULL);
	snprintf(address, sizeof(address), "127.0.0.1:%u", backend.port);
	scene.config.address = address;
	scene.config.retry_min_ms = 1;
	scene.config.retry_max_ms = 5;
	server_start(&reactor, on, echo_handler, NULL);
	line = server_fiber(&reactor, run_scene, &scene);
	assert_int_equal(server_stop(&reactor), 0);
	assert_int_equal(server_stop(&backend), 0);
	if (line != 0)
		fail_msg("line %d does not hold", line);
	assert_int_equal(count_fds(), fds);
}

static void
play_with(int (*act)(struct torc_redis *redis),
    const struct torc_redis_config *with)
{
	play_on(NULL, act, with);
}

static void
play(int (*act)(struct torc_redis *redis))
{
	const struct torc_redis_config config = {
		.reply_bytes_max = 1000, .reply_items_max = 50,
		.reply_depth_max = 8, .reply_line_max = 200 };

	play_with(act, &config);
}

/* A fiber with a command, and what became of it. */
struct asker {
	struct torc_redis *redis;
	unsigned number;
	const char *manner;
	torc_deadline deadline;
	int result;
	enum torc_redis_fate fate;
	char why[1024];
	uint64_t id;
};

static int
ask(void *arg)
{
	struct asker *asker = arg;
	struct torc_redis_reply *reply;
	char number[16];

	snprintf(number, sizeof(number), "%u", asker->number);
	asker->result = torc_redis_do(asker->redis, &reply, asker->deadline,
	    "GET", number, asker->manner, NULL);
	asker->fate = torc_redis_reply_fate(reply);
	snprintf(asker->why, sizeof(asker->why), "%s",
	    torc_redis_reply_error(reply)->text);
	if (asker->result == 0 && (reply->type != TORC_REDIS_STRING ||
	    strcmp(reply->text, number) != 0))
		asker->result = -EILSEQ;
	torc_redis_reply_free(reply);
	return 0;
}

static int
start(struct torc_redis *redis, struct asker *asker, unsigned number,
    const char *manner)
{
	*asker = (struct asker) { .redis = redis, .number = number,
		.manner = manner, .deadline = LATE, .result = 1 };
	return torc_fiber_spawn(&asker->id, ask, asker);
}

static int
join(struct asker *askers, unsigned count)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < count; i++)
		rc = torc_fiber_join(askers[i].id, NULL, LATE);
	return rc;
}

/* ---- Over a limit ---- */

static const struct {
	const char *manner;
	int error;
	const char *why;
} limits[] = {
	{ "bytes", -EMSGSIZE, "reply_bytes_max" },
	{ "items", -E2BIG, "reply_items_max" },
	{ "deep", -ELOOP, "reply_depth_max" },
	{ "line", -ENAMETOOLONG, "reply_line_max" },
	{ "large", -EMSGSIZE, "reply_bytes_max" },
};

#define LIMITS (sizeof(limits) / sizeof(limits[0]))

/* All in flight before any of them is answered. */
static int
ask_amid_innocents(struct torc_redis *redis)
{
	struct asker askers[MANY];

	EXPECT(torc_redis_do(redis, NULL, LATE, "PING", NULL) == 0);
	gate_shut = true;
	for (unsigned i = 0; i < MANY; i++)
		EXPECT(start(redis, &askers[i], i, i % 5 == 2 ?
		    limits[i / 5 % LIMITS].manner : "") == 0);
	EXPECT(torc_sleep(torc_after_ms(5)) == 0);
	gate_shut = false;
	EXPECT(join(askers, MANY) == 0);
	for (unsigned i = 0; i < MANY; i++) {
		const unsigned limit = i / 5 % LIMITS;
		const bool innocent = i % 5 != 2;

		if (askers[i].result !=
		    (innocent ? 0 : limits[limit].error))
			fprintf(stderr, "%u: %d %s\n", i, askers[i].result,
			    askers[i].why);
		EXPECT(askers[i].result ==
		    (innocent ? 0 : limits[limit].error));
		EXPECT(innocent || (askers[i].fate == TORC_REDIS_ANSWERED &&
		    strstr(askers[i].why, limits[limit].why) != NULL));
		EXPECT(done[i] == 1);
	}
	EXPECT(accepted == 1);
	return 0;
}

static int
ask_amid_innocents_in_pieces(struct torc_redis *redis)
{
	cut = 3;
	return ask_amid_innocents(redis);
}

static void
a_reply_over_a_limit_is_the_error_of_its_command_alone(void **state)
{
	(void)state;
	play(ask_amid_innocents);
	play(ask_amid_innocents_in_pieces);
}

/* Less than `line_max` is shown of what is not taken. */
static void
a_line_longer_than_a_connection_may_hold_is_its_command_s_alone(void **state)
{
	const struct torc_config narrow = { .held_max = 256 };
	const struct torc_redis_config config = {
		.reply_bytes_max = 1000, .reply_items_max = 50,
		.reply_depth_max = 8 };

	(void)state;
	play_on(&narrow, ask_amid_innocents_in_pieces, &config);
}

static struct torc_slice
word(const char *text)
{
	return (struct torc_slice) { (const uint8_t *)text, strlen(text) };
}

static int
ask_in_batches(struct torc_redis *redis)
{
	const struct torc_slice argv[3][3] = {
		{ word("GET"), word("0"), word("") },
		{ word("GET"), word("1"), word("deep") },
		{ word("GET"), word("2"), word("") } };
	const struct torc_redis_command commands[] = { { argv[0], 3 },
		{ argv[1], 3 }, { argv[2], 3 } };
	struct torc_redis_session *session;
	struct torc_redis_reply *reply;

	EXPECT(torc_redis_batch(redis, commands, 3, &reply, LATE) == -ELOOP);
	EXPECT(heard(-ELOOP, &reply) == -ELOOP);
	EXPECT(strstr(said, "reply 2 of 3") != NULL);
	EXPECT(said_fate == TORC_REDIS_ANSWERED);
	EXPECT(torc_redis_batch(redis, commands, 1, &reply, LATE) == 0);
	EXPECT(strcmp(reply->items[0].text, "0") == 0);
	torc_redis_reply_free(reply);
	EXPECT(accepted == 1);
	/* A session goes on, too. */
	EXPECT(torc_redis_session_acquire(redis, NULL, &session, NULL,
	    LATE) == 0);
	for (int i = 0; i < 2; i++) {
		EXPECT(torc_redis_session_call(session, argv[1], 3, &reply,
		    LATE) == -ELOOP);
		EXPECT(heard(-ELOOP, &reply) == -ELOOP);
		EXPECT(strcmp(said, torc_redis_session_error(session)->text) ==
		    0);
		EXPECT(torc_redis_session_fate(session) ==
		    TORC_REDIS_ANSWERED);
	}
	EXPECT(torc_redis_session_call(session, argv[2], 3, &reply, LATE) ==
	    0);
	EXPECT(strcmp(reply->text, "2") == 0);
	EXPECT(torc_redis_session_error(session)->code == 0);
	torc_redis_reply_free(reply);
	torc_redis_session_release(session);
	EXPECT(accepted == 2);
	return 0;
}

static void
a_batch_and_a_session_go_on_after_a_reply_over_a_limit(void **state)
{
	(void)state;
	play(ask_in_batches);
}

static int
count_memory(struct torc_redis *redis)
{
	struct asker asker;

	EXPECT(torc_redis_do(redis, NULL, LATE, "PING", NULL) == 0);
	taken = 0;
	EXPECT(start(redis, &asker, 0, "large") == 0);
	EXPECT(join(&asker, 1) == 0);
	EXPECT(asker.result == -EMSGSIZE);
	EXPECT(start(redis, &asker, 1, "push") == 0);
	EXPECT(join(&asker, 1) == 0);
	EXPECT(asker.result == 0);
	print_message("%zu bytes of memory for %u that were read past\n",
	    taken, LARGE);
	EXPECT(taken < 1u << 20);
	EXPECT(accepted == 1);
	return 0;
}

static void
what_is_read_past_takes_no_memory(void **state)
{
	(void)state;
	play(count_memory);
}

static bool
was_unsent(int rc, struct torc_redis_reply **reply, int error, const char *why)
{
	return heard(rc, reply) == error && strstr(said, why) != NULL &&
	    said_fate == TORC_REDIS_UNSENT;
}

static int
ask_for_too_much(struct torc_redis *redis)
{
	static const uint8_t bytes[1];
	const struct torc_slice one[] = { word("SET"), word("k"),
		{ bytes, (512u << 20) + 1 } };
	const struct torc_slice all[] = { word("MSET"),
		{ bytes, 500u << 20 }, { bytes, 500u << 20 } };
	const struct torc_redis_command parts[] = { { all, 2 }, { all, 2 } };
	struct torc_slice none = word("");
	struct torc_redis_reply *reply;

	EXPECT(torc_redis_do(redis, NULL, LATE, "PING", NULL) == 0);
	EXPECT(torc_redis_call(redis, one, 3, NULL, LATE) == -EMSGSIZE);
	EXPECT(was_unsent(torc_redis_call(redis, one, 3, &reply, LATE), &reply,
	    -EMSGSIZE, "argument 2"));
	EXPECT(was_unsent(torc_redis_call(redis, all, 3, &reply, LATE), &reply,
	    -EMSGSIZE, "1048576004 bytes"));
	EXPECT(was_unsent(torc_redis_transact(redis, parts, 2, &reply, LATE),
	    &reply, -EMSGSIZE, "bytes"));
	EXPECT(was_unsent(torc_redis_call(redis, &none, (1u << 20) + 1, &reply,
	    LATE), &reply, -EINVAL, ""));
	EXPECT(was_unsent(torc_redis_call(redis, &none, 1, &reply, LATE),
	    &reply, -EINVAL, "no name"));
	EXPECT(was_unsent(torc_redis_batch(redis, NULL, 0, &reply, LATE),
	    &reply, -EINVAL, "0 commands"));
	EXPECT(torc_redis_do(redis, NULL, LATE, "PING", NULL) == 0);
	EXPECT(accepted == 1);
	return 0;
}

static void
a_command_that_no_server_takes_is_not_sent(void **state)
{
	(void)state;
	play(ask_for_too_much);
}

/* ---- Whose words they are ---- */

/* A fiber with a command that fails; its reply is looked at later. */
struct failing {
	struct torc_redis *redis;
	const char *words[3];
	torc_deadline deadline;
	int error;
	enum torc_redis_fate fate;
	const char *why;
	int result;
	struct torc_redis_reply *reply;
	uint64_t id;
};

static int
fail_and_keep(void *arg)
{
	struct failing *failing = arg;

	failing->result = torc_redis_do(failing->redis, &failing->reply,
	    failing->deadline, failing->words[0], failing->words[1],
	    failing->words[2], NULL);
	return 0;
}

/* All have failed before one of them is asked why. */
static int
fail_together(struct torc_redis *redis)
{
	struct failing all[] = {
		{ redis, { "GET", "0", "deep" }, LATE, -ELOOP,
		    TORC_REDIS_ANSWERED, "reply_depth_max", 0, NULL, 0 },
		{ redis, { "GET", "1", "bytes" }, LATE, -EMSGSIZE,
		    TORC_REDIS_ANSWERED, "reply_bytes_max", 0, NULL, 0 },
		{ redis, { "SUBSCRIBE", "2", "" }, LATE, -EOPNOTSUPP,
		    TORC_REDIS_UNSENT, "SUBSCRIBE", 0, NULL, 0 },
		{ redis, { "", "3", "" }, LATE, -EINVAL, TORC_REDIS_UNSENT,
		    "no name", 0, NULL, 0 },
		{ redis, { "GET", "4", "" }, TORC_NEVER, -ETIMEDOUT,
		    TORC_REDIS_UNKNOWN, "no reply before the deadline of the "
		    "call", 0, NULL, 0 },
	};
	const unsigned count = sizeof(all) / sizeof(all[0]);

	for (unsigned i = 0; i < count - 1; i++)
		EXPECT(torc_fiber_spawn(&all[i].id, fail_and_keep, &all[i]) ==
		    0);
	for (unsigned i = 0; i < count - 1; i++)
		EXPECT(torc_fiber_join(all[i].id, NULL, LATE) == 0);
	gate_shut = true;
	all[count - 1].deadline = torc_after_ms(50);
	(void)fail_and_keep(&all[count - 1]);
	gate_shut = false;
	for (unsigned i = 0; i < count; i++) {
		EXPECT(torc_redis_reply_fate(all[i].reply) == all[i].fate);
		EXPECT(all[i].reply->type == TORC_REDIS_FAILURE);
		EXPECT(all[i].reply->integer == all[i].error);
		EXPECT(heard(all[i].result, &all[i].reply) == all[i].error);
		if (strstr(said, all[i].why) == NULL)
			fprintf(stderr, "%u: %s\n", i, said);
		EXPECT(strstr(said, all[i].why) != NULL);
	}
	return 0;
}

static int
fail_in_sessions(struct torc_redis *redis)
{
	static const char *const manners[] = { "deep", "bytes" };
	static const char *const limits_of[] = { "reply_depth_max",
		"reply_bytes_max" };
	struct torc_redis_session *sessions[2];

	for (unsigned i = 0; i < 2; i++)
		EXPECT(torc_redis_session_acquire(redis, NULL, &sessions[i],
		    NULL, LATE) == 0);
	for (unsigned i = 0; i < 2; i++)
		EXPECT(torc_redis_session_do(sessions[i], NULL, LATE, "GET",
		    "5", manners[i], NULL) < 0);
	for (unsigned i = 0; i < 2; i++) {
		EXPECT(strstr(torc_redis_session_error(sessions[i])->text,
		    limits_of[i]) != NULL);
		EXPECT(torc_redis_session_fate(sessions[i]) ==
		    TORC_REDIS_ANSWERED);
		torc_redis_session_release(sessions[i]);
	}
	return 0;
}

static void
fibers_that_fail_at_once_have_words_and_a_fate_of_their_own(void **state)
{
	(void)state;
	play(fail_together);
	play(fail_in_sessions);
}

/* Without a reply there are no words; the result is the same. */
static int
fail_in_silence(struct torc_redis *redis)
{
	EXPECT(torc_redis_do(redis, NULL, LATE, "GET", "0", "deep", NULL) ==
	    -ELOOP);
	EXPECT(torc_redis_do(redis, NULL, LATE, "SUBSCRIBE", "x", NULL) ==
	    -EOPNOTSUPP);
	EXPECT(torc_redis_reply_error(NULL)->code == -ENOMEM);
	EXPECT(torc_redis_reply_fate(NULL) == TORC_REDIS_UNKNOWN);
	return 0;
}

static void
a_call_that_discards_its_reply_has_the_same_result(void **state)
{
	(void)state;
	play(fail_in_silence);
}

/* ---- Broken connections ---- */

/* The sixth of ten breaks it; the others were sent, and nobody read them. */
static int
break_in_the_middle(struct torc_redis *redis, const char *how, int error)
{
	struct asker askers[10];

	EXPECT(torc_redis_do(redis, NULL, LATE, "PING", NULL) == 0);
	gate_shut = true;
	for (unsigned i = 0; i < 10; i++)
		EXPECT(start(redis, &askers[i], i, i == 5 ? how : "") == 0);
	EXPECT(torc_sleep(torc_after_ms(20)) == 0);
	gate_shut = false;
	EXPECT(join(askers, 10) == 0);
	for (unsigned i = 0; i < 5; i++)
		EXPECT(askers[i].result == 0 ||
		    askers[i].result == -ECONNRESET);
	EXPECT(askers[5].result == error);
	for (unsigned i = 0; i < 10; i++) {
		if (askers[i].result == 0)
			continue;
		EXPECT(i == 5 || askers[i].result == -ECONNRESET);
		EXPECT(askers[i].fate == TORC_REDIS_UNKNOWN);
		EXPECT(strstr(askers[i].why, "may have been done") != NULL);
	}
	EXPECT(done[5] == 1 && done[9] <= 1);
	return 0;
}

static int
break_by_an_end(struct torc_redis *redis)
{
	return break_in_the_middle(redis, "close", -ECONNRESET);
}

static int
break_by_nonsense(struct torc_redis *redis)
{
	return break_in_the_middle(redis, "nonsense", -EBADMSG);
}

static void
when_a_connection_breaks_each_hears_that_its_own_may_have_been_done(
    void **state)
{
	(void)state;
	play(break_by_an_end);
	play(break_by_nonsense);
}

static int
ask_nobody(struct torc_redis *redis)
{
	const struct torc_redis_config config = { .address = "127.0.0.1:1" };
	struct torc_redis *dead;
	struct asker askers[8];

	EXPECT(torc_redis_create(&dead, &config, NULL) == 0);
	for (unsigned i = 0; i < 8; i++)
		EXPECT(start(i < 7 ? dead : redis, &askers[i], i,
		    i < 7 ? "" : "deep") == 0);
	EXPECT(join(askers, 8) == 0);
	for (unsigned i = 0; i < 7; i++) {
		EXPECT(askers[i].result == -ECONNREFUSED);
		EXPECT(askers[i].fate == TORC_REDIS_UNSENT);
		EXPECT(strstr(askers[i].why, "cannot connect") != NULL);
	}
	/* No turn, and no time. */
	gate_shut = true;
	EXPECT(start(redis, &askers[0], 100, "") == 0);
	askers[0].deadline = torc_after_ms(30);
	EXPECT(start(redis, &askers[1], 101, "") == 0);
	askers[1].deadline = TORC_AT_ONCE;
	EXPECT(join(askers, 2) == 0);
	gate_shut = false;
	EXPECT(askers[0].result == -ETIMEDOUT);
	EXPECT(askers[0].fate == TORC_REDIS_UNKNOWN);
	EXPECT(askers[1].result == -ETIMEDOUT);
	EXPECT(askers[1].fate == TORC_REDIS_UNSENT);
	torc_redis_destroy(dead, TORC_NEVER);
	return 0;
}

static void
a_call_that_fails_without_a_reply_is_told_whether_it_was_sent(
    void **state)
{
	(void)state;
	play(ask_nobody);
}

/* ---- All of it at random ---- */

static unsigned next_number;
static unsigned wrong, answered, unsent, unknown;

static void
compare(const struct asker *asker)
{
	const unsigned count = done[asker->number];

	if (asker->result == 0)
		wrong += count != 1;
	else if (asker->fate == TORC_REDIS_UNSENT)
		is_unsent[asker->number] = true;
	else if (asker->fate == TORC_REDIS_ANSWERED)
		wrong += count != 1 || strstr(asker->why, "reply_") == NULL;
	else
		wrong += count > 1;
	answered += asker->result == 0;
	unsent += asker->result < 0 && asker->fate == TORC_REDIS_UNSENT;
	unknown += asker->result < 0 && asker->fate == TORC_REDIS_UNKNOWN;
	if (asker->result == -EILSEQ)
		wrong++;
}

static int
ask_at_random(void *arg)
{
	struct torc_redis *redis = arg;

	for (unsigned i = 0; i < 60; i++) {
		const unsigned number = next_number++;
		struct asker asker = { .redis = redis, .number = number,
			.manner = number % 7 == 3 ?
			limits[number % (LIMITS - 1)].manner : "",
			.deadline = number % 11 == 5 ? torc_after_us(300) :
			LATE };

		ask(&asker);
		compare(&asker);
		if (asker.result < 0)
			torc_sleep(torc_after_us(200));
	}
	return 0;
}

static int
break_at_random(struct torc_redis *redis)
{
	uint64_t ids[MANY];

	next_number = wrong = answered = unsent = unknown = 0;
	breaks = 60;
	for (unsigned i = 0; i < MANY; i++)
		EXPECT(torc_fiber_spawn(&ids[i], ask_at_random, redis) == 0);
	for (unsigned i = 0; i < MANY; i++)
		EXPECT(torc_fiber_join(ids[i], NULL, LATE) == 0);
	print_message("%u answered, %u not sent, %u unknown, %u "
	    "connections\n", answered, unsent, unknown, accepted);
	/* What was sent last may be done late. */
	breaks = 0;
	EXPECT(torc_sleep(torc_after_ms(50)) == 0);
	for (unsigned i = 0; i < next_number; i++)
		wrong += done[i] > !is_unsent[i];
	EXPECT(wrong == 0);
	EXPECT(answered > MANY && accepted > 2);
	return 0;
}

static void
nothing_that_was_done_is_called_unsent_and_nothing_is_done_twice(void **state)
{
	const struct torc_redis_config config = { .shared_connections = 3,
		.reply_bytes_max = 1000, .reply_items_max = 50,
		.reply_depth_max = 8, .reply_line_max = 200 };

	(void)state;
	play_with(break_at_random, &config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_reply_over_a_limit_is_the_error_of_its_command_alone),
		cmocka_unit_test(
		    a_line_longer_than_a_connection_may_hold_is_its_command_s_alone),
		cmocka_unit_test(
		    a_batch_and_a_session_go_on_after_a_reply_over_a_limit),
		cmocka_unit_test(what_is_read_past_takes_no_memory),
		cmocka_unit_test(a_command_that_no_server_takes_is_not_sent),
		cmocka_unit_test(
		    fibers_that_fail_at_once_have_words_and_a_fate_of_their_own),
		cmocka_unit_test(
		    a_call_that_discards_its_reply_has_the_same_result),
		cmocka_unit_test(
		    when_a_connection_breaks_each_hears_that_its_own_may_have_been_done),
		cmocka_unit_test(
		    a_call_that_fails_without_a_reply_is_told_whether_it_was_sent),
		cmocka_unit_test(
		    nothing_that_was_done_is_called_unsent_and_nothing_is_done_twice),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
