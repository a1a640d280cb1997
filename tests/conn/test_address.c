/* SPDX-License-Identifier: MIT */
/*
 * test_address.c - addresses are read and written, listened on and dialled.
 *
 * wrap: torc_sys_socket
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"
#include "tests/seam.h"

#include "conn/address.h"
#include "conn/conn.h"
#include "conn/kit/torc_client.h"
#include "conn/listen.h"
#include "conn/net.h"
#include "reactor/fiber.h"
#include "sys/sys.h"

/* ---- Between torc and the kernel ---- */

/* Sockets of this kind are refused as if the kernel did not know them. */
static int refused_family;

int
__wrap_torc_sys_socket(int domain, int type, int protocol)
{
	if (domain == refused_family)
		return -EAFNOSUPPORT;
	return __real_torc_sys_socket(domain, type, protocol);
}

/* ---- Addresses ---- */

static const char longest_path[] = "unix:"
    "/123456789/123456789/123456789/123456789/123456789/123456789"
    "/123456789/123456789/123456789/123456789/123456";

static const char longest_name[] = "unix:"
    "@123456789/123456789/123456789/123456789/123456789/123456789"
    "/123456789/123456789/123456789/123456789/123456";

static void
addresses_that_are_read(void **state)
{
	static const struct {
		const char *text;
		const char *again;	/* NULL: the same */
		unsigned family;
		unsigned port;
	} table[] = {
		{ "127.0.0.1:8080", NULL, AF_INET, 8080 },
		{ "0.0.0.0:0", NULL, AF_INET, 0 },
		{ "255.255.255.255:65535", NULL, AF_INET, 65535 },
		{ "127.0.0.1:0080", "127.0.0.1:80", AF_INET, 80 },
		{ "[::1]:8080", NULL, AF_INET6, 8080 },
		{ "[::]:1", NULL, AF_INET6, 1 },
		{ "[0:0::1]:65535", "[::1]:65535", AF_INET6, 65535 },
		{ "[::ffff:127.0.0.1]:80", NULL, AF_INET6, 80 },
		{ "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:1",
		    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1", AF_INET6,
		    1 },
		{ "unix:/run/x", NULL, AF_UNIX, 0 },
		{ "unix:relative:with:colons", NULL, AF_UNIX, 0 },
		{ longest_path, NULL, AF_UNIX, 0 },
		{ "unix:@x", NULL, AF_UNIX, 0 },
		{ "unix:@/run/x", NULL, AF_UNIX, 0 },
		{ longest_name, NULL, AF_UNIX, 0 },
		{ "unix:./@x", NULL, AF_UNIX, 0 },
		{ "[fe80::1%lo]:80", NULL, AF_INET6, 80 },
		{ "[fe80::1%1]:80", "[fe80::1%lo]:80", AF_INET6, 80 },
		{ "[febf::1%99999999]:80", NULL, AF_INET6, 80 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *again = table[i].again != NULL ? table[i].again :
		    table[i].text;
		struct sockaddr_storage address;
		char text[200];
		int size = torc_address_parse(table[i].text, &address);

		if (size <= 0)
			fail_msg("%s: %d", table[i].text, size);
		assert_int_equal(address.ss_family, table[i].family);
		assert_int_equal(torc_address_port(&address), table[i].port);
		assert_int_equal(torc_address_format(&address,
		    (uint32_t)size, text, sizeof(text)), 0);
		assert_string_equal(text, again);
		/* Not one byte more than there is room for. */
		memset(text, '#', sizeof(text));
		assert_int_equal(torc_address_format(&address,
		    (uint32_t)size, text, strlen(again)), -ENOSPC);
		assert_int_equal(text[strlen(again)], '#');
		assert_int_equal(torc_address_format(&address,
		    (uint32_t)size, text, strlen(again) + 1), 0);
		assert_string_equal(text, again);
	}
}

static void
addresses_that_are_refused(void **state)
{
	static const char *const table[] = {
		"", ":", ":80", "80", "127.0.0.1", "127.0.0.1:",
		"127.0.0.1:x", "127.0.0.1:80x", "127.0.0.1: 80",
		"127.0.0.1:+80", "127.0.0.1:-1", "127.0.0.1:65536",
		"127.0.0.1:4294967376", "127.0.0.1:99999999999999999999",
		"127.0.0:80", "127.0.0.1.1:80", "256.0.0.1:80",
		" 127.0.0.1:80", "127.0.0.1:80 ", "localhost:80", "*:80",
		"::1:80", "::1", "[::1]", "[::1]:", "[::1:80", "::1]:80",
		"[::1]80:90", "[]:80", "[:]:80", "[127.0.0.1]:80",
		"[::1]:65536", "[::1]:x", "[:::1]:80", "[::g]:80",
		"[::1%lo]:80", "[fec0::1%lo]:80", "[fe80::1%]:80",
		"[fe80::1%0]:80", "[fe80::1%lo", "[fe80::1%lo]",
		"fe80::1%lo:80", "127.0.0.1%lo:80", "[%lo]:80",
		"[fe80::1%a-name-of-16-xxx]:80", "unix:@",
		"unix:", "UNIX:/run/x", "/run/x",
		"tcp:127.0.0.1:80",
		"[00000000000000000000000000000000000000000000000::1]:80",
		"000000000000000000000000000000000000000000000127.0.0.1:80",
	};
	struct sockaddr_storage address;
	char path[256];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int size = torc_address_parse(table[i], &address);

		if (size != -EINVAL)
			fail_msg("\"%s\": %d", table[i], size);
	}
	snprintf(path, sizeof(path), "%s7", longest_name);
	assert_int_equal(torc_address_parse(path, &address), -EINVAL);
	assert_int_equal(torc_address_parse("[fe80::1%nowhere]:80", &address),
	    -ENODEV);
	snprintf(path, sizeof(path), "%s7", longest_path);
	assert_int_equal(torc_address_parse(path, &address), -EINVAL);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(torc_address_parse(path, &address), -EINVAL);
	memcpy(path, "unix:", 5);
	assert_int_equal(torc_address_parse(path, &address), -EINVAL);
}

