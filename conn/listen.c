/*
 * listen.c - listeners: opened, accepting, paused for lack of descriptors,
 * closed.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "conn/address.h"
#include "conn/adopt.h"
#include "conn/conn.h"
#include "conn/listen.h"
#include "conn/local.h"
#include "conn/net.h"
#include "conn/room.h"
#include "reactor/fiber.h"
#include "reactor/wait.h"
#include "sys/sys.h"

#define PAUSE_NS 100000000u	/* before descriptors are asked for again */
#define MOMENT_NS 2000000u	/* ... while other reactors let go of some, */
#define MOMENTS 5u		/* so often, each twice as long */
#define SPARED 32u		/* descriptors, in the place of idle ones */
#define NOTICE_NS 1000000000u	/* between two lines about that */

static uint64_t
accept_tag(const struct torc_listener *listener)
{
	return torc_slots_tag(&listener->net->listeners, listener,
	    TORC_KIND_ACCEPT);
}

/* ---- Opening ---- */

static int
set_options(int fd, const struct sockaddr_storage *address)
{
	const int on = 1, off = 0;
	int rc;

	if (address->ss_family == AF_UNIX)
		return 0;
	rc = torc_sys_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on,
	    sizeof(on));
	if (rc == 0)
		rc = torc_sys_setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on,
		    sizeof(on));
	/* Connections inherit it: a system call less for each. */
	if (rc == 0)
		rc = torc_sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
		    sizeof(on));
	if (rc == 0 && address->ss_family == AF_INET6)
		rc = torc_sys_setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off,
		    sizeof(off));
	return rc;
}

/* With the file that a local one has made. */
static void
close_socket(int fd, const struct sockaddr_storage *address,
    const struct torc_inode *file)
{
	if (torc_local_has_file(address))
		torc_local_remove(address, file);
	torc_sys_close(fd);
}

/* What others have, too, goes on to listen, and its file is theirs. */
static void
close_listener(struct torc_listener *listener)
{
	if (listener->adopted)
		torc_sys_close(listener->fd);
	else
		close_socket(listener->fd, &listener->address,
		    &listener->file);
}

static int
bind_and_listen(int fd, const struct sockaddr_storage *address, uint32_t size,
    int backlog, struct torc_inode *file)
{
	int rc;

	if (address->ss_family == AF_UNIX)
		return torc_local_listen(fd, address, size, backlog, file);
	rc = torc_sys_bind(fd, (const struct sockaddr *)address, size);
	return rc < 0 ? rc : torc_sys_listen(fd, backlog);
}

