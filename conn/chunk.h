/*
 * chunk.h - memory for staged bytes, which the connections of a reactor share.
 */
#ifndef TORC_CONN_CHUNK_H
#define TORC_CONN_CHUNK_H

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

/* After each batch: a chunk whose bytes are all sent is used again. */
void torc_chunk_rotate(struct torc_net *net);

/* What is staged is not in a chunk any more, or not in this one. */
void torc_chunk_unpin(struct torc_conn *conn);

/* What is staged is in a quiet send, the last one that was claimed. */
static inline void
torc_chunk_sent(struct torc_conn *conn)
{
	struct torc_chunk *chunk = conn->chunk;

	if (chunk != NULL) {
		chunk->mark = conn->send_mark;
		chunk->pins--;
		conn->chunk = NULL;
	}
}

/*
 * Room for `size` bytes behind those that are staged, which move if need be.
 * NULL: no memory.
 */
uint8_t *torc_chunk_find_room(struct torc_conn *conn, uint32_t size);

#endif
