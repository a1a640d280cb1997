/* SPDX-License-Identifier: MIT */
/*
 * test_tls.c - TLS under the connections of a listener: what a client of
 * OpenSSL sees of it, byte by byte where that matters.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/tls/peer.h"

#include "conn/file/torc_file.h"
#include "conn/tls/torc_tls.h"

#define LATER torc_after_ms(5000)
#define LARGE (16u << 20)

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
static SSL_CTX *clients[2];	/* of these versions, which trust everybody */
#define CLIENT clients[1]

/* ---- Servers ---- */

struct scene {
	struct torc_tls *tls;
	struct server server;
};

static struct torc_tls *
create(const struct torc_tls_config *config)
{
	struct torc_tls_config how = { 0 };
	struct torc_error error;
	struct torc_tls *tls;

	if (config != NULL)
		how = *config;
	if (how.certificate == NULL) {
		how.certificate = peer_file("default.pem");
		how.key = peer_file("default.key");
	}
	if (torc_tls_create(&tls, &how, &error) < 0)
		fail_msg("torc_tls_create: %s", error.text);
	return tls;
}

static void
start_with(struct scene *scene, const struct torc_tls_config *config,
    const struct torc_config *reactor, torc_handler *handler, void *arg)
{
	scene->tls = create(config);
	server_start(&scene->server, reactor, handler, arg);
	server_set_maker(&scene->server,
	    torc_tls_transport(scene->tls));
}

static void
start(struct scene *scene, const struct torc_tls_config *config,
    torc_handler *handler, void *arg)
{
	start_with(scene, config, NULL, handler, arg);
}

static void
stop(struct scene *scene)
{
	assert_int_equal(server_stop(&scene->server), 0);
	torc_tls_destroy(scene->tls);
}

static void
add(struct scene *scene, const char *host, const char *pair)
{
	char certificate[64], key[64];
	struct torc_error error;

	snprintf(certificate, sizeof(certificate), "%s.pem", pair);
	snprintf(key, sizeof(key), "%s.key", pair);
	if (torc_tls_host_add(scene->tls, host, peer_file(certificate),
	    peer_file(key), &error) < 0)
		fail_msg("torc_tls_host_add: %s", error.text);
}

static uint64_t
count_fibers(struct server *server)
{
	struct torc_stats stats;

	server_counters(server);
	torc_reactor_stats_read(server->reactor, &stats);
	return stats.fibers;
}

/* Answers each piece with a line: what was agreed on. */
static int
tell_info(struct torc_conn *conn, void *arg)
{
	struct torc_tls_info info;
	struct torc_slice in;
	char line[256];
	int rc;

	(void)arg;
	while ((rc = torc_conn_recv(conn, &in, LATER)) > 0) {
		torc_conn_consume(conn, in.size);
		if (torc_tls_info_read(conn, &info) < 0)
			return -1;
		rc = snprintf(line, sizeof(line), "%x %s [%s] [%.*s]%s%s\n",
		    (unsigned)info.version, info.cipher,
		    info.name != NULL ? info.name : "",
		    (int)info.protocol.size, info.protocol.size > 0 ?
		    (const char *)info.protocol.data : "",
		    info.resumed ? " resumed" : "",
		    info.client_verified ? " verified" : "");
		rc = torc_conn_write(conn, line, (size_t)rc, LATER);
		if (rc < 0)
			return rc;
	}
	return rc < 0 ? rc : TORC_CLOSE;
}

/* A new connection: what was agreed on; "": none was made, or it broke. */
static const char *
ask_info(struct scene *scene, SSL_CTX *context, const char *name)
{
	static char line[256];
	struct peer peer;

	line[0] = '\0';
	peer_open(&peer, context, scene->server.port, name);
	if (peer_shake(&peer)) {
		peer_say(&peer, "?");
		if (!peer_line(&peer, line, sizeof(line)))
			line[0] = '\0';
	}
	peer_close(&peer);
	return line;
}

/* ---- Handshakes ---- */

/* Send `bytes` in two parts. */
static void
send_cut(struct peer *peer, const unsigned char *bytes, size_t size,
    size_t cut)
{
	if (cut > 0 && cut < size) {
		client_send(peer->fd, bytes, cut);
		pause_ms(1);
		client_send(peer->fd, bytes + cut, size - cut);
	} else {
		client_send(peer->fd, bytes, size);
	}
}

/*
 * A handshake, and a request that comes along with its last flight. The flight
 * of that number is cut at `cut`: whether it is longer.
 */
static bool
shake_cut(struct scene *scene, SSL_CTX *context, unsigned flight, size_t cut)
{
	unsigned char bytes[4096];
	struct peer peer;
	bool longer = false;
	int rc = 0;

	peer_open(&peer, context, scene->server.port, "a.test");
	for (unsigned i = 0; rc != 1; i++) {
		size_t size;

		ERR_clear_error();
		rc = SSL_do_handshake(peer.ssl);
		if (rc == 1)
			assert_int_equal(SSL_write(peer.ssl, "request", 7), 7);
		size = peer_take(&peer, bytes, sizeof(bytes));
		send_cut(&peer, bytes, size, i == flight ? cut : 0);
		if (i == flight)
			longer = cut < size;
		if (rc != 1)
			assert_true(peer_receive(&peer) > 0);
	}
	peer_hear(&peer, "request");
	peer_close(&peer);
	return longer;
}

static void
every_flight_may_be_cut_at_every_byte_and_a_request_come_along_with_the_last(
    void **state)
{
	struct scene scene;
	unsigned flights = 0;

	(void)state;
	start(&scene, NULL, echo_handler, NULL);
	for (unsigned v = 0; v < 2; v++) {
		for (unsigned flight = 0; flight < 3; flight++) {
			size_t cut = 1;

			while (shake_cut(&scene, clients[v], flight, cut))
				cut++;
			flights += cut > 1;
		}
	}
	/* Of 1.2: hello, the end, the request. Of 1.3: hello, the end. */
	assert_int_equal(flights, 5);
	stop(&scene);
}

static void
bytes_that_drip_are_as_good_as_others(void **state)
{
	unsigned char bytes[4096];
	struct scene scene;
	struct peer peer;
	size_t size;

	(void)state;
	start(&scene, NULL, echo_handler, NULL);
	peer_open(&peer, CLIENT, scene.server.port, "a.test");
	SSL_do_handshake(peer.ssl);
	size = peer_take(&peer, bytes, sizeof(bytes));
	for (size_t i = 0; i < size; i++) {
		client_send(peer.fd, bytes + i, 1);
		if (i % 8 == 0)
			pause_ms(1);
	}
	assert_true(peer_shake(&peer));
	peer_echo(&peer, "dripped");
	peer_close(&peer);
	stop(&scene);
}

static int
welcome(struct torc_conn *conn, void *arg)
{
	atomic_fetch_add((_Atomic unsigned *)arg, 1);
	return torc_conn_write(conn, "welcome\n", 8, LATER) < 0 ? -1 :
	    TORC_CLOSE;
}

