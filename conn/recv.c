/*
 * recv.c - bytes from the kernel's buffers to the handler's view.
 */
#include <errno.h>
#include <string.h>

#include "conn/conn.h"
#include "conn/drain.h"
#include "conn/held.h"
#include "conn/net.h"
#include "conn/recv.h"
#include "conn/send.h"
#include "conn/torc_protocol.h"
#include "conn/watch.h"
#include "reactor/fiber.h"
#include "sys/sys.h"

#define FED 64u		/* connections that waited for memory, in a turn */
#define FAVOUR_NS 100000000u

/* ---- The view ---- */

/* The view lies where it did before torc_conn_rewind(). */
static void
forget_rewind(struct torc_conn *conn)
{
	if (!conn->rewound)
		return;
	conn->rewound = false;
	conn->view_bid = conn->rewound_bid;
}

static void
drop_view(struct torc_conn *conn)
{
	forget_rewind(conn);
	if (conn->view_bid != TORC_NO_BID) {
		torc_bufring_put(&conn->net->buffers, conn->view_bid);
	} else if (conn->joined != NULL) {
		torc_held_free(conn, conn->joined, conn->joined_size);
		conn->joined = NULL;
		conn->joined_size = 0;
	}
	conn->view = NULL;
	conn->view_size = 0;
	conn->view_bid = TORC_NO_BID;
	conn->fresh = false;
}

/*
 * Have the view, and room for `more` bytes behind it, in memory of the
 * connection's own.
 */
static int
join(struct torc_conn *conn, uint32_t more)
{
	uint32_t needed = conn->view_size + more;
	uint32_t size = conn->joined_size;
	uint8_t *bytes = conn->joined;

	if (needed > size) {
		size = size == 0 ? 512 : size;
		while (size < needed)
			size *= 2;
		bytes = torc_held_alloc(conn, size);
		if (bytes == NULL)
			return -ENOMEM;
		conn->reactor->counters->joins++;
	}
	/* Bytes that come one by one must not be moved by each. */
	if (bytes != conn->view)
		memmove(bytes, conn->view, conn->view_size);
	if (bytes != conn->joined) {
		uint32_t view_size = conn->view_size;

		drop_view(conn);
		conn->view_size = view_size;
		conn->joined = bytes;
		conn->joined_size = size;
	}
	conn->view = bytes;
	return 0;
}

int
torc_recv_keep(struct torc_conn *conn)
{
	torc_assert(!conn->rewound);
	if (conn->view_size == 0 || conn->view_bid == TORC_NO_BID)
		return 0;
	return join(conn, 0);
}

/* All pieces behind what is left of the view. */
static int
extend_view(struct torc_conn *conn)
{
	uint32_t more = 0;
	int rc;

	for (struct torc_piece *piece = conn->first; piece != NULL;
	    piece = piece->next)
		more += piece->size;
	rc = join(conn, more);
	if (rc < 0)
		return rc;
	while (conn->first != NULL) {
		struct torc_piece piece = torc_held_take(conn);

		memcpy(conn->view + conn->view_size, piece.data, piece.size);
		conn->view_size += piece.size;
		torc_held_let_go(conn, piece.data, piece.size,
		    piece.bid);
	}
	return 0;
}

static void
set_view(struct torc_conn *conn, uint8_t *data, uint32_t size, uint32_t bid)
{
	torc_assert(conn->view_size == 0 && conn->view_bid == TORC_NO_BID);
	conn->view = data;
	conn->view_size = size;
	conn->view_bid = bid;
	conn->fresh = true;
	if (torc_unlikely(bid == TORC_NO_BID)) {
		torc_assert(conn->joined == NULL);
		conn->joined = data;
		conn->joined_size = size;
	}
}

/* A peer that was slowed may go on, if enough was read. */
static void
speed_up(struct torc_conn *conn)
{
	if (!conn->slowed || conn->doomed || !torc_held_is_low(conn))
		return;
	conn->slowed = false;
	torc_recv_arm(conn);
}

/* Make a view of what came, if anything did. 1, 0 or a negative errno. */
static int
refresh_view(struct torc_conn *conn)
{
	if (conn->fresh)
		return 1;
	if (conn->first == NULL)
		return 0;
	if (conn->view_size == 0) {
		struct torc_piece piece = torc_held_take(conn);

		set_view(conn, piece.data, piece.size, piece.bid);
	} else {
		int rc = extend_view(conn);

		if (rc < 0)
			return rc;
	}
	speed_up(conn);
	return 1;
}

