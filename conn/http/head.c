/* SPDX-License-Identifier: MIT */
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

/* What was seen in a head. Most of these may be there only once. */
enum { SEEN_HOST = 1, SEEN_LENGTH = 2, SEEN_CODING = 4, SEEN_CLOSE = 8,
    SEEN_KEEP = 16, SEEN_EXPECT = 32 };

/*
 * A head that is being read. The functions below return the position after what
 * they read, or NULL: then `error` is 0 if more bytes are needed, or a negative
 * errno. Functions that only check return true, or false with such an error.
 */
struct reader {
	struct torc_http_head *head;
	const uint8_t *end;
	uint32_t fields_max;
	unsigned seen;
	int error;
	bool framed;		/* fields mean something: no trailer */
	bool request;
};

static __attribute__((noinline, cold)) const uint8_t *
fail(struct reader *reader, int error, const char *why)
{
	reader->head->why = why;
	reader->error = error;
	return NULL;
}

static const uint8_t *
malformed(struct reader *reader, const char *why)
{
	return fail(reader, -EBADMSG, why);
}

static inline const uint8_t *
want_more(struct reader *reader)
{
	reader->error = 0;
	return NULL;
}

static inline struct torc_slice
slice(const uint8_t *from, const uint8_t *to)
{
	return (struct torc_slice) { from, (size_t)(to - from) };
}

