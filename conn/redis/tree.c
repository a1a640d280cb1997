/* SPDX-License-Identifier: MIT */
/*
 * tree.c - replies as trees, and the memory that they are in.
 */
#include <errno.h>
#include <string.h>

#include "conn/redis/torc_resp.h"
#include "sys/sys.h"

#define STRING_MIN 7u		/* bytes of a reply that is one character */

/* ---- Memory ---- */

#define ALIGNMENT 16u
#define CHUNK_MIN 1024u

struct torc_resp_chunk {
	_Alignas(ALIGNMENT) struct torc_resp_chunk *next;
	size_t size;
};

void
torc_resp_arena_init(struct torc_resp_arena *arena, void *memory, size_t size)
{
	arena->chunks = NULL;
	arena->at = memory;
	arena->left = size & ~(size_t)(ALIGNMENT - 1);
}

/* Each chunk is twice as large as the last one, up to a limit. */
static size_t
next_chunk(const struct torc_resp_arena *arena, size_t size)
{
	size_t next = CHUNK_MIN;

	if (arena->chunks != NULL && arena->chunks->size < 1u << 20)
		next = arena->chunks->size * 2;
	return size > next ? size : next;
}

void *
torc_resp_arena_take(struct torc_resp_arena *arena, size_t size)
{
	uint8_t *memory;

	if (size > SIZE_MAX / 2)
		return NULL;
	/* An empty allocation has an address, too. */
	size = (size + (size == 0) + ALIGNMENT - 1) &
	    ~(size_t)(ALIGNMENT - 1);
	if (size > arena->left) {
		size_t room = next_chunk(arena, size);
		struct torc_resp_chunk *chunk =
		    torc_sys_alloc_raw(sizeof(*chunk) + room);

		if (chunk == NULL)
			return NULL;
		chunk->next = arena->chunks;
		chunk->size = room;
		arena->chunks = chunk;
		arena->at = (uint8_t *)(chunk + 1);
		arena->left = room;
	}
	memory = arena->at;
	arena->at += size;
	arena->left -= size;
	return memory;
}

void
torc_resp_arena_free(struct torc_resp_arena *arena)
{
	while (arena->chunks != NULL) {
		struct torc_resp_chunk *chunk = arena->chunks;

		arena->chunks = chunk->next;
		torc_sys_free(chunk);
	}
}

void
torc_resp_arena_rewind(struct torc_resp_arena *arena,
    const struct torc_resp_arena *before)
{
	while (arena->chunks != before->chunks) {
		struct torc_resp_chunk *chunk = arena->chunks;

		arena->chunks = chunk->next;
		torc_sys_free(chunk);
	}
	*arena = *before;
}

/* ---- Trees ---- */

void
torc_resp_tree_init(struct torc_resp_tree *tree,
    struct torc_resp_arena *arena, const struct torc_resp_limits *limits)
{
	torc_resp_init(&tree->reader, limits);
	tree->arena = arena;
	tree->root = NULL;
	tree->text = NULL;
}

static bool
has_items(enum torc_redis_type type)
{
	return type >= TORC_REDIS_ARRAY;
}

static bool
has_text(enum torc_redis_type type)
{
	return type >= TORC_REDIS_STATUS && type <= TORC_REDIS_BIG;
}

/* Returns a place in the tree for an item that begins. */
static int
place(struct torc_resp_tree *tree, const struct torc_resp_item *item)
{
	struct torc_redis_reply *reply = item->depth == 0 ? tree->root :
	    tree->next[item->depth - 1]++;

	reply->type = item->type;
	reply->size = (size_t)item->size;
	reply->integer = item->integer;
	reply->text = NULL;
	if (item->type == TORC_REDIS_DOUBLE)
		reply->number = item->number;
	if (has_items(item->type)) {
		reply->items = torc_resp_arena_take(tree->arena,
		    reply->size * sizeof(*reply->items));
		tree->next[item->depth] = reply->items;
		return reply->items == NULL ? -ENOMEM : 0;
	}
	if (!has_text(item->type) && item->type != TORC_REDIS_DOUBLE) {
		reply->size = 0;
		return 0;
	}
	reply->text = torc_resp_arena_take(tree->arena, reply->size + 1);
	if (reply->text == NULL)
		return -ENOMEM;
	reply->text[reply->size] = '\0';
	tree->text = reply;
	return 0;
}

static int
add(struct torc_resp_tree *tree, const struct torc_resp_item *item)
{
	struct torc_redis_reply *reply;

	if (item->aside)
		return 0;
	if (item->first && place(tree, item) < 0)
		return -ENOMEM;
	reply = tree->text;
	if (item->piece.size > 0 && reply != NULL)
		memcpy(reply->text + (reply->size - item->left -
		    item->piece.size), item->piece.data, item->piece.size);
	if (item->left == 0)
		tree->text = NULL;
	return 0;
}

/*
 * Read the usual reply, a short complete string, in one step. Returns how many
 * bytes it has. 0: it is something else, or invalid: the reader will say so.
 */
static long
build_string(struct torc_resp_tree *tree, const uint8_t *data, size_t size)
{
	struct torc_resp_reader *reader = &tree->reader;
	const uint64_t before = reader->done ? 0 : reader->bytes;
	size_t head = 1, length = 0;
	char *text;

	if (size < STRING_MIN || data[0] != '$' || data[1] == '0' ||
	    reader->depth > 0 || reader->text_left > 0)
		return 0;
	while (head < STRING_MIN && data[head] >= '0' && data[head] <= '9')
		length = length * 10 + (size_t)(data[head++] - '0');
	if (length == 0 || size < head + length + 4 ||
	    head - 1 > reader->limits.line_max ||
	    length > reader->limits.bytes_max - before ||
	    memcmp(data + head, "\r\n", 2) != 0 ||
	    memcmp(data + head + 2 + length, "\r\n", 2) != 0)
		return 0;
	text = torc_resp_arena_take(tree->arena, length + 1);
	if (text == NULL)
		return -ENOMEM;
	memcpy(text, data + head + 2, length);
	text[length] = '\0';
	*tree->root = (struct torc_redis_reply) { .type = TORC_REDIS_STRING,
		.size = length, .text = text };
	reader->done = true;
	reader->seen = 0;
	return (long)(head + length + 4);
}

int64_t
torc_resp_build(struct torc_resp_tree *tree, struct torc_redis_reply *root,
    const uint8_t *data, size_t size)
{
	struct torc_resp_item item;
	long rc;

	tree->root = root;
	tree->taken = 0;
	rc = build_string(tree, data, size);
	if (rc != 0)
		return rc;
	do {
		rc = torc_resp_read(&tree->reader, data + tree->taken,
		    size - tree->taken, &item);
		if (rc < 0)
			return rc;
		tree->taken += (size_t)rc;
		if (rc > 0 && add(tree, &item) < 0)
			return -ENOMEM;
	} while (rc > 0 && !tree->reader.done);
	return (long)tree->taken;
}
