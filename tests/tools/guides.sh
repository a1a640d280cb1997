#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# guides.sh - the programs of README.md and of the guides do what these say.
#
# tests/lint/pages.sh compares their text with the samples.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
guides=$B/guides
shown=("$scratch/server")

# serve NAME [ARGUMENT...]: the program on a free port, until somebody listens.
serve() {
	fresh_port
	begins server "$guides/$1" "127.0.0.1:$port" "${@:2}"
	server=$pid
	until_it 300 listens_or_gone && listens "$port"
}

listens_or_gone() {
	listens "$port" || gone "$server"
}

drains() {
	ends "$server"
}

ask() {	# ask PATH [OPTION...]
	timeout 20 curl -s "${@:2}" "http://127.0.0.1:$port$1"
}

says() {	# says TEXT COMMAND...: it says this, and nothing else
	local got
	got=$("${@:2}")
	echo "$got"
	[ "$got" = "$1" ]
}

noted() {	# noted PATTERN: a line of the server's
	until_it 100 grep -qE "$1" "$scratch/server"
}

# ---- The first service ----

has_status() {	# has_status STATUS PATH [OPTION...]
	says "$1" ask "${@:2}" -o "$scratch/body" -w '%{http_code}'
}

claim "README.md: it starts" serve first_service
claim "it greets whom the path names" says "hello, Ada" ask /hello/Ada
claim "it decodes the path" says "hello, A B" ask /hello/A%20B
claim "torc answers 404 and 405" \
    eval 'has_status 404 /none && has_status 405 /hello/Ada -X DELETE'
claim "it drains" drains

bad_address() {
	local status=0
	timeout 10 "$guides/first_service" 1.2.3:x 2>"$scratch/server" ||
	    status=$?
	[ $status -eq 1 ] && noted "cannot listen on 1.2.3:x"
}
claim "it says which address is none" bad_address

counts() {
	printf 'one\ntwo\n' >"$scratch/lines"
	says '{"bytes":8,"lines":2}' ask /count --data-binary "@$scratch/lines"
}

counts_not() {
	head -c 400000 /dev/zero >"$scratch/large"
	has_status 413 /count --data-binary "@$scratch/large" &&
	    grep -qxF '{"status":413,"error":"a body longer than memory_max"}' \
	    "$scratch/body" && noted '^/count: status 413: a body longer than memory_max$'
}

claim "first-service.md: it starts" serve json_service
claim "it answers with JSON" counts
claim "a body over the limit is refused, and noted" counts_not
refused_as_json() {	# refused_as_json STATUS WHY [OPTION...]
	has_status "$1" "${@:3}" -D "$scratch/head" &&
	    echo "{\"status\":$1,\"error\":\"$2\"}" |
	    diff - <(cat "$scratch/body"; echo) &&
	    grep -qi '^Content-Type: application/json' "$scratch/head" &&
	    [ "$(grep -ci '^Content-Type:' "$scratch/head")" -eq 1 ]
}

refuses_as_json() {
	refused_as_json 404 "no route has this path" /none &&
	    refused_as_json 405 "the routes of this path have other methods" \
	    /count && grep -qi '^Allow: POST, OPTIONS' "$scratch/head" &&
	    refused_as_json 400 "a path whose encoding is invalid" '/%zz'
}

claim "refusals are JSON, with their other fields" refuses_as_json
head -c 1100000 /dev/zero >"$scratch/huge"
claim "a body over body_max, too" refused_as_json 413 \
	"a body longer than body_max" /count -H Expect: \
	--data-binary "@$scratch/huge"
claim "what no route has is noted" eval 'has_status 404 /none &&
	noted "^/none: status 404: no route has this path$"'
claim "it drains" drains

# ---- Connections by hand ----

sends_lines_back() {
	printf 'a\nbb\n' >"$scratch/lines"
	printf 'a\nbb\nccc' | timeout 20 nc.openbsd -N 127.0.0.1 "$port" |
	    diff "$scratch/lines" -
}

ends_long_lines() {
	# With its standard input open: it is the server that ends this.
	(head -c 10000 /dev/zero; sleep 20) |
	    timeout 15 nc.openbsd 127.0.0.1 "$port" >"$scratch/heard" 2>&1
	[ ${PIPESTATUS[1]} -ne 124 ] && [ ! -s "$scratch/heard" ]
}

needs nc.openbsd
claim "connections.md: it starts" serve connections
claim "whole lines come back, and the rest does not" sends_lines_back
claim "a line that does not end is cut off" ends_long_lines
claim "it drains" drains

# ---- Threads and posts ----

say_nothing() {	# what comes to a connection that says nothing
	timeout 20 nc.openbsd -N 127.0.0.1 "$port" </dev/null
}

has_news() {
	say_nothing | tee "$scratch/heard" |
	    grep -qE '^reactor [0-9]+: answer [1-9][0-9]*, news [1-9][0-9]*$'
}

claim "threads.md: it starts" serve threads
claim "what a thread posts reaches the reactor that answers" \
    until_it 100 has_news
claim "the thread ends with the reactors" drains

# ---- Stacks ----

fits() {	# fits LEVELS [STACK_KIB]
	says "$1 levels fit" "$guides/stacks" "$@"
}

