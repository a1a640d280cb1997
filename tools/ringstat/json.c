/* SPDX-License-Identifier: MIT */
/*
 * json.c - writing a sample as JSON.
 */
#include "tools/ringstat/json.h"

#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "conn/torc.h"
#include "sys/uapi.h"
#include "tools/ringstat/check.h"
#include "tools/ringstat/map.h"
#include "tools/ringstat/page.h"
#include "tools/ringstat/sockets.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The file, and whether the next thing needs a comma before it. */
struct json {
	FILE *file;
	bool comma;
};

static void
begin(struct json *json, char bracket)
{
	if (json->comma)
		putc(',', json->file);
	putc(bracket, json->file);
	json->comma = false;
}

static void
end(struct json *json, char bracket)
{
	putc(bracket, json->file);
	json->comma = true;
}

static void
key(struct json *json, const char *name)
{
	if (json->comma)
		putc(',', json->file);
	fprintf(json->file, "\"%s\":", name);
	json->comma = false;
}

static void
begin_named(struct json *json, const char *name, char bracket)
{
	key(json, name);
	begin(json, bracket);
}

static void
separate(struct json *json)
{
	if (json->comma)
		putc(',', json->file);
	json->comma = true;
}

static void
put_null(struct json *json, const char *name)
{
	key(json, name);
	fputs("null", json->file);
	json->comma = true;
}

static void
put_number(struct json *json, const char *name, int64_t number)
{
	key(json, name);
	if (number == UNKNOWN)
		fputs("null", json->file);
	else
		fprintf(json->file, "%lld", (long long)number);
	json->comma = true;
}

/* One that may be negative. */
static void
put_signed(struct json *json, const char *name, int64_t number)
{
	key(json, name);
	fprintf(json->file, "%lld", (long long)number);
	json->comma = true;
}

static void
put_count(struct json *json, const char *name, uint64_t number)
{
	key(json, name);
	fprintf(json->file, "%llu", (unsigned long long)number);
	json->comma = true;
}

static void
put_rate(struct json *json, const char *name, double rate)
{
	key(json, name);
	if (rate < 0)
		fputs("null", json->file);
	else
		fprintf(json->file, "%.3f", rate);
	json->comma = true;
}

static void
put_word(struct json *json, const char *name, uint64_t word)
{
	key(json, name);
	fprintf(json->file, "\"0x%llx\"", (unsigned long long)word);
	json->comma = true;
}

static void
put_bool(struct json *json, const char *name, bool value)
{
	key(json, name);
	fputs(value ? "true" : "false", json->file);
	json->comma = true;
}

static void
put_string(struct json *json, const char *name, const char *string)
{
	key(json, name);
	if (string == NULL)
		fputs("null", json->file);
	else
		text_json(json->file, string);
	json->comma = true;
}

static void
item_string(struct json *json, const char *string)
{
	separate(json);
	text_json(json->file, string);
}

static void
item_number(struct json *json, int64_t number)
{
	separate(json);
	fprintf(json->file, "%lld", (long long)number);
}

/* ---- Processes ---- */

static void
put_process(struct json *json, const struct process *process)
{
	begin(json, '{');
	put_number(json, "pid", process->pid);
	put_string(json, "comm", process->comm);
	put_number(json, "uid", process->uid);
	put_string(json, "cgroup", process->cgroup);
	put_number(json, "workers", process->workers);
	put_number(json, "worker_cpu_us", process->worker_cpu_us);
	put_number(json, "sqthreads", process->sqthreads);
	put_number(json, "sqthread_cpu_us", process->sqthread_cpu_us);
	put_number(json, "locked_bytes", process->locked_bytes);
	put_number(json, "pinned_bytes", process->pinned_bytes);
	put_number(json, "locked_limit_bytes", process->locked_limit);
	put_number(json, "locked_left_bytes", process->locked_left);
	put_number(json, "descriptors", process->descriptors);
	put_number(json, "descriptor_limit", process->descriptor_limit);
	end(json, '}');
}

/* ---- Queues ---- */

