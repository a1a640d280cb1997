/*
 * ask.c - statements of many fibers over shared connections: what is written,
 * what comes in, and what each is told.
 */
#include <errno.h>
#include <string.h>

#include "conn/pg/result.h"
#include "sys/trap.h"

/* ---- What comes in ---- */

/* Up to the Sync, the server skips what is behind one that failed: what was
 * to be prepared there is not. */
static void
forget_skipped(struct torc_pg_session *session,
    const struct torc_pg_result *result)
{
	const struct pg_part *end = result->parts + result->count;

	for (const struct pg_part *part = result->part + 1; part < end; part++)
		if (part->answer.stage == PG_PARSE)
			pg_cache_drop(&session->cache, part->answer.statement,
			    false);
}

/* The statement has failed, and the connection goes on. */
static int
note_failure(struct torc_pg_session *session, struct torc_pg_result *result,
    const struct pg_message *message)
{
	const struct pg_answer *answer = &result->part->answer;
	struct torc_pg_error *error = pg_result_fault(result);
	struct pg_report report;
	int rc = pg_read_report(message, &report);

	if (rc < 0)
		return rc;
	if (error == NULL)
		return -ENOMEM;
	pg_keep_error(error, &report);
	/* Behind the last one, it is the commit that fails. */
	error->statement = (unsigned)(result->part - result->parts) +
	    (answer->failed_in == PG_COMPLETE);
	result->failure = -EREMOTEIO;
	result->outdated = pg_answer_failed(session, answer, &report) &&
	    !result->lasts;
	forget_skipped(session, result);
	pg_result_clear(result);
	return 0;
}

static int
note_row(struct torc_pg_session *session, struct torc_pg_result *result,
    const struct pg_message *message)
{
	const unsigned most = session->pg->config.result_max;
	struct torc_pg_error *error;
	int rc;

	if (result->failure < 0 || result->base.abandoned)
		return 0;
	rc = pg_result_add(result, message, most);
	if (rc == 0)
		return 0;
	error = pg_result_fault(result);
	if (error != NULL) {
		pg_own_error(error, "the result has more than `result_max` "
		    "bytes, %u", most);
		error->statement = (unsigned)(result->part - result->parts);
	}
	result->failure = rc;
	pg_result_clear(result);
	return 0;
}

/* A transaction that is open would swallow the statements of others. */
static int
note_end(struct torc_pg_session *session, struct torc_pg_result *result,
    const struct pg_message *message)
{
	int rc = pg_read_ready(message, &session->state);
	struct torc_pg_error *error;

	if (rc < 0 || session->state == 'I')
		return rc;
	error = pg_result_fault(result);
	if (error != NULL)
		pg_own_error(error, "the statement left a transaction open on "
		    "a shared connection, which was closed");
	return -ECONNABORTED;
}

/*
 * Whether a failure behind it, in the same implicit transaction, undoes it:
 * COMMIT, CREATE DATABASE or CALL are not among them.
 */
static bool
can_be_undone(const char *tag)
{
	static const char *const tags[] = { "SELECT ", "INSERT ", "UPDATE ",
		"DELETE ", "MERGE " };

	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (strncmp(tag, tags[i], strlen(tags[i])) == 0)
			return true;
	return false;
}

/* A statement is done; the next one of the batch is answered now. */
static int
note_done(struct torc_pg_result *result, const struct pg_message *message)
{
	const bool is_last = result->part + 1 ==
	    result->parts + result->count;
	const char *tag = "";
	int rc = message->type == PG_EMPTY_QUERY ? 0 :
	    pg_read_complete(message, &tag, &result->part->affected);

	if (rc < 0 || is_last)
		return rc;
	result->lasts |= !can_be_undone(tag);
	result->part++;
	result->part->start = result->used;
	result->part->end = result->used;
	return 0;
}

static int
note_event(struct torc_pg_session *session, struct torc_pg_result *result,
    const struct pg_message *message, int event)
{
	switch (event) {
	case PG_ROW:
		return note_row(session, result, message);
	case PG_DONE:
		return note_done(result, message);
	case PG_FAILED:
		return note_failure(session, result, message);
	case PG_FINISHED:
		return note_end(session, result, message);
	case PG_COPY_BEGINS:
		return -EOPNOTSUPP;
	default:
		return event < 0 ? event : 0;
	}
}

