/* SPDX-License-Identifier: MIT */
/*
 * test_misuse.c - NULL, what is gone already, and what belongs to the parent of
 * a fork: calls that are given these stop the process with a sentence.
 */
#include "tests/child.h"
#include "tests/harness.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conn/kit/torc_client.h"
#include "reactor/fiber.h"

/* A sanitizer has words of its own for much of this. */
#define LATE torc_after_ms(60000)

/* What a child may find out: where it was wrong, or nothing. */
static void
expect(bool holds, const char *what)
{
	if (holds)
		return;
	dprintf(STDERR_FILENO, "not so: %s\n", what);
	_exit(9);
}

static void
assert_well(const char *name, void (*body)(void))
{
	char said[512];
	int status = in_child(body, said, sizeof(said));

	if (status != 0 || (said[0] != '\0' && !SANITIZED))
		fail_msg("%s: status 0x%x, saying: %s", name,
		    (unsigned)status, said);
}

/* ---- What a test has ---- */

static struct torc_reactor *
make(void)
{
	struct torc_reactor *reactor = NULL;

	expect(torc_reactor_create(&reactor, NULL, NULL) == 0,
	    "a reactor is made");
	return reactor;
}

static void
finish(struct torc_reactor *reactor)
{
	torc_reactor_drain(reactor, TORC_NEVER);
	expect(torc_reactor_run(reactor) == 0, "the reactor ends well");
	torc_reactor_destroy(reactor);
}

/* Run `entry` on a fiber of a reactor of this thread, to its end. */
static void
on_fiber(torc_fiber_entry *entry)
{
	struct torc_reactor *reactor = make();

	torc_fiber_start(reactor, NULL, entry, NULL);
	finish(reactor);
}