static void
put_queues(struct json *json, const struct ring *ring)
{
	static const struct { uint32_t bit; const char *name; } flags[] = {
		{ IORING_SQ_NEED_WAKEUP, "NEED_WAKEUP" },
		{ IORING_SQ_CQ_OVERFLOW, "CQ_OVERFLOW" },
		{ IORING_SQ_TASKRUN, "TASKRUN" },
	};

	begin_named(json, "sq", '{');
	put_number(json, "entries", ring->sq_entries);
	put_number(json, "head", ring->sq_head);
	put_number(json, "tail", ring->sq_tail);
	put_number(json, "cached_head", ring->cached_sq_head);
	put_number(json, "pending", ring->sq_pending);
	put_number(json, "dropped", ring->sq_dropped);
	if (ring->sq_flags == UNKNOWN) {
		put_null(json, "flags");
	} else {
		begin_named(json, "flags", '[');
		for (size_t i = 0; i < COUNT(flags); i++) {
			if (ring->sq_flags & flags[i].bit)
				item_string(json, flags[i].name);
		}
		end(json, ']');
	}
	end(json, '}');
	begin_named(json, "cq", '{');
	put_number(json, "entries", ring->cq_entries);
	put_number(json, "head", ring->cq_head);
	put_number(json, "tail", ring->cq_tail);
	put_number(json, "cached_tail", ring->cached_cq_tail);
	put_number(json, "ready", ring->cq_ready);
	put_number(json, "overflow", ring->cq_overflow);
	put_number(json, "overflow_listed", ring->overflow_listed);
	end(json, '}');
}

static void
put_polls(struct json *json, const struct ring *ring)
{
	if (!ring->polls_known) {
		put_null(json, "polls");
		return;
	}
	begin_named(json, "polls", '{');
	for (unsigned i = 0; i < OPCODES; i++) {
		char number[12];
		const char *name = opcode_name(i);

		if (ring->polls[i] == 0)
			continue;
		snprintf(number, sizeof(number), "%u", i);
		put_number(json, name != NULL ? name : number,
		    ring->polls[i]);
	}
	end(json, '}');
}

static void
put_sqthread(struct json *json, const struct ring *ring)
{
	if (ring->sq_thread == UNKNOWN) {
		put_null(json, "sqthread");
		return;
	}
	begin_named(json, "sqthread", '{');
	put_number(json, "pid", ring->sq_thread);
	put_number(json, "cpu", ring->sq_cpu);
	put_number(json, "total_us", ring->sq_total_us);
	put_number(json, "work_us", ring->sq_work_us);
	end(json, '}');
}

/* ---- Entries ---- */

static void
put_tag(struct json *json, const struct ring *ring, uint64_t user_data)
{
	struct tag_text tag;

	if (ring->torc == NULL) {
		put_null(json, "tag");
		return;
	}
	tag = torc_view_tag(ring->torc, user_data);
	begin_named(json, "tag", '{');
	put_string(json, "kind", tag.kind);
	put_count(json, "generation", tag.generation);
	put_count(json, "slot", tag.slot);
	end(json, '}');
}

static void
put_size(struct json *json, const char *name, uint32_t size)
{
	put_number(json, name, size == 0 ? UNKNOWN : size);
}

static void
put_extra(struct json *json, const struct entry *entry)
{
	if (entry->kind != ENTRY_CQE || entry->size != 32) {
		put_null(json, "extra");
		return;
	}
	begin_named(json, "extra", '[');
	for (unsigned i = 0; i < 2; i++) {
		separate(json);
		fprintf(json->file, "\"0x%llx\"",
		    (unsigned long long)entry->extra[i]);
	}
	end(json, ']');
}

static void
put_entry(struct json *json, const struct ring *ring,
    const struct entry *entry)
{
	begin(json, '{');
	put_number(json, "index", entry->kind == ENTRY_OVERFLOW ? UNKNOWN :
	    entry->index);
	put_size(json, "bytes", entry->size);
	if (entry->kind == ENTRY_SQE) {
		put_string(json, "opcode", entry->opcode);
		put_signed(json, "fd", entry->fd);
		put_count(json, "flags", entry->sqe_flags);
		put_word(json, "off", entry->off);
		put_word(json, "addr", entry->addr);
		put_count(json, "op_flags", entry->op_flags);
		put_count(json, "buf_index", entry->buf_index);
	} else {
		put_signed(json, "res", entry->res);
		put_count(json, "flags", entry->cqe_flags);
		put_extra(json, entry);
	}
	put_word(json, "user_data", entry->user_data);
	put_tag(json, ring, entry->user_data);
	end(json, '}');
}