void
torc_recv_discard(struct torc_conn *conn)
{
	if (conn->view_size > 0)
		drop_view(conn);
	while (conn->first != NULL) {
		struct torc_piece piece = torc_held_take(conn);

		torc_held_let_go(conn, piece.data, piece.size,
		    piece.bid);
	}
	speed_up(conn);
}

/* ---- Arming ---- */

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
static void
wait_for_room(struct torc_conn *conn)
{
	if (conn->reader != NULL || conn->dormant) {
		torc_list_append(&conn->net->starved, &conn->starved);
	} else {
		conn->slowed = true;
		conn->reactor->counters->holds++;
	}
	if (conn->watcher != 0)
		torc_watch_advance(conn);
}

/* There is room for `room` bytes. */
static void
arm(struct torc_conn *conn, uint32_t room)
{
	struct torc_reactor *reactor = conn->reactor;
	struct io_uring_sqe *sqe = torc_reactor_claim(reactor);

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
torc_recv_arm(struct torc_conn *conn)
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
	room = torc_held_room(conn);
	if (room == 0) {
		wait_for_room(conn);
	} else if (is_to_poll(conn, room)) {
		conn->poll_input = true;
		torc_watch_advance(conn);
	} else {
		arm(conn, room);
	}
}

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
		torc_recv_arm(conn);
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

	if (node == NULL)
		return;
	net->favourite = torc_container(node, struct torc_conn, starved);
	net->reactor->counters->favours++;
	torc_timers_arm(&net->reactor->timers, &net->favour,
	    net->reactor->now + FAVOUR_NS);
	torc_recv_arm(net->favourite);
}

void
torc_recv_disfavour(struct torc_timer *timer)
{
	struct torc_net *net = torc_container(timer, struct torc_net, favour);

	net->favourite = NULL;
}

void
torc_recv_feed(struct torc_net *net)
{
	if (net->favourite != NULL && torc_held_is_nothing(net->favourite))
		net->favourite = NULL;
	if (net->eased) {
		net->eased = feed_some(net);
		if (net->eased)
			torc_reactor_later(net->reactor, &net->hungry);
	}
	if (net->favourite == NULL && !net->eased)
		favour(net);
}

/* ---- Completions ---- */

/* The handler does not read: let the peer feel it. */
static void
slow_down(struct torc_conn *conn)
{
	conn->slowed = true;
	conn->reactor->counters->holds++;
	torc_reactor_later(conn->reactor, &conn->todo);
}

void
torc_recv_tell_end(struct torc_conn *conn)
{
	torc_watch_tell(conn);
	if (conn->reader != NULL)
		torc_fiber_wake(conn->reader, 0);
	else if (conn->dormant)
		torc_conn_revive(conn);
}

void
torc_recv_fail(struct torc_conn *conn, int error)
{
	if (conn->eof || conn->failed)
		return;
	conn->error = error;
	conn->failed = true;
	torc_reactor_later(conn->reactor, &conn->todo);
}

/* No more comes: the peer's FIN, or an error. */
static void
end_input(struct torc_conn *conn, int error)
{
	/* What is missing from the stream is no less so at the peer's FIN. */
	if (conn->failed)
		return;
	conn->error = error;
	conn->eof = error == 0;
	conn->failed = error != 0;
	torc_recv_tell_end(conn);
}

/*
 * The kernel tells an error of a socket once. If a send was told, a receive
 * finds nothing but an end, as if the peer had sent FIN.
 */
static int
cause_of_end(const struct torc_conn *conn)
{
	return conn->lost != 0 && !conn->shut &&
	    torc_sys_hung_up(conn->fd) > 0 ? conn->lost : 0;
}

/*
 * Somebody waits for bytes, and will be shown them. A reader that is about to
 * be told of its deadline, or that it was cancelled, will not: what comes now
 * is news to the next call.
 */
static bool
will_be_shown(const struct torc_conn *conn)
{
	return conn->dormant || (conn->reader != NULL &&
	    conn->reader->state == TORC_FIBER_PARKED);
}

/* As many bytes as may be kept have come, or are about to, and nobody reads. */
static bool
is_to_slow(const struct torc_conn *conn)
{
	return torc_held_room(conn) == 0 || (!conn->net->capped &&
	    conn->armed && has_much(conn));
}

