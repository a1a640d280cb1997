/* SPDX-License-Identifier: MIT */
/*
 * test_steady.c - what a server costs when nothing new happens: system calls,
 * memory, and nothing at all when nobody asks for anything.
 *
 * wrap: torc_sys_setup torc_sys_enter torc_sys_register torc_sys_map
 * wrap: torc_sys_unmap torc_sys_advise torc_sys_protect torc_sys_alloc
 * wrap: torc_sys_close torc_sys_read torc_sys_write torc_sys_eventfd
 * wrap: torc_sys_unlink torc_sys_is_socket torc_sys_lock_folder
 * wrap: torc_sys_socket
 * wrap: torc_sys_socketpair torc_sys_bind torc_sys_listen torc_sys_connect
 * wrap: torc_sys_accept_now torc_sys_shutdown torc_sys_unsent
 * wrap: torc_sys_setsockopt torc_sys_getsockname torc_sys_getpeername
 * wrap: torc_sys_sleep torc_sys_rlimit torc_sys_allowed_cpu torc_sys_pin
 */
#include "tests/harness.h"
#include "tests/seam.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "conn/conn.h"
#include "conn/net.h"
#include "sys/sys.h"

/* ---- What reactors ask the system for ---- */

static atomic_ulong enters;	/* begun */
static atomic_ulong crossings;	/* others */
static atomic_ulong allocations;

/* Clients do not use the seam, but whoever posts to a reactor does. */
static void
count(atomic_ulong *counter)
{
	if (torc_current != NULL)
		atomic_fetch_add(counter, 1);
}

/* The clock is not counted: it is read without a system call. */
#define COUNTED(type, name, counter, parameters, arguments)	\
	type __real_torc_sys_##name parameters;			\
	type __wrap_torc_sys_##name parameters;			\
	type							\
	__wrap_torc_sys_##name parameters			\
	{							\
		count(&counter);				\
		return __real_torc_sys_##name arguments;	\
	}
#define CROSSING(name, parameters, arguments)			\
	COUNTED(int, name, crossings, parameters, arguments)

COUNTED(int, enter, enters, (int fd, uint32_t to_submit,
    uint32_t min_complete, uint32_t flags, const void *arg, size_t arg_size),
    (fd, to_submit, min_complete, flags, arg, arg_size))
COUNTED(void *, alloc, allocations, (size_t size), (size))

CROSSING(setup, (uint32_t entries, struct io_uring_params *params),
    (entries, params))
CROSSING(register, (int fd, uint32_t opcode, void *arg, uint32_t n),
    (fd, opcode, arg, n))
CROSSING(map, (void **address, size_t size, int prot, int flags, int fd,
    uint64_t offset), (address, size, prot, flags, fd, offset))
CROSSING(unmap, (void *address, size_t size), (address, size))
CROSSING(advise, (void *address, size_t size, int advice),
    (address, size, advice))
CROSSING(protect, (void *address, size_t size, int prot),
    (address, size, prot))
CROSSING(close, (int fd), (fd))
CROSSING(read, (int fd, void *data, size_t size), (fd, data, size))
CROSSING(write, (int fd, const void *data, size_t size), (fd, data, size))
CROSSING(eventfd, (void), ())
CROSSING(unlink, (const char *path), (path))
CROSSING(is_socket, (const char *path, struct torc_inode *inode),
    (path, inode))
CROSSING(lock_folder, (const char *path), (path))
CROSSING(socket, (int domain, int type, int protocol),
    (domain, type, protocol))
CROSSING(socketpair, (int fds[2]), (fds))
CROSSING(bind, (int fd, const struct sockaddr *address, uint32_t size),
    (fd, address, size))
CROSSING(listen, (int fd, int backlog), (fd, backlog))
CROSSING(connect, (int fd, const struct sockaddr *address, uint32_t size),
    (fd, address, size))
CROSSING(accept_now, (int fd), (fd))
CROSSING(shutdown, (int fd, int how), (fd, how))
CROSSING(unsent, (int fd), (fd))
CROSSING(setsockopt, (int fd, int level, int name, const void *value,
    uint32_t size), (fd, level, name, value, size))
CROSSING(getsockname, (int fd, struct sockaddr *address, uint32_t *size),
    (fd, address, size))
CROSSING(getpeername, (int fd, struct sockaddr *address, uint32_t *size),
    (fd, address, size))
