/* SPDX-License-Identifier: MIT */
/*
 * sentinel.c - sentinels know which server is the master. They are asked for
 * each connection, so a new master is found when the old one does not answer,
 * closes its connections, or says that it is not the master (READONLY).
 *
 * A demoted master may not know this for ten seconds, and accepts writes that
 * will be lost. So a daemon also listens to a sentinel: when the sentinel says
 * that there is another master, no more commands are sent to the old one.
 */
#include <errno.h>
#include <string.h>

#include "conn/redis/redis.h"

#define AGAIN_MS 1000u		/* until the daemon tries again */
#define ASK_MS 2000u		/* for a sentinel to answer it */

static bool
is_text(const struct torc_redis_reply *reply)
{
	return reply->type == TORC_REDIS_STRING ||
	    reply->type == TORC_REDIS_STATUS;
}

/* [host, port] */
static bool
is_address(const struct torc_redis_reply *root)
{
	return root->type == TORC_REDIS_ARRAY && root->size == 2 &&
	    is_text(&root->items[0]) && is_text(&root->items[1]) &&
	    root->items[0].size + root->items[1].size + 4 < REDIS_ADDRESS;
}

static void
put_address(const struct torc_redis_reply *root, char *address)
{
	torc_text_print(address, REDIS_ADDRESS,
	    strchr(root->items[0].text, ':') != NULL ? "[%s]:%s" : "%s:%s",
	    root->items[0].text, root->items[1].text);
}

/* Read the sentinel's answer: the address, or an error with its text set. */
static int
read_answer(const struct link *link, const struct request *request,
    char *address)
{
	const char *name = link->node->redis->config.sentinel;
	const struct torc_redis_reply *root = &request->root;

	if (root->type == TORC_REDIS_ERROR)
		return torc_redis_fail_open(link, -ENOENT, "%s: SENTINEL: %s",
		    link->address, root->text);
	if (root->type == TORC_REDIS_NIL && request->refused == 0)
		return torc_redis_fail_open(link, -ENOENT, "%s: this sentinel "
		    "does not know a master \"%s\"", link->address, name);
	if (!is_address(root))
		return torc_redis_fail_open(link, -EPROTO, "%s: its answer to "
		    "SENTINEL is not an address", link->address);
	put_address(root, address);
	return 0;
}

/* ---- In the background ---- */

/* This sentinel is asked first; others may not know the new master yet. */
static void
switch_master(struct torc_redis *redis)
{
	struct node *node = redis->nodes[0];

	node->preferred = redis->sentinels->nodes[0]->preferred;
	torc_redis_node_switch(node);
}

/*
 * Parks. Check whether there is another master that no message has announced.
 */
static void
compare(struct torc_redis *redis, torc_deadline deadline)
{
	struct torc_redis_reply *reply;
	char address[REDIS_ADDRESS];

	if (torc_redis_do(redis->sentinels, &reply, deadline, "SENTINEL",
	    "GET-MASTER-ADDR-BY-NAME", redis->config.sentinel, NULL) == 0 &&
	    is_address(reply)) {
		put_address(reply, address);
		if (strcmp(address, redis->nodes[0]->master) != 0)
			switch_master(redis);
	}
	torc_redis_reply_free(reply);
}

/* "NAME old-host old-port new-host new-port" */
static bool
is_ours(const struct torc_redis *redis, const struct torc_redis_message *news)
{
	const char *name = redis->config.sentinel;
	const size_t size = strlen(name);

	return news->size > size && memcmp(news->text, name, size) == 0 &&
	    news->text[size] == ' ';
}

/* Parks. Runs until the fiber is cancelled. */
static void
hear(struct torc_redis *redis, struct torc_redis_subscriber *subscriber)
{
	struct torc_redis_message news;
	int rc = 0;

	while (rc != -ECANCELED && rc != -ESHUTDOWN) {
		rc = torc_redis_subscriber_next(subscriber, &news, NULL,
		    TORC_NEVER);
		if (rc < 0)
			torc_sleep(torc_after_ms(AGAIN_MS));
		else if (news.event == TORC_REDIS_SUBSCRIBED)
			compare(redis, torc_after_ms(ASK_MS));
		else if (news.event == TORC_REDIS_MESSAGE &&
		    is_ours(redis, &news))
			switch_master(redis);
	}
}

