/* SPDX-License-Identifier: MIT */
/*
 * test_pg_liars.c - servers that lie, stop, or come too late: each call ends
 * as it should, and nothing wrong reaches anybody.
 */
#include "tests/harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/pg/torc_pg.h"
#include "tests/pg/stats.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LATE torc_after_ms(60000)
#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

/* ---- A server that follows a script ---- */

#define LET_IN "R\0\0\0\x08\0\0\0\0"
#define KEY "K\0\0\0\x0c\0\0\0\x07\0\0\0\x09"
#define READY "Z\0\0\0\x05I"
#define HELLO LET_IN KEY READY
#define BOUND "2\0\0\0\x04" "T\0\0\0\x1b\0\x01" \
	"id\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0"
#define PREPARED "1\0\0\0\x04" BOUND
#define ROW "D\0\0\0\x0c\0\x01\0\0\0\x02" "42"
#define DONE "C\0\0\0\x0dSELECT 1\0"
#define GOOD PREPARED ROW DONE READY

#define ASK_CLEAR "R\0\0\0\x08\0\0\0\x03"
#define ASK_MD5 "R\0\0\0\x0c\0\0\0\x05salt"
#define ASK_SCRAM "R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"
#define ASK_OTHER "R\0\0\0\x16\0\0\0\x0aSCRAM-MADE-UP\0\0"
#define ASK_KERBEROS "R\0\0\0\x08\0\0\0\x07"
#define NEWER "v\0\0\0\x0c\0\x03\0\0\0\0\0\0"
#define CHALLENGE "R\0\0\0\x0c\0\0\0\x0br=zz"
#define FINAL "R\0\0\0\x0c\0\0\0\x0cv=zz"
#define REFUSAL "E\0\0\0\x27SFATAL\0VFATAL\0C57P03\0Mstarting up\0\0"
#define SETTING "S\0\0\0\x08" "x\0y\0"

struct script {
	const char *hello;	/* to the startup */
	size_t hello_size;
	const char *answer;	/* to everything else that comes */
	size_t answer_size;
	unsigned pause_ms;	/* before the answer */
	bool then_close;
};

#define SCRIPT(first, second, ...) \
	{ first, sizeof(first) - 1, second, sizeof(second) - 1, __VA_ARGS__ }

static const struct script *script;
static unsigned accepted;

/*
 * What a liar says in the course of SCRAM, behind the client's own nonce; NULL:
 * it does not take part. The proof is that of nobody.
 */
static const char *challenge;

static int
say_sasl(struct torc_conn *conn, unsigned method, const char *text)
{
	const size_t size = strlen(text);
	const uint8_t head[9] = { 'R', 0, 0, 0, (uint8_t)(size + 8), 0, 0, 0,
		(uint8_t)method };

	return torc_conn_write(conn, head, 9, LATE) < 0 ||
	    torc_conn_write(conn, text, size, LATE) < 0 ? -1 : 0;
}

