/* SPDX-License-Identifier: MIT */
/*
 * test_dial_name.c - connections by name, with the system's resolver and with
 * one that says what the test wants, when it wants.
 *
 * wrap: torc_sys_resolve
 * wrap: torc_sys_socket
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn/address.h"
#include "conn/kit/torc_client.h"
#include "sys/sys.h"
#include "tests/harness.h"
#include "tests/seam.h"

#define LATE torc_after_ms(60000)
#define SOON torc_after_ms(20)

#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

/* ---- The resolver ---- */

static struct {
	const char *answer[20];	/* addresses without port; none: `result` */
	int result;
	uint32_t hangs;		/* until `go` is posted */
	uint32_t slow_hangs;	/* names that begin with "slow" */
	sem_t asked;
	sem_t go;
	uint32_t count;		/* of lookups */
	uint32_t inside;	/* lookups that go on */
} resolver;

static struct {
	int families[32];	/* of sockets that were made to connect */
	unsigned count;
} sockets;

static int
answer(struct sockaddr_storage *addresses, unsigned most)
{
	unsigned count = 0;

	sem_post(&resolver.asked);
	while (__atomic_load_n(&resolver.hangs, __ATOMIC_SEQ_CST) &&
	    sem_wait(&resolver.go) < 0)
		continue;
	for (; count < most && resolver.answer[count] != NULL; count++) {
		char text[64];

		snprintf(text, sizeof(text), "%s:0", resolver.answer[count]);
		if (torc_address_parse(text, &addresses[count]) < 0)
			return -EIO;
	}
	return count > 0 ? (int)count : resolver.result;
}

/* Until the test ends. */
static int
hang(void)
{
	while (__atomic_load_n(&resolver.slow_hangs, __ATOMIC_SEQ_CST))
		pause_ms(5);
	return -ENOENT;
}

int
__wrap_torc_sys_resolve(const char *host, struct sockaddr_storage *addresses,
    unsigned most)
{
	int rc;

	__atomic_add_fetch(&resolver.inside, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&resolver.count, 1, __ATOMIC_SEQ_CST);
	if (strcmp(host, "backend.test") == 0)
		rc = answer(addresses, most);
	else if (strncmp(host, "slow", 4) == 0)
		rc = hang();
	else
		rc = __real_torc_sys_resolve(host, addresses, most);
	__atomic_sub_fetch(&resolver.inside, 1, __ATOMIC_SEQ_CST);
	return rc;
}

int
__wrap_torc_sys_socket(int domain, int type, int protocol)
{
	if (sockets.count < 32)
		sockets.families[sockets.count++] = domain;
	return __real_torc_sys_socket(domain, type, protocol);
}

static unsigned
lookups_inside(void)
{
	return __atomic_load_n(&resolver.inside, __ATOMIC_SEQ_CST);
}

static unsigned
lookups(void)
{
	return __atomic_load_n(&resolver.count, __ATOMIC_SEQ_CST);
}

/* Lookups that were left behind have ended, and it is as new. */
static void
resolver_reset(void)
{
	__atomic_store_n(&resolver.slow_hangs, 0, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&resolver.inside, __ATOMIC_SEQ_CST) > 0)
		pause_ms(1);
	memset(&resolver, 0, sizeof(resolver));
	sem_init(&resolver.asked, 0, 0);
	sem_init(&resolver.go, 0, 0);
}

/* ---- The addresses ---- */

/* The server's port; at other addresses of this host it is refused. */
static char name[32];
static char local[32];
static unsigned server_port;

/*
 * 127.0.0.3 at the server's port does not answer at all: a listener whose
 * backlog is full.
 */
static struct {
	int listener;
	int fillers[3];
} hole;

static bool
hole_open(unsigned port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
	};

	inet_pton(AF_INET, "127.0.0.3", &address.sin_addr);
	hole.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(hole.listener >= 0);
	for (int i = 0; i < 3; i++)
		hole.fillers[i] = -1;
	if (bind(hole.listener, (struct sockaddr *)&address,
	    sizeof(address)) < 0 || listen(hole.listener, 0) < 0)
		return false;
	for (int i = 0; i < 3; i++) {
		hole.fillers[i] = socket(AF_INET, SOCK_STREAM |
		    SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		assert_true(hole.fillers[i] >= 0);
		connect(hole.fillers[i], (struct sockaddr *)&address,
		    sizeof(address));
	}
	return true;
}

static void
hole_close(void)
{
	for (int i = 0; i < 3; i++) {
		if (hole.fillers[i] >= 0)
			close(hole.fillers[i]);
	}
	close(hole.listener);
}

