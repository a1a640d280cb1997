/* SPDX-License-Identifier: MIT */
/*
 * send.c - staged bytes to the kernel: quietly where they fit into the
 * socket, loudly where they do not.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "conn/chunk.h"
#include "conn/conn.h"
#include "conn/intake.h"
#include "conn/recv.h"
#include "conn/send.h"
#include "conn/slab.h"
#include "conn/torc_protocol.h"
#include "conn/transport.h"
#include "reactor/fiber.h"
#include "sys/sys.h"

#define SEND_MAX (1u << 30)	/* bytes in one send; the kernel takes 2^31-1 */

/* ---- Submission ---- */

/* A quiet send whose submission is not settled: its bytes are still needed. */
static bool
quiet_pending(struct torc_conn *conn)
{
	if (conn->sent_size > 0 &&
	    conn->reactor->settled >= conn->send_mark)
		conn->sent_size = 0;
	return conn->sent_size > 0;
}

/* NULL: there is no room, and the connection is looked at again. */
static struct io_uring_sqe *
claim(struct torc_conn *conn)
{
	struct io_uring_sqe *sqe = torc_reactor_claim(conn->reactor);

	if (sqe == NULL)
		torc_reactor_later(conn->reactor, &conn->todo);
	return sqe;
}

static void
send_quietly(struct torc_conn *conn)
{
	struct io_uring_sqe *sqe = claim(conn);

	torc_debug_assert(torc_send_may_be_quiet(conn) &&
	    conn->staged_size > 0);
	if (sqe != NULL)
		torc_send_with(conn->reactor, conn, sqe);
}

/* From memory that stays put until the completion. */
static void
send_loudly(struct torc_conn *conn, const uint8_t *data, uint32_t size)
{
	struct io_uring_sqe *sqe = claim(conn);

	torc_assert(!conn->loud && size > 0);
	torc_debug_assert(conn->sent_size == 0);
	if (sqe == NULL)
		return;
	torc_send_fill(sqe, conn, data, size, 0, 0);
	conn->send_mark = conn->reactor->ring.sq_claimed;
	conn->reactor->counters->loud_sends++;
	conn->loud = true;
	conn->loud_size = size;
}

static void
send_job(struct torc_conn *conn)
{
	struct torc_job *job = conn->job;
	const struct iovec *last = job->message.msg_iov;
	struct io_uring_sqe *sqe;

	torc_assert(!conn->loud);
	torc_debug_assert(conn->slab == NULL && job->message.msg_iovlen > 0);
	if (job->message.msg_iovlen == 1) {
		send_loudly(conn, last->iov_base, last->iov_len < SEND_MAX ?
		    (uint32_t)last->iov_len : SEND_MAX);
		return;
	}
	sqe = claim(conn);
	if (sqe == NULL)
		return;
	torc_send_fill(sqe, conn, &job->message, 1, 0, 0);
	sqe->opcode = IORING_OP_SENDMSG;
	conn->send_mark = conn->reactor->ring.sq_claimed;
	conn->reactor->counters->loud_sends++;
	conn->loud = true;
}

void
torc_send_stow_staged(struct torc_conn *conn)
{
	if (conn->staged_size > 0 &&
	    !torc_send_stow(conn, conn->staged, conn->staged_size))
		return;
	torc_chunk_drop(conn);
}

bool
torc_send_stow(struct torc_conn *conn, const uint8_t *data, uint32_t size)
{
	if (conn->transport != NULL)
		return torc_transport_stow(conn, data, size);
	if (torc_slab_stow(conn, data, size))
		return true;
	torc_send_fail(conn, -ENOMEM);
	return false;
}

bool
torc_send_idle(struct torc_conn *conn)
{
	return conn->staged_size == 0 && conn->slab == NULL && !conn->loud &&
	    conn->job == NULL && !quiet_pending(conn);
}

void
torc_send_discard(struct torc_conn *conn)
{
	torc_assert(!conn->loud);
	torc_chunk_drop(conn);
	torc_slab_drop(conn);
	if (conn->transport != NULL)
		torc_transport_drop(conn);
}

void
torc_send_fail(struct torc_conn *conn, int error)
{
	if (conn->send_failed)
		return;
	torc_assert(error < 0);
	conn->send_failed = true;
	conn->send_error = error;
	/* The peer does not know: it has nothing to answer. */
	if (error == -ENOMEM || error == -ENOBUFS)
		torc_recv_fail(conn, -ENOMEM);
}

void
torc_send_break(struct torc_conn *conn, int error)
{
	if (!conn->send_failed)
		conn->lost = -ECONNRESET;
	torc_send_fail(conn, error);
}

void
torc_send_abort(struct torc_conn *conn)
{
	conn->aborting = conn->loud;
}

void
torc_send_recall(struct torc_conn *conn)
{
	torc_assert(conn->loud);
	conn->recalled = true;
	conn->aborting = true;
}

void
torc_send_missed(struct torc_conn *conn)
{
	if (conn->loud)
		conn->aborting = conn->send_failed || conn->doomed ||
		    conn->recalled;
}

