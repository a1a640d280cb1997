/* SPDX-License-Identifier: MIT */
/*
 * ring_conns.h - what the two responders on io_uring (the limit program and
 * the one on liburing) keep for each connection: how much of a request's end
 * it has sent, the order of its echoes, and whether it waits for a buffer.
 *
 * A connection is known by the index of its (direct) descriptor.
 */
#ifndef BENCH_RING_CONNS_H
#define BENCH_RING_CONNS_H

#include "tools/bench/common.h"

#include <stdbool.h>
#include <stddef.h>

enum {
	BUFFERS_MAX = 1024,
	BUFFERS_MIN = 16,
	BUFFER_MEMORY = 2 << 20,	/* in all; small enough for the cache */
	NO_BUFFER = UINT16_MAX,
};

/*
 * An echo is sent out of the buffer that the bytes came in. One send of a
 * connection is under way at most: two could pass one another when the first
 * has to wait for room. Other buffers queue behind it.
 */
struct echo {
	bool sending;
	bool ended;		/* nothing comes any more; close when sent */
	uint16_t first;
	uint16_t last;
};

static uint8_t *matched;	/* by connection, see count_requests() */
static struct echo *echoes;	/* by connection */
static uint32_t queued_size[BUFFERS_MAX];
static uint16_t queued_next[BUFFERS_MAX];

/* Queue of connections whose receive ended because no buffer was free. */
static uint32_t *starved;
static uint32_t starved_head, starved_tail, starved_mask;

static inline void
conns_allocate(unsigned connections)
{
	uint32_t queue_size = 1;

	while (queue_size < connections)
		queue_size *= 2;
	matched = allocate(connections, sizeof(*matched));
	echoes = allocate(connections, sizeof(*echoes));
	starved = allocate(queue_size, sizeof(*starved));
	starved_mask = queue_size - 1;
}

static inline void
conns_opened(uint32_t conn)
{
	matched[conn] = 0;
	echoes[conn] = (struct echo){ .first = NO_BUFFER };
}

/* True: send the buffer now. False: it waits for its turn. */
static inline bool
echo_begin(uint32_t conn, unsigned bid, uint32_t size)
{
	struct echo *echo = &echoes[conn];

	if (!echo->sending) {
		echo->sending = true;
		return true;
	}
	queued_size[bid] = size;
	queued_next[bid] = NO_BUFFER;
	if (echo->first == NO_BUFFER)
		echo->first = (uint16_t)bid;
	else
		queued_next[echo->last] = (uint16_t)bid;
	echo->last = (uint16_t)bid;
	return false;
}

/* A send is done. True: send this buffer next. */
static inline bool
echo_next(uint32_t conn, unsigned *bid, uint32_t *size)
{
	struct echo *echo = &echoes[conn];

	echo->sending = echo->first != NO_BUFFER;
	if (!echo->sending)
		return false;
	*bid = echo->first;
	*size = queued_size[*bid];
	echo->first = queued_next[*bid];
	return true;
}

static inline void
starved_push(uint32_t conn)
{
	starved[starved_tail++ & starved_mask] = conn;
}

static inline bool
starved_pop(uint32_t *conn)
{
	if (starved_head == starved_tail)
		return false;
	*conn = starved[starved_head++ & starved_mask];
	return true;
}

/* How many buffers of a size: a power of two. */
static inline unsigned
buffer_count(unsigned buffer_size)
{
	unsigned count = BUFFERS_MAX;

	while ((size_t)count * buffer_size > BUFFER_MEMORY &&
	    count > BUFFERS_MIN)
		count /= 2;
	return count;
}

#endif
