/* SPDX-License-Identifier: MIT */
/*
 * torc_http.h - HTTP/1.1 for torc: a codec, servers, clients and forwarding.
 *
 * The codec. Plain functions convert between bytes and messages (RFC 9110 and
 * 9112). They do no input or output, allocate nothing, and can be called on any
 * thread. They are strict: a message that two readers could understand
 * differently is refused.
 *
 * Errors. Functions return negative errnos as in torc.h. These have one meaning
 * each:
 *
 *	-EBADMSG	the message is malformed, or its framing is ambiguous
 *	-EMSGSIZE	a head or a trailer is longer than `head_max`
 *	-E2BIG		a head or a trailer has more fields than `fields_max`
 *	-ENAMETOOLONG	the target is longer than `target_max`
 *	-EFBIG		the body is longer than `body_max`
 *	-EPROTONOSUPPORT	the version is not HTTP/1.x
 *	-EOPNOTSUPP	the transfer coding is not "chunked"
 *
 * `why` explains the error in words.
 *
 * Ownership. The slices of a head point into the bytes that it was read from,
 * and are readable as long as those bytes are.
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

/* A field of a head or of a trailer. Frozen. */
struct torc_http_field {
	struct torc_slice name;
	struct torc_slice value;	/* without white space around it */
};

/* The method of a request. TORC_HTTP_OTHER: see `method_name` of the head. */
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
 * HTTP versions, multiplied by ten. A reader of HTTP/1 treats every version
 * above 1.0 as 1.1. Other values are reserved for other carriers of messages.
 */
enum { TORC_HTTP_1_0 = 10, TORC_HTTP_1_1 = 11 };

/* The body of a message: what follows its head. */
enum torc_http_body {
	TORC_HTTP_NONE,		/* no body: the next message follows */
	TORC_HTTP_SIZED,	/* `length` bytes, at least one */
	TORC_HTTP_CHUNKED,	/* chunks: struct torc_http_chunks */
	TORC_HTTP_TO_END,	/* a response that ends with the connection
				 * (FIN) */
	TORC_HTTP_TUNNEL,	/* no more HTTP follows: CONNECT or 101 */
};

/* Limits for reading a head. Frozen. */
struct torc_http_limits {
	uint32_t head_max;	/* bytes of a head including its empty line; at
				 * least 16 */
	uint32_t target_max;	/* bytes of a request's target */
	uint32_t fields_max;	/* the size of the array
				 * torc_http_head.fields */
};

/*
 * The head of a request or a response, and how it describes the body. Frozen.
 */
struct torc_http_head {
	struct torc_http_field *fields;	/* the caller's array */
	unsigned field_count;
	uint32_t size;		/* bytes of the head, including its empty line
				 * and empty lines before it */
	enum torc_http_body body;
	uint64_t length;	/* of a SIZED body; for a response to HEAD, or a
				 * 304, the length that it states */
	bool has_length;	/* there is a Content-Length */
	bool keep_alive;	/* the peer keeps the connection open after this
				 * message */
	bool expects_continue;	/* the peer waits for 100 before it sends the
				 * body */
	bool upgrade;		/* Connection names "upgrade" */
	uint8_t version;	/* TORC_HTTP_1_0 or TORC_HTTP_1_1 */

	/* In a request. */
	enum torc_http_method method;
	struct torc_slice method_name;
	struct torc_slice target;
	struct torc_slice host;	/* from an absolute target, or the Host field;
				 * size 0: there is none */
	/* In a response. */
	unsigned status;	/* 100 to 599 */
	struct torc_slice reason;

	const char *why;	/* after an error: the error in words */
	struct torc_slice reserved[2];
};

/*
 * Read the head of a request from the `size` bytes at `data`. Set head->fields
 * before the call; everything else is filled in. Returns the size of the head;
 * 0 if the head is not complete yet; or a negative errno.
 *
 * After 0, call again when there is more. The result does not depend on how the
 * bytes were split. Up to four empty lines before a request are ignored (RFC
 * 9112, 2.2) if they end with CR LF.
 */
TORC_API int torc_http_read_request(struct torc_http_head *head,
    const uint8_t *data, size_t size, const struct torc_http_limits *limits);

/*
 * The state of waiting for the rest of a head or a trailer. Zero it first.
 * Frozen.
 */
struct torc_http_wait {
	size_t tried;		/* bytes that were not enough */
	size_t looked;		/* bytes that are known to contain no end */
};

/*
 * Returns whether it is worth trying to read the head now. It is when the head
 * seems to be complete, when there are `head_max` bytes, or when there are
 * twice as many bytes as last time. Without this check, a head that arrives
 * byte by byte would be parsed once per byte. Zero `*wait` again before the
 * next head.
 */