/* As the kernel has them: names that no program chose, and any bytes. */
static void
names_of_local_sockets_can_be_told_apart(void **state)
{
	static const struct {
		const char *path;
		unsigned size;
		const char *text;
	} table[] = {
		{ "", 0, "unix:" }, { "\0" "00a1f", 6, "unix:@00a1f" },
		{ "\0a\0b", 4, "unix:@a@b" }, { "/run/x", 7, "unix:/run/x" },
		{ "@x", 3, "unix:./@x" }, { "", 1, "unix:@" },
	};
	struct sockaddr_storage address;
	struct sockaddr_un *local = (struct sockaddr_un *)&address;
	char text[200];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		memset(&address, 'x', sizeof(address));
		local->sun_family = AF_UNIX;
		memcpy(local->sun_path, table[i].path, table[i].size);
		assert_int_equal(torc_address_format(&address, (uint32_t)(
		    offsetof(struct sockaddr_un, sun_path) + table[i].size),
		    text, sizeof(text)), 0);
		assert_string_equal(text, table[i].text);
	}
}

static void
a_port_is_set_where_there_is_one(void **state)
{
	struct sockaddr_storage address;

	(void)state;
	torc_address_parse("127.0.0.1:1", &address);
	torc_address_set_port(&address, 60000);
	assert_int_equal(torc_address_port(&address), 60000);
	torc_address_parse("[::1]:1", &address);
	torc_address_set_port(&address, 60001);
	assert_int_equal(torc_address_port(&address), 60001);
	torc_address_parse("unix:/x", &address);
	torc_address_set_port(&address, 60002);
	assert_int_equal(torc_address_port(&address), 0);
}

/* ---- Clients ---- */

/* A client of an address that torc reads; -1 and errno if it is refused. */
static int
try_open(const char *text)
{
	struct sockaddr_storage address;
	int size = torc_address_parse(text, &address);
	int fd, rc;

	assert_true(size > 0);
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	client_limit(fd);
	do
		rc = connect(fd, (struct sockaddr *)&address,
		    (socklen_t)size);
	while (rc < 0 && (errno == EINTR || errno == EALREADY));
	if (rc == 0 || errno == EISCONN)
		return fd;
	rc = errno;
	close(fd);
	errno = rc;
	return -1;
}

static int
open_port(const char *host, unsigned port)
{
	char text[80];

	snprintf(text, sizeof(text), "%s:%u", host, port);
	return try_open(text);
}

/* The address of a socket of this process that nobody else has. */
static void
name_socket(char *text, size_t size)
{
	static unsigned number;

	snprintf(text, size, "unix:/tmp/torc-address-%d-%u", (int)getpid(),
	    number++);
}

/* ---- Listeners ---- */

struct listening {
	const char *address;
	torc_handler *handler;
	void *arg;
	int index;
	unsigned port;
};

static void
listen_there(struct torc_reactor *reactor, void *arg)
{
	struct listening *listening = arg;

	listening->index = torc_listen(reactor, listening->address,
	    listening->handler, listening->arg);
	if (listening->index >= 0)
		listening->port = torc_listen_port(reactor,
		    listening->index);
}

static struct listening
listen_on(struct server *server, const char *address)
{
	struct listening listening = { .address = address,
		.handler = echo_handler };

	server_call(server, listen_there, &listening);
	return listening;
}

/* A20: one listener for both, one for one, and one for neither. */
static void
a_listener_on_any_v6_address_is_for_v4_too(void **state)
{
	struct listening both, v6, v4;
	struct server server;
	int fd;

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	both = listen_on(&server, "[::]:0");
	v6 = listen_on(&server, "[::1]:0");
	v4 = listen_on(&server, "127.0.0.1:0");
	if (both.index == -EAFNOSUPPORT || v6.index == -EADDRNOTAVAIL) {
		server_stop(&server);
		print_message("SKIP: there is no IPv6 here\n");
		skip();
	}
	assert_true(both.index >= 0 && v6.index >= 0 && v4.index >= 0);
	fd = open_port("[::1]", both.port);
	client_echo(fd, "over v6");
	client_part(fd);
	fd = open_port("127.0.0.1", both.port);
	client_echo(fd, "over v4");
	client_part(fd);
	fd = open_port("[::1]", v6.port);
	client_echo(fd, "v6 alone");
	client_part(fd);
	assert_int_equal(open_port("127.0.0.1", v6.port), -1);
	assert_int_equal(errno, ECONNREFUSED);
	fd = open_port("127.0.0.1", v4.port);
	client_echo(fd, "v4 alone");
	client_part(fd);
	assert_int_equal(open_port("[::1]", v4.port), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_int_equal(server_stop(&server), 0);
}

static void
what_cannot_be_listened_on_is_an_error_and_opens_nothing(void **state)
{
	struct server server;
	char text[64];
	unsigned fds;

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	fds = count_fds();
	assert_int_equal(listen_on(&server, "localhost:80").index, -EINVAL);
	assert_int_equal(listen_on(&server, "192.0.2.1:80").index,
	    -EADDRNOTAVAIL);
	assert_int_equal(listen_on(&server, "unix:/no/such/folder").index,
	    -ENOENT);
	refused_family = AF_INET6;
	assert_int_equal(listen_on(&server, "[::1]:0").index, -EAFNOSUPPORT);
	refused_family = 0;
	assert_int_equal(count_fds(), fds);
	snprintf(text, sizeof(text), "127.0.0.1:%u", server.port);
	assert_true(listen_on(&server, text).index >= 0);
	assert_int_equal(count_fds(), fds + 1);
	assert_int_equal(server_stop(&server), 0);
}

/* Say by which listener one came. */
static int
tell_listener(struct torc_conn *conn, void *arg)
{
	char text[80], peer[40], local[40];
	int size;

	if (torc_conn_peer_address(conn, peer, sizeof(peer)) < 0 ||
	    torc_conn_local_address(conn, local, sizeof(local)) < 0)
		return -1;
	size = snprintf(text, sizeof(text), "%s %d %u", (const char *)arg,
	    torc_conn_listener(conn), torc_conn_port(conn));
	torc_conn_write(conn, text, (size_t)size + 1, TORC_NEVER);
	return TORC_CLOSE;
}

/* A19: each tells its own, also in a slot that was another's before. */
static void
a_connection_knows_by_which_listener_it_came(void **state)
{
	const struct torc_config config = { .connections = 1 };
	static char names[4][4] = { "one", "two", "for", "six" };
	struct listening listening[4];
	struct server server;

	(void)state;
	server_start(&server, &config, tell_listener, names[0]);
	listening[0].port = server.port;
	listening[0].index = 0;
	for (int i = 1; i < 4; i++) {
		listening[i] = (struct listening) {
			.address = "127.0.0.1:0",
			.handler = tell_listener,
			.arg = names[i],
		};
		server_call(&server, listen_there, &listening[i]);
		assert_int_equal(listening[i].index, i);
	}
	for (int i = 0; i < 20; i++) {
		char text[80], wanted[80];
		int fd = open_port("127.0.0.1", listening[i % 4].port);

		snprintf(wanted, sizeof(wanted), "%s %d %u", names[i % 4],
		    i % 4, listening[i % 4].port);
		assert_true(client_read_all(fd, text, sizeof(text)) > 0);
		assert_string_equal(text, wanted);
		close(fd);
		assert_true(server_await_connections(&server, 0));
	}
	assert_int_equal(server_counters(&server).sheds, 0);
	assert_int_equal(server_stop(&server), 0);
}

/* A20: there, also where a dead one has left its file; gone at the end. */
static void
a_local_socket_is_listened_on_and_removed_at_the_end(void **state)
{
	struct sockaddr_storage address;
	struct listening listening;
	struct server server, other;
	struct stat status;
	char text[64];
	int fd, size;

	(void)state;
	name_socket(text, sizeof(text));
	/* Bound and never listened on: nobody is there. */
	size = torc_address_parse(text, &address);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
	    (socklen_t)size), 0);
	close(fd);
	assert_int_equal(stat(text + 5, &status), 0);
	server_start(&server, NULL, echo_handler, NULL);
	listening = listen_on(&server, text);
	assert_true(listening.index >= 0);
	assert_int_equal(listening.port, 0);
	fd = try_open(text);
	client_echo(fd, "locally");
	/* Nobody takes it away from one who lives. */
	server_start(&other, NULL, echo_handler, NULL);
	assert_int_equal(listen_on(&other, text).index, -EADDRINUSE);
	assert_int_equal(server_stop(&other), 0);
	client_echo(fd, "still there");
	client_part(fd);
	fd = try_open(text);
	client_echo(fd, "and again");
	client_part(fd);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(stat(text + 5, &status), -1);
	assert_int_equal(errno, ENOENT);
}

