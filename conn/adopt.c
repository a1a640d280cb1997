/* SPDX-License-Identifier: MIT */
/*
 * adopt.c - listeners whose sockets somebody else has bound.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "conn/adopt.h"
#include "conn/listen.h"
#include "conn/net.h"
#include "sys/sys.h"

#define FD_MAX 1048576		/* more than any process may have */

int
torc_adopt_parse(const char *address)
{
	int fd = 0;

	if (strncmp(address, "fd:", 3) != 0)
		return -ENOENT;
	address += 3;
	if (*address == '\0')
		return -EINVAL;
	for (; *address != '\0'; address++) {
		if (*address < '0' || *address > '9')
			return -EINVAL;
		fd = fd * 10 + (*address - '0');
		if (fd > FD_MAX)
			return -EINVAL;
	}
	return fd;
}

static int
find_address(struct torc_listener *like)
{
	struct sockaddr_storage *address = &like->address;
	uint32_t size = sizeof(*address);
	int rc = torc_sys_getsockname(like->fd, (struct sockaddr *)address,
	    &size);

	if (rc < 0)
		return rc;
	return address->ss_family == AF_INET || address->ss_family ==
	    AF_INET6 || address->ss_family == AF_UNIX ? 0 : -EINVAL;
}

/* As those that torc opens: connections inherit it. */
static int
set_option(const struct torc_listener *like)
{
	const int on = 1;

	return like->address.ss_family == AF_UNIX ? 0 : torc_sys_setsockopt(
	    like->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int
torc_listen_fd(struct torc_reactor *reactor, int fd, torc_handler *handler,
    void *arg)
{
	struct torc_listener like = {
		.fd = fd,
		.adopted = true,
		.handler = handler,
		.arg = arg,
	};
	struct torc_net *net;
	int rc;

	torc_reactor_check_early(reactor);
	torc_require(handler != NULL, "torc_listen_fd needs a handler");
	if (reactor->phase >= TORC_PHASE_DRAINING)
		return -ESHUTDOWN;
	rc = torc_net_open(reactor, &net);
	if (rc == 0)
		rc = torc_sys_own_listener(fd);
	if (rc == 0)
		rc = find_address(&like);
	if (rc == 0)
		rc = set_option(&like);
	return rc < 0 ? rc : torc_listen_add(net, &like);
}
