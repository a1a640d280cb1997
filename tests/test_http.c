/*
 * test_http.c - the reader of requests that the examples share: what it
 * takes, what it refuses, and that no cut of the bytes changes either.
 */
#include "tests/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/examples/request.h"

#define LINE "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A copy of exactly `size` bytes, so that reading past them is noticed. */
static uint8_t *
exact(const void *data, size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);

	assert_non_null(copy);
	memcpy(copy, data, size);
	return copy;
}

static int
parse(const void *data, size_t size, struct request *request)
{
	uint8_t *copy = exact(data, size);
	int rc = request_parse(copy, size, request);

	free(copy);
	return rc;
}

/* ---- Heads ---- */

struct good {
	const char *text;
	struct request want;
};

static const struct good goods[] = {
	{ LINE HOST "\r\n", { .keep_alive = true } },
	{ "GET / HTTP/1.0\r\n\r\n", { .keep_alive = false } },
	{ "GET / HTTP/1.0\r\nX: 1\r\n\r\n", { .keep_alive = false } },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	    { .keep_alive = true } },
	{ "GET http://a/b?c HTTP/1.1\r\n" HOST "\r\n",
	    { .keep_alive = true } },
	{ "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", { .keep_alive = true } },
	{ "CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n", { .keep_alive = true } },
	{ "GET /%01?;=&~ HTTP/1.1\r\n" HOST "\r\n", { .keep_alive = true } },
	{ "M-SEARCH!#$%&'*+.^_`|~09 / HTTP/1.1\r\n" HOST "\r\n",
	    { .keep_alive = true } },
	{ "HEAD / HTTP/1.1\r\n" HOST "\r\n",
	    { .keep_alive = true, .head = true } },
	{ LINE HOST "Connection: close\r\n\r\n", { .keep_alive = false } },
	{ LINE "cOnNeCtIoN:\tCLOSE \t\r\nHOST:a\r\n\r\n",
	    { .keep_alive = false } },
	{ LINE HOST "Connection: upgrade\r\n\r\n", { .keep_alive = true } },
	{ LINE HOST "Content-Length: 0\r\n\r\n", { .keep_alive = true } },
	{ LINE HOST "Content-Length: 5\r\n\r\n",
	    { .keep_alive = true, .body_size = 5 } },
	{ LINE HOST "content-length:\t 007 \r\n\r\n",
	    { .keep_alive = true, .body_size = 7 } },
	{ LINE HOST "Content-Length: 999999999999999999\r\n\r\n",
	    { .keep_alive = true, .body_size = 999999999999999999 } },
	{ LINE HOST "Transfer-Encoding: chunked\r\n\r\n",
	    { .keep_alive = true, .chunked = true } },
	{ LINE HOST "transfer-encoding:CHUNKED\r\n\r\n",
	    { .keep_alive = true, .chunked = true } },
	{ LINE HOST "Content-Length: 1\r\nExpect: 100-continue\r\n\r\n",
	    { .keep_alive = true, .body_size = 1, .expect = true } },
	{ LINE "Host:\r\n\r\n", { .keep_alive = true } },
	{ LINE HOST "X:\r\n\r\n", { .keep_alive = true } },
	{ LINE HOST "X: a\tb : c\r\n\r\n", { .keep_alive = true } },
	{ LINE HOST "X: \x80\xff\r\n\r\n", { .keep_alive = true } },
	{ LINE HOST "Content-Length-X: 1\r\nX-Host: b\r\nTE: gzip\r\n\r\n",
	    { .keep_alive = true } },
};

static void
assert_read_as(const struct good *good, const struct request *got)
{
	const struct request *want = &good->want;

	if (got->keep_alive != want->keep_alive ||
	    got->head != want->head || got->chunked != want->chunked ||
	    got->expect != want->expect ||
	    got->body_size != want->body_size)
		fail_msg("read otherwise: %s", good->text);
}

/* Each is the control of the refusals below. */
static void
well_formed_heads_are_taken_and_measured_exactly(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(goods); i++) {
		const size_t size = strlen(goods[i].text);
		struct request request;
		int rc = parse(goods[i].text, size, &request);

		if (rc != (int)size)
			fail_msg("%d for %s", rc, goods[i].text);
		assert_read_as(&goods[i], &request);
	}
}

