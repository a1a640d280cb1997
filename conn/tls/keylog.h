/* SPDX-License-Identifier: MIT */
/*
 * keylog.h - secrets of connections, for whoever looks at packets.
 */
#ifndef TORC_TLS_KEYLOG_H
#define TORC_TLS_KEYLOG_H

#include <openssl/ssl.h>

#include "conn/tls/torc_tls.h"

#define TLS_NO_KEYLOG (-1)

/* A descriptor, or a negative errno, and `error` says why. */
int torc_tls_keylog_open(const char *path, struct torc_error *error);
/* Sessions of a context write there. It lives as long as the context. */
void torc_tls_keylog_use(SSL_CTX *context, const int *keylog);

#endif
