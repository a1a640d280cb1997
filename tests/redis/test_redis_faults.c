/* SPDX-License-Identifier: MIT */
/*
 * test_redis_faults.c - the client of Redis with servers that lie, hang, die
 * and come back: every call ends by its deadline, and nobody ever gets the
 * reply of another.
 */
#include <errno.h>
#include <netinet/in.h>
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

#define LATE torc_after_ms(30000)
#define SLACK_MS 10000u		/* of a loaded machine */
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

/* ---- A server that is told how to answer ---- */

enum lie {
	HONEST,			/* each command with its last word */
	MUTE,			/* never */
	CLOSING,		/* by the end */
	TRUNCATED,		/* by a part, and the end */
	OVERSIZED,		/* by a string over reply_bytes_max */
	DEEP,			/* by 100,000 arrays in each other */
	GARBAGE,		/* in another protocol */
	TALKATIVE,		/* twice */
	DRIPPING,		/* byte by byte */
	OLD,			/* no HELLO: a server before RESP3 */
	PUSHING,		/* with news in front */
	LENGTHY,		/* by a line over reply_line_max */
};

static atomic_int lie;
static atomic_uint accepted;	/* connections */
static atomic_uint closed;
static atomic_uint commands;	/* beside greetings */

static const uint64_t seconds_30 = 30000;

static int
say(struct torc_conn *conn, const char *text, size_t size)
{
	return torc_conn_write(conn, text, size,
	    torc_after_ms(seconds_30));
}

static int
drip(struct torc_conn *conn, const char *text, size_t size)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < size; i++) {
		rc = say(conn, text + i, 1);
		if (rc == 0)
			rc = torc_conn_flush(conn, LATE);
		if (rc == 0)
			rc = torc_sleep(torc_after_us(200));
	}
	return rc;
}

/* The word, as a string; "late:MS:..." after so many milliseconds. */
static int
echo_word(struct torc_conn *conn, const struct torc_redis_reply *word)
{
	char text[256];
	int size = snprintf(text, sizeof(text), "$%zu\r\n%s\r\n", word->size,
	    word->text);

	if (strncmp(word->text, "late:", 5) == 0)
		torc_sleep(torc_after_ms(
		    strtoul(word->text + 5, NULL, 10)));
	return lie == DRIPPING ? drip(conn, text, (size_t)size) :
	    say(conn, text, (size_t)size);
}

#define BYTES_MAX (1u << 20)

static int
say_oversized(struct torc_conn *conn)
{
	static const char part[4096];
	const unsigned parts = BYTES_MAX / sizeof(part) + 1;
	char head[32];
	int rc = say(conn, head, (size_t)snprintf(head, sizeof(head),
	    "$%zu\r\n", parts * sizeof(part)));

	for (unsigned i = 0; rc == 0 && i < parts; i++)
		rc = say(conn, part, sizeof(part));
	return rc < 0 ? rc : say(conn, "\r\n", 2);
}

static int
lie_to(struct torc_conn *conn)
{
	static const char garbage[] = "HTTP/1.1 400 Bad Request\r\n\r\n";

	switch (atomic_load(&lie)) {
	case TRUNCATED:
		say(conn, "$10\r\nabc", 8);
		return -1;
	case OVERSIZED:
		return say_oversized(conn);
	case DEEP:
		for (unsigned i = 0; i < 100000; i++) {
			if (say(conn, "*1\r\n", 4) < 0)
				return -1;
		}
		return say(conn, ":1\r\n", 4);
	case GARBAGE:
		return say(conn, garbage, sizeof(garbage) - 1);
	case LENGTHY:
		for (unsigned i = 0; i < 10000; i++) {
			if (say(conn, i == 0 ? "+aaaaaaaa" : "aaaaaaaaa",
			    9) < 0)
				return -1;
		}
		return say(conn, "\r\n", 2);
	default:
		return 0;
	}
}

