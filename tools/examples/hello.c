/* SPDX-License-Identifier: MIT */
/*
 * hello.c - the smallest HTTP service: it answers GET / with a greeting.
 *
 *     cc -o hello hello.c cli.c $(pkg-config --cflags --libs torc-http)
 *     ./hello -l 127.0.0.1:8080
 *
 * Try it with: curl http://127.0.0.1:8080/
 */
#include <torc_service.h>

#include "cli_service.h"

static int
greet(struct torc_exchange *exchange, void *greeting)
{
	return torc_exchange_text(exchange, 200, greeting, TORC_NEVER);
}

int
main(int argc, char **argv)
{
	struct torc_routes *routes;

	if (torc_routes_create(&routes) < 0)
		return 1;
	torc_routes_add(routes, "GET", "/", greet, "hello\n");
	return cli_serve_routes(argc, argv, "Says hello.", routes, NULL, NULL);
}
