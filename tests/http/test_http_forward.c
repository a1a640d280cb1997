/* SPDX-License-Identifier: MIT */
/*
 * test_http_forward.c - requests that are forwarded to an origin which does
 * what the test says. tests/tools/proxy.sh has what goes well.
 *
 * wrap: torc_sys_alloc_raw
 */
#include "tests/http/origin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn/http/spool.h"
#include "tests/seam.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool tight;	/* the server's sockets take little unsent */
static struct torc_http_config server_config = { .no_date = true };

static _Atomic size_t starved;	/* an allocation of this size fails; or 0 */
static _Atomic int result_of_last;	/* what the last forward returned */

void *
__wrap_torc_sys_alloc_raw(size_t size)
{
	return starved != 0 && size == starved ? NULL :
	    __real_torc_sys_alloc_raw(size);
}

static int
forward(struct torc_conn *conn, void *arg)
{
	const struct torc_http_field added = {
		torc_http_text("X-Forwarded-For"), torc_http_text("here"),
	};
	/* So that answers can be compared as they are. */
	const struct torc_http_forwarding forwarding = {
		.via = "test", .added = &added, .added_count = 1,
		.key = torc_conn_key(conn),
	};
	struct torc_http http;
	const int little = 1;

	(void)arg;
	if (tight)
		setsockopt(torc_conn_fd(conn), SOL_SOCKET, SO_SNDBUF, &little,
		    sizeof(little));
	torc_http_init(&http, conn, &server_config);
	while (torc_http_recv(&http, TORC_NEVER) > 0)
		result_of_last = torc_http_forward(&http, client, &forwarding,
		    TORC_NEVER);
	return torc_http_result(&http);
}

static void
start(script *what, torc_handler *handler)
{
	origin_scene(what, handler, NULL);
}

static void
stop(void)
{
	origin_scene_end();
}

/* What the proxy answers to a request without its body. */
static const char *
get_through(int fd, const char *request)
{
	static char reply[4096];
	ssize_t got;

	client_send(fd, request, strlen(request));
	do {
		got = recv(fd, reply, sizeof(reply) - 1, 0);
	} while (got < 0 && errno == EINTR);
	assert_true(got > 0);
	reply[got] = '\0';
	return reply;
}

static bool
give_whole_head(int fd, unsigned nth, const char *head)
{
	char text[8400];

	(void)nth;
	if (strncmp(head, "GET /bad", 8) == 0) {
		say(fd, "HTTP/1.1 OK\r\n\r\n");
		return false;
	}
	snprintf(text, sizeof(text), OK "Connection: x-ours\r\nX-Ours: 1\r\n"
	    "Keep-Alive: 5\r\nVia: 1.0 old\r\n" CL "%zu\r\n\r\n%s",
	    strlen(head), head);
	say(fd, text);
	return true;
}

static void
what_is_forwarded_has_the_fields_of_its_hop_and_no_others(void **state)
{
	int fd;

	(void)state;
	start(give_whole_head, forward);
	fd = client_open(server.port);
	assert_string_equal(get_through(fd, "GET http://b/x HTTP/1.1\r\n"
	    "Host: b\r\nTE: gzip\r\nConnection: x-mine\r\nX-Mine: 1\r\n"
	    "X-Forwarded-For: there\r\nUpgrade: h2c\r\n\r\n"),
	    OK "Via: 1.0 old\r\nVia: 1.1 test\r\n" CL "90\r\n\r\n"
	    "GET /x HTTP/1.1\r\nX-Forwarded-For: there\r\n"
	    "Via: 1.1 test\r\nX-Forwarded-For: here\r\nHost: b\r\n\r\n");
	/* An empty path is "/", and all of a server is "*". */
	assert_non_null(strstr(get_through(fd, "GET http://b?x=1 HTTP/1.1\r\n"
	    "Host: b\r\n\r\n"), "\nGET /?x=1 HTTP/1.1\r\n"));
	assert_non_null(strstr(get_through(fd, "GET http://b HTTP/1.1\r\n"
	    "Host: b\r\n\r\n"), "\nGET / HTTP/1.1\r\n"));
	assert_non_null(strstr(get_through(fd, "OPTIONS http://b HTTP/1.1\r\n"
	    "Host: b\r\n\r\n"), "\nOPTIONS * HTTP/1.1\r\n"));
	assert_string_equal(get_through(fd,
	    "GET /bad HTTP/1.1\r\nHost: a\r\n\r\n"),
	    "HTTP/1.1 502 Bad Gateway\r\n" CL "0\r\n\r\n");
	/* The connection to the client is none the worse. */
	assert_non_null(strstr(get_through(fd,
	    "GET /y HTTP/1.1\r\nHost: a\r\n\r\n"), "GET /y HTTP/1.1"));
	close(fd);
	stop();
}

static void
a_large_head_without_memory_is_an_error_and_not_only_for_the_client(
    void **state)
{
	char request[6000];
	int fd, size;

	(void)state;
	start(give_whole_head, forward);
	fd = client_open(server.port);
	size = snprintf(request, sizeof(request),
	    "GET / HTTP/1.1\r\nHost: a\r\nX: %05000d\r\n\r\n", 0);
	starved = (size_t)size;
	assert_string_equal(get_through(fd, request),
	    "HTTP/1.1 503 Service Unavailable\r\n" CL "0\r\n\r\n");
	starved = 0;
	/* It returns before the next request is read. */
	assert_non_null(strstr(get_through(fd, "BREW / HTTP/1.1\r\n\r\n"),
	    " 400 "));
	assert_int_equal(result_of_last, -ENOMEM);
	close(fd);
	stop();
}

static bool
give_old_head(int fd, unsigned nth, const char *head)
{
	char text[8400];

	(void)nth;
	snprintf(text, sizeof(text), "HTTP/1.%c 200 OK\r\n" CL "%zu\r\n\r\n%s",
	    strncmp(head, "GET /old", 8) == 0 ? '0' : '1', strlen(head),
	    head);
	say(fd, text);
	return true;
}

