/*
 * map.c - a ring of another process, mapped.
 *
 * The memory belongs to someone who may be hostile: every word is read once,
 * checked, and the mapping may end anywhere (SIGBUS is survived).
 */
#include "tools/ringstat/map.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/pages.h"
#include "sys/uapi.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL	/* Linux 6.9 */
#endif

#define MAX_SQ 32768u		/* entries that kernels allow */
#define MAX_CQ (MAX_SQ * 2)

/*
 * Where the words are, in every kernel since 5.1. A program learns it from
 * io_uring_setup(2); an onlooker checks what he finds.
 */
enum {
	WORD_SQ_HEAD, WORD_SQ_TAIL, WORD_CQ_HEAD, WORD_CQ_TAIL, WORD_SQ_MASK,
	WORD_CQ_MASK, WORD_SQ_ENTRIES, WORD_CQ_ENTRIES, WORD_SQ_DROPPED,
	WORD_SQ_FLAGS, WORD_CQ_FLAGS, WORD_CQ_OVERFLOW, WORDS,
	CQES_AT = 64,
};

int
map_open(pid_t pid, pid_t tid)
{
	long fd = syscall(SYS_pidfd_open, tid, tid == pid ? 0 : PIDFD_THREAD);

	return fd < 0 ? -errno : (int)fd;
}

/* ---- Reading memory that may not be there ---- */

static sigjmp_buf out_of_memory;

static void
leave(int number)
{
	(void)number;
	siglongjmp(out_of_memory, 1);
}

/* memcpy, or -EFAULT where the mapping has ended. */
static int
copy(void *to, const void *from, size_t size)
{
	struct sigaction action = { .sa_handler = leave }, before;

	sigaction(SIGBUS, &action, &before);
	if (sigsetjmp(out_of_memory, 1) != 0) {
		sigaction(SIGBUS, &before, NULL);
		return -EFAULT;
	}
	memcpy(to, from, size);
	sigaction(SIGBUS, &before, NULL);
	return 0;
}

/* A part of the ring, copied. */
static int
read_part(int fd, uint64_t region, size_t offset, void *to, size_t size)
{
	void *memory = mmap(NULL, offset + size, PROT_READ, MAP_SHARED, fd,
	    (off_t)region);
	int rc;

	if (memory == MAP_FAILED)
		return -errno;
	rc = copy(to, (const char *)memory + offset, size);
	munmap(memory, offset + size);
	return rc;
}

/* ---- Words ---- */

static bool
is_queue(uint32_t entries, uint32_t most, uint32_t mask, uint32_t head,
    uint32_t tail)
{
	return entries > 0 && entries <= most && mask == entries - 1 &&
	    (entries & mask) == 0 && tail - head <= entries;
}

/* An owner that runs moves them meanwhile: nonsense is read again. */
static int
read_words(int fd, uint32_t words[WORDS])
{
	for (int tries = 0; tries < 3; tries++) {
		int rc = read_part(fd, IORING_OFF_SQ_RING, 0, words,
		    WORDS * sizeof(words[0]));

		if (rc < 0)
			return rc;
		if (is_queue(words[WORD_SQ_ENTRIES], MAX_SQ,
		    words[WORD_SQ_MASK], words[WORD_SQ_HEAD],
		    words[WORD_SQ_TAIL]) &&
		    is_queue(words[WORD_CQ_ENTRIES], MAX_CQ,
		    words[WORD_CQ_MASK], words[WORD_CQ_HEAD],
		    words[WORD_CQ_TAIL]))
			return 0;
	}
	return -EPROTO;
}

