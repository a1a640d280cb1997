/* SPDX-License-Identifier: MIT */
/*
 * views.c - the tables of rings: short and extended.
 */
#include "tools/ringstat/views.h"

#include <pwd.h>
#include <string.h>

#include "sys/uapi.h"
#include "tools/ringstat/map.h"
#include "tools/ringstat/page.h"
#include "tools/ringstat/sockets.h"
#include "tools/ringstat/views_torc.h"

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
	table_number(table, ring->ino == UNKNOWN ? UNKNOWN :
	    ring->shared_count);
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

/* ---- Entries ---- */

static void
tag_cell(struct table *table, const struct ring *ring, uint64_t user_data)
{
	if (ring->torc == NULL) {
		table_cell(table, "-");
	} else {
		struct tag_text tag = torc_view_tag(ring->torc, user_data);

		table_cell(table, "%s %llu.%llu", tag.kind,
		    (unsigned long long)tag.slot,
		    (unsigned long long)tag.generation);
	}
}

static void
entry_cells(struct table *table, const struct process *process,
    const struct ring *ring, const struct entry *entry)
{
	static const char *const queues[] = { "SQ", "CQ", "OVF" };

	table_number(table, process->pid);
	table_name(table, process->comm);
	table_number(table, ring->ino);
	table_cell(table, "%s", queues[entry->kind]);
	if (entry->kind == ENTRY_OVERFLOW)
		table_cell(table, "-");
	else
		table_number(table, entry->index);
	if (entry->kind == ENTRY_SQE) {
		table_name(table, entry->opcode);
		table_cell(table, "%d", entry->fd);
		table_cell(table, "-");
		table_cell(table, "0x%x", entry->sqe_flags);
	} else {
		table_cell(table, "-");
		table_cell(table, "-");
		table_cell(table, "%d", entry->res);
		table_cell(table, "0x%x", entry->cqe_flags);
	}
	table_cell(table, "0x%llx", (unsigned long long)entry->user_data);
	tag_cell(table, ring, entry->user_data);
}

/* A line for a list that is cut ("SQ+"), or cannot be shown at all. */
static void
unshown_cells(struct table *table, const struct process *process,
    const struct ring *ring, unsigned kind)
{
	static const char *const queues[] = { "SQ", "CQ", "OVF" };
	bool cut = false;

	if (ring->entries_known ? ring->unshown[kind] == 0 :
	    kind != ENTRY_SQE)
		return;
	for (unsigned i = 0; i < ring->entry_count; i++)
		cut |= ring->entries[i].kind == kind;
	table_number(table, process->pid);
	table_name(table, process->comm);
	table_number(table, ring->ino);
	table_cell(table, "%s%s", ring->entries_known ? queues[kind] : "-",
	    cut ? "+" : "");
	table_cell(table, "-");
	if (!ring->entries_known)
		table_cell(table, ring->busy ? "(busy)" : "(not known)");
	else if (ring->unshown[kind] == UNKNOWN)
		table_cell(table, "(hidden)");
	else
		table_cell(table, "(%lld %s)", (long long)ring->unshown[kind],
		    cut ? "more" : "hidden");
	for (int i = 0; i < 5; i++)
		table_cell(table, "-");
}

static unsigned
print_entries(const struct sample *sample, const struct screen *screen)
{
	static const struct column columns[] = {
		{ "PID", false, 0 }, { "COMM", true, 2 }, { "RING", false, 3 },
		{ "Q", true, 0 }, { "SLOT", false, 1 }, { "OP", true, 0 },
		{ "FD", false, 0 }, { "RES", false, 0 }, { "FLAGS", true, 1 },
		{ "USER_DATA", true, 0 }, { "TORC", true, 0 },
	};
	struct table table;

	table_begin(&table, columns, COUNT(columns));
	for (unsigned i = 0; i < sample->ring_count; i++) {
		const struct ring *ring = &sample->rings[i];
		const struct process *process =
		    &sample->processes[ring->process];

		for (unsigned j = 0; j < ring->entry_count; j++)
			entry_cells(&table, process, ring, &ring->entries[j]);
		for (unsigned kind = 0; kind < 3; kind++)
			unshown_cells(&table, process, ring, kind);
	}
	return table_end(&table, screen);
}