/* RFC 9110, 7.6.3 */
static void
via_has_the_version_of_the_message(void **state)
{
	const char *reply;
	int fd;

	(void)state;
	start(give_old_head, forward);
	fd = client_open(server.port);
	reply = get_through(fd, "GET /new HTTP/1.0\r\nHost: a\r\n"
	    "Connection: keep-alive\r\n\r\n");
	assert_non_null(strstr(reply, "\nVia: 1.1 test\r\n" CL));
	assert_non_null(strstr(reply, "\nVia: 1.0 test\r\nX-Forwarded"));
	reply = get_through(fd, "GET /old HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_non_null(strstr(reply, "\nVia: 1.0 test\r\n" CL));
	assert_non_null(strstr(reply, "\nVia: 1.1 test\r\nX-Forwarded"));
	close(fd);
	stop();
}

static const struct hops {
	const char *request;
	const char *reply;	/* a part of it */
	bool forwarded;
} hops[] = {
	{ "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 5\r\n\r\n",
	    "\nMax-Forwards: 4\r\n", true },
	{ "TRACE / HTTP/1.1\r\nHost: a\r\nmax-forwards: 1\r\n\r\n",
	    "\nmax-forwards: 0\r\n", true },
	{ "GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
	    "\nMax-Forwards: 0\r\n", true },
	{ "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: "
	    "99999999999999999999\r\n\r\n", "\nMax-Forwards: ", true },
	{ "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
	    "HTTP/1.1 200 OK\r\n", false },
	{ "TRACE /x HTTP/1.1\r\nHost: a\r\nMax-Forwards: 00\r\nX: 1\r\n"
	    "Cookie: a=b\r\n\r\n", "\r\n\r\nTRACE /x HTTP/1.1\r\n"
	    "Host: a\r\nMax-Forwards: 00\r\nX: 1\r\n\r\n", false },
	{ "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: -1\r\n\r\n",
	    "HTTP/1.1 400 ", false },
	{ "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\n"
	    "Max-Forwards: 1\r\n\r\n", "HTTP/1.1 400 ", false },
};

/* RFC 9110, 7.6.2 */
static void
hops_are_counted_down_and_the_last_one_answers(void **state)
{
	unsigned forwarded = 0;
	int fd;

	(void)state;
	start(give_head, forward);
	fd = client_open(server.port);
	for (size_t i = 0; i < COUNT(hops); i++) {
		const char *reply = get_through(fd, hops[i].request);

		if (strstr(reply, hops[i].reply) == NULL)
			fail_msg("%s: %s", hops[i].request, reply);
		forwarded += hops[i].forwarded;
		assert_int_equal(atomic_load(&origin.requests), forwarded);
	}
	close(fd);
	stop();
}

/* A request in which Connection lists so many names, in two cases. */
static void
write_named(char *request, unsigned names)
{
	request += sprintf(request, "GET / HTTP/1.1\r\nHost: a\r\nB: kept\r\n"
	    "Connection: ");
	for (unsigned i = 0; i < names; i++)
		request += sprintf(request, "%c%u, ,", i % 2 == 0 ? 'x' : 'X',
		    i);
	request += sprintf(request, "\r\nConnection: close\r\n");
	/* One more than there are names, and each of them twice. */
	for (unsigned i = 0; i <= names; i++)
		request += sprintf(request,
		    "X%u: 1\r\nx%u: 2\r\nX%ukept: 3\r\n", i, i, i);
	sprintf(request, "\r\n");
}

static void
assert_named_are_gone(const char *reply, unsigned names)
{
	char name[32];

	assert_non_null(strstr(reply, "B: kept"));
	for (unsigned i = 0; i < names; i++) {
		sprintf(name, "X%u: ", i);
		assert_null(strcasestr(reply, name));
		sprintf(name, "X%ukept: 3", i);
		assert_non_null(strstr(reply, name));
	}
	sprintf(name, "X%u: 1\r\nx%u: 2", names, names);
	assert_non_null(strstr(reply, name));
}

static void
fields_that_connection_names_stay_behind_be_they_few_or_many(void **state)
{
	static const unsigned counts[] = { 1, 2, 8, 9, 40 };
	static char request[8192], reply[8192];

	(void)state;
	start(give_whole_head, forward);
	for (size_t i = 0; i < COUNT(counts); i++) {
		int fd = client_open(server.port);
		long got;

		write_named(request, counts[i]);
		client_send(fd, request, strlen(request));
		got = client_read_all(fd, reply, sizeof(reply) - 1);
		assert_true(got > 0);
		reply[got] = '\0';
		assert_named_are_gone(reply, counts[i]);
		close(fd);
	}
	stop();
}

/* The body as it comes on the wire, in a body of that size. */
static bool
give_body_on_the_wire(int fd, unsigned nth, const char *head)
{
	static char wire[1u << 20];
	size_t size = 0;
	char line[64];

	(void)nth;
	(void)head;
	while (size < 5 || memcmp(wire + size - 5, "0\r\n\r\n", 5) != 0) {
		ssize_t got = recv(fd, wire + size, sizeof(wire) - size, 0);

		if (got <= 0)
			return false;
		size += (size_t)got;
	}
	snprintf(line, sizeof(line), OK CL "7\r\n\r\n%07zu", size);
	say(fd, line);
	return true;
}

/* 50,000 bytes, which are 300,000 on the wire, and were as many behind it. */
static void
chunks_of_one_byte_are_forwarded_in_few_large_ones(void **state)
{
	static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\n" CHUNKED
	    "\r\n";
	static char body[300005];
	char reply[512] = "";
	const char *size;
	int fd;

	(void)state;
	start(give_body_on_the_wire, forward);
	for (unsigned i = 0; i < 50000; i++)
		memcpy(body + i * 6, "1\r\na\r\n", 6);
	memcpy(body + 300000, "0\r\n\r\n", 5);
	fd = client_open(server.port);
	client_send(fd, head, strlen(head));
	client_send(fd, body, sizeof(body));
	size = get_through(fd, "");
	snprintf(reply, sizeof(reply), "%s", size);
	size = strstr(reply, "\r\n\r\n");
	assert_non_null(size);
	assert_in_range(strtoul(size + 4, NULL, 10), 50000, 60000);
	close(fd);
	stop();
}

/* It says whether it wants the body. */
static bool
ask_for_body(int fd, unsigned nth, const char *head)
{
	if (strstr(head, "Expect: 100-continue\r\n") == NULL)
		return count_body(fd, nth, head);
	atomic_fetch_add(&origin.said, 1);
	if (strncmp(head, "PUT", 3) == 0) {
		say(fd, "HTTP/1.1 417 No\r\n" CL "0\r\n\r\n");
		return false;
	}
	pause_ms(50);
	say(fd, "HTTP/1.1 100 Continue\r\n\r\n");
	return count_body(fd, nth, head);
}

static void
assert_read(int fd, const char *want)
{
	char got[512];

	assert_true(strlen(want) < sizeof(got));
	memset(got, 0, sizeof(got));
	assert_true(client_read(fd, got, strlen(want)));
	assert_string_equal(got, want);
}

#define GO_ON "HTTP/1.1 100 Continue\r\nVia: 1.1 test\r\n\r\n"
#define FIVE OK "Via: 1.1 test\r\n" CL "1\r\n\r\n5"

/*
 * What comes when `head` is sent, and the origin has said so much; only then
 * the body, and its answer.
 */
static void
assert_asked_for_body(int fd, const char *head, const char *come,
    unsigned said, const char *body)
{
	client_send(fd, head, strlen(head));
	assert_read(fd, come);
	assert_int_equal(atomic_load(&origin.said), said);
	client_send(fd, body, strlen(body));
	assert_read(fd, FIVE);
}

#define EXPECT_FIVE "5\r\nExpect: 100-continue\r\n\r\n"

/* A client that waits for 100 sends nothing before it. */
static void
the_origin_says_whether_a_body_is_wanted_and_nobody_else(void **state)
{
	static const char post[] = "POST / HTTP/1.1\r\nHost: a\r\n" CL
	    EXPECT_FIVE;
	static const char put[] = "PUT / HTTP/1.1\r\nHost: a\r\n" CL
	    EXPECT_FIVE;
	char whole[256], reply[512];
	long got;
	int fd;

	(void)state;
	start(ask_for_body, forward);
	fd = client_open(server.port);
	assert_asked_for_body(fd, post, GO_ON, 1, "hello");
	assert_asked_for_body(fd, "POST / HTTP/1.1\r\nHost: a\r\n" CHUNKED
	    "Expect: 100-continue\r\n\r\n", GO_ON, 2,
	    "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n");
	/* Behind the answer to a request that came along with it. */
	assert_asked_for_body(fd, "POST / HTTP/1.1\r\nHost: a\r\n" CL
	    "5\r\n\r\nhello" "POST / HTTP/1.1\r\nHost: a\r\n" CL
	    EXPECT_FIVE, FIVE GO_ON, 3, "hello");
	/* One that came along needs no 100, and the origin is not asked. */
	snprintf(whole, sizeof(whole), "%shello", post);
	client_send(fd, whole, strlen(whole));
	assert_read(fd, FIVE);
	assert_int_equal(atomic_load(&origin.said), 3);
	/* It is not wanted. */
	client_send(fd, put, strlen(put));
	got = client_read_all(fd, reply, sizeof(reply) - 1);
	assert_true(got > 0);
	reply[got] = '\0';
	assert_ptr_equal(strstr(reply, "HTTP/1.1 417 "), reply);
	assert_null(strstr(reply, "100"));
	close(fd);
	stop();
}

/* Nobody would take it; what follows might be it or not. */
static void
a_body_for_a_dead_origin_is_not_asked_for(void **state)
{
	static const char post[] = "POST / HTTP/1.1\r\nHost: a\r\n" CL
	    "5\r\nExpect: 100-continue\r\n\r\n";
	char reply[512];
	long got;
	int fd;

	(void)state;
	start(ask_for_body, forward);
	shutdown(origin.fd, SHUT_RDWR);
	fd = client_open(server.port);
	client_send(fd, post, sizeof(post) - 1);
	got = client_read_all(fd, reply, sizeof(reply) - 1);
	assert_true(got > 0);
	reply[got] = '\0';
	assert_string_equal(reply, "HTTP/1.1 503 Service Unavailable\r\n" CL
	    "0\r\nConnection: close\r\n\r\n");
	close(fd);
	stop();
}

/* An answer before the request's body, with more than a socket takes. */
static bool
answer_with_large_head(int fd, unsigned nth, const char *head)
{
	static char value[60001];

	(void)nth;
	(void)head;
	memset(value, 'v', sizeof(value) - 1);
	say(fd, OK "X: ");
	say(fd, value);
	say(fd, "\r\n" CL "0\r\n\r\n");
	atomic_fetch_add(&origin.said, 1);
	await_end(fd);
	return false;
}

/* A connection to the server that takes next to nothing unread. */
static int
open_small(void)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)server.port),
	};
	const int little = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
	assert_int_equal(connect(fd, (const struct sockaddr *)&address,
	    sizeof(address)), 0);
	return fd;
}

