/* SPDX-License-Identifier: MIT */
/*
 * bare_ring.h - an io_uring as the kernel gives it, with nothing on top: what
 * the limit program and the load generator both use. One thread owns a ring.
 *
 * Every feature that makes a request cheaper is asked for and none has a
 * fallback, for these programs measure what the kernel can do. They need
 * Linux 6.6 or newer.
 */
#ifndef BENCH_BARE_RING_H
#define BENCH_BARE_RING_H

#include "tools/bench/common.h"

#include "sys/barrier.h"
#include "sys/uapi.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Pointers that start with k lead into memory shared with the kernel. Queue
 * indices run free and are masked only to address an entry.
 */
struct bare_ring {
	int fd;
	int enter_fd;			/* the registered index of fd */
	uint32_t sq_tail;		/* entries filled, ever */
	uint32_t sq_submitted;		/* entries the kernel took, ever */
	uint32_t sq_mask;
	uint32_t cq_mask;
	struct io_uring_sqe *ksqes;
	const struct io_uring_cqe *kcqes;
	uint32_t *ksq_tail;		/* written by us */
	uint32_t *kcq_head;		/* written by us */
	const uint32_t *kcq_tail;	/* written by the kernel */
};

/* Buffers that the kernel picks from when bytes arrive. */
struct bare_buffers {
	struct io_uring_buf_ring *kring;
	char *memory;
	unsigned count;			/* a power of two */
	unsigned size;
	uint32_t tail;			/* buffers given, ever */
};

static inline void *
ring_map(size_t size, int flags, int fd, off_t offset)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    flags | MAP_POPULATE, fd, offset);

	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

static inline int
ring_register(const struct bare_ring *ring, unsigned opcode, void *arg,
    unsigned arg_count)
{
	return (int)syscall(__NR_io_uring_register, ring->fd, opcode, arg,
	    arg_count);
}

