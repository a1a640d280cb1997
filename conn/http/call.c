/* SPDX-License-Identifier: MIT */
/*
 * call.c - requests, on connections of a pool. response.c has their answers.
 */
#include <errno.h>
#include <stdlib.h>

#include "conn/http/origin.h"
#include "reactor/config.h"
#include "sys/trap.h"

/* ---- Requests ---- */

static const struct torc_slice get = { (const uint8_t *)"GET", 3 };

/* RFC 9110, 9.2.2. */
static bool
is_idempotent(enum torc_http_method method)
{
	return method == TORC_HTTP_GET || method == TORC_HTTP_HEAD ||
	    method == TORC_HTTP_OPTIONS || method == TORC_HTTP_TRACE ||
	    method == TORC_HTTP_PUT || method == TORC_HTTP_DELETE;
}

/* A request of these has no length if it has no body. */
static bool
has_no_body(enum torc_http_method method)
{
	return method == TORC_HTTP_GET || method == TORC_HTTP_HEAD ||
	    method == TORC_HTTP_OPTIONS || method == TORC_HTTP_TRACE ||
	    method == TORC_HTTP_DELETE;
}

struct question {
	const struct torc_http_client *client;
	const struct torc_http_request *request;
	enum torc_http_method method;
	uint64_t length;
	bool streamed;		/* the body comes later */
};

static int
write_question(const void *message, struct torc_http_writer *writer)
{
	const struct question *question = message;
	const struct torc_http_request *request = question->request;
	bool host = false;

	torc_http_put_request(writer, request->method.size > 0 ?
	    request->method : get, request->target);
	for (unsigned i = 0; i < request->field_count; i++)
		host |= torc_http_equals(request->fields[i].name, "host");
	if (!host)
		torc_http_put(writer, "Host", question->client->host);
	for (unsigned i = 0; i < request->field_count; i++) {
		if (torc_http_frames(&request->fields[i]))
			return -EINVAL;
		torc_http_put_field(writer, request->fields[i].name,
		    request->fields[i].value);
	}
	if (request->upgrade)
		torc_http_put(writer, "Connection", "upgrade");
	if (question->length == TORC_HTTP_UNKNOWN)
		torc_http_put(writer, "Transfer-Encoding", "chunked");
	else if (question->length > 0 || !has_no_body(question->method))
		torc_http_put_length(writer, question->length);
	return torc_http_put_end(writer);
}

static void
give_back(struct torc_http_call *call, bool clean)
{
	struct torc_http_link *link = call->link;

	call->link = NULL;
	call->input.state = INPUT_BROKEN;
	torc_conn_forget(link->conn);
	link->unclean = !clean;
	if (!link->taken) {
		torc_pool_release(call->client->pool, link, clean);
		return;
	}
	torc_conn_close(link->conn, TORC_AT_ONCE);
	torc_http_link_free(link);
}

static bool
is_end(int rc)
{
	return rc == -ECONNRESET || rc == -EPIPE || rc == -ECONNABORTED ||
	    rc == -ENOLINK;
}

/* The request is sent, or will not be: the origin's time begins. */
static int
end_sending(struct torc_http_call *call, int rc)
{
	call->sent = rc == 0;
	call->sent_at = torc_now();
	return rc;
}

/* Parks. Rent a connection. `fresh`: only one that was not used before. */
static int
rent(struct torc_http_call *call, uint64_t key, bool fresh,
    torc_deadline deadline)
{
	const struct torc_pool_wish wish = { .key = key, .fresh = fresh };
	void *item;
	int rc = torc_pool_acquire_for(
	    call->client->pool, &wish, &item, deadline);

	if (rc < 0) {
		call->response.why = torc_http_client_why(call->client, NULL,
		    rc);
		return rc;
	}
	call->link = item;
	call->reused = call->link->used;
	return 0;
}

/* Parks. Rent a connection, and write the head and the available body. */
static int
send_question(struct torc_http_call *call, const struct question *question,
    bool fresh, torc_deadline deadline)
{
	const struct torc_http_request *request = question->request;
	const bool whole = !question->streamed;
	int rc = question->method == TORC_HTTP_CONNECT ? -EINVAL :
	    call->client->closed ? -ESHUTDOWN :
	    rent(call, request->key, fresh, deadline);

	if (rc < 0)
		return rc;
	call->link->used = true;
	torc_conn_set_pace(call->link->conn, call->client->config.write_ms,
	    call->client->config.write_rate);
	call->input = (struct torc_http_input) { .conn = call->link->conn };
	call->promised = whole ? 0 : question->length;
	call->chunked = question->length == TORC_HTTP_UNKNOWN;
	call->upgrade = request->upgrade;
	rc = torc_http_put_message(call->link->conn, write_question, question,
	    whole ? request->body : NULL, whole ? request->size : 0,
	    deadline);
	/* After these errors nothing was written. */
	if (rc < 0)
		give_back(call, rc == -EINVAL || rc == -ENOSPC ||
		    rc == -ENOMEM);
	else if (whole)
		end_sending(call, 0);
	return rc;
}

