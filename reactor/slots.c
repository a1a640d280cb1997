/* SPDX-License-Identifier: MIT */
/*
 * slots.c - taking and giving back slots. The last one given back is the
 * first one taken: it is still in the cache.
 */
#include "reactor/slots.h"

#include <string.h>

#include "sys/pages.h"

int
torc_slots_init(struct torc_slots *slots, uint32_t capacity,
    size_t object_size)
{
	void *base;
	int rc;

	torc_debug_assert(object_size >= sizeof(struct torc_slot));
	torc_assert(capacity > 0 && capacity <= TORC_SLOTS_MAX);
	rc = torc_pages_reserve(&base, capacity * object_size);
	if (rc < 0)
		return rc;
	*slots = (struct torc_slots) {
		.base = base,
		.stride = object_size,
		.capacity = capacity,
		.free = TORC_SLOT_NONE,
	};
	return 0;
}

void
torc_slots_borrow(struct torc_slots *slots, void *memory, uint32_t capacity,
    size_t object_size)
{
	torc_assert(memory != NULL);
	torc_debug_assert(object_size >= sizeof(struct torc_slot));
	torc_assert(capacity > 0 && capacity <= TORC_SLOTS_MAX);
	*slots = (struct torc_slots) {
		.base = memory,
		.stride = object_size,
		.capacity = capacity,
		.free = TORC_SLOT_NONE,
		.borrowed = true,
	};
}

void
torc_slots_fini(struct torc_slots *slots)
{
	torc_assert(slots->count == 0);
	if (!slots->borrowed)
		torc_pages_release(slots->base,
		    slots->capacity * slots->stride);
}

void *
torc_slots_take(struct torc_slots *slots)
{
	struct torc_slot *slot;

	torc_debug_assert(slots->free == TORC_SLOT_NONE ||
	    slots->free < slots->touched);
	torc_debug_assert(slots->count <= slots->touched);
	if (slots->free != TORC_SLOT_NONE) {
		slot = torc_slots_at(slots, slots->free);
		slots->free = slot->next;
	} else if (slots->touched < slots->capacity) {
		slot = torc_slots_at(slots, slots->touched++);
	} else {
		return NULL;
	}
	slot->next = TORC_SLOT_TAKEN;
	if (++slots->count > slots->peak)
		slots->peak = slots->count;
	return slot;
}

void
torc_slots_skip(struct torc_slots *slots)
{
	torc_assert(slots->touched < slots->capacity);
	slots->touched++;
}

void
torc_slots_give(struct torc_slots *slots, void *object)
{
	struct torc_slot *slot = object;

	torc_debug_assert(torc_slots_at(slots, torc_slots_index(slots,
	    object)) == object);
	torc_assert(slot->next == TORC_SLOT_TAKEN && slots->count > 0);
	slot->generation++;
	slot->next = slots->free;
	slots->free = torc_slots_index(slots, object);
	slots->count--;
}

void *
torc_slots_each(const struct torc_slots *slots, const void *object)
{
	uint32_t index = object == NULL ? 0 :
	    torc_slots_index(slots, object) + 1;

	torc_debug_assert(object == NULL ||
	    torc_slots_index(slots, object) < slots->touched);
	for (; index < slots->touched; index++) {
		struct torc_slot *slot = torc_slots_at(slots, index);

		if (slot->next == TORC_SLOT_TAKEN)
			return slot;
	}
	return NULL;
}

void
torc_slots_check(const struct torc_slots *slots)
{
	uint32_t taken = 0, free = 0;

	torc_assert(slots->touched <= slots->capacity);
	for (uint32_t i = 0; i < slots->touched; i++)
		taken += torc_slots_at(slots, i)->next == TORC_SLOT_TAKEN;
	for (uint32_t i = slots->free; i != TORC_SLOT_NONE; free++) {
		torc_assert(i < slots->touched && free < slots->touched);
		i = torc_slots_at(slots, i)->next;
	}
	torc_assert(slots->count == taken && slots->count <= slots->peak);
	torc_assert(taken + free <= slots->touched);
}
