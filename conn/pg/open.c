/* SPDX-License-Identifier: MIT */
/*
 * open.c - connections are opened, on the first address that has what is
 * asked for, and closed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/kit/portion.h"
#include "conn/pg/answer.h"
#include "conn/pg/cache.h"
#include "conn/pg/cancel.h"
#include "conn/pg/carry.h"
#include "conn/pg/client.h"
#include "conn/pg/config.h"
#include "conn/pg/connect.h"
#include "conn/pg/error.h"
#include "conn/pg/login.h"
#include "conn/pg/open.h"
#include "conn/pg/session.h"
#include "conn/pg/stream.h"
#include "conn/pg/wire.h"
#include "reactor/error.h"
#include "sys/sys.h"
#include "sys/trap.h"

/* ---- What a server is ---- */

/* Parks. 1, 0, or a negative errno. */
static int
ask_truth(
    struct torc_pg_session *session, const char *sql, torc_deadline deadline)
{
	struct torc_pg_row row;
	bool truth = false;
	int rc = torc_pg_session_begin_simple(session, sql, deadline);

	if (rc == 0)
		rc = torc_pg_session_next_row(session, &row, deadline);
	if (rc == 1 && row.count == 1 && row.values[0].size > 0)
		truth = row.values[0].data[0] == 't' ||
		    memcmp(row.values[0].data, "on", row.values[0].size) == 0;
	if (rc >= 0)
		rc = torc_pg_session_end(session, deadline);
	if (rc == -EREMOTEIO)
		torc_pg_say(session, "ask %s for its role: %s",
		    session->address, session->fault.error.text);
	return rc < 0 ? rc : truth;
}

/* Servers report this themselves from version 14 on. */
static int
tells(const struct torc_pg_session *session, const char *parameter)
{
	const char *value = torc_pg_session_parameter(session, parameter);

	return value == NULL ? -ENODATA : strcmp(value, "on") == 0;
}

/*
 * Parks. Returns 1 if the server is in recovery, or takes no changes; 0; or a
 * negative errno.
 */
static int
is_standby(struct torc_pg_session *session, torc_deadline deadline)
{
	int rc = tells(session, "in_hot_standby");

	return rc >= 0 ? rc : ask_truth(session,
	    "SELECT pg_catalog.pg_is_in_recovery()", deadline);
}

static int
is_read_only(struct torc_pg_session *session, torc_deadline deadline)
{
	const int standby = tells(session, "in_hot_standby");
	const int by_default = tells(session,
	    "default_transaction_read_only");

	if (standby >= 0 && by_default >= 0)
		return standby | by_default;
	return ask_truth(session, "SHOW transaction_read_only", deadline);
}

/*
 * Parks. Returns 0; -EHOSTUNREACH if the server is of another kind; or another
 * error.
 */
static int
check_attrs(struct torc_pg_session *session, enum pg_attrs attrs,
    torc_deadline deadline)
{
	const bool wanted = attrs == PG_STANDBY || attrs == PG_READ_ONLY;
	int rc;

	if (attrs == PG_ANY)
		return 0;
	rc = attrs == PG_PRIMARY || attrs == PG_STANDBY ?
	    is_standby(session, deadline) : is_read_only(session, deadline);
	if (rc < 0 || (rc == 1) == wanted)
		return rc < 0 ? rc : 0;
	torc_pg_say(session, "%s is not %s", session->address,
	    torc_pg_attrs_name(attrs));
	return -EHOSTUNREACH;
}

bool
torc_pg_is_misplaced(const struct torc_pg_session *session,
    const struct pg_report *report)
{
	if (strcmp(report->state, "25006") == 0)
		return session->writable;
	return strncmp(report->state, "57P", 3) == 0 ||
	    strncmp(report->state, "08", 2) == 0;
}

/* ---- One address ---- */

static void
free_session(void *item, void *arg)
{
	struct torc_pg_session *session = item;

	(void)arg;
	torc_pg_cancel_forget(session);
	torc_pg_answer_end(&session->answer);
	torc_pg_cache_fini(&session->cache);
	torc_pg_stream_free(session);
	torc_pg_fault_clear(&session->fault);
	torc_sys_free(session->values);
	torc_sys_free(session);
}

