/* SPDX-License-Identifier: MIT */
/*
 * torc_resp.h - the protocol of Redis: RESP2 and RESP3 as plain functions. They
 * convert between bytes and values, do no input or output, and can be called on
 * any thread. Only trees need memory.
 *
 * Errors of reading, each with one meaning:
 *
 *	-EBADMSG	the bytes are not RESP
 *	-EMSGSIZE	the strings of a reply have more than `bytes_max` bytes
 *	-E2BIG		a reply has more than `items_max` items
 *	-ELOOP		a reply is nested deeper than `depth_max`
 *	-ENAMETOOLONG	a line is longer than `line_max`
 *	-ENOMEM		(trees only) there is not enough memory
 *
 * The structures here belong to the caller, for example on the stack. All of
 * them are frozen, and their reserved fields are torc's.
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

#define TORC_RESP_DEPTH 32	/* levels of nesting, at most */
#define TORC_RESP_HEAD 24	/* bytes of "*", a count and an end of line */

/* The type of a Redis value. */
enum torc_redis_type {
	TORC_REDIS_NIL,		/* "_", "$-1", "*-1" */
	TORC_REDIS_STATUS,	/* "+" text */
	TORC_REDIS_ERROR,	/* "-", "!" text: the first word is the error
				 * code */
	TORC_REDIS_STRING,	/* "$" text: any bytes */
	TORC_REDIS_VERBATIM,	/* "=" text, including its "txt:" */
	TORC_REDIS_BIG,		/* "(" text: a number of any length */
	TORC_REDIS_INTEGER,	/* ":" integer */
	TORC_REDIS_BOOLEAN,	/* "#" integer: 0 or 1 */
	TORC_REDIS_DOUBLE,	/* "," number, and the text as it was sent */
	TORC_REDIS_ARRAY,	/* "*" items */
	TORC_REDIS_SET,		/* "~" items */
	TORC_REDIS_PUSH,	/* ">" items: a message, not a reply */
	TORC_REDIS_MAP,		/* "%" items: key, value, key, value ... */
	TORC_REDIS_ATTRIBUTE,	/* "|" like a map; describes the value that
				 * follows. Not in trees. */
	TORC_REDIS_FAILURE,	/* text: an error of torc, which no server sent.
				 * See torc_redis.h. */
};

/* Limits for reading a reply. 0 selects the default. */
struct torc_resp_limits {
	size_t bytes_max;	/* bytes of all strings of a reply; 64 MiB */
	uint32_t items_max;	/* items that aggregates announce; 1048576 */
	uint32_t depth_max;	/* levels of nested aggregates; 32, which is the
				 * maximum */
	uint32_t line_max;	/* bytes of a line; 16384 */
	uint32_t reserved[3];	/* 0 */
};

/* ---- Reading item by item ---- */

/*
 * The next item of a reply. A long text is returned in pieces: the first piece,
 * and then further items with the same type and depth, until `left` is 0.
 */
struct torc_resp_item {
	enum torc_redis_type type;
	uint8_t depth;		/* how many aggregates contain it */
	bool first;		/* false for the further pieces of a text */
	bool aside;		/* an attribute, or part of one */
	uint64_t size;		/* bytes of the whole text, or items of an
				 * aggregate */
	int64_t integer;
	double number;
	struct torc_slice piece;	/* points into the bytes that were
				 * passed */
	uint64_t left;		/* bytes of the text after this piece */
	uint64_t reserved[2];
};

/* A level of the reply that is being read. Its fields are torc's. */
struct torc_resp_level {
	uint64_t left;		/* items */
	bool attribute;
};

/*
 * A reader of replies. Programs may read `done`; the other fields are torc's.
 */
struct torc_resp_reader {
	struct torc_resp_limits limits;
	bool done;		/* the last item completed a reply */
	uint8_t depth;
	uint8_t aside;		/* attributes around it */
	enum torc_redis_type type;	/* of a text that is incomplete */
	uint64_t text_size;
	uint64_t text_left;
	uint64_t bytes;		/* of the reply so far */
	uint64_t items;
	uint8_t passing;	/* the state of torc_resp_pass() */
	uint64_t past;		/* values that are still to be skipped */
	uint64_t seen;		/* bytes of an incomplete line that were
				 * searched for its end already */
	struct torc_resp_level levels[TORC_RESP_DEPTH];
	uint64_t reserved[4];
};

/* Initialize a reader. `limits` may be NULL. */
TORC_API void torc_resp_init(struct torc_resp_reader *reader,
    const struct torc_resp_limits *limits);

