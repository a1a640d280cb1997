/* SPDX-License-Identifier: MIT */
/*
 * test_still.c - a thread that stood still, since it was stopped or worked for
 * long, finds what came meanwhile before it finds that its time is up. Here a
 * reactor stands still when the test takes no turns of it, or when the clock
 * says so.
 *
 * wrap: torc_sys_now
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn/kit/torc_client.h"
#include "reactor/fiber.h"
#include "sys/sys.h"
#include "tests/harness.h"
#include "tests/seam.h"

#define LIMIT_MS 40u		/* of the fibers */
#define STILL_MS (3 * LIMIT_MS)
#define MUCH 200000u

/* One fiber that waits for a peer, which the test plays. */
struct waiter {
	int fds[2];		/* for a fiber that uses the first one */
	int listener;
	char address[32];
	bool waiting;
	bool over;
	int rc;
	torc_deadline deadline;
	size_t size;		/* received in time */
	struct torc_waiters turn;
	uint64_t left_ns;	/* of a deadline that was set after it */
};

static struct waiter waiter;

static void
waiter_open(void)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(at);

	memset(&waiter, 0, sizeof(waiter));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, waiter.fds), 0);
	waiter.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(waiter.listener, (struct sockaddr *)&at, size),
	    0);
	assert_int_equal(listen(waiter.listener, 16), 0);
	getsockname(waiter.listener, (struct sockaddr *)&at, &size);
	snprintf(waiter.address, sizeof(waiter.address), "127.0.0.1:%u",
	    ntohs(at.sin_port));
}

static void
waiter_close(void)
{
	close(waiter.listener);
	close(waiter.fds[0]);
	close(waiter.fds[1]);
}

/* ---- What a fiber waits in ---- */

static int
wait_for_descriptor(void *arg)
{
	char text[16];

	(void)arg;
	waiter.deadline = torc_after_ms(LIMIT_MS);
	waiter.waiting = true;
	waiter.rc = torc_fd_recv(waiter.fds[0], text, sizeof(text), 0,
	    waiter.deadline);
	waiter.left_ns = torc_after_ms(LIMIT_MS).at;
	waiter.over = true;
	return 0;
}

/* All that the peer sends, with one deadline for it. */
static int
wait_for_peer(void *arg)
{
	struct torc_conn *conn;
	struct torc_slice in;

	(void)arg;
	if (torc_dial(&conn, waiter.address, TORC_NEVER) < 0)
		return -1;
	waiter.deadline = torc_after_ms(LIMIT_MS);
	waiter.waiting = true;
	while (waiter.size < MUCH &&
	    (waiter.rc = torc_conn_recv(conn, &in, waiter.deadline)) > 0) {
		waiter.size += in.size;
		torc_conn_consume(conn, in.size);
	}
	waiter.left_ns = torc_after_ms(LIMIT_MS).at;
	waiter.over = true;
	torc_conn_close(conn, TORC_AT_ONCE);
	return 0;
}

/* Another fiber reads, and tells this one. */
static int
read_and_tell(void *arg)
{
	char text[16];
	int rc = torc_fd_recv(waiter.fds[0], text, sizeof(text), 0,
	    torc_after_ms(10 * STILL_MS));

	(void)arg;
	torc_wake(&waiter.turn, rc);
	return 0;
}

static int
wait_for_fiber(void *arg)
{
	int rc = torc_fiber_spawn(NULL, read_and_tell, NULL);

	(void)arg;
	waiter.deadline = torc_after_ms(LIMIT_MS);
	waiter.waiting = true;
	waiter.rc = rc < 0 ? rc : torc_wait(&waiter.turn, waiter.deadline);
	waiter.left_ns = torc_after_ms(LIMIT_MS).at;
	waiter.over = true;
	return 0;
}

static int
sleep_for_long(void *arg)
{
	(void)arg;
	torc_sleep(torc_after_ms(LIMIT_MS));
	waiter.over = true;
	return 0;
}

/* ---- The clock ---- */

#define FAR_MS 10000u		/* behind all that really happens */

static uint64_t ahead_ns;		/* of the real time */
static void (*at_next_look)(void);	/* what happens just before it */

