/* SPDX-License-Identifier: MIT */
/*
 * test_http_cost.c - what a byte that is received costs at most, in steps: the
 * basic blocks of the codec that were run. A table has a row for each way of
 * making a reader do the same work again and again. What is compared with a
 * secret must always take the same steps.
 */
#include "tests/cost.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/http/http.h"

#define FIELDS 65536u
#define REQUEST "GET / HTTP/1.1\r\nHost: a\r\n"

static const struct torc_http_limits limits = {
	LARGEST + 4096, LARGEST, FIELDS,
};
static struct torc_http_field fields[FIELDS];

/* ---- Bytes that are made to be tedious ---- */

/* Read a head that comes `step` bytes at a time, as the server does. */
static void
read_head(size_t size, size_t step)
{
	struct torc_http_head head = { .fields = fields };
	struct torc_http_wait wait = { 0, 0 };
	int rc = 0;

	for (size_t there = step < size ? step : size; rc == 0;
	    there = there + step < size ? there + step : size) {
		const struct torc_slice view = { (uint8_t *)bytes, there };

		if (torc_http_worth_reading(&wait, view, limits.head_max))
			rc = torc_http_read_request(&head, view.data,
			    view.size, &limits);
	}
	assert_int_equal(rc, size);
}

/* Read a chunked body in the same way. */
static void
read_body(size_t size, size_t step)
{
	static const struct torc_http_bounds bounds = {
		LARGEST + 4096, FIELDS, FIELDS, UINT64_MAX,
	};
	struct torc_http_head head = {
		.fields = fields, .body = TORC_HTTP_CHUNKED,
	};
	struct torc_http_head trailer = { .field_count = 0 };
	struct torc_http_input input = { .view = { (uint8_t *)bytes, 0 } };
	struct torc_slice body;
	int rc = 0;

	torc_http_expect(&input, &head);
	while (input.state != INPUT_NONE) {
		input.view.size += rc > 0 ? 0 : step;
		if (input.view.size > size)
			input.view.size = size;
		rc = torc_http_take(&input, &bounds, &head, &trailer, &body);
		assert_true(rc >= 0);
	}
	assert_int_equal(input.used, size);
}

static void
many_fields(size_t size)
{
	read_head(make(size, REQUEST, "a:\r\n", "\r\n"), LARGEST);
}

static void
long_value(size_t size)
{
	read_head(make(size, REQUEST "a: ", "b", "\r\n\r\n"), LARGEST);
}

static void
white_space(size_t size)
{
	read_head(make(size, REQUEST "a:", " ", "b\r\n\r\n"), LARGEST);
}

static void
white_space_behind(size_t size)
{
	read_head(make(size, REQUEST "a: b", " \t", "\r\n\r\n"), LARGEST);
}

static void
list_of_commas(size_t size)
{
	read_head(make(size, REQUEST "Connection: ", ",", "\r\n\r\n"),
	    LARGEST);
}

static void
list_of_tokens(size_t size)
{
	read_head(make(size, REQUEST "Connection: ", "close,upgrad,",
	    "\r\n\r\n"), LARGEST);
}

static void
many_lists(size_t size)
{
	read_head(make(size, REQUEST, "Connection: upgrad, close\r\n",
	    "\r\n"), LARGEST);
}

static void
long_target(size_t size)
{
	read_head(make(size, "GET http://a/", "x", " HTTP/1.1\r\nHost: a\r\n"
	    "\r\n"), LARGEST);
}

static void
byte_by_byte(size_t size)
{
	read_head(make(size, REQUEST "a: ", "b", "\r\n\r\n"), 1);
}

static void
line_by_line(size_t size)
{
	read_head(make(size, REQUEST, "a: b\r\n", "\r\n"), 6);
}

static void
line_by_line_split(size_t size)
{
	read_head(make(size, REQUEST, "a: b\r\n", "\r\n"), 5);
}

static void
small_chunks(size_t size)
{
	read_body(make(size, "", "1\r\nx\r\n", "0\r\n\r\n"), LARGEST);
}

