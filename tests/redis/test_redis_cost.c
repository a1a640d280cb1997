/* SPDX-License-Identifier: MIT */
/*
 * test_redis_cost.c - what a byte that comes from Redis costs at most, in
 * steps: the basic blocks of the codec that were run, and 16 bytes of what
 * memchr() has searched. A table has a row for each way of making it do the
 * same work again and again.
 *
 * wrap: memchr malloc
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cost.h"
#include "tests/seam.h"

#include "conn/redis/torc_resp.h"

#define EIGHT(text) text text text text text text text text

static size_t memory;		/* that was taken */

void *
__wrap_memchr(const void *data, int byte, size_t size)
{
	void *at = __real_memchr(data, byte, size);

	steps += (at == NULL ? size : (size_t)((const char *)at -
	    (const char *)data)) / 16;
	return at;
}

void *
__wrap_malloc(size_t size)
{
	memory += size;
	return __real_malloc(size);
}

/* ---- Reading ---- */

/* As a connection does it: what was not taken is shown again. */
static void
read_replies(size_t size, size_t step, bool past)
{
	static const struct torc_resp_limits limits = {
		.bytes_max = LARGEST, .items_max = LARGEST,
		.line_max = LARGEST };
	struct torc_resp_arena arena;
	struct torc_resp_tree tree;
	struct torc_redis_reply root;
	size_t at = 0, shown = 0;

	torc_resp_arena_init(&arena, NULL, 0);
	torc_resp_tree_init(&tree, &arena, &limits);
	while (at < size) {
		const uint8_t *data = (const uint8_t *)bytes + at;
		long rc;

		if (shown == at || shown < size)
			shown = size - shown > step ? shown + step : size;
		do {
			data = (const uint8_t *)bytes + at;
			rc = past ? torc_resp_pass(&tree.reader, data,
			    shown - at) : torc_resp_build(&tree, &root, data,
			    shown - at);
			assert_true(rc >= 0);
			at += (size_t)rc;
			if (rc > 0 && tree.reader.done) {
				torc_resp_arena_free(&arena);
				torc_resp_arena_init(&arena, NULL, 0);
			}
		} while (rc > 0 && at < shown);
	}
	assert_true(tree.reader.done);
	torc_resp_arena_free(&arena);
}

/* An array of `again`, of which there are as many as fit. */
static size_t
make_array(size_t size, char type, const char *again)
{
	char head[32];
	const size_t items = (size - 32) / strlen(again);

	snprintf(head, sizeof(head), "%c%zu\r\n", type, items);
	return make(strlen(head) + items * strlen(again), head, again, "");
}

static void
small_replies(size_t size)
{
	read_replies(make(size, "", ":1\r\n", ""), LARGEST, false);
}

static void
small_strings(size_t size)
{
	read_replies(make(size, "", "$1\r\nx\r\n", ""), LARGEST, false);
}

static void
large_array(size_t size)
{
	read_replies(make_array(size, '*', ":1\r\n"), LARGEST, false);
}

static void
array_byte_by_byte(size_t size)
{
	read_replies(make_array(size, '*', "$1\r\nx\r\n"), 1, false);
}

static void
empty_arrays(size_t size)
{
	read_replies(make_array(size, '*', "*0\r\n"), LARGEST, false);
}

static void
deep_arrays(size_t size)
{
	read_replies(make_array(size, '*', EIGHT("*1\r\n") EIGHT("*1\r\n")
	    EIGHT("*1\r\n") ":1\r\n"), LARGEST, false);
}

static void
attributes(size_t size)
{
	read_replies(make(size, "", EIGHT("|1\r\n+a\r\n*1\r\n:1\r\n") ":2\r\n",
	    ""), LARGEST, false);
}

static void
long_line(size_t size)
{
	read_replies(make(size, "+", "x", "\r\n"), LARGEST, false);
}

static void
line_byte_by_byte(size_t size)
{
	read_replies(make(size, "+", "x", "\r\n"), 1, false);
}

static void
string_byte_by_byte(size_t size)
{
	char head[32];

	snprintf(head, sizeof(head), "$%zu\r\n", size - 32);
	read_replies(make(strlen(head) + size - 32, head, "x", "\r\n"), 1,
	    false);
}

static void
long_doubles(size_t size)
{
	read_replies(make(size, ",1.", "0123456789", "e5\r\n"), LARGEST,
	    false);
}

static void
past_a_large_push(size_t size)
{
	read_replies(make_array(size, '>', "$1\r\nx\r\n"), LARGEST, true);
}

static void
past_the_deep(size_t size)
{
	read_replies(make(size, "", "*1\r\n", "+x\r\n"), LARGEST, true);
}

static void
past_byte_by_byte(size_t size)
{
	read_replies(make(size, "", "*1\r\n", "+x\r\n"), 1, true);
}

static void
past_a_line_byte_by_byte(size_t size)
{
	read_replies(make(size, "-", "x", "\r\n"), 1, true);
}

/* ---- Claims ---- */

/*
 * Steps and bytes of memory for each byte, at most: about twice what was
 * counted, for compilers differ. That they do not grow is what matters.
 */
static const struct {
	const char *what;
	void (*read)(size_t size);
	unsigned most;
	unsigned memory;
} rows[] = {
	{ "small replies", small_replies, 30, 0 },
	{ "small strings", small_strings, 20, 300 },
	{ "a large array", large_array, 30, 40 },
	{ "an array, byte by byte", array_byte_by_byte, 80, 20 },
	{ "empty arrays", empty_arrays, 40, 60 },
	{ "deep arrays", deep_arrays, 40, 60 },
	{ "attributes", attributes, 30, 0 },
	{ "a long line", long_line, 1, 3 },
	{ "a line, byte by byte", line_byte_by_byte, 50, 3 },
	{ "a string, byte by byte", string_byte_by_byte, 60, 3 },
	{ "long doubles", long_doubles, 30, 3 },
	{ "past a large push", past_a_large_push, 20, 0 },
	{ "past the deep", past_the_deep, 20, 0 },
	{ "past the deep, byte by byte", past_byte_by_byte, 60, 0 },
	{ "past a line, byte by byte", past_a_line_byte_by_byte, 20, 0 },
};

static void
a_byte_costs_no_more_than_the_table_says_however_many_there_are(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t size = 4096; size <= LARGEST; size *= 8) {
			steps = memory = 0;
			rows[i].read(size);
			if (getenv("TORC_SHOW") != NULL)
				print_message("%s, %zu: %.1f steps, %.1f "
				    "bytes\n", rows[i].what, size,
				    (double)steps / (double)size,
				    (double)memory / (double)size);
			assert_cheap(rows[i].what, size, rows[i].most);
			if (memory > rows[i].memory * size)
				fail_msg("%s, %zu bytes: %zu of memory",
				    rows[i].what, size, memory);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_byte_costs_no_more_than_the_table_says_however_many_there_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
