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
	char *strings[7];
	char *addresses[REDIS_ADDRESSES];
	unsigned address_count;
	struct torc_redis *sentinels;	/* a client of theirs, or NULL */
	uint64_t follower;	/* a fiber that listens to them, or 0 */
	struct node *nodes[REDIS_NODES];
	unsigned node_count;
	struct node *gone;	/* that are none any more, and used yet */
	struct node **slots;	/* of a cluster: the node that has it */
	bool mapping;		/* somebody asks for the slots */
	struct torc_waiters mappers;	/* who want to know them, too */
	uint64_t mapped_at;	/* or 0 */
	struct torc_error map_error;	/* it could not be had */
	unsigned turn;		/* of the nodes, for what any can do */
};

/* Opens connections to a node: a pool, and what became of the last one. */
struct opener {
	struct node *node;
	struct torc_pool *pool;
	const char *stage;	/* that the last opening has come to */
	struct torc_error error;	/* of the last that failed */
};

struct node {
	struct torc_redis *redis;
	char address[REDIS_ADDRESS];	/* of a cluster's; else the first */
	char master[REDIS_ADDRESS];	/* that a sentinel has named */
	bool gone;		/* the cluster has it no more */
	struct node *next;	/* of those that are gone */
	unsigned users;		/* calls, sessions, subscribers */
	unsigned slot_count;	/* of a cluster's: that it has */
	bool seed;		/* one of the configuration */
	unsigned preferred;	/* of `addresses`: the one to try first, ... */
	struct torc_dialled wrong;	/* ... at none of these, if it is a
					 * name: they had another server */
	unsigned generation;	/* of links that are as they should be */
	unsigned verified;	/* the last one that has had a link */
	uint64_t renew_at;	/* no other one before; ... */
	uint64_t renew_ns;	/* ... the last pause between two */
	struct opener shared;	/* links that fibers share */
	struct opener sessions;	/* that are one's own */
	struct opener apart;	/* for what is large */
	struct torc_shared_set set;	/* of those that fibers share */
};

/* A connection. */
struct link {
	char address[REDIS_ADDRESS];
	struct torc_conn *conn;
	struct node *node;
	struct torc_shared shared;	/* in the set of the node, or not; if a
				 * subscriber's: who writes to it */
	struct opener *opener;
	struct torc_error *opening;	/* until it is open: what went wrong
				 * with it so far */
	unsigned others;	/* addresses of its name, not tried yet */
	unsigned generation;
	struct torc_resp_tree tree;
	struct torc_resp_arena before;	/* that of a request, without the
					 * reply that is being read */
	bool mute;		/* cannot be written to */
	bool aside;		/* a push is being read past */
};

/* What is sent in one write, and how many replies it has. */
struct batch {
	const struct torc_redis_command *commands;
	unsigned count;
	bool list;		/* the reply is a list, also of one */
	bool atomic;		/* between MULTI and EXEC */
	bool asking;		/* behind ASKING */
	bool large;		/* nobody should have to wait behind it */
};

/* A request, and the reply that it becomes. */
struct request {
	struct torc_request base;
	struct torc_redis_reply root;	/* first what is returned */
	struct torc_redis_reply *parts;	/* of several replies, or NULL */
	unsigned expected;
	unsigned got;
	int refused;		/* a reply was over a limit, which one ... */
	unsigned refused_at;	/* ... and which reply */
	bool passing;		/* it is being read past */
	enum torc_redis_fate fate;	/* of one that is returned */
	struct torc_error *error;	/* the same; NULL: none */
	struct torc_resp_arena arena;
	_Alignas(16) uint8_t memory[512];
};

/*
 * What goes wrong in a call: the last that is said counts. A call that succeeds
 * in the end may have said something before.
 */
struct trouble {
	struct torc_error *error;	/* the words. NULL: none yet, and they
				 * will be those of a reply */
	struct request *reply;	/* that has them, or NULL */
	enum torc_redis_fate fate;
};

/* ---- why.c ---- */

