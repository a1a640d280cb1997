/* SPDX-License-Identifier: MIT */
/*
 * test_http_client.c - the client of HTTP, against an origin that does what
 * the test says, mostly wrong.
 */
#include "tests/http/origin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ROOM (1u << 20)

/* ---- A client on a reactor, and what it was told ---- */

static unsigned fields_max;	/* 0: the default */
static unsigned body_max;	/* 0: little */

static void
change(struct torc_http_client_config *changed)
{
	changed->fields_max = fields_max;
	if (body_max > 0)
		changed->body_max = body_max;
}

static void
start(script *what)
{
	origin_scene(what, echo_handler, change);
}

static void
stop(void)
{
	origin_scene_end();
}

/* One request, and what came of it. */
struct ask {
	struct torc_http_request request;
	unsigned ms;		/* its deadline; 0: 20 s */
	int rc;			/* of the call, then of the last read */
	unsigned status;
	unsigned fields;
	unsigned trailers;
	bool keyed;		/* X-Key is what it was */
	char why[128];
	size_t size;
	char body[ROOM];
};

static void
read_all(struct torc_http_call *call, struct ask *ask, torc_deadline deadline)
{
	struct torc_slice body;

	while ((ask->rc = torc_http_call_read(call, &body, deadline)) > 0) {
		if (ask->size + body.size < ROOM)
			memcpy(ask->body + ask->size, body.data, body.size);
		ask->size += body.size;
	}
	ask->body[ask->size < ROOM ? ask->size : 0] = '\0';
}

static int
run_ask(void *arg)
{
	struct ask *ask = arg;
	struct torc_http_call call;
	torc_deadline deadline = torc_after_ms(ask->ms > 0 ? ask->ms : 20000);

	const struct torc_slice *key;
	bool answered;

	ask->size = 0;
	ask->body[0] = '\0';
	ask->rc = torc_http_client_call(client, &call, &ask->request, deadline);
	answered = ask->rc == 0;
	ask->status = call.response.status;
	if (answered)
		read_all(&call, ask, deadline);
	key = torc_http_find(&call.response, "X-Key");
	ask->keyed = answered && key != NULL && torc_http_equals(*key, "alice");
	ask->fields = call.response.field_count;
	ask->trailers = call.trailer.field_count;
	snprintf(ask->why, sizeof(ask->why), "%s", call.response.why != NULL ?
	    call.response.why : "");
	if (answered)
		torc_http_call_end(&call);
	return ask->rc;
}

static struct ask asked;

static int
ask(const char *method, const char *target)
{
	asked.request = (struct torc_http_request) {
		.method = torc_http_text(method),
		.target = torc_http_text(target),
	};
	return server_fiber(&server, run_ask, &asked);
}

/* ---- Answers ---- */

/* What an origin says, and what the client makes of it: I78, I79 and I82. */
static const struct answer {
	const char *text;
	const char *method;
	int rc;
	const char *body;	/* or a part of `why`, after an error */
	bool closes;		/* the origin, right behind it */
	bool reused;		/* for the next request */
} answers[] = {
	{ OK CL "5\r\n\r\nhello", "GET", 0, "hello", false, true },
	{ OK CL "0\r\n\r\n", "GET", 0, "", false, true },
	{ OK CHUNKED "\r\n3;a\r\nhel\r\n2\r\nlo\r\n0\r\nX: 1\r\n\r\n", "GET",
	    0, "hello", false, true },
	{ "HTTP/1.1 204 No\r\n\r\n", "GET", 0, "", false, true },
	{ "HTTP/1.1 304 No\r\n" CL "5\r\n\r\n", "GET", 0, "", false, true },
	{ OK CL "5\r\n\r\n", "HEAD", 0, "", false, true },
	{ OK CHUNKED "\r\n", "HEAD", 0, "", false, true },
	{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nX: 1\r\n\r\n" OK
	    CL "2\r\n\r\nok", "GET", 0, "ok", false, true },
	/* The last of the connection. */
	{ OK CL "2\r\nConnection: close\r\n\r\nok", "GET", 0, "ok", false,
	    false },
	{ "HTTP/1.0 200 OK\r\n" CL "2\r\n\r\nok", "GET", 0, "ok", false,
	    false },
	{ OK "\r\nuntil the end", "GET", 0, "until the end", true, false },
	{ OK CL "2\r\n\r\nok", "GET", 0, "ok", true, false },
	/* More than an answer. */
	{ OK CL "2\r\n\r\nokx", "GET", 0, "ok", false, false },
	{ OK CL "2\r\n\r\nok" OK CL "2\r\n\r\nno", "GET", 0, "ok", false,
	    false },
	{ OK CL "5\r\n\r\nhello", "HEAD", 0, "", false, false },
	{ OK CHUNKED "\r\n2\r\nok\r\n0\r\n\r\n0\r\n\r\n", "GET", 0, "ok",
	    false, false },
	/* Less. */
	{ OK CL "5\r\n\r\nhell", "GET", -ECONNRESET, "", true, false },
	{ OK CHUNKED "\r\n5\r\nhello\r\n", "GET", -ECONNRESET, "", true,
	    false },
	{ OK CHUNKED "\r\n5\r\nhello\r\n0\r\n", "GET", -ECONNRESET, "", true,
	    false },
	{ OK CL "5\r\n", "GET", -ECONNRESET, "", true, false },
	/* In doubt. */
	{ OK CHUNKED CL "5\r\n\r\nhello", "GET", -EBADMSG, "at once", false,
	    false },
	{ OK CL "5\r\n" CL "6\r\n\r\nhello", "GET", -EBADMSG, "more than one",
	    false, false },
	{ OK CL "5\r\nX: 1\r\n 2\r\n\r\nhello", "GET", -EBADMSG, "continues",
	    false, false },
	{ OK CL "5\nX: 1\r\n\r\nhello", "GET", -EBADMSG, "LF without", false,
	    false },
	{ OK "Transfer-Encoding: gzip\r\n\r\nhello", "GET", -EOPNOTSUPP,
	    "not chunked", false, false },
	{ OK CHUNKED "\r\nffffffffffffffff\r\nhello", "GET", -EBADMSG,
	    "too many digits", false, false },
	{ OK CHUNKED "\r\n5\r\nhelloX", "GET", -EBADMSG, "longer", false,
	    false },
	{ "HTTP/1.1 101 Switch\r\nUpgrade: x\r\n\r\n", "GET", -EBADMSG, "101",
	    false, false },
	{ "nonsense, all of it\r\n\r\n", "GET", -EBADMSG, "not HTTP", false,
	    false },
	/* Too much. */
	{ OK CL "200001\r\n\r\n", "GET", -EFBIG, "body_max", false, false },
	{ OK CHUNKED "\r\n30d41\r\n", "GET", 1, "", false, false },
};

