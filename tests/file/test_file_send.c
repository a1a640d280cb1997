/* SPDX-License-Identifier: MIT */
/*
 * test_file_send.c - files to connections: every byte, whichever way it goes,
 * to peers that are slow, gone or stalled.
 *
 * wrap: torc_sys_at_hand
 * wrap: torc_sys_send_file
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conn/kit/torc_client.h"
#include "conn/file/torc_file.h"
#include "tests/harness.h"
#include "tests/seam.h"

#define LATE torc_after_ms(60000)
#define SIZE (5u << 20)
#define FROM 1000u	/* where the transfer begins */

/* ---- What is replaced ---- */

static int at_hand_says;	/* if it is an error */
static int send_file_says;
static unsigned asked;		/* calls of the first */
static unsigned sends;		/* calls of the second that sent something */

static int
get(const int *what)
{
	return __atomic_load_n(what, __ATOMIC_SEQ_CST);
}

static void
set(int *what, int value)
{
	__atomic_store_n(what, value, __ATOMIC_SEQ_CST);
}

int
__wrap_torc_sys_at_hand(int file, uint64_t offset)
{
	/* Some parts are there, and some are not. */
	__atomic_fetch_add(&asked, 1, __ATOMIC_SEQ_CST);
	if (get(&at_hand_says) < 0 && offset / 300000 % 2 == 0)
		return get(&at_hand_says);
	return __real_torc_sys_at_hand(file, offset);
}

int
__wrap_torc_sys_send_file(int socket, int file, uint64_t offset, size_t size)
{
	int rc = get(&send_file_says);

	if (rc == 0)
		rc = __real_torc_sys_send_file(socket, file, offset, size);
	if (rc > 0)
		__atomic_fetch_add(&sends, 1, __ATOMIC_SEQ_CST);
	return rc;
}

static unsigned
count(unsigned *counter)
{
	return __atomic_load_n(counter, __ATOMIC_SEQ_CST);
}

/* ---- A server that sends a file, and then what it is told ---- */

static struct server server;
static int file;
static unsigned fds_before;
static int deadline_ms;
static int pace_ms;		/* 0: none */
static int result;		/* of the transfer */
static int result_after;	/* of a write after it */
static int over;
static size_t memory_max;

static int
send_file(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;
	int rc;

	(void)arg;
	torc_conn_set_pace(conn, (unsigned)get(&pace_ms), 20000);
	while (torc_conn_recv(conn, &in, TORC_NEVER) > 0) {
		torc_conn_consume(conn, in.size);
		torc_conn_write(conn, "head ", 5, LATE);
		rc = torc_file_send(conn, file, FROM, SIZE,
		    torc_after_ms((uint64_t)get(&deadline_ms)));
		set(&result, rc);
		set(&result_after, torc_conn_write(conn, " tail", 5, LATE));
		set(&over, true);
		if (rc < 0)
			return -1;
	}
	return TORC_CLOSE;
}

static int
set_up(void **state)
{
	static uint8_t data[SIZE + 2 * FROM];
	char path[] = "/tmp/torc-send-XXXXXX";

	(void)state;
	fds_before = count_fds();
	file = mkostemp(path, O_CLOEXEC);
	assert_true(file >= 0);
	unlink(path);
	stream_fill(3, 0, data, sizeof(data));
	assert_int_equal(write(file, data, sizeof(data)), sizeof(data));
	set(&at_hand_says, 0);
	set(&send_file_says, 0);
	asked = 0;
	sends = 0;
	set(&deadline_ms, 60000);
	set(&pace_ms, 0);
	set(&over, false);
	server_start(&server, NULL, send_file, NULL);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	assert_int_equal(server_stop(&server), 0);
	close(file);
	assert_int_equal(count_fds(), fds_before);
	return 0;
}

static void
await_over(void)
{
	for (unsigned i = 0; i < 60000; i++) {
		if (get(&over))
			return;
		pause_ms(1);
	}
	fail_msg("the transfer does not end");
}

/* One answer: its bytes are those of the file, between those around it. */
static void
assert_answer(int fd)
{
	static uint8_t reply[SIZE + 10];

	client_send(fd, "?", 1);
	assert_true(client_read(fd, reply, sizeof(reply)));
	assert_memory_equal(reply, "head ", 5);
	assert_true(stream_matches(3, FROM, reply + 5, SIZE));
	assert_memory_equal(reply + 5 + SIZE, " tail", 5);
}

