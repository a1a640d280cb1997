/* SPDX-License-Identifier: MIT */
/*
 * test_corners.c - the corners: a submission queue that is full at the wrong
 * moment, completions that come too late, memory and stacks that are gone just
 * then. Nothing is forgotten, and nobody gets what is another one's.
 *
 * wrap: torc_sys_enter torc_sys_setup torc_sys_register torc_sys_alloc
 * wrap: torc_sys_map torc_sys_socket pthread_create
 */
#include "tests/harness.h"
#include "tests/noted.h"
#include "tests/seam.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "conn/chunk.h"
#include "conn/conn.h"
#include "conn/listen.h"
#include "conn/net.h"
#include "conn/probe.h"
#include "reactor/fiber.h"
#include "reactor/op.h"
#include "sys/sys.h"

#define WAIT_MS 10000u		/* longer than anything takes */
#define KIND_SHIFT (TORC_SLOT_BITS + TORC_GENERATION_BITS)

/* ---- A kernel that takes nothing ---- */

/* Whose submissions are not taken: short of memory, the kernel says. */
static struct torc_reactor *_Atomic deaf;
/* Whose cancels find no operation. */
static struct torc_reactor *_Atomic blind;
static atomic_uint misses;

/* Calls that can be made to fail. */
enum call { ALLOC, MAP, SOCKET, SETUP, REGISTER, THREAD, CALLS };

/* Which one of each fails, counted down to it; 0: none. */
static atomic_int refused[CALLS];

static bool
is_refused(enum call call)
{
	return atomic_load(&refused[call]) > 0 &&
	    atomic_fetch_sub(&refused[call], 1) == 1;
}

static void
misdirect_cancels(struct torc_ring *ring)
{
	for (uint64_t i = ring->sq_taken; i != ring->sq_claimed; i++) {
		struct io_uring_sqe *sqe = &ring->sqes[i & ring->sq_mask];

		if (sqe->opcode != IORING_OP_ASYNC_CANCEL ||
		    sqe->addr == ~0ull)
			continue;
		sqe->addr = ~0ull;
		atomic_fetch_add(&misses, 1);
	}
}

int
__wrap_torc_sys_enter(int fd, uint32_t to_submit, uint32_t min_complete,
    uint32_t flags, const void *arg, size_t arg_size)
{
	if (torc_current != NULL && atomic_load(&blind) == torc_current)
		misdirect_cancels(&torc_current->ring);
	if (to_submit == 0 || torc_current == NULL ||
	    atomic_load(&deaf) != torc_current)
		return __real_torc_sys_enter(fd, to_submit, min_complete,
		    flags, arg, arg_size);
	/* It takes nothing, and completes what it has. */
	if (flags & IORING_ENTER_GETEVENTS)
		__real_torc_sys_enter(fd, 0, 0, flags, arg, arg_size);
	return -EAGAIN;
}

void *
__wrap_torc_sys_alloc(size_t size)
{
	return is_refused(ALLOC) ? NULL : __real_torc_sys_alloc(size);
}

int
__wrap_torc_sys_map(void **address, size_t size, int protection, int flags,
    int fd, uint64_t offset)
{
	return is_refused(MAP) ? -ENOMEM : __real_torc_sys_map(address, size,
	    protection, flags, fd, offset);
}

int
__wrap_torc_sys_socket(int domain, int type, int protocol)
{
	return is_refused(SOCKET) ? -EMFILE :
	    __real_torc_sys_socket(domain, type, protocol);
}

int
__wrap_torc_sys_setup(uint32_t entries, struct io_uring_params *params)
{
	return is_refused(SETUP) ? -EPERM :
	    __real_torc_sys_setup(entries, params);
}

int
__wrap_torc_sys_register(int fd, uint32_t opcode, void *arg, uint32_t count)
{
	return is_refused(REGISTER) ? -EINVAL :
	    __real_torc_sys_register(fd, opcode, arg, count);
}

int
__wrap_pthread_create(pthread_t *thread, const pthread_attr_t *how,
    void *(*run)(void *), void *arg)
{
	return is_refused(THREAD) ? EAGAIN :
	    __real_pthread_create(thread, how, run, arg);
}

/* From now on nothing is taken, and there is no room for more. */
static void
go_deaf(struct torc_reactor *reactor, void *arg)
{
	struct io_uring_sqe *sqe;

	(void)arg;
	atomic_store(&deaf, reactor);
	while ((sqe = torc_reactor_claim(reactor)) != NULL) {
		sqe->opcode = IORING_OP_NOP;
		sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	}
}

static void
hear_again(void)
{
	atomic_store(&deaf, NULL);
}

/* ---- What is shared by the tests ---- */

static struct server server;

static void
start(const struct torc_config *config, torc_handler *handler, void *arg)
{
	server_start(&server, config, handler, arg);
}

static void
on_fiber(int (*entry)(void *), void *arg)
{
	assert_int_equal(server_fiber(&server, entry, arg), 0);
	assert_all_held();
}

static void
stop(void)
{
	assert_int_equal(server_stop(&server), 0);
	assert_all_held();
}

/* End the server of a test that failed. */
static int
clear_away(void **state)
{
	(void)state;
	hear_again();
	atomic_store(&blind, NULL);
	for (int call = 0; call < CALLS; call++)
		atomic_store(&refused[call], 0);
	if (server.running)
		server_stop(&server);
	atomic_store(&broken_line, 0);
	return 0;
}

static struct torc_net *
net_of(struct torc_reactor *reactor)
{
	return reactor->layer_state;
}

/* Parks. Let turns pass until `*word` is not 0. */
#define AWAIT(word) \
	do { \
		torc_deadline end = torc_after_ms(WAIT_MS); \
		while (!(word) && !torc_passed(end)) \
			torc_sleep(torc_after_ms(1)); \
		EXPECT(word); \
	} while (0)

/* ---- Operations ---- */

struct probe {
	struct torc_op op;
	unsigned runs;		/* last completions */
	unsigned more;		/* others */
	int32_t result;		/* of the last one */
};

static void
count_run(struct torc_op *op, int32_t result, uint32_t flags)
{
	struct probe *probe = torc_container(op, struct probe, op);

	if (flags & IORING_CQE_F_MORE)
		probe->more++;
	else
		probe->runs++;
	probe->result = result;
}

/* A poll of a new descriptor that is readable or not. */
static void
make_probe(struct probe *probe, bool readable)
{
	*probe = (struct probe) {
		.op.sqe.opcode = IORING_OP_POLL_ADD,
		.op.sqe.fd = eventfd(readable, EFD_CLOEXEC),
		.op.sqe.poll32_events = POLLIN,
		.op.done = count_run,
	};
	assert_true(probe->op.sqe.fd >= 0);
}

static void
start_probe(struct torc_reactor *reactor, void *arg)
{
	struct probe *probe = arg;

	EXPECT(torc_op_start(reactor, &probe->op) == 0);
}

static void
cancel_probe(struct torc_reactor *reactor, void *arg)
{
	struct probe *probe = arg;

	(void)reactor;
	torc_op_cancel(&probe->op);
}

static bool
is_over(struct torc_reactor *reactor, void *arg)
{
	const struct probe *probe = arg;

	return probe->runs > 0 && reactor->ops.count == 0;
}

static bool
is_taken(struct torc_reactor *reactor, void *arg)
{
	const struct probe *probe = arg;

	return probe->op.state == TORC_OP_SUBMITTED &&
	    torc_ring_pending(&reactor->ring) == 0;
}

static bool
is_queued(struct torc_reactor *reactor, void *arg)
{
	const struct probe *probe = arg;

	(void)reactor;
	return probe->op.state == TORC_OP_QUEUED && probe->runs == 0;
}

static bool
tells_of_two(struct torc_reactor *reactor, void *arg)
{
	const struct probe *probe = arg;

	(void)reactor;
	return probe->more == 2;
}

static void
ring_probe(const struct probe *probe)
{
	const uint64_t one = 1;

	assert_int_equal(write(probe->op.sqe.fd, &one, sizeof(one)),
	    sizeof(one));
}

static const struct torc_config narrow = { .sq_entries = 4,
	.cq_entries = 64 };

/* Ended once, with this result; then the server is stopped. */
static void
end_with(struct probe *probe, int32_t result)
{
	assert_true(server_await(&server, is_over, probe, WAIT_MS));
	hear_again();
	/* What comes late comes now. */
	server_counters(&server);
	stop();
	assert_int_equal(probe->runs, 1);
	assert_int_equal(probe->more, 0);
	assert_int_equal(probe->result, result);
	close(probe->op.sqe.fd);
}

