/* SPDX-License-Identifier: MIT */
/*
 * test_send.c - what is written arrives: every byte, once, in order, and on
 * no other connection; and writing takes no more memory than it says.
 *
 * wrap: torc_sys_enter torc_sys_setup torc_sys_alloc
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/child.h"
#include "tests/harness.h"
#include "tests/seam.h"

#include "conn/chunk.h"
#include "conn/conn.h"
#include "conn/net.h"
#include "conn/send.h"
#include "conn/slab.h"
#include "reactor/fiber.h"
#include "sys/sys.h"
#include "sys/uapi.h"

#define SLAB 16384u		/* staged bytes, by default */
#define TINY 4608		/* about the smallest buffer of a socket */
#define HANG_MS 60000		/* longer than anything takes */
#define LARGEST (1u << 30)	/* bytes in one send */

/* ---- Between torc and the kernel ---- */

/* Setup flags that the kernel seems not to know. */
static uint32_t refused_flags;
/* Loud sends may send a part, as if nobody had asked for all. */
static atomic_bool parts_allowed;
/* Submissions in the middle of a turn take nothing, now and then. */
static atomic_bool submits_refused;
static atomic_uint submit_refusals;
/* Time passes between the last look at the CQ and a submission. */
static atomic_bool enters_late;
/* Allocations of just this size fail. */
static atomic_size_t refused_size;
static atomic_uint refusals;

/* What is submitted by one reactor, looked at as the kernel sees it. */
static struct {
	_Atomic(struct torc_reactor *) reactor;
	uint32_t largest;	/* length of an entry */
	unsigned arms;
	unsigned quiets;
	unsigned mixed;		/* submissions with both */
	unsigned together;	/* both, for one connection */
	unsigned odd;		/* entries that make no sense */
} watch;

int
__wrap_torc_sys_setup(uint32_t entries, struct io_uring_params *params)
{
	if (params->flags & refused_flags)
		return -EINVAL;
	return __real_torc_sys_setup(entries, params);
}

void *
__wrap_torc_sys_alloc(size_t size)
{
	if (size == atomic_load(&refused_size)) {
		atomic_fetch_add(&refusals, 1);
		return NULL;
	}
	return __real_torc_sys_alloc(size);
}

static bool
is_arm(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == IORING_OP_RECV &&
	    sqe->ioprio & IORING_RECV_MULTISHOT;
}

static bool
is_quiet(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == IORING_OP_SEND &&
	    sqe->flags & IOSQE_CQE_SKIP_SUCCESS;
}

/* The connection that an entry is for, or NULL. */
static const struct torc_conn *
conn_of(const struct torc_net *net, const struct io_uring_sqe *sqe)
{
	const unsigned kind = torc_tag_kind(sqe->user_data);

	if (kind != TORC_KIND_RECV && kind != TORC_KIND_SEND)
		return NULL;
	return torc_slots_find(&net->conns, sqe->user_data);
}

static bool
is_odd(const struct torc_net *net, const struct io_uring_sqe *sqe)
{
	const struct torc_conn *conn = conn_of(net, sqe);

	switch (sqe->opcode) {
	case IORING_OP_SEND:
	case IORING_OP_SENDMSG:
		return conn == NULL || conn->fd != sqe->fd || sqe->addr == 0 ||
		    sqe->len == 0 || sqe->len > LARGEST ||
		    !(sqe->msg_flags & MSG_NOSIGNAL) ||
		    !(sqe->msg_flags & MSG_WAITALL) ||
		    (is_quiet(sqe) != !!(sqe->msg_flags & MSG_DONTWAIT));
	case IORING_OP_RECV:
		return conn == NULL || conn->fd != sqe->fd || sqe->addr != 0 ||
		    sqe->len != 0 || !(sqe->flags & IOSQE_BUFFER_SELECT) ||
		    sqe->buf_group != net->buffers.bgid;
	case IORING_OP_CLOSE:
		/* A descriptor that no connection has. */
		for (conn = NULL; (conn = torc_slots_each(&net->conns,
		    conn)) != NULL;) {
			if (conn->fd == sqe->fd)
				return true;
		}
		return sqe->fd <= STDERR_FILENO;
	default:
		return false;
	}
}

static void
look_at_submission(const struct torc_reactor *reactor)
{
	const struct torc_ring *ring = &reactor->ring;
	const uint64_t slot = ((uint64_t)1 << (TORC_SLOT_BITS +
	    TORC_GENERATION_BITS)) - 1;
	unsigned arms = 0, quiets = 0;

	for (uint64_t i = ring->sq_taken; i != ring->sq_claimed; i++) {
		const struct io_uring_sqe *sqe =
		    &ring->sqes[i & ring->sq_mask];

		watch.odd += is_odd(reactor->layer_state, sqe);
		if (watch.largest < sqe->len)
			watch.largest = sqe->len;
		arms += is_arm(sqe);
		quiets += is_quiet(sqe);
		for (uint64_t j = ring->sq_taken; is_arm(sqe) &&
		    j != ring->sq_claimed; j++) {
			const struct io_uring_sqe *other =
			    &ring->sqes[j & ring->sq_mask];

			watch.together += is_quiet(other) &&
			    (other->user_data & slot) ==
			    (sqe->user_data & slot);
		}
	}
	watch.arms += arms;
	watch.quiets += quiets;
	watch.mixed += arms > 0 && quiets > 0;
}

static void
allow_parts(const struct torc_ring *ring)
{
	for (uint64_t i = ring->sq_taken; i != ring->sq_claimed; i++) {
		struct io_uring_sqe *sqe = &ring->sqes[i & ring->sq_mask];

		if ((sqe->opcode == IORING_OP_SEND ||
		    sqe->opcode == IORING_OP_SENDMSG) && !is_quiet(sqe))
			sqe->msg_flags &= ~(uint32_t)MSG_WAITALL;
	}
}

int
__wrap_torc_sys_enter(int fd, uint32_t to_submit, uint32_t min_complete,
    uint32_t flags, const void *arg, size_t arg_size)
{
	struct torc_reactor *reactor = torc_current;

	if (reactor != NULL && atomic_load(&watch.reactor) == reactor &&
	    to_submit > 0)
		look_at_submission(reactor);
	if (reactor != NULL && to_submit > 0 && atomic_load(&enters_late))
		torc_sys_sleep(100000);
	if (reactor != NULL && atomic_load(&parts_allowed))
		allow_parts(&reactor->ring);
	if (reactor != NULL && !(flags & IORING_ENTER_GETEVENTS) &&
	    atomic_load(&submits_refused) &&
	    atomic_fetch_add(&submit_refusals, 1) % 3 != 0)
		return -EAGAIN;
	return __real_torc_sys_enter(fd, to_submit, min_complete, flags, arg,
	    arg_size);
}

static int
refuse_nothing(void **state)
{
	(void)state;
	refused_flags = 0;
	atomic_store(&enters_late, false);
	atomic_store(&parts_allowed, false);
	atomic_store(&submits_refused, false);
	atomic_store(&submit_refusals, 0);
	atomic_store(&refused_size, 0);
	atomic_store(&refusals, 0);
	memset(&watch, 0, sizeof(watch));
	return 0;
}

/* ---- The server: answers orders ---- */

/* What a client wants: bytes of a stream, written in pieces. */
struct order {
	uint32_t key;
	uint32_t from;
	uint32_t size;
	uint32_t piece;		/* bytes a write; 0: as the dice fall */
	uint32_t rest;		/* wait elsewhere before one in so many
				 * writes; 0: never */
};

/* How the server of a test does it. */
struct service {
	int send_buffer;	/* of each socket; 0: as it is */
	bool local;		/* over local sockets */
	atomic_uint failed;	/* answers that could not be written */
};

/* Mostly small, often around the slab's size, sometimes large. */
static uint32_t
some_size(uint32_t *dice, uint32_t slab)
{
	switch (throw_dice(dice) % 8) {
	case 0:
	case 1:
	case 2:
		return 1 + throw_dice(dice) % (slab / 80 + 1);
	case 3:
	case 4:
		return 1 + throw_dice(dice) % (slab / 3);
	case 5:
		return slab / 2 - 2 + throw_dice(dice) % 5;
	case 6:
		return slab - 2 + throw_dice(dice) % 5;
	default:
		return 1 + throw_dice(dice) % (slab * 4);
	}
}

#define STATIC_KEY 0x57a71cu
static uint8_t static_stream[4 << 20];	/* does not change */

/* The bytes of an order: it frees them if they are not static. */
static uint8_t *
take_out(const struct order *order)
{
	uint8_t *bytes;

	if (order->key == STATIC_KEY)
		return static_stream + order->from;
	bytes = malloc(order->size);
	if (bytes == NULL)
		abort();
	stream_fill(order->key, order->from, bytes, order->size);
	return bytes;
}

