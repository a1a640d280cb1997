/* SPDX-License-Identifier: MIT */
/*
 * torc_redis.h - a client for Redis, and what speaks its protocol.
 *
 * One client per reactor, for all its fibers: their commands go over one
 * connection (or a few), those of one turn in one send, and each fiber gets
 * its own reply. What changes or blocks a connection is done on one that is
 * rented for it: struct torc_redis_session.
 *
 * Errors. As in torc.h, and:
 *
 *	-EREMOTEIO	Redis answered with an error: the reply has its words,
 *			and nothing else has changed
 *	-EMSGSIZE, -E2BIG, -ELOOP, -ENAMETOOLONG
 *			the reply exceeds a limit; torc_resp.h says which error
 *			is which limit. The command was answered, its reply is
 *			discarded, and the connection goes on
 *	-ENOMEM		no memory for the command or for its reply
 *	-ECONNRESET ...	the connection was lost
 *	-EBADMSG	the bytes received are not the protocol of Redis; the
 *			connection is lost, too
 *	-EACCES		Redis does not let us in
 *	-ECONNREFUSED	no server listens, or Redis refused the connection
 *	-EPROTO		the server does not answer as Redis does
 *	-ENOBUFS	`requests` commands already wait for replies
 *
 * The caller's mistakes. Nothing was sent:
 *
 *	-EOPNOTSUPP	the command needs a session or a subscriber
 *	-EMSGSIZE	an argument has more than 512 MiB, or a command or a
 *			transaction has more than 768 MiB. Servers end a
 *			connection that sends 1 GiB
 *	-EINVAL		a command has no name or more than 1048576 words; a
 *			batch has no commands or more than 1048576
 *	-E2BIG		torc_redis_do() was given more than 64 words
 *	-EXDEV		the keys are in different slots of the cluster
 *
 * A command is sent again only if no byte of it was sent and another connection
 * can be had. An error is always about the command of the call that returns it:
 * the mistakes of other commands on the same connection cause no error here,
 * unless the connection is lost.
 *
 * Errors in words belong to the call, never to the client that all fibers
 * share:
 *
 *	a call with a reply	gives a reply after an error, too. Its `text`
 *				has the words; its `type` tells whose they are:
 *				TORC_REDIS_ERROR those of Redis (-EREMOTEIO),
 *				TORC_REDIS_FAILURE those of torc. See
 *				torc_redis_reply_error() for the code, and
 *				torc_redis_reply_fate() for whether the command
 *				was sent. It is NULL only if there is no memory
 *				for it
 *	a call on a session	torc_redis_session_error(), and _fate()
 *	all others		fill in a struct torc_error (may be NULL)
 *
 * A call that is given NULL instead of a reply returns the code alone: pass a
 * reply if it matters whether the command was done.
 *
 * Deadlines. A call whose deadline passes gives its command up; the reply is
 * discarded when it comes. If the connection has been silent for 50 ms then,
 * it takes no new commands, and those on it still get their replies.
 *
 * Large commands. More than 512 KiB in one call is sent over a connection that
 * is not shared. Other fibers do not wait behind it, and keep their connection
 * if Redis is configured to accept less.
 *
 * The wrong server. READONLY, LOADING, MASTERDOWN, NOREPLICAS and NOAUTH are
 * errors of their command. They also say that the connection leads to another
 * server than it should, so it is replaced: addresses are resolved and dialled
 * again, beginning with the next one of a name or of several, in the long run
 * at most once a second. Other commands use the old connection until the new
 * one is open.
 *
 * Clusters. Commands follow their keys: MOVED and ASK at most `redirects`
 * times. CLUSTERDOWN, TRYAGAIN, LOADING and MASTERDOWN are tried again after
 * pauses until the deadline. Nodes that leave the cluster are forgotten; a
 * cluster may have 256 of them at a time.
 *
 * Replies. A caller that passes a `reply` frees it with
 * torc_redis_reply_free(), also after an error. Pass NULL to discard it.
 */
#ifndef TORC_REDIS_H
#define TORC_REDIS_H

#include "torc_resp.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

