/*
 * client.c - requests out, answers in, on connections of a pool.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "conn/http/origin.h"
#include "sys/trap.h"

#define INTERIM_MAX 16u		/* heads of 1xx before an answer */
#define GOODBYE_MS 1000u	/* for the FIN of an origin */
#define CLIENT_ALIVE 0x68747470u

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
set_forward_defaults(struct torc_http_client_config *config)
{
	struct torc_http_forward_config *forward = &config->forward;

	forward->keep_max = or_default(forward->keep_max, 1 << 20);
	if (forward->memory_max == 0)
		forward->memory_max = 64 << 20;
	forward->gather_ms = or_default(forward->gather_ms, 1000);
	forward->queue_ms = or_default(forward->queue_ms, 30000);
	forward->half_close_ms = or_default(forward->half_close_ms, 1000);
	forward->tunnel_ms = or_default(forward->tunnel_ms, 300000);
	forward->stall_ms = or_default(forward->stall_ms, 1000);
	if (config->pool.aside_max == 0)
		config->pool.aside_max = 16 *
		    or_default(config->pool.size, 8);
	if (config->pool.aside_max > 65536)
		config->pool.aside_max = 65536;
}

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
	set_forward_defaults(config);
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
	made->unplaced = 0;
	made->evictor = 0;
	torc_list_init(&made->slow);
	made->host = made->address + address_size;
	memcpy(made->address, config->address, address_size);
	memcpy(made->host, host, strlen(host) + 1);
	set_defaults(&made->config);
	made->budget = (struct torc_http_budget) {
		.max = made->config.forward.memory_max,
		.each = made->config.forward.stream ? 0 :
		    made->config.forward.keep_max,
	};
	rc = torc_pool_create(&made->pool, &kind, made, &made->config.pool,
	    text, text_size);
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
	/* It has ended with its reactor. */
	if (client->evictor != 0)
		torc_fiber_reap(client->evictor, NULL);
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
	if (request->upgrade)
		torc_http_put(writer, "Connection", "upgrade");
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

	call->link = NULL;
	call->input.state = INPUT_BROKEN;
	torc_conn_forget(link->conn);
	link->spoiled = !clean;
	if (!link->taken) {
		torc_pool_release(call->client->pool, link, clean);
		return;
	}
	torc_conn_close(link->conn, 0);
	free_link(NULL, link);
}

static bool
is_end(int rc)
{
	return rc == -ECONNRESET || rc == -EPIPE || rc == -ECONNABORTED;
}

/* No more of the request goes out: it is the origin's turn. */
static int
end_sending(struct torc_http_call *call, int rc)
{
	call->sent = rc == 0;
	call->sent_at = torc_now();
	return rc;
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
	call->upgrade = request->upgrade;
	rc = torc_http_put_message(call->link->conn, write_question, question,
	    whole ? request->body : NULL, whole ? request->size : 0,
	    deadline);
	/* Of these nothing was written. */
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
    uint64_t length, unsigned flags, uint64_t deadline)
{
	struct question question = begin_call(client, call, request);

	question.streamed = (flags & ASK_STREAMED) != 0;
	if (question.streamed)
		question.length = length;
	return send_question(call, &question, (flags & ASK_FRESH) != 0,
	    deadline);
}

int
torc_http_call_begin(struct torc_http_client *client,
    struct torc_http_call *call, const struct torc_http_request *request,
    uint64_t length, uint64_t deadline)
{
	return torc_http_call_ask(client, call, request, length, ASK_STREAMED,
	    deadline);
}

