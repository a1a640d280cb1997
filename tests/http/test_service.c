/* SPDX-License-Identifier: MIT */
/*
 * test_service.c - services: exchanges from the bytes of a request to those of
 * its answer, what runs around handlers, what is told of them at their end, and
 * what a connection holds between two of them.
 */
#include "tests/harness.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "conn/conn.h"
#include "conn/http/torc_service.h"
#include "conn/net.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ROOM (1u << 20)
#define LAST "Host: a\r\nConnection: close\r\n"
#define END "\r\n"

/* ---- What the observer was told ---- */

struct seen {
	char route[64];
	char method[16];
	char target[64];
	char why[64];
	struct torc_exchange_summary end;
};

static struct seen seen[64];
static unsigned seen_count;
static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t seen_more;

static void
copy(char *to, size_t size, struct torc_slice from)
{
	snprintf(to, size, "%.*s", (int)from.size, (const char *)from.data);
}

static void
observe(struct torc_exchange *exchange, const struct torc_exchange_summary *end,
    void *arg)
{
	struct seen *at;

	(void)arg;
	pthread_mutex_lock(&seen_lock);
	at = &seen[seen_count % COUNT(seen)];
	assert_ptr_equal(end->route, torc_exchange_route(exchange));
	copy(at->route, sizeof(at->route), torc_http_text(end->route));
	copy(at->method, sizeof(at->method), end->method);
	copy(at->target, sizeof(at->target), end->target);
	copy(at->why, sizeof(at->why), torc_http_text(end->why));
	at->end = *end;
	seen_count++;
	pthread_mutex_unlock(&seen_lock);
	sem_post(&seen_more);
}

static void
await_sem(sem_t *sem)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += CLIENT_SECONDS;
	assert_int_equal(sem_timedwait(sem, &end), 0);
}

/* The next one; the first after forget_seen(). */
static const struct seen *
await_seen(unsigned at)
{
	static struct seen told[COUNT(seen)];

	await_sem(&seen_more);
	pthread_mutex_lock(&seen_lock);
	told[at] = seen[at];
	pthread_mutex_unlock(&seen_lock);
	return &told[at];
}

static unsigned
count_seen(void)
{
	unsigned count;

	pthread_mutex_lock(&seen_lock);
	count = seen_count;
	pthread_mutex_unlock(&seen_lock);
	return count;
}

static void
forget_seen(void)
{
	while (sem_trywait(&seen_more) == 0)
		;
	pthread_mutex_lock(&seen_lock);
	seen_count = 0;
	pthread_mutex_unlock(&seen_lock);
}

/* ---- Handlers, one for each claim ---- */

static int
text_of_arg(struct torc_exchange *exchange, void *arg)
{
	return torc_exchange_text(exchange, 200, arg, TORC_NEVER);
}

/* The path, its parameters, and the query, with their NULs. */
static int
tell_target(struct torc_exchange *exchange, void *arg)
{
	static const char *const names[] = { "a", "b", "rest" };
	char *text = torc_exchange_print(exchange, "%s",
	    (const char *)torc_exchange_path(exchange).data);
	const struct torc_slice query = torc_exchange_query(exchange);

	(void)arg;
	for (unsigned i = 0; i < COUNT(names); i++) {
		struct torc_slice param = torc_exchange_param(exchange,
		    names[i]);

		if (param.data == NULL)
			continue;
		assert_int_equal(strlen((const char *)param.data),
		    param.size);
		text = torc_exchange_print(exchange, "%s %s=%s", text,
		    names[i], (const char *)param.data);
	}
	return torc_exchange_textf(exchange, 200, "%s ?%.*s",
	    TORC_NEVER,
	    text, (int)query.size, (const char *)query.data);
}

/* All pairs, as "name=value;". */
static int
tell_pairs(struct torc_exchange *exchange, struct torc_pairs *pairs)
{
	struct torc_slice name, value;
	char *text = torc_exchange_print(exchange, "%s", "");
	int rc;

	while ((rc = torc_pairs_next(pairs, &name, &value)) > 0) {
		assert_int_equal(name.data[name.size], 0);
		text = torc_exchange_print(exchange, "%s%.*s=%.*s;", text,
		    (int)name.size, (const char *)name.data,
		    (int)value.size, (const char *)value.data);
	}
	return rc < 0 ? rc : torc_exchange_text(exchange, 200, text,
	    TORC_NEVER);
}

static int
tell_query(struct torc_exchange *exchange, void *arg)
{
	struct torc_pairs pairs;

	(void)arg;
	torc_exchange_query_pairs(exchange, &pairs);
	return tell_pairs(exchange, &pairs);
}

static int
tell_cookies(struct torc_exchange *exchange, void *arg)
{
	struct torc_pairs pairs;

	(void)arg;
	torc_exchange_cookie_pairs(exchange, &pairs);
	return tell_pairs(exchange, &pairs);
}

static int
tell_form(struct torc_exchange *exchange, void *arg)
{
	struct torc_pairs pairs;
	int rc = torc_exchange_form_pairs(exchange, &pairs, TORC_NEVER);

	(void)arg;
	return rc < 0 ? rc : tell_pairs(exchange, &pairs);
}

static int
find_in_query(struct torc_exchange *exchange, void *arg)
{
	struct torc_slice value;
	int rc = torc_exchange_query_find(exchange, arg, &value);

	return rc < 0 ? rc : torc_exchange_textf(exchange, 200, "%d %s",
	    TORC_NEVER, rc, rc > 0 ? (const char *)value.data : "none");
}

/* Its size, and the sum of its bytes. */
/* Its client decides how long a query is, and it how often to look. */
static int
find_often(struct torc_exchange *exchange, void *arg)
{
	struct torc_slice value;
	int rc = 0;

	(void)arg;
	for (unsigned i = 0; i < 200 && rc == 0; i++)
		rc = torc_exchange_query_find(exchange, "none", &value);
	for (unsigned i = 0; i < 200 && rc == 0; i++)
		rc = torc_exchange_cookie_find(exchange, "none", &value);
	assert_int_equal(rc, 0);
	assert_int_equal(torc_exchange_query_find(exchange, "a b", &value), 1);
	assert_string_equal(value.data, "c&d");
	assert_int_equal(torc_exchange_query_find(exchange, "a", &value), 0);
	assert_null(value.data);
	assert_int_equal(torc_exchange_query_find(exchange, "", &value), 1);
	assert_string_equal(value.data, "e");
	assert_int_equal(torc_exchange_cookie_find(exchange, "f", &value), 1);
	assert_string_equal(value.data, "g");
	assert_int_equal(torc_exchange_cookie_find(exchange, "", &value), 1);
	return torc_exchange_text(exchange, 200, "found", TORC_NEVER);
}

