/*
 * client.c - requests out, answers in, on connections of a pool.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "conn/http/http.h"
#include "sys/trap.h"

#define INTERIM_MAX 16u		/* heads of 1xx before an answer */
#define GOODBYE_MS 1000u	/* for the FIN of an origin */
#define CLIENT_ALIVE 0x68747470u

/* A connection of the pool. */
struct torc_http_link {
	struct torc_conn *conn;
	bool used;		/* for a request before, or it was idle: the
				 * origin may be about to end it */
	bool spoiled;		/* something is unread or unsent */
	struct torc_http_field *fields;	/* room for many, or NULL */
};

struct torc_http_client {
	uint32_t alive;		/* CLIENT_ALIVE until it is freed */
	struct torc_pool *pool;
	struct torc_http_client_config config;
	bool closed;
	char *host;
	char address[];		/* and the host behind it */
};

/* ---- The pool's connections ---- */

/* TLS would begin here, between the dial and the first request. */
static int
open_link(void *arg, void **item, uint64_t deadline)
{
	const struct torc_http_client *client = arg;
	struct torc_http_link *link = calloc(1, sizeof(*link));
	int rc;

	if (link == NULL)
		return -ENOMEM;
	rc = torc_dial_name(&link->conn, client->address, deadline);
	if (rc < 0) {
		free(link);
		return rc;
	}
	*item = link;
	return 0;
}

static void
close_link(void *arg, void *item)
{
	struct torc_http_link *link = item;

	(void)arg;
	torc_conn_close(link->conn,
	    link->spoiled ? 0 : torc_after_ms(GOODBYE_MS));
	free(link->fields);
	free(link);
}

static void
free_link(void *arg, void *item)
{
	struct torc_http_link *link = item;

	(void)arg;
	free(link->fields);
	free(link);
}

static bool
link_usable(void *arg, void *item)
{
	struct torc_http_link *link = item;

	(void)arg;
	link->used = true;
	return torc_conn_usable(link->conn);
}

static const struct torc_pool_kind kind = {
	.name = "http",
	.open = open_link,
	.close = close_link,
	.free = free_link,
	.usable = link_usable,
};

/* ---- The client ---- */

static void
set_defaults(struct torc_http_client_config *config)
{
	config->head_max = or_default(config->head_max, 32768);
	config->fields_max = fields_max(config->fields_max);
	config->body_max = config->body_max != 0 ? config->body_max : 64 << 20;
	config->answer_ms = or_default(config->answer_ms, 30000);
	config->body_ms = or_default(config->body_ms, 30000);
	config->body_rate = or_default(config->body_rate, 1);
	config->write_ms = or_default(config->write_ms, 30000);
	config->write_rate = write_rate(config->write_rate,
	    config->write_ms);
}

static bool
is_value(const char *text)
{
	uint8_t memory[1024];
	struct torc_http_writer writer = { memory, sizeof(memory), 0, 0 };

	torc_http_put(&writer, "Host", text);
	return writer.error == 0;
}

int
torc_http_client_create(struct torc_http_client **client,
    const struct torc_http_client_config *config, char *text,
    size_t text_size)
{
	const char *host = config->host != NULL ? config->host :
	    strncmp(config->address, "unix:", 5) == 0 ? "localhost" :
	    config->address;
	const size_t address_size = strlen(config->address) + 1;
	struct torc_http_client *made;
	int rc;

	if (!is_value(host)) {
		if (text != NULL)
			snprintf(text, text_size, "host: not a value of a "
			    "field, or longer than 1000 bytes");
		return -EINVAL;
	}
	made = malloc(sizeof(*made) + address_size + strlen(host) + 1);
	if (made == NULL)
		return -ENOMEM;
	made->alive = CLIENT_ALIVE;
	made->config = *config;
	made->closed = false;
	made->host = made->address + address_size;
	memcpy(made->address, config->address, address_size);
	memcpy(made->host, host, strlen(host) + 1);
	set_defaults(&made->config);
	rc = torc_pool_create(&made->pool, &kind, made, &config->pool, text,
	    text_size);
	if (rc < 0)
		free(made);
	else
		*client = made;
	return rc;
}

void
torc_http_client_destroy(struct torc_http_client *client)
{
	if (client == NULL)
		return;
	torc_require(client->alive == CLIENT_ALIVE,
	    "a client of HTTP is destroyed twice, or was never created");
	torc_pool_destroy(client->pool);
	client->alive = 0;
	free(client);
}

