/* SPDX-License-Identifier: MIT */
/*
 * clients_pg.c - the client of PostgreSQL asks backend_pg.c, in all the ways
 * that there are: over shared connections, in sessions and transactions, by
 * COPY, for notifications. It gives up in the middle, and goes on.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/pg/auth.h"
#include "conn/pg/client.h"
#include "conn/pg/result.h"
#include "sys/sys.h"
#include "tests/sim/backend_pg.h"
#include "tests/pg/stats.h"

#define VARIANTS 5u		/* of a statement: more than are kept */
#define STATEMENTS 3u
#define BATCH_MOST 6u
#define GIVEN_UP 1		/* with the deadline of a part of it */

/* ---- Randomness, for nonces ---- */

int
torc_sys_random(void *data, size_t size)
{
	const uint32_t key = new_key();

	for (size_t i = 0; i < size; i++)
		((uint8_t *)data)[i] = stream_byte(key, i);
	return 0;
}

/* libcrypto makes itself ready when it is first used, with a large stack. */
void
reset_pg(void)
{
	static bool ready;
	struct pg_scram scram = { .password = "", .iterations = 1 };
	char digest[PG_MD5_SIZE];

	if (!ready)
		ready = torc_pg_scram_derive(&scram) == 0 &&
		    torc_pg_md5(digest, "", "", (const uint8_t *)"salt") == 0;
	reset_pg_backend();
}

/* ---- Questions, and what comes back ---- */

struct question {
	uint32_t variant;
	uint32_t key;
	uint32_t size;
	uint32_t rows;
	uint32_t transaction;
	uint32_t padding;
	uint32_t got;		/* rows */
};

static struct question
new_question(uint32_t transaction)
{
	const bool large = peer_draw(8) == 0;

	return (struct question) {
		.variant = peer_draw(VARIANTS),
		.key = new_key(),
		.size = large ? peer_draw(ROW_MAX) : peer_draw(50),
		.rows = peer_draw(4),
		.transaction = transaction,
		.padding = peer_draw(3) == 0 ? peer_draw(PADDING_MAX) :
		    peer_draw(20),
	};
}

/* A statement with its parameters, where they stay. */
struct phrase {
	char sql[16];
	uint8_t padding[PADDING_MAX];
	struct torc_pg_param params[5];
	struct torc_pg_statement statement;
};

static void
phrase_get(struct phrase *phrase, const struct question *question)
{
	snprintf(phrase->sql, sizeof(phrase->sql), "select %u",
	    question->variant);
	for (uint32_t i = 0; i < question->padding; i++)
		phrase->padding[i] = stream_byte(question->key, i);
	phrase->params[0] = torc_pg_int4((int32_t)question->key);
	phrase->params[1] = torc_pg_int4((int32_t)question->size);
	phrase->params[2] = torc_pg_int4((int32_t)question->rows);
	phrase->params[3] = torc_pg_int4((int32_t)question->transaction);
	phrase->params[4] = torc_pg_bytea(phrase->padding, question->padding);
	phrase->statement = (struct torc_pg_statement) {
		.sql = phrase->sql,
		.params = phrase->params,
		.param_count = 5,
		.binary = question->key % 2 == 0,
	};
}

/* "update", which fails, and "stray", of a key. */
static void
phrase_word(struct phrase *phrase, const char *word, uint32_t key)
{
	phrase->params[0] = torc_pg_int4((int32_t)key);
	phrase->statement = (struct torc_pg_statement) {
		.sql = word,
		.params = phrase->params,
		.param_count = 1,
	};
}

static void
compare_columns(const struct torc_pg_column *columns, unsigned count,
    const struct question *question)
{
	char name[16];

	snprintf(name, sizeof(name), "key%u", question->variant);
	if (count != 2 || strcmp(columns[0].name, name) != 0 ||
	    strcmp(columns[1].name, "body") != 0)
		broken("the columns of question %u are another's",
		    question->key);
}

static void
compare_row(const struct torc_pg_column *columns,
    const struct torc_pg_row *row, struct question *question)
{
	const struct torc_slice *body = &row->values[1];
	const uint32_t from = question->got++ * question->size;
	int64_t key = 0;

	if (torc_pg_read_int(&columns[0], row->values[0], &key) < 0 ||
	    key != question->key || body->size != question->size)
		broken("a row for question %u is one of %d", question->key,
		    (int)key);
	for (uint32_t i = 0; i < question->size; i++) {
		if (body->data[i] != stream_byte(~question->key, from + i))
			broken("byte %u of the rows for question %u is wrong",
			    from + i, question->key);
	}
}

