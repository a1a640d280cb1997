/* SPDX-License-Identifier: MIT */
/*
 * accept.c - what a listener accepts: connections for its own reactor and for
 * others, and pauses while there are no descriptors.
 */
#include <errno.h>
#include <string.h>

#include "conn/accept.h"
#include "conn/conn.h"
#include "conn/listen.h"
#include "conn/net.h"
#include "conn/room.h"
#include "sys/sys.h"

#define PAUSE_NS 100000000u	/* before descriptors are asked for again */
#define MOMENT_NS 2000000u	/* ... while other reactors let go of some, */
#define MOMENTS 5u		/* so often, each twice as long */
#define SPARED 32u		/* descriptors, in the place of idle ones */
#define NOTICE_NS 1000000000u	/* between two lines about that */

uint64_t
torc_accept_tag(const struct torc_listener *listener)
{
	return torc_slots_tag(&listener->net->listeners, listener,
	    TORC_KIND_ACCEPT);
}

void
torc_accept_arm(struct torc_listener *listener)
{
	struct torc_reactor *reactor = listener->net->reactor;
	struct io_uring_sqe *sqe;

	if (listener->armed || listener->closing || listener->gone ||
	    listener->paused || listener->net->holding)
		return;
	sqe = torc_reactor_claim(reactor);
	if (sqe == NULL) {
		torc_reactor_later(reactor, &listener->todo);
		return;
	}
	sqe->opcode = IORING_OP_ACCEPT;
	sqe->fd = listener->fd;
	sqe->ioprio = IORING_ACCEPT_MULTISHOT;
	sqe->accept_flags = SOCK_CLOEXEC;
	sqe->user_data = torc_accept_tag(listener);
	listener->armed = true;
	reactor->counters->accept_arms++;
}

/* ---- Pauses ---- */

static void
hold_on(struct torc_listener *listener, uint64_t ns)
{
	struct torc_net *net = listener->net;

	torc_debug_assert(!listener->paused && !listener->armed);
	listener->paused = true;
	net->paused++;
	torc_timers_arm(&net->reactor->timers, &listener->timer,
	    net->reactor->now + ns);
}

static void
pause_accepting(struct torc_listener *listener, int error)
{
	struct torc_net *net = listener->net;

	torc_debug_assert(error < 0);
	if (listener->paused)
		return;
	net->reactor->counters->accept_pauses++;
	/* One line an episode, which ends with a connection, and a second. */
	if (!net->pause_noticed && net->reactor->now >= net->pause_notice_at) {
		net->pause_noticed = true;
		net->pause_notice_at = net->reactor->now + NOTICE_NS;
		torc_reactor_notice(net->reactor, "listener %d (port %u): "
		    "accepting is paused: %s; it resumes when a connection "
		    "has closed", listener->index, listener->port,
		    strerror(-error));
	}
	hold_on(listener, PAUSE_NS);
}

/*
 * There are no descriptors: those that are merely kept give way. Other reactors
 * have a moment for that, and then a longer one. Then connections do.
 */
static void
make_way(struct torc_listener *listener, int error)
{
	int rc;

	torc_debug_assert(error == -EMFILE || error == -ENFILE);
	if (listener->paused)
		return;
	rc = torc_reclaim(SPARED);
	if (rc > 0) {
		torc_reactor_later(listener->net->reactor, &listener->todo);
	} else if (listener->moments < (rc == -EAGAIN ? MOMENTS : 1)) {
		hold_on(listener, MOMENT_NS << listener->moments++);
	} else if (torc_room_clear(listener->net)) {
		hold_on(listener, MOMENT_NS);
	} else {
		pause_accepting(listener, error);
	}
}

void
torc_accept_unpause(struct torc_listener *listener)
{
	if (!listener->paused)
		return;
	listener->paused = false;
	listener->net->paused--;
	torc_timers_disarm(&listener->net->reactor->timers, &listener->timer);
}

void
torc_accept_end_pause(struct torc_timer *timer)
{
	struct torc_listener *listener =
	    torc_container(timer, struct torc_listener, timer);

	torc_debug_assert(listener->paused && !listener->armed);
	torc_accept_unpause(listener);
	torc_accept_arm(listener);
}

void
torc_accept_resume(struct torc_net *net)
{
	struct torc_listener *listener = NULL;

	torc_debug_assert(net->paused <= net->listeners.count);
	while ((listener = torc_slots_each(&net->listeners, listener)) !=
	    NULL) {
		torc_accept_unpause(listener);
		torc_reactor_later(net->reactor, &listener->todo);
	}
}

/* ---- Connections ---- */

/* A connection for another reactor. */
struct deal {
	struct torc_post post;
	int fd;
	struct torc_accepting how;
};

