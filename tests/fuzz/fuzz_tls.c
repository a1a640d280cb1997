/* SPDX-License-Identifier: MIT */
/*
 * fuzz_tls.c - the record path of a server's session, without a socket. A
 * client of OpenSSL talks to it; the input says how its bytes are cut, which
 * of them are changed, and what comes that no client has said. It is a list of
 * steps, of a byte each and another one that says how much.
 *
 * Whatever comes: what the session gives is what the client wrote, in order,
 * and as far as it says it holds no more than it was given.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn/conn.h"
#include "conn/kit/offload.h"
#include "conn/tls/session.h"
#include "conn/tls/torc_tls.h"
#include "sys/sys.h"

#define REQUIRE(condition) ((condition) ? (void)0 : abort())
#define WRITTEN_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static SSL_CTX *clients[2];
static struct torc_transport_maker *maker;
static SSL *client;		/* of this input */
static BIO *to_client, *from_client;
static struct torc_transport *session;
static uint64_t written, opened;	/* bytes of the client's stream */
static uint32_t given;		/* bytes, to the session */

/* ---- What the session asks of a connection ---- */

void
torc_transport_emit(struct torc_transport *transport, const uint8_t *data,
    uint32_t size)
{
	REQUIRE(transport == session);
	BIO_write(to_client, data, (int)size);
}

void
torc_transport_name(struct torc_transport *transport, const char *name,
    size_t size)
{
	REQUIRE(transport == session && !transport->ready);
	REQUIRE(size < 256 && (size == 0 || memchr(name, 0, size) == NULL));
}

void
torc_transport_ready(struct torc_transport *transport,
    const struct torc_agreed *agreed)
{
	REQUIRE(agreed->version != TORC_VERSION_UNTOLD &&
	    agreed->cipher != TORC_CIPHER_UNTOLD);
	REQUIRE(transport == session && !transport->ready);
	transport->ready = true;
}

/* There are no threads: the loop does all. */
int
torc_task_start(struct torc_task *task, struct torc_reactor *reactor,
    void (*done)(struct torc_task *task))
{
	(void)reactor;
	REQUIRE(task->computes && done != NULL);
	return -EAGAIN;
}

bool
torc_transport_in_line(const struct torc_transport *transport)
{
	REQUIRE(transport == session);
	return true;
}

void
torc_transport_leave(struct torc_transport *transport)
{
	(void)transport;
	abort();
}

void
torc_transport_back(struct torc_transport *transport)
{
	(void)transport;
	abort();
}

bool
torc_transport_has_left(const struct torc_transport *transport)
{
	(void)transport;
	return false;
}

void
torc_reactor_notice(struct torc_reactor *reactor, const char *format, ...)
{
	(void)reactor;
	(void)format;
}

int
torc_conn_peer_address(const struct torc_conn *conn, char *text, size_t size)
{
	(void)conn;
	REQUIRE(size > 4);
	memcpy(text, "fuzz", 5);
	return 0;
}

unsigned
torc_conn_port(const struct torc_conn *conn)
{
	(void)conn;
	return 0;
}

uint64_t
torc_now(void)
{
	return 1;
}

/* ---- Steps ---- */

static uint8_t
stream_at(uint64_t at)
{
	return (uint8_t)(at * 131 >> 3);
}

/* The server takes these bytes. */
static void
feed(const uint8_t *data, uint32_t size)
{
	const uint32_t room = session->kind->room(session, size);
	const uint32_t most = room > 0 ? room : size;
	uint8_t *copy = malloc(size), *out;
	uint32_t got;

	if (size == 0 || session->error != 0 || session->ended) {
		free(copy);
		return;
	}
	REQUIRE(copy != NULL);
	memcpy(copy, data, size);
	out = room > 0 ? malloc(room) : copy;
	REQUIRE(out != NULL);
	given += size;
	got = session->kind->open(session, copy, size, out);
	REQUIRE(got <= most && opened + got <= written);
	for (uint32_t i = 0; i < got; i++)
		REQUIRE(out[i] == stream_at(opened + i));
	opened += got;
	REQUIRE(session->kept <= given && session->missing > 0);
	if (out != copy)
		free(out);
	free(copy);
}