static void
take_words(struct ring *ring, const uint32_t words[WORDS])
{
	ring->sq_entries = words[WORD_SQ_ENTRIES];
	ring->sq_head = words[WORD_SQ_HEAD];
	ring->sq_tail = words[WORD_SQ_TAIL];
	ring->sq_pending = words[WORD_SQ_TAIL] - words[WORD_SQ_HEAD];
	ring->sq_dropped = words[WORD_SQ_DROPPED];
	ring->sq_flags = words[WORD_SQ_FLAGS];
	ring->cq_entries = words[WORD_CQ_ENTRIES];
	ring->cq_head = words[WORD_CQ_HEAD];
	ring->cq_tail = words[WORD_CQ_TAIL];
	ring->cq_ready = words[WORD_CQ_TAIL] - words[WORD_CQ_HEAD];
	ring->cq_overflow = words[WORD_CQ_OVERFLOW];
}

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

/* ---- Sizes ---- */

/* Whether the region has a byte there: beyond its end it cannot be mapped, or
 * (Linux 6.13) is mapped and cannot be read. */
static bool
is_there(int fd, uint64_t region, size_t offset)
{
	uint8_t byte;

	return read_part(fd, region, offset, &byte, 1) == 0;
}

/* For wide CQEs the kernel doubles the words before them, too. */
static size_t
array_offset(size_t cq_entries, size_t cqe_size)
{
	return ((CQES_AT + cq_entries * 16) * (cqe_size / 16) + 63) &
	    ~(size_t)63;
}

/* Before Linux 6.13 a region is as large as a power of two. */
static size_t
most_bytes(size_t bytes)
{
	size_t room = torc_pages_whole(1);

	while (room < bytes)
		room *= 2;
	return room;
}

/*
 * Slots of twice the size make a region that has more pages, unless both fit
 * into the first ones.
 */
static uint32_t
measure(int fd, uint64_t region, size_t narrow, size_t wide,
    uint32_t narrow_size)
{
	if (most_bytes(narrow) >= wide)
		return 0;
	return is_there(fd, region, wide - 1) ? narrow_size * 2 : narrow_size;
}

void
map_measure(struct ring *ring, int fd)
{
	const size_t sqes = (size_t)ring->sq_entries;
	const size_t cqes = (size_t)ring->cq_entries;

	ring->sqe_size = measure(fd, IORING_OFF_SQES, sqes * 64, sqes * 128,
	    64);
	ring->cqe_size = measure(fd, IORING_OFF_SQ_RING,
	    array_offset(cqes, 16) + sqes * sizeof(uint32_t),
	    CQES_AT + cqes * 32, 16);
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

	if (read_part(fd, IORING_OFF_SQ_RING, offset, order,
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
		return load_order(fd, array_offset(cqes, ring->cqe_size),
		    order, count) ? ORDER : NO_ORDER;
	if (load_order(fd, array_offset(cqes, 16), order, count))
		return is_plain(order, count) ? ORDER : ORDER_UNKNOWN;
	return load_order(fd, array_offset(cqes, 32), order, count) ? ORDER :
	    NO_ORDER;
}

/* `bytes` has room for slots of 128 bytes, and is zero. The size of a slot, or
 * 0: not known. */
static uint32_t
load_sqes(struct ring *ring, int fd, uint8_t *bytes, enum order order)
{
	const size_t count = (size_t)ring->sq_entries;

	if (read_part(fd, IORING_OFF_SQES, 0, bytes,
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
	bool loaded = size != 0 && read_part(fd, IORING_OFF_SQ_RING, CQES_AT,
	    bytes, count * size) == 0;

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

/* ---- The descriptor ---- */

/* It may be another file by now. */
static bool
is_ring(int fd)
{
	char path[40], name[32];
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	size = readlink(path, name, sizeof(name));
	return size == 21 && memcmp(name, "anon_inode:[io_uring]", 21) == 0;
}

int
map_read(struct ring *ring, int fd)
{
	uint32_t words[WORDS];
	int rc = read_words(fd, words);

	if (rc < 0)
		return rc;
	take_words(ring, words);
	ring->sources |= SOURCE_MAP;
	return 0;
}

int
map_take(int pidfd, unsigned fd)
{
	int taken = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	if (taken < 0)
		return -errno;
	if (is_ring(taken))
		return taken;
	close(taken);
	return -ESTALE;
}
