/* SPDX-License-Identifier: MIT */
/*
 * text.c - texts in the letters that the protocol and SQL are made of.
 */
#include "conn/pg/text.h"

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