/* null: nothing of it can be shown, and there is something. */
static void
put_list(struct json *json, const struct ring *ring, const char *name,
    unsigned kind, int64_t total)
{
	unsigned count = 0;

	for (unsigned i = 0; i < ring->entry_count; i++)
		count += ring->entries[i].kind == kind;
	if (total == UNKNOWN || (count == 0 && ring->unshown[kind] != 0)) {
		put_null(json, name);
		return;
	}
	begin_named(json, name, '[');
	for (unsigned i = 0; i < ring->entry_count; i++) {
		if (ring->entries[i].kind == kind)
			put_entry(json, ring, &ring->entries[i]);
	}
	end(json, ']');
}

static void
put_entries(struct json *json, const struct ring *ring)
{
	if (!ring->entries_known) {
		put_null(json, "entries");
		return;
	}
	begin_named(json, "entries", '{');
	put_list(json, ring, "sqes", ENTRY_SQE, ring->sq_pending);
	put_list(json, ring, "cqes", ENTRY_CQE, ring->cq_ready);
	put_list(json, ring, "overflow", ENTRY_OVERFLOW,
	    ring->overflow_listed);
	begin_named(json, "unshown", '{');
	put_number(json, "sqes", ring->unshown[ENTRY_SQE]);
	put_number(json, "cqes", ring->unshown[ENTRY_CQE]);
	put_number(json, "overflow", ring->unshown[ENTRY_OVERFLOW]);
	end(json, '}');
	end(json, '}');
}

/* ---- torc ---- */

static void
put_words(struct json *json, const char *name, const void *words,
    const struct word_name *names, unsigned count)
{
	const uint64_t *at = words;

	begin_named(json, name, '{');
	for (unsigned i = 0; i < count; i++) {
		if (names[i].count == 1) {
			put_count(json, names[i].name, at[names[i].at]);
			continue;
		}
		begin_named(json, names[i].name, '[');
		for (unsigned j = 0; j < names[i].count; j++)
			item_number(json, (int64_t)at[names[i].at + j]);
		end(json, ']');
	}
	end(json, '}');
}

/* null: of an older program. */
static void
put_handshakes(struct json *json, const struct torc_view *view)
{
	begin_named(json, "handshakes", '{');
	for (unsigned i = 0; i < HANDSHAKE_SETS; i++) {
		const struct word_set *set = &handshake_sets[i];
		const uint64_t *words = torc_view_words(view, set);

		if (!torc_view_has(view, set)) {
			put_null(json, set->name);
			continue;
		}
		begin_named(json, set->name, '{');
		for (unsigned j = 0; j < set->count; j++)
			put_count(json, set->names[j], words[j]);
		end(json, '}');
	}
	end(json, '}');
}

static void
put_ops(struct json *json, const struct torc_stats_page *page)
{
	begin_named(json, "ops", '{');
	for (unsigned i = 0; i < TORC_STATS_PAGE_OPCODES; i++) {
		const struct torc_stats_page_op *op = &page->op[i];
		const char *name = opcode_name(i);
		char number[12];

		if (op->submitted == 0)
			continue;
		snprintf(number, sizeof(number), "%u", i);
		begin_named(json, name != NULL ? name : number, '{');
		put_count(json, "submitted", op->submitted);
		put_count(json, "in_flight", op->submitted < op->completed ?
		    0 : op->submitted - op->completed);
		put_count(json, "completed", op->completed);
		put_count(json, "failed", op->failed);
		end(json, '}');
	}
	end(json, '}');
}