CROSSING(rlimit, (int resource, uint64_t *soft), (resource, soft))
CROSSING(allowed_cpu, (unsigned index), (index))
CROSSING(pin, (int cpu), (cpu))

void
__wrap_torc_sys_sleep(uint64_t ns)
{
	count(&crossings);
	__real_torc_sys_sleep(ns);
}

/* A look at all of it, from the reactor's thread between two enters. */
struct sample {
	struct torc_counters counters;
	unsigned long enters;
	unsigned long crossings;
	unsigned long allocations;
	long tid;
};

static void
take_sample(struct torc_reactor *reactor, void *arg)
{
	struct sample *sample = arg;

	sample->counters = *reactor->counters;
	sample->enters = atomic_load(&enters);
	sample->crossings = atomic_load(&crossings);
	sample->allocations = atomic_load(&allocations);
	sample->tid = syscall(SYS_gettid);
}

/* ---- Load ---- */

#define CONNECTIONS 64u
#define REQUESTS (SANITIZED ? 10000u : 100000u)	/* that are measured */
#define WARM_UP (SANITIZED ? 2000u : 20000u)
#define SIZE 32u		/* of a request, and of its answer */

struct load {
	struct pollfd polls[CONNECTIONS];
	unsigned got[CONNECTIONS];	/* bytes of the answer */
	unsigned open;			/* requests */
	unsigned sent;
	unsigned done;
};

static void
ask(struct load *load, unsigned i, unsigned depth)
{
	uint8_t request[SIZE * 8];

	for (unsigned j = 0; j < depth; j++)
		stream_fill(i, 0, request + j * SIZE, SIZE);
	client_send(load->polls[i].fd, request, SIZE * depth);
	load->sent += depth;
}

/* Read what there is of the answer, and ask again after the last byte. */
static void
take(struct load *load, unsigned i, unsigned depth, unsigned total)
{
	uint8_t answer[SIZE * 8];
	ssize_t size = recv(load->polls[i].fd, answer,
	    SIZE * depth - load->got[i], MSG_DONTWAIT);

	assert_true(size > 0);
	for (unsigned j = 0; j < (unsigned)size; j++)
		assert_int_equal(answer[j], stream_byte(i,
		    (load->got[i] + j) % SIZE));
	load->got[i] += (unsigned)size;
	if (load->got[i] < SIZE * depth)
		return;
	load->got[i] = 0;
	load->done += depth;
	if (load->sent < total)
		ask(load, i, depth);
}

/* `total` requests, with `depth` of them at once on each connection. */
static void
run_load(struct load *load, unsigned depth, unsigned total)
{
	load->sent = load->done = 0;
	for (unsigned i = 0; i < CONNECTIONS; i++)
		ask(load, i, depth);
	while (load->done < load->sent) {
		assert_true(poll(load->polls, CONNECTIONS,
		    CLIENT_SECONDS * 1000) > 0);
		for (unsigned i = 0; i < CONNECTIONS; i++) {
			if (load->polls[i].revents != 0)
				take(load, i, depth, total);
		}
	}
	assert_true(load->done >= total);
}

static void
open_load(struct load *load, unsigned port)
{
	memset(load, 0, sizeof(*load));
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		load->polls[i].fd = client_open(port);
		load->polls[i].events = POLLIN;
	}
}

static void
close_load(struct load *load)
{
	for (unsigned i = 0; i < CONNECTIONS; i++)
		close(load->polls[i].fd);
}

/* What comes in one piece is answered, and the stack given back. */
static int
again_handler(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc;

	(void)arg;
	while ((rc = torc_conn_recv(conn, &in, TORC_AT_ONCE)) > 0) {
		if (torc_conn_write(conn, in.data, in.size, TORC_NEVER) < 0)
			return -1;
		torc_conn_consume(conn, in.size);
	}
	return rc == -ETIMEDOUT ? TORC_AGAIN : TORC_CLOSE;
}

