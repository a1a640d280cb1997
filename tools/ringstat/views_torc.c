/* SPDX-License-Identifier: MIT */
/*
 * views_torc.c - the tables of torc programs, from their statistics pages.
 */
#include "tools/ringstat/views_torc.h"

#include "tools/ringstat/map.h"
#include "tools/ringstat/page.h"
#include "tools/ringstat/sockets.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void
age_cell(struct table *table, int64_t ms)
{
	if (ms == UNKNOWN)
		table_cell(table, "-");
	else if (ms < 100000)
		table_cell(table, "%.1fs", (double)ms / 1e3);
	else
		table_cell(table, "%lldm", (long long)(ms / 60000));
}

static void
tls_cell(struct table *table, const struct conn_view *conn)
{
	static const char *const words[] = {
		[CONN_TLS_UNKNOWN] = "-", [CONN_CLEAR] = "no",
		[CONN_SHAKING] = "begins", [CONN_SECURE] = "yes",
	};
	const char *version = torc_view_version(conn);

	table_cell(table, "%s", version != NULL ? version : words[conn->tls]);
}

unsigned
views_print_conns(const struct sample *sample, const struct screen *screen)
{
	static const struct column columns[] = {
		{ "PID", false, 0 }, { "COMM", true, 2 }, { "R", false, 0 },
		{ "FD", false, 1 }, { "PEER", true, 0 }, { "STATE", true, 0 },
		{ "HELD", false, 0 }, { "STAGED", false, 0 },
		{ "AGE", false, 0 }, { "TLS", true, 3 }, { "HOST", true, 4 },
	};
	struct table table;

	table_begin(&table, columns, COUNT(columns));
	for (unsigned i = 0; i < sample->ring_count; i++) {
		const struct torc_view *view = sample->rings[i].torc;
		const struct process *process =
		    &sample->processes[sample->rings[i].process];

		for (unsigned j = 0; view != NULL && view->conns != NULL &&
		    j < view->conn_count; j++) {
			const struct conn_view *conn = &view->conns[j];
			char peer[160];

			table_number(&table, process->pid);
			table_name(&table, process->comm);
			table_number(&table, view->page.reactor);
			table_cell(&table, "%d", conn->fd);
			table_name(&table, sockets_name(process->sockets,
			    conn->ino, peer, sizeof(peer)) ? peer : "");
			table_cell(&table, "%s", conn_states[conn->state]);
			table_bytes(&table, (int64_t)conn->held);
			table_bytes(&table, (int64_t)conn->staged);
			age_cell(&table, conn->age_ms);
			tls_cell(&table, conn);
			table_name(&table, conn->host != NULL ? conn->host :
			    "");
		}
	}
	return table_end(&table, screen);
}

static void
op_cells(struct table *table, const struct process *process,
    const struct torc_view *view, unsigned opcode)
{
	const struct torc_stats_page_op *op = &view->page.op[opcode];

	table_number(table, process->pid);
	table_name(table, process->comm);
	table_number(table, view->page.reactor);
	if (opcode_name(opcode) != NULL)
		table_cell(table, "%s", opcode_name(opcode));
	else
		table_number(table, opcode);
	table_number(table, (int64_t)op->submitted);
	table_number(table, (int64_t)(op->submitted - op->completed));
	table_number(table, (int64_t)op->completed);
	table_number(table, (int64_t)op->failed);
}

static void
conn_op_cells(struct table *table, const struct process *process,
    const struct torc_view *view, const struct conn_op *op)
{
	table_number(table, process->pid);
	table_name(table, process->comm);
	table_number(table, view->page.reactor);
	table_cell(table, "%s of connections", op->name);
	table_number(table, op->submitted);
	table_number(table, op->in_flight);
	table_number(table, op->completed);
	table_number(table, op->failed);
}

unsigned
views_print_ops(const struct sample *sample, const struct screen *screen)
{
	static const struct column columns[] = {
		{ "PID", false, 0 }, { "COMM", true, 0 }, { "R", false, 0 },
		{ "OP", true, 0 }, { "SUBMITTED", false, 0 },
		{ "FLYING", false, 0 }, { "DONE", false, 0 },
		{ "FAILED", false, 0 },
	};
	struct table table;

	table_begin(&table, columns, COUNT(columns));
	for (unsigned i = 0; i < sample->ring_count; i++) {
		const struct torc_view *view = sample->rings[i].torc;
		const struct process *process =
		    &sample->processes[sample->rings[i].process];
		struct conn_op ops[CONN_OPS];

		if (view == NULL)
			continue;
		torc_view_conn_ops(view, ops);
		for (unsigned j = 0; j < CONN_OPS; j++)
			conn_op_cells(&table, process, view, &ops[j]);
		for (unsigned j = 0; j < TORC_STATS_PAGE_OPCODES; j++) {
			if (view->page.op[j].submitted > 0)
				op_cells(&table, process, view, j);
		}
	}
	return table_end(&table, screen);
}

static void
handshake_cells(struct table *table, const struct process *process,
    const struct torc_view *view, const char *kind, const char *name,
    uint64_t count)
{
	table_number(table, process->pid);
	table_name(table, process->comm);
	table_number(table, view->page.reactor);
	table_cell(table, "%s", kind);
	table_cell(table, "%s", name);
	table_number(table, count > INT64_MAX ? UNKNOWN : (int64_t)count);
}

static void
handshake_rows(struct table *table, const struct process *process,
    const struct torc_view *view)
{
	const struct torc_counters *counter = &view->page.counter;
	const struct { const char *name; uint64_t count; } states[] = {
		{ "in progress", view->page.gauge.handshakes },
		{ "full", counter->handshakes_full },
		{ "resumed", counter->handshakes_resumed },
		{ "failed", counter->handshakes_failed },
	};

	for (size_t i = 0; i < COUNT(states); i++)
		handshake_cells(table, process, view, "state", states[i].name,
		    states[i].count);
	for (unsigned i = 0; i < HANDSHAKE_SETS; i++) {
		const struct word_set *set = &handshake_sets[i];
		const uint64_t *words = torc_view_words(view, set);

		for (unsigned j = 0; j < set->count; j++)
			if (words[j] > 0)
				handshake_cells(table, process, view,
				    set->label, set->names[j], words[j]);
	}
}

unsigned
views_print_handshakes(const struct sample *sample,
    const struct screen *screen)
{
	static const struct column columns[] = {
		{ "PID", false, 0 }, { "COMM", true, 0 }, { "R", false, 0 },
		{ "BY", true, 0 }, { "HANDSHAKES", true, 0 },
		{ "COUNT", false, 0 },
	};
	struct table table;

	table_begin(&table, columns, COUNT(columns));
	for (unsigned i = 0; i < sample->ring_count; i++) {
		const struct ring *ring = &sample->rings[i];

		if (ring->torc != NULL)
			handshake_rows(&table,
			    &sample->processes[ring->process], ring->torc);
	}
	return table_end(&table, screen);
}
