/* SPDX-License-Identifier: MIT */
/*
 * open.c - the client's configuration, its beginning and its end.
 */
#include "conn/redis/redis.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "reactor/config.h"
#include "sys/sys.h"

static const struct torc_key redis_key = { "redis" };

/* ---- Configuration ---- */

struct bound {
	const char *name;
	unsigned *value;
	unsigned start;		/* if it is 0 */
	unsigned least;
	unsigned most;
};

static int
check_bounds(struct torc_redis_config *config, struct torc_error *error)
{
	const struct bound bounds[] = {
		{ "database", &config->database, 0, 0, 1 << 20 },
		{ "protocol", &config->protocol, 0, 0, 3 },
		{ "shared_connections", &config->shared_connections, 1, 1,
		    REDIS_SHARED_MAX },
		{ "requests", &config->requests, 4096, 1, 1 << 20 },
		{ "sessions", &config->sessions, 8, 1, 4096 },
		{ "open_ms", &config->open_ms, 5000, 1, UINT32_MAX },
		{ "redirects", &config->redirects, 8, 1, 100 },
		{ "reply_depth_max", &config->reply_depth_max, TORC_RESP_DEPTH,
		    1, TORC_RESP_DEPTH },
	};

	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		const struct bound *bound = &bounds[i];

		if (*bound->value == 0)
			*bound->value = bound->start;
		if (*bound->value >= bound->least &&
		    *bound->value <= bound->most)
			continue;
		return torc_error_set(error, -EINVAL,
		    "%s = %u: must be from %u to %u", bound->name,
		    *bound->value, bound->least, bound->most);
	}
	return 0;
}

static int
check_config(struct torc_redis_config *config, struct torc_error *error)
{
	const char *wrong = NULL;

	if (config->protocol == 1)
		wrong = "protocol = 1: must be 2, 3, or 0 for the best";
	else if (config->user != NULL && config->password == NULL)
		wrong = "user: needs a password, too";
	else if (config->cluster && config->database != 0)
		wrong = "database: must be 0 in a cluster";
	else if (config->sentinel != NULL && config->cluster)
		wrong = "sentinel: must not be set in a cluster";
	else if (config->sentinel != NULL && config->sentinel[0] == '\0')
		wrong = "sentinel: must be the name of a master";
	else if (config->sentinel == NULL &&
	    config->sentinel_password != NULL)
		wrong = "sentinel_password: needs sentinel, too";
	else if (config->sentinel_user != NULL &&
	    config->sentinel_password == NULL)
		wrong = "sentinel_user: needs sentinel_password, too";
	else if (config->server_name != NULL && config->transport == NULL)
		wrong = "server_name: needs transport, too";
	else if (config->server_name != NULL && config->server_name[0] == '\0')
		wrong = "server_name: must be a name, or NULL";
	return wrong == NULL ? check_bounds(config, error) :
	    torc_error_set(error, -EINVAL, "%s", wrong);
}

static int
copy_strings(struct torc_redis *redis, struct torc_error *error)
{
	struct torc_redis_config *config = &redis->config;
	const char **const strings[] = { &config->address, &config->user,
		&config->password, &config->name, &config->sentinel,
		&config->sentinel_user, &config->sentinel_password,
		&config->server_name };

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		if (*strings[i] == NULL)
			continue;
		redis->strings[i] = torc_sys_strdup(*strings[i]);
		if (redis->strings[i] == NULL)
			return torc_error_set(error, -ENOMEM,
			    "no memory for the configuration");
		*strings[i] = redis->strings[i];
	}
	return 0;
}

/* Add the server, or the first nodes of a cluster. */
static int
add_nodes(struct torc_redis *redis, struct torc_error *error)
{
	const unsigned count = redis->config.cluster ?
	    redis->address_count : 1;
	int rc = 0;

	if (redis->config.cluster) {
		redis->slots = torc_sys_alloc_array(REDIS_SLOTS,
		    sizeof(redis->slots[0]));
		if (redis->slots == NULL)
			return torc_error_set(error, -ENOMEM,
			    "no memory for the slots of a cluster");
	}
	for (unsigned i = 0; i < count && rc == 0; i++) {
		rc = torc_redis_node_create(redis, redis->addresses[i],
		    &redis->nodes[i], error);
		if (rc == 0)
			redis->nodes[redis->node_count++]->seed = true;
	}
	return rc;
}