static int
sum_body(struct torc_exchange *exchange, void *arg)
{
	struct torc_slice body;
	unsigned long sum = 0;
	int rc = torc_exchange_body(exchange, &body, TORC_NEVER);

	(void)arg;
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < body.size; i++)
		sum += body.data[i];
	assert_int_equal(body.data[body.size], 0);
	return torc_exchange_textf(exchange, 200, "%zu %lu",
	    TORC_NEVER,
	    body.size, sum);
}

/* The head stays, although a body came where it was. */
static int
tell_head_after_body(struct torc_exchange *exchange, void *arg)
{
	const struct torc_slice *field = torc_exchange_field(exchange,
	    "x-mark");
	struct torc_slice piece;
	int rc;

	(void)arg;
	while ((rc = torc_exchange_read(exchange, &piece, TORC_NEVER)) > 0)
		;
	return rc < 0 ? rc : torc_exchange_textf(exchange, 200, "%.*s",
	    TORC_NEVER, (int)field->size, (const char *)field->data);
}

static sem_t entered;

/* It waits for something else than its connection. */
static int
tell_head_after_sleep(struct torc_exchange *exchange, void *arg)
{
	const struct torc_slice *field = torc_exchange_field(exchange,
	    "x-mark");

	(void)arg;
	sem_post(&entered);
	assert_int_equal(torc_sleep(torc_after_ms(300)), 0);
	return torc_exchange_textf(exchange, 200, "%.*s",
	    TORC_NEVER,
	    (int)field->size, (const char *)field->data);
}

/* It does not end its watch. */
static int
watch_client(struct torc_exchange *exchange, void *arg)
{
	(void)arg;
	torc_exchange_watch_begin(exchange, TORC_WATCH_FIN);
	sem_post(&entered);
	return torc_sleep(torc_after_ms(CLIENT_SECONDS * 1000));
}

static int
return_arg(struct torc_exchange *exchange, void *arg)
{
	(void)exchange;
	return (int)(intptr_t)arg;
}

static int
begin_and_leave(struct torc_exchange *exchange, void *arg)
{
	(void)arg;
	torc_exchange_begin(exchange, 200, NULL, 100, TORC_NEVER);
	return torc_exchange_write(exchange, "part", 4, TORC_NEVER);
}

/* The body is too long, and the client has the beginning of an answer. */
static int
read_too_late(struct torc_exchange *exchange, void *arg)
{
	struct torc_slice body;

	(void)arg;
	assert_int_equal(torc_exchange_begin(exchange, 200, NULL, 4,
	    TORC_NEVER), 0);
	assert_int_equal(torc_exchange_body(exchange, &body, TORC_NEVER),
	    -EFBIG);
	torc_exchange_write(exchange, "late", 4, TORC_NEVER);
	return torc_exchange_end(exchange, TORC_NEVER);
}

static int
answer_twice(struct torc_exchange *exchange, void *arg)
{
	struct torc_json json;

	(void)arg;
	assert_int_equal(torc_exchange_status(exchange), 0);
	assert_int_equal(torc_exchange_text(exchange, 201, "once",
	    TORC_NEVER), 0);
	assert_int_equal(torc_exchange_status(exchange), 201);
	assert_int_equal(torc_exchange_text(exchange, 200, "twice",
	    TORC_NEVER), -EINVAL);
	assert_int_equal(torc_exchange_add_field(exchange, "X", "y"),
	    -EINVAL);
	assert_int_equal(torc_exchange_json_begin(exchange, 200, &json,
	    TORC_NEVER), -EINVAL);
	torc_json_null(&json);
	assert_int_equal(torc_exchange_json_end(exchange, &json, TORC_NEVER),
	    -EINVAL);
	assert_int_equal(torc_exchange_refuse(exchange, 400, NULL,
	    TORC_NEVER), -EINVAL);
	assert_int_equal(torc_exchange_next(exchange), -EINVAL);
	return 0;
}

static int
check_fields(struct torc_exchange *exchange, void *arg)
{
	char name[16], value[16];

	(void)arg;
	assert_int_equal(torc_exchange_add_field(exchange, "a b", "c"),
	    -EINVAL);
	assert_int_equal(torc_exchange_add_field(exchange, "", "c"), -EINVAL);
	assert_int_equal(torc_exchange_add_field(exchange, "a", "c\r\nd"),
	    -EINVAL);
	assert_int_equal(torc_exchange_add_field(exchange, "content-length",
	    "1"), -EINVAL);
	for (unsigned i = 0; i < TORC_EXCHANGE_FIELDS; i++) {
		snprintf(name, sizeof(name), "X-%u", i);
		snprintf(value, sizeof(value), "v%u", i);
		assert_int_equal(torc_exchange_add_field(exchange, name,
		    value), 0);
	}
	assert_int_equal(torc_exchange_add_field(exchange, "a", "c"),
	    -E2BIG);
	return torc_exchange_refuse(exchange, 410, "gone", TORC_NEVER);
}

static int
redirect(struct torc_exchange *exchange, void *arg)
{
	assert_int_equal(torc_exchange_redirect(exchange, 200, "/a",
	    TORC_NEVER), -EINVAL);
	assert_int_equal(torc_exchange_redirect(exchange, 302, "/a b",
	    TORC_NEVER), -EINVAL);
	assert_int_equal(torc_exchange_redirect(exchange, 302, "/a\r\nb",
	    TORC_NEVER), -EINVAL);
	return torc_exchange_redirect(exchange, 303, arg, TORC_NEVER);
}

/* As much memory as there may be, and not a byte more. */
static int
use_memory(struct torc_exchange *exchange, void *arg)
{
	size_t total = 0;
	void *memory;

	(void)arg;
	while (total < 1000000 &&
	    (memory = torc_exchange_alloc(exchange, 1000)) != NULL) {
		memset(memory, 0xa5, 1000);
		assert_int_equal((uintptr_t)memory % 16, 0);
		total += 1000;
	}
	assert_null(torc_exchange_alloc(exchange, SIZE_MAX));
	assert_null(torc_exchange_print(exchange, "%*d", 70000, 1));
	return torc_exchange_textf(exchange, 200, "%d",
	    TORC_NEVER,
	    total > 60000 && total <= 65536);
}

/* ---- What runs around them ---- */

static int
around(struct torc_exchange *exchange, void *arg)
{
	const char *before = torc_exchange_data(exchange);
	int rc;

	torc_exchange_set_data(exchange, torc_exchange_print(exchange,
	    "%s%s", before != NULL ? before : "", (const char *)arg));
	rc = torc_exchange_next(exchange);
	assert_int_equal(rc, 0);
	assert_int_equal(torc_exchange_status(exchange), 200);
	return rc;
}

static int
authenticate(struct torc_exchange *exchange, void *arg)
{
	const struct torc_slice *field = torc_exchange_field(exchange,
	    "authorization");

	if (field == NULL || !torc_http_equals(*field, arg)) {
		torc_exchange_add_field(exchange, "WWW-Authenticate",
		    "Basic realm=\"a\"");
		return torc_exchange_refuse(exchange, 401, "not known",
		    TORC_NEVER);
	}
	return torc_exchange_next(exchange);
}

