/* SPDX-License-Identifier: MIT */
/*
 * test_pg_words.c - what fibers are told when something goes wrong: each its
 * own words, whole, and about its own statement.
 */
#include "tests/pg/scene.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Whole texts ---- */

#define LONG 10240

/* `before`, and "ä" so often that it has `size` bytes or one more. */
static char *
make_words(const char *before, size_t size)
{
	char *words = malloc(size + 3);

	strcpy(words, before);
	while (strlen(words) < size)
		strcat(words, "\u00e4");
	return words;
}

/* A statement that raises an exception or a notice with these words. */
static char *
raise_words(const char *level, const char *words)
{
	char *sql = malloc(2 * strlen(words) + 200);

	sprintf(sql, "do $$ begin raise %s '%s' using detail = '%s', "
	    "hint = 'a hint'; end $$", level, words, words);
	return sql;
}

static bool
is_whole(const struct torc_pg_error *error, const char *words)
{
	return !error->cut && strcmp(error->text, words) == 0 &&
	    strcmp(error->detail, words) == 0 &&
	    strcmp(error->hint, "a hint") == 0 &&
	    strstr(error->context, "inline_code_block") != NULL &&
	    error->table[0] == '\0';
}

static char noticed[LONG + 8];
static bool notice_was_cut;

static void
keep_notice(struct torc_pg *pg, const struct torc_pg_error *notice, void *arg)
{
	(void)pg;
	(void)arg;
	notice_was_cut = notice->cut;
	snprintf(noticed, sizeof(noticed), "%s", notice->text);
}

static int
hear_all(struct scene *scene)
{
	char *words = make_words("", LONG);
	char *exception = raise_words("exception", words);
	char *notice = raise_words("notice", words);
	struct torc_pg_session *session;
	struct torc_pg_result *result;

	EXPECT(ask(scene->pg, exception, &result) == -EREMOTEIO);
	EXPECT(is_whole(torc_pg_result_error(result), words));
	torc_pg_result_free(result);
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_run(session, exception, LATE) == -EREMOTEIO);
	EXPECT(is_whole(torc_pg_session_error(session), words));
	EXPECT(torc_pg_session_run(session, notice, LATE) == 0);
	EXPECT(!notice_was_cut && strcmp(noticed, words) == 0);
	/* What went well has no words. */
	EXPECT(torc_pg_session_error(session)->text[0] == '\0');
	torc_pg_session_release(session);
	free(words);
	free(exception);
	free(notice);
	return 0;
}

static void
words_of_the_server_are_whole(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .notice = keep_notice }, hear_all);
}

/* It is a beginning of the words, of at least `least` bytes and of whole
 * characters. */
static bool
is_beginning(const char *text, const char *words, size_t least)
{
	const size_t size = strlen(text);

	return size >= least && size < strlen(words) &&
	    memcmp(text, words, size) == 0 &&
	    ((unsigned char)words[size] & 0xc0) != 0x80;
}

#define MESSAGE_MAX 4096

static bool
hears_beginning(struct torc_pg *pg, struct torc_pg_session *session,
    const char *before)
{
	char *words = make_words(before, LONG);
	char *exception = raise_words("exception", words);
	struct torc_pg_result *result;
	const struct torc_pg_error *error;
	bool so = ask(pg, exception, &result) == -EREMOTEIO;

	error = torc_pg_result_error(result);
	so = so && error->cut && strcmp(error->state, "P0001") == 0 &&
	    error->detail[0] == '\0' &&
	    is_beginning(error->text, words, MESSAGE_MAX - 100);
	torc_pg_result_free(result);
	so = so && torc_pg_session_run(session, exception, LATE) == -EREMOTEIO;
	error = torc_pg_session_error(session);
	so = so && error->cut && strcmp(error->state, "P0001") == 0 &&
	    is_beginning(error->text, words, MESSAGE_MAX - 100);
	free(words);
	free(exception);
	return so;
}

static int
hear_beginnings(struct scene *scene)
{
	char *words = make_words("", LONG);
	char *notice = raise_words("notice", words);
	struct torc_pg_session *session;

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	/* It is cut before a character, and within one. */
	EXPECT(hears_beginning(scene->pg, session, ""));
	EXPECT(hears_beginning(scene->pg, session, "x"));
	EXPECT(torc_pg_session_run(session, notice, LATE) == 0);
	EXPECT(notice_was_cut);
	EXPECT(is_beginning(noticed, words, MESSAGE_MAX - 100));
	/* The connections go on, and an error that fits is whole. */
	EXPECT(session_says(session, "select 7", "7"));
	EXPECT(says(scene->pg, "select 7", "7"));
	EXPECT(torc_pg_session_run(session, "select nothing", LATE) ==
	    -EREMOTEIO);
	EXPECT(!torc_pg_session_error(session)->cut);
	torc_pg_session_release(session);
	free(words);
	free(notice);
	return 0;
}

