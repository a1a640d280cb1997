/* SPDX-License-Identifier: MIT */
/*
 * server.c - requests of a connection, and their bodies.
 */
#include <errno.h>

#include "conn/http/http.h"
#include "reactor/config.h"
#include "reactor/error.h"

#define IN_TURN 32u	/* requests of a pipeline, before others have theirs */

int
torc_http_config_check(const struct torc_http_config *config,
    struct torc_error *error)
{
	if (config->head_max != 0 && config->head_max < 16)
		return torc_error_set(error, -EINVAL, "http.head_max = %u: "
		    "must be at least 16", config->head_max);
	if (config->fields_max > FIELDS_MOST)
		return torc_error_set(error, -EINVAL, "http.fields_max = %u: "
		    "must be at most %u", config->fields_max, FIELDS_MOST);
	return 0;
}

int
torc_http_init_sized(struct torc_http *http, struct torc_conn *conn,
    const struct torc_http_config *config, size_t config_size)
{
	struct torc_http_config *to = &http->config;
	int rc;

	torc_require(http != NULL && conn != NULL,
	    "torc_http_init() needs its memory and a connection");
	/* All but the fields, which would be a page to touch. */
	memset(http, 0, offsetof(struct torc_http, fields));
	http->conn = conn;
	http->input.conn = conn;
	http->request.fields = http->fields;
	http->room = TORC_HTTP_FIELDS;
	rc = torc_config_take(to, sizeof(*to), config, config_size,
	    "torc_http_config", NULL);
	if (rc == 0)
		rc = torc_http_config_check(to, NULL);
	http->last = rc < 0;
	to->head_max = or_default(to->head_max, 32768);
	to->fields_max = or_default(to->fields_max, TORC_HTTP_FIELDS);
	to->target_max = or_default(to->target_max, 8192);
	to->body_max = to->body_max != 0 ? to->body_max : 64 << 20;
	to->skip_max = to->skip_max != 0 ? to->skip_max : 256 << 10;
	to->idle_ms = or_default(to->idle_ms, 60000);
	to->head_ms = or_default(to->head_ms, 10000);
	to->body_ms = or_default(to->body_ms, 30000);
	to->body_rate = or_default(to->body_rate, 240);
	to->write_ms = or_default(to->write_ms, 30000);
	to->write_rate = write_rate(to->write_rate, to->write_ms);
	torc_conn_set_pace(conn, to->write_ms, to->write_rate);
	return rc;
}

/*
 * Answer with an error, if an answer is due, and end the connection. A
 * connection that ends in the middle of a request is the client's error.
 */
static int
refuse(struct torc_http *http, int error)
{
	const struct torc_http_refusal refusal = {
		.status = error == -ECONNRESET ? 400 :
		    torc_http_status_of(error),
		.error = error, .why = http->request.why,
	};

	http->last = true;
	if (http->output == OUTPUT_DUE)
		torc_http_refuse(http, &refusal, TORC_NEVER);
	return error;
}

/* The same for a head that cannot be read. */
static int
refuse_head(struct torc_http *http, int error)
{
	http->output = OUTPUT_DUE;
	http->status = 0;
	http->answered = 0;
	return refuse(http, error);
}

/* ---- Heads in memory of their own ---- */

/*
 * If there are too many fields for the handler's stack, use memory of the
 * connection until the next request. Returns 0 or -ENOMEM.
 */
static int
make_room(struct torc_http *http)
{
	const unsigned room = torc_http_room(http->config.fields_max);
	struct torc_http_head *request = &http->request;
	struct torc_http_field *fields = torc_conn_memory(http->conn,
	    room * sizeof(*fields));

	if (fields == NULL)
		return -ENOMEM;
	memcpy(fields, request->fields,
	    request->field_count * sizeof(*fields));
	request->fields = fields;
	http->room = room;
	http->large = true;
	return 0;
}

/*
 * Copy the head, because its buffer is given back, and will receive other
 * bytes. Returns 0 or -ENOMEM.
 */
static int
save_head(struct torc_http *http)
{
	struct torc_http_head *request = &http->request;
	uint8_t *memory;

	if (!http->lent)
		return 0;
	memory = torc_conn_memory(http->conn, request->size);
	if (memory == NULL)
		return -ENOMEM;
	memcpy(memory, http->head, request->size);
	torc_http_rebase(request, http->head, memory);
	http->head = memory;
	http->lent = false;
	http->large = true;
	return 0;
}

static void
forget_head(struct torc_http *http)
{
	if (!http->large)
		return;
	torc_conn_forget(http->conn);
	http->request.fields = http->fields;
	http->room = TORC_HTTP_FIELDS;
	http->large = false;
}

/* ---- Bodies ---- */

void
torc_http_withhold_continue(struct torc_http *http)
{
	torc_http_check(http);
	http->withheld = true;
}

