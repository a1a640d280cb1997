/* SPDX-License-Identifier: MIT */
/*
 * ask.c - statements of many fibers over shared connections: how they are
 * written, and what each fiber is told.
 */
#include <errno.h>
#include <string.h>

#include "conn/pg/answer.h"
#include "conn/pg/cache.h"
#include "conn/pg/client.h"
#include "conn/pg/error.h"
#include "conn/pg/nature.h"
#include "conn/pg/result.h"
#include "conn/pg/session.h"
#include "conn/pg/stream.h"
#include "conn/pg/wire.h"
#include "reactor/error.h"
#include "sys/trap.h"

/* An attempt ended, and there can be another one: nothing was sent. */
#define UNWRITTEN 1
#define ATTEMPTS_MAX 8u		/* that end so */

/* ---- What is told ---- */

/* The statements that a fiber sends at once. */
struct question {
	const struct torc_pg_statement *wanted;
	unsigned count;
	size_t size;		/* of what is written, at most */
};

/* "select 1" and 2 more */
static void
name_statements(char *name, size_t size, const struct question *question)
{
	char quote[PG_QUOTE_SIZE];

	torc_assert(question->count > 0);
	torc_pg_quote(quote, question->wanted[0].sql);
	if (question->count == 1)
		torc_text_print(name, size, "\"%s\"", quote);
	else
		torc_text_print(name, size, "\"%s\" and %u more", quote,
		    question->count - 1);
}

/*
 * Say what is known about statements without a complete answer, and why. An
 * earlier text, of the server or of this file, is kept.
 */
static void
tell(struct torc_pg_result **result, const struct question *question,
    enum torc_pg_outcome outcome, const char *cause)
{
	char name[PG_QUOTE_SIZE + 24];
	struct pg_fault *fault;

	if (*result != NULL)
		torc_pg_result_clear(*result);
	else
		*result = torc_pg_result_new(question->count);
	fault = *result != NULL ? torc_pg_result_fault(*result) : NULL;
	if (fault == NULL)
		return;
	fault->error.outcome = outcome;
	if (!pg_fault_is_mute(fault))
		return;
	name_statements(name, sizeof(name), question);
	torc_pg_fault_say(fault, "%s %s: %s", name, outcome == TORC_PG_UNSENT ?
	    "was not sent" : "may have been done", cause);
}

/* The same, when `error` came before something. */
static void
tell_before(struct torc_pg_result **result, const struct question *question,
    enum torc_pg_outcome outcome, int error, const char *what)
{
	char cause[PG_CAUSE_SIZE];

	torc_pg_cause_before(cause, error, what);
	tell(result, question, outcome, cause);
}

/* ---- What is written ---- */

/* Whether all requests before it were given up: then the server delays it. */
static bool
is_first_alive(const struct torc_pipeline *pipeline,
    const struct torc_request *request)
{
	const struct torc_request *before = pipeline->first;

	while (before != NULL && before != request && before->abandoned)
		before = before->next;
	return before == request;
}

/* The largest size of a statement and a parameter, without caller data. */
#define MESSAGES_SIZE 256u
#define PARAM_SIZE 24u

static size_t
size_of(const struct torc_pg_statement *wanted, unsigned count)
{
	size_t size = 0;

	for (; count > 0; count--, wanted++) {
		size += MESSAGES_SIZE + strlen(wanted->sql);
		for (unsigned i = 0; i < wanted->param_count; i++)
			size += PARAM_SIZE + wanted->params[i].bytes.size;
	}
	return size;
}

/* What is written at once. */
struct asking {
	const struct torc_pg_statement *wanted;	/* as many as `result` has */
	struct torc_pg_result *result;	/* with the answers to them */
	const struct pg_statement *closing;	/* of the cache's */
};

/* If no transaction is open for the rollback, the server only warns. */
static void
put_asking(struct pg_writer *writer, void *arg)
{
	const struct asking *asking = arg;
	const struct torc_pg_result *result = asking->result;

	torc_pg_cache_put_closing(asking->closing, writer);
	for (unsigned i = 0; i < result->count; i++)
		torc_pg_answer_ask(&result->parts[i].answer, &asking->wanted[i],
		    writer);
	torc_pg_put_sync(writer);
	if (result->guarded)
		torc_pg_put_simple(writer, "ROLLBACK");
}

