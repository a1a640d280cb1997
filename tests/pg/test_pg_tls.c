/* SPDX-License-Identifier: MIT */
/*
 * test_pg_tls.c - when a client of PostgreSQL uses TLS, what it says before it
 * has it, and what it binds a login to: by servers that do as they are told,
 * and a transport that hides nothing (tests/toy.h).
 */
#include "tests/harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn/pg/torc_pg.h"
#include "tests/pg/scripted.h"
#include "tests/toy.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LATE torc_after_ms(60000)

#define LET_IN "R\0\0\0\x08\0\0\0\0"
#define KEY "K\0\0\0\x0c\0\0\0\x07\0\0\0\x09"
#define READY "Z\0\0\0\x05I"
#define HELLO LET_IN KEY READY
#define REFUSED "E\0\0\0\x1eSFATAL\0VFATAL\0C28000\0Mno\0\0"
#define STARTING "E\0\0\0\x1eSFATAL\0VFATAL\0C57P03\0Mno\0\0"
#define NO_DATABASE "E\0\0\0\x1eSFATAL\0VFATAL\0C3D000\0Mno\0\0"

#define ASK_CLEAR "R\0\0\0\x08\0\0\0\x03"
#define ASK_MD5 "R\0\0\0\x0c\0\0\0\x05salt"
#define ASK_SCRAM "R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"
#define ASK_PLUS "R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"

/* ---- The dialler ---- */

static char wished[64];		/* the name that was verified */
static enum torc_trust trusted;
static char offered[32];
static const char *chosen;	/* by ALPN */
static const char *certificate;	/* its hash; NULL: none is defined */

static struct torc_transport *
dial_toy(struct torc_transport_dialler *dialler, const char *name,
    enum torc_trust trust)
{
	(void)dialler;
	snprintf(wished, sizeof(wished), "%s", name);
	trusted = trust;
	return toy_make();
}

static bool
offer(struct torc_transport *transport, const char *protocol)
{
	(void)transport;
	snprintf(offered, sizeof(offered), "%s", protocol);
	return true;
}

static struct torc_slice
tell_chosen(const struct torc_transport *transport)
{
	(void)transport;
	return (struct torc_slice) { (const uint8_t *)chosen,
		strlen(chosen) };
}

static int
hash_certificate(const struct torc_transport *transport, uint8_t out[64])
{
	(void)transport;
	if (certificate == NULL)
		return -EOPNOTSUPP;
	memcpy(out, certificate, strlen(certificate));
	return (int)strlen(certificate);
}

static const char *
say_why(const struct torc_transport *transport)
{
	(void)transport;
	return "the toy is broken";
}

static struct torc_transport_dialler toys = {
	.make = dial_toy,
	.offer = offer,
	.protocol = tell_chosen,
	.binding = hash_certificate,
	.why = say_why,
};

/* ---- The stage ---- */

struct scene {
	struct torc_pg_config config;
	struct torc_error error;
	int (*more)(struct torc_pg_session *session);
	int (*ask)(struct torc_pg *pg);	/* instead of renting one */
};

/* Rent one session: what that returns. */
static int
run_scene(void *arg)
{
	struct scene *scene = arg;
	struct torc_pg_session *session = NULL;
	struct torc_pg *pg;
	int rc;

	scene->config.user = "user";
	scene->config.transport = &toys;
	scene->config.retry_min_ms = 1;
	scene->config.retry_max_ms = 1;
	rc = torc_pg_create(&pg, &scene->config, &scene->error);
	if (rc < 0)
		return -1;
	rc = scene->ask != NULL ? scene->ask(pg) :
	    torc_pg_session_acquire(pg, &session, &scene->error, LATE);
	if (rc < 0)
		session = NULL;
	if (session != NULL && scene->more != NULL)
		rc = scene->more(session);
	if (session != NULL)
		torc_pg_session_release(session);
	torc_pg_destroy(pg, TORC_NEVER);
	return rc;
}