static int
dial_abstract(void *arg)
{
	const char *address = arg;
	char text[2][128];

	for (int i = 0; i < 2; i++) {
		struct torc_conn *conn;
		struct torc_slice in;
		int rc = i == 0 ?
		    torc_dial(&conn, address, torc_after_ms(5000)) :
		    torc_dial_name(&conn, address, torc_after_ms(5000));

		if (rc < 0)
			return rc;
		torc_conn_peer_address(conn, text[i], sizeof(text[i]));
		torc_conn_write(conn, "x", 1, TORC_NEVER);
		rc = torc_conn_recv(conn, &in, torc_after_ms(5000));
		torc_conn_close(conn, TORC_AT_ONCE);
		if (rc != 1 || strcmp(text[i], address) != 0)
			return -1;
	}
	return 0;
}

static void
an_abstract_socket_is_reached_by_its_name_and_has_no_file(void **state)
{
	struct server server, other;
	struct stat status;
	char text[64];
	int fd;

	(void)state;
	snprintf(text, sizeof(text), "unix:@torc-address-%d", (int)getpid());
	server_start(&server, NULL, echo_handler, NULL);
	assert_true(listen_on(&server, text).index >= 0);
	assert_int_equal(stat(text + 5, &status), -1);
	fd = try_open(text);
	client_echo(fd, "by name");
	client_part(fd);
	assert_int_equal(server_fiber(&server, dial_abstract, text), 0);
	server_start(&other, NULL, echo_handler, NULL);
	assert_int_equal(listen_on(&other, text).index, -EADDRINUSE);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(try_open(text), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_true(listen_on(&other, text).index >= 0);
	assert_int_equal(server_stop(&other), 0);
}

/*
 * This thread, and those that it starts, have a network of their own, with
 * fe80::1 on its loopback interface. The descriptor of the old one, or -1.
 */
static int
leave_network(void)
{
	struct sockaddr_storage address;
	struct {
		struct in6_addr address;
		uint32_t prefix;
		int interface;
	} add = { .prefix = 64 };
	const uint64_t end = now_ms() + 10000;
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int before = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int fd;

	if (before < 0 || unshare(CLONE_NEWNET) < 0) {
		close(before);
		return -1;
	}
	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	add.interface = (int)if_nametoindex("lo");
	inet_pton(AF_INET6, "fe80::1", &add.address);
	if (ioctl(fd, SIOCSIFFLAGS, &up) < 0 ||
	    ioctl(fd, SIOCSIFADDR, &add) < 0) {
		setns(before, CLONE_NEWNET);
		close(before);
		before = -1;
	}
	/* The kernel does not have it at once. */
	torc_address_parse("[fe80::1%1]:0", &address);
	while (before >= 0 && bind(fd, (struct sockaddr *)&address,
	    sizeof(struct sockaddr_in6)) < 0 && now_ms() < end)
		pause_ms(10);
	close(fd);
	return before;
}

struct scoped {
	char address[64];
	char peer[128];
	char local[128];
};

static int
dial_scoped(void *arg)
{
	struct scoped *scoped = arg;
	struct torc_conn *conn;
	int rc = torc_dial(&conn, scoped->address, torc_after_ms(5000));

	if (rc < 0)
		return rc;
	torc_conn_peer_address(conn, scoped->peer, sizeof(scoped->peer));
	torc_conn_local_address(conn, scoped->local, sizeof(scoped->local));
	torc_conn_close(conn, TORC_AT_ONCE);
	/* By the name of a peer, one comes to it again. */
	rc = torc_dial_name(&conn, scoped->peer, torc_after_ms(5000));
	if (rc == 0)
		torc_conn_close(conn, TORC_AT_ONCE);
	return rc;
}

static void
a_link_local_address_has_its_interface_in_and_out(void **state)
{
	const int before = leave_network();
	struct listening listening;
	struct scoped scoped;
	struct server server;

	(void)state;
	if (before < 0) {
		print_message("SKIP: no network of our own\n");
		skip();
	}
	server_start(&server, NULL, echo_handler, NULL);
	listening = listen_on(&server, "[fe80::1%lo]:0");
	assert_true(listening.index >= 0);
	snprintf(scoped.address, sizeof(scoped.address), "[fe80::1%%1]:%u",
	    listening.port);
	assert_int_equal(server_fiber(&server, dial_scoped, &scoped), 0);
	snprintf(scoped.address, sizeof(scoped.address), "[fe80::1%%lo]:%u",
	    listening.port);
	assert_string_equal(scoped.peer, scoped.address);
	assert_memory_equal(scoped.local, "[fe80::1%lo]:", 13);
	snprintf(scoped.address, sizeof(scoped.address), "[fe80::1%%up]:%u",
	    listening.port);
	assert_int_equal(server_fiber(&server, dial_scoped, &scoped), -ENODEV);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(setns(before, CLONE_NEWNET), 0);
	close(before);
}

/* A file that is no socket is not ours to remove. */
static void
a_file_in_the_way_of_a_local_socket_is_left_alone(void **state)
{
	struct server server;
	struct stat status;
	char text[64];
	int fd;

	(void)state;
	name_socket(text, sizeof(text));
	fd = open(text + 5, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "mine", 4), 4);
	close(fd);
	server_start(&server, NULL, echo_handler, NULL);
	assert_int_equal(listen_on(&server, text).index, -EADDRINUSE);
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(stat(text + 5, &status), 0);
	assert_int_equal(status.st_size, 4);
	unlink(text + 5);
}

