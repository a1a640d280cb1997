/* SPDX-License-Identifier: MIT */
/*
 * listen.c - listeners: opened and closed. What they accept is in accept.c.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "conn/accept.h"
#include "conn/address.h"
#include "conn/adopt.h"
#include "conn/listen.h"
#include "conn/local.h"
#include "conn/net.h"
#include "reactor/fiber.h"
#include "reactor/wait.h"
#include "sys/sys.h"

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
	torc_debug_assert(listener->fd >= 0);
	if (listener->adopted)
		torc_sys_close(listener->fd);
	else
		close_socket(listener->fd, &listener->address,
		    &listener->file);
}

static int
bind_and_listen(struct torc_reactor *reactor, int fd,
    const struct sockaddr_storage *address, uint32_t size,
    struct torc_inode *file)
{
	const int backlog = (int)reactor->config.backlog;
	int rc;

	if (address->ss_family == AF_UNIX)
		return torc_local_listen(fd, address, size, backlog,
		    reactor->phase == TORC_PHASE_CREATED, file);
	rc = torc_sys_bind(fd, (const struct sockaddr *)address, size);
	return rc < 0 ? rc : torc_sys_listen(fd, backlog);
}

static int
open_socket(struct torc_reactor *reactor, struct sockaddr_storage *address,
    uint32_t size, struct torc_inode *file)
{
	uint32_t length = sizeof(*address);
	int fd = torc_sys_socket(address->ss_family,
	    SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return fd;
	rc = set_options(fd, address);
	if (rc == 0)
		rc = bind_and_listen(reactor, fd, address, size, file);
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

/* Nothing refers to it any more. */
static void
forget(struct torc_listener *listener)
{
	struct torc_net *net = listener->net;

	torc_debug_assert(listener->closing && !listener->armed);
	torc_accept_unpause(listener);
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
look_after(struct torc_reactor *reactor, struct torc_todo *todo)
{
	struct torc_listener *listener =
	    torc_container(todo, struct torc_listener, todo);

	/* Else peers would wait in its backlog. */
	if (listener->gone)
		listener->closing = true;
	if (!listener->closing) {
		torc_accept_arm(listener);
	} else if (!listener->armed) {
		if (!listener->net->holding)
			torc_accept_backlog(listener);
		forget(listener);
	} else if (!torc_reactor_cancel(reactor, torc_accept_tag(listener))) {
		torc_reactor_later(reactor, todo);
	}
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
torc_listen_hold(struct torc_net *net)
{
	torc_debug_assert(net->reactor->phase == TORC_PHASE_CREATED);
	net->holding = true;
}

void
torc_listen_skip(struct torc_net *net)
{
	torc_slots_skip(&net->listeners);
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

	torc_assert(like->fd >= 0 && like->handler != NULL);
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
	listener->timer.fire = torc_accept_end_pause;
	/* Armed by the first turn: before it the ring is not enabled. */
	torc_reactor_later(net->reactor, &listener->todo);
	return listener->index;
}

void
torc_listen_set_maker(struct torc_net *net, int index,
    struct torc_transport_maker *maker)
{
	struct torc_listener *listener = (struct torc_listener *)(void *)
	    torc_slots_at(&net->listeners, (uint32_t)index);

	torc_debug_assert(index >= 0);
	listener->maker = maker;
}

void
torc_listen_set_protocols(struct torc_net *net, int index,
    const struct torc_protocol *protocols)
{
	struct torc_listener *listener = (struct torc_listener *)(void *)
	    torc_slots_at(&net->listeners, (uint32_t)index);

	torc_debug_assert(index >= 0);
	torc_debug_assert(protocols == NULL || listener->maker != NULL);
	listener->protocols = protocols;
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
	fd = open_socket(reactor, &like.address, (uint32_t)size, &like.file);
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
