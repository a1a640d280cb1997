/* SPDX-License-Identifier: MIT */
/*
 * pool.c - connections to a backend that the fibers of one reactor share:
 * opened, kept while they are idle, closed. The pool knows a connection only
 * through its kind. pool_rent.c rents them out.
 *
 * OPENING, IDLE and RENTED entries count towards `size`, but for those that
 * are set aside. There are twice as many entries, so that closing ones keep
 * nobody waiting, and yet there are not more and more of them.
 */
#include <errno.h>
#include <string.h>

#include "conn/kit/pool.h"
#include "sys/sys.h"

#define AGAIN_NS 10000000u	/* to the next try to start a closing fiber */
static uint64_t
after(const struct torc_pool *pool, unsigned ms)
{
	return ms == TORC_NO_LIMIT ? UINT64_MAX :
	    pool->reactor->now + ms * 1000000ull;
}

/* From 0 to `most`; as random as jitter must be. */
static uint64_t
random_up_to(struct torc_pool *pool, uint64_t most)
{
	pool->noise ^= pool->noise << 13;
	pool->noise ^= pool->noise >> 7;
	pool->noise ^= pool->noise << 17;
	return pool->noise % (most + 1);
}

void
torc_pool_set_state(struct torc_pool_entry *entry, enum torc_pool_state state)
{
	entry->pool->counts[entry->state]--;
	entry->pool->counts[state]++;
	entry->state = (uint8_t)state;
}

static void
chain_free(struct torc_pool_entry *entry)
{
	struct torc_pool *pool = entry->pool;

	entry->next = pool->free;
	pool->free = (uint32_t)(entry - pool->entries) + 1;
}

void
torc_pool_set_free(struct torc_pool_entry *entry)
{
	torc_pool_set_state(entry, TORC_POOL_FREE);
	chain_free(entry);
}

/* One that was in use before, or else the next: there is one. */
static struct torc_pool_entry *
find_free(struct torc_pool *pool)
{
	struct torc_pool_entry *entry;

	if (pool->free == 0) {
		entry = &pool->entries[pool->touched++];
		entry->pool = pool;
		return entry;
	}
	entry = &pool->entries[pool->free - 1];
	pool->free = entry->next;
	return entry;
}

static bool
pausing(const struct torc_pool *pool)
{
	return pool->failed > 0 && pool->reactor->now < pool->retry_at;
}

static void
look_again_at(struct torc_pool *pool, uint64_t when)
{
	struct torc_timers *timers = &pool->reactor->timers;

	if (when != UINT64_MAX && (!torc_timer_armed(&pool->timer) ||
	    when < torc_timers_when(timers, &pool->timer)))
		torc_timers_arm(timers, &pool->timer, when);
}

/* ---- Closing ---- */

/* A fiber of the pool's own ends. */
static void
end_fiber(struct torc_pool *pool)
{
	pool->fibers--;
	if (pool->fibers == 0 && pool->destroyer != NULL)
		torc_fiber_wake(pool->destroyer, 0);
}

int
torc_pool_run_close(void *arg)
{
	struct torc_pool_entry *entry = arg;
	struct torc_pool *pool = entry->pool;

	entry->fiber = torc_fiber_self();
	pool->kind.close(entry->item, pool->arg);
	entry->fiber = 0;
	entry->attended = false;
	torc_pool_set_free(entry);
	torc_pool_open_more(pool);
	end_fiber(pool);
	return 0;
}

/* It is closed later if there is no fiber for it now. */
static void
see_off(struct torc_pool_entry *entry)
{
	struct torc_pool *pool = entry->pool;

	if (torc_pool_at_the_end(pool))
		return;
	if (torc_fiber_start(pool->reactor, NULL, torc_pool_run_close,
	    entry) < 0) {
		look_again_at(pool, pool->reactor->now + AGAIN_NS);
		return;
	}
	entry->attended = true;
	pool->fibers++;
}

