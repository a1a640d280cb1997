/* SPDX-License-Identifier: MIT */
/*
 * test_http_codec.c - HTTP/1.1 as plain functions: what is read, what is
 * refused and why, that no cut of the bytes changes either, and that nothing
 * is written which would be read otherwise than it was meant.
 */
#include "tests/harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "conn/http/torc_http.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LINE "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define OK "HTTP/1.1 200 OK\r\n"
#define EMPTY "\r\n\r\n"
#define FIELDS 16u
#define PAGE 4096u

int portable_read_request(struct torc_http_head *head, const uint8_t *data,
    size_t size, const struct torc_http_limits *limits);
int portable_read_response(struct torc_http_head *head, const uint8_t *data,
    size_t size, const struct torc_http_limits *limits,
    enum torc_http_method method);
int portable_read_trailer(struct torc_http_head *head, const uint8_t *data,
    size_t size, const struct torc_http_limits *limits);

static const struct torc_http_limits limits = {
	.head_max = 4096, .target_max = 256, .fields_max = FIELDS,
};

enum kind { REQUEST, RESPONSE, TRAILER };

struct reading {
	struct torc_http_head head;
	struct torc_http_field fields[FIELDS + 1];
	const uint8_t *data;	/* that the slices view */
	int rc;
};

/* ---- Reading with care ---- */

/* A page between two that cannot be read. */
static uint8_t *page;

static int
map_page(void **state)
{
	uint8_t *pages = mmap(NULL, 3 * PAGE, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	if (pages == MAP_FAILED ||
	    mprotect(pages + PAGE, PAGE, PROT_READ | PROT_WRITE) < 0)
		return -1;
	page = pages + PAGE;
	return 0;
}

static int
unmap_page(void **state)
{
	(void)state;
	return munmap(page - PAGE, 3 * PAGE);
}

static void
read_at(enum kind kind, bool portable, const uint8_t *data, size_t size,
    enum torc_http_method method, struct reading *reading)
{
	struct torc_http_head *head = &reading->head;

	memset(reading, 0, sizeof(*reading));
	head->fields = reading->fields;
	reading->data = data;
	if (kind == REQUEST)
		reading->rc = (portable ? portable_read_request :
		    torc_http_read_request)(head, data, size, &limits);
	else if (kind == RESPONSE)
		reading->rc = (portable ? portable_read_response :
		    torc_http_read_response)(head, data, size, &limits,
		    method);
	else
		reading->rc = (portable ? portable_read_trailer :
		    torc_http_read_trailer)(head, data, size, &limits);
}

static void
assert_same_slice(const struct reading *a, struct torc_slice x,
    const struct reading *b, struct torc_slice y)
{
	assert_int_equal(x.size, y.size);
	if (x.size > 0)
		assert_true(x.data - a->data == y.data - b->data);
}

static void
assert_same(const struct reading *a, const struct reading *b)
{
	const struct torc_http_head *x = &a->head;
	const struct torc_http_head *y = &b->head;

	assert_int_equal(a->rc, b->rc);
	if (a->rc <= 0) {
		if (a->rc < 0)
			assert_string_equal(x->why, y->why);
		return;
	}
	assert_int_equal(x->size, y->size);
	assert_int_equal(x->body, y->body);
	assert_true(x->length == y->length);
	assert_int_equal(x->keep_alive, y->keep_alive);
	assert_int_equal(x->status, y->status);
	assert_int_equal(x->method, y->method);
	assert_same_slice(a, x->target, b, y->target);
	assert_same_slice(a, x->host, b, y->host);
	assert_same_slice(a, x->reason, b, y->reason);
	assert_int_equal(x->field_count, y->field_count);
	for (unsigned i = 0; i < x->field_count; i++) {
		assert_same_slice(a, x->fields[i].name, b, y->fields[i].name);
		assert_same_slice(a, x->fields[i].value, b,
		    y->fields[i].value);
	}
}

static void
assert_within(const struct reading *reading, struct torc_slice slice,
    size_t size)
{
	assert_true(slice.data == NULL || (slice.data >= reading->data &&
	    slice.data + slice.size <= reading->data + size));
}

/*
 * Read bytes right before memory that cannot be read, and right behind such,
 * with vectors and without: all are to give the same.
 */
static void
take(enum kind kind, const void *bytes, size_t size,
    enum torc_http_method method, struct reading *reading)
{
	static struct reading other;
	uint8_t *end = page + PAGE - size;

	assert_true(size <= PAGE);
	memmove(page, bytes, size);
	read_at(kind, false, page, size, method, &other);
	memmove(end, page, size);
	read_at(kind, false, end, size, method, reading);
	assert_int_equal(reading->rc, other.rc);
	read_at(kind, true, end, size, method, &other);
	assert_same(reading, &other);
	/* Also of what is refused, or not whole. */
	assert_within(reading, reading->head.method_name, size);
	assert_within(reading, reading->head.target, size);
	assert_within(reading, reading->head.host, size);
	assert_within(reading, reading->head.reason, size);
	for (unsigned i = 0; i < reading->head.field_count; i++) {
		assert_within(reading, reading->fields[i].name, size);
		assert_within(reading, reading->fields[i].value, size);
	}
}

static int
result_of(enum kind kind, const char *text)
{
	static struct reading reading;

	take(kind, text, strlen(text), TORC_HTTP_GET, &reading);
	return reading.rc;
}

static bool
is(struct torc_slice slice, const char *text)
{
	return slice.size == strlen(text) && (slice.size == 0 ||
	    memcmp(slice.data, text, slice.size) == 0);
}

/* ---- Requests ---- */

struct request {
	const char *text;
	enum torc_http_method method;
	enum torc_http_body body;
	bool keep_alive;
	uint64_t length;
	const char *host;
};

#define GET TORC_HTTP_GET
#define NONE TORC_HTTP_NONE

static const struct request requests[] = {
	{ LINE HOST "\r\n", GET, NONE, true, 0, "a" },
	{ "G / HTTP/1.0\r\n\r\n", TORC_HTTP_OTHER, NONE, false, 0, "" },
	{ "GET / HTTP/1.0\r\nX: 1\r\n\r\n", GET, NONE, false, 0, "" },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", GET, NONE, true,
	    0, "" },
	{ "GET http://a.b:80/c?d HTTP/1.1\r\nHost: e\r\n\r\n", GET, NONE,
	    true, 0, "a.b:80" },
	{ "GET http://a HTTP/1.1\r\n" HOST "\r\n", GET, NONE, true, 0, "a" },
	{ "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", TORC_HTTP_OPTIONS, NONE, true,
	    0, "a" },
	{ "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", TORC_HTTP_CONNECT,
	    TORC_HTTP_TUNNEL, true, 0, "a:443" },
	{ "GET /%01?;=&~ HTTP/1.1\r\n" HOST "\r\n", GET, NONE, true, 0, "a" },
	{ "M-SEARCH!#$%&'*+.^_`|~09 / HTTP/1.1\r\n" HOST "\r\n",
	    TORC_HTTP_OTHER, NONE, true, 0, "a" },
	{ "HEAD / HTTP/1.1\r\n" HOST "\r\n", TORC_HTTP_HEAD, NONE, true, 0,
	    "a" },
	{ "get / HTTP/1.1\r\n" HOST "\r\n", TORC_HTTP_OTHER, NONE, true, 0,
	    "a" },
	{ LINE HOST "Connection: close\r\n\r\n", GET, NONE, false, 0, "a" },
	{ LINE "cOnNeCtIoN:\tx, CLOSE \t\r\nHOST:a\r\n\r\n", GET, NONE, false,
	    0, "a" },
	{ LINE HOST "Connection: upgrade\r\n\r\n", GET, NONE, true, 0, "a" },
	{ LINE HOST "Connection: closed, xclose\r\n\r\n", GET, NONE, true, 0,
	    "a" },
	{ LINE HOST "Content-Length: 0\r\n\r\n", GET, NONE, true, 0, "a" },
	{ LINE HOST "content-length:\t 007 \r\n\r\n", GET, TORC_HTTP_SIZED,
	    true, 7, "a" },
	{ LINE HOST "Content-Length: 999999999999999999\r\n\r\n", GET,
	    TORC_HTTP_SIZED, true, 999999999999999999, "a" },
	{ "PUT / HTTP/1.1\r\n" HOST "transfer-encoding:CHUNKED \r\n\r\n",
	    TORC_HTTP_PUT, TORC_HTTP_CHUNKED, true, 0, "a" },
	{ LINE "Host:\r\n\r\n", GET, NONE, true, 0, "" },
	{ LINE "Host: [::1]:8080\r\n\r\n", GET, NONE, true, 0, "[::1]:8080" },
	{ LINE HOST "X:\r\n\r\n", GET, NONE, true, 0, "a" },
	{ LINE HOST "X: a\tb : c\r\n\r\n", GET, NONE, true, 0, "a" },
	{ LINE HOST "X: \x80\xff\r\n\r\n", GET, NONE, true, 0, "a" },
	{ LINE HOST "Content-Length-X: 1\r\nX-Host: b\r\nTE: gzip\r\n\r\n",
	    GET, NONE, true, 0, "a" },
	{ "GET / HTTP/1.7\r\n" HOST "\r\n", GET, NONE, true, 0, "a" },
	{ LINE HOST "A-name-of-more-than-sixteen!: and a value of as many\r\n"
	    "\r\n", GET, NONE, true, 0, "a" },
	/* Empty lines of clients that end a body with one. */
	{ "\r\n" LINE HOST "\r\n", GET, NONE, true, 0, "a" },
	{ EMPTY EMPTY LINE HOST "\r\n", GET, NONE, true, 0, "a" },
	{ "\r\nG / HTTP/1.0\r\n\r\n", TORC_HTTP_OTHER, NONE, false, 0, "" },
};

