/* SPDX-License-Identifier: MIT */
/*
 * number.c - doubles from their text.
 *
 * strtod(3) rounds correctly, but reads the point of the program's locale. So
 * it is shown the same number without a point: "3.25" as "325e-2".
 */
#include "conn/redis/number.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 780u		/* that can matter to a double, and more */
#define EXPONENT_MAX 100000	/* larger ones are infinity or 0 as well */

struct decimal {
	char digits[DIGITS_MAX + 2];	/* without zeros in front */
	size_t count;
	long exponent;		/* of 10, by which they are multiplied */
	bool any;		/* there was a digit */
};

static bool
is_digit(uint8_t byte)
{
	return byte >= '0' && byte <= '9';
}

/*
 * Returns the length of `word` if the text begins with it, in any case; or 0.
 */
static size_t
match(const uint8_t *text, size_t size, const char *word)
{
	const size_t length = strlen(word);

	if (size < length)
		return 0;
	for (size_t i = 0; i < length; i++) {
		if ((text[i] | 0x20) != (uint8_t)word[i])
			return 0;
	}
	return length;
}

/* What may follow "nan": nothing, or something in parentheses. */
static bool
is_payload(const uint8_t *text, size_t size)
{
	return size == 0 || (size >= 2 && text[0] == '(' &&
	    memchr(text, ')', size) == text + size - 1);
}

static bool
read_special(const uint8_t *text, size_t size, double *number)
{
	if (match(text, size, "nan") > 0 && is_payload(text + 3, size - 3))
		*number = (double)NAN;
	else if (size > 0 && (match(text, size, "inf") == size ||
	    match(text, size, "infinity") == size))
		*number = (double)INFINITY;
	else
		return false;
	return true;
}

/* Digits that are too many to matter only say that there are more. */
static void
take_digit(struct decimal *decimal, uint8_t digit, bool behind_point)
{
	decimal->any = true;
	if (behind_point)
		decimal->exponent--;
	if (digit == '0' && decimal->count == 0)
		return;
	if (decimal->count < DIGITS_MAX) {
		decimal->digits[decimal->count++] = (char)digit;
		return;
	}
	decimal->exponent++;
	if (digit != '0' && decimal->count == DIGITS_MAX) {
		decimal->digits[decimal->count++] = '1';
		decimal->exponent--;
	}
}

/* Read digits and an optional point. Returns how many bytes. */
static size_t
read_digits(struct decimal *decimal, const uint8_t *text, size_t size)
{
	bool behind_point = false;
	size_t at = 0;

	for (; at < size; at++) {
		if (is_digit(text[at]))
			take_digit(decimal, text[at], behind_point);
		else if (text[at] == '.' && !behind_point)
			behind_point = true;
		else
			break;
	}
	return at;
}

/* "e-7", or nothing. */
static int
read_exponent(struct decimal *decimal, const uint8_t *text, size_t size)
{
	const bool is_signed = size > 1 && (text[1] == '-' || text[1] == '+');
	const size_t begin = is_signed ? 2 : 1;
	long value = 0;

	if (size == 0)
		return 0;
	if (match(text, size, "e") == 0 || size == begin)
		return -EBADMSG;
	for (size_t i = begin; i < size; i++) {
		if (!is_digit(text[i]))
			return -EBADMSG;
		if (value < EXPONENT_MAX)
			value = value * 10 + (text[i] - '0');
	}
	decimal->exponent += text[1] == '-' ? -value : value;
	return 0;
}

static int
read_decimal(const uint8_t *text, size_t size, double *number)
{
	struct decimal decimal = { .count = 0 };
	char plain[DIGITS_MAX + 32];
	const size_t length = read_digits(&decimal, text, size);
	int rc = decimal.any ? 0 : -EBADMSG;

	if (rc == 0)
		rc = read_exponent(&decimal, text + length, size - length);
	if (rc < 0)
		return rc;
	snprintf(plain, sizeof(plain), "%.*se%ld",
	    decimal.count == 0 ? 1 : (int)decimal.count,
	    decimal.count == 0 ? "0" : decimal.digits, decimal.exponent);
	*number = strtod(plain, NULL);
	return 0;
}

int
torc_redis_read_double(const uint8_t *text, size_t size, double *number)
{
	const bool negative = size > 0 && text[0] == '-';
	int rc = 0;

	if (size > 0 && (text[0] == '-' || text[0] == '+')) {
		text++;
		size--;
	}
	if (!read_special(text, size, number))
		rc = read_decimal(text, size, number);
	if (negative && rc == 0)
		*number = -*number;
	return rc;
}