void
torc_send_set_job(struct torc_conn *conn, struct torc_job *job)
{
	torc_assert(job == NULL || conn->job == NULL);
	conn->job = job;
}

/* Tell the kernel to give the loud send up, now or when there is room. */
static void
abort_loud(struct torc_conn *conn)
{
	torc_debug_assert(conn->loud && conn->aborting);
	if (torc_reactor_cancel(conn->reactor, conn->send_tag))
		conn->aborting = false;
	else
		torc_reactor_later(conn->reactor, &conn->todo);
}

void
torc_send_advance(struct torc_conn *conn)
{
	torc_intake_settle(conn);
	if (conn->send_failed && !conn->loud)
		torc_send_discard(conn);
	if (conn->transport != NULL)
		torc_transport_refill(conn);
	if (conn->loud) {
		if (conn->aborting)
			abort_loud(conn);
		return;
	}
	conn->aborting = false;
	if (quiet_pending(conn)) {
		if (conn->urgent || conn->writer != NULL || conn->doomed)
			torc_reactor_later(conn->reactor, &conn->todo);
		return;
	}
	if (conn->slab != NULL)
		send_loudly(conn, conn->slab + conn->slab_start,
		    conn->slab_end - conn->slab_start);
	else if (conn->job != NULL && conn->send_error == 0)
		send_job(conn);
	else if (conn->staged_size > 0 && conn->urgent &&
	    torc_send_may_be_quiet(conn))
		send_quietly(conn);
	else if (conn->staged_size > 0 && conn->urgent) {
		torc_send_stow_staged(conn);
		torc_send_advance(conn);
	}
}

/* ---- Completions ---- */

/*
 * -EPIPE alone says that there was a FIN before: the kernel tells it of a
 * connection that is reset after that, or of one whose error was told.
 */
static void
fail(struct torc_conn *conn, int32_t result)
{
	torc_debug_assert(result < 0 && !conn->loud);
	conn->reactor->counters->send_failures++;
	if (result != -EPIPE && result != -ECANCELED)
		conn->lost = torc_conn_error(result);
	torc_send_fail(conn, torc_conn_error(result));
}

/* A quiet send could not send all: -EAGAIN or the number of bytes. */
static void
finish_quiet(struct torc_conn *conn, int32_t result)
{
	uint32_t done = result > 0 ? (uint32_t)result : 0;
	uint8_t *rest = conn->sent + done;
	uint32_t size = conn->sent_size - done;

	torc_debug_assert(!conn->loud);
	torc_assert(done <= conn->sent_size);
	conn->reactor->counters->short_sends++;
	conn->reactor->counters->sent -= size;
	conn->sent_size = 0;
	if (result < 0 && result != -EAGAIN && result != -EINTR) {
		fail(conn, result);
		return;
	}
	if (size > 0 && !torc_slab_stow(conn, rest, size))
		torc_send_fail(conn, -ENOMEM);
	else
		torc_send_stow_staged(conn);
}

/* Take `size` sent bytes off the front of a job. True: it is done. */
static bool
advance_job(struct torc_job *job, size_t size)
{
	struct iovec *part = job->message.msg_iov;

	while (job->message.msg_iovlen > 0 && size >= part->iov_len) {
		size -= part->iov_len;
		part++;
		job->message.msg_iovlen--;
	}
	job->message.msg_iov = part;
	if (job->message.msg_iovlen == 0)
		return true;
	part->iov_base = (uint8_t *)part->iov_base + size;
	part->iov_len -= size;
	return false;
}

/*
 * A loud send that is short, and was not told to end, was ended by an error
 * that it does not tell: what it did send counts more.
 */
static void
finish_loud(struct torc_conn *conn, int32_t result)
{
	const bool recalled = conn->recalled;
	bool whole;

	torc_debug_assert(conn->loud && conn->sent_size == 0);
	conn->loud = false;
	conn->recalled = false;
	if (recalled && result == -ECANCELED)
		return;
	if (result < 0 && result != -EINTR && result != -EAGAIN) {
		fail(conn, result);
		return;
	}
	if (result < 0)
		result = 0;
	conn->reactor->counters->sent += (uint32_t)result;
	conn->taken += (uint32_t)result;
	if (conn->slab != NULL) {
		torc_assert((uint32_t)result <= conn->loud_size);
		whole = (uint32_t)result == conn->loud_size;
		if (!whole)
			conn->reactor->counters->short_sends++;
		torc_slab_sent(conn, (uint32_t)result);
	} else {
		whole = advance_job(conn->job, (size_t)result);
		if (whole)
			conn->job = NULL;
	}
	conn->lost = whole ? 0 : -ECONNRESET;
}

void
torc_send_complete(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe)
{
	struct torc_conn *conn = object;

	(void)reactor;
	torc_assert(conn->loud || conn->sent_size > 0);
	if (conn->loud)
		finish_loud(conn, cqe->res);
	else
		finish_quiet(conn, cqe->res);
	torc_send_advance(conn);
	if (conn->writer != NULL)
		torc_fiber_wake(conn->writer, 0);
	else
		torc_conn_advance(conn);
}