static void
a_handler_starts_when_the_handshake_is_done_and_may_speak_first(void **state)
{
	_Atomic unsigned started = 0;
	unsigned char bytes[4096];
	struct scene scene;
	struct peer peer;
	size_t size;

	(void)state;
	start(&scene, NULL, welcome, &started);
	peer_open(&peer, CLIENT, scene.server.port, NULL);
	assert_true(server_await_connections(&scene.server, 1));
	assert_int_equal(count_fibers(&scene.server), 0);
	SSL_do_handshake(peer.ssl);
	peer_send(&peer);
	while (SSL_do_handshake(peer.ssl) != 1)
		assert_true(peer_receive(&peer) > 0);
	/* It has said all, and we have not. */
	size = peer_take(&peer, bytes, sizeof(bytes));
	assert_int_equal(count_fibers(&scene.server), 0);
	assert_int_equal(atomic_load(&started), 0);
	client_send(peer.fd, bytes, size);
	peer_hear(&peer, "welcome\n");
	assert_int_equal(atomic_load(&started), 1);
	assert_int_equal(peer_end(&peer), PEER_SAID);
	peer_close(&peer);
	stop(&scene);
}

/* The reason why a handshake fails, as OpenSSL numbers it; 0: it does not. */
static int
reason_of(struct scene *scene, SSL_CTX *context, const char *name)
{
	struct peer peer;
	char byte;
	int reason = 0;

	peer_open(&peer, context, scene->server.port, name);
	/* A server of 1.3 may refuse what comes when the client is done. */
	if (peer_shake(&peer))
		peer_say(&peer, "?");
	if (!SSL_is_init_finished(peer.ssl) || !peer_read(&peer, &byte, 1)) {
		reason = ERR_GET_REASON(ERR_peek_error());
		assert_true(reason != 0);
	}
	peer_close(&peer);
	return reason;
}

