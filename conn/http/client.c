/* SPDX-License-Identifier: MIT */
/* client.c - clients: their configuration, and their pool of connections. */
#include <errno.h>

#include "conn/http/origin.h"
#include "reactor/config.h"
#include "reactor/error.h"
#include "sys/sys.h"
#include "sys/trap.h"

#define GOODBYE_MS 1000u	/* for the FIN of an origin */
#define CLIENT_ALIVE 0x68747470u

/* ---- The pool's connections ---- */

/* TLS would begin here, between the dial and the first request. */
static int
open_link(void **item, torc_deadline deadline, void *arg)
{
	const struct torc_http_client *client = arg;
	struct torc_http_link *link = torc_sys_alloc(sizeof(*link));
	int rc;

	if (link == NULL)
		return -ENOMEM;
	rc = torc_dial_name(&link->conn, client->address, deadline);
	if (rc < 0) {
		torc_sys_free(link);
		return rc;
	}
	*item = link;
	return 0;
}

static void
close_link(void *item, void *arg)
{
	struct torc_http_link *link = item;

	(void)arg;
	torc_conn_close(link->conn,
	    link->unclean ? TORC_AT_ONCE : torc_after_ms(GOODBYE_MS));
	torc_sys_free(link->fields);
	torc_sys_free(link);
}

void
torc_http_link_free(struct torc_http_link *link)
{
	torc_sys_free(link->fields);
	torc_sys_free(link);
}

static void
free_link(void *item, void *arg)
{
	(void)arg;
	torc_http_link_free(item);
}

static bool
link_usable(void *item, void *arg)
{
	struct torc_http_link *link = item;

	(void)arg;
	link->used = true;
	return torc_conn_usable(link->conn);
}

static const struct torc_pool_kind kind = {
	.name = "http",
	.open = open_link,
	.close = close_link,
	.free = free_link,
	.usable = link_usable,
};

/* ---- The client ---- */

#define FIELD(name) TORC_BOUND_FIELD(struct torc_http_client_config, name)

/* The pool checks the fields that have the same names in its configuration. */
static const struct torc_bound bounds[] = {
	{ FIELD(connections), 8, 1, 4096, false },
	{ FIELD(head_max), 32768, 16, UINT32_MAX, false },
	{ FIELD(fields_max), TORC_HTTP_FIELDS, 1, FIELDS_MOST, false },
};

static void
set_forward_defaults(struct torc_http_client_config *config)
{
	config->keep_max = or_default(config->keep_max, 1 << 20);
	if (config->memory_max == 0)
		config->memory_max = 64 << 20;
	config->gather_ms = or_default(config->gather_ms, 1000);
	config->queue_ms = or_default(config->queue_ms, 30000);
	config->half_close_ms = or_default(config->half_close_ms, 1000);
	config->tunnel_ms = or_default(config->tunnel_ms, 300000);
	config->stall_ms = or_default(config->stall_ms, 1000);
	if (config->aside_max == 0)
		config->aside_max = 4 * config->connections;
}

static void
set_defaults(struct torc_http_client_config *config)
{
	config->body_max = config->body_max != 0 ? config->body_max : 64 << 20;
	config->answer_ms = or_default(config->answer_ms, 30000);
	config->body_ms = or_default(config->body_ms, 30000);
	config->body_rate = or_default(config->body_rate, 1);
	config->write_ms = or_default(config->write_ms, 30000);
	config->write_rate = write_rate(config->write_rate,
	    config->write_ms);
	set_forward_defaults(config);
}

static bool
is_value(const char *text)
{
	uint8_t memory[1024];
	struct torc_http_writer writer = { memory, sizeof(memory), 0, 0 };

	torc_http_put(&writer, "Host", text);
	return writer.error == 0;
}

/* Check a configuration, before a client is allocated. Returns 0 or -EINVAL. */
static int
check_config(struct torc_http_client_config *config, struct torc_error *error)
{
	if (config->address == NULL)
		return torc_error_set(error, -EINVAL, "address: none is given; "
		    "write 127.0.0.1:8080, a name and a port, or unix:PATH");
	if (config->host == NULL)
		config->host = strncmp(config->address, "unix:", 5) == 0 ?
		    "localhost" : config->address;
	if (!is_value(config->host))
		return torc_error_set(error, -EINVAL, "host = \"%s\": must be "
		    "a valid value of a field, of at most 1000 bytes",
		    config->host);
	return torc_config_check(config, bounds,
	    sizeof(bounds) / sizeof(bounds[0]), error);
}

static int
create_pool(struct torc_http_client *client, struct torc_error *error)
{
	const struct torc_http_client_config *config = &client->config;
	const struct torc_pool_config pool = {
		.size = config->connections,
		.waiters = config->waiters,
		.idle_ms = config->idle_ms,
		.open_ms = config->open_ms,
		.retry_min_ms = config->retry_min_ms,
		.retry_max_ms = config->retry_max_ms,
		.lifetime_ms = config->lifetime_ms,
		.aside_max = config->aside_max,
	};

	return torc_pool_create(&client->pool, &kind, client, &pool, error);
}

int
torc_http_client_create_sized(struct torc_http_client **client,
    const struct torc_http_client_config *config, size_t config_size,
    struct torc_error *error)
{
	struct torc_http_client_config known;
	struct torc_http_client *made;
	size_t address_size, host_size;
	int rc;

	torc_require(client != NULL && config != NULL,
	    "torc_http_client_create() needs a place for the client, and a "
	    "configuration");
	torc_error_clear(error);
	rc = torc_config_take(&known, sizeof(known), config, config_size,
	    "torc_http_client_config", error);
	if (rc == 0)
		rc = check_config(&known, error);
	if (rc < 0)
		return rc;
	address_size = strlen(known.address) + 1;
	host_size = strlen(known.host) + 1;
	made = torc_sys_alloc_raw(sizeof(*made) + address_size + host_size);
	if (made == NULL)
		return torc_error_set(error, -ENOMEM, "client of %s: no "
		    "memory", known.address);
	made->alive = CLIENT_ALIVE;
	made->config = known;
	made->closed = false;
	made->unplaced = 0;
	made->evictor = 0;
	torc_list_init(&made->slow);
	made->host = made->address + address_size;
	memcpy(made->address, known.address, address_size);
	memcpy(made->host, known.host, host_size);
	set_defaults(&made->config);
	made->budget = (struct torc_http_budget) {
		.max = made->config.memory_max,
		.each = made->config.stream ? 0 : made->config.keep_max,
	};
	rc = create_pool(made, error);
	if (rc < 0)
		torc_sys_free(made);
	else
		*client = made;
	return rc;
}

int
torc_http_client_destroy(struct torc_http_client *client,
    torc_deadline deadline)
{
	int rc;

	if (client == NULL)
		return 0;
	torc_require(client->alive == CLIENT_ALIVE,
	    "a client of HTTP is destroyed twice, or was never created");
	/* The evictor has ended with its reactor. */
	if (client->evictor != 0)
		torc_fiber_reap(client->evictor, NULL, TORC_NEVER);
	rc = torc_pool_destroy(client->pool, deadline);
	client->alive = 0;
	torc_sys_free(client);
	return rc;
}

void
torc_http_client_shutdown(struct torc_http_client *client)
{
	if (client != NULL)
		client->closed = true;
}

void
torc_http_client_stats_read_sized(const struct torc_http_client *client,
    struct torc_pool_stats *stats, size_t stats_size)
{
	torc_pool_stats_read_sized(client->pool, stats, stats_size);
}
