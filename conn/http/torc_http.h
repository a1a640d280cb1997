/* SPDX-License-Identifier: MIT */
/*
 * torc_http.h - HTTP/1.1 for torc.
 *
 * The codec. Plain functions from bytes to messages and back (RFC 9110 and
 * 9112): no input, no output, no memory of their own, any thread. They are
 * strict: what two readers could take for two different messages is refused.
 *
 * Errors. As in torc.h, negative errnos, with one meaning each:
 *
 *	-EBADMSG	the message is malformed, or its framing in doubt
 *	-EMSGSIZE	a head or a trailer is longer than `head_max`
 *	-E2BIG		it has more fields than `fields_max`
 *	-ENAMETOOLONG	the target is longer than `target_max`
 *	-EFBIG		the body is longer than `body_max`
 *	-EPROTONOSUPPORT	the version is not HTTP/1.x
 *	-EOPNOTSUPP	the transfer coding is not "chunked"
 *
 * and a `why` in words. Ownership: slices of a head view the bytes that it was
 * read from, and are readable for as long as these are.
 */
#ifndef TORC_HTTP_H
#define TORC_HTTP_H

#include "torc_client.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Heads ---- */

/* A field of a head, or of a trailer. Frozen. */
struct torc_http_field {
	struct torc_slice name;
	struct torc_slice value;	/* without white space around it */
};

/* The method of a request. Of those that torc does not know it has the name. */
enum torc_http_method {
	TORC_HTTP_OTHER,
	TORC_HTTP_GET,
	TORC_HTTP_HEAD,
	TORC_HTTP_POST,
	TORC_HTTP_PUT,
	TORC_HTTP_DELETE,
	TORC_HTTP_OPTIONS,
	TORC_HTTP_TRACE,
	TORC_HTTP_PATCH,
	TORC_HTTP_CONNECT,
};

/*
 * Versions of messages, ten times. A reader of HTTP/1 takes all above 1.0 for
 * 1.1. Other values are for what carries messages in other ways.
 */
enum { TORC_HTTP_1_0 = 10, TORC_HTTP_1_1 = 11 };

/* The body of a message: what follows its head. */
enum torc_http_body {
	TORC_HTTP_NONE,		/* the next message */
	TORC_HTTP_SIZED,	/* `length` bytes, at least one */
	TORC_HTTP_CHUNKED,	/* chunks: struct torc_http_chunks */
	TORC_HTTP_TO_END,	/* a response that lasts until the FIN */
	TORC_HTTP_TUNNEL,	/* no more HTTP: CONNECT or 101 */
};

/* Bounds of what is read. Frozen. */
struct torc_http_limits {
	uint32_t head_max;	/* bytes of a head with its empty line; at
				 * least 16 */
	uint32_t target_max;	/* bytes of a request's target */
	uint32_t fields_max;	/* room at torc_http_head.fields */
};

/* The head of a request or a response, and what it says of the body. Frozen. */
struct torc_http_head {
	struct torc_http_field *fields;	/* the caller's array */
	unsigned field_count;
	uint32_t size;		/* of the head with its empty line, and with
				 * those before it */
	enum torc_http_body body;
	uint64_t length;	/* of a body that is SIZED; what a response
				 * to HEAD, or a 304, says of its length */
	bool has_length;	/* there was a Content-Length */
	bool keep_alive;	/* the peer would go on after this message */
	bool expects_continue;	/* it waits for 100 before the body */
	bool upgrade;		/* Connection names "upgrade" */
	uint8_t version;	/* one of those below */

	/* In a request. */
	enum torc_http_method method;
	struct torc_slice method_name;
	struct torc_slice target;
	struct torc_slice host;	/* of an absolute target, or the Host field;
				 * size 0 if there is none */
	/* In a response. */
	unsigned status;	/* 100 to 599 */
	struct torc_slice reason;

	const char *why;	/* after an error: what is wrong, in words */
	struct torc_slice reserved[2];
};

/*
 * Read the head of a request that begins at `data`, of which `size` bytes are
 * there. Set head->fields before; all else is filled in. Returns the size of
 * the head; 0 if it is not complete; or a negative errno. What was read in vain
 * may be read again when there is more of it: no cut of the bytes changes the
 * result. Up to four empty lines before a request are ignored (RFC 9112, 2.2),
 * if they end as lines do, with CR LF.
 */
TORC_API int torc_http_read_request(struct torc_http_head *head,
    const uint8_t *data, size_t size, const struct torc_http_limits *limits);

