/* SPDX-License-Identifier: MIT */
/*
 * secure.h - TLS for the PostgreSQL of the tests. Its certificates are made as
 * the test runs, and go with the server's folder:
 *
 *	ca, other_ca	sign others
 *	server		for localhost and 127.0.0.1
 *	stranger	for other.test, by ca
 *	expired		as server, but its time is over
 *	edward		as server, with Ed25519, signed by itself
 *	certified	of a client, for the user of that name
 *	other_client	the same, by other_ca
 *
 * Users: `only_tls`, `only_clear` and `certified` are let in as they say.
 */
#ifndef TORC_TESTS_PG_SECURE_H
#define TORC_TESTS_PG_SECURE_H

#include "conn/torc.h"
#include "tests/pg/server.h"

/* Make its files, and switch TLS on. */
bool pg_server_secure(const struct pg_server *server);

/* The path of a file; good until the eighth call after this. */
const char *pg_server_file(const struct pg_server *server, const char *name);

/* ssl on or off, with this certificate and its key, for new connections. */
bool pg_server_tls(const struct pg_server *server, const char *ssl,
    const char *certificate);

/*
 * With TORC_PG_TLS in the environment: what connections to `server` go through,
 * so that tests of all else can be run over TLS. Otherwise NULL.
 */
struct torc_transport_dialler *pg_server_transport(
    const struct pg_server *server);

#endif
