/* SPDX-License-Identifier: MIT */
/*
 * entries.c - SQEs and CQEs in the memory of a ring, decoded.
 */
#include "tools/ringstat/map.h"

#include <stdlib.h>
#include <string.h>

#include "sys/uapi.h"

/* ---- Operations ---- */

enum { OP_NOP128 = 63, OP_CMD128 = 64 };	/* Linux 6.19 */

static const char *const opcodes[] = {
	"NOP", "READV", "WRITEV", "FSYNC", "READ_FIXED", "WRITE_FIXED",
	"POLL_ADD", "POLL_REMOVE", "SYNC_FILE_RANGE", "SENDMSG", "RECVMSG",
	"TIMEOUT", "TIMEOUT_REMOVE", "ACCEPT", "ASYNC_CANCEL", "LINK_TIMEOUT",
	"CONNECT", "FALLOCATE", "OPENAT", "CLOSE", "FILES_UPDATE", "STATX",
	"READ", "WRITE", "FADVISE", "MADVISE", "SEND", "RECV", "OPENAT2",
	"EPOLL_CTL", "SPLICE", "PROVIDE_BUFFERS", "REMOVE_BUFFERS", "TEE",
	"SHUTDOWN", "RENAMEAT", "UNLINKAT", "MKDIRAT", "SYMLINKAT", "LINKAT",
	"MSG_RING", "FSETXATTR", "SETXATTR", "FGETXATTR", "GETXATTR",
	"SOCKET", "URING_CMD", "SEND_ZC", "SENDMSG_ZC", "READ_MULTISHOT",
	"WAITID", "FUTEX_WAIT", "FUTEX_WAKE", "FUTEX_WAITV",
	"FIXED_FD_INSTALL", "FTRUNCATE", "BIND", "LISTEN", "RECV_ZC",
	"EPOLL_WAIT", "READV_FIXED", "WRITEV_FIXED", "PIPE", "NOP128",
	"URING_CMD128",
};

const char *
opcode_name(unsigned opcode)
{
	return opcode < sizeof(opcodes) / sizeof(opcodes[0]) ?
	    opcodes[opcode] : NULL;
}

/* ---- SQEs ---- */

static bool
is_blank(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] != 0)
			return false;
	}
	return true;
}

static bool
any_blank(const uint8_t *bytes, size_t size, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (is_blank(bytes + i * size, 64))
			return true;
	}
	return false;
}

/* Only a command for a driver has something in its second half. */
static bool
halves_make_sense(const uint8_t *bytes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *sqe = bytes + i * 128u;

		if (sqe[0] != IORING_OP_URING_CMD && sqe[0] != OP_CMD128 &&
		    !is_blank(sqe + 64, 64))
			return false;
	}
	return true;
}

/*
 * Few slots of either size fit into one page, and nothing tells an onlooker
 * which it is, but for what was written there: the queue is filled from its
 * first slot on, into memory that was zero. Slots that were used and are blank
 * speak against a size; 0 if that does not decide.
 */
static uint32_t
guess_sqe_size(const struct ring *ring, const uint8_t *bytes)
{
	const uint32_t used = ring->sq_tail < ring->sq_entries ?
	    (uint32_t)ring->sq_tail : (uint32_t)ring->sq_entries;
	const bool narrow = !any_blank(bytes, 64, used);
	const bool wide = !any_blank(bytes, 128, used) &&
	    halves_make_sense(bytes, used);

	return narrow == wide ? 0 : narrow ? 64 : 128;
}

/* An operation that takes two slots of a ring that has SQEs of both sizes. */
static bool
is_long(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == OP_NOP128 || sqe->opcode == OP_CMD128;
}

static bool
is_double(const struct ring *ring, const struct io_uring_sqe *sqe)
{
	return ring->mixed_sqes && is_long(sqe);
}

static void
add_sqe(struct ring *ring, uint32_t index, const struct io_uring_sqe *sqe)
{
	const char *name = opcode_name(sqe->opcode);
	const bool twice = is_double(ring, sqe);
	struct entry entry = {
		.kind = ENTRY_SQE,
		.index = index,
		.size = twice ? 128 : ring->sqe_size,
		.places = twice ? 2 : 1,
		.fd = sqe->fd,
		.sqe_flags = sqe->flags,
		.off = sqe->off,
		.addr = sqe->addr,
		.op_flags = sqe->msg_flags,
		.buf_index = sqe->buf_index,
		.user_data = sqe->user_data,
	};

	if (name != NULL)
		memcpy(entry.opcode, name, strlen(name) + 1);
	else
		snprintf(entry.opcode, sizeof(entry.opcode), "%u",
		    sqe->opcode);
	ring_add_entry(ring, &entry);
}

/* ---- The array of SQEs ---- */

enum order { NO_ORDER, ORDER, ORDER_UNKNOWN };

/* Whether this is an array of indices: memory that is none is zero, or is not
 * there. */
static bool
load_order(int fd, size_t offset, uint32_t *order, size_t count)
{
	uint32_t sum = 0;

	if (map_read_part(fd, IORING_OFF_SQ_RING, offset, order,
	    count * sizeof(*order)) < 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (order[i] >= count)
			return false;
		sum |= order[i];
	}
	return sum != 0;
}

