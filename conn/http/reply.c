/* SPDX-License-Identifier: MIT */
/*
 * reply.c - answers of a service, and the filters that they pass.
 */
#include <errno.h>

#include "conn/http/service.h"
#include "reactor/config.h"

/* ---- Fields ---- */

int
torc_exchange_add_field(struct torc_exchange *exchange, const char *name,
    const char *value)
{
	struct torc_http_field *field =
	    &exchange->fields[exchange->field_count];
	struct torc_http_field added;
	size_t size;

	torc_require(name != NULL && value != NULL,
	    "the name or the value of a field is NULL");
	added = (struct torc_http_field) {
		torc_http_text(name), torc_http_text(value),
	};
	if (exchange->http.output != OUTPUT_DUE ||
	    !torc_http_may_write(&added) || torc_http_frames(&added))
		return -EINVAL;
	size = added.name.size + added.value.size;
	if (exchange->field_count == TORC_EXCHANGE_FIELDS ||
	    size > TORC_EXCHANGE_FIELDS_SIZE - exchange->fields_size)
		return -E2BIG;
	added.name.data = torc_exchange_copy(exchange, added.name);
	added.value.data = torc_exchange_copy(exchange, added.value);
	if (added.name.data == NULL || added.value.data == NULL)
		return -ENOMEM;
	*field = added;
	exchange->field_count++;
	exchange->fields_size += size;
	return 0;
}

/* Add the type to the fields of the answer. Returns how many there are. */
static unsigned
add_type(struct torc_exchange *exchange, const char *type)
{
	static const char name[] = "Content-Type";
	const unsigned count = exchange->field_count;

	if (type == NULL)
		return count;
	exchange->fields[count] = (struct torc_http_field) {
		{ (const uint8_t *)name, sizeof(name) - 1 },
		torc_http_text(type),
	};
	return count + 1;
}

/* ---- Filters ---- */

int
torc_exchange_add_filter_sized(struct torc_exchange *exchange,
    const struct torc_filter_kind *kind, size_t kind_size, void *arg)
{
	struct torc_filter *filter;
	int rc;

	torc_require(kind != NULL, "the kind of a filter is NULL");
	if (exchange->http.output != OUTPUT_DUE)
		return -EINVAL;
	filter = torc_exchange_alloc(exchange, sizeof(*filter));
	if (filter == NULL)
		return -ENOMEM;
	filter->next = exchange->filters;
	filter->exchange = exchange;
	filter->arg = arg;
	rc = torc_config_take(&filter->kind, sizeof(filter->kind), kind,
	    kind_size, "torc_filter_kind", NULL);
	if (rc == 0)
		exchange->filters = filter;
	return rc;
}

/* Parks. Give a piece to a filter, or to the client after the last filter. */
static int
put_piece(struct torc_exchange *exchange, struct torc_filter *filter,
    const void *data, size_t size, bool last, torc_deadline deadline)
{
	while (filter != NULL && filter->kind.piece == NULL)
		filter = filter->next;
	if (filter != NULL)
		return filter->kind.piece(filter, data, size, last, deadline,
		    filter->arg);
	return torc_http_write(&exchange->http, data, size, deadline);
}

int
torc_filter_pass(struct torc_filter *filter, const void *data, size_t size,
    bool last, torc_deadline deadline)
{
	return put_piece(filter->exchange, filter->next, data, size, last,
	    deadline);
}

/* Let the filters change a head. Returns 0 or an error. */
static int
shape(struct torc_exchange *exchange, struct torc_exchange_head *head)
{
	struct torc_filter **at = &exchange->filters;

	while (*at != NULL) {
		struct torc_filter *filter = *at;
		int rc = filter->kind.head == NULL ? 0 :
		    filter->kind.head(exchange, head, filter->arg);

		if (rc < 0)
			return rc;
		if (rc > 0)
			*at = filter->next;
		else
			at = &filter->next;
	}
	return 0;
}

/* Parks. */
static int
begin(struct torc_exchange *exchange, struct torc_exchange_head *head,
    torc_deadline deadline)
{
	int rc;

	if (exchange->http.output != OUTPUT_DUE)
		return -EINVAL;
	rc = shape(exchange, head);
	if (rc == 0)
		rc = torc_http_begin(&exchange->http, head->status,
		    exchange->fields, add_type(exchange, head->type),
		    head->length, deadline);
	exchange->filtered = rc == 0 && exchange->filters != NULL &&
	    !exchange->http.silent;
	if (rc < 0)
		exchange->filters = NULL;
	return rc;
}

/* ---- Answers ---- */

