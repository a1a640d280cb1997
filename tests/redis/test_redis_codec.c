/* SPDX-License-Identifier: MIT */
/*
 * test_redis_codec.c - RESP: values of both versions, in any pieces, and what
 * is refused.
 *
 * wrap: memchr
 */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"
#include "tests/seam.h"

#include "conn/redis/torc_resp.h"

/* ---- Bytes that are searched ---- */

static size_t searched;

void *
__wrap_memchr(const void *data, int byte, size_t size)
{
	searched += size;
	return __real_memchr(data, byte, size);
}

struct read {
	struct torc_resp_arena arena;
	struct torc_resp_tree tree;
	struct torc_redis_reply root;
	size_t taken;
	long rc;		/* 1: whole, 0: more, or an error */
};

/* In steps of `step` bytes; each is in memory that ends there. */
static void
read_bytes(struct read *read, const char *text, size_t size, size_t step,
    const struct torc_resp_limits *limits)
{
	size_t end = 0;

	memset(read, 0, sizeof(*read));
	torc_resp_arena_init(&read->arena, NULL, 0);
	torc_resp_tree_init(&read->tree, &read->arena, limits);
	while (end < size && read->rc >= 0 && !read->tree.reader.done) {
		uint8_t *part;

		end = size - end > step ? end + step : size;
		part = malloc(end - read->taken);
		memcpy(part, text + read->taken, end - read->taken);
		read->rc = torc_resp_build(&read->tree, &read->root, part,
		    end - read->taken);
		free(part);
		read->taken += read->rc > 0 ? (size_t)read->rc : 0;
	}
	if (read->rc >= 0)
		read->rc = read->tree.reader.done;
}

static void
end(struct read *read)
{
	torc_resp_arena_free(&read->arena);
}

/* All of `text`, in pieces of every size; the last one is kept. */
static void
read_text(struct read *read, const char *text)
{
	const size_t size = strlen(text);

	for (size_t step = 1; step <= size; step++) {
		if (step > 1)
			end(read);
		read_bytes(read, text, size, step, NULL);
		assert_int_equal(read->rc, 1);
		assert_int_equal(read->taken, size);
	}
}

static long
verdict(const char *text, const struct torc_resp_limits *limits)
{
	struct read read;

	read_bytes(&read, text, strlen(text), SIZE_MAX, limits);
	end(&read);
	return read.rc;
}

static void
expect_text(const struct torc_redis_reply *reply, enum torc_redis_type type,
    const char *text)
{
	assert_int_equal(reply->type, type);
	assert_int_equal(reply->size, strlen(text));
	assert_string_equal(reply->text, text);
}

/* ---- Claims ---- */

static void
values_of_resp2_are_read_in_any_pieces(void **state)
{
	struct read read;
	const struct torc_redis_reply *items;

	(void)state;
	read_text(&read, "*8\r\n+OK\r\n-ERR no\r\n:-42\r\n$5\r\na\r\nbc\r\n"
	    "$0\r\n\r\n$-1\r\n*-1\r\n*2\r\n:9223372036854775807\r\n"
	    ":-9223372036854775808\r\n");
	assert_int_equal(read.root.type, TORC_REDIS_ARRAY);
	assert_int_equal(read.root.size, 8);
	items = read.root.items;
	expect_text(&items[0], TORC_REDIS_STATUS, "OK");
	expect_text(&items[1], TORC_REDIS_ERROR, "ERR no");
	assert_int_equal(items[2].type, TORC_REDIS_INTEGER);
	assert_int_equal(items[2].integer, -42);
	expect_text(&items[3], TORC_REDIS_STRING, "a\r\nbc");
	expect_text(&items[4], TORC_REDIS_STRING, "");
	assert_int_equal(items[5].type, TORC_REDIS_NIL);
	assert_int_equal(items[6].type, TORC_REDIS_NIL);
	assert_true(items[7].items[0].integer == INT64_MAX);
	assert_true(items[7].items[1].integer == INT64_MIN);
	end(&read);
}

