/* SPDX-License-Identifier: MIT */
/*
 * check.c - what must hold, whatever the kernel does. It looks into torc's
 * state, and compares it with what the simulated kernel knows.
 *
 * In each turn:   each connection, listener, fiber, timer and table agrees with
 *                 itself (conn/check.h).
 * At each enter:  what torc believes to be in the kernel is there, and the
 *                 other way round, when no completion is under way; who owns
 *                 each buffer is the same on both sides.
 * Before a sleep: nothing is ready; whoever wants input has a receive armed,
 *                 or waits for a stated reason; no work was left behind.
 * At the end:     nothing is left.
 */
#include "conn/check.h"
#include "conn/conn.h"
#include "conn/held.h"
#include "conn/listen.h"
#include "conn/net.h"
#include "conn/recv.h"
#include "conn/transport.h"
#include "reactor/check.h"
#include "reactor/fiber.h"
#include "reactor/op.h"
#include "tests/sim/kring.h"

static struct torc_net *
net_of(const struct torc_reactor *reactor)
{
	return reactor->layer_state;
}

static bool
in_kernel(const struct kring *ring, uint64_t tag)
{
	for (const struct req *req = ring->reqs; req != NULL;
	    req = req->next) {
		if (req->sqe.user_data == tag)
			return true;
	}
	return false;
}

/* All that torc submitted was taken, and all that it was told was read. */
static bool
nothing_under_way(const struct torc_reactor *reactor, const struct kring *ring)
{
	return (uint32_t)reactor->ring.sq_claimed == ring->words[SQ_HEAD] &&
	    sim_cq_ready(ring) == 0 && ring->list_count == 0;
}

/* ---- Both sides agree ---- */

static void
check_conn(const struct kring *ring, const struct torc_conn *conn)
{
	bool receiving = in_kernel(ring, torc_conn_recv_tag(conn));
	bool sending = in_kernel(ring, conn->send_tag);

	if (in_kernel(ring, torc_conn_poll_tag(conn)) != conn->polling)
		sim_fail("descriptor %d: a poll is not where it is believed "
		    "to be", conn->fd);
	if (receiving != conn->armed)
		sim_fail("descriptor %d: a receive is %sarmed, and %sin the "
		    "kernel", conn->fd, conn->armed ? "" : "not ",
		    receiving ? "" : "not ");
	if (conn->eof && !conn->shut &&
	    (conn->transport == NULL || !conn->transport->ended) &&
	    sim_file_was_reset(sim_fd_file(conn->fd)))
		sim_fail("descriptor %d was reset, and its reader told of a "
		    "FIN", conn->fd);
	if (sending != conn->loud)
		sim_fail("descriptor %d: a send is %sloud, and %sin the "
		    "kernel", conn->fd, conn->loud ? "" : "not ",
		    sending ? "" : "not ");
}

static void
check_buffers(const struct kring *ring, const struct torc_bufring *bufring)
{
	for (uint32_t bid = 0; bid < bufring->capacity; bid++) {
		bool theirs = ring->group->buffers[bid].ours;
		bool ours = bufring->bufs[bid].owner & TORC_BUF_KERNEL;

		if (theirs != ours)
			sim_fail("buffer %u is %s, and the kernel says it is "
			    "%s", bid, ours ? "the kernel's" : "ours",
			    theirs ? "its own" : "not");
	}
}

static void
check_both_sides(const struct torc_reactor *reactor, const struct kring *ring)
{
	struct torc_net *net = net_of(reactor);
	struct torc_listener *listener = NULL;
	struct torc_op_slot *slot = NULL;
	struct torc_conn *conn = NULL;

	while ((slot = torc_slots_each(&reactor->ops, slot)) != NULL) {
		uint64_t tag = torc_slots_tag(&reactor->ops, slot,
		    TORC_KIND_OP);

		if (in_kernel(ring, tag) !=
		    (slot->op->state == TORC_OP_SUBMITTED))
			sim_fail("an op is not where it is believed to be");
	}
	if (net == NULL)
		return;
	while ((conn = torc_slots_each(&net->conns, conn)) != NULL)
		check_conn(ring, conn);
	while ((listener = torc_slots_each(&net->listeners, listener)) != NULL)
		if (in_kernel(ring, torc_slots_tag(&net->listeners, listener,
		    TORC_KIND_ACCEPT)) != listener->armed)
			sim_fail("an accept is not where it is believed");
	if (ring->group != NULL &&
	    (uint16_t)net->buffers.tail == ring->group->seen)
		check_buffers(ring, &net->buffers);
}

/* A request in the kernel has an owner that is still there. */
static void
check_owners(const struct torc_reactor *reactor, const struct kring *ring)
{
	for (const struct req *req = ring->reqs; req != NULL;
	    req = req->next) {
		uint64_t tag = req->sqe.user_data;

		if (torc_tag_kind(tag) >= TORC_KIND_OP && torc_slots_find(
		    reactor->kinds[torc_tag_kind(tag)].slots, tag) == NULL)
			sim_fail("the owner of an operation in flight is "
			    "gone");
	}
}