static void
assert_two_answers(void)
{
	int fd = client_open(server.port);

	assert_answer(fd);
	assert_answer(fd);
	close(fd);
}

static void
a_file_arrives_whole_between_what_is_written_around_it(void **state)
{
	(void)state;
	assert_two_answers();
	assert_true(count(&sends) >= 2 * SIZE / (256u << 10));
}

static void
what_is_not_in_the_page_cache_is_read_on_the_ring(void **state)
{
	(void)state;
	set(&at_hand_says, -EAGAIN);
	assert_two_answers();
	assert_true(count(&asked) > 0 && count(&sends) > 0);
}

static void
a_file_that_cannot_be_sent_is_copied(void **state)
{
	(void)state;
	set(&send_file_says, -EINVAL);
	assert_two_answers();
	assert_int_equal(count(&sends), 0);
}

static void
a_file_system_that_cannot_tell_is_read_on_the_ring(void **state)
{
	(void)state;
	set(&at_hand_says, -EOPNOTSUPP);
	assert_two_answers();
}

/* ---- Ends ---- */

static void
a_file_that_ends_too_early_is_an_error_and_a_reset(void **state)
{
	static uint8_t reply[SIZE];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		int fd = client_open(server.port);
		const unsigned end = FROM + (3u << 20);
		long got;

		set(&over, false);
		set(&at_hand_says, i == 0 ? 0 : -EAGAIN);
		assert_int_equal(ftruncate(file, end), 0);
		client_send(fd, "?", 1);
		got = client_read_all(fd, reply, sizeof(reply));
		assert_int_equal(got, -1);
		await_over();
		assert_int_equal(get(&result), -ENODATA);
		assert_int_equal(get(&result_after), -ENODATA);
		close(fd);
	}
}

static void
a_slow_reader_gets_it_all_in_bounded_memory(void **state)
{
	static uint8_t part[100000];
	int fd = client_open(server.port);
	const size_t before = resident_bytes();
	uint64_t at = 0;

	(void)state;
	client_send(fd, "?", 1);
	assert_true(client_read(fd, part, 5));
	while (at < SIZE) {
		size_t size = SIZE - at < sizeof(part) ? SIZE - (size_t)at :
		    sizeof(part);

		pause_ms(4);
		assert_true(client_read(fd, part, size));
		assert_true(stream_matches(3, FROM + at, part, size));
		at += size;
		if (resident_bytes() > before + memory_max)
			memory_max = resident_bytes() - before;
	}
	/* The test's own pages are among them; the file's are not. */
#ifndef __SANITIZE_THREAD__	/* which has memory of its own for theirs */
	assert_true(memory_max < SIZE / 4);
#endif
	close(fd);
}

/* Read so many bytes each time, until the end. */
static void
read_slowly(int fd, size_t part, unsigned ms)
{
	static uint8_t bytes[SIZE];
	size_t at = 0;

	while (at < SIZE) {
		const size_t size = SIZE - at < part ? SIZE - at : part;

		pause_ms(ms);
		assert_true(client_read(fd, bytes + at, size));
		at += size;
	}
	assert_true(stream_matches(3, FROM, bytes, SIZE));
}

/*
 * The kernel tells of room in its buffer when a third of it is free, which is
 * far more than such a peer takes in the time that it has.
 */
static void
a_steady_peer_is_never_cut_however_slow(void **state)
{
	static const int says[] = { 0, -EAGAIN, -EOPNOTSUPP };
	uint8_t head[5];

	(void)state;
	set(&pace_ms, 400);	/* before connections are opened */
	for (unsigned i = 0; i < 3; i++) {
		int fd = client_open(server.port);
		const uint64_t since = now_ms();

		set(&at_hand_says, says[i]);
		client_send(fd, "?", 1);
		assert_true(client_read(fd, head, sizeof(head)));
		read_slowly(fd, 40000, 16);
		assert_true(now_ms() - since > 1000);
		await_over();
		assert_int_equal(get(&result), 0);
		set(&over, false);
		close(fd);
	}
}

