/* SPDX-License-Identifier: MIT */
/*
 * error.h - errors with their texts: a struct torc_pg_error and its memory,
 * which belong to a result or a session.
 */
#ifndef TORC_PG_ERROR_H
#define TORC_PG_ERROR_H

#include <stdarg.h>

#include "conn/pg/wire.h"

struct pg_fault {
	struct torc_pg_error error;	/* its texts are never NULL */
	char *memory;		/* where they are; NULL: they are constants */
};

/* No error; the texts are "". */
extern const struct torc_pg_error torc_pg_no_error;

/*
 * As torc_pg_read_report(), but also reads the kept part of a skipped report.
 */
int torc_pg_take_report(const struct pg_message *message,
    struct pg_report *report);

/* View a report as an error. The texts stay where they are. */
void torc_pg_error_view(
    struct torc_pg_error *error, const struct pg_report *report);

/* Initialize a fault. */
void torc_pg_fault_init(struct pg_fault *fault);
/* Clear a fault, and free its texts. */
void torc_pg_fault_clear(struct pg_fault *fault);

/* Whether there is no text yet. */
static inline bool
pg_fault_is_mute(const struct pg_fault *fault)
{
	return fault->error.text[0] == '\0';
}

/*
 * Store a text of the server, or one of torc. The number of the statement and
 * its outcome are kept. If there is no memory for the text, the text says that.
 */
void torc_pg_fault_keep(
    struct pg_fault *fault, const struct pg_report *report);
__attribute__((format(printf, 2, 3)))
void torc_pg_fault_say(struct pg_fault *fault, const char *format, ...);
/* Store a constant text, which needs no memory. */
void torc_pg_fault_say_constant(struct pg_fault *fault, const char *words);

/* A part of a result is missing: -EMSGSIZE, for this bound, or -ENOMEM. */
void torc_pg_fault_say_missing(
    struct pg_fault *fault, int why, unsigned message_max);

/* Returns why something ended, to be put after a colon. */
const char *torc_pg_cause(int error);
/*
 * The same, with what did not happen: "the deadline passed before it was
 * answered".
 */
#define PG_CAUSE_SIZE 200u
void torc_pg_cause_before(
    char cause[static PG_CAUSE_SIZE], int error, const char *what);

/* Write the beginning of a statement, on one line, to name it. */
#define PG_QUOTE_SIZE 64u
void torc_pg_quote(char quote[static PG_QUOTE_SIZE], const char *sql);

#endif
