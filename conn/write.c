/* SPDX-License-Identifier: MIT */
/*
 * write.c - writing to a connection: staged, or from the caller's memory; and
 * how long a peer is waited for that does not read.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "conn/chunk.h"
#include "conn/conn.h"
#include "conn/net.h"
#include "conn/send.h"
#include "conn/slab.h"
#include "conn/transport.h"
#include "reactor/fiber.h"
#include "sys/sys.h"

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

	torc_debug_assert(conn->net->waiting > 0);
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
	torc_assert(!conn->awaited);
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

static void
push(struct torc_conn *conn)
{
	if (conn->staged_size == 0)
		return;
	torc_chunk_hurry(conn);
	torc_reactor_later(conn->reactor, &conn->todo);
}

/*
 * Bytes of one connection at a time may wait to be sent by its own calls, and
 * for the end of the turn. Those of another one are to leave by themselves.
 */
static void
begin_staging(struct torc_conn *conn)
{
	struct torc_conn *other = conn->net->unsent;

	if (other != conn)
		push(other);
	conn->net->unsent = conn;
}

static int
stage(struct torc_conn *conn, const void *data, uint32_t size)
{
	torc_debug_assert(size > 0);
	begin_staging(conn);
	return torc_chunk_stage(conn, data, size);
}

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
	if (conn->staged_size > 0)
		torc_chunk_hurry(conn);
	torc_send_advance(conn);
	rc = conn->send_failed || torc_send_idle(conn) ? 0 :
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
	torc_debug_assert(conn->writer == NULL);
	if (!conn->loud)
		return;
	torc_send_recall(conn);
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

/* Parks. */
static int
flush(struct torc_conn *conn, torc_deadline deadline)
{
	int rc = 0;

	while (rc >= 0 && conn->send_error == 0 && !torc_send_idle(conn))
		rc = await_peer(conn, deadline);
	return conn->send_error != 0 ? conn->send_error : rc < 0 ? rc : 0;
}

int
torc_conn_flush(struct torc_conn *conn, torc_deadline deadline)
{
	torc_conn_require_fiber(conn);
	return flush(conn, deadline);
}

int
torc_conn_lend(struct torc_conn *conn, torc_deadline deadline)
{
	int rc;

	torc_conn_require_fiber(conn);
	torc_require(!conn->awaited, "two fibers write to one connection");
	if (conn->transport != NULL)
		return -EOPNOTSUPP;
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
	    "a socket is given back, but was not lent");
	end_wait(conn);
	if (error == 0)
		return;
	torc_send_break(conn, error);
}

void
torc_conn_fail(struct torc_conn *conn, int error)
{
	torc_conn_require(conn);
	torc_require(error < 0, "torc_conn_fail needs a negative error");
	torc_require(!conn->awaited,
	    "torc_conn_fail was called while a fiber writes to the connection");
	torc_send_break(conn, error);
	torc_reactor_later(conn->reactor, &conn->todo);
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
	job.chunk = torc_chunk_take(conn);
	torc_send_set_job(conn, &job);
	while (rc >= 0 && conn->job != NULL && conn->send_error == 0)
		rc = await_peer(conn, deadline);
	/* A write that ended early leaves nobody knows what in the stream: no
	 * more may follow it. */
	if (conn->job != NULL)
		torc_send_fail(conn, rc);
	while (conn->loud) {
		/* The kernel may still read the caller's memory. */
		torc_send_abort(conn);
		torc_send_advance(conn);
		conn->writer = reactor->current;
		begin_wait(conn);
		torc_fiber_park_firmly(reactor);
		conn->writer = NULL;
		end_wait(conn);
	}
	torc_send_set_job(conn, NULL);
	torc_chunk_give_back(job.chunk);
	return conn->send_error;
}

/* Into the slab, waiting for room in it as often as needed. */
static int
write_to_slab(struct torc_conn *conn, const uint8_t **data, size_t *size,
    torc_deadline deadline)
{
	torc_debug_assert(conn->staged_size == 0 || conn->slab == NULL);
	while (conn->slab != NULL && *size > 0) {
		size_t room = torc_slab_size(conn->net) - conn->slab_end;
		int rc;

		if (room > *size)
			room = *size;
		torc_slab_stow(conn, *data, (uint32_t)room);
		*data += room;
		*size -= room;
		if (*size == 0)
			break;
		rc = await_peer(conn, deadline);
		if (rc < 0)
			torc_send_fail(conn, rc);
		if (conn->send_failed)
			return conn->send_error;
	}
	return 0;
}

