/* SPDX-License-Identifier: MIT */
/*
 * torc_client.h - what the author of a client needs beside torc.h: a pool of
 * connections, blocking work, connections by name. The conventions of torc.h
 * hold. A program that uses none of it does not pay for it.
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
 * A pool keeps connections to one backend for the fibers of one reactor. What
 * it keeps are items that only their kind knows: mostly a structure of the
 * client's with a torc_conn in it.
 *
 * Idle connections leave when descriptors have run out (struct torc_keeper).
 *
 * torc_reactor_set_data() with a key of the client's is the place for a pool
 * (or for what has one), so that a handler finds "this reactor's".
 *
 * Two kinds of failure. That open() fails shows that the backend cannot be
 * reached: the pool pauses, and acquires fail, for all. That a request fails,
 * or its connection ends in the middle of it, is the error of that request:
 * the connection is released as not reusable, and nobody else notices. A kind
 * whose protocol begins with a greeting or a login awaits it in open().
 *
 * Fairness. An acquire may name a key, for whom it is: an address, a user.
 * Keys that wait take turns. One key may hold at most three times what is
 * free, so that three quarters of a pool are the most for one, the share
 * shrinks as there are more of them, and those that hold nothing find
 * something free. When the queue is full, the key that has most fibers in it
 * loses its last one. Acquires without a key are one line, without a share.
 */

/* What a pool must know of its connections. It grows. */
struct torc_pool_kind {
	const char *name;	/* for people */
	/*
	 * Parks. Make a connection that can be used at once: connected,
	 * authenticated. 0, or a negative errno that acquires will return;
	 * then nothing is left behind. Runs on a fiber of its own, which
	 * nobody's deadline ends but this one.
	 */
	int (*open)(void **item, torc_deadline deadline, void *arg);
	/*
	 * Parks. Say goodbye if that is possible soon, close, free. Runs on a
	 * fiber of its own; when that is cancelled, the item still goes.
	 */
	void (*close)(void *item, void *arg);
	/*
	 * The reactor is at its end, and closes or has closed what was open on
	 * it: free memory, touch no connection. May be NULL.
	 */
	void (*free)(void *item, void *arg);
	/*
	 * Whether an idle one can be used; it is closed if not. Does not park.
	 * Mostly torc_conn_usable(). NULL: all can.
	 */
	bool (*usable)(void *item, void *arg);
};

/*
 * The bounds and times of a pool. 0 has the default; a value out of its range
 * is refused with -EINVAL. It grows.
 */
struct torc_pool_config {
	unsigned size;		/* connections, with those being opened; 8; 1
				 * to 4096 */
	unsigned waiters;	/* fibers in the queue; 1024; 1 to 1048576 */
	unsigned idle_ms;	/* unused for so long: closed; 60000;
				 * TORC_NO_LIMIT: never */
	unsigned open_ms;	/* to open one; 5000; 1 to TORC_NO_LIMIT */
	unsigned retry_min_ms;	/* after a failed open; doubled each time;
				 * 50; 1 to 60000 */
	unsigned retry_max_ms;	/* the longest pause; 500, or `retry_min_ms` if
				 * that is more; 1 to 60000 */
	unsigned lifetime_ms;	/* after which, or up to a tenth earlier, one
				 * is not used again; 0 or TORC_NO_LIMIT:
				 * no such limit */
	unsigned aside_max;	/* set aside at once: see torc_pool_set_aside();
				 * none by default; to 65536 */
};

/*
 * Create a pool for the reactor of this thread. It opens nothing before it is
 * asked. `kind` and `config`, which may be NULL, are copied; `arg` and the name
 * of the kind are the caller's and outlive the pool. Returns 0, or: -EINVAL,
 * and `error` names the field, its value and its bounds; -ENOMEM; -ENOBUFS the
 * reactor has 1024 pools.
 */
static inline int
torc_pool_create(struct torc_pool **pool, const struct torc_pool_kind *kind,
    void *arg, const struct torc_pool_config *config, struct torc_error *error)
{
	return torc_pool_create_sized(pool, kind, sizeof(*kind), arg, config,
	    sizeof(*config), error);
}

/*
 * Parks. Rent a connection: the one that came back last, or a new one while
 * there are fewer than `size`, or the first that comes back or is opened
 * after all those that wait longer have theirs. `*item` is the caller's until
 * torc_pool_release().
 *
 * Returns 0, or a negative errno and `*item` is not set: -ETIMEDOUT,
 * -ECANCELED; -ENOBUFS: `waiters` fibers wait already; -ESHUTDOWN: the reactor
 * is at its end; or what open() said last, when it has failed and there is
 * nothing to wait for. While open() fails, one is opened at a time, after
 * pauses that grow from `retry_min_ms` to `retry_max_ms` (each is shortened by
 * up to a half, at random); within a pause acquires fail at once, unless one
 * is rented that may come back.
 */
TORC_API int torc_pool_acquire(struct torc_pool *pool, void **item,
    torc_deadline deadline);

/* A wish says how to rent. All zero: as torc_pool_acquire(). It grows. */
struct torc_pool_wish {
	uint64_t key;		/* whom it is for; 0: no one in particular */
	bool fresh;		/* one that was not rented before: it is opened
				 * for this, and idle ones stay. For a request
				 * whose connection had ended meanwhile */
};

/*
 * Parks. Rent a connection in a certain way, and otherwise as
 * torc_pool_acquire(). `wish` may be NULL.
 */
static inline int
torc_pool_acquire_for(struct torc_pool *pool,
    const struct torc_pool_wish *wish, void **item, torc_deadline deadline)
{
	return torc_pool_acquire_for_sized(pool, wish, sizeof(*wish), item,
	    deadline);
}

