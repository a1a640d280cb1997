/*
 * head.c - heads of requests and responses, and trailers: bytes in, slices of
 * them out. Everything is checked in the order of the bytes, so that the
 * first error is the same however they were cut.
 */
#include <errno.h>
#include <string.h>

#include "conn/http/scan.h"
#include "conn/http/torc_http.h"

#define VERSION_SIZE 8		/* HTTP/1.1 */
#define LENGTH_DIGITS 18	/* always fit into 64 bits */
#define EMPTY_LINES 4u		/* before a request; old clients send one */

/* What a head has had, most of which it may have once. */
enum { SEEN_HOST = 1, SEEN_LENGTH = 2, SEEN_CODING = 4, SEEN_CLOSE = 8,
    SEEN_KEEP = 16, SEEN_EXPECT = 32 };

/* A head that is being read. Its functions return 1, 0 for "more", -errno. */
struct reader {
	struct torc_http_head *head;
	const uint8_t *at;
	const uint8_t *end;
	uint32_t fields_max;
	unsigned seen;
	bool framed;		/* fields mean something: no trailer */
	bool request;
};

static int
fail(struct reader *reader, int error, const char *why)
{
	reader->head->why = why;
	return error;
}

static int
malformed(struct reader *reader, const char *why)
{
	return fail(reader, -EBADMSG, why);
}

static inline struct torc_slice
slice(const uint8_t *from, const uint8_t *to)
{
	return (struct torc_slice) { from, (size_t)(to - from) };
}

static inline uint64_t
load(const void *at, size_t size)
{
	uint64_t word = 0;

	memcpy(&word, at, size);
	return word;
}

/*
 * Whether a token is `text`, in any case: that is a constant of 4 to 24 lower
 * case letters, digits and '-'. (Setting bit 5 makes no other character of
 * tokens one of these.)
 */
static inline __attribute__((always_inline)) bool
matches(const uint8_t *data, const char *text, size_t size)
{
	const uint64_t lower = 0x2020202020202020;
	const size_t step = size < 8 ? 4 : 8;
	uint64_t different = 0;

	for (size_t at = 0; at + step <= size; at += step)
		different |= (load(data + at, step) | lower) ^
		    (load(text + at, step) | lower);
	different |= (load(data + size - step, step) | lower) ^
	    (load(text + size - step, step) | lower);
	return different == 0;
}

/* ---- What fields mean ---- */

static int
read_length(struct reader *reader, struct torc_slice value)
{
	uint64_t length = 0;

	if (reader->seen & SEEN_LENGTH)
		return malformed(reader, "more than one Content-Length");
	reader->seen |= SEEN_LENGTH;
	if (value.size == 0 || value.size > LENGTH_DIGITS)
		return malformed(reader, "a Content-Length that is no number");
	for (size_t i = 0; i < value.size; i++) {
		unsigned digit = value.data[i] - (unsigned)'0';

		if (digit > 9)
			return malformed(reader,
			    "a Content-Length that is no number");
		length = length * 10 + digit;
	}
	reader->head->length = length;
	reader->head->has_length = true;
	return 1;
}

static int
read_coding(struct reader *reader, struct torc_slice value)
{
	if (reader->seen & SEEN_CODING)
		return malformed(reader, "more than one Transfer-Encoding");
	reader->seen |= SEEN_CODING;
	if (value.size != 7 || !matches(value.data, "chunked", 7))
		return fail(reader, -EOPNOTSUPP,
		    "a Transfer-Encoding that is not chunked");
	return 1;
}

/* Of RFC 3986's characters, those of a host and a port. */
static inline bool
is_authority(uint8_t c)
{
	static const uint32_t characters[8] = {
		0, 0x2fff7ff2, 0xaffffffe, 0x47fffffe, 0, 0, 0, 0,
	};

	return characters[c >> 5] >> (c & 31) & 1;
}

/* The end of what can be a host and a port. */
static const uint8_t *
skip_authority(const uint8_t *at, const uint8_t *end)
{
	while (at < end && is_authority(*at))
		at++;
	return at;
}

