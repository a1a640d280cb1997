/* SPDX-License-Identifier: MIT */
/*
 * chunk.h - memory for staged bytes, which the connections of a reactor share.
 */
#ifndef TORC_CONN_CHUNK_H
#define TORC_CONN_CHUNK_H

#include <stdbool.h>
#include <stdint.h>

#include "conn/conn.h"
#include "conn/net.h"
#include "reactor/list.h"

/*
 * Memory that the staged bytes of many connections share: those of one turn
 * lie one behind the other in it, and it is used again as a whole once all of
 * them are in the kernel.
 */
struct torc_chunk {
	struct torc_node node;
	uint32_t top;		/* bytes in use */
	uint32_t pins;		/* connections with bytes here that are not
				 * in a quiet send */
	uint64_t mark;		/* settled: its quiet sends are done */
	uint8_t bytes[];
};

/* A chunk, or NULL. */
struct torc_chunk *torc_chunk_make(struct torc_net *net);

/* After each batch: reuse a chunk whose bytes are all sent. */
void torc_chunk_rotate(struct torc_net *net);

/* Unstage all bytes: they are elsewhere, or are not sent. */
void torc_chunk_drop(struct torc_conn *conn);

/* Have the staged bytes sent as soon as possible. */
static inline void
torc_chunk_hurry(struct torc_conn *conn)
{
	torc_debug_assert(conn->staged_size > 0);
	conn->urgent = true;
}

/* What is staged is in a quiet send, the last one that was claimed. */
static inline void
torc_chunk_sent(struct torc_conn *conn)
{
	struct torc_chunk *chunk;

	conn->staged_size = 0;
	conn->urgent = false;
	chunk = conn->chunk;
	if (chunk != NULL) {
		chunk->mark = conn->send_mark;
		chunk->pins--;
		conn->chunk = NULL;
	}
}

/*
 * Take over the staged bytes. Returns the chunk that they are pinned in, or
 * NULL. torc_chunk_give_back() gives it back.
 */
struct torc_chunk *torc_chunk_take(struct torc_conn *conn);
void torc_chunk_give_back(struct torc_chunk *chunk);

/* Stage bytes behind those that are staged already. 0 or -ENOMEM. */
int torc_chunk_stage(struct torc_conn *conn, const void *data, uint32_t size);

/* Stage bytes that stay in the caller's memory. Nothing may be staged. */
static inline void
torc_chunk_stage_static(struct torc_conn *conn, const void *data,
    uint32_t size)
{
	torc_debug_assert(conn->staged_size == 0 && conn->chunk == NULL);
	conn->staged = (uint8_t *)(uintptr_t)data;
	conn->staged_size = size;
}

/* Begin to stage at the top of the chunk, behind bytes of others. */
static inline void
torc_chunk_begin(struct torc_conn *conn, struct torc_chunk *chunk)
{
	torc_debug_assert(conn->staged_size == 0 && conn->chunk == NULL);
	chunk->pins++;
	conn->chunk = chunk;
	conn->staged = chunk->bytes + chunk->top;
}

/* Whether the staged bytes end at the top of the chunk. */
static inline bool
torc_chunk_is_last(const struct torc_conn *conn, const struct torc_chunk *chunk)
{
	return conn->staged + conn->staged_size == chunk->bytes + chunk->top;
}

/* Stage `size` more bytes. There is room. Returns where to write them. */
static inline uint8_t *
torc_chunk_extend(struct torc_conn *conn, struct torc_chunk *chunk,
    uint32_t size)
{
	uint8_t *to = chunk->bytes + chunk->top;

	torc_debug_assert(torc_chunk_is_last(conn, chunk));
	torc_debug_assert(conn->chunk == chunk && chunk->pins > 0);
	chunk->top += size;
	conn->staged_size += size;
	return to;
}

#endif
