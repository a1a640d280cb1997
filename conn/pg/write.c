/* SPDX-License-Identifier: MIT */
/* write.c - writes our messages. */
#include <string.h>

#include "conn/pg/wire.h"
#include "sys/trap.h"

#define VERSION 196608u		/* 3.0 */
#define CANCEL 80877102u	/* in its place: cancel another connection */

bool
torc_pg_written(const struct pg_writer *writer)
{
	return writer->used <= writer->size;
}

void
torc_pg_put(struct pg_writer *writer, const void *data, size_t size)
{
	torc_assert(size <= SIZE_MAX - writer->used);
	torc_assert(writer->size == 0 || writer->data != NULL);
	/* After something did not fit, nothing is written any more: there are
	 * no holes. */
	if (writer->used <= writer->size && size <= writer->size -
	    writer->used && size > 0)
		memcpy(writer->data + writer->used, data, size);
	writer->used += size;
}

/*
 * Returns where to write a message of this size; or NULL: it does not fit, and
 * is counted.
 */
static uint8_t *
reserve(struct pg_writer *writer, size_t size)
{
	uint8_t *at = torc_pg_written(writer) && size <= writer->size -
	    writer->used ? writer->data + writer->used : NULL;

	writer->used += size;
	return at;
}

static void
put_u8(struct pg_writer *writer, unsigned value)
{
	const uint8_t byte = (uint8_t)value;

	torc_pg_put(writer, &byte, 1);
}

static uint8_t *
store_u16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
	return at + 2;
}

static void
put_u16(struct pg_writer *writer, unsigned value)
{
	uint8_t bytes[2];

	store_u16(bytes, value);
	torc_pg_put(writer, bytes, 2);
}

static void
store_u32(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 24);
	at[1] = (uint8_t)(value >> 16);
	at[2] = (uint8_t)(value >> 8);
	at[3] = (uint8_t)value;
}

static void
put_u32(struct pg_writer *writer, uint32_t value)
{
	uint8_t bytes[4];

	store_u32(bytes, value);
	torc_pg_put(writer, bytes, 4);
}

static void
put_string(struct pg_writer *writer, const char *text)
{
	torc_pg_put(writer, text, strlen(text) + 1);
}

/*
 * Begin a message of this type (0: the first messages have none). Its length is
 * set at its end.
 */
static void
begin(struct pg_writer *writer, char type)
{
	const uint8_t header[PG_HEADER] = { (uint8_t)type };
	const size_t skip = type == 0;

	writer->start = writer->used + 1 - skip;
	torc_pg_put(writer, header + skip, sizeof(header) - skip);
}

static void
end_with(struct pg_writer *writer, size_t more)
{
	size_t length = writer->used - writer->start + more;

	/* The length counts itself. */
	torc_assert(writer->start <= writer->used && length >= more + 4);
	if (torc_pg_written(writer))
		store_u32(writer->data + writer->start, (uint32_t)length);
}

static void
end(struct pg_writer *writer)
{
	end_with(writer, 0);
}

/* ---- Startup ---- */

void
torc_pg_put_startup(struct pg_writer *writer, const char *user,
    const char *database, const char *const *parameters)
{
	begin(writer, 0);
	put_u32(writer, VERSION);
	put_string(writer, "user");
	put_string(writer, user);
	if (database != NULL) {
		put_string(writer, "database");
		put_string(writer, database);
	}
	while (parameters != NULL && *parameters != NULL)
		put_string(writer, *parameters++);
	put_u8(writer, 0);
	end(writer);
}

void
torc_pg_put_password(struct pg_writer *writer, const char *password)
{
	begin(writer, 'p');
	put_string(writer, password);
	end(writer);
}

void
torc_pg_put_sasl(struct pg_writer *writer, const char *mechanism,
    const void *data, size_t size)
{
	begin(writer, 'p');
	put_string(writer, mechanism);
	put_u32(writer, (uint32_t)size);
	torc_pg_put(writer, data, size);
	end(writer);
}

void
torc_pg_put_sasl_more(struct pg_writer *writer, const void *data, size_t size)
{
	begin(writer, 'p');
	torc_pg_put(writer, data, size);
	end(writer);
}