#define ON_FIBER(name, body) \
	static int name##_there(void *arg) { (void)arg; body; return 0; } \
	static void name(void) { on_fiber(name##_there); }
#define CALL(name, body) static void name(void) { body; }

/* ---- NULL ---- */

static struct torc_slice view;

CALL(run_null, (void)torc_reactor_run(NULL))
CALL(turn_null, (void)torc_reactor_turn(NULL, TORC_AT_ONCE))
CALL(fd_null, (void)torc_reactor_fd(NULL))
CALL(due_null, (void)torc_reactor_due(NULL))
CALL(drain_null, torc_reactor_drain(NULL, TORC_AT_ONCE))
CALL(stop_null, torc_reactor_stop(NULL))
CALL(draining_null, (void)torc_reactor_draining(NULL))
CALL(phase_null, (void)torc_reactor_phase(NULL))
CALL(set_local_null, torc_reactor_set_data(NULL, NULL, NULL))
CALL(local_null, (void)torc_reactor_data(NULL, NULL))
CALL(set_null, (void)torc_reactor_set_data(NULL, NULL, NULL))
CALL(get_null, (void)torc_reactor_data(NULL, NULL))
CALL(index_null, (void)torc_reactor_index(NULL))
CALL(describe_null, torc_reactor_describe(NULL, NULL, 0))
CALL(listen_null, (void)torc_listen(NULL, "127.0.0.1:0", echo_handler, NULL))
CALL(port_null, (void)torc_listen_port(NULL, 0))
CALL(create_null, (void)torc_reactor_create(NULL, NULL, NULL))
CALL(listen_nowhere, (void)torc_listen(make(), NULL, echo_handler, NULL))
CALL(serve_null, (void)torc_serve(NULL, NULL, NULL))
CALL(serve_sizes, (void)torc_serve_sized(&(struct torc_config) { 0 },
    sizeof(struct torc_config), 0, NULL, NULL))
ON_FIBER(spawn_null, (void)torc_fiber_spawn(NULL, NULL, NULL))
ON_FIBER(daemon_null, (void)torc_fiber_spawn_daemon(NULL, NULL, NULL))
ON_FIBER(wait_null, (void)torc_wait(NULL, LATE))
ON_FIBER(wake_null, (void)torc_wake(NULL, 0))
ON_FIBER(wake_all_null, (void)torc_wake_all(NULL, 0))
ON_FIBER(close_listener_null, (void)torc_listener_close(NULL, 0, LATE))
CALL(listen_fd_null, (void)torc_listen_fd(NULL, 0, echo_handler, NULL))
CALL(listen_fd_no_handler, (void)torc_listen_fd(make(), 0, NULL, NULL))
CALL(reactor_stats_null, torc_reactor_stats_read(NULL, NULL))
CALL(no_stats_place, torc_reactor_stats_read(make(), NULL))
CALL(all_stats_null, torc_stats_read(NULL))
ON_FIBER(channel_null, (void)torc_channel_create(NULL, 1, 1))
ON_FIBER(send_null, (void)torc_channel_send(NULL, "", LATE))
ON_FIBER(recv_null, (void)torc_channel_recv(NULL, "", LATE))
ON_FIBER(try_send_null, (void)torc_channel_try_send(NULL, ""))
ON_FIBER(try_recv_null, (void)torc_channel_try_recv(NULL, ""))
ON_FIBER(end_channel_null, torc_channel_shutdown(NULL))
ON_FIBER(count_null, (void)torc_channel_count(NULL))
ON_FIBER(choose_null, (void)torc_choose(NULL, 1, LATE))
ON_FIBER(choose_none, (void)torc_choose(&(struct torc_choice) { 0 }, 1, LATE))
ON_FIBER(choose_recv_null, (void)torc_choice_recv(NULL, ""))
ON_FIBER(choose_send_null, (void)torc_choice_send(NULL, ""))
ON_FIBER(choose_wait_null, (void)torc_choice_wait(NULL))
ON_FIBER(choose_input_null, (void)torc_choice_input(NULL))
ON_FIBER(group_null, torc_group_begin(NULL, 0, TORC_GROUP_ALL))
ON_FIBER(group_spawn_null, (void)torc_group_spawn(NULL, NULL, NULL, LATE))
ON_FIBER(group_cancel_null, torc_group_cancel(NULL))
ON_FIBER(group_end_null, (void)torc_group_end(NULL, NULL, LATE))
ON_FIBER(writev_null, (void)torc_conn_writev(NULL, NULL, 0, LATE))
ON_FIBER(dial_null, (void)torc_dial(NULL, "127.0.0.1:1", LATE))
ON_FIBER(dial_name_null, (void)torc_dial_name(NULL, "localhost:1", LATE))
ON_FIBER(dial_next_null, (void)torc_dial_next(NULL, "localhost:1", NULL, LATE))
ON_FIBER(offload_null, (void)torc_offload(NULL, NULL, LATE))
ON_FIBER(flush_null, (void)torc_conn_flush(NULL, LATE))
ON_FIBER(shutdown_null, (void)torc_conn_shutdown(NULL, LATE))
ON_FIBER(push_null, torc_conn_push(NULL))
ON_FIBER(peer_null, (void)torc_conn_peer_address(NULL, NULL, 0))
ON_FIBER(local_of_null, (void)torc_conn_local_address(NULL, NULL, 0))
ON_FIBER(listener_null, (void)torc_conn_listener(NULL))
ON_FIBER(port_of_null, (void)torc_conn_port(NULL))
ON_FIBER(unread_null, (void)torc_conn_unread(NULL))
ON_FIBER(set_data_null, torc_conn_set_data(NULL, NULL))
ON_FIBER(data_null, (void)torc_conn_data(NULL))
ON_FIBER(fd_of_null, (void)torc_conn_fd(NULL))
ON_FIBER(usable_null, (void)torc_conn_usable(NULL))
ON_FIBER(pool_null, (void)torc_pool_create(NULL, NULL, NULL, NULL, NULL))
ON_FIBER(acquire_null, (void)torc_pool_acquire(NULL, NULL, LATE))
ON_FIBER(release_null, torc_pool_release(NULL, NULL, true))
ON_FIBER(stats_null, torc_pool_stats_read(NULL, NULL))

static const struct {
	const char *name;
	void (*call)(void);
	const char *why;
} nulls[] = {
	{ "torc_reactor_run", run_null, "a call needs a reactor" },
	{ "torc_reactor_turn", turn_null, "a call needs a reactor" },
	{ "torc_reactor_fd", fd_null, "a call needs a reactor" },
	{ "torc_reactor_due", due_null, "a call needs a reactor" },
	{ "torc_reactor_drain", drain_null, "a call needs a reactor" },
	{ "torc_reactor_stop", stop_null, "a call needs a reactor" },
	{ "torc_reactor_draining", draining_null, "a call needs a reactor" },
	{ "torc_reactor_phase", phase_null, "a call needs a reactor" },
	{ "torc_reactor_set_data, no key", set_local_null,
	    "a call needs a reactor" },
	{ "torc_reactor_data, no key", local_null, "a call needs a reactor" },
	{ "torc_reactor_set_data", set_null, "a call needs a reactor" },
	{ "torc_reactor_get", get_null, "a call needs a reactor" },
	{ "torc_reactor_index", index_null, "a call needs a reactor" },
	{ "torc_reactor_describe", describe_null, "a call needs a reactor" },
	{ "torc_listen", listen_null, "a call needs a reactor" },
	{ "torc_listen_port", port_null, "a call needs a reactor" },
	{ "torc_reactor_create", create_null, "needs a place" },
	{ "an address", listen_nowhere, "needs an address" },
	{ "torc_serve", serve_null, "torc_serve needs" },
	{ "torc_serve_sized", serve_sizes, "torc_serve_sized needs sizeof" },
	{ "torc_fiber_spawn", spawn_null, "needs an entry" },
	{ "torc_fiber_spawn_daemon", daemon_null, "needs an entry" },
	{ "torc_wait", wait_null, "needs waiters" },
	{ "torc_wake", wake_null, "needs waiters" },
	{ "torc_wake_all", wake_all_null, "needs waiters" },
	{ "torc_listener_close", close_listener_null,
	    "a call needs a reactor" },
	{ "torc_listen_fd", listen_fd_null, "a call needs a reactor" },
	{ "a handler", listen_fd_no_handler, "needs a handler" },
	{ "torc_reactor_stats_read", reactor_stats_null,
	    "a call needs a reactor" },
	{ "a place", no_stats_place, "needs a place" },
	{ "torc_stats_read", all_stats_null, "needs a place" },
	{ "torc_channel_create", channel_null, "needs a place" },
	{ "torc_channel_send", send_null, "a call needs a channel" },
	{ "torc_channel_recv", recv_null, "a call needs a channel" },
	{ "torc_channel_try_send", try_send_null, "a call needs a channel" },
	{ "torc_channel_try_recv", try_recv_null, "a call needs a channel" },
	{ "torc_channel_shutdown", end_channel_null,
	    "a call needs a channel" },
	{ "torc_channel_count", count_null, "a call needs a channel" },
	{ "torc_choose", choose_null, "needs something to choose" },
	{ "a choice", choose_none, "by one of torc's functions" },
	{ "torc_choice_recv", choose_recv_null, "a call needs a channel" },
	{ "torc_choice_send", choose_send_null, "a call needs a channel" },
	{ "torc_choice_wait", choose_wait_null, "needs waiters" },
	{ "torc_choice_input", choose_input_null,
	    "a call needs a connection" },
	{ "torc_group_begin", group_null, "a call needs a group" },
	{ "torc_group_spawn", group_spawn_null, "a call needs a group" },
	{ "torc_group_cancel", group_cancel_null, "a call needs a group" },
	{ "torc_group_end", group_end_null, "a call needs a group" },
	{ "torc_conn_writev", writev_null, "a call needs a connection" },
	{ "torc_dial", dial_null, "torc_dial needs" },
	{ "torc_dial_name", dial_name_null, "torc_dial_name needs" },
	{ "torc_dial_next", dial_next_null, "torc_dial_next needs" },
	{ "torc_offload", offload_null, "needs a function" },
	{ "torc_conn_flush", flush_null, "a call needs a connection" },
	{ "torc_conn_shutdown", shutdown_null, "a call needs a connection" },
	{ "torc_conn_push", push_null, "a call needs a connection" },
	{ "torc_conn_peer_address", peer_null, "a call needs a connection" },
	{ "torc_conn_local_address", local_of_null,
	    "a call needs a connection" },
	{ "torc_conn_listener", listener_null, "a call needs a connection" },
	{ "torc_conn_port", port_of_null, "a call needs a connection" },
	{ "torc_conn_unread", unread_null, "a call needs a connection" },
	{ "torc_conn_set_data", set_data_null, "a call needs a connection" },
	{ "torc_conn_data", data_null, "a call needs a connection" },
	{ "torc_conn_fd", fd_of_null, "a call needs a connection" },
	{ "torc_conn_usable", usable_null, "a call needs a connection" },
	{ "torc_pool_create", pool_null, "torc_pool_create needs" },
	{ "torc_pool_acquire", acquire_null, "a call needs a pool" },
	{ "torc_pool_release", release_null, "a call needs a pool" },
	{ "torc_pool_stats", stats_null, "a call needs a pool" },
};

static void
a_call_that_is_given_null_says_what_it_needs(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++)
		assert_traps_as(nulls[i].name, nulls[i].call, nulls[i].why);
}

static int
let_go_of_nothing(void *arg)
{
	(void)arg;
	expect(torc_conn_close(NULL, LATE) == 0, "NULL is closed");
	torc_pool_destroy(NULL, TORC_NEVER);
	torc_channel_destroy(NULL);
	return 0;
}

static void
give_up_nothing(void)
{
	on_fiber(let_go_of_nothing);
	torc_reactor_destroy(NULL);
}

/* As free() does, for the end of a function that has failed somewhere. */
static void
what_ends_something_does_nothing_with_null(void **state)
{
	(void)state;
	assert_well("NULL", give_up_nothing);
}

/* ---- What others still use ---- */

static struct torc_channel *channel;
static struct torc_group group;

static int
wait_at_channel(void *arg)
{
	char item;

	(void)arg;
	return torc_channel_recv(channel, &item, TORC_NEVER);
}

static int
destroy_under_a_fiber(void *arg)
{
	(void)arg;
	expect(torc_channel_create(&channel, 1, 1) == 0, "a channel is made");
	expect(torc_fiber_spawn(NULL, wait_at_channel, NULL) == 0,
	    "a fiber is made");
	expect(torc_yield() == 0, "it waits");
	torc_channel_destroy(channel);
	return 0;
}

static int
leave_a_group(void *arg)
{
	(void)arg;
	torc_group_begin(&group, 0, TORC_GROUP_ALL);
	return 0;
}

static int
end_what_was_ended(void *arg)
{
	torc_group_begin(&group, 0, TORC_GROUP_ALL);
	expect(torc_group_end(&group, NULL, LATE) == 0, "a group ends");
	return torc_group_spawn(&group, end_what_was_ended, arg, LATE);
}

static int
spawn_in_a_foreign_one(void *arg)
{
	return torc_group_spawn(&group, spawn_in_a_foreign_one, arg, LATE);
}

static int
lend_a_group(void *arg)
{
	torc_group_begin(&group, 0, TORC_GROUP_ALL);
	expect(torc_group_spawn(&group, spawn_in_a_foreign_one, arg,
	    LATE) == 0, "a fiber is made");
	return torc_group_end(&group, NULL, LATE);
}

#define STRAY(name, entry) CALL(name, on_fiber(entry))
STRAY(destroy_in_use, destroy_under_a_fiber)
STRAY(leave_group, leave_a_group)
STRAY(end_group_twice, end_what_was_ended)
STRAY(use_foreign_group, lend_a_group)

static void
a_channel_or_a_group_is_not_left_while_fibers_use_it(void **state)
{
	(void)state;
	assert_traps_as("a channel", destroy_in_use,
	    "while a fiber waits for it");
	assert_traps_as("a group", leave_group,
	    "before it has ended its group");
	assert_traps_as("its end", end_group_twice,
	    "than the one that began it");
	assert_traps_as("a fiber of it", use_foreign_group,
	    "than the one that began it");
}

/* ---- What is gone ---- */

static void
destroy_twice(void)
{
	struct torc_reactor *reactor = make();

	torc_reactor_destroy(reactor);
	torc_reactor_destroy(reactor);
}

static void
post_to_one_that_is_gone(void)
{
	struct torc_post post = { NULL };
	struct torc_reactor *reactor = make();

	torc_reactor_destroy(reactor);
	torc_reactor_post(reactor, &post);
}

static void
run_what_never_was(void)
{
	static struct torc_reactor none;

	torc_reactor_run(&none);
}

static void
a_reactor_that_was_destroyed_is_not_used_again(void **state)
{
	(void)state;
	assert_traps_as("none", run_what_never_was, "or was never created");
	if (SANITIZED) {
		print_message("SKIP: the sanitizer reports it first\n");
		return;
	}
	assert_traps_as("twice", destroy_twice, "after it was destroyed");
	assert_traps_as("a post", post_to_one_that_is_gone,
	    "after it was destroyed");
}

static int
open_item(void **item, torc_deadline deadline, void *arg)
{
	(void)deadline;
	*item = arg;
	return 0;
}

static void
close_item(void *item, void *arg)
{
	(void)arg;
	(void)item;
}

static const struct torc_pool_kind kind = {
	.open = open_item,
	.close = close_item,
};

static int
destroy_pool_twice(void *arg)
{
	struct torc_pool *pool;

	(void)arg;
	expect(torc_pool_create(&pool, &kind, NULL, NULL, NULL) == 0,
	    "a pool is made");
	torc_pool_destroy(pool, TORC_NEVER);
	torc_pool_destroy(pool, TORC_NEVER);
	return 0;
}

static int
release_twice(void *arg)
{
	struct torc_pool *pool;
	void *item;

	(void)arg;
	expect(torc_pool_create(&pool, &kind, &view, NULL, NULL) == 0,
	    "a pool is made");
	expect(torc_pool_acquire(pool, &item, LATE) == 0, "one is rented");
	torc_pool_release(pool, item, true);
	torc_pool_release(pool, item, true);
	return 0;
}

CALL(use_a_pool_twice, on_fiber(destroy_pool_twice))
CALL(release_an_item_twice, on_fiber(release_twice))

static void
a_pool_or_an_item_is_not_given_back_twice(void **state)
{
	(void)state;
	if (!SANITIZED)
		assert_traps_as("a pool", use_a_pool_twice,
		    "after it was destroyed");
	assert_traps_as("an item", release_an_item_twice, "is released twice");
}

/* ---- Connections that are closed ---- */

static void (*on_closed)(struct torc_conn *conn);
static torc_deadline patience;	/* of the close */

/* A connection with this very reactor. */
static int
use_after_close(void *arg)
{
	struct torc_conn *conn = NULL;

	expect(torc_dial(&conn, arg, LATE) == 0, "it is reached");
	torc_conn_close(conn, patience);
	on_closed(conn);
	torc_reactor_stop(torc_reactor_self());
	return 0;
}

static void
close_and_use(void)
{
	struct torc_reactor *reactor = make();
	char address[32];
	int listener = torc_listen(reactor, "127.0.0.1:0", echo_handler,
	    NULL);

	expect(listener >= 0, "it listens");
	snprintf(address, sizeof(address), "127.0.0.1:%u",
	    torc_listen_port(reactor, listener));
	torc_fiber_start(reactor, NULL, use_after_close, address);
	torc_reactor_run(reactor);
	torc_reactor_destroy(reactor);
}

static void
receive(struct torc_conn *conn)
{
	(void)torc_conn_recv(conn, &view, LATE);
}

static void
write_one(struct torc_conn *conn)
{
	(void)torc_conn_write(conn, "x", 1, LATE);
}

static void
write_constant(struct torc_conn *conn)
{
	(void)torc_conn_write_static(conn, "x", 1, LATE);
}

static void consume(struct torc_conn *conn) { torc_conn_consume(conn, 1); }
static void push(struct torc_conn *conn) { torc_conn_push(conn); }
static void ask_fd(struct torc_conn *conn) { (void)torc_conn_fd(conn); }
static void ask_data(struct torc_conn *conn) { (void)torc_conn_data(conn); }

static void
flush(struct torc_conn *conn)
{
	(void)torc_conn_flush(conn, LATE);
}

static void
close_again(struct torc_conn *conn)
{
	(void)torc_conn_close(conn, LATE);
}

/* Turns pass, in which it goes for good. */
static void
close_again_later(struct torc_conn *conn)
{
	for (int i = 0; i < 10; i++)
		torc_sleep(torc_after_ms(1));
	(void)torc_conn_close(conn, LATE);
}

static void
receive_later(struct torc_conn *conn)
{
	for (int i = 0; i < 10; i++)
		torc_sleep(torc_after_ms(1));
	receive(conn);
}

static void nothing(struct torc_conn *conn) { (void)conn; }

static void
a_connection_that_was_closed_is_not_used_again(void **state)
{
	static const struct {
		const char *name;
		void (*use)(struct torc_conn *conn);
	} uses[] = {
		{ "recv", receive },
		{ "consume", consume },
		{ "write", write_one },
		{ "write_static", write_constant },
		{ "push", push },
		{ "flush", flush },
		{ "fd", ask_fd },
		{ "data", ask_data },
		{ "close", close_again },
		{ "close, later", close_again_later },
		{ "recv, later", receive_later },
	};

	(void)state;
	for (int abrupt = 0; abrupt < 2; abrupt++) {
		patience = abrupt ? TORC_AT_ONCE : LATE;
		on_closed = nothing;
		assert_well("once", close_and_use);
		for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
			on_closed = uses[i].use;
			assert_traps_as(uses[i].name, close_and_use,
			    "after it was closed");
		}
	}
}

