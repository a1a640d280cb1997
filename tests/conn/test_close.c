/* SPDX-License-Identifier: MIT */
/*
 * test_close.c - connections end in order: what was written arrives, then
 * FIN; who does not play along is reset, in bounded time; nothing is left
 * over, and nobody else is hurt.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/harness.h"

#include "conn/conn.h"
#include "conn/net.h"
#include "conn/recv.h"

#define MUCH (6u << 20)
#define BOUND_MS (CLIENT_SECONDS * 1000)

/* ---- Helpers ---- */

/* Read to the end: how many bytes of the stream, and with what it ended. */
static uint64_t
read_stream(int fd, uint32_t key, int *error)
{
	uint8_t bytes[4096];
	uint64_t total = 0;

	for (;;) {
		ssize_t got = recv(fd, bytes, sizeof(bytes), 0);

		if (got < 0 && errno == EINTR)
			continue;
		*error = got < 0 ? errno : 0;
		if (got <= 0)
			return total;
		assert_true(stream_matches(key, total, bytes, (size_t)got));
		total += (uint64_t)got;
	}
}

/* The other side, whose FIN was seen, resets the connection. */
static void
expect_reset(int fd)
{
	struct pollfd event = { .fd = fd };
	socklen_t size = sizeof(int);
	int error = 0;

	while (poll(&event, 1, BOUND_MS) < 0)
		assert_int_equal(errno, EINTR);
	assert_true(event.revents & POLLERR);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size),
	    0);
	assert_int_equal(error, EPIPE);
}

static bool
is_set(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	return atomic_load((atomic_uint *)arg) > 0;
}

static bool
await_flag(struct server *server, atomic_uint *flag)
{
	return server_await(server, is_set, flag, 5000);
}

static bool
is_loud(struct torc_reactor *reactor, void *arg)
{
	const struct torc_net *net = reactor->layer_state;
	const struct torc_conn *conn = NULL;

	(void)arg;
	while ((conn = torc_slots_each(&net->conns, conn)) != NULL) {
		if (conn->loud)
			return true;
	}
	return false;
}

static void
shrink(struct torc_conn *conn)
{
	const int size = 4608;

	setsockopt(torc_conn_fd(conn), SOL_SOCKET, SO_SNDBUF, &size,
	    sizeof(size));
}

/* A fresh client is served, and the server ends as it should. */
static void
serve_another_and_stop(struct server *server)
{
	int fd = client_open(server->port);

	client_echo(fd, "hello");
	shutdown(fd, SHUT_WR);
	assert_true(client_sees_fin(fd));
	close(fd);
	assert_true(server_await_connections(server, 0));
	assert_int_equal(server_stop(server), 0);
}

/* ---- The exit of a handler ---- */

static int
return_at_once(struct torc_conn *conn, void *arg)
{
	(void)conn;
	(void)arg;
	return TORC_CLOSE;
}

/* A31: whatever the clocks are. */
static void
the_exit_of_a_handler_sends_fin(void **state)
{
	const struct torc_config config = { .linger_ms = TORC_NO_LIMIT,
		.close_ms = TORC_NO_LIMIT, .idle_ms = TORC_NO_LIMIT };
	struct server server;
	unsigned fds;

	(void)state;
	server_start(&server, &config, return_at_once, NULL);
	fds = count_fds();
	for (unsigned i = 0; i < 10; i++) {
		int fd = client_open(server.port);

		assert_true(client_sees_fin(fd));
		/* Ours is awaited. */
		assert_int_equal(server_connections(&server), 1);
		close(fd);
		assert_true(server_await_connections(&server, 0));
	}
	assert_true(await_fds(fds));
	assert_int_equal(server_counters(&server).resets, 0);
	assert_int_equal(server_stop(&server), 0);
}

/* Write much and leave: `*arg` bytes at a time. */
static int
write_and_leave(struct torc_conn *conn, void *arg)
{
	const uint32_t piece = *(uint32_t *)arg;
	uint8_t *bytes = malloc(MUCH);
	int rc = 0;

	stream_fill(1, 0, bytes, MUCH);
	for (uint32_t i = 0; rc == 0 && i < MUCH; i += piece)
		rc = torc_conn_write(conn, bytes + i, MUCH - i < piece ?
		    MUCH - i : piece, TORC_NEVER);
	free(bytes);
	return rc < 0 ? rc : TORC_CLOSE;
}

/*
 * A32: 6 MiB to a reader so slow that it takes longer than every clock of the
 * server: it gets all of it, then FIN.
 */
