/* SPDX-License-Identifier: MIT */
/*
 * test_pressure.c - queues that overflow, buffers that run out, handlers that
 * do not read, descriptors, stacks and memory that are gone: peers wait or
 * are turned away, and nobody else notices.
 *
 * wrap: torc_sys_alloc torc_sys_free
 */
#include "tests/harness.h"
#include "tests/seam.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conn/conn.h"
#include "conn/kit/torc_client.h"
#include "conn/net.h"
#include "sys/sys.h"

#define MANY 64u		/* connections in the bursts */
#define KIB 1024u

/* ---- What is shared by the tests ---- */

/* A call that keeps the reactor's thread busy until it is let go. */
struct stall {
	struct torc_post post;
	sem_t reached;
	sem_t go;
};

static void
wait_to_go(struct torc_reactor *reactor, struct torc_post *post)
{
	struct stall *stall = torc_container(post, struct stall, post);

	(void)reactor;
	sem_post(&stall->reached);
	while (sem_wait(&stall->go) < 0)
		continue;
}

static void
stall_begin(struct stall *stall, struct server *server)
{
	stall->post.call = wait_to_go;
	sem_init(&stall->reached, 0, 0);
	sem_init(&stall->go, 0, 0);
	assert_int_equal(torc_reactor_post(server->reactor, &stall->post), 0);
	while (sem_wait(&stall->reached) < 0)
		continue;
}

static void
stall_end(struct stall *stall, struct server *server)
{
	sem_post(&stall->go);
	/* Posts run in order: after this one, the stall is over. */
	server_counters(server);
	sem_destroy(&stall->reached);
	sem_destroy(&stall->go);
}

/* What handlers wait at until the test opens it, for good. */
struct gate {
	int fds[2];
};

static void
gate_make(struct gate *gate)
{
	assert_int_equal(pipe2(gate->fds, O_CLOEXEC), 0);
}

static void
gate_open(struct gate *gate)
{
	assert_int_equal(write(gate->fds[1], "", 1), 1);
}

static void
gate_close(struct gate *gate)
{
	close(gate->fds[0]);
	close(gate->fds[1]);
}

/* Parks. */
static int
gate_wait(const struct gate *gate)
{
	return torc_fd_poll(gate->fds[0], POLLIN, TORC_NEVER);
}

/* Waits at the gate in `arg`, then echoes. */
static int
echo_behind_gate(struct torc_conn *conn, void *arg)
{
	return gate_wait(arg) < 0 ? -1 : echo_handler(conn, NULL);
}

static struct torc_net *
net_of(struct torc_reactor *reactor)
{
	return reactor->layer_state;
}

static struct torc_conn *
first_conn(struct torc_reactor *reactor)
{
	return torc_slots_each(&net_of(reactor)->conns, NULL);
}

/* `buffers` as the reactor's thread sees it. */
static void
copy_buffers(struct torc_reactor *reactor, void *arg)
{
	*(struct torc_bufring *)arg = net_of(reactor)->buffers;
}

static struct torc_bufring
buffers_of(struct server *server)
{
	struct torc_bufring buffers;

	server_call(server, copy_buffers, &buffers);
	return buffers;
}

static bool
has_all_buffers(struct torc_reactor *reactor, void *arg)
{
	const struct torc_bufring *buffers = &net_of(reactor)->buffers;

	(void)arg;
	for (uint32_t bid = 0; bid < buffers->live; bid++) {
		/* The kernel's, and no slice of it is anybody's. */
		if (buffers->bufs[bid].owner != TORC_BUF_KERNEL)
			return false;
	}
	return buffers->in_kernel == buffers->live;
}

/* Every buffer came back to the kernel, and nobody refers to one. */
static void
assert_all_buffers_back(struct server *server)
{
	assert_true(server_await(server, has_all_buffers, NULL, 5000));
}

static void
open_many(unsigned port, int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		fds[i] = client_open(port);
}

static void
close_many(const int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
}

/* Send `size` bytes of stream `key` from `from`. */
static void
send_stream(int fd, uint32_t key, uint64_t from, size_t size)
{
	uint8_t data[4096];

	while (size > 0) {
		size_t part = size < sizeof(data) ? size : sizeof(data);

		stream_fill(key, from, data, part);
		client_send(fd, data, part);
		from += part;
		size -= part;
	}
}

/* Read as many, and see that they are those. */
static void
read_stream(int fd, uint32_t key, uint64_t from, size_t size)
{
	uint8_t data[4096];

	while (size > 0) {
		size_t part = size < sizeof(data) ? size : sizeof(data);

		if (!client_read(fd, data, part))
			fail_msg("stream %u ends before byte %llu", key,
			    (unsigned long long)from);
		if (!stream_matches(key, from, data, part))
			fail_msg("stream %u is wrong behind byte %llu", key,
			    (unsigned long long)from);
		from += part;
		size -= part;
	}
}

static void
expect_text(int fd, const char *text)
{
	char back[64];
	const size_t size = strlen(text);

	assert_true(size <= sizeof(back));
	assert_true(client_read(fd, back, size));
	assert_memory_equal(back, text, size);
}

/* ---- The completion queue is full ---- */

/*
 * Rounds in which all peers have sent before the reactor looks, so that far
 * more completions are due than the queue has room for.
 */
static void
burst(struct server *server, unsigned count, unsigned rounds, size_t size)
{
	int fds[MANY];

	open_many(server->port, fds, count);
	assert_true(server_await_connections(server, count));
	for (unsigned round = 0; round < rounds; round++) {
		uint64_t from = round * size;
		struct stall stall;

		stall_begin(&stall, server);
		for (unsigned i = 0; i < count; i++)
			send_stream(fds[i], i, from, size);
		stall_end(&stall, server);
		for (unsigned i = 0; i < count; i++)
			read_stream(fds[i], i, from, size);
	}
	close_many(fds, count);
	assert_true(server_await_connections(server, 0));
	assert_all_buffers_back(server);
}

/* A06: a CQ of 8 and 64 connections, 24 completions each. */
static void
a_burst_over_a_full_queue_loses_and_reorders_nothing(void **state)
{
	const struct torc_config config = {
		.sq_entries = 4,
		.cq_entries = 8,
		.buffer_size = 256,
	};
	struct torc_counters counters;
	struct server server;

	(void)state;
	server_start(&server, &config, echo_handler, NULL);
	assert_int_equal(server_counters(&server).overflows, 0);
	burst(&server, MANY, 4, 24 * 256);
	counters = server_counters(&server);
	assert_true(counters.overflows > 0);
	assert_int_equal(counters.received, MANY * 4 * 24 * 256);
	assert_true(counters.receives >= MANY * 4 * 24);
	assert_int_equal(server_stop(&server), 0);
}

/* The control: with room for all, nothing overflows. */
static void
the_same_burst_with_room_for_it_does_not_overflow(void **state)
{
	const struct torc_config config = {
		.cq_entries = 8192,
		.buffer_size = 256,
	};
	struct server server;

	(void)state;
	server_start(&server, &config, echo_handler, NULL);
	burst(&server, MANY, 4, 24 * 256);
	assert_int_equal(server_counters(&server).overflows, 0);
	assert_int_equal(server_stop(&server), 0);
}

static void
end_receives_by_a_full_queue(bool incremental)
{
	const struct torc_config config = {
		.sq_entries = 4,
		.cq_entries = 8,
		.buffer_size = 4096,
		.incremental = incremental,
	};
	struct torc_counters before, counters;
	struct server server;

	server_start(&server, &config, echo_handler, NULL);
	before = server_counters(&server);
	burst(&server, 24, 8, 32);
	counters = server_counters(&server);
	/* A multishot receive that finds no room ends there. */
	assert_true(counters.overflows > before.overflows);
	assert_true(counters.rearms > before.rearms + 24);
	assert_int_equal(counters.received, 24 * 8 * 32);
	assert_int_equal(server_stop(&server), 0);
}

/* A41. */
static void
a_receive_ended_by_a_full_queue_goes_on_where_it_was(void **state)
{
	(void)state;
	end_receives_by_a_full_queue(false);
}

/* A41, I27: there, the buffer is not finished by it. */
static void
a_receive_ended_inside_a_shared_buffer_goes_on_there(void **state)
{
	(void)state;
	end_receives_by_a_full_queue(true);
}

/*
 * A34 under pressure: the request and the FIN of 64 peers are there before the
 * reactor looks, so that handlers end while what they sent is on its way.
 */
static void
requests_with_their_end_behind_them_are_answered(void **state)
{
	const struct torc_config configs[] = {
		{ .cq_entries = 4096 },
		{ .sq_entries = 4, .cq_entries = 8 },
		{ .sq_entries = 4, .cq_entries = 8, .incremental = true },
	};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct server server;
		struct stall stall;
		int fds[MANY];

		server_start(&server, &configs[i], echo_handler, NULL);
		open_many(server.port, fds, MANY);
		assert_true(server_await_connections(&server, MANY));
		stall_begin(&stall, &server);
		for (unsigned j = 0; j < MANY; j++) {
			send_stream(fds[j], j, 0, 500);
			shutdown(fds[j], SHUT_WR);
		}
		stall_end(&stall, &server);
		for (unsigned j = 0; j < MANY; j++) {
			read_stream(fds[j], j, 0, 500);
			assert_true(client_sees_fin(fds[j]));
		}
		close_many(fds, MANY);
		assert_true(server_await_connections(&server, 0));
		assert_all_buffers_back(&server);
		assert_int_equal(server_counters(&server).resets, 0);
		assert_int_equal(server_stop(&server), 0);
	}
}

/* ---- Receive buffers and memory are scarce ---- */