static int
tell_data(struct torc_exchange *exchange, void *arg)
{
	(void)arg;
	return torc_exchange_text(exchange, 200,
	    torc_exchange_data(exchange), TORC_NEVER);
}

/* ---- Filters ---- */

/* Each byte twice, once per letter of arg; the end is marked. */
static int
double_piece(struct torc_filter *filter, const void *data, size_t size,
    bool last, torc_deadline deadline, void *arg)
{
	const char *bytes = data;
	int rc = 0;

	for (size_t i = 0; i < size && rc == 0; i++) {
		const char two[2] = { bytes[i], bytes[i] };

		rc = torc_filter_pass(filter, two, 2, false, deadline);
	}
	return rc < 0 || !last ? rc : torc_filter_pass(filter, arg,
	    strlen(arg), true, deadline);
}

static int
double_head(struct torc_exchange *exchange, struct torc_exchange_head *head,
    void *arg)
{
	if (head->status == 404)
		return 1;
	if (head->status == 599)
		return -EIO;
	head->length = TORC_HTTP_UNKNOWN;
	return torc_exchange_add_field(exchange, "X-Filter", arg);
}

static const struct torc_filter_kind doubler = { double_head, double_piece };

static int
filter(struct torc_exchange *exchange, void *arg)
{
	assert_int_equal(torc_exchange_add_filter(exchange, &doubler, arg),
	    0);
	return torc_exchange_next(exchange);
}

static int
answer_status(struct torc_exchange *exchange, void *arg)
{
	(void)arg;
	return torc_exchange_text(exchange, (unsigned)atoi((const char *)
	    torc_exchange_param(exchange, "status").data), "ab", TORC_NEVER);
}

static int
answer_in_pieces(struct torc_exchange *exchange, void *arg)
{
	(void)arg;
	assert_int_equal(torc_exchange_begin(exchange, 200, "text/plain", 2,
	    TORC_NEVER), 0);
	assert_int_equal(torc_exchange_write(exchange, "a", 1, TORC_NEVER),
	    0);
	assert_int_equal(torc_exchange_flush(exchange, TORC_NEVER), 0);
	assert_int_equal(torc_exchange_write(exchange, "b", 1, TORC_NEVER),
	    0);
	assert_int_equal(torc_exchange_end(exchange, TORC_NEVER), 0);
	return torc_exchange_end(exchange, TORC_NEVER) == -EINVAL ? 0 : -1;
}

/* ---- Events and JSON ---- */

static int
tell_events(struct torc_exchange *exchange, void *arg)
{
	const struct torc_event events[] = {
		{ .data = torc_http_text("one") },
		{ .name = "tick", .id = "7", .retry_ms = 500,
		    .data = torc_http_text("a\nb\r\nc\rd\n") },
		{ .id = "8" }, { .name = "nothing" }, { .name = NULL },
	};
	const struct torc_event wrong[] = {
		{ .name = "a\nb" }, { .id = "a\rb" },
	};

	(void)arg;
	assert_int_equal(torc_exchange_events_begin(exchange, TORC_NEVER), 0);
	for (unsigned i = 0; i < COUNT(events); i++)
		assert_int_equal(torc_exchange_event(exchange, &events[i],
		    TORC_NEVER), 0);
	for (unsigned i = 0; i < COUNT(wrong); i++)
		assert_int_equal(torc_exchange_event(exchange, &wrong[i],
		    TORC_NEVER), -EINVAL);
	return torc_exchange_end(exchange, TORC_NEVER);
}

/* Until its client has gone. */
static int
tell_for_ever(struct torc_exchange *exchange, void *arg)
{
	const struct torc_event event = { .name = "tick" };
	unsigned told = 0;
	int rc;

	(void)arg;
	rc = torc_exchange_events_begin(exchange, TORC_NEVER);
	while (rc == 0 && told++ < 100)
		rc = torc_exchange_event(exchange, &event, TORC_NEVER);
	return rc < 0 ? rc : torc_exchange_end(exchange, TORC_NEVER);
}

/* A list of so many numbers; the last one is wrong if it is odd. */
static int
tell_json(struct torc_exchange *exchange, void *arg)
{
	const int count = atoi((const char *)torc_exchange_param(exchange,
	    "count").data);
	struct torc_json json;
	int rc = torc_exchange_json_begin(exchange, 200, &json, TORC_NEVER);

	(void)arg;
	torc_json_array_begin(&json);
	for (int i = 0; i < count; i++)
		torc_json_int(&json, i);
	if (count % 2 == 0)
		torc_json_array_end(&json);
	return rc < 0 ? rc : torc_exchange_json_end(exchange, &json,
	    TORC_NEVER);
}

/* ---- The service ---- */

static void
add_routes(struct torc_routes *routes)
{
	struct torc_routes *inner, *api = torc_routes_group(routes, "/api");

	torc_routes_add(routes, "GET", "/", text_of_arg, "root");
	torc_routes_add(routes, "GET", "/t/{a}/{b}", tell_target, NULL);
	torc_routes_add(routes, "GET", "/r/{a}/{rest...}", tell_target, NULL);
	torc_routes_add(routes, "PUT", "/t/{a}/{b}", tell_target, NULL);
	torc_routes_add(routes, "GET", "/query", tell_query, NULL);
	torc_routes_add(routes, "GET", "/find", find_in_query, "key");
	torc_routes_add(routes, "GET", "/often", find_often, NULL);
	torc_routes_add(routes, "GET", "/cookies", tell_cookies, NULL);
	torc_routes_add(routes, "POST", "/form", tell_form, NULL);
	torc_routes_add(routes, "POST", "/sum", sum_body, NULL);
	torc_routes_add(routes, "POST", "/mark", tell_head_after_body, NULL);
	torc_routes_add(routes, "GET", "/sleep", tell_head_after_sleep,
	    NULL);
	torc_routes_add(routes, "GET", "/watch", watch_client, NULL);
	torc_routes_add(routes, "GET", "/silent", return_arg, NULL);
	torc_routes_add(routes, "GET", "/bad", return_arg,
	    (void *)(intptr_t)-EBADMSG);
	torc_routes_add(routes, "GET", "/io", return_arg,
	    (void *)(intptr_t)-EIO);
	torc_routes_add(routes, "GET", "/part", begin_and_leave, NULL);
	torc_routes_add(routes, "GET", "/twice", answer_twice, NULL);
	torc_routes_add(routes, "POST", "/late", read_too_late, NULL);
	torc_routes_add(routes, "GET", "/fields", check_fields, NULL);
	torc_routes_add(routes, "GET", "/redirect", redirect, "/to?a=%20#b");
	torc_routes_add(routes, "GET", "/memory", use_memory, NULL);
	torc_routes_add(routes, "GET", "/events", tell_events, NULL);
	torc_routes_add(routes, "GET", "/ever", tell_for_ever, NULL);
	torc_routes_add(routes, "GET", "/json/{count}", tell_json, NULL);
	torc_routes_add(api, "GET", "/data", tell_data, NULL);
	torc_routes_around(api, around, "a");
	torc_routes_around(api, around, "b");
	inner = torc_routes_group(api, "/inner");
	torc_routes_around(inner, authenticate, "me");
	torc_routes_around(inner, around, "c");
	torc_routes_add(inner, "GET", "/data", tell_data, NULL);
	inner = torc_routes_group(routes, "/filter");
	torc_routes_around(inner, filter, "1");
	torc_routes_around(inner, filter, "2");
	torc_routes_add(inner, "GET", "/pieces", answer_in_pieces, NULL);
	torc_routes_add(inner, "GET", "/{status}", answer_status, NULL);
}

