/* SPDX-License-Identifier: MIT */
/*
 * test_tls_counts.c - what the statistics say of handshakes: why they failed,
 * and what was agreed on in those that did not.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/tls/peer.h"
#include "tests/tls/secure.h"

#include "conn/conn.h"
#include "conn/tls/torc_tls.h"

#define LATER torc_after_ms(8000)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

/* ---- What is counted ---- */

/* Of all that failed, so many for one reason. */
struct expected {
	uint64_t failed;
	enum torc_failure reason;
	uint64_t of_it;
};

static uint64_t
sum(const uint64_t *words, unsigned count)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < count; i++)
		all += words[i];
	return all;
}

/* Each is counted once. */
static void
assert_sums(const struct torc_counters *counters)
{
	const uint64_t done =
	    counters->handshakes_full + counters->handshakes_resumed;

	assert_true(sum(counters->handshake_failures, TORC_FAILURES - 1) ==
	    counters->handshakes_failed);
	assert_true(
	    sum(counters->handshake_versions, TORC_VERSIONS - 1) == done);
	assert_true(sum(counters->handshake_ciphers, TORC_CIPHERS - 1) == done);
}

static bool
has_failed(struct torc_reactor *reactor, void *arg)
{
	return reactor->counters->handshakes_failed >= *(uint64_t *)arg;
}

/* One more handshake has failed, and it was for this reason. */
static void
assert_failed(struct server *server, const struct torc_counters *before,
    enum torc_failure reason, const char *what)
{
	uint64_t failed = before->handshakes_failed + 1;
	struct torc_counters now;

	if (!server_await(server, has_failed, &failed, 8000))
		fail_msg("%s: no handshake has failed", what);
	now = server_counters(server);
	assert_sums(&now);
	for (unsigned i = 0; i < TORC_FAILURES - 1; i++) {
		const uint64_t more =
		    now.handshake_failures[i] - before->handshake_failures[i];

		if (more != (i + 1 == reason))
			fail_msg("%s: %u of reason %u, instead of %u", what,
			    (unsigned)more, i + 1, (unsigned)reason);
	}
}

/* ---- Servers ---- */

struct scene {
	struct torc_tls *tls;
	struct server server;
};

static void
start_with(struct scene *scene, struct torc_tls_config config,
    const struct torc_config *reactor)
{
	struct torc_error error;

	config.certificate = peer_file("default.pem");
	config.key = peer_file("default.key");
	if (torc_tls_create(&scene->tls, &config, &error) < 0)
		fail_msg("torc_tls_create: %s", error.text);
	assert_int_equal(
	    torc_tls_host_add(scene->tls, NULL, peer_file("rsa.pem"),
		peer_file("rsa.key"), &error),
	    0);
	server_start(&scene->server, reactor, echo_handler, NULL);
	server_set_maker(&scene->server,
	    torc_tls_transport(scene->tls));
}

static void
start(struct scene *scene, struct torc_tls_config config)
{
	start_with(scene, config, NULL);
}

static void
stop(struct scene *scene)
{
	assert_int_equal(server_stop(&scene->server), 0);
	torc_tls_destroy(scene->tls);
}

/* ---- Clients that fail ---- */

static void
leave(unsigned port, SSL_CTX *context)
{
	struct peer peer;

	peer_open(&peer, context, port, NULL);
	SSL_do_handshake(peer.ssl);
	peer_send(&peer);
	peer_close(&peer);
}

static void
reset(unsigned port, SSL_CTX *context)
{
	const int fd = client_open(port);

	(void)context;
	client_send(fd, "\x16\x03\x01", 3);
	client_reset(fd);
}

/* Half a hello, and nothing more. */
static void
stand_still(unsigned port, SSL_CTX *context)
{
	unsigned char hello[4096];
	struct peer peer;
	size_t size;

	peer_open(&peer, context, port, NULL);
	SSL_do_handshake(peer.ssl);
	size = peer_take(&peer, hello, sizeof(hello));
	client_send(peer.fd, hello, size / 2);
	assert_true(client_sees_fin(peer.fd));
	peer_close(&peer);
}

static void
send_bytes(unsigned port, const char *bytes, size_t size)
{
	const int fd = client_open(port);
	char answer[1024];

	client_send(fd, bytes, size);
	while (recv(fd, answer, sizeof(answer), 0) > 0)
		continue;
	close(fd);
}

static void
ask_in_clear(unsigned port, SSL_CTX *context)
{
	(void)context;
	send_bytes(port, "GET / HTTP/1.1\r\n\r\n", 18);
}