static int
play(struct scene *scene)
{
	struct server server;
	int rc;

	wished[0] = offered[0] = '\0';
	server_start(&server, NULL, echo_handler, NULL);
	rc = server_fiber(&server, run_scene, scene);
	assert_int_equal(server_stop(&server), 0);
	return rc;
}

/* With one server: what it was asked is `log`. */
static void
expect(const struct script *script, struct scene *scene, int expected,
    const char *log)
{
	struct scripted server;
	char asked[SCRIPTED_LOG];
	int rc;

	scripted_start(&server, script, NULL);
	scene->config.address = server.address;
	rc = play(scene);
	scripted_stop(&server, asked);
	if (rc != expected || strcmp(asked, log) != 0)
		fail_msg("sslmode %s: %d \"%s\" (%s), and not %d \"%s\"",
		    scene->config.sslmode, rc, asked, scene->error.text,
		    expected, log);
}

static void
expect_words(const struct scene *scene, const char *words)
{
	if (strstr(scene->error.text, words) == NULL)
		fail_msg("%s", scene->error.text);
}

#define S .answer = { "S", 1 }
#define N .answer = { "N", 1 }
#define OK { HELLO, sizeof(HELLO) - 1 }
#define NO { REFUSED, sizeof(REFUSED) - 1 }

/* ---- What libpq does ---- */

static void
each_sslmode_goes_the_way_of_libpq_with_each_server(void **state)
{
	static const struct script none = { N, .clear = OK, .tls = OK },
	    both = { S, .clear = OK, .tls = OK },
	    only_tls = { S, .clear = NO, .tls = OK },
	    only_clear = { S, .clear = OK, .tls = NO },
	    broken = { S, .broken = true, .clear = OK, .tls = OK },
	    nobody = { N, .clear = NO, .tls = NO };
	static const struct {
		const char *sslmode;
		const struct script *script;
		int expected;
		const char *log;
	} cases[] = {
		{ "disable", &none, 0, "cx" },
		{ "disable", &both, 0, "cx" },
		{ "disable", &only_tls, -EACCES, "c" },
		{ "allow", &none, 0, "cx" },
		{ "allow", &both, 0, "cx" },
		{ "allow", &only_tls, 0, "c qhtx" },
		{ "allow", &nobody, -EACCES, "c q" },
		{ "prefer", &none, 0, "qcx" },
		{ "prefer", &both, 0, "qhtx" },
		{ "prefer", &only_tls, 0, "qhtx" },
		{ "prefer", &only_clear, 0, "qht cx" },
		{ "prefer", &broken, 0, "qh cx" },
		/* In clear text already: there is no other way. */
		{ "prefer", &nobody, -EACCES, "qc" },
		{ "require", &none, -EPROTONOSUPPORT, "q" },
		{ "require", &both, 0, "qhtx" },
		{ "require", &only_clear, -EACCES, "qht" },
		{ "require", &broken, -EBADMSG, "qh" },
		{ "verify-ca", &none, -EPROTONOSUPPORT, "q" },
		{ "verify-ca", &only_tls, 0, "qhtx" },
		{ "verify-full", &none, -EPROTONOSUPPORT, "q" },
		{ "verify-full", &only_tls, 0, "qhtx" },
		{ NULL, &none, -EPROTONOSUPPORT, "q" },
		{ NULL, &both, 0, "qhtx" },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		struct scene scene = { .config = {
		    .sslmode = cases[i].sslmode } };

		expect(cases[i].script, &scene, cases[i].expected,
		    cases[i].log);
		if (cases[i].expected == -EPROTONOSUPPORT)
			expect_words(&scene, "the server has no TLS, which "
			    "sslmode requires");
		if (cases[i].expected == -EBADMSG)
			expect_words(&scene, "the toy is broken");
	}
}