static int
open_socket(struct sockaddr_storage *address, uint32_t size, int backlog,
    struct torc_inode *file)
{
	uint32_t length = sizeof(*address);
	int fd = torc_sys_socket(address->ss_family,
	    SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return fd;
	rc = set_options(fd, address);
	if (rc == 0)
		rc = bind_and_listen(fd, address, size, backlog, file);
	if (rc < 0) {
		torc_sys_close(fd);
		return rc;
	}
	/* A free port was taken; a path stays as it was written. */
	if (address->ss_family != AF_UNIX)
		rc = torc_sys_getsockname(fd, (struct sockaddr *)address,
		    &length);
	if (rc == 0)
		return fd;
	close_socket(fd, address, file);
	return rc;
}

/* ---- Accepting ---- */

static void
arm(struct torc_listener *listener)
{
	struct torc_reactor *reactor = listener->net->reactor;
	struct io_uring_sqe *sqe;

	if (listener->armed || listener->closing || listener->paused ||
	    listener->net->holding)
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
	sqe->user_data = accept_tag(listener);
	listener->armed = true;
	reactor->counters->accept_arms++;
}

static void
hold_on(struct torc_listener *listener, uint64_t ns)
{
	struct torc_net *net = listener->net;

	listener->paused = true;
	net->paused++;
	torc_timers_arm(&net->reactor->timers, &listener->timer,
	    net->reactor->now + ns);
}

static void
pause_accepting(struct torc_listener *listener, int error)
{
	struct torc_net *net = listener->net;

	if (listener->paused)
		return;
	net->reactor->counters->accept_pauses++;
	/* One line an episode, which ends with a connection, and a second. */
	if (!net->pause_noticed && net->reactor->now >= net->pause_notice_at) {
		net->pause_noticed = true;
		net->pause_notice_at = net->reactor->now + NOTICE_NS;
		torc_reactor_notice(net->reactor, "listener %d (port %u): "
		    "accepting is paused: %s; it goes on when a connection "
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

static void
unpause(struct torc_listener *listener)
{
	if (!listener->paused)
		return;
	listener->paused = false;
	listener->net->paused--;
	torc_timers_disarm(&listener->net->reactor->timers, &listener->timer);
}

static void
end_pause(struct torc_timer *timer)
{
	struct torc_listener *listener =
	    torc_container(timer, struct torc_listener, timer);

	unpause(listener);
	arm(listener);
}

void
torc_listen_resume(struct torc_net *net)
{
	struct torc_listener *listener = NULL;

	while ((listener = torc_slots_each(&net->listeners, listener)) !=
	    NULL) {
		unpause(listener);
		torc_reactor_later(net->reactor, &listener->todo);
	}
}

/* A connection for another reactor. */
struct deal {
	struct torc_post post;
	int fd;
	int listener;
	unsigned port;
	torc_handler *handler;
	void *arg;
};

static void
receive_deal(struct torc_reactor *reactor, struct torc_post *post)
{
	struct deal *deal = torc_container(post, struct deal, post);
	struct torc_net *net;

	if (reactor->phase < TORC_PHASE_STOPPING &&
	    torc_net_open(reactor, &net) == 0)
		torc_conn_accept(net, deal->fd, deal->listener, deal->port,
		    deal->handler, deal->arg);
	else
		torc_sys_close(deal->fd);
	torc_sys_free(deal);
}

/* To the next reactor in turn. False: it is ours. */
static bool
deal_out(struct torc_listener *listener, int fd)
{
	struct torc_net *net = listener->net;
	struct torc_reactor *peer =
	    net->peers[net->peer_next++ % net->peer_count];
	struct deal *deal;

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
		.listener = listener->index,
		.port = listener->port,
		.handler = listener->handler,
		.arg = listener->arg,
	};
	if (torc_post(peer, &deal->post) == 0)
		return true;
	torc_sys_free(deal);
	return false;
}

static void
accepted(struct torc_listener *listener, int fd)
{
	struct torc_net *net = listener->net;

	net->pause_noticed = false;
	listener->moments = 0;
	if (net->peer_count > 1 && listener->dealt && deal_out(listener, fd))
		return;
	torc_conn_accept(net, fd, listener->index, listener->port,
	    listener->handler, listener->arg);
}

/* Nothing refers to it any more. */
static void
forget(struct torc_listener *listener)
{
	struct torc_net *net = listener->net;

	unpause(listener);
	if (torc_node_linked(&listener->todo.node))
		torc_list_remove(&listener->todo.node);
	close_listener(listener);
	while (listener->closers.first != NULL) {
		struct torc_waiter *closer = listener->closers.first;

		torc_waiter_settle(closer, 0);
		torc_fiber_wake_later(closer->fiber, 0);
	}
	torc_slots_give(&net->listeners, listener);
}

static void
accept_ended(struct torc_listener *listener, int32_t result)
{
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
		/* Closed, else peers would wait in its backlog. */
		listener->closing = true;
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
static void
empty_backlog(struct torc_listener *listener)
{
	int fd;

	if (listener->adopted)
		return;
	do {
		fd = torc_sys_accept_now(listener->fd);
		if (fd >= 0)
			accepted(listener, fd);
	} while (fd >= 0 || fd == -ECONNABORTED || fd == -EPROTO ||
	    fd == -EINTR);
}

static void
look_after(struct torc_reactor *reactor, struct torc_todo *todo)
{
	struct torc_listener *listener =
	    torc_container(todo, struct torc_listener, todo);

	if (!listener->closing) {
		arm(listener);
	} else if (!listener->armed) {
		if (!listener->net->holding)
			empty_backlog(listener);
		forget(listener);
	} else if (!torc_reactor_cancel(reactor, accept_tag(listener))) {
		torc_reactor_later(reactor, todo);
	}
}

void
torc_accept_complete(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe)
{
	struct torc_listener *listener = object;

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

void
torc_listen_abandon(struct torc_net *net)
{
	struct torc_listener *listener = NULL;

	while ((listener = torc_slots_each(&net->listeners, listener)) !=
	    NULL) {
		if (!listener->adopted)
			torc_sys_shutdown(listener->fd, SHUT_RDWR);
		close_listener(listener);
	}
}

void
torc_listen_begin(struct torc_net *net)
{
	struct torc_listener *listener = NULL;

	net->holding = false;
	while ((listener = torc_slots_each(&net->listeners, listener)) !=
	    NULL)
		torc_reactor_later(net->reactor, &listener->todo);
}

void
torc_listen_close(struct torc_net *net)
{
	struct torc_listener *listener = NULL;

	while ((listener = torc_slots_each(&net->listeners, listener)) !=
	    NULL) {
		if (listener->closing && listener->armed)
			continue;
		listener->closing = true;
		if (net->reactor->phase == TORC_PHASE_CREATED)
			forget(listener);
		else
			torc_reactor_later(net->reactor, &listener->todo);
	}
}

/* ---- For programs ---- */

int
torc_listen_add(struct torc_net *net, const struct torc_listener *like)
{
	struct torc_listener *listener = torc_slots_take(&net->listeners);
	struct torc_slot slot;

	if (listener == NULL)
		return -ENOSPC;
	slot = listener->slot;
	*listener = *like;
	listener->slot = slot;
	listener->net = net;
	listener->index = (int)torc_slots_index(&net->listeners, listener);
	listener->port = torc_address_port(&like->address);
	listener->dealt = like->adopted || like->address.ss_family == AF_UNIX;
	listener->todo.run = look_after;
	listener->timer.fire = end_pause;
	/* Armed by the first turn: before it the ring is not enabled. */
	torc_reactor_later(net->reactor, &listener->todo);
	return listener->index;
}

int
torc_listen(struct torc_reactor *reactor, const char *address,
    torc_handler *handler, void *arg)
{
	struct torc_listener like = { .handler = handler, .arg = arg };
	struct torc_net *net;
	int size, fd, rc;

	torc_reactor_check_early(reactor);
	torc_require(address != NULL && handler != NULL,
	    "torc_listen needs an address and a handler");
	fd = torc_adopt_parse(address);
	if (fd != -ENOENT)
		return fd < 0 ? fd : torc_listen_fd(reactor, fd, handler, arg);
	if (reactor->phase >= TORC_PHASE_DRAINING)
		return -ESHUTDOWN;
	size = torc_address_parse(address, &like.address);
	if (size < 0)
		return size;
	rc = torc_net_open(reactor, &net);
	if (rc < 0)
		return rc;
	fd = open_socket(&like.address, (uint32_t)size,
	    (int)reactor->config.backlog, &like.file);
	if (fd < 0)
		return fd;
	like.fd = fd;
	rc = torc_listen_add(net, &like);
	if (rc < 0)
		close_listener(&like);
	return rc;
}

unsigned
torc_listen_port(const struct torc_reactor *reactor, int index)
{
	const struct torc_net *net;

	torc_reactor_vouch(reactor);
	net = reactor->layer_state;
	torc_require(net != NULL && index >= 0 &&
	    (uint32_t)index < net->listeners.touched,
	    "torc_listen_port: there is no such listener");
	return ((struct torc_listener *)(void *)torc_slots_at(
	    &net->listeners, (uint32_t)index))->port;
}

int
torc_listener_close(struct torc_reactor *reactor, int index,
    torc_deadline deadline)
{
	struct torc_listener *listener;
	struct torc_net *net;

	torc_reactor_vouch(reactor);
	torc_reactor_of_fiber();
	torc_reactor_check(reactor);
	net = reactor->layer_state;
	if (net == NULL || index < 0 ||
	    (uint32_t)index >= net->listeners.touched)
		return -ENOENT;
	listener = (void *)torc_slots_at(&net->listeners, (uint32_t)index);
	if (listener->slot.next != TORC_SLOT_TAKEN)
		return -ENOENT;
	listener->closing = true;
	torc_reactor_later(reactor, &listener->todo);
	return torc_waiter_park(&listener->closers, NULL, deadline);
}
