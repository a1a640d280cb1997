/* SPDX-License-Identifier: MIT */
/*
 * session.c - statements on a session: they are begun, read row by row, and
 * ended.
 */
#include <errno.h>

#include "conn/pg/answer.h"
#include "conn/pg/cache.h"
#include "conn/pg/client.h"
#include "conn/pg/error.h"
#include "conn/pg/run.h"
#include "conn/pg/session.h"
#include "conn/pg/shape.h"
#include "conn/pg/stream.h"
#include "conn/pg/wire.h"
#include "sys/sys.h"
#include "sys/trap.h"

static void
reset(struct torc_pg_session *session)
{
	torc_assert(!pg_is_running(session) && session->lost == 0);
	torc_assert(session->cancel == NULL);
	torc_pg_answer_end(&session->answer);
	torc_pg_fault_clear(&session->fault);
	session->failed = false;
	session->outdated = false;
	session->cancelled = false;
	session->result_over = false;
	session->results = 0;
	session->affected = 0;
	session->tag[0] = '\0';
}

/* ---- Beginning ---- */

struct asking {
	const struct torc_pg_statement *wanted;
	const struct pg_statement *closing;	/* of the cache's */
	struct pg_answer answer;
};

static void
put_prepared(struct pg_writer *writer, void *arg)
{
	const struct asking *asking = arg;

	torc_pg_cache_put_closing(asking->closing, writer);
	torc_pg_answer_ask(&asking->answer, asking->wanted, writer);
	torc_pg_put_sync(writer);
}

static int
write_prepared(struct torc_pg_session *session,
    const struct torc_pg_statement *statement, bool anew,
    torc_deadline deadline)
{
	struct asking asking = { .wanted = statement };
	int rc = torc_pg_answer_begin(&asking.answer, session, statement,
	    anew ? session->cache.last_id : 0);

	if (rc < 0)
		return rc;
	asking.closing = session->cache.closing;
	session->used = true;
	rc = torc_pg_write(session, put_prepared, &asking, deadline);
	if (rc == 0) {
		torc_pg_cache_closed(&session->cache, asking.closing);
		session->answer = asking.answer;
		return 0;
	}
	if (asking.answer.stage == PG_PARSE)
		torc_pg_cache_drop(&session->cache, asking.answer.statement,
		    false);
	torc_pg_answer_end(&asking.answer);
	return rc;
}

/* A part of the result cannot be returned, but later parts can. */
static int
miss(struct torc_pg_session *session, int error)
{
	torc_pg_fault_say_missing(&session->fault, error,
	    session->pg->config.message_max);
	return error;
}

/* Refuse a COPY in a statement that is not begun as one. */
static int
refuse_copy(struct torc_pg_session *session)
{
	torc_pg_fault_say_constant(&session->fault, "COPY needs "
	    "torc_pg_copy_in_begin() or torc_pg_copy_out_begin()");
	if (session->answer.stage != PG_COPYING_IN)
		torc_pg_abandon(session);
	return -EOPNOTSUPP;
}

/* Parks. Wait until the rows of the statement begin. */
static int
await_rows(struct torc_pg_session *session, torc_deadline deadline)
{
	struct pg_message message;
	int event = torc_pg_next_event(session, &message, deadline);

	if (event == PG_FAILED)
		return torc_pg_read_to_end(session, deadline);
	if (event == PG_COPY_BEGINS)
		return refuse_copy(session);
	if (event == PG_BOUND && session->missing != 0) {
		torc_pg_abandon(session);
		return miss(session, session->missing);
	}
	return event < 0 ? event : 0;
}

int
torc_pg_session_begin(struct torc_pg_session *session,
    const struct torc_pg_statement *statement, torc_deadline deadline)
{
	bool again = false;
	int rc = torc_pg_check_statement(statement, &session->fault);

	if (rc < 0)
		return rc;
	for (;;) {
		char before;

		rc = torc_pg_settle(session, deadline);
		if (rc < 0)
			return rc;
		before = session->state;
		reset(session);
		rc = write_prepared(session, statement, again, deadline);
		if (rc < 0)
			torc_pg_tell(session, statement->sql, rc,
			    "it was written");
		else
			rc = await_rows(session, deadline);
		/* In a transaction, everything has failed with the
		 * statement. */
		if (rc != -EREMOTEIO || !session->outdated || again ||
		    before != 'I')
			return rc;
		again = true;
		session->pg->stats.repeated++;
	}
}

static void
put_simple(struct pg_writer *writer, void *sql)
{
	torc_pg_put_simple(writer, sql);
}

