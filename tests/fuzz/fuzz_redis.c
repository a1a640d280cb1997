/* SPDX-License-Identifier: MIT */
/*
 * fuzz_redis.c - the reader of RESP on any bytes. Bytes 0 and 1 say where they
 * are cut. A cut may not change what is read, a tree says the same as the
 * items, and of what both know, the reader of hiredis must see the same.
 */
#include <errno.h>
#include <hiredis/read.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/redis/torc_resp.h"

#define INPUT_MAX 65536u
#define HIREDIS_DEPTH 7
#define ITEMS 1000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct torc_resp_limits limits = { .bytes_max = 8192,
	.items_max = ITEMS, .depth_max = 20, .line_max = 512 };

/* What was read, as bytes that can be compared. */
struct trace {
	uint8_t data[32 * INPUT_MAX];
	size_t size;
	int rc;			/* 1: a whole reply, 0: more is needed */
	size_t taken;
	unsigned depth;
	bool modern;		/* something that RESP2 does not have */
	bool in_text;		/* where the verdict was found */
};

static void
require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_redis: %s\n", what);
	abort();
}

static void
put(struct trace *trace, const void *data, size_t size)
{
	require(size <= sizeof(trace->data) - trace->size, "a long trace");
	if (size > 0)
		memcpy(trace->data + trace->size, data, size);
	trace->size += size;
}

static void
put_value(struct trace *trace, enum torc_redis_type type, uint64_t size,
    int64_t integer)
{
	const int64_t head[] = { (int64_t)type, (int64_t)size, integer };

	put(trace, head, sizeof(head));
}

static bool
same(const struct trace *a, const struct trace *b)
{
	return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

/* ---- Item by item ---- */

static bool
has_size(enum torc_redis_type type)
{
	return type != TORC_REDIS_NIL && type != TORC_REDIS_INTEGER &&
	    type != TORC_REDIS_BOOLEAN;
}

static void
note_item(struct trace *trace, const struct torc_resp_item *item)
{
	if (item->type > TORC_REDIS_STRING && item->type !=
	    TORC_REDIS_INTEGER && item->type != TORC_REDIS_ARRAY)
		trace->modern = true;
	if (item->depth > trace->depth)
		trace->depth = item->depth;
	if (item->aside) {
		trace->modern = true;
		return;
	}
	if (item->first)
		put_value(trace, item->type,
		    has_size(item->type) ? item->size : 0, item->integer);
	if (has_size(item->type))
		put(trace, item->piece.data, item->piece.size);
}

/* `size` bytes, of which the first `cut` came before the others. */
static void
read_items(struct trace *trace, const uint8_t *data, size_t size, size_t cut)
{
	struct torc_resp_reader reader;
	size_t end = cut < size ? cut : size;
	long rc;

	trace->size = trace->taken = 0;
	trace->rc = 0;
	trace->depth = 0;
	trace->modern = false;
	torc_resp_init(&reader, &limits);
	for (;;) {
		struct torc_resp_item item;
		/* In memory that ends there. */
		uint8_t *part = malloc(end - trace->taken + 1);

		require(part != NULL, "no memory");
		memcpy(part + 1, data + trace->taken, end - trace->taken);
		rc = torc_resp_read(&reader, part + 1, end - trace->taken,
		    &item);
		require(rc <= (long)(end - trace->taken), "too much taken");
		if (rc > 0)
			note_item(trace, &item);
		/* These have the types of older ones. */
		if (rc > 0 && item.first && (part[1] == '!' || part[1] == '_'))
			trace->modern = true;
		free(part);
		if (rc > 0)
			trace->taken += (size_t)rc;
		if (rc < 0 || (rc > 0 && reader.done) ||
		    (rc == 0 && end == size))
			break;
		if (rc == 0)
			end = size;
	}
	trace->rc = rc > 0 ? 1 : (int)rc;
	trace->in_text = reader.text_left > 0 || (size - trace->taken > 4 &&
	    memcmp(data + trace->taken, "$0\r\n", 4) == 0);
}

/* ---- As a tree ---- */

static void
note_tree(struct trace *trace, const struct torc_redis_reply *reply)
{
	switch (reply->type) {
	case TORC_REDIS_NIL:
	case TORC_REDIS_INTEGER:
	case TORC_REDIS_BOOLEAN:
		require(reply->size == 0, "a number with a size");
		put_value(trace, reply->type, 0, reply->type ==
		    TORC_REDIS_NIL ? 0 : reply->integer);
		return;
	case TORC_REDIS_ARRAY:
	case TORC_REDIS_SET:
	case TORC_REDIS_PUSH:
	case TORC_REDIS_MAP:
		put_value(trace, reply->type, reply->size, 0);
		for (size_t i = 0; i < reply->size; i++)
			note_tree(trace, &reply->items[i]);
		return;
	default:
		require(reply->type != TORC_REDIS_ATTRIBUTE,
		    "an attribute in a tree");
		require(reply->text[reply->size] == '\0', "no NUL");
		put_value(trace, reply->type, reply->size, 0);
		put(trace, reply->text, reply->size);
	}
}

static void
read_tree(struct trace *trace, const uint8_t *data, size_t size, size_t cut)
{
	struct torc_resp_arena arena;
	struct torc_resp_tree tree;
	struct torc_redis_reply root;
	long rc;

	trace->size = trace->taken = 0;
	torc_resp_arena_init(&arena, NULL, 0);
	torc_resp_tree_init(&tree, &arena, &limits);
	rc = torc_resp_build(&tree, &root, data, cut < size ? cut : size);
	if (rc >= 0 && !tree.reader.done) {
		trace->taken = (size_t)rc;
		rc = torc_resp_build(&tree, &root, data + trace->taken,
		    size - trace->taken);
	}
	if (rc >= 0)
		trace->taken += (size_t)rc;
	trace->rc = rc < 0 ? (int)rc : tree.reader.done;
	if (trace->rc == 1)
		note_tree(trace, &root);
	torc_resp_arena_free(&arena);
}

/* ---- Past it ---- */

/* As read_items(), of a reply that nobody wants. */
static void
read_past(struct trace *trace, const uint8_t *data, size_t size, size_t cut)
{
	struct torc_resp_reader reader;
	long rc;

	trace->taken = 0;
	torc_resp_init(&reader, &limits);
	rc = torc_resp_pass(&reader, data, cut < size ? cut : size);
	if (rc >= 0 && !reader.done) {
		trace->taken = (size_t)rc;
		rc = torc_resp_pass(&reader, data + trace->taken,
		    size - trace->taken);
	}
	if (rc >= 0)
		trace->taken += (size_t)rc;
	trace->rc = rc < 0 ? (int)rc : reader.done;
}

/* ---- Somebody else's reader ---- */

static struct trace hiredis;
static char something;		/* its address is a reply */

static void *
on_string(const redisReadTask *task, char *text, size_t size)
{
	put_value(&hiredis, task->type == REDIS_REPLY_STATUS ?
	    TORC_REDIS_STATUS : task->type == REDIS_REPLY_ERROR ?
	    TORC_REDIS_ERROR : TORC_REDIS_STRING, size, 0);
	put(&hiredis, text, size);
	return &something;
}

static void *
on_array(const redisReadTask *task, int count)
{
	(void)task;
	put_value(&hiredis, TORC_REDIS_ARRAY, (uint64_t)count, 0);
	return &something;
}

static void *
on_integer(const redisReadTask *task, long long value)
{
	(void)task;
	put_value(&hiredis, TORC_REDIS_INTEGER, 0, value);
	return &something;
}

static void *
on_nil(const redisReadTask *task)
{
	(void)task;
	put_value(&hiredis, TORC_REDIS_NIL, 0, 0);
	return &something;
}

static void
forget(void *reply)
{
	(void)reply;
}

static void
read_hiredis(const uint8_t *data, size_t size)
{
	static redisReplyObjectFunctions functions = { on_string, on_array,
		on_integer, on_nil, forget };
	redisReader *reader = redisReaderCreateWithFunctions(&functions);
	void *reply = NULL;

	hiredis.size = 0;
	require(reader != NULL, "no memory");
	redisReaderFeed(reader, (const char *)data, size);
	hiredis.rc = redisReaderGetReply(reader, &reply) != REDIS_OK ?
	    -EBADMSG : reply != NULL;
	hiredis.taken = reader->pos;
	redisReaderFree(reader);
}

/* Whether lines may have ends that only hiredis takes for text. */
static bool
has_odd_ends(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (data[i] == '\n' && (i == 0 || data[i - 1] != '\r'))
			return true;
		if (data[i] == '\r' && i + 1 < size && data[i + 1] != '\n')
			return true;
	}
	return false;
}

