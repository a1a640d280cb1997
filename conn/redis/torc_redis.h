/* SPDX-License-Identifier: MIT */
/*
 * torc_redis.h - a client for Redis and for servers that speak its protocol.
 *
 * Each reactor has one client for all its fibers. Their commands share one
 * connection, or a few. The commands of one turn are sent together, and each
 * fiber gets its own reply. Commands that change or block a connection need a
 * connection of their own: see struct torc_redis_session.
 *
 * Errors. As in torc.h, and:
 *
 *	-EREMOTEIO	Redis answered with an error: the reply has its text,
 *			and nothing else has changed
 *	-EMSGSIZE, -E2BIG, -ELOOP, -ENAMETOOLONG
 *			the reply exceeds a limit; torc_resp.h says which error
 *			is which limit. The command was answered, its reply is
 *			discarded, and the connection can still be used
 *	-ENOMEM		no memory for the command or for its reply
 *	-ECONNRESET ...	the connection was lost
 *	-EBADMSG	the bytes received are not the protocol of Redis; the
 *			connection is lost, too
 *	-EACCES		the login was refused: the user or the password is
 *			wrong or missing, or is not permitted from here
 *	-ECONNREFUSED	no server listens, or Redis refused the connection
 *	-EPROTO		the server does not answer as Redis does
 *	-EKEYREJECTED	with TLS: the server did not prove its name by its
 *			certificate, or another error of torc_tls_dial_begin()
 *	-ENOBUFS	`requests` commands already wait for replies
 *
 * Errors of the caller. Nothing was sent:
 *
 *	-EOPNOTSUPP	the command needs a session or a subscriber
 *	-EMSGSIZE	an argument has more than 512 MiB, or a command or a
 *			transaction has more than 768 MiB. Servers close a
 *			connection that sends 1 GiB
 *	-EINVAL		a command has no name or more than 1048576 words; a
 *			batch has no commands or more than 1048576
 *	-E2BIG		torc_redis_do() was given more than 64 words
 *	-EXDEV		the keys are in different slots of the cluster
 *
 * A command is sent again only if none of its bytes were sent and another
 * connection is available. An error always concerns the command of the call
 * that returns it. Errors of other commands on the same connection do not cause
 * errors here, unless the connection is lost.
 *
 * The text of an error belongs to the call, never to the client that all fibers
 * share:
 *
 *	a call with a reply	sets a reply after an error, too. Its `text` has
 *				the error in words. Its `type` says who wrote
 *				them: TORC_REDIS_ERROR is Redis (-EREMOTEIO),
 *				TORC_REDIS_FAILURE is torc.
 *				torc_redis_reply_error() has the code, and
 *				torc_redis_reply_fate() says whether the command
 *				was sent. The reply is NULL only if there is no
 *				memory for it
 *	a call on a session	torc_redis_session_error(), and _fate()
 *	all others		fill in a struct torc_error (may be NULL)
 *
 * A call with NULL instead of a reply returns the code only. Pass a reply if it
 * matters whether the command was executed.
 *
 * Deadlines. When the deadline of a call passes, the call gives its command up.
 * The reply is discarded when it arrives. If the connection has been silent for
 * 50 ms by then, it gets no new commands, but commands already on it still get
 * their replies.
 *
 * Large commands. More than 512 KiB in one call are sent over a connection that
 * is not shared. Other fibers do not wait for it, and keep their connection if
 * Redis is configured to accept less.
 *
 * The wrong server. READONLY, LOADING, MASTERDOWN, NOREPLICAS and NOAUTH are
 * errors of their command. They also mean that the connection leads to the
 * wrong server, so it is replaced: addresses are resolved and dialled again,
 * beginning with the next address of the name or of the list. In the long run
 * this happens at most once a second. Other commands use the old connection
 * until the new one is open.
 *
 * Clusters. Commands go to the node that has their keys. They follow MOVED and
 * ASK up to `redirects` times. After CLUSTERDOWN, TRYAGAIN, LOADING and
 * MASTERDOWN they are tried again after pauses, until the deadline. Nodes that
 * leave the cluster are forgotten. A cluster may have 256 nodes at a time.
 *
 * Replies. A caller that passes a `reply` must free it with
 * torc_redis_reply_free(), even after an error. Pass NULL to discard it.
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
struct torc_transport_dialler;

/*
 * The call behind the one that takes a structure that grows: see
 * torc_runtime.h.
 */