void
torc_http_client_close(struct torc_http_client *client)
{
	if (client != NULL)
		client->closed = true;
}

void
torc_http_client_stats(const struct torc_http_client *client,
    struct torc_pool_stats *stats)
{
	torc_pool_stats(client->pool, stats);
}

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
	if (question->length == TORC_HTTP_UNKNOWN)
		torc_http_put(writer, "Transfer-Encoding", "chunked");
	else if (question->length > 0 || !has_no_body(question->method))
		torc_http_put_length(writer, question->length);
	return torc_http_put_end(writer);
}

static struct torc_conn *
conn_of(const struct torc_http_call *call)
{
	torc_require(call->link != NULL,
	    "a call of HTTP is used that has failed or was ended");
	return call->link->conn;
}

static void
give_back(struct torc_http_call *call, bool clean)
{
	struct torc_http_link *link = call->link;

	link->spoiled = !clean;
	torc_pool_release(call->client->pool, link, clean);
	call->link = NULL;
	call->input.state = INPUT_BROKEN;
}

static bool
is_end(int rc)
{
	return rc == -ECONNRESET || rc == -EPIPE || rc == -ECONNABORTED;
}

/* Parks. Rent a connection; `fresh`: one that was not used before. */
static int
rent(struct torc_http_call *call, uint64_t key, bool fresh, uint64_t deadline)
{
	const struct torc_pool_wish wish = { .key = key, .fresh = fresh };
	void *item;
	int rc = torc_pool_acquire_for(call->client->pool, &item, &wish,
	    deadline);

	if (rc < 0)
		return rc;
	call->link = item;
	call->reused = call->link->used;
	return 0;
}

/* Parks. Rent, and write the head and what is there of a body. */
static int
send_question(struct torc_http_call *call, const struct question *question,
    bool fresh, uint64_t deadline)
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
	call->sent = whole;
	rc = torc_http_put_message(call->link->conn, write_question, question,
	    whole ? request->body : NULL, whole ? request->size : 0,
	    deadline);
	/* Of these nothing was written. */
	if (rc < 0)
		give_back(call, rc == -EINVAL || rc == -ENOSPC ||
		    rc == -ENOMEM);
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
torc_http_call_begin(struct torc_http_client *client,
    struct torc_http_call *call, const struct torc_http_request *request,
    uint64_t length, uint64_t deadline)
{
	struct question question = begin_call(client, call, request);

	question.length = length;
	question.streamed = true;
	return send_question(call, &question, false, deadline);
}

int
torc_http_call_write(struct torc_http_call *call, const void *data,
    size_t size, uint64_t deadline)
{
	struct torc_conn *conn = conn_of(call);

	if (call->sent || (!call->chunked && size > call->promised))
		return -EINVAL;
	if (size == 0)
		return 0;
	if (call->chunked)
		return torc_http_put_chunk(conn, data, size,
		    deadline);
	call->promised -= size;
	return torc_conn_write(conn, data, size, deadline);
}

int
torc_http_call_finish(struct torc_http_call *call, uint64_t deadline)
{
	int rc = 0;

	if (call->sent || (!call->chunked && call->promised > 0))
		return -EINVAL;
	if (call->chunked)
		rc = torc_conn_write(conn_of(call), "0\r\n\r\n", 5,
		    deadline);
	if (rc == 0)
		rc = torc_http_call_flush(call, deadline);
	call->sent = rc == 0;
	return rc;
}

int
torc_http_call_flush(struct torc_http_call *call, uint64_t deadline)
{
	return torc_conn_flush(conn_of(call), deadline);
}

/* ---- Answers ---- */

/* Parks. 0 when there is more in view, or an error: also at the end. */
static int
receive_more(struct torc_http_call *call, uint64_t deadline)
{
	struct torc_http_input *input = &call->input;
	int rc = torc_conn_recv(input->conn, &input->view, deadline);

	return rc > 0 ? 0 : rc < 0 ? rc : -ECONNRESET;
}

