/* SPDX-License-Identifier: MIT */
/*
 * test_kernel.c - what the kernel is asked is looked at on its way, and the
 * kernel does what it may do and seldom does: each multishot operation ends
 * at its first completion, completions come that are another tenant's, an
 * accepted descriptor is none, memory that was given back is written over.
 *
 * wrap: torc_sys_setup torc_sys_enter torc_sys_eventfd torc_sys_socket
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/seam.h"

#include "conn/conn.h"
#include "conn/net.h"
#include "reactor/fiber.h"
#include "reactor/op.h"
#include "sys/sys.h"
#include "sys/uapi.h"

#define OPERATIONS 512u		/* in flight at once */
#define NO_FILE 1000		/* no descriptor of this process */
#define NEXT_GENERATION (1ull << TORC_SLOT_BITS)

/* The reactor that is watched, and what was seen of it. */
static struct {
	_Atomic(struct torc_reactor *) reactor;
	struct operation {
		uint64_t tag;
		int fd;
	} live[OPERATIONS];
	unsigned live_count;
	uint32_t seen;		/* CQEs looked at, ever */
	unsigned arms;
	unsigned loud_sends;
	unsigned closes;
	unsigned midway;	/* submissions in the middle of a turn */
	unsigned overflows;
	/* What must not be. */
	unsigned closed_early;	/* with an operation in flight */
	unsigned twice;		/* two of one kind for one connection */
	unsigned pushed;	/* submitted while completions waited */
} watch;

/* How the kernel is. */
static struct {
	atomic_bool single_shots;	/* accepts and receives end at once */
	atomic_uint single_polls;	/* so many more polls do */
	atomic_uint stale_receives;	/* so many more of another tenant */
	atomic_uint stale_accepts;
	atomic_uint false_accepts;	/* so many more give no descriptor */
	atomic_bool full;		/* nothing is taken amid a turn */
	atomic_bool deaf;		/* cancels come too late */
	atomic_uint changed;		/* completions, until now */
} mood;

/* Descriptor 0 becomes free for one of these. */
enum { ZERO_NOWHERE, ZERO_RING, ZERO_EVENTFD, ZERO_LISTENER, ZERO_DIALLED,
	ZERO_ACCEPTED };
static int zero_for;

static void
free_zero_for(int what)
{
	if (zero_for != what)
		return;
	zero_for = ZERO_NOWHERE;
	close(0);
}

int
__wrap_torc_sys_setup(uint32_t entries, struct io_uring_params *params)
{
	free_zero_for(ZERO_RING);
	return __real_torc_sys_setup(entries, params);
}

int
__wrap_torc_sys_eventfd(void)
{
	free_zero_for(ZERO_EVENTFD);
	return __real_torc_sys_eventfd();
}

int
__wrap_torc_sys_socket(int domain, int type, int protocol)
{
	free_zero_for(torc_current == NULL ? ZERO_LISTENER : ZERO_DIALLED);
	return __real_torc_sys_socket(domain, type, protocol);
}

/* ---- Watching ---- */

static struct operation *
find_live(uint64_t tag)
{
	for (unsigned i = 0; i < watch.live_count; i++) {
		if (watch.live[i].tag == tag)
			return &watch.live[i];
	}
	return NULL;
}

static void
note_start(const struct io_uring_sqe *sqe)
{
	watch.twice += find_live(sqe->user_data) != NULL;
	if (watch.live_count == OPERATIONS)
		abort();
	watch.live[watch.live_count++] = (struct operation) {
		sqe->user_data, sqe->fd };
}

static void
note_close(int fd)
{
	watch.closes++;
	for (unsigned i = 0; i < watch.live_count; i++)
		watch.closed_early += watch.live[i].fd == fd;
}

