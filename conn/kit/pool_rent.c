/* SPDX-License-Identifier: MIT */
/*
 * pool_rent.c - which fiber has a connection of a pool, and which is next.
 *
 * A place is the right to a connection: there are `size` of them. Lines of
 * fibers, one for each key, take turns for places; a fiber with a place has
 * the next connection that comes back or is opened. It is rented to the fiber
 * before that runs, so nobody can overtake it.
 */
#include <errno.h>

#include "conn/kit/pool.h"
#include "reactor/config.h"
#include "sys/sys.h"

#define SHARE 3u		/* times what is free: the most of one key */

/* A fiber that waits, on its stack. */
struct renter {
	struct torc_node node;
	struct torc_fiber *fiber;
	struct torc_pool_queue *queue;
	struct torc_pool_entry *entry;	/* its own, after `done` and 0 */
	int result;
	bool fresh;
	bool placed;
	bool done;
};

/* ---- What is rented ---- */

static uint32_t *
bucket_of(const struct torc_pool *pool, const void *item)
{
	return &pool->buckets[torc_pool_hash((uintptr_t)item, 0) &
	    pool->bucket_mask];
}

static void
rent_out(struct torc_pool_entry *entry, struct torc_pool_queue *queue)
{
	struct torc_pool *pool = entry->pool;
	uint32_t *bucket = bucket_of(pool, entry->item);

	torc_pool_set_state(entry, TORC_POOL_RENTED);
	entry->queue = queue;
	entry->next = *bucket;
	*bucket = (uint32_t)(entry - pool->entries) + 1;
}

/* Where the index of a rented entry is in its chain, or NULL. */
static uint32_t *
find_rented(const struct torc_pool *pool, const void *item)
{
	uint32_t *at = bucket_of(pool, item);

	while (*at != 0) {
		struct torc_pool_entry *entry =
		    (struct torc_pool_entry *)&pool->entries[*at - 1];

		if (entry->item == item)
			return at;
		at = &entry->next;
	}
	return NULL;
}

/* ---- Places ---- */

static void
hold(struct torc_pool *pool, struct torc_pool_queue *queue)
{
	queue->held++;
	pool->held++;
}

static void
let_go(struct torc_pool *pool, struct torc_pool_queue *queue)
{
	torc_assert(queue->held > 0 && pool->held > 0);
	queue->held--;
	pool->held--;
}

/* Whether a queue may have one more place. */
static bool
has_share(const struct torc_pool *pool, const struct torc_pool_queue *queue)
{
	const unsigned size = pool->config.size;

	return pool->held < size && (queue == &pool->common ||
	    queue->held < SHARE * (size - pool->held));
}

/* Out of the queue it is in; `result` is known. */
static void
take_out(struct torc_pool *pool, struct renter *renter)
{
	struct torc_pool_queue *queue = renter->queue;

	torc_list_remove(&renter->node);
	pool->waiting--;
	if (renter->placed) {
		pool->placed--;
		return;
	}
	queue->waiting--;
	if (queue->waiting == 0)
		torc_list_remove(&queue->turn);
}

/*
 * It waits no more. Nothing happens if its time was up: it sees that it is
 * done. It may run at once.
 */
static void
finish(struct renter *renter, int result)
{
	renter->result = result;
	renter->done = true;
	torc_fiber_wake(renter->fiber, 0);
}

static void
hand_over(struct torc_pool *pool, struct renter *renter,
    struct torc_pool_entry *entry)
{
	rent_out(entry, renter->queue);
	take_out(pool, renter);
	renter->entry = entry;
	finish(renter, 0);
}

static struct renter *
first_of(const struct torc_list *list)
{
	return torc_list_empty(list) ? NULL :
	    torc_container(list->ends.next, struct renter, node);
}

/* It has a place, and with it an idle connection, or it waits for one. */
static void
place(struct torc_pool *pool, struct renter *renter)
{
	struct torc_pool_queue *queue = renter->queue;
	struct torc_pool_entry *entry = renter->fresh ? NULL :
	    torc_pool_pick_up(pool);

	hold(pool, queue);
	torc_list_remove(&queue->turn);
	if (queue->waiting > 1)
		torc_list_append(&pool->turns, &queue->turn);
	torc_list_remove(&renter->node);
	queue->waiting--;
	pool->placed++;
	renter->placed = true;
	torc_list_append(renter->fresh ? &pool->placed_fresh :
	    &pool->placed_any, &renter->node);
	if (entry != NULL)
		hand_over(pool, renter, entry);
}