static void
speak_ssh(unsigned port, SSL_CTX *context)
{
	(void)context;
	send_bytes(port, "SSH-2.0-OpenSSH_9.2\r\n", 21);
}

static void
send_nonsense(unsigned port, SSL_CTX *context)
{
	(void)context;
	send_bytes(port, "\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff", 10);
}

/* The second record is none. */
static void
send_nonsense_later(unsigned port, SSL_CTX *context)
{
	char answer[4096];
	struct peer peer;

	peer_open(&peer, context, port, NULL);
	SSL_do_handshake(peer.ssl);
	peer_send(&peer);
	assert_true(recv(peer.fd, answer, sizeof(answer), 0) > 0);
	client_send(peer.fd, "GET / HTTP/1.1\r\n\r\n", 18);
	while (recv(peer.fd, answer, sizeof(answer), 0) > 0)
		continue;
	peer_close(&peer);
}

static void
shake_old(unsigned port, SSL_CTX *context)
{
	struct peer peer;

	SSL_CTX_set_min_proto_version(context, TLS1_1_VERSION);
	SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
	SSL_CTX_set_security_level(context, 0);
	SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
	peer_open(&peer, context, port, NULL);
	assert_false(peer_shake(&peer));
	peer_close(&peer);
}

/* With what a context says. It need not notice that it is refused. */
static void
shake(unsigned port, SSL_CTX *context)
{
	struct peer peer;
	char byte;

	peer_open(&peer, context, port, NULL);
	if (peer_shake(&peer))
		assert_false(peer_read(&peer, &byte, 1));
	peer_close(&peer);
}

static void
shake_with_other_ciphers(unsigned port, SSL_CTX *context)
{
	SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(context, "AES128-GCM-SHA256");
	shake(port, context);
}

static void
shake_with_other_groups(unsigned port, SSL_CTX *context)
{
	SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION);
	SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
	SSL_CTX_set1_groups_list(context, "P-521");
	shake(port, context);
}

static void
shake_with_other_protocols(unsigned port, SSL_CTX *context)
{
	SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\003two", 4);
	shake(port, context);
}

static void
shake_with_certificate(unsigned port, SSL_CTX *context)
{
	assert_int_equal(SSL_CTX_use_certificate_file(context,
			     peer_file("stranger.pem"), SSL_FILETYPE_PEM),
	    1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(context,
			     peer_file("stranger.key"), SSL_FILETYPE_PEM),
	    1);
	shake(port, context);
}

static void
trust_nobody(unsigned port, SSL_CTX *context)
{
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	shake(port, context);
}

static void
a_handshake_that_fails_is_counted_by_its_one_reason(void **state)
{
	static const struct {
		const char *what;
		void (*do_it)(unsigned port, SSL_CTX *context);
		enum torc_failure reason;
		bool versions; /* in both */
	} cases[] = {
		{ "leave", leave, TORC_FAILURE_LEFT, true },
		{ "reset", reset, TORC_FAILURE_LEFT, false },
		{ "late", stand_still, TORC_FAILURE_LATE, false },
		{ "http", ask_in_clear, TORC_FAILURE_CLEAR, false },
		{ "ssh", speak_ssh, TORC_FAILURE_CLEAR, false },
		{ "nonsense", send_nonsense, TORC_FAILURE_PROTOCOL, false },
		{ "later", send_nonsense_later, TORC_FAILURE_PROTOCOL, true },
		{ "1.1", shake_old, TORC_FAILURE_VERSION, false },
		{ "ciphers", shake_with_other_ciphers, TORC_FAILURE_CIPHER,
		    false },
		{ "groups", shake_with_other_groups, TORC_FAILURE_CIPHER,
		    false },
		{ "ALPN", shake_with_other_protocols, TORC_FAILURE_CIPHER,
		    true },
		{ "no certificate", shake, TORC_FAILURE_CERTIFICATE, true },
		{ "stranger", shake_with_certificate, TORC_FAILURE_CERTIFICATE,
		    true },
		{ "distrust", trust_nobody, TORC_FAILURE_REFUSED, true },
	};
	static const char *const protocols[] = { "one", NULL };
	struct scene scene;

	(void)state;
	for (unsigned i = 0; i < 2 * COUNT(cases); i++) {
		const unsigned at = i / 2;
		const bool late = cases[at].reason == TORC_FAILURE_LATE;
		struct torc_counters before;
		SSL_CTX *context;

		if (i % 2 == 1 && !cases[at].versions)
			continue;
		start(&scene, (struct torc_tls_config) {
		    .client = TORC_TLS_CLIENT_REQUIRED,
		    .client_ca = peer_file("ca.pem"), .protocols = protocols,
		    .handshake_ms = late ? 200 : 60000 });
		before = server_counters(&scene.server);
		context = peer_context(versions[i % 2], versions[i % 2]);
		cases[at].do_it(scene.server.port, context);
		assert_failed(&scene.server, &before, cases[at].reason,
		    cases[at].what);
		SSL_CTX_free(context);
		stop(&scene);
	}
}