/* A server whose backlog is full: who connects would have to wait. */
static int
open_busy_server(const char *path, int *client)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
	    sizeof(address)), 0);
	assert_int_equal(listen(fd, 0), 0);
	*client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(*client >= 0);
	assert_int_equal(connect(*client, (struct sockaddr *)&address,
	    sizeof(address)), 0);
	return fd;
}

static void
a_local_server_that_does_not_accept_is_neither_removed_nor_waited_for(
    void **state)
{
	struct server server;
	char text[64];
	int client, fd;

	(void)state;
	name_socket(text, sizeof(text));
	fd = open_busy_server(text + 5, &client);
	server_start(&server, NULL, echo_handler, NULL);
	/* To wait is to hang: the alarm ends the program then. */
	alarm(60);
	assert_int_equal(listen_on(&server, text).index, -EADDRINUSE);
	alarm(0);
	close(fd);
	close(client);
	/* Now it has gone, and its file is in nobody's way. */
	assert_true(listen_on(&server, text).index >= 0);
	assert_int_equal(server_stop(&server), 0);
}

/* R-040: also if both are there before the receive is armed. */
static void
a_local_peer_that_speaks_and_leaves_at_once_is_seen_to_its_end(void **state)
{
	struct server server;
	char text[64];

	(void)state;
	name_socket(text, sizeof(text));
	server_start(&server, NULL, echo_handler, NULL);
	assert_true(listen_on(&server, text).index >= 0);
	for (unsigned i = 0; i < 300; i++) {
		char back[8];
		int fd = try_open(text);

		assert_true(fd >= 0);
		client_send(fd, "all", 3);
		shutdown(fd, SHUT_WR);
		assert_int_equal(client_read_all(fd, back, sizeof(back)), 3);
		assert_memory_equal(back, "all", 3);
		close(fd);
	}
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_counters(&server).resets, 0);
	assert_int_equal(server_stop(&server), 0);
}

static atomic_uint notices;

static void
count_notices(const char *text, void *arg)
{
	(void)arg;
	assert_non_null(strstr(text, "is gone"));
	atomic_fetch_add(&notices, 1);
}

/* An accept that is made on it from now on is -EINVAL. */
static void
spoil_listener(struct torc_reactor *reactor, void *arg)
{
	const struct torc_net *net = reactor->layer_state;
	const struct torc_listener *listener = (void *)torc_slots_at(
	    &net->listeners, *(unsigned *)arg);

	torc_sys_shutdown(listener->fd, SHUT_RDWR);
}

/* R-081: it is not asked again and again, and the others go on. */
static void
a_listener_that_has_failed_for_good_is_given_up_and_told_of_once(
    void **state)
{
	const struct torc_config config = {
		.notice = count_notices, .stall_ms = TORC_NO_LIMIT,
	};
	const unsigned files = count_fds();
	struct listening other;
	struct server server;
	unsigned first = 0;
	uint64_t turns;
	int fd;

	(void)state;
	atomic_store(&notices, 0);
	server_start(&server, &config, echo_handler, NULL);
	other = listen_on(&server, "127.0.0.1:0");
	fd = client_open(server.port);
	client_echo(fd, "before");
	server_call(&server, spoil_listener, &first);
	for (unsigned i = 0; i < 5000 && atomic_load(&notices) == 0; i++)
		pause_ms(1);
	turns = server_counters(&server).turns;
	pause_ms(100);
	assert_true(server_counters(&server).turns < turns + 20);
	assert_int_equal(atomic_load(&notices), 1);
	client_echo(fd, "after");
	close(fd);
	fd = client_open(other.port);
	client_echo(fd, "elsewhere");
	close(fd);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_drain(&server, 1000), 0);
	for (unsigned i = 0; i < 5000 && count_fds() != files; i++)
		pause_ms(1);
	assert_int_equal(count_fds(), files);
}

/* ---- torc_serve ---- */

struct service {
	pthread_t thread;
	struct torc_config config;
	const char *addresses[3];
	struct torc_error error;
	int result;
	atomic_uint ready;
	atomic_uint over;
};

static void
note_ready(void *arg)
{
	struct service *service = arg;

	atomic_fetch_add(&service->ready, 1);
}

static void *
run_service(void *arg)
{
	struct service *service = arg;

	service->result = torc_serve(&service->config, note_ready,
	    &service->error);
	atomic_fetch_add(&service->over, 1);
	return NULL;
}

/* Say which reactor one has come to. */
static int
tell_reactor(struct torc_conn *conn, void *arg)
{
	const char text = (char)('0' + torc_reactor_index(
	    torc_reactor_self()));

	(void)arg;
	torc_conn_write(conn, &text, 1, TORC_NEVER);
	return echo_handler(conn, NULL);
}

