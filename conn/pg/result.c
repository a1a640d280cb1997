/* SPDX-License-Identifier: MIT */
/*
 * result.c - a collected result: rows as they were received, one after the
 * other.
 */
#include "conn/pg/answer.h"
#include "conn/pg/error.h"
#include "conn/pg/result.h"
#include "conn/pg/shape.h"
#include "conn/pg/wire.h"

#include <errno.h>
#include <string.h>

#include "sys/sys.h"
#include "sys/trap.h"

struct torc_pg_result *
torc_pg_result_new(unsigned count)
{
	const size_t parts = count * sizeof(struct pg_part);
	struct torc_pg_result *result = torc_sys_alloc_raw(sizeof(*result) +
	    parts);

	if (result == NULL)
		return NULL;
	memset(result, 0, offsetof(struct torc_pg_result, values));
	memset(result->parts, 0, parts);
	result->count = count;
	result->part = result->parts;
	result->data = result->small;
	result->room = sizeof(result->small);
	return result;
}

void
torc_pg_result_free(struct torc_pg_result *result)
{
	if (result == NULL)
		return;
	for (unsigned i = 0; i < result->count; i++)
		torc_pg_answer_end(&result->parts[i].answer);
	if (result->data != result->small)
		torc_sys_free(result->data);
	torc_sys_free(result->many);
	if (result->fault != NULL)
		torc_pg_fault_clear(result->fault);
	torc_sys_free(result->fault);
	torc_sys_free(result);
}

static int
grow(struct torc_pg_result *result, size_t size)
{
	const bool small = result->data == result->small;
	uint8_t *data = torc_sys_realloc(small ? NULL : result->data, size);

	if (data == NULL)
		return -ENOMEM;
	if (small)
		memcpy(data, result->small, result->used);
	result->data = data;
	result->room = size;
	return 0;
}

/* Allocate now: when a row is asked for, it must not be missing any more. */
static int
make_room_for_values(struct torc_pg_result *result, unsigned count)
{
	struct torc_slice *many;

	if (count <= PG_FEW || count <= result->many_count)
		return 0;
	many = torc_sys_realloc(result->many, count * sizeof(*many));
	if (many == NULL)
		return -ENOMEM;
	result->many = many;
	result->many_count = count;
	return 0;
}

/* Rows are stored with their length before them. */
int
torc_pg_result_add(struct torc_pg_result *result, const struct pg_message *row,
    size_t most)
{
	const uint32_t size = (uint32_t)row->size;
	const size_t more = sizeof(size) + row->size;
	int rc;

	torc_assert(result->used <= result->room && result->used <= most);
	torc_assert(result->part->end == result->used);
	if (more > most - result->used)
		return -EMSGSIZE;
	rc = make_room_for_values(result, torc_pg_result_column_count(result));
	if (rc < 0)
		return rc;
	if (more > result->room - result->used) {
		rc = grow(result, 2 * (result->used + more));
		if (rc < 0)
			return rc;
	}
	memcpy(result->data + result->used, &size, sizeof(size));
	memcpy(result->data + result->used + sizeof(size), row->data,
	    row->size);
	result->used += more;
	result->part->rows++;
	result->part->end = result->used;
	return 0;
}

void
torc_pg_result_clear(struct torc_pg_result *result)
{
	result->used = 0;
	for (unsigned i = 0; i < result->count; i++) {
		struct pg_part *part = &result->parts[i];

		part->rows = 0;
		part->affected = 0;
		part->start = 0;
		part->end = 0;
	}
}

struct pg_fault *
torc_pg_result_fault(struct torc_pg_result *result)
{
	if (result->fault != NULL)
		return result->fault;
	result->fault = torc_sys_alloc_raw(sizeof(*result->fault));
	if (result->fault != NULL)
		torc_pg_fault_init(result->fault);
	return result->fault;
}

/* ---- For those who asked ---- */

void
torc_pg_result_seek(struct torc_pg_result *result, unsigned index)
{
	torc_require(index < result->count,
	    "torc_pg_result_seek() after the last statement");
	result->part = &result->parts[index];
	result->at = result->part->start;
}

unsigned
torc_pg_result_column_count(const struct torc_pg_result *result)
{
	const struct pg_shape *shape = result->part->answer.shape;

	return shape != NULL ? shape->count : 0;
}

const struct torc_pg_column *
torc_pg_result_columns(const struct torc_pg_result *result)
{
	const struct pg_shape *shape = result->part->answer.shape;

	return shape != NULL ? shape->columns : NULL;
}

uint64_t
torc_pg_result_row_count(const struct torc_pg_result *result)
{
	return result->part->rows;
}

uint64_t
torc_pg_result_affected(const struct torc_pg_result *result)
{
	return result->part->affected;
}

bool
torc_pg_result_next_row(struct torc_pg_result *result, struct torc_pg_row *row)
{
	const unsigned count = torc_pg_result_column_count(result);
	struct torc_slice *values = count > PG_FEW ? result->many :
	    result->values;
	struct pg_message message;
	uint32_t size;

	torc_assert(result->at <= result->part->end &&
	    result->part->end <= result->used);
	if (result->at == result->part->end)
		return false;
	torc_assert(result->part->end - result->at >= sizeof(size));
	memcpy(&size, result->data + result->at, sizeof(size));
	torc_assert(size <= result->part->end - result->at - sizeof(size));
	message = (struct pg_message) { .type = PG_DATA_ROW,
		.data = result->data + result->at + sizeof(size),
		.size = size };
	result->at += sizeof(size) + size;
	torc_pg_read_row(&message, values, count);
	*row = (struct torc_pg_row) { values, count };
	return true;
}

const struct torc_pg_error *
torc_pg_result_error(const struct torc_pg_result *result)
{
	return result->fault != NULL ? &result->fault->error :
	    &torc_pg_no_error;
}
