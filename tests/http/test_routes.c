/* SPDX-License-Identifier: MIT */
/*
 * test_routes.c - routes: which one answers which request, and which cannot
 * be.
 *
 * wrap: torc_sys_alloc torc_sys_free
 */
#include "tests/harness.h"
#include "tests/seam.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/http/service.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Memory ---- */

static long held;		/* allocations that are not freed */
static unsigned left = UINT32_MAX;	/* that succeed */

void *
__wrap_torc_sys_alloc(size_t size)
{
	void *memory;

	if (left == 0)
		return NULL;
	left--;
	memory = __real_torc_sys_alloc(size);
	held += memory != NULL;
	return memory;
}

void
__wrap_torc_sys_free(void *memory)
{
	held -= memory != NULL;
	__real_torc_sys_free(memory);
}

static int
handler(struct torc_exchange *exchange, void *arg)
{
	(void)exchange;
	(void)arg;
	return 0;
}

/* ---- Those that are found ---- */

/* A service of routes that are written "GET /path"; NULL ends them. */
static struct torc_service *
service_of(const char *const *lines)
{
	struct torc_service *service;
	struct torc_routes *routes;
	struct torc_error error;
	char method[32];

	assert_int_equal(torc_routes_create(&routes), 0);
	for (; *lines != NULL; lines++) {
		const char *space = strchr(*lines, ' ');

		snprintf(method, sizeof(method), "%.*s",
		    (int)(space - *lines), *lines);
		torc_routes_add(routes, method, space + 1, handler, NULL);
	}
	if (torc_service_create(&service, routes, NULL, &error) < 0)
		fail_msg("%s", error.text);
	torc_routes_destroy(routes);
	return service;
}

struct lookup {
	unsigned status;	/* that refuses the path, or 0 */
	const char *why;
	struct torc_path path;
	struct torc_found found;
	uint8_t memory[9000];
};

static void
look_up(struct lookup *lookup, const struct torc_service *service,
    const char *method, const char *path)
{
	const struct torc_slice text = torc_http_text(path);
	const struct torc_http_head request = {
		.method = torc_http_method_of(torc_http_text(method)),
		.method_name = torc_http_text(method),
	};

	lookup->why = NULL;
	assert_true(text.size < sizeof(lookup->memory));
	lookup->status = torc_path_read(&lookup->path, text, lookup->memory,
	    &lookup->why);
	lookup->found.route = NULL;
	if (lookup->status == 0)
		torc_tree_find(service, &lookup->path, &request,
		    &lookup->found);
}

/* The route that answers, or NULL. */
static void
assert_route(const struct torc_service *service, const char *method,
    const char *path, const char *wanted)
{
	struct lookup lookup;
	const char *found;

	look_up(&lookup, service, method, path);
	assert_int_equal(lookup.status, 0);
	found = lookup.found.route == NULL ? "none" :
	    lookup.found.route->path;
	if (strcmp(found, wanted == NULL ? "none" : wanted) != 0)
		fail_msg("%s %s: %s", method, path, found);
}

static void
text_goes_before_a_parameter_and_that_before_a_rest(void **state)
{
	static const char *const lines[] = {
		"GET /", "GET /items", "GET /items/", "GET /items/new",
		"GET /items/{id}", "GET /items/{id}/parts",
		"GET /items/{path...}", "GET /items/new/{path...}",
		"GET /{a}/{b}/{c}/d", NULL,
	};
	struct torc_service *service = service_of(lines);

	(void)state;
	assert_route(service, "GET", "/", "/");
	assert_route(service, "GET", "/items", "/items");
	assert_route(service, "GET", "/items/", "/items/");
	assert_route(service, "GET", "/items/new", "/items/new");
	assert_route(service, "GET", "/items/ne", "/items/{id}");
	assert_route(service, "GET", "/items/news", "/items/{id}");
	assert_route(service, "GET", "/items/7/parts",
	    "/items/{id}/parts");
	assert_route(service, "GET", "/items/7/", "/items/{path...}");
	assert_route(service, "GET", "/items/7/parts/1",
	    "/items/{path...}");
	assert_route(service, "GET", "/items/new/", "/items/new/{path...}");
	/* What begins as text may have to go on as a parameter. */
	assert_route(service, "GET", "/items/new/parts",
	    "/items/new/{path...}");
	assert_route(service, "GET", "/items/b/c/d", "/items/{path...}");
	assert_route(service, "GET", "/x/b/c/d", "/{a}/{b}/{c}/d");
	assert_route(service, "GET", "/x/b/c/e", NULL);
	assert_route(service, "GET", "/x//c/d", NULL);
	assert_route(service, "GET", "/Items", NULL);
	assert_route(service, "GET", "/item", NULL);
	torc_service_destroy(service);
}

