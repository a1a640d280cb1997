/* SPDX-License-Identifier: MIT */
/*
 * service.c - the exchanges of a connection, one after the other.
 *
 * Between two exchanges the connection waits for a moment with its stack, and
 * then gives it back. No state is left, and the next bytes start afresh.
 */
#include <errno.h>

#include "conn/http/service.h"

/* ---- The end of an exchange ---- */

static void
observe(struct torc_exchange *exchange)
{
	const struct torc_service *service = exchange->service;
	const struct torc_http *http = &exchange->http;
	struct torc_exchange_summary end;

	if (service->observer == NULL)
		return;
	end = (struct torc_exchange_summary) {
		.route = torc_exchange_route(exchange),
		.method = http->request.method_name,
		.target = http->request.target,
		.status = http->status,
		.error = exchange->error,
		.why = exchange->why,
		.refused = exchange->refused,
		.received = http->input.received,
		.sent = http->answered,
		.began_ns = exchange->began,
		.ended_ns = torc_now(),
	};
	service->observer(exchange, &end, service->arg);
}

/* Give an answer that has no fields and no body the text of its status. */
static void
put_text(struct torc_http_refusal *refusal)
{
	static const struct torc_http_field type = {
		{ (const uint8_t *)"Content-Type", 12 },
		{ (const uint8_t *)TORC_TEXT_TYPE, sizeof(TORC_TEXT_TYPE) - 1 },
	};

	if (refusal->field_count > 0 || refusal->size > 0)
		return;
	refusal->fields = &type;
	refusal->field_count = 1;
	refusal->body = torc_http_reason(refusal->status);
	refusal->size = strlen(refusal->body);
}

/*
 * The hook of a server of HTTP: called for each answer that torc makes itself.
 */
static void
note_refusal(const struct torc_http_head *request,
    struct torc_http_refusal *refusal, void *arg)
{
	const struct torc_service *service = arg;
	struct torc_exchange *exchange = (struct torc_exchange *)
	    ((uintptr_t)request - offsetof(struct torc_exchange,
	    http.request));

	torc_assert(exchange->service == service);
	exchange->refused = true;
	exchange->error = refusal->error;
	exchange->why = refusal->why;
	refusal->exchange = exchange;
	put_text(refusal);
	if (service->refusal != NULL)
		service->refusal(request, refusal, service->refusal_arg);
}

/* Parks. The handler has returned: make sure that there is an answer. */
static void
finish(struct torc_exchange *exchange, int rc)
{
	struct torc_http *http = &exchange->http;

	torc_exchange_watch_end(exchange);
	if (http->output == OUTPUT_DUE)
		torc_exchange_deny(exchange, rc < 0 ? torc_http_status_of(rc) :
		    500, rc, rc < 0 ? NULL : "the handler did not answer",
		    NULL, TORC_NEVER);
	else if (exchange->error == 0 && rc < 0)
		exchange->error = rc;
	if (http->output == OUTPUT_BEGUN && exchange->error == 0) {
		exchange->error = -EPIPE;
		exchange->why = "the handler did not end its answer";
	}
	observe(exchange);
	torc_memory_end(&exchange->memory);
}

/* ---- Targets ---- */

/* Returns the path of a target, which is empty for "*", and sets the query. */
static struct torc_slice
split_target(struct torc_exchange *exchange)
{
	static const struct torc_slice root = { (const uint8_t *)"/", 1 };
	const struct torc_slice target = exchange->http.request.target;
	const uint8_t *at = target.data, *end = at + target.size, *mark;

	if (target.size > 0 && *at == '*')
		return (struct torc_slice) { at, 0 };
	if (target.size > 0 && *at != '/') {
		at = memchr(at, ':', target.size);
		torc_assert(at != NULL && end - at >= 3 && at[1] == '/');
		for (at += 3; at < end && *at != '/' && *at != '?'; at++)
			;
	}
	mark = at == end ? NULL : memchr(at, '?', (size_t)(end - at));
	if (mark != NULL) {
		exchange->query = (struct torc_slice) {
			mark + 1, (size_t)(end - mark - 1),
		};
		end = mark;
	}
	return at == end ? root :
	    (struct torc_slice) { at, (size_t)(end - at) };
}

static void
set_params(struct torc_exchange *exchange, const struct torc_path *path,
    const struct torc_found *found)
{
	const struct torc_route *route = found->route;

	exchange->route = route;
	for (unsigned i = 0; i < route->param_count; i++) {
		const uint32_t at = found->params[i];
		const uint32_t from = path->segments[at].from;

		exchange->params[i] = (struct torc_slice) {
			path->text + from,
			route->rest && i == route->param_count - 1 ?
			path->size - from : path->segments[at].size,
		};
	}
}

