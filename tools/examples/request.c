/*
 * request.c - reading request heads and skipping bodies. No input, no output,
 * no memory: bytes in, a verdict out.
 */
#include "request.h"

#include <string.h>
#include <strings.h>

#define LINE_MAX_SIZE 256u	/* of a chunk's size line or a trailer */

/* RFC 9110, 5.6.2: what names are made of. */
static inline bool
is_token(uint8_t c)
{
	/* Bit n of word w: the character 32 * w + n. */
	static const uint32_t tokens[8] = {
		0, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff, 0, 0, 0, 0,
	};

	return tokens[c >> 5] >> (c & 31) & 1;
}

/* No control characters but tab. */
static inline bool
is_text(const uint8_t *from, const uint8_t *to)
{
	static const uint32_t controls[8] = {
		0xfffffdff, 0, 0, 0x80000000, 0, 0, 0, 0,
	};
	uint32_t found = 0;

	for (; from < to; from++)
		found |= controls[*from >> 5] >> (*from & 31);
	return (found & 1) == 0;
}

static bool
equals(const uint8_t *from, const uint8_t *to, const char *text)
{
	size_t size = strlen(text);

	return (size_t)(to - from) == size &&
	    strncasecmp((const char *)from, text, size) == 0;
}

/* METHOD SP TARGET SP HTTP/1.x: 0 or the negative status. */
static int
parse_first_line(const uint8_t *at, const uint8_t *end,
    struct request *request)
{
	const uint8_t *start = at;

	while (at < end && is_token(*at))
		at++;
	if (at == start || at == end || *at != ' ')
		return -400;
	request->head = equals(start, at, "HEAD");
	start = ++at;
	while (at < end && *at > ' ' && *at < 0x7f)
		at++;
	if (at == start || end - at != 9 || *at != ' ')
		return -400;
	if (memcmp(at + 1, "HTTP/1.", 7) != 0)
		return memcmp(at + 1, "HTTP/", 5) == 0 ? -505 : -400;
	if (at[8] < '0' || at[8] > '9')
		return -400;
	request->old = at[8] == '0';
	request->keep_alive = !request->old;
	return 0;
}

static int
parse_length(const uint8_t *at, const uint8_t *end, struct request *request)
{
	uint64_t length = 0;

	if (at == end || end - at > 18)
		return -400;
	for (; at < end; at++) {
		if (*at < '0' || *at > '9')
			return -400;
		length = length * 10 + (uint64_t)(*at - '0');
	}
	request->body_size = length;
	return 0;
}

/* What a head has had, most of which it may have once. */
enum { SEEN_HOST = 1, SEEN_LENGTH = 2, SEEN_CODING = 4, SEEN_CLOSE = 8 };

/* A list of options (RFC 9110, 7.6.1), of which two are ours. */
static unsigned
parse_connection(const uint8_t *at, const uint8_t *end,
    struct request *request)
{
	while (at < end) {
		const uint8_t *token = at;

		while (at < end && is_token(*at))
			at++;
		if (equals(token, at, "close"))
			return SEEN_CLOSE;
		if (equals(token, at, "keep-alive"))
			request->keep_alive = true;
		while (at < end && !is_token(*at))
			at++;
	}
	return 0;
}

static int
parse_field(const uint8_t *name, const uint8_t *colon, const uint8_t *at,
    const uint8_t *end, struct request *request, unsigned *seen)
{
	unsigned now = 0;
	int rc = 0;

	if (equals(name, colon, "Host")) {
		now = SEEN_HOST;
	} else if (equals(name, colon, "Content-Length")) {
		now = SEEN_LENGTH;
		rc = parse_length(at, end, request);
	} else if (equals(name, colon, "Transfer-Encoding")) {
		now = SEEN_CODING;
		request->chunked = true;
		rc = equals(at, end, "chunked") ? 0 : -501;
	} else if (equals(name, colon, "Connection")) {
		*seen |= parse_connection(at, end, request);
	} else if (equals(name, colon, "Expect")) {
		request->expect = equals(at, end, "100-continue");
	}
	if (*seen & now)
		return -400;
	*seen |= now;
	return rc;
}

static int
parse_line(const uint8_t *at, const uint8_t *end, struct request *request,
    unsigned *seen)
{
	const uint8_t *name = at;
	const uint8_t *colon;

	while (at < end && is_token(*at))
		at++;
	colon = at;
	if (colon == name || at == end || *at != ':')
		return -400;
	at++;
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return is_text(at, end) ?
	    parse_field(name, colon, at, end, request, seen) : -400;
}

