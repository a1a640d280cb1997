/* SPDX-License-Identifier: MIT */
/*
 * shared.c - a set of shared connections to one server: which one a request
 * goes to, when one more is opened, and when one goes.
 */
#include "conn/kit/shared.h"

#include <errno.h>

#include "sys/sys.h"
#include "sys/trap.h"

#define QUIET_NS UINT64_C(50000000)

/* ---- Members ---- */

static bool
is_member(const struct torc_shared *shared)
{
	const struct torc_shared_set *set = shared->set;
	unsigned found = 0;

	for (unsigned i = 0; set != NULL && i < set->count; i++)
		found += set->members[i] == shared;
	torc_assert(found <= 1);
	return found == 1;
}

/* A scan that goes on sees the one that takes its place. */
static void
remove_member(struct torc_shared_set *set, const struct torc_shared *shared)
{
	unsigned place = 0;

	while (set->members[place] != shared)
		place++;
	torc_assert(place < set->count);
	set->members[place] = set->members[--set->count];
	if (set->turn == place)
		set->turn--;
	if (set->picked == shared)
		set->picked = NULL;
}

/* It has no users, and no requests unless it is of no use any more. */
static void
give_back(struct torc_shared *shared)
{
	struct torc_shared_set *set = shared->set;
	const bool reusable = !shared->retired && shared->pipeline.error == 0;

	torc_assert(shared->users == 0);
	torc_assert(is_member(shared) != shared->retired);
	torc_assert(!reusable || shared->pipeline.count == 0);
	if (!shared->retired)
		remove_member(set, shared);
	if (!reusable && set->kind->abandon != NULL)
		set->kind->abandon(shared);
	shared->set = NULL;
	torc_pool_release(set->pool, shared->item, reusable);
}

void
torc_shared_retire(struct torc_shared *shared)
{
	if (shared->retired)
		return;
	shared->retired = true;
	if (shared->set == NULL)
		return;
	remove_member(shared->set, shared);
	shared->set->retired++;
	if (shared->users == 0)
		give_back(shared);
}

static bool
is_full(const struct torc_shared_set *set, const struct torc_shared *shared)
{
	return set->config.requests != 0 &&
	    shared->pipeline.count >= set->config.requests;
}

/* One that is full of requests that were all given up will not empty. */
static bool
is_usable(const struct torc_shared_set *set, struct torc_shared *shared)
{
	const struct torc_shared_kind *kind = set->kind;

	return shared->pipeline.error == 0 &&
	    (kind->usable == NULL || kind->usable(shared)) &&
	    !(is_full(set, shared) && shared->pipeline.live == 0);
}

/* ---- The best ---- */

static bool
is_outdated(const struct torc_shared *shared)
{
	const struct torc_shared_kind *kind = shared->set->kind;

	return kind->outdated != NULL && kind->outdated(shared);
}

bool
torc_shared_is_quiet(const struct torc_shared *shared)
{
	return shared->pipeline.count > 0 &&
	    torc_now() - shared->quiet_since >= QUIET_NS;
}

static bool
is_better(const struct torc_shared *a, const struct torc_shared *b)
{
	const bool outdated = is_outdated(a);
	const bool quiet = torc_shared_is_quiet(a);

	if (outdated != is_outdated(b))
		return !outdated;
	if (quiet != torc_shared_is_quiet(b))
		return !quiet;
	return a->users != b->users ? a->users < b->users :
	    a->pipeline.count < b->pipeline.count;
}

/* Of the next few, or of all; NULL: none has room. */
static struct torc_shared *
find_best(struct torc_shared_set *set)
{
	const unsigned looks = set->kind->looks;
	struct torc_shared *best = NULL;
	unsigned seen = 0;

	for (unsigned left = set->count; left > 0 &&
	    (looks == 0 || seen < looks || best == NULL); left--) {
		struct torc_shared *shared;

		if (++set->turn >= set->count)
			set->turn = 0;
		shared = set->members[set->turn];
		if (!is_usable(set, shared)) {
			torc_shared_retire(shared);
			continue;
		}
		seen++;
		if (!is_full(set, shared) &&
		    (best == NULL || is_better(shared, best)))
			best = shared;
	}
	return best;
}

/* Whether a request goes where the last one of this turn went. */
static bool
is_picked_again(const struct torc_shared_set *set)
{
	struct torc_shared *picked = set->picked;

	return picked != NULL && set->picked_at == torc_now() &&
	    set->picks < set->kind->burst && is_usable(set, picked) &&
	    !is_full(set, picked) && !is_outdated(picked);
}

static struct torc_shared *
pick(struct torc_shared_set *set)
{
	if (is_picked_again(set)) {
		set->picks++;
		return set->picked;
	}
	set->picked = find_best(set);
	set->picked_at = torc_now();
	set->picks = 1;
	return set->picked;
}

/* ---- One more ---- */

/* It takes the place of one that is of no use. If all have theirs, it waits in
 * the pool. */
static void
add(struct torc_shared_set *set, void *item)
{
	struct torc_shared *shared = set->kind->enter(item);

	for (unsigned i = set->count; i > 0; i--)
		if (!is_usable(set, set->members[i - 1]))
			torc_shared_retire(set->members[i - 1]);
	if (set->count == set->config.places) {
		torc_pool_release(set->pool, item, true);
		return;
	}
	torc_assert(shared->set == NULL && !shared->retired);
	torc_assert(shared->users == 0 && shared->pipeline.count == 0);
	shared->set = set;
	shared->item = item;
	shared->quiet_since = torc_now();
	set->members[set->count++] = shared;
}