static void
put_nothing(struct pg_writer *writer, void *arg)
{
	(void)arg;
	torc_pg_put_sync(writer);
}

static int
refuse(struct torc_pg_result *result, unsigned index, const char *why)
{
	struct pg_fault *fault = torc_pg_result_fault(result);

	if (fault != NULL) {
		torc_pg_fault_say_constant(fault, why);
		fault->error.statement = index;
	}
	return -EOPNOTSUPP;
}

/*
 * Refuse a statement that must not run on a shared connection, by itself or as
 * the last one. `*open`: a transaction is open.
 */
static int
check_nature(struct torc_pg_result *result, unsigned index, bool *open)
{
	const unsigned nature = result->parts[index].answer.statement->nature;

	if (nature & PG_STAYS)
		return refuse(result, index, "the statement changes the "
		    "session of a shared connection: it needs a session of "
		    "torc_pg_session_acquire()");
	if (nature & PG_COPIES)
		return refuse(result, index, "COPY needs a session, and "
		    "torc_pg_copy_in_begin() or torc_pg_copy_out_begin()");
	if (nature & PG_ENDS)
		*open = false;
	if (nature & PG_BEGINS)
		*open = true;
	if (nature & (PG_BEGINS | PG_ENDS))
		result->guarded = true;
	if (*open && index + 1 == result->count)
		return refuse(result, index, "a transaction that stays open "
		    "needs a session of torc_pg_session_acquire()");
	return 0;
}

/*
 * Statements that the first one pushed out of the cache are closed before it.
 * Those that later ones push out may be among the statements sent here. They
 * are closed before the next request, where nothing is skipped.
 */
static int
begin_asking(struct asking *asking, struct torc_pg_session *session,
    struct torc_pg_result *result, const struct torc_pg_statement *wanted)
{
	const uint64_t stale = result->anew ? session->cache.last_id : 0;
	bool open = false;
	int rc = 0;

	*asking = (struct asking) { .wanted = wanted, .result = result };
	for (unsigned i = 0; rc == 0 && i < result->count; i++) {
		rc = torc_pg_answer_begin(&result->parts[i].answer, session,
		    &wanted[i], stale);
		if (i == 0)
			asking->closing = session->cache.closing;
		if (rc == 0)
			rc = check_nature(result, i, &open);
	}
	return rc;
}

/* Write nothing: no statement is prepared, and the server gets only a Sync. */
static void
ask_nothing(struct asking *asking, struct torc_pg_session *session, int why)
{
	struct torc_pg_result *result = asking->result;
	struct pg_fault *fault = torc_pg_result_fault(result);

	for (unsigned i = 0; i < result->count; i++) {
		struct pg_answer *answer = &result->parts[i].answer;

		if (answer->stage == PG_PARSE)
			torc_pg_cache_drop(&session->cache, answer->statement,
			    false);
		answer->stage = PG_COMPLETE;
	}
	torc_assert(result->part == result->parts && result->failure == 0);
	result->guarded = false;
	result->part = &result->parts[result->count - 1];
	result->failure = why;
	if (fault == NULL)
		return;
	fault->error.outcome = TORC_PG_UNSENT;
	if (pg_fault_is_mute(fault))
		torc_pg_fault_say(fault, "it could not be written: %s",
		    torc_pg_cause(why));
}

/*
 * Parks. Call it between begin and end of the pipeline. A large request is not
 * written behind staged bytes of others: a write that has to wait must not fail
 * with their statements in it. `*begun`: a part of it may have been sent.
 */
static int
write_statements(struct torc_pg_session *session,
    struct torc_pg_result *result, const struct torc_pg_statement *wanted,
    bool *begun, torc_deadline deadline)
{
	struct pg_draft draft;
	struct asking asking;
	int rc = 0;

	if (result->size > torc_conn_room(session->conn)) {
		torc_pipeline_attend(&session->shared.pipeline, &result->base);
		rc = torc_conn_flush(session->conn, deadline);
	}
	if (rc < 0)
		return rc;
	rc = begin_asking(&asking, session, result, wanted);
	if (rc == 0)
		rc = torc_pg_draft_make(&draft, put_asking, &asking);
	if (rc == 0) {
		torc_pg_cache_closed(&session->cache, asking.closing);
		session->pg->stats.queries += result->count;
	} else {
		ask_nothing(&asking, session, rc);
		torc_pg_draft_make(&draft, put_nothing, NULL);
	}
	*begun = true;
	return torc_pg_draft_send(&draft, session, deadline);
}