/* Echo; behind a "w", not before the gate opens. */
static int
echo_and_wait(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	bool waits;

	if (torc_conn_recv(conn, &in, TORC_NEVER) <= 0)
		return -1;
	waits = in.data[0] == 'w';
	if (torc_conn_write(conn, in.data, in.size, TORC_NEVER) < 0)
		return -1;
	torc_conn_consume(conn, in.size);
	if (torc_conn_flush(conn, TORC_NEVER) < 0 ||
	    (waits && gate_wait(arg) < 0))
		return -1;
	return echo_handler(conn, NULL);
}

/* The same, but what is not read stays in view. */
static int
echo_with_a_view(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	if (torc_conn_recv(conn, &in, TORC_NEVER) <= 0)
		return -1;
	if ((in.data[0] == 'w' && gate_wait(arg) < 0) ||
	    torc_conn_write(conn, in.data, in.size, TORC_NEVER) < 0)
		return -1;
	torc_conn_consume(conn, in.size);
	return echo_handler(conn, NULL);
}

/* What a reactor has of its clients' unread bytes. */
struct holdings {
	size_t own;		/* bytes in memory of their own */
	size_t largest;		/* bytes of a connection */
	unsigned holders;	/* connections with unread bytes */
	unsigned slowed;
	unsigned starved;
};

static void
look_at_holdings(struct torc_reactor *reactor, void *arg)
{
	const struct torc_net *net = net_of(reactor);
	struct holdings *holdings = arg;
	struct torc_conn *conn = NULL;

	*holdings = (struct holdings) { .own = net->own[0] };
	while ((conn = torc_slots_each(&net->conns, conn)) != NULL) {
		size_t unread = torc_conn_unread(conn);

		if (unread > holdings->largest)
			holdings->largest = unread;
		holdings->holders += conn->first != NULL;
		holdings->slowed += conn->slowed;
		holdings->starved += torc_node_linked(&conn->starved);
	}
}

static struct holdings
holdings_of(struct server *server)
{
	struct holdings holdings;

	server_call(server, look_at_holdings, &holdings);
	return holdings;
}

static bool
have_unread(struct torc_reactor *reactor, void *arg)
{
	struct holdings holdings;

	look_at_holdings(reactor, &holdings);
	return holdings.holders == *(unsigned *)arg;
}

static bool
are_slowed(struct torc_reactor *reactor, void *arg)
{
	struct holdings holdings;

	look_at_holdings(reactor, &holdings);
	return holdings.slowed == *(unsigned *)arg;
}

