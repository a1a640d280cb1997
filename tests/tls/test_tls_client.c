/* SPDX-License-Identifier: MIT */
/*
 * test_tls_client.c - TLS on connections that are dialled: whom they believe,
 * and what they say of those whom they do not. The servers are OpenSSL's, on a
 * thread, with a blocking socket.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/tls/peer.h"
#include "tests/tls/secure.h"

#include "conn/tls/client.h"
#include "conn/tls/torc_tls.h"

#define LATER torc_after_ms(8000)

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

/* ---- Clients ---- */

static struct server here;	/* where connections are dialled */

static struct torc_tls_client *
create(const struct torc_tls_client_config *config)
{
	struct torc_tls_client_config how = { 0 };
	struct torc_tls_client *client;
	struct torc_error error;

	if (config != NULL)
		how = *config;
	if (how.ca == NULL)
		how.ca = peer_file("good.pem");
	if (torc_tls_client_create(&client, &how, &error) < 0)
		fail_msg("torc_tls_client_create: %s", error.text);
	return client;
}

/* One connection: what is asked of it, and what became of it. */
struct attempt {
	struct torc_tls_client *client;
	unsigned port;
	const char *name;
	enum torc_trust trust;		/* through the dialler, unless 0 */
	const char *say;		/* to the server; NULL: "ping" */
	unsigned deadline_ms;
	bool at_once;			/* and reset it */
	struct torc_error error;
	struct torc_tls_info info;	/* its texts are gone with it */
	char protocol[16];
	char failure[256];
	char answer[256];
	int binding;
	uint8_t digest[64];
};

static int
begin(struct torc_conn *conn, struct attempt *attempt)
{
	const torc_deadline deadline = torc_after_ms(
	    attempt->deadline_ms > 0 ? attempt->deadline_ms : 8000);
	const struct torc_transport_wish wish = {
		.name = attempt->name,
		.trust = attempt->trust,
		.protocol = attempt->trust != TORC_TRUST_NAME ? "wish" : NULL,
	};

	if (attempt->trust == TORC_TRUST_NAME)
		return torc_tls_dial_begin(conn, attempt->client,
		    attempt->name, &attempt->error, deadline);
	return torc_transport_dial(conn,
	    torc_tls_client_transport(attempt->client), &wish,
	    &attempt->error, deadline);
}

static void
note_info(struct torc_conn *conn, struct attempt *attempt)
{
	if (torc_tls_info_read(conn, &attempt->info) < 0)
		return;
	if (attempt->info.protocol.size > 0)
		snprintf(attempt->protocol, sizeof(attempt->protocol), "%.*s",
		    (int)attempt->info.protocol.size,
		    (const char *)attempt->info.protocol.data);
	if (attempt->info.failure != NULL)
		snprintf(attempt->failure, sizeof(attempt->failure), "%s",
		    attempt->info.failure);
}

/* Say it, and read to the end of what comes, or the first piece. */
static int
talk(struct torc_conn *conn, struct attempt *attempt)
{
	const char *text = attempt->say != NULL ? attempt->say : "ping";
	struct torc_slice in;
	int rc = torc_conn_write(conn, text, strlen(text), LATER);

	if (rc == 0)
		rc = torc_conn_recv(conn, &in, LATER);
	if (rc > 0) {
		snprintf(attempt->answer, sizeof(attempt->answer), "%.*s",
		    (int)in.size, (const char *)in.data);
		torc_conn_consume(conn, in.size);
	}
	return rc;
}

static int
meet(void *arg)
{
	struct attempt *attempt = arg;
	struct torc_transport_dialler *dialler =
	    torc_tls_client_transport(attempt->client);
	struct torc_conn *conn;
	char address[32];
	int rc;

	snprintf(address, sizeof(address), "127.0.0.1:%u", attempt->port);
	if (torc_dial(&conn, address, LATER) < 0)
		return -EHOSTDOWN;
	rc = begin(conn, attempt);
	if (rc == 0) {
		attempt->binding = dialler->binding(conn->transport,
		    attempt->digest);
		rc = talk(conn, attempt);
	}
	note_info(conn, attempt);
	torc_conn_close(conn, attempt->at_once ? TORC_AT_ONCE : LATER);
	return rc;
}

static int
try(struct attempt *attempt)
{
	attempt->answer[0] = '\0';
	attempt->failure[0] = '\0';
	return server_fiber(&here, meet, attempt);
}

/* It comes about, and an answer comes. */
static void
accepts(struct torc_tls_client *client, struct secure *origin,
    const char *name)
{
	struct attempt attempt = { .client = client, .port = origin->port,
	    .name = name };
	const int rc = try(&attempt);

	if (rc != 4)
		fail_msg("%s: %d %s", name, rc, attempt.error.text);
	assert_string_equal(attempt.answer, "ping");
}

/* It is refused, and `words` are among those that say why. */
static void
refuses(struct torc_tls_client *client, struct secure *origin,
    const char *name, int code, const char *words)
{
	struct attempt attempt = { .client = client, .port = origin->port,
	    .name = name };
	const int rc = try(&attempt);

	assert_int_equal(rc, attempt.error.code);
	if (rc != code || strstr(attempt.error.text, words) == NULL)
		fail_msg("%s: %d, \"%s\" has no \"%s\"", name, rc,
		    attempt.error.text, words);
}

/* ---- Whom it believes ---- */