static void
service_start(struct service *service, const char *address)
{
	const uint64_t end = now_ms() + 20000;

	memset(service, 0, sizeof(*service));
	service->addresses[0] = address;
	service->config = (struct torc_config) {
		.listen = service->addresses,
		.handler = tell_reactor,
		.arg = service,
		.reactors = 2,
		.unpinned = true,
		.drain_ms = 5000,
	};
	assert_int_equal(pthread_create(&service->thread, NULL, run_service,
	    service), 0);
	while (atomic_load(&service->ready) == 0 && now_ms() < end &&
	    atomic_load(&service->over) == 0)
		pause_ms(1);
	if (atomic_load(&service->ready) == 0)
		fail_msg("torc_serve: %d: %s", service->result,
		    service->error.text);
}

/* To the thread that serves: the others of a test do not wait for it. */
static void
service_stop(struct service *service)
{
	pthread_kill(service->thread, SIGTERM);
	pthread_join(service->thread, NULL);
	assert_int_equal(service->result, 0);
	assert_int_equal(atomic_load(&service->ready), 1);
}

/* A20: a local socket has one queue, and still all reactors get of it. */
static void
connections_of_a_local_socket_are_dealt_out_to_all_reactors(void **state)
{
	const unsigned fds_before = count_fds();
	struct service service;
	unsigned counts[2] = { 0, 0 };
	char text[64];
	int fds[40];

	(void)state;
	name_socket(text, sizeof(text));
	service_start(&service, text);
	for (unsigned i = 0; i < 40; i++) {
		char reactor;

		fds[i] = try_open(text);
		assert_true(fds[i] >= 0);
		assert_true(client_read(fds[i], &reactor, 1));
		assert_in_range(reactor, '0', '1');
		counts[reactor - '0']++;
	}
	for (unsigned i = 0; i < 40; i++) {
		client_echo(fds[i], "whoever you are");
		client_part(fds[i]);
	}
	assert_int_equal(counts[0], 20);
	assert_int_equal(counts[1], 20);
	service_stop(&service);
	for (unsigned i = 0; i < 100 && count_fds() != fds_before; i++)
		pause_ms(20);
	assert_int_equal(count_fds(), fds_before);
}

/* Two reactors: the first one deals connections out to the second. */
static struct torc_reactor *dealers[2];
static atomic_bool is_ending;

static void
deal_to_the_other(struct torc_reactor *reactor, void *arg)
{
	struct torc_net *net = reactor->layer_state;

	(void)arg;
	net->peers = dealers;
	net->peer_count = 2;
}

/* The last fiber of the second one: a connection comes while it ends. */
static int
end_late(void *arg)
{
	struct torc_reactor *reactor = arg;

	torc_sleep(TORC_NEVER);
	atomic_store(&is_ending, true);
	/* On its thread, so that it cannot look: the post is for the end. */
	for (unsigned i = 0; i < 5000 &&
	    torc_load_relaxed_ptr(&reactor->mailbox.head) == NULL; i++)
		pause_ms(1);
	return 0;
}

static void *
run_to_its_end(void *arg)
{
	struct torc_reactor *reactor = arg;
	intptr_t rc = torc_fiber_start(reactor, NULL, end_late, reactor);

	if (rc == 0)
		rc = torc_reactor_run(reactor);
	return (void *)rc;
}

/* R-028: it is closed, by the reactor that does not serve it any more. */
static void
a_connection_that_is_dealt_to_a_reactor_at_its_end_is_closed(void **state)
{
	const unsigned files = count_fds();
	struct server server;
	pthread_t thread;
	char text[64];
	void *result;
	int fds[2];

	(void)state;
	atomic_store(&is_ending, false);
	name_socket(text, sizeof(text));
	server_start(&server, NULL, echo_handler, NULL);
	assert_true(listen_on(&server, text).index >= 0);
	dealers[0] = server.reactor;
	assert_int_equal(torc_reactor_create(&dealers[1], NULL, NULL), 0);
	server_call(&server, deal_to_the_other, NULL);
	assert_int_equal(pthread_create(&thread, NULL, run_to_its_end,
	    dealers[1]), 0);
	torc_reactor_stop(dealers[1]);
	while (!atomic_load(&is_ending))
		pause_ms(1);
	for (unsigned i = 0; i < 2; i++)
		fds[i] = try_open(text);
	client_echo(fds[0], "to the first");
	assert_true(client_sees_fin(fds[1]));
	pthread_join(thread, &result);
	assert_null(result);
	/* The first one has come back from its post. */
	server_counters(&server);
	torc_reactor_destroy(dealers[1]);
	close(fds[0]);
	close(fds[1]);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_stop(&server), 0);
	for (unsigned i = 0; i < 5000 && count_fds() != files; i++)
		pause_ms(1);
	assert_int_equal(count_fds(), files);
}

static void
connections_over_tcp_reach_some_reactor_each(void **state)
{
	struct service service;
	struct server free_port;
	char text[64];
	int fd;

	(void)state;
	server_start(&free_port, NULL, echo_handler, NULL);
	assert_int_equal(server_stop(&free_port), 0);
	snprintf(text, sizeof(text), "127.0.0.1:%u", free_port.port);
	service_start(&service, text);
	for (unsigned i = 0; i < 40; i++) {
		char reactor;

		fd = try_open(text);
		assert_true(client_read(fd, &reactor, 1));
		assert_in_range(reactor, '0', '1');
		client_echo(fd, "hello");
		client_part(fd);
	}
	service_stop(&service);
	assert_int_equal(try_open(text), -1);
}

/* ---- Sockets ---- */

/* What a handler sees of its own socket. */
struct socket_seen {
	int nodelay;
	int cloexec;
	char peer[64];
	char local[64];
	int short_peer;
	atomic_uint over;
};

