/* SPDX-License-Identifier: MIT */
/*
 * test_tls_http.c - origins of HTTP over TLS: connections of a pool that are
 * verified, kept, resumed, and told apart when they end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/tls/peer.h"
#include "tests/tls/secure.h"

#include "conn/http/torc_http.h"
#include "conn/tls/torc_tls.h"
#include "conn/transport.h"

#define LATER torc_after_ms(8000)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct server here;	/* where requests are made */

/* ---- An origin ---- */

static void
answer(SSL *ssl, const char *text)
{
	SSL_write(ssl, text, (int)strlen(text));
}

static bool
asks_for(const char *text, const char *path)
{
	const size_t size = strlen(path);

	return strncmp(text, "GET ", 4) == 0 &&
	    strncmp(text + 4, path, size) == 0 && text[4 + size] == ' ';
}

#define HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define TO_END "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"

/* By its path: what an origin does. False: it ends, without close_notify. */
static bool
serve(struct secure *secure, SSL *ssl, const char *text, int size)
{
	unsigned asked;

	(void)size;
	pthread_mutex_lock(&secure->lock);
	asked = secure->asked;
	pthread_mutex_unlock(&secure->lock);
	if (asks_for(text, "/cut"))
		return answer(ssl, TO_END), false;
	if (asks_for(text, "/short"))
		return answer(ssl, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n"
		    "\r\nhello"), false;
	if (asks_for(text, "/end")) {
		answer(ssl, TO_END);
		SSL_shutdown(ssl);
		return false;
	}
	if (asks_for(text, "/second") && asked == 2)
		return false;
	answer(ssl, HELLO);
	if (asks_for(text, "/sized"))
		return false;
	if (asks_for(text, "/bye")) {
		SSL_shutdown(ssl);
		return false;
	}
	if (asks_for(text, "/ticket"))
		SSL_new_session_ticket(ssl);
	if (asks_for(text, "/rekey"))
		SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
	SSL_do_handshake(ssl);
	return true;
}

static int
choose(SSL *ssl, const unsigned char **out, unsigned char *size,
    const unsigned char *offered, unsigned offered_size, void *arg)
{
	(void)ssl;
	/* Exactly that is offered. */
	if (offered_size != 9 || memcmp(offered, "\010http/1.1", 9) != 0)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = arg;
	*size = (unsigned char)strlen(arg);
	return SSL_TLSEXT_ERR_OK;
}

static void
start(struct secure *origin, const char *pair, const char *protocol)
{
	secure_start(origin, pair, TLS1_3_VERSION);
	origin->obey = serve;
	if (protocol != NULL)
		SSL_CTX_set_alpn_select_cb(origin->context, choose,
		    (void *)(uintptr_t)protocol);
	secure_run(origin);
}

/* ---- A client ---- */

static struct torc_tls_client *
trust(const char *ca)
{
	const struct torc_tls_client_config config = { .ca = peer_file(ca) };
	struct torc_tls_client *client;
	struct torc_error error;

	if (torc_tls_client_create(&client, &config, &error) < 0)
		fail_msg("torc_tls_client_create: %s", error.text);
	return client;
}

struct asking {
	struct torc_http_client_config config;
	char address[64];
	const char *paths[4];	/* one after the other */
	/* What came of the last one. */
	int rc;
	char body[64];
	char why[512];
};

static int
read_body(struct torc_http_call *call, struct asking *asking)
{
	struct torc_slice body;
	size_t size = 0;
	int rc;

	while ((rc = torc_http_call_read(call, &body, LATER)) > 0) {
		if (size + body.size >= sizeof(asking->body))
			return -EFBIG;
		memcpy(asking->body + size, body.data, body.size);
		size += body.size;
	}
	asking->body[size] = '\0';
	return rc;
}

