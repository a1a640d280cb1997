/* SPDX-License-Identifier: MIT */
/*
 * pass.c - skips replies. It only remembers how many values are still to come,
 * however they are nested.
 */
#include <errno.h>
#include <string.h>

#include "conn/redis/torc_resp.h"

#define HEAD_MAX 24u		/* bytes of a count and its end of line */
#define COUNT_MAX (UINT64_C(1) << 60)	/* of values; the sum does not wrap */

/* What comes next. */
enum {
	VALUE = 0,
	TEXT,			/* `text_left` bytes, and an end of line */
	LINE,			/* the rest of a line */
	LINE_FEED,		/* the same, and its last byte was a CR */
};

/*
 * Returns how many values are still to come in the reply that torc_resp_read()
 * has begun. An open aggregate counts as a value of the one around it; an
 * attribute is not a value.
 */
static uint64_t
outstanding(const struct torc_resp_reader *reader)
{
	uint64_t count = 1;

	for (unsigned i = 0; i < reader->depth; i++)
		count += reader->levels[i].left - !reader->levels[i].attribute;
	return count;
}

static void
begin(struct torc_resp_reader *reader)
{
	if (reader->done) {
		reader->done = false;
		reader->depth = 0;
	}
	reader->past = outstanding(reader);
	reader->passing = reader->text_left > 0 ? TEXT : VALUE;
	reader->depth = 0;
	reader->aside = 0;
	reader->seen = 0;
	/* The next reply begins afresh. */
	reader->bytes = 0;
	reader->items = 0;
}

static void
end_value(struct torc_resp_reader *reader)
{
	reader->passing = VALUE;
	reader->past--;
	reader->done = reader->past == 0;
}

static long
pass_text(struct torc_resp_reader *reader, const uint8_t *data, size_t size)
{
	const uint64_t left = reader->text_left;

	if (left > 0) {
		if (size > left)
			size = (size_t)left;
		reader->text_left -= size;
		return (long)size;
	}
	if (size < 2)
		return 0;
	if (data[0] != '\r' || data[1] != '\n')
		return -EBADMSG;
	end_value(reader);
	return 2;
}

static long
pass_line(struct torc_resp_reader *reader, const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, '\n', size);
	const size_t length = end == NULL ? size : (size_t)(end - data);
	const bool cr = length > 0 ? data[length - 1] == '\r' :
	    reader->passing == LINE_FEED;

	if (end == NULL) {
		reader->passing = cr ? LINE_FEED : LINE;
		return (long)size;
	}
	if (!cr)
		return -EBADMSG;
	end_value(reader);
	return (long)length + 1;
}

/*
 * Read a count, such as "3\r\n" or "-1\r\n". Returns its bytes including the
 * end of line; 0: more are needed; or -EBADMSG. The count of a null value is
 * -1.
 */
static long
read_count(const uint8_t *data, size_t size, int64_t *count)
{
	const size_t most = size < HEAD_MAX ? size : HEAD_MAX;
	const uint8_t *end = memchr(data, '\r', most);
	const size_t length = end == NULL ? 0 : (size_t)(end - data);

	if (end == NULL)
		return size < HEAD_MAX ? 0 : -EBADMSG;
	if (length + 1 == size)
		return 0;
	if (data[length + 1] != '\n' || length == 0 || length > 18)
		return -EBADMSG;
	*count = 0;
	if (length == 2 && memcmp(data, "-1", 2) == 0) {
		*count = -1;
		return 4;
	}
	for (size_t i = 0; i < length; i++) {
		if (data[i] < '0' || data[i] > '9')
			return -EBADMSG;
		*count = *count * 10 + (data[i] - '0');
	}
	return (long)length + 2;
}

/* The head of a text or an aggregate. */
static long
pass_head(struct torc_resp_reader *reader, const uint8_t *data, size_t size)
{
	const bool text = strchr("$!=", data[0]) != NULL;
	uint64_t more;
	int64_t count;
	long taken = read_count(data + 1, size - 1, &count);

	if (taken <= 0)
		return taken;
	if (count < 0) {
		end_value(reader);
	} else if (text) {
		reader->passing = TEXT;
		reader->text_left = (uint64_t)count;
	} else {
		more = (uint64_t)count;
		if (data[0] == '%' || data[0] == '|')
			more *= 2;
		if (more + reader->past > COUNT_MAX)
			return -EBADMSG;
		reader->past += more;
		if (data[0] != '|')
			end_value(reader);
	}
	return taken + 1;
}

static long
pass_value(struct torc_resp_reader *reader, const uint8_t *data, size_t size)
{
	if (data[0] == '\0')
		return -EBADMSG;
	if (strchr("+-:_#,(", data[0]) != NULL) {
		reader->passing = LINE;
		return 1;
	}
	return strchr("$!=*%~>|", data[0]) == NULL ? -EBADMSG :
	    pass_head(reader, data, size);
}

static long
pass_one(struct torc_resp_reader *reader, const uint8_t *data, size_t size)
{
	switch (reader->passing) {
	case TEXT:
		return pass_text(reader, data, size);
	case LINE:
	case LINE_FEED:
		return pass_line(reader, data, size);
	default:
		return pass_value(reader, data, size);
	}
}

int64_t
torc_resp_pass(struct torc_resp_reader *reader, const uint8_t *data,
    size_t size)
{
	size_t taken = 0;

	if (reader->past == 0)
		begin(reader);
	while (taken < size && !reader->done) {
		long rc = pass_one(reader, data + taken, size - taken);

		if (rc < 0)
			return rc;
		if (rc == 0)
			break;
		taken += (size_t)rc;
	}
	return (long)taken;
}
