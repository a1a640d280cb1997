/* SPDX-License-Identifier: MIT */
/*
 * test_drain.c - a drain loses no request, whatever state its connection is
 * in, and is held up by nobody who asks for nothing.
 *
 * Times that must not matter are set to a minute, and a test that waits for
 * one of them hangs: then the harness ends it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/harness.h"

#include "conn/conn.h"
#include "conn/net.h"
#include "sys/sys.h"

#define MINUTE_MS 120000u
#define MUCH (4u << 20)

/* Peers that ask for nothing end soon, and nobody is awaited for long. */
static const struct torc_config hasty = {
	.linger_ms = MINUTE_MS,
	.close_ms = MINUTE_MS,
	.idle_ms = MINUTE_MS,
	.lame_duck_ms = 50,
};

/* They are served for as long as the drain lets them. */
static const struct torc_config patient = {
	.linger_ms = MINUTE_MS,
	.close_ms = MINUTE_MS,
	.idle_ms = MINUTE_MS,
	.lame_duck_ms = TORC_NO_LIMIT,
};

static struct server server;
static atomic_uint calls;	/* of handlers */
static atomic_int last;		/* what the last receive said */

static void
begin(const struct torc_config *config, torc_handler *handler)
{
	atomic_store(&calls, 0);
	atomic_store(&last, 1);
	server_start(&server, config, handler, NULL);
}

static void
drain(void)
{
	torc_reactor_drain(server.reactor, torc_after_ms(MINUTE_MS));
}

static void
see_drain(struct torc_reactor *reactor, void *arg)
{
	*(bool *)arg = torc_reactor_draining(reactor);
}

/* It is told, and has begun. */
static void
begin_drain(void)
{
	bool draining = false;

	drain();
	while (!draining)
		server_call(&server, see_drain, &draining);
}

static void
end(void)
{
	assert_int_equal(server_drain(&server, MINUTE_MS), 0);
}

static bool
has_called(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	return atomic_load(&calls) >= *(unsigned *)arg;
}

static void
await_calls(unsigned count)
{
	assert_true(server_await(&server, has_called, &count, 20000));
}

/* It was closed in order: there is no error, and there was no reset. */
static void
assert_closed(int fd)
{
	socklen_t size = sizeof(int);
	int error = -1;

	assert_true(client_sees_fin(fd));
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size),
	    0);
	assert_int_equal(error, 0);
	close(fd);
}

/* ---- Handlers ---- */

/* Answer each byte, until there are no more. */
static int
answer(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc;

	(void)arg;
	atomic_fetch_add(&calls, 1);
	while ((rc = torc_conn_recv(conn, &in, TORC_NEVER)) > 0) {
		torc_conn_write(conn, in.data, in.size, TORC_NEVER);
		torc_conn_consume(conn, in.size);
	}
	atomic_store(&last, rc);
	return TORC_CLOSE;
}

/* The same, and dormant in between. */
static int
answer_and_sleep(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc = torc_conn_unread(conn) == 0 ? 0 :
	    torc_conn_recv(conn, &in, TORC_NEVER);

	(void)arg;
	atomic_fetch_add(&calls, 1);
	if (rc < 0)
		return TORC_CLOSE;
	if (rc > 0) {
		torc_conn_write(conn, in.data, in.size, TORC_NEVER);
		torc_conn_consume(conn, in.size);
	}
	return TORC_AGAIN;
}

/* ---- Peers that ask for nothing ---- */

static void
check_silent(torc_handler *handler, bool met)
{
	int fd;

	begin(&hasty, handler);
	fd = client_open(server.port);
	if (met)
		client_echo(fd, "hello");
	else
		assert_true(server_await_connections(&server, 1));
	drain();
	/* It does not close, and is not waited for. */
	end();
	assert_closed(fd);
}

static void
a_silent_peer_has_fin_and_is_not_waited_for(void **state)
{
	(void)state;
	check_silent(answer, true);
	assert_int_equal(atomic_load(&last), -ESHUTDOWN);
	check_silent(answer, false);
	assert_int_equal(atomic_load(&last), -ESHUTDOWN);
	check_silent(answer_and_sleep, true);
	check_silent(answer_and_sleep, false);
}

static int
say_goodbye(struct torc_conn *conn, void *arg)
{
	int rc = answer(conn, arg);

	torc_conn_write(conn, "bye", 3, TORC_NEVER);
	return rc;
}