/* In slices of all sizes, some of them with nothing. */
static int
write_in_slices(struct torc_conn *conn, const uint8_t *bytes, uint32_t size,
    uint32_t *dice)
{
	struct torc_slice slices[20];
	unsigned count = 0;

	while (count < 19 && size > 0) {
		uint32_t part = throw_dice(dice) % 5 == 0 ? 0 :
		    some_size(dice, SLAB);

		if (part > size)
			part = size;
		slices[count++] = (struct torc_slice) { bytes, part };
		bytes += part;
		size -= part;
	}
	slices[count++] = (struct torc_slice) { bytes, size };
	return torc_conn_writev(conn, slices, count, TORC_NEVER);
}

static int
answer(struct torc_conn *conn, const struct order *order)
{
	const bool fixed = order->key == STATIC_KEY;
	uint32_t dice = order->key * 2654435761u ^ (order->from + 1);
	uint8_t *bytes = take_out(order);
	uint32_t done = 0;
	int rc = 0;

	while (rc == 0 && done < order->size) {
		uint32_t piece = order->piece != 0 ? order->piece :
		    some_size(&dice, SLAB);

		if (piece > order->size - done)
			piece = order->size - done;
		if (order->rest != 0 && throw_dice(&dice) % order->rest == 0)
			torc_sleep(torc_after_us(throw_dice(&dice) % 500));
		if (fixed && throw_dice(&dice) % 2 == 0)
			rc = torc_conn_write_static(conn, bytes + done, piece,
			    TORC_NEVER);
		else if (throw_dice(&dice) % 4 == 0)
			rc = write_in_slices(conn, bytes + done, piece, &dice);
		else
			rc = torc_conn_write(conn, bytes + done, piece,
			    TORC_NEVER);
		done += piece;
	}
	if (!fixed)
		free(bytes);
	return rc;
}

static void
shrink(struct torc_conn *conn, int size)
{
	if (size != 0)
		setsockopt(torc_conn_fd(conn), SOL_SOCKET, SO_SNDBUF, &size,
		    sizeof(size));
}

static int
serve_orders(struct torc_conn *conn, void *arg)
{
	struct service *service = arg;
	struct torc_slice in;
	struct order order;

	shrink(conn, service->send_buffer);
	while (torc_conn_recv(conn, &in, TORC_NEVER) > 0) {
		while (in.size >= sizeof(order)) {
			memcpy(&order, in.data, sizeof(order));
			if (answer(conn, &order) < 0) {
				atomic_fetch_add(&service->failed, 1);
				return -1;
			}
			torc_conn_consume(conn, sizeof(order));
			in.data += sizeof(order);
			in.size -= sizeof(order);
		}
	}
	return TORC_CLOSE;
}

/* ---- Clients ---- */

/* A ring that its closer lets go of late interrupts the one who made it. */
static void
connect_to(int fd, const void *address, size_t size)
{
	int rc;

	do
		rc = connect(fd, address, (socklen_t)size);
	while (rc < 0 && (errno == EINTR || errno == EALREADY));
	assert_true(rc == 0 || errno == EISCONN);
}

static unsigned local_number;	/* of the last local server */

static void
name_socket(struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	snprintf(address->sun_path, sizeof(address->sun_path),
	    "/tmp/torc-send-%d-%u", (int)getpid(), local_number);
}

struct local {
	torc_handler *handler;
	void *arg;
	int result;
};

static void
listen_locally(struct torc_reactor *reactor, void *arg)
{
	struct local *local = arg;
	struct sockaddr_un address;
	char text[128];

	name_socket(&address);
	snprintf(text, sizeof(text), "unix:%s", address.sun_path);
	local->result = torc_listen(reactor, text, local->handler,
	    local->arg);
}

static void
local_listen(struct server *server, torc_handler *handler, void *arg)
{
	struct local local = { .handler = handler, .arg = arg };

	local_number++;
	server_call(server, listen_locally, &local);
	assert_true(local.result >= 0);
}

/*
 * A server on a local socket, too. There a socket's buffer is as small as one
 * asks for, and what does not fit into it is not taken.
 */
static void
local_start(struct server *server, const struct torc_config *config,
    torc_handler *handler, void *arg)
{
	server_start(server, config, handler, arg);
	local_listen(server, handler, arg);
}

static int
local_open(void)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	name_socket(&address);
	assert_true(fd >= 0);
	client_limit(fd);
	connect_to(fd, &address, sizeof(address));
	return fd;
}

/* One that takes few bytes before it reads. */
static int
narrow_open(unsigned port)
{
	const int size = 16384;
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	client_limit(fd);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	connect_to(fd, &address, sizeof(address));
	return fd;
}

static void
place_order(int fd, uint32_t key, uint32_t from, uint32_t size,
    uint32_t piece)
{
	const struct order order = { key, from, size, piece, 0 };

	client_send(fd, &order, sizeof(order));
}

/* ---- Looking into a reactor ---- */

struct memory {
	unsigned chunks;	/* in the list */
	unsigned pins;		/* of all of them */
	unsigned slabs;		/* free ones */
	unsigned busy;		/* connections with bytes to send */
};

static void
see_memory(struct torc_reactor *reactor, void *arg)
{
	struct torc_net *net = reactor->layer_state;
	struct memory *memory = arg;
	struct torc_conn *conn = NULL;
	const struct torc_node *node;

	*memory = (struct memory) { .slabs = net->slab_count };
	for (node = net->chunks.ends.next; node != &net->chunks.ends;
	    node = node->next) {
		memory->chunks++;
		memory->pins += torc_container(node, struct torc_chunk,
		    node)->pins;
	}
	if (net->chunk != NULL)
		memory->pins += net->chunk->pins;
	while ((conn = torc_slots_each(&net->conns, conn)) != NULL)
		memory->busy += !torc_send_idle(conn);
}

static struct memory
look(struct server *server)
{
	struct memory memory;

	server_call(server, see_memory, &memory);
	return memory;
}

static bool
has_nothing_to_send(struct torc_reactor *reactor, void *arg)
{
	struct memory memory;

	(void)arg;
	see_memory(reactor, &memory);
	return memory.busy == 0 && memory.pins == 0;
}

static bool
has_been_short(struct torc_reactor *reactor, void *arg)
{
	return reactor->counters->short_sends >= *(uint64_t *)arg;
}

static bool
is_loud(struct torc_reactor *reactor, void *arg)
{
	const struct torc_net *net = reactor->layer_state;
	const struct torc_conn *conn = NULL;
	unsigned loud = 0;

	while ((conn = torc_slots_each(&net->conns, conn)) != NULL)
		loud += conn->loud;
	return loud >= *(unsigned *)arg;
}

static void
be_loud(struct torc_reactor *reactor, void *arg)
{
	struct torc_net *net = reactor->layer_state;

	(void)arg;
	net->quiet = false;
}

/* ---- Whole bodies ---- */

/* A22: a body of eight slabs, however it is cut into writes. */
static void
a_body_of_eight_slabs_arrives_byte_exact_however_it_is_written(void **state)
{
	static const uint32_t pieces[] = { 8 * SLAB, 100, 8191, 8192, 8193,
		SLAB - 1, SLAB, SLAB + 1, 2 * SLAB, 3 * SLAB + 7, 0 };
	struct service service = { 0 };
	struct server server;
	int fd;

	(void)state;
	server_start(&server, NULL, serve_orders, &service);
	fd = client_open(server.port);
	for (uint32_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		place_order(fd, i, 0, 8 * SLAB, pieces[i]);
		client_stream(fd, i, 0, 8 * SLAB);
	}
	client_part(fd);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(atomic_load(&service.failed), 0);
}

#define BODY 100000u

static struct torc_counters before_slices, after_slices;

/* A head that is staged, and a body, a gap and a trailer behind it. */
static int
write_slices(struct torc_conn *conn, void *arg)
{
	const struct torc_slice slices[] = {
		{ static_stream + 100, BODY },
		{ NULL, 0 },
		{ static_stream + 100 + BODY, 50 },
	};
	const struct torc_counters *counters = torc_reactor_self()->counters;
	int rc;

	(void)arg;
	before_slices = *counters;
	rc = torc_conn_write(conn, static_stream, 100, TORC_NEVER);
	if (rc == 0)
		rc = torc_conn_writev(conn, slices, 3, TORC_NEVER);
	after_slices = *counters;
	return rc < 0 ? rc : TORC_CLOSE;
}

static void
slices_leave_in_one_send_with_what_was_staged_before(void **state)
{
	struct server server;
	int fd;

	(void)state;
	server_start(&server, NULL, write_slices, NULL);
	fd = client_open(server.port);
	client_stream(fd, STATIC_KEY, 0, 100 + BODY + 50);
	client_part(fd);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(after_slices.loud_sends - before_slices.loud_sends, 1);
	assert_int_equal(after_slices.quiet_sends - before_slices.quiet_sends,
	    0);
}

