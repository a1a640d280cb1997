/*
 * send.c - staged bytes to the kernel: quietly where they fit into the
 * socket, loudly where they do not.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "conn/conn.h"
#include "conn/net.h"
#include "conn/recv.h"
#include "conn/send.h"
#include "conn/torc_protocol.h"
#include "reactor/fiber.h"
#include "sys/sys.h"

#define SEND_MAX (1u << 30)	/* bytes in one send; the kernel takes 2^31-1 */

#define CHUNK_TRIES 8		/* chunks looked at before one is made */
#define CHUNKS_KEPT 4u		/* more are freed, one a turn */

/* ---- Chunks ---- */

struct torc_chunk *
torc_send_chunk(struct torc_net *net)
{
	struct torc_chunk *chunk = torc_sys_alloc(sizeof(*chunk) +
	    net->chunk_size);

	if (chunk != NULL)
		net->chunk_count++;
	return chunk;
}

static bool
chunk_is_over(const struct torc_net *net, const struct torc_chunk *chunk)
{
	return chunk->pins == 0 &&
	    net->reactor->settled >= chunk->mark;
}

/*
 * One of the oldest chunks, taken out, if it is over; else NULL. One that is
 * pinned may be so for long: it goes to the end.
 */
static struct torc_chunk *
take_chunk(struct torc_net *net)
{
	for (int i = 0; i < CHUNK_TRIES; i++) {
		struct torc_node *node = torc_list_take(&net->chunks);
		struct torc_chunk *chunk;

		if (node == NULL)
			return NULL;
		chunk = torc_container(node, struct torc_chunk, node);
		if (chunk_is_over(net, chunk))
			return chunk;
		torc_list_append(&net->chunks, node);
	}
	return NULL;
}

/* Go on with a chunk that is over, or a new one. False: no memory. */
static bool
change_chunk(struct torc_net *net)
{
	struct torc_chunk *chunk = take_chunk(net);

	if (chunk == NULL)
		chunk = torc_send_chunk(net);
	if (chunk == NULL)
		return false;
	chunk->top = 0;
	chunk->mark = net->reactor->settled;
	torc_list_append(&net->chunks, &net->chunk->node);
	net->chunk = chunk;
	return true;
}

void
torc_send_rotate(struct torc_net *net)
{
	struct torc_chunk *chunk = net->chunk;

	if (torc_unlikely(net->chunk_count > CHUNKS_KEPT)) {
		struct torc_chunk *spare = take_chunk(net);

		if (spare != NULL) {
			torc_sys_free(spare);
			net->chunk_count--;
		}
	}
	if (chunk->top == 0)
		return;
	/* One with bytes that wait for their handler is filled further: it
	 * cannot be used again soon. */
	if (chunk_is_over(net, chunk))
		chunk->top = 0;
	else if (chunk->pins == 0)
		change_chunk(net);
}

static void
unpin(struct torc_conn *conn)
{
	struct torc_chunk *chunk = conn->chunk;

	if (chunk == NULL)
		return;
	torc_assert(chunk->pins > 0);
	chunk->pins--;
	conn->chunk = NULL;
}

/*
 * Room for `size` bytes behind those that are staged, which move to the end of
 * the chunk, or to another one, if something else lies behind them. NULL: no
 * memory.
 */
static __attribute__((noinline)) uint8_t *
find_room(struct torc_conn *conn, uint32_t size)
{
	struct torc_net *net = conn->net;
	struct torc_chunk *chunk = net->chunk;
	uint32_t whole = conn->staged_size + size;
	uint8_t *bytes;

	if (whole > net->chunk_size - chunk->top) {
		if (!change_chunk(net))
			return NULL;
		chunk = net->chunk;
	}
	bytes = chunk->bytes + chunk->top;
	if (conn->staged_size > 0)
		memcpy(bytes, conn->staged, conn->staged_size);
	unpin(conn);
	chunk->top += whole;
	chunk->pins++;
	conn->chunk = chunk;
	conn->staged = bytes;
	return bytes + conn->staged_size;
}