/* ---- Forks ---- */

#define PARENTS "a child of fork() may not use"

static struct torc_reactor *parents;
static struct torc_conn *parents_conn;
static struct torc_pool *parents_pool;
static void (*in_fork)(void);
static char address_here[32];

/* Forks on the fiber; the child's status is that of this process. */
static int
fork_on_a_fiber(void *arg)
{
	int status = 0;
	pid_t child;

	(void)arg;
	expect(torc_dial(&parents_conn, address_here, LATE) == 0,
	    "it is reached");
	expect(torc_pool_create(&parents_pool, &kind, NULL, NULL, NULL) ==
	    0, "a pool is made");
	child = fork();
	if (child == 0) {
		in_fork();
		_exit(0);
	}
	waitpid(child, &status, 0);
	/* Nothing happened to the parent. */
	expect(torc_conn_write(parents_conn, "x", 1, LATE) == 0 &&
	    torc_conn_recv(parents_conn, &view, LATE) == 1 &&
	    view.data[0] == 'x', "the parent goes on");
	torc_conn_consume(parents_conn, 1);
	torc_conn_close(parents_conn, TORC_AT_ONCE);
	torc_pool_destroy(parents_pool, TORC_NEVER);
	torc_reactor_stop(parents);
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
	}
	_exit(WEXITSTATUS(status));
}

