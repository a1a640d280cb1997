/*
 * pool.c - connections to a backend that the fibers of one reactor share. It
 * knows a connection only through its kind.
 *
 * What is pooled lies in an entry of a table:
 *
 *   FREE     nothing
 *   OPENING  a fiber of the pool's own opens it
 *   IDLE     in the stack of idle ones, the newest on top
 *   RENTED   somebody's
 *   LEAVING  a fiber of the pool's own closes it, or will
 *
 * The first three that are something count towards `size`. There are twice as
 * many entries, so that closing ones keep nobody waiting, and yet there are
 * not more and more of them.
 *
 * Nobody waits while there is an idle one: what comes back or was opened goes
 * to the one who has waited longest, and is rented to him before he runs. So
 * nobody can overtake him, and there are no promises to keep count of.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "conn/client.h"
#include "reactor/config.h"
#include "reactor/fiber.h"
#include "sys/sys.h"

#define POOLS_MAX 1024u		/* of a reactor: their timers must fit in */
#define AGAIN_NS 10000000u	/* to the next try to start a closing fiber */
#define REFUSED INT_MAX		/* who waits is told of `last_error` */

enum state {
	FREE,
	OPENING,
	IDLE,
	RENTED,
	LEAVING,
	STATES,
};

struct entry {
	void *item;
	struct torc_pool *pool;
	uint64_t fiber;		/* that opens it, once it runs */
	uint64_t old_at;	/* not to be used from then on */
	uint64_t idle_until;
	enum state state;
	bool attended;		/* a fiber closes it */
	bool on_trial;		/* opened while the pool is `doubtful` */
};

struct torc_pool {
	struct torc_reactor *reactor;
	const struct torc_pool_kind *kind;
	void *arg;
	struct torc_pool_config config;
	struct torc_waiters waiters;
	unsigned waiting;	/* not woken yet */
	unsigned counts[STATES];
	struct torc_timer timer;	/* may be early: it looks again then */
	uint32_t *idle;		/* entries, the oldest first */
	unsigned failed;	/* opens in a row */
	int last_error;
	bool doubtful;		/* what was opened did not work: that another
				 * one was opened proves nothing */
	unsigned trials;	/* entries on trial */
	uint64_t retry_at;	/* while `failed`: open nothing before */
	uint64_t noise;		/* of the jitter */
	struct torc_fiber *destroyer;
	unsigned fibers;	/* of the pool's own */
	unsigned entry_count;
	struct torc_pool_stats stats;	/* the sums */
	struct entry entries[];
};

#define FIELD(name) TORC_BOUND_FIELD(struct torc_pool_config, name)

static const struct torc_bound bounds[] = {
	{ FIELD(size), 8, 1, 4096, false },
	{ FIELD(waiters), 1024, 1, 1048576, false },
	{ FIELD(idle_ms), 60000, 1, TORC_NO_LIMIT, false },
	{ FIELD(open_ms), 5000, 1, TORC_NO_LIMIT, false },
	{ FIELD(retry_min_ms), 50, 1, 60000, false },
	{ FIELD(retry_max_ms), 0, 1, 60000, false },
	{ FIELD(lifetime_ms), TORC_NO_LIMIT, 1, TORC_NO_LIMIT, false },
};

/* How many pools a reactor has. */
static const struct torc_key pools_key = { "pools" };

