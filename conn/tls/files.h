/* SPDX-License-Identifier: MIT */
/*
 * files.h - certificates, keys and what goes with them, as OpenSSL has them.
 */
#ifndef TORC_TLS_FILES_H
#define TORC_TLS_FILES_H

#include "conn/tls/context.h"

/* Read what a host has. NULL: `error` says which file is wrong, and why. */
SSL_CTX *torc_tls_files_read(struct torc_tls *tls, const struct tls_host *host,
    struct torc_error *error);

#endif
