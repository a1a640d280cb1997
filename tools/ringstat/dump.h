/* SPDX-License-Identifier: MIT */
/*
 * dump.h - everything about a process, for a bug report.
 */
#ifndef RINGSTAT_DUMP_H
#define RINGSTAT_DUMP_H

#include "tools/ringstat/model.h"

/*
 * Print the kernel's own text about the processes and rings of a sample,
 * without memory addresses and user_data unless `raw`.
 */
void dump_print(FILE *file, const struct sample *sample, bool raw);
/* Print text of the kernel in the same way, a line for each of its lines. */
void dump_lines(FILE *file, struct lines *lines, bool raw);

#endif
