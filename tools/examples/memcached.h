/* SPDX-License-Identifier: MIT */
/*
 * memcached.h - a client of memcached. `pool` is one of torc_conn_pool_kind().
 * All calls park, and fail as torc_pool_acquire() and torc_conn_recv(); or with
 * -EINVAL: a key has 1 to 250 bytes and no spaces; -EPROTO: that is no answer.
 */
#ifndef TORC_EXAMPLES_MEMCACHED_H
#define TORC_EXAMPLES_MEMCACHED_H

#include <torc_client.h>

/* The value of a key, to be freed with free(): 1; 0: there is none. */
int memcached_get(struct torc_pool *pool, const char *key, void **value,
    size_t *size, torc_deadline deadline);

/* Keep a value for so many seconds, 0: for ever. -EFBIG: it is too large. */
int memcached_set(struct torc_pool *pool, const char *key, const void *value,
    size_t size, unsigned seconds, torc_deadline deadline);

/* Forget a key: 1; 0: there was none. */
int memcached_delete(struct torc_pool *pool, const char *key,
    torc_deadline deadline);

#endif
