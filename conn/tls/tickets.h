/* SPDX-License-Identifier: MIT */
/*
 * tickets.h - the keys of tickets, which all reactors share.
 */
#ifndef TORC_TLS_TICKETS_H
#define TORC_TLS_TICKETS_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define TLS_TICKET_KEYS 3u	/* the one in use, and those before it */
#define TLS_TICKET_KEYS_MAX 8u	/* of a file, */
#define TLS_TICKET_KEY_SIZE 80u	/* in bytes, at most */

struct tls_ticket_key {
	uint8_t name[16];
	uint8_t cipher[32];
	uint8_t sum[32];
	bool small;		/* 16 bytes of each, for AES-128 */
};

struct tls_ticket_keys {
	struct tls_ticket_key keys[TLS_TICKET_KEYS_MAX];	/* the newest
								 * first */
	unsigned count;
};

struct tls_tickets {
	pthread_mutex_t lock;
	struct tls_ticket_keys ring;
	uint64_t turn_at;	/* the clock's time of the next key; never for
				 * those of a file */
};

/* 0 or a negative errno. */
int torc_tls_tickets_init(struct tls_tickets *tickets);
void torc_tls_tickets_fini(struct tls_tickets *tickets);
/* Those of a file, if it is as torc_tls.h says. */
bool torc_tls_tickets_read(struct tls_ticket_keys *keys, const uint8_t *bytes,
    unsigned size);
/* From now on these are used, and no others are made. */
void torc_tls_tickets_set(struct tls_tickets *tickets,
    const struct tls_ticket_keys *keys);
/* Sessions of a context are resumed with these keys. */
void torc_tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *context);

#endif