/* The queue whose turn it is and that may have a place, or NULL. */
static struct torc_pool_queue *
next_queue(const struct torc_pool *pool)
{
	const struct torc_node *end = &pool->turns.ends;

	for (struct torc_node *node = end->next; node != end;
	    node = node->next) {
		struct torc_pool_queue *queue = torc_container(node,
		    struct torc_pool_queue, turn);

		if (has_share(pool, queue))
			return queue;
	}
	return NULL;
}

void
torc_pool_settle(struct torc_pool *pool)
{
	struct torc_pool_queue *queue;

	/* No fiber of a reactor that has lost its ring runs any more. */
	if (pool->reactor->phase == TORC_PHASE_ENDED)
		return;
	while (pool->held < pool->config.size &&
	    (queue = next_queue(pool)) != NULL)
		place(pool, first_of(&queue->queued));
}

void
torc_pool_offer(struct torc_pool_entry *entry, bool fresh)
{
	struct torc_pool *pool = entry->pool;
	struct renter *renter = fresh ? first_of(&pool->placed_fresh) : NULL;

	if (renter == NULL)
		renter = first_of(&pool->placed_any);
	if (renter != NULL)
		hand_over(pool, renter, entry);
	else
		torc_pool_lay_down(entry);
}

/* ---- Turned away ---- */

/* It has nothing, and its place is free. */
static void
leave_queue(struct torc_pool *pool, struct renter *renter)
{
	take_out(pool, renter);
	if (renter->placed)
		let_go(pool, renter->queue);
	torc_pool_leave_queue(pool, renter->queue);
}

static void
refuse(struct torc_pool *pool, struct renter *renter, int error)
{
	leave_queue(pool, renter);
	finish(renter, error);
}

void
torc_pool_turn_away_fresh(struct torc_pool *pool)
{
	unsigned count = pool->waiting;
	struct renter *renter;

	while (count-- > 0 &&
	    (renter = first_of(&pool->placed_fresh)) != NULL)
		refuse(pool, renter, pool->last_error);
}

static struct renter *
first_of_all(const struct torc_pool *pool)
{
	struct renter *renter = first_of(&pool->placed_fresh);

	if (renter == NULL)
		renter = first_of(&pool->placed_any);
	if (renter != NULL || torc_list_empty(&pool->turns))
		return renter;
	return first_of(&torc_container(pool->turns.ends.next,
	    struct torc_pool_queue, turn)->queued);
}

void
torc_pool_turn_away(struct torc_pool *pool)
{
	/* Not those that come while the first ones run. */
	unsigned count = pool->waiting;
	struct renter *renter;

	while (count-- > 0 && (renter = first_of_all(pool)) != NULL)
		refuse(pool, renter, pool->last_error);
}

/*
 * As many fibers wait as may wait. The last fiber of the longest queue makes
 * room, if that queue is longer than `mine` would be with one more.
 */
static bool
make_room(struct torc_pool *pool, const struct torc_pool_queue *mine)
{
	const struct torc_node *end = &pool->turns.ends;
	struct torc_pool_queue *longest = NULL;

	for (struct torc_node *node = end->next; node != end;
	    node = node->next) {
		struct torc_pool_queue *queue = torc_container(node,
		    struct torc_pool_queue, turn);

		if (longest == NULL || queue->waiting > longest->waiting)
			longest = queue;
	}
	if (longest == NULL || longest->waiting <= mine->waiting + 1)
		return false;
	refuse(pool, torc_container(longest->queued.ends.prev, struct renter,
	    node), -ENOBUFS);
	return true;
}

/* ---- Renting ---- */

/* Parks. */
static int
queue_up(struct torc_pool *pool, struct renter *renter, torc_deadline deadline)
{
	struct torc_pool_queue *queue = renter->queue;
	int rc = 0;

	if (deadline.at <= pool->reactor->due)
		rc = -ETIMEDOUT;
	else if (pool->waiting >= pool->config.waiters &&
	    !make_room(pool, queue))
		rc = -ENOBUFS;
	if (rc < 0) {
		torc_pool_leave_queue(pool, queue);
		return rc;
	}
	torc_list_append(&queue->queued, &renter->node);
	if (queue->waiting++ == 0)
		torc_list_append(&pool->turns, &queue->turn);
	pool->waiting++;
	torc_pool_settle(pool);
	torc_pool_open_more(pool);
	if (renter->done)
		return renter->result;
	rc = torc_fiber_park(pool->reactor, deadline);
	if (renter->done)
		return renter->result;
	leave_queue(pool, renter);
	torc_pool_settle(pool);
	torc_pool_open_more(pool);
	return rc;
}

/* Parks. */
static int
rent(struct torc_pool *pool, const struct torc_pool_wish *wish,
    struct torc_pool_entry **entry, torc_deadline deadline)
{
	struct renter renter = {
		.fiber = pool->reactor->current, .fresh = wish->fresh,
	};
	int rc;

