/*
 * views.c - the tables of rings: short and extended.
 */
#include "tools/ringstat/views.h"

#include <string.h>

#include "sys/uapi.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *
flags_text(int64_t sq_flags, char *text, size_t size)
{
	static const struct { uint32_t bit; const char *name; } names[] = {
		{ IORING_SQ_NEED_WAKEUP, "WAKE" },
		{ IORING_SQ_CQ_OVERFLOW, "OVFL" },
		{ IORING_SQ_TASKRUN, "TASK" },
	};
	size_t used = 0;

	if (sq_flags == UNKNOWN)
		return "-";
	text[0] = '\0';
	for (size_t i = 0; i < COUNT(names); i++) {
		if (sq_flags & names[i].bit)
			used += (size_t)snprintf(text + used, size - used,
			    "%s%s", used > 0 ? "," : "", names[i].name);
	}
	return used > 0 ? text : ".";
}

/* "pending/entries"; marked when it is full, or nearly. */
static void
queue_cell(struct table *table, int64_t used, int64_t entries)
{
	if (used == UNKNOWN || entries == UNKNOWN) {
		table_cell(table, "-");
		return;
	}
	table_cell(table, "%lld/%lld", (long long)used, (long long)entries);
	if (used >= entries)
		table_mark(table, MARK_CRITICAL);
	else if (used >= entries - entries / 8)
		table_mark(table, MARK_WARNING);
}

/* Lost completions, or those that wait in the kernel. */
static void
overflow_cell(struct table *table, const struct ring *ring)
{
	const bool now = ring->sq_flags != UNKNOWN &&
	    ring->sq_flags & IORING_SQ_CQ_OVERFLOW;

	if (ring->overflow_listed > 0)
		table_cell(table, "%lld", (long long)ring->overflow_listed);
	else if (now)
		table_cell(table, "yes");
	else if (ring->cq_overflow > 0)
		table_cell(table, "lost %lld", (long long)ring->cq_overflow);
	else
		table_number(table, ring->sources & SOURCE_MAP ? 0 :
		    ring->overflow_listed);
	if (now || ring->overflow_listed > 0 || ring->cq_overflow > 0)
		table_mark(table, MARK_CRITICAL);
}

static const char *
source_text(const struct ring *ring)
{
	static const char *const names[] = {
		"-", "map", "fdinfo", "map,fdinfo", "page", "map,page",
		"fdinfo,page", "map,fdinfo,page",
	};

	return ring->busy && ring->sources == 0 ? "busy" :
	    names[ring->sources & 7];
}

static void
common_cells(struct table *table, const struct sample *sample,
    const struct ring *ring)
{
	const struct process *process = &sample->processes[ring->process];
	char flags[32];

	table_number(table, process->pid);
	table_name(table, process->comm);
	table_number(table, ring->fds[0]);
	table_number(table, ring->ino);
	queue_cell(table, ring->sq_pending, ring->sq_entries);
	queue_cell(table, ring->cq_ready, ring->cq_entries);
	table_rate(table, ring->submissions);
	table_rate(table, ring->completions);
	overflow_cell(table, ring);
	table_cell(table, "%s", flags_text(ring->sq_flags, flags,
	    sizeof(flags)));
}

#define COMMON_COLUMNS							\
	{ "PID", false, 0 }, { "COMM", true, 0 }, { "FD", false, 3 },	\
	{ "RING", false, 4 }, { "SQ", false, 0 }, { "CQ", false, 0 },	\
	{ "SUB/s", false, 0 }, { "CQE/s", false, 0 },			\
	{ "OVF", false, 0 }, { "FLAGS", true, 1 }

static unsigned
print_table(const struct sample *sample, const struct screen *screen)
{
	static const struct column columns[] = {
		COMMON_COLUMNS, { "SOURCE", true, 5 },
	};
	struct table table;

	table_begin(&table, columns, COUNT(columns));
	for (unsigned i = 0; i < sample->ring_count; i++) {
		common_cells(&table, sample, &sample->rings[i]);
		table_cell(&table, "%s", source_text(&sample->rings[i]));
	}
	return table_end(&table, screen);
}

static int64_t
sum_polls(const struct ring *ring)
{
	int64_t sum = 0;

	if (!ring->polls_known)
		return UNKNOWN;
	for (unsigned i = 0; i < OPCODES; i++)
		sum += ring->polls[i];
	return sum;
}

/* The part of its time that the SQPOLL thread had work, in percent. */
static void
sq_work_cell(struct table *table, const struct ring *ring)
{
	if (ring->sq_total_us <= 0 || ring->sq_work_us == UNKNOWN)
		table_cell(table, "-");
	else
		table_cell(table, "%.0f", 100.0 * (double)ring->sq_work_us /
		    (double)ring->sq_total_us);
}

static void
extended_cells(struct table *table, const struct sample *sample,
    const struct ring *ring)
{
	const struct process *process = &sample->processes[ring->process];

	table_number(table, ring->cq_overflow);
	table_number(table, ring->sq_dropped);
	table_number(table, sum_polls(ring));
	table_number(table, process->workers);
	table_number(table, ring->sq_thread);
	table_number(table, ring->sq_cpu);
	sq_work_cell(table, ring);
	table_number(table, ring->files);
	table_number(table, ring->buffers);
	table_bytes(table, ring->memory);
	table_cell(table, "%s", ring->napi == UNKNOWN ? "-" :
	    ring->napi ? "on" : "off");
	table_number(table, ring->shared_count);
	table_cell(table, "%s", source_text(ring));
}

static unsigned
print_extended(const struct sample *sample, const struct screen *screen)
{
	static const struct column columns[] = {
		COMMON_COLUMNS, { "LOST", false, 2 }, { "DROP", false, 2 },
		{ "POLL", false, 0 }, { "WRK", false, 0 },
		{ "SQT", false, 2 }, { "CPU", false, 6 },
		{ "SQT%", false, 2 }, { "FILES", false, 2 },
		{ "BUFS", false, 2 }, { "MEM", false, 2 },
		{ "NAPI", true, 6 }, { "SHARE", false, 6 },
		{ "SOURCE", true, 5 },
	};
	struct table table;

	table_begin(&table, columns, COUNT(columns));
	for (unsigned i = 0; i < sample->ring_count; i++) {
		common_cells(&table, sample, &sample->rings[i]);
		extended_cells(&table, sample, &sample->rings[i]);
	}
	return table_end(&table, screen);
}

unsigned
view_wants(enum view view)
{
	switch (view) {
	case VIEW_EXTENDED:
		return WANT_LISTS | WANT_THREADS;
	case VIEW_ENTRIES:
		return WANT_LISTS | WANT_ENTRIES | WANT_TORC;
	case VIEW_POLLS:
		return WANT_LISTS;
	case VIEW_THREADS:
		return WANT_LISTS | WANT_THREADS | WANT_LONERS;
	case VIEW_MEMORY:
		return WANT_LIMITS;
	case VIEW_CONNS:
		return WANT_TORC | WANT_CONNS;
	case VIEW_OPS:
		return WANT_TORC;
	case VIEW_TABLE:
		break;
	}
	return 0;
}

unsigned
view_print(const struct sample *sample, const struct options *options,
    const struct screen *screen)
{
	switch (options->view) {
	case VIEW_EXTENDED:
		return print_extended(sample, screen);
	default:
		return print_table(sample, screen);
	}
}