static void
a_slow_reader_gets_everything_and_then_fin(void **state)
{
	const struct torc_config config = { .linger_ms = 200,
		.idle_ms = 200 };
	uint32_t pieces[] = { 5000, MUCH };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct server server;
		uint64_t start = now_ms();
		int fd;

		server_start(&server, &config, write_and_leave, &pieces[i]);
		fd = client_open(server.port);
		for (uint32_t at = 0; at < MUCH; at += MUCH / 24) {
			pause_ms(40);
			client_stream(fd, 1, at, MUCH / 24);
		}
		assert_true(client_sees_fin(fd));
		assert_in_range(now_ms() - start, 900, 60000);
		close(fd);
		assert_true(server_await_connections(&server, 0));
		assert_int_equal(server_stop(&server), 0);
	}
}

/* Parks. A send waits for its peer, and not just for a while. */
static bool
is_stuck(struct torc_conn *conn)
{
	struct torc_slice in;

	if (!conn->loud)
		return false;
	torc_conn_recv(conn, &in, torc_after_ms(100));
	return conn->loud;
}

/* Leave with bytes staged behind a send that waits for its peer. */
static int
leave_bytes_behind(struct torc_conn *conn, void *arg)
{
	static uint8_t bytes[1000000];
	atomic_uint *left = arg;
	struct torc_slice in;
	uint32_t at = 0;

	shrink(conn);
	stream_fill(1, 0, bytes, sizeof(bytes));
	while (!is_stuck(conn) && at + 8000 <= sizeof(bytes)) {
		torc_conn_write(conn, bytes + at, 8000, TORC_NEVER);
		at += 8000;
		torc_conn_recv(conn, &in, torc_after_ms(1));
	}
	torc_conn_write(conn, bytes + at, 5000, TORC_NEVER);
	torc_conn_write(conn, bytes + at + 5000, 3000, TORC_NEVER);
	atomic_store(left, at + 8000);
	return TORC_CLOSE;
}

/* A32: what is only staged at the exit, too. */
static void
what_is_staged_at_the_exit_is_sent(void **state)
{
	const struct torc_config config = { .linger_ms = 50, .idle_ms = 50 };
	atomic_uint left = 0;
	struct server server;
	int fd, error;

	(void)state;
	server_start(&server, &config, leave_bytes_behind, &left);
	fd = client_open_narrow(server.port);
	assert_true(await_flag(&server, &left));
	assert_true(server_await(&server, is_loud, NULL, 0));
	pause_ms(200);
	assert_int_equal(read_stream(fd, 1, &error), atomic_load(&left));
	assert_int_equal(error, 0);
	close(fd);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_stop(&server), 0);
}

/* Leave in the turn in which a receive has sent what was staged. */
static int
ask_and_leave(struct torc_conn *conn, void *arg)
{
	uint8_t bytes[2][8000];
	struct torc_slice in;

	(void)arg;
	shrink(conn);
	stream_fill(1, 0, bytes[0], sizeof(bytes));
	if (torc_conn_recv(conn, &in, TORC_NEVER) <= 0)
		return -1;
	torc_conn_consume(conn, in.size);
	torc_conn_write(conn, "!", 1, TORC_NEVER);
	torc_conn_flush(conn, TORC_NEVER);
	/* So that the next one finds something at once. */
	while (!torc_recv_news(conn))
		torc_sleep(torc_after_ms(1));
	for (unsigned i = 0; i < 2; i++)
		torc_conn_write(conn, bytes[i], sizeof(bytes[i]), TORC_NEVER);
	torc_conn_recv(conn, &in, TORC_NEVER);
	return TORC_CLOSE;
}

/* A32, R-009, R-132: its submission has not even been taken by then. */
static void
what_a_receive_sent_just_before_the_exit_arrives_whole(void **state)
{
	struct server server;

	(void)state;
	server_start(&server, NULL, ask_and_leave, NULL);
	for (unsigned i = 0; i < 20; i++) {
		int fd = client_open_narrow(server.port);

		char mark;

		client_send(fd, "now", 3);
		assert_true(client_read(fd, &mark, 1));
		client_send(fd, "and then", 8);
		client_stream(fd, 1, 0, 16000);
		assert_true(client_sees_fin(fd));
		close(fd);
		assert_true(server_await_connections(&server, 0));
	}
	assert_int_equal(server_counters(&server).resets, 0);
	assert_true(server_counters(&server).quiet_sends > 0);
	assert_int_equal(server_stop(&server), 0);
}

