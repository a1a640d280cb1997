#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# hello.sh - the smallest service does all that a service does by itself.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
shown=("$scratch/hello" "$scratch/head")

# is STATUS OPTIONS...: what curl gets of the last one, a path; head and body
# are left behind.
is() {
	local wanted=$1 got
	shift
	got=$(timeout 20 curl -s -D "$scratch/head" -o "$scratch/body" \
	    -w '%{http_code}' "${@:1:$#-1}" \
	    "http://127.0.0.1:$port${*: -1}") || return 1
	[ "$got" = "$wanted" ] || {
		echo "$*: $got"
		return 1
	}
}

has_field() {
	tr -d '\r' <"$scratch/head" | grep -qx "$1"
}

greets() {
	is 200 / && [ "$(cat "$scratch/body")" = hello ] &&
	    has_field 'Content-Type: text/plain; charset=utf-8' &&
	    is 200 '/?any=query'
}

answers_what_it_was_not_told_of() {
	is 200 -I / && has_field 'Content-Length: 6' &&
	    is 404 /none && is 405 -X POST -d x / &&
	    has_field 'Allow: GET, HEAD, OPTIONS' && is 204 -X OPTIONS / &&
	    is 400 --path-as-is /../etc/passwd
}

is_short() {	# lines of its own: without comments, and what it includes
	local lines
	lines=$(sed -e '/^\/\*/,/^ \*\//d' -e '/^#include/d' -e '/^$/d' \
	    tools/examples/hello.c | wc -l)
	echo "$lines lines"
	[ "$lines" -lt 15 ]
}

needs curl
fresh_port
claim "a service has fewer than 15 lines" is_short
claim "it starts" starts hello "$B/bin/hello" -r 2 -l "127.0.0.1:$port"
hello=$pid
claim "it greets" greets
claim "HEAD, 404, 405 and OPTIONS take no line of it" \
    answers_what_it_was_not_told_of
claim "it drains" ends "$hello"
[ $failed -eq 0 ]