static void
compare_end(const struct question *question, uint64_t affected)
{
	if (question->got != question->rows || affected != question->rows)
		broken("question %u has %u rows of %u", question->key,
		    question->got, question->rows);
}

/* Without memory for them, its words are missing, or their end. */
static bool
tells(const struct torc_pg_error *error, const char *text)
{
	static const char none[] = "no memory for the text of ";

	return strcmp(error->text, text) == 0 || (error->cut &&
	    strncmp(error->text, text, strlen(error->text)) == 0) ||
	    strncmp(error->text, none, sizeof(none) - 1) == 0;
}

/* Whoever is refused asked for it, or belongs to those who are. */
static void
compare_failure(const struct torc_pg_error *error, uint32_t key)
{
	char text[24];

	snprintf(text, sizeof(text), "%u fails", key);
	if (strcmp(error->state, "57014") == 0)
		broken("question %u has the cancel of another one", key);
	if (strcmp(error->state, "P0001") == 0 && !tells(error, text))
		broken("question %u has the failure of another one", key);
}

static void
see_notice(struct torc_pg *pg, const struct torc_pg_error *notice, void *arg)
{
	(void)pg;
	(void)arg;
	if (strcmp(notice->text, NOTICE) != 0 && !notice->cut &&
	    strstr(notice->text, "the server's message") == NULL)
		broken("a notice is not what was sent: %s", notice->text);
}

/* ---- What is above the bounds ---- */

/* The header, a count, and each value behind its length. */
static uint32_t
row_size(const struct question *question)
{
	char text[16];
	const uint32_t key_size = question->key % 2 == 0 ? 4 :
	    (uint32_t)snprintf(text, sizeof(text), "%d", (int)question->key);

	return 5 + 2 + 4 + key_size + 4 + question->size;
}

static bool
is_row_too_long(const struct question *question)
{
	return row_size(question) > MESSAGE_MAX;
}

/* As it is kept: a length in the place of the header. */
static uint32_t
result_size(const struct question *question)
{
	return question->rows * (row_size(question) - 1);
}

static bool
is_too_much(const struct question *question)
{
	return (question->rows > 0 && is_row_too_long(question)) ||
	    result_size(question) > RESULT_MAX;
}

/* ---- What they are told ---- */

/* It must be true of each of them, now and later. */
static void
check_outcome(int rc, const struct torc_pg_result *result,
    const struct question *questions, uint32_t count)
{
	const enum torc_pg_outcome outcome = result == NULL ?
	    TORC_PG_UNKNOWN : torc_pg_result_error(result)->outcome;

	for (uint32_t i = 0; i < count; i++) {
		const uint32_t key = questions[i].key;

		if (rc < 0 && (outcome == TORC_PG_UNSENT ||
		    outcome == TORC_PG_UNDONE))
			rule_out(key);
		else if ((rc == 0 || outcome == TORC_PG_DONE) &&
		    !is_committed(key))
			broken("question %u is not done, and said to be", key);
	}
	/* But for want of memory for it. */
	if (rc < 0 && result != NULL && result->fault != NULL &&
	    pg_fault_is_mute(result->fault))
		broken("question %u fails without a word", questions[0].key);
}

/* ---- Over shared connections ---- */

static void
compare_result(struct torc_pg_result *result, struct question *question)
{
	const struct torc_pg_column *columns = torc_pg_result_columns(result);
	struct torc_pg_row row;

	compare_columns(columns, torc_pg_result_column_count(result), question);
	while (torc_pg_result_next_row(result, &row))
		compare_row(columns, &row, question);
	compare_end(question, torc_pg_result_affected(result));
}

static int
ask_shared(struct torc_pg *pg, struct question question, torc_deadline deadline)
{
	struct torc_pg_result *result;
	struct phrase phrase;
	int rc;

	phrase_get(&phrase, &question);
	begin_fate(question.key);
	rc = torc_pg_query(pg, &phrase.statement, &result, deadline);
	check_time(deadline, "a query");
	check_outcome(rc, result, &question, 1);
	if (rc == -EMSGSIZE && !is_too_much(&question))
		broken("question %u asks for too much, by another one's "
		    "account", question.key);
	if (rc == 0)
		compare_result(result, &question);
	else if (result != NULL)
		compare_failure(torc_pg_result_error(result), question.key);
	torc_pg_result_free(result);
	return rc == -EMSGSIZE ? 0 : rc;
}