/* The kernel has taken it. */
static void
note_taken(const struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_CLOSE:
		note_close(sqe->fd);
		return;
	case IORING_OP_SEND:
	case IORING_OP_SENDMSG:
		if (sqe->flags & IOSQE_CQE_SKIP_SUCCESS) {
			/* Over at once: it does not wait for room. */
			watch.twice += find_live(sqe->user_data) != NULL;
			return;
		}
		watch.loud_sends++;
		break;
	case IORING_OP_RECV:
	case IORING_OP_ACCEPT:
		watch.arms++;
		break;
	default:
		return;
	}
	note_start(sqe);
}

static void
note_completion(const struct io_uring_cqe *cqe)
{
	struct operation *operation = find_live(cqe->user_data);

	if (operation != NULL && !(cqe->flags & IORING_CQE_F_MORE))
		*operation = watch.live[--watch.live_count];
}

/* What the kernel may write over, it writes over. */
static void
spoil_free_slots(const struct torc_ring *ring)
{
	uint32_t head = torc_load_relaxed_u32(ring->kcq_head);
	uint32_t tail = torc_load_relaxed_u32(ring->kcq_tail);

	for (uint32_t i = tail; i != head + ring->cq_entries; i++) {
		struct io_uring_cqe *cqe = (struct io_uring_cqe *)
		    (uintptr_t)&ring->cqes[i & ring->cq_mask];

		memset(cqe, 0xee, sizeof(*cqe));
	}
}

/* ---- Behaving ---- */

/* Accepts are given up, receives and operations are not. */
static void
lose_cancels(const struct torc_ring *ring)
{
	for (uint64_t i = ring->sq_taken; i != ring->sq_claimed; i++) {
		struct io_uring_sqe *sqe = &ring->sqes[i & ring->sq_mask];

		if (sqe->opcode == IORING_OP_ASYNC_CANCEL &&
		    torc_tag_kind(sqe->addr) != TORC_KIND_ACCEPT) {
			sqe->opcode = IORING_OP_NOP;
			sqe->cancel_flags = 0;
			atomic_fetch_add(&mood.changed, 1);
		}
	}
}

/* Whether one of `count` is left, which is taken. */
static bool
take_one(atomic_uint *count)
{
	if (atomic_load(count) == 0)
		return false;
	atomic_fetch_sub(count, 1);
	atomic_fetch_add(&mood.changed, 1);
	return true;
}

static void
make_single_shots(const struct torc_ring *ring)
{
	for (uint64_t i = ring->sq_taken; i != ring->sq_claimed; i++) {
		struct io_uring_sqe *sqe = &ring->sqes[i & ring->sq_mask];

		if (sqe->opcode == IORING_OP_ACCEPT)
			sqe->ioprio &= (uint16_t)~IORING_ACCEPT_MULTISHOT;
		else if (sqe->opcode == IORING_OP_RECV) {
			sqe->ioprio &= (uint16_t)~IORING_RECV_MULTISHOT;
			sqe->file_index = 0;	/* a multishot's limit */
		} else if (sqe->opcode == IORING_OP_POLL_ADD && sqe->len != 0 &&
		    take_one(&mood.single_polls))
			sqe->len &= ~(uint32_t)IORING_POLL_ADD_MULTI;
	}
}

static void
change_completion(struct io_uring_cqe *cqe)
{
	switch (torc_tag_kind(cqe->user_data)) {
	case TORC_KIND_RECV:
		if (cqe->flags & IORING_CQE_F_BUFFER &&
		    cqe->flags & IORING_CQE_F_MORE &&
		    take_one(&mood.stale_receives))
			cqe->user_data ^= NEXT_GENERATION;
		return;
	case TORC_KIND_ACCEPT:
		if (cqe->res < 0 || !(cqe->flags & IORING_CQE_F_MORE))
			return;
		if (take_one(&mood.stale_accepts)) {
			cqe->user_data ^= NEXT_GENERATION;
		} else if (take_one(&mood.false_accepts)) {
			close(cqe->res);
			cqe->res = NO_FILE;
		}
		return;
	default:
		return;
	}
}

