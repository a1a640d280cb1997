/* SPDX-License-Identifier: MIT */
/*
 * count.c - how handshakes end, for those who count them: the few words that
 * the seam has for versions, ciphers and reasons.
 */
#include <openssl/err.h>
#include <string.h>

#include "conn/tls/client.h"
#include "conn/tls/count.h"

/* ---- Those that are done ---- */

static enum torc_version
version_of(const SSL *ssl)
{
	return SSL_version(ssl) == TLS1_3_VERSION ? TORC_VERSION_1_3
						  : TORC_VERSION_1_2;
}

/* By the number that the protocol has for it. */
static enum torc_cipher
cipher_of(const SSL *ssl)
{
	switch (SSL_CIPHER_get_id(SSL_get_current_cipher(ssl))) {
	case TLS1_3_CK_AES_128_GCM_SHA256:
		return TORC_CIPHER_AES128_GCM;
	case TLS1_3_CK_AES_256_GCM_SHA384:
		return TORC_CIPHER_AES256_GCM;
	case TLS1_3_CK_CHACHA20_POLY1305_SHA256:
		return TORC_CIPHER_CHACHA20;
	case TLS1_CK_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:
		return TORC_CIPHER_ECDSA_AES128_GCM;
	case TLS1_CK_ECDHE_RSA_WITH_AES_128_GCM_SHA256:
		return TORC_CIPHER_RSA_AES128_GCM;
	case TLS1_CK_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:
		return TORC_CIPHER_ECDSA_AES256_GCM;
	case TLS1_CK_ECDHE_RSA_WITH_AES_256_GCM_SHA384:
		return TORC_CIPHER_RSA_AES256_GCM;
	case TLS1_CK_ECDHE_ECDSA_WITH_CHACHA20_POLY1305:
		return TORC_CIPHER_ECDSA_CHACHA20;
	case TLS1_CK_ECDHE_RSA_WITH_CHACHA20_POLY1305:
		return TORC_CIPHER_RSA_CHACHA20;
	default:
		return TORC_CIPHER_OTHER;
	}
}

/* What a server was told by hello.c, a client knows. */
static void
name_host(struct tls_session *session)
{
	const char *name = SSL_get_servername(session->ssl,
	    TLSEXT_NAMETYPE_host_name);

	if (session->generation == NULL)
		torc_transport_name(&session->transport, name,
		    name != NULL ? strlen(name) : 0);
}

void
torc_tls_count_ready(struct tls_session *session)
{
	const struct torc_agreed agreed = {
		.version = version_of(session->ssl),
		.cipher = cipher_of(session->ssl),
		.resumed = SSL_session_reused(session->ssl) == 1,
	};

	name_host(session);
	torc_transport_ready(&session->transport, &agreed);
}

/* ---- Those that failed ---- */

/* A server that says no more than that it fails may have asked for one. */
static bool
lacks_certificate(const struct tls_session *session)
{
	const struct tls_dialled *dialled = session->generation == NULL ?
	    torc_tls_dialled_of(session) : NULL;

	return dialled != NULL && dialled->asked &&
	    dialled->credentials->client->config.certificate == NULL;
}

static enum torc_failure
of_alert(const struct tls_session *session, int alert)
{
	switch (alert) {
	case SSL_AD_PROTOCOL_VERSION:
		return TORC_FAILURE_VERSION;
	case SSL_AD_HANDSHAKE_FAILURE:
		return lacks_certificate(session) ? TORC_FAILURE_REFUSED :
		    TORC_FAILURE_CIPHER;
	case SSL_AD_INSUFFICIENT_SECURITY:
	case SSL_AD_NO_APPLICATION_PROTOCOL:
		return TORC_FAILURE_CIPHER;
	default:
		return TORC_FAILURE_REFUSED;
	}
}

/* What OpenSSL finds by itself. */
static enum torc_failure
of_reason(const struct tls_session *session, int reason)
{
	switch (reason) {
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST:
		return TORC_FAILURE_CLEAR;
	case SSL_R_WRONG_VERSION_NUMBER:
		/* Of a record: it is none, unless some were before it. */
		return session->heard ? TORC_FAILURE_PROTOCOL :
		    TORC_FAILURE_CLEAR;
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_VERSION_TOO_LOW:
	case SSL_R_VERSION_TOO_HIGH:
	case SSL_R_WRONG_SSL_VERSION:
	case SSL_R_INAPPROPRIATE_FALLBACK:
		return TORC_FAILURE_VERSION;
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_NO_SHARED_GROUPS:
	case SSL_R_NO_SUITABLE_GROUPS:
	case SSL_R_NO_SUITABLE_KEY_SHARE:
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
	case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
	case SSL_R_NO_APPLICATION_PROTOCOL:
	case SSL_R_WRONG_CURVE:
		return TORC_FAILURE_CIPHER;
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
	case SSL_R_EE_KEY_TOO_SMALL:
	case SSL_R_CA_KEY_TOO_SMALL:
	case SSL_R_CA_MD_TOO_WEAK:
		return TORC_FAILURE_CERTIFICATE;
	default:
		return TORC_FAILURE_PROTOCOL;
	}
}

void
torc_tls_count_failed(struct tls_session *session, unsigned long code)
{
	const int reason = ERR_GET_REASON(code);
	enum torc_failure failure;

	if (session->gone)
		failure = TORC_FAILURE_LEFT;
	else if (reason == ERR_R_MALLOC_FAILURE)
		failure = TORC_FAILURE_MEMORY;
	else if (ERR_GET_LIB(code) != ERR_LIB_SSL)
		failure = TORC_FAILURE_PROTOCOL;
	else if (reason > SSL_AD_REASON_OFFSET)
		failure = of_alert(session, reason - SSL_AD_REASON_OFFSET);
	else
		failure = of_reason(session, reason);
	session->transport.failure = failure;
}