static int
follow(void *arg)
{
	struct torc_redis *redis = arg;
	struct torc_redis_subscriber *subscriber = NULL;

	if (torc_redis_subscriber_create(redis->sentinels, &subscriber) == 0 &&
	    torc_redis_subscribe(subscriber, "+switch-master", NULL,
	    TORC_NEVER) == 0)
		hear(redis, subscriber);
	torc_redis_subscriber_destroy(subscriber);
	return 0;
}

/* Without the daemon, a new master is only noticed by a connection. */
static void
begin_to_follow(struct torc_redis *redis)
{
	if (redis->follower == 0 &&
	    torc_fiber_spawn_daemon(&redis->follower, follow, redis) < 0)
		redis->follower = 0;
}

void
torc_redis_sentinel_leave(struct torc_redis *redis)
{
	if (redis->follower != 0 && torc_fiber_self() != 0)
		torc_fiber_reap(redis->follower, NULL, TORC_NEVER);
	redis->follower = 0;
}

/* ---- For a connection ---- */

/* Parks. Ask where the master is. */
static int
ask_sentinel(struct link *link, char *address, torc_deadline deadline)
{
	const struct torc_redis_config *config = &link->node->redis->config;
	const struct login login = { .user = config->sentinel_user,
		.password = config->sentinel_password };
	const char *const argv[] = { "SENTINEL", "GET-MASTER-ADDR-BY-NAME",
		config->sentinel };
	struct torc_dialled dialled = { .count = 0 };
	struct request *request;
	int rc = torc_redis_dial(link, &login, &dialled, deadline);

	if (rc < 0)
		return rc;
	rc = torc_redis_ask_early(link, &request, deadline, 3, argv);
	if (rc == 0) {
		rc = read_answer(link, request, address);
		torc_redis_request_free(request);
	}
	torc_redis_hang_up(link);
	return rc;
}

/* Parks. Check the role: the sentinel may be out of date. */
static int
check_role(struct link *link, torc_deadline deadline)
{
	static const char *const argv[] = { "ROLE" };
	const struct torc_redis_reply *root;
	struct request *request;
	int rc = torc_redis_ask_early(link, &request, deadline, 1, argv);

	if (rc < 0)
		return rc;
	root = &request->root;
	if (root->type == TORC_REDIS_ERROR)
		rc = torc_redis_fail_open(link, -EACCES, "%s: ROLE: %s",
		    link->address, root->text);
	else if (root->type != TORC_REDIS_ARRAY || root->size == 0 ||
	    !is_text(&root->items[0]))
		rc = torc_redis_fail_open(link, -EPROTO,
		    "%s: its answer to ROLE is not valid",
		    link->address);
	else if (strcmp(root->items[0].text, "master") != 0)
		rc = torc_redis_fail_open(link, -ECONNREFUSED, "%s: it is not "
		    "a master, but a %s", link->address, root->items[0].text);
	torc_redis_request_free(request);
	return rc;
}

int
torc_redis_sentinel_dial(struct link *link, torc_deadline deadline)
{
	char address[REDIS_ADDRESS];
	int rc = ask_sentinel(link, address, deadline);

	if (rc < 0)
		return rc;
	torc_text_print(link->address, sizeof(link->address), "%s", address);
	rc = torc_redis_dial_server(link, deadline);
	if (rc < 0)
		return rc;
	rc = check_role(link, deadline);
	if (rc < 0) {
		torc_redis_hang_up(link);
		return rc;
	}
	torc_text_print(link->node->master, sizeof(link->node->master), "%s",
	    address);
	begin_to_follow(link->node->redis);
	return 0;
}