void
sim_check_enter(struct kring *ring)
{
	struct torc_reactor *reactor = sim_ring_reactor(ring);

	if (reactor == NULL || ring->lost)
		return;
	sim_group_look(ring);
	check_owners(reactor, ring);
	if (nothing_under_way(reactor, ring))
		check_both_sides(reactor, ring);
}

void
sim_check_turn(struct kring *ring)
{
	const struct torc_reactor *reactor = sim_ring_reactor(ring);

	if (reactor == NULL || ring->lost)
		return;
	torc_reactor_check_tables(reactor);
	if (net_of(reactor) != NULL)
		torc_net_check(net_of(reactor));
}

/* ---- Before a sleep ---- */

static void
check_wants_input(const struct torc_conn *conn)
{
	if (conn->armed || (conn->polling && conn->poll_reads) ||
	    conn->eof || conn->failed || conn->doomed ||
	    conn->slowed || torc_node_linked(&conn->starved))
		return;
	sim_fail("descriptor %d wants input, and no receive is armed",
	    conn->fd);
}

/* The end of a peer that somebody watches would be noticed. */
static void
check_watch(const struct torc_conn *conn)
{
	if (conn->watcher != 0 && !conn->doomed && !conn->armed &&
	    !conn->polling && !conn->eof && !conn->failed &&
	    !conn->fin_seen && !conn->hung_up)
		sim_fail("descriptor %d is watched, and nothing would tell",
		    conn->fd);
}

/* No connection holds more than it may, and all is counted. */
static void
check_held(const struct torc_conn *conn, size_t own[2])
{
	const struct torc_net *net = conn->net;
	size_t bytes = (conn->joined != NULL ? conn->view_size : 0) +
	    torc_transport_waits(conn);
	uint32_t lent = 0;

	own[conn->handler == NULL] += conn->joined_size +
	    torc_transport_kept(conn) + torc_transport_waits(conn);
	for (const struct torc_block *block = conn->memory; block != NULL;
	    block = block->next)
		own[conn->handler == NULL] += block->size;
	for (const struct torc_piece *piece = conn->first; piece != NULL;
	    piece = piece->next) {
		bytes += piece->size;
		if (piece->bid == TORC_NO_BID)
			own[conn->handler == NULL] += piece->size;
		else
			lent++;
	}
	if (lent != conn->lent)
		sim_fail("descriptor %d has %u buffers, and believes to have "
		    "%u", conn->fd, lent, conn->lent);
	if (net->capped && bytes > (size_t)net->reactor->config.held_max +
	    net->buffers.size)
		sim_fail("descriptor %d holds %zu bytes", conn->fd, bytes);
}

static void
check_own(const struct torc_net *net, const size_t own[2])
{
	if (own[0] != net->own[0] || own[1] != net->own[1])
		sim_fail("%zu and %zu bytes are held, %zu and %zu counted",
		    own[0], own[1], net->own[0], net->own[1]);
}

static void
check_net(const struct torc_net *net)
{
	struct torc_listener *listener = NULL;
	struct torc_conn *conn = NULL;
	size_t own[2] = { 0, 0 };

	while ((conn = torc_slots_each(&net->conns, conn)) != NULL) {
		check_wants_input(conn);
		check_held(conn, own);
		if (conn->staged_size > 0 && !conn->loud && !conn->send_failed)
			sim_fail("descriptor %d has bytes that nobody sends",
			    conn->fd);
		if (conn->slab != NULL && !conn->loud && !conn->send_failed)
			sim_fail("descriptor %d has a rest that nobody sends",
			    conn->fd);
		check_watch(conn);
		if (conn->reader != NULL && torc_recv_news(conn))
			sim_fail("descriptor %d has news that its reader was "
			    "not told", conn->fd);
	}
	check_own(net, own);
	while ((listener = torc_slots_each(&net->listeners, listener)) !=
	    NULL) {
		if (!listener->armed && !listener->paused && !net->holding)
			sim_fail("listener %d does not accept, for no reason",
			    listener->index);
	}
	if (!torc_list_empty(&net->starved) &&
	    (net->eased || net->favourite == NULL))
		sim_fail("memory has become free, and somebody waits for it");
}

void
sim_check_sleep(struct kring *ring)
{
	struct torc_reactor *reactor = sim_ring_reactor(ring);

	if (reactor == NULL || ring->lost)
		return;
	if (sim_cq_ready(ring) > 0 || ring->list_count > 0)
		return;		/* it waits for more than it has */
	if (!torc_list_empty(&reactor->ready))
		sim_fail("a fiber is ready, and the loop sleeps");
	if (!torc_list_empty(&reactor->backlog))
		sim_fail("something is to be done, and the loop sleeps");
	if ((uint32_t)reactor->ring.sq_claimed != ring->words[SQ_HEAD])
		sim_fail("the loop sleeps before all was taken");
	if (!reactor->wake_armed)
		sim_fail("nobody could wake the loop");
	check_both_sides(reactor, ring);
	if (net_of(reactor) != NULL)
		check_net(net_of(reactor));
}

/* ---- At the end ---- */

void
sim_check_end(void)
{
	sim_kernel_check_end();
	sim_net_check_end();
	/* An abandoned reactor leaves its memory, on purpose. */
	sim_seam_check_end(!world.lost);
}
