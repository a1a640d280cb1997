/*
 * text.c - texts in fields of a fixed size.
 */
#include "conn/pg/text.h"

#include <stdio.h>
#include <string.h>

/* How many bytes follow the first one of a character; -1: it is no first. */
static int
length_behind(unsigned char first)
{
	return first < 0x80 ? 0 : first < 0xc0 ? -1 : first < 0xe0 ? 1 :
	    first < 0xf0 ? 2 : 3;
}

/* A text was cut off: a character of which a part is missing goes. */
static void
drop_part(char *text)
{
	const size_t size = strlen(text);

	for (size_t back = 1; back <= 3 && back <= size; back++) {
		const int behind = length_behind(
		    (unsigned char)text[size - back]);

		if (behind < 0)
			continue;
		if ((size_t)behind >= back)
			text[size - back] = '\0';
		return;
	}
}

void
torc_pg_copy_text(char *to, size_t room, const char *from)
{
	const size_t size = strlen(from);
	const size_t kept = size < room ? size : room - 1;

	memcpy(to, from, kept);
	to[kept] = '\0';
	if (kept < size)
		drop_part(to);
}

void
torc_pg_print_text(char *to, size_t room, const char *format, va_list arguments)
{
	const int size = vsnprintf(to, room, format, arguments);

	if (size >= 0 && (size_t)size >= room)
		drop_part(to);
}

static char
lower(char character)
{
	return character >= 'A' && character <= 'Z' ?
	    (char)(character | 0x20) : character;
}

bool
torc_pg_same_letters(const char *a, const char *b, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (lower(a[i]) != lower(b[i]))
			return false;
	return true;
}
