/* SPDX-License-Identifier: MIT */
/*
 * torc_service.h - HTTP services: routes, and a handler for each request.
 *
 * A handler of torc.h gets a connection. A handler of a service gets an
 * exchange: one request and its answer, however they were carried. Routes say
 * which handler answers which request:
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
 * The conventions of torc.h and the limits of torc_http.h apply. A service does
 * not change after it was created, and all reactors share it. Everything else
 * here belongs to one reactor.
 *
 * Between requests a connection uses no stack and no memory of its service: see
 * `stack_ms`. `idle_ms` of struct torc_config limits how long it may stay idle.
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

/*
 * Parameter `text` is a format of printf(3) for the arguments from `first` on.
 */
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
 * `http_size` is the size of the structure that `http` of the configuration
 * points to.
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
 * A handler answers a request. It runs on a fiber and may park. It returns 0 or
 * a negative errno; most handlers return the result of the call that answered.
 *
 * If a handler returns without an answer, torc sends one: the status that
 * torc_http_status_of() gives for the error, or 500 if the handler returned 0.
 * If a handler began an answer and did not end it, the connection is reset. An
 * error that is returned after a complete answer is told only to the observer.
 */
typedef int torc_exchange_handler(struct torc_exchange *exchange, void *arg);

/* ---- Routes ---- */

#define TORC_ROUTE_PARAMS 16	/* of a path, at most */
#define TORC_ROUTE_SEGMENTS 32	/* of the path of a route, at most */
#define TORC_ROUTE_METHODS 63	/* different ones of a service, at most */

/*
 * Create an empty list of routes. Returns 0 or -ENOMEM. Any thread, one at a
 * time.
 */
TORC_API int torc_routes_create(struct torc_routes **routes);

/*
 * Free a list of routes and its groups. Services created from it are not
 * affected. `routes` must not be a group. NULL does nothing.
 */
TORC_API void torc_routes_destroy(struct torc_routes *routes);

/*
 * Add a route: a handler for requests with this method and path. The texts are
 * copied. Errors in a route are reported by torc_service_create().
 *
 * `method` is a method as it is sent, such as "GET", or "*" for any method. It
 * has at most 24 bytes. GET also answers HEAD, without the body. torc answers
 * OPTIONS itself unless there is a route for it.
 *
 * `path` begins with "/". It is written decoded, without percent signs. A
 * segment is the text between two slashes. A segment can be a parameter,
 * "{id}", which matches one segment that is not empty. The last segment can be
 * a rest, "{path...}", which matches everything that follows, even nothing.
 * Names consist of letters, digits and "_". If several routes match, the
 * segments decide from left to right: text comes before a parameter, and a
 * parameter before a rest. A slash at the end of a path matters.
 */
TORC_API void torc_routes_add(struct torc_routes *routes, const char *method,
    const char *path, torc_exchange_handler *handler, void *arg);

/*
 * Create a group of routes whose paths begin with `prefix`. The prefix is "",
 * or begins with "/" and does not end with "/". It is copied. A group is freed
 * with `routes` and can contain groups itself. The result is never NULL:
 * errors, even a lack of memory, are reported by torc_service_create().
 *
 * The path of a route begins with "/" in a group, too. So "/items" and
 * "/items/{id}" go together into a group whose prefix is "".
 */
TORC_API struct torc_routes *torc_routes_group(struct torc_routes *routes,
    const char *prefix);

/*
 * Run a function around each handler of these routes and their groups. This
 * includes routes that were added before. The function calls
 * torc_exchange_next() to go on, or answers instead. Functions of outer groups
 * run first; within one group they run in the order in which they were added.
 * Answers that torc makes itself (404, 405, OPTIONS) do not run them.
 */
TORC_API void torc_routes_around(struct torc_routes *routes,
    torc_exchange_handler *around, void *arg);