static void
a_head_that_is_cut_anywhere_asks_for_more(void **state)
{
	unsigned cuts = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(goods); i++) {
		const size_t size = strlen(goods[i].text);

		for (size_t cut = 0; cut < size; cut++, cuts++) {
			struct request request;
			int rc = parse(goods[i].text, cut, &request);

			if (rc != 0)
				fail_msg("%d for %zu bytes of %s", rc, cut,
				    goods[i].text);
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
	char both[512];

	(void)state;
	for (size_t i = 0; i < COUNT(goods); i++) {
		for (size_t j = 0; j < COUNT(behind); j++) {
			const char *text = goods[i].text;
			struct request request;

			snprintf(both, sizeof(both), "%s%s", text,
			    behind[j]);
			assert_int_equal(parse(both, strlen(both), &request),
			    strlen(text));
			assert_read_as(&goods[i], &request);
		}
	}
}

static const struct {
	const char *text;
	int status;
} bads[] = {
	/* Two readers could see two different bodies. */
	{ LINE HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
	    -400 },
	{ LINE HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
	    -400 },
	{ LINE HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", -400 },
	{ LINE HOST "Content-Length: 5\r\ncontent-length: 5\r\n\r\n", -400 },
	{ LINE HOST "Content-Length: 5, 5\r\n\r\n", -400 },
	{ LINE HOST "Content-Length: +5\r\n\r\n", -400 },
	{ LINE HOST "Content-Length: -5\r\n\r\n", -400 },
	{ LINE HOST "Content-Length: 0x5\r\n\r\n", -400 },
	{ LINE HOST "Content-Length: 5 5\r\n\r\n", -400 },
	{ LINE HOST "Content-Length:\r\n\r\n", -400 },
	{ LINE HOST "Content-Length: \r\n\r\n", -400 },
	{ LINE HOST "Content-Length: 18446744073709551617\r\n\r\n", -400 },
	{ LINE HOST "Content-Length: 1000000000000000000\r\n\r\n", -400 },
	{ LINE HOST "Transfer-Encoding: chunked\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n", -400 },
	{ LINE HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", -501 },
	{ LINE HOST "Transfer-Encoding: chunked, identity\r\n\r\n", -501 },
	{ LINE HOST "Transfer-Encoding: xchunked\r\n\r\n", -501 },
	{ LINE HOST "Transfer-Encoding:\r\n\r\n", -501 },
	/* Whose request is it? */
	{ LINE "\r\n", -400 },
	{ LINE "X: 1\r\n\r\n", -400 },
	{ LINE HOST "host: b\r\n\r\n", -400 },
	{ LINE HOST HOST "\r\n", -400 },
	/* Ends of lines. */
	{ "GET / HTTP/1.1\n" HOST "\r\n", -400 },
	{ LINE "Host: a\n\r\n", -400 },
	{ LINE HOST "\n", -400 },
	{ LINE HOST "X: 1\n\n", -400 },
	{ LINE HOST "X: 1\rY: 2\r\n\r\n", -400 },
	{ LINE HOST "X: 1\r\r\n\r\n", -400 },
	{ "\n" LINE HOST "\r\n", -400 },
	{ "\r\n" LINE HOST "\r\n", -400 },
	/* Lines that continue others. */
	{ LINE HOST "X: 1\r\n 2\r\n\r\n", -400 },
	{ LINE HOST "X: 1\r\n\tContent-Length: 5\r\n\r\n", -400 },
	{ LINE " " HOST "\r\n", -400 },
	/* Names. */
	{ LINE HOST "Content-Length : 5\r\n\r\n", -400 },
	{ LINE HOST "Content-Length\t: 5\r\n\r\n", -400 },
	{ LINE HOST "X Y: 5\r\n\r\n", -400 },
	{ LINE HOST ": 5\r\n\r\n", -400 },
	{ LINE HOST "X\r\n\r\n", -400 },
	{ LINE HOST "X(: 5\r\n\r\n", -400 },
	{ LINE HOST "X\x80: 5\r\n\r\n", -400 },
	{ LINE HOST "X\x01: 5\r\n\r\n", -400 },
	/* Values. */
	{ LINE HOST "X: a\x01z\r\n\r\n", -400 },
	{ LINE HOST "X: a\x1fz\r\n\r\n", -400 },
	{ LINE HOST "X: a\x7fz\r\n\r\n", -400 },
	{ LINE HOST "X: a\x0bz\r\n\r\n", -400 },
	/* First lines. */
	{ "GET /\r\n" HOST "\r\n", -400 },
	{ "GET HTTP/1.1\r\n" HOST "\r\n", -400 },
	{ "GET  / HTTP/1.1\r\n" HOST "\r\n", -400 },
	{ "GET /  HTTP/1.1\r\n" HOST "\r\n", -400 },
	{ "GET / HTTP/1.1 \r\n" HOST "\r\n", -400 },
	{ "GET\t/\tHTTP/1.1\r\n" HOST "\r\n", -400 },
	{ " GET / HTTP/1.1\r\n" HOST "\r\n", -400 },
	{ "GET /a b HTTP/1.1\r\n" HOST "\r\n", -400 },
	{ "GET /\x01 HTTP/1.1\r\n" HOST "\r\n", -400 },
	{ "GET /\x7f HTTP/1.1\r\n" HOST "\r\n", -400 },
	{ "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", -400 },
	{ "G(T / HTTP/1.1\r\n" HOST "\r\n", -400 },
	{ "G\x80T / HTTP/1.1\r\n" HOST "\r\n", -400 },
	{ " / HTTP/1.1\r\n" HOST "\r\n", -400 },
	{ "GET / HTTP/1.\r\n" HOST "\r\n", -400 },
	{ "GET / HTTP/1.x\r\n" HOST "\r\n", -400 },
	{ "GET / HTTP/1.10\r\n" HOST "\r\n", -400 },
	{ "GET / http/1.1\r\n" HOST "\r\n", -400 },
	{ "GET / JUNK/1.1\r\n" HOST "\r\n", -400 },
	{ "GET / HTTP/2.0\r\n" HOST "\r\n", -505 },
	{ "GET / HTTP/0.9\r\n" HOST "\r\n", -505 },
	{ "PRI * HTTP/2.0\r\n\r\n", -505 },
};

static void
what_others_could_read_differently_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bads); i++) {
		const size_t size = strlen(bads[i].text);
		struct request request;
		int rc = parse(bads[i].text, size, &request);

		if (rc != bads[i].status)
			fail_msg("%d, not %d, for %s", rc, bads[i].status,
			    bads[i].text);
		/* In pieces, too: once refused, or not complete yet. */
		for (size_t cut = 0; cut < size; cut++) {
			rc = parse(bads[i].text, cut, &request);
			if (rc > 0)
				fail_msg("%zu bytes are taken of %s", cut,
				    bads[i].text);
		}
	}
}