static void
put_conn_ops(struct json *json, const struct torc_view *view)
{
	struct conn_op ops[CONN_OPS];

	torc_view_conn_ops(view, ops);
	begin_named(json, "conn_ops", '{');
	for (unsigned i = 0; i < CONN_OPS; i++) {
		begin_named(json, ops[i].name, '{');
		put_number(json, "submitted", ops[i].submitted);
		put_number(json, "in_flight", ops[i].in_flight);
		put_number(json, "completed", ops[i].completed);
		put_number(json, "failed", ops[i].failed);
		end(json, '}');
	}
	end(json, '}');
}

static void
put_conn(struct json *json, const struct process *process,
    const struct conn_view *conn)
{
	char peer[160];

	begin(json, '{');
	put_count(json, "slot", conn->slot);
	put_signed(json, "fd", conn->fd);
	put_string(json, "peer", sockets_name(process->sockets, conn->ino,
	    peer, sizeof(peer)) ? peer : NULL);
	put_string(json, "state", conn_states[conn->state]);
	put_count(json, "held_bytes", conn->held);
	put_count(json, "staged_bytes", conn->staged);
	put_number(json, "age_ms", conn->age_ms);
	if (conn->tls == CONN_TLS_UNKNOWN)
		put_null(json, "tls");
	else
		put_bool(json, "tls", conn->tls != CONN_CLEAR);
	put_string(json, "tls_version", torc_view_version(conn));
	put_string(json, "tls_cipher", torc_view_cipher(conn));
	put_string(json, "tls_host", conn->host);
	end(json, '}');
}

static void
put_conns(struct json *json, const struct process *process,
    const struct torc_view *view)
{
	if (!view->conns_known) {
		put_null(json, "conns");
		return;
	}
	begin_named(json, "conns", '{');
	put_count(json, "open", view->conn_count);
	begin_named(json, "states", '{');
	for (unsigned i = 0; i < CONN_STATES; i++)
		put_count(json, conn_states[i], view->by_state[i]);
	end(json, '}');
	put_count(json, "held_bytes", view->held);
	put_count(json, "staged_bytes", view->staged);
	if (view->conns == NULL) {
		put_null(json, "list");
	} else {
		begin_named(json, "list", '[');
		for (unsigned i = 0; i < view->conn_count; i++)
			put_conn(json, process, &view->conns[i]);
		end(json, ']');
	}
	end(json, '}');
}

static void
put_torc(struct json *json, const struct process *process,
    const struct torc_view *view)
{
	const struct torc_stats_page *page;

	if (view == NULL) {
		put_null(json, "torc");
		return;
	}
	page = &view->page;
	begin_named(json, "torc", '{');
	put_count(json, "reactor", page->reactor);
	put_number(json, "tid", page->tid == 0 ? UNKNOWN :
	    (int64_t)page->tid);
	put_string(json, "phase", phase_name(page->gauge.phase));
	put_word(json, "setup_flags", page->setup_flags);
	put_word(json, "features", page->features);
	put_bool(json, "sleeping", page->gauge.sleeping != 0);
	put_number(json, "turn_age_us", view->turn_age_us);
	put_words(json, "counters", &page->counter, counter_names,
	    counter_name_count);
	put_words(json, "gauges", &page->gauge, gauge_names,
	    gauge_name_count);
	put_words(json, "limits", &page->limit, limit_names,
	    limit_name_count);
	put_handshakes(json, view);
	put_ops(json, page);
	put_conn_ops(json, view);
	put_conns(json, process, view);
	end(json, '}');
}

/* ---- Rings and the sample ---- */

static void
put_sources(struct json *json, const struct ring *ring)
{
	static const char *const sources[] = { "map", "fdinfo", "page" };
	static const char *const hidden[] = {
		"sqes", "cqes", "overflow", "fds", "shared_by",
	};

	begin_named(json, "sources", '[');
	for (unsigned i = 0; i < COUNT(sources); i++) {
		if (ring->sources >> i & 1)
			item_string(json, sources[i]);
	}
	end(json, ']');
	put_bool(json, "busy", ring->busy);
	begin_named(json, "hidden", '[');
	for (unsigned i = 0; i < COUNT(hidden); i++) {
		if (ring->hidden >> i & 1)
			item_string(json, hidden[i]);
	}
	end(json, ']');
}

