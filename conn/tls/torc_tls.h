/* SPDX-License-Identifier: MIT */
/*
 * torc_tls.h - TLS under the connections of a listener. The conventions of
 * torc.h hold.
 *
 * A context says who a server is: its certificates and keys, and how it talks.
 * It is made once and shared by all reactors. An endpoint that has it
 * (`transport` of struct torc_endpoint) speaks TLS with the same handlers as
 * one that does not: all calls of torc.h mean the same above it.
 *
 *	struct torc_tls_config how = { .certificate = "a.pem", .key = "a.key" };
 *	struct torc_tls *tls;
 *
 *	if (torc_tls_create(&tls, &how, &error) == 0)
 *		endpoint.transport = torc_tls_transport(tls);
 *
 * A handler starts when the handshake is done. A stream that is cut, without
 * the peer's close_notify, ends with -ENOLINK instead of 0. torc_conn_lend() of
 * such a connection returns -EOPNOTSUPP; files go by torc_file_send().
 *
 * OpenSSL does the cryptography. Its configuration file and its environment
 * variables are not read.
 */
#ifndef TORC_TLS_H
#define TORC_TLS_H

#include "torc.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

#ifdef __cplusplus
extern "C" {
#endif

/* Versions of TLS. */
enum torc_tls_version {
	TORC_TLS_DEFAULT = 0,	/* of a minimum: 1.2 */
	TORC_TLS_1_2 = 0x0303,
	TORC_TLS_1_3 = 0x0304,
};

/* Whether a client has to say who it is. */
enum torc_tls_client {
	TORC_TLS_CLIENT_UNASKED,	/* it is not asked */
	TORC_TLS_CLIENT_ASKED,		/* a certificate that it has must be
					 * valid */
	TORC_TLS_CLIENT_REQUIRED,	/* it must have one */
};

/* Called for the password of a key: write it to `text`, return its size. */
typedef int torc_tls_password(char *text, int size, void *arg);

/* How a context talks. It grows: fields that are 0 mean the default. */
struct torc_tls_config {
	const char *certificate;	/* path of a PEM file: the server's
					 * first, then its chain */
	const char *key;		/* path of a PEM file; NULL: it is in
					 * that of the certificate */
	const char *const *protocols;	/* ALPN, the best first, NULL at the
					 * end; NULL: none */
	enum torc_tls_version min_version;	/* no older one is spoken */
	enum torc_tls_client client;	/* whether it says who it is */
	const char *client_ca;		/* path of a PEM file: who signs the
					 * certificates of clients */
	unsigned handshake_ms;		/* for a handshake; default 10000 */
	bool no_tickets;		/* sessions are not resumed */
	torc_tls_password *password;	/* of keys that are encrypted; NULL:
					 * such a key is refused */
	void *password_arg;		/* passed to `password` */
};

struct torc_tls;

/*
 * Make a context. Its files are read now, and its texts are copied. Returns 0,
 * or: -EINVAL a field is wrong, or a file does not hold what it should;
 * -ENOMEM; the error of opening a file. After an error, `*error` says which
 * field or file it was, and why, unless it is NULL.
 */
TORC_API int torc_tls_create_sized(struct torc_tls **tls,
    const struct torc_tls_config *config, size_t size,
    struct torc_error *error);
static inline int
torc_tls_create(struct torc_tls **tls, const struct torc_tls_config *config,
    struct torc_error *error)
{
	return torc_tls_create_sized(tls, config, sizeof(*config), error);
}

/*
 * Let go of a context. Connections keep what they need of it; no endpoint may
 * use it any more. NULL is allowed.
 */
TORC_API void torc_tls_destroy(struct torc_tls *tls);

/*
 * Add a certificate and its key for clients that ask for `name`. A name is that
 * of a host, or "*." and the rest of one: then any single label may stand for
 * the star. An exact name goes before such a one. Call it again for a second
 * kind of key, such as RSA beside ECDSA: each client is given the one that it
 * can use. Of two of one kind, the one that was added first is shown. `name`
 * NULL adds to the default, which is chosen when no name fits. `key` NULL: the
 * key is in the file of the certificate. What was added before is not added
 * again. Allowed at the same times as torc_tls_reload(): handshakes that begin
 * after it know the host. Returns 0, or an error as torc_tls_create(): then
 * nothing was added.
 */
TORC_API int torc_tls_host_add(struct torc_tls *tls, const char *name,
    const char *certificate, const char *key, struct torc_error *error);

/*
 * Read all files again. Handshakes that begin after that use them, on all
 * reactors. Connections go on as they are, and sessions are still resumed.
 * Allowed on any thread, also while the context is in use, but on one at a
 * time; it blocks while it reads. Returns 0, or an error as torc_tls_create():
 * then everything stays as it was.
 */
TORC_API int torc_tls_reload(struct torc_tls *tls, struct torc_error *error);

/* What an endpoint or a listener takes. It lives as long as the context. */
TORC_API struct torc_transport_maker *torc_tls_transport(struct torc_tls *tls);

/* What was agreed on for a connection. Its texts live as long as it. */
struct torc_tls_info {
	enum torc_tls_version version;
	const char *cipher;
	const char *name;		/* that the client asked for; or NULL */
	struct torc_slice protocol;	/* by ALPN; of size 0: none */
	bool resumed;
	bool client_verified;		/* its certificate is valid */
};

/*
 * Tell what was agreed on. Returns 0, or -ENOTCONN: the connection has no TLS.
 */
TORC_API int torc_tls_info_read_sized(const struct torc_conn *conn,
    struct torc_tls_info *info, size_t size);
static inline int
torc_tls_info_read(const struct torc_conn *conn, struct torc_tls_info *info)
{
	return torc_tls_info_read_sized(conn, info, sizeof(*info));
}

#ifdef __cplusplus
}
#endif

#pragma GCC diagnostic pop

#endif
