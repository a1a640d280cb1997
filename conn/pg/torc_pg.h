/* SPDX-License-Identifier: MIT */
/*
 * torc_pg.h - a client for PostgreSQL 9.4 and later (protocol 3.0).
 *
 * There are two ways to send statements. torc_pg_query() uses a few connections
 * that all fibers of the reactor share. Statements of one turn are sent
 * together, no fiber waits for another's answer before it sends, and the whole
 * result is collected, up to a limit. torc_pg_batch() does the same for several
 * statements that are one transaction. A session (torc_pg_session_acquire())
 * has a connection of its own, for transactions, large results that are read
 * row by row, COPY, and LISTEN.
 *
 * Prepared statements. Each statement is prepared once on each connection, and
 * kept there while it is among those used last. A prepared statement can be out
 * of date: the server forgot it, or a table, type or function was created anew.
 * If it fails with such an error before it is executed, it is prepared and sent
 * once more. In a transaction it is not, because the transaction has failed
 * with it. The columns of a result are those that the server described for that
 * very result.
 *
 * Poolers. The names of prepared statements are unique among all connections
 * and processes. A pooler that gives each transaction or statement to another
 * server therefore never mixes them up. Set `unnamed` if the pooler does not
 * support prepared statements (PgBouncer before 1.21, or with
 * max_prepared_statements = 0): it would make the server forget them all the
 * time, and keep statements that no client will use. With `unnamed`, each
 * statement is parsed each time, and nothing stays on the server.
 *
 * Errors. Functions return negative errnos, as in torc.h:
 *
 *	-EREMOTEIO	the server refused the statement: struct torc_pg_error
 *			has the details; the connection can still be used
 *	-EACCES		the login failed: the server refused it, it asks for
 *			less than the configuration demands, or it did not prove
 *			that it knows the password
 *	-EPROTO		the server's bytes are not the protocol; the connection
 *			is closed
 *	-EMSGSIZE	a message or a result exceeds its limit: it is skipped,
 *			and the connection can still be used. Or a request
 *			exceeds 1 GiB, and nothing was sent
 *	-E2BIG		a statement has more than 65535 parameters, the limit of
 *			the protocol; nothing was sent
 *	-EOPNOTSUPP	the server asks for a method that torc does not have, or
 *			a statement cannot be used in this way
 *	-EPROTONOSUPPORT
 *			TLS is required, and the server has none
 *	-EKEYREJECTED	the server did not prove its name by its certificate, or
 *			another error of torc_tls_dial_begin()
 *	-ECONNRESET ...	the connection was lost, or there is none
 *	-ECONNABORTED	a statement of torc_pg_query() or of a batch left a
 *			transaction open, which its text did not show; its
 *			connection was closed
 *
 * An error belongs to one request. Other requests on the same connection fail
 * only if the connection breaks. enum torc_pg_outcome says what is known about
 * them. A request that was not sent yet moves to another connection.
 *
 * TLS. By default connections are in clear text. With `transport`, which is
 * torc_tls_client_transport() of a client of TLS (torc_tls.h), they have TLS,
 * and the server has to prove its name. `sslmode`, `sslnegotiation` and
 * `channel_binding` mean what they mean for libpq, also in a URI. Certificates
 * and keys are those of `transport`: a URI that names files of its own is
 * refused. Each host of a list is treated for itself. A unix socket never has
 * TLS. A cancel goes over TLS if the connection of its statement does.
 *
 *	if (torc_tls_client_create(&client, NULL, &error) < 0)
 *		...
 *	config.transport = torc_tls_client_transport(client);
 */
#ifndef TORC_PG_H
#define TORC_PG_H

#include "torc.h"
#include "torc_client.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

