/* SPDX-License-Identifier: MIT */
/*
 * test_pg_config.c - what a configuration may say, in fields and as a URI, and
 * what is refused in words when a client is made.
 */
#include "tests/harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "conn/pg/config.h"
#include "conn/transport.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int
make(struct pg_setup *setup, const char *address, char *text, size_t size)
{
	const struct torc_pg_config config = { .address = address,
		.user = "field", .database = "base", .password = "secret" };
	struct torc_error error = { 0 };
	const struct pg_words words = { &error, false };
	int rc = torc_pg_setup_make(setup, &config, &words);

	assert_int_equal(error.code, rc == -EINVAL ? rc : 0);
	assert_true(strlen(error.text) < size);
	strcpy(text, error.text);
	return rc;
}

static void
join_hosts(const struct pg_setup *setup, char *text, size_t size)
{
	text[0] = '\0';
	for (unsigned i = 0; i < setup->host_count; i++) {
		strncat(text, i > 0 ? " " : "", size - strlen(text) - 1);
		strncat(text, setup->hosts[i], size - strlen(text) - 1);
	}
}

/* ---- Addresses ---- */

static void
addresses_are_read_with_the_usual_port_and_in_order(void **state)
{
	static const struct {
		const char *address;
		const char *hosts;
	} cases[] = {
		{ "127.0.0.1:5433", "127.0.0.1:5433" },
		{ "db", "db:5432" },
		{ "db.example.org:1,10.0.0.2", "db.example.org:1 "
		    "10.0.0.2:5432" },
		{ "a, b:2 ,c", "a:5432 b:2 c:5432" },
		{ "[::1]", "[::1]:5432" },
		{ "[fe80::1%eth0]:7,[::2]", "[fe80::1%eth0]:7 [::2]:5432" },
		{ "unix:/run/x/.s.PGSQL.1", "unix:/run/x/.s.PGSQL.1" },
		{ "/run/x", "unix:/run/x/.s.PGSQL.5432" },
		{ "unix:@name,b", "unix:@name b:5432" },
	};
	struct pg_setup setup;
	char text[300], hosts[300];

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		assert_int_equal(make(&setup, cases[i].address, text,
		    sizeof(text)), 0);
		join_hosts(&setup, hosts, sizeof(hosts));
		assert_string_equal(hosts, cases[i].hosts);
		assert_string_equal(setup.config.user, "field");
		torc_pg_setup_free(&setup);
	}
}

static void
an_address_that_cannot_be_is_refused_when_the_client_is_made(void **state)
{
	static const struct {
		const char *address;
		const char *words;
	} cases[] = {
		{ NULL, "address: must be given" },
		{ "", "\"\": must be the name of a host" },
		{ "a,", "\"\": must be the name of a host" },
		{ "a:0", "port \"0\"" },
		{ "a:65536", "port \"65536\"" },
		{ "a:5432x", "port \"5432x\"" },
		{ "::1", "brackets" },
		{ "[::1", "[::1]:5432" },
		{ "[::1]5432", "[::1]:5432" },
		{ "a b", "\"a b\": must be" },
		{ "a/b", "\"a/b\": must be" },
		{ "unix:", "1 to 107 bytes" },
		{ "mysql://root@db/x", "\"mysql://\"" },
		{ "host=db password=hush", "a URI (" },
		{ "user:hush@db", "no \"@\"" },
		{ "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,"
		    "a,a,a,a", "at most 32" },
	};
	struct pg_setup setup;
	char text[300];

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		const int rc = make(&setup, cases[i].address, text,
		    sizeof(text));

		assert_int_equal(rc, -EINVAL);
		if (strstr(text, cases[i].words) == NULL)
			fail_msg("%s: %s", cases[i].address, text);
	}
}

/* ---- URIs ---- */

