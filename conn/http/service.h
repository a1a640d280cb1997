/* SPDX-License-Identifier: MIT */
/*
 * service.h - what the files of services share.
 *
 *   routes.c    routes as they are listed
 *   tree.c      the same, compiled: which one answers a request
 *   path.c      the path of a target, in segments
 *   decode.c    percent-decoding
 *   pairs.c     queries, forms and cookies
 *   memory.c    memory that goes with an exchange
 *   service.c   a connection's exchanges, one after the other
 *   carrier.c   what depends on the protocol that carries an exchange
 *   reply.c     answers, and the filters that they pass
 *   events.c    streams of events
 *   json.c      the writer of JSON; number.c has its numbers, json_reply.c
 *               answers that are JSON
 */
#ifndef TORC_HTTP_SERVICE_H
#define TORC_HTTP_SERVICE_H

#include "conn/http/http.h"
#include "conn/http/torc_service.h"
#include "sys/trap.h"

#define TORC_TEXT_TYPE "text/plain; charset=utf-8"

/* ---- decode.c ---- */

/* Returns whether a slice equals this text. */
static inline bool
torc_is_text(struct torc_slice slice, const char *text)
{
	const size_t size = strlen(text);

	return slice.size == size && memcmp(slice.data, text, size) == 0;
}

/*
 * Decode the character at "%", with `size` bytes. Returns false if its encoding
 * is invalid.
 */
bool torc_decode_char(const uint8_t *at, size_t size, uint8_t *c);

/* ---- path.c ---- */

#define TORC_PATH_SEGMENTS 128u	/* of a request's path */

struct torc_path {
	uint8_t *text;		/* decoded; begins with a slash */
	uint32_t size;
	uint32_t count;		/* of segments, at least one */
	struct {
		uint32_t from;	/* in the text, behind the slash */
		uint32_t size;
		bool slash;	/* an encoded one is in it */
	} segments[TORC_PATH_SEGMENTS];
};

/*
 * Split the path of a target, which begins with "/" and contains no NUL.
 * `memory` has text.size + 1 bytes. Returns 0, or the status that refuses the
 * path, and sets *why.
 */
unsigned torc_path_read(struct torc_path *path, struct torc_slice text,
    uint8_t *memory, const char **why);

/* ---- tree.c ---- */

#define TORC_METHOD_MAX 24u	/* bytes of a method */
#define TORC_ANY_METHOD 63u	/* the number of "*" */
#define TORC_NO_METHOD 64u	/* that of one that no route has */

struct torc_step {
	torc_exchange_handler *call;
	void *arg;
};

struct torc_route {
	struct torc_route *next;	/* of this node */
	char *path;
	unsigned method;	/* its number, or TORC_ANY_METHOD */
	unsigned step_count;
	struct torc_step *steps;	/* outermost first, the handler last */
	bool rest;		/* the last parameter is one */
	unsigned param_count;
	struct torc_slice params[TORC_ROUTE_PARAMS];	/* names, in `path` */
};

/* Segments that routes begin with. */
struct torc_tree {
	struct torc_slice text;	/* of this segment, if it is text */
	struct torc_tree *texts;	/* sorted by size, then bytes */
	unsigned text_count;
	unsigned text_room;
	struct torc_tree *param;
	struct torc_tree *rest;
	struct torc_route *routes;	/* that end here */
};

struct torc_service {
	struct torc_tree tree;
	struct torc_route *otherwise;	/* or NULL */
	unsigned method_count;
	char *methods[TORC_ROUTE_METHODS];
	uint8_t known[TORC_HTTP_CONNECT + 1];	/* numbers, and one more; 0 for
						 * methods without a route */
	struct torc_http_config http;
	void (*refusal)(const struct torc_http_head *request,
	    struct torc_http_refusal *refusal, void *arg);
	void *refusal_arg;
	size_t memory_max;
	unsigned stack_ms;
	void (*observer)(struct torc_exchange *exchange,
	    const struct torc_exchange_summary *end, void *arg);
	void *arg;
};

/*
 * Put a route into the tree, which then owns it; after an error it is freed.
 * Returns 0, -ENOMEM, or -EINVAL with a text.
 */
int torc_tree_add(struct torc_service *service, struct torc_route *route,
    const char *method, struct torc_error *error);

