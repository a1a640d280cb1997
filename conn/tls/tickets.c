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

#define LARGE TLS_TICKET_KEY_SIZE
#define SMALL 48u	/* ... or so many of each of them */
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
	struct tls_ticket_keys *ours = &tickets->ring;
	struct tls_ticket_key key;
	int rc = torc_sys_random(&key, sizeof(key));

	if (rc < 0)
		return rc;
	key.small = false;
	memmove(&ours->keys[1], &ours->keys[0],
	    sizeof(key) * (TLS_TICKET_KEYS - 1));
	ours->keys[0] = key;
	if (ours->count < TLS_TICKET_KEYS)
		ours->count++;
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
	explicit_bzero(&tickets->ring, sizeof(tickets->ring));
}

/* ---- Files ---- */

static void
take_key(struct tls_ticket_key *key, const uint8_t *bytes, bool small)
{
	memset(key, 0, sizeof(*key));
	key->small = small;
	memcpy(key->name, bytes, 16);
	/* The order differs, too. */
	memcpy(small ? key->cipher : key->sum, bytes + 16, small ? 16 : 32);
	memcpy(small ? key->sum : key->cipher, bytes + (small ? 32 : 48),
	    small ? 16 : 32);
}

bool
torc_tls_tickets_read(struct tls_ticket_keys *keys, const uint8_t *bytes,
    unsigned size)
{
	const unsigned each = size % LARGE == 0 ? LARGE : SMALL;

	keys->count = size / each;
	if (size == 0 || size % each != 0 || keys->count > TLS_TICKET_KEYS_MAX)
		return false;
	for (unsigned i = 0; i < keys->count; i++)
		take_key(&keys->keys[i], bytes + i * each, each == SMALL);
	return true;
}

void
torc_tls_tickets_set(struct tls_tickets *tickets,
    const struct tls_ticket_keys *keys)
{
	pthread_mutex_lock(&tickets->lock);
	tickets->ring = *keys;
	tickets->turn_at = UINT64_MAX;
	pthread_mutex_unlock(&tickets->lock);
}

/* ---- Use ---- */

/* The key for a new ticket, or that of `name`: how old it is, or -1. */
static int
choose_key(struct tls_tickets *tickets, const uint8_t *name,
    struct tls_ticket_key *key)
{
	int found = -1;

	pthread_mutex_lock(&tickets->lock);
	if (torc_now() >= tickets->turn_at)
		(void)turn(tickets);
	for (unsigned i = 0; found < 0 && i < tickets->ring.count; i++) {
		if (name != NULL && memcmp(tickets->ring.keys[i].name, name,
		    sizeof(key->name)) != 0)
			continue;
		*key = tickets->ring.keys[i];
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
		    key->sum, key->small ? 16 : sizeof(key->sum)),
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
	struct tls_ticket_key key = { .small = false };
	const int age = choose_key(tickets, sealing ? NULL : name, &key);
	const EVP_CIPHER *kind = key.small ? EVP_aes_128_cbc() :
	    EVP_aes_256_cbc();
	bool done = age >= 0 && set_sum(mac, &key);

	if (done && sealing) {
		memcpy(name, key.name, sizeof(key.name));
		done = torc_sys_random(iv, EVP_MAX_IV_LENGTH) >= 0 &&
		    EVP_EncryptInit_ex(cipher, kind, NULL,
		    key.cipher, iv) == 1;
	} else if (done) {
		done = EVP_DecryptInit_ex(cipher, kind, NULL,
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