static int
lie_in_scram(struct torc_conn *conn, const struct torc_slice *in)
{
	const char *nonce = memmem(in->data, in->size, "n,,n=,r=", 8);
	char text[200];

	if (nonce == NULL)
		return say_sasl(conn, 12,
		    "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	snprintf(text, sizeof(text), "r=%.24s%s", nonce + 8, challenge);
	return say_sasl(conn, 11, text);
}

/* Connections that ask for a cancel are held open for a while. */
static unsigned hold_ms;
static unsigned cancelling;
static unsigned overlapping;	/* statements that came meanwhile */

static bool
is_cancel(const struct torc_slice *in)
{
	return in->size == 16 &&
	    memcmp(in->data, "\0\0\0\x10\x04\xd2\x16\x2e", 8) == 0 &&
	    memcmp(in->data + 8, "\0\0\0\x07\0\0\0\x09", 8) == 0;
}

static int
hold_cancel(void)
{
	cancelling++;
	torc_sleep(torc_after_ms(hold_ms));
	cancelling--;
	return TORC_CLOSE;
}

static int
act(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	bool greeted = false;

	(void)arg;
	accepted++;
	while (torc_conn_recv(conn, &in, LATE) > 0) {
		if (!greeted && is_cancel(&in))
			return hold_cancel();
		overlapping += cancelling;
		const char *text = greeted ? script->answer : script->hello;
		size_t size = greeted ? script->answer_size :
		    script->hello_size;

		if (greeted && challenge != NULL) {
			if (lie_in_scram(conn, &in) < 0)
				return -1;
			size = 0;
		}
		torc_conn_consume(conn, in.size);
		if (greeted && script->pause_ms > 0)
			torc_sleep(torc_after_ms(script->pause_ms));
		if (size > 0 && torc_conn_write(conn, text, size, LATE) < 0)
			return -1;
		if (greeted && script->then_close)
			return TORC_CLOSE;
		greeted = true;
	}
	return TORC_CLOSE;
}

/* ---- The stage ---- */

struct scene {
	struct torc_pg_config config;
	struct torc_pg *pg;
	unsigned port;
	int expected;
	const char *words;	/* in what the client says of it, or NULL */
	int (*play)(struct scene *scene);
};

static int
run_scene(void *arg)
{
	struct scene *scene = arg;
	char address[32];
	int line;

	snprintf(address, sizeof(address), "127.0.0.1:%u", scene->port);
	scene->config.address = address;
	scene->config.user = "user";
	scene->config.shared = 1;
	scene->config.retry_min_ms = 1;
	scene->config.retry_max_ms = 1;
	EXPECT(torc_pg_create(&scene->pg, &scene->config, NULL) == 0);
	line = scene->play(scene);
	if (line == 0)
		torc_pg_destroy(scene->pg, TORC_NEVER);
	return line;
}

static void
play_on(torc_handler *handler, struct scene scene)
{
	unsigned fds = count_fds();
	struct server server;
	int line;

	accepted = 0;
	server_start(&server, NULL, handler, NULL);
	scene.port = server.port;
	line = server_fiber(&server, run_scene, &scene);
	assert_int_equal(server_stop(&server), 0);
	if (line != 0)
		fail_msg("line %d does not hold", line);
	assert_int_equal(count_fds(), fds);
}

static void
play(const struct script *with, struct scene scene)
{
	script = with;
	play_on(act, scene);
}

static const struct torc_pg_statement question = { .sql = "select 42" };

static int
ask_for(struct torc_pg *pg, const struct torc_pg_statement *statement,
    torc_deadline deadline)
{
	struct torc_pg_result *result;
	struct torc_pg_row row;
	int rc = torc_pg_query(pg, statement, &result, deadline);

	if (rc == 0 &&
	    (!torc_pg_result_next_row(result, &row) || row.count != 1 ||
		memcmp(row.values[0].data, "42", 2) != 0))
		rc = -EILSEQ;
	torc_pg_result_free(result);
	return rc;
}

static int
ask(struct torc_pg *pg, torc_deadline deadline)
{
	return ask_for(pg, &question, deadline);
}

/* ---- After the login ---- */

/* Over a shared connection, and on a session. */
static int
ask_both_ways(struct scene *scene)
{
	struct torc_pg_session *session;
	struct torc_pg_row row;
	int rc;

	EXPECT(ask(scene->pg, LATE) == scene->expected);
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	rc = torc_pg_session_begin(session, &question, LATE);
	while (
	    rc == 0 && (rc = torc_pg_session_next_row(session, &row, LATE)) > 0)
		rc = 0;
	EXPECT(rc == scene->expected);
	/* Nobody gets this one again. */
	EXPECT(scene->expected == 0 || torc_pg_session_state(session) == 0);
	torc_pg_session_release(session);
	return 0;
}

/* I76 */
static void
answers_that_make_no_sense_end_the_connection(void **state)
{
	static const struct {
		struct script script;
		int expected;
	} cases[] = {
		{ SCRIPT(HELLO, PREPARED ROW DONE READY, 0, false), 0 },
		/* In the wrong order. */
		{ SCRIPT(HELLO, PREPARED DONE ROW READY, 0, false), -EPROTO },
		{ SCRIPT(HELLO, ROW DONE READY, 0, false), -EPROTO },
		{ SCRIPT(HELLO, READY, 0, false), -EPROTO },
		{ SCRIPT(HELLO, PREPARED READY, 0, false), -EPROTO },
		{ SCRIPT(HELLO, PREPARED PREPARED, 0, false), -EPROTO },
		{ SCRIPT(HELLO, LET_IN, 0, false), -EPROTO },
		/* More and fewer values than columns, and a cut row. */
		{ SCRIPT(HELLO, PREPARED "D\0\0\0\x06\0\0" DONE READY, 0,
		    false), -EPROTO },
		{ SCRIPT(HELLO, PREPARED "D\0\0\0\x0a\0\x02\0\0\0\0" DONE
		    READY, 0, false), -EPROTO },
		{ SCRIPT(HELLO, PREPARED "D\0\0\0\x0a\0\x01\0\0\0\x09" DONE
		    READY, 0, false), -EPROTO },
		/* Lengths. */
		{ SCRIPT(HELLO, PREPARED "D\x7f\xff\xff\xff\0\x01", 0, false),
		    -EPROTO },
		{ SCRIPT(HELLO, PREPARED "D\0\0\0\x03\0\x01", 0, false),
		    -EPROTO },
		{ SCRIPT(HELLO, PREPARED "2\x7f\0\0\0\0\x01", 0, false),
		    -EPROTO },
		{ SCRIPT(HELLO, PREPARED "D\x7f\0\0\0\0\x01", 0, true),
		    -ECONNRESET },
		/* A state that there is not. */
		{ SCRIPT(HELLO, PREPARED ROW DONE "Z\0\0\0\x05X", 0, false),
		    -EPROTO },
		/* Closed in the middle of a row, and before an answer. */
		{ SCRIPT(HELLO, PREPARED "D\0\0\0\x0c\0\x01", 0, true),
		    -ECONNRESET },
		{ SCRIPT(HELLO, PREPARED ROW, 0, true), -ECONNRESET },
		{ SCRIPT(HELLO, "", 0, true), -ECONNRESET },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++)
		play(&cases[i].script, (struct scene) {
		    .expected = cases[i].expected, .play = ask_both_ways });
}

#define FAILURE "E\0\0\0\x17SERROR\0C22012\0Mno\0\0"

static int
ask_two_at_once(struct scene *scene)
{
	const struct torc_pg_statement questions[] = { question, question };
	struct torc_pg_result *result;

	EXPECT(torc_pg_batch(scene->pg, questions, 2, &result, LATE) ==
	    scene->expected);
	if (scene->expected == -EREMOTEIO)
		EXPECT(torc_pg_result_error(result)->statement == 1);
	for (unsigned i = 0; scene->expected == 0 && i < 2; i++) {
		torc_pg_result_seek(result, i);
		EXPECT(torc_pg_result_row_count(result) == 1);
	}
	torc_pg_result_free(result);
	return 0;
}

static void
answers_to_a_batch_are_as_many_as_its_statements_or_end_it(void **state)
{
	static const struct {
		struct script script;
		int expected;
	} cases[] = {
		{ SCRIPT(HELLO, PREPARED ROW DONE BOUND ROW DONE READY, 0,
		    false), 0 },
		{ SCRIPT(HELLO, PREPARED ROW DONE FAILURE READY, 0, false),
		    -EREMOTEIO },
		{ SCRIPT(HELLO, PREPARED ROW DONE BOUND ROW FAILURE READY, 0,
		    false), -EREMOTEIO },
		/* Too few, too many, and those that are to be skipped. */
		{ SCRIPT(HELLO, PREPARED ROW DONE READY, 0, false), -EPROTO },
		{ SCRIPT(HELLO, PREPARED ROW DONE ROW DONE READY, 0, false),
		    -EPROTO },
		{ SCRIPT(HELLO, PREPARED ROW DONE BOUND ROW DONE BOUND ROW
		    DONE READY, 0, false), -EPROTO },
		{ SCRIPT(HELLO, PREPARED FAILURE BOUND ROW DONE READY, 0,
		    false), -EPROTO },
		{ SCRIPT(HELLO, PREPARED ROW DONE BOUND ROW DONE, 0, true),
		    -ECONNRESET },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++)
		play(&cases[i].script, (struct scene) {
		    .expected = cases[i].expected, .play = ask_two_at_once });
}

/* Of one connection, unless `again`: then it is another one. */
static int
ask_twice(struct scene *scene, bool again)
{
	/* One that is not prepared yet, either. */
	const struct torc_pg_statement other = { .sql = "select 40 + 2" };

	EXPECT(ask(scene->pg, LATE) == 0);
	EXPECT(ask_for(scene->pg, &other, LATE) == 0);
	EXPECT(accepted == (again ? 2 : 1));
	return 0;
}

static int
ask_on_one(struct scene *scene)
{
	return ask_twice(scene, false);
}

static int
ask_on_two(struct scene *scene)
{
	return ask_twice(scene, true);
}

/* I77: of who asks later nobody knows whether it was answered by that. */
static void
what_comes_behind_an_answer_is_news_a_farewell_or_the_end(void **state)
{
	static const struct {
		struct script script;
		int (*play)(struct scene *scene);
	} cases[] = {
		{ SCRIPT(NEWER HELLO, GOOD, 0, false), ask_on_one },
		{ SCRIPT(HELLO, GOOD SETTING, 0, false), ask_on_one },
		{ SCRIPT(HELLO, GOOD REFUSAL, 0, false), ask_on_two },
		{ SCRIPT(HELLO, GOOD ROW, 0, false), ask_on_two },
		{ SCRIPT(HELLO, GOOD "S\0\0\0\x05x", 0, false), ask_on_two },
		{ SCRIPT(HELLO, GOOD "N\0\0\0\x06SF", 0, false), ask_on_two },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++)
		play(&cases[i].script, (struct scene) {
		    .play = cases[i].play });
}

/* ---- A connection that breaks under several ---- */

#define IN_FLIGHT 3
#define LOST "closed or reset the connection before it was answered"

struct asker {
	struct torc_pg *pg;
	uint64_t id;
	int rc;
	enum torc_pg_outcome outcome;
	char text[600];
};

static int
ask_and_tell(void *arg)
{
	struct asker *asker = arg;
	struct torc_pg_result *result;

	asker->rc = torc_pg_query(asker->pg, &question, &result, LATE);
	asker->outcome = torc_pg_result_error(result)->outcome;
	snprintf(asker->text, sizeof(asker->text), "%s",
	    torc_pg_result_error(result)->text);
	torc_pg_result_free(result);
	return 0;
}

/* What the first one is told, and all the others, of one and the same break. */
struct told {
	struct script script;
	int rc;
	enum torc_pg_outcome outcome;
	const char *words;
};

static const struct told *told;

/* They leave in one send; the server answers what the script says, once. */
static int
ask_several(struct scene *scene)
{
	struct asker askers[IN_FLIGHT];

	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		askers[i] = (struct asker) { .pg = scene->pg };
		EXPECT(torc_fiber_spawn(&askers[i].id, ask_and_tell,
		    &askers[i]) == 0);
	}
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		const struct asker *asker = &askers[i];

		EXPECT(torc_fiber_join(asker->id, NULL, LATE) == 0);
		EXPECT(asker->rc == (i == 0 ? told->rc : -ECONNRESET));
		EXPECT(asker->rc == 0 || asker->outcome ==
		    (i == 0 ? told->outcome : TORC_PG_UNKNOWN));
		EXPECT(strstr(asker->text, i == 0 ? told->words : LOST) !=
		    NULL);
	}
	EXPECT(accepted == 1);
	return 0;
}

