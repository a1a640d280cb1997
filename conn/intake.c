/* SPDX-License-Identifier: MIT */
/*
 * intake.c - how much a connection may receive now: a receive is armed, its
 * socket is polled, or it waits until others hold less.
 */
#include "conn/conn.h"
#include "conn/held.h"
#include "conn/intake.h"
#include "conn/net.h"
#include "conn/transport.h"
#include "conn/watch.h"
#include "reactor/reactor.h"

#define FED 64u		/* connections that waited for memory, in a turn */
#define FAVOUR_NS 100000000u

static bool
has_much(const struct torc_conn *conn)
{
	return conn->held >= conn->reactor->config.held_max / 4;
}

/*
 * It may not be given a receive: there was no buffer for it, or hardly are; or
 * it may have less than a receive might bring. Then its socket is polled.
 */
static bool
is_to_poll(const struct torc_conn *conn, uint32_t room)
{
	const struct torc_bufring *buffers = &conn->net->buffers;

	if (conn->no_buffer || (buffers->live == buffers->capacity &&
	    buffers->in_kernel <= buffers->capacity / 8))
		return true;
	/* Where the kernel does not count them, what the socket has may come
	 * at once. */
	return conn->net->capped ? room < 2 * buffers->size :
	    room < buffers->size || has_much(conn);
}

/* Into buffers of the kernel's choice, again and again. */
static void
fill_receive(struct io_uring_sqe *sqe, const struct torc_conn *conn,
    uint32_t room)
{
	torc_debug_assert(!conn->net->capped ||
	    room >= conn->net->buffers.size);
	sqe->opcode = IORING_OP_RECV;
	sqe->fd = conn->fd;
	sqe->user_data = torc_conn_recv_tag(conn);
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->buf_group = conn->net->buffers.bgid;
	/* `optlen`: the receive ends when it has brought so much. What brings
	 * it there may be a whole buffer more. */
	if (conn->net->capped)
		sqe->file_index = room - conn->net->buffers.size + 1;
}

/*
 * It holds all that it may. If nobody waits for more, its peer is to feel that
 * until some was read; else it waits until others hold less.
 */
void
torc_intake_wait(struct torc_conn *conn)
{
	torc_debug_assert(!conn->armed && !conn->poll_input);
	if (conn->reader != NULL || conn->dormant) {
		torc_list_append(&conn->net->starved, &conn->starved);
	} else {
		conn->slowed = true;
		conn->reactor->counters->holds++;
	}
	if (conn->watcher != 0)
		torc_watch_advance(conn);
}

/* A record that has begun is of no use before its end. */
static uint32_t
room_of(const struct torc_conn *conn)
{
	const uint32_t room = torc_held_room(conn);

	return room == 0 && torc_transport_kept(conn) > 0 &&
	    torc_transport_waits(conn) == 0 ?
	    conn->transport->missing : room;
}

uint32_t
torc_intake_room(struct torc_conn *conn)
{
	const uint32_t room = room_of(conn);

	torc_debug_assert(!conn->armed && !conn->poll_input);
	conn->no_buffer = false;
	if (room == 0)
		torc_intake_wait(conn);
	return room < conn->net->buffers.size ? room : conn->net->buffers.size;
}

/* There is room for `room` bytes. */
static void
arm(struct torc_conn *conn, uint32_t room)
{
	struct torc_reactor *reactor = conn->reactor;
	struct io_uring_sqe *sqe = torc_reactor_claim(reactor);

	torc_debug_assert(room > 0 && !conn->armed && !conn->poll_input);
	if (sqe == NULL) {
		torc_reactor_later(reactor, &conn->todo);
		return;
	}
	fill_receive(sqe, conn, room);
	conn->arm_mark = reactor->ring.sq_claimed;
	conn->arming = 1;
	conn->armed = true;
	reactor->counters->receive_arms++;
	conn->cancelling = false;
}

void
torc_intake_arm(struct torc_conn *conn)
{
	struct torc_reactor *reactor = conn->reactor;
	uint32_t room;

	if (conn->armed || conn->poll_input || conn->eof || conn->failed ||
	    conn->doomed || conn->slowed || torc_node_linked(&conn->starved))
		return;
	/* A receive and a quiet send of one connection never travel in the
	 * same submission: completions of this receive are seen after the
	 * send is over. */
	if (conn->sent_size > 0 && reactor->ring.sq_taken < conn->send_mark) {
		torc_reactor_later(reactor, &conn->todo);
		return;
	}
	room = room_of(conn);
	if (room == 0) {
		torc_intake_wait(conn);
	} else if (is_to_poll(conn, room)) {
		torc_watch_input(conn);
	} else {
		arm(conn, room);
	}
}

