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

# The page of the folder has a row for each.
not_listed() {
	local file
	for file in tools/examples/*.c tools/examples/*.cc; do
		grep -qF "\`${file##*/}\`" tools/examples/README.md ||
		    echo "$file"
	done
}

# What others are built with has no line.
shows_no_line() {
	local file
	for file in "$out"/*.c "$out"/*.cc; do
		case ${file##*/} in
		cli.c | cli_tls.c | memcached.c) continue ;;
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

# A certificate and its key in one file.
issue_host() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -subj "/CN=$1" -days 2 -addext "subjectAltName=DNS:$1" \
	    -keyout "$scratch/$1.key" -out "$scratch/$1" 2>&1 &&
	    cat "$scratch/$1.key" >>"$scratch/$1"
}

asks_host() {	# asks_host HOST PORT ANSWER OPTION...
	[ "$(curl -sS -m 20 --cacert "$scratch/$1" "${@:4}" --connect-to \
	    "$1:443:127.0.0.1:$2" "https://$1/")" = "$3" ]
}

# Its ports stand in its source.
try_hosts() {
	local plain public staff name
	fresh_port && plain=$port && fresh_port && public=$port &&
	    fresh_port && staff=$port
	sed -i "s/:8080/:$plain/; s/:8443/:$public/; s/:8444/:$staff/" \
	    "$out/hosts.c"
	builds hosts.c && issue_host first.test && issue_host second.test &&
	    serves hosts "s|[a-z]+\\.pem|$scratch/first.test|
	    s|[a-z]+\\.pem|$scratch/second.test|" || return 1
	for name in first.test second.test; do
		asks_host $name "$public" "$name over TLS 1.3" &&
		    asks_host $name "$public" "$name over TLS 1.2" \
		    --tls-max 1.2 && asks_host $name "$staff" \
		    "$name over TLS 1.3" && ! asks_host $name "$staff" \
		    "$name over TLS 1.2" --tls-max 1.2 || return 1
	done
	port=$plain
	gets / "in clear text" && kill -HUP "$pid" &&
	    asks_host second.test "$staff" "second.test over TLS 1.3" &&
	    ends "$pid"
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

# listens_to_events NAME: a client, whose $scratch/NAME has what it hears.
listens_to_events() {
	begins "$1" curl -sN "http://127.0.0.1:$port/events" &&
	    until_it 200 heard "$1" '[0-9]* s'
}

heard() {	# heard NAME TEXT: in an event
	grep -q "^data: $2$" "$scratch/$1"
}

both_hear() {
	listens_to_events ann && ann=$pid && listens_to_events ben &&
	    ben=$pid && gets /publish 204 -d "good morning" &&
	    until_it 200 heard ann "good morning" &&
	    until_it 200 heard ben "good morning"
}

# Cal stops reading, while more is published than any buffers hold.
one_stalls() {
	local i
	listens_to_events cal || return 1
	cal=$pid
	kill -STOP "$cal"
	for i in $(seq 20); do
		ab -q -k -c 2 -n 500 -p "$scratch/long" \
		    "http://127.0.0.1:$port/publish" >/dev/null &&
		    gets /publish 204 -d "batch $i" &&
		    until_it 400 heard ann "batch $i" || return 1
	done
	sleep 2.5
	gets /publish 204 -d "evening" && until_it 200 heard ben evening
}

is_dropped() {	# it reads on, and comes to an end
	kill -CONT "$cal"
	await "$cal"
	[ $? -ne 0 ] && ! heard cal evening
}

streams_end() {	# in order, which curl tells by status 0
	ends "$events" && await "$ann" && await "$ben"
}

# ---- upload ----

stored() {	# stored NAME FILE: it has these bytes
	cmp "$scratch/root/$1" "$2"
}

is_stored() {
	gets /files/large 201 -T "$scratch/large" && stored large "$scratch/large" &&
	    gets /files/large "201" -T "$scratch/small" &&
	    stored large "$scratch/small"
}

is_refused() {
	gets /files/over 413 -T "$scratch/large" -H "Expect: 100-continue" &&
	    gets /files/over 413 -T "$scratch/large" -H "Transfer-Encoding: chunked" &&
	    gets /files/.hidden 400 -T "$scratch/small" &&
	    gets /files/..%2fout 400 -T "$scratch/small" && only large
}

only() {	# only NAME...: is in the folder
	ls -A "$scratch/root"
	diff <(ls -A "$scratch/root") <(printf '%s\n' "$@")
}

# half_sent: an upload is under way, on fd 7.
half_sent() {
	exec 7<>"/dev/tcp/127.0.0.1/$port" &&
	    printf 'PUT /files/half HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n%s' \
	    "Content-Length: 100000" "the first bytes" >&7 &&
	    until_it 200 under_way
}

under_way() {
	[ -n "$(find "$scratch/root" -name '.upload.*' -size +0)" ]
}

cut_leaves_nothing() {
	half_sent && exec 7>&- && until_it 200 only large
}

# A second signal does not wait for what is under way.
stop_leaves_nothing() {
	half_sent && kill -TERM "$pid" && sleep 0.5 && under_way &&
	    ends "$pid" && only large
	local status=$?
	exec 7>&-
	return $status
}

# Files of this server may have 512 KB, and it has to live with the signal.
finds_no_room() {
	(ulimit -f 512; trap '' XFSZ; run upload "$at") >"$scratch/full" 2>&1 &
	pid=$!
	children+=("$pid")
	until_it 200 grep -q ready "$scratch/full" &&
	    gets /files/over 507 -T "$scratch/large" && only large &&
	    gets /files/small 201 -T "$scratch/small" &&
	    only large small && ends "$pid"
}

# ---- embed ----

# Forty lines, each after the last one's return. If nothing but the timer woke
# the loop, it would have to tick for each of them.
embed_echoes() {
	local i got ticks
	exec 7<>"/dev/tcp/127.0.0.1/$port" || return 1
	ticks=$(grep -c connections "$scratch/embed")
	for i in $(seq 40); do
		echo "line $i" >&7 && read -r -t 20 got <&7 &&
		    [ "$got" = "line $i" ] || break
	done
	exec 7>&-
	ticks=$(($(grep -c connections "$scratch/embed") - ticks))
	echo "$got, $ticks ticks"
	[ "$got" = "line 40" ] && [ $ticks -lt 20 ]
}

embed_waits_for_both() {
	sleep 20 | nc.openbsd 127.0.0.1 "$port" >/dev/null 2>&1 &
	children+=($!)
	until_it 100 grep -q "connections: 1" "$scratch/embed" && kill "$!" &&
	    until_it 100 no_connections
}

no_connections() {
	[ "$(tail -n 1 "$scratch/embed")" = "embed: connections: 0" ]
}

# ---- votes ----

serves_votes() {
	serves votes "$at; s|votes.txt|$scratch/votes.txt|"
}

is_saved() {	# is_saved COUNT NAME
	grep -qx "$1 $2" "$scratch/votes.txt"
}

counts_lines() {	# those of two clients, one of which comes in pieces
	tells "$port" tea "tea 1" && {
		printf 'te'
		sleep 0.2
		printf 'a\ngreen tea\r\nt'
		sleep 0.2
		printf 'ea\n'
	} | timeout 20 nc.openbsd -N 127.0.0.1 "$port" |
	    diff - <(printf 'tea 2\ngreen tea 1\ntea 3\n')
}

saves_last() {	# the vote that comes just before the end
	until_it 100 is_saved 3 tea && tells "$port" tea "tea 4" &&
	    ends "$pid" && is_saved 4 tea && serves_votes &&
	    tells "$port" tea "tea 5" && tells "$port" "green tea" "green tea 2"
}

refuses_long_lines() {
	local status=0
	exec 7<>"/dev/tcp/127.0.0.1/$port" || return 1
	head -c 1000 /dev/zero | tr '\0' x >&7
	read -r -t 10 <&7 || status=$?	# above 128: nothing came for 10 s
	exec 7>&-
	echo "status $status"
	[ $status -eq 1 ] && tells "$port" tea "tea 6"
}

# ---- worker ----

redis() {
	redis-cli -p "$redis_port" "$@"
}

is_in() {	# is_in LIST JOB: once
	[ "$(redis LRANGE "$1" 0 -1 | grep -cxF -- "$2")" -eq 1 ]
}

serves_worker() {
	serves worker "s/:6379/:$redis_port/"
}

does() {	# does JOB: and keeps it nowhere else
	until_it 400 is_in "done" "$1" && redis LRANGE jobs 0 -1 &&
	    ! is_in jobs "$1" && ! is_in doing:alpha "$1"
}

begins_job() {
	redis LPUSH jobs "$1" && until_it 400 is_in doing:alpha "$1"
}

finishes() {
	begins_job "1500 to finish" && ends "$pid" && does "1500 to finish"
}

# Each of its four fibers works, and a fifth job waits.
takes_none_when_it_ends() {
	serves_worker || return 1
	redis LPUSH jobs "1000 a" "1000 b" "1000 c" "1000 d"
	until_it 400 four_begun && redis LPUSH jobs "0 for later" &&
	    ends "$pid" && does "1000 d" && is_in jobs "0 for later" &&
	    serves_worker && does "0 for later"
}

four_begun() {
	[ "$(redis LLEN doing:alpha)" -eq 4 ]
}

is_done_again() {	# after a death
	begins_job "1000 to do again" && dies "$pid" &&
	    is_in doing:alpha "1000 to do again" && serves_worker &&
	    does "1000 to do again"
}

# The second signal does not wait for the job.
is_left() {
	begins_job "60000 too long" && kill -TERM "$pid" && sleep 0.3 &&
	    ends "$pid" && is_in doing:alpha "60000 too long" &&
	    ! is_in "done" "60000 too long"
}

survives_redis() {	# that goes away for a moment
	redis LPUSH jobs "0 before" && does "0 before" &&
	    redis CLIENT KILL TYPE normal SKIPME yes &&
	    redis LPUSH jobs "0 after" && does "0 after"
}

# ---- pipe ----

store() {	# store KEY VALUE
	printf 'set %s 0 0 %d\r\n%s\r\nquit\r\n' "$1" ${#2} "$2" |
	    nc.openbsd -N 127.0.0.1 "$memcached_port"
}

pipes() {	# pipes KEYS: in place of those that it shows
	(run pipe "s/:11211/:$memcached_port/; s/one two three/$1/") \
	    >"$scratch/piped"
}

gets_values() {
	store one uno && store empty "" && pipes "one two empty" &&
	    diff "$scratch/piped" - <<-END
	one: uno
	two is not there
	empty: 
	END
}

connections() {
	printf 'stats\r\nquit\r\n' | nc.openbsd -N 127.0.0.1 "$memcached_port" |
	    tr -d '\r' | awk '/total_connections/ { print $3 }'
}

many_over_one() {
	local before i
	before=$(connections)
	pipes "$(seq -s ' ' 500 | sed 's/ 250 / one /')" &&
	    [ "$(wc -l <"$scratch/piped")" -eq 500 ] &&
	    [ "$(sed -n 250p "$scratch/piped")" = "one: uno" ] &&
	    [ "$(sed -n 251p "$scratch/piped")" = "251 is not there" ] &&
	    [ "$(connections)" -eq $((before + 2)) ]
}

# ---- Clients of others ----

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
claim "each is on the page of their folder" [ -z "$(not_listed)" ]
[ $failed -eq 0 ] || exit 1

try echo.c && claim "echo sends back" try_echo
try hello.c && claim "hello says hello" try_hello
try files.c && claim "files serves files" try_files
try ports.c && claim "ports serves each port" try_ports
if has openssl && pkg-config --exists torc-tls; then
	try hosts.c && claim "hosts serves two hosts on two ports, and clear text" \
	    try_hosts
else
	echo "SKIP: hosts.c: openssl or torc-tls is not installed"
fi
try quote.c && claim "quote asks a server" try_quote
try notes.c && claim "notes keeps a note for a client with its token" try_notes
try proxy.c && claim "proxy passes requests on" try_proxy
try fetch.c && claim "fetch fetches" try_fetch
try talk.cc && claim "talk lets two users talk" try_talk

if try events.c; then
	head -c 1000 /dev/zero | tr '\0' x >"$scratch/long"
	at
	claim "events starts" serves events "$at"
	events=$pid
	claim "two clients hear its clock, and what one publishes" both_hear
	with ab "a client that stalls delays nobody" one_stalls
	with ab "and is dropped" is_dropped
	claim "the streams of others end in order when it drains" streams_end
fi
if try upload.c; then
	mkdir "$scratch/root"
	head -c 3000000 /dev/urandom >"$scratch/large"
	head -c 3000 /dev/urandom >"$scratch/small"
	at "s|/srv/files|$scratch/root|"
	claim "upload starts" serves upload "$at"
	upload=$pid
	claim "an upload is stored, also in place of another" is_stored
	claim "one that is cut off leaves nothing" cut_leaves_nothing
	pid=$upload
	claim "nor does one that the server is stopped in" stop_leaves_nothing
	at "s|/srv/files|$scratch/root|; s/UPLOAD_MIB=[0-9]*/UPLOAD_MIB=2/"
	claim "upload starts with a limit" serves upload "$at"
	upload=$pid
	claim "what is too large or ill-named is refused" is_refused
	claim "upload drains" ends "$upload"
	at "s|/srv/files|$scratch/root|"
	shown=("$scratch/full" "$scratch/answer")
	claim "without room the answer is 507, and nothing is left" finds_no_room
fi

if try embed.c; then
	at
	claim "embed starts" serves embed "$at"
	claim "a loop of its own serves torc's connections" embed_echoes
	claim "beside a timer, each when it is due" embed_waits_for_both
	claim "and ends by a signal that the loop reads" ends "$pid"
fi

if try votes.c; then
	at
	claim "votes starts" serves_votes
	claim "it counts the lines of several clients" counts_lines
	claim "what was counted last is there after a restart" saves_last
	claim "a line that is too long ends its client only" refuses_long_lines
	claim "votes drains" ends "$pid"
fi

# has SERVER: it runs, if it is installed.
fresh_port && redis_port=$port
if has redis-server; then
	claim "Redis starts" starts_redis
	try cache.c && claim "cache caches" try_cache
	if try worker.c; then
		claim "worker starts" serves_worker
		claim "it does a job, also when its connections were lost" \
		    survives_redis
		claim "when it is stopped it finishes the job" finishes
		claim "and takes no more" takes_none_when_it_ends
		claim "the job of a worker that was killed is done again" \
		    is_done_again
		claim "a job that takes too long is left for the next one" \
		    is_left
	fi
	try chat.c && claim "chat lets two users chat" try_chat
else
	echo "SKIP: redis-server is not installed"
fi
fresh_port && memcached_port=$port
if has memcached; then
	claim "memcached starts" starts_memcached
	if try pipe.c; then
		claim "pipe shows values" gets_values
		claim "five hundred go over one connection" many_over_one
	fi
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
