/* SPDX-License-Identifier: MIT */
/*
 * renew.c - connections that lead to the wrong server: one that was demoted,
 * or is not ready, while the address may lead to another one by now. The node
 * begins a new generation of links. Links of an older generation serve until a
 * new one is open, so no command waits for that, and none fails because of it.
 */
#include <string.h>

#include "conn/redis/redis.h"

#define RENEW_MIN_NS UINT64_C(100000000)	/* between two: doubled ... */
#define RENEW_MAX_NS UINT64_C(1000000000)	/* ... up to this, ... */
#define CALM_NS UINT64_C(10000000000)	/* ... until none was for so long */

/*
 * Errors that another connection may not have. MISCONF, OOM, BUSY and the like
 * are not among them: that server is the right one, but has problems.
 */
static bool
is_wrong_server(const struct torc_redis_reply *reply)
{
	static const char *const codes[] = { "READONLY", "LOADING",
		"MASTERDOWN", "NOREPLICAS", "NOAUTH", "UNBLOCKED" };

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (torc_redis_is_error(reply, codes[i]))
			return true;
	}
	return false;
}

static bool
has_such(const struct request *request, bool list)
{
	const struct torc_redis_reply *root = &request->root;

	if (!list || root->type != TORC_REDIS_ARRAY)
		return root->type == TORC_REDIS_ERROR &&
		    is_wrong_server(root);
	for (size_t i = 0; i < root->size; i++) {
		if (root->items[i].type == TORC_REDIS_ERROR &&
		    is_wrong_server(&root->items[i]))
			return true;
	}
	return false;
}

/* Do not try the address of this link next, if its name has several. */
static bool
avoid(struct node *node, const struct link *link)
{
	struct torc_dialled *wrong = &node->wrong;
	char peer[sizeof(wrong->peers[0])];

	if (wrong->count == sizeof(wrong->peers) / sizeof(wrong->peers[0]) ||
	    torc_conn_peer_address(link->conn, peer, sizeof(peer)) < 0)
		return false;
	strcpy(wrong->peers[wrong->count++], peer);
	return true;
}

/* Servers that stay like this are dialled again, but not too often. */
static void
begin_generation(struct node *node, const struct link *link)
{
	const struct torc_redis *redis = node->redis;
	const uint64_t now = torc_now();

	if (now < node->renew_at)
		return;
	if (node->renew_ns == 0 || now - node->renew_at > CALM_NS)
		node->renew_ns = RENEW_MIN_NS;
	else if (node->renew_ns < RENEW_MAX_NS)
		node->renew_ns *= 2;
	node->renew_at = now + node->renew_ns;
	node->generation++;
	node->set.open_at = now;
	node->set.pause_ns = node->renew_ns;
	/* Try the next of several addresses, unless another one was found
	 * already. */
	if (redis->address_count == 0 || strcmp(link->address,
	    redis->addresses[node->preferred]) != 0)
		return;
	if (link->others > 0 && avoid(node, link))
		return;
	node->wrong.count = 0;
	node->preferred = (node->preferred + 1) % redis->address_count;
}

bool
torc_redis_judge(struct link *link, const struct request *request, bool list)
{
	struct node *node = link->node;

	/* In a cluster, the map says where to go. */
	if (node->redis->config.cluster || !has_such(request, list))
		return false;
	if (link->generation == node->generation)
		begin_generation(node, link);
	return true;
}

bool
torc_redis_is_stale(const struct link *link)
{
	return link->generation != link->node->generation;
}

bool
torc_redis_is_replaced(const struct link *link)
{
	return (int)(link->generation - link->node->verified) < 0;
}