/* As much as the sockets take at once, of at most `size` bytes. */
static size_t
send_what_fits(int fd, uint32_t key, size_t size)
{
	uint8_t *bytes = malloc(size);
	size_t sent = 0;
	ssize_t rc;

	assert_non_null(bytes);
	stream_fill(key, 0, bytes, size);
	while (sent < size && (rc = send(fd, bytes + sent, size - sent,
	    MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
		sent += (size_t)rc;
	free(bytes);
	return sent;
}

/* New and old, one after the other and with a large message. */
static void
serve_a_good_client(struct server *server, int old)
{
	int fd = client_open(server->port);

	client_echo(old, "an old one");
	client_echo(fd, "a new one");
	send_stream(fd, 9, 0, 12 * KIB);
	read_stream(fd, 9, 0, 12 * KIB);
	client_echo(old, "an old one again");
	close(fd);
}

/* Peers send `size` bytes each to handlers that do not read them. */
static void
check_good_beside_bad(const struct torc_config *config, torc_handler *handler,
    unsigned bad, size_t size)
{
	const bool viewed = handler == echo_with_a_view;
	struct server server;
	struct gate gate;
	size_t sent[MANY];
	int fds[MANY];
	int good;

	gate_make(&gate);
	server_start(&server, config, handler, &gate);
	good = client_open(server.port);
	client_echo(good, "before");
	open_many(server.port, fds, bad);
	for (unsigned i = 0; i < bad; i++) {
		if (viewed)
			client_send(fds[i], "w", 1);
		else
			client_echo(fds[i], "w");
	}
	for (unsigned i = 0; i < bad; i++)
		sent[i] = send_what_fits(fds[i], i, size);
	if (size > 0)
		assert_true(server_await(&server, have_unread, &bad, 5000));
	for (unsigned i = 0; i < 20; i++)
		serve_a_good_client(&server, good);
	assert_true(server_counters(&server).closes <= 20);
	gate_open(&gate);
	for (unsigned i = 0; i < bad; i++) {
		if (viewed)
			expect_text(fds[i], "w");
		read_stream(fds[i], i, 0, sent[i]);
		client_echo(fds[i], "and on");
	}
	close_many(fds, bad);
	close(good);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(holdings_of(&server).own, 0);
	assert_all_buffers_back(&server);
	assert_int_equal(server_stop(&server), 0);
	gate_close(&gate);
}

/* A39, A40, R-060, R-061: many more than there are buffers. */
static void
bytes_that_nobody_reads_leave_the_buffers_to_others(void **state)
{
	static const struct torc_config configs[] = {
		{ .buffers = 8, .buffers_start = 8, .buffer_size = KIB },
		{ .buffers = 1, .buffer_size = KIB },
		{ .buffers = 4, .buffers_start = 4, .buffer_size = KIB,
		    .incremental = true },
		{ .buffers = 32, .buffer_size = KIB, .held_max = 1000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
		check_good_beside_bad(&configs[i], echo_and_wait, 1, 24 * KIB);
		check_good_beside_bad(&configs[i], echo_and_wait, MANY,
		    24 * KIB);
		check_good_beside_bad(&configs[i], echo_and_wait, MANY, 5);
	}
}

/* Handlers that wait with their request in view keep no buffer, either. */
static void
requests_in_view_leave_the_buffers_to_others(void **state)
{
	const struct torc_config config = { .buffers = 8, .buffers_start = 8,
	    .buffer_size = KIB };

	(void)state;
	check_good_beside_bad(&config, echo_with_a_view, MANY, 0);
	check_good_beside_bad(&config, echo_with_a_view, MANY, 24 * KIB);
}

static bool
has_received_in_all(struct torc_reactor *reactor, void *arg)
{
	return reactor->counters->receives == *(uint64_t *)arg;
}

/* They move to memory of their own, before there is no buffer left at all. */
static void
half_of_the_buffers_are_left_to_others(void **state)
{
	const struct torc_config config = { .buffers = 16,
	    .buffers_start = 16, .buffer_size = KIB };
	struct server server;
	struct gate gate;
	int fds[MANY];

	(void)state;
	gate_make(&gate);
	server_start(&server, &config, echo_with_a_view, &gate);
	open_many(server.port, fds, MANY);
	for (uint64_t i = 0; i < MANY; i++) {
		uint64_t receives = i + 1;

		client_send(fds[i], "w", 1);
		assert_true(server_await(&server, has_received_in_all,
		    &receives, 5000));
	}
	assert_in_range(buffers_of(&server).in_kernel, 8, 9);
	assert_int_equal(server_counters(&server).no_buffers, 0);
	gate_open(&gate);
	close_many(fds, MANY);
	assert_int_equal(server_stop(&server), 0);
	gate_close(&gate);
}

/*
 * The memory of all is bounded, and the share of each connection shrinks as
 * more of them take theirs: the last ones are slowed with less than the first,
 * and another one is served beside them.
 */
static void
what_many_hold_together_stays_within_the_budget(void **state)
{
	const struct torc_config config = {
		.buffers = 16,
		.buffers_start = 16,
		.buffer_size = KIB,
		.held_max = 64 * KIB,
		.held_total = 4 * KIB * KIB,
	};
	struct holdings holdings;
	struct server server;
	struct gate gate;
	int fds[MANY];
	int good;

	(void)state;
	gate_make(&gate);
	server_start(&server, &config, echo_and_wait, &gate);
	good = client_open(server.port);
	client_echo(good, "before");
	for (unsigned i = 0; i < MANY; i++) {
		unsigned slowed = i + 1;

		fds[i] = client_open(server.port);
		client_echo(fds[i], "w");
		send_what_fits(fds[i], i, 200 * KIB);
		assert_true(server_await(&server, are_slowed, &slowed, 5000));
	}
	holdings = holdings_of(&server);
	assert_true(holdings.own <= config.held_total / 2);
	assert_true(holdings.own >= config.held_total / 4);
	assert_true(holdings.largest <= config.held_max);
	serve_a_good_client(&server, good);
	close_many(fds, MANY);
	close(good);
	gate_open(&gate);
	assert_int_equal(server_stop(&server), 0);
	gate_close(&gate);
}

/* A backend that sends a byte, and 48 KiB when the first was taken. */
struct backend {
	char address[32];
	int listener;
	int fd;
};

static void
begin_backend(struct backend *backend)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(at);

	backend->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(backend->listener, (struct sockaddr *)&at,
	    size), 0);
	assert_int_equal(listen(backend->listener, 1), 0);
	getsockname(backend->listener, (struct sockaddr *)&at, &size);
	snprintf(backend->address, sizeof(backend->address), "127.0.0.1:%u",
	    ntohs(at.sin_port));
}

static void *
play_backend(void *arg)
{
	struct backend *backend = arg;

	backend->fd = accept(backend->listener, NULL, NULL);
	if (backend->fd < 0)
		return NULL;
	client_send(backend->fd, "x", 1);
	pause_ms(20);
	send_what_fits(backend->fd, 0, 48 * KIB);
	return NULL;
}

/* What a backend has sent comes, also while nobody waits for it. */
static int
hold_an_answer(void *arg)
{
	const struct backend *backend = arg;
	struct torc_conn *conn;
	struct torc_slice in;
	size_t unread = 0;

	if (torc_dial(&conn, backend->address, torc_after_ms(5000)) < 0 ||
	    torc_conn_recv(conn, &in, torc_after_ms(5000)) <= 0)
		return -1;
	torc_conn_consume(conn, 1);
	for (int i = 0; i < 500 && unread < 48 * KIB; i++) {
		torc_sleep(torc_after_ms(10));
		unread = torc_conn_unread(conn);
	}
	torc_conn_close(conn, TORC_AT_ONCE);
	return (int)unread;
}

/* As above; and a handler has an answer of its backend, of any size. */
static void
what_clients_hold_leaves_answers_of_backends_their_half(void **state)
{
	const struct torc_config config = {
		.buffers = 16,
		.buffers_start = 16,
		.buffer_size = KIB,
		.held_max = 64 * KIB,
		.held_total = 4 * KIB * KIB,
	};
	struct backend backend;
	struct server server;
	struct gate gate;
	pthread_t player;
	int fds[MANY];

	(void)state;
	gate_make(&gate);
	server_start(&server, &config, echo_and_wait, &gate);
	for (unsigned i = 0; i < MANY; i++) {
		unsigned slowed = i + 1;

		fds[i] = client_open(server.port);
		client_echo(fds[i], "w");
		send_what_fits(fds[i], i, 200 * KIB);
		assert_true(server_await(&server, are_slowed, &slowed, 5000));
	}
	begin_backend(&backend);
	assert_int_equal(pthread_create(&player, NULL, play_backend,
	    &backend), 0);
	/* Before Linux 6.17 a receive that nobody waits for brings less. */
	assert_in_range(server_fiber(&server, hold_an_answer, &backend),
	    12 * KIB, 48 * KIB);
	pthread_join(player, NULL);
	close(backend.fd);
	close(backend.listener);
	close_many(fds, MANY);
	gate_open(&gate);
	assert_int_equal(server_stop(&server), 0);
	gate_close(&gate);
}

/* Gathers a message of 6000 bytes, and echoes it when it is whole; or "hi". */
static int
gather(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc;

	(void)arg;
	do
		rc = torc_conn_recv(conn, &in, TORC_NEVER);
	while (rc > 0 && in.size < 6000 && memcmp(in.data, "hi", 2) != 0);
	if (rc <= 0)
		return -1;
	if (torc_conn_write(conn, in.data, in.size, TORC_NEVER) < 0)
		return -1;
	torc_conn_consume(conn, in.size);
	return TORC_CLOSE;
}

static bool
do_starve(struct torc_reactor *reactor, void *arg)
{
	struct holdings holdings;

	look_at_holdings(reactor, &holdings);
	return holdings.starved >= *(unsigned *)arg;
}

/*
 * Many wait for the rest of their messages, and there is not memory for all:
 * some wait for others, nobody asks again and again, and all are answered when
 * one after the other has what it needs.
 */
static void
messages_that_wait_for_memory_are_whole_in_the_end(void **state)
{
	const struct torc_config config = {
		.buffers = 8,
		.buffers_start = 8,
		.buffer_size = 4 * KIB,
		.held_max = 8 * KIB,
		.held_total = 256 * KIB,
	};
	struct torc_counters before, after;
	struct server server;
	unsigned some = 1;
	int fds[MANY];
	int fd;

	(void)state;
	server_start(&server, &config, gather, NULL);
	open_many(server.port, fds, MANY);
	for (unsigned i = 0; i < MANY; i++)
		send_stream(fds[i], i, 0, 5000);
	assert_true(server_await(&server, do_starve, &some, 5000));
	pause_ms(50);
	before = server_counters(&server);
	pause_ms(100);
	after = server_counters(&server);
	assert_true(after.turns - before.turns < 10);
	/* Who needs little has it at once, although there is nothing left. */
	before = server_counters(&server);
	for (unsigned i = 0; i < MANY; i++) {
		fd = client_open(server.port);
		client_echo(fd, "hi");
		assert_true(client_sees_fin(fd));
		close(fd);
	}
	assert_true(holdings_of(&server).own > config.held_total / 2);
	after = server_counters(&server);
	assert_true(after.favours - before.favours < MANY);
	/* Some leave, those that wait among them. */
	for (unsigned i = 0; i < MANY; i += 4)
		client_reset(fds[i]);
	for (unsigned i = 0; i < MANY; i++) {
		uint8_t rest[1000];

		if (i % 4 == 0)
			continue;

		stream_fill(i, 5000, rest, sizeof(rest));
		client_send(fds[i], rest, sizeof(rest));
	}
	for (unsigned i = 0; i < MANY; i++) {
		if (i % 4 == 0)
			continue;
		read_stream(fds[i], i, 0, 6000);
		close(fds[i]);
	}
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(holdings_of(&server).own, 0);
	assert_int_equal(server_stop(&server), 0);
}

static bool
are_all_moved(struct torc_reactor *reactor, void *arg)
{
	const struct torc_bufring *buffers = &net_of(reactor)->buffers;

	return reactor->counters->receives >= *(const uint64_t *)arg &&
	    buffers->in_kernel == buffers->live;
}

/* Its beginning is moved, although there are buffers enough. */
static void
who_waits_for_the_rest_of_a_message_keeps_no_buffer(void **state)
{
	const struct torc_config config = {
		.buffers = 16,
		.buffers_start = 16,
		.buffer_size = 4 * KIB,
	};
	uint64_t receives = 4;
	struct server server;
	int fds[4];

	(void)state;
	server_start(&server, &config, gather, NULL);
	open_many(server.port, fds, 4);
	for (unsigned i = 0; i < 4; i++)
		send_stream(fds[i], i, 0, 1000);
	assert_true(server_await(&server, are_all_moved, &receives, 5000));
	for (unsigned i = 0; i < 4; i++) {
		uint8_t rest[5000];

		stream_fill(i, 1000, rest, sizeof(rest));
		client_send(fds[i], rest, sizeof(rest));
		read_stream(fds[i], i, 0, 6000);
	}
	close_many(fds, 4);
	assert_int_equal(server_stop(&server), 0);
}

static torc_deadline patience;	/* of all of them */

/* Gathers a message of 6000 bytes, while there is time; or echoes "hi". */
static int
gather_for_a_while(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc;

	(void)arg;
	do
		rc = torc_conn_recv(conn, &in, patience);
	while (rc > 0 && in.size < 6000 && memcmp(in.data, "hi", 2) != 0);
	if (rc <= 0)
		return -1;
	rc = torc_conn_write(conn, in.data, in.size, TORC_NEVER);
	torc_conn_consume(conn, in.size);
	return rc;
}

/* Until all have gone: how often one that has gone still waited. */
static int
watch_who_waits(void *arg)
{
	struct torc_net *net = torc_reactor_self()->layer_state;
	const struct torc_node *end = &net->starved.ends;
	int gone = 0;

	(void)arg;
	while (net->conns.count > 0) {
		for (struct torc_node *node = end->next; node != end;
		    node = node->next)
			gone += torc_container(node, struct torc_conn,
			    starved)->fd < 0;
		torc_yield();
	}
	return gone;
}

/* Many wait for memory until they give up: others have their places then. */
static void
who_gives_up_waiting_for_memory_waits_for_none(void **state)
{
	const struct torc_config config = {
		.buffers = 8,
		.buffers_start = 8,
		.buffer_size = 4 * KIB,
		.held_max = 8 * KIB,
		.held_total = 256 * KIB,
	};
	unsigned some = MANY / 4, ms = 1000;
	struct server server;
	int fds[MANY];

	(void)state;
	server_start(&server, &config, gather_for_a_while, NULL);
	/* On a slow machine, the first have given up before the last wait. */
	for (;; ms *= 2) {
		assert_true(ms <= 16000);
		patience = torc_after_ms(ms);
		open_many(server.port, fds, MANY);
		for (unsigned i = 0; i < MANY; i++)
			send_stream(fds[i], i, 0, 5000);
		if (server_await(&server, do_starve, &some, ms))
			break;
		close_many(fds, MANY);
		assert_true(server_await_connections(&server, 0));
	}
	assert_int_equal(server_fiber(&server, watch_who_waits, NULL), 0);
	close_many(fds, MANY);
	patience = TORC_NEVER;
	open_many(server.port, fds, MANY);
	for (unsigned i = 0; i < MANY; i++)
		client_echo(fds[i], "hi");
	close_many(fds, MANY);
	assert_int_equal(server_stop(&server), 0);
}

/* ---- A handler does not read ---- */

#define HELD_MAX (64 * KIB)
#define HELD_LOW (16 * KIB)
#define SLOW_CQ 16u
/* What two batches can bring after the mark: a piece is a buffer and a toll. */
#define HELD_SLACK (2 * SLOW_CQ * (4 * KIB + 256))

static const struct torc_config slow_config = {
	.sq_entries = 8,
	.cq_entries = SLOW_CQ,
	.buffer_size = 4 * KIB,
	.held_max = HELD_MAX,
	.held_low = HELD_LOW,
};

struct slow_reader {
	struct gate gate;
	size_t read;
	uint32_t most_held;
	uint32_t most_at_resume;
	unsigned resumes;
	bool wrong;
};

/* What a read may have changed. */
static void
note_held(struct slow_reader *reader, const struct torc_conn *conn,
    bool was_slowed)
{
	if (conn->held > reader->most_held)
		reader->most_held = conn->held;
	if (!was_slowed || conn->slowed)
		return;
	reader->resumes++;
	if (conn->held > reader->most_at_resume)
		reader->most_at_resume = conn->held;
}

/* Does nothing before the gate opens; then reads all, and says how it was. */
static int
read_late(struct torc_conn *conn, void *arg)
{
	const int size = 16 * KIB;
	struct slow_reader *reader = arg;
	struct torc_slice in;

	/* So that the kernel does not take megabytes for us. */
	setsockopt(torc_conn_fd(conn), SOL_SOCKET, SO_RCVBUF, &size,
	    sizeof(size));
	if (gate_wait(&reader->gate) < 0)
		return -1;
	for (;;) {
		bool slowed = conn->slowed;

		if (torc_conn_recv(conn, &in, TORC_NEVER) <= 0)
			break;
		note_held(reader, conn, slowed);
		if (!stream_matches(3, reader->read, in.data, in.size))
			reader->wrong = true;
		reader->read += in.size;
		torc_conn_consume(conn, in.size);
	}
	return torc_conn_write(conn, "read", 4, TORC_NEVER);
}

/* The peer was slowed down, and the receive has really ended. */
static bool
is_slowed(struct torc_reactor *reactor, void *arg)
{
	const struct torc_conn *conn = first_conn(reactor);

	*(uint32_t *)arg = conn->held;
	return conn->slowed && !conn->armed;
}

/* Send until the kernel takes no more although it had time to. */
static size_t
send_until_blocked(int fd)
{
	unsigned refusals = 0;
	size_t total = 0;

	while (refusals < 10) {
		uint8_t data[4096];
		ssize_t sent;

		stream_fill(3, total, data, sizeof(data));
		sent = send(fd, data, sizeof(data), MSG_DONTWAIT |
		    MSG_NOSIGNAL);
		if (sent > 0) {
			refusals = 0;
			total += (size_t)sent;
			/* Far more than all buffers on the way. */
			assert_true(total < 64 * KIB * KIB);
			continue;
		}
		assert_int_equal(errno, EAGAIN);
		refusals++;
		pause_ms(10);
	}
	return total;
}

/* A42: beyond closing it, or taking ever more memory. */
static void
a_handler_that_does_not_read_slows_its_peer(void **state)
{
	const int size = 16 * KIB;
	const size_t more = KIB * KIB;
	struct slow_reader reader = { .read = 0 };
	struct server server;
	uint32_t held = 0;
	size_t sent;
	int fd;

	(void)state;
	gate_make(&reader.gate);
	server_start(&server, &slow_config, read_late, &reader);
	fd = client_open(server.port);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	sent = send_until_blocked(fd);
	assert_true(server_await(&server, is_slowed, &held, 5000));
	/* Each piece has its toll, and they are smaller on some kernels. */
	assert_in_range(held, HELD_MAX - 64 * 256, HELD_MAX + HELD_SLACK);
	assert_true(sent > HELD_MAX - 64 * 256);
	gate_open(&reader.gate);
	send_stream(fd, 3, sent, more);
	shutdown(fd, SHUT_WR);
	expect_text(fd, "read");
	assert_true(client_sees_fin(fd));
	close(fd);
	assert_all_buffers_back(&server);
	assert_true(server_counters(&server).holds > 0);
	assert_int_equal(server_stop(&server), 0);
	assert_false(reader.wrong);
	assert_int_equal(reader.read, sent + more);
	assert_in_range(reader.most_held, HELD_MAX / 2,
	    HELD_MAX + HELD_SLACK);
	assert_true(reader.resumes > 0);
	assert_true(reader.most_at_resume <= HELD_LOW);
	gate_close(&reader.gate);
}

/* Reads what there is behind the gate: `read` bytes, then an error. */
static int
read_to_an_error(struct torc_conn *conn, void *arg)
{
	struct slow_reader *reader = arg;
	struct torc_slice in;
	int rc;

	if (gate_wait(&reader->gate) < 0)
		return -1;
	while ((rc = torc_conn_recv(conn, &in, TORC_NEVER)) > 0) {
		if (!stream_matches(3, reader->read, in.data, in.size))
			reader->wrong = true;
		reader->read += in.size;
		torc_conn_consume(conn, in.size);
	}
	if (rc != -ECONNRESET)
		reader->wrong = true;
	return -1;
}

/* until then nobody asks, and nothing turns. */
static void
a_reset_of_a_slowed_peer_is_found_when_its_handler_goes_on(void **state)
{
	struct slow_reader reader = { .read = 0 };
	struct server server;
	uint32_t held = 0;
	uint64_t turns;
	int fd;

	(void)state;
	gate_make(&reader.gate);
	server_start(&server, &slow_config, read_to_an_error, &reader);
	fd = client_open(server.port);
	send_until_blocked(fd);
	assert_true(server_await(&server, is_slowed, &held, 5000));
	client_reset(fd);
	turns = server_counters(&server).turns;
	pause_ms(200);
	assert_true(server_counters(&server).turns < turns + 20);
	assert_int_equal(server_connections(&server), 1);
	gate_open(&reader.gate);
	assert_true(server_await_connections(&server, 0));
	assert_all_buffers_back(&server);
	assert_int_equal(server_stop(&server), 0);
	assert_false(reader.wrong);
	assert_true(reader.read >= HELD_MAX - 32 * 256);
	gate_close(&reader.gate);
}

/* The control: the same bytes to a handler that reads. */
static void
a_handler_that_reads_does_not_slow_its_peer(void **state)
{
	struct server server;
	int fd;

	(void)state;
	server_start(&server, &slow_config, echo_handler, NULL);
	fd = client_open(server.port);
	for (unsigned i = 0; i < 64; i++) {
		send_stream(fd, 3, i * 4 * KIB, 4 * KIB);
		read_stream(fd, 3, i * 4 * KIB, 4 * KIB);
	}
	close(fd);
	assert_int_equal(server_counters(&server).holds, 0);
	assert_int_equal(server_stop(&server), 0);
}

/* The first connection waits at the gate; the others echo. */
static int
first_waits(struct torc_conn *conn, void *arg)
{
	if (conn == first_conn(conn->net->reactor))
		return echo_behind_gate(conn, arg);
	return echo_handler(conn, NULL);
}

static bool
is_held(struct torc_reactor *reactor, void *arg)
{
	uint32_t held;

	(void)arg;
	return is_slowed(reactor, &held);
}

/*
 * one peer floods a handler that does not read; the buffers that it
 * takes are bounded, and the others have theirs.
 */
static void
one_peer_cannot_take_all_buffers(void **state)
{
	const struct torc_config config = {
		.sq_entries = 8,
		.cq_entries = SLOW_CQ,
		.buffers = 128,
		.buffer_size = KIB,
		.held_max = 32 * KIB,
	};
	struct torc_bufring buffers;
	struct server server;
	struct gate gate;
	int fd, other;

	(void)state;
	gate_make(&gate);
	server_start(&server, &config, first_waits, &gate);
	fd = client_open(server.port);
	assert_true(server_await_connections(&server, 1));
	send_stream(fd, 5, 0, 256 * KIB);
	assert_true(server_await(&server, is_held, NULL, 5000));
	buffers = buffers_of(&server);
	assert_in_range(buffers.live - buffers.in_kernel, 0, 4);
	other = client_open(server.port);
	for (int i = 0; i < 20; i++)
		client_echo(other, "there is room");
	close(other);
	gate_open(&gate);
	read_stream(fd, 5, 0, 256 * KIB);
	close(fd);
	assert_true(server_await_connections(&server, 0));
	assert_all_buffers_back(&server);
	assert_int_equal(server_stop(&server), 0);
	gate_close(&gate);
}

static bool
has_received(struct torc_reactor *reactor, void *arg)
{
	return reactor->counters->received >= *(uint64_t *)arg ||
	    first_conn(reactor)->slowed;
}

/* nor with single bytes, each of which takes a whole buffer. */
static void
nor_can_it_with_many_small_pieces(void **state)
{
	const struct torc_config config = {
		.buffers = 128,
		.buffer_size = 4 * KIB,
		.held_max = 16 * KIB,
	};
	struct torc_bufring buffers;
	struct server server;
	struct gate gate;
	int fd, other;

	(void)state;
	gate_make(&gate);
	server_start(&server, &config, first_waits, &gate);
	fd = client_open(server.port);
	assert_true(server_await_connections(&server, 1));
	for (uint64_t sent = 1; sent <= 256; sent++) {
		send_stream(fd, 5, sent - 1, 1);
		/* One at a time, as long as they are taken at all. */
		assert_true(server_await(&server, has_received, &sent, 5000));
	}
	assert_true(server_await(&server, is_held, NULL, 5000));
	buffers = buffers_of(&server);
	assert_in_range(buffers.live - buffers.in_kernel, 0, 4);
	other = client_open(server.port);
	client_echo(other, "there is room");
	close(other);
	gate_open(&gate);
	read_stream(fd, 5, 0, 256);
	close(fd);
	assert_true(server_await_connections(&server, 0));
	assert_all_buffers_back(&server);
	assert_int_equal(server_stop(&server), 0);
	gate_close(&gate);
}

/* ---- Peers do not read ---- */

#define READERS 100u	/* that read nothing */

static int
write_to_nobody(struct torc_conn *conn, void *arg)
{
	static const uint8_t much[8 << 20];

	(void)arg;
	return torc_conn_write(conn, much, sizeof(much), TORC_NEVER);
}

/* Bytes that the kernel has of connections and could not send yet. */
struct unsent {
	unsigned waiting;
	unsigned limited;	/* connections of which it takes less */
	int least;		/* of the limits */
};

static void
look_at_unsent(struct torc_reactor *reactor, void *arg)
{
	struct unsent *unsent = arg;
	struct torc_conn *conn = NULL;

	*unsent = (struct unsent) { .least = INT32_MAX };
	while ((conn = torc_slots_each(&net_of(reactor)->conns, conn)) !=
	    NULL) {
		socklen_t size = sizeof(int);
		int limit = 0;

		unsent->waiting += conn->awaited;
		getsockopt(conn->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &limit,
		    &size);
		unsent->limited += limit > 0;
		if (limit > 0 && limit < unsent->least)
			unsent->least = limit;
	}
}

static bool
all_wait(struct torc_reactor *reactor, void *arg)
{
	struct unsent unsent;

	look_at_unsent(reactor, &unsent);
	return unsent.waiting == *(unsigned *)arg;
}

static struct unsent
let_wait(struct server *server, int *fds, unsigned from, unsigned to)
{
	struct unsent unsent;

	for (unsigned i = from; i < to; i++)
		fds[i] = client_open(server->port);
	assert_true(server_await(server, all_wait, &to, 10000));
	server_call(server, look_at_unsent, &unsent);
	return unsent;
}

/*
 * What peers do not read is memory of the system's, and TCP fails for everybody
 * when there is too much of it: of many such peers the kernel takes less each.
 * The control: of a few it takes what it likes.
 */
static void
many_peers_that_do_not_read_have_less_of_the_system_each(void **state)
{
	struct unsent unsent;
	struct server server;
	int fds[READERS];

	(void)state;
	server_start(&server, NULL, write_to_nobody, NULL);
	unsent = let_wait(&server, fds, 0, 60);
	assert_int_equal(unsent.limited, 0);
	unsent = let_wait(&server, fds, 60, READERS);
	assert_int_equal(unsent.limited, READERS - 64);
	assert_int_equal(unsent.least, (128 << 20) / READERS);
	for (unsigned i = 0; i < READERS; i++)
		close(fds[i]);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_stop(&server), 0);
}

/* ---- Handlers that keep what they were given ---- */

/* Answers each view, and never consumes. */
static int
answer_and_keep(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, TORC_NEVER) > 0) {
		if (torc_conn_write(conn, "ok", 2, TORC_NEVER) < 0)
			return -1;
	}
	return TORC_CLOSE;
}