/* Bytes have come. */
static void
deliver(struct torc_conn *conn, uint8_t *data, uint32_t size, uint32_t bid)
{
	struct torc_reactor *reactor = conn->reactor;

	if (conn->failed) {
		/* Something is missing before it. */
		torc_held_let_go(conn, data, size, bid);
		return;
	}
	reactor->counters->receives++;
	reactor->counters->received += size;
	conn->met = true;
	if (conn->first == NULL && conn->view_size == 0 &&
	    will_be_shown(conn)) {
		torc_held_settle(conn, &data, size, &bid);
		set_view(conn, data, size, bid);
	} else if (!torc_held_append(conn, data, size, bid)) {
		torc_held_let_go(conn, data, size, bid);
		end_input(conn, -ENOMEM);
		return;
	}
	if (!conn->slowed && conn->pieced && is_to_slow(conn))
		slow_down(conn);
	if (conn->reader != NULL)
		torc_fiber_wake(conn->reader, 0);
	else if (conn->dormant)
		torc_conn_revive(conn);
}

/*
 * There is no buffer, although none stays where it is for long: others are
 * faster. Unless there will be more now, this one is served by hand.
 */
static void
run_dry(struct torc_conn *conn)
{
	struct torc_net *net = conn->net;

	net->reactor->counters->no_buffers++;
	net->dry = true;
	conn->no_buffer = net->buffers.live == net->buffers.capacity;
	torc_reactor_later(net->reactor, &conn->todo);
}

/* The receive is over, and not by bytes. */
static void
receive_ended(struct torc_conn *conn, int32_t result)
{
	struct torc_net *net = conn->net;

	switch (result) {
	case 0:
		end_input(conn, cause_of_end(conn));
		return;
	case -ENOBUFS:
		run_dry(conn);
		return;
	case -ECANCELED:	/* we asked for it, or the kernel had to */
	case -EINTR:
	case -EAGAIN:
		torc_reactor_later(net->reactor, &conn->todo);
		return;
	default:
		net->reactor->counters->receive_failures++;
		end_input(conn, torc_conn_error(result));
	}
}

void
torc_recv_ready(struct torc_conn *conn)
{
	struct torc_net *net = conn->net;
	uint32_t room = torc_held_room(conn);
	uint8_t *bytes;
	int rc;

	conn->no_buffer = false;
	if (room == 0) {
		wait_for_room(conn);
		return;
	}
	if (room > net->buffers.size)
		room = net->buffers.size;
	rc = torc_sys_recv(conn->fd, net->scratch, room);
	net->reactor->counters->landings++;
	/* A send that is not over yet may have been told of the error. */
	if (rc == 0 && conn->errored)
		rc = conn->lost != 0 ? conn->lost : -ECONNRESET;
	if (rc <= 0) {
		receive_ended(conn, rc);
		return;
	}
	torc_reactor_later(net->reactor, &conn->todo);
	bytes = torc_held_alloc(conn, (uint32_t)rc);
	if (bytes == NULL) {
		end_input(conn, -ENOMEM);
		return;
	}
	memcpy(bytes, net->scratch, (size_t)rc);
	deliver(conn, bytes, (uint32_t)rc, TORC_NO_BID);
}

/*
 * Any completion of a receive: bytes or not, its last one or not, wanted or
 * too late.
 */
static __attribute__((noinline)) void
look_closer(struct torc_reactor *reactor, struct torc_conn *conn,
    const struct io_uring_cqe *cqe)
{
	uint16_t bid = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
	int32_t result = cqe->res;

	torc_assert(conn->armed);
	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		conn->armed = false;
		reactor->counters->rearms++;
		if (result > 0)
			torc_reactor_later(reactor, &conn->todo);
	}
	if (cqe->flags & IORING_CQE_F_BUFFER) {
		uint32_t size = result > 0 ? (uint32_t)result : 0;
		uint8_t *data = torc_bufring_take(&conn->net->buffers, bid,
		    size, cqe->flags);

		if (size > 0 && !conn->doomed) {
			deliver(conn, data, size, bid);
			return;
		}
		torc_bufring_put(&conn->net->buffers, bid);
	}
	if (conn->doomed)
		torc_conn_advance(conn);
	else if (!conn->armed)
		receive_ended(conn, result);
}

/* Bytes in a buffer of their own, and more may follow. */
static inline bool
is_usual(const struct torc_net *net, uint32_t flags, uint32_t size)
{
	const uint32_t usual = IORING_CQE_F_BUFFER | IORING_CQE_F_MORE;

	return (flags & (usual | IORING_CQE_F_BUF_MORE)) == usual &&
	    torc_bufring_whole(&net->buffers,
	    flags >> IORING_CQE_BUFFER_SHIFT, size);
}

