/* SPDX-License-Identifier: MIT */
/*
 * ring.c - setting up a ring step by step down, mapping it, entering it.
 */
#include "ring/ring.h"

#include <errno.h>
#include <sys/mman.h>

#include "sys/pages.h"
#include "sys/sys.h"

/* What is asked for, in the order in which it is given up: the newest first. */
static const uint32_t optional_flags[] = {
	IORING_SETUP_NO_SQARRAY,	/* Linux 6.6 */
	IORING_SETUP_DEFER_TASKRUN,	/* 6.1 */
	IORING_SETUP_SINGLE_ISSUER,	/* 6.0 */
	IORING_SETUP_TASKRUN_FLAG,	/* 5.19 */
	IORING_SETUP_SUBMIT_ALL,	/* 5.18 */
	IORING_SETUP_R_DISABLED,	/* 5.10 */
	IORING_SETUP_CQSIZE,		/* 5.5 */
};
#define OPTIONAL_COUNT (sizeof(optional_flags) / sizeof(optional_flags[0]))

#define LONGEST_NS (1ull << 62)	/* the kernel adds it to its clock */

/*
 * What the kernel demands of a combination: deferred task work has a single
 * issuer, who is the thread that enables the ring; without it, cooperative
 * task work (5.19) is the next best; the flag word needs either.
 */
static uint32_t
consistent(uint32_t flags)
{
	if (!(flags & IORING_SETUP_R_DISABLED))
		flags &= ~(uint32_t)IORING_SETUP_SINGLE_ISSUER;
	if (!(flags & IORING_SETUP_SINGLE_ISSUER))
		flags &= ~(uint32_t)IORING_SETUP_DEFER_TASKRUN;
	if (!(flags & IORING_SETUP_DEFER_TASKRUN) &&
	    flags & IORING_SETUP_TASKRUN_FLAG)
		flags |= IORING_SETUP_COOP_TASKRUN;
	return flags;
}

static int
setup_once(struct io_uring_params *params, uint32_t flags,
    uint32_t sq_entries, uint32_t cq_entries)
{
	torc_debug_assert(sq_entries > 0 && cq_entries >= sq_entries);
	memset(params, 0, sizeof(*params));
	params->flags = consistent(flags);
	if (flags & IORING_SETUP_CQSIZE)
		params->cq_entries = cq_entries;
	return torc_sys_setup(sq_entries, params);
}

/*
 * The best set of flags first; then the same without one of them; then, if no
 * single one was to blame, the newest is given up for good and so on down.
 */
static int
setup_ladder(struct io_uring_params *params, uint32_t sq_entries,
    uint32_t cq_entries)
{
	uint32_t flags = 0;
	int rc;

	for (size_t i = 0; i < OPTIONAL_COUNT; i++)
		flags |= optional_flags[i];
	rc = setup_once(params, flags, sq_entries, cq_entries);
	for (size_t i = 0; rc == -EINVAL && i < OPTIONAL_COUNT; i++) {
		for (size_t j = i; rc == -EINVAL && j < OPTIONAL_COUNT; j++)
			rc = setup_once(params, flags & ~optional_flags[j],
			    sq_entries, cq_entries);
		flags &= ~optional_flags[i];
	}
	return rc;
}

bool
torc_ring_waited(int rc, unsigned *pauses)
{
	torc_debug_assert(*pauses <= 5);
	if (rc != -ENOMEM || *pauses == 5)
		return false;
	torc_sys_sleep(5000000ull << (*pauses)++);
	return true;
}

static int
setup_patiently(struct io_uring_params *params, uint32_t sq_entries,
    uint32_t cq_entries)
{
	unsigned pauses = 0;
	int rc;

	do
		rc = setup_ladder(params, sq_entries, cq_entries);
	while (torc_ring_waited(rc, &pauses));
	return rc;
}

static void *
at(const struct torc_ring *ring, uint32_t offset)
{
	torc_debug_assert(offset < ring->rings_size);
	return (char *)ring->rings + offset;
}

