/* SPDX-License-Identifier: MIT */
/*
 * files.h - certificates, keys and what goes with them, as OpenSSL has them.
 */
#ifndef TORC_TLS_FILES_H
#define TORC_TLS_FILES_H

#include "conn/tls/context.h"

/*
 * Before anything else of OpenSSL: it would clean up after itself at exit,
 * beside threads that run, and read files of its own. 0 or an errno.
 */
int torc_tls_files_start(struct torc_error *error);

/* Whether a minimum is one. 0 or -EINVAL. */
int torc_tls_files_version(enum torc_tls_version least,
    struct torc_error *error);

/* Fill `error` in with what OpenSSL says of a file. A negative errno. */
int torc_tls_files_say(struct torc_error *error, const char *what,
    const char *path);

/*
 * A context with what servers and clients have in common. The password lives as
 * long as it. NULL: `error` says why.
 */
SSL_CTX *torc_tls_files_begin(const SSL_METHOD *method,
    enum torc_tls_version least, struct tls_password *password,
    struct torc_error *error);

/* Add a certificate, its chain and its key. 0, or a negative errno. */
int torc_tls_files_pair(SSL_CTX *context, const struct tls_pair *pair,
    struct torc_error *error);

/*
 * Read what `served->host` has, and fill the rest in. `context` NULL: `error`
 * says which file is wrong, and why.
 */
void torc_tls_files_read(struct torc_tls *tls, struct tls_served *served,
    struct torc_error *error);

/* The keys of tickets that a file holds. 0, or `error` says why not. */
int torc_tls_files_keys(struct tls_ticket_keys *keys, const char *path,
    struct torc_error *error);

#endif