static const struct {
	const char *uri;
	const char *hosts;
	const char *user;
	const char *password;
	const char *database;
} uris[] = {
	{ "postgres://db", "db:5432", "field", "secret", "base" },
	{ "postgresql://", "unix:/var/run/postgresql/.s.PGSQL.5432",
	    "field", "secret", "base" },
	{ "postgresql:///shop", "unix:/var/run/postgresql/"
	    ".s.PGSQL.5432", "field", "secret", "shop" },
	{ "postgres://me@db:1/shop", "db:1", "me", "secret", "shop" },
	{ "postgres://me:p%40ss%3a%2F@db/s%20p", "db:5432", "me",
	    "p@ss:/", "s p" },
	{ "postgres://me:@db/", "db:5432", "me", "secret", "base" },
	{ "postgres://me@db?user=&password=&dbname=", "db:5432", "me",
	    "secret", "base" },
	{ "postgres://me:p?a@db/x?", "db:5432", "me", "p?a", "x" },
	{ "postgres://me:p?a@b@db/x?keepalives=1&", "db:5432", "me",
	    "p?a@b", "x" },
	{ "postgres://:pw@db/", "db:5432", "field", "pw", "base" },
	{ "postgres://me:p@ss@db", "db:5432", "me", "p@ss", "base" },
	{ "postgres://a:1,b,[::1]:3/x", "a:1 b:5432 [::1]:3", "field",
	    "secret", "x" },
	{ "postgres://%2Frun%2Fpg:7/x", "unix:/run/pg/.s.PGSQL.7",
	    "field", "secret", "x" },
	{ "postgres:///x?host=/run/pg&port=7", "unix:/run/pg/"
	    ".s.PGSQL.7", "field", "secret", "x" },
	{ "postgres:///?host=a,b&port=1,2&user=u&password=p&dbname=d",
	    "a:1 b:2", "u", "p", "d" },
	{ "postgres:///?host=a,b&port=9", "a:9 b:9", "field",
	    "secret", "base" },
	{ "postgres://a,b/x?port=9", "a:9 b:9", "field", "secret",
	    "x" },
	{ "postgres://name/x?hostaddr=10.0.0.1", "10.0.0.1:5432",
	    "field", "secret", "x" },
	{ "postgres://name:7/x?hostaddr=10.0.0.1", "10.0.0.1:7",
	    "field", "secret", "x" },
	{ "postgres://:7/x?host=a,b", "a:7 b:7", "field", "secret",
	    "x" },
	{ "postgres://a:7,b/x?hostaddr=::1,::2",
	    "[::1]:7 [::2]:5432", "field", "secret", "x" },
	{ "postgres://u:p@db/d?ssl=false", "db:5432", "u", "p", "d" },
	{ "postgres://u:p@db/d?sslmode=prefer&gssencmode=disable&"
	    "channel_binding=prefer&target_session_attrs=any",
	    "db:5432", "u", "p", "d" },
};

static void
a_uri_is_read_as_libpq_reads_it(void **state)
{
	struct pg_setup setup;
	char text[300], hosts[300];

	(void)state;
	for (unsigned i = 0; i < COUNT(uris); i++) {
		if (make(&setup, uris[i].uri, text, sizeof(text)) != 0)
			fail_msg("%s: %s", uris[i].uri, text);
		join_hosts(&setup, hosts, sizeof(hosts));
		assert_string_equal(hosts, uris[i].hosts);
		assert_string_equal(setup.config.user, uris[i].user);
		assert_string_equal(setup.config.password, uris[i].password);
		assert_string_equal(setup.config.database, uris[i].database);
		torc_pg_setup_free(&setup);
	}
}

