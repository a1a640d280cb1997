/* SPDX-License-Identifier: MIT */
/*
 * path.c - the path of a target: decoded once, split into segments, without the
 * segments "." and ".." (RFC 3986, 5.2.4). A path above the root is refused.
 */
#include "conn/http/service.h"

/* The last segment is empty again. */
static void
clear_segment(struct torc_path *path)
{
	path->size = path->segments[path->count - 1].from;
	path->segments[path->count - 1].size = 0;
	path->segments[path->count - 1].slash = false;
}

static void
begin_segment(struct torc_path *path)
{
	path->text[path->size++] = '/';
	path->segments[path->count++].from = path->size;
	clear_segment(path);
}

/*
 * End a segment, and begin another one unless it is the `last`. A dot segment
 * leaves an empty one. Returns 0, or a status that refuses the path.
 */
static unsigned
end_segment(struct torc_path *path, bool last, const char **why)
{
	const uint32_t from = path->segments[path->count - 1].from;
	const uint32_t size = path->size - from;
	const uint8_t *text = path->text + from;

	if (size == 1 && text[0] == '.') {
		clear_segment(path);
	} else if (size == 2 && text[0] == '.' && text[1] == '.') {
		if (path->count == 1) {
			*why = "a path that leads above the root";
			return 400;
		}
		path->count--;
		clear_segment(path);
	} else if (path->count == TORC_PATH_SEGMENTS && !last) {
		*why = "a path with more than 128 segments";
		return 414;
	} else {
		path->segments[path->count - 1].size = size;
		if (!last)
			begin_segment(path);
	}
	return 0;
}

/*
 * Decode an encoded character. Returns false, and sets *why, if it is invalid.
 */
static bool
decode(struct torc_path *path, struct torc_slice left, const char **why)
{
	uint8_t c;

	if (!torc_decode_char(left.data, left.size, &c))
		*why = "a path whose encoding is invalid";
	else if (c == '\0')
		*why = "a path with an encoded NUL";
	else {
		path->segments[path->count - 1].slash |= c == '/';
		path->text[path->size++] = c;
		return true;
	}
	return false;
}

unsigned
torc_path_read(struct torc_path *path, struct torc_slice text,
    uint8_t *memory, const char **why)
{
	const uint8_t *at = text.data + 1, *end = text.data + text.size;
	unsigned status = 0;

	torc_assert(text.size > 0 && text.data[0] == '/');
	path->text = memory;
	path->size = 0;
	path->count = 0;
	begin_segment(path);
	while (at < end && status == 0) {
		const uint8_t c = *at;

		if (c == '/') {
			status = end_segment(path, false, why);
			at++;
		} else if (c != '%') {
			path->text[path->size++] = c;
			at++;
		} else if (decode(path, (struct torc_slice) { at,
		    (size_t)(end - at) }, why)) {
			at += 3;
		} else {
			status = 400;
		}
	}
	if (status == 0)
		status = end_segment(path, true, why);
	torc_assert(path->size <= text.size);
	path->text[path->size] = '\0';
	return status;
}
