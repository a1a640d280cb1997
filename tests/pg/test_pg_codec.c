/* SPDX-License-Identifier: MIT */
/*
 * test_pg_codec.c - protocol 3.0 as plain functions: what is read, what is
 * refused, and what is written.
 */
#include "tests/harness.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/pg/auth.h"
#include "conn/pg/carry.h"
#include "conn/pg/error.h"
#include "conn/pg/nature.h"
#include "conn/pg/text.h"
#include "conn/pg/wire.h"

#define MOST 65536u
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

static struct pg_message
message_of(const uint8_t *data, size_t size)
{
	return (struct pg_message) { .data = data, .size = size };
}

#define BODY(text) message_of(BYTES(text))

/* ---- Frames ---- */

/* A71, R-174, I76 */
static void
a_length_that_cannot_be_or_is_above_the_bound_is_refused(void **state)
{
	struct pg_message message;

	(void)state;
	assert_int_equal(torc_pg_read_message(&message,
	    BYTES("D\0\0\0\x05x"), MOST), 6);
	assert_int_equal(message.type, 'D');
	assert_int_equal(message.size, 1);
	assert_int_equal(torc_pg_read_message(&message,
	    BYTES("D\0\0\0\x04"), MOST), 5);
	for (unsigned length = 0; length < 4; length++) {
		const uint8_t head[] = { 'D', 0, 0, 0, (uint8_t)length };

		assert_int_equal(torc_pg_read_message(&message, head, 5, MOST),
		    -EPROTO);
	}
	/* So large that it and the type overflow, or are negative. */
	assert_int_equal(torc_pg_read_message(&message,
	    BYTES("D\x7f\xff\xff\xff"), SIZE_MAX), -EPROTO);
	assert_int_equal(torc_pg_read_message(&message,
	    BYTES("D\xff\xff\xff\xff"), SIZE_MAX), -EPROTO);
	assert_int_equal(torc_pg_read_message(&message,
	    BYTES("D\x80\0\0\x04"), SIZE_MAX), -EPROTO);
	/* The bound counts the type, too. */
	assert_int_equal(torc_pg_read_message(&message,
	    BYTES("D\0\0\0\x09"), 9), -EMSGSIZE);
	assert_int_equal(torc_pg_read_message(&message,
	    BYTES("D\0\0\0\x09"), 10), 0);
}

static void
no_prefix_of_a_message_is_taken_for_it(void **state)
{
	static const uint8_t whole[] = "C\0\0\0\x0dSELECT 1";
	struct pg_message message;

	(void)state;
	for (size_t size = 0; size < 14; size++)
		assert_int_equal(
		    torc_pg_read_message(&message, whole, size, MOST), 0);
	assert_int_equal(torc_pg_read_message(&message, whole, 14, MOST), 14);
}

/* ---- Rows and fields ---- */

static void
a_row_whose_lengths_do_not_add_up_is_refused(void **state)
{
	const struct pg_message good = BODY(
	    "\0\x03\0\0\0\x02" "42\xff\xff\xff\xff\0\0\0\0");
	const struct pg_message bad[] = {
		BODY(""), BODY("\0"), BODY("\0\x01"), BODY("\0\0x"),
		BODY("\0\x01\0\0\0\x03" "42"), BODY("\0\x01\0\0\0\x01" "42"),
		BODY("\0\x01\xff\xff\xff\xfe"), BODY("\0\x01\x80\0\0\0"),
		BODY("\0\x01\x7f\xff\xff\xff"), BODY("\xff\xff\0\0\0\0"),
		BODY("\0\x02\0\0\0\0"),
	};
	struct torc_slice values[3];

	(void)state;
	assert_int_equal(torc_pg_read_row(&good, values, 3), 3);
	assert_int_equal(values[0].size, 2);
	assert_memory_equal(values[0].data, "42", 2);
	assert_null(values[1].data);
	/* Empty is not NULL. */
	assert_non_null(values[2].data);
	assert_int_equal(values[2].size, 0);
	/* More values than room are counted and not told of. */
	assert_int_equal(torc_pg_read_row(&good, values, 1), 3);
	for (unsigned i = 0; i < COUNT(bad); i++)
		assert_int_equal(torc_pg_read_row(&bad[i], values, 3), -EPROTO);
}

static void
a_description_whose_fields_do_not_fit_is_refused(void **state)
{
#define FIELD "id\0\0\0\0\x07\0\x01\0\0\0\x17\0\x04\xff\xff\xff\xff"
	const struct pg_message good = BODY("\0\x01" FIELD "\0\x01");
	const struct pg_message bad[] = {
		BODY("\0\x01"), BODY("\0\x01id"), BODY("\0\x01" FIELD),
		BODY("\0\x01" FIELD "\0"), BODY("\0\x01" FIELD "\0\x02"),
		BODY("\0\x02" FIELD "\0\x01"), BODY("\0\0" FIELD "\0\x01"),
	};
	struct pg_field field;

	(void)state;
	assert_int_equal(torc_pg_read_fields(&good, &field, 1), 1);
	assert_string_equal(field.name, "id");
	assert_int_equal(field.table, 7);
	assert_int_equal(field.type, TORC_PG_INT4);
	assert_int_equal(field.type_size, 4);
	assert_int_equal(field.format, 1);
	for (unsigned i = 0; i < COUNT(bad); i++)
		assert_int_equal(torc_pg_read_fields(&bad[i], &field, 1),
		    -EPROTO);
}

/* ---- The other messages ---- */