/* Who reads no answer, and ends in the middle of the body. */
static void
a_client_that_ends_while_it_is_answered_is_not_answered_twice(void **state)
{
	static const char post[] = "POST / HTTP/1.1\r\nHost: a\r\n" CL
	    "10\r\n\r\n12345";
	int fd;

	(void)state;
	tight = true;
	start(answer_with_large_head, forward);
	server_fiber(&server, end_client, NULL);
	config.head_max = 65536;
	server_call(&server, make_client, &config);
	fd = open_small();
	client_send(fd, post, sizeof(post) - 1);
	await(&origin.said, 1);
	pause_ms(200);		/* until the answer waits for us */
	shutdown(fd, SHUT_WR);
	assert_true(server_await_connections(&server, 0));
	close(fd);
	stop();
}

/* ---- Heads of 1xx ---- */

static bool
give_hints(int fd, unsigned nth, const char *head)
{
	(void)nth;
	if (strncmp(head, "GET /flood", 10) == 0) {
		for (unsigned i = 0; i < 100; i++)
			say(fd, "HTTP/1.1 103 Early Hints\r\nA: 1\r\n\r\n");
		await_end(fd);
		return false;
	}
	say(fd, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\n"
	    "X: 1\r\n\r\n");
	await(&origin.said, 1);
	say(fd, OK CL "2\r\n\r\nok");
	return true;
}

#define HINT "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nVia: 1.1 test\r\n\r\n"
#define LAST OK "Via: 1.1 test\r\n" CL "2\r\n"

/* RFC 9110, 15.2 */
static void
hints_go_on_before_the_answer_is_there(void **state)
{
	static const char old[] = "GET / HTTP/1.0\r\nHost: a\r\n\r\n";
	char reply[512];
	int fd;
	long got;

	(void)state;
	start(give_hints, forward);
	fd = client_open(server.port);
	client_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
	assert_read(fd, HINT);
	atomic_store(&origin.said, 1);
	assert_read(fd, LAST "\r\nok");
	close(fd);
	/* HTTP/1.0 knows none. */
	fd = client_open(server.port);
	client_send(fd, old, strlen(old));
	got = client_read_all(fd, reply, sizeof(reply) - 1);
	assert_true(got > 0);
	reply[got] = '\0';
	assert_string_equal(reply, LAST "Connection: close\r\n\r\nok");
	close(fd);
	stop();
}

static void
a_flood_of_hints_is_no_answer(void **state)
{
	int fd;

	(void)state;
	start(give_hints, forward);
	fd = client_open(server.port);
	client_send(fd, "GET /flood HTTP/1.1\r\nHost: a\r\n\r\n", 32);
	for (unsigned i = 0; i < 100; i++) {
		char line[64];

		memset(line, 0, sizeof(line));
		assert_true(client_read(fd, line, 12));
		if (strcmp(line, "HTTP/1.1 502") == 0)
			break;
		assert_string_equal(line, "HTTP/1.1 103");
		assert_true(i < 16);
		while (strstr(line, "\r\n\r\n") == NULL) {
			memmove(line, line + 1, sizeof(line) - 1);
			assert_true(client_read(fd, line + 11, 1));
			line[12] = '\0';
		}
	}
	close(fd);
	stop();
}

/* ---- Clients that are slow, or leave ---- */