/* Run `entry` on a server's reactor; its addresses are in `name`, `local`. */
static void
on_server(torc_fiber_entry *entry)
{
	struct server server;
	int line;

	resolver_reset();
	server_start(&server, NULL, echo_handler, NULL);
	/* Another program may have the port on the other address. */
	for (int i = 0; i < 10 && !hole_open(server.port); i++) {
		hole_close();
		assert_int_equal(server_stop(&server), 0);
		server_start(&server, NULL, echo_handler, NULL);
	}
	server_port = server.port;
	snprintf(name, sizeof(name), "backend.test:%u", server.port);
	snprintf(local, sizeof(local), "localhost:%u", server.port);
	sockets.count = 0;
	line = server_fiber(&server, entry, NULL);
	hole_close();
	assert_int_equal(server_stop(&server), 0);
	if (line != 0)
		fail_msg("line %d does not hold", line);
}

/* Parks. Dial, see an echo, close; 0 or what went wrong. */
static int
talk(const char *address)
{
	struct torc_conn *conn;
	struct torc_slice in;
	int rc = torc_dial_name(&conn, address, LATE);

	if (rc < 0)
		return rc;
	rc = torc_conn_write(conn, "hello", 5, LATE);
	do
		rc = rc < 0 ? rc : torc_conn_recv(conn, &in, LATE);
	while (rc > 0 && in.size < 5);
	torc_conn_close(conn, LATE);
	return rc == 5 ? 0 : rc < 0 ? rc : -EPROTO;
}

/* ---- Names ---- */

static int
dial_localhost(void *arg)
{
	(void)arg;
	EXPECT(talk(local) == 0);
	EXPECT(lookups() == 1);
	return 0;
}

static void
a_name_of_the_hosts_file_is_dialled(void **state)
{
	(void)state;
	on_server(dial_localhost);
}

static int
dial_forms(void *arg)
{
	const char *const wrong[] = { "", ":80", "backend.test",
		"backend.test:", "backend.test:65536", "backend.test:8a",
		"a:b:80", "[backend.test]:80", "backend/test:80", "unix:" };
	struct torc_conn *conn;
	char text[512];

	(void)arg;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		EXPECT(torc_dial_name(&conn, wrong[i], LATE) == -EINVAL);
	memset(text, 'a', 300);
	strcpy(text + 254, ":80");
	EXPECT(torc_dial_name(&conn, text, LATE) == -EINVAL);
	snprintf(text, sizeof(text), "127.0.0.1:%u", server_port);
	EXPECT(talk(text) == 0);
	EXPECT(torc_dial_name(&conn, "unix:/nowhere/at/all", LATE) ==
	    -ENOENT);
	EXPECT(lookups() == 0);
	return 0;
}

static void
what_needs_no_lookup_or_is_no_address_is_not_looked_up(void **state)
{
	(void)state;
	on_server(dial_forms);
}

static int
hear_errors(void *arg)
{
	const int errors[] = { -ENOENT, -EAGAIN, -EIO };
	struct torc_conn *conn;

	(void)arg;
	for (int i = 0; i < 3; i++) {
		resolver.result = errors[i];
		EXPECT(torc_dial_name(&conn, name, LATE) == errors[i]);
	}
	EXPECT(torc_dial_name(&conn, "no-such-name.invalid:80", LATE) < 0);
	return 0;
}

static void
what_the_resolver_says_is_returned(void **state)
{
	(void)state;
	on_server(hear_errors);
}

/* ---- Addresses ---- */

static int
skip_dead(void *arg)
{
	struct torc_conn *conn;

	(void)arg;
	resolver.answer[0] = "127.0.0.2";
	resolver.answer[1] = "127.0.0.4";
	EXPECT(torc_dial_name(&conn, name, LATE) == -ECONNREFUSED);
	EXPECT(sockets.count == 2);
	resolver.answer[2] = "127.0.0.1";
	EXPECT(talk(name) == 0);
	EXPECT(sockets.count == 5);
	return 0;
}

static void
addresses_that_refuse_are_passed_over(void **state)
{
	(void)state;
	on_server(skip_dead);
}

static int
skip_silent(void *arg)
{
	unsigned fds = count_fds();
	uint64_t begin = torc_now();

	(void)arg;
	resolver.answer[0] = "127.0.0.3";
	resolver.answer[1] = "127.0.0.1";
	EXPECT(talk(name) == 0);
	EXPECT(torc_now() - begin >= 250000000u && sockets.count == 2);
	for (int i = 0; i < 3000 && count_fds() != fds; i++)
		torc_sleep(torc_after_ms(10));
	EXPECT(count_fds() == fds);
	return 0;
}

