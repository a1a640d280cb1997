/* SPDX-License-Identifier: MIT */
/*
 * timers.c - the heap.
 */
#include "reactor/timers.h"

#include <stddef.h>

#include "sys/pages.h"
#include "sys/trap.h"

#define CHILDREN 4u

int
torc_timers_init(struct torc_timers *timers, uint32_t capacity)
{
	void *heap;
	int rc = torc_pages_reserve(&heap, capacity * sizeof(*timers->heap));

	if (rc < 0)
		return rc;
	*timers = (struct torc_timers) { .heap = heap, .capacity = capacity };
	return 0;
}

void
torc_timers_fini(struct torc_timers *timers)
{
	torc_debug_assert(timers->heap != NULL);
	torc_pages_release(timers->heap,
	    timers->capacity * sizeof(*timers->heap));
}

static void
place(struct torc_timers *timers, uint32_t index,
    struct torc_timers_entry entry)
{
	torc_debug_assert(entry.timer->fire != NULL);
	torc_debug_assert(index < timers->capacity && entry.timer != NULL);
	timers->heap[index] = entry;
	entry.timer->place = index + 1;
}

/* Put `entry` where the hole at `index` is, or further up. */
static void
sift_up(struct torc_timers *timers, uint32_t index,
    struct torc_timers_entry entry)
{
	torc_debug_assert(index < timers->count);
	while (index > 0) {
		uint32_t parent = (index - 1) / CHILDREN;

		if (timers->heap[parent].when <= entry.when)
			break;
		place(timers, index, timers->heap[parent]);
		index = parent;
	}
	place(timers, index, entry);
}

static uint32_t
first_child(const struct torc_timers *timers, uint32_t index)
{
	uint32_t best = index * CHILDREN + 1;
	uint32_t end = best + CHILDREN;

	torc_debug_assert(best < timers->count);
	if (end > timers->count)
		end = timers->count;
	for (uint32_t child = best + 1; child < end; child++) {
		if (timers->heap[child].when < timers->heap[best].when)
			best = child;
	}
	return best;
}

/* Put `entry` where the hole at `index` is, or further down. */
static void
sift_down(struct torc_timers *timers, uint32_t index,
    struct torc_timers_entry entry)
{
	torc_debug_assert(index < timers->count);
	while (index * CHILDREN + 1 < timers->count) {
		uint32_t child = first_child(timers, index);

		if (entry.when <= timers->heap[child].when)
			break;
		place(timers, index, timers->heap[child]);
		index = child;
	}
	place(timers, index, entry);
}

/* Fill the hole at `index` with `entry`, wherever it belongs. */
static void
settle(struct torc_timers *timers, uint32_t index,
    struct torc_timers_entry entry)
{
	torc_debug_assert(index < timers->count);
	if (index > 0 &&
	    entry.when < timers->heap[(index - 1) / CHILDREN].when)
		sift_up(timers, index, entry);
	else
		sift_down(timers, index, entry);
}

void
torc_timers_arm(struct torc_timers *timers, struct torc_timer *timer,
    uint64_t when)
{
	struct torc_timers_entry entry = { when, timer };

	torc_debug_assert(timer->place <= timers->count);
	torc_assert(timer->fire != NULL);
	/* What is armed in a pass waits for the next one. */
	if (torc_unlikely(when < timers->after))
		entry.when = timers->after;
	if (torc_timer_armed(timer)) {
		settle(timers, timer->place - 1, entry);
		return;
	}
	torc_assert(timers->count < timers->capacity);
	sift_up(timers, timers->count++, entry);
}

void
torc_timers_disarm(struct torc_timers *timers, struct torc_timer *timer)
{
	uint32_t index = timer->place - 1;
	struct torc_timers_entry last;

	if (!torc_timer_armed(timer))
		return;
	torc_assert(index < timers->count &&
	    timers->heap[index].timer == timer);
	timer->place = 0;
	last = timers->heap[--timers->count];
	if (index < timers->count)
		settle(timers, index, last);
}

void
torc_timers_run(struct torc_timers *timers, uint64_t now)
{
	torc_debug_assert(timers->count <= timers->capacity);
	torc_debug_assert(timers->after == 0);
	timers->after = now + 1;
	while (torc_timers_next(timers) <= now) {
		struct torc_timer *timer = timers->heap[0].timer;

		torc_timers_disarm(timers, timer);
		timer->fire(timer);
	}
	timers->after = 0;
}

void
torc_timers_check(const struct torc_timers *timers)
{
	torc_assert(timers->count <= timers->capacity);
	for (uint32_t i = 0; i < timers->count; i++) {
		torc_assert(timers->heap[i].timer->place == i + 1);
		torc_assert(i == 0 || timers->heap[(i - 1) / CHILDREN].when <=
		    timers->heap[i].when);
	}
}