static int
ask_to_fail(struct torc_pg *pg, torc_deadline deadline)
{
	const uint32_t key = new_key();
	struct torc_pg_result *result;
	struct phrase phrase;
	int rc;

	phrase_word(&phrase, "update", key);
	rc = torc_pg_query(pg, &phrase.statement, &result, deadline);
	check_time(deadline, "a query");
	if (rc == 0)
		broken("question %u does not fail", key);
	/* A login may be refused in words that there is no memory for. */
	if (rc == -EREMOTEIO && result->fault != NULL &&
	    result->fault->error.outcome != TORC_PG_UNDONE &&
	    result->fault->error.outcome != TORC_PG_UNSENT)
		broken("question %u may have been done", key);
	if (result != NULL)
		compare_failure(torc_pg_result_error(result), key);
	if (rc == -EREMOTEIO && strcmp(torc_pg_result_error(result)->state,
	    "P0001") == 0)
		rc = 0;
	torc_pg_result_free(result);
	return rc;
}

/* Statements of one transaction, one of which may be to fail. */
struct batch {
	uint32_t count;
	uint32_t failing;	/* `count`: none of them */
	struct question questions[BATCH_MOST];
	struct phrase phrases[BATCH_MOST];
	struct torc_pg_statement statements[BATCH_MOST];
};

static void
make_batch(struct batch *batch)
{
	batch->count = 1 + peer_draw(BATCH_MOST);
	batch->failing = peer_draw(3) == 0 ? peer_draw(batch->count) :
	    batch->count;
	for (uint32_t i = 0; i < batch->count; i++) {
		struct phrase *phrase = &batch->phrases[i];

		batch->questions[i] = new_question(0);
		begin_fate(batch->questions[i].key);
		if (i == batch->failing)
			phrase_word(phrase, "update", batch->questions[i].key);
		else
			phrase_get(phrase, &batch->questions[i]);
		batch->statements[i] = phrase->statement;
	}
}

static int
compare_batch_failure(struct torc_pg_result *result, struct batch *batch,
    int rc)
{
	const struct torc_pg_error *error = torc_pg_result_error(result);
	struct torc_pg_row row;

	if (error->statement < batch->count) {
		compare_failure(error, batch->questions[error->statement].key);
		torc_pg_result_seek(result, error->statement);
	}
	if (torc_pg_result_next_row(result, &row))
		broken("a batch that failed has a row");
	if (rc == -EMSGSIZE)
		return 0;
	if (rc != -EREMOTEIO || strcmp(error->state, "P0001") != 0)
		return rc;
	if (error->statement != batch->failing)
		broken("statement %u of a batch fails, and not %u",
		    error->statement, batch->failing);
	return 0;
}

static bool
is_batch_too_much(const struct batch *batch)
{
	uint32_t size = 0;

	for (uint32_t i = 0; i < batch->count; i++) {
		if (is_too_much(&batch->questions[i]))
			return true;
		size += result_size(&batch->questions[i]);
	}
	return size > RESULT_MAX;
}

static int
ask_batch(struct torc_pg *pg, torc_deadline deadline)
{
	struct torc_pg_result *result;
	struct batch batch;
	int rc;

	make_batch(&batch);
	rc = torc_pg_batch(pg, batch.statements, batch.count, &result,
	    deadline);
	check_time(deadline, "a batch");
	if (rc == 0 && batch.failing < batch.count)
		broken("a batch with a failure does not fail");
	check_outcome(rc, result, batch.questions, batch.count);
	if (rc == -EMSGSIZE && !is_batch_too_much(&batch))
		broken("a batch asks for too much, by another one's account");
	for (uint32_t i = 0; rc == 0 && i < batch.count; i++) {
		torc_pg_result_seek(result, i);
		compare_result(result, &batch.questions[i]);
	}
	if (rc < 0 && result != NULL)
		rc = compare_batch_failure(result, &batch, rc);
	torc_pg_result_free(result);
	return rc;
}