TORC_API bool torc_http_worth_reading(struct torc_http_wait *wait,
    struct torc_slice in, size_t head_max);

/*
 * Returns whether a request has begun: there is more than empty lines. If the
 * rest of a request does not arrive, a server answers with 408. If none has
 * begun, it closes without an answer.
 */
TORC_API bool torc_http_begun(struct torc_slice in);

/*
 * Read the head of a response. It works and returns as
 * torc_http_read_request(). `method` is the method of the request that it
 * answers, because what follows the head depends on it. Heads with status 1xx
 * are responses, too.
 */
TORC_API int torc_http_read_response(struct torc_http_head *head,
    const uint8_t *data, size_t size, const struct torc_http_limits *limits,
    enum torc_http_method method);

/*
 * Read the trailer of a chunked body, including its empty line. Sets
 * `field_count` and `why` of `*trailer` and fills `fields`; nothing else is
 * changed. Returns as torc_http_read_request().
 *
 * A trailer is not part of the head (RFC 9110, 6.5.1): give it a structure and
 * an array of its own. Fields that describe the framing of a message have no
 * meaning in it.
 */
TORC_API int torc_http_read_trailer(struct torc_http_head *trailer,
    const uint8_t *data, size_t size, const struct torc_http_limits *limits);

/*
 * Adjust a head after its bytes were copied to another place. Its slices point
 * into the bytes at `from` before the call, and into those at `to` after it.
 */
TORC_API void torc_http_rebase(struct torc_http_head *head,
    const uint8_t *from, const uint8_t *to);

/*
 * Returns the value of the first field of this name, or NULL. `name` is a
 * string in any case. If the head or the name is NULL, the result is NULL.
 */
TORC_API const struct torc_slice *torc_http_find(
    const struct torc_http_head *head, const char *name);

/* Returns the constant for a method's name. The name is case-sensitive. */
TORC_API enum torc_http_method torc_http_method_of(struct torc_slice name);

/*
 * Returns whether a slice equals `text`, ignoring case. It is for names. Do not
 * use it for passwords, tokens and other secrets: see torc_http_same_secret().
 */
TORC_API bool torc_http_equals(struct torc_slice slice, const char *text);

/*
 * Returns whether `sent` is exactly this secret, byte by byte. Case matters.
 * The time it takes depends on the lengths of the two texts, but not on where
 * they differ, so a client that measures it cannot guess the secret piece by
 * piece. A secret that is NULL or empty equals nothing: if a program has no
 * secret, nobody is let in. Any thread.
 */
TORC_API bool torc_http_same_secret(struct torc_slice sent,
    const char *secret);

/*
 * Returns whether a list, such as the value of Connection, contains this token.
 * Case is ignored.
 */
TORC_API bool torc_http_lists(struct torc_slice value, struct torc_slice token);

/*
 * Returns the status with which a server answers an error. It is 400, 408
 * (-ETIMEDOUT), 413, 414, 431, 501, 503 (-ESHUTDOWN, -ECANCELED) or 505 for the
 * errors listed above, and 500 for all others.
 */
TORC_API unsigned torc_http_status_of(int error);

/*
 * Returns the usual reason phrase of a status, such as "OK". It is "Unknown" if
 * the status is unknown.
 */
TORC_API const char *torc_http_reason(unsigned status);

/* ---- Chunked bodies ---- */

/* The state of reading a chunked body. Zero it first. Frozen. */
struct torc_http_chunks {
	uint64_t left;		/* bytes of this chunk's data still to come */
	uint32_t line;		/* bytes of the current line */
	uint32_t excess;	/* bytes of lines that carried little data */
	uint32_t state;
	const char *why;	/* after an error */
};

/*
 * Read more of a chunked body. Sets `*body` to the next piece of the body,
 * which points into `data` and is empty if these bytes have none. Returns how
 * many of the `size` bytes were processed, or -EBADMSG. All bytes are
 * processed, unless a piece of the body or the last chunk ends earlier.
 */
TORC_API int torc_http_read_chunks(struct torc_http_chunks *chunks,
    const uint8_t *data, size_t size, struct torc_slice *body);

/*
 * Returns whether the last chunk was read. torc_http_read_trailer() reads what
 * follows.
 */
TORC_API bool torc_http_chunks_over(const struct torc_http_chunks *chunks);

/* ---- Writing ---- */

/*
 * A writer of heads, into memory that the caller provides. The first error is
 * kept, and later writes do nothing. The errors are: -EINVAL for text that a
 * reader would understand differently (CR, LF, NUL, other control characters, a
 * name that is not a token), and for a status outside of 100 to 599; -ENOSPC
 * when the memory is full. Frozen.
 */
struct torc_http_writer {
	uint8_t *data;		/* the memory */
	size_t size;		/* of the memory */
	size_t used;		/* bytes written */
	int error;		/* the first error, or 0 */
};

