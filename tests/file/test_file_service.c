/* SPDX-License-Identifier: MIT */
/*
 * test_file_service.c - files below a path of a service: the same as those of
 * torc_file_serve(), under another name.
 *
 * wrap: torc_sys_close
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conn/http/torc_service.h"
#include "tests/file/site.h"

static const struct torc_key key = { "files" };
static struct torc_service *service;

/* What the observer was told, on the reactor's thread. */
struct told {
	char target[256];
	char method[16];
	unsigned status;
	uint64_t sent;
};

static struct told last;

static void
observe(struct torc_exchange *exchange, const struct torc_exchange_summary *end,
    void *arg)
{
	(void)exchange;
	(void)arg;
	snprintf(last.target, sizeof(last.target), "%.*s",
	    (int)end->target.size, (const char *)end->target.data);
	snprintf(last.method, sizeof(last.method), "%.*s",
	    (int)end->method.size, (const char *)end->method.data);
	last.status = end->status;
	last.sent = end->sent;
}

static void
read_last(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	*(struct told *)arg = last;
}

/* When all connections are gone, and with them the last exchange. */
static struct told
last_told(void)
{
	struct told told;

	assert_true(server_await_connections(&server, 0));
	server_call(&server, read_last, &told);
	return told;
}

/* Another listener of the same reactor. */
static void
listen_too(struct torc_reactor *reactor, void *arg)
{
	int listener = torc_listen(reactor, "127.0.0.1:0",
	    torc_service_handle, service);

	assert_true(listener >= 0);
	*(unsigned *)arg = torc_listen_port(reactor, listener);
	assert_int_equal(torc_reactor_set_data(reactor, &key, root), 0);
}

/* Bytes 10 to 4009 of a file, between two others; `arg` is their length. */
static int
send_part(struct torc_exchange *exchange, void *arg)
{
	const uint64_t length = (uint64_t)(uintptr_t)arg;
	char path[256];
	int rc, fd;

	snprintf(path, sizeof(path), "%s/part.bin", folder);
	fd = torc_file_open(AT_FDCWD, path, O_RDONLY, 0, 0, TORC_NEVER);
	if (fd < 0)
		return fd;
	rc = torc_exchange_begin(exchange, 200, NULL, length, TORC_NEVER);
	if (rc == 0)
		rc = torc_exchange_write(exchange, "<", 1, TORC_NEVER);
	if (rc == 0)
		rc = torc_file_exchange_send(exchange, fd, 10, 4000,
		    TORC_NEVER);
	if (rc == 0)
		rc = torc_exchange_write(exchange, ">", 1, TORC_NEVER);
	torc_file_close(fd);
	return rc < 0 ? rc : torc_exchange_end(exchange, TORC_NEVER);
}

/* What the end of an answer said after a file that was too short. */
static _Atomic int ended;

/* Goes on after an error, as a careless handler does. */
static int
send_and_end(struct torc_exchange *exchange, void *arg)
{
	const int rc = send_part(exchange, arg);

	ended = torc_exchange_end(exchange, TORC_NEVER);
	return rc;
}

static int
send_before_begin(struct torc_exchange *exchange, void *arg)
{
	(void)arg;
	if (torc_file_exchange_send(exchange, 0, 0, 1, TORC_NEVER) != -EINVAL)
		return -EIO;
	return torc_exchange_text(exchange, 200, "still", TORC_NEVER);
}

/* Each piece of a body is in brackets, and has no length. */
static int
shape_head(struct torc_exchange *exchange, struct torc_exchange_head *head,
    void *arg)
{
	(void)exchange;
	(void)arg;
	head->length = TORC_HTTP_UNKNOWN;
	return 0;
}

static int
shape_piece(struct torc_filter *filter, const void *data, size_t size,
    bool at_end, torc_deadline deadline, void *arg)
{
	int rc = torc_filter_pass(filter, "[", 1, false, deadline);

	(void)arg;
	if (rc == 0)
		rc = torc_filter_pass(filter, data, size, false, deadline);
	return rc < 0 ? rc : torc_filter_pass(filter, "]", 1, at_end,
	    deadline);
}

static int
send_shaped(struct torc_exchange *exchange, void *arg)
{
	static const struct torc_filter_kind kind = {
		.head = shape_head, .piece = shape_piece,
	};
	int rc = torc_exchange_add_filter(exchange, &kind, NULL);

	return rc < 0 ? rc : send_part(exchange, arg);
}

