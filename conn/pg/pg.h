/*
 * pg.h - what the files of the client share.
 *
 *   client.c    pools, what torc_pg_of() finds
 *   config.c    what a client was configured to do
 *   uri.c       the same in one line
 *   open.c      opens a connection on one of the addresses, and closes it
 *   login.c     is let in
 *   saslprep.c  the form of a password that is hashed; unicode*.c
 *   stream.c    bytes received to messages, and what comes unasked
 *   cache.c     the statements that are prepared on a connection
 *   answer.c    which message may follow which
 *   shape.c     the columns of a result
 *   share.c     connections that many fibers use
 *   ask.c       their statements, and what each is told
 *   reply.c     what comes in for them
 *   nature.c    what a statement does to its connection
 *   result.c    a collected result
 *   session.c   statements of one fiber on its own: rows as a stream
 *   rent.c      sessions are rented, and come back
 *   cancel.c    a statement is ended from another connection
 *   copy.c      COPY, LISTEN
 *   values.c    parameters, and values of columns
 *   number.c    numbers, independent of the locale
 *   text.c      texts in fields of a fixed size
 */
#ifndef TORC_PG_PG_H
#define TORC_PG_PG_H

#include "conn/pg/carry.h"
#include "conn/pg/config.h"
#include "conn/pg/error.h"
#include "conn/pg/wire.h"
#include "conn/kit/torc_pipeline.h"

/* ---- Columns (shape.c) ---- */

struct pg_shape {
	unsigned refs;
	unsigned count;
	uint8_t *message;	/* the RowDescription that says so */
	size_t size;
	struct torc_pg_column columns[];
};

/* NULL is allowed, and none. */
struct pg_shape *torc_pg_shape_ref(struct pg_shape *shape);
void torc_pg_shape_drop(struct pg_shape **shape);
/* *kept becomes what a RowDescription says, if it is not that already. 0,
 * -EPROTO or -ENOMEM, and *kept is as it was. */
int torc_pg_shape_take(
    struct pg_shape **kept, const struct pg_message *message);

/* ---- Statements (cache.c) ---- */

/* No other connection has statements with these names, whatever client or
 * process it belongs to: a pooler may hand both to the same server. */
#define PG_NAME_SIZE 64u
#define PG_PREFIX_SIZE 40u

/* Prepared on one connection, and held by what is asked with it. */
struct pg_statement {
	struct pg_statement *chain;	/* of its bucket */
	struct pg_statement *newer;
	struct pg_statement *older;
	unsigned refs;
	uint64_t hash;
	uint64_t id;		/* from 1, in the order of their making */
	char name[PG_NAME_SIZE];	/* used once; "" if it has none */
	char *sql;
	uint32_t *types;
	unsigned type_count;
	bool inferred;		/* the server chose a parameter's type */
	unsigned nature;	/* see nature.h */
	bool binary;
	struct pg_shape *shape;	/* of its last result */
};

struct pg_cache {
	struct pg_statement **buckets;
	unsigned bucket_count;	/* a power of two */
	unsigned count;
	unsigned most;
	struct pg_statement *newest;
	struct pg_statement *oldest;
	struct pg_statement *closing;	/* not in it any more; by `chain` */
	uint64_t last_id;
	char prefix[PG_PREFIX_SIZE];	/* of names; "": they have none */
};

int torc_pg_cache_init(
    struct pg_cache *cache, unsigned most, const char *prefix);
void torc_pg_cache_fini(struct pg_cache *cache);
/* The server has forgotten them all. */
void torc_pg_cache_clear(struct pg_cache *cache);
struct pg_statement *torc_pg_cache_find(struct pg_cache *cache,
    const struct torc_pg_statement *wanted);
/* Not there yet; the oldest goes for it. NULL: no memory. */
struct pg_statement *torc_pg_cache_add(struct pg_cache *cache,
    const struct torc_pg_statement *wanted);
/* Forget it; `close`: the server has it and is to forget it, too. If not, what
 * was to be closed is not, either. */
void torc_pg_cache_drop(struct pg_cache *cache, struct pg_statement *statement,
    bool close);
/* The server is to forget `first` and those that were dropped before it, if
 * there are any: write that. */
