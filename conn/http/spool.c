/* SPDX-License-Identifier: MIT */
/* spool.c - bytes of a body in blocks, within a limit for all bodies. */
#include <errno.h>

#include "conn/http/spool.h"
#include "sys/sys.h"
#include "sys/trap.h"

#define SHARE 8u		/* one has at most this part of what is free */

/* How many bytes one more block would count. */
static uint64_t
cost(const struct torc_http_spool *spool)
{
	return spool->blocks > 0 ? SPOOL_BLOCK : 0;
}

bool
torc_http_spool_open(const struct torc_http_spool *spool)
{
	const struct torc_http_budget *budget = spool->budget;
	const uint64_t held = (uint64_t)spool->blocks * SPOOL_BLOCK;

	return spool->size == 0 || (held < budget->each &&
	    budget->used < budget->max &&
	    held < (budget->max - budget->used) / SHARE);
}

static struct torc_http_block *
add_block(struct torc_http_spool *spool)
{
	struct torc_http_block *block = torc_sys_alloc_raw(sizeof(*block));

	if (block == NULL)
		return NULL;
	spool->budget->used += cost(spool);
	spool->blocks++;
	block->next = NULL;
	block->start = 0;
	block->end = 0;
	if (spool->last != NULL)
		spool->last->next = block;
	else
		spool->first = block;
	spool->last = block;
	return block;
}

int
torc_http_spool_put(struct torc_http_spool *spool, const void *data,
    size_t size)
{
	const uint8_t *from = data;

	while (size > 0) {
		struct torc_http_block *block = spool->last;
		size_t room;

		if (block == NULL || block->end == SPOOL_BLOCK)
			block = add_block(spool);
		if (block == NULL)
			return -ENOMEM;
		room = SPOOL_BLOCK - block->end;
		if (room > size)
			room = size;
		memcpy(block->bytes + block->end, from, room);
		block->end += (uint32_t)room;
		spool->size += room;
		from += room;
		size -= room;
	}
	return 0;
}

struct torc_slice
torc_http_spool_first(const struct torc_http_spool *spool)
{
	const struct torc_http_block *block = spool->first;

	if (block == NULL)
		return (struct torc_slice) { NULL, 0 };
	return (struct torc_slice) {
		block->bytes + block->start, block->end - block->start,
	};
}

static void
drop_block(struct torc_http_spool *spool)
{
	struct torc_http_block *block = spool->first;

	spool->first = block->next;
	if (spool->first == NULL)
		spool->last = NULL;
	spool->blocks--;
	spool->budget->used -= cost(spool);
	torc_sys_free(block);
}

void
torc_http_spool_drop(struct torc_http_spool *spool, size_t size)
{
	struct torc_http_block *block = spool->first;

	torc_assert(size <= block->end - block->start);
	block->start += (uint32_t)size;
	spool->size -= size;
	if (block->start < block->end)
		return;
	/* The last one is used again. */
	block->start = 0;
	block->end = 0;
	if (block->next != NULL)
		drop_block(spool);
}

void
torc_http_spool_clear(struct torc_http_spool *spool)
{
	while (spool->first != NULL)
		drop_block(spool);
	spool->size = 0;
}