static void
versions_1_2_and_1_3_are_spoken_and_1_1_is_refused(void **state)
{
	const struct torc_tls_config only_1_3 = {
		.min_version = TORC_TLS_1_3,
	};
	SSL_CTX *old = peer_context(TLS1_1_VERSION, TLS1_1_VERSION);
	struct scene scene;

	(void)state;
	SSL_CTX_set_security_level(old, 0);
	SSL_CTX_set_cipher_list(old, "ALL:@SECLEVEL=0");
	start(&scene, NULL, tell_info, NULL);
	assert_memory_equal(ask_info(&scene, clients[0], NULL), "303 ", 4);
	assert_memory_equal(ask_info(&scene, clients[1], NULL), "304 ", 4);
	assert_int_equal(reason_of(&scene, old, NULL),
	    SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
	stop(&scene);
	start(&scene, &only_1_3, tell_info, NULL);
	assert_memory_equal(ask_info(&scene, clients[1], NULL), "304 ", 4);
	assert_int_equal(reason_of(&scene, clients[0], NULL),
	    SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
	stop(&scene);
	SSL_CTX_free(old);
}

static void
a_protocol_is_chosen_as_the_server_prefers_and_none_in_common_is_refused(
    void **state)
{
	static const char *const ours[] = { "two", "one", NULL };
	const struct torc_tls_config config = { .protocols = ours };
	SSL_CTX *both = peer_context(TLS1_2_VERSION, TLS1_3_VERSION);
	SSL_CTX *other = peer_context(TLS1_2_VERSION, TLS1_3_VERSION);
	struct scene scene;

	(void)state;
	SSL_CTX_set_alpn_protos(both, (const unsigned char *)
	    "\003one\003two", 8);
	/* One that begins as ours does is another one. */
	SSL_CTX_set_alpn_protos(other, (const unsigned char *)
	    "\004twos\002on", 8);
	start(&scene, &config, tell_info, NULL);
	assert_non_null(strstr(ask_info(&scene, both, NULL), " [two]"));
	assert_non_null(strstr(ask_info(&scene, CLIENT, NULL), " [] []"));
	assert_int_equal(reason_of(&scene, other, NULL),
	    SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
	stop(&scene);
	/* Without any of its own it does not mind. */
	start(&scene, NULL, tell_info, NULL);
	assert_non_null(strstr(ask_info(&scene, both, NULL), " [] []"));
	stop(&scene);
	SSL_CTX_free(both);
	SSL_CTX_free(other);
}

/* ---- Hosts ---- */

static const char *
server_of(struct scene *scene, SSL_CTX *context, const char *name)
{
	const char *server;
	struct peer peer;

	peer_meet(&peer, context, scene->server.port, name);
	server = peer_server(&peer);
	peer_close(&peer);
	return server;
}

static void
an_exact_name_goes_before_a_wildcard_and_that_before_the_default(void **state)
{
	static const char *const cases[][2] = {
		{ "a.test", "exact" }, { "A.TeSt", "exact" },
		{ "a.test.", "exact" }, { "b.test", "wild" },
		{ "B.TEST.", "wild" }, { "x.a.test", "default" },
		{ "test", "default" }, { "a.test.org", "default" },
		{ "ba.tes", "default" }, { NULL, "default" },
	};
	struct scene scene;

	(void)state;
	start(&scene, NULL, echo_handler, NULL);
	add(&scene, "*.Test", "wild");
	add(&scene, "a.test", "exact");
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (unsigned v = 0; v < 2; v++)
			assert_string_equal(server_of(&scene, clients[v],
			    cases[i][0]), cases[i][1]);
	stop(&scene);
}

static void
those_who_can_are_given_ecdsa_and_others_rsa(void **state)
{
	struct scene scene;

	(void)state;
	start(&scene, NULL, echo_handler, NULL);
	add(&scene, NULL, "rsa");
	for (unsigned v = 0; v < 2; v++) {
		SSL_CTX *old = peer_context(versions[v], versions[v]);

		SSL_CTX_set1_sigalgs_list(old, "RSA-PSS+SHA256:RSA+SHA256");
		assert_string_equal(server_of(&scene, clients[v], NULL),
		    "default");
		assert_string_equal(server_of(&scene, old, NULL), "rsa");
		SSL_CTX_free(old);
	}
	stop(&scene);
}

/* ---- Sessions ---- */

static unsigned tickets;	/* that came */

static int
count_ticket(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	tickets += SSL_SESSION_has_ticket(session) == 1;
	return 0;
}

/* A client that counts tickets. */
static SSL_CTX *
counting_context(int version)
{
	SSL_CTX *context = peer_context(version, version);

	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, count_ticket);
	tickets = 0;
	return context;
}

/* Connect with a session, which may be NULL: a new one instead of it. */
static SSL_SESSION *
resume(unsigned port, SSL_CTX *context, const char *name,
    SSL_SESSION *session, bool *resumed)
{
	struct peer peer;

	peer_open(&peer, context, port, name);
	if (session != NULL)
		SSL_set_session(peer.ssl, session);
	SSL_SESSION_free(session);
	assert_true(peer_shake(&peer));
	/* In 1.3 a ticket comes with the first bytes. */
	peer_echo(&peer, "hello");
	*resumed = SSL_session_reused(peer.ssl) == 1;
	session = SSL_get1_session(peer.ssl);
	peer_close(&peer);
	return session;
}

static void
full_and_resumed_handshakes_are_counted_apart(void **state)
{
	struct torc_stats stats;
	struct scene scene;

	(void)state;
	start(&scene, NULL, echo_handler, NULL);
	for (unsigned v = 0; v < 2; v++) {
		SSL_SESSION *session = NULL;
		bool resumed;

		for (unsigned i = 0; i < 3; i++)
			session = resume(scene.server.port, clients[v], NULL,
			    session, &resumed);
		assert_true(resumed);
		SSL_SESSION_free(session);
	}
	torc_reactor_stats_read(scene.server.reactor, &stats);
	assert_int_equal(stats.handshakes_full, 2);
	assert_int_equal(stats.handshakes_resumed, 4);
	assert_int_equal(stats.handshakes_failed, 0);
	stop(&scene);
}

static void
a_session_of_one_host_is_not_resumed_at_another(void **state)
{
	struct scene scene;

	(void)state;
	start(&scene, NULL, echo_handler, NULL);
	add(&scene, "a.test", "exact");
	add(&scene, "*.test", "wild");
	for (unsigned v = 0; v < 2; v++) {
		const unsigned port = scene.server.port;
		SSL_SESSION *session;
		bool resumed;

		session = resume(port, clients[v], "a.test", NULL, &resumed);
		assert_false(resumed);
		session = resume(port, clients[v], "a.test", session,
		    &resumed);
		assert_true(resumed);
		session = resume(port, clients[v], "b.test", session,
		    &resumed);
		assert_false(resumed);
		session = resume(port, clients[v], NULL, session, &resumed);
		assert_false(resumed);
		SSL_SESSION_free(session);
	}
	stop(&scene);
}

static void
a_ticket_of_one_reactor_is_resumed_on_another_and_after_a_reload(
    void **state)
{
	struct scene scene;
	struct server other;

	(void)state;
	start(&scene, NULL, echo_handler, NULL);
	server_start(&other, NULL, echo_handler, NULL);
	server_set_maker(&other,
	    torc_tls_transport(scene.tls));
	for (unsigned v = 0; v < 2; v++) {
		SSL_SESSION *session = NULL;
		bool resumed;

		session = resume(scene.server.port, clients[v], "a.test",
		    session, &resumed);
		assert_false(resumed);
		session = resume(other.port, clients[v], "a.test", session,
		    &resumed);
		assert_true(resumed);
		assert_int_equal(torc_tls_reload(scene.tls, NULL), 0);
		session = resume(scene.server.port, clients[v], "a.test",
		    session, &resumed);
		assert_true(resumed);
		SSL_SESSION_free(session);
	}
	assert_int_equal(server_stop(&other), 0);
	stop(&scene);
}

static void
each_handshake_has_one_ticket_and_none_if_so_configured(void **state)
{
	for (unsigned v = 0; v < 2; v++) {
		SSL_CTX *context = counting_context(versions[v]);
		struct torc_tls_config none = { .no_tickets = true };
		SSL_SESSION *session;
		struct scene scene;
		bool resumed;

		(void)state;
		start(&scene, NULL, echo_handler, NULL);
		session = resume(scene.server.port, context, NULL, NULL,
		    &resumed);
		assert_int_equal(tickets, 1);
		session = resume(scene.server.port, context, NULL, session,
		    &resumed);
		assert_true(resumed);
		/* One of 1.3 is used once; one of 1.2 again and again. */
		assert_int_equal(tickets, v == 0 ? 1 : 2);
		SSL_SESSION_free(session);
		stop(&scene);
		tickets = 0;
		start(&scene, &none, echo_handler, NULL);
		session = resume(scene.server.port, context, NULL, NULL,
		    &resumed);
		session = resume(scene.server.port, context, NULL, session,
		    &resumed);
		assert_false(resumed);
		assert_int_equal(tickets, 0);
		SSL_SESSION_free(session);
		stop(&scene);
		SSL_CTX_free(context);
	}
}

/* ---- Certificates of clients ---- */

/* "": refused; else whether the server calls the client verified. */
static const char *
ask_verified(struct scene *scene, unsigned v, const char *name)
{
	SSL_CTX *context = peer_context(versions[v], versions[v]);
	char certificate[64], key[64];
	const char *line;

	if (name != NULL) {
		snprintf(certificate, sizeof(certificate), "%s.pem", name);
		snprintf(key, sizeof(key), "%s.key", name);
		assert_int_equal(SSL_CTX_use_certificate_file(context,
		    peer_file(certificate), SSL_FILETYPE_PEM), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey_file(context,
		    peer_file(key), SSL_FILETYPE_PEM), 1);
	}
	/* A host's own, too. */
	line = ask_info(scene, context, v == 0 ? NULL : "a.test");
	SSL_CTX_free(context);
	if (line[0] == '\0')
		return "";
	return strstr(line, " verified") != NULL ? "verified" : "let in";
}

static void
clients_have_to_say_who_they_are_as_the_server_wants(void **state)
{
	static const struct {
		enum torc_tls_client_proof client;
		const char *none, *good, *stranger, *expired;
	} cases[] = {
		{ TORC_TLS_CLIENT_UNASKED, "let in", "let in", "let in",
		    "let in" },
		{ TORC_TLS_CLIENT_ASKED, "let in", "verified", "", "" },
		{ TORC_TLS_CLIENT_REQUIRED, "", "verified", "", "" },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct torc_tls_config config = {
			.client = cases[i].client,
			.client_ca = i > 0 ? peer_file("ca.pem") : NULL,
		};
		struct scene scene;

		start(&scene, &config, tell_info, NULL);
		add(&scene, "a.test", "exact");
		for (unsigned v = 0; v < 2; v++) {
			assert_string_equal(ask_verified(&scene, v, NULL),
			    cases[i].none);
			assert_string_equal(ask_verified(&scene, v, "client"),
			    cases[i].good);
			assert_string_equal(ask_verified(&scene, v,
			    "stranger"), cases[i].stranger);
			assert_string_equal(ask_verified(&scene, v,
			    "expired"), cases[i].expired);
		}
		stop(&scene);
	}
}

static void
a_client_that_was_verified_is_so_when_its_session_is_resumed(void **state)
{
	const struct torc_tls_config config = {
		.client = TORC_TLS_CLIENT_REQUIRED,
		.client_ca = peer_file("ca.pem"),
	};
	struct scene scene;

	(void)state;
	start(&scene, &config, tell_info, NULL);
	for (unsigned v = 0; v < 2; v++) {
		SSL_CTX *context = peer_context(versions[v], versions[v]);
		SSL_SESSION *session = NULL;
		char line[256];

		SSL_CTX_use_certificate_file(context, peer_file("client.pem"),
		    SSL_FILETYPE_PEM);
		SSL_CTX_use_PrivateKey_file(context, peer_file("client.key"),
		    SSL_FILETYPE_PEM);
		for (unsigned i = 0; i < 2; i++) {
			struct peer peer;

			peer_open(&peer, context, scene.server.port, NULL);
			if (session != NULL)
				SSL_set_session(peer.ssl, session);
			SSL_SESSION_free(session);
			assert_true(peer_shake(&peer));
			peer_say(&peer, "?");
			assert_true(peer_line(&peer, line, sizeof(line)));
			assert_non_null(strstr(line, i == 0 ? " [] [] verified"
			    : " [] [] resumed verified"));
			session = SSL_get1_session(peer.ssl);
			peer_close(&peer);
		}
		SSL_SESSION_free(session);
		SSL_CTX_free(context);
	}
	stop(&scene);
}

/* ---- Ends ---- */

static int
note_end(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc;

	while ((rc = torc_conn_recv(conn, &in, LATER)) > 0)
		torc_conn_consume(conn, in.size);
	atomic_store((_Atomic int *)arg, rc);
	return rc < 0 ? rc : TORC_CLOSE;
}

static int
end_of(SSL_CTX *context, bool said)
{
	_Atomic int result = 1;
	struct scene scene;
	struct peer peer;

	start(&scene, NULL, note_end, &result);
	peer_meet(&peer, context, scene.server.port, NULL);
	peer_say(&peer, "bytes");
	if (said)
		SSL_shutdown(peer.ssl);
	peer_send(&peer);
	shutdown(peer.fd, SHUT_WR);
	for (unsigned i = 0; i < 500 && atomic_load(&result) == 1; i++)
		pause_ms(10);
	peer_close(&peer);
	stop(&scene);
	return atomic_load(&result);
}

static void
a_stream_that_is_cut_is_told_from_one_that_ends(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 2; v++) {
		assert_int_equal(end_of(clients[v], true), 0);
		assert_int_equal(end_of(clients[v], false), -ENOLINK);
	}
}

static int
answer_and_close(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc = torc_conn_recv(conn, &in, LATER);

	(void)arg;
	if (rc > 0)
		rc = torc_conn_write(conn, "answer", 6, LATER);
	return rc < 0 ? rc : TORC_CLOSE;
}

static int
answer_and_rest(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc = torc_conn_recv(conn, &in, LATER);

	(void)arg;
	if (rc <= 0)
		return rc < 0 ? rc : TORC_CLOSE;
	rc = torc_conn_write(conn, in.data, in.size, LATER);
	torc_conn_consume(conn, in.size);
	return rc < 0 ? rc : TORC_AGAIN;
}

static void
an_end_of_the_server_is_said_before_it_comes_also_in_a_drain(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 2; v++) {
		struct scene scene;
		struct peer peer;

		start(&scene, NULL, answer_and_close, NULL);
		peer_meet(&peer, clients[v], scene.server.port, NULL);
		peer_say(&peer, "question");
		peer_hear(&peer, "answer");
		assert_int_equal(peer_end(&peer), PEER_SAID);
		peer_close(&peer);
		stop(&scene);
		start(&scene, NULL, answer_and_rest, NULL);
		peer_meet(&peer, clients[v], scene.server.port, NULL);
		peer_echo(&peer, "one");
		assert_int_equal(server_drain(&scene.server, 500), 0);
		assert_int_equal(peer_end(&peer), PEER_SAID);
		peer_close(&peer);
		torc_tls_destroy(scene.tls);
	}
}