static void
receive_deal(struct torc_reactor *reactor, struct torc_post *post)
{
	struct deal *deal = torc_container(post, struct deal, post);
	struct torc_net *net;

	if (reactor->phase < TORC_PHASE_STOPPING &&
	    torc_net_open(reactor, &net) == 0)
		torc_conn_accept(net, deal->fd, &deal->how);
	else
		torc_sys_close(deal->fd);
	torc_sys_free(deal);
}

static struct torc_accepting
how_of(const struct torc_listener *listener)
{
	return (struct torc_accepting) {
		.listener = listener->index,
		.port = listener->port,
		.handler = listener->handler,
		.arg = listener->arg,
		.maker = listener->maker,
		.protocols = listener->protocols,
	};
}

/* To the next reactor in turn. False: it is ours. */
static bool
deal_out(struct torc_listener *listener, int fd)
{
	struct torc_net *net = listener->net;
	struct torc_reactor *peer =
	    net->peers[net->peer_next++ % net->peer_count];
	struct deal *deal;

	torc_debug_assert(listener->dealt && net->peer_count > 1);
	/* The others may be at their end already. */
	if (peer == net->reactor ||
	    net->reactor->phase >= TORC_PHASE_DRAINING)
		return false;
	deal = torc_sys_alloc(sizeof(*deal));
	if (deal == NULL)
		return false;
	*deal = (struct deal) {
		.post.call = receive_deal,
		.fd = fd,
		.how = how_of(listener),
	};
	if (torc_reactor_post(peer, &deal->post) == 0)
		return true;
	torc_sys_free(deal);
	return false;
}

void
torc_accept_deal(struct torc_net *net, struct torc_reactor **peers,
    unsigned count)
{
	torc_debug_assert(net->peers == NULL && count > 0);
	net->peers = peers;
	net->peer_count = count;
}

static void
accepted(struct torc_listener *listener, int fd)
{
	const struct torc_accepting how = how_of(listener);
	struct torc_net *net = listener->net;

	torc_debug_assert(fd >= 0);
	net->pause_noticed = false;
	listener->moments = 0;
	if (net->peer_count > 1 && listener->dealt && deal_out(listener, fd))
		return;
	torc_conn_accept(net, fd, &how);
}

static void
accept_ended(struct torc_listener *listener, int32_t result)
{
	torc_debug_assert(!listener->armed && !listener->closing);
	switch (result) {
	case -EMFILE:
	case -ENFILE:
		make_way(listener, result);
		return;
	case -ENOBUFS:
	case -ENOMEM:
		pause_accepting(listener, result);
		return;
	case -EBADF:
	case -EINVAL:
	case -ENOTSOCK:
	case -EOPNOTSUPP:
		torc_reactor_notice(listener->net->reactor, "listener %d "
		    "(port %u) is gone: %s", listener->index, listener->port,
		    strerror(-result));
		listener->gone = true;
		torc_reactor_later(listener->net->reactor, &listener->todo);
		return;
	default:	/* a connection, or the trouble of one */
		torc_reactor_later(listener->net->reactor, &listener->todo);
	}
}

/*
 * The rest of the backlog was accepted by the kernel: it is served, whatever
 * has become of one of them. But where others have the socket, too, it is not
 * lost, and there may be no end of it.
 */
void
torc_accept_backlog(struct torc_listener *listener)
{
	int fd;

	torc_debug_assert(listener->closing && !listener->armed);
	if (listener->adopted)
		return;
	do {
		fd = torc_sys_accept_now(listener->fd);
		if (fd >= 0)
			accepted(listener, fd);
	} while (fd >= 0 || fd == -ECONNABORTED || fd == -EPROTO ||
	    fd == -EINTR);
}

void
torc_accept_complete(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe)
{
	struct torc_listener *listener = object;

	torc_debug_assert(listener->armed && !listener->paused);
	if (cqe->res >= 0)
		accepted(listener, cqe->res);
	if (cqe->flags & IORING_CQE_F_MORE)
		return;
	listener->armed = false;
	reactor->counters->accept_ends++;
	if (cqe->res < 0 && cqe->res != -ECANCELED)
		reactor->counters->accept_failures++;
	if (listener->closing)
		torc_reactor_later(reactor, &listener->todo);
	else
		accept_ended(listener, cqe->res);
}

void
torc_accept_missed(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe)
{
	struct torc_listener *listener = object;

	torc_debug_assert(listener->net->reactor == reactor);
	if (cqe->res == -ENOENT)
		torc_reactor_later(reactor, &listener->todo);
}

void
torc_accept_stray(struct torc_reactor *reactor,
    const struct io_uring_cqe *cqe)
{
	reactor->counters->stray++;
	if (cqe->res >= 0)
		torc_sys_close(cqe->res);
}
