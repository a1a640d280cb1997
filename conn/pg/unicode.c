/* SPDX-License-Identifier: MIT */
/*
 * unicode.c - normalisation form KC: characters are decomposed, ordered, and
 * composed again.
 */
#include <string.h>

#include "conn/pg/saslprep.h"

/* Syllables of Hangul are computed (Unicode, chapter 3.12). */
#define HANGUL 0xac00u
#define LEADS 0x1100u
#define VOWELS 0x1161u
#define TAILS 0x11a7u		/* there is none in its place */
#define LEAD_COUNT 19u
#define VOWEL_COUNT 21u
#define TAIL_COUNT 28u
#define SYLLABLES (LEAD_COUNT * VOWEL_COUNT * TAIL_COUNT)

/* ---- The table ---- */

struct run {
	const uint16_t *next;	/* the run behind it */
	const uint16_t *end;	/* of the table */
	uint32_t first;
	uint32_t count;
	unsigned size;		/* units of each */
	bool composes;
	const uint16_t *units;
};

static struct run
begin_low(void)
{
	return (struct run) { .next = torc_pg_decompositions_low,
		.end = torc_pg_decompositions_low +
		    torc_pg_decompositions_low_count };
}

static struct run
begin_high(void)
{
	return (struct run) { .next = torc_pg_decompositions_high,
		.end = torc_pg_decompositions_high +
		    torc_pg_decompositions_high_count };
}

static bool
advance(struct run *run)
{
	const uint16_t *at = run->next;

	if (at == run->end)
		return false;
	run->first += run->count + at[0];
	run->count = at[1] >> 6;
	run->size = at[1] >> 1 & 31;
	run->composes = at[1] & 1;
	run->units = at + 2;
	run->next = run->units + (run->size == 0 ? run->count > 0 :
	    run->size * run->count);
	return true;
}

/*
 * Write what the code point at `index` becomes. Returns how many code points.
 */
static unsigned
expand(const struct run *run, uint32_t index, uint32_t *codes)
{
	const uint16_t *unit = run->units + run->size * index;
	const uint16_t *end = unit + run->size;
	unsigned count = 0;

	if (run->size == 0) {
		codes[0] = run->units[0] + index;
		return 1;
	}
	for (; unit < end; unit++) {
		if (*unit >= 0xd800 && *unit < 0xdc00) {
			codes[count++] = 0x10000 + ((*unit - 0xd800u) << 10) +
			    (unit[1] - 0xdc00u);
			unit++;
		} else {
			codes[count++] = *unit;
		}
	}
	return count;
}

/* ---- Apart ---- */

static unsigned
expand_hangul(uint32_t code, uint32_t *codes)
{
	const uint32_t index = code - HANGUL;
	const uint32_t tail = index % TAIL_COUNT;

	codes[0] = LEADS + index / (VOWEL_COUNT * TAIL_COUNT);
	codes[1] = VOWELS + index / TAIL_COUNT % VOWEL_COUNT;
	codes[2] = TAILS + tail;
	return tail > 0 ? 3 : 2;
}

static unsigned
find(struct run run, uint32_t code, uint32_t *codes, bool *composes)
{
	while (advance(&run))
		if (code - run.first < run.count) {
			*composes = run.composes;
			return expand(&run, code - run.first, codes);
		}
	return 0;
}

static unsigned
decompose(uint32_t code, uint32_t *codes, bool *composes)
{
	unsigned count = 0;

	*composes = false;
	if (code - HANGUL < SYLLABLES)
		return expand_hangul(code, codes);
	if (code >= 0x80)
		count = find(begin_low(), code, codes, composes);
	if (count == 0 && code >= 0x80)
		count = find(begin_high(), code, codes, composes);
	if (count == 0)
		codes[count++] = code;
	return count;
}

/* ---- In order ---- */

static unsigned
class_of(uint32_t code)
{
	for (size_t i = 0; i < torc_pg_classes_count; i++)
		if (code >= torc_pg_classes[i].first &&
		    code <= torc_pg_classes[i].last)
			return torc_pg_classes[i].combining;
	return 0;
}

static void
put_in_order(uint32_t *codes, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		const uint32_t code = codes[i];
		const unsigned class = class_of(code);
		size_t at = i;

		while (class > 0 && at > 0 && class_of(codes[at - 1]) > class) {
			codes[at] = codes[at - 1];
			at--;
		}
		codes[at] = code;
	}
}

/* ---- Together ---- */

static uint32_t
compose_hangul(uint32_t first, uint32_t second)
{
	if (first - LEADS < LEAD_COUNT && second - VOWELS < VOWEL_COUNT)
		return HANGUL + ((first - LEADS) * VOWEL_COUNT +
		    (second - VOWELS)) * TAIL_COUNT;
	if (first - HANGUL < SYLLABLES && (first - HANGUL) % TAIL_COUNT == 0 &&
	    second > TAILS && second - TAILS < TAIL_COUNT)
		return first + (second - TAILS);
	return 0;
}

/* Returns the character that is composed of these code points, or 0. */
static uint32_t
find_composed(struct run run, const uint32_t *codes, unsigned count)
{
	uint32_t parts[PG_EXPANSION];

	while (advance(&run))
		for (uint32_t i = 0; run.composes && i < run.count; i++)
			if (expand(&run, i, parts) == count && memcmp(parts,
			    codes, count * sizeof(*codes)) == 0)
				return run.first + i;
	return 0;
}

/* Compose a character, which may be composed already, with one more; or 0. */
static uint32_t
compose(uint32_t first, uint32_t second)
{
	uint32_t codes[PG_EXPANSION + 1], found;
	bool composes;
	unsigned count;

	found = compose_hangul(first, second);
	if (found != 0)
		return found;
	count = decompose(first, codes, &composes);
	if (!composes) {
		codes[0] = first;
		count = 1;
	}
	codes[count++] = second;
	found = find_composed(begin_low(), codes, count);
	return found != 0 ? found :
	    find_composed(begin_high(), codes, count);
}

/*
 * Compose each code point with the last starter, if none of its class or of a
 * higher one is in between.
 */
static size_t
put_together(uint32_t *codes, size_t count)
{
	size_t starter = count, used = 0;
	unsigned before = 0;

	for (size_t i = 0; i < count; i++) {
		const uint32_t code = codes[i];
		const unsigned class = class_of(code);
		const bool near = starter < count && (used == starter + 1 ||
		    (before < class && before > 0));
		uint32_t composed = near ? compose(codes[starter], code) : 0;

		if (composed != 0) {
			codes[starter] = composed;
			continue;
		}
		if (class == 0)
			starter = used;
		before = class;
		codes[used++] = code;
	}
	return used;
}

size_t
torc_pg_normalise(uint32_t *codes, size_t count, size_t room)
{
	uint32_t *from = codes + room - count;
	size_t used = 0;
	bool composes;

	/* From the end of the room to its beginning: it never overtakes. */
	memmove(from, codes, count * sizeof(*codes));
	for (size_t i = 0; i < count; i++)
		used += decompose(from[i], codes + used, &composes);
	put_in_order(codes, used);
	return put_together(codes, used);
}
