/*
 * reactor.c - the loop: its turn, its phases, its end. See create.c for how a
 * reactor is made.
 */
#include "reactor/reactor.h"

#include <errno.h>
#include <poll.h>

#include "reactor/beside.h"
#include "reactor/fiber.h"
#include "reactor/op.h"
#include "reactor/sanitizer.h"
#include "sys/sys.h"

#define STILL_NS 5000000u	/* a timer that is later: we stood still */
#define CATCH_UP_NS 20000000u	/* at least, if there is so much to do */
#define STILL_AGAIN 8u		/* pauses while we catch up that count */

_Thread_local struct torc_reactor *torc_current;

/* ---- Submission ---- */

struct io_uring_sqe *
torc_reactor_make_room(struct torc_reactor *reactor)
{
	reactor->counters->sq_full++;
	reactor->counters->enters++;
	torc_ring_submit(&reactor->ring);
	return torc_ring_claim(&reactor->ring);
}

void
torc_reactor_later(struct torc_reactor *reactor, struct torc_todo *todo)
{
	if (torc_node_linked(&todo->node))
		return;
	reactor->counters->deferred++;
	torc_list_append(&reactor->backlog, &todo->node);
}

bool
torc_reactor_cancel(struct torc_reactor *reactor, uint64_t tag)
{
	struct io_uring_sqe *sqe = torc_reactor_claim(reactor);

	if (sqe == NULL)
		return false;
	/* That it found nothing, or something too late, are both results:
	 * only the target's own completion counts. An operation that is about
	 * to be tried again is not found, and may wait for ever after that:
	 * who wanted it cancelled is told, and asks again. */
	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->addr = tag;
	sqe->user_data = tag | (uint64_t)TORC_KIND_CANCEL <<
	    (TORC_SLOT_BITS + TORC_GENERATION_BITS);
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	return true;
}

/*
 * A poll that stays armed and is told of every write. The counter is never
 * read: 64 bits of wakes are enough.
 */
static void
arm_wake(struct torc_reactor *reactor)
{
	struct io_uring_sqe *sqe = torc_reactor_claim(reactor);

	if (sqe == NULL)
		return;
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = reactor->mailbox.fd;
	sqe->poll32_events = POLLIN;
	sqe->len = IORING_POLL_ADD_MULTI;
	sqe->user_data = (uint64_t)TORC_KIND_WAKE <<
	    (TORC_SLOT_BITS + TORC_GENERATION_BITS);
	reactor->wake_armed = true;
}

/* ---- Posts ---- */

/* What `posted` is while a post is in a list, and never by chance. */
static const void *
mark_of(const struct torc_post *post)
{
	static const char tag;

	return (const void *)((uintptr_t)post ^ (uintptr_t)&tag);
}

bool
torc_reactor_draining(const struct torc_reactor *reactor)
{
	torc_reactor_vouch(reactor);
	return reactor->phase >= TORC_PHASE_DRAINING;
}

int
torc_post(struct torc_reactor *reactor, struct torc_post *post)
{
	int rc;

	torc_reactor_vouch(reactor);
	torc_require(post != NULL && post->call != NULL,
	    "torc_post needs a post with a call");
	torc_require(post->posted != mark_of(post),
	    "a post is posted again before it has run");
	post->posted = mark_of(post);
	rc = torc_mailbox_push(&reactor->mailbox, post);
	if (rc < 0)
		post->posted = NULL;
	return rc;
}

/* ---- The steps of a turn ---- */

static void
run_posts(struct torc_reactor *reactor, struct torc_post *post)
{
	while (post != NULL) {
		struct torc_post *next = post->next;

		reactor->counters->posts++;
		post->posted = NULL;
		post->call(reactor, post);
		post = next;
	}
}

static void
change_phase(struct torc_reactor *reactor)
{
	/* K1: relaxed. The wake that follows the store orders it. */
	uint64_t drain_at = torc_load_relaxed_u64(&reactor->drain_at);
	struct torc_op_slot *slot = NULL;

	if (drain_at != UINT64_MAX && reactor->phase < TORC_PHASE_DRAINING) {
		reactor->phase = TORC_PHASE_DRAINING;
		if (reactor->layer != NULL)
			reactor->layer->drain(reactor);
		torc_wake_all(&reactor->drain_waiters, 0);
	}
	if (drain_at > reactor->now || reactor->phase >= TORC_PHASE_STOPPING)
		return;
	reactor->phase = TORC_PHASE_STOPPING;
	torc_fiber_cancel_all(reactor);
	if (reactor->layer != NULL)
		reactor->layer->stop(reactor);
	while ((slot = torc_slots_each(&reactor->ops, slot)) != NULL)
		torc_op_cancel(slot->op);
}

