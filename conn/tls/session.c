/* SPDX-License-Identifier: MIT */
/*
 * session.c - records to bytes and bytes to records, by OpenSSL.
 *
 * Read-ahead is off, so OpenSSL takes one record at a time, and holds a part of
 * one at most, which is counted here. A whole record that lies in one buffer is
 * opened in its place: OpenSSL copies it before it decrypts it.
 *
 * OpenSSL's queue of errors belongs to the thread, so it is emptied before each
 * call, and read before anything else can run.
 */
#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "conn/conn.h"
#include "conn/tls/away.h"
#include "conn/tls/bio.h"
#include "conn/tls/count.h"
#include "conn/tls/dialled.h"
#include "conn/tls/session.h"
#include "sys/sys.h"

#define RECORD_MAX 16384u	/* bytes of data in one */
#define RECORD_SMALL 1300u	/* the same of one that fits in a packet */
#define WARM 65536u	/* so many bytes go in such ones */
#define COLD_NS 1000000000ull	/* then it begins again */
#define OVERHEAD 64u		/* header, nonce, kind, tag, and to spare */
#define NOTICE_NS 1000000000ull	/* between two */

void
torc_tls_session_hear(int sent, int version, int kind, const void *message,
    size_t size, SSL *ssl, void *arg)
{
	struct tls_session *session = SSL_get_app_data(ssl);

	(void)version;
	(void)arg;
	if (sent || kind != SSL3_RT_HANDSHAKE || size == 0)
		return;
	session->heard = true;
	if (session->transport.ready)
		session->quiet++;
	else if (session->generation == NULL)
		torc_tls_dialled_hear(session, *(const uint8_t *)message);
}

static struct tls_session *
session_of(struct torc_transport *transport)
{
	return (struct tls_session *)transport;
}

/* ---- What is held of a record ---- */

/* Follow the records of what comes, byte for byte. */
static void
follow(struct tls_session *session, const uint8_t *data, uint32_t size)
{
	while (size > 0) {
		uint32_t part;

		if (session->header_size < TLS_HEADER) {
			session->header[session->header_size++] = *data++;
			size--;
			if (session->header_size < TLS_HEADER)
				continue;
			session->record_size = (uint32_t)session->header[3] <<
			    8 | session->header[4];
			session->left = session->record_size;
		}
		part = size < session->left ? size : session->left;
		data += part;
		size -= part;
		session->left -= part;
		if (session->left == 0)
			session->header_size = 0;
	}
	if (session->header_size == 0) {
		session->transport.kept = 0;
		session->transport.missing = TLS_HEADER;
	} else if (session->header_size < TLS_HEADER) {
		session->transport.kept = session->header_size;
		session->transport.missing = TLS_HEADER -
		    session->header_size;
	} else {
		session->transport.kept = TLS_HEADER + session->record_size -
		    session->left;
		session->transport.missing = session->left;
	}
}

static uint32_t
needed_room(const struct torc_transport *transport, uint32_t size)
{
	/* A handshake may hold more than a record, but says nothing. */
	return transport->kept > 0 || !transport->ready ?
	    transport->kept + size : 0;
}

/* ---- Records to bytes ---- */

/* A client that speaks HTTP in clear text is told so, in clear text. */
static void
answer_in_clear(struct tls_session *session)
{
	static const char answer[] = "HTTP/1.1 400 Bad Request\r\n"
	    "Content-Type: text/plain\r\nContent-Length: 41\r\n"
	    "Connection: close\r\n\r\n"
	    "This port speaks TLS: use https:// here.\n";

	torc_transport_emit(&session->transport, (const uint8_t *)answer,
	    sizeof(answer) - 1);
}

/* The operator is told why, once in a while. */
static void
tell(struct tls_session *session, unsigned long code)
{
	struct torc_conn *conn = session->transport.conn;
	struct torc_tls *tls = session->generation->tls;
	const char *reason = ERR_reason_error_string(code);
	char peer[128] = "a client";
	bool now;

	if (reason == NULL)
		return;
	pthread_mutex_lock(&tls->lock);
	now = conn->reactor->now >= tls->notice_from;
	if (now)
		tls->notice_from = conn->reactor->now + NOTICE_NS;
	pthread_mutex_unlock(&tls->lock);
	if (!now)
		return;
	(void)torc_conn_peer_address(conn, peer, sizeof(peer));
	torc_reactor_notice(conn->reactor, "port %u: no TLS with %s: %s",
	    conn->port, peer, reason);
}

