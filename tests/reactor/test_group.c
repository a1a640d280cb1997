/* SPDX-License-Identifier: MIT */
/*
 * test_group.c - fibers that end together: none of them outlives its group.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/on_fiber.h"

#define MANY 40u

struct crew {
	unsigned alive;
	unsigned most;
	unsigned begun;
	unsigned ended;
};

struct job {
	struct crew *crew;
	torc_deadline until;		/* it sleeps */
	int result;		/* that it returns, if it was not cancelled */
	int rc;			/* of its sleep */
	bool stubborn;		/* it has more to do when it is cancelled */
};

static int
work(void *arg)
{
	struct job *job = arg;
	struct crew *crew = job->crew;

	crew->begun++;
	if (++crew->alive > crew->most)
		crew->most = crew->alive;
	job->rc = torc_sleep(job->until);
	/* The stack of another fiber is waited for, whatever happens. */
	if (job->stubborn) {
		uint64_t id;

		if (torc_fiber_spawn(&id, work,
		    &(struct job) { .crew = crew,
		    .until = TORC_AT_ONCE }) == 0)
			torc_fiber_reap(id, NULL, TORC_NEVER);
	}
	crew->alive--;
	crew->ended++;
	return job->rc < 0 ? job->rc : job->result;
}

static void
make_jobs(struct job *jobs, unsigned count, struct crew *crew,
    torc_deadline until)
{
	for (unsigned i = 0; i < count; i++)
		jobs[i] = (struct job) { .crew = crew, .until = until };
}

static int
spawn_all(struct torc_group *group, struct job *jobs, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		EXPECT(torc_group_spawn(group, work, &jobs[i], LATE) == 0);
	return 0;
}

/* ---- Bounds ---- */

static int
work_in_threes(void *arg)
{
	struct crew crew = { .alive = 0 };
	struct job jobs[MANY];
	struct torc_group group;
	int error = 1;

	(void)arg;
	make_jobs(jobs, MANY, &crew, torc_after_ms(1));
	torc_group_begin(&group, 3, TORC_GROUP_ALL);
	EXPECT(spawn_all(&group, jobs, MANY) == 0);
	EXPECT(crew.begun >= MANY - 3);
	EXPECT(torc_group_end(&group, &error, LATE) == 0 && error == 0);
	EXPECT(crew.most == 3 && crew.alive == 0 && crew.ended == MANY);
	return 0;
}

static void
no_more_than_the_limit_are_alive_and_spawning_waits(void **state)
{
	(void)state;
	on_fiber(work_in_threes, NULL);
}

static int
spawn_in_vain(void *arg)
{
	struct crew crew = { .alive = 0 };
	struct job jobs[3];
	struct torc_group group;

	(void)arg;
	make_jobs(jobs, 3, &crew, TORC_NEVER);
	torc_group_begin(&group, 2, TORC_GROUP_ALL);
	EXPECT(spawn_all(&group, jobs, 2) == 0);
	EXPECT(torc_group_spawn(&group, work, &jobs[2], SOON) == -ETIMEDOUT);
	EXPECT(torc_group_spawn(&group, work, &jobs[2], TORC_AT_ONCE) ==
	    -ETIMEDOUT);
	torc_group_cancel(&group);
	EXPECT(torc_group_spawn(&group, work, &jobs[2], LATE) == -ECANCELED);
	EXPECT(torc_group_end(&group, NULL, LATE) == 0);
	EXPECT(crew.begun == 2 && crew.alive == 0);
	return 0;
}

static void
who_cannot_spawn_in_time_is_told_and_nothing_runs(void **state)
{
	(void)state;
	on_fiber(spawn_in_vain, NULL);
}

