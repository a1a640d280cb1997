/* SPDX-License-Identifier: MIT */
/*
 * probe.c - manners of the kernel that no feature flag tells of.
 */
#include <errno.h>
#include <sys/socket.h>

#include "conn/probe.h"
#include "ring/ring.h"
#include "sys/pages.h"
#include "sys/sys.h"

#define PROBE_SIZE (4u << 20)	/* more than a pair of sockets takes */

/* Send `data` quietly on one of a pair of sockets: the completion, or -1. */
static int32_t
try_quiet(struct torc_ring *ring, int fd, const void *data)
{
	struct io_uring_sqe *sqe = torc_ring_claim(ring);

	sqe->opcode = IORING_OP_SEND;
	sqe->fd = fd;
	sqe->addr = (uint64_t)data;
	sqe->len = PROBE_SIZE;
	sqe->msg_flags = MSG_WAITALL | MSG_NOSIGNAL | MSG_DONTWAIT;
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	if (torc_ring_enter(ring, 0, 0, 0) != 1 || torc_ring_ready(ring) != 1)
		return -1;
	return torc_ring_next(ring)->res;
}

bool
torc_send_probe(void)
{
	struct torc_ring ring;
	int32_t sent = -1;
	void *data;
	int fds[2];

	if (torc_ring_init(&ring, 4, 8) < 0)
		return false;
	if (torc_pages_reserve(&data, PROBE_SIZE) < 0)
		goto ring;
	if (torc_sys_socketpair(fds) < 0)
		goto pages;
	if (torc_ring_enable(&ring) == 0)
		sent = try_quiet(&ring, fds[0], data);
	torc_sys_close(fds[0]);
	torc_sys_close(fds[1]);
pages:
	torc_pages_release(data, PROBE_SIZE);
ring:
	torc_ring_fini(&ring);
	return sent > 0 && (uint32_t)sent < PROBE_SIZE;
}

/*
 * A receive with a limit that finds no buffers: where limits are known, that is
 * what is wrong with it; elsewhere the limit is.
 */
static int32_t
try_limit(struct torc_ring *ring, int fd)
{
	struct io_uring_sqe *sqe = torc_ring_claim(ring);

	sqe->opcode = IORING_OP_RECV;
	sqe->fd = fd;
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->file_index = 1;
	if (torc_ring_enter(ring, 0, 0, 0) != 1 || torc_ring_ready(ring) != 1)
		return 0;
	return torc_ring_next(ring)->res;
}

bool
torc_recv_probe(void)
{
	struct torc_ring ring;
	int32_t result = 0;
	int fds[2];

	if (torc_ring_init(&ring, 4, 8) < 0)
		return false;
	if (torc_sys_socketpair(fds) < 0)
		goto ring;
	if (torc_ring_enable(&ring) == 0)
		result = try_limit(&ring, fds[0]);
	torc_sys_close(fds[0]);
	torc_sys_close(fds[1]);
ring:
	torc_ring_fini(&ring);
	return result == -ENOBUFS;
}
