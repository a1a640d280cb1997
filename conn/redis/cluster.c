/* SPDX-License-Identifier: MIT */
/*
 * cluster.c - sends commands to the node that has their keys, and follows
 * redirections.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conn/redis/redis.h"

#define MAP_AGAIN_NS 1000000000u	/* unless one is needed badly */
#define PAUSE_MS 10u		/* doubled each time ... */
#define PAUSE_MAX_MS 200u	/* ... up to this */

int
torc_redis_cluster_slot(const struct batch *batch, int *slot)
{
	*slot = -1;
	for (unsigned i = 0; i < batch->count; i++) {
		const struct torc_slice *key = torc_redis_command_key(
		    batch->commands[i].argc, batch->commands[i].argv);
		int own;

		if (key == NULL)
			continue;
		own = (int)torc_redis_key_slot(key->data, key->size);
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
	struct node *node;	/* the node that was asked last, or is asked
				 * next; held */
	bool told;		/* the next node is known */
	int slot;
	unsigned attempt;
	torc_deadline deadline;
	struct trouble *trouble;
};

/*
 * Returns the error that all replies of a list have, or that the reply is; NULL
 * if they differ.
 */
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
read_redirect(struct torc_redis *redis, const struct node *from,
    const struct torc_redis_reply *error)
{
	const char *host = strchr(error->text, ' ');
	const char *colon = strrchr(error->text, ':');

	host = host == NULL ? NULL : strchr(host + 1, ' ');
	if (host == NULL || colon == NULL || colon < host)
		return NULL;
	host++;
	return torc_redis_cluster_find(
	    redis, from, host, (size_t)(colon - host), colon + 1);
}

void
torc_redis_cluster_learn(struct torc_redis *redis, const struct node *from,
    const struct torc_redis_reply *reply)
{
	const unsigned long slot = torc_redis_is_error(reply, "MOVED") ?
	    strtoul(reply->text + strlen("MOVED"), NULL, 10) : REDIS_SLOTS;
	struct node *node = slot >= REDIS_SLOTS ? NULL :
	    read_redirect(redis, from, reply);

	if (node != NULL)
		torc_redis_cluster_move(redis, (unsigned)slot, node);
}

static void
turn_to(struct trip *trip, struct node *node)
{
	if (node != NULL)
		torc_redis_node_hold(node);
	if (trip->node != NULL)
		torc_redis_node_drop(trip->node);
	trip->node = node;
	trip->told = node != NULL;
}

/*
 * Parks. Pause before the next attempt. Returns an error if the deadline does
 * not allow it.
 */
static int
pause_a_while(const struct trip *trip)
{
	const unsigned ms = trip->attempt > 4 ? PAUSE_MAX_MS :
	    PAUSE_MS << trip->attempt;
	const torc_deadline until = torc_after_ms(ms);

	return until.at >= trip->deadline.at ? -ETIMEDOUT : torc_sleep(until);
}

/* Parks. Ask for the map again, unless it was asked for just now. */
static void
refresh_map(const struct trip *trip)
{
	struct torc_redis *redis = trip->redis;

	if (torc_now() - redis->mapped_at > MAP_AGAIN_NS && !redis->mapping)
		torc_redis_cluster_map(redis, trip->deadline);
}

/*
 * Whether an error may pass, on this node, or when another node gets its slots.
 */
static bool
is_passing(const struct torc_redis_reply *error)
{
	return torc_redis_is_error(error, "CLUSTERDOWN") ||
	    torc_redis_is_error(error, "LOADING") ||
	    torc_redis_is_error(error, "MASTERDOWN");
}

/*
 * Parks. Decide about a reply. Returns 1 to ask again, 0 to deliver it, or a
 * negative errno.
 */
static int
consider(struct trip *trip, struct batch *batch,
    const struct torc_redis_reply *root)
{
	const struct torc_redis_reply *error = common_error(root, batch);
	const bool moved = error != NULL && torc_redis_is_error(error, "MOVED");
	const bool ask = error != NULL && torc_redis_is_error(error, "ASK");
	int rc;

	batch->asking = false;
	/* ASKING applies to one command, not to a transaction. */
	if (moved || (ask && batch->count == 1 && !batch->atomic)) {
		struct node *node = read_redirect(trip->redis, trip->node,
		    error);

		if (node == NULL)
			return 0;
		turn_to(trip, node);
		batch->asking = ask;
		if (moved && trip->slot >= 0)
			torc_redis_cluster_move(
			    trip->redis, (unsigned)trip->slot, node);
		if (moved)
			refresh_map(trip);
		return 1;
	}
	if (error == NULL || (!ask && !torc_redis_is_error(error, "TRYAGAIN") &&
	    !is_passing(error)))
		return 0;
	rc = pause_a_while(trip);
	if (rc == -ECANCELED)
		return torc_redis_fail(
		    trip->trouble, rc, "the fiber was cancelled");
	if (rc == 0 && is_passing(error))
		refresh_map(trip);
	return rc == 0 ? 1 : 0;
}

/*
 * Parks. A node cannot be reached, and the error was set. Another node may have
 * its slots by now.
 */
static int
look_elsewhere(struct trip *trip, int error)
{
	int rc = pause_a_while(trip);

	if (rc == -ETIMEDOUT)
		return error;
	if (rc == 0)
		rc = torc_redis_cluster_map(trip->redis, trip->deadline);
	if (rc == -ECANCELED)
		return torc_redis_fail(
		    trip->trouble, rc, "the fiber was cancelled");
	return torc_passed(trip->deadline) ? error : 1;
}

static bool
is_unreachable(int rc)
{
	return rc < 0 && rc != -ETIMEDOUT && rc != -ECANCELED &&
	    rc != -ENOMEM && rc != -ENOBUFS && rc != -ESHUTDOWN &&
	    rc != -EACCES;
}

/* Parks. Rent a link to the node of the trip's slot. */
static int
rent_there(struct trip *trip, struct link **link)
{
	struct node *node;
	int rc = torc_redis_cluster_node(trip->redis, trip->slot, &node,
	    trip->deadline, trip->trouble);

	if (rc < 0)
		return rc;
	rc = torc_redis_opener_acquire(&node->sessions, link, trip->deadline,
	    trip->trouble);
	if (rc < 0)
		torc_redis_node_drop(node);
	return rc;
}

int
torc_redis_cluster_rent(struct torc_redis *redis, int slot, struct link **link,
    torc_deadline deadline, struct trouble *trouble)
{
	struct trip trip = { .redis = redis, .slot = slot,
		.deadline = deadline, .trouble = trouble };
	int rc = 1;

	for (; rc > 0; trip.attempt++) {
		rc = rent_there(&trip, link);
		if (is_unreachable(rc) &&
		    trip.attempt < redis->config.redirects)
			rc = look_elsewhere(&trip, rc);
	}
	return rc;
}

/*
 * Parks. Ask the next node. Returns 0 to deliver the reply, 1 to go on, or an
 * error.
 */
static int
ask_next(struct trip *trip, struct request **request, struct batch *batch)
{
	const bool last = trip->attempt >= trip->redis->config.redirects;
	struct node *node = NULL;
	bool sent = true;
	int rc = 0;

	if (!trip->told) {
		rc = torc_redis_cluster_node(trip->redis, trip->slot, &node,
		    trip->deadline, trip->trouble);
		turn_to(trip, node);
		if (node != NULL)
			torc_redis_node_drop(node);
	}
	trip->told = false;
	if (rc == 0)
		rc = torc_redis_node_call(trip->node, request, trip->deadline,
		    batch, &sent, trip->trouble);
	if (rc == 0)
		return last || (*request)->refused != 0 ? 0 :
		    consider(trip, batch, &(*request)->root);
	return is_unreachable(rc) && !sent && !last ?
	    look_elsewhere(trip, rc) : rc;
}

int
torc_redis_cluster_call(struct torc_redis *redis, struct request **request,
    torc_deadline deadline, struct batch *batch, struct trouble *trouble)
{
	struct trip trip = { .redis = redis, .deadline = deadline,
		.trouble = trouble };
	int rc = torc_redis_cluster_slot(batch, &trip.slot);

	if (rc < 0)
		return torc_redis_fail(trouble, rc,
		    "the keys are in different slots of the cluster");
	for (;; trip.attempt++) {
		rc = ask_next(&trip, request, batch);
		if (rc == 0)
			break;
		torc_redis_request_free(*request);
		*request = NULL;
		if (rc < 0)
			break;
	}
	turn_to(&trip, NULL);
	if (redis->gone != NULL)
		torc_redis_cluster_reap(redis);
	return rc;
}
