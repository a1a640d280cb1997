/* SPDX-License-Identifier: MIT */
/*
 * wire.c - messages of the server.
 */
#include "conn/pg/wire.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "sys/trap.h"

static uint32_t
load_u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
	    (uint32_t)at[2] << 8 | at[3];
}

/* ---- Frames ---- */

long
torc_pg_frame_size(const uint8_t *data, size_t size, size_t most)
{
	uint32_t length;

	if (size < PG_HEADER)
		return 0;
	length = load_u32(data + 1);
	/* The length counts itself; a byte more would not fit in a long of 32
	 * bits, and the protocol's own numbers are signed. */
	if (length < 4 || length > INT32_MAX - 1)
		return -EPROTO;
	if (length >= most)
		return -EMSGSIZE;
	return (long)length + 1;
}

long
torc_pg_read_message(
    struct pg_message *message, const uint8_t *data, size_t size, size_t most)
{
	long frame = torc_pg_frame_size(data, size, most);

	if (frame <= 0)
		return frame;
	if ((size_t)frame > size)
		return 0;
	torc_assert((size_t)frame >= PG_HEADER && (size_t)frame <= most);
	message->type = data[0];
	message->data = data + PG_HEADER;
	message->size = (size_t)frame - PG_HEADER;
	message->lost = 0;
	return frame;
}

/* ---- Pieces of a message ---- */

/* What was taken is behind `at`, and what can be is before its end. */
static void
check(const struct pg_cursor *cursor)
{
	torc_assert(cursor->left == 0 || cursor->at != NULL);
	torc_assert(!cursor->failed || cursor->left == 0);
}

struct pg_cursor
torc_pg_open(const struct pg_message *message)
{
	torc_assert(message->size == 0 || message->data != NULL);
	return (struct pg_cursor) { message->data, message->size, false };
}

struct torc_slice
torc_pg_take(struct pg_cursor *cursor, size_t size)
{
	struct torc_slice taken = { cursor->at, size };

	check(cursor);
	if (size > cursor->left) {
		cursor->failed = true;
		cursor->left = 0;
		return (struct torc_slice) { NULL, 0 };
	}
	cursor->at += size;
	cursor->left -= size;
	return taken;
}

uint8_t
torc_pg_take_u8(struct pg_cursor *cursor)
{
	struct torc_slice taken = torc_pg_take(cursor, 1);

	return taken.data != NULL ? taken.data[0] : 0;
}

uint16_t
torc_pg_take_u16(struct pg_cursor *cursor)
{
	struct torc_slice taken = torc_pg_take(cursor, 2);

	unsigned high = taken.data != NULL ? taken.data[0] : 0;

	return (uint16_t)(taken.data != NULL ? high << 8 | taken.data[1] : 0);
}

uint32_t
torc_pg_take_u32(struct pg_cursor *cursor)
{
	struct torc_slice taken = torc_pg_take(cursor, 4);

	return taken.data != NULL ? load_u32(taken.data) : 0;
}

const char *
torc_pg_take_string(struct pg_cursor *cursor)
{
	const uint8_t *end = cursor->left > 0 ?
	    memchr(cursor->at, '\0', cursor->left) : NULL;

	check(cursor);
	if (end == NULL) {
		cursor->failed = true;
		cursor->left = 0;
		return "";
	}
	torc_assert(end >= cursor->at && end < cursor->at + cursor->left);
	return (const char *)torc_pg_take(cursor,
	    (size_t)(end - cursor->at) + 1).data;
}

int
torc_pg_close(const struct pg_cursor *cursor)
{
	check(cursor);
	return cursor->failed || cursor->left > 0 ? -EPROTO : 0;
}

/* ---- Rows ---- */

int
torc_pg_read_row(const struct pg_message *message, struct torc_slice *values,
    unsigned room)
{
	struct pg_cursor cursor = torc_pg_open(message);
	unsigned count = torc_pg_take_u16(&cursor);

	torc_assert(room == 0 || values != NULL);
	for (unsigned i = 0; i < count && !cursor.failed; i++) {
		uint32_t size = torc_pg_take_u32(&cursor);
		struct torc_slice value = { NULL, 0 };

		if (size <= INT32_MAX)
			value = torc_pg_take(&cursor, size);
		else if (size != UINT32_MAX)	/* -1: NULL */
			return -EPROTO;
		if (i < room)
			values[i] = value;
	}
	return torc_pg_close(&cursor) < 0 ? -EPROTO : (int)count;
}