static int
look_at_socket(struct torc_conn *conn, void *arg)
{
	struct socket_seen *seen = arg;
	socklen_t size = sizeof(seen->nodelay);

	getsockopt(torc_conn_fd(conn), IPPROTO_TCP, TCP_NODELAY,
	    &seen->nodelay, &size);
	seen->cloexec = fcntl(torc_conn_fd(conn), F_GETFD);
	torc_conn_peer_address(conn, seen->peer, sizeof(seen->peer));
	torc_conn_local_address(conn, seen->local, sizeof(seen->local));
	seen->short_peer = torc_conn_peer_address(conn, seen->peer,
	    strlen(seen->peer));
	torc_conn_peer_address(conn, seen->peer, sizeof(seen->peer));
	atomic_fetch_add(&seen->over, 1);
	return echo_handler(conn, NULL);
}

static bool
is_over(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	return atomic_load((atomic_uint *)arg) > 0;
}

/* I22, A78: on each of them, also over IPv6, where it is inherited, too. */
static void
an_accepted_socket_does_not_delay_and_does_not_outlive_an_exec(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "[::1]" };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct socket_seen seen = { .nodelay = 0 };
		struct listening listening = { .handler = look_at_socket,
			.arg = &seen };
		struct sockaddr_storage address;
		socklen_t size = sizeof(address);
		struct server server;
		char text[64];
		int fd;

		snprintf(text, sizeof(text), "%s:0", hosts[i]);
		listening.address = text;
		server_start(&server, NULL, echo_handler, NULL);
		server_call(&server, listen_there, &listening);
		if (i > 0 && listening.index < 0) {
			print_message("SKIP: there is no IPv6 here\n");
			server_stop(&server);
			continue;
		}
		fd = open_port(hosts[i], listening.port);
		assert_true(server_await(&server, is_over, &seen.over,
		    5000));
		assert_int_equal(seen.nodelay, 1);
		assert_int_equal(seen.cloexec, FD_CLOEXEC);
		assert_int_equal(seen.short_peer, -ENOSPC);
		snprintf(text, sizeof(text), "%s:%u", hosts[i],
		    listening.port);
		assert_string_equal(seen.local, text);
		getsockname(fd, (struct sockaddr *)&address, &size);
		torc_address_format(&address, size, text, sizeof(text));
		assert_string_equal(seen.peer, text);
		client_part(fd);
		assert_int_equal(server_stop(&server), 0);
	}
}

/* ---- Dialling ---- */

struct call {
	char address[128];
	uint64_t deadline_ms;	/* 0: none */
	int result;		/* of the dial */
	int closed;		/* of the close */
	bool early;
	struct socket_seen seen;
};

/* Dial, send 100000 bytes and have them back, close. */
static int
dial_and_echo(void *arg)
{
	struct call *call = arg;
	struct torc_conn *conn;
	struct torc_slice in;
	uint8_t bytes[1000];
	uint64_t got = 0;
	int rc = 0;

	call->result = torc_dial(&conn, call->address, TORC_NEVER);
	if (call->result < 0)
		return call->result;
	if (torc_conn_listener(conn) != -1 || torc_conn_port(conn) != 0)
		return -1;
	torc_conn_set_data(conn, call);
	for (uint64_t sent = 0; rc == 0 && sent < 100000; sent += 1000) {
		stream_fill(1, sent, bytes, sizeof(bytes));
		rc = torc_conn_write(conn, bytes, sizeof(bytes), TORC_NEVER);
	}
	while (rc >= 0 && got < 100000) {
		rc = torc_conn_recv(conn, &in, TORC_NEVER);
		if (rc <= 0 || !stream_matches(1, got, in.data, in.size))
			break;
		got += in.size;
		torc_conn_consume(conn, in.size);
	}
	if (torc_conn_data(conn) != call)
		got = 0;
	torc_conn_peer_address(conn, call->seen.peer, sizeof(call->seen.peer));
	torc_conn_local_address(
	    conn, call->seen.local, sizeof(call->seen.local));
	call->seen.cloexec = fcntl(torc_conn_fd(conn), F_GETFD);
	call->closed = torc_conn_close(conn, torc_after_ms(5000));
	return got == 100000 ? 0 : -1;
}

static void
check_dial(struct server *server, const char *address)
{
	struct call call = { .result = 1 };

	snprintf(call.address, sizeof(call.address), "%s", address);
	assert_int_equal(server_fiber(server, dial_and_echo, &call), 0);
	assert_int_equal(call.result, 0);
	assert_int_equal(call.closed, 0);
	assert_string_equal(call.seen.peer, address);
	assert_int_equal(call.seen.cloexec, FD_CLOEXEC);
	assert_true(server_await_connections(server, 0));
}

static void
a_dialled_connection_is_like_any_other(void **state)
{
	struct listening v6;
	struct server server;
	char text[64];

	(void)state;
	server_start(&server, NULL, echo_handler, NULL);
	snprintf(text, sizeof(text), "127.0.0.1:%u", server.port);
	check_dial(&server, text);
	name_socket(text, sizeof(text));
	assert_true(listen_on(&server, text).index >= 0);
	check_dial(&server, text);
	v6 = listen_on(&server, "[::1]:0");
	if (v6.index >= 0) {
		snprintf(text, sizeof(text), "[::1]:%u", v6.port);
		check_dial(&server, text);
	} else {
		print_message("SKIP: there is no IPv6 here\n");
	}
	assert_int_equal(server_counters(&server).dials,
	    v6.index >= 0 ? 3 : 2);
	assert_int_equal(server_counters(&server).resets, 0);
	assert_int_equal(server_stop(&server), 0);
}

static int
dial_only(void *arg)
{
	struct call *call = arg;
	torc_deadline deadline = call->deadline_ms == 0 ? TORC_NEVER :
	    torc_after_ms(call->deadline_ms);
	struct torc_conn *conn;

	call->result = torc_dial(&conn, call->address, deadline);
	call->early = !torc_passed(deadline);
	if (call->result == 0)
		call->closed = torc_conn_close(conn, TORC_AT_ONCE);
	return 0;
}

static int
try_dial(struct server *server, const char *address, uint64_t ms, bool *early)
{
	struct call call = { .deadline_ms = ms };

	snprintf(call.address, sizeof(call.address), "%s", address);
	assert_int_equal(server_fiber(server, dial_only, &call), 0);
	if (early != NULL)
		*early = call.early;
	return call.result;
}

