/* SPDX-License-Identifier: MIT */
/*
 * answer.c - answers of a server, whole and in pieces.
 */
#include <errno.h>

#include "conn/http/http.h"
#include "reactor/config.h"

static int
fail_output(struct torc_http *http, int error)
{
	http->output = OUTPUT_BROKEN;
	return error;
}

int
torc_http_put_bytes(struct torc_http *http, const void *data, size_t size,
    torc_deadline deadline)
{
	int rc = torc_conn_write(http->conn, data, size, deadline);

	return rc < 0 ? fail_output(http, rc) : 0;
}

/*
 * Whether the connection goes on after this answer. The rest of the request
 * must be small enough to skip, and the client must not wait for 100 before it
 * sends it.
 */
static bool
goes_on(const struct torc_http *http)
{
	const struct torc_http_config *config = &http->config;

	if (!http->request.keep_alive || http->input.state == INPUT_BROKEN ||
	    torc_reactor_draining(torc_reactor_self()) ||
	    (config->requests_max != 0 &&
	    http->requests >= config->requests_max))
		return false;
	if (http->input.state == INPUT_NONE)
		return true;
	return http->continued && http->input.left <= config->skip_max;
}

/* An answer, with the first `size` bytes of its body. */
struct answer {
	struct torc_http *http;
	unsigned status;
	const struct torc_http_field *fields;
	unsigned field_count;
	uint64_t length;
	const void *body;
	size_t size;
};

/* Returns false if the fields cannot be written. */
static bool
put_fields(const struct answer *answer, struct torc_http_writer *writer)
{
	bool dated = answer->http->config.no_date || answer->status < 200;

	for (unsigned i = 0; i < answer->field_count; i++) {
		const struct torc_http_field *field = &answer->fields[i];

		if (torc_http_frames(field))
			return false;
		if (field->name.size == 4)
			dated |= torc_http_equals(field->name, "date");
		torc_http_put_field(writer, field->name, field->value);
	}
	if (!dated)
		torc_http_put_date(writer);
	return true;
}

/* Write how long the body is, and whether the connection goes on. */
static void
put_framing(const struct answer *answer, struct torc_http_writer *writer)
{
	const struct torc_http *http = answer->http;

	if (answer->status == 101)
		torc_http_put(writer, "Connection", "upgrade");
	if (answer->status < 200)
		return;
	if (http->chunked)
		torc_http_put(writer, "Transfer-Encoding", "chunked");
	else if (answer->status != 204 && answer->length != TORC_HTTP_UNKNOWN)
		torc_http_put_length(writer, answer->length);
	if (http->last)
		torc_http_put(writer, "Connection", "close");
	else if (http->request.version == TORC_HTTP_1_0)
		torc_http_put(writer, "Connection", "keep-alive");
}

static int
write_answer(const void *message, struct torc_http_writer *writer)
{
	const struct answer *answer = message;

	torc_http_put_status(writer, answer->status, NULL);
	if (!put_fields(answer, writer))
		return -EINVAL;
	put_framing(answer, writer);
	return torc_http_put_end(writer);
}

/* If the answer cannot be written, the connection stays as it was. */
static int
put_answer(struct torc_http *http, const struct answer *answer,
    torc_deadline deadline)
{
	int rc = torc_http_put_message(http->conn, write_answer, answer,
	    answer->body, answer->size, deadline);

	return rc < 0 && rc != -EINVAL && rc != -ENOSPC && rc != -ENOMEM ?
	    fail_output(http, rc) : rc;
}

/* Write the head and the available part of the body. Returns 0 or an error. */
static int
begin(struct torc_http *http, struct answer *answer, torc_deadline deadline)
{
	const unsigned status = answer->status;
	const bool unknown = answer->length == TORC_HTTP_UNKNOWN;
	bool was_last;
	int rc;

	torc_http_check(http);
	torc_http_check_fields(answer->fields, answer->field_count);
	was_last = http->last;
	if (http->output != OUTPUT_DUE || status < 200)
		return -EINVAL;
	http->silent = status == 204 || status == 304 ||
	    http->request.method == TORC_HTTP_HEAD;
	http->chunked = unknown && status != 204 && status != 304 &&
	    http->request.version > TORC_HTTP_1_0;
	/* Without a length or chunks, the end of the connection ends the
	 * body. */
	http->last = http->last || !goes_on(http) ||
	    (unknown && !http->chunked && !http->silent);
	if (http->silent)
		answer->size = 0;
	torc_require(answer->body != NULL || answer->size == 0,
	    "the body of an answer is NULL, and its size is not 0");
	/* While this waits, a fiber that reads the body must not answer. */
	http->output = OUTPUT_BEGUN;
	http->status = status;
	http->answered = answer->size;
	rc = put_answer(http, answer, deadline);
	if (rc < 0 && http->output == OUTPUT_BEGUN) {
		http->output = OUTPUT_DUE;
		http->status = 0;
		http->last = was_last;
	}
	return rc;
}

/*
 * Write the head of an answer that another answer follows, or no HTTP at all.
 */
static int
put_interim(struct torc_http *http, unsigned status,
    const struct torc_http_field *fields, unsigned field_count,
    torc_deadline deadline)
{
	const struct answer answer = {
		http, status, fields, field_count, 0, NULL, 0,
	};
	int rc;

	/* While this waits, another fiber must not answer. */
	http->output = OUTPUT_BEGUN;
	rc = put_answer(http, &answer, deadline);
	if (http->output == OUTPUT_BEGUN)
		http->output = OUTPUT_DUE;
	return rc;
}