static void
a_route_with_the_method_answers_where_a_better_one_has_another(void **state)
{
	static const char *const lines[] = {
		"POST /items/new", "GET /items/{id}", "* /{path...}",
		"PATCH /only", "HEAD /head", "GET /head", "PURGE /cache", NULL,
	};
	struct torc_service *service = service_of(lines);

	(void)state;
	assert_route(service, "POST", "/items/new", "/items/new");
	assert_route(service, "GET", "/items/new", "/items/{id}");
	assert_route(service, "HEAD", "/items/new", "/items/{id}");
	assert_route(service, "DELETE", "/items/new", "/{path...}");
	assert_route(service, "GET", "/only", "/{path...}");
	assert_route(service, "PURGE", "/cache", "/cache");
	assert_route(service, "BREW", "/cache", "/{path...}");
	assert_route(service, "purge", "/cache", "/{path...}");
	torc_service_destroy(service);
}

/* Methods of one node: its own, GET for HEAD, any. */
static void
head_is_answered_by_its_own_route_then_by_get_then_by_any(void **state)
{
	static const char *const lines[] = {
		"HEAD /a", "GET /a", "* /a", "* /b", "GET /b", "* /c",
		"POST /d", "GET /d", "GET /e", "* /e", NULL,
	};
	static const char *const paths[] = { "/a", "/b", "/c", "/d", "/e" };
	static const char *const wanted[] = {
		"HEAD", "GET", "*", "GET", "GET",
	};
	struct torc_service *service = service_of(lines);

	(void)state;
	for (unsigned i = 0; i < COUNT(paths); i++) {
		struct lookup lookup;
		unsigned method;

		look_up(&lookup, service, "HEAD", paths[i]);
		assert_non_null(lookup.found.route);
		method = lookup.found.route->method;
		assert_string_equal(method == TORC_ANY_METHOD ? "*" :
		    service->methods[method], wanted[i]);
	}
	torc_service_destroy(service);
}

static void
the_methods_of_all_routes_of_a_path_are_allowed(void **state)
{
	static const char *const lines[] = {
		"GET /a/b", "PUT /a/{x}", "DELETE /{p...}", "POST /c", NULL,
	};
	struct torc_service *service = service_of(lines);
	struct lookup lookup;

	(void)state;
	look_up(&lookup, service, "PATCH", "/a/b");
	assert_null(lookup.found.route);
	assert_int_equal(lookup.found.allowed, 7);
	look_up(&lookup, service, "PATCH", "/c");
	assert_int_equal(lookup.found.allowed, 8 | 4);
	torc_service_destroy(service);
}

static void
a_thousand_routes_are_all_found(void **state)
{
	struct torc_service *service;
	struct torc_routes *routes;
	char path[64];

	(void)state;
	assert_int_equal(torc_routes_create(&routes), 0);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "/%u/x%u/{id}",
		    i * 7919 % 1000, i % 10);
		torc_routes_add(routes, "GET", path, handler, NULL);
	}
	assert_int_equal(torc_service_create(&service, routes, NULL, NULL),
	    0);
	torc_routes_destroy(routes);
	for (unsigned i = 0; i < 1000; i++) {
		char wanted[64];

		snprintf(wanted, sizeof(wanted), "/%u/x%u/{id}",
		    i * 7919 % 1000, i % 10);
		snprintf(path, sizeof(path), "/%u/x%u/9",
		    i * 7919 % 1000, i % 10);
		assert_route(service, "GET", path, wanted);
	}
	torc_service_destroy(service);
}