/* To one who does not read: nothing may follow a part of it. */
static int
write_slices_in_vain(struct torc_conn *conn, void *arg)
{
	const struct torc_slice slices[] = {
		{ static_stream, sizeof(static_stream) },
		{ static_stream, sizeof(static_stream) },
		{ static_stream, sizeof(static_stream) },
	};
	int *results = arg;

	shrink(conn, 0);
	results[0] = torc_conn_writev(conn, slices, 3, torc_after_ms(30));
	results[1] = torc_conn_writev(conn, slices, 1, torc_after_ms(30));
	results[2] = torc_conn_writev(conn, NULL, 0, TORC_AT_ONCE);
	return -1;
}

static void
slices_that_are_not_taken_in_time_are_the_last_ones(void **state)
{
	int results[3] = { 1, 1, 1 };
	struct server server;
	char byte[2];
	int fd;

	(void)state;
	server_start(&server, NULL, write_slices_in_vain, results);
	fd = client_open(server.port);
	pause_ms(100);
	while (client_read(fd, byte, sizeof(byte)))
		continue;
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(results[0], -ETIMEDOUT);
	assert_int_equal(results[1], -ETIMEDOUT);
	assert_int_equal(results[2], 0);
	close(fd);
}

/* Static bytes are sent from where they are, if they come first. */
static int
write_static_bytes(struct torc_conn *conn, void *arg)
{
	static const uint32_t sizes[] = { 100, 8191, 8192, 8193, 100000 };
	struct service *service = arg;
	uint32_t at = 0;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < 50; i++) {
		const uint32_t size = sizes[i % 5];

		rc = torc_conn_write_static(conn, static_stream + at, size,
		    TORC_NEVER);
		if (size <= SLAB / 2 && conn->staged != static_stream + at)
			atomic_fetch_add(&service->failed, 1);
		at += size;
		/* Another kind of write behind it copies it. */
		if (rc == 0 && i % 2 == 0)
			rc = torc_conn_write(conn, static_stream + at++, 1,
			    TORC_NEVER);
		if (rc == 0)
			rc = torc_conn_flush(conn, TORC_NEVER);
	}
	return rc < 0 ? rc : TORC_CLOSE;
}

static void
static_bytes_arrive_and_are_not_copied_if_they_need_not_be(void **state)
{
	struct service service = { 0 };
	struct server server;
	int fd;

	(void)state;
	server_start(&server, NULL, write_static_bytes, &service);
	fd = client_open(server.port);
	client_stream(fd, STATIC_KEY, 0,
	    10 * (100 + 8191 + 8192 + 8193 + 100000) + 25);
	client_part(fd);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(atomic_load(&service.failed), 0);
}

static void
check_sizes_around(unsigned slab)
{
	const struct torc_config config = { .slab_size = slab };
	struct service service = { 0 };
	struct server server;
	uint32_t at = 0;
	int fd;

	server_start(&server, &config, serve_orders, &service);
	fd = client_open(server.port);
	/* Halves: from there on a write is not copied. Fours: a chunk. */
	for (uint32_t k = 1; k <= 10; k++) {
		for (uint32_t off = 0; off < 5; off++) {
			const uint32_t size = k * slab / 2 + off - 2;

			/* Alone; then behind three staged bytes. */
			place_order(fd, slab, at, size, size);
			place_order(fd, slab, at + size, 3, 3);
			place_order(fd, slab, at + size + 3, size, size);
			client_stream(fd, slab, at, 2 * size + 3);
			at += 2 * size + 3;
		}
	}
	client_part(fd);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(atomic_load(&service.failed), 0);
}

/* sizes around every boundary of the memory that bytes go through. */
static void
answers_of_every_size_around_the_slab_s_arrive(void **state)
{
	(void)state;
	check_sizes_around(64);
	check_sizes_around(1000);
	check_sizes_around(SLAB);
}

/* ---- Many streams at once ---- */

struct client {
	uint32_t slab;
	int fd;
	uint32_t key;
	uint32_t ordered;	/* bytes */
	uint32_t got;
	unsigned orders;	/* not placed yet */
};

static void
place_some_order(struct client *client, uint32_t *dice)
{
	struct order order = {
		.key = client->key,
		.from = client->ordered,
		.size = some_size(dice, client->slab),
		.piece = throw_dice(dice) % 3 == 0 ? 0 : 1 + throw_dice(dice) %
		    (client->slab * 3 / 4),
		.rest = throw_dice(dice) % 2 * 4,
	};

	if (order.size / 50 > order.piece && order.piece != 0)
		order.piece = order.size / 50;
	client_send(client->fd, &order, sizeof(order));
	client->ordered += order.size;
	client->orders--;
}

static void
read_some(struct client *client, uint32_t *dice, uint32_t seed)
{
	uint8_t bytes[20000];
	const size_t size = 1 + throw_dice(dice) % sizeof(bytes);
	ssize_t got = recv(client->fd, bytes, size, MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0)
		fail_msg("TORC_SEED=%u: stream %u ended at %u of %u", seed,
		    client->key, client->got, client->ordered);
	if (!stream_matches(client->key, client->got, bytes, (size_t)got))
		fail_msg("TORC_SEED=%u: stream %u is wrong in %u to %u", seed,
		    client->key, client->got, client->got + (uint32_t)got);
	client->got += (uint32_t)got;
}

/* Order and read, in an order that the dice decide, until all is there. */
static void
drive(struct client *clients, unsigned count, uint32_t seed)
{
	const uint64_t end = now_ms() + HANG_MS;
	uint32_t dice = seed;
	unsigned left;

	do {
		struct pollfd ready[64];
		unsigned open = 0;

		left = 0;
		for (unsigned i = 0; i < count; i++) {
			struct client *client = &clients[i];

			if (client->orders > 0 && throw_dice(&dice) % 3 == 0)
				place_some_order(client, &dice);
			left += client->orders;
			if (client->got == client->ordered)
				continue;
			left++;
			ready[open++] = (struct pollfd) { client->fd, POLLIN,
				0 };
			if (throw_dice(&dice) % 4 != 0)
				read_some(client, &dice, seed);
		}
		if (open > 0)
			poll(ready, open, 100);
		if (now_ms() > end)
			fail_msg("TORC_SEED=%u: nothing comes any more", seed);
	} while (left > 0);
}

/* Twelve streams under a configuration; what the reactor counted. */
static struct torc_counters
check_streams(const struct torc_config *config, struct service *service,
    void (*prepare)(struct torc_reactor *reactor, void *arg))
{
	const uint32_t seed = new_seed();
	struct torc_counters counters;
	struct client clients[12];
	const unsigned count = sizeof(clients) / sizeof(clients[0]);
	struct server server;

	local_start(&server, config, serve_orders, service);
	if (prepare != NULL)
		server_call(&server, prepare, NULL);
	for (unsigned i = 0; i < count; i++)
		clients[i] = (struct client) {
			.fd = service->local ? local_open() :
			    client_open(server.port),
			.slab = config != NULL && config->slab_size != 0 ?
			    config->slab_size : SLAB,
			.key = i % 4 == 0 ? STATIC_KEY : seed + i,
			.orders = 25,
		};
	drive(clients, count, seed);
	for (unsigned i = 0; i < count; i++)
		client_part(clients[i].fd);
	assert_true(server_await(&server, has_nothing_to_send, NULL, 5000));
	counters = server_counters(&server);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(atomic_load(&service->failed), 0);
	return counters;
}

/* A29, A36: staged bytes of many connections share memory, and none is used
 * again too early. */
static void
staged_bytes_of_many_connections_do_not_mix(void **state)
{
	struct service service = { 0 };
	const struct torc_counters counters = check_streams(NULL, &service,
	    NULL);

	(void)state;
	assert_true(counters.quiet_sends > 0);
}

/* Chunks of a few hundred bytes change all the time. */
static void
staged_bytes_do_not_mix_in_small_slabs(void **state)
{
	const struct torc_config config = { .slab_size = 128 };
	struct service service = { 0 };

	(void)state;
	check_streams(&config, &service, NULL);
}

/* A28: what a quiet send cannot send all of goes on loudly. */
static void
every_byte_is_sent_once_when_sends_fall_short(void **state)
{
	struct service service = { .send_buffer = TINY, .local = true };
	const struct torc_counters counters = check_streams(NULL, &service,
	    NULL);

	(void)state;
	assert_true(counters.quiet_sends > 0);
	assert_true(counters.short_sends > 0);
}

static void
streams_arrive_when_sends_are_never_quiet(void **state)
{
	struct service service = { 0 };
	const struct torc_counters counters = check_streams(NULL, &service,
	    be_loud);

	(void)state;
	assert_int_equal(counters.quiet_sends, 0);
	assert_true(counters.loud_sends > 0);
}

static void
streams_arrive_when_loud_sends_meet_full_sockets(void **state)
{
	struct service service = { .send_buffer = TINY, .local = true };
	const struct torc_counters counters = check_streams(NULL, &service,
	    be_loud);

	(void)state;
	assert_int_equal(counters.quiet_sends, 0);
}