/* The group of /api/inner has its authentication inside of `around`. */
static struct server server;
static struct torc_service *service;

static void
serve(unsigned head_ms)
{
	const struct torc_http_config http = {
		.head_max = 1024, .fields_max = 200, .head_ms = head_ms,
		.body_max = 1000000,
	};
	const struct torc_service_config config = {
		.http = &http, .memory_max = 65536, .stack_ms = 50,
		.observer = observe,
	};
	/* A slow machine makes thousands of idle connections in minutes. */
	const struct torc_config patient = { .idle_ms = 600000 };
	struct torc_routes *routes;
	struct torc_error error;

	assert_int_equal(torc_routes_create(&routes), 0);
	add_routes(routes);
	if (torc_service_create(&service, routes, &config, &error) < 0)
		fail_msg("%s", error.text);
	torc_routes_destroy(routes);
	server_start(&server, &patient, torc_service_handle, service);
}

static int
set_up(void **state)
{
	(void)state;
	sem_init(&seen_more, 0, 0);
	sem_init(&entered, 0, 0);
	serve(300);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	assert_int_equal(server_stop(&server), 0);
	torc_service_destroy(service);
	return 0;
}

/* ---- A client ---- */

static char answer[ROOM];	/* all that came */
static char *body;		/* of the first one; without chunks */

static void
join_chunks(void)
{
	char *from = body, *to = body;

	for (;;) {
		unsigned long size = strtoul(from, &from, 16);

		assert_memory_equal(from, "\r\n", 2);
		memmove(to, from + 2, size);
		to += size;
		from += size + 4;
		if (size == 0)
			break;
	}
	*to = '\0';
}

/* Ask, and read to the end of the connection: the status. */
static int
ask_bytes(const void *request, size_t size)
{
	int fd = client_open(server.port);
	long got;

	forget_seen();
	client_send(fd, request, size);
	got = client_read_all(fd, answer, sizeof(answer) - 1);
	close(fd);
	if (got < 0)
		return -1;
	answer[got] = '\0';
	body = strstr(answer, "\r\n\r\n");
	if (body == NULL)
		return 0;
	body[2] = '\0';
	body += 4;
	if (strstr(answer, "Transfer-Encoding: chunked\r\n") != NULL &&
	    *body != '\0')
		join_chunks();
	return atoi(answer + 9);
}

static int
ask(const char *request)
{
	return ask_bytes(request, strlen(request));
}

static void
assert_get(const char *target, int status, const char *wanted)
{
	char request[4096];

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" LAST END,
	    target);
	assert_int_equal(ask(request), status);
	if (wanted != NULL)
		assert_string_equal(body, wanted);
}

/* ---- Routes ---- */

static void
requests_reach_their_handlers_with_their_parameters(void **state)
{
	(void)state;
	assert_get("/", 200, "root");
	assert_get("http://a", 200, "root");
	assert_get("http://a?x", 200, "root");
	assert_get("/t/x/y?q=1?2", 200, "/t/x/y a=x b=y ?q=1?2");
	assert_get("http://a/t/x/y?q", 200, "/t/x/y a=x b=y ?q");
	assert_get("/t/%78%20/y%2fz", 200, "/t/x /y/z a=x  b=y/z ?");
	assert_get("/r/x/", 200, "/r/x/ a=x rest= ?");
	assert_get("/r/x/y//z/", 200, "/r/x/y//z/ a=x rest=y//z/ ?");
	assert_get("/r/../r/x/./y/../z", 200, "/r/x/z a=x rest=z ?");
}

static void
what_no_route_answers_is_refused(void **state)
{
	(void)state;
	assert_get("/none", 404, "Not Found");
	assert_null(strstr(answer, "Allow"));
	assert_int_equal(ask("DELETE /t/x/y HTTP/1.1\r\n" LAST END), 405);
	assert_non_null(strstr(answer,
	    "Allow: GET, PUT, HEAD, OPTIONS\r\n"));
	assert_int_equal(ask("OPTIONS /t/x/y HTTP/1.1\r\n" LAST END), 204);
	assert_non_null(strstr(answer,
	    "Allow: GET, PUT, HEAD, OPTIONS\r\n"));
	assert_int_equal(ask("OPTIONS * HTTP/1.1\r\n" LAST END), 204);
	assert_non_null(strstr(answer,
	    "Allow: GET, PUT, POST, HEAD, OPTIONS\r\n"));
	assert_int_equal(ask("OPTIONS /none HTTP/1.1\r\n" LAST END), 404);
}

static void
head_is_answered_by_get_without_the_body(void **state)
{
	(void)state;
	assert_int_equal(ask("HEAD / HTTP/1.1\r\n" LAST END), 200);
	assert_string_equal(body, "");
	assert_non_null(strstr(answer, "Content-Length: 4\r\n"));
}

static void
targets_that_are_invalid_are_refused_and_the_connection_goes_on(
    void **state)
{
	static const char *const targets[] = {
		"/%", "/%zz", "/a%00", "/..", "/t/%2e%2e/%2e%2e/%2e%2e/x",
	};
	char request[512];

	(void)state;
	for (unsigned i = 0; i < COUNT(targets); i++) {
		snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n"
		    "Host: a\r\n\r\nGET / HTTP/1.1\r\n" LAST END,
		    targets[i]);
		assert_int_equal(ask(request), 400);
		assert_non_null(strstr(body, "HTTP/1.1 200 OK\r\n"));
	}
}

static void
pipelined_requests_are_answered_in_their_order(void **state)
{
	char request[8192] = "";
	const char *at;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		snprintf(request + strlen(request), 80,
		    "GET /t/%u/x HTTP/1.1\r\nHost: a\r\n%s\r\n", i,
		    i == 99 ? "Connection: close\r\n" : "");
	assert_int_equal(ask(request), 200);
	at = body;
	for (unsigned i = 0; i < 100; i++) {
		char wanted[32];

		snprintf(wanted, sizeof(wanted), "/t/%u/x a=%u b=x ?", i, i);
		at = strstr(at, wanted);
		assert_non_null(at);
	}
}