/* A head, or a trailer, that was not all there. All zero before it. Frozen. */
struct torc_http_wait {
	size_t tried;		/* bytes that were not enough */
	size_t looked;		/* bytes in which there is no end */
};

/*
 * Returns whether it is worth reading a head with what is there by now: it
 * seems to have ended, or has doubled. One that comes byte by byte, or line by
 * line, would be read as often as it has bytes or lines otherwise.
 */
TORC_API bool torc_http_worth_reading(struct torc_http_wait *wait,
    struct torc_slice in, size_t head_max);

/*
 * Returns whether a request has begun with what is there, or there is nothing
 * but empty lines before one. A server that waits in vain for the rest of a
 * request answers with 408; otherwise it says nothing.
 */
TORC_API bool torc_http_begun(struct torc_slice in);

/*
 * Read the head of a response, as torc_http_read_request(). `method` is that of
 * the request which it answers: what follows the head depends on it. 1xx heads
 * are responses, too.
 */
TORC_API int torc_http_read_response(struct torc_http_head *head,
    const uint8_t *data, size_t size, const struct torc_http_limits *limits,
    enum torc_http_method method);

/*
 * Read the trailer of a chunked body, with its empty line: into `fields` and
 * `field_count`, nothing else of `*trailer` but `why` is touched. Fields in it
 * that frame messages mean nothing. A trailer is not a part of the head (RFC
 * 9110, 6.5.1): give it a structure and an array of its own.
 */
TORC_API int torc_http_read_trailer(struct torc_http_head *trailer,
    const uint8_t *data, size_t size, const struct torc_http_limits *limits);

/*
 * Rebase a head whose bytes were copied from `from` to `to`: let its slices,
 * which view the old ones, view the new ones.
 */
TORC_API void torc_http_rebase(struct torc_http_head *head,
    const uint8_t *from, const uint8_t *to);

/*
 * Returns the value of the first field of this name (any case, ended by NUL),
 * or NULL, also if the head or the name is NULL.
 */
TORC_API const struct torc_slice *torc_http_find(
    const struct torc_http_head *head, const char *name);

/* Returns what a method is. Upper and lower case differ. */
TORC_API enum torc_http_method torc_http_method_of(struct torc_slice name);

/* Returns whether a slice is `text`, in any case. */
TORC_API bool torc_http_equals(struct torc_slice slice, const char *text);

/*
 * Returns whether a value that is a list, as those of Connection, has this
 * token (any case).
 */
TORC_API bool torc_http_lists(struct torc_slice value, struct torc_slice token);

/*
 * Returns the status with which a server answers an error: 400, 408
 * (-ETIMEDOUT), 413, 414, 431, 501, 503 (-ESHUTDOWN, -ECANCELED) or 505; 500
 * for what is none of a request's.
 */
TORC_API unsigned torc_http_status_of(int error);

/* Returns the usual words for a status: "OK"; "Unknown" if it is unknown. */
TORC_API const char *torc_http_reason(unsigned status);

/* ---- Chunked bodies ---- */

/* Where the reader of a chunked body is. All zero before it. Frozen. */
struct torc_http_chunks {
	uint64_t left;		/* of this chunk's data */
	uint32_t line;		/* bytes of the line that is read */
	uint32_t excess;	/* bytes of lines that carried little data */
	uint32_t state;
	const char *why;	/* after an error */
};

/*
 * Read on in a chunked body. Sets `*body` to the part of the bytes that is
 * body, in one piece. Takes all bytes, unless a piece of the body or the last
 * chunk ends before. Returns how many of the `size` bytes are done with, or
 * -EBADMSG.
 */
TORC_API int torc_http_read_chunks(struct torc_http_chunks *chunks,
    const uint8_t *data, size_t size, struct torc_slice *body);

/*
 * Returns whether the last chunk was read: torc_http_read_trailer() has what
 * comes next.
 */
TORC_API bool torc_http_chunks_over(const struct torc_http_chunks *chunks);

/* ---- Writing ---- */

/*
 * A writer of heads, into memory of the caller's. The first error stays, and
 * what is written after it does nothing: -EINVAL for what would not be read
 * as it was meant (CR, LF, NUL, other control characters, a name that is no
 * token), -ENOSPC when the memory is full. Frozen.
 */
struct torc_http_writer {
	uint8_t *data;		/* the memory */
	size_t size;		/* of the memory */
	size_t used;		/* bytes written */
	int error;		/* the first error, or 0 */
};

