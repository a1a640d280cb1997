/* SPDX-License-Identifier: MIT */
/*
 * test_file_keep.c - how many files are kept open, for how long, and for whom
 * they make way: other files, connections, and those of other reactors.
 *
 * wrap: torc_sys_close
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reactor/timers.h"
#include "tests/file/site.h"

#define FILES 200u		/* more than may be kept below */
#define FEW_FDS 240u

static struct rlimit before;

static int
set_up_limit(void **state)
{
	struct rlimit few;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = FEW_FDS;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	return set_up(state);
}

static int
tear_down_limit(void **state)
{
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	return tear_down(state);
}

/* Nothing of the root is in memory, and nothing is looked at twice. */
static void
keep_open(unsigned idle_ms)
{
	config.body_max = 1;
	config.fresh_ms = TORC_NO_LIMIT;
	config.idle_ms = idle_ms;
	restart_root();
}

/* ---- What a root has ---- */

static int
take_stats(void *arg)
{
	torc_file_root_stats_read(root, arg);
	return 0;
}

static struct torc_file_stats
stats(void)
{
	struct torc_file_stats now;

	server_fiber(&server, take_stats, &now);
	return now;
}

/* Until so many descriptors are kept: whether that comes about. */
static bool
await_descriptors(unsigned count)
{
	for (unsigned i = 0; i < 2000 && stats().descriptors != count; i++)
		pause_ms(5);
	return stats().descriptors == count;
}

/* The rest of an answer, whose body has ten bytes. */
static void
read_rest(int fd)
{
	static const char end[] = "\r\n\r\n0123456789";
	size_t size = 0;

	do {
		assert_true(size < ROOM - 1);
		assert_true(client_read(fd, reply + size, 1));
		reply[++size] = '\0';
	} while (size < sizeof(end) || strcmp(reply + size + 1 - sizeof(end),
	    end) != 0);
}

/* On one connection. */
static void
ask_for_files(unsigned from, unsigned to)
{
	int fd = client_open(server.port);

	for (unsigned i = from; i < to; i++) {
		char request[100];

		snprintf(request, sizeof(request),
		    "GET /f%u HTTP/1.1\r\nHost: a\r\n\r\n", i);
		client_send(fd, request, strlen(request));
		assert_true(client_read(fd, reply, 12));
		assert_memory_equal(reply, "HTTP/1.1 200", 12);
		read_rest(fd);
	}
	close(fd);
}

static void
put_files(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%u", i);
		put_text(name, "0123456789");
	}
}

/* ---- How many ---- */

static void
files_that_are_kept_open_leave_half_of_the_descriptors(void **state)
{
	(void)state;
	keep_open(TORC_NO_LIMIT);
	put_files(FILES);
	for (unsigned i = 0; i < FILES; i += 10) {
		ask_for_files(i, i + 10);
		assert_true(stats().descriptors <= FEW_FDS / 2);
	}
	assert_int_equal(stats().descriptors, FEW_FDS / 2);
	/* Those that were used last. */
	ask_for_files(FILES - FEW_FDS / 2, FILES);
	assert_int_equal(stats().looks, FILES);
	ask_for_files(0, 1);
	assert_int_equal(stats().looks, FILES + 1);
}

static struct torc_file_root *second;

static int
open_second(void *arg)
{
	return torc_file_root_open(&second, arg, &config, NULL, LATE);
}

static int
close_second(void *arg)
{
	(void)arg;
	torc_file_root_close(second);
	return 0;
}

/* On another reactor, which asks for nothing. */
static void
roots_share_what_may_be_kept(void **state)
{
	struct server other;

	(void)state;
	keep_open(TORC_NO_LIMIT);
	put_files(FILES);
	ask_for_files(0, FILES);
	assert_int_equal(stats().descriptors, FEW_FDS / 2);
	server_start(&other, NULL, echo_handler, NULL);
	assert_int_equal(server_fiber(&other, open_second, folder), 0);
	ask_for_files(0, 1);
	assert_int_equal(stats().descriptors, FEW_FDS / 4);
	assert_int_equal(server_fiber(&other, close_second, NULL), 0);
	assert_int_equal(server_stop(&other), 0);
	ask_for_files(0, FILES);
	assert_int_equal(stats().descriptors, FEW_FDS / 2);
}

/* ---- For whom they make way ---- */

#define CROWD 16u

/* Of this process: all that are left, once clients have theirs. */
static struct {
	int clients[CROWD];
	int rest[FEW_FDS];
	unsigned count;
} taken;

static void
take_rest(void)
{
	int fd;

	taken.count = 0;
	while (taken.count < FEW_FDS && (fd = open("/dev/null", O_RDONLY |
	    O_CLOEXEC)) >= 0)
		taken.rest[taken.count++] = fd;
}

