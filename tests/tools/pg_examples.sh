#!/usr/bin/env bash
# pg_examples.sh - the JSON API does what it says with a real PostgreSQL, and
# goes on without it.
#
# The programs are those of $B (build). Only processes that were started here
# are ended, by their pids.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
failed=0
api=
server=
scratch=$(mktemp -d /tmp/torc-pg-api-XXXXXX) || exit 1
unset http_proxy HTTP_PROXY all_proxy ALL_PROXY

finish() {
	[ -z "$api" ] || kill -9 "$api" 2>/dev/null
	[ -z "$server" ] || kill -INT "$server" 2>/dev/null
	wait 2>/dev/null
	rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# claim TEXT COMMAND...: the command proves the text.
claim() {
	local text=$1
	shift
	if "$@" >"$scratch/said" 2>&1; then
		echo "ok $text"
	else
		echo "FAILED $text"
		sed 's/^/    /' "$scratch/said" | tail -n 20
		failed=$((failed + 1))
	fi
}

# until_true COMMAND...: within 30 s, on a slow machine.
until_true() {
	local tries=300
	until "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.1
	done
}

programs=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
if [ ! -x "$programs/initdb" ] || [ ! -x "$B/bin/api" ]; then
	echo "SKIP: no PostgreSQL, or no libcrypto to build for it"
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
	"${as[@]}" "$programs/postgres" -D "$scratch/data" -k "$scratch" \
	    -c listen_addresses= -c fsync=off -c shared_buffers=16MB \
	    >>"$scratch/log" 2>&1 &
	server=$!
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

"${as[@]}" "$programs/initdb" -D "$scratch/data" -U shop -N --locale=C -A \
    trust >"$scratch/log" 2>&1 && start_server && until_true sql "select 1" \
    >/dev/null 2>&1 || {
	echo "FAILED PostgreSQL starts"
	cat "$scratch/log"
	exit 1
}
sql "create table items (id int primary key, name text, price numeric);
    insert into items values (1, 'a \"quoted\" name', 1.50), (2, null, 3);
    insert into items select i, 'n', i from generate_series(3, 300) i"

port=$((20000 + RANDOM % 10000))
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
	port=$((port + 1))
done
PGADDRESS="unix:$scratch/.s.PGSQL.5432" PGUSER=shop PGDATABASE=postgres \
    "$B/bin/api" -l "127.0.0.1:$port" -r 1 2>"$scratch/errors" &
api=$!

claim "api answers with a row as JSON" until_true says /items/1 \
    '{"id":1,"name":"a \"quoted\" name","price":1.50}'
claim "api writes NULL as null" says /items/2 \
    '{"id":2,"name":null,"price":3}'
claim "api answers with a hundred rows" [ "$(get '/items?after=0' |
    grep -c '"id"')" = 100 ]
claim "api says 404 for what is not there" says /items/301 404
claim "api says 404 for another path" says /items/1x 404

kill -TERM "$api"
wait "$api"
PGADDRESS="postgresql://shop@/postgres?host=$scratch" \
    "$B/bin/api" -l "127.0.0.1:$port" -r 1 2>>"$scratch/errors" &
api=$!
claim "api finds its server by a URI" until_true says /items/1 '"id":1'

kill -QUIT "$server"
wait "$server" 2>/dev/null
claim "api says 503 while PostgreSQL is away" until_true says /items/1 503
start_server
claim "api answers again when PostgreSQL is back" \
    until_true says /items/1 '"id":1'
kill -TERM "$api"
wait "$api"
claim "api ends with status 0" [ $? -eq 0 ]
api=
exit $((failed > 0))
