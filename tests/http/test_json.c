/* SPDX-License-Identifier: MIT */
/*
 * test_json.c - the writer of JSON: what it writes is JSON, whatever it is
 * given, in each locale and with any memory; and what is none is an error that
 * stays.
 */
#include "tests/harness.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conn/http/torc_service.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- What is written ---- */

struct text {
	char bytes[4096];
	size_t size;
	unsigned puts;
	int error;		/* that put() returns */
};

static int
put(const void *data, size_t size, void *arg)
{
	struct text *text = arg;

	text->puts++;
	if (text->error != 0)
		return text->error;
	assert_true(text->size + size < sizeof(text->bytes));
	memcpy(text->bytes + text->size, data, size);
	text->size += size;
	return 0;
}

static void
write_all(struct torc_json *json)
{
	torc_json_object_begin(json);
	torc_json_name(json, "a");
	torc_json_array_begin(json);
	torc_json_int(json, -1);
	torc_json_uint(json, UINT64_MAX);
	torc_json_int(json, INT64_MIN);
	torc_json_array_begin(json);
	torc_json_array_end(json);
	torc_json_object_begin(json);
	torc_json_object_end(json);
	torc_json_array_end(json);
	torc_json_name(json, "b\"");
	torc_json_bool(json, true);
	torc_json_name(json, "c");
	torc_json_null(json);
	torc_json_name(json, "d");
	torc_json_text(json, NULL);
	torc_json_name(json, "e");
	torc_json_double(json, 0.1);
	torc_json_name(json, "f");
	torc_json_raw(json, torc_http_text("[1]"));
	torc_json_name(json, "g");
	torc_json_text(json, "");
	torc_json_object_end(json);
}

static const char all[] = "{\"a\":[-1,18446744073709551615,"
    "-9223372036854775808,[],{}],\"b\\\"\":true,\"c\":null,\"d\":null,"
    "\"e\":0.1,\"f\":[1],\"g\":\"\"}";

static void
values_are_written_with_commas_where_they_belong(void **state)
{
	struct torc_json json;
	char memory[1024];

	(void)state;
	torc_json_begin(&json, memory, sizeof(memory), NULL, NULL);
	write_all(&json);
	assert_int_equal(torc_json_end(&json), strlen(all));
	assert_memory_equal(memory, all, strlen(all));
}

/* Such as a column of a database that has none. */
static void
a_raw_value_of_no_bytes_is_none(void **state)
{
	struct torc_json json;
	char memory[64];

	(void)state;
	torc_json_begin(&json, memory, sizeof(memory), NULL, NULL);
	torc_json_array_begin(&json);
	torc_json_raw(&json, (struct torc_slice) { NULL, 0 });
	torc_json_array_end(&json);
	assert_int_equal(torc_json_end(&json), -EINVAL);
}

static void
the_size_of_the_memory_does_not_change_the_text(void **state)
{
	char memory[200];

	(void)state;
	for (size_t size = 32; size <= sizeof(memory); size++) {
		struct text text = { .size = 0 };
		struct torc_json json;

		torc_json_begin(&json, memory, size, put, &text);
		write_all(&json);
		assert_int_equal(torc_json_end(&json), strlen(all));
		assert_int_equal(text.size, strlen(all));
		assert_memory_equal(text.bytes, all, text.size);
	}
}

/* What a text is as a value, without its quotes. */
static void
assert_string(const void *bytes, size_t size, const char *wanted)
{
	const struct torc_slice slice = { bytes, size };
	struct torc_json json;
	char memory[256];
	int64_t written;

	torc_json_begin(&json, memory, sizeof(memory), NULL, NULL);
	torc_json_slice(&json, slice);
	written = torc_json_end(&json);
	assert_int_equal(written, strlen(wanted) + 2);
	memory[written - 1] = '\0';
	assert_int_equal(memory[0], '"');
	assert_string_equal(memory + 1, wanted);
}

static void
text_is_escaped_where_it_must_be_and_nowhere_else(void **state)
{
	char wanted[16];

	(void)state;
	assert_string("a/<b>\x7f'", 7, "a/<b>\x7f'");
	assert_string("\"\\\b\f\n\r\t", 7, "\\\"\\\\\\b\\f\\n\\r\\t");
	assert_string("\0", 1, "\\u0000");
	for (uint8_t c = 0; c < 32; c++) {
		if (c >= 8 && c <= 13 && c != 11)
			continue;
		snprintf(wanted, sizeof(wanted), "\\u%04x", c);
		assert_string(&c, 1, wanted);
	}
	assert_string(NULL, 0, "");
}

