/* SPDX-License-Identifier: MIT */
/*
 * dial.c - new connections to Redis, for the pools of a node: its addresses
 * are tried in order, beginning with the one that was there last.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conn/kit/portion.h"
#include "conn/redis/redis.h"
#include "conn/transport.h"
#include "sys/sys.h"

/* Append the error to those of earlier addresses. */
int
torc_redis_fail_open(
    const struct link *link, int error, const char *format, ...)
{
	struct torc_error *opening = link->opening;
	size_t used = strlen(opening->text);
	va_list arguments;

	if (opening->cut)
		return error;
	if (used > 0)
		opening->cut = torc_text_print(opening->text + used,
		    sizeof(opening->text) - used, "; ");
	used = strlen(opening->text);
	va_start(arguments, format);
	opening->cut |= torc_text_vprint(opening->text + used,
	    sizeof(opening->text) - used, format, arguments);
	va_end(arguments);
	return error;
}

const char *
torc_redis_open_error(const struct link *link, int error, char text[80])
{
	if (error != -ETIMEDOUT)
		return strerror(-error);
	snprintf(text, 80, "its part of open_ms (%u) is over",
	    link->node->redis->config.open_ms);
	return text;
}

/* ---- One address ---- */

void
torc_redis_hang_up(struct link *link)
{
	torc_pipeline_break(&link->shared.pipeline, -ESHUTDOWN);
	torc_conn_close(link->conn, TORC_AT_ONCE);
}

/* Whether the program has given this address, and not another server. */
static bool
is_configured(const struct torc_redis *redis, const char *address)
{
	unsigned place = 0;

	while (place < redis->address_count &&
	    strcmp(redis->addresses[place], address) != 0)
		place++;
	return place < redis->address_count;
}

/*
 * Take the host out of "host:port" or "[::1%zone]:port". Returns whether it is
 * an IP address.
 */
static bool
take_host(const char *address, char host[REDIS_ADDRESS])
{
	const bool v6 = address[0] == '[';
	uint8_t bytes[4];

	torc_text_print(host, REDIS_ADDRESS, "%s", address + v6);
	host[strcspn(host, v6 ? "%]" : ":")] = '\0';
	return v6 || inet_pton(AF_INET, host, bytes) == 1;
}

/*
 * Parks. TLS, unless it is a local socket. An IP address that a server has
 * named says nothing of who should be there.
 */
static int
begin_tls(struct link *link, torc_deadline deadline)
{
	const struct torc_redis *redis = link->node->redis;
	struct torc_transport_wish wish = { .trust = TORC_TRUST_NAME };
	struct torc_error error;
	char host[REDIS_ADDRESS];
	bool is_ip;
	int rc;

	if (redis->config.transport == NULL ||
	    strncmp(link->address, "unix:", 5) == 0)
		return 0;
	is_ip = take_host(link->address, host);
	wish.name = redis->config.server_name != NULL &&
	    (is_ip || is_configured(redis, link->address)) ?
	    redis->config.server_name : host;
	link->opener->stage = "TLS";
	rc = torc_transport_dial(link->conn, redis->config.transport, &wish,
	    &error, deadline);
	if (rc == 0)
		return 0;
	torc_conn_close(link->conn, TORC_AT_ONCE);
	return torc_redis_fail_open(link, rc, "%s: %s", link->address,
	    error.text);
}

int
torc_redis_dial(struct link *link, const struct login *login,
    struct torc_dialled *dialled, torc_deadline deadline)
{
	char words[80];
	torc_deadline part;
	int rc;

	/* Reset what a failed greeting has changed. */
	link->shared.retired = false;
	link->mute = false;
	link->aside = false;
	link->opener->stage = "connecting";
	rc = torc_dial_next(&link->conn, link->address, dialled, deadline);
	if (rc == -EALREADY)
		return rc;
	if (rc < 0)
		return torc_redis_fail_open(link, rc, "%s: cannot connect: %s",
		    link->address, torc_redis_open_error(link, rc, words));
	part = torc_portion(deadline, 1 + dialled->left);
	rc = begin_tls(link, part);
	if (rc < 0)
		return rc;
	torc_resp_tree_init(&link->tree, NULL, NULL);
	torc_pipeline_init(&link->shared.pipeline, link->conn,
	    &torc_redis_link_replies, link);
	link->others = dialled->left;
	rc = torc_redis_greet(link, login, part);
	if (rc < 0)
		torc_redis_hang_up(link);
	return rc;
}

/* After these errors, no other address is tried. */
static bool
is_final(int rc)
{
	return rc == 0 || rc == -ECANCELED || rc == -ESHUTDOWN ||
	    rc == -ENOMEM;
}

/*
 * Parks. Try all addresses of a name, except for those that were dialled
 * before.
 */