static long
feed(void *arg, struct torc_request *request, const uint8_t *data,
    size_t size, bool *done)
{
	struct torc_pg_session *session = arg;
	struct torc_pg_result *result = (struct torc_pg_result *)request;
	struct torc_slice view = { data, size };
	struct pg_message message;
	int rc;

	while (!*done) {
		rc = pg_carry_next(&session->carry, &message, &view,
		    session->pg->config.message_max);
		if (rc == 0)
			break;
		if (rc > 0)
			rc = pg_take_unasked(session, &message);
		if (rc == 1)
			continue;
		if (rc == 0)
			rc = note_event(session, result, &message,
			    pg_answer_take(&result->part->answer, &message));
		if (rc < 0)
			return rc;
		*done = result->part->answer.stage == PG_OVER;
	}
	return (long)(size - view.size);
}

/* Bytes that belong to no statement. The server may say why it goes. */
static long
feed_unasked(void *arg, const uint8_t *data, size_t size)
{
	struct torc_pg_session *session = arg;
	struct torc_slice view = { data, size };
	struct pg_message message;
	int rc;

	while ((rc = pg_carry_next(&session->carry, &message, &view,
	    session->pg->config.message_max)) > 0) {
		rc = message.type == PG_ERROR ? -ECONNRESET :
		    pg_take_unasked(session, &message);
		if (rc <= 0)
			return rc < 0 ? rc : -EPROTO;
	}
	return rc < 0 ? rc : (long)size;
}

static void
drop(void *arg, struct torc_request *request)
{
	(void)arg;
	torc_pg_free((struct torc_pg_result *)request);
}

const struct torc_pipeline_kind pg_pipeline_kind = {
	.feed = feed,
	.unasked = feed_unasked,
	.drop = drop,
};

/* ---- Asking ---- */

/* Whether all who are before it have given up: then it is the server that
 * keeps it waiting. */
static bool
is_first_alive(const struct torc_pipeline *pipeline,
    const struct torc_request *request)
{
	const struct torc_request *before = pipeline->first;

	while (before != NULL && before != request && before->abandoned)
		before = before->next;
	return before == request;
}

/* At most, without what the caller gave: of one statement, of a parameter. */
#define MESSAGES_SIZE 256u
#define PARAM_SIZE 24u

/* Whether they may have to wait for the server to read. */
static bool
is_large(const struct torc_pg_session *session,
    const struct torc_pg_statement *wanted, unsigned count)
{
	size_t size = 0;

	for (; count > 0; count--, wanted++) {
		size += MESSAGES_SIZE + strlen(wanted->sql);
		for (unsigned i = 0; i < wanted->param_count; i++)
			size += PARAM_SIZE + wanted->params[i].bytes.size;
	}
	return size > torc_conn_room(session->conn);
}

/* What is written at once. */
struct asking {
	const struct torc_pg_statement *wanted;
	const struct torc_pg_result *result;	/* with the answers to them */
	const struct pg_statement *closing;	/* of the cache's */
};

static void
put_asking(struct pg_writer *writer, void *arg)
{
	const struct asking *asking = arg;
	const struct torc_pg_result *result = asking->result;

	pg_cache_put_closing(asking->closing, writer);
	for (unsigned i = 0; i < result->count; i++)
		pg_answer_ask(&result->parts[i].answer, &asking->wanted[i],
		    writer);
	pg_put_sync(writer);
}

/*
 * Of those that went from the cache for another one, the first statement's are
 * closed before it. Others may be among those asked here, and are closed with
 * the next statement: at its beginning, where nothing is skipped.
 */
static int
begin_asking(struct asking *asking, struct torc_pg_session *session,
    struct torc_pg_result *result, const struct torc_pg_statement *wanted)
{
	const uint64_t stale = result->anew ? session->cache.last_id : 0;
	int rc = 0;

	*asking = (struct asking) { .wanted = wanted, .result = result };
	for (unsigned i = 0; rc == 0 && i < result->count; i++) {
		rc = pg_answer_begin(&result->parts[i].answer, session,
		    &wanted[i], stale);
		if (i == 0)
			asking->closing = session->cache.closing;
	}
	return rc;
}

/*
 * Parks. Between begin and end of the pipeline. A large one is not written
 * behind what others staged: a write that has to wait must not fail with their
 * statements in it.
 */
static int
write_statements(struct torc_pg_session *session,
    struct torc_pg_result *result, const struct torc_pg_statement *wanted,
    uint64_t deadline)
{
	struct asking asking;
	int rc = 0;

	if (is_large(session, wanted, result->count)) {
		torc_pipeline_attend(&session->pipeline, &result->base);
		rc = torc_conn_flush(session->conn, deadline);
	}
	if (rc == 0)
		rc = begin_asking(&asking, session, result, wanted);
	if (rc < 0)
		return rc;
	rc = pg_write(session, put_asking, &asking, deadline);
	pg_cache_closed(&session->cache, asking.closing);
	session->pg->stats.queries += result->count;
	return rc;
}

