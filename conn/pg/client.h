/* SPDX-License-Identifier: MIT */
/*
 * client.h - the client of a reactor: its pools, and fibers of its own.
 */
#ifndef TORC_PG_CLIENT_H
#define TORC_PG_CLIENT_H

#include "conn/pg/config.h"
#include "conn/kit/shared.h"

struct pg_pool {
	struct torc_pg *pg;
	struct torc_pool *pool;
	struct torc_error failure;	/* of the last attempt to open one */
};

struct torc_pg {
	struct torc_reactor *reactor;
	struct torc_pg_config config;
	struct pg_setup setup;	/* where its texts are */
	struct pg_pool shared_pool;
	struct pg_pool session_pool;
	struct torc_shared_set shared;	/* of the shared pool's */
	unsigned fibers;	/* of its own */
	bool doomed;		/* the last of them frees it */
	uint64_t random;	/* of this client, for names */
	uint64_t last_session;
	struct torc_waiters quiet;	/* until there are none */
	struct torc_pg_stats stats;
};

/*
 * Run entry(arg) on a fiber that torc_pg_destroy() waits for. The fiber must
 * call torc_pg_fiber_end() last. Returns 0 or a negative errno.
 */
int torc_pg_fiber(struct torc_pg *pg, torc_fiber_entry *entry, void *arg);
void torc_pg_fiber_end(struct torc_pg *pg);

/*
 * Explain the error `rc` of an acquire with this deadline. Returns `rc`. A
 * failed attempt to open a connection wakes all fibers that wait for it. They
 * run before another attempt can end.
 */
int torc_pg_explain(const struct pg_pool *pool, int rc,
    torc_deadline deadline, struct torc_error *error);

#endif
