/* SPDX-License-Identifier: MIT */
/*
 * cache.h - the statements that are prepared on a connection.
 */
#ifndef TORC_PG_CACHE_H
#define TORC_PG_CACHE_H

#include "conn/pg/shape.h"

/*
 * No other connection has statements with these names, whichever client or
 * process it belongs to: a pooler may connect both to the same server.
 */
#define PG_NAME_SIZE 64u
#define PG_PREFIX_SIZE 40u

/*
 * A statement that is prepared on one connection, and held by the requests that
 * use it.
 */
struct pg_statement {
	struct pg_statement *chain;	/* of its bucket */
	struct pg_statement *newer;
	struct pg_statement *older;
	unsigned refs;
	uint64_t hash;
	uint64_t id;		/* from 1, in the order of their making */
	char name[PG_NAME_SIZE];	/* used once; "" if it has none */
	char *sql;
	uint32_t *types;
	unsigned type_count;
	bool inferred;		/* the server chose a parameter's type */
	unsigned nature;	/* see nature.h */
	bool binary;
	struct pg_shape *shape;	/* of its last result */
};

struct pg_cache {
	struct pg_statement **buckets;
	unsigned bucket_count;	/* a power of two */
	unsigned count;
	unsigned most;
	struct pg_statement *newest;
	struct pg_statement *oldest;
	struct pg_statement *closing;	/* removed, to be closed; linked by
				 * `chain` */
	uint64_t last_id;
	char prefix[PG_PREFIX_SIZE];	/* of names; "": they have none */
};

int torc_pg_cache_init(
    struct pg_cache *cache, unsigned most, const char *prefix);
void torc_pg_cache_fini(struct pg_cache *cache);
/* The server has forgotten all statements. */
void torc_pg_cache_clear(struct pg_cache *cache);
struct pg_statement *torc_pg_cache_find(struct pg_cache *cache,
    const struct torc_pg_statement *wanted);
/*
 * Add a statement. The oldest one is removed for it. Returns NULL if there is
 * no memory.
 */
struct pg_statement *torc_pg_cache_add(struct pg_cache *cache,
    const struct torc_pg_statement *wanted);
/*
 * Forget a statement. `close`: the server has it, and must close it, too.
 * Otherwise statements that were waiting to be closed are not closed, either.
 */
void torc_pg_cache_drop(struct pg_cache *cache, struct pg_statement *statement,
    bool close);
/*
 * Write Close for `first` and for those that were dropped before it, if there
 * are any.
 */
void torc_pg_cache_put_closing(const struct pg_statement *first,
    struct pg_writer *writer);
/* The messages were written. */
void torc_pg_cache_closed(
    struct pg_cache *cache, const struct pg_statement *first);

struct pg_statement *torc_pg_statement_ref(struct pg_statement *statement);
void torc_pg_statement_unref(struct pg_statement *statement);

#endif