	if (renter.fiber->cancelled)
		return -ECANCELED;
	if (torc_pool_at_the_end(pool))
		return -ESHUTDOWN;
	/* One had ended before it was used, and so may others have. */
	if (wish->fresh)
		torc_pool_weed(pool);
	renter.queue = torc_pool_queue_of(pool, wish->key);
	if (!wish->fresh && renter.queue->waiting == 0 &&
	    has_share(pool, renter.queue) &&
	    (*entry = torc_pool_pick_up(pool)) != NULL) {
		hold(pool, renter.queue);
		rent_out(*entry, renter.queue);
		return 0;
	}
	rc = queue_up(pool, &renter, deadline);
	if (rc < 0)
		return rc;
	*entry = renter.entry;
	if (!renter.fiber->cancelled)
		return 0;
	/* It came in the moment of the cancel, and nothing was done to it. */
	torc_pool_release(pool, renter.entry->item, true);
	return -ECANCELED;
}

int
torc_pool_acquire_for_sized(struct torc_pool *pool,
    const struct torc_pool_wish *wish, size_t wish_size, void **item,
    torc_deadline deadline)
{
	struct torc_pool_entry *entry = NULL;
	struct torc_pool_wish known;
	int rc;

	torc_pool_check(pool);
	torc_require(torc_reactor_of_fiber() == pool->reactor,
	    "a pool is used on another thread than its reactor's");
	torc_require(item != NULL, "an acquire needs a place for the item");
	torc_require(pool->destroyer == NULL,
	    "a pool is used while it is being destroyed");
	rc = torc_config_take(&known, sizeof(known), wish, wish_size,
	    "torc_pool_wish", NULL);
	if (rc == 0)
		rc = rent(pool, &known, &entry, deadline);
	if (rc < 0) {
		pool->stats.refusals++;
		return rc;
	}
	pool->stats.acquires++;
	*item = entry->item;
	return 0;
}

int
torc_pool_acquire(struct torc_pool *pool, void **item, torc_deadline deadline)
{
	return torc_pool_acquire_for(pool, NULL, item, deadline);
}

/* Where the entry of what is rented is in its chain. */
static uint32_t *
rented(struct torc_pool *pool, const void *item)
{
	uint32_t *at;

	torc_pool_check(pool);
	if (pool->reactor->phase != TORC_PHASE_ENDED)
		torc_reactor_check(pool->reactor);
	at = find_rented(pool, item);
	torc_require(at != NULL,
	    "an item is released twice, or was never acquired");
	return at;
}

static void
count_again(struct torc_pool_entry *entry)
{
	entry->aside = false;
	entry->pool->aside--;
	entry->queue->aside--;
	hold(entry->pool, entry->queue);
}

/* Its renter has no part in it any more. */
static struct torc_pool_entry *
give_up(struct torc_pool *pool, const void *item)
{
	uint32_t *at = rented(pool, item);
	struct torc_pool_entry *entry = &pool->entries[*at - 1];

	if (entry->aside)
		count_again(entry);
	*at = entry->next;
	let_go(pool, entry->queue);
	torc_pool_leave_queue(pool, entry->queue);
	return entry;
}

void
torc_pool_release(struct torc_pool *pool, void *item, bool reusable)
{
	struct torc_pool_entry *entry = give_up(pool, item);
	const bool ended = pool->reactor->phase == TORC_PHASE_ENDED;

	/* There may be too many after one was set aside for a while. */
	reusable = reusable && !ended && entry->old_at > pool->reactor->now &&
	    torc_pool_active(pool) <= pool->config.size;
	if (!reusable)
		torc_pool_leave(entry);
	torc_pool_settle(pool);
	if (reusable)
		torc_pool_offer(entry, false);
	torc_pool_open_more(pool);
}

void
torc_pool_take(struct torc_pool *pool, void *item)
{
	torc_pool_set_free(give_up(pool, item));
	torc_pool_settle(pool);
	torc_pool_open_more(pool);
}

int
torc_pool_set_aside(struct torc_pool *pool, void *item, bool aside)
{
	struct torc_pool_entry *entry = &pool->entries[*rented(pool, item) -
	    1];

	if (entry->aside == aside)
		return 0;
	if (!aside) {
		count_again(entry);
		return 0;
	}
	if (pool->aside >= pool->config.aside_max)
		return -ENOBUFS;
	entry->aside = true;
	entry->queue->aside++;
	pool->aside++;
	let_go(pool, entry->queue);
	torc_pool_settle(pool);
	torc_pool_open_more(pool);
	return 0;
}
