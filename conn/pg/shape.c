/* SPDX-License-Identifier: MIT */
/*
 * shape.c - what the server says of the columns of a result. It says so each
 * time: what a statement returns may change while it is prepared. What is the
 * same as the last time is kept.
 */
#include <errno.h>
#include <string.h>

#include "conn/pg/shape.h"
#include "conn/pg/wire.h"
#include "sys/sys.h"
#include "sys/trap.h"

struct pg_shape *
torc_pg_shape_ref(struct pg_shape *shape)
{
	if (shape != NULL)
		shape->refs++;
	return shape;
}

void
torc_pg_shape_drop(struct pg_shape **shape)
{
	torc_assert(*shape == NULL || (*shape)->refs > 0);
	if (*shape != NULL && --(*shape)->refs == 0)
		torc_sys_free(*shape);
	*shape = NULL;
}

/* Columns, then the message, which has their names. */
static struct pg_shape *
allocate(const struct pg_message *message, unsigned count)
{
	struct pg_shape *shape = torc_sys_alloc_raw(sizeof(*shape) +
	    count * sizeof(shape->columns[0]) + message->size);

	if (shape == NULL)
		return NULL;
	shape->refs = 1;
	shape->count = count;
	shape->size = message->size;
	shape->message = (uint8_t *)(shape->columns + count);
	memcpy(shape->message, message->data, message->size);
	return shape;
}

static int
describe(struct pg_shape *shape)
{
	const struct pg_message message = { .type = PG_ROW_DESCRIPTION,
		.data = shape->message, .size = shape->size };
	struct pg_field *fields = torc_sys_alloc_array(shape->count + 1u,
	    sizeof(*fields));

	int count;

	if (fields == NULL)
		return -ENOMEM;
	count = torc_pg_read_fields(&message, fields, shape->count);
	torc_assert(count == (int)shape->count);	/* as before */
	for (unsigned i = 0; i < shape->count; i++)
		shape->columns[i] = (struct torc_pg_column) { fields[i].name,
			fields[i].type, fields[i].format == 1 };
	torc_sys_free(fields);
	return 0;
}

int
torc_pg_shape_take(struct pg_shape **kept, const struct pg_message *message)
{
	struct pg_shape *shape = *kept;
	int count, rc;

	if (shape != NULL && shape->size == message->size &&
	    memcmp(shape->message, message->data, message->size) == 0)
		return 0;
	count = torc_pg_read_fields(message, NULL, 0);
	if (count < 0 || count > (int)PG_COLUMNS_MAX)
		return -EPROTO;
	shape = allocate(message, (unsigned)count);
	if (shape == NULL)
		return -ENOMEM;
	rc = describe(shape);
	if (rc < 0) {
		torc_pg_shape_drop(&shape);
		return rc;
	}
	torc_pg_shape_drop(kept);
	*kept = shape;
	return 0;
}
