/* SPDX-License-Identifier: MIT */
/*
 * test_tls_protocols.c - an endpoint whose connections go to handlers by the
 * protocol that they have agreed on (ALPN).
 */
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"
#include "tests/tls/peer.h"

#include "conn/listen.h"
#include "conn/tls/torc_tls.h"

static const char *const ours[] = { "two", "one", "other", NULL };

/* Answers each byte with the name in `arg`, each time anew. */
static int
answer(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	if (torc_conn_recv(conn, &in, torc_after_ms(5000)) <= 0)
		return TORC_CLOSE;
	torc_conn_consume(conn, in.size);
	return torc_conn_write(conn, arg, 3, torc_after_ms(5000)) < 0 ?
	    TORC_CLOSE : TORC_AGAIN;
}

static const struct torc_protocol protocols[] = {
	{ "one", answer, "ONE" }, { "two", answer, "TWO" }, { 0 },
};

static struct torc_tls *
create(const char *const *offered)
{
	struct torc_tls_config config = {
		.certificate = peer_file("default.pem"),
		.key = peer_file("default.key"),
		.protocols = offered,
	};
	struct torc_error error;
	struct torc_tls *tls;

	if (torc_tls_create(&tls, &config, &error) < 0)
		fail_msg("torc_tls_create: %s", error.text);
	return tls;
}

static void
set_up(struct torc_reactor *reactor, void *arg)
{
	torc_listen_set_maker(reactor->layer_state, 0,
	    torc_tls_transport(arg));
	torc_listen_set_protocols(reactor->layer_state, 0, protocols);
}

/* Two questions: the second one finds the handler gone. */
static void
is_answered(unsigned port, SSL_CTX *context, const char *name)
{
	struct peer peer;
	char text[4] = "";

	peer_meet(&peer, context, port, NULL);
	for (unsigned i = 0; i < 2; i++) {
		peer_say(&peer, "x");
		assert_true(peer_read(&peer, text, 3));
		assert_string_equal(text, name);
	}
	peer_close(&peer);
}

static void
each_protocol_has_its_handler_and_all_others_the_default(void **state)
{
	static const struct {
		const char *offered;
		unsigned size;
		const char *name;
	} cases[] = {
		{ "\003one", 4, "ONE" }, { "\003one\003two", 8, "TWO" },
		{ "\005other", 6, "ANY" }, { NULL, 0, "ANY" },
	};
	struct torc_tls *tls = create(ours);
	struct server server;

	(void)state;
	server_start(&server, NULL, answer, "ANY");
	server_call(&server, set_up, tls);
	for (unsigned i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const int version = i % 2 ? TLS1_3_VERSION : TLS1_2_VERSION;
		SSL_CTX *context = peer_context(version, version);

		if (cases[i / 2].offered != NULL)
			SSL_CTX_set_alpn_protos(context, (const unsigned char *)
			    cases[i / 2].offered, cases[i / 2].size);
		is_answered(server.port, context, cases[i / 2].name);
		SSL_CTX_free(context);
	}
	assert_int_equal(server_stop(&server), 0);
	torc_tls_destroy(tls);
}

/* ---- Configurations ---- */

static void
is_refused(struct torc_endpoint endpoint, const char *words)
{
	struct torc_config config = {
		.endpoints = &endpoint, .endpoint_count = 1, .reactors = 1,
	};
	struct torc_error error;

	endpoint.address = "nonsense";
	endpoint.handler = answer;
	assert_int_equal(torc_serve(&config, NULL, &error), -EINVAL);
	if (strstr(error.text, words) == NULL)
		fail_msg("%s: %s", words, error.text);
}

static void
protocols_that_cannot_be_agreed_on_are_refused(void **state)
{
	static const struct torc_protocol none[] = {
		{ "one", NULL, NULL }, { 0 },
	};
	static const char *const fewer[] = { "tw", "one", "twos", NULL };
	struct torc_tls *tls = create(ours), *lacking = create(fewer);
	struct torc_tls *silent = create(NULL);

	(void)state;
	is_refused((struct torc_endpoint) { .protocols = protocols },
	    "transport is NULL");
	is_refused((struct torc_endpoint) { .protocols = none,
	    .transport = torc_tls_transport(tls) },
	    "endpoints[0].protocols: \"one\" has no handler");
	is_refused((struct torc_endpoint) { .protocols = protocols,
	    .transport = torc_tls_transport(lacking) },
	    "endpoints[0].protocols: the transport does not offer \"two\"");
	is_refused((struct torc_endpoint) { .protocols = protocols,
	    .transport = torc_tls_transport(silent) },
	    "the transport does not offer \"one\"");
	/* This one is refused for its address alone. */
	is_refused((struct torc_endpoint) { .protocols = protocols,
	    .transport = torc_tls_transport(tls) }, "nonsense");
	torc_tls_destroy(tls);
	torc_tls_destroy(lacking);
	torc_tls_destroy(silent);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_protocol_has_its_handler_and_all_others_the_default),
		cmocka_unit_test(protocols_that_cannot_be_agreed_on_are_refused),
	};
	int rc;

	peer_files_make();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	peer_files_remove();
	return rc;
}
