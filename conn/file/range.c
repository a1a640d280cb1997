/* SPDX-License-Identifier: MIT */
/*
 * range.c - the Range field (RFC 9110, 14.2).
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "conn/file/site.h"

#define WHOLE 2
#define OVERLAPS_MAX 2u		/* ranges that overlap others; more are no
				 * honest wish (RFC 9110, 14.2) */

/* Read digits. A number that is too large counts as the largest one. */
static bool
read_number(struct torc_slice *text, uint64_t *number)
{
	const size_t before = text->size;

	*number = 0;
	while (text->size > 0 && *text->data >= '0' && *text->data <= '9') {
		const unsigned digit = *text->data - (unsigned)'0';

		*number = *number > (UINT64_MAX - digit) / 10 ? UINT64_MAX :
		    *number * 10 + digit;
		text->data++;
		text->size--;
	}
	return text->size < before;
}

static bool
read_dash(struct torc_slice *text)
{
	if (text->size == 0 || *text->data != '-')
		return false;
	text->data++;
	text->size--;
	return true;
}

/*
 * Read "first-last", "first-" or "-how many". Returns 1; 0: the file has none
 * of these bytes; WHOLE: the file is empty, and the range would be all of it;
 * -ERANGE: the text is not a range.
 */
static int
read_range(struct torc_slice text, uint64_t size,
    struct torc_file_range *range)
{
	uint64_t first, last = UINT64_MAX;

	if (!read_number(&text, &first)) {
		if (!read_dash(&text) || !read_number(&text, &last) ||
		    text.size > 0)
			return -ERANGE;
		last = last < size ? last : size;
		*range = (struct torc_file_range) { size - last, last };
		return size == 0 ? WHOLE : last > 0;
	}
	if (!read_dash(&text))
		return -ERANGE;
	if (text.size > 0 && (!read_number(&text, &last) || text.size > 0 ||
	    last < first))
		return -ERANGE;
	if (first >= size)
		return size == 0 && first == 0 ? WHOLE : 0;
	if (last >= size)
		last = size - 1;
	*range = (struct torc_file_range) { first, last - first + 1 };
	return 1;
}

static bool
overlaps_one(const struct torc_file_range *ranges, unsigned count,
    const struct torc_file_range *range)
{
	for (unsigned i = 0; i < count; i++) {
		if (range->first < ranges[i].first + ranges[i].size &&
		    ranges[i].first < range->first + range->size)
			return true;
	}
	return false;
}

int
torc_file_ranges(struct torc_file_range *ranges, unsigned most,
    struct torc_slice value, uint64_t size)
{
	struct torc_slice element;
	uint64_t sum = 0;
	unsigned count = 0, overlaps = 0;
	bool whole = false;

	if (value.size < 7 ||
	    strncasecmp((const char *)value.data, "bytes=", 6) != 0)
		return 0;
	value.data += 6;
	value.size -= 6;
	while (torc_file_element(&value, &element)) {
		struct torc_file_range range;
		int rc = read_range(element, size, &range);

		if (rc < 0)
			return rc;
		whole |= rc == WHOLE;
		if (rc != 1)
			continue;
		if (count == most)
			return 0;
		overlaps += overlaps_one(ranges, count, &range);
		if (range.size > size - sum || overlaps > OVERLAPS_MAX)
			return 0;
		sum += range.size;
		ranges[count++] = range;
	}
	return count > 0 || whole ? (int)count : -ERANGE;
}
