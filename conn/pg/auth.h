/* SPDX-License-Identifier: MIT */
/*
 * auth.h - proofs that we know the password, and that the server does:
 * SCRAM-SHA-256 (RFC 5802 and 7677) and MD5. Plain functions from bytes to
 * bytes; the cryptography is libcrypto's. Any thread.
 */
#ifndef TORC_PG_AUTH_H
#define TORC_PG_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PG_SCRAM "SCRAM-SHA-256"
#define PG_SCRAM_PLUS "SCRAM-SHA-256-PLUS"
#define PG_HASH_SIZE 32u
#define PG_SCRAM_SIZE 1024u	/* of one message of the server's */
#define PG_MD5_SIZE 36u		/* "md5", 32 digits, and the end */

#define PG_BINDING_SIZE 64u	/* a hash of a certificate, at most */

/*
 * How a login is bound to the TLS connection below it (RFC 5802, gs2-cbind):
 * not at all; it could be, but the server does not offer it; or by the hash of
 * the server's certificate (tls-server-end-point, RFC 5929). The server
 * compares this with what it has offered, so nobody in between can take the
 * offer away.
 */
enum pg_bound {
	PG_BINDING_NONE,
	PG_BINDING_UNUSED,
	PG_BINDING_USED,
};

struct pg_binding {
	enum pg_bound bound;
	uint8_t data[PG_BINDING_SIZE];	/* PG_BINDING_USED: the hash */
	size_t size;
};

/*
 * A login, step by step. If a step fails, so does the login: -EPROTO the
 * message is invalid; -EACCES it must not be accepted.
 */
struct pg_scram {
	const char *password;
	struct pg_binding binding;
	char nonce[32];		/* ours */
	char server_first[PG_SCRAM_SIZE];
	char combined[PG_SCRAM_SIZE];	/* our nonce with the server's */
	uint8_t salt[PG_SCRAM_SIZE];
	int salt_size;
	int iterations;
	uint8_t salted[PG_HASH_SIZE];
	uint8_t server_signature[PG_HASH_SIZE];
	bool answered;
	bool verified;		/* the server knows the password, too */
};

/*
 * Begin with a random nonce, or with one that a test knows. `password` stays
 * the caller's. `binding` is copied. Returns -EIO if there is no randomness.
 */
int torc_pg_scram_begin(struct pg_scram *scram, const char *password,
    const struct pg_binding *binding);

/* Write our first message into `text`. Returns its length. */
int torc_pg_scram_first(const struct pg_scram *scram, char *text, size_t size);

/*
 * Read the server's first message. Returns -EACCES if it has more iterations
 * than `most`.
 */
int torc_pg_scram_challenge(
    struct pg_scram *scram, const void *data, size_t size, unsigned most);

/*
 * Do the slow part: as many hashes as the server asked for. May run on another
 * thread.
 */
int torc_pg_scram_derive(void *scram);

/* Write our last message into `text`. Returns its length. */
int torc_pg_scram_final(struct pg_scram *scram, char *text, size_t size);

/*
 * Read the server's last message. Returns 0 if it proves that the server knows
 * the password.
 */
int torc_pg_scram_verify(struct pg_scram *scram, const void *data, size_t size);

/* Write what is sent instead of the password. Returns 0 or -EIO. */
int torc_pg_md5(char text[static PG_MD5_SIZE], const char *user,
    const char *password, const uint8_t salt[static 4]);

#endif