/* R-174 */
static void
an_error_is_read_with_any_of_its_fields_and_with_none(void **state)
{
	const struct pg_message whole = BODY("SFEHLER\0VERROR\0C42P01\0"
	    "Mno table\0Dnowhere\0Hlook\0P15\0nkey\0Fparse.c\0"
	    "Win f()\0tplaces\0cname\0\0");
	const struct pg_message none = BODY("\0");
	const struct pg_message bad[] = { BODY(""), BODY("Mtext\0"),
		BODY("Mtext"), BODY("\0rest"), BODY("M") };
	struct pg_report report;

	(void)state;
	assert_int_equal(torc_pg_read_report(&whole, &report), 0);
	assert_string_equal(report.severity, "ERROR");
	assert_string_equal(report.state, "42P01");
	assert_string_equal(report.text, "no table");
	assert_string_equal(report.detail, "nowhere");
	assert_string_equal(report.hint, "look");
	assert_string_equal(report.position, "15");
	assert_string_equal(report.constraint, "key");
	assert_string_equal(report.context, "in f()");
	assert_string_equal(report.table, "places");
	assert_string_equal(report.column, "name");
	assert_int_equal(torc_pg_read_report(&none, &report), 0);
	assert_string_equal(report.text, "");
	for (unsigned i = 0; i < COUNT(bad); i++)
		assert_int_equal(
		    torc_pg_read_report(&bad[i], &report), -EPROTO);
}

static void
small_messages_are_read_whole_or_refused(void **state)
{
	const struct pg_message ready = BODY("I"), tag = BODY("INSERT 0 17"),
	    cut = BODY("SELECT"), key = BODY("\0\0\0\x01\0\0\0\x02"),
	    odd = BODY("X"), long_ready = BODY("II");
	struct pg_message complete = tag;
	const char *text;
	uint64_t rows;
	uint32_t process, secret;
	char state_now;

	(void)state;
	assert_int_equal(torc_pg_read_ready(&ready, &state_now), 0);
	assert_int_equal(state_now, 'I');
	assert_int_equal(torc_pg_read_ready(&odd, &state_now), -EPROTO);
	assert_int_equal(torc_pg_read_ready(&long_ready, &state_now), -EPROTO);
	complete.size++;	/* with the end of its string */
	assert_int_equal(torc_pg_read_complete(&complete, &text, &rows), 0);
	assert_string_equal(text, "INSERT 0 17");
	assert_int_equal(rows, 17);
	assert_int_equal(torc_pg_read_complete(&cut, &text, &rows), -EPROTO);
	assert_int_equal(torc_pg_read_key(&key, &process, &secret), 0);
	assert_int_equal(process, 1);
	assert_int_equal(secret, 2);
	assert_int_equal(torc_pg_read_key(&tag, &process, &secret), -EPROTO);
}

/* ---- Values ---- */

#define VALUE(text) ((struct torc_slice) { BYTES(text) })

static int64_t
int_of(uint32_t type, bool binary, struct torc_slice value, int expected)
{
	const struct torc_pg_column column = { "", type, binary };
	int64_t result = 0;

	assert_int_equal(torc_pg_read_int(&column, value, &result), expected);
	return result;
}

static void
integers_are_read_as_text_and_binary_to_their_bounds(void **state)
{
	(void)state;
	assert_true(int_of(TORC_PG_INT8, false, VALUE("-9223372036854775808"),
	    0) == INT64_MIN);
	assert_true(int_of(TORC_PG_INT8, false, VALUE("9223372036854775807"),
	    0) == INT64_MAX);
	int_of(TORC_PG_INT8, false, VALUE("9223372036854775808"), -ERANGE);
	int_of(TORC_PG_INT8, false, VALUE("-9223372036854775809"), -ERANGE);
	int_of(TORC_PG_INT8, false, VALUE("-"), -EINVAL);
	int_of(TORC_PG_INT8, false, VALUE("1 "), -EINVAL);
	assert_true(int_of(TORC_PG_INT8, true,
	    VALUE("\x80\0\0\0\0\0\0\0"), 0) == INT64_MIN);
	assert_int_equal(int_of(TORC_PG_INT2, true, VALUE("\xff\xfe"), 0), -2);
	assert_int_equal(int_of(TORC_PG_INT4, true,
	    VALUE("\xff\xff\xff\xff"), 0), -1);
	assert_int_equal(int_of(TORC_PG_OID, true,
	    VALUE("\xff\xff\xff\xff"), 0), UINT32_MAX);
	int_of(TORC_PG_INT4, true, VALUE("\0\0\x01"), -EINVAL);
	int_of(TORC_PG_TEXT, false, VALUE("1"), -EINVAL);
	int_of(TORC_PG_INT4, true, (struct torc_slice) { NULL, 0 }, -ENODATA);
}

