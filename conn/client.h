/*
 * client.h - what the author of a client needs beside torc.h: a pool of
 * connections, blocking work, connections by name. The conventions of torc.h
 * hold. A program that uses none of it does not pay for it.
 */
#ifndef TORC_CLIENT_H
#define TORC_CLIENT_H

#include "conn/torc.h"

#ifdef __cplusplus
extern "C" {
#endif

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
struct torc_pool;

struct torc_pool_kind {
	const char *name;	/* for people */
	/*
	 * Parks. Make a connection that can be used at once: connected,
	 * authenticated. 0, or a negative errno that acquires will return;
	 * then nothing is left behind. Runs on a fiber of its own, which
	 * nobody's deadline ends but this one.
	 */
	int (*open)(void *arg, void **item, torc_deadline deadline);
	/*
	 * Parks. Say goodbye if that is possible soon, close, free. Runs on a
	 * fiber of its own; when that is cancelled, the item still goes.
	 */
	void (*close)(void *arg, void *item);
	/*
	 * The reactor is at its end, and closes or has closed what was open on
	 * it: free memory, touch no connection. May be NULL.
	 */
	void (*free)(void *arg, void *item);
	/*
	 * Whether an idle one can be used; it is closed if not. Does not park.
	 * Mostly torc_conn_usable(). NULL: all can.
	 */
	bool (*usable)(void *arg, void *item);
};

/* 0 has the default; a value out of its range is refused with -EINVAL. */
struct torc_pool_config {
	unsigned size;		/* open or being opened; 8; 1 to 4096 */
	unsigned waiters;	/* fibers in the queue; 1024; 1 to 1048576 */
	unsigned idle_ms;	/* unused for so long: closed; 60000;
				 * TORC_NO_LIMIT: never */
	unsigned open_ms;	/* to open one; 5000; 1 to TORC_NO_LIMIT */
	unsigned retry_min_ms;	/* after a failed open; doubled each time;
				 * 50; 1 to 60000 */
	unsigned retry_max_ms;	/* and at most this; 500, or retry_min_ms if
				 * that is more; 1 to 60000 */
	unsigned lifetime_ms;	/* after which, or up to a tenth earlier, one
				 * is not used again; 0 or TORC_NO_LIMIT:
				 * no such limit */
	unsigned aside_max;	/* see torc_pool_set_aside(); 0: none; to
				 * 65536 */
};

/*
 * Create a pool for the reactor of this thread. It opens nothing before it is
 * asked. `kind` and `arg` are the caller's and outlive it; `config` is copied
 * and may be NULL. 0; -EINVAL, and `text` (may be NULL) names the field, its
 * value and its bounds; -ENOMEM; -ENOBUFS: the reactor has 1024 pools.
 */
TORC_API int torc_pool_create(struct torc_pool **pool,
    const struct torc_pool_kind *kind, void *arg,
    const struct torc_pool_config *config, char *text, size_t text_size);

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

/* How to rent. All zero: as torc_pool_acquire(). */
struct torc_pool_wish {
	uint64_t key;		/* whom it is for; 0: no one in particular */
	bool fresh;		/* one that was not rented before: it is opened
				 * for this, and idle ones stay. For a request
				 * whose connection had ended meanwhile */
};

/* Parks. The same, in a certain way; `wish` may be NULL. */
TORC_API int torc_pool_acquire_for(struct torc_pool *pool,
    const struct torc_pool_wish *wish, void **item, torc_deadline deadline);

/*
 * A key for the peer of a connection: its IPv4 address, or the first 64 bits
 * of its IPv6 address, which one subscriber has. 0 for a unix socket, or if
 * the peer has gone. A system call.
 */
TORC_API uint64_t torc_conn_key(const struct torc_conn *conn);

/*
 * Give a rented one back; it is not the caller's any more. `reusable`: nothing
 * is unread, unsent or outstanding on it. If not, it is closed on a fiber of
 * its own, and another one may take its place at once. Also after the reactor
 * has ended, by a fiber that kept it for long: torc_pool_destroy() frees it
 * then.
 */
TORC_API void torc_pool_release(struct torc_pool *pool, void *item,
    bool reusable);

/*
 * Take a rented one out of the pool, which forgets it: it is the caller's to
 * close, and another one may take its place. For what is used for something
 * else from now on, and for long.
 */
TORC_API void torc_pool_take(struct torc_pool *pool, void *item);

/*
 * The user of a rented one waits for somebody else than the backend, such as
 * a client that is slow (`aside`), or does not any more. While it is set
 * aside, it does not count towards `size`, nor towards the share of its key,
 * and keeps no one else waiting. Returns 0, or -ENOBUFS: `aside_max` are set
 * aside already. One that is not set aside any more counts again, at once.
 */
TORC_API int torc_pool_set_aside(struct torc_pool *pool, void *item,
    bool aside);

/*
 * Parks. Close what is idle, end what is being opened, free the pool. Nothing
 * is rented and no fiber waits. On a fiber of its reactor, until all is closed,
 * also if the fiber is cancelled. At the deadline those that close or open are
 * cancelled, and nobody waits for a peer any more: 0, or -ETIMEDOUT, and the
 * pool is gone in either case.
 *
 * Or after the reactor has ended and before it is destroyed, such as in the
 * `stop` of torc_serve: only memory is freed then. (Of a reactor whose ring was
 * lost nothing is freed.) NULL does nothing.
 */
TORC_API int torc_pool_destroy(struct torc_pool *pool,
    torc_deadline deadline);

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

/* The reactor's thread. */
TORC_API void torc_pool_stats(const struct torc_pool *pool,
    struct torc_pool_stats *stats);

/*
 * Whether a connection is as good as new: no end of it and no error was seen,
 * nothing received is unread, nothing written is unsent. (An end that is on
 * its way is not seen yet, so the first request on an idle connection may
 * still fail.)
 */
TORC_API bool torc_conn_usable(struct torc_conn *conn);

/*
 * Let the next torc_conn_recv() show the view again, at once, without its first
 * `size` bytes. They are done with only then, and readable until then. So a
 * module that reads a message hands on what came behind it. Consuming anything
 * before that takes this back.
 */
TORC_API void torc_conn_rewind(struct torc_conn *conn, size_t size);

/*
 * Say whether a connection is in the middle of a request, although its handler
 * waits for input and all that came was consumed: as it may be in a body. One
 * that is not may be closed when new ones need its place. At first it is not.
 */
TORC_API void torc_conn_set_busy(struct torc_conn *conn, bool busy);

/*
 * Memory that goes with the connection: `size` bytes, all zero, which are
 * freed by torc_conn_forget(), and with the connection. They count as input
 * that it holds (`held_total`). NULL: no memory. For one module at a time.
 */
TORC_API void *torc_conn_memory(struct torc_conn *conn, size_t size);
TORC_API void torc_conn_forget(struct torc_conn *conn);

/*
 * Bytes that one torc_conn_write() takes now without parking. Who writes more
 * while requests of other fibers are staged flushes first: a flush that does
 * not end in time harms nobody, but a write takes with it what is staged.
 */
TORC_API size_t torc_conn_room(const struct torc_conn *conn);

/*
 * Parks. Send what was written, and lend the socket for writing by other calls
 * than torc's: its descriptor, or the error that torc_conn_write() would have
 * returned. It is a blocking one and stays so. Until torc_conn_give_back(),
 * writing to the connection in any other way stops the process, and it must
 * not be closed; reading goes on.
 */
TORC_API int torc_conn_lend(struct torc_conn *conn, torc_deadline deadline);

/*
 * The lent socket is not written to any more. `error`: 0, or a negative errno
 * if a part of a message may be missing: the connection cannot be written to
 * after it, and says so with this error.
 */
TORC_API void torc_conn_give_back(struct torc_conn *conn, int error);

/* ---- Patience ---- */

/*
 * How long one waits for a peer: a clock that runs only while it is waited for,
 * and goes back as the peer moves bytes, each by the time that it may take at
 * the least rate. So a peer that stands still has so many milliseconds, one
 * that is steady has as long as it needs, and one that drips does not.
 */
struct torc_pace {
	uint64_t most_ns;	/* UINT64_MAX: no limit */
	uint64_t left_ns;
	uint32_t rate;		/* bytes a second; 0: any byte is enough */
};

/* Begin with all of the time. `ms`, `rate`: TORC_NO_LIMIT for none. */
TORC_API void torc_pace_begin(struct torc_pace *pace, unsigned ms,
    unsigned rate);
/* The earlier of a deadline, and the end of the patience from now on. */
TORC_API torc_deadline torc_pace_until(const struct torc_pace *pace,
    torc_deadline deadline);
/* It was waited since `since`, and so many bytes were moved. */
TORC_API void torc_pace_note(struct torc_pace *pace, uint64_t since,
    uint64_t bytes);

/*
 * From now on, torc_conn_write(), flush and the like wait for the peer as a
 * pace says, and at most until their deadline: -ETIMEDOUT. Bytes count when the
 * kernel has taken them, of a write of any size. 0 ms: no pace, as at first.
 */
TORC_API void torc_conn_set_pace(struct torc_conn *conn, unsigned ms,
    unsigned rate);

/*
 * A number that is another one when the peer has taken bytes since: to tell one
 * that is slow from one that stands still. A system call.
 */
TORC_API uint64_t torc_conn_progress(const struct torc_conn *conn);

/* Of one loan of a socket. */
struct torc_progress {
	uint64_t sent;		/* bytes, which the borrower adds up */
	uint64_t taken;		/* torc's: of them, by the peer */
};

/*
 * Parks. Wait until a socket that is lent may take bytes again, as the pace of
 * its connection says, and at most until the deadline. 0: try it, which may
 * be too early; -ETIMEDOUT; -ECANCELED; the errors of torc_fd_poll().
 */
TORC_API int torc_conn_await_room(struct torc_conn *conn,
    struct torc_progress *progress, torc_deadline deadline);

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
 * How many threads there may be, 1 to 1024; 8 at first. Those that are too
 * many end when they are idle. Any thread.
 */
TORC_API void torc_offload_threads(unsigned most);

/*
 * How many more threads there may be for lookups of torc_dial_name(), 1 to
 * 1024; 256 at first. Any thread.
 */
TORC_API void torc_lookup_threads(unsigned most);

/* ---- Connections by name ---- */

/*
 * Parks. As torc_dial(), for "host:port" too, where the host is a name and
 * the port a number; what torc_dial() reads is not looked up. The name is
 * resolved by getaddrinfo(3) on a thread (see torc_lookup_threads()); one that
 * hangs is left behind at the deadline. Dials of one name share a lookup that
 * is under way. Names that end in the same two labels take at most half of the
 * threads, and the last eighth is for those of which none is looked up: so a
 * name server that does not answer delays no names but its own. The
 * addresses are tried in the order of RFC 8305: families take turns, the next
 * attempt begins 250 ms after the last one or when that has failed, the first
 * that connects is taken and the others are given up.
 *
 * 0, or a negative errno: -EINVAL for what is no address, -ENOENT if there is
 * no such name, -EAGAIN if that could not be found out now, -EIO if never,
 * -ETIMEDOUT, -ECANCELED, or that of the attempt which failed last.
 */
TORC_API int torc_dial_name(struct torc_conn **conn, const char *address,
    torc_deadline deadline);

/* Those of its addresses that a name was dialled at. All zero at first. */
struct torc_dialled {
	unsigned count;
	unsigned left;		/* others that can be tried next */
	char peers[16][72];	/* as torc_conn_peer_address() has them */
};

/*
 * Parks. As torc_dial_name(), but to none of the addresses in `dialled`, which
 * has the one that is connected from then on: for a server that answers, but
 * is not the one that was looked for, while others have the same name. Also
 * -EALREADY: there are no others.
 */
TORC_API int torc_dial_next(struct torc_conn **conn, const char *address,
    struct torc_dialled *dialled, torc_deadline deadline);

#ifdef __cplusplus
}
#endif

#endif
