/* SPDX-License-Identifier: MIT */
/*
 * peer.c - a client of TLS for tests (peer.h).
 */
#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/tls/peer.h"

/* ---- Files ---- */

static char folder[] = "/tmp/torc-tls-XXXXXX";

static const char script[] =
    "set -e; cd \"$1\"; exec >said 2>&1\n"
    "made() {\n"	/* made NAME HOST KIND: signed by itself */
    "	openssl req -x509 -newkey $3 -nodes -days 30 -subj /CN=$1 \\\n"
    "	    -addext subjectAltName=DNS:$2 -keyout $1.key -out $1.pem\n"
    "}\n"
    "ec='ec -pkeyopt ec_paramgen_curve:P-256'\n"
    "signed() {\n"	/* signed NAME CA DAYS */
    "	openssl req -newkey $ec -nodes -subj /CN=$1 -keyout $1.key \\\n"
    "	    -out $1.csr\n"
    "	openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key \\\n"
    "	    -CAcreateserial -days $3 -out $1.pem\n"
    "}\n"
    "made default default.test \"$ec\"\n"
    "made exact a.test \"$ec\"\n"
    "made wild '*.test' \"$ec\"\n"
    "made rsa default.test rsa:2048\n"
    "made ca ca.test \"$ec\"\n"
    "made otherca ca.test \"$ec\"\n"
    "signed client ca 30\n"
    "signed stranger otherca 30\n"
    "signed expired ca -1\n"
    "openssl ec -in default.key -aes128 -passout pass:secret \\\n"
    "    -out locked.key\n"
    "cat default.pem default.key >both.pem\n"
    ": >empty.pem\n";

void
peer_files_add(const char *more)
{
	char *command = NULL;

	setenv("TORC_TLS_SCRIPT", more, 1);
	assert_true(asprintf(&command, "sh -c \"$TORC_TLS_SCRIPT\" sh %s",
	    folder) > 0);
	assert_int_equal(system(command), 0);
	free(command);
}

const char *
peer_files_make(void)
{
	assert_non_null(mkdtemp(folder));
	peer_files_add(script);
	return folder;
}

void
peer_files_remove(void)
{
	char *command = NULL;

	assert_true(asprintf(&command, "rm -rf %s", folder) > 0);
	assert_int_equal(system(command), 0);
	free(command);
}

const char *
peer_file(const char *name)
{
	static char paths[32][128];
	static unsigned next;
	char *path = paths[next++ % 32];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

void
peer_file_copy(const char *to, const char *from, unsigned part)
{
	char bytes[8192];
	FILE *in = fopen(peer_file(from), "r"), *out;
	size_t size;

	assert_non_null(in);
	size = fread(bytes, 1, sizeof(bytes), in);
	fclose(in);
	out = fopen(peer_file(to), "w");
	assert_non_null(out);
	size = size * part / 100;
	assert_int_equal(fwrite(bytes, 1, size, out), size);
	fclose(out);
}

/* ---- The client ---- */

/* Changes of keys that come. */
static void
hear_message(int sent, int version, int kind, const void *message,
    size_t size, SSL *ssl, void *arg)
{
	struct peer *peer = SSL_get_app_data(ssl);

	(void)version;
	(void)arg;
	if (!sent && kind == SSL3_RT_HANDSHAKE && size > 0 &&
	    *(const unsigned char *)message == SSL3_MT_KEY_UPDATE)
		peer->rekeyed++;
}

SSL_CTX *
peer_context(int least, int most)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	assert_non_null(context);
	SSL_CTX_set_min_proto_version(context, least);
	SSL_CTX_set_max_proto_version(context, most);
	SSL_CTX_set_msg_callback(context, hear_message);
	return context;
}

void
peer_open(struct peer *peer, SSL_CTX *context, unsigned port,
    const char *name)
{
	*peer = (struct peer) { .fd = client_open(port) };
	peer->ssl = SSL_new(context);
	peer->in = BIO_new(BIO_s_mem());
	peer->out = BIO_new(BIO_s_mem());
	assert_true(peer->ssl != NULL && peer->in != NULL &&
	    peer->out != NULL);
	BIO_set_mem_eof_return(peer->in, -1);
	SSL_set_app_data(peer->ssl, peer);
	SSL_set_bio(peer->ssl, peer->in, peer->out);
	SSL_set_connect_state(peer->ssl);
	if (name != NULL)
		SSL_set_tlsext_host_name(peer->ssl, name);
}

size_t
peer_take(struct peer *peer, unsigned char *bytes, size_t size)
{
	const int got = BIO_read(peer->out, bytes, (int)size);

	return got > 0 ? (size_t)got : 0;
}

