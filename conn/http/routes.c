/* SPDX-License-Identifier: MIT */
/*
 * routes.c - lists of routes, and services that are created from them.
 *
 * Errors while routes are listed are kept, so that a program checks for errors
 * in one place.
 */
#include <errno.h>
#include <stdio.h>

#include "conn/http/service.h"
#include "conn/http/scan.h"
#include "reactor/config.h"
#include "reactor/error.h"
#include "sys/sys.h"

#define PATH_MAX_SIZE 4096u	/* bytes of a route's path */

struct listed {
	struct listed *next;
	char *method;
	char *path;
	torc_exchange_handler *handler;
	void *arg;
};

struct around {
	struct around *next;
	torc_exchange_handler *call;
	void *arg;
};

struct torc_routes {
	struct torc_routes *outer;	/* NULL: the outermost */
	struct torc_routes *next;	/* of its outer one */
	struct torc_routes *groups;
	struct torc_routes **last_group;
	struct listed *routes;
	struct listed **last_route;
	struct around *arounds;
	struct around **last_around;
	char *prefix;
	torc_exchange_handler *otherwise;	/* of the outermost; or NULL */
	void *otherwise_arg;
	bool failed;		/* of the outermost: there was no memory */
};

/* ---- Listing them ---- */

static char *
copy(const char *text)
{
	const size_t size = strlen(text) + 1;
	char *made = torc_sys_alloc(size);

	if (made != NULL)
		memcpy(made, text, size);
	return made;
}

static void
fail(struct torc_routes *routes)
{
	while (routes->outer != NULL)
		routes = routes->outer;
	routes->failed = true;
}

static struct torc_routes *
make_routes(struct torc_routes *outer, const char *prefix)
{
	struct torc_routes *routes = torc_sys_alloc(sizeof(*routes));

	if (routes == NULL)
		return NULL;
	routes->prefix = copy(prefix);
	if (routes->prefix == NULL) {
		torc_sys_free(routes);
		return NULL;
	}
	routes->outer = outer;
	routes->last_group = &routes->groups;
	routes->last_route = &routes->routes;
	routes->last_around = &routes->arounds;
	return routes;
}

int
torc_routes_create(struct torc_routes **routes)
{
	torc_require(routes != NULL,
	    "torc_routes_create() needs a place for the routes");
	*routes = make_routes(NULL, "");
	return *routes == NULL ? -ENOMEM : 0;
}

void
torc_routes_add(struct torc_routes *routes, const char *method,
    const char *path, torc_exchange_handler *handler, void *arg)
{
	struct listed *listed;

	torc_require(routes != NULL && method != NULL && path != NULL &&
	    handler != NULL, "a route needs a method, a path and a handler");
	listed = torc_sys_alloc(sizeof(*listed));
	if (listed == NULL) {
		fail(routes);
		return;
	}
	*listed = (struct listed) {
		NULL, copy(method), copy(path), handler, arg,
	};
	if (listed->method == NULL || listed->path == NULL)
		fail(routes);
	*routes->last_route = listed;
	routes->last_route = &listed->next;
}

struct torc_routes *
torc_routes_group(struct torc_routes *routes, const char *prefix)
{
	struct torc_routes *group;

	torc_require(routes != NULL && prefix != NULL,
	    "a group needs its routes and a prefix, which may be empty");
	group = make_routes(routes, prefix);
	if (group == NULL) {
		fail(routes);
		return routes;
	}
	*routes->last_group = group;
	routes->last_group = &group->next;
	return group;
}

void
torc_routes_around(struct torc_routes *routes, torc_exchange_handler *around,
    void *arg)
{
	struct around *added;

	torc_require(routes != NULL && around != NULL,
	    "torc_routes_around() needs its routes and a function");
	added = torc_sys_alloc(sizeof(*added));
	if (added == NULL) {
		fail(routes);
		return;
	}
	*added = (struct around) { NULL, around, arg };
	*routes->last_around = added;
	routes->last_around = &added->next;
}

void
torc_routes_otherwise(struct torc_routes *routes,
    torc_exchange_handler *handler, void *arg)
{
	torc_require(routes != NULL && routes->outer == NULL &&
	    handler != NULL, "torc_routes_otherwise() needs a handler, and "
	    "routes that are not a group");
	routes->otherwise = handler;
	routes->otherwise_arg = arg;
}