/* Sentinels have users and passwords of their own. */
static int
add_sentinels(struct torc_redis *redis, struct torc_error *error)
{
	const struct torc_redis_config *config = &redis->config;
	struct torc_redis *sentinels = torc_sys_alloc(sizeof(*sentinels));
	int rc = 0;

	redis->sentinels = sentinels;
	if (sentinels == NULL)
		return torc_error_set(error, -ENOMEM,
		    "no memory for a client of the sentinels");
	sentinels->reactor = redis->reactor;
	sentinels->config = (struct torc_redis_config) {
		.user = config->sentinel_user,
		.password = config->sentinel_password,
		.protocol = config->protocol,
		.open_ms = config->open_ms,
		.retry_min_ms = config->retry_min_ms,
		.retry_max_ms = config->retry_max_ms,
		.transport = config->transport,
		.server_name = config->server_name,
	};
	for (unsigned i = 0; rc == 0 && i < redis->address_count; i++) {
		sentinels->addresses[i] = torc_sys_strdup(redis->addresses[i]);
		if (sentinels->addresses[i] == NULL)
			return torc_error_set(error, -ENOMEM,
			    "no memory for an address");
		sentinels->address_count++;
	}
	rc = check_bounds(&sentinels->config, error);
	return rc < 0 ? rc : add_nodes(sentinels, error);
}

/* Parks. Returns 0 or -ETIMEDOUT. */
static int
free_redis(struct torc_redis *redis, torc_deadline deadline)
{
	int rc = 0;

	torc_redis_sentinel_leave(redis);
	if (redis->sentinels != NULL)
		rc = free_redis(redis->sentinels, deadline);
	for (unsigned i = 0; i < redis->node_count; i++)
		rc |= torc_redis_node_destroy(redis->nodes[i], deadline);
	while (redis->gone != NULL) {
		struct node *node = redis->gone;

		redis->gone = node->next;
		rc |= torc_redis_node_destroy(node, deadline);
	}
	for (unsigned i = 0; i < redis->address_count; i++)
		torc_sys_free(redis->addresses[i]);
	for (size_t i = 0; i < sizeof(redis->strings) /
	    sizeof(redis->strings[0]); i++)
		torc_sys_free(redis->strings[i]);
	torc_sys_free(redis->slots);
	torc_sys_free(redis);
	return rc < 0 ? -ETIMEDOUT : 0;
}

static int
fill(struct torc_redis *redis, struct torc_error *error)
{
	int rc = copy_strings(redis, error);

	if (rc == 0)
		rc = torc_redis_read_address(redis, error);
	if (rc == 0)
		rc = check_config(&redis->config, error);
	if (rc == 0)
		rc = add_nodes(redis, error);
	if (rc == 0 && redis->config.sentinel != NULL)
		rc = add_sentinels(redis, error);
	if (rc == 0 && torc_redis_of(redis->reactor) == NULL) {
		rc = torc_reactor_set_data(redis->reactor, &redis_key, redis);
		if (rc < 0)
			torc_error_set(error, rc, "no memory for the data of a "
			    "reactor");
	}
	return rc;
}

int
torc_redis_create_sized(struct torc_redis **out,
    const struct torc_redis_config *config, size_t config_size,
    struct torc_error *error)
{
	struct torc_redis *redis = torc_sys_alloc(sizeof(*redis));
	int rc;

	torc_error_clear(error);
	if (redis == NULL)
		return torc_error_set(error, -ENOMEM, "no memory for a client");
	redis->reactor = torc_reactor_self();
	rc = torc_config_take(&redis->config, sizeof(redis->config), config,
	    config_size, "torc_redis_config", error);
	if (rc == 0)
		rc = fill(redis, error);
	if (rc < 0)
		free_redis(redis, TORC_AT_ONCE);
	else
		*out = redis;
	return rc;
}

int
torc_redis_destroy(struct torc_redis *redis, torc_deadline deadline)
{
	if (redis == NULL)
		return 0;
	if (torc_redis_of(redis->reactor) == redis)
		torc_reactor_set_data(redis->reactor, &redis_key, NULL);
	return free_redis(redis, deadline);
}

struct torc_redis *
torc_redis_of(const struct torc_reactor *reactor)
{
	return torc_reactor_data(reactor, &redis_key);
}