/*
 * Give a rented connection back; it is not the caller's any more. `reusable`:
 * nothing is unread, unsent or outstanding on it. If not, it is closed on a
 * fiber of its own, and another one may take its place at once. Also after the
 * reactor has ended, by a fiber that kept it for long: torc_pool_destroy()
 * frees it then.
 */
TORC_API void torc_pool_release(struct torc_pool *pool, void *item,
    bool reusable);

/*
 * Take a rented connection out of the pool, which forgets it: it is the
 * caller's to close, and another one may take its place. For what is used for
 * something else from now on, and for long.
 */
TORC_API void torc_pool_take(struct torc_pool *pool, void *item);

/*
 * Set a rented connection aside, or no more: its user waits for somebody else
 * than the backend, such as a client that is slow. While it is set
 * aside, it does not count towards `size`, nor towards the share of its key,
 * and keeps no one else waiting. Returns 0, or -ENOBUFS: `aside_max` are set
 * aside already. One that is not set aside any more counts again, at once.
 */
TORC_API int torc_pool_set_aside(struct torc_pool *pool, void *item,
    bool aside);

/*
 * Parks. Destroy a pool: close what is idle, end what is being opened. Nothing
 * is rented and no fiber waits. On a fiber of its reactor, until all is closed,
 * also if the fiber is cancelled. At the deadline those that close or open are
 * cancelled, and nobody waits for a peer any more. Returns 0, or -ETIMEDOUT,
 * and the pool is gone in either case.
 *
 * Or after the reactor has ended and before it is destroyed, such as in the
 * `stop` of torc_serve: only memory is freed then. (Of a reactor whose ring was
 * lost nothing is freed.) NULL does nothing.
 */
TORC_API int torc_pool_destroy(struct torc_pool *pool,
    torc_deadline deadline);

/* What a pool has now, and what it has done. It grows. */
struct torc_pool_stats {
	/* Now. */
	unsigned idle;
	unsigned rented;	/* with those set aside */
	unsigned opening;
	unsigned closing;
	unsigned waiting;	/* fibers */
	unsigned aside;
	/* Since it was created. */
	uint64_t opens;		/* that succeeded */
	uint64_t failures;	/* opens that failed */
	uint64_t acquires;	/* that succeeded */
	uint64_t refusals;	/* acquires that failed */
	int last_error;		/* of open(); 0 after one that succeeded */
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
 * Parks. Run call(arg) on a thread where it may block, and return what it
 * returns. The threads belong to the process; they are made when they are
 * needed, at most as many as torc_offload_threads() said, block all signals,
 * and end when they had nothing to do for ten seconds (or with the process).
 * They take what comes in order. `call` uses nothing of torc that does not say
 * "Any thread."
 *
 * The deadline and a cancel end the wait for a thread: -ETIMEDOUT or
 * -ECANCELED, and `call` did not and will not run. Work that has begun is
 * waited for, whatever happens, since `arg` is the caller's: a drain waits for
 * it, too. -EAGAIN: no thread could be made.
 *
 * After fork(2), the child has no such threads, and makes its own if it
 * offloads on a reactor of its own.
 */
TORC_API int torc_offload(int (*call)(void *arg), void *arg,
    torc_deadline deadline);

/*
 * Set how many threads there may be for torc_offload(), 1 to 1024; 8 at first.
 * Those that are too many end when they are idle. Any thread.
 */
TORC_API void torc_offload_threads(unsigned most);

/*
 * Set how many more threads there may be for lookups of torc_dial_name(), 1 to
 * 1024; 256 at first. Any thread.
 */
TORC_API void torc_lookup_threads(unsigned most);

/* ---- Connections by name ---- */

/*
 * Parks. Connect to a server by its name. `address` is "host:port", where the
 * host is a name and the port a number, or what torc_dial() reads, which is not
 * looked up.
 *
 * getaddrinfo(3) resolves the name on a thread (see torc_lookup_threads()). If
 * it hangs, this call still returns at the deadline. Dials of one name share a
 * lookup that is under way. Names that end in the same two labels use at most
 * half of the threads, and the last eighth of the threads is kept for names
 * whose last two labels no other lookup has. So a name server that does not
 * answer delays only the names that it serves.
 *
 * The addresses are tried in the order of RFC 8305. Families take turns. The
 * next attempt begins when the last one has failed, or 250 ms after it began.
 * The first attempt that connects is used, and the others are given up.
 *
 * Returns 0, or: -EINVAL it is no address; -ENOENT there is no such name;
 * -EAGAIN whether there is one could not be found out now; -EIO that cannot be
 * found out at all; -ETIMEDOUT; -ECANCELED; the error of the attempt that
 * failed last.
 */
TORC_API int torc_dial_name(struct torc_conn **conn, const char *address,
    torc_deadline deadline);

/*
 * Returns a kind for torc_pool_create() whose items are connections: struct
 * torc_conn. The argument of the pool is the address, as torc_dial_name() reads
 * it.
 */
TORC_API const struct torc_pool_kind *torc_conn_pool_kind(void);

/* The addresses of a name that were dialled. All zero at first. Frozen. */
struct torc_dialled {
	unsigned count;		/* of `peers` */
	unsigned left;		/* others that can be tried next */
	char peers[16][72];	/* as torc_conn_peer_address() has them */
};

/*
 * Parks. Connect to the next address of a name: as torc_dial_name(), but to
 * none of the addresses in `dialled`, which has the one that is connected from
 * then on: for a server that answers, but is not the one that was looked for,
 * while others have the same name. Also -EALREADY: there are no others.
 */
TORC_API int torc_dial_next(struct torc_conn **conn, const char *address,
    struct torc_dialled *dialled, torc_deadline deadline);

#ifdef __cplusplus
}
#endif

#pragma GCC diagnostic pop

#endif
