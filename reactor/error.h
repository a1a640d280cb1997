/* SPDX-License-Identifier: MIT */
/*
 * error.h - errors in words: how a struct torc_error is filled in.
 */
#ifndef TORC_REACTOR_ERROR_H
#define TORC_REACTOR_ERROR_H

#include <stdarg.h>
#include <stddef.h>

#include "reactor/torc_runtime.h"
#include "sys/trap.h"

/*
 * As vsnprintf(3), but a text that does not fit is cut between two characters
 * of UTF-8, and ends with "...". Whether it was cut.
 */
TORC_BESIDE bool torc_text_vprint(char *text, size_t size,
    const char *format, va_list arguments);
TORC_BESIDE bool torc_text_print(char *text, size_t size,
    const char *format, ...)
    __attribute__((__format__(__printf__, 3, 4)));

/* Fill in an error, unless it is NULL. Returns `code`, a negative errno. */
TORC_BESIDE int torc_error_set(struct torc_error *error, int code,
    const char *format, ...)
    __attribute__((__format__(__printf__, 3, 4)));
TORC_BESIDE int torc_error_vset(struct torc_error *error, int code,
    const char *format, va_list arguments);

/*
 * Fill it in with what torc_explain_call() says of a call for a ring that was
 * refused. Returns `code`.
 */
TORC_BESIDE int torc_error_explain(struct torc_error *error, int code,
    const char *call, uint64_t memory);

/* Clear an error. A call that may fill it in begins with this. */
TORC_BESIDE void torc_error_clear(struct torc_error *error);

#endif
