/* SPDX-License-Identifier: MIT */
/* auth.c - SCRAM-SHA-256 and MD5, built on libcrypto. */
#include "conn/pg/auth.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "sys/sys.h"
#include "sys/trap.h"

#define NONCE_BYTES 18		/* 24 characters */
#define HEADER_MAX 32u		/* before the binding, below */
/* The header and the binding in base64, and the end. */
#define BINDING_TEXT ((HEADER_MAX + PG_BINDING_SIZE + 2) / 3 * 4 + 1)

/* By enum pg_bound. */
static const char *const headers[] = { "n,,", "y,,",
	"p=tls-server-end-point,," };

static int
base64(char *text, const uint8_t *data, size_t size)
{
	return EVP_EncodeBlock((unsigned char *)text, data, (int)size);
}

/*
 * Decode base64 strictly: complete groups, padding only at the end. Returns how
 * many bytes, or -EPROTO.
 */
static int
from_base64(uint8_t *data, const char *text, size_t size)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t padding = 0;

	if (size == 0 || size % 4 != 0)
		return -EPROTO;
	while (padding < 2 && text[size - padding - 1] == '=')
		padding++;
	for (size_t i = 0; i < size - padding; i++)
		if (text[i] == '\0' || strchr(alphabet, text[i]) == NULL)
			return -EPROTO;
	if (EVP_DecodeBlock(data, (const unsigned char *)text,
	    (int)size) < 0)
		return -EPROTO;
	return (int)(size / 4 * 3 - padding);
}

static int
hmac(uint8_t *out, const uint8_t *key, const char *text, size_t size)
{
	unsigned used = PG_HASH_SIZE;

	return HMAC(EVP_sha256(), key, PG_HASH_SIZE,
	    (const unsigned char *)text, size, out, &used) != NULL ? 0 : -EIO;
}

int
torc_pg_scram_begin(struct pg_scram *scram, const char *password,
    const struct pg_binding *binding)
{
	uint8_t random[NONCE_BYTES];

	memset(scram, 0, sizeof(*scram));
	torc_assert(binding->size <= PG_BINDING_SIZE);
	torc_assert((binding->bound == PG_BINDING_USED) == (binding->size > 0));
	scram->password = password;
	scram->binding = *binding;
	if (torc_sys_random(random, sizeof(random)) < 0)
		return -EIO;
	base64(scram->nonce, random, sizeof(random));
	return 0;
}

int
torc_pg_scram_first(const struct pg_scram *scram, char *text, size_t size)
{
	/* The server takes the user's name from the startup. */
	return snprintf(text, size, "%sn=,r=%s",
	    headers[scram->binding.bound], scram->nonce);
}

/* What the proof covers: the header of our first message, and the binding. */
static void
encode_binding(const struct pg_binding *binding, char text[BINDING_TEXT])
{
	const char *header = headers[binding->bound];
	const size_t size = strlen(header);
	uint8_t bytes[HEADER_MAX + PG_BINDING_SIZE];

	torc_assert(size <= HEADER_MAX);
	memcpy(bytes, header, size);
	memcpy(bytes + size, binding->data, binding->size);
	base64(text, bytes, size + binding->size);
}

/*
 * Returns the value of the next attribute, "x=..." up to a comma or the end,
 * and moves *at behind it. NULL: the next attribute is another one.
 */
static const char *
take_attribute(const char **at, char name, size_t *size)
{
	const char *value = *at + 2;

	if ((*at)[0] != name || (*at)[1] != '=')
		return NULL;
	*size = strcspn(value, ",");
	*at = value + *size;
	if (**at == ',')
		++*at;
	return value;
}

/* Read a number from 1 to `most`. Returns -EACCES if it is larger. */
static int
read_iterations(const char *text, size_t size, unsigned most)
{
	unsigned long number = 0;

	if (size == 0 || size > 10)
		return -EPROTO;
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EPROTO;
		number = number * 10 + (unsigned)(text[i] - '0');
	}
	if (number == 0)
		return -EPROTO;
	return number > most ? -EACCES : (int)number;
}

