/* SPDX-License-Identifier: MIT */
/*
 * bufring.c - registering a buffer ring and its memory.
 */
#include "ring/bufring.h"

#include <errno.h>

#include "ring/ring.h"
#include "sys/pages.h"
#include "sys/sys.h"

/*
 * Buffers do not start at the same place in a page, else the first lines of
 * all of them would fall into the same few sets of the cache.
 */
#define COLOUR 64u

static int
register_ring(struct torc_bufring *bufring, uint16_t flags)
{
	struct torc_uapi_buf_reg reg = {
		.ring_addr = (uint64_t)bufring->kbufs,
		.ring_entries = bufring->capacity,
		.bgid = bufring->bgid,
		.flags = flags,
	};

	torc_debug_assert(bufring->ring != NULL && bufring->kbufs != NULL);
	return torc_sys_register(bufring->ring->fd,
	    IORING_REGISTER_PBUF_RING, &reg, 1);
}

static int
register_best(struct torc_bufring *bufring, bool incremental)
{
	int rc = -EINVAL;

	torc_debug_assert(bufring->kbufs != NULL && bufring->capacity > 0);
	if (incremental)
		rc = register_ring(bufring, IOU_PBUF_RING_INC);
	bufring->incremental = rc == 0;
	return rc == -EINVAL ? register_ring(bufring, 0) : rc;
}

int
torc_bufring_init(struct torc_bufring *bufring, struct torc_ring *ring,
    uint16_t bgid, uint32_t capacity, uint32_t start, uint32_t size,
    bool incremental)
{
	const size_t ring_size =
	    torc_pages_whole(capacity * sizeof(*bufring->kbufs));
	const size_t stride = size + COLOUR;
	unsigned pauses = 0;
	void *region;
	int rc;

	torc_assert(start <= capacity);
	torc_assert(size > 0);
	torc_assert(capacity > 0 && capacity <= TORC_BUFRING_MAX);
	torc_assert((capacity & (capacity - 1)) == 0);
	*bufring = (struct torc_bufring) {
		.ring = ring,
		.bgid = bgid,
		.capacity = capacity,
		.mask = capacity - 1,
		.size = size,
		.lendable = size,
		.mapped = ring_size + capacity * stride,
	};
	bufring->bufs = torc_sys_alloc(capacity * sizeof(*bufring->bufs));
	if (bufring->bufs == NULL)
		return -ENOMEM;
	rc = torc_pages_reserve(&region, bufring->mapped);
	if (rc < 0)
		goto free_bufs;
	bufring->kbufs = region;
	bufring->ktail = &bufring->kbufs[0].resv;
	for (uint32_t i = 0; i < capacity; i++)
		bufring->bufs[i].memory = (uint8_t *)region + ring_size +
		    i * stride;
	do
		rc = register_best(bufring, incremental);
	while (torc_ring_waited(rc, &pauses));
	if (rc < 0)
		goto release_region;
	torc_bufring_grow(bufring, start);
	bufring->in_kernel_min = bufring->in_kernel;
	torc_bufring_publish(bufring);
	return 0;

release_region:
	torc_pages_release(region, bufring->mapped);
free_bufs:
	torc_sys_free(bufring->bufs);
	return rc;
}

void
torc_bufring_fini(struct torc_bufring *bufring)
{
	struct torc_uapi_buf_reg reg = { .bgid = bufring->bgid };

	torc_debug_assert(bufring->kbufs != NULL);
	/* Before its memory goes: closing a ring takes effect late. */
	torc_sys_register(bufring->ring->fd, IORING_UNREGISTER_PBUF_RING,
	    &reg, 1);
	/* Others may be given the same addresses. */
	torc_unpoison(bufring->kbufs, bufring->mapped);
	torc_pages_release(bufring->kbufs, bufring->mapped);
	torc_sys_free(bufring->bufs);
}

uint32_t
torc_bufring_grow(struct torc_bufring *bufring, uint32_t count)
{
	torc_debug_assert(bufring->live <= bufring->capacity);
	if (count > bufring->capacity - bufring->live)
		count = bufring->capacity - bufring->live;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t bid = bufring->live++;

		torc_bufring_provide(bufring, &bufring->bufs[bid], bid);
	}
	return count;
}

void
torc_bufring_put_slice(struct torc_bufring *bufring, uint32_t bid)
{
	struct torc_buf *buf = &bufring->bufs[bid];

	torc_assert(bid < bufring->live);
	torc_assert((buf->owner & ~TORC_BUF_KERNEL) > 0);
	buf->owner--;
}

void
torc_bufring_check(const struct torc_bufring *bufring)
{
	uint32_t in_kernel = 0;

	torc_assert(bufring->live <= bufring->capacity);
	torc_assert(bufring->lendable == 0 ||
	    bufring->lendable == bufring->size);
	for (uint32_t bid = 0; bid < bufring->capacity; bid++) {
		const struct torc_buf *buf = &bufring->bufs[bid];

		/* The kernel's, or somebody's, or in reserve. */
		torc_assert((buf->owner == 0) == (bid >= bufring->live));
		torc_assert(buf->filled <= bufring->size);
		in_kernel += buf->owner >= TORC_BUF_KERNEL;
	}
	torc_assert(bufring->in_kernel == in_kernel);
}
