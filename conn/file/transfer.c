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
#include <sys/socket.h>

#include "conn/client.h"
#include "sys/sys.h"

#define WINDOW (256u << 10)	/* sent before others have their turn */
#define STEP (64u << 10)	/* looked at, and read, at once */

struct transfer {
	int socket;		/* lent */
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

/* Parks. One window, by sendfile(2), if that can do this file. */
static int
send_window(struct transfer *transfer, uint64_t size, uint64_t deadline)
{
	int rc = 0;

	while (rc >= 0 && size > 0) {
		rc = torc_sys_send_file(transfer->socket, transfer->fd,
		    transfer->offset, (size_t)size);
		if (rc > 0) {
			transfer->offset += (uint64_t)rc;
			transfer->left -= (uint64_t)rc;
			size -= (uint64_t)rc;
		} else if (rc == 0) {
			rc = -ENODATA;
		} else if (rc == -EAGAIN || rc == -EINTR) {
			rc = torc_fd_poll(transfer->socket, POLLOUT, deadline);
		} else if (rc == -EINVAL || rc == -ENOSYS) {
			transfer->copies = true;
			return 0;
		}
	}
	return rc < 0 ? rc : 0;
}

/* Parks. All of a block. */
static int
send_block(struct transfer *transfer, size_t size, uint64_t deadline)
{
	const uint8_t *from = transfer->block;

	while (size > 0) {
		int rc = torc_fd_send(transfer->socket, from, size,
		    MSG_WAITALL, deadline);

		if (rc < 0)
			return rc;
		from += rc;
		size -= (size_t)rc;
	}
	return 0;
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
	rc = send_block(transfer, (size_t)got, deadline);
	transfer->offset += (uint64_t)got;
	transfer->left -= (uint64_t)got;
	return rc == 0 && (size_t)got < size ? -ENODATA : rc;
}

int
torc_file_send(struct torc_conn *conn, int fd, uint64_t offset, uint64_t size,
    uint64_t deadline)
{
	struct transfer transfer = {
		.socket = torc_conn_lend(conn, deadline),
		.fd = fd, .offset = offset, .left = size,
	};
	int rc = 0;

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
	/* Nobody knows what was sent of it: no more may follow. */
	torc_conn_give_back(conn, rc);
	return rc;
}
