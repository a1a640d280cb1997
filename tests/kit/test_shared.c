/* SPDX-License-Identifier: MIT */
/*
 * test_shared.c - a set of shared connections, over a pool that has no network:
 * which one a fiber joins, and who is told what of an opening.
 */
#include <errno.h>
#include <stdlib.h>

#include "conn/kit/shared.h"
#include "tests/on_fiber.h"

/* ---- A backend without network ---- */

struct backend {
	int result;		/* of open */
	unsigned open_ms;	/* that it takes */
	unsigned limit_ms;	/* that an attempt may take; 0: 10 s */
	unsigned opens;		/* tried */
	unsigned closes;
	unsigned generation;	/* those of an older one are outdated */
	struct torc_pool *pool;
	struct torc_shared_set set;
};

struct item {
	struct torc_shared shared;
	const struct backend *backend;
	unsigned generation;
};

static int
open_item(void **out, torc_deadline deadline, void *arg)
{
	struct backend *backend = arg;
	struct item *item;
	int rc;

	backend->opens++;
	rc = torc_sleep(torc_sooner(torc_after_ms(backend->open_ms), deadline));
	if (rc == 0)
		rc = backend->result;
	if (rc < 0)
		return rc;
	item = calloc(1, sizeof(*item));
	item->backend = backend;
	item->generation = backend->generation;
	*out = item;
	return 0;
}

static void
close_item(void *item, void *arg)
{
	struct backend *backend = arg;

	backend->closes++;
	free(item);
}

static bool
item_usable(void *item, void *arg)
{
	(void)arg;
	(void)item;
	return true;
}

static const struct torc_pool_kind fake = {
	.name = "fake",
	.open = open_item,
	.close = close_item,
	.free = close_item,
	.usable = item_usable,
};

static struct torc_shared *
enter(void *item)
{
	return &((struct item *)item)->shared;
}

static bool
is_outdated(const struct torc_shared *shared)
{
	const struct item *item = shared->item;

	return item->generation != item->backend->generation;
}

static const struct torc_shared_kind lent = {
	.enter = enter, .outdated = is_outdated,
};
static const struct torc_shared_kind kept = {
	.enter = enter, .outdated = is_outdated, .keeps = true,
};

static int
begin(struct backend *backend, const struct torc_shared_kind *kind)
{
	const struct torc_pool_config pool = { .size = 8,
		.retry_min_ms = 1, .retry_max_ms = 1 };
	const struct torc_shared_config config = { .places = 2, .waiters = 3,
		.requests = 4, 
		.open_ms = backend->limit_ms != 0 ? backend->limit_ms / 2 :
		    5000 };
	int rc = torc_pool_create(&backend->pool, &fake, backend, &pool, NULL);

	return rc < 0 ? rc : torc_shared_set_init(&backend->set, kind,
	    backend->pool, &config);
}

/* Whether all that was opened is closed. */
static bool
end(struct backend *backend, unsigned opened)
{
	torc_shared_set_end(&backend->set);
	return torc_pool_destroy(backend->pool, LATE) == 0 &&
	    backend->closes == opened;
}

/* Park until nothing is being opened. */
static void
await_opening(const struct backend *backend)
{
	while (backend->set.opening)
		torc_sleep(torc_after_ms(1));
}

/* ---- Opening ---- */

struct asker {
	struct backend *backend;
	unsigned patience_ms;
	uint64_t fiber;
};

static int
join_and_leave(void *arg)
{
	const struct asker *asker = arg;
	struct torc_shared *shared;
	int rc = torc_shared_join(&asker->backend->set, &shared,
	    torc_after_ms(asker->patience_ms));

	if (rc == 0)
		torc_shared_leave(shared);
	return rc;
}

static bool
ask(struct asker *asker, struct backend *backend, unsigned patience_ms)
{
	asker->backend = backend;
	asker->patience_ms = patience_ms;
	return torc_fiber_spawn(&asker->fiber, join_and_leave, asker) == 0;
}

static int
result_of(const struct asker *asker)
{
	int result = -EINVAL;

	torc_fiber_join(asker->fiber, &result, LATE);
	return result;
}

static int
hurry(void *arg)
{
	struct backend backend = { .open_ms = 50 };
	struct asker hasty, cancelled, patient;

	(void)arg;
	EXPECT(begin(&backend, &kept) == 0);
	EXPECT(ask(&hasty, &backend, 5) && ask(&cancelled, &backend, 60000) &&
	    ask(&patient, &backend, 60000));
	EXPECT(result_of(&hasty) == -ETIMEDOUT);
	EXPECT(torc_fiber_cancel(cancelled.fiber) == 0);
	EXPECT(result_of(&cancelled) == -ECANCELED);
	EXPECT(result_of(&patient) == 0);
	EXPECT(backend.opens == 1);
	EXPECT(end(&backend, 1));
	return 0;
}

static void
who_gives_up_ends_no_opening_that_others_wait_for(void **state)
{
	(void)state;
	on_fiber(hurry, NULL);
}

