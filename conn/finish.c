/*
 * finish.c - the last steps of a connection that ends in order: what is staged
 * is sent, then FIN, then that of the peer is awaited.
 */
#include <errno.h>

#include "conn/net.h"
#include "reactor/fiber.h"
#include "sys/sys.h"

/* Read what the peer still sends, until its FIN. 0 or a negative errno. */
static int
await_fin(struct torc_conn *conn, uint64_t deadline)
{
	struct torc_slice unread;
	int rc = 0;

	while (rc >= 0 && !conn->eof && !conn->failed) {
		torc_recv_discard(conn);
		rc = torc_recv_park(conn, &unread, deadline);
	}
	return conn->eof || rc > 0 ? 0 : rc;
}

/*
 * Wait for the FIN of a peer for as long as it takes to send what the kernel
 * has, at most until `sent_by` or while its pace allows, and then for
 * `linger_ms`.
 */
static int
linger(struct torc_conn *conn, uint64_t sent_by)
{
	const unsigned ms = conn->reactor->config.linger_ms;
	struct torc_pace *pace = &conn->pace;
	const bool paced = pace->most_ns > 0 && pace->most_ns < TORC_NEVER;
	int unsent = 0;

	do {
		const uint64_t since = conn->reactor->now;
		const int before = unsent;
		int rc = await_fin(conn, torc_conn_limit(conn, ms));

		if (rc != -ETIMEDOUT)
			return rc;
		unsent = torc_sys_unsent(conn->fd);
		if (paced && before > 0)
			torc_pace_note(pace, since, unsent < before ?
			    (uint64_t)before - (uint64_t)unsent : 0);
	} while (unsent > 0 && (conn->reactor->now < sent_by ||
	    (paced && pace->left_ns > 0)));
	return -ETIMEDOUT;
}

void
torc_finish_others(struct torc_conn *conn)
{
	while (conn->reader != NULL || conn->writer != NULL) {
		if (conn->reader != NULL) {
			torc_fiber_interrupt(conn->reader);
			/* Also one that was woken, or let others run. */
			conn->reader->result = -ECANCELED;
		}
		if (conn->writer != NULL)
			torc_fiber_interrupt(conn->writer);
		torc_fiber_step_aside(conn->reactor);
	}
}

int
torc_finish(struct torc_conn *conn, uint64_t sent_by, uint64_t fin_by)
{
	int rc, error;

	torc_recv_discard(conn);
	rc = torc_conn_flush(conn, sent_by);
	if (rc == 0 && !conn->eof && !conn->failed) {
		rc = torc_conn_shutdown(conn, sent_by);
		if (rc == 0 && fin_by != 0)
			rc = await_fin(conn, fin_by);
		else if (rc == 0 && !conn->evicted)
			rc = linger(conn, sent_by);
	}
	conn->reset = rc != 0;
	/* It is the connection's end, but not one in order. */
	error = conn->failed ? conn->error : 0;
	torc_conn_doom(conn);
	return rc != 0 ? rc : error;
}

static int
run_finish(void *arg)
{
	struct torc_conn *conn = arg;

	torc_finish(conn, torc_conn_limit(conn,
	    conn->reactor->config.close_ms), 0);
	return 0;
}

void
torc_conn_retire(struct torc_conn *conn)
{
	torc_assert(conn->dormant);
	conn->dormant = false;
	torc_timers_disarm(&conn->reactor->timers, &conn->timer);
	if (!torc_send_idle(conn)) {
		if (torc_fiber_start(conn->reactor, NULL, run_finish,
		    conn) == 0)
			return;
		conn->reset = true;
	}
	torc_conn_doom(conn);
}
