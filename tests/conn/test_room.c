/* SPDX-License-Identifier: MIT */
/*
 * test_room.c - all places are taken, and somebody knocks: who leaves.
 */
#include "tests/harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn/kit/torc_client.h"

#define PLACES 4u
#define LONG_AGO_MS 1300	/* silent for more than a second */

static const struct torc_config config = { .connections = PLACES };

/*
 * Echoes lines. One that begins with "b" makes it busy, one with "w" has it
 * wait, one with "f" answers more than fits and is never done with it.
 */
static int
serve_lines(struct torc_conn *conn, void *arg)
{
	static const uint8_t much[8 << 20];
	struct torc_slice in;

	(void)arg;
	while (torc_conn_recv(conn, &in, TORC_NEVER) > 0) {
		const char first = (char)in.data[0];

		if (in.data[in.size - 1] != '\n')
			continue;
		if (torc_conn_write(conn, in.data, in.size, TORC_NEVER) < 0)
			return -1;
		torc_conn_consume(conn, in.size);
		torc_conn_set_busy(conn, first == 'b');
		if (first == 'w' && (torc_conn_flush(conn, TORC_NEVER) < 0 ||
		    torc_sleep(torc_after_ms(20000)) < 0))
			return -1;
		if (first == 'f' && torc_conn_write(conn, much, sizeof(much),
		    TORC_NEVER) < 0)
			return -1;
	}
	return TORC_CLOSE;
}

/* The same without a stack between lines. */
static int
serve_a_line(struct torc_conn *conn, void *arg)
{
	struct torc_slice in;

	(void)arg;
	if (torc_conn_recv(conn, &in, TORC_NEVER) <= 0 ||
	    torc_conn_write(conn, in.data, in.size, TORC_NEVER) < 0)
		return TORC_CLOSE;
	torc_conn_consume(conn, in.size);
	return TORC_AGAIN;
}

static void
take_places(struct server *server, int *fds, const char *line)
{
	for (unsigned i = 0; i < PLACES; i++) {
		fds[i] = client_open(server->port);
		client_echo(fds[i], line);
	}
}

static void
close_all(const int *fds)
{
	for (unsigned i = 0; i < PLACES; i++)
		close(fds[i]);
}

static bool
is_open(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	    errno == EAGAIN;
}

/* One of them leaves, if not at once. */
static bool
one_leaves(const int *fds, unsigned count)
{
	for (unsigned i = 0; i < 5000; i++) {
		for (unsigned j = 0; j < count; j++) {
			if (!is_open(fds[j]))
				return true;
		}
		pause_ms(1);
	}
	return false;
}

/* A new one is served; which of those that sit has left. */
static void
knock(struct server *server, int *fds, unsigned loser)
{
	const struct torc_counters before = server_counters(server);
	char rest[64];
	int fd = client_open(server->port);

	client_echo(fd, "new\n");
	assert_int_equal(client_read_all(fds[loser], rest, sizeof(rest)), 0);
	for (unsigned i = 0; i < PLACES; i++)
		assert_true(i == loser || is_open(fds[i]));
	assert_int_equal(server_counters(server).evictions,
	    before.evictions + 1);
	assert_int_equal(server_counters(server).sheds, before.sheds);
	close(fds[loser]);
	fds[loser] = fd;
}

static void
check_idle(torc_handler *handler)
{
	struct server server;
	int fds[PLACES];

	server_start(&server, &config, handler, NULL);
	take_places(&server, fds, "one\n");
	/* The third one has had its last answer before all others. */
	client_echo(fds[0], "again\n");
	client_echo(fds[1], "again\n");
	client_echo(fds[3], "again\n");
	knock(&server, fds, 2);
	knock(&server, fds, 0);
	knock(&server, fds, 1);
	knock(&server, fds, 3);
	client_echo(fds[3], "and on\n");
	close_all(fds);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_stop(&server), 0);
}

static void
whoever_waits_longest_for_a_request_makes_room(void **state)
{
	(void)state;
	check_idle(serve_lines);
	check_idle(serve_a_line);
}

/* Nobody is idle: the new one is turned away, as nothing can be done. */
static void
nobody_at_work_makes_room(void **state)
{
	static const char *const lines[] = { "work\n", "busy\n" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct server server;
		int fds[PLACES], fd;

		server_start(&server, &config, serve_lines, NULL);
		take_places(&server, fds, lines[i]);
		fd = client_open(server.port);
		assert_true(client_sees_fin(fd));
		close(fd);
		for (unsigned n = 0; n < PLACES; n++)
			assert_true(is_open(fds[n]));
		assert_int_equal(server_counters(&server).sheds, 1);
		assert_int_equal(server_counters(&server).evictions, 0);
		close_all(fds);
		assert_int_equal(server_stop(&server), 0);
	}
}