/*
 * Set a handler for the requests that no route answers. It replaces torc's own
 * answers: 404, 405, OPTIONS, and 400 or 414 for a path that cannot be read. In
 * this handler torc_exchange_route() returns "*", and torc_exchange_path() is
 * empty if the path could not be read. Functions around `routes` run around
 * this handler, too. `routes` must not be a group. A later call replaces the
 * handler.
 */
TORC_API void torc_routes_otherwise(struct torc_routes *routes,
    torc_exchange_handler *handler, void *arg);

/* ---- Services ---- */

/*
 * How an exchange ended: what an observer is told. Its texts are readable until
 * the observer returns. It grows.
 */
struct torc_exchange_summary {
	const char *route;	/* the route's path, such as "/items/{id}";
				 * NULL: no route was found */
	struct torc_slice method;	/* size 0: it could not be read */
	struct torc_slice target;	/* as it was sent; size 0: it could not
				 * be read */
	unsigned status;	/* 0: there was no answer */
	int error;		/* 0 or a negative errno: what the handler
				 * returned, or why torc refused the request */
	const char *why;	/* the error in words, or NULL */
	bool refused;		/* torc made the answer itself */
	uint64_t received;	/* bytes of the request's body */
	uint64_t sent;		/* bytes of the answer's body */
	uint64_t began_ns;	/* when the head was complete: torc_now() */
	uint64_t ended_ns;	/* when the handler had returned */
};

/*
 * The limits of a service, and its observer. 0 selects the default. It grows.
 */
struct torc_service_config {
	const struct torc_http_config *http;	/* copied; NULL: all defaults.
				 * Its `idle_ms` and `requests_max` must be 0 */
	size_t memory_max;	/* bytes of an exchange's memory, including the
				 * head of its request; 1 MiB; 65536 to 2^30 */
	unsigned stack_ms;	/* how long a connection keeps its stack when it
				 * is new and after each answer, since most
				 * clients send a request soon; 100; to 60000;
				 * TORC_NO_LIMIT: it keeps none */
	/*
	 * Called at the end of each exchange, on its fiber, and also for
	 * requests that torc refused itself. Must not park and must not answer.
	 * NULL: no observer
	 */
	void (*observer)(struct torc_exchange *exchange,
	    const struct torc_exchange_summary *end, void *arg);
	void *arg;		/* passed to the observer */
};

/*
 * Create a service from routes. `routes` may be changed or destroyed
 * afterwards; handlers and their arguments must stay valid. `config` may be
 * NULL.
 *
 * Returns 0, or: -EINVAL a route is malformed, two routes are the same, or a
 * field of `config` is out of range (`error` says which one and why); -ENOMEM.
 * Any thread.
 */
static inline int
torc_service_create(struct torc_service **service,
    const struct torc_routes *routes,
    const struct torc_service_config *config, struct torc_error *error)
{
	return torc_service_create_sized(service, routes, config,
	    sizeof(*config), sizeof(struct torc_http_config), error);
}

/* Free a service that is no longer in use. NULL does nothing. Any thread. */
TORC_API void torc_service_destroy(struct torc_service *service);

/*
 * Serve a connection: a `handler` of struct torc_config or of an endpoint. Its
 * `arg` must be a service.
 */
TORC_API int torc_service_handle(struct torc_conn *conn, void *service);

/* ---- Requests ---- */

/*
 * The results of these calls are readable until the handler returns. Decoded
 * text is followed by a NUL, which is not part of its size.
 */

/* Returns the head of the request as it was sent: fields, target, framing. */
TORC_API const struct torc_http_head *torc_exchange_request(
    const struct torc_exchange *exchange);

/* Returns the value of the first field of this name (any case), or NULL. */
TORC_API const struct torc_slice *torc_exchange_field(
    const struct torc_exchange *exchange, const char *name);

/*
 * Returns the decoded path of the request. It begins with "/", is
 * percent-decoded once, and has no "." and ".." segments. A slash in it may
 * have been an encoded slash within a segment.
 */