uint64_t
__wrap_torc_sys_now(void)
{
	void (*happen)(void) = at_next_look;

	at_next_look = NULL;
	if (happen != NULL)
		happen();
	return __real_torc_sys_now() + ahead_ns;
}

static void
go_to(uint64_t at)
{
	ahead_ns = at - __real_torc_sys_now();
}

/* ---- The loop ---- */

static int
refuse(struct torc_conn *conn, void *arg)
{
	(void)conn;
	(void)arg;
	return TORC_CLOSE;
}

static struct torc_reactor *
reactor_open_with(unsigned batch)
{
	const struct torc_config config = { .buffer_size = 4096,
		.batch = batch };
	struct torc_reactor *reactor;
	struct torc_error error;

	if (torc_reactor_create(&reactor, &config, &error) < 0)
		fail_msg("%s", error.text);
	assert_true(torc_listen(reactor, "127.0.0.1:0", refuse, NULL) >= 0);
	return reactor;
}

static struct torc_reactor *
reactor_open(void)
{
	return reactor_open_with(0);
}

static void
turn_until(struct torc_reactor *reactor, const bool *flag)
{
	const uint64_t end = now_ms() + 20000;

	while (!*flag && now_ms() < end)
		assert_true(torc_reactor_turn(reactor,
		    torc_after_ms(5)) > 0);
	assert_true(*flag);
}

static void
reactor_close(struct torc_reactor *reactor)
{
	torc_reactor_stop(reactor);
	while (torc_reactor_turn(reactor, TORC_NEVER) > 0)
		continue;
	torc_reactor_destroy(reactor);
}

/* Nobody takes turns, and `size` bytes come from `fd`. */
static void
stand_still(int fd, size_t size)
{
	uint8_t *bytes = calloc(1, size + 1);

	assert_non_null(bytes);
	for (size_t sent = 0; sent < size;) {
		ssize_t done = send(fd, bytes, size - sent, MSG_NOSIGNAL);

		assert_true(done > 0);
		sent += (size_t)done;
	}
	free(bytes);
	pause_ms(STILL_MS);
}

/*
 * Start `entry`, stand still beyond its deadline, see how it ends. False: this
 * machine itself stood still, and the deadline came too early.
 */
static bool
try_to_stand_still(torc_fiber_entry *entry, size_t size)
{
	bool in_time;
	struct torc_reactor *reactor = reactor_open();
	const int much = 4 * MUCH;
	int peer;

	waiter_open();
	/* It is taken whole, although nobody reads. */
	setsockopt(waiter.listener, SOL_SOCKET, SO_SNDBUF, &much,
	    sizeof(much));
	assert_int_equal(torc_fiber_start(reactor, NULL, entry, NULL), 0);
	turn_until(reactor, &waiter.waiting);
	peer = entry == wait_for_peer ? accept(waiter.listener, NULL, NULL) :
	    dup(waiter.fds[1]);
	assert_true(peer >= 0);
	/* What it waits with is in the kernel. */
	assert_true(torc_reactor_turn(reactor, TORC_AT_ONCE) > 0);
	in_time = torc_sys_now() < waiter.deadline.at;
	if (in_time)
		stand_still(peer, size);
	turn_until(reactor, &waiter.over);
	close(peer);
	reactor_close(reactor);
	waiter_close();
	return in_time;
}

static void
wait_and_stand_still(torc_fiber_entry *entry, size_t size)
{
	for (int i = 0; i < 100; i++) {
		if (try_to_stand_still(entry, size))
			return;
	}
	fail_msg("this machine is too slow");
}

/* ---- Tests ---- */

static void
what_came_while_the_thread_stood_still_came_in_time(void **state)
{
	(void)state;
	wait_and_stand_still(wait_for_descriptor, 5);
	assert_int_equal(waiter.rc, 5);
	wait_and_stand_still(wait_for_peer, 5);
	assert_int_equal(waiter.size, 5);
	wait_and_stand_still(wait_for_fiber, 5);
	assert_int_equal(waiter.rc, 5);
}