/* However long that takes on a machine that has much else to do. */
static void
a_request_may_come_byte_by_byte(void **state)
{
	static const char request[] = "POST /form HTTP/1.1\r\n" LAST
	    "Content-Type: application/x-www-form-urlencoded\r\n"
	    "Content-Length: 7\r\n\r\na=%41&b";
	long got;
	int fd;

	tear_down(state);
	serve(TORC_NO_LIMIT);
	fd = client_open(server.port);
	for (size_t i = 0; i < sizeof(request) - 1; i++) {
		client_send(fd, request + i, 1);
		pause_ms(1);
	}
	got = client_read_all(fd, answer, sizeof(answer) - 1);
	assert_true(got > 0);
	answer[got] = '\0';
	assert_non_null(strstr(answer, "\r\n\r\na=A;b=;"));
	close(fd);
	tear_down(state);
	set_up(state);
}

/* ---- Pairs ---- */

static void
queries_are_read_pair_by_pair(void **state)
{
	(void)state;
	assert_get("/query", 200, "");
	assert_get("/query?", 200, "");
	assert_get("/query?a=1&b=2", 200, "a=1;b=2;");
	assert_get("/query?&&a&=&b=c=d&", 200, "a=;=;b=c=d;");
	assert_get("/query?a+b=%26%3d%2b&%61=+", 200, "a b=&=+;a= ;");
	assert_get("/query?%c3%a4=%ff", 200, "\xc3\xa4=\xff;");
	assert_get("/query?a=%", 400, NULL);
	assert_get("/query?%4=a", 400, NULL);
	assert_get("/query?a=1&b=%zz", 400, NULL);
	assert_get("/find?a=1&key=2&key=3", 200, "1 2");
	assert_get("/find?keys=1&k%65y=%32", 200, "1 2");
	assert_get("/find?keys=1", 200, "0 none");
	assert_get("/find", 200, "0 none");
	assert_get("/find?a=%", 400, NULL);
}

static void
what_is_passed_over_in_a_search_takes_no_memory(void **state)
{
	char request[1000], filler[700];

	(void)state;
	memset(filler, 'x', sizeof(filler) - 1);
	filler[sizeof(filler) - 1] = '\0';
	snprintf(request, sizeof(request), "GET /often?%s=%%41&&a+b=c%%26d&=e "
	    "HTTP/1.1\r\nCookie: h=%s; f=\"g\"; =i\r\n" LAST END, filler,
	    "j");
	assert_int_equal(ask(request), 200);
	assert_string_equal(body, "found");
	assert_get("/find?other=%4&key=v", 400, NULL);
}

static void
forms_are_read_pair_by_pair_and_nothing_else_is_one(void **state)
{
	(void)state;
	assert_int_equal(ask("POST /form HTTP/1.1\r\n" LAST "Content-Type: "
	    "Application/X-WWW-Form-URLEncoded ; charset=utf-8\r\n"
	    "Content-Length: 9\r\n\r\na=1+2&b=%"), 400);
	assert_int_equal(ask("POST /form HTTP/1.1\r\n" LAST "Content-Type: "
	    "application/x-www-form-urlencoded\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n"
	    "3\r\na=1\r\n4\r\n+2&b\r\n0\r\n\r\n"), 200);
	assert_string_equal(body, "a=1 2;b=;");
	assert_int_equal(ask("POST /form HTTP/1.1\r\n" LAST "Content-Type: "
	    "application/json\r\nContent-Length: 2\r\n\r\n{}"), 415);
	assert_int_equal(ask("POST /form HTTP/1.1\r\n" LAST
	    "Content-Length: 2\r\n\r\n{}"), 415);
}

static void
cookies_are_read_from_all_their_fields(void **state)
{
	(void)state;
	assert_int_equal(ask("GET /cookies HTTP/1.1\r\n" LAST
	    "Cookie: a=1; b=\"2;\r\ncookie:; c = x=y ;;d\r\n"
	    "Cookie: e=\"5\"; f=%20\r\n\r\n"), 200);
	assert_string_equal(body, "a=1;b=\"2;c=x=y;d=;e=5;f=%20;");
	assert_get("/cookies", 200, "");
}

/* ---- Bodies ---- */

static void
bodies_are_collected_within_the_memory_of_the_exchange(void **state)
{
	static char request[200000];
	char wanted[64];
	int size;

	(void)state;
	size = snprintf(request, sizeof(request), "POST /sum HTTP/1.1\r\n"
	    LAST "Content-Length: 50000\r\n\r\n");
	memset(request + size, 'a', 50000);
	assert_int_equal(ask_bytes(request, (size_t)size + 50000), 200);
	snprintf(wanted, sizeof(wanted), "50000 %lu", 50000ul * 'a');
	assert_string_equal(body, wanted);
	size = snprintf(request, sizeof(request), "POST /sum HTTP/1.1\r\n"
	    LAST "Transfer-Encoding: chunked\r\n\r\n%x\r\n", 30000);
	memset(request + size, 'b', 30000);
	memcpy(request + size + 30000, "\r\n0\r\n\r\n", 7);
	assert_int_equal(ask_bytes(request, (size_t)size + 30007), 200);
	snprintf(wanted, sizeof(wanted), "30000 %lu", 30000ul * 'b');
	assert_string_equal(body, wanted);
	assert_int_equal(ask("POST /sum HTTP/1.1\r\n" LAST END), 200);
	assert_string_equal(body, "0 0");
}

/* It is moved as it grows: what was there before does not count. */
static void
a_body_without_a_length_has_as_much_memory_as_one_with_it(void **state)
{
	static char request[60000];
	char wanted[64];
	int size;

	(void)state;
	size = snprintf(request, sizeof(request), "POST /sum HTTP/1.1\r\n"
	    LAST "Transfer-Encoding: chunked\r\n\r\n%x\r\n", 55000);
	memset(request + size, 'c', 55000);
	memcpy(request + size + 55000, "\r\n0\r\n\r\n", 7);
	assert_int_equal(ask_bytes(request, (size_t)size + 55007), 200);
	snprintf(wanted, sizeof(wanted), "55000 %lu", 55000ul * 'c');
	assert_string_equal(body, wanted);
}

static void
bodies_beyond_it_are_refused(void **state)
{
	static char request[200000];
	int size;

	(void)state;
	assert_int_equal(ask("POST /sum HTTP/1.1\r\n" LAST
	    "Content-Length: 70000\r\n\r\n"), 413);
	assert_string_equal(await_seen(0)->why,
	    "a body longer than memory_max");
	size = snprintf(request, sizeof(request), "POST /sum HTTP/1.1\r\n"
	    LAST "Transfer-Encoding: chunked\r\n\r\n%x\r\n", 100000);
	memset(request + size, 'b', 100000);
	memcpy(request + size + 100000, "\r\n0\r\n\r\n", 7);
	assert_int_equal(ask_bytes(request, (size_t)size + 100007), 413);
	assert_int_equal(ask("POST /sum HTTP/1.1\r\n" LAST
	    "Content-Length: 1000001\r\n\r\n"), 413);
}