static const struct answer *answer;
static bool bytewise;

static bool
give_answer(int fd, unsigned nth, const char *head)
{
	const char *text = answer->text;
	static char block[200001];

	(void)head;
	(void)nth;
	for (size_t i = 0; bytewise && text[i] != '\0'; i++)
		say_bytes(fd, text + i, 1);
	if (!bytewise)
		say(fd, text);
	if (answer->rc == 1)
		say_bytes(fd, block, sizeof(block));
	atomic_fetch_add(&origin.said, 1);
	if (answer->closes)
		return false;
	if (answer->reused)
		return true;
	await_end(fd);
	return false;
}

static void
check_answer(void)
{
	const int want = answer->rc == 1 ? -EFBIG : answer->rc;
	const int rc = ask(answer->method, "/");

	if (rc != want || (want == 0 && strcmp(asked.body, answer->body) != 0)
	    || (want < 0 && strstr(asked.why, answer->body) == NULL))
		fail_msg("%d (%s) %s: %s", rc, asked.why, asked.body,
		    answer->text);
}

static void
answers_are_read_whole_or_refused_and_connections_kept_or_not(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * COUNT(answers); i++) {
		bytewise = i & 1;
		answer = &answers[i / 2];
		start(give_answer);
		check_answer();
		/* What comes behind an answer is to be seen. */
		if (answer->closes)
			await(&origin.alive, 0);
		else
			await(&origin.said, 1);
		check_answer();
		assert_int_equal(atomic_load(&origin.requests), 2);
		assert_int_equal(atomic_load(&origin.connections),
		    answer->reused ? 1 : 2);
		stop();
	}
}

static bool
reset_in_the_body(int fd, unsigned nth, const char *head)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	(void)nth;
	(void)head;
	say(fd, OK "\r\na part of");
	/* Else the reset would overtake it. */
	pause_ms(100);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	return false;
}

/* Its end is the FIN, and nothing else. */
static void
a_body_to_the_end_is_not_whole_after_a_reset(void **state)
{
	(void)state;
	start(reset_in_the_body);
	assert_int_equal(ask("GET", "/"), -ECONNRESET);
	assert_string_equal(asked.body, "a part of");
	stop();
}

static bool
give_trailer(int fd, unsigned nth, const char *head)
{
	(void)nth;
	(void)head;
	say(fd, OK CHUNKED "A: 1\r\n\r\n2\r\nok\r\n0\r\nX: 1\r\nY: 2\r\n\r\n");
	return true;
}

static int
look_at_the_end(void *arg)
{
	const struct torc_http_request request = {
		.method = torc_http_text("GET"),
		.target = torc_http_text("/"),
	};
	const torc_deadline deadline = torc_after_ms(20000);
	struct torc_http_call call;
	struct torc_slice body;

	(void)arg;
	if (torc_http_client_call(client, &call, &request, deadline) != 0 ||
	    torc_http_call_over(&call) ||
	    torc_http_call_answer(&call, deadline) != -EINVAL)
		return __LINE__;
	while (torc_http_call_read(&call, &body, deadline) > 0)
		continue;
	if (!torc_http_call_over(&call))
		return __LINE__;
	torc_http_call_end(&call);
	return 0;
}

static void
an_answer_comes_once_and_is_over_with_its_body(void **state)
{
	(void)state;
	start(give_trailer);
	assert_int_equal(server_fiber(&server, look_at_the_end, NULL), 0);
	stop();
}

static void
trailers_are_there_at_the_end_of_the_body(void **state)
{
	(void)state;
	start(give_trailer);
	assert_int_equal(ask("GET", "/"), 0);
	assert_int_equal(asked.trailers, 2);
	/* And the head has what it had. */
	assert_int_equal(asked.fields, 2);
	stop();
}

/* As many fields in head and trailer as the target says. */
static bool
give_fields(int fd, unsigned nth, const char *head)
{
	const unsigned count = (unsigned)atoi(strchr(head, '/') + 1);

	(void)nth;
	say(fd, OK CHUNKED);
	for (unsigned i = 1; i < count; i++)
		say(fd, "a: b\r\n");
	say(fd, "\r\n2\r\nok\r\n0\r\n");
	for (unsigned i = 0; i < count; i++)
		say(fd, "a: b\r\n");
	say(fd, "\r\n");
	return true;
}

static void
assert_fields(const char *target, unsigned count)
{
	assert_int_equal(ask("GET", target), 0);
	assert_int_equal(asked.fields, count);
	assert_int_equal(asked.trailers, count);
	assert_string_equal(asked.body, "ok");
}