static int
read_host(struct reader *reader, struct torc_slice value)
{
	const uint8_t *end = value.data + value.size;
	const uint8_t *at = find_not_host(value.data, end);

	if (reader->seen & SEEN_HOST)
		return malformed(reader, "more than one Host");
	reader->seen |= SEEN_HOST;
	if (at != end && skip_authority(at, end) != end)
		return malformed(reader, "a Host that is none");
	if (reader->head->host.data == NULL)
		reader->head->host = value;
	return 1;
}

static void
read_connection(struct reader *reader, struct torc_slice value)
{
	static const struct torc_slice tokens[] = {
		{ (const uint8_t *)"close", 5 },
		{ (const uint8_t *)"keep-alive", 10 },
		{ (const uint8_t *)"upgrade", 7 },
	};

	if (torc_http_lists(value, tokens[0]))
		reader->seen |= SEEN_CLOSE;
	else if (torc_http_lists(value, tokens[1]))
		reader->seen |= SEEN_KEEP;
	if (torc_http_lists(value, tokens[2]))
		reader->head->upgrade = true;
}

/* The few fields that frame messages, and Host. */
static int
read_meaning(struct reader *reader, const struct torc_http_field *field)
{
	const uint8_t *name = field->name.data;

	switch (field->name.size) {
	case 4:
		if (reader->request && matches(name, "host", 4))
			return read_host(reader, field->value);
		break;
	case 6:
		if (reader->request && matches(name, "expect", 6) &&
		    torc_http_equals(field->value, "100-continue"))
			reader->seen |= SEEN_EXPECT;
		break;
	case 10:
		if (matches(name, "connection", 10))
			read_connection(reader, field->value);
		break;
	case 14:
		if (matches(name, "content-length", 14))
			return read_length(reader, field->value);
		break;
	case 17:
		if (matches(name, "transfer-encoding", 17))
			return read_coding(reader, field->value);
		break;
	}
	return 1;
}

/* ---- Lines ---- */

/* At a byte that text cannot have: CR LF, or an error. */
static inline int
read_end_of_line(struct reader *reader)
{
	const uint8_t *at = reader->at;

	if (at == reader->end)
		return 0;
	if (*at != '\r')
		return malformed(reader, *at == '\n' ? "LF without CR" :
		    "a control character in a line");
	if (reader->end - at < 2)
		return 0;
	if (at[1] != '\n')
		return malformed(reader, "CR without LF");
	reader->at = at + 2;
	return 1;
}

/* The end of a token, which is mostly plain, and mostly before `next`. */
static inline const uint8_t *
skip_token(const uint8_t *at, const uint8_t *end, uint8_t next)
{
	at = find_not_plain(at, end);
	if (at < end && *at != next) {
		while (at < end && is_token(*at))
			at++;
	}
	return at;
}

/* NAME: up to and with the colon. */
static inline int
read_name(struct reader *reader, struct torc_slice *name)
{
	const uint8_t *start = reader->at;
	const uint8_t *at = skip_token(start, reader->end, ':');

	if (at == reader->end)
		return 0;
	if (at == start && (*at == ' ' || *at == '\t'))
		return malformed(reader, "a line that continues another");
	if (at == start)
		return malformed(reader, "a field without a name");
	if (*at != ':')
		return malformed(reader, *at == ' ' || *at == '\t' ?
		    "white space in or behind a name" :
		    "a character in a name that is no token");
	*name = slice(start, at);
	reader->at = at + 1;
	return 1;
}

/* Up to and with the end of the line, without white space around it. */
static inline int
read_text(struct reader *reader, struct torc_slice *text)
{
	const uint8_t *start = reader->at;
	const uint8_t *stop;
	int rc;

	while (start < reader->end && (*start == ' ' || *start == '\t'))
		start++;
	stop = find_control(start, reader->end);
	reader->at = stop;
	rc = read_end_of_line(reader);
	if (rc <= 0)
		return rc;
	while (stop > start && (stop[-1] == ' ' || stop[-1] == '\t'))
		stop--;
	*text = slice(start, stop);
	return 1;
}