static void
assert_read_as(const struct request *want, const struct reading *got)
{
	const struct torc_http_head *head = &got->head;

	if (got->rc != (int)strlen(want->text) ||
	    head->size != strlen(want->text) ||
	    head->method != want->method || head->body != want->body ||
	    head->keep_alive != want->keep_alive ||
	    head->length != want->length || !is(head->host, want->host))
		fail_msg("%d (%s) for %s", got->rc, head->why, want->text);
}

/* Each is the control of the refusals below. */
static void
well_formed_requests_are_read_and_measured_exactly(void **state)
{
	static struct reading reading;

	(void)state;
	for (size_t i = 0; i < COUNT(requests); i++) {
		take(REQUEST, requests[i].text, strlen(requests[i].text),
		    TORC_HTTP_GET, &reading);
		assert_read_as(&requests[i], &reading);
	}
}

static void
a_request_that_is_cut_anywhere_asks_for_more(void **state)
{
	static struct reading reading;
	unsigned cuts = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(requests); i++) {
		const size_t size = strlen(requests[i].text);

		for (size_t cut = 0; cut < size; cut++, cuts++) {
			take(REQUEST, requests[i].text, cut, TORC_HTTP_GET,
			    &reading);
			if (reading.rc != 0)
				fail_msg("%d for %zu bytes of %s", reading.rc,
				    cut, requests[i].text);
		}
	}
	assert_true(cuts > 1000);
}

/* What comes behind a head is the next one's, whatever it is. */
static void
what_follows_a_head_does_not_change_it(void **state)
{
	static const char *const behind[] = {
		"\n", "\r\n", "x", LINE HOST "\r\n", "\n\n\n", " : \r\n",
		"Content-Length: 1\r\n\r\n",
	};
	static struct reading reading;
	char both[512];

	(void)state;
	for (size_t i = 0; i < COUNT(requests); i++) {
		for (size_t j = 0; j < COUNT(behind); j++) {
			int size = snprintf(both, sizeof(both), "%s%s",
			    requests[i].text, behind[j]);

			take(REQUEST, both, (size_t)size, TORC_HTTP_GET,
			    &reading);
			assert_read_as(&requests[i], &reading);
		}
	}
}

static void
slices_of_a_request_are_its_parts(void **state)
{
	static const char text[] = "POST /a/b?c HTTP/1.1\r\nHost: a\r\n"
	    "X-Long-Name-Of-A-Field: \t value with spaces \t\r\nEmpty:\r\n"
	    "Expect: 100-Continue\r\nConnection: TE, Upgrade\r\n"
	    "Content-Length: 3\r\n\r\n";
	static struct reading reading;
	const struct torc_http_head *head = &reading.head;

	(void)state;
	take(REQUEST, text, sizeof(text) - 1, TORC_HTTP_GET, &reading);
	assert_int_equal(reading.rc, sizeof(text) - 1);
	assert_true(is(head->method_name, "POST"));
	assert_true(is(head->target, "/a/b?c"));
	assert_int_equal(head->field_count, 6);
	assert_true(is(head->fields[1].name, "X-Long-Name-Of-A-Field"));
	assert_true(is(head->fields[1].value, "value with spaces"));
	assert_true(is(*torc_http_find(head, "empty"), ""));
	assert_null(torc_http_find(head, "empt"));
	assert_true(is(*torc_http_find(head, "CONTENT-length"), "3"));
	assert_true(head->expects_continue);
	assert_true(head->upgrade);
	assert_true(head->has_length);
	assert_int_equal(head->version, TORC_HTTP_1_1);
}

