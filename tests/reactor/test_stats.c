/* SPDX-License-Identifier: MIT */
/*
 * test_stats.c - what a process can know of its own reactors.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/on_fiber.h"

static struct torc_stats
process_stats(void)
{
	struct torc_stats stats;

	torc_stats_read(&stats);
	return stats;
}

static void
echo_times(unsigned port, unsigned times)
{
	int fd = client_open(port);

	for (unsigned i = 0; i < times; i++)
		client_echo(fd, "0123456789");
	close(fd);
}

/* What arrives while a turn runs makes the next one a busy one. */
static void
send_within_a_turn(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	assert_int_equal(write(*(int *)arg, "y", 1), 1);
}

static void
a_reactor_tells_what_it_did_and_does(void **state)
{
	struct torc_stats stats;
	struct server server;
	char echoed;
	int fd;

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	echo_times(server.port, 50);
	fd = client_open(server.port);
	client_echo(fd, "x");
	assert_true(server_await_connections(&server, 1));
	server_call(&server, send_within_a_turn, &fd);
	assert_int_equal(read(fd, &echoed, 1), 1);
	/* The gauges are those of the turn before. */
	server_counters(&server);
	torc_reactor_stats_read(server.reactor, &stats);
	assert_int_equal(stats.reactors, 1);
	assert_int_equal(stats.connections, 1);
	assert_int_equal(stats.connections_max, 16384);
	assert_int_equal(stats.listeners, 1);
	assert_int_equal(stats.fibers, 1);
	assert_int_equal(stats.accepted, 2);
	assert_int_equal(stats.closed, 1);
	assert_int_equal(stats.received_bytes, 502);
	assert_int_equal(stats.sent_bytes, 502);
	assert_true(stats.turns > 50 && stats.enters >= stats.sleeps);
	assert_true(stats.resumes > 50 && stats.posts > 0);
	assert_true(stats.busy_ns > 0);
	close(fd);
	assert_int_equal(server_stop(&server), 0);
}

static void
a_process_adds_up_its_reactors_and_nothing_goes_back(void **state)
{
	const struct torc_stats before = process_stats();
	struct server servers[2];
	struct torc_stats stats;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		server_start(&servers[i], NULL, echo_handler, NULL);
		echo_times(servers[i].port, 10 * (i + 1));
	}
	stats = process_stats();
	assert_int_equal(stats.reactors, 2);
	assert_int_equal(stats.accepted - before.accepted, 2);
	assert_int_equal(stats.received_bytes - before.received_bytes, 300);
	assert_int_equal(stats.connections_max, 2 * 16384);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(server_stop(&servers[i]), 0);
	stats = process_stats();
	assert_int_equal(stats.reactors, 0);
	assert_int_equal(stats.connections_max, 0);
	assert_int_equal(stats.fibers, 0);
	assert_int_equal(stats.accepted - before.accepted, 2);
	assert_int_equal(stats.received_bytes - before.received_bytes, 300);
}

/* Compiled with another version of the header. */
static void
a_program_that_knows_fewer_fields_or_more_has_those_that_both_know(
    void **state)
{
	struct {
		struct torc_stats stats;
		uint64_t later[3];
	} future;
	uint64_t past[4] = { 7, 7, 7, 7 };
	struct server server;

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	memset(&future, 0x55, sizeof(future));
	torc_stats_read_sized(&future.stats, sizeof(future));
	assert_int_equal(future.stats.reactors, 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(future.later[i], 0);
	torc_stats_read_sized((struct torc_stats *)(void *)past,
	    3 * sizeof(uint64_t));
	assert_int_equal(past[0], 1);
	assert_int_equal(past[2], 16384);
	assert_int_equal(past[3], 7);
	assert_int_equal(server_stop(&server), 0);
}

static atomic_bool over;

static void *
read_on(void *arg)
{
	struct torc_stats last = process_stats();

	(void)arg;
	while (!atomic_load(&over)) {
		const struct torc_stats now = process_stats();

		if (now.turns < last.turns || now.accepted < last.accepted ||
		    now.sent_bytes < last.sent_bytes)
			return &over;
		last = now;
	}
	return NULL;
}

static void
any_thread_may_read_while_reactors_come_work_and_go(void **state)
{
	struct server server;
	pthread_t thread;
	void *failed;

	(void)state;
	atomic_store(&over, false);
	assert_int_equal(pthread_create(&thread, NULL, read_on, NULL), 0);
	for (unsigned i = 0; i < 20; i++) {
		server_start(&server, NULL, echo_handler, NULL);
		echo_times(server.port, 10);
		assert_int_equal(server_stop(&server), 0);
	}
	atomic_store(&over, true);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
}

static void
a_child_of_a_fork_begins_anew(void **state)
{
	struct server server;
	int status;
	pid_t child;

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		const struct torc_stats stats = process_stats();

		_exit(stats.reactors == 0 && stats.turns == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(process_stats().reactors, 1);
	assert_int_equal(server_stop(&server), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reactor_tells_what_it_did_and_does),
		cmocka_unit_test(
		    a_process_adds_up_its_reactors_and_nothing_goes_back),
		cmocka_unit_test(
		    a_program_that_knows_fewer_fields_or_more_has_those_that_both_know),
		cmocka_unit_test(
		    any_thread_may_read_while_reactors_come_work_and_go),
		cmocka_unit_test(a_child_of_a_fork_begins_anew),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
