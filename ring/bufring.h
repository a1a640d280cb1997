/* SPDX-License-Identifier: MIT */
/*
 * bufring.h - a ring of provided buffers: memory that the kernel receives
 * into, one buffer for each completion that needs one.
 *
 * Who owns a buffer (bid) is one word, and each change of it is asserted:
 *
 *   0                 in reserve: never given to the kernel yet
 *   TORC_BUF_KERNEL   in the ring, or being filled
 *   n                 ours: n slices of it that somebody has not read yet
 *   KERNEL + n        both: an incremental ring (Linux 6.12) is filled slice
 *                     by slice
 *
 * When the kernel has finished a buffer and the last slice is put back, it
 * goes to the kernel again. What the kernel has, nobody may look at.
 *
 * The ring starts small, since a small ring stays in the cache, and grows from
 * the reserve when most of it is held. Owned by the ring's thread.
 */
#ifndef TORC_RING_BUFRING_H
#define TORC_RING_BUFRING_H

#include <stdbool.h>
#include <stdint.h>

#include "sys/barrier.h"
#include "sys/poison.h"
#include "sys/trap.h"
#include "sys/uapi.h"

struct torc_ring;

#define TORC_BUFRING_MAX 32768u	/* buffers in a ring; the kernel's limit */

#define TORC_BUF_KERNEL (1u << 31)

struct torc_buf {
	uint8_t *memory;
	uint32_t owner;
	uint32_t filled;	/* bytes received while the kernel has it: where
				 * the next slice is */
};

struct torc_bufring {
	struct io_uring_buf *kbufs;
	uint16_t *ktail;
	struct torc_buf *bufs;	/* by bid */
	size_t mapped;		/* bytes from kbufs on: the ring, and from the
				 * next page on the memory of the buffers */
	uint32_t size;		/* bytes in a buffer */
	uint32_t lendable;	/* a slice of so many may stay with its taker:
				 * the size, or 0 while others need buffers */
	uint32_t capacity;	/* buffers with the reserve; a power of two */
	uint32_t mask;		/* capacity - 1 */
	uint32_t live;		/* bids from here on are in reserve */
	uint32_t in_kernel;	/* with KERNEL in their word */
	uint32_t in_kernel_min;	/* the lowest it was at a publish */
	uint32_t tail;		/* ours, of which the kernel sees 16 bits, and
				 * those late: at a publish */
	uint16_t bgid;
	bool incremental;
	struct torc_ring *ring;
};

/*
 * Register `capacity` buffers (a power of two) of `size` bytes as group
 * `bgid`, `start` of them live. With `incremental`, the kernel fills buffers
 * slice by slice if it can; bufring->incremental says if it does. Before or
 * after the ring is enabled. 0 or a negative errno. Linux 5.19.
 */
int torc_bufring_init(struct torc_bufring *bufring, struct torc_ring *ring,
    uint16_t bgid, uint32_t capacity, uint32_t start, uint32_t size,
    bool incremental);

/* Unregister and unmap. No receive may be armed on the group. */
void torc_bufring_fini(struct torc_bufring *bufring);

/*
 * Make up to `count` buffers of the reserve live. Returns how many; the
 * kernel sees them after torc_bufring_publish().
 */
uint32_t torc_bufring_grow(struct torc_bufring *bufring, uint32_t count);

/* Each buffer is where it is counted to be. */
void torc_bufring_check(const struct torc_bufring *bufring);

/*
 * Take what a CQE with IORING_CQE_F_BUFFER delivered: `length` bytes, of which
 * the caller gets a reference and the address. A length of 0 takes the
 * buffer without bytes: the caller puts the reference at once.
 */
