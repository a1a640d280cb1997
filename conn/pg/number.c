/* SPDX-License-Identifier: MIT */
/*
 * number.c - float and numeric values, as text and binary. They do not depend
 * on the program's locale.
 */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/pg/number.h"
#include "conn/pg/text.h"
#include "sys/trap.h"

/*
 * More digits of a decimal number than decide which double is nearest. One more
 * digit says whether anything follows them.
 */
#define DIGITS_MAX 800u

#define GROUP 4			/* digits of numeric's base, 10000 */
#define SIGN_MINUS 0x4000u
#define SIGN_NAN 0xc000u
#define SIGN_INFINITY 0xd000u
#define SIGN_MINUS_INFINITY 0xf000u

/* 0.DIGITS times ten to the power of `exponent`. */
struct decimal {
	bool negative;
	bool fraction;		/* what comes next is behind the point */
	long exponent;
	unsigned count;
	bool more;		/* digits that were not kept, and are not 0 */
	char digits[DIGITS_MAX];
};

static void
add_digit(struct decimal *decimal, unsigned digit)
{
	const bool leading = decimal->count == 0 && digit == 0;

	if (decimal->fraction)
		decimal->exponent -= leading;
	else
		decimal->exponent += !leading;
	if (leading)
		return;
	torc_assert(digit <= 9 && decimal->count <= DIGITS_MAX);
	if (decimal->count < DIGITS_MAX)
		decimal->digits[decimal->count++] = (char)('0' + digit);
	else
		decimal->more |= digit != 0;
}

/* Returns 0; -ERANGE if no double is so large; or -ENOMEM. */
static int
to_double(const struct decimal *decimal, double *result)
{
	char text[DIGITS_MAX + 40];
	locale_t plain;

	if (decimal->count == 0) {
		*result = decimal->negative ? -0.0 : 0.0;
		return 0;
	}
	snprintf(text, sizeof(text), "%s.%.*s%se%ld",
	    decimal->negative ? "-" : "", (int)decimal->count,
	    decimal->digits, decimal->more ? "1" : "", decimal->exponent);
	plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (plain == (locale_t)0)
		return -ENOMEM;
	*result = strtod_l(text, NULL, plain);
	freelocale(plain);
	return isinf(*result) ? -ERANGE : 0;
}

/* ---- Text ---- */

/* Whether the rest is this word, in any case. */
static bool
is_word(const struct torc_slice *left, const char *word)
{
	return left->size == strlen(word) && torc_pg_same_letters(
	    (const char *)left->data, word, left->size);
}

static bool
take_one_of(struct torc_slice *left, const char *characters)
{
	if (left->size == 0 || memchr(characters, left->data[0],
	    strlen(characters)) == NULL)
		return false;
	left->data++;
	left->size--;
	return true;
}

/* Returns how many digits there were. */
static size_t
take_digits(struct torc_slice *left, struct decimal *decimal)
{
	const size_t before = left->size;

	while (left->size > 0 && left->data[0] >= '0' &&
	    left->data[0] <= '9') {
		add_digit(decimal, left->data[0] - (unsigned)'0');
		left->data++;
		left->size--;
	}
	return before - left->size;
}

#define EXPONENT_MAX 100000000l		/* far beyond what a double can be */

/* Read the exponent after "e". Returns false if it is invalid. */
static bool
take_exponent(struct torc_slice *left, struct decimal *decimal)
{
	const bool negative = left->size > 0 && left->data[0] == '-';
	long exponent = 0;
	size_t at = left->size > 0 &&
	    (left->data[0] == '-' || left->data[0] == '+');

	if (at == left->size)
		return false;
	for (; at < left->size; at++) {
		const unsigned digit = left->data[at] - (unsigned)'0';

		if (digit > 9)
			return false;
		if (exponent < EXPONENT_MAX)
			exponent = exponent * 10 + (long)digit;
	}
	decimal->exponent += negative ? -exponent : exponent;
	left->size = 0;
	return true;
}

int
torc_pg_read_text_float(struct torc_slice value, double *result)
{
	struct decimal decimal = { .count = 0 };
	struct torc_slice left = value;
	size_t digits;

	if (left.size > 0 && (left.data[0] == '-' || left.data[0] == '+')) {
		decimal.negative = left.data[0] == '-';
		left.data++;
		left.size--;
	}
	if (is_word(&left, "nan")) {
		*result = (double)NAN;
		return 0;
	}
	if (is_word(&left, "infinity") || is_word(&left, "inf")) {
		*result = decimal.negative ? -(double)INFINITY :
		    (double)INFINITY;
		return 0;
	}
	digits = take_digits(&left, &decimal);
	if (take_one_of(&left, ".")) {
		decimal.fraction = true;
		digits += take_digits(&left, &decimal);
	}
	if (digits == 0 || (take_one_of(&left, "eE") &&
	    !take_exponent(&left, &decimal)) || left.size > 0)
		return -EINVAL;
	return to_double(&decimal, result);
}