static void
one_at_a_time(struct torc_http_client_config *changed)
{
	changed->connections = 1;
	changed->gather_ms = TORC_NO_LIMIT;
	changed->half_close_ms = 50;
}

static void
make_with(struct torc_http_client_config changed)
{
	server_fiber(&server, end_client, NULL);
	config = changed;
	server_call(&server, make_client, &config);
	assert_non_null(client);
}

/* Requests for /slow are answered never, and for /stream in part. */
static bool
think(int fd, unsigned nth, const char *head)
{
	(void)nth;
	if (strstr(head, " /slow ") != NULL) {
		await_end(fd);
		return false;
	}
	if (strstr(head, " /stream ") != NULL) {
		say(fd, OK CHUNKED "\r\n2\r\nok\r\n");
		await_end(fd);
		return false;
	}
	say(fd, OK CL "2\r\n\r\nok");
	return true;
}

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

static void
assert_served(void)
{
	int fd = client_open(server.port);

	assert_non_null(strstr(get_through(fd, GET("/")), "\r\n\r\nok"));
	close(fd);
}

static void
uploads_that_stall_hold_no_connection_to_the_origin(void **state)
{
	static const char part[] = "POST / HTTP/1.1\r\nHost: a\r\n" CL
	    "6\r\n\r\nhel";
	int fds[20];

	(void)state;
	origin_scene(count_body, forward, one_at_a_time);
	for (size_t i = 0; i < COUNT(fds); i++) {
		fds[i] = client_open(server.port);
		client_send(fds[i], part, sizeof(part) - 1);
	}
	assert_true(server_await_connections(&server, COUNT(fds)));
	server_counters(&server);
	assert_int_equal(atomic_load(&origin.connections), 0);
	for (size_t i = 0; i < COUNT(fds); i++) {
		assert_non_null(strstr(get_through(fds[i], "lo!"),
		    CL "1\r\n\r\n6"));
		close(fds[i]);
	}
	assert_int_equal(atomic_load(&origin.connections), 1);
	stop();
}

/* They are begun soon, while fewer than half of the places are taken. */
static void
an_upload_that_stalls_is_begun_and_set_aside(void **state)
{
	static const char part[] = "POST / HTTP/1.1\r\nHost: a\r\n" CL
	    "6\r\n\r\nhel";
	struct torc_http_client_config changed;
	int fds[5];

	(void)state;
	origin_scene(count_body, forward, one_at_a_time);
	changed = config;
	changed.gather_ms = 20;
	changed.aside_max = 8;
	make_with(changed);
	for (unsigned i = 0; i < COUNT(fds); i++) {
		fds[i] = client_open(server.port);
		client_send(fds[i], part, sizeof(part) - 1);
		/* One after the other, whatever the machine does. */
		await(&origin.requests, i < 4 ? i + 1 : 4);
	}
	/* Half of the places are left to requests that are complete. */
	pause_ms(100);
	assert_int_equal(atomic_load(&origin.requests), 4);
	for (size_t i = 0; i < COUNT(fds); i++) {
		assert_non_null(strstr(get_through(fds[i], "lo!"),
		    CL "1\r\n\r\n6"));
		close(fds[i]);
	}
	stop();
}

/* Leave, while three others queue behind, which leave first. */
static void
leave_with_others(const char *request)
{
	int fd = client_open(server.port), queued[3];
	const unsigned before = atomic_load(&origin.requests);

	client_send(fd, request, strlen(request));
	await(&origin.requests, before + 1);
	for (size_t i = 0; i < COUNT(queued); i++) {
		queued[i] = client_open(server.port);
		client_send(queued[i], GET("/slow"), strlen(GET("/slow")));
	}
	assert_true(server_await_connections(&server, 5));
	server_counters(&server);
	for (size_t i = 0; i < COUNT(queued); i++)
		client_reset(queued[i]);
	assert_true(server_await_connections(&server, 2));
	client_reset(fd);
	await(&origin.alive, 0);
	/* Of those that queued, none was asked. */
	assert_int_equal(atomic_load(&origin.requests), before + 1);
	assert_true(server_await_connections(&server, 0));
}

static void
an_origin_is_let_go_when_its_client_is_reset(void **state)
{
	static const char upload[] = "POST /slow HTTP/1.1\r\nHost: a\r\n"
	    CHUNKED "\r\n2\r\nab\r\n";
	int fd;

	(void)state;
	origin_scene(think, forward, one_at_a_time);
	leave_with_others(GET("/slow"));
	leave_with_others(GET("/stream"));
	leave_with_others("POST /slow HTTP/1.1\r\nHost: a\r\n" CL
	    "2\r\n\r\nab");
	assert_served();
	/* In the middle of an upload. */
	config.gather_ms = 1;
	make_with(config);
	await(&origin.alive, 0);
	fd = client_open(server.port);
	client_send(fd, upload, sizeof(upload) - 1);
	await(&origin.alive, 1);
	client_reset(fd);
	await(&origin.alive, 0);
	stop();
}

static void
a_client_that_has_sent_fin_is_waited_for_a_while(void **state)
{
	char reply[256];
	long got;
	int fd;

	(void)state;
	origin_scene(think, forward, one_at_a_time);
	fd = client_open(server.port);
	client_send(fd, GET("/"), strlen(GET("/")));
	shutdown(fd, SHUT_WR);
	got = client_read_all(fd, reply, sizeof(reply) - 1);
	assert_true(got > 0);
	reply[got] = '\0';
	assert_non_null(strstr(reply, "\r\n\r\nok"));
	close(fd);
	/* An origin that says nothing is let go, before and in an answer. */
	for (unsigned i = 0; i < 2; i++) {
		const char *request = i == 0 ? GET("/slow") : GET("/stream");

		fd = client_open(server.port);
		client_send(fd, request, strlen(request));
		shutdown(fd, SHUT_WR);
		await(&origin.alive, 0);
		close(fd);
		assert_served();
		make_with(config);
		await(&origin.alive, 0);
	}
	stop();
}

#define LARGE 150000u

static bool
give_much(int fd, unsigned nth, const char *head)
{
	char body[LARGE];

	if (strstr(head, " /large ") == NULL)
		return think(fd, nth, head);
	stream_fill(7, 0, (uint8_t *)body, LARGE);
	say(fd, OK CL "150000\r\n\r\n");
	say_bytes(fd, body, LARGE);
	atomic_fetch_add(&origin.said, 1);
	return true;
}

/* All of an answer of give_much(). */
static void
assert_large(int fd)
{
	static char reply[LARGE + 512];
	size_t got = 0;
	const char *body;

	while ((body = strstr(reply, "\r\n\r\n")) == NULL || got <
	    (size_t)(body + 4 - reply) + LARGE) {
		ssize_t more = recv(fd, reply + got,
		    sizeof(reply) - 1 - got, 0);

		assert_true(more > 0);
		got += (size_t)more;
		if (body == NULL)
			reply[got] = '\0';
	}
	assert_true(stream_matches(7, 0, (const uint8_t *)body + 4, LARGE));
	memset(reply, 0, sizeof(reply));
}