/* A zero ends strings in C, and nothing in HTTP. */
static void
a_zero_byte_is_refused_everywhere_in_a_head(void **state)
{
	static const char text[] = LINE HOST "X: abc\r\n\r\n";
	const size_t size = sizeof(text) - 1;
	struct request request;

	(void)state;
	assert_int_equal(parse(text, size, &request), size);
	for (size_t at = 0; at < size; at++) {
		uint8_t *copy = exact(text, size);
		int rc;

		copy[at] = 0;
		rc = parse(copy, size, &request);
		free(copy);
		/* In place of the last LF, it leaves the line open. */
		if (at == size - 1)
			assert_int_equal(rc, 0);
		else
			assert_true(rc < 0);
	}
}

/* ---- Chunked bodies ---- */

#define F14 "ffffffffffffff"

static const char *const bodies[] = {
	"0\r\n\r\n",
	"000\r\n\r\n",
	"5\r\nhello\r\n0\r\n\r\n",
	"5\r\nhello\r\n000a\r\n0123456789\r\n0\r\n\r\n",
	"A\r\n\r\n0\r\n\r\n0\r\n\r\n0\r\n\r\n",
	"a\r\n\n\r\n\r\n\n0\r\n\r\r\n0\r\n\r\n",
	"1;name=value\r\nx\r\n0;last\r\n\r\n",
	"1;q=\"a;b\"\r\nx\r\n0\r\n\r\n",
	"1;\r\nx\r\n0\r\n\r\n",
	"1\r\nx\r\n0\r\nTrailer: 1\r\nOther: 2\r\n\r\n",
	"00000000000001F\r\n0123456789012345678901234567890\r\n0\r\n\r\n",
};

/* Feed it in two parts, the first of `cut` bytes: what it took in all. */
static int
skip_in_two(const char *text, size_t size, size_t cut, bool *done)
{
	struct chunks chunks = { .state = 0 };
	uint8_t *first = exact(text, cut);
	uint8_t *second = exact(text + cut, size - cut);
	int rc = chunks_skip(&chunks, first, cut, done);
	int more = 0;

	if (rc >= 0 && !*done)
		more = chunks_skip(&chunks, second, size - cut, done);
	free(first);
	free(second);
	return rc < 0 ? rc : more < 0 ? more : rc + more;
}

static int
skip_bytewise(const char *text, size_t size, bool *done)
{
	struct chunks chunks = { .state = 0 };
	int total = 0;

	*done = false;
	for (size_t i = 0; i < size && !*done; i++) {
		uint8_t *byte = exact(text + i, 1);
		int rc = chunks_skip(&chunks, byte, 1, done);

		free(byte);
		if (rc < 0)
			return rc;
		assert_int_equal(rc, 1);
		total++;
	}
	return total;
}