/*
 * Bytes of one connection at a time may wait to be sent by its own calls, and
 * for the end of the turn. Those of another one are to leave by themselves.
 */
static void
begin_staging(struct torc_conn *conn)
{
	struct torc_conn *other = conn->net->unsent;

	if (other != conn && other->staged_size > 0)
		torc_conn_push(other);
	conn->net->unsent = conn;
}

static int
stage(struct torc_conn *conn, const void *data, uint32_t size)
{
	struct torc_chunk *chunk = conn->net->chunk;
	uint8_t *to = chunk->bytes + chunk->top;

	begin_staging(conn);
	if (conn->chunk == chunk &&
	    conn->staged + conn->staged_size == to &&
	    size <= conn->net->chunk_size - chunk->top)
		chunk->top += size;
	else
		to = find_room(conn, size);
	if (to == NULL)
		return -ENOMEM;
	conn->staged_size += size;
	memcpy(to, data, size);
	return 0;
}

/* ---- Slabs ---- */

/* What a quiet send left, and what was staged behind it, fit into one. */
static uint32_t
slab_size(const struct torc_net *net)
{
	return net->reactor->config.slab_size * 2;
}

static uint8_t *
take_slab(struct torc_net *net)
{
	uint8_t *slab = net->slabs;

	if (slab == NULL)
		return torc_sys_alloc(slab_size(net));
	memcpy(&net->slabs, slab, sizeof(net->slabs));
	net->slab_count--;
	return slab;
}

static void
give_slab(struct torc_net *net, uint8_t *slab)
{
	if (net->slab_count == TORC_SLABS_KEPT) {
		torc_sys_free(slab);
		return;
	}
	memcpy(slab, &net->slabs, sizeof(net->slabs));
	net->slabs = slab;
	net->slab_count++;
}

static void
drop_slab(struct torc_conn *conn)
{
	if (conn->slab == NULL)
		return;
	give_slab(conn->net, conn->slab);
	conn->slab = NULL;
	conn->slabbed = false;
	conn->slab_start = 0;
	conn->slab_end = 0;
}

/* ---- Submission ---- */

/* A quiet send whose submission is not settled: its bytes are still needed. */
static bool
quiet_pending(struct torc_conn *conn)
{
	if (conn->sent_size > 0 &&
	    conn->reactor->settled >= conn->send_mark)
		conn->sent_size = 0;
	return conn->sent_size > 0;
}

/* NULL: there is no room, and the connection is looked at again. */
static struct io_uring_sqe *
claim(struct torc_conn *conn)
{
	struct io_uring_sqe *sqe = torc_reactor_claim(conn->reactor);

	if (sqe == NULL)
		torc_reactor_later(conn->reactor, &conn->todo);
	return sqe;
}

static void
send_quietly(struct torc_conn *conn)
{
	struct io_uring_sqe *sqe = claim(conn);

	if (sqe != NULL)
		torc_send_with(conn->reactor, conn, sqe);
}

/* From memory that stays put until the completion. */
static void
send_loudly(struct torc_conn *conn, const uint8_t *data, uint32_t size)
{
	struct io_uring_sqe *sqe = claim(conn);

	if (sqe == NULL)
		return;
	torc_send_fill(sqe, conn, data, size, 0, 0);
	conn->send_mark = conn->reactor->ring.sq_claimed;
	conn->reactor->counters->loud_sends++;
	conn->loud = true;
	conn->loud_size = size;
}

