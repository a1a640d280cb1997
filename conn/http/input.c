/* SPDX-License-Identifier: MIT */
/* input.c - reads bodies from views. */
#include <errno.h>

#include "conn/http/http.h"

#define SMALL 512u		/* bytes of a piece that is copied to others */

/*
 * Whether an empty line, or what a careless peer takes for one, follows `from`.
 */
static bool
has_end(struct torc_slice view, size_t from)
{
	const uint8_t *end = view.data + view.size;
	const uint8_t *at = view.data + from;

	while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		at++;
		if ((end - at > 0 && at[0] == '\n') ||
		    (end - at > 1 && at[0] == '\r' && at[1] == '\n'))
			return true;
	}
	return false;
}

bool
torc_http_worth_reading(struct torc_http_wait *wait, struct torc_slice in,
    size_t head_max)
{
	bool worth = in.size >= 2 * wait->tried || in.size >= head_max ||
	    has_end(in, wait->looked);

	/* Two bytes of the end may have arrived already. */
	wait->looked = in.size > 2 ? in.size - 2 : 0;
	if (worth)
		wait->tried = in.size;
	return worth;
}

void
torc_http_expect(struct torc_http_input *input,
    const struct torc_http_head *head)
{
	input->used = head->size;
	input->received = 0;
	input->left = 0;
	switch (head->body) {
	case TORC_HTTP_NONE:
		input->state = INPUT_NONE;
		break;
	case TORC_HTTP_SIZED:
		input->state = INPUT_SIZED;
		input->left = head->length;
		break;
	case TORC_HTTP_CHUNKED:
		input->state = INPUT_CHUNKS;
		input->chunks = (struct torc_http_chunks) { .state = 0 };
		input->wait = (struct torc_http_wait) { 0, 0 };
		break;
	case TORC_HTTP_TO_END:
		input->state = INPUT_TO_END;
		break;
	default:
		input->state = INPUT_BROKEN;
	}
}

/* Take at most `most` bytes of the view. */
static int
take_bytes(struct torc_http_input *input, uint64_t most,
    struct torc_slice *body)
{
	size_t size = input->view.size - input->used;

	if (size > most)
		size = (size_t)most;
	body->data = input->view.data + input->used;
	body->size = size;
	input->used += size;
	return size > 0;
}

static int
take_sized(struct torc_http_input *input, struct torc_slice *body)
{
	int rc = take_bytes(input, input->left, body);

	input->left -= body->size;
	if (input->left == 0)
		input->state = INPUT_NONE;
	return rc;
}

/*
 * Move a piece next to the one before it. The lines of chunks between them were
 * read, so their bytes can be overwritten.
 */
static void
gather(struct torc_slice *body, struct torc_slice piece)
{
	if (body->size == 0) {
		*body = piece;
		return;
	}
	memmove((uint8_t *)(uintptr_t)body->data + body->size, piece.data,
	    piece.size);
	body->size += piece.size;
}

/* Small chunks are returned as one piece, as far as they are in view. */
static int
take_chunks(struct torc_http_input *input, struct torc_http_head *head,
    struct torc_slice *body)
{
	struct torc_http_chunks *chunks = &input->chunks;
	struct torc_slice piece = { NULL, 0 };

	while (input->used < input->view.size && piece.size <= SMALL &&
	    !torc_http_chunks_over(chunks)) {
		const struct torc_http_chunks before = *chunks;
		int rc = torc_http_read_chunks(chunks,
		    input->view.data + input->used,
		    input->view.size - input->used, &piece);

		if (rc < 0 && body->size > 0) {
			/* Return the bytes before the error first. */
			*chunks = before;
			return 1;
		}
		if (rc < 0) {
			head->why = chunks->why;
			return rc;
		}
		input->used += (size_t)rc;
		if (piece.size > 0)
			gather(body, piece);
	}
	if (torc_http_chunks_over(chunks))
		input->state = INPUT_TRAILER;
	return body->size > 0;
}

static int
take_trailer(struct torc_http_input *input,
    const struct torc_http_bounds *bounds, struct torc_http_head *head,
    struct torc_http_head *trailer)
{
	const uint32_t room = bounds->room - head->field_count;
	const struct torc_http_limits limits = {
		bounds->head_max, 1,
		room < bounds->fields_max ? room : bounds->fields_max,
	};
	const struct torc_slice view = {
		input->view.data + input->used,
		input->view.size - input->used,
	};
	int rc;

	if (!torc_http_worth_reading(&input->wait, view, bounds->head_max))
		return 0;
	trailer->fields = head->fields + head->field_count;
	rc = torc_http_read_trailer(trailer, view.data, view.size, &limits);
	if (rc == -E2BIG && room < bounds->fields_max) {
		input->wait.tried = 0;
		return -ENOBUFS;
	}
	if (rc < 0)
		head->why = trailer->why;
	if (rc <= 0) {
		trailer->field_count = 0;
		return rc;
	}
	input->used += (size_t)rc;
	input->state = INPUT_NONE;
	return 0;
}

int
torc_http_take(struct torc_http_input *input,
    const struct torc_http_bounds *bounds, struct torc_http_head *head,
    struct torc_http_head *trailer, struct torc_slice *body)
{
	int rc = 0;

	*body = (struct torc_slice) { NULL, 0 };
	if (input->state == INPUT_SIZED)
		rc = take_sized(input, body);
	else if (input->state == INPUT_TO_END)
		rc = take_bytes(input, UINT64_MAX, body);
	else if (input->state == INPUT_CHUNKS)
		rc = take_chunks(input, head, body);
	if (rc == 0 && input->state == INPUT_TRAILER)
		rc = take_trailer(input, bounds, head, trailer);
	input->received += body->size;
	if (rc > 0 && input->received > bounds->body_max) {
		head->why = "a body longer than body_max";
		rc = -EFBIG;
	}
	return rc;
}

int
torc_http_receive(struct torc_http_input *input, struct torc_pace *pace,
    torc_deadline deadline)
{
	const uint64_t since = torc_now();
	const size_t size = input->view.size;
	int rc = torc_conn_recv(input->conn, &input->view,
	    torc_pace_until(pace, deadline));

	torc_pace_note(pace, since, rc > 0 ? (size_t)rc - size : 0);
	return rc;
}
