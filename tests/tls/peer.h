/* SPDX-License-Identifier: MIT */
/*
 * peer.h - a client of TLS for tests: OpenSSL over memory, and a blocking
 * socket, so that a test has every byte in its hands. Certificates are made by
 * openssl, into a folder that goes with the test.
 */
#ifndef TORC_TESTS_TLS_PEER_H
#define TORC_TESTS_TLS_PEER_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#define PEER_KINDS 64u

struct peer {
	int fd;
	SSL *ssl;
	BIO *in;
	BIO *out;
	/* The records that came: their kinds, and what the next one lacks. */
	unsigned records;
	unsigned char kinds[PEER_KINDS];
	unsigned char header[5];
	size_t header_size;
	size_t left;
	unsigned rekeyed;	/* changes of keys that the server told of */
};

/* How the server ended a stream. */
enum peer_end {
	PEER_SAID,	/* close_notify, and then FIN */
	PEER_CUT,	/* FIN alone */
	PEER_BROKEN,	/* a reset, an alert, or no end in time */
};

/* Make the folder and what is in it; its path. */
const char *peer_files_make(void);
/* Those that a script of sh makes, whose first argument is the folder. */
void peer_files_add(const char *more);
void peer_files_remove(void);
/* The path of a file in it; good until the 32nd call after this. */
const char *peer_file(const char *name);
/* Write a file of it anew, from another one's first `part` percent. */
void peer_file_copy(const char *to, const char *from, unsigned part);

/* A context of a client that trusts everybody; it is freed by the caller. */
SSL_CTX *peer_context(int least, int most);

/* Connect. `name` is asked for, unless it is NULL. No byte is sent yet. */
void peer_open(struct peer *peer, SSL_CTX *context, unsigned port,
    const char *name);
/* The handshake: whether it succeeds. */
bool peer_shake(struct peer *peer);
/* Both. */
void peer_meet(struct peer *peer, SSL_CTX *context, unsigned port,
    const char *name);
/* What OpenSSL would send now, to `bytes`. Its size. */
size_t peer_take(struct peer *peer, unsigned char *bytes, size_t size);
/* Send that. */
void peer_send(struct peer *peer);
/* Receive some bytes: 0 FIN, -1 an error. */
long peer_receive(struct peer *peer);
void peer_say(struct peer *peer, const char *text);
/* Read so much. False: the stream ended before. */
bool peer_read(struct peer *peer, void *data, size_t size);
/* One line, without its end, as text. */
bool peer_line(struct peer *peer, char *line, size_t size);
void peer_hear(struct peer *peer, const char *text);
/* Say it, and hear it. */
void peer_echo(struct peer *peer, const char *text);
/* Read to the end. */
enum peer_end peer_end(struct peer *peer);
/* Whose certificate the server has, by its common name. */
const char *peer_server(struct peer *peer);
void peer_close(struct peer *peer);

#endif