static void
send_job(struct torc_conn *conn)
{
	struct torc_job *job = conn->job;
	const struct iovec *last = job->message.msg_iov;
	struct io_uring_sqe *sqe;

	if (job->message.msg_iovlen == 1) {
		send_loudly(conn, last->iov_base, last->iov_len < SEND_MAX ?
		    (uint32_t)last->iov_len : SEND_MAX);
		return;
	}
	sqe = claim(conn);
	if (sqe == NULL)
		return;
	torc_send_fill(sqe, conn, &job->message, 1, 0, 0);
	sqe->opcode = IORING_OP_SENDMSG;
	conn->send_mark = conn->reactor->ring.sq_claimed;
	conn->reactor->counters->loud_sends++;
	conn->loud = true;
}

/* Into a slab, behind what is there. There is room: see slab_size(). */
static bool
stow(struct torc_conn *conn, const uint8_t *data, uint32_t size)
{
	if (conn->slab == NULL)
		conn->slab = take_slab(conn->net);
	if (conn->slab == NULL)
		return false;
	conn->slabbed = true;
	torc_assert(size <= slab_size(conn->net) - conn->slab_end);
	memcpy(conn->slab + conn->slab_end, data, size);
	conn->slab_end += size;
	return true;
}

/* Move what is staged in a chunk to a slab. */
static void
stow_staged(struct torc_conn *conn)
{
	if (conn->staged_size > 0 &&
	    !stow(conn, conn->staged, conn->staged_size)) {
		torc_send_spoil(conn, -ENOMEM);
		return;
	}
	conn->staged_size = 0;
	unpin(conn);
}

bool
torc_send_idle(struct torc_conn *conn)
{
	return conn->staged_size == 0 && conn->slab == NULL && !conn->loud &&
	    conn->job == NULL && !quiet_pending(conn);
}

void
torc_send_discard(struct torc_conn *conn)
{
	torc_assert(!conn->loud);
	conn->staged_size = 0;
	conn->urgent = false;
	unpin(conn);
	drop_slab(conn);
}

void
torc_send_spoil(struct torc_conn *conn, int error)
{
	if (conn->spoiled)
		return;
	conn->spoiled = true;
	conn->send_error = error;
	/* The peer does not know: it has nothing to answer. */
	if (error == -ENOMEM || error == -ENOBUFS)
		torc_recv_fail(conn, -ENOMEM);
}

/* Tell the kernel to give the loud send up, now or when there is room. */
static void
abort_loud(struct torc_conn *conn)
{
	if (torc_reactor_cancel(conn->reactor, conn->send_tag))
		conn->aborting = false;
	else
		torc_reactor_later(conn->reactor, &conn->todo);
}

void
torc_send_advance(struct torc_conn *conn)
{
	const struct torc_ring *ring = &conn->reactor->ring;

	if (conn->arming && ring->sq_taken >= conn->arm_mark)
		conn->arming = 0;
	if (conn->spoiled && !conn->loud)
		torc_send_discard(conn);
	if (conn->loud) {
		if (conn->aborting)
			abort_loud(conn);
		return;
	}
	conn->aborting = false;
	if (quiet_pending(conn)) {
		if (conn->urgent || conn->writer != NULL || conn->doomed)
			torc_reactor_later(conn->reactor, &conn->todo);
		return;
	}
	if (conn->slab != NULL)
		send_loudly(conn, conn->slab + conn->slab_start,
		    conn->slab_end - conn->slab_start);
	else if (conn->job != NULL && conn->send_error == 0)
		send_job(conn);
	else if (conn->staged_size > 0 && conn->urgent &&
	    torc_send_may_be_quiet(conn))
		send_quietly(conn);
	else if (conn->staged_size > 0 && conn->urgent) {
		stow_staged(conn);
		torc_send_advance(conn);
	}
}

/* ---- Completions ---- */

/*
 * -EPIPE alone says that there was a FIN before: the kernel tells it of a
 * connection that is reset after that, or of one whose error was told.
 */
static void
fail(struct torc_conn *conn, int32_t result)
{
	conn->reactor->counters->send_failures++;
	if (result != -EPIPE && result != -ECANCELED)
		conn->lost = torc_conn_error(result);
	torc_send_spoil(conn, torc_conn_error(result));
}

