/*
 * text.h - texts in fields of a fixed size: what does not fit is left out from
 * the first character that would be cut. Characters are those of UTF-8.
 */
#ifndef TORC_PG_TEXT_H
#define TORC_PG_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* `room`: at least 1. */
void torc_pg_copy_text(char *to, size_t room, const char *from);

__attribute__((format(printf, 3, 0)))
void torc_pg_print_text(char *to, size_t room, const char *format,
    va_list arguments);

/* Whether they are the same but for the case of ASCII letters. The locale, in
 * which I and i may be two letters, does not matter. */
bool torc_pg_same_letters(const char *a, const char *b, size_t size);

#endif
