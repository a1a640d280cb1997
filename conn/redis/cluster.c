/*
 * cluster.c - where the keys are. The map of slots is asked for once, and
 * again when a node says that it is wrong (MOVED) or does not answer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/redis/redis.h"

#define MAP_MS 2000u		/* for a node to tell its map */
#define MAP_AGAIN_NS 1000000000u	/* unless one is needed badly */
#define PAUSE_MS 10u		/* doubled each time ... */
#define PAUSE_MAX_MS 200u	/* ... up to this */

/* ---- Nodes ---- */

/*
 * The node at "host:port" of `size` bytes, IPv6 without brackets; without a
 * host it is that of `from`. NULL if it cannot be had.
 */
static struct node *
find_node(struct torc_redis *redis, const struct node *from, const char *host,
    size_t size, const char *port)
{
	char address[REDIS_ADDRESS];
	int length;

	if (size == 0) {
		const char *colon = strrchr(from->address, ':');

		host = from->address;
		size = colon == NULL ? 0 : (size_t)(colon - host);
		length = snprintf(address, sizeof(address), "%.*s:%s",
		    (int)size, host, port);
	} else {
		bool v6 = memchr(host, ':', size) != NULL && host[0] != '[';

		length = snprintf(address, sizeof(address), v6 ? "[%.*s]:%s" :
		    "%.*s:%s", (int)size, host, port);
	}
	if (length < 0 || (size_t)length >= sizeof(address))
		return NULL;
	for (unsigned i = 0; i < redis->node_count; i++) {
		if (strcmp(redis->nodes[i]->address, address) == 0)
			return redis->nodes[i];
	}
	if (redis->node_count == REDIS_NODES || node_create(redis, address,
	    &redis->nodes[redis->node_count], NULL, 0) < 0)
		return NULL;
	return redis->nodes[redis->node_count++];
}

static uint16_t
index_of(const struct torc_redis *redis, const struct node *node)
{
	uint16_t index = 0;

	while (redis->nodes[index] != node)
		index++;
	return index;
}

/* ---- The map ---- */

/* [first, last, [host, port, ...], replicas ...] */
static void
take_range(struct torc_redis *redis, const struct node *from,
    const struct torc_redis_reply *range)
{
	const struct torc_redis_reply *master, *host;
	struct node *node;
	char port[24];

	if (range->type != TORC_REDIS_ARRAY || range->size < 3 ||
	    range->items[0].type != TORC_REDIS_INTEGER ||
	    range->items[1].type != TORC_REDIS_INTEGER ||
	    range->items[2].type != TORC_REDIS_ARRAY ||
	    range->items[2].size < 2)
		return;
	master = &range->items[2];
	host = &master->items[0];
	snprintf(port, sizeof(port), "%lld",
	    (long long)master->items[1].integer);
	if (master->items[1].type != TORC_REDIS_INTEGER ||
	    (host->type != TORC_REDIS_STRING && host->type != TORC_REDIS_NIL))
		return;
	node = find_node(redis, from, host->text, host->type ==
	    TORC_REDIS_NIL || host->size == 0 ? 0 : host->size, port);
	if (node == NULL || range->items[0].integer < 0)
		return;
	for (int64_t slot = range->items[0].integer;
	    slot <= range->items[1].integer && slot < REDIS_SLOTS; slot++)
		redis->slots[slot] = index_of(redis, node);
}

/* Parks. Ask one node. */
static int
ask_for_map(struct torc_redis *redis, struct node *node, uint64_t deadline)
{
	static const struct torc_slice argv[] = {
		{ (const uint8_t *)"CLUSTER", 7 },
		{ (const uint8_t *)"SLOTS", 5 },
	};
	static const struct torc_redis_command command = { argv, 2 };
	const struct batch batch = { .commands = &command, .count = 1 };
	struct request *request;
	bool sent;
	int rc = node_call(node, &request, deadline, &batch, &sent);

	if (rc < 0)
		return rc;
	if (request->root.type == TORC_REDIS_ARRAY) {
		for (size_t i = 0; i < request->root.size; i++)
			take_range(redis, node, &request->root.items[i]);
		redis->mapped_at = torc_now();
	} else {
		rc = redis_fail(redis, -EPROTO, "%s: no map of slots: %s",
		    node->address, request->root.type == TORC_REDIS_ERROR ?
		    request->root.text : "not an array");
	}
	request_free(request);
	return rc;
}