/* A35: not before `linger_ms`, and not for ever. */
static void
a_peer_that_ignores_our_fin_is_reset_after_a_while(void **state)
{
	const struct torc_config config = { .linger_ms = 150 };
	const struct torc_config patient = { .linger_ms = TORC_NO_LIMIT };
	struct server server, other;
	uint64_t start;
	int fd, kept;

	(void)state;
	server_start(&server, &config, return_at_once, NULL);
	server_start(&other, &patient, return_at_once, NULL);
	kept = client_open(other.port);
	start = now_ms();
	fd = client_open(server.port);
	assert_true(client_sees_fin(fd));
	expect_reset(fd);
	assert_in_range(now_ms() - start, 145, BOUND_MS);
	close(fd);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_counters(&server).resets, 1);
	/* The control has no such limit. */
	assert_true(client_sees_fin(kept));
	assert_int_equal(server_connections(&other), 1);
	close(kept);
	assert_true(server_await_connections(&other, 0));
	assert_int_equal(server_counters(&other).resets, 0);
	assert_int_equal(server_stop(&other), 0);
	assert_int_equal(server_stop(&server), 0);
}

/* A peer that goes on sending after our FIN does not keep us for ever. */
static void
a_peer_that_sends_on_after_our_fin_is_reset_too(void **state)
{
	const struct torc_config config = { .linger_ms = 150 };
	struct server server;
	char bytes[1000] = "";
	uint64_t end;
	int fd;

	(void)state;
	server_start(&server, &config, return_at_once, NULL);
	fd = client_open(server.port);
	assert_true(client_sees_fin(fd));
	end = now_ms() + BOUND_MS;
	while (send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0 &&
	    now_ms() < end)
		pause_ms(5);
	assert_true(now_ms() < end);
	close(fd);
	assert_true(server_await_connections(&server, 0));
	assert_true(server_counters(&server).received > 0);
	assert_int_equal(server_counters(&server).resets, 1);
	assert_int_equal(server_stop(&server), 0);
}

/* ---- Half-closes ---- */

struct half {
	int shut;		/* results */
	int again;
	int written;
	int flushed;
	uint32_t size;
	char later[16];
	atomic_uint over;
};

static int
shut_and_read_on(struct torc_conn *conn, void *arg)
{
	struct half *half = arg;
	uint8_t *bytes = malloc(half->size);
	struct torc_slice in = { NULL, 0 };
	int rc;

	shrink(conn);
	stream_fill(1, 0, bytes, half->size);
	torc_conn_write(conn, bytes, half->size, TORC_NEVER);
	free(bytes);
	half->shut = torc_conn_shutdown(conn, TORC_NEVER);
	half->again = torc_conn_shutdown(conn, TORC_NEVER);
	half->written = torc_conn_write(conn, "x", 1, TORC_NEVER);
	half->flushed = torc_conn_flush(conn, TORC_NEVER);
	do
		rc = torc_conn_recv(conn, &in, TORC_NEVER);
	while (rc > 0 && in.size < 9);
	if (rc == 9)
		memcpy(half->later, in.data, 9);
	atomic_fetch_add(&half->over, 1);
	return TORC_CLOSE;
}

/* A33, I86: all that was written, FIN, and then only reading. */
static void
a_shutdown_ends_writing_and_not_reading(void **state)
{
	static const uint32_t sizes[] = { 3, 10000, 1000000 };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct half half = { .size = sizes[i] };
		struct server server;
		int fd;

		server_start(&server, NULL, shut_and_read_on, &half);
		fd = client_open(server.port);
		client_stream(fd, 1, 0, sizes[i]);
		assert_true(client_sees_fin(fd));
		client_send(fd, "some ", 5);
		client_send(fd, "more", 4);
		assert_true(await_flag(&server, &half.over));
		assert_memory_equal(half.later, "some more", 9);
		assert_int_equal(half.shut, 0);
		assert_int_equal(half.again, 0);
		assert_int_equal(half.written, -EPIPE);
		assert_int_equal(half.flushed, 0);
		close(fd);
		assert_true(server_await_connections(&server, 0));
		assert_int_equal(server_counters(&server).resets, 0);
		assert_int_equal(server_stop(&server), 0);
	}
}

/* Answer one request with as many bytes as it asks for. */
static int
answer_once(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	uint8_t *bytes;
	uint32_t size;
	int rc;

	(void)arg;
	do
		rc = torc_conn_recv(conn, &in, TORC_NEVER);
	while (rc > 0 && in.size < sizeof(size));
	if (in.size < sizeof(size))
		return -1;
	memcpy(&size, in.data, sizeof(size));
	bytes = malloc(size);
	stream_fill(1, 0, bytes, size);
	rc = torc_conn_write(conn, bytes, size, TORC_NEVER);
	free(bytes);
	return rc < 0 ? rc : TORC_CLOSE;
}

