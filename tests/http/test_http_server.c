/* SPDX-License-Identifier: MIT */
/*
 * test_http_server.c - the server module of HTTP: what clients get for what
 * they send, whole and in pieces, well-formed and not, in time and too late.
 */
#include "tests/harness.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conn/http/torc_http.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HOST "Host: a\r\n"
#define ROOM (1u << 20)

static const struct torc_http_config small = {
	.head_max = 1024, .target_max = 100, .body_max = 1000,
	.skip_max = 100, .head_ms = 300, .body_ms = 300, .idle_ms = 60000,
};

/* ---- A server with a page for each claim ---- */

static bool
asks_for(const struct torc_http *http, const char *target)
{
	return torc_http_equals(http->request.target, target);
}

/* Send the body back, as it comes, in chunks; the trailer as a line. */
static int
echo_body(struct torc_http *http)
{
	struct torc_slice body;
	const struct torc_slice *trailer;
	int rc = torc_http_read(http, &body, TORC_NEVER);

	if (rc < 0)
		return rc;
	torc_http_begin(http, 200, NULL, 0, TORC_HTTP_UNKNOWN, TORC_NEVER);
	for (; rc > 0; rc = torc_http_read(http, &body, TORC_NEVER))
		torc_http_write(http, body.data, body.size, TORC_NEVER);
	if (rc < 0)
		return rc;
	trailer = torc_http_find(&http->trailer, "X-Trailer");
	if (trailer != NULL)
		torc_http_write(http, trailer->data, trailer->size,
		    TORC_NEVER);
	return torc_http_end(http, TORC_NEVER);
}

/* The whole body, then its size and the target, which was kept. */
static int
count_body(struct torc_http *http)
{
	char memory[512], text[600];
	struct torc_slice body;
	unsigned long size = 0;
	int rc, length;

	assert_int_equal(torc_http_keep(http, memory, 10), -ENOSPC);
	assert_int_equal(torc_http_keep(http, memory, sizeof(memory)), 0);
	while ((rc = torc_http_read(http, &body, TORC_NEVER)) > 0)
		size += body.size;
	if (rc < 0)
		return rc;
	length = snprintf(text, sizeof(text), "%lu %.*s", size,
	    (int)http->request.target.size,
	    (const char *)http->request.target.data);
	return torc_http_reply(http, 200, NULL, 0, text, (size_t)length,
	    TORC_NEVER);
}

static int
append(char *text, size_t size, const struct torc_http_head *head,
    const char *name)
{
	const struct torc_slice *value = torc_http_find(head, name);

	return snprintf(text, size, "%u %.*s;", head->field_count,
	    value != NULL ? (int)value->size : 1,
	    value != NULL ? (const char *)value->data : "-");
}

/* How many fields the head and the trailer have, and their X-User. */
static int
tell_fields(struct torc_http *http)
{
	static char memory[65536];
	char text[200];
	struct torc_slice body;
	int size, rc;

	if (asks_for(http, "/kept/fields")) {
		assert_int_equal(torc_http_keep(http, memory,
		    sizeof(memory)), 0);
		assert_int_equal(torc_http_keep(http, memory + 1000,
		    sizeof(memory) - 1000), 0);
	}
	while ((rc = torc_http_read(http, &body, TORC_NEVER)) > 0)
		;
	if (rc < 0)
		return rc;
	size = append(text, sizeof(text), &http->request, "x-user");
	size += append(text + size, sizeof(text) - (size_t)size,
	    &http->trailer, "x-user");
	return torc_http_reply(http, 200, NULL, 0, text, (size_t)size,
	    TORC_NEVER);
}

/* A field that would end the head: nothing is sent of it. */
static int
split_answer(struct torc_http *http)
{
	const struct torc_http_field bad = {
		torc_http_text("Location"), torc_http_text("/\r\nX: 1"),
	};
	const struct torc_http_field framing = {
		torc_http_text("content-length"), torc_http_text("1"),
	};

	assert_int_equal(torc_http_reply(http, 302, &bad, 1, NULL, 0,
	    TORC_NEVER), -EINVAL);
	assert_int_equal(torc_http_reply(http, 200, &framing, 1, NULL, 0,
	    TORC_NEVER), -EINVAL);
	assert_int_equal(torc_http_reply(http, 100, NULL, 0, NULL, 0,
	    TORC_NEVER), -EINVAL);
	return torc_http_reply(http, 200, NULL, 0, "split", 5, TORC_NEVER);
}

static int
stream_answer(struct torc_http *http, uint64_t length)
{
	static char block[5000];

	memset(block, 'x', sizeof(block));
	torc_http_begin(http, 200, NULL, 0, length, TORC_NEVER);
	for (unsigned i = 0; i < 100; i++) {
		int rc = torc_http_write(http, block, sizeof(block),
		    TORC_NEVER);

		if (rc < 0)
			return rc;
	}
	return torc_http_end(http, TORC_NEVER);
}

/* Twenty times as many fields of 500 bytes as the target says: /h0 to /h9. */
static int
large_head(struct torc_http *http)
{
	struct torc_http_field fields[200];
	char value[501];
	unsigned count = (http->request.target.data[2] - (unsigned)'0') * 20;

	memset(value, 'v', 500);
	value[500] = '\0';
	for (unsigned i = 0; i < count; i++) {
		fields[i].name = torc_http_text("X");
		fields[i].value = torc_http_text(value);
	}
	if (torc_http_reply(http, 200, fields, count, "large", 5,
	    TORC_NEVER) == -ENOSPC)
		return torc_http_reply(http, 200, NULL, 0, "too large", 9,
		    TORC_NEVER);
	return 0;
}

/* Parts of an answer before there is one, a length for one without. */
static int
misorder_answer(struct torc_http *http)
{
	const struct torc_http_field last = {
		torc_http_text("Connection"), torc_http_text("close"),
	};
	const bool refused =
	    torc_http_begin(http, 200, &last, 1, 5, TORC_NEVER) == -EINVAL &&
	    torc_http_write(http, "x", 1, TORC_NEVER) == -EINVAL &&
	    torc_http_sent(http, 1) == -EINVAL &&
	    torc_http_end(http, TORC_NEVER) == -EINVAL &&
	    torc_http_reply(http, 200, &last, 1, NULL, 0, TORC_NEVER) ==
	    -EINVAL;

	if (!refused || torc_http_reply(http, 200, NULL, 0, "ok", 2,
	    TORC_NEVER) < 0)
		return -1;
	/* It has ended, and does so once. */
	return torc_http_end(http, TORC_NEVER) == -EINVAL &&
	    torc_http_end(http, TORC_NEVER) == -EINVAL &&
	    torc_http_write(http, "x", 1, TORC_NEVER) == -EINVAL &&
	    torc_http_reply(http, 200, NULL, 0, NULL, 0, TORC_NEVER) ==
	    -EINVAL ? 0 : -1;
}

/* It says that bytes of a body were sent which has no length. */
static int
misstate_answer(struct torc_http *http)
{
	int rc;

	torc_http_begin(http, 200, NULL, 0, TORC_HTTP_UNKNOWN, TORC_NEVER);
	rc = torc_http_sent(http, 1);
	return rc < 0 ? rc : torc_http_end(http, TORC_NEVER);
}

/* Five bytes come back as they are, and then the connection ends. */
static int
take_over(struct torc_http *http, const char *name)
{
	const struct torc_http_field upgrade = {
		torc_http_text(name), torc_http_text("five"),
	};
	struct torc_conn *conn = http->conn;
	struct torc_slice in, body;
	char memory[512];
	int rc;

	if (asks_for(http, "/kept/over"))
		assert_int_equal(torc_http_keep(http, memory,
		    sizeof(memory)), 0);
	if (http->request.body != TORC_HTTP_NONE)
		assert_int_equal(torc_http_take_over(http, &upgrade, 1,
		    TORC_NEVER), -EINVAL);
	while (torc_http_read(http, &body, TORC_NEVER) > 0)
		;
	rc = torc_http_take_over(http, &upgrade, 1, TORC_NEVER);
	if (rc < 0)
		return torc_http_reply(http, 200, NULL, 0, "ok", 2,
		    TORC_NEVER);
	assert_int_equal(torc_http_take_over(http, &upgrade, 1, TORC_NEVER),
	    -EINVAL);
	do
		rc = torc_conn_recv(conn, &in, torc_after_ms(5000));
	while (rc > 0 && rc < 5);
	assert_int_equal(rc, 5);
	return torc_conn_write(conn, in.data, 5, TORC_NEVER);
}