static void
open_slow(int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		fds[i] = open_small();
		client_send(fds[i], GET("/large"), strlen(GET("/large")));
	}
}

static void
answers_that_are_not_read_are_kept_and_the_origin_let_go(void **state)
{
	int fds[5];

	(void)state;
	tight = true;
	origin_scene(give_much, forward, one_at_a_time);
	open_slow(fds, COUNT(fds));
	await(&origin.said, COUNT(fds));
	assert_served();
	assert_int_equal(atomic_load(&origin.connections), 1);
	for (size_t i = 0; i < COUNT(fds); i++) {
		assert_large(fds[i]);
		close(fds[i]);
	}
	stop();
	tight = false;
}

static void
read_stats(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	torc_http_client_stats_read(client, arg);
}

/* Until so many connections are rented, and so many of them set aside. */
static void
await_stats(unsigned rented, unsigned aside)
{
	struct torc_pool_stats stats = { .rented = UINT32_MAX };

	for (unsigned i = 0; i < 5000 && (stats.rented != rented ||
	    stats.aside != aside); i++) {
		pause_ms(2);
		server_call(&server, read_stats, &stats);
	}
	assert_int_equal(stats.rented, rented);
	assert_int_equal(stats.aside, aside);
}

static void
clients_that_pipeline_and_do_not_read_hold_no_connection(void **state)
{
	int fds[3];

	(void)state;
	tight = true;
	origin_scene(think, forward, one_at_a_time);
	for (size_t i = 0; i < COUNT(fds); i++) {
		fds[i] = open_small();
		for (unsigned j = 0; j < 2000; j++)
			client_send(fds[i], GET("/"), strlen(GET("/")));
	}
	/* They all come to the point at which they would have to wait. */
	for (unsigned before = 0; before != atomic_load(&origin.requests);) {
		before = atomic_load(&origin.requests);
		pause_ms(200);
	}
	assert_true(atomic_load(&origin.requests) < 3 * 2000);
	await_stats(0, 0);
	assert_served();
	for (size_t i = 0; i < COUNT(fds); i++)
		client_reset(fds[i]);
	await_stats(0, 0);
	stop();
	tight = false;
}

static void
keep_nothing(struct torc_http_client_config *changed)
{
	one_at_a_time(changed);
	changed->stream = true;
	changed->aside_max = 5;
}

static void
answers_that_are_not_read_and_not_kept_keep_nobody_waiting(void **state)
{
	int fds[5];

	(void)state;
	tight = true;
	origin_scene(give_much, forward, keep_nothing);
	open_slow(fds, COUNT(fds));
	await_stats(COUNT(fds), COUNT(fds));
	assert_served();
	for (size_t i = 0; i < COUNT(fds); i++) {
		assert_large(fds[i]);
		close(fds[i]);
	}
	stop();
	tight = false;
}

/* The same for a request whose body is six bytes. */
static bool
give_much_for_body(int fd, unsigned nth, const char *head)
{
	char body[6];

	if (strstr(head, "POST") != NULL &&
	    recv(fd, body, sizeof(body), MSG_WAITALL) != sizeof(body))
		return false;
	return give_much(fd, nth, head);
}

/* Send FIN when the answer waits for us, and read on after a while. */
static void
assert_large_after_fin(bool in_pieces)
{
	static const char part[] = "POST /large HTTP/1.1\r\nHost: a\r\n" CL
	    "6\r\n\r\nhel";
	const unsigned asked = atomic_load(&origin.requests);
	int fd;

	if (in_pieces) {
		fd = open_small();
		client_send(fd, part, sizeof(part) - 1);
		await(&origin.requests, asked + 1);
		client_send(fd, "lo!", 3);
	} else {
		open_slow(&fd, 1);
	}
	if (config.stream)
		await_stats(1, 1);
	else
		await(&origin.said, asked + 1);
	shutdown(fd, SHUT_WR);
	pause_ms(4 * config.half_close_ms);
	assert_large(fd);
	close(fd);
	await_stats(0, 0);
}

static void
a_client_that_has_sent_fin_gets_what_it_reads_slowly(void **state)
{
	(void)state;
	tight = true;
	origin_scene(give_much_for_body, forward, keep_nothing);
	config.gather_ms = 1;
	for (unsigned i = 0; i < 4; i++) {
		config.stream = i < 2;
		make_with(config);
		await(&origin.alive, 0);
		atomic_store(&origin.said, atomic_load(&origin.requests));
		assert_large_after_fin(i % 2 == 1);
	}
	stop();
	tight = false;
}

static void
keep_one(struct torc_http_client_config *changed)
{
	keep_nothing(changed);
	changed->aside_max = 1;
	changed->stall_ms = 100;
}

/* Of two that stall, one is set aside: the first loses its place. */
static void
the_client_that_stalls_longest_makes_room_for_one_that_waits(void **state)
{
	char byte[512];
	int fds[2];

	(void)state;
	tight = true;
	origin_scene(give_much, forward, keep_one);
	open_slow(&fds[0], 1);
	await_stats(1, 1);
	open_slow(&fds[1], 1);
	await(&origin.requests, 2);
	assert_served();
	while (recv(fds[0], byte, sizeof(byte), 0) > 0)
		continue;
	assert_int_equal(errno, ECONNRESET);
	assert_large(fds[1]);
	close(fds[0]);
	close(fds[1]);
	stop();
	tight = false;
}

static atomic_uint little;	/* what was read so */

/* 8 KB a second at first: 16 KiB, which are kept, take two stall_ms. */
static void *
read_little_by_little(void *arg)
{
	static char reply[LARGE + 512];
	const uint64_t since = now_ms();
	const int fd = *(int *)arg;
	size_t size = 0;
	ssize_t count = 1;

	while (count > 0 && size < LARGE) {
		size_t due = (size_t)(now_ms() - since) * 8;

		if (due > 40000)
			due = sizeof(reply);
		if (due > size) {
			count = recv(fd, reply + size, due - size, 0);
			size += count > 0 ? (size_t)count : 0;
			atomic_store(&little, (unsigned)size);
		}
		pause_ms(10);
	}
	return count > 0 ? arg : NULL;
}