static void
take_all(void)
{
	const struct timeval limit = { .tv_sec = CLIENT_SECONDS };

	for (unsigned i = 0; i < CROWD; i++) {
		taken.clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC,
		    0);
		assert_true(taken.clients[i] >= 0);
		setsockopt(taken.clients[i], SOL_SOCKET, SO_RCVTIMEO, &limit,
		    sizeof(limit));
	}
	take_rest();
}

static void
give_back(void)
{
	while (taken.count > 0)
		close(taken.rest[--taken.count]);
	for (unsigned i = 0; i < CROWD; i++)
		close(taken.clients[i]);
}

/* All come at once, and each is answered while all are there. */
static void
assert_all_served(unsigned port, const char *request, const char *answer)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	for (unsigned i = 0; i < CROWD; i++)
		assert_int_equal(connect(taken.clients[i],
		    (const struct sockaddr *)&address, sizeof(address)), 0);
	for (unsigned i = 0; i < CROWD; i++) {
		client_send(taken.clients[i], request, strlen(request));
		assert_true(client_read(taken.clients[i], reply,
		    strlen(answer)));
		assert_memory_equal(reply, answer, strlen(answer));
	}
}

#define ASK_F0 "GET /f0 HTTP/1.1\r\nHost: a\r\n\r\n"

static void
open_files_make_way_for_connections_at_once(void **state)
{
	(void)state;
	keep_open(TORC_NO_LIMIT);
	put_files(50);
	ask_for_files(0, 50);
	assert_true(server_await_connections(&server, 0));
	take_all();
	assert_all_served(server.port, ASK_F0, "HTTP/1.1 200");
	give_back();
	assert_int_equal(server_counters(&server).accept_pauses, 0);
	assert_true(stats().descriptors < 50);
}

static void
open_files_make_way_for_connections_of_another_reactor(void **state)
{
	struct server other;

	(void)state;
	keep_open(TORC_NO_LIMIT);
	put_files(50);
	ask_for_files(0, 50);
	assert_true(server_await_connections(&server, 0));
	server_start(&other, NULL, echo_handler, NULL);
	take_all();
	assert_all_served(other.port, "let me in", "let me in");
	give_back();
	assert_true(stats().descriptors < 50);
	assert_int_equal(server_stop(&other), 0);
}

static int
dial_server(void *arg)
{
	struct torc_conn *conn;
	char address[32];
	int rc;

	(void)arg;
	snprintf(address, sizeof(address), "127.0.0.1:%u", server.port);
	rc = torc_dial(&conn, address, LATE);
	if (rc == 0)
		torc_conn_close(conn, TORC_AT_ONCE);
	return rc;
}

static void
open_files_make_way_for_connections_out(void **state)
{
	(void)state;
	keep_open(TORC_NO_LIMIT);
	put_files(50);
	ask_for_files(0, 50);
	assert_true(server_await_connections(&server, 0));
	take_rest();
	assert_int_equal(server_fiber(&server, dial_server, NULL), 0);
	while (taken.count > 0)
		close(taken.rest[--taken.count]);
	/* The control: without files, there is none. */
	restart_root();
	take_rest();
	assert_int_equal(server_fiber(&server, dial_server, NULL), -EMFILE);
	while (taken.count > 0)
		close(taken.rest[--taken.count]);
}

static void
open_files_make_way_for_other_files(void **state)
{
	int fd;

	(void)state;
	keep_open(TORC_NO_LIMIT);
	put_files(50);
	ask_for_files(0, 20);
	assert_true(server_await_connections(&server, 0));
	fd = client_open(server.port);
	assert_true(server_await_connections(&server, 1));
	take_rest();
	for (unsigned i = 0; i < 30; i++) {
		char request[100];

		snprintf(request, sizeof(request),
		    "GET /f%u HTTP/1.1\r\nHost: a\r\n\r\n", 20 + i);
		client_send(fd, request, strlen(request));
		assert_true(client_read(fd, reply, 12));
		assert_memory_equal(reply, "HTTP/1.1 200", 12);
		read_rest(fd);
	}
	close(fd);
	while (taken.count > 0)
		close(taken.rest[--taken.count]);
}

#define LARGE (ROOM - 10000u)

/* Ask for more than the kernel's buffers take, and do not read it yet. */
static int
begin_large(void)
{
	static const char request[] = "GET /large HTTP/1.1\r\nHost: a\r\n"
	    "Connection: close\r\n\r\n";
	int fd = client_open(server.port), small = 65536;

	put_file("large", 7, LARGE);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	client_send(fd, request, sizeof(request) - 1);
	assert_true(client_read(fd, reply, 1));
	return fd;
}

