/*
 * dial.c - connections out.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "conn/client.h"
#include "conn/net.h"
#include "sys/sys.h"

int
torc_dial_socket(const struct sockaddr_storage *address, size_t size,
    uint64_t deadline)
{
	const int on = 1;
	int fd = torc_sys_socket(address->ss_family,
	    SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = 0;

	if (fd < 0)
		return fd;
	if (address->ss_family != AF_UNIX)
		rc = torc_sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
		    sizeof(on));
	if (rc == 0)
		rc = torc_fd_connect(fd, (const struct sockaddr *)address,
		    size, deadline);
	if (rc == 0)
		return fd;
	torc_sys_close(fd);
	return rc;
}

int
torc_dial_open(struct torc_conn **conn, int fd)
{
	struct torc_reactor *reactor = torc_reactor_of_fiber();
	struct torc_net *net;
	int rc = torc_net_open(reactor, &net);

	*conn = rc == 0 ? torc_conn_open(net, fd) : NULL;
	if (*conn == NULL) {
		torc_sys_close(fd);
		return rc < 0 ? rc : -ENOBUFS;
	}
	reactor->counters->dials++;
	return 0;
}

int
torc_dial(struct torc_conn **conn, const char *address, uint64_t deadline)
{
	struct sockaddr_storage parsed;
	int size, fd;

	torc_reactor_of_fiber();
	size = torc_address_parse(address, &parsed);
	if (size < 0)
		return size;
	fd = torc_dial_socket(&parsed, (size_t)size, deadline);
	return fd < 0 ? fd : torc_dial_open(conn, fd);
}

bool
torc_conn_usable(struct torc_conn *conn)
{
	return !torc_recv_news(conn) && conn->view_size == 0 &&
	    !conn->spoiled && !conn->shut && !conn->doomed &&
	    torc_send_idle(conn);
}