static uint64_t
after(const struct torc_pool *pool, unsigned ms)
{
	return ms == TORC_NO_LIMIT ? TORC_NEVER :
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

static void
set_state(struct entry *entry, enum state state)
{
	entry->pool->counts[entry->state]--;
	entry->pool->counts[state]++;
	entry->state = state;
}

static struct entry *
find_free(struct torc_pool *pool)
{
	struct entry *entry = pool->entries;

	if (pool->counts[FREE] == 0)
		return NULL;
	while (entry->state != FREE)
		entry++;
	return entry;
}

/*
 * Fibers are told to end, or all have ended: then the reactor closes the
 * connections itself, and the pool must not touch them.
 */
static bool
at_the_end(const struct torc_pool *pool)
{
	return pool->reactor->deserted ||
	    pool->reactor->phase >= TORC_PHASE_STOPPING;
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

	if (when != TORC_NEVER && (!torc_timer_armed(&pool->timer) ||
	    when < torc_timers_when(timers, &pool->timer)))
		torc_timers_arm(timers, &pool->timer, when);
}

/* ---- Closing ---- */

static void open_more(struct torc_pool *pool);

/* A fiber of the pool's own ends. */
static void
end_fiber(struct torc_pool *pool)
{
	pool->fibers--;
	if (pool->fibers == 0 && pool->destroyer != NULL)
		torc_fiber_wake(pool->destroyer, 0);
}

static int
run_close(void *arg)
{
	struct entry *entry = arg;
	struct torc_pool *pool = entry->pool;

	pool->kind->close(pool->arg, entry->item);
	entry->attended = false;
	set_state(entry, FREE);
	open_more(pool);
	end_fiber(pool);
	return 0;
}

/* It is closed later if there is no fiber for it now. */
static void
see_off(struct entry *entry)
{
	struct torc_pool *pool = entry->pool;

	if (at_the_end(pool))
		return;
	if (torc_fiber_start(pool->reactor, NULL, run_close, entry) < 0) {
		look_again_at(pool, pool->reactor->now + AGAIN_NS);
		return;
	}
	entry->attended = true;
	pool->fibers++;
}

static void
end_trial(struct entry *entry)
{
	if (entry->on_trial)
		entry->pool->trials--;
	entry->on_trial = false;
}

static void
leave(struct entry *entry)
{
	end_trial(entry);
	set_state(entry, LEAVING);
	see_off(entry);
}

/* ---- Idle ones ---- */

static void
lay_down(struct entry *entry)
{
	struct torc_pool *pool = entry->pool;

	pool->idle[pool->counts[IDLE]] = (uint32_t)(entry - pool->entries);
	set_state(entry, IDLE);
	entry->idle_until = after(pool, pool->config.idle_ms);
	look_again_at(pool, entry->idle_until < entry->old_at ?
	    entry->idle_until : entry->old_at);
}

/* The newest that can be used, or NULL; what cannot be used leaves. */
static struct entry *
pick_up(struct torc_pool *pool)
{
	const struct torc_pool_kind *kind = pool->kind;

	while (pool->counts[IDLE] > 0) {
		struct entry *entry =
		    &pool->entries[pool->idle[pool->counts[IDLE] - 1]];

		if (entry->old_at > pool->reactor->now &&
		    (kind->usable == NULL ||
		    kind->usable(pool->arg, entry->item))) {
			set_state(entry, RENTED);
			return entry;
		}
		leave(entry);
	}
	return NULL;
}

/* What was idle for too long leaves, and so does what is too old. */
static void
sift_idle(struct torc_pool *pool)
{
	const uint64_t now = pool->reactor->now;
	unsigned count = pool->counts[IDLE], kept = 0;

	for (unsigned i = 0; i < count; i++) {
		struct entry *entry = &pool->entries[pool->idle[i]];
		uint64_t until = entry->idle_until < entry->old_at ?
		    entry->idle_until : entry->old_at;

		if (until <= now) {
			leave(entry);
			continue;
		}
		pool->idle[kept++] = pool->idle[i];
		look_again_at(pool, until);
	}
}

/* One can be used: by the one who has waited longest, or by nobody yet. */
static void
offer(struct entry *entry)
{
	struct torc_pool *pool = entry->pool;

	if (pool->waiting == 0) {
		lay_down(entry);
		return;
	}
	pool->waiting--;
	set_state(entry, RENTED);
	torc_wake(&pool->waiters, (int)(entry - pool->entries));
}

/* ---- Opening ---- */

/* Nothing will come for those who wait. */
static void
turn_away(struct torc_pool *pool)
{
	pool->waiting = 0;
	torc_wake_all(&pool->waiters, REFUSED);
}

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
note_success(struct torc_pool *pool, struct entry *entry)
{
	const unsigned ms = pool->config.lifetime_ms;

	if (pool->doubtful) {
		entry->on_trial = true;
		pool->trials++;
	} else {
		pool->failed = 0;
		pool->last_error = 0;
	}
	pool->stats.opens++;
	entry->old_at = after(pool, ms);
	if (ms != TORC_NO_LIMIT)
		entry->old_at -= random_up_to(pool, ms * 100000ull);
}

static int
run_open(void *arg)
{
	struct entry *entry = arg;
	struct torc_pool *pool = entry->pool;
	int rc = -ECANCELED;

	entry->fiber = torc_fiber_self();
	if (pool->destroyer == NULL)
		rc = pool->kind->open(pool->arg, &entry->item,
		    after(pool, pool->config.open_ms));
	entry->fiber = 0;
	if (rc < 0) {
		set_state(entry, FREE);
		note_failure(pool, rc);
	} else {
		note_success(pool, entry);
		if (pool->destroyer == NULL)
			offer(entry);
		else
			leave(entry);
	}
	open_more(pool);
	end_fiber(pool);
	return 0;
}

static bool
may_open(const struct torc_pool *pool)
{
	const unsigned *counts = pool->counts;

	return counts[OPENING] + counts[IDLE] + counts[RENTED] <
	    pool->config.size && counts[FREE] > 0 &&
	    !(pool->failed > 0 && counts[OPENING] + pool->trials > 0) &&
	    !pausing(pool);
}

static int
open_one(struct torc_pool *pool)
{
	struct entry *entry = find_free(pool);
	int rc = torc_fiber_start_helper(pool->reactor, NULL, run_open, entry);

	if (rc < 0)
		return rc;
	set_state(entry, OPENING);
	pool->fibers++;
	return 0;
}

/*
 * Something has changed: as many are opened as fibers wait for, if they may
 * be. Those who wait in vain are turned away.
 */
static void
open_more(struct torc_pool *pool)
{
	const unsigned *counts = pool->counts;
	int rc = 0;

	/* Who waited on a reactor that lost its ring does not run any more. */
	if (pool->reactor->phase == TORC_PHASE_ENDED)
		return;
	while (rc == 0 && counts[OPENING] < pool->waiting && may_open(pool)) {
		rc = open_one(pool);
		if (rc < 0)
			note_failure(pool, rc);
	}
	if (pool->waiting == 0 || counts[OPENING] > 0)
		return;
	if (pool->failed > 0 && counts[RENTED] == 0)
		turn_away(pool);
	else if (pool->failed > 0)
		look_again_at(pool, pool->retry_at);
}

/* Something may be due: nothing is done that is not. */
static void
look_again(struct torc_timer *timer)
{
	struct torc_pool *pool = torc_container(timer, struct torc_pool,
	    timer);

	if (at_the_end(pool))
		return;
	sift_idle(pool);
	for (unsigned i = 0; i < pool->entry_count &&
	    pool->counts[LEAVING] > 0; i++) {
		struct entry *entry = &pool->entries[i];

		if (entry->state == LEAVING && !entry->attended)
			see_off(entry);
	}
	open_more(pool);
}

/* ---- Renting ---- */

/* Parks. The entry's index, or a negative errno. */
static int
queue_up(struct torc_pool *pool, uint64_t deadline)
{
	int rc;

	if (pool->waiting >= pool->config.waiters)
		return -ENOBUFS;
	if (deadline <= pool->reactor->now)
		return -ETIMEDOUT;
	pool->waiting++;
	open_more(pool);
	rc = pool->waiting == 0 ? REFUSED : torc_wait(&pool->waiters,
	    deadline);
	if (rc < 0)
		pool->waiting--;
	return rc == REFUSED ? pool->last_error : rc;
}

static int
rent(struct torc_pool *pool, struct entry **entry, uint64_t deadline)
{
	const struct torc_fiber *fiber = pool->reactor->current;
	int rc;

	if (fiber->cancelled)
		return -ECANCELED;
	if (at_the_end(pool))
		return -ESHUTDOWN;
	*entry = pick_up(pool);
	if (*entry != NULL)
		return 0;
	rc = queue_up(pool, deadline);
	if (rc < 0)
		return rc;
	*entry = &pool->entries[rc];
	if (!fiber->cancelled)
		return 0;
	/* It came in the moment of the cancel, and nothing was done to it. */
	torc_pool_release(pool, (*entry)->item, true);
	return -ECANCELED;
}

static void
check_fiber(const struct torc_pool *pool)
{
	torc_require(torc_reactor_of_fiber() == pool->reactor,
	    "a pool is used on another thread than its reactor's");
}

int
torc_pool_acquire(struct torc_pool *pool, void **item, uint64_t deadline)
{
	struct entry *entry;
	int rc;

	check_fiber(pool);
	torc_require(pool->destroyer == NULL,
	    "a pool is used that is being destroyed");
	rc = rent(pool, &entry, deadline);
	if (rc < 0) {
		pool->stats.refusals++;
		return rc;
	}
	pool->stats.acquires++;
	*item = entry->item;
	return 0;
}

static struct entry *
find_rented(struct torc_pool *pool, const void *item)
{
	for (unsigned i = 0; i < pool->entry_count; i++) {
		struct entry *entry = &pool->entries[i];

		if (entry->item == item && entry->state == RENTED)
			return entry;
	}
	return NULL;
}

/* The entry of what is released. */
static struct entry *
returned(struct torc_pool *pool, const void *item)
{
	struct entry *entry = find_rented(pool, item);

	if (pool->reactor->phase != TORC_PHASE_ENDED)
		torc_reactor_check(pool->reactor);
	torc_require(entry != NULL,
	    "what is released was not rented, or is released twice");
	return entry;
}

void
torc_pool_confirm(struct torc_pool *pool)
{
	torc_reactor_check(pool->reactor);
	if (!pool->doubtful)
		return;
	pool->doubtful = false;
	pool->failed = 0;
	pool->last_error = 0;
	for (unsigned i = 0; i < pool->entry_count; i++)
		end_trial(&pool->entries[i]);
	open_more(pool);
}

void
torc_pool_reject(struct torc_pool *pool, void *item, int error)
{
	struct entry *entry = returned(pool, item);

	torc_require(error < 0, "what is rejected has no error");
	leave(entry);
	pool->doubtful = true;
	note_failure(pool, error);
	open_more(pool);
}

void
torc_pool_release(struct torc_pool *pool, void *item, bool reusable)
{
	const bool ended = pool->reactor->phase == TORC_PHASE_ENDED;
	struct entry *entry = returned(pool, item);

	if (reusable && !ended && entry->old_at > pool->reactor->now) {
		offer(entry);
	} else {
		leave(entry);
		open_more(pool);
	}
}

void
torc_pool_stats(const struct torc_pool *pool, struct torc_pool_stats *stats)
{
	torc_reactor_check(pool->reactor);
	*stats = pool->stats;
	stats->idle = pool->counts[IDLE];
	stats->rented = pool->counts[RENTED];
	stats->opening = pool->counts[OPENING];
	stats->closing = pool->counts[LEAVING];
	stats->waiting = pool->waiting;
	stats->last_error = pool->last_error;
}

/* ---- Life ---- */

/* The number of pools, kept as the value of a key. 0 or a negative errno. */
static int
count_pool(struct torc_reactor *reactor, int by)
{
	uintptr_t count = (uintptr_t)torc_reactor_get(reactor, &pools_key);

	if (by > 0 && count >= POOLS_MAX)
		return -ENOBUFS;
	count += (uintptr_t)by;
	return torc_reactor_set(reactor, &pools_key, (void *)count);
}

static struct torc_pool *
allocate(unsigned size)
{
	const unsigned count = size * 2;
	struct torc_pool *pool = torc_sys_alloc(sizeof(*pool) +
	    count * sizeof(pool->entries[0]));

	if (pool == NULL)
		return NULL;
	pool->idle = torc_sys_alloc(size * sizeof(pool->idle[0]));
	if (pool->idle == NULL) {
		torc_sys_free(pool);
		return NULL;
	}
	pool->entry_count = count;
	pool->counts[FREE] = count;
	for (unsigned i = 0; i < count; i++)
		pool->entries[i].pool = pool;
	return pool;
}

static int
fill(struct torc_pool_config *config, const struct torc_pool_config *from,
    char *text, size_t size)
{
	char scratch[1];
	int rc;

	*config = from != NULL ? *from : (struct torc_pool_config) { 0 };
	if (text == NULL || size == 0) {
		text = scratch;
		size = sizeof(scratch);
	}
	rc = torc_config_check(config, bounds,
	    sizeof(bounds) / sizeof(bounds[0]), text, size);
	if (rc < 0)
		return rc;
	if (config->retry_max_ms == 0)
		config->retry_max_ms = config->retry_min_ms > 500 ?
		    config->retry_min_ms : 500;
	if (config->retry_max_ms >= config->retry_min_ms)
		return 0;
	snprintf(text, size, "retry_max_ms = %u: must be at least "
	    "retry_min_ms = %u", config->retry_max_ms, config->retry_min_ms);
	return -EINVAL;
}

int
torc_pool_create(struct torc_pool **out, const struct torc_pool_kind *kind,
    void *arg, const struct torc_pool_config *config, char *text,
    size_t text_size)
{
	struct torc_reactor *reactor = torc_current;
	struct torc_pool_config filled;
	struct torc_pool *pool;
	int rc;

	torc_require(reactor != NULL,
	    "torc_pool_create was called outside a reactor's thread");
	torc_require(kind->open != NULL && kind->close != NULL,
	    "a kind of pool needs open and close");
	rc = fill(&filled, config, text, text_size);
	if (rc < 0)
		return rc;
	pool = allocate(filled.size);
	if (pool == NULL)
		return -ENOMEM;
	rc = count_pool(reactor, 1);
	if (rc < 0) {
		torc_sys_free(pool->idle);
		torc_sys_free(pool);
		return rc;
	}
	pool->reactor = reactor;
	pool->kind = kind;
	pool->arg = arg;
	pool->config = filled;
	pool->timer.fire = look_again;
	pool->noise = torc_sys_now() | 1;
	*out = pool;
	return 0;
}

/* What the reactor will close, or has closed. */
static void
free_items(struct torc_pool *pool)
{
	if (pool->kind->free == NULL)
		return;
	for (unsigned i = 0; i < pool->entry_count; i++) {
		struct entry *entry = &pool->entries[i];

		if (entry->state == IDLE || entry->state == LEAVING)
			pool->kind->free(pool->arg, entry->item);
	}
}

/*
 * Parks. All that is open is closed, here if there are no fibers for it, and
 * what is being opened is told to end.
 */
static void
close_open(struct torc_pool *pool)
{
	for (unsigned i = 0; i < pool->entry_count; i++) {
		struct entry *entry = &pool->entries[i];

		if (entry->state == IDLE)
			leave(entry);
		else if (entry->state == OPENING && entry->fiber != 0)
			torc_fiber_cancel(entry->fiber);
		if (entry->state == LEAVING && !entry->attended &&
		    !at_the_end(pool)) {
			pool->fibers++;
			entry->attended = true;
			run_close(entry);
		}
	}
	while (pool->fibers > 0)
		torc_fiber_park_firmly(pool->reactor);
}

/* Parks. Again, since what was opened nonetheless may lack a fiber. */
static void
close_all(struct torc_pool *pool)
{
	check_fiber(pool);
	pool->destroyer = pool->reactor->current;
	do
		close_open(pool);
	while (pool->counts[LEAVING] > 0 && !at_the_end(pool));
}

void
torc_pool_destroy(struct torc_pool *pool)
{
	struct torc_reactor *reactor = pool->reactor;

	if (reactor->abandoned)
		return;
	torc_require(pool->counts[RENTED] == 0 && pool->waiting == 0,
	    "a pool is destroyed while it is used");
	if (reactor->phase != TORC_PHASE_ENDED)
		close_all(pool);
	free_items(pool);
	torc_timers_disarm(&reactor->timers, &pool->timer);
	count_pool(reactor, -1);
	torc_sys_free(pool->idle);
	torc_sys_free(pool);
}
