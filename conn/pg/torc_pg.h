/* SPDX-License-Identifier: MIT */
/*
 * torc_pg.h - PostgreSQL for torc: protocol 3.0 (PostgreSQL 9.4 and later).
 *
 * There are two ways to ask. torc_pg_query() sends a statement over a few
 * connections that all fibers of the reactor share: statements of one turn
 * travel in one send, nobody waits for another's answer before he asks, and
 * the result is collected, up to a bound. torc_pg_batch() does the same for
 * several that are one transaction. A session (torc_pg_session_acquire) is a
 * connection of its own: transactions, rows as a stream with back-pressure,
 * COPY, LISTEN.
 *
 * Statements are prepared once on each connection, and kept there while they
 * are among the last that were used. If one of them fails before it is
 * executed, with an error that may come from its age (the server forgot it, or
 * a table, type or function was made anew), it is prepared and asked once more;
 * not in a transaction, which has failed with it. The columns of a result are
 * those that the server told of with that very result.
 *
 * Poolers. Names of prepared statements are not used by any other connection
 * or process, so a pooler that gives each transaction or statement to another
 * server never mixes them up. One that does not follow prepared statements
 * (PgBouncer before 1.21, or with max_prepared_statements = 0) makes the server
 * forget them all the time, and keeps what nobody will use: set `unnamed`.
 * Then each statement is parsed each time, and nothing stays on the server.
 *
 * Errors. As in torc.h, negative errnos:
 *
 *	-EREMOTEIO	the server refused: struct torc_pg_error says what;
 *			the connection goes on
 *	-EACCES		it does not let us in, or we do not let it: it asks
 *			for less than the configuration demands, or did not
 *			prove that it knows the password
 *	-EPROTO		what it sent makes no sense; the connection is closed
 *	-EMSGSIZE	a message or a result is larger than its bound: it is
 *			read past, and the connection goes on
 *	-E2BIG		a statement has more than 65535 parameters, as many as
 *			the protocol can count; nothing was sent
 *	-EOPNOTSUPP	it asks for a method that torc does not have, or a
 *			statement cannot be used in this way
 *	-ECONNRESET ...	the connection was lost, or there is none
 *	-ECONNABORTED	a statement of torc_pg_query() or of a batch left a
 *			transaction open, which its text did not show; its
 *			connection was closed
 *
 * An error belongs to one request. Others on the same connection hear of it
 * only when the connection breaks, and are told what is known of them: see enum
 * torc_pg_outcome. A request that was not sent yet goes to another connection.
 *
 * The connection is not encrypted.
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

/* Types by their number (pg_type.oid) that torc knows. */
enum {
	TORC_PG_INFERRED = 0,	/* a parameter: the server finds out */
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
 * What it points to is the caller's until the call that takes it returns.
 * Frozen.
 */
struct torc_pg_param {
	uint32_t type;
	bool binary;
	bool number;		/* `bits` are the value, not `bytes` */
	uint8_t width;		/* bytes of `bits` that are sent */
	uint64_t bits;
	struct torc_slice bytes;	/* NULL: NULL */
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
 * Text of a type that the server infers: "17" may be a number, a date ... It
 * does so when it prepares the statement. If the column's type is changed
 * then, a text that is none of the old type makes the statement be prepared
 * again; but one that is read as the old type loses what that cannot hold,
 * such as the time behind a date, until connections are new (`lifetime_ms`).
 * Without a text (NULL), it is torc_pg_null().
 */
TORC_API struct torc_pg_param torc_pg_text(const char *text);
TORC_API struct torc_pg_param torc_pg_text_n(const char *text, size_t size);
/* A value of any type, as it goes over the wire. */
TORC_API struct torc_pg_param torc_pg_raw(uint32_t type, bool binary,
    const void *data, size_t size);

/* What is known of a column. Frozen. */
struct torc_pg_column {
	const char *name;
	uint32_t type;
	bool binary;		/* its values are, and not text */
};

/*
 * Read a value of a column: 0; -ENODATA for NULL; -EINVAL if the column's type
 * or the value is no such thing; -ERANGE if it does not fit; -ENOMEM. The
 * locale of the program does not matter. Any thread.
 */
/* int2, int4, int8, oid; a numeric that has a fraction does not fit. */
TORC_API int torc_pg_read_int(const struct torc_pg_column *column,
    struct torc_slice value, int64_t *number);
/* float4 and float8, numeric (the nearest double), and those above. */
TORC_API int torc_pg_read_float(const struct torc_pg_column *column,
    struct torc_slice value, double *number);
TORC_API int torc_pg_read_bool(const struct torc_pg_column *column,
    struct torc_slice value, bool *truth);
/* bytea: how many bytes are at `data`; -ERANGE if `room` is too small. */
TORC_API int64_t torc_pg_read_bytea(const struct torc_pg_column *column,
    struct torc_slice value, void *data, size_t room);

/* ---- What goes wrong ---- */

/* What is known of statements that failed. */
enum torc_pg_outcome {
	TORC_PG_UNKNOWN,	/* sent, and not answered: done, or not */
	TORC_PG_UNSENT,		/* no byte was sent: it can be repeated */
	TORC_PG_UNDONE,		/* the server has undone it */
	TORC_PG_DONE,		/* only its result cannot be given */
};

/*
 * What went wrong with a statement. It is torc's memory, and so are its texts:
 * they are whole, and readable as long as that of which it is the error, a
 * result or a session until its next call; or within the call of `notice`.
 * What was not said is "". Of a message of the server that is longer than
 * `message_max`, the beginning is told: `cut`, behind a character.
 *
 * Later versions add fields at the end: programs never make one, nor copy it.
 */
struct torc_pg_error {
	char state[6];		/* SQLSTATE, such as "42P01"; "" if it is not
				 * the server's word */
	bool cut;		/* the last text that is not "" has no end, and
				 * what would be behind it is missing */
	enum torc_pg_outcome outcome;	/* of torc_pg_query(), or of all
				 * statements of a batch */
	unsigned statement;	/* of a batch, from 0: which one failed; their
				 * count: the commit of them all did */
	unsigned position;	/* of the statement's characters, from 1 */
	const char *severity;	/* "ERROR", "FATAL", "NOTICE" ... */
	const char *text;
	const char *detail;
	const char *hint;
	const char *context;	/* where in functions it happened */
	const char *table;
	const char *column;
	const char *constraint;
};

/* ---- A client ---- */

/*
 * What a client connects to, and its bounds. 0 and NULL have the default; a
 * value out of its range is refused with -EINVAL. Texts are copied. It grows.
 */
struct torc_pg_config {
	/*
	 * "127.0.0.1:5432", "[::1]:5432", "name:5432", "name" (port 5432),
	 * "unix:/var/run/postgresql/.s.PGSQL.5432", or "/var/run/postgresql";
	 * or several, separated by commas, that are tried in this order, with
	 * all addresses of a name. Or a URI, as libpq reads it:
	 *
	 *	postgresql://user:password@host:port,host/database?name=value
	 *
	 * What it says goes before the fields below. There is no default for
	 * this and `user`.
	 */
	const char *address;
	/* In PostgreSQL's terms: "any" (also NULL), "read-write", "read-only",
	 * "primary", "standby", "prefer-standby". An address whose server is
	 * something else is passed over. */
	const char *target_session_attrs;
	const char *user;	/* there is no default */
	const char *database;	/* NULL: named as the user */
	const char *password;	/* NULL: none */
	/* Of the startup: names and values by turns, ended by NULL, such as
	 * "application_name", "api", "statement_timeout", "2000", NULL. */
	const char *const *parameters;