static void
end_large(int fd)
{
	reply[0] = 'H';
	assert_true(client_read_all(fd, reply + 1, ROOM - 2) > (long)LARGE);
	assert_true(stream_matches(7, 0, (const uint8_t *)body(), LARGE));
	close(fd);
}

static void
a_file_that_is_sent_does_not_make_way(void **state)
{
	int fd;

	(void)state;
	keep_open(TORC_NO_LIMIT);
	put_files(50);
	fd = begin_large();
	ask_for_files(0, 20);
	take_all();
	assert_all_served(server.port, ASK_F0, "HTTP/1.1 200");
	give_back();
	end_large(fd);
}

static void
a_file_that_is_sent_is_not_let_go_for_being_idle(void **state)
{
	int fd;

	(void)state;
	keep_open(20);
	fd = begin_large();
	pause_ms(200);
	assert_int_equal(stats().descriptors, 1);
	end_large(fd);
	assert_true(await_descriptors(0));
}

/* ---- For how long ---- */

static void
what_nobody_asks_for_is_let_go(void **state)
{
	(void)state;
	keep_open(50);
	put_files(20);
	ask_for_files(0, 20);
	assert_true(await_descriptors(0));
	assert_int_equal(stats().files, 0);
	config.body_max = 1000;
	restart_root();
	ask_for_files(0, 20);
	assert_true(stats().memory > 0 || stats().files == 0);
	for (unsigned i = 0; i < 2000 && stats().files > 0; i++)
		pause_ms(5);
	assert_int_equal(stats().files, 0);
	assert_int_equal(stats().memory, 0);
}

static bool
is_deleted_open(void)
{
	char path[64], target[300];
	bool found = false;

	for (int fd = 0; fd < (int)FEW_FDS; fd++) {
		ssize_t size;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		size = readlink(path, target, sizeof(target) - 1);
		target[size > 0 ? size : 0] = '\0';
		found |= strstr(target, " (deleted)") != NULL &&
		    strstr(target, "/f0") != NULL;
	}
	return found;
}

static void
a_deleted_file_is_not_held_open(void **state)
{
	(void)state;
	/* Nobody asks for it any more ... */
	keep_open(50);
	put_files(1);
	ask_for_files(0, 1);
	unlink(in_folder("f0"));
	for (unsigned i = 0; i < 2000 && is_deleted_open(); i++)
		pause_ms(5);
	assert_false(is_deleted_open());
	/* ... or it is asked for all the time. */
	config.fresh_ms = FRESH_MS;
	config.idle_ms = TORC_NO_LIMIT;
	restart_root();
	put_files(1);
	ask_for_files(0, 1);
	unlink(in_folder("f0"));
	assert_true(is_deleted_open());
	pass_freshness();
	assert_status("/f0", "", 404);
	for (unsigned i = 0; i < 2000 && is_deleted_open(); i++)
		pause_ms(5);
	assert_false(is_deleted_open());
}

static void
count_timers(struct torc_reactor *reactor, void *arg)
{
	*(unsigned *)arg = reactor->timers.count;
}

static unsigned
timers(void)
{
	unsigned count;

	server_call(&server, count_timers, &count);
	return count;
}

/* A root that keeps nothing wakes nobody. */
static void
a_root_has_a_timer_only_while_it_keeps_something(void **state)
{
	unsigned none;

	(void)state;
	keep_open(50);
	put_files(2);
	assert_true(server_await_connections(&server, 0));
	none = timers();
	ask_for_files(0, 2);
	assert_true(server_await_connections(&server, 0));
	assert_true(await_descriptors(0));
	assert_int_equal(timers(), none);
	config.idle_ms = TORC_NO_LIMIT;
	restart_root();
	ask_for_files(0, 2);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(timers(), none);
	config.idle_ms = 100000;
	restart_root();
	ask_for_files(0, 2);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(timers(), none + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_limit, \
	tear_down_limit)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(files_that_are_kept_open_leave_half_of_the_descriptors),
		TEST(roots_share_what_may_be_kept),
		TEST(open_files_make_way_for_connections_at_once),
		TEST(open_files_make_way_for_connections_of_another_reactor),
		TEST(open_files_make_way_for_connections_out),
		TEST(open_files_make_way_for_other_files),
		TEST(a_file_that_is_sent_does_not_make_way),
		TEST(a_file_that_is_sent_is_not_let_go_for_being_idle),
		TEST(what_nobody_asks_for_is_let_go),
		TEST(a_deleted_file_is_not_held_open),
		TEST(a_root_has_a_timer_only_while_it_keeps_something),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