/* The end of the line at `at`: its CR, or NULL; *rc if a LF stands alone. */
static const uint8_t *
find_line(const uint8_t *at, const uint8_t *end, int *rc)
{
	const uint8_t *lf = memchr(at, '\n', (size_t)(end - at));

	if (lf == NULL)
		return NULL;
	if (lf == at || lf[-1] != '\r') {
		*rc = -400;
		return NULL;
	}
	return lf - 1;
}

int
request_parse(const uint8_t *data, size_t size, struct request *request)
{
	const uint8_t *end = data + size;
	const uint8_t *line = data;
	const uint8_t *cr;
	unsigned seen = 0;
	int rc = 0;

	*request = (struct request) { .keep_alive = false };
	cr = find_line(line, end, &rc);
	if (cr == NULL)
		return rc;
	rc = parse_first_line(line, cr, request);
	for (line = cr + 2; rc == 0; line = cr + 2) {
		cr = find_line(line, end, &rc);
		if (cr == NULL || cr == line)
			break;
		rc = parse_line(line, cr, request, &seen);
	}
	if (rc < 0 || cr == NULL)
		return rc;
	/* Both framings at once is how requests are smuggled; HTTP/1.1 has a
	 * Host, and 1.0 no chunks (RFC 9112, 3.2, 6.1 and 6.3). */
	if ((seen & SEEN_LENGTH && seen & SEEN_CODING) ||
	    (!(seen & SEEN_HOST) && !request->old) ||
	    (seen & SEEN_CODING && request->old))
		return -400;
	if (seen & SEEN_CLOSE)
		request->keep_alive = false;
	return (int)(cr + 2 - data);
}

/* ---- Chunked bodies ---- */

enum { SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER,
    TRAILER_LINE, TRAILER_LF, LAST_LF };

static int
hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int
in_size(struct chunks *chunks, uint8_t c)
{
	int digit = hex(c);

	if (digit >= 0 && chunks->line <= 15) {
		chunks->left = chunks->left * 16 + (uint64_t)digit;
		return SIZE;
	}
	if (chunks->line <= 1)
		return -400;
	return c == '\r' ? SIZE_LF : c == ';' ? EXTENSION : -400;
}

static int
expect_byte(uint8_t c, uint8_t wanted, int next)
{
	return c == wanted ? next : -400;
}

/* The next state after one byte that is not data. */
static int
step(struct chunks *chunks, uint8_t c)
{
	if (++chunks->line > LINE_MAX_SIZE)
		return -400;
	switch (chunks->state) {
	case SIZE:
		return in_size(chunks, c);
	case EXTENSION:
		return c == '\r' ? SIZE_LF : c == '\n' ? -400 : EXTENSION;
	case SIZE_LF:
		return expect_byte(c, '\n', chunks->left > 0 ? DATA : TRAILER);
	case DATA_CR:
		return expect_byte(c, '\r', DATA_LF);
	case DATA_LF:
		return expect_byte(c, '\n', SIZE);
	case TRAILER:
		return c == '\r' ? LAST_LF : c == '\n' ? -400 : TRAILER_LINE;
	case TRAILER_LINE:
		return c == '\r' ? TRAILER_LF : c == '\n' ? -400 :
		    TRAILER_LINE;
	case TRAILER_LF:
		return expect_byte(c, '\n', TRAILER);
	default:
		return expect_byte(c, '\n', LAST_LF + 1);
	}
}

int
chunks_skip(struct chunks *chunks, const uint8_t *data, size_t size,
    bool *done)
{
	size_t at = 0;

	*done = false;
	while (at < size) {
		int next;

		if (chunks->state == DATA) {
			uint64_t part = size - at;

			if (part > chunks->left)
				part = chunks->left;
			at += part;
			chunks->left -= part;
			next = chunks->left > 0 ? DATA : DATA_CR;
		} else {
			next = step(chunks, data[at++]);
		}
		if (next < 0)
			return next;
		if (next > LAST_LF) {
			*done = true;
			break;
		}
		if (next != chunks->state && (next == SIZE ||
		    next == TRAILER || next == DATA_CR))
			chunks->line = 0;
		chunks->state = (uint8_t)next;
	}
	return (int)at;
}
