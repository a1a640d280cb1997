/* SPDX-License-Identifier: MIT */
/*
 * test_http_carrier.c - what a handler of a service does with its request
 * besides answering it, without a look at what carries it: it forwards it,
 * takes its bytes over, says something before the answer.
 *
 * wrap: torc_sys_alloc
 * wrap: torc_sys_free
 */
#include "conn/http/torc_service.h"

#include "tests/http/origin.h"
#include "tests/seam.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/sys.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HOST "Host: a\r\n"
#define UPGRADE "Connection: upgrade\r\nUpgrade: "

/* ---- Memory that is marked by its size ---- */

#define MARKED 77777u

static void *marked;		/* the last that was taken */
static atomic_uint marked_count;	/* that are not given back */

void *
__wrap_torc_sys_alloc(size_t size)
{
	void *memory = __real_torc_sys_alloc(size);

	if (memory != NULL && size >= MARKED && size < MARKED + 64) {
		marked = memory;
		atomic_fetch_add(&marked_count, 1);
	}
	return memory;
}

void
__wrap_torc_sys_free(void *memory)
{
	if (memory != NULL && memory == marked) {
		marked = NULL;
		atomic_fetch_sub(&marked_count, 1);
	}
	__real_torc_sys_free(memory);
}

/* ---- What the observer was told ---- */

static atomic_uint ends;
static pthread_mutex_t told = PTHREAD_MUTEX_INITIALIZER;
static struct end {
	char target[64];
	unsigned status;
	int error;
} last_end;			/* locked by `told` */

static void
observe(struct torc_exchange *exchange,
    const struct torc_exchange_summary *what, void *arg)
{
	(void)arg;
	/* It may make its line there. */
	assert_non_null(torc_exchange_alloc(exchange, MARKED));
	pthread_mutex_lock(&told);
	snprintf(last_end.target, sizeof(last_end.target), "%.*s",
	    (int)what->target.size, (const char *)what->target.data);
	last_end.status = what->status;
	last_end.error = what->error;
	pthread_mutex_unlock(&told);
	atomic_fetch_add(&ends, 1);
}

/* ---- Handlers ---- */

static __attribute__((noinline)) void
use_the_stack(void)
{
	volatile uint8_t bytes[24 << 10];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = 'x';
}

static int
forward(struct torc_exchange *exchange, void *arg)
{
	const struct torc_http_forwarding how = {
		.via = "test",
		.key = torc_conn_key(torc_exchange_conn(exchange)),
	};
	const struct torc_slice *mine;
	int rc;

	(void)arg;
	rc = torc_exchange_forward(exchange, client, &how, TORC_NEVER);
	use_the_stack();
	mine = torc_exchange_field(exchange, "x-mine");
	assert_non_null(mine);
	assert_true(torc_http_equals(*mine, "still there"));
	return rc;
}

/* What was read of a body cannot be forwarded. */
static int
read_and_forward(struct torc_exchange *exchange, void *arg)
{
	const struct torc_http_forwarding how = { .via = "test" };
	struct torc_slice piece;
	int rc = torc_exchange_read(exchange, &piece, TORC_NEVER);

	(void)arg;
	return rc < 0 ? rc : torc_exchange_forward(exchange, client, &how,
	    TORC_NEVER);
}

/* Five bytes come back, behind a word that says who was asked. */
static int
take_over(struct torc_exchange *exchange, void *arg)
{
	struct torc_conn *conn = NULL;
	struct torc_slice in;
	int rc;

	(void)arg;
	assert_false(torc_exchange_wants(exchange, "four"));
	assert_int_equal(torc_exchange_take_over(exchange, "four", &conn,
	    TORC_NEVER), -EINVAL);
	assert_null(conn);
	if (!torc_exchange_wants(exchange, "five"))
		return torc_exchange_refuse(exchange, 426, NULL, TORC_NEVER);
	assert_int_equal(torc_exchange_add_field(exchange, "X-Said", "yes"),
	    0);
	rc = torc_exchange_take_over(exchange, "five", &conn, TORC_NEVER);
	if (rc < 0)
		return torc_exchange_refuse(exchange, 409, NULL, TORC_NEVER);
	assert_int_equal(torc_exchange_take_over(exchange, "five", &conn,
	    TORC_NEVER), -EINVAL);
	assert_int_equal(torc_exchange_status(exchange), 101);
	do
		rc = torc_conn_recv(conn, &in, torc_after_ms(5000));
	while (rc > 0 && rc < 5);
	return rc < 0 ? rc : torc_conn_write(conn, in.data, in.size,
	    TORC_NEVER);
}

