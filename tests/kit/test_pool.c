/* SPDX-License-Identifier: MIT */
/*
 * test_pool.c - pools of connections: against a kind that has no network, and
 * at the end against sockets.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conn/conn.h"
#include "conn/kit/torc_client.h"
#include "tests/on_fiber.h"

#define COUNT 16

/*
 * What holds on the reactor's thread is returned to the test's, as the line of
 * the first thing that does not hold.
 */
/* ---- A backend without network ---- */

struct backend {
	int result;		/* of open */
	unsigned open_ms;	/* that it takes */
	unsigned close_ms;
	unsigned opens;		/* tried */
	unsigned closes;
	unsigned frees;
	unsigned opening;
	unsigned most_alive;	/* open or being opened, ever */
	struct item *broken;	/* the one that is found unusable */
	struct torc_pool *pool;
};

struct item {
	unsigned serial;
};

static unsigned
alive(const struct backend *backend)
{
	struct torc_pool_stats stats;

	torc_pool_stats_read(backend->pool, &stats);
	return stats.idle + stats.rented + stats.opening;
}

static int
open_item(void **out, torc_deadline deadline, void *arg)
{
	struct backend *backend = arg;
	struct item *item;
	torc_deadline until = torc_after_ms(backend->open_ms);
	int rc = 0;

	backend->opens++;
	if (alive(backend) > backend->most_alive)
		backend->most_alive = alive(backend);
	if (backend->open_ms > 0) {
		backend->opening++;
		rc = torc_sleep(torc_sooner(until, deadline));
		backend->opening--;
		if (rc == 0 && deadline.at <= until.at)
			rc = -ETIMEDOUT;
	}
	if (rc == 0)
		rc = backend->result;
	if (rc < 0)
		return rc;
	item = calloc(1, sizeof(*item));
	item->serial = backend->opens;
	*out = item;
	return 0;
}

static void
close_item(void *item, void *arg)
{
	struct backend *backend = arg;

	if (backend->close_ms > 0)
		torc_sleep(torc_after_ms(backend->close_ms));
	backend->closes++;
	free(item);
}

static void
free_item(void *item, void *arg)
{
	struct backend *backend = arg;

	backend->frees++;
	free(item);
}

static bool
item_usable(void *item, void *arg)
{
	const struct backend *backend = arg;

	return item != backend->broken;
}

static const struct torc_pool_kind fake = {
	.name = "fake",
	.open = open_item,
	.close = close_item,
	.free = free_item,
	.usable = item_usable,
};

static int
create(struct backend *backend, const struct torc_pool_config *config)
{
	struct torc_error error;
	int rc = torc_pool_create(&backend->pool, &fake, backend, config,
	    &error);

	if (rc < 0)
		fprintf(stderr, "%s\n", error.text);
	return rc;
}

static void *
acquire(struct backend *backend)
{
	void *item = NULL;

	return torc_pool_acquire(backend->pool, &item, LATE) == 0 ? item :
	    NULL;
}

static struct torc_pool_stats
stats_of(const struct backend *backend)
{
	struct torc_pool_stats stats;

	torc_pool_stats_read(backend->pool, &stats);
	return stats;
}

/* Destroy the pool; whether all that was opened was closed. */
static bool
destroy(struct backend *backend)
{
	struct torc_pool_stats stats = stats_of(backend);

	torc_pool_destroy(backend->pool, TORC_NEVER);
	return stats.opens == backend->closes && backend->frees == 0;
}

/* ---- Fibers that rent ---- */

struct scene {
	struct backend *backend;
	torc_deadline deadline;
	uint64_t key;		/* of those that enter next */
	unsigned order[2 * COUNT];	/* in which they went on */
	unsigned gone;
	unsigned hold_ms;
};

struct actor {
	struct scene *scene;
	unsigned index;
	unsigned place;		/* in `order` */
	uint64_t key;
	uint64_t id;
	int result;
	void *item;		/* kept, if `hold_ms` is 0 */
};

static int
act(void *arg)
{
	struct actor *actor = arg;
	struct scene *scene = actor->scene;
	const struct torc_pool_wish wish = { .key = actor->key };

	actor->result = torc_pool_acquire_for(
	    scene->backend->pool, &wish, &actor->item, scene->deadline);
	actor->place = scene->gone;
	scene->order[scene->gone++] = actor->index;
	if (actor->result == 0 && scene->hold_ms > 0) {
		torc_sleep(torc_after_ms(scene->hold_ms));
		torc_pool_release(scene->backend->pool, actor->item, true);
	}
	return 0;
}

static int
enter(struct scene *scene, struct actor *actors, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		actors[i] = (struct actor) { .scene = scene, .index = i,
			.key = scene->key, .result = 1000 };
		EXPECT(torc_fiber_spawn(&actors[i].id, act, &actors[i]) == 0);
	}
	EXPECT(torc_yield() == 0);
	return 0;
}

static int
leave(struct actor *actors, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		EXPECT(torc_fiber_join(actors[i].id, NULL, LATE) == 0);
	return 0;
}

/* ---- Which one ---- */

static int
take_newest(void *arg)
{
	struct backend backend = { 0 };
	void *items[3];

	(void)arg;
	EXPECT(create(&backend, NULL) == 0);
	for (int i = 0; i < 3; i++)
		EXPECT((items[i] = acquire(&backend)) != NULL);
	EXPECT(backend.opens == 3);
	torc_pool_release(backend.pool, items[1], true);
	torc_pool_release(backend.pool, items[2], true);
	torc_pool_release(backend.pool, items[0], true);
	EXPECT(stats_of(&backend).idle == 3);
	EXPECT(acquire(&backend) == items[0]);
	EXPECT(acquire(&backend) == items[2]);
	EXPECT(acquire(&backend) == items[1]);
	EXPECT(backend.opens == 3 && stats_of(&backend).acquires == 6);
	for (int i = 0; i < 3; i++)
		torc_pool_release(backend.pool, items[i], true);
	EXPECT(destroy(&backend));
	return 0;
}

static void
the_newest_idle_one_is_used_first(void **state)
{
	(void)state;
	on_fiber(take_newest, NULL);
}

static int
find_broken(void *arg)
{
	struct backend backend = { 0 };
	void *first, *second, *third;

	(void)arg;
	EXPECT(create(&backend, NULL) == 0);
	EXPECT((first = acquire(&backend)) != NULL);
	EXPECT((second = acquire(&backend)) != NULL);
	torc_pool_release(backend.pool, first, true);
	torc_pool_release(backend.pool, second, true);
	backend.broken = second;
	EXPECT(acquire(&backend) == first);
	EXPECT(backend.opens == 2);
	EXPECT(torc_yield() == 0);
	EXPECT(backend.closes == 1);
	backend.broken = NULL;
	EXPECT((third = acquire(&backend)) != NULL && backend.opens == 3);
	torc_pool_release(backend.pool, first, false);
	torc_pool_release(backend.pool, third, true);
	EXPECT(destroy(&backend));
	return 0;
}

static void
what_cannot_be_used_any_more_is_closed(void **state)
{
	(void)state;
	on_fiber(find_broken, NULL);
}

/* ---- How many ---- */