void
torc_recv_complete(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe)
{
	struct torc_conn *conn = object;
	struct torc_fiber *fiber = conn->reader;
	uint32_t size = (uint32_t)cqe->res;

	/* The quiet send was taken by an enter that is over, and all that it
	 * said came before this completion: it has sent all. */
	if (torc_likely(reactor->proven >= conn->send_mark))
		conn->sent_size = 0;
	if (torc_unlikely(conn->input != 0 || fiber == NULL ||
	    fiber->state != TORC_FIBER_PARKED ||
	    !is_usual(conn->net, cqe->flags, size))) {
		look_closer(reactor, conn, cqe);
		return;
	}
	/* What it mostly is: bytes for a fiber that waits for them. */
	conn->view_bid = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	conn->view = torc_bufring_take_whole(&conn->net->buffers,
	    conn->view_bid);
	conn->view_size = size;
	conn->met = true;
	*(struct torc_slice *)fiber->seen =
	    (struct torc_slice) { conn->view, size };
	reactor->counters->receives++;
	reactor->counters->received += size;
	fiber->result = (int)size;
	torc_fiber_switch_to(reactor, fiber);
}

void
torc_recv_stray(struct torc_reactor *reactor, const struct io_uring_cqe *cqe)
{
	struct torc_net *net = reactor->layer_state;
	uint16_t bid = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

	reactor->counters->stray++;
	if (!(cqe->flags & IORING_CQE_F_BUFFER))
		return;
	torc_bufring_take(&net->buffers, bid,
	    cqe->res > 0 ? (uint32_t)cqe->res : 0, cqe->flags);
	torc_bufring_put(&net->buffers, bid);
}

/* ---- For handlers ---- */

static inline int
show(struct torc_conn *conn, struct torc_slice *in)
{
	in->data = conn->view;
	in->size = conn->view_size;
	conn->fresh = false;
	return (int)conn->view_size;
}

int
torc_recv_park(struct torc_conn *conn, struct torc_slice *seen,
    torc_deadline deadline)
{
	struct torc_reactor *reactor = conn->reactor;
	int rc;

	conn->reader = reactor->current;
	conn->reader->seen = seen;
	/* Somebody waits for more: it is not the peer that waits. */
	conn->slowed = false;
	torc_recv_arm(conn);
	rc = torc_fiber_park(reactor, deadline);
	conn->reader = NULL;
	return rc;
}

/* Park until there is news, unless there can be none. */
static int
await_news(
    struct torc_conn *conn, struct torc_slice *in, torc_deadline deadline)
{
	struct torc_reactor *reactor = conn->reactor;
	uint64_t idle_by = UINT64_MAX;
	bool hurried;
	int rc;

	/* Those that were dialled serve requests that are to be finished. */
	if (reactor->phase == TORC_PHASE_DRAINING && conn->handler != NULL &&
	    !conn->unfinished && conn->view_size == 0)
		idle_by = torc_drain_idle_by(conn);
	if (idle_by <= reactor->due)
		return -ESHUTDOWN;
	hurried = idle_by < deadline.at;
	if (hurried)
		deadline = torc_at(idle_by);
	if (conn->view_size >= reactor->config.held_max)
		return -ENOBUFS;
	/* Who waits for the rest of a message does not keep a buffer. */
	rc = torc_recv_keep(conn);
	if (rc == 0)
		rc = torc_recv_park(conn, in, deadline);
	if (!hurried || rc != -ETIMEDOUT)
		return rc;
	/* It was not the caller's deadline. */
	conn->silent = true;
	return -ESHUTDOWN;
}

/*
 * A fiber that always finds input lets the others run now and then. One of
 * them may close the connection: it waits for this one, as for any reader.
 */
static int
take_turns(struct torc_conn *conn)
{
	struct torc_fiber *fiber = conn->reactor->current;

	if (conn->reads_turn != (uint32_t)conn->reactor->counters->turns) {
		conn->reads_turn = (uint32_t)conn->reactor->counters->turns;
		conn->reads = 0;
	}
	if (++conn->reads < conn->reactor->config.read_budget)
		return 0;
	if (fiber->cancelled)
		return -ECANCELED;
	fiber->result = 0;
	conn->reader = fiber;
	torc_fiber_step_aside(conn->reactor);
	conn->reader = NULL;
	return fiber->cancelled ? -ECANCELED : fiber->result;
}

/*
 * What there is after waiting ended with `rc`: bytes in an empty view, some
 * news, or a negative errno.
 */
