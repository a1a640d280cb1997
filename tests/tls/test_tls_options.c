/* SPDX-License-Identifier: MIT */
/*
 * test_tls_options.c - what a server's context may be told: who was revoked,
 * whose tickets are taken, how many shake hands at a time; and what it tells of
 * a client, and in which pieces it sends.
 *
 * wrap: torc_sys_now
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/seam.h"
#include "tests/tls/peer.h"

#include "conn/tls/torc_tls.h"

#define LATER torc_after_ms(5000)
#define BODY 262144u

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

/* The clock of the program runs ahead by so much. */
static _Atomic uint64_t ahead_ns;

uint64_t
__wrap_torc_sys_now(void)
{
	return __real_torc_sys_now() + atomic_load(&ahead_ns);
}

/* The first client, and with `all` the second, too, is revoked; or none. */
static const char lists[] =
    "set -e; cd \"$1\"; exec >said 2>&1\n"
    "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \\\n"
    "    -subj '/O=A, \"B\"/CN=second' -keyout second.key -out second.csr\n"
    "openssl x509 -req -in second.csr -CA ca.pem -CAkey ca.key \\\n"
    "    -CAcreateserial -days 30 -out second.pem\n"
    "printf '[ca]\\ndefault_ca=c\\n[c]\\ndatabase=index\\n' >ca.cnf\n"
    "printf 'default_md=sha256\\ndefault_crl_days=30\\n' >>ca.cnf\n"
    "listed() { openssl ca -config ca.cnf -cert ca.pem -keyfile ca.key \\\n"
    "    -gencrl -out $1.crl; }\n"
    ": >index; listed none\n"
    "openssl ca -config ca.cnf -cert ca.pem -keyfile ca.key -gencrl \\\n"
    "    -crlsec 1 -out old.crl; sleep 2\n"
    "openssl ca -config ca.cnf -cert ca.pem -keyfile ca.key \\\n"
    "    -revoke client.pem\n"
    "listed first\n";

/* ---- Servers ---- */

struct scene {
	struct torc_tls *tls;
	struct server server;
};

static int
create(struct torc_tls **tls, struct torc_tls_config config,
    struct torc_error *error)
{
	config.certificate = peer_file("default.pem");
	config.key = peer_file("default.key");
	return torc_tls_create(tls, &config, error);
}

static void
start(struct scene *scene, const struct torc_tls_config *config,
    torc_handler *handler)
{
	struct torc_error error;

	if (create(&scene->tls, *config, &error) < 0)
		fail_msg("torc_tls_create: %s", error.text);
	server_start(&scene->server, NULL, handler, NULL);
	server_set_maker(&scene->server,
	    torc_tls_transport(scene->tls));
}

static void
stop(struct scene *scene)
{
	assert_int_equal(server_stop(&scene->server), 0);
	torc_tls_destroy(scene->tls);
}

/* Such a configuration is refused, and these words are among those why. */
static void
assert_refused(const struct torc_tls_config *config, const char *words)
{
	struct torc_error error = { 0 };
	struct torc_tls *tls;

	if (create(&tls, *config, &error) == 0)
		fail_msg("not refused: %s", words);
	if (strstr(error.text, words) == NULL)
		fail_msg("\"%s\" is not in: %s", words, error.text);
}

static void
write_file(const char *name, const void *data, size_t size)
{
	FILE *file = fopen(peer_file(name), "w");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

/* ---- Clients ---- */

/* With a certificate, if `name` is not NULL. */
static SSL_CTX *
client_of(int version, const char *name)
{
	SSL_CTX *context = peer_context(version, version);
	char file[64];

	if (name == NULL)
		return context;
	snprintf(file, sizeof(file), "%s.pem", name);
	assert_int_equal(SSL_CTX_use_certificate_file(context,
	    peer_file(file), SSL_FILETYPE_PEM), 1);
	snprintf(file, sizeof(file), "%s.key", name);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(context,
	    peer_file(file), SSL_FILETYPE_PEM), 1);
	return context;
}

/* One connection: false if it is refused. `*session` is used, and replaced. */
static bool
visit(unsigned port, SSL_CTX *context, SSL_SESSION **session, bool *resumed)
{
	struct peer peer;
	char text[2];
	bool served;

	peer_open(&peer, context, port, NULL);
	if (*session != NULL)
		SSL_set_session(peer.ssl, *session);
	served = peer_shake(&peer);
	if (served)
		peer_say(&peer, "hi");
	served = served && peer_read(&peer, text, 2);
	*resumed = SSL_session_reused(peer.ssl) == 1;
	SSL_SESSION_free(*session);
	*session = served ? SSL_get1_session(peer.ssl) : NULL;
	peer_close(&peer);
	return served;
}