static int
crowd(void *arg)
{
	const struct torc_pool_config config = { .size = 3 };
	struct backend backend = { .open_ms = 5 };
	struct scene scene = { .backend = &backend, .deadline = LATE,
		.hold_ms = 1 };
	struct actor actors[COUNT];

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	EXPECT(enter(&scene, actors, COUNT) == 0);
	EXPECT(leave(actors, COUNT) == 0);
	for (int i = 0; i < COUNT; i++)
		EXPECT(actors[i].result == 0);
	EXPECT(backend.most_alive == 3 && backend.opens == 3);
	EXPECT(destroy(&backend));
	return 0;
}

static void
no_more_than_size_are_open(void **state)
{
	(void)state;
	on_fiber(crowd, NULL);
}

static int
overtake(void *arg)
{
	const struct torc_pool_config config = { .size = 1 };
	struct backend backend = { 0 };
	struct scene scene = { .backend = &backend, .deadline = LATE };
	struct actor actors[COUNT];
	void *item, *mine;

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	EXPECT((item = acquire(&backend)) != NULL);
	EXPECT(enter(&scene, actors, COUNT) == 0);
	for (unsigned i = 0; i < COUNT; i++) {
		torc_pool_release(backend.pool, item, true);
		/* He was woken and has not run: it is his already. */
		EXPECT(scene.gone == i);
		EXPECT(torc_pool_acquire(backend.pool, &mine, TORC_AT_ONCE) ==
		    -ETIMEDOUT);
		EXPECT(torc_yield() == 0);
		EXPECT(scene.gone == i + 1 && scene.order[i] == i);
		EXPECT(actors[i].result == 0 && actors[i].item == item);
	}
	torc_pool_release(backend.pool, item, true);
	EXPECT(torc_pool_acquire(backend.pool, &mine, TORC_AT_ONCE) == 0);
	torc_pool_release(backend.pool, mine, true);
	EXPECT(leave(actors, COUNT) == 0);
	EXPECT(destroy(&backend));
	return 0;
}

static void
waiters_are_served_in_order_and_nobody_overtakes(void **state)
{
	(void)state;
	on_fiber(overtake, NULL);
}

static int
fill_queue(void *arg)
{
	const struct torc_pool_config config = { .size = 1, .waiters = 3 };
	struct backend backend = { 0 };
	struct scene scene = { .backend = &backend, .deadline = LATE,
		.hold_ms = 1 };
	struct actor actors[3];
	void *item, *other;

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	EXPECT((item = acquire(&backend)) != NULL);
	EXPECT(enter(&scene, actors, 3) == 0);
	EXPECT(stats_of(&backend).waiting == 3 && scene.gone == 0);
	EXPECT(torc_pool_acquire(backend.pool, &other, LATE) == -ENOBUFS);
	torc_pool_release(backend.pool, item, true);
	EXPECT(leave(actors, 3) == 0);
	for (int i = 0; i < 3; i++)
		EXPECT(actors[i].result == 0);
	EXPECT(destroy(&backend));
	return 0;
}

static void
one_waiter_too_many_is_refused(void **state)
{
	(void)state;
	on_fiber(fill_queue, NULL);
}

/* ---- Time ---- */

static int
be_late(void *arg)
{
	const struct torc_pool_config config = { .size = 1 };
	struct backend backend = { .open_ms = 200 };
	torc_deadline deadline = SOON;
	void *item;

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	EXPECT(torc_pool_acquire(backend.pool, &item, deadline) ==
	    -ETIMEDOUT);
	EXPECT(torc_passed(deadline) && stats_of(&backend).waiting == 0);
	/* Who asked has gone; what he asked for is of use all the same. */
	EXPECT(stats_of(&backend).opening == 1);
	EXPECT((item = acquire(&backend)) != NULL);
	EXPECT(backend.opens == 1);
	EXPECT(torc_pool_acquire(backend.pool, &item, SOON) == -ETIMEDOUT);
	torc_pool_release(backend.pool, item, true);
	EXPECT(destroy(&backend));
	return 0;
}

static void
one_deadline_ends_an_acquire_whatever_it_waits_for(void **state)
{
	(void)state;
	on_fiber(be_late, NULL);
}

/* All that is rented ends in use, again and again. */
static int
end_all(void *arg)
{
	const struct torc_pool_config config = { .size = 4,
	    .retry_min_ms = 60000 };
	struct backend backend = { .result = 0 };
	void *items[4];

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	for (unsigned i = 1; i <= 10; i++) {
		for (int j = 0; j < 4; j++)
			EXPECT((items[j] = acquire(&backend)) != NULL);
		for (int j = 0; j < 4; j++)
			torc_pool_release(backend.pool, items[j], false);
		EXPECT(stats_of(&backend).failures == 0);
		EXPECT(stats_of(&backend).opens == i * 4);
		EXPECT(torc_yield() == 0);
	}
	EXPECT(stats_of(&backend).refusals == 0);
	EXPECT(destroy(&backend));
	return 0;
}

static void
what_ends_in_use_makes_no_pause_for_anybody(void **state)
{
	(void)state;
	on_fiber(end_all, NULL);
}

static void *
acquire_fresh(struct backend *backend)
{
	const struct torc_pool_wish wish = { .fresh = true };
	void *item = NULL;

	return torc_pool_acquire_for(backend->pool, &wish, &item, LATE) == 0 ?
	    item : NULL;
}

static int
take_fresh(void *arg)
{
	const struct torc_pool_config config = { .size = 4 };
	struct backend backend = { .result = 0 };
	void *items[3], *fresh;

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	for (int i = 0; i < 3; i++)
		EXPECT((items[i] = acquire(&backend)) != NULL);
	for (int i = 0; i < 3; i++)
		torc_pool_release(backend.pool, items[i], true);
	EXPECT((fresh = acquire_fresh(&backend)) != NULL);
	EXPECT(backend.opens == 4 && stats_of(&backend).idle == 3);
	torc_pool_release(backend.pool, fresh, true);
	/* There is room for no other: the one idle longest makes it. */
	EXPECT((fresh = acquire_fresh(&backend)) != NULL);
	EXPECT(backend.opens == 5 && stats_of(&backend).idle == 3);
	EXPECT(torc_yield() == 0 && backend.closes == 1);
	torc_pool_release(backend.pool, fresh, true);
	EXPECT(acquire(&backend) == fresh);
	EXPECT((items[1] = acquire(&backend)) != items[0]);
	EXPECT(stats_of(&backend).idle == 2);
	EXPECT(backend.most_alive == 4);
	torc_pool_release(backend.pool, fresh, true);
	torc_pool_release(backend.pool, items[1], true);
	EXPECT(destroy(&backend));
	return 0;
}

static void
a_fresh_one_is_opened_beside_idle_ones_that_stay(void **state)
{
	(void)state;
	on_fiber(take_fresh, NULL);
}

/* Others may have ended together with the one that is replaced. */
static int
weed(void *arg)
{
	const struct torc_pool_config config = { .retry_min_ms = 1 };
	struct backend backend = { .result = 0 };
	void *items[4], *fresh;

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	for (int i = 0; i < 4; i++)
		EXPECT((items[i] = acquire(&backend)) != NULL);
	for (int i = 0; i < 4; i++)
		torc_pool_release(backend.pool, items[i], true);
	backend.broken = items[1];
	EXPECT((fresh = acquire_fresh(&backend)) != NULL);
	EXPECT(stats_of(&backend).idle == 3);
	/* And so it is when no other one can be opened. */
	backend.broken = items[0];
	backend.result = -ECONNREFUSED;
	EXPECT(acquire_fresh(&backend) == NULL);
	EXPECT(stats_of(&backend).idle == 2);
	torc_pool_release(backend.pool, fresh, true);
	EXPECT(destroy(&backend));
	return 0;
}