/* A28: and what is not asked for as a whole may come in parts. */
static void
every_byte_is_sent_once_when_loud_sends_send_a_part(void **state)
{
	struct service service = { .send_buffer = TINY, .local = true };
	struct torc_counters counters;

	(void)state;
	atomic_store(&parts_allowed, true);
	counters = check_streams(NULL, &service, be_loud);
	/* Slabs that were not sent at once. */
	assert_true(counters.short_sends > 0);
}

/* A05: the submission queue is full all the time. */
static void
streams_arrive_through_a_submission_queue_of_four(void **state)
{
	const struct torc_config config = { .sq_entries = 4,
		.cq_entries = 8, .batch = 4 };
	struct service service = { .send_buffer = TINY, .local = true };
	const struct torc_counters counters = check_streams(&config, &service,
	    NULL);

	(void)state;
	assert_true(counters.sq_full > 0);
	assert_true(counters.short_sends > 0);
}

/* I6, I7: what the kernel does not take now is not lost. */
static void
streams_arrive_when_the_kernel_takes_nothing_for_a_while(void **state)
{
	const struct torc_config config = { .sq_entries = 4,
		.cq_entries = 64 };
	struct service service = { .send_buffer = TINY, .local = true };
	struct torc_counters counters;

	(void)state;
	atomic_store(&submits_refused, true);
	counters = check_streams(&config, &service, NULL);
	assert_true(atomic_load(&submit_refusals) > 0);
	assert_true(counters.short_sends > 0);
}

struct orders {
	int fd;
	unsigned count;
};

/* One order after the other, whether they are answered or not. */
static void *
send_orders(void *arg)
{
	const struct orders *orders = arg;

	for (unsigned i = 0; i < orders->count; i++) {
		const struct order order = { 11, i * 1000, 1000, 1000, 0 };

		while (send(orders->fd, &order, sizeof(order),
		    MSG_NOSIGNAL) < 0 && errno == EINTR)
			continue;
		torc_sys_sleep(50000);
	}
	return NULL;
}

/*
 * Without deferred task work a completion of a receive may come before that of
 * a send which was submitted before it: also then no byte is taken for sent
 * that is not.
 */
static void
streams_arrive_without_deferred_task_work(void **state)
{
	struct service service = { .send_buffer = TINY };
	struct orders orders = { .count = 1000 };
	struct torc_counters counters;
	struct server server;
	pthread_t thread;

	(void)state;
	refused_flags = IORING_SETUP_DEFER_TASKRUN;
	local_start(&server, NULL, serve_orders, &service);
	atomic_store(&enters_late, true);
	orders.fd = local_open();
	assert_int_equal(pthread_create(&thread, NULL, send_orders, &orders),
	    0);
	for (unsigned i = 0; i < orders.count / 2; i++) {
		client_stream(orders.fd, 11, i * 2000, 2000);
		torc_sys_sleep(100000);
	}
	pthread_join(thread, NULL);
	client_part(orders.fd);
	/* None can be quiet: there is no telling when it is over. */
	counters = server_counters(&server);
	assert_int_equal(counters.quiet_sends, 0);
	assert_true(counters.loud_sends > 0);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(atomic_load(&service.failed), 0);
}

/* Write before anything was received: the receive is being armed just then. */
static int
greet(struct torc_conn *conn, void *arg)
{
	if (torc_conn_write(conn, "hi", 2, TORC_NEVER) < 0)
		return -1;
	return serve_orders(conn, arg);
}

/* Few buffers, so that receives are armed anew all the time. */
static void
check_submissions(unsigned sq_entries)
{
	const struct torc_config config = { .buffers = 4, .buffers_start = 4,
		.buffer_size = 64, .sq_entries = sq_entries };
	struct service service = { .send_buffer = TINY };
	struct server server;
	struct client clients[12];
	const unsigned count = sizeof(clients) / sizeof(clients[0]);
	const uint32_t seed = new_seed();

	local_start(&server, &config, greet, &service);
	atomic_store(&watch.reactor, server.reactor);
	for (unsigned i = 0; i < count; i++)
		clients[i] = (struct client) {
			.slab = SLAB,
			.fd = local_open(),
			.key = seed + i,
			.orders = 50,
		};
	for (unsigned i = 0; i < count; i++)
		assert_true(client_read(clients[i].fd, (char[2]){ 0 }, 2));
	drive(clients, count, seed);
	for (unsigned i = 0; i < count; i++)
		client_part(clients[i].fd);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_stop(&server), 0);
	assert_true(watch.arms > count);
	assert_true(watch.quiets > 0);
	assert_true(watch.mixed > 0);
	assert_int_equal(watch.odd, 0);
	assert_int_equal(watch.together, 0);
}

static void
an_arm_and_a_quiet_send_of_one_connection_never_travel_together(void **state)
{
	(void)state;
	check_submissions(1024);
	refuse_nothing(state);
	check_submissions(8);
}

/* ---- Peers that do not read ---- */

/* Answers with their own mark, all of them complete, then both ends close. */
static void
come_and_go(unsigned port, uint32_t key)
{
	int fd = client_open(port);

	for (uint32_t i = 0; i < 10; i++)
		place_order(fd, key, i * 8000, 8000, 0);
	client_stream(fd, key, 0, 80000);
	client_part(fd);
}

/*
 * A29: 400 pipelined answers to a peer that stops reading, half-closes, and
 * reads later, while the slots and slabs of others are used again and again.
 */
static void
a_peer_that_stops_reading_gets_no_byte_of_another_connection(void **state)
{
	const struct torc_config config = { .connections = 65 };
	struct service service = { .send_buffer = 16384 };
	struct server server;
	unsigned one = 1;
	int slow, fd;

	(void)state;
	server_start(&server, &config, serve_orders, &service);
	slow = narrow_open(server.port);
	for (uint32_t i = 0; i < 400; i++)
		place_order(slow, 1, i * 8000, 8000, 8000);
	shutdown(slow, SHUT_WR);
	assert_true(server_await(&server, is_loud, &one, 5000));
	for (uint32_t i = 0; i < 128; i++)
		come_and_go(server.port, 1000 + i);
	/* It is still not through. */
	assert_int_equal(look(&server).busy, 1);
	assert_int_equal(server_connections(&server), 1);
	client_stream(slow, 1, 0, 400 * 8000);
	assert_true(client_sees_fin(slow));
	close(slow);
	fd = client_open(server.port);
	place_order(fd, 7, 0, 100, 100);
	client_stream(fd, 7, 0, 100);
	client_part(fd);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(atomic_load(&service.failed), 0);
}

/* A pipe on which a handler waits, elsewhere than on its connection. */
struct gate {
	int fds[2];
	atomic_int result;	/* of what the handler did meanwhile */
	atomic_uint passed;
};

static void
gate_open(struct gate *gate)
{
	assert_int_equal(pipe2(gate->fds, O_CLOEXEC), 0);
	atomic_init(&gate->result, 1);
	atomic_init(&gate->passed, 0);
}

static void
gate_let(struct gate *gate)
{
	assert_int_equal(write(gate->fds[1], "", 1), 1);
}

static void
gate_close(struct gate *gate)
{
	close(gate->fds[0]);
	close(gate->fds[1]);
}

/* Parks, on a handler. */
static int
gate_wait(struct gate *gate)
{
	char byte;

	return torc_fd_read(gate->fds[0], &byte, 1, TORC_STREAM, TORC_NEVER);
}

static bool
has_result(struct torc_reactor *reactor, void *arg)
{
	struct gate *gate = arg;

	(void)reactor;
	return atomic_load(&gate->result) <= 0;
}

/* Start a send that cannot end, and wait for something else. */
static int
send_and_wait_elsewhere(struct torc_conn *conn, void *arg)
{
	struct gate *gate = arg;
	struct torc_slice in;
	uint8_t bytes[SLAB];

	shrink(conn, TINY);
	stream_fill(5, 0, bytes, sizeof(bytes));
	torc_conn_recv(conn, &in, TORC_NEVER);
	for (unsigned i = 0; i < sizeof(bytes); i += 4096)
		torc_conn_write(conn, bytes + i, 4096, TORC_NEVER);
	/* The peer is silent: only what is staged is sent. */
	torc_conn_recv(conn, &in, torc_after_ms(1));
	atomic_fetch_add(&gate->passed, 1);
	gate_wait(gate);
	return TORC_CLOSE;
}