/* Only a refusal before the login is one of the way that was taken. */
static void
a_server_that_starts_or_lacks_a_database_is_not_asked_the_other_way(
    void **state)
{
	static const struct script starting = { S,
		.clear = { STARTING, sizeof(STARTING) - 1 },
		.tls = { STARTING, sizeof(STARTING) - 1 } },
	    empty = { S,
		.clear = { LET_IN NO_DATABASE,
		    sizeof(LET_IN NO_DATABASE) - 1 },
		.tls = { LET_IN NO_DATABASE,
		    sizeof(LET_IN NO_DATABASE) - 1 } };
	struct scene allow = { .config = { .sslmode = "allow" } };
	struct scene prefer = { .config = { .sslmode = "prefer" } };

	(void)state;
	expect(&starting, &allow, -ECONNREFUSED, "c");
	expect(&starting, &prefer, -ECONNREFUSED, "qht");
	expect(&empty, &allow, -EREMOTEIO, "c");
	expect(&empty, &prefer, -EREMOTEIO, "qht");
}

static void
what_is_verified_is_what_sslmode_says(void **state)
{
	static const struct script both = { S, .clear = OK, .tls = OK };
	static const struct {
		const char *sslmode;
		bool has_ca;
		enum torc_trust trust;
	} cases[] = {
		{ NULL, false, TORC_TRUST_NAME },
		{ NULL, true, TORC_TRUST_NAME },
		{ "verify-full", false, TORC_TRUST_NAME },
		{ "verify-ca", false, TORC_TRUST_SIGNER },
		{ "verify-ca", true, TORC_TRUST_SIGNER },
		{ "require", false, TORC_TRUST_ANYBODY },
		{ "require", true, TORC_TRUST_SIGNER },
		{ "prefer", false, TORC_TRUST_ANYBODY },
		{ "prefer", true, TORC_TRUST_SIGNER },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		struct scene scene = { .config = {
		    .sslmode = cases[i].sslmode } };

		toys.has_ca = cases[i].has_ca;
		expect(&both, &scene, 0, "qhtx");
		toys.has_ca = false;
		assert_int_equal(trusted, cases[i].trust);
		assert_string_equal(wished, "127.0.0.1");
		assert_string_equal(offered, "postgresql");
	}
}

/* ---- Before TLS ---- */

/* A name has to have the answer, and nothing but it. */
static void
what_comes_behind_the_answer_ends_the_connection_before_tls(void **state)
{
	static const struct script stuffed[] = {
		{ .answer = { "S" HELLO, sizeof("S" HELLO) - 1 }, .clear = OK,
		    .tls = OK },
		{ .answer = { "SS", 2 }, .clear = OK, .tls = OK },
		{ .answer = { "S" REFUSED, sizeof("S" REFUSED) - 1 },
		    .clear = OK, .tls = OK },
		{ .answer = { "N" HELLO, sizeof("N" HELLO) - 1 }, .clear = OK,
		    .tls = OK },
	};
	static const char *const modes[] = { "prefer", "require",
		"verify-full" };

	(void)state;
	for (unsigned i = 0; i < COUNT(stuffed) * COUNT(modes); i++) {
		struct scene scene = { .config = {
		    .sslmode = modes[i % COUNT(modes)] } };

		expect(&stuffed[i / COUNT(modes)], &scene, -EPROTO, "q");
		expect_words(&scene, "bytes came in clear text behind the "
		    "answer");
	}
}

static void
an_error_instead_of_an_answer_is_not_shown(void **state)
{
	static const struct script error = { .clear = OK, .tls = OK,
		.answer = { "E\0\0\0\x20SFATAL\0C28000\0Mcall me-0100\0\0",
		    33 } },
	    old = { .answer = { "Ecall me-0100\n", 15 }, .clear = OK };
	struct scene scenes[] = { { .config = { .sslmode = "prefer" } },
		{ .config = { .sslmode = "require" } } };

	(void)state;
	for (unsigned i = 0; i < COUNT(scenes); i++) {
		expect(&error, &scenes[i], -ECONNREFUSED, "q");
		expect_words(&scenes[i], "the server answered with an error");
		assert_null(strstr(scenes[i].error.text, "call me"));
		expect(&old, &scenes[i], -ECONNREFUSED, "q");
		assert_null(strstr(scenes[i].error.text, "call me"));
	}
}