/* ---- Polls and registered sockets ---- */

static void
poll_cells(struct table *table, const struct sample *sample,
    const struct ring *ring, const char *what, int64_t count,
    const char *peer)
{
	const struct process *process = &sample->processes[ring->process];

	table_number(table, process->pid);
	table_name(table, process->comm);
	table_number(table, ring->ino);
	table_cell(table, "%s", what);
	table_number(table, count);
	table_name(table, peer);
}

static void
print_polls_of(struct table *table, const struct sample *sample,
    const struct ring *ring)
{
	const struct process *process = &sample->processes[ring->process];
	char text[160];

	if (!ring->polls_known)
		poll_cells(table, sample, ring, ring->busy ? "(busy)" :
		    "(not known)", UNKNOWN, "");
	for (unsigned i = 0; i < OPCODES; i++) {
		if (ring->polls[i] == 0)
			continue;
		snprintf(text, sizeof(text), "%u", i);
		poll_cells(table, sample, ring, opcode_name(i) != NULL ?
		    opcode_name(i) : text, ring->polls[i], "");
	}
	for (unsigned i = 0; i < ring->socket_count; i++) {
		if (!sockets_name(process->sockets, ring->sockets[i], text,
		    sizeof(text)))
			snprintf(text, sizeof(text), "socket:[%llu]",
			    (unsigned long long)ring->sockets[i]);
		poll_cells(table, sample, ring, "(file)", UNKNOWN, text);
	}
	if (ring->sockets_unshown > 0) {
		snprintf(text, sizeof(text), "(%u more)",
		    ring->sockets_unshown);
		poll_cells(table, sample, ring, "(file)", UNKNOWN, text);
	}
}

static unsigned
print_polls(const struct sample *sample, const struct screen *screen)
{
	static const struct column columns[] = {
		{ "PID", false, 0 }, { "COMM", true, 0 }, { "RING", false, 1 },
		{ "OP", true, 0 }, { "ARMED", false, 0 },
		{ "SOCKET", true, 0 },
	};
	struct table table;

	table_begin(&table, columns, COUNT(columns));
	for (unsigned i = 0; i < sample->ring_count; i++)
		print_polls_of(&table, sample, &sample->rings[i]);
	return table_end(&table, screen);
}

/* ---- Processes ---- */

static int64_t
sum_of(int64_t a, int64_t b)
{
	return a == UNKNOWN || b == UNKNOWN ? UNKNOWN : a + b;
}

static int64_t
count_rings(const struct sample *sample, unsigned process, int64_t *memory,
    int64_t *buffers)
{
	int64_t count = 0;

	*memory = *buffers = 0;
	for (unsigned i = 0; i < sample->ring_count; i++) {
		const struct ring *ring = &sample->rings[i];

		if (ring->process != process)
			continue;
		count++;
		*memory = sum_of(*memory, ring->memory);
		*buffers = sum_of(*buffers, ring->buffer_bytes);
	}
	return count;
}

static void
seconds_cell(struct table *table, int64_t us)
{
	if (us == UNKNOWN)
		table_cell(table, "-");
	else
		table_cell(table, "%.2f", (double)us / 1e6);
}

