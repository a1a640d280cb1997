/* SPDX-License-Identifier: MIT */
/*
 * api.c - a JSON API whose rows come from PostgreSQL. It needs a table:
 *
 *     create table items (id int primary key, name text, price numeric)
 *
 *     cc -o api api.c cli.c $(pkg-config --cflags --libs torc-http torc-pg)
 *     PGADDRESS=postgres://shop:secret@127.0.0.1/shop ./api -l 127.0.0.1:8080
 *
 * Try it with:
 *
 *     curl http://127.0.0.1:8080/items?after=0      # the first hundred
 *     curl http://127.0.0.1:8080/items/17           # one of them, or 404
 *
 * All requests of a reactor share two connections. While PostgreSQL is away,
 * the answer is 503, after half a second at most. $PGADDRESS may also be
 * HOST:PORT or unix:PATH, with $PGUSER, $PGPASSWORD and $PGDATABASE.
 *
 * With cli_tls.c and torc-tls it is api-tls, whose PostgreSQL may be verified:
 *
 *     PGADDRESS=postgres://localhost/shop?sslmode=verify-full \
 *         ./api-tls --ca FILE
 */
#include <torc_pg.h>
#include <torc_service.h>

#include <errno.h>
#include <stdlib.h>

#include "cli_service.h"

#define QUERY_MS 500u
#define ONE "select to_json(items) from items where id = $1"
#define LIST "select coalesce(json_agg(i), '[]') from (select * from items " \
	"where id > $1 order by id limit 100) i"

/* Run a statement that returns one value, and answer with it: it is JSON. */
static int
ask(struct torc_exchange *exchange, void *sql)
{
	struct torc_slice text = torc_exchange_param(exchange, "id");
	struct torc_pg_result *result;
	struct torc_pg_row row;
	int64_t id;
	int rc;

	if (text.data == NULL)
		torc_exchange_query_find(exchange, "after", &text);
	if (torc_slice_int(text, 0, INT32_MAX, &id) < 0)
		return torc_exchange_refuse(exchange, 404, NULL, TORC_NEVER);
	rc = torc_pg_query(torc_pg_of(torc_reactor_self()),
	    &(struct torc_pg_statement) { sql,
	    (struct torc_pg_param[]) { torc_pg_int4((int32_t)id) }, 1, false },
	    &result, torc_after_ms(QUERY_MS));
	if (rc < 0) {
		cli_fail(rc, "%s", result == NULL ? "out of memory" :
		    torc_pg_result_error(result)->text);
		rc = torc_exchange_refuse(exchange, rc == -EREMOTEIO ? 500 :
		    503, NULL, TORC_NEVER);
	} else if (!torc_pg_result_next_row(result, &row)) {
		rc = torc_exchange_refuse(exchange, 404, NULL, TORC_NEVER);
	} else {
		rc = torc_exchange_reply(exchange, 200, "application/json",
		    row.values[0].data, row.values[0].size, TORC_NEVER);
	}
	torc_pg_result_free(result);
	return rc;
}

/* Each reactor has its own client. */
static int
start(struct torc_reactor *reactor, void *config)
{
	struct torc_pg_config how = *(const struct torc_pg_config *)config;
	struct torc_error error;
	struct torc_pg *pg;
	int rc;

	(void)reactor;
	how.transport = cli_dialler(how.address);
	rc = torc_pg_create(&pg, &how, &error);
	return rc < 0 ? cli_fail(rc, "%s", error.text) : 0;
}

static void
stop(struct torc_reactor *reactor, void *config)
{
	(void)config;
	torc_pg_destroy(torc_pg_of(reactor), TORC_NEVER);
}

int
main(int argc, char **argv)
{
	struct torc_pg_config database = {
		.address = cli_env("PGADDRESS", "127.0.0.1:5432"),
		.user = cli_env("PGUSER", "postgres"),
		.password = getenv("PGPASSWORD"),
		.database = getenv("PGDATABASE"),
	};
	const struct torc_config config = { .start = start, .stop = stop,
		.arg = &database };
	const int status = cli_origin(database.address);
	struct torc_routes *routes;

	if (status != 0)
		return status;
	if (torc_routes_create(&routes) < 0)
		return 1;
	torc_routes_add(routes, "GET", "/items", ask, LIST);
	torc_routes_add(routes, "GET", "/items/{id}", ask, ONE);
	return cli_serve_routes(argc, argv, "Serves rows of PostgreSQL as "
	    "JSON.", routes, NULL, &config);
}
