/* SPDX-License-Identifier: MIT */
/* error.c - the texts of errors. */
#include "conn/pg/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reactor/error.h"
#include "sys/sys.h"
#include "sys/trap.h"

#define NO_MEMORY "no memory for the text of an error"

#define NO_TEXTS \
	.severity = "", .text = "", .detail = "", .hint = "", .context = "", \
	.table = "", .column = "", .constraint = ""

const struct torc_pg_error torc_pg_no_error = { NO_TEXTS };

#define TEXT(member) offsetof(struct torc_pg_error, member)

static const size_t texts[] = { TEXT(severity), TEXT(text), TEXT(detail),
	TEXT(hint), TEXT(context), TEXT(table), TEXT(column),
	TEXT(constraint) };

#define TEXTS (sizeof(texts) / sizeof(texts[0]))

static const char **
text_of(struct torc_pg_error *error, size_t index)
{
	torc_assert(index < TEXTS);
	return (const char **)(void *)((char *)error + texts[index]);
}

/* ---- What the server says ---- */

/* A report that was skipped ends with the part that was kept. */
int
torc_pg_take_report(const struct pg_message *message, struct pg_report *report)
{
	if (message->lost == 0)
		return torc_pg_read_report(message, report);
	*report = PG_NO_REPORT;
	if (message->size > 0)
		(void)torc_pg_read_report(message, report);
	report->cut = true;
	if (report->text[0] == '\0')
		report->text = message->lost == -ENOMEM ?
		    "no memory for the text of the server's message" :
		    "the server's message is longer than `message_max`";
	return 0;
}

void
torc_pg_error_view(struct torc_pg_error *error, const struct pg_report *report)
{
	*error = (struct torc_pg_error) {
		.cut = report->cut,
		.position = (unsigned)strtoul(report->position, NULL, 10),
		.severity = report->severity,
		.text = report->text[0] != '\0' ? report->text :
		    "no text was given",
		.detail = report->detail,
		.hint = report->hint,
		.context = report->context,
		.table = report->table,
		.column = report->column,
		.constraint = report->constraint,
	};
	snprintf(error->state, sizeof(error->state), "%.5s", report->state);
}

/* ---- With memory of its own ---- */

void
torc_pg_fault_init(struct pg_fault *fault)
{
	*fault = (struct pg_fault) { .error = torc_pg_no_error };
}

void
torc_pg_fault_clear(struct pg_fault *fault)
{
	torc_sys_free(fault->memory);
	torc_pg_fault_init(fault);
}

/* `memory` has the texts, or they are constants. */
static void
replace(struct pg_fault *fault, const struct torc_pg_error *error,
    char *memory)
{
	const unsigned statement = fault->error.statement;
	const enum torc_pg_outcome outcome = fault->error.outcome;

	torc_sys_free(fault->memory);
	*fault = (struct pg_fault) { *error, memory };
	fault->error.statement = statement;
	fault->error.outcome = outcome;
}

/* The texts, one after the other. */
static void
move_texts(struct torc_pg_error *error, char *memory, size_t room)
{
	for (size_t i = 0; i < TEXTS; i++) {
		const char **text = text_of(error, i);
		const size_t size = strlen(*text) + 1;

		torc_assert(size <= room);
		memcpy(memory, *text, size);
		*text = memory;
		memory += size;
		room -= size;
	}
}

void
torc_pg_fault_keep(struct pg_fault *fault, const struct pg_report *report)
{
	struct torc_pg_error error;
	size_t size = 0;
	char *memory;

	torc_pg_error_view(&error, report);
	for (size_t i = 0; i < TEXTS; i++)
		size += strlen(*text_of(&error, i)) + 1;
	memory = torc_sys_alloc_raw(size);
	if (memory != NULL) {
		move_texts(&error, memory, size);
	} else {
		for (size_t i = 0; i < TEXTS; i++)
			*text_of(&error, i) = "";
		error.text = NO_MEMORY;
	}
	replace(fault, &error, memory);
}

void
torc_pg_fault_say_constant(struct pg_fault *fault, const char *words)
{
	struct torc_pg_error error = torc_pg_no_error;

	error.text = words;
	replace(fault, &error, NULL);
}

void
torc_pg_fault_say(struct pg_fault *fault, const char *format, ...)
{
	struct torc_pg_error error = torc_pg_no_error;
	char *memory = NULL;
	va_list arguments;
	int size;

	va_start(arguments, format);
	size = vsnprintf(NULL, 0, format, arguments) + 1;
	va_end(arguments);
	if (size > 0)
		memory = torc_sys_alloc_raw((size_t)size);
	if (memory != NULL) {
		va_start(arguments, format);
		vsnprintf(memory, (size_t)size, format, arguments);
		va_end(arguments);
	}
	error.text = memory != NULL ? memory : NO_MEMORY;
	replace(fault, &error, memory);
}

void
torc_pg_fault_say_missing(struct pg_fault *fault, int why,
    unsigned message_max)
{
	torc_assert(why == -ENOMEM || why == -EMSGSIZE);
	if (why == -ENOMEM)
		torc_pg_fault_say_constant(fault,
		    "no memory for a part of the result");
	else
		torc_pg_fault_say(fault, "a row, or the names of the columns, "
		    "has more than `message_max` bytes, %u", message_max);
}

/* ---- What words are made of ---- */

const char *
torc_pg_cause(int error)
{
	switch (error) {
	case -ETIMEDOUT:
		return "the deadline passed";
	case -ECANCELED:
		return "the fiber was cancelled";
	case -ECONNRESET:
	case -EPIPE:
		return "the server closed or reset the connection";
	case -EPROTO:
		return "the server sent bytes that are not its protocol";
	case -ECONNABORTED:
		return "the connection was given up";
	case -ESHUTDOWN:
		return "the reactor is stopping";
	case -EMSGSIZE:
		return "it is larger than 1 GiB";
	case -ENOMEM:
		return "no memory";
	default:
		return strerror(-error);
	}
}

void
torc_pg_cause_before(
    char cause[static PG_CAUSE_SIZE], int error, const char *what)
{
	const char *words = torc_pg_cause(error);

	if (error == -EPROTO || error == -EMSGSIZE || error == -ENOMEM)
		torc_text_print(cause, PG_CAUSE_SIZE, "%s", words);
	else
		torc_text_print(cause, PG_CAUSE_SIZE, "%s before %s", words,
		    what);
}

void
torc_pg_quote(char quote[static PG_QUOTE_SIZE], const char *sql)
{
	/* With a precision, the rest of a long text is not counted. */
	torc_text_print(quote, PG_QUOTE_SIZE, "%.*s", (int)(2 * PG_QUOTE_SIZE),
	    sql + strspn(sql, " \t\n\r\f\v"));
	for (; *quote != '\0'; quote++)
		if ((unsigned char)*quote < ' ')
			*quote = ' ';
}