static void
floats_and_truths_are_read_as_text_and_binary(void **state)
{
	const struct torc_slice none = { NULL, 0 };
	struct torc_pg_column column = { "", TORC_PG_FLOAT8, false };
	double real;
	bool truth;

	(void)state;
	assert_int_equal(torc_pg_read_float(&column, VALUE("-1.5e3"), &real),
	    0);
	assert_true(real == -1500);
	assert_int_equal(torc_pg_read_float(&column, VALUE("NaN"), &real), 0);
	assert_true(isnan(real));
	assert_int_equal(torc_pg_read_float(&column, VALUE("1x"), &real),
	    -EINVAL);
	assert_int_equal(torc_pg_read_float(&column, VALUE(""), &real),
	    -EINVAL);
	assert_int_equal(torc_pg_read_float(&column, none, &real), -ENODATA);
	column = (struct torc_pg_column) { "", TORC_PG_INT8, false };
	assert_int_equal(torc_pg_read_float(&column, VALUE("-7"), &real), 0);
	assert_true(real == -7);
	assert_int_equal(torc_pg_read_float(&column, VALUE("x"), &real),
	    -EINVAL);
	column = (struct torc_pg_column) { "", TORC_PG_FLOAT4, true };
	assert_int_equal(torc_pg_read_float(&column, VALUE("\x3f\xc0\0\0"),
	    &real), 0);
	assert_true(real == 1.5);
	assert_int_equal(torc_pg_read_float(&column,
	    VALUE("\x3f\xc0\0\0\0\0\0\0"), &real), -EINVAL);
	column = (struct torc_pg_column) { "", TORC_PG_BOOL, true };
	assert_int_equal(torc_pg_read_bool(&column, VALUE("\x01"), &truth), 0);
	assert_true(truth);
	assert_int_equal(torc_pg_read_bool(&column, VALUE("\x02"), &truth),
	    -EINVAL);
	assert_int_equal(torc_pg_read_bool(&column, none, &truth), -ENODATA);
	assert_int_equal(torc_pg_read_bool(&column, VALUE("tt"), &truth),
	    -EINVAL);
	column.binary = false;
	assert_int_equal(torc_pg_read_bool(&column, VALUE("f"), &truth), 0);
	assert_false(truth);
	assert_int_equal(torc_pg_read_bool(&column, VALUE("t"), &truth), 0);
	assert_true(truth);
}

/* A value that both forms of a numeric have. */
static void
expect_numeric(const char *text, struct torc_slice binary, double expected,
    int rc)
{
	const struct torc_pg_column as_text = { "", TORC_PG_NUMERIC, false };
	const struct torc_pg_column as_binary = { "", TORC_PG_NUMERIC, true };
	double real = 0;

	assert_int_equal(torc_pg_read_float(&as_text,
	    (struct torc_slice) { (const uint8_t *)text, strlen(text) },
	    &real), rc);
	if (rc == 0)
		assert_true(real == expected || (isnan(real) &&
		    isnan(expected)));
	real = 0;
	assert_int_equal(torc_pg_read_float(&as_binary, binary, &real), rc);
	if (rc == 0)
		assert_true(real == expected || (isnan(real) &&
		    isnan(expected)));
}

#define NUMERIC(count, weight, sign, groups) \
	VALUE("\0" count weight sign "\0\0" groups)

static void
a_numeric_is_read_as_the_nearest_double_and_as_a_whole_number(void **state)
{
	struct torc_pg_column column = { "", TORC_PG_NUMERIC, true };
	int64_t whole;

	(void)state;
	expect_numeric("0", NUMERIC("\0", "\0\0", "\0\0", ""), 0, 0);
	expect_numeric("-12345.678", NUMERIC("\3", "\0\1", "\x40\0",
	    "\0\1" "\x09\x29" "\x1a\x7c"), -12345.678, 0);
	expect_numeric("0.0000001", NUMERIC("\1", "\xff\xfe", "\0\0",
	    "\0\x0a"), 1e-7, 0);
	expect_numeric("NaN", NUMERIC("\0", "\0\0", "\xc0\0", ""),
	    (double)NAN, 0);
	expect_numeric("Infinity", NUMERIC("\0", "\0\0", "\xd0\0", ""),
	    (double)INFINITY, 0);
	expect_numeric("-Infinity", NUMERIC("\0", "\0\0", "\xf0\0", ""),
	    -(double)INFINITY, 0);
	expect_numeric("1e400", NUMERIC("\1", "\0\x64", "\0\0", "\0\1"), 0,
	    -ERANGE);
	/* A group above 9999, a sign that is none, one that is missing. */
	expect_numeric("1.2.3", NUMERIC("\1", "\0\0", "\0\0", "\x27\x10"),
	    0, -EINVAL);
	expect_numeric("0x10", NUMERIC("\1", "\0\0", "\1\0", "\0\1"), 0,
	    -EINVAL);
	expect_numeric("1e", NUMERIC("\1", "\0\0", "\0\0", ""), 0, -EINVAL);
	assert_int_equal(torc_pg_read_int(&column, NUMERIC("\2", "\0\2",
	    "\x40\0", "\0\1" "\0\0"), &whole), 0);
	assert_int_equal(whole, -100000000);
	assert_int_equal(torc_pg_read_int(&column, NUMERIC("\1",
	    "\xff\xff", "\0\0", "\x13\x88"), &whole), -ERANGE);
	assert_int_equal(torc_pg_read_int(&column, NUMERIC("\1", "\0\5",
	    "\0\0", "\0\1"), &whole), -ERANGE);
	column.binary = false;
	assert_int_equal(torc_pg_read_int(&column, VALUE("7.00"), &whole), 0);
	assert_int_equal(whole, 7);
	assert_int_equal(torc_pg_read_int(&column, VALUE("7.01"), &whole),
	    -ERANGE);
	assert_int_equal(torc_pg_read_int(&column, VALUE("7.0.0"), &whole),
	    -EINVAL);
}