overflows() {
	local status=0
	(ulimit -c 0 && "$guides/stacks" 300) >"$scratch/server" 2>&1 ||
	    status=$?
	[ $status -eq 139 ] && noted '^torc: reactor 0: a fiber ran over its stack of 262144 bytes: raise stack_size'
}

claim "stacks.md: 200 levels fit" fits 200
claim "300 do not, and it is said why" overflows
claim "in a larger stack they fit" fits 300 512

# ---- Deadlines ----

claim "deadlines.md: it starts" serve deadlines
claim "it answers with what came in time" says "2 of 3 in time" say_nothing
claim "it drains" drains

# ---- C++ ----

compiles() {
	"${CXX:-c++}" -std=c++17 -g -O2 -Wall -Wextra -Wpedantic -Werror \
	    -I"$B/include" -o "$scratch/cplusplus" tools/guides/cplusplus.cc \
	    "$B/lib/libtorc-http.a" "$B/lib/libtorc.a" -pthread
}

longest() {
	says longest ask /longest -d 'to be or longest' &&
	    has_status 422 /longest -d ' '
}

needs "${CXX:-c++}"
claim "cplusplus.md: it compiles" compiles
guides=$scratch
claim "it starts" serve cplusplus
claim "it answers, and throws" longest
claim "it drains" drains
guides=$B/guides

# ---- Moving from libuv ----

echoes() {
	[ "$(echo hello | timeout 20 nc.openbsd -N 127.0.0.1 "$port")" = hello ]
}

starts_on_libuv() {	# it is given a port alone, and does not drain
	fresh_port
	begins server "$guides/libuv_echo" "$port"
	server=$pid
	until_it 300 listens_or_gone && listens "$port"
}

claim "libuv.md: the server on libuv starts" starts_on_libuv
claim "it echoes" echoes
claim "it ends" dies "$server"
claim "the one on torc starts" serve torc_echo
claim "it echoes, too" echoes
claim "it drains" drains

# ---- Static binaries ----

links_statically() {
	[ -e build-static/lib/libtorc-http.a ] ||
	    make -s static || return 1
	musl-gcc -Os -static -s -Wl,--gc-sections -Ibuild-static/include \
	    -o "$scratch/root/first_service" tools/guides/first_service.c \
	    build-static/lib/libtorc-http.a build-static/lib/libtorc.a
}

# Where there is nothing else.
serves_alone() {
	fresh_port
	begins server chroot "$scratch/root" /first_service "127.0.0.1:$port"
	server=$pid
	until_it 300 listens_or_gone && says "hello, Ada" ask /hello/Ada
}

mkdir "$scratch/root"
chmod 755 "$scratch"
with musl-gcc "containers.md: README's program links statically" \
    links_statically
if [ "$(id -u)" -ne 0 ]; then
	echo "SKIP: an empty root needs root"
elif [ -e "$scratch/root/first_service" ]; then
	claim "it serves where there is nothing else" serves_alone
	claim "it drains" drains
fi

# ---- TLS that is dialled ----

makes_certificate() {	# makes_certificate NAME
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -subj /CN=here -days 2 -addext subjectAltName=DNS:localhost \
	    -keyout "$scratch/$1.key" -out "$scratch/$1.pem"
}

# It sends lines back to front.
openssl_serves() {
	fresh_port
	begins server openssl s_server -accept "127.0.0.1:$port" -rev \
	    -cert "$scratch/here.pem" -key "$scratch/here.key"
	until_it 200 listens "$port"
}

asks_tls() {	# asks_tls FILE HOST: who is trusted, and whom it asks
	SSL_CERT_FILE=$1 timeout 20 "$guides/ask_tls" "$2" "$port" hello 2>&1
}

is_refused() {	# is_refused WORDS FILE HOST
	local status=0
	asks_tls "$2" "$3" >"$scratch/server" || status=$?
	[ $status -eq 1 ] && noted "^no TLS: handshake with $3: $1"
}

if [ -x "$guides/ask_tls" ] && has openssl; then
	claim "libraries.md: certificates are made" \
	    eval 'makes_certificate here && makes_certificate other'
	claim "openssl serves it" openssl_serves
	claim "a line is asked and answered over TLS" \
	    says olleh asks_tls "$scratch/here.pem" localhost
	claim "nobody is believed who is not trusted" is_refused \
	    "its certificate is self-signed" \
	    "$scratch/other.pem" localhost
	claim "and nobody of another name" is_refused \
	    "its certificate is for localhost, and not for 127.0.0.1" \
	    "$scratch/here.pem" 127.0.0.1
else
	echo "SKIP: TLS that is dialled: openssl is not installed"
fi

# ---- When io_uring is refused ----

available() {
	says "io_uring is available" "$guides/available"
}

refused() {
	local status=0
	"$B/tests/bin/seccomp_exec" EPERM "$guides/available" \
	    2>"$scratch/server" || status=$?
	[ $status -eq 78 ] && noted '^available: io_uring_setup: EPERM: blocked'
}

refused_to_serve() {
	local status=0
	"$B/tests/bin/seccomp_exec" EPERM "$guides/first_service" \
	    2>"$scratch/server" || status=$?
	[ $status -eq 1 ] && noted '^first_service: io_uring_setup: EPERM'
}

claim "refused.md: io_uring is available here" available
claim "a filter refuses it: one line, and status 78" refused
claim "torc_serve() says the same" refused_to_serve

[ $failed -eq 0 ]