/* The same, but the first takes a little now and then. */
static void
who_takes_little_at_a_time_keeps_its_origin(void **state)
{
	pthread_t reader;
	char byte[512];
	void *whole;
	int fds[2];

	(void)state;
	tight = true;
	origin_scene(give_much, forward, keep_one);
	config.stream = false;
	config.keep_max = 16384;
	config.stall_ms = 1000;
	make_with(config);
	open_slow(&fds[0], 1);
	await_stats(1, 1);
	open_slow(&fds[1], 1);
	await(&origin.requests, 2);
	atomic_store(&little, 0);
	assert_int_equal(pthread_create(&reader, NULL, read_little_by_little,
	    &fds[0]), 0);
	/* More than the kernel had for it: the server has sent some since. A
	 * request that waits before looks for who has stood still so far. */
	while (atomic_load(&little) < 4096)
		pause_ms(1);
	assert_served();
	while (recv(fds[1], byte, sizeof(byte), 0) > 0)
		continue;
	assert_int_equal(errno, ECONNRESET);
	pthread_join(reader, &whole);
	assert_non_null(whole);
	close(fds[0]);
	close(fds[1]);
	stop();
	tight = false;
}

/* Much of an answer, and then nothing. */
static bool
give_much_and_stop(int fd, unsigned nth, const char *head)
{
	static char body[LARGE];

	(void)nth;
	(void)head;
	say(fd, OK CL "1000000\r\n\r\n");
	say_bytes(fd, body, LARGE);
	await_end(fd);
	return false;
}

static void
an_origin_that_is_silent_is_let_go_when_its_client_takes_nothing(void **state)
{
	int fd;

	(void)state;
	tight = true;
	server_config.write_ms = 200;
	origin_scene(give_much_and_stop, forward, one_at_a_time);
	config.body_max = 1000000;
	make_with(config);
	open_slow(&fd, 1);
	await(&origin.requests, 1);
	await(&origin.alive, 0);
	close(fd);
	stop();
	server_config.write_ms = 0;
	tight = false;
}

/* ---- Time ---- */

static void
soon(struct torc_http_client_config *changed)
{
	changed->answer_ms = 300;
	changed->gather_ms = 1;
}

static void
an_origin_is_late_only_when_it_has_the_request(void **state)
{
	static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\n" CL
	    "8\r\n\r\n";
	int fd;

	(void)state;
	origin_scene(count_body, forward, soon);
	fd = client_open(server.port);
	client_send(fd, head, strlen(head));
	for (unsigned i = 0; i < 8; i++) {
		pause_ms(100);
		client_send(fd, "a", 1);
	}
	assert_non_null(strstr(get_through(fd, ""), CL "1\r\n\r\n8"));
	close(fd);
	stop();
	origin_scene(think, forward, soon);
	fd = client_open(server.port);
	assert_non_null(strstr(get_through(fd,
	    "POST /slow HTTP/1.1\r\nHost: a\r\n" CL "1\r\n\r\na"), " 504 "));
	close(fd);
	stop();
}

static void
queue_for_a_moment(struct torc_http_client_config *changed)
{
	one_at_a_time(changed);
	changed->queue_ms = 100;
}

/* Which is not to say that the origin is late. */
static void
a_request_for_which_there_is_no_connection_is_503(void **state)
{
	int first, second;

	(void)state;
	origin_scene(think, forward, queue_for_a_moment);
	first = client_open(server.port);
	client_send(first, GET("/slow"), strlen(GET("/slow")));
	await(&origin.requests, 1);
	second = client_open(server.port);
	assert_non_null(strstr(get_through(second, GET("/")), " 503 "));
	client_reset(first);
	await(&origin.alive, 0);
	assert_non_null(strstr(get_through(second, GET("/")), " 200 "));
	close(second);
	stop();
}

static bool
break_off(int fd, unsigned nth, const char *head)
{
	(void)fd;
	(void)nth;
	(void)head;
	return false;
}

/* Half of the body is there; the rest may come for as long as it likes. */
static void
an_error_does_not_wait_for_the_rest_of_an_upload(void **state)
{
	int fd;

	(void)state;
	origin_scene(break_off, forward, soon);
	fd = client_open(server.port);
	assert_non_null(strstr(get_through(fd, "POST / HTTP/1.1\r\nHost: a\r\n"
	    CL "10\r\n\r\nhello"), " 502 "));
	/* What is left of it is read past, and the connection goes on. */
	assert_non_null(strstr(get_through(fd, "world" GET("/")), " 502 "));
	close(fd);
	stop();
}

static bool
give_half(int fd, unsigned nth, const char *head)
{
	(void)nth;
	(void)head;
	say(fd, OK CL "10\r\n\r\nhello");
	return false;
}

static void
an_answer_that_breaks_off_does_not_look_whole(void **state)
{
	char reply[256];
	int fd;

	(void)state;
	start(give_half, forward);
	fd = client_open(server.port);
	client_send(fd, GET("/"), strlen(GET("/")));
	assert_int_equal(client_read_all(fd, reply, sizeof(reply)), -1);
	close(fd);
	stop();
}

/* ---- Shares ---- */

/* A connection from 127.0.0.`host`. */
static int
open_from(unsigned host)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + host),
	};
	const struct timeval limit = { CLIENT_SECONDS, 0 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address,
	    sizeof(address)), 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons((uint16_t)server.port);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (struct sockaddr *)&address,
	    sizeof(address)), 0);
	return fd;
}

static void
four(struct torc_http_client_config *changed)
{
	changed->connections = 4;
}

static void
one_address_leaves_connections_to_others(void **state)
{
	int fds[8], fd;

	(void)state;
	origin_scene(think, forward, four);
	for (size_t i = 0; i < COUNT(fds); i++) {
		fds[i] = open_from(2);
		client_send(fds[i], GET("/slow"), strlen(GET("/slow")));
	}
	await(&origin.requests, 3);
	fd = open_from(3);
	assert_non_null(strstr(get_through(fd, GET("/")), "\r\n\r\nok"));
	close(fd);
	assert_int_equal(atomic_load(&origin.requests), 4);
	for (size_t i = 0; i < COUNT(fds); i++)
		client_reset(fds[i]);
	await_stats(0, 0);
	stop();
}

/* What is kept, in blocks: the more there is, the less has one more. */
static void
what_is_kept_is_shared_and_bounded(void **state)
{
	static const uint8_t block[SPOOL_BLOCK];
	struct torc_http_budget budget = {
		.max = 64 * SPOOL_BLOCK, .each = 4 * SPOOL_BLOCK,
	};
	struct torc_http_spool spools[40];
	unsigned blocks[COUNT(spools)];

	(void)state;
	for (size_t i = 0; i < COUNT(spools); i++) {
		spools[i] = (struct torc_http_spool) { .budget = &budget };
		for (blocks[i] = 0; torc_http_spool_open(&spools[i]);
		    blocks[i]++)
			assert_int_equal(torc_http_spool_put(&spools[i],
			    block, sizeof(block)), 0);
		/* Each has one, whatever the others have. */
		assert_true(blocks[i] >= 1);
		assert_true(i == 0 || blocks[i] <= blocks[i - 1]);
		assert_true(budget.used <= budget.max);
	}
	assert_int_equal(blocks[0], 4);
	assert_int_equal(blocks[COUNT(spools) - 1], 1);
	/* As they go, there is room for the others. */
	for (size_t i = 0; i < COUNT(spools) - 1; i++) {
		while (spools[i].size > 0)
			torc_http_spool_drop(&spools[i],
			    torc_http_spool_first(&spools[i]).size);
		torc_http_spool_clear(&spools[i]);
	}
	assert_true(torc_http_spool_open(&spools[COUNT(spools) - 1]));
	torc_http_spool_clear(&spools[COUNT(spools) - 1]);
	assert_int_equal(budget.used, 0);
}

