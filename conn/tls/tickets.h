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

struct tls_ticket_key {
	uint8_t name[16];
	uint8_t cipher[32];
	uint8_t sum[32];
};

struct tls_tickets {
	pthread_mutex_t lock;
	struct tls_ticket_key keys[TLS_TICKET_KEYS];	/* the newest first */
	unsigned count;
	uint64_t turn_at;	/* the clock's time of the next key */
};

/* 0 or a negative errno. */
int torc_tls_tickets_init(struct tls_tickets *tickets);
void torc_tls_tickets_fini(struct tls_tickets *tickets);
/* Sessions of a context are resumed with these keys. */
void torc_tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *context);

#endif