static unsigned
print_threads(const struct sample *sample, const struct screen *screen)
{
	static const struct column columns[] = {
		{ "PID", false, 0 }, { "COMM", true, 0 },
		{ "RINGS", false, 0 }, { "WORKERS", false, 0 },
		{ "CPU-S", false, 0 }, { "SQPOLL", false, 0 },
		{ "CPU-S", false, 0 },
	};
	struct table table;
	int64_t memory, buffers;

	table_begin(&table, columns, COUNT(columns));
	for (unsigned i = 0; i < sample->process_count; i++) {
		const struct process *process = &sample->processes[i];

		table_number(&table, process->pid);
		table_name(&table, process->comm);
		table_number(&table, count_rings(sample, i, &memory,
		    &buffers));
		table_number(&table, process->workers);
		seconds_cell(&table, process->worker_cpu_us);
		table_number(&table, process->sqthreads);
		seconds_cell(&table, process->sqthread_cpu_us);
	}
	return table_end(&table, screen);
}

static void
user_cell(struct table *table, int64_t uid, bool numeric)
{
	const struct passwd *user = numeric || uid == UNKNOWN ? NULL :
	    getpwuid((uid_t)uid);

	if (user != NULL)
		table_name(table, user->pw_name);
	else
		table_number(table, uid);
}

/* Marked when less than a tenth is left. */
static void
left_cell(struct table *table, const struct process *process)
{
	table_bytes(table, process->locked_left);
	if (process->locked_left != UNKNOWN &&
	    process->locked_left < process->locked_limit / 10)
		table_mark(table, MARK_WARNING);
}

static unsigned
print_memory(const struct sample *sample, const struct options *options,
    const struct screen *screen)
{
	static const struct column columns[] = {
		{ "PID", false, 0 }, { "COMM", true, 0 }, { "USER", true, 0 },
		{ "RINGS", false, 0 }, { "MEMORY", false, 0 },
		{ "BUFFERS", false, 3 }, { "VMPIN", false, 0 },
		{ "VMLCK", false, 2 }, { "MEMLOCK", false, 0 },
		{ "LEFT", false, 0 }, { "FDS", false, 1 },
		{ "NOFILE", false, 1 },
	};
	struct table table;

	table_begin(&table, columns, COUNT(columns));
	for (unsigned i = 0; i < sample->process_count; i++) {
		const struct process *process = &sample->processes[i];
		int64_t memory, buffers;
		int64_t count = count_rings(sample, i, &memory, &buffers);

		table_number(&table, process->pid);
		table_name(&table, process->comm);
		user_cell(&table, process->uid, options->numeric);
		table_number(&table, count);
		table_bytes(&table, memory);
		table_bytes(&table, buffers);
		table_bytes(&table, process->pinned_bytes);
		table_bytes(&table, process->locked_bytes);
		table_bytes(&table, process->locked_limit);
		left_cell(&table, process);
		table_number(&table, process->descriptors);
		table_number(&table, process->descriptor_limit);
	}
	return table_end(&table, screen);
}

unsigned
view_wants(enum view view)
{
	switch (view) {
	case VIEW_EXTENDED:
		return WANT_LISTS | WANT_THREADS | WANT_SHARERS;
	case VIEW_ENTRIES:
		return WANT_LISTS | WANT_ENTRIES | WANT_TORC;
	case VIEW_POLLS:
		return WANT_LISTS | WANT_SOCKETS;
	case VIEW_THREADS:
		return WANT_LISTS | WANT_THREADS | WANT_LONERS;
	case VIEW_MEMORY:
		return WANT_LISTS | WANT_LIMITS | WANT_TORC;
	case VIEW_CONNS:
		return WANT_TORC | WANT_CONNS | WANT_SOCKETS;
	case VIEW_OPS:
	case VIEW_HANDSHAKES:
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
	case VIEW_ENTRIES:
		return print_entries(sample, screen);
	case VIEW_POLLS:
		return print_polls(sample, screen);
	case VIEW_THREADS:
		return print_threads(sample, screen);
	case VIEW_MEMORY:
		return print_memory(sample, options, screen);
	case VIEW_CONNS:
		return views_print_conns(sample, screen);
	case VIEW_OPS:
		return views_print_ops(sample, screen);
	case VIEW_HANDSHAKES:
		return views_print_handshakes(sample, screen);
	case VIEW_TABLE:
		break;
	}
	return print_table(sample, screen);
}