	bool allow_cleartext;	/* a password may be sent as it is */
	bool require_scram;	/* nothing less than SCRAM-SHA-256 */
	unsigned iterations_max;	/* of SCRAM; 1000000; 4096 to 2^24 */

	unsigned shared;	/* connections of torc_pg_query(); 2; 1 to
				 * 256; as many more may be open for a while
				 * that have statements out of time */
	unsigned sessions;	/* connections that are rented; 8; 1 to 4096 */
	unsigned waiters;	/* fibers that wait for a connection; 1024;
				 * 1 to 1048576 */
	unsigned statements;	/* kept prepared on each; 256; 1 to 65536 */
	bool unnamed;		/* keep none of them prepared: a pooler is in
				 * between; see below */
	unsigned message_max;	/* bytes of one message, such as a row;
				 * 16777216; 1024 to 2^30 */
	unsigned result_max;	/* bytes of a result of torc_pg_query(), or of
				 * those of a batch together; 4194304; 1024 to
				 * 2^30 */
	unsigned notices_max;	/* bytes of notifications that wait to be
				 * taken; 262144; 1024 to 2^30 */

	unsigned open_ms;	/* to connect and log in; 5000; 1 to
				 * TORC_NO_LIMIT */
	unsigned idle_ms;	/* unused for so long: closed; 60000;
				 * TORC_NO_LIMIT: never */
	unsigned lifetime_ms;	/* of a connection; TORC_NO_LIMIT */
	unsigned retry_min_ms;	/* between attempts to connect, as those of
				 * struct torc_pool_config */
	unsigned retry_max_ms;	/* the longest of these pauses */
	unsigned cancel_ms;	/* to end a statement that was given up, or a
				 * transaction, and to reset a session, before
				 * the connection is closed for it; 1000; 1 to
				 * 60000 */
	/* What resets a session that comes back, as torc_pg_session_release()
	 * says. NULL: all but what is prepared; "": nothing does. */
	const char *reset;