/* 0, or the connection is over. */
static int
answer(struct torc_conn *conn, const struct torc_redis_reply *command)
{
	const struct torc_redis_reply *last =
	    &command->items[command->size - 1];
	const bool hello = strcmp(command->items[0].text, "HELLO") == 0;

	if (lie == MUTE)
		return 0;
	if (hello && lie == OLD)
		return say(conn, "-ERR unknown command `HELLO`\r\n", 30);
	if (hello)
		return say(conn, "%1\r\n+proto\r\n:3\r\n", 16);
	if (strcmp(command->items[0].text, "PING") == 0)
		return say(conn, "+PONG\r\n", 7);
	atomic_fetch_add(&commands, 1);
	if (lie >= TRUNCATED && lie <= GARBAGE)
		return lie_to(conn);
	if (lie == LENGTHY)
		return lie_to(conn);
	if (lie == PUSHING &&
	    say(conn, ">2\r\n+invalidate\r\n*1\r\n$1\r\nx\r\n", 28) < 0)
		return -1;
	if (echo_word(conn, last) < 0)
		return -1;
	return lie == TALKATIVE ? echo_word(conn, last) : 0;
}

static int
serve_commands(struct torc_conn *conn)
{
	struct torc_resp_arena arena;
	struct torc_resp_tree tree;
	struct torc_redis_reply command;
	struct torc_slice in;
	int rc = 0;

	torc_resp_arena_init(&arena, NULL, 0);
	torc_resp_tree_init(&tree, &arena, NULL);
	while (rc == 0 && torc_conn_recv(conn, &in, LATE) > 0) {
		long taken;

		do {
			taken = torc_resp_build(&tree, &command, in.data,
			    in.size);
			if (taken <= 0)
				break;
			torc_conn_consume(conn, (size_t)taken);
			in.data += taken;
			in.size -= (size_t)taken;
			if (!tree.reader.done)
				break;
			rc = answer(conn, &command);
			torc_resp_arena_free(&arena);
			torc_resp_arena_init(&arena, NULL, 0);
		} while (rc == 0 && in.size > 0);
		if (taken < 0)
			rc = -1;
	}
	torc_resp_arena_free(&arena);
	return rc;
}

static int
liar(struct torc_conn *conn, void *arg)
{
	(void)arg;
	atomic_fetch_add(&accepted, 1);
	if (lie != CLOSING)
		serve_commands(conn);
	atomic_fetch_add(&closed, 1);
	return TORC_CLOSE;
}

/* ---- The stage ---- */

static char liar_address[32];
static unsigned liar_port;

static void
play_with(int (*act)(struct torc_redis *redis),
    const struct torc_redis_config *config)
{
	struct scene scene = { .config = *config, .play = act };
	struct server reactor;
	int line;

	server_start(&reactor, NULL, echo_handler, NULL);
	line = server_fiber(&reactor, run_scene, &scene);
	assert_int_equal(server_stop(&reactor), 0);
	if (line != 0)
		fail_msg("line %d does not hold", line);
}

/* With the liar; nothing is left behind. */
static void
play(enum lie how, int (*act)(struct torc_redis *redis))
{
	const struct torc_redis_config config = { .address = liar_address,
		.open_ms = 300, .retry_min_ms = 20, .retry_max_ms = 50,
		.reply_bytes_max = BYTES_MAX };
	struct server server;
	const unsigned fds = count_fds();

	lie = how;
	accepted = closed = commands = 0;
	server_start(&server, NULL, liar, NULL);
	liar_port = server.port;
	snprintf(liar_address, sizeof(liar_address), "127.0.0.1:%u",
	    server.port);
	play_with(act, &config);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(count_fds(), fds);
}

static int
ask(struct torc_redis *redis, const char *word, torc_deadline deadline)
{
	struct torc_redis_reply *reply;
	int rc = torc_redis_do(redis, &reply, deadline, "GET", word, NULL);
	const bool wrong = rc == 0 && (reply->type != TORC_REDIS_STRING ||
	    strcmp(reply->text, word) != 0);

	rc = heard(rc, &reply);
	return wrong ? -EILSEQ : rc;
}

/* Once the pauses between attempts allow it. */
static int
ask_until(struct torc_redis *redis, const char *word, torc_deadline deadline)
{
	int rc = -ETIMEDOUT;

	while (rc != 0 && !torc_passed(deadline)) {
		rc = ask(redis, word, deadline);
		if (rc != 0)
			torc_sleep(torc_after_ms(5));
	}
	return rc;
}

/* ---- Liars ---- */

static int
be_honest(struct torc_redis *redis)
{
	EXPECT(ask(redis, "one", LATE) == 0);
	EXPECT(ask(redis, "two", LATE) == 0);
	EXPECT(accepted == 1);
	return 0;
}