/* What comes after 1.0 within HTTP/1 is 1.1 for us (RFC 9110, 2.5). */
static void
a_head_tells_its_version(void **state)
{
	static const struct {
		const char *text;
		unsigned version;
	} heads[] = {
		{ "GET / HTTP/1.0\r\n\r\n", TORC_HTTP_1_0 },
		{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", TORC_HTTP_1_1 },
		{ "GET / HTTP/1.7\r\nHost: a\r\n\r\n", TORC_HTTP_1_1 },
	};
	static struct reading reading;

	(void)state;
	for (size_t i = 0; i < COUNT(heads); i++) {
		take(REQUEST, heads[i].text, strlen(heads[i].text),
		    TORC_HTTP_GET, &reading);
		assert_int_equal(reading.head.version, heads[i].version);
	}
	take(RESPONSE, "HTTP/1.0 200 OK\r\n\r\n", 19, TORC_HTTP_GET,
	    &reading);
	assert_int_equal(reading.head.version, TORC_HTTP_1_0);
}

/* The words of what is refused tell which rule it was. */
struct refusal {
	const char *text;
	int error;
	const char *why;	/* a part of it */
};

#define CL "Content-Length"
#define TE "Transfer-Encoding"

static const struct refusal bad_requests[] = {
	/* Two readers could see two different bodies. */
	{ LINE HOST CL ": 5\r\n" TE ": chunked\r\n\r\n", -EBADMSG, "at once" },
	{ LINE HOST TE ": chunked\r\n" CL ": 5\r\n\r\n", -EBADMSG, "at once" },
	{ LINE HOST CL ": 5\r\n" CL ": 6\r\n\r\n", -EBADMSG, "more than one" },
	{ LINE HOST CL ": 5\r\ncontent-length: 5\r\n\r\n", -EBADMSG,
	    "more than one" },
	{ LINE HOST CL ": 5, 5\r\n\r\n", -EBADMSG, "not a number" },
	{ LINE HOST CL ": +5\r\n\r\n", -EBADMSG, "not a number" },
	{ LINE HOST CL ": -5\r\n\r\n", -EBADMSG, "not a number" },
	{ LINE HOST CL ": 0x5\r\n\r\n", -EBADMSG, "not a number" },
	{ LINE HOST CL ": 5 5\r\n\r\n", -EBADMSG, "not a number" },
	{ LINE HOST CL ": 5:\r\n\r\n", -EBADMSG, "not a number" },
	{ LINE HOST CL ": 5/\r\n\r\n", -EBADMSG, "not a number" },
	{ LINE HOST CL ":\r\n\r\n", -EBADMSG, "not a number" },
	{ LINE HOST CL ": 18446744073709551617\r\n\r\n", -EBADMSG,
	    "not a number" },
	{ LINE HOST CL ": 1000000000000000000\r\n\r\n", -EBADMSG,
	    "not a number" },
	{ LINE HOST TE ": chunked\r\n" TE ": chunked\r\n\r\n", -EBADMSG,
	    "more than one" },
	{ LINE HOST TE ": gzip, chunked\r\n\r\n", -EOPNOTSUPP, "not chunked" },
	{ LINE HOST TE ": chunked, identity\r\n\r\n", -EOPNOTSUPP,
	    "not chunked" },
	{ LINE HOST TE ": chunked, chunked\r\n\r\n", -EOPNOTSUPP,
	    "not chunked" },
	{ LINE HOST TE ": xchunked\r\n\r\n", -EOPNOTSUPP, "not chunked" },
	{ LINE HOST TE ": \x0b" "chunked\r\n\r\n", -EBADMSG, "control" },
	{ LINE HOST TE ":\r\n\r\n", -EOPNOTSUPP, "not chunked" },
	{ "GET / HTTP/1.0\r\n" TE ": chunked\r\n\r\n", -EBADMSG, "HTTP/1.0" },
	{ "CONNECT a:1 HTTP/1.1\r\n" HOST CL ": 1\r\n\r\n", -EBADMSG,
	    "CONNECT" },
	/* Whose request is it? */
	{ LINE "\r\n", -EBADMSG, "no Host" },
	{ LINE "X: 1\r\n\r\n", -EBADMSG, "no Host" },
	{ LINE HOST "host: b\r\n\r\n", -EBADMSG, "more than one" },
	{ LINE HOST HOST "\r\n", -EBADMSG, "more than one" },
	{ LINE "Host: a b\r\n\r\n", -EBADMSG, "an invalid Host" },
	{ LINE "Host: a/b\r\n\r\n", -EBADMSG, "an invalid Host" },
	{ LINE "Host: a@b\r\n\r\n", -EBADMSG, "an invalid Host" },
	{ "GET http:///x HTTP/1.1\r\n" HOST "\r\n", -EBADMSG,
	    "without a host" },
	{ "GET http://a@b/ HTTP/1.1\r\n" HOST "\r\n", -EBADMSG,
	    "without a host" },
	/* Ends of lines. */
	{ "GET / HTTP/1.1\n" HOST "\r\n", -EBADMSG, "LF without" },
	{ LINE "Host: a\n\r\n", -EBADMSG, "LF without" },
	{ LINE HOST "\nX: 1\r\n\r\n", -EBADMSG, "without a name" },
	{ LINE HOST "X: 1\n\n", -EBADMSG, "LF without" },
	{ LINE HOST "X: 1\rY: 2\r\n\r\n", -EBADMSG, "CR without" },
	{ LINE HOST "X: 1\r\r\n\r\n", -EBADMSG, "CR without" },
	{ LINE HOST "X: 1\r\n\rX", -EBADMSG, "CR without" },
	{ "\n" LINE HOST "\r\n", -EBADMSG, "method" },
	{ "\r\n\n" LINE HOST "\r\n", -EBADMSG, "method" },
	{ "\r" LINE HOST "\r\n", -EBADMSG, "CR without" },
	{ "\r\n\r" LINE HOST "\r\n", -EBADMSG, "CR without" },
	{ "\r\n " LINE HOST "\r\n", -EBADMSG, "method" },
	{ EMPTY EMPTY "\r\n" LINE HOST "\r\n", -EBADMSG, "many empty" },
	/* Lines that continue others. */
	{ LINE HOST "X: 1\r\n 2\r\n\r\n", -EBADMSG, "continues" },
	{ LINE HOST "X: 1\r\n\t" CL ": 5\r\n\r\n", -EBADMSG, "continues" },
	{ LINE " " HOST "\r\n", -EBADMSG, "continues" },
	/* Names. */
	{ LINE HOST CL " : 5\r\n\r\n", -EBADMSG, "white space" },
	{ LINE HOST CL "\t: 5\r\n\r\n", -EBADMSG, "white space" },
	{ LINE HOST "X Y: 5\r\n\r\n", -EBADMSG, "white space" },
	{ LINE HOST ": 5\r\n\r\n", -EBADMSG, "without a name" },
	{ LINE HOST "X\r\n\r\n", -EBADMSG, "not allowed" },
	{ LINE HOST "X(: 5\r\n\r\n", -EBADMSG, "not allowed" },
	{ LINE HOST "X\x80: 5\r\n\r\n", -EBADMSG, "not allowed" },
	{ LINE HOST "X\x01: 5\r\n\r\n", -EBADMSG, "not allowed" },
	/* Values. */
	{ LINE HOST "X: a\x01z\r\n\r\n", -EBADMSG, "control" },
	{ LINE HOST "X: a\x1fz\r\n\r\n", -EBADMSG, "control" },
	{ LINE HOST "X: a\x7fz\r\n\r\n", -EBADMSG, "control" },
	{ LINE HOST "X: a\x0bz\r\n\r\n", -EBADMSG, "control" },
	/* First lines. */
	{ "GET /\r\n" HOST "\r\n", -EBADMSG, "target" },
	{ "GET HTTP/1.1\r\n" HOST "\r\n", -EBADMSG, "target" },
	{ "GET  / HTTP/1.1\r\n" HOST "\r\n", -EBADMSG, "target" },
	{ "GET /  HTTP/1.1\r\n" HOST "\r\n", -EBADMSG, "not HTTP" },
	{ "GET / HTTP/1.1 \r\n" HOST "\r\n", -EBADMSG, "version in a line" },
	{ "GET\t/\tHTTP/1.1\r\n" HOST "\r\n", -EBADMSG, "method" },
	{ " GET / HTTP/1.1\r\n" HOST "\r\n", -EBADMSG, "method" },
	{ "GET /a b HTTP/1.1\r\n" HOST "\r\n", -EBADMSG, "not HTTP" },
	{ "GET /\x01 HTTP/1.1\r\n" HOST "\r\n", -EBADMSG, "target" },
	{ "GET /\x7f HTTP/1.1\r\n" HOST "\r\n", -EBADMSG, "target" },
	{ "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", -EBADMSG, "target" },
	{ "GET /#x HTTP/1.1\r\n" HOST "\r\n", -EBADMSG, "fragment" },
	{ "GET x HTTP/1.1\r\n" HOST "\r\n", -EBADMSG, "unknown form" },
	{ "GET * HTTP/1.1\r\n" HOST "\r\n", -EBADMSG, "OPTIONS only" },
	{ "CONNECT / HTTP/1.1\r\n" HOST "\r\n", -EBADMSG, "a host and a port" },
	{ "CONNECT a HTTP/1.1\r\n" HOST "\r\n", -EBADMSG, "a host and a port" },
	{ "G(T / HTTP/1.1\r\n" HOST "\r\n", -EBADMSG, "method" },
	{ "G\x80T / HTTP/1.1\r\n" HOST "\r\n", -EBADMSG, "method" },
	{ " / HTTP/1.1\r\n" HOST "\r\n", -EBADMSG, "method" },
	{ "GET / HTTP/1.\r\n" HOST "\r\n", -EBADMSG, "version" },
	{ "GET / HTTP/1.x\r\n" HOST "\r\n", -EBADMSG, "version" },
	{ "GET / HTTP/1.10\r\n" HOST "\r\n", -EBADMSG, "version" },
	{ "GET / http/1.1\r\n" HOST "\r\n", -EBADMSG, "not HTTP" },
	{ "GET / JUNK/1.1\r\n" HOST "\r\n", -EBADMSG, "not HTTP" },
	{ "GET / HTTP/2.0\r\n" HOST "\r\n", -EPROTONOSUPPORT, "version" },
	{ "GET / HTTP/0.9\r\n" HOST "\r\n", -EPROTONOSUPPORT, "version" },
	{ "PRI * HTTP/2.0\r\n\r\n", -EPROTONOSUPPORT, "version" },
};

/* Refused as a whole, and never taken or refused otherwise when it is cut. */
static void
assert_refused(enum kind kind, const struct refusal *bad)
{
	static struct reading reading;
	const size_t size = strlen(bad->text);

	take(kind, bad->text, size, TORC_HTTP_GET, &reading);
	if (reading.rc != bad->error ||
	    strstr(reading.head.why, bad->why) == NULL)
		fail_msg("%d (%s) for %s", reading.rc, reading.head.why,
		    bad->text);
	for (size_t cut = 0; cut < size; cut++) {
		take(kind, bad->text, cut, TORC_HTTP_GET, &reading);
		if (reading.rc != 0 && reading.rc != bad->error)
			fail_msg("%d for %zu bytes of %s", reading.rc, cut,
			    bad->text);
	}
}

static void
what_others_could_read_differently_is_refused_by_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bad_requests); i++)
		assert_refused(REQUEST, &bad_requests[i]);
}