/* A30: the completion of a send finds a handler that waits elsewhere. */
static void
a_send_that_ends_while_its_handler_waits_elsewhere_leaks_nothing(void **state)
{
	struct server server;
	struct gate gate;
	unsigned fds;

	(void)state;
	gate_open(&gate);
	local_start(&server, NULL, send_and_wait_elsewhere, &gate);
	fds = count_fds();
	for (unsigned round = 1; round <= 5; round++) {
		uint64_t count = round;
		unsigned one = 1;
		int fd = local_open();

		client_send(fd, "x", 1);
		assert_true(server_await(&server, has_been_short, &count,
		    5000));
		assert_true(server_await(&server, is_loud, &one, 5000));
		client_stream(fd, 5, 0, SLAB);
		assert_true(server_await(&server, has_nothing_to_send, NULL,
		    5000));
		gate_let(&gate);
		client_part(fd);
		assert_true(server_await_connections(&server, 0));
		assert_true(await_fds(fds));
	}
	assert_int_equal(atomic_load(&gate.passed), 5);
	assert_int_equal(server_stop(&server), 0);
	gate_close(&gate);
}

/* What a handler saw of a peer that is gone. */
struct loss {
	uint32_t piece;
	int error;
	unsigned others;	/* writes that said something else then */
	size_t grown;
	atomic_bool over;
};

static int
write_to_nobody(struct torc_conn *conn, void *arg)
{
	static uint8_t bytes[100000];
	struct loss *loss = arg;
	size_t before;

	do
		loss->error = torc_conn_write(conn, bytes, loss->piece,
		    TORC_NEVER);
	while (loss->error == 0);
	before = resident_bytes();
	for (unsigned i = 0; i < 100000; i++)
		loss->others += torc_conn_write(conn, bytes, loss->piece,
		    TORC_NEVER) != loss->error;
	loss->others += torc_conn_flush(conn, TORC_NEVER) != loss->error;
	loss->grown = resident_bytes() - before;
	if ((ssize_t)loss->grown < 0)
		loss->grown = 0;
	atomic_store(&loss->over, true);
	return TORC_CLOSE;
}

static bool
is_over(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	return atomic_load((atomic_bool *)arg);
}

/* A27: 100 bytes or 100000 at a time: up to 10 GB that must not gather. */
static void
writing_to_a_peer_that_is_gone_fails_and_takes_no_memory(void **state)
{
	static const uint32_t pieces[] = { 100, 8000, 100000 };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct loss loss = { .piece = pieces[i] };
		struct server server;
		int fd;

		server_start(&server, NULL, write_to_nobody, &loss);
		fd = client_open(server.port);
		pause_ms(5);
		client_reset(fd);
		assert_true(server_await(&server, is_over, &loss.over,
		    20000));
		assert_true(loss.error == -EPIPE ||
		    loss.error == -ECONNRESET);
		assert_int_equal(loss.others, 0);
		assert_in_range(loss.grown, 0, 4 << 20);
		assert_true(server_await_connections(&server, 0));
		assert_int_equal(server_stop(&server), 0);
	}
}

/* ---- Deadlines ---- */

struct patience {
	uint32_t piece;
	uint32_t written;	/* by calls that said 0 */
	int error;		/* of the first write that did not */
	int again;		/* of one after it */
	int flushed;
	bool early;
	atomic_bool over;
};

static int
write_with_a_deadline(struct torc_conn *conn, void *arg)
{
	struct patience *patience = arg;
	uint8_t *bytes = malloc(patience->piece);
	torc_deadline deadline;

	shrink(conn, TINY);
	do {
		stream_fill(3, patience->written, bytes, patience->piece);
		deadline = torc_after_ms(50);
		patience->error = torc_conn_write(conn, bytes,
		    patience->piece, deadline);
		if (patience->error == 0)
			patience->written += patience->piece;
	} while (patience->error == 0);
	patience->early = !torc_passed(deadline);
	patience->again = torc_conn_write(conn, bytes, 1, TORC_NEVER);
	patience->flushed = torc_conn_flush(conn, TORC_NEVER);
	free(bytes);
	atomic_store(&patience->over, true);
	return TORC_CLOSE;
}

/*
 * A51: a write that its deadline has cut is the last one: nobody knows what of
 * it was sent. What the peer gets is a beginning, and not a FIN.
 */
static void
a_write_that_times_out_is_the_last_one_of_its_connection(void **state)
{
	static const uint32_t pieces[] = { 100, 8192, 8193, SLAB, 100000 };

	(void)state;
	for (unsigned i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct patience patience = { .piece = pieces[i] };
		struct server server;
		uint8_t bytes[4096];
		uint64_t got = 0;
		ssize_t rc;
		int fd;

		server_start(&server, NULL, write_with_a_deadline, &patience);
		fd = narrow_open(server.port);
		assert_true(server_await(&server, is_over, &patience.over,
		    HANG_MS));
		assert_int_equal(patience.error, -ETIMEDOUT);
		assert_int_equal(patience.again, -ETIMEDOUT);
		assert_int_equal(patience.flushed, -ETIMEDOUT);
		assert_false(patience.early);
		while ((rc = recv(fd, bytes, sizeof(bytes), 0)) > 0 ||
		    (rc < 0 && errno == EINTR)) {
			if (rc < 0)
				continue;
			assert_true(stream_matches(3, got, bytes,
			    (size_t)rc));
			got += (uint64_t)rc;
		}
		assert_int_equal(rc, -1);
		assert_int_equal(errno, ECONNRESET);
		assert_in_range(got, 0, patience.written + pieces[i]);
		close(fd);
		assert_true(server_await_connections(&server, 0));
		assert_int_equal(server_counters(&server).resets, 1);
		assert_int_equal(server_stop(&server), 0);
	}
}

static int
flush_with_a_deadline(struct torc_conn *conn, void *arg)
{
	struct gate *gate = arg;
	uint8_t bytes[SLAB];
	int rc;

	shrink(conn, TINY);
	stream_fill(4, 0, bytes, sizeof(bytes));
	for (unsigned i = 0; i < sizeof(bytes); i += 4096)
		torc_conn_write(conn, bytes + i, 4096, TORC_NEVER);
	rc = torc_conn_flush(conn, torc_after_ms(30));
	atomic_store(&gate->result, rc);
	gate_wait(gate);
	rc = torc_conn_write(conn, "end", 3, TORC_NEVER);
	if (rc == 0)
		rc = torc_conn_flush(conn, TORC_NEVER);
	return rc < 0 ? rc : TORC_CLOSE;
}

#define SEVEN_GIB ((size_t)7 << 30)

/* Writes more than 32 bits can count. */
static int
write_too_much(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	if (torc_conn_recv(conn, &in, TORC_NEVER) <= 0)
		return -1;
	return torc_conn_write(conn, arg, SEVEN_GIB, torc_after_ms(100));
}

static void
note_reactor(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	atomic_store(&watch.reactor, reactor);
}

/* a size is cut to what a send takes, and not to its lower bits. */
static void
a_write_of_more_than_32_bits_goes_in_pieces_that_the_kernel_takes(
    void **state)
{
	void *bytes = mmap(NULL, SEVEN_GIB, PROT_READ, MAP_PRIVATE |
	    MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct server server;
	int fd;

	(void)state;
	if (bytes == MAP_FAILED) {
		print_message("SKIP: no address space of 7 GiB\n");
		skip();
	}
	server_start(&server, NULL, write_too_much, bytes);
	server_call(&server, note_reactor, NULL);
	fd = client_open(server.port);
	client_send(fd, "go", 2);
	assert_true(server_await_connections(&server, 1));
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_counters(&server).resets, 1);
	assert_int_equal(server_stop(&server), 0);
	close(fd);
	munmap(bytes, SEVEN_GIB);
	assert_int_equal(watch.largest, LARGEST);
	assert_int_equal(watch.odd, 0);
}

/* The control: a flush only waits, and may be asked for again. */
static void
a_flush_that_times_out_has_lost_nothing(void **state)
{
	struct server server;
	struct gate gate;
	char end[3];
	int fd;

	(void)state;
	gate_open(&gate);
	local_start(&server, NULL, flush_with_a_deadline, &gate);
	fd = local_open();
	assert_true(server_await(&server, has_result, &gate, 5000));
	assert_int_equal(atomic_load(&gate.result), -ETIMEDOUT);
	gate_let(&gate);
	client_stream(fd, 4, 0, SLAB);
	assert_true(client_read(fd, end, 3));
	assert_memory_equal(end, "end", 3);
	client_part(fd);
	assert_int_equal(server_stop(&server), 0);
	gate_close(&gate);
}

static int
flush_nothing(struct torc_conn *conn, void *arg)
{
	struct gate *gate = arg;
	int rc = torc_conn_flush(conn, TORC_AT_ONCE);

	if (rc == 0)
		rc = torc_conn_write(conn, "", 0, TORC_AT_ONCE);
	if (rc == 0)
		rc = torc_conn_write(conn, "abc", 3, TORC_AT_ONCE);
	atomic_store(&gate->result, rc);
	return TORC_CLOSE;
}

/* A deadline in the past is only for those that would have to wait. */
static void
what_need_not_wait_has_no_deadline(void **state)
{
	struct server server;
	struct gate gate;
	char text[4];
	int fd;

	(void)state;
	gate_open(&gate);
	server_start(&server, NULL, flush_nothing, &gate);
	fd = client_open(server.port);
	assert_int_equal(client_read_all(fd, text, sizeof(text)), 3);
	assert_memory_equal(text, "abc", 3);
	assert_int_equal(atomic_load(&gate.result), 0);
	close(fd);
	assert_int_equal(server_stop(&server), 0);
	gate_close(&gate);
}

