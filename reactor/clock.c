/* SPDX-License-Identifier: MIT */
/*
 * clock.c - the time of a turn, and which deadlines have come.
 */
#include "reactor/clock.h"
#include "reactor/reactor.h"
#include "reactor/timers.h"
#include "sys/sys.h"

#define STILL_NS 5000000u	/* a timer that is later: we stood still */
#define CATCH_UP_NS 20000000u	/* at least, if there is so much to do */
#define STILL_AGAIN 8u		/* pauses while we catch up that count */

/* What the ring had after the first enter behind a deadline is not all acted
 * on: there is more of it than fits into a batch. */
static bool
is_behind(const struct torc_reactor *reactor)
{
	torc_debug_assert(reactor->caught || reactor->catch_up_to == 0 ||
	    reactor->still_again <= STILL_AGAIN);
	return (int32_t)(reactor->catch_up_to - reactor->ring.cq_read) > 0;
}

/*
 * A deadline has come. What the ring has already is in time: it is acted on
 * first, and one enter is made for what the kernel has deferred. If the thread
 * stood still beyond the deadline, since it was stopped or worked for long, no
 * deadline passes until the ring has nothing more; but not for much longer
 * than it stood still, since there may be more for ever. `before` is the time
 * of the last look at the clock, `entered` whether an enter came in between.
 */
static void
catch_up(struct torc_reactor *reactor, uint64_t before, bool entered)
{
	const uint64_t next = torc_timers_next(&reactor->timers);
	const uint64_t from = next > before ? next : before;
	const uint64_t late_ns = reactor->now - from;
	const bool still = late_ns >= STILL_NS;
	const bool busy = torc_ring_busy(&reactor->ring);
	bool again, wait;

	torc_debug_assert(before <= reactor->now);
	torc_debug_assert(reactor->due <= reactor->now);
	torc_debug_assert(torc_timers_next(&reactor->timers) <= reactor->now);
	if (reactor->due >= before) {
		reactor->still_again = STILL_AGAIN;
		reactor->catch_up_by = still ? reactor->now + late_ns +
		    CATCH_UP_NS : reactor->now;
		reactor->caught = false;
		wait = still || busy;
	} else {
		again = still && reactor->still_again > 0;
		if (again) {
			reactor->still_again--;
			reactor->catch_up_by += late_ns;
		} else if (entered && !reactor->caught) {
			reactor->catch_up_to = reactor->ring.cq_read +
			    torc_ring_ready(&reactor->ring);
		}
		/* It is deferred again, what came since the enter. */
		reactor->caught = !again && (entered || reactor->caught);
		wait = again || !entered || is_behind(reactor) || (busy &&
		    reactor->now < reactor->catch_up_by);
	}
	if (!wait)
		reactor->due = reactor->now;
	else if (next > reactor->due)
		reactor->due = next - 1;
}

void
torc_clock_look(struct torc_reactor *reactor, bool entered)
{
	const uint64_t before = reactor->now;

	torc_debug_assert(reactor->phase >= TORC_PHASE_RUNNING);
	reactor->now = torc_sys_now();
	if (torc_unlikely(torc_timers_next(&reactor->timers) <= reactor->now))
		catch_up(reactor, before, entered);
	else
		reactor->due = reactor->now;
}

/* Of a timer, or of the drain. */
uint64_t
torc_clock_next(const struct torc_reactor *reactor)
{
	uint64_t next = torc_timers_next(&reactor->timers);
	/* K1: relaxed. A drain after this load wakes us. */
	uint64_t drain_at = torc_load_relaxed_u64(&reactor->drain_at);

	torc_debug_assert(reactor->timers.count <= reactor->timers.capacity);
	return reactor->phase == TORC_PHASE_DRAINING && drain_at < next ?
	    drain_at : next;
}