void torc_pg_cache_put_closing(const struct pg_statement *first,
    struct pg_writer *writer);
/* It was written. */
void torc_pg_cache_closed(
    struct pg_cache *cache, const struct pg_statement *first);

struct pg_statement *torc_pg_statement_ref(struct pg_statement *statement);
void torc_pg_statement_unref(struct pg_statement *statement);

/* ---- Answers (answer.c) ---- */

enum pg_stage {
	PG_OVER,	/* nothing is expected */
	PG_PARSE,	/* of a prepared statement: these in order */
	PG_BIND,
	PG_FIELDS,
	PG_ROWS,
	PG_COMPLETE,	/* or failed: only the end is missing */
	PG_BETWEEN,	/* of a simple one: a result, or the end */
	PG_COPYING_IN,
	PG_COPYING_OUT,
};

struct pg_answer {
	enum pg_stage stage;
	enum pg_stage failed_in;
	bool simple;
	bool blind;		/* nobody knows what columns there are */
	bool cached;		/* it was prepared for another one */
	struct pg_statement *statement;	/* held */
	struct pg_shape *shape;		/* held; NULL: no rows */
};

enum pg_event {
	PG_NOTHING,
	PG_BOUND,	/* rows come next */
	PG_ROW,
	PG_DONE,	/* a result is whole */
	PG_FAILED,
	PG_FINISHED,	/* all is over */
	PG_COPY_BEGINS,
	PG_COPIED,	/* a piece */
};

/*
 * What a message means here, or -EPROTO if it cannot come here. `*lost` is set
 * if a part of the result is missing: -EMSGSIZE, -ENOMEM.
 */
int torc_pg_answer_take(
    struct pg_answer *answer, const struct pg_message *message, int *lost);

/* ---- Connections ---- */

struct pg_setting {
	struct pg_setting *next;
	char *value;
	char name[];
};

/* A notification that waits, with its texts behind it. */
struct pg_note {
	struct pg_note *next;
	size_t size;
	struct torc_pg_notification note;
	char texts[];
};

struct pg_notes {
	struct pg_note *first;
	struct pg_note *last;
	struct pg_note *given;
	size_t size;
	bool lost;
};

struct pg_cancel;

#define PG_PEER_SIZE 128u	/* of any address */

/* A connection to the server, shared or rented. */
/* A message that came before it was waited for. */
struct pg_early {
	struct pg_early *next;
	struct pg_message message;
	uint8_t data[];
};

struct pg_earlies {
	struct pg_early *first;
	struct pg_early *last;
	struct pg_early *given;	/* the last that was; kept until the next */
	size_t size;		/* bytes of those that wait */
};

struct torc_pg_session {
	struct torc_pg *pg;
	struct torc_conn *conn;
	const char *address;
	char peer[PG_PEER_SIZE];	/* one that the name has, if it is */
	struct torc_error *words;	/* while it is opened */
	struct pg_carry carry;
	struct pg_cache cache;
	struct pg_setting *settings;
	unsigned setting_count;
	uint32_t process;
	uint32_t secret;
	char state;		/* as the server said last */
	int lost;		/* it cannot be used any more: why */
	bool writable;		/* when it was opened, for all that was said */
	struct pg_fault fault;	/* of the call that failed last */
	bool loss_told;		/* it says why the connection is lost */

	/* Shared: share.c. */
	struct torc_pipeline pipeline;
	unsigned users;
	bool retired;
	bool changed;		/* a parameter, since the login */
	uint64_t answered_at;	/* or asked, if there was nothing else */
	bool mute;		/* half a statement may have been sent */

	/* Rented: session.c. */
	struct pg_earlies early;	/* came while a fiber wrote */
	struct torc_slice view;	/* received and not looked at */
	size_t shown;		/* of that and what was, not consumed */
	struct pg_answer answer;
	struct pg_cancel *cancel;
	struct torc_waiters calm;	/* for the end of it */
	bool tainted;
	bool used;		/* since it was reset */
	bool prepares;		/* by itself, with names of its own */
	bool failed;		/* the statement that runs has */
	bool outdated;		/* as it was prepared: that may be why */
	bool cancelled;		/* the server was asked to end it */
	bool result_over;
	const char *text;	/* that runs, if it is the caller's yet */
	char quote[PG_QUOTE_SIZE];	/* of a text that runs, or ran */
	unsigned results;	/* of it that are over */
	int missing;		/* why what came last is not whole, or 0 */
	unsigned value_room;
	struct torc_slice *values;
	struct torc_slice copied;
	uint64_t affected;
	char tag[64];
	struct pg_notes notes;
};