/*
 * Write a head, line by line: that of a request or a status first, then fields,
 * and at last the empty line.
 */
/* A target that begins with its query has an empty path: "/" (RFC 9112, 3.2.1).
 */
TORC_API void torc_http_put_request(struct torc_http_writer *writer,
    struct torc_slice method, struct torc_slice target);
/* `reason` may be NULL: the usual one. */
TORC_API void torc_http_put_status(struct torc_http_writer *writer,
    unsigned status, const char *reason);
/* A field. */
TORC_API void torc_http_put_field(struct torc_http_writer *writer,
    struct torc_slice name, struct torc_slice value);
/* A field whose name and value are constants. */
TORC_API void torc_http_put(struct torc_http_writer *writer,
    const char *name, const char *value);
/* Content-Length. */
TORC_API void torc_http_put_length(struct torc_http_writer *writer,
    uint64_t length);
/* Date: the time of the message, to a second (RFC 9110, 6.6.1). */
TORC_API void torc_http_put_date(struct torc_http_writer *writer);
/* The empty line. Returns the bytes written in all, or the error. */
TORC_API int torc_http_put_end(struct torc_http_writer *writer);

/*
 * Write the line before `size` bytes of a chunk into `line`. Returns how many
 * bytes it has. Behind the data goes CR LF. Size 0: the last chunk, before the
 * trailer.
 */
#define TORC_HTTP_CHUNK_LINE 18
TORC_API size_t torc_http_chunk_line(char line[TORC_HTTP_CHUNK_LINE],
    uint64_t size);

/*
 * Write a time in the form that HTTP has for it, ended by NUL: seconds since
 * 1970, within the years 1970 to 9999.
 */
#define TORC_HTTP_DATE 30
TORC_API void torc_http_date(char text[TORC_HTTP_DATE], int64_t seconds);

/* Returns a slice of a string, and an empty one of NULL. */
TORC_API struct torc_slice torc_http_text(const char *text);

/* What is there of a message's body. All of it is torc's. Frozen. */
struct torc_http_input {
	struct torc_conn *conn;
	struct torc_slice view;	/* not consumed */
	size_t used;		/* of it, to be consumed */
	uint64_t left;		/* of a body that is SIZED */
	uint64_t received;	/* so far */
	struct torc_http_chunks chunks;
	struct torc_http_wait wait;	/* for the rest of a trailer */
	unsigned state;
};

#define TORC_HTTP_FIELDS 128	/* that need no memory of their own */

/* ---- Servers ---- */

struct torc_http;
struct torc_http_config;
struct torc_http_refusal;

/*
 * The calls behind those that take or fill in a structure that grows: see
 * torc_runtime.h.
 */
TORC_API int torc_http_init_sized(struct torc_http *http,
    struct torc_conn *conn, const struct torc_http_config *config,
    size_t config_size);
TORC_API int torc_http_refuse_sized(struct torc_http *http,
    const struct torc_http_refusal *refusal, size_t refusal_size,
    torc_deadline deadline);

/*
 * An answer that torc makes by itself, because a request cannot be read, done
 * or answered: what a hook of the configuration sees, and may change. It grows.
 */
struct torc_http_refusal {
	unsigned status;	/* 0: end the connection without an answer */
	int error;		/* a negative errno, or 0 */
	const char *why;	/* what is wrong, in words, or NULL */
	const struct torc_http_field *fields;
	unsigned field_count;
	const void *body;
	size_t size;
};

/*
 * The bounds and times of a server of HTTP. 0 has the default; times are in
 * milliseconds, and TORC_NO_LIMIT is none, also of a rate: see struct
 * torc_pace. It grows.
 */
struct torc_http_config {
	unsigned head_max;	/* bytes of a request's head, and of a
				 * trailer; 32768; 16 or more: 431 */
	unsigned fields_max;	/* in a head, and in a trailer; 128; at most
				 * 65536: 431 */
	unsigned target_max;	/* bytes of a target; 8192: 414 */
	uint64_t body_max;	/* bytes of a body; 64 MiB: 413 */
	uint64_t skip_max;	/* bytes of a body that its handler did not
				 * read, and that are read past to keep the
				 * connection; 256 KiB */
	unsigned requests_max;	/* on a connection; any number by default */
	unsigned idle_ms;	/* between requests; 60000 */
	unsigned head_ms;	/* for a head that has begun; 10000: 408, or
				 * nothing after empty lines alone */
	unsigned body_ms;	/* for a peer that sends nothing of its body;
				 * 30000: 408 */
	unsigned body_rate;	/* bytes a second of a body, below which that
				 * patience wears out; 240 */
	unsigned write_ms;	/* for a peer that takes nothing of what is
				 * written; 30000 */
	unsigned write_rate;	/* as body_rate, for what is written; 64 KiB
				 * in write_ms */
	bool no_date;		/* do not add a Date to answers without one */
	/*
	 * Called on the handler's fiber before each answer that torc makes by
	 * itself; NULL: they go out as they are. It may park, but does not use
	 * the connection. Fields and body are the hook's, and stay until the
	 * handler goes on. Of `request` only what was read before the error is
	 * set. If what the hook made of the answer cannot be written, the
	 * answer is sent as it was.
	 */
	void (*refusal)(const struct torc_http_head *request,
	    struct torc_http_refusal *refusal, void *arg);
	void *arg;		/* for it */
};