/* As long as a numeric may be: no digit too many decides. */
static void
a_long_numeric_is_rounded_once(void **state)
{
	const struct torc_pg_column column = { "", TORC_PG_NUMERIC, false };
	/* Half way between 1 and the next double. */
	const char half[] = "1.00000000000000011102230246251565404236316680"
	    "908203125";
	char text[3000];
	double real;

	(void)state;
	memset(text, '0', sizeof(text));
	memcpy(text, half, sizeof(half) - 1);
	assert_int_equal(torc_pg_read_float(&column, (struct torc_slice) {
	    (const uint8_t *)text, sizeof(text) }, &real), 0);
	assert_true(real == 1);
	text[sizeof(text) - 1] = '1';
	assert_int_equal(torc_pg_read_float(&column, (struct torc_slice) {
	    (const uint8_t *)text, sizeof(text) }, &real), 0);
	assert_true(real == nextafter(1, 2));
	memset(text, '9', sizeof(text));
	memcpy(text + sizeof(text) - 6, "e-3000", 6);
	assert_int_equal(torc_pg_read_float(&column, (struct torc_slice) {
	    (const uint8_t *)text, sizeof(text) }, &real), 0);
	assert_true(real > 9e-7 && real < 1.1e-6);
}

/* What a server writes, and what people write. */
static void
numbers_are_read_in_each_spelling_and_nothing_else_is(void **state)
{
	static const char *const good[] = { "nan", "NaN", "NAN", "-nan",
		"inf", "Infinity", "-infinity", "+INF", "1e300", "+1.", ".5",
		"4.9e-324", "-0", "1e-400", "1E+3" };
	static const char *const odd[] = { "", "-", "+", ".", "e5", "nano",
		"infinit", "1e+", "1 ", " 1", "0x1p3", "1,5", "--1", "nan(1)" };
	const struct torc_pg_column column = { "", TORC_PG_FLOAT8, false };
	double real;

	(void)state;
	for (unsigned i = 0; i < COUNT(good); i++) {
		assert_int_equal(torc_pg_read_float(&column,
		    (struct torc_slice) { (const uint8_t *)good[i],
		    strlen(good[i]) }, &real), 0);
		assert_true(real == strtod(good[i], NULL) || isnan(real));
	}
	for (unsigned i = 0; i < COUNT(odd); i++)
		assert_int_equal(torc_pg_read_float(&column,
		    (struct torc_slice) { (const uint8_t *)odd[i],
		    strlen(odd[i]) }, &real), -EINVAL);
}

/* ---- Locales ---- */

static char locale_folder[32];

/* That of a language of Debian's, made for this. */
static void
enter_locale(const char *language)
{
	char command[200];
	int rc;

	strcpy(locale_folder, "/tmp/torc-locale-XXXXXX");
	assert_non_null(mkdtemp(locale_folder));
	snprintf(command, sizeof(command), "localedef -i %s -f UTF-8 "
	    "%s/%s.UTF-8 >/dev/null 2>&1", language, locale_folder, language);
	rc = system(command);
	setenv("LOCPATH", locale_folder, 1);
	snprintf(command, sizeof(command), "%s.UTF-8", language);
	if (rc != 0 || setlocale(LC_ALL, command) == NULL)
		fail_msg("there is no locale %s", language);
}

static void
leave_locale(void)
{
	char command[64];

	setlocale(LC_ALL, "C");
	unsetenv("LOCPATH");
	snprintf(command, sizeof(command), "rm -rf '%s'", locale_folder);
	assert_int_equal(system(command), 0);
}

/* The locale of the program has a comma where numbers have a point. */
static void
a_decimal_comma_of_the_locale_is_not_asked_for(void **state)
{
	const struct torc_pg_column column = { "", TORC_PG_FLOAT8, false };
	char text[16];
	double real = 0;
	int rc;

	(void)state;
	enter_locale("de_DE");
	snprintf(text, sizeof(text), "%.1f", 0.5);
	rc = torc_pg_read_float(&column, VALUE("3.25"), &real);
	leave_locale();
	assert_string_equal(text, "0,5");
	assert_int_equal(rc, 0);
	assert_true(real == 3.25);
}

/* In Turkish, I is not the large letter of i. */
static void
words_are_the_same_in_large_and_small_letters_in_each_locale(void **state)
{
	const struct torc_pg_column column = { "", TORC_PG_FLOAT8, false };
	bool two_letters;
	unsigned listen, begin;
	double real = 0;
	int rc;

	(void)state;
	enter_locale("tr_TR");
	two_letters = tolower('I') != 'i';
	listen = torc_pg_nature_of("LISTEN x");
	begin = torc_pg_nature_of("BEGIN ISOLATION LEVEL SERIALIZABLE");
	rc = torc_pg_read_float(&column, VALUE("Infinity"), &real);
	leave_locale();
	assert_true(two_letters);
	assert_int_equal(listen, PG_STAYS);
	assert_int_equal(begin, PG_BEGINS);
	assert_int_equal(rc, 0);
	assert_true(real == (double)INFINITY);
}

/* ---- What statements do ---- */