static void
before_enter(struct torc_reactor *reactor, uint32_t flags)
{
	const struct torc_ring *ring = &reactor->ring;

	if (!(flags & IORING_ENTER_GETEVENTS))
		watch.midway++;
	else if (torc_ring_overflowed(ring)) {
		watch.overflows++;
		watch.pushed += torc_load_relaxed_u32(ring->ksq_tail) !=
		    (uint32_t)ring->sq_taken;
	}
	spoil_free_slots(ring);
}

static void
after_enter(struct torc_reactor *reactor)
{
	const struct torc_ring *ring = &reactor->ring;
	uint32_t taken = torc_load_acquire_u32(ring->ksq_head);
	uint32_t posted = torc_load_acquire_u32(ring->kcq_tail);

	for (uint32_t i = (uint32_t)ring->sq_taken; i != taken; i++)
		note_taken(&ring->sqes[i & ring->sq_mask]);
	for (; watch.seen != posted; watch.seen++) {
		struct io_uring_cqe *cqe = (struct io_uring_cqe *)
		    (uintptr_t)&ring->cqes[watch.seen & ring->cq_mask];

		note_completion(cqe);
		change_completion(cqe);
	}
}

int
__wrap_torc_sys_enter(int fd, uint32_t to_submit, uint32_t min_complete,
    uint32_t flags, const void *arg, size_t arg_size)
{
	struct torc_reactor *reactor = torc_current;
	bool its_own = reactor != NULL && fd == reactor->ring.enter_fd;
	bool watched = its_own && reactor == atomic_load(&watch.reactor);
	int rc;

	if (its_own && atomic_load(&mood.single_shots))
		make_single_shots(&reactor->ring);
	if (its_own && atomic_load(&mood.deaf))
		lose_cancels(&reactor->ring);
	if (watched)
		before_enter(reactor, flags);
	if (its_own && !(flags & IORING_ENTER_GETEVENTS) &&
	    atomic_load(&mood.full))
		return -EAGAIN;
	rc = __real_torc_sys_enter(fd, to_submit, min_complete, flags, arg,
	    arg_size);
	if (watched)
		after_enter(reactor);
	return rc;
}

/* ---- The server ---- */

static void
begin_to_watch(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	/* On its thread, between two enters: what it has seen is past. */
	watch.seen = torc_load_acquire_u32(reactor->ring.kcq_tail);
	atomic_store(&watch.reactor, reactor);
}

static void
start_watched(struct server *server, const struct torc_config *config,
    torc_handler *handler)
{
	server_start(server, config, handler, NULL);
	server_call(server, begin_to_watch, NULL);
}

static int
forget_all(void **state)
{
	(void)state;
	memset(&watch, 0, sizeof(watch));
	memset(&mood, 0, sizeof(mood));
	zero_for = ZERO_NOWHERE;
	return 0;
}

static void
serve_some(unsigned port, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		int fd = client_open(port);

		client_echo(fd, "a request of no importance");
		close(fd);
	}
}

/* ---- Operations and descriptors ---- */

#define GUESTS 40u

/* Echo, with large answers and ends of all kinds. */
static int
treat_a_guest(struct torc_conn *conn, void *arg)
{
	static uint8_t large[100000];
	struct torc_slice in;
	char first;

	(void)arg;
	if (torc_conn_recv(conn, &in, torc_after_ms(10000)) <= 0)
		return -1;
	first = (char)in.data[0];
	torc_conn_write(conn, in.data, in.size, torc_after_ms(10000));
	torc_conn_consume(conn, in.size);
	if (first == 'l')
		torc_conn_write(conn, large, sizeof(large),
		    torc_after_ms(5));
	if (first == 'f')
		return -1;
	if (first == 'a')
		return TORC_AGAIN;
	torc_conn_recv(conn, &in, torc_after_ms(5));
	return TORC_CLOSE;
}