static void
values_of_resp3_are_read_in_any_pieces(void **state)
{
	struct read read;
	const struct torc_redis_reply *items;

	(void)state;
	read_text(&read, "*10\r\n#t\r\n#f\r\n,-1.5e3\r\n,inf\r\n,nan\r\n"
	    "(-12345678901234567890\r\n!5\r\nERR x\r\n=8\r\ntxt:some\r\n"
	    "%1\r\n+key\r\n~2\r\n:1\r\n:2\r\n_\r\n");
	items = read.root.items;
	assert_int_equal(items[0].type, TORC_REDIS_BOOLEAN);
	assert_int_equal(items[0].integer, 1);
	assert_int_equal(items[1].integer, 0);
	assert_true(items[2].number <= -1500 && items[2].number >= -1500);
	assert_true(isinf(items[3].number) && items[3].number > 0);
	assert_true(isnan(items[4].number));
	expect_text(&items[5], TORC_REDIS_BIG, "-12345678901234567890");
	expect_text(&items[6], TORC_REDIS_ERROR, "ERR x");
	expect_text(&items[7], TORC_REDIS_VERBATIM, "txt:some");
	assert_int_equal(items[8].type, TORC_REDIS_MAP);
	assert_int_equal(items[8].size, 2);
	expect_text(&items[8].items[0], TORC_REDIS_STATUS, "key");
	assert_int_equal(items[8].items[1].type, TORC_REDIS_SET);
	assert_int_equal(items[8].items[1].items[1].integer, 2);
	assert_int_equal(items[9].type, TORC_REDIS_NIL);
	end(&read);
}

static void
an_attribute_is_no_value(void **state)
{
	struct read read;

	(void)state;
	read_text(&read, "|1\r\n+ttl\r\n*2\r\n:1\r\n:2\r\n"
	    "*2\r\n|1\r\n+a\r\n+b\r\n:7\r\n|0\r\n:8\r\n");
	assert_int_equal(read.root.size, 2);
	assert_int_equal(read.root.items[0].integer, 7);
	assert_int_equal(read.root.items[1].integer, 8);
	end(&read);
}

static void
replies_in_one_view_are_read_one_by_one(void **state)
{
	static const char text[] = ":1\r\n>1\r\n+news\r\n$2\r\nab\r\n";
	struct torc_resp_reader reader;
	struct torc_resp_item item;
	unsigned replies = 0;
	size_t at = 0;

	(void)state;
	torc_resp_init(&reader, NULL);
	while (at < sizeof(text) - 1) {
		long rc = torc_resp_read(&reader, (const uint8_t *)text + at,
		    sizeof(text) - 1 - at, &item);

		assert_true(rc > 0);
		at += (size_t)rc;
		replies += reader.done;
	}
	assert_int_equal(replies, 3);
}

/* The first `cut` bytes of a reply come before all others. */
static void
a_reply_that_was_cut_leaves_the_next_one_alone(void **state)
{
	static const char text[] = "$12\r\nabcdefghijkl\r\n$1\r\nx\r\n:7\r\n";
	const size_t size = sizeof(text) - 1;

	(void)state;
	for (size_t cut = 0; cut < size; cut++) {
		struct torc_resp_arena arena;
		struct torc_resp_tree tree;
		struct torc_redis_reply root;
		unsigned replies = 0;
		size_t at = 0;

		torc_resp_arena_init(&arena, NULL, 0);
		torc_resp_tree_init(&tree, &arena, NULL);
		for (unsigned i = 0; i < 8; i++) {
			long rc = torc_resp_build(&tree, &root,
			    (const uint8_t *)text + at,
			    (i == 0 ? cut : size) - at);

			assert_true(rc >= 0);
			at += (size_t)rc;
			replies += rc > 0 && tree.reader.done;
			if (at == size)
				break;
		}
		assert_int_equal(replies, 3);
		assert_int_equal(root.integer, 7);
		torc_resp_arena_free(&arena);
	}
}

