/* SPDX-License-Identifier: MIT */
/*
 * shared.h - a set of shared connections to one server.
 *
 * A shared connection carries the requests of many fibers at once: it is a
 * pipeline (torc_pipeline.h) with users. A set has at most `places` of them,
 * which it rents from a pool. The client that owns the set keeps the protocol,
 * and says in a torc_shared_kind what the set cannot know.
 *
 * A fiber joins the set, and is its user until it leaves:
 *
 *   join   returns the best connection. Of those that are usable and have room
 *          for a request, one that is not outdated is better; then one that is
 *          not quiet; then the one with fewer users; then with fewer requests.
 *          Requests that were given up count last.
 *   leave  ends the use. A connection that is lost takes no more requests.
 *   retire takes a connection out of the set. Its users go on, and the last
 *          one that leaves closes it.
 *   rest   retires all.
 *   end    retires all, and ends the fiber that opens.
 *
 * One more connection is opened when even the best one has something to do, or
 * is outdated. There is one way to do so, for every client: a fiber of the set
 * rents from the pool, and bounds that by twice open_ms. If the fiber that asks
 * rented with its own deadline instead, one in a hurry would decide for all
 * that wait: each of them would have to find out whose time was up, and to
 * begin again. Now the deadline of a caller ends the wait of that caller only;
 * the error of an attempt is told to all that waited for it, and nobody pays
 * for another. The price is a fiber for each opening.
 *
 * Meanwhile fibers use what there is. They wait for the new connection only if
 * there is none to use, or if the best one is quiet; when the attempt fails,
 * they use a quiet one rather than none. After a failure no other attempt
 * begins for `pause_ns`, unless no connection can be used.
 *
 * A connection is quiet when requests wait for replies and for 50 ms none came.
 * One clock says so, `quiet_since`: torc_shared_begin() sets it when a request
 * is alone, and the codec at what it counts as a sign of life.
 *
 * How long a connection stays rented is the client's choice. If it `keeps` its
 * connections, they stay until they are retired. If not, they go back to the
 * pool whenever they have no users and no requests: the pool then applies its
 * limits of idle time and of age.
 *
 * States of a connection:
 *
 *             set    retired  in places
 *   outside   NULL   -        no         a session's, or the pool's
 *   in        set    false    yes
 *   leaving   set    true     no         until its last user leaves
 */
#ifndef TORC_KIT_SHARED_H
#define TORC_KIT_SHARED_H

#include "conn/kit/torc_client.h"
#include "conn/kit/torc_pipeline.h"
#include "sys/trap.h"

struct torc_shared_set;

/* A connection of a pool has one of these, also if it never is in a set. */
struct torc_shared {
	struct torc_shared_set *set;
	void *item;		/* the pool's: the connection as a whole */
	struct torc_pipeline pipeline;
	unsigned users;		/* fibers between join and leave */
	bool retired;		/* takes no more requests */
	uint64_t quiet_since;	/* nothing came, while something could */
};

struct torc_shared_kind {
	/* The shared part of what the pool has opened, with its pipeline. */
	struct torc_shared *(*enter)(void *item);
	/* Whether it may get requests. If not, it is retired. NULL: until its
	 * pipeline breaks. */
	bool (*usable)(struct torc_shared *shared);
	/* Whether it serves only until a better one is open. NULL: none is. */
	bool (*outdated)(const struct torc_shared *shared);
	/* It is about to be closed, and may have requests. May be NULL. */
	void (*abandon)(struct torc_shared *shared);
	bool keeps;		/* connections that have nothing to do */
	unsigned looks;		/* connections to compare; 0: all */
	unsigned burst;		/* requests of one turn that go to one
				 * connection, to be sent together; or 0 */
};

struct torc_shared_config {
	unsigned places;
	unsigned waiters;	/* fibers that may wait for an opening */
	unsigned requests;	/* for each connection; 0: no limit */
	unsigned open_ms;	/* of the pool, or TORC_NO_LIMIT */
};

struct torc_shared_set {
	const struct torc_shared_kind *kind;
	struct torc_pool *pool;
	struct torc_shared_config config;
	struct torc_shared **members;	/* in its places: the first `count` */
	unsigned count;
	unsigned turn;		/* the member that was looked at last */
	unsigned users;		/* of all, with those that are leaving */
	uint64_t retired;	/* members, since it began */
	/* The last choice, or NULL; when; for how many requests. */
	struct torc_shared *picked;
	uint64_t picked_at;
	unsigned picks;
	/* Opening. The owner may write the first two. */
	uint64_t open_at;	/* no attempt before, if others serve */
	uint64_t pause_ns;	/* after an attempt that has failed */
	bool opening;
	uint64_t opener;	/* the fiber that opens, or has; or 0 */
	unsigned waiting;
	struct torc_waiters waiters;	/* for the end of an opening */
};

/* Begin a set. `kind` and `pool` must outlive it. Returns 0 or -ENOMEM. */
TORC_BESIDE int torc_shared_set_init(struct torc_shared_set *set,
    const struct torc_shared_kind *kind, struct torc_pool *pool,
    const struct torc_shared_config *config);

/* Parks, for about a turn, if an opening goes on. Nobody may be waiting or join
 * any more. Also of a set that is all zeros. */
TORC_BESIDE void torc_shared_set_end(struct torc_shared_set *set);

/* Retire all. */
TORC_BESIDE void torc_shared_set_rest(struct torc_shared_set *set);

/* Whether fibers use it, or wait for an opening. */
TORC_BESIDE bool torc_shared_set_is_used(
    const struct torc_shared_set *set);

/*
 * Parks. Use the best connection until torc_shared_leave(). Returns 0, or:
 * -EBUSY all have as many requests as they may have; -ENOBUFS too many fibers
 * wait already; -ETIMEDOUT, -ECANCELED; -ESHUTDOWN; what opening has failed
 * with.
 */
TORC_BESIDE int torc_shared_join(struct torc_shared_set *set,
    struct torc_shared **shared, torc_deadline deadline);
TORC_BESIDE void torc_shared_leave(struct torc_shared *shared);

/* It takes no more requests. Without users, it is closed at once; one that is
 * in no set is only marked. */
TORC_BESIDE void torc_shared_retire(struct torc_shared *shared);

/* Parks. As torc_pipeline_begin(), and sets the clock. */
TORC_BESIDE int torc_shared_begin(struct torc_shared *shared,
    struct torc_request *request, torc_deadline deadline);

/* Requests wait there, and for 50 ms nothing came. */
TORC_BESIDE bool torc_shared_is_quiet(const struct torc_shared *shared);

#endif
