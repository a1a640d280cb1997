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
 *			a reply is over the limit that resp.h names for that
 *			error. It is read past: the command was answered, and
 *			the connection goes on
 *	-ENOMEM		there is no memory, for the command or for its reply
 *	-ECONNRESET ...	the connection was lost
 *	-EBADMSG	what came is not the protocol of Redis; the same
 *	-EACCES		it does not let us in
 *	-ECONNREFUSED	nobody is there, or Redis has refused the connection in
 *			words
 *	-EPROTO		what is there does not answer as Redis does
 *	-ENOBUFS	`requests` commands wait for replies already
 *
 * and errors of what is asked; nothing is sent then:
 *
 *	-EOPNOTSUPP	the command needs a session (or is for subscribers)
 *	-EMSGSIZE	an argument has more than 512 MiB, or all of a command
 *			or a transaction have more than 768 MiB: servers end
 *			the connection for what is a little more
 *	-EINVAL		a command has no name, or more than 1048576 words; a
 *			batch has no commands, or more than that
 *	-E2BIG		torc_redis_do() has more than 64 words
 *	-EXDEV		the keys are in different slots of the cluster
 *
 * torc_redis_why() has words for all of them, and torc_redis_fate() tells
 * whether the command was sent. One of which no byte was sent is sent again by
 * itself when another connection can be had; no other is. An error is always
 * about the command of the call that returns it: what others do wrong on the
 * same connection is not told to it, unless the connection is lost.
 *
 * A call whose deadline passes, when nothing has come over its connection for
 * 50 ms, retires it: no new commands are sent over it, and those that were
 * before still get their replies. The reply of a command that is given up goes
 * nowhere.
 *
 * What has more than 512 KiB in all goes over a connection that is not shared,
 * so that nobody waits behind it, and nobody's connection ends if Redis is
 * configured to take less.
 *
 * An answer of READONLY, LOADING, MASTERDOWN, NOREPLICAS or NOAUTH says that
 * the connection leads to another server than it should. It is the error of its
 * command, and connections to that server are renewed: addresses are resolved
 * and dialled again, of several the next one first, at most once a second in
 * the long run. Others are served by the old connection until then.
 *
 * In a cluster, commands follow their keys: MOVED and ASK at most `redirects`
 * times, and CLUSTERDOWN, TRYAGAIN, LOADING and MASTERDOWN are tried again
 * after pauses, as far as the deadline allows. Nodes that the cluster has no
 * more are forgotten; it may have 256 at a time.
 *
 * Replies. Who passes a `reply` frees what comes, also after an error (it is
 * NULL mostly): torc_redis_free(). It may be NULL: then nobody wants it.
 */
#ifndef TORC_REDIS_H
#define TORC_REDIS_H

#include "conn/redis/resp.h"