/* A zero ends strings in C, and nothing in HTTP. */
static void
a_zero_byte_is_refused_everywhere_in_a_head(void **state)
{
	static const char text[] = LINE HOST "X: abc\r\n\r\n";
	const size_t size = sizeof(text) - 1;
	static struct reading reading;
	char copy[sizeof(text)];

	(void)state;
	take(REQUEST, text, size, TORC_HTTP_GET, &reading);
	assert_int_equal(reading.rc, size);
	for (size_t at = 0; at < size; at++) {
		memcpy(copy, text, sizeof(text));
		copy[at] = 0;
		take(REQUEST, copy, size, TORC_HTTP_GET, &reading);
		assert_int_equal(reading.rc, -EBADMSG);
	}
}

static bool
has_begun(const char *text)
{
	return torc_http_begun(torc_http_text(text));
}

static void
empty_lines_alone_are_no_request_that_has_begun(void **state)
{
	(void)state;
	assert_false(has_begun(""));
	assert_false(has_begun("\r"));
	assert_false(has_begun("\r\n"));
	assert_false(has_begun(EMPTY "\r"));
	assert_true(has_begun("G"));
	assert_true(has_begun("\r\nG"));
	assert_true(has_begun(EMPTY EMPTY LINE));
}

/* ---- Limits ---- */

/* A request with a target of so many bytes, and so many fields of `pad`. */
static size_t
build(char *text, size_t target, unsigned fields, unsigned pad)
{
	int size = sprintf(text, "GET /%0*d HTTP/1.1\r\n", (int)target - 1, 0);

	for (unsigned i = 0; i < fields; i++)
		size += sprintf(text + size, "%s: %0*d\r\n",
		    i == 0 ? "Host" : "X", (int)pad, 0);
	size += sprintf(text + size, "\r\n");
	return (size_t)size;
}

static int
read_built(size_t target, unsigned fields, unsigned pad, size_t size)
{
	static struct reading reading;
	static char text[2 * PAGE];
	size_t all = build(text, target, fields, pad);

	if (size == 0 || size > all)
		size = all;
	take(REQUEST, text, size, TORC_HTTP_GET, &reading);
	return reading.rc;
}

static void
each_limit_is_refused_with_its_own_error_and_reached_without(void **state)
{
	char text[2 * PAGE];
	const size_t fixed = build(text, 2, 1, 1) - 1;

	(void)state;
	assert_true(read_built(limits.target_max, 1, 1, 0) > 0);
	assert_int_equal(read_built(limits.target_max + 1, 1, 1, 0),
	    -ENAMETOOLONG);
	assert_true(read_built(1 + 1, FIELDS, 1, 0) > 0);
	assert_int_equal(read_built(1 + 1, FIELDS + 1, 1, 0), -E2BIG);
	assert_true(read_built(2, 1, (unsigned)(limits.head_max - fixed), 0) ==
	    (int)limits.head_max);
	assert_int_equal(read_built(2, 1, (unsigned)(limits.head_max - fixed +
	    1), limits.head_max), -EMSGSIZE);
	/* One byte before it may still end in time. */
	assert_int_equal(read_built(2, 1, (unsigned)(limits.head_max - fixed +
	    1), limits.head_max - 1), 0);
}

static void
a_head_limit_that_no_head_could_keep_is_an_error(void **state)
{
	const struct torc_http_limits none = { 15, 1, 1 };
	struct torc_http_field field;
	struct torc_http_head head = { .fields = &field };
	const char text[] = LINE;

	(void)state;
	assert_int_equal(torc_http_read_request(&head, (const uint8_t *)text,
	    sizeof(text) - 1, &none), -EMSGSIZE);
}

/* ---- Responses ---- */

static const struct {
	const char *text;
	enum torc_http_method to;
	enum torc_http_body body;
	uint64_t length;
	unsigned status;
	bool keep_alive;
	const char *reason;
} responses[] = {
	{ OK "Content-Length: 5\r\n\r\n", GET, TORC_HTTP_SIZED, 5, 200, true,
	    "OK" },
	{ OK "Content-Length: 0\r\n\r\n", GET, NONE, 0, 200, true, "OK" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n", GET, TORC_HTTP_CHUNKED, 0,
	    200, true, "OK" },
	{ OK "\r\n", GET, TORC_HTTP_TO_END, 0, 200, false, "OK" },
	{ "HTTP/1.1 200\r\n\r\n", GET, TORC_HTTP_TO_END, 0, 200, false, "" },
	{ "HTTP/1.1 404 \r\nContent-Length: 1\r\n\r\n", GET, TORC_HTTP_SIZED,
	    1, 404, true, "" },
	{ "HTTP/1.1 500 Not \x80 at all\r\nContent-Length: 1\r\n\r\n", GET,
	    TORC_HTTP_SIZED, 1, 500, true, "Not \x80 at all" },
	/* HEAD, 204 and 304 have no body, whatever they say of it. */
	{ OK "Content-Length: 5\r\n\r\n", TORC_HTTP_HEAD, NONE, 5, 200, true,
	    "OK" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n", TORC_HTTP_HEAD, NONE, 0,
	    200, true, "OK" },
	{ OK "\r\n", TORC_HTTP_HEAD, NONE, 0, 200, true, "OK" },
	{ "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", GET, NONE, 5, 204,
	    true, "No" },
	{ "HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", GET, NONE, 5, 304,
	    true, "No" },
	{ "HTTP/1.1 100 Continue\r\n\r\n", GET, NONE, 0, 100, true,
	    "Continue" },
	{ "HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n", GET, NONE, 0, 103, true,
	    "Hints" },
	/* No more HTTP. */
	{ "HTTP/1.1 101 Switch\r\n\r\n", GET, TORC_HTTP_TUNNEL, 0, 101, false,
	    "Switch" },
	{ "HTTP/1.1 200 Connected\r\nContent-Length: 5\r\n\r\n",
	    TORC_HTTP_CONNECT, TORC_HTTP_TUNNEL, 5, 200, false, "Connected" },
	{ "HTTP/1.1 407 No\r\nContent-Length: 5\r\n\r\n", TORC_HTTP_CONNECT,
	    TORC_HTTP_SIZED, 5, 407, true, "No" },
	/* Whether the connection lasts. */
	{ OK "Connection: close\r\nContent-Length: 5\r\n\r\n", GET,
	    TORC_HTTP_SIZED, 5, 200, false, "OK" },
	{ "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", GET,
	    TORC_HTTP_SIZED, 5, 200, false, "OK" },
	{ "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n"
	    "\r\n", GET, TORC_HTTP_SIZED, 5, 200, true, "OK" },
};

