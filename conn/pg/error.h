/* SPDX-License-Identifier: MIT */
/*
 * error.h - what went wrong, in words: a struct torc_pg_error with the memory
 * of its texts, which a result or a session has for itself.
 */
#ifndef TORC_PG_ERROR_H
#define TORC_PG_ERROR_H

#include <stdarg.h>

#include "conn/pg/wire.h"

struct pg_fault {
	struct torc_pg_error error;	/* its texts are never NULL */
	char *memory;		/* where they are; NULL: they are constants */
};

/* Nothing went wrong; its texts are "". */
extern const struct torc_pg_error torc_pg_no_error;

/* As torc_pg_read_report(), also of one that was read past: what is there of
 * it. */
int torc_pg_take_report(const struct pg_message *message,
    struct pg_report *report);

/* What a report says, whose texts stay where they are. */
void torc_pg_error_view(
    struct torc_pg_error *error, const struct pg_report *report);

/* Of memory that holds nothing yet. */
void torc_pg_fault_init(struct pg_fault *fault);
/* Nothing went wrong any more, and nothing is kept. */
void torc_pg_fault_clear(struct pg_fault *fault);

/* Whether there are no words yet. */
static inline bool
pg_fault_is_mute(const struct pg_fault *fault)
{
	return fault->error.text[0] == '\0';
}

/*
 * The words of the server, or torc's own. Which statement it is, and its
 * outcome, stay. Without memory for the words, the words say that.
 */
void torc_pg_fault_keep(
    struct pg_fault *fault, const struct pg_report *report);
__attribute__((format(printf, 2, 3)))
void torc_pg_fault_say(struct pg_fault *fault, const char *format, ...);
/* Words that stay where they are: they need no memory. */
void torc_pg_fault_say_constant(struct pg_fault *fault, const char *words);

/* A part of a result is missing: -EMSGSIZE, for this bound, or -ENOMEM. */
void torc_pg_fault_say_missing(
    struct pg_fault *fault, int why, unsigned message_max);

/* Why something ended, for behind a colon. */
const char *torc_pg_cause(int error);
/* The same, with what did not come any more: "the deadline passed before it was
 * answered". */
#define PG_CAUSE_SIZE 200u
void torc_pg_cause_before(
    char cause[static PG_CAUSE_SIZE], int error, const char *what);

/* The beginning of a statement, on one line, to name it by. */
#define PG_QUOTE_SIZE 64u
void torc_pg_quote(char quote[static PG_QUOTE_SIZE], const char *sql);

#endif