static inline uint8_t *
torc_bufring_take(struct torc_bufring *bufring, uint16_t bid, uint32_t length,
    uint32_t cqe_flags)
{
	struct torc_buf *buf = &bufring->bufs[bid];
	uint8_t *data;

	torc_assert(bid < bufring->capacity && buf->owner >= TORC_BUF_KERNEL);
	data = buf->memory + buf->filled;
	torc_unpoison(data, length);
	buf->filled += length;
	torc_assert(buf->filled <= bufring->size);
	buf->owner++;
	if (torc_likely(!(cqe_flags & IORING_CQE_F_BUF_MORE))) {
		buf->owner -= TORC_BUF_KERNEL;
		bufring->in_kernel--;
	}
	return data;
}

/*
 * Whether there are `length` bytes, the first in their buffer, it has room for
 * them, and they may stay there: mostly all are like that.
 */
static inline bool
torc_bufring_whole(const struct torc_bufring *bufring, uint32_t bid,
    uint32_t length)
{
	const struct torc_buf *buf = &bufring->bufs[bid];

	torc_debug_assert(bufring->capacity == bufring->mask + 1);
	return bid < bufring->capacity && buf->owner == TORC_BUF_KERNEL &&
	    buf->filled == 0 && length - 1 < bufring->lendable;
}

/* Slices may stay with their takers from now on; or others need buffers. */
static inline void
torc_bufring_lend(struct torc_bufring *bufring, bool plenty)
{
	bufring->lendable = plenty ? bufring->size : 0;
}

/* Take these when they are the last ones, too. */
static inline uint8_t *
torc_bufring_take_whole(struct torc_bufring *bufring, uint32_t bid,
    uint32_t length)
{
	struct torc_buf *buf = &bufring->bufs[bid];

	torc_debug_assert(bid < bufring->live);
	torc_debug_assert(buf->owner == TORC_BUF_KERNEL &&
	    bufring->in_kernel > 0);
	torc_unpoison(buf->memory, length);
	buf->owner = 1;
	bufring->in_kernel--;
	return buf->memory;
}

/* Write a buffer to the ring; the kernel sees it after the next publish. */
static inline void
torc_bufring_provide(struct torc_bufring *bufring, struct torc_buf *buf,
    uint32_t bid)
{
	struct io_uring_buf *kbuf =
	    &bufring->kbufs[bufring->tail++ & bufring->mask];

	torc_debug_assert(buf == &bufring->bufs[bid]);
	torc_debug_assert(bufring->in_kernel < bufring->capacity);
	torc_assert(buf->owner == 0);
	/* Not `resv`: in entry 0 it is the tail. All three each time: an
	 * incremental ring changes them. */
	kbuf->addr = (uint64_t)buf->memory;
	kbuf->len = bufring->size;
	kbuf->bid = (uint16_t)bid;
	torc_poison(buf->memory, bufring->size);
	buf->owner = TORC_BUF_KERNEL;
	buf->filled = 0;
	bufring->in_kernel++;
}

/* Put a slice back that is not the last of its buffer. */
void torc_bufring_put_slice(struct torc_bufring *bufring, uint32_t bid);

/* Put a slice back; the last one returns the buffer to the kernel. */
static inline void
torc_bufring_put(struct torc_bufring *bufring, uint32_t bid)
{
	struct torc_buf *buf = &bufring->bufs[bid];

	torc_debug_assert(bid < bufring->live);
	if (torc_likely(buf->owner == 1)) {
		buf->owner = 0;
		torc_bufring_provide(bufring, buf, bid);
	} else {
		torc_bufring_put_slice(bufring, bid);
	}
}

/* Show the kernel every buffer that was provided. Once per batch. */
static inline void
torc_bufring_publish(struct torc_bufring *bufring)
{
	torc_debug_assert(bufring->in_kernel <= bufring->live);
	/* B1: release. Address, length and bid are written before the kernel
	 * sees that it may pick the buffer. */
	torc_store_release_u16(bufring->ktail, (uint16_t)bufring->tail);
	if (bufring->in_kernel < bufring->in_kernel_min)
		bufring->in_kernel_min = bufring->in_kernel;
}

#endif
