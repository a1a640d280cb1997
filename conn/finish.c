/* SPDX-License-Identifier: MIT */
/*
 * finish.c - the last steps of a connection that ends in order: what is staged
 * is sent, then FIN, then that of the peer is awaited.
 */
#include <errno.h>

#include "conn/conn.h"
#include "conn/drain.h"
#include "conn/finish.h"
#include "conn/recv.h"
#include "conn/send.h"
#include "conn/transport.h"
#include "conn/view.h"
#include "reactor/fiber.h"
#include "sys/sys.h"

#define LOOK_MS 20u		/* in a drain, while the kernel sends */

/* Read what the peer still sends, until its FIN. 0 or a negative errno. */
static int
await_fin(struct torc_conn *conn, torc_deadline deadline)
{
	struct torc_slice unread;
	int rc = 0;

	torc_debug_assert(conn->shut && conn->reader == NULL);
	while (rc >= 0 && !conn->eof && !conn->failed) {
		torc_view_discard(conn);
		rc = torc_recv_park(conn, &unread, deadline);
	}
	return conn->eof || rc > 0 ? 0 : rc;
}

/*
 * Bytes that the kernel has, and the peer has not acknowledged. In a drain,
 * not the FIN: what is left then is the kernel's to do.
 */
static int
unsent_bytes(const struct torc_conn *conn)
{
	int unsent = torc_sys_unsent(conn->fd);

	return conn->reactor->phase >= TORC_PHASE_DRAINING && unsent == 1 ? 0 :
	    unsent;
}

/*
 * Wait for the FIN of a peer for as long as it takes to send what the kernel
 * has, at most until `sent_by` or while its pace allows, and then for
 * `linger_ms`; in a drain, for less, and it does not end with a reset.
 */
static int
linger(struct torc_conn *conn, torc_deadline sent_by)
{
	struct torc_pace *pace = &conn->pace;
	const bool paced = pace->most_ns > 0 && pace->most_ns < UINT64_MAX;
	int unsent = 0;

	torc_debug_assert(conn->lingers && conn->shut);
	do {
		const uint64_t since = conn->reactor->now;
		const int before = unsent;
		unsigned ms = torc_drain_linger_ms(conn);
		int rc;

		if (unsent > 0 && ms < LOOK_MS)
			ms = LOOK_MS;
		rc = await_fin(conn, torc_conn_limit(conn, ms));
		if (rc != -ETIMEDOUT)
			return rc;
		unsent = unsent_bytes(conn);
		if (paced && before > 0)
			torc_pace_note(pace, since, unsent < before ?
			    (uint64_t)before - (uint64_t)unsent : 0);
	} while (unsent > 0 && (conn->reactor->now < sent_by.at ||
	    (paced && pace->left_ns > 0)));
	return unsent <= 0 && conn->reactor->phase >= TORC_PHASE_DRAINING ? 0 :
	    -ETIMEDOUT;
}

void
torc_finish_others(struct torc_conn *conn)
{
	while (conn->reader != NULL || conn->writer != NULL) {
		if (conn->reader != NULL) {
			/* Also one that was woken, or let others run. */
			torc_fiber_interrupt_always(conn->reader);
		}
		if (conn->writer != NULL)
			torc_fiber_interrupt(conn->writer);
		torc_fiber_step_aside(conn->reactor);
	}
}

int
torc_finish(struct torc_conn *conn, torc_deadline sent_by,
    torc_deadline fin_by)
{
	bool lingers = false;
	int rc, error;

	torc_debug_assert(!conn->doomed && conn->reader == NULL &&
	    conn->writer == NULL);
	torc_view_discard(conn);
	/* It has something to read before it closes. */
	if (!torc_send_idle(conn))
		torc_drain_set_silent(conn, false);
	rc = torc_conn_flush(conn, sent_by);
	/* A transport says that it ends, also to a peer that has ended. */
	if (rc == 0 && conn->eof && conn->transport != NULL)
		rc = torc_conn_shutdown(conn, sent_by);
	else if (rc == 0 && !conn->eof && !conn->failed) {
		rc = torc_conn_shutdown(conn, sent_by);
		if (rc == 0 && fin_by.at != 0)
			rc = await_fin(conn, fin_by);
		else if (rc == 0 && !conn->evicted) {
			lingers = true;
			conn->lingers = true;
			rc = linger(conn, sent_by);
		}
	}
	conn->lingers = false;
	/* It is the connection's end, but not one in order. */
	error = conn->failed ? conn->error : 0;
	torc_conn_doom(conn, rc != 0 &&
	    !(lingers && torc_drain_is_over(conn)));
	return rc != 0 ? rc : error;
}

static int
run_finish(void *arg)
{
	struct torc_conn *conn = arg;

	torc_finish(conn, torc_conn_limit(conn,
	    conn->reactor->config.close_ms), TORC_AT_ONCE);
	return 0;
}

void
torc_conn_retire(struct torc_conn *conn)
{
	bool reset = false;

	torc_assert(conn->dormant);
	torc_conn_set_dormant(conn, false);
	torc_drain_set_silent(conn, true);
	torc_timers_disarm(&conn->reactor->timers, &conn->timer);
	/* No handler was told of it, or none is to be. */
	if (conn->transport != NULL && !conn->transport->ready) {
		torc_conn_doom(conn, false);
		return;
	}
	if (!torc_send_idle(conn)) {
		if (torc_fiber_start(conn->reactor, NULL, run_finish,
		    conn) == 0)
			return;
		reset = true;
	} else if (conn->transport != NULL) {
		torc_transport_close(conn);
	}
	torc_conn_doom(conn, reset);
}
