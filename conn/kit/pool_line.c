/* SPDX-License-Identifier: MIT */
/*
 * pool_line.c - the lines in which fibers wait for a connection of a pool, one
 * for each key.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "conn/conn.h"
#include "conn/kit/pool.h"
#include "sys/sys.h"

static struct torc_pool_line **
bucket_of(struct torc_pool *pool, uint64_t key)
{
	return &pool->lines[torc_pool_hash(key, pool->seed) &
	    pool->line_mask];
}

struct torc_pool_line *
torc_pool_line_of(struct torc_pool *pool, uint64_t key)
{
	struct torc_pool_line **bucket = bucket_of(pool, key), *line;

	if (key == 0)
		return &pool->common;
	for (line = *bucket; line != NULL; line = line->next) {
		if (line->key == key)
			return line;
	}
	line = pool->spare_lines;
	if (line != NULL)
		pool->spare_lines = line->next;
	else
		line = torc_sys_alloc(sizeof(*line));
	if (line == NULL)
		return &pool->common;
	line->key = key;
	torc_list_init(&line->queued);
	line->next = *bucket;
	*bucket = line;
	return line;
}

void
torc_pool_leave_line(struct torc_pool *pool, struct torc_pool_line *line)
{
	struct torc_pool_line **at;

	if (line == &pool->common || line->waiting > 0 || line->held > 0 ||
	    line->aside > 0)
		return;
	at = bucket_of(pool, line->key);
	while (*at != line)
		at = &(*at)->next;
	*at = line->next;
	line->next = pool->spare_lines;
	pool->spare_lines = line;
}

static uint32_t
power_of_two(uint32_t least, uint32_t most, uint32_t wanted)
{
	while (least < wanted && least < most)
		least *= 2;
	return least;
}

int
torc_pool_lines_init(struct torc_pool *pool)
{
	const uint32_t lines = power_of_two(16, 1024, pool->config.size * 4);
	const uint32_t buckets = power_of_two(16, UINT32_MAX / 2 + 1,
	    pool->entry_count);

	pool->lines = torc_sys_alloc(lines * sizeof(pool->lines[0]));
	pool->buckets = torc_sys_alloc(buckets * sizeof(pool->buckets[0]));
	if (pool->lines == NULL || pool->buckets == NULL)
		return -ENOMEM;
	pool->line_mask = lines - 1;
	pool->bucket_mask = buckets - 1;
	torc_list_init(&pool->common.queued);
	torc_list_init(&pool->turns);
	torc_list_init(&pool->placed_any);
	torc_list_init(&pool->placed_fresh);
	return 0;
}

static void
free_lines(struct torc_pool_line *line)
{
	while (line != NULL) {
		struct torc_pool_line *next = line->next;

		torc_sys_free(line);
		line = next;
	}
}

void
torc_pool_lines_fini(struct torc_pool *pool)
{
	for (uint32_t i = 0; pool->lines != NULL && i <= pool->line_mask; i++)
		free_lines(pool->lines[i]);
	free_lines(pool->spare_lines);
	torc_sys_free(pool->lines);
	torc_sys_free(pool->buckets);
}

/* ---- Keys ---- */

static uint64_t
key_of(const struct sockaddr_storage *address)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
	uint64_t key = 0;
	uint32_t v4;

	if (address->ss_family == AF_INET) {
		v4 = ((const struct sockaddr_in *)address)->sin_addr.s_addr;
		return (uint64_t)1 << 32 | v4;
	}
	if (address->ss_family != AF_INET6)
		return 0;
	if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		memcpy(&v4, v6->sin6_addr.s6_addr + 12, sizeof(v4));
		return (uint64_t)1 << 32 | v4;
	}
	memcpy(&key, v6->sin6_addr.s6_addr, sizeof(key));
	return key != 0 ? key : 1;
}

uint64_t
torc_conn_key(const struct torc_conn *conn)
{
	struct sockaddr_storage address;
	uint32_t size = sizeof(address);

	torc_conn_require(conn);
	memset(&address, 0, sizeof(address));
	return torc_sys_getpeername(conn->fd, (struct sockaddr *)&address,
	    &size) < 0 ? 0 : key_of(&address);
}