/* Parks. Ask one after the other, until one answers. */
static int
ask_all(struct torc_redis *redis, uint64_t deadline)
{
	const unsigned count = redis->node_count;
	int rc = -ENOENT;

	for (unsigned i = 0; i < count && rc < 0; i++) {
		struct node *node = redis->nodes[redis->turn++ % count];
		uint64_t until = torc_after_ms(MAP_MS);

		rc = ask_for_map(redis, node, until < deadline ? until :
		    deadline);
		if (rc == -ECANCELED || torc_now() >= deadline)
			break;
	}
	return rc;
}

/* Parks. Have the map, or a newer one. One fiber asks for all. */
static int
get_map(struct torc_redis *redis, uint64_t deadline)
{
	int rc;

	if (redis->mapping)
		return torc_wait(&redis->mappers, deadline);
	redis->mapping = true;
	rc = ask_all(redis, deadline);
	redis->mapping = false;
	if (rc < 0)
		redis_format(redis->map_why, sizeof(redis->map_why), "%s",
		    redis->why);
	/* Those that wait try themselves if only our time was up. */
	torc_wake_all(&redis->mappers,
	    rc == -ECANCELED || rc == -ETIMEDOUT ? 0 : rc);
	return rc;
}

int
cluster_node(struct torc_redis *redis, int slot, struct node **node,
    uint64_t deadline)
{
	while (redis->mapped_at == 0) {
		int rc = get_map(redis, deadline);

		if (rc < 0)
			return redis_fail(redis, rc, "%s", redis->map_why);
	}
	if (slot >= 0 && redis->slots[slot] != REDIS_NO_NODE)
		*node = redis->nodes[redis->slots[slot]];
	else
		*node = redis->nodes[redis->turn++ % redis->node_count];
	return 0;
}

int
cluster_slot(const struct batch *batch, int *slot)
{
	*slot = -1;
	for (unsigned i = 0; i < batch->count; i++) {
		const struct torc_slice *key = command_key(
		    batch->commands[i].argc, batch->commands[i].argv);
		int own;

		if (key == NULL)
			continue;
		own = (int)key_slot(key->data, key->size);
		if (*slot >= 0 && *slot != own)
			return -EXDEV;
		*slot = own;
	}
	return 0;
}

/* ---- Redirection ---- */

/* A command on its way. */
struct trip {
	struct torc_redis *redis;
	struct node *node;	/* asked last, or to ask next */
	bool told;		/* which one is next */
	int slot;
	unsigned attempt;
	uint64_t deadline;
	char why[REDIS_WHY];	/* the node could not be reached */
};

/* What all of a list say, or what the reply is; NULL if they differ. */
static const struct torc_redis_reply *
common_error(const struct torc_redis_reply *root, const struct batch *batch)
{
	if (!batch->list)
		return root;
	for (size_t i = 1; i < root->size; i++) {
		if (root->items[i].type != TORC_REDIS_ERROR ||
		    root->items[i].size != root->items[0].size ||
		    strcmp(root->items[i].text, root->items[0].text) != 0)
			return NULL;
	}
	return root->items;
}

/* "MOVED 3999 127.0.0.1:6381": the node, or NULL. */
static struct node *
read_redirect(const struct trip *trip, const struct torc_redis_reply *error)
{
	const char *host = strchr(error->text, ' ');
	const char *colon = strrchr(error->text, ':');

	host = host == NULL ? NULL : strchr(host + 1, ' ');
	if (host == NULL || colon == NULL || colon < host)
		return NULL;
	host++;
	return find_node(trip->redis, trip->node, host,
	    (size_t)(colon - host), colon + 1);
}

