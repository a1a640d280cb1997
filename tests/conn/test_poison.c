/* SPDX-License-Identifier: MIT */
/*
 * test_poison.c - a handler that looks at bytes which it has consumed, or which
 * the kernel may write again, is stopped by AddressSanitizer; one that looks in
 * time is not.
 */
#include "tests/child.h"
#include "tests/harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/poison.h"

#define SIZE 256u
#define HALF (SIZE / 2)
#define LATE torc_after_ms(5000)

static unsigned seen;

static void
look(const uint8_t *byte)
{
	seen += *(const volatile uint8_t *)byte;
}

/* ---- Handlers: each looks at the first byte of what came ---- */

/* All of SIZE bytes, which lie in a receive buffer. */
static struct torc_slice
receive(struct torc_conn *conn)
{
	struct torc_slice in = { NULL, 0 };
	int rc;

	do
		rc = torc_conn_recv(conn, &in, LATE);
	while (rc > 0 && in.size < SIZE);
	if (in.size != SIZE)
		_exit(9);
	return in;
}

static int
look_in_time(struct torc_conn *conn, void *arg)
{
	struct torc_slice in = receive(conn);

	(void)arg;
	look(in.data);
	torc_conn_consume(conn, HALF);
	/* What was not consumed is there, also after a wait. */
	torc_conn_recv(conn, &in, torc_after_ms(1));
	look(in.data);
	look(in.data + HALF - 1);
	torc_conn_consume(conn, in.size);
	return TORC_CLOSE;
}

static int
look_after_all(struct torc_conn *conn, void *arg)
{
	struct torc_slice in = receive(conn);

	(void)arg;
	torc_conn_consume(conn, SIZE);
	look(in.data);
	return TORC_CLOSE;
}

static int
look_after_half(struct torc_conn *conn, void *arg)
{
	struct torc_slice in = receive(conn);

	(void)arg;
	torc_conn_consume(conn, HALF);
	look(in.data);
	return TORC_CLOSE;
}

static int
look_behind(struct torc_conn *conn, void *arg)
{
	struct torc_slice in = receive(conn);

	(void)arg;
	look(in.data + SIZE);
	return TORC_CLOSE;
}

/* The half that is left moves when more is waited for. */
static int
look_at_what_moved(struct torc_conn *conn, void *arg)
{
	struct torc_slice old = receive(conn);
	struct torc_slice in;

	(void)arg;
	torc_conn_consume(conn, HALF);
	torc_conn_recv(conn, &in, torc_after_ms(1));
	look(old.data + HALF);
	return TORC_CLOSE;
}

/* ---- Processes ---- */

static void
serve_one(torc_handler *handler)
{
	static const char bytes[SIZE] = "bytes";
	struct server server;
	char end;
	int fd;

	server_start(&server, NULL, handler, NULL);
	fd = client_open(server.port);
	if (send(fd, bytes, SIZE, MSG_NOSIGNAL) != SIZE ||
	    recv(fd, &end, 1, 0) != 0)
		_exit(9);
	close(fd);
	server_stop(&server);
}

static void in_time(void) { serve_one(look_in_time); }
static void after_all(void) { serve_one(look_after_all); }
static void after_half(void) { serve_one(look_after_half); }
static void behind(void) { serve_one(look_behind); }
static void at_what_moved(void) { serve_one(look_at_what_moved); }

static void
assert_stopped(void (*body)(void))
{
	char said[4096];
	int status;

	if (!TORC_POISONS) {
		printf("# only a build with AddressSanitizer stops it: make "
		    "asan\n");
		skip();
	}
	status = in_child(body, said, sizeof(said));
	assert_int_not_equal(status, 0);
	if (strstr(said, "use-after-poison") == NULL)
		fail_msg("status 0x%x, saying: %s", (unsigned)status, said);
}

/* The control. */
static void
a_handler_that_reads_in_time_is_not_stopped(void **state)
{
	char said[4096];

	(void)state;
	assert_int_equal(in_child(in_time, said, sizeof(said)), 0);
}

static void
a_handler_that_reads_consumed_bytes_is_stopped(void **state)
{
	(void)state;
	assert_stopped(after_all);
}

static void
bytes_are_consumed_although_others_of_the_view_are_not(void **state)
{
	(void)state;
	assert_stopped(after_half);
}

static void
a_handler_that_reads_behind_what_came_is_stopped(void **state)
{
	(void)state;
	assert_stopped(behind);
}

static void
a_handler_that_reads_where_its_bytes_were_is_stopped(void **state)
{
	(void)state;
	assert_stopped(at_what_moved);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handler_that_reads_in_time_is_not_stopped),
		cmocka_unit_test(
		    a_handler_that_reads_consumed_bytes_is_stopped),
		cmocka_unit_test(
		    bytes_are_consumed_although_others_of_the_view_are_not),
		cmocka_unit_test(
		    a_handler_that_reads_behind_what_came_is_stopped),
		cmocka_unit_test(
		    a_handler_that_reads_where_its_bytes_were_is_stopped),
	};

	return cmocka_run_group_tests(tests, limit, NULL);
}