static void
a_string_larger_than_the_view_is_consumed_as_it_comes(void **state)
{
	const size_t size = 1 << 20;
	struct torc_resp_reader reader;
	struct torc_resp_item item;
	uint8_t view[4096];
	size_t got = 0;
	long rc;

	(void)state;
	torc_resp_init(&reader, NULL);
	memset(view, 'x', sizeof(view));
	rc = torc_resp_read(&reader, (const uint8_t *)"$1048576\r\n", 10,
	    &item);
	assert_int_equal(rc, 10);
	assert_true(item.first && item.left == size && !reader.done);
	while (item.left > sizeof(view)) {
		rc = torc_resp_read(&reader, view, sizeof(view), &item);
		assert_int_equal(rc, sizeof(view));
		assert_false(item.first);
		got += item.piece.size;
	}
	assert_int_equal(item.left, sizeof(view));
	/* The last byte comes with the end of line. */
	rc = torc_resp_read(&reader, view, item.left, &item);
	assert_int_equal(item.left, 1);
	got += (size_t)rc;
	rc = torc_resp_read(&reader, (const uint8_t *)"x\r", 2, &item);
	assert_int_equal(rc, 0);
	rc = torc_resp_read(&reader, (const uint8_t *)"x\r\n", 3, &item);
	assert_int_equal(rc, 3);
	assert_true(reader.done);
	assert_int_equal(got + item.piece.size, size);
}

static void
a_reply_that_is_100000_deep_is_refused_and_one_of_8_is_accepted(void **state)
{
	char *text = malloc(4 * 100000 + 5);
	size_t size = 0;

	(void)state;
	for (unsigned depth = 1; depth <= 100000; depth++) {
		size += (size_t)sprintf(text + size, "*1\r\n");
		if (depth > 33 && depth < 100000)
			continue;
		strcpy(text + size, ":1\r\n");
		assert_int_equal(verdict(text, NULL),
		    depth <= 32 ? 1 : -ELOOP);
	}
	strcpy(text, "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:8\r\n");
	assert_int_equal(verdict(text, NULL), 1);
	free(text);
}

static void
each_limit_has_its_own_error_and_is_the_last_that_is_accepted(void **state)
{
	const struct torc_resp_limits limits = { .bytes_max = 10,
		.items_max = 4, .depth_max = 2, .line_max = 8 };

	(void)state;
	assert_int_equal(verdict("*2\r\n$5\r\n12345\r\n$5\r\n12345\r\n",
	    &limits), 1);
	assert_int_equal(verdict("*2\r\n$5\r\n12345\r\n$6\r\n", &limits),
	    -EMSGSIZE);
	assert_int_equal(verdict("*2\r\n*2\r\n:1\r\n:2\r\n:3\r\n", &limits),
	    1);
	assert_int_equal(verdict("*2\r\n*3\r\n", &limits), -E2BIG);
	assert_int_equal(verdict("%3\r\n", &limits), -E2BIG);
	assert_int_equal(verdict("*1\r\n*1\r\n*1\r\n:1\r\n", &limits),
	    -ELOOP);
	assert_int_equal(verdict("+12345678\r\n", &limits), 1);
	assert_int_equal(verdict("+123456789\r\n", &limits), -ENAMETOOLONG);
	assert_int_equal(verdict("+123456789", &limits), 0);
	assert_int_equal(verdict("+1234567890", &limits), -ENAMETOOLONG);
}

static void
lengths_that_would_wrap_are_refused(void **state)
{
	(void)state;
	assert_int_equal(verdict("$9223372036854775807\r\n", NULL),
	    -EMSGSIZE);
	assert_int_equal(verdict("$9223372036854775808\r\n", NULL), -EBADMSG);
	assert_int_equal(verdict("*9223372036854775807\r\n", NULL), -E2BIG);
	assert_int_equal(verdict("%9223372036854775807\r\n", NULL), -E2BIG);
	assert_int_equal(verdict("$18446744073709551621\r\nhello\r\n", NULL),
	    -EBADMSG);
	assert_int_equal(verdict(":9223372036854775808\r\n", NULL), -EBADMSG);
	assert_int_equal(verdict("$5\r\nhello\r\n", NULL), 1);
}

/* The protocol allows it, although servers leave it out. */
static void
a_number_may_have_a_plus(void **state)
{
	(void)state;
	assert_int_equal(verdict(":+9223372036854775807\r\n", NULL), 1);
	assert_int_equal(verdict(":+9223372036854775808\r\n", NULL), -EBADMSG);
	assert_int_equal(verdict("(+12345678901234567890\r\n", NULL), 1);
	assert_int_equal(verdict(",+1.5\r\n", NULL), 1);
}

