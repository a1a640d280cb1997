/* SPDX-License-Identifier: MIT */
/*
 * cancel.c - asks the server, on another connection, to cancel what runs on
 * this one.
 */
#include <errno.h>
#include <string.h>

#include "conn/pg/cancel.h"
#include "conn/pg/client.h"
#include "conn/pg/open.h"
#include "conn/pg/session.h"
#include "conn/pg/wire.h"
#include "sys/trap.h"
#include "sys/sys.h"

struct pg_cancel {
	struct torc_pg *pg;
	struct torc_pg_session *session;	/* NULL: the session is gone */
	uint32_t process;
	uint32_t secret;
	char address[PG_PEER_SIZE];	/* of that very server */
};

/*
 * Parks. Send a cancel. The server closes the connection when it has passed the
 * cancel on. Returns false if it may still be on its way.
 */
static bool
send_cancel(const struct pg_cancel *cancel, torc_deadline deadline)
{
	uint8_t memory[16];
	struct pg_writer writer = { .data = memory, .size = sizeof(memory) };
	struct torc_dialled dialled = { .count = 0 };
	struct torc_conn *conn;
	struct torc_slice none;
	int rc;

	if (torc_pg_dial(cancel->pg, &conn, cancel->address, &dialled,
	    deadline) < 0)
		return true;
	torc_pg_put_cancel(&writer, cancel->process, cancel->secret);
	rc = torc_conn_write(conn, memory, writer.used, deadline);
	if (rc == 0)
		rc = torc_conn_recv(conn, &none, deadline);
	torc_conn_close(conn, TORC_AT_ONCE);
	return rc == 0;
}

static int
run_cancel(void *arg)
{
	struct pg_cancel *cancel = arg;
	struct torc_pg *pg = cancel->pg;
	const bool gone = send_cancel(cancel,
	    torc_after_ms(pg->config.cancel_ms));
	struct torc_pg_session *session = cancel->session;

	if (session != NULL) {
		torc_assert(session->cancel == cancel);
		session->cancel = NULL;
		/* The cancel could hit any later statement. */
		if (!gone && session->lost == 0)
			session->lost = -ECONNABORTED;
		torc_wake_all(&session->calm, 0);
	}
	torc_sys_free(cancel);
	torc_pg_fiber_end(pg);
	return 0;
}

void
torc_pg_cancel_begin(struct torc_pg_session *session)
{
	struct pg_cancel *cancel;

	if (session->cancel != NULL || session->process == 0)
		return;
	cancel = torc_sys_alloc_raw(sizeof(*cancel));
	if (cancel == NULL)
		return;
	*cancel = (struct pg_cancel) { .pg = session->pg,
		.session = session, .process = session->process,
		.secret = session->secret };
	memcpy(cancel->address, session->peer, sizeof(cancel->address));
	if (torc_pg_fiber(session->pg, run_cancel, cancel) < 0) {
		torc_sys_free(cancel);
		return;
	}
	session->cancel = cancel;
	session->cancelled = true;
	session->pg->stats.cancels++;
}

void
torc_pg_cancel_forget(struct torc_pg_session *session)
{
	if (session->cancel != NULL)
		session->cancel->session = NULL;
	session->cancel = NULL;
}