/* To the empty line. */
static int
read_fields(struct reader *reader)
{
	struct torc_http_field *const fields = reader->head->fields;
	struct torc_http_field *field = fields;

	for (; reader->at < reader->end; field++) {
		int rc;

		if (*reader->at == '\r') {
			reader->head->field_count =
			    (unsigned)(field - fields);
			return read_end_of_line(reader);
		}
		if (field == fields + reader->fields_max)
			return fail(reader, -E2BIG,
			    "more fields than fields_max");
		rc = read_name(reader, &field->name);
		if (rc > 0)
			rc = read_text(reader, &field->value);
		if (rc > 0 && reader->framed)
			rc = read_meaning(reader, field);
		if (rc <= 0)
			return rc;
	}
	return 0;
}

static inline bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Whatever is not HTTP/1.1. */
static __attribute__((noinline)) int
read_odd_version(struct reader *reader)
{
	const uint8_t *at = reader->at;

	if (memcmp(at, "HTTP/", 5) != 0)
		return malformed(reader, "not HTTP");
	if (!is_digit(at[5]) || at[6] != '.' || !is_digit(at[7]))
		return malformed(reader, "a version that is none");
	if (at[5] != '1')
		return fail(reader, -EPROTONOSUPPORT,
		    "another version than HTTP/1");
	reader->head->minor = at[7] == '0' ? 0 : 1;
	reader->at = at + VERSION_SIZE;
	return 1;
}

/* What comes behind it is the caller's to check. */
static inline int
read_version(struct reader *reader)
{
	if (reader->end - reader->at < VERSION_SIZE)
		return 0;
	if (load(reader->at, 8) != load("HTTP/1.1", 8))
		return read_odd_version(reader);
	reader->head->minor = 1;
	reader->at += VERSION_SIZE;
	return 1;
}

/* ---- Requests ---- */

static inline bool
is(struct torc_slice name, const char *text)
{
	return memcmp(name.data, text, name.size) == 0;
}

enum torc_http_method
torc_http_method_of(struct torc_slice name)
{
	switch (name.size) {
	case 3:
		return is(name, "GET") ? TORC_HTTP_GET :
		    is(name, "PUT") ? TORC_HTTP_PUT : TORC_HTTP_OTHER;
	case 4:
		return is(name, "HEAD") ? TORC_HTTP_HEAD :
		    is(name, "POST") ? TORC_HTTP_POST : TORC_HTTP_OTHER;
	case 5:
		return is(name, "TRACE") ? TORC_HTTP_TRACE :
		    is(name, "PATCH") ? TORC_HTTP_PATCH : TORC_HTTP_OTHER;
	case 6:
		return is(name, "DELETE") ? TORC_HTTP_DELETE : TORC_HTTP_OTHER;
	case 7:
		return is(name, "OPTIONS") ? TORC_HTTP_OPTIONS :
		    is(name, "CONNECT") ? TORC_HTTP_CONNECT : TORC_HTTP_OTHER;
	default:
		return TORC_HTTP_OTHER;
	}
}

static inline __attribute__((always_inline)) int
read_method(struct reader *reader)
{
	const uint8_t *start = reader->at;
	const uint8_t *at = skip_token(start, reader->end, ' ');

	if (at == reader->end)
		return 0;
	if (at == start || *at != ' ')
		return malformed(reader, "a method that is no token");
	reader->head->method_name = slice(start, at);
	reader->head->method =
	    torc_http_method_of(reader->head->method_name);
	reader->at = at + 1;
	return 1;
}

/*
 * RFC 9112, 2.2: an empty line before a request is ignored, since old clients
 * end a body with one. Who sends more than a few is no client.
 */
static __attribute__((noinline)) int
read_late_method(struct reader *reader)
{
	reader->head->why = NULL;
	for (unsigned i = 0; *reader->at == '\r'; i++) {
		int rc = i < EMPTY_LINES ? read_end_of_line(reader) :
		    malformed(reader, "many empty lines before a request");

		if (rc <= 0 || reader->at == reader->end)
			return rc < 0 ? rc : 0;
	}
	return read_method(reader);
}

