/* SPDX-License-Identifier: MIT */
/*
 * cache.c - pages that take long to make, cached in Redis for a minute.
 *
 *     cc -o cache cache.c cli.c \
 *         $(pkg-config --cflags --libs torc-http torc-redis)
 *     REDIS=127.0.0.1:6379 ./cache -l 127.0.0.1:8080
 *
 * Try it twice with: curl -i http://127.0.0.1:8080/some/page
 *
 * The field X-Cache says "miss" for the first request and "hit" for the second.
 * While Redis is away, every page is made anew, and X-Cache says "none".
 *
 * With cli_tls.c and torc-tls it is cache-tls, whose Redis may be verified:
 *
 *     REDIS=rediss://localhost:6380 ./cache-tls --ca FILE
 */
#include <torc_redis.h>
#include <torc_service.h>

#include <errno.h>
#include <stdlib.h>

#include "cli_service.h"

#define REDIS_MS 100u		/* a cache must not be slow */
#define PAGE_MS 50u		/* the time it takes to make a page */

/* Parks. Make a page: slow, so it should be done only once. */
static const char *
make_page(struct torc_exchange *exchange, const char *key)
{
	static _Thread_local unsigned long serial;

	torc_sleep(torc_after_ms(PAGE_MS));
	return torc_exchange_print(exchange, "%s, made as number %lu\n", key,
	    ++serial);
}

static int
serve(struct torc_exchange *exchange, void *arg)
{
	struct torc_redis *redis = torc_redis_of(torc_reactor_self());
	const struct torc_slice target =
	    torc_exchange_request(exchange)->target;
	const char *key = torc_exchange_print(exchange, "%.*s",
	    (int)target.size, (const char *)target.data), *page;
	struct torc_redis_reply *reply;
	int rc;

	(void)arg;
	if (key == NULL)
		return -ENOMEM;
	rc = torc_redis_do(redis, &reply, torc_after_ms(REDIS_MS), "GET", key,
	    NULL);
	if (rc == 0 && reply->type == TORC_REDIS_STRING) {
		torc_exchange_add_field(exchange, "X-Cache", "hit");
		rc = torc_exchange_reply(exchange, 200, NULL, reply->text,
		    reply->size, TORC_NEVER);
		torc_redis_reply_free(reply);
		return rc;
	}
	torc_redis_reply_free(reply);
	page = make_page(exchange, key);
	if (page == NULL)
		return -ENOMEM;
	/* If the page cannot be cached, it is sent all the same. */
	if (rc == 0)
		torc_redis_do(redis, NULL, torc_after_ms(REDIS_MS), "SET",
		    key, page, "EX", "60", NULL);
	torc_exchange_add_field(exchange, "X-Cache", rc < 0 ? "none" : "miss");
	return torc_exchange_text(exchange, 200, page, TORC_NEVER);
}

/* Each reactor has its own client. */
static int
start(struct torc_reactor *reactor, void *config)
{
	struct torc_redis_config how =
	    *(const struct torc_redis_config *)config;
	struct torc_error error;
	struct torc_redis *redis;
	int rc;

	(void)reactor;
	how.transport = cli_dialler(how.address);
	rc = torc_redis_create(&redis, &how, &error);
	return rc < 0 ? cli_fail(rc, "REDIS: %s", error.text) : 0;
}

static void
stop(struct torc_reactor *reactor, void *config)
{
	(void)config;
	torc_redis_destroy(torc_redis_of(reactor), TORC_NEVER);
}

int
main(int argc, char **argv)
{
	struct torc_redis_config redis = { .address = getenv("REDIS"),
		.name = "cache" };
	const struct torc_config config = { .start = start, .stop = stop,
		.arg = &redis };
	const int status = cli_origin(redis.address);
	struct torc_routes *routes;

	if (status != 0)
		return status;
	if (torc_routes_create(&routes) < 0)
		return 1;
	torc_routes_add(routes, "GET", "/{path...}", serve, NULL);
	return cli_serve_routes(argc, argv, "Serves pages, and caches them "
	    "in $REDIS (127.0.0.1:6379).", routes, NULL, &config);
}