/* Parks. Wait until there is more of the body. Returns 0 or an error. */
static int
receive_more(struct torc_http *http, torc_deadline deadline)
{
	struct torc_http_input *input = &http->input;
	int rc = save_head(http);

	if (rc < 0)
		return rc;
	torc_http_consume(input);
	if (!http->continued && http->output == OUTPUT_DUE &&
	    input->view.size == 0 && !http->withheld)
		rc = torc_http_inform(http, 100, NULL, 0, deadline);
	if (rc < 0)
		return rc;
	rc = torc_http_receive(input, &http->pace, deadline);
	if (rc > 0)
		http->continued = true;	/* the client did not wait for 100 */
	return rc > 0 ? 0 : rc < 0 ? rc : -ECONNRESET;
}

static const char *
why_no_body(int error)
{
	switch (error) {
	case -ETIMEDOUT:
		return "a body that is too slow";
	case -ECONNRESET:
		return "a body that ends early";
	case -ECANCELED:
		return "a body that is incomplete at the end of a drain";
	default:
		return NULL;
	}
}

/* Take a piece of the body from the view: as torc_http_take(). */
static int
take(struct torc_http *http, struct torc_slice *body)
{
	struct torc_http_bounds bounds = {
		http->config.head_max, http->config.fields_max, http->room,
		http->config.body_max,
	};
	int rc = torc_http_take(&http->input, &bounds, &http->request,
	    &http->trailer, body);

	if (rc != -ENOBUFS)
		return rc;
	rc = make_room(http);
	bounds.room = http->room;
	return rc < 0 ? rc : torc_http_take(&http->input, &bounds,
	    &http->request, &http->trailer, body);
}

/* Parks. As torc_http_read(), but the client is not told of errors. */
static int
read_body(
    struct torc_http *http, struct torc_slice *body, torc_deadline deadline)
{
	struct torc_http_input *input = &http->input;
	int rc;

	torc_http_check(http);
	torc_require(body != NULL,
	    "torc_http_read() needs a place for the body");
	rc = input->state == INPUT_BROKEN ? -EPIPE : 0;
	*body = (struct torc_slice) { NULL, 0 };
	while (rc == 0 && input->state != INPUT_NONE) {
		rc = take(http, body);
		if (rc == 0 && input->state != INPUT_NONE)
			rc = receive_more(http, deadline);
	}
	if (rc >= 0 && input->state == INPUT_NONE)
		torc_conn_set_unfinished(http->conn, false);
	return rc < 0 ? rc : (int)body->size;
}

static int
refuse_body(struct torc_http *http, int error)
{
	torc_conn_set_unfinished(http->conn, false);
	if (http->input.state == INPUT_BROKEN)
		return error;
	http->input.state = INPUT_BROKEN;
	if (http->request.why == NULL)
		http->request.why = why_no_body(error);
	return refuse(http, error);
}

int
torc_http_read(struct torc_http *http, struct torc_slice *body,
    torc_deadline deadline)
{
	int rc = read_body(http, body, deadline);

	return rc < 0 ? refuse_body(http, rc) : rc;
}

int
torc_http_poll_body(struct torc_http *http, struct torc_slice *body,
    torc_deadline by)
{
	int rc = read_body(http, body, by);

	if (rc == -ETIMEDOUT && torc_passed(by))
		return -EAGAIN;
	return rc < 0 && rc != -ECANCELED ? refuse_body(http, rc) : rc;
}

int
torc_http_skip_body(struct torc_http *http, torc_deadline deadline)
{
	uint64_t skipped = 0;
	int rc;

	do {
		struct torc_slice body;

		rc = torc_http_read(http, &body, deadline);
		skipped += body.size;
		if (skipped > http->config.skip_max)
			return -EFBIG;
	} while (rc > 0);
	return rc;
}

/* ---- Requests ---- */

/* RFC 9110, 7.8: not in HTTP/1.0. */
static bool
wants_upgrade(const struct torc_http_head *request)
{
	return request->upgrade && request->version > TORC_HTTP_1_0 &&
	    torc_http_find(request, "upgrade") != NULL;
}

/*
 * From now on a drain does not cut the body off, and the peer's time for it
 * runs.
 */
static void
expect_body(struct torc_http *http)
{
	torc_conn_set_unfinished(http->conn, true);
	torc_pace_init(&http->pace, http->config.body_ms,
	    http->config.body_rate);
}

/* Accept a head: find out what follows it, and whether that is too much. */
static int
accept_request(struct torc_http *http)
{
	struct torc_http_head *request = &http->request;

	http->requests++;
	http->head = http->input.view.data;
	http->lent = true;
	http->output = OUTPUT_DUE;
	http->status = 0;
	http->answered = 0;
	http->continued = !request->expects_continue;
	http->upgrade = wants_upgrade(request);
	http->withheld = false;
	torc_http_expect(&http->input, request);
	if (http->input.state != INPUT_NONE)
		expect_body(http);
	if (request->body == TORC_HTTP_TUNNEL) {
		request->why = "CONNECT is not offered";
		return refuse(http, -EOPNOTSUPP);
	}
	if (http->input.left > http->config.body_max) {
		request->why = "a body longer than body_max";
		http->input.state = INPUT_BROKEN;
		return refuse(http, -EFBIG);
	}
	return 1;
}