static __attribute__((noinline)) int
show_news(struct torc_conn *conn, struct torc_slice *in, int rc)
{
	if (rc > 0)
		return show(conn, in);
	/* A request that came in time is answered. */
	if (rc == 0 || (rc == -ESHUTDOWN && torc_recv_news(conn)))
		rc = refresh_view(conn);
	torc_assert(rc >= 0 || !conn->fresh);
	show(conn, in);
	if (rc != 0)
		return rc < 0 ? rc : (int)conn->view_size;
	torc_assert(conn->eof || conn->failed);
	return conn->error;
}

/* Everything but waiting with nothing in view. */
static __attribute__((noinline)) int
receive_carefully(struct torc_conn *conn, struct torc_slice *in,
    torc_deadline deadline)
{
	torc_conn_require_fiber(conn);
	torc_require(in != NULL, "torc_conn_recv needs a place for the view");
	torc_require(conn->reader == NULL,
	    "two fibers receive on one connection");
	if (conn->staged_size > 0)
		torc_send_staged(conn);
	torc_recv_rewind(conn);
	if (!torc_recv_news(conn))
		return show_news(conn, in, await_news(conn, in, deadline));
	/* The first view of a handler that was called for it is its turn. */
	return show_news(conn, in, conn->fresh ? 0 : take_turns(conn));
}

int
torc_conn_recv(struct torc_conn *conn, struct torc_slice *in,
    torc_deadline deadline)
{
	struct torc_reactor *reactor = conn->reactor;
	struct torc_fiber *fiber;
	int rc;

	/* Another fiber leaves its own connection for it. */
	if (torc_unlikely(torc_current != reactor ||
	    conn->owner != (fiber = reactor->current)))
		return receive_carefully(conn, in, deadline);
	/* First, so that no register keeps it while the answer is sent. */
	fiber->seen = in;
	if (torc_unlikely(conn->reader != NULL || conn->input != 0 ||
	    reactor->phase != TORC_PHASE_RUNNING ||
	    !torc_fiber_may_park(reactor, fiber, deadline) ||
	    (conn->staged_size > 0 && !torc_send_simply(reactor, conn))))
		return receive_carefully(conn, in, deadline);
	conn->reader = fiber;
	torc_fiber_park_simply(reactor, deadline);
	/* Read again: a register that is kept costs more. */
	fiber = conn->reader;
	rc = fiber->result;
	conn->reader = NULL;
	return torc_likely(rc > 0) ? rc : show_news(conn, fiber->seen, rc);
}

void
torc_conn_set_unfinished(struct torc_conn *conn, bool unfinished)
{
	torc_conn_require(conn);
	conn->unfinished = unfinished;
}

/* A part of the view, or what lies in no buffer of the kernel's. */
static __attribute__((noinline)) void
consume_carefully(struct torc_conn *conn, size_t size)
{
	torc_conn_require(conn);
	torc_require(size <= conn->view_size,
	    "more was consumed than the view has");
	forget_rewind(conn);
	if (size == conn->view_size && size > 0) {
		drop_view(conn);
		speed_up(conn);
		return;
	}
	if (size > 0)		/* else there may be no view at all */
		conn->view += size;
	conn->view_size -= (uint32_t)size;
	speed_up(conn);
}

void
torc_conn_consume(struct torc_conn *conn, size_t size)
{
	const uint32_t bid = conn->view_bid;

	if (torc_unlikely(torc_current != conn->reactor ||
	    size != conn->view_size || bid == TORC_NO_BID)) {
		consume_carefully(conn, size);
		return;
	}
	conn->view_size = 0;
	conn->view_bid = TORC_NO_BID;
	torc_bufring_put(&conn->net->buffers, bid);
}

void
torc_conn_rewind(struct torc_conn *conn, size_t size)
{
	torc_conn_require(conn);
	torc_require(size <= conn->view_size,
	    "more was consumed than the view has");
	if (conn->view_size == 0)
		return;
	if (!conn->rewound)
		conn->rewound_bid = conn->view_bid;
	conn->rewound = true;
	conn->rewound_size = (uint32_t)size;
	/* So that whatever touches the view looks closer. */
	conn->view_bid = TORC_NO_BID;
}

void
torc_recv_rewind(struct torc_conn *conn)
{
	if (!conn->rewound)
		return;
	consume_carefully(conn, conn->rewound_size);
	conn->fresh = conn->view_size > 0;
}

size_t
torc_conn_unread(const struct torc_conn *conn)
{
	size_t size;

	torc_conn_require(conn);
	size = conn->view_size - (conn->rewound ? conn->rewound_size : 0);
	for (const struct torc_piece *piece = conn->first; piece != NULL;
	    piece = piece->next)
		size += piece->size;
	return size;
}
