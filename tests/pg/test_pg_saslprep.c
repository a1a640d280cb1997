/* SPDX-License-Identifier: MIT */
/*
 * test_pg_saslprep.c - the form of a password that is hashed, beside what a
 * real PostgreSQL makes of the same text.
 */
#include "tests/pg/scene.h"

#include <errno.h>
#include <libpq-fe.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/pg/auth.h"
#include "conn/pg/saslprep.h"

#define TEXTS 3000
#define VERIFIERS 120

/* ---- Texts at random ---- */

static uint32_t noise = 1;

static uint32_t
draw(uint32_t below)
{
	noise = noise * 1664525u + 1013904223u;
	return (noise >> 8) % below;
}

/* Where normalisation has something to do, and elsewhere. */
static uint32_t
draw_code(void)
{
	static const uint32_t blocks[][2] = { { 0x20, 0x7e },
		{ 0xa0, 0x24f }, { 0x300, 0x34e }, { 0x370, 0x3ff },
		{ 0x5b0, 0x5ea }, { 0x620, 0x655 }, { 0x900, 0x970 },
		{ 0x1100, 0x11f9 }, { 0x1e00, 0x1fff }, { 0x2000, 0x206f },
		{ 0x2070, 0x24ff }, { 0x3040, 0x30ff }, { 0x3200, 0x33ff },
		{ 0xac00, 0xd7a3 }, { 0xf900, 0xfa2d }, { 0xfb00, 0xfdff },
		{ 0xfe70, 0xffdc }, { 0x1d15e, 0x1d1bb }, { 0x1d400, 0x1d7ff },
		{ 0x2f800, 0x2fa1d } };
	const uint32_t *block = blocks[draw(COUNT(blocks))];

	return block[0] + draw(block[1] - block[0] + 1);
}