/* Clients that say one thing each, and leave in one way or the other. */
static void
churn(unsigned port)
{
	static const char orders[] = "elfaelxa";
	int fds[GUESTS];

	for (unsigned i = 0; i < GUESTS; i++)
		fds[i] = client_open(port);
	for (unsigned i = 0; i < GUESTS; i++)
		client_send(fds[i], (char[]) { orders[i % 8], 'm', 'o',
		    'r', 'e' }, 5);
	/* It may be gone already. */
	for (unsigned i = 0; i < GUESTS; i += 3)
		send(fds[i], "and more", 8, MSG_NOSIGNAL);
	for (unsigned i = 0; i < GUESTS; i++) {
		if (i % 5 == 0)
			client_reset(fds[i]);
		else if (i % 5 == 1)
			shutdown(fds[i], SHUT_WR);
	}
	for (unsigned i = 0; i < GUESTS; i++) {
		char data[256];

		if (i % 5 == 0)
			continue;
		if (i % 5 == 1)
			while (recv(fds[i], data, sizeof(data), 0) > 0)
				continue;
		close(fds[i]);
	}
}

/*
 * through queues of a few entries,
 * with completions whose slots are written over once they were given back.
 */
static void
nothing_is_closed_in_use_sent_at_once_or_pushed_into_a_full_queue(
    void **state)
{
	const struct torc_config config = {
		.sq_entries = 4,
		.cq_entries = 8,
		.buffers = 8,
		.buffer_size = 64,
		.linger_ms = 50,
		.close_ms = 50,
	};
	struct server server;
	unsigned files;

	(void)state;
	start_watched(&server, &config, treat_a_guest);
	files = count_fds();
	for (unsigned i = 0; i < 8; i++)
		churn(server.port);
	assert_true(server_await_connections(&server, 0));
	assert_true(await_fds(files));
	assert_int_equal(server_stop(&server), 0);
	/* All of it has happened. */
	assert_true(watch.arms > 8 * GUESTS && watch.closes > 8);
	assert_true(watch.loud_sends > 0 && watch.midway > 0);
	assert_true(watch.overflows > 0);
	assert_int_equal(watch.closed_early, 0);
	assert_int_equal(watch.twice, 0);
	assert_int_equal(watch.pushed, 0);
}

/* ---- A full submission queue ---- */

#define QUITTERS 60u

static atomic_uint quit;

static int
wait_and_quit(void *arg)
{
	char byte;

	if (torc_fd_read(*(int *)arg, &byte, 1, (uint64_t)-1,
	    torc_after_ms(20)) == -ETIMEDOUT)
		atomic_fetch_add(&quit, 1);
	return 0;
}

static void
spawn_quitters(struct torc_reactor *reactor, void *arg)
{
	for (unsigned i = 0; i < QUITTERS; i++)
		torc_fiber_start(reactor, NULL, wait_and_quit, arg);
}

static bool
all_have_quit(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	return atomic_load(&quit) == *(unsigned *)arg;
}

/* they find no room, and nobody makes some, in that turn. */
static void
cancels_that_find_no_room_are_made_later(void **state)
{
	const struct torc_config config = { .sq_entries = 4 };
	unsigned all = QUITTERS;
	struct server server;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	atomic_store(&quit, 0);
	server_start(&server, &config, echo_handler, NULL);
	atomic_store(&mood.full, true);
	server_call(&server, spawn_quitters, &ends[0]);
	assert_true(server_await(&server, all_have_quit, &all, 10000));
	assert_int_equal(server_counters(&server).op_cancels, QUITTERS);
	assert_true(server_counters(&server).deferred > QUITTERS);
	assert_int_equal(server_stop(&server), 0);
	close(ends[0]);
	close(ends[1]);
}

/* ---- A stop ---- */

static atomic_uint reads;

static void
count_read(struct torc_op *op, int32_t result, uint32_t flags)
{
	(void)op;
	(void)flags;
	atomic_fetch_add(&reads, result == 1);
}

struct read {
	struct torc_op op;
	char byte;
	int fd;
};

