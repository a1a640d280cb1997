/* SPDX-License-Identifier: MIT */
/*
 * check.c - what must agree: in a connection, in a listener, between them and
 * what they share.
 */
#include "conn/check.h"
#include "conn/chunk.h"
#include "conn/held.h"
#include "conn/listen.h"
#include "conn/slab.h"
#include "conn/transport.h"
#include "reactor/fiber.h"

/* ---- Input ---- */

static void
check_view(const struct torc_conn *conn)
{
	torc_assert(!conn->fresh || conn->view_size > 0);
	torc_assert(conn->view_bid == TORC_NO_BID || conn->view_size > 0);
	torc_assert(conn->view_bid == TORC_NO_BID || conn->joined == NULL);
	torc_assert((conn->joined != NULL) == (conn->joined_size > 0));
	torc_assert(conn->view_size == 0 || conn->view != NULL);
	torc_assert(!conn->rewound || (conn->view_size > 0 &&
	    conn->rewound_size <= conn->view_size &&
	    conn->view_bid == TORC_NO_BID));
	if (conn->view_size == 0 || conn->view_bid != TORC_NO_BID ||
	    (conn->rewound && conn->rewound_bid != TORC_NO_BID))
		return;
	torc_assert(conn->joined != NULL && conn->view >= conn->joined);
	torc_assert(conn->view + conn->view_size <=
	    conn->joined + conn->joined_size);
}

static void
check_intake(const struct torc_conn *conn)
{
	const bool starved = torc_node_linked(&conn->starved);

	/* One way of waiting for input at a time. */
	torc_assert(conn->armed + conn->poll_input + starved <= 1);
	torc_assert(!conn->slowed || !starved);
	torc_assert(!conn->poll_reads || !conn->polling || !conn->armed ||
	    conn->poll_ending);
	torc_assert(conn->failed == (conn->error != 0));
	torc_assert(!(conn->eof && conn->failed));
	torc_assert(conn->watcher != 0 || conn->doomed || !conn->polling ||
	    conn->poll_input || conn->poll_ending ||
	    torc_node_linked(&conn->todo.node));
}

/* ---- Output ---- */

static void
check_staged(const struct torc_conn *conn)
{
	const struct torc_chunk *chunk = conn->chunk;

	torc_assert(!conn->urgent || conn->staged_size > 0);
	torc_assert(conn->staged_size == 0 || conn->staged != NULL);
	if (chunk == NULL)
		return;
	torc_assert(conn->staged_size > 0 && chunk->pins > 0);
	torc_assert(conn->staged >= chunk->bytes && conn->staged +
	    conn->staged_size <= chunk->bytes + chunk->top);
	torc_assert(chunk->top <= conn->net->chunk_size);
}

static void
check_sends(const struct torc_conn *conn)
{
	torc_assert(conn->slabbed == (conn->slab != NULL));
	torc_assert(conn->slab_start <= conn->slab_end);
	torc_assert(conn->slabbed ? conn->slab_end > conn->slab_start &&
	    conn->slab_end <= torc_slab_size(conn->net) : conn->slab_end == 0);
	torc_assert(conn->send_failed == (conn->send_error != 0));
	torc_assert(!conn->loud || conn->sent_size == 0);
	if (conn->transport != NULL) {
		torc_assert(conn->unquiet && conn->sent_size == 0);
		torc_assert(conn->job == NULL);
	}
	torc_assert(!conn->loud || conn->slabbed || conn->job != NULL);
	torc_assert(conn->loud || !conn->recalled);
	/* A socket that is lent is awaited, too, and has no writer. */
	torc_assert(conn->writer == NULL || conn->awaited);
	torc_assert(conn->job == NULL || conn->awaited || conn->send_failed);
}

/* ---- Life ---- */

