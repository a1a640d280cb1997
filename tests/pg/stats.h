/* SPDX-License-Identifier: MIT */
/*
 * stats.h - what a client and its pools have done, in one structure.
 */
#ifndef TORC_TESTS_PG_STATS_H
#define TORC_TESTS_PG_STATS_H

#include "conn/pg/torc_pg.h"

struct client_stats {
	struct torc_pg_stats own;
	struct torc_pool_stats shared;
	struct torc_pool_stats sessions;
};

static inline void
read_stats(const struct torc_pg *pg, struct client_stats *stats)
{
	torc_pg_stats_read(pg, &stats->own);
	torc_pool_stats_read(torc_pg_shared_pool(pg), &stats->shared);
	torc_pool_stats_read(torc_pg_session_pool(pg), &stats->sessions);
}

#endif