static void
fork_here(bool stats)
{
	const struct torc_config config = { .no_stats = !stats };
	int listener;

	expect(torc_reactor_create(&parents, &config, NULL) == 0,
	    "a reactor is made");
	listener = torc_listen(parents, "127.0.0.1:0", echo_handler, NULL);
	expect(listener >= 0, "it listens");
	snprintf(address_here, sizeof(address_here), "127.0.0.1:%u",
	    torc_listen_port(parents, listener));
	torc_fiber_start(parents, NULL, fork_on_a_fiber, NULL);
	torc_reactor_run(parents);
}

static void fork_with_stats(void) { fork_here(true); }
static void fork_without_stats(void) { fork_here(false); }

static void
post_to_parent(void)
{
	struct torc_post post = { NULL };

	torc_reactor_post(parents, &post);
}

static void sleep_on(void) { torc_sleep(LATE); }
static void run_parents(void) { torc_reactor_run(parents); }
static void drain_parents(void) { torc_reactor_drain(parents, TORC_AT_ONCE); }
static void destroy_parents(void) { torc_reactor_destroy(parents); }
static void receive_parents(void) { receive(parents_conn); }
static void consume_parents(void) { consume(parents_conn); }
static void write_parents(void) { write_one(parents_conn); }
static void write_static_parents(void) { write_constant(parents_conn); }
static void flush_parents(void) { flush(parents_conn); }
static void push_parents(void) { push(parents_conn); }
static void fd_of_parents(void) { ask_fd(parents_conn); }
static void close_parents(void) { close_again(parents_conn); }
static void read_on(void) { (void)torc_fd_poll(0, POLLIN, LATE); }
static void acquire_on(void) { (void)torc_pool_acquire(parents_pool,
    (void **)&view, LATE); }

