/* SPDX-License-Identifier: MIT */
/*
 * held.c - input that no view has shown: pieces, the memory they are in, and
 * who may have how much of it.
 *
 * Receive buffers are shared by all connections of a reactor. Bytes may stay
 * in them while more than half of the buffers are with the kernel, and a
 * connection keeps a small part of them at most. Otherwise what comes is moved
 * to memory of its own, of its size, and the buffer goes back at once: so the
 * kernel never lacks buffers for long, whoever does not read.
 *
 * That memory has a budget (`held_total`), half of it for connections that
 * were accepted, half for those that were dialled: handlers that wait for a
 * backend do not wait for each other's clients. A connection may hold a
 * sixteenth of what is left of its half. So the share of each shrinks as more
 * of them hold something, and something is always left for the next. A
 * connection that holds nothing may receive TORC_HELD_RESERVE bytes even then.
 *
 * Handlers that wait for the rest of messages could all wait for each other. So
 * one of them at a time is the favourite: it may have `held_max`, until it has
 * consumed what it has, or its time is up.
 */
#include "conn/conn.h"
#include "conn/held.h"
#include "conn/net.h"
#include "conn/transport.h"

#include <string.h>

#include "sys/sys.h"

#define PIECES_PER_BLOCK 256u
#define SHARES 16u	/* of what is left, one is for each */
#define LENDERS 64u	/* connections that may have all buffers together */

/*
 * What a piece counts besides its bytes: many small pieces that nobody reads
 * take memory, too.
 */
#define TOLL 256u

/* ---- Memory of its own ---- */

static unsigned
side_of(const struct torc_conn *conn)
{
	return conn->handler == NULL;
}

uint8_t *
torc_held_alloc(struct torc_conn *conn, uint32_t size)
{
	uint8_t *memory = torc_sys_alloc(size);

	torc_debug_assert(size > 0);
	if (memory != NULL)
		conn->net->own[side_of(conn)] += size;
	return memory;
}

void
torc_held_free(struct torc_conn *conn, uint8_t *memory, uint32_t size)
{
	torc_assert(conn->net->own[side_of(conn)] >= size);
	conn->net->own[side_of(conn)] -= size;
	torc_held_set_eased(conn->net, true);
	torc_sys_free(memory);
}

void
torc_held_trim(struct torc_conn *conn, uint32_t size, uint32_t used)
{
	torc_assert(used > 0 && used <= size);
	conn->net->own[side_of(conn)] -= size - used;
}

void
torc_held_count(struct torc_conn *conn, uint32_t before, uint32_t now)
{
	size_t *own = &conn->net->own[side_of(conn)];

	torc_assert(*own >= before);
	*own += (size_t)now - before;
	if (now < before)
		torc_held_set_eased(conn->net, true);
}

/* ---- Shares ---- */

/* Bytes that it has, but for those in a buffer that a handler looks at. */
static uint64_t
load_of(const struct torc_conn *conn)
{
	return (uint64_t)conn->held +
	    (conn->joined != NULL ? conn->view_size : 0) +
	    torc_transport_kept(conn) + torc_transport_waits(conn);
}

/* Bytes that a connection may have now. */
static uint64_t
share_of(const struct torc_conn *conn)
{
	const struct torc_net *net = conn->net;
	const size_t own = net->own[side_of(conn)];
	const uint64_t max = net->reactor->config.held_max;
	const uint64_t left = own < net->own_max ? net->own_max - own : 0;

	/* Its caller waits for the rest of an answer, and has what it asked
	 * for in view: the number of such callers has other bounds. */
	if ((conn->handler == NULL && conn->reader != NULL) ||
	    net->favourite == conn)
		return max;
	return left / SHARES < max ? left / SHARES : max;
}

uint32_t
torc_held_room(const struct torc_conn *conn)
{
	const uint64_t max = conn->net->reactor->config.held_max;
	const uint64_t load = load_of(conn);
	uint64_t share = share_of(conn);

	if (load == 0 && share < TORC_HELD_RESERVE)
		share = TORC_HELD_RESERVE < max ? TORC_HELD_RESERVE : max;
	return load < share ? (uint32_t)(share - load) : 0;
}

bool
torc_held_is_nothing(const struct torc_conn *conn)
{
	return load_of(conn) == 0;
}

bool
torc_held_is_low(const struct torc_conn *conn)
{
	const uint64_t load = load_of(conn);

	return load == 0 || (load <= conn->reactor->config.held_low &&
	    load <= share_of(conn) / 2);
}

