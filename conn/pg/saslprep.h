/* SPDX-License-Identifier: MIT */
/*
 * saslprep.h - the form of a password that is hashed: RFC 4013, as PostgreSQL
 * and libpq have it.
 */
#ifndef TORC_PG_SASLPREP_H
#define TORC_PG_SASLPREP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Returns that form of a text, which the caller frees. A text without such a
 * form (not UTF-8, or with characters that are not allowed) is used unchanged,
 * as the server does. NULL: no memory. Any thread.
 */
char *torc_pg_saslprep(const char *text);

/*
 * Normalisation form KC of code points that a password may have, in their
 * place: how many there are. `room`: at least PG_EXPANSION for each, and one.
 */
#define PG_EXPANSION 18u	/* code points that one can become */
size_t torc_pg_normalise(uint32_t *codes, size_t count, size_t room);

/* ---- Tables (unicode_*.c, made by tools/unicode/tables.py) ---- */

/* Behind a table: how many elements it has. */
#define PG_COUNT(table) \
	const size_t table##_count = sizeof(table) / sizeof((table)[0])

struct pg_range {
	uint32_t first;
	uint32_t last;
};

struct pg_class {
	uint32_t first;
	uint32_t last;
	uint8_t combining;
};

/*
 * Runs of code points that become others, in UTF-16: how many are left out
 * since the run before; their count << 6, the units of each << 1, and whether
 * they are composed again; and the units. Without units, there is one: what
 * the first becomes, and the others become what follows it.
 */
extern const uint16_t torc_pg_decompositions_low[];
extern const size_t torc_pg_decompositions_low_count;
extern const uint16_t torc_pg_decompositions_high[];
extern const size_t torc_pg_decompositions_high_count;
extern const struct pg_class torc_pg_classes[];
extern const size_t torc_pg_classes_count;
extern const struct pg_range torc_pg_spaces[];
extern const size_t torc_pg_spaces_count;
extern const struct pg_range torc_pg_nothings[];
extern const size_t torc_pg_nothings_count;
extern const struct pg_range torc_pg_prohibited[];
extern const size_t torc_pg_prohibited_count;
extern const struct pg_range torc_pg_unassigned[];
extern const size_t torc_pg_unassigned_count;
extern const struct pg_range torc_pg_right_to_left[];
extern const size_t torc_pg_right_to_left_count;
extern const struct pg_range torc_pg_left_to_right[];
extern const size_t torc_pg_left_to_right_count;

#endif
