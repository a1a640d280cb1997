/* SPDX-License-Identifier: MIT */
/*
 * torc_resp.h - the protocol of Redis: RESP2 and RESP3 as plain functions
 * between bytes and values. No input, no output, any thread. Reading and
 * writing take no memory; only a tree does.
 *
 * Errors of what is read, each with one meaning:
 *
 *	-EBADMSG	the bytes are not RESP
 *	-EMSGSIZE	the strings of a reply have more than `bytes_max` bytes
 *	-E2BIG		a reply has more than `items_max` items
 *	-ELOOP		it is nested deeper than `depth_max`
 *	-ENAMETOOLONG	a line is longer than `line_max`
 *	-ENOMEM		(trees only) there is no memory for it
 *
 * The structures here are the caller's, on the stack for example. They are all
 * frozen, and what is reserved in them is torc's.
 *
 * Source: https://redis.io/docs/latest/develop/reference/protocol-spec/. The
 * streamed strings and aggregates of the RESP3 draft, which no server sends,
 * are refused.
 */
#ifndef TORC_RESP_H
#define TORC_RESP_H

#include "torc.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TORC_RESP_DEPTH 32	/* levels that can be had at most */
#define TORC_RESP_HEAD 24	/* bytes of "*", a count and an end of line */

/* What a value of Redis is. */
enum torc_redis_type {
	TORC_REDIS_NIL,		/* "_", "$-1", "*-1" */
	TORC_REDIS_STATUS,	/* "+" text */
	TORC_REDIS_ERROR,	/* "-", "!" text: the code is its first word */
	TORC_REDIS_STRING,	/* "$" text, of any bytes */
	TORC_REDIS_VERBATIM,	/* "=" text, with its "txt:" */
	TORC_REDIS_BIG,		/* "(" text: a number of any length */
	TORC_REDIS_INTEGER,	/* ":" integer */
	TORC_REDIS_BOOLEAN,	/* "#" integer: 0 or 1 */
	TORC_REDIS_DOUBLE,	/* "," number, and text as it was sent */
	TORC_REDIS_ARRAY,	/* "*" items */
	TORC_REDIS_SET,		/* "~" items */
	TORC_REDIS_PUSH,	/* ">" items: no reply, but news */
	TORC_REDIS_MAP,		/* "%" items: key, value, key, value ... */
	TORC_REDIS_ATTRIBUTE,	/* "|" as a map; says something about the
				 * value that follows. Not in trees. */
	TORC_REDIS_FAILURE,	/* text: nothing that was sent, but words of
				 * torc. See torc_redis.h. */
};

/* Bounds of a reply that is read. 0 has the default. */
struct torc_resp_limits {
	size_t bytes_max;	/* bytes of all strings of a reply; 64 MiB */
	uint32_t items_max;	/* items that aggregates announce; 1048576 */
	uint32_t depth_max;	/* aggregates within each other; 32, which is
				 * the most */
	uint32_t line_max;	/* bytes of a line; 16384 */
	uint32_t reserved[3];	/* 0 */
};

/* ---- Reading item by item ---- */

/*
 * An item is what comes next in a reply. Of a text that is not wholly there:
 * the first piece of it, and then further ones with the same type and depth,
 * until `left` is 0.
 */
struct torc_resp_item {
	enum torc_redis_type type;
	uint8_t depth;		/* aggregates around it */
	bool first;		/* not a further piece of a text */
	bool aside;		/* an attribute, or within one */
	uint64_t size;		/* of the whole text; items of an aggregate */
	int64_t integer;
	double number;
	struct torc_slice piece;	/* in the bytes that were given */
	uint64_t left;		/* bytes of the text behind this piece */
	uint64_t reserved[2];
};

/* A level of a reply that is read. Its fields are torc's. */
struct torc_resp_level {
	uint64_t left;		/* items */
	bool attribute;
};

/* A reader of replies. Programs read `done`, and leave the rest to torc. */
struct torc_resp_reader {
	struct torc_resp_limits limits;
	bool done;		/* the last item was the last of a reply */
	uint8_t depth;
	uint8_t aside;		/* attributes around */
	enum torc_redis_type type;	/* of a text of which more comes */
	uint64_t text_size;
	uint64_t text_left;
	uint64_t bytes;		/* of the reply so far */
	uint64_t items;
	uint8_t passing;	/* where torc_resp_pass() is */
	uint64_t past;		/* values that it has yet to read past */
	uint64_t seen;		/* bytes of a line without an end that were
				 * searched for one already */
	struct torc_resp_level levels[TORC_RESP_DEPTH];
	uint64_t reserved[4];
};