/*
 * Write a head line by line: first the request or status line, then fields, and
 * finally the empty line. Errors are kept in the writer.
 */
/*
 * Write a request line. A target that begins with "?" has an empty path, which
 * is written as "/" (RFC 9112, 3.2.1).
 */
TORC_API void torc_http_put_request(struct torc_http_writer *writer,
    struct torc_slice method, struct torc_slice target);
/* Write a status line. `reason` may be NULL: the usual one. */
TORC_API void torc_http_put_status(struct torc_http_writer *writer,
    unsigned status, const char *reason);
/* Write a field. */
TORC_API void torc_http_put_field(struct torc_http_writer *writer,
    struct torc_slice name, struct torc_slice value);
/* Write a field whose name and value are strings. */
TORC_API void torc_http_put(struct torc_http_writer *writer,
    const char *name, const char *value);
/* Write Content-Length. */
TORC_API void torc_http_put_length(struct torc_http_writer *writer,
    uint64_t length);
/* Write Date: the current time, in seconds (RFC 9110, 6.6.1). */
TORC_API void torc_http_put_date(struct torc_http_writer *writer);
/*
 * Write the empty line. Returns how many bytes were written in all, or the
 * first error.
 */
TORC_API int torc_http_put_end(struct torc_http_writer *writer);

/*
 * Write the line that precedes `size` bytes of a chunk. Returns its length in
 * bytes. There is no NUL after it. CR LF must follow the data of the chunk.
 * Size 0 is the last chunk; the trailer follows it.
 */
#define TORC_HTTP_CHUNK_LINE 18
TORC_API size_t torc_http_chunk_line(char line[TORC_HTTP_CHUNK_LINE],
    uint64_t size);

/*
 * Write a time in the format of HTTP, followed by a NUL. `seconds` counts from
 * 1970. A time before 1970 is written as the first second of that year, and a
 * time after 9999 as the last second of that year.
 */
#define TORC_HTTP_DATE 30
TORC_API void torc_http_date(char text[TORC_HTTP_DATE], int64_t seconds);

/* Returns a slice of a string. It is empty for NULL. */
TORC_API struct torc_slice torc_http_text(const char *text);

/* The received part of a message's body. All of it is torc's. Frozen. */
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

struct torc_exchange;	/* of torc_service.h */
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
 * An answer that torc makes itself, because it cannot read or answer the
 * request. A hook of the configuration can change it. It grows.
 */
struct torc_http_refusal {
	unsigned status;	/* 0: end the connection without an answer */
	int error;		/* 0 or a negative errno */
	const char *why;	/* the error in words, or NULL */
	/*
	 * The answer as torc would send it. A service has its Content-Type and
	 * the text of its status, and where they belong to the answer Allow
	 * (405), WWW-Authenticate (401), or whatever was added. A hook that
	 * sets `fields` or `body` replaces all of them: it has to repeat the
	 * fields that are still needed. A server without a service has no
	 * fields and no body here, unless its handler passed some.
	 */
	const struct torc_http_field *fields;
	unsigned field_count;
	const void *body;
	size_t size;		/* of `body`, in bytes */
	/*
	 * Set by torc. In a service: the exchange. A hook may ask for its
	 * request and data, and takes memory from it with torc_exchange_alloc()
	 * and torc_exchange_print(). NULL: there is no service.
	 */
	struct torc_exchange *exchange;
};

/*
 * The limits and timeouts of an HTTP server. 0 selects the default. Times are
 * in milliseconds. TORC_NO_LIMIT disables a timeout or a rate: see struct
 * torc_pace. The status after a colon is the answer to a request that exceeds
 * the limit. It grows.
 */
struct torc_http_config {
	unsigned head_max;	/* bytes of a request's head, and of a trailer;
				 * 32768; 16 or more: 431 */
	unsigned fields_max;	/* fields in a head, and in a trailer; 128; at
				 * most 65536: 431 */
	unsigned target_max;	/* bytes of a target; 8192: 414 */
	uint64_t body_max;	/* bytes of a body; 64 MiB: 413 */
	uint64_t skip_max;	/* bytes of a body that the handler left unread,
				 * and that torc reads and discards to keep the
				 * connection; 256 KiB */
	unsigned requests_max;	/* requests on a connection; unlimited by
				 * default */
	unsigned idle_ms;	/* between requests; 60000 */
	unsigned head_ms;	/* to receive a head that has begun; 10000: 408,
				 * or no answer if only empty lines came */
	unsigned body_ms;	/* how long a peer may send nothing of its body;
				 * 30000: 408 */
	unsigned body_rate;	/* bytes a second of a body; a slower peer uses
				 * up `body_ms`; 240 */
	unsigned write_ms;	/* how long a peer may take nothing of what is
				 * written; 30000 */
	unsigned write_rate;	/* as `body_rate`, for what is written; 64 KiB
				 * in `write_ms` */
	bool no_date;		/* do not add a Date to answers without one */
	/*
	 * Called on the handler's fiber before each answer that torc makes
	 * itself. NULL: such answers are sent unchanged. It may park, but must
	 * not use the connection. Fields and a body that it sets must stay
	 * until the answer was written, so they cannot be on the stack of the
	 * hook. Use constants, or in a service memory of the exchange. In
	 * `request` only the parts that were read before the error are set. If
	 * the changed answer cannot be written, the original one is sent.
	 */
	void (*refusal)(const struct torc_http_head *request,
	    struct torc_http_refusal *refusal, void *arg);
	void *arg;		/* passed to the hook */
};

