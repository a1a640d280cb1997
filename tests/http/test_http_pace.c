/* SPDX-License-Identifier: MIT */
/*
 * test_http_pace.c - patience with peers: it wears out while they stand still,
 * and comes back with what they move. Time passes when a test says so.
 *
 * wrap: torc_sys_now
 */
#include "tests/harness.h"
#include "tests/seam.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn/kit/torc_client.h"
#include "conn/http/torc_http.h"
#include "sys/sys.h"

#define HOST "Host: a\r\n"
#define MS 1000000ull
#define LARGE (8u << 20)
#define STEP (256u << 10)

static _Atomic uint64_t passed_ns;
static atomic_bool frozen;	/* no other time passes */

uint64_t
__wrap_torc_sys_now(void)
{
	return (atomic_load(&frozen) ? 1 : __real_torc_sys_now()) +
	    atomic_load(&passed_ns);
}

static uint8_t large[LARGE];

/* ---- The clock alone ---- */

static uint64_t
left_of(const struct torc_pace *pace)
{
	const uint64_t until = torc_pace_until(pace, TORC_NEVER).at;

	return until == UINT64_MAX ? until : until - torc_now();
}

static void
wait_for(struct torc_pace *pace, unsigned ms, uint64_t bytes)
{
	const uint64_t since = torc_now();

	atomic_fetch_add(&passed_ns, ms * MS);
	torc_pace_note(pace, since, bytes);
}

static void
patience_wears_out_while_nothing_moves_and_comes_back_with_bytes(void **state)
{
	struct torc_pace pace;

	(void)state;
	atomic_store(&frozen, true);
	torc_pace_init(&pace, 1000, 500);
	assert_int_equal(left_of(&pace), 1000 * MS);
	wait_for(&pace, 400, 0);
	assert_int_equal(left_of(&pace), 600 * MS);
	wait_for(&pace, 100, 50);	/* a tenth of a second */
	assert_int_equal(left_of(&pace), 600 * MS);
	wait_for(&pace, 300, 10000);	/* never more than all */
	assert_int_equal(left_of(&pace), 1000 * MS);
	wait_for(&pace, 5000, 1);
	assert_int_equal(left_of(&pace), 2 * MS);
	wait_for(&pace, 5, 0);
	assert_int_equal(left_of(&pace), 0);
	wait_for(&pace, 5, UINT64_MAX);
	assert_int_equal(left_of(&pace), 1000 * MS);
	/* A deadline that is sooner holds. */
	assert_true(torc_pace_until(&pace, torc_at(5)).at == 5);
	/* Any byte is enough. */
	torc_pace_init(&pace, 1000, TORC_NO_LIMIT);
	wait_for(&pace, 900, 1);
	assert_int_equal(left_of(&pace), 1000 * MS);
	torc_pace_init(&pace, TORC_NO_LIMIT, 500);
	wait_for(&pace, 1000000, 0);
	assert_true(left_of(&pace) == UINT64_MAX);
	atomic_store(&frozen, false);
}

/* ---- Writers ---- */

static struct server server;
static atomic_int result;	/* of the handler's write; 1: none yet */
static unsigned rate;

/* Let time pass, and the reactor see it, bit by bit. */
static void
pass(unsigned ms)
{
	for (unsigned bit; ms > 0; ms -= bit) {
		bit = ms < 50 ? ms : 50;
		atomic_fetch_add(&passed_ns, bit * MS);
		server_counters(&server);
	}
	server_counters(&server);
}

static void
shrink(int fd, int option)
{
	const int little = 32768;

	setsockopt(fd, SOL_SOCKET, option, &little, sizeof(little));
}

static int
write_large(struct torc_conn *conn, void *arg)
{
	int rc;

	(void)arg;
	shrink(torc_conn_fd(conn), SO_SNDBUF);
	torc_conn_set_pace(conn, 1000, rate);
	rc = torc_conn_write(conn, large, LARGE, TORC_NEVER);
	atomic_store(&result, rc);
	return rc < 0 ? rc : TORC_CLOSE;
}

static int
begin(torc_handler *handler, void *arg)
{
	int fd;

	atomic_store(&result, 1);
	server_start(&server, NULL, handler, arg);
	fd = client_open(server.port);
	shrink(fd, SO_RCVBUF);
	return fd;
}

static void
finish(int fd)
{
	close(fd);
	assert_int_equal(server_stop(&server), 0);
}

/* Read a part each 600 ms; how many parts until the write has ended. */
static unsigned
read_in_steps(int fd)
{
	static uint8_t part[STEP];
	unsigned steps = 0;

	while (atomic_load(&result) == 1 && steps < LARGE / STEP &&
	    client_read(fd, part, STEP)) {
		steps++;
		/* In two leaps: bytes come before the first one only. */
		pass(300);
		pause_ms(1);
		pass(300);
	}
	return steps;
}