/* The client hears what there is, and goes on. */
static void
listen_to_server(void)
{
	uint8_t heard[4096];

	ERR_clear_error();
	if (SSL_do_handshake(client) != 1)
		return;
	while (SSL_read(client, heard, sizeof(heard)) > 0)
		continue;
}

static void
client_writes(uint32_t size)
{
	uint8_t bytes[256];

	if (!SSL_is_init_finished(client) || size == 0 ||
	    written > WRITTEN_MAX)
		return;
	for (uint32_t i = 0; i < size; i++)
		bytes[i] = stream_at(written + i);
	ERR_clear_error();
	if (SSL_write(client, bytes, (int)size) == (int)size)
		written += size;
}

static void
pass_on(size_t most)
{
	uint8_t bytes[4096];
	const int got = BIO_read(from_client, bytes, (int)(most <
	    sizeof(bytes) ? most : sizeof(bytes)));

	if (got > 0)
		feed(bytes, (uint32_t)got);
}

static void
server_writes(uint32_t size)
{
	static const uint8_t bytes[256];

	if (size > 0 && session->ready && session->error == 0)
		REQUIRE(session->kind->seal(session, bytes, size) == 0);
}

/* One bit of what is on its way. */
static void
change(uint32_t at)
{
	char *bytes;
	const long size = BIO_get_mem_data(from_client, &bytes);

	if (size > 0)
		bytes[at % (unsigned long)size] ^= 1;
}

static size_t
take_step(const uint8_t *data, size_t size)
{
	const uint32_t much = data[1];

	switch (data[0] % 8) {
	case 0:
	case 1:
		pass_on(much + 1u);
		break;
	case 2:
		client_writes(much);
		break;
	case 3:
		size = much < size - 2 ? much : size - 2;
		feed(data + 2, (uint32_t)size);
		return 2 + size;
	case 4:
		change(much);
		break;
	case 5:
		server_writes(much);
		break;
	case 6:
		ERR_clear_error();
		SSL_key_update(client, much % 2 == 0 ?
		    SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
		break;
	default:
		pass_on(4096);
		listen_to_server();
	}
	return 2;
}

/* ---- The beginning ---- */

/* A certificate and its key, in a file. */
static void
make_certificate(FILE *file)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_NAME *name = X509_NAME_new();

	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"fuzz", -1, -1, 0);
	X509_set_version(certificate, 2);
	X509_set_subject_name(certificate, name);
	X509_set_issuer_name(certificate, name);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_set_pubkey(certificate, key);
	REQUIRE(X509_sign(certificate, key, EVP_sha256()) > 0);
	REQUIRE(PEM_write_X509(file, certificate) == 1);
	REQUIRE(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) ==
	    1);
	X509_NAME_free(name);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static void
prepare(void)
{
	char path[] = "/tmp/fuzz_tls_XXXXXX";
	const struct torc_tls_config config = { .certificate = path };
	const int fd = mkstemp(path);
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
	struct torc_error error;
	struct torc_tls *tls;

	REQUIRE(file != NULL);
	make_certificate(file);
	fclose(file);
	REQUIRE(torc_tls_create(&tls, &config, &error) == 0);
	unlink(path);
	maker = torc_tls_transport(tls);
	for (int v = 0; v < 2; v++) {
		clients[v] = SSL_CTX_new(TLS_client_method());
		SSL_CTX_set_max_proto_version(clients[v], v == 0 ?
		    TLS1_2_VERSION : TLS1_3_VERSION);
	}
}

/* ---- One input ---- */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct torc_reactor reactor = { .now = 1 };
	struct torc_conn conn = { .reactor = &reactor };

	if (maker == NULL)
		prepare();
	if (size == 0)
		return 0;
	session = maker->make(maker);
	client = SSL_new(clients[data[0] % 2]);
	to_client = BIO_new(BIO_s_mem());
	from_client = BIO_new(BIO_s_mem());
	REQUIRE(session != NULL && client != NULL && to_client != NULL &&
	    from_client != NULL);
	session->conn = &conn;
	SSL_set_bio(client, to_client, from_client);
	SSL_set_connect_state(client);
	written = opened = given = 0;
	SSL_do_handshake(client);
	for (size_t at = 1; at + 2 <= size;)
		at += take_step(data + at, size - at);
	if (session->error == 0)
		session->kind->close(session);
	session->kind->free(session);
	SSL_free(client);
	return 0;
}