static void
assert_steady(torc_handler *handler)
{
	struct sample before, after;
	struct server server;
	struct load load;
	uint64_t turns;

	server_start(&server, NULL, handler, NULL);
	open_load(&load, server.port);
	/* More at once than later: all that can be needed is there then. */
	run_load(&load, 8, WARM_UP);
	run_load(&load, 1, WARM_UP);
	server_call(&server, take_sample, &before);
	assert_true(before.allocations > 0 && before.crossings > 0);
	run_load(&load, 1, REQUESTS);
	server_call(&server, take_sample, &after);
	turns = after.counters.turns - before.counters.turns;
	assert_true(turns > 0);
	assert_true(after.counters.received - before.counters.received >=
	    (uint64_t)REQUESTS * SIZE);
	if (SANITIZED && handler == again_handler)
		printf("SKIP: the sanitizer is told of each new fiber\n");
	else
		assert_int_equal(after.allocations, before.allocations);
	assert_int_equal(after.crossings, before.crossings);
	assert_true(after.enters - before.enters <= turns);
	assert_int_equal(after.enters - before.enters,
	    after.counters.enters - before.counters.enters);
	assert_int_equal(after.counters.sq_full, before.counters.sq_full);
	printf("%u requests: %lu system calls in %lu turns\n", REQUESTS,
	    after.enters - before.enters, (unsigned long)turns);
	close_load(&load);
	assert_int_equal(server_stop(&server), 0);
}

/* A79, and one system call in a turn. */
static void
a_steady_server_allocates_nothing_and_calls_once_a_turn(void **state)
{
	(void)state;
	assert_steady(echo_handler);
}

/* A79: a fiber for each request is no reason to allocate either. */
static void
handlers_that_give_their_stack_back_are_as_steady(void **state)
{
	(void)state;
	assert_steady(again_handler);
}

/* ---- Idleness ---- */

/* How often a thread of this process was put on a CPU. */
static unsigned long
count_switches(long tid)
{
	unsigned long total = 0, value;
	char line[256];
	FILE *file;

	snprintf(line, sizeof(line), "/proc/self/task/%ld/status", tid);
	file = fopen(line, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "voluntary_ctxt_switches: %lu", &value) == 1
		    || sscanf(line, "nonvoluntary_ctxt_switches: %lu",
		    &value) == 1)
			total += value;
	}
	fclose(file);
	assert_true(total > 0);
	return total;
}

/* Wait until a thread has not run for half a second. */
static void
await_rest(long tid)
{
	const uint64_t end = now_ms() + CLIENT_SECONDS * 1000;
	unsigned long last;

	do {
		last = count_switches(tid);
		pause_ms(500);
	} while (count_switches(tid) != last && now_ms() < end);
}

#define IDLE_CONNECTIONS 8u
#define IDLE_SECONDS 10u

/* No timer, no poll: the thread sleeps in one system call all the time. */
static void
an_idle_server_makes_no_system_call_in_ten_seconds(void **state)
{
	struct sample start, end;
	unsigned long calls, others, switches;
	int fds[IDLE_CONNECTIONS];
	struct server server;

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	for (unsigned i = 0; i < IDLE_CONNECTIONS; i++) {
		fds[i] = client_open(server.port);
		client_echo(fds[i], "hello");
	}
	assert_true(server_await_connections(&server, IDLE_CONNECTIONS));
	server_call(&server, take_sample, &start);
	await_rest(start.tid);
	calls = atomic_load(&enters);
	others = atomic_load(&crossings);
	switches = count_switches(start.tid);
	pause_ms(IDLE_SECONDS * 1000);
	assert_int_equal(atomic_load(&enters), calls);
	assert_int_equal(atomic_load(&crossings), others);
	/* So says the kernel, too. */
	assert_int_equal(count_switches(start.tid), switches);
	/* It was asleep, not dead, and its calls do count. */
	for (unsigned i = 0; i < IDLE_CONNECTIONS; i++) {
		client_echo(fds[i], "again");
		close(fds[i]);
	}
	server_call(&server, take_sample, &end);
	assert_int_equal(end.tid, start.tid);
	assert_true(end.enters > calls);
	assert_int_equal(server_stop(&server), 0);
}

struct holdings {
	unsigned conns;
	unsigned dormant;
	unsigned met;
	const char *held;	/* what one of them holds, or NULL */
};

static const char *
find_held(const struct torc_conn *conn)
{
	if (conn->view_bid != TORC_NO_BID || conn->view_size != 0)
		return "a buffer";
	if (conn->first != NULL || conn->held != 0)
		return "pieces";
	if (conn->joined != NULL)
		return "a joined view";
	if (conn->slab != NULL || conn->slabbed)
		return "a slab";
	if (conn->chunk != NULL || conn->staged_size != 0)
		return "staged bytes";
	return conn->sending != 0 ? "something to send" : NULL;
}