/* Answers the first view and returns. */
static int
answer_and_leave(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	if (torc_conn_recv(conn, &in, TORC_NEVER) <= 0)
		return -1;
	return torc_conn_write(conn, "ok", 2, TORC_NEVER);
}

static void
serve_many_over_few_buffers(torc_handler *handler, unsigned rounds)
{
	const struct torc_config config = {
		.buffers = 16,
		.buffers_start = 16,
		.buffer_size = KIB,
	};
	struct server server;
	int fds[MANY];

	server_start(&server, &config, handler, NULL);
	open_many(server.port, fds, MANY);
	assert_true(server_await_connections(&server, MANY));
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < MANY; i++)
			client_send(fds[i], "request", 7);
		for (unsigned i = 0; i < MANY; i++)
			expect_text(fds[i], "ok");
	}
	close_many(fds, MANY);
	assert_true(server_await_connections(&server, 0));
	assert_all_buffers_back(&server);
	assert_int_equal(server_stop(&server), 0);
}

/* A44, I32. */
static void
handlers_that_never_consume_are_all_served_by_few_buffers(void **state)
{
	(void)state;
	serve_many_over_few_buffers(answer_and_keep, 4);
}

/* A44. */
static void
handlers_that_leave_without_consuming_strand_no_buffer(void **state)
{
	(void)state;
	serve_many_over_few_buffers(answer_and_leave, 1);
}