static bool
is_served(unsigned port, int version, const char *name)
{
	SSL_CTX *context = client_of(version, name);
	SSL_SESSION *session = NULL;
	bool resumed;
	const bool served = visit(port, context, &session, &resumed);

	SSL_SESSION_free(session);
	SSL_CTX_free(context);
	return served;
}

/* ---- Revoked ---- */

static void
a_client_that_was_revoked_is_refused_after_a_reload_and_not_resumed(
    void **state)
{
	for (unsigned v = 0; v < 2; v++) {
		const struct torc_tls_config config = {
			.client = TORC_TLS_CLIENT_REQUIRED,
			.client_ca = peer_file("ca.pem"),
			.client_crl = peer_file("now.crl"),
		};
		SSL_CTX *first = client_of(versions[v], "client");
		SSL_SESSION *session = NULL;
		struct scene scene;
		bool resumed;

		(void)state;
		peer_file_copy("now.crl", "none.crl", 100);
		start(&scene, &config, echo_handler);
		assert_true(visit(scene.server.port, first, &session,
		    &resumed));
		assert_true(visit(scene.server.port, first, &session,
		    &resumed));
		assert_true(resumed);
		peer_file_copy("now.crl", "first.crl", 100);
		assert_int_equal(torc_tls_reload(scene.tls, NULL), 0);
		assert_false(visit(scene.server.port, first, &session,
		    &resumed));
		assert_false(resumed);
		assert_true(is_served(scene.server.port, versions[v],
		    "second"));
		SSL_SESSION_free(session);
		SSL_CTX_free(first);
		stop(&scene);
	}
}

static void
a_list_of_the_revoked_that_is_wrong_is_refused_in_words(void **state)
{
	struct torc_tls_config config = {
		.client = TORC_TLS_CLIENT_REQUIRED,
		.client_ca = peer_file("ca.pem"),
		.client_crl = peer_file("now.crl"),
	};
	struct torc_error error = { 0 };
	struct scene scene;

	(void)state;
	peer_file_copy("now.crl", "none.crl", 100);
	start(&scene, &config, echo_handler);
	peer_file_copy("now.crl", "none.crl", 50);
	assert_true(torc_tls_reload(scene.tls, &error) < 0);
	assert_non_null(strstr(error.text, "client_crl "));
	/* The old one is in use. */
	assert_true(is_served(scene.server.port, versions[1], "client"));
	stop(&scene);
	config.client_crl = peer_file("missing.crl");
	assert_refused(&config, "No such file");
	config.client_crl = peer_file("empty.pem");
	assert_refused(&config, "client_crl ");
	config.client_crl = peer_file("old.crl");
	assert_refused(&config, "has expired");
	config.client_crl = peer_file("none.crl");
	config.client_ca = NULL;
	config.client = TORC_TLS_CLIENT_UNASKED;
	assert_refused(&config, "client_crl is set, and client_ca is NULL");
}

/* ---- Tickets ---- */

static void
machines_with_the_same_keys_resume_each_other_s_sessions(void **state)
{
	static const unsigned sizes[] = { 80, 48 };
	const struct torc_tls_config ours = {
		.ticket_keys = peer_file("ours.keys"),
	};
	const struct torc_tls_config theirs = {
		.ticket_keys = peer_file("theirs.keys"),
	};
	char keys[160];

	(void)state;
	for (unsigned i = 0; i < sizeof(keys); i++)
		keys[i] = (char)(i * 7);
	for (unsigned i = 0; i < 4; i++) {
		const unsigned size = sizes[i / 2];
		SSL_CTX *context = client_of(versions[i % 2], NULL);
		SSL_SESSION *session = NULL;
		struct scene here, there;
		bool resumed;

		write_file("ours.keys", keys, size);
		write_file("theirs.keys", keys, size);
		start(&here, &ours, echo_handler);
		start(&there, &theirs, echo_handler);
		visit(here.server.port, context, &session, &resumed);
		assert_false(resumed);
		visit(there.server.port, context, &session, &resumed);
		assert_true(resumed);
		/* A new key there, and the old one behind it. */
		memmove(keys + size, keys, size);
		keys[0]++;
		keys[20]++;
		write_file("theirs.keys", keys, 2 * size);
		assert_int_equal(torc_tls_reload(there.tls, NULL), 0);
		visit(there.server.port, context, &session, &resumed);
		assert_true(resumed);
		/* What it gave instead is of the new one. */
		visit(here.server.port, context, &session, &resumed);
		assert_false(resumed);
		SSL_SESSION_free(session);
		SSL_CTX_free(context);
		stop(&there);
		stop(&here);
	}
}