TORC_API int torc_redis_create_sized(struct torc_redis **redis,
    const struct torc_redis_config *config, size_t config_size,
    struct torc_error *error);

/* ---- Opening ---- */

/*
 * The servers of a client, and the client's limits. 0 or NULL selects the
 * default. A value out of its range is refused. It grows.
 */
struct torc_redis_config {
	const char *address;	/* of one or more servers, or a URI;
				 * 127.0.0.1:6379 by default */
	bool cluster;		/* the addresses are nodes of a cluster */
	const char *sentinel;	/* the name of a master: `address` then has the
				 * sentinels that know it, by default at port
				 * 26379 */
	const char *sentinel_user;	/* to log in to the sentinels as;
				 * "default" */
	const char *sentinel_password;	/* NULL: do not authenticate */
	const char *user;	/* to log in as; "default" */
	const char *password;	/* NULL: do not authenticate */
	const char *name;	/* the name of our connections in CLIENT LIST;
				 * NULL: none */
	unsigned database;	/* its number; must be 0 in a cluster; 0; to
				 * 1048576 */
	unsigned protocol;	/* 2 or 3; by default 3 if the server supports
				 * it */
	unsigned shared_connections;	/* per server, which fibers share; 1; to
					 * 64 */
	unsigned requests;	/* commands on such a connection that wait for
				 * their replies; 4096; to 1048576 */
	unsigned sessions;	/* connections per server that sessions use; 8;
				 * to 4096 */
	unsigned open_ms;	/* to connect and log in; 5000; 1 to
				 * TORC_NO_LIMIT */
	unsigned retry_min_ms;	/* the pause between attempts to connect, as in
				 * struct torc_pool_config; 50 */
	unsigned retry_max_ms;	/* the longest of these pauses; 500 */
	unsigned redirects;	/* how often a command is redirected in a
				 * cluster; 8; to 100 */
	/* Limits of a reply: see torc_resp.h. */
	size_t reply_bytes_max;	/* bytes of all its strings; 64 MiB */
	unsigned reply_items_max;	/* all its items; 1048576 */
	unsigned reply_depth_max;	/* levels of nested aggregates; 32; to
				 * 32 */
	unsigned reply_line_max;	/* bytes of a line; 16384 */
	/*
	 * TLS for all connections but those of unix sockets:
	 * torc_tls_client_transport() of a client of TLS (torc_tls.h). It has
	 * to live until this client is destroyed. NULL: clear text.
	 */
	struct torc_transport_dialler *transport;
	/*
	 * With `transport`: the name that the certificates of `address` have to
	 * have. NULL: the host of each address. Servers that a cluster or a
	 * sentinel names by a host name have to have that name; those that it
	 * names by an IP address have to have this one, if it is set, and else
	 * their IP address.
	 */
	const char *server_name;
};

/*
 * Addresses. An address is "host:port", "[IPv6]:port" or "unix:PATH". The
 * default port is 6379. Several addresses are separated by commas. They are
 * tried in order, beginning with the one that worked last, and each gets its
 * share of `open_ms`. The addresses of a cluster are some of its nodes. A URI
 * is another form:
 *
 *	redis://[user[:password]@]host[:port][,host[:port]...][/database]
 *
 * In a URI, % and two hexadecimal digits stand for a byte. "rediss://" says
 * that there must be TLS: it needs `transport`, and with `transport` a URI must
 * begin so. torc_redis_create() refuses anything that is not an address, with a
 * text that does not contain the password.
 *
 * With `sentinel`, the addresses are those of sentinels. For each connection
 * they are asked in order where the master of that name is, and the server
 * found must confirm with ROLE that it is the master. The client follows a
 * switch to another master at once. User and password of a URI are those of the
 * master.
 */