static void
run_mailbox(struct torc_reactor *reactor)
{
	if (torc_mailbox_pending(&reactor->mailbox) &&
	    !reactor->mailbox_closed)
		run_posts(reactor, torc_mailbox_take(&reactor->mailbox));
	if (torc_unlikely(!reactor->wake_armed))
		arm_wake(reactor);
	change_phase(reactor);
}

/*
 * The fibers that are ready now, and those that they make ready, as many as a
 * batch has: what is handed from fiber to fiber takes no turn for each of them,
 * and its bytes go into one send. Those that yield come next turn.
 */
static void
run_ready(struct torc_reactor *reactor)
{
	uint32_t more = reactor->config.batch;
	struct torc_list now;
	struct torc_node *node;

	torc_list_init(&now);
	torc_list_move(&now, &reactor->ready);
	torc_list_move(&now, &reactor->yielded);
	while ((node = torc_list_take(&now)) != NULL ||
	    (more-- > 0 && (node = torc_list_take(&reactor->ready)) != NULL))
		torc_fiber_resume(torc_container(node, struct torc_fiber,
		    ready));
}

static void
run_backlog(struct torc_reactor *reactor)
{
	struct torc_list now;
	struct torc_node *node;

	torc_list_init(&now);
	torc_list_move(&now, &reactor->backlog);
	while ((node = torc_list_take(&now)) != NULL) {
		struct torc_todo *todo =
		    torc_container(node, struct torc_todo, node);

		todo->run(reactor, todo);
	}
}

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
	reactor->page.page->gauge.sleeping = 1;
	rc = torc_ring_enter(ring, config->batch_us > 0 ? config->batch : 1,
	    timeout, config->batch_us);
	reactor->page.page->gauge.sleeping = 0;
	if (config->spin_us > 0 && reactor->spin_credit == 0 &&
	    torc_sys_now() - before < config->spin_us * 2000ull)
		reactor->spin_credit = 1;
	return rc;
}

