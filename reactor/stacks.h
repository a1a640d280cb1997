/* SPDX-License-Identifier: MIT */
/*
 * stacks.h - a pool of stacks, each with a guard below its low end: a frame
 * that does not fit reaches the guard before it reaches another stack, unless
 * it is larger than the guard and does not touch it. The last one given back is
 * the first one taken, since it is in the cache; of those that lie idle beyond
 * a reserve the memory goes back to the kernel.
 */
#ifndef TORC_REACTOR_STACKS_H
#define TORC_REACTOR_STACKS_H

#include <stddef.h>
#include <stdint.h>

struct torc_stacks {
	void **chunks;		/* regions of TORC_STACKS_CHUNK stacks */
	void **free;		/* stacks that nobody has */
	uint32_t *numbers;	/* of the stacks for valgrind, or NULL */
	size_t size;		/* of a stack, without its guard */
	size_t guard;		/* below it */
	size_t stride;		/* from one to the next */
	uint32_t free_count;
	uint32_t made;		/* stacks that exist */
	uint32_t capacity;
	uint32_t in_use;
	uint32_t peak;
	uint32_t given;		/* back, ever */
	size_t deepest;		/* bytes of one that were ever touched */
};

#define TORC_STACKS_CHUNK 64u
#define TORC_STACKS_SAMPLE 64u	/* of so many given back, one is looked at */
#define TORC_STACKS_LOOK 64u	/* pages at once */
#define TORC_STACKS_RESERVE 256u	/* idle ones that keep their memory */

/* `size` is a number of pages, and so is `guard`, which may become larger. */
int torc_stacks_init(struct torc_stacks *stacks, uint32_t capacity,
    size_t size, size_t guard);
void torc_stacks_fini(struct torc_stacks *stacks);

/*
 * The low end of a stack of stacks->size bytes, above its guard, or NULL when
 * there are `capacity` or no memory.
 */
void *torc_stacks_take(struct torc_stacks *stacks);
void torc_stacks_give(struct torc_stacks *stacks, void *stack);

#endif