static void
responses_have_the_body_that_the_request_and_the_status_give(void **state)
{
	static struct reading reading;

	(void)state;
	for (size_t i = 0; i < COUNT(responses); i++) {
		const char *text = responses[i].text;
		const struct torc_http_head *head = &reading.head;

		take(RESPONSE, text, strlen(text), responses[i].to, &reading);
		if (reading.rc != (int)strlen(text) ||
		    head->body != responses[i].body ||
		    head->length != responses[i].length ||
		    head->status != responses[i].status ||
		    head->keep_alive != responses[i].keep_alive ||
		    !is(head->reason, responses[i].reason))
			fail_msg("%d (%s) for %s", reading.rc, head->why,
			    text);
		for (size_t cut = 0; cut < strlen(text); cut++) {
			take(RESPONSE, text, cut, responses[i].to, &reading);
			assert_int_equal(reading.rc, 0);
		}
	}
}

static const struct refusal bad_responses[] = {
	{ OK CL ": 5\r\n" TE ": chunked\r\n\r\n", -EBADMSG, "at once" },
	{ OK CL ": 5\r\n" CL ": 6\r\n\r\n", -EBADMSG, "more than one" },
	{ OK CL ": 5\r\n" CL ": 5\r\n\r\n", -EBADMSG, "more than one" },
	{ OK CL ": 5,5\r\n\r\n", -EBADMSG, "not a number" },
	{ OK TE ": gzip\r\n\r\n", -EOPNOTSUPP, "not chunked" },
	{ "HTTP/1.0 200 OK\r\n" TE ": chunked\r\n\r\n", -EBADMSG, "HTTP/1.0" },
	{ OK "X: 1\r\n 2\r\n\r\n", -EBADMSG, "continues" },
	{ OK "X: 1\n\r\n", -EBADMSG, "LF without" },
	{ OK "X : 1\r\n\r\n", -EBADMSG, "white space" },
	{ "HTTP/1.1 200 OK\nX: 1\r\n\r\n", -EBADMSG, "LF without" },
	{ "HTTP/1.1 200\n\r\n", -EBADMSG, "LF without" },
	{ "HTTP/1.1 200 O\rK\r\n\r\n", -EBADMSG, "CR without" },
	{ "HTTP/1.1 99 OK\r\n\r\n", -EBADMSG, "not a number" },
	{ "HTTP/1.1 099 OK\r\n\r\n", -EBADMSG, "100 to 599" },
	{ "HTTP/1.1 600 OK\r\n\r\n", -EBADMSG, "100 to 599" },
	{ "HTTP/1.1 2000 OK\r\n\r\n", -EBADMSG, "not a number" },
	{ "HTTP/1.1  200 OK\r\n\r\n", -EBADMSG, "not a number" },
	{ "HTTP/1.1 +20 OK\r\n\r\n", -EBADMSG, "not a number" },
	{ "HTTP/1.1\r\n\r\n", -EBADMSG, "no status" },
	{ "HTTP/2.0 200 OK\r\n\r\n", -EPROTONOSUPPORT, "version" },
	{ "ICY 200 OK\r\n\r\n", -EBADMSG, "not HTTP" },
	{ "\r\n" OK "\r\n", -EBADMSG, "not HTTP" },
};

static void
responses_whose_framing_is_in_doubt_are_refused_by_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bad_responses); i++)
		assert_refused(RESPONSE, &bad_responses[i]);
}

/* ---- Chunked bodies ---- */

#define F14 "ffffffffffffff"

static const struct {
	const char *text;
	const char *body;
	unsigned trailers;
} bodies[] = {
	{ "0\r\n\r\n", "", 0 },
	{ "000\r\n\r\n", "", 0 },
	{ "5\r\nhello\r\n0\r\n\r\n", "hello", 0 },
	{ "5\r\nhello\r\n000a\r\n0123456789\r\n0\r\n\r\n", "hello0123456789",
	    0 },
	{ "A\r\n\r\n0\r\n\r\n0\r\n\r\n0\r\n\r\n", "\r\n0\r\n\r\n0\r\n", 0 },
	{ "1;name=value\r\nx\r\n0;last\r\n\r\n", "x", 0 },
	{ "1;q=\"a;b\"\r\nx\r\n0\r\n\r\n", "x", 0 },
	{ "1;a;b=c;d=\"\"\r\nx\r\n0\r\n\r\n", "x", 0 },
	{ "1 \t; a\t= b ;c = \"d\\\"\\\\;\t\xff\" ;e\r\nx\r\n0\r\n\r\n", "x",
	    0 },
	{ "1;a ;b\r\nx\r\n0 ;c\r\n\r\n", "x", 0 },
	{ "1\r\nx\r\n0\r\nTrailer: 1\r\nOther: 2\r\n\r\n", "x", 2 },
	{ "0\r\na:\r\n\r\n", "", 1 },
	{ "0\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\n", "", 2 },
	{ "00000000000001F\r\n0123456789012345678901234567890\r\n0\r\n\r\n",
	    "0123456789012345678901234567890", 0 },
};

struct chunked {
	char body[256];
	size_t body_size;
	unsigned trailers;
	bool over;
	int rc;			/* bytes taken, or an error */
	const char *why;
};

/* Read `size` bytes as a chunked body that came in `parts`. */
static void
read_body(const char *text, size_t size, const size_t *parts,
    struct chunked *got)
{
	struct torc_http_chunks chunks = { .state = 0 };
	static struct reading reading;
	size_t at = 0, end = 0;

	memset(got, 0, sizeof(*got));
	for (unsigned part = 0; end < size && got->rc >= 0; part++) {
		end += parts[part];
		while (at < end && !torc_http_chunks_over(&chunks) &&
		    got->rc >= 0) {
			struct torc_slice body;

			got->rc = torc_http_read_chunks(&chunks,
			    (const uint8_t *)text + at, end - at, &body);
			got->why = chunks.why;
			if (got->rc < 0)
				return;
			if (body.size > 0)
				memcpy(got->body + got->body_size, body.data,
				    body.size);
			got->body_size += body.size;
			at += (size_t)got->rc;
		}
		if (!torc_http_chunks_over(&chunks) || got->over)
			continue;
		take(TRAILER, text + at, end - at, GET, &reading);
		got->rc = reading.rc;
		got->why = reading.head.why;
		got->trailers = reading.head.field_count;
		got->over = reading.rc > 0;
		at += reading.rc > 0 ? (size_t)reading.rc : 0;
	}
	if (got->rc >= 0)
		got->rc = (int)at;
}

/* In two parts, for each cut; then byte by byte. */
static void
for_all_cuts(const char *text, size_t size,
    void check(const struct chunked *got, const void *arg), const void *arg)
{
	struct chunked got;
	size_t ones[512];

	for (size_t cut = 0; cut <= size; cut++) {
		const size_t parts[] = { cut, size - cut };

		read_body(text, size, parts, &got);
		check(&got, arg);
	}
	assert_true(size < 512);
	for (size_t i = 0; i < size; i++)
		ones[i] = 1;
	read_body(text, size, ones, &got);
	check(&got, arg);
}

static void
check_body(const struct chunked *got, const void *arg)
{
	const size_t i = *(const size_t *)arg;

	if (got->rc != (int)strlen(bodies[i].text) || !got->over ||
	    got->body_size != strlen(bodies[i].body) ||
	    memcmp(got->body, bodies[i].body, got->body_size) != 0 ||
	    got->trailers != bodies[i].trailers)
		fail_msg("%d (%s) for %s", got->rc, got->why, bodies[i].text);
}