void
torc_pg_put_cancel(struct pg_writer *writer, uint32_t process, uint32_t secret)
{
	begin(writer, 0);
	put_u32(writer, CANCEL);
	put_u32(writer, process);
	put_u32(writer, secret);
	end(writer);
}

void
torc_pg_put_terminate(struct pg_writer *writer)
{
	begin(writer, 'X');
	end(writer);
}

/* ---- Statements ---- */

void
torc_pg_put_simple(struct pg_writer *writer, const char *sql)
{
	begin(writer, 'Q');
	put_string(writer, sql);
	end(writer);
}

void
torc_pg_put_parse(struct pg_writer *writer, const char *name, const char *sql,
    const struct torc_pg_param *params, unsigned count)
{
	begin(writer, 'P');
	put_string(writer, name);
	put_string(writer, sql);
	put_u16(writer, count);
	for (unsigned i = 0; i < count; i++)
		put_u32(writer, params[i].type);
	end(writer);
}

/* A text without its length, which precedes it. */
static size_t
size_of(const struct torc_pg_param *param)
{
	return param->number ? param->width :
	    param->bytes.data != NULL ? param->bytes.size : 0;
}

static uint8_t *
store_param(uint8_t *at, const struct torc_pg_param *param)
{
	const size_t size = size_of(param);

	if (param->number) {
		store_u32(at, (uint32_t)size);
		for (size_t i = 0; i < size; i++)
			at[4 + i] = (uint8_t)(param->bits >>
			    8 * (size - 1 - i));
	} else if (param->bytes.data == NULL) {
		store_u32(at, UINT32_MAX);
	} else {
		store_u32(at, (uint32_t)size);
		memcpy(at + 4, param->bytes.data, size);
	}
	return at + 4 + size;
}

/* This is the most frequent message: its size is checked once. */
void
torc_pg_put_bind(struct pg_writer *writer, const char *name,
    const struct torc_pg_param *params, unsigned count, bool binary)
{
	const size_t name_size = strlen(name) + 1;
	size_t size = PG_HEADER + 1 + name_size + 8 + 6 * (size_t)count;
	uint8_t *at;

	for (unsigned i = 0; i < count; i++)
		size += size_of(&params[i]);
	at = reserve(writer, size);
	if (at == NULL)
		return;
	*at = 'B';
	store_u32(at + 1, (uint32_t)size - 1);
	at[PG_HEADER] = '\0';		/* the portal that has no name */
	at = (uint8_t *)memcpy(at + PG_HEADER + 1, name, name_size) +
	    name_size;
	at = store_u16(at, count);
	for (unsigned i = 0; i < count; i++)
		at = store_u16(at, params[i].binary);
	at = store_u16(at, count);
	for (unsigned i = 0; i < count; i++)
		at = store_param(at, &params[i]);
	at = store_u16(at, 1);		/* one format for all columns */
	store_u16(at, binary);
}

void
torc_pg_put_execute(struct pg_writer *writer)
{
	/* For the unnamed portal: its columns, and all its rows. */
	static const uint8_t message[] = { 'D', 0, 0, 0, 6, 'P', 0,
		'E', 0, 0, 0, 9, 0, 0, 0, 0, 0 };

	torc_pg_put(writer, message, sizeof(message));
}

void
torc_pg_put_close(struct pg_writer *writer, const char *name)
{
	begin(writer, 'C');
	put_u8(writer, 'S');
	put_string(writer, name);
	end(writer);
}

void
torc_pg_put_sync(struct pg_writer *writer)
{
	static const uint8_t message[] = { 'S', 0, 0, 0, 4 };

	torc_pg_put(writer, message, sizeof(message));
}

/* ---- COPY ---- */

void
torc_pg_put_copy_data(struct pg_writer *writer, size_t size)
{
	begin(writer, 'd');
	end_with(writer, size);
}

void
torc_pg_put_copy_done(struct pg_writer *writer)
{
	begin(writer, 'c');
	end(writer);
}

void
torc_pg_put_copy_fail(struct pg_writer *writer, const char *why)
{
	begin(writer, 'f');
	put_string(writer, why);
	end(writer);
}