/* A quiet send could not send all: -EAGAIN or the number of bytes. */
static void
finish_quiet(struct torc_conn *conn, int32_t result)
{
	uint32_t done = result > 0 ? (uint32_t)result : 0;
	uint8_t *rest = conn->sent + done;
	uint32_t size = conn->sent_size - done;

	torc_assert(done <= conn->sent_size);
	conn->reactor->counters->short_sends++;
	conn->reactor->counters->sent -= size;
	conn->sent_size = 0;
	if (result < 0 && result != -EAGAIN && result != -EINTR) {
		fail(conn, result);
		return;
	}
	if (size > 0 && !stow(conn, rest, size))
		torc_send_spoil(conn, -ENOMEM);
	else
		stow_staged(conn);
}

/* Take `size` sent bytes off the front of a job. True: it is done. */
static bool
advance_job(struct torc_job *job, size_t size)
{
	struct iovec *part = job->message.msg_iov;

	while (job->message.msg_iovlen > 0 && size >= part->iov_len) {
		size -= part->iov_len;
		part++;
		job->message.msg_iovlen--;
	}
	job->message.msg_iov = part;
	if (job->message.msg_iovlen == 0)
		return true;
	part->iov_base = (uint8_t *)part->iov_base + size;
	part->iov_len -= size;
	return false;
}

/*
 * A loud send that is short, and was not told to end, was ended by an error
 * that it does not tell: what it did send counts more.
 */
static void
finish_loud(struct torc_conn *conn, int32_t result)
{
	const bool recalled = conn->recalled;
	bool whole;

	conn->loud = false;
	conn->recalled = false;
	if (recalled && result == -ECANCELED)
		return;
	if (result < 0 && result != -EINTR && result != -EAGAIN) {
		fail(conn, result);
		return;
	}
	if (result < 0)
		result = 0;
	conn->reactor->counters->sent += (uint32_t)result;
	conn->taken += (uint32_t)result;
	if (conn->slab != NULL) {
		torc_assert((uint32_t)result <= conn->loud_size);
		whole = (uint32_t)result == conn->loud_size;
		if (!whole)
			conn->reactor->counters->short_sends++;
		conn->slab_start += (uint32_t)result;
		if (conn->slab_start == conn->slab_end)
			drop_slab(conn);
	} else {
		whole = advance_job(conn->job, (size_t)result);
		if (whole)
			conn->job = NULL;
	}
	conn->lost = whole ? 0 : -ECONNRESET;
}

void
torc_send_complete(struct torc_reactor *reactor, void *object,
    const struct io_uring_cqe *cqe)
{
	struct torc_conn *conn = object;

	(void)reactor;
	torc_assert(conn->loud || conn->sent_size > 0);
	if (conn->loud)
		finish_loud(conn, cqe->res);
	else
		finish_quiet(conn, cqe->res);
	torc_send_advance(conn);
	if (conn->writer != NULL)
		torc_fiber_wake(conn->writer, 0);
	else
		torc_conn_advance(conn);
}

/* ---- Peers that do not read ---- */

/*
 * What the kernel has of a connection, and its peer does not take, is memory
 * that all sockets of the system share: some MB for each peer that reads
 * nothing, and TCP fails for everybody at a bound. So when many connections of
 * a reactor wait for their peers, the kernel takes less of each: what is in
 * flight, and a share of UNSENT_TOTAL beyond it. While few wait it takes what
 * it likes, which needs fewer wake-ups.
 */
#define WAIT_MANY 64u
#define UNSENT_TOTAL (128u << 20)
#define UNSENT_MIN 16384u

static void
limit_unsent(struct torc_conn *conn)
{
	uint32_t share = UNSENT_TOTAL / conn->net->waiting;
	int bytes;

	if (share < UNSENT_MIN)
		share = UNSENT_MIN;
	if (conn->unsent_max != 0 && conn->unsent_max / 2 < share)
		return;
	conn->unsent_max = share;
	bytes = (int)share;
	/* A local socket has no such option, and a bound of its own. */
	torc_sys_setsockopt(conn->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes,
	    sizeof(bytes));
}

