/* SPDX-License-Identifier: MIT */
/*
 * raw.c - what torc costs without a parser: counts the ends of request heads
 * and sends as many canned answers. The counterpart of limit.c.
 */
#include <torc.h>

#include <string.h>

#include "cli.h"

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define ANSWER_SIZE (sizeof(ANSWER) - 1)
#define CANNED 64u

static char canned[CANNED * ANSWER_SIZE];

#if defined(__AVX2__)
#define WIDTH 32u
#define move_mask(block) __builtin_ia32_pmovmskb256(block)
#elif defined(__SSE2__)
#define WIDTH 16u
#define move_mask(block) __builtin_ia32_pmovmskb128(block)
#else
#define WIDTH 16u

static inline int
move_mask(char __attribute__((vector_size(16))) block)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < 16; i++)
		bits |= (unsigned)(block[i] != 0) << i;
	return (int)bits;
}
#endif

typedef char block __attribute__((vector_size(WIDTH)));

/* Bit n: byte n of the block at `data` is a line feed. */
static inline uint64_t
line_feeds(const uint8_t *data)
{
	block bytes;

	memcpy(&bytes, data, sizeof(bytes));
	return (uint32_t)move_mask((block)(bytes == '\n'));
}

/* The same of 64 bytes. */
static inline uint64_t
line_feeds_64(const uint8_t *data)
{
	uint64_t bits = 0;

	for (unsigned at = 0; at < 64; at += WIDTH)
		bits |= line_feeds(data + at) << at;
	return bits;
}

/* The same of `size` bytes, at least WIDTH of them and at most twice that. */
static inline uint64_t
line_feeds_of_two(const uint8_t *data, size_t size)
{
	return line_feeds(data) |
	    line_feeds(data + size - WIDTH) << (size - WIDTH);
}

/* The same of the last `size` bytes before `end`, fewer than 64. */
static inline uint64_t
last_line_feeds(const uint8_t *end, size_t size)
{
	uint64_t bits = 0;
	size_t at = 0;

	if (size < WIDTH) {
		for (; at < size; at++)
			bits |= (uint64_t)(end[at - size] == '\n') << at;
		return bits;
	}
	for (; at + WIDTH < size; at += WIDTH)
		bits |= line_feeds(end - size + at) << at;
	return bits | line_feeds(end - WIDTH) << (size - WIDTH);
}

/* How many heads end in a view, and where the last of them does. */
struct heads {
	unsigned count;
	const uint8_t *end;
};

/* Add those that end at the bits of `ends`, of 64 bytes at `data`. */
static inline void
add_heads(struct heads *heads, const uint8_t *data, uint64_t ends)
{
	if (ends == 0)
		return;
	/* Mostly it is one, and not every processor counts bits at once. */
	heads->count += (ends & (ends - 1)) == 0 ? 1 :
	    (unsigned)__builtin_popcountll(ends);
	heads->end = data + 64 - __builtin_clzll(ends);
}

/* A head ends at a line feed two bytes after another one. */
static inline struct heads
count_heads(const uint8_t *data, size_t size)
{
	struct heads heads = { 0, data };
	uint64_t before = 0;	/* the last two bits of the block before */
	uint64_t feeds;

	if (size - WIDTH <= WIDTH) {	/* as a single request is */
		feeds = line_feeds_of_two(data, size);
		add_heads(&heads, data, feeds & feeds << 2);
		return heads;
	}
	for (; size >= 64; data += 64, size -= 64) {
		feeds = line_feeds_64(data);
		add_heads(&heads, data, feeds & (feeds << 2 | before));
		before = feeds >> 62;
	}
	if (size > 0) {
		feeds = last_line_feeds(data + size, size);
		add_heads(&heads, data, feeds & (feeds << 2 | before));
	}
	return heads;
}

static int
raw(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, TORC_NEVER) > 0) {
		struct heads heads = count_heads(in.data, in.size);
		unsigned count = heads.count;

		torc_conn_consume(conn, (size_t)(heads.end - in.data));
		for (; count > CANNED; count -= CANNED) {
			if (torc_conn_write_static(conn, canned,
			    CANNED * ANSWER_SIZE, TORC_NEVER) < 0)
				return -1;
		}
		if (torc_conn_write_static(conn, canned, count * ANSWER_SIZE,
		    TORC_NEVER) < 0)
			return -1;
	}
	return TORC_CLOSE;
}

int
main(int argc, char **argv)
{
	struct torc_config config = { .handler = raw };

	for (unsigned i = 0; i < CANNED; i++)
		memcpy(canned + i * ANSWER_SIZE, ANSWER, ANSWER_SIZE);
	return cli_serve(argc, argv, "Answers without parsing.", &config,
	    NULL);
}