/* A transaction that stays open would be that of all the others. */
static int
ask_to_stray(struct torc_pg *pg, torc_deadline deadline)
{
	struct torc_pg_result *result;
	struct phrase phrase;
	int rc;

	phrase_word(&phrase, "stray", STRAY_KEY);
	rc = torc_pg_query(pg, &phrase.statement, &result, deadline);
	check_time(deadline, "a query");
	if (rc == 0)
		broken("a transaction stays open for all");
	torc_pg_result_free(result);
	return rc;
}

/* ---- In a session ---- */

/* Parks. Read the rows: 0; GIVEN_UP: not all of them. */
static int
read_rows(struct torc_pg_session *session, struct question *question,
    bool whole, torc_deadline deadline)
{
	const struct torc_pg_column *columns = torc_pg_session_columns(session);
	struct torc_pg_row row;
	int rc;

	compare_columns(columns, torc_pg_session_column_count(session),
	    question);
	while ((rc = torc_pg_session_next_row(session, &row, deadline)) > 0 ||
	    (rc == -EMSGSIZE && is_row_too_long(question))) {
		if (rc > 0)
			compare_row(columns, &row, question);
		else
			question->got++;
		if (!whole && peer_draw(2) == 0)
			return GIVEN_UP;
	}
	check_time(deadline, "a row");
	if (rc == 0)
		compare_end(question, torc_pg_session_affected(session));
	return rc;
}

/* What ends a part of it before its time was asked for. */
static int
judge(struct torc_pg_session *session, const struct question *question,
    int rc)
{
	if (rc == -EREMOTEIO)
		compare_failure(torc_pg_session_error(session),
		    question->key);
	return rc;
}

static int
ask_prepared(struct torc_pg_session *session, uint32_t transaction,
    bool whole, torc_deadline deadline)
{
	struct question question = new_question(transaction);
	struct phrase phrase;
	int rc;

	phrase_get(&phrase, &question);
	rc = torc_pg_session_begin(session, &phrase.statement, deadline);
	check_time(deadline, "the beginning of a statement");
	if (rc == 0)
		rc = read_rows(session, &question, whole, deadline);
	return judge(session, &question, rc);
}

/* Two at once. */
static int
ask_simply(struct torc_pg_session *session, torc_deadline deadline)
{
	struct question questions[2] = { new_question(0), new_question(0) };
	const struct question *a = &questions[0], *b = &questions[1];
	char sql[128];
	int rc;

	snprintf(sql, sizeof(sql), "select %u %u %u %u 0;select %u %u %u %u 0",
	    a->variant, a->key, a->size, a->rows,
	    b->variant, b->key, b->size, b->rows);
	rc = torc_pg_session_begin_simple(session, sql, deadline);
	check_time(deadline, "the beginning of a text");
	if (rc == 0)
		rc = read_rows(session, &questions[0], true, deadline);
	if (rc == 0) {
		rc = torc_pg_session_next_result(session, deadline);
		if (rc == 0)
			broken("question %u has no result", b->key);
		if (rc > 0)
			rc = read_rows(session, &questions[1], true, deadline);
	}
	check_time(deadline, "a text");
	return judge(session, b, rc);
}

static int
fail_in(struct torc_pg_session *session, torc_deadline deadline)
{
	const struct question question = { .key = new_key() };
	struct phrase phrase;
	int rc;

	phrase_word(&phrase, "update", question.key);
	phrase.params[1] = torc_pg_int4(0);
	rc = torc_pg_session_begin(session, &phrase.statement, deadline);
	check_time(deadline, "the beginning of a failure");
	if (rc == 0)
		rc = torc_pg_session_end(session, deadline);
	check_time(deadline, "a failure");
	if (rc == 0)
		broken("question %u does not fail", question.key);
	rc = judge(session, &question, rc);
	return rc == -EREMOTEIO && strcmp(torc_pg_session_error(session)->state,
	    "P0001") == 0 ? 0 : rc;
}

/* Parks. What one sets, the next one does not find. */
static int
change_setting(struct torc_pg_session *session, torc_deadline deadline)
{
	const uint32_t key = new_key();
	char sql[32];
	int rc = torc_pg_session_run(session, "show 0", deadline);

	check_time(deadline, "a question for a setting");
	snprintf(sql, sizeof(sql), "set %u;show %u", key, key);
	if (rc == 0)
		rc = torc_pg_session_run(session, sql, deadline);
	check_time(deadline, "a setting");
	return rc;
}

