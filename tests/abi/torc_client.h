/* SPDX-License-Identifier: MIT */
/*
 * torc_client.h - pools of connections, connections by name, and blocking work
 * on threads. The author of a client needs these beside torc.h. Its conventions
 * apply. A program that uses none of this pays nothing for it.
 */
#ifndef TORC_CLIENT_H
#define TORC_CLIENT_H

#include "torc.h"
#include "torc_protocol.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

#ifdef __cplusplus
extern "C" {
#endif

struct torc_pool;
struct torc_pool_kind;
struct torc_pool_config;
struct torc_pool_stats;
struct torc_pool_wish;

/*
 * The calls behind those that take or fill in a structure that grows: see
 * torc_runtime.h.
 */
TORC_API int torc_pool_create_sized(struct torc_pool **pool,
    const struct torc_pool_kind *kind, size_t kind_size, void *arg,
    const struct torc_pool_config *config, size_t config_size,
    struct torc_error *error);
TORC_API int torc_pool_acquire_for_sized(struct torc_pool *pool,
    const struct torc_pool_wish *wish, size_t wish_size, void **item,
    torc_deadline deadline);
TORC_API void torc_pool_stats_read_sized(const struct torc_pool *pool,
    struct torc_pool_stats *stats, size_t stats_size);

/* ---- Pools ---- */

/*
 * A pool keeps connections to one backend for the fibers of one reactor. It
 * calls them items, and only their kind knows what they are. Most are a
 * structure of the client's with a torc_conn in it.
 *
 * A pool gives up idle connections when descriptors run out (struct
 * torc_keeper).
 *
 * To let a handler find the pool of its reactor, keep the pool, or the
 * structure that has it, with torc_reactor_set_data() under a key of the
 * client.
 *
 * Failures. There are two kinds. A failure of open() shows that the backend
 * cannot be reached. The pool then pauses, and acquires fail, for every fiber.
 * A request that fails, or whose connection ends in the middle of it, has
 * failed alone. Its connection is released as not reusable, and no other fiber
 * notices. If a protocol begins with a greeting or a login, the kind awaits it
 * in open().
 *
 * Fairness. An acquire may name a key, which says whom it is for: an address or
 * a user. Keys that wait take turns. A key may hold at most three times as many
 * connections as are free. So one key alone may hold three quarters of a pool,
 * the share shrinks as more keys come, and a key that holds nothing finds a
 * free connection. When the queue is full, the key with the most fibers in it
 * loses the last of them. Acquires without a key form one queue, and have no
 * such share.
 */

/* What a pool must know about its connections. It grows. */
struct torc_pool_kind {
	const char *name;	/* for people to read */
	/*
	 * Parks. Open a connection that can be used at once: connected and
	 * authenticated. Returns 0, or a negative errno that acquires will
	 * return; then nothing must be left behind. Runs on a fiber of its own.
	 * Only this deadline ends it, and not that of an acquire. The fiber is
	 * cancelled if the pool is destroyed meanwhile.
	 */
	int (*open)(void **item, torc_deadline deadline, void *arg);
	/*
	 * Parks. Say goodbye if that is possible soon, then close and free the
	 * connection. Runs on a fiber of its own, or, if there is none left, on
	 * the one that destroys the pool. If the fiber is cancelled, the item
	 * must be closed and freed nonetheless.
	 */
	void (*close)(void *item, void *arg);
	/*
	 * Free the memory of an item, but do not touch its connection: the
	 * reactor is at its end and closes, or has closed, all that was open.
	 * May be NULL.
	 */
	void (*free)(void *item, void *arg);
	/*
	 * Return whether an idle connection can still be used; it is closed if
	 * not. Must not park. Most kinds use torc_conn_usable() here. NULL: an
	 * idle connection can always be used.
	 */
	bool (*usable)(void *item, void *arg);
};

/*
 * The limits and times of a pool. A field that is 0 has its default. A value
 * out of its range is refused with -EINVAL. It grows.
 */
struct torc_pool_config {
	unsigned size;		/* connections, including those being opened; 8;
				 * 1 to 4096 */
	unsigned waiters;	/* fibers that may wait; 1024; 1 to 1048576 */
	unsigned idle_ms;	/* an idle connection is closed after this time;
				 * 60000; TORC_NO_LIMIT: never */
	unsigned open_ms;	/* time to open a connection; 5000; 1 to
				 * TORC_NO_LIMIT */
	unsigned retry_min_ms;	/* pause after a failed open, doubled after each
				 * further one; 50; 1 to 60000 */
	unsigned retry_max_ms;	/* the longest pause; 500, or `retry_min_ms` if
				 * that is more; 1 to 60000 */
	unsigned lifetime_ms;	/* a connection is not used again after this
				 * time, or up to a tenth earlier; 0 or
				 * TORC_NO_LIMIT: no such limit */
	unsigned aside_max;	/* connections set aside at once: see
				 * torc_pool_set_aside(); none by default; to
				 * 65536 */
};

/*
 * Create a pool for the reactor of this thread. It opens no connection until
 * one is asked for. `kind` and `config` are copied, and `config` may be NULL.
 * `arg` and the name of the kind stay the caller's and must outlive the pool.
 * Returns 0, or: -EINVAL `error` names the field, its value and its bounds;
 * -ENOMEM; -ENOBUFS the reactor has 1024 pools.
 */
static inline int
torc_pool_create(struct torc_pool **pool, const struct torc_pool_kind *kind,
    void *arg, const struct torc_pool_config *config, struct torc_error *error)
{
	return torc_pool_create_sized(pool, kind, sizeof(*kind), arg, config,
	    sizeof(*config), error);
}

/*
 * Parks. Acquire a connection of a pool. This is the idle one that came back
 * last. If none is idle and there are fewer than `size`, a new one is opened.
 * Otherwise the fiber waits for one, behind the fibers that have waited longer.
 * `*item` is the caller's until torc_pool_release() or torc_pool_take().
 *
 * Returns 0, or: -ETIMEDOUT; -ECANCELED; -ENOBUFS `waiters` fibers wait
 * already, or this fiber was the last of its key in a full queue (see
 * Fairness); -ESHUTDOWN the reactor is at its end; the last error of open(), if
 * there is nothing to wait for. After an error `*item` is not set.
 *
 * While open() fails, the pool opens one connection at a time, after pauses
 * that grow from `retry_min_ms` to `retry_max_ms`. Each pause is shortened by
 * up to a half, at random. During a pause acquires fail at once, unless a
 * connection is in use that may come back.
 */
TORC_API int torc_pool_acquire(struct torc_pool *pool, void **item,
    torc_deadline deadline);

/*
 * A wish says how to acquire a connection. All zero means: as
 * torc_pool_acquire() does. It grows.
 */
struct torc_pool_wish {
	uint64_t key;		/* whom it is for; 0: no key */
	bool fresh;		/* open a new connection and leave idle ones
				 * alone. For a request whose connection turned
				 * out to have ended */
};

/*
 * Parks. Acquire a connection as a wish says. It works as torc_pool_acquire()
 * otherwise. `wish` may be NULL. A wish of a later version of torc that sets a
 * field unknown here fails with -EINVAL.
 */
static inline int
torc_pool_acquire_for(struct torc_pool *pool,
    const struct torc_pool_wish *wish, void **item, torc_deadline deadline)
{
	return torc_pool_acquire_for_sized(pool, wish, sizeof(*wish), item,
	    deadline);
}

/*
 * Give an acquired connection back to its pool. It is not the caller's any
 * more. It is `reusable` if nothing on it is unread, unsent or outstanding. If
 * it is not, it is closed on a fiber of its own, and another one may take its
 * place at once. A fiber that kept a connection for long may release it even
 * after the reactor has ended; torc_pool_destroy() then frees it.
 */
TORC_API void torc_pool_release(struct torc_pool *pool, void *item,
    bool reusable);

/*
 * Take an acquired connection out of its pool. The pool forgets it, and the
 * caller closes it. Another connection may take its place. This is for a
 * connection that will be used for something else, and for long.
 */
TORC_API void torc_pool_take(struct torc_pool *pool, void *item);

/*
 * Set an acquired connection aside, or take it back. Do this while its user
 * waits for something other than the backend, for example for a slow client. A
 * connection that is set aside counts neither towards `size` nor towards the
 * share of its key, so no other fiber has to wait for it. One that is taken
 * back counts again at once. Returns 0, or -ENOBUFS if `aside_max` connections
 * are set aside already.
 */
TORC_API int torc_pool_set_aside(struct torc_pool *pool, void *item,
    bool aside);

/*
 * Parks. Destroy a pool: close idle connections and end those being opened. No
 * connection may be in use, and no fiber may wait. The call must be made on a
 * fiber of the pool's reactor. It waits until all is closed, even if the fiber
 * is cancelled. At the deadline the fibers that close or open are cancelled, so
 * none of them waits for a peer any more. Returns 0 or -ETIMEDOUT, and the pool
 * is gone in either case.
 *
 * The call may also be made after the reactor has ended and before it is
 * destroyed, for example in the `stop` of torc_serve(). Then it only frees
 * memory. If the reactor lost its ring, it frees nothing. NULL does nothing.
 */
TORC_API int torc_pool_destroy(struct torc_pool *pool,
    torc_deadline deadline);

/* Statistics of a pool: what it has now and what it has done. It grows. */
struct torc_pool_stats {
	/* Now. */
	unsigned idle;
	unsigned rented;	/* in use, including those set aside */
	unsigned opening;
	unsigned closing;
	unsigned waiting;	/* fibers that wait */
	unsigned aside;
	/* Since the pool was created. */
	uint64_t opens;		/* opens that succeeded */
	uint64_t failures;	/* opens that failed */
	uint64_t acquires;	/* acquires that succeeded */
	uint64_t refusals;	/* acquires that failed */
	int last_error;		/* error of the last open(); 0 if it worked */
};

/* Read the statistics of a pool. The reactor's thread. */
static inline void
torc_pool_stats_read(const struct torc_pool *pool,
    struct torc_pool_stats *stats)
{
	torc_pool_stats_read_sized(pool, stats, sizeof(*stats));
}

/* ---- Blocking work ---- */

/*
 * Parks. Run call(arg) on another thread, where it may block. Returns the
 * result of call(arg), or: -ETIMEDOUT or -ECANCELED the wait for a thread has
 * ended; -EAGAIN no thread could be created. After an error of these, `call`
 * has not run and will not run. If `call` can return the same errors, let it
 * tell by `arg` that it has run.
 *
 * `call` may use nothing of torc that does not say "Any thread." Once it has
 * begun, torc_offload() waits for it whatever happens, because `arg` belongs to
 * the caller. A drain waits for it, too.
 *
 * Threads. The threads belong to the process. They are created when they are
 * needed, up to the number set by torc_offload_threads(). They block all
 * signals, and take calls in the order in which these come. A thread ends when
 * it has had nothing to do for ten seconds, or with the process. After fork(2)
 * the child has none of them, and creates its own when it offloads on a reactor
 * of its own.
 */
TORC_API int torc_offload(int (*call)(void *arg), void *arg,
    torc_deadline deadline);

/*
 * Set the maximum number of threads for torc_offload(): 1 to 1024, at first 8.
 * Threads beyond it end when they are idle. Any thread.
 */
TORC_API void torc_offload_threads(unsigned most);

/*
 * Set the maximum number of threads for lookups of torc_dial_name(). It is 1 to
 * 1024, at first 256, and these come in addition to those of torc_offload().
 * Any thread.
 */
TORC_API void torc_lookup_threads(unsigned most);

/* ---- Connections by name ---- */

/*
 * Parks. Connect to a server by its name. `address` is "host:port", where the
 * host is a name and the port a number. An address that torc_dial() reads is
 * accepted, too, and is not looked up.
 *
 * Lookups. getaddrinfo(3) resolves the name on a thread (see
 * torc_lookup_threads()). If it hangs, this call still returns at the deadline.
 * Dials of one name share a lookup that is under way. Names that end in the
 * same two labels use at most half of the threads. The last eighth of the
 * threads is kept for names whose last two labels no other lookup has. So a
 * name server that does not answer delays only the names that it serves.
 *
 * Attempts. The addresses are tried in the order of RFC 8305, where address
 * families take turns. The next attempt begins when the last one has failed, or
 * 250 ms after it began. The first attempt that connects is used, and the
 * others are given up.
 *
 * Returns 0, or: -EINVAL `address` cannot be parsed; -ENOENT there is no such
 * name; -EAGAIN the lookup failed for now; -EIO the lookup failed for good;
 * -ETIMEDOUT; -ECANCELED; -ENOMEM; another error of torc_dial(), and if all
 * attempts failed, that of the last one. After an error there is no connection,
 * and `*conn` must not be used.
 */
TORC_API int torc_dial_name(struct torc_conn **conn, const char *address,
    torc_deadline deadline);

/*
 * Returns a kind for torc_pool_create() whose items are plain connections
 * (struct torc_conn). The `arg` of the pool is the address, which is read as by
 * torc_dial_name().
 */
TORC_API const struct torc_pool_kind *torc_conn_pool_kind(void);

/* The addresses of a name that were dialled. All zero at first. Frozen. */
struct torc_dialled {
	unsigned count;		/* how many `peers` there are */
	unsigned left;		/* how many more addresses can be tried */
	char peers[16][72];	/* as torc_conn_peer_address() writes them */
};

/*
 * Parks. Connect to an address of a name that was not dialled yet. It works as
 * torc_dial_name(), but skips the addresses in `dialled` and adds the one that
 * it connects to. Use it when a server answers but is not the right one, and
 * other servers have the same name. Returns as torc_dial_name(), or: -EALREADY
 * there are no other addresses, or 16 were dialled.
 */
TORC_API int torc_dial_next(struct torc_conn **conn, const char *address,
    struct torc_dialled *dialled, torc_deadline deadline);

#ifdef __cplusplus
}
#endif

#pragma GCC diagnostic pop

#endif