static void
a_certificate_that_is_not_good_is_refused_in_words(void **state)
{
	static const struct {
		const char *pair;
		const char *name;
		const char *words;
	} cases[] = {
		{ "names", "c.test", "its certificate is for a.test, *.b.test, "
		    "127.0.0.1, 0:0:0:0:0:0:0:1, and not for c.test" },
		{ "names", "b.test", "and not for b.test" },
		{ "names", "x.y.b.test", "and not for x.y.b.test" },
		{ "names", "127.0.0.2", "and not for 127.0.0.2" },
		{ "names", "::2", "and not for ::2" },
		{ "part", "foo.b.test", "is for f*.b.test, *, and not" },
		{ "part", "localhost", "and not for localhost" },
		{ "digits", "127.0.0.1", "and not for 127.0.0.1" },
		{ "addresses", "a.test", "is for 127.0.0.2, and not" },
		{ "past", "a.test", "its certificate has expired: " },
		{ "stranger", "a.test", "its certificate was issued by "
		    "/CN=other, who is not among those that are trusted" },
		{ "self", "a.test", "its certificate is self-signed" },
		{ "alone", "a.test", "was issued by /CN=middle" },
		{ "bare", "a.test", "its certificate names no host" },
	};
	struct torc_tls_client *client = create(NULL);

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned v = 0; v < 2; v++) {
			struct secure origin;

			secure_start(&origin, cases[i].pair, versions[v]);
			secure_run(&origin);
			refuses(client, &origin, cases[i].name, -EKEYREJECTED,
			    cases[i].words);
			secure_stop(&origin);
			/* The server is told so, by an alert. */
			assert_true(origin.reason > SSL_AD_REASON_OFFSET);
		}
	}
	torc_tls_client_destroy(client);
}

static void
one_that_is_good_is_accepted_and_names_alone_are_told_to_the_server(
    void **state)
{
	static const char *const cases[][3] = {
		{ "names", "a.test", "a.test" },
		{ "names", "A.Test.", "a.test" },
		{ "names", "x.b.test", "x.b.test" },
		{ "names", "127.0.0.1", "-" }, { "names", "::1", "-" },
		{ "names", "[::1]", "-" }, { "names", "[0:0::1%lo]", "-" },
		{ "stranger", "c.test", NULL },
		{ "below", "a.test", "a.test" },
	};
	struct torc_tls_client *client = create(NULL);

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct torc_tls_client *who = client;
		struct secure origin;

		secure_start(&origin, cases[i][0], versions[i % 2]);
		secure_run(&origin);
		if (cases[i][2] == NULL)
			who = create(&(struct torc_tls_client_config) {
			    .ca = peer_file("other.pem") });
		accepts(who, &origin, cases[i][1]);
		secure_stop(&origin);
		if (cases[i][2] != NULL)
			assert_string_equal(origin.name, cases[i][2]);
		else
			torc_tls_client_destroy(who);
	}
	torc_tls_client_destroy(client);
}

static void
a_name_that_is_none_is_refused_before_anything_is_sent(void **state)
{
	static const char *const names[] = { "", ".", ".test", "a b", "a\nb",
	    "\303\244.test" };
	struct torc_tls_client *client = create(NULL);
	struct secure origin;
	char name[300];

	(void)state;
	secure_start(&origin, "names", TLS1_3_VERSION);
	secure_run(&origin);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		refuses(client, &origin, names[i], -EINVAL,
		    "its name must be that of a host");
	memset(name, 'a', sizeof(name));
	name[256] = '\0';
	refuses(client, &origin, name, -EINVAL, "its name must be");
	name[255] = '\0';
	refuses(client, &origin, name, -EKEYREJECTED, "its certificate is for");
	secure_stop(&origin);
	torc_tls_client_destroy(client);
}

static void
an_authority_that_is_not_at_the_root_may_be_the_one_that_is_trusted(
    void **state)
{
	struct torc_tls_client *client = create(
	    &(struct torc_tls_client_config) { .ca = peer_file("middle.pem") });
	struct torc_tls_client *exact = create(
	    &(struct torc_tls_client_config) { .ca = peer_file("self.pem") });
	struct secure alone, self;

	(void)state;
	secure_start(&alone, "alone", TLS1_3_VERSION);
	secure_run(&alone);
	accepts(client, &alone, "a.test");
	secure_stop(&alone);
	secure_start(&self, "self", TLS1_3_VERSION);
	secure_run(&self);
	accepts(exact, &self, "a.test");
	refuses(exact, &self, "c.test", -EKEYREJECTED, "and not for c.test");
	secure_stop(&self);
	torc_tls_client_destroy(client);
	torc_tls_client_destroy(exact);
}

static void
revoked_certificates_are_refused_if_there_is_a_list(void **state)
{
	const struct torc_tls_client_config listed = {
		.crl = peer_file("good.crl"),
	};
	struct torc_tls_client *without = create(NULL);
	struct torc_tls_client *with = create(&listed);
	struct secure revoked, good, below;

	(void)state;
	secure_start(&revoked, "revoked", TLS1_3_VERSION);
	secure_run(&revoked);
	accepts(without, &revoked, "a.test");
	refuses(with, &revoked, "a.test", -EKEYREJECTED,
	    "its certificate: certificate revoked");
	secure_stop(&revoked);
	secure_start(&good, "names", TLS1_3_VERSION);
	secure_run(&good);
	accepts(with, &good, "a.test");
	secure_stop(&good);
	secure_start(&below, "below", TLS1_3_VERSION);
	secure_run(&below);
	refuses(with, &below, "a.test", -EKEYREJECTED,
	    "has no list of the signer of its certificate");
	secure_stop(&below);
	torc_tls_client_destroy(without);
	torc_tls_client_destroy(with);
}