/* Those that nobody uses, of a set that does not keep them. */
static void
give_back_idle(struct torc_shared_set *set)
{
	for (unsigned i = set->count; !set->kind->keeps && i > 0; i--) {
		struct torc_shared *shared = set->members[i - 1];

		if (shared->users == 0 && shared->pipeline.count == 0)
			give_back(shared);
	}
}

/* The set's own fiber. Nothing parks once `opening` is false. */
static int
open_one(void *arg)
{
	struct torc_shared_set *set = arg;
	const unsigned ms = set->config.open_ms;
	void *item;
	int rc = torc_pool_acquire(set->pool, &item, ms == TORC_NO_LIMIT ?
	    TORC_NEVER : torc_after_ms(UINT64_C(2) * ms));

	torc_assert(set->opening);
	set->opening = false;
	if (rc == 0)
		add(set, item);
	else
		set->open_at = torc_now() + set->pause_ns;
	torc_wake_all(&set->waiters, rc == -ECANCELED ? -ESHUTDOWN : rc);
	/* The fibers that waited begin to use it now. */
	if (set->waiting == 0)
		give_back_idle(set);
	return 0;
}

/* Parks, unless it has ended. After the reactor, all have. */
static void
reap_opener(struct torc_shared_set *set)
{
	if (set->opener != 0 && torc_fiber_self() != 0)
		torc_fiber_reap(set->opener, NULL, TORC_NEVER);
	set->opener = 0;
}

static int
begin_opening(struct torc_shared_set *set)
{
	int rc;

	reap_opener(set);
	rc = torc_fiber_spawn_daemon(&set->opener, open_one, set);
	if (rc < 0)
		set->opener = 0;
	set->opening = rc == 0;
	return rc;
}

/* Whether even the best one should not be the last one. */
static bool
is_more_wanted(const struct torc_shared_set *set,
    const struct torc_shared *best)
{
	if (best == NULL)
		return set->count + set->opening < set->config.places;
	if (torc_now() < set->open_at)
		return false;
	return is_outdated(best) ||
	    (set->count + set->opening < set->config.places &&
	    (best->users > 0 || best->pipeline.count > 0));
}

/* 1: one that was idle is a member now; 0: one is being opened; or an error. */
static int
widen(struct torc_shared_set *set)
{
	struct torc_pool_stats stats;
	void *item;

	torc_pool_stats_read(set->pool, &stats);
	if (stats.idle > 0 && set->count < set->config.places &&
	    torc_pool_acquire(set->pool, &item, TORC_AT_ONCE) == 0) {
		add(set, item);
		return 1;
	}
	return set->opening ? 0 : begin_opening(set);
}

/* Parks. */
static int
await_opening(struct torc_shared_set *set, torc_deadline deadline)
{
	int rc;

	if (set->waiting >= set->config.waiters)
		return -ENOBUFS;
	set->waiting++;
	rc = torc_wait(&set->waiters, deadline);
	set->waiting--;
	return rc;
}

/* ---- Calls ---- */

/* Whether it is better than to wait for the one that is opened. */
static bool
is_to_be_used(const struct torc_shared_set *set,
    const struct torc_shared *best, bool waited)
{
	return best != NULL &&
	    (waited || !set->opening || !torc_shared_is_quiet(best));
}

int
torc_shared_join(struct torc_shared_set *set, struct torc_shared **shared,
    torc_deadline deadline)
{
	bool waited = false;

	for (;;) {
		struct torc_shared *best = pick(set);
		int rc = 0;

		if (is_more_wanted(set, best)) {
			rc = widen(set);
			best = rc > 0 ? pick(set) : best;
		}
		if (is_to_be_used(set, best, waited)) {
			best->users++;
			set->users++;
			*shared = best;
			return 0;
		}
		if (rc >= 0)
			rc = set->opening ? await_opening(set, deadline) :
			    -EBUSY;
		/* Behind other requests, rather than not at all. */
		waited = rc < 0 && rc != -ECANCELED && !torc_passed(deadline) &&
		    find_best(set) != NULL;
		if (rc < 0 && !waited)
			return rc;
	}
}

void
torc_shared_leave(struct torc_shared *shared)
{
	struct torc_shared_set *set = shared->set;

	torc_assert(set != NULL && shared->users > 0 && set->users > 0);
	if (shared->pipeline.error != 0)
		torc_shared_retire(shared);
	shared->users--;
	set->users--;
	if (shared->users == 0 && (shared->retired ||
	    (!set->kind->keeps && shared->pipeline.count == 0)))
		give_back(shared);
}

int
torc_shared_begin(struct torc_shared *shared, struct torc_request *request,
    torc_deadline deadline)
{
	int rc = torc_pipeline_begin(&shared->pipeline, request, deadline);

	if (rc == 0 && shared->pipeline.count == 1)	/* this one */
		shared->quiet_since = torc_now();
	return rc;
}

/* ---- Its life ---- */

int
torc_shared_set_init(struct torc_shared_set *set,
    const struct torc_shared_kind *kind, struct torc_pool *pool,
    const struct torc_shared_config *config)
{
	torc_assert(config->places > 0 && kind->enter != NULL);
	*set = (struct torc_shared_set) { .kind = kind, .pool = pool,
		.config = *config };
	set->members = torc_sys_alloc_array(config->places,
	    sizeof(*set->members));
	return set->members != NULL ? 0 : -ENOMEM;
}

void
torc_shared_set_rest(struct torc_shared_set *set)
{
	while (set->count > 0)
		torc_shared_retire(set->members[0]);
}

void
torc_shared_set_end(struct torc_shared_set *set)
{
	reap_opener(set);
	torc_shared_set_rest(set);
	torc_sys_free(set->members);
	set->members = NULL;
}

bool
torc_shared_set_is_used(const struct torc_shared_set *set)
{
	return set->users > 0 || set->waiting > 0;
}
