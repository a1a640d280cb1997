/*
 * hello.c - HTTP/1.1: answers every well-formed request with "ok". With
 * keep-alive, pipelining, bodies of both kinds, limits and timeouts.
 */
#include <torc.h>

#include <errno.h>
#include <string.h>

#include "cli.h"
#include "request.h"

#define HEAD_MAX 32768u		/* bytes of a request head: 431 */
#define BODY_MAX 67108864u	/* bytes of a request body: 413 */
#define HEAD_MS 10000u		/* for a whole head, once it has begun: 408 */
#define IDLE_MS 60000u		/* between requests */
#define BODY_MS 60000u		/* for a whole body */
#define WRITE_MS 30000u		/* for the peer to take an answer */

static struct cli_switch switches[] = {
	{ 'g', "give the stack back between requests", false },
	{ '\0', NULL, false },
};

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"

static int
put(struct torc_conn *conn, const char *text, size_t size)
{
	return torc_conn_write(conn, text, size, torc_after_ms(WRITE_MS));
}

static const char *
status_line(int status)
{
	switch (status) {
	case 408:
		return "HTTP/1.1 408 Request Timeout\r\n";
	case 413:
		return "HTTP/1.1 413 Content Too Large\r\n";
	case 431:
		return "HTTP/1.1 431 Request Header Fields Too Large\r\n";
	case 501:
		return "HTTP/1.1 501 Not Implemented\r\n";
	case 505:
		return "HTTP/1.1 505 HTTP Version Not Supported\r\n";
	default:
		return "HTTP/1.1 400 Bad Request\r\n";
	}
}

/* Say no; the connection closes after it. */
static int
refuse(struct torc_conn *conn, int status)
{
	static const char rest[] =
	    "Content-Length: 0\r\nConnection: close\r\n\r\n";
	const char *line = status_line(status);

	put(conn, line, strlen(line));
	put(conn, rest, sizeof(rest) - 1);
	return TORC_CLOSE;
}

/* Read the body past. 0, or the status to refuse with, or -1. */
static int
skip_body(struct torc_conn *conn, const struct request *request,
    struct torc_slice *in)
{
	const uint64_t deadline = torc_after_ms(BODY_MS);
	struct chunks chunks = { .state = 0 };
	uint64_t left = request->body_size;
	uint64_t total = 0;
	bool done = !request->chunked && left == 0;

	while (!done) {
		size_t part = in->size;

		if (request->chunked) {
			int rc = chunks_skip(&chunks, in->data, in->size,
			    &done);

			if (rc < 0)
				return -rc;
			part = (size_t)rc;
		} else if (part >= left) {
			part = (size_t)left;
			done = true;
		}
		left -= request->chunked ? 0 : part;
		total += part;
		if (total > BODY_MAX)
			return 413;
		torc_conn_consume(conn, part);
		in->data += part;
		in->size -= part;
		if (!done && torc_conn_recv(conn, in, deadline) <= 0)
			return -1;
	}
	return 0;
}

/* Answer one request whose head is read. 0, or what the handler returns. */
static int
answer(struct torc_conn *conn, const struct request *request,
    struct torc_slice *in, bool *close)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	static const char last[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	    "Connection: close\r\n\r\nok";
	static const char kept[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	    "Connection: keep-alive\r\n\r\nok";
	int rc;

	*close = true;
	if (request->body_size > BODY_MAX)
		return refuse(conn, 413);
	if (request->chunked || request->body_size > 0) {
		if (request->expect && in->size == 0)
			put(conn, go_on, sizeof(go_on) - 1);
		rc = skip_body(conn, request, in);
		if (rc > 0)
			return refuse(conn, rc);
		if (rc < 0)
			return TORC_CLOSE;
	}
	*close = !request->keep_alive;
	if (*close)
		rc = put(conn, last, sizeof(last) - (request->head ? 3 : 1));
	else if (request->old)
		rc = put(conn, kept, sizeof(kept) - (request->head ? 3 : 1));
	else
		rc = put(conn, ANSWER "ok", sizeof(ANSWER "ok") -
		    (request->head ? 3 : 1));
	return rc < 0 ? rc : TORC_CLOSE;
}

/* Every complete request in view. True: the handler returns *result. */
static bool
serve_view(struct torc_conn *conn, struct torc_slice *in, int *result)
{
	while (in->size > 0) {
		struct request request;
		bool close;
		int rc = request_parse(in->data, in->size, &request);

		if (rc == 0 && in->size < HEAD_MAX)
			return false;
		if (rc <= 0 || (unsigned)rc > HEAD_MAX) {
			*result = refuse(conn, rc < 0 ? -rc : 431);
			return true;
		}
		torc_conn_consume(conn, (size_t)rc);
		in->data += rc;
		in->size -= (size_t)rc;
		*result = answer(conn, &request, in, &close);
		if (close || *result < 0)
			return true;
	}
	return false;
}

static int
hello(struct torc_conn *conn, void *arg)
{
	const bool give_back = switches[0].on;
	uint64_t head_by = TORC_NEVER;
	struct torc_slice in;
	int result = TORC_CLOSE;

	(void)arg;
	for (;;) {
		int rc = torc_conn_recv(conn, &in, head_by != TORC_NEVER ?
		    head_by : give_back ? 0 : torc_after_ms(IDLE_MS));

		if (rc == -ETIMEDOUT && in.size > 0)
			return refuse(conn, 408);
		if (rc == -ETIMEDOUT && give_back)
			return TORC_AGAIN;
		if (rc <= 0)
			return TORC_CLOSE;
		if (serve_view(conn, &in, &result))
			return result;
		/* A head that has begun has its own deadline, which its
		 * bytes do not move. */
		if (in.size == 0)
			head_by = TORC_NEVER;
		else if (head_by == TORC_NEVER)
			head_by = torc_after_ms(HEAD_MS);
	}
}

int
main(int argc, char **argv)
{
	struct torc_config config = { .handler = hello };

	return cli_serve(argc, argv,
	    "Answers every HTTP/1.1 request with \"ok\".", &config, switches);
}
