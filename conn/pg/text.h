/* SPDX-License-Identifier: MIT */
/*
 * text.h - texts in the letters that the protocol and SQL are made of.
 */
#ifndef TORC_PG_TEXT_H
#define TORC_PG_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether two texts are the same except for the case of ASCII letters. The
 * locale, in which I and i may be two letters, does not matter.
 */
bool torc_pg_same_letters(const char *a, const char *b, size_t size);

#endif