static void
compare(const struct trace *ours, const uint8_t *data, size_t size)
{
	if (ours->modern || ours->depth > HIREDIS_DEPTH)
		return;
	read_hiredis(data, size);
	if (ours->rc == 1) {
		require(hiredis.rc == 1, "hiredis refuses what we take");
		require(same(ours, &hiredis), "hiredis reads another reply");
		return;
	}
	/* It has no limits, does not look at what ends a text, and ends
	 * lines at a CRLF only. */
	if (hiredis.rc == 1 && ours->rc == -EBADMSG)
		require(ours->in_text || has_odd_ends(data, size),
		    "we refuse a good reply");
	if (hiredis.rc == 1 && ours->rc == 0)
		require(has_odd_ends(data, size), "we miss the end");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct trace whole, other;
	size_t cut;

	if (size < 2 || size > INPUT_MAX)
		return 0;
	cut = (size_t)data[0] << 8 | data[1];
	data += 2;
	size -= 2;
	read_items(&whole, data, size, size);
	read_items(&other, data, size, cut);
	require(whole.rc == other.rc, "a cut changes the verdict");
	if (whole.rc == 1)
		require(whole.taken == other.taken && same(&whole, &other),
		    "a cut changes the reply");
	read_tree(&other, data, size, cut);
	require(whole.rc == other.rc, "a tree has another verdict");
	if (whole.rc == 1)
		require(whole.taken == other.taken && same(&whole, &other),
		    "a tree is another reply");
	read_past(&other, data, size, cut);
	if (whole.rc == 1)
		require(other.rc == 1 && whole.taken == other.taken,
		    "what is passed is another reply");
	compare(&whole, data, size);
	return 0;
}