static int
fail_to_open(void *arg)
{
	struct backend backend = { .open_ms = 5, .result = -ECONNREFUSED };
	struct asker askers[3], late;

	(void)arg;
	EXPECT(begin(&backend, &kept) == 0);
	for (unsigned i = 0; i < 3; i++)
		EXPECT(ask(&askers[i], &backend, 60000));
	/* One more than `waiters`. */
	EXPECT(ask(&late, &backend, 60000));
	EXPECT(result_of(&late) == -ENOBUFS);
	for (unsigned i = 0; i < 3; i++)
		EXPECT(result_of(&askers[i]) == -ECONNREFUSED);
	EXPECT(backend.opens == 1);
	backend.result = 0;
	torc_sleep(SOON);
	EXPECT(ask(&late, &backend, 60000) && result_of(&late) == 0);
	EXPECT(end(&backend, 1));
	return 0;
}

static void
why_nothing_could_be_opened_is_told_to_all_that_waited(void **state)
{
	(void)state;
	on_fiber(fail_to_open, NULL);
}

static int
end_early(void *arg)
{
	struct backend backend = { .open_ms = 60000 };
	struct asker asker;

	(void)arg;
	EXPECT(begin(&backend, &kept) == 0);
	EXPECT(ask(&asker, &backend, 5));
	EXPECT(result_of(&asker) == -ETIMEDOUT);
	EXPECT(backend.set.opening);
	EXPECT(end(&backend, 0));
	return 0;
}

static void
a_set_that_ends_waits_for_no_opening(void **state)
{
	(void)state;
	on_fiber(end_early, NULL);
}

/* ---- Which one ---- */

static int
widen(void *arg)
{
	struct backend backend = { .open_ms = 5 };
	struct torc_shared *first, *second, *third;

	(void)arg;
	EXPECT(begin(&backend, &kept) == 0);
	EXPECT(torc_shared_join(&backend.set, &first, LATE) == 0);
	/* Another one is opened, and nobody waits for it. */
	EXPECT(torc_shared_join(&backend.set, &second, TORC_AT_ONCE) == 0);
	EXPECT(second == first && first->users == 2);
	await_opening(&backend);
	EXPECT(torc_shared_join(&backend.set, &third, TORC_AT_ONCE) == 0);
	EXPECT(third != first && backend.set.count == 2);
	/* With as many as there may be, the one with fewer users. */
	torc_shared_leave(second);
	torc_shared_leave(first);
	EXPECT(torc_shared_join(&backend.set, &first, TORC_AT_ONCE) == 0);
	EXPECT(first != third && backend.opens == 2);
	torc_shared_leave(first);
	torc_shared_leave(third);
	EXPECT(!torc_shared_set_is_used(&backend.set));
	EXPECT(end(&backend, 2));
	return 0;
}

static void
one_more_is_opened_when_all_are_busy_and_nobody_waits_for_it(void **state)
{
	(void)state;
	on_fiber(widen, NULL);
}

static int
stand_still(void *arg)
{
	struct backend backend = { .open_ms = 5, .limit_ms = 100 };
	struct torc_shared *first, *second;

	(void)arg;
	EXPECT(begin(&backend, &kept) == 0);
	EXPECT(torc_shared_join(&backend.set, &first, LATE) == 0);
	first->pipeline.count = 1;
	first->quiet_since = torc_now() - 60 * UINT64_C(1000000);
	EXPECT(torc_shared_is_quiet(first));
	/* It waits for another one rather than behind the quiet one, ... */
	EXPECT(torc_shared_join(&backend.set, &second, LATE) == 0);
	EXPECT(second != first);
	torc_shared_retire(second);
	torc_shared_leave(second);
	/* ... unless there cannot be one. */
	backend.result = -ECONNREFUSED;
	EXPECT(torc_shared_join(&backend.set, &second, LATE) == 0);
	EXPECT(second == first);
	torc_shared_leave(second);
	first->pipeline.count = 0;
	torc_shared_leave(first);
	EXPECT(end(&backend, 2));
	return 0;
}

static void
one_that_is_quiet_is_used_only_if_there_can_be_no_other(void **state)
{
	(void)state;
	on_fiber(stand_still, NULL);
}

static int
fill(void *arg)
{
	struct backend backend = { .open_ms = 0 };
	struct torc_shared *two[2], *third;

	(void)arg;
	EXPECT(begin(&backend, &kept) == 0);
	for (unsigned i = 0; i < 2; i++) {
		EXPECT(torc_shared_join(&backend.set, &two[i], LATE) == 0);
		two[i]->pipeline.count = two[i]->pipeline.live = 4;
	}
	EXPECT(two[0] != two[1]);
	EXPECT(torc_shared_join(&backend.set, &third, LATE) == -EBUSY);
	two[1]->pipeline.count = 3;
	EXPECT(torc_shared_join(&backend.set, &third, LATE) == 0);
	EXPECT(third == two[1]);
	torc_shared_leave(third);
	for (unsigned i = 0; i < 2; i++) {
		two[i]->pipeline.count = two[i]->pipeline.live = 0;
		torc_shared_leave(two[i]);
	}
	EXPECT(end(&backend, 2));
	return 0;
}

