/* SPDX-License-Identifier: MIT */
/*
 * proxy.c - a reverse proxy, also for WebSockets. Its own answers are 503 if
 * the origin cannot be reached, 504 if it is too slow, and 502 if its answer or
 * its certificate is not valid.
 *
 *     cc -o proxy proxy.c cli.c $(pkg-config --cflags --libs torc-http)
 *     PROXY_ORIGIN=localhost:8081 ./proxy -l 127.0.0.1:8080
 *
 * With cli_tls.c and torc-tls it is proxy-tls, whose origin may be verified:
 *
 *     PROXY_ORIGIN=https://localhost:8443 ./proxy-tls --ca FILE
 *
 * Other variables, with their defaults:
 *
 *   PROXY_ANSWER_MS    how long the origin may take to begin an answer: 5000
 *   PROXY_SILENCE_MS   how long it may pause within an answer: 30000; and how
 *                      long a WebSocket may be silent: 300000. 0: no limit
 *   PROXY_KEEP         bytes of a body that are kept for a slow client, in each
 *                      direction: 1048576. 0: none
 *   PROXY_MEMORY       bytes kept for all clients of a reactor: 67108864
 *   PROXY_CONNECTIONS  connections of a reactor to the origin: 2048
 */
#include <torc_service.h>

#include <stdlib.h>

#include "cli_service.h"

static const struct torc_key origin_key = { "origin" };

static int
proxy(struct torc_exchange *exchange, void *arg)
{
	const struct torc_http_forwarding how = {
		.via = "torc", .forwarded_for = true,
		.key = torc_conn_key(torc_exchange_conn(exchange)),
	};

	(void)arg;
	return torc_exchange_forward(exchange, torc_reactor_data(
	    torc_reactor_self(), &origin_key), &how, TORC_NEVER);
}

/* Each reactor has its own connections to the origin. */
static int
start(struct torc_reactor *reactor, void *config)
{
	struct torc_http_client_config how =
	    *(const struct torc_http_client_config *)config;
	struct torc_http_client *origin;
	struct torc_error error;
	int rc;

	how.transport = cli_dialler(how.address);
	rc = torc_http_client_create(&origin, &how, &error);
	return rc < 0 ? cli_fail(rc, "%s", error.text) :
	    torc_reactor_set_data(reactor, &origin_key, origin);
}

static void
stop(struct torc_reactor *reactor, void *config)
{
	(void)config;
	torc_http_client_destroy(torc_reactor_data(reactor, &origin_key),
	    TORC_NEVER);
}

int
main(int argc, char **argv)
{
	const unsigned keep = cli_env_number("PROXY_KEEP", 1 << 20);
	const unsigned silence = cli_env_number("PROXY_SILENCE_MS", 30000);
	const unsigned silence_ms = silence > 0 ? silence : TORC_NO_LIMIT;
	struct torc_http_client_config origin = {
		.address = cli_env("PROXY_ORIGIN", "localhost:8081"),
		.connections = cli_env_number("PROXY_CONNECTIONS", 2048),
		.waiters = 16384,
		.open_ms = 3000,
		.stream = keep == 0,
		.keep_max = keep,
		.memory_max = cli_env_number("PROXY_MEMORY", 64 << 20),
		.tunnel_ms = getenv("PROXY_SILENCE_MS") != NULL ?
		    silence_ms : 300000,
		.body_max = UINT64_MAX,
		.answer_ms = cli_env_number("PROXY_ANSWER_MS", 5000),
		.body_ms = silence_ms,
	};
	const struct torc_http_config http = { .body_max = UINT64_MAX };
	const struct torc_service_config service = { .http = &http };
	const struct torc_config config = { .start = start, .stop = stop,
		.arg = &origin };
	const int status = cli_origin(origin.address);
	struct torc_routes *routes;

	if (status != 0)
		return status;
	if (torc_routes_create(&routes) < 0)
		return 1;
	torc_routes_otherwise(routes, proxy, NULL);
	return cli_serve_routes(argc, argv, "Passes requests on to "
	    "$PROXY_ORIGIN (localhost:8081). proxy.c describes\n"
	    "$PROXY_ANSWER_MS, $PROXY_SILENCE_MS, $PROXY_KEEP, $PROXY_MEMORY "
	    "and\n$PROXY_CONNECTIONS.", routes, &service, &config);
}