static void
honest_slow_old_and_pushing_servers_are_understood(void **state)
{
	(void)state;
	play(HONEST, be_honest);
	play(DRIPPING, be_honest);
	play(OLD, be_honest);
	play(PUSHING, be_honest);
}

/*
 * It is told apart; and when the server is honest again, all is well, over
 * `connections` in all.
 */
static int
see_error(struct torc_redis *redis, int error, const char *why,
    unsigned connections)
{
	int rc = ask(redis, "one", LATE);

	if (rc != error || strstr(said, why) == NULL)
		fprintf(stderr, "%d: %s\n", rc, said);
	EXPECT(rc == error);
	EXPECT(strstr(said, why) != NULL);
	lie = HONEST;
	EXPECT(ask_until(redis, "two", LATE) == 0);
	EXPECT(accepted == connections);
	return 0;
}

static int
see_truncation(struct torc_redis *redis)
{
	return see_error(redis, -ECONNRESET, "connection lost", 2);
}

static int
see_size(struct torc_redis *redis)
{
	return see_error(redis, -EMSGSIZE, "reply_bytes_max", 1);
}

static int
see_depth(struct torc_redis *redis)
{
	return see_error(redis, -ELOOP, "reply_depth_max", 1);
}

static int
see_garbage(struct torc_redis *redis)
{
	return see_error(redis, -EBADMSG, "not the protocol of Redis",
	    2);
}

static int
see_line(struct torc_redis *redis)
{
	return see_error(redis, -ENAMETOOLONG, "reply_line_max", 1);
}

static void
each_lie_has_its_error_and_the_next_command_is_answered(void **state)
{
	(void)state;
	play(TRUNCATED, see_truncation);
	play(OVERSIZED, see_size);
	play(DEEP, see_depth);
	play(GARBAGE, see_garbage);
	play(LENGTHY, see_line);
}

static int
count_commands(struct torc_redis *redis)
{
	EXPECT(ask(redis, "one", LATE) == -ECONNRESET);
	EXPECT(commands == 1);
	return 0;
}

static void
a_command_that_was_sent_is_not_sent_again(void **state)
{
	(void)state;
	play(TRUNCATED, count_commands);
}

static int
hear_twice(struct torc_redis *redis)
{
	char word[32];

	/* Each may fail; none may get what another was told twice. */
	for (unsigned i = 0; i < 50; i++) {
		snprintf(word, sizeof(word), "word:%u", i);
		EXPECT(ask(redis, word, LATE) != -EILSEQ);
	}
	lie = HONEST;
	EXPECT(ask_until(redis, "end", LATE) == 0);
	return 0;
}

static void
a_reply_that_nobody_asked_for_is_nobodys(void **state)
{
	(void)state;
	play(TALKATIVE, hear_twice);
}

static int
wait_for_greeting(struct torc_redis *redis)
{
	uint64_t begin = now_ms();

	EXPECT(ask(redis, "one", torc_after_ms(60)) == -ETIMEDOUT);
	EXPECT(now_ms() - begin < 60 + SLACK_MS);
	EXPECT(strstr(said, "(HELLO)") != NULL);
	begin = now_ms();
	EXPECT(ask(redis, "one", LATE) == -ETIMEDOUT);
	EXPECT(now_ms() - begin < 300 + SLACK_MS);
	EXPECT(strstr(said, "no answer to HELLO") != NULL);
	EXPECT(strstr(said, "open_ms (300)") != NULL);
	lie = HONEST;
	EXPECT(ask_until(redis, "two", LATE) == 0);
	return 0;
}

/* A port on which connections are not completed. */
static int
wait_for_connection(struct torc_redis *redis)
{
	EXPECT(ask(redis, "one", LATE) == -ETIMEDOUT);
	EXPECT(strstr(said, "cannot connect") != NULL);
	EXPECT(strstr(said, "HELLO") == NULL);
	EXPECT(strstr(said, "open_ms (200)") != NULL);
	return 0;
}

static void
a_port_that_accepts_nobody(struct torc_redis_config *config)
{
	static char address[32];
	struct sockaddr_in name = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(name);
	int fds[8];

	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fds[0], (struct sockaddr *)&name, size), 0);
	assert_int_equal(listen(fds[0], 0), 0);
	getsockname(fds[0], (struct sockaddr *)&name, &size);
	for (int i = 1; i < 8; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fds[i], (struct sockaddr *)&name, size);
	}
	snprintf(address, sizeof(address), "127.0.0.1:%u",
	    ntohs(name.sin_port));
	config->address = address;
	play_with(wait_for_connection, config);
	for (int i = 0; i < 8; i++)
		close(fds[i]);
}

