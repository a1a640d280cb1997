/* SPDX-License-Identifier: MIT */
/*
 * recv.c - bytes from the kernel's buffers to the handler's view.
 */
#include <errno.h>
#include <string.h>

#include "conn/conn.h"
#include "conn/drain.h"
#include "conn/held.h"
#include "conn/intake.h"
#include "conn/net.h"
#include "conn/recv.h"
#include "conn/send.h"
#include "conn/shake.h"
#include "conn/torc_protocol.h"
#include "conn/transport.h"
#include "conn/view.h"
#include "conn/watch.h"
#include "reactor/fiber.h"
#include "sys/sys.h"

/* ---- Completions ---- */

void
torc_recv_tell_end(struct torc_conn *conn)
{
	torc_debug_assert(conn->eof || conn->failed);
	torc_watch_tell(conn);
	if (conn->reader != NULL)
		torc_fiber_wake(conn->reader, 0);
	else if (conn->dormant)
		torc_conn_revive(conn);
}

void
torc_recv_fail(struct torc_conn *conn, int error)
{
	torc_assert(error < 0);
	if (conn->eof || conn->failed)
		return;
	conn->error = error;
	conn->failed = true;
	torc_reactor_later(conn->reactor, &conn->todo);
}

/* No more comes: the peer's FIN, or an error. */
static void
end_input(struct torc_conn *conn, int error)
{
	torc_debug_assert(error <= 0 && !conn->eof);
	/* What is missing from the stream is no less so at the peer's FIN. */
	if (conn->failed)
		return;
	conn->error = error;
	conn->eof = error == 0;
	conn->failed = error != 0;
	torc_recv_tell_end(conn);
}

/*
 * The kernel tells an error of a socket once. If a send was told, a receive
 * finds nothing but an end, as if the peer had sent FIN.
 */
static int
cause_of_end(const struct torc_conn *conn)
{
	return conn->lost != 0 && !conn->shut &&
	    torc_sys_hung_up(conn->fd) > 0 ? conn->lost : 0;
}

/*
 * Somebody waits for bytes, and will be shown them. A reader that is about to
 * be told of its deadline, or that it was cancelled, will not: what comes now
 * is news to the next call.
 */
static bool
will_be_shown(const struct torc_conn *conn)
{
	return conn->dormant || (conn->reader != NULL &&
	    conn->reader->state == TORC_FIBER_PARKED);
}

/* Bytes have come. */
static void
deliver(struct torc_conn *conn, uint8_t *data, uint32_t size, uint32_t bid)
{
	struct torc_reactor *reactor = conn->reactor;

	torc_debug_assert(size > 0 && !conn->doomed);
	if (conn->failed) {
		/* Something is missing before it. */
		torc_held_let_go(conn, data, size, bid);
		return;
	}
	reactor->counters->receives++;
	reactor->counters->received += size;
	conn->met = true;
	if (conn->first == NULL && conn->view_size == 0 &&
	    will_be_shown(conn)) {
		torc_held_settle(conn, &data, size, &bid);
		torc_view_set(conn, data, size, bid);
	} else if (!torc_held_append(conn, data, size, bid)) {
		torc_held_let_go(conn, data, size, bid);
		end_input(conn, -ENOMEM);
		return;
	}
	if (!conn->slowed && conn->pieced && torc_intake_is_full(conn))
		torc_intake_slow_down(conn);
	if (conn->reader != NULL)
		torc_fiber_wake(conn->reader, 0);
	else if (conn->dormant)
		torc_conn_revive(conn);
}

/* No more is to come, says the transport, or nothing that is to be believed. */
static void
end_sealed(struct torc_conn *conn, bool began)
{
	const struct torc_transport *transport = conn->transport;

	if (transport->error != 0 && !conn->eof)
		end_input(conn, transport->error);
	else if (transport->ended && !conn->eof)
		end_input(conn, 0);
	else if (began && conn->dormant)
		torc_conn_revive(conn);
	else if (began && conn->reader != NULL)
		torc_fiber_wake(conn->reader, 0);
}

