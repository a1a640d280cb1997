/* SPDX-License-Identifier: MIT */
/*
 * keys.c - a key-value store over HTTP with memcached behind it. It shows how
 * to use a client that you write yourself, which is memcached.c.
 *
 *     cc -o keys keys.c memcached.c cli.c \
 *         $(pkg-config --cflags --libs torc-http)
 *     MEMCACHED=127.0.0.1:11211 ./keys -l 127.0.0.1:8080
 *
 * Try it with:
 *
 *     curl -T picture.png http://127.0.0.1:8080/keys/picture
 *     curl http://127.0.0.1:8080/keys/picture
 *     curl -X DELETE http://127.0.0.1:8080/keys/picture
 *
 * While memcached is away, the answer is 503.
 */
#include <torc_service.h>

#include <errno.h>
#include <stdlib.h>

#include "cli_service.h"
#include "memcached.h"

#define ASK_MS 1000u

static const struct torc_key pool_key = { "memcached" };

static struct torc_pool *
pool_of(void)
{
	return torc_reactor_data(torc_reactor_self(), &pool_key);
}

static const char *
key_of(struct torc_exchange *exchange)
{
	return (const char *)torc_exchange_param(exchange, "key").data;
}

/* Answer with a status, or with the status that belongs to an error. */
static int
answer(struct torc_exchange *exchange, int rc, unsigned status)
{
	if (rc < 0)
		status = rc == -EINVAL ? 400 : rc == -EFBIG ? 413 :
		    rc == -EPROTO ? 502 : 503;
	return status < 400 ? torc_exchange_reply(exchange, status, NULL,
	    NULL, 0, TORC_NEVER) : torc_exchange_refuse(exchange, status,
	    NULL, TORC_NEVER);
}

static int
show(struct torc_exchange *exchange, void *arg)
{
	void *value;
	size_t size;
	int rc = memcached_get(pool_of(), key_of(exchange), &value, &size,
	    torc_after_ms(ASK_MS));

	(void)arg;
	if (rc <= 0)
		return answer(exchange, rc, 404);
	rc = torc_exchange_reply(exchange, 200, "application/octet-stream",
	    value, size, TORC_NEVER);
	free(value);
	return rc;
}

static int
keep(struct torc_exchange *exchange, void *arg)
{
	struct torc_slice body;
	int rc = torc_exchange_body(exchange, &body, TORC_NEVER);

	(void)arg;
	if (rc < 0)
		return rc;
	rc = memcached_set(pool_of(), key_of(exchange), body.data, body.size,
	    0, torc_after_ms(ASK_MS));
	return answer(exchange, rc, 204);
}

static int
forget(struct torc_exchange *exchange, void *arg)
{
	int rc = memcached_delete(pool_of(), key_of(exchange),
	    torc_after_ms(ASK_MS));

	(void)arg;
	return answer(exchange, rc, rc > 0 ? 204 : 404);
}

/* Each reactor has its own pool of connections. */
static int
start(struct torc_reactor *reactor, void *address)
{
	struct torc_error error;
	struct torc_pool *pool;
	int rc = torc_pool_create(&pool, torc_conn_pool_kind(), address, NULL,
	    &error);

	return rc < 0 ? cli_fail(rc, "%s", error.text) :
	    torc_reactor_set_data(reactor, &pool_key, pool);
}

static void
stop(struct torc_reactor *reactor, void *address)
{
	(void)address;
	torc_pool_destroy(torc_reactor_data(reactor, &pool_key), TORC_NEVER);
}

int
main(int argc, char **argv)
{
	static const struct torc_service_config service = {
		.memory_max = 4u << 20,	/* the largest body */
	};
	const struct torc_config config = {
		.start = start, .stop = stop,
		.arg = (void *)cli_env("MEMCACHED", "127.0.0.1:11211"),
	};
	struct torc_routes *routes;

	if (torc_routes_create(&routes) < 0)
		return 1;
	torc_routes_add(routes, "GET", "/keys/{key}", show, NULL);
	torc_routes_add(routes, "PUT", "/keys/{key}", keep, NULL);
	torc_routes_add(routes, "DELETE", "/keys/{key}", forget, NULL);
	return cli_serve_routes(argc, argv, "Stores values in $MEMCACHED "
	    "(127.0.0.1:11211).", routes, &service, &config);
}