int
torc_pg_scram_challenge(struct pg_scram *scram, const void *data, size_t size,
    unsigned most)
{
	const size_t ours = strlen(scram->nonce);
	const char *at = scram->server_first, *value;
	size_t length;

	if (size >= PG_SCRAM_SIZE || memchr(data, '\0', size) != NULL)
		return -EPROTO;
	memcpy(scram->server_first, data, size);
	scram->server_first[size] = '\0';
	value = take_attribute(&at, 'r', &length);
	/* The nonce must begin with ours, and have something of the server
	 * after it. */
	if (value == NULL || length <= ours ||
	    memcmp(value, scram->nonce, ours) != 0)
		return -EPROTO;
	memcpy(scram->combined, value, length);
	scram->combined[length] = '\0';
	value = take_attribute(&at, 's', &length);
	if (value == NULL)
		return -EPROTO;
	scram->salt_size = from_base64(scram->salt, value, length);
	if (scram->salt_size < 0)
		return scram->salt_size;
	value = take_attribute(&at, 'i', &length);
	if (value == NULL)
		return -EPROTO;
	scram->iterations = read_iterations(value, length, most);
	return scram->iterations < 0 ? scram->iterations : 0;
}

int
torc_pg_scram_derive(void *arg)
{
	struct pg_scram *scram = arg;

	return PKCS5_PBKDF2_HMAC(scram->password,
	    (int)strlen(scram->password), scram->salt, scram->salt_size,
	    scram->iterations, EVP_sha256(), PG_HASH_SIZE,
	    scram->salted) == 1 ? 0 : -EIO;
}

/* The proof, and what the server must prove in turn. */
static int
sign(struct pg_scram *scram, const char *message, size_t size,
    uint8_t *proof)
{
	uint8_t client_key[PG_HASH_SIZE], stored_key[PG_HASH_SIZE];
	uint8_t signature[PG_HASH_SIZE], server_key[PG_HASH_SIZE];
	unsigned used;

	if (hmac(client_key, scram->salted, "Client Key", 10) < 0 ||
	    EVP_Digest(client_key, sizeof(client_key), stored_key, &used,
	    EVP_sha256(), NULL) != 1 ||
	    hmac(signature, stored_key, message, size) < 0 ||
	    hmac(server_key, scram->salted, "Server Key", 10) < 0 ||
	    hmac(scram->server_signature, server_key, message, size) < 0)
		return -EIO;
	for (size_t i = 0; i < PG_HASH_SIZE; i++)
		proof[i] = client_key[i] ^ signature[i];
	return 0;
}

int
torc_pg_scram_final(struct pg_scram *scram, char *text, size_t size)
{
	char message[3 * PG_SCRAM_SIZE], encoded[64], binding[BINDING_TEXT];
	uint8_t proof[PG_HASH_SIZE];
	int rc, used;

	encode_binding(&scram->binding, binding);
	used = snprintf(message, sizeof(message), "n=,r=%s,%s,c=%s,r=%s",
	    scram->nonce, scram->server_first, binding, scram->combined);
	rc = sign(scram, message, (size_t)used, proof);
	if (rc < 0)
		return rc;
	base64(encoded, proof, sizeof(proof));
	scram->answered = true;
	return snprintf(text, size, "c=%s,r=%s,p=%s", binding,
	    scram->combined, encoded);
}

int
torc_pg_scram_verify(struct pg_scram *scram, const void *data, size_t size)
{
	char text[PG_SCRAM_SIZE];
	uint8_t signature[PG_SCRAM_SIZE];
	const char *at = text, *value;
	size_t length;

	if (!scram->answered || size >= sizeof(text))
		return -EPROTO;
	memcpy(text, data, size);
	text[size] = '\0';
	value = take_attribute(&at, 'v', &length);
	if (value == NULL ||
	    from_base64(signature, value, length) != PG_HASH_SIZE ||
	    CRYPTO_memcmp(signature, scram->server_signature,
	    PG_HASH_SIZE) != 0)
		return -EACCES;
	scram->verified = true;
	return 0;
}

/* ---- MD5 ---- */

static int
hex_digest(char *text, const void *first, size_t first_size,
    const void *second, size_t second_size)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t digest[16];
	bool done = context != NULL &&
	    EVP_DigestInit_ex(context, EVP_md5(), NULL) == 1 &&
	    EVP_DigestUpdate(context, first, first_size) == 1 &&
	    EVP_DigestUpdate(context, second, second_size) == 1 &&
	    EVP_DigestFinal_ex(context, digest, NULL) == 1;

	EVP_MD_CTX_free(context);
	for (size_t i = 0; done && i < sizeof(digest); i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	return done ? 0 : -EIO;
}

int
torc_pg_md5(char text[static PG_MD5_SIZE], const char *user,
    const char *password, const uint8_t salt[static 4])
{
	char inner[33];
	int rc = hex_digest(inner, password, strlen(password), user,
	    strlen(user));

	memcpy(text, "md5", 3);
	return rc < 0 ? rc : hex_digest(text + 3, inner, 32, salt, 4);
}