/* A68: refused is refused, at once, and leaves nothing behind. */
static void
a_dial_that_fails_says_why_and_leaves_nothing(void **state)
{
	struct server server, gone;
	char text[64];
	unsigned fds;

	(void)state;
	server_start(&gone, NULL, echo_handler, NULL);
	assert_int_equal(server_stop(&gone), 0);
	server_start(&server, NULL, echo_handler, NULL);
	fds = count_fds();
	snprintf(text, sizeof(text), "127.0.0.1:%u", gone.port);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(try_dial(&server, text, 0, NULL),
		    -ECONNREFUSED);
	assert_int_equal(try_dial(&server, "nobody:80", 0, NULL), -EINVAL);
	name_socket(text, sizeof(text));
	assert_int_equal(try_dial(&server, text, 0, NULL), -ENOENT);
	refused_family = AF_UNIX;
	assert_int_equal(try_dial(&server, text, 0, NULL), -EAFNOSUPPORT);
	refused_family = 0;
	assert_int_equal(count_fds(), fds);
	/* The control. */
	snprintf(text, sizeof(text), "127.0.0.1:%u", server.port);
	assert_int_equal(try_dial(&server, text, 0, NULL), 0);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_stop(&server), 0);
}

/* A listener that accepts nobody, with its queue full, at `*text`. */
static int
black_hole(int *waiters, unsigned count, char *text, size_t size)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	torc_address_parse("127.0.0.1:0", &address);
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
	    sizeof(struct sockaddr_in)), 0);
	assert_int_equal(listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)&address, &length);
	for (unsigned i = 0; i < count; i++) {
		waiters[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC |
		    SOCK_NONBLOCK, 0);
		connect(waiters[i], (struct sockaddr *)&address, length);
	}
	torc_address_format(&address, length, text, size);
	return fd;
}

/* A69: at the deadline, not before it, and the descriptor is gone then. */
static void
a_dial_that_nobody_answers_ends_at_its_deadline(void **state)
{
	struct server server;
	int waiters[8];
	unsigned fds;
	char text[64];
	bool early;
	int hole;

	(void)state;
	hole = black_hole(waiters, 8, text, sizeof(text));
	server_start(&server, NULL, echo_handler, NULL);
	fds = count_fds();
	assert_int_equal(try_dial(&server, text, 100, &early), -ETIMEDOUT);
	assert_false(early);
	assert_int_equal(count_fds(), fds);
	/* The next one is none the worse for it. */
	snprintf(text, sizeof(text), "127.0.0.1:%u", server.port);
	assert_int_equal(try_dial(&server, text, 5000, &early), 0);
	assert_true(early);
	assert_int_equal(server_stop(&server), 0);
	for (unsigned i = 0; i < 8; i++)
		close(waiters[i]);
	close(hole);
}

static int
dial_for_ever(void *arg)
{
	struct call *call = arg;
	struct torc_conn *conn;

	atomic_fetch_add(&call->seen.over, 1);
	call->result = torc_dial(&conn, call->address, TORC_NEVER);
	return call->result;
}

static void
start_dial(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	torc_fiber_spawn(NULL, dial_for_ever, arg);
}

static void
a_stop_ends_a_dial_that_waits(void **state)
{
	struct call call = { .result = 1 };
	struct server server;
	int waiters[8], hole;

	(void)state;
	hole = black_hole(waiters, 8, call.address, sizeof(call.address));
	server_start(&server, NULL, echo_handler, NULL);
	server_call(&server, start_dial, &call);
	assert_true(server_await(&server, is_over, &call.seen.over, 5000));
	assert_int_equal(server_stop(&server), 0);
	assert_int_equal(call.result, -ECANCELED);
	for (unsigned i = 0; i < 8; i++)
		close(waiters[i]);
	close(hole);
}

/* ---- Closing what was dialled ---- */

/* Dial, stage a little, close by the deadline. */
static int
dial_and_close(void *arg)
{
	struct call *call = arg;
	struct torc_conn *conn;

	call->result = torc_dial(&conn, call->address, TORC_NEVER);
	if (call->result < 0)
		return call->result;
	torc_conn_write(conn, "bye", 3, TORC_NEVER);
	call->closed = torc_conn_close(conn,
	    call->deadline_ms == 0 ? TORC_AT_ONCE :
				     torc_after_ms(call->deadline_ms));
	return 0;
}

/* A plain listener: whoever is dialled is led by the test. */
static int
plain_listener(char *text, size_t size)
{
	int fd = black_hole(NULL, 0, text, size);

	client_limit(fd);
	return fd;
}

struct closing {
	struct server *server;
	struct call call;
};

static void *
run_closing(void *arg)
{
	struct closing *closing = arg;

	server_fiber(closing->server, dial_and_close, &closing->call);
	return NULL;
}

/* What the peer of a dialler that closes sees, and what the dialler. */
static void
check_close(uint64_t ms, bool answer, bool fin, int closed)
{
	struct closing closing = { .call.deadline_ms = ms };
	struct server server;
	pthread_t thread;
	char text[8];
	int listener, fd;
	ssize_t got;

	listener = plain_listener(closing.call.address,
	    sizeof(closing.call.address));
	server_start(&server, NULL, echo_handler, NULL);
	closing.server = &server;
	assert_int_equal(pthread_create(&thread, NULL, run_closing,
	    &closing), 0);
	do
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	client_limit(fd);
	if (fin) {
		assert_true(client_read(fd, text, 3));
		assert_memory_equal(text, "bye", 3);
		assert_true(client_sees_fin(fd));
	} else {
		while ((got = recv(fd, text, sizeof(text), 0)) > 0 ||
		    (got < 0 && errno == EINTR))
			continue;
		assert_int_equal(got, -1);
		assert_int_equal(errno, ECONNRESET);
	}
	if (answer)
		close(fd);
	pthread_join(thread, NULL);
	assert_int_equal(closing.call.result, 0);
	assert_int_equal(closing.call.closed, closed);
	assert_true(server_await_connections(&server, 0));
	assert_int_equal(server_counters(&server).resets,
	    !fin || closed != 0);
	if (!answer)
		close(fd);
	close(listener);
	assert_int_equal(server_stop(&server), 0);
}