/*
 * TLS begins at once, on the port that the server has for it (`tls-port`), and
 * for sentinels too. A server that does not prove its name is not talked to;
 * there is no way to do without that proof.
 */

/*
 * Create a client for the reactor of this thread. Call it on a fiber, such as
 * that of the `start` of torc_serve(). It connects when it is first used.
 * `config` is copied and may be NULL. torc_redis_of() returns the first client
 * of a reactor.
 *
 * Returns 0, or: -EINVAL a field is wrong, and `error` names it, its value and
 * its range; -ENOMEM; -ENOBUFS there are too many pools, as for
 * torc_pool_create().
 */
static inline int
torc_redis_create(struct torc_redis **redis,
    const struct torc_redis_config *config, struct torc_error *error)
{
	return torc_redis_create_sized(redis, config, sizeof(*config), error);
}

/*
 * Parks, while the reactor runs. Destroy a client that is no longer in use: no
 * call is in progress, and its sessions and subscribers have ended. Call it
 * where torc_pool_destroy() may be called, such as in the `stop` of
 * torc_serve(). Returns 0, or -ETIMEDOUT, as torc_pool_destroy(). NULL does
 * nothing.
 */
TORC_API int torc_redis_destroy(
    struct torc_redis *redis, torc_deadline deadline);

/* Returns the first client of a reactor, or NULL. */
TORC_API struct torc_redis *torc_redis_of(const struct torc_reactor *reactor);

/* What is known about a command whose call failed. */
enum torc_redis_fate {
	TORC_REDIS_UNSENT,	/* none of its bytes were sent: it was not
				 * executed */
	TORC_REDIS_UNKNOWN,	/* it was sent and not answered: it may have
				 * been executed, or may be later */
	TORC_REDIS_ANSWERED,	/* it was answered: with an error, or with a
				 * reply that exceeds a limit (so it was
				 * executed) */
};

/* ---- Commands ---- */

/*
 * Parks. Send a command, and wait for its reply. Returns 0, or a negative errno
 * of those listed above.
 */
TORC_API int torc_redis_call(struct torc_redis *redis,
    const struct torc_slice *argv, unsigned argc,
    struct torc_redis_reply **reply, torc_deadline deadline);

/*
 * Parks. Send a command that is given as strings, ended by NULL. Returns as
 * torc_redis_call().
 *
 *	rc = torc_redis_do(redis, &reply, deadline, "GET", key, NULL);
 */
TORC_API int torc_redis_do(struct torc_redis *redis,
    struct torc_redis_reply **reply, torc_deadline deadline, ...)
    __attribute__((sentinel));

/*
 * Returns the error of the call that set this reply. It is valid until the
 * reply is freed. `code` is 0 if the call did not fail. For NULL it is -ENOMEM:
 * the call had no memory for a reply. Pass a reply that a call has set, not an
 * item of it.
 */
TORC_API const struct torc_error *torc_redis_reply_error(
    const struct torc_redis_reply *reply);

/*
 * Returns what is known about the command of the call that set this reply. For
 * NULL it is TORC_REDIS_UNKNOWN.
 */
TORC_API enum torc_redis_fate torc_redis_reply_fate(
    const struct torc_redis_reply *reply);

/* Free a reply and everything in it. NULL does nothing. */
TORC_API void torc_redis_reply_free(struct torc_redis_reply *reply);

/* One of several commands that are sent at once. Frozen. */
struct torc_redis_command {
	const struct torc_slice *argv;
	unsigned argc;
};

/*
 * Parks. Send `count` commands in one write. The reply is an array of their
 * replies. Errors of single commands are among them, and the result is 0 then.
 * In a cluster all keys must be in one slot.
 */
