/* SPDX-License-Identifier: MIT */
/*
 * pool_life.c - pools are made, looked at, and freed.
 */
#include <errno.h>

#include "conn/kit/pool.h"
#include "reactor/config.h"
#include "reactor/error.h"
#include "sys/sys.h"

#define POOLS_MAX 1024u		/* of a reactor: their timers must fit in */

#define FIELD(name) TORC_BOUND_FIELD(struct torc_pool_config, name)

static const struct torc_bound bounds[] = {
	{ FIELD(size), 8, 1, 4096, false },
	{ FIELD(waiters), 1024, 1, 1048576, false },
	{ FIELD(idle_ms), 60000, 1, TORC_NO_LIMIT, false },
	{ FIELD(open_ms), 5000, 1, TORC_NO_LIMIT, false },
	{ FIELD(retry_min_ms), 50, 1, 60000, false },
	{ FIELD(retry_max_ms), 0, 1, 60000, false },
	{ FIELD(lifetime_ms), TORC_NO_LIMIT, 1, TORC_NO_LIMIT, false },
	{ FIELD(aside_max), 0, 0, 65536, false },
};

/* How many pools a reactor has. */
static const struct torc_key pools_key = { "pools" };

void
torc_pool_stats_read_sized(const struct torc_pool *pool,
    struct torc_pool_stats *stats, size_t stats_size)
{
	struct torc_pool_stats now;

	torc_pool_check(pool);
	torc_reactor_check(pool->reactor);
	torc_require(stats != NULL,
	    "torc_pool_stats_read needs a place for the statistics");
	now = pool->stats;
	now.idle = pool->counts[TORC_POOL_IDLE];
	now.rented = pool->counts[TORC_POOL_RENTED];
	now.opening = pool->counts[TORC_POOL_OPENING];
	now.closing = pool->counts[TORC_POOL_LEAVING];
	now.waiting = pool->waiting;
	now.aside = pool->aside;
	now.last_error = pool->last_error;
	torc_config_give(stats, stats_size, &now, sizeof(now));
}

/* The number of pools, kept as the value of a key. 0 or a negative errno. */
static int
count_pool(struct torc_reactor *reactor, int by)
{
	uintptr_t count = (uintptr_t)torc_reactor_data(reactor, &pools_key);

	if (by > 0 && count >= POOLS_MAX)
		return -ENOBUFS;
	count += (uintptr_t)by;
	return torc_reactor_set_data(reactor, &pools_key, (void *)count);
}

static int
say_count(struct torc_error *error, int rc)
{
	if (rc == -ENOBUFS)
		return torc_error_set(error, rc, "the reactor has %u pools "
		    "already", POOLS_MAX);
	return torc_error_set(error, rc, "pool: no memory");
}

static void
release_memory(struct torc_pool *pool)
{
	pool->alive = 0;
	torc_pool_queues_fini(pool);
	torc_sys_free(pool->idle);
	torc_sys_free(pool);
}

static struct torc_pool *
allocate(const struct torc_pool_config *config)
{
	const unsigned count = config->size * 2 + config->aside_max;
	struct torc_pool *pool = torc_sys_alloc(sizeof(*pool) +
	    count * sizeof(pool->entries[0]));

	if (pool == NULL)
		return NULL;
	pool->config = *config;
	pool->entry_count = count;
	pool->counts[TORC_POOL_FREE] = count;
	pool->idle = torc_sys_alloc(config->size * sizeof(pool->idle[0]));
	if (torc_pool_queues_init(pool) < 0 || pool->idle == NULL) {
		release_memory(pool);
		return NULL;
	}
	return pool;
}

static int
fill(struct torc_pool_config *config, const struct torc_pool_config *from,
    size_t from_size, struct torc_error *error)
{
	int rc;

	rc = torc_config_take(config, sizeof(*config), from, from_size,
	    "torc_pool_config", error);
	if (rc == 0)
		rc = torc_config_check(config, bounds,
		    sizeof(bounds) / sizeof(bounds[0]), error);
	if (rc < 0)
		return rc;
	if (config->retry_max_ms == 0)
		config->retry_max_ms = config->retry_min_ms > 500 ?
		    config->retry_min_ms : 500;
	if (config->retry_max_ms >= config->retry_min_ms)
		return 0;
	return torc_error_set(error, -EINVAL, "retry_max_ms = %u: must be at "
	    "least retry_min_ms = %u", config->retry_max_ms,
	    config->retry_min_ms);
}

int
torc_pool_create_sized(struct torc_pool **out,
    const struct torc_pool_kind *kind, size_t kind_size, void *arg,
    const struct torc_pool_config *config, size_t config_size,
    struct torc_error *error)
{
	struct torc_reactor *reactor = torc_reactor_own(
	    "torc_pool_create was called outside a reactor's thread");
	struct torc_pool_config filled;
	struct torc_pool_kind known;
	struct torc_pool *pool;
	int rc;