void
peer_send(struct peer *peer)
{
	unsigned char bytes[32768];
	size_t size;

	while ((size = peer_take(peer, bytes, sizeof(bytes))) > 0) {
		const unsigned char *at = bytes;

		while (size > 0) {
			const ssize_t sent = send(peer->fd, at, size,
			    MSG_NOSIGNAL);

			if (sent < 0 && errno == EINTR)
				continue;
			if (sent < 0)
				return;	/* reading says what it is */
			at += sent;
			size -= (size_t)sent;
		}
	}
}

static void
count_records(struct peer *peer, const unsigned char *data, size_t size)
{
	while (size > 0) {
		const size_t part = size < peer->left ? size : peer->left;

		data += part;
		size -= part;
		peer->left -= part;
		if (peer->left > 0 || size == 0)
			continue;
		peer->header[peer->header_size++] = *data++;
		size--;
		if (peer->header_size < sizeof(peer->header))
			continue;
		if (peer->records < PEER_KINDS)
			peer->kinds[peer->records] = peer->header[0];
		peer->records++;
		peer->left = (size_t)peer->header[3] << 8 | peer->header[4];
		peer->header_size = 0;
	}
}

long
peer_receive(struct peer *peer)
{
	unsigned char bytes[32768];
	ssize_t got;

	do
		got = recv(peer->fd, bytes, sizeof(bytes), 0);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return got;
	count_records(peer, bytes, (size_t)got);
	assert_int_equal(BIO_write(peer->in, bytes, (int)got), got);
	return got;
}

bool
peer_shake(struct peer *peer)
{
	for (;;) {
		int rc, error;

		ERR_clear_error();
		rc = SSL_do_handshake(peer->ssl);
		error = SSL_get_error(peer->ssl, rc);
		peer_send(peer);
		if (rc == 1)
			return true;
		if (error != SSL_ERROR_WANT_READ || peer_receive(peer) <= 0)
			return false;
	}
}

void
peer_meet(struct peer *peer, SSL_CTX *context, unsigned port,
    const char *name)
{
	peer_open(peer, context, port, name);
	assert_true(peer_shake(peer));
}

void
peer_say(struct peer *peer, const char *text)
{
	const int size = (int)strlen(text);

	assert_int_equal(SSL_write(peer->ssl, text, size), size);
	peer_send(peer);
}

bool
peer_read(struct peer *peer, void *data, size_t size)
{
	while (size > 0) {
		int rc;

		ERR_clear_error();
		rc = SSL_read(peer->ssl, data, (int)size);
		if (rc > 0) {
			data = (char *)data + rc;
			size -= (size_t)rc;
			continue;
		}
		if (SSL_get_error(peer->ssl, rc) != SSL_ERROR_WANT_READ)
			return false;
		peer_send(peer);
		if (peer_receive(peer) <= 0)
			return false;
	}
	return true;
}

bool
peer_line(struct peer *peer, char *line, size_t size)
{
	for (size_t at = 0; at < size && peer_read(peer, line + at, 1); at++) {
		if (line[at] == '\n') {
			line[at] = '\0';
			return true;
		}
	}
	return false;
}

void
peer_hear(struct peer *peer, const char *text)
{
	char heard[256];

	assert_true(strlen(text) <= sizeof(heard));
	assert_true(peer_read(peer, heard, strlen(text)));
	assert_memory_equal(heard, text, strlen(text));
}

void
peer_echo(struct peer *peer, const char *text)
{
	peer_say(peer, text);
	peer_hear(peer, text);
}

enum peer_end
peer_end(struct peer *peer)
{
	char byte;

	while (peer_read(peer, &byte, 1))
		;
	if (SSL_get_shutdown(peer->ssl) & SSL_RECEIVED_SHUTDOWN)
		return ERR_peek_error() == 0 && peer_receive(peer) == 0 ?
		    PEER_SAID : PEER_BROKEN;
	return ERR_peek_error() == 0 && peer_receive(peer) == 0 ? PEER_CUT :
	    PEER_BROKEN;
}

const char *
peer_server(struct peer *peer)
{
	static char name[64];
	X509 *certificate = SSL_get0_peer_certificate(peer->ssl);

	assert_non_null(certificate);
	assert_true(X509_NAME_get_text_by_NID(
	    X509_get_subject_name(certificate), NID_commonName, name,
	    sizeof(name)) > 0);
	return name;
}

void
peer_close(struct peer *peer)
{
	/* Else OpenSSL takes its session for one that is not to be resumed. */
	SSL_set_shutdown(peer->ssl, SSL_SENT_SHUTDOWN);
	SSL_free(peer->ssl);
	close(peer->fd);
}