TORC_API int torc_redis_batch(struct torc_redis *redis,
    const struct torc_redis_command *commands, unsigned count,
    struct torc_redis_reply **reply, torc_deadline deadline);

/*
 * Parks. Execute `count` commands as a transaction, between MULTI and EXEC.
 * Either all are executed, with nothing in between, or none. The reply is that
 * of EXEC. If a command was refused, the error is the one of that command.
 */
TORC_API int torc_redis_transact(struct torc_redis *redis,
    const struct torc_redis_command *commands, unsigned count,
    struct torc_redis_reply **reply, torc_deadline deadline);

/*
 * A script for Redis. Set `text`, and everything else to zero. Use one for each
 * reactor. Frozen.
 */
struct torc_redis_script {
	const char *text;
	char sha[41];
	char reserved[15];
};

/*
 * Parks. Run a script, by its hash if the server knows it. `argv` has the keys
 * first, `keys` of them, and then the other arguments. Returns as
 * torc_redis_call(), or: -EINVAL `keys` is more than `argc`, or `argc` is more
 * than 1048573; -EPROTO the server gave no hash for the script.
 */
TORC_API int torc_redis_eval(struct torc_redis *redis,
    struct torc_redis_script *script, const struct torc_slice *argv,
    unsigned argc, unsigned keys, struct torc_redis_reply **reply,
    torc_deadline deadline);

/* ---- Sessions: a connection of one's own ---- */

struct torc_redis_session;

/*
 * Parks. Rent a connection for a session. Sessions are for WATCH, for commands
 * that block, and for replies that are read item by item. In a cluster the
 * connection leads to the node that has `key` (any node if NULL). One fiber at
 * a time uses a session. Returns 0, or: -ENOMEM; an error as
 * torc_pool_acquire(); an error that torc_redis.h lists. `error` (may be NULL)
 * says why.
 */
TORC_API int torc_redis_session_acquire(struct torc_redis *redis,
    const char *key, struct torc_redis_session **session,
    struct torc_error *error, torc_deadline deadline);

/*
 * End a session and return its connection. The session is freed. The connection
 * is closed if it is not in its original state: within MULTI, watching, changed
 * by SELECT and the like, or with an unread reply.
 */
TORC_API void torc_redis_session_release(struct torc_redis_session *session);

/*
 * Returns the error of the last call on the session. It is valid until the next
 * call. `code` is 0 if the call did not fail.
 */
TORC_API const struct torc_error *torc_redis_session_error(
    const struct torc_redis_session *session);

/*
 * Returns what is known about the command of the last call, if that call
 * failed.
 */
TORC_API enum torc_redis_fate torc_redis_session_fate(
    const struct torc_redis_session *session);

/*
 * Parks. Send a command on a session. It works as torc_redis_call() and
 * torc_redis_do(), but is never sent twice. After an error the session can only
 * be released, unless the error is -EBUSY, or about the reply or an argument. A
 * cluster's MOVED is an error like any other; the next session is opened where
 * it points.
 *
 * Returns as torc_redis_call(), or: -EBUSY the last reply was not read to its
 * end, and nothing was sent; -ENOTCONN the connection was lost in an earlier
 * call.
 */
TORC_API int torc_redis_session_call(struct torc_redis_session *session,
    const struct torc_slice *argv, unsigned argc,
    struct torc_redis_reply **reply, torc_deadline deadline);
TORC_API int torc_redis_session_do(struct torc_redis_session *session,
    struct torc_redis_reply **reply, torc_deadline deadline, ...)
    __attribute__((sentinel));

/*
 * Parks. Send a command without waiting for the reply. Read the reply to its
 * end with torc_redis_session_read() before the next command. Returns 0, or an
 * error as torc_redis_session_call().
 */
TORC_API int torc_redis_session_send(struct torc_redis_session *session,
    const struct torc_slice *argv, unsigned argc, torc_deadline deadline);