static inline void
ring_map_queues(struct bare_ring *ring, const struct io_uring_params *params)
{
	const bool indexed = !(params->flags & IORING_SETUP_NO_SQARRAY);
	size_t size = params->cq_off.cqes +
	    params->cq_entries * sizeof(struct io_uring_cqe);
	char *kqueues;

	if (indexed)	/* the table lies behind the completions */
		size = params->sq_off.array +
		    params->sq_entries * sizeof(uint32_t);
	kqueues = ring_map(size, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	for (uint32_t i = 0; indexed && i < params->sq_entries; i++)
		((uint32_t *)(void *)(kqueues + params->sq_off.array))[i] = i;
	ring->ksqes = ring_map(params->sq_entries *
	    sizeof(struct io_uring_sqe), MAP_SHARED, ring->fd,
	    IORING_OFF_SQES);
	ring->kcqes = (const void *)(kqueues + params->cq_off.cqes);
	ring->ksq_tail = (void *)(kqueues + params->sq_off.tail);
	ring->kcq_head = (void *)(kqueues + params->cq_off.head);
	ring->kcq_tail = (void *)(kqueues + params->cq_off.tail);
	ring->sq_mask = params->sq_entries - 1;
	ring->cq_mask = params->cq_entries - 1;
}

/* Both sizes are powers of two. Ends the program when anything is refused. */
static inline void
ring_open(struct bare_ring *ring, unsigned sq_entries, unsigned cq_entries)
{
	struct io_uring_params params = { 0 };
	struct io_uring_rsrc_update update = { 0 };

	/*
	 * One thread submits and reaps, so completions may wait until it asks
	 * for them (DEFER_TASKRUN): they come in batches and no interrupt is
	 * needed. A failing entry must not hold the others back (SUBMIT_ALL).
	 */
	params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER |
	    IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
	    IORING_SETUP_NO_SQARRAY;
	params.cq_entries = cq_entries;
	*ring = (struct bare_ring){ 0 };
	ring->fd = (int)syscall(__NR_io_uring_setup, sq_entries, &params);
	if (ring->fd < 0 && errno == EINVAL) {
		/* Before Linux 6.6: entries are found through a table. */
		params.flags &= ~IORING_SETUP_NO_SQARRAY;
		ring->fd = (int)syscall(__NR_io_uring_setup, sq_entries,
		    &params);
	}
	if (ring->fd < 0)
		die("io_uring_setup");
	ring_map_queues(ring, &params);
	/* Saves the kernel the descriptor lookup in every enter. */
	update.offset = -1U;
	update.data = (uint32_t)ring->fd;
	if (ring_register(ring, IORING_REGISTER_RING_FDS, &update, 1) != 1)
		die("IORING_REGISTER_RING_FDS");
	ring->enter_fd = (int)update.offset;
}

/* A table of direct descriptors, which cost less than a process's own. */
static inline void
ring_register_files(const struct bare_ring *ring, unsigned count)
{
	struct io_uring_rsrc_register table = { 0 };

	table.nr = count;
	table.flags = IORING_RSRC_REGISTER_SPARSE;
	if (ring_register(ring, IORING_REGISTER_FILES2, &table,
	    sizeof(table)) < 0)
		die("IORING_REGISTER_FILES2");
}

/* Shows the kernel what was filled, and waits for wait_count completions. */
static inline void
ring_enter(struct bare_ring *ring, unsigned wait_count)
{
	long taken;

	/* Release: the entries are written before the tail that covers them. */
	torc_store_release_u32(ring->ksq_tail, ring->sq_tail);
	taken = syscall(__NR_io_uring_enter, ring->enter_fd,
	    ring->sq_tail - ring->sq_submitted, wait_count,
	    IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING, NULL, 0);
	if (__builtin_expect(taken >= 0, 1))
		ring->sq_submitted += (unsigned)taken;
	else if (errno != EINTR && errno != EAGAIN && errno != EBUSY)
		die("io_uring_enter");
}

/* The next entry to fill, zeroed. Submits first when the queue is full. */
static inline struct io_uring_sqe *
ring_sqe(struct bare_ring *ring)
{
	struct io_uring_sqe *sqe;

	while (__builtin_expect(ring->sq_tail - ring->sq_submitted >
	    ring->sq_mask, 0))
		ring_enter(ring, 0);
	sqe = &ring->ksqes[ring->sq_tail & ring->sq_mask];
	ring->sq_tail++;
	memset(sqe, 0, sizeof(*sqe));
	/*
	 * Keeps the four wide stores of a whole entry: seeing that the first
	 * bytes are written again, gcc would clear the rest byte by byte.
	 */
	__asm__("" : "+m"(*sqe));
	return sqe;
}

/* Acquire: an entry is complete once the tail says that it is there. */
static inline uint32_t
ring_cq_tail(const struct bare_ring *ring)
{
	return torc_load_acquire_u32(ring->kcq_tail);
}

static inline uint32_t
ring_cq_head(const struct bare_ring *ring)
{
	return torc_load_relaxed_u32(ring->kcq_head);
}

/* Release: entries before head have been read when their room is reused. */
static inline void
ring_cq_advance(const struct bare_ring *ring, uint32_t head)
{
	torc_store_release_u32(ring->kcq_head, head);
}

static inline char *
buffers_at(const struct bare_buffers *buffers, unsigned bid)
{
	return buffers->memory + (size_t)bid * buffers->size;
}

/* Gives a buffer back; the kernel sees it after buffers_publish(). */
static inline void
buffers_recycle(struct bare_buffers *buffers, unsigned bid)
{
	struct io_uring_buf *buf =
	    &buffers->kring->bufs[buffers->tail & (buffers->count - 1)];

	/* Not the whole struct: entry 0 shares its last field with the tail. */
	buf->addr = (uint64_t)(uintptr_t)buffers_at(buffers, bid);
	buf->len = buffers->size;
	buf->bid = (uint16_t)bid;
	buffers->tail++;
}

static inline void
buffers_publish(const struct bare_buffers *buffers)
{
	/* Release: the buffers are described before the tail covers them. */
	torc_store_release_u16(&buffers->kring->tail,
	    (uint16_t)buffers->tail);
}

/* Registers count (a power of two) buffers of size bytes as group 0. */
static inline void
buffers_open(struct bare_buffers *buffers, const struct bare_ring *ring,
    unsigned count, unsigned size)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	struct io_uring_buf_reg reg = { 0 };

	buffers->kring = ring_map(count * sizeof(struct io_uring_buf), flags,
	    -1, 0);
	buffers->memory = ring_map((size_t)count * size, flags, -1, 0);
	buffers->count = count;
	buffers->size = size;
	buffers->tail = 0;
	reg.ring_addr = (uint64_t)(uintptr_t)buffers->kring;
	reg.ring_entries = count;
	if (ring_register(ring, IORING_REGISTER_PBUF_RING, &reg, 1) < 0)
		die("IORING_REGISTER_PBUF_RING");
	for (unsigned bid = 0; bid < count; bid++)
		buffers_recycle(buffers, bid);
	buffers_publish(buffers);
}

#endif
