#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# examples.sh - the examples as a user has them: installed, copied out, built
# and run with the two lines that stand at the top of each, against the servers
# of Debian.
#
# What is missing in $B is made. A tool that is not installed is a line "SKIP:
# why".
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
unset MAKEFLAGS MFLAGS MAKELEVEL
prefix=$scratch/prefix
installed=$prefix/share/doc/torc/examples
out=$scratch/out
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig LD_LIBRARY_PATH=$prefix/lib

# ---- Lines at the top of an example ----

# line FILE NUMBER: the first or second of the commands that it shows.
line() {
	awk '/^ \*\// { exit }
		/^ \*     / {
			sub(/^ \* */, "")
			more = sub(/\\$/, "")
			printf "%s%s", $0, more ? "" : "\n"
		}' "$out/$1" | awk '/^(cc|c\+\+) / { on = 1 } on' | sed -n "$2p"
}

# What others are built with has no line.
shows_no_line() {
	local file
	for file in "$out"/*.c "$out"/*.cc; do
		case ${file##*/} in
		cli.c | memcached.c) continue ;;
		esac
		[[ "$(line "${file##*/}" 1)" == c*' -o '* &&
		    "$(line "${file##*/}" 2)" == *./* ]] || echo "$file"
	done
}

installs() {
	make -s B="$B" PREFIX="$prefix" install && cp -r "$installed" "$out" &&
	    [ -z "$(shows_no_line)" ]
}

builds() {	# builds FILE: with its line, which says nothing
	[ -n "$(line "$1" 1)" ] &&
	    (cd "$out" && eval "$(line "$1" 1)") >"$scratch/built" 2>&1
	local status=$?
	cat "$scratch/built"
	[ $status -eq 0 ] && [ ! -s "$scratch/built" ]
}

# run NAME SED: its line, changed by SED: other ports, and the like. NAME is its
# file without ".c". Takes the place of this shell: call it in a new one.
run() {
	local file=$1.c
	[ -e "$out/$file" ] || file=$1.cc
	cd "$out" && eval "exec env $(line "$file" 2 | sed -E "$2")"
}

serves() {	# serves NAME SED: until it is ready. Sets pid.
	starts "$1" run "$@"
}

# try FILE: it is built. Returns 1 if it is not, or cannot be here.
try() {
	local need
	for need in $(line "$1" 1 | grep -oE '(torc-)?(pg|file|redis|http)|libcjson'); do
		pkg-config --exists "$need" 2>/dev/null && continue
		case $need in
		torc-pg | libcjson)
			echo "SKIP: $1: $need is not installed"
			return 1 ;;
		esac
	done
	claim "$1 builds with the line it shows" builds "$1" && [ -x "$out/${1%.*}" ]
}

# ---- Servers of others ----

answers_ping() {
	[ "$(redis-cli -p "$redis_port" PING 2>&1)" = PONG ]
}

starts_redis() {
	begins redis redis-server --port "$redis_port" --bind 127.0.0.1 \
	    --save "" --dir "$scratch"
	until_it 600 answers_ping
}

starts_memcached() {
	local as=()
	[ "$(id -u)" -ne 0 ] || as=(-u nobody)
	begins memcached memcached "${as[@]}" -l 127.0.0.1 \
	    -p "$memcached_port" -U 0
	until_it 200 listens "$memcached_port"
}

sql() {
	psql -q -h 127.0.0.1 -p "$pg_port" -U shop -d postgres -c "$1"
}

# PostgreSQL refuses to run as root.
starts_postgres() {
	local as=() programs data=$scratch/pg
	programs=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
	mkdir "$data"
	if [ "$(id -u)" -eq 0 ]; then
		chmod 755 "$scratch"
		chown postgres "$data"
		as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
	fi
	"${as[@]}" "$programs/initdb" -D "$data" -U shop -N --locale=C \
	    -A trust &&
	    begins postgres "${as[@]}" "$programs/postgres" -D "$data" \
	    -k "$data" -p "$pg_port" -c listen_addresses=127.0.0.1 \
	    -c fsync=off -c shared_buffers=16MB &&
	    until_it 600 sql "create table items (id serial primary key,
	        name text not null unique,
	        price numeric not null check (price >= 0));
	        insert into items (name, price) values ('tea', 2.5)"
}

# ---- What is said to an example ----

get() {	# get PATH OPTIONS...: head and body of the answer
	curl -sS -i -m 20 "${@:2}" "http://127.0.0.1:$port$1" |
	    tr -d '\r' | tee "$scratch/answer"
}

gets() {	# gets PATH TEXT OPTIONS...: that is in the answer
	get "$1" "${@:3}" | grep -qF -- "$2"
}

told() {	# told PORT LINE: what comes back
	echo "$2" | timeout 20 nc.openbsd -N 127.0.0.1 "$1"
}

tells() {	# tells PORT LINE ANSWER
	[ "$(told "$1" "$2")" = "$3" ]
}

at=; at() {	# at SED: and what is said to port 8080 goes to one of ours
	fresh_port
	at="s/127.0.0.1:8080/127.0.0.1:$port/; s/127.0.0.1:7000/127.0.0.1:$port/
	    s/:6379/:${redis_port:-}/; s/:11211/:${memcached_port:-}/
	    s|@127.0.0.1/shop|@127.0.0.1:${pg_port:-}/postgres|; ${1:-}"
}

# ---- The examples ----

try_echo() {
	at
	serves echo "$at" && tells "$port" hello hello && ends "$pid"
}

# hello stays for those that need a server.
try_hello() {
	at
	serves hello "$at" && hello=$pid hello_port=$port && gets / hello
}

try_files() {
	at "s|/usr/share/doc|$out|"
	serves files "$at" && gets /hello.c "hello.c - the smallest" &&
	    gets /hello.c "HTTP/1.1 206" -r 0-9 && ends "$pid"
}

try_ports() {
	local echo_port time_port
	fresh_port && echo_port=$port && fresh_port && time_port=$port
	at "s/:7007/:$echo_port/; s/:7013/:$time_port/"
	serves ports "$at" && tells "$echo_port" four four &&
	    told "$time_port" "" | grep -q '^20..-' &&
	    gets /counts "5 bytes echoed, the time told 1 times" && ends "$pid"
}

try_quote() {
	local server
	fresh_port && server=$port
	at "s/:8081/:$server/; s/^/QUOTE_SERVER=127.0.0.1:$server /"
	serves quote "$at" && tells "$port" torc "torc 4.09" && ends "$pid"
}

try_notes() {
	at
	serves notes "$at" && gets /notes/a 401 -X PUT -d milk &&
	    gets /notes/a 201 -X PUT -d milk -H 'Authorization: Bearer secret' &&
	    gets /notes/a '{"name":"a","text":"milk"}' && ends "$pid"
}

try_proxy() {
	at "s/localhost:8081/127.0.0.1:$hello_port/"
	serves proxy "$at" && gets / hello && gets / "Via: 1.1 torc" && ends "$pid"
}

try_fetch() {
	(run fetch "s/127.0.0.1:8080/127.0.0.1:$hello_port/
	    s/localhost:8081/127.0.0.1:$hello_port/") >"$scratch/fetched"
	cat "$scratch/fetched"
	grep -q "^200 6 bytes http://127.0.0.1:$hello_port/$" "$scratch/fetched" &&
	    grep -q '^404 .*/x$' "$scratch/fetched"
}

try_talk() {	# two users
	at "s|talk.log|$scratch/talk.log|"
	serves talk "$at" && hears_another talk && ends "$pid" &&
	    grep -q "good day" "$scratch/talk.log"
}

try_chat() {
	at
	serves chat "$at" && hears_another chat && ends "$pid"
}

# hears_another NAME: one user hears what another says; again, since a server
# tells nobody when it has subscribed.
hears_another() {
	local listener
	sleep 20 | nc.openbsd 127.0.0.1 "$port" >"$scratch/$1.heard" 2>&1 &
	listener=$!
	children+=("$listener")
	said() {
		(echo "good day"; sleep 0.2) |
		    timeout 5 nc.openbsd -N 127.0.0.1 "$port" >/dev/null
		grep -q "good day" "$scratch/$1.heard"
	}
	until_it 20 said "$1"
	local status=$?
	kill "$listener" 2>/dev/null
	return $status
}

try_cache() {
	at
	serves cache "$at" && gets /page "X-Cache: miss" &&
	    gets /page "X-Cache: hit" && ends "$pid"
}

try_keys() {
	at
	serves keys "$at" && gets /keys/a 204 -X PUT -d value &&
	    gets /keys/a value && gets /keys/b 404 && ends "$pid"
}

try_api() {
	at
	serves api "$at" && gets /items/1 '"name":"tea"' && gets /items/9 404 &&
	    ends "$pid"
}

try_shop() {
	at "s|/srv/shop|$out|"
	serves shop "$at" && gets /api/items/1 "X-Cache: miss" &&
	    gets /api/items/1 "X-Cache: hit" &&
	    gets /api/items 201 -d '{"name":"rice","price":1}' &&
	    gets /hello.c "hello.c - the smallest" && ends "$pid"
}

needs make pkg-config curl nc.openbsd
claim "the examples are installed, each with two lines" installs
[ $failed -eq 0 ] || exit 1

try echo.c && claim "echo sends back" try_echo
try hello.c && claim "hello says hello" try_hello
try files.c && claim "files serves files" try_files
try ports.c && claim "ports serves each port" try_ports
try quote.c && claim "quote asks a server" try_quote
try notes.c && claim "notes keeps a note for a client with its token" try_notes
try proxy.c && claim "proxy passes requests on" try_proxy
try fetch.c && claim "fetch fetches" try_fetch
try talk.cc && claim "talk lets two users talk" try_talk

# has SERVER: it runs, if it is installed.
fresh_port && redis_port=$port
if has redis-server; then
	claim "Redis starts" starts_redis
	try cache.c && claim "cache caches" try_cache
	try chat.c && claim "chat lets two users chat" try_chat
else
	echo "SKIP: redis-server is not installed"
fi
fresh_port && memcached_port=$port
if has memcached; then
	claim "memcached starts" starts_memcached
	try keys.c && claim "keys keeps values" try_keys
else
	echo "SKIP: memcached is not installed"
fi
fresh_port && pg_port=$port
if has psql; then
	claim "PostgreSQL starts" starts_postgres
	try api.c && claim "api serves rows" try_api
	try shop.c && claim "shop serves items and files" try_shop
else
	echo "SKIP: PostgreSQL is not installed"
fi
claim "hello drains" ends "$hello"
[ $failed -eq 0 ]
