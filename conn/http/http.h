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

/* What of a configuration is out of its bounds: 0 or -EINVAL. server.c */
int torc_http_config_check(const struct torc_http_config *config,
    struct torc_error *error);

/* Bytes a second that a peer is to take, by default 64 KiB in `write_ms`. */
static inline unsigned
write_rate(unsigned value, unsigned write_ms)
{
	return value != 0 ? value : write_ms == TORC_NO_LIMIT ?
	    TORC_NO_LIMIT : (unsigned)(65536ull * 1000 / write_ms);
}

/* The earlier of a deadline, and `ms` from now. */
static inline torc_deadline
sooner(torc_deadline deadline, unsigned ms)
{
	return ms == TORC_NO_LIMIT ? deadline :
	    torc_sooner(deadline, torc_after_ms(ms));
}

/* ---- input.c ---- */

/* Where the reader of a body is. From BROKEN on, it cannot go on. */
enum { INPUT_NONE, INPUT_SIZED, INPUT_CHUNKS, INPUT_TRAILER, INPUT_TO_END,
    INPUT_BROKEN };

/* The head at the beginning of the view was read: its body is next. */
void torc_http_expect(struct torc_http_input *input,
    const struct torc_http_head *head);

/* What bodies are read by. */
struct torc_http_bounds {
	uint32_t head_max;
	uint32_t fields_max;
	uint32_t room;		/* fields at head->fields, some in use */
	uint64_t body_max;
};

/*
 * A piece of the body that is in view: 1; none: 0, and the state tells whether
 * there will be; or an error, with head->why. The fields of a trailer go to
 * *trailer, and lie behind those of the head. -ENOBUFS: for these there is not
 * enough room; with more of it, this can be called again.
 */
int torc_http_take(struct torc_http_input *input,
    const struct torc_http_bounds *bounds, struct torc_http_head *head,
    struct torc_http_head *trailer, struct torc_slice *body);

/* Fields that are enough for any head and its trailer. */
static inline unsigned
torc_http_room(unsigned fields_max)
{
	return fields_max * 2;
}

/* Parks. As torc_conn_recv(), with the patience for a body. */
int torc_http_receive(struct torc_http_input *input, struct torc_pace *pace,
    torc_deadline deadline);

/* What is not used of the view is shown by the next torc_conn_recv(). */
static inline void
torc_http_leave(struct torc_http_input *input)
{
	torc_conn_rewind(input->conn, input->used);
}

/* What was used of the view is done with. */
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

/* Whether a writer of heads takes it: it is read as it was meant. */
bool torc_http_may_write(const struct torc_http_field *field);

/* ---- output.c ---- */

/* Fields that frame a message are written by torc alone. */
bool torc_http_frames(const struct torc_http_field *field);

/* Write the head of `message`: the result of torc_http_put_end(). */
typedef int torc_http_head_of(const void *message,
    struct torc_http_writer *writer);

/*
 * Parks. Write a head and what is there of its body: 0, -EINVAL or -ENOSPC if
 * nothing was written, or what torc_conn_write() says.
 */
int torc_http_put_message(struct torc_conn *conn, torc_http_head_of *head_of,
    const void *message, const void *body, size_t size, torc_deadline deadline);

/* Parks. Write a chunk. */
int torc_http_put_chunk(struct torc_conn *conn, const void *data, size_t size,
    torc_deadline deadline);

/* ---- server.c ---- */

/* Parks. Read past what was not read of a body. 0, or the connection ends. */
int torc_http_skip_body(struct torc_http *http, torc_deadline deadline);

/*
 * Parks. As torc_http_read(), but that nothing has happened if it is not there
 * `by` then: -EAGAIN; or if the fiber is cancelled.
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

/* What a request has of its answer. */
enum { OUTPUT_NONE, OUTPUT_DUE, OUTPUT_BEGUN, OUTPUT_BROKEN };

/* Parks. As torc_conn_write(); an error breaks the answer. */
int torc_http_put_bytes(struct torc_http *http, const void *data, size_t size,
    torc_deadline deadline);

#endif