int
torc_pg_read_fields(const struct pg_message *message, struct pg_field *fields,
    unsigned room)
{
	struct pg_cursor cursor = torc_pg_open(message);
	unsigned count = torc_pg_take_u16(&cursor);

	torc_assert(room == 0 || fields != NULL);
	for (unsigned i = 0; i < count && !cursor.failed; i++) {
		struct pg_field field;

		field.name = torc_pg_take_string(&cursor);
		field.table = torc_pg_take_u32(&cursor);
		field.attribute = torc_pg_take_u16(&cursor);
		field.type = torc_pg_take_u32(&cursor);
		field.type_size = (int16_t)torc_pg_take_u16(&cursor);
		field.modifier = torc_pg_take_u32(&cursor);
		field.format = torc_pg_take_u16(&cursor);
		if (field.format > 1)
			return -EPROTO;
		if (i < room)
			fields[i] = field;
	}
	return torc_pg_close(&cursor) < 0 ? -EPROTO : (int)count;
}

/* ---- Errors and notices ---- */

static void
keep_field(struct pg_report *report, uint8_t code, const char *value)
{
	switch (code) {
	case 'S':	/* may be translated, and is always there */
		if (report->severity[0] == '\0')
			report->severity = value;
		break;
	case 'V':
		report->severity = value;
		break;
	case 'C':
		report->state = value;
		break;
	case 'M':
		report->text = value;
		break;
	case 'D':
		report->detail = value;
		break;
	case 'H':
		report->hint = value;
		break;
	case 'P':
		report->position = value;
		break;
	case 'W':
		report->context = value;
		break;
	case 't':
		report->table = value;
		break;
	case 'c':
		report->column = value;
		break;
	case 'n':
		report->constraint = value;
		break;
	case 'R':
		report->routine = value;
		break;
	default:
		break;	/* more than a client has to know */
	}
}

int
torc_pg_read_report(const struct pg_message *message, struct pg_report *report)
{
	struct pg_cursor cursor = torc_pg_open(message);
	uint8_t code;

	*report = PG_NO_REPORT;
	while ((code = torc_pg_take_u8(&cursor)) != '\0')
		keep_field(report, code, torc_pg_take_string(&cursor));
	return torc_pg_close(&cursor);
}

/* ---- Authentication ---- */

int
torc_pg_read_auth(const struct pg_message *message, struct pg_auth *auth)
{
	struct pg_cursor cursor = torc_pg_open(message);

	memset(auth, 0, sizeof(*auth));
	auth->method = torc_pg_take_u32(&cursor);
	switch (auth->method) {
	case PG_AUTH_MD5: {
		struct torc_slice salt = torc_pg_take(
		    &cursor, sizeof(auth->salt));

		if (salt.data != NULL)
			memcpy(auth->salt, salt.data, sizeof(auth->salt));
		break;
	}
	case PG_AUTH_OK:
	case PG_AUTH_CLEARTEXT:
		break;
	default:
		auth->data = torc_pg_take(&cursor, cursor.left);
		break;
	}
	return torc_pg_close(&cursor);
}

bool
torc_pg_offers(const struct pg_auth *auth, const char *mechanism)
{
	struct pg_cursor cursor = { auth->data.data, auth->data.size, false };
	bool offered = false;
	const char *name;

	do {
		name = torc_pg_take_string(&cursor);
		offered |= strcmp(name, mechanism) == 0;
	} while (name[0] != '\0');
	return offered && torc_pg_close(&cursor) == 0;
}

/* ---- The rest ---- */

int
torc_pg_read_parameter(const struct pg_message *message, const char **name,
    const char **value)
{
	struct pg_cursor cursor = torc_pg_open(message);

	*name = torc_pg_take_string(&cursor);
	*value = torc_pg_take_string(&cursor);
	return torc_pg_close(&cursor);
}

int
torc_pg_read_key(const struct pg_message *message, uint32_t *process,
    uint32_t *secret)
{
	struct pg_cursor cursor = torc_pg_open(message);

	*process = torc_pg_take_u32(&cursor);
	*secret = torc_pg_take_u32(&cursor);
	return torc_pg_close(&cursor);
}

int
torc_pg_read_ready(const struct pg_message *message, char *state)
{
	struct pg_cursor cursor = torc_pg_open(message);

	*state = (char)torc_pg_take_u8(&cursor);
	if (*state != 'I' && *state != 'T' && *state != 'E')
		return -EPROTO;
	return torc_pg_close(&cursor);
}

int
torc_pg_read_complete(const struct pg_message *message, const char **tag,
    uint64_t *rows)
{
	struct pg_cursor cursor = torc_pg_open(message);
	const char *digits;

	*tag = torc_pg_take_string(&cursor);
	*rows = 0;
	digits = strrchr(*tag, ' ');
	while (digits != NULL && *++digits >= '0' && *digits <= '9')
		*rows = *rows * 10 + (unsigned)(*digits - '0');
	return torc_pg_close(&cursor);
}

int
torc_pg_read_notification(const struct pg_message *message,
    struct pg_notification *notification)
{
	struct pg_cursor cursor = torc_pg_open(message);

	notification->process = torc_pg_take_u32(&cursor);
	notification->channel = torc_pg_take_string(&cursor);
	notification->payload = torc_pg_take_string(&cursor);
	return torc_pg_close(&cursor);
}