static void
what_has_ended_leaves_when_that_shows(void **state)
{
	(void)state;
	on_fiber(weed, NULL);
}

/* Fresh ones cannot be opened; what is rented is of no use to who waits. */
static int
fail_fresh(void *arg)
{
	const struct torc_pool_config config = { .size = 2,
	    .retry_min_ms = 60000 };
	struct backend backend = { .result = 0 };
	struct scene scene = { .backend = &backend, .deadline = LATE };
	struct actor actor;
	void *item;

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	EXPECT((item = acquire(&backend)) != NULL);
	backend.result = -ECONNREFUSED;
	EXPECT(acquire_fresh(&backend) == NULL);
	EXPECT(enter(&scene, &actor, 1) == 0 && scene.gone == 0);
	torc_pool_release(backend.pool, item, true);
	EXPECT(leave(&actor, 1) == 0 && actor.item == item);
	torc_pool_release(backend.pool, item, true);
	EXPECT(destroy(&backend));
	return 0;
}

static void
a_fresh_one_that_cannot_be_opened_is_not_waited_for(void **state)
{
	(void)state;
	on_fiber(fail_fresh, NULL);
}

/* ---- Keys ---- */

static int
take_turns(void *arg)
{
	const struct torc_pool_config config = { .size = 1 };
	struct backend backend = { .result = 0 };
	struct scene scene = { .backend = &backend, .deadline = LATE,
	    .hold_ms = 1 };
	struct actor greedy[8], modest[2];
	void *item;

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	EXPECT((item = acquire(&backend)) != NULL);
	scene.key = 1;
	EXPECT(enter(&scene, greedy, 8) == 0);
	scene.key = 2;
	EXPECT(enter(&scene, modest, 2) == 0);
	torc_pool_release(backend.pool, item, true);
	EXPECT(leave(greedy, 8) == 0 && leave(modest, 2) == 0);
	/* Behind the one that was first, and behind one more. */
	EXPECT(modest[0].place == 1 && modest[1].place == 3);
	EXPECT(greedy[7].place == 9);
	EXPECT(destroy(&backend));
	return 0;
}

static void
keys_take_turns(void **state)
{
	(void)state;
	on_fiber(take_turns, NULL);
}

static int
leave_reserve(void *arg)
{
	const struct torc_pool_config config = { .size = 8 };
	struct backend backend = { .result = 0 };
	struct scene scene = { .backend = &backend, .deadline = LATE };
	struct actor greedy[COUNT], others[2], nobody[2];

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	scene.key = 1;
	EXPECT(enter(&scene, greedy, COUNT) == 0);
	EXPECT(torc_yield() == 0);
	EXPECT(scene.gone == 6 && stats_of(&backend).waiting == COUNT - 6);
	/* Others find something free, be there who waits or not. */
	scene.key = 2;
	EXPECT(enter(&scene, others, 1) == 0 && torc_yield() == 0);
	EXPECT(others[0].result == 0);
	scene.key = 0;
	EXPECT(enter(&scene, nobody, 1) == 0 && torc_yield() == 0);
	EXPECT(nobody[0].result == 0 && stats_of(&backend).rented == 8);
	/* What comes back is not at once for who has most. */
	torc_pool_release(backend.pool, greedy[0].item, true);
	EXPECT(torc_yield() == 0 && scene.gone == 8);
	EXPECT(stats_of(&backend).idle == 1);
	torc_pool_release(backend.pool, others[0].item, true);
	torc_pool_release(backend.pool, nobody[0].item, true);
	EXPECT(torc_yield() == 0 && scene.gone == 9);
	scene.hold_ms = 1;
	for (int i = 1; i < 7; i++)
		torc_pool_release(backend.pool, greedy[i].item, true);
	EXPECT(leave(greedy, COUNT) == 0);
	EXPECT(leave(others, 1) == 0 && leave(nobody, 1) == 0);
	EXPECT(backend.most_alive <= 8);
	EXPECT(destroy(&backend));
	return 0;
}

static void
one_key_leaves_a_reserve_to_others(void **state)
{
	(void)state;
	on_fiber(leave_reserve, NULL);
}

static int
crowd_out(void *arg)
{
	const struct torc_pool_config config = { .size = 1, .waiters = 4 };
	struct backend backend = { .result = 0 };
	struct scene scene = { .backend = &backend, .deadline = LATE,
	    .hold_ms = 1 };
	struct actor greedy[5], modest[2];
	void *item;

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	EXPECT((item = acquire(&backend)) != NULL);
	scene.key = 1;
	EXPECT(enter(&scene, greedy, 5) == 0);
	EXPECT(greedy[4].result == -ENOBUFS && scene.gone == 1);
	scene.key = 2;
	EXPECT(enter(&scene, modest, 2) == 0 && torc_yield() == 0);
	/* Until both have the same. */
	EXPECT(greedy[3].result == -ENOBUFS && greedy[2].result == -ENOBUFS);
	EXPECT(scene.gone == 3 && stats_of(&backend).waiting == 4);
	torc_pool_release(backend.pool, item, true);
	EXPECT(leave(greedy, 5) == 0 && leave(modest, 2) == 0);
	EXPECT(modest[0].result == 0 && modest[1].result == 0);
	EXPECT(greedy[0].result == 0 && greedy[1].result == 0);
	EXPECT(destroy(&backend));
	return 0;
}

static void
the_longest_line_makes_room_in_a_full_queue(void **state)
{
	(void)state;
	on_fiber(crowd_out, NULL);
}

/* ---- Set aside ---- */

static int
set_aside(void *arg)
{
	const struct torc_pool_config config = { .size = 1, .aside_max = 2 };
	struct backend backend = { .result = 0 };
	struct scene scene = { .backend = &backend, .deadline = LATE };
	struct actor actor;
	void *items[3];

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	EXPECT((items[0] = acquire(&backend)) != NULL);
	/* One that waits has a place as soon as there is one. */
	EXPECT(enter(&scene, &actor, 1) == 0 && scene.gone == 0);
	EXPECT(torc_pool_set_aside(backend.pool, items[0], true) == 0);
	EXPECT(torc_pool_set_aside(backend.pool, items[0], true) == 0);
	EXPECT(leave(&actor, 1) == 0 && actor.result == 0);
	items[1] = actor.item;
	EXPECT(torc_pool_set_aside(backend.pool, items[1], true) == 0);
	EXPECT((items[2] = acquire(&backend)) != NULL);
	EXPECT(torc_pool_set_aside(backend.pool, items[2], true) == -ENOBUFS);
	EXPECT(stats_of(&backend).aside == 2 && stats_of(&backend).rented == 3);
	/* It counts again: it is one too many, and is not kept for later. */
	EXPECT(torc_pool_set_aside(backend.pool, items[1], false) == 0);
	EXPECT(torc_pool_acquire(backend.pool, &items[1], SOON) ==
	    -ETIMEDOUT);
	torc_pool_release(backend.pool, actor.item, true);
	EXPECT(stats_of(&backend).idle == 0);
	torc_pool_release(backend.pool, items[2], true);
	EXPECT(stats_of(&backend).idle == 1);
	torc_pool_release(backend.pool, items[0], false);
	EXPECT(stats_of(&backend).aside == 0 && backend.opens == 3);
	EXPECT(destroy(&backend));
	return 0;
}

