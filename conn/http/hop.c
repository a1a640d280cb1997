/* SPDX-License-Identifier: MIT */
/*
 * hop.c - the fields of a message that go on to the next hop.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "conn/http/hop.h"
#include "conn/http/scan.h"
#include "sys/sys.h"

#define NAMED_FEW 8u		/* names in Connection that are simply looked
				 * for among the fields */

/*
 * Whether a field is for this hop only (RFC 9110, 7.6.1), or is written again
 * for the next hop.
 */
static bool
stays_behind(struct torc_slice name)
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
	return false;
}

/* ---- Names in Connection ---- */

static uint8_t
lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* An order in which names that are equal are neighbours. */
static int
compare(struct torc_slice a, struct torc_slice b)
{
	if (a.size != b.size)
		return a.size < b.size ? -1 : 1;
	for (size_t i = 0; i < a.size; i++) {
		int difference = lower(a.data[i]) - lower(b.data[i]);

		if (difference != 0)
			return difference;
	}
	return 0;
}

static int
compare_fields(const void *a, const void *b)
{
	const struct torc_http_field *const *left = a, *const *right = b;

	return compare((*left)->name, (*right)->name);
}

/* Returns the next token of a list; its size is 0 after the last one. */
static struct torc_slice
next_token(struct torc_slice *list)
{
	struct torc_slice token;

	while (list->size > 0 && !is_token(*list->data)) {
		list->data++;
		list->size--;
	}
	token.data = list->data;
	while (list->size > 0 && is_token(*list->data)) {
		list->data++;
		list->size--;
	}
	token.size = (size_t)(list->data - token.data);
	return token;
}

/* A field that does not go on has no name. */
static void
drop(struct torc_http_field *field)
{
	field->name.size = 0;
}

static void
drop_among_few(struct torc_http_hop *hop, struct torc_slice name)
{
	for (unsigned i = 0; i < hop->count; i++) {
		if (compare(hop->fields[i].name, name) == 0)
			drop(&hop->fields[i]);
	}
}

/* The first of the sorted fields that is not before `name`. */
static unsigned
find(struct torc_http_field *const *sorted, unsigned count,
    struct torc_slice name)
{
	unsigned from = 0;

	while (count > 0) {
		unsigned half = count / 2;

		if (compare(sorted[from + half]->name, name) < 0) {
			from += half + 1;
			count -= half + 1;
		} else {
			count = half;
		}
	}
	return from;
}

/* `drops[i]`: the field sorted[i] is named. Their names are needed here. */
static void
drop_listed(struct torc_http_field **sorted, bool *drops, unsigned count,
    struct torc_slice list)
{
	struct torc_slice name;

	while ((name = next_token(&list)).size > 0) {
		unsigned i = find(sorted, count, name);

		/* The first of its kind stands for the others. */
		if (i < count && compare(sorted[i]->name, name) == 0)
			drops[i] = true;
	}
}

/*
 * Both lists may be long: each name is looked for among fields that are in
 * order. 0 or -ENOMEM.
 */
static int
drop_among_many(struct torc_http_hop *hop, const struct torc_http_head *head)
{
	const unsigned count = hop->count;
	struct torc_http_field **sorted = torc_sys_alloc_raw(count *
	    (sizeof(*sorted) + sizeof(bool)));
	bool *drops;

	if (sorted == NULL)
		return -ENOMEM;
	drops = (bool *)(sorted + count);
	for (unsigned i = 0; i < count; i++) {
		sorted[i] = &hop->fields[i];
		drops[i] = false;
	}
	qsort(sorted, count, sizeof(*sorted), compare_fields);
	for (unsigned i = 0; i < head->field_count; i++) {
		if (torc_http_equals(head->fields[i].name, "connection"))
			drop_listed(sorted, drops, count,
			    head->fields[i].value);
	}
	for (unsigned i = 1; i < count; i++)
		drops[i] |= drops[i - 1] && compare(sorted[i - 1]->name,
		    sorted[i]->name) == 0;
	for (unsigned i = 0; i < count; i++) {
		if (drops[i])
			drop(sorted[i]);
	}
	torc_sys_free(sorted);
	return 0;
}

/*
 * The names that Connection lists, without those that are not fields or are
 * removed anyway. Returns how many, or more than NAMED_FEW.
 */
static size_t
list_named(const struct torc_http_head *head, struct torc_slice *few)
{
	size_t count = 0;

	for (unsigned i = 0; i < head->field_count; i++) {
		struct torc_slice list = head->fields[i].value, name;

		if (!torc_http_equals(head->fields[i].name, "connection"))
			continue;
		while ((name = next_token(&list)).size > 0) {
			if (stays_behind(name) ||
			    torc_http_equals(name, "close"))
				continue;
			if (count == NAMED_FEW)
				return NAMED_FEW + 1;
			few[count++] = name;
		}
	}
	return count;
}