static bool
give_much_behind_a_head(int fd, unsigned nth, const char *head)
{
	static const char body[900000];

	(void)nth;
	(void)head;
	say(fd, OK "X-Key: alice\r\n" CL "900000\r\n\r\n");
	say_bytes(fd, body, sizeof(body));
	return true;
}

/* More than all buffers take: each is used again. */
static void
a_head_is_readable_however_much_comes_behind_it(void **state)
{
	(void)state;
	body_max = ROOM;
	start(give_much_behind_a_head);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(ask("GET", "/"), 0);
		assert_int_equal(asked.size, 900000);
		assert_true(asked.keyed);
	}
	stop();
	body_max = 0;
}

static void
answers_have_as_many_fields_as_are_configured(void **state)
{
	(void)state;
	start(give_fields);
	assert_fields("/100", 100);
	assert_fields("/128", 128);
	assert_int_equal(ask("GET", "/129"), -E2BIG);
	stop();
	fields_max = 300;
	start(give_fields);
	assert_fields("/129", 129);
	assert_fields("/300", 300);
	assert_fields("/2", 2);
	assert_int_equal(ask("GET", "/301"), -E2BIG);
	stop();
	fields_max = 0;
}

static bool
give_large_head(int fd, unsigned nth, const char *head)
{
	char text[4096];

	(void)head;
	snprintf(text, sizeof(text), OK CL "0\r\nX: %0*d\r\n\r\n",
	    nth == 0 ? 1000 : 3000, 0);
	say(fd, text);
	return true;
}

/* I82; of bodies, the rows of answers[] that are too much. */
static void
a_head_over_the_limit_is_refused_by_the_name_of_the_limit(void **state)
{
	(void)state;
	start(give_large_head);
	assert_int_equal(ask("GET", "/"), 0);
	assert_int_equal(ask("GET", "/"), -EMSGSIZE);
	assert_non_null(strstr(asked.why, "head_max"));
	stop();
}

static bool
give_many_interim(int fd, unsigned nth, const char *head)
{
	(void)head;
	for (unsigned i = 0; i < (nth == 0 ? 15u : 16u); i++)
		say(fd, "HTTP/1.1 100 Continue\r\n\r\n");
	say(fd, OK CL "0\r\n\r\n");
	return true;
}

static void
heads_of_1xx_are_skipped_but_not_for_ever(void **state)
{
	(void)state;
	start(give_many_interim);
	assert_int_equal(ask("GET", "/"), 0);
	assert_int_equal(ask("GET", "/"), -EBADMSG);
	stop();
}

static bool
give_large_body(int fd, unsigned nth, const char *head)
{
	static char body[100000];

	(void)nth;
	(void)head;
	stream_fill(7, 0, (uint8_t *)body, sizeof(body));
	say(fd, OK CL "100000\r\n\r\n");
	say_bytes(fd, body, sizeof(body));
	return true;
}

static void
a_hundred_kilobytes_come_through_buffers_of_four(void **state)
{
	(void)state;
	start(give_large_body);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(ask("GET", "/"), 0);
		assert_int_equal(asked.size, 100000);
		assert_true(stream_matches(7, 0, (uint8_t *)asked.body,
		    asked.size));
	}
	assert_int_equal(atomic_load(&origin.connections), 1);
	stop();
}

static bool
give_small_chunks(int fd, unsigned nth, const char *head)
{
	static char body[6 * 500 + 6];

	(void)nth;
	(void)head;
	for (unsigned i = 0; i < 500; i++)
		memcpy(body + i * 6, "1\r\na\r\n", 6);
	memcpy(body + 3000, "0\r\n\r\n", 6);
	say(fd, OK CHUNKED "\r\n");
	say_bytes(fd, body, 3005);
	return true;
}

static int
count_pieces(void *arg)
{
	const struct torc_http_request request = {
		.target = torc_http_text("/"),
	};
	const torc_deadline deadline = torc_after_ms(20000);
	struct torc_http_call call;
	struct torc_slice body;
	int pieces = 0, size = 0, rc;

	(void)arg;
	if (torc_http_client_call(client, &call, &request, deadline) != 0)
		return -1;
	while ((rc = torc_http_call_read(&call, &body, deadline)) > 0) {
		for (size_t i = 0; i < body.size; i++)
			size += body.data[i] == 'a';
		pieces++;
	}
	torc_http_call_end(&call);
	return rc == 0 && size == 500 ? pieces : -1;
}

static void
small_chunks_come_together(void **state)
{
	(void)state;
	start(give_small_chunks);
	/* As many as there are segments, at most. */
	assert_in_range(server_fiber(&server, count_pieces, NULL), 1, 5);
	stop();
}

/* ---- Requests ---- */

static bool
give_request_line(int fd, unsigned nth, const char *head)
{
	char text[512];
	const int size = (int)(strchr(head, '\r') - head);

	(void)nth;
	snprintf(text, sizeof(text), OK CL "%d\r\n\r\n%.*s", size, size,
	    head);
	say(fd, text);
	return true;
}

static void
connections_are_used_again_and_again(void **state)
{
	(void)state;
	start(give_request_line);
	for (unsigned i = 0; i < 100; i++) {
		char target[32], want[64];

		snprintf(target, sizeof(target), "/%u", i);
		snprintf(want, sizeof(want), "DELETE /%u HTTP/1.1", i);
		assert_int_equal(ask("DELETE", target), 0);
		assert_string_equal(asked.body, want);
	}
	assert_int_equal(atomic_load(&origin.connections), 1);
	assert_int_equal(atomic_load(&origin.requests), 100);
	stop();
}