/* Groups may contain groups: innermost groups are freed first. */
static void
free_one(struct torc_routes *routes)
{
	while (routes->routes != NULL) {
		struct listed *listed = routes->routes;

		routes->routes = listed->next;
		torc_sys_free(listed->method);
		torc_sys_free(listed->path);
		torc_sys_free(listed);
	}
	while (routes->arounds != NULL) {
		struct around *around = routes->arounds;

		routes->arounds = around->next;
		torc_sys_free(around);
	}
	torc_sys_free(routes->prefix);
	torc_sys_free(routes);
}

void
torc_routes_destroy(struct torc_routes *routes)
{
	struct torc_routes *at = routes;

	torc_require(routes == NULL || routes->outer == NULL,
	    "a group of routes is freed with the routes that it is in");
	while (at != NULL) {
		struct torc_routes *outer = at->outer;

		if (at->groups != NULL) {
			at = at->groups;
			continue;
		}
		if (outer != NULL)
			outer->groups = at->next;
		free_one(at);
		at = outer;
	}
}

/* ---- Checking them ---- */

static bool
is_name(uint8_t c)
{
	return (is_plain(c) && c != '-') || c == '_';
}

/*
 * Returns the name in "{name}" or "{name...}"; its size is 0 if there is no
 * valid name.
 */
static struct torc_slice
name_of(struct torc_slice segment, bool *rest)
{
	struct torc_slice name = { segment.data + 1, segment.size - 2 };

	*rest = name.size > 3 &&
	    memcmp(name.data + name.size - 3, "...", 3) == 0;
	if (*rest)
		name.size -= 3;
	for (size_t i = 0; i < name.size; i++) {
		if (!is_name(name.data[i]))
			return (struct torc_slice) { NULL, 0 };
	}
	return name;
}

static const char *
check_param(struct torc_route *route, struct torc_slice segment, bool last)
{
	struct torc_slice name;
	bool rest;

	if (segment.size < 2 || segment.data[0] != '{' ||
	    segment.data[segment.size - 1] != '}')
		return "a parameter must be a whole segment, as in /items/{id}";
	name = name_of(segment, &rest);
	if (name.size == 0)
		return "the name of a parameter must consist of letters, "
		    "digits and \"_\"";
	if (rest && !last)
		return "a rest must be the last segment";
	if (route->param_count == TORC_ROUTE_PARAMS)
		return "it has more than 16 parameters";
	for (unsigned i = 0; i < route->param_count; i++) {
		const struct torc_slice *other = &route->params[i];

		if (other->size == name.size &&
		    memcmp(other->data, name.data, name.size) == 0)
			return "two of its parameters have the same name";
	}
	route->params[route->param_count++] = name;
	route->rest = rest;
	return NULL;
}

static const char *
check_segment(struct torc_route *route, struct torc_slice segment, bool last)
{
	if (segment.size == 0)
		return last ? NULL : "it has an empty segment";
	if (torc_is_text(segment, ".") || torc_is_text(segment, ".."))
		return "\".\" and \"..\" are removed from the paths of "
		    "requests before they are looked up";
	for (size_t i = 0; i < segment.size; i++) {
		const uint8_t c = segment.data[i];

		if (c == '{' || c == '}')
			return check_param(route, segment, last);
		if (c < 0x20 || c == 0x7f)
			return "it has a control character";
		if (c == '%')
			return "it must be written decoded, without \"%\"";
		if (c == '?' || c == '#')
			return "a path must not contain \"?\" or \"#\"";
	}
	return NULL;
}

/* Returns what is wrong with a path; or NULL, and its parameters are set. */
static const char *
check_path(struct torc_route *route)
{
	const char *at = route->path, *wrong = NULL;
	unsigned count = 0;

	if (*at != '/')
		return "a path must begin with \"/\"";
	while (wrong == NULL && *at == '/') {
		const char *from = ++at;
		struct torc_slice segment;

		at += strcspn(at, "/");
		segment = (struct torc_slice) {
			(const uint8_t *)from, (size_t)(at - from),
		};
		if (++count > TORC_ROUTE_SEGMENTS)
			return "it has more than 32 segments";
		wrong = check_segment(route, segment, *at == '\0');
	}
	return wrong;
}

