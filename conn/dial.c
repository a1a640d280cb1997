/* SPDX-License-Identifier: MIT */
/*
 * dial.c - connections out.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "conn/address.h"
#include "conn/conn.h"
#include "conn/dial.h"
#include "conn/net.h"
#include "conn/recv.h"
#include "conn/room.h"
#include "conn/send.h"
#include "conn/torc_protocol.h"
#include "conn/transport.h"
#include "sys/sys.h"

/* A dial that meets itself is made again, with another port of ours. */
#define SELF_TRIES 3
#define SPARED 4u		/* descriptors, in the place of idle ones */
#define MOMENT_MS 2		/* in which they are closed */

/* The kernel counts some of these in seconds. */
static int
seconds(unsigned ms)
{
	return (int)(ms / 1000 + (ms % 1000 > 0));
}

static int
set_tcp(int fd, int name, int value)
{
	return torc_sys_setsockopt(fd, IPPROTO_TCP, name, &value,
	    sizeof(value));
}

/* Make the kernel notice a peer that vanishes. 0 or a negative errno. */
static int
watch_peer(int fd, const struct torc_config *config)
{
	const int on = 1;
	int rc = 0;

	if (config->keepalive_ms != TORC_NO_LIMIT) {
		rc = torc_sys_setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on,
		    sizeof(on));
		if (rc == 0)
			rc = set_tcp(fd, TCP_KEEPIDLE,
			    seconds(config->keepalive_ms));
		if (rc == 0)
			rc = set_tcp(fd, TCP_KEEPINTVL,
			    seconds(config->probe_ms));
		if (rc == 0)
			rc = set_tcp(fd, TCP_KEEPCNT, (int)config->probes);
	}
	if (rc == 0 && config->unacked_ms != TORC_NO_LIMIT)
		rc = set_tcp(fd, TCP_USER_TIMEOUT, (int)config->unacked_ms);
	return rc;
}

/* Without descriptors: whether some will be released soon. */
static bool
make_way(void)
{
	struct torc_net *net;

	return torc_reclaim(SPARED) != 0 ||
	    (torc_net_open(torc_current, &net) == 0 && torc_room_clear(net));
}

/*
 * Parks. If there are no descriptors, those that are merely kept give way, and
 * then connections.
 */
static int
open_socket(int family, torc_deadline deadline)
{
	int fd = torc_sys_socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc;

	if ((fd != -EMFILE && fd != -ENFILE) || !make_way())
		return fd;
	rc = torc_sleep(torc_sooner(torc_after_ms(MOMENT_MS), deadline));
	return rc < 0 ? rc : torc_sys_socket(family, SOCK_STREAM |
	    SOCK_CLOEXEC, 0);
}

/* Parks. A connected socket, whatever its peer is, or a negative errno. */
static int
connect_once(const struct sockaddr_storage *address, size_t size,
    torc_deadline deadline)
{
	int fd = open_socket(address->ss_family, deadline);
	int rc = 0;

	if (fd < 0)
		return fd;
	if (address->ss_family != AF_UNIX) {
		rc = set_tcp(fd, TCP_NODELAY, 1);
		if (rc == 0)
			rc = watch_peer(fd, &torc_current->config);
	}
	if (rc == 0)
		rc = torc_fd_connect(fd, (const struct sockaddr *)address,
		    size, deadline);
	if (rc == 0)
		return fd;
	torc_sys_close(fd);
	return rc;
}

static bool
same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)a;
	const struct sockaddr_in6 *b6 = (const struct sockaddr_in6 *)b;

	if (a->ss_family == AF_INET6)
		return memcmp(&a6->sin6_addr, &b6->sin6_addr,
		    sizeof(a6->sin6_addr)) == 0;
	return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
	    ((const struct sockaddr_in *)b)->sin_addr.s_addr;
}

/*
 * While nobody listens on a port of this host, a connection to it may be given
 * that very port as its own: it then meets itself (a simultaneous open). 1 if
 * that has happened, 0 if not, or a negative errno.
 */
static int
met_itself(int fd, const struct sockaddr_storage *dialled)
{
	struct sockaddr_storage ours, peer;
	uint32_t ours_size = sizeof(ours), peer_size = sizeof(peer);
	int rc;

	if (dialled->ss_family == AF_UNIX)
		return 0;
	rc = torc_sys_getsockname(fd, (struct sockaddr *)&ours, &ours_size);
	if (rc < 0)
		return rc;
	if (torc_address_port(&ours) != torc_address_port(dialled))
		return 0;
	rc = torc_sys_getpeername(fd, (struct sockaddr *)&peer, &peer_size);
	return rc < 0 ? rc : same_host(&ours, &peer);
}

/* With a reset: the port is free at once, for the server that it belongs to. */
static void
close_at_once(int fd)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	torc_sys_setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once,
	    sizeof(at_once));
	torc_sys_close(fd);
}

int
torc_dial_socket(const struct sockaddr_storage *address, size_t size,
    torc_deadline deadline)
{
	for (int i = 0; i < SELF_TRIES; i++) {
		int fd = connect_once(address, size, deadline);
		int rc = fd < 0 ? fd : met_itself(fd, address);

		if (fd < 0 || rc == 0)
			return fd;
		close_at_once(fd);
		if (rc < 0)
			return rc;
	}
	return -ECONNREFUSED;
}

int
torc_dial_open(struct torc_conn **conn, int fd)
{
	struct torc_reactor *reactor = torc_reactor_of_fiber();
	struct torc_net *net;
	int rc = torc_net_open(reactor, &net);

	*conn = rc == 0 && torc_room_make(net, fd) ?
	    torc_conn_open(net, fd, NULL, NULL, NULL) : NULL;
	if (*conn == NULL) {
		torc_sys_close(fd);
		return rc < 0 ? rc : -ENOBUFS;
	}
	reactor->counters->dials++;
	return 0;
}

int
torc_dial(struct torc_conn **conn, const char *address, torc_deadline deadline)
{
	struct sockaddr_storage parsed;
	int size, fd;

	torc_reactor_of_fiber();
	torc_require(conn != NULL && address != NULL,
	    "torc_dial needs an address, and a place for the connection");
	size = torc_address_parse(address, &parsed);
	if (size < 0)
		return size;
	fd = torc_dial_socket(&parsed, (size_t)size, deadline);
	return fd < 0 ? fd : torc_dial_open(conn, fd);
}

bool
torc_conn_usable(struct torc_conn *conn)
{
	torc_require(conn != NULL,
	    "a call needs a connection, but was given NULL");
	return !torc_recv_news(conn) && conn->view_size == 0 &&
	    !conn->send_failed && !conn->shut && !conn->doomed &&
	    (torc_send_idle(conn) || torc_transport_answers(conn));
}
