/* SPDX-License-Identifier: MIT */
/*
 * resp.c - bytes of RESP to items; tree.c makes trees of them.
 */
#include "conn/redis/torc_resp.h"

#include <errno.h>
#include <string.h>

#include "conn/redis/number.h"

#define BYTES_MAX (64u << 20)
#define ITEMS_MAX 1048576u
#define LINE_MAX_BYTES 16384u

/* ---- Lines ---- */

/*
 * Find the line after the type. Returns its length without its end; -EAGAIN if
 * the end is not there yet.
 */
static long
read_line(struct torc_resp_reader *reader, const uint8_t *data, size_t size)
{
	const size_t most = (size_t)reader->limits.line_max + 2;
	const size_t end = size < most ? size : most;
	const size_t from = reader->seen <= end ? reader->seen : 0;
	const uint8_t *at = end > from ? memchr(data + from, '\n',
	    end - from) : NULL;
	size_t length;

	reader->seen = at == NULL ? end : 0;
	if (at == NULL)
		return end == most ? -ENAMETOOLONG : -EAGAIN;
	length = (size_t)(at - data);
	if (length == 0 || data[length - 1] != '\r' ||
	    memchr(data, '\r', length - 1) != NULL)
		return -EBADMSG;
	return (long)(length - 1);
}

/* A number without zeros in front. */
static int
read_integer(const uint8_t *text, size_t size, int64_t *value)
{
	const bool negative = size > 0 && text[0] == '-';
	const uint64_t most = (uint64_t)INT64_MAX + negative;
	const size_t digits = size - negative;
	uint64_t sum = 0;

	if (digits == 0 || digits > 19 ||
	    (text[negative] == '0' && size > 1))
		return -EBADMSG;
	for (size_t i = negative; i < size; i++) {
		unsigned digit = text[i] - (unsigned)'0';

		/* 19 digits cannot wrap. */
		if (digit > 9)
			return -EBADMSG;
		sum = sum * 10 + digit;
	}
	if (sum > most)
		return -EBADMSG;
	*value = negative ? (int64_t)(0 - sum) : (int64_t)sum;
	return 0;
}

static bool
has_digits_only(const uint8_t *text, size_t size)
{
	const bool sign = size > 0 && (text[0] == '-' || text[0] == '+');

	for (size_t i = sign; i < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
	}
	return size > sign;
}

/* ---- Items ---- */

void
torc_resp_init(struct torc_resp_reader *reader,
    const struct torc_resp_limits *limits)
{
	struct torc_resp_limits *mine = &reader->limits;

	memset(reader, 0, sizeof(*reader));
	if (limits != NULL)
		*mine = *limits;
	if (mine->bytes_max == 0)
		mine->bytes_max = BYTES_MAX;
	if (mine->items_max == 0)
		mine->items_max = ITEMS_MAX;
	if (mine->depth_max == 0 || mine->depth_max > TORC_RESP_DEPTH)
		mine->depth_max = TORC_RESP_DEPTH;
	if (mine->line_max == 0)
		mine->line_max = LINE_MAX_BYTES;
}

/*
 * A value is complete, and those around it may be, too. An attribute is not a
 * value.
 */
static void
complete(struct torc_resp_reader *reader)
{
	while (reader->depth > 0) {
		struct torc_resp_level *level =
		    &reader->levels[reader->depth - 1];

		if (--level->left > 0)
			return;
		reader->depth--;
		if (level->attribute) {
			reader->aside--;
			return;
		}
	}
	reader->done = true;
}

static int
count_bytes(struct torc_resp_reader *reader, uint64_t size)
{
	if (size > reader->limits.bytes_max - reader->bytes)
		return -EMSGSIZE;
	reader->bytes += size;
	return 0;
}

/*
 * Take a piece of a text from the bytes after its head. Returns how many were
 * taken. The last byte is taken together with the end of line after it, so that
 * the last piece shows that the text is valid.
 */
static long
read_piece(struct torc_resp_reader *reader, const uint8_t *data, size_t size,
    struct torc_resp_item *item)
{
	const uint64_t left = reader->text_left;

	item->piece.data = data;
	if (size < 2 || size - 2 < left) {
		if (size >= left)
			size = left > 0 ? (size_t)left - 1 : 0;
		item->piece.size = size;
		reader->text_left -= size;
		item->left = reader->text_left;
		return (long)size;
	}
	if (data[left] != '\r' || data[left + 1] != '\n')
		return -EBADMSG;
	item->piece.size = (size_t)left;
	item->left = 0;
	reader->text_left = 0;
	complete(reader);
	return (long)left + 2;
}

/* More of a text whose beginning was read before. */
static long
read_further_piece(struct torc_resp_reader *reader, const uint8_t *data,
    size_t size, struct torc_resp_item *item)
{
	item->type = reader->type;
	item->size = reader->text_size;
	return read_piece(reader, data, size, item);
}

/* "$5", "!5", "=5": the head is read, and was `head` bytes. */
static long
read_string(struct torc_resp_reader *reader, const uint8_t *data, size_t size,
    size_t head, struct torc_resp_item *item)
{
	long taken;

	if (item->type == TORC_REDIS_VERBATIM && item->size < 4)
		return -EBADMSG;
	/* An empty text has no piece that could come before its end. */
	if (item->size == 0 && size - head < 2)
		return 0;
	if (count_bytes(reader, item->size) < 0)
		return -EMSGSIZE;
	reader->type = item->type;
	reader->text_size = reader->text_left = item->size;
	taken = read_piece(reader, data + head, size - head, item);
	return taken < 0 ? taken : (long)head + taken;
}

