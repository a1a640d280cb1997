/*
 * proxy.c - a reverse proxy: passes requests on to the origin that the
 * environment names, PROXY_ORIGIN or localhost:8081, and its answers back.
 * Bodies go through as they come, no faster than the other side takes them.
 * 503 says that the origin cannot be reached, 504 that it is too slow, 502
 * that its answer cannot be used.
 */
#include <torc_http.h>

#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const struct torc_key origin_key = { "origin" };
static const struct torc_http_config server_config = {
	.body_max = UINT64_MAX,
};

static int
proxy(struct torc_conn *conn, void *arg)
{
	struct torc_http_client *origin =
	    torc_reactor_get(torc_reactor_self(), &origin_key);
	struct torc_http_field forwarded;
	const struct torc_http_forwarding how = {
		.via = "torc", .added = &forwarded, .added_count = 1,
		.key = torc_conn_key(conn),
	};
	struct torc_http http;
	char peer[128];
	char *port;

	(void)arg;
	if (torc_conn_peer(conn, peer, sizeof(peer)) < 0)
		return TORC_CLOSE;
	port = strrchr(peer, ':');
	if (port != NULL)
		*port = '\0';
	forwarded = (struct torc_http_field) {
		torc_http_text("X-Forwarded-For"), torc_http_text(peer),
	};
	torc_http_open(&http, conn, &server_config);
	while (torc_http_recv(&http, TORC_NEVER) > 0)
		torc_http_forward(&http, origin, &how, TORC_NEVER);
	return torc_http_result(&http);
}

/* Each reactor has connections of its own to the origin. */
static int
start(struct torc_reactor *reactor, void *arg)
{
	const struct torc_http_client_config config = {
		.address = arg, .pool.size = 256, .pool.open_ms = 3000,
		.pool.waiters = 16384,
		.body_max = UINT64_MAX, .answer_ms = 5000,
	};
	struct torc_http_client *origin;
	int rc = torc_http_client_create(&origin, &config, NULL, 0);

	return rc < 0 ? rc : torc_reactor_set(reactor, &origin_key, origin);
}

static void
stop(struct torc_reactor *reactor, void *arg)
{
	struct torc_http_client *origin =
	    torc_reactor_get(reactor, &origin_key);

	(void)arg;
	if (origin != NULL)
		torc_http_client_destroy(origin);
}

int
main(int argc, char **argv)
{
	char *origin = getenv("PROXY_ORIGIN");
	struct torc_config config = {
		.handler = proxy, .start = start, .stop = stop,
		.arg = origin != NULL ? origin : "localhost:8081",
	};

	return cli_serve(argc, argv, "Passes requests on to $PROXY_ORIGIN, or "
	    "localhost:8081.", &config, NULL);
}
