/* SPDX-License-Identifier: MIT */
/*
 * json.c - a writer of JSON (RFC 8259), without a tree and without allocation.
 *
 * One flag says whether a comma comes before the next value; the end of an
 * object or array is the end of a value, too. A word of bits says which levels
 * are arrays.
 */
#include <errno.h>
#include <stdio.h>

#include "conn/http/service.h"

/* ---- Bytes ---- */

static void
fail(struct torc_json *json, int error)
{
	if (json->error == 0)
		json->error = error;
}

/* Parks, if put() does. Make as much room as possible. */
static void
flush(struct torc_json *json)
{
	int rc;

	if (json->put == NULL) {
		fail(json, -ENOSPC);
		return;
	}
	rc = json->put(json->data, json->used, json->arg);
	if (rc < 0)
		fail(json, rc);
	json->total += json->used;
	json->used = 0;
}

static void
put(struct torc_json *json, const void *data, size_t size)
{
	const uint8_t *at = data;

	while (size > 0 && json->error == 0) {
		const size_t room = json->size - json->used;
		const size_t part = size < room ? size : room;

		memcpy(json->data + json->used, at, part);
		json->used += part;
		at += part;
		size -= part;
		if (size > 0)
			flush(json);
	}
}

static void
put_char(struct torc_json *json, char c)
{
	put(json, &c, 1);
}

/* ---- Structure ---- */

static bool
in_array(const struct torc_json *json)
{
	return json->depth == 0 || (json->arrays >> (json->depth - 1) & 1);
}

/* Begin a value: check that it is allowed here, and write what separates it. */
static bool
begin_value(struct torc_json *json)
{
	if (json->error == 0 && (json->whole ||
	    (!in_array(json) && !json->named)))
		fail(json, -EINVAL);
	if (json->error != 0)
		return false;
	if (json->comma && !json->named)
		put_char(json, ',');
	json->named = false;
	return true;
}

static void
end_value(struct torc_json *json)
{
	json->comma = true;
	json->whole = json->depth == 0;
}

static void
begin_level(struct torc_json *json, bool array)
{
	if (!begin_value(json))
		return;
	if (json->depth == TORC_JSON_DEPTH) {
		fail(json, -EOVERFLOW);
		return;
	}
	json->arrays &= ~(1ull << json->depth);
	json->arrays |= (uint64_t)array << json->depth;
	json->depth++;
	json->comma = false;
	put_char(json, array ? '[' : '{');
}

static void
end_level(struct torc_json *json, bool array)
{
	if (json->error == 0 && (json->depth == 0 || json->named ||
	    in_array(json) != array))
		fail(json, -EINVAL);
	if (json->error != 0)
		return;
	json->depth--;
	put_char(json, array ? ']' : '}');
	end_value(json);
}

/* ---- Text ---- */

/*
 * Returns how many bytes at `at` are one character of UTF-8 (RFC 3629), or 0.
 * Surrogates, characters beyond U+10FFFF and overlong forms are not accepted.
 */
static size_t
utf8_size(const uint8_t *at, size_t size)
{
	const uint8_t c = at[0];
	uint8_t low = 0x80, high = 0xbf;
	size_t more;

	if (c < 0xc2 || c > 0xf4)
		return 0;
	more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : low;
	high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : high;
	if (size <= more || at[1] < low || at[1] > high)
		return 0;
	for (size_t i = 2; i <= more; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	}
	return more + 1;
}

static void
put_escape(struct torc_json *json, uint8_t c)
{
	static const char digits[] = "0123456789abcdef";
	static const char letters[] = "btn?fr";	/* of 8 to 13 */
	char escape[6] = { '\\', 'u', '0', '0', digits[c >> 4],
		digits[c & 15] };

	if (c == '"' || c == '\\') {
		escape[1] = (char)c;
		put(json, escape, 2);
	} else if (c >= 8 && c <= 13 && c != 11) {
		escape[1] = letters[c - 8];
		put(json, escape, 2);
	} else {
		put(json, escape, 6);
	}
}

