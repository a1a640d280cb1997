/* SPDX-License-Identifier: MIT */
/*
 * views.h - the tables.
 */
#ifndef RINGSTAT_VIEWS_H
#define RINGSTAT_VIEWS_H

#include "tools/ringstat/model.h"
#include "tools/ringstat/table.h"

/* What a view needs to know: enum want. */
unsigned view_wants(enum view view);
/* Print it: how many lines. */
unsigned view_print(const struct sample *sample,
    const struct options *options, const struct screen *screen);

/* The flags of a ring's words as text, or "-". */
const char *flags_text(int64_t sq_flags, char *text, size_t size);

#endif
