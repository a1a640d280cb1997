/* SPDX-License-Identifier: MIT */
/*
 * torc_tls.h - TLS under connections, of listeners and dialled ones. The
 * conventions of torc.h hold.
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
 * A client says whom connections that are dialled believe. It is made once, and
 * shared by all reactors, too. The certificate of a server has to be signed by
 * somebody who is trusted, and to name it.
 *
 *	struct torc_tls_client *client;
 *
 *	if (torc_tls_client_create(&client, NULL, &error) == 0 &&
 *	    torc_dial_name(&conn, "example.org:443", deadline) == 0)
 *		rc = torc_tls_dial_begin(conn, client, "example.org", &error,
 *		    deadline);
 *
 * Signatures of RSA keys are slow. Threads of the process make them, one for
 * each CPU at most, when several clients wait or the key has more than 2048
 * bits. A key of ECDSA beside one of RSA avoids that.
 *
 * OpenSSL does the cryptography. Its configuration file is not read, and of its
 * environment variables SSL_CERT_FILE alone.
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
enum torc_tls_client_proof {
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
	enum torc_tls_client_proof client;	/* whether it has to */
	const char *client_ca;		/* path of a PEM file: who signs the
					 * certificates of clients */
	unsigned handshake_ms;		/* for a handshake; default 10000 */
	bool no_tickets;		/* sessions are not resumed */
	torc_tls_password *password;	/* of keys that are encrypted; NULL:
					 * such a key is refused */
	void *password_arg;		/* passed to `password` */
	const char *keylog;		/* path of a file for the secrets of
					 * connections, as SSLKEYLOGFILE has
					 * them; made for its owner alone;
					 * NULL: none */
	const char *client_crl;		/* path of a PEM file: what the signers
					 * of clients, each of them, have
					 * revoked; NULL: nothing */
	const char *ticket_keys;	/* path of a file with the keys of
					 * tickets; NULL: made by torc */
	unsigned handshakes_max;	/* that have begun and are not done;
					 * what comes beyond that is closed;
					 * default 0: no limit */
};

struct torc_tls;

/*
 * Make a context. Its files are read now, and its texts are copied. Returns 0,
 * or: -EINVAL a field is wrong, or a file does not hold what it should;
 * -ENOMEM; the error of opening a file. After an error, `*error` says which
 * field or file it was, and why, unless it is NULL.
 *
 * Several machines resume each other's sessions if their `ticket_keys` hold the
 * same: 1 to 8 keys of random bytes, the newest first, of 80 bytes each, or all
 * of 48, as nginx has them. New tickets are made with the first. Give all
 * machines a new key as their second, and then as their first.
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

/* ---- Clients ---- */

/* How a client talks. It grows: fields that are 0 mean the default. */
struct torc_tls_client_config {
	const char *ca;			/* path of a PEM file: whose signatures
					 * are trusted; NULL: the system's */
	const char *crl;		/* path of a PEM file: what they have
					 * revoked. Then each signer of a chain
					 * needs a list there; NULL: none is
					 * looked at */
	const char *certificate;	/* path of a PEM file: the client's own,
					 * for servers that ask; NULL: none */
	const char *key;		/* path of a PEM file; NULL: it is in
					 * that of the certificate */
	torc_tls_password *password;	/* of a key that is encrypted; NULL:
					 * such a key is refused */
	void *password_arg;		/* passed to `password` */
	const char *const *protocols;	/* ALPN, the best first, NULL at the
					 * end; NULL: none. A client of HTTP
					 * offers its own */
	enum torc_tls_version min_version;	/* no older one is spoken */
	bool no_sessions;		/* each handshake is a whole one */
	const char *keylog;		/* path of a file for the secrets of
					 * connections, as SSLKEYLOGFILE has
					 * them; made for its owner alone;
					 * NULL: none */
};

struct torc_tls_client;

