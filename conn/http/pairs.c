/* SPDX-License-Identifier: MIT */
/*
 * pairs.c - names and values: of a query, a form or cookies; and whole bodies.
 */
#include <errno.h>

#include "conn/http/service.h"

enum { ENCODED, COOKIES };

/* ---- Bodies ---- */

/*
 * Refuse a body that does not fit. The connection ends, because the rest of the
 * body is not read.
 */
static int
refuse_large(struct torc_exchange *exchange, torc_deadline deadline)
{
	/* When the answer was begun, the client cannot be told any more. */
	(void)torc_exchange_deny(exchange, 413, -EFBIG,
	    "a body longer than memory_max", NULL, deadline);
	return -EFBIG;
}

/*
 * Returns memory with the bytes of `all`, and with room for more and a NUL; or
 * NULL.
 */
static uint8_t *
grow(struct torc_exchange *exchange, struct torc_slice all, size_t *room,
    size_t more)
{
	const size_t least = all.size + more + 1;
	size_t wanted = least > *room * 2 ? least : *room * 2 + 1;
	uint8_t *memory = torc_memory_move(exchange, all, *room + 1, least,
	    &wanted);

	*room = wanted - 1;
	return memory;
}

/* Returns the size of a body as far as it is known, or a first guess. */
static size_t
first_room(const struct torc_exchange *exchange)
{
	const struct torc_http_input *input = &exchange->http.input;

	if (input->state == INPUT_SIZED)
		return input->left < exchange->memory.budget ?
		    (size_t)input->left : exchange->memory.budget;
	return input->state == INPUT_NONE ? 0 : 1000;
}

int
torc_exchange_body(struct torc_exchange *exchange, struct torc_slice *body,
    torc_deadline deadline)
{
	size_t room = first_room(exchange);
	uint8_t *memory = torc_exchange_alloc(exchange, room + 1);
	struct torc_slice piece, all = { memory, 0 };
	int rc = 0;

	torc_require(body != NULL,
	    "torc_exchange_body() needs a place for the body");
	*body = (struct torc_slice) { NULL, 0 };
	while (memory != NULL &&
	    (rc = torc_exchange_read(exchange, &piece, deadline)) > 0) {
		if (piece.size > room - all.size)
			memory = grow(exchange, all, &room, piece.size);
		if (memory == NULL)
			break;
		memcpy(memory + all.size, piece.data, piece.size);
		all = (struct torc_slice) { memory, all.size + piece.size };
	}
	if (memory == NULL)
		return refuse_large(exchange, deadline);
	if (rc < 0)
		return rc;
	memory[all.size] = '\0';
	*body = all;
	return 0;
}

/* ---- Pairs ---- */

/* Take the text up to a character. That character is removed, too. */
static struct torc_slice
take_until(struct torc_slice *left, uint8_t end)
{
	const uint8_t *at = left->size == 0 ? NULL :
	    memchr(left->data, end, left->size);
	struct torc_slice taken = *left;

	if (at == NULL) {
		left->data += left->size;
		left->size = 0;
		return taken;
	}
	taken.size = (size_t)(at - taken.data);
	left->data = at + 1;
	left->size -= taken.size + 1;
	return taken;
}

/* Decode a text into the exchange's memory. Returns 0 or an error. */
static int
decode(struct torc_exchange *exchange, struct torc_slice *slice)
{
	const uint8_t *at = slice->data, *end = at + slice->size;
	uint8_t *memory = torc_exchange_alloc(exchange, slice->size + 1);
	uint8_t *to = memory;

	if (memory == NULL)
		return -ENOMEM;
	for (; at < end; at++) {
		if (*at != '%') {
			*to++ = *at == '+' ? ' ' : *at;
			continue;
		}
		if (!torc_decode_char(at, (size_t)(end - at), to++))
			return -EBADMSG;
		at += 2;
	}
	*to = '\0';
	*slice = (struct torc_slice) { memory, (size_t)(to - memory) };
	return 0;
}

static int
next_encoded(struct torc_pairs *pairs, struct torc_slice *name,
    struct torc_slice *value)
{
	int rc;

	do {
		if (pairs->left.size == 0)
			return 0;
		*value = take_until(&pairs->left, '&');
	} while (value->size == 0);
	*name = take_until(value, '=');
	rc = decode(pairs->exchange, name);
	if (rc == 0)
		rc = decode(pairs->exchange, value);
	return rc < 0 ? rc : 1;
}

/* ---- Cookies ---- */

static struct torc_slice
trim(struct torc_slice slice)
{
	while (slice.size > 0 && (slice.data[0] == ' ' ||
	    slice.data[0] == '\t')) {
		slice.data++;
		slice.size--;
	}
	while (slice.size > 0 && (slice.data[slice.size - 1] == ' ' ||
	    slice.data[slice.size - 1] == '\t'))
		slice.size--;
	return slice;
}

/*
 * Go on to the next field: there may be several (RFC 9113, 8.2.3). Returns
 * false after the last one.
 */
static bool
next_field(struct torc_pairs *pairs)
{
	const struct torc_http_head *request =
	    torc_exchange_request(pairs->exchange);

	while (pairs->field < request->field_count) {
		const struct torc_http_field *field =
		    &request->fields[pairs->field++];

		if (torc_http_equals(field->name, "cookie")) {
			pairs->left = field->value;
			return true;
		}
	}
	return false;
}

