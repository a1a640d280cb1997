/* SPDX-License-Identifier: MIT */
/*
 * test_tls_proofs.c - TLS at length: sessions from reactor to reactor, files
 * that are read again under load, a drain in the midst of handshakes, and a
 * chain of large certificates.
 */
#include <openssl/err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/tls/peer.h"

#include "conn/tls/torc_tls.h"

#define LATER torc_after_ms(5000)
#define SESSIONS 100u
/* 5 ms apart; TORC_RELOADS of the environment, if that is more: 100 ms. */
#define RELOADS 50u

static SSL_CTX *client;

/* Root, two between, and the server's: of 4096 bits each. */
static const char chain[] =
    "set -e; cd \"$1\"; exec >said 2>&1\n"
    "openssl req -x509 -newkey rsa:4096 -nodes -subj /CN=one -days 2 \\\n"
    "    -keyout one.key -out one.pem\n"
    "below() {\n"	/* below NAME BY EXTENSION */
    "	openssl req -newkey rsa:4096 -nodes -subj /CN=$1 -keyout $1.key \\\n"
    "	    -out $1.csr\n"
    "	echo \"$3\" >$1.ext\n"
    "	openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key \\\n"
    "	    -CAcreateserial -days 2 -extfile $1.ext -out $1.pem\n"
    "}\n"
    "below two one basicConstraints=critical,CA:TRUE\n"
    "below three two basicConstraints=critical,CA:TRUE\n"
    "below four three subjectAltName=DNS:four.test\n"
    "cat four.pem three.pem two.pem one.pem four.key >chain.pem\n";

/* ---- Servers ---- */

struct scene {
	struct torc_tls *tls;
	struct server server;
};

static void
start(struct scene *scene, const char *certificate, const char *key)
{
	const struct torc_tls_config how = {
		.certificate = peer_file(certificate),
		.key = key != NULL ? peer_file(key) : NULL,
	};
	struct torc_error error;

	if (torc_tls_create(&scene->tls, &how, &error) < 0)
		fail_msg("torc_tls_create: %s", error.text);
	server_start(&scene->server, NULL, echo_handler, NULL);
	server_set_maker(&scene->server,
	    torc_tls_transport(scene->tls));
}

static void
stop(struct scene *scene)
{
	assert_int_equal(server_stop(&scene->server), 0);
	torc_tls_destroy(scene->tls);
}

/* One visit with a session, which may be NULL; `*session` is the next one. */
static bool
resumes(unsigned port, SSL_SESSION **session)
{
	struct peer peer;
	bool resumed;

	peer_open(&peer, client, port, NULL);
	if (*session != NULL)
		SSL_set_session(peer.ssl, *session);
	assert_true(peer_shake(&peer));
	peer_echo(&peer, "hello");
	resumed = SSL_session_reused(peer.ssl) == 1;
	SSL_SESSION_free(*session);
	*session = SSL_get1_session(peer.ssl);
	peer_close(&peer);
	return resumed;
}

/* ---- Tests ---- */

static void
a_hundred_sessions_of_a_hundred_are_resumed_on_another_reactor(void **state)
{
	SSL_SESSION *session = NULL;
	unsigned resumed = 0;
	struct scene scene;
	struct server other;

	(void)state;
	start(&scene, "default.pem", "default.key");
	server_start(&other, NULL, echo_handler, NULL);
	server_set_maker(&other,
	    torc_tls_transport(scene.tls));
	assert_false(resumes(scene.server.port, &session));
	for (unsigned i = 0; i < SESSIONS; i++)
		resumed += resumes(i % 2 == 0 ? other.port :
		    scene.server.port, &session);
	assert_int_equal(resumed, SESSIONS);
	SSL_SESSION_free(session);
	assert_int_equal(server_stop(&other), 0);
	stop(&scene);
}

struct reloading {
	struct torc_tls *tls;
	unsigned wanted;
	_Atomic unsigned done;
	_Atomic int rc;
};

static void *
reload_often(void *arg)
{
	struct reloading *reloading = arg;

	for (unsigned i = 0; i < reloading->wanted; i++) {
		const int rc = torc_tls_reload(reloading->tls, NULL);

		if (rc < 0)
			atomic_store(&reloading->rc, rc);
		atomic_fetch_add(&reloading->done, 1);
		pause_ms(reloading->wanted > RELOADS ? 100 : 5);
	}
	return NULL;
}

