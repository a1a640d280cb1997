/*
 * answer.c - which message may follow which, in the answer to a statement.
 */
#include <errno.h>
#include <string.h>

#include "conn/pg/pg.h"

/* The messages that lead from one stage to the next, for prepared ones: those
 * first that come with each. */
static const struct step {
	enum pg_stage stage;
	uint8_t type;
	enum pg_stage next;
	enum pg_event event;
} steps[] = {
	{ PG_ROWS, PG_DATA_ROW, PG_ROWS, PG_ROW },
	{ PG_BIND, PG_BIND_COMPLETE, PG_ROWS, PG_BOUND },
	{ PG_ROWS, PG_COMMAND_COMPLETE, PG_COMPLETE, PG_DONE },
	{ PG_COMPLETE, PG_READY, PG_OVER, PG_FINISHED },
	{ PG_PARSE, PG_PARSE_COMPLETE, PG_DESCRIBE, PG_NOTHING },
	{ PG_DESCRIBE, PG_PARAMETERS, PG_FIELDS, PG_NOTHING },
	{ PG_FIELDS, PG_ROW_DESCRIPTION, PG_BIND, PG_NOTHING },
	{ PG_FIELDS, PG_NO_DATA, PG_BIND, PG_NOTHING },
	{ PG_ROWS, PG_EMPTY_QUERY, PG_COMPLETE, PG_DONE },
	{ PG_ROWS, PG_COPY_IN, PG_COPYING_IN, PG_COPY_BEGINS },
	{ PG_ROWS, PG_COPY_OUT, PG_COPYING_OUT, PG_COPY_BEGINS },
	{ PG_COPYING_OUT, PG_COPY_DATA, PG_COPYING_OUT, PG_COPIED },
	{ PG_COPYING_OUT, PG_COPY_DONE, PG_ROWS, PG_NOTHING },
	{ PG_COPYING_IN, PG_COMMAND_COMPLETE, PG_COMPLETE, PG_DONE },
};

/* For simple ones, of which there may be several. */
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

/* The columns of a simple statement are those of its result. */
static int
describe(struct pg_answer *answer, const struct pg_message *message)
{
	if (answer->simple) {
		pg_answer_end(answer);
		answer->statement = pg_statement_loose();
		if (answer->statement == NULL)
			return -ENOMEM;
	}
	return pg_statement_describe(answer->statement, message);
}

static int
check(struct pg_answer *answer, const struct pg_message *message)
{
	switch (message->type) {
	case PG_DATA_ROW:
		return pg_read_row(message, NULL, 0) ==
		    (int)answer->statement->column_count ? 0 : -EPROTO;
	case PG_ROW_DESCRIPTION:
		return describe(answer, message);
	case PG_PARSE_COMPLETE:
		answer->statement->known = true;
		return message->size == 0 ? 0 : -EPROTO;
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
pg_answer_take(struct pg_answer *answer, const struct pg_message *message)
{
	const struct step *step;
	int rc;

	if (message->type == PG_ERROR)
		return fail(answer);
	if (message->type == PG_CLOSE_COMPLETE && !answer->simple &&
	    answer->stage != PG_OVER)
		return PG_NOTHING;
	step = find_step(answer, message->type);
	if (step == NULL)
		return -EPROTO;
	rc = check(answer, message);
	if (rc < 0)
		return rc;
	answer->stage = step->next;
	return (int)step->event;
}

void
pg_answer_end(struct pg_answer *answer)
{
	if (answer->statement != NULL)
		pg_statement_unref(answer->statement);
	answer->statement = NULL;
}

/*
 * 26000: there is no such statement. 0A000 of that routine: what the plan
 * returns has changed, and it says so before it runs.
 */
static bool
was_forgotten(const struct pg_report *report)
{
	return strcmp(report->state, "26000") == 0 ||
	    (strcmp(report->state, "0A000") == 0 &&
	    strcmp(report->routine, "RevalidateCachedQuery") == 0);
}

bool
pg_answer_failed(struct torc_pg_session *session,
    const struct pg_answer *answer, const struct pg_report *report)
{
	if (answer->simple || answer->statement == NULL)
		return false;
	if (answer->failed_in >= PG_PARSE && answer->failed_in < PG_BIND) {
		pg_cache_drop(&session->cache, answer->statement, false);
		return false;
	}
	if (answer->failed_in != PG_BIND || !was_forgotten(report))
		return false;
	pg_cache_drop(&session->cache, answer->statement, true);
	return true;
}
