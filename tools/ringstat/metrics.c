/* SPDX-License-Identifier: MIT */
/*
 * metrics.c - one family after the other, each with all its rings.
 */
#include "tools/ringstat/metrics.h"

#include <string.h>

#include "sys/uapi.h"
#include "tools/ringstat/map.h"
#include "tools/ringstat/page.h"
#include "tools/ringstat/views.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void
family(FILE *file, const char *name, const char *type, const char *help)
{
	fprintf(file, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A value of a label: escaped once for the terminal, once for the format. */
static void
put_label(FILE *file, const char *value)
{
	char escaped[256];

	text_escape(value, escaped, sizeof(escaped));
	putc('"', file);
	for (const char *at = escaped; *at != '\0'; at++) {
		if (*at == '"' || *at == '\\')
			putc('\\', file);
		putc(*at, file);
	}
	putc('"', file);
}

static void
put_process_labels(FILE *file, const struct process *process)
{
	fprintf(file, "pid=\"%d\",comm=", (int)process->pid);
	put_label(file, process->comm);
}

/* The descriptor, too: an inode may be unknown. */
static void
put_ring_labels(FILE *file, const struct sample *sample,
    const struct ring *ring)
{
	put_process_labels(file, &sample->processes[ring->process]);
	fprintf(file, ",fd=\"%u\",ring=\"", ring->fds[0]);
	if (ring->ino != UNKNOWN)
		fprintf(file, "%lld", (long long)ring->ino);
	putc('"', file);
}

/* ---- Rings ---- */

/* What is known by 64 bits of torc's own counters does not wrap. */
static int64_t
submissions(const struct ring *ring)
{
	if (ring->torc != NULL)
		return (int64_t)ring->torc->page.counter.sqes;
	return ring->cached_sq_head != UNKNOWN ? ring->cached_sq_head :
	    ring->sq_head;
}

static int64_t
completions(const struct ring *ring)
{
	if (ring->torc != NULL)
		return (int64_t)ring->torc->page.counter.cqes;
	return ring->cached_cq_tail != UNKNOWN ? ring->cached_cq_tail :
	    ring->cq_tail;
}

static int64_t sq_entries(const struct ring *r) { return r->sq_entries; }
static int64_t sq_pending(const struct ring *r) { return r->sq_pending; }
static int64_t sq_dropped(const struct ring *r) { return r->sq_dropped; }
static int64_t cq_entries(const struct ring *r) { return r->cq_entries; }
static int64_t cq_ready(const struct ring *r) { return r->cq_ready; }
static int64_t cq_lost(const struct ring *r) { return r->cq_overflow; }
static int64_t cq_listed(const struct ring *r) { return r->overflow_listed; }
static int64_t memory(const struct ring *r) { return r->memory; }
static int64_t buffers(const struct ring *r) { return r->buffer_bytes; }

static const struct {
	const char *name;
	const char *type;
	const char *help;
	int64_t (*value)(const struct ring *ring);
} ring_families[] = {
	{ "io_uring_sq_entries", "gauge", "Size of the submission queue.",
	    sq_entries },
	{ "io_uring_sq_pending", "gauge", "SQEs that the kernel has not "
	    "taken.", sq_pending },
	{ "io_uring_sq_dropped_total", "counter", "SQEs with a wrong index.",
	    sq_dropped },
	{ "io_uring_cq_entries", "gauge", "Size of the completion queue.",
	    cq_entries },
	{ "io_uring_cq_ready", "gauge", "Completions that wait to be reaped.",
	    cq_ready },
	{ "io_uring_cq_lost_total", "counter", "Completions that were lost.",
	    cq_lost },
	{ "io_uring_cq_overflow_listed", "gauge", "Completions that wait in "
	    "the kernel since the queue was full.", cq_listed },
	{ "io_uring_submissions_total", "counter", "SQEs taken (modulo 2^32, "
	    "but for torc).", submissions },
	{ "io_uring_completions_total", "counter", "Completions posted "
	    "(modulo 2^32, but for torc).", completions },
	{ "io_uring_memory_bytes", "gauge", "Memory of both queues.",
	    memory },
	{ "io_uring_registered_buffers_bytes", "gauge", "Memory of registered "
	    "buffers.", buffers },
};

static void
print_rings(FILE *file, const struct sample *sample)
{
	for (size_t i = 0; i < COUNT(ring_families); i++) {
		family(file, ring_families[i].name, ring_families[i].type,
		    ring_families[i].help);
		for (unsigned j = 0; j < sample->ring_count; j++) {
			const struct ring *ring = &sample->rings[j];
			int64_t value = ring_families[i].value(ring);

			if (value == UNKNOWN)
				continue;
			fprintf(file, "%s{", ring_families[i].name);
			put_ring_labels(file, sample, ring);
			fprintf(file, "} %lld\n", (long long)value);
		}
	}
}

static void
print_info(FILE *file, const struct sample *sample)
{
	family(file, "io_uring_ring_info", "gauge", "A ring that is open.");
	for (unsigned i = 0; i < sample->ring_count; i++) {
		char flags[32];

		fputs("io_uring_ring_info{", file);
		put_ring_labels(file, sample, &sample->rings[i]);
		fputs(",flags=", file);
		put_label(file, flags_text(sample->rings[i].sq_flags, flags,
		    sizeof(flags)));
		fputs("} 1\n", file);
	}
}

static void
print_polls(FILE *file, const struct sample *sample)
{
	family(file, "io_uring_polls_armed", "gauge",
	    "Polls that are armed, by operation.");
	for (unsigned i = 0; i < sample->ring_count; i++) {
		const struct ring *ring = &sample->rings[i];

		for (unsigned j = 0; j < OPCODES; j++) {
			const char *name = opcode_name(j);
			char number[12];

			if (ring->polls[j] == 0)
				continue;
			snprintf(number, sizeof(number), "%u", j);
			fputs("io_uring_polls_armed{", file);
			put_ring_labels(file, sample, ring);
			fprintf(file, ",op=\"%s\"} %u\n", name != NULL ? name :
			    number, ring->polls[j]);
		}
	}
}

static void
print_sqpoll(FILE *file, const struct sample *sample)
{
	family(file, "io_uring_sqpoll_seconds_total", "counter",
	    "CPU time of the SQPOLL thread, and what of it was work.");
	for (unsigned i = 0; i < sample->ring_count; i++) {
		const struct ring *ring = &sample->rings[i];

		if (ring->sq_thread == UNKNOWN || ring->sq_total_us ==
		    UNKNOWN || ring->sq_work_us == UNKNOWN)
			continue;
		fputs("io_uring_sqpoll_seconds_total{", file);
		put_ring_labels(file, sample, ring);
		fprintf(file, ",state=\"total\"} %.6f\n",
		    (double)ring->sq_total_us / 1e6);
		fputs("io_uring_sqpoll_seconds_total{", file);
		put_ring_labels(file, sample, ring);
		fprintf(file, ",state=\"work\"} %.6f\n",
		    (double)ring->sq_work_us / 1e6);
	}
}

/* ---- Processes ---- */

static int64_t workers(const struct process *p) { return p->workers; }
static int64_t locked(const struct process *p) { return p->locked_bytes; }
static int64_t pinned(const struct process *p) { return p->pinned_bytes; }
static int64_t limit(const struct process *p) { return p->locked_limit; }
static int64_t left(const struct process *p) { return p->locked_left; }

static const struct {
	const char *name;
	const char *help;
	int64_t (*value)(const struct process *process);
} process_families[] = {
	{ "io_uring_workers", "Threads iou-wrk of a process.", workers },
	{ "io_uring_locked_bytes", "VmLck of a process with rings (which "
	    "does not count them).", locked },
	{ "io_uring_pinned_bytes", "VmPin of a process with rings: registered "
	    "buffers, and what else is pinned.", pinned },
	{ "io_uring_locked_limit_bytes", "RLIMIT_MEMLOCK of a process with "
	    "rings.", limit },
	{ "io_uring_locked_left_bytes", "What rings and pinned memory of its "
	    "user leave of RLIMIT_MEMLOCK, at most.", left },
};

static void
print_processes(FILE *file, const struct sample *sample)
{
	for (size_t i = 0; i < COUNT(process_families); i++) {
		family(file, process_families[i].name, "gauge",
		    process_families[i].help);
		for (unsigned j = 0; j < sample->process_count; j++) {
			const struct process *process =
			    &sample->processes[j];
			int64_t value = process_families[i].value(process);

			if (value == UNKNOWN)
				continue;
			fprintf(file, "%s{", process_families[i].name);
			put_process_labels(file, process);
			fprintf(file, "} %lld\n", (long long)value);
		}
	}
}

/* ---- torc ---- */

/* Metrics have whole units in their names: nanoseconds become seconds. */
static bool
in_seconds(const struct word_name *word, char *name, size_t size,
    const char *suffix)
{
	const size_t length = strlen(word->name);
	const bool ns = length > 3 && strcmp(word->name + length - 3,
	    "_ns") == 0;

	snprintf(name, size, "torc_%.*s%s%s", (int)(ns ? length - 3 :
	    length), word->name, ns ? "_seconds" : "", suffix);
	return ns;
}

static void
print_word(FILE *file, uint64_t word, bool ns)
{
	if (ns)
		fprintf(file, "%.9f\n", (double)word / 1e9);
	else
		fprintf(file, "%llu\n", (unsigned long long)word);
}

static void
print_words(FILE *file, const struct sample *sample, bool gauges)
{
	const struct word_name *names = gauges ? gauge_names : counter_names;
	const unsigned count = gauges ? gauge_name_count :
	    counter_name_count;

	for (unsigned i = 0; i < count; i++) {
		char name[64];
		bool ns;

		if (names[i].count > 1)
			continue;
		ns = in_seconds(&names[i], name, sizeof(name),
		    gauges ? "" : "_total");
		family(file, name, gauges ? "gauge" : "counter",
		    "From the statistics page of a torc program.");
		for (unsigned j = 0; j < sample->ring_count; j++) {
			const struct ring *ring = &sample->rings[j];
			const void *words;

			if (ring->torc == NULL)
				continue;
			words = gauges ?
			    (const void *)&ring->torc->page.gauge :
			    (const void *)&ring->torc->page.counter;
			fprintf(file, "%s{", name);
			put_ring_labels(file, sample, ring);
			fprintf(file, ",reactor=\"%u\"} ",
			    ring->torc->page.reactor);
			print_word(file,
			    ((const uint64_t *)words)[names[i].at], ns);
		}
	}
}

/* A family for each set, with its names as labels. */
static void
print_handshakes(FILE *file, const struct sample *sample,
    const struct word_set *set)
{
	char name[64];

	snprintf(name, sizeof(name), "torc_handshake_%s_total", set->name);
	family(file, name, "counter", set->help);
	for (unsigned i = 0; i < sample->ring_count; i++) {
		const struct ring *ring = &sample->rings[i];
		const uint64_t *words;

		if (ring->torc == NULL || !torc_view_has(ring->torc, set))
			continue;
		words = torc_view_words(ring->torc, set);
		for (unsigned j = 0; j < set->count; j++) {
			fprintf(file, "%s{", name);
			put_ring_labels(file, sample, ring);
			fprintf(file, ",reactor=\"%u\",%s=\"%s\"} ",
			    ring->torc->page.reactor, set->label,
			    set->names[j]);
			print_word(file, words[j], false);
		}
	}
}

void
metrics_print(FILE *file, const struct sample *sample, double seconds_taken)
{
	print_info(file, sample);
	print_rings(file, sample);
	print_polls(file, sample);
	print_sqpoll(file, sample);
	print_processes(file, sample);
	print_words(file, sample, false);
	print_words(file, sample, true);
	for (unsigned i = 0; i < HANDSHAKE_SETS; i++)
		print_handshakes(file, sample, &handshake_sets[i]);
	family(file, "ringstat_denied_processes", "gauge",
	    "Processes whose descriptors may not be read.");
	fprintf(file, "ringstat_denied_processes %u\n", sample->denied);
	family(file, "ringstat_scrape_duration_seconds", "gauge",
	    "How long it took to take this sample.");
	fprintf(file, "ringstat_scrape_duration_seconds %.6f\n",
	    seconds_taken);
	fputs("# EOF\n", file);
}
