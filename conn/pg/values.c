/* SPDX-License-Identifier: MIT */
/*
 * values.c - parameters, and values of columns.
 */
#include <errno.h>
#include <string.h>

#include "conn/pg/number.h"
#include "conn/pg/wire.h"
#include "sys/trap.h"

/* ---- Parameters ---- */

static struct torc_pg_param
number(uint32_t type, unsigned width, uint64_t bits)
{
	return (struct torc_pg_param) { .type = type, .binary = true,
		.number = true, .width = (uint8_t)width, .bits = bits };
}

struct torc_pg_param
torc_pg_null(void)
{
	return (struct torc_pg_param) { .type = TORC_PG_INFERRED };
}

struct torc_pg_param
torc_pg_bool(bool value)
{
	return number(TORC_PG_BOOL, 1, value);
}

struct torc_pg_param
torc_pg_int2(int16_t value)
{
	return number(TORC_PG_INT2, 2, (uint16_t)value);
}

struct torc_pg_param
torc_pg_int4(int32_t value)
{
	return number(TORC_PG_INT4, 4, (uint32_t)value);
}

struct torc_pg_param
torc_pg_int8(int64_t value)
{
	return number(TORC_PG_INT8, 8, (uint64_t)value);
}

struct torc_pg_param
torc_pg_float4(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return number(TORC_PG_FLOAT4, 4, bits);
}

struct torc_pg_param
torc_pg_float8(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return number(TORC_PG_FLOAT8, 8, bits);
}

struct torc_pg_param
torc_pg_raw(uint32_t type, bool binary, const void *data, size_t size)
{
	return (struct torc_pg_param) { .type = type, .binary = binary,
		/* An empty value, which is not NULL. */
		.bytes = { size == 0 ? (const uint8_t *)"" : data, size } };
}

struct torc_pg_param
torc_pg_bytea(const void *data, size_t size)
{
	return torc_pg_raw(TORC_PG_BYTEA, true, data, size);
}

struct torc_pg_param
torc_pg_text(const char *text)
{
	return text != NULL ? torc_pg_text_n(text, strlen(text)) :
	    torc_pg_null();
}

struct torc_pg_param
torc_pg_text_n(const char *text, size_t size)
{
	return torc_pg_raw(TORC_PG_INFERRED, false, text, size);
}

/* ---- Numbers ---- */

static uint64_t
load(struct torc_slice value)
{
	uint64_t bits = 0;

	torc_assert(value.size <= sizeof(bits));
	for (size_t i = 0; i < value.size; i++)
		bits = bits << 8 | value.data[i];
	return bits;
}

/* Bytes of an integer type, or 0. */
static size_t
int_width(uint32_t type)
{
	switch (type) {
	case TORC_PG_INT2:
		return 2;
	case TORC_PG_INT4:
	case TORC_PG_OID:
		return 4;
	case TORC_PG_INT8:
		return 8;
	default:
		return 0;
	}
}

static int
read_binary_int(uint32_t type, struct torc_slice value, int64_t *result)
{
	uint64_t bits;

	if (value.size != int_width(type))
		return -EINVAL;
	bits = load(value);
	if (type == TORC_PG_INT2)
		*result = (int16_t)bits;
	else if (type == TORC_PG_INT4)
		*result = (int32_t)bits;
	else
		*result = (int64_t)bits;	/* an oid has no sign */
	return 0;
}

int
torc_pg_read_int(const struct torc_pg_column *column, struct torc_slice value,
    int64_t *result)
{
	if (value.data == NULL)
		return -ENODATA;
	if (int_width(column->type) == 0 && column->type != TORC_PG_NUMERIC)
		return -EINVAL;
	if (!column->binary)
		return torc_pg_read_text_whole(value,
		    column->type == TORC_PG_NUMERIC, result);
	return column->type == TORC_PG_NUMERIC ?
	    torc_pg_read_binary_whole(value, result) :
	    read_binary_int(column->type, value, result);
}

static bool
is_float(uint32_t type)
{
	return type == TORC_PG_FLOAT4 || type == TORC_PG_FLOAT8;
}

static int
read_binary_float(uint32_t type, struct torc_slice value, double *result)
{
	uint64_t bits;
	uint32_t half;
	float single;

	if (value.size != (type == TORC_PG_FLOAT4 ? 4u : 8u))
		return -EINVAL;
	bits = load(value);
	half = (uint32_t)bits;
	if (type == TORC_PG_FLOAT8) {
		memcpy(result, &bits, sizeof(bits));
		return 0;
	}
	memcpy(&single, &half, sizeof(single));
	*result = (double)single;
	return 0;
}

int
torc_pg_read_float(const struct torc_pg_column *column,
    struct torc_slice value, double *result)
{
	int64_t integer;
	int rc;

	if (value.data == NULL)
		return -ENODATA;
	if (is_float(column->type) || column->type == TORC_PG_NUMERIC) {
		if (!column->binary)
			return torc_pg_read_text_float(value, result);
		return column->type == TORC_PG_NUMERIC ?
		    torc_pg_read_binary_numeric(value, result) :
		    read_binary_float(column->type, value, result);
	}
	rc = torc_pg_read_int(column, value, &integer);
	if (rc == 0)
		*result = (double)integer;
	return rc;
}

int
torc_pg_read_bool(const struct torc_pg_column *column,
    struct torc_slice value, bool *truth)
{
	if (value.data == NULL)
		return -ENODATA;
	if (column->type != TORC_PG_BOOL || value.size != 1)
		return -EINVAL;
	if (column->binary && value.data[0] <= 1) {
		*truth = value.data[0] == 1;
		return 0;
	}
	if (column->binary || (value.data[0] != 't' && value.data[0] != 'f'))
		return -EINVAL;
	*truth = value.data[0] == 't';
	return 0;
}

/* ---- Bytes ---- */

static int
digit_of(uint8_t character)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = memchr(digits, character, 16);

	return at != NULL ? (int)(at - digits) : -1;
}

/* \x and two digits for each byte, as the server has written since 9.0. */
static int64_t
read_hex(struct torc_slice value, uint8_t *data, size_t room)
{
	size_t size;

	if (value.size < 2 || value.size % 2 != 0 ||
	    memcmp(value.data, "\\x", 2) != 0)
		return -EINVAL;
	size = value.size / 2 - 1;
	if (size > room)
		return -ERANGE;
	torc_assert(2 * size + 2 == value.size);
	for (size_t i = 0; i < size; i++) {
		int high = digit_of(value.data[2 * i + 2]);
		int low = digit_of(value.data[2 * i + 3]);

		if (high < 0 || low < 0)
			return -EINVAL;
		data[i] = (uint8_t)(high << 4 | low);
	}
	return (int64_t)size;
}

int64_t
torc_pg_read_bytea(const struct torc_pg_column *column,
    struct torc_slice value, void *data, size_t room)
{
	if (value.data == NULL)
		return -ENODATA;
	if (column->type != TORC_PG_BYTEA)
		return -EINVAL;
	if (!column->binary)
		return read_hex(value, data, room);
	if (value.size > room)
		return -ERANGE;
	if (value.size > 0)
		memcpy(data, value.data, value.size);
	return (int64_t)value.size;
}
