/* SPDX-License-Identifier: MIT */
/*
 * shop.c - a JSON API with PostgreSQL behind it, a cache in Redis, and the
 * static files of a site. It needs a table:
 *
 *     create table items (id serial primary key, name text not null unique,
 *         price numeric not null check (price >= 0))
 *
 *     cc -o shop shop.c cli.c \
 *         $(pkg-config --cflags --libs torc-file torc-pg torc-redis libcjson)
 *     PGADDRESS=postgres://shop:secret@127.0.0.1/shop REDIS=127.0.0.1:6379 \
 *         SHOP_ROOT=/srv/shop ./shop -l 127.0.0.1:8080
 *
 * Try it with:
 *
 *     curl http://127.0.0.1:8080/api/items?after=0
 *     curl -d '{"name":"tea","price":2.5}' http://127.0.0.1:8080/api/items
 *     curl -i http://127.0.0.1:8080/api/items/1      # X-Cache: miss, then hit
 *     curl -X DELETE http://127.0.0.1:8080/api/items/1
 *
 * PUT takes the same body as POST. All other paths are files below $SHOP_ROOT.
 * An item stays in Redis for a minute after it was read, or until it changes.
 * Without Redis the API is slower; without PostgreSQL it answers 503; the files
 * need neither.
 *
 * With cli_tls.c and torc-tls it is shop-tls, whose servers may be verified:
 * rediss:// and sslmode= in their URLs ask for it, as with cache.c and api.c.
 */
#include <torc_file.h>
#include <torc_pg.h>
#include <torc_redis.h>
#include <torc_service.h>

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli_service.h"

#define PG_MS 2000u
#define PRICE_MAX 1e12
#define REDIS_MS 100u		/* a cache must not be slow */
#define ROW "to_json(items)::text"
#define INSERT "insert into items (name, price) values ($1, $2) returning " ROW
#define UPDATE "update items set name = $1, price = $2 where id = $3 " \
	"returning " ROW
#define DELETE "delete from items where id = $1 returning " ROW

/* Each reactor has its own clients, and its own root of the files. */
struct shop {
	struct torc_pg_config pg;
	struct torc_redis_config redis;
	struct torc_file_tree pages;
};

/* ---- PostgreSQL ---- */

/*
 * Parks. Run a statement that returns one value, which is JSON. Returns 1, and
 * the value is in memory of the exchange; 0: there is no row; -EINVAL: the
 * table does not accept what the client has sent.
 */
static int
ask(struct torc_exchange *exchange, const char *sql,
    const struct torc_pg_param *params, unsigned count, const char **json)
{
	const struct torc_pg_statement statement = { sql, params, count,
		false };
	const struct torc_pg_error *error;
	struct torc_pg_result *result;
	struct torc_pg_row row;
	int rc = torc_pg_query(torc_pg_of(torc_reactor_self()), &statement,
	    &result, torc_after_ms(PG_MS));

	if (rc == 0 && torc_pg_result_next_row(result, &row)) {
		*json = torc_exchange_print(exchange, "%.*s",
		    (int)row.values[0].size, (const char *)row.values[0].data);
		rc = *json != NULL ? 1 : -ENOMEM;
	} else if (rc < 0 && result != NULL) {
		error = torc_pg_result_error(result);
		/* Not a number, out of range, a duplicate, negative ... */
		if (strncmp(error->state, "22", 2) == 0 ||
		    strncmp(error->state, "23", 2) == 0)
			rc = -EINVAL;
		else
			cli_fail(rc, "PostgreSQL: %s", error->text);
	}
	torc_pg_result_free(result);
	return rc;
}

/* Parks. Answer with a value, or with the status of an error. */
static int
answer(struct torc_exchange *exchange, int rc, unsigned status,
    const char *json)
{
	if (rc > 0)
		return torc_exchange_reply(exchange, status,
		    "application/json", json, strlen(json), TORC_NEVER);
	return torc_exchange_refuse(exchange, rc == 0 ? 404 :
	    rc == -EINVAL ? 400 : rc == -EREMOTEIO ? 500 : 503, NULL,
	    TORC_NEVER);
}