void torc_tree_free(struct torc_service *service);

/* What was found for a request. */
struct torc_found {
	const struct torc_route *route;	/* NULL: none */
	uint64_t allowed;	/* methods that other routes of the path have */
	uint32_t params[TORC_ROUTE_PARAMS];	/* numbers of segments */
};

void torc_tree_find(const struct torc_service *service,
    const struct torc_path *path, const struct torc_http_head *request,
    struct torc_found *found);

/* ---- memory.c ---- */

#define TORC_MEMORY_FIRST 2048u	/* bytes on the stack */
#define TORC_MEMORY_BLOCK 4096u	/* and in each block after them, at least */

struct torc_memory_block {
	_Alignas(16) struct torc_memory_block *next;
};

struct torc_memory {
	uint8_t *at;
	size_t left;
	size_t budget;		/* bytes that may still be taken */
	struct torc_memory_block *blocks;
	_Alignas(16) uint8_t first[TORC_MEMORY_FIRST];
};

void torc_memory_begin(struct torc_memory *memory, size_t most);
void torc_memory_end(struct torc_memory *memory);

/*
 * Move bytes to other memory, of `*wanted` bytes, or of fewer but at least
 * `least`: then `*wanted` is changed. `used` are the bytes to keep of the old
 * `size`. The old memory is freed unless it is small. Returns NULL if there is
 * no memory; the old bytes may be gone then.
 */
void *torc_memory_move(struct torc_exchange *exchange, struct torc_slice used,
    size_t size, size_t least, size_t *wanted);

/* ---- service.c ---- */

struct torc_filter {
	struct torc_filter *next;	/* which it passes pieces to */
	struct torc_exchange *exchange;
	struct torc_filter_kind kind;
	void *arg;
};

/* An exchange. It lies on the stack of its connection's handler. */
struct torc_exchange {
	const struct torc_service *service;
	const struct torc_route *route;
	unsigned step;		/* of the route, which is called next */
	bool refused;		/* torc made the answer itself */
	bool filtered;		/* the answer passes filters */
	int error;
	const char *why;
	uint64_t began;
	struct torc_slice path;
	struct torc_slice query;
	struct torc_slice params[TORC_ROUTE_PARAMS];
	void *data;
	unsigned field_count;
	size_t fields_size;	/* bytes of their names and values */
	struct torc_filter *filters;	/* the last one first */
	torc_deadline deadline;	/* of what JSON writes */
	unsigned status;	/* that JSON begins with */
	struct torc_http http;
	struct torc_http_field fields[TORC_EXCHANGE_FIELDS + 2];
	struct torc_memory memory;
};

/*
 * Parks. Answer with an error, and with `field` in addition to those that were
 * added.
 */
int torc_exchange_deny(struct torc_exchange *exchange, unsigned status,
    int error, const char *why, const struct torc_http_field *field,
    torc_deadline deadline);

/* As torc_exchange_print(), and the size of the text. */
char *torc_exchange_print_list(struct torc_exchange *exchange, size_t *size,
    const char *format, va_list list);

/* A copy of a slice in the exchange's memory, with a NUL; NULL: no memory. */
uint8_t *torc_exchange_copy(struct torc_exchange *exchange,
    struct torc_slice slice);

/* ---- carrier.c ---- */

/*
 * Returns the server of HTTP/1.1 that carries the exchange, or NULL if
 * something else does. Answers through it pass no filters, and have no fields
 * of the exchange.
 */
TORC_BESIDE struct torc_http *torc_exchange_http(
    struct torc_exchange *exchange);
/* The same, if the answer's body is sent unchanged; otherwise NULL. */
TORC_BESIDE struct torc_http *torc_exchange_plain(
    struct torc_exchange *exchange);

/* ---- json.c ---- */

/* Returns the error of a writer, or of one whose text is incomplete; or 0. */
int torc_json_check(const struct torc_json *json);

/* ---- number.c ---- */

#define TORC_NUMBER_MAX 40u	/* bytes of any number */

/*
 * Write a number. Returns its bytes in `text`; 0 if it is not a number, or
 * infinite.
 */
size_t torc_number_write(char text[TORC_NUMBER_MAX], double value);

#endif