static void
a_greeting_and_a_connection_that_never_come_are_told_apart(void **state)
{
	struct torc_redis_config config = { .open_ms = 200 };

	(void)state;
	play(MUTE, wait_for_greeting);
	a_port_that_accepts_nobody(&config);
}

static int
hammer(struct torc_redis *redis)
{
	const uint64_t begin = now_ms();
	unsigned calls = 0;
	uint64_t took;

	while (now_ms() - begin < 1000) {
		EXPECT(ask(redis, "x", torc_after_ms(100)) < 0);
		torc_sleep(torc_after_ms(1));
		calls++;
	}
	took = now_ms() - begin;
	EXPECT(calls > 20);
	EXPECT(accepted > 0);
	EXPECT(accepted * 1000 < 50 * took);
	return 0;
}

static int
ask_the_dead(struct torc_redis *redis)
{
	uint64_t begin = now_ms();

	for (unsigned i = 0; i < 10; i++)
		EXPECT(ask(redis, "x", LATE) == -ECONNREFUSED);
	EXPECT(now_ms() - begin < SLACK_MS);
	EXPECT(strstr(said, "cannot connect") != NULL);
	return 0;
}

static void
a_dead_server_is_an_error_at_once_and_is_not_stormed(void **state)
{
	const struct torc_redis_config nobody = {
		.address = "127.0.0.1:1" };
	const struct torc_redis_config config = { .address = liar_address };
	const struct torc_redis_config plain = { .address = liar_address,
		.protocol = 2 };
	struct server server;

	(void)state;
	play_with(ask_the_dead, &nobody);
	/* As an operator has it. */
	lie = CLOSING;
	accepted = 0;
	server_start(&server, NULL, liar, NULL);
	snprintf(liar_address, sizeof(liar_address), "127.0.0.1:%u",
	    server.port);
	play_with(hammer, &config);
	/* Nothing has to be said to it: is it well, then? */
	accepted = 0;
	play_with(hammer, &plain);
	server_stop(&server);
}

/* ---- Out of time ---- */

struct asker {
	struct torc_redis *redis;
	const char *word;
	torc_deadline deadline;
	int result;
	uint64_t id;
};

static int
ask_once(void *arg)
{
	struct asker *asker = arg;

	asker->result = ask(asker->redis, asker->word, asker->deadline);
	/* Who failed may ask again at once. */
	if (asker->result == -ECONNRESET)
		asker->result = ask_until(asker->redis, asker->word, LATE);
	return 0;
}

static int
spare_siblings(struct torc_redis *redis)
{
	struct asker first = { redis, "late:900:a", TORC_AT_ONCE, 1, 0 };
	struct asker second = { redis, "late:0:b", LATE, 1, 0 };

	EXPECT(ask(redis, "zero", LATE) == 0);
	/* Long enough for the connection to be silent. */
	first.deadline = torc_after_ms(300);
	EXPECT(torc_fiber_spawn(&first.id, ask_once, &first) == 0);
	EXPECT(torc_fiber_spawn(&second.id, ask_once, &second) == 0);
	EXPECT(torc_fiber_join(first.id, NULL, LATE) == 0);
	EXPECT(first.result == -ETIMEDOUT);
	EXPECT(accepted == 1);
	/* New ones go elsewhere, and do not wait. */
	EXPECT(ask(redis, "new", LATE) == 0);
	EXPECT(accepted == 2);
	EXPECT(second.result == 1 || second.result == 0);
	EXPECT(torc_fiber_join(second.id, NULL, LATE) == 0);
	EXPECT(second.result == 0);
	/* And then the line is closed. */
	for (unsigned i = 0; closed == 0 && i < SLACK_MS; i++)
		torc_sleep(torc_after_ms(1));
	EXPECT(closed == 1);
	EXPECT(ask(redis, "more", LATE) == 0);
	EXPECT(accepted == 2);
	return 0;
}

static void
a_timeout_retires_its_connection_and_spares_its_siblings(void **state)
{
	(void)state;
	play(HONEST, spare_siblings);
}

/* What takes longer, on a machine that stops for a while, proves nothing. */
#define MOMENT_MS 40u