static int
give_hints(struct torc_http *http)
{
	const struct torc_http_field link = {
		torc_http_text("Link"), torc_http_text("</a>"),
	};
	const struct torc_http_field framing = {
		torc_http_text("Content-Length"), torc_http_text("1"),
	};

	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(torc_http_inform(http, 103, &link, 1,
		    TORC_NEVER), 0);
	assert_int_equal(torc_http_inform(http, 101, &link, 1, TORC_NEVER),
	    -EINVAL);
	assert_int_equal(torc_http_inform(http, 200, &link, 1, TORC_NEVER),
	    -EINVAL);
	if (http->request.version > TORC_HTTP_1_0)
		assert_int_equal(torc_http_inform(http, 103, &framing, 1,
		    TORC_NEVER), -EINVAL);
	return torc_http_reply(http, 200, NULL, 0, "ok", 2, TORC_NEVER);
}

static int
read_to_the_end(void *arg)
{
	struct torc_slice body;
	int rc;

	while ((rc = torc_http_read(arg, &body, TORC_NEVER)) > 0)
		;
	return rc;
}

/* The body is waited for before it is said that it may be sent. */
static int
hold_continue(struct torc_http *http)
{
	uint64_t reader;
	int rc;

	torc_http_withhold_continue(http);
	if (asks_for(http, "/held/no"))
		return torc_http_reply(http, 200, NULL, 0, "ok", 2,
		    TORC_NEVER);
	assert_int_equal(torc_fiber_spawn(&reader, read_to_the_end, http), 0);
	torc_yield();
	torc_http_inform(http, 102, NULL, 0, TORC_NEVER);
	torc_http_inform(http, 100, NULL, 0, TORC_NEVER);
	torc_http_flush(http, TORC_NEVER);
	assert_int_equal(torc_fiber_join(reader, &rc, TORC_NEVER), 0);
	return rc < 0 ? rc :
	    torc_http_reply(http, 200, NULL, 0, "ok", 2, TORC_NEVER);
}

/* When the reactor drains, in one way or another. */
static int
answer_later(struct torc_http *http)
{
	while (!torc_reactor_draining(torc_reactor_self())) {
		if (torc_sleep(torc_after_ms(2)) < 0)
			return -1;
	}
	if (asks_for(http, "/later/forget"))
		return 0;
	if (!asks_for(http, "/later/pieces"))
		return torc_http_reply(http, 200, NULL, 0, "ok", 2,
		    TORC_NEVER);
	torc_http_begin(http, 200, NULL, 0, TORC_HTTP_UNKNOWN, TORC_NEVER);
	torc_http_write(http, "ok", 2, TORC_NEVER);
	return torc_http_end(http, TORC_NEVER);
}

static int
answer(struct torc_http *http)
{
	if (http->request.target.size >= 6 &&
	    memcmp(http->request.target.data, "/later", 6) == 0)
		return answer_later(http);
	if (asks_for(http, "/hints"))
		return give_hints(http);
	if (asks_for(http, "/held") || asks_for(http, "/held/no"))
		return hold_continue(http);
	if (asks_for(http, "/dated"))
		return torc_http_reply(http, 200, &(struct torc_http_field) {
		    torc_http_text("date"),
		    torc_http_text("Thu, 01 Jan 1970 00:00:00 GMT") }, 1,
		    "ok", 2, TORC_NEVER);
	if (asks_for(http, "/over") || asks_for(http, "/kept/over"))
		return take_over(http, "upgrade");
	if (asks_for(http, "/over/unnamed"))
		return take_over(http, "X");
	if (asks_for(http, "/echo"))
		return echo_body(http);
	if (asks_for(http, "/count"))
		return count_body(http);
	if (asks_for(http, "/fields") || asks_for(http, "/kept/fields"))
		return tell_fields(http);
	if (asks_for(http, "/split"))
		return split_answer(http);
	if (asks_for(http, "/sized"))
		return stream_answer(http, 500000);
	if (asks_for(http, "/short"))
		return stream_answer(http, 500001);
	if (asks_for(http, "/long"))
		return stream_answer(http, 499999);
	if (asks_for(http, "/chunks"))
		return stream_answer(http, TORC_HTTP_UNKNOWN);
	if (asks_for(http, "/204"))
		return torc_http_reply(http, 204, NULL, 0, "no", 2,
		    TORC_NEVER);
	if (asks_for(http, "/304"))
		return torc_http_reply(http, 304, NULL, 0, NULL, 2,
		    TORC_NEVER);
	if (asks_for(http, "/missing"))
		return torc_http_refuse(http, &(struct torc_http_refusal) {
		    .status = 404, .error = -ENOENT, .why = "no such page" },
		    TORC_NEVER);
	if (asks_for(http, "/forget"))
		return 0;
	if (asks_for(http, "/misordered"))
		return misorder_answer(http);
	if (asks_for(http, "/misstated"))
		return misstate_answer(http);
	if (asks_for(http, "/unended"))
		return torc_http_begin(http, 200, NULL, 0, 5, TORC_NEVER);
	if (http->request.target.data[1] == 'h')
		return large_head(http);
	return torc_http_reply(http, 200, NULL, 0, "ok", 2, TORC_NEVER);
}

static int
serve(struct torc_conn *conn, void *arg)
{
	struct torc_http http;

	torc_http_init(&http, conn, arg);
	while (torc_http_recv(&http, TORC_NEVER) > 0) {
		if (answer(&http) < 0)
			break;
	}
	return torc_http_result(&http);
}

static struct server server;

static void
start_dated(const struct torc_http_config *config)
{
	/* A drain is over for all that are not in a request. */
	static const struct torc_config hasty = { .lame_duck_ms = 1 };

	server_start(&server, &hasty, serve, (void *)(uintptr_t)config);
}

/* Without dates, answers can be compared as they are. */
static void
start(const struct torc_http_config *config)
{
	static struct torc_http_config dateless;

	dateless = config != NULL ? *config : (struct torc_http_config) {
		.head_max = 0,
	};
	dateless.no_date = true;
	start_dated(&dateless);
}

/* ---- Clients ---- */

static char *
room(void)
{
	static char memory[ROOM];

	memset(memory, 0, 4096);
	return memory;
}

/* Send, and read all that comes. The size, or -1 for a reset. */
static long
ask(const char *request, char *reply)
{
	int fd = client_open(server.port);
	long got;

	client_send(fd, request, strlen(request));
	got = client_read_all(fd, reply, ROOM - 1);
	close(fd);
	if (got >= 0)
		reply[got] = '\0';
	return got;
}

#define LAST "GET /last HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"
#define LAST_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" \
	"Connection: close\r\n\r\nok"

/* What is answered to `request`, which is followed by the last one. */
static void
assert_answer(const char *request, const char *want)
{
	char all[8192], expected[8192], *reply = room();

	snprintf(all, sizeof(all), "%s" LAST, request);
	snprintf(expected, sizeof(expected), "%s" LAST_ANSWER, want);
	assert_true(ask(all, reply) >= 0);
	assert_string_equal(reply, expected);
}