static int
begin_and_end(void *arg)
{
	struct crew crew = { .alive = 0 };
	struct torc_group group, other;
	struct job jobs[MANY];

	(void)arg;
	torc_group_begin(&group, 0, TORC_GROUP_ALL);
	EXPECT(torc_group_end(&group, NULL, TORC_AT_ONCE) == 0);
	/* Without a limit, and one within the other. */
	make_jobs(jobs, MANY, &crew, SOON);
	torc_group_begin(&group, 0, TORC_GROUP_ALL);
	torc_group_begin(&other, 0, TORC_GROUP_ALL);
	EXPECT(spawn_all(&group, jobs, MANY / 2) == 0);
	EXPECT(spawn_all(&other, jobs + MANY / 2, MANY / 2) == 0);
	EXPECT(crew.begun == 0);	/* none ran inside */
	EXPECT(torc_group_end(&other, NULL, LATE) == 0);
	EXPECT(torc_group_end(&group, NULL, LATE) == 0);
	EXPECT(crew.ended == MANY);
	return 0;
}

static void
a_group_may_be_empty_without_a_limit_or_within_another(void **state)
{
	(void)state;
	on_fiber(begin_and_end, NULL);
}

/* ---- Ends ---- */

static int
run_out_of_time(void *arg)
{
	struct crew crew = { .alive = 0 };
	struct job jobs[MANY];
	struct torc_group group;
	int error = 1;

	(void)arg;
	make_jobs(jobs, MANY, &crew, LATE);
	for (unsigned i = 0; i < MANY; i++) {
		jobs[i].stubborn = i % 3 == 0;
		if (i % 2 == 0)
			jobs[i].until = torc_after_ms(1);
	}
	torc_group_begin(&group, 0, TORC_GROUP_ALL);
	EXPECT(spawn_all(&group, jobs, MANY) == 0);
	EXPECT(torc_group_end(&group, &error, SOON) == -ETIMEDOUT);
	EXPECT(crew.alive == 0 && error == 0);
	/* What was done until then is there. */
	for (unsigned i = 0; i < MANY; i++)
		EXPECT(jobs[i].rc == (i % 2 == 0 ? 0 : -ECANCELED));
	return 0;
}

static void
at_the_deadline_all_are_cancelled_and_awaited_and_results_stay(void **state)
{
	(void)state;
	on_fiber(run_out_of_time, NULL);
}

static int
fail_one(void *arg)
{
	struct crew crew = { .alive = 0 };
	struct job jobs[5];
	struct torc_group group;
	int error = 0;

	(void)arg;
	make_jobs(jobs, 5, &crew, LATE);
	jobs[3].until = torc_after_ms(1);
	jobs[3].result = -EDOM;
	torc_group_begin(&group, 0, TORC_GROUP_UNTIL_ERROR);
	EXPECT(spawn_all(&group, jobs, 5) == 0);
	/* It was not the time that ended it. */
	EXPECT(torc_group_end(&group, &error, LATE) == 0 && error == -EDOM);
	EXPECT(crew.ended == 5 && jobs[0].rc == -ECANCELED);
	EXPECT(jobs[3].rc == 0);
	/* Otherwise it is told, and no more. */
	make_jobs(jobs, 5, &crew, torc_after_ms(2));
	jobs[3].until = torc_after_ms(1);
	jobs[3].result = -EDOM;
	torc_group_begin(&group, 0, TORC_GROUP_ALL);
	EXPECT(spawn_all(&group, jobs, 5) == 0);
	EXPECT(torc_group_end(&group, &error, LATE) == 0 && error == -EDOM);
	for (unsigned i = 0; i < 5; i++)
		EXPECT(jobs[i].rc == 0);
	return 0;
}

static void
the_first_error_cancels_the_rest_if_asked(void **state)
{
	(void)state;
	on_fiber(fail_one, NULL);
}

static int
race(void *arg)
{
	struct crew crew = { .alive = 0 };
	struct job jobs[4];
	struct torc_group group;
	int error = 0;

	(void)arg;
	make_jobs(jobs, 4, &crew, LATE);
	jobs[1].until = torc_after_ms(1);
	jobs[1].result = -EDOM;
	jobs[2].until = torc_after_ms(5);
	jobs[2].result = 12;
	torc_group_begin(&group, 4, TORC_GROUP_UNTIL_DONE);
	EXPECT(spawn_all(&group, jobs, 4) == 0);
	/* It waits for a place, which it has when it is of no use any more. */
	EXPECT(torc_group_end(&group, &error, LATE) == 0 && error == -EDOM);
	EXPECT(jobs[2].rc == 0 && jobs[0].rc == -ECANCELED);
	EXPECT(jobs[3].rc == -ECANCELED && crew.ended == 4);
	return 0;
}

