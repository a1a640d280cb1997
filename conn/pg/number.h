/* SPDX-License-Identifier: MIT */
/*
 * number.h - numbers from the bytes of a value. 0; -EINVAL for what is none;
 * -ERANGE for one that does not fit. Any thread.
 */
#ifndef TORC_PG_NUMBER_H
#define TORC_PG_NUMBER_H

#include "conn/pg/torc_pg.h"

/* Of float4, float8 and numeric. Also "NaN" and "Infinity", in any case and
 * with a sign; -ENOMEM. */
int torc_pg_read_text_float(struct torc_slice value, double *result);
int torc_pg_read_binary_numeric(struct torc_slice value, double *result);

/* `numeric`: a point and zeros may follow. */
int torc_pg_read_text_whole(struct torc_slice value, bool numeric,
    int64_t *result);
int torc_pg_read_binary_whole(struct torc_slice value, int64_t *result);

#endif