static void
an_answer_that_is_none_or_never_comes_is_an_error(void **state)
{
	static const struct script odd = { .answer = { "x", 1 }, .clear = OK },
	    http = { .answer = { "H", 1 }, .clear = OK },
	    silent = { .clear = OK };
	struct scene scene = { .config = { .sslmode = "prefer" } };

	(void)state;
	expect(&odd, &scene, -EPROTO, "q");
	expect_words(&scene, "the answer was the byte 0x78");
	expect(&http, &scene, -EPROTO, "q");
	scene.config.open_ms = 100;
	expect(&silent, &scene, -ETIMEDOUT, "q");
	expect_words(&scene, "asked for TLS: no answer in time");
	scene.config.sslmode = "verify-full";
	expect(&silent, &scene, -ETIMEDOUT, "q");
}

static void
direct_tls_begins_at_once_and_needs_its_protocol(void **state)
{
	static const struct script both = { S, .clear = OK, .tls = OK };
	static const char *const others[] = { "", "http/1.1", "postgres" };
	struct scene scene = { .config = { .sslnegotiation = "direct" } };

	(void)state;
	chosen = "postgresql";
	expect(&both, &scene, 0, "htx");
	assert_string_equal(offered, "postgresql");
	for (unsigned i = 0; i < COUNT(others); i++) {
		chosen = others[i];
		expect(&both, &scene, -EPROTO, "h");
		expect_words(&scene, "did not choose \"postgresql\" by ALPN");
	}
	/* Who was asked first has said enough. */
	scene.config.sslnegotiation = "postgres";
	expect(&both, &scene, 0, "qhtx");
}

/* ---- Several hosts, and local ones ---- */

static void
each_host_is_treated_for_itself(void **state)
{
	static const struct script none = { N, .clear = OK },
	    both = { S, .clear = OK, .tls = OK };
	struct scripted first, second;
	struct scene scene = { .config = { .sslmode = "require" } };
	char address[300], log[SCRIPTED_LOG];

	(void)state;
	scripted_start(&first, &none, NULL);
	scripted_start(&second, &both, NULL);
	snprintf(address, sizeof(address), "%s,%s", first.address,
	    second.address);
	scene.config.address = address;
	assert_int_equal(play(&scene), 0);
	scripted_stop(&first, log);
	assert_string_equal(log, "q");
	scripted_stop(&second, log);
	assert_string_equal(log, "qhtx");
}

static void
a_unix_socket_never_has_tls(void **state)
{
	static const struct script none = { .clear = OK };
	static const char *const modes[] = { NULL, "prefer", "require",
		"verify-full" };
	char folder[] = "/tmp/torc-pg-XXXXXX", path[64], log[SCRIPTED_LOG];

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/.s.PGSQL.5432", folder);
	for (unsigned i = 0; i < COUNT(modes); i++) {
		struct scene scene = { .config = { .sslmode = modes[i] } };
		struct scripted server;

		scripted_start(&server, &none, path);
		scene.config.address = folder;
		assert_int_equal(play(&scene), 0);
		scripted_stop(&server, log);
		assert_string_equal(log, "cx");
		unlink(path);
	}
	rmdir(folder);
}

/* ---- Channel binding ---- */

