/*
 * proxy.c - a reverse proxy: passes requests on to the origin that the
 * environment names, PROXY_ORIGIN or localhost:8081, and its answers back.
 * Bodies go through as they come, no faster than the other side takes them.
 * 503 says that the origin cannot be reached, 504 that it is too slow, 502
 * that its answer cannot be used.
 */
#include <torc_http.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define FIELDS (TORC_HTTP_FIELDS + 3)

static const struct torc_key origin_key = { "origin" };
static const struct torc_http_config server_config = {
	.body_max = UINT64_MAX, .date = true,
};

/* A request and its answer, and the fiber that waits for the answer. */
struct exchange {
	struct torc_http *http;
	struct torc_http_call call;
};

/* Not for the other side (RFC 9110, 7.6.1), or written anew. */
static bool
is_ours(const struct torc_http_head *head, struct torc_slice name)
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

/* The fields to pass on, and Via: how many. */
static unsigned
pass_fields(const struct torc_http_head *head, struct torc_http_field *fields)
{
	unsigned count = 0;

	for (unsigned i = 0; i < head->field_count; i++) {
		if (!is_ours(head, head->fields[i].name))
			fields[count++] = head->fields[i];
	}
	fields[count++] = (struct torc_http_field) {
		torc_http_text("Via"), torc_http_text("1.1 torc"),
	};
	return count;
}

/* Without the scheme and the host that a target may begin with. */
static struct torc_slice
path_of(const struct torc_http_head *request)
{
	struct torc_slice target = request->target;
	const uint8_t *path = request->host.data + request->host.size;

	if (target.data[0] == '/' || target.data[0] == '*')
		return target;
	target.size -= (size_t)(path - target.data);
	target.data = path;
	return target.size > 0 && *path == '/' ? target : torc_http_text("/");
}

static int
fail(struct torc_http *http, int rc)
{
	const bool broken = rc == -EBADMSG || rc == -ECONNRESET ||
	    rc == -EMSGSIZE || rc == -E2BIG || rc == -EPROTONOSUPPORT ||
	    rc == -EOPNOTSUPP || rc == -EPIPE;
	const unsigned status = rc == -ETIMEDOUT ? 504 : broken ? 502 : 503;

	return torc_http_reply(http, status, NULL, 0, NULL, 0, TORC_NEVER);
}

/* Pass the answer on, whose head is read. */
static int
relay(struct exchange *exchange)
{
	struct torc_http *http = exchange->http;
	struct torc_http_call *call = &exchange->call;
	const struct torc_http_head *response = &call->response;
	struct torc_http_field fields[FIELDS];
	struct torc_slice piece;
	int rc = torc_http_begin(http, response->status, fields,
	    pass_fields(response, fields), response->has_length ?
	    response->length : TORC_HTTP_UNKNOWN, TORC_NEVER);

	while (rc == 0 &&
	    (rc = torc_http_call_read(call, &piece, TORC_NEVER)) > 0) {
		rc = torc_http_write(http, piece.data, piece.size, TORC_NEVER);
		if (rc == 0 && !torc_http_call_over(call))
			rc = torc_http_flush(http, TORC_NEVER);
	}
	return rc < 0 ? rc : torc_http_end(http, TORC_NEVER);
}

/* On a fiber of its own, for an answer may come before all was asked. */
static int
answer(void *arg)
{
	struct exchange *exchange = arg;
	int rc = torc_http_call_answer(&exchange->call, TORC_NEVER);

	if (rc < 0)
		return fail(exchange->http, rc);
	rc = relay(exchange);
	return rc < 0 ? rc : torc_http_flush(exchange->http, TORC_NEVER);
}