static void
text_that_is_no_utf8_becomes_replacement_characters(void **state)
{
	static const struct {
		const char *given;
		const char *wanted;
	} cases[] = {
		{ "\xc3\xa4", "\xc3\xa4" },
		{ "\xe2\x82\xac", "\xe2\x82\xac" },
		{ "\xf0\x9f\x98\x80!", "\xf0\x9f\x98\x80!" },
		{ "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf" },
		{ "\xed\x9f\xbf", "\xed\x9f\xbf" },
		{ "a\xff" "b", "a\xef\xbf\xbd" "b" },
		{ "\xc3", "\xef\xbf\xbd" },
		{ "\xc3\"", "\xef\xbf\xbd\\\"" },
		{ "\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xe0\x9f\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
		    "\xef\xbf\xbd" },
		{ "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\x80", "\xef\xbf\xbd" },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++)
		assert_string(cases[i].given, strlen(cases[i].given),
		    cases[i].wanted);
}

/* ---- Numbers ---- */

static void
number(char text[64], double value)
{
	struct torc_json json;
	int64_t size;

	torc_json_begin(&json, text, 63, NULL, NULL);
	torc_json_double(&json, value);
	size = torc_json_end(&json);
	assert_true(size > 0);
	text[size] = '\0';
}

static void
assert_numbers(void)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {
		{ 0, "0" }, { 1, "1" }, { -1.5, "-1.5" }, { 0.1, "0.1" },
		{ 0.1 + 0.2, "0.30000000000000004" }, { 1e21, "1e+21" },
		{ 5e-324, "4.94065645841247e-324" },
		{ 1.7976931348623157e308, "1.7976931348623157e+308" },
		{ 9007199254740993.0, "9007199254740992" },
		{ 1234567.25, "1234567.25" },
	};
	char text[64];

	for (unsigned i = 0; i < COUNT(cases); i++) {
		number(text, cases[i].value);
		assert_string_equal(text, cases[i].text);
	}
}

static void
numbers_come_back_as_the_same(void **state)
{
	uint64_t bits = 88172645463325252u;
	char text[64];

	(void)state;
	assert_numbers();
	for (unsigned i = 0; i < 20000; i++) {
		double value, back;

		bits ^= bits << 13;
		bits ^= bits >> 7;
		bits ^= bits << 17;
		memcpy(&value, &bits, sizeof(value));
		if (!isfinite(value))
			continue;
		number(text, value);
		back = strtod(text, NULL);
		assert_memory_equal(&back, &value, sizeof(value));
	}
}

/* Locales that may not be installed: compiled into a folder. */
static bool
compile_locale(const char *folder, const char *name)
{
	char command[200];

	snprintf(command, sizeof(command), "localedef --no-archive -c "
	    "-i %s -f UTF-8 %s/%s.UTF-8 >/dev/null 2>&1", name, folder, name);
	return system(command) == 0;
}

/*
 * 0: numbers are written as ever; 1: they are not; 2: there is no such locale,
 * or its point is none to look out for. In a process of its own: libc keeps
 * what it reads of a locale.
 */
