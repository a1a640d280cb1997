/* SPDX-License-Identifier: MIT */
/*
 * program.c - a service, compiled with the headers beside it: see abi.sh.
 *
 *     program ADDRESS ADDRESS
 *
 * Behind each structure of torc's that lies on its stack is something else,
 * which no torc may read as fields that came later, or write to.
 */
#include <torc.h>
#include <torc_client.h>
#include <torc_service.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ELSE { 0x5555555555555555, 0x5555555555555555, 0x5555555555555555 }

static const uint64_t expected[3] = ELSE;
static struct torc_pool *pool;
static unsigned observed;

static int
open_item(void **item, torc_deadline deadline, void *arg)
{
	(void)deadline;
	*item = arg;
	return 0;
}

static void
close_item(void *item, void *arg)
{
	(void)item; (void)arg;
}

static int
start(struct torc_reactor *reactor, void *arg)
{
	const struct torc_pool_kind kind = {
		.name = "items", .open = open_item, .close = close_item,
	};
	struct { struct torc_pool_config config; uint64_t behind[3]; } all = {
		.config = { .size = 1, .waiters = 4 }, .behind = ELSE,
	};
	struct torc_error error;
	int rc = torc_pool_create(&pool, &kind, arg, &all.config, &error);

	(void)reactor;
	if (rc < 0)
		fprintf(stderr, "pool: %s\n", error.text);
	return rc;
}

/* The only item of the pool is used, and what torc counts is told. */
static int
tell(struct torc_exchange *exchange, void *arg)
{
	struct { struct torc_stats stats; uint64_t behind[3]; } all = {
		.behind = ELSE,
	};
	void *item, *second;
	int rc = torc_pool_acquire(pool, &item, torc_after_ms(5000));

	if (rc < 0 || item != arg)
		return torc_exchange_text(exchange, 500, "no item\n",
		    TORC_NEVER);
	rc = torc_pool_acquire(pool, &second, torc_after_ms(20));
	torc_pool_release(pool, item, true);
	torc_stats_read(&all.stats);
	if (memcmp(all.behind, expected, sizeof(expected)) != 0)
		return torc_exchange_text(exchange, 500, "statistics are "
		    "longer than the program's\n", TORC_NEVER);
	return torc_exchange_textf(exchange, 200, "reactors %" PRIu64
	    ", connections %" PRIu64 " of %" PRIu64 ", a second item %s, "
	    "observed %u\n", TORC_NEVER, all.stats.reactors,
	    all.stats.connections, all.stats.connections_max,
	    rc == -ETIMEDOUT ? "none" : "some", observed);
}

static void
observe(struct torc_exchange *exchange,
    const struct torc_exchange_summary *end, void *arg)
{
	(void)exchange; (void)end;
	++*(unsigned *)arg;
}

static struct torc_service *
make_service(void)
{
	struct { struct torc_http_config config; uint64_t behind[3]; } http = {
		.config = { .target_max = 64 }, .behind = ELSE,
	};
	struct {
		struct torc_service_config config;
		uint64_t behind[3];
	} all = {
		.config = { .http = &http.config, .observer = observe,
		    .arg = &observed }, .behind = ELSE,
	};
	struct torc_service *service = NULL;
	struct torc_routes *routes;
	struct torc_error error;

	if (torc_routes_create(&routes) < 0)
		return NULL;
	torc_routes_add(routes, "GET", "/{rest...}", tell, &pool);
	if (torc_service_create(&service, routes, &all.config, &error) < 0)
		fprintf(stderr, "service: %s\n", error.text);
	torc_routes_destroy(routes);
	return service;
}

static void
ready(void *arg)
{
	(void)arg;
	puts("ready");
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	struct torc_service *service = make_service();
	const struct torc_endpoint endpoints[] = {
		{ argv[1], torc_service_handle, service },
		{ argv[argc - 1], torc_service_handle, service },
	};
	struct { struct torc_config config; uint64_t behind[3]; } all = {
		.config = { .reactors = 1, .connections = 77,
		    .endpoints = endpoints, .endpoint_count = 2,
		    .start = start, .arg = &pool },
		.behind = ELSE,
	};
	struct torc_error error;
	int rc;

	if (service == NULL)
		return 1;
	rc = torc_serve(&all.config, ready, &error);
	if (rc < 0)
		fprintf(stderr, "%s\n", error.text);
	torc_service_destroy(service);
	return rc < 0;
}
