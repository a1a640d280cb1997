/* SPDX-License-Identifier: MIT */
/*
 * ring.h - one io_uring over shared memory: claim and publish SQEs, enter,
 * reap CQEs. Owned by one thread; see ring/PROTOCOL.md for every shared word.
 *
 * Pointers that start with k point into memory that the kernel shares.
 */
#ifndef TORC_RING_RING_H
#define TORC_RING_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "sys/barrier.h"
#include "sys/trap.h"
#include "sys/uapi.h"

#define TORC_RING_MIN_SQ 256u	/* where halving after ENOMEM ends */

struct torc_ring {
	uint32_t *ksq_head;	/* how many SQEs the kernel has taken, ever */
	uint32_t *ksq_tail;	/* how many it may take */
	uint32_t *ksq_flags;
	struct io_uring_sqe *sqes;
	uint32_t sq_mask;
	uint32_t sq_entries;
	/* Counted in 64 bits, that they never come round: the kernel's words
	 * are their low halves. */
	uint64_t sq_claimed;	/* how many we have filled: the next tail */
	uint64_t sq_taken;	/* the head as it was last seen */
	uint64_t sq_end;	/* what sq_claimed may reach before the next */

	uint32_t *kcq_head;	/* how many CQEs we have read, ever */
	uint32_t *kcq_tail;	/* how many the kernel has posted */
	const struct io_uring_cqe *cqes;
	uint32_t cq_mask;
	uint32_t cq_entries;
	uint32_t cq_read;	/* how many we have read: the next head */

	int fd;
	int enter_fd;		/* the fd, or its index among registered ones */
	uint32_t enter_flags;	/* for every enter */
	uint32_t setup_flags;	/* what the kernel accepted */
	uint32_t features;	/* IORING_FEAT_ */
	uint32_t *kcq_overflow;	/* CQEs that were lost */
	void *rings;		/* mapping of both rings */
	size_t rings_size;
	size_t sqes_size;
};

/*
 * Create a ring of `sq_entries` and `cq_entries` (powers of two, or rounded
 * up to one), not yet enabled. Flags that the kernel refuses are dropped one
 * by one; memory that it refuses is asked for again for 155 ms and then
 * halved, down to TORC_RING_MIN_SQ. 0 or a negative errno, which
 * torc_explain() can put into words. Linux 6.1.
 */
int torc_ring_init(struct torc_ring *ring, uint32_t sq_entries,
    uint32_t cq_entries);

/*
 * The memory of closed rings is given back late. If `rc`, which a setup or a
 * registration returned, is -ENOMEM: wait for longer each time, and true to
 * say that it is worth another try; false after 155 ms in 5 pauses: there is
 * no room. `*pauses` starts at 0.
 */
bool torc_ring_waited(int rc, unsigned *pauses);

/*
 * Make the calling thread the owner: only it may use the ring from now on.
 * Registers the ring's descriptor where the kernel allows it (5.18).
 */
int torc_ring_enable(struct torc_ring *ring);

/* Unmap and close. Nothing may be in flight. The owner, or before enable. */
void torc_ring_fini(struct torc_ring *ring);

/* Locked memory that a ring of this size is charged with, in bytes. */
uint64_t torc_ring_memory(uint32_t sq_entries, uint32_t cq_entries);

/*
 * Publish what was claimed, let the kernel take it, and wait until `wait`
 * CQEs are there or until `timeout_ns` has passed (UINT64_MAX: for ever). With
 * `batch_us`, the wait ends after that time if there is one CQE (Linux 6.12;
 * without it, only one CQE is waited for). Completions that the kernel has
 * deferred are run, also when nothing is waited for. Returns how many SQEs
 * were taken, or a negative errno: -ETIME and -EINTR say that the wait ended
 * early, -EAGAIN and -EBUSY that the kernel is short of memory; SQEs which it
 * did not take stay published for the next call.
 */
int torc_ring_enter(struct torc_ring *ring, uint32_t wait,
    uint64_t timeout_ns, uint32_t batch_us);

/*
 * Publish what was claimed and let the kernel take it, without running what
 * it has deferred: makes room in the SQ in the middle of a batch.
 */
int torc_ring_submit(struct torc_ring *ring);