/* ---- One attempt ---- */

/* Stop waiting for a request. It keeps its place until it is over. */
static void
give_up(struct torc_pipeline *pipeline, struct torc_pg_result **result)
{
	int rc = torc_pipeline_await(pipeline, &(*result)->base,
	    TORC_AT_ONCE);

	if (rc == -ETIMEDOUT || rc == -ECANCELED)
		*result = NULL;
}

/*
 * Parks. Returns UNWRITTEN if no byte was written: half a statement of another
 * request was sent, or the connection has ended. After an error, a part may
 * have been sent, and no other request may follow; earlier answers may still
 * arrive.
 */
static int
submit(struct torc_pg_session *session, struct torc_pg_result **result,
    const struct question *question, torc_deadline deadline)
{
	struct torc_pipeline *pipeline = &session->shared.pipeline;
	bool begun = false;
	int rc = torc_shared_begin(&session->shared, &(*result)->base,
	    deadline);

	if (rc == -ETIMEDOUT || rc == -ECANCELED) {
		tell_before(result, question, TORC_PG_UNSENT, rc,
		    "it was its turn on a shared connection");
		return rc;
	}
	if (rc < 0) {
		torc_shared_retire(&session->shared);
		return UNWRITTEN;
	}
	rc = session->mute ? UNWRITTEN : write_statements(session, *result,
	    question->wanted, &begun, deadline);
	if (rc < 0) {
		session->mute = true;
		torc_shared_retire(&session->shared);
	}
	if (rc < 0 && rc != -ETIMEDOUT && rc != -ECANCELED)
		torc_pipeline_break(pipeline, -ECONNRESET);
	torc_pipeline_end(pipeline);
	if (rc != 0)
		give_up(pipeline, result);
	if (rc < 0 && *result != NULL && (*result)->base.unsent)
		return UNWRITTEN;
	if (rc < 0)
		tell_before(result, question, begun ? TORC_PG_UNKNOWN :
		    TORC_PG_UNSENT, rc, "all of it was written");
	return rc;
}

/* The connection broke before the answer was complete. */
static int
judge(struct torc_pg_result **result, const struct question *question, int rc)
{
	torc_assert(rc < 0 && !(*result)->base.abandoned);
	if ((*result)->base.unsent)
		return UNWRITTEN;
	/* The server has reported a failure, and will not execute it. */
	if ((*result)->failure == -EREMOTEIO && rc != -EPROTO)
		return 0;
	/* A statement whose result is too large may not be committed. */
	if (((*result)->failure == -EMSGSIZE ||
	    (*result)->failure == -ENOMEM) && (*result)->fault != NULL)
		torc_pg_fault_say_constant((*result)->fault, "");
	tell_before(result, question, TORC_PG_UNKNOWN, rc, "it was answered");
	return rc;
}

/*
 * Parks. Try once, on one connection. Returns 0 if it was answered. `*result`
 * is the caller's, also after an error unless it is NULL.
 */
static int
ask_on(struct torc_pg_session *session, struct torc_pg_result **result,
    const struct question *question, torc_deadline deadline)
{
	struct torc_pipeline *pipeline = &session->shared.pipeline;
	struct torc_request *request = &(*result)->base;
	int rc = submit(session, result, question, deadline);

	if (rc != 0)
		return rc;
	rc = torc_pipeline_await(pipeline, request, deadline);
	if (rc == 0)
		return 0;
	if (rc != -ETIMEDOUT && rc != -ECANCELED)
		return judge(result, question, rc);
	/* In that case the server, or the statement before, makes it wait. */
	if (rc == -ETIMEDOUT && (is_first_alive(pipeline, request) ||
	    torc_shared_is_quiet(&session->shared)))
		torc_shared_retire(&session->shared);
	*result = NULL;
	tell_before(result, question, TORC_PG_UNKNOWN, rc, "it was answered");
	return rc;
}

