/* SPDX-License-Identifier: MIT */
/*
 * scripted.h - a server of PostgreSQL's protocol that does as it is told, in
 * clear text or over the toy transport (tests/toy.h), and writes down what it
 * was asked for. Each connection has a thread.
 */
#ifndef TORC_TESTS_PG_SCRIPTED_H
#define TORC_TESTS_PG_SCRIPTED_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define SCRIPTED_CONNS 16u
#define SCRIPTED_LOG 256u

struct bytes {
	const char *data;	/* NULL: nothing, and it waits */
	size_t size;
};

#define BYTES(literal) ((struct bytes) { literal, sizeof(literal) - 1 })

/* What it does. */
struct script {
	struct bytes answer;	/* to the question for TLS */
	bool broken;		/* it talks nonsense in the handshake */
	bool once;		/* it has TLS for one connection only */
	bool cut;		/* a statement is answered with FIN alone */
	struct bytes clear;	/* to a startup in clear text */
	struct bytes tls;	/* to a startup over TLS */
};

/*
 * What it was asked, a letter each, and a space behind each connection:
 *
 *	q	for TLS
 *	h	a handshake
 *	c, t	a startup, in clear text or over TLS
 *	C, T	a cancel, in clear text or over TLS
 *	p	an answer to a request for a password
 *	s	a statement
 *	x	the end
 */
struct scripted {
	const struct script *script;
	int listener;
	unsigned port;
	char address[128];
	pthread_t thread;
	pthread_mutex_t lock;
	unsigned count;
	unsigned handshakes;
	struct scripted_conn {
		struct scripted *server;
		pthread_t thread;
		int fd;
		char log[16];
	} conns[SCRIPTED_CONNS];
	char said[512];		/* the answer to the request for a password */
	size_t said_size;
};

/* `local`: at a unix socket of this path, instead of a port. */
void scripted_start(struct scripted *server, const struct script *script,
    const char *local);
/* When all connections have ended: what it was asked. */
void scripted_stop(struct scripted *server, char log[SCRIPTED_LOG]);

#endif
