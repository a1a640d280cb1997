/* SPDX-License-Identifier: MIT */
/*
 * fuzz_file.c - what requests say of files, on any bytes. Byte 0 says what they
 * are. A path that is let through leads nowhere up, and is the same path when
 * its URL is read; ranges lie in the file; a date that is read can be written.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conn/file/site.h"

#define RANGES 8u
#define END_OF_YEARS 253402300800	/* a leap second behind 9999 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_file: %s\n", what);
	abort();
}

/* No segment is empty, dots, or hidden unless that is allowed. */
static void
check_path(const struct torc_file_target *target, bool hidden)
{
	const char *segment = target->path;

	require(strlen(target->path) == target->size, "a NUL in a path");
	require(target->size > 0, "an empty path");
	require(target->size < TORC_FILE_PATH_MAX, "a path without its end");
	if (strcmp(target->path, ".") == 0)
		return;
	for (;;) {
		const char *end = strchrnul(segment, '/');
		const size_t size = (size_t)(end - segment);

		require(size > 0, "an empty segment");
		require(segment[0] != '.' || (hidden && size != 1 &&
		    !(size == 2 && segment[1] == '.')), "a segment of dots");
		if (*end == '\0')
			return;
		segment = end + 1;
	}
}

static void
try_target(struct torc_slice text, bool hidden)
{
	static char location[TORC_FILE_LOCATION_MAX];
	static struct torc_file_target target, again;
	struct torc_slice url = { (uint8_t *)location, 0 };
	unsigned status = torc_file_target(&target, text, hidden);

	require(status == 0 || status == 400 || status == 404,
	    "another status");
	if (status != 0)
		return;
	check_path(&target, hidden);
	torc_file_type(target.path);
	url.size = torc_file_location(&target, location);
	require(url.size <= sizeof(location), "a location too long");
	status = torc_file_target(&again, url, hidden);
	/* With its slash, the longest path may be too long. */
	require(status == 0 || target.size + 3 > TORC_FILE_PATH_MAX,
	    "a location that is refused");
	require(status != 0 || strcmp(target.path, again.path) == 0,
	    "a location that is another path");
}

static void
try_ranges(struct torc_slice text, uint64_t size)
{
	struct torc_file_range ranges[RANGES];
	uint64_t sum = 0;
	int count = torc_file_ranges(ranges, RANGES, text, size);

	require(count <= (int)RANGES, "too many ranges");
	for (int i = 0; i < count; i++) {
		require(ranges[i].size > 0, "an empty range");
		require(ranges[i].first < size, "a range behind the end");
		require(ranges[i].size <= size - ranges[i].first,
		    "a range beyond the end");
		sum += ranges[i].size;
		require(sum >= ranges[i].size && sum <= size,
		    "ranges of more than the file");
	}
}

/* As libc has it, too, in the years that it writes with four digits. */
static void
try_date(struct torc_slice text)
{
	char copy[TORC_FILE_DATE], libcs[40];
	int64_t seconds, again;
	struct tm when;
	time_t at;

	if (!torc_file_date(text, &seconds))
		return;
	if (!torc_file_put_date(copy, seconds)) {
		require(seconds == END_OF_YEARS, "a date that is not written");
		return;
	}
	require(torc_file_date(torc_http_text(copy), &again) &&
	    seconds == again, "a date that is read otherwise");
	at = (time_t)seconds;
	require(gmtime_r(&at, &when) != NULL, "a date that is none");
	strftime(libcs, sizeof(libcs), "%a, %d %b %Y %H:%M:%S GMT", &when);
	require(when.tm_year < 1000 - 1900 || strcmp(copy, libcs) == 0,
	    "another date than libc's");
}

static void
try_tags(struct torc_slice text, struct torc_slice tag)
{
	const bool strongly = torc_file_tagged(text, tag, false);
	const bool weakly = torc_file_tagged(text, tag, true);

	require(weakly || !strongly, "a tag that is found strongly only");
	require(!weakly || torc_http_equals(text, "*") || memmem(text.data,
	    text.size, tag.data, tag.size) != NULL,
	    "a tag is found that is not there");
}

static void
try_fields(struct torc_slice text)
{
	struct torc_http_field fields[] = {
		{ torc_http_text("If-Match"), text },
		{ torc_http_text("If-None-Match"), text },
		{ torc_http_text("If-Range"), text },
		{ torc_http_text("Accept-Encoding"), text },
	};
	const struct torc_http_head head = {
		.fields = fields, .field_count = 4,
	};
	const struct torc_file_validator file = {
		.tag = torc_http_text("\"1.0-3\""), .modified = 1000,
		.dated = true,
	};
	unsigned wanted[TORC_FILE_CODINGS];
	unsigned status = torc_file_condition(&head, &file);

	require(status == 200 || status == 304 || status == 412,
	    "another verdict");
	torc_file_range_counts(&head, &file);
	try_tags(text, file.tag);
	torc_file_codings(wanted, &head);
	for (unsigned i = 0; i < TORC_FILE_CODINGS; i++)
		require(wanted[i] <= 1000, "a weight of more than one");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct torc_slice text = { data + 1, size - 1 };

	if (size == 0)
		return 0;
	switch (data[0] % 5) {
	case 0:
		try_target(text, false);
		try_target(text, true);
		break;
	case 1:
		try_ranges(text, 0);
		try_ranges(text, 10);
		try_ranges(text, UINT64_MAX);
		break;
	case 2:
		try_date(text);
		break;
	default:
		try_fields(text);
	}
	return 0;
}