static void
start_read(struct torc_reactor *reactor, void *arg)
{
	struct read *read = arg;

	read->op.sqe.opcode = IORING_OP_READ;
	read->op.sqe.fd = read->fd;
	read->op.sqe.addr = (uint64_t)&read->byte;
	read->op.sqe.len = 1;
	read->op.done = count_read;
	if (torc_op_start(reactor, &read->op) < 0)
		abort();
}

/* Its loop goes on, and ends when it may. */
static void
assert_goes_on(const struct server *server)
{
	pause_ms(50);
	assert_int_equal(pthread_tryjoin_np(server->thread, NULL), EBUSY);
}

/*
 * what the kernel still has when it was told to
 * give it up, an operation here and a receive there, is waited for.
 */
static void
a_stop_waits_for_what_could_not_be_cancelled(void **state)
{
	struct server server;
	struct read read = { .fd = -1 };
	int ends[2], fd;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	read.fd = ends[0];
	atomic_store(&reads, 0);
	server_start(&server, NULL, echo_handler, NULL);
	server_call(&server, start_read, &read);
	fd = client_open(server.port);
	client_echo(fd, "before");
	atomic_store(&mood.deaf, true);
	torc_reactor_stop(server.reactor);
	assert_goes_on(&server);
	assert_true(atomic_load(&mood.changed) >= 2);
	close(fd);
	assert_goes_on(&server);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(atomic_load(&reads), 1);
	assert_int_equal(read.byte, 'x');
	/* And the other way round. */
	server_start(&server, NULL, echo_handler, NULL);
	fd = client_open(server.port);
	client_echo(fd, "before");
	torc_reactor_stop(server.reactor);
	assert_goes_on(&server);
	close(fd);
	assert_int_equal(server_stop(&server), 0);
	close(ends[0]);
	close(ends[1]);
}

/* ---- Multishot ---- */

struct ping {
	struct torc_post post;
	atomic_bool there;
};

static void
answer_ping(struct torc_reactor *reactor, struct torc_post *post)
{
	struct ping *ping = torc_container(post, struct ping, post);

	(void)reactor;
	atomic_store(&ping->there, true);
}

/* A post takes effect on a reactor that sleeps. */
static bool
ping_is_answered(struct server *server)
{
	struct ping *ping = calloc(1, sizeof(*ping));
	bool there;

	ping->post.call = answer_ping;
	pause_ms(2);
	assert_int_equal(torc_reactor_post(server->reactor, &ping->post), 0);
	for (unsigned i = 0; i < 5000 && !atomic_load(&ping->there); i++)
		pause_ms(1);
	there = atomic_load(&ping->there);
	if (there)
		free(ping);
	return there;
}

/* accepts, receives and the poll that wakes the loop. */
static void
operations_that_end_at_each_completion_are_begun_again(void **state)
{
	struct server server;
	int calm;

	(void)state;
	atomic_store(&mood.single_shots, true);
	atomic_store(&mood.single_polls, 5);
	server_start(&server, NULL, echo_handler, NULL);
	serve_some(server.port, 20);
	calm = client_open(server.port);
	for (unsigned i = 0; i < 20; i++) {
		client_echo(calm, "one after the other");
		assert_true(ping_is_answered(&server));
	}
	close(calm);
	serve_some(server.port, 20);
	assert_true(server_await_connections(&server, 0));
	assert_true(server_counters(&server).rearms >= 60);
	assert_int_equal(atomic_load(&mood.single_polls), 0);
	assert_int_equal(server_stop(&server), 0);
}

/* ---- Completions that are not as they should be ---- */

static bool
has_changed(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	return atomic_load(&mood.changed) == *(unsigned *)arg;
}

/* The kernel has every buffer. */
static bool
has_all_back(struct torc_reactor *reactor, void *arg)
{
	const struct torc_net *net = reactor->layer_state;

	(void)arg;
	return net->buffers.in_kernel == net->buffers.live;
}

