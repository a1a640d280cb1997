/* SPDX-License-Identifier: MIT */
/*
 * send.h - sending staged bytes. The path of an ordinary answer is inline.
 */
#ifndef TORC_CONN_SEND_H
#define TORC_CONN_SEND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "conn/chunk.h"
#include "conn/conn.h"
#include "reactor/reactor.h"

/* A large write: on the stack of the fiber that waits for it. */
#define TORC_JOB_SLICES 8u
struct torc_job {
	struct iovec parts[1 + TORC_JOB_SLICES];	/* what was staged,
							 * the data */
	struct msghdr message;
	struct torc_chunk *chunk;	/* of what was staged: pinned */
};

void torc_send_complete(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe);
/* Note that sending has failed for good. */
void torc_send_fail(struct torc_conn *conn, int error);
/* Go on sending. */
void torc_send_advance(struct torc_conn *conn);
/* Whether nothing is staged and nothing is outstanding. */
bool torc_send_idle(struct torc_conn *conn);
/* Copy to the slab, sealed if there is a transport. False: sending failed. */
bool torc_send_stow(struct torc_conn *conn, const uint8_t *data,
    uint32_t size);
/* The same for what is staged in a chunk, if anything is. */
void torc_send_stow_staged(struct torc_conn *conn);
/* Drop all that was not sent. Nothing may be outstanding. */
void torc_send_discard(struct torc_conn *conn);
/*
 * End the loud send, if there is one: for good, or to learn how much it has
 * sent. The next torc_send_advance() tells the kernel.
 */
void torc_send_abort(struct torc_conn *conn);
void torc_send_recall(struct torc_conn *conn);
/* The kernel did not find the send that it was told to end. */
void torc_send_missed(struct torc_conn *conn);
/* As torc_send_fail(), when part of a message may have been sent by others. */
void torc_send_break(struct torc_conn *conn, int error);
/* Set the job to send next, when nothing is staged, or NULL for none. */
void torc_send_set_job(struct torc_conn *conn, struct torc_job *job);

/* A send of `data`. `flags`: IOSQE_; `how`: MSG_ of send(2). */
static inline void
torc_send_fill(struct io_uring_sqe *sqe, const struct torc_conn *conn,
    const void *data, uint32_t size, uint8_t flags, int how)
{
	*sqe = (struct io_uring_sqe) {
		.opcode = IORING_OP_SEND,
		.flags = flags,
		.addr = (uint64_t)data,
		.len = size,
		.msg_flags = (uint32_t)(MSG_WAITALL | MSG_NOSIGNAL | how),
	};
	/* By itself: otherwise it is read first, into registers that the rest
	 * of a request needs. */
	sqe->fd = conn->fd;
	sqe->user_data = conn->send_tag;
}

/*
 * Only one send at a time; none that says nothing if somebody waits for it;
 * and not along with a receive: see torc_intake_arm().
 */
static inline bool
torc_send_may_be_quiet(const struct torc_conn *conn)
{
	return conn->sending == 0 && conn->submitted == 0;
}

/* Send what is staged, with `sqe`; torc_send_may_be_quiet(). */
static inline void
torc_send_with(struct torc_reactor *reactor, struct torc_conn *conn,
    struct io_uring_sqe *sqe)
{
	uint8_t *data = conn->staged;
	uint32_t size = conn->staged_size;

	torc_debug_assert(conn->staged_size > 0 && conn->sent_size == 0);
	torc_debug_assert(torc_send_may_be_quiet(conn));
	conn->send_mark = reactor->ring.sq_claimed;
	torc_send_fill(sqe, conn, data, size, IOSQE_CQE_SKIP_SUCCESS,
	    MSG_DONTWAIT);
	reactor->counters->quiet_sends++;
	reactor->counters->sent += size;
	conn->sent = data;
	conn->sent_size = size;
	torc_chunk_sent(conn);
}

/* Send what is staged if that is as simple as it mostly is. */
static inline bool
torc_send_simply(struct torc_reactor *reactor, struct torc_conn *conn)
{
	if (torc_unlikely(!torc_send_may_be_quiet(conn) ||
	    torc_ring_full(&reactor->ring)))
		return false;
	torc_send_with(reactor, conn, torc_ring_claim_blank(&reactor->ring));
	return true;
}

/* Give what is staged to the kernel, as soon as that is possible. */
static inline void
torc_send_staged(struct torc_conn *conn)
{
	torc_chunk_hurry(conn);
	torc_send_advance(conn);
}

/*
 * A completion has come of a receive. If the quiet send was taken by an enter
 * that is over, all that it said came before this: it has sent all.
 */
static inline void
torc_send_verify(const struct torc_reactor *reactor, struct torc_conn *conn)
{
	if (torc_likely(reactor->verified >= conn->send_mark))
		conn->sent_size = 0;
}

#endif