TORC_API struct torc_slice torc_exchange_path(
    const struct torc_exchange *exchange);

/* Returns the query of the target: the text after its "?", as it was sent. */
TORC_API struct torc_slice torc_exchange_query(
    const struct torc_exchange *exchange);

/*
 * Returns a parameter, or the rest, of the route's path. It is { NULL, 0 } if
 * the route has no parameter of this name.
 *
 * The text is decoded and contains no NUL. A parameter contains a slash if the
 * client sent an encoded one. A route with a rest does not match a path that
 * has an encoded slash in the rest.
 */
TORC_API struct torc_slice torc_exchange_param(
    const struct torc_exchange *exchange, const char *name);

/*
 * Read a decimal number, for example a parameter. It may begin with "-", but
 * not with "+" or a space. Returns 0, or: -EINVAL the text is not such a
 * number; -ERANGE the number is less than `least` or more than `most`. Any
 * thread.
 */
TORC_API int torc_slice_int(struct torc_slice text, int64_t least,
    int64_t most, int64_t *value);

/*
 * Returns the path of the route, such as "/items/{id}". NULL: no route was
 * found.
 */
TORC_API const char *torc_exchange_route(const struct torc_exchange *exchange);

/*
 * Returns the connection that carries the exchange. Use it to ask for
 * addresses, the listener, or a key for the peer. Do not read, write or close
 * it: it may carry other exchanges at the same time.
 */
TORC_API const struct torc_conn *torc_exchange_conn(
    const struct torc_exchange *exchange);

/*
 * Write the address of the client to `text`. Returns as
 * torc_conn_peer_address().
 */
TORC_API int torc_exchange_peer(const struct torc_exchange *exchange,
    char *text, size_t size);

/*
 * Watch for the client going away while the handler waits for something else.
 * The handler is told as torc_conn_watch_begin() describes. It must end the
 * watch before it reads from the client or answers.
 */
TORC_API void torc_exchange_watch_begin(struct torc_exchange *exchange,
    enum torc_watch what);
TORC_API void torc_exchange_watch_end(struct torc_exchange *exchange);

/*
 * Parks. Read more of the body. Sets `*piece` to one piece, which is readable
 * until the next call. Returns as torc_http_read(). After an error, the client
 * has already been told.
 */
TORC_API int torc_exchange_read(struct torc_exchange *exchange,
    struct torc_slice *piece, torc_deadline deadline);

/*
 * Parks. Read the whole body, or the part that was not read yet. It is stored
 * in the exchange's memory and followed by a NUL. Returns 0, or: -EFBIG it
 * needs more than `memory_max`, or there is no memory (the client was told with
 * 413, unless an answer was begun before); an error as torc_exchange_read().
 */
TORC_API int torc_exchange_body(struct torc_exchange *exchange,
    struct torc_slice *body, torc_deadline deadline);

/*
 * Returns the value of the first trailer field of this name (any case), or
 * NULL. Call it after the body was read to its end, and before anything else is
 * read or answered.
 */
TORC_API const struct torc_slice *torc_exchange_trailer(
    const struct torc_exchange *exchange, const char *name);

/* ---- Pairs: of the query, a form, cookies ---- */

/*
 * A reader of name-value pairs, one after the other. Its fields are torc's.
 * Frozen.
 */
struct torc_pairs {
	struct torc_exchange *exchange;
	struct torc_slice left;
	uint32_t field;
	uint32_t kind;
	uint64_t reserved[2];
};

/* Begin to read the pairs of the query, or the cookies. */
TORC_API void torc_exchange_query_pairs(struct torc_exchange *exchange,
    struct torc_pairs *pairs);
TORC_API void torc_exchange_cookie_pairs(struct torc_exchange *exchange,
    struct torc_pairs *pairs);