/* ---- Buffers ---- */

static bool
may_stay(const struct torc_conn *conn)
{
	const struct torc_net *net = conn->net;

	return torc_held_is_plenty(net) &&
	    conn->lent <= net->buffers.capacity / LENDERS;
}

static bool
may_move(const struct torc_conn *conn, uint32_t size)
{
	const struct torc_net *net = conn->net;

	return net->own[side_of(conn)] + size <= net->own_max ||
	    (size <= TORC_HELD_RESERVE && load_of(conn) == 0);
}

void
torc_held_settle(struct torc_conn *conn, uint8_t **data, uint32_t size,
    uint32_t *bid)
{
	uint8_t *memory;

	torc_debug_assert(size > 0 && (*bid == TORC_NO_BID ||
	    *bid < conn->net->buffers.live));
	if (*bid == TORC_NO_BID || may_stay(conn) || !may_move(conn, size))
		return;
	memory = torc_held_alloc(conn, size);
	if (memory == NULL)
		return;
	memcpy(memory, *data, size);
	torc_bufring_put(&conn->net->buffers, *bid);
	conn->reactor->counters->moves++;
	*data = memory;
	*bid = TORC_NO_BID;
}

void
torc_held_let_go(struct torc_conn *conn, uint8_t *data, uint32_t size,
    uint32_t bid)
{
	if (bid == TORC_NO_BID)
		torc_held_free(conn, data, size);
	else
		torc_bufring_put(&conn->net->buffers, bid);
}

/* ---- Pieces ---- */

static struct torc_piece *
more_pieces(struct torc_net *net)
{
	struct {
		void *next;
		struct torc_piece pieces[PIECES_PER_BLOCK];
	} *block = torc_sys_alloc(sizeof(*block));

	torc_debug_assert(net->pieces == NULL);
	if (block == NULL)
		return NULL;
	block->next = net->piece_blocks;
	net->piece_blocks = block;
	for (unsigned i = 0; i < PIECES_PER_BLOCK; i++) {
		block->pieces[i].next = net->pieces;
		net->pieces = &block->pieces[i];
	}
	return net->pieces;
}

bool
torc_held_append(struct torc_conn *conn, uint8_t *data, uint32_t size,
    uint32_t bid)
{
	struct torc_net *net = conn->net;
	struct torc_piece *piece = conn->last;

	torc_debug_assert(size > 0 && data != NULL);
	if (piece != NULL && bid != TORC_NO_BID && piece->bid == bid &&
	    piece->data + piece->size == data) {
		/* The kernel filled the buffer further: one reference is
		 * enough. */
		conn->held += size;
		piece->size += size;
		torc_bufring_put(&net->buffers, bid);
		return true;
	}
	piece = net->pieces != NULL ? net->pieces : more_pieces(net);
	if (piece == NULL)
		return false;
	torc_held_settle(conn, &data, size, &bid);
	net->pieces = piece->next;
	*piece = (struct torc_piece) { NULL, data, size, bid };
	conn->lent += bid != TORC_NO_BID;
	if (conn->last != NULL)
		conn->last->next = piece;
	else
		conn->first = piece;
	conn->last = piece;
	conn->pieced = true;
	conn->held += size + TOLL;
	return true;
}

struct torc_piece
torc_held_take(struct torc_conn *conn)
{
	struct torc_piece *piece = conn->first;
	struct torc_piece copy = *piece;

	torc_debug_assert(piece != NULL && conn->pieced);
	conn->first = piece->next;
	if (conn->first == NULL) {
		conn->last = NULL;
		conn->pieced = false;
	}
	piece->next = conn->net->pieces;
	conn->net->pieces = piece;
	torc_assert(conn->held >= copy.size + TOLL);
	conn->held -= copy.size + TOLL;
	conn->lent -= copy.bid != TORC_NO_BID;
	return copy;
}

void
torc_held_check(const struct torc_conn *conn)
{
	const struct torc_piece *last = NULL;
	uint32_t held = 0, lent = 0;

	torc_assert(conn->pieced == (conn->first != NULL));
	for (const struct torc_piece *piece = conn->first; piece != NULL;
	    piece = piece->next) {
		torc_assert(piece->size > 0);
		held += piece->size + TOLL;
		lent += piece->bid != TORC_NO_BID;
		last = piece;
	}
	torc_assert(conn->last == last);
	torc_assert(conn->held == held);
	torc_assert(conn->lent == lent);
}