/* The same, and it is the last answer. */
static void
assert_last_answer(const char *request, const char *want)
{
	char all[8192], *reply = room();

	snprintf(all, sizeof(all), "%s" LAST, request);
	assert_true(ask(all, reply) >= 0);
	assert_string_equal(reply, want);
}

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void
answers_have_the_framing_that_the_request_and_the_status_need(void **state)
{
	(void)state;
	start(NULL);
	assert_answer("GET / HTTP/1.1\r\n" HOST "\r\n", OK);
	assert_answer("HEAD / HTTP/1.1\r\n" HOST "\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
	assert_answer("HEAD /chunks HTTP/1.1\r\n" HOST "\r\n",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	assert_answer("HEAD /sized HTTP/1.1\r\n" HOST "\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n");
	assert_answer("GET /204 HTTP/1.1\r\n" HOST "\r\n",
	    "HTTP/1.1 204 No Content\r\n\r\n");
	assert_answer("GET /304 HTTP/1.1\r\n" HOST "\r\n",
	    "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n");
	assert_answer("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	    "Connection: keep-alive\r\n\r\nok");
	assert_last_answer("GET / HTTP/1.0\r\n\r\n", LAST_ANSWER);
	assert_last_answer(LAST, LAST_ANSWER);
	assert_int_equal(server_stop(&server), 0);
}

static void
pipelined_requests_are_answered_in_order_and_in_one_send(void **state)
{
	char all[4096] = "", *reply = room();
	struct torc_counters before, after;
	int fd;

	(void)state;
	start(NULL);
	fd = client_open(server.port);
	for (unsigned i = 0; i < 20; i++)
		strcat(all, i % 2 ? "GET / HTTP/1.1\r\n" HOST "\r\n" :
		    "GET /204 HTTP/1.1\r\n" HOST "\r\n");
	before = server_counters(&server);
	client_send(fd, all, strlen(all));
	for (unsigned i = 0; i < 20; i++) {
		const char *want = i % 2 ? OK :
		    "HTTP/1.1 204 No Content\r\n\r\n";

		assert_true(client_read(fd, reply, strlen(want)));
		assert_memory_equal(reply, want, strlen(want));
	}
	after = server_counters(&server);
	assert_int_equal(after.quiet_sends - before.quiet_sends +
	    after.loud_sends - before.loud_sends, 1);
	close(fd);
	assert_int_equal(server_stop(&server), 0);
}

#define CHUNKED "Transfer-Encoding: chunked\r\n"

static const char *const split_requests[] = {
	"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
	"POST /echo HTTP/1.1\r\n" HOST CHUNKED "\r\n"
	    "3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nX-Trailer: !\r\nY: 2\r\n\r\n",
	"POST /count HTTP/1.1\r\n" HOST CHUNKED "\r\n5\r\nhello\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
	"POST / HTTP/1.1\r\n" HOST CHUNKED "\r\n5\r\nhello\r\n0\r\n\r\n",
	"GET / HTTP/1.1\r\n" HOST "\r\n",
	/* One line too many behind a body, and before the first request. */
	"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello\r\n",
	"\r\nPOST /count HTTP/1.1\r\n" HOST CHUNKED "\r\n5\r\nhello\r\n"
	    "0\r\n\r\n\r\n\r\n",
	"POST / HTTP/1.1\r\n" HOST "Content-Length: x\r\n\r\nhello",
	"POST /count HTTP/1.1\r\n" HOST CHUNKED "\r\n5\r\nhellox\r\n",
};

/* The body of an answer in chunks, or the answer if it is none. */
static void
join_chunks(char *reply)
{
	struct torc_http_chunks chunks = { .state = 0 };
	char *at = strstr(reply, "\r\n\r\n");
	char *to;

	if (strstr(reply, "chunked") == NULL || at == NULL)
		return;
	at += 4;
	to = at;
	while (!torc_http_chunks_over(&chunks)) {
		struct torc_slice body;
		int rc = torc_http_read_chunks(&chunks, (uint8_t *)at,
		    strlen(at), &body);

		assert_true(rc > 0);
		if (body.size > 0)
			memmove(to, body.data, body.size);
		to += body.size;
		at += rc;
	}
	memmove(to, at, strlen(at) + 1);
}

static void
ask_in_two(const char *text, size_t cut, char *reply)
{
	int fd = client_open(server.port);
	const size_t size = strlen(text);
	long got;

	client_send(fd, text, cut);
	/* So that the parts arrive as parts. */
	server_counters(&server);
	if (cut % 3 == 0)
		pause_ms(2);
	client_send(fd, text + cut, size - cut);
	got = client_read_all(fd, reply, ROOM - 1);
	close(fd);
	assert_true(got > 0);
	reply[got] = '\0';
	join_chunks(reply);
}

static void
a_request_that_is_cut_anywhere_has_the_same_answer(void **state)
{
	char whole[4096];
	char *reply = room();

	(void)state;
	start(NULL);
	for (size_t i = 0; i < COUNT(split_requests); i++) {
		char text[1024];

		snprintf(text, sizeof(text), "%s" LAST, split_requests[i]);
		assert_true(ask(text, reply) > 0);
		join_chunks(reply);
		assert_true(strlen(reply) < sizeof(whole));
		strcpy(whole, reply);
		if (i < 2)
			assert_non_null(strstr(whole, "hello"));
		if (i == 1)
			assert_non_null(strstr(whole, "hello!"));
		if (i == 2 || i == 7)
			assert_non_null(strstr(whole, "5 /count"));
		if (i >= 8)
			assert_memory_equal(whole, "HTTP/1.1 400 ", 13);
		else
			assert_non_null(strstr(whole, LAST_ANSWER));
		for (size_t cut = 1; cut < strlen(text); cut++) {
			ask_in_two(text, cut, reply);
			assert_string_equal(reply, whole);
		}
	}
	assert_int_equal(server_stop(&server), 0);
}

/* What is answered to a request with a FIN behind it. */
static void
assert_answer_to_end(const char *request, const char *want)
{
	char *reply = room();
	int fd = client_open(server.port);
	long got;

	client_send(fd, request, strlen(request));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	got = client_read_all(fd, reply, ROOM - 1);
	close(fd);
	assert_true(got > 0);
	reply[got] = '\0';
	assert_string_equal(reply, want);
}

/* ---- Fields, and fields behind the body ---- */

static void
assert_told(const char *request, const char *told)
{
	char want[256];

	snprintf(want, sizeof(want), "HTTP/1.1 200 OK\r\n"
	    "Content-Length: %zu\r\n\r\n%s", strlen(told), told);
	assert_answer(request, want);
}

static void
a_trailer_has_its_own_place_and_the_head_stays_what_it_was(void **state)
{
	static const char post[] = "POST /fields HTTP/1.1\r\n" HOST
	    "X-User: alice\r\n" CHUNKED "\r\n3\r\nabc\r\n0\r\n"
	    "X-User: root\r\nA: b\r\n\r\n" LAST;
	char *reply = room();

	(void)state;
	start(NULL);
	assert_told("POST /fields HTTP/1.1\r\n" HOST CHUNKED "\r\n0\r\n"
	    "X-User: root\r\n\r\n", "2 -;1 root;");
	/* That of the request before is not there. */
	assert_answer("POST / HTTP/1.1\r\n" HOST CHUNKED "\r\n0\r\n"
	    "X-User: root\r\n\r\nGET /fields HTTP/1.1\r\n" HOST "\r\n",
	    OK "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n1 -;0 -;");
	for (size_t cut = 1; cut < sizeof(post) - 1; cut++) {
		ask_in_two(post, cut, reply);
		assert_non_null(strstr(reply, "3 alice;2 root;"));
	}
	assert_int_equal(server_stop(&server), 0);
}

/* The server, with so few and small buffers that each is used again. */
static void
start_small(void)
{
	static const struct torc_http_config dateless = { .no_date = true };
	const struct torc_config few = { .buffers = 4, .buffer_size = 256 };

	server_start(&server, &few, serve, (void *)(uintptr_t)&dateless);
}

static void
a_head_is_readable_however_much_comes_behind_it(void **state)
{
	static const char *const targets[] = { "/fields", "/kept/fields" };
	static char request[20000];
	char *reply = room();

	(void)state;
	start_small();
	for (unsigned i = 0; i < 4; i++) {
		int size = snprintf(request, sizeof(request), i < 2 ?
		    "POST %s HTTP/1.1\r\n" HOST "X-User: alice\r\n"
		    "Content-Length: 15000\r\n\r\n%015000d" LAST :
		    "POST %s HTTP/1.1\r\n" HOST "X-User: alice\r\n" CHUNKED
		    "\r\n3a98\r\n%015000d\r\n0\r\nX-User: root\r\n\r\n"
		    LAST, targets[i % 2], 0);

		assert_true(size > 15000);
		assert_true(ask(request, reply) > 0);
		assert_non_null(strstr(reply, i < 2 ? "3 alice;0 -;" :
		    "3 alice;1 root;"));
	}
	assert_int_equal(server_stop(&server), 0);
}

/* A request with so many fields in its head, and so many behind its body. */
static const char *
with_fields(unsigned count, unsigned behind)
{
	static char text[65536];
	char *at = text + sprintf(text, "POST /fields HTTP/1.1\r\n" HOST
	    CHUNKED "Connection: close\r\n");

	for (unsigned i = 3; i < count; i++)
		at += sprintf(at, i == count - 1 ? "X-User: h\r\n" :
		    "a: b\r\n");
	at += sprintf(at, "\r\n0\r\n");
	for (unsigned i = 0; i < behind; i++)
		at += sprintf(at, i == behind - 1 ? "X-User: t\r\n" :
		    "a: b\r\n");
	sprintf(at, "\r\n");
	return text;
}

static void
assert_fields(unsigned count, unsigned behind)
{
	char told[64], want[256], *reply = room();
	const char *text = with_fields(count, behind);

	snprintf(told, sizeof(told), "%u h;%u %c;", count, behind,
	    behind > 0 ? 't' : '-');
	snprintf(want, sizeof(want), "HTTP/1.1 200 OK\r\n"
	    "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
	    strlen(told), told);
	ask_in_two(text, strlen(text) / 3, reply);
	assert_string_equal(reply, want);
}

static void
as_many_fields_are_taken_as_are_configured(void **state)
{
	static const struct torc_http_config many = { .fields_max = 2000 };
	char *reply = room();

	(void)state;
	start(NULL);
	assert_fields(4, 0);
	assert_fields(100, 100);
	assert_fields(128, 128);
	ask_in_two(with_fields(129, 0), 100, reply);
	assert_memory_equal(reply, "HTTP/1.1 431 ", 13);
	ask_in_two(with_fields(128, 129), 100, reply);
	assert_memory_equal(reply, "HTTP/1.1 431 ", 13);
	assert_int_equal(server_stop(&server), 0);
	start(&many);
	assert_fields(128, 1);
	assert_fields(129, 0);
	assert_fields(2000, 2000);
	assert_fields(4, 2000);
	ask_in_two(with_fields(2001, 0), 100, reply);
	assert_memory_equal(reply, "HTTP/1.1 431 ", 13);
	ask_in_two(with_fields(3, 2001), 100, reply);
	assert_memory_equal(reply, "HTTP/1.1 431 ", 13);
	assert_int_equal(server_stop(&server), 0);
}

/* ---- Connections that are taken over ---- */

#define UPGRADE "Connection: upgrade\r\nUpgrade: five\r\n"
#define SWITCHED "HTTP/1.1 101 Switching Protocols\r\nupgrade: five\r\n" \
	"Connection: upgrade\r\n\r\n"

static void
a_connection_that_is_taken_over_begins_behind_the_request(void **state)
{
	static const char *const requests[] = {
		"GET /over HTTP/1.1\r\n" HOST UPGRADE "\r\nFRAME",
		"GET /kept/over HTTP/1.1\r\n" HOST UPGRADE "\r\nFRAME",
		"POST /over HTTP/1.1\r\n" HOST UPGRADE CHUNKED
		    "\r\n2\r\nab\r\n0\r\n\r\nFRAME",
		"\r\nPOST /kept/over HTTP/1.1\r\n" HOST UPGRADE
		    "Content-Length: 2\r\n\r\nabFRAME",
	};
	char *reply = room();

	(void)state;
	start(NULL);
	for (size_t i = 0; i < COUNT(requests); i++) {
		const size_t size = strlen(requests[i]);

		for (size_t cut = 1; cut < size; cut++) {
			ask_in_two(requests[i], cut, reply);
			assert_string_equal(reply, SWITCHED "FRAME");
		}
	}
	assert_int_equal(server_stop(&server), 0);
}

static void
only_what_asked_for_an_upgrade_is_taken_over(void **state)
{
	(void)state;
	start(NULL);
	assert_answer("GET /over HTTP/1.1\r\n" HOST "Upgrade: five\r\n\r\n",
	    OK);
	assert_answer("GET /over HTTP/1.1\r\n" HOST
	    "Connection: upgrade\r\n\r\n", OK);
	assert_answer("GET /over/unnamed HTTP/1.1\r\n" HOST UPGRADE "\r\n",
	    OK);
	assert_last_answer("GET /over HTTP/1.0\r\n" UPGRADE "\r\n",
	    LAST_ANSWER);
	assert_int_equal(server_stop(&server), 0);
}

/* ---- What torc answers by itself ---- */

/* Says what happened, unless that cannot be written. */
static void
explain(const struct torc_http_head *request,
    struct torc_http_refusal *refusal, void *arg)
{
	static const struct torc_http_field plain = {
		{ (const uint8_t *)"Content-Type", 12 },
		{ (const uint8_t *)"text/plain", 10 },
	};
	char *text = arg;

	if (torc_http_equals(request->target, "/silent")) {
		refusal->status = 0;
		return;
	}
	if (torc_http_equals(request->target, "/unwritable")) {
		refusal->status = 1;
		return;
	}
	if (refusal->exchange != NULL)
		refusal->why = "an exchange without a service";
	refusal->size = (size_t)snprintf(text, 200, "%u %d %s",
	    refusal->status, -refusal->error,
	    refusal->why != NULL ? refusal->why : "-");
	refusal->body = text;
	refusal->fields = &plain;
	refusal->field_count = 1;
	if (refusal->status == 505)
		refusal->status = 400;
}

static void
assert_explained(const char *request, unsigned status, const char *text)
{
	char want[512];

	snprintf(want, sizeof(want), "HTTP/1.1 %u %s\r\n"
	    "Content-Type: text/plain\r\nContent-Length: %zu\r\n"
	    "Connection: close\r\n\r\n%s", status, torc_http_reason(status),
	    strlen(text), text);
	assert_answer_to_end(request, want);
}

static void
what_torc_answers_by_itself_can_be_seen_and_changed(void **state)
{
	static char text[256];
	static struct torc_http_config config;
	char *reply = room();

	(void)state;
	config = small;
	config.refusal = explain;
	config.arg = text;
	start(&config);
	assert_explained("GET / HTTP/1.1\r\n\r\n", 400, "400 74 no Host");
	assert_explained("POST / HTTP/1.1\r\n" HOST
	    "Content-Length: 1001\r\n\r\n", 413,
	    "413 27 a body longer than body_max");
	assert_explained("POST /count HTTP/1.1\r\n" HOST
	    "Content-Length: 5\r\n\r\nhell", 400,
	    "400 104 a body that ends early");
	assert_explained("CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n", 501,
	    "501 95 CONNECT is not offered");
	assert_explained("GET / HTTP/2.0\r\n" HOST "\r\n", 400,
	    "505 93 a version other than HTTP/1");
	assert_answer("GET /forget HTTP/1.1\r\n" HOST "\r\n",
	    "HTTP/1.1 500 Internal Server Error\r\n"
	    "Content-Type: text/plain\r\nContent-Length: 32\r\n\r\n"
	    "500 0 the handler did not answer");
	/* What cannot be written is not, and what is not to be is not. */
	assert_last_answer("GET /unwritable HTTP/2.0\r\n" HOST "\r\n",
	    "HTTP/1.1 505 HTTP Version Not Supported\r\n"
	    "Content-Length: 0\r\nConnection: close\r\n\r\n");
	assert_int_equal(ask("GET /silent HTTP/2.0\r\n" HOST "\r\n", reply),
	    0);
	assert_int_equal(ask("GET /silent HTTP/1.1\r\n" HOST
	    "Content-Length: x\r\n\r\n", reply), 0);
	/* A page of the handler's own asks the hook, too. */
	assert_answer("GET /missing HTTP/1.1\r\n" HOST "\r\n",
	    "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n"
	    "Content-Length: 18\r\n\r\n404 2 no such page");
	assert_int_equal(server_stop(&server), 0);
}

/* ---- What peers do wrong ---- */

static void
fill(char *text, size_t size)
{
	memset(text, 'a', size);
	text[size] = '\0';
}

static void
assert_refusal(const char *request, unsigned status)
{
	char want[256];

	snprintf(want, sizeof(want), "HTTP/1.1 %u %s\r\n"
	    "Content-Length: 0\r\nConnection: close\r\n\r\n", status,
	    torc_http_reason(status));
	assert_last_answer(request, want);
}

static void
each_wrong_request_has_its_status_and_ends_the_connection(void **state)
{
	char pad[2048], text[4096], *reply = room();

	(void)state;
	start(&small);
	assert_refusal("GET / HTTP/1.1\r\n\r\n", 400);
	assert_refusal("POST / HTTP/1.1\r\n" HOST CHUNKED
	    "Content-Length: 1\r\n\r\n", 400);
	assert_refusal("\nGET / HTTP/1.1\r\n" HOST "\r\n", 400);
	assert_refusal("\r\n\r\n\r\n\r\n\r\n", 400);
	assert_refusal("GET / HTTP/2.0\r\n" HOST "\r\n", 505);
	assert_refusal("POST / HTTP/1.1\r\n" HOST
	    "Transfer-Encoding: gzip\r\n\r\n", 501);
	assert_refusal("CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n", 501);
	assert_refusal("POST / HTTP/1.1\r\n" HOST
	    "Content-Length: 1001\r\n\r\n", 413);
	fill(pad, 100);
	snprintf(text, sizeof(text), "GET /%s HTTP/1.1\r\n" HOST "\r\n", pad);
	assert_refusal(text, 414);
	/* A line need not end for that. */
	fill(pad, 1000);
	snprintf(text, sizeof(text), "GET /%s", pad);
	assert_true(ask(text, reply) > 0);
	assert_memory_equal(reply, "HTTP/1.1 414 ", 13);
	fill(pad, 1024);
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" HOST "X: %s\r\n\r\n",
	    pad);
	assert_refusal(text, 431);
	strcpy(text, "GET / HTTP/1.1\r\n" HOST);
	for (unsigned i = 0; i < TORC_HTTP_FIELDS; i++)
		strcat(text, "a:\r\n");
	strcat(text, "\r\n");
	assert_refusal(text, 431);
	fill(pad, 1001);
	snprintf(text, sizeof(text), "POST /count HTTP/1.1\r\n" HOST CHUNKED
	    "\r\n3e9\r\n%s\r\n0\r\n\r\n", pad);
	assert_refusal(text, 413);
	assert_int_equal(server_stop(&server), 0);
}

static void
what_is_just_within_the_limits_is_answered(void **state)
{
	char pad[2048], text[4096];

	(void)state;
	start(&small);
	fill(pad, 99);
	snprintf(text, sizeof(text), "GET /%s HTTP/1.1\r\n" HOST "\r\n", pad);
	assert_answer(text, OK);
	fill(pad, 1024 - strlen("GET / HTTP/1.1\r\n" HOST "X: \r\n\r\n"));
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" HOST "X: %s\r\n\r\n",
	    pad);
	assert_answer(text, OK);
	strcpy(text, "GET / HTTP/1.1\r\n" HOST);
	for (unsigned i = 1; i < TORC_HTTP_FIELDS; i++)
		strcat(text, "a:\r\n");
	strcat(text, "\r\n");
	assert_answer(text, OK);
	fill(pad, 1000);
	snprintf(text, sizeof(text), "POST /count HTTP/1.1\r\n" HOST CHUNKED
	    "\r\n3e8\r\n%s\r\n0\r\n\r\n", pad);
	assert_answer(text, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n"
	    "1000 /count");
	assert_int_equal(server_stop(&server), 0);
}

/* ---- Deadlines ---- */

static void
assert_late(const char *begun, const char *drip, const char *want)
{
	int fd = client_open(server.port);
	const uint64_t start_ms = now_ms();
	char *reply = room();
	long got;

	client_send(fd, begun, strlen(begun));
	for (; *drip != '\0'; drip++) {
		pause_ms(50);
		client_send(fd, drip, 1);
	}
	got = client_read_all(fd, reply, ROOM - 1);
	assert_true(got >= 0);
	reply[got] = '\0';
	assert_memory_equal(reply, want, strlen(want));
	assert_int_equal(got == 0, *want == '\0');
	assert_true(now_ms() - start_ms >= 250);
	close(fd);
}

static void
each_phase_has_a_deadline_that_ends_it(void **state)
{
	static struct torc_http_config config;

	(void)state;
	config = small;
	config.idle_ms = 300;
	start(&config);
	assert_late("", "", "");
	assert_late("GET / HTTP/1.1\r\n", "", "HTTP/1.1 408 ");
	assert_late("POST /count HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n"
	    "123", "", "HTTP/1.1 408 ");
	assert_late("POST /count HTTP/1.1\r\n" HOST CHUNKED "\r\n3\r\n1",
	    "", "HTTP/1.1 408 ");
	assert_int_equal(server_stop(&server), 0);
}

/* What has not begun has no answer: nginx, too, ends it with none. */
static void
empty_lines_and_then_silence_end_a_connection_without_an_answer(void **state)
{
	static const char post[] = "POST / HTTP/1.1\r\n" HOST
	    "Content-Length: 5\r\n\r\nhello\r\n";
	char *reply = room();

	(void)state;
	start(&small);
	assert_late("\r\n", "", "");
	assert_late("", "\r\n\r", "");
	assert_late("\r\nGET / HTTP/1.1\r\n", "", "HTTP/1.1 408 ");
	assert_true(ask(post, reply) > 0);
	assert_string_equal(reply, OK);
	assert_int_equal(server_stop(&server), 0);
}

static void
bytes_of_a_head_do_not_move_its_deadline(void **state)
{
	char *reply = room();
	int fd;

	(void)state;
	start(&small);
	fd = client_open(server.port);
	client_send(fd, "GET / HTTP/1.1\r\nX: ", 19);
	for (unsigned i = 0; i < 60; i++) {
		pause_ms(25);
		client_send(fd, "x", 1);
	}
	/* After 300 ms, and not 300 ms from now. */
	assert_true(recv(fd, reply, 13, MSG_DONTWAIT) == 13);
	assert_memory_equal(reply, "HTTP/1.1 408 ", 13);
	close(fd);
	assert_int_equal(server_stop(&server), 0);
}

/* ---- Bodies and connections ---- */

static void
continue_is_sent_when_the_body_is_read_and_not_before(void **state)
{
	static const char head[] = "POST /count HTTP/1.1\r\n" HOST
	    "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n";
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	char *reply = room();
	int fd;

	(void)state;
	start(&small);
	fd = client_open(server.port);
	client_send(fd, head, sizeof(head) - 1);
	assert_true(client_read(fd, reply, sizeof(go_on) - 1));
	assert_memory_equal(reply, go_on, sizeof(go_on) - 1);
	client_send(fd, "hello" LAST, 5 + sizeof(LAST) - 1);
	reply[client_read_all(fd, reply, ROOM - 1)] = '\0';
	assert_string_equal(reply, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n"
	    "\r\n5 /count" LAST_ANSWER);
	close(fd);
	/* One that is refused is not asked for; nor is one that nobody reads,
	 * and what follows might be it or not. */
	assert_refusal("POST /count HTTP/1.1\r\n" HOST
	    "Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n", 413);
	assert_last_answer("POST / HTTP/1.1\r\n" HOST
	    "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", LAST_ANSWER);
	/* One that came along needs no 100. */
	assert_answer("POST /count HTTP/1.1\r\n" HOST
	    "Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
	    "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n5 /count");
	assert_int_equal(server_stop(&server), 0);
}

static void
a_body_that_was_not_read_is_skipped_if_it_is_small(void **state)
{
	char pad[512], text[1024];

	(void)state;
	start(&small);
	fill(pad, 100);
	snprintf(text, sizeof(text), "POST / HTTP/1.1\r\n" HOST
	    "Content-Length: 100\r\n\r\n%s", pad);
	assert_answer(text, OK);
	snprintf(text, sizeof(text), "POST / HTTP/1.1\r\n" HOST CHUNKED
	    "\r\n64\r\n%s\r\n0\r\n\r\n", pad);
	assert_answer(text, OK);
	fill(pad, 101);
	snprintf(text, sizeof(text), "POST / HTTP/1.1\r\n" HOST
	    "Content-Length: 101\r\n\r\n%s", pad);
	assert_last_answer(text, LAST_ANSWER);
	snprintf(text, sizeof(text), "POST / HTTP/1.1\r\n" HOST CHUNKED
	    "\r\n65\r\n%s\r\n0\r\n\r\n", pad);
	assert_last_answer(text, OK);
	/* An answer that was given is not given again. */
	assert_last_answer("POST / HTTP/1.1\r\n" HOST CHUNKED
	    "\r\n1\r\nxy\r\n", OK);
	assert_int_equal(server_stop(&server), 0);
}

static void
streamed_answers_arrive_whole(void **state)
{
	char *reply = room();
	const char *body;

	(void)state;
	start(NULL);
	assert_true(ask("GET /sized HTTP/1.0\r\n\r\n", reply) > 0);
	body = strstr(reply, "\r\n\r\n") + 4;
	assert_int_equal(strlen(body), 500000);
	/* To one that knows no chunks: until the end. */
	assert_true(ask("GET /chunks HTTP/1.0\r\n"
	    "Connection: keep-alive\r\n\r\n", reply) > 0);
	body = strstr(reply, "\r\n\r\n") + 4;
	assert_int_equal(strlen(body), 500000);
	assert_non_null(strstr(reply, "Connection: close"));
	assert_true(ask("GET /chunks HTTP/1.1\r\n" HOST
	    "Connection: close\r\n\r\n", reply) > 0);
	assert_non_null(strstr(reply, "Transfer-Encoding: chunked"));
	join_chunks(reply);
	body = strstr(reply, "\r\n\r\n") + 4;
	/* The empty line of the trailer stays behind it. */
	assert_int_equal(strlen(body), 500002);
	assert_int_equal(server_stop(&server), 0);
}

/* More than was promised, or less: the client must not take it for whole. */
static void
an_answer_that_is_not_as_long_as_promised_is_reset(void **state)
{
	char *reply = room();

	(void)state;
	start(NULL);
	assert_true(ask("GET /short HTTP/1.0\r\n\r\n", reply) < 0);
	assert_true(ask("GET /long HTTP/1.0\r\n\r\n", reply) < 0);
	assert_true(ask("GET /sized HTTP/1.0\r\n\r\n", reply) > 0);
	assert_int_equal(server_stop(&server), 0);
}

static void
an_answer_is_begun_told_and_ended_in_this_order_or_not_at_all(void **state)
{
	char *reply = room();

	(void)state;
	start(NULL);
	assert_answer("GET /misordered HTTP/1.1\r\n" HOST "\r\n", OK);
	assert_true(ask("GET /misstated HTTP/1.1\r\n" HOST "\r\n" LAST,
	    reply) < 0);
	assert_true(ask("GET /unended HTTP/1.1\r\n" HOST "\r\n" LAST,
	    reply) < 0);
	assert_int_equal(server_stop(&server), 0);
}

/* ---- Drains ---- */

/* The server drains, and has seen what was sent before. */
static void
begin_drain(void)
{
	assert_true(server_await_connections(&server, 1));
	pause_ms(50);
	torc_reactor_drain(server.reactor, torc_after_ms(20000));
	server_counters(&server);
	server_counters(&server);
}

static void
finish_upload(const char *const parts[3], const char *want)
{
	char *reply = room();
	int fd;

	start(NULL);
	fd = client_open(server.port);
	client_send(fd, parts[0], strlen(parts[0]));
	begin_drain();
	for (unsigned i = 1; i < 3; i++) {
		client_send(fd, parts[i], strlen(parts[i]));
		pause_ms(50);
	}
	reply[client_read_all(fd, reply, ROOM - 1)] = '\0';
	assert_string_equal(reply, want);
	close(fd);
	assert_int_equal(server_drain(&server, 20000), 0);
}

/* All that came of it was consumed: torc must know that there is more. */
static void
an_upload_that_is_under_way_in_a_drain_is_finished(void **state)
{
	static const char want[] = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n"
	    "Connection: close\r\n\r\n5 /count";

	(void)state;
	finish_upload((const char *[]) { "POST /count HTTP/1.1\r\n" HOST
	    "Content-Length: 5\r\n\r\nhe", "ll", "o" }, want);
	finish_upload((const char *[]) { "POST /count HTTP/1.1\r\n" HOST
	    CHUNKED "\r\n2\r\nhe\r\n", "3\r\n", "llo\r\n0\r\n\r\n" },
	    want);
	finish_upload((const char *[]) { "POST /count HTTP/1.1\r\n" HOST
	    CHUNKED "\r\n5\r\nhello\r\n0\r\n", "A: b\r\n", "\r\n" },
	    want);
	/* A head is never cut off. */
	finish_upload((const char *[]) { "POST /count HTTP/1.1\r\n",
	    HOST "Content-Length: 5\r\n\r\n", "hello" }, want);
}

/* A body that does not come ends with the drain, and not before. */
static void
an_upload_that_stands_still_ends_with_the_drain(void **state)
{
	static const char part[] = "POST /count HTTP/1.1\r\n" HOST
	    "Content-Length: 5\r\n\r\nhel";
	char *reply = room();
	int fd;

	(void)state;
	start(NULL);
	fd = client_open(server.port);
	client_send(fd, part, sizeof(part) - 1);
	begin_drain();
	pause_ms(50);
	assert_int_equal(server_connections(&server), 1);
	assert_int_equal(server_drain(&server, 100), 0);
	assert_true(client_read_all(fd, reply, ROOM - 1) <= 0 ||
	    memcmp(reply, "HTTP/1.1 503 ", 13) == 0);
	close(fd);
}

static void
answers_that_are_made_in_a_drain_say_that_the_connection_closes(void **state)
{
	static const struct {
		const char *request;
		const char *want;
	} asked[] = {
		{ "GET /later HTTP/1.1\r\n" HOST "\r\n", LAST_ANSWER },
		{ "HEAD /later HTTP/1.1\r\n" HOST "\r\n",
		    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
		    "Connection: close\r\n\r\n" },
		{ "GET /later/forget HTTP/1.1\r\n" HOST "\r\n",
		    "HTTP/1.1 500 Internal Server Error\r\n"
		    "Content-Length: 0\r\nConnection: close\r\n\r\n" },
		{ "GET /later/pieces HTTP/1.1\r\n" HOST "\r\n",
		    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
		    "Connection: close\r\n\r\n2\r\nok\r\n0\r\n\r\n" },
		{ "GET /later HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		    LAST_ANSWER },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(asked); i++) {
		char *reply = room();
		int fd;

		start(NULL);
		fd = client_open(server.port);
		client_send(fd, asked[i].request, strlen(asked[i].request));
		begin_drain();
		reply[client_read_all(fd, reply, ROOM - 1)] = '\0';
		assert_string_equal(reply, asked[i].want);
		close(fd);
		assert_int_equal(server_drain(&server, 20000), 0);
	}
}

static void
a_body_that_ends_early_is_the_fault_of_the_client(void **state)
{
	static const char refusal[] = "HTTP/1.1 400 Bad Request\r\n"
	    "Content-Length: 0\r\nConnection: close\r\n\r\n";

	(void)state;
	start(NULL);
	assert_answer_to_end("POST /count HTTP/1.1\r\n" HOST
	    "Content-Length: 5\r\n\r\nhell", refusal);
	assert_answer_to_end("POST /count HTTP/1.1\r\n" HOST CHUNKED
	    "\r\n5\r\nhello\r\n0\r\n", refusal);
	assert_answer_to_end("POST /count HTTP/1.1\r\n" HOST
	    "Content-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 8\r\n\r\n5 /count");
	assert_int_equal(server_stop(&server), 0);
}

static void
fields_that_would_split_an_answer_are_refused_before_a_byte(void **state)
{
	(void)state;
	start(NULL);
	assert_answer("GET /split HTTP/1.1\r\n" HOST "\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsplit");
	assert_int_equal(server_stop(&server), 0);
}

static void
large_heads_are_sent_and_too_large_ones_refused(void **state)
{
	char *reply = room();

	(void)state;
	start(NULL);
	for (unsigned i = 0; i < 7; i++) {
		char text[128];
		long got;

		snprintf(text, sizeof(text), "GET /h%u HTTP/1.1\r\n" HOST
		    "Connection: close\r\n\r\n", i);
		got = ask(text, reply);
		assert_true(got > (long)(i * 20 * 505));
		assert_string_equal(reply + got - 5, "large");
	}
	assert_true(ask("GET /h8 HTTP/1.1\r\n" HOST
	    "Connection: close\r\n\r\n", reply) < 200);
	assert_non_null(strstr(reply, "too large"));
	assert_int_equal(server_stop(&server), 0);
}

static void
a_request_that_nobody_answered_is_answered_with_500(void **state)
{
	(void)state;
	start(NULL);
	assert_answer("GET /forget HTTP/1.1\r\n" HOST "\r\n",
	    "HTTP/1.1 500 Internal Server Error\r\n"
	    "Content-Length: 0\r\n\r\n");
	assert_int_equal(server_stop(&server), 0);
}

static void
the_last_of_so_many_requests_is_told_so(void **state)
{
	static const struct torc_http_config three = { .requests_max = 3 };
	char *reply = room();

	(void)state;
	start(&three);
	assert_true(ask("GET / HTTP/1.1\r\n" HOST "\r\n"
	    "GET / HTTP/1.1\r\n" HOST "\r\nGET / HTTP/1.1\r\n" HOST "\r\n"
	    "GET / HTTP/1.1\r\n" HOST "\r\n", reply) > 0);
	assert_string_equal(reply, OK OK LAST_ANSWER);
	assert_int_equal(server_stop(&server), 0);
}

static void
assert_dates(const char *request, unsigned count)
{
	char *reply = room();
	const char *at = reply;

	assert_true(ask(request, reply) > 0);
	while ((at = strstr(at, "\r\nDate: ")) != NULL) {
		assert_memory_equal(at + 33, " GMT\r\n", 6);
		assert_true(at[11] == ',' && at[27] == ':');
		at += 6;
		count--;
	}
	assert_int_equal(count, 0);
}

/* RFC 9110, 6.6.1. But for interim answers. */
static void
every_answer_has_a_date_unless_it_is_switched_off(void **state)
{
	static const struct torc_http_config none = { .no_date = true };

	(void)state;
	start_dated(&small);
	assert_dates("GET / HTTP/1.1\r\n" HOST "\r\n"
	    "GET /304 HTTP/1.1\r\n" HOST "\r\n"
	    "GET /204 HTTP/1.1\r\n" HOST "\r\n"
	    "GET /forget HTTP/1.1\r\n" HOST "\r\n" LAST, 5);
	assert_dates("GET / HTTP/1.1\r\n\r\n", 1);
	assert_dates("POST / HTTP/1.1\r\n" HOST
	    "Content-Length: 1001\r\n\r\n", 1);
	assert_dates("GET /hints HTTP/1.1\r\n" HOST "\r\n" LAST, 2);
	/* The handler's own has another case. */
	assert_dates("GET /dated HTTP/1.1\r\n" HOST "\r\n" LAST, 1);
	assert_int_equal(server_stop(&server), 0);
	start_dated(&none);
	assert_dates("GET / HTTP/1.1\r\n" HOST "\r\n" LAST, 0);
	assert_dates("GET / HTTP/1.1\r\n\r\n", 0);
	assert_int_equal(server_stop(&server), 0);
}

/* ---- Interim answers ---- */

static void
a_handler_sends_as_many_interim_answers_as_it_likes(void **state)
{
	(void)state;
	start(NULL);
	assert_answer("GET /hints HTTP/1.1\r\n" HOST "\r\n",
	    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
	    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" OK);
	/* One that was not asked for is nothing that HTTP/1.0 knows. */
	assert_last_answer("GET /hints HTTP/1.0\r\n\r\n", LAST_ANSWER);
	assert_int_equal(server_stop(&server), 0);
}

static void
continue_can_be_left_to_the_handler(void **state)
{
	static const char head[] = "POST /held HTTP/1.1\r\n" HOST
	    "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n";
	static const char processing[] = "HTTP/1.1 102 Processing\r\n\r\n";
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	char *reply = room();
	int fd;

	(void)state;
	start(&small);
	fd = client_open(server.port);
	client_send(fd, head, sizeof(head) - 1);
	/* It waits for the body, and no 100 was sent. */
	assert_true(client_read(fd, reply, sizeof(processing) - 1));
	assert_memory_equal(reply, processing, sizeof(processing) - 1);
	assert_true(client_read(fd, reply, sizeof(go_on) - 1));
	assert_memory_equal(reply, go_on, sizeof(go_on) - 1);
	client_send(fd, "hello" LAST, 5 + sizeof(LAST) - 1);
	reply[client_read_all(fd, reply, ROOM - 1)] = '\0';
	assert_string_equal(reply, OK LAST_ANSWER);
	close(fd);
	/* One who does not wait for it needs none. */
	fd = client_open(server.port);
	client_send(fd, head, sizeof(head) - 1);
	client_send(fd, "hello" LAST, 5 + sizeof(LAST) - 1);
	reply[client_read_all(fd, reply, ROOM - 1)] = '\0';
	assert_non_null(strstr(reply, OK LAST_ANSWER));
	close(fd);
	/* A final answer instead ends the connection. */
	assert_last_answer("POST /held/no HTTP/1.1\r\n" HOST
	    "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
	    LAST_ANSWER);
	assert_int_equal(server_stop(&server), 0);
}

/* ---- Who waits for something else ---- */

static struct {
	bool asks;		/* to be told that its client goes */
	_Atomic bool waiting;
	_Atomic int result;	/* of its wait; 1: it has not ended */
} news;

static int
wait_for_news(struct torc_conn *conn, void *arg)
{
	struct torc_waiters nobody = { 0 };
	struct torc_http http;
	int rc;

	torc_http_init(&http, conn, arg);
	if (torc_http_recv(&http, TORC_NEVER) <= 0)
		return TORC_CLOSE;
	if (news.asks)
		torc_conn_watch_begin(conn, TORC_WATCH_FIN);
	atomic_store(&news.waiting, true);
	rc = torc_wait(&nobody, torc_after_ms(news.asks ? 60000 : 200));
	torc_conn_watch_end(conn);
	atomic_store(&news.result, rc);
	(void)!torc_http_reply(&http, 204, NULL, 0, NULL, 0, TORC_NEVER);
	return torc_http_result(&http);
}

/* What a handler's wait comes to whose client asks, and leaves. */
static int
wait_while_the_client_leaves(bool asks)
{
	int fd, result;

	news.asks = asks;
	atomic_store(&news.waiting, false);
	atomic_store(&news.result, 1);
	server_start(&server, NULL, wait_for_news, NULL);
	fd = client_open(server.port);
	client_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
	for (unsigned i = 0; i < 10000 && !atomic_load(&news.waiting); i++)
		pause_ms(1);
	close(fd);
	for (unsigned i = 0; i < 10000 && atomic_load(&news.result) == 1; i++)
		pause_ms(1);
	result = atomic_load(&news.result);	/* a stop ends waits, too */
	assert_int_equal(server_stop(&server), 0);
	return result;
}

static void
a_handler_that_waits_for_news_hears_that_its_client_has_left(void **state)
{
	(void)state;
	assert_int_equal(wait_while_the_client_leaves(true), -ECANCELED);
	assert_int_equal(wait_while_the_client_leaves(false), -ETIMEDOUT);
}

/* ---- Misuse ---- */

static struct torc_http unopened;

static void
open_nothing(void)
{
	torc_http_init(&unopened, NULL, NULL);
}

static void
receive_without_open(void)
{
	(void)!torc_http_recv(&unopened, TORC_NEVER);
}

static void
read_without_open(void)
{
	struct torc_slice body;

	(void)!torc_http_read(&unopened, &body, TORC_NEVER);
}

static void
reply_without_open(void)
{
	(void)!torc_http_reply(NULL, 200, NULL, 0, NULL, 0, TORC_NEVER);
}

static void
end_without_open(void)
{
	(void)!torc_http_end(&unopened, TORC_NEVER);
}

static void
result_of_nothing(void)
{
	(void)!torc_http_result(NULL);
}

static const struct {
	void (*misuse)(void);
	const char *sentence;
} misuses[] = {
	{ open_nothing, "torc_http_init() needs its memory and a connection" },
	{ receive_without_open, "that torc_http_init() did not begin" },
	{ read_without_open, "that torc_http_init() did not begin" },
	{ reply_without_open, "that torc_http_init() did not begin" },
	{ end_without_open, "that torc_http_init() did not begin" },
	{ result_of_nothing, "that torc_http_init() did not begin" },
};

static void
misuse_stops_the_process_with_a_sentence(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(misuses); i++) {
		char said[1024] = "";
		int fds[2], status;
		pid_t child;

		assert_int_equal(pipe(fds), 0);
		child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			signal(SIGABRT, SIG_DFL);
			dup2(fds[1], STDERR_FILENO);
			misuses[i].misuse();
			_exit(0);
		}
		close(fds[1]);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(read(fds[0], said, sizeof(said) - 1) >= 0);
		close(fds[0]);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
		assert_non_null(strstr(said, misuses[i].sentence));
	}
	/* Nothing is found in nothing. */
	assert_null(torc_http_find(NULL, "a"));
	assert_null(torc_http_find(&unopened.request, NULL));
	assert_int_equal(torc_http_text(NULL).size, 0);
	assert_false(torc_http_equals(torc_http_text(""), NULL));
}

/* ---- Many at once ---- */

#define PIPELINED 2000u

struct shares {
	sem_t reached;
	sem_t go;
	struct torc_post post;
	_Atomic unsigned answered;	/* of the pipeline */
	_Atomic unsigned before;	/* of them, before the other one */
};

static void
stand_still(struct torc_reactor *reactor, struct torc_post *post)
{
	struct shares *shares = torc_container(post, struct shares, post);

	(void)reactor;
	sem_post(&shares->reached);
	while (sem_wait(&shares->go) < 0)
		continue;
}

static int
count_shares(struct torc_conn *conn, void *arg)
{
	struct shares *shares = arg;
	struct torc_http http;

	torc_http_init(&http, conn, NULL);
	while (torc_http_recv(&http, TORC_NEVER) > 0) {
		if (asks_for(&http, "/other"))
			shares->before = shares->answered;
		else
			shares->answered++;
		torc_http_reply(&http, 204, NULL, 0, NULL, 0, TORC_NEVER);
	}
	return torc_http_result(&http);
}

/*
 * A pipeline and a single request come at the same time: the pipeline does not
 * keep the thread until all of it is answered.
 */
static void
a_long_pipeline_lets_others_have_theirs(void **state)
{
	static const char one[] = "GET / HTTP/1.1\r\n" HOST "\r\n";
	static char many[PIPELINED * (sizeof(one) - 1)];
	struct shares shares = { .post.call = stand_still };
	char answer[8];
	int fds[2];

	(void)state;
	for (unsigned i = 0; i < PIPELINED; i++)
		memcpy(many + i * (sizeof(one) - 1), one, sizeof(one) - 1);
	sem_init(&shares.reached, 0, 0);
	sem_init(&shares.go, 0, 0);
	server_start(&server, NULL, count_shares, &shares);
	for (int i = 0; i < 2; i++)
		fds[i] = client_open(server.port);
	assert_true(server_await_connections(&server, 2));
	assert_int_equal(torc_reactor_post(server.reactor, &shares.post), 0);
	while (sem_wait(&shares.reached) < 0)
		continue;
	client_send(fds[0], many, sizeof(many));
	client_send(fds[1], "GET /other HTTP/1.1\r\n" HOST "\r\n", 32);
	sem_post(&shares.go);
	assert_true(client_read(fds[1], answer, sizeof(answer)));
	assert_true(shares.before <= 200);
	close(fds[1]);
	close(fds[0]);
	assert_int_equal(server_stop(&server), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    answers_have_the_framing_that_the_request_and_the_status_need),
		cmocka_unit_test(
		    pipelined_requests_are_answered_in_order_and_in_one_send),
		cmocka_unit_test(a_long_pipeline_lets_others_have_theirs),
		cmocka_unit_test(
		    a_request_that_is_cut_anywhere_has_the_same_answer),
		cmocka_unit_test(
		    a_trailer_has_its_own_place_and_the_head_stays_what_it_was),
		cmocka_unit_test(
		    a_head_is_readable_however_much_comes_behind_it),
		cmocka_unit_test(as_many_fields_are_taken_as_are_configured),
		cmocka_unit_test(
		    a_connection_that_is_taken_over_begins_behind_the_request),
		cmocka_unit_test(only_what_asked_for_an_upgrade_is_taken_over),
		cmocka_unit_test(
		    what_torc_answers_by_itself_can_be_seen_and_changed),
		cmocka_unit_test(
		    each_wrong_request_has_its_status_and_ends_the_connection),
		cmocka_unit_test(what_is_just_within_the_limits_is_answered),
		cmocka_unit_test(each_phase_has_a_deadline_that_ends_it),
		cmocka_unit_test(
		    empty_lines_and_then_silence_end_a_connection_without_an_answer),
		cmocka_unit_test(bytes_of_a_head_do_not_move_its_deadline),
		cmocka_unit_test(
		    continue_is_sent_when_the_body_is_read_and_not_before),
		cmocka_unit_test(
		    a_body_that_was_not_read_is_skipped_if_it_is_small),
		cmocka_unit_test(streamed_answers_arrive_whole),
		cmocka_unit_test(
		    an_answer_that_is_not_as_long_as_promised_is_reset),
		cmocka_unit_test(
		    an_answer_is_begun_told_and_ended_in_this_order_or_not_at_all),
		cmocka_unit_test(
		    an_upload_that_is_under_way_in_a_drain_is_finished),
		cmocka_unit_test(
		    an_upload_that_stands_still_ends_with_the_drain),
		cmocka_unit_test(
		    answers_that_are_made_in_a_drain_say_that_the_connection_closes),
		cmocka_unit_test(
		    a_body_that_ends_early_is_the_fault_of_the_client),
		cmocka_unit_test(
		    fields_that_would_split_an_answer_are_refused_before_a_byte),
		cmocka_unit_test(
		    large_heads_are_sent_and_too_large_ones_refused),
		cmocka_unit_test(
		    a_request_that_nobody_answered_is_answered_with_500),
		cmocka_unit_test(the_last_of_so_many_requests_is_told_so),
		cmocka_unit_test(
		    every_answer_has_a_date_unless_it_is_switched_off),
		cmocka_unit_test(
		    a_handler_sends_as_many_interim_answers_as_it_likes),
		cmocka_unit_test(continue_can_be_left_to_the_handler),
		cmocka_unit_test(
		    a_handler_that_waits_for_news_hears_that_its_client_has_left),
		cmocka_unit_test(misuse_stops_the_process_with_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
