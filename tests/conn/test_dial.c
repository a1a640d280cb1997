/* SPDX-License-Identifier: MIT */
/*
 * test_dial.c - connections out: whom they reach, and how it is found out that
 * nobody is there any more.
 *
 * wrap: torc_sys_socket
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn/address.h"
#include "conn/kit/torc_client.h"
#include "sys/sys.h"
#include "tests/harness.h"
#include "tests/seam.h"

#define LATE torc_after_ms(20000)

#define EXPECT(condition) \
	do { \
		if (!(condition)) \
			return __LINE__; \
	} while (0)

/* ---- Between torc and the kernel ---- */

/*
 * The next sockets have this address as their own, as if the kernel had chosen
 * it; then somebody listens there.
 */
static struct {
	struct sockaddr_storage address;
	socklen_t size;
	unsigned sockets;	/* that get it */
	bool served;		/* by a listener, after that */
	int listener;
	unsigned made;		/* sockets, in all */
} chosen;

static int
bound_socket(int domain)
{
	const int on = 1;
	int fd = socket(domain, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on,
	    sizeof(on)) < 0 || bind(fd, (struct sockaddr *)&chosen.address,
	    chosen.size) < 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

int
__wrap_torc_sys_socket(int domain, int type, int protocol)
{
	chosen.made++;
	if (chosen.sockets > 0) {
		int fd = bound_socket(domain);

		chosen.sockets--;
		return fd < 0 ? -errno : fd;
	}
	if (chosen.served && chosen.listener < 0) {
		chosen.listener = bound_socket(domain);
		if (chosen.listener < 0 || listen(chosen.listener, 8) < 0)
			return -errno;
	}
	return __real_torc_sys_socket(domain, type, protocol);
}

/* A free port at `host`; its address goes into `text`, too. */
static bool
choose(const char *host, unsigned sockets, char *text, size_t size)
{
	int fd;

	chosen.made = 0;
	chosen.served = false;
	chosen.listener = -1;
	snprintf(text, size, "%s:0", host);
	chosen.size = (socklen_t)torc_address_parse(text, &chosen.address);
	fd = bound_socket(chosen.address.ss_family);
	if (fd < 0)
		return false;
	getsockname(fd, (struct sockaddr *)&chosen.address, &chosen.size);
	close(fd);
	chosen.sockets = sockets;
	return torc_address_format(&chosen.address, chosen.size, text,
	    size) == 0;
}

/* Nothing is left on the port: no socket, and none that waits (TIME_WAIT). */
static bool
port_is_free(void)
{
	int fd = socket(chosen.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC,
	    0);
	int rc = bind(fd, (struct sockaddr *)&chosen.address, chosen.size);

	close(fd);
	return rc == 0;
}

static void
on_reactor(const struct torc_config *config, torc_fiber_entry *entry)
{
	struct server server;
	int line;

	memset(&chosen, 0, sizeof(chosen));
	chosen.listener = -1;
	server_start(&server, config, echo_handler, NULL);
	line = server_fiber(&server, entry, &server.port);
	assert_int_equal(server_stop(&server), 0);
	if (line != 0)
		fail_msg("line %d does not hold", line);
}

/* ---- Whom it reaches ---- */

static int
meet_oneself(void *arg)
{
	static const struct {
		const char *host;
		int (*dial)(struct torc_conn **conn, const char *address,
		    torc_deadline deadline);
	} cases[] = {
		{ "127.0.0.1", torc_dial }, { "[::1]", torc_dial },
		{ "127.0.0.1", torc_dial_name },
	};
	struct torc_conn *conn;
	char at[64];

	(void)arg;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		EXPECT(choose(cases[i].host, 1000, at, sizeof(at)));
		EXPECT(cases[i].dial(&conn, at, LATE) == -ECONNREFUSED);
		EXPECT(chosen.made > 1);
		EXPECT(port_is_free());
	}
	return 0;
}

static void
a_dial_that_meets_itself_each_time_is_refused(void **state)
{
	(void)state;
	on_reactor(NULL, meet_oneself);
}

static int
meet_oneself_once(void *arg)
{
	struct torc_conn *conn;
	char at[64], peer[64];

	(void)arg;
	/* First nobody is there, and then the server. */
	EXPECT(choose("127.0.0.1", 1, at, sizeof(at)));
	chosen.served = true;
	EXPECT(torc_dial(&conn, at, LATE) == 0);
	EXPECT(chosen.made == 2);
	EXPECT(torc_conn_peer_address(conn, peer, sizeof(peer)) == 0);
	EXPECT(strcmp(peer, at) == 0);
	torc_conn_close(conn, TORC_AT_ONCE);
	close(chosen.listener);
	/* And where nobody comes, the second time says so. */
	EXPECT(choose("127.0.0.1", 1, at, sizeof(at)));
	EXPECT(torc_dial(&conn, at, LATE) == -ECONNREFUSED);
	EXPECT(chosen.made == 2);
	return 0;
}

static void
a_dial_that_meets_itself_is_made_again(void **state)
{
	(void)state;
	on_reactor(NULL, meet_oneself_once);
}