/* Parks. */
static int
write_simple(struct torc_pg_session *session, const char *sql,
    torc_deadline deadline)
{
	int rc = torc_pg_settle(session, deadline);

	if (rc < 0)
		return rc;
	reset(session);
	session->used = true;
	torc_pg_quote(session->quote, sql);
	rc = torc_pg_write(
	    session, put_simple, (void *)(uintptr_t)sql, deadline);
	if (rc < 0)
		torc_pg_tell(session, sql, rc, "it was written");
	else
		session->answer = (struct pg_answer) { .stage = PG_BETWEEN,
			.simple = true };
	return rc;
}

int
torc_pg_session_begin_simple(struct torc_pg_session *session, const char *sql,
    torc_deadline deadline)
{
	int rc = write_simple(session, sql, deadline);

	return rc < 0 ? rc : await_rows(session, deadline);
}

int
torc_pg_begin_copy(struct torc_pg_session *session, const char *sql,
    enum pg_stage stage, torc_deadline deadline)
{
	struct pg_message message;
	int rc = write_simple(session, sql, deadline);

	if (rc < 0)
		return rc;
	rc = torc_pg_next_event(session, &message, deadline);
	if (rc == PG_COPY_BEGINS && session->answer.stage == stage)
		return 0;
	if (rc == PG_FAILED)
		return torc_pg_read_to_end(session, deadline);
	if (rc < 0)
		return rc;
	torc_pg_fault_say(&session->fault, "\"%s\" is not a COPY %s",
	    session->quote, stage == PG_COPYING_IN ? "FROM STDIN" :
	    "TO STDOUT");
	torc_pg_abandon(session);
	return -EOPNOTSUPP;
}

/* ---- Rows ---- */

unsigned
torc_pg_session_column_count(const struct torc_pg_session *session)
{
	const struct pg_shape *shape = session->answer.shape;

	return shape != NULL ? shape->count : 0;
}

const struct torc_pg_column *
torc_pg_session_columns(const struct torc_pg_session *session)
{
	const struct pg_shape *shape = session->answer.shape;

	return shape != NULL ? shape->columns : NULL;
}

static int
give_row(struct torc_pg_session *session, const struct pg_message *message,
    struct torc_pg_row *row)
{
	const unsigned count = torc_pg_session_column_count(session);
	int found;

	if (count > session->value_room) {
		struct torc_slice *values = torc_sys_realloc(session->values,
		    count * sizeof(*values));

		if (values == NULL)
			return torc_pg_give_up(session, -ENOMEM);
		session->values = values;
		session->value_room = count;
	}
	found = torc_pg_read_row(message, session->values, count);
	torc_assert(found == (int)count);	/* as when it came */
	*row = (struct torc_pg_row) { session->values, count };
	return 1;
}

/* A prepared statement is over when the server has committed it. */
static bool
is_result_over(const struct torc_pg_session *session)
{
	return !pg_is_running(session) ||
	    (session->result_over && session->answer.simple);
}

int
torc_pg_session_next_row(struct torc_pg_session *session,
    struct torc_pg_row *row, torc_deadline deadline)
{
	struct pg_message message;
	int event;

	while (session->lost == 0 && !is_result_over(session)) {
		event = torc_pg_next_event(session, &message, deadline);
		if (event == PG_ROW && session->missing != 0)
			return miss(session, session->missing);
		if (event == PG_ROW)
			return give_row(session, &message, row);
		if (event == PG_FAILED)
			return torc_pg_read_to_end(session, deadline);
		if (event == PG_COPY_BEGINS)
			return refuse_copy(session);
		if (event < 0)
			return event;
	}
	event = torc_pg_check_alive(session);
	return event < 0 ? event : session->failed ? -EREMOTEIO : 0;
}

int
torc_pg_session_next_result(
    struct torc_pg_session *session, torc_deadline deadline)
{
	struct torc_pg_row row;
	int rc;

	do
		rc = torc_pg_session_next_row(session, &row, deadline);
	while (rc > 0 || (rc < 0 && session->lost == 0 &&
	    rc == session->missing));
	if (rc < 0 || !pg_is_running(session))
		return rc;
	session->result_over = false;
	rc = await_rows(session, deadline);
	return rc < 0 ? rc : pg_is_running(session);
}

int
torc_pg_session_end(struct torc_pg_session *session, torc_deadline deadline)
{
	int rc = torc_pg_settle(session, deadline);

	return rc < 0 ? rc : session->failed ? -EREMOTEIO : 0;
}

const char *
torc_pg_session_tag(const struct torc_pg_session *session)
{
	return session->tag;
}

uint64_t
torc_pg_session_affected(const struct torc_pg_session *session)
{
	return session->affected;
}

int
torc_pg_session_run(struct torc_pg_session *session, const char *sql,
    torc_deadline deadline)
{
	int rc = write_simple(session, sql, deadline);

	session->text = sql;
	if (rc == 0)
		rc = torc_pg_session_end(session, deadline);
	session->text = NULL;
	return rc;
}