static bool
is_ordinary(uint8_t c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static void
put_string(struct torc_json *json, const uint8_t *at, size_t size)
{
	const uint8_t *end = at + size;

	put_char(json, '"');
	while (at < end) {
		const uint8_t *from = at;
		size_t more = 1;

		while (at < end && (is_ordinary(*at) || (*at >= 0x80 &&
		    (more = utf8_size(at, (size_t)(end - at))) > 0))) {
			at += more;
			more = 1;
		}
		put(json, from, (size_t)(at - from));
		if (at == end)
			break;
		if (*at < 0x80)
			put_escape(json, *at);
		else
			put(json, "\xef\xbf\xbd", 3);
		at++;
	}
	put_char(json, '"');
}

/* ---- For users ---- */

void
torc_json_begin(struct torc_json *json, void *data, size_t size,
    int (*put_more)(const void *data, size_t size, void *arg), void *arg)
{
	torc_require(json != NULL && data != NULL && size >= 32,
	    "torc_json_begin() needs a writer, and 32 bytes of memory");
	*json = (struct torc_json) {
		.data = data, .size = size, .put = put_more, .arg = arg,
	};
}

int
torc_json_check(const struct torc_json *json)
{
	return json->error != 0 ? json->error : json->whole ? 0 : -EINVAL;
}

int64_t
torc_json_end(struct torc_json *json)
{
	fail(json, torc_json_check(json));
	if (json->error == 0 && json->put != NULL && json->used > 0)
		flush(json);
	return json->error != 0 ? json->error :
	    (int64_t)(json->total + json->used);
}

void
torc_json_object_begin(struct torc_json *json)
{
	begin_level(json, false);
}

void
torc_json_object_end(struct torc_json *json)
{
	end_level(json, false);
}

void
torc_json_array_begin(struct torc_json *json)
{
	begin_level(json, true);
}

void
torc_json_array_end(struct torc_json *json)
{
	end_level(json, true);
}

void
torc_json_name(struct torc_json *json, const char *name)
{
	torc_require(name != NULL, "the name of a value is NULL");
	if (json->error == 0 && (in_array(json) || json->named))
		fail(json, -EINVAL);
	if (json->error != 0)
		return;
	if (json->comma)
		put_char(json, ',');
	put_string(json, (const uint8_t *)name, strlen(name));
	put_char(json, ':');
	json->named = true;
}

void
torc_json_slice(struct torc_json *json, struct torc_slice text)
{
	if (!begin_value(json))
		return;
	put_string(json, text.data, text.size);
	end_value(json);
}

void
torc_json_raw(struct torc_json *json, struct torc_slice value)
{
	if (value.size == 0)
		fail(json, -EINVAL);
	if (!begin_value(json))
		return;
	put(json, value.data, value.size);
	end_value(json);
}

/* A value of characters that need no escapes. */
static void
put_word(struct torc_json *json, const char *word)
{
	torc_json_raw(json, torc_http_text(word));
}

void
torc_json_text(struct torc_json *json, const char *text)
{
	if (text == NULL)
		put_word(json, "null");
	else
		torc_json_slice(json, torc_http_text(text));
}

void
torc_json_int(struct torc_json *json, int64_t value)
{
	char text[TORC_NUMBER_MAX];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	put_word(json, text);
}

void
torc_json_uint(struct torc_json *json, uint64_t value)
{
	char text[TORC_NUMBER_MAX];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	put_word(json, text);
}

void
torc_json_double(struct torc_json *json, double value)
{
	char text[TORC_NUMBER_MAX];

	if (torc_number_write(text, value) == 0)
		fail(json, -EDOM);
	else
		put_word(json, text);
}

void
torc_json_bool(struct torc_json *json, bool value)
{
	put_word(json, value ? "true" : "false");
}

void
torc_json_null(struct torc_json *json)
{
	put_word(json, "null");
}