static int
ask_one(struct torc_http_client *client, struct asking *asking,
    const char *path)
{
	const struct torc_http_request request = {
		.target = torc_http_text(path),
	};
	struct torc_http_call call;
	int rc;

	asking->body[0] = '\0';
	rc = torc_http_client_call(client, &call, &request, LATER);
	snprintf(asking->why, sizeof(asking->why), "%s",
	    call.response.why != NULL ? call.response.why : "");
	if (rc < 0)
		return rc;
	rc = read_body(&call, asking);
	torc_http_call_end(&call);
	return rc;
}

static int
ask_all(void *arg)
{
	struct asking *asking = arg;
	struct torc_http_client *client;
	struct torc_error error;
	int rc;

	if (asking->config.address == NULL)
		asking->config.address = asking->address;
	rc = torc_http_client_create(&client, &asking->config, &error);
	if (rc < 0)
		fail_msg("torc_http_client_create: %s", error.text);
	for (unsigned i = 0; i < COUNT(asking->paths); i++) {
		if (asking->paths[i] == NULL)
			break;
		if (i > 0)
			torc_sleep(torc_after_ms(100));
		rc = ask_one(client, asking, asking->paths[i]);
		if (rc < 0)
			break;
	}
	torc_http_client_destroy(client, LATER);
	return rc;
}

static struct asking
asking_of(struct secure *origin, struct torc_tls_client *trusted)
{
	struct asking asking = {
		.config = {
			.transport = torc_tls_client_transport(trusted),
			.host = "a.test",
			.retry_min_ms = 1,
			.retry_max_ms = 1,
		},
		.paths = { "/" },
	};

	snprintf(asking.address, sizeof(asking.address), "127.0.0.1:%u",
	    origin->port);
	return asking;
}

static int
ask(struct asking *asking)
{
	asking->rc = server_fiber(&here, ask_all, asking);
	return asking->rc;
}

/* ---- Tests ---- */

static void
an_origin_is_verified_by_the_name_of_its_host_its_url_or_its_own(void **state)
{
	static const struct {
		const char *address;	/* %u: its port */
		const char *host;
		const char *name;
		const char *asked;	/* NULL: it is refused */
	} cases[] = {
		{ "127.0.0.1:%u", "a.test", NULL, "a.test" },
		{ "127.0.0.1:%u", "a.test:8443", NULL, "a.test" },
		{ "127.0.0.1:%u", NULL, NULL, "-" },
		{ "127.0.0.1:%u", "[::1]:443", NULL, "-" },
		{ "https://127.0.0.1:%u", NULL, NULL, "-" },
		{ "HTTPS://127.0.0.1:%u/", "z.test", "x.b.test", "x.b.test" },
		{ "https://localhost:%u", NULL, "a.test", "a.test" },
		{ "https://localhost:%u", NULL, NULL, NULL },
		{ "127.0.0.1:%u", "z.test", NULL, NULL },
	};
	struct torc_tls_client *trusted = trust("good.pem");
	struct secure origin;

	(void)state;
	start(&origin, "names", NULL);
	for (unsigned i = 0; i < COUNT(cases); i++) {
		struct asking asking = asking_of(&origin, trusted);
		int rc;

		snprintf(asking.address, sizeof(asking.address),
		    cases[i].address, origin.port);
		asking.config.host = cases[i].host;
		asking.config.name = cases[i].name;
		rc = ask(&asking);
		if (cases[i].asked != NULL) {
			if (rc != 0)
				fail_msg("%u: %d %s", i, rc, asking.why);
			assert_string_equal(asking.body, "hello");
			pthread_mutex_lock(&origin.lock);
			assert_string_equal(origin.name, cases[i].asked);
			pthread_mutex_unlock(&origin.lock);
		} else {
			assert_int_equal(rc, -EKEYREJECTED);
			assert_non_null(strstr(asking.why,
			    "its certificate is for a.test"));
		}
	}
	secure_stop(&origin);
	torc_tls_client_destroy(trusted);
}

