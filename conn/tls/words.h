/* SPDX-License-Identifier: MIT */
/*
 * words.h - why a session that was dialled failed, in words.
 */
#ifndef TORC_TLS_WORDS_H
#define TORC_TLS_WORDS_H

#include <openssl/x509_vfy.h>

#include "conn/tls/client.h"

#define TLS_WORDS_MAX 640u	/* bytes of them */

/* What is wrong with a certificate, as it is found. */
void torc_tls_words_verify(const struct tls_dialled *dialled,
    X509_STORE_CTX *found, char text[TLS_WORDS_MAX]);
/* What OpenSSL says; 0: it says nothing. */
void torc_tls_words_reason(const struct tls_dialled *dialled,
    unsigned long code, char text[TLS_WORDS_MAX]);

#endif