/*
 * The server's side of an HTTP connection. It is on the stack of its handler,
 * which must not use the connection in any other way meanwhile.
 *
 * torc answers the peer's errors itself (400, 408, 413, 414, 431, 501, 505).
 * The connection ends after that: the handler returns torc_http_result(). All
 * calls obey the timeouts of the configuration; `deadline` is an additional
 * limit. The structure is frozen.
 */
struct torc_http {
	struct torc_http_head request;	/* for the handler to read */
	struct torc_http_head trailer;	/* the trailer of its body: only
				 * fields */

	/* torc's. */
	struct torc_conn *conn;
	struct torc_http_config config;
	struct torc_http_input input;
	struct torc_pace pace;	/* of the request's body */
	uint64_t promised;	/* bytes of the answer's body still to come */
	uint64_t answered;	/* bytes of the answer's body so far */
	unsigned status;	/* of the answer; 0: it was not begun */
	uint64_t turn;		/* the time of a turn of the loop */
	unsigned in_turn;	/* requests read in that turn */
	unsigned requests;
	unsigned room;		/* the size of request.fields */
	const uint8_t *head;	/* the bytes that `request` points into */
	bool lent;		/* ... are in the connection's view */
	bool large;		/* something has memory of its own */
	uint8_t output;
	bool last;		/* this is the connection's last request */
	bool continued;		/* 100 was sent, or is not wanted */
	bool chunked;		/* the answer is */
	bool silent;		/* the answer has no body */
	bool upgrade;		/* the request asks for an upgrade */
	bool withheld;		/* the handler sends 100 itself */
	uint64_t reserved[16];	/* also for configurations that grow */
	struct torc_http_field fields[TORC_HTTP_FIELDS];
};

/*
 * Begin to serve a connection. `config` is copied; NULL: all defaults. The pace
 * of the connection (torc_conn_set_pace()) is set to `write_ms` and
 * `write_rate`. Returns 0, or: -EINVAL a field of the configuration is out of
 * range. After -EINVAL, torc_http_recv() returns 0, as if there were no
 * request.
 */
static inline int
torc_http_init(struct torc_http *http, struct torc_conn *conn,
    const struct torc_http_config *config)
{
	return torc_http_init_sized(http, conn, config, sizeof(*config));
}

/*
 * Parks. Receive the next request. Its head is in http->request. The rest of
 * the last request's body is read and discarded. A last request that was not
 * answered is answered with 500. Answers to pipelined requests are staged and
 * sent together, at the latest when this call waits.
 *
 * Returns 1; 0 if there are no more requests (the peer is done, was told that
 * the connection ends, or sent nothing until `idle_ms` or the deadline had
 * passed); or: -ETIMEDOUT a head that had begun was not complete in time;
 * -EPIPE the last answer was begun and not ended, or could not be written; an
 * error of the codec; an error as torc_conn_recv(). torc has answered
 * -ETIMEDOUT and the errors of the codec itself. After 0 or an error no more
 * requests can be received, even if only the deadline has passed: the handler
 * returns torc_http_result().
 *
 * The head is readable until the next call of torc_http_recv(), or of
 * torc_conn_recv(), which returns the bytes after the head. torc_http_read()
 * may move the head: a slice that was copied from it before is not readable
 * after that, so take slices from http->request again. A handler that waits for
 * something else than this connection keeps one of the reactor's `buffers`
 * occupied meanwhile: see torc_http_keep().
 */
TORC_API int torc_http_recv(struct torc_http *http, torc_deadline deadline);

/*
 * Copy the request's head to memory that the handler provides. The slices of
 * the head point into that memory from then on, and torc_http_read() does not
 * move them. The memory must stay until the next call of torc_http_recv().
 * Returns 0, or: -ENOSPC `request.size` is more than `size`; -EINVAL there is
 * no head.
 */
TORC_API int torc_http_keep(struct torc_http *http, void *memory,
    size_t size);