/* A hint, then the trailer of the request. */
static int
hint(struct torc_exchange *exchange, void *arg)
{
	static const struct torc_http_field link = {
		{ (const uint8_t *)"Link", 4 },
		{ (const uint8_t *)"</a.css>", 8 },
	};
	const struct torc_slice *sum;
	struct torc_slice body;
	int rc;

	(void)arg;
	assert_int_equal(torc_exchange_inform(exchange, 101, &link, 1,
	    TORC_NEVER), -EINVAL);
	rc = torc_exchange_inform(exchange, 103, &link, 1, TORC_NEVER);
	if (rc == 0)
		rc = torc_exchange_body(exchange, &body, TORC_NEVER);
	if (rc < 0)
		return rc;
	sum = torc_exchange_trailer(exchange, "x-sum");
	assert_null(torc_exchange_trailer(exchange, "x-other"));
	return torc_exchange_textf(exchange, 200, "%.*s %.*s", TORC_NEVER,
	    (int)body.size, (const char *)body.data,
	    sum == NULL ? 4 : (int)sum->size,
	    sum == NULL ? "none" : (const char *)sum->data);
}

static int
tell_connection(struct torc_exchange *exchange, void *arg)
{
	const struct torc_conn *conn = torc_exchange_conn(exchange);
	char peer[128], same[128];

	(void)arg;
	assert_int_equal(torc_conn_peer_address(conn, peer, sizeof(peer)), 0);
	assert_int_equal(torc_exchange_peer(exchange, same, sizeof(same)), 0);
	assert_string_equal(peer, same);
	return torc_exchange_textf(exchange, 200, "%d %u %d", TORC_NEVER,
	    torc_conn_listener(conn), torc_conn_port(conn),
	    torc_conn_key(conn) != 0);
}

/* Whether a writer of heads takes a field that frames nothing. */
static bool
is_written(const char *name, const char *value)
{
	uint8_t bytes[256];
	struct torc_http_writer writer = { bytes, sizeof(bytes), 0, 0 };

	torc_http_put(&writer, name, value);
	return writer.error == 0;
}

static int
add_fields(struct torc_exchange *exchange, void *arg)
{
	char text[2] = "", name[3] = "X", value[16];

	(void)arg;
	for (unsigned c = 1; c < 256; c++) {
		text[0] = name[1] = (char)c;
		snprintf(value, sizeof(value), "12345678%c", (char)c);
		assert_int_equal(torc_exchange_add_field(exchange, "A", text)
		    != -EINVAL, is_written("A", text));
		assert_int_equal(torc_exchange_add_field(exchange, "A", value)
		    != -EINVAL, is_written("A", value));
		assert_int_equal(torc_exchange_add_field(exchange, name, "v")
		    != -EINVAL, is_written(name, "v"));
	}
	assert_int_equal(torc_exchange_add_field(exchange, "", "v"), -EINVAL);
	assert_false(is_written("", "v"));
	return torc_exchange_text(exchange, 200, "few", TORC_NEVER);
}

/* All that there may be of them. */
static int
add_large(struct torc_exchange *exchange, void *arg)
{
	static char large[TORC_EXCHANGE_FIELDS_SIZE];

	(void)arg;
	memset(large, 'v', sizeof(large) - 1);
	assert_int_equal(torc_exchange_add_field(exchange, "BB", large),
	    -E2BIG);
	assert_int_equal(torc_exchange_add_field(exchange, "B", large), 0);
	assert_int_equal(torc_exchange_add_field(exchange, "C", ""), -E2BIG);
	return torc_exchange_text(exchange, 200, "large", TORC_NEVER);
}

static atomic_uint handled;

static int
count_call(struct torc_exchange *exchange, void *arg)
{
	(void)arg;
	atomic_fetch_add(&handled, 1);
	return torc_exchange_text(exchange, 200, "in", TORC_NEVER);
}

static int
go_on_twice(struct torc_exchange *exchange, void *arg)
{
	const int rc = torc_exchange_next(exchange);

	(void)arg;
	assert_int_equal(torc_exchange_next(exchange), -EINVAL);
	return rc;
}

static int
let_in(struct torc_exchange *exchange, void *arg)
{
	(void)arg;
	return torc_exchange_query(exchange).size > 0 ?
	    torc_exchange_next(exchange) :
	    torc_exchange_refuse(exchange, 401, NULL, TORC_NEVER);
}

