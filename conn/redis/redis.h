/* SPDX-License-Identifier: MIT */
/*
 * redis.h - the parts of the client: the client has nodes (one, if there is no
 * cluster), a node has links (connections), a link has requests in a pipeline.
 */
#ifndef TORC_REDIS_INTERNAL_H
#define TORC_REDIS_INTERNAL_H

#include <stdarg.h>

#include "conn/kit/shared.h"
#include "conn/kit/torc_client.h"
#include "conn/redis/torc_redis.h"
#include "reactor/error.h"

#define REDIS_NODES 256u	/* of a cluster */
#define REDIS_SLOTS 16384u
#define REDIS_SHARED_MAX 64u
#define REDIS_ADDRESS 264u	/* bytes of one */
#define REDIS_ADDRESSES 64u	/* of a configuration */

struct link;
struct node;

struct torc_redis {
	struct torc_reactor *reactor;
	struct torc_redis_config config;	/* strings are ours */
	char *strings[8];
	char *addresses[REDIS_ADDRESSES];
	unsigned address_count;
	struct torc_redis *sentinels;	/* a client of theirs, or NULL */
	uint64_t follower;	/* a fiber that listens to them, or 0 */
	struct node *nodes[REDIS_NODES];
	unsigned node_count;
	struct node *gone;	/* nodes that were forgotten, but are still
				 * used */
	struct node **slots;	/* of a cluster: the node that has it */
	bool mapping;		/* a fiber asks for the slots */
	struct torc_waiters mappers;	/* fibers that want to know them, too */
	uint64_t mapped_at;	/* or 0 */
	struct torc_error map_error;	/* why the map could not be read */
	unsigned turn;		/* of the nodes, for what any can do */
};

/* Opens connections to a node: a pool, and the result of the last attempt. */
struct opener {
	struct node *node;
	struct torc_pool *pool;
	const char *stage;	/* that the last attempt has reached */
	struct torc_error error;	/* of the last failed attempt */
};

struct node {
	struct torc_redis *redis;
	char address[REDIS_ADDRESS];	/* of a cluster's; else the first */
	char master[REDIS_ADDRESS];	/* that a sentinel has named */
	bool gone;		/* the node has left the cluster */
	struct node *next;	/* of forgotten nodes */
	unsigned users;		/* calls, sessions, subscribers */
	unsigned slot_count;	/* that a cluster's node has */
	bool seed;		/* the node is in the configuration */
	unsigned preferred;	/* of `addresses`: the one to try first, ... */
	struct torc_dialled wrong;	/* ... at none of these, if it is a
					 * name: they had another server */
	unsigned generation;	/* of links that are as they should be */
	unsigned verified;	/* the last one that has had a link */
	uint64_t renew_at;	/* no other one before; ... */
	uint64_t renew_ns;	/* ... the last pause between two */
	struct opener shared;	/* links that fibers share */
	struct opener sessions;	/* links of sessions */
	struct opener apart;	/* for what is large */
	struct torc_shared_set set;	/* of those that fibers share */
};

/* A connection. */
struct link {
	char address[REDIS_ADDRESS];
	struct torc_conn *conn;
	struct node *node;
	struct torc_shared shared;	/* in the set of the node, or not; of a
				 * subscriber: its writers */
	struct opener *opener;
	struct torc_error *opening;	/* while it is opened: the errors so
				 * far */
	unsigned others;	/* addresses of its name, not tried yet */
	unsigned generation;
	struct torc_resp_tree tree;
	struct torc_resp_arena before;	/* that of a request, without the
					 * reply that is being read */
	bool mute;		/* cannot be written to */
	bool aside;		/* a push is being skipped */
};

/* Commands that are sent in one write. */
struct batch {
	const struct torc_redis_command *commands;
	unsigned count;
	bool list;		/* the reply is a list, also of one */
	bool atomic;		/* between MULTI and EXEC */
	bool asking;		/* behind ASKING */
	bool large;		/* others should not wait behind it */
};

/* A request, which becomes its reply. */
struct request {
	struct torc_request base;
	struct torc_redis_reply root;	/* first what is returned */
	struct torc_redis_reply *parts;	/* of several replies, or NULL */
	unsigned expected;
	unsigned got;
	int refused;		/* a reply exceeded this limit ... */
	unsigned refused_at;	/* ... and which reply */
	bool passing;		/* a reply is being skipped */
	enum torc_redis_fate fate;	/* of one that is returned */
	struct torc_error *error;	/* the same; NULL: none */
	struct torc_resp_arena arena;
	_Alignas(16) uint8_t memory[512];
};

/*
 * The error of a call. The last one that was set counts. A call that succeeds
 * may have set one before.
 */
struct trouble {
	struct torc_error *error;	/* its text. NULL: none yet, and it will
				 * be that of a reply */
	struct request *reply;	/* that has them, or NULL */
	enum torc_redis_fate fate;
};

/* ---- why.c ---- */

/*
 * Set the error of a call from which nothing was sent. Returns `error`.
 * `trouble` may be NULL.
 */
