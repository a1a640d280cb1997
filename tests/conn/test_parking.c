/* SPDX-License-Identifier: MIT */
/*
 * test_parking.c - what is finished leaves before its fiber waits for something
 * else: each call that parks and is not a receive of that connection.
 */
#include "tests/harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn/kit/torc_client.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define FOREVER torc_after_ms(60000)

static struct server server;
static atomic_bool released;	/* what blocks a thread goes on */
static int silent[2];		/* nobody writes to the other end */
static int listener;		/* nobody accepts from it */
static char mute[64];		/* the address of one who says nothing */
static struct torc_waiters queue;

/* ---- Waiting for something else ---- */

static int
block(void *arg)
{
	(void)arg;
	while (!atomic_load(&released))
		pause_ms(1);
	return 0;
}

static int
sleep_long(void *arg)
{
	(void)arg;
	return torc_sleep(FOREVER);
}

static int
be_at_work(void *arg)
{
	return torc_offload(block, arg, FOREVER);
}

static int
call_sleep(void)
{
	return torc_sleep(FOREVER);
}

static int
call_yield(void)
{
	while (!atomic_load(&released) && torc_yield() == 0)
		;
	return 0;
}

static int
call_wait(void)
{
	return torc_wait(&queue, FOREVER);
}

static int
call_join(void)
{
	uint64_t id;

	assert_int_equal(torc_fiber_spawn(&id, sleep_long, NULL), 0);
	return torc_fiber_join(id, NULL, FOREVER);
}

static int
call_reap(void)
{
	uint64_t id;

	assert_int_equal(torc_fiber_spawn(&id, be_at_work, NULL), 0);
	torc_yield();
	return torc_fiber_reap(id, NULL, TORC_NEVER);
}

static int
call_offload(void)
{
	return torc_offload(block, NULL, FOREVER);
}

static int
call_fd_read(void)
{
	char byte;

	return torc_fd_read(silent[0], &byte, 1, 0, FOREVER);
}

static int
call_fd_recv(void)
{
	char byte;

	return torc_fd_recv(silent[0], &byte, 1, 0, FOREVER);
}

static int
call_fd_poll(void)
{
	return torc_fd_poll(silent[0], POLLIN, FOREVER);
}

static struct torc_conn *
dial(void)
{
	struct torc_conn *conn;

	assert_int_equal(torc_dial(&conn, mute, FOREVER), 0);
	return conn;
}

static int
call_recv_of_another(void)
{
	struct torc_conn *conn = dial();
	struct torc_slice in;

	torc_conn_recv(conn, &in, FOREVER);
	return torc_conn_close(conn, TORC_AT_ONCE);
}

/* A request for another goes out with the wait for its answer. */
static int
call_ask_of_another(void)
{
	struct torc_conn *conn = dial();
	struct torc_slice in;

	torc_conn_write(conn, "x", 1, FOREVER);
	torc_conn_recv(conn, &in, FOREVER);
	return torc_conn_close(conn, TORC_AT_ONCE);
}

static int
call_write_to_another(void)
{
	static const char much[8 << 20];
	struct torc_conn *conn = dial();

	torc_conn_write(conn, much, sizeof(much), FOREVER);
	return torc_conn_close(conn, TORC_AT_ONCE);
}

static int
call_flush_of_another(void)
{
	static const char much[4000];
	struct torc_conn *conn = dial();
	int rc = 0;

	for (unsigned i = 0; i < 10000 && rc == 0; i++) {
		rc = torc_conn_write(conn, much, sizeof(much), FOREVER);
		if (rc == 0)
			rc = torc_conn_flush(conn, FOREVER);
	}
	return torc_conn_close(conn, TORC_AT_ONCE);
}

static int
call_close_of_another(void)
{
	return torc_conn_close(dial(), FOREVER);
}

static int
open_never(void **item, torc_deadline deadline, void *arg)
{
	(void)arg;
	(void)item;
	return torc_sleep(deadline) < 0 ? -ECANCELED : -ETIMEDOUT;
}

static void
close_nothing(void *item, void *arg)
{
	(void)arg;
	(void)item;
}

static int
call_acquire(void)
{
	static const struct torc_pool_kind kind = {
		.name = "never", .open = open_never, .close = close_nothing,
	};
	const struct torc_pool_config config = { .open_ms = 60000 };
	struct torc_pool *pool;
	void *item;

	assert_int_equal(torc_pool_create(&pool, &kind, NULL, &config, NULL),
	    0);
	torc_pool_acquire(pool, &item, FOREVER);
	torc_pool_destroy(pool, TORC_NEVER);
	return 0;
}

static const struct {
	const char *name;
	int (*call)(void);
} calls[] = {
	{ "torc_sleep", call_sleep },
	{ "torc_yield", call_yield },
	{ "torc_wait", call_wait },
	{ "torc_fiber_join", call_join },
	{ "torc_fiber_reap", call_reap },
	{ "torc_offload", call_offload },
	{ "torc_fd_read", call_fd_read },
	{ "torc_fd_recv", call_fd_recv },
	{ "torc_fd_poll", call_fd_poll },
	{ "torc_conn_recv of another", call_recv_of_another },
	{ "torc_conn_write and recv of another", call_ask_of_another },
	{ "torc_conn_write to another", call_write_to_another },
	{ "torc_conn_flush of another", call_flush_of_another },
	{ "torc_conn_close of another", call_close_of_another },
	{ "torc_pool_acquire", call_acquire },
};