/*
 * Parks. Read more of the request's body. Sets `*body` to one piece, which is
 * readable until the next call. At the end http->trailer has the fields after
 * the body, readable as long as the last piece.
 *
 * Returns the size of the piece; 0 at the end; or: -ETIMEDOUT the peer was too
 * slow, or the deadline passed; -ECONNRESET the body ended early; -EFBIG it is
 * longer than `body_max`; -ECANCELED the fiber was cancelled, or a drain ended;
 * -ENOMEM; an error of the codec; -EPIPE an earlier call failed. After an error
 * no more of the body can be read, even if only the deadline has passed. If the
 * answer was not begun, torc has answered with torc_http_status_of() (400 after
 * -ECONNRESET), and the connection ends.
 *
 * If the peer waits for 100 Continue, it is sent. A body that has begun when
 * the reactor drains is read to its end while the drain lasts.
 */
TORC_API int torc_http_read(struct torc_http *http, struct torc_slice *body,
    torc_deadline deadline);

/*
 * Leave 100 Continue to the handler, if this request expects it.
 * torc_http_read() then does not send it. The handler sends it with
 * torc_http_inform(), or answers instead. A forwarder uses this, because its
 * origin decides about 100.
 */
TORC_API void torc_http_withhold_continue(struct torc_http *http);

/*
 * Parks, but only if the answer is large or earlier output is still unsent.
 * Send an informational answer before the answer, such as 103 Early Hints.
 * `status` is 100 to 199, but not 101. It may be called any number of times. An
 * HTTP/1.0 client is sent nothing. Returns as torc_http_reply(); -EINVAL after
 * the answer was begun, or for another status.
 */
TORC_API int torc_http_inform(struct torc_http *http, unsigned status,
    const struct torc_http_field *fields, unsigned field_count,
    torc_deadline deadline);

/*
 * Parks, but only if the answer is large or earlier output is still unsent.
 * Answer the request. Content-Length, Transfer-Encoding and Connection are set
 * by torc and must not be among the fields. Answers to HEAD, and those with
 * status 204 and 304, are sent without their body, which may be NULL then.
 *
 * Returns 0, or: -EINVAL the fields cannot be written, `status` is not 200 to
 * 599, or the request was answered before; -ENOSPC the fields are larger than
 * 64 KiB; -ENOMEM; an error as torc_conn_write(). After -EINVAL, -ENOSPC and
 * -ENOMEM nothing was written, and a request that was not answered yet still
 * can be. After any other error the connection is reset when the handler
 * returns torc_http_result().
 */
TORC_API int torc_http_reply(struct torc_http *http, unsigned status,
    const struct torc_http_field *fields, unsigned field_count,
    const void *body, size_t size, torc_deadline deadline);

/*
 * Parks, but only if the answer is large or earlier output is still unsent.
 * Answer with an error, as torc itself does. `refusal` of the configuration can
 * change the answer. `error` and `why` are for that hook only. Unlike after
 * torc's own refusals, the connection goes on. Only `status` 0 ends it, without
 * an answer. Returns as torc_http_reply().
 */
static inline int
torc_http_refuse(struct torc_http *http,
    const struct torc_http_refusal *refusal, torc_deadline deadline)
{
	return torc_http_refuse_sized(http, refusal, sizeof(*refusal),
	    deadline);
}

/*
 * Parks, but only if the answer is large or earlier output is still unsent.
 * Take the connection over for another protocol. The answer is 101. `fields`
 * must name the protocol in Upgrade; torc writes "Connection: upgrade". From
 * then on the handler uses the torc_conn itself. torc_conn_recv() first returns
 * the bytes that followed the request, and torc_http_recv() returns 0.
 *
 * Returns 0, or: -EINVAL the client did not ask for an upgrade, the body of the
 * request was not read to its end, the answer was begun, or the fields cannot
 * be written or name no protocol (nothing was written, and the request can
 * still be answered); an error as torc_conn_write().
 */
TORC_API int torc_http_take_over(struct torc_http *http,
    const struct torc_http_field *fields, unsigned field_count,
    torc_deadline deadline);

/*
 * Parks, but only if the answer is large or earlier output is still unsent.
 * Answer in pieces: begin once, write as often as needed, end once. `length` is
 * the length of the body in bytes. With TORC_HTTP_UNKNOWN the body is sent in
 * chunks, or to the end of the connection if the client speaks HTTP/1.0.
 * Answers without a body (to HEAD, 204, 304) are begun, written and ended in
 * the same way, but what is written to them is not sent.
 *
 * Returns 0, or: -EINVAL more was written than `length`, or less at the end
 * (the connection is reset then), or no answer was begun, or it was ended
 * already (nothing happens); an error as torc_http_reply().
 */
#define TORC_HTTP_UNKNOWN UINT64_MAX

