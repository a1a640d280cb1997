/* SPDX-License-Identifier: MIT */
/*
 * node.c - a server, and the connections to it. Shared connections form a set
 * (conn/kit/shared.h), which keeps them until they are retired. A connection
 * that leads to the wrong server is outdated (renew.c): it serves until there
 * is a better one. Large commands use links that are not shared: many fibers
 * would wait behind them, and Redis closes a connection that sends more than it
 * is configured to accept.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/redis/redis.h"
#include "sys/sys.h"

#define ATTEMPTS 4u	/* of a command of which nothing was sent */
#define APART 4u	/* links for what is large */

static struct torc_shared *
enter(void *item)
{
	struct link *link = item;

	return &link->shared;
}

static bool
is_usable(struct torc_shared *shared)
{
	return torc_redis_link_alive(shared->item);
}

static bool
is_outdated(const struct torc_shared *shared)
{
	return torc_redis_is_stale(shared->item);
}

static const struct torc_shared_kind shared_kind = {
	.enter = enter,
	.usable = is_usable,
	.outdated = is_outdated,
	.keeps = true,
	.looks = 4,
	.burst = 128,
};

static int
opener_create(struct opener *opener, struct node *node,
    const struct torc_pool_config *config, struct torc_error *error)
{
	opener->node = node;
	opener->stage = "waiting to connect";
	return torc_pool_create(&opener->pool, &torc_redis_link_kind, opener,
	    config, error);
}

static int
begin_sharing(struct node *node, struct torc_error *error)
{
	const struct torc_redis_config *config = &node->redis->config;
	const struct torc_shared_config wanted = {
		.places = config->shared_connections,
		.waiters = config->requests,
		.requests = config->requests,
		.open_ms = config->open_ms,
	};

	if (torc_shared_set_init(&node->set, &shared_kind, node->shared.pool,
	    &wanted) < 0)
		return torc_error_set(error, -ENOMEM,
		    "no memory for the connections of a node");
	return 0;
}

static int
create_openers(struct node *node, struct torc_error *error)
{
	const struct torc_redis_config *config = &node->redis->config;
	/* Retired shared links count as long as they have users. */
	const unsigned sizes[] = { config->shared_connections * 4,
		config->sessions, APART };
	struct opener *const openers[] = { &node->shared, &node->sessions,
		&node->apart };
	struct torc_pool_config pool = {
		.waiters = 1024,
		.open_ms = config->open_ms,
		.retry_min_ms = config->retry_min_ms,
		.retry_max_ms = config->retry_max_ms,
	};
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < 3; i++) {
		pool.size = sizes[i];
		rc = opener_create(openers[i], node, &pool, error);
	}
	if (rc == 0)
		rc = begin_sharing(node, error);
	for (unsigned i = 0; rc < 0 && i < 3; i++) {
		if (openers[i]->pool != NULL)
			torc_pool_destroy(openers[i]->pool, TORC_AT_ONCE);
	}
	return rc;
}

int
torc_redis_node_create(struct torc_redis *redis, const char *address,
    struct node **out, struct torc_error *error)
{
	struct node *node = torc_sys_alloc(sizeof(*node));
	int rc;

	if (node == NULL)
		return torc_error_set(error, -ENOMEM, "no memory for a node");
	node->redis = redis;
	snprintf(node->address, sizeof(node->address), "%s", address);
	rc = create_openers(node, error);
	if (rc < 0)
		torc_sys_free(node);
	else
		*out = node;
	return rc;
}

/* A failed open has its own text; other errors have none. */
static int
explain(const struct opener *opener, int rc, torc_deadline deadline,
    struct trouble *trouble)
{
	const char *address = opener->node->address;
	struct torc_pool_stats stats;

	torc_pool_stats_read(opener->pool, &stats);
	if (rc == -ECANCELED)
		return torc_redis_fail(trouble, rc, "%s: the fiber was "
		    "cancelled while it waited for a connection", address);
	if (rc == -ETIMEDOUT && torc_passed(deadline))
		return torc_redis_fail(trouble, rc, "%s: no connection before "
		    "the deadline of the call (%s)", address, opener->stage);
	if (rc == stats.last_error)
		return torc_redis_pass_on(trouble, rc, &opener->error);
	return torc_redis_fail(trouble, rc, "%s: no connection: %s", address,
	    strerror(-rc));
}