/* Parks. Several in turn; one may be given up, and the next one is asked. */
static int
ask_in_session(struct torc_pg_session *session, torc_deadline deadline)
{
	int rc = 0;

	for (unsigned i = 0; rc >= 0 && i < 3; i++) {
		const bool short_of_time = peer_draw(6) == 0;
		const torc_deadline soon = torc_after_ms(peer_draw(4));

		switch (peer_draw(4)) {
		case 0:
			rc = ask_simply(session, deadline);
			break;
		case 1:
			rc = fail_in(session, deadline);
			break;
		default:
			rc = ask_prepared(session, 0, peer_draw(4) != 0,
			    short_of_time ? torc_sooner(soon, deadline) :
			    deadline);
		}
		if (rc == -ETIMEDOUT && !torc_passed(deadline))
			rc = GIVEN_UP;
	}
	return rc < 0 ? rc : 0;
}

/* Parks. All of it is on one connection, and nobody else's is. */
static int
ask_in_transaction(struct torc_pg_session *session, torc_deadline deadline)
{
	const uint32_t key = new_key(), manner = peer_draw(8);
	char sql[32];
	int rc;

	snprintf(sql, sizeof(sql), "begin %u", key);
	rc = torc_pg_session_run(session, sql, deadline);
	check_time(deadline, "the beginning of a transaction");
	for (unsigned i = 0; rc == 0 && i < 2; i++)
		rc = ask_prepared(session, key, true, deadline);
	/* It is left open: for the next one it is over. */
	if (rc < 0 || manner == 0)
		return rc;
	snprintf(sql, sizeof(sql), manner == 1 ? "rollback" : "commit %u",
	    key);
	rc = torc_pg_session_run(session, sql, deadline);
	check_time(deadline, "the end of a transaction");
	if (rc == 0 && torc_pg_session_state(session) != 'I')
		broken("transaction %u is over, and goes on", key);
	return rc;
}

static int
copy_in(struct torc_pg_session *session, torc_deadline deadline)
{
	const uint32_t key = new_key(), size = peer_draw(PADDING_MAX);
	uint8_t data[PADDING_MAX];
	uint32_t at = 0;
	uint64_t rows = 0;
	char sql[48];
	int rc;

	for (uint32_t i = 0; i < size; i++)
		data[i] = stream_byte(key, i);
	snprintf(sql, sizeof(sql), "copy %u %u from stdin", key, size);
	rc = torc_pg_copy_in_begin(session, sql, deadline);
	check_time(deadline, "the beginning of a copy");
	while (rc == 0 && at < size) {
		const uint32_t part = 1 + peer_draw(size - at);

		rc = torc_pg_copy_in_write(session, data + at, part, deadline);
		check_time(deadline, "a piece of a copy");
		at += part;
		if (rc == 0 && peer_draw(16) == 0)
			return 0;
	}
	if (rc == 0) {
		rc = torc_pg_copy_in_end(session, NULL, &rows, deadline);
		check_time(deadline, "the end of a copy");
	}
	if (rc == 0 && rows != size)
		broken("copy %u has %u bytes of %u", key, (unsigned)rows,
		    size);
	/* Which it may, at its beginning. */
	return rc == -EREMOTEIO && strcmp(torc_pg_session_error(session)->state,
	    "22P04") == 0 ? 0 : rc;
}

static int
copy_out(struct torc_pg_session *session, torc_deadline deadline)
{
	const struct question question = {
		.key = new_key(),
		.size = peer_draw(PADDING_MAX / 2),
	};
	struct torc_slice data;
	uint32_t got = 0;
	char sql[48];
	int rc;

	snprintf(sql, sizeof(sql), "copy %u %u to stdout", question.key,
	    question.size);
	rc = torc_pg_copy_out_begin(session, sql, deadline);
	check_time(deadline, "the beginning of a copy");
	if (rc < 0)
		return judge(session, &question, rc);
	while ((rc = torc_pg_copy_out_read(session, &data, deadline)) > 0) {
		for (size_t i = 0; i < data.size; i++) {
			if (data.data[i] != stream_byte(~question.key,
			    got + i))
				broken("byte %u of copy %u is wrong",
				    (unsigned)(got + i), question.key);
		}
		got += (uint32_t)data.size;
		if (peer_draw(16) == 0)
			return 0;
	}
	check_time(deadline, "a piece of a copy");
	if (rc == 0 && got != question.size)
		broken("copy %u has %u bytes of %u", question.key, got,
		    question.size);
	return judge(session, &question, rc);
}