/* The client's first message of SCRAM names the mechanism and begins so. */
static void
expect_first(const struct script *script, const char *channel_binding,
    const char *sslmode, const char *mechanism, const char *header)
{
	struct scene scene = { .config = { .password = "secret",
	    .sslmode = sslmode, .channel_binding = channel_binding } };
	struct scripted server;
	char log[SCRIPTED_LOG];
	const size_t size = strlen(mechanism) + 1;

	scripted_start(&server, script, NULL);
	scene.config.address = server.address;
	assert_int_equal(play(&scene), -ECONNRESET);
	scripted_stop(&server, log);
	assert_string_equal(log, strcmp(sslmode, "disable") == 0 ? "cp" :
	    "qhtp");
	assert_true(server.said_size > 5 + size + 4 + strlen(header));
	assert_memory_equal(server.said + 5, mechanism, size);
	assert_memory_equal(server.said + 5 + size + 4, header,
	    strlen(header));
}

#define ASKS(message) { message, sizeof(message) - 1 }

static void
a_login_is_bound_to_its_channel_if_both_ends_can(void **state)
{
	static const struct script plus = { S, .clear = ASKS(ASK_SCRAM),
		.tls = ASKS(ASK_PLUS) },
	    plain = { S, .clear = ASKS(ASK_SCRAM), .tls = ASKS(ASK_SCRAM) };

	(void)state;
	certificate = "hash";
	expect_first(&plus, NULL, "require", "SCRAM-SHA-256-PLUS",
	    "p=tls-server-end-point,,n=");
	expect_first(&plus, "require", "require", "SCRAM-SHA-256-PLUS",
	    "p=tls-server-end-point,,n=");
	expect_first(&plus, "disable", "require", "SCRAM-SHA-256", "n,,n=");
	/* It could: the server would notice if it had offered. */
	expect_first(&plain, NULL, "require", "SCRAM-SHA-256", "y,,n=");
	expect_first(&plain, "disable", "require", "SCRAM-SHA-256", "n,,n=");
	expect_first(&plain, NULL, "disable", "SCRAM-SHA-256", "n,,n=");
}

static void
less_than_the_channel_binding_that_is_required_is_refused(void **state)
{
	static const struct {
		struct script script;
		const char *words;
	} cases[] = {
		{ { S, .tls = ASKS(ASK_SCRAM) },
		    "does not offer SCRAM-SHA-256-PLUS" },
		{ { S, .tls = ASKS(ASK_MD5) }, "without channel binding" },
		{ { S, .tls = ASKS(ASK_CLEAR) }, "without channel binding" },
		{ { S, .tls = OK }, "lets us in without channel binding" },
	};
	static const struct script clear = { N, .clear = OK };
	struct scene scene = { .config = { .password = "secret",
	    .allow_cleartext = true, .channel_binding = "require" } };

	(void)state;
	certificate = "hash";
	for (unsigned i = 0; i < COUNT(cases); i++) {
		expect(&cases[i].script, &scene, -EACCES, "qht");
		expect_words(&scene, cases[i].words);
	}
	scene.config.sslmode = "prefer";
	expect(&clear, &scene, -EACCES, "q");
	expect_words(&scene, "the connection has no TLS");
}

static void
a_certificate_without_a_hash_and_an_offer_without_tls_are_refused(
    void **state)
{
	static const struct script plus = { S, .clear = ASKS(ASK_PLUS),
		.tls = ASKS(ASK_PLUS) };
	struct scene scene = { .config = { .password = "secret" } };

	(void)state;
	certificate = NULL;
	expect(&plus, &scene, -EACCES, "qht");
	expect_words(&scene, "has no hash for channel binding "
	    "(channel_binding = disable does without)");
	expect_first(&plus, "disable", "require", "SCRAM-SHA-256", "n,,n=");
	certificate = "hash";
	scene.config.sslmode = "disable";
	expect(&plus, &scene, -EACCES, "c");
	expect_words(&scene, "offers SCRAM-SHA-256-PLUS without TLS");
}

/* ---- A cancel ---- */