static void
one_that_is_set_aside_keeps_nobody_waiting(void **state)
{
	(void)state;
	on_fiber(set_aside, NULL);
}

static int
open_for_ever(void *arg)
{
	const struct torc_pool_config config = { .open_ms = 30 };
	struct backend backend = { .open_ms = 60000 };
	void *item;
	int rc;

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	EXPECT(torc_pool_acquire(backend.pool, &item, LATE) == -ETIMEDOUT);
	EXPECT(stats_of(&backend).failures == 1 && backend.opening == 0);
	EXPECT(stats_of(&backend).last_error == -ETIMEDOUT);
	/* The next one is not blocked by it. */
	backend.open_ms = 0;
	do {
		EXPECT(torc_sleep(torc_after_ms(10)) == 0);
		rc = torc_pool_acquire(backend.pool, &item, LATE);
	} while (rc == -ETIMEDOUT);
	EXPECT(rc == 0 && stats_of(&backend).last_error == 0);
	torc_pool_release(backend.pool, item, true);
	EXPECT(destroy(&backend));
	return 0;
}

static void
an_open_that_hangs_ends_and_the_next_one_succeeds(void **state)
{
	(void)state;
	on_fiber(open_for_ever, NULL);
}

/* Wait until `*count` is `value`, at most 30 s. */
static bool
comes_to(const unsigned *count, unsigned value)
{
	for (int i = 0; i < 3000 && *count != value; i++)
		torc_sleep(torc_after_ms(10));
	return *count == value;
}

static int
let_idle(void *arg)
{
	const struct torc_pool_config config = { .idle_ms = 300 };
	const struct torc_pool_config patient = { .idle_ms = TORC_NO_LIMIT };
	struct backend backend = { 0 }, other = { 0 };
	void *first, *second;
	uint64_t before;

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	EXPECT(create(&other, &patient) == 0);
	EXPECT((first = acquire(&other)) != NULL);
	torc_pool_release(other.pool, first, true);
	EXPECT((first = acquire(&backend)) != NULL);
	EXPECT((second = acquire(&backend)) != NULL);
	before = torc_now();
	torc_pool_release(backend.pool, first, true);
	EXPECT(comes_to(&backend.closes, 1));
	EXPECT(torc_now() - before >= 300000000u);
	/* Only the idle one. */
	EXPECT(stats_of(&backend).rented == 1);
	torc_pool_release(backend.pool, second, true);
	EXPECT(comes_to(&backend.closes, 2));
	EXPECT(other.closes == 0 && stats_of(&other).idle == 1);
	EXPECT(destroy(&backend) && destroy(&other));
	return 0;
}

static void
one_that_is_idle_for_too_long_is_closed(void **state)
{
	(void)state;
	on_fiber(let_idle, NULL);
}

/* Two pools: what one has not, the other may have. */
static int
run_short_of_descriptors(void *arg)
{
	struct backend backend = { 0 }, other = { 0 };
	void *items[3], *mine;

	(void)arg;
	EXPECT(torc_reclaim(1) == 0);
	EXPECT(create(&backend, NULL) == 0 && create(&other, NULL) == 0);
	for (int i = 0; i < 3; i++)
		EXPECT((items[i] = acquire(&backend)) != NULL);
	EXPECT((mine = acquire(&other)) != NULL);
	EXPECT(torc_reclaim(10) == 0);
	for (int i = 0; i < 3; i++)
		torc_pool_release(backend.pool, items[i], true);
	/* Those that have been idle longest, and nobody's that is rented. */
	EXPECT(torc_reclaim(2) == 2);
	EXPECT(comes_to(&backend.closes, 2));
	EXPECT(acquire(&backend) == items[2]);
	EXPECT(torc_reclaim(10) == 0);
	torc_pool_release(backend.pool, items[2], true);
	torc_pool_release(other.pool, mine, true);
	EXPECT(torc_reclaim(10) == 2);
	EXPECT(comes_to(&backend.closes, 3) && comes_to(&other.closes, 1));
	EXPECT(destroy(&backend) && destroy(&other));
	EXPECT(torc_reclaim(10) == 0);
	return 0;
}

static void
idle_connections_make_way_when_descriptors_run_out(void **state)
{
	(void)state;
	on_fiber(run_short_of_descriptors, NULL);
}

static int
grow_old(void *arg)
{
	const struct torc_pool_config config = { .lifetime_ms = 200 };
	struct backend backend = { 0 };
	void *item;

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	/* Used all the time, and yet closed. */
	for (int i = 0; i < 3000 && backend.closes == 0; i++) {
		EXPECT((item = acquire(&backend)) != NULL);
		EXPECT(torc_sleep(torc_after_ms(10)) == 0);
		torc_pool_release(backend.pool, item, true);
		EXPECT(torc_yield() == 0);
	}
	EXPECT(backend.closes >= 1);
	EXPECT(destroy(&backend));
	return 0;
}

static void
one_that_is_too_old_is_not_used_again(void **state)
{
	(void)state;
	on_fiber(grow_old, NULL);
}

/* ---- A backend that fails ---- */

struct storm {
	struct backend *backend;
	torc_deadline until;
	unsigned refused;
	unsigned wrong;		/* refused with another error */
};

static int
insist(void *arg)
{
	struct storm *storm = arg;
	void *item;
	int rc;

	while (!torc_passed(storm->until)) {
		rc = torc_pool_acquire(storm->backend->pool, &item,
		    storm->until);
		if (rc == 0) {
			torc_pool_release(storm->backend->pool, item, true);
			return 0;
		}
		storm->refused++;
		storm->wrong += rc != -ECONNREFUSED && rc != -ETIMEDOUT;
		torc_sleep(torc_after_us(500));
	}
	return 0;
}

static int
blow(struct storm *storm, unsigned ms)
{
	uint64_t ids[64];

	storm->until = torc_after_ms(ms);
	for (int i = 0; i < 64; i++)
		EXPECT(torc_fiber_spawn(&ids[i], insist, storm) == 0);
	for (int i = 0; i < 64; i++)
		EXPECT(torc_fiber_join(ids[i], NULL, LATE) == 0);
	return 0;
}

static int
storm_dead(void *arg)
{
	struct backend backend = { .result = -ECONNREFUSED };
	struct storm storm = { .backend = &backend };
	uint64_t begin;
	unsigned seconds;

	(void)arg;
	EXPECT(create(&backend, NULL) == 0);
	begin = torc_now();
	EXPECT(blow(&storm, 1000) == 0);
	/* A slow machine may have taken longer. */
	seconds = (unsigned)((torc_now() - begin) / 1000000000u) + 1;
	EXPECT(storm.wrong == 0 && storm.refused > backend.opens);
	EXPECT(backend.opens >= 3 && backend.opens < 25 * seconds);
	/* It is back: all are served, after one pause at most. */
	backend.result = 0;
	backend.opens = 0;
	EXPECT(blow(&storm, 60000) == 0);
	EXPECT(!torc_passed(storm.until) && backend.opens <= 8);
	EXPECT(stats_of(&backend).last_error == 0);
	torc_pool_destroy(backend.pool, TORC_NEVER);
	return 0;
}

static void
a_dead_backend_sees_few_connects_and_its_return_is_noticed(void **state)
{
	(void)state;
	on_fiber(storm_dead, NULL);
}