static int
upload(struct exchange *exchange)
{
	struct torc_http_call *call = &exchange->call;
	struct torc_slice piece;
	uint64_t id;
	int result = -ECANCELED;
	int rc = torc_fiber_spawn(&id, answer, exchange);

	if (rc < 0)
		return fail(exchange->http, rc);
	while ((rc = torc_http_read(exchange->http, &piece, TORC_NEVER)) > 0) {
		/* If it does not take more, it may still have answered. */
		if (torc_http_call_write(call, piece.data, piece.size,
		    TORC_NEVER) < 0 ||
		    torc_http_call_flush(call, TORC_NEVER) < 0)
			break;
	}
	if (rc == 0)
		torc_http_call_finish(call, TORC_NEVER);
	/* Whatever happens, it is over before its exchange is. */
	if (rc < 0 || torc_fiber_join(id, &result, TORC_NEVER) < 0)
		torc_fiber_reap(id, &result);
	return rc < 0 ? rc : result;
}

static int
forward(struct torc_http *http, const char *peer)
{
	struct torc_http_client *origin =
	    torc_reactor_get(torc_reactor_self(), &origin_key);
	const struct torc_http_head *head = &http->request;
	struct exchange exchange = { .http = http };
	struct torc_http_field fields[FIELDS];
	struct torc_http_request request = { .fields = fields };
	char memory[4096];
	int rc;

	/* Who waits for the origin does not keep a receive buffer. */
	torc_http_keep(http, memory, sizeof(memory));
	request.method = head->method_name;
	request.target = path_of(head);
	request.field_count = pass_fields(head, fields);
	fields[request.field_count++] = (struct torc_http_field) {
		torc_http_text("X-Forwarded-For"), torc_http_text(peer),
	};
	if (head->host.size > 0)
		fields[request.field_count++] = (struct torc_http_field) {
			torc_http_text("Host"), head->host,
		};
	rc = head->body == TORC_HTTP_NONE ?
	    torc_http_call(origin, &exchange.call, &request, TORC_NEVER) :
	    torc_http_call_begin(origin, &exchange.call, &request,
	    head->body == TORC_HTTP_SIZED ? head->length : TORC_HTTP_UNKNOWN,
	    TORC_NEVER);
	if (rc < 0)
		return fail(http, rc);
	rc = head->body == TORC_HTTP_NONE ? relay(&exchange) :
	    upload(&exchange);
	torc_http_call_end(&exchange.call);
	return rc;
}

static int
proxy(struct torc_conn *conn, void *arg)
{
	struct torc_http http;
	char peer[128];
	char *port;

	(void)arg;
	if (torc_conn_peer(conn, peer, sizeof(peer)) < 0)
		return TORC_CLOSE;
	port = strrchr(peer, ':');
	if (port != NULL)
		*port = '\0';
	torc_http_open(&http, conn, &server_config);
	while (torc_http_recv(&http, TORC_NEVER) > 0 &&
	    forward(&http, peer) >= 0)
		continue;
	return torc_http_result(&http);
}

/* Each reactor has connections of its own to the origin. */
static int
start(struct torc_reactor *reactor, void *arg)
{
	const struct torc_http_client_config config = {
		.address = arg, .pool.size = 256, .pool.open_ms = 3000,
		.body_max = UINT64_MAX, .answer_ms = 5000,
	};
	struct torc_http_client *origin;
	int rc = torc_http_client_create(&origin, &config, NULL, 0);

	return rc < 0 ? rc : torc_reactor_set(reactor, &origin_key, origin);
}

static void
stop(struct torc_reactor *reactor, void *arg)
{
	struct torc_http_client *origin =
	    torc_reactor_get(reactor, &origin_key);

	(void)arg;
	if (origin != NULL)
		torc_http_client_destroy(origin);
}

int
main(int argc, char **argv)
{
	char *origin = getenv("PROXY_ORIGIN");
	struct torc_config config = {
		.handler = proxy, .start = start, .stop = stop,
		.arg = origin != NULL ? origin : "localhost:8081",
	};

	return cli_serve(argc, argv, "Passes requests on to $PROXY_ORIGIN, or "
	    "localhost:8081.", &config, NULL);
}
