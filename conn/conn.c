/* SPDX-License-Identifier: MIT */
/*
 * conn.c - the life of a connection: opened, handed to its handler, closed
 * when nothing is outstanding any more.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "conn/accept.h"
#include "conn/address.h"
#include "conn/check.h"
#include "conn/chunk.h"
#include "conn/conn.h"
#include "conn/drain.h"
#include "conn/finish.h"
#include "conn/intake.h"
#include "conn/net.h"
#include "conn/recv.h"
#include "conn/room.h"
#include "conn/send.h"
#include "conn/torc_protocol.h"
#include "conn/transport.h"
#include "conn/view.h"
#include "conn/watch.h"
#include "reactor/fiber.h"
#include "sys/sys.h"

/* ---- The end ---- */

static bool
outstanding(struct torc_conn *conn)
{
	return conn->armed || conn->loud || conn->reader != NULL ||
	    conn->writer != NULL || conn->polling || !torc_send_idle(conn) ||
	    torc_transport_is_away(conn);
}

/* With the next submission, if there is room: a system call saved. */
static void
close_socket(struct torc_reactor *reactor, int fd)
{
	struct io_uring_sqe *sqe = torc_reactor_claim(reactor);

	if (sqe == NULL) {
		torc_sys_close(fd);
		return;
	}
	sqe->opcode = IORING_OP_CLOSE;
	sqe->fd = fd;
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = TORC_KIND_NONE;
}

static void
recycle(struct torc_conn *conn)
{
	struct torc_net *net = conn->net;
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	torc_assert(conn->doomed && !conn->armed && !conn->loud);
	torc_assert(conn->reader == NULL && conn->writer == NULL);
	torc_view_discard(conn);
	torc_conn_forget(conn);
	if (conn->transport != NULL)
		torc_transport_forget(conn);
	conn->transport = NULL;
	torc_intake_forget(conn);
	if (torc_node_linked(&conn->todo.node))
		torc_list_remove(&conn->todo.node);
	torc_timers_disarm(&net->reactor->timers, &conn->timer);
	if (conn->reset) {
		torc_sys_setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &at_once,
		    sizeof(at_once));
		net->reactor->counters->resets++;
	}
	torc_room_left(conn);
	net->reactor->counters->closes++;
	close_socket(net->reactor, conn->fd);
	conn->fd = -1;
	torc_slots_give(&net->conns, conn);
	if (net->paused > 0)
		torc_accept_resume(net);
}

void
torc_conn_advance(struct torc_conn *conn)
{
	torc_send_advance(conn);
	if (conn->doomed || conn->slowed)
		torc_intake_end(conn);
	else
		torc_intake_arm(conn);
	if (conn->polling || conn->poll_input || conn->watcher != 0)
		torc_watch_advance(conn);
	if (TORC_DEBUGGED)
		torc_conn_check(conn);
	/* The last step: the fiber may well be the end of the connection. */
	if (conn->writer != NULL &&
	    (conn->send_failed || torc_send_idle(conn))) {
		if (conn->failed && conn->reader != NULL)
			torc_reactor_later(conn->reactor, &conn->todo);
		torc_fiber_wake(conn->writer, 0);
	} else if (conn->doomed && !outstanding(conn)) {
		recycle(conn);
	} else if (conn->failed) {
		torc_recv_tell_end(conn);
	}
}

void
torc_conn_missed(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe)
{
	struct torc_conn *conn = object;

	torc_debug_assert(torc_tag_kind(cqe->user_data) & TORC_KIND_CANCEL);
	if (cqe->res != -ENOENT)
		return;
	if (torc_tag_kind(cqe->user_data) ==
	    (TORC_KIND_RECV | TORC_KIND_CANCEL) ||
	    torc_tag_kind(cqe->user_data) ==
	    (TORC_KIND_SEALED | TORC_KIND_CANCEL))
		torc_intake_missed(conn);
	else if (torc_tag_kind(cqe->user_data) ==
	    (TORC_KIND_POLL | TORC_KIND_CANCEL))
		torc_watch_missed(conn);
	else
		torc_send_missed(conn);
	torc_reactor_later(reactor, &conn->todo);
}

static void
advance_later(struct torc_reactor *reactor, struct torc_todo *todo)
{
	(void)reactor;
	torc_conn_advance(torc_container(todo, struct torc_conn, todo));
}

void
torc_conn_doom(struct torc_conn *conn, bool reset)
{
	if (conn->doomed)
		return;
	conn->reset |= reset;
	conn->doomed = true;
	torc_conn_set_dormant(conn, false);
	if (conn->reset)
		torc_send_fail(conn, -ECONNRESET);
	torc_send_abort(conn);
	torc_conn_advance(conn);
}

void
torc_conn_stop(struct torc_conn *conn)
{
	const bool reset = conn->loud &&
	    conn->reactor->phase == TORC_PHASE_STOPPING;

	torc_debug_assert(conn->reactor->phase >= TORC_PHASE_DRAINING);
	if (reset) {
		conn->reset = true;
		torc_send_abort(conn);
	}
	/* Nobody will flush it. */
	if (conn->staged_size > 0)
		torc_chunk_hurry(conn);
	if (conn->doomed)
		torc_conn_advance(conn);
	else
		torc_conn_doom(conn, false);
}

