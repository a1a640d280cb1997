/* SPDX-License-Identifier: MIT */
/*
 * pool_queue.c - the queues in which fibers wait for a connection of a pool.
 * Each key has one.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "conn/conn.h"
#include "conn/kit/pool.h"
#include "sys/sys.h"

static struct torc_pool_queue **
bucket_of(struct torc_pool *pool, uint64_t key)
{
	return &pool->queues[torc_pool_hash(key, pool->seed) &
	    pool->queue_mask];
}

struct torc_pool_queue *
torc_pool_queue_of(struct torc_pool *pool, uint64_t key)
{
	struct torc_pool_queue **bucket = bucket_of(pool, key), *queue;

	if (key == 0)
		return &pool->common;
	for (queue = *bucket; queue != NULL; queue = queue->next) {
		if (queue->key == key)
			return queue;
	}
	queue = pool->spare_queues;
	if (queue != NULL)
		pool->spare_queues = queue->next;
	else
		queue = torc_sys_alloc(sizeof(*queue));
	if (queue == NULL)
		return &pool->common;
	queue->key = key;
	torc_list_init(&queue->queued);
	queue->next = *bucket;
	*bucket = queue;
	return queue;
}

void
torc_pool_leave_queue(struct torc_pool *pool, struct torc_pool_queue *queue)
{
	struct torc_pool_queue **at;

	if (queue == &pool->common || queue->waiting > 0 || queue->held > 0 ||
	    queue->aside > 0)
		return;
	at = bucket_of(pool, queue->key);
	while (*at != queue)
		at = &(*at)->next;
	*at = queue->next;
	queue->next = pool->spare_queues;
	pool->spare_queues = queue;
}

static uint32_t
power_of_two(uint32_t least, uint32_t most, uint32_t wanted)
{
	while (least < wanted && least < most)
		least *= 2;
	return least;
}

int
torc_pool_queues_init(struct torc_pool *pool)
{
	const uint32_t queues = power_of_two(16, 1024, pool->config.size * 4);
	const uint32_t buckets = power_of_two(16, UINT32_MAX / 2 + 1,
	    pool->entry_count);

	pool->queues = torc_sys_alloc(queues * sizeof(pool->queues[0]));
	pool->buckets = torc_sys_alloc(buckets * sizeof(pool->buckets[0]));
	if (pool->queues == NULL || pool->buckets == NULL)
		return -ENOMEM;
	pool->queue_mask = queues - 1;
	pool->bucket_mask = buckets - 1;
	torc_list_init(&pool->common.queued);
	torc_list_init(&pool->turns);
	torc_list_init(&pool->placed_any);
	torc_list_init(&pool->placed_fresh);
	return 0;
}

static void
free_queues(struct torc_pool_queue *queue)
{
	while (queue != NULL) {
		struct torc_pool_queue *next = queue->next;

		torc_sys_free(queue);
		queue = next;
	}
}

void
torc_pool_queues_fini(struct torc_pool *pool)
{
	for (uint32_t i = 0; pool->queues != NULL && i <= pool->queue_mask; i++)
		free_queues(pool->queues[i]);
	free_queues(pool->spare_queues);
	torc_sys_free(pool->queues);
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