static int
try_trust(struct torc_tls_client *client, struct secure *origin,
    const char *name, enum torc_trust trust)
{
	struct attempt attempt = { .client = client, .port = origin->port,
	    .name = name, .trust = trust };

	return try(&attempt);
}

static void
trust_in_a_signer_or_in_anybody_leaves_nothing_to_trust_in_a_name(void **state)
{
	struct torc_tls_client *client = create(NULL);
	struct secure named, stranger;

	(void)state;
	secure_start(&named, "names", TLS1_3_VERSION);
	secure_run(&named);
	assert_int_equal(try_trust(client, &named, "c.test",
	    TORC_TRUST_SIGNER), 4);
	refuses(client, &named, "c.test", -EKEYREJECTED, "not for c.test");
	secure_stop(&named);
	secure_start(&stranger, "stranger", TLS1_3_VERSION);
	secure_run(&stranger);
	assert_int_equal(try_trust(client, &stranger, "a.test",
	    TORC_TRUST_ANYBODY), 4);
	assert_int_equal(try_trust(client, &stranger, "a.test",
	    TORC_TRUST_SIGNER), -EKEYREJECTED);
	refuses(client, &stranger, "a.test", -EKEYREJECTED, "/CN=other");
	secure_stop(&stranger);
	torc_tls_client_destroy(client);
}

/* ---- Sessions ---- */

static void
a_hundred_connections_make_one_whole_handshake(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 2; v++) {
		struct torc_tls_client *client = create(NULL);
		struct secure origin;
		struct attempt attempt = { .client = client, .name = "a.test" };

		secure_start(&origin, "names", versions[v]);
		secure_run(&origin);
		attempt.port = origin.port;
		for (unsigned i = 0; i < 100; i++) {
			/* However a connection ends. */
			attempt.at_once = i % 2 == 1;
			assert_int_equal(try(&attempt), 4);
			assert_int_equal(attempt.info.resumed, i > 0);
			assert_int_equal(attempt.info.version, versions[v]);
		}
		secure_stop(&origin);
		assert_int_equal(origin.whole, 1);
		assert_int_equal(origin.resumed, 99);
		torc_tls_client_destroy(client);
	}
}

static void
sessions_are_of_one_name_and_of_one_client_and_go_with_a_reload(void **state)
{
	const struct torc_tls_client_config fresh = { .no_sessions = true };
	struct torc_tls_client *one = create(NULL), *two = create(NULL);
	struct torc_tls_client *none = create(&fresh);
	struct torc_error error;
	struct secure origin;

	(void)state;
	secure_start(&origin, "names", TLS1_3_VERSION);
	secure_run(&origin);
	accepts(one, &origin, "a.test");
	accepts(one, &origin, "x.b.test");
	accepts(two, &origin, "a.test");
	accepts(none, &origin, "a.test");
	accepts(none, &origin, "a.test");
	assert_int_equal(secure_handshakes(&origin, true), 0);
	accepts(one, &origin, "A.TEST.");
	assert_int_equal(secure_handshakes(&origin, true), 1);
	assert_int_equal(torc_tls_client_reload(one, &error), 0);
	accepts(one, &origin, "a.test");
	assert_int_equal(secure_handshakes(&origin, true), 1);
	secure_stop(&origin);
	torc_tls_client_destroy(one);
	torc_tls_client_destroy(two);
	torc_tls_client_destroy(none);
}

/* A reactor of its own, with its thread, that meets again and again. */
struct crowd {
	struct server server;
	struct attempt attempt;
	unsigned met;
};

static void *
meet_often(void *arg)
{
	struct crowd *crowd = arg;

	for (unsigned i = 0; i < 50; i++)
		crowd->met += server_fiber(&crowd->server, meet,
		    &crowd->attempt) == 4;
	return NULL;
}

static void
reactors_share_a_client_that_is_read_again_meanwhile(void **state)
{
	struct crowd crowds[2] = { { .met = 0 } };
	pthread_t threads[2];
	struct torc_error error;

	(void)state;
	for (unsigned v = 0; v < 2; v++) {
		struct torc_tls_client *client = create(NULL);
		struct secure origin;

		secure_start(&origin, "names", versions[v]);
		secure_run(&origin);
		for (unsigned i = 0; i < 2; i++) {
			crowds[i].met = 0;
			crowds[i].attempt = (struct attempt) {
				.client = client, .port = origin.port,
				.name = "a.test",
			};
			server_start(&crowds[i].server, NULL, echo_handler,
			    NULL);
			pthread_create(&threads[i], NULL, meet_often,
			    &crowds[i]);
		}
		for (unsigned i = 0; i < 10; i++)
			assert_int_equal(torc_tls_client_reload(client,
			    &error), 0);
		for (unsigned i = 0; i < 2; i++) {
			pthread_join(threads[i], NULL);
			assert_int_equal(crowds[i].met, 50);
			assert_int_equal(server_stop(&crowds[i].server), 0);
		}
		secure_stop(&origin);
		assert_true(origin.resumed > 0);
		torc_tls_client_destroy(client);
	}
}

