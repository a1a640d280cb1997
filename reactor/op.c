/* SPDX-License-Identifier: MIT */
/*
 * op.c - starting, cancelling and completing ops; a fiber's wait for one.
 */
#include "reactor/op.h"

#include <errno.h>
#include <linux/stat.h>

#include "reactor/fiber.h"
#include "sys/valgrind.h"

#define PAUSE_NS 1000000ull	/* between cancels that miss; doubled ... */
#define DOUBLINGS 7u		/* ... so often */

static uint64_t
tag(const struct torc_op *op)
{
	torc_debug_assert(op->slot != NULL && op->slot->op == op);
	return torc_slots_tag(&op->reactor->ops, op->slot, TORC_KIND_OP);
}

static struct torc_stats_page_op *
row_of(const struct torc_op *op)
{
	const unsigned opcode = op->sqe.opcode;

	torc_debug_assert(op->reactor != NULL);
	return &op->reactor->stats_page.page->op[
	    opcode < TORC_STATS_PAGE_OPCODES ? opcode :
	    TORC_STATS_PAGE_OPCODES - 1];
}

/* The op is over: its slot first, so that `done` may start it anew. */
static void
finish(struct torc_op *op, int32_t result, uint32_t flags)
{
	torc_debug_assert(op->slot != NULL && op->reactor == torc_current);
	torc_debug_assert(op->state != TORC_OP_FREE);
	torc_assert(op->state != TORC_OP_FREE && op->slot->op == op);
	if (torc_node_linked(&op->todo.node))
		torc_list_remove(&op->todo.node);
	torc_timers_disarm(&op->reactor->timers, &op->again);
	torc_slots_give(&op->reactor->ops, op->slot);
	op->state = TORC_OP_FREE;
	op->cancelling = false;
	op->misses = 0;
	op->done(op, result, flags);
}

static void
advance(struct torc_reactor *reactor, struct torc_todo *todo)
{
	struct torc_op *op = torc_container(todo, struct torc_op, todo);

	torc_debug_assert(op->reactor == reactor && op->state != TORC_OP_FREE);
	if (op->state == TORC_OP_QUEUED) {
		struct io_uring_sqe *sqe;

		if (op->cancelling) {
			finish(op, -ECANCELED, 0);
			return;
		}
		sqe = torc_reactor_claim(reactor);
		if (sqe == NULL) {
			torc_reactor_later(reactor, todo);
			return;
		}
		*sqe = op->sqe;
		sqe->user_data = tag(op);
		op->state = TORC_OP_SUBMITTED;
		row_of(op)->submitted++;
	} else if (op->cancelling && !torc_reactor_cancel(reactor, tag(op))) {
		torc_reactor_later(reactor, todo);
	}
}

static void
cancel_again(struct torc_timer *timer)
{
	struct torc_op *op = torc_container(timer, struct torc_op, again);

	torc_debug_assert(op->state != TORC_OP_FREE);
	torc_debug_assert(op->cancelling);
	advance(op->reactor, &op->todo);
}

int
torc_op_start(struct torc_reactor *reactor, struct torc_op *op)
{
	torc_reactor_check(reactor);
	torc_debug_assert(reactor == torc_current);
	torc_require(op->state == TORC_OP_FREE && op->done != NULL,
	    "an op is started twice, or without a function");
	if (torc_unlikely(reactor->phase >= TORC_PHASE_STOPPING))
		return -ESHUTDOWN;
	op->slot = torc_slots_take(&reactor->ops);
	if (op->slot == NULL)
		return -ENOBUFS;
	op->slot->op = op;
	op->reactor = reactor;
	op->todo.run = advance;
	op->again.fire = cancel_again;
	op->state = TORC_OP_QUEUED;
	reactor->counters->ops++;
	advance(reactor, &op->todo);
	return 0;
}

void
torc_op_cancel(struct torc_op *op)
{
	torc_reactor_check(op->reactor);
	torc_debug_assert(op->reactor == torc_current);
	if (op->state == TORC_OP_FREE || op->cancelling)
		return;
	op->cancelling = true;
	op->reactor->counters->op_cancels++;
	if (op->state == TORC_OP_QUEUED)
		torc_reactor_later(op->reactor, &op->todo);
	else
		advance(op->reactor, &op->todo);
}

