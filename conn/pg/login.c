/* SPDX-License-Identifier: MIT */
/*
 * login.c - logs in: from the startup of a connection until the server is
 * ready.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/pg/auth.h"
#include "conn/pg/client.h"
#include "conn/pg/error.h"
#include "conn/pg/login.h"
#include "conn/pg/connect.h"
#include "conn/pg/saslprep.h"
#include "conn/pg/session.h"
#include "conn/pg/stream.h"
#include "conn/pg/wire.h"
#include "conn/transport.h"
#include "sys/sys.h"

struct login {
	struct torc_pg_session *session;
	torc_deadline deadline;
	uint32_t method;	/* that was asked for, and answered */
	bool let_in;
	char text[3 * PG_SCRAM_SIZE];	/* of a message of ours */
	int text_size;
	uint8_t salt[4];
	struct pg_binding binding;
	struct pg_scram scram;
	char *password;		/* in the form that is hashed */
};

/* ---- What is sent ---- */

static void
put_startup(struct pg_writer *writer, void *arg)
{
	const struct torc_pg *pg = arg;

	torc_pg_put_startup(writer, pg->config.user, pg->config.database,
	    pg->setup.parameters);
}

static void
put_text(struct pg_writer *writer, void *arg)
{
	const struct login *login = arg;

	torc_pg_put_password(writer, login->text);
}

static void
put_first(struct pg_writer *writer, void *arg)
{
	const struct login *login = arg;

	torc_pg_put_sasl(writer, login->binding.bound == PG_BINDING_USED ?
	    PG_SCRAM_PLUS : PG_SCRAM, login->text, (size_t)login->text_size);
}

static void
put_final(struct pg_writer *writer, void *arg)
{
	const struct login *login = arg;

	torc_pg_put_sasl_more(writer, login->text, (size_t)login->text_size);
}

static int
answer(struct login *login, void (*put)(struct pg_writer *writer, void *arg))
{
	return torc_pg_write(login->session, put, login, login->deadline);
}

/* ---- Work that takes long, or a large stack: on a thread ---- */

static int
compute_md5(void *arg)
{
	struct login *login = arg;
	const struct torc_pg_config *config = &login->session->pg->config;

	return torc_pg_md5(login->text, config->user, config->password,
	    login->salt);
}

static int
compute_first(void *arg)
{
	struct login *login = arg;
	int rc;

	login->password = torc_pg_saslprep(login->session->pg->config.password);
	if (login->password == NULL)
		return -ENOMEM;
	rc = torc_pg_scram_begin(&login->scram, login->password,
	    &login->binding);
	if (rc < 0)
		return rc;
	login->text_size = torc_pg_scram_first(&login->scram, login->text,
	    sizeof(login->text));
	return 0;
}

static int
compute_final(void *arg)
{
	struct login *login = arg;
	int rc = torc_pg_scram_derive(&login->scram);

	if (rc < 0)
		return rc;
	rc = torc_pg_scram_final(
	    &login->scram, login->text, sizeof(login->text));
	login->text_size = rc;
	return rc < 0 ? rc : 0;
}

/* ---- What the server asks for ---- */

static int
refuse(struct login *login, const char *why)
{
	torc_pg_say(login->session, "log in to %s: %s", login->session->address,
	    why);
	return -EACCES;
}

/*
 * The server may ask for a password once, first, and not below what is
 * required.
 */
static int
check_method(struct login *login, uint32_t method)
{
	const struct torc_pg_config *config = &login->session->pg->config;

	if (login->method != PG_AUTH_OK)
		return refuse(login, "the server changed the method in the "
		    "middle");
	login->method = method;
	if (config->password == NULL)
		return refuse(login, "the server asks for a password");
	if (login->session->pg->setup.tls.channel == PG_CHANNEL_REQUIRE &&
	    method != PG_AUTH_SASL)
		return refuse(login, "the server asks for a login without "
		    "channel binding, which is required");
	if (config->require_scram && method != PG_AUTH_SASL)
		return refuse(login, "the server does not offer " PG_SCRAM
		    ", which is required");
	if (method == PG_AUTH_CLEARTEXT && !config->allow_cleartext)
		return refuse(login, "the server asks for the password in "
		    "clear text, which is not allowed");
	return 0;
}