void
torc_recv_unseal(struct torc_conn *conn, uint8_t *data, uint32_t size,
    uint32_t bid)
{
	const struct torc_transport *transport = conn->transport;
	const bool was_ready = transport->ready;
	const uint64_t tag = conn->send_tag;

	if (!torc_transport_open(conn, &data, &size, &bid)) {
		end_input(conn, -ENOMEM);
		return;
	}
	if (size > 0)
		deliver(conn, data, size, bid);
	/* The handler may have run, and this be its end. */
	if (!conn->doomed && conn->send_tag == tag)
		end_sealed(conn, size == 0 && !was_ready && transport->ready);
}

void
torc_recv_take_back(struct torc_conn *conn)
{
	const bool was_ready = conn->transport->ready;

	torc_debug_assert(!conn->doomed && !conn->failed);
	torc_transport_take_back(conn);
	end_sealed(conn, !was_ready && conn->transport->ready);
}

static void
arrive(struct torc_conn *conn, uint8_t *data, uint32_t size, uint32_t bid)
{
	if (conn->transport == NULL)
		deliver(conn, data, size, bid);
	else if (conn->failed || conn->eof)
		torc_held_let_go(conn, data, size, bid);
	else if (conn->transport->ready && torc_transport_waits(conn) == 0)
		torc_recv_unseal(conn, data, size, bid);
	else if (!torc_shake_wait(conn, data, size, bid))
		end_input(conn, -ENOMEM);
}

/* The peer's FIN: if its transport did not say so, the stream was cut. */
static void
end_socket(struct torc_conn *conn)
{
	int cause;

	if (conn->eof)
		return;		/* its transport did */
	if (torc_transport_waits(conn) > 0) {
		/* What came before it is first: then it is told again. */
		torc_intake_hold(conn);
		return;
	}
	cause = cause_of_end(conn);
	end_input(conn, cause == 0 && conn->transport != NULL ? -ENOLINK :
	    cause);
}

/* The receive is over, and not by bytes. */
static void
receive_ended(struct torc_conn *conn, int32_t result)
{
	struct torc_net *net = conn->net;

	torc_debug_assert(result <= 0 && !conn->armed);
	switch (result) {
	case 0:
		end_socket(conn);
		return;
	case -ENOBUFS:
		torc_intake_run_dry(conn);
		return;
	case -ECANCELED:	/* we asked for it, or the kernel had to */
	case -EINTR:
	case -EAGAIN:
		torc_reactor_later(net->reactor, &conn->todo);
		return;
	default:
		net->reactor->counters->receive_failures++;
		if (!conn->eof)
			end_input(conn, torc_conn_error(result));
	}
}

void
torc_recv_ready(struct torc_conn *conn)
{
	struct torc_net *net = conn->net;
	const uint32_t room = torc_intake_room(conn);
	uint8_t *bytes;
	int rc;

	torc_debug_assert(!conn->doomed && !conn->poll_input);
	if (room == 0)
		return;
	rc = torc_sys_recv(conn->fd, net->fallback_buffer, room);
	net->reactor->counters->fallback_reads++;
	/* A send that is not over yet may have been told of the error. */
	if (rc == 0 && conn->errored)
		rc = conn->lost != 0 ? conn->lost : -ECONNRESET;
	if (rc <= 0) {
		receive_ended(conn, rc);
		return;
	}
	torc_reactor_later(net->reactor, &conn->todo);
	bytes = torc_held_alloc(conn, (uint32_t)rc);
	if (bytes == NULL) {
		end_input(conn, -ENOMEM);
		return;
	}
	memcpy(bytes, net->fallback_buffer, (size_t)rc);
	arrive(conn, bytes, (uint32_t)rc, TORC_NO_BID);
}

/*
 * Any completion of a receive: bytes or not, its last one or not, wanted or
 * too late.
 */
static __attribute__((noinline)) void
look_closer(struct torc_reactor *reactor, struct torc_conn *conn,
    const struct io_uring_cqe *cqe)
{
	uint16_t bid = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
	int32_t result = cqe->res;

	torc_assert(conn->armed);
	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		torc_intake_ended(conn);
		if (result > 0)
			torc_reactor_later(reactor, &conn->todo);
	}
	if (cqe->flags & IORING_CQE_F_BUFFER) {
		uint32_t size = result > 0 ? (uint32_t)result : 0;
		uint8_t *data = torc_bufring_take(&conn->net->buffers, bid,
		    size, cqe->flags);

		if (size > 0 && !conn->doomed) {
			arrive(conn, data, size, bid);
			return;
		}
		torc_bufring_put(&conn->net->buffers, bid);
	}
	if (conn->doomed)
		torc_conn_advance(conn);
	else if (!conn->armed)
		receive_ended(conn, result);
}

