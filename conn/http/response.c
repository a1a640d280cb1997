/* SPDX-License-Identifier: MIT */
/*
 * response.c - the answers of an origin: heads before them, head, body.
 */
#include <errno.h>

#include "conn/http/origin.h"
#include "sys/sys.h"
#include "sys/trap.h"

#define INTERIM_MAX 16u		/* heads of 1xx before an answer */

/* Returns when the origin is late, if it has had the request since `since`. */
static torc_deadline
late_at(const struct torc_http_call *call, uint64_t since)
{
	const unsigned ms = call->client->config.answer_ms;

	return ms == TORC_NO_LIMIT ? TORC_NEVER :
	    torc_at(since + ms * 1000000ull);
}

/*
 * Parks. Returns 0 when more of a head is in view, or an error, which the end
 * of the connection is, too. The origin is not late before it has the request:
 * another fiber may still be sending it.
 */
static int
receive_more(struct torc_http_call *call, torc_deadline deadline)
{
	struct torc_http_input *input = &call->input;
	int rc;

	do {
		const torc_deadline by = late_at(call, call->sent_at != 0 ?
		    call->sent_at : torc_now());

		rc = torc_conn_recv(input->conn, &input->view,
		    torc_sooner(by, deadline));
	} while (rc == -ETIMEDOUT && !torc_passed(deadline) &&
	    (call->sent_at == 0 || !torc_passed(late_at(call, call->sent_at))));
	if (rc == -EPROTO)
		call->response.why = torc_http_client_why(call->client,
		    call->link, rc);
	return rc > 0 ? 0 : rc < 0 ? rc : -ECONNRESET;
}

/* If there are too many fields for the call, use memory of the link. */
static int
make_room(struct torc_http_call *call)
{
	const unsigned room = torc_http_room(call->client->config.fields_max);
	struct torc_http_head *response = &call->response;
	struct torc_http_link *link = call->link;

	if (link->fields == NULL)
		link->fields = torc_sys_alloc_raw(room * sizeof(*link->fields));
	if (link->fields == NULL)
		return -ENOMEM;
	memcpy(link->fields, response->fields,
	    response->field_count * sizeof(*link->fields));
	response->fields = link->fields;
	call->room = room;
	return 0;
}

/* As torc_http_read_response(), with room for all fields there may be. */
static int
read_response(struct torc_http_call *call)
{
	const struct torc_http_client_config *config = &call->client->config;
	const struct torc_slice *view = &call->input.view;
	struct torc_http_limits limits = {
		config->head_max, 1, config->fields_max < call->room ?
		config->fields_max : call->room,
	};
	int rc = torc_http_read_response(&call->response, view->data,
	    view->size, &limits, call->method);

	if (rc != -E2BIG || limits.fields_max == config->fields_max)
		return rc;
	call->response.field_count = 0;
	rc = make_room(call);
	limits.fields_max = config->fields_max;
	return rc < 0 ? rc : torc_http_read_response(&call->response,
	    view->data, view->size, &limits, call->method);
}

/* Parks. Read one head, of an answer or before it. Returns 0 or an error. */
static int
receive_head(struct torc_http_call *call, torc_deadline deadline)
{
	struct torc_slice *view = &call->input.view;
	struct torc_http_wait wait = { 0, 0 };
	int rc = 0;

	call->response.fields = call->fields;
	call->room = TORC_HTTP_FIELDS;
	while (rc == 0) {
		if (view->size > 0 && torc_http_worth_reading(&wait,
		    *view, call->client->config.head_max)) {
			rc = read_response(call);
		}
		if (rc == 0)
			rc = receive_more(call, deadline);
	}
	return rc == -ENOBUFS ? -EMSGSIZE : rc > 0 ? 0 : rc;
}

/* Accept a head that is not 1xx. */
static int
accept_response(struct torc_http_call *call)
{
	struct torc_http_head *response = &call->response;

	call->answered = true;
	call->lent = true;
	torc_http_expect(&call->input, response);
	torc_pace_init(&call->pace, call->client->config.body_ms,
	    call->client->config.body_rate);
	if (call->input.left > call->client->config.body_max) {
		response->why = "a body longer than body_max";
		return -EFBIG;
	}
	return 0;
}

/* Returns how many heads with status 1xx follow in the view. */
static unsigned
count_interims(const struct torc_http_call *call)
{
	const struct torc_slice *view = &call->input.view;
	const struct torc_http_limits limits = {
		call->client->config.head_max, 1, TORC_HTTP_FIELDS,
	};
	struct torc_http_field fields[TORC_HTTP_FIELDS];
	struct torc_http_head head = { .fields = fields };
	size_t at = call->response.size;
	unsigned count = 0;
	int rc;

	while (count < INTERIM_MAX &&
	    (rc = torc_http_read_response(&head, view->data + at,
	    view->size - at, &limits, call->method)) > 0 &&
	    head.status < 200) {
		at += (size_t)rc;
		count++;
	}
	return count;
}

