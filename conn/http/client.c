/*
 * client.c - an origin: what its connections are, and how it is asked.
 */
#include <errno.h>

#include "conn/http/origin.h"
#include "reactor/error.h"
#include "sys/sys.h"
#include "sys/trap.h"

#define GOODBYE_MS 1000u	/* for the FIN of an origin */
#define CLIENT_ALIVE 0x68747470u

/* ---- The pool's connections ---- */

/* TLS would begin here, between the dial and the first request. */
static int
open_link(void *arg, void **item, torc_deadline deadline)
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
close_link(void *arg, void *item)
{
	struct torc_http_link *link = item;

	(void)arg;
	torc_conn_close(link->conn,
	    link->spoiled ? TORC_AT_ONCE : torc_after_ms(GOODBYE_MS));
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
free_link(void *arg, void *item)
{
	(void)arg;
	torc_http_link_free(item);
}

static bool
link_usable(void *arg, void *item)
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

static void
set_forward_defaults(struct torc_http_client_config *config)
{
	struct torc_http_forward_config *forward = &config->forward;

	forward->keep_max = or_default(forward->keep_max, 1 << 20);
	if (forward->memory_max == 0)
		forward->memory_max = 64 << 20;
	forward->gather_ms = or_default(forward->gather_ms, 1000);
	forward->queue_ms = or_default(forward->queue_ms, 30000);
	forward->half_close_ms = or_default(forward->half_close_ms, 1000);
	forward->tunnel_ms = or_default(forward->tunnel_ms, 300000);
	forward->stall_ms = or_default(forward->stall_ms, 1000);
	if (config->pool.aside_max == 0)
		config->pool.aside_max = 4 * or_default(config->pool.size, 8);
	if (config->pool.aside_max > 65536)
		config->pool.aside_max = 65536;
}

static void
set_defaults(struct torc_http_client_config *config)
{
	config->head_max = or_default(config->head_max, 32768);
	config->fields_max = fields_max(config->fields_max);
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

int
torc_http_client_create(struct torc_http_client **client,
    const struct torc_http_client_config *config, struct torc_error *error)
{
	struct torc_http_client *made;
	size_t address_size;
	const char *host;
	int rc;

	torc_require(client != NULL && config != NULL,
	    "torc_http_client_create needs a place for the client, and where "
	    "it connects to");
	torc_error_clear(error);
	if (config->address == NULL)
		return torc_error_set(error, -EINVAL, "address: none is given; "
		    "write 127.0.0.1:8080, a name and a port, or unix:PATH");
	host = config->host != NULL ? config->host :
	    strncmp(config->address, "unix:", 5) == 0 ? "localhost" :
	    config->address;
	address_size = strlen(config->address) + 1;
	if (!is_value(host))
		return torc_error_set(error, -EINVAL, "host = \"%s\": must "
		    "be the value of a field, of at most 1000 bytes", host);
	made = torc_sys_alloc_raw(sizeof(*made) + address_size +
	    strlen(host) + 1);
	if (made == NULL)
		return torc_error_set(error, -ENOMEM, "client of %s: no "
		    "memory", config->address);
	made->alive = CLIENT_ALIVE;
	made->config = *config;
	made->closed = false;
	made->unplaced = 0;
	made->evictor = 0;
	torc_list_init(&made->slow);
	made->host = made->address + address_size;
	memcpy(made->address, config->address, address_size);
	memcpy(made->host, host, strlen(host) + 1);
	set_defaults(&made->config);
	made->budget = (struct torc_http_budget) {
		.max = made->config.forward.memory_max,
		.each = made->config.forward.stream ? 0 :
		    made->config.forward.keep_max,
	};
	rc = torc_pool_create(&made->pool, &kind, made, &made->config.pool,
	    error);
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
	/* It has ended with its reactor. */
	if (client->evictor != 0)
		torc_fiber_reap(client->evictor, NULL, TORC_NEVER);
	rc = torc_pool_destroy(client->pool, deadline);
	client->alive = 0;
	torc_sys_free(client);
	return rc;
}

void
torc_http_client_close(struct torc_http_client *client)
{
	if (client != NULL)
		client->closed = true;
}

void
torc_http_client_stats(const struct torc_http_client *client,
    struct torc_pool_stats *stats)
{
	torc_pool_stats(client->pool, stats);
}
