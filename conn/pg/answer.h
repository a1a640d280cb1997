/* SPDX-License-Identifier: MIT */
/*
 * answer.h - sends a statement, and knows which message may follow which in the
 * answer.
 */
#ifndef TORC_PG_ANSWER_H
#define TORC_PG_ANSWER_H

#include "conn/pg/cache.h"
#include "conn/pg/error.h"

struct torc_pg_session;

enum pg_stage {
	PG_OVER,	/* nothing is expected */
	PG_PARSE,	/* of a prepared statement: these in order */
	PG_BIND,
	PG_FIELDS,
	PG_ROWS,
	PG_COMPLETE,	/* or failed: only the end is missing */
	PG_BETWEEN,	/* of a simple one: a result, or the end */
	PG_COPYING_IN,
	PG_COPYING_OUT,
};

struct pg_answer {
	enum pg_stage stage;
	enum pg_stage failed_in;
	bool simple;
	bool blind;		/* the columns are not known */
	bool cached;		/* it was prepared for another request */
	struct pg_statement *statement;	/* held */
	struct pg_shape *shape;		/* held; NULL: no rows */
};

enum pg_event {
	PG_NOTHING,
	PG_BOUND,	/* rows come next */
	PG_ROW,
	PG_DONE,	/* a result is whole */
	PG_FAILED,
	PG_FINISHED,	/* all is over */
	PG_COPY_BEGINS,
	PG_COPIED,	/* a piece */
};

/*
 * Returns what a message means here, or -EPROTO if it must not come here.
 * `*lost` is set if a part of the result is missing: -EMSGSIZE, -ENOMEM.
 */
int torc_pg_answer_take(
    struct pg_answer *answer, const struct pg_message *message, int *lost);


/* ---- What is asked for, and what comes of it ---- */

/*
 * Find the statement in the cache, or add it. Returns 0 or -ENOMEM. Statements
 * with ids up to `stale` are prepared again. Write the messages at once:
 * answers that arrive while a fiber parks may change what is prepared.
 */
int torc_pg_answer_begin(struct pg_answer *answer,
    struct torc_pg_session *session, const struct torc_pg_statement *wanted,
    uint64_t stale);
/*
 * Write the messages of a statement, without a Sync; also Parse, if it is not
 * prepared yet.
 */
void torc_pg_answer_ask(const struct pg_answer *answer,
    const struct torc_pg_statement *wanted, struct pg_writer *writer);
void torc_pg_answer_end(struct pg_answer *answer);

/*
 * A statement failed: update the cache. Returns whether it is worth another try
 * after preparing it again: it was not executed, and may have failed only
 * because it was out of date.
 */
bool torc_pg_answer_failed(struct torc_pg_session *session,
    const struct pg_answer *answer, const struct pg_report *report);

/* Returns 0; or -E2BIG, and `fault` (may be NULL) says why. */
int torc_pg_check_statement(const struct torc_pg_statement *statement,
    struct pg_fault *fault);

#endif
