/* SPDX-License-Identifier: MIT */
/* open.h - opens connections, to the first suitable address. */
#ifndef TORC_PG_OPEN_H
#define TORC_PG_OPEN_H

#include "conn/pg/client.h"
#include "conn/pg/session.h"

/* For both pools. */
extern const struct torc_pool_kind torc_pg_pool_kind;

/*
 * Parks. Only connect, to an address of the name that was not dialled yet.
 * Returns -EALREADY if all were.
 */
int torc_pg_dial(struct torc_pg *pg, struct torc_conn **conn,
    const char *address, struct torc_dialled *dialled, torc_deadline deadline);

/* Say what is wrong while a connection is opened. */
__attribute__((format(printf, 2, 3)))
void torc_pg_say(struct torc_pg_session *session, const char *format, ...);

/*
 * Whether an error says that the connection leads to the wrong kind of server.
 * Another connection may lead to the right one.
 */
bool torc_pg_is_misplaced(const struct torc_pg_session *session,
    const struct pg_report *report);

#endif
