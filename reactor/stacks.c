/* SPDX-License-Identifier: MIT */
/*
 * stacks.c - the pool of stacks.
 */
#include "reactor/stacks.h"

#include <stdbool.h>
#include <sys/mman.h>

#include "sys/pages.h"
#include "sys/sys.h"
#include "sys/trap.h"
#include "sys/valgrind.h"

static uint32_t
chunk_count(const struct torc_stacks *stacks)
{
	return (stacks->capacity + TORC_STACKS_CHUNK - 1) / TORC_STACKS_CHUNK;
}

/*
 * From one stack to the next, an odd number of pages: the pages that fibers use
 * would fall into a few sets of the TLB otherwise, which goes by the low bits
 * of a page's number. Of 1,024 stacks 16 pages apart, 128 find room in one of
 * 2,048 pages in 8 ways; 17 pages apart, all of them do.
 */
static size_t
stride_of(size_t size)
{
	const size_t page = torc_sys_page_size();

	torc_debug_assert(size > 0);
	return size / page % 2 == 0 ? size + page : size;
}

/* 0 or -ENOMEM. */
static int
make_numbers(struct torc_stacks *stacks)
{
	void *table;
	int rc;

	torc_debug_assert(stacks->numbers == NULL);
	if (!torc_valgrind())
		return 0;
	rc = torc_pages_reserve(&table,
	    stacks->capacity * sizeof(*stacks->numbers));
	if (rc == 0)
		stacks->numbers = table;
	return rc;
}

static void
free_numbers(struct torc_stacks *stacks)
{
	torc_debug_assert(stacks->made <= stacks->capacity);
	if (stacks->numbers == NULL)
		return;
	for (uint32_t i = 0; i < stacks->made; i++)
		torc_valgrind_remove_stack(stacks->numbers[i]);
	torc_pages_release(stacks->numbers,
	    stacks->capacity * sizeof(*stacks->numbers));
}

int
torc_stacks_init(struct torc_stacks *stacks, uint32_t capacity, size_t size,
    size_t guard)
{
	const size_t page = torc_sys_page_size();
	const size_t stride = stride_of(size + guard);
	void *table;
	int rc;

	torc_assert(size % page == 0 && guard % page == 0 && guard > 0);
	*stacks = (struct torc_stacks) {
		.size = size,
		.guard = stride - size,
		.stride = stride,
		.capacity = capacity,
	};
	rc = torc_pages_reserve(&table,
	    (chunk_count(stacks) + (size_t)capacity) * sizeof(void *));
	if (rc < 0)
		return rc;
	stacks->chunks = table;
	stacks->free = stacks->chunks + chunk_count(stacks);
	rc = make_numbers(stacks);
	if (rc < 0)
		torc_stacks_fini(stacks);
	return rc;
}

void
torc_stacks_fini(struct torc_stacks *stacks)
{
	torc_assert(stacks->in_use == 0);
	free_numbers(stacks);
	for (uint32_t i = 0; i * TORC_STACKS_CHUNK < stacks->made; i++)
		torc_pages_release(stacks->chunks[i],
		    TORC_STACKS_CHUNK * stacks->stride);
	torc_pages_release(stacks->chunks,
	    (chunk_count(stacks) + (size_t)stacks->capacity) *
	    sizeof(void *));
}

static bool
make_chunk(struct torc_stacks *stacks, uint32_t chunk)
{
	const size_t size = TORC_STACKS_CHUNK * stacks->stride;

	torc_debug_assert(chunk < chunk_count(stacks));
	if (torc_pages_reserve(&stacks->chunks[chunk], size) < 0)
		return false;
	/* A fiber may fork: its child goes on on this stack, to exec. */
	torc_sys_advise(stacks->chunks[chunk], size, MADV_DOFORK);
	return true;
}

/* A stack that was never used: the next one of the last chunk. */
static void *
make(struct torc_stacks *stacks)
{
	uint32_t chunk = stacks->made / TORC_STACKS_CHUNK;
	uint32_t index = stacks->made % TORC_STACKS_CHUNK;
	char *place;

	torc_debug_assert(stacks->in_use == stacks->made);
	torc_debug_assert(stacks->made <= stacks->capacity &&
	    stacks->free_count == 0);
	if (stacks->made == stacks->capacity)
		return NULL;
	if (index == 0 && !make_chunk(stacks, chunk))
		return NULL;
	place = (char *)stacks->chunks[chunk] + index * stacks->stride;
	if (torc_pages_guard(place, stacks->guard) < 0) {
		if (index == 0)
			torc_pages_release(stacks->chunks[chunk],
			    TORC_STACKS_CHUNK * stacks->stride);
		return NULL;
	}
	place += stacks->guard;
	if (torc_unlikely(stacks->numbers != NULL))
		stacks->numbers[stacks->made] =
		    torc_valgrind_add_stack(place, stacks->size);
	stacks->made++;
	return place;
}

void *
torc_stacks_take(struct torc_stacks *stacks)
{
	void *stack = stacks->free_count > 0 ?
	    stacks->free[--stacks->free_count] : make(stacks);

	torc_debug_assert(stack == NULL ||
	    stacks->free_count + stacks->in_use + 1 == stacks->made);
	if (stack != NULL && ++stacks->in_use > stacks->peak)
		stacks->peak = stacks->in_use;
	return stack;
}

/*
 * How much of a stack was ever touched: from the lowest page that is there.
 * Stacks are used again, so a few of them tell of many fibers.
 */
static void
look_at(struct torc_stacks *stacks, char *stack)
{
	const size_t page = torc_sys_page_size();
	uint8_t there[TORC_STACKS_LOOK];
	size_t at = 0;

	torc_debug_assert(stack != NULL);
	while (at < stacks->size) {
		size_t part = stacks->size - at;
		size_t count;

		if (part > sizeof(there) * page)
			part = sizeof(there) * page;
		if (torc_sys_resident(stack + at, part, there) < 0)
			return;
		for (count = 0; count < part / page; count++) {
			if (there[count] & 1)
				break;
		}
		at += count * page;
		if (count < part / page)
			break;
	}
	if (stacks->size - at > stacks->deepest)
		stacks->deepest = stacks->size - at;
}

void
torc_stacks_give(struct torc_stacks *stacks, void *stack)
{
	torc_debug_assert(stacks->in_use <= stacks->made);
	torc_debug_assert(stacks->free_count < stacks->made);
	torc_assert(stacks->in_use > 0);
	stacks->in_use--;
	if (stacks->given++ % TORC_STACKS_SAMPLE == 0)
		look_at(stacks, stack);
	if (stacks->free_count >= TORC_STACKS_RESERVE)
		torc_pages_forget(stack, stacks->size);
	stacks->free[stacks->free_count++] = stack;
}