#ifdef __cplusplus
extern "C" {
#endif

struct torc_redis;

/* ---- Opening ---- */

/* 0 or NULL has the default; a value out of its range is refused. */
struct torc_redis_config {
	const char *address;	/* see below; 127.0.0.1:6379 */
	bool cluster;
	const char *sentinel;	/* the name of a master: `address` has the
				 * sentinels that know it, at port 26379 */
	const char *sentinel_user;	/* to be let in by them; "default" */
	const char *sentinel_password;
	const char *user;	/* "default" */
	const char *password;	/* NULL: do not authenticate */
	const char *name;	/* of our connections, for CLIENT LIST; none */
	unsigned database;	/* SELECT; 0; to 1048576; not in a cluster */
	unsigned protocol;	/* 2, 3, or 0: 3 if the server speaks it */
	unsigned lines;		/* connections that fibers share, per server;
				 * 1; to 64 */
	unsigned requests;	/* without a reply, per line; 4096; to
				 * 1048576 */
	unsigned sessions;	/* connections that are rented, per server; 8;
				 * to 4096 */
	unsigned open_ms;	/* to connect and be let in; 5000; 1 to
				 * TORC_NO_LIMIT */
	unsigned retry_min_ms;	/* pauses between attempts: see torc_pool; 50 */
	unsigned retry_max_ms;	/* 500 */
	unsigned redirects;	/* of a command in a cluster; 8; to 100 */
	struct torc_resp_limits limits;	/* of a reply */
};

/*
 * Addresses. "host:port", "[IPv6]:port" or "unix:PATH"; without a port, 6379.
 * Several are separated by commas. They are tried in this order, beginning
 * with the one that was there last, and each has its share of `open_ms`; those
 * of a cluster are some of its nodes. Or a URI:
 *
 *	redis://[user[:password]@]host[:port][,host[:port]...][/database]
 *
 * in which % and two digits stand for a byte. "rediss://" is refused, since
 * there is no TLS. What is no address is refused by torc_redis_open(), in words
 * that do not have the password in them.
 *
 * With `sentinel`, the sentinels are asked one after the other, for each new
 * connection, where the master of that name is; it has to say that it is one.
 * User and password of a URI are those of the master.
 */

/*
 * A client for the reactor of this thread; on a fiber, such as that of the
 * `start` of torc_serve. Nothing is opened before it is asked. `config` is
 * copied, and may be NULL. The first of a reactor is what torc_redis_of()
 * returns. 0; -EINVAL, and `text` (may be NULL) says why; -ENOMEM; -ENOBUFS
 * (see torc_pool_create).
 */
int torc_redis_open(struct torc_redis **redis,
    const struct torc_redis_config *config, char *text, size_t text_size);

/*
 * Parks, while the reactor lives. Nobody uses it any more: see
 * torc_pool_destroy() for when, such as in the `stop` of torc_serve. NULL is
 * none.
 */
void torc_redis_close(struct torc_redis *redis);

/* This reactor's client, or NULL. */
struct torc_redis *torc_redis_of(const struct torc_reactor *reactor);

/*
 * What the last error was, in words; "" if there was none. It is that of the
 * call of this fiber that just failed until the fiber parks again; then it may
 * be another's.
 */
const char *torc_redis_why(const struct torc_redis *redis);

/* What is known of a command whose call failed. */
enum torc_redis_fate {
	TORC_REDIS_UNSENT,	/* no byte of it was sent: it was not done */
	TORC_REDIS_UNKNOWN,	/* sent, and not answered: it may have been
				 * done, or may yet be */
	TORC_REDIS_ANSWERED,	/* answered: with an error, or by a reply that
				 * is over a limit (so it was done) */
};

/* That of the last call that failed, for as long as torc_redis_why(). */
enum torc_redis_fate torc_redis_fate(const struct torc_redis *redis);

/* ---- Commands ---- */

/*
 * Parks. Send a command, and wait for its reply. 0, or a negative errno.
 */
int torc_redis_call(struct torc_redis *redis, struct torc_redis_reply **reply,
    uint64_t deadline, unsigned argc, const struct torc_slice *argv);

/* As torc_redis_call(), of strings: torc_redis_do(..., "GET", key, NULL). */
int torc_redis_do(struct torc_redis *redis, struct torc_redis_reply **reply,
    uint64_t deadline, ...) __attribute__((sentinel));

/* Free a reply with all that is in it. NULL is one. */
void torc_redis_free(struct torc_redis_reply *reply);

struct torc_redis_command {
	const struct torc_slice *argv;
	unsigned argc;
};

/*
 * Parks. Send `count` commands in one write. The reply is an array of theirs,
 * with errors among them: the result is 0 then. In a cluster: all of one slot.
 */
int torc_redis_batch(struct torc_redis *redis,
    struct torc_redis_reply **reply, uint64_t deadline, unsigned count,
    const struct torc_redis_command *commands);

/*
 * Parks. As torc_redis_batch() between MULTI and EXEC: all are done, with
 * nothing in between, or none. The reply is that of EXEC; if a command was
 * refused, the error is about that one.
 */
int torc_redis_transact(struct torc_redis *redis,
    struct torc_redis_reply **reply, uint64_t deadline, unsigned count,
    const struct torc_redis_command *commands);

/*
 * A script: the text is the program's, the rest is torc's and all zero. One
 * for each reactor.
 */
struct torc_redis_script {
	const char *text;
	char sha[41];
};

/*
 * Parks. Run it, by its hash if the server has it. `argv` has the keys first,
 * `keys` of them.
 */
int torc_redis_eval(struct torc_redis *redis, struct torc_redis_reply **reply,
    uint64_t deadline, struct torc_redis_script *script, unsigned keys,
    unsigned argc, const struct torc_slice *argv);

/* ---- Sessions: a connection of one's own ---- */

struct torc_redis_session;

/*
 * Parks. Rent a connection, for WATCH, for what blocks, or for replies that
 * are read bit by bit. In a cluster: of the node that has `key` (any if NULL).
 * It is used by one fiber at a time.
 */
int torc_redis_session_open(struct torc_redis *redis,
    struct torc_redis_session **session, const char *key, uint64_t deadline);

/*
 * Give it back. It is closed if it is not as it was: within MULTI, watching,
 * changed by SELECT and the like, or with an answer unread.
 */
void torc_redis_session_close(struct torc_redis_session *session);

/*
 * Parks. As torc_redis_call(), without a second attempt. After an error other
 * than those of a reply and of what is asked it is of no more use. A cluster's
 * MOVED is an error like others; the next session is opened where it says.
 */
int torc_redis_session_call(struct torc_redis_session *session,
    struct torc_redis_reply **reply, uint64_t deadline, unsigned argc,
    const struct torc_slice *argv);
int torc_redis_session_do(struct torc_redis_session *session,
    struct torc_redis_reply **reply, uint64_t deadline, ...)
    __attribute__((sentinel));

/* Parks. Send a command whose reply is read with torc_redis_session_read(). */
int torc_redis_session_send(struct torc_redis_session *session,
    uint64_t deadline, unsigned argc, const struct torc_slice *argv);

/*
 * Parks. The next item of the reply, readable until the next call: a large
 * reply needs no memory, and a slow reader slows Redis. 1; 0: the reply is
 * over, this was its last item; or a negative errno.
 */
int torc_redis_session_read(struct torc_redis_session *session,
    struct torc_resp_item *item, uint64_t deadline);

/* ---- Messages ---- */

/*
 * A subscriber has a connection of its own, and renews it with all that it
 * has subscribed to. It queues nothing: what is not read waits in the socket,
 * and Redis ends who is too slow.
 */
struct torc_redis_subscriber;

enum torc_redis_event {
	TORC_REDIS_MESSAGE,
	TORC_REDIS_SUBSCRIBED,		/* to `channel` (or pattern) */
	TORC_REDIS_UNSUBSCRIBED,
	TORC_REDIS_CONNECTED,		/* again: messages may be lost */
};

struct torc_redis_message {
	enum torc_redis_event event;
	const char *channel;	/* NULL of CONNECTED */
	const char *pattern;	/* by which it came, or NULL */
	const char *text;	/* of a message, ended by a NUL, too */
	size_t size;
};

/* 0 or -ENOMEM. */
int torc_redis_subscriber_open(struct torc_redis *redis,
    struct torc_redis_subscriber **subscriber);

/* No fiber uses it. NULL is none. */
void torc_redis_subscriber_close(struct torc_redis_subscriber *subscriber);

/*
 * Parks, but does not wait for Redis: SUBSCRIBED tells when it is done. At
 * most 4096 channels and patterns (-ENOBUFS). Also while another fiber is in
 * torc_redis_next(). Without a connection it is done with the next one.
 */
int torc_redis_subscribe(struct torc_redis_subscriber *subscriber,
    const char *channel, uint64_t deadline);
int torc_redis_psubscribe(struct torc_redis_subscriber *subscriber,
    const char *pattern, uint64_t deadline);

/* 0, or -ENOENT if it was not subscribed to. */
int torc_redis_unsubscribe(struct torc_redis_subscriber *subscriber,
    const char *channel, uint64_t deadline);
int torc_redis_punsubscribe(struct torc_redis_subscriber *subscriber,
    const char *pattern, uint64_t deadline);

/*
 * Parks. The next message, readable until the next call. When the connection
 * is lost, or silent for 30 s and then to a PING, it is opened again for as
 * long as the deadline allows. 0, -ETIMEDOUT, -ECANCELED, -ESHUTDOWN; -EACCES:
 * we are not let in; -EREMOTEIO: Redis refused a channel, and
 * torc_redis_why() says which; -EMSGSIZE and the others of a limit: a message
 * is over it, and is read past.
 */
int torc_redis_next(struct torc_redis_subscriber *subscriber,
    struct torc_redis_message *message, uint64_t deadline);

#ifdef __cplusplus
}
#endif

#endif