/* I6, A05 */
static void
an_op_that_finds_no_room_is_begun_when_there_is_some(void **state)
{
	struct probe probe;

	(void)state;
	make_probe(&probe, true);
	start(&narrow, echo_handler, NULL);
	server_call(&server, go_deaf, NULL);
	server_call(&server, start_probe, &probe);
	pause_ms(20);
	assert_true(server_await(&server, is_queued, &probe, 0));
	hear_again();
	end_with(&probe, POLLIN);
}

/* I6: the kernel never hears of it. */
static void
an_op_that_is_cancelled_before_it_found_room_ends_at_once(void **state)
{
	struct probe probe;

	(void)state;
	make_probe(&probe, false);
	start(&narrow, echo_handler, NULL);
	server_call(&server, go_deaf, NULL);
	server_call(&server, start_probe, &probe);
	server_call(&server, cancel_probe, &probe);
	end_with(&probe, -ECANCELED);
}

/* I7, A05 */
static void
a_cancel_that_finds_no_room_is_made_when_there_is_some(void **state)
{
	struct probe probe;

	(void)state;
	make_probe(&probe, false);
	start(&narrow, echo_handler, NULL);
	server_call(&server, start_probe, &probe);
	assert_true(server_await(&server, is_taken, &probe, WAIT_MS));
	server_call(&server, go_deaf, NULL);
	server_call(&server, cancel_probe, &probe);
	pause_ms(20);
	assert_int_equal(probe.runs, 0);
	hear_again();
	end_with(&probe, -ECANCELED);
}

static void
an_op_that_ends_while_its_cancel_waits_for_room_ends_once(void **state)
{
	struct probe probe;

	(void)state;
	make_probe(&probe, false);
	start(&narrow, echo_handler, NULL);
	server_call(&server, start_probe, &probe);
	assert_true(server_await(&server, is_taken, &probe, WAIT_MS));
	server_call(&server, go_deaf, NULL);
	server_call(&server, cancel_probe, &probe);
	ring_probe(&probe);
	end_with(&probe, POLLIN);
}

/*
 * As it is with a read that a disk has: it ends when it ends, and nobody works
 * meanwhile.
 */
static void
a_cancel_that_is_never_found_is_repeated_but_not_in_every_turn(void **state)
{
	static struct probe probe;

	(void)state;
	make_probe(&probe, false);
	start(NULL, echo_handler, NULL);
	server_call(&server, start_probe, &probe);
	assert_true(server_await(&server, is_taken, &probe, WAIT_MS));
	atomic_store(&misses, 0);
	atomic_store(&blind, server.reactor);
	server_call(&server, cancel_probe, &probe);
	pause_ms(500);
	assert_int_equal(probe.runs, 0);
	/* 1 + 1 + 2 + 4 ... + 128 ms. */
	assert_in_range(atomic_load(&misses), 2, 16);
	atomic_store(&blind, NULL);
	end_with(&probe, -ECANCELED);
}

/* Nobody else would end it, and the reactor ends with its last request. */
static void
a_cancel_of_an_accept_that_is_not_found_is_repeated(void **state)
{
	const uint64_t end = now_ms() + WAIT_MS;
	int fd;

	(void)state;
	start(NULL, echo_handler, NULL);
	fd = client_open(server.port);
	client_echo(fd, "it accepts");
	close(fd);
	assert_true(server_await_connections(&server, 0));
	atomic_store(&misses, 0);
	atomic_store(&blind, server.reactor);
	torc_reactor_stop(server.reactor);
	while (atomic_load(&misses) < 4 && now_ms() < end)
		pause_ms(1);
	assert_true(atomic_load(&misses) >= 4);
	atomic_store(&blind, NULL);
	stop();
}

/* A01: outstanding until a completion without F_MORE. */
static void
an_op_with_many_completions_is_over_at_its_last(void **state)
{
	struct probe probe;

	(void)state;
	make_probe(&probe, true);
	probe.op.sqe.len = IORING_POLL_ADD_MULTI;
	start(NULL, echo_handler, NULL);
	server_call(&server, start_probe, &probe);
	assert_true(server_await(&server, is_taken, &probe, WAIT_MS));
	ring_probe(&probe);
	assert_true(server_await(&server, tells_of_two, &probe, WAIT_MS));
	assert_int_equal(probe.runs, 0);
	server_call(&server, cancel_probe, &probe);
	assert_true(server_await(&server, is_over, &probe, WAIT_MS));
	stop();
	assert_int_equal(probe.runs, 1);
	assert_int_equal(probe.result, -ECANCELED);
	close(probe.op.sqe.fd);
}

static int
wait_for_many(void *arg)
{
	const struct probe *probe = arg;
	const torc_deadline deadline = torc_after_ms(50);

	/* It is readable at once, and goes on. */
	EXPECT(torc_op_await(torc_reactor_self(), &probe->op.sqe,
	    deadline) == -ETIMEDOUT);
	EXPECT(torc_sys_now() >= deadline.at);
	return 0;
}

/* A01, A50 */
static void
a_wait_for_an_op_with_many_completions_ends_at_its_last(void **state)
{
	struct probe probe;

	(void)state;
	make_probe(&probe, true);
	probe.op.sqe.len = IORING_POLL_ADD_MULTI;
	start(NULL, echo_handler, NULL);
	on_fiber(wait_for_many, &probe);
	stop();
	close(probe.op.sqe.fd);
}

/* One that waits for a descriptor, and ends the wait of the next one. */
struct waiter {
	int fd;
	uint64_t self;
	const struct waiter *next;
	int result;
	unsigned ends;
};

static int
wait_and_cancel(void *arg)
{
	struct waiter *waiter = arg;

	waiter->self = torc_fiber_self();
	waiter->result = torc_fd_poll(waiter->fd, POLLIN, TORC_NEVER);
	waiter->ends++;
	/* Linux 6.1 may tell of the second one first. */
	if (waiter->next != NULL && waiter->next->ends == 0)
		EXPECT(torc_fiber_cancel(waiter->next->self) == 0);
	return 0;
}

/* Both completions are of one batch. */
static int
end_both(void *arg)
{
	struct waiter *waiters = arg;
	const uint64_t one = 1;

	for (int i = 0; i < 2; i++)
		EXPECT(torc_fiber_spawn(NULL, wait_and_cancel,
		    &waiters[i]) == 0);
	AWAIT(torc_reactor_self()->ops.count == 2 &&
	    torc_ring_pending(&torc_reactor_self()->ring) == 0);
	for (int i = 0; i < 2; i++)
		EXPECT(write(waiters[i].fd, &one, sizeof(one)) ==
		    sizeof(one));
	AWAIT(waiters[0].ends == 1 && waiters[1].ends == 1);
	return 0;
}

/* R-014, I10 */
static void
a_fiber_that_is_cancelled_and_then_completed_wakes_once(void **state)
{
	struct waiter waiters[2] = { { .fd = eventfd(0, EFD_CLOEXEC) },
		{ .fd = eventfd(0, EFD_CLOEXEC) } };

	(void)state;
	waiters[0].next = &waiters[1];
	start(NULL, echo_handler, NULL);
	on_fiber(end_both, waiters);
	stop();
	assert_int_equal(waiters[0].result, POLLIN);
	/* It was over before the fiber ran. */
	assert_int_equal(waiters[1].result, POLLIN);
	assert_int_equal(waiters[1].ends, 1);
	close(waiters[0].fd);
	close(waiters[1].fd);
}

static int
wait_without_ops(void *arg)
{
	const struct probe *probe = arg;

	EXPECT(torc_fd_poll(probe->op.sqe.fd, POLLIN, TORC_NEVER) ==
	    -ENOBUFS);
	return 0;
}

static void
a_wait_over_the_cap_of_operations_is_minus_enobufs(void **state)
{
	const struct torc_config config = { .ops = 1 };
	struct probe probe;

	(void)state;
	make_probe(&probe, false);
	start(&config, echo_handler, NULL);
	server_call(&server, start_probe, &probe);
	on_fiber(wait_without_ops, &probe);
	server_call(&server, cancel_probe, &probe);
	end_with(&probe, -ECANCELED);
}

static int
wait_for_little(void *arg)
{
	const struct probe *probe = arg;

	return torc_fd_poll(probe->op.sqe.fd, POLLIN, torc_after_ms(100));
}

static int
wait_for_long(void *arg)
{
	(void)arg;
	return torc_sleep(torc_after_ms(300));
}

