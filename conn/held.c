/*
 * held.c - input that no view has shown: pieces, and the memory they are in.
 */
#include "conn/held.h"

#include <string.h>

#include "sys/sys.h"

#define PIECES_PER_BLOCK 256u

/*
 * What a piece counts besides its bytes: many small pieces that nobody reads
 * take buffers and memory, too.
 */
#define TOLL 256u

static struct torc_piece *
more_pieces(struct torc_net *net)
{
	struct {
		void *next;
		struct torc_piece pieces[PIECES_PER_BLOCK];
	} *block = torc_sys_alloc(sizeof(*block));

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

/*
 * Buffers run out, and nobody knows when this one would come back: what is in
 * it moves out, if that is little, or if nobody reads a connection that was
 * dialled. Without that, peers with two small requests each could keep the
 * answers of backends from their handlers, and so could one large answer to a
 * handler that has given up. Not for ever: all that is moved is at most a
 * quarter of what all buffers have.
 */
static bool
is_to_be_moved(const struct torc_conn *conn, uint32_t size)
{
	const struct torc_bufring *buffers = &conn->net->buffers;

	return buffers->in_kernel < buffers->capacity / 4 &&
	    buffers->live == buffers->capacity &&
	    (size <= buffers->size / 8 ||
	    (conn->handler == NULL && conn->reader == NULL)) &&
	    conn->net->moved + size <=
	    (size_t)buffers->capacity * buffers->size / 4;
}

static void
move_out(struct torc_net *net, struct torc_piece *piece)
{
	uint8_t *bytes = torc_sys_alloc(piece->size);

	if (bytes == NULL)
		return;
	memcpy(bytes, piece->data, piece->size);
	torc_bufring_put(&net->buffers, piece->bid);
	piece->data = bytes;
	piece->bid = TORC_NO_BID;
	net->moved += piece->size;
}

bool
torc_held_append(struct torc_conn *conn, uint8_t *data, uint32_t size, uint32_t bid)
{
	struct torc_net *net = conn->net;
	struct torc_piece *piece = conn->last;

	conn->held += size;
	if (piece != NULL && bid != TORC_NO_BID && piece->bid == bid &&
	    piece->data + piece->size == data) {
		/* The kernel filled the buffer further: one reference is
		 * enough. */
		piece->size += size;
		torc_bufring_put(&net->buffers, bid);
		return true;
	}
	piece = net->pieces != NULL ? net->pieces : more_pieces(net);
	if (piece == NULL)
		return false;
	net->pieces = piece->next;
	*piece = (struct torc_piece) { NULL, data, size, bid };
	if (torc_unlikely(bid == TORC_NO_BID))
		net->moved += size;
	else if (torc_unlikely(is_to_be_moved(conn, size)))
		move_out(net, piece);
	if (conn->last != NULL)
		conn->last->next = piece;
	else
		conn->first = piece;
	conn->last = piece;
	conn->pieced = true;
	conn->held += TOLL;
	return true;
}

struct torc_piece
torc_held_take(struct torc_conn *conn)
{
	struct torc_piece *piece = conn->first;
	struct torc_piece copy = *piece;

	conn->first = piece->next;
	if (conn->first == NULL) {
		conn->last = NULL;
		conn->pieced = false;
	}
	piece->next = conn->net->pieces;
	conn->net->pieces = piece;
	torc_assert(conn->held >= copy.size + TOLL);
	conn->held -= copy.size + TOLL;
	if (copy.bid == TORC_NO_BID)
		conn->net->moved -= copy.size;
	return copy;
}

void
torc_held_let_go(struct torc_net *net, uint8_t *data, uint32_t bid)
{
	if (bid == TORC_NO_BID)
		torc_sys_free(data);
	else
		torc_bufring_put(&net->buffers, bid);
}
