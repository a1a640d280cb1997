/* SPDX-License-Identifier: MIT */
/*
 * test_watch.c - a fiber that waits for something else hears that its peer has
 * gone, and what is known of a peer without reading.
 */
#include "tests/harness.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>


#define LONG_MS 20000u		/* nobody waits for so long */

/* What a handler waits in, how it watches, and what came of it. */
struct watch {
	int (*park)(void);
	enum torc_watch what;
	bool late;		/* begin only when the peer has gone */
	bool answers;		/* "ok", after the watch */
	unsigned ms;		/* of the wait */
	_Atomic int waiting;
	_Atomic int result;	/* of the wait; 1: not known yet */
	_Atomic int again;	/* of a wait behind the watch */
	_Atomic int state;	/* of the peer */
};

static struct watch *now;	/* of the test that runs */

static int
park_in_a_sleep(void)
{
	return torc_sleep(torc_after_ms(now->ms));
}

static int
park_in_a_wait(void)
{
	struct torc_waiters nobody = { 0 };

	return torc_wait(&nobody, torc_after_ms(now->ms));
}

static int
park_in_an_operation(void)
{
	char byte;
	int fds[2], rc;

	if (pipe(fds) < 0)
		return -errno;
	rc = torc_fd_read(fds[0], &byte, 1, TORC_STREAM,
	    torc_after_ms(now->ms));
	close(fds[0]);
	close(fds[1]);
	return rc;
}

static int
sleep_long(void *arg)
{
	(void)arg;
	return torc_sleep(torc_after_ms(LONG_MS));
}

static int
park_in_a_join(void)
{
	uint64_t id;
	int rc = torc_fiber_spawn(&id, sleep_long, NULL), ended;

	if (rc == 0)
		rc = torc_fiber_join(id, NULL, torc_after_ms(now->ms));
	ended = torc_fiber_reap(id, NULL, TORC_NEVER);
	return ended == 0 ? rc : ended;
}

static int
wait_watching(struct torc_conn *conn, void *arg)
{
	struct watch *watch = arg;
	struct torc_slice in;

	if (torc_conn_recv(conn, &in, torc_after_ms(5000)) <= 0)
		return -1;
	while (watch->late && torc_conn_peer_state(conn) == TORC_PEER_OPEN)
		torc_sleep(torc_after_ms(1));
	torc_conn_watch_begin(conn, watch->what);
	watch->waiting = 1;
	watch->result = watch->park();
	watch->state = torc_conn_peer_state(conn);
	torc_conn_watch_end(conn);
	watch->again = torc_sleep(torc_after_ms(1));
	if (!watch->answers)
		return -1;
	torc_conn_consume(conn, in.size);
	return torc_conn_write(conn, "ok", 2, torc_after_ms(1000));
}

static void
watch_start(struct watch *watch, struct server *server,
    const struct torc_config *config)
{
	watch->result = watch->again = 1;
	if (watch->ms == 0)
		watch->ms = LONG_MS;
	now = watch;
	server_start(server, config, wait_watching, watch);
}

static void
await(const _Atomic int *value, int old)
{
	const uint64_t until = now_ms() + 5000;

	while (*value == old && now_ms() < until)
		pause_ms(1);
	assert_int_not_equal(*value, old);
}

/* A peer asks, waits until it is waited for, and goes. */
static void
ask_and_go(struct watch *watch, struct server *server, const char *request,
    void (*go)(int fd))
{
	int fd = client_open(server->port);

	client_send(fd, request, strlen(request));
	if (!watch->late)
		await(&watch->waiting, 0);
	go(fd);
	await(&watch->result, 1);
	assert_true(server_await_connections(server, 0));
}

static void
close_in_order(int fd)
{
	close(fd);
}

static void
every_wait_ends_when_the_watched_peer_resets(void **state)
{
	int (*const parks[])(void) = { park_in_a_sleep, park_in_a_wait,
	    park_in_an_operation, park_in_a_join };

	(void)state;
	for (size_t i = 0; i < sizeof(parks) / sizeof(parks[0]); i++) {
		struct watch watch = { .park = parks[i] };
		struct server server;

		watch_start(&watch, &server, NULL);
		ask_and_go(&watch, &server, "x", client_reset);
		assert_int_equal(watch.result, -ECANCELED);
		assert_int_equal(watch.state, -ECONNRESET);
		assert_int_equal(watch.again, 0);
		assert_int_equal(server_stop(&server), 0);
	}
}

static void
a_fin_ends_a_wait_that_watches_for_it(void **state)
{
	struct watch watch = { .park = park_in_a_wait,
	    .what = TORC_WATCH_FIN };
	struct server server;

	(void)state;
	watch_start(&watch, &server, NULL);
	ask_and_go(&watch, &server, "x", close_in_order);
	assert_int_equal(watch.result, -ECANCELED);
	assert_int_equal(watch.state, TORC_PEER_SHUT);
	assert_int_equal(watch.again, 0);
	assert_int_equal(server_stop(&server), 0);
}

static void
a_half_closed_peer_is_answered_by_a_watcher_for_resets(void **state)
{
	struct watch watch = { .park = park_in_a_sleep, .answers = true,
	    .ms = 50 };
	struct server server;
	char answer[3] = "";
	int fd;

	(void)state;
	watch_start(&watch, &server, NULL);
	fd = client_open(server.port);
	client_send(fd, "x", 1);
	await(&watch.waiting, 0);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_true(client_read(fd, answer, 2));
	assert_string_equal(answer, "ok");
	assert_int_equal(watch.result, 0);
	assert_int_equal(watch.state, TORC_PEER_SHUT);
	close(fd);
	assert_int_equal(server_stop(&server), 0);
}