/* ---- Fibers that share a connection ---- */

struct share {
	struct torc_conn *conn;
	struct gate gate;
	uint32_t from;
	uint32_t size;
	int result;
};

static int
write_share(void *arg)
{
	struct share *share = arg;
	uint8_t *bytes = malloc(share->size);

	stream_fill(6, share->from, bytes, share->size);
	share->result = torc_conn_write(share->conn, bytes, share->size,
	    TORC_NEVER);
	free(bytes);
	return share->result;
}

/* One after the other: each is joined before the next one begins. */
static int
write_by_fibers(struct torc_conn *conn, void *arg)
{
	static const uint32_t sizes[] = { 10, 30000, 1, 8000, 8192, 50000 };
	struct share share = { .conn = conn };

	(void)arg;
	for (unsigned i = 0; i < 60; i++) {
		uint64_t id;
		int rc;

		share.size = sizes[i % 6];
		if (torc_fiber_spawn(&id, write_share, &share) < 0 ||
		    torc_fiber_join(id, &rc, TORC_NEVER) < 0 || rc < 0)
			return -1;
		share.from += share.size;
	}
	return TORC_CLOSE;
}

static void
fibers_that_write_in_turn_write_in_order(void **state)
{
	struct server server;
	int fd;

	(void)state;
	server_start(&server, NULL, write_by_fibers, NULL);
	fd = client_open(server.port);
	client_stream(fd, 6, 0, 10 * (10 + 30000 + 1 + 8000 + 8192 + 50000));
	client_part(fd);
	assert_int_equal(server_stop(&server), 0);
}

/* One fiber reads and one writes, at the same time. */
static int
read_and_write_at_once(struct torc_conn *conn, void *arg)
{
	struct share share = { .conn = conn, .size = 3000000 };
	struct torc_slice in;
	uint64_t id, got = 0;
	int rc;

	(void)arg;
	shrink(conn, 65536);
	if (torc_fiber_spawn(&id, write_share, &share) < 0)
		return -1;
	while ((rc = torc_conn_recv(conn, &in, TORC_NEVER)) > 0) {
		if (!stream_matches(8, got, in.data, in.size))
			return -1;
		got += in.size;
		torc_conn_consume(conn, in.size);
	}
	if (torc_fiber_join(id, &rc, TORC_NEVER) < 0 || rc < 0 ||
	    got != 3000000)
		return -1;
	return TORC_CLOSE;
}

static void *
send_stream(void *arg)
{
	uint8_t *bytes = malloc(3000000);
	int fd = *(int *)arg;

	stream_fill(8, 0, bytes, 3000000);
	for (ssize_t sent = 0, rc = 1; rc > 0 && sent < 3000000; sent += rc)
		rc = send(fd, bytes + sent, (size_t)(3000000 - sent),
		    MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	free(bytes);
	return NULL;
}

static void
one_fiber_may_read_while_another_one_writes(void **state)
{
	struct server server;
	pthread_t thread;
	int fd;

	(void)state;
	server_start(&server, NULL, read_and_write_at_once, NULL);
	fd = client_open(server.port);
	assert_int_equal(pthread_create(&thread, NULL, send_stream, &fd), 0);
	client_stream(fd, 6, 0, 3000000);
	pthread_join(thread, NULL);
	assert_true(client_sees_fin(fd));
	close(fd);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_counters(&server).resets, 0);
	assert_int_equal(server_stop(&server), 0);
}

/* Its size: that of the second write, while another one waits; 0: a flush. */
static int
write_while_another_one_does(struct torc_conn *conn, void *arg)
{
	static uint8_t bytes[9000];
	struct share share = { .conn = conn, .size = 8000000 };
	uint64_t id;

	torc_fiber_spawn(&id, write_share, &share);
	torc_yield();
	if (*(uint32_t *)arg > 0)
		torc_conn_write(conn, bytes, *(uint32_t *)arg, TORC_NEVER);
	else
		torc_conn_flush(conn, TORC_NEVER);
	torc_sleep(TORC_NEVER);
	return TORC_CLOSE;
}

static void
write_at_once(uint32_t size)
{
	struct server server;

	server_start(&server, NULL, write_while_another_one_does, &size);
	client_open(server.port);
	pause_ms(5000);
}

static void
write_much_at_once(void)
{
	write_at_once(9000);
}

static void
write_little_at_once(void)
{
	write_at_once(10);
}

static void
flush_at_once(void)
{
	write_at_once(0);
}

/* A25, A26: nobody could say in which order the bytes go. */
static void
a_write_while_another_fiber_writes_is_refused_loudly(void **state)
{
	(void)state;
	assert_traps(write_much_at_once, "two fibers write");
	assert_traps(write_little_at_once, "two fibers write");
	assert_traps(flush_at_once, "two fibers write");
}

/* ---- Sending beside a receive ---- */

static atomic_bool pushing;

static int
stage_twice(void *arg)
{
	torc_conn_write(arg, "on", 2, TORC_NEVER);
	if (atomic_load(&pushing))
		torc_conn_push(arg);
	torc_conn_write(arg, "ce", 2, TORC_NEVER);
	return 0;
}

/* Stage while the handler waits for input, which the client never sends. */
static int
stage_meanwhile(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	torc_fiber_spawn(NULL, stage_twice, conn);
	torc_conn_recv(conn, &in, torc_after_ms(300));
	return -1;
}

/* What is staged by another fiber than the one that receives. */
static void
what_is_staged_in_a_turn_is_sent_together_pushed_or_not(void **state)
{
	struct server server;
	char bytes[4];

	(void)state;
	server_start(&server, NULL, stage_meanwhile, NULL);
	for (unsigned push = 0; push < 2; push++) {
		int fd;

		atomic_store(&pushing, push == 1);
		fd = client_open(server.port);
		assert_true(client_read(fd, bytes, 4));
		assert_memory_equal(bytes, "once", 4);
		assert_int_equal(server_counters(&server).quiet_sends +
		    server_counters(&server).loud_sends, push + 1);
		close(fd);
	}
	assert_int_equal(server_stop(&server), 0);
}

/* ---- The memory of staged bytes ---- */

/*
 * Behind a quiet send that falls short: a few staged bytes and then a large
 * write, which waits with them.
 */
static int
write_behind_a_short_send(struct torc_conn *conn, void *arg)
{
	struct gate *gate = arg;
	struct torc_slice in;
	uint8_t bytes[40000];
	int rc = 1;

	shrink(conn, TINY);
	stream_fill(9, 0, bytes, sizeof(bytes));
	/* At the end of input, asking for more does not wait. */
	while (rc > 0)
		rc = torc_conn_recv(conn, &in, TORC_NEVER);
	for (unsigned i = 0; i < 15000; i += 5000)
		torc_conn_write(conn, bytes + i, 5000, TORC_NEVER);
	torc_conn_recv(conn, &in, TORC_NEVER);
	torc_conn_write(conn, bytes + 15000, 1000, TORC_NEVER);
	atomic_fetch_add(&gate->passed, 1);
	rc = torc_conn_write(conn, bytes + 16000, 24000, TORC_NEVER);
	return rc < 0 ? rc : TORC_CLOSE;
}

/* A29, for bytes that wait in front of a large write. */
static void
staged_bytes_that_wait_before_a_large_write_are_kept(void **state)
{
	struct service service = { 0 };
	uint64_t one = 1;
	struct server server;
	struct gate gate;
	int slow, fd;

	(void)state;
	gate_open(&gate);
	server_start(&server, NULL, serve_orders, &service);
	local_listen(&server, write_behind_a_short_send, &gate);
	slow = local_open();
	shutdown(slow, SHUT_WR);
	assert_true(server_await(&server, has_been_short, &one, 5000));
	assert_int_equal(atomic_load(&gate.passed), 1);
	fd = client_open(server.port);
	for (uint32_t i = 0; i < 200; i++) {
		place_order(fd, 0x7f00, i * SLAB, SLAB, SLAB / 4);
		client_stream(fd, 0x7f00, i * SLAB, SLAB);
	}
	client_part(fd);
	client_stream(slow, 9, 0, 40000);
	assert_true(client_sees_fin(slow));
	close(slow);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(atomic_load(&service.failed), 0);
	gate_close(&gate);
}

static int
write_nothing_and_wait(struct torc_conn *conn, void *arg)
{
	struct gate *gate = arg;
	int rc = torc_conn_write(conn, "", 0, TORC_NEVER);

	atomic_store(&gate->result, rc);
	gate_wait(gate);
	return TORC_CLOSE;
}