/* A fiber waits for the peer to read. */
static void
begin_wait(struct torc_conn *conn)
{
	conn->awaited = true;
	if (++conn->net->waiting > WAIT_MANY)
		limit_unsent(conn);
}

static void
end_wait(struct torc_conn *conn)
{
	torc_assert(conn->awaited && conn->net->waiting > 0);
	conn->awaited = false;
	conn->net->waiting--;
}

/* ---- For handlers ---- */

/* Parks. Until something about sending has changed. */
static int
await_sending(struct torc_conn *conn, torc_deadline deadline)
{
	struct torc_reactor *reactor = conn->reactor;
	int rc;

	torc_require(conn->writer == NULL,
	    "two fibers write to one connection");
	conn->writer = reactor->current;
	begin_wait(conn);
	conn->urgent = conn->staged_size > 0;
	torc_send_advance(conn);
	rc = conn->spoiled || torc_send_idle(conn) ? 0 :
	    torc_fiber_park(reactor, deadline);
	conn->writer = NULL;
	end_wait(conn);
	return rc;
}

/*
 * Parks. Ask the loud send how much it did: it ends early, and goes on. The
 * kernel tells soon, whatever the peer does.
 */
static void
recall(struct torc_conn *conn)
{
	if (!conn->loud)
		return;
	conn->recalled = true;
	conn->aborting = true;
	torc_send_advance(conn);
	begin_wait(conn);
	while (conn->recalled) {
		conn->writer = conn->reactor->current;
		torc_fiber_park_firmly(conn->reactor);
	}
	conn->writer = NULL;
	end_wait(conn);
}

/*
 * Parks. The same, with the patience that one has with the peer. When that is
 * over, what the peer has taken meanwhile may well renew it.
 */
static int
await_peer(struct torc_conn *conn, torc_deadline deadline)
{
	const uint64_t since = conn->reactor->now;
	const uint64_t taken = conn->taken;
	int rc;

	if (conn->pace.most_ns == 0)
		return await_sending(conn, deadline);
	rc = await_sending(conn, torc_pace_until(&conn->pace, deadline));
	if (rc == -ETIMEDOUT && conn->reactor->now < deadline.at)
		recall(conn);
	torc_pace_note(&conn->pace, since, conn->taken - taken);
	return rc == -ETIMEDOUT && conn->reactor->now < deadline.at &&
	    conn->pace.left_ns > 0 ? 0 : rc;
}

int
torc_conn_flush(struct torc_conn *conn, torc_deadline deadline)
{
	int rc = 0;

	torc_conn_require_fiber(conn);
	while (rc >= 0 && conn->send_error == 0 && !torc_send_idle(conn))
		rc = await_peer(conn, deadline);
	return conn->send_error != 0 ? conn->send_error : rc < 0 ? rc : 0;
}

int
torc_conn_lend(struct torc_conn *conn, torc_deadline deadline)
{
	int rc;

	torc_conn_require_fiber(conn);
	torc_require(!conn->awaited, "two fibers write to one connection");
	rc = torc_conn_flush(conn, deadline);
	if (rc < 0)
		return rc;
	if (conn->shut)
		return -EPIPE;
	begin_wait(conn);
	return conn->fd;
}

void
torc_conn_give_back(struct torc_conn *conn, int error)
{
	torc_conn_require(conn);
	torc_require(conn->awaited && conn->writer == NULL,
	    "a socket is given back that was not lent");
	end_wait(conn);
	if (error == 0)
		return;
	if (!conn->spoiled)
		conn->lost = -ECONNRESET;
	torc_send_spoil(conn, error);
}