static struct torc_pg_param
id_of(struct torc_exchange *exchange)
{
	const struct torc_slice id = torc_exchange_param(exchange, "id");

	return torc_pg_text((const char *)id.data);
}

/* ---- Redis ---- */

static const char *
key_of(struct torc_exchange *exchange)
{
	return torc_exchange_print(exchange, "shop:%s",
	    (const char *)torc_exchange_param(exchange, "id").data);
}

/* Parks. Returns 1 if an item is cached, 0 if it is not, or an error. */
static int
recall(struct torc_exchange *exchange, const char *key, const char **json)
{
	struct torc_redis_reply *reply;
	int rc;

	if (key == NULL)
		return -ENOMEM;
	rc = torc_redis_do(torc_redis_of(torc_reactor_self()), &reply,
	    torc_after_ms(REDIS_MS), "GET", key, NULL);
	if (rc == 0 && reply->type == TORC_REDIS_STRING) {
		*json = torc_exchange_print(exchange, "%s", reply->text);
		rc = *json != NULL;
	}
	torc_redis_reply_free(reply);
	return rc;
}

/* Parks. Remove an item from the cache, if Redis can be reached. */
static void
forget(struct torc_exchange *exchange)
{
	const char *key = key_of(exchange);

	if (key != NULL)
		torc_redis_do(torc_redis_of(torc_reactor_self()), NULL,
		    torc_after_ms(REDIS_MS), "DEL", key, NULL);
}

/* ---- Handlers ---- */

static int
list_items(struct torc_exchange *exchange, void *arg)
{
	struct torc_pg_param after;
	struct torc_slice text;
	const char *json = NULL;
	int rc = torc_exchange_query_find(exchange, "after", &text);

	(void)arg;
	if (rc < 0)
		return rc;
	after = torc_pg_text(rc > 0 ? (const char *)text.data : "0");
	rc = ask(exchange, "select coalesce(json_agg(i), '[]')::text from "
	    "(select * from items where id > $1 order by id limit 100) i",
	    &after, 1, &json);
	return answer(exchange, rc, 200, json);
}

static int
show_item(struct torc_exchange *exchange, void *arg)
{
	const struct torc_pg_param id = id_of(exchange);
	const char *key = key_of(exchange), *json = NULL;
	const int cached = recall(exchange, key, &json);
	int rc = cached > 0 ? 1 : ask(exchange, "select " ROW " from items "
	    "where id = $1", &id, 1, &json);

	(void)arg;
	if (cached == 0 && rc > 0)
		torc_redis_do(torc_redis_of(torc_reactor_self()), NULL,
		    torc_after_ms(REDIS_MS), "SET", key, json, "EX", "60",
		    NULL);
	torc_exchange_add_field(exchange, "X-Cache", cached > 0 ? "hit" :
	    cached == 0 ? "miss" : "none");
	return answer(exchange, rc, 200, json);
}

/* Read the name and the price of an item from JSON. */
static int
read_item(struct torc_exchange *exchange, struct torc_slice body,
    struct torc_pg_param params[2])
{
	/* With the NUL behind the body: nothing else may follow the JSON. */
	cJSON *item = cJSON_ParseWithLengthOpts((const char *)body.data,
	    body.size + 1, NULL, true);
	const cJSON *name = cJSON_GetObjectItemCaseSensitive(item, "name");
	const cJSON *price = cJSON_GetObjectItemCaseSensitive(item, "price");
	const char *name_text, *price_text;
	int rc = -EINVAL;

	if (cJSON_IsString(name) && cJSON_IsNumber(price) &&
	    price->valuedouble < PRICE_MAX) {
		name_text = torc_exchange_print(exchange, "%s",
		    name->valuestring);
		price_text = torc_exchange_print(exchange, "%.2f",
		    price->valuedouble);
		rc = name_text == NULL || price_text == NULL ? -ENOMEM : 0;
		params[0] = torc_pg_text(name_text);
		params[1] = torc_pg_text(price_text);
	}
	cJSON_Delete(item);
	return rc;
}