static void
a_write_of_nothing_holds_no_memory(void **state)
{
	struct server server;
	struct gate gate;
	int fd;

	(void)state;
	gate_open(&gate);
	server_start(&server, NULL, write_nothing_and_wait, &gate);
	fd = client_open(server.port);
	assert_true(server_await(&server, has_result, &gate, 5000));
	assert_int_equal(atomic_load(&gate.result), 0);
	assert_int_equal(look(&server).pins, 0);
	gate_let(&gate);
	client_part(fd);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(look(&server).pins, 0);
	assert_int_equal(server_stop(&server), 0);
	gate_close(&gate);
}

/* Stage what was asked for, then wait: for the gate if that is 'w'. */
static int
stage_and_wait(struct torc_conn *conn, void *arg)
{
	static const uint8_t bytes[SLAB];
	struct gate *gate = arg;
	struct torc_slice in;

	while (torc_conn_recv(conn, &in, TORC_NEVER) > 0) {
		const bool wait = in.data[0] == 'w';

		torc_conn_consume(conn, in.size);
		for (unsigned i = 0; i < (wait ? SLAB : 100u); i += 100)
			torc_conn_write(conn, bytes, i + 100 > SLAB ?
			    SLAB - i : 100, TORC_NEVER);
		atomic_fetch_add(&gate->passed, 1);
		if (wait)
			gate_wait(gate);
	}
	return TORC_CLOSE;
}

static void
go_round(int fd, unsigned times)
{
	char back[100];

	for (unsigned i = 0; i < times; i++) {
		client_send(fd, "x", 1);
		assert_true(client_read(fd, back, sizeof(back)));
	}
}

static bool
has_passed(struct torc_reactor *reactor, void *arg)
{
	const unsigned *count = ((void **)arg)[1];
	struct gate *gate = ((void **)arg)[0];

	(void)reactor;
	return atomic_load(&gate->passed) >= *count;
}

static void
check_growth(unsigned waiters)
{
	static char back[SLAB];
	struct server server;
	struct gate gate;
	int waiting[100], fd;

	gate_open(&gate);
	server_start(&server, NULL, stage_and_wait, &gate);
	for (unsigned i = 0; i < waiters; i++) {
		waiting[i] = client_open(server.port);
		client_send(waiting[i], "w", 1);
	}
	assert_true(server_await(&server, has_passed,
	    (void *[]){ &gate, &waiters }, 5000));
	fd = client_open(server.port);
	go_round(fd, 5000);
	assert_in_range(look(&server).chunks, 0, waiters / 4 + 16);
	for (unsigned i = 0; i < waiters; i++)
		gate_let(&gate);
	for (unsigned i = 0; i < waiters; i++) {
		assert_true(client_read(waiting[i], back, sizeof(back)));
		client_part(waiting[i]);
	}
	client_part(fd);
	assert_int_equal(server_stop(&server), 0);
	gate_close(&gate);
}

/* Handlers that wait with bytes staged hold their chunks, and no more. */
static void
memory_does_not_grow_behind_handlers_that_wait(void **state)
{
	(void)state;
	check_growth(1);
	check_growth(100);
}

/* A23: what a moment of many staged bytes took is given back. */
static void
memory_of_many_staged_bytes_is_given_back(void **state)
{
	static char back[SLAB];
	struct server server;
	struct gate gate;
	int fds[200];
	int fd;

	(void)state;
	gate_open(&gate);
	server_start(&server, NULL, stage_and_wait, &gate);
	for (unsigned i = 0; i < 200; i++) {
		fds[i] = client_open(server.port);
		client_send(fds[i], "w", 1);
	}
	assert_true(server_await(&server, has_passed,
	    (void *[]){ &gate, &(unsigned){ 200 } }, 5000));
	for (unsigned i = 0; i < 200; i++)
		gate_let(&gate);
	for (unsigned i = 0; i < 200; i++) {
		assert_true(client_read(fds[i], back, sizeof(back)));
		client_part(fds[i]);
	}
	fd = client_open(server.port);
	go_round(fd, 500);
	client_part(fd);
	/* 200 x 16 KB were 50 chunks of 64 KB. */
	assert_in_range(look(&server).chunks, 0, 8);
	assert_true(server_await(&server, has_nothing_to_send, NULL, 5000));
	assert_int_equal(server_stop(&server), 0);
	gate_close(&gate);
}

static void
see_slabs(struct torc_reactor *reactor, void *arg)
{
	const struct torc_net *net = reactor->layer_state;
	const struct torc_conn *conn = NULL;

	*(unsigned *)arg = 0;
	while ((conn = torc_slots_each(&net->conns, conn)) != NULL)
		*(unsigned *)arg += conn->slab != NULL;
}

/* Stage what was ordered, then wait for the gate. */
static int
stage_order_and_wait(struct torc_conn *conn, void *arg)
{
	struct gate *gate = arg;
	struct torc_slice in = { NULL, 0 };
	struct order order;
	int rc = 1;

	while (rc > 0 && in.size < sizeof(order))
		rc = torc_conn_recv(conn, &in, TORC_NEVER);
	memcpy(&order, in.data, sizeof(order));
	if (answer(conn, &order) < 0)
		return -1;
	atomic_fetch_add(&gate->passed, 1);
	gate_wait(gate);
	return TORC_CLOSE;
}

/* The first one may have any size: the last one ends where the chunk does. */
static void
chunks_are_filled_to_their_last_byte_and_not_beyond(void **state)
{
	const struct torc_config config = { .slab_size = 64 };
	struct server server;
	struct gate gate;
	unsigned passed = 0;
	int fds[9];

	(void)state;
	gate_open(&gate);
	server_start(&server, &config, stage_order_and_wait, &gate);
	for (uint32_t first = 1; first <= 32; first++) {
		for (uint32_t i = 0; i < 9; i++) {
			fds[i] = client_open(server.port);
			place_order(fds[i], 100 * first + i, 0,
			    i == 0 ? first : 32, 32);
			passed++;
			assert_true(server_await(&server, has_passed,
			    (void *[]){ &gate, &passed }, 5000));
		}
		for (unsigned i = 0; i < 9; i++)
			gate_let(&gate);
		for (uint32_t i = 0; i < 9; i++) {
			client_stream(fds[i], 100 * first + i, 0,
			    i == 0 ? first : 32);
			client_part(fds[i]);
		}
	}
	assert_int_equal(server_stop(&server), 0);
	gate_close(&gate);
}

static unsigned
count_slabs(struct server *server)
{
	unsigned count;

	server_call(server, see_slabs, &count);
	return count;
}

/* A23: of the slabs that slow peers needed, few are kept. */
static void
slabs_of_slow_peers_are_given_back(void **state)
{
	struct service service = { .send_buffer = TINY };
	struct server server;
	unsigned count = 100;
	int fds[100];

	(void)state;
	server_start(&server, NULL, serve_orders, &service);
	for (unsigned i = 0; i < 100; i++) {
		fds[i] = narrow_open(server.port);
		place_order(fds[i], i, 0, 120000, 8000);
	}
	assert_true(server_await(&server, is_loud, &count, 5000));
	assert_int_equal(count_slabs(&server), 100);
	for (unsigned i = 0; i < 100; i++)
		client_stream(fds[i], i, 0, 120000);
	assert_true(server_await(&server, has_nothing_to_send, NULL, 5000));
	assert_int_equal(count_slabs(&server), 0);
	assert_in_range(look(&server).slabs, 1, TORC_SLABS_KEPT);
	for (unsigned i = 0; i < 100; i++)
		client_part(fds[i]);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(atomic_load(&service.failed), 0);
}

/* ---- No memory ---- */

#define RARE 5000u	/* a size of slabs that nothing else has */

struct shortage {
	struct gate gate;
	bool flush;
	int written;
	int flushed;
	int later;		/* the same when there is memory */
};

/* Connections whose bytes fill a chunk. */
static struct torc_conn *holders[4];

static int
hold_bytes(struct torc_conn *conn, void *arg)
{
	struct gate *gate = arg;

	holders[atomic_fetch_add(&gate->passed, 1)] = conn;
	gate_wait(gate);
	return TORC_CLOSE;
}

static void
fill_chunk(const struct gate *gate)
{
	static const uint8_t bytes[RARE / 2];

	for (unsigned i = 0; i < atomic_load(&gate->passed); i++) {
		torc_conn_write(holders[i], bytes, sizeof(bytes), TORC_NEVER);
		torc_conn_write(holders[i], bytes, sizeof(bytes), TORC_NEVER);
	}
}

static int
write_without_memory(struct torc_conn *conn, void *arg)
{
	struct shortage *shortage = arg;
	uint8_t bytes[100];

	stream_fill(2, 0, bytes, sizeof(bytes));
	fill_chunk(&shortage->gate);
	shortage->written = torc_conn_write(conn, bytes, sizeof(bytes),
	    TORC_NEVER);
	if (shortage->flush)
		shortage->flushed = torc_conn_flush(conn, TORC_NEVER);
	atomic_store(&refused_size, 0);
	shortage->later = torc_conn_write(conn, bytes, sizeof(bytes),
	    TORC_NEVER);
	atomic_store(&shortage->gate.result, 0);
	return TORC_CLOSE;
}

