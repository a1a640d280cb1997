/*
 * forward.c - a request goes on to an origin, and its answer comes back.
 */
#include <errno.h>
#include <stdlib.h>

#include "conn/http/http.h"
#include "sys/trap.h"

#define HEAD_KEPT 4096u		/* bytes of a head that is copied */
#define FIELDS (TORC_HTTP_FIELDS + TORC_HTTP_ADDED + 2)

/* A request and its answer, on the stack of who forwards. */
struct exchange {
	struct torc_http *http;
	struct torc_http_call call;
	const char *via;
	uint64_t deadline;
};

/* Of this hop only (RFC 9110, 7.6.1), or written anew for the next. */
static bool
stays_behind(const struct torc_http_head *head, struct torc_slice name)
{
	static const char *const names[] = {
		"connection", "content-length", "expect", "host",
		"keep-alive", "proxy-authenticate", "proxy-authorization",
		"proxy-connection", "te", "trailer", "transfer-encoding",
		"upgrade",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (torc_http_equals(name, names[i]))
			return true;
	}
	for (unsigned i = 0; i < head->field_count; i++) {
		if (torc_http_equals(head->fields[i].name, "connection") &&
		    torc_http_lists(head->fields[i].value, name))
			return true;
	}
	return false;
}

/* Room for those that go on and those that are added: `few`, or more. */
static struct torc_http_field *
take_room(const struct torc_http_head *head, struct torc_http_field *few)
{
	return head->field_count <= TORC_HTTP_FIELDS ? few :
	    malloc((head->field_count + TORC_HTTP_ADDED + 2) * sizeof(*few));
}

static void
give_room(struct torc_http_field *fields, const struct torc_http_field *few)
{
	if (fields != few)
		free(fields);
}

/* The fields that go on, and Via: how many. */
static unsigned
pass_fields(const struct torc_http_head *head, const char *via,
    struct torc_http_field *fields)
{
	unsigned count = 0;

	for (unsigned i = 0; i < head->field_count; i++) {
		if (!stays_behind(head, head->fields[i].name))
			fields[count++] = head->fields[i];
	}
	fields[count++] = (struct torc_http_field) {
		torc_http_text("Via"), torc_http_text(via),
	};
	return count;
}

/*
 * Without the scheme and the host that a target may begin with. Nothing behind
 * these is the path "/", or what OPTIONS asks about: all of the server (RFC
 * 9112, 3.2.4).
 */
static struct torc_slice
path_of(const struct torc_http_head *request)
{
	struct torc_slice target = request->target;
	const uint8_t *path = request->host.data + request->host.size;

	if (target.data[0] == '/' || target.data[0] == '*')
		return target;
	target.size -= (size_t)(path - target.data);
	target.data = path;
	if (target.size > 0)
		return target;
	return torc_http_text(request->method == TORC_HTTP_OPTIONS ? "*" :
	    "/");
}

/* Why there is no answer, if one is due. Returns the reason. */
static int
fail(struct torc_http *http, int error)
{
	unsigned status;

	switch (error) {
	case -ETIMEDOUT:
		status = 504;
		break;
	case -EBADMSG:
	case -EMSGSIZE:
	case -E2BIG:
	case -EFBIG:
	case -EPROTONOSUPPORT:
	case -EOPNOTSUPP:
	case -ECONNRESET:
	case -EPIPE:
		status = 502;
		break;
	default:
		status = 503;
	}
	torc_http_refuse(http, status, NULL, 0, error, NULL, TORC_NEVER);
	return error;
}

/* Parks. The head of the answer. */
static int
relay_head(struct exchange *exchange)
{
	const struct torc_http_head *response = &exchange->call.response;
	struct torc_http_field few[FIELDS];
	struct torc_http_field *fields = take_room(response, few);
	int rc = fields == NULL ? fail(exchange->http, -ENOMEM) :
	    torc_http_begin(exchange->http, response->status, fields,
	    pass_fields(response, exchange->via, fields),
	    response->has_length ? response->length : TORC_HTTP_UNKNOWN,
	    exchange->deadline);

	give_room(fields, few);
	return rc;
}

