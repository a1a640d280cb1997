/* SPDX-License-Identifier: MIT */
/*
 * check.c - the rules. Each says what it saw, with the figures.
 */
#include "tools/ringstat/check.h"

#include <stdarg.h>
#include <stdlib.h>

#include "sys/uapi.h"
#include "tools/ringstat/page.h"

#define MANY_WORKERS 64
#define TOO_MANY_WORKERS 1024

struct check {
	struct findings *findings;
	const struct sample *sample;
	const struct process *process;
	const struct ring *ring;		/* or NULL */
	const struct ring *before;		/* or NULL */
	const struct sample *earlier;		/* that it is of */
};

__attribute__((format(printf, 4, 5)))
static void
find(const struct check *check, enum level level, const char *rule,
    const char *format, ...)
{
	struct findings *findings = check->findings;
	const unsigned at = findings->count;
	struct finding *finding;
	va_list list;

	if ((at & (at - 1)) == 0)
		findings->list = must_grow(findings->list,
		    at == 0 ? 1 : (size_t)at * 2, sizeof(*finding));
	finding = &findings->list[findings->count++];
	finding->level = level;
	finding->rule = rule;
	finding->pid = check->process->pid;
	finding->ino = check->ring == NULL ? UNKNOWN : check->ring->ino;
	va_start(list, format);
	vsnprintf(finding->text, sizeof(finding->text), format, list);
	va_end(list);
}

/* ---- Rings ---- */

static void
check_overflow(const struct check *check)
{
	const struct ring *ring = check->ring;

	if (ring->overflow_listed > 0)
		find(check, FINDING_CRITICAL, "cq-overflow", "the CQ "
		    "(%lld entries) is full, and %lld completions wait in "
		    "the kernel", (long long)ring->cq_entries,
		    (long long)ring->overflow_listed);
	else if (ring->sq_flags != UNKNOWN &&
	    ring->sq_flags & IORING_SQ_CQ_OVERFLOW)
		find(check, FINDING_CRITICAL, "cq-overflow", "the CQ "
		    "(%lld entries) has overflowed: completions wait in the "
		    "kernel", (long long)ring->cq_entries);
	if (ring->cq_overflow > 0)
		find(check, FINDING_CRITICAL, "cq-lost",
		    "%lld completions were lost since the ring was created",
		    (long long)ring->cq_overflow);
	if (ring->sq_dropped > 0)
		find(check, FINDING_WARNING, "sq-dropped", "%lld SQEs were "
		    "dropped: their index was out of range",
		    (long long)ring->sq_dropped);
}

static void
check_consumer(const struct check *check)
{
	const struct ring *ring = check->ring, *before = check->before;
	const bool full = ring->cq_ready != UNKNOWN &&
	    ring->cq_ready >= ring->cq_entries - ring->cq_entries / 4;

	if (ring->cq_ready == UNKNOWN || ring->cq_ready == 0)
		return;
	if (before != NULL && before->cq_ready > 0 &&
	    before->cq_head == ring->cq_head)
		find(check, full ? FINDING_CRITICAL : FINDING_WARNING,
		    "cq-unreaped", "%lld of %lld CQEs wait, and none was "
		    "reaped for %.1f s", (long long)ring->cq_ready,
		    (long long)ring->cq_entries, check->sample->interval);
	else if (full)
		find(check, FINDING_WARNING, "cq-unreaped",
		    "%lld of %lld CQEs wait to be reaped",
		    (long long)ring->cq_ready, (long long)ring->cq_entries);
}

static void
check_submission(const struct check *check)
{
	const struct ring *ring = check->ring, *before = check->before;
	const bool asleep = ring->sq_flags != UNKNOWN &&
	    ring->sq_flags & IORING_SQ_NEED_WAKEUP;

	if (before == NULL || ring->sq_pending <= 0 ||
	    before->sq_pending <= 0 || before->sq_head != ring->sq_head)
		return;
	find(check, asleep ? FINDING_CRITICAL : FINDING_WARNING, "sq-stuck",
	    "%lld of %lld SQEs are pending, and none was taken for %.1f s%s",
	    (long long)ring->sq_pending, (long long)ring->sq_entries,
	    check->sample->interval,
	    asleep ? ": the SQPOLL thread sleeps, and is not woken" : "");
}