#define FATAL "E\0\0\0\x1fSFATAL\0VFATAL\0C57P01\0Mbye\0\0"

static void
each_statement_on_a_connection_that_breaks_is_told_what_is_known_of_it(
    void **state)
{
	static const struct told cases[] = {
		{ SCRIPT(HELLO, GOOD, 0, true), 0, TORC_PG_UNKNOWN, "" },
		{ SCRIPT(HELLO, "", 0, true), -ECONNRESET, TORC_PG_UNKNOWN,
		    LOST },
		{ SCRIPT(HELLO, PREPARED ROW DONE, 0, true), -ECONNRESET,
		    TORC_PG_UNKNOWN, LOST },
		/* It failed, and the end of that is missing. */
		{ SCRIPT(HELLO, PREPARED FAILURE, 0, true), -EREMOTEIO,
		    TORC_PG_UNDONE, "no" },
		{ SCRIPT(HELLO, PREPARED FAILURE READY, 0, true), -EREMOTEIO,
		    TORC_PG_UNDONE, "no" },
		/* Whether that came before it or while it ran: who knows. */
		{ SCRIPT(HELLO, FATAL, 0, true), -ECONNRESET,
		    TORC_PG_UNKNOWN, "bye" },
		{ SCRIPT(HELLO, PREPARED ROW FATAL, 0, true), -ECONNRESET,
		    TORC_PG_UNKNOWN, "bye" },
		/* Nonsense in its answer is nothing to the others. */
		{ SCRIPT(HELLO, PREPARED ROW ROW READY, 0, false), -EPROTO,
		    TORC_PG_UNKNOWN, "not its protocol" },
		{ SCRIPT(HELLO, PREPARED ROW DONE "Z\0\0\0\x05T", 0, false),
		    -ECONNABORTED, TORC_PG_UNKNOWN, "transaction open" },
		/* Too long, and then gone: it may not have been done. */
		{ SCRIPT(HELLO, PREPARED "D\0\0\x10\0", 0, true),
		    -ECONNRESET, TORC_PG_UNKNOWN, LOST },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		told = &cases[i];
		play(&cases[i].script, (struct scene) {
		    .config = { .message_max = 1024 }, .play = ask_several });
	}
}

