/* SPDX-License-Identifier: MIT */
/*
 * files.c - a host's files, and how it talks: TLS 1.2 and later, with the
 * suites that Mozilla calls intermediate, as far as OpenSSL has them.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <string.h>

#include "conn/tls/files.h"
#include "conn/tls/keylog.h"
#include "reactor/error.h"

#define SUITES_1_2 "ECDHE-ECDSA-AES128-GCM-SHA256:" \
	"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" \
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:" \
	"ECDHE-RSA-CHACHA20-POLY1305"
#define SUITES_1_3 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:" \
	"TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS "X25519:P-256:P-384"

int
torc_tls_files_start(struct torc_error *error)
{
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT |
	    OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return torc_error_set(error, -ENOSYS,
		    "OpenSSL does not start");
	return 0;
}

int
torc_tls_files_version(enum torc_tls_version least, struct torc_error *error)
{
	if (least != TORC_TLS_DEFAULT && least != TORC_TLS_1_2 &&
	    least != TORC_TLS_1_3)
		return torc_error_set(error, -EINVAL, "min_version = %#x: must "
		    "be TORC_TLS_1_2 or TORC_TLS_1_3", (unsigned)least);
	return 0;
}

/* What it found, last first: the cause is the first that it put there. */
int
torc_tls_files_say(struct torc_error *error, const char *what, const char *path)
{
	const unsigned long code = ERR_peek_error();
	const char *reason = ERR_reason_error_string(code);
	int rc = -EINVAL;

	if (ERR_GET_LIB(code) == ERR_LIB_SYS) {
		rc = -ERR_GET_REASON(code);
		reason = strerror(-rc);
	}
	if (reason == NULL)
		reason = "it holds none";
	ERR_clear_error();
	torc_error_set(error, rc, "%s %s: %s", what, path, reason);
	return rc;
}

int
torc_tls_files_pair(SSL_CTX *context, const struct tls_pair *pair,
    struct torc_error *error)
{
	X509 *leaf;

	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(context, pair->certificate) !=
	    1)
		return torc_tls_files_say(error, "certificate",
		    pair->certificate);
	leaf = SSL_CTX_get0_certificate(context);
	if (SSL_CTX_use_PrivateKey_file(context, pair->key,
	    SSL_FILETYPE_PEM) != 1)
		return torc_tls_files_say(error, "key", pair->key);
	/* It may be that of a certificate which the context has besides. */
	if (X509_check_private_key(leaf, SSL_CTX_get0_privatekey(context)) !=
	    1)
		return torc_error_set(error, -EINVAL, "key %s: it is not that "
		    "of certificate %s", pair->key, pair->certificate);
	if (X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0)
		return torc_error_set(error, -EINVAL, "certificate %s: it has "
		    "expired", pair->certificate);
	return 0;
}

static int
read_pairs(SSL_CTX *context, const struct tls_pair *pair,
    struct torc_error *error)
{
	int rc = 0;

	for (; rc == 0 && pair != NULL; pair = pair->next)
		rc = torc_tls_files_pair(context, pair, error);
	return rc;
}

/*
 * What was revoked; `revoked` is a sum of that. A list whose time is over would
 * have all clients refused.
 */
static int
read_crl(SSL_CTX *context, const char *path,
    uint8_t revoked[SHA256_DIGEST_LENGTH], struct torc_error *error)
{
	X509_STORE *store = SSL_CTX_get_cert_store(context);
	BIO *file = BIO_new_file(path, "r");
	X509_CRL *crl;
	unsigned lists = 0;
	int rc = 0;

	while (rc == 0 && file != NULL &&
	    (crl = PEM_read_bio_X509_CRL(file, NULL, NULL, NULL)) != NULL) {
		uint8_t sums[2 * SHA256_DIGEST_LENGTH];
		const ASN1_TIME *until = X509_CRL_get0_nextUpdate(crl);

		lists++;
		memcpy(sums, revoked, SHA256_DIGEST_LENGTH);
		if (until != NULL && X509_cmp_current_time(until) < 0)
			rc = torc_error_set(error, -EINVAL, "client_crl %s: "
			    "list %u has expired", path, lists);
		else if (X509_STORE_add_crl(store, crl) != 1 ||
		    X509_CRL_digest(crl, EVP_sha256(), sums +
		    SHA256_DIGEST_LENGTH, NULL) != 1)
			rc = torc_tls_files_say(error, "client_crl", path);
		SHA256(sums, sizeof(sums), revoked);
		X509_CRL_free(crl);
	}
	BIO_free(file);
	if (rc < 0)
		return rc;
	if (lists == 0 || ERR_GET_REASON(ERR_peek_last_error()) !=
	    PEM_R_NO_START_LINE)
		return torc_tls_files_say(error, "client_crl", path);
	ERR_clear_error();
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK |
	    X509_V_FLAG_CRL_CHECK_ALL);
	return 0;
}

