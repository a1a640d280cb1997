/* SPDX-License-Identifier: MIT */
/*
 * test_pg_hostssl.c - a real PostgreSQL over TLS: each sslmode, certificates
 * that are good and not, of the server and of the client, and logins that are
 * bound to them.
 */
#include "tests/pg/scene.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/tls/torc_tls.h"
#include "conn/transport.h"
#include "tests/pg/secure.h"

#define IS_TLS "select ssl from pg_stat_ssl where pid = pg_backend_pid()"

/* Trust this CA, and show this certificate, if it is not NULL. */
static struct torc_tls_client *
client_with(const char *ca, const char *certificate)
{
	struct torc_tls_client_config config = { .ca = NULL };
	struct torc_tls_client *client;
	struct torc_error error;
	char name[64];

	if (ca != NULL)
		config.ca = pg_server_file(&postgres, ca);
	if (certificate != NULL) {
		snprintf(name, sizeof(name), "%s.pem", certificate);
		config.certificate = pg_server_file(&postgres, name);
		snprintf(name, sizeof(name), "%s.key", certificate);
		config.key = pg_server_file(&postgres, name);
	}
	if (torc_tls_client_create(&client, &config, &error) < 0)
		fail_msg("%s", error.text);
	return client;
}

/* ---- One connection ---- */

struct expected {
	int rc;
	const char *is_tls;	/* "t" or "f" */
	const char *words;	/* of an error */
};

static int
connect_once(struct scene *scene)
{
	const struct expected *expected = scene->arg;
	struct torc_pg_session *session;
	struct torc_error error;
	int rc = torc_pg_session_acquire(scene->pg, &session, &error, LATE);
	bool as_expected = rc == expected->rc;

	if (rc == 0) {
		as_expected = as_expected &&
		    session_says(session, IS_TLS, expected->is_tls);
		torc_pg_session_release(session);
	} else if (expected->words != NULL) {
		as_expected = as_expected &&
		    strstr(error.text, expected->words) != NULL;
	}
	if (!as_expected)
	EXPECT(as_expected);
	return 0;
}

static void
expect(struct torc_tls_client *client, struct torc_pg_config config,
    struct expected expected)
{
	if (client != NULL)
		config.transport = torc_tls_client_transport(client);
	scene_play((struct scene) { .config = config, .play = connect_once,
	    .arg = &expected });
}

/* ---- Claims ---- */

static void
each_sslmode_connects_as_it_says_to_a_server_with_tls(void **state)
{
	static const struct {
		const char *sslmode;
		const char *user;
		struct expected expected;
	} cases[] = {
		{ "disable", "torc", { 0, "f", NULL } },
		{ "disable", "only_tls", { -EACCES, NULL, "28000" } },
		{ "allow", "torc", { 0, "f", NULL } },
		{ "allow", "only_tls", { 0, "t", NULL } },
		{ "prefer", "torc", { 0, "t", NULL } },
		{ "prefer", "only_clear", { 0, "f", NULL } },
		{ "require", "torc", { 0, "t", NULL } },
		{ "require", "only_clear", { -EACCES, NULL, "28000" } },
		{ "verify-ca", "torc", { 0, "t", NULL } },
		{ "verify-full", "torc", { 0, "t", NULL } },
		{ NULL, "torc", { 0, "t", NULL } },
	};
	struct torc_tls_client *client = client_with("ca.pem", NULL);

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		expect(client, (struct torc_pg_config) {
		    .sslmode = cases[i].sslmode, .user = cases[i].user },
		    cases[i].expected);
	}
	torc_tls_client_destroy(client);
}

static void
a_server_without_tls_is_connected_to_unless_tls_is_required(void **state)
{
	static const char *const modes[] = { "disable", "allow", "prefer",
		"require", "verify-ca", "verify-full" };
	struct torc_tls_client *client = client_with("ca.pem", NULL);

	(void)state;
	assert_true(pg_server_tls(&postgres, "off", "server"));
	for (unsigned i = 0; i < COUNT(modes); i++)
		expect(client, (struct torc_pg_config) { .sslmode = modes[i] },
		    i < 3 ? (struct expected) { 0, "f", NULL } :
		    (struct expected) { -EPROTONOSUPPORT, NULL,
		    "the server has no TLS" });
	assert_true(pg_server_tls(&postgres, "on", "server"));
	torc_tls_client_destroy(client);
}