static void
what_did_not_come_is_not_waited_for_any_longer(void **state)
{
	(void)state;
	wait_and_stand_still(wait_for_descriptor, 0);
	assert_int_equal(waiter.rc, -ETIMEDOUT);
	wait_and_stand_still(wait_for_peer, 0);
	assert_int_equal(waiter.rc, -ETIMEDOUT);
	/* A part of it was there, and the rest never comes. */
	wait_and_stand_still(wait_for_peer, 5);
	assert_int_equal(waiter.rc, -ETIMEDOUT);
	wait_and_stand_still(wait_for_fiber, 0);
	assert_int_equal(waiter.rc, -ETIMEDOUT);
}

static void
an_answer_of_many_buffers_is_read_whole_after_its_deadline(void **state)
{
	(void)state;
	wait_and_stand_still(wait_for_peer, MUCH);
	assert_int_equal(waiter.size, MUCH);
	assert_true(waiter.rc > 0);
}

/* Not from when the thread began to stand still. */
static void
a_deadline_that_is_set_meanwhile_counts_from_now(void **state)
{
	const uint64_t began = torc_now();

	(void)state;
	wait_and_stand_still(wait_for_descriptor, 5);
	assert_true(waiter.left_ns >= began +
	    (STILL_MS + LIMIT_MS) * 1000000ull);
	wait_and_stand_still(wait_for_peer, MUCH);
	assert_true(waiter.left_ns >= began +
	    (2 * STILL_MS + LIMIT_MS) * 1000000ull);
}

/* Two fibers whose bytes never let the ring be empty. */
static int
throw_back(void *arg)
{
	int fd = *(int *)arg;
	char text[16] = "ball";
	int rc = 1;

	while (rc > 0) {
		rc = torc_fd_send(fd, text, 4, 0, TORC_NEVER);
		if (rc > 0)
			rc = torc_fd_recv(fd, text, sizeof(text), 0,
			    TORC_NEVER);
	}
	return 0;
}

static void
more_that_never_ends_does_not_keep_deadlines_from_passing(void **state)
{
	struct torc_reactor *reactor = reactor_open();

	(void)state;
	waiter_open();
	for (int i = 0; i < 2; i++)
		assert_int_equal(torc_fiber_start(reactor, NULL, throw_back,
		    &waiter.fds[i]), 0);
	assert_int_equal(torc_fiber_start(reactor, NULL, sleep_for_long,
	    NULL), 0);
	for (int i = 0; i < 10; i++)
		assert_true(torc_reactor_turn(reactor, TORC_AT_ONCE) > 0);
	stand_still(-1, 0);
	turn_until(reactor, &waiter.over);
	reactor_close(reactor);
	waiter_close();
}

/* Many that wait, each for a byte of its own, until the same time. */
#define CROWD 8u

static struct {
	int peers[CROWD];
	unsigned connected;
	torc_deadline deadline;	/* 0: not all are connected */
	unsigned waiting;
	unsigned in_time;
	unsigned done;
	bool all_wait;
	bool over;
} crowd;

static int
wait_in_crowd(void *arg)
{
	struct torc_conn *conn;
	struct torc_slice in;

	(void)arg;
	if (torc_dial(&conn, waiter.address, torc_after_ms(20000)) < 0)
		return -1;
	if (++crowd.connected == CROWD)
		crowd.deadline = torc_after_ms(LIMIT_MS);
	while (crowd.deadline.at == 0)
		torc_sleep(torc_after_ms(1));
	crowd.all_wait = ++crowd.waiting == CROWD;
	crowd.in_time += torc_conn_recv(conn, &in, crowd.deadline) == 1;
	torc_conn_close(conn, TORC_AT_ONCE);
	crowd.over = ++crowd.done == CROWD;
	return 0;
}

/*
 * Nobody takes turns until just behind the deadline, and each has its byte.
 * False: this machine itself stood still.
 */