static void
one_that_this_side_ends_is_told_from_one_that_the_peer_left(void **state)
{
	struct torc_stats before, after;
	struct scene scene;
	int fd;

	(void)state;
	start(&scene, (struct torc_tls_config) { .handshake_ms = 60000 });
	torc_stats_read(&before);
	fd = client_open(scene.server.port);
	assert_true(server_await_connections(&scene.server, 1));
	stop(&scene);
	torc_stats_read(&after);
	assert_int_equal(after.handshakes_failed - before.handshakes_failed,
	    1);
	assert_int_equal(after.handshakes_failed_ended -
	    before.handshakes_failed_ended, 1);
	close(fd);
}

/* ---- Dialled connections ---- */

static struct server here; /* where they are dialled */

struct attempt {
	struct torc_tls_client *client;
	unsigned port;
	const char *name;
	unsigned deadline_ms;
};

static int
meet(void *arg)
{
	const struct attempt *attempt = arg;
	struct torc_error error;
	struct torc_conn *conn;
	char address[32];
	int rc;

	snprintf(address, sizeof(address), "127.0.0.1:%u", attempt->port);
	if (torc_dial(&conn, address, LATER) < 0)
		return -EHOSTDOWN;
	rc = torc_tls_dial_begin(conn, attempt->client, attempt->name, &error,
	    attempt->deadline_ms > 0 ? torc_after_ms(attempt->deadline_ms)
				     : LATER);
	torc_conn_close(conn, TORC_AT_ONCE);
	return rc;
}

static int
meet_and_be_cancelled(void *arg)
{
	uint64_t id;
	int rc = torc_fiber_spawn(&id, meet, arg);

	if (rc < 0)
		return rc;
	/* Until it waits for an answer. */
	while (torc_reactor_self()->stats_page.page->gauge.handshakes == 0)
		torc_sleep(torc_after_ms(5));
	torc_fiber_cancel(id);
	return 0;
}

static struct torc_tls_client *
create(const char *ca)
{
	const struct torc_tls_client_config config = { .ca = peer_file(ca) };
	struct torc_tls_client *client;
	struct torc_error error;

	if (torc_tls_client_create(&client, &config, &error) < 0)
		fail_msg("torc_tls_client_create: %s", error.text);
	return client;
}

static void
assert_dialled(int (*entry)(void *arg), const struct attempt *attempt, int rc,
    enum torc_failure reason, const char *what)
{
	const struct torc_counters before = server_counters(&here);

	assert_int_equal(
	    server_fiber(&here, entry, (void *)(uintptr_t)attempt), rc);
	assert_failed(&here, &before, reason, what);
}