/* SCHEME :// AUTHORITY, before a path, a query, or nothing. */
static int
read_absolute_target(struct reader *reader)
{
	const struct torc_slice target = reader->head->target;
	const uint8_t *at = target.data;
	const uint8_t *end = at + target.size;
	const uint8_t *authority;

	while (at < end && (is_plain(*at) || *at == '+' || *at == '.'))
		at++;
	if (at == target.data || end - at < 4 || memcmp(at, "://", 3) != 0)
		return malformed(reader, "a target of no known form");
	at += 3;
	authority = at;
	at = skip_authority(at, end);
	if (at == authority || (at < end && *at != '/' && *at != '?'))
		return malformed(reader, "a target without a host");
	reader->head->host = slice(authority, at);
	return 1;
}

/* RFC 9112, 3.2: a path, a host and a port, an asterisk, or all of a URI. */
static int
check_target(struct reader *reader)
{
	const struct torc_slice target = reader->head->target;
	const uint8_t *end = target.data + target.size;
	const enum torc_http_method method = reader->head->method;

	if (method == TORC_HTTP_CONNECT)
		return skip_authority(target.data, end) == end &&
		    memchr(target.data, ':', target.size) != NULL ? 1 :
		    malformed(reader, "CONNECT to what is no host and port");
	if (target.data[0] == '/')
		return 1;
	if (target.size == 1 && target.data[0] == '*')
		return method == TORC_HTTP_OPTIONS ? 1 :
		    malformed(reader, "a target that is for OPTIONS only");
	return read_absolute_target(reader);
}

static int
read_target(struct reader *reader, uint32_t target_max)
{
	const uint8_t *start = reader->at;
	const uint8_t *at = find_no_target(start, reader->end);

	if ((size_t)(at - start) > target_max)
		return fail(reader, -ENAMETOOLONG,
		    "a target longer than target_max");
	if (at == reader->end)
		return 0;
	if (at == start || *at != ' ')
		return malformed(reader, *at == '#' ?
		    "a target with a fragment" : "a target with a character "
		    "that targets do not have, or nothing behind it");
	reader->head->target = slice(start, at);
	reader->at = at + 1;
	return 1;
}

static int
read_request_line(struct reader *reader, uint32_t target_max)
{
	int rc = read_method(reader);

	/* After the error, so that it costs others nothing. */
	if (rc < 0 && *reader->at == '\r')
		rc = read_late_method(reader);
	if (rc > 0)
		rc = read_target(reader, target_max);
	if (rc > 0)
		rc = read_version(reader);
	if (rc > 0)
		rc = check_target(reader);
	if (rc <= 0 || reader->at == reader->end)
		return rc < 0 ? rc : 0;
	if (*reader->at != '\r' && *reader->at != '\n')
		return malformed(reader, "more than a version in a line");
	return read_end_of_line(reader);
}

/* All fields are read: what do they mean together? */
static int
frame_request(struct reader *reader)
{
	struct torc_http_head *head = reader->head;
	const unsigned seen = reader->seen;

	if (head->minor > 0 && !(seen & SEEN_HOST))
		return malformed(reader, "no Host");
	if (seen & SEEN_CODING && seen & SEEN_LENGTH)
		return malformed(reader,
		    "Content-Length and Transfer-Encoding at once");
	if (seen & SEEN_CODING && head->minor == 0)
		return malformed(reader, "Transfer-Encoding in HTTP/1.0");
	if (head->method == TORC_HTTP_CONNECT &&
	    (seen & SEEN_CODING || head->length > 0))
		return malformed(reader, "CONNECT with a body");
	head->keep_alive = !(seen & SEEN_CLOSE) &&
	    (head->minor > 0 || seen & SEEN_KEEP);
	head->expects_continue = head->minor > 0 && seen & SEEN_EXPECT;
	if (seen & SEEN_CODING)
		head->body = TORC_HTTP_CHUNKED;
	else if (head->length > 0)
		head->body = TORC_HTTP_SIZED;
	else if (head->method == TORC_HTTP_CONNECT)
		head->body = TORC_HTTP_TUNNEL;
	return 1;
}

/* ---- Responses ---- */