static int
set_up_service(void **state)
{
	const struct torc_service_config with = { .observer = observe };
	struct torc_routes *routes;

	assert_int_equal(set_up(state), 0);
	assert_int_equal(torc_routes_create(&routes), 0);
	torc_routes_add(routes, "GET", "/s t/{path...}", torc_file_exchange,
	    (void *)(uintptr_t)&key);
	torc_routes_add(routes, "GET", "/send/sized", send_part,
	    (void *)(uintptr_t)4002);
	torc_routes_add(routes, "GET", "/send/short", send_part,
	    (void *)(uintptr_t)100);
	torc_routes_add(routes, "GET", "/send/chunks", send_part,
	    (void *)(uintptr_t)TORC_HTTP_UNKNOWN);
	torc_routes_add(routes, "GET", "/end/sized", send_and_end,
	    (void *)(uintptr_t)4002);
	torc_routes_add(routes, "GET", "/end/chunks", send_and_end,
	    (void *)(uintptr_t)TORC_HTTP_UNKNOWN);
	torc_routes_add(routes, "GET", "/before", send_before_begin, NULL);
	torc_routes_add(routes, "GET", "/send/shaped", send_shaped,
	    (void *)(uintptr_t)4002);
	torc_routes_add(routes, "GET", "/{path...}", torc_file_exchange,
	    (void *)(uintptr_t)&key);
	assert_int_equal(torc_service_create(&service, routes, &with, NULL), 0);
	torc_routes_destroy(routes);
	server_call(&server, listen_too, &server.port);
	return 0;
}

static int
tear_down_service(void **state)
{
	int rc = tear_down(state);

	torc_service_destroy(service);
	return rc;
}

/* ---- Trees ---- */

static struct torc_file_tree tree;

static int
use_tree(void *arg)
{
	struct torc_reactor *self = torc_reactor_self();

	(void)arg;
	/* One that is not there is an error, and nothing is open. */
	tree.path = "/none/of/these";
	if (torc_file_tree_open(self, &tree) != -ENOENT ||
	    torc_reactor_data(self, &tree.key) != NULL)
		return 1;
	torc_file_tree_close(self, &tree);
	tree.path = "/";
	for (unsigned i = 0; i < 2; i++) {
		if (torc_file_tree_open(self, &tree) != 0 ||
		    torc_reactor_data(self, &tree.key) == NULL)
			return 2;
		torc_file_tree_close(self, &tree);
		if (torc_reactor_data(self, &tree.key) != NULL)
			return 3;
	}
	return 0;
}

static int
open_tree(void *arg)
{
	(void)arg;
	return torc_file_tree_open(torc_reactor_self(), &tree);
}

static void
a_tree_has_a_root_on_its_reactor_while_it_is_open(void **state)
{
	(void)state;
	assert_int_equal(server_fiber(&server, use_tree, NULL), 0);
}

static void
keep_text(const char *text, void *arg)
{
	snprintf(arg, 256, "%s", text);
}

static void
a_tree_that_is_not_there_is_named_in_a_notice(void **state)
{
	char text[256] = "";
	const struct torc_config how = { .notice = keep_text, .arg = text };
	struct server other;

	(void)state;
	server_start(&other, &how, echo_handler, NULL);
	tree.path = "/none/of/these";
	assert_int_equal(server_fiber(&other, open_tree, NULL), -ENOENT);
	assert_int_equal(server_stop(&other), 0);
	assert_non_null(strstr(text, "root /none/of/these: No such file"));
}

static void
files_are_served_below_a_prefix(void **state)
{
	struct told told;

	(void)state;
	put_file("a b.bin", 7, 5000);
	put_file("large.bin", 8, 3000000);
	assert_file("/s%20t/a%20b.bin", 7, 5000);
	assert_file("/s%20t/./x/../a%20b.bin?query", 7, 5000);
	assert_file("/large.bin", 8, 3000000);
	assert_file("/s%20t/large.bin", 8, 3000000);
	told = last_told();
	assert_string_equal(told.target, "/s%20t/large.bin");
	assert_string_equal(told.method, "GET");
	assert_int_equal(told.status, 200);
	assert_int_equal(told.sent, 3000000);
	assert_status("/s%20t/large.bin", "Range: bytes=10-19\r\n", 206);
	assert_int_equal(last_told().sent, 10);
}