static void
requests_have_the_framing_that_they_need(void **state)
{
	char want[256];

	(void)state;
	start(give_head);
	assert_int_equal(ask("", "/a"), 0);
	snprintf(want, sizeof(want), "GET /a HTTP/1.1\r\n"
	    "Host: 127.0.0.1:%u\r\n\r\n", origin.port);
	assert_string_equal(asked.body, want);
	assert_int_equal(ask("POST", "/a"), 0);
	snprintf(want, sizeof(want), "POST /a HTTP/1.1\r\n"
	    "Host: 127.0.0.1:%u\r\n" CL "0\r\n\r\n", origin.port);
	assert_string_equal(asked.body, want);
	stop();
}

static int
ask_with(const char *method, const char *target, const char *name,
    struct torc_slice value)
{
	const struct torc_http_field field = { torc_http_text(name), value };

	asked.request = (struct torc_http_request) {
		.method = torc_http_text(method),
		.target = torc_http_text(target),
		.fields = &field,
		.field_count = 1,
	};
	return server_fiber(&server, run_ask, &asked);
}

/* I80 */
static void
what_would_split_a_request_is_refused_before_a_byte_is_sent(void **state)
{
	static const char *const bad[] = { "a\rb", "a\nb", "a\r\nX: 1" };
	const struct torc_slice fine = torc_http_text("v");
	const struct torc_slice zero = { (const uint8_t *)"a\0b", 3 };

	(void)state;
	start(give_request_line);
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(ask_with(bad[i], "/", "X", fine), -EINVAL);
		assert_int_equal(ask_with("GET", bad[i], "X", fine), -EINVAL);
		assert_int_equal(ask_with("GET", "/", bad[i], fine), -EINVAL);
		assert_int_equal(ask_with("GET", "/", "X",
		    torc_http_text(bad[i])), -EINVAL);
	}
	assert_int_equal(ask_with("GET", "/", "X", zero), -EINVAL);
	assert_int_equal(ask_with("GET", "/ ", "X", fine), -EINVAL);
	assert_int_equal(ask_with("CONNECT", "a:1", "X", fine), -EINVAL);
	/* Framing is the client's own. */
	assert_int_equal(ask_with("GET", "/", "Content-length", fine),
	    -EINVAL);
	assert_int_equal(ask_with("GET", "/", "transfer-encoding", fine),
	    -EINVAL);
	assert_int_equal(atomic_load(&origin.requests), 0);
	/* And the connection is as good as before. */
	assert_int_equal(ask_with("GET", "/", "X", fine), 0);
	assert_int_equal(atomic_load(&origin.requests), 1);
	assert_int_equal(atomic_load(&origin.connections), 1);
	stop();
}

/* ---- Connections that ended ---- */

static bool
close_when_idle(int fd, unsigned nth, const char *head)
{
	(void)nth;
	(void)head;
	say(fd, OK CL "2\r\n\r\nok");
	pause_ms(20);
	return false;
}

/* I77 */
static void
a_connection_that_ended_while_idle_is_replaced_before_use(void **state)
{
	(void)state;
	start(close_when_idle);
	for (unsigned i = 1; i <= 3; i++) {
		/* POST is never sent twice. */
		assert_int_equal(ask("POST", "/"), 0);
		assert_int_equal(atomic_load(&origin.connections), i);
		assert_int_equal(atomic_load(&origin.requests), i);
		await(&origin.alive, 0);
	}
	stop();
}

static bool
speak_when_idle(int fd, unsigned nth, const char *head)
{
	(void)nth;
	(void)head;
	say(fd, OK CL "2\r\n\r\nok");
	pause_ms(20);
	say(fd, "HTTP/1.1 408 Request Timeout\r\n" CL "0\r\n\r\n");
	atomic_fetch_add(&origin.said, 1);
	return true;
}

static void
an_answer_without_a_request_is_nobodys(void **state)
{
	(void)state;
	start(speak_when_idle);
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(ask("GET", "/"), 0);
		assert_int_equal(asked.status, 200);
		assert_int_equal(atomic_load(&origin.connections), i);
		await(&origin.said, i);
	}
	stop();
}

/* The second request of each connection finds it closed. */
static bool
close_on_second(int fd, unsigned nth, const char *head)
{
	(void)head;
	if (nth > 0)
		return false;
	say(fd, OK CL "2\r\n\r\nok");
	return true;
}

static void
what_may_be_repeated_is_once_on_a_new_connection(void **state)
{
	(void)state;
	start(close_on_second);
	assert_int_equal(ask("GET", "/"), 0);
	assert_int_equal(ask("GET", "/"), 0);
	assert_int_equal(atomic_load(&origin.connections), 2);
	assert_int_equal(atomic_load(&origin.requests), 3);
	/* What may not is not. */
	assert_int_equal(ask("POST", "/"), -ECONNRESET);
	assert_int_equal(atomic_load(&origin.requests), 4);
	assert_int_equal(atomic_load(&origin.connections), 2);
	assert_int_equal(ask("POST", "/"), 0);
	stop();
}

static bool
close_after_a_part(int fd, unsigned nth, const char *head)
{
	(void)head;
	say(fd, nth == 0 ? OK CL "2\r\n\r\nok" : "H");
	return nth == 0;
}

static void
what_was_answered_in_part_is_not_repeated(void **state)
{
	(void)state;
	start(close_after_a_part);
	assert_int_equal(ask("GET", "/"), 0);
	assert_int_equal(ask("GET", "/"), -ECONNRESET);
	assert_int_equal(atomic_load(&origin.requests), 2);
	stop();
}

