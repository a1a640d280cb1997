/* SPDX-License-Identifier: MIT */
/*
 * run.h - what runs on a session, until the server is ready again.
 */
#ifndef TORC_PG_RUN_H
#define TORC_PG_RUN_H

#include "conn/pg/session.h"

/* Parks. Nothing runs any more, and nothing is on its way to the server. */
int torc_pg_settle(struct torc_pg_session *session, torc_deadline deadline);
/* Parks. Until the server is ready: 0, -EREMOTEIO if what ran failed, or
 * another error. */
int torc_pg_read_to_end(
    struct torc_pg_session *session, torc_deadline deadline);

/* Parks. The next event of what runs, but PG_NOTHING. */
int torc_pg_next_event(struct torc_pg_session *session,
    struct pg_message *message, torc_deadline deadline);
/* What a message means for what runs. */
int torc_pg_take_event(struct torc_pg_session *session,
    const struct pg_message *message);

/* Words for an error that came before something, of this statement. What was
 * said first of a connection that is lost stays. */
void torc_pg_tell(struct torc_pg_session *session, const char *sql, int error,
    const char *what);
/* What runs is not waited for any more. */
void torc_pg_abandon(struct torc_pg_session *session);
/* What runs failed with `error`, which is returned: it is abandoned, and the
 * session's error has words, unless the server's are there. */
int torc_pg_give_up(struct torc_pg_session *session, int error);
/* 0, or why the connection is lost, and the session's error has words. */
int torc_pg_check_alive(struct torc_pg_session *session);

#endif