/* A34: FIN is the end of the request, not of the connection. */
static void
a_client_that_half_closes_after_its_request_gets_its_answer(void **state)
{
	static const uint32_t sizes[] = { 1, 100, 9000, 100000 };
	struct server server;

	(void)state;
	server_start(&server, NULL, answer_once, NULL);
	for (unsigned i = 0; i < 100; i++) {
		const uint32_t size = sizes[i % 4];
		int fd = client_open(server.port);

		client_send(fd, &size, sizeof(size));
		shutdown(fd, SHUT_WR);
		client_stream(fd, 1, 0, size);
		assert_true(client_sees_fin(fd));
		close(fd);
	}
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_counters(&server).resets, 0);
	assert_int_equal(server_stop(&server), 0);
}

/* ---- Failures ---- */

static int
fail_after_input(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	if (torc_conn_recv(conn, &in, TORC_NEVER) > 0 && in.data[0] == 'e')
		return echo_handler(conn, arg);
	/* Staged bytes go the way of the connection. */
	torc_conn_write(conn, "never seen", 10, TORC_NEVER);
	return -EIO;
}

/* A36: once, and nothing but the connection. */
static void
a_handler_that_fails_releases_its_connection_once(void **state)
{
	struct torc_counters counters;
	struct server server;
	int fd, error;
	unsigned fds;

	(void)state;
	server_start(&server, NULL, fail_after_input, NULL);
	fds = count_fds();
	for (unsigned i = 0; i < 10; i++) {
		fd = client_open(server.port);
		client_send(fd, "x", 1);
		assert_int_equal(read_stream(fd, 1, &error), 0);
		assert_int_equal(error, ECONNRESET);
		close(fd);
	}
	assert_true(server_await_connections(&server, 0));
	assert_true(await_fds(fds));
	counters = server_counters(&server);
	assert_int_equal(counters.accepts, 10);
	assert_int_equal(counters.closes, 10);
	assert_int_equal(counters.resets, 10);
	/* The control: one that does not fail is not reset. */
	fd = client_open(server.port);
	client_send(fd, "e", 1);
	assert_true(server_await_connections(&server, 1));
	shutdown(fd, SHUT_WR);
	assert_int_equal(read_stream(fd, 1, &error), 0);
	assert_int_equal(error, 0);
	close(fd);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_counters(&server).resets, 10);
	assert_int_equal(server_stop(&server), 0);
}

/* A38: resets in the middle, empty connections, churn. */
static void
rude_clients_harm_nobody_else(void **state)
{
	struct server server;
	unsigned fds;
	int calm;

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	fds = count_fds();
	calm = client_open(server.port);
	client_echo(calm, "before");
	for (unsigned i = 0; i < 20; i++) {
		int fd = client_open(server.port);

		client_send(fd, "half a requ", 11);
		if (i % 2 == 0)
			client_reset(client_open(server.port));
		client_reset(fd);
	}
	for (unsigned i = 0; i < 20; i++)
		close(client_open(server.port));
	for (unsigned i = 0; i < 100; i++) {
		int fd = client_open(server.port);

		client_echo(fd, "a churning client");
		if (i % 3 == 0)
			client_reset(fd);
		else
			close(fd);
	}
	client_echo(calm, "after");
	close(calm);
	assert_true(server_await_connections(&server, 0));
	assert_true(await_fds(fds));
	assert_int_equal(server_counters(&server).closes,
	    server_counters(&server).accepts);
	serve_another_and_stop(&server);
}

/* A peer that resets while its answer is being sent. */
static void
a_reset_in_the_middle_of_an_answer_ends_that_connection_only(void **state)
{
	const uint32_t size = MUCH;
	struct server server;
	unsigned fds;

	(void)state;
	server_start(&server, NULL, answer_once, NULL);
	fds = count_fds();
	for (unsigned i = 0; i < 20; i++) {
		int fd = client_open_narrow(server.port);

		client_send(fd, &size, sizeof(size));
		if (i % 2 == 0)
			client_stream(fd, 1, 0, 100);
		client_reset(fd);
	}
	assert_true(server_await_connections(&server, 0));
	assert_true(await_fds(fds));
	assert_int_equal(server_stop(&server), 0);
}

/* ---- Dormant connections ---- */

#define ANSWER 16000u

