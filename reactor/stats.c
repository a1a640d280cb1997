/* SPDX-License-Identifier: MIT */
/*
 * stats.c - the statistics of one's own process: pages of its reactors, added
 * up. Any thread reads them while their reactors write, word by word as tools
 * do (reactor/stats_page.h). What destroyed reactors have counted is kept, so
 * that no sum ever goes back.
 */
#include <string.h>

#include "reactor/config.h"
#include "reactor/process.h"
#include "reactor/reactor.h"
#include "reactor/stats.h"

#if defined(__SANITIZE_THREAD__)
#define PLAIN __attribute__((no_sanitize_thread))
#elif defined(__clang__)
#define PLAIN __attribute__((no_sanitize("thread")))
#else
#define PLAIN
#endif

/* How words of several reactors become one. */
enum { SUM, NOW, MOST };

/* The last words of both are the same: how handshakes ended. */
#define TAIL (offsetof(struct torc_counters, handshake_failures) / 8)
#define TAIL_WORDS (sizeof(struct torc_counters) / 8 - TAIL)

static const struct field {
	uint16_t from;		/* in the page */
	uint16_t to;		/* in the statistics */
	uint8_t merge;
	uint8_t words;
} fields[] = {
#define GAUGE(name, gauge) { offsetof(struct torc_stats_page, gauge), \
	offsetof(struct torc_stats, name), NOW, 1 }
#define COUNT(name, count) { offsetof(struct torc_stats_page, counter.count), \
	offsetof(struct torc_stats, name), SUM, 1 }
	GAUGE(connections, gauge.conns),
	GAUGE(connections_max, limit.connections),
	GAUGE(listeners, gauge.listeners),
	GAUGE(listeners_paused, gauge.listeners_paused),
	GAUGE(fibers, gauge.fibers),
	GAUGE(fibers_max, limit.fibers),
	GAUGE(operations, gauge.ops),
	GAUGE(timers, gauge.timers),
	GAUGE(held_accepted, gauge.held_accepted),
	GAUGE(held_dialled, gauge.held_dialled),
	COUNT(turns, turns),
	COUNT(enters, enters),
	COUNT(sleeps, waits),
	COUNT(submissions, sqes),
	COUNT(completions, cqes),
	COUNT(overflows, overflows),
	COUNT(posts, posts),
	COUNT(fibers_started, fibers),
	COUNT(resumes, resumes),
	COUNT(timeouts, timeouts),
	COUNT(operations_started, ops),
	COUNT(operations_cancelled, op_cancels),
	COUNT(accepted, accepts),
	COUNT(refused, sheds),
	COUNT(evicted, evictions),
	COUNT(accept_pauses, accept_pauses),
	COUNT(dialled, dials),
	COUNT(closed, closes),
	COUNT(reset, resets),
	COUNT(received_bytes, received),
	COUNT(sent_bytes, sent),
	COUNT(slowed, holds),
	COUNT(buffers_missed, no_buffers),
	{ offsetof(struct torc_stats_page, gauge.timed_ns),
	    offsetof(struct torc_stats, busy_ns), SUM, 1 },
	{ offsetof(struct torc_stats_page, gauge.stalls),
	    offsetof(struct torc_stats, stalls), SUM, 1 },
	{ offsetof(struct torc_stats_page, gauge.longest_ns),
	    offsetof(struct torc_stats, longest_turn_ns), MOST, 1 },
	GAUGE(handshakes, gauge.handshakes),
	COUNT(handshakes_full, handshakes_full),
	COUNT(handshakes_resumed, handshakes_resumed),
	COUNT(handshakes_failed, handshakes_failed),
	{ offsetof(struct torc_stats_page, counter.handshake_failures),
	    offsetof(struct torc_stats, handshakes_failed_left), SUM,
	    TAIL_WORDS },
};
#undef GAUGE
#undef COUNT

_Static_assert(sizeof(struct torc_stats) == sizeof(uint64_t) *
    (sizeof(fields) / sizeof(fields[0]) + TAIL_WORDS),
    "each word of the statistics has a row");
_Static_assert(offsetof(struct torc_stats, handshakes_other_cipher) -
    offsetof(struct torc_stats, handshakes_failed_left) ==
    (TAIL_WORDS - 1) * sizeof(uint64_t) &&
    offsetof(struct torc_stats, handshakes_tls_1_2) -
    offsetof(struct torc_stats, handshakes_failed_left) ==
    (TORC_FAILURES - 1) * sizeof(uint64_t) &&
    offsetof(struct torc_stats, handshakes_aes128_gcm) -
    offsetof(struct torc_stats, handshakes_tls_1_2) ==
    (TORC_VERSIONS - 1) * sizeof(uint64_t),
    "the last row is the same in both");

/* What those counted that were destroyed, since the process was forked. */
static struct {
	struct torc_stats sum;
	uint32_t forks;
} past;

/* The lock is held. */
static struct torc_stats *
sum_of_past(void)
{
	if (past.forks != torc_process_forks()) {
		past.forks = torc_process_forks();
		past.sum = (struct torc_stats) { .reactors = 0 };
	}
	return &past.sum;
}

/* ---- Adding up ---- */

static PLAIN void
add_words(const struct field *field, uint64_t *to, const uint64_t *from,
    bool gone)
{
	for (unsigned i = 0; i < field->words; i++) {
		const uint64_t word = from[i];

		if (field->merge == SUM || (field->merge == NOW && !gone))
			to[i] += word;
		else if (field->merge == MOST && word > to[i])
			to[i] = word;
	}
}

static void
add_page(struct torc_stats *stats, const struct torc_stats_page *page,
    bool gone)
{
	torc_debug_assert(page->size == sizeof(*page));
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const struct field *field = &fields[i];

		add_words(field,
		    (void *)((char *)stats + field->to),
		    (const void *)((const char *)page + field->from), gone);
	}
}

void
torc_stats_remove(struct torc_reactor *reactor)
{
	torc_debug_assert(reactor->stats_page.page != NULL);
	torc_process_lock();
	torc_process_remove(reactor);
	add_page(sum_of_past(), reactor->stats_page.page, true);
	torc_process_unlock();
}

void
torc_stats_read_sized(struct torc_stats *stats, size_t stats_size)
{
	const struct torc_reactor *reactor = NULL;
	struct torc_stats sum;

	torc_require(stats != NULL,
	    "torc_stats_read needs a place for the statistics");
	torc_process_lock();
	sum = *sum_of_past();
	while ((reactor = torc_process_each(reactor)) != NULL) {
		add_page(&sum, reactor->stats_page.page, false);
		sum.reactors++;
	}
	torc_process_unlock();
	torc_config_give(stats, stats_size, &sum, sizeof(sum));
}

void
torc_reactor_stats_read_sized(const struct torc_reactor *reactor,
    struct torc_stats *stats, size_t stats_size)
{
	struct torc_stats own = { .reactors = 1 };

	torc_reactor_vouch(reactor);
	torc_require(stats != NULL,
	    "torc_reactor_stats_read needs a place for the statistics");
	add_page(&own, reactor->stats_page.page, false);
	torc_config_give(stats, stats_size, &own, sizeof(own));
}