/*
 * Parks. Read the body as a form (application/x-www-form-urlencoded). Then
 * torc_pairs_next() returns its pairs. Returns 0, or: -EINVAL the body has
 * another type (the client was told with 415, unless an answer was begun
 * before); an error as torc_exchange_body().
 */
TORC_API int torc_exchange_form_pairs(struct torc_exchange *exchange,
    struct torc_pairs *pairs, torc_deadline deadline);

/*
 * Read the next pair. Returns 1, or 0 after the last pair, or: -EBADMSG an
 * encoding is invalid (a handler may return this error: the answer is 400);
 * -ENOMEM it needs more than `memory_max`.
 *
 * In queries and forms "+" stands for a space, and percent signs are decoded,
 * even to NUL. Cookies are returned as they were sent, without quotes around
 * their values. A name without "=" has an empty value. Empty pairs are skipped.
 * Both texts are in the exchange's memory, followed by a NUL, and readable
 * until the handler returns.
 */
TORC_API int torc_pairs_next(struct torc_pairs *pairs,
    struct torc_slice *name, struct torc_slice *value);

/*
 * Find the value of the first pair of this name. Returns 1; 0 if there is none
 * (`*value` is then { NULL, 0 }); or an error as torc_pairs_next().
 */
TORC_API int torc_exchange_query_find(struct torc_exchange *exchange,
    const char *name, struct torc_slice *value);
TORC_API int torc_exchange_cookie_find(struct torc_exchange *exchange,
    const char *name, struct torc_slice *value);

/* ---- Memory and data of an exchange ---- */

/*
 * Allocate `size` bytes that are freed at the end of the exchange, after the
 * observer was called. They are aligned for any type and not zeroed. Returns
 * NULL if there is no memory, or if the exchange would use more than
 * `memory_max` in all.
 */
TORC_API void *torc_exchange_alloc(struct torc_exchange *exchange,
    size_t size);

/*
 * Format text into the exchange's memory. Returns NULL as
 * torc_exchange_alloc().
 */
TORC_API char *torc_exchange_print(struct torc_exchange *exchange,
    const char *format, ...) TORC_FORMAT(2, 3);

/* Store one pointer of the program with an exchange. It is NULL at first. */
TORC_API void torc_exchange_set_data(struct torc_exchange *exchange,
    void *data);
TORC_API void *torc_exchange_data(const struct torc_exchange *exchange);

/* ---- Around handlers ---- */

/*
 * Go on to the next function around the handler, or to the handler itself.
 * Returns what that function returned, or -EINVAL, and nothing was called: a
 * handler called this, or a function called it for the second time.
 */
TORC_API int torc_exchange_next(struct torc_exchange *exchange);

/* Returns the status of the answer; 0 before the answer was begun. */
TORC_API unsigned torc_exchange_status(const struct torc_exchange *exchange);

/* ---- Answers ---- */

#define TORC_EXCHANGE_FIELDS 32	/* of an answer, at most */
#define TORC_EXCHANGE_FIELDS_SIZE 61440	/* bytes of their names and values */

/*
 * Add a field to the answer's head. Both texts are copied. Content-Length,
 * Transfer-Encoding and Connection are set by torc. Nothing is replaced: a name
 * that is added twice is sent twice. This includes Content-Type, which the
 * calls that answer add for their `type`.
 *
 * Returns 0, or: -EINVAL the answer was begun, the name is not a token or is
 * one of those that torc sets, or the value contains control characters other
 * than tabs; -E2BIG there would be more than TORC_EXCHANGE_FIELDS fields, or
 * they would be larger than TORC_EXCHANGE_FIELDS_SIZE; -ENOMEM.
 */
TORC_API int torc_exchange_add_field(struct torc_exchange *exchange,
    const char *name, const char *value);

/*
 * Parks, but only if the answer is large or earlier output is still unsent.
 * Answer with a body of this type, such as "application/octet-stream". Without
 * a type (NULL) there is no Content-Type. Returns 0, or an error as
 * torc_http_reply(): -EINVAL if the request was answered before.
 */
