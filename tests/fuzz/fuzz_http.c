/* SPDX-License-Identifier: MIT */
/*
 * fuzz_http.c - the codec of HTTP on any bytes. Byte 0 says what they are,
 * bytes 1 and 2 where they are cut. A cut, or the reader by table, may not
 * change what is read; what is read and written again is read as the same;
 * and of what we take, http_parser must see the same framing.
 */
#include <errno.h>
#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/http/torc_http.h"

#define FIELDS 32u
#define BODY_MAX 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int portable_read_request(struct torc_http_head *head, const uint8_t *data,
    size_t size, const struct torc_http_limits *limits);
int portable_read_response(struct torc_http_head *head, const uint8_t *data,
    size_t size, const struct torc_http_limits *limits,
    enum torc_http_method method);

static const struct torc_http_limits limits = { 8192, 1024, FIELDS };

struct message {
	struct torc_http_field fields[FIELDS];
	struct torc_http_head head;
	int rc;
};

static void
require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_http: %s\n", what);
	abort();
}

static void
read_message(struct message *message, bool response, bool portable,
    const uint8_t *data, size_t size)
{
	struct torc_http_head *head = &message->head;

	head->fields = message->fields;
	if (response)
		message->rc = (portable ? portable_read_response :
		    torc_http_read_response)(head, data, size, &limits,
		    TORC_HTTP_GET);
	else
		message->rc = (portable ? portable_read_request :
		    torc_http_read_request)(head, data, size, &limits);
}

