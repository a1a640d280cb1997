/* SPDX-License-Identifier: MIT */
/*
 * test_tls_burst.c - many handshakes at once: who pays for them. OpenSSL's
 * signatures are counted: this program's function is called instead of its own.
 */
#include <dlfcn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/tls/peer.h"

#include "conn/tls/torc_tls.h"

#define MANY 20u

static SSL_CTX *client;

/* ---- Signatures ---- */

static _Atomic unsigned signatures;

__attribute__((visibility("default"))) int
EVP_DigestSign(EVP_MD_CTX *context, unsigned char *out, size_t *size,
    const unsigned char *data, size_t data_size)
{
	static int (*real)(EVP_MD_CTX *, unsigned char *, size_t *,
	    const unsigned char *, size_t);

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "EVP_DigestSign");
	if (out != NULL)
		atomic_fetch_add(&signatures, 1);
	return real(context, out, size, data, data_size);
}

/* ---- Servers ---- */

struct scene {
	struct torc_tls *tls;
	struct server server;
};

static void
start(struct scene *scene)
{
	const struct torc_tls_config how = {
		.certificate = peer_file("rsa.pem"),
		.key = peer_file("rsa.key"),
	};
	struct torc_error error;

	if (torc_tls_create(&scene->tls, &how, &error) < 0)
		fail_msg("torc_tls_create: %s", error.text);
	server_start(&scene->server, NULL, echo_handler, NULL);
	server_set_maker(&scene->server,
	    torc_tls_transport(scene->tls));
	atomic_store(&signatures, 0);
}

static void
stop(struct scene *scene)
{
	assert_int_equal(server_stop(&scene->server), 0);
	torc_tls_destroy(scene->tls);
}

/* ---- Tests ---- */

static void
clients_that_left_cost_no_signature(void **state)
{
	struct peer gone[MANY], there;
	struct scene scene;
	struct hold hold;

	(void)state;
	start(&scene);
	for (unsigned i = 0; i < MANY; i++)
		peer_open(&gone[i], client, scene.server.port, NULL);
	peer_open(&there, client, scene.server.port, NULL);
	assert_true(server_await_connections(&scene.server, MANY + 1));
	server_hold_up(&scene.server, &hold);
	for (unsigned i = 0; i < MANY; i++) {
		SSL_do_handshake(gone[i].ssl);
		peer_send(&gone[i]);
		peer_close(&gone[i]);
	}
	server_let_go(&hold);
	assert_true(server_await_connections(&scene.server, 1));
	assert_int_equal(atomic_load(&signatures), 0);
	assert_true(peer_shake(&there));
	peer_echo(&there, "signed");
	assert_int_equal(atomic_load(&signatures), 1);
	peer_close(&there);
	stop(&scene);
}

static void
a_burst_of_clients_is_served_to_the_last(void **state)
{
	struct peer peers[MANY];
	struct scene scene;
	struct hold hold;

	(void)state;
	start(&scene);
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
	assert_int_equal(atomic_load(&signatures), MANY);
	stop(&scene);
}

static int
set_up(void **state)
{
	(void)state;
	OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT |
	    OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	peer_files_make();
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
		cmocka_unit_test(clients_that_left_cost_no_signature),
		cmocka_unit_test(a_burst_of_clients_is_served_to_the_last),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("tls_burst", tests, set_up,
	    tear_down);
}