TORC_API int torc_exchange_reply(struct torc_exchange *exchange,
    unsigned status, const char *type, const void *body, size_t size,
    torc_deadline deadline);

/*
 * Parks, but only if the answer is large or earlier output is still unsent.
 * Answer with text, as "text/plain; charset=utf-8". Returns as
 * torc_exchange_reply().
 */
TORC_API int torc_exchange_text(struct torc_exchange *exchange,
    unsigned status, const char *text, torc_deadline deadline);

/*
 * Parks, but only if the answer is large or earlier output is still unsent.
 * Answer with formatted text. Returns as torc_exchange_reply(); -ENOMEM if the
 * text needs more than `memory_max`.
 */
TORC_API int torc_exchange_textf(struct torc_exchange *exchange,
    unsigned status, const char *format, torc_deadline deadline, ...)
    TORC_FORMAT(3, 5);

/*
 * Parks, but only if the answer is large or earlier output is still unsent.
 * Answer with a redirect to another location. `status` is 301, 302, 303, 307 or
 * 308. `location` is a URI: percent-encoded, without spaces. Returns as
 * torc_exchange_reply(); -EINVAL for another status or location; an error as
 * torc_exchange_add_field().
 */
TORC_API int torc_exchange_redirect(struct torc_exchange *exchange,
    unsigned status, const char *location, torc_deadline deadline);

/*
 * Parks, but only if the answer is large or earlier output is still unsent.
 * Answer with an error, as torc itself does. The text is the usual reason of
 * the status, unless `refusal` of struct torc_http_config changes the answer.
 * `why` (may be NULL) is for that hook and for the observer, which is called
 * after the handler has returned. So it must be a constant, or in memory of
 * torc_exchange_alloc(), but not on the handler's stack. Returns as
 * torc_http_refuse(); -EINVAL if `status` is below 200.
 */
TORC_API int torc_exchange_refuse(struct torc_exchange *exchange,
    unsigned status, const char *why, torc_deadline deadline);

/*
 * Parks, but only if the answer is large or earlier output is still unsent.
 * Answer in pieces: begin once, write as often as needed, end once. `length`
 * and the errors are those of torc_http_begin().
 */
TORC_API int torc_exchange_begin(struct torc_exchange *exchange,
    unsigned status, const char *type, uint64_t length, torc_deadline deadline);
TORC_API int torc_exchange_write(struct torc_exchange *exchange,
    const void *data, size_t size, torc_deadline deadline);
TORC_API int torc_exchange_end(struct torc_exchange *exchange,
    torc_deadline deadline);

/*
 * Parks. Wait until all written data has been passed to the kernel. Returns as
 * torc_http_flush(): after an error the answer cannot be continued.
 */
TORC_API int torc_exchange_flush(struct torc_exchange *exchange,
    torc_deadline deadline);

/*
 * Parks, but only if the answer is large or earlier output is still unsent.
 * Send an informational answer before the answer, such as 103 Early Hints.
 * Returns as torc_http_inform(). Fields of torc_exchange_add_field() are not
 * sent with it.
 */
TORC_API int torc_exchange_inform(struct torc_exchange *exchange,
    unsigned status, const struct torc_http_field *fields,
    unsigned field_count, torc_deadline deadline);

/*
 * Parks. Forward the request to an origin, and its answer back to the client.
 * It works and returns as torc_http_forward(). Fields of
 * torc_exchange_add_field() are not sent, and the answer does not pass filters.
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
 * Returns whether the client asks to switch to another protocol, such as
 * "websocket" (any case), instead of an answer.
 */
TORC_API bool torc_exchange_wants(const struct torc_exchange *exchange,
    const char *protocol);

