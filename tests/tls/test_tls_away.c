/* SPDX-License-Identifier: MIT */
/*
 * test_tls_away.c - steps of handshakes that a thread does. The test can shut
 * the way there: then a thread has the step until it is opened again.
 *
 * wrap: torc_task_start
 */
#include <errno.h>
#include <openssl/err.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "tests/harness.h"
#include "tests/seam.h"
#include "tests/tls/peer.h"

#include "conn/kit/offload.h"
#include "conn/tls/torc_tls.h"

#define MANY 20u

static SSL_CTX *client;

static const char large[] =
    "set -e; cd \"$1\"; exec >said 2>&1\n"
    "openssl req -x509 -newkey rsa:3072 -nodes -subj /CN=large -days 2 \\\n"
    "    -keyout large.key -out large.pem\n";

/* ---- The way to the threads ---- */

static struct {
	_Atomic unsigned begun;		/* steps, since the server's start */
	_Atomic bool shut;
	_Atomic bool closed;		/* there are no threads */
	void (*_Atomic run)(struct torc_task *task);
} way;

static void
run_later(struct torc_task *task)
{
	while (atomic_load(&way.shut))
		pause_ms(1);
	atomic_load(&way.run)(task);
}

int
__wrap_torc_task_start(struct torc_task *task, struct torc_reactor *reactor,
    void (*done)(struct torc_task *task))
{
	if (atomic_load(&way.closed))
		return -EAGAIN;
	atomic_store(&way.run, task->run);
	task->run = run_later;
	atomic_fetch_add(&way.begun, 1);
	return __real_torc_task_start(task, reactor, done);
}

static void
await_steps(unsigned count)
{
	for (unsigned i = 0; i < 5000 && atomic_load(&way.begun) < count; i++)
		pause_ms(1);
	assert_int_equal(atomic_load(&way.begun), count);
}

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
		.key = peer_file(key),
	};
	struct torc_error error;

	if (torc_tls_create(&scene->tls, &how, &error) < 0)
		fail_msg("torc_tls_create: %s", error.text);
	server_start(&scene->server, NULL, echo_handler, NULL);
	server_set_maker(&scene->server,
	    torc_tls_transport(scene->tls));
	atomic_store(&way.begun, 0);
	atomic_store(&way.shut, false);
	atomic_store(&way.closed, false);
}

static void
start_large(struct scene *scene)
{
	start(scene, "large.pem", "large.key");
}

static void
stop(struct scene *scene)
{
	assert_int_equal(server_stop(&scene->server), 0);
	torc_tls_destroy(scene->tls);
}

/* It has said hello, and a thread has the answer. */
static void
send_away(struct scene *scene, struct peer *peer)
{
	const unsigned before = atomic_load(&way.begun);

	atomic_store(&way.shut, true);
	peer_open(peer, client, scene->server.port, NULL);
	SSL_do_handshake(peer->ssl);
	peer_send(peer);
	await_steps(before + 1);
}

/* ---- Tests ---- */

static void
while_a_thread_answers_one_client_others_are_served(void **state)
{
	struct peer early, late;
	struct scene scene;

	(void)state;
	start_large(&scene);
	peer_meet(&early, client, scene.server.port, NULL);
	assert_int_equal(atomic_load(&way.begun), 1);
	send_away(&scene, &late);
	peer_echo(&early, "served");
	peer_echo(&early, "again");
	atomic_store(&way.shut, false);
	assert_true(peer_shake(&late));
	peer_echo(&late, "and so is this one");
	peer_close(&early);
	peer_close(&late);
	stop(&scene);
}

/* A change of ciphers that says nothing (RFC 8446, appendix D.4). */
static const unsigned char nothing[] = { 20, 3, 3, 0, 1, 1 };

static void
what_comes_while_a_thread_answers_is_looked_at_afterwards(void **state)
{
	struct peer good, bad;
	struct scene scene;

	(void)state;
	start_large(&scene);
	send_away(&scene, &good);
	assert_int_equal(send(good.fd, nothing, sizeof(nothing), 0),
	    sizeof(nothing));
	send_away(&scene, &bad);
	assert_int_equal(send(bad.fd, "no record at all", 16, 0), 16);
	pause_ms(20);
	atomic_store(&way.shut, false);
	assert_true(peer_shake(&good));
	peer_echo(&good, "nothing was lost");
	/* Its side of the handshake may be over. */
	if (peer_shake(&bad))
		assert_int_equal(peer_end(&bad), PEER_BROKEN);
	peer_close(&good);
	peer_close(&bad);
	stop(&scene);
}

static void
a_client_that_leaves_while_a_thread_answers_is_forgotten_afterwards(
    void **state)
{
	struct peer gone, reset, there;
	struct scene scene;
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	(void)state;
	start_large(&scene);
	send_away(&scene, &gone);
	peer_close(&gone);
	send_away(&scene, &reset);
	setsockopt(reset.fd, SOL_SOCKET, SO_LINGER, &at_once,
	    sizeof(at_once));
	peer_close(&reset);
	pause_ms(20);
	atomic_store(&way.shut, false);
	assert_true(server_await_connections(&scene.server, 0));
	assert_int_equal(server_counters(&scene.server).handshakes_failed, 2);
	peer_meet(&there, client, scene.server.port, NULL);
	peer_echo(&there, "served");
	peer_close(&there);
	stop(&scene);
}

static void *
open_in_a_while(void *arg)
{
	pause_ms(50);
	atomic_store(&way.shut, false);
	return arg;
}

