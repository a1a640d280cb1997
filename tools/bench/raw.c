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

/* Bit n: byte n of the 64 at `data` is a line feed. */
static inline uint64_t
line_feeds(const uint8_t *data)
{
	typedef int8_t block __attribute__((vector_size(16)));
	uint64_t bits = 0;

	for (int i = 0; i < 4; i++) {
		block bytes;

		memcpy(&bytes, data + i * 16, sizeof(bytes));
#if defined(__SSE2__)
		bits |= (uint64_t)(uint32_t)__builtin_ia32_pmovmskb128(
		    (__attribute__((vector_size(16))) char)(bytes == '\n'))
		    << (i * 16);
#else
		for (int j = 0; j < 16; j++)
			bits |= (uint64_t)(bytes[j] == '\n') << (i * 16 + j);
#endif
	}
	return bits;
}

/*
 * How many heads end in the view, and where the last of them does: at a line
 * feed two bytes after another one.
 */
static unsigned
count_heads(const uint8_t *data, size_t size, size_t *end)
{
	uint64_t before = 0;	/* the last two bits of the block before */
	unsigned count = 0;
	size_t at = 0;

	*end = 0;
	while (at < size) {
		uint8_t tail[64] = { 0 };
		const uint8_t *block = data + at;
		uint64_t feeds, ends;

		if (size - at < sizeof(tail)) {
			memcpy(tail, block, size - at);
			block = tail;
		}
		feeds = line_feeds(block);
		ends = feeds & (feeds << 2 | before);
		before = feeds >> 62;
		if (ends != 0) {
			count += (unsigned)__builtin_popcountll(ends);
			*end = at + 64 - (unsigned)__builtin_clzll(ends);
		}
		at += 64;
	}
	return count;
}

static int
raw(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, TORC_NEVER) > 0) {
		size_t end;
		unsigned count = count_heads(in.data, in.size, &end);

		torc_conn_consume(conn, end);
		while (count > 0) {
			unsigned now = count < CANNED ? count : CANNED;

			if (torc_conn_write(conn, canned, now * ANSWER_SIZE,
			    TORC_NEVER) < 0)
				return -1;
			count -= now;
		}
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
