/*
 * share.h - the connections that many fibers use at once.
 */
#ifndef TORC_PG_SHARE_H
#define TORC_PG_SHARE_H

#include "conn/pg/client.h"
#include "conn/pg/session.h"

/* Parks. A connection for one statement, until torc_pg_share_leave(). */
int torc_pg_share_join(struct torc_pg *pg, struct torc_pg_session **session,
    torc_deadline deadline);
void torc_pg_share_leave(struct torc_pg_session *session);
/* It gets no more statements. */
void torc_pg_share_retire(struct torc_pg_session *session);
/* Statements wait there, and for some time none was answered. */
bool torc_pg_share_stands_still(const struct torc_pg_session *session);

/* Whether fibers ask over shared connections. */
bool torc_pg_share_used(const struct torc_pg *pg);
/* Nobody asks any more: the shared ones that still have answers to come. */
void torc_pg_share_end(struct torc_pg *pg);

#endif
