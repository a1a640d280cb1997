/* SPDX-License-Identifier: MIT */
/*
 * shake.c - the line of handshakes.
 */
#include <string.h>

#include "conn/held.h"
#include "conn/intake.h"
#include "conn/recv.h"
#include "conn/send.h"
#include "conn/shake.h"
#include "sys/sys.h"

/*
 * What the steps of one turn may take together, so long as there is another
 * one after the first. A turn costs little beside a step.
 */
#define STEPS_NS 500000u
#define STEPS_MAX 16u

/* What has come of it is opened in its turn. */
static void
queue(struct torc_transport *transport)
{
	struct torc_net *net = transport->conn->net;

	if (transport->waits_size > 0 && !transport->away &&
	    !torc_node_linked(&transport->shaking))
		torc_list_append(transport->stepped ? &net->begun :
		    &net->shaking, &transport->shaking);
}

/*
 * A handshake that has begun holds much memory until it is done: those and new
 * ones have every other turn, so that each new one ends another one.
 */
static struct torc_node *
take_next(struct torc_net *net, bool begun)
{
	struct torc_node *node = torc_list_take(begun ? &net->begun :
	    &net->shaking);

	return node != NULL ? node : torc_list_take(begun ? &net->shaking :
	    &net->begun);
}

bool
torc_shake_wait(struct torc_conn *conn, uint8_t *data, uint32_t size,
    uint32_t bid)
{
	struct torc_transport *transport = conn->transport;
	const uint32_t before = transport->waits_size;
	uint8_t *bytes = torc_held_alloc(conn, before + size);

	torc_debug_assert(size > 0 && (!transport->ready || before > 0));
	if (bytes != NULL) {
		if (before > 0)
			memcpy(bytes, transport->waits, before);
		memcpy(bytes + before, data, size);
		if (before > 0)
			torc_held_free(conn, transport->waits, before);
		transport->waits = bytes;
		transport->waits_size = before + size;
	}
	torc_held_let_go(conn, data, size, bid);
	if (bytes == NULL)
		return false;
	queue(transport);
	if (torc_intake_is_full(conn)) {
		torc_intake_hold(conn);
		torc_reactor_later(conn->reactor, &conn->todo);
	}
	return true;
}

void
torc_shake_forget(struct torc_transport *transport)
{
	if (transport->waits_size == 0)
		return;
	if (torc_node_linked(&transport->shaking))
		torc_list_remove(&transport->shaking);
	torc_held_free(transport->conn, transport->waits,
	    transport->waits_size);
	transport->waits_size = 0;
}

/* ---- Those that a thread has ---- */

void
torc_transport_leave(struct torc_transport *transport)
{
	torc_assert(!transport->away && !transport->ready);
	torc_assert(!torc_node_linked(&transport->shaking));
	transport->away = true;
}

void
torc_transport_back(struct torc_transport *transport)
{
	struct torc_conn *conn = transport->conn;

	torc_assert(transport->away && conn->transport == transport);
	transport->away = false;
	queue(transport);
	if (torc_shake_any(conn->net))
		torc_reactor_later(conn->reactor, &conn->net->hungry);
	torc_reactor_later(conn->reactor, &conn->todo);
	/* The last step: a handler may run. */
	if (!conn->doomed && !conn->failed)
		torc_recv_take_back(conn);
}

bool
torc_transport_in_line(const struct torc_transport *transport)
{
	return torc_shake_any(transport->conn->net);
}

/* ---- The line ---- */

/* All that has come of one handshake. */
static void
step(struct torc_transport *transport)
{
	struct torc_conn *conn = transport->conn;
	const uint32_t size = transport->waits_size;

	torc_assert(size > 0 && conn->transport == transport);
	if (conn->doomed || conn->failed) {
		torc_shake_forget(transport);
		return;
	}
	transport->waits_size = 0;
	transport->stepped = true;
	if (conn->slowed)
		torc_intake_want_later(conn);
	torc_recv_unseal(conn, transport->waits, size, TORC_NO_BID);
}

/* What others are answered is not to wait for a step. */
static void
send_answers(struct torc_net *net)
{
	struct torc_reactor *reactor = net->reactor;

	if (net->unsent->staged_size > 0)
		torc_send_staged(net->unsent);
	if (torc_ring_pending(&reactor->ring) == 0)
		return;
	reactor->counters->enters++;
	torc_ring_submit(&reactor->ring);
}

void
torc_shake_some(struct torc_net *net)
{
	const uint64_t until = torc_sys_now() + STEPS_NS;
	struct torc_node *node;
	unsigned steps = 0;

	send_answers(net);
	while ((node = take_next(net, net->turn_of_begun)) != NULL) {
		net->turn_of_begun = !net->turn_of_begun;
		step(torc_container(node, struct torc_transport, shaking));
		if (++steps == STEPS_MAX || torc_sys_now() >= until)
			break;
	}
	/* The loop does not sleep before the others. */
	if (torc_shake_any(net))
		torc_reactor_later(net->reactor, &net->hungry);
}
