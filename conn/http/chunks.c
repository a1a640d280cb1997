/* SPDX-License-Identifier: MIT */
/*
 * chunks.c - reads chunked bodies: there is a state for each place where the
 * received bytes may end.
 */
#include <errno.h>
#include <limits.h>

#include "conn/http/scan.h"
#include "conn/http/torc_http.h"

#define LINE_MAX_SIZE 256u	/* bytes of a line with its extensions */
#define DIGITS_MAX 15u		/* of a size: 60 bits cannot wrap around */

/*
 * Chunks may be small, and lines may be long, but not all of them. A line may
 * have 16 bytes plus twice the data of its chunk; all lines of a body together
 * may exceed that by this much.
 */
#define EXCESS_MAX 16384u

/* The states up to SIZE_LF belong to a chunk's line (RFC 9112, 7.1, 7.1.1). */
enum state {
	SIZE,
	SPACE,		/* behind a size or a value: an extension follows */
	NAME_START,
	NAME,
	NAME_SPACE,
	VALUE_START,
	VALUE,
	QUOTED,
	QUOTED_PAIR,
	QUOTED_END,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	OVER,
};

static int
malformed(struct torc_http_chunks *chunks, const char *why)
{
	chunks->why = why;
	return -EBADMSG;
}

static bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static int
hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int
in_size(struct torc_http_chunks *chunks, uint8_t c)
{
	int digit = hex(c);

	if (digit >= 0 && chunks->line > DIGITS_MAX)
		return malformed(chunks, "the size of a chunk has too many "
		    "digits");
	if (digit >= 0) {
		chunks->left = chunks->left * 16 + (uint64_t)digit;
		return SIZE;
	}
	if (chunks->line == 1)
		return malformed(chunks, "the size of a chunk is not a number");
	return c == ';' ? NAME_START : c == '\r' ? SIZE_LF :
	    is_space(c) ? SPACE : malformed(chunks,
	    "the size of a chunk is not a number");
}

static int
malformed_extension(struct torc_http_chunks *chunks, uint8_t c)
{
	return malformed(chunks, is_control(c) && c != '\r' ?
	    "a control character in a chunk's extension" :
	    "a malformed extension of a chunk");
}

static int
in_name(struct torc_http_chunks *chunks, uint8_t c)
{
	const uint32_t state = chunks->state;

	if (is_token(c) && state != NAME_SPACE)
		return NAME;
	if (is_space(c))
		return state == NAME_START ? NAME_START : NAME_SPACE;
	if (state == NAME_START)
		return malformed_extension(chunks, c);
	if (c == '\r' && state == NAME)
		return SIZE_LF;
	return c == '=' ? VALUE_START : c == ';' ? NAME_START :
	    malformed_extension(chunks, c);
}

static int
in_value(struct torc_http_chunks *chunks, uint8_t c)
{
	const uint32_t state = chunks->state;

	if (is_token(c) && (state == VALUE_START || state == VALUE))
		return VALUE;
	if (state == VALUE_START)
		return c == '"' ? QUOTED : is_space(c) ? VALUE_START :
		    malformed_extension(chunks, c);
	if (is_space(c))
		return SPACE;
	if (c == '\r' && state != SPACE)
		return SIZE_LF;
	return c == ';' ? NAME_START : malformed_extension(chunks, c);
}

static int
in_quotes(struct torc_http_chunks *chunks, uint8_t c)
{
	if (is_control(c))
		return malformed_extension(chunks, c);
	if (chunks->state == QUOTED_PAIR)
		return QUOTED;
	return c == '"' ? QUOTED_END : c == '\\' ? QUOTED_PAIR : QUOTED;
}

static int
at_end_of_line(struct torc_http_chunks *chunks, uint8_t c)
{
	uint64_t due = 16 + 2 * chunks->left;

	if (c != '\n')
		return malformed(chunks, "a chunk's line without LF");
	chunks->excess += chunks->line;
	chunks->excess -= due < chunks->excess ? (uint32_t)due :
	    chunks->excess;
	if (chunks->excess > EXCESS_MAX)
		return malformed(chunks,
		    "chunks with much extension and little data");
	chunks->line = 0;
	return chunks->left > 0 ? DATA : OVER;
}

/* The next state after one byte that is not data. */
static int
step(struct torc_http_chunks *chunks, uint8_t c)
{
	if (chunks->state <= SIZE_LF && ++chunks->line > LINE_MAX_SIZE)
		return malformed(chunks, "the line of a chunk is too long");
	switch (chunks->state) {
	case SIZE:
		return in_size(chunks, c);
	case NAME_START:
	case NAME:
	case NAME_SPACE:
		return in_name(chunks, c);
	case SPACE:
	case VALUE_START:
	case VALUE:
	case QUOTED_END:
		return in_value(chunks, c);
	case QUOTED:
	case QUOTED_PAIR:
		return in_quotes(chunks, c);
	case SIZE_LF:
		return at_end_of_line(chunks, c);
	case DATA_CR:
		return c == '\r' ? DATA_LF :
		    malformed(chunks, "a chunk is longer than its size");
	default:
		return c == '\n' ? SIZE :
		    malformed(chunks, "CR without LF after a chunk");
	}
}

int
torc_http_read_chunks(struct torc_http_chunks *chunks, const uint8_t *data,
    size_t size, struct torc_slice *body)
{
	size_t at = 0;

	*body = (struct torc_slice) { NULL, 0 };
	if (size > INT_MAX)
		size = INT_MAX;
	while (at < size && chunks->state != OVER) {
		int next;

		if (chunks->state == DATA) {
			body->data = data + at;
			body->size = size - at < chunks->left ? size - at :
			    (size_t)chunks->left;
			chunks->left -= body->size;
			if (chunks->left == 0)
				chunks->state = DATA_CR;
			return (int)(at + body->size);
		}
		next = step(chunks, data[at++]);
		if (next < 0)
			return next;
		chunks->state = (uint32_t)next;
	}
	return (int)at;
}

bool
torc_http_chunks_over(const struct torc_http_chunks *chunks)
{
	return chunks->state == OVER;
}

size_t
torc_http_chunk_line(char line[TORC_HTTP_CHUNK_LINE], uint64_t size)
{
	static const char digits[] = "0123456789abcdef";
	unsigned shift = 60;
	size_t used = 0;

	while (shift > 0 && size >> shift == 0)
		shift -= 4;
	for (;; shift -= 4) {
		line[used++] = digits[size >> shift & 15];
		if (shift == 0)
			break;
	}
	line[used++] = '\r';
	line[used++] = '\n';
	return used;
}