/*
 * The server's side of an HTTP connection: on the stack of its handler, which
 * does not use the connection in any other way meanwhile.
 *
 * What a peer does wrong is answered here (400, 408, 413, 414, 431, 501, 505),
 * and the connection ends after it: the handler returns torc_http_result().
 * All calls have the deadlines of the configuration; `deadline` is one more.
 * The structure is frozen.
 */
struct torc_http {
	struct torc_http_head request;	/* to be read */
	struct torc_http_head trailer;	/* of its body: only fields */

	/* torc's. */
	struct torc_conn *conn;
	struct torc_http_config config;
	struct torc_http_input input;
	struct torc_pace pace;	/* of the request's body */
	uint64_t promised;	/* of the answer's body, to come */
	uint64_t answered;	/* bytes of the answer's body, so far */
	unsigned status;	/* of the answer; 0: it was not begun */
	uint64_t turn;		/* the time of a turn of the loop */
	unsigned in_turn;	/* requests that were read in it */
	unsigned requests;
	unsigned room;		/* fields at request.fields */
	const uint8_t *head;	/* the bytes that `request` views */
	bool lent;		/* ... are in the connection's view */
	bool large;		/* something is in memory of its own */
	uint8_t output;
	bool last;		/* of the requests on this connection */
	bool continued;		/* 100 was sent, or is not wanted */
	bool chunked;		/* the answer */
	bool silent;		/* the answer has no body */
	bool upgrade;		/* the request asks for one */
	bool withheld;		/* 100 is the handler's to send */
	uint64_t reserved[16];	/* for configurations that grow, too */
	struct torc_http_field fields[TORC_HTTP_FIELDS];
};

/*
 * Begin to serve a connection. `config` is copied; NULL: all defaults. Returns
 * 0, or -EINVAL: a field of it is out of its bounds; then torc_http_recv()
 * returns 0, as if there were no request.
 */
static inline int
torc_http_init(struct torc_http *http, struct torc_conn *conn,
    const struct torc_http_config *config)
{
	return torc_http_init_sized(http, conn, config, sizeof(*config));
}

/*
 * Parks. Receive the next request: its head in http->request. What the last one
 * still has of its body is read past; if it was not answered, it is now, with
 * 500. Answers of pipelined requests are staged and go out together, at the
 * latest when this has to wait.
 *
 * Returns 1, or 0: there will be no other (the peer is done, idle for too long,
 * or was told so), or a negative errno. After 0 or an error the handler returns
 * torc_http_result().
 *
 * The head is readable until the next call of this, or of torc_conn_recv(),
 * which shows what came behind the head. A handler that waits for something
 * else than this connection holds one of the reactor's `buffers` with it: see
 * torc_http_keep().
 */
TORC_API int torc_http_recv(struct torc_http *http, torc_deadline deadline);

/*
 * Copy the request's head to memory of the handler's, which it views from then
 * on. Returns 0, or: -ENOSPC `request.size` is more than `size`; -EINVAL there
 * is no head.
 */
TORC_API int torc_http_keep(struct torc_http *http, void *memory,
    size_t size);

/*
 * Parks. Read more of the body of the request, in one piece, which is readable
 * until the next call. 100 Continue is sent if the peer waits for that. Returns
 * the size of the piece; 0 at the end, and then http->trailer has the fields
 * behind the body, readable as long as the last piece; or an error. A body that
 * is under way when the reactor drains is read to its end, while the drain
 * lasts.
 */
TORC_API int torc_http_read(struct torc_http *http, struct torc_slice *body,
    torc_deadline deadline);