/* There is no connection: say why. */
static void
tell_failure(const struct torc_pg *pg, struct torc_pg_result **result,
    const struct question *question, int rc, torc_deadline deadline)
{
	struct torc_error error;

	torc_pg_explain(&pg->shared_pool, rc, deadline, &error);
	tell(result, question, TORC_PG_UNSENT, error.text);
	if (*result != NULL && (*result)->fault != NULL)
		(*result)->fault->error.cut = error.cut;
}

static int
ask(struct torc_pg *pg, struct torc_pg_result **result,
    const struct question *question, torc_deadline deadline)
{
	struct torc_shared *shared;
	int rc = torc_shared_join(&pg->shared, &shared, deadline);

	if (rc < 0) {
		tell_failure(pg, result, question, rc, deadline);
		return rc;
	}
	rc = ask_on(shared->item, result, question, deadline);
	torc_shared_leave(shared);
	return rc != 0 ? rc : (*result)->failure;
}

/* ---- Calls ---- */

/* Refuse a request that cannot be sent; the result has the error. */
static int
refuse_all(struct torc_pg_result **result, const struct question *question,
    unsigned index, int why)
{
	tell(result, question, TORC_PG_UNSENT, torc_pg_cause(-EMSGSIZE));
	if (*result == NULL || (*result)->fault == NULL)
		return -ENOMEM;
	if (why == -E2BIG)
		torc_pg_check_statement(&question->wanted[index],
		    (*result)->fault);
	(*result)->fault->error.statement = index;
	return why;
}

static int
refuse_none(struct torc_pg_result **result)
{
	struct pg_fault *fault;

	*result = torc_pg_result_new(1);
	fault = *result != NULL ? torc_pg_result_fault(*result) : NULL;
	if (fault == NULL)
		return -ENOMEM;
	torc_pg_fault_say_constant(fault,
	    "a batch of 0 statements: there must be at least 1");
	fault->error.outcome = TORC_PG_UNSENT;
	return -EINVAL;
}

static int
check_statements(struct question *question, struct torc_pg_result **result)
{
	if (question->count == 0)
		return refuse_none(result);
	for (unsigned i = 0; i < question->count; i++)
		if (torc_pg_check_statement(&question->wanted[i], NULL) < 0)
			return refuse_all(result, question, i, -E2BIG);
	question->size = size_of(question->wanted, question->count);
	return question->size <= PG_WRITE_MAX ? 0 :
	    refuse_all(result, question, 0, -EMSGSIZE);
}

static bool
is_to_be_asked_again(const struct torc_pg_result *result, int rc, bool *again,
    unsigned *attempts)
{
	if (rc == UNWRITTEN)
		return ++*attempts < ATTEMPTS_MAX;
	if (*again || result == NULL || !result->outdated)
		return false;
	*again = true;
	return true;
}

int
torc_pg_batch(struct torc_pg *pg, const struct torc_pg_statement *statements,
    unsigned count, struct torc_pg_result **result, torc_deadline deadline)
{
	struct question question = { .wanted = statements, .count = count };
	bool again = false;	/* once: all is prepared anew then */
	unsigned attempts = 0;
	int rc;

	*result = NULL;
	rc = check_statements(&question, result);
	while (rc >= 0) {
		*result = torc_pg_result_new(count);
		if (*result == NULL)
			return -ENOMEM;
		(*result)->anew = again;
		(*result)->size = question.size;
		rc = ask(pg, result, &question, deadline);
		if (!is_to_be_asked_again(*result, rc, &again, &attempts))
			break;
		torc_pg_result_free(*result);
		rc = 0;
	}
	pg->stats.repeated += again;
	if (rc == UNWRITTEN) {
		rc = -ECONNRESET;
		tell(result, &question, TORC_PG_UNSENT, "connections end "
		    "before anything can be sent");
	}
	if (*result != NULL)
		torc_pg_result_seek(*result, 0);
	return rc;
}

int
torc_pg_query(struct torc_pg *pg, const struct torc_pg_statement *statement,
    struct torc_pg_result **result, torc_deadline deadline)
{
	return torc_pg_batch(pg, statement, 1, result, deadline);
}