static int
begin_aggregate(struct torc_resp_reader *reader, struct torc_resp_item *item)
{
	const bool attribute = item->type == TORC_REDIS_ATTRIBUTE;

	if (item->type == TORC_REDIS_MAP || attribute) {
		if (item->size > UINT32_MAX)
			return -E2BIG;
		item->size *= 2;
	}
	if (item->type == TORC_REDIS_PUSH && reader->depth > 0)
		return -EBADMSG;
	if (item->size > reader->limits.items_max - reader->items)
		return -E2BIG;
	reader->items += item->size;
	if (reader->depth == reader->limits.depth_max)
		return -ELOOP;
	if (item->size > 0) {
		reader->levels[reader->depth].left = item->size;
		reader->levels[reader->depth].attribute = attribute;
		reader->depth++;
		reader->aside = (uint8_t)(reader->aside + attribute);
	} else if (!attribute) {
		complete(reader);
	}
	return 0;
}

/* Read a value that is in its line. Returns 0 or a negative errno. */
static int
read_scalar(struct torc_resp_reader *reader, struct torc_resp_item *item)
{
	const uint8_t *text = item->piece.data;
	const size_t size = item->piece.size;
	const bool plus = size > 0 && text[0] == '+';
	int rc = 0;

	switch (item->type) {
	case TORC_REDIS_INTEGER:
		rc = plus && size > 1 && text[1] == '-' ? -EBADMSG :
		    read_integer(text + plus, size - plus, &item->integer);
		break;
	case TORC_REDIS_BOOLEAN:
		if (size != 1 || (text[0] != 't' && text[0] != 'f'))
			return -EBADMSG;
		item->integer = text[0] == 't';
		break;
	case TORC_REDIS_DOUBLE:
		rc = torc_redis_read_double(text, size, &item->number);
		break;
	case TORC_REDIS_BIG:
		rc = has_digits_only(text, size) ? 0 : -EBADMSG;
		break;
	case TORC_REDIS_NIL:
		rc = size == 0 ? 0 : -EBADMSG;
		break;
	default:
		break;
	}
	if (rc == 0)
		rc = count_bytes(reader, size);
	if (rc == 0)
		complete(reader);
	return rc;
}

/* Returns the type that the first byte of a value means. */
enum form { SCALAR, TEXT, AGGREGATE, UNKNOWN };

static enum form
read_type(uint8_t byte, enum torc_redis_type *type)
{
	static const struct {
		char byte;
		uint8_t form;
		uint8_t type;
	} types[] = {
		{ '$', TEXT, TORC_REDIS_STRING },
		{ '+', SCALAR, TORC_REDIS_STATUS },
		{ ':', SCALAR, TORC_REDIS_INTEGER },
		{ '*', AGGREGATE, TORC_REDIS_ARRAY },
		{ '-', SCALAR, TORC_REDIS_ERROR },
		{ '_', SCALAR, TORC_REDIS_NIL },
		{ '%', AGGREGATE, TORC_REDIS_MAP },
		{ '>', AGGREGATE, TORC_REDIS_PUSH },
		{ '~', AGGREGATE, TORC_REDIS_SET },
		{ '#', SCALAR, TORC_REDIS_BOOLEAN },
		{ ',', SCALAR, TORC_REDIS_DOUBLE },
		{ '=', TEXT, TORC_REDIS_VERBATIM },
		{ '!', TEXT, TORC_REDIS_ERROR },
		{ '(', SCALAR, TORC_REDIS_BIG },
		{ '|', AGGREGATE, TORC_REDIS_ATTRIBUTE },
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if ((uint8_t)types[i].byte == byte) {
			*type = types[i].type;
			return (enum form)types[i].form;
		}
	}
	return UNKNOWN;
}

/* "-1" for a null value. */
static int
read_count(const uint8_t *data, struct torc_resp_item *item, size_t length)
{
	int64_t count;
	int rc = read_integer(data + 1, length, &count);

	if (rc < 0)
		return rc;
	if (count == -1 && (data[0] == '$' || data[0] == '*')) {
		item->type = TORC_REDIS_NIL;
		return 0;
	}
	if (count < 0)
		return -EBADMSG;
	item->size = (uint64_t)count;
	return 0;
}

static long
read_value(struct torc_resp_reader *reader, const uint8_t *data, size_t size,
    struct torc_resp_item *item)
{
	const enum form form = read_type(data[0], &item->type);
	long length, rc;

	if (form == UNKNOWN)
		return -EBADMSG;
	length = read_line(reader, data + 1, size - 1);
	if (length < 0)
		return length == -EAGAIN ? 0 : length;
	item->first = true;
	if (form == SCALAR) {
		item->piece.data = data + 1;
		item->piece.size = (size_t)length;
		item->size = (uint64_t)length;
		rc = read_scalar(reader, item);
	} else {
		rc = read_count(data, item, (size_t)length);
		if (rc == 0 && item->type == TORC_REDIS_NIL)
			complete(reader);
		else if (rc == 0 && form == TEXT)
			return read_string(reader, data, size,
			    (size_t)length + 3, item);
		else if (rc == 0)
			rc = begin_aggregate(reader, item);
	}
	return rc < 0 ? rc : length + 3;
}

int64_t
torc_resp_read(struct torc_resp_reader *reader, const uint8_t *data,
    size_t size, struct torc_resp_item *item)
{
	if (size == 0)
		return 0;
	if (reader->done) {
		reader->done = false;
		reader->bytes = 0;
		reader->items = 0;
	}
	memset(item, 0, sizeof(*item));
	item->depth = reader->depth;
	item->aside = reader->aside > 0;
	if (reader->text_left > 0)
		return read_further_piece(reader, data, size, item);
	if (data[0] == '|')
		item->aside = true;
	return read_value(reader, data, size, item);
}
