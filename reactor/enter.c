/* SPDX-License-Identifier: MIT */
/*
 * enter.c - the enter of a turn: submitting, spinning, sleeping; and what the
 * turn looked like.
 */
#include <errno.h>

#include "reactor/beside.h"
#include "reactor/clock.h"
#include "reactor/enter.h"
#include "reactor/reactor.h"
#include "sys/sys.h"

#define NOTICE_NS 1000000000u	/* between two lines about stalls */

static inline void
pause_cpu(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/*
 * Poll the shared words instead of sleeping, for a while, if that was worth it
 * lately: a wake-up costs more than all the rest of a request.
 */
static bool
spin(struct torc_reactor *reactor, uint64_t until)
{
	uint64_t end = torc_sys_now() + reactor->config.spin_us * 1000ull;

	torc_debug_assert(reactor->config.spin_us > 0);
	torc_debug_assert(reactor->spin_credit > 0);
	reactor->counters->spins++;
	do {
		for (int i = 0; i < 16; i++) {
			if (torc_ring_busy(&reactor->ring)) {
				reactor->counters->spins_won++;
				reactor->spin_credit = TORC_SPIN_CREDIT;
				return true;
			}
			pause_cpu();
		}
		reactor->now = torc_sys_now();
	} while (reactor->now < end && reactor->now < until);
	reactor->spin_credit--;
	return false;
}

/* Submit, and sleep until there is a completion or `until` has come. */
static int
sleep_in_enter(struct torc_reactor *reactor, uint64_t until)
{
	const struct torc_config *config = &reactor->config;
	struct torc_ring *ring = &reactor->ring;
	uint64_t before = reactor->now;
	uint64_t timeout = UINT64_MAX;
	int rc;

	torc_debug_assert(until > reactor->now);
	torc_debug_assert(torc_list_empty(&reactor->ready));
	torc_debug_assert(torc_list_empty(&reactor->backlog));
	torc_debug_assert(reactor->stats_page.page->gauge.sleeping == 0);
	/* What waits already is kept waiting by the turn that ends here. */
	reactor->timed = torc_ring_busy(ring);
	if (reactor->spin_credit > 0) {
		if (torc_ring_pending(ring) > 0) {
			reactor->counters->enters++;
			rc = torc_ring_enter(ring, 0, 0, 0);
			if (rc < 0 || torc_ring_ready(ring) > 0)
				return rc;
		}
		if (spin(reactor, until)) {
			reactor->counters->enters++;
			return torc_ring_enter(ring, 0, 0, 0);
		}
		before = reactor->now;
	}
	if (until != UINT64_MAX)
		timeout = until > before ? until - before : 0;
	reactor->counters->waits++;
	reactor->stats_page.page->gauge.sleeping = 1;
	rc = torc_ring_enter(ring, config->batch_us > 0 ? config->batch : 1,
	    timeout, config->batch_us);
	reactor->stats_page.page->gauge.sleeping = 0;
	if (config->spin_us > 0 && reactor->spin_credit == 0 &&
	    torc_sys_now() - before < config->spin_us * 2000ull)
		reactor->spin_credit = 1;
	return rc;
}

bool
torc_enter_has_work(const struct torc_reactor *reactor)
{
	torc_debug_assert(reactor->phase != TORC_PHASE_ENDED);
	return !torc_list_empty(&reactor->ready) ||
	    !torc_list_empty(&reactor->yielded) ||
	    !torc_list_empty(&reactor->backlog) ||
	    (torc_mailbox_pending(&reactor->mailbox) &&
	    !reactor->mailbox_closed) ||
	    !reactor->wake_armed || !reactor->in_order ||
	    /* Its submission may be the end of it, and cause no event. */
	    (reactor->phase >= TORC_PHASE_DRAINING &&
	    torc_ring_pending(&reactor->ring) > 0);
}

static int
submit_and_wait(struct torc_reactor *reactor, torc_deadline deadline)
{
	uint64_t until = torc_clock_next(reactor);
	int rc;

	torc_debug_assert(reactor->current == NULL);
	if (until > deadline.at)
		until = deadline.at;
	reactor->counters->enters++;
	if (torc_enter_has_work(reactor) || until <= reactor->now)
		return torc_ring_enter(&reactor->ring, 0, 0, 0);
	if (torc_likely(!reactor->sleeps_beside) ||
	    torc_reactor_fd(reactor) < 0)
		return sleep_in_enter(reactor, until);
	/* As in sleep_in_enter(): a sleep is not a turn that takes long. */
	reactor->timed = torc_ring_busy(&reactor->ring);
	rc = torc_beside_sleep(reactor, until);
	return rc < 0 || torc_ring_ready(&reactor->ring) > 0 ? rc :
	    torc_ring_enter(&reactor->ring, 0, 0, 0);
}

/* 0, or what the loop cannot go on after. */
static int
judge(struct torc_reactor *reactor, int rc)
{
	/* What was deferred may not have run: do not sleep before it has, nor
	 * let a foreign loop do so. */
	if (rc < 0 && rc != -ETIME)
		reactor->in_order = false;
	switch (rc) {
	case -EINTR:
		reactor->counters->interrupted++;
		return 0;
	case -ETIME:
		return 0;
	case -EAGAIN:
	case -EBUSY:
	case -ENOMEM:
		/* No memory for requests now: what was not taken stays in
		 * the queue. Completions free memory. */
		reactor->counters->starved++;
		if (torc_ring_ready(&reactor->ring) == 0)
			torc_sys_sleep(1000000);
		return 0;
	default:
		return rc < 0 ? rc : 0;
	}
}

/* Once in a turn: how things are. */
void
torc_enter_show_gauges(struct torc_reactor *reactor)
{
	struct torc_gauges *gauge = &reactor->stats_page.page->gauge;

	torc_debug_assert(reactor->timers.count <= reactor->timers.capacity);
	torc_debug_assert(reactor->stacks.in_use <= reactor->stacks.peak);
	torc_debug_assert(reactor->ops.count <= reactor->ops.peak);
	gauge->phase = TORC_STATS_PAGE_PHASE(reactor->phase);
	gauge->timers = reactor->timers.count;
	gauge->fibers = reactor->stacks.in_use;
	gauge->fibers_peak = reactor->stacks.peak;
	gauge->stack_deepest = reactor->stacks.deepest;
	gauge->ops = reactor->ops.count;
	gauge->ops_peak = reactor->ops.peak;
}

/*
 * Whose fiber it was is not known any more: to remember it would cost each of
 * them something.
 */
static __attribute__((cold, noinline)) void
tell_of_stall(struct torc_reactor *reactor, uint64_t taken_ns)
{
	torc_debug_assert(taken_ns > reactor->stall_ns);
	if (reactor->now < reactor->stall_notice_at)
		return;
	reactor->stall_notice_at = reactor->now + NOTICE_NS;
	torc_reactor_notice(reactor, "reactor %u: a turn took %llu ms, longer "
	    "than stall_ms = %u: a handler held the thread, or the thread had "
	    "no CPU (%llu such turns so far)", reactor->index,
	    (unsigned long long)(taken_ns / 1000000), reactor->config.stall_ms,
	    (unsigned long long)reactor->stats_page.page->gauge.stalls);
}

/* The turn that began at `before` has ended. */
static void
time_turn(struct torc_reactor *reactor, uint64_t before)
{
	struct torc_gauges *gauge = &reactor->stats_page.page->gauge;
	const uint64_t taken_ns = reactor->now - before;

	torc_debug_assert(before <= reactor->now);
	gauge->turn_began = reactor->now;
	if (!reactor->timed)
		return;
	gauge->timed_turns++;
	gauge->timed_ns += taken_ns;
	if (taken_ns > gauge->longest_ns)
		gauge->longest_ns = taken_ns;
	if (torc_unlikely(taken_ns > reactor->stall_ns)) {
		gauge->stalls++;
		gauge->stalled_at = reactor->now;
		tell_of_stall(reactor, taken_ns);
	}
}

int
torc_enter(struct torc_reactor *reactor, torc_deadline deadline)
{
	uint64_t taken = reactor->ring.sq_taken;
	uint64_t before = reactor->now;
	int rc;

	torc_debug_assert(reactor->current == NULL);
	torc_debug_assert(reactor->turning);
	torc_debug_assert(reactor->ended == NULL);
	torc_debug_assert(reactor->taken <= reactor->ring.sq_taken);
	torc_debug_assert(reactor->settled <= reactor->taken);
	torc_enter_show_gauges(reactor);
	reactor->timed = true;
	reactor->in_order = torc_ring_ready(&reactor->ring) == 0;
	if (torc_unlikely(torc_ring_overflowed(&reactor->ring))) {
		/* What overflowed comes first, before anything new. */
		reactor->counters->overflows++;
		reactor->counters->enters++;
		reactor->in_order = false;
		rc = torc_ring_flush(&reactor->ring);
	} else {
		rc = submit_and_wait(reactor, deadline);
	}
	reactor->taken = reactor->ring.sq_taken;
	reactor->counters->sqes += reactor->taken - taken;
	torc_clock_look(reactor, rc >= 0);
	time_turn(reactor, before);
	return judge(reactor, rc);
}
