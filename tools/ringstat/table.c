/* SPDX-License-Identifier: MIT */
/*
 * table.c - collecting cells, measuring them, printing them.
 */
#include "tools/ringstat/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sys/trap.h"
#include "tools/ringstat/text.h"

#define MAX_CELL 512u	/* the path of a local socket, escaped */

/* As ps(1) has it: what the user says counts, and nonsense does not. */
static unsigned
width_of(int fd)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;

	if (columns != NULL) {
		struct text text = { columns, strlen(columns) };
		uint64_t width;

		if (text_decimal(&text, &width) && text.size == 0 &&
		    width > 0 && width <= UINT16_MAX)
			return (unsigned)width;
	}
	return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

struct screen
screen_of(FILE *file)
{
	struct screen screen = {
		.file = file,
		.width = width_of(fileno(file)),
		.header = true,
	};
	const char *no_colour = getenv("NO_COLOR");

	if (!isatty(fileno(file)))
		return screen;
	screen.colour = no_colour == NULL || no_colour[0] == '\0';
	return screen;
}

void
table_begin(struct table *table, const struct column *columns,
    unsigned count)
{
	torc_assert(count <= MAX_COLUMNS);
	*table = (struct table) { columns, count, NULL, NULL, 0 };
}

void
table_cell(struct table *table, const char *format, ...)
{
	const unsigned at = table->cell_count++;
	char text[MAX_CELL];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	if ((at & (at - 1)) == 0) {
		const size_t room = at == 0 ? 1 : (size_t)at * 2;

		table->cells = must_grow(table->cells, room, sizeof(char *));
		table->marks = must_grow(table->marks, room, 1);
	}
	table->cells[at] = must_grow(NULL, strlen(text) + 1, 1);
	memcpy(table->cells[at], text, strlen(text) + 1);
	table->marks[at] = MARK_NONE;
}

void
table_number(struct table *table, int64_t number)
{
	if (number == UNKNOWN)
		table_cell(table, "-");
	else
		table_cell(table, "%lld", (long long)number);
}

void
table_name(struct table *table, const char *name)
{
	char escaped[MAX_CELL];

	text_escape(name, escaped, sizeof(escaped));
	table_cell(table, "%s", escaped[0] == '\0' ? "-" : escaped);
}

void
table_bytes(struct table *table, int64_t bytes)
{
	static const char units[] = "BKMGT";
	double value = (double)bytes;
	unsigned unit = 0;

	if (bytes == UNKNOWN) {
		table_cell(table, "-");
		return;
	}
	while (value >= 10000 && unit < 4) {
		value /= 1024;
		unit++;
	}
	table_cell(table, "%.0f%c", value, units[unit]);
}

void
table_rate(struct table *table, double rate)
{
	if (rate < 0)
		table_cell(table, "-");
	else
		table_cell(table, rate > 0 && rate < 10 ? "%.1f" : "%.0f",
		    rate);
}

void
table_mark(struct table *table, enum mark mark)
{
	table->marks[table->cell_count - 1] = (uint8_t)mark;
}

/* ---- Printing ---- */

static void
measure(const struct table *table, bool header, unsigned *widths)
{
	for (unsigned i = 0; i < table->column_count; i++)
		widths[i] = header ?
		    (unsigned)strlen(table->columns[i].header) : 1;
	for (unsigned i = 0; i < table->cell_count; i++) {
		unsigned *width = &widths[i % table->column_count];
		unsigned size = (unsigned)strlen(table->cells[i]);

		if (size > *width)
			*width = size;
	}
}

/* Drop columns (width 0) until the rest fits. */
static void
fit(const struct table *table, unsigned limit, unsigned *widths)
{
	for (;;) {
		unsigned sum = 0, worst = 0;

		for (unsigned i = 0; i < table->column_count; i++) {
			if (widths[i] == 0)
				continue;
			sum += widths[i] + 1;
			if (table->columns[i].rank >
			    table->columns[worst].rank || widths[worst] == 0)
				worst = i;
		}
		if (limit == 0 || sum == 0 || sum - 1 <= limit ||
		    table->columns[worst].rank == 0)
			return;
		widths[worst] = 0;
	}
}

static void
print_cell(const struct screen *screen, const struct column *column,
    const char *text, unsigned width, bool last, uint8_t mark)
{
	static const char *const colours[] = { "", "\033[33m", "\033[31m" };
	const int pad = (int)(width - strlen(text));

	if (!column->left)
		fprintf(screen->file, "%*s", pad, "");
	if (screen->colour && mark != MARK_NONE)
		fprintf(screen->file, "%s%s\033[0m", colours[mark], text);
	else
		fputs(text, screen->file);
	if (column->left && !last)
		fprintf(screen->file, "%*s", pad, "");
}

/* A row; cut where the terminal ends. */
static void
print_row(const struct table *table, const struct screen *screen,
    const unsigned *widths, char *const *cells, const uint8_t *marks)
{
	unsigned used = 0, last = 0;

	for (unsigned i = 0; i < table->column_count; i++) {
		if (widths[i] > 0)
			last = i;
	}
	for (unsigned i = 0; i <= last; i++) {
		const char *text = cells != NULL ? cells[i] :
		    table->columns[i].header;
		char cut[MAX_CELL];
		unsigned room = widths[i];

		if (widths[i] == 0)
			continue;
		/* A blank and nothing behind it would be no cell. */
		if (screen->width > 0 && used > 0 &&
		    used + 1 >= screen->width)
			break;
		if (used > 0) {
			putc(' ', screen->file);
			used++;
		}
		if (screen->width > 0 && used + room > screen->width)
			room = screen->width - used;
		if (strlen(text) > room) {
			snprintf(cut, sizeof(cut), "%.*s", (int)room, text);
			text = cut;
		}
		print_cell(screen, &table->columns[i], text, room, i == last,
		    marks == NULL ? MARK_NONE : marks[i]);
		used += room;
	}
	putc('\n', screen->file);
}

unsigned
table_end(struct table *table, const struct screen *screen)
{
	const unsigned count = table->column_count;
	const unsigned row_count = table->cell_count / count;
	unsigned widths[MAX_COLUMNS], printed = 0;

	torc_assert(table->cell_count % count == 0);
	measure(table, screen->header, widths);
	fit(table, screen->width, widths);
	if (screen->header) {
		if (screen->colour)
			fputs("\033[1m", screen->file);
		print_row(table, screen, widths, NULL, NULL);
		if (screen->colour)
			fputs("\033[0m", screen->file);
		printed++;
	}
	for (unsigned i = screen->first; i < row_count &&
	    (screen->rows == 0 || printed < screen->rows); i++, printed++)
		print_row(table, screen, widths, table->cells + i * count,
		    table->marks + i * count);
	for (unsigned i = 0; i < table->cell_count; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table->marks);
	return printed;
}
