/* SPDX-License-Identifier: MIT */
/* connect.h - one connection to one address, in clear text or over TLS. */
#ifndef TORC_PG_CONNECT_H
#define TORC_PG_CONNECT_H

#include "conn/pg/client.h"
#include "conn/pg/session.h"

/*
 * Parks. Only connect, to an address of the name that was not dialled yet.
 * Returns -EALREADY if all were.
 */
int torc_pg_dial(struct torc_pg *pg, struct torc_conn **conn,
    const char *address, struct torc_dialled *dialled, torc_deadline deadline);

/*
 * Parks. Begin TLS with a server of this name, as the configuration says: ask
 * for it first, unless it is direct. Returns 0; or a negative errno, and
 * `error` (may be NULL) says why: -EPROTONOSUPPORT the server has none, and
 * waits for a startup.
 */
int torc_pg_encrypt(const struct torc_pg *pg, struct torc_conn *conn,
    const char *name, struct torc_error *error, torc_deadline deadline);

/*
 * Parks. Connect a session, with TLS or without, to an address of `dialled`'s
 * name. Returns as torc_pg_dial() and torc_pg_encrypt(). If TLS is only
 * preferred, a server that has none is connected to in clear text.
 */
int torc_pg_connect(struct torc_pg_session *session, bool encrypted,
    struct torc_dialled *dialled, torc_deadline deadline);

/* Why a session that is opened has failed, in words; of TLS, too. */
const char *torc_pg_connect_cause(const struct torc_pg_session *session,
    int error);

/* Say what is wrong while a connection is opened. */
__attribute__((format(printf, 2, 3)))
void torc_pg_say(struct torc_pg_session *session, const char *format, ...);

#endif
