/* SPDX-License-Identifier: MIT */
/*
 * torc_service.h - services: a function for each request, whatever carried it.
 *
 * A handler of torc.h has a connection; a handler of a service has an exchange,
 * which is one request and its answer. Routes say which handler answers what:
 *
 *	static int
 *	greet(struct torc_exchange *exchange, void *arg)
 *	{
 *		struct torc_slice name = torc_exchange_param(exchange, "name");
 *
 *		return torc_exchange_textf(exchange, 200, "hello, %s\n",
 *		    TORC_NEVER, (const char *)name.data);
 *	}
 *
 *	torc_routes_create(&routes);
 *	torc_routes_add(routes, "GET", "/hello/{name}", greet, NULL);
 *	rc = torc_service_create(&service, routes, NULL, &error);
 *	torc_routes_destroy(routes);
 *	config.handler = torc_service_handle;
 *	config.arg = service;
 *
 * The conventions of torc.h and the limits of torc_http.h hold. A service is
 * not changed after it was made, and all reactors share it. Everything else
 * here belongs to one reactor.
 *
 * Between requests a connection has no stack, no request and no memory of its
 * service: see `stack_ms`. How long it may be idle then says `idle_ms` of
 * struct torc_config.
 */
#ifndef TORC_SERVICE_H
#define TORC_SERVICE_H

#include <stdarg.h>

#include "torc_http.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