/* Rings may share a thread; it is reported once. */
static bool
is_first_of_thread(const struct check *check)
{
	const struct ring *ring = check->sample->rings;

	while (ring < check->ring && ring->sq_thread != check->ring->sq_thread)
		ring++;
	return ring == check->ring;
}

static bool
is_awake(const struct ring *ring)
{
	return ring->sq_flags == UNKNOWN ||
	    !(ring->sq_flags & IORING_SQ_NEED_WAKEUP);
}

static const struct process *
process_before(const struct check *check)
{
	const struct sample *sample = check->earlier;

	for (unsigned i = 0; i < sample->process_count; i++) {
		if (sample->processes[i].pid == check->process->pid)
			return &sample->processes[i];
	}
	return NULL;
}

/*
 * CPU time of the SQPOLL thread and what of it was work, in us, since the
 * sample before. Before Linux 6.9 the ring does not tell: then it is that of
 * the process's only such thread, if this took nothing meanwhile.
 */
static bool
sqpoll_time(const struct check *check, int64_t *total, int64_t *work)
{
	const struct ring *ring = check->ring, *before = check->before;
	const struct process *process = process_before(check);

	if (ring->sq_total_us != UNKNOWN && ring->sq_work_us != UNKNOWN) {
		*total = ring->sq_total_us - before->sq_total_us;
		*work = ring->sq_work_us - before->sq_work_us;
		return before->sq_total_us != UNKNOWN &&
		    before->sq_work_us != UNKNOWN;
	}
	if (process == NULL || process->sqthreads != 1 ||
	    check->process->sqthreads != 1 || ring->sq_head == UNKNOWN ||
	    ring->sq_head != before->sq_head)
		return false;
	*total = check->process->sqthread_cpu_us - process->sqthread_cpu_us;
	*work = 0;
	return true;
}

/* On a machine under load it does not get much of a CPU, and takes what it
 * gets: most of that is no work. */
static void
check_sqpoll(const struct check *check)
{
	const struct ring *ring = check->ring;
	const double interval_us = check->sample->interval * 1e6;
	int64_t total, work;

	if (check->before == NULL || ring->sq_thread == UNKNOWN ||
	    !is_awake(ring) || !is_awake(check->before) ||
	    !is_first_of_thread(check) || !sqpoll_time(check, &total, &work))
		return;
	if ((double)(total - work) < interval_us / 10 || work > total / 4)
		return;
	find(check, FINDING_WARNING, "sqpoll", "the SQPOLL thread %lld used "
	    "%.0f %% of a CPU for %.1f s, and %.0f %% of that was work",
	    (long long)ring->sq_thread, 100.0 * (double)total / interval_us,
	    check->sample->interval, 100.0 * (double)work / (double)total);
}

/* "once", or how many times. */
static const char *
times(uint64_t number, char text[32])
{
	if (number == 1)
		return "once";
	snprintf(text, 32, "%llu times", (unsigned long long)number);
	return text;
}

/* By the state of the reactor's thread, as the kernel has it. */
static const char *
stall_cause(char state)
{
	switch (state) {
	case 'T':
	case 't':
		return ": its thread is stopped";
	case 'S':
	case 'D':
		return ": a handler does not return to the loop";
	case 'R':
		return ": a handler does not return to the loop, or gets no "
		    "CPU";
	default:
		return "";
	}
}

static void
check_torc(const struct check *check)
{
	const struct torc_view *view = check->ring->torc;
	const struct torc_view *old = check->before == NULL ? NULL :
	    check->before->torc;
	const struct torc_gauges *gauge = &view->page.gauge;
	const uint64_t stall_ms = view->page.limit.stall_ms;
	char count[32];

	if (stall_ms > 0 && view->turn_age_us != UNKNOWN &&
	    (uint64_t)view->turn_age_us / 1000 > stall_ms)
		find(check, FINDING_CRITICAL, "stall", "reactor %u has been "
		    "in one turn for %.1f s%s", view->page.reactor,
		    (double)view->turn_age_us / 1e6,
		    stall_cause(view->thread_state));
	else if (old != NULL && gauge->stalls > old->page.gauge.stalls)
		find(check, FINDING_WARNING, "stall", "reactor %u stalled "
		    "%s in %.1f s (its longest turn ever: %.3f s)",
		    view->page.reactor, times(gauge->stalls -
		    old->page.gauge.stalls, count), check->sample->interval,
		    (double)gauge->longest_ns / 1e9);
	if (gauge->buffers_live > 0 && gauge->buffers_free == 0)
		find(check, FINDING_CRITICAL, "buffers", "reactor %u has no "
		    "receive buffer left of %llu", view->page.reactor,
		    (unsigned long long)gauge->buffers_live);
	else if (old != NULL && view->page.counter.no_buffers >
	    old->page.counter.no_buffers)
		find(check, FINDING_WARNING, "buffers", "reactor %u ran out "
		    "of receive buffers %s in %.1f s", view->page.reactor,
		    times(view->page.counter.no_buffers -
		    old->page.counter.no_buffers, count),
		    check->sample->interval);
}

