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

#endif