static unsigned
count_saved(struct tls_saved *saved, const char *name)
{
	unsigned count = 0;
	SSL_SESSION *session;

	while (count < 200 && (session = torc_tls_saved_take(saved, name,
	    TORC_TRUST_NAME)) != NULL) {
		SSL_SESSION_free(session);
		count++;
	}
	return count;
}

/* A session of TLS 1.3 that was made. */
static SSL_SESSION *
copy_session(struct torc_tls_client *client, const char *name)
{
	SSL_SESSION *session = torc_tls_saved_take(&client->now->saved, name,
	    TORC_TRUST_NAME);
	SSL_SESSION *copy;

	assert_non_null(session);
	copy = SSL_SESSION_dup(session);
	SSL_SESSION_free(session);
	return copy;
}

static void
a_ticket_of_1_3_is_used_once_and_those_that_are_kept_are_bounded(void **state)
{
	struct torc_tls_client *client = create(NULL);
	struct tls_saved saved = { .rows = { NULL } };
	struct secure origin;
	SSL_SESSION *session;
	char name[16];

	(void)state;
	secure_start(&origin, "names", TLS1_3_VERSION);
	secure_run(&origin);
	accepts(client, &origin, "a.test");
	secure_stop(&origin);
	session = copy_session(client, "a.test");
	/* The server sends two. */
	assert_int_equal(count_saved(&client->now->saved, "a.test"), 1);
	torc_tls_saved_init(&saved);
	for (unsigned i = 0; i < 100; i++)
		assert_true(torc_tls_saved_put(&saved, "one", TORC_TRUST_NAME,
		    SSL_SESSION_dup(session)));
	assert_int_equal(count_saved(&saved, "one"), TLS_SAVED_EACH);
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "%u", i);
		torc_tls_saved_put(&saved, name, TORC_TRUST_NAME,
		    SSL_SESSION_dup(session));
	}
	/* What came last is there. */
	assert_int_equal(count_saved(&saved, "2999"), 1);
	assert_int_equal(count_saved(&saved, "2999"), 0);
	assert_int_equal(count_saved(&saved, "0"), 0);
	SSL_SESSION_free(session);
	torc_tls_saved_fini(&saved);
	torc_tls_client_destroy(client);
}

/* As many messages as it is told, and an answer. */
static bool
flood(struct secure *secure, SSL *ssl, const char *text, int size)
{
	(void)secure;
	for (int i = 0; i < size - 4; i++) {
		if (text[i] == 't')
			SSL_new_session_ticket(ssl);
		else
			SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
		SSL_do_handshake(ssl);
	}
	return SSL_write(ssl, text + size - 4, 4) == 4;
}

static void
tickets_and_changes_of_keys_without_data_are_bounded(void **state)
{
	static const struct {
		char kind;
		unsigned count;
		int result;
	} cases[] = {
		{ 't', 20, 4 }, { 't', 40, -EPROTO },
		{ 'k', 20, 4 }, { 'k', 40, -EPROTO },
	};
	struct torc_tls_client *client = create(NULL);

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[64];
		struct secure origin;
		struct attempt attempt = { .client = client,
		    .name = "a.test", .say = text };

		secure_start(&origin, "names", TLS1_3_VERSION);
		origin.obey = flood;
		secure_run(&origin);
		memset(text, cases[i].kind, sizeof(text));
		memcpy(text + cases[i].count, "ping", 5);
		attempt.port = origin.port;
		assert_int_equal(try(&attempt), cases[i].result);
		assert_string_equal(attempt.failure, cases[i].result > 0 ?
		    "" : "it changes its keys without end");
		secure_stop(&origin);
	}
	torc_tls_client_destroy(client);
}

/* ---- Who the client is ---- */