/* The body ends where it ends, and the next request begins there. */
static void
a_chunked_body_that_is_cut_anywhere_ends_at_the_same_byte(void **state)
{
	char both[256];

	(void)state;
	for (size_t i = 0; i < COUNT(bodies); i++) {
		int size = snprintf(both, sizeof(both), "%s%s",
		    bodies[i].text, LINE HOST "\r\n");

		for_all_cuts(both, (size_t)size, check_body, &i);
		for (size_t end = 0; end < strlen(bodies[i].text); end++) {
			const size_t parts[] = { end / 2, end - end / 2 };
			struct chunked got;

			read_body(both, end, parts, &got);
			assert_true(got.rc >= 0 && !got.over);
		}
	}
}

static const struct refusal bad_bodies[] = {
	/* Sizes. */
	{ "\r\n", -EBADMSG, "not a number" },
	{ ";\r\n", -EBADMSG, "not a number" },
	{ "g\r\n", -EBADMSG, "not a number" },
	{ "-1\r\n", -EBADMSG, "not a number" },
	{ "+1\r\nx\r\n", -EBADMSG, "not a number" },
	{ " 1\r\nx\r\n", -EBADMSG, "not a number" },
	{ "1 \r\nx\r\n", -EBADMSG, "malformed extension" },
	{ "1 1\r\nx\r\n", -EBADMSG, "malformed extension" },
	/* Extensions. */
	{ "1;\r\nx\r\n", -EBADMSG, "malformed extension" },
	{ "1; \r\nx\r\n", -EBADMSG, "malformed extension" },
	{ "1;;a\r\nx\r\n", -EBADMSG, "malformed extension" },
	{ "1;a;\r\nx\r\n", -EBADMSG, "malformed extension" },
	{ "1;a \r\nx\r\n", -EBADMSG, "malformed extension" },
	{ "1;a b\r\nx\r\n", -EBADMSG, "malformed extension" },
	{ "1;a=\r\nx\r\n", -EBADMSG, "malformed extension" },
	{ "1;a=b c\r\nx\r\n", -EBADMSG, "malformed extension" },
	{ "1;a=b \r\nx\r\n", -EBADMSG, "malformed extension" },
	{ "1;a=b=c\r\nx\r\n", -EBADMSG, "malformed extension" },
	{ "1;=b\r\nx\r\n", -EBADMSG, "malformed extension" },
	{ "1;a=b\"c\"\r\nx\r\n", -EBADMSG, "malformed extension" },
	{ "1;a=\"b\"c\r\nx\r\n", -EBADMSG, "malformed extension" },
	{ "1;a=\"b\" \r\nx\r\n", -EBADMSG, "malformed extension" },
	{ "1;a=\"b\r\nx\r\n", -EBADMSG, "malformed extension" },
	{ "1;a=\"b\\\r\nx\r\n", -EBADMSG, "malformed extension" },
	{ "1;a=\"b\x01\"\r\nx\r\n", -EBADMSG, "control" },
	{ "1;a@\r\nx\r\n", -EBADMSG, "malformed extension" },
	{ "1;\xff\r\nx\r\n", -EBADMSG, "malformed extension" },
	{ "0x1\r\nx\r\n", -EBADMSG, "not a number" },
	{ "1g\r\nx\r\n", -EBADMSG, "not a number" },
	{ F14 "ff\r\n", -EBADMSG, "too many digits" },
	{ F14 "fff\r\n", -EBADMSG, "too many digits" },
	{ "0000000000000001\r\n", -EBADMSG, "too many digits" },
	/* Ends of lines. */
	{ "\n", -EBADMSG, "not a number" },
	{ "1;a=b\nx\r\n", -EBADMSG, "control" },
	{ "1;a=\"b\"\nx\r\n", -EBADMSG, "control" },
	{ "1 \nx\r\n", -EBADMSG, "control" },
	{ "5\nhello\r\n", -EBADMSG, "not a number" },
	{ "5;a\nhello\r\n", -EBADMSG, "control" },
	{ "5;a\x01\r\nhello\r\n", -EBADMSG, "control" },
	{ "5\r\nhello\n0\r\n\r\n", -EBADMSG, "longer than its size" },
	{ "5\rXhello\r\n", -EBADMSG, "without LF" },
	{ "5;a\rb\r\nhello\r\n", -EBADMSG, "without LF" },
	{ "5\r\nhello\rX", -EBADMSG, "CR without" },
	{ "0\r\n\n", -EBADMSG, "without a name" },
	{ "0\r\nX: 1\n\r\n", -EBADMSG, "LF without" },
	{ "0\r\n\rX", -EBADMSG, "CR without" },
	{ "0\r\n X: 1\r\n\r\n", -EBADMSG, "continues" },
	{ "0\r\nX : 1\r\n\r\n", -EBADMSG, "white space" },
	/* More or less data than was said. */
	{ "5\r\nhello!\r\n", -EBADMSG, "longer than its size" },
	{ "5\r\nhell\r\n0\r\n\r\n", -EBADMSG, "longer than its size" },
	{ "5\r\nhello0\r\n\r\n", -EBADMSG, "longer than its size" },
};

static void
check_bad_body(const struct chunked *got, const void *arg)
{
	const struct refusal *bad = arg;

	if (got->rc != bad->error || strstr(got->why, bad->why) == NULL ||
	    got->over)
		fail_msg("%d (%s) for %s", got->rc, got->why, bad->text);
}

static void
chunks_that_others_could_read_differently_are_refused_by_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bad_bodies); i++)
		for_all_cuts(bad_bodies[i].text, strlen(bad_bodies[i].text),
		    check_bad_body, &bad_bodies[i]);
}

/* The largest size there is does not wrap around. */
static void
the_largest_chunk_is_counted_and_a_larger_one_refused(void **state)
{
	static const char text[] = F14 "f\r\n0\r\n\r\n";
	struct torc_http_chunks chunks = { .state = 0 };
	struct torc_slice body;

	(void)state;
	assert_int_equal(torc_http_read_chunks(&chunks,
	    (const uint8_t *)text, sizeof(text) - 1, &body),
	    sizeof(text) - 1);
	assert_int_equal(body.size, 5);
	assert_true(chunks.left == 0xfffffffffffffff - 5);
	assert_int_equal(result_of(REQUEST, LINE HOST "\r\n"),
	    sizeof(LINE HOST "\r\n") - 1);
}

/* An extension of `extension` bytes on each of `count` chunks of `size`. */
static int
read_extensions(unsigned extension, unsigned count, unsigned size)
{
	static char text[4096];
	struct torc_http_chunks chunks = { .state = 0 };
	int all = sprintf(text, "%x;%0*d\r\n%0*d\r\n", size, (int)extension,
	    0, (int)size, 0);

	while (count-- > 0) {
		int at = 0;

		while (at < all) {
			struct torc_slice body;
			int rc = torc_http_read_chunks(&chunks,
			    (uint8_t *)text + at, (size_t)(all - at), &body);

			if (rc < 0)
				return rc;
			at += rc;
		}
	}
	return 0;
}

static void
extensions_are_bounded_by_the_line_and_by_the_body(void **state)
{
	(void)state;
	assert_int_equal(read_extensions(252, 1, 1), 0);
	assert_int_equal(read_extensions(253, 1, 1), -EBADMSG);
	/* Much extension and little data, long enough. */
	assert_int_equal(read_extensions(200, 50, 1), 0);
	assert_int_equal(read_extensions(200, 200, 1), -EBADMSG);
	/* In good proportion, for as long as you like. */
	assert_int_equal(read_extensions(200, 10000, 1000), 0);
	assert_int_equal(read_extensions(10, 100000, 1), 0);
}

/* ---- Any bytes ---- */

