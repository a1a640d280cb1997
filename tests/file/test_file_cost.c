/* SPDX-License-Identifier: MIT */
/*
 * test_file_cost.c - what a byte of a request for a file costs at most, in
 * steps: the basic blocks that were run. A table has a row for each way of
 * making a reader of fields do the same work again and again.
 */
#include "tests/cost.h"

#include <stdio.h>
#include <string.h>

#include "conn/file/site.h"

#define FIELDS 8192u
#define FILE_SIZE 1000000u
#define TAG "\"1-2-3.4\""

static struct torc_http_field fields[FIELDS];

static struct torc_slice
text_of(size_t size, const char *first, const char *again, const char *last)
{
	const size_t length = make(size, first, again, last);

	return (struct torc_slice) { (const uint8_t *)bytes, length };
}

/* ---- Ranges ---- */

static void
read_ranges(struct torc_slice text)
{
	struct torc_file_range ranges[TORC_FILE_RANGES_MAX];

	(void)torc_file_ranges(ranges, TORC_FILE_RANGES_MAX, text, FILE_SIZE);
}

static void
ranges_of_nothing(size_t size)
{
	read_ranges(text_of(size, "bytes=", "2000000-,", "0-0"));
}

static void
ranges_of_little(size_t size)
{
	read_ranges(text_of(size, "bytes=", "1-1,", "0-0"));
}

static void
ranges_of_commas(size_t size)
{
	read_ranges(text_of(size, "bytes=", ",", "0-0"));
}

static void
ranges_of_white_space(size_t size)
{
	read_ranges(text_of(size, "bytes=", " \t", ",0-0"));
}

static void
ranges_of_digits(size_t size)
{
	read_ranges(text_of(size, "bytes=", "9", "-"));
}

/* ---- Entity tags ---- */

static const struct torc_file_validator file = {
	.tag = { (const uint8_t *)TAG, sizeof(TAG) - 1 },
	.modified = 1000000000, .dated = true, .exact = true,
};

/* As often as a field may be there. */
static void
look_for_tag(struct torc_slice list, unsigned count)
{
	const struct torc_http_head head = {
		.fields = fields, .field_count = count,
	};

	for (unsigned i = 0; i < count; i++)
		fields[i] = (struct torc_http_field) {
			torc_http_text("If-None-Match"), list,
		};
	assert_int_equal(torc_file_condition(&head, &file), 200);
	(void)torc_file_range_counts(&head, &file);
}

static void
tags_of_others(size_t size)
{
	look_for_tag(text_of(size, "", "\"1-2-3.5\",", "\"\""), 1);
}

static void
tags_that_are_empty(size_t size)
{
	look_for_tag(text_of(size, "", "\"\",", "\"\""), 1);
}

static void
tags_of_commas(size_t size)
{
	look_for_tag(text_of(size, "", ",", "\"\""), 1);
}

static void
tag_without_end(size_t size)
{
	look_for_tag(text_of(size, "\"", "x", ""), 1);
}

static void
tags_in_many_fields(size_t size)
{
	struct torc_slice list = torc_http_text("\"1-2-3.5\"");

	/* With its name, each has more than this. */
	look_for_tag(list, (unsigned)(size / 26 < FIELDS ? size / 26 :
	    FIELDS));
}

/* ---- Codings ---- */

static void
read_codings(struct torc_slice text)
{
	unsigned wanted[TORC_FILE_CODINGS];
	struct torc_http_field field = {
		torc_http_text("Accept-Encoding"), text,
	};
	const struct torc_http_head head = {
		.fields = &field, .field_count = 1,
	};

	torc_file_codings(wanted, &head);
}

static void
codings_of_gzip(size_t size)
{
	read_codings(text_of(size, "", "gzip;q=0.5,", "br"));
}

static void
codings_of_semicolons(size_t size)
{
	read_codings(text_of(size, "gzip", ";", ""));
}

static void
codings_of_commas(size_t size)
{
	read_codings(text_of(size, "", ",", "br"));
}

static void
codings_of_white_space(size_t size)
{
	read_codings(text_of(size, "gzip", " \t", ";q=1"));
}