static int
leave_at_the_first_piece(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	torc_conn_recv(conn, &in, TORC_NEVER);
	return -1;
}

/* pieces come for a connection that is at its end already. */
static void
what_comes_for_a_connection_that_has_ended_strands_no_buffer(void **state)
{
	const struct torc_config config = {
		.buffers = 8,
		.buffer_size = 64,
	};
	static const char pieces[64 * 4];
	struct stall stall;
	struct server server;
	int fds[20];

	(void)state;
	server_start(&server, &config, leave_at_the_first_piece, NULL);
	for (unsigned i = 0; i < 20; i++) {
		fds[i] = client_open(server.port);
		assert_true(server_await_connections(&server, 1));
		/* All of them in one batch. */
		stall_begin(&stall, &server);
		client_send(fds[i], pieces, sizeof(pieces));
		stall_end(&stall, &server);
		assert_true(server_await_connections(&server, 0));
		close(fds[i]);
	}
	assert_all_buffers_back(&server);
	assert_int_equal(server_stop(&server), 0);
}

/* A46: the buffers come back in steady use. */
static void
two_thousand_round_trips_need_eight_buffers(void **state)
{
	const struct torc_config config = {
		.buffers = 8,
		.buffers_start = 8,
	};
	struct server server;
	int fd;

	(void)state;
	server_start(&server, &config, echo_handler, NULL);
	fd = client_open(server.port);
	for (int i = 0; i < 2000; i++)
		client_echo(fd, "x");
	close(fd);
	assert_true(server_await_connections(&server, 0));
	assert_all_buffers_back(&server);
	assert_int_equal(server_counters(&server).receives, 2000);
	assert_int_equal(server_stop(&server), 0);
}

/* ---- Buffers ---- */

/* Runs in a forked child: what it prints as it dies goes to `err`. */
static void
assert_dies(void (*run)(void), const char *words)
{
	char text[512] = "";
	size_t size = 0;
	int status, pipes[2];
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(pipes[1], STDERR_FILENO);
		run();
		_exit(0);
	}
	close(pipes[1]);
	while ((got = read(pipes[0], text + size,
	    sizeof(text) - 1 - size)) > 0)
		size += (size_t)got;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(pipes[0]);
	if (words == NULL) {
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
		assert_int_equal(size, 0);
		return;
	}
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_non_null(strstr(text, words));
}

/* A buffer that was delivered is put back `times` times. */
static void
put_back(unsigned times)
{
	struct torc_bufring bufring;
	struct torc_ring ring;

	if (torc_ring_init(&ring, 4, 8) < 0 || torc_ring_enable(&ring) < 0 ||
	    torc_bufring_init(&bufring, &ring, 0, 4, 4, 64, false) < 0)
		_exit(1);
	torc_bufring_take(&bufring, 2, 10, 0);
	for (unsigned i = 0; i < times; i++)
		torc_bufring_put(&bufring, 2);
	if (bufring.in_kernel != 4)
		_exit(2);
	torc_bufring_fini(&bufring);
	torc_ring_fini(&ring);
}

static void
put_back_once(void)
{
	put_back(1);
}

static void
put_back_twice(void)
{
	put_back(2);
}

/* A45: in release builds, too; a ring with one buffer twice mixes streams. */
static void
a_buffer_that_is_returned_twice_stops_the_process(void **state)
{
	(void)state;
	assert_dies(put_back_once, NULL);
	assert_dies(put_back_twice, "ring/bufring.c:");
}

static bool
has_grown(struct torc_reactor *reactor, void *arg)
{
	return net_of(reactor)->buffers.live >= *(unsigned *)arg;
}

/* The ring of buffers starts small, and grows when most of it is in use. */
static void
the_buffer_ring_starts_small_and_grows_under_need(void **state)
{
	const struct torc_config config = {
		.buffers = MANY,
		.buffers_start = 4,
		.buffer_size = KIB,
	};
	unsigned most = MANY / 2;
	struct server server;
	struct gate gate;
	int fds[MANY];

	(void)state;
	gate_make(&gate);
	server_start(&server, &config, echo_with_a_view, &gate);
	assert_int_equal(buffers_of(&server).live, 4);
	assert_int_equal(server_counters(&server).grows, 0);
	open_many(server.port, fds, MANY);
	for (unsigned i = 0; i < MANY; i++)
		client_send(fds[i], "w", 1);
	assert_true(server_await(&server, has_grown, &most, 5000));
	assert_in_range(server_counters(&server).grows, 2, 8);
	gate_open(&gate);
	for (unsigned i = 0; i < MANY; i++)
		expect_text(fds[i], "w");
	close_many(fds, MANY);
	assert_true(server_await_connections(&server, 0));
	assert_all_buffers_back(&server);
	assert_int_equal(server_stop(&server), 0);
	gate_close(&gate);
}

#define CROWD 24u

/* All of them send while the loop stands still, and are answered. */
static void
send_at_once(struct server *server, const int *fds)
{
	struct stall stall;
	char answer[4];

	stall_begin(&stall, server);
	for (unsigned i = 0; i < CROWD; i++)
		client_send(fds[i], "here", 4);
	stall_end(&stall, server);
	for (unsigned i = 0; i < CROWD; i++) {
		assert_true(client_read(fds[i], answer, sizeof(answer)));
		assert_memory_equal(answer, "here", sizeof(answer));
	}
}

/*
 * At the end of each turn all buffers are back, but within one they do not
 * suffice: each receive that ends for want of one has to be armed again.
 */
static void
the_buffer_ring_grows_when_receives_end_for_want_of_buffers(void **state)
{
	const struct torc_config config = {
		.buffers = 64,
		.buffers_start = 8,
		.buffer_size = KIB,
	};
	struct torc_counters before, after;
	struct server server;
	int fds[CROWD];

	(void)state;
	server_start(&server, &config, echo_handler, NULL);
	for (unsigned i = 0; i < CROWD; i++)
		fds[i] = client_open(server.port);
	assert_true(server_await_connections(&server, CROWD));
	send_at_once(&server, fds);
	before = server_counters(&server);
	assert_true(before.no_buffers > 0);
	for (int i = 0; i < 3; i++)
		send_at_once(&server, fds);
	assert_in_range(buffers_of(&server).live, CROWD, 64);
	before = server_counters(&server);
	send_at_once(&server, fds);
	after = server_counters(&server);
	assert_int_equal(after.no_buffers, before.no_buffers);
	for (unsigned i = 0; i < CROWD; i++)
		close(fds[i]);
	assert_true(server_await_connections(&server, 0));
	assert_all_buffers_back(&server);
	assert_int_equal(server_stop(&server), 0);
}

static bool
has_lent_four(struct torc_reactor *reactor, void *arg)
{
	const struct torc_bufring *buffers = &net_of(reactor)->buffers;

	(void)arg;
	return buffers->live - buffers->in_kernel == 4;
}

/* The control: half of it in use, and what comes and goes, is no need. */
static void
the_buffer_ring_does_not_grow_without_need(void **state)
{
	const struct torc_config config = {
		.buffers = 64,
		.buffers_start = 8,
		.buffer_size = KIB,
	};
	struct server server;
	struct gate gate;
	int fds[4];

	(void)state;
	gate_make(&gate);
	server_start(&server, &config, echo_with_a_view, &gate);
	open_many(server.port, fds, 4);
	for (unsigned i = 0; i < 4; i++)
		client_send(fds[i], "w", 1);
	assert_true(server_await(&server, has_lent_four, NULL, 5000));
	gate_open(&gate);
	for (unsigned i = 0; i < 4; i++)
		expect_text(fds[i], "w");
	for (int i = 0; i < 100; i++)
		client_echo(fds[i % 4], "again");
	close_many(fds, 4);
	assert_int_equal(buffers_of(&server).live, 8);
	assert_int_equal(server_counters(&server).grows, 0);
	assert_int_equal(server_stop(&server), 0);
	gate_close(&gate);
}