	torc_require(out != NULL && kind != NULL,
	    "torc_pool_create needs a place for the pool, and a kind");
	torc_error_clear(error);
	rc = torc_config_take(&known, sizeof(known), kind, kind_size,
	    "torc_pool_kind", error);
	torc_require(known.open != NULL && known.close != NULL,
	    "a kind of pool needs open and close");
	if (rc == 0)
		rc = fill(&filled, config, config_size, error);
	if (rc < 0)
		return rc;
	pool = allocate(&filled);
	if (pool == NULL)
		return torc_error_set(error, -ENOMEM, "pool of %u: no memory",
		    filled.size);
	rc = count_pool(reactor, 1);
	if (rc < 0) {
		release_memory(pool);
		return say_count(error, rc);
	}
	pool->alive = TORC_POOL_ALIVE;
	pool->reactor = reactor;
	pool->kind = known;
	pool->arg = arg;
	pool->timer.fire = torc_pool_look_again;
	pool->noise = torc_sys_now() | 1;
	pool->seed = pool->noise ^ (uintptr_t)pool;
	pool->keeper.reclaim = torc_pool_spare;
	pool->keeper.arg = pool;
	torc_keeper_add(&pool->keeper);
	*out = pool;
	return 0;
}

/* What the reactor will close, or has closed. */
static void
free_items(struct torc_pool *pool)
{
	if (pool->kind.free == NULL)
		return;
	for (unsigned i = 0; i < pool->touched; i++) {
		struct torc_pool_entry *entry = &pool->entries[i];

		if (entry->state == TORC_POOL_IDLE ||
		    entry->state == TORC_POOL_LEAVING)
			pool->kind.free(entry->item, pool->arg);
	}
}

/* Fibers that open or close a connection no longer wait for its peer. */
static void
hurry(struct torc_pool *pool)
{
	for (unsigned i = 0; i < pool->touched; i++) {
		if (pool->entries[i].fiber != 0)
			torc_fiber_cancel(pool->entries[i].fiber);
	}
}

/*
 * Parks. All that is open is closed, here if there are no fibers for it, and
 * what is being opened is told to end.
 */
static int
close_open(struct torc_pool *pool, torc_deadline deadline)
{
	int rc = 0;

	for (unsigned i = 0; i < pool->touched; i++) {
		struct torc_pool_entry *entry = &pool->entries[i];

		if (entry->state == TORC_POOL_IDLE)
			torc_pool_leave(entry);
		else if (entry->state == TORC_POOL_OPENING &&
		    entry->fiber != 0)
			torc_fiber_cancel(entry->fiber);
		if (entry->state == TORC_POOL_LEAVING && !entry->attended &&
		    !torc_pool_at_the_end(pool)) {
			pool->fibers++;
			entry->attended = true;
			torc_pool_run_close(entry);
		}
	}
	while (pool->fibers > 0 && rc == 0)
		rc = torc_fiber_park_firmly_until(pool->reactor, deadline);
	if (pool->fibers == 0)
		return 0;
	hurry(pool);
	while (pool->fibers > 0)
		torc_fiber_park_firmly(pool->reactor);
	return rc;
}

/*
 * Parks. Again, since what was opened nonetheless may lack a fiber. 0, or the
 * first error.
 */
static int
close_all(struct torc_pool *pool, torc_deadline deadline)
{
	int first = 0, rc;

	torc_require(torc_reactor_of_fiber() == pool->reactor,
	    "a pool is destroyed on another thread than its reactor's");
	pool->destroyer = pool->reactor->current;
	do {
		rc = close_open(pool, deadline);
		if (first == 0)
			first = rc;
	} while (pool->counts[TORC_POOL_LEAVING] > 0 &&
	    !torc_pool_at_the_end(pool));
	return first;
}

int
torc_pool_destroy(struct torc_pool *pool, torc_deadline deadline)
{
	struct torc_reactor *reactor;
	int rc = 0;

	if (pool == NULL)
		return 0;
	torc_pool_check(pool);
	reactor = pool->reactor;
	if (reactor->abandoned)
		return 0;
	torc_require(pool->counts[TORC_POOL_RENTED] == 0 && pool->waiting == 0,
	    "a pool is destroyed while it is used");
	if (reactor->phase != TORC_PHASE_ENDED)
		rc = close_all(pool, deadline);
	free_items(pool);
	torc_timers_disarm(&reactor->timers, &pool->timer);
	torc_keeper_remove(&pool->keeper);
	count_pool(reactor, -1);
	release_memory(pool);
	return rc;
}