/* ---- The handler ---- */

void
torc_conn_set_dormant(struct torc_conn *conn, bool dormant)
{
	torc_debug_assert(conn->net->dormant >= conn->dormant);
	conn->net->dormant += (uint32_t)dormant - (uint32_t)conn->dormant;
	conn->dormant = dormant;
}

/* Idle for too long, without a fiber or in a drain. */
static void
time_is_up(struct torc_timer *timer)
{
	struct torc_conn *conn =
	    torc_container(timer, struct torc_conn, timer);

	if (conn->dormant)
		torc_conn_retire(conn);
	else if (conn->reactor->phase == TORC_PHASE_DRAINING)
		torc_drain_look(conn);
}

/*
 * Let the stack go: TORC_AGAIN. TORC_CLOSE if there is no memory for what is in
 * view, or no future; -EAGAIN if there is something to do already.
 */
static int
fall_asleep(struct torc_conn *conn)
{
	struct torc_reactor *reactor = conn->reactor;
	unsigned idle_ms = reactor->config.idle_ms;
	torc_deadline by = TORC_NEVER;

	torc_debug_assert(conn->reader == NULL && conn->writer == NULL);
	if (conn->staged_size > 0)
		torc_send_staged(conn);
	torc_view_rewind(conn);
	if (torc_recv_news(conn))
		return -EAGAIN;
	if (reactor->phase == TORC_PHASE_DRAINING)
		by = torc_at(torc_drain_idle_by(conn));
	if (conn->transport != NULL)
		conn->transport->kind->rest(conn->transport);
	if (torc_view_keep(conn) < 0 || by.at <= reactor->due ||
	    reactor->phase >= TORC_PHASE_STOPPING)
		return TORC_CLOSE;
	by = torc_sooner(by, torc_conn_limit(conn, idle_ms));
	torc_conn_set_dormant(conn, true);
	if (by.at < UINT64_MAX)
		torc_timers_arm(&reactor->timers, &conn->timer, by.at);
	return TORC_AGAIN;
}

/* Bytes of its own connection are what a handler's fiber waits for simply. */
static void
move_in(struct torc_conn *conn, struct torc_fiber *fiber)
{
	torc_debug_assert(conn->owner == TORC_NOBODY && !conn->dormant);
	conn->owner = fiber;
	conn->unfinished = false;
	torc_fiber_move(fiber, conn);
}

static void
move_out(struct torc_conn *conn)
{
	torc_debug_assert(conn->owner == conn->reactor->current);
	torc_fiber_move(conn->owner, NULL);
	conn->owner = TORC_NOBODY;
}

static int
run_handler(void *arg)
{
	struct torc_conn *conn = arg;
	const struct torc_config *config = &conn->reactor->config;
	int rc;

	move_in(conn, conn->reactor->current);
	for (;;) {
		bool ended = conn->eof || conn->failed;

		rc = conn->handler(conn, conn->arg);
		torc_watch_drop(conn);
		torc_finish_others(conn);
		if (rc != TORC_AGAIN || ended || conn->send_failed)
			break;
		rc = fall_asleep(conn);
		if (rc == TORC_AGAIN)
			break;
		if (rc == TORC_CLOSE || torc_yield() < 0)
			break;
	}
	torc_require(rc <= TORC_AGAIN, "a handler returned an unknown value");
	move_out(conn);
	if (conn->dormant)
		return 0;
	if (rc < 0)
		torc_conn_doom(conn, true);
	else
		torc_finish(conn, torc_conn_limit(conn, config->close_ms),
		    TORC_AT_ONCE);
	return 0;
}

/* Start the handler's fiber, or give the connection up. */
static bool
start_handler(struct torc_conn *conn)
{
	torc_debug_assert(conn->handler != NULL && !conn->doomed);
	if (torc_fiber_start(conn->reactor, NULL, run_handler,
	    conn) == 0)
		return true;
	conn->reactor->counters->sheds++;
	torc_conn_doom(conn, true);
	return false;
}

void
torc_conn_revive(struct torc_conn *conn)
{
	struct torc_reactor *reactor = conn->reactor;
	struct torc_fiber *fiber;

	torc_debug_assert(conn->dormant && conn->handler != NULL);
	torc_conn_set_dormant(conn, false);
	torc_timers_disarm(&reactor->timers, &conn->timer);
	if (conn->transport != NULL && !conn->transport->ready) {
		/* It has ended before it was one: nobody is to know. */
		torc_conn_doom(conn, false);
		return;
	}
	if (conn->transport != NULL)
		torc_transport_choose(conn, &conn->handler, &conn->arg);
	if (!start_handler(conn) || reactor->current != NULL)
		return;
	/* Inline, as a parked fiber would be. */
	fiber = torc_container(reactor->ready.ends.prev, struct torc_fiber,
	    ready);
	torc_list_remove(&fiber->ready);
	torc_fiber_resume(fiber);
}

/* ---- The beginning ---- */

