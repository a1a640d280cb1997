/* SPDX-License-Identifier: MIT */
/*
 * test_daemons.c - a drain waits for every fiber but daemons, and ends these
 * when nothing else is left.
 */
#include "tests/child.h"
#include "tests/harness.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "reactor/fiber.h"
#include "sys/sys.h"

static struct torc_reactor *
make(void)
{
	struct torc_reactor *reactor;

	assert_int_equal(torc_reactor_create(&reactor, NULL, NULL), 0);
	return reactor;
}

/* Drain, and run to the end. */
static void
finish(struct torc_reactor *reactor)
{
	torc_reactor_drain(reactor, TORC_NEVER);
	assert_int_equal(torc_reactor_run(reactor), 0);
	torc_reactor_destroy(reactor);
}

/* What happened, in order. */
static char history[64];

static void
add(const char *event)
{
	strcat(history, event);
}

static int
begin(void **state)
{
	history[0] = '\0';
	return limit(state);
}

/* On a fiber, from which a test cannot fail. */
static void
expect(bool holds)
{
	if (!holds)
		add("!");
}

/* Until it is cancelled. */
static int
tick(void *arg)
{
	(void)arg;
	while (torc_sleep(torc_after_ms(1)) == 0)
		continue;
	add("d");
	return 0;
}

static int
listen_for_ever(void *arg)
{
	static struct torc_waiters nobody;

	(void)arg;
	if (torc_wait(&nobody, TORC_NEVER) == -ECANCELED)
		add("d");
	return 0;
}

static void
daemons_end_when_nothing_else_is_left(void **state)
{
	struct torc_reactor *reactor = make();

	(void)state;
	assert_int_equal(torc_fiber_start_daemon(reactor, NULL, tick, NULL),
	    0);
	assert_int_equal(torc_fiber_start_daemon(reactor, NULL,
	    listen_for_ever, NULL), 0);
	finish(reactor);
	assert_string_equal(history, "dd");
}

static int
work(void *arg)
{
	(void)arg;
	for (int i = 0; i < 5; i++) {
		if (torc_sleep(torc_after_ms(3)) < 0)
			add("x");
	}
	add("w");
	return 0;
}

static void
a_drain_waits_for_a_fiber_that_is_no_daemon(void **state)
{
	struct torc_reactor *reactor = make();

	(void)state;
	assert_int_equal(torc_fiber_start_daemon(reactor, NULL, tick, NULL),
	    0);
	assert_int_equal(torc_fiber_start(reactor, NULL, work, NULL), 0);
	finish(reactor);
	assert_string_equal(history, "wd");
}

/* A job that must be done: of a fiber that waits for jobs otherwise. */
static int
take_a_job(void *arg)
{
	(void)arg;
	torc_fiber_set_daemon(false);
	work(NULL);
	torc_fiber_set_daemon(true);
	return listen_for_ever(NULL);
}

static void
a_daemon_can_hold_a_drain_for_a_while(void **state)
{
	struct torc_reactor *reactor = make();

	(void)state;
	assert_int_equal(torc_fiber_start_daemon(reactor, NULL, take_a_job,
	    NULL), 0);
	finish(reactor);
	assert_string_equal(history, "wd");
}

static int
become_a_daemon(void *arg)
{
	(void)arg;
	torc_fiber_set_daemon(true);
	torc_fiber_set_daemon(true);
	return listen_for_ever(NULL);
}

static void
a_fiber_can_make_itself_a_daemon(void **state)
{
	struct torc_reactor *reactor = make();

	(void)state;
	assert_int_equal(torc_fiber_start(reactor, NULL, become_a_daemon,
	    NULL), 0);
	finish(reactor);
	assert_string_equal(history, "d");
}

static int
spawn_one_of_each(void *arg)
{
	(void)arg;
	expect(torc_fiber_spawn(NULL, tick, NULL) == 0);
	expect(torc_fiber_spawn_daemon(NULL, tick, NULL) == 0);
	return 0;
}

static void
what_a_daemon_spawns_is_a_daemon(void **state)
{
	struct torc_reactor *reactor = make();

	(void)state;
	assert_int_equal(torc_fiber_start_daemon(reactor, NULL,
	    spawn_one_of_each, NULL), 0);
	finish(reactor);
	assert_string_equal(history, "dd");
}

static int
spawn_work(void *arg)
{
	(void)arg;
	expect(torc_fiber_spawn(NULL, work, NULL) == 0);
	expect(torc_fiber_spawn_daemon(NULL, tick, NULL) == 0);
	return 0;
}

static void
what_another_fiber_spawns_holds_the_drain(void **state)
{
	struct torc_reactor *reactor = make();

	(void)state;
	assert_int_equal(torc_fiber_start(reactor, NULL, spawn_work, NULL),
	    0);
	finish(reactor);
	assert_string_equal(history, "wd");
}

/* Told to end, it makes others: a daemon is refused, a job is not. */
static int
spawn_at_the_end(void *arg)
{
	(void)arg;
	listen_for_ever(NULL);
	expect(torc_fiber_spawn(NULL, tick, NULL) == -ESHUTDOWN);
	expect(torc_fiber_spawn_daemon(NULL, tick, NULL) == -ESHUTDOWN);
	torc_fiber_set_daemon(false);
	expect(torc_fiber_spawn(NULL, work, NULL) == 0);
	return 0;
}

