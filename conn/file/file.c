/* SPDX-License-Identifier: MIT */
/*
 * file.c - operations on files, on the ring.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>

#include "conn/accept.h"
#include "conn/file/site.h"
#include "reactor/op.h"
#include "sys/sys.h"

#define PART_MAX 0x7ffff000u	/* bytes that one read or write transfers */

int
torc_file_await(const struct io_uring_sqe *sqe, torc_deadline deadline)
{
	torc_require(torc_fiber_self() != 0,
	    "a call that parks was made outside a fiber");
	return torc_op_await(torc_reactor_self(), sqe, deadline);
}

static struct io_uring_sqe
on_path(unsigned opcode, int directory, const char *path)
{
	return (struct io_uring_sqe) {
		.opcode = (uint8_t)opcode,
		.fd = directory,
		.addr = (uint64_t)path,
	};
}

int
torc_file_open(int directory, const char *path, int flags, unsigned mode,
    uint64_t resolve, torc_deadline deadline)
{
	const bool creates = (flags & O_CREAT) != 0 ||
	    (flags & O_TMPFILE) == O_TMPFILE;
	const struct open_how how = {
		.flags = (unsigned)flags | O_CLOEXEC,
		.mode = creates ? mode : 0,
		.resolve = resolve,
	};
	struct io_uring_sqe sqe = on_path(IORING_OP_OPENAT2, directory, path);

	sqe.off = (uint64_t)&how;
	sqe.len = sizeof(how);
	return torc_file_await(&sqe, deadline);
}

/* ---- Closing ---- */

static void
closed(struct torc_op *op, int32_t result, uint32_t flags)
{
	(void)flags;
	/* The close was given up before it began: the descriptor is still
	 * open. */
	if (result == -ECANCELED)
		torc_sys_close(op->sqe.fd);
	torc_accept_spared(op->reactor);
	torc_sys_free(op);
}

void
torc_file_close(int fd)
{
	struct torc_reactor *reactor = torc_reactor_self();
	struct torc_op *op = reactor == NULL ? NULL :
	    torc_sys_alloc(sizeof(*op));

	if (op == NULL) {
		torc_sys_close(fd);
		return;
	}
	op->sqe.opcode = IORING_OP_CLOSE;
	op->sqe.fd = fd;
	op->done = closed;
	if (torc_op_start(reactor, op) < 0) {
		torc_sys_close(fd);
		torc_sys_free(op);
	}
}

/* ---- Bytes ---- */

static int
transfer(unsigned opcode, int fd, const void *data, size_t size,
    uint64_t offset, torc_deadline deadline)
{
	struct io_uring_sqe sqe = {
		.opcode = (uint8_t)opcode,
		.fd = fd,
		.addr = (uint64_t)data,
		.len = size < PART_MAX ? (uint32_t)size : PART_MAX,
		.off = offset,
	};
	int rc = torc_file_await(&sqe, deadline);

	/* Some file systems return this where they would have to wait. A thread
	 * of the kernel may wait. */
	if (rc == -ENOMEM || rc == -EAGAIN) {
		sqe.flags = IOSQE_ASYNC;
		rc = torc_file_await(&sqe, deadline);
	}
	return rc;
}

int64_t
torc_file_read(int fd, void *data, size_t size, uint64_t offset,
    torc_deadline deadline)
{
	size_t done = 0;

	while (done < size) {
		int rc = transfer(IORING_OP_READ, fd, (uint8_t *)data + done,
		    size - done, offset + done, deadline);

		if (rc < 0)
			return rc;
		if (rc == 0)
			break;
		done += (size_t)rc;
	}
	return (int64_t)done;
}

int
torc_file_write(int fd, const void *data, size_t size, uint64_t offset,
    torc_deadline deadline)
{
	size_t done = 0;

	while (done < size) {
		int rc = transfer(IORING_OP_WRITE, fd,
		    (const uint8_t *)data + done, size - done, offset + done,
		    deadline);

		if (rc <= 0)
			return rc < 0 ? rc : -EIO;
		done += (size_t)rc;
	}
	return 0;
}

int
torc_file_sync(int fd, bool data_only, torc_deadline deadline)
{
	const struct io_uring_sqe sqe = {
		.opcode = IORING_OP_FSYNC,
		.fd = fd,
		.fsync_flags = data_only ? IORING_FSYNC_DATASYNC : 0,
	};

	return torc_file_await(&sqe, deadline);
}

/* ---- Names ---- */

int
torc_file_rename(int from_directory, const char *from, int to_directory,
    const char *to, unsigned flags, torc_deadline deadline)
{
	struct io_uring_sqe sqe = on_path(IORING_OP_RENAMEAT, from_directory,
	    from);

	sqe.len = (uint32_t)to_directory;
	sqe.off = (uint64_t)to;
	sqe.rename_flags = flags;
	return torc_file_await(&sqe, deadline);
}

int
torc_file_unlink(int directory, const char *path, int flags,
    torc_deadline deadline)
{
	struct io_uring_sqe sqe = on_path(IORING_OP_UNLINKAT, directory, path);

	sqe.unlink_flags = (uint32_t)flags;
	return torc_file_await(&sqe, deadline);
}

int
torc_file_mkdir(int directory, const char *path, unsigned mode,
    torc_deadline deadline)
{
	struct io_uring_sqe sqe = on_path(IORING_OP_MKDIRAT, directory, path);

	sqe.len = mode;
	return torc_file_await(&sqe, deadline);
}