int torc_redis_fail(struct trouble *trouble, int error, const char *format,
    ...) __attribute__((format(printf, 3, 4)));

/* As torc_redis_fail(), for a command that may have been sent. */
int torc_redis_tell(struct trouble *trouble, int error,
    enum torc_redis_fate fate, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* As torc_redis_fail(), with the text of another error. */
int torc_redis_pass_on(struct trouble *trouble, int error,
    const struct torc_error *from);

/* End a call: free its text, unless a session has it. */
void torc_redis_trouble_end(struct trouble *trouble);

/* Returns the reply of a failed call; NULL if there is no memory. */
struct torc_redis_reply *torc_redis_trouble_reply(struct trouble *trouble);

/*
 * The reply belongs to another command, and the program's command was not sent.
 */
void torc_redis_reply_unsent(struct torc_redis_reply *reply);

/* ---- redis.c ---- */

/* Returns in words which limit this error is about; NULL: none. */
const char *torc_redis_over_limit(int error);

/*
 * Give the result to the caller: an error of Redis becomes one of torc, and
 * `trouble` becomes a reply. If the caller wants no reply, `trouble` may be
 * NULL.
 */
int torc_redis_deliver(struct trouble *trouble, int rc,
    struct request *request, struct torc_redis_reply **reply);

/*
 * Check a command. Returns 0, -EINVAL, -EMSGSIZE, or -EOPNOTSUPP if it has one
 * of the flags. Adds its bytes to `*total`.
 */
int torc_redis_check(struct trouble *trouble,
    const struct torc_redis_command *command, unsigned flags,
    uint64_t *total);

/* Read words up to a NULL. */
#define REDIS_WORDS 64u
int torc_redis_words(struct trouble *trouble, struct torc_slice *argv,
    unsigned *argc, va_list words);

/* ---- commands.c ---- */

/* Whether a reply is an error that begins with that word. */
bool torc_redis_is_error(
    const struct torc_redis_reply *reply, const char *code);

enum {
	COMMAND_STATEFUL = 1,	/* changes its connection, or blocks it */
	COMMAND_BEGINS = 2,	/* what COMMAND_ENDS: WATCH, MULTI */
	COMMAND_ENDS = 4,
	COMMAND_FOREIGN = 8,	/* has not one reply: SUBSCRIBE, MONITOR */
	COMMAND_ALTERS = 16,	/* for good: SELECT, AUTH */
	COMMAND_FATAL = 32,	/* Redis ends the connection that sends it */
};

/* Returns the flags of a command, usually 0. */
unsigned torc_redis_command_flags(unsigned argc, const struct torc_slice *argv);

/* Returns its first key, or NULL. */
const struct torc_slice *torc_redis_command_key(unsigned argc,
    const struct torc_slice *argv);

/* Returns the slot of a key, by its tag if it has one. */
unsigned torc_redis_key_slot(const void *key, size_t size);

/* ---- address.c ---- */

/*
 * Read config.address into `addresses`, and the other parts of a URI. Returns
 * 0; -EINVAL, and `error` says why; or -ENOMEM.
 */
int torc_redis_read_address(struct torc_redis *redis, struct torc_error *error);

/* ---- greet.c ---- */

/* The names and the password to log in with. */
struct login {
	const char *user;
	const char *password;
	const char *name;
	unsigned database;
};

/* Parks. Log in. Returns 0, or an error with its text set. */
int torc_redis_greet(struct link *link, const struct login *login,
    torc_deadline deadline);

/*
 * Parks. Send a command on a connection that is not open yet. Returns 0, or an
 * error with its text set.
 */
int torc_redis_ask_early(struct link *link, struct request **request,
    torc_deadline deadline, unsigned argc, const char *const *argv);

/* ---- sentinel.c ---- */

/*
 * Parks. Connect to the master that the sentinel at `link->address` names, and
 * check that it is one. Returns 0, or an error with its text set.
 */
int torc_redis_sentinel_dial(struct link *link, torc_deadline deadline);

/*
 * Parks. Stop listening to the sentinels. (After the reactor has ended, no
 * fiber does.)
 */
void torc_redis_sentinel_leave(struct torc_redis *redis);

/* ---- dial.c ---- */

/* The open() of a pool: opens a link for the opener `arg`. */
extern const struct torc_pool_kind torc_redis_link_kind;

/*
 * Parks. Connect to `link->address`, but to none of those in `dialled`, and log
 * in. Returns -EALREADY if it has no others.
 */
int torc_redis_dial(struct link *link, const struct login *login,
    struct torc_dialled *dialled, torc_deadline deadline);

/* Parks. The same, with the login of the configuration. */
int torc_redis_dial_server(struct link *link, torc_deadline deadline);

/* Close such a connection. */
void torc_redis_hang_up(struct link *link);

/* Returns an error in words. `text` is used if those of libc are not enough. */
const char *torc_redis_open_error(const struct link *link, int error,
    char text[80]);

/* Say why a connection cannot be opened; returns `error`. */
int torc_redis_fail_open(const struct link *link, int error, const char *format,
    ...) __attribute__((format(printf, 3, 4)));

/* ---- renew.c ---- */

/*
 * Returns whether a reply shows that this is the wrong server. In that case the
 * links of its node are renewed, unless that was done just now.
 */
bool torc_redis_judge(
    struct link *link, const struct request *request, bool list);

/* Whether a link is of an older generation than the current one. */
bool torc_redis_is_stale(const struct link *link);

/* Whether a link of a newer generation was opened, too. */
bool torc_redis_is_replaced(const struct link *link);

/* ---- link.c ---- */

/* The functions of the pipeline of a link. */
extern const struct torc_pipeline_kind torc_redis_link_replies;

/*
 * Parks. Send a batch over a link, and wait for the replies. *sent: some bytes
 * may have reached the server; if not, the batch can be sent again. *request is
 * NULL after an error. If a reply exceeds a limit, it is skipped, and
 * (*request)->refused is the error.
 */
int torc_redis_link_call(struct link *link, struct request **request,
    torc_deadline deadline, const struct batch *batch, bool *sent);

/*
 * Parks. Write commands; the link is mute after an error. *begun: some of
 * their bytes were written.
 */
int torc_redis_link_write(struct link *link, torc_deadline deadline,
    const struct batch *batch, bool *begun);

/* Say why torc_redis_link_call() has failed; returns `rc`. */
int torc_redis_link_explain(const struct link *link, int rc, bool sent,
    struct trouble *trouble);

/* As torc_redis_link_call(), of strings, at most LINK_WORDS. */
#define LINK_WORDS 8u
int torc_redis_link_do(struct link *link, struct request **request,
    torc_deadline deadline, unsigned argc, const char *const *argv);

/* Whether a link can be used for sending. */
bool torc_redis_link_alive(struct link *link);

void torc_redis_request_free(struct request *request);

/* ---- node.c ---- */

/* Parks. Rent a link. Its node is held. */
int torc_redis_node_rent(struct torc_redis *redis, int slot, struct link **link,
    torc_deadline deadline, struct trouble *trouble);

/* Parks. Acquire a link of an opener's pool. The text of an error is set. */
int torc_redis_opener_acquire(struct opener *opener, struct link **link,
    torc_deadline deadline, struct trouble *trouble);

int torc_redis_node_create(struct torc_redis *redis, const char *address,
    struct node **node, struct torc_error *error);
int torc_redis_node_destroy(struct node *node, torc_deadline deadline);

/*
 * Parks. Send a batch over a shared link of the node, or over a separate one if
 * it is large. If nothing was sent, another link is tried.
 */
int torc_redis_node_call(struct node *node, struct request **request,
    torc_deadline deadline, const struct batch *batch, bool *sent,
    struct trouble *trouble);

/*
 * Retire its shared links: they take no new commands, and are closed when they
 * are not used any more.
 */
void torc_redis_node_rest(struct node *node);

/*
 * The same, also for links of sessions: the node is another server from now on.
 */
void torc_redis_node_switch(struct node *node);

/* ---- map.c ---- */

/*
 * Hold a node: it is not freed, even when the cluster has no such node any
 * more.
 */
void torc_redis_node_hold(struct node *node);
void torc_redis_node_drop(struct node *node);

/* Parks. Free nodes that were forgotten and are not held. */
void torc_redis_cluster_reap(struct torc_redis *redis);

/*
 * Returns the node at "host:port", IPv6 without brackets. Without a host it is
 * that of `from`. NULL if it cannot be added: no memory, or too many nodes.
 */
struct node *torc_redis_cluster_find(struct torc_redis *redis,
    const struct node *from, const char *host, size_t size, const char *port);

/* Give a slot to another node. A node without slots is forgotten. */
void torc_redis_cluster_move(struct torc_redis *redis, unsigned slot,
    struct node *node);

/* Parks. Read the map, or a newer one. One fiber asks for all. */
int torc_redis_cluster_map(struct torc_redis *redis, torc_deadline deadline);

/* Parks. Find the node of a slot (any node if negative), and hold it. */
int torc_redis_cluster_node(struct torc_redis *redis, int slot,
    struct node **node, torc_deadline deadline, struct trouble *trouble);

/* ---- cluster.c ---- */

/* Parks. Send a batch to the node of its slot. */
int torc_redis_cluster_call(struct torc_redis *redis, struct request **request,
    torc_deadline deadline, struct batch *batch, struct trouble *trouble);

/*
 * Parks. Rent a link to the node of a slot (any node if negative). The node is
 * held: give the link back first, and then drop the node.
 */
int torc_redis_cluster_rent(struct torc_redis *redis, int slot,
    struct link **link, torc_deadline deadline, struct trouble *trouble);

/* Learn from the MOVED of a command that is not redirected. */
void torc_redis_cluster_learn(struct torc_redis *redis, const struct node *from,
    const struct torc_redis_reply *reply);

/*
 * Returns the slot of a batch; -1 if it has no keys; -EXDEV if there are
 * several.
 */
int torc_redis_cluster_slot(const struct batch *batch, int *slot);

#endif