/*
 * Make a client. Its files are read now, and its texts are copied. `config`
 * NULL: all defaults.
 *
 * The system's certificates are read once, and all clients share them. They are
 * in the file that SSL_CERT_FILE names, or else in the first that there is of
 * /etc/ssl/certs/ca-certificates.crt, /etc/pki/tls/certs/ca-bundle.crt and
 * /etc/ssl/cert.pem.
 *
 * Returns 0, or: -EINVAL a field is wrong, or a file does not hold what it
 * should; -ENOENT the system has no certificates; -ENOMEM; the error of opening
 * a file. After an error, `*error` says which field or file it was, and why,
 * unless it is NULL.
 */
TORC_API int torc_tls_client_create_sized(struct torc_tls_client **client,
    const struct torc_tls_client_config *config, size_t size,
    struct torc_error *error);
static inline int
torc_tls_client_create(struct torc_tls_client **client,
    const struct torc_tls_client_config *config, struct torc_error *error)
{
	return torc_tls_client_create_sized(client, config, sizeof(*config),
	    error);
}

/*
 * Let go of a client. Connections keep what they need of it; no configuration
 * may use it any more. NULL is allowed.
 */
TORC_API void torc_tls_client_destroy(struct torc_tls_client *client);

/*
 * Read all files again, also those of the system. Handshakes that begin after
 * that use them, on all reactors, and resume no session that was made before.
 * Connections go on as they are. Allowed on any thread, but on one at a time;
 * it blocks while it reads. Returns 0, or an error as torc_tls_client_create():
 * then everything stays as it was.
 */
TORC_API int torc_tls_client_reload(struct torc_tls_client *client,
    struct torc_error *error);

/*
 * What the configuration of a client of HTTP, PostgreSQL or Redis takes
 * (`transport`). It lives as long as the client.
 */
TORC_API struct torc_transport_dialler *torc_tls_client_transport(
    struct torc_tls_client *client);

/*
 * Parks. Begin TLS on a connection that was dialled, when all that was written
 * is sent. `name` is the host name or the address that the certificate has to
 * name; a name is also told to the server. Nothing may have been received that
 * was not consumed.
 *
 * Returns 0, or: -EKEYREJECTED the certificate is not valid, not signed by
 * somebody who is trusted, or for another name; -EPROTO the server does not
 * speak TLS, or refuses to, or has sent something before it was asked to begin;
 * -ENOLINK it closed the connection; -EINVAL `name` is none; -ETIMEDOUT;
 * -ECANCELED; -ENOMEM; another error of the connection. After an error,
 * `*error` says why, unless it is NULL, and the connection can only be closed.
 *
 * With TLS 1.3 a server refuses a client's certificate, or that there is none,
 * after this has returned 0. The next call that receives then returns -EPROTO,
 * and torc_tls_info_read() tells why.
 */
TORC_API int torc_tls_dial_begin(struct torc_conn *conn,
    struct torc_tls_client *client, const char *name,
    struct torc_error *error, torc_deadline deadline);

/* ---- Connections ---- */

/* What was agreed on for a connection. Its texts live as long as it. */
struct torc_tls_info {
	enum torc_tls_version version;
	const char *cipher;
	const char *name;		/* that the client asks for; or NULL */
	struct torc_slice protocol;	/* by ALPN; of size 0: none */
	bool resumed;
	bool client_verified;		/* of one that was accepted: the
					 * client's certificate is valid */
	const char *failure;		/* of one that was dialled: why TLS
					 * failed, in words; or NULL */
	const char *subject;		/* whom the peer's certificate names,
					 * as RFC 2253 writes it; or NULL: it
					 * has shown none */
	const uint8_t *fingerprint;	/* SHA-256 of that certificate, 32
					 * bytes; or NULL */
};

/*
 * Tell what was agreed on. Returns 0, or -ENOTCONN: the connection has no TLS;
 * -ENOMEM.
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