static void
an_address_that_is_silent_is_given_a_quarter_second(void **state)
{
	(void)state;
	on_server(skip_silent);
}

static int
hear_nothing(void *arg)
{
	unsigned fds = count_fds();
	torc_deadline deadline = torc_after_ms(600);
	struct torc_conn *conn;

	(void)arg;
	for (int i = 0; i < 16; i++)
		resolver.answer[i] = "127.0.0.3";
	EXPECT(torc_dial_name(&conn, name, deadline) == -ETIMEDOUT);
	EXPECT(torc_passed(deadline));
	/* At 0, 250 and 500 ms, or fewer if the machine was slow. */
	EXPECT(sockets.count >= 1 && sockets.count <= 3);
	EXPECT(count_fds() == fds);
	return 0;
}

static void
the_deadline_ends_all_attempts(void **state)
{
	(void)state;
	on_server(hear_nothing);
}

static int
mix_families(void *arg)
{
	const int expected[] = { AF_INET6, AF_INET, AF_INET6, AF_INET,
		AF_INET6 };
	struct torc_conn *conn;

	(void)arg;
	resolver.answer[0] = "[::1]";
	resolver.answer[1] = "[::1]";
	resolver.answer[2] = "[::1]";
	resolver.answer[3] = "127.0.0.2";
	resolver.answer[4] = "127.0.0.4";
	EXPECT(torc_dial_name(&conn, name, LATE) < 0);
	EXPECT(sockets.count == 5);
	for (int i = 0; i < 5; i++)
		EXPECT(sockets.families[i] == expected[i]);
	sockets.count = 0;
	resolver.answer[0] = "127.0.0.2";
	resolver.answer[1] = "127.0.0.1";
	EXPECT(talk(name) == 0);
	EXPECT(sockets.count == 3 && sockets.families[0] == AF_INET &&
	    sockets.families[1] == AF_INET6 &&
	    sockets.families[2] == AF_INET);
	return 0;
}

static void
families_take_turns_beginning_with_the_first(void **state)
{
	(void)state;
	on_server(mix_families);
}

/* One more listener of the same port, or -1. */
static int
listen_at(const char *host)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)server_port),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, host, &address.sin_addr);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    listen(fd, 8) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Connects to that host, while so many others are left. */
static int
next_is(struct torc_dialled *dialled, const char *host, unsigned left)
{
	struct torc_conn *conn;
	char peer[64], expected[64];

	EXPECT(torc_dial_next(&conn, name, dialled, LATE) == 0);
	EXPECT(torc_conn_peer_address(conn, peer, sizeof(peer)) == 0);
	torc_conn_close(conn, TORC_AT_ONCE);
	snprintf(expected, sizeof(expected), "%s:%u", host, server_port);
	EXPECT(strcmp(peer, expected) == 0);
	EXPECT(dialled->left == left);
	return 0;
}

static int
dial_all(void *arg)
{
	struct torc_dialled dialled = { .count = 0 }, numeric = dialled;
	const int fds[] = { listen_at("127.0.0.5"), listen_at("127.0.0.6") };
	struct torc_conn *conn;

	(void)arg;
	EXPECT(fds[0] >= 0 && fds[1] >= 0);
	resolver.answer[0] = "127.0.0.5";
	resolver.answer[1] = "127.0.0.2";	/* refuses */
	resolver.answer[2] = "127.0.0.6";
	resolver.answer[3] = "127.0.0.5";
	resolver.answer[4] = "127.0.0.1";
	EXPECT(next_is(&dialled, "127.0.0.5", 4) == 0);
	EXPECT(next_is(&dialled, "127.0.0.6", 2) == 0);
	EXPECT(next_is(&dialled, "127.0.0.1", 1) == 0);
	EXPECT(torc_dial_next(&conn, name, &dialled, LATE) ==
	    -ECONNREFUSED);
	EXPECT(dialled.left == 0);
	resolver.answer[1] = NULL;
	EXPECT(torc_dial_next(&conn, name, &dialled, LATE) == -EALREADY);
	/* What is no name has one address. */
	EXPECT(torc_dial_next(&conn, local, &numeric, LATE) == 0);
	torc_conn_close(conn, TORC_AT_ONCE);
	EXPECT(torc_dial_next(&conn, local, &numeric, LATE) == -EALREADY);
	close(fds[0]);
	close(fds[1]);
	return 0;
}