/* One byte now and then is no progress, and neither is none. */
static void
a_peer_that_drips_is_given_up_when_its_patience_is_over(void **state)
{
	uint8_t byte;

	(void)state;
	set(&pace_ms, 200);
	for (unsigned i = 0; i < 2; i++) {
		int fd = client_open(server.port), small = 4096;

		set(&over, false);
		set(&at_hand_says, i == 0 ? 0 : -EOPNOTSUPP);
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
		client_send(fd, "?", 1);
		for (unsigned j = 0; j < 1000 && !get(&over); j++) {
			pause_ms(10);
			assert_true(get(&over) || client_read(fd, &byte, 1));
		}
		assert_true(get(&over));
		assert_int_equal(get(&result), -ETIMEDOUT);
		assert_int_equal(get(&result_after), -ETIMEDOUT);
		close(fd);
	}
}

static void
a_peer_that_does_not_read_costs_no_more_than_the_deadline(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		int fd = client_open(server.port);
		int small = 4096;

		set(&over, false);
		set(&at_hand_says, i == 0 ? 0 : -EOPNOTSUPP);
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
		set(&deadline_ms, 100);
		client_send(fd, "?", 1);
		await_over();
		assert_int_equal(get(&result), -ETIMEDOUT);
		assert_int_equal(get(&result_after), -ETIMEDOUT);
		close(fd);
	}
}

static void
a_peer_that_vanishes_is_an_error_and_no_signal(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_DFL);
	for (unsigned i = 0; i < 20; i++) {
		int fd = client_open(server.port);
		uint8_t part[5000];

		set(&over, false);
		client_send(fd, "?", 1);
		assert_true(client_read(fd, part, i == 0 ? 1 : sizeof(part)));
		client_reset(fd);
		await_over();
		assert_true(get(&result) == -EPIPE ||
		    get(&result) == -ECONNRESET);
		assert_true(get(&result_after) < 0);
	}
	set(&at_hand_says, 0);
	assert_two_answers();
}

static void
a_pipe_without_a_reader_raises_no_signal(void **state)
{
	int fds[2];
	sigset_t pending;

	(void)state;
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	close(fds[1]);
	assert_int_equal(__real_torc_sys_send_file(fds[0], file, 0, 10),
	    -EPIPE);
	sigpending(&pending);
	assert_false(sigismember(&pending, SIGPIPE));
	assert_false(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	close(fds[0]);
}

/* ---- The loan ---- */

static int
write_while_lent(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	torc_conn_recv(conn, &in, TORC_NEVER);
	torc_conn_lend(conn, LATE);
	torc_conn_write(conn, "x", 1, LATE);
	return TORC_CLOSE;
}

static void
run_child(void)
{
	struct server child;
	int fd;

	if (freopen("/dev/null", "w", stderr) == NULL)
		_exit(1);
	server_start(&child, NULL, write_while_lent, NULL);
	fd = client_open(child.port);
	client_send(fd, "?", 1);
	client_sees_fin(fd);
	_exit(0);
}

static void
a_write_to_a_connection_that_is_lent_stops_the_process(void **state)
{
	pid_t child;
	int status;

	(void)state;
	child = fork();
	if (child == 0)
		run_child();
	assert_true(waitpid(child, &status, 0) == child);
	assert_true(WIFSIGNALED(status));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_write_to_a_connection_that_is_lent_stops_the_process),
		TEST(a_file_arrives_whole_between_what_is_written_around_it),
		TEST(what_is_not_in_the_page_cache_is_read_on_the_ring),
		TEST(a_file_that_cannot_be_sent_is_copied),
		TEST(a_file_system_that_cannot_tell_is_read_on_the_ring),
		TEST(a_file_that_ends_too_early_is_an_error_and_a_reset),
		TEST(a_slow_reader_gets_it_all_in_bounded_memory),
		TEST(a_steady_peer_is_never_cut_however_slow),
		TEST(a_peer_that_drips_is_given_up_when_its_patience_is_over),
		TEST(a_peer_that_does_not_read_costs_no_more_than_the_deadline),
		TEST(a_peer_that_vanishes_is_an_error_and_no_signal),
		TEST(a_pipe_without_a_reader_raises_no_signal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
