/* SPDX-License-Identifier: MIT */
/*
 * handler.c - an HTTP handler on torc that asks a backend for each request.
 *
 *	BACKEND=redis ADDRESS=127.0.0.1:6379 handler -l ADDRESS
 *	BACKEND=pg ADDRESS=unix:FOLDER/.s.PGSQL.5432 handler -l ADDRESS
 *
 * A GET of "key", or a select by key; one connection to the backend. 503 if
 * there is no value.
 */
#include <torc_http.h>

#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "tools/bench/clients/questions.h"

static int
refuse(struct torc_http *http)
{
	return torc_http_reply(http, 503, NULL, 0, NULL, 0, TORC_NEVER);
}

static int
answer_by_redis(struct torc_http *http)
{
	struct torc_redis *redis = torc_redis_of(torc_reactor_self());
	struct torc_redis_reply *reply;
	int rc = ask_redis(redis, &reply) ? torc_http_reply(http, 200, NULL,
	    0, reply->text, reply->size, TORC_NEVER) : refuse(http);

	torc_redis_reply_free(reply);
	return rc;
}

static int
answer_by_pg(struct torc_http *http)
{
	static unsigned next;
	struct torc_pg *pg = torc_pg_of(torc_reactor_self());
	struct torc_pg_result *result;
	struct torc_pg_row row;
	int rc = ask_pg(pg, next++, &result, &row) ? torc_http_reply(http,
	    200, NULL, 0, row.values[0].data, row.values[0].size,
	    TORC_NEVER) : refuse(http);

	torc_pg_result_free(result);
	return rc;
}

/* `answer`: one of those two. */
static int
serve(struct torc_conn *conn, int (*answer)(struct torc_http *http))
{
	struct torc_http http;

	torc_http_init(&http, conn, NULL);
	while (torc_http_recv(&http, TORC_NEVER) > 0 && answer(&http) == 0)
		continue;
	return torc_http_result(&http);
}

static int
serve_redis(struct torc_conn *conn, void *arg)
{
	(void)arg;
	return serve(conn, answer_by_redis);
}

static int
serve_pg(struct torc_conn *conn, void *arg)
{
	(void)arg;
	return serve(conn, answer_by_pg);
}

static int
start(struct torc_reactor *reactor, void *arg)
{
	const struct torc_redis_config to_redis = { .address = arg };
	const struct torc_pg_config to_pg = { .address = arg, .shared = 1,
		.user = "bench", .database = "postgres" };
	struct torc_redis *redis;
	struct torc_pg *pg;

	(void)reactor;
	return strcmp(getenv("BACKEND"), "pg") == 0 ?
	    torc_pg_create(&pg, &to_pg, NULL) :
	    torc_redis_create(&redis, &to_redis, NULL);
}

static void
stop(struct torc_reactor *reactor, void *arg)
{
	(void)arg;
	torc_redis_destroy(torc_redis_of(reactor), TORC_NEVER);
	if (torc_pg_of(reactor) != NULL)
		torc_pg_destroy(torc_pg_of(reactor), TORC_NEVER);
}

int
main(int argc, char **argv)
{
	const char *backend = getenv("BACKEND");
	struct torc_config config = { .start = start, .stop = stop,
		.arg = getenv("ADDRESS") };

	if (backend == NULL || config.arg == NULL)
		return 64;
	config.handler = strcmp(backend, "pg") == 0 ? serve_pg : serve_redis;
	return cli_serve(argc, argv, "Asks a backend for each request.",
	    &config, NULL);
}
