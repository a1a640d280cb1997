/* SPDX-License-Identifier: MIT */
/*
 * open.h - connections are opened, on the first address that is good for it.
 */
#ifndef TORC_PG_OPEN_H
#define TORC_PG_OPEN_H

#include "conn/pg/client.h"
#include "conn/pg/session.h"

/* For both pools. */
extern const struct torc_pool_kind torc_pg_pool_kind;

/* Parks. Connect, without more, to an address of the name that was not dialled
 * (-EALREADY: all were). */
int torc_pg_dial(struct torc_pg *pg, struct torc_conn **conn,
    const char *address, struct torc_dialled *dialled, torc_deadline deadline);

/* While it is opened: what is wrong. */
__attribute__((format(printf, 2, 3)))
void torc_pg_say(struct torc_pg_session *session, const char *format, ...);

/* Whether an error says that the connection is not, or not any more, good for
 * what it should be able to do: another one may be. */
bool torc_pg_is_misplaced(const struct torc_pg_session *session,
    const struct pg_report *report);

#endif
