/* SPDX-License-Identifier: MIT */
/*
 * reactor.c - the loop: its turn, its phases, its end. See create.c for how a
 * reactor is made, enter.c and dispatch.c for the two halves of a turn.
 */
#include "reactor/reactor.h"

#include <poll.h>

#include "reactor/beside.h"
#include "reactor/check.h"
#include "reactor/clock.h"
#include "reactor/dispatch.h"
#include "reactor/enter.h"
#include "reactor/fiber.h"
#include "reactor/op.h"
#include "reactor/post.h"
#include "reactor/sanitizer.h"
#include "sys/sys.h"

#define CHECKED 64u	/* turns, in one of which all is checked */

/* ---- Submission ---- */

/*
 * A poll that stays armed and is told of every write. The counter is never
 * read: 64 bits of wakes are enough.
 */
static void
arm_wake(struct torc_reactor *reactor)
{
	struct io_uring_sqe *sqe = torc_reactor_claim(reactor);

	torc_debug_assert(!reactor->wake_armed);
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

/* ---- The steps of a turn ---- */

static void
change_phase(struct torc_reactor *reactor)
{
	torc_debug_assert(reactor->phase < TORC_PHASE_ENDED &&
	    !reactor->abandoned);
	torc_debug_assert(reactor->phase >= TORC_PHASE_RUNNING);
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
	torc_debug_assert(reactor->phase < TORC_PHASE_ENDED);
	torc_debug_assert(reactor->current == NULL && reactor->turning);
	if (torc_mailbox_pending(&reactor->mailbox) &&
	    !reactor->mailbox_closed)
		torc_post_run(reactor, torc_mailbox_take(&reactor->mailbox));
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

	torc_debug_assert(reactor->current == NULL && reactor->ended == NULL);
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

	torc_debug_assert(reactor->current == NULL && reactor->ended == NULL);
	torc_list_init(&now);
	torc_list_move(&now, &reactor->backlog);
	while ((node = torc_list_take(&now)) != NULL) {
		struct torc_todo *todo =
		    torc_container(node, struct torc_todo, node);

		todo->run(reactor, todo);
	}
}

/* ---- Life ---- */

/*
 * Nothing is left that a connection or an op could do. What is still to be
 * submitted closes descriptors, for one.
 */
static bool
idle(const struct torc_reactor *reactor)
{
	torc_debug_assert(reactor->stacks.in_use == 0);
	return reactor->ops.count == 0 &&
	    torc_list_empty(&reactor->backlog) &&
	    torc_ring_pending(&reactor->ring) == 0 &&
	    (reactor->layer == NULL || !reactor->layer->busy(reactor));
}

/* Nothing holds a drain any more: no handler, no other fiber than daemons. */
static bool
released(const struct torc_reactor *reactor)
{
	torc_debug_assert(reactor->daemons <= reactor->stacks.in_use);
	return reactor->phase >= TORC_PHASE_DRAINING &&
	    reactor->stacks.in_use == reactor->daemons &&
	    (reactor->layer == NULL || !reactor->layer->serving(reactor));
}

/* Nor is there a fiber: the daemons have been told to end. */
static bool
quiet(struct torc_reactor *reactor)
{
	torc_debug_assert(reactor->current == NULL && reactor->ended == NULL);
	torc_debug_assert(!reactor->deserted || reactor->dismissed);
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
	torc_debug_assert(reactor->current == NULL);
	reactor->phase = TORC_PHASE_STOPPING;
	if (reactor->mailbox_closed)
		return;
	reactor->mailbox_closed = true;
	torc_post_run(reactor, torc_mailbox_close(&reactor->mailbox));
}

static void
leave_thread(struct torc_reactor *reactor)
{
	torc_debug_assert(reactor->current == NULL);
	torc_sanitizer_thread_end(reactor->scheduler_sanitizer);
	torc_fault_stack_end(&reactor->fault_stack);
}

static void
end(struct torc_reactor *reactor)
{
	torc_debug_assert(reactor->current == NULL);
	torc_assert(!reactor->abandoned);
	torc_assert(reactor->layer == NULL || !reactor->layer->busy(reactor) ||
	    reactor->phase == TORC_PHASE_CREATED);
	torc_debug_assert(reactor->mailbox_closed);
	if (reactor->layer != NULL)
		reactor->layer->fini(reactor);
	torc_ring_fini(&reactor->ring);
	leave_thread(reactor);
	reactor->phase = TORC_PHASE_ENDED;
	torc_enter_show_gauges(reactor);
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

	torc_debug_assert(reactor->mailbox_closed);
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
	torc_debug_assert(reactor->current == NULL && !reactor->abandoned);
	torc_debug_assert(error < 0);
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

	torc_debug_assert(reactor->phase == TORC_PHASE_CREATED);
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

	torc_debug_assert(!reactor->turning && reactor->current == NULL);
	torc_debug_assert(!reactor->wake_armed);
	torc_debug_assert(reactor->phase == TORC_PHASE_CREATED);
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
	reactor->stats_page.page->reactor = reactor->index;
	reactor->stats_page.page->tid = (uint32_t)torc_sys_thread();
	return 0;
}

/* 1: it lives; 0: it has ended; or the error that ended it. */
static int
turn(struct torc_reactor *reactor, torc_deadline deadline)
{
	int rc;

	torc_debug_assert(reactor->current == NULL && reactor->ended == NULL);
	torc_debug_assert(reactor->due <= reactor->now);
	torc_debug_assert(reactor->turning && reactor == torc_current);
	torc_debug_assert(reactor->phase >= TORC_PHASE_RUNNING &&
	    reactor->phase < TORC_PHASE_ENDED);
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
	if (TORC_DEBUGGED && reactor->counters->turns % CHECKED == 0)
		torc_reactor_check_tables(reactor);
	if (reactor->layer != NULL)
		reactor->layer->before_enter(reactor);
	rc = torc_enter(reactor, deadline);
	if (torc_likely(rc == 0))
		rc = torc_dispatch(reactor);
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
	torc_debug_assert(reactor->config.batch > 0);
	if (reactor->phase == TORC_PHASE_CREATED)
		rc = start(reactor);
	if (rc < 0 || reactor->phase == TORC_PHASE_ENDED)
		return rc < 0 ? rc : reactor->error;
	torc_reactor_check(reactor);
	torc_require(!reactor->turning, "a turn is taken inside a turn");
	reactor->turning = true;
	if (reactor->ready_fd >= 0)
		torc_beside_clear(reactor);
	/* The program may have been elsewhere for long. */
	torc_clock_look(reactor, false);
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
	if (reactor->phase == TORC_PHASE_CREATED ||
	    torc_enter_has_work(reactor) ||
	    (reactor->ready_fd >= 0 && reactor->ready_spent) ||
	    torc_ring_pending(&reactor->ring) > 0 ||
	    torc_ring_busy(&reactor->ring))
		return 0;
	/* The next turn ends the daemons, or comes to the end. */
	if (released(reactor) && (!reactor->dismissed ||
	    (reactor->stacks.in_use == 0 &&
	    (!reactor->deserted || idle(reactor)))))
		return 0;
	return torc_clock_next(reactor);
}