/* The text and the parameter of each level lead on for a while. */
static void
a_path_that_almost_matches_in_many_ways_matches_in_none(void **state)
{
	struct torc_service *service;
	struct torc_routes *routes;
	char path[100] = "", route[200] = "";

	(void)state;
	assert_int_equal(torc_routes_create(&routes), 0);
	for (unsigned i = 0; i < 15; i++) {
		snprintf(route, sizeof(route), "%s/{p%u}/x", path, i);
		torc_routes_add(routes, "GET", route, handler, NULL);
		strcat(path, "/a");
		snprintf(route, sizeof(route), "%s/x", path);
		torc_routes_add(routes, "GET", route, handler, NULL);
	}
	assert_int_equal(torc_service_create(&service, routes, NULL, NULL),
	    0);
	torc_routes_destroy(routes);
	assert_route(service, "GET", "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/y",
	    NULL);
	torc_service_destroy(service);
}

/* ---- Paths ---- */

static void
assert_path(const char *given, const char *wanted)
{
	struct torc_path path;
	uint8_t memory[256];
	const char *why = NULL;

	assert_int_equal(torc_path_read(&path, torc_http_text(given), memory,
	    &why), 0);
	if (path.size != strlen(wanted) ||
	    memcmp(path.text, wanted, path.size) != 0)
		fail_msg("%s: %.*s", given, (int)path.size,
		    (const char *)path.text);
}

static void
paths_are_decoded_once_and_have_no_dot_segments(void **state)
{
	(void)state;
	assert_path("/", "/");
	assert_path("/a%20b%2fc", "/a b/c");
	assert_path("/%2541", "/%41");
	assert_path("/+", "/+");
	assert_path("/a/./b", "/a/b");
	assert_path("/a/../b", "/b");
	assert_path("/a/%2e%2E/b", "/b");
	assert_path("/a/b/..", "/a/");
	assert_path("/a/.", "/a/");
	assert_path("/.", "/");
	assert_path("/a//b", "/a//b");
	assert_path("/a/", "/a/");
	assert_path("/...", "/...");
	assert_path("/..a/.b", "/..a/.b");
	assert_path("/a/b/../../c/", "/c/");
	/* No segment: it has a slash in it. */
	assert_path("/a/..%2fb", "/a/../b");
}

static void
paths_that_cannot_be_are_refused_in_words(void **state)
{
	static const struct {
		const char *path;
		unsigned status;
		const char *why;
	} cases[] = {
		{ "/%", 400, "a path whose encoding is invalid" },
		{ "/%4", 400, "a path whose encoding is invalid" },
		{ "/%zz", 400, "a path whose encoding is invalid" },
		{ "/%4g", 400, "a path whose encoding is invalid" },
		{ "/a%00b", 400, "a path with an encoded NUL" },
		{ "/..", 400, "a path that leads above the root" },
		{ "/a/../..", 400, "a path that leads above the root" },
		{ "/%2e%2e/a", 400, "a path that leads above the root" },
	};
	struct lookup lookup;
	char path[300];

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		look_up(&lookup, NULL, "GET", cases[i].path);
		assert_int_equal(lookup.status, cases[i].status);
		assert_string_equal(lookup.why, cases[i].why);
	}
	memset(path, '/', 129);
	path[129] = '\0';
	look_up(&lookup, NULL, "GET", path);
	assert_int_equal(lookup.status, 414);
}

static void
a_rest_takes_no_slash_that_was_encoded(void **state)
{
	static const char *const lines[] = {
		"GET /files/{path...}", "GET /items/{id}", NULL,
	};
	struct torc_service *service = service_of(lines);

	(void)state;
	assert_route(service, "GET", "/files/a/b", "/files/{path...}");
	assert_route(service, "GET", "/files/a%2fb", NULL);
	assert_route(service, "GET", "/files/a/%2e%2e%2fb", NULL);
	assert_route(service, "GET", "/items/a%2fb", "/items/{id}");
	/* It has gone with its segment. */
	assert_route(service, "GET", "/files/a%2fb/../c",
	    "/files/{path...}");
	torc_service_destroy(service);
}

/* ---- Those that cannot be ---- */

static void
assert_refused(const char *method, const char *path, const char *why)
{
	struct torc_service *service;
	struct torc_routes *routes;
	struct torc_error error;
	char wanted[512];

	assert_int_equal(torc_routes_create(&routes), 0);
	torc_routes_add(routes, "GET", "/fine", handler, NULL);
	torc_routes_add(routes, method, path, handler, NULL);
	assert_int_equal(torc_service_create(&service, routes, NULL, &error),
	    -EINVAL);
	assert_null(service);
	snprintf(wanted, sizeof(wanted), "route %s %s: %s", method, path,
	    why);
	assert_string_equal(error.text, wanted);
	assert_int_equal(torc_service_create(&service, routes, NULL, NULL),
	    -EINVAL);
	torc_routes_destroy(routes);
}