/* Any name, the right name, or nobody that is trusted. */
static void
a_certificate_is_verified_as_far_as_sslmode_says(void **state)
{
	static const struct {
		const char *certificate;	/* of the server */
		const char *ca;			/* of the client */
		const char *sslmode;
		struct expected expected;
	} cases[] = {
		{ "stranger", "ca.pem", "require", { 0, "t", NULL } },
		{ "stranger", "ca.pem", "verify-ca", { 0, "t", NULL } },
		{ "stranger", "ca.pem", "verify-full",
		    { -EKEYREJECTED, NULL, "127.0.0.1" } },
		{ "expired", "ca.pem", "verify-full",
		    { -EKEYREJECTED, NULL, "expired" } },
		{ "expired", "ca.pem", "verify-ca",
		    { -EKEYREJECTED, NULL, "expired" } },
		{ "expired", "ca.pem", "require",
		    { -EKEYREJECTED, NULL, "expired" } },
		{ "expired", "ca.pem", "prefer", { 0, "f", NULL } },
		{ "server", "other_ca.pem", "verify-full",
		    { -EKEYREJECTED, NULL, NULL } },
		{ "server", "other_ca.pem", "verify-ca",
		    { -EKEYREJECTED, NULL, NULL } },
		{ "server", "other_ca.pem", "require",
		    { -EKEYREJECTED, NULL, NULL } },
		/* With the system's certificates: an old rule of libpq. */
		{ "server", NULL, "require", { 0, "t", NULL } },
		{ "server", NULL, "prefer", { 0, "t", NULL } },
		{ "server", NULL, "verify-ca", { -EKEYREJECTED, NULL, NULL } },
		{ "server", NULL, "verify-full",
		    { -EKEYREJECTED, NULL, NULL } },
	};
	const char *now = "server";

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		struct torc_tls_client *client = client_with(cases[i].ca,
		    NULL);

		if (strcmp(now, cases[i].certificate) != 0)
			assert_true(pg_server_tls(&postgres, "on",
			    cases[i].certificate));
		now = cases[i].certificate;
		expect(client, (struct torc_pg_config) {
		    .sslmode = cases[i].sslmode }, cases[i].expected);
		torc_tls_client_destroy(client);
	}
	assert_true(pg_server_tls(&postgres, "on", "server"));
}

/* By name, by address, and by a name beside the address. */
static void
the_name_of_the_host_is_what_has_to_be_proved(void **state)
{
	struct torc_tls_client *client = client_with("ca.pem", NULL);
	static const struct {
		const char *format;
		struct expected expected;
	} cases[] = {
		{ "localhost:%u", { 0, "t", NULL } },
		{ "127.0.0.1:%u", { 0, "t", NULL } },
		{ "127.0.0.2:1,localhost:%u", { 0, "t", NULL } },
		{ "postgres://localhost:%u/torc?hostaddr=127.0.0.1",
		    { 0, "t", NULL } },
		{ "postgres://db.test:%u/torc?hostaddr=127.0.0.1",
		    { -EKEYREJECTED, NULL, "db.test" } },
		{ "postgres://db.test:%u/torc?hostaddr=127.0.0.1&"
		    "sslmode=verify-ca", { 0, "t", NULL } },
	};
	char address[128];

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(address, sizeof(address), cases[i].format,
		    postgres.port);
#pragma GCC diagnostic pop
		expect(client, (struct torc_pg_config) { .address = address },
		    cases[i].expected);
	}
	/* A unix socket has no TLS, whatever is asked for. */
	expect(client, (struct torc_pg_config) { .address = postgres.local,
	    .sslmode = "verify-full" }, (struct expected) { 0, "f", NULL });
	torc_tls_client_destroy(client);
}

static void
a_certificate_of_the_client_is_shown_if_the_server_asks(void **state)
{
	static const struct {
		const char *certificate;
		int rc;
		const char *words;
	} cases[] = {
		{ "certified", 0, NULL },
		{ NULL, -EACCES, "28000" },
		/* The alert comes behind the handshake, for the client. */
		{ "other_client", -EPROTO, "unknown" },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		struct torc_tls_client *client = client_with("ca.pem",
		    cases[i].certificate);

		expect(client, (struct torc_pg_config) { .user = "certified" },
		    (struct expected) { cases[i].rc, "t", cases[i].words });
		torc_tls_client_destroy(client);
	}
}

/* ---- Channel binding ---- */

static void
a_login_by_scram_is_bound_unless_that_is_disabled(void **state)
{
	static const char *const ways[] = { NULL, "disable", "prefer",
		"require" };
	struct torc_tls_client *client = client_with("ca.pem", NULL);

	(void)state;
	for (unsigned i = 0; i < COUNT(ways); i++)
		expect(client, (struct torc_pg_config) { .user = "scram",
		    .password = PG_PASSWORD, .channel_binding = ways[i] },
		    (struct expected) { 0, "t", NULL });
	expect(client, (struct torc_pg_config) { .user = "hashed",
	    .password = PG_PASSWORD, .channel_binding = "require" },
	    (struct expected) { -EACCES, NULL, "channel binding" });
	expect(client, (struct torc_pg_config) { .channel_binding =
	    "require" }, (struct expected) { -EACCES, NULL,
	    "without channel binding" });
	expect(client, (struct torc_pg_config) { .user = "scram",
	    .password = "wrong", .channel_binding = "require" },
	    (struct expected) { -EACCES, NULL, "28P01" });
	torc_tls_client_destroy(client);
}