/* Parks. 0, or who waits is out of time. */
static int
pause_a_while(const struct trip *trip)
{
	const unsigned ms = trip->attempt > 4 ? PAUSE_MAX_MS :
	    PAUSE_MS << trip->attempt;
	const uint64_t until = torc_after_ms(ms);
	int rc;

	if (until >= trip->deadline)
		return -ETIMEDOUT;
	rc = torc_sleep(until);
	return rc;
}

/* Parks. It was moved: the map is old. */
static void
follow_moved(struct trip *trip, struct node *node)
{
	struct torc_redis *redis = trip->redis;

	if (trip->slot >= 0)
		redis->slots[trip->slot] = index_of(redis, node);
	if (torc_now() - redis->mapped_at > MAP_AGAIN_NS && !redis->mapping)
		get_map(redis, trip->deadline);
}

/*
 * Parks. What to do about a reply: 1: ask again, 0: deliver it, or a negative
 * errno.
 */
static int
consider(struct trip *trip, struct batch *batch,
    const struct torc_redis_reply *root)
{
	const struct torc_redis_reply *error = common_error(root, batch);
	const bool moved = error != NULL && redis_is_error(error, "MOVED");
	const bool ask = error != NULL && redis_is_error(error, "ASK");
	int rc;

	batch->asking = false;
	/* One command follows ASKING, not a transaction. */
	if (moved || (ask && batch->count == 1 && !batch->atomic)) {
		struct node *node = read_redirect(trip, error);

		if (node == NULL)
			return 0;
		if (moved)
			follow_moved(trip, node);
		batch->asking = ask;
		trip->node = node;
		trip->told = true;
		return 1;
	}
	if (error == NULL || (!ask && !redis_is_error(error, "TRYAGAIN") &&
	    !redis_is_error(error, "CLUSTERDOWN")))
		return 0;
	rc = pause_a_while(trip);
	if (rc == -ECANCELED)
		return redis_fail(trip->redis, rc, "the fiber was cancelled");
	return rc == 0 ? 1 : 0;
}

/* Parks. A node cannot be reached: maybe another one has its slots now. */
static int
look_elsewhere(struct trip *trip, int error)
{
	struct torc_redis *redis = trip->redis;
	int rc;

	redis_format(trip->why, sizeof(trip->why), "%s", redis->why);
	rc = pause_a_while(trip);
	if (rc == -ETIMEDOUT)
		return redis_fail(redis, error, "%s", trip->why);
	if (rc == 0)
		rc = get_map(redis, trip->deadline);
	if (rc == -ECANCELED)
		return redis_fail(redis, rc, "the fiber was cancelled");
	return torc_now() < trip->deadline ? 1 :
	    redis_fail(redis, error, "%s", trip->why);
}

static bool
is_unreachable(int rc)
{
	return rc < 0 && rc != -ETIMEDOUT && rc != -ECANCELED &&
	    rc != -ENOMEM && rc != -ENOBUFS && rc != -ESHUTDOWN &&
	    rc != -EACCES;
}

int
cluster_call(struct torc_redis *redis, struct request **request,
    uint64_t deadline, struct batch *batch)
{
	struct trip trip = { .redis = redis, .deadline = deadline };
	int rc = cluster_slot(batch, &trip.slot);

	if (rc < 0)
		return redis_fail(redis, rc,
		    "the keys are in different slots of the cluster");
	for (;; trip.attempt++) {
		const bool last = trip.attempt >= redis->config.redirects;
		bool sent = true;

		rc = trip.told ? 0 : cluster_node(redis, trip.slot,
		    &trip.node, deadline);
		trip.told = false;
		if (rc == 0)
			rc = node_call(trip.node, request, deadline, batch,
			    &sent);
		if (rc == 0)
			rc = last || (*request)->refused != 0 ? 0 :
			    consider(&trip, batch, &(*request)->root);
		else if (is_unreachable(rc) && !sent && !last)
			rc = look_elsewhere(&trip, rc);
		if (rc == 0)
			return 0;
		request_free(*request);
		*request = NULL;
		if (rc < 0)
			return rc;
	}
}
