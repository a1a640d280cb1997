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

#endif