static void
demand(struct secure *origin, int version)
{
	secure_start(origin, "names", version);
	assert_int_equal(SSL_CTX_load_verify_file(origin->context,
	    peer_file("good.pem")), 1);
	SSL_CTX_set_verify(origin->context, SSL_VERIFY_PEER |
	    SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	secure_run(origin);
}

static int
tell_secret(char *text, int size, void *arg)
{
	assert_true(size > 6);
	strcpy(text, arg);
	return (int)strlen(text);
}

static void
a_server_that_demands_a_certificate_is_shown_the_client_s(void **state)
{
	char secret[] = "secret";
	const struct torc_tls_client_config shown = {
		.certificate = peer_file("visitor.pem"),
		.key = peer_file("visitor.key"),
	}, locked = {
		.certificate = peer_file("visitor.pem"),
		.key = peer_file("locked-visitor.key"),
		.password = tell_secret,
		.password_arg = secret,
	}, stranger = {
		.certificate = peer_file("stranger.pem"),
		.key = peer_file("stranger.key"),
	};
	struct torc_tls_client *clients[] = { create(&shown), create(&locked),
	    create(NULL), create(&stranger) };

	(void)state;
	for (unsigned v = 0; v < 2; v++) {
		struct attempt attempt = { .name = "a.test" };
		struct secure origin;

		demand(&origin, versions[v]);
		attempt.port = origin.port;
		accepts(clients[0], &origin, "a.test");
		accepts(clients[1], &origin, "a.test");
		attempt.client = clients[2];
		assert_int_equal(try(&attempt), -EPROTO);
		assert_string_equal(attempt.failure, "it demands a "
		    "certificate of the client, which has none");
		attempt.client = clients[3];
		assert_int_equal(try(&attempt), -EPROTO);
		assert_string_equal(attempt.failure,
		    "it refuses: unknown CA");
		secure_stop(&origin);
	}
	for (unsigned i = 0; i < 4; i++)
		torc_tls_client_destroy(clients[i]);
}

/* ---- How it ends ---- */

static void
a_stream_that_is_cut_is_told_from_one_that_ends(void **state)
{
	struct torc_tls_client *client = create(NULL);

	(void)state;
	for (unsigned v = 0; v < 2; v++) {
		struct attempt end = { .client = client, .name = "a.test",
		    .say = "end" }, cut = end;
		struct secure origin;

		cut.say = "cut";
		secure_start(&origin, "names", versions[v]);
		secure_run(&origin);
		end.port = cut.port = origin.port;
		assert_int_equal(try(&end), 0);
		assert_int_equal(try(&cut), -ENOLINK);
		assert_int_equal(try(&end), 0);
		secure_stop(&origin);
	}
	torc_tls_client_destroy(client);
}

/* A server that says `text` in clear, when it is asked, and keeps quiet. */
static int
say_clear(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	if (torc_conn_recv(conn, &in, LATER) <= 0 ||
	    torc_conn_write(conn, arg, strlen(arg), LATER) < 0)
		return TORC_CLOSE;
	torc_sleep(LATER);
	return TORC_CLOSE;
}

static int
hang_up(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	return torc_conn_recv(conn, &in, LATER) < 0 ? -1 : TORC_CLOSE;
}

static void
a_server_that_does_not_speak_tls_is_said_to_do_so(void **state)
{
	static const struct {
		torc_handler *handler;
		const char *text;
		int code;
		const char *words;
	} cases[] = {
		{ say_clear, "HTTP/1.1 400 Bad Request\r\n\r\n", -EPROTO,
		    "with a.test: it does not speak TLS there" },
		{ say_clear, "+OK\r\n", -EPROTO, "it does not speak TLS" },
		{ hang_up, NULL, -ENOLINK, "it closed the connection" },
	};
	struct torc_tls_client *client = create(NULL);

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct server server;
		struct secure origin = { 0 };

		server_start(&server, NULL, cases[i].handler,
		    (void *)(uintptr_t)cases[i].text);
		origin.port = server.port;
		refuses(client, &origin, "a.test", cases[i].code,
		    cases[i].words);
		assert_int_equal(server_stop(&server), 0);
	}
	torc_tls_client_destroy(client);
}

static void
one_that_says_nothing_is_given_up_at_the_deadline(void **state)
{
	struct torc_tls_client *client = create(NULL);
	struct attempt attempt = { .client = client, .name = "a.test",
	    .deadline_ms = 50 };
	struct secure origin = { .listener = secure_listen(&attempt.port) };

	(void)state;
	assert_int_equal(try(&attempt), -ETIMEDOUT);
	assert_string_equal(attempt.error.text,
	    "handshake with a.test: it took too long");
	close(origin.listener);
	torc_tls_client_destroy(client);
}

static void
a_version_that_is_too_old_is_refused_on_either_side(void **state)
{
	const struct torc_tls_client_config modern = {
		.min_version = TORC_TLS_1_3,
	};
	struct torc_tls_client *client = create(&modern);
	struct secure old, new;

	(void)state;
	secure_start(&old, "names", TLS1_2_VERSION);
	secure_run(&old);
	refuses(client, &old, "a.test", -EPROTO,
	    "it refuses: protocol version");
	secure_stop(&old);
	secure_start(&new, "names", TLS1_3_VERSION);
	secure_run(&new);
	accepts(client, &new, "a.test");
	secure_stop(&new);
	torc_tls_client_destroy(client);
}

/* ---- What is agreed on ---- */

static int
choose_last(SSL *ssl, const unsigned char **out, unsigned char *size,
    const unsigned char *offered, unsigned offered_size, void *arg)
{
	unsigned at = 0;

	(void)ssl;
	(void)arg;
	while (at + 1u + offered[at] < offered_size)
		at += 1u + offered[at];
	*out = offered + at + 1;
	*size = offered[at];
	return SSL_TLSEXT_ERR_OK;
}

static void
protocols_are_offered_and_what_was_chosen_is_told(void **state)
{
	static const char *const ours[] = { "one", "two", NULL };
	const struct torc_tls_client_config config = { .protocols = ours };
	struct torc_tls_client *client = create(&config), *none = create(NULL);
	struct attempt attempt = { .client = client, .name = "a.test" };
	struct secure origin;

	(void)state;
	secure_start(&origin, "names", TLS1_3_VERSION);
	SSL_CTX_set_alpn_select_cb(origin.context, choose_last, NULL);
	secure_run(&origin);
	attempt.port = origin.port;
	assert_int_equal(try(&attempt), 4);
	assert_string_equal(attempt.protocol, "two");
	assert_null(attempt.info.failure);
	assert_false(attempt.info.client_verified);
	/* A wish goes before what is configured. */
	attempt.trust = TORC_TRUST_SIGNER;
	assert_int_equal(try(&attempt), 4);
	assert_string_equal(attempt.protocol, "wish");
	attempt.trust = TORC_TRUST_NAME;
	attempt.client = none;
	attempt.protocol[0] = '\0';
	assert_int_equal(try(&attempt), 4);
	assert_string_equal(attempt.protocol, "");
	secure_stop(&origin);
	torc_tls_client_destroy(client);
	torc_tls_client_destroy(none);
}