static void
check_life(const struct torc_conn *conn)
{
	torc_assert(conn->slot.next == TORC_SLOT_TAKEN);
	torc_assert(conn->fd >= 0 && conn->reactor == conn->net->reactor);
	torc_assert(!conn->dormant || (conn->owner == TORC_NOBODY &&
	    conn->handler != NULL && conn->reader == NULL &&
	    conn->writer == NULL && !conn->doomed));
	torc_assert(!conn->doomed || conn->owner == TORC_NOBODY ||
	    conn->reactor->phase >= TORC_PHASE_STOPPING);
	torc_assert(!conn->reset || conn->doomed);
	torc_assert(!conn->lingers || conn->shut);
	torc_assert(conn->owner == TORC_NOBODY || conn->owner->home == conn);
	torc_assert((conn->handler == NULL) <= (conn->listener == -1));
	torc_assert(!conn->never);
}

void
torc_conn_check(const struct torc_conn *conn)
{
	check_life(conn);
	check_intake(conn);
	check_view(conn);
	torc_held_check(conn);
	check_staged(conn);
	check_sends(conn);
}

void
torc_listener_check(const struct torc_listener *listener)
{
	torc_assert(listener->slot.next == TORC_SLOT_TAKEN);
	torc_assert(listener->paused == torc_timer_armed(&listener->timer));
	torc_assert(!listener->armed || !listener->gone);
	torc_assert(!listener->paused || !listener->armed ||
	    listener->closing);
	torc_assert(listener->fd >= 0 && listener->todo.run != NULL);
	torc_assert((uint32_t)listener->index ==
	    torc_slots_index(&listener->net->listeners, listener));
}

/* ---- Together ---- */

static void
check_listeners(const struct torc_net *net)
{
	struct torc_listener *listener = NULL;
	uint32_t paused = 0;

	while ((listener = torc_slots_each(&net->listeners, listener)) !=
	    NULL) {
		torc_listener_check(listener);
		paused += listener->paused;
	}
	torc_assert(net->paused == paused);
}

/* A node of the list, for each of so many. */
static uint32_t
length(const struct torc_list *list)
{
	uint32_t count = 0;

	for (const struct torc_node *node = list->ends.next;
	    node != &list->ends; node = node->next)
		count++;
	return count;
}

/* Each handshake that failed was counted once more, for one reason. */
static void
check_failures(const struct torc_counters *counters)
{
	uint64_t reasons = 0;

	for (unsigned i = 0; i < TORC_FAILURES - 1; i++)
		reasons += counters->handshake_failures[i];
	torc_assert(reasons == counters->handshakes_failed);
}

void
torc_net_check(const struct torc_net *net)
{
	uint32_t dormant = 0, leaving = 0, waiting = 0, starved = 0;
	uint32_t shaking = 0, unready = 0;
	struct torc_conn *conn = NULL;

	while ((conn = torc_slots_each(&net->conns, conn)) != NULL) {
		torc_conn_check(conn);
		dormant += conn->dormant;
		leaving += conn->evicted;
		waiting += conn->awaited;
		starved += torc_node_linked(&conn->starved);
		shaking += torc_transport_waits(conn) > 0 &&
		    !conn->transport->away;
		unready += conn->transport != NULL && !conn->transport->ready;
	}
	torc_assert(net->dormant == dormant);
	torc_assert(net->leaving == leaving);
	torc_assert(net->waiting == waiting);
	torc_assert(length(&net->starved) == starved);
	torc_assert(length(&net->shaking) + length(&net->begun) ==
	    shaking);
	torc_assert(net->reactor->stats_page.page->gauge.handshakes ==
	    unready);
	torc_assert(net->chunk_count == length(&net->chunks) + 1);
	torc_assert(net->unsent == &net->nobody ||
	    torc_slots_index(&net->conns, net->unsent) < net->conns.touched);
	torc_assert(net->favourite == NULL ||
	    net->favourite->slot.next == TORC_SLOT_TAKEN);
	check_failures(net->reactor->counters);
	check_listeners(net);
	torc_bufring_check(&net->buffers);
}