static void
what_contradicts_itself_is_refused_in_words(void **state)
{
	struct torc_tls_client *trusted = trust("good.pem");
	struct torc_transport_dialler *tls =
	    torc_tls_client_transport(trusted);
	const struct {
		struct torc_http_client_config config;
		const char *words;
	} cases[] = {
		{ { .address = "https://a.test" }, "address = "
		    "\"https://a.test\": https needs transport, which is "
		    "NULL" },
		{ { .address = "http://a.test", .transport = tls },
		    "http is clear text, and transport is set" },
		{ { .address = "a.test:1", .name = "b.test" },
		    "name = \"b.test\": it is looked for in a certificate" },
		{ { .address = "https://a.test/x", .transport = tls },
		    "must be https://HOST or https://HOST:PORT" },
		{ { .address = "https://", .transport = tls }, "must be" },
		{ { .address = "https://:443", .transport = tls }, "must be" },
		{ { .address = "https://a.test:", .transport = tls },
		    "must be" },
		{ { .address = "https://me@a.test", .transport = tls },
		    "must be" },
		{ { .address = "https://a.test?x", .transport = tls },
		    "must be" },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		struct torc_http_client *client = NULL;
		struct torc_error error;

		assert_int_equal(torc_http_client_create(&client,
		    &cases[i].config, &error), -EINVAL);
		assert_null(client);
		if (strstr(error.text, cases[i].words) == NULL)
			fail_msg("%u: \"%s\" has no \"%s\"", i, error.text,
			    cases[i].words);
	}
	torc_tls_client_destroy(trusted);
}

static void
http_1_1_is_offered_and_no_choice_means_it_and_another_one_is_refused(
    void **state)
{
	static const char *const protocols[] = { NULL, "http/1.1", "h2",
	    "http/1.0" };
	struct torc_tls_client *trusted = trust("good.pem");

	(void)state;
	for (unsigned i = 0; i < COUNT(protocols); i++) {
		struct secure origin;
		struct asking asking;

		start(&origin, "names", protocols[i]);
		asking = asking_of(&origin, trusted);
		if (i < 2) {
			assert_int_equal(ask(&asking), 0);
			assert_string_equal(asking.body, "hello");
		} else {
			assert_int_equal(ask(&asking), -EPROTO);
			assert_non_null(strstr(asking.why,
			    "handshake with a.test: "));
		}
		secure_stop(&origin);
	}
	torc_tls_client_destroy(trusted);
}

/* A dialler that says that another protocol was chosen. */
static struct torc_transport_dialler *real;

static struct torc_transport *
make_real(struct torc_transport_dialler *dialler, const char *name,
    enum torc_trust trust)
{
	(void)dialler;
	return real->make(real, name, trust);
}

static struct torc_slice
say_h2(const struct torc_transport *transport)
{
	(void)transport;
	return torc_http_text("h2");
}

static void
a_protocol_that_was_not_offered_is_refused_whoever_lets_it_pass(void **state)
{
	struct torc_tls_client *trusted = trust("good.pem");
	struct torc_transport_dialler liar;
	struct asking asking;
	struct secure origin;

	(void)state;
	start(&origin, "names", NULL);
	asking = asking_of(&origin, trusted);
	real = asking.config.transport;
	liar = *real;
	liar.make = make_real;
	liar.protocol = say_h2;
	asking.config.transport = &liar;
	assert_int_equal(ask(&asking), -EPROTO);
	assert_string_equal(asking.why, "handshake with a.test: it chose the "
	    "protocol \"h2\", and http/1.1 was offered");
	secure_stop(&origin);
	torc_tls_client_destroy(trusted);
}

/* Requests with a pause behind each: handshakes of both kinds. */
static void
makes(const char *first, const char *second, unsigned whole, unsigned resumed)
{
	struct torc_tls_client *trusted = trust("good.pem");
	struct asking asking;
	struct secure origin;

	start(&origin, "names", NULL);
	asking = asking_of(&origin, trusted);
	asking.paths[0] = first;
	asking.paths[1] = second;
	asking.paths[2] = "/";
	if (ask(&asking) != 0)
		fail_msg("%s %s: %d %s", first, second, asking.rc, asking.why);
	assert_string_equal(asking.body, "hello");
	if (secure_handshakes(&origin, false) != whole ||
	    secure_handshakes(&origin, true) != resumed)
		fail_msg("%s %s: %u whole, %u resumed", first, second,
		    secure_handshakes(&origin, false),
		    secure_handshakes(&origin, true));
	secure_stop(&origin);
	torc_tls_client_destroy(trusted);
}