static void
a_stop_and_a_drain_end_when_the_thread_has_answered(void **state)
{
	(void)state;
	for (unsigned drains = 0; drains < 2; drains++) {
		struct peer peer;
		struct scene scene;
		pthread_t thread;

		start_large(&scene);
		send_away(&scene, &peer);
		assert_int_equal(pthread_create(&thread, NULL,
		    open_in_a_while, NULL), 0);
		assert_int_equal(drains > 0 ? server_drain(&scene.server, 10) :
		    server_stop(&scene.server), 0);
		/* No sooner. */
		assert_false(atomic_load(&way.shut));
		pthread_join(thread, NULL);
		torc_tls_destroy(scene.tls);
		peer_close(&peer);
	}
}

static void
without_a_thread_the_loop_answers(void **state)
{
	struct peer peer;
	struct scene scene;

	(void)state;
	start_large(&scene);
	atomic_store(&way.closed, true);
	peer_meet(&peer, client, scene.server.port, NULL);
	peer_echo(&peer, "served");
	peer_close(&peer);
	stop(&scene);
}

static void
a_thread_that_fails_ends_the_handshake_with_an_alert(void **state)
{
	struct peer peer;
	struct scene scene;

	(void)state;
	start_large(&scene);
	peer_open(&peer, client, scene.server.port, NULL);
	SSL_set_max_proto_version(peer.ssl, TLS1_2_VERSION);
	SSL_set_cipher_list(peer.ssl, "ECDHE-ECDSA-AES128-GCM-SHA256");
	assert_false(peer_shake(&peer));
	assert_int_equal(ERR_GET_REASON(ERR_peek_error()),
	    SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE);
	assert_int_equal(atomic_load(&way.begun), 1);
	peer_close(&peer);
	peer_meet(&peer, client, scene.server.port, NULL);
	peer_close(&peer);
	stop(&scene);
}

static void
a_client_that_is_asked_to_say_hello_again_goes_twice(void **state)
{
	struct peer peer;
	struct scene scene;

	(void)state;
	start_large(&scene);
	peer_open(&peer, client, scene.server.port, NULL);
	assert_int_equal(SSL_set1_groups_list(peer.ssl, "P-521:P-256"), 1);
	assert_true(peer_shake(&peer));
	peer_echo(&peer, "served");
	assert_int_equal(atomic_load(&way.begun), 2);
	peer_close(&peer);
	stop(&scene);
}

static void
handshakes_without_a_slow_signature_stay_on_the_loop(void **state)
{
	SSL_SESSION *session;
	struct peer peer;
	struct scene scene;

	(void)state;
	start(&scene, "default.pem", "default.key");
	peer_meet(&peer, client, scene.server.port, NULL);
	peer_close(&peer);
	assert_int_equal(atomic_load(&way.begun), 0);
	stop(&scene);
	start(&scene, "rsa.pem", "rsa.key");
	peer_meet(&peer, client, scene.server.port, NULL);
	peer_close(&peer);
	assert_int_equal(atomic_load(&way.begun), 0);
	stop(&scene);
	start_large(&scene);
	peer_meet(&peer, client, scene.server.port, NULL);
	peer_echo(&peer, "with its ticket");
	session = SSL_get1_session(peer.ssl);
	peer_close(&peer);
	peer_open(&peer, client, scene.server.port, NULL);
	SSL_set_session(peer.ssl, session);
	SSL_SESSION_free(session);
	assert_true(peer_shake(&peer));
	assert_int_equal(SSL_session_reused(peer.ssl), 1);
	assert_int_equal(atomic_load(&way.begun), 1);
	peer_close(&peer);
	stop(&scene);
}

static void
when_many_come_threads_sign_for_them(void **state)
{
	struct peer peers[MANY];
	struct scene scene;
	struct hold hold;

	(void)state;
	start(&scene, "rsa.pem", "rsa.key");
	for (unsigned i = 0; i < MANY; i++)
		peer_open(&peers[i], client, scene.server.port, NULL);
	assert_true(server_await_connections(&scene.server, MANY));
	server_hold_up(&scene.server, &hold);
	for (unsigned i = 0; i < MANY; i++) {
		SSL_do_handshake(peers[i].ssl);
		peer_send(&peers[i]);
	}
	server_let_go(&hold);
	for (unsigned i = 0; i < MANY; i++) {
		assert_true(peer_shake(&peers[i]));
		peer_echo(&peers[i], "served");
		peer_close(&peers[i]);
	}
	assert_true(atomic_load(&way.begun) > 0);
	stop(&scene);
}

static int
set_up(void **state)
{
	(void)state;
	OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT |
	    OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	peer_files_make();
	peer_files_add(large);
	client = peer_context(TLS1_2_VERSION, TLS1_3_VERSION);
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
		    while_a_thread_answers_one_client_others_are_served),
		cmocka_unit_test(
		    what_comes_while_a_thread_answers_is_looked_at_afterwards),
		cmocka_unit_test(
	    a_client_that_leaves_while_a_thread_answers_is_forgotten_afterwards),
		cmocka_unit_test(
		    a_stop_and_a_drain_end_when_the_thread_has_answered),
		cmocka_unit_test(without_a_thread_the_loop_answers),
		cmocka_unit_test(
		    a_thread_that_fails_ends_the_handshake_with_an_alert),
		cmocka_unit_test(
		    a_client_that_is_asked_to_say_hello_again_goes_twice),
		cmocka_unit_test(
		    handshakes_without_a_slow_signature_stay_on_the_loop),
		cmocka_unit_test(when_many_come_threads_sign_for_them),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("tls_away", tests, set_up,
	    tear_down);
}
