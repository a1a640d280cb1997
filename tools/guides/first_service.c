/* SPDX-License-Identifier: MIT */
/*
 * first_service.c - an HTTP service with a route: the program of README.md.
 *
 *     first_service [ADDRESS]
 *     curl http://127.0.0.1:8080/hello/Ada
 */
#include <stdio.h>
#include <torc_service.h>

static int
greet(struct torc_exchange *exchange, void *arg)
{
	struct torc_slice name = torc_exchange_param(exchange, "name");

	(void)arg;
	return torc_exchange_textf(exchange, 200, "hello, %s\n",
	    torc_after_ms(5000), (const char *)name.data);
}

int
main(int argc, char **argv)
{
	const char *const addresses[] = {
		argc > 1 ? argv[1] : "127.0.0.1:8080", NULL
	};
	struct torc_config config = { .listen = addresses };
	struct torc_service *service;
	struct torc_routes *routes;
	struct torc_error error;

	if (torc_routes_create(&routes) < 0)
		return 1;
	torc_routes_add(routes, "GET", "/hello/{name}", greet, NULL);
	if (torc_service_create(&service, routes, NULL, &error) == 0) {
		config.handler = torc_service_handle;
		config.arg = service;
		torc_serve(&config, NULL, &error);	/* until SIGTERM */
		torc_service_destroy(service);
	}
	torc_routes_destroy(routes);
	if (error.code < 0)
		fprintf(stderr, "first_service: %s\n", error.text);
	return error.code < 0;
}
