/*
 * result.c - a result that was collected: rows as they came, one behind the
 * other.
 */
#include "conn/pg/result.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct torc_pg_result *
pg_result_new(void)
{
	struct torc_pg_result *result = malloc(sizeof(*result));

	if (result == NULL)
		return NULL;
	memset(result, 0, offsetof(struct torc_pg_result, values));
	result->data = result->small;
	result->room = sizeof(result->small);
	return result;
}

void
torc_pg_free(struct torc_pg_result *result)
{
	if (result == NULL)
		return;
	pg_answer_end(&result->answer);
	if (result->data != result->small)
		free(result->data);
	free(result->many);
	free(result->error);
	free(result);
}

static int
grow(struct torc_pg_result *result, size_t size)
{
	const bool small = result->data == result->small;
	uint8_t *data = realloc(small ? NULL : result->data, size);

	if (data == NULL)
		return -ENOMEM;
	if (small)
		memcpy(data, result->small, result->used);
	result->data = data;
	result->room = size;
	return 0;
}

/* Rows lie there with their length before them. */
int
pg_result_add(struct torc_pg_result *result, const struct pg_message *row,
    size_t most)
{
	const uint32_t size = (uint32_t)row->size;
	const size_t more = sizeof(size) + row->size;
	const unsigned count = torc_pg_column_count(result);

	if (more > most - result->used)
		return -EMSGSIZE;
	/* Now: when it is asked for, a row may not be missing any more. */
	if (count > PG_FEW && result->many == NULL)
		result->many = calloc(count, sizeof(*result->many));
	if (count > PG_FEW && result->many == NULL)
		return -ENOMEM;
	if (more > result->room - result->used) {
		int rc = grow(result, 2 * (result->used + more));

		if (rc < 0)
			return rc;
	}
	memcpy(result->data + result->used, &size, sizeof(size));
	memcpy(result->data + result->used + sizeof(size), row->data,
	    row->size);
	result->used += more;
	result->rows++;
	return 0;
}

void
pg_result_clear(struct torc_pg_result *result)
{
	result->used = 0;
	result->rows = 0;
	result->affected = 0;
}

struct torc_pg_error *
pg_result_fault(struct torc_pg_result *result)
{
	if (result->error == NULL)
		result->error = calloc(1, sizeof(*result->error));
	return result->error;
}

/* ---- For those who asked ---- */

unsigned
torc_pg_column_count(const struct torc_pg_result *result)
{
	const struct pg_statement *statement = result->answer.statement;

	return statement != NULL ? statement->column_count : 0;
}

const struct torc_pg_column *
torc_pg_columns(const struct torc_pg_result *result)
{
	const struct pg_statement *statement = result->answer.statement;

	return statement != NULL ? statement->columns : NULL;
}

uint64_t
torc_pg_row_count(const struct torc_pg_result *result)
{
	return result->rows;
}

uint64_t
torc_pg_affected(const struct torc_pg_result *result)
{
	return result->affected;
}

bool
torc_pg_next_row(struct torc_pg_result *result, struct torc_pg_row *row)
{
	const unsigned count = torc_pg_column_count(result);
	struct torc_slice *values = count > PG_FEW ? result->many :
	    result->values;
	struct pg_message message;
	uint32_t size;

	if (result->at == result->used)
		return false;
	memcpy(&size, result->data + result->at, sizeof(size));
	message = (struct pg_message) { PG_DATA_ROW,
		result->data + result->at + sizeof(size), size };
	result->at += sizeof(size) + size;
	pg_read_row(&message, values, count);
	*row = (struct torc_pg_row) { values, count };
	return true;
}

const struct torc_pg_error *
torc_pg_result_error(const struct torc_pg_result *result)
{
	static const struct torc_pg_error none;

	return result->error != NULL ? result->error : &none;
}