/*
 * Leave 100 Continue to the handler, if this request expects it:
 * torc_http_read() does not send 100 Continue, and torc_http_inform() does, or
 * an answer comes instead. A forwarder does so, since 100 is its origin's to
 * say.
 */
TORC_API void torc_http_withhold_continue(struct torc_http *http);

/*
 * Parks, but only if the answer is large, or the last ones are not taken. Send
 * an answer before the answer: 100 to 199 but 101, such as 103 Early Hints. As
 * often as you like; nothing is sent to an HTTP/1.0 client. Returns 0 or an
 * error, as torc_http_reply(); -EINVAL after the answer was begun.
 */
TORC_API int torc_http_inform(struct torc_http *http, unsigned status,
    const struct torc_http_field *fields, unsigned field_count,
    torc_deadline deadline);

/*
 * Parks, but only if the answer is large, or the last ones are not taken.
 * Answer the request. Content-Length, Transfer-Encoding and Connection are
 * not among the fields. Answers to HEAD, 204 and 304 are sent without their
 * body, which may be NULL then. Returns 0 or an error: -EINVAL for fields that
 * cannot be written (then nothing was), -ENOSPC if they are more than 64 KiB.
 */
TORC_API int torc_http_reply(struct torc_http *http, unsigned status,
    const struct torc_http_field *fields, unsigned field_count,
    const void *body, size_t size, torc_deadline deadline);

/*
 * Parks, but only if the answer is large, or the last ones are not taken.
 * Answer with an error as torc does by itself: with what config.refusal makes
 * of `refusal`. `error` and `why` are for that hook alone. Returns as
 * torc_http_reply().
 */
static inline int
torc_http_refuse(struct torc_http *http,
    const struct torc_http_refusal *refusal, torc_deadline deadline)
{
	return torc_http_refuse_sized(http, refusal, sizeof(*refusal),
	    deadline);
}

/*
 * Parks, but only if the answer is large, or the last ones are not taken. Take
 * the connection over: answer with 101, and speak the protocol that `fields`
 * names in Upgrade. torc writes "Connection: upgrade". From then on the handler
 * uses the torc_conn itself, and torc_conn_recv() shows first what came behind
 * the request. torc_http_recv() returns 0.
 *
 * Returns 0 or an error: -EINVAL if the client did not ask for an upgrade, the
 * body of the request was not read to its end, the answer was begun, or the
 * fields cannot be written or name no protocol (then nothing was written, and
 * the request can still be answered); what torc_conn_write() says.
 */
TORC_API int torc_http_take_over(struct torc_http *http,
    const struct torc_http_field *fields, unsigned field_count,
    torc_deadline deadline);

/*
 * Parks, but only if the answer is large, or the last ones are not taken.
 * Answer in pieces: begin, write as often as you like, end. `length` is that of
 * the body, or TORC_HTTP_UNKNOWN: it goes out in chunks, or to the end of the
 * connection for an HTTP/1.0 client. -EINVAL if more was written than promised,
 * or less at the end; the connection is reset then. Also -EINVAL, and nothing
 * happens, without an answer that was begun and not ended, such as for a second
 * end, or one after a begin that has failed.
 */
#define TORC_HTTP_UNKNOWN UINT64_MAX

TORC_API int torc_http_begin(struct torc_http *http, unsigned status,
    const struct torc_http_field *fields, unsigned field_count,
    uint64_t length, torc_deadline deadline);
TORC_API int torc_http_write(struct torc_http *http, const void *data,
    size_t size, torc_deadline deadline) TORC_CHECKED;
TORC_API int torc_http_end(struct torc_http *http, torc_deadline deadline);

/*
 * Count bytes that the handler has sent: `size` bytes of the body, which does
 * not go out in chunks, were sent on the connection by the handler itself, such
 * as with torc_file_send(): -EINVAL if they are more than was promised.
 */
TORC_API int torc_http_sent(struct torc_http *http, uint64_t size);

/*
 * Parks. Wait until what was written is in the kernel's hands. Before a wait
 * for something else than this connection, in the middle of an answer.
 */
TORC_API int torc_http_flush(struct torc_http *http, torc_deadline deadline);

/*
 * Returns what the handler is to return: TORC_CLOSE, or a reset if an answer
 * was begun and not ended, which must not look as if it were whole.
 */
TORC_API int torc_http_result(const struct torc_http *http);

/* ---- Clients ---- */