/* ---- The client (client.c) ---- */

struct pg_pool {
	struct torc_pg *pg;
	struct torc_pool *pool;
	struct torc_error failure;	/* of the last attempt to open one */
};

struct torc_pg {
	struct torc_reactor *reactor;
	struct torc_pg_config config;
	struct pg_setup setup;	/* where its texts are */
	struct pg_pool shared_pool;
	struct pg_pool session_pool;
	struct torc_pg_session **shared;	/* in use, `shared` of them */
	unsigned shared_count;
	unsigned opening;
	unsigned waiting;
	struct torc_waiters waiters;	/* for a shared connection */
	unsigned fibers;	/* of its own */
	bool doomed;		/* the last of them frees it */
	uint64_t random;	/* of this client, for names */
	uint64_t last_session;
	struct torc_waiters quiet;	/* until there are none */
	struct torc_pg_stats stats;
};

/* Run entry(arg) on a fiber that torc_pg_destroy() waits for; the last thing
 * that it does is torc_pg_fiber_end(). 0 or a negative errno. */
int torc_pg_fiber(struct torc_pg *pg, torc_fiber_entry *entry, void *arg);
void torc_pg_fiber_end(struct torc_pg *pg);

/*
 * What an acquire by this deadline was told, in words: returns `rc`, an error.
 * An attempt to open one that has failed tells all those who wait for it; they
 * run before another one can end.
 */
int torc_pg_explain(const struct pg_pool *pool, int rc,
    torc_deadline deadline, struct torc_error *error);

/* ---- Bytes to messages (stream.c) ---- */

/* 1 if it was a message that may come at any time; 0 if not, or -errno. */
int torc_pg_take_unasked(struct torc_pg_session *session,
    const struct pg_message *message);

/* Parks. The next message: 0 if it was asked for, 1 if it came unasked and is
 * done with, or -errno. What ends the stream is kept in `lost`. */
int torc_pg_receive_any(struct torc_pg_session *session,
    struct pg_message *message, torc_deadline deadline);
/* Parks. The next one that was asked for. */
int torc_pg_receive(struct torc_pg_session *session, struct pg_message *message,
    torc_deadline deadline);

/* What is to be sent: in memory, before a byte of it is. */
struct pg_draft {
	struct pg_writer writer;
	uint8_t memory[2048];	/* it needs no heap up to this */
};

/* What put(writer, arg) writes: 0, -ENOMEM or -EMSGSIZE. The end of it is
 * torc_pg_draft_send(), or torc_pg_draft_drop(). */
int torc_pg_draft_make(struct pg_draft *draft,
    void (*put)(struct pg_writer *writer, void *arg), void *arg);
void torc_pg_draft_drop(struct pg_draft *draft);
/* Parks. */
int torc_pg_draft_send(struct pg_draft *draft, struct torc_pg_session *session,
    torc_deadline deadline);

/*
 * Parks. Write while nobody else reads: a server that has to be read from, as
 * notices or notifications keep it from reading itself, is.
 */
int torc_pg_send(struct torc_pg_session *session, const void *data, size_t size,
    torc_deadline deadline);

/* Parks. Write what put(writer, arg) writes, in the same way. */
int torc_pg_write(struct torc_pg_session *session,
    void (*put)(struct pg_writer *writer, void *arg), void *arg,
    torc_deadline deadline);

void torc_pg_stream_free(struct torc_pg_session *session);

/* ---- Opening and closing (open.c, login.c) ---- */

/* For both pools. */
extern const struct torc_pool_kind torc_pg_pool_kind;

/* Parks. Connect, without more, to an address of the name that was not dialled
 * (-EALREADY: all were). */
int torc_pg_dial(struct torc_pg *pg, struct torc_conn **conn,
    const char *address, struct torc_dialled *dialled, torc_deadline deadline);