static const struct {
	const char *sql;
	unsigned nature;
} natures[] = {
	{ "", 0 },
	{ ";", 0 },
	{ "select 1", PG_UNDOABLE },
	{ " (select 1) union values (2)", PG_UNDOABLE },
	{ "-- set\n/* a /* b */ c */select 1", PG_UNDOABLE },
	{ "with x as (delete from t returning *) table x",
	    PG_UNDOABLE },
	{ "insert into temp values (1)", PG_UNDOABLE },
	{ "merge into temp using t on true when matched then delete",
	    PG_UNDOABLE },
	{ "select a into temp x from t", PG_UNDOABLE | PG_STAYS },
	{ "select a INTO LOCAL TEMPORARY x", PG_UNDOABLE | PG_STAYS },
	{ "select set_config('a.b', 'c', true)", PG_UNDOABLE },
	{ "select set_config('a.b', f(1, (2)), TRUE )", PG_UNDOABLE },
	{ "select set_config('a.b', 'true', $1)",
	    PG_UNDOABLE | PG_STAYS },
	{ "select set_config from t", PG_UNDOABLE },
	{ "select 'set_config(1)', \"set_config\", $$pg_advisory_lock("
	    "$$, $a$ $$ set_config( $a$, e'\\'set_config('",
	    PG_UNDOABLE },
	{ "select set_config('a.b', 'c', is_local => true)", PG_UNDOABLE },
	{ "select set_config('a.b', 'c', not true)",
	    PG_UNDOABLE | PG_STAYS },
	{ "select set_config('a.b', 'c', false and true)",
	    PG_UNDOABLE | PG_STAYS },
	{ "select pg_catalog.\"set_config\"('a.b', 'c', false)",
	    PG_UNDOABLE | PG_STAYS },
	{ "select \"Set_Config\"('a.b', 'c', false)", PG_UNDOABLE },
	{ "select pg_try_advisory_lock (1)", PG_UNDOABLE | PG_STAYS },
	{ "select a into pg_temp.x from t", PG_UNDOABLE | PG_STAYS },
	{ "select a from pg_temp.x", PG_UNDOABLE },
	{ "select pg_advisory_xact_lock(1)", PG_UNDOABLE },
	{ "set a = 1", PG_STAYS },
	{ "set session characteristics as transaction read only",
	    PG_STAYS },
	{ "set local a = 1", PG_PASSES },
	{ "set transaction read only", PG_PASSES },
	{ "set constraints all deferred", PG_PASSES },
	{ "reset a", PG_STAYS },
	{ "discard temp", PG_STAYS },
	{ "prepare p as select 1", PG_STAYS },
	{ "prepare transaction 'x'", PG_ENDS },
	{ "commit prepared 'x'", 0 },
	{ "declare c cursor for select 1", PG_UNDOABLE },
	{ "declare c cursor with hold for select 1", PG_STAYS },
	{ "declare c cursor without hold for select 1", PG_UNDOABLE },
	{ "begin", PG_BEGINS },
	{ "start transaction", PG_BEGINS },
	{ "commit", PG_ENDS },
	{ "end work", PG_ENDS },
	{ "rollback and no chain", PG_ENDS },
	{ "rollback and chain", PG_ENDS | PG_BEGINS },
	{ "rollback to savepoint x", 0 },
	{ "create table temp (a int)", PG_UNDOABLE },
	{ "create temp table x (a int)", PG_STAYS },
	{ "create or replace temp view v as select 1", PG_STAYS },
	{ "create global temporary table x (a int)", PG_STAYS },
	{ "create table pg_temp.x (a int)", PG_STAYS },
	{ "create function \"pg_temp\" . f() returns int", PG_STAYS },
	{ "create table t as select set_config('a.b', 'c', false)",
	    PG_STAYS },
	{ "create index on t (set_config('a.b', a, false))", PG_STAYS },
	{ "alter table t alter a type text using set_config('a.b', a, $1)",
	    PG_STAYS },
	{ "create or replace function f() returns text begin atomic "
	    "select set_config('a.b', 'c', false); end", PG_UNDOABLE },
	{ "create view v as select pg_advisory_lock(1)", PG_UNDOABLE },
	{ "create index concurrently on t (a)", 0 },
	{ "drop database x", 0 },
	{ "vacuum", 0 },
	{ "call f()", 0 },
	{ "call f(set_config('a.b', 'c', false))", PG_STAYS },
	{ "explain select set_config('a.b', 'c', false)", 0 },
	{ "explain analyze select set_config('a.b', 'c', false)", PG_STAYS },
	{ "explain (costs off, ANALYZE) select pg_advisory_lock(1)",
	    PG_STAYS },
	{ "explain analyze create temp table x as select 1", PG_STAYS },
	{ "explain analyze select 1", 0 },
	{ "execute p(pg_advisory_lock(1))", PG_STAYS },
	{ "copy (select set_config('a.b', 'c', false)) to '/x'", PG_STAYS },
	{ "declare c cursor for select pg_advisory_lock(1)", PG_STAYS },
	{ "do $$ begin perform 1; end $$", 0 },
	{ "do $$ begin set a.b = 1; end $$", PG_STAYS },
	{ "do $$ begin set local a.b = 1; end $$", 0 },
	{ "do language plpgsql $x$ begin if true then reset a.b; end if; "
	    "end $x$", PG_STAYS },
	{ "do $$ begin update t set a = 1; end $$ language plpgsql", 0 },
	{ "do $$ begin perform set_config('a.b', 'c', false); end $$",
	    PG_STAYS },
	{ "do 'begin create temp table x (a int); end'", PG_STAYS },
	{ "do language 'plpgsql' e'begin /*\\'*/ listen x; end'", PG_STAYS },
	{ "do $$ begin execute 'set a.b = 1'; end $$", PG_HIDES },
	{ "do $$ plpy.execute('set a.b = 1') $$ language plpython3u",
	    PG_HIDES },
	{ "do $$", 0 }, { "do '", 0 }, { "do", 0 }, { "do $1", 0 },
	{ "do language", PG_HIDES },
	{ "copy t from stdin", PG_COPIES },
	{ "COPY (select stdin from t) TO STDOUT", PG_COPIES },
	{ "copy (select stdin from t) to '/x'", PG_UNDOABLE },
	{ "copy t from '/x'", PG_UNDOABLE },
	{ "selection", 0 },
	{ "'", 0 }, { "$a$", 0 }, { "/*", 0 }, { "select '", 1 },
};