static int
send_cleartext(struct login *login)
{
	const char *password = login->session->pg->config.password;

	login->text_size = snprintf(login->text, sizeof(login->text), "%s",
	    password);
	if (login->text_size >= (int)sizeof(login->text))
		return -EMSGSIZE;
	return answer(login, put_text);
}

static int
send_md5(struct login *login, const struct pg_auth *auth)
{
	int rc;

	memcpy(login->salt, auth->salt, sizeof(login->salt));
	rc = torc_offload(compute_md5, login, login->deadline);
	return rc < 0 ? rc : answer(login, put_text);
}

/* The hash of the server's certificate, as this connection has seen it. */
static int
bind_channel(struct login *login)
{
	const struct torc_pg_session *session = login->session;
	const int size = session->pg->config.transport->binding(
	    session->transport, login->binding.data);

	if (size <= 0)
		return refuse(login, "the server's certificate has no hash for "
		    "channel binding (channel_binding = disable does without)");
	login->binding.size = (size_t)size;
	login->binding.bound = PG_BINDING_USED;
	return 0;
}

/*
 * An offer without TLS is not one: somebody has taken TLS off on its way. What
 * is not offered may have been taken out of the offer: the server is told that
 * it would have been used, and refuses.
 */
static int
choose_binding(struct login *login, const struct pg_auth *auth)
{
	const struct torc_pg_session *session = login->session;
	const enum pg_channel channel = session->pg->setup.tls.channel;
	const bool offered = torc_pg_offers(auth, PG_SCRAM_PLUS);

	if (offered && session->transport == NULL)
		return refuse(login, "the server offers " PG_SCRAM_PLUS
		    " without TLS");
	if (offered && channel != PG_CHANNEL_DISABLE)
		return bind_channel(login);
	if (channel == PG_CHANNEL_REQUIRE)
		return refuse(login, "the server does not offer " PG_SCRAM_PLUS
		    ", and channel binding is required");
	if (!torc_pg_offers(auth, PG_SCRAM))
		return refuse(login, "the server does not offer " PG_SCRAM);
	if (session->transport != NULL && channel != PG_CHANNEL_DISABLE)
		login->binding.bound = PG_BINDING_UNUSED;
	return 0;
}

static int
send_first(struct login *login, const struct pg_auth *auth)
{
	int rc = choose_binding(login, auth);

	if (rc < 0)
		return rc;
	rc = torc_offload(compute_first, login, login->deadline);
	return rc < 0 ? rc : answer(login, put_first);
}

static int
send_final(struct login *login, const struct pg_auth *auth)
{
	int rc;

	if (login->method != PG_AUTH_SASL || login->scram.answered)
		return -EPROTO;
	rc = torc_pg_scram_challenge(&login->scram, auth->data.data,
	    auth->data.size, login->session->pg->config.iterations_max);
	if (rc == -EACCES)
		return refuse(login, "the server asks for more iterations than "
		    "`iterations_max`");
	if (rc == 0)
		rc = torc_offload(compute_final, login, login->deadline);
	return rc < 0 ? rc : answer(login, put_final);
}

static int
verify(struct login *login, const struct pg_auth *auth)
{
	int rc = torc_pg_scram_verify(&login->scram, auth->data.data,
	    auth->data.size);

	return rc != -EACCES ? rc : refuse(login,
	    "the server did not prove that it knows the password");
}

static int
be_let_in(struct login *login)
{
	if (login->session->pg->config.require_scram &&
	    login->method == PG_AUTH_OK)
		return refuse(login, "the server does not ask for " PG_SCRAM
		    ", which is required");
	if (login->session->pg->setup.tls.channel == PG_CHANNEL_REQUIRE &&
	    login->binding.bound != PG_BINDING_USED)
		return refuse(login, "the server lets us in without channel "
		    "binding, which is required");
	if (login->method == PG_AUTH_SASL && !login->scram.verified)
		return refuse(login,
		    "the server did not prove that it knows the password");
	login->let_in = true;
	return 0;
}