/* ---- Tunnels ---- */

static atomic_uint ended;	/* tunnels, in order */

/*
 * After 101, what comes goes back in capitals, up to its end; then it says
 * "bye", and ends. What comes with "." ends it from this side.
 */
static bool
switch_protocols(int fd, unsigned nth, const char *head)
{
	char byte;

	if (strcasestr(head, "\r\nUpgrade: shout\r\n") == NULL ||
	    strcasestr(head, "\r\nConnection: upgrade\r\n") == NULL)
		return give_whole_head(fd, nth, head);
	say(fd, "HTTP/1.1 101 Go\r\nUpgrade: shout\r\nConnection: upgrade, x"
	    "\r\nX: 1\r\nY: 2\r\n\r\nWELCOME");
	while (recv(fd, &byte, 1, 0) == 1) {
		if (byte == '.') {
			shutdown(fd, SHUT_WR);
			continue;
		}
		byte = (char)(byte - 'a' + 'A');
		say_bytes(fd, &byte, 1);
	}
	say(fd, "bye");
	atomic_fetch_add(&ended, 1);
	return false;
}

#define SHOUT "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, " \
	"Upgrade\r\nUpgrade: shout\r\n\r\n"
#define SWITCHED "HTTP/1.1 101 Switching Protocols\r\nY: 2\r\n" \
	"Via: 1.1 test\r\nUpgrade: shout\r\nConnection: upgrade\r\n\r\n"

static int
open_tunnel(const char *behind)
{
	int fd = client_open(server.port);

	client_send(fd, SHOUT, strlen(SHOUT));
	client_send(fd, behind, strlen(behind));
	assert_read(fd, SWITCHED "WELCOME");
	return fd;
}

static void
after_101_bytes_go_both_ways_to_their_ends(void **state)
{
	int fd;

	(void)state;
	atomic_store(&ended, 0);
	origin_scene(switch_protocols, forward, one_at_a_time);
	/* What came behind the head of the request goes on, too. */
	fd = open_tunnel("ab");
	assert_read(fd, "AB");
	for (unsigned i = 0; i < 100; i++) {
		client_send(fd, "hello", 5);
		assert_read(fd, "HELLO");
	}
	/* It is none of the pool's, whose one connection others can have. */
	await_stats(0, 0);
	assert_non_null(strstr(get_through(client_open(server.port),
	    GET("/")), " 200 "));
	/* The end of one direction is not that of the other one. */
	shutdown(fd, SHUT_WR);
	assert_read(fd, "bye");
	assert_true(client_sees_fin(fd));
	close(fd);
	fd = open_tunnel("a.");
	assert_read(fd, "A");
	assert_true(client_sees_fin(fd));
	client_send(fd, "b", 1);
	assert_int_equal(atomic_load(&ended), 1);
	shutdown(fd, SHUT_WR);
	await(&ended, 2);
	close(fd);
	stop();
}

static void
an_origin_hears_that_the_client_of_a_tunnel_has_left(void **state)
{
	int fd;

	(void)state;
	origin_scene(switch_protocols, forward, one_at_a_time);
	fd = open_tunnel("");
	client_reset(fd);
	await(&origin.alive, 0);
	stop();
}

static void
idle_soon(struct torc_http_client_config *changed)
{
	changed->tunnel_ms = 300;
}

static void
a_tunnel_lasts_while_bytes_go_through_it_and_not_for_long_after(void **state)
{
	char byte;
	int fd;

	(void)state;
	origin_scene(switch_protocols, forward, idle_soon);
	fd = open_tunnel("");
	for (unsigned i = 0; i < 10; i++) {
		pause_ms(60);
		client_send(fd, "a", 1);
		assert_read(fd, "A");
	}
	assert_true(recv(fd, &byte, 1, 0) <= 0);
	await(&origin.alive, 0);
	close(fd);
	stop();
}

/* Another protocol, of which nothing is read. */
static bool
switch_and_read_nothing(int fd, unsigned nth, const char *head)
{
	struct pollfd end = { .fd = fd };

	(void)nth;
	(void)head;
	say(fd, "HTTP/1.1 101 Go\r\nUpgrade: shout\r\nY: 2\r\n\r\n");
	while (poll(&end, 1, -1) < 0)
		assert_int_equal(errno, EINTR);
	return false;
}

/* Until nobody takes any more. */
static void
send_until_it_stands_still(int fd)
{
	static char bytes[65536];
	unsigned still = 0;

	while (still < 20) {
		if (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0) {
			still = 0;
			continue;
		}
		assert_int_equal(errno, EAGAIN);
		still++;
		pause_ms(10);
	}
}

static void
an_origin_that_reads_nothing_hears_that_the_client_of_a_tunnel_has_left(
    void **state)
{
	int fd;

	(void)state;
	origin_scene(switch_and_read_nothing, forward, NULL);
	fd = client_open(server.port);
	client_send(fd, SHOUT, strlen(SHOUT));
	assert_read(fd, SWITCHED);
	send_until_it_stands_still(fd);
	client_reset(fd);
	await(&origin.alive, 0);
	stop();
}

/* Much of another protocol, to a client that says nothing. */
static bool
pour(int fd, unsigned nth, const char *head)
{
	static uint8_t bytes[LARGE];

	(void)nth;
	(void)head;
	stream_fill(7, 0, bytes, sizeof(bytes));
	say(fd, "HTTP/1.1 101 Go\r\nUpgrade: shout\r\nY: 2\r\n\r\n");
	say_bytes(fd, (const char *)bytes, sizeof(bytes));
	return false;
}

/*
 * A few bytes at a time: each piece takes longer than tunnel_ms. How many came;
 * `*longest_ms`: for how long none was taken.
 */
static size_t
sip(int fd, uint8_t *bytes, size_t size, uint64_t *longest_ms)
{
	uint64_t before = now_ms();
	size_t got = 0;
	ssize_t more = 1;

	*longest_ms = 0;
	while (got < size && more > 0) {
		const size_t most = got < 16000 ? 200 : size - got;

		more = recv(fd, bytes + got, most, 0);
		got += more > 0 ? (size_t)more : 0;
		if (got < 16000)
			pause_ms(20);
		if (now_ms() - before > *longest_ms)
			*longest_ms = now_ms() - before;
		before = now_ms();
	}
	return got;
}