/* The control of both: one that is idle leaves, and the others go on. */
static void
those_at_work_stay_beside_one_that_is_idle(void **state)
{
	struct server server;
	int fds[PLACES];

	(void)state;
	server_start(&server, &config, serve_lines, NULL);
	take_places(&server, fds, "busy\n");
	client_echo(fds[1], "idle\n");
	knock(&server, fds, 1);
	for (unsigned i = 0; i < PLACES; i++)
		client_echo(fds[i], "and on\n");
	close_all(fds);
	assert_int_equal(server_stop(&server), 0);
}

/* A new one knocks when all have been silent in the middle of something. */
static void
check_silent(const char *begin)
{
	struct server server;
	int fds[PLACES], fd;

	server_start(&server, &config, serve_lines, NULL);
	for (unsigned i = 0; i < PLACES; i++) {
		fds[i] = client_open(server.port);
		client_send(fds[i], begin, strlen(begin));
	}
	assert_true(server_await_connections(&server, PLACES));
	pause_ms(LONG_AGO_MS);
	fd = client_open(server.port);
	client_echo(fd, "new\n");
	assert_int_equal(server_counters(&server).evictions, 1);
	assert_int_equal(server_counters(&server).sheds, 0);
	assert_true(server_await_connections(&server, PLACES));
	close(fd);
	close_all(fds);
	assert_int_equal(server_stop(&server), 0);
}

static void
half_requests_in_all_places_lock_nobody_out(void **state)
{
	(void)state;
	check_silent("half a li");
}

static void
peers_that_read_nothing_in_all_places_lock_nobody_out(void **state)
{
	(void)state;
	check_silent("flood me\n");
}

/* Those that are slow, but not silent, are left alone. */
static void
whoever_makes_progress_stays(void **state)
{
	struct server server;
	int fds[PLACES], fd;

	(void)state;
	server_start(&server, &config, serve_lines, NULL);
	for (unsigned i = 0; i < PLACES; i++) {
		fds[i] = client_open(server.port);
		client_send(fds[i], "half", 4);
	}
	assert_true(server_await_connections(&server, PLACES));
	pause_ms(LONG_AGO_MS);
	for (unsigned i = 0; i < PLACES; i++) {
		if (i != 1)
			client_send(fds[i], ".", 1);
	}
	/* All have it before the new one comes. */
	for (unsigned i = 0; i < 5000 && server_counters(&server).receives <
	    2 * PLACES - 1; i++)
		pause_ms(1);
	fd = client_open(server.port);
	client_echo(fd, "new\n");
	assert_true(one_leaves(fds + 1, 1));
	for (unsigned i = 0; i < PLACES; i++)
		assert_true(is_open(fds[i]) == (i != 1));
	close(fd);
	close_all(fds);
	assert_int_equal(server_stop(&server), 0);
}

static int
open_from(unsigned port, const char *source)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct sockaddr_in to = { .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, source, &from.sin_addr);
	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* The first is the most silent one, but comes from an address of its own. */
static void
of_the_silent_one_that_shares_its_address_leaves(void **state)
{
	struct server server;
	int fds[PLACES], fd;

	(void)state;
	server_start(&server, &config, serve_lines, NULL);
	for (unsigned i = 0; i < PLACES; i++) {
		fds[i] = open_from(server.port,
		    i == 0 ? "127.0.0.2" : "127.0.0.3");
		client_send(fds[i], "half", 4);
		pause_ms(20);
	}
	pause_ms(LONG_AGO_MS);
	fd = client_open(server.port);
	client_echo(fd, "new\n");
	assert_true(one_leaves(fds + 1, PLACES - 1));
	assert_true(is_open(fds[0]));
	assert_int_equal(server_counters(&server).evictions, 1);
	close(fd);
	close_all(fds);
	assert_int_equal(server_stop(&server), 0);
}

/* A crowd that only knocks: each is served, one after the other. */
static void
a_crowd_passes_through_few_places(void **state)
{
	struct server server;
	int fds[200];

	(void)state;
	server_start(&server, &config, serve_lines, NULL);
	for (unsigned i = 0; i < 200; i++) {
		fds[i] = client_open(server.port);
		client_echo(fds[i], "here\n");
	}
	assert_int_equal(server_counters(&server).sheds, 0);
	assert_int_equal(server_counters(&server).evictions, 200 - PLACES);
	assert_true(server_await_connections(&server, PLACES));
	for (unsigned i = 0; i < 200; i++)
		close(fds[i]);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_stop(&server), 0);
}

static int
dial_a_backend(void *arg)
{
	struct torc_conn *conn;
	int rc = torc_dial(&conn, arg, torc_after_ms(5000));

	return rc < 0 ? rc : torc_conn_close(conn, torc_after_ms(1000));
}

