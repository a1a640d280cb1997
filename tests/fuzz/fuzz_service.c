/* SPDX-License-Identifier: MIT */
/*
 * fuzz_service.c - paths of requests, and the writer of JSON, on any bytes.
 * Byte 0 says which. A path that was read has no dot segments and no NUL, lies
 * within its bytes, and is the same when it is encoded and read again. JSON is
 * read by cJSON, and is the same with any memory.
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/http/service.h"

#define MOST 4000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_service: %s\n", what);
	abort();
}

/* ---- Paths ---- */

static void
check_segments(const struct torc_path *path, size_t most)
{
	uint32_t from = 1;

	require(path->count > 0 && path->size <= most, "a path has bounds");
	require(strlen((const char *)path->text) == path->size,
	    "a path has no NUL");
	for (uint32_t i = 0; i < path->count; i++) {
		const uint32_t bytes = path->segments[i].size;
		const uint8_t *at = path->text + path->segments[i].from;

		require(path->segments[i].from == from && at[-1] == '/',
		    "segments lie one behind the other");
		require(!(bytes == 1 && at[0] == '.') &&
		    !(bytes == 2 && at[0] == '.' && at[1] == '.'),
		    "a path has no dot segments");
		require(path->segments[i].slash ==
		    (bytes > 0 && memchr(at, '/', bytes) != NULL),
		    "a segment knows its slashes");
		from += bytes + 1;
	}
	require(from == path->size + 1, "the last one ends the path");
}

/* Each byte of a segment encoded, read again. */
static void
check_again(const struct torc_path *path)
{
	static uint8_t text[4 * MOST + 16], memory[4 * MOST + 17];
	static struct torc_path again;
	const char *why;
	size_t size = 0;

	for (uint32_t i = 0; i < path->count; i++) {
		const uint8_t *at = path->text + path->segments[i].from;

		text[size++] = '/';
		for (uint32_t j = 0; j < path->segments[i].size; j++)
			size += (size_t)snprintf((char *)text + size, 4,
			    "%%%02x", at[j]);
	}
	require(torc_path_read(&again, (struct torc_slice) { text, size },
	    memory, &why) == 0, "a path that was encoded can be read");
	require(again.size == path->size && again.count == path->count &&
	    memcmp(again.text, path->text, path->size) == 0,
	    "a path is the same when it is encoded");
}

static void
try_path(const uint8_t *data, size_t size)
{
	static uint8_t text[MOST + 1], memory[MOST + 2];
	struct torc_path path;
	const char *why = NULL;
	unsigned status;

	text[0] = '/';
	/* A target has no NUL. */
	for (size_t i = 0; i < size; i++)
		text[i + 1] = data[i] == 0 ? '%' : data[i];
	status = torc_path_read(&path, (struct torc_slice) { text, size + 1 },
	    memory, &why);
	if (status == 0) {
		check_segments(&path, size + 1);
		check_again(&path);
		return;
	}
	require((status == 400 || status == 414) && why != NULL,
	    "a path is refused in words");
}

/* ---- JSON ---- */

struct text {
	size_t size;
	char bytes[64 * MOST];
};

static int
put(const void *data, size_t size, void *arg)
{
	struct text *text = arg;

	require(size < sizeof(text->bytes) - text->size, "JSON has a size");
	memcpy(text->bytes + text->size, data, size);
	text->size += size;
	return 0;
}

/* What each byte does; what follows it is its text. */
static size_t
step(struct torc_json *json, const uint8_t *data, size_t size)
{
	const size_t part = size > 1 ? 1 + data[0] / 16u % size : 1;
	const struct torc_slice text = { data + 1, part - 1 };
	double number = 0;

	memcpy(&number, data, size < sizeof(number) ? size : sizeof(number));
	switch (data[0] % 9) {
	case 0:
		torc_json_object_begin(json);
		break;
	case 1:
		torc_json_object_end(json);
		break;
	case 2:
		torc_json_array_begin(json);
		break;
	case 3:
		torc_json_array_end(json);
		break;
	case 4:
		torc_json_name(json, part > 1 && data[1] < 128 ? "\"n" : "");
		break;
	case 5:
		torc_json_double(json, number);
		break;
	case 6:
		torc_json_int(json, (int64_t)data[0] << 55);
		break;
	case 7:
		torc_json_bool(json, part > 1);
		return 1;
	default:
		torc_json_slice(json, text);
		return part;
	}
	return 1;
}

static int64_t
write_json(struct text *text, size_t memory_size, const uint8_t *data,
    size_t size)
{
	struct torc_json json;
	char memory[4096];

	text->size = 0;
	torc_json_begin(&json, memory, memory_size, put, text);
	while (size > 0) {
		const size_t part = step(&json, data, size);

		data += part;
		size -= part;
	}
	return torc_json_end(&json);
}

static void
try_json(const uint8_t *data, size_t size)
{
	static struct text text, again;
	const int64_t rc = write_json(&text, 4096, data, size);
	cJSON *read;

	require(write_json(&again, 32 + size % 50, data, size) == rc,
	    "the memory does not change the result");
	if (rc < 0)
		return;
	require(rc == (int64_t)text.size && again.size == text.size &&
	    memcmp(again.bytes, text.bytes, text.size) == 0,
	    "the memory does not change the text");
	read = cJSON_ParseWithLength(text.bytes, text.size);
	require(read != NULL, "JSON can be read");
	cJSON_Delete(read);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > MOST)
		return 0;
	if (data[0] % 2 == 0)
		try_path(data + 1, size - 1);
	else
		try_json(data + 1, size - 1);
	return 0;
}
