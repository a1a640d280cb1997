/* SPDX-License-Identifier: MIT */
/*
 * reply.c - answers on a shared connection, for the statements that wait there.
 * An error belongs to one of them, and a result that is too large is skipped.
 */
#include <errno.h>
#include <string.h>

#include "conn/pg/answer.h"
#include "conn/pg/cache.h"
#include "conn/pg/carry.h"
#include "conn/pg/client.h"
#include "conn/pg/error.h"
#include "conn/pg/nature.h"
#include "conn/pg/open.h"
#include "conn/pg/reply.h"
#include "conn/pg/result.h"
#include "conn/pg/session.h"
#include "conn/pg/stream.h"
#include "conn/pg/wire.h"
#include "sys/trap.h"

/* ---- One statement ---- */

/*
 * After a failed statement the server skips everything up to the Sync, so later
 * statements were not prepared.
 */
static void
forget_skipped(struct torc_pg_session *session,
    const struct torc_pg_result *result)
{
	const struct pg_part *end = result->parts + result->count;

	for (const struct pg_part *part = result->part + 1; part < end; part++)
		if (part->answer.stage == PG_PARSE)
			torc_pg_cache_drop(
			    &session->cache, part->answer.statement, false);
}

static bool
is_undoable(const struct pg_part *part)
{
	return part->answer.statement != NULL &&
	    (part->answer.statement->nature & PG_UNDOABLE) != 0;
}

/* Set the outcome of all statements after the failure of this one. */
static enum torc_pg_outcome
outcome_of(const struct torc_pg_result *result)
{
	const enum pg_stage stage = result->part->answer.failed_in;

	if (result->failure != -EREMOTEIO || result->lasts)
		return TORC_PG_UNKNOWN;
	return stage == PG_PARSE || stage == PG_BIND ||
	    is_undoable(result->part) ? TORC_PG_UNDONE : TORC_PG_UNKNOWN;
}

/* This ends the connection, whatever may follow. */
static bool
is_last_word(const struct pg_report *report)
{
	return strcmp(report->severity, "FATAL") == 0 ||
	    strcmp(report->severity, "PANIC") == 0;
}

static int
note_failure(struct torc_pg_session *session, struct torc_pg_result *result,
    const struct pg_message *message)
{
	const struct pg_answer *answer = &result->part->answer;
	struct pg_fault *fault = torc_pg_result_fault(result);
	struct pg_report report;
	int rc = torc_pg_take_report(message, &report);

	if (rc < 0)
		return rc;
	result->failure = is_last_word(&report) ? -ECONNRESET : -EREMOTEIO;
	if (result->failure == -ECONNRESET ||
	    torc_pg_is_misplaced(session, &report))
		torc_shared_retire(&session->shared);
	if (fault != NULL) {
		torc_pg_fault_keep(fault, &report);
		/* After the last statement, the commit has failed. */
		fault->error.statement =
		    (unsigned)(result->part - result->parts) +
		    (answer->failed_in == PG_COMPLETE);
		fault->error.outcome = outcome_of(result);
	}
	result->outdated = torc_pg_answer_failed(session, answer, &report) &&
	    !result->lasts;
	forget_skipped(session, result);
	torc_pg_result_clear(result);
	return 0;
}

/* The result cannot be given. The statement goes on, and is executed. */
static struct pg_fault *
lose_result(struct torc_pg_result *result, int why)
{
	struct pg_fault *fault = torc_pg_result_fault(result);

	result->failure = why;
	torc_pg_result_clear(result);
	if (fault == NULL)
		return NULL;
	fault->error.statement = (unsigned)(result->part - result->parts);
	fault->error.outcome = TORC_PG_DONE;
	return fault;
}

/* A part of the result is missing. */
static void
note_loss(struct torc_pg_session *session, struct torc_pg_result *result,
    int why)
{
	struct pg_fault *fault;

	if (result->failure < 0 || result->base.abandoned)
		return;
	fault = lose_result(result, why);
	if (fault != NULL)
		torc_pg_fault_say_missing(fault, why,
		    session->pg->config.message_max);
}