static void
what_is_not_resp_is_refused(void **state)
{
	static const char *const bad[] = {
		"hello\r\n", "HTTP/1.1 400 Bad Request\r\n", ":\r\n",
		":1x\r\n", ":01\r\n", ":+-1\r\n", ":-\r\n", "$-2\r\n",
		":+\r\n", "$+1\r\na\r\n", "*+0\r\n", "(+\r\n", "(+-1\r\n",
		"*-2\r\n", "%-1\r\n", "$\r\n", "$x\r\n", "$3\r\nabcd\r\n",
		"$3\r\nab\r\n\r\n", "+a\nb\r\n", "+a\rb\r\n", "+ok\n",
		"#x\r\n", "#\r\n", "#tt\r\n", "_x\r\n", ",\r\n", ",1.5x\r\n",
		",0x10\r\n", ",1e\r\n", ",1e+\r\n", ",.\r\n",
		",1.5.2\r\n", ",--1\r\n", ",nan(\r\n", ",nan()x\r\n",
		",info\r\n", ",in\r\n", ",1,5\r\n", ",1 \r\n", ",e5\r\n",
		"(\r\n", "(1.5\r\n", "=3\r\ntxt\r\n",
		"*1\r\n>1\r\n:1\r\n", "$?\r\n", "*?\r\n", "\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (verdict(bad[i], NULL) != -EBADMSG)
			fail_msg("accepted: %s", bad[i]);
	}
}

/* ---- Doubles ---- */

static double
number_of(const char *text)
{
	char line[600];
	struct read read;
	double number;

	snprintf(line, sizeof(line), ",%s\r\n", text);
	read_bytes(&read, line, strlen(line), SIZE_MAX, NULL);
	if (read.rc != 1)
		fail_msg("refused: %s", text);
	expect_text(&read.root, TORC_REDIS_DOUBLE, text);
	number = read.root.number;
	end(&read);
	return number;
}

static void
expect_number(const char *text, double number)
{
	const double got = number_of(text);

	if (memcmp(&got, &number, sizeof(got)) != 0)
		fail_msg("%s is read as %.17g", text, got);
}

static void
doubles_are_read_in_all_spellings(void **state)
{
	static const char *const infinite[] = { "inf", "INF", "+inf",
		"Infinity", "INFINITY", "1e400", "1e99999999999999999999" };
	static const char *const none[] = { "nan", "-nan", "NAN", "+nan",
		"nan(0x7ff)", "-nan(123)", "NaN", "nan(snan)", "nan()" };
	char longest[512];

	(void)state;
	for (size_t i = 0; i < sizeof(infinite) / sizeof(infinite[0]); i++)
		expect_number(infinite[i], (double)INFINITY);
	expect_number("-inf", -(double)INFINITY);
	expect_number("-Infinity", -(double)INFINITY);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_true(isnan(number_of(none[i])));
	expect_number("10", 10);
	expect_number("+10", 10);
	expect_number("-0", -0.0);
	expect_number("0.1", 0.1);
	expect_number(".5", 0.5);
	expect_number("5.", 5);
	expect_number("1e300", 1e300);
	expect_number("1.5E-7", 1.5e-7);
	expect_number("00012.500e+0002", 1250);
	expect_number("1e-99999999999999999999", 0);
	expect_number("0.30000000000000004", 0.1 + 0.2);
	expect_number("4.9406564584124654e-324", 4.9406564584124654e-324);
	expect_number("1.7976931348623157e308", 1.7976931348623157e308);
	/* As "%f" writes it. */
	snprintf(longest, sizeof(longest), "%f", 1.7976931348623157e308);
	expect_number(longest, 1.7976931348623157e308);
}

/* The middle of two doubles, and what is a little more, far behind. */
static void
no_digit_of_a_double_is_lost(void **state)
{
	static char text[2000];
	size_t size = (size_t)snprintf(text, sizeof(text),
	    "1.00000000000000011102230246251565404236316680908203125");

	(void)state;
	memset(text + size, '0', 1400 - size);
	text[1400] = '\0';
	for (size_t length = size; length < 1400; length += 7) {
		struct read read;
		char line[2000];

		for (unsigned more = 0; more < 2; more++) {
			snprintf(line, sizeof(line), ",%.*s%s\r\n",
			    (int)length, text, more ? "1" : "");
			read_bytes(&read, line, strlen(line), SIZE_MAX, NULL);
			assert_int_equal(read.rc, 1);
			assert_int_equal(read.root.number > 1, more);
			end(&read);
		}
	}
}

