/* SPDX-License-Identifier: MIT */
/*
 * wire.h - the messages of protocol 3.0: plain functions from bytes to
 * messages and back, without input or output and without memory of their own.
 *
 * Nothing that was read is trusted: every length, count and end of a string
 * lies within its message, and every message is used up by what it holds.
 * Readers return -EPROTO for what does not. What they give views the message.
 */
#ifndef TORC_PG_WIRE_H
#define TORC_PG_WIRE_H

#include "conn/pg/torc_pg.h"

#define PG_HEADER 5u		/* the type and the length of a message */
#define PG_COLUMNS_MAX 1664u	/* the server's own bound is 1664 */
#define PG_PARAMS_MAX 65535u

/* Asks whether the server has TLS: one byte is the answer. */
#define PG_SSL_REQUEST "\0\0\0\x08\x04\xd2\x16\x2f"

/* ---- Messages of the server ---- */

enum pg_type {
	PG_AUTHENTICATION = 'R',
	PG_BACKEND_KEY = 'K',
	PG_BIND_COMPLETE = '2',
	PG_CLOSE_COMPLETE = '3',
	PG_COMMAND_COMPLETE = 'C',
	PG_COPY_BOTH = 'W',
	PG_COPY_DATA = 'd',
	PG_COPY_DONE = 'c',
	PG_COPY_IN = 'G',
	PG_COPY_OUT = 'H',
	PG_DATA_ROW = 'D',
	PG_EMPTY_QUERY = 'I',
	PG_ERROR = 'E',
	PG_NEGOTIATE = 'v',
	PG_NO_DATA = 'n',
	PG_NOTICE = 'N',
	PG_NOTIFICATION = 'A',
	PG_PARAMETERS = 't',
	PG_PARAMETER_STATUS = 'S',
	PG_PARSE_COMPLETE = '1',
	PG_PORTAL_SUSPENDED = 's',
	PG_READY = 'Z',
	PG_ROW_DESCRIPTION = 'T',
};

struct pg_message {
	uint8_t type;
	const uint8_t *data;	/* behind the header */
	size_t size;
	int lost;		/* it was read past, for this error: there is
				 * no data, but the beginning of an error or a
				 * notice, with an end */
};

/*
 * Returns the length of the message that begins with these bytes, including its
 * header. 0: they are fewer than a header; -EPROTO: the length is invalid;
 * -EMSGSIZE: it is above `most`.
 */
long torc_pg_frame_size(const uint8_t *data, size_t size, size_t most);

/*
 * Read the first message. Returns how many bytes it has, 0 if it is incomplete,
 * or an error as above.
 */
long torc_pg_read_message(struct pg_message *message, const uint8_t *data,
    size_t size, size_t most);

/* The unread rest of a message. */
struct pg_cursor {
	const uint8_t *at;
	size_t left;
	bool failed;		/* it was shorter than what was asked for */
};

struct pg_cursor torc_pg_open(const struct pg_message *message);
uint8_t torc_pg_take_u8(struct pg_cursor *cursor);
uint16_t torc_pg_take_u16(struct pg_cursor *cursor);
uint32_t torc_pg_take_u32(struct pg_cursor *cursor);
struct torc_slice torc_pg_take(struct pg_cursor *cursor, size_t size);
const char *torc_pg_take_string(struct pg_cursor *cursor); /* "" if it fails */
/* Returns 0 if everything was there and nothing is left; otherwise -EPROTO. */
int torc_pg_close(const struct pg_cursor *cursor);

/* Read a DataRow. Returns how many values it has; at most `room` are stored. */
int torc_pg_read_row(
    const struct pg_message *message, struct torc_slice *values, unsigned room);

struct pg_field {
	const char *name;
	uint32_t table;
	uint16_t attribute;
	uint32_t type;
	int16_t type_size;
	uint32_t modifier;
	uint16_t format;	/* 0: text, 1: binary */
};

/*
 * Read a RowDescription. Returns how many fields it has; at most `room` are
 * stored.
 */
int torc_pg_read_fields(
    const struct pg_message *message, struct pg_field *fields, unsigned room);