/* ---- Targets ---- */

static void
read_target(struct torc_slice text)
{
	struct torc_file_target target;

	(void)torc_file_target(&target, text, false);
}

static void
target_of_dots(size_t size)
{
	read_target(text_of(size, "/", "a/../", "b"));
}

static void
target_of_one_dot(size_t size)
{
	read_target(text_of(size, "/", "./", "b"));
}

static void
target_of_slashes(size_t size)
{
	read_target(text_of(size, "/", "/", "b"));
}

static void
target_of_escapes(size_t size)
{
	read_target(text_of(size, "/", "%61%62/%2e%2e/", "b"));
}

static void
target_of_an_authority(size_t size)
{
	read_target(text_of(size, "http:/", "x:/", "/"));
}

static void
target_with_a_query(size_t size)
{
	read_target(text_of(size, "/a?", "?", ""));
}

/* ---- Dates ---- */

static void
dates(size_t size)
{
	struct torc_slice text = text_of(size, "Sun, 06 Nov 1994 08:49:37 ",
	    "G", "");
	int64_t seconds;

	assert_false(torc_file_date(text, &seconds));
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
	{ "ranges behind the end", ranges_of_nothing, 12 },
	{ "ranges of a byte", ranges_of_little, 1 },
	{ "a list of ranges of commas", ranges_of_commas, 14 },
	{ "ranges with white space", ranges_of_white_space, 6 },
	{ "a range with many digits", ranges_of_digits, 6 },
	{ "tags of other files", tags_of_others, 10 },
	{ "tags that are empty", tags_that_are_empty, 12 },
	{ "a list of tags of commas", tags_of_commas, 8 },
	{ "a tag without its end", tag_without_end, 8 },
	{ "tags in many fields", tags_in_many_fields, 8 },
	{ "a coding again and again", codings_of_gzip, 12 },
	{ "a coding with semicolons", codings_of_semicolons, 1 },
	{ "a list of codings of commas", codings_of_commas, 14 },
	{ "a coding with white space", codings_of_white_space, 6 },
	{ "a target of dots", target_of_dots, 26 },
	{ "a target of single dots", target_of_one_dot, 26 },
	{ "a target of slashes", target_of_slashes, 30 },
	{ "a target of escapes", target_of_escapes, 16 },
	{ "a target with a strange authority", target_of_an_authority, 1 },
	{ "a target with a query", target_with_a_query, 1 },
	{ "a long date", dates, 1 },
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

/* ---- What an answer costs ---- */

/* Ranges of one file: their parts have no more bytes than it has. */
static void
many_ranges_that_overlap_are_answered_with_the_whole_file(void **state)
{
	static const struct {
		const char *text;
		int count;
	} list[] = {
		{ "bytes=0-9,5-14", 2 }, { "bytes=0-9,5-14,10-19", 3 },
		{ "bytes=0-9,5-14,10-19,15-24", 0 },
		{ "bytes=0-0,0-0,0-0,0-0", 0 }, { "bytes=-1,-1,-1,-1", 0 },
		{ "bytes=0-99,10-19,30-39,50-59", 0 },
		{ "bytes=10-19,30-39,50-59,0-99", 2 + 2 },
		{ "bytes=0-9,10-19,20-29,30-39", 4 },	/* beside each other */
		{ "bytes=30-39,20-29,10-19,0-9", 4 },
		{ "bytes=0-,-1", 0 },		/* more than the file */
		{ "bytes=0-999998,0-0", 2 }, { "bytes=0-999998,0-1", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(list); i++) {
		struct torc_file_range ranges[TORC_FILE_RANGES_MAX];
		int count = torc_file_ranges(ranges, TORC_FILE_RANGES_MAX,
		    torc_http_text(list[i].text), FILE_SIZE);

		if (count != list[i].count)
			fail_msg("%s: %d", list[i].text, count);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_byte_costs_no_more_than_the_table_says_however_many_there_are),
		cmocka_unit_test(
		    many_ranges_that_overlap_are_answered_with_the_whole_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