static void
note_row(struct torc_pg_session *session, struct torc_pg_result *result,
    const struct pg_message *message)
{
	const unsigned most = session->pg->config.result_max;
	struct pg_fault *fault;
	int rc;

	if (result->failure < 0 || result->base.abandoned)
		return;
	rc = torc_pg_result_add(result, message, most);
	if (rc == 0)
		return;
	fault = lose_result(result, rc);
	if (fault != NULL && rc == -ENOMEM)
		torc_pg_fault_say_missing(fault, rc,
		    session->pg->config.message_max);
	else if (fault != NULL)
		torc_pg_fault_say(fault,
		    "the result has more than `result_max` "
		    "bytes, %u",
		    most);
}

/*
 * The statement was executed, and its change would last for all users of the
 * connection.
 */
static void
note_change(struct torc_pg_session *session, struct torc_pg_result *result,
    const char *tag)
{
	struct pg_fault *fault = lose_result(result, -EOPNOTSUPP);

	torc_shared_retire(&session->shared);
	if (fault != NULL)
		torc_pg_fault_say(fault, "%s changed the session of a shared "
		    "connection, which is closed: it needs a session of "
		    "torc_pg_session_acquire()", tag);
}

/*
 * Whether a later failure in the same transaction undoes it. This is not so for
 * COMMIT, CREATE DATABASE or CALL.
 */
static bool
can_be_undone(const struct pg_part *part, const char *tag)
{
	static const char *const tags[] = { "SELECT ", "INSERT ", "UPDATE ",
		"DELETE ", "MERGE " };

	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (strncmp(tag, tags[i], strlen(tags[i])) == 0)
			return true;
	return is_undoable(part);
}

static bool
may_change(const struct pg_part *part, const char *tag)
{
	return torc_pg_tag_stays(tag) &&
	    (part->answer.statement->nature & PG_PASSES) == 0;
}

/* A statement has ended. The next one of the batch is answered now. */
static int
note_done(struct torc_pg_session *session, struct torc_pg_result *result,
    const struct pg_message *message)
{
	const struct pg_part *part = result->part;
	const char *tag = "";
	int rc = message->type == PG_EMPTY_QUERY ? 0 :
	    torc_pg_read_complete(message, &tag, &result->part->affected);

	if (rc < 0)
		return rc;
	if (!is_undoable(part) && may_change(part, tag))
		note_change(session, result, tag);
	if (part->answer.statement->nature & PG_HIDES)
		torc_shared_retire(&session->shared);
	if (part + 1 == result->parts + result->count)
		return 0;
	result->lasts |= message->type != PG_EMPTY_QUERY &&
	    !can_be_undone(part, tag);
	result->part++;
	torc_assert(result->part->answer.stage == PG_PARSE ||
	    result->part->answer.stage == PG_BIND);
	result->part->start = result->used;
	result->part->end = result->used;
	return 0;
}

/* ---- Their end ---- */

/*
 * An open transaction would swallow the statements of others. If the batch
 * itself had to end it, a rollback follows the batch.
 */
static int
note_end(struct torc_pg_session *session, struct torc_pg_result *result,
    const struct pg_message *message)
{
	int rc = torc_pg_read_ready(message, &session->state);
	struct pg_fault *fault;

	if (rc < 0)
		return rc;
	if (result->guarded && result->guard.stage == PG_OVER) {
		result->guard = (struct pg_answer) { .stage = PG_BETWEEN,
			.simple = true };
		result->guarded = false;
		return 0;
	}
	if (session->changed)
		torc_shared_retire(&session->shared);
	if (session->state == 'I')
		return 0;
	fault = torc_pg_result_fault(result);
	if (fault != NULL)
		torc_pg_fault_say(fault,
		    "the statement left a transaction open on "
		    "a shared connection, which was closed");
	return -ECONNABORTED;
}

/* The rollback after a batch, which usually has nothing to undo. */
static int
note_guard(struct torc_pg_session *session, struct torc_pg_result *result,
    const struct pg_message *message)
{
	int lost;
	int event = torc_pg_answer_take(&result->guard, message, &lost);

	if (event == PG_FINISHED)
		return note_end(session, result, message);
	return event == PG_DONE ? 0 : -EPROTO;
}

