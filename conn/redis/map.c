/* SPDX-License-Identifier: MIT */
/*
 * map.c - the nodes of a cluster, and which slots they have. The client reads
 * the map once, and again when a node says that it is wrong (MOVED) or does not
 * answer.
 *
 * A node without slots is forgotten: it is not found any more, and is freed
 * when it is not used any more. Nodes of the configuration stay, without
 * connections, because they can be asked for the map.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/redis/redis.h"

#define MAP_MS 2000u		/* for a node to tell its map */

/* ---- Nodes ---- */

void
torc_redis_node_hold(struct node *node)
{
	node->users++;
}

void
torc_redis_node_drop(struct node *node)
{
	node->users--;
}

/* Remove a node from the map. It stays for those that use it. */
static void
forget(struct torc_redis *redis, struct node *node)
{
	unsigned place = 0;

	while (redis->nodes[place] != node)
		place++;
	redis->nodes[place] = redis->nodes[--redis->node_count];
	node->next = redis->gone;
	node->gone = true;
	redis->gone = node;
	torc_redis_node_rest(node);
}

/*
 * A node has no slots any more: forget it, or keep it as one of the
 * configuration without connections.
 */
static void
dismiss(struct torc_redis *redis, struct node *node)
{
	if (node->seed)
		torc_redis_node_rest(node);
	else
		forget(redis, node);
}

void
torc_redis_cluster_reap(struct torc_redis *redis)
{
	struct node **at = &redis->gone;

	while (*at != NULL) {
		struct node *node = *at;

		if (node->users > 0) {
			at = &node->next;
			continue;
		}
		*at = node->next;
		torc_redis_node_destroy(node, TORC_NEVER);
		/* The list may have changed meanwhile. */
		at = &redis->gone;
	}
}

static struct node *
add_node(struct torc_redis *redis, const char *address)
{
	struct node *node;

	if (redis->node_count == REDIS_NODES ||
	    torc_redis_node_create(redis, address, &node, NULL) < 0)
		return NULL;
	redis->nodes[redis->node_count++] = node;
	return node;
}

/*
 * Returns the node at "host:port" of `size` bytes, IPv6 without brackets.
 * Without a host it is that of `from`. NULL if it cannot be added: the address
 * is too long, there is no memory, or there are too many nodes.
 */
struct node *
torc_redis_cluster_find(struct torc_redis *redis, const struct node *from,
    const char *host, size_t size, const char *port)
{
	char address[REDIS_ADDRESS];
	int length;
	bool v6;

	/* A node that does not know its own name says "?". */
	if (size == 0 || (size == 1 && host[0] == '?')) {
		const char *colon = strrchr(from->address, ':');

		host = from->address;
		size = colon == NULL ? 0 : (size_t)(colon - host);
	}
	if (size > INT16_MAX)
		return NULL;
	v6 = memchr(host, ':', size) != NULL && host[0] != '[';
	length = snprintf(address, sizeof(address), v6 ? "[%.*s]:%s" :
	    "%.*s:%s", (int)size, host, port);
	if (length < 0 || (size_t)length >= sizeof(address))
		return NULL;
	for (unsigned i = 0; i < redis->node_count; i++) {
		if (strcmp(redis->nodes[i]->address, address) == 0)
			return redis->nodes[i];
	}
	return add_node(redis, address);
}

/* ---- Slots ---- */

static void
give(struct torc_redis *redis, unsigned slot, struct node *node)
{
	struct node *before = redis->slots[slot];

	if (before != NULL)
		before->slot_count--;
	redis->slots[slot] = node;
	if (node != NULL)
		node->slot_count++;
}

void
torc_redis_cluster_move(
    struct torc_redis *redis, unsigned slot, struct node *node)
{
	struct node *before = redis->slots[slot];

	give(redis, slot, node);
	if (before != NULL && before->slot_count == 0)
		dismiss(redis, before);
}

/* [first, last, [host, port, ...], replicas ...] */
static bool
is_range(const struct torc_redis_reply *range)
{
	const struct torc_redis_reply *items = range->items;

	return range->type == TORC_REDIS_ARRAY && range->size >= 3 &&
	    items[0].type == TORC_REDIS_INTEGER &&
	    items[1].type == TORC_REDIS_INTEGER && items[0].integer >= 0 &&
	    items[0].integer <= items[1].integer &&
	    items[1].integer < REDIS_SLOTS &&
	    items[2].type == TORC_REDIS_ARRAY && items[2].size >= 2 &&
	    (items[2].items[0].type == TORC_REDIS_STRING ||
	    items[2].items[0].type == TORC_REDIS_NIL) &&
	    items[2].items[1].type == TORC_REDIS_INTEGER;
}

/* Count the slots that no earlier range had. */
static unsigned
take_range(struct torc_redis *redis, const struct node *from,
    const struct torc_redis_reply *range)
{
	const struct torc_redis_reply *host = &range->items[2].items[0];
	const unsigned first = (unsigned)range->items[0].integer;
	const unsigned last = (unsigned)range->items[1].integer;
	struct node *node;
	unsigned count = 0;
	char port[24];

	snprintf(port, sizeof(port), "%lld",
	    (long long)range->items[2].items[1].integer);
	node = torc_redis_cluster_find(redis, from, host->text,
	    host->type == TORC_REDIS_NIL ? 0 : host->size, port);
	for (unsigned slot = first; node != NULL && slot <= last; slot++) {
		if (redis->slots[slot] != NULL)
			continue;
		give(redis, slot, node);
		count++;
	}
	return count;
}