static int
listen_to(struct torc_pg_session *session, torc_deadline deadline)
{
	struct torc_pg_notification notification;
	char channel[16], payload[16];
	int rc;

	snprintf(channel, sizeof(channel), "%u", new_key());
	rc = torc_pg_session_listen(session, channel, deadline);
	for (unsigned i = 0; rc == 0 && i < NOTES; i++) {
		rc = torc_pg_session_await_notification(
		    session, &notification, deadline);
		check_time(deadline, "a notification");
		snprintf(payload, sizeof(payload), "%u", i);
		if (rc == 0 && (strcmp(notification.channel, channel) != 0 ||
		    strcmp(notification.payload, payload) != 0))
			broken("%u of channel %s is %s of %s", i, channel,
			    notification.payload, notification.channel);
		if (peer_draw(8) == 0)
			break;
	}
	return rc;
}

static int
ask_rented(struct torc_pg *pg, uint32_t way, torc_deadline deadline)
{
	static int (*const ways[])(struct torc_pg_session *session,
	    torc_deadline deadline) = {
		ask_in_session, ask_in_session, ask_in_transaction, copy_in,
		copy_out, listen_to, change_setting,
	};
	struct torc_pg_session *session;
	int rc = torc_pg_session_acquire(pg, &session, NULL, deadline);

	check_time(deadline, "an acquire");
	if (rc < 0)
		return rc;
	if (torc_pg_session_state(session) != 'I')
		broken("a session is rented in state %d",
		    torc_pg_session_state(session));
	rc = ways[way % COUNT(ways)](session, deadline);
	torc_pg_session_release(session);
	return rc;
}

/* ---- The client ---- */

static int
ask_pg(struct client *client, torc_deadline deadline)
{
	const uint32_t way = peer_draw(16);
	struct client_stats stats;
	int rc;

	if (way < 4)
		rc = ask_shared(client->of, new_question(0), deadline);
	else if (way < 6)
		rc = ask_batch(client->of, deadline);
	else if (way == 6)
		rc = ask_to_fail(client->of, deadline);
	else if (way == 7 && client->plan->unruly)
		rc = ask_to_stray(client->of, deadline);
	else
		rc = ask_rented(client->of, way - 7, deadline);
	read_stats(client->of, &stats);
	while (client->opened < stats.shared.failures)
		note_failed_open(client);
	return rc;
}

/* Statements that the server does not always read at once, and small ones. */
static int
ask_much(struct client *client, torc_deadline deadline)
{
	struct question question = new_question(0);

	if (peer_draw(4) == 0)
		return ask_batch(client->of, deadline);
	if (peer_draw(2) == 0)
		question.padding = PADDING_MAX;
	return ask_shared(client->of, question, deadline);
}

static int
open_pg(struct client *client)
{
	const struct plan *plan = client->plan;
	const struct torc_pg_config config = {
		.address = plan->address != NULL ? plan->address :
		    program_address(0),
		.user = PG_USER,
		.password = PG_PASSWORD,
		.allow_cleartext = true,
		.shared = 2,
		.sessions = plan->pool.size,
		.statements = STATEMENTS,
		.open_ms = plan->pool.open_ms,
		.idle_ms = plan->pool.idle_ms,
		.retry_min_ms = plan->pool.retry_min_ms,
		.retry_max_ms = plan->pool.retry_max_ms,
		.cancel_ms = plan->unruly ? 40 : 0,
		.message_max = MESSAGE_MAX,
		.result_max = RESULT_MAX,
		.notice = see_notice,
	};
	struct torc_pg *pg;
	int rc = torc_pg_create(&pg, &config, NULL);

	client->of = rc == 0 ? pg : NULL;
	return rc;
}

/* Parks. What the client does by itself, to clean up, has an end, too. */
static bool
await_quiet(const struct torc_pg *pg)
{
	const torc_deadline deadline = torc_after_ms(PATIENCE_MS * 3);

	while (pg->fibers > 0 || pg->shared.opening) {
		if (torc_now() > deadline.at)
			broken("%u fibers of the client do not end",
			    pg->fibers + pg->shared.opening);
		if (torc_sleep(torc_after_ms(10)) < 0)
			return false;
	}
	return true;
}

