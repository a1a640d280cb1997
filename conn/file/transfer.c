/*
 * transfer.c - bytes of a file to a connection.
 *
 * What is in the page cache goes by sendfile(2), which never waits for the
 * socket: the ring does that. It would wait for the disk, so the rest is read
 * on the ring; that takes a copy more, and brings more of the file into the
 * page cache. A file that changes under our hands is not noticed, but for its
 * end.
 */
#include "conn/file/torc_file.h"

#include <errno.h>
#include <poll.h>

#include "conn/client.h"
#include "sys/sys.h"

#define WINDOW (256u << 10)	/* sent before others have their turn */
#define STEP (64u << 10)	/* looked at, and read, at once */

struct transfer {
	struct torc_conn *conn;
	int fd;
	uint64_t offset;
	uint64_t left;
	uint8_t *block;		/* of STEP bytes, or NULL */
	bool copies;		/* the file cannot be sent otherwise */
};

/*
 * Whether that part of the file is in the page cache, as far as some bytes
 * tell: the kernel reads ahead more than a step, and forgets in large pieces.
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

/* Parks. One window, by sendfile(2). 1: it cannot do this file. */
static int
send_window(struct transfer *transfer, uint64_t size, uint64_t deadline)
{
	int socket = torc_conn_lend(transfer->conn, deadline);
	int rc = socket < 0 ? socket : 0;

	while (rc >= 0 && size > 0) {
		rc = torc_sys_send_file(socket, transfer->fd,
		    transfer->offset, (size_t)size);
		if (rc > 0) {
			transfer->offset += (uint64_t)rc;
			transfer->left -= (uint64_t)rc;
			size -= (uint64_t)rc;
		} else if (rc == 0) {
			rc = -ENODATA;
		} else if (rc == -EAGAIN) {
			rc = torc_fd_poll(socket, POLLOUT, deadline);
		} else if (rc == -EINVAL || rc == -ENOSYS) {
			transfer->copies = true;
			rc = 0;
			break;
		}
	}
	if (socket >= 0)
		torc_conn_give_back(transfer->conn, rc < 0 ? rc : 0);
	return rc < 0 ? rc : 0;
}

/* Parks. One step, through memory. */
static int
copy_step(struct transfer *transfer, uint64_t deadline)
{
	size_t size = transfer->left < STEP ? (size_t)transfer->left : STEP;
	int64_t got;
	int rc;

	if (transfer->block == NULL)
		transfer->block = torc_sys_alloc(STEP);
	if (transfer->block == NULL)
		return -ENOMEM;
	got = torc_file_read(transfer->fd, transfer->block, size,
	    transfer->offset, deadline);
	if (got < 0)
		return (int)got;
	rc = torc_conn_write(transfer->conn, transfer->block, (size_t)got,
	    deadline);
	transfer->offset += (uint64_t)got;
	transfer->left -= (uint64_t)got;
	return rc == 0 && (size_t)got < size ? -ENODATA : rc;
}

/* Nobody knows what was sent: no more may follow it. */
static int
spoil(struct torc_conn *conn, int error)
{
	if (torc_conn_lend(conn, TORC_NEVER) >= 0)
		torc_conn_give_back(conn, error);
	return error;
}

int
torc_file_send(struct torc_conn *conn, int fd, uint64_t offset, uint64_t size,
    uint64_t deadline)
{
	struct transfer transfer = { conn, fd, offset, size, NULL, false };
	int rc = 0;

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
	return rc < 0 ? spoil(conn, rc) : 0;
}