/* All of the stream, and then an answer. */
static int
read_then_answer(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc;

	(void)arg;
	while ((rc = torc_conn_recv(conn, &in, LATER)) > 0)
		torc_conn_consume(conn, in.size);
	if (rc == 0)
		rc = torc_sleep(torc_after_ms(30));
	if (rc == 0)
		rc = torc_conn_write(conn, "all", 3, LATER);
	return rc < 0 ? rc : TORC_CLOSE;
}

static void
an_answer_leaves_after_the_client_has_ended_its_question(void **state)
{
	struct scene scene;

	(void)state;
	start(&scene, NULL, read_then_answer, NULL);
	for (unsigned v = 0; v < 2; v++) {
		struct peer peer;

		peer_meet(&peer, clients[v], scene.server.port, NULL);
		peer_say(&peer, "question");
		SSL_shutdown(peer.ssl);
		peer_send(&peer);
		peer_hear(&peer, "all");
		assert_int_equal(peer_end(&peer), PEER_SAID);
		peer_close(&peer);
	}
	stop(&scene);
}

/* ---- Records that carry no data ---- */

static void
rekey(struct peer *peer, int kind)
{
	assert_int_equal(SSL_key_update(peer->ssl, kind), 1);
	assert_int_equal(SSL_do_handshake(peer->ssl), 1);
	peer_send(peer);
}

static void
an_idle_connection_holds_no_fiber_and_answers_a_change_of_keys(void **state)
{
	struct scene scene;
	struct peer peer;
	char byte;

	(void)state;
	start(&scene, NULL, answer_and_rest, NULL);
	peer_meet(&peer, CLIENT, scene.server.port, NULL);
	peer_echo(&peer, "one");
	assert_int_equal(count_fibers(&scene.server), 0);
	/* Nobody writes: it leaves by itself. */
	rekey(&peer, SSL_KEY_UPDATE_REQUESTED);
	while (peer.rekeyed == 0) {
		assert_true(peer_receive(&peer) > 0);
		assert_true(SSL_read(peer.ssl, &byte, 1) < 0);
	}
	assert_int_equal(count_fibers(&scene.server), 0);
	peer_echo(&peer, "two");
	peer_close(&peer);
	stop(&scene);
}

static void
changes_of_keys_without_data_are_bounded(void **state)
{
	struct scene scene;
	struct peer peer;

	(void)state;
	start(&scene, NULL, echo_handler, NULL);
	peer_meet(&peer, CLIENT, scene.server.port, NULL);
	for (unsigned i = 0; i < 100; i++) {
		rekey(&peer, SSL_KEY_UPDATE_REQUESTED);
		peer_echo(&peer, "between");
	}
	assert_int_equal(peer.rekeyed, 100);
	for (unsigned i = 0; i < 32; i++)
		rekey(&peer, SSL_KEY_UPDATE_NOT_REQUESTED);
	peer_echo(&peer, "after 32");
	for (unsigned i = 0; i < 33; i++)
		rekey(&peer, SSL_KEY_UPDATE_NOT_REQUESTED);
	assert_true(server_await_connections(&scene.server, 0));
	peer_close(&peer);
	stop(&scene);
}

/* When nobody speaks for a while, it does. */
static int
tick(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc;

	(void)arg;
	do {
		rc = torc_conn_recv(conn, &in, torc_after_ms(50));
		if (rc > 0)
			torc_conn_consume(conn, in.size);
		if (rc == -ETIMEDOUT)
			rc = torc_conn_write(conn, "tick", 4, LATER) < 0 ? -1 :
			    1;
	} while (rc > 0);
	return rc < 0 ? rc : TORC_CLOSE;
}