static bool
same_slice(struct torc_slice a, struct torc_slice b)
{
	return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static void
require_same(const struct message *a, const struct message *b,
    const char *what)
{
	const struct torc_http_head *x = &a->head;
	const struct torc_http_head *y = &b->head;

	require(a->rc == b->rc, what);
	if (a->rc <= 0)
		return;
	require(x->body == y->body && x->length == y->length &&
	    x->keep_alive == y->keep_alive && x->status == y->status &&
	    x->field_count == y->field_count, what);
	for (unsigned i = 0; i < x->field_count; i++)
		require(same_slice(x->fields[i].name, y->fields[i].name) &&
		    same_slice(x->fields[i].value, y->fields[i].value), what);
}

/* ---- A cut, and another reader of ours ---- */

static void
check_cut(const struct message *whole, bool response, const uint8_t *data,
    size_t size, size_t cut)
{
	static struct message first, second;
	/* In memory that ends there. */
	uint8_t *part;

	read_message(&second, response, true, data, size);
	require_same(whole, &second, "tables read otherwise");
	if (cut > size)
		return;
	part = malloc(cut + 1);
	require(part != NULL, "no memory");
	memcpy(part + 1, data, cut);
	read_message(&first, response, false, part + 1, cut);
	free(part);
	require(first.rc == 0 || first.rc == whole->rc,
	    "a part is read otherwise than the whole");
}

/* ---- Written again ---- */

static void
check_written(const struct message *message, bool response)
{
	static uint8_t memory[4 * 8192];
	static struct message again;
	const struct torc_http_head *head = &message->head;
	struct torc_http_writer writer = {
		.data = memory, .size = sizeof(memory),
	};
	char reason[8192];

	if (response) {
		memcpy(reason, head->reason.data, head->reason.size);
		reason[head->reason.size] = '\0';
		torc_http_put_status(&writer, head->status, reason);
	} else {
		torc_http_put_request(&writer, head->method_name,
		    head->target);
	}
	for (unsigned i = 0; i < head->field_count; i++)
		torc_http_put_field(&writer, head->fields[i].name,
		    head->fields[i].value);
	require(torc_http_put_end(&writer) > 0, "what was read is not written");
	/* It is written as HTTP/1.1, in which more is forbidden. */
	if (head->version == TORC_HTTP_1_0 || writer.used > limits.head_max)
		return;
	read_message(&again, response, false, memory, writer.used);
	require(again.rc == (int)writer.used, "what was written is not read");
	again.rc = message->rc;
	require_same(message, &again, "written again, it is read otherwise");
}

/* ---- Bodies ---- */

struct body {
	uint8_t data[BODY_MAX];
	size_t size;
	size_t taken;		/* with the trailer */
	int rc;			/* 1: over, 0: more, or an error */
};

/* `size` bytes, of which the first `cut` came before the others. */
static void
read_body(struct body *body, const uint8_t *data, size_t size, size_t cut)
{
	struct torc_http_chunks chunks = { .state = 0 };
	struct torc_http_field fields[FIELDS];
	struct torc_http_head head = { .fields = fields };
	size_t end = cut < size ? cut : size;

	memset(body, 0, sizeof(*body));
	while (!torc_http_chunks_over(&chunks) && body->taken < size) {
		struct torc_slice piece;
		int rc = torc_http_read_chunks(&chunks, data + body->taken,
		    end - body->taken, &piece);

		if (rc < 0) {
			body->rc = rc;
			return;
		}
		require(piece.size <= BODY_MAX - body->size, "a large body");
		if (piece.size > 0)
			memcpy(body->data + body->size, piece.data,
			    piece.size);
		body->size += piece.size;
		body->taken += (size_t)rc;
		if (body->taken == end)
			end = size;
	}
	if (!torc_http_chunks_over(&chunks))
		return;
	body->rc = torc_http_read_trailer(&head, data + body->taken,
	    size - body->taken, &limits);
	if (body->rc > 0) {
		body->taken += (size_t)body->rc;
		body->rc = 1;
	}
}

static void
check_body(struct body *whole, const uint8_t *data, size_t size, size_t cut)
{
	static struct body parts;

	read_body(whole, data, size, size);
	read_body(&parts, data, size, cut);
	require(whole->rc == parts.rc && whole->size == parts.size &&
	    memcmp(whole->data, parts.data, parts.size) == 0,
	    "a body in parts is read otherwise");
	if (whole->rc > 0)
		require(whole->taken == parts.taken,
		    "a body in parts ends elsewhere");
}

/* ---- Somebody else's reader ---- */

struct view {
	size_t body_size;
	bool complete;
	uint8_t body[BODY_MAX];
};

/* That these have no body is left to those who call it. */
static int
on_head(http_parser *parser)
{
	const unsigned status = parser->status_code;

	return parser->type == HTTP_RESPONSE &&
	    (status < 200 || status == 204 || status == 304);
}

static int
on_body(http_parser *parser, const char *at, size_t size)
{
	struct view *view = parser->data;

	memcpy(view->body + view->body_size, at, size);
	view->body_size += size;
	return 0;
}

static int
on_complete(http_parser *parser)
{
	struct view *view = parser->data;

	view->complete = true;
	http_parser_pause(parser, 1);
	return 0;
}

/* It takes "Transfer-Encoding-X" for half a Transfer-Encoding. */
static bool
has_misleading_name(const struct torc_http_head *head)
{
	static const char name[] = "Transfer-Encoding";
	const size_t size = sizeof(name) - 1;

	for (unsigned i = 0; i < head->field_count; i++) {
		const struct torc_slice start = {
			head->fields[i].name.data, size,
		};

		if (head->fields[i].name.size > size &&
		    torc_http_equals(start, name))
			return true;
	}
	return false;
}

/* It knows no tabs around a length or a coding. */
static bool
has_tab_by(const struct torc_http_head *head, const char *field)
{
	for (unsigned i = 0; i < head->field_count; i++) {
		const struct torc_slice name = head->fields[i].name;
		const uint8_t *at = name.data + name.size;

		if (!torc_http_equals(name, field))
			continue;
		while (*at != '\r' && *at != '\t')
			at++;
		if (*at == '\t')
			return true;
	}
	return false;
}

/* It knows fewer methods and schemes than there are, and has its faults. */
static bool
is_narrower(enum http_errno error, const struct torc_http_head *head,
    const uint8_t *parsed, bool in_trailer)
{
	switch (error) {
	case HPE_INVALID_METHOD:
	case HPE_INVALID_URL:
		return true;
	case HPE_INVALID_CONTENT_LENGTH:
		return in_trailer || has_tab_by(head, "Content-Length");
	case HPE_UNEXPECTED_CONTENT_LENGTH:
	case HPE_INVALID_TRANSFER_ENCODING:
		/* To us, a trailer frames nothing. */
		return in_trailer;
	case HPE_INVALID_CHUNK_SIZE:
		/* A tab before an extension. */
		return *parsed == '\t';
	default:
		return false;
	}
}

/* What we take as one message is one message, with the same body. */
static void
compare(const struct message *message, bool response, const uint8_t *data,
    size_t size, const struct body *body)
{
	static struct view view;
	const http_parser_settings settings = {
		.on_headers_complete = on_head, .on_body = on_body,
		.on_message_complete = on_complete,
	};
	const struct torc_http_head *head = &message->head;
	size_t end = (size_t)message->rc + body->taken;
	http_parser parser;
	enum http_errno error;
	size_t parsed;

	memset(&view, 0, offsetof(struct view, body));
	http_parser_init(&parser, response ? HTTP_RESPONSE : HTTP_REQUEST);
	parser.data = &view;
	parsed = http_parser_execute(&parser, &settings, (const char *)data,
	    size);
	error = HTTP_PARSER_ERRNO(&parser);
	if (is_narrower(error, head, data + parsed, parsed > head->size) ||
	    parser.upgrade ||
	    has_misleading_name(head) ||
	    has_tab_by(head, "Transfer-Encoding") ||
	    head->body == TORC_HTTP_TUNNEL)
		return;
	require(error == HPE_OK || error == HPE_PAUSED,
	    "http_parser refuses what we take");
	if (head->body == TORC_HTTP_TO_END) {
		require(!view.complete, "http_parser sees an end");
		return;
	}
	require(view.complete, "http_parser does not see the end");
	/* The byte of the end is counted with it or not. */
	require(parsed == end || parsed + 1 == end,
	    "http_parser sees the end elsewhere");
	require(view.body_size == body->size &&
	    memcmp(view.body, body->data, body->size) == 0,
	    "http_parser sees another body");
}

static void
check_message(bool response, const uint8_t *data, size_t size, size_t cut)
{
	static struct message whole;
	static struct body body;
	const uint8_t *rest;
	size_t left;

	read_message(&whole, response, false, data, size);
	check_cut(&whole, response, data, size, cut);
	if (whole.rc <= 0)
		return;
	check_written(&whole, response);
	rest = data + whole.rc;
	left = size - (size_t)whole.rc;
	memset(&body, 0, sizeof(body));
	if (whole.head.body == TORC_HTTP_CHUNKED) {
		check_body(&body, rest, left, cut);
		if (body.rc <= 0)
			return;
	} else if (whole.head.body == TORC_HTTP_SIZED) {
		if (whole.head.length > left)
			return;
		body.size = body.taken = (size_t)whole.head.length;
		memcpy(body.data, rest, body.size);
	}
	compare(&whole, response, data, size, &body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct body body;
	size_t cut;

	if (size < 3 || size > BODY_MAX)
		return 0;
	cut = (size_t)data[1] << 8 | data[2];
	if (data[0] % 3 == 2)
		check_body(&body, data + 3, size - 3, cut);
	else
		check_message(data[0] % 3 == 1, data + 3, size - 3, cut);
	return 0;
}