/*
 * Accept a head with status 1xx. Returns 1; or 0 for 101, which is an answer if
 * an upgrade was asked for.
 */
static int
accept_interim(struct torc_http_call *call)
{
	struct torc_http_head *response = &call->response;

	if (response->status != 101) {
		call->interim = true;
		return 1;
	}
	if (!call->upgrade || torc_http_find(response, "upgrade") == NULL) {
		response->why = "101 without a request for it";
		return -EBADMSG;
	}
	/* The connection may last for ever, so it leaves the pool. */
	torc_pool_take(call->client->pool, call->link);
	call->link->taken = true;
	call->answered = true;
	torc_http_expect(&call->input, response);
	return 0;
}

int
torc_http_call_next(struct torc_http_call *call, torc_deadline deadline)
{
	int rc;

	torc_require(call->link != NULL,
	    "a call of HTTP is used after it failed or was ended");
	if (call->answered)
		return -EINVAL;
	if (call->interim) {
		call->interim = false;
		call->input.used = call->response.size;
		torc_http_consume(&call->input);
	}
	rc = receive_head(call, deadline);
	if (rc < 0)
		return rc;
	if (call->response.status >= 200)
		return accept_response(call);
	/* If there are too many, none of them is reported. */
	if (++call->interims + count_interims(call) < INTERIM_MAX)
		return accept_interim(call);
	call->response.why = "too many heads with status 1xx";
	return -EBADMSG;
}

int
torc_http_call_answer(struct torc_http_call *call, torc_deadline deadline)
{
	int rc;

	do
		rc = torc_http_call_next(call, deadline);
	while (rc > 0);
	return rc;
}

struct torc_conn *
torc_http_call_conn(struct torc_http_call *call)
{
	torc_require(call->answered && call->response.status == 101,
	    "torc_http_call_conn() needs an answer of 101");
	torc_http_leave(&call->input);
	return torc_http_conn_of(call);
}

/*
 * Copy the head, because its buffer is given back, and will receive other
 * bytes. Returns 0 or -ENOMEM.
 */
static int
save_head(struct torc_http_call *call)
{
	struct torc_http_head *response = &call->response;
	const uint8_t *head = call->input.view.data;
	uint8_t *memory;

	if (!call->lent)
		return 0;
	memory = torc_conn_memory(call->input.conn, response->size);
	if (memory == NULL)
		return -ENOMEM;
	memcpy(memory, head, response->size);
	torc_http_rebase(response, head, memory);
	call->lent = false;
	return 0;
}

/*
 * Parks. Wait until there is more of the body, or until a FIN ends it: then
 * nothing is in view. Returns 0 or an error.
 */
static int
receive_body(struct torc_http_call *call, torc_deadline deadline)
{
	struct torc_http_input *input = &call->input;
	int rc = save_head(call);

	if (rc < 0)
		return rc;
	torc_http_consume(input);
	rc = torc_http_receive(input, &call->pace, deadline);
	if (rc == 0 && input->state == INPUT_TO_END)
		input->state = INPUT_NONE;
	else if (rc == 0)
		rc = -ECONNRESET;
	return rc < 0 ? rc : 0;
}

/* Take a piece of the body from the view: as torc_http_take(). */
static int
take(struct torc_http_call *call, struct torc_slice *body)
{
	const struct torc_http_client_config *config = &call->client->config;
	struct torc_http_bounds bounds = {
		config->head_max, config->fields_max, call->room,
		config->body_max,
	};
	int rc = torc_http_take(&call->input, &bounds, &call->response,
	    &call->trailer, body);

	if (rc != -ENOBUFS)
		return rc;
	rc = make_room(call);
	bounds.room = call->room;
	return rc < 0 ? rc : torc_http_take(&call->input, &bounds,
	    &call->response, &call->trailer, body);
}

int
torc_http_call_read(struct torc_http_call *call, struct torc_slice *body,
    torc_deadline deadline)
{
	struct torc_http_input *input = &call->input;
	int rc = !call->answered || input->state == INPUT_BROKEN ? -EPIPE : 0;

	*body = (struct torc_slice) { NULL, 0 };
	while (rc == 0 && input->state != INPUT_NONE) {
		rc = take(call, body);
		if (rc == 0 && input->state != INPUT_NONE)
			rc = receive_body(call, deadline);
	}
	/* After a cancel, reading can go on. */
	if (rc < 0 && rc != -ECANCELED)
		input->state = INPUT_BROKEN;
	return rc < 0 ? rc : (int)body->size;
}
