#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# shop.sh - the example of an API with real servers of PostgreSQL and Redis,
# which go and come back, and with files.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
shown=("$scratch/shop")
programs=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)

# PostgreSQL refuses to run as root.
as=()
if [ "$(id -u)" -eq 0 ]; then
	chmod 755 "$scratch"
	mkdir -m 777 "$scratch/pg"
	as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
else
	mkdir "$scratch/pg"
fi

sql() {
	psql -q -h "$scratch/pg" -U shop -d postgres -c "$1"
}

starts_postgres() {
	begins postgres "${as[@]}" "$programs/postgres" -D "$scratch/pg/data" \
	    -k "$scratch/pg" -c listen_addresses= -c fsync=off \
	    -c shared_buffers=16MB
	postgres=$pid
	until_it 200 sql "select 1"
}

makes_a_table() {
	"${as[@]}" "$programs/initdb" -D "$scratch/pg/data" -U shop -N \
	    --locale=C -A trust && starts_postgres && sql "
	    create table items (id serial primary key,
		name text not null unique,
		price numeric not null check (price >= 0))"
}

starts_redis() {
	begins redis redis-server --port 0 --unixsocket "$scratch/redis.sock" \
	    --save "" --dir "$scratch"
	redis=$pid
	until_it 200 redis-cli -s "$scratch/redis.sock" PING
}

starts_shop() {
	mkdir "$scratch/www"
	echo '<h1>The shop</h1>' >"$scratch/www/index.html"
	echo secret >"$scratch/.hidden"
	fresh_port
	PGADDRESS="unix:$scratch/pg/.s.PGSQL.5432" PGUSER=shop \
	    PGDATABASE=postgres REDIS="unix:$scratch/redis.sock" \
	    SHOP_ROOT="$scratch/www" starts shop "$B/bin/shop" -r 2 \
	    -l "127.0.0.1:$port"
	shop=$pid
}

# is STATUS METHOD PATH [BODY]: what curl gets; head and body stay.
is() {
	local wanted=$1 method=$2 path=$3 got
	shift 3
	got=$(timeout 20 curl -s --path-as-is -D "$scratch/head" \
	    -o "$scratch/body" -w '%{http_code}' -X "$method" \
	    ${1+--data-binary "$1"} "http://127.0.0.1:$port$path") || return 1
	[ "$got" = "$wanted" ] || {
		echo "$method $path: $got: $(cat "$scratch/body")"
		return 1
	}
}

body_is() {
	[ "$(cat "$scratch/body")" = "$1" ] || {
		cat "$scratch/body"
		return 1
	}
}

cache_is() {
	tr -d '\r' <"$scratch/head" | grep -qx "X-Cache: $1"
}

items_are_kept() {
	is 200 GET /api/items && body_is '[]' &&
	    is 201 POST /api/items '{"name":"a \"nice\" tea","price":2.5}' &&
	    body_is '{"id":1,"name":"a \"nice\" tea","price":2.50}' &&
	    is 201 POST /api/items '{"price":30,"name":"caf\u00e9"}' &&
	    body_is '{"id":2,"name":"café","price":30.00}' &&
	    is 200 GET '/api/items?after=1' &&
	    body_is '[{"id":2,"name":"café","price":30.00}]'
}

items_are_remembered() {
	is 200 GET /api/items/1 && cache_is miss && is 200 GET /api/items/1 &&
	    cache_is hit && body_is '{"id":1,"name":"a \"nice\" tea","price":2.50}'
}

changes_are_seen() {
	is 200 PUT /api/items/1 '{"name":"tea","price":3}' &&
	    is 200 GET /api/items/1 && cache_is miss &&
	    body_is '{"id":1,"name":"tea","price":3.00}' &&
	    is 200 GET /api/items/1 && cache_is hit &&
	    is 200 DELETE /api/items/1 && is 404 GET /api/items/1 &&
	    is 404 DELETE /api/items/1 && is 404 PUT /api/items/1 \
	    '{"name":"tea","price":3}'
}

nonsense_is_refused() {
	local body
	for body in '' '{' '[]' '{"name":"x"}' '{"name":1,"price":1}' \
	    '{"name":"x","price":"1"}' '{"name":"x","price":-1}' \
	    '{"name":"x","price":1e400}' '{"name":"x","price":1} x' '{"name":"café","price":1}'; do
		is 400 POST /api/items "$body" || return 1
	done
	is 400 GET /api/items/x && is 400 GET /api/items/99999999999 &&
	    is 400 GET "/api/items/1;drop%20table%20items" &&
	    is 400 GET '/api/items?after=x' && is 405 PATCH /api/items/2 &&
	    is 200 GET /api/items/2
}

files_are_served() {
	is 200 GET / && body_is '<h1>The shop</h1>' && is 404 GET /none &&
	    is 400 GET /../.hidden && is 405 POST / x
}

goes_on_without_redis() {
	dies "$redis" && rm -f "$scratch/redis.sock" &&
	    is 200 GET /api/items/2 && cache_is none &&
	    is 200 PUT /api/items/2 '{"name":"cake","price":4}' &&
	    is 200 GET /api/items/2 &&
	    body_is '{"id":2,"name":"cake","price":4.00}'
}

has_files_without_anything() {
	kill -QUIT "$postgres"
	wait "$postgres" 2>/dev/null
	forget "$postgres"
	is 503 GET /api/items/2 && is 503 POST /api/items \
	    '{"name":"x","price":1}' && is 200 GET /
}

needs curl psql redis-server redis-cli
if [ -x "$B/bin/api" ] && [ ! -x "$B/bin/shop" ]; then
	echo "SKIP: there is no cJSON to build the example with"
	echo "ok nothing to show without it"
	exit 0
fi
claim "PostgreSQL has a table" makes_a_table
claim "Redis starts" starts_redis
claim "the shop starts" starts_shop
claim "items are kept and listed" items_are_kept
claim "what is asked for again comes from Redis" items_are_remembered
claim "what was changed is not remembered" changes_are_seen
claim "what is no item is refused" nonsense_is_refused
claim "all other paths are files" files_are_served
claim "without Redis all is there" goes_on_without_redis
claim "without PostgreSQL there are files" has_files_without_anything
claim "PostgreSQL comes back" starts_postgres
claim "and with it the items" until_it 100 is 200 GET /api/items/2
claim "Redis comes back" starts_redis
item_is_cached() {
	is 200 GET /api/items/2 && cache_is hit
}
claim "and remembers again" until_it 100 item_is_cached
claim "it drains" ends "$shop"
[ $failed -eq 0 ]