/* The last that OpenSSL says of the session. */
static void
fail(struct tls_session *session, unsigned long code)
{
	const bool began = session->transport.ready;

	session->transport.error = session->gone ? -ENOLINK : -EPROTO;
	if (!began)
		torc_tls_count_failed(session, code);
	if (session->generation == NULL) {
		torc_tls_dialled_fail(session, code);
		return;
	}
	if (!began && ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST)
		answer_in_clear(session);
	if (!began && !session->gone)
		tell(session, code);
}

/* A call did not do all: it wants more, or there is no more. */
static void
stop(struct tls_session *session, const struct tls_outcome *outcome)
{
	switch (outcome->what) {
	case SSL_ERROR_WANT_READ:
		break;
	case SSL_ERROR_ZERO_RETURN:
		session->transport.ended = true;
		break;
	default:
		fail(session, outcome->code);
	}
}

/* A call has returned `rc`. */
static struct tls_outcome
outcome_of(const struct tls_session *session, int rc)
{
	const struct tls_outcome outcome = {
		.what = SSL_get_error(session->ssl, rc),
		.code = ERR_peek_error(),
	};

	ERR_clear_error();
	return outcome;
}

/* Its handshake is over. */
static void
count_out(struct tls_session *session)
{
	if (session->counted)
		torc_tls_generation_shaken(session->generation);
	session->counted = false;
}

/* On any thread, if no other one has the session. */
static void
step(struct tls_session *session, struct tls_outcome *outcome)
{
	ERR_clear_error();
	*outcome = outcome_of(session, SSL_do_handshake(session->ssl));
}

static void
take_over(struct tls_session *session, const struct tls_outcome *outcome)
{
	if (outcome->what != SSL_ERROR_NONE) {
		stop(session, outcome);
		return;
	}
	torc_tls_count_ready(session);
	count_out(session);
}

static void
shake_hands(struct tls_session *session)
{
	struct tls_outcome outcome;

	step(session, &outcome);
	if (outcome.what != SSL_ERROR_WANT_CLIENT_HELLO_CB)
		take_over(session, &outcome);
}

/* The step that comes now is one for a thread; from here on it has all. */
static void
send_away(struct tls_session *session)
{
	torc_assert(session->in_size == 0 && !session->transport.ready);
	if (!torc_tls_away_start(session, step))
		shake_hands(session);
}

/* A thread has done a step. */
static void
come_back(struct torc_transport *transport)
{
	struct tls_session *session = session_of(transport);
	struct tls_outcome outcome;

	torc_tls_away_end(session, &outcome);
	take_over(session, &outcome);
}

/*
 * The peer wants our keys changed. OpenSSL would do it with the next write,
 * which may be long in coming.
 */