/* The first line of a request comes back. */
static bool
give_first_line(int fd, unsigned nth, const char *head)
{
	const size_t size = strcspn(head, "\r");
	char text[256];

	(void)nth;
	snprintf(text, sizeof(text), OK CL "%zu\r\n\r\n%.*s", size, (int)size,
	    head);
	say(fd, text);
	return false;
}

/* ---- The service ---- */

static struct torc_service *service;

static int
handle(struct torc_conn *conn, void *arg)
{
	(void)arg;
	return torc_service_handle(conn, service);
}

static int
set_up(void **state)
{
	static const struct torc_service_config of = { .observer = observe };
	struct torc_routes *inner, *routes;

	(void)state;
	assert_int_equal(torc_routes_create(&routes), 0);
	torc_routes_add(routes, "*", "/forward/{rest...}", forward, NULL);
	torc_routes_add(routes, "*", "/read", read_and_forward, NULL);
	torc_routes_add(routes, "*", "/over", take_over, NULL);
	torc_routes_add(routes, "POST", "/hint", hint, NULL);
	torc_routes_add(routes, "GET", "/fields", add_fields, NULL);
	inner = torc_routes_group(routes, "/inner");
	torc_routes_around(inner, go_on_twice, NULL);
	torc_routes_around(inner, let_in, NULL);
	torc_routes_add(inner, "GET", "/call", count_call, NULL);
	torc_routes_add(routes, "GET", "/large", add_large, NULL);
	torc_routes_add(routes, "GET", "/connection", tell_connection, NULL);
	assert_int_equal(torc_service_create(&service, routes, &of, NULL), 0);
	torc_routes_destroy(routes);
	origin_scene(give_first_line, handle, NULL);
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
	static char reply[1 << 17];
	int fd = client_open(server.port);
	long got;

	atomic_store(&ends, 0);
	client_send(fd, request, strlen(request));
	shutdown(fd, SHUT_WR);
	got = client_read_all(fd, reply, sizeof(reply) - 1);
	assert_true(got >= 0);
	reply[got] = '\0';
	close(fd);
	return reply;
}

static void
assert_end(const char *target, unsigned status)
{
	struct end end;

	await(&ends, 1);
	pthread_mutex_lock(&told);
	end = last_end;
	pthread_mutex_unlock(&told);
	assert_string_equal(end.target, target);
	assert_int_equal(end.status, status);
	assert_int_equal(end.error, 0);
}

static void
a_request_that_was_forwarded_is_known_until_its_end(void **state)
{
	const char *reply;
	char long_one[6000];

	(void)state;
	reply = ask("GET /forward/a?b HTTP/1.1\r\n" HOST
	    "X-Mine: still there\r\n\r\n");
	assert_non_null(strstr(reply, "\r\n\r\nGET /forward/a?b HTTP/1.1"));
	assert_end("/forward/a?b", 200);
	/* With a body, and with a head that is larger. */
	reply = ask("PUT /forward/c HTTP/1.1\r\n" HOST CL "5\r\n"
	    "X-Mine: still there\r\n\r\nhello");
	assert_non_null(strstr(reply, "PUT /forward/c HTTP/1.1"));
	assert_end("/forward/c", 200);
	snprintf(long_one, sizeof(long_one), "GET /forward/d HTTP/1.1\r\n"
	    HOST "X-Mine: still there\r\nX-Long: %05000d\r\n\r\n", 1);
	reply = ask(long_one);
	assert_non_null(strstr(reply, "GET /forward/d HTTP/1.1"));
	assert_end("/forward/d", 200);
}

static void
a_body_that_was_read_is_not_forwarded_without_its_beginning(void **state)
{
	const unsigned asked = atomic_load(&origin.requests);

	(void)state;
	assert_non_null(strstr(ask("PUT /read HTTP/1.1\r\n" HOST CL
	    "5\r\n\r\nhello"), " 500 "));
	assert_int_equal(atomic_load(&origin.requests), asked);
	assert_non_null(strstr(ask("GET /read HTTP/1.1\r\n" HOST "\r\n"),
	    "\r\n\r\nGET /read HTTP/1.1"));
}