/*
 * Parks, but only if the answer is large or earlier output is still unsent.
 * Switch to another protocol. The answer says so and carries the fields that
 * were added. From then on `*conn` carries the bytes of the protocol in both
 * directions. The first bytes received on it are those that followed the
 * request. The connection belongs to the handler until the handler returns, and
 * is then closed. It may have no socket of its own (see torc_conn_fd()). Such
 * requests are GET, so they need a route for GET.
 *
 * Returns 0, or: -EINVAL the client did not ask for this protocol, its body was
 * not read to its end, or the answer was begun; an error of torc_conn_write().
 */
TORC_API int torc_exchange_take_over(struct torc_exchange *exchange,
    const char *protocol, struct torc_conn **conn, torc_deadline deadline);

/* ---- Event streams ---- */

/*
 * An event of an event stream. All zero: a comment, which keeps the stream
 * alive. It grows.
 */
struct torc_event {
	const char *name;	/* NULL: "message" */
	const char *id;		/* NULL: none */
	struct torc_slice data;	/* text with any number of lines */
	unsigned retry_ms;	/* the pause before a client reconnects; 0: the
				 * client's own choice */
};

/*
 * Parks, but only if the answer is large or earlier output is still unsent.
 * Begin an event stream (text/event-stream). torc_exchange_end() ends it. A
 * client that reconnects says in the field Last-Event-ID which event it
 * received last. The field "Cache-Control: no-store" is added to the answer.
 * Returns 0, or an error as torc_exchange_begin() or torc_exchange_add_field().
 *
 * A handler that waits for its next event should return when
 * torc_reactor_draining(). For a HEAD request this call completes the answer,
 * and there are no events.
 */
TORC_API int torc_exchange_events_begin(struct torc_exchange *exchange,
    torc_deadline deadline);

/*
 * Parks, but only if the answer is large or earlier output is still unsent.
 * Send an event. It is sent when the fiber waits for the next one. Returns 0,
 * or: -EPIPE the request was HEAD; -EINVAL the name or the id contains a line
 * end, and nothing was written; an error as torc_exchange_write().
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
 * A writer of JSON into memory that the caller provides. It builds no tree and
 * allocates nothing. When the memory is full, put() is called with its content,
 * and must take all of it before it returns 0, or a negative errno. The first
 * error is kept, and later writes do nothing:
 *
 *	-EINVAL		a value without a name in an object, a name in an array,
 *			an end without a beginning, a second outermost value
 *	-EOVERFLOW	deeper than TORC_JSON_DEPTH
 *	-EDOM		a number that is infinite or not a number
 *	-ENOSPC		the memory is full, and there is no put()
 *
 * or an error that put() returned. Text is UTF-8; invalid bytes become U+FFFD.
 * Numbers look the same in every locale. torc_json_double() writes 15 digits,
 * or 16 or 17 where the same number could not be read back otherwise. Its
 * fields are torc's. Frozen.
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

/*
 * Begin a JSON text in `size` bytes at `data`, at least 32. They must stay
 * until the text has ended. `put` may be NULL: then `data` has the whole text.
 */
TORC_API void torc_json_begin(struct torc_json *json, void *data, size_t size,
    int (*put)(const void *data, size_t size, void *arg), void *arg);

/*
 * End a JSON text. Returns its size in bytes, including those passed to put(),
 * or the first error; -EINVAL if the text is incomplete.
 */
TORC_API int64_t torc_json_end(struct torc_json *json);

/*
 * Write a value, or the beginning or the end of one. These calls park only if
 * put() parks. Errors are kept in the writer: see struct torc_json.
 */
/* Begin or end an object or an array. */
TORC_API void torc_json_object_begin(struct torc_json *json);
TORC_API void torc_json_object_end(struct torc_json *json);
TORC_API void torc_json_array_begin(struct torc_json *json);
TORC_API void torc_json_array_end(struct torc_json *json);
/* Write the name of the next value in an object. */
TORC_API void torc_json_name(struct torc_json *json, const char *name);
/*
 * Write a value. Text is passed without quotes and escapes. A text that is NULL
 * is written as null.
 */