/*
 * Read one item from the beginning of the bytes. Returns how many bytes were
 * consumed; 0 if more are needed (nothing was consumed, and `*item` has no
 * meaning); or a negative errno. The next call must begin with the first byte
 * that was not consumed.
 *
 * `reader->done` is set when the item completes a reply. The next call then
 * begins the next reply.
 */
TORC_API int64_t torc_resp_read(struct torc_resp_reader *reader,
    const uint8_t *data, size_t size, struct torc_resp_item *item);

/*
 * Skip a reply, or the rest of one. Use it for a reply that is not wanted, or
 * after an error of a limit or of memory if the reply is not `done`. It needs
 * no memory, and no limits apply. Returns how many bytes were consumed; 0 if
 * more are needed; or -EBADMSG: the bytes are not RESP.
 *
 * `reader->done` is set when the reply is complete. Until then, call
 * torc_resp_pass() and not torc_resp_read().
 */
TORC_API int64_t torc_resp_pass(
    struct torc_resp_reader *reader, const uint8_t *data, size_t size);

/* ---- Trees ---- */

/* A reply, or a value within one. The values form a tree. */
struct torc_redis_reply {
	enum torc_redis_type type;
	size_t size;		/* bytes of the text, or the number of items */
	__extension__ union {
		int64_t integer;
		double number;
	};
	__extension__ union {
		char *text;	/* followed by a NUL that `size` does not
				 * count */
		struct torc_redis_reply *items;
	};
};

/* An arena: memory that is freed as a whole. Its fields are torc's. */
struct torc_resp_arena {
	struct torc_resp_chunk *chunks;
	uint8_t *at;
	size_t left;
};

/*
 * Initialize an arena with `size` bytes of the caller's, aligned for any type.
 */
TORC_API void torc_resp_arena_init(struct torc_resp_arena *arena, void *memory,
    size_t size);
/* Allocate memory for any type. Returns NULL if there is none. */
TORC_API void *torc_resp_arena_take(struct torc_resp_arena *arena, size_t size);
/*
 * Free all memory of an arena, except the caller's own bytes. Initialize it
 * before it is used again.
 */
TORC_API void torc_resp_arena_free(struct torc_resp_arena *arena);
/* Free what was allocated since `before` was copied from the arena. */
TORC_API void torc_resp_arena_rewind(struct torc_resp_arena *arena,
    const struct torc_resp_arena *before);

/* A tree that is built while the bytes arrive. */
struct torc_resp_tree {
	struct torc_resp_reader reader;
	struct torc_resp_arena *arena;
	struct torc_redis_reply *root;
	struct torc_redis_reply *text;	/* one that is incomplete */
	size_t taken;		/* bytes that the last torc_resp_build()
				 * consumed */
	struct torc_redis_reply *next[TORC_RESP_DEPTH];
	uint64_t reserved[4];
};

/* Initialize a builder of trees. Their memory comes from `arena`. */
TORC_API void torc_resp_tree_init(struct torc_resp_tree *tree,
    struct torc_resp_arena *arena, const struct torc_resp_limits *limits);

/*
 * Build the next reply at `root`, which is the caller's. Its texts and items
 * are in the arena. Pass the same `root`, and the bytes that were not consumed,
 * until the reply is complete. Returns how many bytes were consumed, or an
 * error as torc_resp_read(). It leaves at most the bytes of an incomplete line
 * or line end.
 *
 * `tree->reader.done` is set when the reply is complete. After an error,
 * `tree->taken` is the number of bytes that were consumed before it: call
 * torc_resp_pass() with the bytes after them.
 */
TORC_API int64_t torc_resp_build(struct torc_resp_tree *tree,
    struct torc_redis_reply *root, const uint8_t *data, size_t size);

/* ---- Writing ---- */

/*
 * Returns how many bytes a command needs when it is sent as an array of
 * strings.
 */
TORC_API size_t torc_resp_command_size(
    const struct torc_slice *argv, unsigned argc);

/*
 * Write a command to `to`, which must have enough room. Returns the number of
 * bytes.
 */
TORC_API size_t torc_resp_put_command(
    uint8_t *to, const struct torc_slice *argv, unsigned argc);

/*
 * Write the line that begins an array ('*') or a string ('$') of `size`.
 * Returns its length, which is at most TORC_RESP_HEAD bytes.
 */
TORC_API size_t torc_resp_put_head(uint8_t *to, char type, uint64_t size);

#ifdef __cplusplus
}
#endif

#endif
