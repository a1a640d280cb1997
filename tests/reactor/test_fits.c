/* SPDX-License-Identifier: MIT */
/*
 * test_fits.c - what tools/guides/stacks.md says of how much stack things take.
 * Each runs on a fiber with a stack of the default size.
 */
#include "tests/harness.h"

#include <cjson/cJSON.h>
#include <netdb.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reactor/fiber.h"

#define KIB 1024u
#define UNTOUCHED 0xa5
#define OURS 512u		/* of frames here, below which nothing lies */

static struct {
	void (*what)(void);
	size_t size;		/* that it took */
	size_t stack;
	bool done;		/* it has done its work */
} trial;

/* The stack below this frame is filled first, and searched afterwards. */
static __attribute__((noinline)) void
take_measure(unsigned char *low)
{
	unsigned char *here = __builtin_frame_address(0);
	size_t size = (size_t)(here - low) - OURS, untouched = 0;

	for (size_t i = 0; i < size; i++)
		((volatile unsigned char *)low)[i] = UNTOUCHED;
	trial.what();
	while (untouched < size && low[untouched] == UNTOUCHED)
		untouched++;
	trial.size = size + OURS - untouched;
}

static int
measure(void *arg)
{
	(void)arg;
	take_measure(torc_current->current->stack);
	return 0;
}

static void
run(void (*what)(void))
{
	struct torc_reactor *reactor;

	trial.what = what;
	trial.done = false;
	assert_int_equal(torc_reactor_create(&reactor, NULL, NULL), 0);
	trial.stack = reactor->config.stack_size;
	assert_int_equal(torc_fiber_start(reactor, NULL, measure, NULL), 0);
	torc_reactor_drain(reactor, TORC_NEVER);
	assert_int_equal(torc_reactor_run(reactor), 0);
	torc_reactor_destroy(reactor);
	assert_true(trial.done);
	assert_true(trial.size < trial.stack);
}

static void
assert_takes(const char *name, void (*what)(void), size_t limit)
{
	run(what);
	print_message("%s: %zu bytes\n", name, trial.size);
	if (SANITIZED)
		print_message("SKIP: frames are larger with a sanitizer\n");
	else
		assert_true(trial.size <= limit);
}

static void
print_numbers(void)
{
	char text[100];

	trial.done = snprintf(text, sizeof(text), "%d %s %08x", 42, "text",
	    7) == 16;
}

static void
print_doubles(void)
{
	char text[400];

	trial.done = snprintf(text, sizeof(text), "%f %g", 1e300, 0.1) > 300;
}

static void
print_long_double(void)
{
	static char text[6000];

	trial.done = snprintf(text, sizeof(text), "%.400Lf", 1e4000L) > 4000;
}

static void
resolve_localhost(void)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;

	trial.done = getaddrinfo("localhost", "80", &hints, &list) == 0;
	if (list != NULL)
		freeaddrinfo(list);
}

static void
match_expression(void)
{
	regmatch_t matches[3];
	regex_t expression;

	if (regcomp(&expression, "^([a-z]+)@([a-z.]+)$", REG_EXTENDED) != 0)
		return;
	trial.done = regexec(&expression, "user@example.org", 3, matches, 0) ==
	    0;
	regfree(&expression);
}

static void
what_libc_does_takes_as_much_stack_as_the_page_says(void **state)
{
	(void)state;
	assert_takes("printf of numbers", print_numbers, 4 * KIB);
	assert_takes("printf of doubles", print_doubles, 6 * KIB);
	assert_takes("printf of a long double", print_long_double, 32 * KIB);
	assert_takes("getaddrinfo", resolve_localhost, 8 * KIB);
	assert_takes("regcomp and regexec", match_expression, 24 * KIB);
}

/* ---- TLS ---- */

static struct {
	EVP_PKEY *key;
	X509 *certificate;
	SSL_CTX *server;
	SSL_CTX *client;
} tls;

static void
make_certificate(void)
{
	X509_NAME *name;

	tls.key = EVP_EC_gen("P-256");
	tls.certificate = X509_new();
	assert_non_null(tls.key);
	assert_non_null(tls.certificate);
	ASN1_INTEGER_set(X509_get_serialNumber(tls.certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(tls.certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(tls.certificate), 9999);
	X509_set_pubkey(tls.certificate, tls.key);
	name = X509_get_subject_name(tls.certificate);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"localhost", -1, -1, 0);
	X509_set_issuer_name(tls.certificate, name);
	assert_true(X509_sign(tls.certificate, tls.key, EVP_sha256()) > 0);
}

static void
make_sides(void)
{
	tls.server = SSL_CTX_new(TLS_server_method());
	tls.client = SSL_CTX_new(TLS_client_method());
	assert_int_equal(SSL_CTX_use_certificate(tls.server,
	    tls.certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(tls.server, tls.key), 1);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(tls.client),
	    tls.certificate);
	SSL_CTX_set_verify(tls.client, SSL_VERIFY_PEER, NULL);
}

static void
shake_hands(void)
{
	SSL *server = SSL_new(tls.server), *client = SSL_new(tls.client);
	BIO *there, *here;

	BIO_new_bio_pair(&there, 0, &here, 0);
	SSL_set_bio(server, there, there);
	SSL_set_bio(client, here, here);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	for (int i = 0; i < 20 && !trial.done; i++) {
		int ours = SSL_do_handshake(client);

		trial.done = SSL_do_handshake(server) == 1 && ours == 1;
	}
	SSL_free(server);
	SSL_free(client);
}

static void
both_sides_of_a_tls_handshake_fit(void **state)
{
	(void)state;
	make_certificate();
	make_sides();
	assert_takes("a TLS handshake", shake_hands, 10 * KIB);
	SSL_CTX_free(tls.server);
	SSL_CTX_free(tls.client);
	X509_free(tls.certificate);
	EVP_PKEY_free(tls.key);
}

/* ---- JSON ---- */

#define LEVELS 999u

/* One level more, and cJSON refuses it. */
static void
read_and_write_nested_arrays(void)
{
	static char text[2 * LEVELS + 1];
	char *copy;
	cJSON *json;

	memset(text, '[', LEVELS);
	memset(text + LEVELS, ']', LEVELS);
	json = cJSON_Parse(text);
	copy = json != NULL ? cJSON_PrintUnformatted(json) : NULL;
	trial.done = copy != NULL && strcmp(copy, text) == 0;
	free(copy);
	cJSON_Delete(json);
}

static void
as_many_levels_of_json_fit_as_cjson_reads(void **state)
{
	(void)state;
	if (SANITIZED) {
		print_message("SKIP: frames are larger with a sanitizer\n");
		return;
	}
	assert_takes("999 levels of JSON", read_and_write_nested_arrays,
	    128 * (LEVELS + 10));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    what_libc_does_takes_as_much_stack_as_the_page_says),
		cmocka_unit_test(both_sides_of_a_tls_handshake_fit),
		cmocka_unit_test(as_many_levels_of_json_fit_as_cjson_reads),
	};

	alarm(HANG_SECONDS);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
