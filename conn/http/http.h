/* SPDX-License-Identifier: MIT */
/*
 * http.h - what the server and the client share.
 */
#ifndef TORC_HTTP_HTTP_H
#define TORC_HTTP_HTTP_H

#include <string.h>

#include "conn/http/torc_http.h"
#include "sys/trap.h"

static inline unsigned
or_default(unsigned value, unsigned otherwise)
{
	return value != 0 ? value : otherwise;
}

#define FIELDS_MOST 65536u	/* in a head */

/* Check the limits of a configuration. Returns 0 or -EINVAL. server.c */
int torc_http_config_check(const struct torc_http_config *config,
    struct torc_error *error);

/* How many bytes a second a peer must take: by default 64 KiB in `write_ms`. */
static inline unsigned
write_rate(unsigned value, unsigned write_ms)
{
	return value != 0 ? value : write_ms == TORC_NO_LIMIT ?
	    TORC_NO_LIMIT : (unsigned)(65536ull * 1000 / write_ms);
}

/* Returns the earlier of a deadline and the time `ms` from now. */
static inline torc_deadline
sooner(torc_deadline deadline, unsigned ms)
{
	return ms == TORC_NO_LIMIT ? deadline :
	    torc_sooner(deadline, torc_after_ms(ms));
}

/* ---- input.c ---- */

/* The state of reading a body. From BROKEN on, reading cannot go on. */
enum { INPUT_NONE, INPUT_SIZED, INPUT_CHUNKS, INPUT_TRAILER, INPUT_TO_END,
    INPUT_BROKEN };

/* The head at the beginning of the view was read: its body is next. */
void torc_http_expect(struct torc_http_input *input,
    const struct torc_http_head *head);

/* The limits for reading a body. */
struct torc_http_bounds {
	uint32_t head_max;
	uint32_t fields_max;
	uint32_t room;		/* fields at head->fields, some in use */
	uint64_t body_max;
};

/*
 * Take a piece of the body from the view. Returns 1; 0 if there is none, and
 * the state says whether there will be one; or an error, with head->why. The
 * fields of a trailer go to *trailer, and are stored after those of the head.
 * -ENOBUFS: there is not enough room for them; call this again with more.
 */
int torc_http_take(struct torc_http_input *input,
    const struct torc_http_bounds *bounds, struct torc_http_head *head,
    struct torc_http_head *trailer, struct torc_slice *body);

/* How many fields are enough for any head and its trailer. */
static inline unsigned
torc_http_room(unsigned fields_max)
{
	return fields_max * 2;
}

/* Parks. As torc_conn_recv(), with the patience for a body. */
int torc_http_receive(struct torc_http_input *input, struct torc_pace *pace,
    torc_deadline deadline);

/* The next torc_conn_recv() returns the unused part of the view. */
static inline void
torc_http_leave(struct torc_http_input *input)
{
	torc_conn_rewind(input->conn, input->used);
}

/* Consume the used part of the view. */
static inline void
torc_http_consume(struct torc_http_input *input)
{
	if (input->used == 0)
		return;
	torc_conn_consume(input->conn, input->used);
	input->view.data += input->used;
	input->view.size -= input->used;
	input->used = 0;
}

/* ---- write.c ---- */

/*
 * Whether a writer of heads accepts a field: readers understand it as it was
 * meant.
 */
bool torc_http_may_write(const struct torc_http_field *field);

/* ---- output.c ---- */

/* Fields that frame a message are written by torc alone. */
bool torc_http_frames(const struct torc_http_field *field);

/* Write the head of `message`: the result of torc_http_put_end(). */
typedef int torc_http_head_of(const void *message,
    struct torc_http_writer *writer);

/*
 * Parks. Write a head and the available part of its body. Returns 0; -EINVAL or
 * -ENOSPC if nothing was written; or an error as torc_conn_write().
 */
int torc_http_put_message(struct torc_conn *conn, torc_http_head_of *head_of,
    const void *message, const void *body, size_t size, torc_deadline deadline);

/* Parks. Write a chunk. */
int torc_http_put_chunk(struct torc_conn *conn, const void *data, size_t size,
    torc_deadline deadline);

/* ---- server.c ---- */

/* Parks. Skip the unread part of a body. After an error the connection ends. */
int torc_http_skip_body(struct torc_http *http, torc_deadline deadline);

/*
 * Parks. As torc_http_read(), but returns -EAGAIN, and nothing has happened, if
 * no piece arrives until `by`. The same holds for -ECANCELED.
 */
int torc_http_poll_body(struct torc_http *http, struct torc_slice *body,
    torc_deadline by);

/* ---- server.c ---- */

static inline void
torc_http_check(const struct torc_http *http)
{
	torc_require(http != NULL && http->conn != NULL,
	    "a server of HTTP is used that torc_http_init() did not begin");
}

static inline void
torc_http_check_fields(const struct torc_http_field *fields, unsigned count)
{
	torc_require(fields != NULL || count == 0,
	    "the fields of an answer are NULL, and their number is not 0");
}

/* ---- answer.c ---- */

/* The state of a request's answer. */
enum { OUTPUT_NONE, OUTPUT_DUE, OUTPUT_BEGUN, OUTPUT_BROKEN };

/* Parks. As torc_conn_write(); an error breaks the answer. */
int torc_http_put_bytes(struct torc_http *http, const void *data, size_t size,
    torc_deadline deadline);

#endif