static void
a_channel_is_bound_to_the_digest_of_its_certificate(void **state)
{
	static const struct {
		const char *pair;
		const char *ca;
		int size;	/* of its digest */
	} cases[] = {
		{ "names", "good.pem", 32 }, { "strong", "good.pem", 48 },
		{ "ed", "ed.pem", -EOPNOTSUPP },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct torc_tls_client *client = create(
		    &(struct torc_tls_client_config) {
		    .ca = peer_file(cases[i].ca) });
		struct attempt attempt = { .client = client,
		    .name = "a.test" };
		uint8_t digest[EVP_MAX_MD_SIZE];
		struct secure origin;
		unsigned size = 0;

		secure_start(&origin, cases[i].pair, TLS1_3_VERSION);
		X509_digest(SSL_CTX_get0_certificate(origin.context),
		    cases[i].size == 48 ? EVP_sha384() : EVP_sha256(), digest,
		    &size);
		secure_run(&origin);
		attempt.port = origin.port;
		for (unsigned again = 0; again < 2; again++) {
			assert_int_equal(try(&attempt), 4);
			assert_int_equal(attempt.info.resumed, again);
			assert_int_equal(attempt.binding, cases[i].size);
			if (cases[i].size > 0)
				assert_memory_equal(attempt.digest, digest,
				    size);
		}
		secure_stop(&origin);
		torc_tls_client_destroy(client);
	}
}

static size_t
file_size(const char *path, unsigned *mode)
{
	struct stat found;

	assert_int_equal(stat(path, &found), 0);
	*mode = found.st_mode & 0777;
	return (size_t)found.st_size;
}

static void
secrets_are_written_if_asked_for_to_a_file_of_the_owner_alone(void **state)
{
	const char *path = peer_file("secrets");
	const struct torc_tls_client_config config = {
		.ca = peer_file("good.pem"), .keylog = path,
	};
	struct torc_tls_client *client, *other;
	struct torc_error error;
	struct secure origin;
	char text[64];
	size_t size;
	unsigned mode;
	FILE *file;

	(void)state;
	/* It is not asked for by the environment. */
	setenv("SSLKEYLOGFILE", peer_file("unasked"), 1);
	secure_start(&origin, "names", TLS1_3_VERSION);
	secure_run(&origin);
	client = create(NULL);
	accepts(client, &origin, "a.test");
	torc_tls_client_destroy(client);
	assert_int_equal(access(peer_file("unasked"), F_OK), -1);
	unsetenv("SSLKEYLOGFILE");
	client = create(&config);
	accepts(client, &origin, "a.test");
	size = file_size(path, &mode);
	assert_int_equal(mode, 0600);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	fclose(file);
	assert_memory_equal(text, "SERVER_HANDSHAKE_TRAFFIC_SECRET ", 32);
	/* Another client goes on behind it. */
	other = create(&config);
	accepts(other, &origin, "x.b.test");
	assert_int_equal(file_size(path, &mode), 2 * size);
	torc_tls_client_destroy(other);
	torc_tls_client_destroy(client);
	secure_stop(&origin);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(torc_tls_client_create(&client, &config, &error),
	    -EPERM);
	assert_non_null(strstr(error.text, "must have mode 0600"));
}

/* ---- Configurations ---- */

static void
each_field_that_is_wrong_is_refused_in_words(void **state)
{
	static const char *const empty[] = { "", NULL };
	const struct {
		struct torc_tls_client_config config;
		int code;
		const char *words;
	} cases[] = {
		{ { .ca = "/nonexistent/ca.pem" }, -ENOENT,
		    "ca /nonexistent/ca.pem: No such file" },
		{ { .ca = peer_file("empty.pem") }, -EINVAL, "empty.pem: " },
		{ { .ca = peer_file("good.crl") }, -EINVAL, "good.crl: " },
		{ { .ca = peer_file("nonsense.pem") }, -EINVAL,
		    "nonsense.pem: " },
		{ { .ca = peer_file("good.pem"),
		    .crl = peer_file("good.pem") }, -EINVAL, "crl " },
		{ { .ca = peer_file("good.pem"), .crl = "/nonexistent/crl" },
		    -ENOENT, "crl /nonexistent/crl: No such file" },
		{ { .ca = peer_file("good.pem"),
		    .key = peer_file("visitor.key") }, -EINVAL,
		    "key is set, and certificate is NULL" },
		{ { .ca = peer_file("good.pem"),
		    .certificate = peer_file("visitor.pem"),
		    .key = peer_file("names.key") }, -EINVAL, "key" },
		{ { .ca = peer_file("good.pem"),
		    .certificate = peer_file("visitor.pem"),
		    .key = peer_file("locked-visitor.key") }, -EINVAL,
		    "locked-visitor.key" },
		{ { .ca = peer_file("good.pem"),
		    .certificate = peer_file("past.pem"),
		    .key = peer_file("past.key") }, -EINVAL, "has expired" },
		{ { .ca = peer_file("good.pem"), .protocols = empty }, -EINVAL,
		    "protocols[0] = \"\"" },
		{ { .ca = peer_file("good.pem"),
		    .min_version = (enum torc_tls_version)7 }, -EINVAL,
		    "min_version = 0x7: must be" },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct torc_tls_client *client = NULL;
		struct torc_error error;
		const int rc = torc_tls_client_create(&client,
		    &cases[i].config, &error);

		if (rc != cases[i].code ||
		    strstr(error.text, cases[i].words) == NULL)
			fail_msg("%u: %d \"%s\" has no \"%s\"", i, rc,
			    error.text, cases[i].words);
		assert_null(client);
	}
}

