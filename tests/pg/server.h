/* SPDX-License-Identifier: MIT */
/*
 * server.h - a PostgreSQL of the tests' own: in a folder of its own, on a
 * free port and a unix socket, with a user for each way to log in.
 */
#ifndef TORC_TESTS_PG_SERVER_H
#define TORC_TESTS_PG_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

struct pg_server {
	char folder[64];
	char tcp[32];		/* addresses as torc_dial() reads them */
	char local[96];
	char key[128];		/* for libpq: where it is */
	unsigned port;
	pid_t pid;
};

#define PG_PASSWORD "s3cret"

/*
 * Make and start it; the users are torc (trust), clear (password), hashed
 * (md5), scram (scram-sha-256), all with PG_PASSWORD. False, and a line SKIP
 * that says why, if that cannot be done here.
 */
bool pg_server_make(struct pg_server *server);
/* A hot standby of a server that runs. */
bool pg_server_copy(struct pg_server *standby,
    const struct pg_server *primary);
/* Start it again after a stop or a kill; false if it does not come up. */
bool pg_server_start(struct pg_server *server);
void pg_server_stop(struct pg_server *server);
/* A signal to it and to all its processes. */
void pg_server_signal(const struct pg_server *server, int number);
/* SIGKILL, and wait until all are gone. */
void pg_server_kill(struct pg_server *server);
void pg_server_remove(struct pg_server *server);

/* Statements by way of libpq; false if one fails. */
bool pg_server_sql(const struct pg_server *server, const char *sql);

/* PgBouncer before a server, for all users of it. */
struct pg_pooler {
	char folder[64];
	char tcp[32];
	pid_t pid;
};

/*
 * `mode`: "session", "transaction" or "statement"; `servers`: connections of
 * its own; `more`: lines of its configuration. The program is that of the
 * environment's PGBOUNCER, or Debian's. False, and a line SKIP, if there is
 * none.
 */
bool pg_pooler_start(struct pg_pooler *pooler, const struct pg_server *server,
    const char *mode, unsigned servers, const char *more);
void pg_pooler_stop(struct pg_pooler *pooler);

#endif
