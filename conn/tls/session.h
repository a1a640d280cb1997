/* SPDX-License-Identifier: MIT */
/*
 * session.h - TLS as a transport: one session of OpenSSL for each connection.
 */
#ifndef TORC_TLS_SESSION_H
#define TORC_TLS_SESSION_H

#include <openssl/ssl.h>

#include "conn/tls/context.h"
#include "conn/transport.h"

#define TLS_HEADER 5u		/* bytes: kind, version, size */
#define TLS_QUIET_MAX 32u	/* such messages without data between */

/* How a step of a handshake ended, without anything that is of a thread. */
struct tls_outcome {
	int what;		/* SSL_ERROR_NONE: the handshake is done */
	unsigned long code;	/* OpenSSL's, of an error */
};

/* What its certificate says of the peer. */
struct tls_peer {
	uint8_t fingerprint[32];
	char subject[];
};

struct tls_session {
	struct torc_transport transport;
	struct tls_generation *generation;	/* NULL: it was dialled */
	SSL *ssl;
	/* What comes, while it is opened. */
	const uint8_t *in;
	uint32_t in_size;
	/* The record that comes: its header, and bytes that it still lacks. */
	uint8_t header[TLS_HEADER];
	uint32_t header_size;
	uint32_t record_size;
	uint32_t left;
	struct tls_away *away;	/* a thread does a step; or NULL */
	bool asked_again;	/* the hello that is chosen for has been seen */
	bool gone;		/* the client, before it was answered */
	bool counted;		/* among the handshakes of the context */
	bool heard;		/* a message of its handshake has come */
	uint32_t warm;		/* bytes that were sent in small records */
	uint64_t sent_at;	/* the clock's time of the last ones */
	struct tls_peer *peer;	/* when somebody has asked; or NULL */
	unsigned quiet;		/* messages of handshakes since data came */
};

/*
 * A session of a listener's context, which holds the generation from now on; or
 * NULL: no memory, and it is put.
 */
struct torc_transport *torc_tls_session_accept(
    struct tls_generation *generation);

/*
 * Begin a session, at the head of a structure of torc_sys_alloc(). False: no
 * memory, and it was let go of as by torc_tls_session_drop().
 */
bool torc_tls_session_open(struct tls_session *session, SSL_CTX *context);
/* Let go of what it holds, and free it. No connection has it. */
void torc_tls_session_drop(struct tls_session *session);

/* Of a session whose peer has shown a certificate. NULL: no memory. */
const struct tls_peer *torc_tls_session_peer(struct tls_session *session);

/* The session that a transport is, or NULL: it is none. */
const struct tls_session *torc_tls_session_find(
    const struct torc_transport *transport);

/* Each message that comes or goes. */
void torc_tls_session_hear(int sent, int version, int kind,
    const void *message, size_t size, SSL *ssl, void *arg);

/* The client has said hello: choose the host that it asks for. */
int torc_tls_session_choose(SSL *ssl, int *alert, void *arg);

#endif