static void
the_parameters_of_a_uri_are_fields_and_parameters_of_the_startup(
    void **state)
{
	static const char *const more[] = { "search_path", "a", NULL };
	struct torc_pg_config config = { .address = "postgres://u@h/?"
		"application_name=my%20app&options=-c%20geqo%3Doff&"
		"connect_timeout=7&keepalives=1&keepalives_idle=30&"
		"keepalives_interval=5&keepalives_count=4&"
		"tcp_user_timeout=9000&target_session_attrs=read-write&"
		"fallback_application_name=other&"
		"require_auth=scram-sha-256", .parameters = more };
	struct pg_setup setup;
	struct torc_error error = { 0 };
	const struct pg_words words = { &error, false };
	static const char *const expected[] = { "search_path", "a",
		"application_name", "my app", "options", "-c geqo=off" };

	(void)state;
	assert_int_equal(torc_pg_setup_make(&setup, &config, &words), 0);
	assert_int_equal(setup.parameter_count, COUNT(expected));
	for (unsigned i = 0; i < COUNT(expected); i++)
		assert_string_equal(setup.parameters[i], expected[i]);
	assert_null(setup.parameters[COUNT(expected)]);
	assert_int_equal(setup.config.open_ms, 7000);
	assert_int_equal(setup.keepalive.on, 1);
	assert_int_equal(setup.keepalive.idle_s, 30);
	assert_int_equal(setup.keepalive.interval_s, 5);
	assert_int_equal(setup.keepalive.count, 4);
	assert_int_equal(setup.keepalive.user_timeout_ms, 9000);
	assert_int_equal(setup.attrs, PG_READ_WRITE);
	assert_true(setup.config.require_scram);
	torc_pg_setup_free(&setup);
}

static const struct {
	const char *uri;
	const char *words;
} bad_uris[] = {
	{ "postgres://u:hush@db/x?sslmode=require",
	    "sslmode = \"require\" needs TLS" },
	{ "postgres://u:hush@db/x?sslmode=verify-full",
	    "sslmode = \"verify-full\" needs TLS" },
	{ "postgres://u:hush@db/x?sslmode=on",
	    "must be disable, allow, prefer, require, verify-ca or "
	    "verify-full" },
	{ "postgres://u:hush@db/x?ssl=true",
	    "sslmode = \"require\" needs TLS" },
	{ "postgres://u:hush@db/x?ssl=1", "must be true, false" },
	{ "postgres://u:hush@db/x?channel_binding=require",
	    "channel_binding = \"require\" needs TLS" },
	{ "postgres://u:hush@db/x?channel_binding=yes",
	    "must be disable, prefer or require" },
	{ "postgres://u:hush@db/x?sslnegotiation=direct",
	    "and is \"disable\"" },
	{ "postgres://u:hush@db/x?sslnegotiation=later",
	    "must be postgres or direct" },
	{ "postgres://u:hush@db/x?require_auth=none",
	    "scram-sha-256" },
	{ "postgres://u:hush@db/x?sslrootcert=/a",
	    "sslrootcert in the URI: must be a field of the client of "
	    "TLS" },
	{ "postgres://u:hush@db,x/x?hostaddr=::1,::2,::3",
	    "hostaddr in the URI: must be as many as hosts" },
	{ "postgres://u:hush@db/x?pool_size=3",
	    "the parameter pool_size" },
	{ "postgres://u:hush@db/x?sslmode", "and a value" },
	{ "postgres://u:hush@db/x?connect_timeout=soon",
	    "connect_timeout" },
	{ "postgres://u:hush@db/x?target_session_attrs=master",
	    "read-write" },
	{ "postgres://u:hush@db/%zz", "hexadecimal" },
	{ "postgres://u:hush%00@db/", "hexadecimal" },
	{ "postgres://u:hush@db:x/", "its port 1 to 65535" },
	{ "postgres://u:hush", "%2F" },
	{ "postgres://u:hush/x@db/x", "%2F" },
	{ "postgres://u:1?hush/a=b@db/x", "a parameter, " },
	{ "postgres://u:hush@[]/x", "[::1]:5432" },
	{ "postgres://u:hush@db/x?port=1&&port=2", "and a value" },
	{ "postgres://u:hush@db/x?keepalives_idle=32768",
	    "from 0 to 32767" },
	{ "postgres://u:hush@db/x?keepalives_count=128",
	    "keepalives_count = \"128\" in the URI: must be" },
	{ "postgres://u:hush@db/x?connect_timeout=2147484",
	    "from 0 to 2147483" },
	{ "postgres://u:hush@[::1/", "[::1]:5432" },
	{ "postgres://u:hush@db:1/?port=2",
	    "beside one behind a host" },
	{ "postgres:///?host=a,b&port=1,2,3", "and not more" },
	{ "postgres:///?host=a,b,c&port=1,2", "and not fewer" },
};

