/* SPDX-License-Identifier: MIT */
/*
 * memcached.h - a client of memcached, on a pool of torc_conn_pool_kind().
 *
 * All calls park. They return the errors of torc_pool_acquire() and of
 * torc_conn_recv(), or: -EINVAL the key does not have 1 to 250 bytes, or has a
 * space in it; -EPROTO the server's answer is not valid.
 */
#ifndef TORC_EXAMPLES_MEMCACHED_H
#define TORC_EXAMPLES_MEMCACHED_H

#include <torc_client.h>

/* Get a value, which the caller frees with free(). Returns 1, or 0: none. */
int memcached_get(struct torc_pool *pool, const char *key, void **value,
    size_t *size, torc_deadline deadline);

/*
 * Store a value for a number of seconds, or for ever if that is 0. Returns 0,
 * or -EFBIG: it is too large.
 */
int memcached_set(struct torc_pool *pool, const char *key, const void *value,
    size_t size, unsigned seconds, torc_deadline deadline);

/* Delete a value. Returns 1, or 0: there was none. */
int memcached_delete(struct torc_pool *pool, const char *key,
    torc_deadline deadline);

#endif