/*
 * No more requests come. An error is answered, but an end is not, and neither
 * are empty lines alone.
 */
static int
end_of_requests(struct torc_http *http, int rc)
{
	http->last = true;
	if (rc == -ETIMEDOUT && torc_http_begun(http->input.view)) {
		http->request.why = "a head that took longer than head_ms";
		return refuse_head(http, rc);
	}
	if (rc == -ENOBUFS) {
		http->request.why = "a head longer than held_max";
		return refuse_head(http, -EMSGSIZE);
	}
	return rc == -ETIMEDOUT || rc == -ESHUTDOWN || rc == -ECONNRESET ?
	    0 : rc;
}

/* As torc_http_read_request(), with room for all fields there may be. */
static int
read_request(struct torc_http *http, const struct torc_slice *view)
{
	const struct torc_http_config *config = &http->config;
	struct torc_http_limits limits = {
		config->head_max, config->target_max,
		config->fields_max < http->room ? config->fields_max :
		http->room,
	};
	int rc = torc_http_read_request(&http->request, view->data,
	    view->size, &limits);

	if (rc != -E2BIG || limits.fields_max == config->fields_max)
		return rc;
	http->request.field_count = 0;
	rc = make_room(http);
	limits.fields_max = config->fields_max;
	return rc < 0 ? rc : torc_http_read_request(&http->request,
	    view->data, view->size, &limits);
}

/*
 * Parks after many requests of a pipeline in one turn of the loop, so that
 * other fibers can run. torc_now() does not change within a turn.
 */
static int
take_turns(struct torc_http *http)
{
	const uint64_t now = torc_now();

	if (http->turn != now) {
		http->turn = now;
		http->in_turn = 0;
	}
	if (http->input.view.size == 0 || http->in_turn++ < IN_TURN)
		return 0;
	http->in_turn = 0;
	return torc_yield();
}

/* Parks. Wait for a head. Returns 1, 0 or an error. */
static int
await_request(struct torc_http *http, torc_deadline deadline)
{
	struct torc_slice *view = &http->input.view;
	torc_deadline head_by = TORC_NEVER;
	struct torc_http_wait wait = { 0, 0 };
	int rc;

	forget_head(http);
	http->trailer.field_count = 0;
	rc = take_turns(http);
	if (rc < 0)
		return end_of_requests(http, rc);
	torc_conn_set_busy(http->conn, false);
	for (;;) {
		if (view->size > 0 && torc_http_worth_reading(&wait,
		    *view, http->config.head_max)) {
			rc = read_request(http, view);
			if (rc > 0) {
				torc_conn_set_busy(http->conn, true);
				rc = accept_request(http);
				torc_http_leave(&http->input);
				return rc;
			}
			if (rc < 0)
				return refuse_head(http, rc);
		}
		/* A head that has begun has its own deadline, which its
		 * bytes do not move. */
		if (view->size > 0 && head_by.at == UINT64_MAX)
			head_by = sooner(TORC_NEVER, http->config.head_ms);
		rc = torc_conn_recv(http->conn, view, view->size == 0 ?
		    sooner(deadline, http->config.idle_ms) :
		    torc_sooner(head_by, deadline));
		if (rc <= 0)
			return end_of_requests(http, rc);
	}
}

int
torc_http_recv(struct torc_http *http, torc_deadline deadline)
{
	static const struct torc_http_refusal unanswered = {
		.status = 500, .why = "the handler did not answer",
	};
	int rc = 0;

	torc_http_check(http);
	if (http->output == OUTPUT_DUE)
		torc_http_refuse(http, &unanswered, deadline);
	if (http->output >= OUTPUT_BEGUN)
		return -EPIPE;
	if (http->last)
		return 0;
	if (http->input.state != INPUT_NONE)
		rc = torc_http_skip_body(http, deadline);
	if (rc < 0) {
		http->last = true;
		return 0;
	}
	torc_http_consume(&http->input);
	return await_request(http, deadline);
}

int
torc_http_keep(struct torc_http *http, void *memory, size_t size)
{
	struct torc_http_head *request = &http->request;

	torc_http_check(http);
	torc_require(memory != NULL, "torc_http_keep() needs memory");
	if (request->size == 0)
		return -EINVAL;
	if (request->size > size)
		return -ENOSPC;
	memmove(memory, http->head, request->size);
	torc_http_rebase(request, http->head, memory);
	http->head = memory;
	if (!http->lent)
		return 0;
	http->lent = false;
	torc_http_consume(&http->input);
	torc_http_leave(&http->input);
	return 0;
}