static size_t
put_utf8(char *text, uint32_t code)
{
	if (code < 0x80) {
		text[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		text[0] = (char)(0xc0 | code >> 6);
		text[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		text[0] = (char)(0xe0 | code >> 12);
		text[1] = (char)(0x80 | (code >> 6 & 0x3f));
		text[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	text[0] = (char)(0xf0 | code >> 18);
	text[1] = (char)(0x80 | (code >> 12 & 0x3f));
	text[2] = (char)(0x80 | (code >> 6 & 0x3f));
	text[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

static size_t
write_utf8(char *text, const uint32_t *codes, size_t count)
{
	size_t size = 0;

	for (size_t i = 0; i < count; i++)
		size += put_utf8(text + size, codes[i]);
	text[size] = '\0';
	return size;
}

/* ---- A server that knows better ---- */

static PGconn *
connect_server(void)
{
	char key[160];

	snprintf(key, sizeof(key), "%.100s user=torc dbname=torc",
	    postgres.key);
	return PQconnectdb(key);
}

static bool
is_in(uint32_t code, const struct pg_range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	return false;
}

/* That a password may have, and keep. */
static bool
is_allowed(uint32_t code)
{
	return !is_in(code, torc_pg_unassigned, torc_pg_unassigned_count) &&
	    !is_in(code, torc_pg_prohibited, torc_pg_prohibited_count);
}

/* Our form KC of this character is that. */
static void
expect_form(uint32_t code, const char *expected)
{
	uint32_t codes[2 * PG_EXPANSION] = { code };
	char text[4 * 2 * PG_EXPANSION + 1];
	size_t count;

	if (!is_allowed(code))
		return;
	count = torc_pg_normalise(codes, 1, 2 * PG_EXPANSION);
	write_utf8(text, codes, count);
	if (strcmp(text, expected) != 0)
		fail_msg("U+%04X is %s, and not %s", code, text, expected);
}

/* Of those that have another form, all; the others are in between. */
static void
each_character_has_the_form_that_the_server_knows(void **state)
{
	PGconn *server = connect_server();
	PGresult *rows = PQexec(server, "select i, normalize(chr(i), NFKC) "
	    "from generate_series(1, 1114111) i where (i < 55296 or i > 57343)"
	    " and normalize(chr(i), NFKC) <> chr(i) order by i");
	uint32_t code = 1;
	char text[5];

	(void)state;
	assert_int_equal(PQresultStatus(rows), PGRES_TUPLES_OK);
	assert_true(PQntuples(rows) > 4000);
	for (int i = 0; i < PQntuples(rows); i++) {
		const uint32_t next = (uint32_t)strtoul(PQgetvalue(rows, i,
		    0), NULL, 10);

		for (; code < next && code < 0x30000; code++) {
			write_utf8(text, &code, 1);
			expect_form(code, text);
		}
		expect_form(next, PQgetvalue(rows, i, 1));
		code = next + 1;
	}
	PQclear(rows);
	PQfinish(server);
}

static void
texts_at_random_have_the_form_that_the_server_knows(void **state)
{
	PGconn *server = connect_server();

	(void)state;
	for (int i = 0; i < TEXTS; i++) {
		uint32_t codes[PG_EXPANSION * 12];
		char text[64], ours[4 * PG_EXPANSION * 12 + 1];
		const char *const values[] = { text };
		size_t count = 1 + draw(8);
		PGresult *row;

		for (size_t j = 0; j < count; j++)
			do
				codes[j] = draw_code();
			while (!is_allowed(codes[j]));
		write_utf8(text, codes, count);
		count = torc_pg_normalise(codes, count, COUNT(codes));
		write_utf8(ours, codes, count);
		row = PQexecParams(server, "select normalize($1, NFKC)", 1,
		    NULL, values, NULL, NULL, 0);
		assert_int_equal(PQresultStatus(row), PGRES_TUPLES_OK);
		assert_string_equal(ours, PQgetvalue(row, 0, 0));
		PQclear(row);
	}
	PQfinish(server);
}

/* ---- Passwords ---- */

/*
 * Whether the server's secret, "SCRAM-SHA-256$4096:SALT$STORED:SERVER", is that
 * of this password: by the proof that we would have of the server.
 */
static bool
is_secret_of(const char *secret, const char *password)
{
	char first[128], encoded[64], *prepared = torc_pg_saslprep(password);
	const char *salt = strchr(secret, ':') + 1;
	struct pg_scram scram = { .password = prepared };
	uint8_t key[PG_HASH_SIZE];
	unsigned used;
	int size;

	snprintf(first, sizeof(first), "r=server,s=%.*s,i=4096",
	    (int)strcspn(salt, "$"), salt);
	assert_int_equal(torc_pg_scram_challenge(&scram, first, strlen(first),
	    4096), 0);
	assert_int_equal(torc_pg_scram_derive(&scram), 0);
	free(prepared);
	/* StoredKey: the hash of the HMAC of "Client Key". */
	assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL,
	    scram.salted, PG_HASH_SIZE, (const uint8_t *)"Client Key", 10,
	    key, sizeof(key), NULL));
	assert_int_equal(EVP_Digest(key, sizeof(key), key, &used,
	    EVP_sha256(), NULL), 1);
	size = EVP_EncodeBlock((uint8_t *)encoded, key, sizeof(key));
	return strncmp(strchr(salt, '$') + 1, encoded, (size_t)size) == 0;
}

static void
expect_secret(PGconn *server, const char *password)
{
	char *quoted = PQescapeLiteral(server, password, strlen(password));
	char sql[1024];
	PGresult *row;

	snprintf(sql, sizeof(sql), "set password_encryption = "
	    "'scram-sha-256'; alter role prepared password %s; "
	    "select rolpassword from pg_authid where rolname = 'prepared'",
	    quoted);
	row = PQexec(server, sql);
	assert_int_equal(PQresultStatus(row), PGRES_TUPLES_OK);
	if (!is_secret_of(PQgetvalue(row, 0, 0), password))
		fail_msg("\"%s\" is another password for the server",
		    password);
	PQclear(row);
	PQfreemem(quoted);
}

static void
the_secret_of_a_password_is_the_one_that_the_server_keeps(void **state)
{
	static const char *const passwords[] = {
		"plain", "with space", "p\u00e4ssw\u00f6rd",
		"pass\u00a0word", "pass\u00adword", "o\ufb01ce",
		"cafe\u0301", "\u2460\u00bd", "\uff21\uff22",
		"\u1100\u1161\u11a8", "\u3000", "\u00ad\u00ad",
		/* Not allowed: unassigned, private, control, directions. */
		"a\u0221b", "\ue000", "a\007\u00e4", "a\302\205",
		"\u06271", "\u0627a\u0628", "\u06271\u0628",
		"\u05d0\u00e9", "\u200b", "\u2028x", "\U0001f600",
		"\U0001d400\U0001d401", "\u0340x", "x\ufeff\u00e9",
		/* A letter that another one is composed of. */
		"\u1e9b\u0323", "\u0344", "\u212b\u2126", "\ufb2c",
	};
	PGconn *server = connect_server();

	(void)state;
	for (unsigned i = 0; i < COUNT(passwords); i++)
		expect_secret(server, passwords[i]);
	for (int i = 0; i < VERIFIERS; i++) {
		uint32_t codes[8];
		char text[64];
		const size_t count = 1 + draw(8);

		for (size_t j = 0; j < count; j++)
			codes[j] = draw_code();
		write_utf8(text, codes, count);
		expect_secret(server, text);
	}
	PQfinish(server);
}

static int
log_in(struct scene *scene)
{
	EXPECT(says(scene->pg, "select current_user::text", "prepared"));
	return 0;
}

static int
be_refused(struct scene *scene)
{
	struct torc_pg_result *result;

	EXPECT(ask(scene->pg, "select 1", &result) == -EACCES);
	torc_pg_result_free(result);
	return 0;
}

static void
a_password_that_is_written_in_another_way_lets_us_in(void **state)
{
	static const char *const same[] = { "of\ufb01ce caf\u00e9",
		"office\u00a0cafe\u0301", "of\u00adfice cafe\u0301" };

	(void)state;
	assert_true(pg_server_sql(&postgres, "set password_encryption = "
	    "'scram-sha-256'; alter role prepared password "
	    "'office cafe\u0301'"));
	for (unsigned i = 0; i < COUNT(same); i++)
		play_with((struct torc_pg_config) { .user = "prepared",
		    .password = same[i], .require_scram = true }, log_in);
	play_with((struct torc_pg_config) { .user = "prepared",
	    .password = "office cafe", .require_scram = true }, be_refused);
}

/* No UTF-8: taken as it is. */
static void
bytes_that_are_no_text_are_hashed_as_they_are(void **state)
{
	static const char *const odd[] = { "\xff", "a\xc3", "\xc0\x80",
		"\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
		"\xf8\x88\x80\x80\x80", "\xe2\x82", "\x80" };

	(void)state;
	for (unsigned i = 0; i < COUNT(odd); i++) {
		char *prepared = torc_pg_saslprep(odd[i]);

		assert_string_equal(prepared, odd[i]);
		free(prepared);
	}
}

static int
make_role(void **state)
{
	(void)state;
	return pg_server_sql(&postgres, "create role prepared login") ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    each_character_has_the_form_that_the_server_knows),
		cmocka_unit_test(
		    texts_at_random_have_the_form_that_the_server_knows),
		cmocka_unit_test(
		    the_secret_of_a_password_is_the_one_that_the_server_keeps),
		cmocka_unit_test(
		    a_password_that_is_written_in_another_way_lets_us_in),
		cmocka_unit_test(
		    bytes_that_are_no_text_are_hashed_as_they_are),
	};

	return scene_main_with(
	    "torc_pg_saslprep", tests, COUNT(tests), make_role, NULL);
}