/* Say what went wrong; returns `error`. Nothing was sent. NULL: nobody asks. */
int torc_redis_fail(struct trouble *trouble, int error, const char *format,
    ...) __attribute__((format(printf, 3, 4)));

/* As torc_redis_fail(), of what may have been sent. */
int torc_redis_tell(struct trouble *trouble, int error,
    enum torc_redis_fate fate, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* As torc_redis_fail(), with the words of another error. */
int torc_redis_pass_on(struct trouble *trouble, int error,
    const struct torc_error *from);

/* It is over: the words that no session has go. */
void torc_redis_trouble_end(struct trouble *trouble);

/* The reply to a call that has failed. NULL: no memory. */
struct torc_redis_reply *torc_redis_trouble_reply(struct trouble *trouble);

/* It was about something else, and what the program asks for was not sent. */
void torc_redis_reply_unsent(struct torc_redis_reply *reply);

/* ---- redis.c ---- */

/* Which limit a reply is over by that error, in words; NULL: it is none. */
const char *torc_redis_over_limit(int error);

/*
 * What the caller gets: an error of Redis becomes one of ours, and `trouble`
 * becomes a reply. If the caller wants no reply, `trouble` may be NULL.
 */
int torc_redis_deliver(struct trouble *trouble, int rc,
    struct request *request, struct torc_redis_reply **reply);

/*
 * Whether a command may be sent: 0, -EINVAL, -EMSGSIZE, or -EOPNOTSUPP if it
 * has one of the flags. Its bytes are added to `*total`.
 */
int torc_redis_check(struct trouble *trouble,
    const struct torc_redis_command *command, unsigned flags,
    uint64_t *total);

/* Words up to a NULL. */
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

/* What is special about a command, 0 mostly. */
unsigned torc_redis_command_flags(unsigned argc, const struct torc_slice *argv);

/* Its first key, or NULL. */
const struct torc_slice *torc_redis_command_key(unsigned argc,
    const struct torc_slice *argv);

/* The slot of a key, by its tag if it has one. */
unsigned torc_redis_key_slot(const void *key, size_t size);

/* ---- address.c ---- */

/*
 * Read config.address: `addresses`, and what else there is in a URI. 0,
 * -EINVAL and `error` says why, or -ENOMEM.
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

/* Parks. Be let in. 0, or an error that is explained. */
int torc_redis_greet(struct link *link, const struct login *login,
    torc_deadline deadline);

/*
 * Parks. Ask for something on a connection that is not open yet: 0, or an
 * error that is explained.
 */
int torc_redis_ask_early(struct link *link, struct request **request,
    torc_deadline deadline, unsigned argc, const char *const *argv);

/* ---- sentinel.c ---- */

/*
 * Parks. Have the master that the sentinel at `link->address` names: connect
 * to it, and see that it is one. 0, or an error that is explained.
 */
int torc_redis_sentinel_dial(struct link *link, torc_deadline deadline);

/* Parks. Listen to them no more. (After the reactor, nobody does.) */
void torc_redis_sentinel_leave(struct torc_redis *redis);

/* ---- dial.c ---- */

/* Of torc_pool: opens links for the opener `arg`. */
extern const struct torc_pool_kind torc_redis_link_kind;

/* Parks. Connect to `link->address`, at none of those in `dialled`, and be let
 * in. -EALREADY: it has no others. */
int torc_redis_dial(struct link *link, const struct login *login,
    struct torc_dialled *dialled, torc_deadline deadline);

/* As the program's configuration says. */
int torc_redis_dial_server(struct link *link, torc_deadline deadline);

/* The end of such a connection. */
void torc_redis_hang_up(struct link *link);

/* What an error is, in words: in `text`, if those of libc do not tell. */
const char *torc_redis_open_error(const struct link *link, int error,
    char text[80]);

/* Say why a connection cannot be opened; returns `error`. */
int torc_redis_fail_open(const struct link *link, int error, const char *format,
    ...) __attribute__((format(printf, 3, 4)));

/* ---- renew.c ---- */

/*
 * What an answer says of the server: whether it is the wrong one. Then the
 * links of its node are renewed, if that was not done just now.
 */
bool torc_redis_judge(
    struct link *link, const struct request *request, bool list);

/* Whether it is of an older generation than it should be. */
bool torc_redis_is_stale(const struct link *link);

/* Whether a link of a newer generation was opened, too. */
bool torc_redis_is_replaced(const struct link *link);

/* ---- link.c ---- */

/* Of the pipeline of a link. */
extern const struct torc_pipeline_kind torc_redis_link_replies;

/*
 * Parks. Send a batch over a link, and wait for the replies. *sent: something
 * may have reached the server; if not, it can be sent again. *request is NULL
 * after an error, unless a reply is over a limit: then it was read past, and
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

/* Whether it is worth sending to. */
bool torc_redis_link_alive(struct link *link);

void torc_redis_request_free(struct request *request);

/* ---- node.c ---- */

/* Parks. A link that nobody else has; its node is held. */
int torc_redis_node_rent(struct torc_redis *redis, int slot, struct link **link,
    torc_deadline deadline, struct trouble *trouble);

/* Parks. A link of an opener's pool; errors are explained. */
int torc_redis_opener_acquire(struct opener *opener, struct link **link,
    torc_deadline deadline, struct trouble *trouble);

int torc_redis_node_create(struct torc_redis *redis, const char *address,
    struct node **node, struct torc_error *error);
int torc_redis_node_destroy(struct node *node, torc_deadline deadline);

/*
 * Parks. A batch over one of its shared links, or over one of its own if it is
 * large. If nothing was sent, it is tried again over another one.
 */
int torc_redis_node_call(struct node *node, struct request **request,
    torc_deadline deadline, const struct batch *batch, bool *sent,
    struct trouble *trouble);

/* Its shared links take no new commands, and go when nobody uses them. */
void torc_redis_node_rest(struct node *node);

/* The same, and so do sessions: it is another server from now on. */
void torc_redis_node_switch(struct node *node);

/* ---- map.c ---- */

/* While it is held it is there, also when the cluster has no such node. */
void torc_redis_node_hold(struct node *node);
void torc_redis_node_drop(struct node *node);

/* Parks. Nodes that are gone and not held are freed. */
void torc_redis_cluster_reap(struct torc_redis *redis);

/*
 * The node at "host:port", IPv6 without brackets; without a host it is that of
 * `from`. NULL if it cannot be had.
 */
struct node *torc_redis_cluster_find(struct torc_redis *redis,
    const struct node *from, const char *host, size_t size, const char *port);

/* A slot has another node now; one that has no slots any more is forgotten. */
void torc_redis_cluster_move(struct torc_redis *redis, unsigned slot,
    struct node *node);

/* Parks. Have the map, or a newer one. One fiber asks for all. */
int torc_redis_cluster_map(struct torc_redis *redis, torc_deadline deadline);

/* Parks. The node that has a slot (any if negative), which is held. */
int torc_redis_cluster_node(struct torc_redis *redis, int slot,
    struct node **node, torc_deadline deadline, struct trouble *trouble);

/* ---- cluster.c ---- */

/* Parks. A batch of keys of a slot, wherever that is. */
int torc_redis_cluster_call(struct torc_redis *redis, struct request **request,
    torc_deadline deadline, struct batch *batch, struct trouble *trouble);

/*
 * Parks. A link that nobody else has, to the node of a slot (any if negative).
 * The node is held: give back the link first, and then drop it.
 */
int torc_redis_cluster_rent(struct torc_redis *redis, int slot,
    struct link **link, torc_deadline deadline, struct trouble *trouble);

/* What MOVED says, of a command that is not sent on. */
void torc_redis_cluster_learn(struct torc_redis *redis, const struct node *from,
    const struct torc_redis_reply *reply);

/* The slot of a batch, -1 if it has no keys; -EXDEV if there are several. */
int torc_redis_cluster_slot(const struct batch *batch, int *slot);

#endif