/* ---- Descriptors are gone ---- */

#define WAITERS 20u

static struct rlimit files_before;

static int
save_limit(void **state)
{
	(void)state;
	return getrlimit(RLIMIT_NOFILE, &files_before);
}

static int
restore_limit(void **state)
{
	(void)state;
	return setrlimit(RLIMIT_NOFILE, &files_before);
}

/* Leave room for `count` descriptors more in this process. */
static void
limit_files(unsigned count)
{
	struct rlimit limit = files_before;
	int lowest = dup(STDOUT_FILENO);

	assert_true(lowest >= 0);
	close(lowest);
	limit.rlim_cur = (rlim_t)lowest + count;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static atomic_uint notices;

static void
count_notices(const char *text, void *arg)
{
	(void)arg;
	(void)text;
	atomic_fetch_add(&notices, 1);
}

/* Says hello, and has something to do until the end: it does not make room. */
static int
greet(struct torc_conn *conn, void *arg)
{
	(void)arg;
	if (torc_conn_write(conn, "hi", 2, TORC_NEVER) < 0)
		return -1;
	torc_conn_watch_begin(conn, TORC_WATCH_FIN);
	torc_sleep(TORC_NEVER);
	return TORC_CLOSE;
}

static uint64_t
cpu_ms(struct server *server)
{
	struct timespec time;
	clockid_t clock;

	assert_int_equal(pthread_getcpuclockid(server->thread, &clock), 0);
	assert_int_equal(clock_gettime(clock, &time), 0);
	return (uint64_t)time.tv_sec * 1000 +
	    (uint64_t)time.tv_nsec / 1000000;
}

static bool
has_paused(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	return reactor->counters->accept_pauses > 0;
}

static void
connect_to(int fd, unsigned port)
{
	struct pollfd poller = { .fd = fd, .events = POLLOUT };
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	if (connect(fd, (const struct sockaddr *)&address,
	    sizeof(address)) < 0)
		assert_int_equal(errno, EINPROGRESS);
	assert_int_equal(poll(&poller, 1, CLIENT_SECONDS * 1000), 1);
	assert_int_equal(poller.revents, POLLOUT);
}

/*
 * A server with room for a few connections, and WAITERS clients whose sockets
 * were made before that.
 */
static void
exhaust_files(struct server *server, int *fds)
{
	const struct torc_config config = { .notice = count_notices };
	const struct timeval limit = { .tv_sec = CLIENT_SECONDS };

	for (unsigned i = 0; i < WAITERS; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC |
		    SOCK_NONBLOCK, 0);
		assert_true(fds[i] >= 0);
	}
	atomic_store(&notices, 0);
	limit_files(10);
	server_start(server, &config, greet, NULL);
	for (unsigned i = 0; i < WAITERS; i++) {
		connect_to(fds[i], server->port);
		fcntl(fds[i], F_SETFL, 0);
		setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &limit,
		    sizeof(limit));
	}
	assert_true(server_await(server, has_paused, NULL, 5000));
	assert_in_range(server_counters(server).accepts, 1, WAITERS - 1);
}

/* A47, R-080. */
static void
without_descriptors_the_reactor_rests_and_greets_all_later(void **state)
{
	struct torc_counters before, after;
	struct server server;
	int fds[WAITERS];
	uint64_t cpu;

	(void)state;
	exhaust_files(&server, fds);
	before = server_counters(&server);
	cpu = cpu_ms(&server);
	pause_ms(1000);
	after = server_counters(&server);
	/* It asks again ten times a second. */
	assert_true(after.enters - before.enters < 100);
	assert_true(cpu_ms(&server) - cpu < 50);
	assert_true(after.accept_pauses > before.accept_pauses);
	assert_int_equal(after.accepts, before.accepts);
	assert_int_equal(atomic_load(&notices), 1);
	/* The operator gives it more. */
	restore_limit(state);
	for (unsigned i = 0; i < WAITERS; i++)
		expect_text(fds[i], "hi");
	assert_int_equal(server_counters(&server).accepts, WAITERS);
	assert_int_equal(atomic_load(&notices), 1);
	close_many(fds, WAITERS);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_stop(&server), 0);
}

/* A47: each that leaves makes room for the next, and not a line for each. */
static void
a_connection_that_closes_makes_room_for_one_that_waits(void **state)
{
	const uint64_t start = now_ms();
	struct server server;
	int fds[WAITERS];

	(void)state;
	exhaust_files(&server, fds);
	for (unsigned i = 0; i < WAITERS; i++) {
		expect_text(fds[i], "hi");
		shutdown(fds[i], SHUT_WR);
		assert_true(client_sees_fin(fds[i]));
	}
	assert_true(server_await_connections(&server, 0));
	assert_true(server_counters(&server).accept_pauses >= 1);
	/* "each kind at most once a second" */
	assert_true(atomic_load(&notices) <= 1 + (now_ms() - start) / 1000);
	restore_limit(state);
	close_many(fds, WAITERS);
	assert_int_equal(server_stop(&server), 0);
}

/* ---- Places are gone ---- */

/* The peer was turned away: FIN, or a reset if it has spoken already. */
static void
assert_turned_away(int fd)
{
	char byte;
	ssize_t got;

	do
		got = recv(fd, &byte, 1, 0);
	while (got < 0 && errno == EINTR);
	/* The last: it was turned away while it connected. */
	assert_true(got == 0 || (got < 0 && (errno == ECONNRESET ||
	    errno == ENOTCONN)));
}

/* Never between requests, as far as its module knows. */
static int
echo_busily(struct torc_conn *conn, void *arg)
{
	torc_conn_set_busy(conn, true);
	return echo_handler(conn, arg);
}

/* Five come to a server with room for four; then one leaves. */
static void
fill_all_places(const struct torc_config *config)
{
	struct server server;
	int fds[4], fd;

	server_start(&server, config, echo_busily, NULL);
	open_many(server.port, fds, 4);
	for (unsigned i = 0; i < 4; i++)
		client_echo(fds[i], "seated");
	for (unsigned i = 1; i <= 3; i++) {
		fd = client_open(server.port);
		assert_turned_away(fd);
		close(fd);
		assert_int_equal(server_counters(&server).sheds, i);
	}
	for (unsigned i = 0; i < 4; i++)
		client_echo(fds[i], "still here");
	close(fds[2]);
	assert_true(server_await_connections(&server, 3));
	fds[2] = client_open(server.port);
	client_echo(fds[2], "a place again");
	close_many(fds, 4);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_counters(&server).sheds, 3);
	assert_all_buffers_back(&server);
	assert_int_equal(server_stop(&server), 0);
}

/* A48, I21. */
static void
past_the_cap_new_connections_are_shed_until_one_leaves(void **state)
{
	const struct torc_config config = { .connections = 4 };

	(void)state;
	fill_all_places(&config);
}

/* The same with stacks. */
static void
without_a_stack_new_connections_are_shed(void **state)
{
	const struct torc_config config = { .fibers = 4 };

	(void)state;
	fill_all_places(&config);
}

/* ---- One peer has much to do ---- */

struct fairness {
	struct gate gate;
	unsigned reads;		/* of the busy one */
	unsigned reads_before;	/* when the other one was served */
	uint64_t turns_before;
	uint64_t served_at;	/* turn */
};

/* The first connection is busy; the other one says when it was served. */
static int
share_turns(struct torc_conn *conn, void *arg)
{
	struct fairness *fairness = arg;
	struct torc_slice in;

	if (conn == first_conn(conn->reactor)) {
		if (gate_wait(&fairness->gate) < 0)
			return -1;
		while (torc_conn_recv(conn, &in, TORC_NEVER) > 0) {
			fairness->reads++;
			torc_conn_consume(conn, in.size);
			if (torc_conn_write(conn, ".", 1, TORC_NEVER) < 0)
				return -1;
		}
		return TORC_CLOSE;
	}
	if (torc_conn_recv(conn, &in, TORC_NEVER) <= 0)
		return -1;
	fairness->reads_before = fairness->reads;
	fairness->served_at = conn->reactor->counters->turns;
	return torc_conn_write(conn, "served", 6, TORC_NEVER);
}

static bool
holds_pieces(struct torc_reactor *reactor, void *arg)
{
	return torc_conn_unread(first_conn(reactor)) == *(size_t *)arg;
}

/*
 * A49: a handler that finds one request after the other already received is
 * put behind the others after `read_budget` of them.
 */
static void
a_handler_with_much_to_read_lets_others_run(void **state)
{
	const struct torc_config config = {
		.buffer_size = 64,
		.read_budget = 16,
		.held_max = 1 << 20,
	};
	size_t size = 200 * 64;
	char dots[200];		/* an answer to each read */
	struct fairness fairness = { .reads = 0 };
	struct stall stall;
	struct server server;
	int fd, other;

	(void)state;
	gate_make(&fairness.gate);
	server_start(&server, &config, share_turns, &fairness);
	fd = client_open(server.port);
	assert_true(server_await_connections(&server, 1));
	send_stream(fd, 1, 0, size);
	assert_true(server_await(&server, holds_pieces, &size, 5000));
	other = client_open(server.port);
	assert_true(server_await_connections(&server, 2));
	/* The busy one is let go first; then the other one speaks. */
	stall_begin(&stall, &server);
	gate_open(&fairness.gate);
	client_send(other, "x", 1);
	fairness.turns_before = server.reactor->counters->turns;
	stall_end(&stall, &server);
	expect_text(other, "served");
	close(other);
	assert_true(client_read(fd, dots, sizeof(dots)));
	close(fd);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_stop(&server), 0);
	assert_true(fairness.reads >= 200);
	assert_true(fairness.reads_before <= 16);
	assert_true(fairness.served_at - fairness.turns_before <= 2);
	gate_close(&fairness.gate);
}