static void
a_ticket_or_a_change_of_keys_keeps_an_idle_connection(void **state)
{
	(void)state;
	makes("/", "/", 1, 0);
	makes("/ticket", "/rekey", 1, 0);
}

static void
one_that_has_ended_is_dropped_and_its_session_resumed(void **state)
{
	(void)state;
	makes("/bye", "/", 1, 1);
	makes("/sized", "/sized", 1, 2);
	/* Also if it ends as the next request comes, without an answer. */
	makes("/", "/second", 1, 1);
}

static void
a_body_without_a_length_ends_with_close_notify_and_not_with_fin(void **state)
{
	static const struct {
		const char *path;
		int rc;
	} cases[] = {
		{ "/end", 0 }, { "/cut", -ENOLINK }, { "/sized", 0 },
		{ "/short", -ENOLINK },
	};
	struct torc_tls_client *trusted = trust("good.pem");
	struct secure origin;

	(void)state;
	start(&origin, "names", NULL);
	for (unsigned i = 0; i < COUNT(cases); i++) {
		struct asking asking = asking_of(&origin, trusted);

		asking.paths[0] = cases[i].path;
		if (ask(&asking) != cases[i].rc)
			fail_msg("%s: %d", cases[i].path, asking.rc);
		assert_string_equal(asking.body, "hello");
	}
	secure_stop(&origin);
	torc_tls_client_destroy(trusted);
}

static void
clients_that_trust_different_signers_share_nothing(void **state)
{
	struct torc_tls_client *good = trust("good.pem");
	struct torc_tls_client *other = trust("other.pem");
	struct asking ours, theirs;
	struct secure origin;

	(void)state;
	start(&origin, "names", NULL);
	ours = asking_of(&origin, good);
	theirs = asking_of(&origin, other);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(ask(&ours), 0);
		assert_int_equal(ask(&theirs), -EKEYREJECTED);
		assert_non_null(strstr(theirs.why, "was issued by /CN=good"));
	}
	secure_stop(&origin);
	torc_tls_client_destroy(good);
	torc_tls_client_destroy(other);
}

static void
the_time_to_open_a_connection_covers_the_handshake(void **state)
{
	struct torc_tls_client *trusted = trust("good.pem");
	struct secure silent = { .listener = -1 };
	struct asking asking;

	(void)state;
	silent.listener = secure_listen(&silent.port);
	asking = asking_of(&silent, trusted);
	asking.config.open_ms = 50;
	assert_int_equal(ask(&asking), -ETIMEDOUT);
	assert_string_equal(asking.why,
	    "handshake with a.test: it took too long");
	close(silent.listener);
	torc_tls_client_destroy(trusted);
}