/* Copy each parameter, with a NUL after it; in the path there is none. */
static bool
end_params(struct torc_exchange *exchange)
{
	for (unsigned i = 0; i < exchange->route->param_count; i++) {
		const uint8_t *copy = torc_exchange_copy(exchange,
		    exchange->params[i]);

		if (copy == NULL)
			return false;
		exchange->params[i].data = copy;
	}
	return true;
}

/* ---- What torc answers ---- */

/* Bytes of all methods, including HEAD and OPTIONS. */
#define ALLOW_MAX ((TORC_ROUTE_METHODS + 2) * (TORC_METHOD_MAX + 2))

static size_t
append(char *text, size_t used, const char *name)
{
	const size_t length = strlen(name);

	torc_assert(used + length + 3 <= ALLOW_MAX);
	if (used > 0) {
		memcpy(text + used, ", ", 2);
		used += 2;
	}
	memcpy(text + used, name, length + 1);
	return used + length;
}

/* List methods. GET implies HEAD, and OPTIONS is always there. */
static struct torc_slice
list_methods(const struct torc_service *service, uint64_t allowed,
    char text[ALLOW_MAX])
{
	bool gets = false, heads = false, options = false;
	size_t used = 0;

	for (unsigned i = 0; i < service->method_count; i++) {
		const char *name = service->methods[i];

		if (!(allowed >> i & 1))
			continue;
		gets |= strcmp(name, "GET") == 0;
		heads |= strcmp(name, "HEAD") == 0;
		options |= strcmp(name, "OPTIONS") == 0;
		used = append(text, used, name);
	}
	if (gets && !heads)
		used = append(text, used, "HEAD");
	if (!options)
		used = append(text, used, "OPTIONS");
	return (struct torc_slice) { (const uint8_t *)text, used };
}

/* Parks. No route answers the request. */
static int
answer_without(struct torc_exchange *exchange, uint64_t allowed)
{
	char text[ALLOW_MAX];
	const struct torc_http_field allow = {
		torc_http_text("Allow"), list_methods(exchange->service,
		allowed, text),
	};
	struct torc_http *http = &exchange->http;

	if (http->request.method == TORC_HTTP_OPTIONS && allowed != 0)
		return torc_http_reply(http, 204, &allow, 1, NULL, 0,
		    TORC_NEVER);
	if (allowed == 0)
		return torc_exchange_deny(exchange, 404, 0,
		    "no route has this path", NULL, TORC_NEVER);
	return torc_exchange_deny(exchange, 405, 0,
	    "the routes of this path have other methods", &allow, TORC_NEVER);
}

/* ---- An exchange ---- */

/* Returns whether there is a handler for requests that no route answers. */
static bool
find_otherwise(struct torc_exchange *exchange)
{
	exchange->route = exchange->service->otherwise;
	return exchange->route != NULL;
}

/*
 * Parks. Find the route. The path is written to `memory`, which is larger than
 * the target. Returns true if a handler has to be called; otherwise the request
 * was answered.
 */
static __attribute__((noinline)) bool
find_route(struct torc_exchange *exchange, uint8_t *memory, int *rc)
{
	const struct torc_slice text = split_target(exchange);
	const char *why = NULL;
	struct torc_found found;
	struct torc_path path;
	unsigned status;

	*rc = 0;
	if (text.size == 0) {
		if (find_otherwise(exchange))
			return true;
		*rc = answer_without(exchange,
		    (1ull << exchange->service->method_count) - 1);
		return false;
	}
	status = torc_path_read(&path, text, memory, &why);
	if (status != 0) {
		if (find_otherwise(exchange))
			return true;
		*rc = torc_exchange_deny(exchange, status, -EBADMSG, why,
		    NULL, TORC_NEVER);
		return false;
	}
	exchange->path = (struct torc_slice) { path.text, path.size };
	torc_tree_find(exchange->service, &path, &exchange->http.request,
	    &found);
	if (found.route == NULL) {
		if (find_otherwise(exchange))
			return true;
		*rc = answer_without(exchange, found.allowed);
		return false;
	}
	set_params(exchange, &path, &found);
	return true;
}

/* Parks. Run the handler of a request that was read. */
static int
run(struct torc_exchange *exchange)
{
	struct torc_http *http = &exchange->http;
	const uint32_t size = http->request.size;
	/* Memory for the head, and for its decoded path with a NUL. */
	uint8_t *memory = torc_exchange_alloc(exchange, size +
	    http->request.target.size + 1);
	int rc;

	if (memory == NULL)
		return -ENOMEM;
	/* The head stays there, whatever is read or awaited. */
	rc = torc_http_keep(http, memory, size);
	if (rc < 0 || !find_route(exchange, memory + size, &rc))
		return rc;
	return end_params(exchange) ? torc_exchange_next(exchange) : -ENOMEM;
}

