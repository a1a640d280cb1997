/* SPDX-License-Identifier: MIT */
/* client.c - clients: their configuration, and their pool of connections. */
#include <errno.h>

#include "conn/conn.h"
#include "conn/http/origin.h"
#include "conn/http/place.h"
#include "conn/transport.h"
#include "reactor/config.h"
#include "reactor/error.h"
#include "sys/sys.h"
#include "sys/trap.h"

#define GOODBYE_MS 1000u	/* for the FIN of an origin */
#define CLIENT_ALIVE 0x68747470u
#define PROTOCOL "http/1.1"	/* as ALPN calls it */

/* ---- The pool's connections ---- */

/*
 * Parks. Between the dial and the first request. A server that chooses no
 * protocol speaks HTTP/1.1.
 */
static int
secure(struct torc_http_client *client, struct torc_conn *conn,
    torc_deadline deadline)
{
	struct torc_transport_dialler *dialler = client->config.transport;
	const struct torc_transport_wish wish = {
		.name = client->name,
		.protocol = PROTOCOL,
	};
	struct torc_slice chosen;
	int rc;

	torc_error_clear(&client->failure);
	rc = torc_transport_dial(conn, dialler, &wish, &client->failure,
	    deadline);
	if (rc < 0)
		return rc;
	chosen = dialler->protocol(conn->transport);
	if (chosen.size == 0 || (chosen.size == strlen(PROTOCOL) &&
	    memcmp(chosen.data, PROTOCOL, chosen.size) == 0))
		return 0;
	return torc_error_set(&client->failure, -EPROTO, "handshake with %s: "
	    "it chose the protocol \"%.*s\", and " PROTOCOL " was offered",
	    client->name, (int)chosen.size, (const char *)chosen.data);
}

static int
open_link(void **item, torc_deadline deadline, void *arg)
{
	struct torc_http_client *client = arg;
	struct torc_http_link *link = torc_sys_alloc(sizeof(*link));
	int rc;

	if (link == NULL)
		return -ENOMEM;
	rc = torc_dial_name(&link->conn, client->address, deadline);
	if (rc == 0 && client->config.transport != NULL) {
		rc = secure(client, link->conn, deadline);
		if (rc < 0)
			torc_conn_close(link->conn, TORC_AT_ONCE);
	}
	if (rc < 0) {
		torc_sys_free(link);
		return rc;
	}
	*item = link;
	return 0;
}

const char *
torc_http_client_why(struct torc_http_client *client,
    const struct torc_http_link *link, int code)
{
	struct torc_transport_dialler *dialler = client->config.transport;
	const char *why;

	if (dialler == NULL)
		return NULL;
	if (link == NULL)
		return client->failure.code == code ? client->failure.text :
		    NULL;
	why = dialler->why(link->conn->transport);
	if (why == NULL)
		return NULL;
	torc_error_set(&client->failure, code, "connection to %s: %s",
	    client->name, why);
	return client->failure.text;
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

/* Whether it is to go through TLS is said once. Returns 0 or -EINVAL. */
static int
check_scheme(const struct torc_http_client_config *config,
    const struct torc_http_place *place, struct torc_error *error)
{
	if (place->secure && config->transport == NULL)
		return torc_error_set(error, -EINVAL, "address = \"%s\": "
		    "https needs transport, which is NULL: set it to what "
		    "torc_tls_client_transport() returns", config->address);
	if (place->url && !place->secure && config->transport != NULL)
		return torc_error_set(error, -EINVAL, "address = \"%s\": "
		    "http is clear text, and transport is set: write https, "
		    "or leave transport NULL", config->address);
	if (config->name != NULL && config->transport == NULL)
		return torc_error_set(error, -EINVAL, "name = \"%s\": it is "
		    "looked for in a certificate, and transport is NULL",
		    config->name);
	return 0;
}

/* Check a configuration, before a client is allocated. Returns 0 or -EINVAL. */
static int
check_config(struct torc_http_client_config *config,
    struct torc_http_place *place, struct torc_error *error)
{
	const char *host;
	int rc;

	if (config->address == NULL)
		return torc_error_set(error, -EINVAL, "address: none is given; "
		    "write 127.0.0.1:8080, a name and a port, or unix:PATH");
	rc = torc_http_place_read(place, config->address, error);
	if (rc == 0)
		rc = check_scheme(config, place, error);
	if (rc < 0)
		return rc;
	if (config->host == NULL && strncmp(config->address, "unix:", 5) == 0)
		config->host = "localhost";
	host = config->host != NULL ? config->host : config->address;
	if (!is_value(host))
		return torc_error_set(error, -EINVAL, "host = \"%s\": must be "
		    "a valid value of a field, of at most 1000 bytes", host);
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

/* What its Host field says. */
static struct torc_slice
choose_host(const struct torc_http_client_config *config,
    const struct torc_http_place *place)
{
	return config->host != NULL ? torc_http_text(config->host) :
	    place->address;
}

/* Two texts in one, at `*at`, which goes on behind it. */
static char *
put_text(char **at, struct torc_slice text, const char *more)
{
	char *begun = *at;

	memcpy(begun, text.data, text.size);
	strcpy(begun + text.size, more);
	*at += text.size + strlen(more) + 1;
	return begun;
}

/* A client, but for its pool. NULL: no memory. */
static struct torc_http_client *
allocate(const struct torc_http_client_config *config,
    const struct torc_http_place *place)
{
	const struct torc_slice host = choose_host(config, place);
	const size_t name_size = config->name != NULL ?
	    strlen(config->name) : host.size;
	const size_t size = place->address.size + strlen(place->port) +
	    host.size + name_size + 3;
	struct torc_http_client *made =
	    torc_sys_alloc_raw(sizeof(*made) + size);
	char *at;

	if (made == NULL)
		return NULL;
	*made = (struct torc_http_client) {
		.alive = CLIENT_ALIVE,
		.config = *config,
	};
	torc_list_init(&made->slow);
	at = made->address;
	put_text(&at, place->address, place->port);
	made->host = put_text(&at, host, "");
	made->name = put_text(&at, config->name != NULL ?
	    torc_http_text(config->name) : torc_http_place_name(made->host),
	    "");
	set_defaults(&made->config);
	made->budget = (struct torc_http_budget) {
		.max = made->config.memory_max,
		.each = made->config.stream ? 0 : made->config.keep_max,
	};
	return made;
}

int
torc_http_client_create_sized(struct torc_http_client **client,
    const struct torc_http_client_config *config, size_t config_size,
    struct torc_error *error)
{
	struct torc_http_client_config known;
	struct torc_http_client *made;
	struct torc_http_place place;
	int rc;

	torc_require(client != NULL && config != NULL,
	    "torc_http_client_create() needs a place for the client, and a "
	    "configuration");
	torc_error_clear(error);
	rc = torc_config_take(&known, sizeof(known), config, config_size,
	    "torc_http_client_config", error);
	if (rc == 0)
		rc = check_config(&known, &place, error);
	if (rc < 0)
		return rc;
	made = allocate(&known, &place);
	if (made == NULL)
		return torc_error_set(error, -ENOMEM, "client of %s: no "
		    "memory", known.address);
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