static void
a_dialled_connection_is_closed_in_order_or_reset(void **state)
{
	(void)state;
	/* The peer closes, too. */
	check_close(5000, true, true, 0);
	/* It does not, until the deadline. */
	check_close(50, false, true, -ETIMEDOUT);
	/* Nobody waits for it. */
	check_close(0, true, false, 0);
}

/* What we sent is lost: the peer closes without having read it. */
static void
a_close_that_the_peer_answers_with_a_reset_says_so(void **state)
{
	struct closing closing = { .call.deadline_ms = 5000 };
	struct server server;
	pthread_t thread;
	int listener, fd;

	(void)state;
	listener = plain_listener(closing.call.address,
	    sizeof(closing.call.address));
	server_start(&server, NULL, echo_handler, NULL);
	closing.server = &server;
	assert_int_equal(pthread_create(&thread, NULL, run_closing,
	    &closing), 0);
	do
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	/* Its bytes and its FIN are there: it waits for ours. */
	assert_int_equal(poll(&(struct pollfd) { fd, POLLRDHUP, 0 }, 1, 5000),
	    1);
	close(fd);
	pthread_join(thread, NULL);
	assert_int_equal(closing.call.result, 0);
	assert_int_equal(closing.call.closed, -ECONNRESET);
	assert_true(server_await_connections(&server, 0));
	close(listener);
	assert_int_equal(server_stop(&server), 0);
}

/* ---- Children ---- */

/* The descriptors of a program that was started while a server runs. */
static unsigned
count_inherited(char *text, size_t size)
{
	int fds[2], status;
	ssize_t got = 0, rc;
	unsigned count = 0;
	pid_t child;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(fds[1], STDOUT_FILENO);
		execl("/bin/sh", "sh", "-c",
		    "for f in /proc/self/fd/*; do "
		    "[ ${f##*/} -le 2 ] || readlink $f; done", (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	while ((rc = read(fds[0], text + got, size - 1 - (size_t)got)) > 0 ||
	    (rc < 0 && errno == EINTR))
		got += rc > 0 ? rc : 0;
	text[got] = '\0';
	close(fds[0]);
	while (waitpid(child, &status, 0) < 0)
		continue;
	assert_true(WIFEXITED(status));
	for (const char *at = text; *at != '\0'; at++)
		count += *at == '\n';
	return count;
}

/* Dial itself and stay connected. */
static int
dial_and_stay(void *arg)
{
	struct call *call = arg;
	struct torc_conn *conn;

	call->result = torc_dial(&conn, call->address, TORC_NEVER);
	atomic_fetch_add(&call->seen.over, 1);
	torc_sleep(TORC_NEVER);
	if (call->result == 0)
		torc_conn_close(conn, TORC_AT_ONCE);
	return 0;
}

static void
start_staying(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	torc_fiber_spawn(NULL, dial_and_stay, arg);
}

/* A78: ring, eventfd, listeners, accepted and dialled sockets: none. */
static void
a_program_that_is_started_inherits_no_descriptor(void **state)
{
	struct call call = { .result = 1 };
	struct server server;
	char before[4096], text[4096];
	unsigned count;
	int fd;

	(void)state;
	count = count_inherited(before, sizeof(before));
	server_start(&server, NULL, echo_handler, NULL);
	name_socket(call.address, sizeof(call.address));
	assert_true(listen_on(&server, call.address).index >= 0);
	server_call(&server, start_staying, &call);
	assert_true(server_await(&server, is_over, &call.seen.over, 5000));
	assert_int_equal(call.result, 0);
	fd = client_open(server.port);
	client_echo(fd, "hello");
	assert_true(server_await_connections(&server, 3));
	if (count_inherited(text, sizeof(text)) != count)
		fail_msg("inherited:\n%sand before:\n%s", text, before);
	/* The control: one that may be inherited is seen. */
	assert_int_equal(fcntl(fd, F_SETFD, 0), 0);
	assert_int_equal(count_inherited(text, sizeof(text)), count + 1);
	client_part(fd);
	assert_int_equal(server_stop(&server), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_that_are_read),
		cmocka_unit_test(addresses_that_are_refused),
		cmocka_unit_test(names_of_local_sockets_can_be_told_apart),
		cmocka_unit_test(a_port_is_set_where_there_is_one),
		cmocka_unit_test(
		    an_abstract_socket_is_reached_by_its_name_and_has_no_file),
		cmocka_unit_test(
		    a_link_local_address_has_its_interface_in_and_out),
		cmocka_unit_test(a_listener_on_any_v6_address_is_for_v4_too),
		cmocka_unit_test(
		    what_cannot_be_listened_on_is_an_error_and_opens_nothing),
		cmocka_unit_test(a_connection_knows_by_which_listener_it_came),
		cmocka_unit_test(
		    a_local_socket_is_listened_on_and_removed_at_the_end),
		cmocka_unit_test(
		    a_file_in_the_way_of_a_local_socket_is_left_alone),
		cmocka_unit_test(
		    a_local_server_that_does_not_accept_is_neither_removed_nor_waited_for),
		cmocka_unit_test(
		    connections_of_a_local_socket_are_dealt_out_to_all_reactors),
		cmocka_unit_test(
		    a_local_peer_that_speaks_and_leaves_at_once_is_seen_to_its_end),
		cmocka_unit_test(
		    a_listener_that_has_failed_for_good_is_given_up_and_told_of_once),
		cmocka_unit_test(
		    a_connection_that_is_dealt_to_a_reactor_at_its_end_is_closed),
		cmocka_unit_test(connections_over_tcp_reach_some_reactor_each),
		cmocka_unit_test(
		    an_accepted_socket_does_not_delay_and_does_not_outlive_an_exec),
		cmocka_unit_test(a_dialled_connection_is_like_any_other),
		cmocka_unit_test(a_dial_that_fails_says_why_and_leaves_nothing),
		cmocka_unit_test(
		    a_dial_that_nobody_answers_ends_at_its_deadline),
		cmocka_unit_test(a_stop_ends_a_dial_that_waits),
		cmocka_unit_test(
		    a_dialled_connection_is_closed_in_order_or_reset),
		cmocka_unit_test(
		    a_close_that_the_peer_answers_with_a_reset_says_so),
		cmocka_unit_test(
		    a_program_that_is_started_inherits_no_descriptor),
	};

	cmocka_set_test_filter(getenv("TORC_TEST"));
	return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