static void
begin_exchange(struct torc_exchange *exchange)
{
	struct torc_http_head *request = &exchange->http.request;

	exchange->route = NULL;
	exchange->step = 0;
	exchange->refused = false;
	exchange->filtered = false;
	exchange->error = 0;
	exchange->why = NULL;
	exchange->path = exchange->query = (struct torc_slice) { NULL, 0 };
	exchange->data = NULL;
	exchange->field_count = 0;
	exchange->fields_size = 0;
	exchange->filters = NULL;
	/* If the next head cannot be read, nothing of the last one must be
	 * seen. */
	request->field_count = 0;
	request->method_name = request->target = request->host =
	    (struct torc_slice) { NULL, 0 };
	torc_memory_begin(&exchange->memory, exchange->service->memory_max);
}

/* Parks. Returns true if there may be another request. */
static bool
serve(struct torc_exchange *exchange)
{
	int rc;

	begin_exchange(exchange);
	rc = torc_http_recv(&exchange->http, TORC_NEVER);
	exchange->began = torc_now();
	if (rc > 0) {
		finish(exchange, run(exchange));
		return true;
	}
	if (exchange->refused)
		observe(exchange);
	torc_memory_end(&exchange->memory);
	return false;
}

/* ---- A connection ---- */

/*
 * Parks. Wait for a request, for at most `ms`: it has BEGUN, the client is
 * SILENT, or the connection has ENDED.
 */
enum { ENDED, BEGUN, SILENT };

static int
await_request(struct torc_http *http, unsigned ms)
{
	struct torc_slice *view = &http->input.view;
	int rc;

	if (http->output >= OUTPUT_BEGUN || http->last)
		return ENDED;
	if (http->input.state != INPUT_NONE &&
	    torc_http_skip_body(http, TORC_NEVER) < 0)
		return ENDED;
	torc_http_consume(&http->input);
	if (view->size > 0)
		return BEGUN;
	torc_conn_set_busy(http->conn, false);
	rc = torc_conn_recv(http->conn, view, ms == 0 ? TORC_AT_ONCE :
	    torc_after_ms(ms));
	if (rc > 0)
		return BEGUN;
	return rc == -ETIMEDOUT && view->size == 0 ? SILENT : ENDED;
}

int
torc_service_handle(struct torc_conn *conn, void *arg)
{
	const struct torc_service *service = arg;
	struct torc_http_config config;
	struct torc_exchange exchange;
	int rc;

	torc_require(service != NULL,
	    "torc_service_handle() needs a service as its argument");
	config = service->http;
	config.refusal = note_refusal;
	config.arg = arg;
	exchange.service = service;
	torc_http_init(&exchange.http, conn, &config);
	rc = await_request(&exchange.http, service->stack_ms);
	while (rc == BEGUN)
		rc = serve(&exchange) ? await_request(&exchange.http,
		    service->stack_ms) : ENDED;
	if (rc == ENDED)
		return torc_http_result(&exchange.http);
	/* Memory is not kept while the connection is idle. */
	if (exchange.http.large)
		torc_conn_forget(conn);
	return TORC_AGAIN;
}

/* ---- For handlers ---- */

int
torc_exchange_next(struct torc_exchange *exchange)
{
	const struct torc_route *route = exchange->route;
	const struct torc_step *step;
	int rc;

	if (route == NULL || exchange->step == route->step_count)
		return -EINVAL;
	step = &route->steps[exchange->step++];
	rc = step->call(exchange, step->arg);
	/* A second call would bypass functions that did not go on. */
	exchange->step = route->step_count;
	return rc;
}

const struct torc_http_head *
torc_exchange_request(const struct torc_exchange *exchange)
{
	return &exchange->http.request;
}

const struct torc_slice *
torc_exchange_field(const struct torc_exchange *exchange, const char *name)
{
	return torc_http_find(&exchange->http.request, name);
}

struct torc_slice
torc_exchange_path(const struct torc_exchange *exchange)
{
	return exchange->path;
}

struct torc_slice
torc_exchange_query(const struct torc_exchange *exchange)
{
	return exchange->query;
}

struct torc_slice
torc_exchange_param(const struct torc_exchange *exchange, const char *name)
{
	const struct torc_route *route = exchange->route;

	torc_require(name != NULL, "the name of a parameter is NULL");
	for (unsigned i = 0; route != NULL && i < route->param_count; i++) {
		if (torc_is_text(route->params[i], name))
			return exchange->params[i];
	}
	return (struct torc_slice) { NULL, 0 };
}

const char *
torc_exchange_route(const struct torc_exchange *exchange)
{
	return exchange->route == NULL ? NULL : exchange->route->path;
}

void
torc_exchange_set_data(struct torc_exchange *exchange, void *data)
{
	exchange->data = data;
}

void *
torc_exchange_data(const struct torc_exchange *exchange)
{
	return exchange->data;
}

unsigned
torc_exchange_status(const struct torc_exchange *exchange)
{
	return exchange->http.status;
}