static void
name_words(struct torc_ring *ring, const struct io_uring_params *params)
{
	ring->ksq_head = at(ring, params->sq_off.head);
	ring->ksq_tail = at(ring, params->sq_off.tail);
	ring->ksq_flags = at(ring, params->sq_off.flags);
	ring->kcq_head = at(ring, params->cq_off.head);
	ring->kcq_tail = at(ring, params->cq_off.tail);
	ring->kcq_overflow = at(ring, params->cq_off.overflow);
	ring->cqes = at(ring, params->cq_off.cqes);
	ring->sq_entries = params->sq_entries;
	ring->sq_mask = params->sq_entries - 1;
	ring->sq_end = params->sq_entries;
	ring->cq_entries = params->cq_entries;
	ring->cq_mask = params->cq_entries - 1;
	torc_assert((ring->sq_entries & ring->sq_mask) == 0);
	torc_assert((ring->cq_entries & ring->cq_mask) == 0);
	if (!(params->flags & IORING_SETUP_NO_SQARRAY)) {
		uint32_t *array = at(ring, params->sq_off.array);

		/* The extra indirection is set to do nothing, once. */
		for (uint32_t i = 0; i < params->sq_entries; i++)
			array[i] = i;
	}
}

/* Map one part of the ring, out of reach of a forked child. */
static int
map_part(int fd, uint64_t offset, size_t size, void **address)
{
	int rc = torc_sys_map(address, size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_POPULATE, fd, offset);

	torc_debug_assert(size > 0);
	if (rc < 0)
		return rc;
	rc = torc_sys_advise(*address, size, MADV_DONTFORK);
	if (rc < 0)
		torc_sys_unmap(*address, size);
	return rc;
}

static int
map_ring(struct torc_ring *ring, const struct io_uring_params *params)
{
	void *sqes;
	int rc;

	torc_debug_assert(ring->fd >= 0 && ring->rings == NULL);
	ring->rings_size = params->cq_off.cqes +
	    params->cq_entries * sizeof(struct io_uring_cqe);
	if (!(params->flags & IORING_SETUP_NO_SQARRAY)) {
		size_t end = params->sq_off.array +
		    params->sq_entries * sizeof(uint32_t);

		if (end > ring->rings_size)
			ring->rings_size = end;
	}
	ring->sqes_size = params->sq_entries * sizeof(struct io_uring_sqe);
	rc = map_part(ring->fd, IORING_OFF_SQ_RING, ring->rings_size,
	    &ring->rings);
	if (rc < 0)
		return rc;
	rc = map_part(ring->fd, IORING_OFF_SQES, ring->sqes_size, &sqes);
	if (rc < 0) {
		torc_sys_unmap(ring->rings, ring->rings_size);
		return rc;
	}
	ring->sqes = sqes;
	name_words(ring, params);
	return 0;
}

int
torc_ring_init(struct torc_ring *ring, uint32_t sq_entries,
    uint32_t cq_entries)
{
	const uint32_t needed = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP |
	    IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP;
	struct io_uring_params params;
	int rc;

	torc_assert(cq_entries >= sq_entries);
	rc = setup_patiently(&params, sq_entries, cq_entries);
	while (rc == -ENOMEM && sq_entries > TORC_RING_MIN_SQ) {
		sq_entries /= 2;
		cq_entries /= 2;
		rc = setup_patiently(&params, sq_entries, cq_entries);
	}
	if (rc < 0)
		return rc;
	memset(ring, 0, sizeof(*ring));
	ring->fd = rc;
	ring->enter_fd = rc;
	ring->setup_flags = params.flags;
	ring->features = params.features;
	if (params.features & IORING_FEAT_NO_IOWAIT)
		ring->enter_flags |= IORING_ENTER_NO_IOWAIT;
	rc = (params.features & needed) == needed ?
	    map_ring(ring, &params) : -EINVAL;
	if (rc < 0)
		torc_sys_close(ring->fd);
	return rc;
}

int
torc_ring_enable(struct torc_ring *ring)
{
	struct io_uring_rsrc_update update = {
		.offset = UINT32_MAX,	/* any index */
		.data = (uint32_t)ring->fd,
	};

	torc_assert(ring->enter_fd == ring->fd);
	if (ring->setup_flags & IORING_SETUP_R_DISABLED) {
		int rc = torc_sys_register(ring->fd,
		    IORING_REGISTER_ENABLE_RINGS, NULL, 0);

		if (rc < 0)
			return rc;
	}
	if (torc_sys_register(ring->fd, IORING_REGISTER_RING_FDS, &update,
	    1) == 1) {
		ring->enter_fd = (int)update.offset;
		ring->enter_flags |= IORING_ENTER_REGISTERED_RING;
	}
	return 0;
}