void
torc_pool_leave(struct torc_pool_entry *entry)
{
	torc_pool_set_state(entry, TORC_POOL_LEAVING);
	see_off(entry);
}

/* ---- Idle ones ---- */

/* When an idle one is not kept any longer. */
static uint64_t
leaves_at(const struct torc_pool_entry *entry)
{
	return entry->idle_until < entry->old_at ? entry->idle_until :
	    entry->old_at;
}

void
torc_pool_lay_down(struct torc_pool_entry *entry)
{
	struct torc_pool *pool = entry->pool;

	pool->idle[pool->counts[TORC_POOL_IDLE]] =
	    (uint32_t)(entry - pool->entries);
	torc_pool_set_state(entry, TORC_POOL_IDLE);
	entry->idle_until = after(pool, pool->config.idle_ms);
	look_again_at(pool, leaves_at(entry));
}

struct torc_pool_entry *
torc_pool_pick_up(struct torc_pool *pool)
{
	const struct torc_pool_kind *kind = &pool->kind;
	const unsigned *idle = &pool->counts[TORC_POOL_IDLE];

	while (*idle > 0) {
		struct torc_pool_entry *entry =
		    &pool->entries[pool->idle[*idle - 1]];

		if (entry->old_at > pool->reactor->now &&
		    (kind->usable == NULL ||
		    kind->usable(entry->item, pool->arg))) {
			torc_pool_set_state(entry, TORC_POOL_RENTED);
			return entry;
		}
		torc_pool_leave(entry);
	}
	return NULL;
}

/* The one that has been idle longest leaves. */
static void
drop_oldest(struct torc_pool *pool)
{
	struct torc_pool_entry *entry = &pool->entries[pool->idle[0]];

	torc_pool_leave(entry);
	memmove(pool->idle, pool->idle + 1,
	    pool->counts[TORC_POOL_IDLE] * sizeof(pool->idle[0]));
}

unsigned
torc_pool_spare(unsigned want, void *arg)
{
	struct torc_pool *pool = arg;
	unsigned count = 0;

	if (pool->destroyer != NULL || torc_pool_at_the_end(pool))
		return 0;
	for (; count < want && pool->counts[TORC_POOL_IDLE] > 0; count++)
		drop_oldest(pool);
	return count;
}

/* Keep the idle ones that `stays` says; the others leave. */
static void
sift_idle(struct torc_pool *pool,
    bool (*stays)(const struct torc_pool_entry *entry))
{
	unsigned count = pool->counts[TORC_POOL_IDLE], kept = 0;

	for (unsigned i = 0; i < count; i++) {
		struct torc_pool_entry *entry =
		    &pool->entries[pool->idle[i]];

		if (stays(entry))
			pool->idle[kept++] = pool->idle[i];
		else
			torc_pool_leave(entry);
	}
}

/* Not idle for too long, and not too old. */
static bool
is_in_time(const struct torc_pool_entry *entry)
{
	const uint64_t at = leaves_at(entry);

	if (at <= entry->pool->reactor->now)
		return false;
	look_again_at(entry->pool, at);
	return true;
}

static bool
is_usable(const struct torc_pool_entry *entry)
{
	const struct torc_pool *pool = entry->pool;

	return pool->kind.usable(entry->item, pool->arg);
}

void
torc_pool_weed(struct torc_pool *pool)
{
	if (pool->kind.usable != NULL)
		sift_idle(pool, is_usable);
}

/* ---- Opening ---- */

static void
note_failure(struct torc_pool *pool, int error)
{
	uint64_t pause = pool->config.retry_min_ms;

	pool->last_error = error;
	pool->stats.failures++;
	/* Those that began together and fail together are one failure. */
	if (pausing(pool))
		return;
	for (unsigned i = 0; i < pool->failed &&
	    pause < pool->config.retry_max_ms; i++)
		pause *= 2;
	if (pause > pool->config.retry_max_ms)
		pause = pool->config.retry_max_ms;
	pause *= 1000000;
	pool->failed++;
	pool->retry_at = pool->reactor->now + pause -
	    random_up_to(pool, pause / 2);
}