static int
use_a_lost_session(struct scene *scene)
{
	struct torc_pg_notification news;
	struct torc_pg_session *session;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_begin(session, &question, LATE) == -ECONNRESET);
	EXPECT(strcmp(torc_pg_session_error(session)->text, "\"select 42\": "
	    "the server closed or reset the connection before its end") == 0);
	/* What was said of it stays, whatever is asked. */
	EXPECT(torc_pg_session_run(session, "select 43", LATE) == -ECONNRESET);
	EXPECT(torc_pg_session_await_notification(session, &news, LATE) ==
	    -ECONNRESET);
	EXPECT(strncmp(torc_pg_session_error(session)->text, "\"select 42\"",
	    11) == 0);
	torc_pg_session_release(session);
	/* While nothing runs. */
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_error(session)->text[0] == '\0');
	EXPECT(torc_pg_session_await_notification(session, &news, LATE) ==
	    -ECONNRESET);
	EXPECT(strncmp(torc_pg_session_error(session)->text, "the connection "
	    "was lost: the server closed", 42) == 0);
	torc_pg_session_release(session);
	return 0;
}

/* The first one leaves as it is asked, the next one by itself. */
static int
leave_early(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	if (torc_conn_recv(conn, &in, LATE) <= 0 ||
	    torc_conn_write(conn, HELLO, sizeof(HELLO) - 1, LATE) < 0)
		return -1;
	torc_conn_consume(conn, in.size);
	if (accepted++ == 0)
		torc_conn_recv(conn, &in, LATE);
	else
		torc_conn_flush(conn, LATE);
	return TORC_CLOSE;
}

static void
each_call_on_a_lost_session_says_how_it_was_lost(void **state)
{
	(void)state;
	play_on(leave_early, (struct scene) { .play = use_a_lost_session });
}

/* ---- Two fibers at once ---- */

/* The first connection is let in and refuses what it is asked; others are
 * refused, each with its number. */
static int
refuse_by_number(struct torc_conn *conn, void *arg)
{
	const unsigned number = accepted++;
	char text[] = "E\0\0\0\x1dSFATAL\0C53300\0Mnumber 0\0";
	struct torc_slice in;

	(void)arg;
	text[sizeof(text) - 3] = (char)('0' + number);
	if (torc_conn_recv(conn, &in, LATE) <= 0)
		return -1;
	torc_conn_consume(conn, in.size);
	if (number > 0)
		return torc_conn_write(conn, text, sizeof(text), LATE);
	if (torc_conn_write(conn, HELLO, sizeof(HELLO) - 1, LATE) < 0)
		return -1;
	while (torc_conn_recv(conn, &in, LATE) > 0) {
		/* Each statement ends with a Sync. */
		for (const uint8_t *at = in.data; (at = memmem(at,
		    in.size - (size_t)(at - in.data), "S\0\0\0\x04", 5)) !=
		    NULL; at++)
			torc_conn_write(conn, PREPARED FAILURE READY,
			    sizeof(PREPARED FAILURE READY) - 1, LATE);
		torc_conn_consume(conn, in.size);
	}
	return TORC_CLOSE;
}

struct renter {
	struct torc_pg *pg;
	uint64_t id;
	struct torc_error error;
};

static int
rent(void *arg)
{
	struct renter *renter = arg;
	struct torc_pg_session *session;

	torc_pg_session_acquire(renter->pg, &session, &renter->error, LATE);
	return 0;
}

static int
fail_at_once(struct scene *scene)
{
	struct torc_pg_config config = scene->config;
	struct asker asker = { 0 }, late = { 0 };
	struct renter renter = { 0 }, again = { 0 };
	struct client_stats stats;
	struct torc_pg *pg;

	/* Longer than this takes: in between, nothing is tried. */
	config.retry_min_ms = config.retry_max_ms = 60000;
	config.shared = 2;
	/* Who waits for the second one has the first after twice this. */
	config.open_ms = 1000;
	config.unnamed = true;	/* each is parsed */
	EXPECT(torc_pg_create(&pg, &config, NULL) == 0);
	asker.pg = late.pg = renter.pg = again.pg = pg;
	ask_and_tell(&asker);
	EXPECT(asker.rc == -EREMOTEIO && accepted == 1);
	/* One whose connect fails, and one whose statement fails. */
	EXPECT(torc_fiber_spawn(&renter.id, rent, &renter) == 0);
	EXPECT(torc_fiber_spawn(&asker.id, ask_and_tell, &asker) == 0);
	EXPECT(torc_fiber_join(renter.id, NULL, LATE) == 0);
	EXPECT(torc_fiber_join(asker.id, NULL, LATE) == 0);
	EXPECT(strcmp(asker.text, "no") == 0);
	EXPECT(renter.error.code == -ECONNREFUSED && !renter.error.cut);
	EXPECT(strstr(renter.error.text, "53300: number 1") != NULL);
	/* Two at once make one try another shared connection, which fails; what
	 * is told of sessions is still what happened to them. */
	EXPECT(torc_fiber_spawn(&asker.id, ask_and_tell, &asker) == 0);
	EXPECT(torc_fiber_spawn(&late.id, ask_and_tell, &late) == 0);
	EXPECT(torc_fiber_join(asker.id, NULL, LATE) == 0);
	EXPECT(torc_fiber_join(late.id, NULL, LATE) == 0);
	while (read_stats(pg, &stats), stats.shared.failures == 0)
		torc_sleep(torc_after_ms(1));
	EXPECT(accepted == 3);
	EXPECT(strcmp(asker.text, "no") == 0 && strcmp(late.text, "no") == 0);
	rent(&again);
	EXPECT(again.error.code == -ECONNREFUSED);
	EXPECT(strcmp(again.error.text, renter.error.text) == 0);
	torc_pg_destroy(pg, TORC_NEVER);
	return 0;
}

