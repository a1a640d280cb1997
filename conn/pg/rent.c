/* SPDX-License-Identifier: MIT */
/*
 * rent.c - sessions are rented, and returned in any state. The next user must
 * not see settings, locks or temporary tables of the last one, so a used
 * session is reset before it is rented again.
 */
#include "conn/pg/answer.h"
#include "conn/pg/cancel.h"
#include "conn/pg/carry.h"
#include "conn/pg/client.h"
#include "conn/pg/error.h"
#include "conn/pg/notify.h"
#include "conn/pg/run.h"
#include "conn/pg/session.h"
#include "reactor/error.h"
#include "sys/trap.h"

int
torc_pg_session_acquire(struct torc_pg *pg, struct torc_pg_session **session,
    struct torc_error *error, torc_deadline deadline)
{
	void *item;
	int rc = torc_pool_acquire(pg->session_pool.pool, &item, deadline);

	if (rc < 0)
		return torc_pg_explain(&pg->session_pool, rc, deadline, error);
	torc_error_clear(error);
	*session = item;
	torc_assert(pg_fault_is_mute(&(*session)->fault));
	return 0;
}

/* DISCARD ALL, except for prepared statements and plans. */
#define RESET "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; " \
	"UNLISTEN *; SELECT pg_advisory_unlock_all(); DISCARD SEQUENCES; " \
	"DISCARD TEMP"

static bool
is_to_be_reset(const struct torc_pg_session *session)
{
	const char *reset = session->pg->config.reset;

	return session->used && (reset == NULL || reset[0] != '\0');
}

/* Whether nothing runs on a session, and it did not LISTEN. */
static bool
is_clean(const struct torc_pg_session *session)
{
	return session->lost == 0 && !session->tainted &&
	    !pg_is_running(session) && session->state == 'I' &&
	    session->cancel == NULL && session->view.size == 0 &&
	    session->early.first == NULL &&
	    pg_carry_is_empty(&session->carry);
}

static void
give_back(struct torc_pg_session *session)
{
	const bool reusable = is_clean(session) && !is_to_be_reset(session);

	torc_pg_notes_free(&session->notes);
	torc_pg_fault_clear(&session->fault);
	torc_pool_release(session->pg->session_pool.pool, session, reusable);
}

/*
 * Parks. Reset a session. Statements of PREPARE are dropped, because the next
 * user may choose the same names.
 */
static void
reset(struct torc_pg_session *session, torc_deadline deadline)
{
	const char *text = session->pg->config.reset;
	int rc = torc_pg_session_run(session, text != NULL ? text : RESET,
	    deadline);

	if (rc == 0 && session->prepares)
		rc = torc_pg_session_run(session, "DEALLOCATE ALL", deadline);
	if (rc < 0)
		return;
	session->prepares = false;
	session->used = false;
}

/* Parks. End what the last user left: a statement, a transaction, settings. */
static int
clean_up(void *arg)
{
	struct torc_pg_session *session = arg;
	struct torc_pg *pg = session->pg;
	const torc_deadline deadline = torc_after_ms(pg->config.cancel_ms);
	int rc;

	if (pg_is_running(session) && session->answer.stage != PG_COPYING_IN)
		torc_pg_cancel_begin(session);
	rc = torc_pg_settle(session, deadline);
	if (rc == 0 && session->state != 'I' &&
	    torc_pg_session_run(session, "ROLLBACK", deadline) < 0)
		torc_pg_session_taint(session);
	if (is_clean(session) && is_to_be_reset(session))
		reset(session, deadline);
	give_back(session);
	torc_pg_fiber_end(pg);
	return 0;
}

void
torc_pg_session_release(struct torc_pg_session *session)
{
	const bool idle = is_clean(session) && !is_to_be_reset(session);

	if (idle || session->tainted || session->lost < 0 ||
	    torc_pg_fiber(session->pg, clean_up, session) < 0)
		give_back(session);
}

void
torc_pg_session_taint(struct torc_pg_session *session)
{
	session->tainted = true;
}

const struct torc_pg_error *
torc_pg_session_error(const struct torc_pg_session *session)
{
	return &session->fault.error;
}

char
torc_pg_session_state(const struct torc_pg_session *session)
{
	return (char)(pg_is_running(session) || session->lost < 0 ? 0 :
	    session->state);
}
