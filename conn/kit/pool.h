/* SPDX-License-Identifier: MIT */
/*
 * pool.h - a pool from inside: what it keeps (pool.c), who has it next
 * (pool_rent.c, pool_queue.c), and its own life (pool_life.c).
 */
#ifndef TORC_KIT_POOL_H
#define TORC_KIT_POOL_H

#include "conn/kit/torc_client.h"
#include "reactor/fiber.h"
#include "reactor/list.h"

/*
 * What is pooled lies in an entry of a table.
 *
 *   OPENING  a fiber of the pool's own opens it
 *   IDLE     in the stack of idle ones, the newest on top
 *   RENTED   a renter's
 *   LEAVING  a fiber of the pool's own closes it, or will
 */
enum torc_pool_state {
	TORC_POOL_FREE,
	TORC_POOL_OPENING,
	TORC_POOL_IDLE,
	TORC_POOL_RENTED,
	TORC_POOL_LEAVING,
	TORC_POOL_STATES,
};

struct torc_pool_entry {
	void *item;
	struct torc_pool *pool;
	struct torc_pool_queue *queue;	/* RENTED: whose share it counts in */
	uint64_t fiber;		/* that opens or closes it, once it runs */
	uint64_t old_at;	/* not to be used from then on */
	uint64_t idle_until;
	uint32_t next;		/* of a chain: its index and 1; 0: the last */
	uint8_t state;		/* enum torc_pool_state */
	bool attended;		/* a fiber closes it */
	bool aside;		/* RENTED, but counted nowhere */
};

/* Fibers with one key. */
struct torc_pool_queue {
	struct torc_pool_queue *next;	/* of its bucket, or spare ones */
	uint64_t key;
	struct torc_list queued;	/* those without a place */
	struct torc_node turn;	/* in pool->turns while some are queued */
	uint32_t waiting;	/* queued */
	uint32_t held;		/* places: rented, or promised */
	uint32_t aside;		/* rented, and set aside */
};

/*
 * A fiber that waits has a place first, when it is its queue's turn, and then a
 * connection: one that comes back, or one that is opened since it waits.
 */
struct torc_pool {
	uint32_t alive;		/* TORC_POOL_ALIVE until it is freed */
	unsigned aside;		/* entries that are set aside */
	struct torc_reactor *reactor;
	struct torc_pool_kind kind;
	void *arg;
	struct torc_pool_config config;

	/* pool_rent.c */
	struct torc_pool_queue common;	/* of no key */
	struct torc_pool_queue **queues;	/* of keys: chains */
	struct torc_pool_queue *spare_queues;
	uint64_t seed;		/* where keys fall */
	uint32_t queue_mask;
	unsigned waiting;	/* fibers, all of them */
	unsigned held;		/* places, of all queues */
	unsigned placed;	/* fibers that have a place and no connection */
	struct torc_list turns;	/* queues in which fibers wait */
	struct torc_list placed_any;
	struct torc_list placed_fresh;	/* and want one that is new */
	uint32_t *buckets;	/* chains of rented entries, by their item */
	uint32_t bucket_mask;

	/* pool.c */
	unsigned counts[TORC_POOL_STATES];
	struct torc_timer timer;	/* may be early: it looks again then */
	struct torc_keeper keeper;
	uint32_t *idle;		/* entries, the oldest first */
	uint32_t free;		/* the chain of those that were in use */
	uint32_t touched;	/* entries that were ever in use */
	unsigned failed;	/* opens in a row */
	int last_error;
	uint64_t retry_at;	/* while `failed`: open nothing before */
	uint64_t noise;		/* of the jitter */
	struct torc_fiber *destroyer;
	unsigned fibers;	/* of the pool's own */
	unsigned entry_count;
	struct torc_pool_stats stats;	/* the sums */
	struct torc_pool_entry entries[];
};

#define TORC_POOL_ALIVE 0x706f6f6cu

/* A call of the program's on a pool. */
static inline void
torc_pool_check(const struct torc_pool *pool)
{
	torc_require(pool != NULL, "a call needs a pool, but was given NULL");
	torc_require(pool->alive == TORC_POOL_ALIVE,
	    "a pool is used after it was destroyed, or was never created");
}

/* ---- pool.c ---- */

/* Its keeper's: idle connections leave when descriptors have run out. */
unsigned torc_pool_spare(unsigned want, void *arg);

/*
 * Fibers are told to end, or all have ended: then the reactor closes the
 * connections itself, and the pool must not touch them.
 */
static inline bool
torc_pool_at_the_end(const struct torc_pool *pool)
{
	return pool->reactor->deserted ||
	    pool->reactor->phase >= TORC_PHASE_STOPPING;
}

/* The connections that count towards `size`. */
static inline unsigned
torc_pool_active(const struct torc_pool *pool)
{
	return pool->counts[TORC_POOL_OPENING] +
	    pool->counts[TORC_POOL_IDLE] + pool->counts[TORC_POOL_RENTED] -
	    pool->aside;
}

void torc_pool_set_state(struct torc_pool_entry *entry,
    enum torc_pool_state state);

/* Nothing is in it any more. */
void torc_pool_set_free(struct torc_pool_entry *entry);

/* The newest idle one that can be used, or NULL; what cannot be leaves. */
struct torc_pool_entry *torc_pool_pick_up(struct torc_pool *pool);

/* Idle ones that cannot be used leave. */
void torc_pool_weed(struct torc_pool *pool);

/* Nobody needs it yet. */
void torc_pool_lay_down(struct torc_pool_entry *entry);

/* It is not used any more. */
void torc_pool_leave(struct torc_pool_entry *entry);

/*
 * Something has changed: as many are opened as fibers wait for, if they may
 * be. Those that wait in vain are turned away.
 */
void torc_pool_open_more(struct torc_pool *pool);

/* The timer: something may be due. Nothing is done that is not. */
void torc_pool_look_again(struct torc_timer *timer);

/* Parks. Close an entry that is LEAVING and attended. A fiber's entry. */
int torc_pool_run_close(void *entry);

/* ---- pool_rent.c ---- */

/* Give places to those whose turn it is. */
void torc_pool_settle(struct torc_pool *pool);

/* It can be used: by a fiber that has a place, or by nobody yet. */
void torc_pool_offer(struct torc_pool_entry *entry, bool fresh);

/* Nothing will come for those that wait, or for those that want a new one. */
void torc_pool_turn_away(struct torc_pool *pool);
void torc_pool_turn_away_fresh(struct torc_pool *pool);

/* ---- pool_queue.c ---- */

static inline uint32_t
torc_pool_hash(uint64_t value, uint64_t seed)
{
	value = (value ^ seed) * 0x9e3779b97f4a7c15u;
	value ^= value >> 29;
	value *= 0xbf58476d1ce4e5b9u;
	return (uint32_t)(value >> 32);
}

/*
 * The queue of a key, made if there is none. Without memory for it, the fiber
 * stands in the queue of no key.
 */
struct torc_pool_queue *torc_pool_queue_of(struct torc_pool *pool,
    uint64_t key);

/* A queue is there as long as it has something. */
void torc_pool_leave_queue(struct torc_pool *pool,
    struct torc_pool_queue *queue);

/* Memory for queues and for finding what is rented. 0 or -ENOMEM. */
int torc_pool_queues_init(struct torc_pool *pool);
void torc_pool_queues_fini(struct torc_pool *pool);

#endif
