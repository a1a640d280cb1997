/* SPDX-License-Identifier: MIT */
/*
 * alpn.h - protocols, as ALPN has them.
 */
#ifndef TORC_TLS_ALPN_H
#define TORC_TLS_ALPN_H

#include <stdint.h>

#include "conn/tls/torc_tls.h"

/*
 * `names` (which end with NULL, or are none) to `*bytes`, each with its size in
 * front; NULL: there is none. 0, or a negative errno, and `error` says why.
 */
int torc_tls_alpn_encode(const char *const *names, uint8_t **bytes,
    unsigned *size, struct torc_error *error);

/* Whether such a list, which may be empty (NULL, 0), has a protocol. */
bool torc_tls_alpn_has(const uint8_t *list, unsigned size,
    const char *protocol);

#endif