static void
a_request_is_taken_over_if_it_asks_for_the_protocol(void **state)
{
	static const char accepted[] = "HTTP/1.1 101 Switching Protocols\r\n"
	    "X-Said: yes\r\nUpgrade: five\r\nConnection: upgrade\r\n\r\n"
	    "FRAME";
	static const char *const refused[] = {
		"GET /over HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
		"GET /over HTTP/1.1\r\n" HOST "Upgrade: five\r\n"
		    "Connection: close\r\n\r\n",
		"GET /over HTTP/1.1\r\n" HOST UPGRADE "six\r\n\r\n",
		"GET /over HTTP/1.0\r\n" UPGRADE "five\r\n\r\n",
	};

	(void)state;
	assert_string_equal(ask("GET /over HTTP/1.1\r\n" HOST UPGRADE
	    "five\r\n\r\nFRAME"), accepted);
	assert_end("/over", 101);
	assert_string_equal(ask("GET /over HTTP/1.1\r\n" HOST UPGRADE
	    "six, FIVE\r\n\r\nFRAME"), accepted);
	for (size_t i = 0; i < COUNT(refused); i++)
		assert_non_null(strstr(ask(refused[i]), " 426 "));
	/* Its body would be taken for bytes of the protocol. */
	assert_non_null(strstr(ask("POST /over HTTP/1.1\r\n" HOST UPGRADE
	    "five\r\n" CL "5\r\n\r\nhello"), " 409 "));
}

static void
hints_come_before_the_answer_and_trailers_behind_the_body(void **state)
{
	(void)state;
	assert_non_null(strstr(ask("POST /hint HTTP/1.1\r\n" HOST CHUNKED
	    "\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n"),
	    "\r\n\r\nhello 42"));
	assert_non_null(strstr(ask("POST /hint HTTP/1.1\r\n" HOST CL
	    "5\r\n\r\nhello"), "HTTP/1.1 103 Early Hints\r\n"
	    "Link: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n"));
	assert_null(strstr(ask("POST /hint HTTP/1.0\r\n" CL
	    "5\r\n\r\nhello"), " 103 "));
}

static void
the_connection_of_an_exchange_can_be_asked_what_it_is(void **state)
{
	char wanted[64];

	(void)state;
	snprintf(wanted, sizeof(wanted), "\r\n\r\n0 %u 1", server.port);
	assert_non_null(strstr(ask("GET /connection HTTP/1.1\r\n" HOST
	    "\r\n"), wanted));
}

static void
fields_that_can_be_added_can_be_sent_and_no_others(void **state)
{
	const char *reply;

	(void)state;
	assert_non_null(strstr(ask("GET /fields HTTP/1.1\r\n" HOST "\r\n"),
	    "\r\n\r\nfew"));
	reply = ask("GET /large HTTP/1.1\r\n" HOST "\r\n");
	assert_non_null(strstr(reply, "\r\n\r\nlarge"));
	assert_true(strlen(reply) > TORC_EXCHANGE_FIELDS_SIZE);
}

static void
whoever_goes_on_twice_does_not_get_past_those_that_refuse(void **state)
{
	(void)state;
	assert_non_null(strstr(ask("GET /inner/call HTTP/1.1\r\n" HOST
	    "\r\n"), " 401 "));
	assert_int_equal(atomic_load(&handled), 0);
	assert_non_null(strstr(ask("GET /inner/call?me HTTP/1.1\r\n" HOST
	    "\r\n"), " 200 "));
	assert_int_equal(atomic_load(&handled), 1);
}

/* Requests that cannot be read cost a peer nothing. */
static void
what_an_observer_took_is_given_back_for_refused_requests_too(void **state)
{
	(void)state;
	assert_non_null(strstr(ask("GET / HTTP/1.1\r\n" HOST "\r\n"),
	    " 404 "));
	await(&marked_count, 0);
	assert_non_null(strstr(ask("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
	    " 400 "));
	await(&ends, 1);
	await(&marked_count, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_request_that_was_forwarded_is_known_until_its_end),
		cmocka_unit_test(
		    a_body_that_was_read_is_not_forwarded_without_its_beginning),
		cmocka_unit_test(
		    a_request_is_taken_over_if_it_asks_for_the_protocol),
		cmocka_unit_test(
		    hints_come_before_the_answer_and_trailers_behind_the_body),
		cmocka_unit_test(
		    the_connection_of_an_exchange_can_be_asked_what_it_is),
		cmocka_unit_test(
		    fields_that_can_be_added_can_be_sent_and_no_others),
		cmocka_unit_test(
		    whoever_goes_on_twice_does_not_get_past_those_that_refuse),
		cmocka_unit_test(
		    what_an_observer_took_is_given_back_for_refused_requests_too),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