static void
note_success(struct torc_pool *pool, struct torc_pool_entry *entry)
{
	const unsigned ms = pool->config.lifetime_ms;

	pool->failed = 0;
	pool->last_error = 0;
	pool->stats.opens++;
	entry->old_at = after(pool, ms);
	if (ms != TORC_NO_LIMIT)
		entry->old_at -= random_up_to(pool, ms * 100000ull);
}

static int
run_open(void *arg)
{
	struct torc_pool_entry *entry = arg;
	struct torc_pool *pool = entry->pool;
	int rc = -ECANCELED;

	entry->fiber = torc_fiber_self();
	if (pool->destroyer == NULL)
		rc = pool->kind.open(&entry->item,
		    torc_at(after(pool, pool->config.open_ms)), pool->arg);
	entry->fiber = 0;
	if (rc < 0) {
		torc_pool_set_free(entry);
		note_failure(pool, rc);
		torc_pool_weed(pool);
	} else {
		note_success(pool, entry);
		if (pool->destroyer == NULL)
			torc_pool_offer(entry, true);
		else
			torc_pool_leave(entry);
	}
	torc_pool_open_more(pool);
	end_fiber(pool);
	return 0;
}

/* One at a time, and after a pause, while that fails. */
static bool
may_try(const struct torc_pool *pool)
{
	return pool->failed == 0 ||
	    (pool->counts[TORC_POOL_OPENING] == 0 && !pausing(pool));
}

/* Idle connections make room for new ones. */
static bool
has_room(struct torc_pool *pool)
{
	while (torc_pool_active(pool) >= pool->config.size &&
	    pool->counts[TORC_POOL_IDLE] > 0)
		drop_oldest(pool);
	return torc_pool_active(pool) < pool->config.size &&
	    pool->counts[TORC_POOL_FREE] > 0;
}

static int
open_one(struct torc_pool *pool)
{
	struct torc_pool_entry *entry = find_free(pool);
	int rc = torc_fiber_start_helper(pool->reactor, NULL, run_open,
	    entry);

	if (rc < 0) {
		chain_free(entry);
		return rc;
	}
	torc_pool_set_state(entry, TORC_POOL_OPENING);
	pool->fibers++;
	return 0;
}

void
torc_pool_open_more(struct torc_pool *pool)
{
	const unsigned *counts = pool->counts;
	int rc = 0;

	/* No fiber of a reactor that has lost its ring runs any more. */
	if (pool->reactor->phase == TORC_PHASE_ENDED)
		return;
	while (rc == 0 && counts[TORC_POOL_OPENING] < pool->placed &&
	    may_try(pool) && has_room(pool)) {
		rc = open_one(pool);
		if (rc < 0)
			note_failure(pool, rc);
	}
	if (pool->waiting == 0 || counts[TORC_POOL_OPENING] > 0 ||
	    pool->failed == 0)
		return;
	if (counts[TORC_POOL_RENTED] == pool->aside) {
		torc_pool_turn_away(pool);
		return;
	}
	torc_pool_turn_away_fresh(pool);
	torc_pool_settle(pool);
	if (pausing(pool))
		look_again_at(pool, pool->retry_at);
}

void
torc_pool_look_again(struct torc_timer *timer)
{
	struct torc_pool *pool = torc_container(timer, struct torc_pool,
	    timer);

	if (torc_pool_at_the_end(pool))
		return;
	sift_idle(pool, is_in_time);
	for (unsigned i = 0; i < pool->touched &&
	    pool->counts[TORC_POOL_LEAVING] > 0; i++) {
		struct torc_pool_entry *entry = &pool->entries[i];

		if (entry->state == TORC_POOL_LEAVING && !entry->attended)
			see_off(entry);
	}
	torc_pool_open_more(pool);
}
