/* SPDX-License-Identifier: MIT */
/*
 * fd.c - single operations on any descriptor, for fibers.
 */
#include <errno.h>
#include <sys/socket.h>

#include "reactor/op.h"

#define SIZE_MAX_OF_OP 0x7ffff000u	/* what read(2) transfers at most */

static struct io_uring_sqe
prepare(unsigned opcode, int fd, const void *data, size_t size)
{
	torc_debug_assert(data != NULL || size == 0);
	return (struct io_uring_sqe) {
		.opcode = (uint8_t)opcode,
		.fd = fd,
		.addr = (uint64_t)data,
		.len = size < SIZE_MAX_OF_OP ? (uint32_t)size :
		    SIZE_MAX_OF_OP,
	};
}

static int
await(const struct io_uring_sqe *sqe, torc_deadline deadline)
{
	torc_debug_assert(sqe->user_data == 0);
	return torc_op_await(torc_reactor_of_fiber(), sqe, deadline);
}

int
torc_fd_read(int fd, void *data, size_t size, uint64_t offset,
    torc_deadline deadline)
{
	struct io_uring_sqe sqe = prepare(IORING_OP_READ, fd, data, size);

	sqe.off = offset;
	return await(&sqe, deadline);
}

int
torc_fd_write(int fd, const void *data, size_t size, uint64_t offset,
    torc_deadline deadline)
{
	struct io_uring_sqe sqe = prepare(IORING_OP_WRITE, fd, data, size);

	sqe.off = offset;
	return await(&sqe, deadline);
}

int
torc_fd_recv(int fd, void *data, size_t size, int flags, torc_deadline deadline)
{
	struct io_uring_sqe sqe = prepare(IORING_OP_RECV, fd, data, size);

	sqe.msg_flags = (uint32_t)flags;
	return await(&sqe, deadline);
}

int
torc_fd_send(int fd, const void *data, size_t size, int flags,
    torc_deadline deadline)
{
	struct io_uring_sqe sqe = prepare(IORING_OP_SEND, fd, data, size);

	sqe.msg_flags = (uint32_t)(flags | MSG_NOSIGNAL);
	return await(&sqe, deadline);
}

int
torc_fd_connect(int fd, const struct sockaddr *address, size_t size,
    torc_deadline deadline)
{
	struct io_uring_sqe sqe = prepare(IORING_OP_CONNECT, fd, address, 0);

	sqe.off = size;
	return await(&sqe, deadline);
}

int
torc_fd_poll(int fd, unsigned events, torc_deadline deadline)
{
	struct io_uring_sqe sqe = prepare(IORING_OP_POLL_ADD, fd, NULL, 0);

	sqe.poll32_events = events;
	return await(&sqe, deadline);
}