static void
what_a_statement_does_is_seen_by_its_words(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNT(natures); i++)
		if (torc_pg_nature_of(natures[i].sql) != natures[i].nature)
			fail_msg("%s: %u", natures[i].sql,
			    torc_pg_nature_of(natures[i].sql));
}

static void
bytes_are_read_as_text_and_binary_as_far_as_there_is_room(void **state)
{
	const struct torc_slice none = { NULL, 0 };
	struct torc_pg_column column = { "", TORC_PG_BYTEA, false };
	uint8_t bytes[4];

	(void)state;
	assert_int_equal(torc_pg_read_bytea(&column, VALUE("\\xdeadbeef"),
	    bytes, 4), 4);
	assert_memory_equal(bytes, "\xde\xad\xbe\xef", 4);
	assert_int_equal(torc_pg_read_bytea(&column, VALUE("\\xdeadbeef"),
	    bytes, 3), -ERANGE);
	assert_int_equal(torc_pg_read_bytea(&column, VALUE("\\xdeadbee"),
	    bytes, 4), -EINVAL);
	assert_int_equal(torc_pg_read_bytea(&column, VALUE("\\xdg"), bytes, 4),
	    -EINVAL);
	assert_int_equal(torc_pg_read_bytea(&column, none, bytes, 4),
	    -ENODATA);
	column.binary = true;
	assert_int_equal(torc_pg_read_bytea(&column, VALUE("\xbe\xef"), bytes,
	    2), 2);
	assert_memory_equal(bytes, "\xbe\xef", 2);
	assert_int_equal(torc_pg_read_bytea(&column, VALUE("\xbe\xef"), bytes,
	    1), -ERANGE);
	column.type = TORC_PG_TEXT;
	assert_int_equal(torc_pg_read_bytea(&column, VALUE("\xbe\xef"), bytes,
	    2), -EINVAL);
}

/* ---- What we write ---- */

static void
what_does_not_fit_is_counted_and_not_written(void **state)
{
	const struct torc_pg_param params[] = { torc_pg_int8(-1),
		torc_pg_text("x"), torc_pg_null(), torc_pg_bytea(NULL, 0) };
	uint8_t memory[128];
	struct pg_writer count = { .size = 0 };
	struct pg_writer writer = { .data = memory, .size = sizeof(memory) };

	(void)state;
	torc_pg_put_bind(&count, "t1", params, 4, true);
	torc_pg_put_bind(&writer, "t1", params, 4, true);
	assert_false(torc_pg_written(&count));
	assert_true(torc_pg_written(&writer));
	assert_int_equal(count.used, writer.used);
	assert_memory_equal(memory, "B\0\0\0\x31\0t1\0\0\x04\0\x01\0\0\0\0\0"
	    "\x01\0\x04\0\0\0\x08\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x01x"
	    "\xff\xff\xff\xff\0\0\0\0\0\x01\0\x01", writer.used);
	for (size_t size = 0; size < writer.used; size++) {
		uint8_t *exact = malloc(size + 1);
		struct pg_writer small = { .data = exact, .size = size };

		torc_pg_put_bind(&small, "t1", params, 4, true);
		assert_false(torc_pg_written(&small));
		free(exact);
	}
}

/* ---- The login ---- */

#define NONCE "rOprNGfwEbeRWgbNEkqO"
#define COMBINED NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SALT "W22ZaJ0SNY7soEsUEjb6gQ=="

static const struct pg_binding unbound = { .bound = PG_BINDING_NONE };

static int
challenge(struct pg_scram *scram, const char *text, unsigned most)
{
	assert_int_equal(torc_pg_scram_begin(scram, "pencil", &unbound), 0);
	strcpy(scram->nonce, NONCE);
	return torc_pg_scram_challenge(scram, text, strlen(text), most);
}

static void
a_login_by_scram_computes_what_two_implementations_agree_on(void **state)
{
	static const char signature[] =
	    "v=3HO6Qt1M4MKJrmlKaoOqLAI0/0TV0HZe7J9H3MBtSOg=";
	struct pg_scram scram;
	char text[256];

	(void)state;
	assert_int_equal(challenge(&scram, "r=" COMBINED ",s=" SALT ",i=4096",
	    4096), 0);
	assert_int_equal(scram.iterations, 4096);
	assert_int_equal(torc_pg_scram_derive(&scram), 0);
	assert_true(torc_pg_scram_final(&scram, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "c=biws,r=" COMBINED
	    ",p=qvT2SWdEH5Q06albL+hjSYuUhCG7VndFyzIb7CK4n9k="));
	assert_true(torc_pg_scram_verify(&scram, "v=", 2) == -EACCES);
	assert_false(scram.verified);
	assert_int_equal(torc_pg_scram_verify(&scram, signature,
	    sizeof(signature) - 1), 0);
	assert_true(scram.verified);
}