static void
a_field_of_a_later_torc_is_refused_unless_it_is_0(void **state)
{
	struct {
		struct torc_tls_client_config config;
		uint64_t later;
	} client = { .config = { .ca = peer_file("good.pem") } };
	struct {
		struct torc_tls_config config;
		uint64_t later;
	} server = { .config = { .certificate = peer_file("names.pem"),
	    .key = peer_file("names.key") } };
	struct torc_tls_client *made;
	struct torc_error error;
	struct torc_tls *tls;

	(void)state;
	assert_int_equal(torc_tls_client_create_sized(&made, &client.config,
	    sizeof(client), &error), 0);
	torc_tls_client_destroy(made);
	assert_int_equal(torc_tls_create_sized(&tls, &server.config,
	    sizeof(server), &error), 0);
	torc_tls_destroy(tls);
	client.later = server.later = 1;
	assert_int_equal(torc_tls_client_create_sized(&made, &client.config,
	    sizeof(client), &error), -EINVAL);
	assert_non_null(strstr(error.text, "torc_tls_client_config"));
	assert_int_equal(torc_tls_create_sized(&tls, &server.config,
	    sizeof(server), &error), -EINVAL);
	assert_non_null(strstr(error.text, "torc_tls_config"));
}

static void
files_are_read_again_and_old_ones_stay_if_new_ones_are_wrong(void **state)
{
	struct torc_tls_client_config config = { .ca = NULL };
	struct torc_tls_client *client;
	struct torc_error error;
	struct secure origin;

	(void)state;
	peer_file_copy("changing.pem", "other.pem", 100);
	config.ca = peer_file("changing.pem");
	client = create(&config);
	secure_start(&origin, "names", TLS1_3_VERSION);
	secure_run(&origin);
	refuses(client, &origin, "a.test", -EKEYREJECTED, "changing.pem");
	peer_file_copy("changing.pem", "good.pem", 100);
	assert_int_equal(torc_tls_client_reload(client, &error), 0);
	accepts(client, &origin, "a.test");
	peer_file_copy("changing.pem", "other.pem", 50);
	assert_int_equal(torc_tls_client_reload(client, &error), -EINVAL);
	assert_non_null(strstr(error.text, "changing.pem"));
	accepts(client, &origin, "a.test");
	peer_file_copy("changing.pem", "other.pem", 100);
	assert_int_equal(torc_tls_client_reload(client, &error), 0);
	/* Also though there was a session. */
	refuses(client, &origin, "a.test", -EKEYREJECTED, "changing.pem");
	secure_stop(&origin);
	torc_tls_client_destroy(client);
}

/* In an empty root: what is said, as an exit status. */
static void
look_in_an_empty_root(const char *folder)
{
	struct torc_tls_client *client;
	struct torc_error error;

	unsetenv("SSL_CERT_FILE");
	if ((geteuid() != 0 && unshare(CLONE_NEWUSER) < 0) ||
	    chroot(folder) < 0)
		_exit(77);
	if (torc_tls_client_create(&client, NULL, &error) != -ENOENT ||
	    strstr(error.text, "/etc/ssl/certs/ca-certificates.crt") == NULL ||
	    strstr(error.text, "/etc/pki/tls/certs/ca-bundle.crt") == NULL ||
	    strstr(error.text, "/etc/ssl/cert.pem") == NULL ||
	    strstr(error.text, "SSL_CERT_FILE") == NULL)
		_exit(1);
	/* And it is not remembered that there was none. */
	if (system("exit 0") < 0 ||
	    setenv("SSL_CERT_FILE", "/good.pem", 1) < 0 ||
	    torc_tls_client_create(&client, NULL, &error) < 0)
		_exit(2);
	_exit(0);
}

static void
without_certificates_of_the_system_the_places_are_named(void **state)
{
	int status = 0;
	pid_t pid;

	(void)state;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		look_in_an_empty_root(peer_file("."));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		print_message("not allowed to change the root: skipped\n");
	else
		assert_int_equal(WEXITSTATUS(status), 0);
}