static const char *
check_method(const char *method)
{
	if (strcmp(method, "*") == 0)
		return NULL;
	if (*method == '\0')
		return "it has no method; \"*\" means any";
	if (strlen(method) > TORC_METHOD_MAX)
		return "the method is longer than 24 bytes";
	for (const char *at = method; *at != '\0'; at++) {
		if (!is_token((uint8_t)*at))
			return "the method is not a token";
		if (*at >= 'a' && *at <= 'z')
			return "methods are case-sensitive: write it in "
			    "capitals";
	}
	return strcmp(method, "CONNECT") == 0 ? "CONNECT is not offered" :
	    NULL;
}

/* ---- Compiling them ---- */

/*
 * Returns the path with the prefixes of all its groups, or NULL if there is no
 * memory.
 */
static char *
whole_path(const struct torc_routes *routes, const char *path)
{
	size_t size = strlen(path) + 1;
	char *whole, *at;

	for (const struct torc_routes *r = routes; r != NULL; r = r->outer)
		size += strlen(r->prefix);
	whole = torc_sys_alloc(size);
	if (whole == NULL)
		return NULL;
	at = whole + size - strlen(path) - 1;
	memcpy(at, path, strlen(path));
	for (const struct torc_routes *r = routes; r != NULL; r = r->outer) {
		at -= strlen(r->prefix);
		memcpy(at, r->prefix, strlen(r->prefix));
	}
	return whole;
}

/*
 * Set the steps of a route: the functions around it, the outermost first, and
 * the handler.
 */
static bool
put_steps(struct torc_route *route, const struct torc_routes *routes,
    const struct listed *listed)
{
	unsigned count = 1, at;

	for (const struct torc_routes *r = routes; r != NULL; r = r->outer)
		for (const struct around *a = r->arounds; a != NULL;
		    a = a->next)
			count++;
	route->steps = torc_sys_alloc(count * sizeof(*route->steps));
	if (route->steps == NULL)
		return false;
	route->step_count = count;
	at = count - 1;
	route->steps[at] = (struct torc_step) { listed->handler, listed->arg };
	for (const struct torc_routes *r = routes; r != NULL; r = r->outer) {
		unsigned from = at;

		for (const struct around *a = r->arounds; a != NULL;
		    a = a->next)
			from--;
		at = from;
		for (const struct around *a = r->arounds; a != NULL;
		    a = a->next)
			route->steps[from++] =
			    (struct torc_step) { a->call, a->arg };
	}
	return true;
}

static struct torc_route *
make_route(const struct torc_routes *routes, const struct listed *listed)
{
	struct torc_route *route = torc_sys_alloc(sizeof(*route));

	if (route == NULL)
		return NULL;
	route->path = whole_path(routes, listed->path);
	if (route->path != NULL && put_steps(route, routes, listed))
		return route;
	torc_sys_free(route->path);
	torc_sys_free(route);
	return NULL;
}

static const char *
check_route(struct torc_route *route, const struct torc_routes *routes,
    const struct listed *listed)
{
	const char *wrong = check_method(listed->method);

	if (listed->path[0] != '/')
		return "a path must begin with \"/\"";
	for (const struct torc_routes *r = routes; r != NULL; r = r->outer) {
		const size_t size = strlen(r->prefix);

		if (size > 0 && (r->prefix[0] != '/' ||
		    r->prefix[size - 1] == '/'))
			return "the prefix of a group must begin with \"/\", "
			    "and must not end with it";
	}
	if (strlen(route->path) > PATH_MAX_SIZE)
		return "its path is longer than 4096 bytes";
	return wrong != NULL ? wrong : check_path(route);
}

static int
compile_route(struct torc_service *service, const struct torc_routes *routes,
    const struct listed *listed, struct torc_error *error)
{
	struct torc_route *route = make_route(routes, listed);
	const char *wrong;

	if (route == NULL)
		return torc_error_set(error, -ENOMEM, "there is no memory "
		    "for the routes");
	wrong = check_route(route, routes, listed);
	if (wrong == NULL)
		return torc_tree_add(service, route, listed->method, error);
	torc_error_set(error, -EINVAL, "route %s %s: %s", listed->method,
	    route->path, wrong);
	torc_sys_free(route->path);
	torc_sys_free(route->steps);
	torc_sys_free(route);
	return -EINVAL;
}