static bool
try_a_crowd(void)
{
	struct torc_reactor *reactor = reactor_open_with(1);
	bool in_time;

	memset(&crowd, 0, sizeof(crowd));
	waiter_open();
	for (unsigned i = 0; i < CROWD; i++)
		assert_int_equal(torc_fiber_start(reactor, NULL,
		    wait_in_crowd, NULL), 0);
	turn_until(reactor, &crowd.all_wait);
	for (unsigned i = 0; i < CROWD; i++) {
		crowd.peers[i] = accept(waiter.listener, NULL, NULL);
		assert_true(crowd.peers[i] >= 0);
	}
	/* What they wait with is in the kernel. */
	assert_true(torc_reactor_turn(reactor, TORC_AT_ONCE) > 0);
	in_time = crowd.done == 0 && torc_sys_now() < crowd.deadline.at;
	for (unsigned i = 0; i < CROWD; i++)
		assert_int_equal(send(crowd.peers[i], "!", 1, 0), 1);
	while (torc_sys_now() < crowd.deadline.at + 1000000)
		continue;
	turn_until(reactor, &crowd.over);
	for (unsigned i = 0; i < CROWD; i++)
		close(crowd.peers[i]);
	if (in_time)
		assert_int_equal(crowd.in_time, CROWD);
	reactor_close(reactor);
	waiter_close();
	return in_time;
}

static void
what_is_in_the_ring_is_in_time_also_behind_a_batch(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		if (try_a_crowd())
			return;
	}
	fail_msg("this machine is too slow");
}

/*
 * A first deadline comes while the ring has something, which is acted on
 * before; and the thread stands still where it was about to look at the clock
 * again, behind its enter.
 */
static struct {
	int fds[2];		/* what the ring has */
	uint64_t first;		/* the deadline of nobody's bytes */
} twice;

static void
stand_still_behind_the_enter(void)
{
	assert_int_equal(write(waiter.fds[1], "late?", 5), 5);
	go_to(twice.first + STILL_MS * 1000000ull);
}

static void
pass_the_first_deadline(void)
{
	go_to(twice.first + 1000000);
}

static int
keep_the_ring_busy(void *arg)
{
	char byte;

	(void)arg;
	assert_int_equal(torc_fd_recv(twice.fds[0], &byte, 1, 0, TORC_NEVER),
	    1);
	at_next_look = stand_still_behind_the_enter;
	return 0;
}

static int
pass_deadlines(void *arg)
{
	(void)arg;
	torc_sleep(torc_after_ms(5));
	assert_int_equal(write(twice.fds[1], "!", 1), 1);
	at_next_look = pass_the_first_deadline;
	return 0;
}

static int
sleep_until_the_first(void *arg)
{
	(void)arg;
	torc_sleep(torc_at(twice.first));
	return 0;
}

static int
wait_until_the_second(void *arg)
{
	char text[16];

	(void)arg;
	waiter.rc = torc_fd_recv(waiter.fds[0], text, sizeof(text), 0,
	    torc_at(twice.first + LIMIT_MS * 1000000ull));
	torc_reactor_stop(torc_reactor_self());
	return 0;
}

static void
a_thread_that_stands_still_again_while_it_catches_up_is_in_time(void **state)
{
	torc_fiber_entry *const entries[] = { keep_the_ring_busy,
		sleep_until_the_first, wait_until_the_second, pass_deadlines };
	struct torc_reactor *reactor = reactor_open();

	(void)state;
	waiter_open();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, twice.fds), 0);
	twice.first = torc_sys_now() + FAR_MS * 1000000ull;
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
		assert_int_equal(torc_fiber_start(reactor, NULL, entries[i],
		    NULL), 0);
	assert_int_equal(torc_reactor_run(reactor), 0);
	ahead_ns = 0;
	assert_int_equal(waiter.rc, 5);
	torc_reactor_destroy(reactor);
	close(twice.fds[0]);
	close(twice.fds[1]);
	waiter_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    what_came_while_the_thread_stood_still_came_in_time),
		cmocka_unit_test(
		    what_did_not_come_is_not_waited_for_any_longer),
		cmocka_unit_test(
		    an_answer_of_many_buffers_is_read_whole_after_its_deadline),
		cmocka_unit_test(
		    a_deadline_that_is_set_meanwhile_counts_from_now),
		cmocka_unit_test(
		    what_is_in_the_ring_is_in_time_also_behind_a_batch),
		cmocka_unit_test(
	    a_thread_that_stands_still_again_while_it_catches_up_is_in_time),
		cmocka_unit_test(
		    more_that_never_ends_does_not_keep_deadlines_from_passing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