/* Parks. Seal bytes into the slab, part by part, until all of them are sent. */
static int
write_sealed(struct torc_conn *conn, const uint8_t *data, size_t size,
    torc_deadline deadline)
{
	int rc = 0;

	torc_debug_assert(conn->transport != NULL && size > 0);
	while (rc >= 0 && !conn->send_failed &&
	    (size > 0 || conn->slab != NULL)) {
		size_t room = 0;

		if (conn->slab == NULL)
			torc_send_stow_staged(conn);
		if (conn->staged_size == 0)
			room = torc_transport_room(conn);
		if (room > size)
			room = size;
		if (room > 0 && !conn->send_failed)
			torc_send_stow(conn, data, (uint32_t)room);
		data += room;
		size -= room;
		rc = await_peer(conn, deadline);
	}
	if (rc < 0)
		torc_send_fail(conn, rc);
	return conn->send_error;
}

/* Why nothing can be written; or 0. */
static int
refuse_write(const struct torc_conn *conn)
{
	torc_conn_require(conn);
	if (conn->send_failed)
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
		/* What is sealed is staged first, so that it is one record. */
		if (conn->transport == NULL)
			rc = write_to_slab(conn, &data, &size, deadline);
		if (rc < 0 || size == 0)
			break;
		if (size > limit / 2 && conn->transport != NULL)
			return write_sealed(conn, data, size, deadline);
		if (size > limit / 2)
			return write_directly(conn,
			    &(struct torc_slice) { data, size }, 1, deadline);
		if (conn->staged_size + size <= limit)
			return stage(conn, data, (uint32_t)size);
		rc = torc_conn_flush(conn, deadline);
	}
	if (rc < 0)
		torc_send_fail(conn, rc);
	return rc;
}

size_t
torc_conn_room(const struct torc_conn *conn)
{
	uint32_t limit, room;

	torc_conn_require(conn);
	limit = conn->net->stage_max;
	room = limit - conn->staged_size;
	if (conn->slab != NULL && conn->transport == NULL)
		return torc_slab_size(conn->net) - conn->slab_end;
	return room < limit / 2 ? room : limit / 2;
}

int
torc_conn_write(struct torc_conn *conn, const void *data, size_t size,
    torc_deadline deadline)
{
	struct torc_net *net;
	struct torc_chunk *chunk;

	torc_reactor_check(conn->reactor);
	net = conn->net;
	chunk = net->chunk;
	if (torc_unlikely(conn->sending != 0 ||
	    size - 1 >= net->small_max ||	/* 0, too */
	    size > net->chunk_size - chunk->top))
		return write_carefully(conn, data, size, deadline);
	if (conn->staged_size == 0) {
		if (torc_unlikely(net->unsent->staged_size > 0))
			return write_carefully(conn, data, size, deadline);
		net->unsent = conn;
		torc_chunk_begin(conn, chunk);
	} else if (!torc_chunk_is_last(conn, chunk) ||
	    conn->staged_size + size > net->stage_max) {
		return write_carefully(conn, data, size, deadline);
	}
	memcpy(torc_chunk_extend(conn, chunk, (uint32_t)size), data, size);
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
	torc_chunk_stage_static(conn, data, (uint32_t)size);
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
	if (size <= conn->net->stage_max / 2 || conn->transport != NULL) {
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
	torc_send_fail(conn, rc);
	return conn->send_error;
}

int
torc_conn_writev(struct torc_conn *conn, const struct torc_slice *slices,
    unsigned count, torc_deadline deadline)
{
	int rc = 0;

	torc_conn_require(conn);
	torc_require(slices != NULL || count == 0,
	    "torc_conn_writev needs slices, but was given NULL");
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
	push(conn);
}

int
torc_conn_shutdown(struct torc_conn *conn, torc_deadline deadline)
{
	int rc = torc_conn_flush(conn, deadline);

	if (rc < 0 || conn->shut)
		return rc;
	if (conn->transport != NULL) {
		torc_transport_close(conn);
		rc = flush(conn, deadline);
		if (rc < 0)
			return rc;
	}
	conn->shut = true;
	return torc_sys_shutdown(conn->fd, SHUT_WR);
}
