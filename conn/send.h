/*
 * send.h - the way of an ordinary answer: staged bytes in a quiet send.
 */
#ifndef TORC_CONN_SEND_H
#define TORC_CONN_SEND_H

#include "conn/net.h"

#define TORC_SEND_TAG ((uint64_t)TORC_KIND_SEND << \
	(TORC_SLOT_BITS + TORC_GENERATION_BITS))

/* A send of `data`. `flags`: MSG_ of send(2). */
static inline void
torc_send_fill(struct io_uring_sqe *sqe, const struct torc_conn *conn,
    const void *data, uint32_t size, int flags)
{
	sqe->opcode = IORING_OP_SEND;
	sqe->fd = conn->fd;
	sqe->addr = (uint64_t)data;
	sqe->len = size;
	sqe->msg_flags = (uint32_t)(MSG_WAITALL | MSG_NOSIGNAL | flags);
	sqe->user_data = conn->tag | TORC_SEND_TAG;
}

/*
 * Only one send at a time; none that says nothing if somebody waits for it;
 * and not along with a receive: see torc_recv_arm().
 */
static inline bool
torc_send_may_be_quiet(const struct torc_conn *conn)
{
	return conn->sending == 0 && conn->sent_size == 0 &&
	    (int32_t)(conn->reactor->ring.sq_taken - conn->arm_mark) >= 0;
}

/* Send what is staged, with `sqe`; torc_send_may_be_quiet(). */
static inline void
torc_send_with(struct torc_conn *conn, struct io_uring_sqe *sqe)
{
	struct torc_reactor *reactor = conn->reactor;
	struct torc_chunk *chunk = conn->chunk;
	uint32_t size = conn->staged_size;

	torc_send_fill(sqe, conn, conn->staged, size, MSG_DONTWAIT);
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	reactor->counters->quiet_sends++;
	reactor->counters->sent += size;
	conn->sent = conn->staged;
	conn->sent_size = size;
	conn->staged_size = 0;
	conn->urgent = false;
	conn->send_mark = reactor->ring.sq_claimed;
	if (chunk != NULL) {
		chunk->mark = conn->send_mark;
		chunk->pins--;
		conn->chunk = NULL;
	}
}

/* Give what is staged to the kernel, as soon as that is possible. */
static inline void
torc_send_staged(struct torc_conn *conn)
{
	if (torc_likely(torc_send_may_be_quiet(conn))) {
		struct io_uring_sqe *sqe =
		    torc_ring_claim(&conn->reactor->ring);

		if (torc_likely(sqe != NULL)) {
			torc_send_with(conn, sqe);
			return;
		}
	}
	conn->urgent = true;
	torc_send_advance(conn);
}

#endif