/* Its shared ones stay rented while answers are to come that nobody awaits. */
static void
check_pg(struct client *client)
{
	const struct torc_pg *pg = client->of;
	const struct torc_shared_set *set = &pg->shared;
	struct client_stats stats;

	for (unsigned i = 0; i < set->count; i++) {
		const struct torc_shared *shared = set->members[i];

		if (shared->users > 0 || shared->pipeline.live > 0 ||
		    shared->pipeline.writing)
			broken("%u use a connection, and nobody is there",
			    shared->users);
	}
	if (torc_shared_set_is_used(set))
		broken("%u use connections, and %u wait, and nobody is there",
		    set->users, set->waiting);
	if (!await_quiet(pg))
		return;
	read_stats(pg, &stats);
	check_pool(&stats.sessions);
	if (stats.shared.rented != set->count || stats.shared.waiting > 0)
		broken("%u are rented, and %u of them used",
		    stats.shared.rented, set->count);
}

static void
close_pg(struct client *client)
{
	torc_pg_destroy(client->of, TORC_NEVER);
}

static const struct trade in_pg = { open_pg, ask_pg, check_pg, close_pg };
static const struct trade in_large = {
	open_pg, ask_much, check_pg, close_pg,
};

/* ---- The table ---- */

PLAN(ask_in_turn, .trade = &in_pg, .workers = 6, .rounds = 4,
    .pool = { .size = 3 })
PLAN(ask_as_one, .trade = &in_pg, .workers = 1, .rounds = 20,
    .pool = { .size = 1 })
PLAN(ask_among_the_hasty, .trade = &in_pg, .workers = 8, .rounds = 5,
    .patience = 10, .mixed = true, .cancels = 3, .pool = { .size = 4 })
PLAN(ask_at_length, .trade = &in_large, .workers = 8, .rounds = 5,
    .patience = 5, .mixed = true, .cancels = 3)
PLAN(ask_hastily, .trade = &in_pg, .workers = 8, .rounds = 4,
    .patience = 100, .cancels = 6, .unruly = true, .pool = { HASTY(3),
    .idle_ms = 30 })
PLAN(ask_in_a_drain, .trade = &in_pg, .workers = 6, .rounds = 4,
    .patience = 100, .cancels = 3, .unruly = true, .drains = true,
    .pool = { HASTY(3) })
PLAN(ask_in_a_stop, .trade = &in_pg, .workers = 6, .rounds = 4,
    .patience = 100, .cancels = 3, .unruly = true, .stops = true,
    .stays = true, .pool = { HASTY(3) })

static int
outlast_an_end(void *arg)
{
	static const struct plan plan = {
		.trade = &in_pg, .workers = 3, .rounds = 120, .patience = 40,
		.pool = { .size = 4 }, .unruly = true,
	};

	(void)arg;
	dead = true;
	return outlast(&plan, answer_again);
}

static int
outlast_silence(void *arg)
{
	static const struct plan plan = {
		.trade = &in_pg, .workers = 4, .rounds = 30, .patience = 400,
		.pool = { .size = 4, .open_ms = 200 }, .unruly = true,
	};

	(void)arg;
	mute = true;
	return outlast(&plan, answer_again);
}

const struct scenario of_pg[] = {
	{ .name = "postgres", .handler = serve_pg, .fiber = ask_in_turn,
	    ENOUGH },
	{ .name = "postgres for one", .handler = serve_pg,
	    .fiber = ask_as_one, ENOUGH },
	{ .name = "postgres among the hasty", .handler = serve_pg,
	    .fiber = ask_among_the_hasty,
	    .config = { .buffers = 64, .slab_size = 256 } },
	{ .name = "postgres at length", .handler = serve_pg,
	    .fiber = ask_at_length,
	    .config = { .buffers = 64, .slab_size = 256 } },
	{ .name = "postgres in a hurry", .handler = serve_pg_badly,
	    .fiber = ask_hastily },
	{ .name = "postgres across reactors", .handler = serve_pg_badly,
	    .fiber = ask_hastily, .reactors = 2 },
	{ .name = "postgres in a drain", .handler = serve_pg_badly,
	    .fiber = ask_in_a_drain, .reactors = 2 },
	{ .name = "postgres in a stop", .handler = serve_pg_badly,
	    .fiber = ask_in_a_stop, .ended = close_late, .reactors = 2 },
	{ .name = "postgres has ended", .handler = serve_pg_at_once,
	    .fiber = outlast_an_end },
	{ .name = "postgres is silent", .handler = serve_pg_at_once,
	    .fiber = outlast_silence },
};
const size_t of_pg_count = COUNT(of_pg);