static int
do_nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void spawn_on(void) { (void)torc_fiber_spawn(NULL, do_nothing, NULL); }

static void
a_child_of_a_fork_is_told_what_it_may_use(void **state)
{
	static const struct {
		const char *name;
		void (*use)(void);
	} uses[] = {
		{ "run", run_parents },
		{ "drain", drain_parents },
		{ "destroy", destroy_parents },
		{ "post", post_to_parent },
		{ "sleep", sleep_on },
		{ "spawn", spawn_on },
		{ "poll", read_on },
		{ "recv", receive_parents },
		{ "consume", consume_parents },
		{ "write", write_parents },
		{ "write_static", write_static_parents },
		{ "flush", flush_parents },
		{ "push", push_parents },
		{ "fd", fd_of_parents },
		{ "close", close_parents },
		{ "acquire", acquire_on },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
		in_fork = uses[i].use;
		assert_traps_as(uses[i].name, fork_with_stats, PARENTS);
		assert_traps_as(uses[i].name, fork_without_stats, PARENTS);
	}
}

static void
make_its_own(void)
{
	struct torc_reactor *reactor;
	uint64_t before = torc_now();

	expect(torc_reactor_self() == NULL, "no reactor is the child's");
	expect(torc_fiber_self() == 0, "nor is a fiber");
	while (torc_now() == before)
		continue;	/* the clock goes on */
	reactor = make();
	torc_fiber_start(reactor, NULL, do_nothing, NULL);
	finish(reactor);
	on_fiber(let_go_of_nothing);
}