void
torc_conn_set_transport(struct torc_conn *conn,
    struct torc_transport *transport)
{
	torc_assert(conn->transport == NULL && !conn->armed);
	torc_assert(transport->conn == NULL && torc_send_idle(conn));
	transport->conn = conn;
	conn->transport = transport;
	conn->reactor->stats_page.page->gauge.handshakes++;
	/* What is sealed leaves from the slab alone. */
	conn->unquiet = true;
}

struct torc_conn *
torc_conn_open(struct torc_net *net, int fd, torc_handler *handler,
    void *arg, struct torc_transport *transport)
{
	struct torc_conn *conn = torc_slots_take(&net->conns);
	struct torc_slot slot;

	if (conn == NULL)
		return NULL;
	slot = conn->slot;
	*conn = (struct torc_conn) {
		.slot = slot,
		.fd = fd,
		.net = net,
		.reactor = net->reactor,
		.unquiet = !net->quiet,
		.send_tag = torc_slots_tag(&net->conns, conn, TORC_KIND_SEND),
		.view_bid = TORC_NO_BID,
		.owner = TORC_NOBODY,
		.todo.run = advance_later,
		.timer.fire = time_is_up,
		.handler = handler,
		.arg = arg,
		.listener = -1,
		.since = net->reactor->now,
		/* Nothing was sent or armed yet. */
		.send_mark = net->reactor->settled,
		.arm_mark = net->reactor->settled,
	};
	if (transport != NULL)
		torc_conn_set_transport(conn, transport);
	torc_intake_arm(conn);
	return conn;
}

/* Its handler starts when its transport is ready. */
static void
await_transport(struct torc_conn *conn, unsigned ms)
{
	const torc_deadline by = torc_conn_limit(conn, ms);

	torc_debug_assert(conn->transport != NULL && conn->handler != NULL);
	conn->transport->ready_by = by.at;
	torc_conn_set_dormant(conn, true);
	if (by.at < UINT64_MAX)
		torc_timers_arm(&conn->reactor->timers, &conn->timer, by.at);
}

void
torc_conn_accept(struct torc_net *net, int fd,
    const struct torc_accepting *how)
{
	struct torc_transport *transport = NULL;
	struct torc_conn *conn = NULL;

	torc_debug_assert(how->handler != NULL && how->listener >= 0);
	net->reactor->counters->accepts++;
	if (how->maker != NULL)
		transport = how->maker->make(how->maker);
	if ((how->maker == NULL || transport != NULL) &&
	    torc_room_make(net, fd))
		conn = torc_conn_open(net, fd, how->handler, how->arg,
		    transport);
	if (conn == NULL) {
		net->reactor->counters->sheds++;
		torc_sys_close(fd);
		if (transport != NULL)
			transport->kind->free(transport);
		return;
	}
	conn->listener = (int16_t)how->listener;
	conn->port = (uint16_t)how->port;
	if (transport == NULL) {
		start_handler(conn);
		return;
	}
	transport->protocols = how->protocols;
	await_transport(conn, how->maker->ready_ms);
}

/* ---- For handlers ---- */

int
torc_conn_close(struct torc_conn *conn, torc_deadline deadline)
{
	if (conn == NULL)
		return 0;
	torc_conn_require_fiber(conn);
	torc_require(conn->handler == NULL,
	    "torc_conn_close is for dialled connections: return from the "
	    "handler");
	torc_watch_drop(conn);
	torc_finish_others(conn);
	if (deadline.at == 0) {
		torc_conn_doom(conn, true);
		return 0;
	}
	return torc_finish(conn, deadline, deadline);
}

static int
format_name(int (*name)(int fd, struct sockaddr *address, uint32_t *size),
    int fd, char *text, size_t size)
{
	struct sockaddr_storage address;
	uint32_t length = sizeof(address);
	int rc = name(fd, (struct sockaddr *)&address, &length);

	return rc < 0 ? rc : torc_address_format(&address, length, text,
	    size);
}

int
torc_conn_peer_address(const struct torc_conn *conn, char *text, size_t size)
{
	torc_conn_require(conn);
	return format_name(torc_sys_getpeername, conn->fd, text, size);
}

int
torc_conn_local_address(const struct torc_conn *conn, char *text, size_t size)
{
	torc_conn_require(conn);
	return format_name(torc_sys_getsockname, conn->fd, text, size);
}

int
torc_conn_listener(const struct torc_conn *conn)
{
	torc_conn_require(conn);
	return conn->listener;
}

unsigned
torc_conn_port(const struct torc_conn *conn)
{
	torc_conn_require(conn);
	return conn->port;
}

int
torc_conn_fd(const struct torc_conn *conn)
{
	torc_conn_require(conn);
	return conn->fd;
}

void
torc_conn_set_unfinished(struct torc_conn *conn, bool unfinished)
{
	torc_conn_require(conn);
	conn->unfinished = unfinished;
}

void
torc_conn_set_data(struct torc_conn *conn, void *data)
{
	torc_conn_require(conn);
	conn->data = data;
}

void *
torc_conn_data(const struct torc_conn *conn)
{
	torc_conn_require(conn);
	return conn->data;
}