static int
cancel(struct torc_pg_session *session)
{
	return torc_pg_session_run(session, "select pg_sleep(100)",
	    torc_after_ms(50)) == -ETIMEDOUT ? 0 : -EILSEQ;
}

/* It may be sent again, as long as the statement does not end. */
static void
expect_cancel(const struct script *script, struct scene *scene,
    const char *asked, const char *never)
{
	struct scripted server;
	char log[SCRIPTED_LOG];

	scripted_start(&server, script, NULL);
	scene->config.address = server.address;
	assert_int_equal(play(scene), 0);
	scripted_stop(&server, log);
	if (strstr(log, asked) == NULL || strpbrk(log, never) != NULL)
		fail_msg("\"%s\"", log);
}

static void
a_cancel_goes_over_tls_if_its_connection_does(void **state)
{
	static const struct script both = { S, .clear = OK, .tls = OK },
	    once = { S, .clear = OK, .tls = OK, .once = true };
	struct scene scene = { .config = { .sslmode = "prefer",
	    .cancel_ms = 200 }, .more = cancel };

	(void)state;
	expect_cancel(&both, &scene, " qhT", "cC");
	/* Its secret is not shown in clear text, whatever is preferred. */
	expect_cancel(&once, &scene, " q", "cCT");
	scene.config.sslmode = "disable";
	expect_cancel(&both, &scene, " C", "qT");
}

/* ---- The end ---- */

static int
run_one(struct torc_pg_session *session)
{
	return torc_pg_session_run(session, "select 1", LATE);
}

static int
ask_one(struct torc_pg *pg)
{
	const struct torc_pg_statement statement = { .sql = "select 1" };
	struct torc_pg_result *result;
	int rc = torc_pg_query(pg, &statement, &result, LATE);

	if (torc_pg_result_error(result)->outcome != TORC_PG_UNKNOWN)
		rc = -EILSEQ;
	torc_pg_result_free(result);
	return rc;
}

/* Messages say by themselves whether they are whole. */
static void
a_connection_that_is_cut_is_lost_with_tls_as_without(void **state)
{
	static const struct script cut = { S, .clear = OK, .tls = OK,
		.cut = true };
	struct scene run = { .more = run_one }, ask = { .ask = ask_one };

	(void)state;
	expect(&cut, &run, -ECONNRESET, "qhts");
	expect(&cut, &ask, -ECONNRESET, "qhts");
	run.config.sslmode = ask.config.sslmode = "disable";
	expect(&cut, &run, -ECONNRESET, "cs");
	expect(&cut, &ask, -ECONNRESET, "cs");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    each_sslmode_goes_the_way_of_libpq_with_each_server),
		cmocka_unit_test(
		    a_server_that_starts_or_lacks_a_database_is_not_asked_the_other_way),
		cmocka_unit_test(what_is_verified_is_what_sslmode_says),
		cmocka_unit_test(
		    what_comes_behind_the_answer_ends_the_connection_before_tls),
		cmocka_unit_test(an_error_instead_of_an_answer_is_not_shown),
		cmocka_unit_test(
		    an_answer_that_is_none_or_never_comes_is_an_error),
		cmocka_unit_test(
		    direct_tls_begins_at_once_and_needs_its_protocol),
		cmocka_unit_test(each_host_is_treated_for_itself),
		cmocka_unit_test(a_unix_socket_never_has_tls),
		cmocka_unit_test(
		    a_login_is_bound_to_its_channel_if_both_ends_can),
		cmocka_unit_test(
		    less_than_the_channel_binding_that_is_required_is_refused),
		cmocka_unit_test(
		    a_certificate_without_a_hash_and_an_offer_without_tls_are_refused),
		cmocka_unit_test(
		    a_cancel_goes_over_tls_if_its_connection_does),
		cmocka_unit_test(
		    a_connection_that_is_cut_is_lost_with_tls_as_without),
	};

	chosen = "";
	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("pg_tls", tests, NULL, NULL);
}
