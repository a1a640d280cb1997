/* SPDX-License-Identifier: MIT */
/*
 * bio.c - OpenSSL's side of a transport. It never waits: what is not there yet
 * is asked for again, and what is written has room.
 */
#include <pthread.h>
#include <string.h>

#include "conn/tls/away.h"
#include "conn/tls/bio.h"
#include "conn/tls/session.h"

static int
read_some(BIO *bio, char *data, size_t size, size_t *got)
{
	struct tls_session *session = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	*got = 0;
	/* Each costs us as much as many records: that is enough. */
	if (session->quiet > TLS_QUIET_MAX)
		return 0;
	*got = size < session->in_size ? size : session->in_size;
	if (*got == 0) {
		BIO_set_retry_read(bio);
		return 0;
	}
	memcpy(data, session->in, *got);
	session->in += *got;
	session->in_size -= (uint32_t)*got;
	return 1;
}

static int
write_all(BIO *bio, const char *data, size_t size, size_t *done)
{
	struct tls_session *session = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	*done = size;
	if (session->away != NULL)
		return torc_tls_away_keep(session->away, data, size);
	torc_transport_emit(&session->transport, (const uint8_t *)data,
	    (uint32_t)size);
	return 1;
}

/* All that is written leaves by itself. */
static long
control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

static void
make_method(void)
{
	BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() |
	    BIO_TYPE_SOURCE_SINK, "torc");

	if (made == NULL)
		return;
	BIO_meth_set_read_ex(made, read_some);
	BIO_meth_set_write_ex(made, write_all);
	BIO_meth_set_ctrl(made, control);
	method = made;
}

BIO *
torc_tls_bio(struct tls_session *session)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	BIO *bio;

	pthread_once(&once, make_method);
	bio = method != NULL ? BIO_new(method) : NULL;
	if (bio == NULL)
		return NULL;
	BIO_set_data(bio, session);
	BIO_set_init(bio, 1);
	return bio;
}