static int
break_circuit(void *arg)
{
	const struct torc_pool_config config = { .size = 2,
		.retry_min_ms = 60000 };
	struct backend backend = { .result = -ECONNREFUSED };
	struct backend other = { 0 };
	struct scene scene = { .backend = &other, .deadline = LATE };
	struct actor actor;
	void *item, *more;

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	for (int i = 0; i < 3; i++)
		EXPECT(torc_pool_acquire(backend.pool, &item, LATE) ==
		    -ECONNREFUSED);
	EXPECT(backend.opens == 1);
	/* While one is rented, there is something to wait for. */
	EXPECT(create(&other, &config) == 0);
	EXPECT((item = acquire(&other)) != NULL);
	other.result = -ECONNRESET;
	EXPECT(torc_pool_acquire(other.pool, &more, SOON) == -ETIMEDOUT);
	EXPECT(enter(&scene, &actor, 1) == 0);
	EXPECT(scene.gone == 0 && other.opens == 2);
	torc_pool_release(other.pool, item, true);
	EXPECT(leave(&actor, 1) == 0 && actor.result == 0);
	/* When that is lost too, who waits hears of it. */
	EXPECT(enter(&scene, &actor, 1) == 0);
	torc_pool_release(other.pool, item, false);
	EXPECT(leave(&actor, 1) == 0 && actor.result == -ECONNRESET);
	EXPECT(other.opens == 2);
	EXPECT(destroy(&backend) && destroy(&other));
	return 0;
}

static void
in_a_pause_acquires_fail_at_once_unless_one_may_come_back(void **state)
{
	(void)state;
	on_fiber(break_circuit, NULL);
}

static int
retry_alone(void *arg)
{
	const struct torc_pool_config config = { .size = 2,
		.retry_min_ms = 100 };
	struct backend backend = { 0 };
	struct scene scene = { .backend = &backend, .deadline = LATE };
	struct actor actor;
	void *item;

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	EXPECT((item = acquire(&backend)) != NULL);
	backend.result = -ECONNREFUSED;
	EXPECT(enter(&scene, &actor, 1) == 0);
	EXPECT(torc_yield() == 0);
	EXPECT(stats_of(&backend).failures == 1);
	/* Nobody asks again, and nothing comes back: it is tried again. */
	backend.result = 0;
	EXPECT(leave(&actor, 1) == 0);
	EXPECT(actor.result == 0 && actor.item != item);
	torc_pool_release(backend.pool, item, true);
	torc_pool_release(backend.pool, actor.item, true);
	EXPECT(destroy(&backend));
	return 0;
}

static void
after_a_pause_one_is_opened_for_those_who_wait(void **state)
{
	(void)state;
	on_fiber(retry_alone, NULL);
}

static int
give_back_broken(void *arg)
{
	const struct torc_pool_config config = { .size = 1 };
	struct backend backend = { .close_ms = 200 };
	struct scene scene = { .backend = &backend, .deadline = LATE };
	struct actor actor;
	void *item;

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	EXPECT((item = acquire(&backend)) != NULL);
	EXPECT(enter(&scene, &actor, 1) == 0);
	torc_pool_release(backend.pool, item, false);
	EXPECT(leave(&actor, 1) == 0);
	EXPECT(actor.result == 0 && backend.opens == 2);
	/* It did not wait for the goodbye. */
	EXPECT(backend.closes == 0 && stats_of(&backend).closing == 1);
	torc_pool_release(backend.pool, actor.item, true);
	EXPECT(destroy(&backend) && backend.closes == 2);
	return 0;
}

static void
a_broken_one_makes_room_before_it_is_closed(void **state)
{
	(void)state;
	on_fiber(give_back_broken, NULL);
}

/* ---- Cancelling ---- */

static int
cancel_waiters(void *arg)
{
	const struct torc_pool_config config = { .size = 1 };
	struct backend backend = { 0 };
	struct scene scene = { .backend = &backend, .deadline = LATE };
	struct actor actors[3];
	void *item;

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	EXPECT((item = acquire(&backend)) != NULL);
	EXPECT(enter(&scene, actors, 3) == 0);
	EXPECT(torc_fiber_cancel(actors[0].id) == 0);
	EXPECT(torc_yield() == 0);
	EXPECT(actors[0].result == -ECANCELED);
	/* Handed over and cancelled in the same moment: the next has it. */
	torc_pool_release(backend.pool, item, true);
	EXPECT(torc_fiber_cancel(actors[1].id) == 0);
	EXPECT(leave(actors, 3) == 0);
	EXPECT(actors[1].result == -ECANCELED);
	EXPECT(actors[2].result == 0 && actors[2].item == item);
	torc_pool_release(backend.pool, item, true);
	EXPECT(stats_of(&backend).waiting == 0 && backend.opens == 1);
	EXPECT(destroy(&backend));
	return 0;
}

static void
a_cancelled_acquire_loses_nothing(void **state)
{
	(void)state;
	on_fiber(cancel_waiters, NULL);
}

/* ---- The end ---- */

static int
destroy_opening(void *arg)
{
	const struct torc_pool_config config = { .open_ms = TORC_NO_LIMIT };
	struct backend backend = { .open_ms = 60000 };
	uint64_t begin = torc_now();
	void *item;

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	EXPECT(torc_pool_acquire(backend.pool, &item, SOON) == -ETIMEDOUT);
	EXPECT(backend.opening == 1);
	torc_pool_destroy(backend.pool, TORC_NEVER);
	EXPECT(backend.opening == 0);
	EXPECT(torc_now() - begin < 50000000000u);
	return 0;
}

static void
destroying_ends_what_is_being_opened(void **state)
{
	(void)state;
	on_fiber(destroy_opening, NULL);
}

/* Two that take a minute to say goodbye. */
static int
destroy_hastily(void *arg)
{
	struct backend backend = { .close_ms = 60000 };
	const uint64_t begin = torc_now();
	void *items[2];

	(void)arg;
	EXPECT(create(&backend, NULL) == 0);
	for (int i = 0; i < 2; i++)
		EXPECT(torc_pool_acquire(backend.pool, &items[i], LATE) == 0);
	for (int i = 0; i < 2; i++)
		torc_pool_release(backend.pool, items[i], i == 0);
	EXPECT(torc_pool_destroy(backend.pool, torc_after_ms(20)) ==
	    -ETIMEDOUT);
	EXPECT(backend.closes == 2);
	EXPECT(torc_now() - begin >= 20000000u);
	EXPECT(torc_now() - begin < 50000000000u);
	return 0;
}

static void
at_its_deadline_a_destroy_waits_for_no_goodbye(void **state)
{
	(void)state;
	on_fiber(destroy_hastily, NULL);
}

static struct backend last;

/* Leave a pool with an idle one, and one that waits to be closed. */
static int
leave_idle(void *arg)
{
	const struct torc_pool_config config = { .idle_ms = TORC_NO_LIMIT };
	void *items[2];

	(void)arg;
	last = (struct backend) { .close_ms = 60000 };
	EXPECT(create(&last, &config) == 0);
	EXPECT((items[0] = acquire(&last)) != NULL);
	EXPECT((items[1] = acquire(&last)) != NULL);
	torc_pool_release(last.pool, items[0], true);
	torc_pool_release(last.pool, items[1], true);
	return 0;
}