static struct question
begin_call(struct torc_http_client *client, struct torc_http_call *call,
    const struct torc_http_request *request)
{
	const struct question question = {
		.client = client,
		.request = request,
		.method = request->method.size == 0 ? TORC_HTTP_GET :
		    torc_http_method_of(request->method),
		.length = request->size,
	};

	/* All but the fields, which would be a page to touch. */
	memset(call, 0, offsetof(struct torc_http_call, fields));
	call->client = client;
	call->method = question.method;
	return question;
}

int
torc_http_call_ask(struct torc_http_client *client,
    struct torc_http_call *call, const struct torc_http_request *request,
    uint64_t length, unsigned flags, torc_deadline deadline)
{
	struct question question = begin_call(client, call, request);

	question.streamed = (flags & ASK_STREAMED) != 0;
	if (question.streamed)
		question.length = length;
	return send_question(call, &question, (flags & ASK_FRESH) != 0,
	    deadline);
}

/*
 * Take a request of a program that was compiled for a later version. After an
 * error, no call was begun.
 */
static int
take_request(struct torc_http_request *known, struct torc_http_call *call,
    const struct torc_http_request *request, size_t size)
{
	int rc = torc_config_take(known, sizeof(*known), request, size,
	    "torc_http_request", NULL);

	if (rc < 0) {
		memset(call, 0, offsetof(struct torc_http_call, fields));
		call->response.why = "the request sets a field that this torc "
		    "does not have";
	}
	return rc;
}

int
torc_http_call_begin_sized(struct torc_http_client *client,
    struct torc_http_call *call, const struct torc_http_request *request,
    size_t request_size, uint64_t length, torc_deadline deadline)
{
	struct torc_http_request known;
	int rc = take_request(&known, call, request, request_size);

	return rc < 0 ? rc : torc_http_call_ask(client, call, &known, length,
	    ASK_STREAMED, deadline);
}

int
torc_http_call_write(struct torc_http_call *call, const void *data,
    size_t size, torc_deadline deadline)
{
	struct torc_conn *conn = torc_http_conn_of(call);
	int rc;

	if (call->sent || (!call->chunked && size > call->promised))
		return -EINVAL;
	if (size == 0)
		return 0;
	if (!call->chunked)
		call->promised -= size;
	rc = call->chunked ?
	    torc_http_put_chunk(conn, data, size, deadline) :
	    torc_conn_write(conn, data, size, deadline);
	return rc < 0 ? end_sending(call, rc) : 0;
}

int
torc_http_call_finish(struct torc_http_call *call, torc_deadline deadline)
{
	int rc = 0;

	if (call->sent || (!call->chunked && call->promised > 0))
		return -EINVAL;
	if (call->chunked)
		rc = torc_conn_write(torc_http_conn_of(call), "0\r\n\r\n", 5,
		    deadline);
	if (rc == 0)
		rc = torc_conn_flush(torc_http_conn_of(call), deadline);
	return end_sending(call, rc);
}

int
torc_http_call_flush(struct torc_http_call *call, torc_deadline deadline)
{
	int rc = torc_conn_flush(torc_http_conn_of(call), deadline);

	return rc < 0 ? end_sending(call, rc) : 0;
}

/* ---- Calls as a whole ---- */

/* Whether nothing is unread or unsent, and the origin keeps the connection. */
static bool
is_clean(struct torc_http_call *call)
{
	struct torc_http_input *input = &call->input;

	if (!call->sent || !call->answered || input->state != INPUT_NONE ||
	    !call->response.keep_alive)
		return false;
	torc_http_consume(input);
	return torc_conn_usable(call->link->conn);
}

void
torc_http_call_end(struct torc_http_call *call)
{
	if (call != NULL && call->link != NULL)
		give_back(call, is_clean(call));
}

void
torc_http_call_close(struct torc_http_call *call, torc_deadline deadline)
{
	struct torc_http_link *link = call->link;

	call->link = NULL;
	torc_conn_close(link->conn, deadline);
	torc_http_link_free(link);
}

bool
torc_http_call_over(const struct torc_http_call *call)
{
	return call->answered && call->input.state == INPUT_NONE;
}

/*
 * Whether the connection had ended before the request arrived: no byte of an
 * answer came.
 */
bool
torc_http_call_stale(const struct torc_http_call *call, int rc)
{
	return call->reused && is_end(rc) && call->response.size == 0 &&
	    call->input.view.size == 0 && is_idempotent(call->method);
}

/* Parks. Try once. Returns 0 or an error. */
static int
try_once(struct torc_http_client *client, struct torc_http_call *call,
    const struct torc_http_request *request, unsigned flags,
    torc_deadline deadline)
{
	int rc = torc_http_call_ask(client, call, request, 0, flags,
	    deadline);

	if (rc == 0) {
		rc = torc_http_call_answer(call, deadline);
		if (rc < 0)
			torc_http_call_end(call);
	}
	return rc;
}

int
torc_http_client_call_sized(struct torc_http_client *client,
    struct torc_http_call *call, const struct torc_http_request *request,
    size_t request_size, torc_deadline deadline)
{
	struct torc_http_request known;
	int rc = take_request(&known, call, request, request_size);

	if (rc < 0)
		return rc;
	rc = try_once(client, call, &known, 0, deadline);
	return torc_http_call_stale(call, rc) ?
	    try_once(client, call, &known, ASK_FRESH, deadline) : rc;
}