static void
renegotiation_is_refused_and_the_connection_lives(void **state)
{
	struct scene scene;
	struct peer peer;
	unsigned ticks = 0;

	(void)state;
	start(&scene, NULL, tick, NULL);
	peer_meet(&peer, clients[0], scene.server.port, NULL);
	peer_hear(&peer, "tick");
	assert_int_equal(SSL_renegotiate(peer.ssl), 1);
	SSL_do_handshake(peer.ssl);
	peer.records = 0;
	peer_send(&peer);
	/* OpenSSL's client gives up at the alert; its bytes tell. */
	while (peer.records < 8)
		assert_true(peer_receive(&peer) > 0);
	for (unsigned i = 0; i < peer.records; i++) {
		if (peer.kinds[i] == SSL3_RT_ALERT)
			ticks = 1;
		else if (ticks > 0)
			ticks++;
		assert_int_not_equal(peer.kinds[i], SSL3_RT_HANDSHAKE);
	}
	assert_true(ticks > 1);
	assert_int_equal(server_connections(&scene.server), 1);
	peer_close(&peer);
	stop(&scene);
}

/* ---- What is no TLS ---- */

static void
clear_http_is_answered_in_clear(void **state)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	struct scene scene;
	char answer[512];
	const char *body;
	long size;
	int fd;

	(void)state;
	start(&scene, NULL, echo_handler, NULL);
	fd = client_open(scene.server.port);
	client_send(fd, request, sizeof(request) - 1);
	size = client_read_all(fd, answer, sizeof(answer) - 1);
	assert_true(size > 0);
	answer[size] = '\0';
	assert_memory_equal(answer, "HTTP/1.1 400 Bad Request\r\n", 26);
	body = strstr(answer, "\r\n\r\n");
	assert_non_null(body);
	assert_non_null(strstr(answer, "Content-Length: 41\r\n"));
	assert_int_equal(strlen(body + 4), 41);
	assert_non_null(strstr(body, "https://"));
	close(fd);
	stop(&scene);
}

static void
handshakes_that_fail_change_nothing_for_a_connection_beside_them(
    void **state)
{
	static const unsigned char rude[][12] = {
		"GET / HTTP/", "\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff\x00",
		"\x80\x2e\x01\x00\x02", "\x15\x03\x03\x00\x02\x02\x28",
		"\xff\xff\xff\xff\xff\xff\xff\xff", "\x14\x03\x03\x00\x01\x01",
	};
	SSL_CTX *old = peer_context(TLS1_1_VERSION, TLS1_1_VERSION);
	struct scene scene;
	struct peer peer;

	(void)state;
	SSL_CTX_set_security_level(old, 0);
	SSL_CTX_set_cipher_list(old, "ALL:@SECLEVEL=0");
	start(&scene, NULL, echo_handler, NULL);
	peer_meet(&peer, CLIENT, scene.server.port, NULL);
	for (unsigned i = 0; i < 60; i++) {
		const int fd = client_open(scene.server.port);
		struct peer other;

		client_send(fd, rude[i % 6], sizeof(rude[0]));
		peer_open(&other, old, scene.server.port, NULL);
		assert_false(peer_shake(&other));
		peer_close(&other);
		peer_echo(&peer, "undisturbed");
		close(fd);
	}
	assert_true(server_await_connections(&scene.server, 1));
	peer_echo(&peer, "undisturbed");
	peer_close(&peer);
	SSL_CTX_free(old);
	stop(&scene);
}

struct notes {
	_Atomic unsigned count;
	char text[256];
};

static void
note(const char *text, void *arg)
{
	struct notes *notes = arg;

	if (strstr(text, "TLS") == NULL)
		return;
	snprintf(notes->text, sizeof(notes->text), "%s", text);
	atomic_fetch_add(&notes->count, 1);
}

static void
the_operator_is_told_why_a_handshake_failed_and_not_of_each(void **state)
{
	struct notes notes = { 0 };
	const struct torc_config config = {
		.notice = note,
		.arg = &notes,
	};
	struct scene scene;
	struct peer peer;
	int fd;

	(void)state;
	start_with(&scene, NULL, &config, echo_handler, NULL);
	/* Who leaves has nothing to be told of. */
	peer_open(&peer, CLIENT, scene.server.port, NULL);
	SSL_do_handshake(peer.ssl);
	peer_send(&peer);
	peer_close(&peer);
	peer_meet(&peer, CLIENT, scene.server.port, NULL);
	peer_close(&peer);
	assert_true(server_await_connections(&scene.server, 0));
	assert_int_equal(atomic_load(&notes.count), 0);
	for (unsigned i = 0; i < 5; i++) {
		fd = client_open(scene.server.port);
		client_send(fd, "GET / HTTP/1.1\r\n\r\n", 18);
		assert_true(client_read(fd, &(char[4]) { 0 }, 4));
		close(fd);
	}
	assert_true(server_await_connections(&scene.server, 0));
	assert_int_equal(atomic_load(&notes.count), 1);
	assert_non_null(strstr(notes.text, "no TLS with 127.0.0.1:"));
	assert_non_null(strstr(notes.text, "http request"));
	stop(&scene);
}

static void
a_handshake_that_stands_still_ends_in_time_and_holds_no_fiber(void **state)
{
	const struct torc_tls_config config = { .handshake_ms = 100 };
	struct scene scene;
	struct peer silent, half, good;
	unsigned char bytes[4096];
	uint64_t before;

	(void)state;
	start(&scene, &config, echo_handler, NULL);
	before = now_ms();
	peer_open(&silent, CLIENT, scene.server.port, NULL);
	peer_open(&half, CLIENT, scene.server.port, NULL);
	SSL_do_handshake(half.ssl);
	client_send(half.fd, bytes, peer_take(&half, bytes, 100));
	assert_true(server_await_connections(&scene.server, 2));
	assert_int_equal(count_fibers(&scene.server), 0);
	peer_meet(&good, CLIENT, scene.server.port, NULL);
	assert_true(client_sees_fin(silent.fd));
	assert_true(client_sees_fin(half.fd));
	assert_true(now_ms() - before >= 95);
	/* Nor the ten seconds that it has unless it is told. */
	assert_true(now_ms() - before < 9000);
	/* The time was for the handshake alone. */
	peer_echo(&good, "later");
	peer_close(&silent);
	peer_close(&half);
	peer_close(&good);
	stop(&scene);
}

static void
a_record_that_was_changed_ends_its_connection(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 2; v++) {
		_Atomic int result = 1;
		unsigned char bytes[256];
		struct scene scene;
		struct peer peer;
		size_t size;

		start(&scene, NULL, note_end, &result);
		peer_meet(&peer, clients[v], scene.server.port, NULL);
		SSL_write(peer.ssl, "bytes", 5);
		size = peer_take(&peer, bytes, sizeof(bytes));
		bytes[size - 8] ^= 1;
		client_send(peer.fd, bytes, size);
		assert_true(server_await_connections(&scene.server, 0));
		assert_int_equal(atomic_load(&result), -EPROTO);
		peer_close(&peer);
		stop(&scene);
	}
}

/* ---- New files ---- */

static void
set_files(const char *certificate, unsigned part, const char *key,
    unsigned key_part)
{
	peer_file_copy("live.pem", certificate, part);
	peer_file_copy("live.key", key, key_part);
}