#define FAIR_CQ 64u
#define FAIR_BATCH 16u

/*
 * A49: however much one peer sends, a request of another one that has arrived
 * waits for no more than what a full completion queue holds: its size in
 * completions, in turns of `batch`.
 */
static void
a_flood_delays_another_reply_by_one_queue_at_most(void **state)
{
	const struct torc_config config = {
		.sq_entries = 16,
		.cq_entries = FAIR_CQ,
		.batch = FAIR_BATCH,
		.buffer_size = 64,
		.buffers = 4096,
		.buffers_start = 4096,
		.held_max = 1 << 30,
	};
	struct fairness fairness = { .reads = 0 };
	uint8_t data[200 * KIB];
	struct stall stall;
	struct server server;
	int fd, other;

	(void)state;
	gate_make(&fairness.gate);
	gate_open(&fairness.gate);
	server_start(&server, &config, share_turns, &fairness);
	fd = client_open(server.port);
	assert_true(server_await_connections(&server, 1));
	other = client_open(server.port);
	assert_true(server_await_connections(&server, 2));
	memset(data, 'x', sizeof(data));
	stall_begin(&stall, &server);
	client_send(fd, data, sizeof(data));
	client_send(other, "x", 1);
	fairness.turns_before = server.reactor->counters->turns;
	stall_end(&stall, &server);
	expect_text(other, "served");
	close(other);
	client_reset(fd);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_stop(&server), 0);
	print_message("served in turn %u, behind %u reads of the flood\n",
	    (unsigned)(fairness.served_at - fairness.turns_before),
	    fairness.reads_before);
	assert_true(fairness.reads_before <= FAIR_CQ + FAIR_BATCH);
	assert_true(fairness.served_at - fairness.turns_before <=
	    FAIR_CQ / FAIR_BATCH + 2);
	gate_close(&fairness.gate);
}

/* ---- Memory is gone ---- */

static struct {
	atomic_long live;	/* allocations that were not freed */
	atomic_long calls;	/* since the fault was set up */
	atomic_long fail_at;	/* the call that fails; 0: none */
	atomic_bool for_good;	/* and all after it */
	atomic_long failed;	/* that did */
} heap;

void *
__wrap_torc_sys_alloc(size_t size)
{
	const long call = atomic_fetch_add(&heap.calls, 1) + 1;
	const long fail_at = atomic_load(&heap.fail_at);

	if (fail_at > 0 && (call == fail_at ||
	    (call > fail_at && atomic_load(&heap.for_good)))) {
		atomic_fetch_add(&heap.failed, 1);
		return NULL;
	}
	atomic_fetch_add(&heap.live, 1);
	return __real_torc_sys_alloc(size);
}

void
__wrap_torc_sys_free(void *memory)
{
	if (memory != NULL)
		atomic_fetch_sub(&heap.live, 1);
	__real_torc_sys_free(memory);
}

/* The `call`-th allocation from now on fails; 0: none. */
static void
fail_allocation(long call, bool for_good)
{
	atomic_store(&heap.fail_at, 0);
	atomic_store(&heap.calls, 0);
	atomic_store(&heap.failed, 0);
	atomic_store(&heap.for_good, for_good);
	atomic_store(&heap.fail_at, call);
}

/* Everything up to the first listener; whether it succeeded. */
static bool
create_and_listen(void)
{
	struct torc_reactor *reactor;
	struct torc_error error;
	int rc;

	rc = torc_reactor_create(&reactor, NULL, &error);
	if (rc < 0) {
		assert_int_equal(rc, -ENOMEM);
		assert_true(error.text[0] != '\0');
		return false;
	}
	rc = torc_listen(reactor, "127.0.0.1:0", echo_handler, NULL);
	assert_true(rc == 0 || rc == -ENOMEM);
	torc_reactor_destroy(reactor);
	return rc == 0;
}

/* A12, R-092 for the heap: whichever allocation fails, nothing is left. */
static void
a_reactor_that_gets_no_memory_leaves_nothing(void **state)
{
	const unsigned files = count_fds();
	const long live = atomic_load(&heap.live);
	bool made = false;
	long call;

	(void)state;
	for (call = 1; !made; call++) {
		fail_allocation(call, false);
		made = create_and_listen();
		assert_int_equal(atomic_load(&heap.failed), made ? 0 : 1);
		assert_int_equal(atomic_load(&heap.live), live);
		assert_int_equal(count_fds(), files);
	}
	fail_allocation(0, false);
	assert_true(call > 3);
}

struct sorts {
	struct gate gate;
};

#define MUCH (192 * KIB)

/* Answers with more than the socket takes, without waiting for it. */
static int
write_much(struct torc_conn *conn)
{
	const int size = 4 * KIB;
	uint8_t data[6 * KIB];
	struct torc_slice in;

	setsockopt(torc_conn_fd(conn), SOL_SOCKET, SO_SNDBUF, &size,
	    sizeof(size));
	for (size_t at = 0; at < MUCH; at += sizeof(data)) {
		stream_fill(9, at, data, sizeof(data));
		if (torc_conn_write(conn, data, sizeof(data),
		    TORC_NEVER) < 0)
			return -1;
		/* Sends what is staged. */
		if (torc_conn_recv(conn, &in, torc_after_ms(1)) !=
		    -ETIMEDOUT)
			return -1;
	}
	return TORC_CLOSE;
}

/* Echoes, and gives the stack back. */
static int
echo_again(struct torc_conn *conn, const struct torc_slice *in)
{
	if (torc_conn_write(conn, in->data, in->size, TORC_NEVER) < 0)
		return -1;
	torc_conn_consume(conn, in->size);
	return TORC_AGAIN;
}

/* What the first byte asks for. */
static int
all_sorts(struct torc_conn *conn, void *arg)
{
	struct sorts *sorts = arg;
	struct torc_slice in;

	if (torc_conn_recv(conn, &in, TORC_NEVER) <= 0)
		return -1;
	switch (in.data[0]) {
	case 'k':
		return torc_conn_write(conn, "ok", 2, TORC_NEVER) < 0 ? -1 :
		    answer_and_keep(conn, NULL);
	case 'w':
		return write_much(conn);
	case 'h':
		return torc_conn_write(conn, "ok", 2, TORC_NEVER) < 0 ||
		    torc_conn_flush(conn, TORC_NEVER) < 0 ? -1 :
		    echo_behind_gate(conn, &sorts->gate);
	default:
		return echo_again(conn, &in);
	}
}

/* Whether all of `size` bytes came. What did come is right. */
static bool
answered(int fd, uint32_t key, size_t size)
{
	uint8_t byte;

	for (size_t i = 0; i < size; i++) {
		if (!client_read(fd, &byte, 1))
			return false;
		assert_int_equal(byte, stream_byte(key, i));
	}
	return true;
}

static bool
said_ok(int fd)
{
	char text[2];

	if (!client_read(fd, text, sizeof(text)))
		return false;
	assert_memory_equal(text, "ok", 2);
	return true;
}

/* A server may have reset the connection. */
static void
send_maybe(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		assert_true(errno == ECONNRESET || errno == EPIPE);
}

/* The send of a connection was short, or it is gone. */
static bool
was_short(struct torc_reactor *reactor, void *arg)
{
	struct torc_conn *conn = NULL;

	(void)arg;
	while ((conn = torc_slots_each(&net_of(reactor)->conns,
	    conn)) != NULL) {
		if (conn->slab != NULL)
			return true;
	}
	return reactor->counters->closes > 0;
}

static bool
has_them(struct torc_reactor *reactor, void *arg)
{
	return reactor->counters->received >= *(uint64_t *)arg ||
	    reactor->counters->closes > 0;
}

/* A peer of each sort; how many of them did not get all of their answer. */
static unsigned
meet_all_sorts(struct server *server, struct sorts *sorts, const int *fds)
{
	char pieces[128];
	uint64_t all;
	unsigned victims = 0;

	client_send(fds[0], "k", 1);
	victims += !said_ok(fds[0]);
	send_maybe(fds[0], "k");
	/* Kept bytes are joined. */
	said_ok(fds[0]);
	client_send(fds[1], "w", 1);
	assert_true(server_await(server, was_short, NULL, 5000));
	victims += !answered(fds[1], 9, MUCH);
	client_send(fds[2], "h", 1);
	victims += !said_ok(fds[2]);
	all = server_counters(server).received + sizeof(pieces);
	memset(pieces, 'p', sizeof(pieces));
	if (send(fds[2], pieces, sizeof(pieces), MSG_NOSIGNAL) > 0)
		assert_true(server_await(server, has_them, &all, 5000));
	gate_open(&sorts->gate);
	client_send(fds[3], "again", 5);
	victims += !client_read(fds[3], pieces, 5);
	return victims;
}

/* Serve with a fault; whether it was met. */
static bool
serve_short_of_memory(long call, bool for_good)
{
	const struct torc_config config = { .buffer_size = 64 };
	const unsigned files = count_fds();
	const long live = atomic_load(&heap.live);
	unsigned victims;
	struct server server;
	struct sorts sorts;
	int fds[5];
	bool met;

	gate_make(&sorts.gate);
	server_start(&server, &config, all_sorts, &sorts);
	open_many(server.port, fds, 5);
	client_echo(fds[4], "so far");
	fail_allocation(call, for_good);
	victims = meet_all_sorts(&server, &sorts, fds);
	met = atomic_load(&heap.failed) > 0;
	fail_allocation(0, false);
	/* One failure harms one peer at most; the others, and new ones, do
	 * not notice. */
	assert_true(victims <= (met ? for_good ? 4 : 1 : 0));
	if (!for_good)
		client_echo(fds[4], "and still");
	close_many(fds, 5);
	fds[0] = client_open(server.port);
	client_echo(fds[0], "new");
	close(fds[0]);
	assert_true(server_await_connections(&server, 0));
	assert_all_buffers_back(&server);
	assert_int_equal(server_stop(&server), 0);
	gate_close(&sorts.gate);
	assert_int_equal(atomic_load(&heap.live), live);
	assert_int_equal(count_fds(), files);
	return met;
}

