/* SPDX-License-Identifier: MIT */
/*
 * result.h - a request over a shared connection, and its result.
 */
#ifndef TORC_PG_RESULT_H
#define TORC_PG_RESULT_H

#include "conn/pg/session.h"

#define PG_FEW 16u	/* columns that need no memory of their own */

/* The result of one statement. */
struct pg_part {
	struct pg_answer answer;
	uint64_t rows;
	uint64_t affected;
	size_t start;		/* of its rows, in `data` */
	size_t end;
};

struct torc_pg_result {
	struct torc_request base;	/* in the pipeline */
	struct pg_fault *fault;
	int failure;		/* of the statements, 0 if there was none */
	bool outdated;		/* as it was prepared: try again */
	bool anew;		/* prepare all statements again */
	bool lasts;		/* what one did may outlast a failure */
	bool guarded;		/* a rollback follows, whatever happens */
	struct pg_answer guard;	/* to it */
	size_t size;		/* of what is written, at most */
	unsigned count;		/* of parts */
	struct pg_part *part;	/* that is answered, and then: is read */
	uint8_t *data;		/* rows of all */
	size_t used;
	size_t room;
	size_t at;		/* the next one to be given */
	struct torc_slice *many;
	unsigned many_count;
	/* Fields from here on are not zeroed. */
	struct torc_slice values[PG_FEW];
	uint8_t small[512];
	struct pg_part parts[];
};

/* Create a result for so many statements, at least 1. */
struct torc_pg_result *torc_pg_result_new(unsigned count);
/* Add a row. Returns 0, -EMSGSIZE or -ENOMEM. */
int torc_pg_result_add(
    struct torc_pg_result *result, const struct pg_message *row, size_t most);
void torc_pg_result_clear(struct torc_pg_result *result);
/* Returns where its error is stored; NULL if there is no memory. */
struct pg_fault *torc_pg_result_fault(struct torc_pg_result *result);

#endif