static bool
close_always(int fd, unsigned nth, const char *head)
{
	(void)fd;
	(void)nth;
	(void)head;
	return false;
}

static void
a_new_connection_that_ends_at_once_is_an_error_and_no_loop(void **state)
{
	(void)state;
	start(close_always);
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(ask("GET", "/"), -ECONNRESET);
		assert_int_equal(atomic_load(&origin.requests), i);
	}
	stop();
}

/* ---- Time ---- */

static bool
answer_late(int fd, unsigned nth, const char *head)
{
	if (strncmp(head, "GET /late", 9) == 0)
		pause_ms(300);
	return give_request_line(fd, nth, head);
}

/* */
static void
a_late_answer_reaches_nobody(void **state)
{
	(void)state;
	start(answer_late);
	assert_int_equal(ask("GET", "/1"), 0);
	for (unsigned i = 0; i < 3; i++) {
		asked.ms = 100;
		assert_int_equal(ask("GET", "/late"), -ETIMEDOUT);
		asked.ms = 0;
		assert_int_equal(ask("GET", "/2"), 0);
		assert_string_equal(asked.body, "GET /2 HTTP/1.1");
		pause_ms(250);
		assert_int_equal(ask("GET", "/3"), 0);
		assert_string_equal(asked.body, "GET /3 HTTP/1.1");
	}
	stop();
}

static bool
stall_in_body(int fd, unsigned nth, const char *head)
{
	(void)nth;
	(void)head;
	say(fd, OK CL "5\r\n\r\nhel");
	await_end(fd);
	return false;
}

static void
each_phase_of_an_answer_has_its_deadline(void **state)
{
	const uint64_t start_ms = now_ms();

	(void)state;
	start(stall_in_body);
	server_fiber(&server, end_client, NULL);
	config.body_ms = 150;
	server_call(&server, make_client, &config);
	assert_int_equal(ask("GET", "/"), -ETIMEDOUT);
	assert_string_equal(asked.body, "hel");
	assert_true(now_ms() - start_ms < 15000);
	stop();
}

/* ---- Origins that are not there ---- */

struct crowd {
	unsigned failures;
	unsigned slowest_ms;
	uint64_t until;
};

static int
ask_a_dead_one(void *arg)
{
	struct crowd *crowd = arg;
	const struct torc_http_request request = {
		.target = torc_http_text("/"),
	};

	while (now_ms() < crowd->until) {
		const uint64_t start_ms = now_ms();
		struct torc_http_call call;
		unsigned ms;

		if (torc_http_client_call(client, &call, &request,
		    torc_after_ms(10000)) == 0)
			return 0;
		crowd->failures++;
		ms = (unsigned)(now_ms() - start_ms);
		if (ms > crowd->slowest_ms)
			crowd->slowest_ms = ms;
		torc_sleep(torc_after_ms(5));
	}
	return 1;
}

static int
crowd_together(void *arg)
{
	uint64_t ids[50];
	int together = 0;

	for (size_t i = 0; i < COUNT(ids); i++)
		torc_fiber_spawn(&ids[i], ask_a_dead_one, arg);
	for (size_t i = 0; i < COUNT(ids); i++) {
		int result = 0;

		torc_fiber_join(ids[i], &result, TORC_NEVER);
		together += result;
	}
	return together;
}

static void
copy_stats(struct torc_reactor *reactor, void *arg)
{
	(void)reactor;
	torc_http_client_stats_read(client, arg);
}

/* I68 */
static void
a_dead_origin_is_an_error_at_once_and_is_not_stormed(void **state)
{
	struct torc_pool_stats stats;
	struct crowd crowd = { .failures = 0 };

	(void)state;
	start(give_request_line);
	/* Nobody listens any more. */
	shutdown(origin.fd, SHUT_RDWR);
	crowd.until = now_ms() + 2000;
	assert_int_equal(server_fiber(&server, crowd_together, &crowd), 50);
	server_call(&server, copy_stats, &stats);
	assert_true(crowd.failures > 100);
	assert_true(crowd.slowest_ms < 9000);
	assert_int_equal(stats.opens, 0);
	assert_in_range(stats.failures, 2, 99);
	stop();
}

/*
 * What an origin does with a request that it dies of. Other requests are
 * answered.
 */
static const struct broken {
	const char *text;
	bool resets;		/* or there is a FIN */
} broken[] = {
	{ "", true },
	{ "", false },
	{ "H", true },
	{ "H", false },
	{ OK CL "5\r\nX: 1", false },
	{ "HTTP/1.1 100 Continue\r\n\r\n", false },
	{ "nonsense\r\n\r\n", false },
	{ OK CL "5\r\n\r\nhell", true },
	{ OK CHUNKED "\r\n5\r\nhell", false },
};

static const struct broken *how;

static bool
die_of_poison(int fd, unsigned nth, const char *head)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	(void)nth;
	if (strncmp(head, "GET /poison", 11) != 0) {
		say(fd, OK CL "2\r\n\r\nok");
		return true;
	}
	say(fd, how->text);
	if (!how->resets)
		return false;
	/* Else the reset would overtake it. */
	if (how->text[0] != '\0')
		pause_ms(5);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	return false;
}

struct drinker {
	const char *target;
	unsigned asks;
	unsigned failures;
};

static int
drink(void *arg)
{
	struct drinker *drinker = arg;
	const struct torc_http_request request = {
		.target = torc_http_text(drinker->target),
	};

	for (unsigned i = 0; i < drinker->asks; i++) {
		const torc_deadline deadline = torc_after_ms(20000);
		struct torc_http_call call;
		struct torc_slice body;
		int rc = torc_http_client_call(client, &call, &request,
		    deadline);

		while (rc == 0 && (rc = torc_http_call_read(&call, &body,
		    deadline)) > 0)
			rc = 0;
		torc_http_call_end(&call);
		drinker->failures += rc < 0;
		torc_sleep(torc_after_us(500));
	}
	return 0;
}

