/* SPDX-License-Identifier: MIT */
/*
 * op.h - one operation in the kernel, and the function called with its
 * result. What clients of torc are built from; a fiber's wait is one.
 *
 *   FREE       the owner's; its memory may go
 *   QUEUED     started, and the submission queue had no room yet
 *   SUBMITTED  the kernel's: the op and all memory that its SQE names stay
 *              where they are until the last completion
 */
#ifndef TORC_REACTOR_OP_H
#define TORC_REACTOR_OP_H

#include <stdint.h>

#include "reactor/reactor.h"
#include "reactor/slots.h"
#include "reactor/timers.h"
#include "sys/uapi.h"

enum torc_op_state { TORC_OP_FREE, TORC_OP_QUEUED, TORC_OP_SUBMITTED };

struct torc_op {
	struct io_uring_sqe sqe;	/* filled in by the owner; user_data
					 * is torc's */
	/*
	 * A completion, on the scheduler's stack: must not park. Without
	 * IORING_CQE_F_MORE in `flags` it is the last one, the op is FREE
	 * again and may be started anew from here.
	 */
	void (*done)(struct torc_op *op, int32_t result, uint32_t flags);
	struct torc_todo todo;		/* when the queue had no room */
	struct torc_timer again;	/* a cancel that missed is repeated */
	struct torc_reactor *reactor;
	struct torc_op_slot *slot;
	enum torc_op_state state;
	bool cancelling;
	uint8_t misses;			/* of its cancels, in a row */
};

struct torc_op_slot {
	struct torc_slot slot;
	struct torc_op *op;
};

/*
 * Start an op whose `sqe` and `done` are set and everything else zero. 0, or
 * -ENOBUFS when `ops` are in flight, -ESHUTDOWN when the reactor is stopping.
 */
TORC_BESIDE int torc_op_start(struct torc_reactor *reactor, struct torc_op *op);

/*
 * Ask the kernel to give up an op that was started. It ends as every op does:
 * by its last completion, often with -ECANCELED. Never fails, never forgotten.
 */
void torc_op_cancel(struct torc_op *op);

/*
 * Parks. Run one operation to its end: its result, or -ETIMEDOUT or
 * -ECANCELED after it was cancelled and has ended. Of several completions, the
 * last one's result. A send without a copy (IORING_OP_SEND_ZC) ends with its
 * notification, when its memory is free; the result is that of the send.
 */
TORC_BESIDE int torc_op_await(struct torc_reactor *reactor,
    const struct io_uring_sqe *sqe, torc_deadline deadline);

/* Whether an op that was told to end has this result for that reason. */
bool torc_op_gave_up(int result);

/* The kinds of completions that ops have. */
void torc_op_complete(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe);

/* ... and those of their cancels, which have failed. */
void torc_op_missed(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe);

#endif