static int
end_text(struct torc_exchange *exchange, struct torc_slice *slice)
{
	slice->data = torc_exchange_copy(exchange, *slice);
	return slice->data == NULL ? -ENOMEM : 0;
}

/* Returns false after the last cookie. */
static bool
take_cookie(struct torc_pairs *pairs, struct torc_slice *name,
    struct torc_slice *value)
{
	do {
		if (pairs->left.size == 0 && !next_field(pairs))
			return false;
		*value = trim(take_until(&pairs->left, ';'));
	} while (value->size == 0);
	*name = trim(take_until(value, '='));
	*value = trim(*value);
	if (value->size >= 2 && value->data[0] == '"' &&
	    value->data[value->size - 1] == '"') {
		value->data++;
		value->size -= 2;
	}
	return true;
}

static int
next_cookie(struct torc_pairs *pairs, struct torc_slice *name,
    struct torc_slice *value)
{
	if (!take_cookie(pairs, name, value))
		return 0;
	if (end_text(pairs->exchange, name) < 0 ||
	    end_text(pairs->exchange, value) < 0)
		return -ENOMEM;
	return 1;
}

/* ---- For handlers ---- */

void
torc_exchange_query_pairs(struct torc_exchange *exchange,
    struct torc_pairs *pairs)
{
	*pairs = (struct torc_pairs) {
		.exchange = exchange, .left = torc_exchange_query(exchange),
		.kind = ENCODED,
	};
}

void
torc_exchange_cookie_pairs(struct torc_exchange *exchange,
    struct torc_pairs *pairs)
{
	*pairs = (struct torc_pairs) {
		.exchange = exchange, .kind = COOKIES,
	};
}

/*
 * Whether the body is a form. Parameters of its type, such as a charset, are
 * ignored.
 */
static bool
is_form(const struct torc_exchange *exchange)
{
	const struct torc_slice *field = torc_exchange_field(exchange,
	    "content-type");
	struct torc_slice type;

	if (field == NULL)
		return false;
	type = *field;
	return torc_http_equals(trim(take_until(&type, ';')),
	    "application/x-www-form-urlencoded");
}

int
torc_exchange_form_pairs(struct torc_exchange *exchange,
    struct torc_pairs *pairs, torc_deadline deadline)
{
	*pairs = (struct torc_pairs) { .exchange = exchange, .kind = ENCODED };
	if (is_form(exchange))
		return torc_exchange_body(exchange, &pairs->left, deadline);
	(void)torc_exchange_deny(exchange, 415, -EINVAL, "a body that is not "
	    "application/x-www-form-urlencoded", NULL, deadline);
	return -EINVAL;
}

int
torc_pairs_next(struct torc_pairs *pairs, struct torc_slice *name,
    struct torc_slice *value)
{
	return pairs->kind == COOKIES ? next_cookie(pairs, name, value) :
	    next_encoded(pairs, name, value);
}

/*
 * Returns whether an encoded text is this name, or -EBADMSG: it cannot be
 * decoded.
 */
static int
is_encoded(struct torc_slice text, const char *name)
{
	const uint8_t *at = text.data, *end = at + text.size;
	bool same = true;

	for (; at < end; at++) {
		uint8_t c = *at == '+' ? ' ' : *at;

		if (*at == '%') {
			if (!torc_decode_char(at, (size_t)(end - at), &c))
				return -EBADMSG;
			at += 2;
		}
		same = same && c == (uint8_t)*name && c != '\0';
		name += same;
	}
	return same && *name == '\0';
}

/*
 * Returns 1 if the pair has this name, with its decoded value; 0 if it has
 * another name; or an error.
 */
static int
try_encoded(struct torc_exchange *exchange, struct torc_slice pair,
    const char *name, struct torc_slice *value)
{
	int rc = is_encoded(take_until(&pair, '='), name);

	if (rc == 0)
		return is_encoded(pair, "") < 0 ? -EBADMSG : 0;
	*value = pair;
	if (rc > 0)
		rc = decode(exchange, value);
	return rc < 0 ? rc : 1;
}

/* Pairs with other names take no memory: there may be many. */
int
torc_exchange_query_find(struct torc_exchange *exchange, const char *name,
    struct torc_slice *value)
{
	struct torc_slice left = torc_exchange_query(exchange);
	int rc = 0;

	while (rc == 0 && left.size > 0) {
		const struct torc_slice pair = take_until(&left, '&');

		if (pair.size > 0)
			rc = try_encoded(exchange, pair, name, value);
	}
	if (rc <= 0)
		*value = (struct torc_slice) { NULL, 0 };
	return rc;
}

int
torc_exchange_cookie_find(struct torc_exchange *exchange, const char *name,
    struct torc_slice *value)
{
	struct torc_slice found;
	struct torc_pairs pairs;
	int rc;

	torc_exchange_cookie_pairs(exchange, &pairs);
	while (take_cookie(&pairs, &found, value)) {
		if (!torc_is_text(found, name))
			continue;
		rc = end_text(exchange, value);
		if (rc == 0)
			return 1;
		*value = (struct torc_slice) { NULL, 0 };
		return rc;
	}
	*value = (struct torc_slice) { NULL, 0 };
	return 0;
}
