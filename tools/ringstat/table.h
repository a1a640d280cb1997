/* SPDX-License-Identifier: MIT */
/*
 * table.h - rows of cells, printed in columns as wide as they must be.
 */
#ifndef RINGSTAT_TABLE_H
#define RINGSTAT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define MAX_COLUMNS 32u

struct column {
	const char *header;
	bool left;		/* aligned */
	uint8_t rank;		/* on a narrow terminal the highest goes
				 * first; 0 stays */
};

enum mark { MARK_NONE, MARK_WARNING, MARK_CRITICAL };

struct table {
	const struct column *columns;
	unsigned column_count;
	char **cells;		/* by row */
	uint8_t *marks;
	unsigned cell_count;
};

/* Where a table goes. */
struct screen {
	FILE *file;
	unsigned width;		/* 0: no limit */
	unsigned rows;		/* at most, with the header; 0: no limit */
	unsigned first;		/* row to begin with */
	bool header;
	bool colour;
};

/*
 * As wide as the variable COLUMNS says, or else as the terminal is, or without
 * a limit when it is none; and then without colours.
 */
struct screen screen_of(FILE *file);

void table_begin(struct table *table, const struct column *columns,
    unsigned count);
/* The next cell, in reading order. Its text is escaped by the caller. */
void table_cell(struct table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* As cell: a figure, or "-" when it is UNKNOWN. */
void table_number(struct table *table, int64_t number);
/* A name of somebody else's: escaped. */
void table_name(struct table *table, const char *name);
/* Bytes, in KiB and so on. */
void table_bytes(struct table *table, int64_t bytes);
/* A rate; "-" when it is negative. */
void table_rate(struct table *table, double rate);
/* Colour the last cell. */
void table_mark(struct table *table, enum mark mark);
/* Print and free it: how many lines. */
unsigned table_end(struct table *table, const struct screen *screen);

#endif
