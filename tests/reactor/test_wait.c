/* SPDX-License-Identifier: MIT */
/*
 * test_wait.c - what clients are built from: fibers that wait for each other,
 * and what libraries keep with a reactor.
 */
#include <errno.h>
#include <stdlib.h>

#include "tests/on_fiber.h"

#include "reactor/fiber.h"

#define COUNT 50

/*
 * What holds on the reactor's thread is returned to the test's, as the line of
 * the first thing that does not hold.
 */
/* ---- Waiting ---- */

struct scene {
	struct torc_waiters waiters;
	torc_deadline deadline;
	int results[COUNT];
	unsigned order[COUNT];	/* in which they went on */
	unsigned gone;
};

struct actor {
	struct scene *scene;
	unsigned index;
	uint64_t id;
};

static int
act(void *arg)
{
	const struct actor *actor = arg;
	struct scene *scene = actor->scene;

	scene->results[actor->index] = torc_wait(&scene->waiters,
	    scene->deadline);
	scene->order[scene->gone++] = actor->index;
	return 0;
}

static int
enter(struct scene *scene, struct actor *actors, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		actors[i] = (struct actor) { scene, i, 0 };
		scene->results[i] = 1000;
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

static int
wake_in_order(void *arg)
{
	struct scene scene = { .deadline = TORC_NEVER };
	struct actor actors[COUNT];

	(void)arg;
	EXPECT(!torc_wake(&scene.waiters, 1));
	EXPECT(enter(&scene, actors, COUNT) == 0);
	for (int i = 0; i < COUNT; i++)
		EXPECT(torc_wake(&scene.waiters, i));
	EXPECT(scene.gone == 0);	/* not inside the call */
	EXPECT(!torc_wake(&scene.waiters, 1));
	EXPECT(leave(actors, COUNT) == 0);
	for (unsigned i = 0; i < COUNT; i++)
		EXPECT(scene.order[i] == i && scene.results[i] == (int)i);
	return 0;
}

static void
waiters_go_on_in_order_each_with_its_result(void **state)
{
	(void)state;
	on_fiber(wake_in_order, NULL);
}

static int
wait_in_vain(void *arg)
{
	struct scene scene = { .deadline = SOON };
	struct actor actors[3];

	(void)arg;
	EXPECT(enter(&scene, actors, 3) == 0);
	/* One from the middle, by hand. */
	EXPECT(torc_fiber_cancel(actors[1].id) == 0);
	EXPECT(leave(actors, 3) == 0);
	EXPECT(scene.results[0] == -ETIMEDOUT);
	EXPECT(scene.results[1] == -ECANCELED);
	EXPECT(scene.results[2] == -ETIMEDOUT);
	EXPECT(scene.waiters.first == NULL && scene.waiters.last == NULL);
	EXPECT(!torc_wake(&scene.waiters, 1));
	return 0;
}

static void
a_waiter_that_gives_up_is_not_in_the_queue_any_more(void **state)
{
	(void)state;
	on_fiber(wait_in_vain, NULL);
}

/* What is handed over in the moment of a cancel arrives. */
static int
hand_over_late(void *arg)
{
	struct scene scene = { .deadline = TORC_NEVER };
	struct actor actors[2];

	(void)arg;
	EXPECT(enter(&scene, actors, 2) == 0);
	EXPECT(torc_fiber_cancel(actors[0].id) == 0);
	EXPECT(torc_wake(&scene.waiters, 7));
	EXPECT(torc_wake(&scene.waiters, 8));
	EXPECT(leave(actors, 2) == 0);
	EXPECT(scene.results[0] == 7 && scene.results[1] == 8);
	return 0;
}

static void
what_is_handed_over_is_never_lost(void **state)
{
	(void)state;
	on_fiber(hand_over_late, NULL);
}

static int
act_again(void *arg)
{
	struct scene *scene = arg;

	while (torc_wait(&scene->waiters, scene->deadline) == 0)
		scene->gone++;
	return 0;
}

static void
wake_them_all(struct torc_reactor *reactor, struct torc_post *post)
{
	struct scene *scene = torc_reactor_data(reactor, NULL);

	(void)post;
	/* Outside fibers they run, and wait again, inside the call. */
	scene->results[0] = (int)torc_wake_all(&scene->waiters, 0);
	scene->results[1] = (int)scene->gone;
}

static int
wake_all(void *arg)
{
	struct scene scene = { .deadline = TORC_NEVER };
	struct torc_post post = { .call = wake_them_all };
	uint64_t ids[3];

	(void)arg;
	torc_reactor_set_data(torc_reactor_self(), NULL, &scene);
	for (unsigned i = 0; i < 3; i++)
		EXPECT(torc_fiber_spawn(&ids[i], act_again, &scene) == 0);
	EXPECT(torc_yield() == 0);
	EXPECT(torc_reactor_post(torc_reactor_self(), &post) == 0);
	EXPECT(torc_sleep(SOON) == 0);
	EXPECT(scene.results[0] == 3 && scene.results[1] == 3);
	EXPECT(torc_wake_all(&scene.waiters, -EPIPE) == 3);
	for (unsigned i = 0; i < 3; i++)
		EXPECT(torc_fiber_join(ids[i], NULL, LATE) == 0);
	EXPECT(scene.gone == 3);
	return 0;
}

static void
those_who_wait_again_are_not_woken_twice(void **state)
{
	(void)state;
	on_fiber(wake_all, NULL);
}

/* ---- Turns ---- */

#define CHAIN 200u	/* fewer than a batch has */

struct link {
	struct torc_waiters waiters;
	struct torc_waiters *next;	/* or NULL */
	unsigned *seen;		/* how many came before it */
	unsigned place;
};

static int
wait_and_wake(void *arg)
{
	struct link *link = arg;

	EXPECT(torc_wait(&link->waiters, LATE) == 0);
	link->place = (*link->seen)++;
	if (link->next != NULL)
		EXPECT(torc_wake(link->next, 0));
	return 0;
}

/* Let `count` fibers wait, of which each wakes the next one. */
static int
make_chain(struct link *links, unsigned count, unsigned *seen)
{
	for (unsigned i = 0; i < count; i++) {
		links[i] = (struct link) { .seen = seen, .next =
			i + 1 < count ? &links[i + 1].waiters : NULL };
		EXPECT(torc_fiber_spawn(NULL, wait_and_wake, &links[i]) == 0);
	}
	EXPECT(torc_yield() == 0);
	return 0;
}

static int
hand_along(void *arg)
{
	static struct link links[CHAIN];
	const struct torc_counters *counters = torc_reactor_self()->counters;
	unsigned seen = 0;
	uint64_t turns;

	(void)arg;
	EXPECT(make_chain(links, CHAIN, &seen) == 0);
	turns = counters->turns;
	EXPECT(torc_wake(&links[0].waiters, 0));
	while (seen < CHAIN)
		EXPECT(torc_yield() == 0);
	EXPECT(counters->turns - turns <= 2);
	return 0;
}

static void
what_fibers_hand_to_each_other_takes_no_turn_for_each(void **state)
{
	(void)state;
	on_fiber(hand_along, NULL);
}

static int
yield_behind_a_chain(void *arg)
{
	struct link links[3];
	unsigned seen = 0;

	(void)arg;
	EXPECT(make_chain(links, 3, &seen) == 0);
	EXPECT(torc_wake(&links[0].waiters, 0));
	EXPECT(torc_yield() == 0);
	EXPECT(seen == 3);
	return 0;
}

static void
who_yields_goes_on_behind_those_that_others_wake_meanwhile(void **state)
{
	(void)state;
	on_fiber(yield_behind_a_chain, NULL);
}

#define PASSES 20000000u	/* of a ball: far longer than a nap */

struct court {
	struct torc_waiters sides[2];
	unsigned passes;
	bool over;
};

static int
play(struct court *court, unsigned side)
{
	while (!court->over && court->passes < PASSES) {
		court->passes++;
		torc_wake(&court->sides[1 - side], 0);
		EXPECT(torc_wait(&court->sides[side], LATE) == 0);
	}
	torc_wake(&court->sides[1 - side], 0);
	return 0;
}

static int
play_first(void *arg)
{
	return play(arg, 0);
}

static int
play_second(void *arg)
{
	return play(arg, 1);
}

static int
sleep_beside_players(void *arg)
{
	struct court court = { .passes = 0 };
	uint64_t ids[2];

	(void)arg;
	EXPECT(torc_fiber_spawn(&ids[0], play_first, &court) == 0);
	EXPECT(torc_fiber_spawn(&ids[1], play_second, &court) == 0);
	EXPECT(torc_sleep(SOON) == 0);
	court.over = true;
	EXPECT(court.passes > 0 && court.passes < PASSES);
	for (unsigned i = 0; i < 2; i++)
		EXPECT(torc_fiber_join(ids[i], NULL, LATE) == 0);
	return 0;
}

static void
fibers_that_wake_each_other_for_ever_keep_nobody_else_waiting(void **state)
{
	(void)state;
	on_fiber(sleep_beside_players, NULL);
}

/* ---- The registry ---- */

static const struct torc_key some = { "some" };
static const struct torc_key other = { "other" };

static int
keep_values(void *arg)
{
	struct torc_reactor *reactor = torc_reactor_self();
	int first, second;

	(void)arg;
	EXPECT(torc_reactor_data(reactor, &some) == NULL);
	EXPECT(torc_reactor_set_data(reactor, &some, &first) == 0);
	EXPECT(torc_reactor_set_data(reactor, &other, &second) == 0);
	EXPECT(torc_reactor_data(reactor, &some) == &first);
	EXPECT(torc_reactor_data(reactor, &other) == &second);
	EXPECT(torc_reactor_set_data(reactor, &some, NULL) == 0);
	EXPECT(torc_reactor_data(reactor, &some) == NULL);
	EXPECT(torc_reactor_data(reactor, &other) == &second);
	return 0;
}

static void
each_library_finds_its_own_value(void **state)
{
	(void)state;
	on_fiber(keep_values, NULL);
}

static void
values_belong_to_one_reactor(void **state)
{
	struct torc_reactor *one, *two;
	int value;

	(void)state;
	assert_int_equal(torc_reactor_create(&one, NULL, NULL), 0);
	assert_int_equal(torc_reactor_create(&two, NULL, NULL), 0);
	assert_int_equal(torc_reactor_set_data(one, &some, &value), 0);
	assert_ptr_equal(torc_reactor_data(one, &some), &value);
	assert_null(torc_reactor_data(two, &some));
	torc_reactor_destroy(two);
	torc_reactor_destroy(one);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waiters_go_on_in_order_each_with_its_result),
		cmocka_unit_test(
		    a_waiter_that_gives_up_is_not_in_the_queue_any_more),
		cmocka_unit_test(what_is_handed_over_is_never_lost),
		cmocka_unit_test(those_who_wait_again_are_not_woken_twice),
		cmocka_unit_test(
		    what_fibers_hand_to_each_other_takes_no_turn_for_each),
		cmocka_unit_test(
		    who_yields_goes_on_behind_those_that_others_wake_meanwhile),
		cmocka_unit_test(
		    fibers_that_wake_each_other_for_ever_keep_nobody_else_waiting),
		cmocka_unit_test(each_library_finds_its_own_value),
		cmocka_unit_test(values_belong_to_one_reactor),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("wait", tests, NULL, NULL);
}
