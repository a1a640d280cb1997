/* SPDX-License-Identifier: MIT */
/*
 * serve.c - what tools.sh asks: an HTTP service with TLS, and beside it one
 * without.
 *
 *     serve CERTIFICATE KEY ADDRESS CLEAR_ADDRESS
 */
#include <stdio.h>
#include <torc_service.h>
#include <torc_tls.h>

static int
greet(struct torc_exchange *exchange, void *arg)
{
	(void)arg;
	return torc_exchange_textf(exchange, 200, "hello\n",
	    torc_after_ms(5000));
}

/* What was agreed on. */
static int
tell(struct torc_exchange *exchange, void *arg)
{
	struct torc_tls_info info = { 0 };
	const int rc = torc_tls_info_read(torc_exchange_conn(exchange),
	    &info);

	(void)arg;
	return torc_exchange_textf(exchange, 200, "%x %.*s%s\n",
	    torc_after_ms(5000), rc < 0 ? 0 : (unsigned)info.version,
	    (int)info.protocol.size, info.protocol.size > 0 ?
	    (const char *)info.protocol.data : "",
	    info.resumed ? " resumed" : "");
}

static int
serve(struct torc_service *service, struct torc_tls *tls, char **addresses,
    struct torc_error *error)
{
	const struct torc_endpoint endpoints[] = {
		{
			.address = addresses[0],
			.handler = torc_service_handle,
			.arg = service,
			.transport = torc_tls_transport(tls),
		}, {
			.address = addresses[1],
			.handler = torc_service_handle,
			.arg = service,
		},
	};
	const struct torc_config config = {
		.endpoints = endpoints,
		.endpoint_count = 2,
	};

	return torc_serve(&config, NULL, error);
}

int
main(int argc, char **argv)
{
	static const char *const protocols[] = { "http/1.1", NULL };
	struct torc_tls_config how = { .protocols = protocols };
	struct torc_error error = { 0 };
	struct torc_service *service;
	struct torc_routes *routes;
	struct torc_tls *tls;

	if (argc < 5 || torc_routes_create(&routes) < 0)
		return 2;
	how.certificate = argv[1];
	how.key = argv[2];
	torc_routes_add(routes, "GET", "/", greet, NULL);
	torc_routes_add(routes, "GET", "/tls", tell, NULL);
	if (torc_tls_create(&tls, &how, &error) == 0) {
		if (torc_service_create(&service, routes, NULL, &error) ==
		    0) {
			serve(service, tls, argv + 3, &error);
			torc_service_destroy(service);
		}
		torc_tls_destroy(tls);
	}
	torc_routes_destroy(routes);
	if (error.code < 0)
		fprintf(stderr, "serve: %s\n", error.text);
	return error.code < 0;
}
