/* SPDX-License-Identifier: MIT */
/*
 * answer.c - which message may follow which, in the answer to a statement.
 */
#include <errno.h>
#include <string.h>

#include "conn/pg/answer.h"
#include "conn/pg/cache.h"
#include "conn/pg/client.h"
#include "conn/pg/error.h"
#include "conn/pg/session.h"
#include "conn/pg/shape.h"
#include "conn/pg/wire.h"
#include "sys/trap.h"

/*
 * The messages that lead from one stage to the next, for prepared statements.
 */
static const struct step {
	enum pg_stage stage;
	uint8_t type;
	enum pg_stage next;
	enum pg_event event;
} steps[] = {
	{ PG_ROWS, PG_DATA_ROW, PG_ROWS, PG_ROW },
	{ PG_BIND, PG_BIND_COMPLETE, PG_FIELDS, PG_NOTHING },
	{ PG_FIELDS, PG_ROW_DESCRIPTION, PG_ROWS, PG_BOUND },
	{ PG_ROWS, PG_COMMAND_COMPLETE, PG_COMPLETE, PG_DONE },
	{ PG_COMPLETE, PG_READY, PG_OVER, PG_FINISHED },
	{ PG_FIELDS, PG_NO_DATA, PG_ROWS, PG_BOUND },
	{ PG_PARSE, PG_PARSE_COMPLETE, PG_BIND, PG_NOTHING },
	{ PG_ROWS, PG_EMPTY_QUERY, PG_COMPLETE, PG_DONE },
	{ PG_ROWS, PG_COPY_IN, PG_COPYING_IN, PG_COPY_BEGINS },
	{ PG_ROWS, PG_COPY_OUT, PG_COPYING_OUT, PG_COPY_BEGINS },
	{ PG_COPYING_OUT, PG_COPY_DATA, PG_COPYING_OUT, PG_COPIED },
	{ PG_COPYING_OUT, PG_COPY_DONE, PG_ROWS, PG_NOTHING },
	{ PG_COPYING_IN, PG_COMMAND_COMPLETE, PG_COMPLETE, PG_DONE },
};

/* For simple statements. A text may have several of them. */
static const struct step simple_steps[] = {
	{ PG_BETWEEN, PG_ROW_DESCRIPTION, PG_ROWS, PG_BOUND },
	{ PG_BETWEEN, PG_COMMAND_COMPLETE, PG_BETWEEN, PG_DONE },
	{ PG_BETWEEN, PG_EMPTY_QUERY, PG_BETWEEN, PG_DONE },
	{ PG_BETWEEN, PG_COPY_IN, PG_COPYING_IN, PG_COPY_BEGINS },
	{ PG_BETWEEN, PG_COPY_OUT, PG_COPYING_OUT, PG_COPY_BEGINS },
	{ PG_BETWEEN, PG_READY, PG_OVER, PG_FINISHED },
	{ PG_ROWS, PG_DATA_ROW, PG_ROWS, PG_ROW },
	{ PG_ROWS, PG_COMMAND_COMPLETE, PG_BETWEEN, PG_DONE },
	{ PG_COMPLETE, PG_READY, PG_OVER, PG_FINISHED },
	{ PG_COPYING_OUT, PG_COPY_DATA, PG_COPYING_OUT, PG_COPIED },
	{ PG_COPYING_OUT, PG_COPY_DONE, PG_BETWEEN, PG_NOTHING },
	{ PG_COPYING_IN, PG_COMMAND_COMPLETE, PG_BETWEEN, PG_DONE },
};

static const struct step *
find_step(const struct pg_answer *answer, uint8_t type)
{
	const struct step *step = answer->simple ? simple_steps : steps;
	const struct step *end = answer->simple ?
	    simple_steps + sizeof(simple_steps) / sizeof(*step) :
	    steps + sizeof(steps) / sizeof(*step);

	while (step < end &&
	    (step->stage != answer->stage || step->type != type))
		step++;
	return step < end ? step : NULL;
}

/* An error ends a statement at any point, also while it is committed. */
static int
fail(struct pg_answer *answer)
{
	if (answer->stage == PG_OVER)
		return -EPROTO;
	answer->failed_in = answer->stage;
	answer->stage = PG_COMPLETE;
	return PG_FAILED;
}

static int
describe(struct pg_answer *answer, const struct pg_message *message)
{
	struct pg_shape *none = NULL;
	struct pg_shape **kept = answer->statement != NULL ?
	    &answer->statement->shape : &none;
	int rc = message->lost != 0 ? message->lost :
	    torc_pg_shape_take(kept, message);

	torc_pg_shape_drop(&answer->shape);
	answer->blind = rc < 0;
	if (rc == 0)
		answer->shape = torc_pg_shape_ref(*kept);
	torc_pg_shape_drop(&none);
	return rc;
}

static int
check_row(const struct pg_answer *answer, const struct pg_message *message)
{
	if (message->lost != 0)
		return message->lost;
	if (answer->blind)
		return -EMSGSIZE;
	return answer->shape != NULL && torc_pg_read_row(message, NULL, 0) ==
	    (int)answer->shape->count ? 0 : -EPROTO;
}

