#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# pg_examples.sh - the JSON API does what it says with a real PostgreSQL, and
# goes on without it.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh

programs=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
if [ ! -x "$programs/initdb" ]; then
	echo "SKIP: PostgreSQL is not installed"
	echo "ok nothing to show without it"
	exit 0
fi
if [ -e "$B/lib/libtorc.a" ] && [ ! -e "$B/lib/libtorc-pg.a" ]; then
	echo "SKIP: there is no libcrypto to build the client for"
	echo "ok nothing to show without it"
	exit 0
fi

# PostgreSQL refuses to run as root.
as=()
if [ "$(id -u)" -eq 0 ]; then
	chown postgres "$scratch"
	chmod 755 "$scratch"
	as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
fi

start_server() {
	begins postgres "${as[@]}" "$programs/postgres" -D "$scratch/data" \
	    -k "$scratch" -c listen_addresses= -c fsync=off \
	    -c shared_buffers=16MB
	server=$pid
}

# starts_api ADDRESS NAME=VALUE...: with that server.
starts_api() {
	starts api env PGADDRESS="$1" "${@:2}" "$B/bin/api" \
	    -l "127.0.0.1:$port" -r 1 && api=$pid
}

sql() {
	psql -q -h "$scratch" -U shop -d postgres -c "$1"
}

get() {	# get PATH: status and body
	curl -s -m 10 -w '%{http_code}' "http://127.0.0.1:$port$1"
}

says() {	# says PATH TEXT: that is in its answer
	get "$1" | grep -qF -- "$2"
}

has_server() {
	"${as[@]}" "$programs/initdb" -D "$scratch/data" -U shop -N \
	    --locale=C -A trust && start_server &&
	    until_it 600 sql "select 1"
}

shown=("$scratch/postgres")
claim "PostgreSQL starts" has_server
[ $failed -eq 0 ] || exit 1
shown=("$scratch/api")
sql "create table items (id int primary key, name text, price numeric);
    insert into items values (1, 'a \"quoted\" name', 1.50), (2, null, 3);
    insert into items select i, 'n', i from generate_series(3, 300) i"

fresh_port
claim "api starts" starts_api "unix:$scratch/.s.PGSQL.5432" PGUSER=shop \
    PGDATABASE=postgres
[ $failed -eq 0 ] || exit 1
claim "api answers with a row as JSON" until_it 600 says /items/1 \
    '{"id":1,"name":"a \"quoted\" name","price":1.50}'
claim "api writes NULL as null" says /items/2 \
    '{"id":2,"name":null,"price":3}'
claim "api answers with a hundred rows" [ "$(get '/items?after=0' |
    grep -c '"id"')" = 100 ]
claim "api says 404 for what is not there" says /items/301 404
claim "api says 404 for another path" says /items/1x 404
claim "api ends when it is told to" ends "$api"
claim "api starts with a URI for its server" \
    starts_api "postgresql://shop@/postgres?host=$scratch"
claim "api finds its server by a URI" until_it 600 says /items/1 '"id":1'

kill -QUIT "$server"
await "$server" >/dev/null
claim "api says 503 while PostgreSQL is away" until_it 600 says /items/1 503
start_server
claim "api answers again when PostgreSQL is back" \
    until_it 600 says /items/1 '"id":1'
claim "api ends with status 0" ends "$api"
exit $((failed > 0))