/* nobody sees the bytes, and the buffer is not lost. */
static void
a_receive_of_another_generation_gives_its_buffer_back_and_no_more(
    void **state)
{
	const struct torc_config config = { .buffers = 8 };
	struct server server;
	int fd;

	(void)state;
	start_watched(&server, &config, echo_handler);
	fd = client_open(server.port);
	client_echo(fd, "before");
	atomic_store(&mood.stale_receives, 20);
	for (unsigned i = 1; i <= 20; i++) {
		client_send(fd, "not for you", 11);
		assert_true(server_await(&server, has_changed, &i, 5000));
	}
	assert_true(server_await(&server, has_all_back, NULL, 5000));
	for (unsigned i = 0; i < 20; i++)
		client_echo(fd, "after");
	assert_int_equal(server_counters(&server).stray, 20);
	close(fd);
	serve_some(server.port, 10);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_stop(&server), 0);
}

/* its owner is gone, so nobody else would close it. */
static void
an_accept_of_another_generation_has_its_descriptor_closed(void **state)
{
	struct server server;
	unsigned files;

	(void)state;
	start_watched(&server, NULL, echo_handler);
	files = count_fds();
	serve_some(server.port, 5);
	assert_true(server_await_connections(&server, 0));
	atomic_store(&mood.stale_accepts, 10);
	for (unsigned i = 0; i < 10; i++) {
		int fd = client_open(server.port);

		assert_true(client_sees_fin(fd));
		close(fd);
	}
	assert_true(await_fds(files));
	assert_int_equal(server_counters(&server).stray, 10);
	assert_int_equal(server_counters(&server).accepts, 5);
	serve_some(server.port, 5);
	assert_int_equal(server_stop(&server), 0);
}

/* as Linux 6.6 to 6.8 could do. It ends that connection only. */
static void
an_accepted_descriptor_that_is_none_harms_nobody(void **state)
{
	struct server server;
	unsigned files;
	int calm;

	(void)state;
	start_watched(&server, NULL, echo_handler);
	calm = client_open(server.port);
	client_echo(calm, "before");
	files = count_fds();
	atomic_store(&mood.false_accepts, 10);
	for (unsigned i = 0; i < 10; i++) {
		int fd = client_open(server.port);

		assert_true(client_sees_fin(fd));
		close(fd);
	}
	assert_true(server_await_connections(&server, 1));
	assert_true(await_fds(files));
	assert_int_equal(server_counters(&server).accepts, 11);
	client_echo(calm, "after");
	close(calm);
	serve_some(server.port, 5);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_stop(&server), 0);
}

/* ---- Descriptor 0 ---- */

/* A fiber: an echo by a connection that it dials. */
static int
dial_and_echo(void *arg)
{
	const torc_deadline deadline = torc_after_ms(10000);
	struct torc_conn *conn;
	struct torc_slice in;
	int rc = torc_dial(&conn, arg, deadline);

	if (rc < 0)
		return rc;
	if (zero_for == ZERO_NOWHERE && torc_conn_fd(conn) != 0)
		return -EBADF;
	rc = torc_conn_write(conn, "hello", 5, deadline);
	if (rc == 0)
		rc = torc_conn_recv(conn, &in, deadline);
	torc_conn_close(conn, deadline);
	return rc == 5 ? 0 : -EBADMSG;
}

/* In a child: serve while one of its descriptors is 0; whether it was. */
static bool
serve_with_zero_for(int what)
{
	struct server server;
	char address[32];
	int fd;

	zero_for = what;
	server_start(&server, NULL, echo_handler, NULL);
	snprintf(address, sizeof(address), "127.0.0.1:%u", server.port);
	serve_some(server.port, 3);
	if (what == ZERO_DIALLED &&
	    server_fiber(&server, dial_and_echo, address) != 0)
		return false;
	if (what == ZERO_ACCEPTED) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		free_zero_for(what);
		if (connect(fd, (struct sockaddr *)&(struct sockaddr_in) {
		    .sin_family = AF_INET,
		    .sin_port = htons((uint16_t)server.port),
		    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
		    sizeof(struct sockaddr_in)) < 0)
			return false;
		client_echo(fd, "to descriptor 0");
		if (fcntl(0, F_GETFD) < 0)
			return false;
		close(fd);
	}
	if (zero_for != ZERO_NOWHERE || server_stop(&server) != 0)
		return false;
	/* It was open, and was closed once. */
	for (unsigned i = 0; i < 5000 && fcntl(0, F_GETFD) >= 0; i++)
		pause_ms(1);
	return fcntl(0, F_GETFD) < 0;
}