static int
read_status(struct reader *reader)
{
	const uint8_t *at = reader->at;
	unsigned status = 0;

	for (unsigned i = 0; i < 4; i++, at++) {
		if (at == reader->end)
			return 0;
		if (i == 0 && *at != ' ')
			return malformed(reader, "no status");
		if (i > 0 && (*at < '0' || *at > '9'))
			return malformed(reader, "a status that is no number");
		if (i > 0)
			status = status * 10 + (unsigned)(*at - '0');
	}
	if (status < 100 || status > 599)
		return malformed(reader, "a status out of 100 to 599");
	reader->head->status = status;
	reader->at = at;
	return 1;
}

static int
read_status_line(struct reader *reader)
{
	int rc = read_version(reader);

	if (rc > 0)
		rc = read_status(reader);
	if (rc <= 0 || reader->at == reader->end)
		return rc < 0 ? rc : 0;
	/* Some leave out the space before an empty reason. */
	if (*reader->at != ' ' && *reader->at != '\r' && *reader->at != '\n')
		return malformed(reader, "a status that is no number");
	return read_text(reader, &reader->head->reason);
}

/* RFC 9112, 6.3. */
static enum torc_http_body
body_of_response(const struct reader *reader, enum torc_http_method method)
{
	const struct torc_http_head *head = reader->head;
	const unsigned status = head->status;

	if (status == 101 || (method == TORC_HTTP_CONNECT &&
	    status >= 200 && status < 300))
		return TORC_HTTP_TUNNEL;
	if (method == TORC_HTTP_HEAD || status < 200 || status == 204 ||
	    status == 304)
		return TORC_HTTP_NONE;
	if (reader->seen & SEEN_CODING)
		return TORC_HTTP_CHUNKED;
	if (!head->has_length)
		return TORC_HTTP_TO_END;
	return head->length > 0 ? TORC_HTTP_SIZED : TORC_HTTP_NONE;
}

static int
frame_response(struct reader *reader, enum torc_http_method method)
{
	struct torc_http_head *head = reader->head;
	const unsigned seen = reader->seen;

	if (seen & SEEN_CODING && seen & SEEN_LENGTH)
		return malformed(reader,
		    "Content-Length and Transfer-Encoding at once");
	if (seen & SEEN_CODING && head->minor == 0)
		return malformed(reader, "Transfer-Encoding in HTTP/1.0");
	head->body = body_of_response(reader, method);
	head->keep_alive = !(seen & SEEN_CLOSE) &&
	    (head->minor > 0 || seen & SEEN_KEEP) &&
	    head->body != TORC_HTTP_TO_END && head->body != TORC_HTTP_TUNNEL;
	return 1;
}

/* ---- All of them ---- */

enum kind { REQUEST, RESPONSE, TRAILER };

static int
read_head(struct reader *reader, enum kind kind,
    const struct torc_http_limits *limits, enum torc_http_method method)
{
	int rc = 1;

	if (kind == REQUEST)
		rc = read_request_line(reader, limits->target_max);
	else if (kind == RESPONSE)
		rc = read_status_line(reader);
	if (rc > 0)
		rc = read_fields(reader);
	if (rc > 0 && kind == REQUEST)
		rc = frame_request(reader);
	else if (rc > 0 && kind == RESPONSE)
		rc = frame_response(reader, method);
	return rc;
}

static int
read_bytes(struct torc_http_head *head, const uint8_t *data, size_t size,
    const struct torc_http_limits *limits, enum kind kind,
    enum torc_http_method method)
{
	const bool all = size < limits->head_max;
	struct reader reader = {
		.head = head,
		.at = data,
		.end = data + (all ? size : limits->head_max),
		.fields_max = limits->fields_max,
		.framed = kind != TRAILER,
		.request = kind == REQUEST,
	};
	int rc = read_head(&reader, kind, limits, method);

	if (rc > 0)
		return (int)(reader.at - data);
	if (rc == 0 && !all)
		return fail(&reader, -EMSGSIZE, kind == TRAILER ?
		    "a trailer longer than head_max" :
		    "a head longer than head_max");
	return rc;
}