static void
a_tunnel_lasts_while_one_side_takes_bytes_however_slowly(void **state)
{
	static const size_t head = sizeof(SWITCHED) - 1;
	static uint8_t bytes[sizeof(SWITCHED) - 1 + LARGE];
	uint64_t longest_ms;
	size_t got;
	int fd;

	(void)state;
	tight = true;
	/* Once more, if this machine is so slow that the client takes none. */
	do {
		origin_scene(pour, forward, idle_soon);
		fd = open_small();
		client_send(fd, SHOUT, strlen(SHOUT));
		got = sip(fd, bytes, sizeof(bytes), &longest_ms);
		if (got == sizeof(bytes))
			assert_true(client_sees_fin(fd));
		close(fd);
		stop();
	} while (got < sizeof(bytes) && longest_ms > 150);
	assert_int_equal(got, sizeof(bytes));
	assert_memory_equal(bytes, SWITCHED, head);
	assert_true(stream_matches(7, 0, bytes + head, LARGE));
	tight = false;
}

static int
drain_server(void *arg)
{
	(void)arg;
	torc_reactor_drain(torc_reactor_self(), torc_after_ms(60000));
	return 0;
}

static void
a_drain_ends_a_tunnel_in_order(void **state)
{
	int fd;

	(void)state;
	atomic_store(&ended, 0);
	origin_scene(switch_protocols, forward, NULL);
	fd = open_tunnel("a");
	assert_read(fd, "A");
	server_fiber(&server, drain_server, NULL);
	/* The origin is told of the end, and has the last word. */
	assert_read(fd, "bye");
	assert_true(client_sees_fin(fd));
	close(fd);
	assert_int_equal(pthread_join(server.thread, NULL), 0);
	server.running = false;
	torc_http_client_destroy(client, TORC_NEVER);
	torc_reactor_destroy(server.reactor);
	assert_int_equal(server.result, 0);
	origin_stop();
}

/* What asks for no upgrade, or for one that is not forwarded: no tunnel. */
static const char *const plain[] = {
	"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: shout\r\n\r\n",
	"GET / HTTP/1.0\r\nHost: a\r\nUpgrade: shout\r\n"
	    "Connection: upgrade, keep-alive\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, HTTP2-Settings\r\n"
	    "Upgrade: shout, h2c\r\nHTTP2-Settings: a\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n"
	    "Upgrade: shout\r\n" CL "1\r\n\r\na",
};

static void
what_asks_for_no_tunnel_gets_none(void **state)
{
	int fd;

	(void)state;
	start(switch_protocols, forward);
	for (size_t i = 0; i < COUNT(plain); i++) {
		const char *reply;

		fd = client_open(server.port);
		reply = get_through(fd, plain[i]);
		assert_non_null(strstr(reply, " 200 "));
		assert_null(strcasestr(reply, "upgrade:"));
		assert_null(strstr(reply, "HTTP2"));
		close(fd);
	}
	stop();
}

static bool
switch_unasked(int fd, unsigned nth, const char *head)
{
	(void)nth;
	(void)head;
	say(fd, "HTTP/1.1 101 Go\r\nUpgrade: shout\r\n\r\n");
	await_end(fd);
	return false;
}

static void
a_101_that_nobody_asked_for_is_no_answer(void **state)
{
	int fd;

	(void)state;
	start(switch_unasked, forward);
	fd = client_open(server.port);
	assert_non_null(strstr(get_through(fd, GET("/")), " 502 "));
	close(fd);
	stop();
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(
	    what_is_forwarded_has_the_fields_of_its_hop_and_no_others),
	cmocka_unit_test(
	    a_large_head_without_memory_is_an_error_and_not_only_for_the_client),
	cmocka_unit_test(via_has_the_version_of_the_message),
	cmocka_unit_test(
	    hops_are_counted_down_and_the_last_one_answers),
	cmocka_unit_test(
	    fields_that_connection_names_stay_behind_be_they_few_or_many),
	cmocka_unit_test(
	    chunks_of_one_byte_are_forwarded_in_few_large_ones),
	cmocka_unit_test(
	    the_origin_says_whether_a_body_is_wanted_and_nobody_else),
	cmocka_unit_test(a_body_for_a_dead_origin_is_not_asked_for),
	cmocka_unit_test(
	    a_client_that_ends_while_it_is_answered_is_not_answered_twice),
	cmocka_unit_test(hints_go_on_before_the_answer_is_there),
	cmocka_unit_test(a_flood_of_hints_is_no_answer),
	cmocka_unit_test(
	    uploads_that_stall_hold_no_connection_to_the_origin),
	cmocka_unit_test(an_upload_that_stalls_is_begun_and_set_aside),
	cmocka_unit_test(an_origin_is_let_go_when_its_client_is_reset),
	cmocka_unit_test(
	    a_client_that_has_sent_fin_is_waited_for_a_while),
	cmocka_unit_test(
	    answers_that_are_not_read_are_kept_and_the_origin_let_go),
	cmocka_unit_test(
	    a_client_that_has_sent_fin_gets_what_it_reads_slowly),
	cmocka_unit_test(
	    clients_that_pipeline_and_do_not_read_hold_no_connection),
	cmocka_unit_test(
	    answers_that_are_not_read_and_not_kept_keep_nobody_waiting),
	cmocka_unit_test(
	    the_client_that_stalls_longest_makes_room_for_one_that_waits),
	cmocka_unit_test(who_takes_little_at_a_time_keeps_its_origin),
	cmocka_unit_test(
	    an_origin_that_is_silent_is_let_go_when_its_client_takes_nothing),
	cmocka_unit_test(
	    an_origin_is_late_only_when_it_has_the_request),
	cmocka_unit_test(
	    a_request_for_which_there_is_no_connection_is_503),
	cmocka_unit_test(
	    an_error_does_not_wait_for_the_rest_of_an_upload),
	cmocka_unit_test(an_answer_that_breaks_off_does_not_look_whole),
	cmocka_unit_test(one_address_leaves_connections_to_others),
	cmocka_unit_test(what_is_kept_is_shared_and_bounded),
	cmocka_unit_test(after_101_bytes_go_both_ways_to_their_ends),
	cmocka_unit_test(
	    an_origin_hears_that_the_client_of_a_tunnel_has_left),
	cmocka_unit_test(
	    a_tunnel_lasts_while_bytes_go_through_it_and_not_for_long_after),
	cmocka_unit_test(
	    an_origin_that_reads_nothing_hears_that_the_client_of_a_tunnel_has_left),
	cmocka_unit_test(
	    a_tunnel_lasts_while_one_side_takes_bytes_however_slowly),
	cmocka_unit_test(a_drain_ends_a_tunnel_in_order),
	cmocka_unit_test(what_asks_for_no_tunnel_gets_none),
	cmocka_unit_test(a_101_that_nobody_asked_for_is_no_answer),
};

int
main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