/* Valid messages with some bytes changed: vectors and tables agree. */
static void
vectors_and_tables_read_changed_bytes_alike(void **state)
{
	static const char alphabet[] = "\0\t\n\r \"#(),/:;<=>?@[\\]^`{|}~\x7f"
	    "\x80\xff" "09azAZ-_.";
	static struct reading reading;
	unsigned taken = 0, refused = 0;
	uint32_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		const char *text = requests[round % COUNT(requests)].text;
		const size_t size = strlen(text);
		char copy[512];

		memcpy(copy, text, size);
		for (unsigned i = 0; i <= round % 3; i++) {
			seed = seed * 1103515245 + 12345;
			copy[(seed >> 8) % size] =
			    alphabet[(seed >> 20) % (sizeof(alphabet) - 1)];
		}
		take(REQUEST, copy, size, GET, &reading);
		taken += reading.rc > 0;
		refused += reading.rc < 0;
		take(TRAILER, copy, size, GET, &reading);
		take(RESPONSE, copy, size, GET, &reading);
	}
	assert_true(taken > 1000 && refused > 1000);
}

/* ---- Writing ---- */

#define ROOM 256

struct writing {
	char memory[ROOM];
	struct torc_http_writer writer;
};

static struct torc_http_writer *
start(struct writing *writing, size_t size)
{
	writing->writer = (struct torc_http_writer) {
		.data = (uint8_t *)writing->memory,
		.size = size,
	};
	return &writing->writer;
}

static struct torc_slice
bytes(const char *text, size_t size)
{
	return (struct torc_slice) { (const uint8_t *)text, size };
}

static void
what_is_written_is_read_back_as_it_was_meant(void **state)
{
	static struct reading reading;
	struct writing writing;
	struct torc_http_writer *writer = start(&writing, ROOM);
	int size;

	(void)state;
	torc_http_put_request(writer, torc_http_text("PUT"),
	    torc_http_text("/a?b"));
	torc_http_put(writer, "Host", "a:80");
	torc_http_put(writer, "X", "");
	torc_http_put(writer, "Y", "a\tb \x80");
	torc_http_put_length(writer, 18446744073709551615u / 1000);
	size = torc_http_put_end(writer);
	take(REQUEST, writing.memory, (size_t)size, GET, &reading);
	assert_int_equal(reading.rc, size);
	assert_int_equal(reading.head.method, TORC_HTTP_PUT);
	assert_int_equal(reading.head.length, 18446744073709551615u / 1000);
	assert_true(is(*torc_http_find(&reading.head, "y"), "a\tb \x80"));
	writer = start(&writing, ROOM);
	torc_http_put_status(writer, 503, NULL);
	size = torc_http_put_end(writer);
	take(RESPONSE, writing.memory, (size_t)size, GET, &reading);
	assert_int_equal(reading.head.status, 503);
	assert_true(is(reading.head.reason, "Service Unavailable"));
}

static void
control_characters_are_not_written_anywhere(void **state)
{
	static const char bad[] = { '\r', '\n', '\0', '\x1f', '\x7f' };
	struct writing w;

	(void)state;
	for (size_t i = 0; i < sizeof(bad); i++) {
		const char text[] = { 'a', bad[i], 'b', '\0' };
		const struct torc_slice slice = bytes(text, 3);
		const struct torc_slice fine = torc_http_text("/");

		torc_http_put_request(start(&w, ROOM), slice, fine);
		assert_int_equal(w.writer.error, -EINVAL);
		torc_http_put_request(start(&w, ROOM), fine, slice);
		assert_int_equal(w.writer.error, -EINVAL);
		torc_http_put_field(start(&w, ROOM), slice, fine);
		assert_int_equal(w.writer.error, -EINVAL);
		torc_http_put_field(start(&w, ROOM), torc_http_text("X"),
		    slice);
		assert_int_equal(w.writer.error, -EINVAL);
		assert_int_equal(w.writer.used, 0);
		if (bad[i] == '\0')
			continue;
		torc_http_put_status(start(&w, ROOM), 200, text);
		assert_int_equal(w.writer.error, -EINVAL);
	}
}

/* Values are looked at eight bytes at a time. */
static void
each_byte_is_checked_wherever_it_stands_in_a_value(void **state)
{
	char text[40];
	struct writing w;

	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		const bool fine = (c >= 0x20 && c != 0x7f) || c == '\t';

		for (size_t at = 0; at < sizeof(text); at++) {
			memset(text, at % 2 == 0 ? ' ' : 0x80,
			    sizeof(text));
			/* A tab before it is no reason to look away. */
			text[at / 2] = '\t';
			text[at] = (char)c;
			torc_http_put_field(start(&w, ROOM),
			    torc_http_text("X"), bytes(text, sizeof(text)));
			assert_int_equal(w.writer.error, fine ? 0 : -EINVAL);
		}
	}
}

/* Names, too; and most of them have letters, digits and "-" alone. */
static void
each_byte_is_checked_wherever_it_stands_in_a_name(void **state)
{
	static const char others[] = "!#$%&'*+-.^_`|~";
	char text[21];
	struct writing w;

	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		const bool fine = (c >= '0' && c <= '9') ||
		    (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		    (c != 0 && strchr(others, (int)c) != NULL);

		for (size_t at = 0; at < sizeof(text); at++) {
			memset(text, "aZ9-"[at % 4], sizeof(text));
			/* A dot before it is no reason to look away. */
			text[at / 2] = '.';
			text[at] = (char)c;
			torc_http_put_field(start(&w, ROOM),
			    bytes(text, sizeof(text)), torc_http_text("x"));
			assert_int_equal(w.writer.error, fine ? 0 : -EINVAL);
			text[at / 2] = 'm';
			text[at] = (char)c;
			torc_http_put_field(start(&w, ROOM),
			    bytes(text, sizeof(text)), torc_http_text("x"));
			assert_int_equal(w.writer.error, fine ? 0 : -EINVAL);
		}
	}
}

static void
names_and_statuses_that_are_none_are_not_written(void **state)
{
	struct writing w;

	(void)state;
	torc_http_put(start(&w, ROOM), "", "x");
	assert_int_equal(w.writer.error, -EINVAL);
	torc_http_put(start(&w, ROOM), "a b", "x");
	assert_int_equal(w.writer.error, -EINVAL);
	torc_http_put(start(&w, ROOM), "a:", "x");
	assert_int_equal(w.writer.error, -EINVAL);
	torc_http_put_status(start(&w, ROOM), 99, NULL);
	assert_int_equal(w.writer.error, -EINVAL);
	torc_http_put_status(start(&w, ROOM), 600, NULL);
	assert_int_equal(w.writer.error, -EINVAL);
	torc_http_put_request(start(&w, ROOM), torc_http_text("GET"),
	    torc_http_text("/a b"));
	assert_int_equal(w.writer.error, -EINVAL);
	torc_http_put_request(start(&w, ROOM), torc_http_text("GET"),
	    torc_http_text(""));
	assert_int_equal(w.writer.error, -EINVAL);
	torc_http_put(&w.writer, "X", "an error stays");
	assert_int_equal(torc_http_put_end(&w.writer), -EINVAL);
	torc_http_put(start(&w, ROOM), "X", "y");
	assert_int_equal(torc_http_put_end(&w.writer), 8);
}

static void
memory_that_is_full_is_an_error_and_never_written_past(void **state)
{
	struct writing w;

	(void)state;
	for (size_t size = 0; size < 40; size++) {
		memset(w.memory, '#', ROOM);
		torc_http_put_status(start(&w, size), 200, NULL);
		torc_http_put(&w.writer, "Name", "value");
		assert_int_equal(torc_http_put_end(&w.writer),
		    size < 32 ? -ENOSPC : 32);
		assert_int_equal(w.memory[size], '#');
	}
}

