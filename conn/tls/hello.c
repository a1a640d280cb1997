/* SPDX-License-Identifier: MIT */
/*
 * hello.c - the host that a client asks for. It is chosen before a session is
 * looked up, so that a session of one host is not resumed at another one; and
 * whether the loop or a thread answers.
 */
#include <string.h>
#include <strings.h>

#include "conn/tls/session.h"

#define SLOW_BITS 2048u	/* of RSA: half a millisecond, and more with others */

/* The name in the extension's bytes (RFC 6066, 3), or NULL; its size. */
static const char *
read_name(const uint8_t *data, size_t size, size_t *name_size)
{
	const size_t list = size >= 2 ? (size_t)data[0] << 8 | data[1] : 0;
	size_t length;

	if (size < 5 || list != size - 2 ||
	    data[2] != TLSEXT_NAMETYPE_host_name)
		return NULL;
	length = (size_t)data[3] << 8 | data[4];
	if (length != size - 5 || length == 0 || length > TLS_NAME_MAX ||
	    memchr(data + 5, '\0', length) != NULL)
		return NULL;
	/* A dot at its end says that it is whole. */
	*name_size = data[5 + length - 1] == '.' ? length - 1 : length;
	return (const char *)data + 5;
}

static bool
is_it(const char *ours, const char *name, size_t size)
{
	return strlen(ours) == size && strncasecmp(ours, name, size) == 0;
}

/* The exact one, else the one for a label in its front, else the default. */
static const struct tls_served *
choose(const struct tls_generation *generation, const char *name, size_t size)
{
	const char *dot = memchr(name, '.', size);
	const struct tls_served *best = &generation->served[0];

	for (unsigned i = 0; i < generation->count; i++) {
		const struct tls_served *served = &generation->served[i];
		const char *ours = served->host->name;

		if (ours == NULL)
			continue;
		if (is_it(ours, name, size))
			return served;
		if (ours[0] == '*' && dot != NULL && dot > name &&
		    is_it(ours + 1, dot, size - (size_t)(dot - name)))
			best = served;
	}
	return best;
}

/* The client has something from an earlier session: a signature is unlikely. */
static bool
continues(SSL *ssl)
{
	const uint8_t *data;
	size_t size;

	return SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_psk, &data,
	    &size) == 1 || (SSL_client_hello_get0_ext(ssl,
	    TLSEXT_TYPE_session_ticket, &data, &size) == 1 && size > 0);
}

/*
 * The answer takes so long that a thread is to make it: if others wait for the
 * loop, or the signature alone is longer than a turn should be. What has come
 * behind the hello would have to go along.
 */
static bool
is_for_thread(struct tls_session *session, const struct tls_served *served)
{
	return served->slow_bits > 0 && session->in_size == 0 &&
	    (served->slow_bits > SLOW_BITS ||
	    torc_transport_in_line(&session->transport)) &&
	    !continues(session->ssl);
}

int
torc_tls_session_choose(SSL *ssl, int *alert, void *arg)
{
	struct tls_session *session = SSL_get_app_data(ssl);
	const struct tls_served *served = &session->generation->served[0];
	const uint8_t *data;
	const char *name = NULL;
	size_t size, name_size = 0;

	(void)alert;
	(void)arg;
	if (session->asked_again) {
		session->asked_again = false;
		return SSL_CLIENT_HELLO_SUCCESS;
	}
	/* It may have waited: a signature for nobody would be the next step. */
	session->gone = torc_transport_has_left(&session->transport);
	if (session->gone)
		return SSL_CLIENT_HELLO_ERROR;
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data,
	    &size) == 1)
		name = read_name(data, size, &name_size);
	torc_transport_name(&session->transport, name, name_size);
	if (name != NULL) {
		served = choose(session->generation, name, name_size);
		SSL_set_SSL_CTX(ssl, served->context);
		/* That does not take everything along. */
		SSL_set_verify(ssl, SSL_CTX_get_verify_mode(served->context),
		    NULL);
	}
	session->asked_again = is_for_thread(session, served);
	return session->asked_again ? SSL_CLIENT_HELLO_RETRY :
	    SSL_CLIENT_HELLO_SUCCESS;
}