static void
secrets_are_written_only_if_configured(void **state)
{
	const struct torc_tls_config config = {
		.keylog = peer_file("secrets"),
	};
	struct scene scene;
	struct stat found;

	(void)state;
	start(&scene, &config, tell_info, NULL);
	add(&scene, "a.test", "exact");
	assert_int_equal(stat(config.keylog, &found), 0);
	assert_int_equal(found.st_size, 0);
	assert_int_equal(found.st_mode & 0777, 0600);
	/* Also those of another host than the first. */
	ask_info(&scene, CLIENT, "a.test");
	assert_int_equal(stat(config.keylog, &found), 0);
	assert_true(found.st_size > 0);
	stop(&scene);
}

static void
files_that_are_wrong_are_refused_in_words_and_the_old_ones_serve(void **state)
{
	static const struct {
		const char *certificate;
		unsigned part;
		const char *key;
		unsigned key_part;
		const char *words;	/* of the error */
	} cases[] = {
		{ "exact.pem", 100, "wild.key", 100, "live.key: " },
		{ "exact.pem", 100, "rsa.key", 100, "live.key: it is not" },
		{ "exact.pem", 0, "exact.key", 100, "certificate /" },
		{ "exact.pem", 100, "exact.key", 0, "key /" },
		{ "exact.pem", 50, "exact.key", 100, "certificate /" },
		{ "exact.pem", 100, "exact.key", 50, "key /" },
		{ "expired.pem", 100, "expired.key", 100, "it has expired" },
		{ "exact.key", 100, "exact.key", 100, "certificate /" },
		{ "exact.pem", 100, "exact.pem", 100, "key /" },
		{ "exact.pem", 100, "locked.key", 100, "key /" },
	};
	const struct torc_tls_config config = {
		.certificate = peer_file("live.pem"),
		.key = peer_file("live.key"),
	};
	struct torc_error error;
	struct scene scene;
	struct peer peer;

	(void)state;
	set_files("default.pem", 100, "default.key", 100);
	start(&scene, &config, echo_handler, NULL);
	peer_meet(&peer, CLIENT, scene.server.port, NULL);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_files(cases[i].certificate, cases[i].part, cases[i].key,
		    cases[i].key_part);
		assert_int_equal(torc_tls_reload(scene.tls, &error), -EINVAL);
		if (strstr(error.text, cases[i].words) == NULL ||
		    strstr(error.text, "live.") == NULL)
			fail_msg("case %u: %s", i, error.text);
		assert_string_equal(server_of(&scene, CLIENT, NULL),
		    "default");
	}
	assert_int_equal(unlink(peer_file("live.key")), 0);
	assert_int_equal(torc_tls_reload(scene.tls, &error), -ENOENT);
	assert_non_null(strstr(error.text, "live.key: No such file"));
	assert_string_equal(server_of(&scene, CLIENT, NULL), "default");
	/* Good ones are for those that come from now on. */
	set_files("wild.pem", 100, "wild.key", 100);
	assert_int_equal(torc_tls_reload(scene.tls, &error), 0);
	assert_string_equal(server_of(&scene, CLIENT, NULL), "wild");
	peer_echo(&peer, "the old one lives");
	peer_close(&peer);
	stop(&scene);
}

static void
each_of_several_keys_of_a_host_has_to_be_that_of_its_certificate(void **state)
{
	const struct torc_tls_config config = {
		.certificate = peer_file("live.pem"),
		.key = peer_file("live.key"),
	};
	struct torc_error error;
	struct scene scene;

	(void)state;
	set_files("default.pem", 100, "default.key", 100);
	start(&scene, &config, echo_handler, NULL);
	add(&scene, NULL, "rsa");
	/* Which is a good one beside it. */
	set_files("default.pem", 100, "rsa.key", 100);
	assert_int_equal(torc_tls_reload(scene.tls, &error), -EINVAL);
	assert_non_null(strstr(error.text, "live.key: it is not that"));
	assert_string_equal(server_of(&scene, CLIENT, NULL), "default");
	stop(&scene);
}

static void
a_host_that_cannot_be_added_changes_nothing(void **state)
{
	static const char *const names[] = { "", "*", "*.", ".a", "a.*.b" };
	struct torc_error error;
	struct scene scene;

	(void)state;
	start(&scene, NULL, echo_handler, NULL);
	add(&scene, "a.test", "exact");
	assert_int_equal(torc_tls_host_add(scene.tls, "b.test",
	    peer_file("wild.pem"), peer_file("exact.key"), &error), -EINVAL);
	assert_non_null(strstr(error.text, "exact.key: "));
	assert_int_equal(torc_tls_host_add(scene.tls, "a.test",
	    peer_file("none.pem"), NULL, &error), -ENOENT);
	assert_non_null(strstr(error.text, "none.pem: No such file"));
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(torc_tls_host_add(scene.tls, names[i],
		    peer_file("both.pem"), NULL, &error), -EINVAL);
		assert_non_null(strstr(error.text, "must be a name"));
	}
	assert_string_equal(server_of(&scene, CLIENT, "b.test"), "default");
	assert_string_equal(server_of(&scene, CLIENT, "a.test"), "exact");
	assert_int_equal(torc_tls_reload(scene.tls, NULL), 0);
	/* One file may have both. */
	assert_int_equal(torc_tls_host_add(scene.tls, "c.test",
	    peer_file("both.pem"), NULL, &error), 0);
	stop(&scene);
}

static void
a_host_may_be_added_while_others_are_served_and_is_there_once(void **state)
{
	struct scene scene;

	(void)state;
	start(&scene, NULL, echo_handler, NULL);
	assert_string_equal(server_of(&scene, CLIENT, "a.test"), "default");
	peer_file_copy("later.pem", "exact.pem", 100);
	peer_file_copy("later.key", "exact.key", 100);
	add(&scene, "a.test", "later");
	assert_string_equal(server_of(&scene, CLIENT, "a.test"), "exact");
	/* It is known by the names of its files, which are not read again. */
	peer_file_copy("later.pem", "exact.pem", 50);
	add(&scene, "A.test", "later");
	assert_string_equal(server_of(&scene, CLIENT, "a.test"), "exact");
	stop(&scene);
}

/* ---- Configurations ---- */

static int
tell_password(char *text, int size, void *arg)
{
	const int length = (int)strlen(arg);

	if (length > size)
		return -1;
	memcpy(text, arg, (size_t)length);
	return length;
}

static void
refuses(struct torc_tls_config config, int rc, const char *words)
{
	struct torc_error error;
	struct torc_tls *tls = NULL;

	assert_int_equal(torc_tls_create(&tls, &config, &error), rc);
	assert_int_equal(error.code, rc);
	assert_null(tls);
	if (strstr(error.text, words) == NULL)
		fail_msg("%s: %s", words, error.text);
	assert_int_equal(torc_tls_create(&tls, &config, NULL), rc);
}

