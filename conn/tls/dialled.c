/* SPDX-License-Identifier: MIT */
/*
 * dialled.c - sessions of connections that were dialled: whom they ask for,
 * whom they believe, and why not.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "conn/conn.h"
#include "conn/tls/client.h"
#include "conn/tls/dialled.h"
#include "conn/tls/words.h"
#include "reactor/error.h"
#include "sys/sys.h"

static struct tls_dialled *
dialled_of(const struct torc_transport *transport)
{
	return torc_tls_dialled_of(torc_tls_session_find(transport));
}

/* ---- Why it fails ---- */

/* The first reason is the one that is told. */
static int
note_verdict(int good, X509_STORE_CTX *found)
{
	const SSL *ssl;
	struct tls_dialled *dialled;

	if (good)
		return 1;
	ssl = X509_STORE_CTX_get_ex_data(found,
	    SSL_get_ex_data_X509_STORE_CTX_idx());
	dialled = torc_tls_dialled_of(SSL_get_app_data(ssl));
	if (dialled->why == NULL)
		dialled->why = torc_sys_alloc(TLS_WORDS_MAX);
	if (dialled->why != NULL)
		torc_tls_words_verify(dialled, found, dialled->why);
	return 0;
}

void
torc_tls_dialled_hear(struct tls_session *session, uint8_t kind)
{
	if (kind == SSL3_MT_CERTIFICATE_REQUEST)
		torc_tls_dialled_of(session)->asked = true;
}

void
torc_tls_dialled_fail(struct tls_session *session, unsigned long code)
{
	struct tls_dialled *dialled = torc_tls_dialled_of(session);

	if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
	    ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		session->transport.error = -EKEYREJECTED;
	if (dialled->why != NULL)
		return;
	dialled->why = torc_sys_alloc(TLS_WORDS_MAX);
	if (dialled->why != NULL)
		torc_tls_words_reason(dialled, code, dialled->why);
}

const char *
torc_tls_dialled_why(const struct torc_transport *transport)
{
	return dialled_of(transport)->why;
}

/* ---- Its life ---- */

/* A server gives it a session: the cache's, or nobody's. */
static int
keep_session(SSL *ssl, SSL_SESSION *session)
{
	const struct tls_dialled *dialled =
	    torc_tls_dialled_of(SSL_get_app_data(ssl));

	return torc_tls_saved_put(&dialled->credentials->saved, dialled->name,
	    dialled->trust, session);
}

void
torc_tls_dialled_prepare(SSL_CTX *context)
{
	SSL_CTX_set_msg_callback(context, torc_tls_session_hear);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, keep_session);
}

void
torc_tls_dialled_release(struct tls_session *session)
{
	struct tls_dialled *dialled = torc_tls_dialled_of(session);

	/* Else OpenSSL takes its session for one that is not to be resumed,
	 * however it has ended. */
	if (session->ssl != NULL && session->transport.ready &&
	    session->transport.error == 0)
		SSL_set_shutdown(session->ssl, SSL_SENT_SHUTDOWN);
	torc_tls_credentials_put(dialled->credentials);
	torc_sys_free(dialled->why);
}

/* ---- Whom it asks for ---- */

static bool
is_address(const char *name)
{
	uint8_t bytes[16];

	return inet_pton(AF_INET, name, bytes) == 1 ||
	    strchr(name, ':') != NULL;
}

/*
 * As it is verified: without a dot at its end, the brackets of an address and
 * the interface behind it, and in lower case.
 */
static void
copy_name(char *to, const char *name)
{
	size_t size = strlen(name);

	if (size > 2 && name[0] == '[' && name[size - 1] == ']') {
		name++;
		size -= 2;
	}
	if (memchr(name, ':', size) != NULL)
		size = strcspn(name, "%]");
	else if (size > 1 && name[size - 1] == '.')
		size--;
	for (size_t i = 0; i < size; i++)
		to[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ?
		    name[i] + ('a' - 'A') : name[i]);
	to[size] = '\0';
}

/* One that begins with a dot would stand for all hosts behind it. */
static bool
is_name(const char *name)
{
	const size_t size = strlen(name);

	if (size == 0 || size > TLS_NAME_MAX || name[0] == '.')
		return false;
	for (size_t i = 0; i < size; i++)
		if (name[i] <= ' ' || name[i] >= 0x7f)
			return false;
	return true;
}

