/*
 * server.c - requests in, answers out, on a connection of a handler's.
 */
#include <errno.h>
#include <time.h>

#include "conn/http/http.h"

/* What a request has of its answer. */
enum { OUTPUT_NONE, OUTPUT_DUE, OUTPUT_BEGUN, OUTPUT_BROKEN };

void
torc_http_open(struct torc_http *http, struct torc_conn *conn,
    const struct torc_http_config *config)
{
	static const struct torc_http_config none;
	const struct torc_http_config *from = config != NULL ? config : &none;
	struct torc_http_config *to = &http->config;

	/* All but the fields, which would be a page to touch. */
	memset(http, 0, offsetof(struct torc_http, fields));
	http->conn = conn;
	http->input.conn = conn;
	*to = *from;
	to->head_max = or_default(from->head_max, 32768);
	to->target_max = or_default(from->target_max, 8192);
	to->body_max = from->body_max != 0 ? from->body_max : 64 << 20;
	to->skip_max = from->skip_max != 0 ? from->skip_max : 256 << 10;
	to->idle_ms = or_default(from->idle_ms, 60000);
	to->head_ms = or_default(from->head_ms, 10000);
	to->body_ms = or_default(from->body_ms, 30000);
	to->write_ms = or_default(from->write_ms, 30000);
}

/* ---- Answers ---- */

static int
fail_output(struct torc_http *http, int error)
{
	http->output = OUTPUT_BROKEN;
	return error;
}

static int
put(struct torc_http *http, const void *data, size_t size, uint64_t deadline)
{
	int rc = torc_conn_write(http->conn, data, size,
	    sooner(deadline, http->config.write_ms));

	return rc < 0 ? fail_output(http, rc) : 0;
}

/*
 * Whether the connection goes on after this answer: what is left of the
 * request must be soon read past, and must come.
 */
static bool
goes_on(const struct torc_http *http)
{
	const struct torc_http_config *config = &http->config;

	if (!http->request.keep_alive || http->input.state == INPUT_BROKEN ||
	    (config->requests_max != 0 &&
	    http->requests >= config->requests_max))
		return false;
	if (http->input.state == INPUT_NONE)
		return true;
	return http->continued && http->input.left <= config->skip_max;
}

/* IMF-fixdate (RFC 9110, 5.6.7), made anew when the second changes. */
static const char *
date_text(struct torc_http *http)
{
	const time_t now = time(NULL);
	struct tm when;

	if (http->date_second != (uint64_t)now) {
		http->date_second = (uint64_t)now;
		gmtime_r(&now, &when);
		strftime(http->date, sizeof(http->date),
		    "%a, %d %b %Y %H:%M:%S GMT", &when);
	}
	return http->date;
}

/* An answer, of which `size` bytes of the body are there. */
struct answer {
	struct torc_http *http;
	unsigned status;
	const struct torc_http_field *fields;
	unsigned field_count;
	uint64_t length;
	const void *body;
	size_t size;
};

static int
write_answer(const void *message, struct torc_http_writer *writer)
{
	const struct answer *answer = message;
	struct torc_http *http = answer->http;

	bool dated = !http->config.date;

	torc_http_put_status(writer, answer->status, NULL);
	for (unsigned i = 0; i < answer->field_count; i++)
		dated |= torc_http_equals(answer->fields[i].name, "date");
	if (!dated)
		torc_http_put(writer, "Date", date_text(http));
	for (unsigned i = 0; i < answer->field_count; i++) {
		if (torc_http_frames(&answer->fields[i]))
			return -EINVAL;
		torc_http_put_field(writer, answer->fields[i].name,
		    answer->fields[i].value);
	}
	if (http->chunked)
		torc_http_put(writer, "Transfer-Encoding", "chunked");
	else if (answer->status != 204 &&
	    answer->length != TORC_HTTP_UNKNOWN)
		torc_http_put_length(writer, answer->length);
	if (http->last)
		torc_http_put(writer, "Connection", "close");
	else if (http->request.minor == 0)
		torc_http_put(writer, "Connection", "keep-alive");
	return torc_http_put_end(writer);
}

/* What cannot be written leaves the connection as it was. */
static int
put_answer(struct torc_http *http, const struct answer *answer,
    uint64_t deadline)
{
	int rc = torc_http_put_message(http->conn, write_answer, answer,
	    answer->body, answer->size,
	    sooner(deadline, http->config.write_ms));

	return rc < 0 && rc != -EINVAL && rc != -ENOSPC && rc != -ENOMEM ?
	    fail_output(http, rc) : rc;
}

