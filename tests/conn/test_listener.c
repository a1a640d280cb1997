/* SPDX-License-Identifier: MIT */
/*
 * test_listener.c - listeners that end before their reactor does, and those
 * whose sockets somebody else has bound.
 *
 * wrap: torc_sys_enter
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/on_fiber.h"
#include "tests/seam.h"

#include "sys/sys.h"

/* The ring of every reactor is lost. */
static atomic_bool lost;

int
__wrap_torc_sys_enter(int fd, uint32_t to_submit, uint32_t min_complete,
    uint32_t flags, const void *arg, size_t arg_size)
{
	return atomic_load(&lost) ? -EIO : __real_torc_sys_enter(fd, to_submit,
	    min_complete, flags, arg, arg_size);
}

/* ---- Closing ---- */

static int
close_and_listen_again(void *arg)
{
	struct torc_reactor *reactor = torc_reactor_self();
	char address[40], text[128];
	struct torc_conn *conn, *other;
	struct torc_slice in;
	int listener;

	(void)arg;
	listener = torc_listen(reactor, "127.0.0.1:0", echo_handler, NULL);
	EXPECT(listener == 1);
	snprintf(address, sizeof(address), "127.0.0.1:%u",
	    torc_listen_port(reactor, listener));
	EXPECT(torc_dial(&conn, address, LATE) == 0);
	EXPECT(torc_conn_write(conn, "one", 3, LATE) == 0);
	EXPECT(torc_conn_recv(conn, &in, LATE) == 3);
	torc_conn_consume(conn, 3);
	EXPECT(torc_listener_close(reactor, listener, LATE) == 0);
	EXPECT(torc_listener_close(reactor, listener, LATE) == -ENOENT);
	EXPECT(torc_listener_close(reactor, 77, LATE) == -ENOENT);
	EXPECT(torc_listener_close(reactor, -1, LATE) == -ENOENT);
	EXPECT(torc_dial(&other, address, LATE) == -ECONNREFUSED);
	/* The other listener, and what this one had accepted, are served. */
	EXPECT(torc_conn_write(conn, "two", 3, LATE) == 0);
	EXPECT(torc_conn_recv(conn, &in, LATE) == 3);
	EXPECT(torc_conn_peer_address(conn, text, sizeof(text)) == 0);
	EXPECT(strcmp(text, address) == 0);
	EXPECT(torc_conn_close(conn, TORC_AT_ONCE) == 0);
	snprintf(address, sizeof(address), "127.0.0.1:%u",
	    torc_listen_port(reactor, 0));
	EXPECT(torc_dial(&conn, address, LATE) == 0);
	EXPECT(torc_conn_close(conn, LATE) == 0);
	return 0;
}

static void
a_listener_that_was_closed_refuses_and_the_rest_goes_on(void **state)
{
	(void)state;
	on_fiber(close_and_listen_again, NULL);
}

static int
close_in_a_hurry(void *arg)
{
	struct torc_reactor *reactor = torc_reactor_self();
	char address[40];
	int first, second, rc;

	(void)arg;
	first = torc_listen(reactor, "127.0.0.1:0", echo_handler, NULL);
	EXPECT(first >= 0 && torc_sleep(torc_after_ms(2)) == 0);
	snprintf(address, sizeof(address), "127.0.0.1:%u",
	    torc_listen_port(reactor, first));
	EXPECT(torc_listener_close(reactor, first, TORC_AT_ONCE) == -ETIMEDOUT);
	/* It closes all the same: one can wait for it again. */
	rc = torc_listener_close(reactor, first, LATE);
	EXPECT(rc == 0 || rc == -ENOENT);
	second = torc_listen(reactor, address, echo_handler, NULL);
	EXPECT(second == first);
	EXPECT(torc_listener_close(reactor, second, LATE) == 0);
	return 0;
}

static void
a_listener_closes_also_when_nobody_waits_for_that(void **state)
{
	(void)state;
	on_fiber(close_in_a_hurry, NULL);
}

static int
close_local(void *arg)
{
	struct torc_reactor *reactor = torc_reactor_self();
	char path[60], address[80];
	int listener;

	(void)arg;
	snprintf(path, sizeof(path), "/tmp/torc-listener-%d", (int)getpid());
	snprintf(address, sizeof(address), "unix:%s", path);
	listener = torc_listen(reactor, address, echo_handler, NULL);
	EXPECT(listener >= 0 && access(path, F_OK) == 0);
	EXPECT(torc_listener_close(reactor, listener, LATE) == 0);
	EXPECT(access(path, F_OK) < 0);
	return 0;
}