static int
answer_and_sleep(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	uint8_t bytes[ANSWER];
	atomic_uint *answers = arg;
	int rc = torc_conn_recv(conn, &in, TORC_NEVER);

	if (rc <= 0)
		return rc < 0 ? rc : TORC_CLOSE;
	shrink(conn);
	torc_conn_consume(conn, in.size);
	stream_fill(1, atomic_fetch_add(answers, 1) * ANSWER, bytes, ANSWER);
	for (unsigned i = 0; i < ANSWER; i += ANSWER / 2)
		torc_conn_write(conn, bytes + i, ANSWER / 2, TORC_NEVER);
	return TORC_AGAIN;
}

/* Ask until an answer does not fit into the sockets any more. */
static unsigned
fill_up(struct server *server, int fd, atomic_uint *answers)
{
	unsigned asked = 0;

	while (!server_await(server, is_loud, NULL, 0)) {
		client_send(fd, "x", 1);
		asked++;
		while (atomic_load(answers) < asked)
			pause_ms(1);
		assert_true(asked < 1000);
	}
	return asked;
}

/*
 * An answer on its way when the time of a dormant connection is over: it is
 * sent, or the peer learns that it was cut; and it does not hold us up.
 */
static void
check_idle_close(bool read_some)
{
	const struct torc_config config = { .idle_ms = 400,
		.close_ms = 400 };
	atomic_uint answers = 0;
	struct server server;
	uint64_t got = 0;
	unsigned asked;
	int fd, error;

	server_start(&server, &config, answer_and_sleep, &answers);
	fd = client_open_narrow(server.port);
	asked = fill_up(&server, fd, &answers);
	if (read_some) {
		/* So that a part of what is being sent is on its way. */
		uint8_t bytes[6000];

		assert_true(client_read(fd, bytes, sizeof(bytes)));
		assert_true(stream_matches(1, 0, bytes, sizeof(bytes)));
		got = sizeof(bytes);
	}
	assert_true(server_await_connections(&server, 0));
	for (;;) {
		uint8_t bytes[4096];
		ssize_t rc = recv(fd, bytes, sizeof(bytes), 0);

		if (rc < 0 && errno == EINTR)
			continue;
		error = rc < 0 ? errno : 0;
		if (rc <= 0)
			break;
		assert_true(stream_matches(1, got, bytes, (size_t)rc));
		got += (uint64_t)rc;
	}
	if (got < asked * ANSWER)
		assert_int_equal(error, ECONNRESET);
	close(fd);
	assert_int_equal(server_stop(&server), 0);
}

static void
an_idle_close_never_passes_a_cut_answer_off_as_whole(void **state)
{
	(void)state;
	check_idle_close(false);
	check_idle_close(true);
}

/* A15: what a dormant connection was answered is sent before it is closed. */
static void
a_drain_sends_what_dormant_connections_were_answered(void **state)
{
	atomic_uint answers = 0;
	struct server server;
	unsigned asked;
	int fd, error;

	(void)state;
	server_start(&server, NULL, answer_and_sleep, &answers);
	fd = client_open_narrow(server.port);
	asked = fill_up(&server, fd, &answers);
	torc_reactor_drain(server.reactor, torc_after_ms(BOUND_MS));
	pause_ms(50);
	assert_int_equal(read_stream(fd, 1, &error), asked * ANSWER);
	assert_int_equal(error, 0);
	close(fd);
	pthread_join(server.thread, NULL);
	torc_reactor_destroy(server.reactor);
}

/* ---- The end of a reactor ---- */

#define ON_ITS_WAY 200000u

/* An answer that the kernel takes, all of it, and its peer does not. */
static int
leave_it_to_the_kernel(struct torc_conn *conn, void *arg)
{
	static uint8_t bytes[ON_ITS_WAY];
	const int size = ON_ITS_WAY;
	struct torc_slice in;
	int rc;

	setsockopt(torc_conn_fd(conn), SOL_SOCKET, SO_SNDBUF, &size,
	    sizeof(size));
	stream_fill(1, 0, bytes, sizeof(bytes));
	torc_conn_recv(conn, &in, TORC_NEVER);
	rc = torc_conn_write(conn, bytes, sizeof(bytes), TORC_NEVER);
	if (rc == 0)
		rc = torc_conn_shutdown(conn, TORC_NEVER);
	atomic_fetch_add((atomic_uint *)arg, 1);
	return rc < 0 ? rc : TORC_CLOSE;
}

/*
 * A15: a connection that has all but the peer's FIN behind it when the reactor
 * drains: what the kernel has of its answer is not thrown away.
 */
