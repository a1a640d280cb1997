/* SPDX-License-Identifier: MIT */
/*
 * bio.h - where OpenSSL reads and writes records: what has just come, and what
 * is sent next.
 */
#ifndef TORC_TLS_BIO_H
#define TORC_TLS_BIO_H

#include <openssl/bio.h>

struct tls_session;

/* For one session, which outlives it; NULL: no memory. */
BIO *torc_tls_bio(struct tls_session *session);

#endif
