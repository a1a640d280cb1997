/*
 * test_http_forward.c - requests that are forwarded to an origin which does
 * what the test says. tests/proxy.sh has what goes well.
 */
#include "tests/http_origin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool tight;	/* the server's sockets take little unsent */

static int
forward(struct torc_conn *conn, void *arg)
{
	const struct torc_http_field added = {
		torc_http_text("X-Forwarded-For"), torc_http_text("here"),
	};
	/* So that answers can be compared as they are. */
	const struct torc_http_config dateless = { .no_date = true };
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
	torc_http_open(&http, conn, &dateless);
	while (torc_http_recv(&http, TORC_NEVER) > 0)
		torc_http_forward(&http, client, &forwarding,
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

/* An origin that would have to be told of the expectation of another hop. */
static bool
count_without_expecting(int fd, unsigned nth, const char *head)
{
	if (strstr(head, "Expect") == NULL)
		return count_body(fd, nth, head);
	say(fd, "HTTP/1.1 417 No\r\n" CL "0\r\n\r\n");
	return false;
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

#define GO_ON "HTTP/1.1 100 Continue\r\n\r\n"
#define FIVE OK "Via: 1.1 test\r\n" CL "1\r\n\r\n5"

/*
 * What comes when `head` is sent, and the origin has the head of its last
 * request; only then the body, and its answer.
 */
static void
assert_asked_for_body(int fd, const char *head, const char *come,
    unsigned requests, const char *body)
{
	client_send(fd, head, strlen(head));
	assert_read(fd, come);
	await(&origin.requests, requests);
	client_send(fd, body, strlen(body));
	assert_read(fd, FIVE);
}

/* Who waits for 100 sends nothing before it. */
static void
a_body_is_asked_for_before_it_is_awaited_and_not_of_the_origin(void **state)
{
	static const char post[] = "POST / HTTP/1.1\r\nHost: a\r\n" CL
	    "5\r\nExpect: 100-continue\r\n\r\n";
	char whole[256];
	int fd;

	(void)state;
	start(count_without_expecting, forward);
	fd = client_open(server.port);
	assert_asked_for_body(fd, post, GO_ON, 1, "hello");
	assert_asked_for_body(fd, "POST / HTTP/1.1\r\nHost: a\r\n" CHUNKED
	    "Expect: 100-continue\r\n\r\n", GO_ON, 2,
	    "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n");
	/* Behind the answer to a request that came along with it. */
	assert_asked_for_body(fd, "POST / HTTP/1.1\r\nHost: a\r\n" CL
	    "5\r\n\r\nhello" "POST / HTTP/1.1\r\nHost: a\r\n" CL
	    "5\r\nExpect: 100-continue\r\n\r\n", FIVE GO_ON, 4, "hello");
	/* One that came along needs no 100. */
	snprintf(whole, sizeof(whole), "%shello", post);
	client_send(fd, whole, strlen(whole));
	assert_read(fd, FIVE);
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
	start(count_without_expecting, forward);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    what_is_forwarded_has_the_fields_of_its_hop_and_no_others),
		cmocka_unit_test(via_has_the_version_of_the_message),
		cmocka_unit_test(
		    hops_are_counted_down_and_the_last_one_answers),
		cmocka_unit_test(
		    fields_that_connection_names_stay_behind_be_they_few_or_many),
		cmocka_unit_test(
		    chunks_of_one_byte_are_forwarded_in_few_large_ones),
		cmocka_unit_test(
		    a_body_is_asked_for_before_it_is_awaited_and_not_of_the_origin),
		cmocka_unit_test(a_body_for_a_dead_origin_is_not_asked_for),
		cmocka_unit_test(
		    a_client_that_ends_while_it_is_answered_is_not_answered_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