/* Nobody waits for it any more; it keeps its place, if it is not over. */
static void
give_up(struct torc_pipeline *pipeline, struct torc_pg_result **result)
{
	int rc = torc_pipeline_await(pipeline, &(*result)->base, 0);

	if (rc == -ETIMEDOUT || rc == -ECANCELED)
		*result = NULL;
}

#define UNWRITTEN 1

/*
 * Parks. UNWRITTEN: not a byte of it was, since half a statement of another is
 * out. Or an error: half of this one may be, and no other may follow; answers
 * to those who were before may still come.
 */
static int
submit(struct torc_pg_session *session, struct torc_pg_result **result,
    const struct torc_pg_statement *wanted, uint64_t deadline)
{
	struct torc_pipeline *pipeline = &session->pipeline;
	int rc = torc_pipeline_begin(pipeline, &(*result)->base, deadline);

	if (rc < 0)
		return rc;
	rc = session->mute ? UNWRITTEN :
	    write_statements(session, *result, wanted, deadline);
	if (rc < 0) {
		session->mute = true;
		pg_share_retire(session);
	}
	if (rc < 0 && rc != -ETIMEDOUT && rc != -ECANCELED)
		torc_pipeline_break(pipeline, rc);
	torc_pipeline_end(pipeline);
	if (rc != 0)
		give_up(pipeline, result);
	return rc;
}

/*
 * Parks. Once, on one connection. 0: it was answered, and `result` is the
 * caller's, as it is after an error unless *result is NULL then.
 */
static int
ask_on(struct torc_pg_session *session, struct torc_pg_result **result,
    const struct torc_pg_statement *wanted, uint64_t deadline)
{
	struct torc_pipeline *pipeline = &session->pipeline;
	struct torc_request *request = &(*result)->base;
	int rc = submit(session, result, wanted, deadline);

	if (rc != 0)
		return rc;
	rc = torc_pipeline_await(pipeline, request, deadline);
	if (rc == -ETIMEDOUT && is_first_alive(pipeline, request))
		pg_share_retire(session);
	if (rc == -ETIMEDOUT || rc == -ECANCELED)
		*result = NULL;
	return rc;
}

static int
ask(struct torc_pg *pg, struct torc_pg_result **result,
    const struct torc_pg_statement *wanted, uint64_t deadline)
{
	struct torc_pg_session *session;
	int rc = pg_share_join(pg, &session, deadline);

	if (rc < 0)
		return rc;
	rc = ask_on(session, result, wanted, deadline);
	pg_share_leave(session);
	return rc != 0 ? rc : (*result)->failure;
}

/* What cannot be asked at all: nothing is sent, and the result has words. */
static int
check_statements(const struct torc_pg_statement *statements, unsigned count,
    struct torc_pg_result **result)
{
	struct torc_pg_error *error;
	unsigned index = 0;
	int rc = count == 0 ? -EINVAL : 0;

	while (rc == 0 && index < count)
		rc = pg_check_statement(&statements[index++], NULL);
	if (rc != -E2BIG)
		return rc;
	*result = pg_result_new(1);
	error = *result != NULL ? pg_result_fault(*result) : NULL;
	if (error == NULL) {
		torc_pg_free(*result);
		*result = NULL;
		return -ENOMEM;
	}
	pg_check_statement(&statements[--index], error);
	error->statement = index;
	return rc;
}

int
torc_pg_batch(struct torc_pg *pg, const struct torc_pg_statement *statements,
    unsigned count, struct torc_pg_result **result, uint64_t deadline)
{
	bool again = false;	/* once: all is prepared anew then */
	int rc;

	*result = NULL;
	rc = check_statements(statements, count, result);
	if (rc < 0)
		return rc;
	for (;;) {
		*result = pg_result_new(count);
		if (*result == NULL)
			return -ENOMEM;
		(*result)->anew = again;
		rc = ask(pg, result, statements, deadline);
		if (rc != UNWRITTEN) {
			if (*result == NULL)
				return rc;
			if (again || !(*result)->outdated)
				break;
			again = true;
			pg->stats.repeated++;
		}
		torc_pg_free(*result);
	}
	torc_pg_seek(*result, 0);
	if (rc < 0 && (*result)->error == NULL) {
		torc_pg_free(*result);
		*result = NULL;
	}
	return rc;
}

int
torc_pg_query(struct torc_pg *pg, const struct torc_pg_statement *statement,
    struct torc_pg_result **result, uint64_t deadline)
{
	return torc_pg_batch(pg, statement, 1, result, deadline);
}