static int
meet_another(void *arg)
{
	struct torc_conn *conn;
	char ours[64], at[64], text[64];

	(void)arg;
	/* The same port at two addresses. */
	for (int i = 0; i < 10; i++) {
		int listener;

		EXPECT(choose("127.0.0.2", 0, at, sizeof(at)));
		listener = bound_socket(AF_INET);
		EXPECT(listener >= 0 && listen(listener, 8) == 0);
		((struct sockaddr_in *)&chosen.address)->sin_addr.s_addr =
		    htonl(INADDR_LOOPBACK);
		chosen.sockets = 1;
		if (torc_dial(&conn, at, LATE) == -EADDRINUSE) {
			close(listener);
			continue;
		}
		snprintf(ours, sizeof(ours), "127.0.0.1:%u",
		    torc_address_port(&chosen.address));
		EXPECT(torc_conn_local_address(conn, text, sizeof(text)) == 0);
		EXPECT(strcmp(text, ours) == 0);
		torc_conn_close(conn, TORC_AT_ONCE);
		close(listener);
		return 0;
	}
	return __LINE__;
}

static void
a_peer_with_our_port_at_another_address_is_not_ourselves(void **state)
{
	(void)state;
	on_reactor(NULL, meet_another);
}

/* ---- How its end is found out ---- */

static int
option(const struct torc_conn *conn, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	return getsockopt(torc_conn_fd(conn), level, name, &value, &size) < 0 ?
	    -errno : value;
}

static bool
is_watched(const struct torc_conn *conn, int idle, int gap, int count,
    int unacked)
{
	return option(conn, SOL_SOCKET, SO_KEEPALIVE) == 1 &&
	    option(conn, IPPROTO_TCP, TCP_KEEPIDLE) == idle &&
	    option(conn, IPPROTO_TCP, TCP_KEEPINTVL) == gap &&
	    option(conn, IPPROTO_TCP, TCP_KEEPCNT) == count &&
	    option(conn, IPPROTO_TCP, TCP_USER_TIMEOUT) == unacked;
}

/* Dial in each way, and see with `right` what the socket is like. */
static int
look_at_dialled(unsigned port, bool (*right)(const struct torc_conn *conn))
{
	struct torc_conn *conn;
	char at[64];

	snprintf(at, sizeof(at), "127.0.0.1:%u", port);
	EXPECT(torc_dial(&conn, at, LATE) == 0);
	EXPECT(right(conn));
	torc_conn_close(conn, TORC_AT_ONCE);
	snprintf(at, sizeof(at), "localhost:%u", port);
	EXPECT(torc_dial_name(&conn, at, LATE) == 0);
	EXPECT(right(conn));
	torc_conn_close(conn, TORC_AT_ONCE);
	return 0;
}

static bool
is_watched_as_documented(const struct torc_conn *conn)
{
	return is_watched(conn, 60, 10, 6, 120000);
}

static int
look_at_defaults(void *arg)
{
	return look_at_dialled(*(unsigned *)arg, is_watched_as_documented);
}

static void
a_peer_that_vanishes_is_probed_and_given_up_by_default(void **state)
{
	(void)state;
	on_reactor(NULL, look_at_defaults);
}

static bool
is_watched_as_configured(const struct torc_conn *conn)
{
	return is_watched(conn, 8, 3, 2, 5000);
}

static int
look_at_configured(void *arg)
{
	return look_at_dialled(*(unsigned *)arg, is_watched_as_configured);
}

static void
when_a_peer_is_given_up_is_configured_and_rounded_up_to_seconds(void **state)
{
	const struct torc_config config = {
		.keepalive_ms = 7001,
		.probe_ms = 3000,
		.probes = 2,
		.unacked_ms = 5000,
	};

	(void)state;
	on_reactor(&config, look_at_configured);
}

static bool
is_left_alone(const struct torc_conn *conn)
{
	return option(conn, SOL_SOCKET, SO_KEEPALIVE) == 0 &&
	    option(conn, IPPROTO_TCP, TCP_USER_TIMEOUT) == 0;
}

static int
look_at_unlimited(void *arg)
{
	return look_at_dialled(*(unsigned *)arg, is_left_alone);
}

static void
without_a_limit_the_system_alone_gives_a_peer_up(void **state)
{
	const struct torc_config config = { .keepalive_ms = TORC_NO_LIMIT };

	(void)state;
	on_reactor(&config, look_at_unlimited);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dial_that_meets_itself_each_time_is_refused),
		cmocka_unit_test(a_dial_that_meets_itself_is_made_again),
		cmocka_unit_test(
		    a_peer_with_our_port_at_another_address_is_not_ourselves),
		cmocka_unit_test(
		    a_peer_that_vanishes_is_probed_and_given_up_by_default),
		cmocka_unit_test(
		    when_a_peer_is_given_up_is_configured_and_rounded_up_to_seconds),
		cmocka_unit_test(
		    without_a_limit_the_system_alone_gives_a_peer_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