/*
 * Parks. Read the next item of the reply, readable until the next call. Returns
 * 1; 0 if this was the last item of the reply (`*item` is set, too); or:
 * -EINVAL there is no reply to read; an error that torc_redis.h lists. After an
 * error other than -EINVAL the session can only be released.
 *
 * A large reply needs no memory, and a slow reader slows Redis down. The limits
 * of the configuration apply, also `reply_bytes_max`: raise it for a reply that
 * is larger. An error of Redis is an item of type TORC_REDIS_ERROR.
 */
TORC_API int torc_redis_session_read(struct torc_redis_session *session,
    struct torc_resp_item *item, torc_deadline deadline);

/* ---- Messages ---- */

/*
 * A subscriber receives messages on a connection of its own. If the connection
 * is lost, it is opened again, and all subscriptions are renewed. A subscriber
 * queues nothing: unread messages wait in the socket, and Redis closes the
 * connection of a reader that is too slow.
 */
struct torc_redis_subscriber;

/* A message, or a change of a subscription. */
enum torc_redis_event {
	TORC_REDIS_MESSAGE,
	TORC_REDIS_SUBSCRIBED,	/* to `channel` (or a pattern) */
	TORC_REDIS_UNSUBSCRIBED,
	TORC_REDIS_CONNECTED,	/* reconnected: messages may have been lost */
};

/* An event, and its details. Frozen. */
struct torc_redis_message {
	enum torc_redis_event event;
	const char *channel;	/* NULL for TORC_REDIS_CONNECTED */
	const char *pattern;	/* that matched the channel, or NULL */
	const char *text;	/* of a message; followed by a NUL */
	size_t size;
	uint64_t reserved[2];
};

/* Create a subscriber. Returns 0 or -ENOMEM. */
TORC_API int torc_redis_subscriber_create(struct torc_redis *redis,
    struct torc_redis_subscriber **subscriber);

/* Destroy a subscriber that no fiber uses any more. NULL does nothing. */
TORC_API void torc_redis_subscriber_destroy(
    struct torc_redis_subscriber *subscriber);

/*
 * Parks, but without waiting for Redis. Subscribe to a channel, or to all
 * channels that match a pattern. TORC_REDIS_SUBSCRIBED reports success, and is
 * reported again on each new connection. Nothing is sent or reported for a
 * subscription that exists already. Another fiber may be in
 * torc_redis_subscriber_next() meanwhile. Without a connection, the
 * subscription is made on the next one. The text is copied.
 *
 * Returns 0, or: -ENOBUFS there are 4096 channels and patterns already;
 * -ENOMEM; -ETIMEDOUT; -ECANCELED.
 */
TORC_API int torc_redis_subscribe(struct torc_redis_subscriber *subscriber,
    const char *channel, struct torc_error *error, torc_deadline deadline);
TORC_API int torc_redis_psubscribe(struct torc_redis_subscriber *subscriber,
    const char *pattern, struct torc_error *error, torc_deadline deadline);

/*
 * Parks, but without waiting for Redis. End a subscription. Returns 0, or:
 * -ENOENT there is no subscription to this channel or pattern; -ETIMEDOUT;
 * -ECANCELED.
 */
TORC_API int torc_redis_unsubscribe(struct torc_redis_subscriber *subscriber,
    const char *channel, struct torc_error *error, torc_deadline deadline);
TORC_API int torc_redis_punsubscribe(struct torc_redis_subscriber *subscriber,
    const char *pattern, struct torc_error *error, torc_deadline deadline);

/*
 * Parks. Receive the next message, readable until the next call. If the
 * connection is lost, it is opened again for as long as the deadline allows. It
 * counts as lost if it is silent for 30 s and then does not answer a PING.
 *
 * Returns 0, or: -ETIMEDOUT; -ECANCELED; -ESHUTDOWN; -EACCES the login was
 * refused; -EREMOTEIO Redis refused a subscription, and `error` has its words;
 * -EBADMSG what came is not the protocol of Redis; -EMSGSIZE (or another error
 * of a limit) a message exceeds the limit and was skipped. The subscriber can
 * be used after any of these. `error` may be NULL.
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