/* What a login says of its channel, and the proof of it, in base64. */
static void
check_binding(const struct pg_binding *binding, const char *header,
    const char *encoded)
{
	struct pg_scram scram;
	char text[512], expected[256];

	assert_int_equal(torc_pg_scram_begin(&scram, "pencil", binding), 0);
	strcpy(scram.nonce, NONCE);
	assert_true(torc_pg_scram_first(&scram, text, sizeof(text)) > 0);
	snprintf(expected, sizeof(expected), "%sn=,r=" NONCE, header);
	assert_string_equal(text, expected);
	assert_int_equal(torc_pg_scram_challenge(&scram, "r=" COMBINED ",s="
	    SALT ",i=4096", strlen("r=" COMBINED ",s=" SALT ",i=4096"),
	    4096), 0);
	assert_int_equal(torc_pg_scram_derive(&scram), 0);
	assert_true(torc_pg_scram_final(&scram, text, sizeof(text)) > 0);
	snprintf(expected, sizeof(expected), "c=%s,r=%s,p=", encoded,
	    COMBINED);
	if (strncmp(text, expected, strlen(expected)) != 0)
		fail_msg("%s, not %s", text, expected);
}

static void
a_login_says_how_it_is_bound_to_its_channel_and_proves_it(void **state)
{
	struct pg_binding binding = { .bound = PG_BINDING_NONE };

	(void)state;
	check_binding(&binding, "n,,", "biws");
	binding.bound = PG_BINDING_UNUSED;
	check_binding(&binding, "y,,", "eSws");
	binding.bound = PG_BINDING_USED;
	binding.size = 4;
	memcpy(binding.data, "hash", 4);
	check_binding(&binding, "p=tls-server-end-point,,",
	    "cD10bHMtc2VydmVyLWVuZC1wb2ludCwsaGFzaA==");
	binding.size = PG_BINDING_SIZE;
	memset(binding.data, 'x', PG_BINDING_SIZE);
	check_binding(&binding, "p=tls-server-end-point,,",
	    "cD10bHMtc2VydmVyLWVuZC1wb2ludCwseHh4eHh4eHh4eHh4eHh4eHh4eHh4"
	    "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eA==");
}

/* A71, R-174, I76 */
static void
a_challenge_that_is_costly_odd_or_anothers_is_refused(void **state)
{
	static const char *const odd[] = {
		"", "r=" COMBINED, "r=" NONCE ",s=" SALT ",i=4096",
		"r=another,s=" SALT ",i=4096", "s=" SALT ",r=" COMBINED
		",i=4096", "r=" COMBINED ",s=" SALT, "r=" COMBINED ",s="
		SALT ",i=0", "r=" COMBINED ",s=" SALT ",i=-1",
		"r=" COMBINED ",s=" SALT ",i=4096x", "r=" COMBINED
		",s=,i=4096", "r=" COMBINED ",s=W22Za,i=4096", "r=" COMBINED
		",s=W22*,i=4096", "e=unknown-user",
		"r=" COMBINED ",s=" SALT ",i=99999999999",
	};
	struct pg_scram scram;
	char *text = malloc(3000);

	(void)state;
	assert_int_equal(challenge(&scram, "r=" COMBINED ",s=" SALT ",i=4096",
	    1000000), 0);
	assert_int_equal(challenge(&scram, "r=" COMBINED ",s=" SALT
	    ",i=2147483647", 1000000), -EACCES);
	for (unsigned i = 0; i < COUNT(odd); i++)
		assert_int_equal(challenge(&scram, odd[i], 1000000), -EPROTO);
	/* A nonce without end. */
	memset(text, 'x', 3000);
	memcpy(text, "r=" NONCE, sizeof(NONCE) + 1);
	text[2999] = '\0';
	assert_int_equal(challenge(&scram, text, 1000000), -EPROTO);
	free(text);
}

static void
md5_is_what_the_server_computes(void **state)
{
	char text[PG_MD5_SIZE];

	(void)state;
	assert_int_equal(torc_pg_md5(text, "user", "secret",
	    (const uint8_t *)"salt"), 0);
	assert_string_equal(text, "md5440c573f34f2e2f3ff4b6dbdd8a2686b");
}

/* ---- Messages that are too long ---- */

/* What comes is this message, in two pieces; no more than `most` may be kept.
 * What is told of it. */
static int
carry(struct pg_carry *kept, const uint8_t *data, size_t size, size_t split,
    size_t most, struct pg_message *message)
{
	struct torc_slice first = { data, split };
	struct torc_slice rest = { data + split, size - split };
	int rc = torc_pg_carry_next(kept, message, &first, most);

	if (rc == 0)
		rc = torc_pg_carry_next(kept, message, &rest, most);
	return rc;
}

/* Characters of each length. */
#define WORDS "a\u00e4\u20ac\U0001f418b\u00e4\u20ac\U0001f418c"
#define FIELDS "SERROR\0C22012\0M" WORDS "\0Dd\0\0"