/* Eight innocent ones, and two that are not. */
static int
drink_together(void *arg)
{
	struct drinker *drinkers = arg;
	uint64_t ids[10];

	for (size_t i = 0; i < COUNT(ids); i++) {
		drinkers[i] = (struct drinker) {
			i < 8 ? "/" : "/poison", i < 8 ? 100 : 50, 0,
		};
		if (torc_fiber_spawn(&ids[i], drink, &drinkers[i]) < 0)
			return -1;
	}
	for (size_t i = 0; i < COUNT(ids); i++)
		torc_fiber_join(ids[i], NULL, TORC_NEVER);
	return 0;
}

static void
a_request_that_its_origin_dies_of_fails_alone(void **state)
{
	struct torc_pool_stats stats;
	struct drinker drinkers[10];

	(void)state;
	for (size_t i = 0; i < COUNT(broken); i++) {
		how = &broken[i];
		start(die_of_poison);
		assert_int_equal(server_fiber(&server, drink_together,
		    drinkers), 0);
		for (size_t j = 0; j < 10; j++)
			assert_int_equal(drinkers[j].failures,
			    j < 8 ? 0 : 50);
		server_call(&server, copy_stats, &stats);
		assert_int_equal(stats.failures, 0);
		assert_int_equal(stats.refusals, 0);
		assert_int_equal(stats.last_error, 0);
		stop();
	}
}

/* Parks. Leave that many idle connections. */
static int
leave_idle(void *arg)
{
	const struct torc_http_request request = {
		.target = torc_http_text("/"),
	};
	const torc_deadline deadline = torc_after_ms(20000);
	struct torc_http_call calls[4];
	struct torc_slice body;
	int rc = 0;

	(void)arg;
	for (size_t i = 0; i < COUNT(calls) && rc == 0; i++)
		rc = torc_http_client_call(client, &calls[i], &request,
		    deadline);
	for (size_t i = 0; i < COUNT(calls) && rc == 0; i++) {
		while (torc_http_call_read(&calls[i], &body, deadline) > 0)
			continue;
		torc_http_call_end(&calls[i]);
	}
	return rc;
}

static void
what_ends_an_idle_connection_in_use_leaves_the_other_ones(void **state)
{
	struct torc_pool_stats stats;

	(void)state;
	how = &broken[0];
	start(die_of_poison);
	assert_int_equal(server_fiber(&server, leave_idle, NULL), 0);
	assert_int_equal(atomic_load(&origin.connections), 4);
	assert_int_equal(ask("GET", "/poison"), -ECONNRESET);
	/* Once on an old connection, once on a new one. */
	assert_int_equal(atomic_load(&origin.connections), 5);
	server_call(&server, copy_stats, &stats);
	assert_int_equal(stats.idle, 3);
	assert_int_equal(ask("GET", "/"), 0);
	assert_int_equal(atomic_load(&origin.connections), 5);
	stop();
}

/* What was never begun, has failed, or was ended. */
static int
end_again(void *arg)
{
	const struct torc_http_request wrong = {
		.method = torc_http_text("CONNECT"),
		.target = torc_http_text("/"),
	};
	const struct torc_http_request request = {
		.target = torc_http_text("/"),
	};
	const torc_deadline deadline = torc_after_ms(20000);
	struct torc_http_call call;
	struct torc_slice body;

	(void)arg;
	torc_http_call_end(NULL);
	if (torc_http_client_call(client, &call, &wrong, deadline) != -EINVAL)
		return __LINE__;
	torc_http_call_end(&call);
	if (torc_http_call_begin(client, &call, &wrong, 1, deadline) !=
	    -EINVAL)
		return __LINE__;
	torc_http_call_end(&call);
	if (torc_http_client_call(client, &call, &request, deadline) != 0)
		return __LINE__;
	torc_http_call_end(&call);
	torc_http_call_end(&call);
	if (torc_http_call_read(&call, &body, deadline) != -EPIPE)
		return __LINE__;
	torc_http_client_shutdown(NULL);
	torc_http_client_destroy(NULL, TORC_NEVER);
	torc_pool_destroy(NULL, TORC_NEVER);
	return 0;
}

static void
what_has_failed_or_was_ended_may_be_ended_again(void **state)
{
	(void)state;
	start(give_request_line);
	assert_int_equal(server_fiber(&server, end_again, NULL), 0);
	assert_int_equal(atomic_load(&origin.requests), 1);
	assert_int_equal(ask("GET", "/"), 0);
	stop();
}

static bool
switch_protocols(int fd, unsigned nth, const char *head)
{
	char byte;

	(void)nth;
	if (strstr(head, "Connection: upgrade\r\n") == NULL) {
		say(fd, OK CL "2\r\n\r\nok");
		return true;
	}
	say(fd, "HTTP/1.1 101 Go\r\nUpgrade: echo\r\nConnection: upgrade"
	    "\r\n\r\nhello");
	while (recv(fd, &byte, 1, 0) == 1)
		say_bytes(fd, &byte, 1);
	return false;
}

/* Parks. Read `text` and nothing else. */
static bool
hears(struct torc_conn *conn, const char *text, torc_deadline deadline)
{
	struct torc_slice in = { NULL, 0 };

	while (in.size < strlen(text)) {
		if (torc_conn_recv(conn, &in, deadline) <= 0)
			return false;
	}
	if (in.size != strlen(text) || memcmp(in.data, text, in.size) != 0)
		return false;
	torc_conn_consume(conn, in.size);
	return true;
}