TORC_API void torc_json_text(struct torc_json *json, const char *text);
TORC_API void torc_json_slice(struct torc_json *json, struct torc_slice text);
TORC_API void torc_json_int(struct torc_json *json, int64_t value);
TORC_API void torc_json_uint(struct torc_json *json, uint64_t value);
TORC_API void torc_json_double(struct torc_json *json, double value);
TORC_API void torc_json_bool(struct torc_json *json, bool value);
TORC_API void torc_json_null(struct torc_json *json);
/*
 * Write a value that is JSON already. It is not checked, but must not be empty.
 */
TORC_API void torc_json_raw(struct torc_json *json, struct torc_slice value);

/*
 * Begin an answer with a JSON body. Returns 0, or: -EINVAL the request was
 * answered before; -ENOMEM.
 *
 * A text of up to a few KiB is sent as one piece, with its length, when it
 * ends. A longer text is sent while it is written: then the calls of the writer
 * park as torc_exchange_write() does, with this deadline.
 */
TORC_API int torc_exchange_json_begin(struct torc_exchange *exchange,
    unsigned status, struct torc_json *json, torc_deadline deadline);

/*
 * Parks, as torc_exchange_reply() does. End an answer with a JSON body. Call it
 * instead of torc_json_end(). Returns 0, or: -EINVAL the text is incomplete;
 * the writer's error; an error as torc_exchange_reply() or
 * torc_exchange_write(). If part of the answer was sent before the error, the
 * connection is reset; otherwise the request can still be answered.
 */
TORC_API int torc_exchange_json_end(struct torc_exchange *exchange,
    struct torc_json *json, torc_deadline deadline);

/* ---- Filters ---- */

/* The head of an answer that is about to be sent. It grows. */
struct torc_exchange_head {
	unsigned status;
	const char *type;	/* or NULL */
	uint64_t length;	/* of the body, or TORC_HTTP_UNKNOWN */
};

struct torc_filter;

/*
 * A filter changes an answer: its head, and the pieces of its body. Answers
 * pass through the filters in reverse order: the one that was added last comes
 * first. The result of the last one is sent. Answers that torc makes itself
 * (torc_exchange_refuse()) pass through none. It grows.
 */
struct torc_filter_kind {
	/*
	 * Change `*head`, and add fields to the answer. Must not park. Returns
	 * 0; 1: this answer skips the filter; or a negative errno: nothing is
	 * sent, and the call that answers returns the error. The request can
	 * still be answered, but then without filters. NULL: heads are left as
	 * they are.
	 */
	int (*head)(struct torc_exchange *exchange,
	    struct torc_exchange_head *head, void *arg);
	/*
	 * Parks. Process a piece of the body and pass the result to
	 * torc_filter_pass(). `last` marks the final piece, which may be empty;
	 * anything that was held back must be passed then. Returns 0 or a
	 * negative errno, which the call that wrote the piece returns. Not
	 * called for answers without a body: to HEAD, 204 and 304.
	 */
	int (*piece)(struct torc_filter *filter, const void *data,
	    size_t size, bool last, torc_deadline deadline, void *arg);
};

/*
 * Add a filter to the answer of this exchange. `kind` is copied; `arg` must
 * stay until the answer was ended. Returns 0, or: -EINVAL the answer was begun;
 * -ENOMEM.
 */
static inline int
torc_exchange_add_filter(struct torc_exchange *exchange,
    const struct torc_filter_kind *kind, void *arg)
{
	return torc_exchange_add_filter_sized(exchange, kind, sizeof(*kind),
	    arg);
}

/* Parks. Pass a piece of the body on. Returns as torc_exchange_write(). */
TORC_API int torc_filter_pass(struct torc_filter *filter, const void *data,
    size_t size, bool last, torc_deadline deadline);

#ifdef __cplusplus
}
#endif

#pragma GCC diagnostic pop

#endif