int
torc_http_inform(struct torc_http *http, unsigned status,
    const struct torc_http_field *fields, unsigned field_count,
    torc_deadline deadline)
{
	torc_http_check(http);
	torc_http_check_fields(fields, field_count);
	if (http->output != OUTPUT_DUE || status < 100 || status > 199 ||
	    status == 101)
		return -EINVAL;
	if (status == 100)
		http->continued = true;
	return http->request.version == TORC_HTTP_1_0 ? 0 :
	    put_interim(http, status, fields, field_count, deadline);
}

int
torc_http_begin(struct torc_http *http, unsigned status,
    const struct torc_http_field *fields, unsigned field_count,
    uint64_t length, torc_deadline deadline)
{
	struct answer answer = {
		http, status, fields, field_count, length, NULL, 0,
	};
	int rc = begin(http, &answer, deadline);

	if (rc == 0)
		http->promised = length;
	return rc;
}

int
torc_http_reply(struct torc_http *http, unsigned status,
    const struct torc_http_field *fields, unsigned field_count,
    const void *body, size_t size, torc_deadline deadline)
{
	struct answer answer = {
		http, status, fields, field_count, size, body, size,
	};
	int rc = begin(http, &answer, deadline);

	if (rc == 0)
		http->output = OUTPUT_NONE;
	return rc;
}

int
torc_http_write(struct torc_http *http, const void *data, size_t size,
    torc_deadline deadline)
{
	int rc;

	torc_http_check(http);
	torc_require(data != NULL || size == 0,
	    "the body of an answer is NULL, and its size is not 0");
	if (http->output != OUTPUT_BEGUN)
		return -EINVAL;
	if (http->promised != TORC_HTTP_UNKNOWN) {
		if (size > http->promised)
			return fail_output(http, -EINVAL);
		http->promised -= size;
	}
	if (http->silent || size == 0)
		return 0;
	http->answered += size;
	if (!http->chunked)
		return torc_http_put_bytes(http, data, size, deadline);
	rc = torc_http_put_chunk(http->conn, data, size, deadline);
	return rc < 0 ? fail_output(http, rc) : 0;
}

int
torc_http_sent(struct torc_http *http, uint64_t size)
{
	torc_http_check(http);
	if (http->output != OUTPUT_BEGUN)
		return -EINVAL;
	if (http->chunked || size > http->promised)
		return fail_output(http, -EINVAL);
	if (http->promised != TORC_HTTP_UNKNOWN)
		http->promised -= size;
	if (!http->silent)
		http->answered += size;
	return 0;
}

int
torc_http_end(struct torc_http *http, torc_deadline deadline)
{
	torc_http_check(http);
	if (http->output != OUTPUT_BEGUN)
		return -EINVAL;
	if (!http->silent && http->promised != TORC_HTTP_UNKNOWN &&
	    http->promised > 0)
		return fail_output(http, -EINVAL);
	http->output = OUTPUT_NONE;
	return http->chunked && !http->silent ?
	    torc_http_put_bytes(http, "0\r\n\r\n", 5, deadline) : 0;
}

int
torc_http_flush(struct torc_http *http, torc_deadline deadline)
{
	int rc;

	torc_http_check(http);
	rc = torc_conn_flush(http->conn, deadline);
	return rc < 0 ? fail_output(http, rc) : 0;
}

static int
reply_with(struct torc_http *http, const struct torc_http_refusal *refusal,
    torc_deadline deadline)
{
	return torc_http_reply(http, refusal->status, refusal->fields,
	    refusal->field_count, refusal->body, refusal->size, deadline);
}

int
torc_http_refuse_sized(struct torc_http *http,
    const struct torc_http_refusal *refusal, size_t refusal_size,
    torc_deadline deadline)
{
	struct torc_http_refusal known, shaped;
	int rc;

	torc_http_check(http);
	torc_require(refusal != NULL, "torc_http_refuse() needs an answer");
	if (http->output != OUTPUT_DUE)
		return -EINVAL;
	rc = torc_config_take(&known, sizeof(known), refusal, refusal_size,
	    "torc_http_refusal", NULL);
	if (rc < 0)
		return rc;
	known.exchange = NULL;	/* a service sets it */
	shaped = known;
	if (http->config.refusal != NULL)
		http->config.refusal(&http->request, &shaped,
		    http->config.arg);
	if (shaped.status == 0) {
		http->last = true;
		http->output = OUTPUT_NONE;
		return 0;
	}
	rc = reply_with(http, &shaped, deadline);
	/* No byte of the changed answer was written. */
	return http->config.refusal != NULL && http->output == OUTPUT_DUE ?
	    reply_with(http, &known, deadline) : rc;
}

int
torc_http_take_over(struct torc_http *http,
    const struct torc_http_field *fields, unsigned field_count,
    torc_deadline deadline)
{
	bool named = false;
	int rc;

	torc_http_check(http);
	torc_http_check_fields(fields, field_count);
	for (unsigned i = 0; i < field_count; i++)
		named |= torc_http_equals(fields[i].name, "upgrade");
	if (!named || !http->upgrade || http->output != OUTPUT_DUE ||
	    http->input.state != INPUT_NONE)
		return -EINVAL;
	rc = put_interim(http, 101, fields, field_count, deadline);
	if (rc < 0)
		return rc;
	http->output = OUTPUT_NONE;
	http->status = 101;
	http->last = true;
	torc_http_leave(&http->input);
	return 0;
}

int
torc_http_result(const struct torc_http *http)
{
	torc_http_check(http);
	return http->output >= OUTPUT_BEGUN ? -1 : TORC_CLOSE;
}
