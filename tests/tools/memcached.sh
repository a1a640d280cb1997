#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# memcached.sh - the example of a client, keys, with a real memcached.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
shown=("$scratch/keys" "$scratch/memcached")

starts_memcached() {
	local as=()
	[ "$(id -u)" -ne 0 ] || as=(-u nobody)
	begins memcached memcached "${as[@]}" -l 127.0.0.1 \
	    -p "$memcached_port" -U 0 -m 64
	memcached=$pid
	until_it 200 listens "$memcached_port"
}

# is STATUS METHOD KEY OPTIONS...: what curl gets; the body is left behind.
is() {
	local wanted=$1 method=$2 key=$3 got
	shift 3
	got=$(timeout 20 curl -s -o "$scratch/body" -w '%{http_code}' \
	    -X "$method" -H 'Expect:' "$@" \
	    "http://127.0.0.1:$port/keys/$key") || return 1
	[ "$got" = "$wanted" ] || {
		echo "$method $key: $got"
		return 1
	}
}

keeps() {	# keeps KEY FILE: what is kept comes back
	is 204 PUT "$1" --data-binary "@$2" && is 200 GET "$1" &&
	    cmp "$2" "$scratch/body"
}

values_come_back() {
	printf 'one' >"$scratch/small"
	printf 'END\r\nVALUE x 0 3\r\n\0STORED\r\n' >"$scratch/tricky"
	: >"$scratch/empty"
	head -c 700000 /dev/urandom >"$scratch/large"
	keeps a "$scratch/small" && keeps b "$scratch/tricky" &&
	    keeps c "$scratch/empty" && keeps d "$scratch/large" &&
	    keeps a "$scratch/tricky"
}

values_go() {
	is 204 DELETE a && is 404 GET a && is 404 DELETE a && is 404 GET none
}

keys_are_checked() {
	local long
	long=$(printf 'k%.0s' {1..250})
	is 204 PUT "$long" -d x && is 200 GET "$long" &&
	    is 400 GET "${long}k" && is 400 PUT a%20b -d x &&
	    is 400 GET 'a%0d%0adelete%20b' && is 200 GET b
}

large_ones_are_refused() {
	head -c 3000000 /dev/zero >"$scratch/huge"
	is 413 PUT huge --data-binary "@$scratch/huge" && is 200 GET b
}

all_ask_at_once() {
	local i pids=()
	for i in $(seq 40); do
		is_kept "$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i" || return 1
	done
}

is_kept() {
	local got
	curl -s -m 20 -X PUT -d "value $1" \
	    "http://127.0.0.1:$port/keys/at-once-$1" || return 1
	got=$(curl -s -m 20 "http://127.0.0.1:$port/keys/at-once-$1")
	[ "$got" = "value $1" ]
}

needs curl memcached
fresh_port
memcached_port=$port
fresh_port
claim "memcached starts" starts_memcached
MEMCACHED=127.0.0.1:$memcached_port begins keys "$B/bin/keys" -r 2 \
    -l "127.0.0.1:$port"
keys=$pid
claim "the program starts" until_it 200 listens "$port"
claim "values come back as they were kept" values_come_back
claim "and are forgotten" values_go
claim "a key is checked, and cannot be a command" keys_are_checked
claim "a value that memcached does not take is refused" large_ones_are_refused
claim "forty ask at once, and have their own" all_ask_at_once
kill -9 "$memcached"
wait "$memcached" 2>/dev/null
claim "without memcached the answer is 503" until_it 40 is 503 GET b
claim "memcached starts again" starts_memcached
claim "and with it what is kept" until_it 100 is 204 PUT b -d again
claim "and what is asked for" is 200 GET b
claim "the program drains" ends "$keys"
[ $failed -eq 0 ]