int
torc_http_call_write(struct torc_http_call *call, const void *data,
    size_t size, uint64_t deadline)
{
	struct torc_conn *conn = conn_of(call);
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
torc_http_call_finish(struct torc_http_call *call, uint64_t deadline)
{
	int rc = 0;

	if (call->sent || (!call->chunked && call->promised > 0))
		return -EINVAL;
	if (call->chunked)
		rc = torc_conn_write(conn_of(call), "0\r\n\r\n", 5,
		    deadline);
	if (rc == 0)
		rc = torc_conn_flush(conn_of(call), deadline);
	return end_sending(call, rc);
}

int
torc_http_call_flush(struct torc_http_call *call, uint64_t deadline)
{
	int rc = torc_conn_flush(conn_of(call), deadline);

	return rc < 0 ? end_sending(call, rc) : 0;
}

/* ---- Answers ---- */

/* When an origin is late that has had the request since then. */
static uint64_t
late_at(const struct torc_http_call *call, uint64_t since)
{
	const unsigned ms = call->client->config.answer_ms;

	return ms == TORC_NO_LIMIT ? TORC_NEVER : since + ms * 1000000ull;
}

/*
 * Parks. 0 when there is more in view of a head, or an error: also at the end.
 * The origin is not late before it has the request: another fiber may send it
 * meanwhile.
 */
static int
receive_more(struct torc_http_call *call, uint64_t deadline)
{
	struct torc_http_input *input = &call->input;
	int rc;

	do {
		const uint64_t by = late_at(call, call->sent_at != 0 ?
		    call->sent_at : torc_now());

		rc = torc_conn_recv(input->conn, &input->view,
		    by < deadline ? by : deadline);
	} while (rc == -ETIMEDOUT && torc_now() < deadline &&
	    (call->sent_at == 0 || torc_now() < late_at(call, call->sent_at)));
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

/* A head was read that is no 1xx. */
static int
accept_response(struct torc_http_call *call)
{
	struct torc_http_head *response = &call->response;

	call->answered = true;
	call->lent = true;
	torc_http_expect(&call->input, response);
	torc_pace_begin(&call->pace, call->client->config.body_ms,
	    call->client->config.body_rate);
	if (call->input.left > call->client->config.body_max) {
		response->why = "a body longer than body_max";
		return -EFBIG;
	}
	return 0;
}

/* How many heads of 1xx are in view behind the one that was read. */
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

/* A head of 1xx: 1; 101 is an answer if it was asked for. */
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
	/* It may last for ever: it is none of the pool's any more. */
	torc_pool_take(call->client->pool, call->link);
	call->link->taken = true;
	call->answered = true;
	torc_http_expect(&call->input, response);
	return 0;
}

int
torc_http_call_next(struct torc_http_call *call, uint64_t deadline)
{
	int rc;

	torc_require(call->link != NULL,
	    "a call of HTTP is used that has failed or was ended");
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
	/* None of a flood is told. */
	if (++call->interims + count_interims(call) < INTERIM_MAX)
		return accept_interim(call);
	call->response.why = "too many heads of 1xx";
	return -EBADMSG;
}

int
torc_http_call_answer(struct torc_http_call *call, uint64_t deadline)
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
	    "a connection is taken over that has no answer of 101");
	torc_http_leave(&call->input);
	return conn_of(call);
}

/*
 * The buffer that the head is in goes back: what others receive in it must not
 * be taken for the head. 0 or -ENOMEM.
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
 * Parks. Until there is more of the body, or it is over, be it by a FIN: then
 * nothing is in view. 0 or an error.
 */
static int
receive_body(struct torc_http_call *call, uint64_t deadline)
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
	/* It can be gone on with. */
	if (rc < 0 && rc != -ECANCELED)
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

void
torc_http_call_close(struct torc_http_call *call, uint64_t deadline)
{
	struct torc_http_link *link = call->link;

	call->link = NULL;
	torc_conn_close(link->conn, deadline);
	free_link(NULL, link);
}

bool
torc_http_call_over(const struct torc_http_call *call)
{
	return call->answered && call->input.state == INPUT_NONE;
}

/* The connection had ended before the request came: not a byte was answered. */
bool
torc_http_call_stale(const struct torc_http_call *call, int rc)
{
	return call->reused && is_end(rc) && call->response.size == 0 &&
	    call->input.view.size == 0 && is_idempotent(call->method);
}

/* Parks. One try: 0 or an error. */
static int
try_once(struct torc_http_client *client, struct torc_http_call *call,
    const struct torc_http_request *request, unsigned flags,
    uint64_t deadline)
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
torc_http_call(struct torc_http_client *client, struct torc_http_call *call,
    const struct torc_http_request *request, uint64_t deadline)
{
	int rc = try_once(client, call, request, 0, deadline);

	return torc_http_call_stale(call, rc) ?
	    try_once(client, call, request, ASK_FRESH, deadline) : rc;
}