/* The body ends where it ends, and the next request begins there. */
static void
a_chunked_body_that_is_cut_anywhere_ends_at_the_same_byte(void **state)
{
	static const char next[] = LINE HOST "\r\n";

	(void)state;
	for (size_t i = 0; i < COUNT(bodies); i++) {
		const int body = (int)strlen(bodies[i]);
		struct request request;
		char both[256];
		size_t size;
		bool done;

		size = (size_t)snprintf(both, sizeof(both), "%s%s",
		    bodies[i], next);
		for (size_t cut = 0; cut <= size; cut++) {
			int rc = skip_in_two(both, size, cut, &done);

			if (rc != body || !done)
				fail_msg("%d of %d, cut at %zu: %s", rc,
				    body, cut, bodies[i]);
			assert_int_equal(parse(both + rc, size - (size_t)rc,
			    &request), sizeof(next) - 1);
		}
		assert_int_equal(skip_bytewise(both, size, &done), body);
		assert_true(done);
	}
}

static void
a_chunked_body_that_is_not_over_is_taken_whole_and_not_done(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bodies); i++) {
		const size_t size = strlen(bodies[i]);

		for (size_t end = 0; end < size; end++) {
			bool done;

			assert_int_equal(skip_in_two(bodies[i], end, end / 2,
			    &done), end);
			assert_false(done);
		}
	}
}

static const char *const bad_bodies[] = {
	/* Sizes. */
	"\r\n", ";\r\n", "g\r\n", "-1\r\n", "+1\r\nx\r\n", " 1\r\nx\r\n",
	"1 \r\nx\r\n", "0x1\r\nx\r\n", "1g\r\nx\r\n", "1\tx\r\n",
	F14 "ff\r\n", F14 "fff\r\n", "10000000000000000\r\n",
	"0000000000000001\r\n",
	/* Ends of lines. */
	"\n", "5\nhello\r\n", "5;a\nhello\r\n", "5\r\nhello\n0\r\n\r\n",
	"5\rXhello\r\n", "5\r\rhello\r\n", "0\r\n\n", "0\n\r\n",
	"0\r\nX: 1\n\r\n", "0\r\nX: 1\r\r\n", "0\r\n\rX",
	/* More or less data than was said. */
	"5\r\nhello!\r\n", "5\r\nhell\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n",
	"5\r\nhello\rX",
};

static void
chunks_that_others_could_read_differently_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bad_bodies); i++) {
		const char *text = bad_bodies[i];
		const size_t size = strlen(text);
		bool done;

		for (size_t cut = 0; cut <= size; cut++) {
			int rc = skip_in_two(text, size, cut, &done);

			if (rc != -400)
				fail_msg("%d for %s", rc, text);
			assert_false(done);
		}
		assert_int_equal(skip_bytewise(text, size, &done), -400);
	}
}

/* The largest size there is does not wrap around. */
static void
the_largest_chunk_is_counted_and_a_larger_one_refused(void **state)
{
	static const char text[] = F14 "f\r\n0\r\n\r\n";
	struct chunks chunks = { .state = 0 };
	bool done;

	(void)state;
	assert_int_equal(chunks_skip(&chunks, (const uint8_t *)text,
	    sizeof(text) - 1, &done), sizeof(text) - 1);
	assert_false(done);
	assert_true(chunks.left == 0xfffffffffffffff - 5);
}

/* Extensions and trailers are passed over, but not without end. */
static void
a_line_without_end_is_refused(void **state)
{
	static const char *const starts[] = {
		"1;", "0\r\nX: ",
	};
	static const char *const ends[] = {
		"\r\nx\r\n0\r\n\r\n", "\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(starts); i++) {
		for (unsigned fill = 100; fill <= 100000; fill *= 1000) {
			struct chunks chunks = { .state = 0 };
			char *text = malloc(fill + 64);
			size_t size = strlen(starts[i]);
			bool done;
			int rc;

			assert_non_null(text);
			memcpy(text, starts[i], size);
			memset(text + size, 'a', fill);
			size += fill;
			memcpy(text + size, ends[i], strlen(ends[i]));
			size += strlen(ends[i]);
			rc = chunks_skip(&chunks, (uint8_t *)text, size,
			    &done);
			assert_int_equal(rc, fill == 100 ? (int)size : -400);
			assert_int_equal(done, fill == 100);
			free(text);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    well_formed_heads_are_taken_and_measured_exactly),
		cmocka_unit_test(a_head_that_is_cut_anywhere_asks_for_more),
		cmocka_unit_test(what_follows_a_head_does_not_change_it),
		cmocka_unit_test(
		    what_others_could_read_differently_is_refused),
		cmocka_unit_test(a_zero_byte_is_refused_everywhere_in_a_head),
		cmocka_unit_test(
		    a_chunked_body_that_is_cut_anywhere_ends_at_the_same_byte),
		cmocka_unit_test(
		    a_chunked_body_that_is_not_over_is_taken_whole_and_not_done),
		cmocka_unit_test(
		    chunks_that_others_could_read_differently_are_refused),
		cmocka_unit_test(
		    the_largest_chunk_is_counted_and_a_larger_one_refused),
		cmocka_unit_test(a_line_without_end_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