static inline void
move(struct torc_slice *moved, const uint8_t *from, const uint8_t *to)
{
	if (moved->data != NULL)
		moved->data = to + (moved->data - from);
}

static void
move_fields(struct torc_http_head *head, const uint8_t *from,
    const uint8_t *to)
{
	for (unsigned i = 0; i < head->field_count; i++) {
		move(&head->fields[i].name, from, to);
		move(&head->fields[i].value, from, to);
	}
}

void
torc_http_rebase(struct torc_http_head *head, const uint8_t *from,
    const uint8_t *to)
{
	move_fields(head, from, to);
	move(&head->method_name, from, to);
	move(&head->target, from, to);
	move(&head->host, from, to);
	move(&head->reason, from, to);
}

/* From where the block before the end is readable: see scan.h. */
static int
read_any(struct torc_http_head *head, const uint8_t *data, size_t size,
    const struct torc_http_limits *limits, enum kind kind,
    enum torc_http_method method)
{
	uint8_t few[2 * SCAN_BLOCK] = { 0 };
	const uint8_t *copy = few + SCAN_BLOCK;
	int rc;

	head->field_count = 0;
	if (limits->head_max < SCAN_BLOCK) {
		head->why = "head_max is less than any head has";
		return -EMSGSIZE;
	}
	if (size >= SCAN_BLOCK)
		return read_bytes(head, data, size, limits, kind, method);
	if (size > 0)
		memcpy(few + SCAN_BLOCK, data, size);
	rc = read_bytes(head, copy, size, limits, kind, method);
	/* Only a trailer can be so short and complete. */
	move_fields(head, copy, data);
	return rc;
}

int
torc_http_read_request(struct torc_http_head *head, const uint8_t *data,
    size_t size, const struct torc_http_limits *limits)
{
	int rc;

	*head = (struct torc_http_head) { .fields = head->fields };
	rc = read_any(head, data, size, limits, REQUEST, TORC_HTTP_OTHER);
	head->size = rc > 0 ? (uint32_t)rc : 0;
	return rc;
}

int
torc_http_read_response(struct torc_http_head *head, const uint8_t *data,
    size_t size, const struct torc_http_limits *limits,
    enum torc_http_method method)
{
	int rc;

	*head = (struct torc_http_head) { .fields = head->fields };
	rc = read_any(head, data, size, limits, RESPONSE, method);
	head->size = rc > 0 ? (uint32_t)rc : 0;
	return rc;
}

int
torc_http_read_trailer(struct torc_http_head *head, const uint8_t *data,
    size_t size, const struct torc_http_limits *limits)
{
	return read_any(head, data, size, limits, TRAILER, TORC_HTTP_OTHER);
}

bool
torc_http_begun(struct torc_slice in)
{
	while (in.size > 0 && (*in.data == '\r' || *in.data == '\n')) {
		in.data++;
		in.size--;
	}
	return in.size > 0;
}

/* ---- Looking at heads ---- */

static inline uint8_t
lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static bool
same(const uint8_t *one, const uint8_t *other, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (lower(one[i]) != lower(other[i]))
			return false;
	}
	return true;
}

bool
torc_http_equals(struct torc_slice slice, const char *text)
{
	return slice.size == strlen(text) &&
	    same(slice.data, (const uint8_t *)text, slice.size);
}

const struct torc_slice *
torc_http_find(const struct torc_http_head *head, const char *name)
{
	for (unsigned i = 0; i < head->field_count; i++) {
		if (torc_http_equals(head->fields[i].name, name))
			return &head->fields[i].value;
	}
	return NULL;
}

bool
torc_http_lists(struct torc_slice value, struct torc_slice token)
{
	const uint8_t *at = value.data;
	const uint8_t *end = at + value.size;

	while (at < end) {
		const uint8_t *start = at;

		while (at < end && is_token(*at))
			at++;
		if ((size_t)(at - start) == token.size &&
		    token.size > 0 && same(start, token.data, token.size))
			return true;
		while (at < end && !is_token(*at))
			at++;
	}
	return false;
}

struct torc_slice
torc_http_text(const char *text)
{
	return (struct torc_slice) { (const uint8_t *)text, strlen(text) };
}
