/*
 * forward.c - a request goes on to an origin, and its answer comes back.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "conn/http/hop.h"
#include "sys/trap.h"

#define HEAD_KEPT 4096u		/* bytes of a head, on the stack */

/* A request and its answer, on the stack of its handler. */
struct exchange {
	struct torc_http *http;
	struct torc_http_call call;
	const struct torc_http_forwarding *how;
	uint64_t deadline;
};

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
	struct torc_http_hop hop;
	int rc = torc_http_hop_begin(&hop, response, exchange->how->via);

	if (rc < 0)
		return fail(exchange->http, rc);
	rc = torc_http_begin(exchange->http, response->status, hop.fields,
	    hop.count, response->has_length ? response->length :
	    TORC_HTTP_UNKNOWN, exchange->deadline);
	torc_http_hop_end(&hop);
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
    int64_t forwards)
{
	const struct torc_http_forwarding *how = exchange->how;
	const struct torc_http_head *head = &exchange->http->request;
	struct torc_http_request request = {
		.method = head->method_name,
		.target = torc_http_hop_path(head),
		.key = how->key,
	};
	struct torc_http_hop hop;
	char left[24];
	int rc = torc_http_hop_begin(&hop, head, how->via);

	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < how->added_count; i++)
		hop.fields[hop.count++] = how->added[i];
	if (head->host.size > 0)
		torc_http_hop_add(&hop, "Host", head->host);
	if (forwards > 0) {
		snprintf(left, sizeof(left), "%" PRId64, forwards - 1);
		torc_http_hop_replace(&hop, "max-forwards", left);
	}
	request.fields = hop.fields;
	request.field_count = hop.count;
	rc = head->body == TORC_HTTP_NONE ?
	    torc_http_call(origin, &exchange->call, &request,
	    exchange->deadline) :
	    torc_http_call_begin(origin, &exchange->call, &request,
	    head->body == TORC_HTTP_SIZED ? head->length : TORC_HTTP_UNKNOWN,
	    exchange->deadline);
	torc_http_hop_end(&hop);
	return rc;
}

/* Parks. To an origin and back. */
static int
pass_on(struct exchange *exchange, struct torc_http_client *origin,
    int64_t forwards)
{
	struct torc_http *http = exchange->http;
	int rc = ask(exchange, origin, forwards);

	if (rc < 0)
		return fail(http, rc);
	rc = http->request.body == TORC_HTTP_NONE ? relay(exchange) :
	    exchange_bodies(exchange);
	torc_http_call_end(&exchange->call);
	return rc;
}

int
torc_http_forward(struct torc_http *http, struct torc_http_client *origin,
    const struct torc_http_forwarding *how, uint64_t deadline)
{
	struct exchange exchange = {
		.http = http, .how = how, .deadline = deadline,
	};
	const uint32_t size = http->request.size;
	const int64_t forwards = torc_http_hop_forwards(&http->request);
	char few[HEAD_KEPT], *memory = few;
	int rc;

	torc_require(how->added_count <= TORC_HTTP_ADDED,
	    "torc_http_forward() adds at most TORC_HTTP_ADDED fields");
	torc_require(strlen(how->via) <= TORC_HTTP_VIA,
	    "the name in Via has at most TORC_HTTP_VIA bytes");
	if (forwards == 0 || forwards == -EBADMSG)
		return torc_http_hop_last(http, forwards, deadline);
	/* A fiber that waits for the origin keeps no receive buffer. */
	if (size > sizeof(few))
		memory = malloc(size);
	if (memory == NULL)
		return fail(http, -ENOMEM);
	torc_http_keep(http, memory, size);
	rc = pass_on(&exchange, origin, forwards);
	if (memory != few)
		free(memory);
	return rc;
}