void
torc_intake_want(struct torc_conn *conn)
{
	conn->slowed = false;
	torc_intake_arm(conn);
}

void
torc_intake_want_later(struct torc_conn *conn)
{
	conn->slowed = false;
	torc_reactor_later(conn->reactor, &conn->todo);
}

void
torc_intake_hold(struct torc_conn *conn)
{
	torc_intake_forget(conn);
	conn->slowed = true;
}

void
torc_intake_slow_down(struct torc_conn *conn)
{
	torc_debug_assert(!conn->slowed && conn->pieced);
	conn->slowed = true;
	conn->reactor->counters->holds++;
	torc_reactor_later(conn->reactor, &conn->todo);
}

void
torc_intake_run_dry(struct torc_conn *conn)
{
	struct torc_net *net = conn->net;

	net->reactor->counters->no_buffers++;
	net->dry = true;
	conn->no_buffer = net->buffers.live == net->buffers.capacity;
	torc_reactor_later(net->reactor, &conn->todo);
}

void
torc_intake_end(struct torc_conn *conn)
{
	torc_debug_assert(conn->doomed || conn->slowed);
	if (!conn->armed || conn->cancelling)
		return;
	if (torc_reactor_cancel(conn->reactor, torc_conn_recv_tag(conn)))
		conn->cancelling = true;
	else
		torc_reactor_later(conn->reactor, &conn->todo);
}

void
torc_intake_missed(struct torc_conn *conn)
{
	conn->cancelling = false;
}

void
torc_intake_ended(struct torc_conn *conn)
{
	torc_assert(conn->armed);
	conn->armed = false;
	conn->reactor->counters->rearms++;
}

void
torc_intake_forget(struct torc_conn *conn)
{
	struct torc_net *net = conn->net;

	if (torc_node_linked(&conn->starved))
		torc_list_remove(&conn->starved);
	if (net->favourite == conn)
		net->favourite = NULL;
}

void
torc_intake_speed_up(struct torc_conn *conn)
{
	if (!conn->slowed || conn->doomed || !torc_held_is_low(conn))
		return;
	conn->slowed = false;
	torc_intake_arm(conn);
}

/* As many bytes as may be kept have come, or are about to, and nobody reads. */
bool
torc_intake_is_full(const struct torc_conn *conn)
{
	return torc_held_room(conn) == 0 || (!conn->net->capped &&
	    conn->armed && has_much(conn));
}

/* ---- Those that wait for memory ---- */

/*
 * Those that have waited longest first, a few in a turn. True if one of them
 * could go on: then others may be able to in the next turn.
 */
static bool
feed_some(struct torc_net *net)
{
	struct torc_conn *first = NULL;	/* that has to wait again */
	bool fed = false;

	for (unsigned i = 0; i < FED; i++) {
		struct torc_node *node = torc_list_take(&net->starved);
		struct torc_conn *conn;

		if (node == NULL)
			break;
		conn = torc_container(node, struct torc_conn, starved);
		torc_intake_arm(conn);
		if (!torc_node_linked(&conn->starved))
			fed = true;
		else if (first == NULL)
			first = conn;
		else if (first == conn)
			break;
	}
	return fed;
}

/* Nobody could go on: one may, whatever there is. */
static void
favour(struct torc_net *net)
{
	struct torc_node *node = torc_list_take(&net->starved);

	torc_debug_assert(net->favourite == NULL);
	if (node == NULL)
		return;
	net->favourite = torc_container(node, struct torc_conn, starved);
	net->reactor->counters->favours++;
	torc_timers_arm(&net->reactor->timers, &net->favour,
	    net->reactor->now + FAVOUR_NS);
	torc_intake_arm(net->favourite);
}

void
torc_intake_disfavour(struct torc_timer *timer)
{
	struct torc_net *net = torc_container(timer, struct torc_net, favour);

	net->favourite = NULL;
}

void
torc_intake_feed(struct torc_net *net)
{
	if (net->favourite != NULL && torc_held_is_nothing(net->favourite))
		net->favourite = NULL;
	if (net->eased) {
		torc_held_set_eased(net, feed_some(net));
		if (net->eased)
			torc_reactor_later(net->reactor, &net->hungry);
	}
	if (net->favourite == NULL && !net->eased)
		favour(net);
}