/* Fields that are too many for the call go to memory of the link's. */
static int
make_room(struct torc_http_call *call)
{
	const unsigned room = torc_http_room(call->client->config.fields_max);
	struct torc_http_head *response = &call->response;
	struct torc_http_link *link = call->link;

	if (link->fields == NULL)
		link->fields = malloc(room * sizeof(*link->fields));
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

/* Parks. One head, of an answer or before it. 0 or an error. */
static int
receive_head(struct torc_http_call *call, uint64_t deadline)
{
	struct torc_slice *view = &call->input.view;
	size_t tried = 0;
	int rc = 0;

	call->response.fields = call->fields;
	call->room = TORC_HTTP_FIELDS;
	while (rc == 0) {
		if (view->size > 0 && worth_reading(*view, tried,
		    call->client->config.head_max)) {
			rc = read_response(call);
			tried = view->size;
		}
		if (rc == 0)
			rc = receive_more(call, deadline);
	}
	return rc == -ENOBUFS ? -EMSGSIZE : rc > 0 ? 0 : rc;
}

/* A head was read that is no 1xx. */
static int
accept_response(struct torc_http_call *call)
{
	struct torc_http_head *response = &call->response;

	call->answered = true;
	torc_http_expect(&call->input, response);
	torc_pace_begin(&call->pace, call->client->config.body_ms,
	    call->client->config.body_rate);
	if (call->input.left > call->client->config.body_max) {
		response->why = "a body longer than body_max";
		return -EFBIG;
	}
	return 0;
}

int
torc_http_call_answer(struct torc_http_call *call, uint64_t deadline)
{
	const uint64_t by = sooner(deadline, call->client->config.answer_ms);

	torc_require(call->link != NULL,
	    "a call of HTTP is used that has failed or was ended");
	if (call->answered)
		return -EINVAL;
	for (unsigned i = 0; i < INTERIM_MAX; i++) {
		int rc = receive_head(call, by);

		if (rc < 0)
			return rc;
		if (call->response.status == 101) {
			call->response.why = "101 without a request for it";
			return -EBADMSG;
		}
		if (call->response.status >= 200)
			return accept_response(call);
		call->input.used = call->response.size;
		torc_http_consume(&call->input);
	}
	call->response.why = "too many heads of 1xx";
	return -EBADMSG;
}

/*
 * Parks. Until there is more of the body, or it is over, be it by a FIN: then
 * nothing is in view. 0 or an error.
 */
static int
receive_body(struct torc_http_call *call, uint64_t deadline)
{
	struct torc_http_input *input = &call->input;
	int rc;

	torc_http_consume(input);
	rc = torc_http_receive(input, &call->pace, deadline);
	if (rc == 0 && input->state == INPUT_TO_END)
		input->state = INPUT_NONE;
	else if (rc == 0)
		rc = -ECONNRESET;
	return rc < 0 ? rc : 0;
}

/* What is in view of the body: as torc_http_take(). */
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
    uint64_t deadline)
{
	struct torc_http_input *input = &call->input;
	int rc = !call->answered || input->state == INPUT_BROKEN ? -EPIPE : 0;

	*body = (struct torc_slice) { NULL, 0 };
	while (rc == 0 && input->state != INPUT_NONE) {
		rc = take(call, body);
		if (rc == 0 && input->state != INPUT_NONE)
			rc = receive_body(call, deadline);
	}
	if (rc < 0)
		input->state = INPUT_BROKEN;
	return rc < 0 ? rc : (int)body->size;
}

/* ---- Calls as a whole ---- */

/* Nothing is unread or unsent, on either side, and the origin goes on. */
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

bool
torc_http_call_over(const struct torc_http_call *call)
{
	return call->answered && call->input.state == INPUT_NONE;
}

/* The connection had ended before the request came: not a byte was answered. */
static bool
was_stale(const struct torc_http_call *call, int rc)
{
	return call->reused && is_end(rc) && call->response.size == 0 &&
	    call->input.view.size == 0;
}

/* Parks. One try: 0, or an error and `*stale` if it is that. */
static int
try_once(struct torc_http_call *call, const struct question *question,
    bool fresh, bool *stale, uint64_t deadline)
{
	int rc = send_question(call, question, fresh, deadline);

	if (rc == 0) {
		rc = torc_http_call_answer(call, deadline);
		if (rc < 0)
			torc_http_call_end(call);
	}
	*stale = was_stale(call, rc);
	return rc;
}

int
torc_http_call(struct torc_http_client *client, struct torc_http_call *call,
    const struct torc_http_request *request, uint64_t deadline)
{
	struct question question = begin_call(client, call, request);
	bool stale;
	int rc = try_once(call, &question, false, &stale, deadline);

	if (!stale || !is_idempotent(question.method))
		return rc;
	question = begin_call(client, call, request);
	return try_once(call, &question, true, &stale, deadline);
}
