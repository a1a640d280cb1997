/* SPDX-License-Identifier: MIT */
/*
 * error.c - errors in words.
 */
#include "reactor/error.h"

#include <stdio.h>
#include <string.h>

#include "sys/explain.h"

#define CUT "..."

/* It is on callers' stacks: the layout is the same in all versions. */
_Static_assert(sizeof(struct torc_error) == 1024 &&
    offsetof(struct torc_error, cut) == 4 &&
    offsetof(struct torc_error, text) == 5,
    "struct torc_error is frozen");

/* Where a text can be cut at `at` or before it: not inside a character. */
static size_t
cut_at(const char *text, size_t at)
{
	size_t begin = at;

	while (begin > 0 && at - begin < 3 &&
	    ((unsigned char)text[begin] & 0xc0u) == 0x80u)
		begin--;
	/* What is no UTF-8 is cut anywhere. */
	return ((unsigned char)text[begin] & 0xc0u) == 0x80u ? at : begin;
}

bool
torc_text_vprint(char *text, size_t size, const char *format,
    va_list arguments)
{
	const int length = vsnprintf(text, size, format, arguments);

	if (length < 0) {
		if (size > 0)
			text[0] = '\0';
		return true;
	}
	if ((size_t)length < size)
		return false;
	if (size >= sizeof(CUT)) {
		const size_t at = cut_at(text, size - sizeof(CUT));

		memcpy(text + at, CUT, sizeof(CUT));
	}
	return true;
}

bool
torc_text_print(char *text, size_t size, const char *format, ...)
{
	va_list arguments;
	bool cut;

	va_start(arguments, format);
	cut = torc_text_vprint(text, size, format, arguments);
	va_end(arguments);
	return cut;
}

int
torc_error_vset(struct torc_error *error, int code, const char *format,
    va_list arguments)
{
	if (error == NULL)
		return code;
	error->code = code;
	error->cut = torc_text_vprint(error->text, sizeof(error->text), format,
	    arguments);
	return code;
}

int
torc_error_set(struct torc_error *error, int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)torc_error_vset(error, code, format, arguments);
	va_end(arguments);
	return code;
}

int
torc_error_explain(struct torc_error *error, int code, const char *call,
    uint64_t memory)
{
	char text[2 * sizeof(error->text)];

	if (error == NULL)
		return code;
	torc_explain_call(text, sizeof(text), call, code, memory);
	return torc_error_set(error, code, "%s", text);
}

void
torc_error_clear(struct torc_error *error)
{
	if (error == NULL)
		return;
	error->code = 0;
	error->cut = false;
	error->text[0] = '\0';
}