int
torc_exchange_begin(struct torc_exchange *exchange, unsigned status,
    const char *type, uint64_t length, torc_deadline deadline)
{
	struct torc_exchange_head head = { status, type, length };

	return begin(exchange, &head, deadline);
}

int
torc_exchange_write(struct torc_exchange *exchange, const void *data,
    size_t size, torc_deadline deadline)
{
	if (!exchange->filtered)
		return torc_http_write(&exchange->http, data, size, deadline);
	if (exchange->http.output != OUTPUT_BEGUN)
		return -EINVAL;
	return put_piece(exchange, exchange->filters, data, size, false,
	    deadline);
}

int
torc_exchange_end(struct torc_exchange *exchange, torc_deadline deadline)
{
	int rc = 0;

	if (exchange->filtered && exchange->http.output == OUTPUT_BEGUN)
		rc = put_piece(exchange, exchange->filters, NULL, 0, true,
		    deadline);
	return rc < 0 ? rc : torc_http_end(&exchange->http, deadline);
}

int
torc_exchange_flush(struct torc_exchange *exchange, torc_deadline deadline)
{
	return torc_http_flush(&exchange->http, deadline);
}

/* Parks. Answer at once, through the filters. */
static int
reply_filtered(struct torc_exchange *exchange, unsigned status,
    const char *type, const void *body, size_t size, torc_deadline deadline)
{
	struct torc_exchange_head head = { status, type, size };
	int rc = begin(exchange, &head, deadline);

	if (rc == 0 && exchange->filtered)
		rc = put_piece(exchange, exchange->filters, body, size, true,
		    deadline);
	else if (rc == 0)
		rc = torc_http_write(&exchange->http, body, size, deadline);
	return rc < 0 ? rc : torc_http_end(&exchange->http, deadline);
}

int
torc_exchange_reply(struct torc_exchange *exchange, unsigned status,
    const char *type, const void *body, size_t size, torc_deadline deadline)
{
	if (exchange->filters != NULL)
		return reply_filtered(exchange, status, type, body, size,
		    deadline);
	return torc_http_reply(&exchange->http, status, exchange->fields,
	    add_type(exchange, type), body, size, deadline);
}

int
torc_exchange_text(struct torc_exchange *exchange, unsigned status,
    const char *text, torc_deadline deadline)
{
	torc_require(text != NULL, "the text of an answer is NULL");
	return torc_exchange_reply(exchange, status, TORC_TEXT_TYPE, text,
	    strlen(text), deadline);
}

int
torc_exchange_textf(struct torc_exchange *exchange, unsigned status,
    const char *format, torc_deadline deadline, ...)
{
	va_list list;
	size_t size;
	char *text;

	va_start(list, deadline);
	text = torc_exchange_print_list(exchange, &size, format, list);
	va_end(list);
	return text == NULL ? -ENOMEM : torc_exchange_reply(exchange, status,
	    TORC_TEXT_TYPE, text, size, deadline);
}

int
torc_exchange_redirect(struct torc_exchange *exchange, unsigned status,
    const char *location, torc_deadline deadline)
{
	int rc;

	torc_require(location != NULL, "the Location of an answer is NULL");
	if (status != 301 && status != 302 && status != 303 &&
	    status != 307 && status != 308)
		return -EINVAL;
	for (const char *at = location; *at != '\0'; at++) {
		if (*at <= ' ' || *at >= 0x7f)
			return -EINVAL;
	}
	rc = torc_exchange_add_field(exchange, "Location", location);
	return rc < 0 ? rc : torc_exchange_reply(exchange, status, NULL, NULL,
	    0, deadline);
}

/* ---- Refusals ---- */

int
torc_exchange_deny(struct torc_exchange *exchange, unsigned status,
    int error, const char *why, const struct torc_http_field *field,
    torc_deadline deadline)
{
	const char *reason = torc_http_reason(status);
	unsigned count = add_type(exchange, TORC_TEXT_TYPE);
	struct torc_http_refusal refusal = {
		.status = status, .error = error, .why = why,
		.fields = exchange->fields, .body = reason,
		.size = strlen(reason),
	};

	if (field != NULL)
		exchange->fields[count++] = *field;
	refusal.field_count = count;
	return torc_http_refuse(&exchange->http, &refusal, deadline);
}

int
torc_exchange_refuse(struct torc_exchange *exchange, unsigned status,
    const char *why, torc_deadline deadline)
{
	int rc;

	if (status < 200)
		return -EINVAL;
	rc = torc_exchange_deny(exchange, status, 0, why, NULL, deadline);
	/* The handler refused the request, not torc. */
	exchange->refused = false;
	return rc;
}