/* Make a prefix that no other connection's statements have. */
static void
make_prefix(struct torc_pg *pg, char *prefix, size_t size)
{
	snprintf(prefix, size, "t%llx_%llx_", (unsigned long long)pg->random,
	    (unsigned long long)++pg->last_session);
}

static struct torc_pg_session *
new_session(struct torc_pg *pg, unsigned place, struct torc_error *words)
{
	struct torc_pg_session *session = torc_sys_alloc(sizeof(*session));
	char prefix[PG_PREFIX_SIZE] = "";

	if (!pg->config.unnamed)
		make_prefix(pg, prefix, sizeof(prefix));
	if (session == NULL || torc_pg_cache_init(&session->cache,
	    pg->config.statements, prefix) < 0) {
		torc_sys_free(session);
		return NULL;
	}
	torc_pg_fault_init(&session->fault);
	session->pg = pg;
	session->address = pg->setup.hosts[place];
	session->name = pg->setup.names[place];
	session->words = words;
	return session;
}

static void
put_terminate(struct pg_writer *writer, void *arg)
{
	(void)arg;
	torc_pg_put_terminate(writer);
}

static void
close_session(void *item, void *arg)
{
	struct torc_pg_session *session = item;
	const torc_deadline deadline = torc_after_ms(1000);
	/* If something is incomplete, the connection is closed without
	 * waiting. */
	const bool idle = session->lost == 0 && session->state == 'I';

	if (idle)
		torc_pg_write(session, put_terminate, NULL, deadline);
	torc_conn_close(session->conn, idle ? deadline : TORC_AT_ONCE);
	free_session(session, arg);
}

/* Parks. Log in, and check the kind of the server. */
static int
enter(struct torc_pg_session *session, enum pg_attrs attrs,
    torc_deadline deadline)
{
	const size_t said = strlen(session->words->text);
	int rc = torc_pg_log_in(session, deadline);

	if (rc == 0)
		rc = check_attrs(session, attrs, deadline);
	if (rc < 0 && strlen(session->words->text) == said)
		torc_pg_say(session, "log in to %s: %s", session->address,
		    torc_pg_connect_cause(session, rc));
	return rc;
}

/* What is opened, and how. */
struct attempt {
	unsigned place;		/* of the host */
	enum pg_attrs attrs;
	struct torc_error *words;
	struct torc_dialled dialled;	/* addresses of its name */
	bool encrypted;
	bool other_way;		/* it has failed, and may go better the other
				 * way */
	char peer[PG_PEER_SIZE];	/* where it has failed */
};

/* The session could not be opened, and goes. */
static int
fail_attempt(struct attempt *attempt, struct torc_pg_session *session, int rc)
{
	attempt->other_way = session->other_way;
	memcpy(attempt->peer, session->peer, sizeof(attempt->peer));
	if (session->conn != NULL)
		close_session(session, NULL);
	else
		free_session(session, NULL);
	return rc;
}

/* Parks. The next address, or `again` the one that was tried last. */
static int
try_once(struct torc_pg *pg, struct attempt *attempt, bool again,
    struct torc_pg_session **made, torc_deadline deadline)
{
	struct torc_pg_session *session = new_session(pg, attempt->place,
	    attempt->words);
	struct torc_dialled repeated = { .count = 0 };
	int rc;

	if (session == NULL)
		return -ENOMEM;
	if (again)
		memcpy(session->peer, attempt->peer, sizeof(session->peer));
	rc = torc_pg_connect(session, attempt->encrypted,
	    again ? &repeated : &attempt->dialled, deadline);
	if (rc == 0)
		rc = enter(session, attempt->attrs, torc_portion(deadline,
		    1 + attempt->dialled.left));
	if (rc < 0)
		return fail_attempt(attempt, session, rc);
	*made = session;
	return 0;
}

/*
 * Parks. Try the next address of a host, and try it again the other way, as
 * libpq does: `allow` with TLS, if the server refuses clear text; `prefer` in
 * clear text, if a handshake or a login over TLS fails.
 */