int
torc_redis_opener_acquire(struct opener *opener, struct link **link,
    torc_deadline deadline, struct trouble *trouble)
{
	void *item;
	int rc = torc_pool_acquire(opener->pool, &item, deadline);

	if (rc < 0)
		return explain(opener, rc, deadline, trouble);
	*link = item;
	return 0;
}

int
torc_redis_node_rent(struct torc_redis *redis, int slot, struct link **link,
    torc_deadline deadline, struct trouble *trouble)
{
	struct node *node = redis->nodes[0];
	int rc;

	if (redis->config.cluster)
		return torc_redis_cluster_rent(redis, slot, link, deadline,
		    trouble);
	rc = torc_redis_opener_acquire(&node->sessions, link, deadline,
	    trouble);
	if (rc == 0)
		torc_redis_node_hold(node);
	return rc;
}

/* ---- Shared connections ---- */

void
torc_redis_node_rest(struct node *node)
{
	torc_shared_set_rest(&node->set);
}

void
torc_redis_node_switch(struct node *node)
{
	node->generation++;
	node->verified = node->generation;
	node->set.open_at = torc_now();
	torc_redis_node_rest(node);
}

int
torc_redis_node_destroy(struct node *node, torc_deadline deadline)
{
	int rc;

	torc_shared_set_end(&node->set);
	rc = torc_pool_destroy(node->apart.pool, deadline);
	rc |= torc_pool_destroy(node->sessions.pool, deadline);
	rc |= torc_pool_destroy(node->shared.pool, deadline);
	torc_sys_free(node);
	return rc < 0 ? -ETIMEDOUT : 0;
}

/* Parks. Get a link: the best one, or a new one. */
static int
get_link(struct node *node, struct link **link, torc_deadline deadline,
    struct trouble *trouble)
{
	struct torc_shared *shared;
	int rc = torc_shared_join(&node->set, &shared, deadline);

	if (rc == -EBUSY)
		return torc_redis_fail(trouble, -ENOBUFS,
		    "%s: too many requests without a reply", node->address);
	if (rc == -ENOBUFS)
		return torc_redis_fail(trouble, rc,
		    "%s: too many wait for a connection", node->address);
	if (rc < 0)
		return explain(&node->shared, rc, deadline, trouble);
	*link = shared->item;
	return 0;
}

/* Parks. Get a link for a batch. */
static int
take_link(struct node *node, const struct batch *batch, struct link **link,
    torc_deadline deadline, struct trouble *trouble)
{
	return batch->large ?
	    torc_redis_opener_acquire(&node->apart, link, deadline, trouble) :
	    get_link(node, link, deadline, trouble);
}

static void
give_back(struct node *node, const struct batch *batch, struct link *link,
    int rc)
{
	if (batch->large)
		torc_pool_release(node->apart.pool, link,
		    rc == 0 && torc_redis_link_alive(link));
	else
		torc_shared_leave(&link->shared);
}

int
torc_redis_node_call(struct node *node, struct request **request,
    torc_deadline deadline, const struct batch *batch, bool *sent,
    struct trouble *trouble)
{
	int rc = -ECONNRESET;

	*request = NULL;
	*sent = false;
	for (unsigned i = 0; i < ATTEMPTS && !*sent && rc != 0; i++) {
		struct link *link = NULL;

		rc = take_link(node, batch, &link, deadline, trouble);
		if (rc < 0)
			return rc;
		rc = torc_redis_link_call(link, request, deadline, batch, sent);
		if (rc < 0)
			torc_redis_link_explain(link, rc, *sent, trouble);
		else
			torc_redis_judge(link, *request, batch->list);
		give_back(node, batch, link, rc);
		if (rc == -ETIMEDOUT || rc == -ECANCELED || rc == -ENOMEM)
			break;
	}
	return rc;
}