static int
dial_next(
    struct link *link, struct torc_dialled *dialled, torc_deadline deadline)
{
	const struct torc_redis_config *config = &link->node->redis->config;
	const struct login login = { config->user, config->password,
		config->name, config->database };
	int rc, next = -EALREADY;

	do {
		rc = next;
		next = torc_redis_dial(link, &login, dialled, deadline);
	} while (!is_final(next) && next != -EALREADY && dialled->left > 0);
	return next == -EALREADY ? rc : next;
}

int
torc_redis_dial_server(struct link *link, torc_deadline deadline)
{
	struct torc_dialled dialled = { .count = 0 };

	return dial_next(link, &dialled, deadline);
}

/*
 * Parks. As above, but first try addresses that did not have the wrong server.
 * If none works, the others may have changed.
 */
static int
dial_preferred(struct link *link, torc_deadline deadline)
{
	struct torc_dialled dialled = link->node->wrong;
	int rc = -EALREADY;

	if (dialled.count > 0)
		rc = dial_next(link, &dialled, torc_portion(deadline, 2));
	if (rc == 0 || (rc != -EALREADY && is_final(rc)))
		return rc;
	link->node->wrong.count = 0;
	return torc_redis_dial_server(link, deadline);
}

/* ---- All of them ---- */

static void
prefer(struct node *node, unsigned place)
{
	if (node->preferred != place)
		node->wrong.count = 0;
	node->preferred = place;
}

/*
 * Parks. Connect to the first address that lets us log in, or whose sentinel
 * names such a server.
 */
static int
dial_any(struct link *link, torc_deadline deadline)
{
	struct node *node = link->node;
	const struct torc_redis *redis = node->redis;
	const unsigned count = redis->address_count;
	const unsigned first = node->preferred;
	bool denied = false;
	int rc = -ENOENT;

	for (unsigned i = 0; i < count && !is_final(rc); i++) {
		const unsigned place = (first + i) % count;
		const torc_deadline part = torc_portion(deadline, count - i);

		torc_text_print(link->address, sizeof(link->address), "%s",
		    redis->addresses[place]);
		rc = redis->config.sentinel != NULL ?
		    torc_redis_sentinel_dial(link, part) : i == 0 ?
		    dial_preferred(link, part) :
		    torc_redis_dial_server(link, part);
		if (rc == 0)
			prefer(node, place);
		denied |= rc == -EACCES;
	}
	return denied && !is_final(rc) ? -EACCES : rc;
}

/* ---- What the pool does with links ---- */

static void
free_link(void *item, void *arg)
{
	struct link *link = item;

	(void)arg;
	torc_pipeline_break(&link->shared.pipeline, -ESHUTDOWN);
	torc_sys_free(link);
}

static void
close_link(void *item, void *arg)
{
	struct link *link = item;
	struct torc_conn *conn = link->conn;

	free_link(link, arg);
	torc_conn_close(conn, TORC_AT_ONCE);
}

static struct link *
link_new(struct opener *opener, struct torc_error *opening)
{
	struct link *link = torc_sys_alloc(sizeof(*link));

	if (link == NULL)
		return NULL;
	link->opener = opener;
	link->opening = opening;
	link->node = opener->node;
	link->generation = opener->node->generation;
	torc_text_print(link->address, sizeof(link->address), "%s",
	    opener->node->address);
	return link;
}

static int
open_link(void **item, torc_deadline deadline, void *arg)
{
	struct opener *opener = arg;
	const struct torc_redis_config *config = &opener->node->redis->config;
	const struct torc_resp_limits limits = {
		.bytes_max = config->reply_bytes_max,
		.items_max = config->reply_items_max,
		.depth_max = config->reply_depth_max,
		.line_max = config->reply_line_max,
	};
	struct torc_error opening;
	struct link *link = link_new(opener, &opening);
	int rc;

	*item = NULL;
	if (link == NULL)
		return torc_error_set(&opener->error, -ENOMEM,
		    "no memory for a connection");
	torc_error_clear(&opening);
	rc = config->cluster ? torc_redis_dial_server(link, deadline) :
	    dial_any(link, deadline);
	if (rc < 0) {
		opening.code = rc;
		opener->error = opening;
		torc_sys_free(link);
		return rc;
	}
	/* The limits of the configuration apply to the program's commands
	 * only. */
	torc_resp_tree_init(&link->tree, NULL, &limits);
	link->opening = NULL;
	if (!torc_redis_is_replaced(link))
		opener->node->verified = link->generation;
	*item = link;
	return 0;
}

static bool
link_usable(void *item, void *arg)
{
	(void)arg;
	return torc_redis_link_alive(item);
}

const struct torc_pool_kind torc_redis_link_kind = {
	.name = "redis",
	.open = open_link,
	.close = close_link,
	.free = free_link,
	.usable = link_usable,
};
