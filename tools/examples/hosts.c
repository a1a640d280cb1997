/* SPDX-License-Identifier: MIT */
/*
 * hosts.c - TLS: two hosts on two ports, and clear text on a third one, with
 * the same handlers.
 *
 *     cc -o hosts hosts.c $(pkg-config --cflags --libs torc-http torc-tls)
 *     ./hosts first.pem second.test second.pem
 *
 * Each file has a certificate, its chain and its key (PEM). Port 8443 is for
 * everybody, and 8444 for machines that speak TLS 1.3. Clients that ask for the
 * host second.test are shown the second certificate, all others the first one.
 *
 * Try it with:
 * curl -k --connect-to second.test:443:127.0.0.1:8443 https://second.test/
 * curl http://127.0.0.1:8080/
 *
 * kill -HUP reads the files again, while connections go on.
 */
#include <torc_service.h>
#include <torc_tls.h>

#include <stdio.h>

static struct torc_tls *contexts[2];	/* of the two ports */

static int
tell(struct torc_exchange *exchange, void *arg)
{
	struct torc_tls_info info;

	(void)arg;
	if (torc_tls_info_read(torc_exchange_conn(exchange), &info) < 0)
		return torc_exchange_text(exchange, 200, "in clear text\n",
		    TORC_NEVER);
	return torc_exchange_textf(exchange, 200, "%s over TLS 1.%d\n",
	    TORC_NEVER, info.name != NULL ? info.name : "no host",
	    info.version == TORC_TLS_1_3 ? 3 : 2);
}

/* Files that are not as they should be leave the old ones in use. */
static void
reload(void *arg)
{
	struct torc_error error;

	(void)arg;
	for (unsigned i = 0; i < 2; i++) {
		if (torc_tls_reload(contexts[i], &error) < 0)
			fprintf(stderr, "hosts: still the old files: %s\n",
			    error.text);
	}
}

static void
say_ready(void *arg)
{
	(void)arg;
	fprintf(stderr, "hosts: ready\n");
}

static int
serve(struct torc_service *service, struct torc_error *error)
{
	struct torc_endpoint endpoints[] = {
		{ .address = "127.0.0.1:8443" },
		{ .address = "127.0.0.1:8444" },
		{ .address = "127.0.0.1:8080" },	/* clear text */
	};
	const struct torc_config config = {
		.endpoints = endpoints,
		.endpoint_count = 3,
		.reload = reload,
	};

	for (unsigned i = 0; i < 3; i++) {
		endpoints[i].handler = torc_service_handle;
		endpoints[i].arg = service;
		if (i < 2)
			endpoints[i].transport =
			    torc_tls_transport(contexts[i]);
	}
	return torc_serve(&config, say_ready, error);
}

/* The same hosts for both ports. */
static int
begin_tls(char **files, struct torc_error *error)
{
	static const char *const protocols[] = { "http/1.1", NULL };
	int rc = 0;

	for (unsigned i = 0; i < 2 && rc == 0; i++) {
		const struct torc_tls_config config = {
			.certificate = files[0],	/* and its key */
			.protocols = protocols,
			.min_version = i == 1 ? TORC_TLS_1_3 :
			    TORC_TLS_DEFAULT,
		};

		rc = torc_tls_create(&contexts[i], &config, error);
		if (rc == 0)
			rc = torc_tls_host_add(contexts[i], files[1], files[2],
			    NULL, error);
	}
	return rc;
}

int
main(int argc, char **argv)
{
	struct torc_error error = { .code = 0 };
	struct torc_service *service;
	struct torc_routes *routes;

	if (argc != 4 || torc_routes_create(&routes) < 0) {
		fprintf(stderr, "usage: hosts FILE NAME FILE\n");
		return 64;
	}
	torc_routes_add(routes, "GET", "/", tell, NULL);
	if (begin_tls(argv + 1, &error) == 0 &&
	    torc_service_create(&service, routes, NULL, &error) == 0) {
		serve(service, &error);
		torc_service_destroy(service);
	}
	torc_routes_destroy(routes);
	for (unsigned i = 0; i < 2; i++)
		torc_tls_destroy(contexts[i]);
	if (error.code < 0)
		fprintf(stderr, "hosts: %s\n", error.text);
	return error.code < 0;
}