/* Insert an item, or replace one: then the third parameter is its id. */
static int
put_item(struct torc_exchange *exchange, void *sql)
{
	const bool is_new = torc_exchange_param(exchange, "id").data == NULL;
	struct torc_pg_param params[3];
	const char *json = NULL;
	struct torc_slice body;
	int rc = torc_exchange_body(exchange, &body, TORC_NEVER);

	if (rc < 0)
		return rc;
	params[2] = id_of(exchange);
	rc = read_item(exchange, body, params);
	if (rc == 0)
		rc = ask(exchange, sql, params, is_new ? 2 : 3, &json);
	if (!is_new)
		forget(exchange);
	return answer(exchange, rc, is_new ? 201 : 200, json);
}

static int
remove_item(struct torc_exchange *exchange, void *sql)
{
	const struct torc_pg_param id = id_of(exchange);
	const char *json = NULL;
	int rc = ask(exchange, sql, &id, 1, &json);

	forget(exchange);
	return answer(exchange, rc, 200, json);
}

/* ---- The program ---- */

static int
start(struct torc_reactor *reactor, void *arg)
{
	struct shop *shop = arg;
	struct torc_redis_config cache = shop->redis;
	struct torc_pg_config database = shop->pg;
	struct torc_redis *redis;
	struct torc_pg *pg;
	struct torc_error error;
	int rc;

	cache.transport = cli_dialler(cache.address);
	database.transport = cli_dialler(database.address);
	rc = torc_pg_create(&pg, &database, &error);
	if (rc < 0)
		return cli_fail(rc, "PostgreSQL: %s", error.text);
	rc = torc_redis_create(&redis, &cache, &error);
	if (rc < 0)
		return cli_fail(rc, "REDIS: %s", error.text);
	rc = torc_file_tree_open(reactor, &shop->pages);
	return rc < 0 ? cli_fail(rc, "SHOP_ROOT %s: %s", shop->pages.path,
	    strerror(-rc)) : 0;
}

static void
stop(struct torc_reactor *reactor, void *arg)
{
	struct shop *shop = arg;

	torc_file_tree_close(reactor, &shop->pages);
	torc_redis_destroy(torc_redis_of(reactor), TORC_NEVER);
	torc_pg_destroy(torc_pg_of(reactor), TORC_NEVER);
}

int
main(int argc, char **argv)
{
	struct shop shop = {
		.pg = { .address = cli_env("PGADDRESS", "127.0.0.1:5432"),
		    .user = getenv("PGUSER"),
		    .database = getenv("PGDATABASE") },
		.redis = { .address = getenv("REDIS"), .name = "shop" },
		.pages.path = cli_env("SHOP_ROOT", "."),
	};
	const struct torc_config config = { .start = start, .stop = stop,
		.arg = &shop };
	struct torc_routes *routes, *api;
	int status = cli_origin(shop.pg.address);

	if (status == 0)
		status = cli_origin(shop.redis.address);
	if (status != 0)
		return status;
	if (torc_routes_create(&routes) < 0)
		return 1;
	api = torc_routes_group(routes, "/api/items");
	torc_routes_add(routes, "GET", "/api/items", list_items, NULL);
	torc_routes_add(routes, "POST", "/api/items", put_item, INSERT);
	torc_routes_add(api, "GET", "/{id}", show_item, NULL);
	torc_routes_add(api, "PUT", "/{id}", put_item, UPDATE);
	torc_routes_add(api, "DELETE", "/{id}", remove_item, DELETE);
	torc_routes_add(routes, "GET", "/{path...}", torc_file_exchange,
	    &shop.pages.key);
	return cli_serve_routes(argc, argv, "Serves items of PostgreSQL as "
	    "JSON, and the files below $SHOP_ROOT.", routes, NULL, &config);
}