static void
a_drain_does_not_cut_what_the_kernel_still_sends(void **state)
{
	atomic_uint over = 0;
	struct server server;
	int fd, error;

	(void)state;
	server_start(&server, NULL, leave_it_to_the_kernel, &over);
	fd = client_open_narrow(server.port);
	client_send(fd, "x", 1);
	assert_true(await_flag(&server, &over));
	torc_reactor_drain(server.reactor, torc_after_ms(BOUND_MS));
	pause_ms(100);
	assert_int_equal(read_stream(fd, 1, &error), ON_ITS_WAY);
	assert_int_equal(error, 0);
	close(fd);
	pthread_join(server.thread, NULL);
	torc_reactor_destroy(server.reactor);
	assert_int_equal(server.result, 0);
}

/* The control: a stop is at once, and the peer learns that it was cut. */
static void
a_stop_cuts_what_the_kernel_still_sends_with_a_reset(void **state)
{
	atomic_uint over = 0;
	struct server server;
	int fd, error;

	(void)state;
	server_start(&server, NULL, leave_it_to_the_kernel, &over);
	fd = client_open_narrow(server.port);
	client_send(fd, "x", 1);
	assert_true(await_flag(&server, &over));
	assert_int_equal(server_stop(&server), 0);
	assert_in_range(read_stream(fd, 1, &error), 0, ON_ITS_WAY - 1);
	assert_int_equal(error, ECONNRESET);
	close(fd);
}

/* Handlers in every kind of wait. */
static int
wait_in_recv(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	atomic_fetch_add((atomic_uint *)arg, 1);
	while (torc_conn_recv(conn, &in, TORC_NEVER) > 0)
		continue;
	return TORC_CLOSE;
}

static int
wait_in_write(struct torc_conn *conn, void *arg)
{
	static uint8_t bytes[100000];

	atomic_fetch_add((atomic_uint *)arg, 1);
	while (torc_conn_write(conn, bytes, sizeof(bytes), TORC_NEVER) == 0)
		continue;
	return TORC_CLOSE;
}

static int
wait_in_flush(struct torc_conn *conn, void *arg)
{
	static uint8_t bytes[100];

	atomic_fetch_add((atomic_uint *)arg, 1);
	shrink(conn);
	while (torc_conn_write(conn, bytes, sizeof(bytes), TORC_NEVER) == 0)
		continue;
	return TORC_CLOSE;
}

static int
wait_in_sleep(struct torc_conn *conn, void *arg)
{
	torc_conn_write(conn, "staged", 6, TORC_NEVER);
	atomic_fetch_add((atomic_uint *)arg, 1);
	torc_sleep(TORC_NEVER);
	return TORC_CLOSE;
}

static int
wait_for_fin(struct torc_conn *conn, void *arg)
{
	(void)conn;
	atomic_fetch_add((atomic_uint *)arg, 1);
	return TORC_CLOSE;
}

static int
wait_again(struct torc_conn *conn, void *arg)
{
	(void)conn;
	atomic_fetch_add((atomic_uint *)arg, 1);
	return TORC_AGAIN;
}

static torc_handler *const waits[] = { wait_in_recv, wait_in_write,
	wait_in_flush, wait_in_sleep, wait_for_fin, wait_again };
#define WAITS (sizeof(waits) / sizeof(waits[0]))

static bool
are_three(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	return atomic_load((atomic_uint *)arg) >= 3;
}

/*
 * A09, A37: a reactor that ended has closed what it had open, and nothing
 * else, also not late: a descriptor with a number of its own stays open.
 */
static void
check_end(torc_handler *handler, bool drain)
{
	const unsigned before = count_fds();
	atomic_uint running = 0;
	struct server server;
	int fds[3], pairs[16][2];
	char byte;

	server_start(&server, NULL, handler, &running);
	for (unsigned i = 0; i < 3; i++)
		fds[i] = client_open_narrow(server.port);
	assert_true(server_await(&server, are_three, &running, 5000));
	if (drain)
		assert_int_equal(server_drain(&server, 30), 0);
	else
		assert_int_equal(server_stop(&server), 0);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM |
		    SOCK_CLOEXEC, 0, pairs[i]), 0);
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
	pause_ms(5);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(write(pairs[i][0], "x", 1), 1);
		assert_int_equal(read(pairs[i][1], &byte, 1), 1);
		close(pairs[i][0]);
		close(pairs[i][1]);
	}
	assert_true(await_fds(before));
}

static void
a_stop_leaves_no_descriptor_open_and_closes_no_other(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WAITS; i++)
		check_end(waits[i], false);
}