/* As server_drain(), with the pool destroyed in between. */
static int
end_with_pool(struct server *server, torc_deadline deadline)
{
	torc_reactor_drain(server->reactor, deadline);
	assert_int_equal(pthread_join(server->thread, NULL), 0);
	server->running = false;
	torc_pool_destroy(last.pool, TORC_NEVER);
	torc_reactor_destroy(server->reactor);
	return server->result;
}

static void
idle_ones_do_not_hold_up_a_drain(void **state)
{
	struct server server;
	uint64_t begin = now_ms();

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	assert_int_equal(server_fiber(&server, leave_idle, NULL), 0);
	assert_int_equal(end_with_pool(&server, torc_after_ms(600000)), 0);
	assert_true(now_ms() - begin < 60000);
	assert_int_equal(last.frees, 2);
	assert_int_equal(last.closes, 0);
}

/* Both waited for by fibers that the reactor's end must end. */
static int
leave_busy(void *arg)
{
	void *item;

	EXPECT(leave_idle(arg) == 0);
	EXPECT((item = acquire(&last)) != NULL);
	torc_pool_release(last.pool, item, false);
	EXPECT((item = acquire(&last)) != NULL);
	last.open_ms = 60000;
	EXPECT(torc_pool_acquire(last.pool, &(void *) { NULL }, SOON) ==
	    -ETIMEDOUT);
	EXPECT(last.opening == 1);
	torc_pool_release(last.pool, item, true);
	return 0;
}

static void
stopping_ends_opens_and_closes(void **state)
{
	struct server server;
	uint64_t begin = now_ms();

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	assert_int_equal(server_fiber(&server, leave_busy, NULL), 0);
	assert_int_equal(end_with_pool(&server, TORC_AT_ONCE), 0);
	assert_true(now_ms() - begin < 50000);
	assert_int_equal(last.opening, 0);
	assert_int_equal(last.closes, 1);
	assert_int_equal(last.frees, 1);
}

static void *kept;

static int
keep_one(void *arg)
{
	EXPECT(leave_idle(arg) == 0);
	return (kept = acquire(&last)) != NULL ? 0 : __LINE__;
}

static void
what_was_kept_to_the_end_is_released_after_it(void **state)
{
	struct server server;

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	assert_int_equal(server_fiber(&server, keep_one, NULL), 0);
	torc_reactor_drain(server.reactor, torc_after_ms(600000));
	assert_int_equal(pthread_join(server.thread, NULL), 0);
	torc_pool_release(last.pool, kept, true);
	torc_pool_destroy(last.pool, TORC_NEVER);
	torc_reactor_destroy(server.reactor);
	assert_int_equal(last.frees, 2);
	assert_int_equal(last.closes, 0);
}

/* A post that spawns a fiber when all others have ended. */
struct latecomer {
	struct torc_post post;
	struct torc_pool *pool;
	int result;
};

static int
come_late(void *arg)
{
	struct latecomer *latecomer = arg;
	void *item;

	latecomer->result = torc_pool_acquire(latecomer->pool, &item, LATE);
	return 0;
}

static void
spawn_latecomer(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)reactor;
	torc_fiber_spawn(NULL, come_late, post);
}

/* A connection that only the reactor closes, which takes it some turns. */
static int
leave_connection(void *arg)
{
	struct torc_conn *conn;

	EXPECT(torc_dial(&conn, arg, LATE) == 0);
	return leave_idle(NULL);
}

static char silent_address[32];

static void
leave_idle_here(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)reactor;
	(void)post;
	torc_fiber_spawn(NULL, leave_connection, silent_address);
}

/* A socket on which nobody accepts, and its address. */
static int
open_silent(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size),
	    0);
	snprintf(silent_address, sizeof(silent_address), "127.0.0.1:%u",
	    ntohs(address.sin_port));
	return fd;
}

static void
nothing_is_rented_once_the_reactor_closes_connections(void **state)
{
	struct latecomer latecomer = { .post.call = spawn_latecomer };
	struct torc_post first = { .call = leave_idle_here };
	struct torc_reactor *reactor;
	int turns = 0, fd = open_silent();

	(void)state;
	assert_int_equal(torc_reactor_create(&reactor, NULL, NULL), 0);
	assert_int_equal(torc_reactor_post(reactor, &first), 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(torc_reactor_turn(reactor, TORC_AT_ONCE), 1);
	latecomer.pool = last.pool;
	torc_reactor_drain(reactor, torc_after_ms(600000));
	while (!reactor->deserted)
		assert_int_equal(torc_reactor_turn(reactor, TORC_AT_ONCE), 1);
	assert_int_equal(torc_reactor_post(reactor, &latecomer.post), 0);
	while (torc_reactor_turn(reactor, TORC_NEVER) > 0)
		assert_true(++turns < 100);
	assert_int_equal(latecomer.result, -ESHUTDOWN);
	torc_pool_destroy(last.pool, TORC_NEVER);
	assert_int_equal(last.frees, 2);
	torc_reactor_destroy(reactor);
	close(fd);
}

static int
do_nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int
run_out_of_fibers(void *arg)
{
	const struct torc_pool_config config = { .size = 2 };
	struct backend backend = { 0 };
	uint64_t ids[COUNT];
	unsigned count = 0;
	void *item, *other;

	(void)arg;
	EXPECT(create(&backend, &config) == 0);
	EXPECT((item = acquire(&backend)) != NULL);
	while (count < COUNT &&
	    torc_fiber_spawn(&ids[count], do_nothing, NULL) == 0)
		count++;
	EXPECT(count > 0 && count < COUNT);
	/* No fiber to close it, nor to open another. */
	torc_pool_release(backend.pool, item, false);
	EXPECT(torc_pool_acquire(backend.pool, &other, LATE) == -ENOMEM);
	EXPECT(backend.closes == 0 && stats_of(&backend).closing == 1);
	for (unsigned i = 0; i < count; i++)
		EXPECT(torc_fiber_join(ids[i], NULL, LATE) == 0);
	EXPECT(comes_to(&backend.closes, 1));
	EXPECT(destroy(&backend));
	return 0;
}

static void
without_fibers_it_fails_and_closes_later(void **state)
{
	const struct torc_config config = { .fibers = 8 };

	(void)state;
	on_fiber(run_out_of_fibers, &config);
}

static struct torc_waiters held;

static int
hold(void *arg)
{
	(void)arg;
	return torc_wait(&held, LATE);
}

/* Succeeds in the very moment in which it is cancelled. */
static int
open_at_last(void **out, torc_deadline deadline, void *arg)
{
	(void)torc_wait(&held, deadline);
	return open_item(out, deadline, arg);
}

/* Takes longer than a cancel or a deadline of others. */
static int
take_its_time(void *arg)
{
	(void)arg;
	pause_ms(100);
	return 0;
}

static int
open_slowly(void **out, torc_deadline deadline, void *arg)
{
	int rc = torc_offload(take_its_time, NULL, deadline);

	return rc < 0 ? rc : open_item(out, deadline, arg);
}

/* What is opened meanwhile is closed, by the one that destroys the pool. */
static int
destroy_late_without_fibers(void *arg)
{
	const struct torc_pool_kind kind = { .open = open_slowly,
		.close = close_item, .free = free_item };
	struct backend backend = { 0 };
	uint64_t ids[COUNT];
	unsigned count = 0;
	void *item;

	(void)arg;
	EXPECT(torc_pool_create(&backend.pool, &kind, &backend, NULL, NULL) ==
	    0);
	EXPECT(torc_pool_acquire(backend.pool, &item, SOON) == -ETIMEDOUT);
	while (count < COUNT &&
	    torc_fiber_spawn(&ids[count], hold, NULL) == 0)
		count++;
	EXPECT(torc_pool_destroy(backend.pool, TORC_AT_ONCE) == -ETIMEDOUT);
	EXPECT(backend.opens == 1 && backend.closes == 1);
	torc_wake_all(&held, 0);
	for (unsigned i = 0; i < count; i++)
		EXPECT(torc_fiber_reap(ids[i], NULL, TORC_NEVER) == 0);
	return 0;
}

static void
a_destroy_tells_that_its_deadline_passed_whatever_came_after_it(void **state)
{
	const struct torc_config config = { .fibers = 8 };

	(void)state;
	on_fiber(destroy_late_without_fibers, &config);
}

static int
destroy_without_fibers(void *arg)
{
	const struct torc_pool_kind kind = { .open = open_at_last,
		.close = close_item, .free = free_item };
	struct backend backend = { 0 };
	uint64_t ids[COUNT];
	unsigned count = 0;
	void *item;

	(void)arg;
	EXPECT(torc_pool_create(&backend.pool, &kind, &backend, NULL, NULL) ==
	    0);
	EXPECT(torc_pool_acquire(backend.pool, &item, SOON) == -ETIMEDOUT);
	while (count < COUNT &&
	    torc_fiber_spawn(&ids[count], hold, NULL) == 0)
		count++;
	EXPECT(count > 0 && count < COUNT);
	EXPECT(torc_pool_destroy(backend.pool, TORC_NEVER) == 0);
	EXPECT(backend.opens == 1);
	EXPECT(backend.closes == 1 && backend.frees == 0);
	torc_wake_all(&held, 0);
	for (unsigned i = 0; i < count; i++)
		EXPECT(torc_fiber_reap(ids[i], NULL, TORC_NEVER) == 0);
	return 0;
}

static void
what_is_opened_while_it_is_destroyed_is_closed_without_fibers_too(
    void **state)
{
	const struct torc_config config = { .fibers = 8 };

	(void)state;
	on_fiber(destroy_without_fibers, &config);
}

/* ---- Configuration ---- */

static int
configure(void *arg)
{
	const struct torc_pool_config wrong[] = {
		{ .size = 4097 },
		{ .waiters = 1048577 },
		{ .retry_min_ms = 60001 },
		{ .retry_min_ms = 100, .retry_max_ms = 99 },
	};
	const char *const words[] = {
		"size = 4097: must be from 1 to 4096",
		"waiters = 1048577: must be from 1 to 1048576",
		"retry_min_ms = 60001: must be from 1 to 60000",
		"retry_max_ms = 99: must be at least retry_min_ms = 100",
	};
	const struct torc_pool_config right = { .size = 4096,
		.waiters = 1048576, .idle_ms = 1, .open_ms = TORC_NO_LIMIT,
		.retry_min_ms = 100, .retry_max_ms = 100, .lifetime_ms = 1 };
	struct backend backend = { 0 };
	struct torc_error error;

	(void)arg;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		EXPECT(torc_pool_create(&backend.pool, &fake, &backend,
		    &wrong[i], &error) == -EINVAL);
		EXPECT(strcmp(error.text, words[i]) == 0);
		EXPECT(torc_pool_create(&backend.pool, &fake, &backend,
		    &wrong[i], NULL) == -EINVAL);
	}
	EXPECT(create(&backend, &right) == 0);
	EXPECT(destroy(&backend));
	return 0;
}

