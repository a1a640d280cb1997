/* SPDX-License-Identifier: MIT */
/*
 * memory.c - memory that goes with an exchange: the first of it lies on the
 * stack, more comes in blocks, and all of it goes at once.
 */
#include <stdio.h>

#include "conn/http/service.h"
#include "sys/sys.h"

#define ALIGNMENT 16u

_Static_assert(sizeof(struct torc_memory_block) % ALIGNMENT == 0,
    "what lies behind the head of a block is aligned");

static size_t
align(size_t size)
{
	return (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

void
torc_memory_begin(struct torc_memory *memory, size_t most)
{
	memory->at = memory->first;
	memory->left = sizeof(memory->first);
	memory->budget = most;
	memory->blocks = NULL;
}

void
torc_memory_end(struct torc_memory *memory)
{
	while (memory->blocks != NULL) {
		struct torc_memory_block *block = memory->blocks;

		memory->blocks = block->next;
		torc_sys_free(block);
	}
	memory->left = 0;
}

/*
 * Add a block for `size` bytes. After a large one, the rest of the last block
 * is still used.
 */
static void *
add_block(struct torc_memory *memory, size_t size)
{
	const bool large = size > TORC_MEMORY_BLOCK / 2;
	struct torc_memory_block *block;
	uint8_t *bytes;

	block = torc_sys_alloc(sizeof(*block) +
	    (large ? size : TORC_MEMORY_BLOCK));
	if (block == NULL)
		return NULL;
	block->next = memory->blocks;
	memory->blocks = block;
	bytes = (uint8_t *)(block + 1);
	if (!large) {
		memory->at = bytes + size;
		memory->left = TORC_MEMORY_BLOCK - size;
	}
	return bytes;
}

void *
torc_exchange_alloc(struct torc_exchange *exchange, size_t size)
{
	struct torc_memory *memory = &exchange->memory;
	void *bytes;

	if (size > memory->budget)
		return NULL;
	size = align(size);
	if (size <= memory->left) {
		bytes = memory->at;
		memory->at += size;
		memory->left -= size;
	} else {
		bytes = add_block(memory, size);
	}
	if (bytes != NULL)
		memory->budget -= size < memory->budget ? size :
		    memory->budget;
	return bytes;
}

uint8_t *
torc_exchange_copy(struct torc_exchange *exchange, struct torc_slice slice)
{
	uint8_t *copy = torc_exchange_alloc(exchange, slice.size + 1);

	if (copy == NULL)
		return NULL;
	if (slice.size > 0)
		memcpy(copy, slice.data, slice.size);
	copy[slice.size] = '\0';
	return copy;
}

/* Returns the link to the block that contains only these bytes, or NULL. */
static struct torc_memory_block **
block_of(struct torc_memory *memory, const void *bytes, size_t size)
{
	if (align(size) <= TORC_MEMORY_BLOCK / 2)
		return NULL;
	for (struct torc_memory_block **at = &memory->blocks; *at != NULL;
	    at = &(*at)->next) {
		if (*at + 1 == bytes)
			return at;
	}
	return NULL;
}

void *
torc_memory_move(struct torc_exchange *exchange, struct torc_slice used,
    size_t size, size_t least, size_t *wanted)
{
	struct torc_memory *memory = &exchange->memory;
	struct torc_memory_block **at = block_of(memory, used.data, size);
	struct torc_memory_block *block = at != NULL ? *at : NULL;
	void *bytes;

	/* The old block is freed first, so that it does not count in addition
	 * to the new one. */
	if (block != NULL) {
		*at = block->next;
		memory->budget += align(size);
	}
	/* One body does not get all of the rest. */
	if (*wanted > memory->budget && least <= memory->budget)
		*wanted = least + (memory->budget - least) / 2;
	bytes = torc_exchange_alloc(exchange, *wanted);
	if (bytes != NULL && used.size > 0)
		memcpy(bytes, used.data, used.size);
	torc_sys_free(block);
	return bytes;
}

char *
torc_exchange_print_list(struct torc_exchange *exchange, size_t *size,
    const char *format, va_list list)
{
	va_list again;
	char *text = NULL;
	int length;

	va_copy(again, list);
	length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (length >= 0)
		text = torc_exchange_alloc(exchange, (size_t)length + 1);
	if (text != NULL) {
		vsnprintf(text, (size_t)length + 1, format, list);
		*size = (size_t)length;
	}
	return text;
}

char *
torc_exchange_print(struct torc_exchange *exchange, const char *format, ...)
{
	va_list list;
	size_t size;
	char *text;

	va_start(list, format);
	text = torc_exchange_print_list(exchange, &size, format, list);
	va_end(list);
	return text;
}