static void
what_a_handler_says_at_the_end_arrives(void **state)
{
	char bytes[8];
	int fd;

	(void)state;
	begin(&hasty, say_goodbye);
	fd = client_open(server.port);
	client_echo(fd, "hello");
	drain();
	assert_true(client_read(fd, bytes, 3));
	assert_memory_equal(bytes, "bye", 3);
	assert_closed(fd);
	end();
}

/* ---- Peers that ask once more ---- */

static void
check_once_more(torc_handler *handler, unsigned first)
{
	int fds[2];

	begin(&patient, handler);
	for (int i = 0; i < 2; i++) {
		fds[i] = client_open(server.port);
		if (i == 0)
			client_echo(fds[i], "hello");
	}
	await_calls(first);
	begin_drain();
	for (int i = 0; i < 2; i++) {
		client_echo(fds[i], "more");
		client_echo(fds[i], "and more");
	}
	/* With them, it ends before its time. */
	for (int i = 0; i < 2; i++) {
		shutdown(fds[i], SHUT_WR);
		assert_closed(fds[i]);
	}
	end();
}

static void
a_peer_that_asks_once_more_is_answered(void **state)
{
	(void)state;
	check_once_more(answer, 2);
	check_once_more(answer_and_sleep, 1);
}

static atomic_uint gate;

/* Works until it is let go. */
static int
work(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc;

	(void)arg;
	while ((rc = torc_conn_recv(conn, &in, TORC_NEVER)) > 0) {
		torc_conn_consume(conn, in.size);
		atomic_fetch_add(&calls, 1);
		while (atomic_load(&gate) == 0)
			torc_sleep(torc_after_ms(5));
		torc_conn_write(conn, "done", 4, TORC_NEVER);
	}
	atomic_store(&last, rc);
	return TORC_CLOSE;
}

static void
a_request_that_a_handler_works_on_is_answered(void **state)
{
	char bytes[8];
	int fd;

	(void)state;
	atomic_store(&gate, 0);
	begin(&hasty, work);
	fd = client_open(server.port);
	client_send(fd, "x", 1);
	await_calls(1);
	begin_drain();
	/* The time of those that idle is over when it is done. */
	pause_ms(200);
	atomic_store(&gate, 1);
	assert_true(client_read(fd, bytes, 4));
	assert_closed(fd);
	end();
	assert_int_equal(atomic_load(&last), -ESHUTDOWN);
}

/* ---- Peers that take their time ---- */

/* As TCP does it by itself, only sooner: no more room than that. */
static int
narrow_open(void)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)server.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const int size = 16384;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	assert_int_equal(connect(fd, (const struct sockaddr *)&address,
	    sizeof(address)), 0);
	return fd;
}

static void
expect_much(int fd)
{
	uint8_t *bytes = malloc(MUCH);

	assert_non_null(bytes);
	assert_true(client_read(fd, bytes, MUCH));
	assert_true(stream_matches(1, 0, bytes, MUCH));
	free(bytes);
}

static int
write_much(struct torc_conn *conn, void *arg)
{
	uint8_t *bytes = malloc(MUCH);
	int rc;

	(void)arg;
	stream_fill(1, 0, bytes, MUCH);
	atomic_fetch_add(&calls, 1);
	rc = torc_conn_write(conn, bytes, MUCH, TORC_NEVER);
	atomic_store(&last, rc);
	free(bytes);
	return rc < 0 ? rc : TORC_CLOSE;
}

static void
an_answer_that_is_read_slowly_is_sent_to_its_end(void **state)
{
	int fd;

	(void)state;
	begin(&hasty, write_much);
	fd = narrow_open();
	await_calls(1);
	begin_drain();
	pause_ms(200);
	expect_much(fd);
	assert_closed(fd);
	end();
	assert_int_equal(atomic_load(&last), 0);
}

static int
answer_and_close(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	torc_conn_recv(conn, &in, TORC_NEVER);
	torc_conn_consume(conn, in.size);
	torc_conn_write(conn, "done", 4, TORC_NEVER);
	atomic_fetch_add(&calls, 1);
	return TORC_CLOSE;
}

static bool
lingers(struct torc_reactor *reactor, void *arg)
{
	struct torc_net *net = reactor->layer_state;
	struct torc_conn *conn = torc_slots_each(&net->conns, NULL);

	(void)arg;
	return conn != NULL && conn->lingers;
}

