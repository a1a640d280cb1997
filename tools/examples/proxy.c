/*
 * proxy.c - a reverse proxy: passes requests on to an origin, and its answers
 * back; also to WebSockets. 503 says that the origin cannot be reached, 504
 * that it is too slow, 502 that its answer cannot be used.
 *
 * The environment says how:
 *
 *   PROXY_ORIGIN       its address; localhost:8081
 *   PROXY_ANSWER_MS    for an answer to begin, once it was asked; 5000
 *   PROXY_SILENCE_MS   between two pieces of an answer, or of what a WebSocket
 *                      moves; 30000, and 300000 of these; 0: no limit
 *   PROXY_KEEP         bytes of a body that are kept for a client that is slow,
 *                      each way; 1048576; 0: none
 *   PROXY_MEMORY       bytes of all of these, of a reactor; 67108864
 *   PROXY_CONNECTIONS  to the origin, of a reactor; 2048
 */
#include <torc_http.h>

#include <errno.h>
#include <stdio.h>
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
	    torc_reactor_data(torc_reactor_self(), &origin_key);
	struct torc_http_field forwarded;
	const struct torc_http_forwarding how = {
		.via = "torc", .added = &forwarded, .added_count = 1,
		.key = torc_conn_key(conn),
	};
	struct torc_http http;
	char peer[128];
	char *port;

	(void)arg;
	if (torc_conn_peer_address(conn, peer, sizeof(peer)) < 0)
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
	struct torc_http_client *origin;
	struct torc_error error;
	int rc = torc_http_client_create(&origin, arg, &error);

	if (rc < 0) {
		fprintf(stderr, "proxy: %s\n", error.text);
		return rc;
	}
	return torc_reactor_set_data(reactor, &origin_key, origin);
}

static void
stop(struct torc_reactor *reactor, void *arg)
{
	struct torc_http_client *origin =
	    torc_reactor_data(reactor, &origin_key);

	(void)arg;
	if (origin != NULL)
		torc_http_client_destroy(origin, TORC_NEVER);
}

/* A number of the environment, or `otherwise`; wrong ones end the program. */
static unsigned
number(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);
	unsigned long value;
	char *end;

	if (text == NULL)
		return otherwise;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno == 0 && end > text && *end == '\0' && *text != '-' &&
	    value < TORC_NO_LIMIT)
		return (unsigned)value;
	fprintf(stderr, "proxy: %s = %s: must be a number below %u\n", name,
	    text, TORC_NO_LIMIT);
	exit(64);
}

static void
configure(struct torc_http_client_config *config)
{
	const char *origin = getenv("PROXY_ORIGIN");
	const unsigned keep = number("PROXY_KEEP", 1 << 20);
	unsigned silence = number("PROXY_SILENCE_MS", 30000);

	if (silence == 0)
		silence = TORC_NO_LIMIT;
	*config = (struct torc_http_client_config) {
		.address = origin != NULL ? origin : "localhost:8081",
		.pool.size = number("PROXY_CONNECTIONS", 2048),
		.pool.waiters = 16384,
		.pool.open_ms = 3000,
		.forward.stream = keep == 0,
		.forward.keep_max = keep,
		.forward.memory_max = number("PROXY_MEMORY", 64 << 20),
		.forward.tunnel_ms = getenv("PROXY_SILENCE_MS") != NULL ?
		    silence : 300000,
		.body_max = UINT64_MAX,
		.answer_ms = number("PROXY_ANSWER_MS", 5000),
		.body_ms = silence,
	};
}

int
main(int argc, char **argv)
{
	struct torc_http_client_config client;
	struct torc_config config = {
		.handler = proxy, .start = start, .stop = stop, .arg = &client,
	};

	configure(&client);
	return cli_serve(argc, argv, "Passes requests on to $PROXY_ORIGIN, or "
	    "localhost:8081. $PROXY_ANSWER_MS,\n$PROXY_SILENCE_MS, "
	    "$PROXY_KEEP, $PROXY_MEMORY and $PROXY_CONNECTIONS say how.",
	    &config, NULL);
}
