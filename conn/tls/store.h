/* SPDX-License-Identifier: MIT */
/*
 * store.h - certificates of those who may sign others.
 */
#ifndef TORC_TLS_STORE_H
#define TORC_TLS_STORE_H

#include <openssl/x509.h>

#include "conn/tls/torc_tls.h"

/*
 * A store, which is the caller's, or NULL, and `error` says why. `ca`: a file
 * of them; NULL: those of the system, which are read once for all, and `anew`
 * if that is asked for. `crl`: a file of what they revoked, or NULL.
 */
X509_STORE *torc_tls_store_take(const char *ca, const char *crl, bool anew,
    struct torc_error *error);

#endif
