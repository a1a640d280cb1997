/* SPDX-License-Identifier: MIT */
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
int
map_read_part(int fd, uint64_t region, size_t offset, void *to, size_t size)
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
		int rc = map_read_part(fd, IORING_OFF_SQ_RING, 0, words,
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

/* ---- Sizes ---- */

/* Whether the region has a byte there: beyond its end it cannot be mapped, or
 * (Linux 6.13) is mapped and cannot be read. */
static bool
is_there(int fd, uint64_t region, size_t offset)
{
	uint8_t byte;

	return map_read_part(fd, region, offset, &byte, 1) == 0;
}

/* For wide CQEs the kernel doubles the words before them, too. */
size_t
map_array_offset(size_t cq_entries, size_t cqe_size)
{
	return ((MAP_CQES_AT + cq_entries * 16) * (cqe_size / 16) + 63) &
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
	    map_array_offset(cqes, 16) + sqes * sizeof(uint32_t),
	    MAP_CQES_AT + cqes * 32, 16);
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