/* Read an ErrorResponse or a NoticeResponse. Missing texts are "". */
struct pg_report {
	const char *severity;	/* not translated, from 9.6 on */
	const char *state;
	const char *text;
	const char *detail;
	const char *hint;
	const char *position;
	const char *context;
	const char *table;
	const char *column;
	const char *constraint;
	const char *routine;	/* of the server's source */
	bool cut;		/* it was longer than the part that was kept */
};

#define PG_NO_REPORT ((struct pg_report) { "", "", "", "", "", "", "", "", \
	"", "", "", false })

int torc_pg_read_report(
    const struct pg_message *message, struct pg_report *report);

enum pg_method {
	PG_AUTH_OK = 0,
	PG_AUTH_CLEARTEXT = 3,
	PG_AUTH_MD5 = 5,
	PG_AUTH_SASL = 10,
	PG_AUTH_SASL_CONTINUE = 11,
	PG_AUTH_SASL_FINAL = 12,
};

struct pg_auth {
	uint32_t method;
	uint8_t salt[4];	/* of MD5 */
	struct torc_slice data;	/* of SASL */
};

/* Methods that torc does not have: only `method` is set, and 0 returned. */
int torc_pg_read_auth(const struct pg_message *message, struct pg_auth *auth);

/* Whether the list of an AuthenticationSASL has this mechanism. */
bool torc_pg_offers(const struct pg_auth *auth, const char *mechanism);

int torc_pg_read_parameter(const struct pg_message *message, const char **name,
    const char **value);
int torc_pg_read_key(const struct pg_message *message, uint32_t *process,
    uint32_t *secret);
int torc_pg_read_ready(const struct pg_message *message, char *state);

/* CommandComplete; `rows`: its last word, or 0. */
int torc_pg_read_complete(const struct pg_message *message, const char **tag,
    uint64_t *rows);

struct pg_notification {
	uint32_t process;
	const char *channel;
	const char *payload;
};

int torc_pg_read_notification(const struct pg_message *message,
    struct pg_notification *notification);

/* ---- Messages of ours ---- */

/*
 * Bytes beyond the end of the memory are not written, but counted: `used` says
 * how much is needed. NULL and 0 only count.
 */
struct pg_writer {
	uint8_t *data;
	size_t size;
	size_t used;
	size_t start;		/* of the message that is being written */
};

/* A limit that keeps every length below 2^31. */
#define PG_WRITE_MAX ((size_t)1 << 30)

/* Whether everything did fit. */
bool torc_pg_written(const struct pg_writer *writer);

void torc_pg_put(struct pg_writer *writer, const void *data, size_t size);

/* `parameters`: names and values by turns, ended by NULL; may be NULL. */
void torc_pg_put_startup(struct pg_writer *writer, const char *user,
    const char *database, const char *const *parameters);
void torc_pg_put_password(struct pg_writer *writer, const char *password);
void torc_pg_put_sasl(struct pg_writer *writer, const char *mechanism,
    const void *data, size_t size);
void torc_pg_put_sasl_more(
    struct pg_writer *writer, const void *data, size_t size);
void torc_pg_put_simple(struct pg_writer *writer, const char *sql);
void torc_pg_put_parse(struct pg_writer *writer, const char *name,
    const char *sql, const struct torc_pg_param *params, unsigned count);
void torc_pg_put_bind(struct pg_writer *writer, const char *name,
    const struct torc_pg_param *params, unsigned count, bool binary);
/* Describe and execute the bound portal. */
void torc_pg_put_execute(struct pg_writer *writer);
void torc_pg_put_close(struct pg_writer *writer, const char *name);
void torc_pg_put_sync(struct pg_writer *writer);
/* Write the header of a CopyData, which `size` bytes must follow. */
void torc_pg_put_copy_data(struct pg_writer *writer, size_t size);
void torc_pg_put_copy_done(struct pg_writer *writer);
void torc_pg_put_copy_fail(struct pg_writer *writer, const char *why);
void torc_pg_put_terminate(struct pg_writer *writer);
void torc_pg_put_cancel(struct pg_writer *writer, uint32_t process,
    uint32_t secret);

#endif