#ifdef __cplusplus
extern "C" {
#endif

struct torc_redis;
struct torc_redis_config;

/*
 * The call behind the one that takes a structure that grows: see
 * torc_runtime.h.
 */
TORC_API int torc_redis_create_sized(struct torc_redis **redis,
    const struct torc_redis_config *config, size_t config_size,
    struct torc_error *error);

/* ---- Opening ---- */

/*
 * What a client connects to, and its bounds. 0 or NULL has the default; a value
 * out of its range is refused. It grows.
 */
struct torc_redis_config {
	const char *address;	/* of one or several servers, or a URI;
				 * 127.0.0.1:6379 by default */
	bool cluster;		/* the addresses are nodes of a cluster */
	const char *sentinel;	/* the name of a master: `address` has the
				 * sentinels that know it, at port 26379 */
	const char *sentinel_user;	/* to be let in by them; "default" */
	const char *sentinel_password;	/* NULL: do not authenticate */
	const char *user;	/* "default" */
	const char *password;	/* NULL: do not authenticate */
	const char *name;	/* of our connections, for CLIENT LIST; NULL:
				 * none */
	unsigned database;	/* its number, but not in a cluster; 0; to
				 * 1048576 */
	unsigned protocol;	/* 2 or 3; by default 3 if the server speaks
				 * it */
	unsigned lines;		/* connections that fibers share, per server;
				 * 1; to 64 */
	unsigned requests;	/* without a reply, per line; 4096; to
				 * 1048576 */
	unsigned sessions;	/* connections that are rented, per server; 8;
				 * to 4096 */
	unsigned open_ms;	/* to connect and be let in; 5000; 1 to
				 * TORC_NO_LIMIT */
	unsigned retry_min_ms;	/* between attempts to connect, as those of
				 * struct torc_pool_config; 50 */
	unsigned retry_max_ms;	/* the longest of these pauses; 500 */
	unsigned redirects;	/* of a command in a cluster; 8; to 100 */
	/* Limits of a reply, which may be over one: see torc_resp.h. */
	size_t reply_bytes_max;	/* of all its strings; 64 MiB */
	unsigned reply_items_max;	/* items of it in all; 1048576 */
	unsigned reply_depth_max;	/* aggregates within each other; 32;
					 * to 32 */
	unsigned reply_line_max;	/* bytes of a line; 16384 */
};

/*
 * Addresses. "host:port", "[IPv6]:port" or "unix:PATH". The default port is
 * 6379. Several addresses are separated by commas: they are tried in order,
 * beginning with the one that worked last, and each gets its share of
 * `open_ms`. The addresses of a cluster are some of its nodes. Or a URI:
 *
 *	redis://[user[:password]@]host[:port][,host[:port]...][/database]
 *
 * In a URI, % and two hexadecimal digits stand for a byte. "rediss://" is
 * refused: there is no TLS. torc_redis_create() refuses what is not an address,
 * in words that do not contain the password.
 *
 * With `sentinel`, the addresses are those of sentinels. For each connection
 * they are asked in order where the master of that name is, and ROLE must
 * confirm that it is the master. A switch to another master is followed at
 * once. User and password of a URI are those of the master.
 */

/*
 * Create a client for the reactor of this thread; on a fiber, such as that of
 * the `start` of torc_serve(). Nothing is opened before it is asked. `config`
 * is copied, and may be NULL. The first of a reactor is what torc_redis_of()
 * returns. Returns 0, or: -EINVAL, and `error` names the field, its value and
 * its bounds; -ENOMEM; -ENOBUFS too many pools, as for torc_pool_create().
 */
static inline int
torc_redis_create(struct torc_redis **redis,
    const struct torc_redis_config *config, struct torc_error *error)
{
	return torc_redis_create_sized(redis, config, sizeof(*config), error);
}

/*
 * Parks, while the reactor lives. Destroy a client, which nobody uses any more.
 * Returns as
 * torc_pool_destroy(), and is called when that may be, such as in the `stop` of
 * torc_serve. NULL does nothing.
 */
TORC_API int torc_redis_destroy(
    struct torc_redis *redis, torc_deadline deadline);

/* Returns the client of a reactor, or NULL. */
TORC_API struct torc_redis *torc_redis_of(const struct torc_reactor *reactor);

/* The fate of a command whose call failed: what is known of it. */
enum torc_redis_fate {
	TORC_REDIS_UNSENT,	/* no byte of it was sent: it was not done */
	TORC_REDIS_UNKNOWN,	/* sent, and not answered: it may have been
				 * done, or may yet be */
	TORC_REDIS_ANSWERED,	/* answered: with an error, or by a reply that
				 * is over a limit (so it was done) */
};

/* ---- Commands ---- */

/*
 * Parks. Send a command, and wait for its reply. Returns 0, or a negative
 * errno.
 */
TORC_API int torc_redis_call(struct torc_redis *redis,
    const struct torc_slice *argv, unsigned argc,
    struct torc_redis_reply **reply, torc_deadline deadline);

/*
 * Parks. Send a command made of strings, as torc_redis_call():
 *
 *	rc = torc_redis_do(redis, &reply, deadline, "GET", key, NULL);
 */
TORC_API int torc_redis_do(struct torc_redis *redis,
    struct torc_redis_reply **reply, torc_deadline deadline, ...)
    __attribute__((sentinel));

/*
 * Returns what the call that gave this reply failed with: until the reply is
 * freed. `code` is 0 if it did not fail. Of NULL it is -ENOMEM: the call had no
 * memory for a reply. Only what a call gave may be asked, not an item of it.
 */
TORC_API const struct torc_error *torc_redis_reply_error(
    const struct torc_redis_reply *reply);

/*
 * Returns what became of the command of the call that gave this reply. Of NULL
 * it is TORC_REDIS_UNKNOWN.
 */
TORC_API enum torc_redis_fate torc_redis_reply_fate(
    const struct torc_redis_reply *reply);

/* Free a reply with all that is in it. NULL does nothing. */
TORC_API void torc_redis_reply_free(struct torc_redis_reply *reply);

/* A command of several that are sent at once. Frozen. */
struct torc_redis_command {
	const struct torc_slice *argv;
	unsigned argc;
};

/*
 * Parks. Send `count` commands in one write. The reply is an array of theirs,
 * with errors among them: the result is 0 then. In a cluster: all of one slot.
 */
TORC_API int torc_redis_batch(struct torc_redis *redis,
    const struct torc_redis_command *commands, unsigned count,
    struct torc_redis_reply **reply, torc_deadline deadline);

/*
 * Parks. Make a transaction of `count` commands, between MULTI and EXEC: all
 * are done, with nothing in between, or none. The reply is that of EXEC; if a
 * command was refused, the error is about that one.
 */
TORC_API int torc_redis_transact(struct torc_redis *redis,
    const struct torc_redis_command *commands, unsigned count,
    struct torc_redis_reply **reply, torc_deadline deadline);

/*
 * A script for Redis: the text is the program's, the rest is torc's and all
 * zero. One for each reactor. Frozen.
 */
struct torc_redis_script {
	const char *text;
	char sha[41];
	char reserved[15];
};

/*
 * Parks. Run a script, by its hash if the server has it. `argv` has the keys
 * first, `keys` of them.
 */
TORC_API int torc_redis_eval(struct torc_redis *redis,
    struct torc_redis_script *script, const struct torc_slice *argv,
    unsigned argc, unsigned keys, struct torc_redis_reply **reply,
    torc_deadline deadline);

/* ---- Sessions: a connection of one's own ---- */

struct torc_redis_session;

/*
 * Parks. Rent a connection, for WATCH, for what blocks, or for replies that
 * are read bit by bit. In a cluster: of the node that has `key` (any if NULL).
 * It is used by one fiber at a time.
 */
TORC_API int torc_redis_session_acquire(struct torc_redis *redis,
    const char *key, struct torc_redis_session **session,
    struct torc_error *error, torc_deadline deadline);

/*
 * Give a connection back. It is closed if it is not as it was: within MULTI,
 * watching, changed by SELECT and the like, or with an answer unread.
 */
TORC_API void torc_redis_session_release(struct torc_redis_session *session);

/*
 * Returns what the last call on the session failed with: until the next one.
 * `code` is 0 if it did not fail.
 */
TORC_API const struct torc_error *torc_redis_session_error(
    const struct torc_redis_session *session);

/* Returns what became of the command of the last call, if that has failed. */
TORC_API enum torc_redis_fate torc_redis_session_fate(
    const struct torc_redis_session *session);

/*
 * Parks. Send a command on a session, as torc_redis_call() and torc_redis_do(),
 * but without a second attempt. After an error other
 * than those of a reply and of what is asked it is of no more use. A cluster's
 * MOVED is an error like others; the next session is opened where it says.
 */
TORC_API int torc_redis_session_call(struct torc_redis_session *session,
    const struct torc_slice *argv, unsigned argc,
    struct torc_redis_reply **reply, torc_deadline deadline);
TORC_API int torc_redis_session_do(struct torc_redis_session *session,
    struct torc_redis_reply **reply, torc_deadline deadline, ...)
    __attribute__((sentinel));

/* Parks. Send a command whose reply is read with torc_redis_session_read(). */
TORC_API int torc_redis_session_send(struct torc_redis_session *session,
    const struct torc_slice *argv, unsigned argc, torc_deadline deadline);

/*
 * Parks. Read the next item of the reply, readable until the next call: a large
 * reply needs no memory, and a slow reader slows Redis. Returns 1, or 0: the
 * reply is over, this was its last item; or a negative errno.
 */
TORC_API int torc_redis_session_read(struct torc_redis_session *session,
    struct torc_resp_item *item, torc_deadline deadline);

/* ---- Messages ---- */

/*
 * A subscriber has a connection of its own, and renews it with all that it
 * has subscribed to. It queues nothing: what is not read waits in the socket,
 * and Redis ends who is too slow.
 */
struct torc_redis_subscriber;

/* A message to a subscriber, or what has become of a subscription. */
enum torc_redis_event {
	TORC_REDIS_MESSAGE,
	TORC_REDIS_SUBSCRIBED,		/* to `channel` (or pattern) */
	TORC_REDIS_UNSUBSCRIBED,
	TORC_REDIS_CONNECTED,		/* again: messages may be lost */
};

/* An event, and what belongs to it. Frozen. */
struct torc_redis_message {
	enum torc_redis_event event;
	const char *channel;	/* NULL of CONNECTED */
	const char *pattern;	/* by which it came, or NULL */
	const char *text;	/* of a message, ended by a NUL, too */
	size_t size;
	uint64_t reserved[2];
};

/* Create a subscriber. Returns 0 or -ENOMEM. */
TORC_API int torc_redis_subscriber_create(struct torc_redis *redis,
    struct torc_redis_subscriber **subscriber);

/* Destroy a subscriber, which no fiber uses any more. NULL does nothing. */
TORC_API void torc_redis_subscriber_destroy(
    struct torc_redis_subscriber *subscriber);

/*
 * Parks, but does not wait for Redis. Subscribe to a channel, or to all whose
 * name is like a pattern: TORC_REDIS_SUBSCRIBED tells when that is done. At
 * most 4096 channels and patterns (-ENOBUFS). Also while another fiber is in
 * torc_redis_subscriber_next(). Without a connection it is done with the next
 * one.
 */
TORC_API int torc_redis_subscribe(struct torc_redis_subscriber *subscriber,
    const char *channel, struct torc_error *error, torc_deadline deadline);
TORC_API int torc_redis_psubscribe(struct torc_redis_subscriber *subscriber,
    const char *pattern, struct torc_error *error, torc_deadline deadline);

/*
 * Parks. End a subscription. Returns 0, or -ENOENT if there is none to this
 * channel or pattern.
 */
TORC_API int torc_redis_unsubscribe(struct torc_redis_subscriber *subscriber,
    const char *channel, struct torc_error *error, torc_deadline deadline);
TORC_API int torc_redis_punsubscribe(struct torc_redis_subscriber *subscriber,
    const char *pattern, struct torc_error *error, torc_deadline deadline);

/*
 * Parks. Receive the next message, readable until the next call. When the
 * connection is lost, or silent for 30 s and then to a PING, it is opened again
 * for as long as the deadline allows. Returns 0, or: -ETIMEDOUT; -ECANCELED;
 * -ESHUTDOWN; -EACCES we are not let in; -EREMOTEIO Redis refused a channel,
 * and `error` says which; -EMSGSIZE (or another error of a limit) a message is
 * over it, and is read past.
 */
TORC_API int torc_redis_subscriber_next(
    struct torc_redis_subscriber *subscriber,
    struct torc_redis_message *message, struct torc_error *error,
    torc_deadline deadline);

#ifdef __cplusplus
}
#endif

#pragma GCC diagnostic pop

#endif