static void
malformed_routes_are_refused_in_words(void **state)
{
	static const char whole[] =
	    "a parameter must be a whole segment, as in /items/{id}";
	static const char name[] =
	    "the name of a parameter must consist of letters, digits and \"_\"";

	(void)state;
	assert_refused("GET", "items", "a path must begin with \"/\"");
	assert_refused("GET", "", "a path must begin with \"/\"");
	assert_refused("GET", "/a//b", "it has an empty segment");
	assert_refused("GET", "/a/../b", "\".\" and \"..\" are removed from "
	    "the paths of requests before they are looked up");
	assert_refused("GET", "/a{b}", whole);
	assert_refused("GET", "/{a", whole);
	assert_refused("GET", "/a}", whole);
	assert_refused("GET", "/{a}b", whole);
	assert_refused("GET", "/{}", name);
	assert_refused("GET", "/{a-b}", name);
	assert_refused("GET", "/{...}", name);
	assert_refused("GET", "/{{a}}", name);
	assert_refused("GET", "/{a...}/b", "a rest must be the last segment");
	assert_refused("GET", "/{a}/{a}",
	    "two of its parameters have the same name");
	assert_refused("GET", "/a%20b",
	    "it must be written decoded, without \"%\"");
	assert_refused("GET", "/a?b", "a path must not contain \"?\" or \"#\"");
	assert_refused("GET", "/a\n", "it has a control character");
	assert_refused("get", "/a",
	    "methods are case-sensitive: write it in capitals");
	assert_refused("", "/a", "it has no method; \"*\" means any");
	assert_refused("ABCDEFGHIJKLMNOPQRSTUVWXY", "/a",
	    "the method is longer than 24 bytes");
	assert_refused("A B", "/a", "the method is not a token");
	assert_refused("CONNECT", "/a", "CONNECT is not offered");
}

static void
routes_that_match_the_same_are_refused_in_words(void **state)
{
	struct torc_service *service;
	struct torc_routes *routes, *group;
	struct torc_error error = { -EBUSY, true, "stale" };

	(void)state;
	assert_int_equal(torc_routes_create(&routes), 0);
	torc_routes_add(routes, "GET", "/a/{id}", handler, NULL);
	torc_routes_add(routes, "PUT", "/a/{other}", handler, NULL);
	group = torc_routes_group(routes, "/a");
	assert_int_equal(torc_service_create(&service, routes, NULL, &error),
	    0);
	assert_int_equal(error.code, 0);
	assert_string_equal(error.text, "");
	torc_service_destroy(service);
	torc_routes_add(group, "GET", "/{name}", handler, NULL);
	assert_int_equal(torc_service_create(&service, routes, NULL, &error),
	    -EINVAL);
	assert_string_equal(error.text, "route GET /a/{name} matches the same "
	    "requests as GET /a/{id}: remove one of them");
	torc_routes_destroy(routes);
}

static void
assert_prefix(const char *prefix, int wanted)
{
	struct torc_service *service;
	struct torc_routes *routes;

	assert_int_equal(torc_routes_create(&routes), 0);
	torc_routes_add(torc_routes_group(torc_routes_group(routes, "/v1"),
	    prefix), "GET", "/a", handler, NULL);
	assert_int_equal(torc_service_create(&service, routes, NULL, NULL),
	    wanted);
	if (wanted == 0)
		torc_service_destroy(service);
	torc_routes_destroy(routes);
}

static void
a_prefix_begins_with_a_slash_and_does_not_end_with_one(void **state)
{
	(void)state;
	assert_prefix("", 0);
	assert_prefix("/b", 0);
	assert_prefix("/{b}/c", 0);
	assert_prefix("b", -EINVAL);
	assert_prefix("/b/", -EINVAL);
	assert_prefix("/", -EINVAL);
	assert_prefix("/{b...}", -EINVAL);
}

