/* SPDX-License-Identifier: MIT */
/*
 * shape.h - the columns of a result.
 */
#ifndef TORC_PG_SHAPE_H
#define TORC_PG_SHAPE_H

#include "conn/pg/wire.h"

struct pg_shape {
	unsigned refs;
	unsigned count;
	uint8_t *message;	/* the RowDescription that says so */
	size_t size;
	struct torc_pg_column columns[];
};

/* NULL is allowed: no shape. */
struct pg_shape *torc_pg_shape_ref(struct pg_shape *shape);
void torc_pg_shape_drop(struct pg_shape **shape);
/*
 * Set *kept to the columns of a RowDescription, unless it has these already.
 * Returns 0; or -EPROTO or -ENOMEM, and *kept is unchanged.
 */
int torc_pg_shape_take(
    struct pg_shape **kept, const struct pg_message *message);

#endif