static void
those_of_the_system_are_read_once_and_shared(void **state)
{
	const struct torc_tls_client_config listed = {
		.crl = peer_file("good.crl"),
	};
	struct torc_tls_client *one, *two, *three;
	struct torc_error error;
	struct secure origin;

	(void)state;
	assert_int_equal(setenv("SSL_CERT_FILE", peer_file("none.pem"), 1), 0);
	assert_int_equal(torc_tls_client_create(&one, NULL, &error), -ENOENT);
	assert_non_null(strstr(error.text, "SSL_CERT_FILE "));
	assert_non_null(strstr(error.text, "/none.pem: No such file"));
	setenv("SSL_CERT_FILE", peer_file("good.pem"), 1);
	assert_int_equal(torc_tls_client_create(&one, NULL, &error), 0);
	assert_false(torc_tls_client_transport(one)->has_ca);
	/* The file is not looked at any more. */
	setenv("SSL_CERT_FILE", peer_file("none.pem"), 1);
	assert_int_equal(torc_tls_client_create(&two, NULL, &error), 0);
	assert_ptr_equal(SSL_CTX_get_cert_store(one->now->context),
	    SSL_CTX_get_cert_store(two->now->context));
	secure_start(&origin, "names", TLS1_3_VERSION);
	secure_run(&origin);
	accepts(two, &origin, "a.test");
	assert_int_equal(torc_tls_client_reload(two, &error), -ENOENT);
	accepts(two, &origin, "a.test");
	setenv("SSL_CERT_FILE", peer_file("other.pem"), 1);
	assert_int_equal(torc_tls_client_reload(two, &error), 0);
	refuses(two, &origin, "a.test", -EKEYREJECTED, "(ca: the system)");
	/* Lists are of one client, and not of all. */
	setenv("SSL_CERT_FILE", peer_file("good.pem"), 1);
	assert_int_equal(torc_tls_client_create(&three, &listed, &error), 0);
	assert_true(SSL_CTX_get_cert_store(three->now->context) !=
	    SSL_CTX_get_cert_store(two->now->context));
	accepts(three, &origin, "a.test");
	secure_stop(&origin);
	torc_tls_client_destroy(one);
	torc_tls_client_destroy(two);
	torc_tls_client_destroy(three);
	unsetenv("SSL_CERT_FILE");
}

/* ---- Costs ---- */

static void
memory_and_descriptors_are_flat_over_handshakes_of_which_some_fail(
    void **state)
{
	struct torc_tls_client *client = create(NULL);
	struct secure good, bad;
	size_t before = 0;
	unsigned fds;

	(void)state;
	secure_start(&good, "names", TLS1_3_VERSION);
	secure_run(&good);
	secure_start(&bad, "stranger", TLS1_3_VERSION);
	secure_run(&bad);
	fds = count_fds();
	for (unsigned i = 0; i < 600; i++) {
		if (i == 200)
			before = exact_resident();
		if (i % 3 == 0)
			refuses(client, &bad, "a.test", -EKEYREJECTED,
			    "/CN=other");
		else
			accepts(client, &good, "a.test");
	}
	assert_true(await_fds(fds));
	if (!SANITIZED)
		assert_true(exact_resident() < before + (1u << 20));
	secure_stop(&good);
	secure_stop(&bad);
	torc_tls_client_destroy(client);
}

/* ---- Program ---- */

static int
set_up(void **state)
{
	(void)state;
	OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT |
	    OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	peer_files_make();
	secure_files_make();
	server_start(&here, NULL, echo_handler, NULL);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	assert_int_equal(server_stop(&here), 0);
	peer_files_remove();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_certificate_that_is_not_good_is_refused_in_words),
		cmocka_unit_test(
		    one_that_is_good_is_accepted_and_names_alone_are_told_to_the_server),
		cmocka_unit_test(
		    a_name_that_is_none_is_refused_before_anything_is_sent),
		cmocka_unit_test(
		    an_authority_that_is_not_at_the_root_may_be_the_one_that_is_trusted),
		cmocka_unit_test(
		    revoked_certificates_are_refused_if_there_is_a_list),
		cmocka_unit_test(
		    trust_in_a_signer_or_in_anybody_leaves_nothing_to_trust_in_a_name),
		cmocka_unit_test(
		    a_hundred_connections_make_one_whole_handshake),
		cmocka_unit_test(
		    sessions_are_of_one_name_and_of_one_client_and_go_with_a_reload),
		cmocka_unit_test(
		    reactors_share_a_client_that_is_read_again_meanwhile),
		cmocka_unit_test(
		    a_ticket_of_1_3_is_used_once_and_those_that_are_kept_are_bounded),
		cmocka_unit_test(
		    tickets_and_changes_of_keys_without_data_are_bounded),
		cmocka_unit_test(
		    a_server_that_demands_a_certificate_is_shown_the_client_s),
		cmocka_unit_test(
		    a_stream_that_is_cut_is_told_from_one_that_ends),
		cmocka_unit_test(
		    a_server_that_does_not_speak_tls_is_said_to_do_so),
		cmocka_unit_test(
		    one_that_says_nothing_is_given_up_at_the_deadline),
		cmocka_unit_test(
		    a_version_that_is_too_old_is_refused_on_either_side),
		cmocka_unit_test(
		    protocols_are_offered_and_what_was_chosen_is_told),
		cmocka_unit_test(
		    a_channel_is_bound_to_the_digest_of_its_certificate),
		cmocka_unit_test(
		    secrets_are_written_if_asked_for_to_a_file_of_the_owner_alone),
		cmocka_unit_test(each_field_that_is_wrong_is_refused_in_words),
		cmocka_unit_test(
		    a_field_of_a_later_torc_is_refused_unless_it_is_0),
		cmocka_unit_test(
		    files_are_read_again_and_old_ones_stay_if_new_ones_are_wrong),
		cmocka_unit_test(
		    without_certificates_of_the_system_the_places_are_named),
		cmocka_unit_test(
		    those_of_the_system_are_read_once_and_shared),
		cmocka_unit_test(
		    memory_and_descriptors_are_flat_over_handshakes_of_which_some_fail),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("tls client", tests, set_up,
	    tear_down);
}