static int
try_locale(const char *folder, const char *name)
{
	char text[64];
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		snprintf(text, sizeof(text), "%s.UTF-8", name);
		setenv("LOCPATH", folder, 1);
		if (setlocale(LC_ALL, text) == NULL ||
		    strcmp(localeconv()->decimal_point, ".") == 0)
			_exit(2);
		number(text, 1234567.25);
		_exit(strcmp(text, "1234567.25") != 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The point of some is a comma, or a character of two bytes. */
static void
numbers_are_the_same_in_every_locale(void **state)
{
	static const char *const names[] = { "de_DE", "fr_FR", "ps_AF" };
	char folder[] = "/tmp/test_json.XXXXXX", command[64];
	unsigned tried = 0;

	(void)state;
	assert_non_null(mkdtemp(folder));
	for (unsigned i = 0; i < COUNT(names); i++) {
		int rc = compile_locale(folder, names[i]) ?
		    try_locale(folder, names[i]) : 2;

		assert_int_not_equal(rc, 1);
		tried += rc == 0;
	}
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	assert_int_equal(system(command), 0);
	if (tried == 0)
		printf("SKIP: there is no locale with another point\n");
}

static void
numbers_that_are_none_are_errors(void **state)
{
	const double values[] = { NAN, -NAN, INFINITY, -INFINITY };
	struct torc_json json;
	char memory[64];

	(void)state;
	for (unsigned i = 0; i < COUNT(values); i++) {
		torc_json_begin(&json, memory, sizeof(memory), NULL, NULL);
		torc_json_double(&json, values[i]);
		assert_int_equal(torc_json_end(&json), -EDOM);
	}
}

/* ---- Errors ---- */

/* '{' '}' '[' ']': levels; 'n': a name; 'v': a value. */
static int64_t
write_steps(const char *steps)
{
	struct torc_json json;
	char memory[1024];

	torc_json_begin(&json, memory, sizeof(memory), NULL, NULL);
	for (; *steps != '\0'; steps++) {
		switch (*steps) {
		case '{':
			torc_json_object_begin(&json);
			break;
		case '}':
			torc_json_object_end(&json);
			break;
		case '[':
			torc_json_array_begin(&json);
			break;
		case ']':
			torc_json_array_end(&json);
			break;
		case 'n':
			torc_json_name(&json, "n");
			break;
		default:
			torc_json_int(&json, 1);
		}
	}
	return torc_json_end(&json);
}

static void
what_is_no_json_is_an_error(void **state)
{
	static const char *const wrong[] = {
		"", "{", "[", "{n", "{n}", "{v}", "[n", "n", "nv", "{nv",
		"{nnv}", "[}", "{]", "}", "]", "vv", "v[", "[]v", "{}{}",
		"[v", "{nv]", "[{nv]]", "{n[}v]}", "{nvv}",
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(wrong); i++)
		assert_int_equal(write_steps(wrong[i]), -EINVAL);
	assert_int_equal(write_steps("v"), 1);
	assert_int_equal(write_steps("{nvnv}"), 13);
	assert_int_equal(write_steps("[{n[v]}v]"), 13);
}

static void
sixty_four_levels_are_written_and_no_more(void **state)
{
	char steps[200];

	(void)state;
	memset(steps, '[', 64);
	memset(steps + 64, ']', 64);
	steps[128] = '\0';
	assert_int_equal(write_steps(steps), 128);
	memset(steps, '[', 65);
	memset(steps + 65, ']', 65);
	steps[130] = '\0';
	assert_int_equal(write_steps(steps), -EOVERFLOW);
}

static void
the_first_error_stays(void **state)
{
	struct text text = { .error = -EPIPE };
	struct torc_json json;
	char memory[32];

	(void)state;
	torc_json_begin(&json, memory, sizeof(memory), NULL, NULL);
	torc_json_text(&json, "a text that is longer than the memory is");
	torc_json_array_end(&json);
	torc_json_double(&json, NAN);
	assert_int_equal(torc_json_end(&json), -ENOSPC);
	torc_json_begin(&json, memory, sizeof(memory), put, &text);
	torc_json_array_begin(&json);
	for (unsigned i = 0; i < 100; i++)
		torc_json_int(&json, 1000);
	torc_json_array_end(&json);
	assert_int_equal(torc_json_end(&json), -EPIPE);
	assert_int_equal(text.puts, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    values_are_written_with_commas_where_they_belong),
		cmocka_unit_test(a_raw_value_of_no_bytes_is_none),
		cmocka_unit_test(
		    the_size_of_the_memory_does_not_change_the_text),
		cmocka_unit_test(
		    text_is_escaped_where_it_must_be_and_nowhere_else),
		cmocka_unit_test(
		    text_that_is_no_utf8_becomes_replacement_characters),
		cmocka_unit_test(numbers_come_back_as_the_same),
		cmocka_unit_test(numbers_are_the_same_in_every_locale),
		cmocka_unit_test(numbers_that_are_none_are_errors),
		cmocka_unit_test(what_is_no_json_is_an_error),
		cmocka_unit_test(sixty_four_levels_are_written_and_no_more),
		cmocka_unit_test(the_first_error_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