/*
 * Move completions that did not fit from the kernel's list to the CQ, without
 * submitting anything. As torc_ring_enter() otherwise.
 */
int torc_ring_flush(struct torc_ring *ring);

/* SQEs that were claimed and not yet taken. */
static inline uint32_t
torc_ring_pending(const struct torc_ring *ring)
{
	torc_debug_assert(ring->sq_claimed >= ring->sq_taken);
	return (uint32_t)(ring->sq_claimed - ring->sq_taken);
}

/* No SQE can be claimed. */
static inline bool
torc_ring_full(const struct torc_ring *ring)
{
	torc_debug_assert(ring->sq_claimed <= ring->sq_end);
	return ring->sq_claimed == ring->sq_end;
}

/*
 * Claim the next SQE of a queue that is not full. The caller writes every byte
 * of it. The kernel does not see it before the next torc_ring_enter().
 */
static inline struct io_uring_sqe *
torc_ring_claim_blank(struct torc_ring *ring)
{
	torc_debug_assert(!torc_ring_full(ring));
	return &ring->sqes[ring->sq_claimed++ & ring->sq_mask];
}

/* The same, zeroed, or NULL when the queue is full. */
static inline struct io_uring_sqe *
torc_ring_claim(struct torc_ring *ring)
{
	struct io_uring_sqe *sqe;

	if (torc_unlikely(torc_ring_full(ring)))
		return NULL;
	sqe = torc_ring_claim_blank(ring);
	memset(sqe, 0, sizeof(*sqe));
	return sqe;
}

/* How many CQEs can be read now. */
static inline uint32_t
torc_ring_ready(const struct torc_ring *ring)
{
	/* C1: acquire. The entries below this tail are complete, and so are
	 * the bytes in the buffers that they name. */
	uint32_t ready = torc_load_acquire_u32(ring->kcq_tail) - ring->cq_read;

	torc_assert(ready <= ring->cq_entries);
	return ready;
}

/*
 * The next CQE, of those that torc_ring_ready() counted. It stays as it is
 * until torc_ring_release().
 */
static inline const struct io_uring_cqe *
torc_ring_next(struct torc_ring *ring)
{
	torc_debug_assert(ring->cq_mask == ring->cq_entries - 1);
	return &ring->cqes[ring->cq_read++ & ring->cq_mask];
}

/*
 * The same for the one of number `number`, for a caller who counts them
 * itself, from ring->cq_read.
 */
static inline const struct io_uring_cqe *
torc_ring_at(const struct torc_ring *ring, uint32_t number)
{
	torc_debug_assert(number - ring->cq_read < ring->cq_entries);
	return &ring->cqes[number & ring->cq_mask];
}

/* Give the slots of all CQEs read so far back to the kernel. */
static inline void
torc_ring_release(struct torc_ring *ring)
{
	/* C2: release. We have read the entries before the kernel sees that
	 * it may write over them. */
	torc_store_release_u32(ring->kcq_head, ring->cq_read);
}

/* Completions wait in the kernel because the CQ was full. */
static inline bool
torc_ring_overflowed(const struct torc_ring *ring)
{
	/* F1: relaxed. A hint that torc_ring_flush() is due; the flush itself
	 * is a system call. */
	return torc_load_relaxed_u32(ring->ksq_flags) & IORING_SQ_CQ_OVERFLOW;
}

/*
 * Completions were lost: the CQ was full, and the kernel had no memory to keep
 * them. What they would have ended never ends, and bytes that they took from a
 * buffer are not counted: those of the next one would be another's.
 */
static inline bool
torc_ring_lost(const struct torc_ring *ring)
{
	/* F2: relaxed, behind C1: a completion that stands behind a lost one is
	 * not seen without this. */
	return torc_load_relaxed_u32(ring->kcq_overflow) != 0;
}

/* Completions are ready to be run by the next enter, or posted already. */
static inline bool
torc_ring_busy(const struct torc_ring *ring)
{
	/* F1: relaxed, as above; and C1: relaxed, since no CQE is read on the
	 * strength of it. */
	return torc_load_relaxed_u32(ring->ksq_flags) &
	    (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW) ||
	    torc_load_relaxed_u32(ring->kcq_tail) != ring->cq_read;
}

#endif