/* Parks. From the startup until the server is ready. */
int torc_pg_log_in(struct torc_pg_session *session, torc_deadline deadline);

/* While it is opened: what is wrong. */
__attribute__((format(printf, 2, 3)))
void torc_pg_say(struct torc_pg_session *session, const char *format, ...);

/* Whether an error says that the connection is not, or not any more, good for
 * what it should be able to do: another one may be. */
bool torc_pg_is_misplaced(const struct torc_pg_session *session,
    const struct pg_report *report);

/* ---- Asking (ask.c, session.c) ---- */

/*
 * Find the statement in the cache, or put it there, for the answer to it: 0,
 * -ENOMEM. One that was made up to the id `stale` is prepared anew. To be
 * written at once: answers that come while a fiber parks may change what is
 * prepared.
 */
int torc_pg_answer_begin(struct pg_answer *answer,
    struct torc_pg_session *session, const struct torc_pg_statement *wanted,
    uint64_t stale);
/* What asks for it, without a Sync; Parse, too, if it is not prepared yet. */
void torc_pg_answer_ask(const struct pg_answer *answer,
    const struct torc_pg_statement *wanted, struct pg_writer *writer);
void torc_pg_answer_end(struct pg_answer *answer);

/*
 * A statement failed: what becomes of it in the cache. Whether it would be
 * worth another try, prepared anew, as it was not executed, and may have failed
 * only since it was prepared before something else changed.
 */
bool torc_pg_answer_failed(struct torc_pg_session *session,
    const struct pg_answer *answer, const struct pg_report *report);

/* 0, or -E2BIG, and `fault` (may be NULL) says why. */
int torc_pg_check_statement(const struct torc_pg_statement *statement,
    struct pg_fault *fault);

/* ---- Shared connections (share.c) ---- */

/* What they are told by the pipeline: reply.c. */
extern const struct torc_pipeline_kind torc_pg_pipeline_kind;

/* Parks. A connection for one statement, until torc_pg_share_leave(). */
int torc_pg_share_join(struct torc_pg *pg, struct torc_pg_session **session,
    torc_deadline deadline);
void torc_pg_share_leave(struct torc_pg_session *session);
/* It gets no more statements. */
void torc_pg_share_retire(struct torc_pg_session *session);
/* Statements wait there, and for some time none was answered. */
bool torc_pg_share_stands_still(const struct torc_pg_session *session);

/* Whether fibers ask over shared connections. */
bool torc_pg_share_used(const struct torc_pg *pg);
/* Nobody asks any more: the shared ones that still have answers to come. */
void torc_pg_share_end(struct torc_pg *pg);

/* ---- Cancelling (cancel.c) ---- */

/* Ask the server to end what runs on this connection. */
void torc_pg_cancel_begin(struct torc_pg_session *session);
/* The connection goes; a cancel that is under way does not need it. */
void torc_pg_cancel_forget(struct torc_pg_session *session);

/* ---- Sessions (session.c) ---- */

/* Whether a statement is not over. */
static inline bool
pg_is_running(const struct torc_pg_session *session)
{
	return session->answer.stage != PG_OVER;
}

/* Parks. Nothing runs any more, and nothing is on its way to the server. */
int torc_pg_settle(struct torc_pg_session *session, torc_deadline deadline);

/* Parks. What copy.c needs of session.c: as torc_pg_session_begin_simple(); the
 * next event but PG_NOTHING; the event of a message. */
int torc_pg_begin_copy(struct torc_pg_session *session, const char *sql,
    enum pg_stage stage, torc_deadline deadline);
int torc_pg_next_event(struct torc_pg_session *session,
    struct pg_message *message, torc_deadline deadline);
int torc_pg_take_event(struct torc_pg_session *session,
    const struct pg_message *message);
/* What runs failed with `error`, which is returned: it is cancelled, and the
 * session's error has words, unless the server's are there. */
int torc_pg_give_up(struct torc_pg_session *session, int error);
/* 0, or why the connection is lost, and the session's error has words. */
int torc_pg_check_alive(struct torc_pg_session *session);

void torc_pg_notes_free(struct pg_notes *notes);
int torc_pg_notes_add(struct torc_pg_session *session,
    const struct pg_notification *notification);

#endif
