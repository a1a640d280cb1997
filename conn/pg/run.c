/* SPDX-License-Identifier: MIT */
/*
 * run.c - what runs on a session.
 *
 * A statement runs from its writing until the server is ready again. If it is
 * given up before that, another fiber cancels it at once. The next call, or the
 * cleanup after a release, reads until the server is ready, and waits until the
 * cancel is complete: otherwise the cancel could hit the next statement.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/pg/answer.h"
#include "conn/pg/cache.h"
#include "conn/pg/cancel.h"
#include "conn/pg/error.h"
#include "conn/pg/nature.h"
#include "conn/pg/open.h"
#include "conn/pg/run.h"
#include "conn/pg/session.h"
#include "conn/pg/stream.h"
#include "conn/pg/wire.h"
#include "sys/trap.h"

/* ---- What is told ---- */

void
torc_pg_tell(struct torc_pg_session *session, const char *sql, int error,
    const char *what)
{
	char quote[PG_QUOTE_SIZE], cause[PG_CAUSE_SIZE];

	if (session->loss_told)
		return;
	session->loss_told = session->lost < 0;
	torc_pg_quote(quote, sql);
	torc_pg_cause_before(cause, error, what);
	torc_pg_fault_say(&session->fault, "\"%s\": %s", quote, cause);
}

/* Returns the statement that runs, or ran last. */
static const char *
asked(const struct torc_pg_session *session)
{
	const struct pg_statement *statement = session->answer.statement;

	return statement != NULL ? statement->sql : session->quote;
}

int
torc_pg_check_alive(struct torc_pg_session *session)
{
	if (session->lost == 0 || session->loss_told)
		return session->lost;
	session->loss_told = true;
	/* The last error of the server about the statement is the reason. */
	if (!session->failed || !pg_is_running(session))
		torc_pg_fault_say(&session->fault, "the connection was lost: "
		    "%s", torc_pg_cause(session->lost));
	return session->lost;
}

void
torc_pg_abandon(struct torc_pg_session *session)
{
	if (pg_is_running(session) && session->lost == 0)
		torc_pg_cancel_begin(session);
}

int
torc_pg_give_up(struct torc_pg_session *session, int error)
{
	const char *what = "its end";

	torc_pg_abandon(session);
	if (session->cancelled)
		what = "its end, and the server was asked to end it";
	if (!session->failed)
		torc_pg_tell(session, asked(session), error, what);
	return error;
}

/* ---- What comes in ---- */

static int
note_failure(struct torc_pg_session *session, const struct pg_message *message)
{
	struct pg_report report;
	int rc = torc_pg_take_report(message, &report);

	if (rc < 0)
		return rc;
	if (!session->failed)
		torc_pg_fault_keep(&session->fault, &report);
	session->failed = true;
	if (torc_pg_is_misplaced(session, &report))
		torc_pg_session_taint(session);
	if (torc_pg_answer_failed(session, &session->answer, &report))
		session->outdated = true;
	return PG_FAILED;
}

/*
 * COMMIT and END of a failed transaction return the tag "ROLLBACK", and no
 * error.
 */
static void
note_commit(struct torc_pg_session *session, const char *tag)
{
	const struct pg_statement *statement = session->answer.statement;
	const char *sql = session->answer.simple ? session->text :
	    statement->sql;

	if (sql == NULL || session->failed || strcmp(tag, "ROLLBACK") != 0 ||
	    !torc_pg_commits(sql, session->results))
		return;
	session->failed = true;
	torc_pg_fault_say_constant(&session->fault,
	    "the transaction had failed, and was rolled back");
}

static int
note_done(struct torc_pg_session *session, const struct pg_message *message)
{
	const char *tag = "";
	int rc = message->type == PG_EMPTY_QUERY ? 0 :
	    torc_pg_read_complete(message, &tag, &session->affected);

	snprintf(session->tag, sizeof(session->tag), "%s", tag);
	if (strcmp(tag, "PREPARE") == 0)
		session->prepares = true;
	if (strcmp(tag, "DISCARD ALL") == 0 ||
	    strcmp(tag, "DEALLOCATE ALL") == 0)
		torc_pg_cache_clear(&session->cache);
	note_commit(session, tag);
	session->results++;
	session->result_over = true;
	return rc < 0 ? rc : PG_DONE;
}

