/* SPDX-License-Identifier: MIT */
/*
 * memory.c - memory that goes with a connection.
 */
#include "conn/conn.h"
#include "conn/held.h"
#include "conn/torc_protocol.h"

void *
torc_conn_memory(struct torc_conn *conn, size_t size)
{
	struct torc_block *block;

	torc_conn_require(conn);
	if (size > INT32_MAX)
		return NULL;
	size += sizeof(*block);
	block = (void *)torc_held_alloc(conn, (uint32_t)size);
	if (block == NULL)
		return NULL;
	block->size = (uint32_t)size;
	block->next = conn->memory;
	conn->memory = block;
	return block->bytes;
}

void
torc_conn_forget(struct torc_conn *conn)
{
	torc_reactor_check(conn->reactor);
	while (conn->memory != NULL) {
		struct torc_block *block = conn->memory;

		conn->memory = block->next;
		torc_held_free(conn, (void *)block, block->size);
	}
}