static int
ask_among_the_hasty(struct torc_redis *redis)
{
	unsigned late = 0;

	EXPECT(ask(redis, "zero", LATE) == 0);
	for (unsigned i = 0; i < 200 && late < 50; i++) {
		const unsigned before = accepted;
		const uint64_t begin = now_ms();
		int rc = ask(redis, "late:3:x", torc_after_ms(1));

		EXPECT(ask(redis, "calm", LATE) == 0);
		if (now_ms() - begin >= MOMENT_MS)
			continue;
		EXPECT(accepted == before);
		late += rc == -ETIMEDOUT;
	}
	EXPECT(late > 0);
	return 0;
}

static void
those_in_a_hurry_do_not_take_the_connection_from_the_others(void **state)
{
	(void)state;
	play(HONEST, ask_among_the_hasty);
}

static int
cancel_one(struct torc_redis *redis)
{
	struct asker first = { redis, "late:100:a", LATE, 1, 0 };
	struct asker second = { redis, "late:0:b", LATE, 1, 0 };

	EXPECT(ask(redis, "zero", LATE) == 0);
	EXPECT(torc_fiber_spawn(&first.id, ask_once, &first) == 0);
	EXPECT(torc_fiber_spawn(&second.id, ask_once, &second) == 0);
	EXPECT(torc_yield() == 0);
	EXPECT(torc_fiber_cancel(first.id) == 0);
	EXPECT(torc_fiber_join(first.id, NULL, LATE) == 0);
	EXPECT(first.result == -ECANCELED);
	EXPECT(ask(redis, "new", LATE) == 0);
	EXPECT(torc_fiber_join(second.id, NULL, LATE) == 0);
	EXPECT(second.result == 0);
	EXPECT(accepted == 1);
	return 0;
}

static void
a_cancel_leaves_the_connection_and_the_others_alone(void **state)
{
	(void)state;
	play(HONEST, cancel_one);
}

/* More than all buffers on its way hold. */
#define MUCH (32u << 20)

static int
write_much(void *arg)
{
	struct asker *asker = arg;
	uint8_t *data = calloc(1, MUCH);
	const struct torc_slice set[] = { { (const uint8_t *)"SET", 3 },
		{ (const uint8_t *)"much", 4 }, { data, MUCH } };

	asker->result = torc_redis_call(
	    asker->redis, set, 3, NULL, asker->deadline);
	free(data);
	return 0;
}

static int
give_up_writing(struct torc_redis *redis, bool cancel)
{
	struct asker first = { redis, "late:500:a", LATE, 1, 0 };
	struct asker much = { redis, "", cancel ? LATE : torc_after_ms(200),
		1, 0 };
	struct asker third = { redis, "c", LATE, 1, 0 };

	EXPECT(ask(redis, "zero", LATE) == 0);
	EXPECT(torc_fiber_spawn(&first.id, ask_once, &first) == 0);
	EXPECT(torc_yield() == 0);
	EXPECT(torc_fiber_spawn(&much.id, write_much, &much) == 0);
	EXPECT(torc_yield() == 0);
	/* Waits for its turn to write. */
	EXPECT(torc_fiber_spawn(&third.id, ask_once, &third) == 0);
	EXPECT(torc_sleep(torc_after_ms(200)) == 0);
	if (cancel)
		EXPECT(torc_fiber_cancel(much.id) == 0);
	EXPECT(torc_fiber_join(much.id, NULL, LATE) == 0);
	EXPECT(much.result == (cancel ? -ECANCELED : -ETIMEDOUT));
	EXPECT(torc_fiber_join(third.id, NULL, LATE) == 0);
	EXPECT(third.result == 0);
	EXPECT(torc_fiber_join(first.id, NULL, LATE) == 0);
	EXPECT(first.result == 0);
	EXPECT(accepted == 2);
	return 0;
}

static int
cancel_writing(struct torc_redis *redis)
{
	return give_up_writing(redis, true);
}

static int
time_out_writing(struct torc_redis *redis)
{
	return give_up_writing(redis, false);
}

static void
a_command_given_up_while_it_is_written_spares_its_siblings(void **state)
{
	(void)state;
	play(HONEST, cancel_writing);
	play(HONEST, time_out_writing);
}

#define FIBERS 64