static void
a_body_beyond_it_is_an_error_behind_the_head_of_an_answer_too(void **state)
{
	(void)state;
	assert_int_equal(ask("POST /late HTTP/1.1\r\n" LAST
	    "Content-Length: 70000\r\n\r\n"), 200);
	assert_string_equal(body, "late");
}

/* The answer's head and body are those of a page of torc's. */
static void
assert_page(const char *request, int status)
{
	const char *reason = torc_http_reason((unsigned)status);
	char size[64];

	assert_int_equal(ask(request), status);
	assert_string_equal(body, reason);
	assert_non_null(strstr(answer,
	    "\r\nContent-Type: text/plain; charset=utf-8\r\n"));
	snprintf(size, sizeof(size), "\r\nContent-Length: %zu\r\n",
	    strlen(reason));
	assert_non_null(strstr(answer, size));
}

static void
whatever_torc_refuses_has_the_text_of_its_status(void **state)
{
	char request[2048];

	(void)state;
	/* The controls, which always had it. */
	assert_page("GET /none HTTP/1.1\r\n" LAST END, 404);
	assert_page("POST /sum HTTP/1.1\r\n" LAST
	    "Content-Length: 70000\r\n\r\n", 413);
	/* More than body_max, and what cannot be read. */
	assert_page("POST /sum HTTP/1.1\r\n" LAST
	    "Content-Length: 1000001\r\n\r\n", 413);
	assert_page("GET / HTTP/1.1\r\n\r\n", 400);
	assert_page("POST /sum HTTP/1.1\r\n" LAST
	    "Transfer-Encoding: gzip\r\n\r\n", 501);
	snprintf(request, sizeof(request), "GET / HTTP/1.1\r\n" LAST
	    "X: %01100d\r\n\r\n", 0);
	assert_page(request, 431);
}

static void
the_head_stays_while_the_body_is_read(void **state)
{
	static char request[60000];
	int size = snprintf(request, sizeof(request), "POST /mark HTTP/1.1"
	    "\r\n" LAST "X-Mark: mark\r\nContent-Length: 50000\r\n\r\n");

	(void)state;
	memset(request + size, 'x', 50000);
	assert_int_equal(ask_bytes(request, (size_t)size + 50000), 200);
	assert_string_equal(body, "mark");
}

static void
memory_of_an_exchange_has_its_limit_each_time_anew(void **state)
{
	(void)state;
	assert_int_equal(ask("GET /memory HTTP/1.1\r\nHost: a\r\n\r\n"
	    "GET /memory HTTP/1.1\r\n" LAST END), 200);
	assert_int_equal(*body, '1');
	assert_string_equal(strstr(body, "\r\n\r\n"), "\r\n\r\n1");
}

/* ---- Around handlers ---- */

static void
functions_run_around_handlers_outer_groups_first(void **state)
{
	(void)state;
	assert_get("/api/data", 200, "ab");
	assert_get("/api/none", 404, "Not Found");
	assert_int_equal(ask("GET /api/inner/data HTTP/1.1\r\n"
	    "Authorization: me\r\n" LAST END), 200);
	assert_string_equal(body, "abc");
}

/* ---- Answers ---- */

static void
handlers_that_fail_are_answered_for(void **state)
{
	(void)state;
	assert_get("/silent", 500, "Internal Server Error");
	assert_string_equal(await_seen(0)->why,
	    "the handler did not answer");
	assert_get("/bad", 400, "Bad Request");
	assert_get("/io", 500, "Internal Server Error");
	assert_int_equal(await_seen(0)->end.error, -EIO);
	assert_get("/part", -1, NULL);
	assert_string_equal(await_seen(0)->why,
	    "the handler did not end its answer");
	assert_get("/twice", 201, "once");
}

static void
fields_are_checked_when_they_are_added(void **state)
{
	(void)state;
	assert_get("/fields", 410, "Gone");
	assert_non_null(strstr(answer, "\r\nX-0: v0\r\n"));
	assert_non_null(strstr(answer, "\r\nX-31: v31\r\n"));
	assert_non_null(strstr(answer,
	    "\r\nContent-Type: text/plain; charset=utf-8\r\n"));
	assert_false(await_seen(0)->end.refused);
	assert_get("/redirect", 303, "");
	assert_non_null(strstr(answer, "\r\nLocation: /to?a=%20#b\r\n"));
}

static void
events_are_written_line_by_line(void **state)
{
	(void)state;
	assert_get("/events", 200, "data: one\n\n"
	    "event: tick\nid: 7\nretry: 500\ndata: a\ndata: b\ndata: c\n"
	    "data: d\ndata: \n\nid: 8\n\nevent: nothing\ndata: \n\n:\n\n");
	assert_non_null(strstr(answer, "Content-Type: text/event-stream\r\n"));
}

/* It would wait for the end of a client that waits for its next answer. */
static void
nobody_tells_events_to_a_client_that_asks_for_the_head(void **state)
{
	static const char both[] = "HEAD /ever HTTP/1.1\r\nHost: a\r\n\r\n"
	    "GET / HTTP/1.1\r\n" LAST END;
	int fd = client_open(server.port);
	long got;

	(void)state;
	forget_seen();
	client_send(fd, both, sizeof(both) - 1);
	got = client_read_all(fd, answer, sizeof(answer) - 1);
	assert_true(got > 0);
	answer[got] = '\0';
	close(fd);
	assert_int_equal(await_seen(0)->end.error, -EPIPE);
	assert_non_null(strstr(answer, "\r\n\r\nHTTP/1.1 200 OK\r\n"));
	assert_non_null(strstr(answer, "\r\n\r\nroot"));
	assert_int_equal(ask("GET /ever HTTP/1.1\r\n" LAST END), 200);
	assert_int_equal(await_seen(0)->end.error, 0);
}

static void
json_has_its_length_if_it_is_short_and_is_sent_on_if_not(void **state)
{
	char *at = body;

	(void)state;
	assert_get("/json/4", 200, "[0,1,2,3]");
	assert_non_null(strstr(answer, "Content-Length: 9\r\n"));
	assert_non_null(strstr(answer, "Content-Type: application/json\r\n"));
	assert_get("/json/10000", 200, NULL);
	assert_non_null(strstr(answer, "Transfer-Encoding: chunked\r\n"));
	assert_memory_equal(body, "[0,1,", 5);
	for (int i = 0; i < 10000; i++) {
		at = strchr(i == 0 ? body : at + 1, i == 0 ? '[' : ',');
		assert_non_null(at);
		assert_int_equal(atoi(at + 1), i);
	}
	assert_string_equal(at, ",9999]");
}