static int
speak_another_protocol(void *arg)
{
	const struct torc_http_field upgrade = {
		torc_http_text("Upgrade"), torc_http_text("echo"),
	};
	const struct torc_http_request request = {
		.target = torc_http_text("/"), .fields = &upgrade,
		.field_count = 1, .upgrade = true,
	};
	const torc_deadline deadline = torc_after_ms(20000);
	struct torc_http_call call;
	struct torc_conn *conn;

	(void)arg;
	if (torc_http_client_call(client, &call, &request, deadline) != 0 ||
	    call.response.status != 101)
		return __LINE__;
	conn = torc_http_call_conn(&call);
	if (!hears(conn, "hello", deadline) ||
	    torc_conn_write(conn, "there", 5, deadline) != 0 ||
	    !hears(conn, "there", deadline))
		return __LINE__;
	torc_http_call_end(&call);
	return 0;
}

static void
after_101_the_connection_is_the_callers(void **state)
{
	struct torc_pool_stats stats;

	(void)state;
	start(switch_protocols);
	assert_int_equal(server_fiber(&server, speak_another_protocol, NULL),
	    0);
	await(&origin.alive, 0);
	server_call(&server, copy_stats, &stats);
	assert_int_equal(stats.rented + stats.idle, 0);
	assert_int_equal(ask("GET", "/"), 0);
	stop();
}

static int
close_client(void *arg)
{
	(void)arg;
	torc_http_client_shutdown(client);
	return 0;
}

/* I81 */
static void
a_client_that_was_closed_fails_at_once(void **state)
{
	(void)state;
	start(give_request_line);
	assert_int_equal(ask("GET", "/"), 0);
	server_fiber(&server, close_client, NULL);
	assert_int_equal(ask("GET", "/"), -ESHUTDOWN);
	assert_int_equal(atomic_load(&origin.requests), 1);
	stop();
}

/* ---- Streams ---- */

static int
run_upload(void *arg)
{
	const uint64_t length = *(const uint64_t *)arg;
	const struct torc_http_request request = {
		.method = torc_http_text("POST"),
		.target = torc_http_text("/"),
	};
	const torc_deadline deadline = torc_after_ms(20000);
	static uint8_t block[10000];
	struct torc_http_call call;
	int rc = torc_http_call_begin(client, &call, &request, length,
	    deadline);

	if (rc < 0)
		return rc;
	for (unsigned i = 1; i <= 20 && rc == 0; i++)
		rc = torc_http_call_write(&call, block, 500 * i, deadline);
	if (rc == 0)
		rc = torc_http_call_finish(&call, deadline);
	if (rc == 0)
		rc = torc_http_call_answer(&call, deadline);
	if (rc == 0)
		read_all(&call, &asked, deadline);
	torc_http_call_end(&call);
	return rc < 0 ? rc : asked.rc;
}

static int
upload(uint64_t length)
{
	asked.size = 0;
	return server_fiber(&server, run_upload, &length);
}

static void
bodies_of_requests_are_streamed_with_and_without_a_length(void **state)
{
	(void)state;
	start(count_body);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(upload(105000), 0);
		assert_string_equal(asked.body, "105000");
		assert_int_equal(upload(TORC_HTTP_UNKNOWN), 0);
		assert_string_equal(asked.body, "105000");
	}
	assert_int_equal(atomic_load(&origin.connections), 1);
	/* More, or less, than was said: the connection is given up. */
	assert_int_equal(upload(104999), -EINVAL);
	assert_int_equal(upload(105001), -EINVAL);
	assert_int_equal(upload(105000), 0);
	assert_int_equal(atomic_load(&origin.connections), 3);
	stop();
}

/* Answered before all of it is sent: what is left of it is in the way. */
static int
ask_in_part(void *arg)
{
	const struct torc_http_request request = {
		.method = torc_http_text("PUT"),
		.target = torc_http_text("/"),
	};
	const torc_deadline deadline = torc_after_ms(20000);
	struct torc_http_call call;
	int rc = torc_http_call_begin(client, &call, &request, 5, deadline);

	(void)arg;
	if (rc < 0)
		return rc;
	rc = torc_http_call_write(&call, "he", 2, deadline);
	if (rc == 0)
		rc = torc_http_call_answer(&call, deadline);
	if (rc == 0)
		read_all(&call, &asked, deadline);
	torc_http_call_end(&call);
	return rc < 0 ? rc : asked.rc;
}

static void
a_connection_whose_request_was_not_sent_whole_is_given_up(void **state)
{
	(void)state;
	start(give_request_line);
	for (unsigned i = 1; i <= 3; i++) {
		asked.size = 0;
		assert_int_equal(server_fiber(&server, ask_in_part, NULL), 0);
		assert_string_equal(asked.body, "PUT / HTTP/1.1");
		assert_int_equal(atomic_load(&origin.connections), i);
	}
	stop();
}

#define DUPLEX 4000000u	/* bytes: more than all buffers between the two */

/* Each part of the body goes back before the next one is read. */
static bool
send_back(int fd, unsigned nth, const char *head)
{
	static char part[65536];
	size_t left = DUPLEX;

	(void)nth;
	(void)head;
	say(fd, OK CL "4000000\r\n\r\n");
	while (left > 0) {
		ssize_t got = recv(fd, part, sizeof(part), 0);

		if (got <= 0)
			return false;
		say_bytes(fd, part, (size_t)got);
		left -= (size_t)got;
	}
	return true;
}

