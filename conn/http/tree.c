/* SPDX-License-Identifier: MIT */
/*
 * tree.c - compiled routes: a tree of segments. It is built once. After that
 * all reactors only read it.
 */
#include <errno.h>

#include "conn/http/service.h"
#include "reactor/error.h"
#include "sys/sys.h"

/* ---- Making it ---- */

static inline int
compare(struct torc_slice a, struct torc_slice b)
{
	return a.size != b.size ? a.size < b.size ? -1 : 1 :
	    a.size == 0 ? 0 : memcmp(a.data, b.data, a.size);
}

/*
 * Returns the place of a text in a node: the first text that is not before it.
 */
static inline unsigned
place_of(const struct torc_tree *node, struct torc_slice text)
{
	unsigned low = 0, high = node->text_count;

	while (low < high) {
		const unsigned middle = low + (high - low) / 2;

		if (compare(node->texts[middle].text, text) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
make_room(struct torc_tree *node)
{
	const unsigned room = node->text_room == 0 ? 4 : node->text_room * 2;
	struct torc_tree *texts;

	if (node->text_count < node->text_room)
		return true;
	texts = torc_sys_alloc(room * sizeof(*texts));
	if (texts == NULL)
		return false;
	if (node->text_count > 0)
		memcpy(texts, node->texts, node->text_count * sizeof(*texts));
	torc_sys_free(node->texts);
	node->texts = texts;
	node->text_room = room;
	return true;
}

/*
 * Returns the node below this one for a text segment; NULL: there is no memory.
 */
static struct torc_tree *
text_node(struct torc_tree *node, struct torc_slice text)
{
	const unsigned at = place_of(node, text);
	struct torc_tree *found;

	if (at < node->text_count && compare(node->texts[at].text, text) == 0)
		return &node->texts[at];
	if (!make_room(node))
		return NULL;
	found = &node->texts[at];
	memmove(found + 1, found, (node->text_count - at) * sizeof(*found));
	memset(found, 0, sizeof(*found));
	found->text = text;
	node->text_count++;
	return found;
}

static struct torc_tree *
only_node(struct torc_tree **node)
{
	if (*node == NULL)
		*node = torc_sys_alloc(sizeof(**node));
	return *node;
}

/* Returns the node of a segment. Its path was checked before. */
static struct torc_tree *
segment_node(struct torc_tree *node, struct torc_slice segment)
{
	if (segment.size == 0 || segment.data[0] != '{')
		return text_node(node, segment);
	return segment.data[segment.size - 2] == '.' ?
	    only_node(&node->rest) : only_node(&node->param);
}

/* Returns the number of a method; or -ENOMEM, -E2BIG. */
static int
number_of(struct torc_service *service, const char *method)
{
	const size_t size = strlen(method) + 1;
	const unsigned count = service->method_count;

	if (strcmp(method, "*") == 0)
		return TORC_ANY_METHOD;
	for (unsigned i = 0; i < count; i++) {
		if (strcmp(service->methods[i], method) == 0)
			return (int)i;
	}
	if (count == TORC_ROUTE_METHODS)
		return -E2BIG;
	service->methods[count] = torc_sys_alloc(size);
	if (service->methods[count] == NULL)
		return -ENOMEM;
	memcpy(service->methods[count], method, size);
	service->known[torc_http_method_of(torc_http_text(method))] =
	    (uint8_t)(count + 1);
	return (int)service->method_count++;
}

static void
free_route(struct torc_route *route)
{
	torc_sys_free(route->path);
	torc_sys_free(route->steps);
	torc_sys_free(route);
}

static struct torc_tree *
node_of(struct torc_service *service, const char *path)
{
	struct torc_tree *node = &service->tree;

	while (node != NULL && *path == '/') {
		const char *from = ++path;

		path += strcspn(path, "/");
		node = segment_node(node, (struct torc_slice) {
		    (const uint8_t *)from, (size_t)(path - from) });
	}
	return node;
}

static int
place(struct torc_service *service, struct torc_route *route,
    const char *method, struct torc_error *error)
{
	const int number = number_of(service, method);
	struct torc_tree *node = node_of(service, route->path);

	if (number == -E2BIG)
		return torc_error_set(error, -EINVAL, "route %s %s: there are "
		    "more than %u different methods", method, route->path,
		    TORC_ROUTE_METHODS);
	if (number < 0 || node == NULL)
		return torc_error_set(error, -ENOMEM, "route %s %s: there is "
		    "no memory", method, route->path);
	for (struct torc_route *other = node->routes; other != NULL;
	    other = other->next) {
		if (other->method == (unsigned)number)
			return torc_error_set(error, -EINVAL,
			    "route %s %s matches the same requests as %s %s: "
			    "remove one of them", method, route->path, method,
			    other->path);
	}
	route->method = (unsigned)number;
	route->next = node->routes;
	node->routes = route;
	return 0;
}

int
torc_tree_add(struct torc_service *service, struct torc_route *route,
    const char *method, struct torc_error *error)
{
	const int rc = place(service, route, method, error);

	if (rc < 0)
		free_route(route);
	return rc;
}

/* Recursion is as deep as routes have segments. */
static void
free_below(struct torc_tree *node)
{
	while (node->routes != NULL) {
		struct torc_route *route = node->routes;

		node->routes = route->next;
		free_route(route);
	}
	for (unsigned i = 0; i < node->text_count; i++)
		free_below(&node->texts[i]);
	if (node->param != NULL)
		free_below(node->param);
	if (node->rest != NULL)
		free_below(node->rest);
	torc_sys_free(node->texts);
	torc_sys_free(node->param);
	torc_sys_free(node->rest);
}

void
torc_tree_free(struct torc_service *service)
{
	free_below(&service->tree);
	if (service->otherwise != NULL)
		free_route(service->otherwise);
	for (unsigned i = 0; i < service->method_count; i++)
		torc_sys_free(service->methods[i]);
}

/* ---- Looking a request up ---- */

struct search {
	const struct torc_path *path;
	struct torc_found *found;
	unsigned method;	/* its number */
	unsigned instead;	/* of GET, for HEAD; or the same */
	unsigned param_count;
};

static struct torc_slice
segment(const struct torc_path *path, uint32_t at)
{
	return (struct torc_slice) {
		path->text + path->segments[at].from, path->segments[at].size,
	};
}

/*
 * Find a route that ends here: one for the method comes before one for any
 * method.
 */
static bool
choose(struct search *search, const struct torc_tree *node)
{
	const struct torc_route *best = NULL;

	for (const struct torc_route *route = node->routes; route != NULL;
	    route = route->next) {
		search->found->allowed |= 1ull << route->method;
		if (route->method == search->method)
			best = route;
		else if ((route->method == search->instead &&
		    (best == NULL || best->method == TORC_ANY_METHOD)) ||
		    (route->method == TORC_ANY_METHOD && best == NULL))
			best = route;
	}
	search->found->route = best;
	return best != NULL;
}

static bool
choose_rest(struct search *search, const struct torc_tree *node, uint32_t at)
{
	const struct torc_path *path = search->path;

	for (uint32_t i = at; i < path->count; i++) {
		if (path->segments[i].slash)
			return false;
	}
	search->found->params[search->param_count] = at;
	return choose(search, node);
}

/*
 * Search the routes below a node, for the segments from `at` on. Each node is
 * visited at most once. Recursion is as deep as routes have segments.
 */
static bool
find_below(struct search *search, const struct torc_tree *node, uint32_t at)
{
	const struct torc_slice text = at < search->path->count ?
	    segment(search->path, at) : (struct torc_slice) { NULL, 0 };
	unsigned place;

	if (at == search->path->count)
		return choose(search, node);
	place = place_of(node, text);
	if (place < node->text_count &&
	    compare(node->texts[place].text, text) == 0 &&
	    find_below(search, &node->texts[place], at + 1))
		return true;
	if (node->param != NULL && text.size > 0) {
		torc_assert(search->param_count < TORC_ROUTE_PARAMS);
		search->found->params[search->param_count++] = at;
		if (find_below(search, node->param, at + 1))
			return true;
		search->param_count--;
	}
	return node->rest != NULL && choose_rest(search, node->rest, at);
}

static unsigned
number_for(const struct torc_service *service,
    const struct torc_http_head *request)
{
	if (request->method != TORC_HTTP_OTHER)
		return service->known[request->method] == 0 ?
		    TORC_NO_METHOD : service->known[request->method] - 1u;
	for (unsigned i = 0; i < service->method_count; i++) {
		if (torc_is_text(request->method_name, service->methods[i]))
			return i;
	}
	return TORC_NO_METHOD;
}

void
torc_tree_find(const struct torc_service *service,
    const struct torc_path *path, const struct torc_http_head *request,
    struct torc_found *found)
{
	struct search search = {
		.path = path, .found = found,
		.method = number_for(service, request),
	};

	search.instead = search.method;
	if (request->method == TORC_HTTP_HEAD &&
	    service->known[TORC_HTTP_GET] != 0)
		search.instead = service->known[TORC_HTTP_GET] - 1u;
	found->route = NULL;
	found->allowed = 0;
	find_below(&search, &service->tree, 0);
}