/* What is staged, and the slices that have bytes, are the parts of a job. */
static void
fill_job(struct torc_job *job, const struct torc_conn *conn,
    const struct torc_slice *slices, unsigned count)
{
	struct msghdr *message = &job->message;

	torc_assert(count <= TORC_JOB_SLICES);
	*message = (struct msghdr) { .msg_iov = job->parts };
	if (conn->staged_size > 0)
		job->parts[message->msg_iovlen++] =
		    (struct iovec) { conn->staged, conn->staged_size };
	for (unsigned i = 0; i < count; i++) {
		if (slices[i].size > 0)
			job->parts[message->msg_iovlen++] = (struct iovec) {
			    (void *)(uintptr_t)slices[i].data, slices[i].size };
	}
	job->chunk = conn->chunk;
}

/* Send from the caller's memory, behind what is staged. */
static int
write_directly(struct torc_conn *conn, const struct torc_slice *slices,
    unsigned count, torc_deadline deadline)
{
	struct torc_reactor *reactor = conn->reactor;
	struct torc_job job;
	int rc = 0;

	fill_job(&job, conn, slices, count);
	conn->staged_size = 0;
	conn->chunk = NULL;
	conn->urgent = false;
	conn->job = &job;
	while (rc >= 0 && conn->job != NULL && conn->send_error == 0)
		rc = await_peer(conn, deadline);
	/* A write that ended early leaves nobody knows what in the stream: no
	 * more may follow it. */
	if (conn->job != NULL)
		torc_send_spoil(conn, rc);
	while (conn->loud) {
		/* The kernel may still read the caller's memory. */
		conn->aborting = true;
		torc_send_advance(conn);
		conn->writer = reactor->current;
		begin_wait(conn);
		torc_fiber_park_firmly(reactor);
		conn->writer = NULL;
		end_wait(conn);
	}
	conn->job = NULL;
	if (job.chunk != NULL)
		job.chunk->pins--;
	return conn->send_error;
}

/* Into the slab, waiting for room in it as often as needed. */
static int
write_to_slab(struct torc_conn *conn, const uint8_t **data, size_t *size,
    torc_deadline deadline)
{
	while (conn->slab != NULL && *size > 0) {
		size_t room = slab_size(conn->net) - conn->slab_end;
		int rc;

		if (room > *size)
			room = *size;
		stow(conn, *data, (uint32_t)room);
		*data += room;
		*size -= room;
		if (*size == 0)
			break;
		rc = await_peer(conn, deadline);
		if (rc < 0)
			torc_send_spoil(conn, rc);
		if (conn->spoiled)
			return conn->send_error;
	}
	return 0;
}

/* Why nothing can be written; or 0. */
static int
refuse_write(const struct torc_conn *conn)
{
	torc_conn_require(conn);
	if (conn->spoiled)
		return conn->send_error;
	if (conn->shut)
		return -EPIPE;
	torc_require(!conn->awaited, "two fibers write to one connection");
	torc_require(conn->reactor->current != NULL,
	    "a call that parks was made outside a fiber");
	return 0;
}

/* Bytes that do not simply go behind those that are staged. */
static __attribute__((noinline)) int
write_carefully(struct torc_conn *conn, const uint8_t *data, size_t size,
    torc_deadline deadline)
{
	const uint32_t limit = conn->net->stage_max;
	int rc = refuse_write(conn);

	if (rc < 0)
		return rc;
	while (rc == 0 && size > 0) {
		rc = write_to_slab(conn, &data, &size, deadline);
		if (rc < 0 || size == 0)
			break;
		if (size > limit / 2)
			return write_directly(conn,
			    &(struct torc_slice) { data, size }, 1, deadline);
		if (conn->staged_size + size <= limit)
			return stage(conn, data, (uint32_t)size);
		rc = torc_conn_flush(conn, deadline);
	}
	if (rc < 0)
		torc_send_spoil(conn, rc);
	return rc;
}