static void
nothing_outside_of_the_root_is_served_below_a_prefix(void **state)
{
	static const char *const targets[] = {
		"/s%20t/none", "/s%20t/..%2f..%2fetc/passwd",
		"/s%20t//etc/passwd", "/s%20t/%2e%2e/%2e%2e%2fetc/passwd",
		"/s%20t/.hidden", "/s%20t", "/s%20t/x\\y",
	};

	(void)state;
	put_text(".hidden", "hidden");
	for (unsigned i = 0; i < COUNT(targets); i++)
		assert_status(targets[i], "", 404);
	assert_status("/s%20t/../../x", "", 400);
	assert_status("/s%20t/%00", "", 400);
}

static void
a_directory_is_redirected_to_with_the_prefix(void **state)
{
	(void)state;
	assert_int_equal(mkdir(in_folder("d e"), 0755), 0);
	put_text("d e/index.html", "index");
	assert_status("/s%20t/d%20e?a=b", "", 301);
	assert_string_equal(field("Location"), "/s%20t/d%20e/?a=b");
	assert_status("/d%20e", "", 301);
	assert_string_equal(field("Location"), "/d%20e/");
	assert_status("/s%20t/d%20e/", "", 200);
	assert_string_equal(body(), "index");
}

static void
a_part_of_a_file_is_a_piece_of_an_answer_however_this_goes_out(void **state)
{
	const uint8_t *at;

	(void)state;
	put_file("part.bin", 9, 5000);
	assert_status("/send/sized", "", 200);
	assert_string_equal(field("Content-Length"), "4002");
	assert_int_equal(body()[0], '<');
	assert_true(stream_matches(9, 10, (const uint8_t *)body() + 1, 4000));
	assert_string_equal(body() + 4001, ">");
	assert_int_equal(last_told().sent, 4002);
	ask("HEAD", "/send/sized", "");
	assert_int_equal(status(), 200);
	assert_string_equal(body(), "");
	assert_status("/send/chunks", "", 200);
	at = (const uint8_t *)strstr(body(), "1\r\n<\r\nfa0\r\n");
	assert_ptr_equal(at, body());
	assert_true(stream_matches(9, 10, at + 11, 4000));
	assert_memory_equal(at + 4011, "\r\n1\r\n>\r\n0\r\n\r\n", 13);
	assert_status("/send/shaped", "", 200);
	at = (const uint8_t *)strstr(body(), "1\r\n[\r\nfa0\r\n");
	assert_non_null(at);
	assert_true(stream_matches(9, 10, at + 11, 4000));
	assert_int_equal(last_told().sent, 4002 + 4 * 2);
	/* What was promised less of is not sent, nor is what is not there. */
	ask("GET", "/send/short", "");
	assert_int_equal(last_told().sent, 1);
	put_file("part.bin", 9, 3000);
	assert_true(ask("GET", "/send/chunks", "") < 4000);
	assert_null(strstr(reply, "\r\n0\r\n"));
}

static void
an_answer_that_lacks_bytes_of_a_file_cannot_be_ended(void **state)
{
	static const char *const targets[] = { "/end/sized", "/end/chunks" };

	(void)state;
	put_file("part.bin", 9, 3000);
	for (unsigned i = 0; i < COUNT(targets); i++) {
		ended = 0;
		ask("GET", targets[i], "");
		last_told();
		assert_int_equal(ended, -EINVAL);
		assert_null(strstr(reply, "\r\n0\r\n"));
	}
	/* Nor does it harm an answer that was not begun. */
	assert_status("/before", "", 200);
	assert_string_equal(body(), "still");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    files_are_served_below_a_prefix,
		    set_up_service, tear_down_service),
		cmocka_unit_test_setup_teardown(
		    nothing_outside_of_the_root_is_served_below_a_prefix,
		    set_up_service, tear_down_service),
		cmocka_unit_test_setup_teardown(
		    a_directory_is_redirected_to_with_the_prefix,
		    set_up_service, tear_down_service),
		cmocka_unit_test_setup_teardown(
		    a_part_of_a_file_is_a_piece_of_an_answer_however_this_goes_out,
		    set_up_service, tear_down_service),
		cmocka_unit_test_setup_teardown(
		    an_answer_that_lacks_bytes_of_a_file_cannot_be_ended,
		    set_up_service, tear_down_service),
		cmocka_unit_test_setup_teardown(
		    a_tree_has_a_root_on_its_reactor_while_it_is_open,
		    set_up_service, tear_down_service),
		cmocka_unit_test(a_tree_that_is_not_there_is_named_in_a_notice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
