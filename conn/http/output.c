/* SPDX-License-Identifier: MIT */
/*
 * output.c - heads and chunks onto connections.
 */
#include <errno.h>

#include "conn/http/http.h"
#include "sys/sys.h"

#define HEAD_SMALL 512u		/* bytes of most heads: on the stack */
#define HEAD_LARGE 65536u	/* and of the largest */

bool
torc_http_frames(const struct torc_http_field *field)
{
	switch (field->name.size) {
	case 10:
		return torc_http_equals(field->name, "connection");
	case 14:
		return torc_http_equals(field->name, "content-length");
	case 17:
		return torc_http_equals(field->name, "transfer-encoding");
	default:
		return false;
	}
}

/* Parks. */
static int
put_both(struct torc_conn *conn, const void *head, size_t head_size,
    const void *body, size_t size, torc_deadline deadline)
{
	int rc = torc_conn_write(conn, head, head_size, deadline);

	return rc < 0 || size == 0 ? rc :
	    torc_conn_write(conn, body, size, deadline);
}

/* Parks. The stack of a fiber is no place for it. */
static __attribute__((noinline)) int
put_large(struct torc_conn *conn, torc_http_head_of *head_of,
    const void *message, const void *body, size_t size, torc_deadline deadline)
{
	struct torc_http_writer writer = {
		.data = torc_sys_alloc_raw(HEAD_LARGE), .size = HEAD_LARGE,
	};
	int rc;

	if (writer.data == NULL)
		return -ENOMEM;
	rc = head_of(message, &writer);
	if (rc > 0)
		rc = put_both(conn, writer.data, (size_t)rc, body, size,
		    deadline);
	torc_sys_free(writer.data);
	return rc;
}

int
torc_http_put_message(struct torc_conn *conn, torc_http_head_of *head_of,
    const void *message, const void *body, size_t size, torc_deadline deadline)
{
	uint8_t memory[HEAD_SMALL];
	struct torc_http_writer writer = { memory, sizeof(memory), 0, 0 };
	int rc = head_of(message, &writer);

	if (rc == -ENOSPC)
		return put_large(conn, head_of, message, body, size,
		    deadline);
	if (rc < 0)
		return rc;
	if (size > sizeof(memory) - (size_t)rc)
		return put_both(conn, memory, (size_t)rc, body, size,
		    deadline);
	if (size > 0)
		memcpy(memory + rc, body, size);
	return torc_conn_write(conn, memory, (size_t)rc + size, deadline);
}

int
torc_http_put_chunk(struct torc_conn *conn, const void *data, size_t size,
    torc_deadline deadline)
{
	char line[TORC_HTTP_CHUNK_LINE];
	size_t line_size = torc_http_chunk_line(line, size);
	int rc = put_both(conn, line, line_size, data, size, deadline);

	return rc < 0 ? rc : torc_conn_write(conn, "\r\n", 2, deadline);
}