/* Parks. The answer, whose head was read. */
static int
relay(struct exchange *exchange)
{
	struct torc_http *http = exchange->http;
	struct torc_http_call *call = &exchange->call;
	const uint64_t deadline = exchange->deadline;
	struct torc_slice piece;
	int rc = relay_head(exchange);

	while (rc == 0 &&
	    (rc = torc_http_call_read(call, &piece, deadline)) > 0) {
		rc = torc_http_write(http, piece.data, piece.size, deadline);
		/* The origin is not read on before this is taken. */
		if (rc == 0 && !torc_http_call_over(call))
			rc = torc_http_flush(http, deadline);
	}
	return rc < 0 ? rc : torc_http_end(http, deadline);
}

/* On a fiber of its own, for an answer may come before all was asked. */
static int
answer(void *arg)
{
	struct exchange *exchange = arg;
	int rc = torc_http_call_answer(&exchange->call, exchange->deadline);

	if (rc < 0)
		return fail(exchange->http, rc);
	rc = relay(exchange);
	return rc < 0 ? rc :
	    torc_http_flush(exchange->http, exchange->deadline);
}

/* Parks. The request's body, as far as the origin takes it. */
static int
upload(struct exchange *exchange)
{
	struct torc_http_call *call = &exchange->call;
	const uint64_t deadline = exchange->deadline;
	struct torc_slice piece;
	int rc;

	while ((rc = torc_http_read(exchange->http, &piece, deadline)) > 0) {
		/* If it does not take more, it may still have answered. */
		if (torc_http_call_write(call, piece.data, piece.size,
		    deadline) < 0 ||
		    torc_http_call_flush(call, deadline) < 0)
			return 0;
	}
	if (rc == 0)
		torc_http_call_finish(call, deadline);
	return rc;
}

/* Parks. Both ways at once. */
static int
exchange_bodies(struct exchange *exchange)
{
	uint64_t id;
	int result = -ECANCELED;
	/* What is staged must not make the other fiber's answer wait for 100
	 * Continue, nor the other way round. */
	int rc = torc_http_flush(exchange->http, exchange->deadline);

	if (rc == 0)
		rc = torc_fiber_spawn(&id, answer, exchange);
	if (rc < 0)
		return fail(exchange->http, rc);
	rc = upload(exchange);
	/* Whatever happens, it is over before its exchange is. */
	if (rc < 0 || torc_fiber_join(id, &result, TORC_NEVER) < 0)
		torc_fiber_reap(id, &result);
	return rc < 0 ? rc : result;
}

/* Parks. The request as it goes on; 0, and the call is to be ended. */
static int
ask(struct exchange *exchange, struct torc_http_client *origin,
    const struct torc_http_field *added, unsigned added_count)
{
	const struct torc_http_head *head = &exchange->http->request;
	struct torc_http_field few[FIELDS];
	struct torc_http_field *fields = take_room(head, few);
	struct torc_http_request request = {
		.method = head->method_name,
		.target = path_of(head),
		.fields = fields,
	};
	int rc;

	if (fields == NULL)
		return -ENOMEM;
	request.field_count = pass_fields(head, exchange->via, fields);
	for (unsigned i = 0; i < added_count; i++)
		fields[request.field_count++] = added[i];
	if (head->host.size > 0)
		fields[request.field_count++] = (struct torc_http_field) {
			torc_http_text("Host"), head->host,
		};
	rc = head->body == TORC_HTTP_NONE ?
	    torc_http_call(origin, &exchange->call, &request,
	    exchange->deadline) :
	    torc_http_call_begin(origin, &exchange->call, &request,
	    head->body == TORC_HTTP_SIZED ? head->length : TORC_HTTP_UNKNOWN,
	    exchange->deadline);
	give_room(fields, few);
	return rc;
}

int
torc_http_forward(struct torc_http *http, struct torc_http_client *origin,
    const char *via, const struct torc_http_field *added,
    unsigned added_count, uint64_t deadline)
{
	struct exchange exchange;
	char memory[HEAD_KEPT];
	int rc;

	torc_require(added_count <= TORC_HTTP_ADDED,
	    "torc_http_forward() adds at most TORC_HTTP_ADDED fields");
	exchange.http = http;
	exchange.via = via;
	exchange.deadline = deadline;
	/* Who waits for the origin does not keep a receive buffer; one whose
	 * head is large does. */
	torc_http_keep(http, memory, sizeof(memory));
	rc = ask(&exchange, origin, added, added_count);
	if (rc < 0)
		return fail(http, rc);
	rc = http->request.body == TORC_HTTP_NONE ? relay(&exchange) :
	    exchange_bodies(&exchange);
	torc_http_call_end(&exchange.call);
	return rc;
}