TORC_API int torc_http_begin(struct torc_http *http, unsigned status,
    const struct torc_http_field *fields, unsigned field_count,
    uint64_t length, torc_deadline deadline);
TORC_API int torc_http_write(struct torc_http *http, const void *data,
    size_t size, torc_deadline deadline) TORC_CHECKED;
TORC_API int torc_http_end(struct torc_http *http, torc_deadline deadline);

/*
 * Count body bytes that the handler sent itself, for example with
 * torc_file_send(). The body must not be chunked. Returns 0, or: -EINVAL there
 * are more than `length` of torc_http_begin() allows, or the body is chunked
 * (the connection is reset then), or no answer was begun (nothing happens).
 */
TORC_API int torc_http_sent(struct torc_http *http, uint64_t size);

/*
 * Parks. Wait until all written data has been passed to the kernel. Call it in
 * the middle of an answer, before waiting for something else than this
 * connection. Returns 0, or an error as torc_conn_flush(). After an error, even
 * after -ETIMEDOUT, nothing more can be written, and the connection is reset
 * when the handler returns torc_http_result().
 */
TORC_API int torc_http_flush(struct torc_http *http, torc_deadline deadline);

/*
 * Returns the value that the handler must return. It is TORC_CLOSE, or a reset
 * if an answer was begun and not ended: a cut answer must not look complete.
 */
TORC_API int torc_http_result(const struct torc_http *http);

/* ---- Clients ---- */

/*
 * A client has a pool of connections to one origin, on one reactor. See
 * torc_client.h for pools. Store the client with torc_reactor_set_data().
 *
 * Errors such as -ECONNREFUSED say that the origin cannot be reached. They are
 * returned at once while the pool waits before it tries again. All other errors
 * concern one request only: -ETIMEDOUT: the origin is too slow; -ECONNRESET:
 * the origin closed the connection in the middle of its answer; the errors of
 * the codec: its answer cannot be used.
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
 * The origin of a client, and the client's limits. 0 selects the default. Times
 * are in milliseconds. TORC_NO_LIMIT disables a limit. It grows.
 *
 * Bodies that are buffered for slow clients use the reactor's memory. All
 * requests of a client of HTTP together may use `memory_max`, and each may use
 * 16 KiB more. One body may use an eighth of what is free, so its share shrinks
 * as more bodies are buffered.
 */
struct torc_http_client_config {
	const char *address;	/* as torc_dial_name() reads it; copied; there
				 * is no default */
	const char *host;	/* the Host field; copied; NULL: the address, or
				 * localhost for a unix socket */

	/* The pool: see struct torc_pool_config. */
	unsigned connections;	/* 8; 1 to 4096 */
	unsigned waiters;	/* 1024; 1 to 1048576 */
	unsigned idle_ms;	/* 60000 */
	unsigned open_ms;	/* 5000 */
	unsigned retry_min_ms;	/* 50; 1 to 60000 */
	unsigned retry_max_ms;	/* 500, or retry_min_ms if that is more; 1 to
				 * 60000 */
	unsigned lifetime_ms;	/* 0 or TORC_NO_LIMIT: unlimited */
	unsigned aside_max;	/* 4 times `connections`; to 65536 */

	/* A request and its answer. */
	unsigned head_max;	/* bytes of a response's head, and of a trailer;
				 * 32768; 16 or more */
	unsigned fields_max;	/* fields in a head, and in a trailer; 128; at
				 * most 65536 */
	uint64_t body_max;	/* bytes of a response's body; 64 MiB */
	unsigned answer_ms;	/* to receive a head, once the request was sent;
				 * 30000 */
	unsigned body_ms;	/* how long an origin may send nothing of its
				 * body; 30000 */
	unsigned body_rate;	/* bytes a second of a body; a slower origin
				 * uses up `body_ms`; 1 */
	unsigned write_ms;	/* how long an origin may take nothing of what
				 * is written; 30000 */
	unsigned write_rate;	/* as `body_rate`, for what is written; 64 KiB
				 * in `write_ms` */

	/* What torc_http_forward() does with the origin. */
	bool stream;		/* buffer nothing: pass bodies on as they
				 * arrive */
	unsigned keep_max;	/* bytes of a body, in each direction, that are
				 * buffered for a client that is slower than the
				 * origin; 1 MiB */
	uint64_t memory_max;	/* bytes of buffered bodies, of all requests; 64
				 * MiB */
	unsigned gather_ms;	/* how long a request with an incomplete body
				 * waits before it is begun, and longer while
				 * half of `aside_max` connections are set
				 * aside; 1000 */
	unsigned queue_ms;	/* how long a request waits for a connection to
				 * the origin before it is answered with 503;
				 * 30000 */
	unsigned half_close_ms;	/* a client that has sent FIN still gets its
				 * answer if the origin is silent for less than
				 * this; 1000 */
	unsigned tunnel_ms;	/* how long no byte may arrive after 101, or a
				 * side may take none; 300000 */
	unsigned stall_ms;	/* when `aside_max` connections are set aside
				 * and others wait for one: a client that takes
				 * or sends nothing for this long may lose its
				 * connection to the origin; 1000 */
};

