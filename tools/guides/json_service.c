/* SPDX-License-Identifier: MIT */
/*
 * json_service.c - a service that reads a body and answers with JSON, also when
 * it refuses a request.
 *
 *     json_service [ADDRESS]
 *     curl -d 'one line' http://127.0.0.1:8080/count
 *     curl http://127.0.0.1:8080/none
 */
#include <stdio.h>
#include <torc_service.h>

static int
count(struct torc_exchange *exchange, void *arg)
{
	const torc_deadline deadline = torc_after_ms(10000);
	struct torc_slice body;
	struct torc_json json;
	uint64_t lines = 0;
	int rc = torc_exchange_body(exchange, &body, deadline);

	(void)arg;
	if (rc == 0)
		rc = torc_exchange_json_begin(exchange, 200, &json, deadline);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < body.size; i++)
		lines += body.data[i] == '\n';
	torc_json_object_begin(&json);
	torc_json_name(&json, "bytes");
	torc_json_uint(&json, body.size);
	torc_json_name(&json, "lines");
	torc_json_uint(&json, lines);
	torc_json_object_end(&json);
	return torc_exchange_json_end(exchange, &json, deadline);
}

static void
observe(struct torc_exchange *exchange,
    const struct torc_exchange_summary *end, void *arg)
{
	(void)exchange;
	(void)arg;
	if (end->error < 0 || end->refused)
		fprintf(stderr, "%.*s: status %u: %s\n",
		    (int)end->target.size, (const char *)end->target.data,
		    end->status, end->why != NULL ? end->why : "no reason");
}

/* Answer refusals with JSON: {"status":404,"error":"..."}. */
static void
refuse_as_json(const struct torc_http_head *request,
    struct torc_http_refusal *refusal, void *arg)
{
	const size_t size = 1000;
	char *text = torc_exchange_alloc(refusal->exchange, size);
	struct torc_http_field *fields = torc_exchange_alloc(refusal->exchange,
	    refusal->field_count * sizeof(*fields));
	struct torc_json json;
	int64_t used;

	(void)request;
	(void)arg;
	if (text == NULL || fields == NULL)
		return;		/* the client gets torc's text */
	torc_json_begin(&json, text, size, NULL, NULL);
	torc_json_object_begin(&json);
	torc_json_name(&json, "status");
	torc_json_uint(&json, refusal->status);
	torc_json_name(&json, "error");
	torc_json_text(&json, refusal->why != NULL ? refusal->why :
	    torc_http_reason(refusal->status));
	torc_json_object_end(&json);
	used = torc_json_end(&json);
	if (used < 0)
		return;
	/* Keep the other fields, such as Allow. */
	for (unsigned i = 0; i < refusal->field_count; i++) {
		fields[i] = refusal->fields[i];
		if (torc_http_equals(fields[i].name, "Content-Type"))
			fields[i].value = torc_http_text("application/json");
	}
	refusal->fields = fields;
	refusal->body = text;
	refusal->size = (size_t)used;
}

int
main(int argc, char **argv)
{
	const struct torc_http_config http = {
		.body_max = 1 << 20,
		.refusal = refuse_as_json,
	};
	const struct torc_service_config limits = {
		.http = &http,
		.memory_max = 256 << 10,	/* with the body */
		.observer = observe,
	};
	const char *const addresses[] = {
		argc > 1 ? argv[1] : "127.0.0.1:8080", NULL
	};
	struct torc_config config = {
		.listen = addresses,
		.handler = torc_service_handle,
		.drain_ms = 5000,
	};
	struct torc_service *service;
	struct torc_routes *routes;
	struct torc_error error;

	if (torc_routes_create(&routes) < 0)
		return 1;
	torc_routes_add(routes, "POST", "/count", count, NULL);
	if (torc_service_create(&service, routes, &limits, &error) == 0) {
		config.arg = service;
		torc_serve(&config, NULL, &error);
		torc_service_destroy(service);
	}
	torc_routes_destroy(routes);
	if (error.code < 0)
		fprintf(stderr, "json_service: %s\n", error.text);
	return error.code < 0;
}