static int
wait_one_after_the_other(void *arg)
{
	uint64_t id;
	int result;

	EXPECT(torc_fiber_spawn(&id, wait_for_little, arg) == 0);
	EXPECT(torc_fiber_join(id, &result, TORC_NEVER) == 0);
	EXPECT(result == POLLIN);
	/* On the same stack, past the deadline of the other one. */
	EXPECT(torc_fiber_spawn(&id, wait_for_long, NULL) == 0);
	EXPECT(torc_fiber_join(id, &result, TORC_NEVER) == 0);
	EXPECT(result == 0 && torc_reactor_self()->stacks.peak == 2);
	return 0;
}

/* I10 */
static void
a_deadline_of_a_fiber_that_has_ended_is_nobody_s(void **state)
{
	struct probe probe;

	(void)state;
	make_probe(&probe, true);
	start(NULL, echo_handler, NULL);
	on_fiber(wait_one_after_the_other, &probe);
	stop();
	close(probe.op.sqe.fd);
}

static int
return_7(void *arg)
{
	(void)arg;
	return 7;
}

/* One runs, and three results wait for somebody to come. */
static int
leave_results(void *arg)
{
	uint64_t ids[3], id;
	int result = 0;

	(void)arg;
	for (int i = 0; i < 3; i++) {
		EXPECT(torc_fiber_spawn(&ids[i], return_7, NULL) == 0);
		EXPECT(torc_yield() == 0);
	}
	EXPECT(torc_reactor_self()->stacks.in_use == 1);
	EXPECT(torc_fiber_spawn(&id, return_7, NULL) == -ENOMEM);
	EXPECT(
	    torc_fiber_join(ids[1], &result, TORC_AT_ONCE) == 0 && result == 7);
	EXPECT(torc_fiber_spawn(&id, return_7, NULL) == 0);
	/* The others are left to the reactor. */
	return 0;
}

/* I10 */
static void
results_that_nobody_comes_for_are_bounded_too(void **state)
{
	const struct torc_config config = { .fibers = 2 };

	(void)state;
	start(&config, echo_handler, NULL);
	on_fiber(leave_results, NULL);
	stop();
}

static bool
spins_no_more(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	return reactor->spin_credit == 0;
}

/* A48 */
static void
a_reactor_that_stopped_spinning_spins_again_under_traffic(void **state)
{
	const struct torc_config config = { .spin_us = 500 };
	const uint64_t end = now_ms() + WAIT_MS;
	uint64_t before;
	int fd;

	(void)state;
	start(&config, echo_handler, NULL);
	fd = client_open(server.port);
	assert_true(server_await(&server, spins_no_more, NULL, WAIT_MS));
	before = server_counters(&server).spins;
	do
		for (int i = 0; i < 50; i++)
			client_echo(fd, "quick");
	while (server_counters(&server).spins == before && now_ms() < end);
	assert_true(server_counters(&server).spins > before);
	close(fd);
	stop();
}

/* ---- Connections without room in the queue ---- */

/* A connection at one end of a pair of sockets; the other end is the test's. */
struct pair {
	struct torc_conn *conn;
	int fd;			/* of the connection, while it is open */
	int peer;
};

/* On the reactor's thread. */
static void
open_pair(struct torc_reactor *reactor, void *arg)
{
	struct pair *pair = arg;
	int fds[2];

	EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	pair->fd = fds[0];
	pair->peer = fds[1];
	pair->conn = torc_conn_open(net_of(reactor), pair->fd, NULL,
	    NULL, NULL);
	EXPECT(pair->conn != NULL);
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int
close_without_room(void *arg)
{
	struct torc_reactor *reactor = torc_reactor_self();
	struct torc_slice in;
	struct pair pair;

	(void)arg;
	open_pair(reactor, &pair);
	close(pair.peer);
	EXPECT(torc_conn_recv(pair.conn, &in, torc_after_ms(WAIT_MS)) == 0);
	go_deaf(reactor, NULL);
	EXPECT(torc_conn_close(pair.conn, TORC_AT_ONCE) == 0);
	EXPECT(!is_open(pair.fd));
	hear_again();
	return 0;
}

/* I6 */
static void
a_socket_that_finds_no_room_to_be_closed_is_closed_at_once(void **state)
{
	(void)state;
	start(&narrow, echo_handler, NULL);
	on_fiber(close_without_room, NULL);
	assert_int_equal(server_connections(&server), 0);
	stop();
}

static int
reset_without_room(void *arg)
{
	struct torc_reactor *reactor = torc_reactor_self();
	struct pair *pair = arg;

	open_pair(reactor, pair);
	/* Its receive is in the kernel. */
	AWAIT(torc_ring_pending(&reactor->ring) == 0);
	go_deaf(reactor, NULL);
	EXPECT(torc_conn_close(pair->conn, TORC_AT_ONCE) == 0);
	return 0;
}

/* I7: a connection is recycled when its receive has ended, and it does end. */
static void
a_receive_whose_cancel_finds_no_room_is_ended_later(void **state)
{
	struct pair pair;

	(void)state;
	start(&narrow, echo_handler, NULL);
	on_fiber(reset_without_room, &pair);
	pause_ms(20);
	assert_int_equal(server_connections(&server), 1);
	assert_true(is_open(pair.fd));
	hear_again();
	assert_true(server_await_connections(&server, 0));
	assert_true(client_sees_fin(pair.peer));
	close(pair.peer);
	stop();
}

#define LARGE (8u << 20)	/* more than a pair of sockets takes */

struct large_write {
	struct pair pair;
	uint64_t fiber;
	int result;
	bool over;
};

static int
write_large(void *arg)
{
	static uint8_t bytes[LARGE];
	struct large_write *large = arg;

	open_pair(torc_reactor_self(), &large->pair);
	large->fiber = torc_fiber_self();
	large->result = torc_conn_write(large->pair.conn, bytes, LARGE,
	    TORC_NEVER);
	large->over = true;
	torc_conn_close(large->pair.conn, TORC_AT_ONCE);
	return 0;
}

static void
begin_write(struct torc_reactor *reactor, void *arg)
{
	EXPECT(torc_fiber_start(reactor, NULL, write_large, arg) == 0);
}

static bool
is_sending(struct torc_reactor *reactor, void *arg)
{
	const struct large_write *large = arg;

	return large->fiber != 0 && large->pair.conn->loud &&
	    torc_ring_pending(&reactor->ring) == 0;
}

static void
cancel_write(struct torc_reactor *reactor, void *arg)
{
	struct large_write *large = arg;

	go_deaf(reactor, NULL);
	EXPECT(torc_fiber_cancel(large->fiber) == 0);
}

static bool
is_written(struct torc_reactor *reactor, void *arg)
{
	const struct large_write *large = arg;

	(void)reactor;
	return large->over;
}

/* I1, I7: the kernel reads the writer's memory until the send has ended. */
static void
a_send_whose_cancel_finds_no_room_is_ended_later(void **state)
{
	struct large_write large = { .result = 1 };

	(void)state;
	start(&narrow, echo_handler, NULL);
	server_call(&server, begin_write, &large);
	assert_true(server_await(&server, is_sending, &large, WAIT_MS));
	server_call(&server, cancel_write, &large);
	pause_ms(20);
	assert_false(server_await(&server, is_written, &large, 0));
	hear_again();
	assert_true(server_await(&server, is_written, &large, WAIT_MS));
	assert_int_equal(large.result, -ECANCELED);
	assert_true(server_await_connections(&server, 0));
	close(large.pair.peer);
	stop();
}

static void
listen_without_room(struct torc_reactor *reactor, void *arg)
{
	unsigned *port = arg;
	int listener;

	go_deaf(reactor, NULL);
	listener = torc_listen(reactor, "127.0.0.1:0", echo_handler, NULL);
	EXPECT(listener >= 0);
	*port = torc_listen_port(reactor, listener);
}

/* I6 */
static void
a_listener_that_finds_no_room_accepts_when_there_is_some(void **state)
{
	unsigned port;
	int fd;

	(void)state;
	start(&narrow, echo_handler, NULL);
	server_call(&server, listen_without_room, &port);
	pause_ms(20);
	hear_again();
	fd = client_open(port);
	client_echo(fd, "there is room");
	close(fd);
	stop();
}

static void
drain_without_room(struct torc_reactor *reactor, void *arg)
{
	go_deaf(reactor, arg);
	torc_reactor_drain(reactor, TORC_NEVER);
}

/* I7 */
static void
an_accept_whose_cancel_finds_no_room_is_ended_later(void **state)
{
	(void)state;
	start(&narrow, echo_handler, NULL);
	server_call(&server, drain_without_room, NULL);
	pause_ms(20);
	hear_again();
	assert_int_equal(server_drain(&server, WAIT_MS), 0);
}

static void
end_wake_poll(struct torc_reactor *reactor, void *arg)
{
	EXPECT(torc_reactor_cancel(reactor,
	    (uint64_t)TORC_KIND_WAKE << KIND_SHIFT));
	torc_ring_submit(&reactor->ring);
	go_deaf(reactor, arg);
}

/* A03, A54: also the poll that wakes a reactor may end at any completion. */
static void
a_reactor_whose_wake_poll_ended_hears_of_posts_again(void **state)
{
	(void)state;
	start(&narrow, echo_handler, NULL);
	for (int i = 0; i < 2; i++) {
		server_call(&server, end_wake_poll, NULL);
		pause_ms(20);
		hear_again();
		/* It sleeps, and nothing else wakes it. */
		pause_ms(20);
		server_counters(&server);
	}
	stop();
}

/* ---- Completions that come too late ---- */

/* A tag, without its kind, of a connection that is gone; its slot has a
 * tenant: `*after`. */
static uint64_t
late_tag(struct torc_reactor *reactor, struct pair *after)
{
	const uint32_t slots = net_of(reactor)->conns.touched;
	struct pair before;
	uint64_t tag;

	open_pair(reactor, &before);
	tag = before.conn->send_tag;
	close(before.peer);
	torc_conn_close(before.conn, TORC_AT_ONCE);
	AWAIT(net_of(reactor)->conns.count == 0);
	open_pair(reactor, after);
	EXPECT(after->conn == before.conn && after->conn->send_tag != tag);
	EXPECT(net_of(reactor)->conns.touched <= slots + 1);
	return tag ^ (uint64_t)TORC_KIND_SEND << KIND_SHIFT;
}

static void
claim_nop(struct torc_reactor *reactor, uint64_t tag)
{
	struct io_uring_sqe *sqe = torc_reactor_claim(reactor);

	sqe->opcode = IORING_OP_NOP;
	sqe->user_data = tag;
}

static int
receive_late(void *arg)
{
	struct torc_reactor *reactor = torc_reactor_self();
	struct torc_net *net = net_of(reactor);
	const uint64_t strays = reactor->counters->stray;
	struct io_uring_sqe *sqe;
	struct pair tenant;
	uint64_t tag = late_tag(reactor, &tenant);
	uint32_t in_kernel = net->buffers.in_kernel;
	int fds[2];

	(void)arg;
	EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	EXPECT(write(fds[1], "late", 4) == 4);
	sqe = torc_reactor_claim(reactor);
	sqe->opcode = IORING_OP_RECV;
	sqe->fd = fds[0];
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->buf_group = net->buffers.bgid;
	sqe->user_data = tag | (uint64_t)TORC_KIND_RECV << KIND_SHIFT;
	AWAIT(reactor->counters->stray == strays + 1);
	EXPECT(net->buffers.in_kernel == in_kernel);
	EXPECT(torc_conn_unread(tenant.conn) == 0);
	/* And one that has no buffer to give back. */
	claim_nop(reactor, tag | (uint64_t)TORC_KIND_RECV << KIND_SHIFT);
	AWAIT(reactor->counters->stray == strays + 2);
	EXPECT(torc_conn_close(tenant.conn, TORC_AT_ONCE) == 0);
	close(tenant.peer);
	close(fds[0]);
	close(fds[1]);
	return 0;
}

/* I2, A02 */
static void
a_late_receive_gives_its_buffer_back_and_reaches_nobody(void **state)
{
	(void)state;
	start(NULL, echo_handler, NULL);
	on_fiber(receive_late, NULL);
	stop();
}

/* A socket that listens, and whose port is in `*address`. */
static int
raw_listener(struct sockaddr_in *address)
{
	socklen_t size = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_in) { .sin_family = AF_INET };
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	EXPECT(bind(fd, (struct sockaddr *)address, size) == 0);
	EXPECT(listen(fd, 8) == 0);
	EXPECT(getsockname(fd, (struct sockaddr *)address, &size) == 0);
	return fd;
}