/* What has no inode cannot be recognized in another process. */
static void
put_sharers(struct json *json, const struct ring *ring)
{
	if (ring->ino == UNKNOWN) {
		put_null(json, "shared_by");
		return;
	}
	begin_named(json, "shared_by", '[');
	for (unsigned i = 0; i < ring->shared_count && i < MAX_LISTED; i++)
		item_number(json, ring->shared_by[i]);
	end(json, ']');
}

static void
put_owners(struct json *json, const struct ring *ring,
    const struct process *process)
{
	put_number(json, "ino", ring->ino);
	put_number(json, "pid", process->pid);
	put_string(json, "comm", process->comm);
	begin_named(json, "fds", '[');
	for (unsigned i = 0; i < ring->fd_count && i < MAX_LISTED; i++)
		item_number(json, ring->fds[i]);
	end(json, ']');
	put_sharers(json, ring);
}

static void
put_ring(struct json *json, const struct sample *sample,
    const struct ring *ring)
{
	const struct process *process = &sample->processes[ring->process];

	begin(json, '{');
	put_owners(json, ring, process);
	put_sources(json, ring);
	put_number(json, "memory_bytes", ring->memory);
	put_size(json, "sqe_bytes", ring->sqe_size);
	put_size(json, "cqe_bytes", ring->cqe_size);
	put_queues(json, ring);
	if (sample->interval > 0) {
		begin_named(json, "rates", '{');
		put_rate(json, "submissions", ring->submissions);
		put_rate(json, "completions", ring->completions);
		end(json, '}');
	} else {
		put_null(json, "rates");
	}
	put_polls(json, ring);
	put_sqthread(json, ring);
	put_number(json, "files", ring->files);
	put_number(json, "buffers", ring->buffers);
	put_number(json, "buffer_bytes", ring->buffer_bytes);
	if (ring->napi == UNKNOWN)
		put_null(json, "napi");
	else
		put_bool(json, "napi", ring->napi != 0);
	put_entries(json, ring);
	put_torc(json, process, ring->torc);
	end(json, '}');
}

static void
put_findings(struct json *json, const struct sample *sample,
    const struct sample *before)
{
	struct findings findings;

	check_sample(&findings, sample, before);
	begin_named(json, "findings", '[');
	for (unsigned i = 0; i < findings.count; i++) {
		const struct finding *finding = &findings.list[i];

		begin(json, '{');
		put_string(json, "level", finding->level ==
		    FINDING_CRITICAL ? "critical" : "warning");
		put_string(json, "rule", finding->rule);
		put_number(json, "pid", finding->pid);
		put_number(json, "ino", finding->ino);
		put_string(json, "text", finding->text);
		end(json, '}');
	}
	end(json, ']');
	findings_free(&findings);
}

static void
put_head(struct json *json, const struct sample *sample)
{
	struct utsname system;
	struct timespec now;
	struct tm parts;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &parts);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
	uname(&system);
	put_count(json, "schema", 1);
	put_string(json, "tool", "ringstat");
	put_string(json, "version", torc_version());
	put_string(json, "time", text);
	put_string(json, "kernel", system.release);
	put_rate(json, "interval", sample->interval > 0 ? sample->interval :
	    UNKNOWN);
}

void
json_print(FILE *file, const struct sample *sample,
    const struct sample *before)
{
	struct json json = { file, false };

	begin(&json, '{');
	put_head(&json, sample);
	begin_named(&json, "processes", '[');
	for (unsigned i = 0; i < sample->process_count; i++)
		put_process(&json, &sample->processes[i]);
	end(&json, ']');
	begin_named(&json, "rings", '[');
	for (unsigned i = 0; i < sample->ring_count; i++)
		put_ring(&json, sample, &sample->rings[i]);
	end(&json, ']');
	put_findings(&json, sample, before);
	put_number(&json, "denied", sample->denied);
	put_number(&json, "vanished", sample->vanished);
	end(&json, '}');
	putc('\n', file);
}