/* Compile the handler for requests that no route answers. */
static int
compile_otherwise(struct torc_service *service,
    const struct torc_routes *routes, struct torc_error *error)
{
	char any[] = "*";
	const struct listed listed = {
		NULL, any, any, routes->otherwise, routes->otherwise_arg,
	};

	if (routes->otherwise == NULL)
		return 0;
	service->otherwise = make_route(routes, &listed);
	return service->otherwise != NULL ? 0 : torc_error_set(error, -ENOMEM,
	    "there is no memory for the routes");
}

/* Returns the next group: groups within this one come first. */
static const struct torc_routes *
next_group(const struct torc_routes *routes)
{
	if (routes->groups != NULL)
		return routes->groups;
	while (routes != NULL && routes->next == NULL)
		routes = routes->outer;
	return routes == NULL ? NULL : routes->next;
}

static int
compile(struct torc_service *service, const struct torc_routes *routes,
    struct torc_error *error)
{
	int rc;

	if (routes->failed)
		return torc_error_set(error, -ENOMEM, "there was no memory "
		    "for the routes");
	rc = compile_otherwise(service, routes, error);
	for (const struct torc_routes *r = routes; r != NULL && rc == 0;
	    r = next_group(r)) {
		for (const struct listed *listed = r->routes;
		    listed != NULL && rc == 0; listed = listed->next)
			rc = compile_route(service, r, listed, error);
	}
	return rc;
}

/* ---- Services ---- */

static int
check_config(const struct torc_service_config *config,
    const struct torc_http_config *http, struct torc_error *error)
{
	if (http->idle_ms != 0)
		return torc_error_set(error, -EINVAL, "http.idle_ms = %u: "
		    "between requests a service has no fiber; set idle_ms of "
		    "struct torc_config", http->idle_ms);
	if (http->requests_max != 0)
		return torc_error_set(error, -EINVAL, "http.requests_max = "
		    "%u: a service does not count requests; set it to 0",
		    http->requests_max);
	if (config->memory_max != 0 && (config->memory_max < 65536 ||
	    config->memory_max > 1u << 30))
		return torc_error_set(error, -EINVAL, "memory_max = %zu: must "
		    "be from 65536 to 1073741824", config->memory_max);
	if (config->stack_ms > 60000 && config->stack_ms != TORC_NO_LIMIT)
		return torc_error_set(error, -EINVAL, "stack_ms = %u is more "
		    "than 60000", config->stack_ms);
	return torc_http_config_check(http, error);
}

static void
configure(struct torc_service *service,
    const struct torc_service_config *config,
    const struct torc_http_config *http)
{
	service->http = *http;
	service->refusal = service->http.refusal;
	service->refusal_arg = service->http.arg;
	service->memory_max = config->memory_max != 0 ? config->memory_max :
	    1 << 20;
	service->stack_ms = config->stack_ms == TORC_NO_LIMIT ? 0 :
	    or_default(config->stack_ms, 100);
	service->observer = config->observer;
	service->arg = config->arg;
}

int
torc_service_create_sized(struct torc_service **service,
    const struct torc_routes *routes,
    const struct torc_service_config *config, size_t config_size,
    size_t http_size, struct torc_error *error)
{
	struct torc_service_config known;
	struct torc_http_config http;
	struct torc_service *made;
	int rc;

	torc_require(service != NULL && routes != NULL && routes->outer ==
	    NULL, "torc_service_create() needs a place for the service, and "
	    "routes that are not a group");
	*service = NULL;
	torc_error_clear(error);
	rc = torc_config_take(&known, sizeof(known), config, config_size,
	    "torc_service_config", error);
	if (rc == 0)
		rc = torc_config_take(&http, sizeof(http), known.http,
		    http_size, "torc_http_config", error);
	if (rc == 0)
		rc = check_config(&known, &http, error);
	if (rc < 0)
		return rc;
	made = torc_sys_alloc(sizeof(*made));
	if (made == NULL)
		return torc_error_set(error, -ENOMEM, "there is no memory "
		    "for the service");
	configure(made, &known, &http);
	rc = compile(made, routes, error);
	if (rc < 0) {
		torc_service_destroy(made);
		return rc;
	}
	*service = made;
	return 0;
}

void
torc_service_destroy(struct torc_service *service)
{
	if (service == NULL)
		return;
	torc_tree_free(service);
	torc_sys_free(service);
}
