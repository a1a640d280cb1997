#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# clients.sh - the examples that ask servers over TLS, with the servers of
# others: fetch-tls, and those of Redis and PostgreSQL.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
shown=("$scratch/out" "$scratch/program" "$scratch/redis" "$scratch/postgres")
programs=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)

# PostgreSQL refuses to run as root.
as=()
if [ "$(id -u)" -eq 0 ]; then
	chmod 755 "$scratch"
	as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
fi

issue() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -subj "/CN=$1" -days 2 -addext "subjectAltName=DNS:localhost" \
	    -keyout "$scratch/$1.key" -out "$scratch/$1.pem" 2>&1
}

issues() {
	issue server && issue other && mkdir -m 777 "$scratch/pg" &&
	    cp "$scratch/server.pem" "$scratch/server.key" "$scratch/pg" &&
	    { [ ${#as[@]} -eq 0 ] || chown postgres "$scratch"/pg/*; }
}

good=(--ca "$scratch/server.pem")
bad=(--ca "$scratch/other.pem")

# ---- fetch-tls ----

serves_both() {
	fresh_port && clear=$port
	fresh_port && secure=$port
	starts hello "$B/bin/hello-tls" -r 1 -l "127.0.0.1:$clear" \
	    -l "tls:127.0.0.1:$secure" --cert "$scratch/server.pem" \
	    --key "$scratch/server.key"
}

# fetch STATUS OPTION...: it ends with that status.
fetch() {
	local status=0
	timeout 60 "$B/bin/fetch-tls" -t 30000 "${@:2}" >"$scratch/out" 2>&1 ||
	    status=$?
	[ $status -eq "$1" ]
}

urls() {	# urls COUNT
	seq -f "https://localhost:$secure/?%g" "$1"
}

lines() {	# lines COUNT PATTERN: of what it said
	[ "$(grep -cE "$2" "$scratch/out")" -eq "$1" ]
}

twenty_come() {
	# shellcheck disable=SC2046 # words on purpose
	fetch 0 "${good[@]}" $(urls 20) && lines 20 '^200 6 bytes https:'
}

both_come() {
	fetch 0 "${good[@]}" "https://localhost:$secure" \
	    "http://127.0.0.1:$clear/" && lines 1 '^200 6 bytes https:' &&
	    lines 1 '^200 6 bytes http:'
}

none_is_believed() {
	# shellcheck disable=SC2046 # words on purpose
	fetch 1 "${bad[@]}" $(urls 3) &&
	    lines 3 '^failed \(.*localhost.*certificate.*\) 0 bytes' &&
	    fetch 1 "${good[@]}" "https://127.0.0.1:$secure/" &&
	    lines 1 '^failed \(.*127.0.0.1.*\) 0 bytes' &&
	    SSL_CERT_FILE=$scratch/server.pem fetch 0 \
	    "https://localhost:$secure/"
}

# refuses STATUS TEXT COMMAND...: it ends at once, and says so.
refuses() {
	local status=0
	timeout 20 "${@:3}" >"$scratch/out" 2>&1 </dev/null || status=$?
	[ $status -eq "$1" ] && grep -qF -- "$2" "$scratch/out"
}

# ---- Redis ----

redis_says() {
	redis-cli -h localhost -p "$redis_port" --tls \
	    --cacert "$scratch/server.pem" "$@"
}

redis_answers() {
	[ "$(redis_says PING 2>&1)" = PONG ]
}

starts_redis() {	# with TLS alone
	fresh_port && redis_port=$port
	begins redis redis-server --port 0 --tls-port "$redis_port" --bind \
	    127.0.0.1 --tls-cert-file "$scratch/server.pem" --tls-key-file \
	    "$scratch/server.key" --tls-auth-clients no --save "" \
	    --dir "$scratch"
	until_it 600 redis_answers
}

# program NAME VARIABLE=VALUE... -- OPTION...: serves in clear text on $front.
program() {
	local name=$1 words=()
	shift
	while [ "$1" != -- ]; do
		words+=("$1")
		shift
	done
	fresh_port && front=$port
	starts program env "${words[@]}" "$B/bin/$name" -r 2 \
	    -l "127.0.0.1:$front" "${@:2}" && program=$pid
}

gets() {	# gets TARGET TEXT: in the answer with its head
	curl -sS -i -m 20 "http://127.0.0.1:$front$1" | tr -d '\r' \
	    >"$scratch/out" && grep -qF -- "$2" "$scratch/out"
}

cached() {	# two reactors, which share a cache
	until_it 100 gets /a "X-Cache: hit" &&
	    [ "$(redis_says EXISTS "$(redis_says --raw KEYS '*a')")" = 1 ] &&
	    ends "$program"
}

not_cached() {
	gets /b "X-Cache: none" && gets /b "X-Cache: none" &&
	    ends "$program" && [ -z "$(redis_says --raw KEYS '*b')" ]
}

talks() {
	begins heard nc.openbsd -d 127.0.0.1 "$front"
	heard() {
		redis_says PUBLISH chat "good day" >/dev/null
		sleep 0.1
		grep -qx "good day" "$scratch/heard"
	}
	until_it 200 heard && dies "$pid" && ends "$program"
}

# ---- PostgreSQL ----

sql() {
	psql -q -h "$scratch/pg" -p "$pg_port" -U shop -d postgres -c "$1"
}

starts_postgres() {	# with TLS alone, but for one user
	fresh_port && pg_port=$port
	"${as[@]}" "$programs/initdb" -D "$scratch/pg/data" -U shop -N \
	    --locale=C -A trust || return 1
	cat >"$scratch/pg/data/pg_hba.conf" <<-END
		local all all trust
		hostnossl all plain 127.0.0.1/32 trust
		hostssl all shop 127.0.0.1/32 trust
	END
	begins postgres "${as[@]}" "$programs/postgres" -D "$scratch/pg/data" \
	    -k "$scratch/pg" -p "$pg_port" -c listen_addresses=127.0.0.1 \
	    -c fsync=off -c shared_buffers=16MB -c ssl=on \
	    -c "ssl_cert_file=$scratch/pg/server.pem" \
	    -c "ssl_key_file=$scratch/pg/server.key"
	until_it 600 sql "create role plain login superuser;
	    create table items (id serial primary key,
	    name text not null unique, price numeric not null);
	    insert into items (name, price) values ('tea', 2.5)"
}

database() {	# database MODE: its URL
	echo "postgres://shop@localhost:$pg_port/postgres?sslmode=$1"
}

has_tea() {
	until_it 200 gets "$1" '"name":"tea"' && ends "$program"
}

has_none() {
	gets /items/1 "503" && gets /items/1 "503" && ends "$program"
}

needs openssl curl nc.openbsd
claim "certificates are made" issues
claim "a server with TLS starts" serves_both
[ $failed -eq 0 ] || exit 1
hello=$pid
claim "fetch-tls fetches twenty at once over TLS" twenty_come
claim "and from servers with and without TLS" both_come
claim "it believes no server that is not trusted, or has another name" \
    none_is_believed
claim "a file that is not there is named" refuses 1 \
    "ca $scratch/none: No such" \
    "$B/bin/fetch-tls" --ca "$scratch/none" "https://localhost:$secure/"
claim "fetch says which program has TLS" refuses 64 "fetch-tls has" \
    "$B/bin/fetch" "https://localhost:$secure/"
claim "the server drains" ends "$hello"

if has redis-server && has redis-cli; then
	claim "Redis starts, with TLS" starts_redis
	url=rediss://localhost:$redis_port
	claim "cache-tls starts" program cache-tls "REDIS=$url" -- "${good[@]}"
	claim "it caches over TLS" cached
	claim "it starts with a Redis that nobody trusted has signed" \
	    program cache-tls "REDIS=$url" -- "${bad[@]}"
	claim "such a Redis is told nothing" not_cached
	claim "chat-tls starts" program chat-tls "REDIS=$url" -- "${good[@]}"
	claim "it hears what is said over TLS" talks
	claim "cache says which program has TLS, and no password" refuses 64 \
	    "cache: the URL of its server asks for TLS, which this program \
does not have; cache-tls has" env "REDIS=rediss://:hush@localhost" \
	    "$B/bin/cache"
else
	echo "SKIP: Redis is not installed"
fi

if [ -x "$programs/initdb" ]; then
	claim "PostgreSQL starts, with TLS" starts_postgres
	for mode in require verify-full; do
		claim "api-tls starts with sslmode=$mode" program api-tls \
		    "PGADDRESS=$(database $mode)" -- "${good[@]}"
		claim "it has rows over TLS" has_tea /items/1
	done
	claim "it starts with a server that nobody trusted has signed" program \
	    api-tls "PGADDRESS=$(database verify-full)" -- "${bad[@]}"
	claim "it asks such a server for nothing" has_none
	claim "it starts with sslmode=disable" program api-tls \
	    "PGADDRESS=$(database disable)" --
	claim "then the server refuses it" has_none
	claim "api says which program has TLS" refuses 64 "api-tls has" \
	    env "PGADDRESS=$(database require)" "$B/bin/api"
else
	echo "SKIP: PostgreSQL is not installed"
fi

if [ -x "$programs/initdb" ] && has redis-server && [ -x "$B/bin/shop-tls" ]
then
	claim "shop-tls starts with both" program shop-tls "REDIS=$url" \
	    "PGADDRESS=$(database verify-full)" -- "${good[@]}"
	claim "its cache is filled over TLS" \
	    until_it 200 gets /api/items/1 "X-Cache: hit"
	claim "with what it has of PostgreSQL over TLS" has_tea /api/items
	claim "it starts with Redis alone over TLS" program shop-tls \
	    "REDIS=$url" PGUSER=plain PGDATABASE=postgres \
	    "PGADDRESS=127.0.0.1:$pg_port" -- "${good[@]}"
	claim "and has rows in clear text" has_tea /api/items
else
	echo "SKIP: shop-tls is not built, or one of its servers not installed"
fi
[ $failed -eq 0 ]