static int
accept_late(void *arg)
{
	struct torc_reactor *reactor = torc_reactor_self();
	const uint64_t strays = reactor->counters->stray;
	struct sockaddr_in address;
	struct io_uring_sqe *sqe;
	const int listener = raw_listener(&address);
	const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte;

	(void)arg;
	EXPECT(connect(client, (struct sockaddr *)&address,
	    sizeof(address)) == 0);
	sqe = torc_reactor_claim(reactor);
	sqe->opcode = IORING_OP_ACCEPT;
	sqe->fd = listener;
	/* Of a slot that was never used. */
	sqe->user_data = (uint64_t)TORC_KIND_ACCEPT << KIND_SHIFT | 900;
	AWAIT(reactor->counters->stray == strays + 1);
	AWAIT(recv(client, &byte, 1, MSG_DONTWAIT) == 0);
	close(listener);
	close(client);
	return 0;
}

/* I2, A02 */
static void
a_connection_that_is_accepted_for_nobody_is_closed(void **state)
{
	unsigned before;

	(void)state;
	start(NULL, echo_handler, NULL);
	before = count_fds();
	on_fiber(accept_late, NULL);
	assert_int_equal(count_fds(), before);
	stop();
}

static int
complete_late(void *arg)
{
	struct torc_reactor *reactor = torc_reactor_self();
	const uint64_t strays = reactor->counters->stray;
	struct pair tenant;
	uint64_t tag = late_tag(reactor, &tenant);

	(void)arg;
	claim_nop(reactor, tag | (uint64_t)TORC_KIND_SEND << KIND_SHIFT);
	AWAIT(reactor->counters->stray == strays + 1);
	/* Of an op that is over, and of a kind that there is not. */
	claim_nop(reactor, (uint64_t)TORC_KIND_OP << KIND_SHIFT | 900);
	claim_nop(reactor, (uint64_t)(TORC_KIND_CANCEL - 1) << KIND_SHIFT);
	AWAIT(reactor->counters->stray == strays + 3);
	/* What nobody waits for is no stray: a cancel, or what fails of those
	 * that say nothing when they succeed. */
	EXPECT(torc_reactor_cancel(reactor, tag));
	claim_nop(reactor, TORC_KIND_NONE);
	claim_nop(reactor, tag | (uint64_t)TORC_KIND_SEND << KIND_SHIFT);
	AWAIT(reactor->counters->stray == strays + 4);
	EXPECT(!tenant.conn->send_failed && !tenant.conn->doomed);
	EXPECT(torc_conn_close(tenant.conn, TORC_AT_ONCE) == 0);
	close(tenant.peer);
	return 0;
}

/* I2 */
static void
a_late_completion_of_any_kind_is_counted_and_reaches_nobody(void **state)
{
	(void)state;
	start(NULL, echo_handler, NULL);
	on_fiber(complete_late, NULL);
	stop();
}

static bool
buffers_are_back(struct torc_reactor *reactor, void *arg)
{
	const struct torc_bufring *buffers = &net_of(reactor)->buffers;

	(void)arg;
	return buffers->in_kernel == buffers->live;
}

/* I4: bytes that come for a connection which is given up. */
static void
bytes_for_a_connection_that_is_given_up_keep_no_buffer(void **state)
{
	struct pair pair;

	(void)state;
	start(&narrow, echo_handler, NULL);
	on_fiber(reset_without_room, &pair);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(write(pair.peer, "too late", 8), 8);
		pause_ms(2);
	}
	assert_int_equal(server_connections(&server), 1);
	assert_true(server_await(&server, buffers_are_back, NULL, WAIT_MS));
	hear_again();
	assert_true(server_await_connections(&server, 0));
	assert_true(server_await(&server, buffers_are_back, NULL, 0));
	close(pair.peer);
	stop();
}

#define HOARD 512u		/* bytes, as many as all buffers have */

static int
hoard(void *arg)
{
	struct torc_reactor *reactor = torc_reactor_self();
	struct pair hoarder, other;
	uint8_t bytes[HOARD];
	struct torc_slice in;
	size_t got = 0;

	(void)arg;
	stream_fill(1, 0, bytes, sizeof(bytes));
	open_pair(reactor, &hoarder);
	EXPECT(write(hoarder.peer, bytes, HOARD) == HOARD);
	AWAIT(torc_conn_unread(hoarder.conn) == HOARD);
	open_pair(reactor, &other);
	EXPECT(write(other.peer, "fed", 3) == 3);
	EXPECT(torc_conn_recv(other.conn, &in, torc_after_ms(WAIT_MS)) == 3);
	torc_conn_consume(other.conn, 3);
	while (got < HOARD) {
		EXPECT(torc_conn_recv(hoarder.conn, &in, TORC_NEVER) > 0);
		EXPECT(stream_matches(1, got, in.data, in.size));
		got += in.size;
		torc_conn_consume(hoarder.conn, in.size);
	}
	EXPECT(torc_conn_close(other.conn, TORC_AT_ONCE) == 0);
	EXPECT(torc_conn_close(hoarder.conn, TORC_AT_ONCE) == 0);
	close(other.peer);
	close(hoarder.peer);
	return 0;
}

