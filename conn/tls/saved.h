/* SPDX-License-Identifier: MIT */
/*
 * saved.h - sessions that a client can resume, which all reactors share.
 */
#ifndef TORC_TLS_SAVED_H
#define TORC_TLS_SAVED_H

#include <openssl/ssl.h>
#include <pthread.h>

#include "conn/transport.h"

#define TLS_SAVED_ROWS 64u
#define TLS_SAVED_ROW 16u	/* sessions of a row, at most */
#define TLS_SAVED_EACH 8u	/* of them, those with one name */

struct tls_saved_one;

/* Begins with zeroes, but for the lock. */
struct tls_saved {
	pthread_mutex_t lock;
	struct tls_saved_one *rows[TLS_SAVED_ROWS];	/* the newest first */
};

void torc_tls_saved_init(struct tls_saved *saved);
void torc_tls_saved_fini(struct tls_saved *saved);
/*
 * Keep a session for connections to that name, with that trust. It is the
 * cache's from now on, if it is true that it was kept.
 */
bool torc_tls_saved_put(struct tls_saved *saved, const char *name,
    enum torc_trust trust, SSL_SESSION *session);
/* One of them, which is the caller's, or NULL. A ticket of 1.3 is told once. */
SSL_SESSION *torc_tls_saved_take(struct tls_saved *saved, const char *name,
    enum torc_trust trust);

#endif
