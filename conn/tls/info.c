/* SPDX-License-Identifier: MIT */
/*
 * info.c - what was agreed on for a connection.
 */
#include <errno.h>

#include "conn/conn.h"
#include "conn/tls/client.h"
#include "conn/tls/session.h"
#include "reactor/config.h"

int
torc_tls_info_read_sized(const struct torc_conn *conn,
    struct torc_tls_info *info, size_t size)
{
	const struct tls_session *session;
	struct torc_tls_info known;
	const unsigned char *protocol;
	const struct tls_peer *peer = NULL;
	unsigned protocol_size;

	/* Which looks whether it is a connection of this thread's. */
	(void)torc_conn_port(conn);
	torc_require(info != NULL,
	    "torc_tls_info_read needs a place for what it tells");
	session = torc_tls_session_find(conn->transport);
	if (session == NULL)
		return -ENOTCONN;
	if (SSL_get0_peer_certificate(session->ssl) != NULL) {
		peer = torc_tls_session_peer((void *)conn->transport);
		if (peer == NULL)
			return -ENOMEM;
	}
	SSL_get0_alpn_selected(session->ssl, &protocol, &protocol_size);
	known = (struct torc_tls_info) {
		.version = (enum torc_tls_version)SSL_version(session->ssl),
		.cipher = SSL_get_cipher_name(session->ssl),
		.name = SSL_get_servername(session->ssl,
		    TLSEXT_NAMETYPE_host_name),
		.protocol = { protocol, protocol_size },
		.resumed = SSL_session_reused(session->ssl) == 1,
		.failure = session->generation == NULL ?
		    torc_tls_dialled_of(session)->why : NULL,
		.client_verified = SSL_is_server(session->ssl) == 1 &&
		    SSL_get0_peer_certificate(session->ssl) !=
		    NULL && SSL_get_verify_result(session->ssl) == X509_V_OK,
		.subject = peer != NULL ? peer->subject : NULL,
		.fingerprint = peer != NULL ? peer->fingerprint : NULL,
	};
	torc_config_give(info, size, &known, sizeof(known));
	return 0;
}
