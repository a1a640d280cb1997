/* SPDX-License-Identifier: MIT */
/*
 * spool.h - bytes of a body that are kept for a slow client, so that it does
 * not hold the connection to an origin.
 */
#ifndef TORC_HTTP_SPOOL_H
#define TORC_HTTP_SPOOL_H

#include "conn/http/http.h"

#define SPOOL_BLOCK 16384u	/* bytes */

/*
 * The memory of all spools of a client. The first block of a spool is its
 * reserve, and is not counted. The others have at most `max` bytes together. A
 * spool has at most `each`, and less the more are in use.
 */
struct torc_http_budget {
	uint64_t max;
	uint64_t used;
	uint64_t each;
};

struct torc_http_block {
	struct torc_http_block *next;
	uint32_t start;		/* bytes before it were dropped */
	uint32_t end;
	uint8_t bytes[SPOOL_BLOCK];
};

/* All zero but `budget` when it is empty. */
struct torc_http_spool {
	struct torc_http_budget *budget;
	struct torc_http_block *first;
	struct torc_http_block *last;
	uint64_t size;		/* bytes that are kept */
	uint32_t blocks;
};

/* Whether there is room for more, even if not for a whole piece. */
bool torc_http_spool_open(const struct torc_http_spool *spool);

/*
 * Append bytes. A spool that was open before may exceed its limit by these.
 * Returns 0 or -ENOMEM.
 */
int torc_http_spool_put(struct torc_http_spool *spool, const void *data,
    size_t size);

/* Returns the first bytes, in one piece; the size is 0 if there are none. */
struct torc_slice torc_http_spool_first(const struct torc_http_spool *spool);

/* Drop so many of the first bytes, all of one piece. */
void torc_http_spool_drop(struct torc_http_spool *spool, size_t size);

void torc_http_spool_clear(struct torc_http_spool *spool);

#endif