static void
of_words_that_are_longer_than_a_message_may_be_the_beginning_is_told(
    void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .message_max = MESSAGE_MAX,
	    .notice = keep_notice, .reset = "" }, hear_beginnings);
}

/* ---- What happened to which statement ---- */

#define SLEEP "select pg_sleep(100)"

struct fiber {
	struct scene *scene;
	uint64_t id;
	int rc;
	char text[1100];
};

static void
keep_words(struct fiber *fiber, const struct torc_pg_error *error)
{
	snprintf(fiber->text, sizeof(fiber->text), "%s", error->text);
}

static int
sleep_in_a_query(void *arg)
{
	struct fiber *fiber = arg;
	struct torc_pg_result *result;

	fiber->rc = ask(fiber->scene->pg, SLEEP, &result);
	keep_words(fiber, torc_pg_result_error(result));
	torc_pg_result_free(result);
	return 0;
}

static int
sleep_in_a_session(void *arg)
{
	struct fiber *fiber = arg;
	struct torc_pg_session *session;

	fiber->rc = torc_pg_session_acquire(fiber->scene->pg, &session, NULL,
	    LATE);
	if (fiber->rc < 0)
		return 0;
	fiber->rc = torc_pg_session_run(session, SLEEP, LATE);
	keep_words(fiber, torc_pg_session_error(session));
	torc_pg_session_release(session);
	return 0;
}

/*
 * A batch, whose deadline passes when it was sent: a short one, unless it takes
 * longer to open a connection for it.
 */
static int
expire_sent(struct torc_pg *pg, const struct torc_pg_statement *batch,
    unsigned count, struct torc_pg_result **result)
{
	uint64_t ms = 50;
	int rc = torc_pg_batch(pg, batch, count, result, torc_after_ms(ms));

	while (rc == -ETIMEDOUT && ms < 10000 &&
	    torc_pg_result_error(*result)->outcome == TORC_PG_UNSENT) {
		torc_pg_result_free(*result);
		ms *= 2;
		rc = torc_pg_batch(pg, batch, count, result,
		    torc_after_ms(ms));
	}
	return rc;
}

/* Until `count` statements sleep in the server. */
static bool
await_sleepers(struct scene *scene, const char *count)
{
	struct torc_pg_session *session;
	bool there = false;

	if (torc_pg_session_acquire(scene->pg, &session, NULL, LATE) < 0)
		return false;
	for (unsigned i = 0; i < 1000 && !there; i++) {
		there = session_says(session, "select count(*) from "
		    "pg_stat_activity where query = '" SLEEP "' and "
		    "state = 'active'", count);
		if (!there)
			torc_sleep(torc_after_ms(10));
	}
	torc_pg_session_release(session);
	return there;
}

static int
expire(struct scene *scene)
{
	const struct torc_pg_statement batch[] = {
		plain("\n\tselect\n1 as a_name_that_makes_it_longer_than_what_"
		    "is_told_of_them"), plain(SLEEP) };
	struct torc_pg_session *session, *other;
	struct torc_pg_result *result;
	struct torc_error error;

	EXPECT(expire_sent(scene->pg, &batch[1], 1, &result) == -ETIMEDOUT);
	EXPECT(strcmp(torc_pg_result_error(result)->text, "\"" SLEEP "\" may "
	    "have been done: the deadline passed before it was answered") == 0);
	torc_pg_result_free(result);
	EXPECT(expire_sent(scene->pg, batch, 2, &result) == -ETIMEDOUT);
	EXPECT(strcmp(torc_pg_result_error(result)->text, "\"select 1 as "
	    "a_name_that_makes_it_longer_than_what_is_told_of...\" and 1 more "
	    "may have been done: the deadline passed before it was answered") ==
	    0);
	torc_pg_result_free(result);
	EXPECT(torc_pg_batch(scene->pg, batch, 0, &result, LATE) == -EINVAL);
	EXPECT(strstr(torc_pg_result_error(result)->text, "0 statements"));
	EXPECT(torc_pg_result_error(result)->outcome == TORC_PG_UNSENT);
	torc_pg_result_free(result);

	EXPECT(torc_pg_session_acquire(scene->pg, &session, &error, LATE) == 0);
	EXPECT(error.code == 0 && error.text[0] == '\0');
	EXPECT(torc_pg_session_run(session, SLEEP, torc_after_ms(50)) ==
	    -ETIMEDOUT);
	EXPECT(strcmp(torc_pg_session_error(session)->text, "\"" SLEEP "\": "
	    "the deadline passed before its end, and the server was asked to "
	    "end it") == 0);
	EXPECT(torc_pg_session_end(session, LATE) == -EREMOTEIO);
	EXPECT(strcmp(torc_pg_session_error(session)->state, "57014") == 0);
	/* The same of a prepared one. */
	EXPECT(torc_pg_session_begin(session, &batch[1], torc_after_ms(50)) ==
	    -ETIMEDOUT);
	EXPECT(strstr(torc_pg_session_error(session)->text, "\"" SLEEP "\": "
	    "the deadline passed before its end") != NULL);
	EXPECT(torc_pg_session_acquire(scene->pg, &other, &error,
	    torc_after_ms(50)) == -ETIMEDOUT);
	EXPECT(error.code == -ETIMEDOUT);
	EXPECT(strcmp(error.text, "the deadline passed before a connection was "
	    "free or open") == 0);
	torc_pg_session_release(session);
	return 0;
}