/* The head, and what is there of the body: 0 or an error. */
static int
begin(struct torc_http *http, struct answer *answer, uint64_t deadline)
{
	const unsigned status = answer->status;
	const bool unknown = answer->length == TORC_HTTP_UNKNOWN;
	const bool was_last = http->last;
	int rc;

	if (http->output != OUTPUT_DUE || status < 200)
		return -EINVAL;
	http->silent = status == 204 || status == 304 ||
	    http->request.method == TORC_HTTP_HEAD;
	http->chunked = unknown && status != 204 && status != 304 &&
	    http->request.minor > 0;
	/* Without a length or chunks, the end of the connection tells. */
	http->last = http->last || !goes_on(http) ||
	    (unknown && !http->chunked && !http->silent);
	if (http->silent)
		answer->size = 0;
	/* While this waits, a fiber that reads the body must not answer. */
	http->output = OUTPUT_BEGUN;
	rc = put_answer(http, answer, deadline);
	if (rc < 0 && http->output == OUTPUT_BEGUN) {
		http->output = OUTPUT_DUE;
		http->last = was_last;
	}
	return rc;
}

int
torc_http_begin(struct torc_http *http, unsigned status,
    const struct torc_http_field *fields, unsigned field_count,
    uint64_t length, uint64_t deadline)
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
    const void *body, size_t size, uint64_t deadline)
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
    uint64_t deadline)
{
	int rc;

	if (http->output != OUTPUT_BEGUN)
		return -EINVAL;
	if (http->promised != TORC_HTTP_UNKNOWN) {
		if (size > http->promised)
			return fail_output(http, -EINVAL);
		http->promised -= size;
	}
	if (http->silent || size == 0)
		return 0;
	if (!http->chunked)
		return put(http, data, size, deadline);
	rc = torc_http_put_chunk(http->conn, data, size,
	    sooner(deadline, http->config.write_ms));
	return rc < 0 ? fail_output(http, rc) : 0;
}

int
torc_http_sent(struct torc_http *http, uint64_t size)
{
	if (http->output != OUTPUT_BEGUN)
		return -EINVAL;
	if (http->chunked || size > http->promised)
		return fail_output(http, -EINVAL);
	if (http->promised != TORC_HTTP_UNKNOWN)
		http->promised -= size;
	return 0;
}

int
torc_http_end(struct torc_http *http, uint64_t deadline)
{
	if (http->output != OUTPUT_BEGUN)
		return -EINVAL;
	if (!http->silent && http->promised != TORC_HTTP_UNKNOWN &&
	    http->promised > 0)
		return fail_output(http, -EINVAL);
	http->output = OUTPUT_NONE;
	return http->chunked && !http->silent ?
	    put(http, "0\r\n\r\n", 5, deadline) : 0;
}

int
torc_http_flush(struct torc_http *http, uint64_t deadline)
{
	int rc = torc_conn_flush(http->conn,
	    sooner(deadline, http->config.write_ms));

	return rc < 0 ? fail_output(http, rc) : 0;
}

/*
 * Say what is wrong, if an answer is due, and that this is the end. To end in
 * the middle of a request is the client's fault.
 */
static int
refuse(struct torc_http *http, int error)
{
	const unsigned status = error == -ECONNRESET ? 400 :
	    torc_http_status_of(error);

	http->last = true;
	if (http->output == OUTPUT_DUE)
		torc_http_reply(http, status, NULL, 0, NULL, 0, TORC_NEVER);
	return error;
}

/* The same of a head that cannot be read. */
static int
refuse_head(struct torc_http *http, int error)
{
	http->output = OUTPUT_DUE;
	return refuse(http, error);
}

int
torc_http_result(const struct torc_http *http)
{
	return http->output >= OUTPUT_BEGUN ? -1 : TORC_CLOSE;
}

/* ---- Bodies ---- */

/* Parks. Until there is more of the body. 0 or an error. */
static int
receive_more(struct torc_http *http, uint64_t deadline)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct torc_http_input *input = &http->input;
	int rc = 0;

	torc_http_consume(input);
	if (!http->continued && http->output == OUTPUT_DUE &&
	    input->view.size == 0)
		rc = put(http, go_on, sizeof(go_on) - 1, deadline);
	http->continued = true;
	if (rc < 0)
		return rc;
	rc = torc_conn_recv(http->conn, &input->view,
	    sooner(deadline, http->config.body_ms));
	return rc > 0 ? 0 : rc < 0 ? rc : -ECONNRESET;
}

