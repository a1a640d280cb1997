/*
 * api.c - rows of PostgreSQL as JSON over HTTP, with a table
 *
 *     create table items (id int primary key, name text, price numeric)
 *
 *     PGADDRESS=127.0.0.1:5432 PGUSER=shop PGPASSWORD=secret PGDATABASE=shop \
 *         api -l 127.0.0.1:8080
 *     PGADDRESS=postgres://shop:secret@127.0.0.1/shop api -l 127.0.0.1:8080
 *     curl http://127.0.0.1:8080/items?after=0      # a hundred of them
 *     curl http://127.0.0.1:8080/items/17           # one, or 404
 *
 * Statements of all requests share two connections of each reactor. While
 * PostgreSQL is away, the answer is 503, at the latest after half a second.
 */
#include <torc_http.h>
#include <torc_pg.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define QUERY_MS 500u

/* ---- Answers ---- */

static void
refuse(struct torc_http *http, unsigned status)
{
	torc_http_reply(http, status, NULL, 0, NULL, 0, TORC_NEVER);
}

static void
put(struct torc_http *http, struct torc_slice text)
{
	torc_http_write(http, text.data, text.size, TORC_NEVER);
}

/* Rows that are JSON already, as a list, or the only one. */
static void
reply(struct torc_http *http, struct torc_pg_result *result, bool list)
{
	const struct torc_http_field type = { torc_http_text("Content-Type"),
		torc_http_text("application/json") };
	const char *before = list ? "[" : "";
	struct torc_pg_row row;

	torc_http_begin(http, 200, &type, 1, TORC_HTTP_UNKNOWN, TORC_NEVER);
	while (torc_pg_result_next_row(result, &row)) {
		put(http, torc_http_text(before));
		put(http, row.values[0]);
		before = ",\n";
	}
	if (list)
		put(http, torc_http_text(*before == '[' ? "[]" : "]"));
	put(http, torc_http_text("\n"));
	torc_http_end(http, TORC_NEVER);
}

static void
ask(struct torc_http *http, const char *sql, int32_t id, bool list)
{
	const struct torc_pg_param param = torc_pg_int4(id);
	const struct torc_pg_statement statement = { sql, &param, 1, false };
	struct torc_pg *pg = torc_pg_of(torc_reactor_self());
	struct torc_pg_result *result;
	int rc = torc_pg_query(pg, &statement, &result,
	    torc_after_ms(QUERY_MS));

	if (rc < 0) {
		fprintf(stderr, "api: %s: %s\n", strerror(-rc),
		    result != NULL ? torc_pg_result_error(result)->text : "");
		refuse(http, rc == -EREMOTEIO ? 500 : 503);
	} else if (!list && torc_pg_result_row_count(result) == 0) {
		refuse(http, 404);
	} else {
		reply(http, result, list);
	}
	torc_pg_result_free(result);
}

static int
handle(struct torc_conn *conn, void *arg)
{
	struct torc_http http;
	char target[64];
	int id, end;

	(void)arg;
	torc_http_open(&http, conn, NULL);
	while (torc_http_recv(&http, TORC_NEVER) > 0) {
		snprintf(target, sizeof(target), "%.*s",
		    (int)http.request.target.size,
		    (const char *)http.request.target.data);
		if (sscanf(target, "/items?after=%9d%n", &id, &end) == 1 &&
		    target[end] == '\0')
			ask(&http, "select to_json(items) from items "
			    "where id > $1 order by id limit 100", id, true);
		else if (sscanf(target, "/items/%9d%n", &id, &end) == 1 &&
		    target[end] == '\0')
			ask(&http, "select to_json(items) from items "
			    "where id = $1", id, false);
		else
			refuse(&http, 404);
	}
	return torc_http_result(&http);
}

/* ---- The program: each reactor has a client of its own ---- */

static int
start(struct torc_reactor *reactor, void *config)
{
	struct torc_pg *pg;
	char text[256] = "out of memory";
	int rc = torc_pg_create(&pg, config, text, sizeof(text));

	(void)reactor;
	if (rc < 0)
		fprintf(stderr, "api: %s\n", text);
	return rc;
}

static void
stop(struct torc_reactor *reactor, void *config)
{
	(void)config;
	if (torc_pg_of(reactor) != NULL)
		torc_pg_destroy(torc_pg_of(reactor), TORC_NEVER);
}

int
main(int argc, char **argv)
{
	const char *address = getenv("PGADDRESS"), *user = getenv("PGUSER");
	struct torc_pg_config database = {
		.address = address != NULL ? address : "127.0.0.1:5432",
		.user = user != NULL ? user : "postgres",
		.password = getenv("PGPASSWORD"),
		.database = getenv("PGDATABASE"),
	};
	struct torc_config config = { .handler = handle, .start = start,
		.stop = stop, .arg = &database };

	return cli_serve(argc, argv, "Serves rows of PostgreSQL as JSON.",
	    &config, NULL);
}
