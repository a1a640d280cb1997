/* SPDX-License-Identifier: MIT */
/*
 * number.h - numbers from the bytes of a value. They return 0; -EINVAL if it is
 * not a number; -ERANGE if it does not fit. Any thread.
 */
#ifndef TORC_PG_NUMBER_H
#define TORC_PG_NUMBER_H

#include "conn/pg/torc_pg.h"

/*
 * For float4, float8 and numeric. Also reads "NaN" and "Infinity", in any case
 * and with a sign. May return -ENOMEM.
 */
int torc_pg_read_text_float(struct torc_slice value, double *result);
int torc_pg_read_binary_numeric(struct torc_slice value, double *result);

/* `numeric`: a point and zeros may follow. */
int torc_pg_read_text_whole(struct torc_slice value, bool numeric,
    int64_t *result);
int torc_pg_read_binary_whole(struct torc_slice value, int64_t *result);

#endif