/* 0, -EPROTO, or why a part of the result is missing. */
static int
check(struct pg_answer *answer, const struct pg_message *message)
{
	switch (message->type) {
	case PG_DATA_ROW:
		return check_row(answer, message);
	case PG_ROW_DESCRIPTION:
		return describe(answer, message);
	case PG_COPY_DATA:
		return message->lost;
	case PG_COMMAND_COMPLETE:
		/* One of several statements has no rows. */
		if (answer->stage == PG_BETWEEN)
			torc_pg_shape_drop(&answer->shape);
		answer->blind = false;
		return 0;
	case PG_PARSE_COMPLETE:
	case PG_BIND_COMPLETE:
	case PG_NO_DATA:
	case PG_EMPTY_QUERY:
	case PG_COPY_DONE:
		return message->size == 0 ? 0 : -EPROTO;
	default:
		return 0;
	}
}

int
torc_pg_answer_take(struct pg_answer *answer, const struct pg_message *message,
    int *lost)
{
	const struct step *step;
	int rc;

	*lost = 0;
	/* A simple text has several statements, and none of them is cached. */
	torc_assert(!answer->simple || answer->statement == NULL);
	if (message->type == PG_ERROR)
		return fail(answer);
	if (message->type == PG_CLOSE_COMPLETE && !answer->simple &&
	    answer->stage != PG_OVER)
		return PG_NOTHING;
	step = find_step(answer, message->type);
	if (step == NULL)
		return -EPROTO;
	rc = check(answer, message);
	if (rc == -EPROTO)
		return rc;
	*lost = rc;
	answer->stage = step->next;
	return (int)step->event;
}

void
torc_pg_answer_end(struct pg_answer *answer)
{
	if (answer->statement != NULL)
		torc_pg_statement_unref(answer->statement);
	answer->statement = NULL;
	torc_pg_shape_drop(&answer->shape);
}

/*
 * 26000: there is no such statement. 0A000 from that routine: the columns of
 * the plan have changed, and it fails before it runs. XX000: an object that it
 * refers to does not exist any more, as in "cache lookup failed".
 */
static bool
is_useless(const struct pg_report *report)
{
	return strcmp(report->state, "26000") == 0 ||
	    strcmp(report->state, "XX000") == 0 ||
	    (strcmp(report->state, "0A000") == 0 &&
	    strcmp(report->routine, "RevalidateCachedQuery") == 0);
}

/* A value is invalid for its type, which may have been another one before. */
static bool
is_of_another_type(const struct pg_report *report)
{
	static const char *const states[] = { "22003", "22007", "22008",
		"22P02", "22P03" };

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(report->state, states[i]) == 0)
			return true;
	return false;
}

/*
 * Class 42: an object does not exist any more, or is of another kind than when
 * the statement was prepared. But permissions are checked each time.
 */
static bool
may_be_outdated(const struct pg_answer *answer,
    const struct pg_report *report)
{
	return is_useless(report) || (strncmp(report->state, "42", 2) == 0 &&
	    strcmp(report->state, "42501") != 0) ||
	    (answer->statement->inferred && is_of_another_type(report));
}

bool
torc_pg_answer_failed(struct torc_pg_session *session,
    const struct pg_answer *answer, const struct pg_report *report)
{
	bool outdated;

	if (answer->simple || answer->statement == NULL)
		return false;
	if (answer->failed_in == PG_PARSE) {
		torc_pg_cache_drop(&session->cache, answer->statement, false);
		return false;
	}
	/* After this stage, the statement was executed. */
	outdated = answer->failed_in == PG_BIND && answer->cached &&
	    may_be_outdated(answer, report);
	if (outdated || is_useless(report))
		torc_pg_cache_drop(&session->cache, answer->statement, true);
	return outdated;
}

/* ---- What is written for a statement ---- */

int
torc_pg_check_statement(const struct torc_pg_statement *statement,
    struct pg_fault *fault)
{
	torc_require(statement->sql != NULL, "a statement has no text");
	if (statement->param_count <= PG_PARAMS_MAX)
		return 0;
	if (fault != NULL)
		torc_pg_fault_say(fault,
		    "the statement has %u parameters, and the protocol allows "
		    "%u",
		    statement->param_count, PG_PARAMS_MAX);
	return -E2BIG;
}

int
torc_pg_answer_begin(struct pg_answer *answer, struct torc_pg_session *session,
    const struct torc_pg_statement *wanted, uint64_t stale)
{
	struct pg_cache *cache = &session->cache;
	struct pg_statement *statement = torc_pg_cache_find(cache, wanted);
	/* An unnamed statement is kept for its columns only. */
	bool cached = statement != NULL && statement->name[0] != '\0';

	if (statement != NULL && statement->id <= stale) {
		torc_pg_cache_drop(cache, statement, true);
		statement = NULL;
		cached = false;
	}
	if (statement == NULL)
		statement = torc_pg_cache_add(cache, wanted);
	if (statement == NULL)
		return -ENOMEM;
	session->pg->stats.prepared += !cached;
	*answer = (struct pg_answer) {
		.stage = cached ? PG_BIND : PG_PARSE,
		.cached = cached,
		.statement = torc_pg_statement_ref(statement),
	};
	return 0;
}

void
torc_pg_answer_ask(const struct pg_answer *answer,
    const struct torc_pg_statement *wanted, struct pg_writer *writer)
{
	const char *name = answer->statement->name;

	if (answer->stage == PG_PARSE)
		torc_pg_put_parse(writer, name, wanted->sql, wanted->params,
		    wanted->param_count);
	torc_pg_put_bind(writer, name, wanted->params, wanted->param_count,
	    wanted->binary);
	torc_pg_put_execute(writer);
}
