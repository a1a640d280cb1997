/* SPDX-License-Identifier: MIT */
/*
 * watch.c - polls: for bytes, where a connection is not given a receive, and
 * for the peer's end, which a fiber that waits for something else wants to be
 * told of.
 *
 * Mostly a receive is armed, and its completion tells of both. A poll of
 * io_uring always ends at a FIN, whatever it was asked for; so what follows a
 * FIN is not polled for.
 */
#include <errno.h>
#include <poll.h>

#include "conn/conn.h"
#include "conn/recv.h"
#include "conn/watch.h"
#include "reactor/fiber.h"

/* The peer has gone, as its watcher understands that. */
static bool
is_gone(const struct torc_conn *conn)
{
	return conn->failed || conn->hung_up ||
	    (conn->watch_fin && (conn->eof || conn->fin_seen));
}

/* Only a poll could tell that the peer goes. */
static bool
needs_eye(const struct torc_conn *conn)
{
	return conn->watcher != 0 && !conn->armed && !conn->eof &&
	    !conn->fin_seen && !is_gone(conn);
}

static void
arm(struct torc_conn *conn)
{
	struct io_uring_sqe *sqe = torc_reactor_claim(conn->reactor);

	torc_debug_assert(!conn->polling);
	if (sqe == NULL) {
		torc_reactor_later(conn->reactor, &conn->todo);
		return;
	}
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = conn->fd;
	sqe->poll32_events = conn->poll_input ? POLLIN : POLLRDHUP;
	sqe->user_data = torc_conn_poll_tag(conn);
	conn->polling = true;
	conn->poll_ending = false;
	conn->poll_reads = conn->poll_input;
}

static void
end(struct torc_conn *conn)
{
	torc_debug_assert(conn->polling);
	if (conn->poll_ending)
		return;
	if (torc_reactor_cancel(conn->reactor, torc_conn_poll_tag(conn)))
		conn->poll_ending = true;
	else
		torc_reactor_later(conn->reactor, &conn->todo);
}

void
torc_watch_advance(struct torc_conn *conn)
{
	const bool wanted = !conn->doomed &&
	    (conn->poll_input || needs_eye(conn));

	if (!conn->polling && wanted)
		arm(conn);
	else if (conn->polling &&
	    (!wanted || (conn->poll_input && !conn->poll_reads)))
		end(conn);
}

void
torc_watch_input(struct torc_conn *conn)
{
	torc_debug_assert(!conn->poll_input && !conn->armed);
	conn->poll_input = true;
	torc_watch_advance(conn);
}

void
torc_watch_missed(struct torc_conn *conn)
{
	conn->poll_ending = false;
}

void
torc_watch_tell(struct torc_conn *conn)
{
	struct torc_fiber *fiber;

	if (conn->watcher == 0 || !is_gone(conn))
		return;
	fiber = torc_fiber_find(conn->reactor, conn->watcher);
	if (fiber != NULL)
		torc_fiber_notify(fiber, TORC_CANCEL_PEER);
}

void
torc_watch_drop(struct torc_conn *conn)
{
	struct torc_fiber *fiber;

	if (conn->watcher == 0)
		return;
	fiber = torc_fiber_find(conn->reactor, conn->watcher);
	if (fiber != NULL)
		torc_fiber_pacify(fiber, TORC_CANCEL_PEER);
	conn->watcher = 0;
	torc_watch_advance(conn);
}

static void
note_events(struct torc_conn *conn, unsigned events)
{
	torc_debug_assert(!conn->doomed);
	conn->fin_seen |= (events & POLLRDHUP) != 0;
	conn->errored |= (events & POLLERR) != 0;
	/* Both sides have sent FIN: that is no failure. */
	conn->hung_up |= conn->errored ||
	    ((events & POLLHUP) != 0 && !conn->shut);
	torc_watch_tell(conn);
}

void
torc_watch_complete(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe)
{
	struct torc_conn *conn = object;
	bool reads = conn->poll_reads && conn->poll_input;

	torc_assert(conn->polling);
	conn->polling = false;
	if (conn->doomed) {
		torc_conn_advance(conn);
		return;
	}
	torc_reactor_later(reactor, &conn->todo);
	if (cqe->res > 0) {
		note_events(conn, (unsigned)cqe->res);
		if (!reads)
			return;
		conn->poll_input = false;
		torc_recv_ready(conn);
	} else if (cqe->res != -ECANCELED && cqe->res != -EINTR &&
	    cqe->res != -EAGAIN) {
		reactor->counters->receive_failures++;
		conn->poll_input = false;
		torc_recv_fail(conn, cqe->res);
	}
}

/* ---- For handlers ---- */

void
torc_conn_watch_begin(struct torc_conn *conn, enum torc_watch what)
{
	torc_conn_require_fiber(conn);
	torc_require(conn->watcher == 0,
	    "a connection is watched by two fibers");
	conn->watcher = torc_fiber_self();
	conn->watch_fin = what == TORC_WATCH_FIN;
	torc_watch_tell(conn);
	torc_watch_advance(conn);
}

void
torc_conn_watch_end(struct torc_conn *conn)
{
	torc_conn_require_fiber(conn);
	torc_require(conn->watcher == 0 ||
	    conn->watcher == torc_fiber_self(),
	    "the watch of another fiber was ended");
	torc_watch_drop(conn);
}

int
torc_conn_peer_state(const struct torc_conn *conn)
{
	torc_conn_require(conn);
	if (conn->failed)
		return conn->error;
	if (conn->hung_up)
		return -ECONNRESET;
	return conn->eof || conn->fin_seen ? TORC_PEER_SHUT : TORC_PEER_OPEN;
}