static void
keys_of_tickets_that_are_wrong_are_refused_in_words_and_the_old_ones_stay(
    void **state)
{
	struct torc_tls_config config = {
		.ticket_keys = peer_file("ours.keys"),
	};
	SSL_CTX *context = client_of(versions[1], NULL);
	struct torc_error error = { 0 };
	SSL_SESSION *session = NULL;
	struct scene scene;
	char keys[1000] = { 1 };
	bool resumed;

	(void)state;
	write_file("ours.keys", keys, 80);
	start(&scene, &config, echo_handler);
	visit(scene.server.port, context, &session, &resumed);
	write_file("ours.keys", keys, 79);
	assert_int_equal(torc_tls_reload(scene.tls, &error), -EINVAL);
	assert_non_null(strstr(error.text, "it has 79 bytes"));
	visit(scene.server.port, context, &session, &resumed);
	assert_true(resumed);
	stop(&scene);
	write_file("ours.keys", keys, 0);
	assert_refused(&config, "it has 0 bytes");
	write_file("ours.keys", keys, 9 * 80);
	assert_refused(&config, "must be 1 to 8 keys");
	config.ticket_keys = peer_file("missing.keys");
	assert_refused(&config, "No such file");
	config.no_tickets = true;
	assert_refused(&config, "ticket_keys is set, and so is no_tickets");
	SSL_SESSION_free(session);
	SSL_CTX_free(context);
}

/* Twelve hours later. */
static void
let_keys_turn(void)
{
	atomic_fetch_add(&ahead_ns, 12ull * 3600 * 1000000000 + 1);
}

static void
keys_of_tickets_turn_and_those_of_two_turns_ago_are_the_last(void **state)
{
	const struct torc_tls_config config = { .no_tickets = false };
	SSL_CTX *context = client_of(versions[0], NULL);
	SSL_SESSION *session = NULL, *kept;
	struct scene scene;
	bool resumed;

	(void)state;
	SSL_CTX_set_timeout(context, 1000000);
	start(&scene, &config, echo_handler);
	visit(scene.server.port, context, &session, &resumed);
	kept = SSL_SESSION_dup(session);
	for (unsigned turns = 1; turns <= 3; turns++) {
		SSL_SESSION *old = SSL_SESSION_dup(kept);

		let_keys_turn();
		/* Its own is renewed as it goes. */
		visit(scene.server.port, context, &session, &resumed);
		assert_true(resumed);
		visit(scene.server.port, context, &old, &resumed);
		assert_int_equal(resumed, turns <= 2);
		SSL_SESSION_free(old);
	}
	SSL_SESSION_free(kept);
	SSL_SESSION_free(session);
	SSL_CTX_free(context);
	stop(&scene);
}

/* ---- Handshakes ---- */

static void
handshakes_beyond_their_limit_are_closed_and_others_are_not(void **state)
{
	const struct torc_tls_config config = { .handshakes_max = 2 };
	SSL_CTX *context = client_of(versions[1], NULL);
	struct scene scene;
	struct peer good;
	int silent[2], more;

	(void)state;
	start(&scene, &config, echo_handler);
	peer_meet(&good, context, scene.server.port, NULL);
	/* It is done for the server, too. */
	peer_echo(&good, "first");
	for (unsigned i = 0; i < 2; i++)
		silent[i] = client_open(scene.server.port);
	assert_true(server_await_connections(&scene.server, 3));
	more = client_open(scene.server.port);
	assert_true(client_sees_fin(more));
	close(more);
	peer_echo(&good, "established");
	close(silent[0]);
	assert_true(server_await_connections(&scene.server, 2));
	assert_true(is_served(scene.server.port, versions[1], NULL));
	close(silent[1]);
	peer_close(&good);
	SSL_CTX_free(context);
	stop(&scene);
}

/* ---- What is told ---- */

static int
tell_peer(struct torc_conn *conn, void *arg)
{
	struct torc_tls_info info;
	struct torc_slice in;
	char text[256];
	int rc = torc_conn_recv(conn, &in, LATER), size;

	(void)arg;
	if (rc <= 0 || torc_tls_info_read(conn, &info) < 0 ||
	    torc_tls_info_read(conn, &info) < 0)
		return -1;
	size = snprintf(text, sizeof(text), "%s %02x%02x\n",
	    info.subject != NULL ? info.subject : "nobody",
	    info.fingerprint != NULL ? info.fingerprint[0] : 0,
	    info.fingerprint != NULL ? info.fingerprint[31] : 0);
	rc = torc_conn_write(conn, text, (size_t)size, LATER);
	return rc < 0 ? -1 : TORC_CLOSE;
}