static void
change_keys(struct tls_session *session)
{
	ERR_clear_error();
	if (SSL_key_update(session->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1 ||
	    SSL_do_handshake(session->ssl) != 1)
		fail(session, ERR_peek_error());
}

static uint32_t
open_records(struct torc_transport *transport, const uint8_t *data,
    uint32_t size, uint8_t *out)
{
	struct tls_session *session = session_of(transport);
	const uint32_t room = transport->kept + size;
	uint32_t opened = 0;

	session->in = data;
	session->in_size = size;
	follow(session, data, size);
	if (!transport->ready)
		shake_hands(session);
	while (transport->ready && transport->error == 0 && opened < room) {
		size_t got = 0;
		int rc;

		ERR_clear_error();
		rc = SSL_read_ex(session->ssl, out + opened, room - opened,
		    &got);
		opened += (uint32_t)got;
		if (rc != 1) {
			const struct tls_outcome outcome =
			    outcome_of(session, rc);

			stop(session, &outcome);
			break;
		}
		session->quiet = 0;
	}
	if (transport->error == 0 && !transport->closed &&
	    SSL_get_key_update_type(session->ssl) != SSL_KEY_UPDATE_NONE)
		change_keys(session);
	session->in = NULL;
	session->in_size = 0;
	if (session->asked_again)
		send_away(session);
	return opened;
}

/* ---- Bytes to records ---- */

/*
 * A record is of use when it is there whole: in the beginning, and after a
 * while, when a peer's window is small, each fits into a packet.
 */
static uint32_t
record_size(struct tls_session *session)
{
	const uint64_t now = session->transport.conn->reactor->now;

	if (now - session->sent_at >= COLD_NS)
		session->warm = 0;
	session->sent_at = now;
	return session->warm < WARM ? RECORD_SMALL : RECORD_MAX;
}

static int
seal(struct torc_transport *transport, const uint8_t *data, uint32_t size)
{
	struct tls_session *session = session_of(transport);

	while (size > 0) {
		const uint32_t most = record_size(session);
		const uint32_t part = size < most ? size : most;
		size_t done;

		ERR_clear_error();
		if (SSL_write_ex(session->ssl, data, part, &done) != 1)
			return -EPROTO;
		session->warm += part < UINT32_MAX - session->warm ? part : 0;
		data += part;
		size -= part;
	}
	return 0;
}

static void
say_end(struct torc_transport *transport)
{
	if (transport->error != 0 || !transport->ready)
		return;
	ERR_clear_error();
	SSL_shutdown(session_of(transport)->ssl);
}

static void
begin(struct torc_transport *transport)
{
	if (transport->error == 0)
		shake_hands(session_of(transport));
}

/* OpenSSL frees its buffers when they are empty (SSL_MODE_RELEASE_BUFFERS). */
static void
rest(struct torc_transport *transport)
{
	(void)transport;
}

void
torc_tls_session_drop(struct tls_session *session)
{
	count_out(session);
	if (session->away != NULL)
		torc_tls_away_free(session);
	torc_sys_free(session->peer);
	if (session->generation != NULL)
		torc_tls_generation_put(session->generation);
	else
		torc_tls_dialled_release(session);
	SSL_free(session->ssl);
	torc_sys_free(session);
}

static void
free_session(struct torc_transport *transport)
{
	torc_tls_session_drop(session_of(transport));
}

static struct torc_slice
read_protocol(const struct torc_transport *transport)
{
	const struct tls_session *session = torc_tls_session_find(transport);
	const unsigned char *protocol;
	unsigned size;

	SSL_get0_alpn_selected(session->ssl, &protocol, &size);
	return (struct torc_slice) { protocol, size };
}

static const struct torc_transport_kind tls_transport = {
	.room = needed_room,
	.open = open_records,
	.seal = seal,
	.close = say_end,
	.begin = begin,
	.back = come_back,
	.rest = rest,
	.free = free_session,
	.protocol = read_protocol,
	.overhead = OVERHEAD,
	.record_max = RECORD_MAX,
};

bool
torc_tls_session_open(struct tls_session *session, SSL_CTX *context)
{
	BIO *bio;

	ERR_clear_error();
	session->transport.kind = &tls_transport;
	session->transport.missing = TLS_HEADER;
	session->ssl = SSL_new(context);
	bio = session->ssl != NULL ? torc_tls_bio(session) : NULL;
	if (bio == NULL) {
		torc_tls_session_drop(session);
		return false;
	}
	SSL_set_app_data(session->ssl, session);
	SSL_set_bio(session->ssl, bio, bio);
	return true;
}

struct torc_transport *
torc_tls_session_accept(struct tls_generation *generation)
{
	struct tls_session *session = torc_sys_alloc(sizeof(*session));

	if (session == NULL) {
		torc_tls_generation_shaken(generation);
		torc_tls_generation_put(generation);
		return NULL;
	}
	session->generation = generation;
	session->counted = true;
	if (!torc_tls_session_open(session, generation->served[0].context))
		return NULL;
	SSL_set_accept_state(session->ssl);
	return &session->transport;
}

const struct tls_peer *
torc_tls_session_peer(struct tls_session *session)
{
	X509 *certificate = SSL_get0_peer_certificate(session->ssl);
	BIO *text = session->peer == NULL ? BIO_new(BIO_s_mem()) : NULL;
	char *words;
	size_t size = 0;

	torc_assert(certificate != NULL);
	if (text == NULL)
		return session->peer;
	if (X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0,
	    XN_FLAG_RFC2253) >= 0) {
		size = (size_t)BIO_get_mem_data(text, &words);
		session->peer = torc_sys_alloc(sizeof(*session->peer) + size +
		    1);
	}
	if (session->peer != NULL) {
		memcpy(session->peer->subject, words, size);
		X509_digest(certificate, EVP_sha256(),
		    session->peer->fingerprint, NULL);
	}
	BIO_free(text);
	return session->peer;
}

const struct tls_session *
torc_tls_session_find(const struct torc_transport *transport)
{
	return transport != NULL && transport->kind == &tls_transport ?
	    (const struct tls_session *)transport : NULL;
}
