/* SPDX-License-Identifier: MIT */
/*
 * real.c - the scenarios on the kernel that runs here, with real sockets: it
 * prints what each came to, which is to be what the simulation says. One
 * thread: the reactor's turns and the peers' steps alternate.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn/address.h"
#include "conn/net.h"
#include "reactor/fiber.h"
#include "sys/sys.h"
#include "tests/sim/script.h"

#define MS 1000000ull
#define LIMIT_MS 60000u		/* for a scenario */

static char address[64];	/* of the program */
static char serving[64];	/* of the peers */
static char notes[4096];
static const struct scenario *current;
static int peer_listener = -1;
static unsigned fibers;

/* ---- What scenarios call ---- */

void
note(const char *format, ...)
{
	size_t used = strlen(notes);
	va_list list;

	va_start(list, format);
	vsnprintf(notes + used, sizeof(notes) - used, format, list);
	va_end(list);
	strncat(notes, "\n", sizeof(notes) - strlen(notes) - 1);
}

void
expect(bool holds, const char *text)
{
	if (!holds)
		broken("%s", text);
}

void
broken(const char *format, ...)
{
	va_list list;

	fflush(stdout);
	fprintf(stderr, "sim_real: %s: ", current->name);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fprintf(stderr, "\n");
	exit(1);
}

int
program_pair(int fds[2])
{
	return torc_sys_socketpair(fds);
}

int
program_eventfd(void)
{
	return torc_sys_eventfd();
}

void
program_write_event(int fd)
{
	const uint64_t one = 1;

	torc_sys_write(fd, &one, sizeof(one));
}

int
program_socket(void)
{
	return torc_sys_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

int
program_close(int fd)
{
	return torc_sys_close(fd);
}

void
from_elsewhere(void (*function)(void *arg), void *arg)
{
	function(arg);
}

const char *
program_address(unsigned index)
{
	(void)index;
	return address;
}

const char *
peer_address(void)
{
	return serving;
}

/* ---- The network of the peers ---- */

static bool
is_ready(int fd, short events)
{
	struct pollfd ready = { .fd = fd, .events = events };

	return poll(&ready, 1, 0) > 0;
}

static int
result(long rc)
{
	return rc < 0 ? -errno : (int)rc;
}

int
peer_connect(unsigned index)
{
	struct sockaddr_storage to;
	int size = torc_address_parse(program_address(index), &to);
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0);
	int rc = result(connect(fd, (struct sockaddr *)&to,
	    (socklen_t)size));

	if (rc < 0 && rc != -EINPROGRESS) {
		close(fd);
		return rc;
	}
	return fd;
}

/* There are no faults here. */
void
peer_spare(int handle)
{
	(void)handle;
}

int
peer_connected(int handle)
{
	socklen_t size = sizeof(int);
	int error = 0;

	if (!is_ready(handle, POLLOUT))
		return 0;
	getsockopt(handle, SOL_SOCKET, SO_ERROR, &error, &size);
	return error != 0 ? -error : 1;
}

bool
peer_can_accept(void)
{
	return is_ready(peer_listener, POLLIN);
}

int
peer_accept(void)
{
	return accept4(peer_listener, NULL, NULL,
	    SOCK_CLOEXEC | SOCK_NONBLOCK);
}

int
peer_send(int handle, const uint8_t *data, uint32_t size)
{
	return result(send(handle, data, size, MSG_NOSIGNAL));
}

int
peer_recv(int handle, uint8_t *data, uint32_t size)
{
	return result(recv(handle, data, size, 0));
}

bool
peer_can_recv(int handle)
{
	return is_ready(handle, POLLIN);
}

bool
peer_can_send(int handle)
{
	return is_ready(handle, POLLOUT);
}

void
peer_fin(int handle)
{
	shutdown(handle, SHUT_WR);
}

void
peer_reset(int handle)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(handle, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(handle);
}

void
peer_close(int handle)
{
	close(handle);
}

void
program_replace_file(unsigned index)
{
	(void)index;
}

uint64_t
unread_since(int fd)
{
	(void)fd;
	return UINT64_MAX;
}

uint64_t
peer_now(void)
{
	return torc_sys_now();
}

uint32_t
peer_draw(uint32_t n)
{
	return (uint32_t)rand() % n;
}

/* ---- A run ---- */

static void
serve(void)
{
	struct sockaddr_in any = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(any);

	peer_listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(peer_listener, (struct sockaddr *)&any, size) < 0 ||
	    listen(peer_listener, 16) < 0 ||
	    getsockname(peer_listener, (struct sockaddr *)&any, &size) < 0) {
		perror("sim_real");
		exit(1);
	}
	snprintf(serving, sizeof(serving), "127.0.0.1:%u",
	    ntohs(any.sin_port));
}

static int
run_fiber(void *arg)
{
	int rc = current->fiber(arg);

	fibers--;
	return rc;
}

static struct torc_reactor *
prepare(void)
{
	struct torc_config config = current->config;
	struct torc_reactor *reactor;
	struct torc_error error;
	int listener;

	config.linger_ms = 5000;
	config.close_ms = 5000;
	if (torc_reactor_create(&reactor, &config, &error) < 0)
		broken("%s", error.text);
	if (current->handler != NULL) {
		listener = torc_listen(reactor, "127.0.0.1:0",
		    current->handler, NULL);
		if (listener < 0)
			broken("it cannot listen: %d", listener);
		snprintf(address, sizeof(address), "127.0.0.1:%u",
		    torc_listen_port(reactor, listener));
	}
	fibers = 0;
	if (current->fiber != NULL) {
		fibers = 1;
		if (torc_fiber_start(reactor, NULL, run_fiber, NULL) < 0)
			broken("a fiber cannot be started");
	}
	return reactor;
}

static bool
is_over(const struct torc_reactor *reactor)
{
	const struct torc_net *net = reactor->layer_state;

	return peers_done() && fibers == 0 &&
	    (net == NULL || net->conns.count == 0);
}

static void
run(void)
{
	struct torc_reactor *reactor;
	char text[1024];
	uint64_t limit = torc_sys_now() + LIMIT_MS * MS;
	bool ending = false;

	notes[0] = '\0';
	peers_reset(current);
	scenarios_reset();
	reactor = prepare();
	while (
	    torc_reactor_turn(reactor, torc_at(torc_sys_now() + MS / 4)) > 0) {
		unsigned ready = peers_ready();

		if (ready > 0)
			peers_act(peer_draw(ready));
		if (!ending && is_over(reactor)) {
			torc_reactor_drain(reactor, torc_after_ms(5000));
			ending = true;
		}
		if (torc_sys_now() > limit)
			broken("it does not come to an end");
	}
	torc_reactor_destroy(reactor);
	if (!current->frayed && !peers_content())
		note("a peer broke");
	peers_describe(text, sizeof(text));
	printf("%s: %s\n%s", current->name, text, notes);
}

int
main(void)
{
	serve();
	for (size_t i = 0; i < scenario_count; i++) {
		current = &scenarios[i];
		if (current->real)
			run();
	}
	close(peer_listener);
	return 0;
}