/* Bytes in a buffer of their own, and more may follow. */
static inline bool
is_usual(const struct torc_net *net, uint32_t flags, uint32_t size)
{
	const uint32_t usual = IORING_CQE_F_BUFFER | IORING_CQE_F_MORE;

	return (flags & (usual | IORING_CQE_F_BUF_MORE)) == usual &&
	    torc_bufring_whole(&net->buffers,
	    flags >> IORING_CQE_BUFFER_SHIFT, size);
}

void
torc_recv_complete(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe)
{
	struct torc_conn *conn = object;
	struct torc_fiber *fiber = conn->reader;
	uint32_t size = (uint32_t)cqe->res;

	torc_debug_assert(conn->reactor == reactor && conn->armed);
	/* The quiet send was taken by an enter that is over, and all that it
	 * said came before this completion: it has sent all. */
	torc_send_verify(reactor, conn);
	if (torc_unlikely(conn->input != 0 || fiber == NULL ||
	    fiber->state != TORC_FIBER_PARKED ||
	    !is_usual(conn->net, cqe->flags, size))) {
		look_closer(reactor, conn, cqe);
		return;
	}
	/* What it mostly is: bytes for a fiber that waits for them. */
	torc_view_set_whole(conn, cqe->flags >> IORING_CQE_BUFFER_SHIFT, size);
	conn->met = true;
	*(struct torc_slice *)fiber->seen =
	    (struct torc_slice) { conn->view, size };
	reactor->counters->receives++;
	reactor->counters->received += size;
	torc_fiber_hand(reactor, fiber, (int)size);
}

void
torc_recv_sealed(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe)
{
	struct torc_conn *conn = object;

	torc_debug_assert(conn->reactor == reactor && conn->armed);
	torc_assert(conn->transport != NULL);
	look_closer(reactor, conn, cqe);
}

void
torc_recv_stray(struct torc_reactor *reactor, const struct io_uring_cqe *cqe)
{
	struct torc_net *net = reactor->layer_state;
	uint16_t bid = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

	reactor->counters->stray++;
	if (!(cqe->flags & IORING_CQE_F_BUFFER))
		return;
	torc_bufring_take(&net->buffers, bid,
	    cqe->res > 0 ? (uint32_t)cqe->res : 0, cqe->flags);
	torc_bufring_put(&net->buffers, bid);
}

/* ---- For handlers ---- */

void
torc_recv_enter(struct torc_conn *conn, struct torc_slice *seen)
{
	torc_assert(conn->reader == NULL);
	conn->reader = conn->reactor->current;
	torc_fiber_show_at(conn->reader, seen);
	torc_intake_want(conn);
}

void
torc_recv_leave(struct torc_conn *conn)
{
	torc_debug_assert(conn->reader == conn->reactor->current);
	conn->reader = NULL;
}

int
torc_recv_park(struct torc_conn *conn, struct torc_slice *seen,
    torc_deadline deadline)
{
	int rc;

	torc_recv_enter(conn, seen);
	rc = torc_fiber_park(conn->reactor, deadline);
	torc_recv_leave(conn);
	return rc;
}

/* Park until there is news, unless there can be none. */
static int
await_news(
    struct torc_conn *conn, struct torc_slice *in, torc_deadline deadline)
{
	struct torc_reactor *reactor = conn->reactor;
	uint64_t idle_by = UINT64_MAX;
	bool hurried;
	int rc;