static void
the_first_that_succeeds_cancels_the_rest_if_asked(void **state)
{
	(void)state;
	on_fiber(race, NULL);
}

static int
spawn_behind_an_error(void *arg)
{
	struct crew crew = { .alive = 0 };
	struct job jobs[3];
	struct torc_group group;
	int error = 0;

	(void)arg;
	make_jobs(jobs, 3, &crew, LATE);
	jobs[0].until = torc_after_ms(1);
	jobs[0].result = -EDOM;
	torc_group_begin(&group, 2, TORC_GROUP_UNTIL_ERROR);
	EXPECT(spawn_all(&group, jobs, 2) == 0);
	EXPECT(torc_group_spawn(&group, work, &jobs[2], LATE) == -ECANCELED);
	EXPECT(torc_group_end(&group, &error, LATE) == 0 && error == -EDOM);
	EXPECT(crew.begun == 2 && crew.ended == 2);
	return 0;
}

static void
nothing_is_spawned_behind_the_error_that_ended_it(void **state)
{
	(void)state;
	on_fiber(spawn_behind_an_error, NULL);
}

/* ---- The owner ---- */

static struct crew owned;
static int owner_rc;

static int
own(void *arg)
{
	struct job jobs[6];
	struct torc_group group;
	int error;

	(void)arg;
	make_jobs(jobs, 6, &owned, TORC_NEVER);
	jobs[2].stubborn = true;
	torc_group_begin(&group, 0, TORC_GROUP_ALL);
	EXPECT(spawn_all(&group, jobs, 6) == 0);
	owner_rc = torc_group_end(&group, &error, TORC_NEVER);
	EXPECT(owned.alive == 0 && error == 0);
	return 0;
}

static int
cancel_owner(void *arg)
{
	uint64_t id;
	int line;

	(void)arg;
	owned = (struct crew) { .alive = 0 };
	EXPECT(torc_fiber_spawn(&id, own, NULL) == 0);
	EXPECT(torc_sleep(SOON) == 0 && owned.begun == 6);
	EXPECT(torc_fiber_reap(id, &line, TORC_NEVER) == 0 && line == 0);
	EXPECT(owner_rc == -ECANCELED && owned.ended == 7);
	return 0;
}

static void
a_cancelled_owner_takes_all_of_its_group_along(void **state)
{
	(void)state;
	on_fiber(cancel_owner, NULL);
}

static void
spawn_owner(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	torc_fiber_spawn(NULL, own, arg);
}

static bool
is_at_work(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	(void)arg;
	return owned.begun == 6;
}

static void
a_stop_ends_a_group_in_order(void **state)
{
	struct server server;

	(void)state;
	owned = (struct crew) { .alive = 0 };
	owner_rc = 0;
	server_start(&server, NULL, echo_handler, NULL);
	server_call(&server, spawn_owner, NULL);
	assert_true(server_await(&server, is_at_work, NULL, 5000));
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(owned.alive, 0);
	assert_int_equal(owned.ended, 6);
	assert_int_equal(owner_rc, -ECANCELED);
}

/* ---- A client that leaves ---- */

static struct crew backends;
static int watch_rc = 1;
static int life_rc = 1;

/* Several backends are asked for one client, which does not wait for them. */
static int
ask_backends(struct torc_conn *conn, void *arg)
{
	struct torc_group group;
	struct job jobs[4];
	int error;

	(void)arg;
	make_jobs(jobs, 4, &backends, TORC_NEVER);
	torc_conn_watch_begin(conn, TORC_WATCH_FIN);
	torc_group_begin(&group, 0, TORC_GROUP_ALL);
	spawn_all(&group, jobs, 4);
	watch_rc = torc_group_end(&group, &error, LATE);
	torc_conn_watch_end(conn);
	/* It has its own life again. */
	life_rc = torc_sleep(torc_after_ms(1));
	return TORC_CLOSE;
}