#ifdef __cplusplus
extern "C" {
#endif

/* Parameter `text` is a format of printf(3), for those from `first` on. */
#define TORC_FORMAT(text, first) \
	__attribute__((__format__(__printf__, text, first)))

struct torc_event;
struct torc_exchange;
struct torc_filter_kind;
struct torc_routes;
struct torc_service;
struct torc_service_config;

/*
 * The calls behind those that take a structure that grows: see torc_runtime.h.
 * `http_size` is that of what `http` of the configuration points to.
 */
TORC_API int torc_service_create_sized(struct torc_service **service,
    const struct torc_routes *routes,
    const struct torc_service_config *config, size_t config_size,
    size_t http_size, struct torc_error *error);
TORC_API int torc_exchange_forward_sized(struct torc_exchange *exchange,
    struct torc_http_client *origin, const struct torc_http_forwarding *how,
    size_t how_size, torc_deadline deadline);
TORC_API int torc_exchange_event_sized(struct torc_exchange *exchange,
    const struct torc_event *event, size_t event_size, torc_deadline deadline);
TORC_API int torc_exchange_add_filter_sized(struct torc_exchange *exchange,
    const struct torc_filter_kind *kind, size_t kind_size, void *arg);

/*
 * A handler answers a request. Runs on a fiber, and may park. Returns 0, or a
 * negative errno: if nothing was answered, the answer is then that of
 * torc_http_status_of(), and 500 if the handler returned 0. An answer that was
 * begun and not ended resets the connection. Most handlers return what the call
 * that answers has returned.
 */
typedef int torc_exchange_handler(struct torc_exchange *exchange, void *arg);

/* ---- Routes ---- */

#define TORC_ROUTE_PARAMS 16	/* of a path, at most */
#define TORC_ROUTE_SEGMENTS 32	/* of the path of a route, at most */
#define TORC_ROUTE_METHODS 63	/* different ones of a service, at most */

/* Begin to list routes. Returns 0 or -ENOMEM. Any thread, one at a time. */
TORC_API int torc_routes_create(struct torc_routes **routes);

/*
 * Free a list, with its groups; services that were made of it stay. Not for
 * groups. NULL does nothing.
 */
TORC_API void torc_routes_destroy(struct torc_routes *routes);

/*
 * Add a route: a handler for requests with this method and path. All text is
 * copied. What is wrong with a route is told by torc_service_create().
 *
 * `method` is a method as it is sent, such as "GET", or "*" for any; at most 24
 * bytes. GET also answers HEAD, without the body. OPTIONS is answered by torc
 * unless there is a route for it.
 *
 * `path` begins with "/". It is written decoded: no percent signs. A segment
 * (what is between two slashes) may be a parameter, "{id}", which matches a
 * segment that is not empty. The last one may be a rest, "{path...}", which
 * matches all that follows, also nothing. Names are letters, digits and "_".
 * Where several routes match, the segments decide from left to right: text
 * before a parameter, a parameter before a rest. A slash at the end counts.
 */
TORC_API void torc_routes_add(struct torc_routes *routes, const char *method,
    const char *path, torc_exchange_handler *handler, void *arg);

/*
 * Make a group of routes: their paths come behind `prefix`, which is "" or
 * begins with "/" and does not end with it. It lives as long as `routes`, and
 * may have groups itself.
 */
TORC_API struct torc_routes *torc_routes_group(struct torc_routes *routes,
    const char *prefix);

/*
 * Put a function around handlers: let it run around each handler of these
 * routes and of their groups, also of those that were added before. It calls
 * torc_exchange_next() to go on, or answers instead. Those of outer groups run
 * first, and of one group those that were added first. What torc answers by
 * itself (404, 405, OPTIONS) has nothing around it.
 */
TORC_API void torc_routes_around(struct torc_routes *routes,
    torc_exchange_handler *around, void *arg);

/*
 * Set a handler for the requests that no route answers. It replaces torc's own
 * answers: 404, 405, OPTIONS, and 400 or 414 for a path that cannot be read.
 * torc_exchange_path() has no path then, and torc_exchange_route() is "*".
 * Functions around `routes` run around this handler, too. `routes` must not be
 * a group. A later call replaces the handler.
 */
TORC_API void torc_routes_otherwise(struct torc_routes *routes,
    torc_exchange_handler *handler, void *arg);

/* ---- Services ---- */

/*
 * The end of an exchange: what an observer is told. It grows.
 */
struct torc_exchange_summary {
	const char *route;	/* its path, as "/items/{id}"; NULL: none */
	struct torc_slice method;	/* size 0: it was not read */
	struct torc_slice target;	/* as it was sent; size 0: as above */
	unsigned status;	/* 0: there was no answer */
	int error;		/* a negative errno, or 0: what the handler
				 * returned, or why torc refused */
	const char *why;	/* in words, or NULL */
	bool refused;		/* torc has answered by itself */
	uint64_t received;	/* bytes of the request's body */
	uint64_t sent;		/* bytes of the answer's body */
	uint64_t began_ns;	/* when the head was there: torc_now() */
	uint64_t ended_ns;	/* when the handler was done */
};

/* The bounds of a service, and its observer. 0 has the default. It grows. */
struct torc_service_config {
	const struct torc_http_config *http;	/* copied; NULL: all defaults.
				 * Its `idle_ms` and `requests_max` must be 0 */
	size_t memory_max;	/* bytes of an exchange's memory, with the head
				 * of its request; 1 MiB; 65536 to 2^30 */
	unsigned stack_ms;	/* for which a connection keeps its stack when
				 * it is new, and after an answer, since most
				 * clients that ask do so soon; 100; to 60000;
				 * TORC_NO_LIMIT: it keeps none */
	/*
	 * Called at the end of each exchange, on its fiber, also of what torc
	 * has refused by itself. Does not park, and does not answer. NULL: none
	 */
	void (*observer)(struct torc_exchange *exchange,
	    const struct torc_exchange_summary *end, void *arg);
	void *arg;		/* for it */
};

/*
 * Make a service of routes. `routes` may be destroyed after it, or changed for
 * another one; handlers and their arguments must stay. `config` may be NULL.
 *
 * Returns 0, or: -EINVAL a route is malformed, two of them are the same, or a
 * field of `config` is out of its bounds, and `error` says which and why;
 * -ENOMEM. Any thread.
 */
static inline int
torc_service_create(struct torc_service **service,
    const struct torc_routes *routes,
    const struct torc_service_config *config, struct torc_error *error)
{
	return torc_service_create_sized(service, routes, config,
	    sizeof(*config), sizeof(struct torc_http_config), error);
}

/* Free a service, which nobody uses any more. NULL does nothing. Any thread. */
TORC_API void torc_service_destroy(struct torc_service *service);

/* Handle connections: the handler for them, whose `arg` is a service. */
TORC_API int torc_service_handle(struct torc_conn *conn, void *service);

/* ---- Requests ---- */

/*
 * What these return is readable until the handler returns. Text that was
 * decoded has a NUL behind it, which does not count.
 */

/* Returns the head as it was sent: fields, target, framing. */
TORC_API const struct torc_http_head *torc_exchange_request(
    const struct torc_exchange *exchange);

/* Returns the value of the first field of this name (any case), or NULL. */
TORC_API const struct torc_slice *torc_exchange_field(
    const struct torc_exchange *exchange, const char *name);

/*
 * Returns the decoded path of the request: percent-decoded once, without "."
 * and ".." segments. Begins with "/". A slash in it may have been encoded in a
 * segment.
 */
TORC_API struct torc_slice torc_exchange_path(
    const struct torc_exchange *exchange);

/* Returns the query of the target: what is behind its "?", as it was sent. */
TORC_API struct torc_slice torc_exchange_query(
    const struct torc_exchange *exchange);

/*
 * Returns a parameter, or the rest, of the route's path: decoded, without NUL
 * in it. A parameter has a slash in it if that was encoded; a path with such a
 * slash in its rest matches no rest. { NULL, 0 } if the route has none of this
 * name.
 */
TORC_API struct torc_slice torc_exchange_param(
    const struct torc_exchange *exchange, const char *name);

/*
 * Read a decimal number, for example a parameter. It may begin with "-", but
 * not with "+" or a space. Returns 0, or: -EINVAL the text is no such number;
 * -ERANGE it is less than `least` or more than `most`. Any thread.
 */
TORC_API int torc_slice_int(struct torc_slice text, int64_t least,
    int64_t most, int64_t *value);

/* Returns the path of the route, as "/items/{id}"; NULL: none was found. */
TORC_API const char *torc_exchange_route(const struct torc_exchange *exchange);

/*
 * Returns the connection that carries the exchange, to ask what it is: its
 * addresses, its listener, a key for its peer. It may carry other exchanges at
 * the same time, so it is not read, written or closed.
 */
TORC_API const struct torc_conn *torc_exchange_conn(
    const struct torc_exchange *exchange);

/* Write the address of the client to `text`, as torc_conn_peer_address(). */
TORC_API int torc_exchange_peer(const struct torc_exchange *exchange,
    char *text, size_t size);

/*
 * Watch the client: let the handler be told when it goes, while it waits for
 * something else than its request: as torc_conn_watch_begin(). The handler ends
 * the watch before it reads or answers.
 */
TORC_API void torc_exchange_watch_begin(struct torc_exchange *exchange,
    enum torc_watch what);
TORC_API void torc_exchange_watch_end(struct torc_exchange *exchange);

/*
 * Parks. Read more of the body, in one piece, readable until the next call.
 * Returns as torc_http_read(): the client was told of errors.
 */
TORC_API int torc_exchange_read(struct torc_exchange *exchange,
    struct torc_slice *piece, torc_deadline deadline);

/*
 * Parks. Read the whole body, or what was not read of it, in the exchange's
 * memory, with a NUL behind it. Returns 0, or as torc_exchange_read(); -EFBIG:
 * it needs more than `memory_max`, and the client was told with 413.
 */
TORC_API int torc_exchange_body(struct torc_exchange *exchange,
    struct torc_slice *body, torc_deadline deadline);

/*
 * Returns the value of the first field of this name (any case) behind the body,
 * or NULL. To be asked for when the body was read to its end, and before
 * anything else is read or answered.
 */
TORC_API const struct torc_slice *torc_exchange_trailer(
    const struct torc_exchange *exchange, const char *name);

/* ---- Pairs: of the query, a form, cookies ---- */

/*
 * Pairs of names and values, one after the other. Its fields are torc's.
 * Frozen.
 */
struct torc_pairs {
	struct torc_exchange *exchange;
	struct torc_slice left;
	uint32_t field;
	uint32_t kind;
	uint64_t reserved[2];
};

/* Begin with the pairs of the query, or with the cookies. */
TORC_API void torc_exchange_query_pairs(struct torc_exchange *exchange,
    struct torc_pairs *pairs);
TORC_API void torc_exchange_cookie_pairs(struct torc_exchange *exchange,
    struct torc_pairs *pairs);

/*
 * Parks. Read the body, a form (application/x-www-form-urlencoded), and begin
 * with its pairs. Returns as torc_exchange_body(); -EINVAL: it is of another
 * type, and the client was told with 415.
 */
TORC_API int torc_exchange_form_pairs(struct torc_exchange *exchange,
    struct torc_pairs *pairs, torc_deadline deadline);

/*
 * Read the next pair. Returns 1; 0 at the end; or -EBADMSG: an encoding is
 * invalid (which a handler may return: 400), -ENOMEM: more than `memory_max`.
 * In queries and forms "+" is a space and percent signs are decoded, also of
 * NUL; cookies are as they were sent, without quotes around their values. A
 * name without "=" has an empty value; empty pairs are passed over.
 */
TORC_API int torc_pairs_next(struct torc_pairs *pairs,
    struct torc_slice *name, struct torc_slice *value);

/*
 * Find the value of the first pair of this name. Returns 1; 0: none, and
 * `*value` is { NULL, 0 }; or as torc_pairs_next().
 */
TORC_API int torc_exchange_query_find(struct torc_exchange *exchange,
    const char *name, struct torc_slice *value);
TORC_API int torc_exchange_cookie_find(struct torc_exchange *exchange,
    const char *name, struct torc_slice *value);

/* ---- Memory and data of an exchange ---- */

/*
 * Allocate `size` bytes that are freed at the end of the exchange; aligned for
 * any type, not zeroed. Returns NULL if there is no memory, or it would be more
 * than `memory_max` in all.
 */
TORC_API void *torc_exchange_alloc(struct torc_exchange *exchange,
    size_t size);

/* Format text in memory of torc_exchange_alloc(), or NULL as there. */
TORC_API char *torc_exchange_print(struct torc_exchange *exchange,
    const char *format, ...) TORC_FORMAT(2, 3);

/* Keep one pointer of the program with an exchange, NULL at first. */
TORC_API void torc_exchange_set_data(struct torc_exchange *exchange,
    void *data);
TORC_API void *torc_exchange_data(const struct torc_exchange *exchange);

/* ---- Around handlers ---- */

/*
 * Go on with what is inside of the calling function: the next one around the
 * handler, or the handler. Returns what that has returned; or -EINVAL, and
 * nothing was called: for a handler, which has nothing inside, and for a second
 * call of the same function.
 */
TORC_API int torc_exchange_next(struct torc_exchange *exchange);

/* Returns the status of the answer, once it was begun; 0 before. */
TORC_API unsigned torc_exchange_status(const struct torc_exchange *exchange);

/* ---- Answers ---- */

#define TORC_EXCHANGE_FIELDS 32	/* of an answer, at most */
#define TORC_EXCHANGE_FIELDS_SIZE 61440	/* bytes of their names and values */

/*
 * Add a field to the answer's head; both texts are copied. Not Content-Length,
 * Transfer-Encoding or Connection. What can be added can be sent. Returns 0,
 * or: -EINVAL the answer was begun, or the name is no token, or the value has
 * control characters other than tabs in it; -E2BIG there would be more than
 * TORC_EXCHANGE_FIELDS, or they would be larger than TORC_EXCHANGE_FIELDS_SIZE;
 * -ENOMEM.
 */
TORC_API int torc_exchange_add_field(struct torc_exchange *exchange,
    const char *name, const char *value);

/*
 * Parks, but only if the answer is large, or the last ones are not taken.
 * Answer with bytes of a type, such as "application/octet-stream" (NULL: no
 * Content-Type). Returns 0, or an error as torc_http_reply(): -EINVAL if the
 * request was answered before.
 */
TORC_API int torc_exchange_reply(struct torc_exchange *exchange,
    unsigned status, const char *type, const void *body, size_t size,
    torc_deadline deadline);

/*
 * Parks, but only if the answer is large, or the last ones are not taken.
 * Answer with text: "text/plain; charset=utf-8".
 */
TORC_API int torc_exchange_text(struct torc_exchange *exchange,
    unsigned status, const char *text, torc_deadline deadline);

/*
 * Parks, but only if the answer is large, or the last ones are not taken.
 * Answer with formatted text, of at most `memory_max`: -ENOMEM.
 */
TORC_API int torc_exchange_textf(struct torc_exchange *exchange,
    unsigned status, const char *format, torc_deadline deadline, ...)
    TORC_FORMAT(3, 5);

/*
 * Parks, but only if the answer is large, or the last ones are not taken.
 * Answer with 301, 302, 303, 307 or 308 and a Location, which is an URI:
 * percent-encoded, no spaces. -EINVAL for another one.
 */
TORC_API int torc_exchange_redirect(struct torc_exchange *exchange,
    unsigned status, const char *location, torc_deadline deadline);

/*
 * Parks, but only if the answer is large, or the last ones are not taken.
 * Answer with an error as torc does by itself: its usual words as text, or what
 * `refusal` of struct torc_http_config makes of it. `why` is for that and for
 * the observer, and stays until the handler returns; or NULL.
 */
TORC_API int torc_exchange_refuse(struct torc_exchange *exchange,
    unsigned status, const char *why, torc_deadline deadline);

/*
 * Parks, but only if the answer is large, or the last ones are not taken.
 * Answer in pieces: begin, write as often as you like, end. `length` and errors
 * are those of torc_http_begin().
 */
TORC_API int torc_exchange_begin(struct torc_exchange *exchange,
    unsigned status, const char *type, uint64_t length, torc_deadline deadline);
TORC_API int torc_exchange_write(struct torc_exchange *exchange,
    const void *data, size_t size, torc_deadline deadline);
TORC_API int torc_exchange_end(struct torc_exchange *exchange,
    torc_deadline deadline);

/* Parks. Wait until what was written is in the kernel's hands. */
TORC_API int torc_exchange_flush(struct torc_exchange *exchange,
    torc_deadline deadline);

/*
 * Parks, but only if the answer is large, or the last ones are not taken. Send
 * an answer before the answer, such as 103 Early Hints: as torc_http_inform().
 * Fields that were added are not among its own.
 */
TORC_API int torc_exchange_inform(struct torc_exchange *exchange,
    unsigned status, const struct torc_http_field *fields,
    unsigned field_count, torc_deadline deadline);

/*
 * Parks. Pass the request on to an origin, and its answer back: as
 * torc_http_forward(). The answer has no fields that were added, and passes no
 * filters.
 */
static inline int
torc_exchange_forward(struct torc_exchange *exchange,
    struct torc_http_client *origin, const struct torc_http_forwarding *how,
    torc_deadline deadline)
{
	return torc_exchange_forward_sized(exchange, origin, how, sizeof(*how),
	    deadline);
}

/* ---- Other protocols ---- */

/*
 * Returns whether the client asks to go on with another protocol (any case),
 * such as "websocket", in place of an answer.
 */
TORC_API bool torc_exchange_wants(const struct torc_exchange *exchange,
    const char *protocol);

/*
 * Parks, but only if the answer is large, or the last ones are not taken.
 * Accept another protocol: the answer says so, with the fields that were added,
 * and from then on `*conn` carries the bytes of the protocol both ways. It
 * shows first what came behind the request, belongs to the handler until this
 * returns, and is closed then. It may have no socket of its own (see
 * torc_conn_fd()). The route of a request that asks for it is one of GET.
 *
 * Returns 0, or: -EINVAL the client did not ask for this protocol, its body was
 * not read to its end, or the answer was begun; what torc_conn_write() says.
 */
TORC_API int torc_exchange_take_over(struct torc_exchange *exchange,
    const char *protocol, struct torc_conn **conn, torc_deadline deadline);

/* ---- Event streams ---- */

/*
 * An event of a stream. All zero: a comment, which shows that it lives. It
 * grows.
 */
struct torc_event {
	const char *name;	/* NULL: "message" */
	const char *id;		/* NULL: none */
	struct torc_slice data;	/* text, of any number of lines */
	unsigned retry_ms;	/* before a client connects anew; 0: its own */
};

/*
 * Parks, but only if the answer is large, or the last ones are not taken. Begin
 * a stream of events (text/event-stream). What the client had last is the field
 * Last-Event-ID. torc_exchange_end() ends it. A handler that waits for
 * something to tell ends when torc_reactor_draining(). The answer to HEAD is
 * whole with this: there are no events.
 */
TORC_API int torc_exchange_events_begin(struct torc_exchange *exchange,
    torc_deadline deadline);

/*
 * Parks, but only if the answer is large, or the last ones are not taken. Send
 * an event. It leaves when the fiber waits for the next one. Returns 0, or as
 * torc_exchange_write(); -EPIPE the request was HEAD; -EINVAL, and nothing was
 * written: the name or the id has a line end in it.
 */
static inline int
torc_exchange_event(struct torc_exchange *exchange,
    const struct torc_event *event, torc_deadline deadline)
{
	return torc_exchange_event_sized(exchange, event, sizeof(*event),
	    deadline);
}

/* ---- JSON ---- */

#define TORC_JSON_DEPTH 64	/* of objects and arrays, at most */

/*
 * A writer of JSON into memory of the caller's. When it is full, put() is given
 * what it has. It keeps no tree and allocates nothing. The first error stays,
 * and what is written after it does nothing:
 *
 *	-EINVAL		a value without a name in an object, a name in an array,
 *			an end of what was not begun, a second value
 *	-EOVERFLOW	deeper than TORC_JSON_DEPTH
 *	-EDOM		a number that is none, or infinite
 *	-ENOSPC		the memory is full, and there is no put()
 *
 * or what put() has returned. Text is UTF-8; bytes that are not become U+FFFD.
 * Numbers are written in the same way in every locale: those of
 * torc_json_double() with 15 digits, or 16 or 17 if it takes them to bring the
 * same number back. Its fields are torc's. Frozen.
 */
struct torc_json {
	uint8_t *data;
	size_t size;
	size_t used;
	uint64_t total;		/* bytes that put() has taken */
	uint64_t arrays;	/* bit n: level n is an array */
	int (*put)(const void *data, size_t size, void *arg);
	void *arg;
	int error;
	uint8_t depth;
	bool comma;		/* before the next value */
	bool named;		/* a name was written, and its value is next */
	bool whole;		/* the outermost value was written */
	uint64_t reserved[4];
};

/* Begin in `size` bytes at `data`, at least 32. `put` may be NULL. */
TORC_API void torc_json_begin(struct torc_json *json, void *data, size_t size,
    int (*put)(const void *data, size_t size, void *arg), void *arg);

/*
 * End a text. Returns how many bytes it has in all, or the first error; -EINVAL
 * if it is not whole.
 */
TORC_API int64_t torc_json_end(struct torc_json *json);

/*
 * Write a value, or the beginning or the end of one. They park only if put()
 * does. Errors are those of struct torc_json.
 */
/* An object or an array, with what comes until its end. */
TORC_API void torc_json_object_begin(struct torc_json *json);
TORC_API void torc_json_object_end(struct torc_json *json);
TORC_API void torc_json_array_begin(struct torc_json *json);
TORC_API void torc_json_array_end(struct torc_json *json);
/* The name of the next value, in an object. */
TORC_API void torc_json_name(struct torc_json *json, const char *name);
/* A value: text is given without quotes and escapes. */
TORC_API void torc_json_text(struct torc_json *json, const char *text);
TORC_API void torc_json_slice(struct torc_json *json, struct torc_slice text);
TORC_API void torc_json_int(struct torc_json *json, int64_t value);
TORC_API void torc_json_uint(struct torc_json *json, uint64_t value);
TORC_API void torc_json_double(struct torc_json *json, double value);
TORC_API void torc_json_bool(struct torc_json *json, bool value);
TORC_API void torc_json_null(struct torc_json *json);
/* A value that is JSON already: it is not looked at, but may not be empty. */
TORC_API void torc_json_raw(struct torc_json *json, struct torc_slice value);

/*
 * Begin an answer that is JSON. What fits into a few KiB goes out with its
 * length at the end, in one piece; what does not begins to go out before:
 * then calls of the writer park, as torc_exchange_write() does, and have this
 * deadline. Returns 0, or: -EINVAL the request was answered before; -ENOMEM.
 */
TORC_API int torc_exchange_json_begin(struct torc_exchange *exchange,
    unsigned status, struct torc_json *json, torc_deadline deadline);

/*
 * Parks, as torc_exchange_reply(). End an answer that is JSON. Returns 0, or
 * the writer's error: then nothing was answered if nothing had gone out, and
 * the connection is reset otherwise.
 */
TORC_API int torc_exchange_json_end(struct torc_exchange *exchange,
    struct torc_json *json, torc_deadline deadline);

/* ---- Filters ---- */

/* The head of an answer that is about to go out. It grows. */
struct torc_exchange_head {
	unsigned status;
	const char *type;	/* or NULL */
	uint64_t length;	/* of the body, or TORC_HTTP_UNKNOWN */
};

struct torc_filter;

/*
 * A filter shapes an answer: its head, and the pieces of its body. An answer
 * passes the filters from the one that was added last to the one that was added
 * first, and what they have done with it is sent. Answers of torc's own
 * (torc_exchange_refuse()) pass none. It grows.
 */
struct torc_filter_kind {
	/*
	 * Change `*head`, and add fields to the answer. 0; 1: this answer does
	 * not pass the filter; or a negative errno, and there is no answer.
	 * NULL: leaves heads as they are. Does not park.
	 */
	int (*head)(struct torc_exchange *exchange,
	    struct torc_exchange_head *head, void *arg);
	/*
	 * Parks. A piece of the body: give torc_filter_pass() what becomes of
	 * it. `last`: there is none after it, which may be empty; what was kept
	 * back goes with it. 0 or a negative errno, which is the result of what
	 * has written. Not called for answers without a body: to HEAD, 204 and
	 * 304.
	 */
	int (*piece)(struct torc_filter *filter, const void *data,
	    size_t size, bool last, torc_deadline deadline, void *arg);
};

/*
 * Let the answer of this exchange pass a filter. `kind` is copied; `arg` stays
 * until the answer was ended. Returns 0, or: -EINVAL the answer was begun;
 * -ENOMEM.
 */
static inline int
torc_exchange_add_filter(struct torc_exchange *exchange,
    const struct torc_filter_kind *kind, void *arg)
{
	return torc_exchange_add_filter_sized(exchange, kind, sizeof(*kind),
	    arg);
}

/*
 * Parks. Pass a piece of the body on. Returns as torc_exchange_write().
 */
TORC_API int torc_filter_pass(struct torc_filter *filter, const void *data,
    size_t size, bool last, torc_deadline deadline);

#ifdef __cplusplus
}
#endif

#pragma GCC diagnostic pop

#endif