static bool
has_work(const struct torc_reactor *reactor)
{
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

/* What the ring had after the first enter behind a deadline is not all acted
 * on: there is more of it than fits into a batch. */
static bool
is_behind(const struct torc_reactor *reactor)
{
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
	bool wait;

	if (reactor->due >= before) {
		reactor->still_again = STILL_AGAIN;
		reactor->catch_up_by = still ? reactor->now + late_ns +
		    CATCH_UP_NS : reactor->now;
		reactor->caught = false;
		wait = still || busy;
	} else {
		if (entered && !reactor->caught) {
			reactor->caught = true;
			reactor->catch_up_to = reactor->ring.cq_read +
			    torc_ring_ready(&reactor->ring);
		}
		if (still && reactor->still_again > 0) {
			reactor->still_again--;
			reactor->catch_up_by += late_ns;
		}
		wait = !entered || is_behind(reactor) || (busy &&
		    reactor->now < reactor->catch_up_by);
	}
	if (!wait)
		reactor->due = reactor->now;
	else if (next > reactor->due)
		reactor->due = next - 1;
}

static inline void
look_at_clock(struct torc_reactor *reactor, bool entered)
{
	const uint64_t before = reactor->now;

	reactor->now = torc_sys_now();
	if (torc_unlikely(torc_timers_next(&reactor->timers) <= reactor->now))
		catch_up(reactor, before, entered);
	else
		reactor->due = reactor->now;
}

/* Of a timer, or of the drain. */
static uint64_t
next_deadline(const struct torc_reactor *reactor)
{
	uint64_t next = torc_timers_next(&reactor->timers);
	/* K1: relaxed. Who drains after this load wakes us. */
	uint64_t drain_at = torc_load_relaxed_u64(&reactor->drain_at);

	return reactor->phase == TORC_PHASE_DRAINING && drain_at < next ?
	    drain_at : next;
}

static int
submit_and_wait(struct torc_reactor *reactor, torc_deadline deadline)
{
	uint64_t until = next_deadline(reactor);
	int rc;

	if (until > deadline.at)
		until = deadline.at;
	reactor->counters->enters++;
	if (has_work(reactor) || until <= reactor->now)
		return torc_ring_enter(&reactor->ring, 0, 0, 0);
	if (torc_likely(!reactor->sleeps_beside) ||
	    torc_reactor_fd(reactor) < 0)
		return sleep_in_enter(reactor, until);
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
static void
show_gauges(struct torc_reactor *reactor)
{
	struct torc_gauges *gauge = &reactor->page.page->gauge;

	gauge->phase = reactor->phase;
	gauge->timers = reactor->timers.count;
	gauge->fibers = reactor->stacks.in_use;
	gauge->fibers_peak = reactor->stacks.peak;
	gauge->stack_deepest = reactor->stacks.deepest;
	gauge->ops = reactor->ops.count;
	gauge->ops_peak = reactor->ops.peak;
}

/* The turn that began at `before` has ended. */
static void
time_turn(struct torc_reactor *reactor, uint64_t before)
{
	struct torc_gauges *gauge = &reactor->page.page->gauge;
	const uint64_t taken_ns = reactor->now - before;

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
	}
}

static int
enter(struct torc_reactor *reactor, torc_deadline deadline)
{
	uint64_t taken = reactor->ring.sq_taken;
	uint64_t before = reactor->now;
	int rc;

	show_gauges(reactor);
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
	look_at_clock(reactor, rc >= 0);
	time_turn(reactor, before);
	return judge(reactor, rc);
}

static inline void
dispatch_one(struct torc_reactor *reactor, const struct io_uring_cqe *cqe)
{
	const struct torc_kind *kind =
	    &reactor->kinds[torc_tag_kind(cqe->user_data)];
	void *object = torc_slots_find(kind->slots, cqe->user_data);

	if (torc_likely(object != NULL)) {
		kind->complete(reactor, object, cqe);
		if (torc_unlikely(reactor->ended != NULL))
			torc_fiber_bury(reactor);
	} else
		kind->stray(reactor, cqe);
}

/*
 * With many connections, the cache has lost what a completion touches since
 * it was touched last: fetched while the ones before it are acted on, it need
 * not be waited for.
 */
static void
dispatch_crowd(struct torc_reactor *reactor, uint32_t first, uint32_t count)
{
	const struct torc_ring *ring = &reactor->ring;

	for (uint32_t done = 0; done < count; done++) {
		for (uint32_t steps = TORC_FORESIGHT; steps > 0; steps--) {
			if (steps < count - done)
				reactor->layer->foresee(reactor,
				    torc_ring_at(ring, first + done + steps),
				    steps);
		}
		dispatch_one(reactor, torc_ring_at(ring, first + done));
	}
}

/*
 * Act on a bounded batch of completions. Each stays where it is until the
 * batch is released; the kernel writes behind it. 0, or -EBADR: some before
 * them were lost, and with them, perhaps, how far a buffer is filled.
 */
static int
dispatch(struct torc_reactor *reactor)
{
	struct torc_ring *ring = &reactor->ring;
	const uint32_t first = ring->cq_read;
	bool overflowed = torc_ring_overflowed(ring);
	uint32_t ready = torc_ring_ready(ring);
	uint32_t count = ready < reactor->config.batch ? ready :
	    reactor->config.batch;
	unsigned class = count == 0 ? 0 :
	    32 - (unsigned)__builtin_clz(count);

	if (torc_unlikely(torc_ring_lost(ring)))
		return -EBADR;
	if (overflowed)
		reactor->in_order = false;
	reactor->proven = reactor->in_order ? reactor->taken :
	    reactor->settled;
	if (torc_unlikely(reactor->crowded))
		dispatch_crowd(reactor, first, count);
	else
		for (uint32_t number = first; number != first + count; number++)
			dispatch_one(reactor, torc_ring_at(ring, number));
	ring->cq_read = first + count;
	torc_ring_release(ring);
	if (count == ready && !overflowed)
		reactor->settled = reactor->taken;
	reactor->counters->cqes += count;
	reactor->counters->batches[class < TORC_BATCH_CLASSES ? class :
	    TORC_BATCH_CLASSES - 1]++;
	return 0;
}

/* ---- Life ---- */

/*
 * Nothing is left that a connection or an op could do. What is still to be
 * submitted closes descriptors, for one.
 */
static bool
idle(const struct torc_reactor *reactor)
{
	return reactor->ops.count == 0 &&
	    torc_list_empty(&reactor->backlog) &&
	    torc_ring_pending(&reactor->ring) == 0 &&
	    (reactor->layer == NULL || !reactor->layer->busy(reactor));
}

/* Nothing holds a drain any more: no handler, no other fiber than daemons. */
static bool
released(const struct torc_reactor *reactor)
{
	return reactor->phase >= TORC_PHASE_DRAINING &&
	    reactor->stacks.in_use == reactor->daemons &&
	    (reactor->layer == NULL || !reactor->layer->serving(reactor));
}

/* Nor is there a fiber: the daemons have been told to end. */
static bool
quiet(struct torc_reactor *reactor)
{
	if (!released(reactor))
		return false;
	if (!reactor->dismissed) {
		reactor->dismissed = true;
		torc_fiber_cancel_daemons(reactor);
	}
	if (reactor->stacks.in_use > 0)
		return false;
	reactor->deserted = true;
	if (reactor->layer != NULL && reactor->layer->busy(reactor))
		reactor->layer->stop(reactor);
	return idle(reactor);
}

/* Take the last posts; they find the reactor stopping. */
static void
close_mailbox(struct torc_reactor *reactor)
{
	reactor->phase = TORC_PHASE_STOPPING;
	if (reactor->mailbox_closed)
		return;
	reactor->mailbox_closed = true;
	run_posts(reactor, torc_mailbox_close(&reactor->mailbox));
}

static void
leave_thread(struct torc_reactor *reactor)
{
	torc_sanitizer_thread_end(reactor->scheduler_sanitizer);
	torc_fault_stack_end(&reactor->fault_stack);
}

static void
end(struct torc_reactor *reactor)
{
	if (reactor->layer != NULL)
		reactor->layer->fini(reactor);
	torc_ring_fini(&reactor->ring);
	leave_thread(reactor);
	reactor->phase = TORC_PHASE_ENDED;
	show_gauges(reactor);
	if (torc_current == reactor)
		torc_current = torc_nobody();
}

/* Close what the kernel will not be told to close any more. */
static void
close_pending(struct torc_ring *ring)
{
	while (torc_ring_pending(ring) > 0) {
		const struct io_uring_sqe *sqe =
		    &ring->sqes[ring->sq_taken++ & ring->sq_mask];

		if (sqe->opcode == IORING_OP_CLOSE)
			torc_sys_close(sqe->fd);
	}
}

/* What completed and was not looked at may hold descriptors, too. */
static void
close_completed(struct torc_reactor *reactor)
{
	struct torc_ring *ring = &reactor->ring;

	for (uint32_t ready = torc_ring_ready(ring); ready > 0; ready--) {
		const struct io_uring_cqe *cqe = torc_ring_next(ring);

		reactor->kinds[torc_tag_kind(cqe->user_data)].stray(reactor,
		    cqe);
	}
}

/*
 * The ring does not work any more. Peers and posters are told; but operations
 * may be in the kernel for a while, so what they name is never freed.
 */
static void
abandon(struct torc_reactor *reactor, int error)
{
	close_mailbox(reactor);
	if (reactor->layer != NULL)
		reactor->layer->abandon(reactor);
	close_pending(&reactor->ring);
	close_completed(reactor);
	torc_ring_fini(&reactor->ring);
	torc_fiber_forget_all(reactor);
	leave_thread(reactor);
	reactor->abandoned = true;
	reactor->error = error;
	reactor->phase = TORC_PHASE_ENDED;
	torc_current = torc_nobody();
}

void
torc_reactor_end_unrun(struct torc_reactor *reactor)
{
	struct torc_reactor *current = torc_current;

	torc_current = reactor;
	close_mailbox(reactor);
	reactor->phase = TORC_PHASE_CREATED;
	end(reactor);
	torc_current = current;
}

static int
start(struct torc_reactor *reactor)
{
	int rc;

	torc_require(torc_current == NULL || torc_current == &torc_inherited,
	    "this thread runs another reactor");
	rc = torc_ring_enable(&reactor->ring);
	if (rc < 0)
		return rc;
	torc_current = reactor;
	reactor->scheduler_sanitizer = torc_sanitizer_thread();
	reactor->belongings.exceptions = torc_exceptions();
	torc_fault_stack_begin(&reactor->fault_stack);
	reactor->phase = TORC_PHASE_RUNNING;
	reactor->now = torc_sys_now();
	reactor->due = reactor->now;
	reactor->page.page->reactor = reactor->index;
	reactor->page.page->tid = (uint32_t)torc_sys_thread();
	return 0;
}

/* 1: it lives; 0: it has ended; or the error that ended it. */
static int
turn(struct torc_reactor *reactor, torc_deadline deadline)
{
	int rc;

	reactor->counters->turns++;
	run_mailbox(reactor);
	if (torc_unlikely(torc_timers_next(&reactor->timers) <= reactor->due))
		torc_timers_run(&reactor->timers, reactor->due);
	run_ready(reactor);
	run_backlog(reactor);
	if (torc_unlikely(quiet(reactor))) {
		close_mailbox(reactor);
		if (quiet(reactor)) {
			end(reactor);
			return 0;
		}
	}
	if (reactor->layer != NULL)
		reactor->layer->before_enter(reactor);
	rc = enter(reactor, deadline);
	if (torc_likely(rc == 0))
		rc = dispatch(reactor);
	if (torc_unlikely(rc < 0)) {
		abandon(reactor, rc);
		return rc;
	}
	if (reactor->layer != NULL)
		reactor->layer->after_batch(reactor);
	return 1;
}

/* Whoever runs the loop finds the thread afterwards as it was. */
static void
enter_loop(struct torc_belongings *belongings)
{
	torc_modes_get(&belongings->loop);
	belongings->usual = belongings->loop;
	if (belongings->exceptions == NULL)
		return;
	belongings->usual.word = ~belongings->loop.word;
	belongings->outside = *belongings->exceptions;
	*belongings->exceptions = (struct torc_exceptions) { NULL, 0 };
}

static void
leave_loop(const struct torc_belongings *belongings)
{
	if (belongings->exceptions != NULL)
		*belongings->exceptions = belongings->outside;
}

/* Turns until `once`, or until it ends. */
static int
take_turns(struct torc_reactor *reactor, torc_deadline deadline, bool once)
{
	int rc = 0;

	torc_reactor_vouch(reactor);
	if (reactor->phase == TORC_PHASE_CREATED)
		rc = start(reactor);
	if (rc < 0 || reactor->phase == TORC_PHASE_ENDED)
		return rc < 0 ? rc : reactor->error;
	torc_reactor_check(reactor);
	torc_require(!reactor->turning, "a turn inside a turn");
	reactor->turning = true;
	if (reactor->ready_fd >= 0)
		torc_beside_clear(reactor);
	/* The program may have been elsewhere for long. */
	look_at_clock(reactor, false);
	enter_loop(&reactor->belongings);
	do
		rc = turn(reactor, deadline);
	while (rc > 0 && !once);
	leave_loop(&reactor->belongings);
	reactor->turning = false;
	return rc;
}

int
torc_reactor_turn(struct torc_reactor *reactor, torc_deadline deadline)
{
	return take_turns(reactor, deadline, true);
}

int
torc_reactor_run(struct torc_reactor *reactor)
{
	return take_turns(reactor, TORC_NEVER, false);
}

void
torc_reactor_drain(struct torc_reactor *reactor, torc_deadline deadline)
{
	torc_reactor_vouch(reactor);
	/* K1: relaxed. The owner reads it after it was woken. */
	torc_store_relaxed_u64(&reactor->drain_at,
	    deadline.at == UINT64_MAX ? UINT64_MAX - 1 : deadline.at);
	torc_mailbox_wake(&reactor->mailbox);
}

void
torc_reactor_stop(struct torc_reactor *reactor)
{
	torc_reactor_drain(reactor, TORC_AT_ONCE);
}

uint64_t
torc_reactor_due(const struct torc_reactor *reactor)
{
	torc_reactor_vouch(reactor);
	if (reactor->phase == TORC_PHASE_CREATED || has_work(reactor) ||
	    (reactor->ready_fd >= 0 && reactor->ready_spent) ||
	    torc_ring_pending(&reactor->ring) > 0 ||
	    torc_ring_busy(&reactor->ring))
		return 0;
	/* The next turn ends the daemons, or comes to the end. */
	if (released(reactor) && (!reactor->dismissed ||
	    (reactor->stacks.in_use == 0 &&
	    (!reactor->deserted || idle(reactor)))))
		return 0;
	return next_deadline(reactor);
}