static int
take_auth(struct login *login, const struct pg_message *message)
{
	struct pg_auth auth;
	int rc = torc_pg_read_auth(message, &auth);

	if (rc < 0 || login->let_in)
		return -EPROTO;
	switch (auth.method) {
	case PG_AUTH_OK:
		return be_let_in(login);
	case PG_AUTH_SASL_CONTINUE:
		return send_final(login, &auth);
	case PG_AUTH_SASL_FINAL:
		return verify(login, &auth);
	case PG_AUTH_CLEARTEXT:
	case PG_AUTH_MD5:
	case PG_AUTH_SASL:
		break;
	default:
		torc_pg_say(login->session, "log in to %s: the server asks for "
		    "method %u, which torc does not have",
		    login->session->address, auth.method);
		return -EOPNOTSUPP;
	}
	rc = check_method(login, auth.method);
	if (rc < 0)
		return rc;
	return auth.method == PG_AUTH_MD5 ? send_md5(login, &auth) :
	    auth.method == PG_AUTH_SASL ? send_first(login, &auth) :
	    send_cleartext(login);
}

/* ---- The rest of the startup ---- */

/*
 * Class 28: the login is refused. 57P and 53: the server is starting, is
 * stopping, or has too many connections.
 */
static int
take_refusal(struct login *login, const struct pg_message *message)
{
	struct torc_pg_session *session = login->session;
	struct pg_report report;

	if (torc_pg_take_report(message, &report) < 0)
		return -EPROTO;
	/* One that is starting does so either way. */
	session->other_way = !login->let_in &&
	    strcmp(report.state, "57P03") != 0 && (session->transport != NULL ||
	    session->pg->setup.tls.mode == PG_SSL_ALLOW);
	torc_pg_say(session, "log in to %s as %s: %s %s: %s", session->address,
	    session->pg->config.user, report.severity, report.state,
	    report.text);
	if (strncmp(report.state, "28", 2) == 0)
		return -EACCES;
	return strncmp(report.state, "57P", 3) == 0 ||
	    strncmp(report.state, "53", 2) == 0 ? -ECONNREFUSED : -EREMOTEIO;
}

/* Returns 1 when the server is ready. */
static int
take_startup(struct login *login, const struct pg_message *message)
{
	struct torc_pg_session *session = login->session;
	int rc;

	switch (message->type) {
	case PG_AUTHENTICATION:
		return take_auth(login, message);
	case PG_ERROR:
		return take_refusal(login, message);
	case PG_NEGOTIATE:
		return login->let_in ? -EPROTO : 0;
	case PG_BACKEND_KEY:
		return login->let_in ?
		    torc_pg_read_key(
			message, &session->process, &session->secret) :
		    -EPROTO;
	case PG_READY:
		rc = login->let_in ?
		    torc_pg_read_ready(message, &session->state) :
		    -EPROTO;
		return rc < 0 ? rc : session->state == 'I' ? 1 : -EPROTO;
	default:
		return -EPROTO;
	}
}

int
torc_pg_log_in(struct torc_pg_session *session, torc_deadline deadline)
{
	struct login *login = torc_sys_alloc(sizeof(*login));
	struct pg_message message;
	int rc;

	if (login == NULL)
		return -ENOMEM;
	login->session = session;
	login->deadline = deadline;
	rc = session->pg->setup.tls.channel == PG_CHANNEL_REQUIRE &&
	    session->transport == NULL ? refuse(login, "channel binding is "
	    "required, and the connection has no TLS") :
	    torc_pg_write(session, put_startup, session->pg, deadline);
	while (rc == 0) {
		rc = torc_pg_receive(session, &message, deadline);
		if (rc == 0)
			rc = take_startup(login, &message);
	}
	if (login->password != NULL)
		explicit_bzero(login->password, strlen(login->password));
	torc_sys_free(login->password);
	explicit_bzero(login, sizeof(*login));
	torc_sys_free(login);
	return rc < 0 ? rc : 0;
}