/* What a route may have, and one more of it. */
static void
the_limits_of_routes_are_told(void **state)
{
	char path[400] = "", longer[420];

	(void)state;
	for (unsigned i = 0; i < TORC_ROUTE_SEGMENTS + 1; i++)
		strcat(path, "/a");
	assert_refused("GET", path, "it has more than 32 segments");
	path[0] = '\0';
	for (unsigned i = 0; i < TORC_ROUTE_PARAMS; i++)
		snprintf(path + strlen(path), 8, "/{p%u}", i);
	snprintf(longer, sizeof(longer), "%s/{q}", path);
	assert_refused("GET", longer, "it has more than 16 parameters");
}

static void
fields_of_a_configuration_out_of_bounds_are_named(void **state)
{
	const struct torc_http_config idle = { .idle_ms = 5 };
	const struct torc_http_config counted = { .requests_max = 5 };
	const struct torc_service_config configs[] = {
		{ .http = &idle }, { .http = &counted },
		{ .memory_max = 65535 }, { .stack_ms = 60001 },
	};
	static const char *const names[] = {
		"http.idle_ms = 5", "http.requests_max = 5",
		"memory_max = 65535", "stack_ms = 60001",
	};
	struct torc_service *service;
	struct torc_routes *routes;
	struct torc_error error;

	(void)state;
	assert_int_equal(torc_routes_create(&routes), 0);
	for (unsigned i = 0; i < COUNT(configs); i++) {
		assert_int_equal(torc_service_create(&service, routes,
		    &configs[i], &error), -EINVAL);
		assert_memory_equal(error.text, names[i], strlen(names[i]));
	}
	torc_routes_destroy(routes);
	torc_routes_destroy(NULL);
	torc_service_destroy(NULL);
}

/* All of it with so many allocations: the result. */
static int
make_with(unsigned allocations, struct torc_error *error)
{
	struct torc_service *service = NULL;
	struct torc_routes *routes, *group;
	int rc;

	left = allocations;
	rc = torc_routes_create(&routes);
	if (rc == 0) {
		torc_routes_around(routes, handler, NULL);
		group = torc_routes_group(routes, "/a");
		torc_routes_around(group, handler, NULL);
		torc_routes_add(group, "GET", "/{b}/{c...}", handler, NULL);
		torc_routes_add(group, "PUT", "/x", handler, NULL);
		torc_routes_add(routes, "GET", "/a/x", handler, NULL);
		rc = torc_service_create(&service, routes, NULL, error);
	}
	torc_routes_destroy(routes);
	assert_true((rc == 0) == (service != NULL));
	torc_service_destroy(service);
	left = UINT32_MAX;
	return rc;
}

static void
each_allocation_may_fail_and_nothing_is_left_behind(void **state)
{
	const long before = held;
	unsigned count = 0;

	(void)state;
	for (;; count++) {
		struct torc_error error = { .text = "no memory for routes" };
		int rc = make_with(count, &error);

		assert_int_equal(held, before);
		if (rc == 0)
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_non_null(strstr(error.text, "memory"));
	}
	assert_true(count > 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    text_goes_before_a_parameter_and_that_before_a_rest),
		cmocka_unit_test(
	    a_route_with_the_method_answers_where_a_better_one_has_another),
		cmocka_unit_test(
		    head_is_answered_by_its_own_route_then_by_get_then_by_any),
		cmocka_unit_test(
		    the_methods_of_all_routes_of_a_path_are_allowed),
		cmocka_unit_test(a_thousand_routes_are_all_found),
		cmocka_unit_test(
		    a_path_that_almost_matches_in_many_ways_matches_in_none),
		cmocka_unit_test(
		    paths_are_decoded_once_and_have_no_dot_segments),
		cmocka_unit_test(paths_that_cannot_be_are_refused_in_words),
		cmocka_unit_test(a_rest_takes_no_slash_that_was_encoded),
		cmocka_unit_test(malformed_routes_are_refused_in_words),
		cmocka_unit_test(
		    routes_that_match_the_same_are_refused_in_words),
		cmocka_unit_test(
		    a_prefix_begins_with_a_slash_and_does_not_end_with_one),
		cmocka_unit_test(the_limits_of_routes_are_told),
		cmocka_unit_test(
		    fields_of_a_configuration_out_of_bounds_are_named),
		cmocka_unit_test(
		    each_allocation_may_fail_and_nothing_is_left_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