/* Whether the write ends, with time passing. */
static bool
ends_in_time(int wanted)
{
	for (unsigned i = 0; i < 500 && atomic_load(&result) == 1; i++) {
		pass(20);
		pause_ms(1);
	}
	return atomic_load(&result) == wanted;
}

static void
a_peer_that_takes_bytes_has_as_long_as_it_needs_for_a_large_write(void **state)
{
	int fd;

	(void)state;
	rate = 100;
	fd = begin(write_large, NULL);
	assert_int_equal(read_in_steps(fd), LARGE / STEP);
	assert_true(ends_in_time(0));
	finish(fd);
}

static void
a_peer_that_stands_still_in_a_large_write_is_given_up(void **state)
{
	static uint8_t part[STEP];
	int fd;

	(void)state;
	rate = 100;
	fd = begin(write_large, NULL);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(client_read(fd, part, STEP));
		pass(600);
	}
	assert_int_equal(atomic_load(&result), 1);
	assert_true(ends_in_time(-ETIMEDOUT));
	finish(fd);
}

static void
a_peer_below_the_least_rate_is_given_up_though_it_moves(void **state)
{
	int fd;

	(void)state;
	/* Far more than it takes, for time passes in leaps here. */
	rate = 100000000;
	fd = begin(write_large, NULL);
	assert_in_range(read_in_steps(fd), 1, LARGE / STEP - 1);
	assert_true(ends_in_time(-ETIMEDOUT));
	finish(fd);
}

/* What a flush gave up is still on its way. */
static int
fill_and_flush(struct torc_conn *conn, void *arg)
{
	int rc = 0;

	(void)arg;
	shrink(torc_conn_fd(conn), SO_SNDBUF);
	/* As much as the sockets take, and a little. */
	torc_conn_set_pace(conn, 1000, 100);
	while (rc == 0) {
		rc = torc_conn_write(conn, large, 4000, TORC_NEVER);
		if (rc == 0)
			rc = torc_conn_flush(conn, TORC_NEVER);
	}
	atomic_store(&result, rc);
	torc_conn_set_pace(conn, TORC_NO_LIMIT, 0);
	return torc_conn_flush(conn, TORC_NEVER) < 0 ? -1 : TORC_CLOSE;
}

static void
a_flush_that_the_peer_lets_wait_leaves_the_connection_whole(void **state)
{
	long got;
	int fd;

	(void)state;
	fd = begin(fill_and_flush, NULL);
	for (unsigned i = 0; i < 10; i++)
		pass(10);
	assert_true(ends_in_time(-ETIMEDOUT));
	got = client_read_all(fd, large, LARGE);
	assert_true(got > 0 && got % 4000 == 0);
	memset(large, 0, (size_t)got);
	finish(fd);
}

/* ---- HTTP ---- */

static struct torc_http_config config = {
	.body_ms = 1000, .write_ms = 1000, .idle_ms = TORC_NO_LIMIT,
	.head_ms = TORC_NO_LIMIT,
};

/* Takes its time with a body, and answers with all there is. */
static int
serve(struct torc_conn *conn, void *arg)
{
	struct torc_http http;
	int rc;

	torc_http_init(&http, conn, &config);
	shrink(torc_conn_fd(conn), SO_SNDBUF);
	while (torc_http_recv(&http, TORC_NEVER) > 0) {
		struct torc_slice body;

		while ((rc = torc_http_read(&http, &body, TORC_NEVER)) > 0) {
			if (arg != NULL)
				torc_sleep(torc_after_ms(5000));
		}
		if (rc == 0)
			rc = torc_http_reply(&http, 200, NULL, 0, large,
			    LARGE, TORC_NEVER);
		atomic_store(&result, rc);
	}
	return torc_http_result(&http);
}

#define POST "POST / HTTP/1.1\r\n" HOST

static void
assert_status(int fd, const char *status)
{
	char line[13];

	assert_true(client_read(fd, line, 12));
	line[12] = '\0';
	assert_string_equal(line, status);
}

static void
send_part(int fd, const char *text)
{
	const uint64_t received = server_counters(&server).received +
	    strlen(text);

	client_send(fd, text, strlen(text));
	while (server_counters(&server).received < received)
		pause_ms(1);
}

