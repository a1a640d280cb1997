/* SPDX-License-Identifier: MIT */
/*
 * chunk.c - memory for staged bytes, which the connections of a reactor share.
 */
#include <errno.h>
#include <string.h>

#include "conn/chunk.h"
#include "conn/conn.h"
#include "conn/net.h"
#include "sys/sys.h"

#define CHUNK_TRIES 8		/* chunks looked at before one is made */
#define CHUNKS_KEPT 4u		/* more are freed, one a turn */

struct torc_chunk *
torc_chunk_make(struct torc_net *net)
{
	struct torc_chunk *chunk = torc_sys_alloc(sizeof(*chunk) +
	    net->chunk_size);

	if (chunk != NULL)
		net->chunk_count++;
	return chunk;
}

static bool
chunk_is_over(const struct torc_net *net, const struct torc_chunk *chunk)
{
	torc_debug_assert(chunk->top <= net->chunk_size);
	return chunk->pins == 0 &&
	    net->reactor->settled >= chunk->mark;
}

/*
 * One of the oldest chunks, taken out, if it is over; else NULL. One that is
 * pinned may be so for long: it goes to the end.
 */
static struct torc_chunk *
take_chunk(struct torc_net *net)
{
	for (int i = 0; i < CHUNK_TRIES; i++) {
		struct torc_node *node = torc_list_take(&net->chunks);
		struct torc_chunk *chunk;

		if (node == NULL)
			return NULL;
		chunk = torc_container(node, struct torc_chunk, node);
		if (chunk_is_over(net, chunk))
			return chunk;
		torc_list_append(&net->chunks, node);
	}
	return NULL;
}

/* Go on with a chunk that is over, or a new one. False: no memory. */
static bool
change_chunk(struct torc_net *net)
{
	struct torc_chunk *chunk = take_chunk(net);

	torc_debug_assert(net->chunk != NULL && net->chunk_count > 0);
	if (chunk == NULL)
		chunk = torc_chunk_make(net);
	if (chunk == NULL)
		return false;
	chunk->top = 0;
	chunk->mark = net->reactor->settled;
	torc_list_append(&net->chunks, &net->chunk->node);
	net->chunk = chunk;
	return true;
}

void
torc_chunk_rotate(struct torc_net *net)
{
	struct torc_chunk *chunk = net->chunk;

	torc_debug_assert(chunk->top <= net->chunk_size);
	if (torc_unlikely(net->chunk_count > CHUNKS_KEPT)) {
		struct torc_chunk *spare = take_chunk(net);

		if (spare != NULL) {
			torc_sys_free(spare);
			net->chunk_count--;
		}
	}
	if (chunk->top == 0)
		return;
	/* One with bytes that wait for their handler is filled further: it
	 * cannot be used again soon. */
	if (chunk_is_over(net, chunk))
		chunk->top = 0;
	else if (chunk->pins == 0)
		change_chunk(net);
}

static void
unpin(struct torc_conn *conn)
{
	struct torc_chunk *chunk = conn->chunk;

	if (chunk == NULL)
		return;
	torc_assert(chunk->pins > 0);
	chunk->pins--;
	conn->chunk = NULL;
}

/*
 * Room for `size` bytes behind those that are staged, which move to the end of
 * the chunk, or to another one, if something else lies behind them. NULL: no
 * memory.
 */
static __attribute__((noinline)) uint8_t *
find_room(struct torc_conn *conn, uint32_t size)
{
	struct torc_net *net = conn->net;
	struct torc_chunk *chunk = net->chunk;
	uint32_t whole = conn->staged_size + size;
	uint8_t *bytes;

	torc_debug_assert(whole <= net->chunk_size);
	if (whole > net->chunk_size - chunk->top) {
		if (!change_chunk(net))
			return NULL;
		chunk = net->chunk;
	}
	bytes = chunk->bytes + chunk->top;
	if (conn->staged_size > 0)
		memcpy(bytes, conn->staged, conn->staged_size);
	unpin(conn);
	chunk->top += whole;
	chunk->pins++;
	conn->chunk = chunk;
	conn->staged = bytes;
	return bytes + conn->staged_size;
}

int
torc_chunk_stage(struct torc_conn *conn, const void *data, uint32_t size)
{
	struct torc_chunk *chunk = conn->net->chunk;
	uint8_t *to = chunk->bytes + chunk->top;

	torc_debug_assert(size > 0 && chunk->top <= conn->net->chunk_size);
	if (conn->chunk == chunk &&
	    conn->staged + conn->staged_size == to &&
	    size <= conn->net->chunk_size - chunk->top)
		chunk->top += size;
	else
		to = find_room(conn, size);
	if (to == NULL)
		return -ENOMEM;
	conn->staged_size += size;
	memcpy(to, data, size);
	return 0;
}

void
torc_chunk_drop(struct torc_conn *conn)
{
	conn->staged_size = 0;
	conn->urgent = false;
	unpin(conn);
}

struct torc_chunk *
torc_chunk_take(struct torc_conn *conn)
{
	struct torc_chunk *chunk = conn->chunk;

	torc_debug_assert(chunk == NULL || chunk->pins > 0);
	conn->staged_size = 0;
	conn->urgent = false;
	conn->chunk = NULL;
	return chunk;
}

void
torc_chunk_give_back(struct torc_chunk *chunk)
{
	if (chunk == NULL)
		return;
	torc_assert(chunk->pins > 0);
	chunk->pins--;
}