static int
write_duplex(void *arg)
{
	struct torc_http_call *call = arg;
	const torc_deadline deadline = torc_after_ms(20000);
	static uint8_t part[50000];
	int rc = 0;

	for (size_t at = 0; at < DUPLEX && rc == 0; at += sizeof(part)) {
		stream_fill(3, at, part, sizeof(part));
		rc = torc_http_call_write(call, part, sizeof(part), deadline);
	}
	return rc < 0 ? rc : torc_http_call_finish(call, deadline);
}

/* How many bytes came back as they went, or an error. */
static int
run_duplex(void *arg)
{
	const struct torc_http_request request = {
		.method = torc_http_text("POST"),
		.target = torc_http_text("/"),
	};
	const torc_deadline deadline = torc_after_ms(20000);
	struct torc_http_call call;
	struct torc_slice body;
	uint64_t id;
	int written = -1, total = 0;
	int rc = torc_http_call_begin(client, &call, &request, DUPLEX,
	    deadline);

	(void)arg;
	if (rc < 0 || torc_fiber_spawn(&id, write_duplex, &call) < 0)
		return -1;
	rc = torc_http_call_answer(&call, deadline);
	while (rc == 0 &&
	    (rc = torc_http_call_read(&call, &body, deadline)) > 0) {
		if (!stream_matches(3, (uint64_t)total, body.data, body.size))
			break;
		total += rc;
		rc = 0;
	}
	torc_fiber_join(id, &written, TORC_NEVER);
	torc_http_call_end(&call);
	return rc < 0 ? rc : written < 0 ? written : total;
}

static void
bodies_stream_in_both_directions_at_once(void **state)
{
	(void)state;
	start(send_back);
	server_fiber(&server, end_client, NULL);
	config.body_max = DUPLEX;
	server_call(&server, make_client, &config);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(server_fiber(&server, run_duplex, NULL),
		    DUPLEX);
	assert_int_equal(atomic_load(&origin.connections), 1);
	stop();
}

static void
a_configuration_that_cannot_be_is_refused_in_words(void **state)
{
	const struct {
		struct torc_http_client_config config;
		const char *words;
	} bad[] = {
		{ { .address = "127.0.0.1:1", .host = "a\r\nb" },
		    "host = \"a\r\nb\": must be a valid value of a field, of "
		    "at most 1000 bytes" },
		{ { .address = "127.0.0.1:1", .connections = 5000 },
		    "connections = 5000: must be from 1 to 4096" },
		{ { .host = "localhost" }, "address: none is given; write "
		    "127.0.0.1:8080, a name and a port, or unix:PATH" },
	};

	(void)state;
	start(give_request_line);
	server_fiber(&server, end_client, NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		server_call(&server, make_client,
		    (void *)(uintptr_t)&bad[i].config);
		assert_null(client);
		assert_int_equal(client_error.code, -EINVAL);
		assert_string_equal(client_error.text, bad[i].words);
	}
	server_call(&server, make_client, &config);
	assert_non_null(client);
	assert_int_equal(client_error.code, 0);
	assert_string_equal(client_error.text, "");
	stop();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    answers_are_read_whole_or_refused_and_connections_kept_or_not),
		cmocka_unit_test(a_body_to_the_end_is_not_whole_after_a_reset),
		cmocka_unit_test(an_answer_comes_once_and_is_over_with_its_body),
		cmocka_unit_test(trailers_are_there_at_the_end_of_the_body),
		cmocka_unit_test(answers_have_as_many_fields_as_are_configured),
		cmocka_unit_test(
		    a_head_is_readable_however_much_comes_behind_it),
		cmocka_unit_test(
		    a_head_over_the_limit_is_refused_by_the_name_of_the_limit),
		cmocka_unit_test(heads_of_1xx_are_skipped_but_not_for_ever),
		cmocka_unit_test(
		    a_hundred_kilobytes_come_through_buffers_of_four),
		cmocka_unit_test(small_chunks_come_together),
		cmocka_unit_test(connections_are_used_again_and_again),
		cmocka_unit_test(requests_have_the_framing_that_they_need),
		cmocka_unit_test(
		    what_would_split_a_request_is_refused_before_a_byte_is_sent),
		cmocka_unit_test(
		    a_connection_that_ended_while_idle_is_replaced_before_use),
		cmocka_unit_test(an_answer_without_a_request_is_nobodys),
		cmocka_unit_test(
		    what_may_be_repeated_is_once_on_a_new_connection),
		cmocka_unit_test(what_was_answered_in_part_is_not_repeated),
		cmocka_unit_test(
		    a_new_connection_that_ends_at_once_is_an_error_and_no_loop),
		cmocka_unit_test(a_late_answer_reaches_nobody),
		cmocka_unit_test(each_phase_of_an_answer_has_its_deadline),
		cmocka_unit_test(
		    a_dead_origin_is_an_error_at_once_and_is_not_stormed),
		cmocka_unit_test(a_request_that_its_origin_dies_of_fails_alone),
		cmocka_unit_test(
		    what_ends_an_idle_connection_in_use_leaves_the_other_ones),
		cmocka_unit_test(
		    what_has_failed_or_was_ended_may_be_ended_again),
		cmocka_unit_test(after_101_the_connection_is_the_callers),
		cmocka_unit_test(a_client_that_was_closed_fails_at_once),
		cmocka_unit_test(
		    bodies_of_requests_are_streamed_with_and_without_a_length),
		cmocka_unit_test(bodies_stream_in_both_directions_at_once),
		cmocka_unit_test(
		    a_connection_whose_request_was_not_sent_whole_is_given_up),
		cmocka_unit_test(
		    a_configuration_that_cannot_be_is_refused_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