/*
 * A client has a pool of connections to one origin, on one reactor: see
 * torc_client.h. torc_reactor_set_data() is the place for it.
 *
 * -ECONNREFUSED and the like say that the origin cannot be reached: at once,
 * while the pool waits before it tries again. All other errors are those of one
 * request, and do not concern others. -ETIMEDOUT: too slow. -ECONNRESET: the
 * origin ended the connection in the middle. The errors of the codec: its
 * answer cannot be used.
 */
struct torc_http_client;

struct torc_http_call;
struct torc_http_client_config;
struct torc_http_forwarding;
struct torc_http_request;

/*
 * The calls behind those that take or fill in a structure that grows: see
 * torc_runtime.h.
 */
TORC_API int torc_http_client_create_sized(struct torc_http_client **client,
    const struct torc_http_client_config *config, size_t config_size,
    struct torc_error *error);
TORC_API void torc_http_client_stats_read_sized(
    const struct torc_http_client *client, struct torc_pool_stats *stats,
    size_t stats_size);
TORC_API int torc_http_client_call_sized(struct torc_http_client *client,
    struct torc_http_call *call, const struct torc_http_request *request,
    size_t request_size, torc_deadline deadline);
TORC_API int torc_http_call_begin_sized(struct torc_http_client *client,
    struct torc_http_call *call, const struct torc_http_request *request,
    size_t request_size, uint64_t length, torc_deadline deadline);
TORC_API int torc_http_forward_sized(struct torc_http *http,
    struct torc_http_client *origin, const struct torc_http_forwarding *how,
    size_t how_size, torc_deadline deadline);

/*
 * What a client asks, and its bounds. 0 has the default; times are in
 * milliseconds, and TORC_NO_LIMIT is none. It grows.
 *
 * The bytes of bodies that are kept for slow clients are memory of the
 * reactor's: `memory_max` for all requests of a client of HTTP together, and
 * 16 KiB more for each. A body may have an eighth of what is free, so that the
 * share shrinks as there are more of them.
 */
struct torc_http_client_config {
	const char *address;	/* as torc_dial_name() reads it; copied */
	const char *host;	/* the Host field; copied; NULL: the address,
				 * or localhost for a unix socket */

	/* Of its pool: see struct torc_pool_config. */
	unsigned connections;	/* 8; 1 to 4096 */
	unsigned waiters;	/* 1024; 1 to 1048576 */
	unsigned idle_ms;	/* 60000 */
	unsigned open_ms;	/* 5000 */
	unsigned retry_min_ms;	/* 50; 1 to 60000 */
	unsigned retry_max_ms;	/* 500, or retry_min_ms if that is more; 1 to
				 * 60000 */
	unsigned lifetime_ms;	/* 0 or TORC_NO_LIMIT: no such limit */
	unsigned aside_max;	/* 4 times `connections`; to 65536 */

	/* Of a request and its answer. */
	unsigned head_max;	/* bytes of a response's head, and of a
				 * trailer; 32768; 16 or more */
	unsigned fields_max;	/* in a head, and in a trailer; 128; at most
				 * 65536 */
	uint64_t body_max;	/* bytes of a response's body; 64 MiB */
	unsigned answer_ms;	/* for a head, once the request is sent;
				 * 30000 */
	unsigned body_ms;	/* for an origin that sends nothing of its
				 * body; 30000 */
	unsigned body_rate;	/* bytes a second of a body, below which that
				 * patience wears out; 1 */
	unsigned write_ms;	/* for an origin that takes nothing of what is
				 * written; 30000 */
	unsigned write_rate;	/* as body_rate, for what is written; 64 KiB
				 * in write_ms */

	/* Of what torc_http_forward() does with the origin. */
	bool stream;		/* keep nothing: bodies go through as they
				 * come */
	unsigned keep_max;	/* bytes of a body, each way, that are kept
				 * for a client that is slower than the
				 * origin; 1 MiB */
	uint64_t memory_max;	/* bytes of bodies that are kept, of all
				 * requests; 64 MiB */
	unsigned gather_ms;	/* a request whose body is not whole yet waits
				 * so long before it is begun; 1000 */
	unsigned queue_ms;	/* for a connection to the origin, and then
				 * 503; 30000 */
	unsigned half_close_ms;	/* a client that has sent FIN is answered if
				 * the origin is silent for less; 1000 */
	unsigned tunnel_ms;	/* without a byte after 101, or for a side that
				 * takes none; 300000 */
	unsigned stall_ms;	/* a client that takes or sends nothing for so
				 * long may lose its connection to the origin
				 * to others that wait, when `aside_max`
				 * are set aside; 1000 */
};