static void
a_peer_that_had_gone_before_the_watch_ends_the_first_wait(void **state)
{
	struct watch watch = { .park = park_in_a_sleep, .late = true };
	struct server server;

	(void)state;
	watch_start(&watch, &server, NULL);
	ask_and_go(&watch, &server, "x", client_reset);
	assert_int_equal(watch.result, -ECANCELED);
	assert_int_equal(watch.again, 0);
	assert_int_equal(server_stop(&server), 0);
}

/* More than is read: no receive is armed that could tell of the end. */
static void
an_end_behind_bytes_that_nobody_reads_is_heard_of(void **state)
{
	const struct torc_config config = { .held_max = 1000,
	    .buffer_size = 256 };
	static const enum torc_watch whats[] = { TORC_WATCH_RESET,
	    TORC_WATCH_FIN };
	static char request[8000];

	(void)state;
	memset(request, 'x', sizeof(request) - 1);
	for (int i = 0; i < 2; i++) {
		struct watch watch = { .park = park_in_a_wait,
		    .what = whats[i] };
		struct server server;

		watch_start(&watch, &server, &config);
		ask_and_go(&watch, &server, request, i == 0 ? client_reset :
		    close_in_order);
		assert_int_equal(watch.result, -ECANCELED);
		assert_int_equal(watch.state, i == 0 ? -ECONNRESET :
		    TORC_PEER_SHUT);
		assert_int_equal(watch.again, 0);
		assert_int_equal(server_stop(&server), 0);
	}
}

static int
forget_the_watch(struct torc_conn *conn, void *arg)
{
	struct watch *watch = arg;
	struct torc_slice in;
	int rc = torc_conn_recv(conn, &in, torc_after_ms(5000));

	if (rc <= 0)
		return -1;
	torc_conn_consume(conn, in.size);
	torc_conn_watch_begin(conn, TORC_WATCH_FIN);
	watch->waiting++;
	return TORC_AGAIN;
}

static void
a_watch_ends_with_its_handler(void **state)
{
	struct watch watch = { 0 };
	struct server server;
	int fd;

	(void)state;
	server_start(&server, NULL, forget_the_watch, &watch);
	fd = client_open(server.port);
	for (int i = 0; i < 3; i++) {
		client_send(fd, "x", 1);
		await(&watch.waiting, i);
	}
	close(fd);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(watch.waiting, 3);
	assert_int_equal(server_stop(&server), 0);
}

/* The fiber that watches goes on; the other one reads, and is told, too. */
static int
watch_beside_a_reader(void *arg)
{
	struct torc_conn *conn = arg;
	int rc;

	torc_conn_watch_begin(conn, TORC_WATCH_RESET);
	rc = torc_sleep(torc_after_ms(LONG_MS));
	torc_conn_watch_end(conn);
	return rc;
}

static int
read_beside_a_watcher(struct torc_conn *conn, void *arg)
{
	struct watch *watch = arg;
	struct torc_slice in;
	int result = 1;
	uint64_t id;

	if (torc_fiber_spawn(&id, watch_beside_a_reader, conn) < 0)
		return -1;
	watch->waiting = 1;
	watch->again = torc_conn_recv(conn, &in, torc_after_ms(LONG_MS));
	torc_fiber_join(id, &result, torc_after_ms(LONG_MS));
	watch->result = result;
	return -1;
}

static void
a_reader_and_a_watcher_of_one_connection_both_hear_of_its_end(void **state)
{
	struct watch watch = { .result = 1 };
	struct server server;
	int fd;

	(void)state;
	server_start(&server, NULL, read_beside_a_watcher, &watch);
	fd = client_open(server.port);
	await(&watch.waiting, 0);
	client_reset(fd);
	await(&watch.result, 1);
	assert_int_equal(watch.result, -ECANCELED);
	assert_int_equal(watch.again, -ECONNRESET);
	assert_int_equal(server_stop(&server), 0);
}

static void
a_stop_ends_a_watch_that_polls(void **state)
{
	const struct torc_config config = { .held_max = 1000,
	    .buffer_size = 256 };
	struct watch watch = { .park = park_in_a_wait };
	struct server server;
	static char request[8000];
	int fd;

	(void)state;
	watch_start(&watch, &server, &config);
	fd = client_open(server.port);
	client_send(fd, request, sizeof(request));
	await(&watch.waiting, 0);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(watch.result, -ECANCELED);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_wait_ends_when_the_watched_peer_resets),
		cmocka_unit_test(a_fin_ends_a_wait_that_watches_for_it),
		cmocka_unit_test(
		    a_half_closed_peer_is_answered_by_a_watcher_for_resets),
		cmocka_unit_test(
		    a_peer_that_had_gone_before_the_watch_ends_the_first_wait),
		cmocka_unit_test(
		    an_end_behind_bytes_that_nobody_reads_is_heard_of),
		cmocka_unit_test(a_watch_ends_with_its_handler),
		cmocka_unit_test(
		    a_reader_and_a_watcher_of_one_connection_both_hear_of_its_end),
		cmocka_unit_test(a_stop_ends_a_watch_that_polls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
