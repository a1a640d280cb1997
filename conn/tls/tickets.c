/* SPDX-License-Identifier: MIT */
/*
 * tickets.c - the keys of tickets. A new one takes over after TURN_NS; tickets
 * of the two before it are still taken, and renewed.
 */
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "conn/tls/tickets.h"
#include "conn/tls/torc_tls.h"
#include "sys/sys.h"

#define TURN_NS (12ull * 3600 * 1000000000)

static int ring_index = -1;	/* of a context's data */

static void
make_index(void)
{
	ring_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

/* A new key, in front. */
static int
turn(struct tls_tickets *tickets)
{
	struct tls_ticket_key key;

	int rc = torc_sys_random(&key, sizeof(key));

	if (rc < 0)
		return rc;
	memmove(&tickets->keys[1], &tickets->keys[0],
	    sizeof(key) * (TLS_TICKET_KEYS - 1));
	tickets->keys[0] = key;
	if (tickets->count < TLS_TICKET_KEYS)
		tickets->count++;
	tickets->turn_at = torc_now() + TURN_NS;
	explicit_bzero(&key, sizeof(key));
	return 0;
}

int
torc_tls_tickets_init(struct tls_tickets *tickets)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_index);
	if (ring_index < 0)
		return -ENOMEM;
	pthread_mutex_init(&tickets->lock, NULL);
	return turn(tickets);
}

void
torc_tls_tickets_fini(struct tls_tickets *tickets)
{
	pthread_mutex_destroy(&tickets->lock);
	explicit_bzero(tickets->keys, sizeof(tickets->keys));
}

/* The key for a new ticket, or that of `name`: how old it is, or -1. */
static int
choose_key(struct tls_tickets *tickets, const uint8_t *name,
    struct tls_ticket_key *key)
{
	int found = -1;

	pthread_mutex_lock(&tickets->lock);
	if (torc_now() >= tickets->turn_at)
		(void)turn(tickets);
	for (unsigned i = 0; found < 0 && i < tickets->count; i++) {
		if (name != NULL && memcmp(tickets->keys[i].name, name,
		    sizeof(key->name)) != 0)
			continue;
		*key = tickets->keys[i];
		found = (int)i;
	}
	pthread_mutex_unlock(&tickets->lock);
	return found;
}

static bool
set_sum(EVP_MAC_CTX *mac, struct tls_ticket_key *key)
{
	char digest[] = "SHA256";
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY,
		    key->sum, sizeof(key->sum)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
		    digest, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

/* What SSL_CTX_set_tlsext_ticket_key_evp_cb() asks for. */
static int
use_key(SSL *ssl, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing)
{
	struct tls_tickets *tickets = SSL_CTX_get_ex_data(
	    SSL_get_SSL_CTX(ssl), ring_index);
	struct tls_ticket_key key;
	const int age = choose_key(tickets, sealing ? NULL : name, &key);
	bool done = age >= 0 && set_sum(mac, &key);

	if (done && sealing) {
		memcpy(name, key.name, sizeof(key.name));
		done = torc_sys_random(iv, EVP_MAX_IV_LENGTH) >= 0 &&
		    EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL,
		    key.cipher, iv) == 1;
	} else if (done) {
		done = EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL,
		    key.cipher, iv) == 1;
	}
	explicit_bzero(&key, sizeof(key));
	if (!done)
		return 0;	/* no ticket, or a whole handshake */
	/* A ticket of 1.3 is used once: another one follows it. */
	return sealing || (age == 0 && SSL_version(ssl) < TLS1_3_VERSION) ?
	    1 : 2;
}

void
torc_tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *context)
{
	SSL_CTX_set_ex_data(context, ring_index, tickets);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(context, use_key);
}