static void
fibers_that_fail_at_once_are_told_each_its_own_error(void **state)
{
	(void)state;
	play_on(refuse_by_number, (struct scene) { .play = fail_at_once });
}

/* The statement fails; whether its connection is kept is another question. */
static int
fail_twice(struct scene *scene, unsigned connections)
{
	struct torc_pg_session *session;

	EXPECT(ask(scene->pg, LATE) == -EREMOTEIO);
	EXPECT(ask(scene->pg, LATE) == -EREMOTEIO);
	EXPECT(accepted == connections);
	for (int i = 0; i < 2; i++) {
		EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL,
		    LATE) == 0);
		EXPECT(torc_pg_session_begin(session, &question, LATE) ==
		    -EREMOTEIO);
		torc_pg_session_release(session);
	}
	EXPECT(accepted == 2 * connections);
	return 0;
}

static int
fail_on_one(struct scene *scene)
{
	return fail_twice(scene, 1);
}

static int
fail_on_two(struct scene *scene)
{
	return fail_twice(scene, 2);
}

#define ERROR_OF(state) "E\0\0\0\x17SERROR\0C" state "\0Mno\0\0" READY
#define READ_ONLY "S\0\0\0\x16in_hot_standby\0on\0"
#define HELLO_STANDBY LET_IN KEY READ_ONLY READY

/* That a statement failed says nothing of its connection, mostly. */
static void
a_connection_that_is_not_good_for_what_it_should_be_is_left(void **state)
{
	static const struct {
		struct script script;
		int (*play)(struct scene *scene);
	} cases[] = {
		{ SCRIPT(HELLO, ERROR_OF("22012"), 0, false), fail_on_one },
		{ SCRIPT(HELLO, ERROR_OF("57014"), 0, false), fail_on_one },
		{ SCRIPT(HELLO, ERROR_OF("25006"), 0, false), fail_on_two },
		{ SCRIPT(HELLO, ERROR_OF("57P03"), 0, false), fail_on_two },
		{ SCRIPT(HELLO, ERROR_OF("08006"), 0, false), fail_on_two },
		/* It had never said that it could. */
		{ SCRIPT(HELLO_STANDBY, ERROR_OF("25006"), 0, false),
		    fail_on_one },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++)
		play(&cases[i].script, (struct scene) {
		    .config = { .sessions = 1, .reset = "" },
		    .play = cases[i].play });
}

/* Whether a second try goes to the server at once. */
static int
try_twice(struct scene *scene, int rc, unsigned connections)
{
	struct torc_pg_config config = scene->config;
	struct torc_pg_session *session;
	struct torc_pg *pg;

	/* Longer than this test takes. */
	config.retry_min_ms = config.retry_max_ms = 60000;
	config.reset = "";
	EXPECT(torc_pg_create(&pg, &config, NULL) == 0);
	for (int i = 0; i < 3; i++)
		EXPECT(ask(pg, LATE) == rc);
	EXPECT(accepted == connections);
	accepted = 0;
	for (int i = 0; i < 3; i++) {
		int begun = torc_pg_session_acquire(pg, &session, NULL, LATE);

		if (begun == 0) {
			begun = torc_pg_session_begin(session, &question, LATE);
			torc_pg_session_release(session);
		}
		EXPECT(begun == rc);
	}
	EXPECT(accepted == connections);
	torc_pg_destroy(pg, TORC_NEVER);
	return 0;
}

static int
break_and_go_on(struct scene *scene)
{
	return try_twice(scene, -ECONNRESET, 3);
}

static int
fail_and_pause(struct scene *scene)
{
	return try_twice(scene, -ECONNREFUSED, 1);
}

/* What goes wrong with a statement is not a server that cannot be reached. */
static void
only_a_connection_that_cannot_be_opened_makes_others_pause(void **state)
{
	static const struct script breaks = SCRIPT(HELLO, "", 0, true);
	static const struct script refuses = SCRIPT(REFUSAL, "", 0, false);

	(void)state;
	play(&breaks, (struct scene) { .play = break_and_go_on });
	play(&refuses, (struct scene) { .play = fail_and_pause });
}

static int
ask_nobody(struct scene *scene)
{
	struct torc_pg_config config = scene->config;
	struct asker asker;

	config.address = "127.0.0.1:1";
	EXPECT(torc_pg_create(&asker.pg, &config, NULL) == 0);
	ask_and_tell(&asker);
	EXPECT(asker.rc == -ECONNREFUSED);
	EXPECT(asker.outcome == TORC_PG_UNSENT);
	EXPECT(strcmp(asker.text, "\"select 42\" was not sent: connect to "
	    "127.0.0.1:1: Connection refused") == 0);
	torc_pg_destroy(asker.pg, TORC_NEVER);
	return 0;
}

static void
a_statement_that_finds_no_server_is_told_that_it_was_not_sent(void **state)
{
	static const struct script silent = SCRIPT("", "", 0, false);

	(void)state;
	play(&silent, (struct scene) { .play = ask_nobody });
}

static int
ask_in_vain(struct scene *scene)
{
	uint64_t begun = now_ms();

	EXPECT(ask(scene->pg, torc_after_ms(60)) == -ETIMEDOUT);
	EXPECT(now_ms() - begun < 20000);
	/* What comes late is not taken for this one's. */
	torc_sleep(torc_after_ms(300));
	EXPECT(ask(scene->pg, LATE) == 0);
	EXPECT(accepted >= 2);
	return 0;
}

