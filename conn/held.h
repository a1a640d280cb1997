/* SPDX-License-Identifier: MIT */
/*
 * held.h - input that no view has shown, the memory that it is in, and how
 * much of it each connection may have.
 */
#ifndef TORC_CONN_HELD_H
#define TORC_CONN_HELD_H

#include <stddef.h>

#include "conn/conn.h"
#include "conn/net.h"

/*
 * What a connection may always receive when it holds nothing, however little
 * memory there is: so that nobody can be kept from a first request.
 */
#define TORC_HELD_RESERVE 4096u

/* Bytes received that no view has shown yet. */
struct torc_piece {
	struct torc_piece *next;
	uint8_t *data;
	uint32_t size;
	uint32_t bid;		/* TORC_NO_BID: an allocation */
};

/* Memory of torc_conn_memory(). */
struct torc_block {
	struct torc_block *next;
	uint32_t size;		/* with this */
	_Alignas(max_align_t) uint8_t bytes[];
};

/* Memory of its own for input of a connection, which is counted. NULL: none. */
uint8_t *torc_held_alloc(struct torc_conn *conn, uint32_t size);
void torc_held_free(struct torc_conn *conn, uint8_t *memory, uint32_t size);
/* Of memory that has `size` bytes, no more than `used` are any: count these. */
void torc_held_trim(struct torc_conn *conn, uint32_t size, uint32_t used);

/* What others keep of its input has so many bytes, and had so many before. */
void torc_held_count(struct torc_conn *conn, uint32_t before, uint32_t now);

/* Whether others may have some since, which nobody has looked at. */
static inline void
torc_held_set_eased(struct torc_net *net, bool eased)
{
	net->eased = eased;
}

/*
 * Bytes have come in a receive buffer: if they may not stay there, copy them,
 * give the buffer back, and change `*data` and `*bid`.
 */
void torc_held_settle(struct torc_conn *conn, uint8_t **data, uint32_t size,
    uint32_t *bid);

/*
 * Keep bytes behind those that are kept already: in a receive buffer, or in
 * memory of torc_held_alloc(). False: no memory.
 */
bool torc_held_append(struct torc_conn *conn, uint8_t *data, uint32_t size,
    uint32_t bid);

/* Take the first piece out; its bytes stay where they are. */
struct torc_piece torc_held_take(struct torc_conn *conn);

/* Bytes that are in no piece are done with. */
void torc_held_let_go(struct torc_conn *conn, uint8_t *data, uint32_t size,
    uint32_t bid);

/* How many bytes a connection may receive now. */
uint32_t torc_held_room(const struct torc_conn *conn);

/* It holds nothing that counts. */
bool torc_held_is_nothing(const struct torc_conn *conn);

/* It holds so little that a peer which was slowed may go on. */
bool torc_held_is_low(const struct torc_conn *conn);

/* Its pieces are those that are counted. */
void torc_held_check(const struct torc_conn *conn);

/* There are enough receive buffers for some to stay with handlers. */
static inline bool
torc_held_is_plenty(const struct torc_net *net)
{
	return net->buffers.live < net->buffers.capacity ||
	    net->buffers.in_kernel > net->buffers.capacity / 2;
}

#endif