static void
shortage_start(struct shortage *shortage, struct server *server)
{
	const struct torc_config config = { .slab_size = RARE };

	gate_open(&shortage->gate);
	server_start(server, &config, hold_bytes, &shortage->gate);
	local_listen(server, write_without_memory, shortage);
}

/* A connection that comes while allocations of this size fail. */
static int
shortage_open(struct shortage *shortage, struct server *server, size_t size)
{
	int fd;

	atomic_store(&refused_size, size);
	fd = local_open();
	assert_true(server_await(server, has_result, &shortage->gate, 5000));
	assert_true(atomic_load(&refusals) > 0);
	return fd;
}

/* Nothing was staged, and nothing is spoilt. */
static void
a_write_that_finds_no_memory_may_be_tried_again(void **state)
{
	struct shortage shortage = { .flush = false };
	struct server server;
	int fds[4], fd;

	(void)state;
	shortage_start(&shortage, &server);
	/* They will have all of the first chunk. */
	for (unsigned i = 0; i < 4; i++)
		fds[i] = client_open(server.port);
	assert_true(server_await(&server, has_passed,
	    (void *[]){ &shortage.gate, &(unsigned){ 4 } }, 5000));
	fd = shortage_open(&shortage, &server,
	    sizeof(struct torc_chunk) + 4 * RARE);
	assert_int_equal(shortage.written, -ENOMEM);
	assert_int_equal(shortage.later, 0);
	client_stream(fd, 2, 0, 100);
	client_part(fd);
	for (unsigned i = 0; i < 4; i++) {
		gate_let(&shortage.gate);
		close(fds[i]);
	}
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_stop(&server), 0);
	gate_close(&shortage.gate);
}

/* Bytes were staged and cannot be sent: that ends the connection. */
static void
a_flush_that_finds_no_memory_fails_and_does_not_wait(void **state)
{
	struct shortage shortage = { .flush = true };
	struct server server;
	int fd;

	(void)state;
	shortage_start(&shortage, &server);
	fd = shortage_open(&shortage, &server, 2 * RARE);
	assert_int_equal(shortage.written, 0);
	assert_int_equal(shortage.flushed, -ENOMEM);
	assert_int_equal(shortage.later, -ENOMEM);
	assert_true(server_await_connections(&server, 0));
	close(fd);
	assert_int_equal(server_counters(&server).resets, 1);
	assert_int_equal(server_stop(&server), 0);
	gate_close(&shortage.gate);
}

struct unanswered {
	struct gate gate;
	bool late;		/* after the kernel has taken a part */
	int received;
	int later;
};

/* Ask, in one way or the other, and wait for an answer. */
static int
ask_without_memory(struct torc_conn *conn, void *arg)
{
	struct unanswered *unanswered = arg;
	struct torc_slice in;
	uint8_t bytes[RARE];

	stream_fill(2, 0, bytes, sizeof(bytes));
	if (unanswered->late) {
		shrink(conn, TINY);
		/* Then the receive is armed. */
		torc_conn_recv(conn, &in, torc_after_ms(1));
	}
	for (unsigned i = 0; i < 4; i++)
		torc_conn_write(conn, bytes, RARE, TORC_NEVER);
	unanswered->received = torc_conn_recv(conn, &in,
	    torc_after_ms(HANG_MS));
	atomic_store(&refused_size, 0);
	unanswered->later = torc_conn_write(conn, bytes, 1, TORC_NEVER);
	atomic_store(&unanswered->gate.result, 0);
	return TORC_CLOSE;
}

/* The question was lost, at once or when not all of it could be sent. */
static void
who_waits_for_an_answer_hears_that_memory_was_short(void **state)
{
	const struct torc_config config = { .slab_size = 4 * RARE };

	(void)state;
	for (unsigned late = 0; late < 2; late++) {
		struct unanswered unanswered = { .late = late };
		struct server server;
		int fd;

		gate_open(&unanswered.gate);
		local_start(&server, &config, ask_without_memory,
		    &unanswered);
		atomic_store(&refusals, 0);
		atomic_store(&refused_size, 8 * RARE);
		fd = local_open();
		assert_true(server_await(&server, has_result,
		    &unanswered.gate, 2 * HANG_MS));
		assert_int_equal(atomic_load(&refusals), 1);
		assert_int_equal(unanswered.received, -ENOMEM);
		assert_int_equal(unanswered.later, -ENOMEM);
		assert_true(server_await_connections(&server, 0));
		close(fd);
		assert_int_equal(server_stop(&server), 0);
		gate_close(&unanswered.gate);
	}
}

/* ---- Ends ---- */

static int
write_without_end(struct torc_conn *conn, void *arg)
{
	static uint8_t bytes[100000];
	struct loss *loss = arg;

	do
		loss->error = torc_conn_write(conn, bytes, loss->piece,
		    TORC_NEVER);
	while (loss->error == 0);
	loss->others += torc_conn_write(conn, bytes, 1, TORC_NEVER) == 0;
	return TORC_CLOSE;
}

/* A09: a stop does not wait for a peer. */
static void
a_stop_ends_a_write_that_waits(void **state)
{
	static const uint32_t pieces[] = { 100, 100000 };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct loss loss = { .piece = pieces[i] };
		struct server server;
		unsigned one = 1;
		int fd;

		server_start(&server, NULL, write_without_end, &loss);
		fd = narrow_open(server.port);
		assert_true(server_await(&server, is_loud, &one, 5000));
		assert_int_equal(server_stop(&server), 0);
		assert_int_equal(loss.error, -ECANCELED);
		assert_int_equal(loss.others, 0);
		close(fd);
	}
}

#define CLAIM(test) cmocka_unit_test_teardown(test, refuse_nothing)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
		    slices_leave_in_one_send_with_what_was_staged_before,
		    refuse_nothing),
		cmocka_unit_test_setup(
		    slices_that_are_not_taken_in_time_are_the_last_ones,
		    refuse_nothing),
	CLAIM(a_body_of_eight_slabs_arrives_byte_exact_however_it_is_written),
	CLAIM(static_bytes_arrive_and_are_not_copied_if_they_need_not_be),
	CLAIM(answers_of_every_size_around_the_slab_s_arrive),
	CLAIM(staged_bytes_of_many_connections_do_not_mix),
	CLAIM(staged_bytes_do_not_mix_in_small_slabs),
	CLAIM(every_byte_is_sent_once_when_sends_fall_short),
	CLAIM(streams_arrive_when_sends_are_never_quiet),
	CLAIM(streams_arrive_when_loud_sends_meet_full_sockets),
	CLAIM(every_byte_is_sent_once_when_loud_sends_send_a_part),
	CLAIM(streams_arrive_through_a_submission_queue_of_four),
	CLAIM(streams_arrive_when_the_kernel_takes_nothing_for_a_while),
	CLAIM(streams_arrive_without_deferred_task_work),
	CLAIM(an_arm_and_a_quiet_send_of_one_connection_never_travel_together),
	CLAIM(a_peer_that_stops_reading_gets_no_byte_of_another_connection),
	CLAIM(a_send_that_ends_while_its_handler_waits_elsewhere_leaks_nothing),
	CLAIM(writing_to_a_peer_that_is_gone_fails_and_takes_no_memory),
	CLAIM(a_write_that_times_out_is_the_last_one_of_its_connection),
	CLAIM(a_write_of_more_than_32_bits_goes_in_pieces_that_the_kernel_takes),
	CLAIM(a_flush_that_times_out_has_lost_nothing),
	CLAIM(what_need_not_wait_has_no_deadline),
	CLAIM(fibers_that_write_in_turn_write_in_order),
	CLAIM(one_fiber_may_read_while_another_one_writes),
	CLAIM(a_write_while_another_fiber_writes_is_refused_loudly),
	CLAIM(staged_bytes_that_wait_before_a_large_write_are_kept),
	CLAIM(a_write_of_nothing_holds_no_memory),
	CLAIM(memory_does_not_grow_behind_handlers_that_wait),
	CLAIM(memory_of_many_staged_bytes_is_given_back),
	CLAIM(chunks_are_filled_to_their_last_byte_and_not_beyond),
	CLAIM(slabs_of_slow_peers_are_given_back),
	CLAIM(a_write_that_finds_no_memory_may_be_tried_again),
	CLAIM(a_flush_that_finds_no_memory_fails_and_does_not_wait),
	CLAIM(who_waits_for_an_answer_hears_that_memory_was_short),
	CLAIM(a_stop_ends_a_write_that_waits),
	CLAIM(what_is_staged_in_a_turn_is_sent_together_pushed_or_not),
	};

	stream_fill(STATIC_KEY, 0, static_stream, sizeof(static_stream));
	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("send", tests, NULL, NULL);
}
