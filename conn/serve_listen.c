/* SPDX-License-Identifier: MIT */
/*
 * serve_listen.c - the listeners of a server: the same ones on all reactors.
 */
#include <errno.h>
#include <string.h>
#include <sys/un.h>

#include "conn/accept.h"
#include "conn/address.h"
#include "conn/adopt.h"
#include "conn/listen.h"
#include "conn/serve.h"
#include "conn/serve_endpoints.h"
#include "conn/serve_listen.h"
#include "conn/serve_say.h"
#include "reactor/error.h"
#include "sys/sys.h"

#define LISTEN_TRIES 10		/* while the last owner of a port goes away */
#define LISTEN_PAUSE_NS 20000000u

/*
 * SO_REUSEPORT lets a second server of the same user share our ports without
 * either of them knowing. So a port is first asked for without it.
 */
static int
port_is_free(const struct sockaddr_storage *address, uint32_t size)
{
	const int on = 1;
	int fd, rc;

	if (torc_address_port(address) == 0)
		return 0;
	fd = torc_sys_socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC,
	    0);
	if (fd < 0)
		return fd;
	rc = torc_sys_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on,
	    sizeof(on));
	if (rc == 0)
		rc = torc_sys_bind(fd, (const struct sockaddr *)address,
		    size);
	torc_sys_close(fd);
	return rc;
}

/* Rings are torn down late, and their listeners with them: wait a little. */
static int
await_port(const char *address)
{
	struct sockaddr_storage parsed;
	int size = torc_address_parse(address, &parsed);
	int rc = size;

	for (int i = 0; size > 0 && i < LISTEN_TRIES; i++) {
		rc = port_is_free(&parsed, (uint32_t)size);
		if (rc != -EADDRINUSE)
			break;
		torc_sys_sleep(LISTEN_PAUSE_NS);
	}
	return rc;
}

/* The same address for the other reactors: port 0 became a real one. */
static void
exact_address(struct torc_server *server, const char *address, int listener,
    char *text, size_t size)
{
	struct sockaddr_storage parsed;
	int length = torc_address_parse(address, &parsed);

	torc_assert(length > 0);
	torc_address_set_port(&parsed, torc_listen_port(server->reactors[0],
	    listener));
	torc_address_format(&parsed, (uint32_t)length, text, size);
}

/*
 * A listener that only the first reactor has leaves its index free on the
 * others, so that an index means the same address on all of them. (The slot
 * is zero: not taken, port 0. The first reactor had room for it.)
 */
static void
skip_index(struct torc_server *server)
{
	for (unsigned i = 1; i < server->count; i++)
		torc_listen_skip(server->reactors[i]->layer_state);
}

static int
listen_on(struct torc_reactor *reactor, const char *address,
    const struct torc_endpoint *endpoint)
{
	const int listener = torc_listen(reactor, address, endpoint->handler,
	    endpoint->arg);

	if (listener < 0)
		return listener;
	torc_listen_set_maker(reactor->layer_state, listener,
	    endpoint->transport);
	torc_listen_set_protocols(reactor->layer_state, listener,
	    endpoint->protocols);
	return listener;
}

static int
listen_everywhere(struct torc_server *server,
    const struct torc_endpoint *endpoint)
{
	const char *address = endpoint->address;
	char exact[sizeof(struct sockaddr_un) + 8];
	const bool adopted = torc_adopt_parse(address) != -ENOENT;
	int rc = adopted ? 0 : await_port(address);
	int listener;

	if (rc < 0)
		return rc;
	listener = listen_on(server->reactors[0], address, endpoint);
	if (listener < 0)
		return listener;
	if (adopted || strncmp(address, "unix:", 5) == 0) {
		skip_index(server);
		return 0;
	}
	exact_address(server, address, listener, exact, sizeof(exact));
	for (unsigned i = 1; i < server->count; i++) {
		rc = listen_on(server->reactors[i], exact, endpoint);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Of some errors more can be said than what they are: what to do. */
static int
say_address(struct torc_server *server, int error, const char *address)
{
	static const struct {
		int error;
		const char *fix;
	} fixes[] = {
		{ -EINVAL, "write 127.0.0.1:8080, [::1]:8080, "
		    "[fe80::1%eth0]:8080, unix:PATH or unix:@NAME with at "
		    "most 107 bytes after the colon, or fd:N with a stream "
		    "socket that listens" },
		{ -ENODEV, "there is no interface of this name" },
		{ -EBADF, "no such descriptor was left open for the program" },
		{ -ENOTSOCK, "the descriptor must be a socket that listens" },
		{ -EADDRINUSE, "another program listens there, or the PATH "
		    "is not a socket" },
		{ -EACCES, "a port below 1024 needs CAP_NET_BIND_SERVICE, "
		    "and a PATH needs a folder that can be written to" },
		{ -EMFILE, "raise RLIMIT_NOFILE (ulimit -n; systemd: "
		    "LimitNOFILE=)" },
	};

	for (size_t i = 0; i < sizeof(fixes) / sizeof(fixes[0]); i++) {
		if (fixes[i].error != error)
			continue;
		return torc_error_set(server->error, error, "cannot listen on "
		    "%s: %s: %s", address, strerror(-error), fixes[i].fix);
	}
	return torc_serve_say(server, error, "cannot listen on", address);
}

/*
 * A local socket has one queue of connections, which would all go to one
 * reactor: the first one deals them out.
 */
int
torc_serve_listen(struct torc_server *server)
{
	struct torc_net *net = server->reactors[0]->layer_state;
	struct torc_endpoint endpoint;

	for (unsigned i = 0; torc_serve_endpoint(&server->config,
	    server->endpoint_size, i, &endpoint); i++) {
		const int rc = listen_everywhere(server, &endpoint);

		if (rc < 0)
			return say_address(server, rc, endpoint.address);
	}
	torc_accept_deal(net, server->reactors, server->count);
	return 0;
}