/* ---- Processes ---- */

static void
check_memory(const struct check *check)
{
	const struct process *process = check->process;

	if (process->locked_left == UNKNOWN ||
	    process->locked_left >= process->locked_limit / 10)
		return;
	if (process->user_rings + process->user_pinned > 0)
		find(check, FINDING_WARNING, "memlock", "of RLIMIT_MEMLOCK "
		    "(%lld KiB) at most %lld KiB are left to user %lld: "
		    "rings take %lld KiB, pinned memory (VmPin) %lld KiB",
		    (long long)process->locked_limit / 1024,
		    (long long)process->locked_left / 1024,
		    (long long)process->uid,
		    (long long)process->user_rings / 1024,
		    (long long)process->user_pinned / 1024);
}

static void
check_limits(const struct check *check)
{
	const struct process *process = check->process;

	if (process->descriptor_limit > 0 && process->descriptors >
	    process->descriptor_limit / 10 * 9)
		find(check, FINDING_WARNING, "descriptors",
		    "%lld descriptors are open, and RLIMIT_NOFILE is %lld",
		    (long long)process->descriptors,
		    (long long)process->descriptor_limit);
	if (process->workers >= MANY_WORKERS)
		find(check, process->workers >= TOO_MANY_WORKERS ?
		    FINDING_CRITICAL : FINDING_WARNING, "workers",
		    "there are %lld workers (iou-wrk), for what could not be "
		    "done at once", (long long)process->workers);
}

void
check_sample(struct findings *findings, const struct sample *sample,
    const struct sample *before)
{
	struct check check = { .findings = findings, .sample = sample,
	    .earlier = before };

	*findings = (struct findings) { NULL, 0 };
	for (unsigned i = 0; i < sample->ring_count; i++) {
		check.ring = &sample->rings[i];
		check.process = &sample->processes[check.ring->process];
		check.before = before == NULL ? NULL : sample_find(before,
		    check.ring->ino, check.process->pid, check.ring->fds[0]);
		check_overflow(&check);
		check_consumer(&check);
		check_submission(&check);
		check_sqpoll(&check);
		if (check.ring->torc != NULL)
			check_torc(&check);
	}
	check.ring = check.before = NULL;
	for (unsigned i = 0; i < sample->process_count; i++) {
		check.process = &sample->processes[i];
		check_memory(&check);
		check_limits(&check);
	}
}

void
findings_free(struct findings *findings)
{
	free(findings->list);
}

int
check_print(const struct findings *findings, const struct sample *sample)
{
	static const char *const levels[] = { "WARNING", "CRITICAL" };
	int status = EXIT_WELL;

	for (unsigned i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->list[i];
		const char *comm = "";
		char name[128], text[sizeof(finding->text) * 4];

		for (unsigned j = 0; j < sample->process_count; j++) {
			if (sample->processes[j].pid == finding->pid)
				comm = sample->processes[j].comm;
		}
		text_escape(comm, name, sizeof(name));
		printf("%s %s pid %d (%s)", levels[finding->level],
		    finding->rule, (int)finding->pid, name);
		if (finding->ino != UNKNOWN)
			printf(" ring %lld", (long long)finding->ino);
		text_escape(finding->text, text, sizeof(text));
		printf(": %s\n", text);
		if (finding->level == FINDING_CRITICAL)
			status = EXIT_CRITICAL;
		else if (status == EXIT_WELL)
			status = EXIT_WARNING;
	}
	if (findings->count == 0)
		printf("OK: %u rings\n", sample->ring_count);
	return status;
}
