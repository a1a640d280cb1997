/* SPDX-License-Identifier: MIT */
/*
 * dialled.h - what a session asks of the client that has dialled it.
 */
#ifndef TORC_TLS_DIALLED_H
#define TORC_TLS_DIALLED_H

#include <stdint.h>

struct tls_session;

/* A message of a handshake has come. */
void torc_tls_dialled_hear(struct tls_session *session, uint8_t kind);
/* It has failed, and this is what OpenSSL says; 0: it says nothing. */
void torc_tls_dialled_fail(struct tls_session *session, unsigned long code);
/* Its connection is over. OpenSSL's session is still there. */
void torc_tls_dialled_release(struct tls_session *session);

#endif