void
torc_ring_fini(struct torc_ring *ring)
{
	torc_debug_assert(ring->rings != NULL && ring->sqes != NULL);
	if (ring->enter_flags & IORING_ENTER_REGISTERED_RING) {
		struct io_uring_rsrc_update update = {
			.offset = (uint32_t)ring->enter_fd,
		};

		torc_sys_register(ring->fd, IORING_UNREGISTER_RING_FDS,
		    &update, 1);
	}
	torc_sys_unmap(ring->sqes, ring->sqes_size);
	torc_sys_unmap(ring->rings, ring->rings_size);
	torc_sys_close(ring->fd);
}

uint64_t
torc_ring_memory(uint32_t sq_entries, uint32_t cq_entries)
{
	torc_debug_assert(cq_entries >= sq_entries);
	return torc_pages_whole(64 + cq_entries * sizeof(struct io_uring_cqe)) +
	    torc_pages_whole(sq_entries * sizeof(struct io_uring_sqe));
}

static int
enter(struct torc_ring *ring, uint32_t to_submit, uint32_t wait,
    uint64_t timeout_ns, uint32_t batch_us)
{
	const uint32_t flags = ring->enter_flags | IORING_ENTER_GETEVENTS;
	struct torc_uapi_getevents arg = { .min_wait_usec = batch_us };
	struct __kernel_timespec timeout;

	torc_debug_assert(to_submit <= ring->sq_entries);
	if (wait == 0 || (timeout_ns == UINT64_MAX && batch_us == 0))
		return torc_sys_enter(ring->enter_fd, to_submit, wait, flags,
		    NULL, 0);
	/* A minimum wait without a timeout would end at its time even if
	 * nothing is there. */
	if (timeout_ns > LONGEST_NS)
		timeout_ns = LONGEST_NS;
	timeout.tv_sec = (int64_t)(timeout_ns / 1000000000u);
	timeout.tv_nsec = (int64_t)(timeout_ns % 1000000000u);
	arg.ts = (uint64_t)&timeout;
	return torc_sys_enter(ring->enter_fd, to_submit, wait,
	    flags | IORING_ENTER_EXT_ARG, &arg, sizeof(arg));
}

static uint32_t
publish(struct torc_ring *ring)
{
	torc_debug_assert(torc_ring_pending(ring) <= ring->sq_entries);
	/* S1: release. The kernel sees the entries before the tail that
	 * covers them. */
	torc_store_release_u32(ring->ksq_tail, (uint32_t)ring->sq_claimed);
	return torc_ring_pending(ring);
}

static void
see_taken(struct torc_ring *ring)
{
	/* S2: acquire. The kernel has read an entry before we see that its
	 * slot is free; from here on it may be claimed again. */
	ring->sq_taken += torc_load_acquire_u32(ring->ksq_head) -
	    (uint32_t)ring->sq_taken;
	ring->sq_end = ring->sq_taken + ring->sq_entries;
	torc_assert(torc_ring_pending(ring) <= ring->sq_entries);
}

int
torc_ring_enter(struct torc_ring *ring, uint32_t wait, uint64_t timeout_ns,
    uint32_t batch_us)
{
	int rc;

	if (!(ring->features & IORING_FEAT_MIN_TIMEOUT)) {
		wait = wait > 1 ? 1 : wait;
		batch_us = 0;	/* an older kernel would refuse it */
	}
	rc = enter(ring, publish(ring), wait, timeout_ns, batch_us);
	see_taken(ring);
	return rc;
}

int
torc_ring_submit(struct torc_ring *ring)
{
	int rc = torc_sys_enter(ring->enter_fd, publish(ring), 0,
	    ring->enter_flags, NULL, 0);

	torc_debug_assert(ring->sq_claimed <= ring->sq_end);
	see_taken(ring);
	return rc;
}

int
torc_ring_flush(struct torc_ring *ring)
{
	return enter(ring, 0, 0, UINT64_MAX, 0);
}
