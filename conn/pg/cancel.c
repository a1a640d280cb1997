/* SPDX-License-Identifier: MIT */
/*
 * cancel.c - asks the server, on another connection, to cancel what runs on
 * this one.
 */
#include <errno.h>
#include <string.h>

#include "conn/pg/cancel.h"
#include "conn/pg/client.h"
#include "conn/pg/connect.h"
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
	const char *name;	/* of the host, if the session has TLS */
};

/* Parks. The secret of a session with TLS is not shown in clear text. */
static int
connect_cancel(const struct pg_cancel *cancel, struct torc_conn **conn,
    torc_deadline deadline)
{
	struct torc_dialled dialled = { .count = 0 };
	int rc = torc_pg_dial(cancel->pg, conn, cancel->address, &dialled,
	    deadline);

	if (rc < 0 || cancel->name == NULL)
		return rc;
	rc = torc_pg_encrypt(cancel->pg, *conn, cancel->name, NULL, deadline);
	if (rc < 0)
		torc_conn_close(*conn, TORC_AT_ONCE);
	return rc;
}

/*
 * Parks. Send a cancel. The server closes the connection when it has passed the
 * cancel on. Returns false if it may still be on its way.
 */
static bool
send_cancel(const struct pg_cancel *cancel, torc_deadline deadline)
{
	uint8_t memory[16];
	struct pg_writer writer = { .data = memory, .size = sizeof(memory) };
	struct torc_conn *conn;
	struct torc_slice none;
	int64_t rc;

	if (connect_cancel(cancel, &conn, deadline) < 0)
		return true;
	torc_pg_put_cancel(&writer, cancel->process, cancel->secret);
	rc = torc_conn_write(conn, memory, writer.used, deadline);
	if (rc == 0)
		rc = torc_conn_recv(conn, &none, deadline);
	torc_conn_close(conn, TORC_AT_ONCE);
	/* With TLS, the end may be there and not be said. */
	return rc == 0 || rc == -ENOLINK;
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
		.secret = session->secret,
		.name = session->transport != NULL ? session->name : NULL };
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