static void
serve_with_each_allocation_failing(bool for_good)
{
	long call = 1;

	while (serve_short_of_memory(call, for_good))
		call++;
	print_message("%ld allocations failed in turn\n", call - 1);
	assert_in_range(call, 4, 1000);
}

static void
memory_that_fails_once_harms_one_peer_at_most(void **state)
{
	(void)state;
	serve_with_each_allocation_failing(false);
}

static void
memory_that_is_gone_for_a_while_harms_nobody_afterwards(void **state)
{
	(void)state;
	serve_with_each_allocation_failing(true);
}

struct gap_reader {
	struct gate gate;
	size_t read;
	bool wrong;
	int end;
};

static int
read_to_the_end(struct torc_conn *conn, void *arg)
{
	struct gap_reader *reader = arg;
	struct torc_slice in;

	if (gate_wait(&reader->gate) < 0)
		return -1;
	while ((reader->end = torc_conn_recv(conn, &in, TORC_NEVER)) > 0) {
		if (!stream_matches(4, reader->read, in.data, in.size))
			reader->wrong = true;
		reader->read += in.size;
		torc_conn_consume(conn, in.size);
	}
	return -1;
}

static bool
has_failed_allocation(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	(void)arg;
	return atomic_load(&heap.failed) > 0;
}

/* All of them have received their last. */
static bool
has_no_receives(struct torc_reactor *reactor, void *arg)
{
	const struct torc_net *net = reactor->layer_state;
	struct torc_conn *conn = NULL;

	(void)arg;
	while ((conn = torc_slots_each(&net->conns, conn)) != NULL) {
		if (conn->armed)
			return false;
	}
	return true;
}

static void
read_across_a_gap(bool with_end)
{
	/* So many that pieces stay in their buffers, and only places for them
	 * are allocated. */
	const struct torc_config config = {
		.buffers = 32768,
		.buffer_size = 64,
		.held_max = 1 << 20,
	};
	struct gap_reader reader = { .read = 0 };
	struct server server;
	int fd;

	gate_make(&reader.gate);
	server_start(&server, &config, read_to_the_end, &reader);
	fd = client_open(server.port);
	assert_true(server_await_connections(&server, 1));
	/* Places for pieces are allocated many at a time: not the first. */
	fail_allocation(2, false);
	send_stream(fd, 4, 0, 600 * 64);
	assert_true(server_await(&server, has_failed_allocation, NULL,
	    5000));
	if (with_end) {
		shutdown(fd, SHUT_WR);
		assert_true(server_await(&server, has_no_receives, NULL,
		    5000));
	}
	gate_open(&reader.gate);
	assert_true(server_await_connections(&server, 0));
	assert_all_buffers_back(&server);
	fail_allocation(0, false);
	close(fd);
	assert_int_equal(server_stop(&server), 0);
	assert_false(reader.wrong);
	assert_int_equal(reader.end, -ENOMEM);
	assert_in_range(reader.read, 1, 599 * 64);
	gate_close(&reader.gate);
}

/*
 * What came before memory was short is read, then there is an error; what came
 * after it is not glued to that.
 */
static void
a_moment_without_memory_leaves_no_gap_in_the_stream(void **state)
{
	(void)state;
	read_across_a_gap(false);
}

/* Nor is what is there the whole, since the peer's FIN came. */
static void
a_stream_that_lacks_something_has_no_orderly_end(void **state)
{
	(void)state;
	read_across_a_gap(true);
}

/* ---- Crowds ---- */

#define THRONG 300u
#define THRONG_ROUNDS 3u

static void
look_at_crowd(struct torc_reactor *reactor, void *crowded)
{
	*(bool *)crowded = reactor->crowded;
}

static bool
is_crowded(struct server *server)
{
	bool crowded = false;

	server_call(server, look_at_crowd, &crowded);
	return crowded;
}

/* Batches of 16 completions or more. */
static uint64_t
large_batches(struct server *server)
{
	struct torc_counters counters = server_counters(server);
	uint64_t count = 0;

	for (unsigned class = 5; class < TORC_BATCH_CLASSES; class++)
		count += counters.batches[class];
	return count;
}

static void
echo_in_one_batch(struct server *server, const int *fds, unsigned count)
{
	uint64_t batches = large_batches(server);
	uint8_t data[100];
	struct stall stall;

	stall_begin(&stall, server);
	for (unsigned i = 0; i < count; i++) {
		stream_fill(i, 0, data, sizeof(data));
		client_send(fds[i], data, sizeof(data));
	}
	stall_end(&stall, server);
	for (unsigned i = 0; i < count; i++) {
		assert_true(client_read(fds[i], data, sizeof(data)));
		assert_true(stream_matches(i, 0, data, sizeof(data)));
	}
	assert_true(large_batches(server) > batches);
}

/*
 * Completions of many connections are prefetched while others are acted on:
 * those come to their own connections, also when many of them end meanwhile
 * and new ones take their places.
 */
static void
in_a_crowd_each_is_answered_while_others_come_and_go(void **state)
{
	struct server server;
	struct stall stall;
	int fds[THRONG];

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	for (unsigned i = 0; i < THRONG; i++)
		fds[i] = client_open(server.port);
	assert_true(server_await_connections(&server, THRONG));
	assert_true(is_crowded(&server));
	for (unsigned round = 0; round < THRONG_ROUNDS; round++) {
		echo_in_one_batch(&server, fds, THRONG);
		/* They end in one batch, too, some of them with bytes. */
		stall_begin(&stall, &server);
		for (unsigned i = round; i < THRONG; i += 3) {
			if (i % 2 == 0)
				client_send(fds[i], "last words", 10);
			client_reset(fds[i]);
			fds[i] = client_open(server.port);
		}
		stall_end(&stall, &server);
		assert_true(server_await_connections(&server, THRONG));
	}
	echo_in_one_batch(&server, fds, THRONG);
	for (unsigned i = 1; i < THRONG; i++)
		client_reset(fds[i]);
	assert_true(server_await_connections(&server, 1));
	assert_false(is_crowded(&server));
	client_echo(fds[0], "the last one");
	close(fds[0]);
	assert_int_equal(server_stop(&server), 0);
}

#define CLAIM(test) cmocka_unit_test(test)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(a_burst_over_a_full_queue_loses_and_reorders_nothing),
		CLAIM(the_same_burst_with_room_for_it_does_not_overflow),
		CLAIM(a_receive_ended_by_a_full_queue_goes_on_where_it_was),
		CLAIM(a_receive_ended_inside_a_shared_buffer_goes_on_there),
		CLAIM(requests_with_their_end_behind_them_are_answered),
		CLAIM(bytes_that_nobody_reads_leave_the_buffers_to_others),
		CLAIM(requests_in_view_leave_the_buffers_to_others),
		CLAIM(half_of_the_buffers_are_left_to_others),
		CLAIM(what_many_hold_together_stays_within_the_budget),
		CLAIM(what_clients_hold_leaves_answers_of_backends_their_half),
		CLAIM(messages_that_wait_for_memory_are_whole_in_the_end),
		CLAIM(who_gives_up_waiting_for_memory_waits_for_none),
		CLAIM(who_waits_for_the_rest_of_a_message_keeps_no_buffer),
		CLAIM(a_handler_that_does_not_read_slows_its_peer),
		CLAIM(a_handler_that_reads_does_not_slow_its_peer),
		CLAIM(a_reset_of_a_slowed_peer_is_found_when_its_handler_goes_on),
		CLAIM(one_peer_cannot_take_all_buffers),
		CLAIM(nor_can_it_with_many_small_pieces),
		CLAIM(many_peers_that_do_not_read_have_less_of_the_system_each),
		CLAIM(handlers_that_never_consume_are_all_served_by_few_buffers),
		CLAIM(handlers_that_leave_without_consuming_strand_no_buffer),
		CLAIM(what_comes_for_a_connection_that_has_ended_strands_no_buffer),
		CLAIM(two_thousand_round_trips_need_eight_buffers),
		CLAIM(a_buffer_that_is_returned_twice_stops_the_process),
		CLAIM(the_buffer_ring_starts_small_and_grows_under_need),
		CLAIM(the_buffer_ring_grows_when_receives_end_for_want_of_buffers),
		CLAIM(the_buffer_ring_does_not_grow_without_need),
		cmocka_unit_test_setup_teardown(
		    without_descriptors_the_reactor_rests_and_greets_all_later,
		    save_limit, restore_limit),
		cmocka_unit_test_setup_teardown(
		    a_connection_that_closes_makes_room_for_one_that_waits,
		    save_limit, restore_limit),
		CLAIM(past_the_cap_new_connections_are_shed_until_one_leaves),
		CLAIM(without_a_stack_new_connections_are_shed),
		CLAIM(a_handler_with_much_to_read_lets_others_run),
		CLAIM(a_flood_delays_another_reply_by_one_queue_at_most),
		CLAIM(a_reactor_that_gets_no_memory_leaves_nothing),
		CLAIM(memory_that_fails_once_harms_one_peer_at_most),
		CLAIM(memory_that_is_gone_for_a_while_harms_nobody_afterwards),
		CLAIM(a_moment_without_memory_leaves_no_gap_in_the_stream),
		CLAIM(a_stream_that_lacks_something_has_no_orderly_end),
		CLAIM(in_a_crowd_each_is_answered_while_others_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