static int
lose_all(struct torc_redis *redis)
{
	static struct asker askers[FIBERS];
	static char words[FIBERS][32];

	lie = HONEST;
	EXPECT(ask(redis, "zero", LATE) == 0);
	lie = MUTE;
	for (unsigned i = 0; i < FIBERS; i++) {
		snprintf(words[i], sizeof(words[i]), "word:%u", i);
		askers[i] = (struct asker) { redis, words[i], LATE, 1, 0 };
		EXPECT(torc_fiber_spawn(&askers[i].id, ask_once,
		    &askers[i]) == 0);
	}
	torc_sleep(torc_after_ms(20));
	/* What comes next ends the connection, and with it all of them. */
	lie = TRUNCATED;
	EXPECT(ask(redis, "last", LATE) == -ECONNRESET);
	lie = HONEST;
	for (unsigned i = 0; i < FIBERS; i++) {
		EXPECT(torc_fiber_join(askers[i].id, NULL, LATE) == 0);
		EXPECT(askers[i].result == 0);
	}
	return 0;
}

static void
commands_made_by_those_who_just_failed_run(void **state)
{
	(void)state;
	play(HONEST, lose_all);
}

/* ---- Keyed requests, with random ends ---- */

static unsigned mixed_up;
static unsigned answered;
static unsigned ended_late;