/* It has its answer and our FIN, and goes on as if there was nothing. */
static void
a_peer_that_does_not_close_is_not_waited_for(void **state)
{
	char bytes[8];
	int fds[2];

	(void)state;
	/* Answered before the drain began, ... */
	begin(&hasty, answer_and_close);
	fds[0] = client_open(server.port);
	client_send(fds[0], "x", 1);
	assert_true(server_await(&server, lingers, NULL, 20000));
	drain();
	end();
	/* ... or in it. */
	atomic_store(&gate, 0);
	begin(&hasty, work);
	fds[1] = client_open(server.port);
	client_send(fds[1], "x", 1);
	await_calls(1);
	begin_drain();
	atomic_store(&gate, 1);
	end();
	for (int i = 0; i < 2; i++) {
		assert_true(client_read(fds[i], bytes, 4));
		assert_closed(fds[i]);
	}
}

/* At other times, it is: the control. */
static void
a_peer_that_does_not_close_is_waited_for_while_there_is_no_drain(void **state)
{
	int fd;

	(void)state;
	begin(&hasty, answer_and_close);
	fd = client_open(server.port);
	client_send(fd, "x", 1);
	assert_true(server_await(&server, lingers, NULL, 20000));
	pause_ms(300);
	assert_int_equal(server_connections(&server), 1);
	close(fd);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_stop(&server), 0);
}

/* What the kernel has is not thrown away with it. */
static void
a_drain_that_comes_to_its_deadline_does_not_take_back_what_was_sent(
    void **state)
{
	const struct torc_config config = {
		.linger_ms = MINUTE_MS, .lame_duck_ms = MINUTE_MS,
	};
	char bytes[8];
	int fd;

	(void)state;
	begin(&config, answer_and_close);
	fd = client_open(server.port);
	client_send(fd, "x", 1);
	assert_true(server_await(&server, lingers, NULL, 20000));
	assert_int_equal(server_drain(&server, 100), 0);
	assert_true(client_read(fd, bytes, 4));
	assert_closed(fd);
}

/* ---- Those that want to know ---- */

static atomic_int told;

static int
await_drain(void *arg)
{
	int early = torc_reactor_await_drain(torc_after_ms(10));
	int rc;

	(void)arg;
	atomic_fetch_add(&calls, 1);
	rc = torc_reactor_await_drain(TORC_NEVER);
	/* And those that ask later know at once. */
	if (rc == 0)
		rc = torc_reactor_await_drain(TORC_AT_ONCE);
	atomic_store(&told, early == -ETIMEDOUT ? rc : early);
	return 0;
}

static void
spawn(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	*(int *)arg = torc_fiber_spawn(NULL, await_drain, NULL);
}

static void
a_fiber_that_waits_for_it_is_told_of_a_drain(void **state)
{
	int rc = -1;

	(void)state;
	atomic_store(&told, 1);
	begin(&hasty, answer);
	server_call(&server, spawn, &rc);
	assert_int_equal(rc, 0);
	await_calls(1);
	drain();
	/* It is no daemon: it ends by itself, or the drain would not. */
	end();
	assert_int_equal(atomic_load(&told), 0);
	/* A stop cancels it. */
	atomic_store(&told, 1);
	begin(&hasty, answer);
	server_call(&server, spawn, &rc);
	await_calls(1);
	assert_int_equal(server_stop(&server), 0);
	assert_true(atomic_load(&told) <= 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_silent_peer_has_fin_and_is_not_waited_for),
		cmocka_unit_test(what_a_handler_says_at_the_end_arrives),
		cmocka_unit_test(a_peer_that_asks_once_more_is_answered),
		cmocka_unit_test(a_request_that_a_handler_works_on_is_answered),
		cmocka_unit_test(
		    an_answer_that_is_read_slowly_is_sent_to_its_end),
		cmocka_unit_test(a_peer_that_does_not_close_is_not_waited_for),
		cmocka_unit_test(
		    a_peer_that_does_not_close_is_waited_for_while_there_is_no_drain),
		cmocka_unit_test(
		    a_drain_that_comes_to_its_deadline_does_not_take_back_what_was_sent),
		cmocka_unit_test(a_fiber_that_waits_for_it_is_told_of_a_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
