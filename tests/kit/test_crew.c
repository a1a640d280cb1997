/* SPDX-License-Identifier: MIT */
/*
 * test_crew.c - which task a thread takes next: names that hang leave threads
 * for others, and one name is looked up once at a time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/kit/crew.h"
#include "tests/harness.h"

#define MOST 16u
#define TASKS 64
#define S 1000000000ull

static struct torc_crew crew;
static struct torc_task tasks[TASKS];
static char names[TASKS][64];
static unsigned count;

static int
begin(void **state)
{
	(void)state;
	torc_crew_init(&crew);
	crew.most_work = 2;
	crew.most_sums = 1;
	crew.most_lookups = MOST;
	memset(tasks, 0, sizeof(tasks));
	count = 0;
	return 0;
}

static struct torc_task *
add(const char *name, uint64_t now)
{
	struct torc_task *task = &tasks[count];

	assert_true(count < TASKS);
	if (name != NULL) {
		snprintf(names[count], sizeof(names[count]), "%s", name);
		task->name = names[count];
	}
	count++;
	torc_crew_add(&crew, task, now);
	return task;
}

/* Lookups that hang: all that can start do. How many. */
static unsigned
hang(const char *format, unsigned many)
{
	unsigned started = 0;

	for (unsigned i = 0; i < many; i++) {
		char name[64];

		snprintf(name, sizeof(name), format, i);
		add(name, 0);
	}
	while (torc_crew_take(&crew, 0) != NULL)
		started++;
	return started;
}

/* A name that is new is looked up at once. */
static void
assert_goes_on(const char *name)
{
	struct torc_task *task = add(name, 0);

	assert_true(torc_crew_may_start(&crew, task));
	assert_ptr_equal(torc_crew_take(&crew, 0), task);
	torc_crew_end(&crew, task);
}

/* ---- Shares ---- */

static void
names_of_one_zone_take_half_of_the_threads(void **state)
{
	(void)state;
	assert_int_equal(hang("x%u.dead.zone", 20), MOST / 2);
	assert_false(torc_crew_may_start(&crew, add("y.dead.zone", 0)));
	assert_false(torc_crew_may_start(&crew, add("z.DEAD.Zone.", 0)));
	assert_goes_on("x.live.zone");
	assert_goes_on("zone");
	/* One that ends makes way for the one that waits longest. */
	torc_crew_end(&crew, &tasks[3]);
	assert_ptr_equal(torc_crew_take(&crew, 0), &tasks[MOST / 2]);
	assert_null(torc_crew_take(&crew, 0));
}

static void
the_last_threads_are_for_zones_that_have_none(void **state)
{
	struct torc_task *task;

	(void)state;
	assert_int_equal(hang("x%u.first.zone", 20), MOST / 2);
	/* The last eighth is not for the second one. */
	assert_int_equal(hang("x%u.second.zone", 20), MOST / 2 - MOST / 8);
	assert_false(torc_crew_may_start(&crew, add("x.second.zone", 0)));
	task = add("a.third.zone", 0);
	assert_true(torc_crew_may_start(&crew, task));
	assert_ptr_equal(torc_crew_take(&crew, 0), task);
	/* And not for more of it than one. */
	assert_false(torc_crew_may_start(&crew, add("b.third.zone", 0)));
	assert_null(torc_crew_take(&crew, 0));
	assert_goes_on("other.net");
}

static void
zones_take_turns(void **state)
{
	struct torc_task *other;
	unsigned turns = 0;

	(void)state;
	crew.most_lookups = 1;
	assert_int_equal(hang("x%u.busy.zone", 30), 1);
	other = add("quiet", 0);
	torc_crew_end(&crew, &tasks[0]);
	/* At most one of the others comes first. */
	for (;; turns++) {
		struct torc_task *task = torc_crew_take(&crew, 0);

		assert_non_null(task);
		torc_crew_end(&crew, task);
		if (task == other)
			break;
	}
	assert_true(turns <= 1);
}

static void
work_and_lookups_do_not_take_each_other_s_threads(void **state)
{
	(void)state;
	hang("x%u", MOST * 2);
	add(NULL, 0);
	add(NULL, 0);
	add(NULL, 0);
	assert_ptr_equal(torc_crew_take(&crew, 0), &tasks[2 * MOST]);
	assert_ptr_equal(torc_crew_take(&crew, 0), &tasks[2 * MOST + 1]);
	assert_null(torc_crew_take(&crew, 0));
	torc_crew_end(&crew, &tasks[2 * MOST]);
	assert_ptr_equal(torc_crew_take(&crew, 0), &tasks[2 * MOST + 2]);
	begin(NULL);
	add(NULL, 0);
	add(NULL, 0);
	add(NULL, 0);
	while (torc_crew_take(&crew, 0) != NULL)
		continue;
	assert_goes_on("a.b");
}