/* ---- Binary ---- */

static unsigned
load_u16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

/* The header of a numeric, before its groups. */
struct head {
	unsigned count;		/* of groups of four digits */
	int weight;		/* of the first: 0 if it has the ones */
	unsigned sign;
};

#define HEAD_SIZE 8u

/* Returns 0, or -EINVAL if it is not a numeric. */
static int
read_head(struct torc_slice value, struct head *head)
{
	if (value.size < HEAD_SIZE)
		return -EINVAL;
	head->count = load_u16(value.data);
	head->weight = (int16_t)load_u16(value.data + 2);
	head->sign = load_u16(value.data + 4);
	if (value.size != HEAD_SIZE + 2u * head->count)
		return -EINVAL;
	for (unsigned i = 0; i < head->count; i++)
		if (load_u16(value.data + HEAD_SIZE + 2 * i) > 9999)
			return -EINVAL;
	return head->sign == 0 || head->sign == SIGN_MINUS ||
	    head->sign == SIGN_NAN || head->sign == SIGN_INFINITY ||
	    head->sign == SIGN_MINUS_INFINITY ? 0 : -EINVAL;
}

static unsigned
group_at(struct torc_slice value, unsigned index)
{
	torc_assert(value.size >= HEAD_SIZE + 2 * ((size_t)index + 1));
	return load_u16(value.data + HEAD_SIZE + 2 * index);
}

int
torc_pg_read_binary_numeric(struct torc_slice value, double *result)
{
	struct decimal decimal = { .count = 0 };
	struct head head;
	int rc = read_head(value, &head);

	if (rc < 0)
		return rc;
	if (head.sign == SIGN_NAN)
		*result = (double)NAN;
	else if (head.sign == SIGN_INFINITY)
		*result = (double)INFINITY;
	else if (head.sign == SIGN_MINUS_INFINITY)
		*result = -(double)INFINITY;
	if (head.sign >= SIGN_NAN)
		return 0;
	decimal.negative = head.sign == SIGN_MINUS;
	/* Read the digits as if all were after the point, which is then
	 * moved. */
	decimal.fraction = true;
	decimal.exponent = GROUP * (head.weight + 1l);
	for (unsigned i = 0; i < head.count; i++) {
		const unsigned group = group_at(value, i);

		for (unsigned of = 1000; of > 0; of /= 10)
			add_digit(&decimal, group / of % 10);
	}
	return to_double(&decimal, result);
}

/* Multiply and add, if the result fits. */
static bool
append(uint64_t *sum, unsigned factor, unsigned digit, uint64_t most)
{
	if (*sum > (most - digit) / factor)
		return false;
	*sum = *sum * factor + digit;
	return true;
}

int
torc_pg_read_binary_whole(struct torc_slice value, int64_t *result)
{
	struct head head;
	uint64_t most, sum = 0;
	int rc = read_head(value, &head);

	if (rc < 0)
		return rc;
	if (head.sign >= SIGN_NAN)
		return -ERANGE;
	most = (uint64_t)INT64_MAX + (head.sign == SIGN_MINUS);
	for (int i = 0; i < (int)head.count || i <= head.weight; i++) {
		const unsigned group = i < (int)head.count ?
		    group_at(value, (unsigned)i) : 0;

		if (i > head.weight ? group != 0 :
		    !append(&sum, 10000, group, most))
			return -ERANGE;
	}
	*result = (int64_t)(head.sign == SIGN_MINUS ? 0 - sum : sum);
	return 0;
}

int
torc_pg_read_text_whole(struct torc_slice value, bool numeric, int64_t *result)
{
	const bool negative = value.size > 0 && value.data[0] == '-';
	const uint64_t most = (uint64_t)INT64_MAX + negative;
	bool whole = true, fits = true;
	uint64_t sum = 0;

	if (value.size <= negative)
		return -EINVAL;
	for (size_t i = negative; i < value.size; i++) {
		const unsigned digit = value.data[i] - (unsigned)'0';

		if (numeric && value.data[i] == '.' && i > negative && whole) {
			whole = false;
			continue;
		}
		if (digit > 9)
			return -EINVAL;
		fits &= whole ? append(&sum, 10, digit, most) : digit == 0;
	}
	if (!fits)
		return -ERANGE;
	*result = (int64_t)(negative ? 0 - sum : sum);
	return 0;
}