/*
 * Create a client for the reactor of this thread; it connects when it is
 * asked. Returns 0, or: -EINVAL, and `error` says what is wrong;
 * -ENOMEM; what torc_pool_create() says.
 */
static inline int
torc_http_client_create(struct torc_http_client **client,
    const struct torc_http_client_config *config, struct torc_error *error)
{
	return torc_http_client_create_sized(client, config, sizeof(*config),
	    error);
}

/*
 * Parks. Destroy a client, as torc_pool_destroy(); nothing is being asked. NULL
 * does nothing.
 */
TORC_API int torc_http_client_destroy(struct torc_http_client *client,
    torc_deadline deadline);

/*
 * Close a client: requests from now on fail with -ESHUTDOWN at once. What is
 * being asked goes on.
 */
TORC_API void torc_http_client_shutdown(struct torc_http_client *client);

/* Read the statistics of a client's pool. */
static inline void
torc_http_client_stats_read(const struct torc_http_client *client,
    struct torc_pool_stats *stats)
{
	torc_http_client_stats_read_sized(client, stats, sizeof(*stats));
}

/*
 * What to ask for. Content-Length, Transfer-Encoding and Connection are not
 * among the fields; Host may be. It grows.
 */
struct torc_http_request {
	struct torc_slice method;	/* size 0: GET */
	struct torc_slice target;
	const struct torc_http_field *fields;
	unsigned field_count;
	const void *body;	/* may be NULL if `size` is 0 */
	size_t size;
	bool upgrade;		/* Upgrade is among the fields: torc writes
				 * "Connection: upgrade", and the answer may be
				 * 101; then see torc_http_call_conn() */
	uint64_t key;		/* for whom it is asked, such as a hash of an
				 * address: keys share the pool fairly, see
				 * torc_pool_acquire_for(); 0: no one */
};

/*
 * A call is one request and its answer, on the stack of the fiber that asks.
 * Frozen.
 */
struct torc_http_call {
	struct torc_http_head response;	/* to be read */
	struct torc_http_head trailer;	/* of its body: only fields */

	/* torc's. */
	struct torc_http_client *client;
	struct torc_http_link *link;
	struct torc_http_input input;
	struct torc_pace pace;	/* of the answer's body */
	uint64_t promised;	/* of the request's body, to come */
	unsigned room;		/* fields at response.fields */
	uint64_t sent_at;	/* no more of it goes out since then; or 0 */
	enum torc_http_method method;
	unsigned interims;	/* heads of 1xx */
	bool interim;		/* one is in view */
	bool chunked;		/* the request */
	bool upgrade;		/* was asked for */
	bool reused;		/* the connection was used before */
	bool sent;		/* all of the request */
	bool answered;		/* the head was read */
	bool lent;		/* ... and is in the connection's view */
	uint64_t reserved[16];
	struct torc_http_field fields[TORC_HTTP_FIELDS];
};

/*
 * Parks. Send a request, and read the head of its answer into call->response.
 * 1xx are passed over. If a connection that was used before turns out to be
 * closed, and nothing was answered on it, a request that may be repeated (GET,
 * HEAD, OPTIONS, TRACE, PUT, DELETE) is, once, on a new one.
 *
 * Returns 0: the answer's body is to be read, and torc_http_call_end() to be
 * called, on any later error, too. Or a negative errno, and there is nothing to
 * be done: as above; -EINVAL: the request cannot be written, and not a byte of
 * it was; what torc_pool_acquire() says. call->response.why may say more.
 */
static inline int
torc_http_client_call(struct torc_http_client *client,
    struct torc_http_call *call, const struct torc_http_request *request,
    torc_deadline deadline)
{
	return torc_http_client_call_sized(client, call, request,
	    sizeof(*request), deadline);
}

/*
 * Parks. Send a request in pieces: begin, with the length of a body that comes,
 * or TORC_HTTP_UNKNOWN for chunks (`body` and `size` of the request are not
 * used); write as often as you like, finish; wait for the answer. An answer may
 * come before all is written: another fiber may wait for it meanwhile. After
 * begin has succeeded, end is to be called. -EINVAL if more is written than was
 * promised, or less at the end.
 */
static inline int
torc_http_call_begin(struct torc_http_client *client,
    struct torc_http_call *call, const struct torc_http_request *request,
    uint64_t length, torc_deadline deadline)
{
	return torc_http_call_begin_sized(client, call, request,
	    sizeof(*request), length, deadline);
}
TORC_API int torc_http_call_write(struct torc_http_call *call,
    const void *data, size_t size, torc_deadline deadline) TORC_CHECKED;
