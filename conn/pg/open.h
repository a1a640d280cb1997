/* SPDX-License-Identifier: MIT */
/* open.h - opens connections, to the first suitable address. */
#ifndef TORC_PG_OPEN_H
#define TORC_PG_OPEN_H

#include "conn/pg/client.h"
#include "conn/pg/session.h"

/* For both pools. */
extern const struct torc_pool_kind torc_pg_pool_kind;

/*
 * Whether an error says that the connection leads to the wrong kind of server.
 * Another connection may lead to the right one.
 */
bool torc_pg_is_misplaced(const struct torc_pg_session *session,
    const struct pg_report *report);

#endif
