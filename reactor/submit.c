/* SPDX-License-Identifier: MIT */
/*
 * submit.c - what all layers ask of the turn: room for an entry, a call later
 * in it, the end of an operation.
 */
#include "reactor/reactor.h"

struct io_uring_sqe *
torc_reactor_make_room(struct torc_reactor *reactor)
{
	torc_debug_assert(reactor == torc_current);
	torc_debug_assert(torc_ring_full(&reactor->ring));
	reactor->counters->sq_full++;
	reactor->counters->enters++;
	torc_ring_submit(&reactor->ring);
	return torc_ring_claim(&reactor->ring);
}

void
torc_reactor_later(struct torc_reactor *reactor, struct torc_todo *todo)
{
	torc_assert(todo->run != NULL);
	if (torc_node_linked(&todo->node))
		return;
	reactor->counters->deferred++;
	torc_list_append(&reactor->backlog, &todo->node);
}

bool
torc_reactor_cancel(struct torc_reactor *reactor, uint64_t tag)
{
	struct io_uring_sqe *sqe = torc_reactor_claim(reactor);

	torc_debug_assert(reactor == torc_current);
	torc_debug_assert(torc_tag_kind(tag) < TORC_KIND_CANCEL);
	if (sqe == NULL)
		return false;
	/* That it found nothing, or something too late, are both results:
	 * only the target's own completion counts. An operation that is about
	 * to be tried again is not found, and may wait for ever after that:
	 * the caller that wants it cancelled is told, and asks again. */
	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->addr = tag;
	sqe->user_data = tag | (uint64_t)TORC_KIND_CANCEL <<
	    (TORC_SLOT_BITS + TORC_GENERATION_BITS);
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	return true;
}
