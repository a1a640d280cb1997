/* SPDX-License-Identifier: MIT */
/*
 * client.h - what a client of TLS is, and one session that it has dialled.
 */
#ifndef TORC_TLS_CLIENT_H
#define TORC_TLS_CLIENT_H

#include <openssl/ssl.h>
#include <pthread.h>

#include "conn/tls/files.h"
#include "conn/tls/keylog.h"
#include "conn/tls/saved.h"
#include "conn/tls/session.h"
#include "conn/tls/torc_tls.h"
#include "conn/transport.h"

/*
 * A client's files as they were read at one time, and the sessions that were
 * made with them. Connections that began with them hold it.
 */
struct tls_credentials {
	struct torc_tls_client *client;
	unsigned references;
	SSL_CTX *context;
	struct tls_saved saved;
};

/*
 * Made by one thread. Then `lock` is for what is counted and for `now`, and all
 * else stays as it is.
 */
struct torc_tls_client {
	struct torc_transport_dialler dialler;
	unsigned references;		/* of the program, of credentials */
	struct torc_tls_client_config config;	/* its texts are copies */
	struct tls_password password;
	int keylog;			/* or TLS_NO_KEYLOG */
	uint8_t *protocols;		/* as ALPN has them */
	unsigned protocols_size;
	pthread_mutex_t lock;
	struct tls_credentials *now;
};

/* A session that was dialled. */
struct tls_dialled {
	struct tls_session session;
	struct tls_credentials *credentials;
	enum torc_trust trust;
	bool asked;		/* the server wants a certificate of ours */
	char *why;		/* it failed, in words; NULL: it has not */
	char name[];		/* in lower case, without a dot at its end */
};

/* The one that a session is. It is one. */
static inline struct tls_dialled *
torc_tls_dialled_of(const struct tls_session *session)
{
	torc_debug_assert(session->generation == NULL);
	return (struct tls_dialled *)(uintptr_t)session;
}

/* Those that are used now, held; and let go again. */
struct tls_credentials *torc_tls_credentials_take(
    struct torc_tls_client *client);
void torc_tls_credentials_put(struct tls_credentials *credentials);

/* For sessions of a client's context: what goes with each. */
void torc_tls_dialled_prepare(SSL_CTX *context);
/* struct torc_transport_dialler has the contracts of these. */
struct torc_transport *torc_tls_dialled_make(
    struct torc_transport_dialler *dialler, const char *name,
    enum torc_trust trust);
bool torc_tls_dialled_offer(struct torc_transport *transport,
    const char *protocol);
struct torc_slice torc_tls_dialled_protocol(
    const struct torc_transport *transport);
int torc_tls_dialled_binding(const struct torc_transport *transport,
    uint8_t out[64]);
const char *torc_tls_dialled_why(const struct torc_transport *transport);

#endif
