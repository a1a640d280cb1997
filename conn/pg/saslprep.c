/* SPDX-License-Identifier: MIT */
/*
 * saslprep.c - SASLprep (RFC 4013). As in PostgreSQL, the allowed characters
 * are checked before the text is normalised, not after that.
 */
#include "conn/pg/saslprep.h"

#include <string.h>

#include "sys/sys.h"

/* ---- UTF-8 ---- */

/* Returns the bytes of a character that begins so; 0: none does. */
static unsigned
length_of(unsigned char first)
{
	return first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 :
	    first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
}

/* Decode the code points of a text. Returns false if it is not UTF-8. */
static bool
read_codes(const char *text, uint32_t *codes, size_t *count)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *at = (const unsigned char *)text;

	for (*count = 0; *at != '\0'; ++*count) {
		const unsigned length = length_of(*at);
		uint32_t code = length == 1 ? *at : *at & (0x7fu >> length);

		if (length == 0)
			return false;
		at++;
		for (unsigned i = 1; i < length; i++, at++) {
			if ((*at & 0xc0) != 0x80)
				return false;
			code = code << 6 | (*at & 0x3f);
		}
		if (code < least[length] || code > 0x10ffff ||
		    (code >= 0xd800 && code < 0xe000))
			return false;
		codes[*count] = code;
	}
	return true;
}

static char *
write_codes(const uint32_t *codes, size_t count)
{
	char *text = torc_sys_alloc_raw(4 * count + 1), *at = text;

	for (size_t i = 0; text != NULL && i < count; i++) {
		const uint32_t code = codes[i];

		if (code < 0x80) {
			*at++ = (char)code;
			continue;
		}
		if (code >= 0x10000) {
			*at++ = (char)(0xf0 | code >> 18);
			*at++ = (char)(0x80 | (code >> 12 & 0x3f));
		} else if (code >= 0x800) {
			*at++ = (char)(0xe0 | code >> 12);
		}
		*at++ = (char)(code >= 0x800 ? 0x80 | (code >> 6 & 0x3f) :
		    0xc0 | code >> 6);
		*at++ = (char)(0x80 | (code & 0x3f));
	}
	if (text != NULL)
		*at = '\0';
	return text;
}

/* ---- Sets ---- */

static bool
is_in(uint32_t code, const struct pg_range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	return false;
}

#define IS_IN(code, set) is_in(code, set, set##_count)

static size_t
map(uint32_t *codes, size_t count)
{
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		if (IS_IN(codes[i], torc_pg_spaces))
			codes[used++] = ' ';
		else if (!IS_IN(codes[i], torc_pg_nothings))
			codes[used++] = codes[i];
	}
	return used;
}

/*
 * Text that is written from right to left must begin and end with such
 * characters.
 */
static bool
has_one_direction(const uint32_t *codes, size_t count)
{
	bool leftward = false, rightward = false;

	for (size_t i = 0; i < count; i++) {
		leftward |= IS_IN(codes[i], torc_pg_right_to_left);
		rightward |= IS_IN(codes[i], torc_pg_left_to_right);
	}
	return !leftward || (!rightward &&
	    IS_IN(codes[0], torc_pg_right_to_left) &&
	    IS_IN(codes[count - 1], torc_pg_right_to_left));
}

static bool
is_allowed(const uint32_t *codes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (IS_IN(codes[i], torc_pg_prohibited) ||
		    IS_IN(codes[i], torc_pg_unassigned))
			return false;
	return count > 0 && has_one_direction(codes, count);
}

static bool
is_ascii(const char *text)
{
	while (*text != '\0' && (unsigned char)*text < 0x80)
		text++;
	return *text == '\0';
}

/* ---- All of it ---- */

char *
torc_pg_saslprep(const char *text)
{
	const size_t size = strlen(text);
	const size_t room = PG_EXPANSION * (size + 1);
	uint32_t *codes;
	char *prepared;
	size_t count;

	if (is_ascii(text))
		return torc_sys_strdup(text);
	codes = torc_sys_alloc_array(room, sizeof(*codes));
	if (codes == NULL)
		return NULL;
	count = read_codes(text, codes, &count) ? map(codes, count) : 0;
	if (is_allowed(codes, count)) {
		count = torc_pg_normalise(codes, count, room);
		prepared = write_codes(codes, count);
	} else {
		prepared = torc_sys_strdup(text);
	}
	explicit_bzero(codes, room * sizeof(*codes));
	torc_sys_free(codes);
	return prepared;
}