/* A macro for each size, so that constants are not passed over the stack. */
static inline uint16_t
load_2(const void *at)
{
	uint16_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

static inline uint32_t
load_4(const void *at)
{
	uint32_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

static inline uint64_t
load_8(const void *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

#define LOWER 0x2020202020202020

static inline uint64_t
differ_4(const uint8_t *data, const char *text)
{
	return (load_4(data) | (uint32_t)LOWER) ^
	    (load_4(text) | (uint32_t)LOWER);
}

static inline uint64_t
differ_8(const uint8_t *data, const char *text)
{
	return (load_8(data) | LOWER) ^ (load_8(text) | LOWER);
}

/*
 * Whether a token is `text`, in any case. The text is a constant of 4 to 24
 * lower case letters, digits and '-'. (Setting bit 5 makes no other character
 * of a token one of these.)
 */
static inline __attribute__((always_inline)) bool
matches(const uint8_t *data, const char *text, size_t size)
{
	uint64_t different = 0;

	if (size < 8)
		return (differ_4(data, text) |
		    differ_4(data + size - 4, text + size - 4)) == 0;
	for (size_t at = 0; at + 8 <= size; at += 8)
		different |= differ_8(data + at, text + at);
	return (different |
	    differ_8(data + size - 8, text + size - 8)) == 0;
}

/* ---- What fields mean: false if they cannot mean that ---- */

static bool
read_length(struct reader *reader, struct torc_slice value)
{
	uint64_t length = 0;

	if (reader->seen & SEEN_LENGTH)
		return malformed(reader, "more than one Content-Length");
	reader->seen |= SEEN_LENGTH;
	if (value.size == 0 || value.size > LENGTH_DIGITS)
		return malformed(reader, "a Content-Length that is not a "
		    "number");
	for (size_t i = 0; i < value.size; i++) {
		unsigned digit = value.data[i] - (unsigned)'0';

		if (digit > 9)
			return malformed(reader,
			    "a Content-Length that is not a number");
		length = length * 10 + digit;
	}
	reader->head->length = length;
	reader->head->has_length = true;
	return true;
}

static bool
read_coding(struct reader *reader, struct torc_slice value)
{
	if (reader->seen & SEEN_CODING)
		return malformed(reader, "more than one Transfer-Encoding");
	reader->seen |= SEEN_CODING;
	if (value.size != 7 || !matches(value.data, "chunked", 7))
		return fail(reader, -EOPNOTSUPP,
		    "a Transfer-Encoding that is not chunked");
	return true;
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

static bool
read_host(struct reader *reader, struct torc_slice value)
{
	const uint8_t *end = value.data + value.size;
	const uint8_t *at = find_not_host(value.data, end);

	if (reader->seen & SEEN_HOST)
		return malformed(reader, "more than one Host");
	reader->seen |= SEEN_HOST;
	if (at != end && skip_authority(at, end) != end)
		return malformed(reader, "an invalid Host");
	if (reader->head->host.data == NULL)
		reader->head->host = value;
	return true;
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
static bool
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
	return true;
}

/* ---- Lines ---- */

static __attribute__((noinline)) const uint8_t *
refuse_end_of_line(struct reader *reader, const uint8_t *at)
{
	if (at == reader->end)
		return want_more(reader);
	if (*at != '\r')
		return malformed(reader, *at == '\n' ? "LF without CR" :
		    "a control character in a line");
	if (reader->end - at < 2)
		return want_more(reader);
	return malformed(reader, "CR without LF");
}

/* Handle a byte that text cannot contain: CR LF, or an error. */
static inline const uint8_t *
read_end_of_line(struct reader *reader, const uint8_t *at)
{
	if (reader->end - at < 2 || load_2(at) != load_2("\r\n"))
		return refuse_end_of_line(reader, at);
	return at + 2;
}

/*
 * Find the end of a token, which is usually plain, and usually before `next`.
 */
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

static __attribute__((noinline)) const uint8_t *
refuse_name(struct reader *reader, const uint8_t *start, const uint8_t *at)
{
	const bool white = *at == ' ' || *at == '\t';

	if (at == start)
		return malformed(reader, white ?
		    "a line that continues another" :
		    "a field without a name");
	return malformed(reader, white ? "white space in or after a name" :
	    "a character that is not allowed in a name");
}

/* Read a name, including its colon. */
static inline const uint8_t *
read_name(struct reader *reader, const uint8_t *start,
    struct torc_slice *name)
{
	const uint8_t *at = skip_token(start, reader->end, ':');

	if (at == reader->end)
		return want_more(reader);
	if (at == start || *at != ':')
		return refuse_name(reader, start, at);
	*name = slice(start, at);
	return at + 1;
}

/*
 * Read a value, including the end of its line, without white space around it.
 */
static inline const uint8_t *
read_text(struct reader *reader, const uint8_t *at, struct torc_slice *text)
{
	const uint8_t *stop;
	const uint8_t *next;

	while (at < reader->end && (*at == ' ' || *at == '\t'))
		at++;
	stop = find_control(at, reader->end);
	next = read_end_of_line(reader, stop);
	if (next == NULL)
		return NULL;
	while (stop > at && (stop[-1] == ' ' || stop[-1] == '\t'))
		stop--;
	*text = slice(at, stop);
	return next;
}

/* Read all fields, including the empty line. */
static const uint8_t *
read_fields(struct reader *reader, const uint8_t *at)
{
	struct torc_http_field *const fields = reader->head->fields;
	struct torc_http_field *const most = fields + reader->fields_max;
	struct torc_http_field *field = fields;

	for (; at < reader->end; field++) {
		if (*at == '\r') {
			reader->head->field_count =
			    (unsigned)(field - fields);
			return read_end_of_line(reader, at);
		}
		if (field == most)
			return fail(reader, -E2BIG,
			    "more fields than fields_max");
		at = read_name(reader, at, &field->name);
		if (at != NULL)
			at = read_text(reader, at, &field->value);
		if (at == NULL)
			return NULL;
		if (reader->framed && !read_meaning(reader, field))
			return NULL;
	}
	return want_more(reader);
}

static inline bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Any version but HTTP/1.1. */
static __attribute__((noinline)) const uint8_t *
read_odd_version(struct reader *reader, const uint8_t *at)
{
	if (reader->end - at < VERSION_SIZE)
		return want_more(reader);
	if (memcmp(at, "HTTP/", 5) != 0)
		return malformed(reader, "not HTTP");
	if (!is_digit(at[5]) || at[6] != '.' || !is_digit(at[7]))
		return malformed(reader, "a malformed version");
	if (at[5] != '1')
		return fail(reader, -EPROTONOSUPPORT,
		    "a version other than HTTP/1");
	reader->head->version = at[7] == '0' ? TORC_HTTP_1_0 :
	    TORC_HTTP_1_1;
	return at + VERSION_SIZE;
}

/* The caller checks what follows. */
static inline const uint8_t *
read_version(struct reader *reader, const uint8_t *at)
{
	if (reader->end - at < VERSION_SIZE ||
	    load_8(at) != load_8("HTTP/1.1"))
		return read_odd_version(reader, at);
	reader->head->version = TORC_HTTP_1_1;
	return at + VERSION_SIZE;
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

static __attribute__((noinline)) const uint8_t *
read_any_method(struct reader *reader, const uint8_t *start)
{
	const uint8_t *at = skip_token(start, reader->end, ' ');

	if (at == reader->end)
		return want_more(reader);
	if (at == start || *at != ' ')
		return malformed(reader, "a method that is not a token");
	reader->head->method_name = slice(start, at);
	reader->head->method =
	    torc_http_method_of(reader->head->method_name);
	return at + 1;
}

/*
 * RFC 9112, 2.2: an empty line before a request is ignored, because old clients
 * send one after a body. A peer that sends many is not a client.
 */
static __attribute__((noinline)) const uint8_t *
read_odd_method(struct reader *reader, const uint8_t *at)
{
	for (unsigned i = 0; at < reader->end && *at == '\r'; i++) {
		if (i == EMPTY_LINES)
			return malformed(reader,
			    "many empty lines before a request");
		at = read_end_of_line(reader, at);
		if (at == NULL)
			return NULL;
	}
	return read_any_method(reader, at);
}

/* Read a part of the request line, including the space after it. */
static inline const uint8_t *
read_method(struct reader *reader, const uint8_t *at)
{
	if (reader->end - at < 4 || load_4(at) != load_4("GET "))
		return read_odd_method(reader, at);
	reader->head->method_name = slice(at, at + 3);
	reader->head->method = TORC_HTTP_GET;
	return at + 4;
}

/* SCHEME :// AUTHORITY, before a path, a query, or nothing. */
static bool
read_absolute_target(struct reader *reader)
{
	const struct torc_slice target = reader->head->target;
	const uint8_t *at = target.data;
	const uint8_t *end = at + target.size;
	const uint8_t *authority;

	while (at < end && (is_plain(*at) || *at == '+' || *at == '.'))
		at++;
	if (at == target.data || end - at < 4 || memcmp(at, "://", 3) != 0)
		return malformed(reader, "a target of an unknown form");
	at += 3;
	authority = at;
	at = skip_authority(at, end);
	if (at == authority || (at < end && *at != '/' && *at != '?'))
		return malformed(reader, "a target without a host");
	reader->head->host = slice(authority, at);
	return true;
}

/* RFC 9112, 3.2: a path, a host and a port, an asterisk, or all of a URI. */
static bool
check_target(struct reader *reader)
{
	const struct torc_slice target = reader->head->target;
	const uint8_t *end = target.data + target.size;
	const enum torc_http_method method = reader->head->method;

	if (method == TORC_HTTP_CONNECT)
		return (skip_authority(target.data, end) == end &&
		    memchr(target.data, ':', target.size) != NULL) ||
		    malformed(reader, "CONNECT without a host and a port");
	if (target.data[0] == '/')
		return true;
	if (target.size == 1 && target.data[0] == '*')
		return method == TORC_HTTP_OPTIONS ||
		    malformed(reader, "a target that is for OPTIONS only");
	return read_absolute_target(reader);
}

/* Read a part of the request line, including the space after it. */
static inline const uint8_t *
read_target(struct reader *reader, const uint8_t *start, uint32_t target_max)
{
	const uint8_t *at = find_no_target(start, reader->end);

	if ((size_t)(at - start) > target_max)
		return fail(reader, -ENAMETOOLONG,
		    "a target longer than target_max");
	if (at == reader->end)
		return want_more(reader);
	if (at == start || *at != ' ')
		return malformed(reader, *at == '#' ?
		    "a target with a fragment" : "a target with an invalid "
		    "character, or nothing after it");
	reader->head->target = slice(start, at);
	return at + 1;
}

static inline const uint8_t *
read_request_line(struct reader *reader, const uint8_t *at,
    uint32_t target_max)
{
	at = read_method(reader, at);
	if (at != NULL)
		at = read_target(reader, at, target_max);
	if (at != NULL)
		at = read_version(reader, at);
	if (at == NULL || !check_target(reader))
		return NULL;
	if (at < reader->end && *at != '\r' && *at != '\n')
		return malformed(reader, "something after the version in a "
		    "line");
	return read_end_of_line(reader, at);
}

/* All fields are read: can the message be framed by them? */
static bool
check_framing(struct reader *reader)
{
	if (!(reader->seen & SEEN_CODING))
		return true;
	if (reader->seen & SEEN_LENGTH)
		return malformed(reader,
		    "Content-Length and Transfer-Encoding at once");
	return reader->head->version > TORC_HTTP_1_0 ||
	    malformed(reader, "Transfer-Encoding in HTTP/1.0");
}

static inline bool
frame_request(struct reader *reader)
{
	struct torc_http_head *head = reader->head;
	const unsigned seen = reader->seen;

	if (head->version > TORC_HTTP_1_0 && !(seen & SEEN_HOST))
		return malformed(reader, "no Host");
	if (!check_framing(reader))
		return false;
	head->keep_alive = !(seen & SEEN_CLOSE) &&
	    (head->version > TORC_HTTP_1_0 || seen & SEEN_KEEP);
	head->expects_continue = head->version > TORC_HTTP_1_0 &&
	    seen & SEEN_EXPECT;
	if (seen & SEEN_CODING)
		head->body = TORC_HTTP_CHUNKED;
	else if (head->length > 0)
		head->body = TORC_HTTP_SIZED;
	if (head->method != TORC_HTTP_CONNECT)
		return true;
	if (head->body != TORC_HTTP_NONE)
		return malformed(reader, "CONNECT with a body");
	head->body = TORC_HTTP_TUNNEL;
	return true;
}

/* ---- Responses ---- */

static const uint8_t *
read_status(struct reader *reader, const uint8_t *at)
{
	unsigned status = 0;

	for (unsigned i = 0; i < 4; i++, at++) {
		if (at == reader->end)
			return want_more(reader);
		if (i == 0 && *at != ' ')
			return malformed(reader, "no status");
		if (i > 0 && !is_digit(*at))
			return malformed(reader, "a status that is not a "
			    "number");
		if (i > 0)
			status = status * 10 + (unsigned)(*at - '0');
	}
	if (status < 100 || status > 599)
		return malformed(reader, "a status outside of 100 to 599");
	reader->head->status = status;
	return at;
}

static const uint8_t *
read_status_line(struct reader *reader, const uint8_t *at)
{
	at = read_version(reader, at);
	if (at != NULL)
		at = read_status(reader, at);
	if (at == NULL)
		return NULL;
	/* Some servers omit the space before an empty reason. */
	if (at < reader->end && *at != ' ' && *at != '\r' && *at != '\n')
		return malformed(reader, "a status that is not a number");
	return read_text(reader, at, &reader->head->reason);
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

static bool
frame_response(struct reader *reader, enum torc_http_method method)
{
	struct torc_http_head *head = reader->head;
	const unsigned seen = reader->seen;

	if (!check_framing(reader))
		return false;
	head->body = body_of_response(reader, method);
	head->keep_alive = !(seen & SEEN_CLOSE) &&
	    (head->version > TORC_HTTP_1_0 || seen & SEEN_KEEP) &&
	    head->body != TORC_HTTP_TO_END && head->body != TORC_HTTP_TUNNEL;
	return true;
}

/* ---- All of them ---- */

enum kind { REQUEST, RESPONSE, TRAILER };

static inline const uint8_t *
read_head(struct reader *reader, const uint8_t *at, enum kind kind,
    const struct torc_http_limits *limits, enum torc_http_method method)
{
	if (kind == REQUEST)
		at = read_request_line(reader, at, limits->target_max);
	else if (kind == RESPONSE)
		at = read_status_line(reader, at);
	if (at != NULL)
		at = read_fields(reader, at);
	if (at == NULL || (kind == REQUEST && !frame_request(reader)) ||
	    (kind == RESPONSE && !frame_response(reader, method)))
		return NULL;
	return at;
}

static int
read_bytes(struct torc_http_head *head, const uint8_t *data, size_t size,
    const struct torc_http_limits *limits, enum kind kind,
    enum torc_http_method method)
{
	const bool all = size < limits->head_max;
	struct reader reader = {
		.head = head,
		.end = data + (all ? size : limits->head_max),
		.fields_max = limits->fields_max,
		.framed = kind != TRAILER,
		.request = kind == REQUEST,
	};
	const uint8_t *at = read_head(&reader, data, kind, limits, method);

	if (at != NULL)
		return (int)(at - data);
	if (reader.error == 0 && !all)
		fail(&reader, -EMSGSIZE, kind == TRAILER ?
		    "a trailer longer than head_max" :
		    "a head longer than head_max");
	return reader.error;
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
static __attribute__((noinline)) int
read_few(struct torc_http_head *head, const uint8_t *data, size_t size,
    const struct torc_http_limits *limits, enum kind kind,
    enum torc_http_method method)
{
	uint8_t few[2 * SCAN_BLOCK] = { 0 };
	const uint8_t *copy = few + SCAN_BLOCK;
	int rc;

	if (size > 0)
		memcpy(few + SCAN_BLOCK, data, size);
	rc = read_bytes(head, copy, size, limits, kind, method);
	/* The fields of a trailer are stored in a head whose other slices point
	 * to other bytes. */
	if (kind == TRAILER)
		move_fields(head, copy, data);
	else
		torc_http_rebase(head, copy, data);
	return rc;
}

static inline int
read_any(struct torc_http_head *head, const uint8_t *data, size_t size,
    const struct torc_http_limits *limits, enum kind kind,
    enum torc_http_method method)
{
	head->field_count = 0;
	if (limits->head_max < SCAN_BLOCK) {
		head->why = "head_max is too small for any head";
		return -EMSGSIZE;
	}
	return (size < SCAN_BLOCK ? read_few : read_bytes)(head, data, size,
	    limits, kind, method);
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
	return text != NULL && slice.size == strlen(text) &&
	    same(slice.data, (const uint8_t *)text, slice.size);
}

const struct torc_slice *
torc_http_find(const struct torc_http_head *head, const char *name)
{
	for (unsigned i = 0; head != NULL && i < head->field_count; i++) {
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
	return (struct torc_slice) {
		(const uint8_t *)text, text != NULL ? strlen(text) : 0,
	};
}