static void
lines_of_chunks_are_read_back(void **state)
{
	static const uint64_t sizes[] = {
		0, 1, 9, 10, 15, 16, 255, 256, 65535, 0xfffffffffffffff,
	};

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct torc_http_chunks chunks = { .state = 0 };
		char line[TORC_HTTP_CHUNK_LINE];
		size_t size = torc_http_chunk_line(line, sizes[i]);
		struct torc_slice body;

		assert_int_equal(torc_http_read_chunks(&chunks,
		    (uint8_t *)line, size, &body), size);
		assert_true(chunks.left == sizes[i]);
		assert_int_equal(torc_http_chunks_over(&chunks),
		    sizes[i] == 0);
	}
}

static void
each_error_has_the_status_that_servers_answer(void **state)
{
	static const struct {
		int error;
		unsigned status;
	} pairs[] = {
		{ -EBADMSG, 400 }, { -ETIMEDOUT, 408 }, { -EFBIG, 413 },
		{ -ENAMETOOLONG, 414 }, { -EMSGSIZE, 431 }, { -E2BIG, 431 },
		{ -EOPNOTSUPP, 501 }, { -EPROTONOSUPPORT, 505 },
		{ -ESHUTDOWN, 503 }, { -ENOMEM, 500 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(pairs); i++) {
		assert_int_equal(torc_http_status_of(pairs[i].error),
		    pairs[i].status);
		assert_string_not_equal(torc_http_reason(pairs[i].status),
		    "Unknown");
	}
	assert_string_equal(torc_http_reason(599), "Unknown");
}

/* ---- Dates ---- */

static void
dates_are_written_as_the_c_library_does(void **state)
{
	static const int64_t odd[] = {
		0, 1, 59, 86399, 86400, 951782399, 951782400, 951868799,
		951868800, 1078012800, 4107542399, 4107542400, 253402300799,
	};
	char text[TORC_HTTP_DATE], want[TORC_HTTP_DATE + 1];
	struct tm when;
	time_t at;

	(void)state;
	for (unsigned i = 0; i < 60000 + COUNT(odd); i++) {
		/* Each day until 2134, and each time of the day. */
		at = i < COUNT(odd) ? (time_t)odd[i] :
		    (time_t)(i - COUNT(odd)) * 86413;
		gmtime_r(&at, &when);
		strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT",
		    &when);
		torc_http_date(text, at);
		assert_string_equal(text, want);
	}
	torc_http_date(text, -1);
	assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
	torc_http_date(text, INT64_MAX);
	assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
}

/* So many nanoseconds ago. */
static void
date_of_the_wall(char text[TORC_HTTP_DATE], long ago)
{
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	torc_http_date(text, wall.tv_nsec < ago ? wall.tv_sec - 1 :
	    wall.tv_sec);
}

static void
the_date_of_a_message_is_that_of_its_second(void **state)
{
	char before[TORC_HTTP_DATE], after[TORC_HTTP_DATE];
	struct writing writing;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		const struct timespec pause = { 0, 60000000 };

		/* The clocks may be slewed against each other. */
		date_of_the_wall(before, 5000000);
		torc_http_put_date(start(&writing, ROOM));
		date_of_the_wall(after, 0);
		assert_int_equal(writing.writer.used, 37);
		assert_memory_equal(writing.memory, "Date: ", 6);
		assert_memory_equal(writing.memory + 35, "\r\n", 2);
		assert_true(memcmp(writing.memory + 6, before, 29) == 0 ||
		    memcmp(writing.memory + 6, after, 29) == 0);
		nanosleep(&pause, NULL);
	}
	torc_http_put_date(start(&writing, 36));
	assert_int_equal(writing.writer.error, -ENOSPC);
	assert_int_equal(writing.writer.used, 0);
}

/* ---- Secrets ---- */

static void
only_the_exact_bytes_of_a_secret_are_the_same(void **state)
{
	static const char secret[] = "Open, Sesame";
	const size_t size = sizeof(secret) - 1;
	char sent[sizeof(secret)];

	(void)state;
	assert_true(torc_http_same_secret(torc_http_text(secret), secret));
	for (size_t i = 0; i < sizeof(secret); i++) {
		memcpy(sent, secret, sizeof(sent));
		/* Also with the NUL, which is not part of the secret. */
		assert_int_equal(torc_http_same_secret((struct torc_slice) {
		    (uint8_t *)sent, i }, secret), i == size);
		for (unsigned bit = 1; i < size && bit < 256; bit <<= 1) {
			sent[i] = (char)(secret[i] ^ (int)bit);
			assert_false(torc_http_same_secret((struct torc_slice) {
			    (uint8_t *)sent, size }, secret));
		}
	}
	assert_false(torc_http_same_secret((struct torc_slice) {
	    (const uint8_t *)secret, sizeof(secret) }, secret));
	assert_false(torc_http_same_secret(torc_http_text("open, sesame"),
	    secret));
	assert_false(torc_http_same_secret(torc_http_text(
	    "Open, SesameOpen, Sesame"), secret));
}

static void
without_a_secret_nothing_is_the_same(void **state)
{
	static const char *const sent[] = { "", "a", NULL };

	(void)state;
	for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
		assert_false(torc_http_same_secret(torc_http_text(sent[i]),
		    NULL));
		assert_false(torc_http_same_secret(torc_http_text(sent[i]),
		    ""));
		assert_false(torc_http_same_secret(torc_http_text(sent[i]),
		    "b"));
	}
	/* The control. */
	assert_true(torc_http_same_secret(torc_http_text("a"), "a"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    well_formed_requests_are_read_and_measured_exactly),
		cmocka_unit_test(a_request_that_is_cut_anywhere_asks_for_more),
		cmocka_unit_test(what_follows_a_head_does_not_change_it),
		cmocka_unit_test(slices_of_a_request_are_its_parts),
		cmocka_unit_test(a_head_tells_its_version),
		cmocka_unit_test(
		    what_others_could_read_differently_is_refused_by_name),
		cmocka_unit_test(a_zero_byte_is_refused_everywhere_in_a_head),
		cmocka_unit_test(
		    empty_lines_alone_are_no_request_that_has_begun),
		cmocka_unit_test(
		    each_limit_is_refused_with_its_own_error_and_reached_without),
		cmocka_unit_test(
		    a_head_limit_that_no_head_could_keep_is_an_error),
		cmocka_unit_test(
		    responses_have_the_body_that_the_request_and_the_status_give),
		cmocka_unit_test(
		    responses_whose_framing_is_in_doubt_are_refused_by_name),
		cmocka_unit_test(
		    a_chunked_body_that_is_cut_anywhere_ends_at_the_same_byte),
		cmocka_unit_test(
		    chunks_that_others_could_read_differently_are_refused_by_name),
		cmocka_unit_test(
		    the_largest_chunk_is_counted_and_a_larger_one_refused),
		cmocka_unit_test(
		    extensions_are_bounded_by_the_line_and_by_the_body),
		cmocka_unit_test(
		    vectors_and_tables_read_changed_bytes_alike),
		cmocka_unit_test(what_is_written_is_read_back_as_it_was_meant),
		cmocka_unit_test(control_characters_are_not_written_anywhere),
		cmocka_unit_test(
		    each_byte_is_checked_wherever_it_stands_in_a_value),
		cmocka_unit_test(
		    each_byte_is_checked_wherever_it_stands_in_a_name),
		cmocka_unit_test(
		    names_and_statuses_that_are_none_are_not_written),
		cmocka_unit_test(
		    memory_that_is_full_is_an_error_and_never_written_past),
		cmocka_unit_test(lines_of_chunks_are_read_back),
		cmocka_unit_test(
		    each_error_has_the_status_that_servers_answer),
		cmocka_unit_test(dates_are_written_as_the_c_library_does),
		cmocka_unit_test(the_date_of_a_message_is_that_of_its_second),
		cmocka_unit_test(only_the_exact_bytes_of_a_secret_are_the_same),
		cmocka_unit_test(without_a_secret_nothing_is_the_same),
	};

	return cmocka_run_group_tests(tests, map_page, unmap_page);
}
