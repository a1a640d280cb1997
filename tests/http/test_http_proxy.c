/* SPDX-License-Identifier: MIT */
/*
 * test_http_proxy.c - a service as a proxy: requests that no route answers,
 * and what the origin is told of who has asked.
 */
#include "conn/http/torc_service.h"

#include "tests/http/origin.h"

#include <errno.h>
#include <stdio.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "Host: a\r\n"
#define LINES " HTTP/1.1\r\n" HOST "\r\n"

static struct torc_service *service;
static pthread_mutex_t told = PTHREAD_MUTEX_INITIALIZER;
static char route[64];		/* of the last exchange; locked by `told` */
static atomic_uint around_count;	/* calls */

static const char *
last_route(void)
{
	static char copy[sizeof(route)];

	pthread_mutex_lock(&told);
	memcpy(copy, route, sizeof(copy));
	pthread_mutex_unlock(&told);
	return copy;
}

static int
tell(struct torc_exchange *exchange, void *text)
{
	return torc_exchange_text(exchange, 200, text, TORC_NEVER);
}

static int
count_around(struct torc_exchange *exchange, void *arg)
{
	(void)arg;
	around_count++;
	return torc_exchange_next(exchange);
}

static int
pass_on(struct torc_exchange *exchange, void *arg)
{
	static const struct torc_http_field added = {
		{ (const uint8_t *)"X-Ours", 6 }, { (const uint8_t *)"yes", 3 },
	};
	const struct torc_http_forwarding how = {
		.via = "test", .forwarded_for = true,
		.added = &added, .added_count = 1,
		.key = torc_conn_key(torc_exchange_conn(exchange)),
	};

	(void)arg;
	pthread_mutex_lock(&told);
	snprintf(route, sizeof(route), "%s", torc_exchange_route(exchange));
	pthread_mutex_unlock(&told);
	return torc_exchange_forward(exchange, client, &how, TORC_NEVER);
}

static int
handle(struct torc_conn *conn, void *arg)
{
	(void)arg;
	return torc_service_handle(conn, service);
}

static int
set_up(void **state)
{
	struct torc_routes *routes, *group;

	(void)state;
	assert_int_equal(torc_routes_create(&routes), 0);
	torc_routes_add(routes, "GET", "/ours", tell, "ours\n");
	group = torc_routes_group(routes, "/group");
	torc_routes_add(group, "GET", "/ours", tell, "ours, too\n");
	torc_routes_otherwise(routes, tell, "not this one\n");
	torc_routes_otherwise(routes, pass_on, NULL);
	torc_routes_around(routes, count_around, NULL);
	assert_int_equal(torc_service_create(&service, routes, NULL, NULL), 0);
	torc_routes_destroy(routes);
	origin_scene(give_head, handle, NULL);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	origin_scene_end();
	torc_service_destroy(service);
	return 0;
}

/* Ask, and read what is there when the other side has ended it. */
static const char *
ask(const char *request)
{
	static char reply[1 << 14];
	int fd = client_open(server.port);
	long got;

	around_count = 0;
	client_send(fd, request, strlen(request));
	shutdown(fd, SHUT_WR);
	got = client_read_all(fd, reply, sizeof(reply) - 1);
	assert_true(got >= 0);
	reply[got] = '\0';
	close(fd);
	return reply;
}

static void
what_no_route_answers_has_a_handler_of_its_own(void **state)
{
	static const char *const requests[] = {
		"GET / HTTP/1.1\r\n", "GET /group HTTP/1.1\r\n",
		"POST /ours HTTP/1.1\r\n", "OPTIONS /ours HTTP/1.1\r\n",
		"GET /a%2fb?c=%2f HTTP/1.1\r\n", "GET /a//b HTTP/1.1\r\n",
		/* Paths that torc would have refused. */
		"GET /%zz HTTP/1.1\r\n", "GET /a%00b HTTP/1.1\r\n",
		"GET /../above HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n",
	};
	char request[256];

	(void)state;
	assert_non_null(strstr(ask("GET /ours" LINES), "\r\n\r\nours\n"));
	assert_int_equal(around_count, 1);
	assert_non_null(strstr(ask("GET /group/ours" LINES),
	    "\r\n\r\nours, too\n"));
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		const char *reply;

		snprintf(request, sizeof(request), "%s" HOST "\r\n",
		    requests[i]);
		pthread_mutex_lock(&told);
		route[0] = '\0';
		pthread_mutex_unlock(&told);
		reply = strstr(ask(request), "\r\n\r\n");
		assert_non_null(reply);
		/* As it was sent. */
		assert_memory_equal(reply + 4, requests[i],
		    strlen(requests[i]));
		assert_string_equal(last_route(), "*");
		assert_int_equal(around_count, 1);
	}
}

static void
an_origin_is_told_who_has_asked_behind_what_others_say(void **state)
{
	const char *reply = ask("GET /x HTTP/1.1\r\n" HOST
	    "X-Forwarded-For: 192.0.2.7\r\n\r\n");
	const char *first = strstr(reply, "X-Forwarded-For: 192.0.2.7\r\n");
	const char *second = strstr(reply, "X-Forwarded-For: 127.0.0.1\r\n");

	(void)state;
	assert_non_null(first);
	assert_non_null(second);
	assert_true(first < second);
	assert_non_null(strstr(reply, "X-Ours: yes\r\n"));
}

static void
a_number_of_a_request_is_whole_and_within_its_bounds(void **state)
{
	static const struct {
		const char *text;
		int64_t least;
		int64_t most;
		int rc;
		int64_t value;
	} cases[] = {
		{ "0", 0, 9, 0, 0 }, { "9", 0, 9, 0, 9 },
		{ "007", 0, 9, 0, 7 }, { "-3", -3, 0, 0, -3 },
		{ "10", 0, 9, -ERANGE, 1 }, { "-1", 0, 9, -ERANGE, 1 },
		{ "9223372036854775807", 0, INT64_MAX, 0, INT64_MAX },
		{ "-9223372036854775808", INT64_MIN, 0, 0, INT64_MIN },
		{ "9223372036854775808", INT64_MIN, INT64_MAX, -ERANGE, 1 },
		{ "-9223372036854775809", INT64_MIN, INT64_MAX, -ERANGE, 1 },
		{ "99999999999999999999x", 0, 9, -EINVAL, 1 },
		{ "", 0, 9, -EINVAL, 1 }, { "-", -9, 9, -EINVAL, 1 },
		{ "+1", 0, 9, -EINVAL, 1 }, { " 1", 0, 9, -EINVAL, 1 },
		{ "1 ", 0, 9, -EINVAL, 1 }, { "0x1", 0, 9, -EINVAL, 1 },
		{ "1.0", 0, 9, -EINVAL, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t value = 1;

		assert_int_equal(torc_slice_int(torc_http_text(cases[i].text),
		    cases[i].least, cases[i].most, &value), cases[i].rc);
		assert_true(value == cases[i].value);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    what_no_route_answers_has_a_handler_of_its_own),
		cmocka_unit_test(
		    an_origin_is_told_who_has_asked_behind_what_others_say),
		cmocka_unit_test(
		    a_number_of_a_request_is_whole_and_within_its_bounds),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
