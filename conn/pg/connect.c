/* SPDX-License-Identifier: MIT */
/*
 * connect.c - one connection to one address: its socket, and TLS on it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "conn/kit/portion.h"
#include "conn/pg/client.h"
#include "conn/pg/connect.h"
#include "conn/pg/error.h"
#include "conn/pg/session.h"
#include "conn/pg/wire.h"
#include "conn/transport.h"
#include "reactor/error.h"
#include "sys/sys.h"
#include "sys/trap.h"

#define ALPN "postgresql"

/* Add the error of an attempt to the errors of earlier ones. */
void
torc_pg_say(struct torc_pg_session *session, const char *format, ...)
{
	struct torc_error *words = session->words;
	size_t used = strlen(words->text);
	va_list arguments;

	torc_assert(used < sizeof(words->text));
	if (words->cut)
		return;
	if (used > 0)
		words->cut = torc_text_print(words->text + used,
		    sizeof(words->text) - used, "; ");
	used = strlen(words->text);
	va_start(arguments, format);
	words->cut |= torc_text_vprint(words->text + used,
	    sizeof(words->text) - used, format, arguments);
	va_end(arguments);
}

/* ---- Sockets ---- */

/*
 * Set the options that the URI has; others stay as for all dialled connections.
 */
static int
set_keepalive(int fd, const struct pg_keepalive *keepalive)
{
	const struct {
		int level, name, value;	/* negative: as it is */
	} options[] = {
		{ SOL_SOCKET, SO_KEEPALIVE, keepalive->on },
		{ IPPROTO_TCP, TCP_KEEPIDLE,
		    keepalive->idle_s > 0 ? keepalive->idle_s : -1 },
		{ IPPROTO_TCP, TCP_KEEPINTVL,
		    keepalive->interval_s > 0 ? keepalive->interval_s : -1 },
		{ IPPROTO_TCP, TCP_KEEPCNT,
		    keepalive->count > 0 ? keepalive->count : -1 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, keepalive->user_timeout_ms },
	};
	int rc = 0;

	for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]) &&
	    rc == 0; i++) {
		const int value = options[i].value;

		if (value >= 0)
			rc = torc_sys_setsockopt(fd, options[i].level,
			    options[i].name, &value, sizeof(value));
	}
	return rc;
}

int
torc_pg_dial(struct torc_pg *pg, struct torc_conn **conn, const char *address,
    struct torc_dialled *dialled, torc_deadline deadline)
{
	int rc = torc_dial_next(conn, address, dialled, deadline);

	if (rc < 0 || strncmp(address, "unix:", 5) == 0)
		return rc;
	rc = set_keepalive(torc_conn_fd(*conn), &pg->setup.keepalive);
	if (rc < 0)
		torc_conn_close(*conn, TORC_AT_ONCE);
	return rc;
}

/* ---- TLS ---- */

/*
 * Parks. Ask for TLS. Exactly one byte is the answer: what comes behind it was
 * written by somebody who does not have the key. An error is not shown, since
 * anybody could have written it.
 */
static int
ask_for_tls(struct torc_conn *conn, struct torc_error *error,
    torc_deadline deadline)
{
	struct torc_slice in = { NULL, 0 };
	uint8_t answer = 0;
	int rc = torc_conn_write(conn, PG_SSL_REQUEST,
	    sizeof(PG_SSL_REQUEST) - 1, deadline);

	if (rc == 0)
		rc = torc_conn_recv(conn, &in, deadline);
	if (rc <= 0)
		return torc_error_set(error, rc < 0 ? rc : -ECONNRESET,
		    "asked for TLS: %s", rc == -ETIMEDOUT ?
		    "no answer in time" :
		    torc_pg_cause(rc < 0 ? rc : -ECONNRESET));
	answer = in.data[0];
	if (in.size > 1 && answer != 'E')
		return torc_error_set(error, -EPROTO, "asked for TLS: bytes "
		    "came in clear text behind the answer '%c'", answer);
	torc_conn_consume(conn, in.size);
	switch (answer) {
	case 'S':
		return 0;
	case 'N':
		return torc_error_set(error, -EPROTONOSUPPORT,
		    "the server has no TLS, which sslmode requires");
	case 'E':
		return torc_error_set(error, -ECONNREFUSED, "asked for TLS: "
		    "the server answered with an error");
	default:
		return torc_error_set(error, -EPROTO, "asked for TLS: the "
		    "answer was the byte 0x%02x", answer);
	}
}

