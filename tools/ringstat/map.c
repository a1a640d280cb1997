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

#define MAX_QUEUE (1u << 20)	/* entries: beyond what kernels allow */

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
is_queue(uint32_t entries, uint32_t mask, uint32_t head, uint32_t tail)
{
	return entries > 0 && entries <= MAX_QUEUE && mask == entries - 1 &&
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
		if (is_queue(words[WORD_SQ_ENTRIES], words[WORD_SQ_MASK],
		    words[WORD_SQ_HEAD], words[WORD_SQ_TAIL]) &&
		    is_queue(words[WORD_CQ_ENTRIES], words[WORD_CQ_MASK],
		    words[WORD_CQ_HEAD], words[WORD_CQ_TAIL]))
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

/* ---- Entries ---- */

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
	"EPOLL_WAIT", "READV_FIXED", "WRITEV_FIXED", "PIPE",
};

const char *
opcode_name(unsigned opcode)
{
	return opcode < sizeof(opcodes) / sizeof(opcodes[0]) ?
	    opcodes[opcode] : NULL;
}

static void
add_sqe(struct ring *ring, uint32_t index, const struct io_uring_sqe *sqe)
{
	const char *name = opcode_name(sqe->opcode);
	struct entry entry = {
		.kind = ENTRY_SQE,
		.index = index,
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

/*
 * Which SQE comes at a place of the queue is said by an array behind the CQEs,
 * unless the ring was set up without it, which nothing tells an onlooker. Who
 * has the array fills it with each index once; memory that is no array is
 * zero, or is not there.
 */
static bool
read_order(int fd, const struct ring *ring, uint32_t *order)
{
	const size_t cqes = (size_t)ring->cq_entries *
	    sizeof(struct io_uring_cqe);
	const size_t count = (size_t)ring->sq_entries;
	uint32_t sum = 0;

	if (read_part(fd, IORING_OFF_SQ_RING, CQES_AT + cqes, order,
	    count * sizeof(*order)) < 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (order[i] >= count)
			return false;
		sum |= order[i];
	}
	return sum != 0;
}

static void
read_sqes(struct ring *ring, int fd)
{
	const uint32_t count = (uint32_t)ring->sq_entries;
	uint32_t *order = must_grow(NULL, count, sizeof(*order));
	struct io_uring_sqe *sqes = must_grow(NULL, count, sizeof(*sqes));
	bool ordered = read_order(fd, ring, order);

	if (read_part(fd, IORING_OFF_SQES, 0, sqes, count * sizeof(*sqes)) <
	    0) {
		ring->hidden |= HIDDEN_SQES;
		goto out;
	}
	for (uint32_t i = 0; i < ring->sq_pending && i < MAX_ENTRIES; i++) {
		uint32_t at = ((uint32_t)ring->sq_head + i) & (count - 1);

		if (ordered)
			at = order[at];
		add_sqe(ring, at, &sqes[at]);
	}
out:
	free(sqes);
	free(order);
}

static void
read_cqes(struct ring *ring, int fd)
{
	const uint32_t count = (uint32_t)ring->cq_entries;
	struct io_uring_cqe *cqes = must_grow(NULL, count, sizeof(*cqes));

	if (read_part(fd, IORING_OFF_SQ_RING, CQES_AT, cqes,
	    count * sizeof(*cqes)) < 0)
		ring->hidden |= HIDDEN_CQES;
	for (uint32_t i = 0; i < ring->cq_ready && i < MAX_ENTRIES &&
	    !(ring->hidden & HIDDEN_CQES); i++) {
		uint32_t at = ((uint32_t)ring->cq_head + i) & (count - 1);
		struct entry entry = {
			.kind = ENTRY_CQE,
			.index = at,
			.user_data = cqes[at].user_data,
			.res = cqes[at].res,
			.cqe_flags = cqes[at].flags,
		};

		ring_add_entry(ring, &entry);
	}
	free(cqes);
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
map_read_file(struct ring *ring, int fd, bool entries)
{
	uint32_t words[WORDS];
	int rc = read_words(fd, words);

	if (rc < 0)
		return rc;
	take_words(ring, words);
	ring->sources |= SOURCE_MAP;
	if (entries) {
		read_sqes(ring, fd);
		read_cqes(ring, fd);
		ring->entries_known = true;
	}
	return 0;
}

int
map_read(struct ring *ring, int pidfd, unsigned fd, bool entries)
{
	int stolen = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	int rc;

	if (stolen < 0)
		return -errno;
	rc = is_ring(stolen) ? map_read_file(ring, stolen, entries) :
	    -ESTALE;
	close(stolen);
	return rc;
}