static void
no_connection_has_more_requests_than_it_may(void **state)
{
	(void)state;
	on_fiber(fill, NULL);
}

static int
renew(void *arg)
{
	struct backend backend = { .open_ms = 5, .limit_ms = 100 };
	struct torc_shared *old, *again, *fresh;

	(void)arg;
	EXPECT(begin(&backend, &kept) == 0);
	EXPECT(torc_shared_join(&backend.set, &old, LATE) == 0);
	torc_shared_leave(old);
	backend.generation++;
	EXPECT(torc_shared_join(&backend.set, &again, TORC_AT_ONCE) == 0);
	EXPECT(again == old && backend.set.opening);
	await_opening(&backend);
	EXPECT(torc_shared_join(&backend.set, &fresh, TORC_AT_ONCE) == 0);
	EXPECT(fresh != old && !is_outdated(fresh));
	torc_shared_leave(fresh);
	/* After a failure, no other attempt for `pause_ns`. */
	backend.generation++;
	backend.result = -ECONNREFUSED;
	backend.set.pause_ns = UINT64_C(60000000000);
	EXPECT(torc_shared_join(&backend.set, &fresh, TORC_AT_ONCE) == 0);
	torc_shared_leave(fresh);
	EXPECT(backend.set.opening);
	await_opening(&backend);
	EXPECT(torc_shared_join(&backend.set, &fresh, TORC_AT_ONCE) == 0);
	torc_shared_leave(fresh);
	EXPECT(!backend.set.opening);
	backend.set.open_at = torc_now();
	EXPECT(torc_shared_join(&backend.set, &fresh, TORC_AT_ONCE) == 0);
	torc_shared_leave(fresh);
	EXPECT(backend.set.opening);
	torc_shared_leave(again);
	EXPECT(end(&backend, 2));
	return 0;
}

static void
one_that_is_outdated_serves_until_a_newer_one_is_open(void **state)
{
	(void)state;
	on_fiber(renew, NULL);
}

/* ---- When one goes ---- */

static int
give_back(void *arg)
{
	struct backend backend = { .open_ms = 0 };
	struct torc_shared *first, *again;
	struct torc_pool_stats stats;

	(void)arg;
	EXPECT(begin(&backend, &lent) == 0);
	EXPECT(torc_shared_join(&backend.set, &first, LATE) == 0);
	torc_shared_leave(first);
	torc_pool_stats_read(backend.pool, &stats);
	EXPECT(stats.idle == 1 && stats.rented == 0 && backend.set.count == 0);
	/* While answers are due, it is not. */
	EXPECT(torc_shared_join(&backend.set, &again, TORC_AT_ONCE) == 0);
	EXPECT(again == first);
	again->pipeline.count = 1;
	torc_shared_leave(again);
	EXPECT(backend.set.count == 1);
	again->pipeline.count = 0;
	EXPECT(backend.opens == 1);
	EXPECT(end(&backend, 1));
	return 0;
}

static void
one_without_work_goes_back_to_the_pool_unless_it_is_kept(void **state)
{
	(void)state;
	on_fiber(give_back, NULL);
}

static int
retire(void *arg)
{
	struct backend backend = { .open_ms = 0 };
	struct torc_shared *first, *same, *other;

	(void)arg;
	EXPECT(begin(&backend, &kept) == 0);
	EXPECT(torc_shared_join(&backend.set, &first, LATE) == 0);
	EXPECT(torc_shared_join(&backend.set, &same, TORC_AT_ONCE) == 0);
	EXPECT(same == first);
	await_opening(&backend);
	torc_shared_retire(first);
	for (unsigned i = 0; i < 4; i++) {
		EXPECT(torc_shared_join(&backend.set, &other, LATE) == 0);
		EXPECT(other != first);
		torc_shared_leave(other);
	}
	torc_shared_leave(first);
	torc_sleep(SOON);
	EXPECT(backend.closes == 0 && torc_shared_set_is_used(&backend.set));
	torc_shared_leave(same);
	torc_sleep(SOON);
	EXPECT(backend.closes == 1 && backend.set.retired == 1);
	EXPECT(end(&backend, 2));
	return 0;
}

static void
one_that_is_retired_goes_with_its_last_user(void **state)
{
	(void)state;
	on_fiber(retire, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    who_gives_up_ends_no_opening_that_others_wait_for),
		cmocka_unit_test(
		    why_nothing_could_be_opened_is_told_to_all_that_waited),
		cmocka_unit_test(a_set_that_ends_waits_for_no_opening),
		cmocka_unit_test(
		    one_more_is_opened_when_all_are_busy_and_nobody_waits_for_it),
		cmocka_unit_test(
		    one_that_is_quiet_is_used_only_if_there_can_be_no_other),
		cmocka_unit_test(no_connection_has_more_requests_than_it_may),
		cmocka_unit_test(
		    one_that_is_outdated_serves_until_a_newer_one_is_open),
		cmocka_unit_test(
		    one_without_work_goes_back_to_the_pool_unless_it_is_kept),
		cmocka_unit_test(one_that_is_retired_goes_with_its_last_user),
	};

	return cmocka_run_group_tests_name("shared", tests, NULL, NULL);
}