/*
 * Create a client for the reactor of this thread. It connects when it is first
 * used. Returns 0, or: -EINVAL a field is wrong, and `error` says why; -ENOMEM;
 * an error as torc_pool_create().
 */
static inline int
torc_http_client_create(struct torc_http_client **client,
    const struct torc_http_client_config *config, struct torc_error *error)
{
	return torc_http_client_create_sized(client, config, sizeof(*config),
	    error);
}

/*
 * Parks. Destroy a client. No call may be in progress. It works and returns as
 * torc_pool_destroy(). NULL does nothing.
 */
TORC_API int torc_http_client_destroy(struct torc_http_client *client,
    torc_deadline deadline);

/*
 * Refuse new requests from now on. They fail with -ESHUTDOWN at once. Requests
 * in progress go on.
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
 * A request to send. torc sets Content-Length, Transfer-Encoding and
 * Connection, so they must not be among the fields. Host may be. It grows.
 */
struct torc_http_request {
	struct torc_slice method;	/* size 0: GET */
	struct torc_slice target;	/* "/path?query" */
	const struct torc_http_field *fields;	/* besides torc's own */
	unsigned field_count;	/* how many `fields` */
	const void *body;	/* may be NULL if `size` is 0 */
	size_t size;		/* of `body`, in bytes */
	bool upgrade;		/* the fields contain Upgrade: torc writes
				 * "Connection: upgrade", and the answer may be
				 * 101; then see torc_http_call_conn() */
	uint64_t key;		/* identifies the user that the request is for,
				 * such as a hash of an address; keys share the
				 * pool fairly, see torc_pool_acquire_for(); 0:
				 * none */
};

/*
 * A call is one request and its answer, on the stack of the calling fiber.
 * Frozen.
 */
struct torc_http_call {
	struct torc_http_head response;	/* for the caller to read */
	struct torc_http_head trailer;	/* the trailer of its body: only
				 * fields */

	/* torc's. */
	struct torc_http_client *client;
	struct torc_http_link *link;
	struct torc_http_input input;
	struct torc_pace pace;	/* of the answer's body */
	uint64_t promised;	/* bytes of the request's body still to come */
	unsigned room;		/* the size of response.fields */
	uint64_t sent_at;	/* when the last of it was sent; 0: more may
				 * follow */
	enum torc_http_method method;
	unsigned interims;	/* heads with status 1xx */
	bool interim;		/* one is in view */
	bool chunked;		/* the request is */
	bool upgrade;		/* an upgrade was asked for */
	bool reused;		/* the connection was used before */
	bool sent;		/* the whole request was */
	bool answered;		/* the head was read */
	bool lent;		/* ... and is in the connection's view */
	uint64_t reserved[16];
	struct torc_http_field fields[TORC_HTTP_FIELDS];
};

/*
 * Parks. Send a request, and read the head of its answer. The head is in
 * call->response. Answers with status 1xx are skipped.
 *
 * Returns 0, or: -EINVAL the request cannot be written, or its method is
 * CONNECT (nothing was sent); -ENOSPC its head is larger than 64 KiB (nothing
 * was sent); -ESHUTDOWN torc_http_client_shutdown() was called; an error that
 * struct torc_http_client lists; an error as torc_pool_acquire(). After 0, read
 * the body of the answer and then call torc_http_call_end(), even if reading
 * fails. After an error there is nothing to clean up; call->response.why may
 * explain it.
 *
 * If a connection that was used before turns out to be closed, and nothing was
 * answered on it, a repeatable request (GET, HEAD, OPTIONS, TRACE, PUT, DELETE)
 * is sent once more, on a new connection.
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
 * Parks. Send a request in pieces: begin, write as often as needed, finish.
 * Then wait for the answer. `length` is the length of the body in bytes, or
 * TORC_HTTP_UNKNOWN for chunks. `body` and `size` of the request are not used.
 *
 * An answer may arrive before the whole request was written: another fiber may
 * wait for it meanwhile. If begin succeeds, torc_http_call_end() must be
 * called, even if another call fails. If begin fails, there is nothing to end.
 * A request in pieces is never sent again.
 *
 * Returns 0, or: -EINVAL more is written than `length`, or less at the end, the
 * request was finished before, or its answer was read before; an error as
 * torc_http_client_call(). After an error of writing, finishing or flushing
 * other than -EINVAL, do not write more. The origin may have answered
 * nevertheless: torc_http_call_answer() tells.
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
/*
 * Send everything that was written. torc_http_call_answer() sends it, too, and
 * waits for the answer.
 */
