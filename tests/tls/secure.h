/* SPDX-License-Identifier: MIT */
/*
 * secure.h - servers of TLS for tests of clients: OpenSSL over blocking
 * sockets, a thread for each connection. Their certificates lie in the folder
 * of peer.h.
 */
#ifndef TORC_TESTS_TLS_SECURE_H
#define TORC_TESTS_TLS_SECURE_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>

#define SECURE_MOST 64u		/* connections at a time */

struct secure {
	SSL_CTX *context;	/* may be changed before it runs */
	/* What a client has said. False: it is the end. */
	bool (*obey)(struct secure *secure, SSL *ssl, const char *text,
	    int size);
	int listener;
	unsigned port;		/* of 127.0.0.1 */
	pthread_t thread;
	pthread_mutex_t lock;	/* for all that follows */
	pthread_cond_t idle;
	int fds[SECURE_MOST];	/* -1: none */
	unsigned live;
	unsigned whole;		/* handshakes that were not resumed */
	unsigned resumed;
	unsigned asked;		/* how often a client has said something */
	int reason;		/* why the last one failed, or 0 */
	char name[300];		/* that the last client asked for; "-" */
};

/* In the folder: authorities "good" and "other", and what they signed. */
void secure_files_make(void);
/* A server with the certificate of that name, and at most that version. */
void secure_start(struct secure *secure, const char *pair, int version);
void secure_run(struct secure *secure);
/* What it has counted stays. */
void secure_stop(struct secure *secure);
/* Counted since it runs. */
unsigned secure_handshakes(struct secure *secure, bool resumed);
/* A listener on 127.0.0.1, that nobody serves. */
int secure_listen(unsigned *port);
/* Sends everything back; "end" ends, "cut" ends without close_notify. */
bool secure_echo(struct secure *secure, SSL *ssl, const char *text, int size);

#endif