/* */
static void
descriptor_0_may_be_any_of_a_server_s(void **state)
{
	int status;

	(void)state;
	for (int what = ZERO_RING; what <= ZERO_ACCEPTED; what++) {
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0) {
			alarm(30);
			_exit(serve_with_zero_for(what) ? 0 : 1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		if (status != 0)
			fail_msg("object %d: status %#x", what, status);
	}
}

/* ---- The wake ---- */

/* Four polls of a pipe that nobody writes to: as many as the queue holds. */
static struct {
	struct torc_post post;
	struct torc_op ops[4];
	int fd;
} crowd;

static void
ignore(struct torc_op *op, int32_t result, uint32_t flags)
{
	(void)op;
	(void)result;
	(void)flags;
}

/* Before the reactor arms its wake in this turn. */
static void
fill_queue(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)post;
	if (reactor->wake_armed)
		return;
	for (unsigned i = 0; i < 4; i++) {
		crowd.ops[i].sqe.opcode = IORING_OP_POLL_ADD;
		crowd.ops[i].sqe.fd = crowd.fd;
		crowd.ops[i].sqe.poll32_events = POLLIN;
		crowd.ops[i].done = ignore;
		if (torc_op_start(reactor, &crowd.ops[i]) < 0)
			abort();
	}
}

static void
end_the_wake(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	if (!torc_reactor_cancel(reactor, (uint64_t)TORC_KIND_WAKE <<
	    (TORC_SLOT_BITS + TORC_GENERATION_BITS)))
		abort();
	crowd.post.call = fill_queue;
	torc_reactor_post(reactor, &crowd.post);
}

/* it looks again, until the wake is armed. */
static void
a_reactor_whose_wake_found_no_room_does_not_sleep(void **state)
{
	const struct torc_config config = { .sq_entries = 4 };
	struct server server;
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	memset(&crowd, 0, sizeof(crowd));
	crowd.fd = ends[0];
	server_start(&server, &config, echo_handler, NULL);
	atomic_store(&mood.full, true);
	server_call(&server, end_the_wake, NULL);
	assert_true(ping_is_answered(&server));
	/* The wake had ended, so the polls were made. */
	assert_int_not_equal(crowd.ops[3].state, TORC_OP_FREE);
	assert_int_equal(server_stop(&server), 0);
	close(ends[0]);
	close(ends[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		/* This one forks: before there are threads. */
		cmocka_unit_test_setup(descriptor_0_may_be_any_of_a_server_s,
		    forget_all),
		cmocka_unit_test_setup(
		    nothing_is_closed_in_use_sent_at_once_or_pushed_into_a_full_queue,
		    forget_all),
		cmocka_unit_test_setup(cancels_that_find_no_room_are_made_later,
		    forget_all),
		cmocka_unit_test_setup(
		    a_stop_waits_for_what_could_not_be_cancelled,
		    forget_all),
		cmocka_unit_test_setup(
		    operations_that_end_at_each_completion_are_begun_again,
		    forget_all),
		cmocka_unit_test_setup(
		    a_reactor_whose_wake_found_no_room_does_not_sleep,
		    forget_all),
		cmocka_unit_test_setup(
		    a_receive_of_another_generation_gives_its_buffer_back_and_no_more,
		    forget_all),
		cmocka_unit_test_setup(
		    an_accept_of_another_generation_has_its_descriptor_closed,
		    forget_all),
		cmocka_unit_test_setup(
		    an_accepted_descriptor_that_is_none_harms_nobody,
		    forget_all),
	};

	return cmocka_run_group_tests_name("kernel", tests, NULL, NULL);
}
