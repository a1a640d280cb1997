/* SPDX-License-Identifier: MIT */
/*
 * transfer.c - sends bytes of a file to a connection.
 *
 * Bytes in the page cache are sent by sendfile(2). It never waits for the
 * socket here; the ring does that. It would wait for the disk, so other bytes
 * are read on the ring. That takes one more copy, and brings more of the file
 * into the page cache. If a file changes during the transfer, only a changed
 * end is noticed.
 *
 * A connection that seals what it sends has no socket to lend. The file is then
 * read and written, as much at a time as may be staged.
 */

#include <errno.h>
#include <sys/socket.h>

#include "conn/file/site.h"
#include "conn/kit/torc_client.h"
#include "sys/sys.h"

#define WINDOW (256u << 10)	/* sent before other fibers run */
#define STEP (64u << 10)	/* looked at, and read, at once */

struct transfer {
	struct torc_conn *conn;
	struct torc_progress progress;
	int socket;		/* lent */
	int fd;
	uint64_t offset;
	uint64_t left;
	uint8_t *block;		/* of STEP bytes, or NULL */
	bool copies;		/* the file cannot be sent otherwise */
	struct torc_file_turns *turns;	/* or NULL */
	unsigned folder;
};

/* Parks. */
static int
await_room(struct transfer *transfer, torc_deadline deadline)
{
	return torc_conn_await_room(transfer->conn, &transfer->progress,
	    deadline);
}

static void
advance(struct transfer *transfer, int sent)
{
	transfer->progress.sent += (unsigned)sent;
	transfer->offset += (unsigned)sent;
	transfer->left -= (unsigned)sent;
}

/*
 * Whether that part of the file is in the page cache, judged by some of its
 * bytes: the kernel reads ahead more than a step, and drops large pieces.
 */
static bool
at_hand(int fd, uint64_t offset, uint64_t size)
{
	for (uint64_t at = 0; at < size; at += STEP) {
		if (torc_sys_at_hand(fd, offset + at) < 0)
			return false;
	}
	return torc_sys_at_hand(fd, offset + size - 1) >= 0;
}

/* Parks. Send one window by sendfile(2), if that works for this file. */
static int
send_window(struct transfer *transfer, uint64_t size, torc_deadline deadline)
{
	int rc = 0;

	while (rc >= 0 && size > 0) {
		rc = torc_sys_send_file(transfer->socket, transfer->fd,
		    transfer->offset, (size_t)size);
		if (rc > 0) {
			advance(transfer, rc);
			size -= (uint64_t)rc;
		} else if (rc == 0) {
			rc = -ENODATA;
		} else if (rc == -EAGAIN || rc == -EINTR) {
			rc = await_room(transfer, deadline);
		} else if (rc == -EINVAL || rc == -ENOSYS) {
			transfer->copies = true;
			return 0;
		}
	}
	return rc < 0 ? rc : 0;
}

/*
 * Parks. Send as much of a block as the socket takes now. Returns how many
 * bytes.
 */
static int
send_block(const struct transfer *transfer, size_t size, torc_deadline deadline)
{
	size_t done = 0;
	int rc = 0;

	while (rc >= 0 && done < size) {
		rc = torc_fd_send(transfer->socket, transfer->block + done,
		    size - done, MSG_DONTWAIT, deadline);
		if (rc > 0)
			done += (size_t)rc;
		else if (rc == -EINTR)
			rc = 0;
	}
	return rc == 0 || rc == -EAGAIN || rc > 0 ? (int)done : rc;
}

/* Parks. Read a block, in turn if there are turns. */
static int64_t
read_block(struct transfer *transfer, size_t size, torc_deadline deadline)
{
	int64_t got;
	int rc = transfer->turns == NULL ? 0 : torc_file_turn_take(
	    transfer->turns, transfer->folder, deadline);

	if (rc < 0)
		return rc;
	got = torc_file_read(transfer->fd, transfer->block, size,
	    transfer->offset, deadline);
	if (transfer->turns != NULL)
		torc_file_turn_give(transfer->turns, transfer->folder);
	return got;
}