static void
json_that_is_wrong_never_looks_as_if_it_were_whole(void **state)
{
	(void)state;
	assert_get("/json/3", 500, "Internal Server Error");
	assert_int_equal(await_seen(0)->end.error, -EINVAL);
	assert_get("/json/9999", -1, NULL);
	assert_int_equal(await_seen(0)->end.error, -EINVAL);
}

/* ---- Filters ---- */

static void
answers_pass_the_filters_from_the_last_to_the_first(void **state)
{
	(void)state;
	/* Twice by "2", which adds its mark; all of it twice by "1". */
	assert_get("/filter/200", 200, "aaaabbbb221");
	assert_non_null(strstr(answer, "X-Filter: 2\r\nX-Filter: 1\r\n"));
	assert_get("/filter/pieces", 200, "aaaabbbb221");
	assert_int_equal(await_seen(0)->end.sent, 11);
}

static void
filters_may_leave_answers_alone_or_refuse_them(void **state)
{
	(void)state;
	assert_get("/filter/404", 404, "ab");
	assert_null(strstr(answer, "X-Filter"));
	assert_get("/filter/599", 500, "Internal Server Error");
	assert_int_equal(await_seen(0)->end.error, -EIO);
	assert_int_equal(ask("HEAD /filter/200 HTTP/1.1\r\n" LAST END), 200);
	assert_string_equal(body, "");
	assert_get("/filter/204", 204, "");
}

/* ---- The observer ---- */

static void
the_end_of_each_exchange_is_told(void **state)
{
	const struct seen *at;
	uint64_t before = torc_now();

	(void)state;
	assert_int_equal(ask("PUT /t/1/2?q HTTP/1.1\r\n" LAST
	    "Content-Length: 5\r\n\r\nhello"), 200);
	at = await_seen(0);
	assert_string_equal(at->route, "/t/{a}/{b}");
	assert_string_equal(at->method, "PUT");
	assert_string_equal(at->target, "/t/1/2?q");
	assert_int_equal(at->end.status, 200);
	assert_int_equal(at->end.error, 0);
	assert_false(at->end.refused);
	assert_int_equal(at->end.sent, strlen("/t/1/2 a=1 b=2 ?q"));
	assert_true(at->end.began_ns >= before - 1000000000);
	assert_true(at->end.ended_ns >= at->end.began_ns);
	assert_int_equal(ask("POST /sum HTTP/1.1\r\n" LAST
	    "Content-Length: 5\r\n\r\nhello"), 200);
	assert_int_equal(await_seen(0)->end.received, 5);
	assert_int_equal(ask("HEAD / HTTP/1.1\r\n" LAST END), 200);
	assert_int_equal(await_seen(0)->end.sent, 0);
}

static void
what_torc_refuses_by_itself_is_told_too(void **state)
{
	static const struct {
		const char *request;
		int status;
		int error;
		const char *why;
	} cases[] = {
		{ "GET /none HTTP/1.1\r\n" LAST END, 404, 0,
		    "no route has this path" },
		{ "PATCH / HTTP/1.1\r\n" LAST END, 405, 0,
		    "the routes of this path have other methods" },
		{ "GET /% HTTP/1.1\r\n" LAST END, 400, -EBADMSG,
		    "a path whose encoding is invalid" },
		{ "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, -EBADMSG,
		    NULL },
		{ "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505,
		    -EPROTONOSUPPORT, NULL },
		{ "GET / HTTP/1.1\r\nHost: ", 408, -ETIMEDOUT, NULL },
		{ "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501,
		    -EOPNOTSUPP, "CONNECT is not offered" },
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		const struct seen *at;

		assert_int_equal(ask(cases[i].request), cases[i].status);
		at = await_seen(0);
		assert_int_equal(at->end.status, cases[i].status);
		assert_int_equal(at->end.error, cases[i].error);
		assert_true(at->end.refused);
		assert_string_equal(at->route, "");
		if (cases[i].why != NULL)
			assert_string_equal(at->why, cases[i].why);
		assert_int_equal(count_seen(), 1);
	}
}

/* ---- Between requests ---- */

struct holdings {
	unsigned conns;
	unsigned dormant;
	unsigned holding;
};

static bool
holds_nothing(struct torc_reactor *reactor, void *arg)
{
	const struct torc_net *net = reactor->layer_state;
	struct holdings *holdings = arg;
	const struct torc_conn *conn = NULL;

	*holdings = (struct holdings) { .conns = 0 };
	while ((conn = torc_slots_each(&net->conns, conn)) != NULL) {
		holdings->conns++;
		holdings->dormant += conn->dormant;
		holdings->holding += conn->view_size != 0 ||
		    conn->first != NULL || conn->memory != NULL ||
		    conn->slab != NULL || conn->busy;
	}
	return holdings->dormant == holdings->conns &&
	    holdings->holding == 0;
}

static void
get_root(int fd)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	static const char head[] = "HTTP/1.1 200 OK\r\n";
	char bytes[512];
	size_t got = 0;

	client_send(fd, request, sizeof(request) - 1);
	while (got < 4 || memcmp(bytes + got - 4, "root", 4) != 0) {
		assert_true(got < sizeof(bytes));
		assert_true(client_read(fd, bytes + got, 1));
		got++;
	}
	assert_memory_equal(bytes, head, sizeof(head) - 1);
}

static void
a_connection_gives_its_stack_back_between_requests(void **state)
{
	struct holdings holdings;
	int fds[20];

	(void)state;
	for (unsigned i = 0; i < COUNT(fds); i++)
		fds[i] = client_open(server.port);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < COUNT(fds); i++)
			get_root(fds[i]);
		assert_true(server_await(&server, holds_nothing, &holdings,
		    5000));
		assert_int_equal(holdings.conns, COUNT(fds));
	}
	for (unsigned i = 0; i < COUNT(fds); i++)
		close(fds[i]);
	assert_true(server_await_connections(&server, 0));
}

static void
count_views(struct torc_reactor *reactor, void *arg)
{
	const struct torc_net *net = reactor->layer_state;
	struct holdings *holdings = arg;
	const struct torc_conn *conn = NULL;

	*holdings = (struct holdings) { .conns = 0 };
	while ((conn = torc_slots_each(&net->conns, conn)) != NULL) {
		holdings->conns++;
		holdings->holding += conn->view_size != 0 ||
		    conn->first != NULL;
	}
	holdings->holding += net->buffers.in_kernel != net->buffers.live;
}