static bool
is_guarding(const struct torc_pg_result *result)
{
	return result->guard.stage != PG_OVER;
}

/*
 * The data that a COPY sends is skipped. A COPY that waits for data ends the
 * connection.
 */
static int
note_copy(struct torc_pg_result *result)
{
	struct pg_fault *fault = lose_result(result, -EOPNOTSUPP);

	if (fault != NULL)
		torc_pg_fault_say(fault, "COPY needs a session, and "
		    "torc_pg_copy_in_begin() or torc_pg_copy_out_begin()");
	return result->part->answer.stage == PG_COPYING_IN ? -EOPNOTSUPP : 0;
}

static int
note_message(struct torc_pg_session *session, struct torc_pg_result *result,
    const struct pg_message *message)
{
	int lost, event;

	torc_assert(result->part >= result->parts &&
	    result->part < result->parts + result->count);
	if (is_guarding(result))
		return note_guard(session, result, message);
	event = torc_pg_answer_take(&result->part->answer, message, &lost);
	if (lost < 0) {
		note_loss(session, result, lost);
		return 0;
	}
	switch (event) {
	case PG_ROW:
		note_row(session, result, message);
		return 0;
	case PG_DONE:
		return note_done(session, result, message);
	case PG_FAILED:
		return note_failure(session, result, message);
	case PG_FINISHED:
		return note_end(session, result, message);
	case PG_COPY_BEGINS:
		return note_copy(result);
	default:
		return event < 0 ? event : 0;
	}
}

/* ---- Bytes ---- */

/*
 * Returns 1 if it was a message that may come at any time; 0 if not; or -errno.
 */
static int
take_unasked(struct torc_pg_session *session,
    const struct torc_pg_result *result, const struct pg_message *message)
{
	/* "There is no transaction in progress": that is well. */
	if (is_guarding(result) && message->type == PG_NOTICE)
		return 1;
	return torc_pg_take_unasked(session, message);
}

static int64_t
feed(struct torc_request *request, const uint8_t *data, size_t size, bool *done,
    void *arg)
{
	struct torc_pg_session *session = arg;
	struct torc_pg_result *result = (struct torc_pg_result *)request;
	struct torc_slice view = { data, size };
	struct pg_message message;
	int rc;

	while (!*done) {
		rc = torc_pg_carry_next(&session->carry, &message, &view,
		    session->pg->config.message_max);
		if (rc == 0)
			break;
		if (rc > 0)
			rc = take_unasked(session, result, &message);
		if (rc == 1)
			continue;
		if (rc == 0)
			rc = note_message(session, result, &message);
		if (rc < 0)
			return rc;
		*done = result->part->answer.stage == PG_OVER &&
		    !is_guarding(result);
	}
	torc_assert(view.size <= size);
	/* A completed request leaves nothing behind. */
	torc_assert(!*done || pg_carry_is_empty(&session->carry));
	if (*done)
		session->shared.quiet_since = torc_now();
	return (int64_t)(size - view.size);
}

/*
 * Bytes that belong to no statement. The server may say why it closes the
 * connection.
 */
static int64_t
feed_unasked(const uint8_t *data, size_t size, void *arg)
{
	struct torc_pg_session *session = arg;
	struct torc_slice view = { data, size };
	struct pg_message message;
	int rc;

	while ((rc = torc_pg_carry_next(&session->carry, &message, &view,
	    session->pg->config.message_max)) > 0) {
		rc = message.type == PG_ERROR ? -ECONNRESET :
		    torc_pg_take_unasked(session, &message);
		if (rc <= 0)
			return rc < 0 ? rc : -EPROTO;
	}
	return rc < 0 ? rc : (long)size;
}

static void
drop(struct torc_request *request, void *arg)
{
	(void)arg;
	torc_pg_result_free((struct torc_pg_result *)request);
}

const struct torc_pipeline_kind torc_pg_pipeline_kind = {
	.feed = feed,
	.unasked = feed_unasked,
	.drop = drop,
};