static bool
all_are_asked(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	return backends.begun == *(const unsigned *)arg &&
	    backends.alive == *(const unsigned *)arg;
}

static bool
none_is_asked(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	(void)arg;
	return backends.alive == 0 && watch_rc == -ECANCELED && life_rc == 0;
}

static void
what_is_asked_for_a_client_ends_when_that_leaves(void **state)
{
	struct server server;
	unsigned all = 4;
	int fd;

	(void)state;
	backends = (struct crew) { .alive = 0 };
	server_start(&server, NULL, ask_backends, NULL);
	fd = client_open(server.port);
	assert_true(server_await(&server, all_are_asked, &all, 5000));
	close(fd);
	assert_true(server_await(&server, none_is_asked, NULL, 5000));
	assert_int_equal(server_stop(&server), 0);
}

/* ---- Moments ---- */

static int
end_late(void *arg)
{
	struct crew crew = { .alive = 0 };
	struct job job = { .crew = &crew, .until = TORC_AT_ONCE, .result = 3 };
	struct torc_group group;

	(void)arg;
	torc_group_begin(&group, 1, TORC_GROUP_ALL);
	EXPECT(torc_group_spawn(&group, work, &job, LATE) == 0);
	EXPECT(torc_yield() == 0 && crew.ended == 1);
	/* All have ended: there is nothing to be late for. */
	EXPECT(torc_group_end(&group, NULL, TORC_AT_ONCE) == 0);
	return 0;
}

static void
a_group_that_has_ended_is_in_time(void **state)
{
	(void)state;
	on_fiber(end_late, NULL);
}

static int
want_more_than_there_are(void *arg)
{
	struct crew crew = { .alive = 0 };
	struct job jobs[MANY];
	struct torc_group group;
	unsigned made = 0;
	int rc = 0;

	(void)arg;
	make_jobs(jobs, MANY, &crew, SOON);
	torc_group_begin(&group, 0, TORC_GROUP_ALL);
	while (rc == 0 && made < MANY) {
		rc = torc_group_spawn(&group, work, &jobs[made], LATE);
		made += rc == 0;
	}
	EXPECT(rc == -ENOMEM && made > 0);
	EXPECT(torc_group_end(&group, NULL, LATE) == 0);
	EXPECT(crew.ended == made);
	return 0;
}

static void
without_fibers_a_spawn_is_refused_and_the_rest_goes_on(void **state)
{
	(void)state;
	on_fiber(want_more_than_there_are,
	    &(struct torc_config) { .fibers = 8 });
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    no_more_than_the_limit_are_alive_and_spawning_waits),
		cmocka_unit_test(
		    who_cannot_spawn_in_time_is_told_and_nothing_runs),
		cmocka_unit_test(
		    a_group_may_be_empty_without_a_limit_or_within_another),
		cmocka_unit_test(
		    at_the_deadline_all_are_cancelled_and_awaited_and_results_stay),
		cmocka_unit_test(the_first_error_cancels_the_rest_if_asked),
		cmocka_unit_test(
		    the_first_that_succeeds_cancels_the_rest_if_asked),
		cmocka_unit_test(
		    nothing_is_spawned_behind_the_error_that_ended_it),
		cmocka_unit_test(a_cancelled_owner_takes_all_of_its_group_along),
		cmocka_unit_test(a_stop_ends_a_group_in_order),
		cmocka_unit_test(
		    what_is_asked_for_a_client_ends_when_that_leaves),
		cmocka_unit_test(a_group_that_has_ended_is_in_time),
		cmocka_unit_test(
		    without_fibers_a_spawn_is_refused_and_the_rest_goes_on),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("group", tests, NULL, NULL);
}