	/* Notices and warnings of the server. May be NULL. Must not park. */
	void (*notice)(struct torc_pg *pg, const struct torc_pg_error *notice,
	    void *arg);
	void *arg;		/* for it */
};

/*
 * Create a client for the reactor of this thread. It connects when it is first
 * asked. The first of a reactor is what torc_pg_of() finds. Returns 0, or:
 * -EINVAL, and `error` (may be NULL) names the field, its value and what it
 * must be; -ENOMEM; -ENOBUFS too many pools.
 */
static inline int
torc_pg_create(struct torc_pg **pg, const struct torc_pg_config *config,
    struct torc_error *error)
{
	return torc_pg_create_sized(pg, config, sizeof(*config), error);
}

/* Returns the client of a reactor, or NULL. */
TORC_API struct torc_pg *torc_pg_of(const struct torc_reactor *reactor);

/*
 * Parks. Destroy a client: close what is open and free it. No session is rented
 * and nobody asks. As torc_pool_destroy(): on a fiber; or after the reactor has
 * ended. Also -ECANCELED: then what is still under way goes by itself.
 */
TORC_API int torc_pg_destroy(struct torc_pg *pg, torc_deadline deadline);

/* What a client has done. It grows. */
struct torc_pg_stats {
	uint64_t queries;	/* statements of torc_pg_query() and batches
				 * that were sent, with repetitions */
	uint64_t prepared;	/* statements */
	uint64_t repeated;	/* prepared again, since the server forgot */
	uint64_t cancels;	/* sent */
	uint64_t retired;	/* shared connections that were given up */
};

/* Read the statistics of a client. */
static inline void
torc_pg_stats_read(const struct torc_pg *pg, struct torc_pg_stats *stats)
{
	torc_pg_stats_read_sized(pg, stats, sizeof(*stats));
}

/* The pools of a client, for torc_pool_stats_read(): that of the shared
 * connections, and that of the sessions. */
TORC_API const struct torc_pool *torc_pg_shared_pool(
    const struct torc_pg *pg);
TORC_API const struct torc_pool *torc_pg_session_pool(
    const struct torc_pg *pg);

/* ---- Statements ---- */

/* A statement, and the values of its parameters. Frozen. */
struct torc_pg_statement {
	const char *sql;	/* one statement */
	const struct torc_pg_param *params;
	unsigned param_count;	/* at most 65535 */
	bool binary;		/* columns in binary, and not as text */
};

/* A row of a result. Frozen. */
struct torc_pg_row {
	const struct torc_slice *values;	/* data NULL: NULL */
	unsigned count;		/* of columns */
};

struct torc_pg_result;

/*
 * Parks. Send a statement over a shared connection, and collect the result.
 * `*result` is the caller's until torc_pg_result_free(), also after an error:
 * then it has no rows, and torc_pg_result_error() says in words what is wrong
 * and what became of the statement. It is NULL only if there is no memory for
 * it, or no statement.
 *
 * The statement is a transaction of its own. What changes the session for all
 * that share it is refused with -EOPNOTSUPP, before it is sent: SET, RESET,
 * LISTEN, PREPARE, DEALLOCATE, DISCARD, LOAD, temporary tables, cursors with
 * hold, set_config() unless its third argument is the word true, advisory locks
 * of the session, a transaction that stays open; and COPY by way of the
 * connection. That is found by the words of the text. If only the server's
 * answer shows it, the connection is closed for it: by its command tag (then
 * the statement was done, and fails), or by a parameter that has changed.
 *
 * When the deadline or a cancel ends the wait, the statement may have been
 * done. A connection whose oldest statement is out of time gets no more of
 * them, and neither does one on which a statement waited in vain while none was
 * answered. A statement that takes long keeps those behind it: a session is the
 * place for it.
 */
TORC_API int torc_pg_query(struct torc_pg *pg,
    const struct torc_pg_statement *statement, struct torc_pg_result **result,
    torc_deadline deadline) TORC_CHECKED;

/*
 * Parks. Send `count` statements in one go, as torc_pg_query() sends one, and a
 * single Sync behind them: they are one transaction. If one fails, those behind
 * it are not executed, and those before it are undone: -EREMOTEIO, the error
 * has the `statement` that failed, and nothing was done. So they are fewer
 * messages than as many queries, and fewer commits; but what may fail by itself
 * is better asked by itself. -EINVAL: there are none.
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
 * There is one result, freed as one. When it is larger than its bound
 * (-EMSGSIZE), they have all been done. A BEGIN among them needs its COMMIT
 * there, too; if one in between fails, the transaction is rolled back. A
 * COMMIT, a CALL, or what cannot be in a transaction, such as VACUUM, may keep
 * what was done so far when one behind it fails: the outcome is unknown then.
 * If a prepared statement was out of date, they are all repeated, but not if
 * what cannot be undone was done before it.
 */
TORC_API int torc_pg_batch(struct torc_pg *pg,
    const struct torc_pg_statement *statements, unsigned count,
    struct torc_pg_result **result, torc_deadline deadline) TORC_CHECKED;

/*
 * Choose a statement of a batch: the calls below tell of the statement `index`,
 * from 0, and of its rows from the first one. At first, that is statement 0.
 */
TORC_API void torc_pg_result_seek(
    struct torc_pg_result *result, unsigned index);

/* Free a result. NULL does nothing. */
TORC_API void torc_pg_result_free(struct torc_pg_result *result);

/* Returns how many columns a result has, or what is known of them. */
TORC_API unsigned torc_pg_result_column_count(
    const struct torc_pg_result *result);
TORC_API const struct torc_pg_column *torc_pg_result_columns(
    const struct torc_pg_result *result);

/* Returns how many rows there are, or how many an INSERT and so on changed. */
TORC_API uint64_t torc_pg_result_row_count(const struct torc_pg_result *result);
TORC_API uint64_t torc_pg_result_affected(const struct torc_pg_result *result);

/*
 * Read the next row, from the first. Values stay readable until the result is
 * freed, `row->values` until the next call. Returns false behind the last row.
 */
TORC_API bool torc_pg_result_next_row(struct torc_pg_result *result,
    struct torc_pg_row *row);

/* Returns what went wrong; its `text` is "" if nothing did. */
TORC_API const struct torc_pg_error *torc_pg_result_error(
    const struct torc_pg_result *result);

/* ---- Sessions ---- */

/* A session is a connection that is rented. One fiber at a time uses it. */
struct torc_pg_session;

/*
 * Parks. Rent a session, as torc_pool_acquire() does. `error` (may be NULL)
 * says what happened to this call: such as, for each address, why it could not
 * be connected to.
 */
TORC_API int torc_pg_session_acquire(struct torc_pg *pg,
    struct torc_pg_session **session, struct torc_error *error,
    torc_deadline deadline);

/*
 * Give a session back, in any state. It is rented again when nothing of it is
 * left: a statement that runs is cancelled, a transaction that is open is
 * rolled back, and the session is reset, on a fiber of its own within
 * `cancel_ms`; else it is closed. The text of `reset` is run for that, if
 * anything was asked since the last time. By default it closes cursors, gives
 * up the role and all settings that were changed, listens to nothing, unlocks
 * advisory locks, and drops temporary tables and what was prepared by PREPARE.
 * With DISCARD ALL, each statement is prepared again, too.
 */
TORC_API void torc_pg_session_release(struct torc_pg_session *session);

/* Let a session be closed when it is given back. */
TORC_API void torc_pg_session_taint(struct torc_pg_session *session);

/*
 * Returns what went wrong with the call on a session that failed last, whatever
 * it was: a refusal of the server, a deadline, a connection that was lost.
 * Readable until the next call.
 */
TORC_API const struct torc_pg_error *torc_pg_session_error(
    const struct torc_pg_session *session);

/*
 * Returns the state of a session: 'I' if it is idle, 'T' in a transaction, 'E'
 * in one that failed; 0 if a statement is not over, or the connection is lost.
 */
TORC_API char torc_pg_session_state(const struct torc_pg_session *session);

/*
 * Returns a parameter that the server told us of, such as "server_version", or
 * NULL. It changes when the server says so.
 */
TORC_API const char *torc_pg_session_parameter(
    const struct torc_pg_session *session, const char *name);

/*
 * Parks. Begin a statement: a prepared one, or with
 * torc_pg_session_begin_simple() a text of one or several without parameters.
 * Whatever was not read of the one before is read and thrown away first. 0 when
 * rows can be asked for. Its end is torc_pg_session_end(), or the beginning of
 * another one.
 *
 * When the deadline or a cancel ends this or any call below while a statement
 * runs, the server is asked on another connection to end it. Then the session
 * can be released; or be asked again, which waits for the end of it first.
 */
TORC_API int torc_pg_session_begin(struct torc_pg_session *session,
    const struct torc_pg_statement *statement, torc_deadline deadline);
TORC_API int torc_pg_session_begin_simple(struct torc_pg_session *session,
    const char *sql, torc_deadline deadline);

/*
 * Parks. Read the next row. Returns 1, or 0 when there are no more. Values view
 * bytes of torc's, and are readable until the next call on the session. Nothing
 * is received before it is asked for, but what fits in the buffers of
 * connection and kernel: a slow reader slows the server.
 */
TORC_API int torc_pg_session_next_row(struct torc_pg_session *session,
    struct torc_pg_row *row, torc_deadline deadline);

/*
 * Parks. Go on after 0 of torc_pg_session_next_row(). Returns 1 if there is a
 * result of another statement of the same text, 0 if that was the last.
 */
TORC_API int torc_pg_session_next_result(
    struct torc_pg_session *session, torc_deadline deadline);

/* Returns what is known of the columns of the result that is being read. */
TORC_API unsigned torc_pg_session_column_count(
    const struct torc_pg_session *session);
TORC_API const struct torc_pg_column *torc_pg_session_columns(
    const struct torc_pg_session *session);

/*
 * Parks. End the statement: what is left of it is read and thrown away. Returns
 * its first error, or 0.
 */
TORC_API int torc_pg_session_end(struct torc_pg_session *session,
    torc_deadline deadline);

/*
 * Returns the command tag after the end of a result, "" if there was none, and
 * the rows that it touched.
 */
TORC_API const char *torc_pg_session_tag(
    const struct torc_pg_session *session);
TORC_API uint64_t torc_pg_session_affected(
    const struct torc_pg_session *session);

/*
 * Parks. Run a text of one or several statements, results thrown away: BEGIN,
 * SAVEPOINT, SET ... A COMMIT that rolled back instead, as the transaction had
 * failed, is -EREMOTEIO. (So it is by torc_pg_session_begin(); of what is begun
 * by torc_pg_session_begin_simple(), torc_pg_session_tag() tells.)
 */
TORC_API int torc_pg_session_run(struct torc_pg_session *session,
    const char *sql, torc_deadline deadline) TORC_CHECKED;

/* ---- COPY ---- */

/*
 * Parks. Copy to the server: begin "copy ... from stdin", write any pieces of
 * its text or binary format, and end it: `why` (NULL: it is complete) tells the
 * server to give up. `*rows` (may be NULL) are those that were copied. Calls
 * that return -EREMOTEIO have ended the copy.
 */
TORC_API int torc_pg_copy_in_begin(struct torc_pg_session *session,
    const char *sql, torc_deadline deadline);
TORC_API int torc_pg_copy_in_write(struct torc_pg_session *session,
    const void *data, size_t size, torc_deadline deadline) TORC_CHECKED;
TORC_API int torc_pg_copy_in_end(struct torc_pg_session *session,
    const char *why, uint64_t *rows, torc_deadline deadline) TORC_CHECKED;

/*
 * Parks. Copy from the server: begin "copy ... to stdout", and read a row at a
 * time as the server sends it. `*data` is readable until the next call. The end
 * reads what is left, and throws it away. A read returns 1, or 0 behind the
 * last row.
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
	const char *payload;	/* the text of the sender, or "" */
	uint32_t process;	/* who sent it */
};

/*
 * Parks. Listen to a channel, whose name is quoted as it is. The session will
 * be closed when it is given back.
 */
TORC_API int torc_pg_session_listen(struct torc_pg_session *session,
    const char *channel, torc_deadline deadline);

/*
 * Parks. Wait for the next notification, also one that came during statements,
 * in order. No statement runs. Returns 0, and texts are readable until the next
 * call on the session; or -EOVERFLOW, once: those that came since were more
 * than `notices_max`, and were lost.
 */
TORC_API int torc_pg_session_await_notification(struct torc_pg_session *session,
    struct torc_pg_notification *notification, torc_deadline deadline);

#ifdef __cplusplus
}
#endif

#pragma GCC diagnostic pop

#endif
