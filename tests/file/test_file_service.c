/*
 * test_file_service.c - files below a path of a service: the same as those of
 * torc_file_serve(), under another name.
 *
 * wrap: torc_sys_close
 */
#include <errno.h>
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

static int
set_up_service(void **state)
{
	const struct torc_service_config with = { .observer = observe };
	struct torc_routes *routes;

	assert_int_equal(set_up(state), 0);
	assert_int_equal(torc_routes_create(&routes), 0);
	torc_routes_add(routes, "GET", "/s t/{path...}", torc_file_exchange,
	    (void *)(uintptr_t)&key);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