static int
drop_named(struct torc_http_hop *hop, const struct torc_http_head *head)
{
	struct torc_slice few[NAMED_FEW];
	const size_t named = list_named(head, few);
	unsigned kept = 0;
	int rc = 0;

	if (named == 0 || hop->count == 0)
		return 0;
	if (named > NAMED_FEW)
		rc = drop_among_many(hop, head);
	else
		for (size_t i = 0; i < named; i++)
			drop_among_few(hop, few[i]);
	for (unsigned i = 0; i < hop->count; i++) {
		if (hop->fields[i].name.size > 0)
			hop->fields[kept++] = hop->fields[i];
	}
	hop->count = kept;
	return rc;
}

/* ---- The whole ---- */

int
torc_http_hop_begin(struct torc_http_hop *hop,
    const struct torc_http_head *head, const char *name)
{
	const size_t room = head->field_count + TORC_HTTP_ADDED + 4;
	int rc;

	hop->count = 0;
	hop->fields = hop->few;
	if (room > HOP_FIELDS)
		hop->fields = torc_sys_alloc_raw(room * sizeof(*hop->fields));
	if (hop->fields == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < head->field_count; i++) {
		if (!stays_behind(head->fields[i].name))
			hop->fields[hop->count++] = head->fields[i];
	}
	rc = drop_named(hop, head);
	if (rc < 0) {
		torc_http_hop_end(hop);
		return rc;
	}
	snprintf(hop->via, sizeof(hop->via), "%u.%u %s",
	    head->version / 10u, head->version % 10u, name);
	torc_http_hop_add(hop, "Via", torc_http_text(hop->via));
	return 0;
}

void
torc_http_hop_replace(struct torc_http_hop *hop, const char *name,
    const char *value)
{
	for (unsigned i = 0; i < hop->count; i++) {
		if (torc_http_equals(hop->fields[i].name, name))
			hop->fields[i].value = torc_http_text(value);
	}
}

void
torc_http_hop_end(struct torc_http_hop *hop)
{
	if (hop->fields != hop->few)
		torc_sys_free(hop->fields);
}

int64_t
torc_http_hop_forwards(const struct torc_http_head *head)
{
	int64_t forwards = -ENOENT;

	if (head->method != TORC_HTTP_OPTIONS &&
	    head->method != TORC_HTTP_TRACE)
		return -ENOENT;
	for (unsigned i = 0; i < head->field_count; i++) {
		const struct torc_slice value = head->fields[i].value;

		if (!torc_http_equals(head->fields[i].name, "max-forwards"))
			continue;
		if (forwards != -ENOENT || value.size == 0)
			return -EBADMSG;
		forwards = 0;
		for (size_t j = 0; j < value.size; j++) {
			if (value.data[j] < '0' || value.data[j] > '9')
				return -EBADMSG;
			/* A larger number is not counted exactly. */
			if (forwards < INT32_MAX)
				forwards = forwards * 10 + value.data[j] - '0';
		}
	}
	return forwards;
}

struct torc_slice
torc_http_hop_path(const struct torc_http_head *request)
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

/* ---- The last hop ---- */

/* Whether a field must be shown to the sender only (RFC 9110, 9.3.8). */
static bool
is_secret(struct torc_slice name)
{
	return torc_http_equals(name, "authorization") ||
	    torc_http_equals(name, "cookie") ||
	    torc_http_equals(name, "proxy-authorization");
}

/* The request as it came, for TRACE: the bytes written, or an error. */
static int
write_back(const struct torc_http_head *head, uint8_t *memory, size_t size)
{
	struct torc_http_writer writer = { memory, size, 0, 0 };

	torc_http_put_request(&writer, head->method_name, head->target);
	for (unsigned i = 0; i < head->field_count; i++) {
		if (!is_secret(head->fields[i].name))
			torc_http_put_field(&writer, head->fields[i].name,
			    head->fields[i].value);
	}
	return torc_http_put_end(&writer);
}

/* Parks. */
static int
answer_trace(struct torc_http *http, torc_deadline deadline)
{
	const struct torc_http_field type = {
		torc_http_text("Content-Type"),
		torc_http_text("message/http"),
	};
	/* Each line is written with at most two bytes more than it had. */
	const size_t room = http->request.size * 2 + 16;
	uint8_t *memory = torc_sys_alloc_raw(room);
	int rc = memory == NULL ? -ENOMEM :
	    write_back(&http->request, memory, room);

	if (rc > 0)
		rc = torc_http_reply(http, 200, &type, 1, memory, (size_t)rc,
		    deadline);
	else
		torc_http_refuse(http, &(struct torc_http_refusal) {
		    .status = 503, .error = rc }, deadline);
	torc_sys_free(memory);
	return rc;
}

int
torc_http_hop_last(struct torc_http *http, int64_t forwards,
    torc_deadline deadline)
{
	if (forwards < 0)
		return torc_http_refuse(http, &(struct torc_http_refusal) {
		    .status = 400, .error = (int)forwards,
		    .why = "Max-Forwards is not one number" }, deadline);
	if (http->request.method == TORC_HTTP_TRACE)
		return answer_trace(http, deadline);
	return torc_http_reply(http, 200, NULL, 0, NULL, 0, deadline);
}
