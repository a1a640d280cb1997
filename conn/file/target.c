/* SPDX-License-Identifier: MIT */
/*
 * target.c - the target of a request, and the path that it names.
 */
#include <string.h>
#include <strings.h>

#include "conn/file/site.h"

/* ---- Reading ---- */

/*
 * Reduce a target of any form to its path and query. Returns false if there is
 * none
 */
static bool
skip_authority(struct torc_slice *text)
{
	const uint8_t *from = text->data;
	const uint8_t *end = from + text->size;

	if (text->size > 0 && from[0] == '/')
		return true;
	from = text->size > 0 ? memmem(from, text->size, "://", 3) : NULL;
	if (from == NULL)
		return false;
	for (from += 3; from < end && *from != '/' && *from != '?'; from++)
		;
	*text = (struct torc_slice) { from, (size_t)(end - from) };
	return true;
}

static int
digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * Decode the next character of a path. Returns 0, or the status that refuses
 * it. `*slash`: it separates two segments.
 */
static unsigned
decode(struct torc_slice *path, uint8_t *c, bool *slash)
{
	*c = *path->data++;
	path->size--;
	*slash = *c == '/';
	if (*c == '%') {
		int high = path->size >= 2 ? digit(path->data[0]) : -1;
		int low = path->size >= 2 ? digit(path->data[1]) : -1;

		if (high < 0 || low < 0)
			return 400;
		*c = (uint8_t)(high << 4 | low);
		path->data += 2;
		path->size -= 2;
		if (*c == '/')
			return 404;
	}
	if (*c < 0x20 || *c == 0x7f || *c == '#')
		return *c == '#' ? 0 : 400;
	return *c == '\\' ? 404 : 0;
}

/* End a segment that begins at `from`: keep it, or apply "." and "..". */
static unsigned
end_segment(struct torc_file_target *target, size_t from, bool hidden)
{
	const char *segment = target->path + from;
	const size_t size = target->size - from;

	if (size == 2 && memcmp(segment, "..", 2) == 0) {
		if (from == 0)
			return 400;
		/* Remove the segment, and the one before it. */
		for (from--; from > 0 && target->path[from - 1] != '/'; from--)
			;
		target->size = from;
	} else if (size == 1 && segment[0] == '.') {
		target->size = from;
	} else if (size > 0 && segment[0] == '.' && !hidden) {
		return 404;
	} else if (size > 0) {
		target->path[target->size++] = '/';
	}
	return 0;
}

static unsigned
read_path(struct torc_file_target *target, struct torc_slice path, bool hidden)
{
	size_t from = 0;	/* of the segment */
	unsigned status;

	while (path.size > 0) {
		uint8_t c;
		bool slash;

		status = decode(&path, &c, &slash);
		if (status != 0)
			return status;
		/* Room for a slash, a dot and the end. */
		if (target->size + 3 > sizeof(target->path))
			return 404;
		if (!slash) {
			target->path[target->size++] = (char)c;
			continue;
		}
		status = end_segment(target, from, hidden);
		if (status != 0)
			return status;
		from = target->size;
	}
	target->directory = target->size == from;
	status = end_segment(target, from, hidden);
	/* A dot segment at the end names a directory. */
	if (target->size <= from)
		target->directory = true;
	return status;
}

unsigned
torc_file_target(struct torc_file_target *target, struct torc_slice text,
    bool hidden)
{
	const uint8_t *query;
	unsigned status;

	target->size = 0;
	target->path[0] = '\0';
	target->directory = false;
	target->query = (struct torc_slice) { NULL, 0 };
	if (!skip_authority(&text))
		return 400;
	query = text.size > 0 ? memchr(text.data, '?', text.size) : NULL;
	if (query != NULL) {
		target->query = (struct torc_slice) {
			query, text.size - (size_t)(query - text.data),
		};
		text.size -= target->query.size;
	}
	status = read_path(target, text, hidden);
	if (status != 0)
		return status;
	if (target->size > 0)
		target->size--;		/* the slash at the end */
	else
		target->path[target->size++] = '.';
	target->path[target->size] = '\0';
	return 0;
}

/* ---- Writing ---- */

/*
 * Characters that are not encoded in a path (RFC 3986, 3.3), except for unusual
 * ones.
 */
static bool
is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || (c != '\0' && strchr("-._~/", c));
}

size_t
torc_file_encode(const void *path, size_t size, char *to)
{
	static const char digits[] = "0123456789ABCDEF";
	const uint8_t *at = path;
	size_t used = 0;

	for (const uint8_t *end = at + size; at < end; at++) {
		if (is_plain((char)*at)) {
			to[used++] = (char)*at;
			continue;
		}
		to[used++] = '%';
		to[used++] = digits[*at >> 4];
		to[used++] = digits[*at & 15];
	}
	return used;
}

size_t
torc_file_location(const struct torc_file_target *target,
    char location[TORC_FILE_LOCATION_MAX])
{
	size_t used = 0;

	location[used++] = '/';
	used += torc_file_encode(target->path, target->size, location + used);
	location[used++] = '/';
	return used;
}

/* ---- Types ---- */

static const struct {
	const char *suffix;
	const char *type;
} types[] = {
	{ "avif", "image/avif" },
	{ "bin", "application/octet-stream" },
	{ "bmp", "image/bmp" },
	{ "css", "text/css" },
	{ "csv", "text/csv" },
	{ "gif", "image/gif" },
	{ "gz", "application/gzip" },
	{ "htm", "text/html" },
	{ "html", "text/html" },
	{ "ico", "image/x-icon" },
	{ "jpeg", "image/jpeg" },
	{ "jpg", "image/jpeg" },
	{ "js", "text/javascript" },
	{ "json", "application/json" },
	{ "map", "application/json" },
	{ "md", "text/markdown" },
	{ "mjs", "text/javascript" },
	{ "mp3", "audio/mpeg" },
	{ "mp4", "video/mp4" },
	{ "ogg", "audio/ogg" },
	{ "otf", "font/otf" },
	{ "pdf", "application/pdf" },
	{ "png", "image/png" },
	{ "rss", "application/rss+xml" },
	{ "svg", "image/svg+xml" },
	{ "tar", "application/x-tar" },
	{ "ttf", "font/ttf" },
	{ "txt", "text/plain" },
	{ "wasm", "application/wasm" },
	{ "wav", "audio/wav" },
	{ "webm", "video/webm" },
	{ "webmanifest", "application/manifest+json" },
	{ "webp", "image/webp" },
	{ "woff", "font/woff" },
	{ "woff2", "font/woff2" },
	{ "xhtml", "application/xhtml+xml" },
	{ "xml", "application/xml" },
	{ "zip", "application/zip" },
};

const char *
torc_file_type(const char *path)
{
	const char *dot = strrchr(path, '.');

	if (dot != NULL && strchr(dot, '/') == NULL) {
		for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
			if (strcasecmp(dot + 1, types[i].suffix) == 0)
				return types[i].type;
		}
	}
	return "application/octet-stream";
}