static void
what_is_out_of_time_is_told_as_which_statement_and_how_far_it_came(
    void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .sessions = 1 }, expire);
}

static int
cancel_both(struct scene *scene)
{
	struct fiber fibers[2] = { { .scene = scene }, { .scene = scene } };

	EXPECT(torc_fiber_spawn(&fibers[0].id, sleep_in_a_query,
	    &fibers[0]) == 0);
	EXPECT(torc_fiber_spawn(&fibers[1].id, sleep_in_a_session,
	    &fibers[1]) == 0);
	EXPECT(await_sleepers(scene, "2"));
	for (unsigned i = 0; i < 2; i++) {
		torc_fiber_cancel(fibers[i].id);
		EXPECT(torc_fiber_join(fibers[i].id, NULL, LATE) == 0);
		EXPECT(fibers[i].rc == -ECANCELED);
	}
	EXPECT(strcmp(fibers[0].text, "\"" SLEEP "\" may have been done: the "
	    "fiber was cancelled before it was answered") == 0);
	EXPECT(strcmp(fibers[1].text, "\"" SLEEP "\": the fiber was cancelled "
	    "before its end, and the server was asked to end it") == 0);
	return 0;
}

static void
a_fiber_that_is_cancelled_is_told_so(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 }, cancel_both);
}

#define END_ALL "select pg_terminate_backend(pid) from pg_stat_activity " \
	"where pid <> pg_backend_pid() and usename = 'torc'"

static int
lose_both(struct scene *scene)
{
	struct fiber fibers[2] = { { .scene = scene }, { .scene = scene } };
	struct torc_pg_session *session;

	EXPECT(torc_fiber_spawn(&fibers[0].id, sleep_in_a_query,
	    &fibers[0]) == 0);
	EXPECT(torc_fiber_spawn(&fibers[1].id, sleep_in_a_session,
	    &fibers[1]) == 0);
	EXPECT(await_sleepers(scene, "2"));
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_run(session, END_ALL, LATE) == 0);
	for (unsigned i = 0; i < 2; i++) {
		EXPECT(torc_fiber_join(fibers[i].id, NULL, LATE) == 0);
		EXPECT(fibers[i].rc == -ECONNRESET ||
		    fibers[i].rc == -EREMOTEIO);
		/* The server has said why. */
		EXPECT(strstr(fibers[i].text, "terminating connection") !=
		    NULL);
	}
	torc_pg_session_release(session);
	return 0;
}

static void
who_loses_a_connection_is_told_what_the_server_said_last(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 }, lose_both);
}

static int
wait_for_news(struct scene *scene)
{
	struct torc_pg_notification news;
	struct torc_pg_session *session;
	char *name = make_words("", 600);

	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	EXPECT(torc_pg_session_listen(session, name, LATE) == -ENAMETOOLONG);
	EXPECT(strstr(torc_pg_session_error(session)->text,
	    "600 bytes: must have at most") != NULL);
	EXPECT(torc_pg_session_listen(session, "news", LATE) == 0);
	EXPECT(torc_pg_session_await_notification(session, &news,
	    torc_after_ms(20)) == -ETIMEDOUT);
	EXPECT(strcmp(torc_pg_session_error(session)->text, "the deadline "
	    "passed before a notification came") == 0);
	torc_pg_session_release(session);
	free(name);
	return 0;
}

static void
a_channel_that_cannot_be_and_news_that_do_not_come_have_words(void **state)
{
	(void)state;
	play_with((struct torc_pg_config) { .shared = 1 }, wait_for_news);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_of_the_server_are_whole),
		cmocka_unit_test(
		    of_words_that_are_longer_than_a_message_may_be_the_beginning_is_told),
		cmocka_unit_test(
		    what_is_out_of_time_is_told_as_which_statement_and_how_far_it_came),
		cmocka_unit_test(a_fiber_that_is_cancelled_is_told_so),
		cmocka_unit_test(
		    who_loses_a_connection_is_told_what_the_server_said_last),
		cmocka_unit_test(
		    a_channel_that_cannot_be_and_news_that_do_not_come_have_words),
	};

	return scene_main("pg_words", tests, COUNT(tests));
}