TORC_API int torc_http_call_finish(struct torc_http_call *call,
    torc_deadline deadline);
/* What was written goes out at the latest with one of these two. */
TORC_API int torc_http_call_flush(struct torc_http_call *call,
    torc_deadline deadline);
TORC_API int torc_http_call_answer(struct torc_http_call *call,
    torc_deadline deadline);

/*
 * Parks. Read more of the answer's body, in one piece, which is readable until
 * the next call. Returns its size; 0 at the end, and then call->trailer has the
 * fields behind the body, readable as long as the last piece; or an error: an
 * answer that is cut off, or over `body_max`, never ends with 0.
 */
TORC_API int torc_http_call_read(struct torc_http_call *call,
    struct torc_slice *body, torc_deadline deadline);

/*
 * Returns the connection after an answer of 101: it speaks another protocol
 * from now on. torc_conn_recv() shows first what came behind the answer, whose
 * slices are gone then. It is the caller's until torc_http_call_end(), which
 * closes it: with a reset, if it was not done with.
 */
TORC_API struct torc_conn *torc_http_call_conn(struct torc_http_call *call);

/* Returns whether the body was read to its end: a read would not wait. */
TORC_API bool torc_http_call_over(const struct torc_http_call *call);

/*
 * End a call. The connection goes back to its pool if the request was sent and
 * the answer read to the end, and nothing else came; or else it is closed.
 * Slices of the response are gone. Does nothing for NULL, and for a call that
 * has failed or was ended before; other functions stop the process with such a
 * call.
 */
TORC_API void torc_http_call_end(struct torc_http_call *call);

/* ---- Proxies ---- */

#define TORC_HTTP_ADDED 8	/* fields, at most */
#define TORC_HTTP_VIA 60	/* bytes of the name in Via, at most */

/* How requests are forwarded. It is not changed. It grows. */
struct torc_http_forwarding {
	const char *via;	/* our name in Via: a token, such as "torc" */
	const struct torc_http_field *added;	/* to the request, such as
				 * X-Forwarded-For, behind what it has of
				 * these */
	unsigned added_count;	/* at most TORC_HTTP_ADDED */
	bool forwarded_for;	/* add X-Forwarded-For, too, with the address
				 * of the peer: one of TORC_HTTP_ADDED */
	uint64_t key;		/* for whom: see torc_pool_acquire_for(), and
				 * torc_conn_key() */
};

/*
 * Parks. Pass the request on to an origin, and its answer back. The origin's
 * client is of this reactor; its configuration and the server's have the
 * bounds and times, and the client's what is special to forwarding.
 *
 * Fields that are meant for one hop stay behind (RFC 9110, 7.6.1). Host does
 * not; Via goes both ways, with the version of the message. Answers of 1xx go
 * on, and so does "Expect: 100-continue": the origin answers it. OPTIONS and
 * TRACE whose Max-Forwards is 0 are answered here. A request for another
 * protocol (Upgrade, but not to HTTP/2) goes on; after 101, bytes go both ways
 * until both sides have sent FIN, nothing moves for `tunnel_ms`, a side takes
 * nothing for so long of what is for it, or a drain ends what the client sends.
 * Trailers do not go on.
 *
 * A body of a request that is not whole is kept for `gather_ms`, and an answer
 * is kept if the client does not take it at once. Both are bounded: beyond that
 * bodies go no faster than the other side takes them, and the connection to
 * the origin is set aside in its pool. An answer may come before all of the
 * request did.
 *
 * When the client has gone, the origin is let go, whatever is awaited.
 *
 * Returns -EINVAL, and nothing has happened, if a part of the request's body
 * was read before. Else 0, or what went wrong on either side. The client was
 * told of it if nothing had been answered: 503, there is no connection to the
 * origin; 504, it is too slow; 502, its answer cannot be used. -ECONNRESET: the
 * client has gone, or the origin has ended its answer. The result is for those
 * that keep a log; whether there is another request, torc_http_recv() knows.
 * The head of the request is readable after it only if torc_http_keep() was
 * called before.
 */
static inline int
torc_http_forward(struct torc_http *http, struct torc_http_client *origin,
    const struct torc_http_forwarding *how, torc_deadline deadline)
{
	return torc_http_forward_sized(http, origin, how, sizeof(*how),
	    deadline);
}

#ifdef __cplusplus
}
#endif

#pragma GCC diagnostic pop

#endif