/* Begin to read. `limits` may be NULL. */
TORC_API void torc_resp_init(struct torc_resp_reader *reader,
    const struct torc_resp_limits *limits);

/*
 * Read one item from the front of the bytes. A reply is over when
 * `reader->done`; the next call begins the next one. Returns how many bytes
 * were taken, or 0: more are needed to tell (nothing was taken), or a negative
 * errno.
 */
TORC_API int64_t torc_resp_read(struct torc_resp_reader *reader,
    const uint8_t *data, size_t size, struct torc_resp_item *item);

/*
 * Read past a reply: what is left of one that was refused for a limit or for
 * lack of memory and is not `done`, or past a whole one that nobody wants. No
 * limit holds here: it takes no memory. Returns how many bytes were taken (0:
 * more are needed), or -EBADMSG: the bytes are not RESP. `reader->done` is set
 * when the reply is over; until then, call it and not torc_resp_read().
 */
TORC_API int64_t torc_resp_pass(
    struct torc_resp_reader *reader, const uint8_t *data, size_t size);

/* ---- Trees ---- */

/* A reply, or a value in one: a tree. */
struct torc_redis_reply {
	enum torc_redis_type type;
	size_t size;		/* of the text, or items */
	__extension__ union {
		int64_t integer;
		double number;
	};
	__extension__ union {
		char *text;	/* ended by a NUL that is not in `size` */
		struct torc_redis_reply *items;
	};
};

/* An arena is memory that is freed as a whole. Its fields are torc's. */
struct torc_resp_arena {
	struct torc_resp_chunk *chunks;
	uint8_t *at;
	size_t left;
};

/* Begin with `size` bytes of the caller's, aligned for anything. */
TORC_API void torc_resp_arena_init(struct torc_resp_arena *arena, void *memory,
    size_t size);
/* Memory for anything, or NULL. */
TORC_API void *torc_resp_arena_take(struct torc_resp_arena *arena, size_t size);
TORC_API void torc_resp_arena_free(struct torc_resp_arena *arena);
/* Free what was taken since `before` was a copy of it. */
TORC_API void torc_resp_arena_rewind(struct torc_resp_arena *arena,
    const struct torc_resp_arena *before);

/* A tree that is built as bytes come. */
struct torc_resp_tree {
	struct torc_resp_reader reader;
	struct torc_resp_arena *arena;
	struct torc_redis_reply *root;
	struct torc_redis_reply *text;	/* of which more comes */
	size_t taken;		/* bytes, by the last torc_resp_build() */
	struct torc_redis_reply *next[TORC_RESP_DEPTH];
	uint64_t reserved[4];
};

/* Begin to build trees in `arena`. */
TORC_API void torc_resp_tree_init(struct torc_resp_tree *tree,
    struct torc_resp_arena *arena, const struct torc_resp_limits *limits);

/*
 * Build the next reply at `root`. `tree->reader.done` is set when it is whole.
 * After an error, `tree->taken` says how many bytes were taken before:
 * torc_resp_pass() goes on from there. Returns how many bytes were taken, or an
 * error as torc_resp_read(). (At most some bytes of a line or of an end of line
 * are not taken.)
 */
TORC_API int64_t torc_resp_build(struct torc_resp_tree *tree,
    struct torc_redis_reply *root, const uint8_t *data, size_t size);

/* ---- Writing ---- */

/*
 * Returns how many bytes a command has on the wire, where it is an array of
 * strings.
 */
TORC_API size_t torc_resp_command_size(
    const struct torc_slice *argv, unsigned argc);

/* Write a command to `to`, which has room. Returns the number of bytes. */
TORC_API size_t torc_resp_put_command(
    uint8_t *to, const struct torc_slice *argv, unsigned argc);

/*
 * Write the line that begins an array ('*') or a string ('$') of `size`; at
 * most TORC_RESP_HEAD bytes. Returns how many.
 */
TORC_API size_t torc_resp_put_head(uint8_t *to, char type, uint64_t size);

#ifdef __cplusplus
}
#endif

#endif