static void
no_daemon_is_made_after_they_were_told_to_end(void **state)
{
	struct torc_reactor *reactor = make();

	(void)state;
	assert_int_equal(torc_fiber_start_daemon(reactor, NULL,
	    spawn_at_the_end, NULL), 0);
	finish(reactor);
	assert_string_equal(history, "dw");
}

/* Reads from a pipe into which nobody writes: an operation of the kernel. */
static int
read_for_ever(void *arg)
{
	int ends[2];
	char byte;

	(void)arg;
	expect(pipe(ends) == 0);
	if (torc_fd_read(ends[0], &byte, 1, TORC_STREAM, TORC_NEVER) ==
	    -ECANCELED)
		add("d");
	close(ends[0]);
	close(ends[1]);
	return 0;
}

/* The program's own loop would sleep otherwise, and the drain hang. */
static void
a_foreign_loop_is_told_that_a_turn_ends_the_daemons(void **state)
{
	struct torc_reactor *reactor = make();

	(void)state;
	assert_int_equal(torc_fiber_start_daemon(reactor, NULL, read_for_ever,
	    NULL), 0);
	assert_int_equal(torc_fiber_start_daemon(reactor, NULL,
	    listen_for_ever, NULL), 0);
	while (torc_reactor_due(reactor) == 0)
		assert_int_equal(torc_reactor_turn(reactor, TORC_AT_ONCE), 1);
	assert_string_equal(history, "");
	torc_reactor_drain(reactor, TORC_NEVER);
	while (torc_reactor_turn(reactor, TORC_AT_ONCE) > 0)
		assert_true(torc_reactor_due(reactor) == 0 ||
		    strlen(history) == 1);
	torc_reactor_destroy(reactor);
	assert_string_equal(history, "dd");
}

/* ---- With connections ---- */

static atomic_bool dismissed;
static atomic_int answers;

static int
serve_the_others(void *arg)
{
	listen_for_ever(arg);
	atomic_store(&dismissed, true);
	return 0;
}

/* A handler that has begun may need a daemon until it has answered. */
static int
answer_late(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	if (torc_conn_recv(conn, &in, TORC_NEVER) <= 0)
		return -1;
	torc_reactor_drain(torc_reactor_self(), TORC_NEVER);
	for (int i = 0; i < 10; i++)
		torc_sleep(torc_after_ms(1));
	if (!atomic_load(&dismissed))
		atomic_fetch_add(&answers, 1);
	return torc_conn_write(conn, "ok", 2, TORC_NEVER);
}

static int
spawn_server_of_others(void *arg)
{
	return torc_fiber_spawn_daemon(NULL, serve_the_others, arg);
}

static void
daemons_outlive_the_handlers(void **state)
{
	struct server server;
	char answer[2];
	int fd;

	(void)state;
	server_start(&server, NULL, answer_late, NULL);
	assert_int_equal(server_fiber(&server, spawn_server_of_others, NULL),
	    0);
	fd = client_open(server.port);
	client_send(fd, "?", 1);
	assert_true(client_read(fd, answer, 2));
	close(fd);
	assert_int_equal(pthread_join(server.thread, NULL), 0);
	assert_int_equal(server.result, 0);
	torc_reactor_destroy(server.reactor);
	assert_int_equal(atomic_load(&answers), 1);
	assert_true(atomic_load(&dismissed));
}

/* ---- With torc_serve() ---- */

static int
make_background(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	(void)arg;
	return torc_fiber_spawn(NULL, tick, NULL);
}

static void
end_it(void *arg)
{
	(void)arg;
	kill(getpid(), SIGTERM);
}

static void
what_start_spawns_does_not_hold_the_drain_of_a_server(void **state)
{
	static const char *const addresses[] = { "127.0.0.1:0", NULL };
	const struct torc_config config = {
		.listen = addresses,
		.handler = echo_handler,
		.start = make_background,
		.reactors = 1,
		.drain_ms = TORC_NO_LIMIT,
	};
	struct torc_error error;

	(void)state;
	assert_int_equal(torc_serve(&config, end_it, &error), 0);
	assert_string_equal(history, "d");
}

#define CLAIM(test) cmocka_unit_test_setup(test, begin)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(daemons_end_when_nothing_else_is_left),
		CLAIM(a_drain_waits_for_a_fiber_that_is_no_daemon),
		CLAIM(a_daemon_can_hold_a_drain_for_a_while),
		CLAIM(a_fiber_can_make_itself_a_daemon),
		CLAIM(what_a_daemon_spawns_is_a_daemon),
		CLAIM(what_another_fiber_spawns_holds_the_drain),
		CLAIM(no_daemon_is_made_after_they_were_told_to_end),
		CLAIM(a_foreign_loop_is_told_that_a_turn_ends_the_daemons),
		CLAIM(daemons_outlive_the_handlers),
		CLAIM(what_start_spawns_does_not_hold_the_drain_of_a_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