int
torc_http_read(struct torc_http *http, struct torc_slice *body,
    uint64_t deadline)
{
	const struct torc_http_config *config = &http->config;
	struct torc_http_input *input = &http->input;
	int rc = input->state == INPUT_BROKEN ? -EPIPE : 0;

	*body = (struct torc_slice) { NULL, 0 };
	while (rc == 0 && input->state != INPUT_NONE) {
		rc = torc_http_take(input, &http->request, config->head_max,
		    config->body_max, body);
		if (rc == 0 && input->state != INPUT_NONE)
			rc = receive_more(http, deadline);
	}
	if (rc < 0 && input->state != INPUT_BROKEN) {
		input->state = INPUT_BROKEN;
		return refuse(http, rc);
	}
	return rc < 0 ? rc : (int)body->size;
}

/* Read past what the handler did not read. 0, or the connection ends. */
static int
skip_body(struct torc_http *http, uint64_t deadline)
{
	uint64_t skipped = 0;
	int rc;

	do {
		struct torc_slice body;

		rc = torc_http_read(http, &body, deadline);
		skipped += body.size;
		if (skipped > http->config.skip_max)
			return -EFBIG;
	} while (rc > 0);
	return rc;
}

/* ---- Requests ---- */

/* A head was read: what is to come, and whether that is too much. */
static int
accept_request(struct torc_http *http)
{
	struct torc_http_head *request = &http->request;

	http->requests++;
	http->output = OUTPUT_DUE;
	http->continued = !request->expects_continue;
	torc_http_expect(&http->input, request);
	if (request->body == TORC_HTTP_TUNNEL) {
		request->why = "CONNECT is not offered";
		return refuse(http, -EOPNOTSUPP);
	}
	if (http->input.left > http->config.body_max) {
		request->why = "a body longer than body_max";
		http->input.state = INPUT_BROKEN;
		return refuse(http, -EFBIG);
	}
	return 1;
}

/*
 * The connection has no more to give: an error is answered, an end is not, and
 * empty lines before a request that does not come are none.
 */
static int
end_of_requests(struct torc_http *http, int rc)
{
	http->last = true;
	if (rc == -ETIMEDOUT && torc_http_begun(http->input.view)) {
		http->request.why = "a head that took longer than head_ms";
		return refuse_head(http, rc);
	}
	if (rc == -ENOBUFS)
		return refuse_head(http, -EMSGSIZE);
	return rc == -ETIMEDOUT || rc == -ESHUTDOWN || rc == -ECONNRESET ?
	    0 : rc;
}

/* Parks. Until a head is there. 1, 0 or an error. */
static int
await_request(struct torc_http *http, uint64_t deadline)
{
	const struct torc_http_limits limits = {
		http->config.head_max, http->config.target_max,
		TORC_HTTP_FIELDS,
	};
	struct torc_slice *view = &http->input.view;
	uint64_t head_by = TORC_NEVER;
	size_t tried = 0;
	int rc;

	http->request.fields = http->fields;
	for (;;) {
		if (view->size > 0 && worth_reading(*view, tried,
		    limits.head_max)) {
			rc = torc_http_read_request(&http->request,
			    view->data, view->size, &limits);
			if (rc > 0)
				return accept_request(http);
			if (rc < 0)
				return refuse_head(http, rc);
			tried = view->size;
		}
		/* A head that has begun has its own deadline, which its
		 * bytes do not move. */
		if (view->size > 0 && head_by == TORC_NEVER)
			head_by = sooner(TORC_NEVER, http->config.head_ms);
		rc = torc_conn_recv(http->conn, view, view->size == 0 ?
		    sooner(deadline, http->config.idle_ms) :
		    head_by < deadline ? head_by : deadline);
		if (rc <= 0)
			return end_of_requests(http, rc);
	}
}

int
torc_http_recv(struct torc_http *http, uint64_t deadline)
{
	int rc = 0;

	if (http->output == OUTPUT_DUE)
		torc_http_reply(http, 500, NULL, 0, NULL, 0, deadline);
	if (http->output >= OUTPUT_BEGUN)
		return -EPIPE;
	if (http->last)
		return 0;
	if (http->input.state != INPUT_NONE)
		rc = skip_body(http, deadline);
	if (rc < 0) {
		http->last = true;
		return 0;
	}
	torc_http_consume(&http->input);
	return await_request(http, deadline);
}

int
torc_http_keep(struct torc_http *http, void *memory, size_t size)
{
	struct torc_http_head *request = &http->request;
	const uint8_t *from = http->input.view.data;

	if (request->size > size)
		return -ENOSPC;
	memcpy(memory, from, request->size);
	torc_http_rebase(request, from, memory);
	torc_http_consume(&http->input);
	return 0;
}