static void
a_value_out_of_its_bounds_is_refused_by_name(void **state)
{
	(void)state;
	on_fiber(configure, NULL);
}

static int
make_many(void *arg)
{
	struct backend backend = { 0 };
	struct torc_pool *pools[1024], *more;

	(void)arg;
	for (int i = 0; i < 1024; i++)
		EXPECT(torc_pool_create(&pools[i], &fake, &backend, NULL,
		    NULL) == 0);
	EXPECT(torc_pool_create(&more, &fake, &backend, NULL, NULL) ==
	    -ENOBUFS);
	for (int i = 0; i < 1024; i++)
		torc_pool_destroy(pools[i], TORC_NEVER);
	EXPECT(torc_pool_create(&more, &fake, &backend, NULL, NULL) == 0);
	torc_pool_destroy(more, TORC_NEVER);
	return 0;
}

static void
a_reactor_has_1024_pools(void **state)
{
	const struct torc_config config = { .stack_size = 262144 };

	(void)state;
	on_fiber(make_many, &config);
}

/* ---- Misuse ---- */

struct misuse {
	struct torc_post post;
	torc_fiber_entry *entry;
};

static void
spawn_misuse(struct torc_reactor *reactor, struct torc_post *post)
{
	(void)reactor;
	torc_fiber_spawn(NULL, ((struct misuse *)post)->entry, NULL);
}

/* In a child: run `entry` on a fiber of a reactor on this thread. */
static void
misuse(torc_fiber_entry *entry)
{
	struct misuse misuse = { .post.call = spawn_misuse, .entry = entry };
	struct torc_reactor *reactor;

	/* A sanitizer would make a report of the signal. */
	signal(SIGABRT, SIG_DFL);
	alarm(60);
	if (torc_reactor_create(&reactor, NULL, NULL) < 0 ||
	    torc_reactor_post(reactor, &misuse.post) < 0)
		_exit(1);
	for (int i = 0; i < 100; i++)
		torc_reactor_turn(reactor, torc_after_ms(1));
	_exit(0);
}

/* The status of the child, and what it wrote to standard error. */
static int
status_of(torc_fiber_entry *entry, char *said, size_t size)
{
	int ends[2], status;
	size_t used = 0;
	ssize_t count;
	pid_t child;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(ends[1], STDERR_FILENO);
		misuse(entry);
	}
	close(ends[1]);
	while ((count = read(ends[0], said + used, size - 1 - used)) > 0)
		used += (size_t)count;
	said[used] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void
assert_traps(torc_fiber_entry *entry, const char *why)
{
	char said[512];
	int status = status_of(entry, said, sizeof(said));

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	if (strstr(said, why) == NULL)
		fail_msg("not \"%s\" but: %s", why, said);
}

static int
use_well(void *arg)
{
	struct backend backend = { 0 };
	void *item;

	(void)arg;
	EXPECT(create(&backend, NULL) == 0);
	EXPECT((item = acquire(&backend)) != NULL);
	torc_pool_release(backend.pool, item, true);
	torc_pool_destroy(backend.pool, TORC_NEVER);
	return 0;
}

static int
release_twice(void *arg)
{
	struct backend backend = { 0 };
	void *item;

	(void)arg;
	EXPECT(create(&backend, NULL) == 0);
	EXPECT((item = acquire(&backend)) != NULL);
	torc_pool_release(backend.pool, item, true);
	torc_pool_release(backend.pool, item, true);
	return 0;
}

static int
destroy_in_use(void *arg)
{
	struct backend backend = { 0 };

	(void)arg;
	EXPECT(create(&backend, NULL) == 0);
	EXPECT(acquire(&backend) != NULL);
	torc_pool_destroy(backend.pool, TORC_NEVER);
	return 0;
}