static void
receive_beside_its_own(void)
{
	on_fiber(do_nothing);
	receive_parents();
}

static int
receive_from_parents(void *arg)
{
	(void)arg;
	receive(parents_conn);
	return 0;
}

static void receive_on_its_own(void) { on_fiber(receive_from_parents); }

static void
execute(void)
{
	execl("/bin/true", "true", (char *)NULL);
}

static void
leave(void)
{
	signal(SIGALRM, SIG_IGN);
}

static void
a_child_of_a_fork_may_exec_exit_or_make_reactors_of_its_own(void **state)
{
	(void)state;
	in_fork = leave;
	assert_well("exit", fork_with_stats);
	in_fork = execute;
	assert_well("exec", fork_with_stats);
	in_fork = make_its_own;
	assert_well("a reactor of its own", fork_with_stats);
	assert_well("a reactor of its own", fork_without_stats);
	/* With one of its own, too, it may not use its parent's. */
	in_fork = receive_beside_its_own;
	assert_traps_as("recv", fork_with_stats, PARENTS);
	in_fork = receive_on_its_own;
	assert_traps_as("recv", fork_with_stats, PARENTS);
}

#define CLAIM(test) cmocka_unit_test_setup(test, limit)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(a_call_that_is_given_null_says_what_it_needs),
		CLAIM(what_ends_something_does_nothing_with_null),
		CLAIM(a_channel_or_a_group_is_not_left_while_fibers_use_it),
		CLAIM(a_reactor_that_was_destroyed_is_not_used_again),
		CLAIM(a_pool_or_an_item_is_not_given_back_twice),
		CLAIM(a_connection_that_was_closed_is_not_used_again),
		CLAIM(a_child_of_a_fork_is_told_what_it_may_use),
	    CLAIM(a_child_of_a_fork_may_exec_exit_or_make_reactors_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