static bool
is_plain(const uint32_t *order, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (order[i] != i)
			return false;
	}
	return true;
}

/*
 * Which SQE comes at a place of the queue is said by an array behind the CQEs,
 * unless the ring was set up without it, which nothing tells an onlooker. Who
 * has the array fills it with each index once. Where the size of CQEs is not
 * known, what lies behind those of 16 bytes may be others, and no array.
 */
static enum order
read_order(int fd, const struct ring *ring, uint32_t *order)
{
	const size_t count = (size_t)ring->sq_entries;
	const size_t cqes = (size_t)ring->cq_entries;

	if (ring->cqe_size != 0)
		return load_order(fd, map_array_offset(cqes, ring->cqe_size),
		    order, count) ? ORDER : NO_ORDER;
	if (load_order(fd, map_array_offset(cqes, 16), order, count))
		return is_plain(order, count) ? ORDER : ORDER_UNKNOWN;
	return load_order(fd, map_array_offset(cqes, 32), order, count) ?
	    ORDER : NO_ORDER;
}

/* `bytes` has room for slots of 128 bytes, and is zero. The size of a slot, or
 * 0: not known. */
static uint32_t
load_sqes(struct ring *ring, int fd, uint8_t *bytes, enum order order)
{
	const size_t count = (size_t)ring->sq_entries;

	if (map_read_part(fd, IORING_OFF_SQES, 0, bytes,
	    count * (ring->sqe_size != 0 ? ring->sqe_size : 128)) < 0 ||
	    order == ORDER_UNKNOWN)
		return 0;
	if (ring->sqe_size == 0 && order == NO_ORDER)
		ring->sqe_size = guess_sqe_size(ring, bytes);
	/* The first slot is where it is. */
	if (ring->sqe_size == 0 && order == NO_ORDER && ring->sq_tail < 2)
		return 64;
	return ring->sqe_size;
}

bool
map_read_sqes(struct ring *ring, int fd)
{
	const uint32_t count = (uint32_t)ring->sq_entries;
	uint32_t *array = must_grow(NULL, count, sizeof(*array));
	uint8_t *bytes = must_grow(NULL, count, 128);
	const enum order order = read_order(fd, ring, array);
	uint32_t size;

	memset(bytes, 0, (size_t)count * 128);
	size = load_sqes(ring, fd, bytes, order);
	for (uint32_t i = 0, shown = 0; size > 0 && i < ring->sq_pending &&
	    shown < MAX_ENTRIES; i++, shown++) {
		uint32_t at = ((uint32_t)ring->sq_head + i) & (count - 1);
		const struct io_uring_sqe *sqe;

		if (order == ORDER)
			at = array[at];
		sqe = (const void *)(bytes + (size_t)at * size);
		/* What follows may be its second half, or not. */
		if (size == 64 && is_long(sqe) && !ring->mixed_known)
			break;
		add_sqe(ring, at, sqe);
		i += is_double(ring, sqe);
	}
	free(bytes);
	free(array);
	return size > 0;
}

/* ---- CQEs ---- */

static void
add_cqe(struct ring *ring, uint32_t index, const uint8_t *bytes)
{
	struct io_uring_cqe cqe;
	struct entry entry = { .kind = ENTRY_CQE, .index = index, .places = 1,
	    .size = ring->cqe_size };

	memcpy(&cqe, bytes, sizeof(cqe));
	entry.user_data = cqe.user_data;
	entry.res = cqe.res;
	entry.cqe_flags = cqe.flags;
	if (entry.size == 16 && entry.cqe_flags & IORING_CQE_F_32) {
		entry.size = 32;
		entry.places = 2;
	}
	if (entry.size == 32)
		memcpy(entry.extra, bytes + sizeof(cqe), sizeof(entry.extra));
	ring_add_entry(ring, &entry);
}

static bool
is_filler(const struct ring *ring, const uint8_t *bytes)
{
	uint32_t flags;

	memcpy(&flags, bytes + offsetof(struct io_uring_cqe, flags),
	    sizeof(flags));
	return ring->cqe_size == 16 && flags & IORING_CQE_F_SKIP &&
	    !(flags & IORING_CQE_F_32);
}

bool
map_read_cqes(struct ring *ring, int fd)
{
	const uint32_t count = (uint32_t)ring->cq_entries;
	const size_t size = ring->cqe_size;
	/* The last one may say that it is of two slots. */
	uint8_t *bytes = must_grow(NULL, count + 1, 32);
	bool loaded = size != 0 && map_read_part(fd, IORING_OFF_SQ_RING,
	    MAP_CQES_AT, bytes, count * size) == 0;

	memset(bytes + count * size, 0, 32);
	ring->cqe_fillers = 0;
	for (uint32_t i = 0, shown = 0; loaded && i < ring->cq_ready &&
	    shown < MAX_ENTRIES; i++) {
		uint32_t at = ((uint32_t)ring->cq_head + i) & (count - 1);

		if (is_filler(ring, bytes + at * size)) {
			ring->cqe_fillers++;
			continue;
		}
		add_cqe(ring, at, bytes + at * size);
		i += ring->entries[ring->entry_count - 1].places - 1u;
		shown++;
	}
	free(bytes);
	return loaded;
}
