/* SPDX-License-Identifier: MIT */
/*
 * json.h - a sample as one object: schema.json says what is in it.
 */
#ifndef RINGSTAT_JSON_H
#define RINGSTAT_JSON_H

#include "tools/ringstat/model.h"

#define JSON_WANTS \
	(WANT_LISTS | WANT_THREADS | WANT_LIMITS | WANT_CGROUP | \
	    WANT_TORC | WANT_SHARERS)

/* One line. `before`: for the findings. */
void json_print(FILE *file, const struct sample *sample,
    const struct sample *before);

#endif