static uint32_t
random_number(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

struct player {
	struct torc_redis *redis;
	uint32_t seed;
	unsigned index;
	unsigned times;
	uint64_t id;
};

static int
ask_at_random(void *arg)
{
	struct player *player = arg;
	int rc = 0;

	for (unsigned i = 0; i < player->times && rc != -ECANCELED; i++) {
		const uint32_t number = random_number(&player->seed);
		const unsigned ms = number % 3 == 0 ? 3 : 2000;
		const uint64_t begin = now_ms();
		char word[64];

		snprintf(word, sizeof(word), number % 31 == 0 ?
		    "late:4:%u:%u" : "key:%u:%u", player->index, number);
		rc = ask(player->redis, word, torc_after_ms(ms));
		mixed_up += rc == -EILSEQ;
		answered += rc == 0;
		ended_late += now_ms() - begin > ms + SLACK_MS;
	}
	return 0;
}

static int
play_at_random(struct torc_redis *redis)
{
	static struct player players[FIBERS];
	uint32_t seed = 12345;

	mixed_up = answered = ended_late = 0;
	for (unsigned round = 0; round < 10; round++) {
		for (unsigned i = 0; i < FIBERS; i++) {
			players[i] = (struct player) { redis,
				random_number(&seed), i, 20, 0 };
			EXPECT(torc_fiber_spawn(&players[i].id,
			    ask_at_random, &players[i]) == 0);
		}
		for (unsigned i = 0; i < FIBERS / 4; i++) {
			torc_sleep(torc_after_us(300));
			torc_fiber_cancel(
			    players[random_number(&seed) % FIBERS].id);
		}
		for (unsigned i = 0; i < FIBERS; i++)
			EXPECT(torc_fiber_join(players[i].id, NULL,
			    LATE) == 0);
	}
	EXPECT(mixed_up == 0);
	EXPECT(ended_late == 0);
	EXPECT(answered > FIBERS);
	EXPECT(ask_until(redis, "end", LATE) == 0);
	return 0;
}

static void
no_reply_ever_reaches_another_requester(void **state)
{
	const struct torc_redis_config config = { .address = liar_address,
		.shared_connections = 3, .retry_min_ms = 5,
		.retry_max_ms = 20 };
	const unsigned fds = count_fds();
	struct server server;

	(void)state;
	play(HONEST, play_at_random);
	lie = HONEST;
	server_start(&server, NULL, liar, NULL);
	snprintf(liar_address, sizeof(liar_address), "127.0.0.1:%u",
	    server.port);
	play_with(play_at_random, &config);
	server_stop(&server);
	assert_int_equal(count_fds(), fds);
}

/* ---- A real server that dies, hangs and comes back ---- */

static struct redis_server backend;
static atomic_bool over;
static atomic_uint good, bad, tardy;
static _Atomic uint64_t last_good;	/* in milliseconds */

#define CALL_MS 300u

static int
load(void *arg)
{
	struct player *player = arg;

	while (!over) {
		const uint64_t begin = now_ms();
		char word[32];
		struct torc_redis_reply *reply;
		int rc;

		snprintf(word, sizeof(word), "%u:%u", player->index,
		    random_number(&player->seed));
		rc = torc_redis_do(player->redis, &reply,
		    torc_after_ms(CALL_MS), "ECHO", word, NULL);
		if (rc == 0 && strcmp(reply->text, word) != 0)
			mixed_up++;
		torc_redis_reply_free(reply);
		if (rc == 0)
			last_good = now_ms();
		tardy += now_ms() - begin > CALL_MS + SLACK_MS;
		good += rc == 0;
		bad += rc != 0;
		torc_sleep(torc_after_ms(rc == 0 ? 1 : 5));
	}
	return 0;
}

static int
run_load(struct torc_redis *redis)
{
	static struct player players[FIBERS];

	for (unsigned i = 0; i < FIBERS; i++) {
		players[i] = (struct player) { redis, i + 1, i, 0, 0 };
		EXPECT(torc_fiber_spawn(&players[i].id, load,
		    &players[i]) == 0);
	}
	for (unsigned i = 0; i < FIBERS; i++)
		EXPECT(torc_fiber_join(players[i].id, NULL, TORC_NEVER) == 0);
	return 0;
}

static bool
await_good(unsigned more)
{
	const unsigned from = good;
	const uint64_t until = now_ms() + 30000;

	while (good < from + more && now_ms() < until)
		pause_ms(1);
	return good >= from + more;
}

static void
expect_recovery(const char *after, uint64_t back)
{
	assert_true(await_good(FIBERS));
	printf("  recovery after %s: at most %llu ms\n", after,
	    (unsigned long long)(now_ms() - back));
	assert_true(now_ms() - back < 1000 + SLACK_MS);
}

static void *
torment(void *arg)
{
	(void)arg;
	assert_true(await_good(1000));
	redis_kill(&backend);
	pause_ms(700);
	assert_true(bad > 0);
	redis_restart(&backend);
	expect_recovery("SIGKILL", now_ms());
	kill(backend.pid, SIGSTOP);
	pause_ms(1000);
	kill(backend.pid, SIGCONT);
	expect_recovery("SIGSTOP", now_ms());
	over = true;
	return NULL;
}

static void
a_server_that_is_killed_stopped_and_restarted_under_load_is_survived(
    void **state)
{
	const unsigned fds = count_fds();
	struct torc_redis_config config = { .shared_connections = 2 };
	struct scene scene = { .play = run_load };
	struct server reactor;
	pthread_t thread;

	(void)state;
	if (!redis_available())
		skip();
	redis_start(&backend, NULL);
	config.address = backend.address;
	scene.config = config;
	over = false;
	good = bad = tardy = mixed_up = 0;
	server_start(&reactor, NULL, echo_handler, NULL);
	assert_int_equal(pthread_create(&thread, NULL, torment, NULL), 0);
	assert_int_equal(server_fiber(&reactor, run_scene, &scene), 0);
	pthread_join(thread, NULL);
	assert_int_equal(server_stop(&reactor), 0);
	redis_end(&backend);
	assert_int_equal(tardy, 0);
	assert_int_equal(mixed_up, 0);
	assert_int_equal(count_fds(), fds);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    honest_slow_old_and_pushing_servers_are_understood),
		cmocka_unit_test(
		    each_lie_has_its_error_and_the_next_command_is_answered),
		cmocka_unit_test(a_command_that_was_sent_is_not_sent_again),
		cmocka_unit_test(a_reply_that_nobody_asked_for_is_nobodys),
		cmocka_unit_test(
		    a_greeting_and_a_connection_that_never_come_are_told_apart),
		cmocka_unit_test(
		    a_dead_server_is_an_error_at_once_and_is_not_stormed),
		cmocka_unit_test(
		    a_timeout_retires_its_connection_and_spares_its_siblings),
		cmocka_unit_test(
		    those_in_a_hurry_do_not_take_the_connection_from_the_others),
		cmocka_unit_test(
		    a_cancel_leaves_the_connection_and_the_others_alone),
		cmocka_unit_test(
		    a_command_given_up_while_it_is_written_spares_its_siblings),
		cmocka_unit_test(commands_made_by_those_who_just_failed_run),
		cmocka_unit_test(no_reply_ever_reaches_another_requester),
		cmocka_unit_test(
		    a_server_that_is_killed_stopped_and_restarted_under_load_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