/* Else as many as there are buffers would keep all others from asking. */
static void
a_handler_that_waits_holds_no_buffer_and_keeps_the_head(void **state)
{
	static const char request[] = "GET /sleep HTTP/1.1\r\n"
	    "X-Mark: mark\r\n" LAST END;
	struct holdings holdings;
	int fd = client_open(server.port);
	long got;

	(void)state;
	client_send(fd, request, sizeof(request) - 1);
	await_sem(&entered);
	server_call(&server, count_views, &holdings);
	assert_int_equal(holdings.conns, 1);
	assert_int_equal(holdings.holding, 0);
	assert_get("/", 200, "root");
	got = client_read_all(fd, answer, sizeof(answer) - 1);
	assert_true(got > 0);
	answer[got] = '\0';
	assert_non_null(strstr(answer, "\r\n\r\nmark"));
	close(fd);
}

static void
a_handler_that_watches_hears_that_its_client_has_gone(void **state)
{
	static const char request[] = "GET /watch HTTP/1.1\r\n" LAST END;
	int fd = client_open(server.port);
	const struct seen *at;

	(void)state;
	forget_seen();
	client_send(fd, request, sizeof(request) - 1);
	await_sem(&entered);
	close(fd);
	at = await_seen(0);
	assert_int_equal(at->end.error, -ECANCELED);
	assert_int_equal(at->end.status, 503);
	assert_true(server_await_connections(&server, 0));
}

/* Many fields are in memory of the connection, which goes, too. */
static void
a_head_with_many_fields_leaves_nothing_behind(void **state)
{
	struct holdings holdings;
	char request[1024] = "GET / HTTP/1.1\r\nHost: a\r\n";
	int fd = client_open(server.port);
	char bytes[512];

	(void)state;
	for (unsigned i = 0; i < 150; i++)
		strcat(request, "a:b\r\n");
	strcat(request, "\r\n");
	client_send(fd, request, strlen(request));
	assert_true(client_read(fd, bytes, 15));
	assert_memory_equal(bytes, "HTTP/1.1 200 OK", 15);
	assert_true(server_await(&server, holds_nothing, &holdings, 5000));
	close(fd);
	assert_true(server_await_connections(&server, 0));
}

static void
an_idle_connection_is_closed_by_a_drain(void **state)
{
	const struct torc_config config = { .lame_duck_ms = 100 };
	struct server other;
	int fd;

	(void)state;
	server_start(&other, &config, torc_service_handle, service);
	fd = client_open(other.port);
	get_root(fd);
	pause_ms(200);
	assert_int_equal(server_drain(&other, 5000), 0);
	assert_true(client_sees_fin(fd));
	close(fd);
}

/* ---- Memory ---- */

#define MANY 4000u
#define FIRST 400u

static void
an_idle_connection_of_a_service_costs_at_most_600_bytes(void **state)
{
	static int fds[MANY];
	struct holdings holdings;
	size_t before, after;

	(void)state;
	if (!allow_files(2 * MANY + 200)) {
		printf("SKIP: no %u descriptors\n", 2 * MANY + 200);
		return;
	}
	/* As many stacks are made as there are requests within `stack_ms`. */
	for (unsigned i = 0; i < FIRST; i++) {
		fds[i] = client_open(server.port);
		get_root(fds[i]);
	}
	assert_true(server_await(&server, holds_nothing, &holdings, 5000));
	before = exact_resident();
	for (unsigned i = FIRST; i < MANY; i++) {
		fds[i] = client_open(server.port);
		get_root(fds[i]);
		if (i % (FIRST / 4) == 0)
			pause_ms(60);
	}
	assert_true(server_await(&server, holds_nothing, &holdings, 5000));
	assert_int_equal(holdings.conns, MANY);
	after = exact_resident();
	for (unsigned i = 0; i < MANY; i++)
		close(fds[i]);
	after = after > before ? (after - before) / (MANY - FIRST) : 0;
	printf("an idle connection of a service: %zu bytes\n", after);
	if (SANITIZED)
		printf("SKIP: the sanitizer's memory counts, too\n");
	else
		assert_true(after > 0 && after <= 600);
	assert_true(server_await_connections(&server, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		/* Before there is memory that was used and freed. */
		cmocka_unit_test(
		    an_idle_connection_of_a_service_costs_at_most_600_bytes),
		cmocka_unit_test(
		    requests_reach_their_handlers_with_their_parameters),
		cmocka_unit_test(what_no_route_answers_is_refused),
		cmocka_unit_test(head_is_answered_by_get_without_the_body),
		cmocka_unit_test(
	    targets_that_are_invalid_are_refused_and_the_connection_goes_on),
		cmocka_unit_test(
		    pipelined_requests_are_answered_in_their_order),
		cmocka_unit_test(a_request_may_come_byte_by_byte),
		cmocka_unit_test(queries_are_read_pair_by_pair),
		cmocka_unit_test(
		    what_is_passed_over_in_a_search_takes_no_memory),
		cmocka_unit_test(
		    forms_are_read_pair_by_pair_and_nothing_else_is_one),
		cmocka_unit_test(cookies_are_read_from_all_their_fields),
		cmocka_unit_test(
		    bodies_are_collected_within_the_memory_of_the_exchange),
		cmocka_unit_test(
		    a_body_without_a_length_has_as_much_memory_as_one_with_it),
		cmocka_unit_test(bodies_beyond_it_are_refused),
		cmocka_unit_test(
		    a_body_beyond_it_is_an_error_behind_the_head_of_an_answer_too),
		cmocka_unit_test(
		    whatever_torc_refuses_has_the_text_of_its_status),
		cmocka_unit_test(the_head_stays_while_the_body_is_read),
		cmocka_unit_test(
		    memory_of_an_exchange_has_its_limit_each_time_anew),
		cmocka_unit_test(
		    functions_run_around_handlers_outer_groups_first),
		cmocka_unit_test(handlers_that_fail_are_answered_for),
		cmocka_unit_test(fields_are_checked_when_they_are_added),
		cmocka_unit_test(events_are_written_line_by_line),
		cmocka_unit_test(
		    nobody_tells_events_to_a_client_that_asks_for_the_head),
		cmocka_unit_test(
		    json_has_its_length_if_it_is_short_and_is_sent_on_if_not),
		cmocka_unit_test(
		    json_that_is_wrong_never_looks_as_if_it_were_whole),
		cmocka_unit_test(
		    answers_pass_the_filters_from_the_last_to_the_first),
		cmocka_unit_test(
		    filters_may_leave_answers_alone_or_refuse_them),
		cmocka_unit_test(the_end_of_each_exchange_is_told),
		cmocka_unit_test(what_torc_refuses_by_itself_is_told_too),
		cmocka_unit_test(
		    a_connection_gives_its_stack_back_between_requests),
		cmocka_unit_test(
		    a_handler_that_waits_holds_no_buffer_and_keeps_the_head),
		cmocka_unit_test(
		    a_handler_that_watches_hears_that_its_client_has_gone),
		cmocka_unit_test(
		    a_head_with_many_fields_leaves_nothing_behind),
		cmocka_unit_test(an_idle_connection_is_closed_by_a_drain),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