static void
doubles_do_not_depend_on_the_locale(void **state)
{
	static const char *const names[] = { "de_DE", "ps_AF" };
	char folder[] = "/tmp/torc-locale-XXXXXX";
	char command[256];

	(void)state;
	assert_non_null(mkdtemp(folder));
	setenv("LOCPATH", folder, 1);
	for (size_t i = 0; i < 2; i++) {
		char text[32];

		snprintf(command, sizeof(command),
		    "localedef -i %s -f UTF-8 %s/%s.UTF-8 2>/dev/null",
		    names[i], folder, names[i]);
		assert_int_equal(system(command) >> 8 & ~1, 0);
		snprintf(command, sizeof(command), "%s.UTF-8", names[i]);
		assert_non_null(setlocale(LC_ALL, command));
		snprintf(text, sizeof(text), "%.2f", 3.25);
		assert_null(strchr(text, '.'));
		expect_number("3.25", 3.25);
		expect_number("-1.5e-3", -1.5e-3);
		assert_int_equal(verdict(",3,25\r\n", NULL), -EBADMSG);
		assert_int_equal(verdict(",3\xd9\xab" "25\r\n", NULL),
		    -EBADMSG);
	}
	setlocale(LC_ALL, "C");
	unsetenv("LOCPATH");
	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

/* ---- What costs time ---- */

static void
a_line_that_comes_byte_by_byte_is_searched_once(void **state)
{
	enum { SIZE = 16000 };
	char *text = malloc(SIZE + 4);
	struct read read;

	(void)state;
	memset(text, 'x', SIZE);
	text[0] = '+';
	memcpy(text + SIZE, "\r\n", 3);
	searched = 0;
	read_bytes(&read, text, SIZE + 2, 1, NULL);
	assert_int_equal(read.rc, 1);
	assert_int_equal(read.root.size, SIZE - 1);
	end(&read);
	/* For its end, and for an end of line within it. */
	assert_true(searched <= 2 * (SIZE + 2));
	free(text);
}

/* ---- What is over a limit ---- */

/* A reply that is refused, and one behind it, in pieces of `step` bytes. */
static void
read_refused_and_next(const char *text, size_t step, long error)
{
	const struct torc_resp_limits limits = { .bytes_max = 6,
		.items_max = 6, .depth_max = 3, .line_max = 10 };
	struct torc_resp_arena arena, before;
	struct torc_resp_tree tree;
	struct torc_redis_reply root;
	size_t size = strlen(text), at = 0, shown = 0;
	unsigned replies = 0;
	long refused = 0;

	torc_resp_arena_init(&arena, NULL, 0);
	before = arena;
	torc_resp_tree_init(&tree, &arena, &limits);
	while (replies < 2 && shown < size) {
		long rc;

		shown = size - shown > step ? shown + step : size;
		do {
			const uint8_t *data = (const uint8_t *)text + at;

			rc = refused != 0 && replies == 0 ?
			    torc_resp_pass(&tree.reader, data, shown - at) :
			    torc_resp_build(&tree, &root, data, shown - at);
			if (rc < 0) {
				assert_int_equal(rc, error);
				assert_int_equal(refused, 0);
				refused = rc;
				torc_resp_arena_rewind(&arena, &before);
				at += tree.taken;
				rc = 1;
				continue;
			}
			at += (size_t)rc;
			replies += tree.reader.done;
		} while (rc > 0 && at < shown && replies < 2);
	}
	if (replies != 2 || refused != error || at != size)
		fail_msg("%s: %u replies, %ld", text, replies, refused);
	expect_text(&root, TORC_REDIS_STRING, "next");
	torc_resp_arena_free(&arena);
}

#define NEXT "$4\r\nnext\r\n"

static void
what_is_over_a_limit_is_read_past_and_the_next_reply_is_right(void **state)
{
	static const struct {
		const char *text;
		long error;
	} replies[] = {
		{ "$7\r\n1234567\r\n" NEXT, -EMSGSIZE },
		{ "*2\r\n$4\r\n1234\r\n$4\r\n1234\r\n" NEXT, -EMSGSIZE },
		{ "*2\r\n*1\r\n$7\r\n\r\n*1\r\n\n\r\n+x\r\n" NEXT,
		    -EMSGSIZE },
		{ "*7\r\n:1\r\n$-1\r\n*-1\r\n_\r\n#t\r\n,1\r\n*0\r\n"
		    NEXT, -E2BIG },
		{ "%4\r\n+a\r\n:1\r\n+b\r\n%1\r\n+x\r\n~0\r\n+c\r\n:3\r\n"
		    "+d\r\n%0\r\n" NEXT, -E2BIG },
		{ "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*2\r\n:1\r\n$0\r\n\r\n"
		    NEXT, -ELOOP },
		{ "*2\r\n|1\r\n+a\r\n*1\r\n*1\r\n:1\r\n:2\r\n:3\r\n"
		    NEXT, -ELOOP },
		{ "|1\r\n+a\r\n|1\r\n+b\r\n*1\r\n*1\r\n:1\r\n:2\r\n:3\r\n"
		    NEXT, -ELOOP },
		{ "+12345678901\r\n" NEXT, -ENAMETOOLONG },
		{ "*2\r\n-12345678901234567890\r\n:1\r\n" NEXT,
		    -ENAMETOOLONG },
		{ ">7\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n"
		    "=5\r\ntxt:a\r\n" NEXT, -E2BIG },
		{ "!8\r\n$1\r\n\r\nab\r\n" NEXT, -EMSGSIZE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		for (size_t step = 1; step <= strlen(replies[i].text); step++)
			read_refused_and_next(replies[i].text, step,
			    replies[i].error);
	}
}

static long
pass(const char *text)
{
	struct torc_resp_reader reader;

	torc_resp_init(&reader, NULL);
	return torc_resp_pass(&reader, (const uint8_t *)text, strlen(text));
}

static void
what_is_not_resp_is_not_read_past(void **state)
{
	static const char *const bad[] = { "hello\r\n", "$3\r\nabcd\r\n",
		"$x\r\n", "$\r\n", "*-2\r\n", "+a\n", "$1\n\nx\r\n",
		"*9999999999999999999\r\n", "*1111111111111111111111111",
		"*999999999999999999\r\n*999999999999999999\r\n"
		    "*999999999999999999\r\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (pass(bad[i]) != -EBADMSG)
			fail_msg("read past: %s", bad[i]);
	}
	assert_int_equal(pass("*2\r\n+a\r\n:1\r\n+b\r\n"), 12);
}

static void
a_truncated_reply_is_never_whole(void **state)
{
	static const char text[] = "*3\r\n$5\r\nhello\r\n%1\r\n+k\r\n,1.5\r\n"
	    "|1\r\n+a\r\n+b\r\n#t\r\n";

	(void)state;
	for (size_t size = 1; size < sizeof(text) - 1; size++) {
		struct read read;

		read_bytes(&read, text, size, SIZE_MAX, NULL);
		assert_int_equal(read.rc, 0);
		end(&read);
	}
	assert_int_equal(verdict(text, NULL), 1);
}

static void
a_command_is_an_array_of_strings_of_any_bytes(void **state)
{
	static const struct torc_slice argv[] = {
		{ (const uint8_t *)"SET", 3 },
		{ (const uint8_t *)"a\r\nb\0c", 6 },
		{ NULL, 0 },
	};
	static const char wire[] =
	    "*3\r\n$3\r\nSET\r\n$6\r\na\r\nb\0c\r\n$0\r\n\r\n";
	uint8_t to[64];

	(void)state;
	assert_int_equal(torc_resp_command_size(argv, 3), sizeof(wire) - 1);
	assert_int_equal(torc_resp_put_command(to, argv, 3),
	    sizeof(wire) - 1);
	assert_memory_equal(to, wire, sizeof(wire) - 1);
}

/* One way to read the bytes is tried against another: the same, or fail. */
static void
expect_same(const struct read *whole, const struct read *parts)
{
	assert_int_equal(whole->rc, parts->rc);
	if (whole->rc != 1)
		return;
	assert_int_equal(whole->taken, parts->taken);
	assert_int_equal(whole->root.type, parts->root.type);
	assert_int_equal(whole->root.size, parts->root.size);
	assert_int_equal(whole->root.integer, parts->root.integer);
	assert_memory_equal(whole->root.text, parts->root.text,
	    whole->root.size + 1);
}

static void
a_string_that_is_all_there_is_read_as_one_in_pieces(void **state)
{
	static const struct {
		const char *text;
		long rc;
	} replies[] = {
		{ "$1\r\nx\r\n", 1 }, { "$5\r\nhello\r\n:1\r\n", 1 },
		{ "$10\r\n0123456789\r\n", 1 }, { "$4\r\n\r\n\r\n\r\n", 1 },
		{ "$0\r\n\r\n", 1 }, { "$11\r\n0123456789a\r\n", -EMSGSIZE },
		{ "|1\r\n+a\r\n$4\r\nbcde\r\n$5\r\n12345\r\n", 1 },
		{ "|1\r\n+a\r\n$4\r\nbcde\r\n$6\r\n123456\r\n", -EMSGSIZE },
		{ "$100\r\n", -ENAMETOOLONG }, { "$01\r\nx\r\n", -EBADMSG },
		{ "$1\n\nx\r\n", -EBADMSG }, { "$1\r\rx\r\n", -ENAMETOOLONG },
		{ "$1\r\nx\n\r", -EBADMSG }, { "$1\r\nxy\r\n", -EBADMSG },
		{ "$1x\r\nx\r\n", -EBADMSG }, { "$-2\r\nx\r\n", -EBADMSG },
		{ "$5\r\nhello\r", 0 }, { "$5\r\nhell\r\n", 0 },
	};
	const struct torc_resp_limits limits = { .bytes_max = 10,
		.line_max = 2 };
	const struct torc_resp_limits narrow = { .line_max = 1 };

	(void)state;
	assert_int_equal(verdict("$9\r\n012345678\r\n", &narrow), 1);
	assert_int_equal(verdict("$10\r\n0123456789\r\n", &narrow),
	    -ENAMETOOLONG);
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		const char *text = replies[i].text;
		struct read whole, parts;

		read_bytes(&whole, text, strlen(text), SIZE_MAX, &limits);
		if (whole.rc != replies[i].rc)
			fail_msg("%s: %ld", text, whole.rc);
		for (size_t step = 1; step < strlen(text); step++) {
			read_bytes(&parts, text, strlen(text), step, &limits);
			expect_same(&whole, &parts);
			end(&parts);
		}
		end(&whole);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_of_resp2_are_read_in_any_pieces),
		cmocka_unit_test(values_of_resp3_are_read_in_any_pieces),
		cmocka_unit_test(an_attribute_is_no_value),
		cmocka_unit_test(replies_in_one_view_are_read_one_by_one),
		cmocka_unit_test(
		    a_reply_that_was_cut_leaves_the_next_one_alone),
		cmocka_unit_test(
		    a_string_larger_than_the_view_is_consumed_as_it_comes),
		cmocka_unit_test(
		    a_reply_that_is_100000_deep_is_refused_and_one_of_8_is_accepted),
		cmocka_unit_test(
		    each_limit_has_its_own_error_and_is_the_last_that_is_accepted),
		cmocka_unit_test(lengths_that_would_wrap_are_refused),
		cmocka_unit_test(what_is_not_resp_is_refused),
		cmocka_unit_test(a_number_may_have_a_plus),
		cmocka_unit_test(doubles_are_read_in_all_spellings),
		cmocka_unit_test(no_digit_of_a_double_is_lost),
		cmocka_unit_test(doubles_do_not_depend_on_the_locale),
		cmocka_unit_test(
		    a_line_that_comes_byte_by_byte_is_searched_once),
		cmocka_unit_test(
		    what_is_over_a_limit_is_read_past_and_the_next_reply_is_right),
		cmocka_unit_test(what_is_not_resp_is_not_read_past),
		cmocka_unit_test(a_truncated_reply_is_never_whole),
		cmocka_unit_test(
		    a_command_is_an_array_of_strings_of_any_bytes),
		cmocka_unit_test(
		    a_string_that_is_all_there_is_read_as_one_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