/* R-170, I71 */
static void
a_late_answer_ends_with_its_connection(void **state)
{
	static const struct script late = SCRIPT(HELLO,
	    PREPARED ROW DONE READY, 200, false);

	(void)state;
	play(&late, (struct scene) { .play = ask_in_vain });
}

static int
cancel_slowly(struct scene *scene)
{
	struct torc_pg_session *session;
	struct client_stats stats;

	overlapping = 0;
	hold_ms = 300;
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_run(session, "first", torc_after_ms(20)) ==
	    -ETIMEDOUT);
	/* The first one is over before its cancel is. */
	EXPECT(torc_pg_session_run(session, "second", LATE) == 0);
	read_stats(scene->pg, &stats);
	EXPECT(stats.own.cancels == 1 && overlapping == 0);
	torc_pg_session_release(session);
	return 0;
}

/* */
static void
a_cancel_is_waited_for_lest_it_hits_the_next_statement(void **state)
{
	static const struct script slow = SCRIPT(HELLO, DONE READY, 100,
	    false);

	(void)state;
	play(&slow, (struct scene) { .config = { .cancel_ms = 30000 },
	    .play = cancel_slowly });
}

static int
cancel_in_vain(struct scene *scene)
{
	struct torc_pg_session *session;

	hold_ms = 60000;
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_run(session, "first", torc_after_ms(20)) ==
	    -ETIMEDOUT);
	/* Whether the cancel hits the next one, nobody knows. */
	EXPECT(torc_pg_session_run(session, "second", torc_after_ms(10000)) ==
	    -ECONNABORTED);
	torc_pg_session_release(session);
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_run(session, "third", LATE) == 0);
	torc_pg_session_release(session);
	return 0;
}

static void
a_cancel_that_is_never_passed_on_costs_its_session_after_cancel_ms(
    void **state)
{
	static const struct script slow = SCRIPT(HELLO, DONE READY, 100,
	    false);

	(void)state;
	play(&slow, (struct scene) { .config = { .cancel_ms = 100 },
	    .play = cancel_in_vain });
}

/* ---- More to say than there is room for ---- */

#define LARGE (32u << 20)
#define CLOSED "3\0\0\0\x04"
#define PARSED "1\0\0\0\x04"
#define FAILED "E\0\0\0\x1eSERROR\0VERROR\0C42601\0Mno\0\0"
#define SAY(conn, text) torc_conn_write(conn, text, sizeof(text) - 1, LATE)

/* 16 MiB of notices. */
static int
chatter(struct torc_conn *conn)
{
	static uint8_t notice[65537] = "N\0\1\0\0SNOTICE\0C00000\0M";
	int rc = 0;

	memset(notice + 21, 'x', sizeof(notice) - 23);
	for (unsigned i = 0; rc == 0 && i < 256; i++)
		rc = torc_conn_write(conn, notice, sizeof(notice), LATE);
	return rc;
}

static bool refusing;

/* To what has hardly begun: it reads on when it has said all that. */
static int
talk_before_reading(struct torc_conn *conn)
{
	if (refusing)
		return SAY(conn, FAILED) < 0 || chatter(conn) < 0 ? -1 : 0;
	return SAY(conn, CLOSED) < 0 || chatter(conn) < 0 ||
	    SAY(conn, PARSED) < 0 || chatter(conn) < 0 ? -1 : 0;
}

/* Up to a Sync, which may come in pieces. */
static int
read_all(struct torc_conn *conn, bool talk)
{
	static const char sync[] = "S\0\0\0\x04";
	char last[5] = "";
	struct torc_slice in;

	while (memcmp(last, sync, 5) != 0) {
		if (torc_conn_recv(conn, &in, LATE) <= 0)
			return -1;
		for (size_t i = in.size < 5 ? 0 : in.size - 5; i < in.size;
		    i++) {
			memmove(last, last + 1, 4);
			last[4] = (char)in.data[i];
		}
		torc_conn_consume(conn, in.size);
		if (talk && talk_before_reading(conn) < 0)
			return -1;
		talk = false;
	}
	return 0;
}

static int
talk(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	if (torc_conn_recv(conn, &in, LATE) <= 0)
		return -1;
	torc_conn_consume(conn, in.size);
	if (SAY(conn, HELLO) < 0 || read_all(conn, false) < 0 ||
	    SAY(conn, GOOD) < 0 || read_all(conn, true) < 0)
		return -1;
	if (refusing)
		SAY(conn, READY);
	else
		SAY(conn, BOUND ROW DONE READY);
	while (torc_conn_recv(conn, &in, LATE) > 0)
		torc_conn_consume(conn, in.size);
	return TORC_CLOSE;
}

static int
ask_in_session(struct torc_pg_session *session,
    const struct torc_pg_statement *statement)
{
	struct torc_pg_row row;
	int rc =
	    torc_pg_session_begin(session, statement, torc_after_ms(20000));

	if (rc == 0)
		rc = torc_pg_session_next_row(session, &row, LATE);
	if (rc == 1)
		rc = memcmp(row.values[0].data, "42", 2) != 0 ? -EILSEQ :
		    torc_pg_session_end(session, LATE);
	return rc;
}

static int
say_much(struct scene *scene)
{
	char *text = calloc(1, LARGE);
	const struct torc_pg_param param = torc_pg_text_n(text, LARGE);
	const struct torc_pg_statement large = { "select $1", &param, 1,
		false };
	struct torc_pg_session *session;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(ask_in_session(session, &question) == 0);
	EXPECT(ask_in_session(session, &large) == scene->expected);
	EXPECT(torc_pg_session_state(session) == 'I');
	torc_pg_session_release(session);
	free(text);
	return 0;
}