/* False: no memory. */
static bool
set_name(struct tls_dialled *dialled)
{
	SSL *ssl = dialled->session.ssl;

	if (dialled->trust == TORC_TRUST_NAME) {
		SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
		    X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
		if (SSL_set1_host(ssl, dialled->name) != 1)
			return false;
	}
	if (dialled->trust != TORC_TRUST_ANYBODY)
		SSL_set_verify(ssl, SSL_VERIFY_PEER, note_verdict);
	return is_address(dialled->name) ||
	    SSL_set_tlsext_host_name(ssl, dialled->name) == 1;
}

static void
resume(struct tls_dialled *dialled)
{
	SSL_SESSION *session;

	if (dialled->credentials->client->config.no_sessions)
		return;
	session = torc_tls_saved_take(&dialled->credentials->saved,
	    dialled->name, dialled->trust);
	if (session != NULL)
		SSL_set_session(dialled->session.ssl, session);
	SSL_SESSION_free(session);
}

/* It is not to begin. */
static void
refuse_name(struct tls_dialled *dialled)
{
	dialled->session.transport.error = -EINVAL;
	dialled->why = torc_sys_alloc(TLS_WORDS_MAX);
	if (dialled->why != NULL)
		torc_text_print(dialled->why, TLS_WORDS_MAX, "its name must "
		    "be that of a host, of at most %u bytes, or an address",
		    TLS_NAME_MAX);
}

struct torc_transport *
torc_tls_dialled_make(struct torc_transport_dialler *dialler,
    const char *name, enum torc_trust trust)
{
	struct torc_tls_client *client = (struct torc_tls_client *)dialler;
	struct tls_dialled *dialled = torc_sys_alloc(sizeof(*dialled) +
	    strlen(name) + 1);

	if (dialled == NULL)
		return NULL;
	copy_name(dialled->name, name);
	dialled->trust = trust;
	dialled->credentials = torc_tls_credentials_take(client);
	ERR_clear_error();
	if (!torc_tls_session_open(&dialled->session,
	    dialled->credentials->context))
		return NULL;
	SSL_set_connect_state(dialled->session.ssl);
	if (!is_name(dialled->name)) {
		refuse_name(dialled);
	} else if (!set_name(dialled)) {
		torc_tls_session_drop(&dialled->session);
		return NULL;
	} else {
		resume(dialled);
	}
	return &dialled->session.transport;
}

/* ---- What it agrees on ---- */

bool
torc_tls_dialled_offer(struct torc_transport *transport, const char *protocol)
{
	const size_t size = strlen(protocol);
	uint8_t list[256];

	torc_assert(size > 0 && size < sizeof(list));
	list[0] = (uint8_t)size;
	memcpy(list + 1, protocol, size);
	/* This one returns 0 if it succeeds. */
	return SSL_set_alpn_protos(dialled_of(transport)->session.ssl, list,
	    (unsigned)size + 1) == 0;
}

struct torc_slice
torc_tls_dialled_protocol(const struct torc_transport *transport)
{
	const unsigned char *protocol;
	unsigned size;

	SSL_get0_alpn_selected(dialled_of(transport)->session.ssl, &protocol,
	    &size);
	return (struct torc_slice) { protocol, size };
}

int
torc_tls_dialled_binding(const struct torc_transport *transport,
    uint8_t out[64])
{
	X509 *certificate = SSL_get0_peer_certificate(
	    dialled_of(transport)->session.ssl);
	const EVP_MD *digest = NULL;
	unsigned size = 0;
	int kind;

	ERR_clear_error();
	if (certificate != NULL && X509_get_signature_info(certificate, &kind,
	    NULL, NULL, NULL) == 1 && kind != NID_undef)
		digest = kind == NID_md5 || kind == NID_sha1 ? EVP_sha256() :
		    EVP_get_digestbynid(kind);
	if (digest == NULL || EVP_MD_get_size(digest) > 64 ||
	    X509_digest(certificate, digest, out, &size) != 1)
		return -EOPNOTSUPP;
	return (int)size;
}