/* As if somebody in between had shown a certificate of its own. */
static struct torc_transport_dialler *honest;

static struct torc_transport *
make_honest(struct torc_transport_dialler *dialler, const char *name,
    enum torc_trust trust)
{
	(void)dialler;
	return honest->make(honest, name, trust);
}

static int
bind_wrongly(const struct torc_transport *transport, uint8_t out[64])
{
	const int size = honest->binding(transport, out);

	out[0] ^= 1;
	return size;
}

static void
a_login_that_is_bound_to_another_certificate_is_refused_by_the_server(
    void **state)
{
	struct torc_tls_client *client = client_with("ca.pem", NULL);
	struct torc_transport_dialler other;

	(void)state;
	honest = torc_tls_client_transport(client);
	other = *honest;
	other.make = make_honest;
	expect(NULL, (struct torc_pg_config) { .transport = &other,
	    .user = "scram", .password = PG_PASSWORD },
	    (struct expected) { 0, "t", NULL });
	other.binding = bind_wrongly;
	expect(NULL, (struct torc_pg_config) { .transport = &other,
	    .user = "scram", .password = PG_PASSWORD },
	    (struct expected) { -EACCES, NULL, "channel binding" });
	torc_tls_client_destroy(client);
}

/* No hash is defined for its certificate: the server has none, either. */
static void
a_certificate_of_ed25519_is_good_without_channel_binding(void **state)
{
	struct torc_tls_client *client = client_with("edward.pem", NULL);

	(void)state;
	assert_true(pg_server_tls(&postgres, "on", "edward"));
	expect(client, (struct torc_pg_config) { .user = "scram",
	    .password = PG_PASSWORD, .channel_binding = "disable" },
	    (struct expected) { 0, "t", NULL });
	expect(client, (struct torc_pg_config) { .user = "scram",
	    .password = PG_PASSWORD }, (struct expected) { -EACCES, NULL,
	    "has no hash for channel binding" });
	assert_true(pg_server_tls(&postgres, "on", "server"));
	torc_tls_client_destroy(client);
}

/* ---- At work ---- */

static int
work(struct scene *scene)
{
	struct torc_pg_session *session;
	char text[64];

	EXPECT(says(scene->pg, "select length(repeat('x', 3000000))",
	    "3000000"));
	EXPECT(says(scene->pg, IS_TLS, "t"));
	EXPECT(torc_pg_session_acquire(scene->pg, &session, NULL, LATE) == 0);
	/* What is given up is cancelled, over TLS. */
	EXPECT(torc_pg_session_run(session, "select pg_sleep(100)",
	    torc_after_ms(50)) == -ETIMEDOUT);
	EXPECT(torc_pg_session_end(session, LATE) == -EREMOTEIO);
	EXPECT(strcmp(torc_pg_session_error(session)->state, "57014") == 0);
	EXPECT(session_says(session, IS_TLS, "t"));
	/* The server is killed: it does not say so in TLS. */
	snprintf(text, sizeof(text), "select pg_terminate_backend("
	    "pg_backend_pid())");
	EXPECT(torc_pg_session_run(session, text, LATE) < 0);
	torc_pg_session_release(session);
	EXPECT(says(scene->pg, IS_TLS, "t"));
	return 0;
}

static void
statements_and_cancels_go_over_tls(void **state)
{
	struct torc_tls_client *client = client_with("ca.pem", NULL);

	(void)state;
	play_with((struct torc_pg_config) { .cancel_ms = 30000,
	    .transport = torc_tls_client_transport(client) }, work);
	torc_tls_client_destroy(client);
}

static int
make_secure(void **state)
{
	(void)state;
	return pg_server_secure(&postgres) ? 0 : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    each_sslmode_connects_as_it_says_to_a_server_with_tls),
		cmocka_unit_test(
		    a_server_without_tls_is_connected_to_unless_tls_is_required),
		cmocka_unit_test(
		    a_certificate_is_verified_as_far_as_sslmode_says),
		cmocka_unit_test(the_name_of_the_host_is_what_has_to_be_proved),
		cmocka_unit_test(
		    a_certificate_of_the_client_is_shown_if_the_server_asks),
		cmocka_unit_test(
		    a_login_by_scram_is_bound_unless_that_is_disabled),
		cmocka_unit_test(
		    a_login_that_is_bound_to_another_certificate_is_refused_by_the_server),
		cmocka_unit_test(
		    a_certificate_of_ed25519_is_good_without_channel_binding),
		cmocka_unit_test(statements_and_cancels_go_over_tls),
	};

	return scene_main_with("pg_hostssl", tests, COUNT(tests), make_secure,
	    NULL);
}
