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

#include "conn/torc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Heads ---- */

struct torc_http_field {
	struct torc_slice name;
	struct torc_slice value;	/* without white space around it */
};

/* Methods that mean something to the framing, or are safe to repeat. */
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

/* What follows a head. */
enum torc_http_body {
	TORC_HTTP_NONE,		/* the next message */
	TORC_HTTP_SIZED,	/* `length` bytes, at least one */
	TORC_HTTP_CHUNKED,	/* chunks: struct torc_http_chunks */
	TORC_HTTP_TO_END,	/* a response that lasts until the FIN */
	TORC_HTTP_TUNNEL,	/* no more HTTP: CONNECT or 101 */
};

/* Bounds of what is read. */
struct torc_http_limits {
	uint32_t head_max;	/* bytes of a head with its empty line; at
				 * least 16 */
	uint32_t target_max;	/* bytes of a request's target */
	uint32_t fields_max;	/* room at torc_http_head.fields */
};

struct torc_http_head {
	struct torc_http_field *fields;	/* the caller's array */
	unsigned field_count;
	uint32_t size;		/* of the head with its empty line */
	enum torc_http_body body;
	uint64_t length;	/* of a body that is SIZED; what a response
				 * to HEAD, or a 304, says of its length */
	bool has_length;	/* there was a Content-Length */
	bool keep_alive;	/* the peer would go on after this message */
	bool expects_continue;	/* it waits for 100 before the body */
	bool upgrade;		/* Connection names "upgrade" */
	uint8_t minor;		/* HTTP/1.minor: 0, or 1 for all above */

	/* Of a request. */
	enum torc_http_method method;
	struct torc_slice method_name;
	struct torc_slice target;
	struct torc_slice host;	/* of an absolute target, or the Host field;
				 * size 0 if there is none */
	/* Of a response. */
	unsigned status;	/* 100 to 599 */
	struct torc_slice reason;

	const char *why;	/* after an error: what is wrong, in words */
};

/*
 * Read the head of a request that begins at `data`, of which `size` bytes are
 * there. Set head->fields before; all else is filled in. The size of the head;
 * 0 if it is not complete; or an error (see above). What was read in vain may
 * be read again when there is more of it: no cut of the bytes changes the
 * result.
 */
TORC_API int torc_http_read_request(struct torc_http_head *head,
    const uint8_t *data, size_t size, const struct torc_http_limits *limits);

/*
 * The same for a response. `method` is that of the request which it answers:
 * what follows the head depends on it. 1xx heads are responses, too.
 */
TORC_API int torc_http_read_response(struct torc_http_head *head,
    const uint8_t *data, size_t size, const struct torc_http_limits *limits,
    enum torc_http_method method);

/*
 * Read the trailer of a chunked body, with its empty line: into `fields` and
 * `field_count`, nothing else of `*head` but `why` is touched. Fields in it
 * that frame messages mean nothing.
 */
TORC_API int torc_http_read_trailer(struct torc_http_head *head,
    const uint8_t *data, size_t size, const struct torc_http_limits *limits);

/*
 * The bytes of a head were copied from `from` to `to`: let its slices, which
 * view the old ones, view the new ones.
 */
TORC_API void torc_http_rebase(struct torc_http_head *head,
    const uint8_t *from, const uint8_t *to);

/*
 * The value of the first field of this name (any case, ended by NUL), or NULL.
 */
TORC_API const struct torc_slice *torc_http_find(
    const struct torc_http_head *head, const char *name);

/* Whether a slice is `text`, in any case. */
TORC_API bool torc_http_equals(struct torc_slice slice, const char *text);

/*
 * Whether a value that is a list, as those of Connection, has this token (any
 * case).
 */
TORC_API bool torc_http_lists(struct torc_slice value, struct torc_slice token);

/*
 * The status with which a server answers an error: 400, 408 (-ETIMEDOUT),
 * 413, 414, 431, 501 or 505; 500 for what is none of a request's.
 */
TORC_API unsigned torc_http_status_of(int error);

/* The usual words for a status: "OK"; "Unknown" if it is. */
TORC_API const char *torc_http_reason(unsigned status);

/* ---- Chunked bodies ---- */

/* Where the reader of a chunked body is. All zero before it. */
struct torc_http_chunks {
	uint64_t left;		/* of this chunk's data */
	uint32_t line;		/* bytes of the line that is read */
	uint32_t excess;	/* bytes of lines that carried little data */
	uint32_t state;
	const char *why;	/* after an error */
};

/*
 * Read on. How many of the `size` bytes are done with, and in `*body` the part
 * of them that is body, in one piece; or -EBADMSG. Takes all, unless a piece
 * of the body or the last chunk ends before.
 */
TORC_API int torc_http_read_chunks(struct torc_http_chunks *chunks,
    const uint8_t *data, size_t size, struct torc_slice *body);

/* The last chunk was read: torc_http_read_trailer() has what comes next. */
TORC_API bool torc_http_chunks_over(const struct torc_http_chunks *chunks);

/* ---- Writing ---- */

/*
 * Heads are written into memory of the caller's. The first error stays, and
 * what is written after it does nothing: -EINVAL for what would not be read
 * as it was meant (CR, LF, NUL, other control characters, a name that is no
 * token), -ENOSPC when the memory is full.
 */
struct torc_http_writer {
	uint8_t *data;
	size_t size;		/* of the memory */
	size_t used;		/* bytes written */
	int error;
};

TORC_API void torc_http_put_request(struct torc_http_writer *writer,
    struct torc_slice method, struct torc_slice target);
/* `reason` may be NULL: the usual one. */
TORC_API void torc_http_put_status(struct torc_http_writer *writer,
    unsigned status, const char *reason);
TORC_API void torc_http_put_field(struct torc_http_writer *writer,
    struct torc_slice name, struct torc_slice value);
/* The same for constants. */
TORC_API void torc_http_put(struct torc_http_writer *writer,
    const char *name, const char *value);
TORC_API void torc_http_put_length(struct torc_http_writer *writer,
    uint64_t length);
/* The empty line. The bytes written in all, or the error. */
TORC_API int torc_http_put_end(struct torc_http_writer *writer);

/*
 * The line before `size` bytes of a chunk, into `line`; how many bytes it has.
 * Behind the data goes CR LF. Size 0: the last chunk, before the trailer.
 */
#define TORC_HTTP_CHUNK_LINE 18
TORC_API size_t torc_http_chunk_line(char line[TORC_HTTP_CHUNK_LINE],
    uint64_t size);

/* A slice of a string. */
TORC_API struct torc_slice torc_http_text(const char *text);

#ifdef __cplusplus
}
#endif

#endif