static void
what_is_released_twice_or_destroyed_in_use_stops_the_process(void **state)
{
	char said[512];

	(void)state;
	assert_int_equal(status_of(use_well, said, sizeof(said)), 0);
	assert_traps(release_twice, "released twice");
	assert_traps(destroy_in_use, "destroyed while it is used");
}

/* ---- Sockets ---- */

struct origin {
	char address[32];
	struct torc_pool *pool;
};

static int
dial_origin(void **item, torc_deadline deadline, void *arg)
{
	const struct origin *origin = arg;
	struct torc_conn *conn;
	int rc = torc_dial(&conn, origin->address, deadline);

	if (rc == 0)
		*item = conn;
	return rc;
}

static void
close_conn(void *item, void *arg)
{
	(void)arg;
	torc_conn_close(item, torc_after_ms(1000));
}

static bool
conn_usable(void *item, void *arg)
{
	(void)arg;
	return torc_conn_usable(item);
}

static const struct torc_pool_kind sockets = {
	.name = "sockets",
	.open = dial_origin,
	.close = close_conn,
	.usable = conn_usable,
};

/* Ask for an echo: 0, or what went wrong. `keep`: leave the answer unread. */
static int
ask(struct torc_pool *pool, bool keep)
{
	struct torc_slice in;
	void *item;
	int rc = torc_pool_acquire(pool, &item, LATE);

	if (rc < 0)
		return rc;
	rc = torc_conn_write(item, "hello", 5, LATE);
	do
		rc = rc < 0 ? rc : torc_conn_recv(item, &in, LATE);
	while (rc > 0 && in.size < 5);
	if (rc > 0 && !keep)
		torc_conn_consume(item, in.size);
	torc_pool_release(pool, item, rc > 0);
	return rc > 0 ? 0 : rc < 0 ? rc : -EPIPE;
}

static int
ask_server(void *arg)
{
	struct origin *origin = arg;
	struct torc_pool_stats stats;

	EXPECT(torc_pool_create(&origin->pool, &sockets, origin, NULL, NULL) ==
	    0);
	for (int i = 0; i < 100; i++)
		EXPECT(ask(origin->pool, false) == 0);
	torc_pool_stats_read(origin->pool, &stats);
	EXPECT(stats.opens == 1 && stats.idle == 1);
	/* An answer that was left unread is not the next one's. */
	EXPECT(ask(origin->pool, true) == 0);
	EXPECT(ask(origin->pool, false) == 0);
	torc_pool_stats_read(origin->pool, &stats);
	EXPECT(stats.opens == 2);
	return 0;
}

static int
miss_server(void *arg)
{
	struct origin *origin = arg;
	int rc = 0;

	/* The end of the idle one may not have been seen at first. */
	for (int i = 0; i < 100 && rc != -ECONNREFUSED; i++) {
		rc = ask(origin->pool, false);
		EXPECT(rc < 0);
	}
	EXPECT(rc == -ECONNREFUSED);
	torc_pool_destroy(origin->pool, TORC_NEVER);
	return 0;
}

static void
connections_are_kept_and_lost_ones_are_noticed(void **state)
{
	struct server client, server;
	struct origin origin;
	int line;

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	server_start(&client, NULL, echo_handler, NULL);
	snprintf(origin.address, sizeof(origin.address), "127.0.0.1:%u",
	    server.port);
	line = server_fiber(&client, ask_server, &origin);
	assert_int_equal(server_stop(&server), 0);
	if (line == 0)
		line = server_fiber(&client, miss_server, &origin);
	assert_int_equal(server_connections(&client), 0);
	assert_int_equal(server_stop(&client), 0);
	if (line != 0)
		fail_msg("line %d does not hold", line);
}

static void
idle_connections_do_not_hold_up_a_drain(void **state)
{
	struct server client, server;
	struct origin origin;
	uint64_t begin = now_ms();

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	server_start(&client, NULL, echo_handler, NULL);
	snprintf(origin.address, sizeof(origin.address), "127.0.0.1:%u",
	    server.port);
	assert_int_equal(server_fiber(&client, ask_server, &origin), 0);
	assert_int_equal(server_connections(&client), 1);
	last.pool = origin.pool;
	assert_int_equal(end_with_pool(&client, torc_after_ms(600000)), 0);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_stop(&server), 0);
	assert_true(now_ms() - begin < 60000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_idle_one_is_used_first),
		cmocka_unit_test(what_cannot_be_used_any_more_is_closed),
		cmocka_unit_test(no_more_than_size_are_open),
		cmocka_unit_test(
		    waiters_are_served_in_order_and_nobody_overtakes),
		cmocka_unit_test(one_waiter_too_many_is_refused),
		cmocka_unit_test(
		    one_deadline_ends_an_acquire_whatever_it_waits_for),
		cmocka_unit_test(what_ends_in_use_makes_no_pause_for_anybody),
		cmocka_unit_test(
		    a_fresh_one_is_opened_beside_idle_ones_that_stay),
		cmocka_unit_test(what_has_ended_leaves_when_that_shows),
		cmocka_unit_test(
		    a_fresh_one_that_cannot_be_opened_is_not_waited_for),
		cmocka_unit_test(keys_take_turns),
		cmocka_unit_test(one_key_leaves_a_reserve_to_others),
		cmocka_unit_test(the_longest_line_makes_room_in_a_full_queue),
		cmocka_unit_test(one_that_is_set_aside_keeps_nobody_waiting),
		cmocka_unit_test(an_open_that_hangs_ends_and_the_next_one_succeeds),
		cmocka_unit_test(one_that_is_idle_for_too_long_is_closed),
		cmocka_unit_test(idle_connections_make_way_when_descriptors_run_out),
		cmocka_unit_test(one_that_is_too_old_is_not_used_again),
		cmocka_unit_test(
		    a_dead_backend_sees_few_connects_and_its_return_is_noticed),
		cmocka_unit_test(
		    in_a_pause_acquires_fail_at_once_unless_one_may_come_back),
		cmocka_unit_test(
		    after_a_pause_one_is_opened_for_those_who_wait),
		cmocka_unit_test(a_broken_one_makes_room_before_it_is_closed),
		cmocka_unit_test(a_cancelled_acquire_loses_nothing),
		cmocka_unit_test(destroying_ends_what_is_being_opened),
		cmocka_unit_test(
		    at_its_deadline_a_destroy_waits_for_no_goodbye),
		cmocka_unit_test(idle_ones_do_not_hold_up_a_drain),
		cmocka_unit_test(stopping_ends_opens_and_closes),
		cmocka_unit_test(
		    what_was_kept_to_the_end_is_released_after_it),
		cmocka_unit_test(
		    nothing_is_rented_once_the_reactor_closes_connections),
		cmocka_unit_test(without_fibers_it_fails_and_closes_later),
		cmocka_unit_test(
		    what_is_opened_while_it_is_destroyed_is_closed_without_fibers_too),
		cmocka_unit_test(
		    a_destroy_tells_that_its_deadline_passed_whatever_came_after_it),
		cmocka_unit_test(a_value_out_of_its_bounds_is_refused_by_name),
		cmocka_unit_test(a_reactor_has_1024_pools),
		cmocka_unit_test(
		    what_is_released_twice_or_destroyed_in_use_stops_the_process),
		cmocka_unit_test(
		    connections_are_kept_and_lost_ones_are_noticed),
		cmocka_unit_test(idle_connections_do_not_hold_up_a_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