static void
the_addresses_of_a_name_are_dialled_one_after_the_other(void **state)
{
	(void)state;
	on_server(dial_all);
}

/* ---- Time ---- */

static int
wait_for_resolver(void *arg)
{
	torc_deadline deadline = SOON;
	struct torc_conn *conn;

	(void)arg;
	resolver.hangs = 1;
	resolver.answer[0] = "127.0.0.1";
	EXPECT(torc_dial_name(&conn, name, deadline) == -ETIMEDOUT);
	EXPECT(torc_passed(deadline) && sockets.count == 0);
	sem_post(&resolver.go);
	/* One that is slow, and answers in time. */
	sem_post(&resolver.go);
	EXPECT(talk(name) == 0);
	return 0;
}

static void
a_lookup_that_hangs_is_left_at_the_deadline(void **state)
{
	(void)state;
	on_server(wait_for_resolver);
}

static int
add_one(void *arg)
{
	return ++*(int *)arg;
}

static int
hang_many(void *arg)
{
	struct torc_conn *conn;
	int runs = 0;

	(void)arg;
	torc_offload_threads(4);
	resolver.hangs = 1;
	resolver.answer[0] = "127.0.0.1";
	for (int i = 0; i < 6; i++)
		EXPECT(torc_dial_name(&conn, name, SOON) == -ETIMEDOUT);
	/* Of one name: one has a thread, and the others wait for it. */
	EXPECT(lookups() == 1);
	EXPECT(torc_offload(add_one, &runs, LATE) == 1);
	__atomic_store_n(&resolver.hangs, 0, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 6; i++)
		sem_post(&resolver.go);
	EXPECT(talk(name) == 0);
	torc_offload_threads(8);
	return 0;
}

#define CROWD 40

static int
dial_slow(void *arg)
{
	struct torc_conn *conn;
	char address[40];

	/* One half has names of one zone. */
	snprintf(address, sizeof(address), (uintptr_t)arg % 2 == 0 ?
	    "slow%u:80" : "slow%u.some.zone:80", (unsigned)(uintptr_t)arg);
	return torc_dial_name(&conn, address, torc_after_ms(100));
}

static int
hang_all(void *arg)
{
	uint64_t ids[CROWD];
	int result, runs = 0;

	(void)arg;
	resolver.slow_hangs = 1;
	resolver.answer[0] = "127.0.0.1";
	for (int i = 0; i < CROWD; i++)
		EXPECT(torc_fiber_spawn(&ids[i], dial_slow,
		    (void *)(uintptr_t)i) == 0);
	EXPECT(torc_yield() == 0);
	/* Beside them and behind them: these lookups go on. */
	EXPECT(talk(name) == 0 && talk(local) == 0);
	EXPECT(torc_offload(add_one, &runs, LATE) == 1);
	for (int i = 0; i < CROWD; i++) {
		EXPECT(torc_fiber_join(ids[i], &result, LATE) == 0);
		EXPECT(result == -ETIMEDOUT);
	}
	EXPECT(talk(name) == 0);
	EXPECT(lookups_inside() > 0);
	return 0;
}

static void
names_that_hang_delay_no_others(void **state)
{
	(void)state;
	on_server(hang_all);
	resolver_reset();
}

/* ---- One lookup for many ---- */

static int
dial_on(void *arg)
{
	struct torc_conn *conn;

	(void)arg;
	return torc_dial_name(&conn, name, TORC_NEVER);
}

static int
talk_once(void *arg)
{
	(void)arg;
	return talk(name);
}

static int
dial_together(void *arg)
{
	uint64_t ids[8];
	int result;

	(void)arg;
	resolver.hangs = 1;
	resolver.answer[0] = "127.0.0.1";
	for (int i = 0; i < 8; i++)
		EXPECT(torc_fiber_spawn(&ids[i], i == 0 ? dial_on :
		    talk_once, NULL) == 0);
	while (sem_trywait(&resolver.asked) < 0)
		EXPECT(torc_sleep(torc_after_ms(5)) == 0);
	EXPECT(torc_sleep(SOON) == 0);
	/* The one that asked first, or another one, gives up. */
	EXPECT(torc_fiber_reap(ids[0], &result, TORC_NEVER) == 0 &&
	    result == -ECANCELED);
	EXPECT(torc_fiber_reap(ids[1], &result, TORC_NEVER) == 0 && result < 0);
	EXPECT(lookups() == 1);
	__atomic_store_n(&resolver.hangs, 0, __ATOMIC_SEQ_CST);
	sem_post(&resolver.go);
	for (int i = 2; i < 8; i++)
		EXPECT(torc_fiber_join(ids[i], &result, LATE) == 0 &&
		    result == 0);
	EXPECT(lookups() == 1);
	/* What is asked later is looked up anew. */
	EXPECT(talk(name) == 0 && lookups() == 2);
	return 0;
}

