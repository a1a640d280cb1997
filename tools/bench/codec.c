/* SPDX-License-Identifier: MIT */
/*
 * codec.c - HTTP/1.1 on the codec alone: answers every well-formed request with
 * "ok", in constants but for the Date. With keep-alive, pipelining, bodies of
 * both kinds, limits and timeouts. What a server costs at least.
 */
#include <torc_http.h>

#include <errno.h>
#include <string.h>

#include "cli.h"

#define HEAD_MAX 32768u		/* bytes of a request head: 431 */
#define TARGET_MAX 8192u	/* bytes of a target: 414 */
#define BODY_MAX 67108864u	/* bytes of a request body: 413 */
#define HEAD_MS 10000u		/* for a whole head, once it has begun: 408 */
#define IDLE_MS 60000u		/* between requests */
#define BODY_MS 30000u		/* for a peer that sends nothing of its body */
#define BODY_RATE 240u		/* bytes a second, below which that wears out */
#define WRITE_MS 30000u		/* for the peer to take an answer */

static struct cli_switch switches[] = {
	{ 'g', "give the stack back between requests", false },
	{ '\0', NULL, false },
};

static const struct torc_http_limits limits = {
	.head_max = HEAD_MAX, .target_max = TARGET_MAX,
	.fields_max = TORC_HTTP_FIELDS,
};

static int
put(struct torc_conn *conn, const char *text, size_t size)
{
	return torc_conn_write(conn, text, size, torc_after_ms(WRITE_MS));
}

/* Say no; the connection closes after it. */
static int
refuse(struct torc_conn *conn, int error)
{
	uint8_t memory[256];
	struct torc_http_writer writer = { memory, sizeof(memory), 0, 0 };

	torc_http_put_status(&writer, torc_http_status_of(error), NULL);
	torc_http_put_length(&writer, 0);
	torc_http_put_date(&writer);
	torc_http_put(&writer, "Connection", "close");
	put(conn, (char *)memory, (size_t)torc_http_put_end(&writer));
	return TORC_CLOSE;
}

/*
 * Read past what is in view of a body in chunks: 1 at its end, 0 if there is
 * more to come, or an error. `*part`: how many bytes that were.
 */
static int
skip_chunks(struct torc_http_chunks *chunks, struct torc_http_wait *wait,
    const struct torc_slice *in, size_t *part)
{
	struct torc_http_field fields[TORC_HTTP_FIELDS];
	struct torc_http_head trailer = { .fields = fields };
	struct torc_slice rest;
	int rc = 1;

	*part = 0;
	while (rc > 0 && !torc_http_chunks_over(chunks)) {
		struct torc_slice body;

		rc = torc_http_read_chunks(chunks, in->data + *part,
		    in->size - *part, &body);
		*part += rc > 0 ? (size_t)rc : 0;
	}
	if (rc <= 0)
		return rc;
	rest = (struct torc_slice) { in->data + *part, in->size - *part };
	if (!torc_http_worth_reading(wait, rest, HEAD_MAX))
		return 0;
	rc = torc_http_read_trailer(&trailer, rest.data, rest.size, &limits);
	*part += rc > 0 ? (size_t)rc : 0;
	return rc > 0 ? 1 : rc;
}

/* Read the body past. 0, or an error to refuse with, or -EPIPE. */
static int
skip_body(struct torc_conn *conn, const struct torc_http_head *head,
    struct torc_slice *in)
{
	struct torc_http_chunks chunks = { .state = 0 };
	struct torc_http_wait wait = { 0, 0 };
	struct torc_pace pace;
	uint64_t total = 0;

	torc_pace_init(&pace, BODY_MS, BODY_RATE);
	for (;;) {
		const uint64_t since = torc_now();
		size_t part = in->size;
		int done, rc;

		if (head->body == TORC_HTTP_CHUNKED) {
			done = skip_chunks(&chunks, &wait, in, &part);
		} else {
			done = part >= head->length - total;
			part = done ? (size_t)(head->length - total) : part;
		}
		if (done < 0)
			return done;
		total += part;
		if (total > BODY_MAX)
			return -EFBIG;
		torc_conn_consume(conn, part);
		in->data += part;
		in->size -= part;
		if (done)
			return 0;
		part = in->size;
		rc = torc_conn_recv(conn, in,
		    torc_pace_until(&pace, TORC_NEVER));
		if (rc <= 0)
			return rc == -ETIMEDOUT ? rc : -EPIPE;
		torc_pace_note(&pace, since, (size_t)rc - part);
	}
}