static void
a_uri_that_cannot_be_kept_is_refused_in_words_without_its_password(
    void **state)
{
	struct pg_setup setup;
	char text[300];

	(void)state;
	for (unsigned i = 0; i < COUNT(bad_uris); i++) {
		assert_int_equal(make(&setup, bad_uris[i].uri, text,
		    sizeof(text)), -EINVAL);
		if (strstr(text, bad_uris[i].words) == NULL ||
		    strstr(text, "hush") != NULL)
			fail_msg("%s: %s", bad_uris[i].uri, text);
	}
}

/* ---- TLS ---- */

static struct torc_transport_dialler nobody;

/* What a configuration with TLS says, or why it cannot be. */
static int
make_tls(struct pg_setup *setup, const char *address, const char *sslmode,
    struct torc_error *error)
{
	const struct torc_pg_config config = { .address = address,
		.user = "u", .sslmode = sslmode, .transport = &nobody };
	const struct pg_words words = { error, false };

	return torc_pg_setup_make(setup, &config, &words);
}

static void
tls_is_used_as_sslmode_says_and_verified_if_nothing_does(void **state)
{
	static const struct {
		const char *address;
		const char *sslmode;
		enum pg_sslmode expected;
	} cases[] = {
		{ "h", NULL, PG_SSL_VERIFY_FULL },
		{ "h", "disable", PG_SSL_DISABLE },
		{ "h", "allow", PG_SSL_ALLOW },
		{ "h", "prefer", PG_SSL_PREFER },
		{ "h", "require", PG_SSL_REQUIRE },
		{ "h", "verify-ca", PG_SSL_VERIFY_CA },
		{ "h", "verify-full", PG_SSL_VERIFY_FULL },
		{ "postgres://h", NULL, PG_SSL_VERIFY_FULL },
		{ "postgres://h?sslmode=require", NULL, PG_SSL_REQUIRE },
		{ "postgres://h?sslmode=prefer", "verify-full",
		    PG_SSL_PREFER },
		/* JDBC's word asks for more, and never for less. */
		{ "postgres://h?ssl=true", NULL, PG_SSL_VERIFY_FULL },
		{ "postgres://h?ssl=true", "prefer", PG_SSL_REQUIRE },
	};
	const struct torc_pg_config clear = { .address = "h", .user = "u" };
	struct torc_error error;
	const struct pg_words words = { &error, false };
	struct pg_setup setup;

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		if (make_tls(&setup, cases[i].address, cases[i].sslmode,
		    &error) != 0)
			fail_msg("%s: %s", cases[i].address, error.text);
		assert_int_equal(setup.tls.mode, cases[i].expected);
		assert_int_equal(setup.tls.channel, PG_CHANNEL_PREFER);
		assert_false(setup.tls.direct);
		torc_pg_setup_free(&setup);
	}
	/* Without a transport. */
	assert_int_equal(torc_pg_setup_make(&setup, &clear, &words), 0);
	assert_int_equal(setup.tls.mode, PG_SSL_DISABLE);
	torc_pg_setup_free(&setup);
}

static void
a_certificate_has_to_name_the_host_of_each_address(void **state)
{
	static const struct {
		const char *address;
		const char *names[3];	/* NULL: it has no TLS */
	} cases[] = {
		{ "db", { "db" } },
		{ "db:1,10.0.0.1,[::1]:3", { "db", "10.0.0.1", "::1" } },
		{ "[fe80::1%lo]:5432", { "fe80::1" } },
		{ "unix:/run/x,/run,db", { NULL, NULL, "db" } },
		{ "postgres://a:1,b/x", { "a", "b" } },
		{ "postgres:///x", { NULL } },
		{ "postgres://h/x?host=a,/run", { "a", NULL } },
		{ "postgres://a,b/x?hostaddr=10.0.0.1,::2", { "a", "b" } },
		{ "postgres:///x?host=a,&hostaddr=10.0.0.1,10.0.0.2",
		    { "a", "10.0.0.2" } },
		{ "postgres:///x?hostaddr=10.0.0.1", { "10.0.0.1" } },
	};
	struct pg_setup setup;
	struct torc_error error;

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		if (make_tls(&setup, cases[i].address, NULL,
		    &error) != 0)
			fail_msg("%s: %s", cases[i].address, error.text);
		for (unsigned j = 0; j < setup.host_count; j++) {
			const char *name = cases[i].names[j];

			if (name == NULL)
				assert_null(setup.names[j]);
			else
				assert_string_equal(setup.names[j], name);
		}
		torc_pg_setup_free(&setup);
	}
}