static void
dials_of_one_name_share_a_lookup_that_is_under_way(void **state)
{
	(void)state;
	on_server(dial_together);
}

static void
lookups_that_hang_leave_threads_for_other_work(void **state)
{
	(void)state;
	on_server(hang_many);
}

/* ---- Cancelling, and the end ---- */

static int
cancel_dials(void *arg)
{
	unsigned fds = count_fds();
	uint64_t id;
	int result;

	(void)arg;
	resolver.hangs = 1;
	resolver.answer[0] = "127.0.0.3";
	resolver.answer[1] = "127.0.0.3";
	EXPECT(torc_fiber_spawn(&id, dial_on, NULL) == 0);
	while (sem_trywait(&resolver.asked) < 0)
		EXPECT(torc_sleep(torc_after_ms(5)) == 0);
	EXPECT(torc_fiber_cancel(id) == 0);
	EXPECT(torc_fiber_join(id, &result, LATE) == 0);
	EXPECT(result == -ECANCELED && sockets.count == 0);
	sem_post(&resolver.go);
	/* And while addresses are tried. */
	__atomic_store_n(&resolver.hangs, 0, __ATOMIC_SEQ_CST);
	EXPECT(torc_fiber_spawn(&id, dial_on, NULL) == 0);
	while (sockets.count < 2)
		EXPECT(torc_sleep(torc_after_ms(5)) == 0);
	EXPECT(torc_fiber_cancel(id) == 0);
	EXPECT(torc_fiber_join(id, &result, LATE) == 0);
	EXPECT(result == -ECANCELED && count_fds() == fds);
	return 0;
}

static void
a_cancel_ends_a_lookup_and_a_race(void **state)
{
	(void)state;
	on_server(cancel_dials);
}

static int
begin_lookup(void *arg)
{
	(void)arg;
	EXPECT(torc_fiber_spawn(NULL, dial_on, NULL) == 0);
	while (sem_trywait(&resolver.asked) < 0)
		EXPECT(torc_sleep(torc_after_ms(5)) == 0);
	return 0;
}

static void
a_lookup_that_hangs_outlives_its_reactor(void **state)
{
	struct server server;

	(void)state;
	resolver_reset();
	resolver.hangs = 1;
	resolver.result = -ENOENT;
	server_start(&server, NULL, echo_handler, NULL);
	snprintf(name, sizeof(name), "backend.test:%u", server.port);
	assert_int_equal(server_fiber(&server, begin_lookup, NULL), 0);
	assert_int_equal(server_drain(&server, 20), 0);
	/* It was not waited for. */
	assert_int_equal(sem_trywait(&resolver.go), -1);
	sem_post(&resolver.go);
	/* Its thread has gone on to other work. */
	__atomic_store_n(&resolver.hangs, 0, __ATOMIC_SEQ_CST);
	server_start(&server, NULL, echo_handler, NULL);
	torc_offload_threads(1);
	assert_int_equal(server_fiber(&server, dial_on, NULL), -ENOENT);
	torc_offload_threads(8);
	assert_int_equal(server_stop(&server), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_of_the_hosts_file_is_dialled),
		cmocka_unit_test(
		    what_needs_no_lookup_or_is_no_address_is_not_looked_up),
		cmocka_unit_test(what_the_resolver_says_is_returned),
		cmocka_unit_test(addresses_that_refuse_are_passed_over),
		cmocka_unit_test(
		    an_address_that_is_silent_is_given_a_quarter_second),
		cmocka_unit_test(the_deadline_ends_all_attempts),
		cmocka_unit_test(families_take_turns_beginning_with_the_first),
		cmocka_unit_test(
		    the_addresses_of_a_name_are_dialled_one_after_the_other),
		cmocka_unit_test(a_lookup_that_hangs_is_left_at_the_deadline),
		cmocka_unit_test(
		    lookups_that_hang_leave_threads_for_other_work),
		cmocka_unit_test(names_that_hang_delay_no_others),
		cmocka_unit_test(
		    dials_of_one_name_share_a_lookup_that_is_under_way),
		cmocka_unit_test(a_cancel_ends_a_lookup_and_a_race),
		cmocka_unit_test(a_lookup_that_hangs_outlives_its_reactor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