#ifdef __cplusplus
extern "C" {
#endif

struct torc_pg;
struct torc_transport_dialler;
struct torc_pg_config;
struct torc_pg_stats;

/*
 * The calls behind those that take or fill in a structure that grows: see
 * torc_runtime.h.
 */
TORC_API int torc_pg_create_sized(struct torc_pg **pg,
    const struct torc_pg_config *config, size_t config_size,
    struct torc_error *error);
TORC_API void torc_pg_stats_read_sized(const struct torc_pg *pg,
    struct torc_pg_stats *stats, size_t stats_size);

/* ---- Values ---- */

/* The types that torc knows, by their number (pg_type.oid). */
enum {
	TORC_PG_INFERRED = 0,	/* for a parameter: the server infers its
				 * type */
	TORC_PG_BOOL = 16,
	TORC_PG_BYTEA = 17,
	TORC_PG_INT8 = 20,
	TORC_PG_INT2 = 21,
	TORC_PG_INT4 = 23,
	TORC_PG_TEXT = 25,
	TORC_PG_OID = 26,
	TORC_PG_FLOAT4 = 700,
	TORC_PG_FLOAT8 = 701,
	TORC_PG_VARCHAR = 1043,
	TORC_PG_NUMERIC = 1700,
};

/*
 * A parameter of a statement ($1, $2 ...), made by one of the functions below.
 * The memory that it points to must stay valid until the call that takes it
 * returns. Frozen.
 */
struct torc_pg_param {
	uint32_t type;
	bool binary;
	bool number;		/* the value is in `bits`, not in `bytes` */
	uint8_t width;		/* how many bytes of `bits` are sent */
	uint64_t bits;
	struct torc_slice bytes;	/* data NULL: the value NULL */
};

/* Make a parameter of a statement. */
TORC_API struct torc_pg_param torc_pg_null(void);
TORC_API struct torc_pg_param torc_pg_bool(bool value);
TORC_API struct torc_pg_param torc_pg_int2(int16_t value);
TORC_API struct torc_pg_param torc_pg_int4(int32_t value);
TORC_API struct torc_pg_param torc_pg_int8(int64_t value);
TORC_API struct torc_pg_param torc_pg_float4(float value);
TORC_API struct torc_pg_param torc_pg_float8(double value);
TORC_API struct torc_pg_param torc_pg_bytea(const void *data, size_t size);
/*
 * Make a parameter from text. The server infers its type when it prepares the
 * statement: "17" can be a number or a date. For NULL, torc_pg_text() makes the
 * value NULL. For size 0, torc_pg_text_n() makes an empty text, even if `text`
 * is NULL.
 *
 * If the type of a column is changed after that, a text that is invalid for the
 * old type makes torc prepare the statement again. A text that is valid for the
 * old type loses what that type cannot hold, such as the time after a date,
 * until connections are new (`lifetime_ms`).
 */
TORC_API struct torc_pg_param torc_pg_text(const char *text);
TORC_API struct torc_pg_param torc_pg_text_n(const char *text, size_t size);
/*
 * Make a parameter of any type from the bytes that are sent for it. Size 0 is
 * an empty value, not the value NULL.
 */
TORC_API struct torc_pg_param torc_pg_raw(uint32_t type, bool binary,
    const void *data, size_t size);

/* A column of a result. Frozen. */
struct torc_pg_column {
	const char *name;
	uint32_t type;
	bool binary;		/* its values are binary, not text */
};

/*
 * Read a value of a column. Returns 0, or: -ENODATA the value is NULL; -EINVAL
 * the column's type or the value does not fit the call; -ERANGE the value does
 * not fit the result; -ENOMEM. The locale of the program does not matter. Any
 * thread.
 */
/*
 * Read int2, int4, int8, oid or numeric. A numeric with a fraction is -ERANGE.
 */
TORC_API int torc_pg_read_int(const struct torc_pg_column *column,
    struct torc_slice value, int64_t *number);
/*
 * Read float4, float8, numeric (the nearest double), or any type of
 * torc_pg_read_int().
 */
TORC_API int torc_pg_read_float(const struct torc_pg_column *column,
    struct torc_slice value, double *number);
/* Read bool. */
TORC_API int torc_pg_read_bool(const struct torc_pg_column *column,
    struct torc_slice value, bool *truth);
/*
 * Read a bytea. Returns how many bytes it has, or an error as above: -ERANGE if
 * `room` is too small.
 */
TORC_API int64_t torc_pg_read_bytea(const struct torc_pg_column *column,
    struct torc_slice value, void *data, size_t room);

/* ---- What goes wrong ---- */

/* What is known about statements that failed. */
enum torc_pg_outcome {
	TORC_PG_UNKNOWN,	/* sent and not answered: executed, or not */
	TORC_PG_UNSENT,		/* no byte was sent: it can be repeated */
	TORC_PG_UNDONE,		/* the server has undone it */
	TORC_PG_DONE,		/* executed: only the result cannot be given */
};

/*
 * Describes why a statement failed. The structure and its texts are torc's. An
 * error of a result is readable as long as the result, that of a session until
 * the next call on it, and that of `notice` during the call. Texts that are not
 * known are "".
 *
 * If a message of the server is longer than `message_max`, only its beginning
 * is kept. `cut` says so. Texts are cut after a whole character.
 *
 * Later versions add fields at the end: programs must not create or copy it.
 */
struct torc_pg_error {
	char state[6];		/* SQLSTATE, such as "42P01"; "" if the error is
				 * not the server's */
	bool cut;		/* the last text that is not "" is incomplete,
				 * and later texts are missing */
	enum torc_pg_outcome outcome;	/* of torc_pg_query(), or of all
				 * statements of a batch */
	unsigned statement;	/* which statement of a batch failed, from 0;
				 * their number: the commit of all of them
				 * failed */
	unsigned position;	/* which character of the statement, from 1 */
	const char *severity;	/* "ERROR", "FATAL", "NOTICE" ... */
	const char *text;	/* the error in words */
	const char *detail;
	const char *hint;
	const char *context;	/* where in functions the error happened */
	const char *table;
	const char *column;
	const char *constraint;
};

/* ---- A client ---- */

/*
 * The server of a client, and the client's limits. 0 and NULL select the
 * default. A value out of its range is refused with -EINVAL. Texts are copied.
 * It grows.
 */
struct torc_pg_config {
	/*
	 * "127.0.0.1:5432", "[::1]:5432", "name:5432", "name" (port 5432),
	 * "unix:/var/run/postgresql/.s.PGSQL.5432", or "/var/run/postgresql";
	 * or several, separated by commas, which are tried in this order, with
	 * all addresses of a name. Or a URI, as libpq reads it, such as
	 * "postgresql://user:password@host:port,host/database?name=value". Its
	 * parts override the fields below. There is no default for `address`
	 * and `user`.
	 */
	const char *address;
	/*
	 * Which kind of server to use, in PostgreSQL's terms: "any" (also
	 * NULL), "read-write", "read-only", "primary", "standby",
	 * "prefer-standby". Addresses of other servers are skipped.
	 */
	const char *target_session_attrs;
	const char *user;	/* there is no default */
	const char *database;	/* NULL: the name of the user */
	const char *password;	/* NULL: none */
	/*
	 * Parameters of the startup: names and values by turns, ended by NULL,
	 * such as "application_name", "api", "statement_timeout", "2000", NULL.
	 */
	const char *const *parameters;

	bool allow_cleartext;	/* the password may be sent in clear text */
	bool require_scram;	/* refuse any login weaker than SCRAM-SHA-256 */
	unsigned iterations_max;	/* iterations of SCRAM; 1000000; 4096 to
				 * 2^24 */

	unsigned shared;	/* connections of torc_pg_query(); 2; 1 to 256;
				 * as many more may be open for a while if their
				 * statements exceed a deadline */
	unsigned sessions;	/* connections for sessions; 8; 1 to 4096 */
	unsigned waiters;	/* fibers that wait for a connection; 1024;
				 * 1 to 1048576 */
	unsigned statements;	/* prepared statements kept on each connection;
				 * 256; 1 to 65536 */
	bool unnamed;		/* keep no prepared statements, for a pooler
				 * that does not support them: see torc_pg.h */
	unsigned message_max;	/* bytes of one message, such as a row;
				 * 16777216; 1024 to 2^30 */
	unsigned result_max;	/* bytes of a result of torc_pg_query(), or of
				 * all results of a batch; 4194304; 1024 to
				 * 2^30 */
	unsigned notices_max;	/* bytes of notifications that wait to be read;
				 * 262144; 1024 to 2^30 */

	unsigned open_ms;	/* to connect and log in; 5000; 1 to
				 * TORC_NO_LIMIT */
	unsigned idle_ms;	/* an unused connection is closed after this
				 * time; 60000; TORC_NO_LIMIT: never */
	unsigned lifetime_ms;	/* the maximum age of a connection;
				 * TORC_NO_LIMIT */
	unsigned retry_min_ms;	/* the pause between attempts to connect, as in
				 * struct torc_pool_config */
	unsigned retry_max_ms;	/* the longest of these pauses */
	unsigned cancel_ms;	/* to end a statement that was given up, or a
				 * transaction, and to reset a session; after
				 * that its connection is closed; 1000; 1 to
				 * 60000 */
	/*
	 * The statements that reset a returned session: see
	 * torc_pg_session_release(). NULL: reset everything but prepared
	 * statements; "": reset nothing.
	 */
	const char *reset;

	/*
	 * Called with notices and warnings of the server. May be NULL. Must not
	 * park.
	 */
	void (*notice)(struct torc_pg *pg, const struct torc_pg_error *notice,
	    void *arg);
	void *arg;		/* passed to `notice` */

	/*
	 * TLS for the connections: see torc_pg.h. NULL: clear text. It has to
	 * live until the client is destroyed.
	 */
	struct torc_transport_dialler *transport;
	/*
	 * When TLS is used, and what is verified, in PostgreSQL's terms. NULL:
	 * "verify-full" with `transport`, and else "disable".
	 *
	 *	disable		no TLS
	 *	allow		clear text; TLS if the server refuses that
	 *	prefer		TLS; clear text if the server has none, or if
	 *			the handshake or the login fails
	 *	require		TLS
	 *	verify-ca	TLS; the certificate has to be signed by
	 *			somebody who is trusted
	 *	verify-full	TLS; and it has to have the name of the host,
	 *			or its address if that is all there is
	 *
	 * Only the last two, and channel binding, protect against somebody who
	 * is in between. If `transport` was made with a CA of its own, the
	 * others verify as verify-ca does: an old rule of libpq.
	 */
	const char *sslmode;
	/*
	 * How TLS begins: "postgres" (also NULL) asks the server first,
	 * "direct" does not. It needs PostgreSQL 17, and an `sslmode` of
	 * require or more.
	 */
	const char *sslnegotiation;
	/*
	 * Whether a login is bound to the certificate of the server, so that
	 * nobody in between can pass it on: "disable"; "prefer" (also NULL) if
	 * the server can; "require" refuses every other login.
	 */
	const char *channel_binding;
};

/*
 * Create a client for the reactor of this thread. It connects when it is first
 * used. torc_pg_of() returns the first client of a reactor. Returns 0, or:
 * -EINVAL a field is wrong, and `error` (may be NULL) names it, its value and
 * what it must be; -ENOMEM; -ENOBUFS there are too many pools.
 */
static inline int
torc_pg_create(struct torc_pg **pg, const struct torc_pg_config *config,
    struct torc_error *error)
{
	return torc_pg_create_sized(pg, config, sizeof(*config), error);
}

/* Returns the first client of a reactor, or NULL. */
TORC_API struct torc_pg *torc_pg_of(const struct torc_reactor *reactor);

/*
 * Parks. Destroy a client: close its connections and free it. No session may be
 * rented, and no call in progress. It works and returns as torc_pool_destroy():
 * call it on a fiber, or after the reactor has ended. It may also return
 * -ECANCELED: then the remaining connections are closed in the background.
 */
TORC_API int torc_pg_destroy(struct torc_pg *pg, torc_deadline deadline);

/* The statistics of a client. It grows. */
struct torc_pg_stats {
	uint64_t queries;	/* statements of torc_pg_query() and batches
				 * that were sent, including repetitions */
	uint64_t prepared;	/* statements that were prepared */
	uint64_t repeated;	/* statements that were prepared again and
				 * repeated, because they were out of date */
	uint64_t cancels;	/* cancel requests that were sent */
	uint64_t retired;	/* shared connections that were replaced */
};

/* Read the statistics of a client. */
static inline void
torc_pg_stats_read(const struct torc_pg *pg, struct torc_pg_stats *stats)
{
	torc_pg_stats_read_sized(pg, stats, sizeof(*stats));
}

/*
 * Returns a pool of the client, for torc_pool_stats_read(): the pool of the
 * shared connections, or the pool of the sessions.
 */
TORC_API const struct torc_pool *torc_pg_shared_pool(
    const struct torc_pg *pg);
TORC_API const struct torc_pool *torc_pg_session_pool(
    const struct torc_pg *pg);

/* ---- Statements ---- */

/* A statement and the values of its parameters. Frozen. */
struct torc_pg_statement {
	const char *sql;	/* one statement */
	const struct torc_pg_param *params;	/* $1 and so on */
	unsigned param_count;	/* at most 65535 */
	bool binary;		/* request columns in binary, not as text */
};

/* A row of a result. Frozen. */
struct torc_pg_row {
	const struct torc_slice *values;	/* data NULL: the value NULL */
	unsigned count;		/* how many columns */
};

struct torc_pg_result;

/*
 * Parks. Send a statement over a shared connection, and collect its result. The
 * statement is a transaction of its own. Returns 0, or a negative errno of
 * those listed in torc_pg.h.
 *
 * The caller must free `*result` with torc_pg_result_free(), even after an
 * error. It has no rows then, and torc_pg_result_error() says what went wrong
 * and whether the statement was executed. It is NULL only if there was no
 * memory for it.
 *
 * Statements that change the session for all that share it are refused with
 * -EOPNOTSUPP before they are sent: SET, RESET, LISTEN, PREPARE, DEALLOCATE,
 * DISCARD, LOAD, temporary tables, cursors with hold, set_config() unless its
 * third argument is the word true, advisory locks of the session, a transaction
 * that stays open, and COPY through the connection. torc recognizes them by the
 * words of the text. If only the server's answer shows such a change, by its
 * command tag or by a parameter that has changed, the connection is closed. A
 * command tag also makes the call fail, although the statement was executed.
 *
 * If a deadline or a cancel ends the wait, the statement may have been
 * executed. A connection gets no more statements if its oldest statement has
 * exceeded its deadline, or if a statement exceeded its deadline while none was
 * answered. A slow statement delays the statements behind it: use a session for
 * it.
 */
TORC_API int torc_pg_query(struct torc_pg *pg,
    const struct torc_pg_statement *statement, struct torc_pg_result **result,
    torc_deadline deadline) TORC_CHECKED;

/*
 * Parks. Send `count` statements at once, as one transaction. It works as
 * torc_pg_query(), with a single Sync after the last statement. If one
 * statement fails, later ones are not executed, and earlier ones are undone. A
 * batch takes fewer messages and fewer commits than as many queries. Do not put
 * statements into it that may fail independently.
 *
 *	const struct torc_pg_statement order[] = {
 *		{ "insert into orders values ($1, $2)", of, 2, false },
 *		{ "update stock set left = left - $1", of + 1, 1, false },
 *	};
 *	int rc = torc_pg_batch(pg, order, 2, &result, deadline);
 *
 *	if (rc == -EREMOTEIO && torc_pg_result_error(result)->statement == 1)
 *		sell_out();
 *	if (rc == 0) {
 *		torc_pg_result_seek(result, 1);
 *		changed = torc_pg_result_affected(result);
 *	} ...
 *
 * Returns 0, or: -EINVAL `count` is 0; -EREMOTEIO a statement failed, and
 * `statement` of the error says which; -EMSGSIZE the result exceeds its limit,
 * but all statements were executed (`outcome` is TORC_PG_DONE), or the
 * statements together exceed 1 GiB and were not sent (TORC_PG_UNSENT); an error
 * as torc_pg_query(). There is one result for all statements.
 *
 * A BEGIN in a batch needs its COMMIT in the same batch. If a statement in
 * between fails, the transaction is rolled back. A COMMIT, a CALL, or a
 * statement that cannot run in a transaction, such as VACUUM, may make earlier
 * statements permanent. If a later statement fails, the outcome is unknown
 * then. If a prepared statement was out of date, all statements are repeated,
 * unless something that cannot be undone was executed before it.
 */
TORC_API int torc_pg_batch(struct torc_pg *pg,
    const struct torc_pg_statement *statements, unsigned count,
    struct torc_pg_result **result, torc_deadline deadline) TORC_CHECKED;

/*
 * Select a statement of a batch by its `index`, from 0. The calls below then
 * apply to the result of that statement, beginning with its first row.
 * Statement 0 is selected at first.
 */
TORC_API void torc_pg_result_seek(
    struct torc_pg_result *result, unsigned index);

/* Free a result. NULL does nothing. */
TORC_API void torc_pg_result_free(struct torc_pg_result *result);

/*
 * Returns the number of columns of a result, or the columns, which are readable
 * until the result is freed. A statement without rows has 0 columns, and NULL.
 */
TORC_API unsigned torc_pg_result_column_count(
    const struct torc_pg_result *result);
TORC_API const struct torc_pg_column *torc_pg_result_columns(
    const struct torc_pg_result *result);

/*
 * Returns how many rows a result has, or how many rows an INSERT, UPDATE and
 * the like changed.
 */
TORC_API uint64_t torc_pg_result_row_count(const struct torc_pg_result *result);
TORC_API uint64_t torc_pg_result_affected(const struct torc_pg_result *result);

/*
 * Read the next row. Returns false after the last row. Values stay readable
 * until the result is freed, and the array `row->values` until the next call.
 */
TORC_API bool torc_pg_result_next_row(struct torc_pg_result *result,
    struct torc_pg_row *row);

/* Returns why the call failed. `text` is "" if it did not. */
TORC_API const struct torc_pg_error *torc_pg_result_error(
    const struct torc_pg_result *result);

/* ---- Sessions ---- */

/* A session is a rented connection. One fiber at a time uses it. */
struct torc_pg_session;

/*
 * Parks. Rent a session. It returns as torc_pool_acquire(). `error` (may be
 * NULL) says why this call failed, for example why it could not connect to each
 * address.
 */
TORC_API int torc_pg_session_acquire(struct torc_pg *pg,
    struct torc_pg_session **session, struct torc_error *error,
    torc_deadline deadline);

/*
 * Give a session back, in any state. The caller must not use it any more. It is
 * rented again after it was cleaned: a running statement is cancelled, an open
 * transaction is rolled back, and the session is reset. This happens on another
 * fiber, within `cancel_ms`; otherwise the connection is closed.
 *
 * The statements of `reset` are run if the session was used since the last
 * reset. By default they close cursors, reset the role and all settings, stop
 * listening, release advisory locks, and drop temporary tables and statements
 * of PREPARE. With DISCARD ALL, torc has to prepare each statement again, too.
 */
TORC_API void torc_pg_session_release(struct torc_pg_session *session);

/* Mark a session so that its connection is closed when it is returned. */
TORC_API void torc_pg_session_taint(struct torc_pg_session *session);

/*
 * Returns why the last failed call on a session failed: an error of the server,
 * a deadline, a lost connection. It is readable until the next call.
 */
TORC_API const struct torc_pg_error *torc_pg_session_error(
    const struct torc_pg_session *session);

/*
 * Returns the state of a session: 'I' if it is idle, 'T' in a transaction, 'E'
 * in a transaction that failed. It is 0 if a statement is not complete, or if
 * the connection is lost.
 */
TORC_API char torc_pg_session_state(const struct torc_pg_session *session);

/*
 * Returns a parameter that the server reported, such as "server_version", or
 * NULL. Its value changes when the server reports a change.
 */
TORC_API const char *torc_pg_session_parameter(
    const struct torc_pg_session *session, const char *name);

/*
 * Parks. Begin a statement. torc_pg_session_begin() begins a prepared
 * statement, and torc_pg_session_begin_simple() a text of one or more
 * statements without parameters. Unread rows of the previous statement are
 * discarded first. Returns 0 when rows can be read, or a negative errno.
 * torc_pg_session_end() ends the statement, and so does beginning another one.
 *
 * If a deadline or a cancel ends this call or one of the calls below while a
 * statement runs, torc asks the server on another connection to cancel it. The
 * session can then be released. It can also be used again: the next call first
 * waits for the statement to end.
 */
TORC_API int torc_pg_session_begin(struct torc_pg_session *session,
    const struct torc_pg_statement *statement, torc_deadline deadline);
TORC_API int torc_pg_session_begin_simple(struct torc_pg_session *session,
    const char *sql, torc_deadline deadline);

/*
 * Parks. Read the next row. Returns 1, or 0 after the last row, or a negative
 * errno. After -EMSGSIZE one row was skipped, and the next call reads the row
 * behind it. After -EREMOTEIO the statement has ended. Values point to torc's
 * memory and are readable until the next call on the session. Rows are received
 * only when they are asked for, except for what fits in the buffers of the
 * connection and the kernel: a slow reader slows the server down.
 */
TORC_API int torc_pg_session_next_row(struct torc_pg_session *session,
    struct torc_pg_row *row, torc_deadline deadline);

/*
 * Parks. Go on to the next result, after torc_pg_session_next_row() returned 0.
 * Returns 1 if another statement of the same text has a result, 0 if there is
 * none, or a negative errno.
 */
TORC_API int torc_pg_session_next_result(
    struct torc_pg_session *session, torc_deadline deadline);

/*
 * Returns the number of columns of the current result, or the columns, which
 * are readable until the next call on the session other than
 * torc_pg_session_next_row(). A statement without rows has 0 columns, and NULL.
 */
TORC_API unsigned torc_pg_session_column_count(
    const struct torc_pg_session *session);
TORC_API const struct torc_pg_column *torc_pg_session_columns(
    const struct torc_pg_session *session);

/*
 * Parks. End the statement. Its unread rows are discarded. Returns 0, or the
 * first error of the statement.
 */
TORC_API int torc_pg_session_end(struct torc_pg_session *session,
    torc_deadline deadline);

/*
 * Returns the command tag of a completed result, or how many rows it affected.
 * The tag is "" if there was none.
 */
TORC_API const char *torc_pg_session_tag(
    const struct torc_pg_session *session);
TORC_API uint64_t torc_pg_session_affected(
    const struct torc_pg_session *session);

/*
 * Parks. Run a text of one or more statements, such as BEGIN or SET, and
 * discard their results. Returns 0, or a negative errno. A COMMIT that rolled
 * back because its transaction had failed is -EREMOTEIO. The same holds for
 * torc_pg_session_begin(). After torc_pg_session_begin_simple(), check
 * torc_pg_session_tag().
 */
TORC_API int torc_pg_session_run(struct torc_pg_session *session,
    const char *sql, torc_deadline deadline) TORC_CHECKED;

/* ---- COPY ---- */

/*
 * Parks. Copy data to the server. Begin with a "copy ... from stdin", write the
 * data in its text or binary format in pieces of any size, and end. `why` is
 * NULL if the data is complete; otherwise the text tells the server to discard
 * everything. `*rows` (may be NULL) is set to the number of rows. Returns 0, or
 * a negative errno. An end with a `why` returns 0 if the server has discarded
 * the data. After -EREMOTEIO the copy has ended already: do not write more, and
 * do not call torc_pg_copy_in_end().
 */
TORC_API int torc_pg_copy_in_begin(struct torc_pg_session *session,
    const char *sql, torc_deadline deadline);
TORC_API int torc_pg_copy_in_write(struct torc_pg_session *session,
    const void *data, size_t size, torc_deadline deadline) TORC_CHECKED;
TORC_API int torc_pg_copy_in_end(struct torc_pg_session *session,
    const char *why, uint64_t *rows, torc_deadline deadline) TORC_CHECKED;

/*
 * Parks. Copy data from the server. Begin with a "copy ... to stdout", and read
 * one row at a time. `*data` is readable until the next call. The end discards
 * unread rows. Begin and end return 0, or a negative errno. A read returns 1,
 * or 0 after the last row, or a negative errno: after -EMSGSIZE one row was
 * skipped, and the next call reads the row behind it.
 */
TORC_API int torc_pg_copy_out_begin(struct torc_pg_session *session,
    const char *sql, torc_deadline deadline);
TORC_API int torc_pg_copy_out_read(struct torc_pg_session *session,
    struct torc_slice *data, torc_deadline deadline);
TORC_API int torc_pg_copy_out_end(struct torc_pg_session *session,
    uint64_t *rows, torc_deadline deadline);

/* ---- Notifications ---- */

/* A notification, as NOTIFY sends it. Frozen. */
struct torc_pg_notification {
	const char *channel;	/* its name */
	const char *payload;	/* the sender's text, or "" */
	uint32_t process;	/* the process of the sender */
};

/*
 * Parks. Listen to a channel. Its name is quoted, so it is case-sensitive. The
 * connection will be closed when the session is returned. Returns 0, or:
 * -ENAMETOOLONG the quoted name has more than 504 bytes; an error of the
 * server.
 */
TORC_API int torc_pg_session_listen(struct torc_pg_session *session,
    const char *channel, torc_deadline deadline);

/*
 * Parks. Wait for the next notification. Notifications that arrived during
 * statements are returned first, in order. No statement may be running. Returns
 * 0, or: -ETIMEDOUT or -ECANCELED none came, and the session can be used as
 * before; -EOVERFLOW more than `notices_max` bytes of notifications waited, or
 * there was no memory, and later ones were lost (reported once); an error of
 * the connection, which is lost then. The texts are readable until the next
 * call on the session.
 */
TORC_API int torc_pg_session_await_notification(struct torc_pg_session *session,
    struct torc_pg_notification *notification, torc_deadline deadline);

#ifdef __cplusplus
}
#endif

#pragma GCC diagnostic pop

#endif