/* The server is ready: received bytes are not needed any more. */
static int
note_ready(struct torc_pg_session *session, const struct pg_message *message)
{
	int rc = torc_pg_read_ready(message, &session->state);

	torc_assert(session->view.size <= session->shown);
	if (session->view.size == 0) {
		torc_conn_consume(session->conn, session->shown);
		session->shown = 0;
	}
	return rc < 0 ? rc : PG_FINISHED;
}

static int
note_event(struct torc_pg_session *session, const struct pg_message *message,
    int event)
{
	switch (event) {
	case PG_FAILED:
		return note_failure(session, message);
	case PG_DONE:
		return note_done(session, message);
	case PG_FINISHED:
		return note_ready(session, message);
	default:
		return event;
	}
}

/* An invalid message ends the connection. */
int
torc_pg_take_event(struct torc_pg_session *session,
    const struct pg_message *message)
{
	int event = note_event(session, message,
	    torc_pg_answer_take(&session->answer, message, &session->missing));

	if (event < 0) {
		session->lost = event;
		session->state = 0;
	}
	return event;
}

int
torc_pg_next_event(struct torc_pg_session *session, struct pg_message *message,
    torc_deadline deadline)
{
	int event = PG_NOTHING;

	while (event == PG_NOTHING) {
		int rc = torc_pg_receive(session, message, deadline);

		if (rc < 0)
			return torc_pg_give_up(session, rc);
		event = torc_pg_take_event(session, message);
	}
	return event;
}

/*
 * During a COPY the server ignores Sync: the Sync of a prepared statement is
 * sent again.
 */
static void
put_fail(struct pg_writer *writer, void *arg)
{
	const struct torc_pg_session *session = arg;

	torc_pg_put_copy_fail(writer, "given up");
	if (!session->answer.simple)
		torc_pg_put_sync(writer);
}

/*
 * Parks. End a COPY for which no data will come. If a cancel may have ended it,
 * too, it is not known which Sync the server has seen, and how often it will be
 * ready.
 */
static int
end_copy(struct torc_pg_session *session, torc_deadline deadline)
{
	int rc;

	if (session->cancelled && !session->answer.simple) {
		session->lost = -ECONNABORTED;
		return torc_pg_check_alive(session);
	}
	rc = torc_pg_write(session, put_fail, session, deadline);
	return rc < 0 ? torc_pg_give_up(session, rc) : 0;
}

int
torc_pg_read_to_end(struct torc_pg_session *session, torc_deadline deadline)
{
	struct pg_message message;
	int rc = torc_pg_check_alive(session);

	while (rc >= 0 && pg_is_running(session)) {
		rc = torc_pg_next_event(session, &message, deadline);
		if (rc == PG_COPY_BEGINS &&
		    session->answer.stage == PG_COPYING_IN)
			rc = end_copy(session, deadline);
	}
	return rc < 0 ? rc : session->failed ? -EREMOTEIO : 0;
}

/* ---- Between statements ---- */

int
torc_pg_settle(struct torc_pg_session *session, torc_deadline deadline)
{
	int rc = torc_pg_check_alive(session);

	if (rc == 0 && session->answer.stage == PG_COPYING_IN)
		rc = end_copy(session, deadline);
	if (rc == 0)
		rc = torc_pg_read_to_end(session, deadline);
	if (rc < 0 && rc != -EREMOTEIO)
		return rc;
	rc = 0;
	while (rc == 0 && session->cancel != NULL)
		rc = torc_wait(&session->calm, deadline);
	if (rc < 0)
		torc_pg_tell(session, asked(session), rc,
		    "its cancel was complete");
	return rc < 0 ? rc : torc_pg_check_alive(session);
}