static void
a_server_that_answers_the_beginning_and_talks_on_is_read_from(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		refusing = i == 1;
		play_on(talk, (struct scene) { .play = say_much,
		    .config = { .statements = 1, .message_max = 1 << 20,
		    .reset = "" }, .expected = refusing ? -EREMOTEIO : 0 });
	}
}

/* ---- The login ---- */

static int
fail_to_log_in(struct scene *scene)
{
	struct torc_pg_session *session;
	struct asker asker = { .pg = scene->pg };
	struct torc_error error;

	ask_and_tell(&asker);
	EXPECT(asker.rc == scene->expected);
	EXPECT(strstr(asker.text, scene->words) != NULL);
	EXPECT(torc_pg_session_acquire(scene->pg, &session, &error, LATE) ==
	    scene->expected);
	EXPECT(error.code == scene->expected);
	EXPECT(strstr(error.text, scene->words) != NULL);
	return 0;
}

/* */
static void
logins_that_are_weaker_than_demanded_or_odd_are_refused(void **state)
{
	static const struct {
		struct script script;
		bool require_scram;
		int expected;
		const char *words;
	} cases[] = {
		/* Less than what is demanded. */
		{ SCRIPT(ASK_CLEAR, HELLO, 0, false), false, -EACCES,
		    "clear text" },
		{ SCRIPT(ASK_CLEAR, HELLO, 0, false), true, -EACCES,
		    "required" },
		{ SCRIPT(ASK_MD5, HELLO, 0, false), true, -EACCES,
		    "required" },
		{ SCRIPT(HELLO, "", 0, false), true, -EACCES, "required" },
		/* It lets us in without its proof, or with a wrong one. */
		{ SCRIPT(ASK_SCRAM, HELLO, 0, false), false, -EACCES,
		    "did not prove" },
		{ SCRIPT(ASK_SCRAM, FINAL HELLO, 0, false), false, -EPROTO,
		    "not its protocol" },
		/* It changes its mind. */
		{ SCRIPT(ASK_SCRAM, ASK_MD5, 0, false), false, -EACCES,
		    "changed the method" },
		{ SCRIPT(ASK_OTHER, HELLO, 0, false), false, -EACCES,
		    "does not offer" },
		{ SCRIPT(ASK_KERBEROS, HELLO, 0, false), false, -EOPNOTSUPP,
		    "method 7" },
		/* Not in order, not a message, too long, not now. */
		{ SCRIPT(KEY HELLO, "", 0, false), false, -EPROTO,
		    "not its protocol" },
		{ SCRIPT(READY, "", 0, false), false, -EPROTO,
		    "not its protocol" },
		{ SCRIPT("HTTP/1.1 400 Bad Request\r\n\r\n", "", 0, false),
		    false, -EPROTO, "not its protocol" },
		{ SCRIPT(LET_IN LET_IN, "", 0, false), false, -EPROTO,
		    "not its protocol" },
		{ SCRIPT(LET_IN NEWER KEY READY, GOOD, 0, false), false,
		    -EPROTO, "not its protocol" },
		{ SCRIPT(LET_IN ROW, "", 0, false), false, -EPROTO,
		    "not its protocol" },
		{ SCRIPT(CHALLENGE, "", 0, false), false, -EPROTO,
		    "not its protocol" },
		/* A refusal, and one that is cut off. */
		{ SCRIPT(REFUSAL, "", 0, false), false, -ECONNREFUSED,
		    "57P03: starting up" },
		{ SCRIPT("E\0\0\0\x06SF", "", 0, false), false, -EPROTO,
		    "not its protocol" },
		{ SCRIPT(ASK_MD5, "", 0, true), false, -ECONNRESET,
		    "closed or reset" },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++)
		play(&cases[i].script, (struct scene) {
		    .config = { .password = "secret",
		    .require_scram = cases[i].require_scram },
		    .expected = cases[i].expected, .words = cases[i].words,
		    .play = fail_to_log_in });
}

/* A71, R-173, I76 */
static void
a_wrong_proof_of_the_server_and_a_costly_challenge_are_refused(void **state)
{
	static const struct script asks = SCRIPT(ASK_SCRAM, "", 0, false);
	static const struct {
		const char *challenge;
		int expected;
		const char *words;
	} cases[] = {
		{ "x,s=c2FsdA==,i=4096", -EACCES, "did not prove" },
		{ "x,s=c2FsdA==,i=2147483647", -EACCES, "iterations_max" },
		{ "x,s=c2FsdA==,i=0", -EPROTO, "not its protocol" },
		{ ",s=c2FsdA==,i=4096", -EPROTO, "not its protocol" },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		challenge = cases[i].challenge;
		play(&asks, (struct scene) {
		    .config = { .password = "secret" },
		    .expected = cases[i].expected, .words = cases[i].words,
		    .play = fail_to_log_in });
	}
	challenge = NULL;
}

static int
wait_for_startup(struct scene *scene)
{
	static const struct script good = SCRIPT(HELLO,
	    PREPARED ROW DONE READY, 0, false);
	struct asker asker = { .pg = scene->pg };
	uint64_t begun = now_ms();

	/* By who asks, whose time is shorter; and by the bound. */
	EXPECT(ask(scene->pg, torc_after_ms(20)) == -ETIMEDOUT);
	ask_and_tell(&asker);
	EXPECT(asker.rc == -ETIMEDOUT);
	EXPECT(strstr(asker.text, "no answer in time"));
	EXPECT(now_ms() - begun < 30000);
	script = &good;
	while (ask(scene->pg, LATE) != 0) {
		EXPECT(now_ms() - begun < 30000);
		torc_sleep(torc_after_ms(5));
	}
	return 0;
}

