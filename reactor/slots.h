/* SPDX-License-Identifier: MIT */
/*
 * slots.h - tables of objects that completions name: by slot and generation,
 * never by pointer. A slot that is given back counts its generation up, so a
 * late completion of the last tenant is recognised and reaches nobody.
 *
 * user_data is kind (4 bits), generation (32 bits), slot (28 bits). Objects
 * do not move. The table is address space: only slots that were used once
 * take memory.
 */
#ifndef TORC_REACTOR_SLOTS_H
#define TORC_REACTOR_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sys/trap.h"

#define TORC_SLOT_BITS 28
#define TORC_GENERATION_BITS 32
#define TORC_KIND_BITS 4
#define TORC_SLOTS_MAX (1u << TORC_SLOT_BITS)
_Static_assert(TORC_SLOT_BITS + TORC_GENERATION_BITS + TORC_KIND_BITS == 64,
    "user_data has 64 bits");

/* The head of every object in a table. */
struct torc_slot {
	uint32_t generation;
	uint32_t next;		/* free: the next free slot; else TAKEN */
};
#define TORC_SLOT_TAKEN UINT32_MAX
#define TORC_SLOT_NONE (UINT32_MAX - 1)

struct torc_slots {
	uint8_t *base;
	size_t stride;
	uint32_t capacity;
	uint32_t touched;	/* slots that were ever used */
	uint32_t free;		/* the last one given back */
	uint32_t count;		/* taken now */
	uint32_t peak;		/* most that were taken at once */
	bool borrowed;		/* the memory is not the table's */
};

/* 0 or -ENOMEM. */
int torc_slots_init(struct torc_slots *slots, uint32_t capacity,
    size_t object_size);
/* A table in zeroed memory of someone else's, which outlives it. */
void torc_slots_borrow(struct torc_slots *slots, void *memory,
    uint32_t capacity, size_t object_size);
void torc_slots_fini(struct torc_slots *slots);

/* A free object, or NULL. All but its head is as its last tenant left it. */
void *torc_slots_take(struct torc_slots *slots);
/* Leave out the next slot that was never used. There is one. */
void torc_slots_skip(struct torc_slots *slots);
void torc_slots_give(struct torc_slots *slots, void *object);

/* As many are taken as are counted, and the rest are free. */
void torc_slots_check(const struct torc_slots *slots);

static inline struct torc_slot *
torc_slots_at(const struct torc_slots *slots, uint32_t index)
{
	torc_debug_assert(index < slots->capacity);
	return (struct torc_slot *)(void *)(slots->base +
	    index * slots->stride);
}

static inline uint32_t
torc_slots_index(const struct torc_slots *slots, const void *object)
{
	torc_debug_assert((size_t)((const uint8_t *)object - slots->base) %
	    slots->stride == 0);
	torc_debug_assert((const uint8_t *)object >= slots->base);
	return (uint32_t)((size_t)((const uint8_t *)object - slots->base) /
	    slots->stride);
}

/* The user_data of an object's operations of one kind. */
static inline uint64_t
torc_slots_tag(const struct torc_slots *slots, const void *object,
    unsigned kind)
{
	const struct torc_slot *slot = object;

	torc_debug_assert(kind < 1u << TORC_KIND_BITS);
	return (uint64_t)kind << (TORC_SLOT_BITS + TORC_GENERATION_BITS) |
	    (uint64_t)slot->generation << TORC_SLOT_BITS |
	    torc_slots_index(slots, object);
}

static inline unsigned
torc_tag_kind(uint64_t tag)
{
	return (unsigned)(tag >> (TORC_SLOT_BITS + TORC_GENERATION_BITS));
}

static inline uint32_t
torc_tag_index(uint64_t tag)
{
	return (uint32_t)tag & (TORC_SLOTS_MAX - 1);
}

/* The object that `tag` names, or NULL if it is gone. */
static inline void *
torc_slots_find(const struct torc_slots *slots, uint64_t tag)
{
	uint32_t index = torc_tag_index(tag);
	struct torc_slot *slot;

	if (torc_unlikely(index >= slots->touched))
		return NULL;
	/* A free slot is of a generation that no tag has yet. */
	slot = torc_slots_at(slots, index);
	return torc_likely(slot->generation ==
	    (uint32_t)(tag >> TORC_SLOT_BITS)) ? slot : NULL;
}

/* The next taken object after `object` (NULL: the first), or NULL. */
void *torc_slots_each(const struct torc_slots *slots, const void *object);

#endif