static void
each_field_that_is_wrong_is_refused_in_words(void **state)
{
	static const char *const empty[] = { "one", "", NULL };
	static char long_name[257];
	const char *const longer[] = { long_name, NULL };
	const struct torc_tls_config good = {
		.certificate = peer_file("both.pem"),
	};
	struct torc_tls_config config = { 0 };

	(void)state;
	memset(long_name, 'x', 256);
	refuses(config, -EINVAL, "certificate is NULL");
	config = good;
	config.certificate = peer_file("none.pem");
	refuses(config, -ENOENT, "none.pem: No such file");
	config = good;
	config.certificate = peer_file("default.pem");
	refuses(config, -EINVAL, "key /");
	config = good;
	config.min_version = (enum torc_tls_version)0x0302;
	refuses(config, -EINVAL, "min_version = 0x302");
	config = good;
	config.protocols = empty;
	refuses(config, -EINVAL, "protocols[1] = \"\"");
	config.protocols = longer;
	refuses(config, -EINVAL, "protocols[0] = \"xxx");
	config = good;
	config.client = TORC_TLS_CLIENT_REQUIRED;
	refuses(config, -EINVAL, "client_ca is NULL");
	config.client_ca = peer_file("none.pem");
	refuses(config, -ENOENT, "client_ca /");
	config.client_ca = peer_file("empty.pem");
	refuses(config, -EINVAL, "client_ca /");
	config = good;
	config.client_ca = peer_file("ca.pem");
	refuses(config, -EINVAL, "client_ca is set");
	config = good;
	config.certificate = peer_file("default.pem");
	config.key = peer_file("locked.key");
	refuses(config, -EINVAL, "locked.key: ");
	config.password = tell_password;
	config.password_arg = (char *)(uintptr_t)"wrong";
	refuses(config, -EINVAL, "locked.key: ");
	config.password_arg = (char *)(uintptr_t)"secret";
	torc_tls_destroy(create(&config));
	torc_tls_destroy(create(&good));
	torc_tls_destroy(NULL);
}

static int
note_info(struct torc_conn *conn, void *arg)
{
	struct torc_tls_info info;

	atomic_store((_Atomic int *)arg, torc_tls_info_read(conn, &info));
	return TORC_CLOSE;
}

static void
a_handler_is_told_what_was_agreed_on(void **state)
{
	static const char *const ours[] = { "one", NULL };
	const struct torc_tls_config config = { .protocols = ours };
	SSL_CTX *context = peer_context(TLS1_2_VERSION, TLS1_2_VERSION);
	_Atomic int result = 1;
	struct server clear;
	struct scene scene;
	int fd;

	(void)state;
	SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\003one", 4);
	start(&scene, &config, tell_info, NULL);
	assert_string_equal(ask_info(&scene, context, "b.test"),
	    "303 ECDHE-ECDSA-AES128-GCM-SHA256 [b.test] [one]");
	assert_string_equal(ask_info(&scene, CLIENT, NULL),
	    "304 TLS_AES_128_GCM_SHA256 [] []");
	stop(&scene);
	SSL_CTX_free(context);
	server_start(&clear, NULL, note_info, &result);
	fd = client_open(clear.port);
	assert_true(client_sees_fin(fd));
	assert_int_equal(atomic_load(&result), -ENOTCONN);
	close(fd);
	assert_int_equal(server_stop(&clear), 0);
}

/* ---- Bytes ---- */

/* Two bytes for each one. */
static int
answer_each(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc;

	(void)arg;
	while ((rc = torc_conn_recv(conn, &in, LATER)) > 0) {
		for (size_t i = 0; rc > 0 && i < in.size; i++)
			if (torc_conn_write(conn, "ok", 2, LATER) < 0)
				rc = -1;
		torc_conn_consume(conn, in.size);
	}
	return rc < 0 ? rc : TORC_CLOSE;
}

static void
answers_of_one_view_share_a_record(void **state)
{
	struct scene scene;
	struct peer peer;

	(void)state;
	start(&scene, NULL, answer_each, NULL);
	peer_meet(&peer, clients[0], scene.server.port, NULL);
	peer.records = 0;
	peer_say(&peer, "0123456789");
	peer_hear(&peer, "okokokokokokokokokok");
	assert_int_equal(peer.records, 1);
	peer_close(&peer);
	stop(&scene);
}

/* Send what waits, as far as there is room. */
static void
send_some(struct peer *peer, unsigned char *bytes, size_t *size, size_t *at)
{
	ssize_t sent;

	if (*at == *size) {
		*size = peer_take(peer, bytes, 32768);
		*at = 0;
	}
	if (*at == *size)
		return;
	sent = send(peer->fd, bytes + *at, *size - *at, MSG_DONTWAIT |
	    MSG_NOSIGNAL);
	if (sent > 0)
		*at += (size_t)sent;
	else
		assert_true(errno == EAGAIN || errno == EINTR);
}

/* All of a stream to a server that echoes it, while it comes back. */
static void
stream_both_ways(struct peer *peer, size_t piece)
{
	static unsigned char bytes[32768], data[65536];
	size_t said = 0, heard = 0, size = 0, at = 0;

	while (heard < LARGE) {
		struct pollfd ready = { .fd = peer->fd, .events = POLLIN };
		int rc;

		if (said < LARGE && BIO_pending(peer->out) == 0) {
			const size_t part = LARGE - said < piece ? LARGE -
			    said : piece;

			stream_fill(1, said, data, part);
			assert_int_equal(SSL_write(peer->ssl, data,
			    (int)part), part);
			said += part;
		}
		send_some(peer, bytes, &size, &at);
		if (at < size || BIO_pending(peer->out) > 0)
			ready.events |= POLLOUT;
		if (said < LARGE || ready.events & POLLOUT)
			rc = poll(&ready, 1, ready.events & POLLOUT ? 10000 :
			    0);
		else
			rc = poll(&ready, 1, 10000);
		assert_true(rc >= 0 || errno == EINTR);
		if (rc > 0 && ready.revents & POLLIN)
			assert_true(peer_receive(peer) > 0);
		ERR_clear_error();
		while ((rc = SSL_read(peer->ssl, data, sizeof(data))) > 0) {
			assert_true(stream_matches(1, heard, data,
			    (size_t)rc));
			heard += (size_t)rc;
		}
		assert_int_equal(SSL_get_error(peer->ssl, rc),
		    SSL_ERROR_WANT_READ);
	}
	assert_int_equal(heard, LARGE);
}

static void
sixteen_mebibytes_go_each_way_at_once(void **state)
{
	static const size_t pieces[] = { 65536, 1000 };
	struct scene scene;

	(void)state;
	start(&scene, NULL, echo_handler, NULL);
	for (unsigned v = 0; v < 2; v++) {
		struct peer peer;

		peer_meet(&peer, clients[v], scene.server.port, NULL);
		stream_both_ways(&peer, pieces[v]);
		peer_close(&peer);
	}
	stop(&scene);
}

#define FILE_SIZE 1000000u

static int
send_file(struct torc_conn *conn, void *arg)
{
	const int fd = open(arg, O_RDONLY | O_CLOEXEC);
	int rc = torc_conn_write(conn, "before ", 7, LATER);

	if (rc == 0)
		rc = torc_file_send(conn, fd, 0, FILE_SIZE, LATER);
	close(fd);
	if (rc == 0)
		rc = torc_conn_write(conn, " behind", 7, LATER);
	return rc < 0 ? rc : TORC_CLOSE;
}