/* Say yes: what stands before the Date, and behind it. */
static int
put_ok(struct torc_conn *conn, const struct torc_http_head *head, bool close)
{
	static const char before[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n";
	static const char next[] = "\r\nok";
	static const char last[] = "Connection: close\r\n\r\nok";
	static const char kept[] = "Connection: keep-alive\r\n\r\nok";
	const char *behind = close ? last :
	    head->version == TORC_HTTP_1_0 ? kept : next;
	const size_t size = strlen(behind) -
	    (head->method == TORC_HTTP_HEAD ? 2 : 0);
	char memory[128];
	struct torc_http_writer writer = {
		(uint8_t *)memory, sizeof(memory), sizeof(before) - 1, 0,
	};

	memcpy(memory, before, sizeof(before) - 1);
	torc_http_put_date(&writer);
	memcpy(memory + writer.used, behind, size);
	return put(conn, memory, writer.used + size);
}

/* Answer one request whose head is read. 0, or what the handler returns. */
static int
answer(struct torc_conn *conn, struct torc_http_head *head,
    struct torc_slice *in, bool *close)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	int rc;

	*close = true;
	if (head->body == TORC_HTTP_TUNNEL)
		return refuse(conn, -EOPNOTSUPP);
	if (head->length > BODY_MAX)
		return refuse(conn, -EFBIG);
	if (head->body != TORC_HTTP_NONE) {
		if (head->expects_continue && in->size == 0)
			put(conn, go_on, sizeof(go_on) - 1);
		torc_conn_set_unfinished(conn, true);
		rc = skip_body(conn, head, in);
		torc_conn_set_unfinished(conn, false);
		if (rc < 0)
			return rc == -EPIPE ? TORC_CLOSE : refuse(conn, rc);
	}
	*close = !head->keep_alive ||
	    torc_reactor_draining(torc_reactor_self());
	rc = put_ok(conn, head, *close);
	return rc < 0 ? rc : TORC_CLOSE;
}

/* Every complete request in view. True: the handler returns *result. */
static bool
serve_view(struct torc_conn *conn, struct torc_slice *in,
    struct torc_http_wait *wait, int *result)
{
	struct torc_http_field fields[TORC_HTTP_FIELDS];
	struct torc_http_head head = { .fields = fields };

	while (in->size > 0) {
		bool close;
		int rc;

		if (!torc_http_worth_reading(wait, *in, HEAD_MAX))
			return false;
		rc = torc_http_read_request(&head, in->data, in->size,
		    &limits);
		if (rc == 0)
			return false;
		*wait = (struct torc_http_wait) { 0, 0 };
		if (rc < 0) {
			*result = refuse(conn, rc);
			return true;
		}
		torc_conn_consume(conn, (size_t)rc);
		in->data += rc;
		in->size -= (size_t)rc;
		*result = answer(conn, &head, in, &close);
		if (close || *result < 0)
			return true;
	}
	return false;
}

static int
codec(struct torc_conn *conn, void *arg)
{
	const bool give_back = switches[0].on;
	torc_deadline head_by = TORC_NEVER;
	struct torc_http_wait wait = { 0, 0 };
	struct torc_slice in;
	int result = TORC_CLOSE;

	(void)arg;
	for (;;) {
		int rc = torc_conn_recv(conn, &in,
		    head_by.at != UINT64_MAX ? head_by :
			give_back            ? TORC_AT_ONCE :
					       torc_after_ms(IDLE_MS));

		if (rc == -ETIMEDOUT && in.size > 0)
			return torc_http_begun(in) ?
			    refuse(conn, -ETIMEDOUT) : TORC_CLOSE;
		if (rc == -ETIMEDOUT && give_back)
			return TORC_AGAIN;
		if (rc <= 0)
			return TORC_CLOSE;
		if (serve_view(conn, &in, &wait, &result))
			return result;
		/* A head that has begun has its own deadline, which its
		 * bytes do not move. */
		if (in.size == 0)
			head_by = TORC_NEVER;
		else if (head_by.at == UINT64_MAX)
			head_by = torc_after_ms(HEAD_MS);
	}
}

int
main(int argc, char **argv)
{
	struct torc_config config = { .handler = codec };

	return cli_serve(argc, argv,
	    "Answers every HTTP/1.1 request with \"ok\".", &config, switches);
}