static void
words_of_tls_that_cannot_be_or_do_not_go_together_are_refused(void **state)
{
	static const struct {
		struct torc_pg_config config;
		const char *words;
	} cases[] = {
		{ { .sslmode = "full", .transport = &nobody },
		    "sslmode = \"full\": must be disable, allow, prefer, "
		    "require, verify-ca or verify-full" },
		{ { .sslmode = "require" }, "sslmode = \"require\" needs TLS: "
		    "`transport` must be set" },
		{ { .sslmode = "verify-ca" }, "sslmode = \"verify-ca\" needs "
		    "TLS: `transport` must be set" },
		{ { .sslnegotiation = "tls", .transport = &nobody },
		    "sslnegotiation = \"tls\": must be postgres or direct" },
		{ { .sslnegotiation = "direct", .sslmode = "prefer",
		    .transport = &nobody }, "sslnegotiation = \"direct\": "
		    "sslmode must be require, verify-ca or verify-full, and "
		    "is \"prefer\"" },
		{ { .channel_binding = "on", .transport = &nobody },
		    "channel_binding = \"on\": must be disable, prefer or "
		    "require" },
		{ { .channel_binding = "require" }, "channel_binding = "
		    "\"require\" needs TLS: `transport` must be set" },
		{ { .channel_binding = "require", .sslmode = "disable",
		    .transport = &nobody }, "channel_binding = \"require\" "
		    "needs TLS: sslmode must not be \"disable\"" },
		/* What can be. */
		{ { .sslmode = "prefer" }, NULL },
		{ { .sslmode = "allow", .channel_binding = "disable" }, NULL },
		{ { .sslnegotiation = "direct", .transport = &nobody,
		    .channel_binding = "require" }, NULL },
	};
	struct pg_setup setup;
	struct torc_error error;
	const struct pg_words words = { &error, false };

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		struct torc_pg_config config = cases[i].config;
		int rc;

		config.address = "h";
		config.user = "u";
		rc = torc_pg_setup_make(&setup, &config, &words);
		assert_int_equal(rc, cases[i].words == NULL ? 0 : -EINVAL);
		if (rc == 0)
			torc_pg_setup_free(&setup);
		else
			assert_string_equal(error.text, cases[i].words);
	}
}

/* ---- The rest ---- */

static void
terms_and_parameters_that_cannot_be_are_refused(void **state)
{
	static const char *const odd[] = { "name", NULL };
	static const char *const unnamed[] = { "", "value", NULL };
	struct torc_pg_config config = { .address = "a", .user = "u",
		.target_session_attrs = "master" };
	struct pg_setup setup;
	struct torc_error error = { 0 };
	const struct pg_words words = { &error, false };

	(void)state;
	assert_int_equal(torc_pg_setup_make(&setup, &config, &words), -EINVAL);
	assert_non_null(strstr(error.text, "target_session_attrs = \"master\": "
	    "must be any, read-write"));
	config.target_session_attrs = "prefer-standby";
	assert_int_equal(torc_pg_setup_make(&setup, &config, &words), 0);
	assert_int_equal(setup.attrs, PG_PREFER_STANDBY);
	torc_pg_setup_free(&setup);
	config.parameters = odd;
	assert_int_equal(torc_pg_setup_make(&setup, &config, &words), -EINVAL);
	assert_non_null(strstr(error.text, "\"name\": must have a value"));
	config.parameters = unnamed;
	assert_int_equal(torc_pg_setup_make(&setup, &config, &words), -EINVAL);
	assert_non_null(strstr(error.text, "must have a name"));
	config.parameters = NULL;
	config.user = "";
	assert_int_equal(torc_pg_setup_make(&setup, &config, &words), -EINVAL);
	assert_non_null(strstr(error.text, "user: must be given"));
	config.user = NULL;
	assert_int_equal(torc_pg_setup_make(&setup, &config, &words), -EINVAL);
	assert_non_null(strstr(error.text, "user: must be given"));
	config.user = "u";
	config.message_max = 1000;
	assert_int_equal(torc_pg_setup_make(&setup, &config, &words), -EINVAL);
	assert_string_equal(error.text, "message_max = 1000: must be from "
	    "1024 to 1073741824");
}