static void
a_handler_is_told_whom_a_certificate_names_and_its_fingerprint(void **state)
{
	const struct torc_tls_config config = {
		.client = TORC_TLS_CLIENT_ASKED,
		.client_ca = peer_file("ca.pem"),
	};
	SSL_CTX *named = client_of(versions[1], "second");
	SSL_CTX *nobody = client_of(versions[1], NULL);
	uint8_t sum[SHA256_DIGEST_LENGTH];
	char line[256], expected[256];
	struct scene scene;
	struct peer peer;

	(void)state;
	start(&scene, &config, tell_peer);
	peer_meet(&peer, named, scene.server.port, NULL);
	peer_say(&peer, "?");
	assert_true(peer_line(&peer, line, sizeof(line)));
	assert_int_equal(X509_digest(SSL_CTX_get0_certificate(named),
	    EVP_sha256(), sum, NULL), 1);
	snprintf(expected, sizeof(expected),
	    "CN=second,O=A\\, \\\"B\\\" %02x%02x", sum[0], sum[31]);
	assert_string_equal(line, expected);
	peer_close(&peer);
	peer_meet(&peer, nobody, scene.server.port, NULL);
	peer_say(&peer, "?");
	assert_true(peer_line(&peer, line, sizeof(line)));
	assert_string_equal(line, "nobody 0000");
	peer_close(&peer);
	SSL_CTX_free(named);
	SSL_CTX_free(nobody);
	stop(&scene);
}

/* ---- Records ---- */

static int
send_body(struct torc_conn *conn, void *arg)
{
	static char body[BODY];
	struct torc_slice in;
	int rc;

	(void)arg;
	while ((rc = torc_conn_recv(conn, &in, LATER)) > 0) {
		torc_conn_consume(conn, in.size);
		rc = torc_conn_write(conn, body, sizeof(body), LATER);
		if (rc < 0)
			return -1;
	}
	return rc < 0 ? -1 : TORC_CLOSE;
}

/* Ask for one: how many bytes came in small records first, the largest. */
static size_t
size_of_small(struct peer *peer, unsigned *largest)
{
	size_t whole = 0, small = 0;

	*largest = 0;
	peer_say(peer, "?");
	while (whole < BODY) {
		unsigned char header[5], body[17000];
		unsigned size;

		assert_true(client_read(peer->fd, header, 5));
		size = (unsigned)header[3] << 8 | header[4];
		assert_true(size <= sizeof(body));
		assert_true(client_read(peer->fd, body, size));
		/* Of 1.3: a tag, and the kind. */
		whole += size - 17;
		if (*largest <= 1400 && size <= 1400)
			small = whole;
		if (size > *largest)
			*largest = size;
	}
	return small;
}

static void
records_are_small_in_the_beginning_and_after_a_rest(void **state)
{
	const struct torc_tls_config config = { .no_tickets = true };
	SSL_CTX *context = client_of(versions[1], NULL);
	struct scene scene;
	struct peer peer;
	unsigned largest;

	(void)state;
	start(&scene, &config, send_body);
	peer_meet(&peer, context, scene.server.port, NULL);
	assert_true(size_of_small(&peer, &largest) >= 65536);
	assert_true(largest > 8000);
	pause_ms(1100);
	assert_true(size_of_small(&peer, &largest) >= 65536);
	peer_close(&peer);
	SSL_CTX_free(context);
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
	peer_files_add(lists);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	peer_files_remove();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_client_that_was_revoked_is_refused_after_a_reload_and_not_resumed),
		cmocka_unit_test(
		    a_list_of_the_revoked_that_is_wrong_is_refused_in_words),
		cmocka_unit_test(
		    machines_with_the_same_keys_resume_each_other_s_sessions),
		cmocka_unit_test(
		    keys_of_tickets_that_are_wrong_are_refused_in_words_and_the_old_ones_stay),
		cmocka_unit_test(
		    keys_of_tickets_turn_and_those_of_two_turns_ago_are_the_last),
		cmocka_unit_test(
		    handshakes_beyond_their_limit_are_closed_and_others_are_not),
		cmocka_unit_test(
		    a_handler_is_told_whom_a_certificate_names_and_its_fingerprint),
		cmocka_unit_test(
		    records_are_small_in_the_beginning_and_after_a_rest),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("tls_options", tests, set_up,
	    tear_down);
}