static void
files_read_again_and_again_under_load_cost_nobody_anything(void **state)
{
	const char *wanted = getenv("TORC_RELOADS");
	struct reloading reloading = {
		.wanted = wanted != NULL ? (unsigned)atoi(wanted) : RELOADS,
	};
	SSL_SESSION *session = NULL;
	struct scene scene;
	struct peer kept;
	pthread_t thread;

	(void)state;
	start(&scene, "default.pem", "default.key");
	reloading.tls = scene.tls;
	peer_meet(&kept, client, scene.server.port, NULL);
	assert_false(resumes(scene.server.port, &session));
	assert_int_equal(pthread_create(&thread, NULL, reload_often,
	    &reloading), 0);
	while (atomic_load(&reloading.done) < reloading.wanted) {
		assert_true(resumes(scene.server.port, &session));
		peer_echo(&kept, "still here");
	}
	pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&reloading.rc), 0);
	SSL_SESSION_free(session);
	peer_close(&kept);
	stop(&scene);
}

/* Sends the first `part` percent of its hello. */
static void
begin(struct peer *peer, unsigned port, unsigned part)
{
	unsigned char hello[4096];
	size_t size;

	peer_open(peer, client, port, NULL);
	SSL_do_handshake(peer->ssl);
	size = peer_take(peer, hello, sizeof(hello));
	if (part > 0)
		client_send(peer->fd, hello, size * part / 100);
}

static void
a_drain_in_the_midst_of_handshakes_ends(void **state)
{
	static const unsigned parts[] = { 0, 1, 50, 100 };
	struct scene scene;
	struct peer peers[4], idle;

	(void)state;
	start(&scene, "default.pem", "default.key");
	peer_meet(&idle, client, scene.server.port, NULL);
	for (unsigned i = 0; i < 4; i++)
		begin(&peers[i], scene.server.port, parts[i]);
	/* The last one has had its answer, and says no more. */
	assert_true(peer_receive(&peers[3]) > 0);
	assert_true(server_await_connections(&scene.server, 5));
	assert_int_equal(server_drain(&scene.server, 2000), 0);
	assert_int_equal(peer_end(&idle), PEER_SAID);
	for (unsigned i = 0; i < 4; i++)
		peer_close(&peers[i]);
	peer_close(&idle);
	torc_tls_destroy(scene.tls);
}

static int
dial_the_last(void *arg)
{
	const struct torc_tls_client_config how = {
		.ca = peer_file("one.pem"),
	};
	struct torc_tls_client *trusting;
	struct torc_error error = { 0 };
	struct torc_conn *conn;
	struct torc_slice in;
	char address[32];
	int rc;

	snprintf(address, sizeof(address), "127.0.0.1:%u", *(unsigned *)arg);
	rc = torc_tls_client_create(&trusting, &how, &error);
	if (rc < 0)
		return rc;
	rc = torc_dial(&conn, address, LATER);
	if (rc == 0) {
		rc = torc_tls_dial_begin(conn, trusting, "four.test", &error,
		    torc_after_ms(30000));
		if (rc == 0)
			rc = torc_conn_write(conn, "deep", 4, LATER);
		if (rc == 0)
			rc = torc_conn_recv(conn, &in, torc_after_ms(30000));
		torc_conn_close(conn, TORC_AT_ONCE);
	}
	torc_tls_client_destroy(trusting);
	return rc;
}

/* On the stack of a fiber the client, on the loop's the server. */
static void
a_chain_of_four_large_certificates_fits_on_the_stacks(void **state)
{
	struct scene scene;
	unsigned port;

	(void)state;
	peer_files_add(chain);
	start(&scene, "chain.pem", NULL);
	port = scene.server.port;
	assert_int_equal(server_fiber(&scene.server, dial_the_last, &port), 4);
	stop(&scene);
}

static int
set_up(void **state)
{
	(void)state;
	OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT |
	    OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	peer_files_make();
	client = peer_context(TLS1_3_VERSION, TLS1_3_VERSION);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	SSL_CTX_free(client);
	peer_files_remove();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_hundred_sessions_of_a_hundred_are_resumed_on_another_reactor),
		cmocka_unit_test(
		    files_read_again_and_again_under_load_cost_nobody_anything),
		cmocka_unit_test(a_drain_in_the_midst_of_handshakes_ends),
		cmocka_unit_test(
		    a_chain_of_four_large_certificates_fits_on_the_stacks),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("tls_proofs", tests, set_up,
	    tear_down);
}
