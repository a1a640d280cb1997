/* SPDX-License-Identifier: MIT */
/*
 * context.h - what a context is.
 */
#ifndef TORC_TLS_CONTEXT_H
#define TORC_TLS_CONTEXT_H

#include <openssl/ssl.h>
#include <pthread.h>

#include "conn/tls/tickets.h"
#include "conn/tls/torc_tls.h"
#include "conn/transport.h"

#define TLS_NAME_MAX 255u

/* Of keys that are encrypted. */
struct tls_password {
	torc_tls_password *ask;		/* or NULL */
	void *arg;
};

/* A certificate and its key, as files. */
struct tls_pair {
	struct tls_pair *next;
	char *certificate;
	char *key;
};

struct tls_host {
	struct tls_host *next;
	char *name;		/* in lower case; NULL: the default */
	struct tls_pair *pairs;
};

/*
 * The files as they were read at one time. Handshakes that began with them
 * hold it.
 */
struct tls_generation {
	struct torc_tls *tls;
	unsigned references;
	unsigned count;
	struct tls_served {
		const struct tls_host *host;
		SSL_CTX *context;
		unsigned slow_bits;	/* of an RSA key that each full
					 * handshake signs with; or 0 */
	} served[];		/* the default first */
};

/*
 * Made by one thread. Then `lock` is for what is counted, `now` and
 * `notice_from`, and all else stays as it is; the keys of tickets have a lock
 * of their own.
 */
struct torc_tls {
	struct torc_transport_maker maker;
	unsigned references;		/* of the program, of generations */
	struct torc_tls_config config;	/* its texts are copies */
	struct tls_password password;
	int keylog;			/* or TLS_NO_KEYLOG */
	uint8_t *protocols;		/* as ALPN has them */
	unsigned protocols_size;
	struct tls_host *hosts;		/* the default first */
	struct tls_tickets tickets;
	pthread_mutex_t lock;
	struct tls_generation *now;
	uint64_t notice_from;	/* the operator is not told before */
	unsigned shaking;	/* handshakes that have begun */
};

/* A handshake is over: there may be another one. */
void torc_tls_generation_shaken(struct tls_generation *generation);

/* A handshake is over, or its connection. */
void torc_tls_generation_put(struct tls_generation *generation);

#endif