/* A69, I70 */
static void
a_startup_that_never_answers_ends_and_the_next_one_succeeds(void **state)
{
	static const struct script silent = SCRIPT("", "", 0, false);

	(void)state;
	play(&silent, (struct scene) { .config = { .open_ms = 100 },
	    .play = wait_for_startup });
}

static int
dial_the_dead(struct scene *scene)
{
	struct torc_pg_config config = scene->config;
	struct torc_pg_session *session;
	struct torc_error error;
	struct torc_pg *pg;

	/* Nobody listens there. */
	config.address = "127.0.0.1:1";
	EXPECT(torc_pg_create(&pg, &config, NULL) == 0);
	EXPECT(torc_pg_session_acquire(pg, &session, &error, LATE) ==
	    -ECONNREFUSED);
	EXPECT(strncmp(error.text, "connect to", 10) == 0);
	torc_pg_destroy(pg, TORC_NEVER);
	return 0;
}

/* A69, I70 */
static void
no_connection_and_no_startup_have_words_of_their_own(void **state)
{
	static const struct script silent = SCRIPT("", "", 0, false);

	(void)state;
	play(&silent, (struct scene) { .play = dial_the_dead });
}

static int
configure(struct scene *scene)
{
	struct torc_pg_config config = scene->config;
	struct torc_error error;
	struct torc_pg *pg;

	config.statements = 70000;
	EXPECT(torc_pg_create(&pg, &config, &error) == -EINVAL);
	EXPECT(error.code == -EINVAL && !error.cut);
	EXPECT(strstr(error.text, "statements = 70000: must be ") != NULL);
	config.statements = 0;
	config.user = NULL;
	EXPECT(torc_pg_create(&pg, &config, &error) == -EINVAL);
	EXPECT(error.code == -EINVAL && !error.cut);
	EXPECT(strstr(error.text, "user") != NULL);
	config.user = "user";
	config.retry_min_ms = 70000;
	EXPECT(torc_pg_create(&pg, &config, &error) == -EINVAL);
	EXPECT(error.code == -EINVAL && !error.cut);
	EXPECT(strstr(error.text, "retry_min_ms") != NULL);
	return 0;
}

/* What a program has that was compiled for a later version. */
struct later {
	struct torc_pg_config config;
	uint64_t added;
};

static int
configure_from_other_versions(struct scene *scene)
{
	struct later later = { .config = scene->config };
	uint64_t numbers[16];
	struct torc_error error;
	struct torc_pg *pg;

	later.config.statements = 70000;
	/* It ended before this field. */
	EXPECT(torc_pg_create_sized(&pg, &later.config,
	    offsetof(struct torc_pg_config, statements), &error) == 0);
	memset(numbers, 0xff, sizeof(numbers));
	torc_pg_stats_read_sized(pg, (struct torc_pg_stats *)(void *)numbers,
	    sizeof(numbers));
	for (unsigned i = 0; i < COUNT(numbers); i++)
		EXPECT(numbers[i] == 0);
	torc_pg_destroy(pg, TORC_NEVER);
	later.config.statements = 0;
	EXPECT(torc_pg_create_sized(&pg, &later.config, sizeof(later),
	    &error) == 0);
	torc_pg_destroy(pg, TORC_NEVER);
	later.added = 1;
	EXPECT(torc_pg_create_sized(&pg, &later.config, sizeof(later),
	    &error) == -EINVAL);
	EXPECT(strstr(error.text, "torc_pg_config") != NULL);
	return 0;
}

static void
a_configuration_of_another_version_is_taken_unless_it_asks_for_more(
    void **state)
{
	static const struct script silent = SCRIPT("", "", 0, false);

	(void)state;
	play(&silent, (struct scene) { .play = configure_from_other_versions });
}

static void
a_configuration_that_cannot_be_is_refused_by_name(void **state)
{
	static const struct script silent = SCRIPT("", "", 0, false);

	(void)state;
	play(&silent, (struct scene) { .play = configure });
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_that_make_no_sense_end_the_connection),
		cmocka_unit_test(
		    answers_to_a_batch_are_as_many_as_its_statements_or_end_it),
		cmocka_unit_test(
		    what_comes_behind_an_answer_is_news_a_farewell_or_the_end),
		cmocka_unit_test(
		    each_statement_on_a_connection_that_breaks_is_told_what_is_known_of_it),
		cmocka_unit_test(
		    each_call_on_a_lost_session_says_how_it_was_lost),
		cmocka_unit_test(
		    fibers_that_fail_at_once_are_told_each_its_own_error),
		cmocka_unit_test(
		    a_connection_that_is_not_good_for_what_it_should_be_is_left),
		cmocka_unit_test(
		    only_a_connection_that_cannot_be_opened_makes_others_pause),
		cmocka_unit_test(
		    a_statement_that_finds_no_server_is_told_that_it_was_not_sent),
		cmocka_unit_test(a_late_answer_ends_with_its_connection),
		cmocka_unit_test(
		    a_cancel_is_waited_for_lest_it_hits_the_next_statement),
		cmocka_unit_test(
		    a_cancel_that_is_never_passed_on_costs_its_session_after_cancel_ms),
		cmocka_unit_test(
		    a_server_that_answers_the_beginning_and_talks_on_is_read_from),
		cmocka_unit_test(
		    logins_that_are_weaker_than_demanded_or_odd_are_refused),
		cmocka_unit_test(
		    a_wrong_proof_of_the_server_and_a_costly_challenge_are_refused),
		cmocka_unit_test(
		    a_startup_that_never_answers_ends_and_the_next_one_succeeds),
		cmocka_unit_test(
		    no_connection_and_no_startup_have_words_of_their_own),
		cmocka_unit_test(
		    a_configuration_that_cannot_be_is_refused_by_name),
		cmocka_unit_test(
		    a_configuration_of_another_version_is_taken_unless_it_asks_for_more),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("pg_liars", tests, NULL, NULL);
}