/* Without ALPN, a server of another protocol could be talked to. */
static int
check_protocol(const struct torc_pg *pg, const struct torc_conn *conn,
    struct torc_error *error)
{
	const struct torc_slice chosen = pg->config.transport->protocol(
	    conn->transport);

	if (!pg->setup.tls.direct || (chosen.size == sizeof(ALPN) - 1 &&
	    memcmp(chosen.data, ALPN, chosen.size) == 0))
		return 0;
	return torc_error_set(error, -EPROTO, "direct TLS: the server did not "
	    "choose \"" ALPN "\" by ALPN");
}

int
torc_pg_encrypt(const struct torc_pg *pg, struct torc_conn *conn,
    const char *name, struct torc_error *error, torc_deadline deadline)
{
	struct torc_transport_dialler *dialler = pg->config.transport;
	const enum pg_sslmode mode = pg->setup.tls.mode;
	const struct torc_transport_wish wish = {
		.name = name, .protocol = ALPN,
		.trust = mode == PG_SSL_VERIFY_FULL ? TORC_TRUST_NAME :
		    mode == PG_SSL_VERIFY_CA || dialler->has_ca ?
		    TORC_TRUST_SIGNER : TORC_TRUST_ANYBODY,
	};
	int rc;

	torc_assert(mode != PG_SSL_DISABLE);
	rc = pg->setup.tls.direct ? 0 : ask_for_tls(conn, error, deadline);
	if (rc == 0)
		rc = torc_transport_dial(conn, dialler, &wish, error,
		    deadline);
	return rc < 0 ? rc : check_protocol(pg, conn, error);
}

/* ---- A session's ---- */

/*
 * Parks. What has failed because the two ends do not agree may go better in
 * clear text, if that is allowed.
 */
static int
begin_tls(struct torc_pg_session *session, torc_deadline deadline)
{
	const enum pg_sslmode mode = session->pg->setup.tls.mode;
	struct torc_error error;
	int rc = torc_pg_encrypt(session->pg, session->conn, session->name,
	    &error, deadline);

	session->transport = session->conn->transport;
	if (rc == 0 || (rc == -EPROTONOSUPPORT && mode == PG_SSL_PREFER))
		return 0;
	session->other_way = session->transport != NULL && rc != -ETIMEDOUT &&
	    rc != -ECANCELED && rc != -ESHUTDOWN && rc != -ENOMEM;
	torc_pg_say(session, "connect to %s: %s", session->address,
	    error.text);
	return rc;
}

const char *
torc_pg_connect_cause(const struct torc_pg_session *session, int error)
{
	const struct torc_transport *transport = session->transport;
	const char *why = transport != NULL && transport->error != 0 ?
	    session->pg->config.transport->why(transport) : NULL;

	return why != NULL ? why : error == -ETIMEDOUT ? "no answer in time" :
	    torc_pg_cause(error);
}

int
torc_pg_connect(struct torc_pg_session *session, bool encrypted,
    struct torc_dialled *dialled, torc_deadline deadline)
{
	const char *address = session->peer[0] != '\0' ? session->peer :
	    session->address;
	struct torc_conn *conn;
	int rc = torc_pg_dial(session->pg, &conn, address, dialled, deadline);

	if (rc == -EALREADY)
		return rc;
	if (rc < 0) {
		torc_pg_say(session, "connect to %s: %s", session->address,
		    rc == -ETIMEDOUT ? "no connection in time" :
		    torc_pg_cause(rc));
		return rc;
	}
	session->conn = conn;
	if (strncmp(session->address, "unix:", 5) == 0 ||
	    torc_conn_peer_address(session->conn, session->peer,
	    sizeof(session->peer)) < 0)
		snprintf(session->peer, sizeof(session->peer), "%s",
		    session->address);
	if (encrypted)
		rc = begin_tls(session, torc_portion(deadline,
		    1 + dialled->left));
	if (rc < 0) {
		torc_conn_close(session->conn, TORC_AT_ONCE);
		session->conn = NULL;
	}
	return rc;
}