static void
a_drain_leaves_no_descriptor_open_and_closes_no_other(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WAITS; i++)
		check_end(waits[i], true);
}

/* ---- Handlers of more than one fiber ---- */

static atomic_int others_end;	/* what the call of the other fiber said */
static int own_end;		/* what the handler returns */

static int
receive_on(void *arg)
{
	struct torc_slice in;

	atomic_store(&others_end, torc_conn_recv(arg, &in, TORC_NEVER));
	return 0;
}

static int
write_on(void *arg)
{
	static uint8_t bytes[MUCH];

	atomic_store(&others_end, torc_conn_write(arg, bytes, sizeof(bytes),
	    TORC_NEVER));
	return 0;
}

/* `*arg`: what the other fiber does. */
static int
leave_another_behind(struct torc_conn *conn, void *arg)
{
	torc_fiber_entry *const *entry = arg;

	shrink(conn);
	torc_fiber_spawn(NULL, *entry, conn);
	torc_sleep(torc_after_ms(20));
	if (*entry == receive_on)
		torc_conn_write(conn, "bye", 3, TORC_NEVER);
	return own_end;
}

/* Leave while another fiber waits: it learns of it, and nothing is left. */
static void
check_leaving(torc_fiber_entry *entry, int end, const char *answer)
{
	const struct torc_config config = { .linger_ms = 5000 };
	struct server server;
	char bytes[4];
	int fd;

	own_end = end;
	atomic_store(&others_end, 1);
	server_start(&server, &config, leave_another_behind, &entry);
	fd = client_open_narrow(server.port);
	if (answer != NULL) {
		assert_int_equal(client_read_all(fd, bytes, sizeof(bytes)),
		    (long)strlen(answer));
		assert_memory_equal(bytes, answer, strlen(answer));
		close(fd);
	}
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(atomic_load(&others_end), -ECANCELED);
	if (answer == NULL)
		close(fd);
	assert_int_equal(server_counters(&server).resets, answer == NULL);
	assert_int_equal(server_stop(&server), 0);
}

static void
a_handler_that_returns_ends_the_receive_of_its_other_fiber(void **state)
{
	(void)state;
	check_leaving(receive_on, TORC_CLOSE, "bye");
	check_leaving(receive_on, -1, NULL);
}

static void
a_handler_that_returns_ends_the_write_of_its_other_fiber(void **state)
{
	(void)state;
	check_leaving(write_on, TORC_CLOSE, NULL);
	check_leaving(write_on, -1, NULL);
}

static int
receive_all(void *arg)
{
	struct torc_slice in;
	int rc;

	while ((rc = torc_conn_recv(arg, &in, TORC_NEVER)) > 0)
		torc_conn_consume(arg, in.size);
	atomic_store(&others_end, rc);
	return 0;
}

/* It finds input, but others come first. */
static int
leave_another_aside(struct torc_conn *conn, void *arg)
{
	(void)arg;
	while (torc_conn_unread(conn) == 0)
		torc_sleep(torc_after_ms(1));
	torc_fiber_spawn(NULL, receive_all, conn);
	torc_yield();
	return own_end;
}

/* Also one that has input, and only lets others go first. */
static void
a_handler_that_returns_ends_the_receive_that_stepped_aside(void **state)
{
	const struct torc_config config = { .read_budget = 1 };
	struct server server;

	(void)state;
	for (own_end = TORC_CLOSE; own_end >= -1; own_end--) {
		char bytes[4];
		int fd;

		atomic_store(&others_end, 1);
		server_start(&server, &config, leave_another_aside, NULL);
		fd = client_open(server.port);
		client_send(fd, "x", 1);
		assert_int_equal(client_read_all(fd, bytes, sizeof(bytes)),
		    own_end);
		close(fd);
		assert_true(server_await_connections(&server, 0));
		assert_int_equal(atomic_load(&others_end), -ECANCELED);
		assert_int_equal(server_stop(&server), 0);
	}
}

static atomic_int late_result;

/* Its first request is asked for when the drain has begun already. */
static int
read_late(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	while (torc_reactor_self()->phase != TORC_PHASE_DRAINING)
		torc_sleep(torc_after_ms(5));
	atomic_store(&late_result, torc_conn_recv(conn, &in, TORC_NEVER));
	return TORC_CLOSE;
}