	torc_debug_assert(conn->reader == NULL && !torc_recv_news(conn));
	/* Dialled connections serve requests that must be finished. */
	if (reactor->phase == TORC_PHASE_DRAINING && conn->handler != NULL &&
	    !conn->unfinished && conn->view_size == 0)
		idle_by = torc_drain_idle_by(conn);
	if (idle_by <= reactor->due)
		return -ESHUTDOWN;
	hurried = idle_by < deadline.at;
	if (hurried)
		deadline = torc_at(idle_by);
	if (conn->view_size >= reactor->config.held_max)
		return -ENOBUFS;
	/* A wait for the rest of a message does not keep a buffer. */
	rc = torc_view_keep(conn);
	if (rc == 0)
		rc = torc_recv_park(conn, in, deadline);
	if (!hurried || rc != -ETIMEDOUT)
		return rc;
	/* It was not the caller's deadline. */
	torc_drain_set_silent(conn, true);
	return -ESHUTDOWN;
}

/*
 * A fiber that always finds input lets the others run now and then. One of
 * them may close the connection: it waits for this one, as for any reader.
 */
static int
take_turns(struct torc_conn *conn)
{
	struct torc_fiber *fiber = conn->reactor->current;

	torc_debug_assert(conn->reader == NULL);
	if (conn->reads_turn != (uint32_t)conn->reactor->counters->turns) {
		conn->reads_turn = (uint32_t)conn->reactor->counters->turns;
		conn->reads = 0;
	}
	if (++conn->reads < conn->reactor->config.read_budget)
		return 0;
	if (fiber->cancelled)
		return -ECANCELED;
	conn->reader = fiber;
	torc_fiber_step_aside(conn->reactor);
	conn->reader = NULL;
	return fiber->cancelled ? -ECANCELED : fiber->result;
}

/*
 * What there is after waiting ended with `rc`: bytes in an empty view, some
 * news, or a negative errno.
 */
static __attribute__((noinline)) int
show_news(struct torc_conn *conn, struct torc_slice *in, int rc)
{
	if (rc > 0)
		return torc_view_show(conn, in);
	/* A request that came in time is answered. */
	if (rc == 0 || (rc == -ESHUTDOWN && torc_recv_news(conn)))
		rc = torc_view_refresh(conn);
	torc_assert(rc >= 0 || !conn->fresh);
	torc_view_show(conn, in);
	if (rc != 0)
		return rc < 0 ? rc : (int)conn->view_size;
	torc_assert(conn->eof || conn->failed);
	return conn->error;
}

/* Everything but waiting with nothing in view. */
static __attribute__((noinline)) int
receive_carefully(struct torc_conn *conn, struct torc_slice *in,
    torc_deadline deadline)
{
	torc_conn_require_fiber(conn);
	torc_require(in != NULL, "torc_conn_recv needs a place for the view");
	torc_require(conn->reader == NULL,
	    "two fibers receive on one connection");
	if (conn->staged_size > 0)
		torc_send_staged(conn);
	torc_view_rewind(conn);
	if (!torc_recv_news(conn))
		return show_news(conn, in, await_news(conn, in, deadline));
	/* The first view of a handler that was called for it is its turn. */
	return show_news(conn, in, conn->fresh ? 0 : take_turns(conn));
}

int
torc_conn_recv(struct torc_conn *conn, struct torc_slice *in,
    torc_deadline deadline)
{
	struct torc_reactor *reactor = conn->reactor;
	struct torc_fiber *fiber;
	int rc;

	/* Another fiber leaves its own connection for it. */
	if (torc_unlikely(torc_current != reactor ||
	    conn->owner != (fiber = reactor->current)))
		return receive_carefully(conn, in, deadline);
	/* First, so that no register keeps it while the answer is sent. */
	torc_fiber_show_at(fiber, in);
	if (torc_unlikely(conn->reader != NULL || conn->input != 0 ||
	    reactor->phase != TORC_PHASE_RUNNING ||
	    !torc_fiber_may_park(reactor, fiber, deadline) ||
	    (conn->staged_size > 0 && !torc_send_simply(reactor, conn))))
		return receive_carefully(conn, in, deadline);
	conn->reader = fiber;
	torc_fiber_park_simply(reactor, deadline);
	/* Read again: a register that is kept costs more. */
	fiber = conn->reader;
	rc = fiber->result;
	conn->reader = NULL;
	return torc_likely(rc > 0) ? rc : show_news(conn, fiber->seen, rc);
}
