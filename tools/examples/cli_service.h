/* SPDX-License-Identifier: MIT */
/*
 * cli_service.h - cli.h for programs that are one HTTP service.
 */
#ifndef TORC_EXAMPLES_CLI_SERVICE_H
#define TORC_EXAMPLES_CLI_SERVICE_H

#include <torc_service.h>

#include "cli.h"

/*
 * Make a service of `routes`, which are destroyed, and serve it. `service` and
 * `config` may be NULL. Returns the exit status, as cli_serve() does.
 */
static inline int
cli_serve_routes(int argc, char **argv, const char *what,
    struct torc_routes *routes, const struct torc_service_config *service,
    const struct torc_config *config)
{
	struct torc_config served = { .reactors = 0 };
	struct torc_service *made;
	struct torc_error error;
	int rc;

	if (config != NULL)
		served = *config;
	rc = torc_service_create(&made, routes, service, &error);
	torc_routes_destroy(routes);
	if (rc < 0)
		return cli_fail(1, "%s", error.text);
	rc = cli_serve_handler(argc, argv, what, &served, torc_service_handle,
	    made);
	torc_service_destroy(made);
	return rc;
}

#endif