static int
read_client_ca(SSL_CTX *context, const struct torc_tls_config *config,
    uint8_t revoked[SHA256_DIGEST_LENGTH], struct torc_error *error)
{
	struct stack_st_X509_NAME *names;

	if (config->client == TORC_TLS_CLIENT_UNASKED)
		return 0;
	ERR_clear_error();
	if (SSL_CTX_load_verify_file(context, config->client_ca) != 1)
		return torc_tls_files_say(error, "client_ca",
		    config->client_ca);
	names = SSL_load_client_CA_file(config->client_ca);
	if (names == NULL)
		return torc_tls_files_say(error, "client_ca",
		    config->client_ca);
	SSL_CTX_set_client_CA_list(context, names);
	if (config->client_crl != NULL) {
		const int rc = read_crl(context, config->client_crl, revoked,
		    error);

		if (rc < 0)
			return rc;
	}
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER |
	    (config->client == TORC_TLS_CLIENT_REQUIRED ?
	    SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
	return 0;
}

static int
select_protocol(SSL *ssl, const unsigned char **out, unsigned char *size,
    const unsigned char *offered, unsigned offered_size, void *arg)
{
	const struct torc_tls *tls = arg;
	const uint8_t *ours = tls->protocols;
	const uint8_t *end = ours + tls->protocols_size;

	(void)ssl;
	for (; ours < end; ours += 1 + ours[0]) {
		unsigned at = 0;

		while (at < offered_size && at + 1 + offered[at] <=
		    offered_size) {
			if (offered[at] == ours[0] && memcmp(offered + at + 1,
			    ours + 1, ours[0]) == 0) {
				*out = offered + at + 1;
				*size = offered[at];
				return SSL_TLSEXT_ERR_OK;
			}
			at += 1u + offered[at];
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/*
 * Sessions of one host are no sessions of another one, nor of one that knows
 * of other certificates that were revoked.
 */
static void
name_sessions(SSL_CTX *context, const struct tls_host *host,
    const struct torc_tls_config *config,
    const uint8_t revoked[SHA256_DIGEST_LENGTH])
{
	const char *name = host->name != NULL ? host->name : "";
	uint8_t digest[SHA256_DIGEST_LENGTH];
	uint8_t text[TLS_NAME_MAX + 16 + SHA256_DIGEST_LENGTH];
	const int size = snprintf((char *)text, TLS_NAME_MAX + 16, "%s/%d",
	    name, (int)config->client);

	memcpy(text + size, revoked, SHA256_DIGEST_LENGTH);
	SHA256(text, (size_t)size + SHA256_DIGEST_LENGTH, digest);
	SSL_CTX_set_session_id_context(context, digest, sizeof(digest));
}

static void
set_manners(SSL_CTX *context, struct torc_tls *tls)
{
	SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE |
	    SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(context, tls->config.no_tickets ? 0 : 1);
	if (tls->config.no_tickets)
		SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
	else
		torc_tls_tickets_use(&tls->tickets, context);
	if (tls->protocols != NULL)
		SSL_CTX_set_alpn_select_cb(context, select_protocol, tls);
}

/* Never on the terminal. */
static int
ask_password(char *text, int size, int writing, void *arg)
{
	const struct tls_password *password = arg;

	(void)writing;
	return password->ask == NULL ? -1 :
	    password->ask(text, size, password->arg);
}

SSL_CTX *
torc_tls_files_begin(const SSL_METHOD *method, enum torc_tls_version least,
    struct tls_password *password, struct torc_error *error)
{
	SSL_CTX *context;

	ERR_clear_error();
	context = SSL_CTX_new(method);
	if (context == NULL || SSL_CTX_set_cipher_list(context, SUITES_1_2) !=
	    1 || SSL_CTX_set_ciphersuites(context, SUITES_1_3) != 1 ||
	    SSL_CTX_set1_groups_list(context, GROUPS) != 1) {
		torc_tls_files_say(error, "OpenSSL",
		    OpenSSL_version(OPENSSL_VERSION));
		SSL_CTX_free(context);
		return NULL;
	}
	SSL_CTX_set_default_passwd_cb(context, ask_password);
	SSL_CTX_set_default_passwd_cb_userdata(context, password);
	SSL_CTX_set_security_level(context, 2);
	SSL_CTX_set_min_proto_version(context, least == TORC_TLS_1_3 ?
	    TLS1_3_VERSION : TLS1_2_VERSION);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS |
	    SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return context;
}

static SSL_CTX *
read_host(struct torc_tls *tls, const struct tls_host *host,
    struct torc_error *error)
{
	SSL_CTX *context = torc_tls_files_begin(TLS_server_method(),
	    tls->config.min_version, &tls->password, error);
	uint8_t revoked[SHA256_DIGEST_LENGTH] = { 0 };
	int rc;

	if (context == NULL)
		return NULL;
	set_manners(context, tls);
	torc_tls_keylog_use(context, &tls->keylog);
	rc = read_pairs(context, host->pairs, error);
	if (rc == 0)
		rc = read_client_ca(context, &tls->config, revoked, error);
	name_sessions(context, host, &tls->config, revoked);
	if (rc == 0)
		return context;
	SSL_CTX_free(context);
	return NULL;
}

int
torc_tls_files_keys(struct tls_ticket_keys *keys, const char *path,
    struct torc_error *error)
{
	uint8_t bytes[TLS_TICKET_KEYS_MAX * TLS_TICKET_KEY_SIZE + 1];
	unsigned size;
	BIO *file;
	bool good;
	int got;

	ERR_clear_error();
	file = BIO_new_file(path, "rb");
	if (file == NULL)
		return torc_tls_files_say(error, "ticket_keys", path);
	got = BIO_read(file, bytes, sizeof(bytes));
	BIO_free(file);
	size = got > 0 ? (unsigned)got : 0;
	good = torc_tls_tickets_read(keys, bytes, size);
	explicit_bzero(bytes, sizeof(bytes));
	return good ? 0 : torc_error_set(error, -EINVAL, "ticket_keys %s: it "
	    "has %s%u bytes: must be 1 to %u keys of 80 bytes each, or of 48 "
	    "bytes each", path, size == sizeof(bytes) ? "at least " : "",
	    size, TLS_TICKET_KEYS_MAX);
}

/*
 * The size of the RSA key that each full handshake signs with; 0: there is a
 * faster kind of key beside it, or none of RSA. Nobody else has the context
 * yet.
 */
static unsigned
find_slow_key(SSL_CTX *context)
{
	unsigned bits = 0;

	for (long rc = SSL_CTX_set_current_cert(context, SSL_CERT_SET_FIRST);
	    rc == 1; rc = SSL_CTX_set_current_cert(context,
	    SSL_CERT_SET_NEXT)) {
		const EVP_PKEY *key = SSL_CTX_get0_privatekey(context);

		if (!EVP_PKEY_is_a(key, "RSA") &&
		    !EVP_PKEY_is_a(key, "RSA-PSS"))
			return 0;
		if ((unsigned)EVP_PKEY_get_bits(key) > bits)
			bits = (unsigned)EVP_PKEY_get_bits(key);
	}
	return bits;
}

void
torc_tls_files_read(struct torc_tls *tls, struct tls_served *served,
    struct torc_error *error)
{
	served->context = read_host(tls, served->host, error);
	served->slow_bits = served->context == NULL ? 0 :
	    find_slow_key(served->context);
}