static void
a_file_goes_through_tls(void **state)
{
	unsigned char *bytes = malloc(FILE_SIZE);
	char *path = strdup(peer_file("large"));
	struct scene scene;
	FILE *file = fopen(path, "w");

	(void)state;
	assert_true(bytes != NULL && file != NULL);
	stream_fill(2, 0, bytes, FILE_SIZE);
	assert_int_equal(fwrite(bytes, 1, FILE_SIZE, file), FILE_SIZE);
	fclose(file);
	start(&scene, NULL, send_file, path);
	for (unsigned v = 0; v < 2; v++) {
		struct peer peer;

		memset(bytes, 0, FILE_SIZE);
		peer_meet(&peer, clients[v], scene.server.port, NULL);
		peer_hear(&peer, "before ");
		assert_true(peer_read(&peer, bytes, FILE_SIZE));
		assert_true(stream_matches(2, 0, bytes, FILE_SIZE));
		peer_hear(&peer, " behind");
		assert_int_equal(peer_end(&peer), PEER_SAID);
		peer_close(&peer);
	}
	stop(&scene);
	free(path);
	free(bytes);
}

/* ---- What stays ---- */

/* One that is broken off somewhere, or made and used. */
static void
shake_and_go(struct scene *scene, SSL_CTX *context, uint32_t *dice,
    bool broken)
{
	unsigned char bytes[4096];
	struct peer peer;

	peer_open(&peer, context, scene->server.port, "a.test");
	if (broken) {
		if (throw_dice(dice) % 2 == 0) {
			SSL_do_handshake(peer.ssl);
			peer_send(&peer);
			assert_true(peer_receive(&peer) > 0);
		}
		SSL_do_handshake(peer.ssl);
		client_send(peer.fd, bytes, peer_take(&peer, bytes,
		    1 + throw_dice(dice) % 200));
		if (throw_dice(dice) % 2 == 0)
			client_reset(peer.fd);
		else
			close(peer.fd);
		peer.fd = -1;
	} else {
		assert_true(peer_shake(&peer));
		peer_echo(&peer, "hello");
	}
	SSL_free(peer.ssl);
	if (peer.fd >= 0)
		close(peer.fd);
}

static void
memory_and_descriptors_are_flat_over_handshakes_of_which_some_break_off(
    void **state)
{
	const char *wanted = getenv("TORC_HANDSHAKES");
	const unsigned count = wanted != NULL ? (unsigned)atoi(wanted) :
	    SANITIZED ? 400 : 2000;
	uint32_t dice = new_seed();
	struct scene scene;
	size_t before = 0;
	unsigned fds;

	(void)state;
	start(&scene, NULL, echo_handler, NULL);
	fds = count_fds();
	for (unsigned i = 0; i < count + 300; i++) {
		if (i == 300) {
			assert_true(server_await_connections(&scene.server,
			    0));
			before = exact_resident();
		}
		shake_and_go(&scene, clients[i / 10 % 2], &dice, i % 10 == 0);
	}
	assert_true(server_await_connections(&scene.server, 0));
	assert_true(await_fds(fds));
	/* Had each left its 8 KB behind, that were 16 MB. */
	if (!SANITIZED)
		assert_true(exact_resident() < before + (2u << 20));
	stop(&scene);
}

/* ---- Program ---- */

static int
set_up(void **state)
{
	(void)state;
	OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT |
	    OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	peer_files_make();
	for (unsigned v = 0; v < 2; v++)
		clients[v] = peer_context(versions[v], versions[v]);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 2; v++)
		SSL_CTX_free(clients[v]);
	peer_files_remove();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    every_flight_may_be_cut_at_every_byte_and_a_request_come_along_with_the_last),
		cmocka_unit_test(bytes_that_drip_are_as_good_as_others),
		cmocka_unit_test(
		    a_handler_starts_when_the_handshake_is_done_and_may_speak_first),
		cmocka_unit_test(
		    versions_1_2_and_1_3_are_spoken_and_1_1_is_refused),
		cmocka_unit_test(
		    a_protocol_is_chosen_as_the_server_prefers_and_none_in_common_is_refused),
		cmocka_unit_test(
		    an_exact_name_goes_before_a_wildcard_and_that_before_the_default),
		cmocka_unit_test(those_who_can_are_given_ecdsa_and_others_rsa),
		cmocka_unit_test(full_and_resumed_handshakes_are_counted_apart),
		cmocka_unit_test(
		    a_session_of_one_host_is_not_resumed_at_another),
		cmocka_unit_test(
		    a_ticket_of_one_reactor_is_resumed_on_another_and_after_a_reload),
		cmocka_unit_test(
		    each_handshake_has_one_ticket_and_none_if_so_configured),
		cmocka_unit_test(clients_have_to_say_who_they_are_as_the_server_wants),
		cmocka_unit_test(
		    a_client_that_was_verified_is_so_when_its_session_is_resumed),
		cmocka_unit_test(
		    a_stream_that_is_cut_is_told_from_one_that_ends),
		cmocka_unit_test(
		    an_end_of_the_server_is_said_before_it_comes_also_in_a_drain),
		cmocka_unit_test(
		    an_answer_leaves_after_the_client_has_ended_its_question),
		cmocka_unit_test(
		    an_idle_connection_holds_no_fiber_and_answers_a_change_of_keys),
		cmocka_unit_test(changes_of_keys_without_data_are_bounded),
		cmocka_unit_test(
		    renegotiation_is_refused_and_the_connection_lives),
		cmocka_unit_test(clear_http_is_answered_in_clear),
		cmocka_unit_test(
		    handshakes_that_fail_change_nothing_for_a_connection_beside_them),
		cmocka_unit_test(
		    the_operator_is_told_why_a_handshake_failed_and_not_of_each),
		cmocka_unit_test(
		    a_handshake_that_stands_still_ends_in_time_and_holds_no_fiber),
		cmocka_unit_test(a_record_that_was_changed_ends_its_connection),
		cmocka_unit_test(secrets_are_written_only_if_configured),
		cmocka_unit_test(
		    files_that_are_wrong_are_refused_in_words_and_the_old_ones_serve),
		cmocka_unit_test(
		    each_of_several_keys_of_a_host_has_to_be_that_of_its_certificate),
		cmocka_unit_test(a_host_that_cannot_be_added_changes_nothing),
		cmocka_unit_test(a_host_may_be_added_while_others_are_served_and_is_there_once),
		cmocka_unit_test(each_field_that_is_wrong_is_refused_in_words),
		cmocka_unit_test(a_handler_is_told_what_was_agreed_on),
		cmocka_unit_test(answers_of_one_view_share_a_record),
		cmocka_unit_test(sixteen_mebibytes_go_each_way_at_once),
		cmocka_unit_test(a_file_goes_through_tls),
		cmocka_unit_test(
		    memory_and_descriptors_are_flat_over_handshakes_of_which_some_break_off),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("tls", tests, set_up, tear_down);
}