static void
refuse_clients(SSL_CTX *context)
{
	SSL_CTX_set_verify(
	    context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
}

static void
speak_1_1(SSL_CTX *context)
{
	SSL_CTX_set_min_proto_version(context, TLS1_1_VERSION);
	SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
	SSL_CTX_set_security_level(context, 0);
	SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
}

static void
speak_other_groups(SSL_CTX *context)
{
	SSL_CTX_set1_groups_list(context, "P-521");
}

static void
speak_other_ciphers(SSL_CTX *context)
{
	SSL_CTX_set_cipher_list(context, "ECDHE-ECDSA-AES128-SHA256");
}

static void
one_that_was_dialled_is_counted_by_its_reason_too(void **state)
{
	static const struct {
		const char *pair;
		const char *name;
		void (*change)(SSL_CTX *context);
		int version;
		int rc;
		enum torc_failure reason;
	} cases[] = {
		{ "names", "c.test", NULL, TLS1_2_VERSION, -EKEYREJECTED,
		    TORC_FAILURE_CERTIFICATE },
		{ "stranger", "a.test", NULL, TLS1_3_VERSION, -EKEYREJECTED,
		    TORC_FAILURE_CERTIFICATE },
		{ "names", "a.test", refuse_clients, TLS1_2_VERSION, -EPROTO,
		    TORC_FAILURE_REFUSED },
		{ "names", "a.test", speak_1_1, TLS1_2_VERSION, -EPROTO,
		    TORC_FAILURE_VERSION },
		{ "names", "a.test", speak_other_groups, TLS1_3_VERSION,
		    -EPROTO, TORC_FAILURE_CIPHER },
		{ "names", "a.test", speak_other_ciphers, TLS1_2_VERSION,
		    -EPROTO, TORC_FAILURE_CIPHER },
		{ "names", "a b", NULL, TLS1_2_VERSION, -EINVAL,
		    TORC_FAILURE_ENDED },
	};
	struct torc_tls_client *client = create("good.pem");

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		struct attempt attempt = { client, .name = cases[i].name };
		struct secure origin;

		secure_start(&origin, cases[i].pair, cases[i].version);
		if (cases[i].change != NULL)
			cases[i].change(origin.context);
		secure_run(&origin);
		attempt.port = origin.port;
		assert_dialled(meet, &attempt, cases[i].rc, cases[i].reason,
		    cases[i].name);
		secure_stop(&origin);
	}
	torc_tls_client_destroy(client);
}

/* A server that answers each with so many bytes, and ends. */
struct rude {
	int listener;
	const char *answer;
};

static void *
be_rude(void *arg)
{
	const struct rude *rude = arg;
	const int fd = accept(rude->listener, NULL, NULL);
	char hello[4096];

	assert_true(fd >= 0 && recv(fd, hello, sizeof(hello), 0) > 0);
	client_send(fd, rude->answer, strlen(rude->answer));
	shutdown(fd, SHUT_WR);
	while (recv(fd, hello, sizeof(hello), 0) > 0)
		continue;
	close(fd);
	return NULL;
}

static void
servers_that_do_not_speak_tls_or_leave_or_stay_silent_are_told_apart(
    void **state)
{
	static const struct {
		const char *answer; /* NULL: silence */
		int rc;
		enum torc_failure reason;
	} cases[] = {
		{ "HTTP/1.1 400 Bad Request\r\n\r\n", -EPROTO,
		    TORC_FAILURE_CLEAR },
		{ "", -ENOLINK, TORC_FAILURE_LEFT },
	};
	struct torc_tls_client *client = create("good.pem");
	struct attempt attempt = { client, .name = "a.test" };
	int silent;

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		struct rude rude = { .answer = cases[i].answer };
		pthread_t thread;

		rude.listener = secure_listen(&attempt.port);
		pthread_create(&thread, NULL, be_rude, &rude);
		assert_dialled(meet, &attempt, cases[i].rc, cases[i].reason,
		    cases[i].answer);
		pthread_join(thread, NULL);
		close(rude.listener);
	}
	silent = secure_listen(&attempt.port);
	assert_dialled(meet_and_be_cancelled, &attempt, 0, TORC_FAILURE_ENDED,
	    "cancelled");
	attempt.deadline_ms = 300;
	assert_dialled(
	    meet, &attempt, -ETIMEDOUT, TORC_FAILURE_LATE, "silence");
	close(silent);
	torc_tls_client_destroy(client);
}

/* ---- What was agreed on ---- */

/* So many with each, in the order of the statistics. */
static const struct {
	const char *name;
	int version;
} suites[] = {
	{ "TLS_AES_128_GCM_SHA256", TLS1_3_VERSION },
	{ "TLS_AES_256_GCM_SHA384", TLS1_3_VERSION },
	{ "TLS_CHACHA20_POLY1305_SHA256", TLS1_3_VERSION },
	{ "ECDHE-ECDSA-AES128-GCM-SHA256", TLS1_2_VERSION },
	{ "ECDHE-RSA-AES128-GCM-SHA256", TLS1_2_VERSION },
	{ "ECDHE-ECDSA-AES256-GCM-SHA384", TLS1_2_VERSION },
	{ "ECDHE-RSA-AES256-GCM-SHA384", TLS1_2_VERSION },
	{ "ECDHE-ECDSA-CHACHA20-POLY1305", TLS1_2_VERSION },
	{ "ECDHE-RSA-CHACHA20-POLY1305", TLS1_2_VERSION },
};