static int
try_address(struct torc_pg *pg, struct attempt *attempt,
    struct torc_pg_session **made, torc_deadline deadline)
{
	const enum pg_sslmode mode = pg->setup.names[attempt->place] == NULL ||
	    pg->config.transport == NULL ? PG_SSL_DISABLE : pg->setup.tls.mode;
	int rc, first;

	attempt->other_way = false;
	attempt->encrypted = mode >= PG_SSL_PREFER;
	rc = try_once(pg, attempt, false, made, deadline);
	if (rc == 0 || !attempt->other_way ||
	    (mode != PG_SSL_ALLOW && mode != PG_SSL_PREFER))
		return rc;
	first = rc;
	attempt->encrypted = !attempt->encrypted;
	rc = try_once(pg, attempt, true, made, deadline);
	return rc == -EPROTONOSUPPORT ? first : rc;
}

/* The next reader sees what follows. */
static void
begin_session(struct torc_pg_session *session)
{
	torc_conn_consume(session->conn, session->shown -
	    session->view.size);
	session->view.size = session->shown = 0;
	torc_pg_fault_clear(&session->fault);
	session->changed = session->used = false;
	session->writable = tells(session, "in_hot_standby") != 1 &&
	    tells(session, "default_transaction_read_only") != 1;
	session->words = NULL;
}

/* ---- All addresses ---- */

/*
 * Errors that another address does not change. A password is not sent to other
 * servers.
 */
static bool
is_final(int rc)
{
	return rc == -EACCES || rc == -EOPNOTSUPP || rc == -ENOMEM ||
	    rc == -ECANCELED || rc == -ESHUTDOWN;
}

/*
 * Parks. Try a host. A name may have several addresses, of different servers.
 */
static int
try_host(struct torc_pg *pg, unsigned place, enum pg_attrs attrs,
    struct torc_error *words, struct torc_pg_session **made,
    torc_deadline deadline)
{
	struct attempt attempt = { .place = place, .attrs = attrs,
		.words = words };
	int rc, next = -EHOSTUNREACH;

	do {
		rc = next;
		next = try_address(pg, &attempt, made, deadline);
	} while (next < 0 && next != -EALREADY && !is_final(next) &&
	    attempt.dialled.left > 0);
	return next == -EALREADY ? rc : next;
}

/* Parks. */
static int
try_all(struct torc_pg *pg, enum pg_attrs attrs, struct torc_error *words,
    struct torc_pg_session **made, torc_deadline deadline)
{
	const unsigned count = pg->setup.host_count;
	int rc = -EHOSTUNREACH;

	for (unsigned i = 0; i < count && rc < 0 && !is_final(rc); i++)
		rc = try_host(pg, i, attrs, words, made,
		    torc_portion(deadline, count - i));
	return rc;
}

static int
open_session(void **item, torc_deadline deadline, void *arg)
{
	struct pg_pool *pool = arg;
	struct torc_pg *pg = pool->pg;
	const bool prefers = pg->setup.attrs == PG_PREFER_STANDBY;
	struct torc_pg_session *session = NULL;
	struct torc_error words;
	int rc;

	torc_error_clear(&words);
	rc = try_all(pg, prefers ? PG_STANDBY : pg->setup.attrs, &words,
	    &session, prefers ? torc_portion(deadline, 2) : deadline);
	if (rc < 0 && prefers && !is_final(rc))
		rc = try_all(pg, PG_ANY, &words, &session, deadline);
	if (rc == 0)
		begin_session(session);
	if (rc == 0)
		torc_error_clear(&words);
	else if (words.text[0] == '\0')
		torc_error_set(&words, rc, "%s", torc_pg_cause(rc));
	words.code = rc;
	pool->failure = words;
	*item = session;
	return rc;
}

/* ---- For the pools ---- */

static bool
session_usable(void *item, void *arg)
{
	struct torc_pg_session *session = item;

	(void)arg;
	return session->lost == 0 && pg_carry_is_empty(&session->carry) &&
	    torc_conn_usable(session->conn);
}

const struct torc_pool_kind torc_pg_pool_kind = {
	.name = "postgres",
	.open = open_session,
	.close = close_session,
	.free = free_session,
	.usable = session_usable,
};