/* -ETIMEDOUT is the deadline of who asks, and one may go on after it. */
static void
a_first_request_that_a_drain_awaits_in_vain_is_told_of_the_drain(void **state)
{
	const struct torc_config config = { .linger_ms = 20 };
	struct server server;
	int fd;

	(void)state;
	server_start(&server, &config, read_late, NULL);
	fd = client_open(server.port);
	assert_true(server_await_connections(&server, 1));
	assert_int_equal(server_drain(&server, 30000), 0);
	assert_int_equal(atomic_load(&late_result), -ESHUTDOWN);
	close(fd);
}

struct ending {
	_Atomic uint64_t fiber;		/* of the handler, once it waits */
	unsigned ms;			/* for which it waits */
};

/* Much is written, and not all of it can have arrived. */
static int
write_and_wait(struct torc_conn *conn, void *arg)
{
	static uint8_t bytes[400000];
	struct ending *ending = arg;
	int rc;

	stream_fill(1, 0, bytes, sizeof(bytes));
	rc = torc_conn_write(conn, bytes, sizeof(bytes), torc_after_ms(5000));
	if (rc < 0)
		return rc;
	atomic_store(&ending->fiber, torc_fiber_self());
	(void)torc_sleep(torc_after_ms(ending->ms));
	return TORC_CLOSE;
}

static void
cancel_it(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	torc_fiber_cancel(atomic_load((_Atomic uint64_t *)arg));
}

/* How many bytes a client reads that begins late, and how that ends. */
static uint64_t
read_after(bool cancelled, int *error)
{
	struct ending ending = { .ms = cancelled ? 20000 : 50 };
	struct server server;
	uint64_t size;
	int fd;

	server_start(&server, NULL, write_and_wait, &ending);
	fd = client_open_narrow(server.port);
	for (unsigned i = 0; i < 500 && atomic_load(&ending.fiber) == 0; i++)
		pause_ms(10);
	assert_true(atomic_load(&ending.fiber) != 0);
	if (cancelled)
		server_call(&server, cancel_it, &ending.fiber);
	pause_ms(100);
	size = read_stream(fd, 1, error);
	close(fd);
	assert_int_equal(server_stop(&server), 0);
	return size;
}

static void
a_handler_that_was_cancelled_closes_with_a_reset_and_another_in_order(
    void **state)
{
	int error;

	(void)state;
	assert_int_equal(read_after(false, &error), 400000);
	assert_int_equal(error, 0);
	assert_true(read_after(true, &error) < 400000);
	assert_int_equal(error, ECONNRESET);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_exit_of_a_handler_sends_fin),
		cmocka_unit_test(
		    a_first_request_that_a_drain_awaits_in_vain_is_told_of_the_drain),
		cmocka_unit_test(a_slow_reader_gets_everything_and_then_fin),
		cmocka_unit_test(what_is_staged_at_the_exit_is_sent),
		cmocka_unit_test(
		    what_a_receive_sent_just_before_the_exit_arrives_whole),
		cmocka_unit_test(
		    a_peer_that_ignores_our_fin_is_reset_after_a_while),
		cmocka_unit_test(
		    a_peer_that_sends_on_after_our_fin_is_reset_too),
		cmocka_unit_test(a_shutdown_ends_writing_and_not_reading),
		cmocka_unit_test(
		    a_client_that_half_closes_after_its_request_gets_its_answer),
		cmocka_unit_test(
		    a_handler_that_fails_releases_its_connection_once),
		cmocka_unit_test(rude_clients_harm_nobody_else),
		cmocka_unit_test(
		    a_reset_in_the_middle_of_an_answer_ends_that_connection_only),
		cmocka_unit_test(
		    an_idle_close_never_passes_a_cut_answer_off_as_whole),
		cmocka_unit_test(
		    a_drain_sends_what_dormant_connections_were_answered),
		cmocka_unit_test(
		    a_drain_does_not_cut_what_the_kernel_still_sends),
		cmocka_unit_test(
		    a_stop_cuts_what_the_kernel_still_sends_with_a_reset),
		cmocka_unit_test(
		    a_stop_leaves_no_descriptor_open_and_closes_no_other),
		cmocka_unit_test(
		    a_drain_leaves_no_descriptor_open_and_closes_no_other),
		cmocka_unit_test(
		    a_handler_that_returns_ends_the_receive_of_its_other_fiber),
		cmocka_unit_test(
		    a_handler_that_returns_ends_the_write_of_its_other_fiber),
		cmocka_unit_test(
		    a_handler_that_returns_ends_the_receive_that_stepped_aside),
		cmocka_unit_test(
		    a_handler_that_was_cancelled_closes_with_a_reset_and_another_in_order),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("close", tests, NULL, NULL);
}