/* What an operation has written, which valgrind did not see. */
static void
show_written(const struct io_uring_sqe *sqe, int32_t result)
{
	switch (sqe->opcode) {
	case IORING_OP_READ:
	case IORING_OP_RECV:
		torc_valgrind_define(sqe->addr, (size_t)result);
		break;
	case IORING_OP_STATX:
		torc_valgrind_define(sqe->off, sizeof(struct statx));
		break;
	}
}

void
torc_op_complete(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe)
{
	struct torc_op *op = ((struct torc_op_slot *)object)->op;

	torc_debug_assert(op->reactor == reactor);
	torc_debug_assert(op->state == TORC_OP_SUBMITTED);
	torc_assert(op->reactor == reactor &&
	    op->state == TORC_OP_SUBMITTED);
	reactor->ready_spent = true;
	if (cqe->flags & IORING_CQE_F_MORE) {
		op->done(op, cqe->res, cqe->flags);
		return;
	}
	row_of(op)->completed++;
	if (cqe->res < 0)
		row_of(op)->failed++;
	else if (torc_unlikely(reactor->watched))
		show_written(&op->sqe, cqe->res);
	finish(op, cqe->res, cqe->flags);
}

/*
 * Mostly it was about to be tried again, and is found in the next turn. But
 * what a disk has is never found, and takes as long as the disk does.
 */
void
torc_op_missed(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe)
{
	struct torc_op *op = ((struct torc_op_slot *)object)->op;

	torc_debug_assert(torc_tag_kind(cqe->user_data) ==
	    (TORC_KIND_OP | TORC_KIND_CANCEL));
	if (cqe->res != -ENOENT)
		return;
	if (op->misses == 0)
		torc_reactor_later(reactor, &op->todo);
	else
		torc_timers_arm(&reactor->timers, &op->again, reactor->now +
		    (PAUSE_NS << (op->misses - 1)));
	if (op->misses <= DOUBLINGS)
		op->misses++;
}

/* A fiber that waits for an op, on the fiber's stack. */
struct wait {
	struct torc_op op;
	struct torc_fiber *fiber;
	int result;
	bool over;
};

static void
end_wait(struct torc_op *op, int32_t result, uint32_t flags)
{
	struct wait *wait = torc_container(op, struct wait, op);

	torc_debug_assert(flags & IORING_CQE_F_MORE ||
	    op->state == TORC_OP_FREE);
	/* A notification says that memory is free, and has no result. */
	if (!(flags & IORING_CQE_F_NOTIF))
		wait->result = result;
	if (flags & IORING_CQE_F_MORE)
		return;
	wait->over = true;
	torc_fiber_wake(wait->fiber, 0);
}

/*
 * Whether an operation that was told to end did so before it was done. The
 * kernel's own ERESTART numbers (512 to 516), which system calls turn into
 * EINTR, come through as they are from some operations: openat2 of a FIFO.
 */
bool
torc_op_gave_up(int result)
{
	return result == -ECANCELED || result == -EINTR ||
	    (result <= -512 && result >= -516);
}

int
torc_op_await(struct torc_reactor *reactor, const struct io_uring_sqe *sqe,
    torc_deadline deadline)
{
	struct wait wait = {
		.op.sqe = *sqe,
		.op.done = end_wait,
		.fiber = reactor->current,
	};
	int rc;

	torc_debug_assert(reactor->current != NULL);
	if (reactor->current->cancelled)
		return -ECANCELED;
	rc = torc_op_start(reactor, &wait.op);
	if (rc < 0)
		return rc;
	rc = torc_fiber_park(reactor, deadline);
	if (!wait.over) {
		/* The kernel may still write to memory that the op names:
		 * only its last completion ends the wait. */
		torc_op_cancel(&wait.op);
		while (!wait.over)
			torc_fiber_park_firmly(reactor);
		if (torc_op_gave_up(wait.result))
			return rc;
	}
	return wait.result;
}