/*
 * Parks. Send one step through memory. If the peer takes less, the memory is
 * freed before waiting for it, and the rest is read again.
 */
static int
copy_step(struct transfer *transfer, torc_deadline deadline)
{
	size_t size = transfer->left < STEP ? (size_t)transfer->left : STEP;
	int64_t got;
	int sent;

	if (transfer->block == NULL)
		transfer->block = torc_sys_alloc(STEP);
	if (transfer->block == NULL)
		return -ENOMEM;
	got = read_block(transfer, size, deadline);
	if (got < 0)
		return (int)got;
	sent = send_block(transfer, (size_t)got, deadline);
	if (sent < 0)
		return sent;
	advance(transfer, sent);
	if (sent == got)
		return (size_t)got < size ? -ENODATA : 0;
	torc_sys_free(transfer->block);
	transfer->block = NULL;
	return await_room(transfer, deadline);
}

/*
 * Parks. Stage one step, when nothing else waits to be sent. So no memory is
 * held while waiting for the peer.
 */
static int
stage_step(struct transfer *transfer, torc_deadline deadline)
{
	const size_t room = torc_conn_room(transfer->conn);
	size_t size = 2 * room < STEP ? 2 * room : STEP, done = 0;
	int64_t got;
	int rc;

	if (size > transfer->left)
		size = (size_t)transfer->left;
	transfer->block = torc_sys_alloc(size);
	if (transfer->block == NULL)
		return -ENOMEM;
	got = read_block(transfer, size, deadline);
	rc = got < 0 ? (int)got : got == 0 ? -ENODATA : 0;
	while (rc == 0 && done < (size_t)got) {
		const size_t part = (size_t)got - done < room ?
		    (size_t)got - done : room;

		rc = torc_conn_write(transfer->conn, transfer->block + done,
		    part, deadline);
		done += part;
	}
	torc_sys_free(transfer->block);
	transfer->block = NULL;
	if (rc < 0)
		return rc;
	advance(transfer, (int)got);
	return torc_conn_flush(transfer->conn, deadline);
}

/* Parks. Send through memory, to a connection that does not lend its socket. */
static int
write_all(struct transfer *transfer, torc_deadline deadline)
{
	int rc = torc_conn_flush(transfer->conn, deadline);

	if (rc < 0)
		return rc;
	while (rc == 0 && transfer->left > 0) {
		rc = stage_step(transfer, deadline);
		if (rc == 0 && transfer->left > 0)
			rc = torc_yield();
	}
	if (rc < 0)
		torc_conn_fail(transfer->conn, rc);
	return rc;
}

int
torc_file_transfer(struct torc_conn *conn, int fd,
    struct torc_file_range range, struct torc_file_turns *turns,
    unsigned folder, torc_deadline deadline)
{
	struct transfer transfer = {
		.conn = conn,
		.fd = fd, .offset = range.first, .left = range.size,
		.turns = turns, .folder = folder,
	};
	int rc = 0;

	transfer.socket = torc_conn_lend(conn, deadline);
	if (transfer.socket == -EOPNOTSUPP)
		return write_all(&transfer, deadline);
	if (transfer.socket < 0)
		return transfer.socket;
	while (rc == 0 && transfer.left > 0) {
		uint64_t part = transfer.left < WINDOW ? transfer.left :
		    WINDOW;

		if (transfer.copies || !at_hand(fd, transfer.offset, part))
			rc = copy_step(&transfer, deadline);
		else
			rc = send_window(&transfer, part, deadline);
		if (rc == 0 && transfer.left > 0)
			rc = torc_yield();
	}
	torc_sys_free(transfer.block);
	/* After an error it is not known how much was sent: no more may
	 * follow. */
	torc_conn_give_back(conn, rc);
	return rc;
}

int
torc_file_send(struct torc_conn *conn, int fd, uint64_t offset, uint64_t size,
    torc_deadline deadline)
{
	const struct torc_file_range range = { offset, size };

	return torc_file_transfer(conn, fd, range, NULL, 0, deadline);
}