static void
a_client_certificate_that_is_demanded_later_is_told_in_words(void **state)
{
	struct torc_tls_client *trusted = trust("good.pem");
	struct asking asking;
	struct secure origin;

	(void)state;
	secure_start(&origin, "names", TLS1_3_VERSION);
	origin.obey = serve;
	SSL_CTX_load_verify_file(origin.context, peer_file("good.pem"));
	SSL_CTX_set_verify(origin.context, SSL_VERIFY_PEER |
	    SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	secure_run(&origin);
	asking = asking_of(&origin, trusted);
	assert_int_equal(ask(&asking), -EPROTO);
	assert_string_equal(asking.why, "connection to a.test: it demands a "
	    "certificate of the client, which has none");
	secure_stop(&origin);
	torc_tls_client_destroy(trusted);
}

/* ---- Forwarding ---- */

struct gate {
	struct torc_http_client_config config;
	char why[512];
};

static void
note_refusal(const struct torc_http_head *request,
    struct torc_http_refusal *refusal, void *arg)
{
	struct gate *gate = arg;

	(void)request;
	snprintf(gate->why, sizeof(gate->why), "%s", refusal->why != NULL ?
	    refusal->why : "");
}

/* A client for each connection: the origin is asked over TLS. */
static int
pass_on(struct torc_conn *conn, void *arg)
{
	struct gate *gate = arg;
	const struct torc_http_config config = {
		.refusal = note_refusal,
		.arg = gate,
	};
	const struct torc_http_forwarding forwarding = { .via = "test" };
	struct torc_http_client *client;
	struct torc_error error;
	struct torc_http http;

	if (torc_http_client_create(&client, &gate->config, &error) < 0)
		return -1;
	torc_http_init(&http, conn, &config);
	while (torc_http_recv(&http, LATER) > 0)
		(void)torc_http_forward(&http, client, &forwarding, LATER);
	torc_http_client_destroy(client, LATER);
	return torc_http_result(&http);
}

/* What a client in clear text gets. */
static void
pass(struct gate *gate, unsigned port, const char *name, const char *path,
    const char *answer)
{
	struct server front;
	char address[64], text[1024];
	long got;
	int fd;

	snprintf(address, sizeof(address), "https://127.0.0.1:%u", port);
	gate->config.address = address;
	gate->config.name = name;
	gate->why[0] = '\0';
	server_start(&front, NULL, pass_on, gate);
	fd = client_open(front.port);
	got = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: any\r\n"
	    "Connection: close\r\n\r\n", path);
	client_send(fd, text, (size_t)got);
	got = client_read_all(fd, text, sizeof(text) - 1);
	assert_true(got > 0);
	text[got] = '\0';
	if (strstr(text, answer) == NULL)
		fail_msg("%s: \"%s\" has no \"%s\"", path, text, answer);
	close(fd);
	assert_int_equal(server_stop(&front), 0);
}

static void
a_request_is_forwarded_to_an_origin_that_is_verified(void **state)
{
	struct torc_tls_client *trusted = trust("good.pem");
	struct gate gate = { .config = {
		.transport = torc_tls_client_transport(trusted),
	} };
	struct secure origin;

	(void)state;
	start(&origin, "names", "http/1.1");
	pass(&gate, origin.port, "a.test", "/", "\r\n\r\nhello");
	pass(&gate, origin.port, NULL, "/end", "hello");
	pass(&gate, origin.port, "c.test", "/", "HTTP/1.1 502 ");
	assert_non_null(strstr(gate.why, "its certificate is for a.test"));
	secure_stop(&origin);
	torc_tls_client_destroy(trusted);
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
		    an_origin_is_verified_by_the_name_of_its_host_its_url_or_its_own),
		cmocka_unit_test(what_contradicts_itself_is_refused_in_words),
		cmocka_unit_test(
		    http_1_1_is_offered_and_no_choice_means_it_and_another_one_is_refused),
		cmocka_unit_test(
		    a_protocol_that_was_not_offered_is_refused_whoever_lets_it_pass),
		cmocka_unit_test(
		    a_ticket_or_a_change_of_keys_keeps_an_idle_connection),
		cmocka_unit_test(
		    one_that_has_ended_is_dropped_and_its_session_resumed),
		cmocka_unit_test(
		    a_body_without_a_length_ends_with_close_notify_and_not_with_fin),
		cmocka_unit_test(
		    clients_that_trust_different_signers_share_nothing),
		cmocka_unit_test(
		    the_time_to_open_a_connection_covers_the_handshake),
		cmocka_unit_test(
		    a_client_certificate_that_is_demanded_later_is_told_in_words),
		cmocka_unit_test(
		    a_request_is_forwarded_to_an_origin_that_is_verified),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("tls http", tests, set_up,
	    tear_down);
}