/* Of each length, in each two pieces: a beginning of the words, or all. */
static void
of_a_report_that_is_too_long_the_beginning_is_kept_in_whole_characters(
    void **state)
{
	static const uint8_t whole[] = "N\0\0\0\x2d" FIELDS;
	const size_t size = sizeof(whole) - 1, words = 5 + 14 + 1;
	struct pg_carry kept = { .lost = 0 };
	struct pg_message message;
	struct pg_report report;

	(void)state;
	assert_int_equal(whole[4], size - 1);
	for (size_t most = 6; most <= size; most++) {
		for (size_t split = 0; split <= size; split++) {
			assert_int_equal(carry(&kept, whole, size, split, most,
			    &message), 1);
			assert_int_equal(message.lost,
			    most < size ? -EMSGSIZE : 0);
			assert_int_equal(torc_pg_take_report(&message,
			    &report), 0);
			assert_int_equal(report.cut, most < size);
			if (most > words) {
				const size_t told = strlen(report.text);

				assert_string_equal(report.state, "22012");
				assert_memory_equal(report.text, WORDS, told);
				assert_int_not_equal(
				    (uint8_t)WORDS[told] & 0xc0, 0x80);
				assert_true(told + words + 3 >= most ||
				    told == sizeof(WORDS) - 1);
			} else {
				/* They begin behind what was kept. */
				assert_non_null(strstr(report.text,
				    "the server's message is longer"));
			}
			assert_string_equal(report.detail,
			    most >= size - 2 ? "d" : "");
		}
	}
	torc_pg_carry_free(&kept);
}

static void
words_are_told_of_which_nobody_knows_the_characters(void **state)
{
	static const uint8_t odd[] = "E\0\0\0\x10M\x82\x82\x82\x82\x82\x82"
	    "\x82\x82\x82\0\0";
	static const uint8_t row[] = "D\0\0\0\x0c\0\x01\0\0\0\x02" "42";
	struct pg_carry kept = { .lost = 0 };
	struct pg_message message;
	struct pg_report report;

	(void)state;
	assert_int_equal(carry(&kept, odd, sizeof(odd) - 1, 3, 12, &message),
	    1);
	assert_int_equal(torc_pg_take_report(&message, &report), 0);
	assert_string_equal(report.text, "\x82\x82\x82\x82\x82\x82");
	/* Of what is no report, nothing is kept; and it goes on. */
	assert_int_equal(carry(&kept, row, sizeof(row) - 1, 3, 12, &message),
	    1);
	assert_int_equal(message.lost, -EMSGSIZE);
	assert_int_equal(message.size, 0);
	assert_int_equal(carry(&kept, row, sizeof(row) - 1, 3, 13, &message),
	    1);
	assert_int_equal(message.lost, 0);
	assert_memory_equal(message.data, row + 5, message.size);
	/* A message that is never long is none. */
	assert_int_equal(carry(&kept, BYTES("Z\0\0\0\x0dIIIIIIIII"), 2, 12,
	    &message), -EPROTO);
	torc_pg_carry_free(&kept);
}

/* ---- Words ---- */

static void
a_statement_is_named_by_its_beginning_on_one_line(void **state)
{
	static const struct {
		const char *sql;
		const char *quote;
	} cases[] = {
		{ "select 1", "select 1" },
		{ "", "" },
		{ "\n\t select\n\t1", "select  1" },
		{ "123456789 123456789 123456789 123456789 123456789 123456789 "
		    "123", "123456789 123456789 123456789 123456789 123456789 "
		    "123456789 123" },
		{ "123456789 123456789 123456789 123456789 123456789 123456789 "
		    "1234", "123456789 123456789 123456789 123456789 123456789 "
		    "123456789 ..." },
		{ "123456789 123456789 123456789 123456789 123456789 12345678"
		    "\u20ac" "234", "123456789 123456789 123456789 123456789 "
		    "123456789 12345678..." },
	};
	char quote[PG_QUOTE_SIZE];

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		torc_pg_quote(quote, cases[i].sql);
		assert_string_equal(quote, cases[i].quote);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_length_that_cannot_be_or_is_above_the_bound_is_refused),
		cmocka_unit_test(no_prefix_of_a_message_is_taken_for_it),
		cmocka_unit_test(a_row_whose_lengths_do_not_add_up_is_refused),
		cmocka_unit_test(
		    a_description_whose_fields_do_not_fit_is_refused),
		cmocka_unit_test(
		    an_error_is_read_with_any_of_its_fields_and_with_none),
		cmocka_unit_test(small_messages_are_read_whole_or_refused),
		cmocka_unit_test(
		    integers_are_read_as_text_and_binary_to_their_bounds),
		cmocka_unit_test(floats_and_truths_are_read_as_text_and_binary),
		cmocka_unit_test(
		    a_numeric_is_read_as_the_nearest_double_and_as_a_whole_number),
		cmocka_unit_test(a_long_numeric_is_rounded_once),
		cmocka_unit_test(
		    numbers_are_read_in_each_spelling_and_nothing_else_is),
		cmocka_unit_test(
		    a_decimal_comma_of_the_locale_is_not_asked_for),
		cmocka_unit_test(
		    words_are_the_same_in_large_and_small_letters_in_each_locale),
		cmocka_unit_test(what_a_statement_does_is_seen_by_its_words),
		cmocka_unit_test(
		    bytes_are_read_as_text_and_binary_as_far_as_there_is_room),
		cmocka_unit_test(what_does_not_fit_is_counted_and_not_written),
		cmocka_unit_test(
		    a_login_by_scram_computes_what_two_implementations_agree_on),
		cmocka_unit_test(
		    a_login_says_how_it_is_bound_to_its_channel_and_proves_it),
		cmocka_unit_test(
		    a_challenge_that_is_costly_odd_or_anothers_is_refused),
		cmocka_unit_test(md5_is_what_the_server_computes),
		cmocka_unit_test(
		    of_a_report_that_is_too_long_the_beginning_is_kept_in_whole_characters),
		cmocka_unit_test(
		    words_are_told_of_which_nobody_knows_the_characters),
		cmocka_unit_test(
		    a_statement_is_named_by_its_beginning_on_one_line),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("pg_codec", tests, NULL, NULL);
}
