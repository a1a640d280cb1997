/*
 * request.h - the head of an HTTP/1.1 request (RFC 9112), read strictly: what
 * another reader could take differently is refused.
 */
#ifndef TORC_EXAMPLES_REQUEST_H
#define TORC_EXAMPLES_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request {
	bool keep_alive;
	bool old;		/* HTTP/1.0: the answer must say keep-alive */
	bool head;		/* the method is HEAD: no body in the answer */
	bool chunked;		/* the body comes in chunks */
	bool expect;		/* the client waits for 100 Continue */
	uint64_t body_size;	/* Content-Length, or 0 */
};

/*
 * Read the head that begins at `data`. Its size with the empty line; 0 if it
 * is not complete; or the negative status to answer with: -400, -501, -505.
 */
int request_parse(const uint8_t *data, size_t size, struct request *request);

/* Where the reader of a chunked body is; zero it before the body. */
struct chunks {
	uint64_t left;		/* of this chunk's data */
	uint32_t line;		/* bytes of the line that is read */
	uint8_t state;
};

/*
 * Read on in a chunked body. How many of the `size` bytes belong to it, with
 * `*done` set if it ends there; or -400.
 */
int chunks_skip(struct chunks *chunks, const uint8_t *data, size_t size,
    bool *done);

#endif
