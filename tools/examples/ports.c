/* SPDX-License-Identifier: MIT */
/*
 * ports.c - one program with several ports, each with its own handler: one port
 * echoes, one tells the time, and HTTP shows counts of both.
 *
 *     cc -o ports ports.c cli.c $(pkg-config --cflags --libs torc-http)
 *     PORTS_ECHO=127.0.0.1:7007 PORTS_TIME=127.0.0.1:7013 \
 *         ./ports -l 127.0.0.1:8080
 *
 * Try it with: nc 127.0.0.1 7007; nc 127.0.0.1 7013;
 * curl http://127.0.0.1:8080/counts
 *
 * All ports are open before any of them is served.
 */
#include <torc_service.h>

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli.h"

#define PEER_MS 60000u

static atomic_ulong echoed, told;	/* shared by all reactors */

/* `arg` is the argument of the endpoint: here, the counter that it uses. */
static int
echo(struct torc_conn *conn, void *arg)
{
	atomic_ulong *bytes = arg;
	struct torc_slice in;

	while (torc_conn_recv(conn, &in, torc_after_ms(PEER_MS)) > 0) {
		if (torc_conn_write(conn, in.data, in.size,
		    torc_after_ms(PEER_MS)) < 0)
			return -1;
		atomic_fetch_add(bytes, in.size);
		torc_conn_consume(conn, in.size);
	}
	return TORC_CLOSE;
}

/* As in RFC 867, the client does not have to ask. */
static int
tell_time(struct torc_conn *conn, void *arg)
{
	const time_t now = time(NULL);
	struct tm parts;
	char text[64];

	gmtime_r(&now, &parts);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ\n", &parts);
	atomic_fetch_add((atomic_ulong *)arg, 1);
	return torc_conn_write(conn, text, strlen(text),
	    torc_after_ms(PEER_MS)) < 0 ? -1 : TORC_CLOSE;
}

static int
show_counts(struct torc_exchange *exchange, void *arg)
{
	(void)arg;
	return torc_exchange_textf(exchange, 200, "%lu bytes echoed, the time "
	    "told %lu times\n", TORC_NEVER, atomic_load(&echoed),
	    atomic_load(&told));
}

int
main(int argc, char **argv)
{
	const struct torc_endpoint endpoints[] = {
		{ .address = cli_env("PORTS_ECHO", "127.0.0.1:7007"),
		    .handler = echo, .arg = &echoed },
		{ .address = cli_env("PORTS_TIME", "127.0.0.1:7013"),
		    .handler = tell_time, .arg = &told },
	};
	struct torc_config config = {
		.handler = torc_service_handle,
		.endpoints = endpoints,
		.endpoint_count = sizeof(endpoints) / sizeof(endpoints[0]),
	};
	struct torc_service *service;
	struct torc_routes *routes;
	struct torc_error error;
	int rc = torc_routes_create(&routes);

	if (rc < 0)
		return 1;
	torc_routes_add(routes, "GET", "/counts", show_counts, NULL);
	rc = torc_service_create(&service, routes, NULL, &error);
	torc_routes_destroy(routes);
	if (rc < 0)
		return cli_fail(1, "%s", error.text);
	config.arg = service;
	rc = cli_serve(argc, argv, "Echoes on $PORTS_ECHO (127.0.0.1:7007), "
	    "tells the time on $PORTS_TIME\n(127.0.0.1:7013), and shows counts "
	    "of both over HTTP.", &config, NULL);
	torc_service_destroy(service);
	return rc;
}