static void
the_file_of_a_local_socket_goes_with_its_listener(void **state)
{
	(void)state;
	on_fiber(close_local, NULL);
}

/* ---- Sockets that others have bound ---- */

static int
bind_one(int flags, unsigned *port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | flags, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size),
	    0);
	*port = ntohs(address.sin_port);
	return fd;
}

struct adoption {
	int fd;
	int listener;
};

static void
adopt(struct torc_reactor *reactor, void *arg)
{
	struct adoption *adoption = arg;
	char address[20];

	/* Both ways. */
	snprintf(address, sizeof(address), "fd:%d", adoption->fd);
	adoption->listener = adoption->fd % 2 == 0 ?
	    torc_listen(reactor, address, echo_handler, NULL) :
	    torc_listen_fd(reactor, adoption->fd, echo_handler, NULL);
}

static void
serve_adopted(int flags)
{
	struct server server;
	struct adoption adoption;
	unsigned port;
	int held, fd;
	uint64_t turns;

	held = bind_one(flags, &port);
	assert_int_equal(listen(held, 8), 0);
	adoption.fd = dup(held);
	server_start(&server, NULL, echo_handler, NULL);
	server_call(&server, adopt, &adoption);
	assert_true(adoption.listener > 0);
	assert_true(fcntl(adoption.fd, F_GETFD) & FD_CLOEXEC);
	for (int i = 0; i < 3; i++) {
		fd = client_open(port);
		client_echo(fd, "adopted");
		close(fd);
	}
	/* It waits, and does not ask again and again. */
	turns = server_counters(&server).turns;
	pause_ms(100);
	assert_true(server_counters(&server).turns - turns < 20);
	assert_int_equal(server_drain(&server, 5000), 0);
	/* The next program has the same socket. */
	fd = client_open(port);
	server_start(&server, NULL, echo_handler, NULL);
	adoption.fd = held;
	server_call(&server, adopt, &adoption);
	assert_true(adoption.listener > 0);
	client_echo(fd, "in the backlog");
	close(fd);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(fcntl(held, F_GETFD), -1);
}

static void
a_socket_that_others_have_too_is_served_and_left_to_them(void **state)
{
	(void)state;
	serve_adopted(0);
}

static void
so_is_one_that_does_not_block(void **state)
{
	(void)state;
	serve_adopted(SOCK_NONBLOCK);
}

/* Which line does not hold, or 0. What a lost ring had is never freed. */
static int
lose_the_ring(void)
{
	struct adoption adoption;
	struct server server;
	unsigned port;
	int held, fd;

	held = bind_one(0, &port);
	EXPECT(listen(held, 8) == 0);
	adoption.fd = dup(held);
	server_start(&server, NULL, echo_handler, NULL);
	server_call(&server, adopt, &adoption);
	EXPECT(adoption.listener > 0);
	fd = client_open(port);
	client_echo(fd, "it accepts");
	close(fd);
	atomic_store(&lost, true);
	EXPECT(server_drain(&server, 1) == -EIO);
	atomic_store(&lost, false);
	fd = client_open(port);
	close(fd);
	close(held);
	return 0;
}

static void
one_that_others_have_listens_on_when_a_ring_is_lost(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		alarm(60);
		status = lose_the_ring();
		if (status != 0)
			print_error("line %d does not hold\n", status);
		_exit(status != 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void
a_file_that_was_given_stays(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct server server;
	struct adoption adoption;
	int fd;

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path),
	    "/tmp/torc-given-%d", (int)getpid());
	adoption.fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(adoption.fd, (struct sockaddr *)&address,
	    sizeof(address)), 0);
	assert_int_equal(listen(adoption.fd, 8), 0);
	server_start(&server, NULL, echo_handler, NULL);
	server_call(&server, adopt, &adoption);
	assert_true(adoption.listener > 0);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address,
	    sizeof(address)), 0);
	client_echo(fd, "local");
	close(fd);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(access(address.sun_path, F_OK), 0);
	unlink(address.sun_path);
}