/* ---- Handlers ---- */

/* Three bytes: how to write, whether by another fiber, and what to call. */
struct order {
	struct torc_conn *conn;
	uint8_t write;
	uint8_t other;
	uint8_t call;
};

static int
obey(void *arg)
{
	const struct order *order = arg;

	if (order->write == 's')
		torc_conn_write_static(order->conn, "ok", 2, FOREVER);
	else
		torc_conn_write(order->conn, "ok", 2, FOREVER);
	return order->call < COUNT(calls) ? calls[order->call].call() : 0;
}

static int
serve(struct torc_conn *conn, void *arg)
{
	struct order order = { .conn = conn };
	struct torc_slice in;
	uint64_t id;
	int rc;

	(void)arg;
	while ((rc = torc_conn_recv(conn, &in, FOREVER)) > 0 && rc < 3)
		;
	if (rc <= 0)
		return -1;
	order.write = in.data[0];
	order.other = in.data[1];
	order.call = in.data[2];
	torc_conn_consume(conn, 3);
	if (order.other != 'o') {
		obey(&order);
	} else {
		assert_int_equal(torc_fiber_spawn(&id, obey, &order), 0);
		torc_conn_recv(conn, &in, FOREVER);
		torc_fiber_reap(id, NULL, TORC_NEVER);
	}
	return -1;
}

static void
start(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(address);

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	atomic_store(&released, false);
	queue = (struct torc_waiters) { NULL, NULL };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, silent), 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address,
	    size), 0);
	assert_int_equal(listen(listener, 64), 0);
	assert_int_equal(getsockname(listener,
	    (struct sockaddr *)&address, &size), 0);
	snprintf(mute, sizeof(mute), "127.0.0.1:%u", ntohs(address.sin_port));
	server_start(&server, NULL, serve, NULL);
}

static void
stop(void)
{
	atomic_store(&released, true);
	assert_int_equal(server_stop(&server), 0);
	close(listener);
	close(silent[0]);
	close(silent[1]);
}

/* Whether the answer comes although its fiber waits. */
static void
assert_leaves(char write, char other, size_t call)
{
	const uint8_t order[] = { (uint8_t)write, (uint8_t)other,
	    (uint8_t)call };
	char answer[2];
	int fd = client_open(server.port);

	client_send(fd, order, sizeof(order));
	if (!client_read(fd, answer, 2))
		fail_msg("it waits for %s", call < COUNT(calls) ?
		    calls[call].name : "nothing");
	assert_memory_equal(answer, "ok", 2);
	close(fd);
}

static void
what_is_written_leaves_before_its_fiber_waits_for_something_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(calls); i++) {
		start();
		assert_leaves('w', '-', i);
		stop();
	}
}

static void
constants_leave_before_their_fiber_waits_for_something_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(calls); i++) {
		start();
		assert_leaves('s', '-', i);
		stop();
	}
}

/* While the handler waits for input, and so does not send again. */
static void
what_another_fiber_writes_leaves_though_it_does_not_push(void **state)
{
	(void)state;
	for (size_t i = 0; i <= COUNT(calls); i++) {
		start();
		assert_leaves('w', 'o', i);
		stop();
	}
}

/* ---- Several connections ---- */

#define MANY 4

static struct torc_conn *conns[MANY];
static atomic_uint conn_count;

/* The last to come writes to all of them, and then waits. */
static int
write_to_all(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	unsigned n = atomic_fetch_add(&conn_count, 1);

	(void)arg;
	conns[n] = conn;
	if (n < MANY - 1)
		return torc_conn_recv(conn, &in, FOREVER) < 0 ? -1 : 0;
	for (unsigned i = 0; i < MANY; i++)
		torc_conn_write(conns[i], "o", 1, FOREVER);
	for (unsigned i = 0; i < MANY; i++)
		torc_conn_write(conns[i], "k", 1, FOREVER);
	torc_sleep(FOREVER);
	return -1;
}

static void
what_one_fiber_writes_to_many_connections_leaves_on_all_of_them(void **state)
{
	int fds[MANY];
	char answer[2];

	(void)state;
	atomic_store(&conn_count, 0);
	server_start(&server, NULL, write_to_all, NULL);
	for (unsigned i = 0; i < MANY; i++)
		fds[i] = client_open(server.port);
	for (unsigned i = 0; i < MANY; i++) {
		assert_true(client_read(fds[i], answer, 2));
		assert_memory_equal(answer, "ok", 2);
		close(fds[i]);
	}
	assert_int_equal(server_stop(&server), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    what_is_written_leaves_before_its_fiber_waits_for_something_else),
		cmocka_unit_test(
		    constants_leave_before_their_fiber_waits_for_something_else),
		cmocka_unit_test(
		    what_another_fiber_writes_leaves_though_it_does_not_push),
		cmocka_unit_test(
		    what_one_fiber_writes_to_many_connections_leaves_on_all_of_them),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
