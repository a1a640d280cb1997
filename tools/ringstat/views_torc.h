/* SPDX-License-Identifier: MIT */
/*
 * views_torc.h - tables of what torc programs tell of themselves.
 */
#ifndef RINGSTAT_VIEWS_TORC_H
#define RINGSTAT_VIEWS_TORC_H

#include "tools/ringstat/model.h"
#include "tools/ringstat/table.h"

/* Each prints a table: how many lines. */
unsigned views_print_conns(const struct sample *sample,
    const struct screen *screen);
unsigned views_print_ops(const struct sample *sample,
    const struct screen *screen);
unsigned views_print_handshakes(const struct sample *sample,
    const struct screen *screen);

#endif