static int
refuse_descriptors(void *arg)
{
	struct torc_reactor *reactor = torc_reactor_self();
	const struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int datagrams = socket(AF_INET, SOCK_DGRAM, 0);
	int ends[2];

	(void)arg;
	EXPECT(pipe(ends) == 0 && fd >= 0 && datagrams >= 0);
	EXPECT(bind(datagrams, (const struct sockaddr *)&any,
	    sizeof(any)) == 0);
	EXPECT(torc_listen_fd(reactor, -1, echo_handler, NULL) == -EBADF);
	EXPECT(torc_listen_fd(reactor, ends[0], echo_handler, NULL) ==
	    -ENOTSOCK);
	EXPECT(torc_listen_fd(reactor, fd, echo_handler, NULL) == -EINVAL);
	EXPECT(torc_listen_fd(reactor, datagrams, echo_handler, NULL) ==
	    -EINVAL);
	EXPECT(torc_listen(reactor, "fd:", echo_handler, NULL) == -EINVAL);
	EXPECT(torc_listen(reactor, "fd:3x", echo_handler, NULL) == -EINVAL);
	EXPECT(torc_listen(reactor, "fd:99999999999", echo_handler, NULL) ==
	    -EINVAL);
	EXPECT(torc_listen(reactor, "fd:1048576", echo_handler, NULL) ==
	    -EBADF);
	/* They are the caller's. */
	EXPECT(close(fd) == 0 && close(datagrams) == 0);
	EXPECT(close(ends[0]) == 0 && close(ends[1]) == 0);
	return 0;
}

static void
what_does_not_listen_is_refused_and_stays_the_callers(void **state)
{
	(void)state;
	on_fiber(refuse_descriptors, NULL);
}

/* ---- A server ---- */

#define REACTORS 3u

static int
tell_reactor(struct torc_conn *conn, void *arg)
{
	char text[40];
	int size = snprintf(text, sizeof(text), "%u %u\n",
	    torc_reactor_index(torc_reactor_self()), torc_conn_port(conn));

	(void)arg;
	return torc_conn_write(conn, text, (size_t)size, LATE) < 0 ? -1 :
	    TORC_CLOSE;
}

/* A program that was started with a socket, as by systemd. */
static void
be_server(int fd)
{
	char address[20];
	const char *const addresses[] = { address, NULL };
	const struct torc_config config = {
		.listen = addresses,
		.handler = tell_reactor,
		.reactors = REACTORS,
		.unpinned = true,
	};

	snprintf(address, sizeof(address), "fd:%d", fd);
	_exit(torc_serve(&config, NULL, NULL) == 0 ? 0 : 1);
}

static void
a_server_deals_what_comes_by_a_given_socket_to_all_reactors(void **state)
{
	unsigned port, index, seen_port, seen = 0;
	char text[40];
	pid_t child;
	int held, fd, status;
	long size;

	(void)state;
	held = bind_one(0, &port);
	assert_int_equal(listen(held, 64), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		be_server(held);
	for (unsigned i = 0; i < 4 * REACTORS; i++) {
		fd = client_open(port);
		size = client_read_all(fd, text, sizeof(text) - 1);
		assert_true(size > 0);
		text[size] = '\0';
		assert_int_equal(sscanf(text, "%u %u", &index, &seen_port), 2);
		assert_int_equal(seen_port, port);
		assert_true(index < REACTORS);
		seen |= 1u << index;
		close(fd);
	}
	assert_int_equal(seen, (1u << REACTORS) - 1);
	assert_int_equal(kill(child, SIGTERM), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(held);
}

static void
a_server_says_what_is_wrong_with_a_given_socket(void **state)
{
	const char *const addresses[] = { "fd:1000", NULL };
	const struct torc_config config = {
		.listen = addresses,
		.handler = tell_reactor,
		.reactors = 1,
		.unpinned = true,
	};
	struct torc_error error;

	(void)state;
	assert_int_equal(torc_serve(&config, NULL, &error),
	    -EBADF);
	assert_string_equal(error.text, "cannot listen on fd:1000: Bad file "
	    "descriptor: no such descriptor was left open for the program");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_listener_that_was_closed_refuses_and_the_rest_goes_on),
		cmocka_unit_test(
		    a_listener_closes_also_when_nobody_waits_for_that),
		cmocka_unit_test(
		    the_file_of_a_local_socket_goes_with_its_listener),
		cmocka_unit_test(
		    a_socket_that_others_have_too_is_served_and_left_to_them),
		cmocka_unit_test(so_is_one_that_does_not_block),
		cmocka_unit_test(
		    one_that_others_have_listens_on_when_a_ring_is_lost),
		cmocka_unit_test(a_file_that_was_given_stays),
		cmocka_unit_test(
		    what_does_not_listen_is_refused_and_stays_the_callers),
		cmocka_unit_test(
		    a_server_deals_what_comes_by_a_given_socket_to_all_reactors),
		cmocka_unit_test(
		    a_server_says_what_is_wrong_with_a_given_socket),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