/* What clients hold does not keep a handler from its backend. */
static void
a_dial_finds_room_beside_idle_clients(void **state)
{
	struct server server, backend;
	char address[32];
	int fds[PLACES];

	(void)state;
	server_start(&backend, NULL, serve_lines, NULL);
	snprintf(address, sizeof(address), "127.0.0.1:%u", backend.port);
	server_start(&server, &config, serve_lines, NULL);
	take_places(&server, fds, "idle\n");
	assert_int_equal(server_fiber(&server, dial_a_backend, address), 0);
	close_all(fds);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(server_stop(&backend), 0);
}

/* ---- Descriptors ---- */

#define CROWD 40u	/* clients: there are descriptors for less */

static struct rlimit all;	/* of this process */
static int crowd[CROWD];
static struct server few;	/* has descriptors for few */

static int
set_up_few(void **state)
{
	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	for (unsigned i = 0; i < CROWD; i++) {
		const struct timeval limit = { .tv_sec = CLIENT_SECONDS };

		crowd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_true(crowd[i] >= 0);
		setsockopt(crowd[i], SOL_SOCKET, SO_RCVTIMEO, &limit,
		    sizeof(limit));
	}
	server_start(&few, NULL, serve_lines, NULL);
	return 0;
}

/* From now on, there are so many more. */
static void
leave_few(unsigned count)
{
	struct rlimit limit = all;
	const int lowest = dup(STDOUT_FILENO);

	assert_true(lowest >= 0);
	close(lowest);
	limit.rlim_cur = (rlim_t)lowest + count;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void
knock_at_few(unsigned i)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)few.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	assert_int_equal(connect(crowd[i], (const struct sockaddr *)&to,
	    sizeof(to)), 0);
}

static int
tear_down_few(void **state)
{
	(void)state;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	for (unsigned i = 0; i < CROWD; i++)
		close(crowd[i]);
	assert_true(server_await_connections(&few, 0));
	assert_int_equal(server_stop(&few), 0);
	return 0;
}

static void
idle_connections_make_way_when_descriptors_run_out(void **state)
{
	char rest[8];

	(void)state;
	leave_few(10);
	for (unsigned i = 0; i < CROWD; i++) {
		knock_at_few(i);
		client_echo(crowd[i], "here\n");
	}
	/* Those that came first have left. */
	for (unsigned i = 0; i < CROWD / 2; i++)
		assert_int_equal(client_read_all(crowd[i], rest,
		    sizeof(rest)), 0);
	assert_true(is_open(crowd[CROWD - 1]));
	assert_int_equal(server_counters(&few).sheds, 0);
}

static void
half_requests_do_not_keep_the_last_descriptors(void **state)
{
	(void)state;
	leave_few(10);
	for (unsigned i = 0; i < CROWD / 2; i++) {
		knock_at_few(i);
		client_send(crowd[i], "half", 4);
	}
	for (unsigned i = CROWD / 2; i < CROWD; i++) {
		knock_at_few(i);
		client_echo(crowd[i], "here\n");
	}
}

/* Idle clients leave descriptors to whatever else needs one. */
static void
a_dial_finds_a_descriptor_beside_idle_clients(void **state)
{
	struct server backend;
	char address[32];

	(void)state;
	server_start(&backend, NULL, serve_lines, NULL);
	snprintf(address, sizeof(address), "127.0.0.1:%u", backend.port);
	leave_few(10);
	for (unsigned i = 0; i < CROWD; i++) {
		knock_at_few(i);
		client_echo(crowd[i], "here\n");
		assert_int_equal(server_fiber(&few, dial_a_backend, address),
		    0);
	}
	assert_int_equal(server_stop(&backend), 0);
}

#define TEST_FEW(test) \
	cmocka_unit_test_setup_teardown(test, set_up_few, tear_down_few)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    whoever_waits_longest_for_a_request_makes_room),
		cmocka_unit_test(nobody_at_work_makes_room),
		cmocka_unit_test(those_at_work_stay_beside_one_that_is_idle),
		cmocka_unit_test(half_requests_in_all_places_lock_nobody_out),
		cmocka_unit_test(
		    peers_that_read_nothing_in_all_places_lock_nobody_out),
		cmocka_unit_test(whoever_makes_progress_stays),
		cmocka_unit_test(
		    of_the_silent_one_that_shares_its_address_leaves),
		cmocka_unit_test(a_crowd_passes_through_few_places),
		cmocka_unit_test(a_dial_finds_room_beside_idle_clients),
		TEST_FEW(idle_connections_make_way_when_descriptors_run_out),
		TEST_FEW(half_requests_do_not_keep_the_last_descriptors),
		TEST_FEW(a_dial_finds_a_descriptor_beside_idle_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
