/* SPDX-License-Identifier: MIT */
/*
 * number.c - numbers of JSON: the same in every locale, and with the digits
 * that bring them back; and those of requests.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "conn/http/service.h"

#define DIGITS_ALWAYS 15	/* that any number keeps */
#define DIGITS_ENOUGH 17	/* for any number */

static bool
is_of_number(char c)
{
	return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == 'e';
}

/*
 * A character between digits that is not part of a number is the locale's
 * decimal point.
 */
static size_t
put_point(char *text)
{
	size_t used = 0;
	bool point = false;

	for (const char *at = text; *at != '\0'; at++) {
		if (is_of_number(*at)) {
			text[used++] = *at;
			point = false;
		} else if (!point) {
			text[used++] = '.';
			point = true;
		}
	}
	text[used] = '\0';
	return used;
}

size_t
torc_number_write(char text[TORC_NUMBER_MAX], double value)
{
	/* Neither itself (NaN), nor without itself (infinity). */
	if (!(value - value <= 0))
		return 0;
	for (int digits = DIGITS_ALWAYS; digits <= DIGITS_ENOUGH; digits++) {
		snprintf(text, TORC_NUMBER_MAX, "%.*g", digits, value);
		if (!(strtod(text, NULL) < value) &&
		    !(strtod(text, NULL) > value))
			break;
	}
	return put_point(text);
}

int
torc_slice_int(struct torc_slice text, int64_t least, int64_t most,
    int64_t *value)
{
	const bool negative = text.size > 0 && text.data[0] == '-';
	int64_t number = 0;
	bool fits = true;

	if (text.size == (negative ? 1 : 0))
		return -EINVAL;
	for (size_t i = negative ? 1 : 0; i < text.size; i++) {
		const uint8_t c = text.data[i];

		if (c < '0' || c > '9')
			return -EINVAL;
		/* Downwards, where there is one more. */
		fits = fits && !__builtin_mul_overflow(number, 10, &number) &&
		    !__builtin_sub_overflow(number, c - '0', &number);
	}
	if (!negative)
		fits = fits && !__builtin_sub_overflow(0, number, &number);
	if (!fits || number < least || number > most)
		return -ERANGE;
	*value = number;
	return 0;
}