/* ---- libpq has the last word ---- */

static const char *
option_of(const PQconninfoOption *options, const char *name,
    const char *otherwise)
{
	while (options->keyword != NULL && strcmp(options->keyword, name) != 0)
		options++;
	return options->val != NULL && options->val[0] != '\0' ?
	    options->val : otherwise;
}

/* What both take has the same meaning. */
static bool
is_read_in_the_same_way(const char *uri)
{
	PQconninfoOption *options = PQconninfoParse(uri, NULL);
	struct pg_setup setup;
	char text[300];
	bool same = true;

	if (make(&setup, uri, text, sizeof(text)) == 0) {
		same = options == NULL || (strcmp(setup.config.user,
		    option_of(options, "user", "field")) == 0 &&
		    strcmp(setup.config.password,
		    option_of(options, "password", "secret")) == 0 &&
		    strcmp(setup.config.database,
		    option_of(options, "dbname", "base")) == 0);
		torc_pg_setup_free(&setup);
	} else if (strstr(text, "hush") != NULL) {
		print_message("%s\n", text);
		same = false;
	}
	PQconninfoFree(options);
	return same;
}

static void
what_libpq_and_torc_take_means_the_same(void **state)
{
	static const char *const pieces[] = { "u", ":", "%40", "/",
		"?", "&", "db", ",", "5433", "[::1]", "[", "]", "=",
		"user=me", "password=y", "dbname=x", "port=1", "host=a",
		"keepalives=1", "#", "%2F" };
	uint64_t noise = 1;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		char uri[200] = "postgres://";

		if (i % 3 > 0)
			strcat(uri, i % 3 == 1 ? "u:hush@" :
			    "u:7?hush/@db");
		for (unsigned j = 0; j < i % 7; j++) {
			noise = noise * UINT64_C(6364136223846793005) + 1;
			strcat(uri, pieces[(noise >> 33) % COUNT(pieces)]);
		}
		if (!is_read_in_the_same_way(uri))
			fail_msg("%s", uri);
	}
}

static void
no_client_can_be_destroyed_as_no_pool_can(void **state)
{
	(void)state;
	assert_int_equal(torc_pool_destroy(NULL, TORC_NEVER), 0);
	assert_int_equal(torc_pg_destroy(NULL, TORC_NEVER), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    addresses_are_read_with_the_usual_port_and_in_order),
		cmocka_unit_test(
		    an_address_that_cannot_be_is_refused_when_the_client_is_made),
		cmocka_unit_test(a_uri_is_read_as_libpq_reads_it),
		cmocka_unit_test(
		    the_parameters_of_a_uri_are_fields_and_parameters_of_the_startup),
		cmocka_unit_test(
		    a_uri_that_cannot_be_kept_is_refused_in_words_without_its_password),
		cmocka_unit_test(
		    tls_is_used_as_sslmode_says_and_verified_if_nothing_does),
		cmocka_unit_test(
		    a_certificate_has_to_name_the_host_of_each_address),
		cmocka_unit_test(
		    words_of_tls_that_cannot_be_or_do_not_go_together_are_refused),
		cmocka_unit_test(
		    terms_and_parameters_that_cannot_be_are_refused),
		cmocka_unit_test(what_libpq_and_torc_take_means_the_same),
		cmocka_unit_test(no_client_can_be_destroyed_as_no_pool_can),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("pg_config", tests, NULL, NULL);
}