/* An answer, say, to a handler that has given up. */
static void
what_nobody_reads_of_a_dialled_connection_does_not_keep_all_buffers(
    void **state)
{
	const struct torc_config config = {
		.buffers = 8, .buffers_start = 8, .buffer_size = 64,
	};

	(void)state;
	start(&config, echo_handler, NULL);
	on_fiber(hoard, NULL);
	stop();
}

static int
leave_when_slowed(struct torc_conn *conn, void *arg)
{
	(void)arg;
	AWAIT(conn->slowed);
	return TORC_CLOSE;
}

/* A13, A21: who was slowed is listened to again, if only for its FIN. */
static void
the_fin_of_a_peer_that_was_slowed_is_seen(void **state)
{
	const struct torc_config config = { .held_max = 1024,
		.linger_ms = 60000 };
	static const uint8_t bytes[8192];
	int fd;

	(void)state;
	start(&config, leave_when_slowed, NULL);
	fd = client_open(server.port);
	client_send(fd, bytes, sizeof(bytes));
	assert_true(client_sees_fin(fd));
	close(fd);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_counters(&server).resets, 0);
	stop();
}

static int
write_until_late(void *arg)
{
	static const uint8_t bytes[2048];
	const int small = 1;
	struct pair pair;
	int rc = 0;

	(void)arg;
	open_pair(torc_reactor_self(), &pair);
	setsockopt(pair.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	/* Until a slab is in use, and full. */
	for (int i = 0; i < 1000 && rc == 0; i++) {
		rc = torc_conn_write(pair.conn, bytes, sizeof(bytes),
		    torc_after_ms(50));
		if (rc == 0 && pair.conn->slab == NULL)
			torc_conn_flush(pair.conn, torc_after_ms(5));
	}
	EXPECT(rc == -ETIMEDOUT);
	EXPECT(torc_conn_write(pair.conn, bytes, 1, TORC_NEVER) ==
	    -ETIMEDOUT);
	EXPECT(torc_conn_close(pair.conn, TORC_AT_ONCE) == 0);
	close(pair.peer);
	return 0;
}

/* A24: also of one that waits for room behind what is being sent. */
static void
a_write_that_finds_no_room_until_its_deadline_is_the_last_one(void **state)
{
	const struct torc_config config = { .slab_size = 4096 };

	(void)state;
	start(&config, echo_handler, NULL);
	on_fiber(write_until_late, NULL);
	assert_true(server_await_connections(&server, 0));
	stop();
}

static int
reset_with_staged_bytes(void *arg)
{
	struct torc_net *net = net_of(torc_reactor_self());

	(void)arg;
	for (int i = 0; i < 100; i++) {
		struct pair pair;

		open_pair(torc_reactor_self(), &pair);
		EXPECT(
		    torc_conn_write(pair.conn, "unsent", 6, TORC_AT_ONCE) == 0);
		EXPECT(net->chunk->pins == 1);
		EXPECT(torc_conn_close(pair.conn, TORC_AT_ONCE) == 0);
		EXPECT(net->chunk->pins == 0);
		close(pair.peer);
	}
	AWAIT(net->conns.count == 0);
	EXPECT(net->chunk_count == 1);
	return 0;
}

/* A25 */
static void
what_is_staged_on_a_connection_that_is_reset_holds_no_memory(void **state)
{
	(void)state;
	start(NULL, echo_handler, NULL);
	on_fiber(reset_with_staged_bytes, NULL);
	stop();
}

static int
leave_open(void *arg)
{
	open_pair(torc_reactor_self(), arg);
	return 0;
}

/* I8 */
static void
a_connection_that_nobody_closed_is_closed_at_the_end(void **state)
{
	struct pair pair;

	(void)state;
	start(NULL, echo_handler, NULL);
	on_fiber(leave_open, &pair);
	assert_int_equal(server_connections(&server), 1);
	stop();
	assert_true(client_sees_fin(pair.peer));
	close(pair.peer);
}

static int
receive_in_a_drain(void *arg)
{
	struct torc_reactor *reactor = torc_reactor_self();
	struct torc_slice in;
	struct pair pair;

	(void)arg;
	open_pair(reactor, &pair);
	torc_reactor_drain(reactor, TORC_NEVER);
	AWAIT(reactor->phase == TORC_PHASE_DRAINING);
	for (int i = 0; i < 3; i++) {
		EXPECT(write(pair.peer, "more", 4) == 4);
		EXPECT(torc_conn_recv(pair.conn, &in,
		    torc_after_ms(WAIT_MS)) == 4);
		EXPECT(in.size == 4 && memcmp(in.data, "more", 4) == 0);
		torc_conn_consume(pair.conn, 4);
	}
	EXPECT(torc_conn_close(pair.conn, TORC_AT_ONCE) == 0);
	close(pair.peer);
	return 0;
}

/* A09: requests that are to be finished need those that were dialled. */
static void
what_was_dialled_goes_on_receiving_in_a_drain(void **state)
{
	(void)state;
	start(NULL, echo_handler, NULL);
	on_fiber(receive_in_a_drain, NULL);
	assert_int_equal(server_drain(&server, WAIT_MS), 0);
}

static int
read_joined_slices(void *arg)
{
	struct torc_bufring *buffers = &net_of(torc_reactor_self())->buffers;
	struct torc_slice in;
	struct pair pair;
	size_t unread = 0;

	open_pair(torc_reactor_self(), &pair);
	for (int i = 1; i <= 8; i++) {
		EXPECT(write(pair.peer, "slice", 5) == 5);
		AWAIT(torc_conn_unread(pair.conn) == 5 * (size_t)i);
	}
	*(bool *)arg = buffers->incremental;
	while (unread < 40 && torc_conn_recv(pair.conn, &in,
	    torc_after_ms(WAIT_MS)) > 0) {
		unread += in.size;
		torc_conn_consume(pair.conn, in.size);
	}
	EXPECT(unread == 40);
	for (uint32_t bid = 0; bid < buffers->live; bid++)
		EXPECT(buffers->bufs[bid].owner == TORC_BUF_KERNEL);
	EXPECT(torc_conn_close(pair.conn, TORC_AT_ONCE) == 0);
	close(pair.peer);
	return 0;
}

/* I4 */
static void
slices_that_are_joined_are_referred_to_once(void **state)
{
	const struct torc_config config = { .buffers = 8, .incremental = true };
	bool incremental = false;

	(void)state;
	start(&config, echo_handler, NULL);
	on_fiber(read_joined_slices, &incremental);
	stop();
	if (!incremental) {
		print_message("SKIP: this kernel fills whole buffers only\n");
		skip();
	}
}

static int
close_while_sending(void *arg)
{
	static const uint8_t bytes[2048];
	struct torc_net *net = net_of(torc_reactor_self());
	const int small = 1;
	struct torc_slice in;
	struct pair pair;

	(void)arg;
	open_pair(torc_reactor_self(), &pair);
	setsockopt(pair.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	/* No receive keeps it: only the send does. */
	EXPECT(shutdown(pair.peer, SHUT_WR) == 0);
	EXPECT(torc_conn_recv(pair.conn, &in, torc_after_ms(WAIT_MS)) == 0);
	for (int i = 0; i < 1000 && !pair.conn->loud; i++) {
		EXPECT(torc_conn_write(pair.conn, bytes, sizeof(bytes),
		    torc_after_ms(WAIT_MS)) == 0);
		torc_conn_flush(pair.conn, torc_after_ms(5));
	}
	EXPECT(pair.conn->loud && pair.conn->slab != NULL);
	EXPECT(torc_conn_close(pair.conn, TORC_AT_ONCE) == 0);
	EXPECT(net->conns.count == 1 && is_open(pair.fd));
	AWAIT(net->conns.count == 0);
	EXPECT(net->slab_count == 1);
	close(pair.peer);
	return 0;
}

/* I1 */
static void
a_connection_is_there_until_its_last_send_has_ended(void **state)
{
	(void)state;
	start(NULL, echo_handler, NULL);
	on_fiber(close_while_sending, NULL);
	stop();
}

static int
outlive_a_first_request(void *arg)
{
	struct torc_reactor *reactor = torc_reactor_self();
	struct torc_net *net = net_of(reactor);
	struct torc_conn *conn;
	struct pair pair;

	AWAIT(net->conns.count == 1);
	conn = torc_slots_each(&net->conns, NULL);
	AWAIT(conn->reader != NULL);
	torc_reactor_drain(reactor, TORC_NEVER);
	AWAIT(torc_timer_armed(&conn->timer));
	close(*(int *)arg);
	AWAIT(net->conns.count == 0);
	open_pair(reactor, &pair);
	EXPECT(pair.conn == conn);
	/* Until the timer of the one before would have fired. */
	EXPECT(torc_sleep(torc_after_ms(1200)) == 0);
	EXPECT(torc_conn_close(pair.conn, TORC_AT_ONCE) == 0);
	close(pair.peer);
	return 0;
}

/* I1 */
static void
the_time_of_a_first_request_ends_with_its_connection(void **state)
{
	int fd;

	(void)state;
	start(NULL, echo_handler, NULL);
	fd = client_open(server.port);
	on_fiber(outlive_a_first_request, &fd);
	assert_int_equal(server_drain(&server, WAIT_MS), 0);
}

/* Leaves a part of what came unread, and has no memory to keep it. */
static int
doze_without_memory(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	if (torc_conn_recv(conn, &in, TORC_NEVER) != 4)
		return -1;
	torc_conn_consume(conn, 2);
	atomic_store(&refused[ALLOC], 1);
	return TORC_AGAIN;
}

/* I4: it does not keep the kernel's buffer instead. */
static void
who_cannot_keep_what_is_unread_is_closed_in_order(void **state)
{
	int fd;

	(void)state;
	start(NULL, doze_without_memory, NULL);
	fd = client_open(server.port);
	client_send(fd, "left", 4);
	assert_true(client_sees_fin(fd));
	close(fd);
	assert_true(server_await_connections(&server, 0));
	assert_true(server_await(&server, buffers_are_back, NULL, 0));
	stop();
}

static int
dial_over_the_cap(void *arg)
{
	struct sockaddr_in listening;
	const int listener = raw_listener(&listening);
	char address[32];
	struct torc_conn *conn = NULL;
	struct pair pair;
	unsigned before;

	(void)arg;
	snprintf(address, sizeof(address), "127.0.0.1:%u",
	    ntohs(listening.sin_port));
	open_pair(torc_reactor_self(), &pair);
	before = count_fds();
	EXPECT(torc_dial(&conn, address, torc_after_ms(WAIT_MS)) ==
	    -ENOBUFS);
	EXPECT(conn == NULL && count_fds() == before);
	EXPECT(torc_conn_close(pair.conn, TORC_AT_ONCE) == 0);
	close(pair.peer);
	AWAIT(net_of(torc_reactor_self())->conns.count == 0);
	EXPECT(torc_dial(&conn, address, torc_after_ms(WAIT_MS)) == 0);
	EXPECT(torc_conn_close(conn, TORC_AT_ONCE) == 0);
	close(listener);
	return 0;
}

/* A38 */
static void
a_dial_over_the_cap_is_minus_enobufs_and_leaves_no_socket(void **state)
{
	const struct torc_config config = { .connections = 1 };

	(void)state;
	start(&config, echo_handler, NULL);
	on_fiber(dial_over_the_cap, NULL);
	stop();
}

/* ---- No stack for those that have none ---- */

static bool
is_dormant(struct torc_reactor *reactor, void *arg)
{
	struct torc_conn *conn = torc_slots_each(&net_of(reactor)->conns,
	    NULL);

	(void)arg;
	return conn != NULL && conn->dormant;
}

static bool
has_no_stack(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	return reactor->stacks.in_use == reactor->config.fibers;
}

/* Answers what does not begin with "w" once; that waits for more. */
static int
doze_or_wait(struct torc_conn *conn, void *arg)
{
	static const uint8_t much[500000];
	struct torc_slice in;
	const int small = 1;
	char first;

	if (torc_conn_recv(conn, &in, TORC_NEVER) <= 0)
		return -1;
	first = (char)in.data[0];
	torc_conn_consume(conn, in.size);
	if (first == 'w')
		return torc_conn_recv(conn, &in, TORC_NEVER) <= 0 ? -1 : 0;
	if (arg != NULL) {
		setsockopt(torc_conn_fd(conn), SOL_SOCKET, SO_SNDBUF, &small,
		    sizeof(small));
		torc_conn_write(conn, much, sizeof(much), TORC_AT_ONCE);
	}
	return TORC_AGAIN;
}

/* One that sleeps, and one that has the only stack. */
static void
open_both(int fds[2])
{
	const int small = 1;

	fds[0] = client_open(server.port);
	setsockopt(fds[0], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	client_send(fds[0], "d", 1);
	assert_true(server_await(&server, is_dormant, NULL, WAIT_MS));
	fds[1] = client_open(server.port);
	client_send(fds[1], "w", 1);
	assert_true(server_await(&server, has_no_stack, NULL, WAIT_MS));
}

/* A52 */
static void
without_a_stack_a_dormant_connection_with_input_is_reset(void **state)
{
	const struct torc_config config = { .fibers = 1 };
	uint8_t byte;
	int fds[2];

	(void)state;
	start(&config, doze_or_wait, NULL);
	open_both(fds);
	client_send(fds[0], "d", 1);
	assert_int_equal(client_read_all(fds[0], &byte, 1), -1);
	assert_true(server_await_connections(&server, 1));
	assert_int_equal(server_counters(&server).sheds, 1);
	close(fds[0]);
	close(fds[1]);
	assert_true(server_await_connections(&server, 0));
	stop();
}

/* A52: what was not sent is not passed off as all. */
static void
without_a_stack_a_dormant_connection_is_not_drained_but_reset(void **state)
{
	const struct torc_config config = { .fibers = 1,
		.slab_size = 1 << 20 };
	static uint8_t bytes[1 << 20];
	int fds[2];

	(void)state;
	start(&config, doze_or_wait, &server);
	open_both(fds);
	torc_reactor_drain(server.reactor, TORC_NEVER);
	assert_int_equal(client_read_all(fds[0], bytes, sizeof(bytes)), -1);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(server_drain(&server, WAIT_MS), 0);
}

/* ---- Listeners that pause, or are gone ---- */

static void
listen_once_more(struct torc_reactor *reactor, void *arg)
{
	int listener = torc_listen(reactor, "127.0.0.1:0", echo_handler,
	    NULL);

	*(unsigned *)arg = torc_listen_port(reactor, listener);
}

static int
close_in_a_pause(void *arg)
{
	struct torc_net *net = net_of(torc_reactor_self());
	const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct rlimit before, none;
	struct torc_slice in;
	struct pair pair;
	unsigned port;

	open_pair(torc_reactor_self(), &pair);
	close(pair.peer);
	EXPECT(torc_conn_recv(pair.conn, &in, torc_after_ms(WAIT_MS)) == 0);
	/* No descriptor beyond those that are open, from before the accept
	 * is armed: the kernel looks at the limit then. */
	listen_once_more(torc_reactor_self(), &port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons((uint16_t)port);
	EXPECT(getrlimit(RLIMIT_NOFILE, &before) == 0);
	none = before;
	none.rlim_cur = (rlim_t)dup(client);
	close((int)none.rlim_cur);
	EXPECT(setrlimit(RLIMIT_NOFILE, &none) == 0);
	EXPECT(connect(client, (struct sockaddr *)&address,
	    sizeof(address)) == 0);
	AWAIT(net->paused == 1);
	EXPECT(torc_conn_close(pair.conn, TORC_AT_ONCE) == 0);
	EXPECT(net->paused == 0);
	EXPECT(setrlimit(RLIMIT_NOFILE, &before) == 0);
	*(int *)arg = client;
	return 0;
}

/* A37: it does not wait for the pause to be over. */
static void
a_listener_without_descriptors_goes_on_when_one_is_closed(void **state)
{
	int fd;

	(void)state;
	start(NULL, echo_handler, NULL);
	on_fiber(close_in_a_pause, &fd);
	client_echo(fd, "one was closed");
	close(fd);
	stop();
}

static void
shut_listener(struct torc_reactor *reactor, void *arg)
{
	struct torc_listener *listener = torc_slots_each(
	    &net_of(reactor)->listeners, NULL);

	(void)arg;
	EXPECT(shutdown(listener->fd, SHUT_RDWR) == 0);
}

#define LISTENERS 1024	/* of a reactor */

static void
listen_too_often(struct torc_reactor *reactor, void *arg)
{
	int rc = 0;

	(void)arg;
	for (int i = 1; i < LISTENERS && rc >= 0; i++)
		rc = torc_listen(reactor, "127.0.0.1:0", echo_handler, NULL);
	EXPECT(rc == LISTENERS - 1);
	for (int i = 0; i < 2; i++) {
		unsigned before = count_fds();

		EXPECT(torc_listen(reactor, "127.0.0.1:0", echo_handler,
		    NULL) == -ENOSPC);
		EXPECT(count_fds() == before);
	}
}

static void
a_listener_over_the_cap_is_minus_enospc_and_leaves_no_socket(void **state)
{
	struct rlimit before, enough;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	enough = before;
	if (enough.rlim_cur < LISTENERS + 200)
		enough.rlim_cur = LISTENERS + 200;
	if (enough.rlim_max < enough.rlim_cur) {
		print_message("SKIP: no %d descriptors are allowed\n",
		    LISTENERS + 200);
		skip();
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &enough), 0);
	start(NULL, echo_handler, NULL);
	server_call(&server, listen_too_often, NULL);
	stop();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void
keep_notice(const char *text, void *arg)
{
	snprintf(arg, 256, "%s", text);
}

/* A37: no loop of accepts that fail. */
static void
a_listener_that_is_gone_is_reported_and_the_others_go_on(void **state)
{
	char said[256] = "";

	(void)state;
	/* Also if nobody wants to hear of it. */
	for (int i = 0; i < 2; i++) {
		const struct torc_config config = {
			.notice = i == 0 ? keep_notice : NULL,
			.arg = said,
			.stall_ms = TORC_NO_LIMIT,
		};
		unsigned port;
		int fd;

		start(&config, echo_handler, NULL);
		server_call(&server, listen_once_more, &port);
		server_call(&server, shut_listener, NULL);
		fd = client_open(port);
		client_echo(fd, "the other one");
		close(fd);
		stop();
	}
	assert_non_null(strstr(said, "is gone"));
}

/* ---- A whole server without this or that ---- */

static void
end_server(void *arg)
{
	(void)arg;
	kill(getpid(), SIGTERM);
}

/* Serve and end; the `nth` call of a kind fails. */
static int
serve_without(enum call call, int nth, unsigned reactors,
    struct torc_error *error)
{
	const unsigned pid = (unsigned)getpid();
	char fixed[64], path[64];
	const char *const addresses[] = { "127.0.0.1:0", fixed, path, NULL };
	const struct torc_config config = {
		.listen = addresses,
		.handler = echo_handler,
		.reactors = reactors,
	};

	/* A port that nobody else has, nor had a moment ago. */
	snprintf(fixed, sizeof(fixed), "127.%u.%u.%u:%d",
	    64 + (pid >> 16 & 63), pid >> 8 & 255, pid & 255, 7000 + nth);
	snprintf(path, sizeof(path), "unix:/tmp/torc-corners-%u", pid);
	atomic_store(&refused[call], nth);
	return torc_serve(&config, end_server, error);
}

/*
 * Each of the calls of a kind fails once: the server says so, or does without,
 * and leaves nothing. Returns how many there are.
 */
static int
serve_without_each(enum call call, int error)
{
	const unsigned before = count_fds();
	int refusals = 0, failures = 0;

	for (;;) {
		struct torc_error said;
		int rc = serve_without(call, ++refusals, 2, &said);

		assert_int_equal(count_fds(), before);
		if (atomic_exchange(&refused[call], 0) > 0) {
			assert_int_equal(rc, 0);
			break;
		}
		assert_true(rc == 0 || rc == error);
		assert_int_equal(said.code, rc);
		assert_true((rc == 0) == (said.text[0] == '\0'));
		failures += rc != 0;
	}
	assert_true(failures > 0);
	return refusals - 1;
}

/* R-083, I8 */
static void
a_server_that_gets_no_memory_says_so_and_leaves_nothing(void **state)
{
	(void)state;
	/* Two tables, and for each reactor itself, its net and its buffers. */
	assert_true(serve_without_each(ALLOC, -ENOMEM) >= 8);
	assert_true(serve_without_each(MAP, -ENOMEM) >= 16);
}

/* I8 */
static void
a_server_that_gets_no_socket_says_so_and_leaves_nothing(void **state)
{
	(void)state;
	/* One for each reactor, twice; one tried out; two for the local
	 * one. */
	assert_int_equal(serve_without_each(SOCKET, -EMFILE), 7);
}

/* I8: those that were started are ended. */
static void
a_server_that_gets_no_thread_says_so_and_leaves_nothing(void **state)
{
	(void)state;
	/* Two reactors, and who waits for the second signal. */
	assert_int_equal(serve_without_each(THREAD, -EAGAIN), 3);
}

static void
a_server_that_gets_no_ring_says_why(void **state)
{
	struct torc_error error;

	(void)state;
	assert_int_equal(serve_without(SETUP, 1, 1, &error), -EPERM);
	assert_true(error.text[0] != '\0');
	atomic_store(&refused[SETUP], 1);
	assert_int_equal(torc_available(&error), -EPERM);
	assert_true(error.text[0] != '\0');
	/* And with one, as many reactors as there are CPUs. */
	assert_int_equal(serve_without(SETUP, 0, 0, NULL), 0);
}

static void
ask_for_a_descriptor(struct torc_reactor *reactor, void *arg)
{
	unsigned before = count_fds();

	(void)arg;
	atomic_store(&refused[REGISTER], 1);
	EXPECT(torc_reactor_fd(reactor) == -EINVAL);
	EXPECT(count_fds() == before);
}

static void
a_descriptor_that_the_ring_does_not_know_is_not_handed_out(void **state)
{
	(void)state;
	start(NULL, echo_handler, NULL);
	server_call(&server, ask_for_a_descriptor, NULL);
	stop();
}

static void
probe_in_vain(struct torc_reactor *reactor, void *arg)
{
	unsigned before = count_fds();

	(void)arg;
	EXPECT(torc_send_probe() == net_of(reactor)->quiet);
	atomic_store(&refused[SETUP], 1);
	EXPECT(!torc_send_probe());
	/* The rings, the SQEs, and then what is to be sent. */
	atomic_store(&refused[MAP], 3);
	EXPECT(!torc_send_probe());
	EXPECT(atomic_load(&refused[MAP]) == 0);
	atomic_store(&deaf, reactor);
	EXPECT(!torc_send_probe());
	hear_again();
	EXPECT(count_fds() == before);
}

/* I9: what could not be tried out is not relied on. */
static void
quiet_sends_that_cannot_be_tried_out_are_not_used(void **state)
{
	(void)state;
	start(NULL, echo_handler, NULL);
	server_call(&server, probe_in_vain, NULL);
	stop();
}

/* ---- Connections that are dealt out ---- */

/* The first of two reactors deals out what comes to a local socket. */
struct deal_test {
	struct torc_reactor *peers[2];	/* the server's, and another one */
	char path[64];
	unsigned dealt;
	int client;
};

static void
share(struct torc_reactor *reactor, void *arg)
{
	struct deal_test *test = arg;
	char address[80];

	snprintf(address, sizeof(address), "unix:%s", test->path);
	EXPECT(torc_listen(reactor, address, echo_handler, NULL) >= 0);
	test->peers[0] = reactor;
	net_of(reactor)->peers = test->peers;
	net_of(reactor)->peer_count = 2;
	net_of(reactor)->peer_next = 1;
}

static void
share_no_more(struct torc_reactor *reactor, void *arg)
{
	struct deal_test *test = arg;

	test->dealt = net_of(reactor)->peer_next;
	net_of(reactor)->peer_count = 0;
}

static bool
has_dealt(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	return net_of(reactor)->peer_next > 1;
}

static int
connect_local(const char *path)
{
	const struct timeval limit = { .tv_sec = CLIENT_SECONDS };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	EXPECT(connect(fd, (struct sockaddr *)&address,
	    sizeof(address)) == 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static void
begin_to_share(struct deal_test *test, const char *name)
{
	memset(test, 0, sizeof(*test));
	snprintf(test->path, sizeof(test->path), "/tmp/torc-%s-%d", name,
	    getpid());
	assert_int_equal(torc_reactor_create(&test->peers[1], NULL, NULL),
	    0);
	start(NULL, echo_handler, NULL);
	server_call(&server, share, test);
}

/* A41: and when there is no memory to deal it out. */
static void
a_connection_dealt_to_a_reactor_that_has_ended_is_served(void **state)
{
	struct deal_test test;

	(void)state;
	begin_to_share(&test, "ended");
	torc_reactor_stop(test.peers[1]);
	assert_int_equal(torc_reactor_run(test.peers[1]), 0);
	for (int i = 0; i < 4; i++) {
		int fd;

		atomic_store(&refused[ALLOC], i == 2);
		fd = connect_local(test.path);
		client_echo(fd, "served after all");
		close(fd);
	}
	server_call(&server, share_no_more, &test);
	assert_int_equal(test.dealt, 5);
	stop();
	torc_reactor_destroy(test.peers[1]);
}

/* On the reactor that is about to end: its last turn is not over. */
static int
be_dealt_to(void *arg)
{
	struct deal_test *test = arg;

	test->client = connect_local(test->path);
	EXPECT(server_await(&server, has_dealt, NULL, WAIT_MS));
	return 0;
}

/* A41, I8 */
static void
a_connection_dealt_to_a_reactor_in_its_last_turn_is_closed(void **state)
{
	const unsigned before = count_fds();
	struct deal_test test;

	(void)state;
	begin_to_share(&test, "ending");
	assert_int_equal(torc_fiber_start(test.peers[1], NULL, be_dealt_to,
	    &test), 0);
	torc_reactor_stop(test.peers[1]);
	assert_int_equal(torc_reactor_run(test.peers[1]), 0);
	assert_all_held();
	server_call(&server, share_no_more, &test);
	assert_int_equal(test.dealt, 2);
	assert_true(client_sees_fin(test.client));
	close(test.client);
	torc_reactor_destroy(test.peers[1]);
	stop();
	assert_int_equal(count_fds(), before);
}

static void
the_version_and_the_availability_are_what_they_are(void **state)
{
	struct torc_error error;
	char text[32];

	(void)state;
	snprintf(text, sizeof(text), "%d.%d.%d", TORC_VERSION_MAJOR,
	    TORC_VERSION_MINOR, TORC_VERSION_PATCH);
	assert_string_equal(torc_version(), text);
	assert_int_equal(torc_available(&error), 0);
	assert_int_equal(torc_available(NULL), 0);
}

/* ---- Age ---- */

struct age {
	uint32_t sent_size;	/* of the quiet send */
	uint32_t chunk_count;
};

/*
 * As after 2^31 requests of others, which staged nothing; the kernel's words
 * stay as they are.
 */
static void
go_far_on(struct torc_reactor *reactor, void *arg)
{
	const uint64_t whole = UINT64_C(1) << 32;
	struct torc_net *net = net_of(reactor);
	struct torc_conn *conn = torc_slots_each(&net->conns, NULL);
	struct age *age = arg;

	age->sent_size = conn->sent_size;
	age->chunk_count = net->chunk_count;
	conn->send_mark += whole / 2;
	conn->arm_mark += whole / 2;
	net->chunk->mark += whole / 2;
	for (uint32_t i = 1; i < net->chunk_count; i++) {
		struct torc_node *node = torc_list_take(&net->chunks);

		torc_container(node, struct torc_chunk, node)->mark +=
		    whole / 2;
		torc_list_append(&net->chunks, node);
	}
	reactor->ring.sq_claimed += whole;
	reactor->ring.sq_taken += whole;
	reactor->ring.sq_end += whole;
	reactor->taken += whole;
	reactor->settled += whole;
	reactor->verified += whole;
}

static void
count_chunks(struct torc_reactor *reactor, void *arg)
{
	*(uint32_t *)arg = net_of(reactor)->chunk_count;
}

/*
 * A send without a completion is known to be over by its place alone, and so
 * is the memory that it was sent from.
 */
static void
a_connection_may_rest_while_billions_of_requests_pass(void **state)
{
	struct age age = { 0 };
	uint32_t chunk_count = 0;
	int fd;

	(void)state;
	start(NULL, echo_handler, NULL);
	fd = client_open(server.port);
	for (int i = 0; i < 10; i++)
		client_echo(fd, "first");
	server_call(&server, go_far_on, &age);
	assert_int_equal(age.sent_size, 5);
	assert_int_equal(age.chunk_count, 2);
	for (int i = 0; i < 100; i++)
		client_echo(fd, "much later");
	server_call(&server, count_chunks, &chunk_count);
	assert_int_equal(chunk_count, age.chunk_count);
	close(fd);
	stop();
}

int
main(void)
{
#define CLAIM(name) cmocka_unit_test_teardown(name, clear_away)
	const struct CMUnitTest tests[] = {
		CLAIM(an_op_that_finds_no_room_is_begun_when_there_is_some),
		CLAIM(an_op_that_is_cancelled_before_it_found_room_ends_at_once),
		CLAIM(a_cancel_that_finds_no_room_is_made_when_there_is_some),
		CLAIM(an_op_that_ends_while_its_cancel_waits_for_room_ends_once),
		CLAIM(a_cancel_that_is_never_found_is_repeated_but_not_in_every_turn),
		CLAIM(a_cancel_of_an_accept_that_is_not_found_is_repeated),
		CLAIM(an_op_with_many_completions_is_over_at_its_last),
		CLAIM(a_wait_for_an_op_with_many_completions_ends_at_its_last),
		CLAIM(a_fiber_that_is_cancelled_and_then_completed_wakes_once),
		CLAIM(a_wait_over_the_cap_of_operations_is_minus_enobufs),
		CLAIM(a_deadline_of_a_fiber_that_has_ended_is_nobody_s),
		CLAIM(results_that_nobody_comes_for_are_bounded_too),
		CLAIM(a_reactor_that_stopped_spinning_spins_again_under_traffic),
		CLAIM(a_socket_that_finds_no_room_to_be_closed_is_closed_at_once),
		CLAIM(a_receive_whose_cancel_finds_no_room_is_ended_later),
		CLAIM(a_send_whose_cancel_finds_no_room_is_ended_later),
		CLAIM(a_listener_that_finds_no_room_accepts_when_there_is_some),
		CLAIM(an_accept_whose_cancel_finds_no_room_is_ended_later),
		CLAIM(a_reactor_whose_wake_poll_ended_hears_of_posts_again),
		CLAIM(a_late_receive_gives_its_buffer_back_and_reaches_nobody),
		CLAIM(a_connection_that_is_accepted_for_nobody_is_closed),
		CLAIM(a_late_completion_of_any_kind_is_counted_and_reaches_nobody),
		CLAIM(bytes_for_a_connection_that_is_given_up_keep_no_buffer),
		CLAIM(what_nobody_reads_of_a_dialled_connection_does_not_keep_all_buffers),
		CLAIM(the_fin_of_a_peer_that_was_slowed_is_seen),
		CLAIM(a_write_that_finds_no_room_until_its_deadline_is_the_last_one),
		CLAIM(what_is_staged_on_a_connection_that_is_reset_holds_no_memory),
		CLAIM(a_connection_that_nobody_closed_is_closed_at_the_end),
		CLAIM(what_was_dialled_goes_on_receiving_in_a_drain),
		CLAIM(slices_that_are_joined_are_referred_to_once),
		CLAIM(a_connection_is_there_until_its_last_send_has_ended),
		CLAIM(the_time_of_a_first_request_ends_with_its_connection),
		CLAIM(who_cannot_keep_what_is_unread_is_closed_in_order),
		CLAIM(a_dial_over_the_cap_is_minus_enobufs_and_leaves_no_socket),
		CLAIM(without_a_stack_a_dormant_connection_with_input_is_reset),
		CLAIM(without_a_stack_a_dormant_connection_is_not_drained_but_reset),
		CLAIM(a_listener_without_descriptors_goes_on_when_one_is_closed),
		CLAIM(a_listener_over_the_cap_is_minus_enospc_and_leaves_no_socket),
		CLAIM(a_listener_that_is_gone_is_reported_and_the_others_go_on),
		CLAIM(a_server_that_gets_no_memory_says_so_and_leaves_nothing),
		CLAIM(a_server_that_gets_no_socket_says_so_and_leaves_nothing),
		CLAIM(a_server_that_gets_no_thread_says_so_and_leaves_nothing),
		CLAIM(a_server_that_gets_no_ring_says_why),
		CLAIM(a_descriptor_that_the_ring_does_not_know_is_not_handed_out),
		CLAIM(quiet_sends_that_cannot_be_tried_out_are_not_used),
		CLAIM(a_connection_dealt_to_a_reactor_that_has_ended_is_served),
		CLAIM(a_connection_dealt_to_a_reactor_in_its_last_turn_is_closed),
		CLAIM(the_version_and_the_availability_are_what_they_are),
		CLAIM(a_connection_may_rest_while_billions_of_requests_pass),
	};

	signal(SIGPIPE, SIG_IGN);
	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
