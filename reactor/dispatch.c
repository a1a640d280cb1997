/* SPDX-License-Identifier: MIT */
/*
 * dispatch.c - hands completions to their owners.
 */
#include <errno.h>

#include "reactor/dispatch.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

static inline void
dispatch_one(struct torc_reactor *reactor, const struct io_uring_cqe *cqe)
{
	const struct torc_kind *kind =
	    &reactor->kinds[torc_tag_kind(cqe->user_data)];
	void *object = torc_slots_find(kind->slots, cqe->user_data);

	torc_debug_assert(kind->slots != NULL && kind->stray != NULL);
	torc_debug_assert(object == NULL || kind->complete != NULL);
	torc_debug_assert(reactor->current == NULL);
	if (torc_likely(object != NULL)) {
		kind->complete(reactor, object, cqe);
		if (torc_unlikely(reactor->ended != NULL))
			torc_fiber_bury(reactor);
	} else
		kind->stray(reactor, cqe);
}

/*
 * With many connections, the cache has lost what a completion touches since
 * it was touched last: fetched while the ones before it are acted on, it need
 * not be waited for.
 */
static void
dispatch_crowd(struct torc_reactor *reactor, uint32_t first, uint32_t count)
{
	const struct torc_ring *ring = &reactor->ring;

	torc_debug_assert(reactor->crowded);
	torc_debug_assert(reactor->layer != NULL &&
	    count <= reactor->config.batch);
	for (uint32_t done = 0; done < count; done++) {
		for (uint32_t steps = TORC_PREFETCH_STEPS; steps > 0; steps--) {
			if (steps < count - done)
				reactor->layer->prefetch(reactor,
				    torc_ring_at(ring, first + done + steps),
				    steps);
		}
		dispatch_one(reactor, torc_ring_at(ring, first + done));
	}
}

/*
 * Act on a bounded batch of completions. Each stays where it is until the
 * batch is released; the kernel writes behind it. 0, or -EBADR: some before
 * them were lost, and with them, perhaps, how far a buffer is filled.
 */
int
torc_dispatch(struct torc_reactor *reactor)
{
	struct torc_ring *ring = &reactor->ring;
	const uint32_t first = ring->cq_read;
	bool overflowed = torc_ring_overflowed(ring);
	uint32_t ready = torc_ring_ready(ring);
	uint32_t count = ready < reactor->config.batch ? ready :
	    reactor->config.batch;
	unsigned class = count == 0 ? 0 :
	    32 - (unsigned)__builtin_clz(count);

	torc_debug_assert(reactor->current == NULL);
	torc_debug_assert(reactor->turning);
	torc_debug_assert(reactor->settled <= reactor->taken);
	torc_debug_assert(reactor->ended == NULL);
	if (torc_unlikely(torc_ring_lost(ring)))
		return -EBADR;
	if (overflowed)
		reactor->in_order = false;
	reactor->verified = reactor->in_order ? reactor->taken :
	    reactor->settled;
	if (torc_unlikely(reactor->crowded))
		dispatch_crowd(reactor, first, count);
	else
		for (uint32_t number = first; number != first + count; number++)
			dispatch_one(reactor, torc_ring_at(ring, number));
	ring->cq_read = first + count;
	torc_ring_release(ring);
	if (count == ready && !overflowed)
		reactor->settled = reactor->taken;
	reactor->counters->cqes += count;
	reactor->counters->batches[class < TORC_BATCH_CLASSES ? class :
	    TORC_BATCH_CLASSES - 1]++;
	return 0;
}
