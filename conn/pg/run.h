/* SPDX-License-Identifier: MIT */
/*
 * run.h - what runs on a session, until the server is ready again.
 */
#ifndef TORC_PG_RUN_H
#define TORC_PG_RUN_H

#include "conn/pg/session.h"

/*
 * Parks. Wait until nothing runs any more, and nothing is on its way to the
 * server.
 */
int torc_pg_settle(struct torc_pg_session *session, torc_deadline deadline);
/*
 * Parks. Read until the server is ready. Returns 0; -EREMOTEIO if the statement
 * failed; or another error.
 */
int torc_pg_read_to_end(
    struct torc_pg_session *session, torc_deadline deadline);

/* Parks. Returns the next event of the statement, but not PG_NOTHING. */
int torc_pg_next_event(struct torc_pg_session *session,
    struct pg_message *message, torc_deadline deadline);
/* Returns what a message means for the statement that runs. */
int torc_pg_take_event(struct torc_pg_session *session,
    const struct pg_message *message);

/*
 * Set the text of an error of this statement that came before something. The
 * first text about a lost connection is kept.
 */
void torc_pg_tell(struct torc_pg_session *session, const char *sql, int error,
    const char *what);
/* Give up the statement that runs. */
void torc_pg_abandon(struct torc_pg_session *session);
/*
 * The statement failed with `error`: give it up, and set the session's text
 * unless the server's is there. Returns `error`.
 */
int torc_pg_give_up(struct torc_pg_session *session, int error);
/* Returns 0; or why the connection is lost, and sets the session's text. */
int torc_pg_check_alive(struct torc_pg_session *session);

#endif