static void
what_computes_has_threads_of_its_own(void **state)
{
	(void)state;
	hang("x%u", MOST * 2);
	for (unsigned i = 0; i < 6; i++) {
		tasks[count].computes = i % 2 == 0;
		add(NULL, 0);
	}
	/* One of these, and two of the others; then each in its turn. */
	assert_ptr_equal(torc_crew_take(&crew, 0), &tasks[2 * MOST]);
	assert_ptr_equal(torc_crew_take(&crew, 0), &tasks[2 * MOST + 1]);
	assert_ptr_equal(torc_crew_take(&crew, 0), &tasks[2 * MOST + 3]);
	assert_null(torc_crew_take(&crew, 0));
	torc_crew_end(&crew, &tasks[2 * MOST + 3]);
	assert_ptr_equal(torc_crew_take(&crew, 0), &tasks[2 * MOST + 5]);
	assert_false(torc_crew_may_start(&crew, &tasks[2 * MOST + 2]));
	torc_crew_end(&crew, &tasks[2 * MOST]);
	assert_true(torc_crew_may_start(&crew, &tasks[2 * MOST + 2]));
	assert_ptr_equal(torc_crew_take(&crew, 0), &tasks[2 * MOST + 2]);
}

/* ---- One name ---- */

static void
a_name_is_looked_up_once_at_a_time(void **state)
{
	struct torc_task *first = add("a.b.c", 0);
	struct torc_task *second = add("a.b.c", 0);
	struct torc_task *other = add("x.b.c", 0);
	struct torc_task *third;

	(void)state;
	assert_int_equal(second->state, TORC_TASK_FOLLOWING);
	assert_ptr_equal(torc_crew_take(&crew, 0), first);
	assert_ptr_equal(torc_crew_take(&crew, 0), other);
	/* Also while it is run, and when nobody waits for it any more. */
	first->state = TORC_TASK_ABANDONED;
	third = add("a.b.c", 1 * S);
	assert_int_equal(third->state, TORC_TASK_FOLLOWING);
	assert_null(torc_crew_take(&crew, 0));
	torc_crew_end(&crew, first);
	assert_ptr_equal(torc_list_take(&first->followers), &second->node);
	assert_ptr_equal(torc_list_take(&first->followers), &third->node);
	/* It is over: this one is a lookup of its own. */
	third = add("a.b.c", 2 * S);
	assert_ptr_equal(torc_crew_take(&crew, 2 * S), third);
}

static void
a_lookup_that_may_be_lost_is_not_followed(void **state)
{
	struct torc_task *first = add("a.b.c", 0), *second;

	(void)state;
	/* Not while it waits for a thread, however long. */
	assert_int_equal(add("a.b.c", 100 * S)->state, TORC_TASK_FOLLOWING);
	assert_ptr_equal(torc_crew_take(&crew, 100 * S), first);
	assert_int_equal(add("a.b.c", 104 * S)->state, TORC_TASK_FOLLOWING);
	second = add("a.b.c", 106 * S);
	assert_int_equal(second->state, TORC_TASK_QUEUED);
	assert_ptr_equal(torc_crew_take(&crew, 106 * S), second);
	torc_crew_end(&crew, first);
	assert_int_equal(add("a.b.c", 107 * S)->state, TORC_TASK_FOLLOWING);
	torc_crew_end(&crew, second);
}

static void
a_follower_takes_the_place_of_one_that_gives_up(void **state)
{
	struct torc_task *first = add("a", 0), *second = add("a", 0);
	struct torc_task *third = add("a", 0), *other;

	(void)state;
	crew.most_lookups = 1;
	torc_crew_take_back(&crew, first);
	assert_int_equal(second->state, TORC_TASK_QUEUED);
	assert_ptr_equal(torc_crew_take(&crew, 0), second);
	assert_false(torc_list_empty(&second->followers));
	torc_crew_take_back(&crew, third);
	assert_true(torc_list_empty(&second->followers));
	torc_crew_end(&crew, second);
	/* The last one that gives up leaves nothing. */
	other = add("a", 0);
	torc_crew_take_back(&crew, other);
	assert_null(torc_crew_take(&crew, 0));
	assert_int_equal(crew.queued, 0);
	assert_int_equal(add("a", 0)->state, TORC_TASK_QUEUED);
}

#define CLAIM(test) cmocka_unit_test_setup(test, begin)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(names_of_one_zone_take_half_of_the_threads),
		CLAIM(the_last_threads_are_for_zones_that_have_none),
		CLAIM(zones_take_turns),
		CLAIM(work_and_lookups_do_not_take_each_other_s_threads),
		CLAIM(what_computes_has_threads_of_its_own),
		CLAIM(a_name_is_looked_up_once_at_a_time),
		CLAIM(a_lookup_that_may_be_lost_is_not_followed),
		CLAIM(a_follower_takes_the_place_of_one_that_gives_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