TORC_API int torc_http_call_flush(struct torc_http_call *call,
    torc_deadline deadline);
TORC_API int torc_http_call_answer(struct torc_http_call *call,
    torc_deadline deadline);

/*
 * Parks. Read more of the answer's body. Sets `*body` to one piece, which is
 * readable until the next call. At the end call->trailer has the fields after
 * the body, readable as long as the last piece. The head may be moved, so take
 * its slices from call->response again after each call.
 *
 * Returns the size of the piece; 0 at the end; or: -EPIPE there is no answer
 * yet, or an earlier call failed; an error that struct torc_http_client lists.
 * An answer that is cut off, or longer than `body_max`, never ends with 0.
 * After an error other than -ECANCELED no more can be read, even if only the
 * deadline has passed.
 */
TORC_API int torc_http_call_read(struct torc_http_call *call,
    struct torc_slice *body, torc_deadline deadline);

/*
 * Returns the connection after an answer of 101, and must not be called after
 * any other answer. The connection speaks another protocol from then on.
 * torc_conn_recv() first returns the bytes that followed the answer; the slices
 * of the answer are no longer readable. The connection is the caller's until
 * torc_http_call_end() closes it. If both sides have not closed it by then, it
 * is reset.
 */
TORC_API struct torc_conn *torc_http_call_conn(struct torc_http_call *call);

/* Returns whether the body was read to its end: a read would not wait. */
TORC_API bool torc_http_call_over(const struct torc_http_call *call);

/*
 * End a call. Its connection returns to the pool if the request was sent, the
 * answer was read to its end, and nothing else arrived. Otherwise the
 * connection is closed. Slices of the response are no longer readable.
 *
 * Does nothing for NULL, and for a call that failed or was ended before. Any
 * other function stops the process when it is given such a call.
 */
TORC_API void torc_http_call_end(struct torc_http_call *call);

/* ---- Proxies ---- */

#define TORC_HTTP_ADDED 8	/* fields, at most */
#define TORC_HTTP_VIA 60	/* bytes of the name in Via, at most */

/* How requests are forwarded. torc does not change it. It grows. */
struct torc_http_forwarding {
	const char *via;	/* our name in Via: a token, such as "torc", of
				 * at most TORC_HTTP_VIA bytes; there is no
				 * default */
	const struct torc_http_field *added;	/* fields to add to the request,
				 * such as X-Forwarded-For, after those of the
				 * same name that it has */
	unsigned added_count;	/* at most TORC_HTTP_ADDED */
	bool forwarded_for;	/* also add X-Forwarded-For with the address of
				 * the peer; counts as one of TORC_HTTP_ADDED */
	uint64_t key;		/* identifies the client: see
				 * torc_pool_acquire_for() and
				 * torc_conn_key() */
};

/*
 * Parks. Forward the request to an origin, and its answer back to the client.
 * The origin's client must belong to this reactor. The limits and timeouts of
 * both configurations apply; the client's has those that concern forwarding
 * only.
 *
 * Fields. Fields that are meant for one hop are removed (RFC 9110, 7.6.1). Host
 * is kept. Via is added in both directions, with the version of the message.
 * Answers with status 1xx are forwarded, and so is "Expect: 100-continue",
 * which the origin answers. OPTIONS and TRACE with Max-Forwards 0 are answered
 * here. Trailers are not forwarded.
 *
 * Upgrades. A request for another protocol is forwarded, unless it asks for
 * HTTP/2. After 101, bytes are passed in both directions until both sides have
 * sent FIN, nothing moves for `tunnel_ms`, a side takes nothing for
 * `tunnel_ms`, or a drain ends what the client sends.
 *
 * Buffers. A request whose body is incomplete is kept for `gather_ms`. An
 * answer is kept if the client does not take it at once. Both buffers are
 * bounded. When they are full, a body moves only as fast as the other side
 * takes it, and the connection to the origin is set aside in its pool. An
 * answer may arrive before the whole request was sent. When the client has
 * gone, the origin's connection is given up, whatever it waits for.
 *
 * Returns 0, or: -EINVAL part of the request's body was read before (nothing
 * happens); -ECONNRESET the client has gone, or the origin cut its answer;
 * -EBUSY the client stood still, and another request got the connection to the
 * origin (`stall_ms`); or another error of either side. If nothing was answered
 * before the error, the client is told: 503 there is no connection to the
 * origin; 504 the origin is too slow; 502 its answer cannot be used. The result
 * is for logs only: call torc_http_recv() next in any case. The head of the
 * request is readable afterwards only if torc_http_keep() was called before.
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