size_t
torc_conn_room(const struct torc_conn *conn)
{
	uint32_t limit, room;

	torc_conn_require(conn);
	limit = conn->net->stage_max;
	room = limit - conn->staged_size;
	if (conn->slab != NULL)
		return slab_size(conn->net) - conn->slab_end;
	return room < limit / 2 ? room : limit / 2;
}

int
torc_conn_write(struct torc_conn *conn, const void *data, size_t size,
    torc_deadline deadline)
{
	struct torc_net *net;
	struct torc_chunk *chunk;
	uint8_t *to;

	torc_reactor_check(conn->reactor);
	net = conn->net;
	chunk = net->chunk;
	to = chunk->bytes + chunk->top;
	if (torc_unlikely(conn->sending != 0 ||
	    size - 1 >= net->small_max ||	/* 0, too */
	    size > net->chunk_size - chunk->top))
		return write_carefully(conn, data, size, deadline);
	if (conn->staged_size == 0) {
		if (torc_unlikely(net->unsent->staged_size > 0))
			return write_carefully(conn, data, size, deadline);
		net->unsent = conn;
		/* The first since the last send: behind those of others. */
		chunk->pins++;
		conn->chunk = chunk;
		conn->staged = to;
	} else if (conn->staged + conn->staged_size != to ||
	    conn->staged_size + size > net->stage_max) {
		return write_carefully(conn, data, size, deadline);
	}
	chunk->top += (uint32_t)size;
	conn->staged_size += (uint32_t)size;
	memcpy(to, data, size);
	return 0;
}

int
torc_conn_write_static(struct torc_conn *conn, const void *data, size_t size,
    torc_deadline deadline)
{
	torc_reactor_check(conn->reactor);
	if (torc_unlikely(conn->sending != 0 || conn->staged_size > 0 ||
	    size - 1 >= conn->net->small_max))
		return write_carefully(conn, data, size, deadline);
	conn->staged = (uint8_t *)(uintptr_t)data;
	conn->staged_size = (uint32_t)size;
	return 0;
}

/* Slices that one send takes: as one write of all of them. */
static int
write_slices(struct torc_conn *conn, const struct torc_slice *slices,
    unsigned count, torc_deadline deadline)
{
	size_t size = 0;
	int rc = 0;

	for (unsigned i = 0; i < count; i++)
		size += slices[i].size;
	if (size <= conn->net->stage_max / 2) {
		for (unsigned i = 0; rc == 0 && i < count; i++)
			rc = torc_conn_write(conn, slices[i].data,
			    slices[i].size, deadline);
		return rc;
	}
	rc = refuse_write(conn);
	if (rc < 0)
		return rc;
	if (conn->slab != NULL)
		rc = torc_conn_flush(conn, deadline);
	if (rc == 0)
		return write_directly(conn, slices, count, deadline);
	torc_send_spoil(conn, rc);
	return conn->send_error;
}

int
torc_conn_writev(struct torc_conn *conn, const struct torc_slice *slices,
    unsigned count, torc_deadline deadline)
{
	int rc = 0;

	torc_conn_require(conn);
	torc_require(slices != NULL || count == 0,
	    "torc_conn_writev needs slices, and not NULL");
	while (rc == 0 && count > 0) {
		const unsigned part = count < TORC_JOB_SLICES ? count :
		    TORC_JOB_SLICES;

		rc = write_slices(conn, slices, part, deadline);
		slices += part;
		count -= part;
	}
	return rc;
}

void
torc_conn_push(struct torc_conn *conn)
{
	torc_conn_require(conn);
	if (conn->staged_size == 0)
		return;
	conn->urgent = true;
	torc_reactor_later(conn->reactor, &conn->todo);
}

int
torc_conn_shutdown(struct torc_conn *conn, torc_deadline deadline)
{
	int rc = torc_conn_flush(conn, deadline);

	if (rc < 0 || conn->shut)
		return rc;
	conn->shut = true;
	return torc_sys_shutdown(conn->fd, SHUT_WR);
}