/*
 * The ranges of a valid map do not overlap. After as many slots as there are,
 * further ranges are ignored.
 */
static bool
take_map(struct torc_redis *redis, const struct node *from,
    const struct torc_redis_reply *map)
{
	unsigned left = REDIS_SLOTS;
	bool any = false;

	for (size_t i = 0; !any && i < map->size; i++)
		any = is_range(&map->items[i]);
	for (unsigned slot = 0; any && slot < REDIS_SLOTS; slot++)
		give(redis, slot, NULL);
	for (size_t i = 0; any && i < map->size; i++) {
		const struct torc_redis_reply *range = &map->items[i];
		unsigned size;

		if (!is_range(range))
			continue;
		size = (unsigned)(range->items[1].integer -
		    range->items[0].integer) + 1;
		if (size > left)
			break;
		left -= size;
		take_range(redis, from, range);
	}
	for (unsigned i = redis->node_count; any && i-- > 0;) {
		if (redis->nodes[i]->slot_count == 0)
			dismiss(redis, redis->nodes[i]);
	}
	return any;
}

/* ---- Asking ---- */

/* Parks. Ask one node. */
static int
ask_for_map(struct torc_redis *redis, struct node *node, torc_deadline deadline,
    struct trouble *trouble)
{
	static const struct torc_slice argv[] = {
		{ (const uint8_t *)"CLUSTER", 7 },
		{ (const uint8_t *)"SLOTS", 5 },
	};
	static const struct torc_redis_command command = { argv, 2 };
	const struct batch batch = { .commands = &command, .count = 1 };
	const struct torc_redis_reply *root;
	struct request *request;
	bool sent;
	int rc = torc_redis_node_call(node, &request, deadline, &batch, &sent,
	    trouble);

	if (rc < 0)
		return rc;
	root = &request->root;
	if (root->type != TORC_REDIS_ARRAY || !take_map(redis, node, root))
		rc = torc_redis_fail(trouble, -EPROTO,
		    "%s: no map of slots: %s", node->address,
		    request->refused != 0 ?
		    torc_redis_over_limit(request->refused) :
		    root->type == TORC_REDIS_ERROR ? root->text :
		    "it has no slots");
	else
		redis->mapped_at = torc_now();
	torc_redis_request_free(request);
	return rc;
}

/* Parks. Ask the nodes one after the other, until one answers. */
static int
ask_all(struct torc_redis *redis, torc_deadline deadline,
    struct trouble *trouble)
{
	int rc = -ENOENT;

	for (unsigned i = redis->node_count; i > 0 && rc < 0; i--) {
		struct node *node = redis->nodes[redis->turn++ %
		    redis->node_count];

		torc_redis_node_hold(node);
		rc = ask_for_map(redis, node, torc_sooner(deadline,
		    torc_after_ms(MAP_MS)), trouble);
		if (rc == -ETIMEDOUT && !torc_passed(deadline))
			torc_redis_fail(trouble, rc, "%s: no map within %u ms",
			    node->address, MAP_MS);
		torc_redis_node_drop(node);
		if (rc == -ECANCELED || torc_passed(deadline))
			break;
	}
	return rc;
}

int
torc_redis_cluster_map(struct torc_redis *redis, torc_deadline deadline)
{
	struct trouble trouble = { .error = &redis->map_error };
	int rc;

	if (redis->mapping)
		return torc_wait(&redis->mappers, deadline);
	redis->mapping = true;
	rc = ask_all(redis, deadline, &trouble);
	redis->mapping = false;
	/* Waiting fibers try themselves if only our deadline passed. */
	torc_wake_all(&redis->mappers,
	    rc == -ECANCELED || rc == -ETIMEDOUT ? 0 : rc);
	torc_redis_cluster_reap(redis);
	return rc;
}

/* Returns a node with slots, in turn, or any node. */
static struct node *
any_node(struct torc_redis *redis)
{
	for (unsigned i = 0; i < redis->node_count; i++) {
		struct node *node = redis->nodes[redis->turn++ %
		    redis->node_count];

		if (node->slot_count > 0)
			return node;
	}
	return redis->nodes[redis->turn++ % redis->node_count];
}

/* There is no map, so the command was not sent. */
static int
explain(const struct torc_redis *redis, int rc, torc_deadline deadline,
    struct trouble *trouble)
{
	const struct torc_error *error = &redis->map_error;

	(void)torc_redis_fail(trouble, rc, "no map of the cluster%s: %s",
	    rc == -ETIMEDOUT && torc_passed(deadline) ?
	    " before the deadline of the call" : "",
	    rc == -ECANCELED ? "the fiber was cancelled" :
	    error->code == 0 ? "no node has answered" : error->text);
	if (trouble != NULL && trouble->error != NULL && rc != -ECANCELED)
		trouble->error->cut |= error->cut;
	return rc;
}

int
torc_redis_cluster_node(struct torc_redis *redis, int slot, struct node **node,
    torc_deadline deadline, struct trouble *trouble)
{
	while (redis->mapped_at == 0) {
		int rc = torc_redis_cluster_map(redis, deadline);

		if (rc < 0)
			return explain(redis, rc, deadline, trouble);
	}
	*node = slot >= 0 ? redis->slots[slot] : NULL;
	if (*node == NULL)
		*node = any_node(redis);
	torc_redis_node_hold(*node);
	return 0;
}