static void
a_body_that_drips_is_given_up(void **state)
{
	static const char *const drops[][2] = {
		{ POST "Content-Length: 1000\r\n\r\n", "x" },
		{ POST "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n" },
		/* A trailer is a part of it. */
		{ POST "Transfer-Encoding: chunked\r\n\r\n0\r\na:", "x" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(drops) / sizeof(drops[0]); i++) {
		int fd = begin(serve, NULL);
		unsigned drop = 0;

		send_part(fd, drops[i][0]);
		for (; drop < 20 && atomic_load(&result) == 1; drop++) {
			send_part(fd, drops[i][1]);
			pass(300);
		}
		assert_in_range(drop, 3, 6);
		assert_int_equal(atomic_load(&result), -ETIMEDOUT);
		assert_status(fd, "HTTP/1.1 408");
		finish(fd);
	}
}

static void
a_body_that_comes_steadily_has_as_long_as_it_needs(void **state)
{
	char part[601];
	int fd = begin(serve, NULL);

	(void)state;
	memset(part, 'x', sizeof(part) - 1);
	part[600] = '\0';
	send_part(fd, POST "Content-Length: 12000\r\n\r\n");
	for (unsigned i = 0; i < 20; i++) {
		pass(900);
		send_part(fd, part);
	}
	assert_status(fd, "HTTP/1.1 200");
	finish(fd);
}

static void
time_that_the_handler_takes_is_not_the_peers(void **state)
{
	char part[401];
	int fd = begin(serve, &config);

	(void)state;
	memset(part, 'x', sizeof(part) - 1);
	part[400] = '\0';
	send_part(fd, POST "Content-Length: 1200\r\n\r\n");
	for (unsigned i = 0; i < 3; i++) {
		pass(500);
		send_part(fd, part);
		pass(5000);
	}
	assert_status(fd, "HTTP/1.1 200");
	finish(fd);
}

static void
a_steady_reader_gets_all_of_a_large_answer(void **state)
{
	int fd = begin(serve, NULL);

	(void)state;
	send_part(fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(read_in_steps(fd), LARGE / STEP);
	assert_true(ends_in_time(0));
	finish(fd);
}

static void
a_reader_of_a_large_answer_that_stands_still_is_given_up(void **state)
{
	int fd = begin(serve, NULL);

	(void)state;
	send_part(fd, "GET / HTTP/1.1\r\n" HOST "\r\n");
	assert_status(fd, "HTTP/1.1 200");
	assert_true(ends_in_time(-ETIMEDOUT));
	finish(fd);
}

#define LAST_SIZE (256u << 10)

/* All of the answer fits into the socket. */
static int
serve_last(struct torc_conn *conn, void *arg)
{
	const struct torc_http_config steady = {
		.write_ms = 20000, .write_rate = 1000,
	};
	const int room = LAST_SIZE * 2;
	struct torc_http http;
	int rc;

	(void)arg;
	torc_http_init(&http, conn, &steady);
	setsockopt(torc_conn_fd(conn), SOL_SOCKET, SO_SNDBUF, &room,
	    sizeof(room));
	rc = torc_http_recv(&http, TORC_NEVER);
	if (rc > 0)
		rc = torc_http_reply(&http, 200, NULL, 0, large, LAST_SIZE,
		    TORC_NEVER);
	atomic_store(&result, rc);
	return torc_http_result(&http);
}

static void
what_the_kernel_has_of_the_last_answer_reaches_a_steady_reader(void **state)
{
	/* Windows open by as much. */
	static uint8_t part[65536];
	int fd;

	(void)state;
	fd = begin(serve_last, NULL);
	send_part(fd, "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	assert_true(ends_in_time(0));
	/* Far longer than close_ms. */
	for (unsigned i = 0; i < LAST_SIZE / sizeof(part); i++) {
		assert_true(client_read(fd, part, sizeof(part)));
		pass(12000);
	}
	assert_true(client_read_all(fd, part, sizeof(part)) > 0);
	finish(fd);
}

/* And no longer to one that stands still. */
static void
a_peer_that_leaves_the_last_answer_in_the_kernel_is_reset(void **state)
{
	static uint8_t part[16384];
	int fd;

	(void)state;
	fd = begin(serve_last, NULL);
	send_part(fd, "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	assert_true(ends_in_time(0));
	for (unsigned i = 0; i < 4; i++) {
		assert_true(client_read(fd, part, sizeof(part)));
		pass(6000);
	}
	pass(40000);
	assert_true(server_await_connections(&server, 0));
	finish(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    patience_wears_out_while_nothing_moves_and_comes_back_with_bytes),
		cmocka_unit_test(
		    a_peer_that_takes_bytes_has_as_long_as_it_needs_for_a_large_write),
		cmocka_unit_test(
		    a_peer_that_stands_still_in_a_large_write_is_given_up),
		cmocka_unit_test(
		    a_peer_below_the_least_rate_is_given_up_though_it_moves),
		cmocka_unit_test(
		    a_flush_that_the_peer_lets_wait_leaves_the_connection_whole),
		cmocka_unit_test(a_body_that_drips_is_given_up),
		cmocka_unit_test(
		    a_body_that_comes_steadily_has_as_long_as_it_needs),
		cmocka_unit_test(time_that_the_handler_takes_is_not_the_peers),
		cmocka_unit_test(a_steady_reader_gets_all_of_a_large_answer),
		cmocka_unit_test(
		    a_reader_of_a_large_answer_that_stands_still_is_given_up),
		cmocka_unit_test(
		    what_the_kernel_has_of_the_last_answer_reaches_a_steady_reader),
		cmocka_unit_test(
		    a_peer_that_leaves_the_last_answer_in_the_kernel_is_reset),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