static void
each_suite_and_version_is_counted_where_it_was_agreed_on(void **state)
{
	struct torc_counters counters;
	struct torc_stats stats;
	struct scene scene;

	(void)state;
	start(&scene, (struct torc_tls_config) { .no_tickets = false });
	for (unsigned i = 0; i < COUNT(suites); i++) {
		const int version = suites[i].version;
		SSL_CTX *context = peer_context(version, version);

		if (version == TLS1_3_VERSION)
			SSL_CTX_set_ciphersuites(context, suites[i].name);
		else
			SSL_CTX_set_cipher_list(context, suites[i].name);
		for (unsigned j = 0; j <= i; j++) {
			struct peer peer;

			peer_meet(&peer, context, scene.server.port, NULL);
			peer_echo(&peer, "hello");
			peer_close(&peer);
		}
		SSL_CTX_free(context);
	}
	counters = server_counters(&scene.server);
	torc_reactor_stats_read(scene.server.reactor, &stats);
	assert_sums(&counters);
	for (unsigned i = 0; i < COUNT(suites); i++)
		assert_int_equal((&stats.handshakes_aes128_gcm)[i], i + 1);
	assert_int_equal(stats.handshakes_other_cipher, 0);
	assert_int_equal(stats.handshakes_tls_1_3, 1 + 2 + 3);
	assert_int_equal(stats.handshakes_tls_1_2, 45 - 6);
	assert_int_equal(stats.handshakes_failed, 0);
	stop(&scene);
}

static void
without_a_page_they_are_counted_all_the_same(void **state)
{
	const struct torc_config config = { .no_stats = true };
	struct torc_stats stats;
	struct scene scene;
	struct peer peer;
	SSL_CTX *context = peer_context(TLS1_2_VERSION, TLS1_3_VERSION);

	(void)state;
	start_with(&scene, (struct torc_tls_config) { .no_tickets = true },
	    &config);
	peer_meet(&peer, context, scene.server.port, "a.test");
	peer_echo(&peer, "hello");
	torc_reactor_stats_read(scene.server.reactor, &stats);
	assert_int_equal(stats.handshakes_tls_1_3, 1);
	/* What was agreed on is not shown where there is no room for it. */
	assert_true(scene.server.reactor->stats_page.page->magic ==
	    TORC_STATS_PAGE_MAGIC);
	peer_close(&peer);
	SSL_CTX_free(context);
	stop(&scene);
}

/* What the page says of the first connection: its host. */
static void
assert_shown(const struct scene *scene, const char *name)
{
	const struct torc_stats_page *page =
	    scene->server.reactor->stats_page.page;
	const struct torc_stats_page_session *session =
	    (const void *)((const char *)page + page->sessions.offset);

	assert_int_not_equal(page->sessions.count, 0);
	assert_int_not_equal(session->owner, 0);
	assert_int_equal(session->name_size, strlen(name));
	assert_memory_equal(session->name, name, strlen(name));
}

static void
the_host_that_a_client_asked_for_is_shown_and_not_that_of_one_before(
    void **state)
{
	const char *const names[] = { "a.test", NULL };
	SSL_CTX *context = peer_context(TLS1_2_VERSION, TLS1_3_VERSION);
	struct scene scene;

	(void)state;
	start_with(&scene, (struct torc_tls_config) { .no_tickets = true },
	    NULL);
	for (unsigned i = 0; i < COUNT(names); i++) {
		struct peer peer;

		peer_meet(&peer, context, scene.server.port, names[i]);
		peer_echo(&peer, "hello");
		(void)server_counters(&scene.server);
		assert_shown(&scene, names[i] != NULL ? names[i] : "");
		peer_close(&peer);
		assert_true(server_await_connections(&scene.server, 0));
	}
	SSL_CTX_free(context);
	stop(&scene);
}

static int
set_up(void **state)
{
	(void)state;
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
		    a_handshake_that_fails_is_counted_by_its_one_reason),
		cmocka_unit_test(
		    one_that_this_side_ends_is_told_from_one_that_the_peer_left),
		cmocka_unit_test(
		    one_that_was_dialled_is_counted_by_its_reason_too),
		cmocka_unit_test(
		    servers_that_do_not_speak_tls_or_leave_or_stay_silent_are_told_apart),
		cmocka_unit_test(
		    each_suite_and_version_is_counted_where_it_was_agreed_on),
		cmocka_unit_test(
	    the_host_that_a_client_asked_for_is_shown_and_not_that_of_one_before),
		cmocka_unit_test(
		    without_a_page_they_are_counted_all_the_same),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name(
	    "tls counts", tests, set_up, tear_down);
}