static void
small_chunks_one_by_one(size_t size)
{
	read_body(make(size, "", "1\r\nx\r\n", "0\r\n\r\n"), 6);
}

static void
chunks_byte_by_byte(size_t size)
{
	read_body(make(size, "", "10\r\n0123456789abcdef\r\n", "0\r\n\r\n"),
	    1);
}

static void
extensions(size_t size)
{
	read_body(make(size, "", "10;a=\"\\b\";c\r\n0123456789abcdef\r\n",
	    "0\r\n\r\n"), LARGEST);
}

static void
trailer_byte_by_byte(size_t size)
{
	read_body(make(size, "1\r\nx\r\n0\r\n", "a: b\r\n", "\r\n"), 1);
}

static void
trailer_line_by_line(size_t size)
{
	read_body(make(size, "1\r\nx\r\n0\r\n", "a: b\r\n", "\r\n"), 6);
}

/*
 * Steps for each byte, at most: about twice what was counted, for compilers
 * differ. That they do not grow with the size is what matters.
 */
static const struct {
	const char *what;
	void (*read)(size_t size);
	unsigned most;
} rows[] = {
	{ "fields of three bytes", many_fields, 12 },
	{ "one long value", long_value, 1 },
	{ "white space before a value", white_space, 8 },
	{ "white space behind a value", white_space_behind, 6 },
	{ "a list of commas", list_of_commas, 14 },
	{ "a list of tokens", list_of_tokens, 8 },
	{ "many lists", many_lists, 12 },
	{ "a long target", long_target, 1 },
	{ "a head, byte by byte", byte_by_byte, 20 },
	{ "a head, line by line", line_by_line, 30 },
	{ "a head, almost line by line", line_by_line_split, 30 },
	{ "chunks of one byte", small_chunks, 25 },
	{ "chunks of one byte, one by one", small_chunks_one_by_one, 40 },
	{ "chunks, byte by byte", chunks_byte_by_byte, 90 },
	{ "chunks with extensions", extensions, 14 },
	{ "a trailer, byte by byte", trailer_byte_by_byte, 60 },
	{ "a trailer, line by line", trailer_line_by_line, 32 },
};

static void
a_byte_costs_no_more_than_the_table_says_however_many_there_are(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t size = 4096; size <= LARGEST; size *= 8) {
			steps = 0;
			rows[i].read(size);
			assert_cheap(rows[i].what, size, rows[i].most);
		}
	}
}

/* ---- Secrets ---- */

#define SECRET_SIZE 64u

/* Returns the steps of comparing a secret with the `size` bytes at `sent`. */
static uint64_t
steps_of(const char *secret, const char *sent, size_t size, bool same)
{
	const struct torc_slice slice = { (const uint8_t *)sent, size };
	bool found;

	steps = 0;
	found = torc_http_same_secret(slice, secret);
	assert_int_equal(found, same);
	return steps;
}

static void
a_secret_takes_the_same_steps_wherever_what_was_sent_differs(void **state)
{
	char secret[SECRET_SIZE + 1] = "", sent[SECRET_SIZE + 1];
	uint64_t right;

	(void)state;
	memset(secret, 'a', SECRET_SIZE);
	right = steps_of(secret, secret, SECRET_SIZE, true);
	/* It is counted: the steps are those of the bytes. */
	assert_true(right >= SECRET_SIZE);
	for (unsigned i = 0; i < SECRET_SIZE; i++) {
		memcpy(sent, secret, sizeof(sent));
		sent[i] = 'A';
		assert_int_equal(steps_of(secret, sent, SECRET_SIZE, false),
		    right);
	}
	/* Nor does the length of the secret show. */
	secret[SECRET_SIZE / 2] = '\0';
	assert_int_equal(steps_of(secret, sent, SECRET_SIZE, false), right);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_byte_costs_no_more_than_the_table_says_however_many_there_are),
		cmocka_unit_test(
		    a_secret_takes_the_same_steps_wherever_what_was_sent_differs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