static void
inspect(struct torc_reactor *reactor, void *arg)
{
	const struct torc_net *net = reactor->layer_state;
	struct holdings *holdings = arg;
	const struct torc_conn *conn = NULL;

	*holdings = (struct holdings) { .held = NULL };
	while ((conn = torc_slots_each(&net->conns, conn)) != NULL) {
		const char *held = find_held(conn);

		if (held != NULL)
			holdings->held = held;
		holdings->conns++;
		holdings->dormant += conn->dormant;
		holdings->met += conn->met;
	}
	if (net->buffers.in_kernel != net->buffers.live)
		holdings->held = "a buffer of the ring";
}

static bool
holds_nothing(struct torc_reactor *reactor, void *arg)
{
	inspect(reactor, arg);
	return ((struct holdings *)arg)->held == NULL;
}

/* What bounds memory is how much is going on, not how many are there. */
static void
idle_connections_hold_no_buffer_and_no_slab(void **state)
{
	torc_handler *const handlers[] = { echo_handler, again_handler };

	(void)state;
	for (unsigned h = 0; h < 2; h++) {
		struct holdings holdings;
		struct server server;
		struct load load;

		server_start(&server, NULL, handlers[h], NULL);
		open_load(&load, server.port);
		run_load(&load, 8, CONNECTIONS * 8);
		if (!server_await(&server, holds_nothing, &holdings, 5000))
			fail_msg("handler %u: %s", h, holdings.held);
		assert_int_equal(holdings.conns, CONNECTIONS);
		assert_int_equal(holdings.met, CONNECTIONS);
		assert_int_equal(holdings.dormant, h == 0 ? 0 : CONNECTIONS);
		close_load(&load);
		assert_int_equal(server_stop(&server), 0);
	}
}

/* ---- Memory ---- */

#define MANY 4000u

/* Bytes of this process for each connection of a server. */
static size_t
measure(torc_handler *handler, unsigned dormant)
{
	static int fds[MANY];
	struct holdings holdings;
	struct server server;
	size_t before, after;

	server_start(&server, NULL, handler, NULL);
	/* Touch what is there anyway: each buffer, and what is staged. */
	fds[0] = client_open(server.port);
	for (unsigned i = 0; i < 500; i++)
		client_echo(fds[0], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	before = exact_resident();
	for (unsigned i = 1; i < MANY; i++) {
		fds[i] = client_open(server.port);
		client_echo(fds[i], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	}
	assert_true(server_await(&server, holds_nothing, &holdings, 5000));
	assert_int_equal(holdings.conns, MANY);
	assert_int_equal(holdings.dormant, dormant);
	after = exact_resident();
	for (unsigned i = 0; i < MANY; i++)
		close(fds[i]);
	assert_int_equal(server_stop(&server), 0);
	return after > before ? (after - before) / (MANY - 1) : 0;
}

static void
assert_cost(const char *what, torc_handler *handler, unsigned dormant,
    size_t limit)
{
	size_t bytes = SIZE_MAX;

	if (!allow_files(2 * MANY + 200)) {
		printf("SKIP: no %u descriptors\n", 2 * MANY + 200);
		return;
	}
	/* Other things of the process may grow meanwhile. */
	for (int i = 0; i < 3 && bytes > limit; i++) {
		const size_t once = measure(handler, dormant);

		bytes = once < bytes ? once : bytes;
	}
	printf("%s: %zu bytes\n", what, bytes);
	assert_true(bytes > 0);
	if (SANITIZED)
		printf("SKIP: the sanitizer's memory counts, too\n");
	else
		assert_true(bytes <= limit);
}

/* A page of stack, and less than half a KiB besides. */
static void
an_idle_connection_with_a_fiber_costs_a_page_and_little_more(void **state)
{
	(void)state;
	assert_cost("an idle connection with a fiber", echo_handler, 0, 4608);
}

static void
an_idle_connection_without_a_fiber_costs_half_a_kib(void **state)
{
	(void)state;
	assert_cost("an idle connection without a fiber", again_handler,
	    MANY, 512);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		/* Before there is memory that was used and freed. */
		cmocka_unit_test(
		    an_idle_connection_without_a_fiber_costs_half_a_kib),
		cmocka_unit_test(
	    an_idle_connection_with_a_fiber_costs_a_page_and_little_more),
		cmocka_unit_test(idle_connections_hold_no_buffer_and_no_slab),
		cmocka_unit_test(
		    a_steady_server_allocates_nothing_and_calls_once_a_turn),
		cmocka_unit_test(
		    handlers_that_give_their_stack_back_are_as_steady),
		cmocka_unit_test(
		    an_idle_server_makes_no_system_call_in_ten_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
