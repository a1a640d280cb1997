#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# notes.sh - the example of a service, asked by curl and over a plain
# connection.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
shown=("$scratch/notes")

# is STATUS PATH OPTIONS...: what curl gets; head and body are left behind.
is() {
	local wanted=$1 path=$2 got
	shift 2
	got=$(timeout 20 curl -s --path-as-is -D "$scratch/head" \
	    -o "$scratch/body" -w '%{http_code}' "$@" \
	    "http://127.0.0.1:$port$path") || return 1
	[ "$got" = "$wanted" ] || {
		echo "$path $*: $got"
		cat "$scratch/head"
		return 1
	}
}

body_is() {
	[ "$(cat "$scratch/body")" = "$1" ] || {
		cat "$scratch/body"
		return 1
	}
}

has_field() {
	tr -d '\r' <"$scratch/head" | grep -qx "$1" || {
		cat "$scratch/head"
		return 1
	}
}

key='Authorization: Bearer key'

notes_are_kept() {
	is 201 /notes/shopping -X PUT -d 'milk, "bread"' -H "$key" &&
	    is 204 /notes/shopping -X PUT -d $'milk\n\xff' -H "$key" &&
	    is 200 /notes/shopping && has_field \
	    'Content-Type: application/json' &&
	    body_is '{"name":"shopping","text":"milk\n'$'\xef\xbf\xbd''"}' &&
	    is 201 /notes/b -X PUT -H 'Transfer-Encoding: chunked' \
	    -d water -H "$key" &&
	    is 200 /notes && body_is '["shopping","b"]' &&
	    is 200 '/notes?with=il%6B' && body_is '["shopping"]' &&
	    is 204 /notes/b -X DELETE -H "$key" &&
	    is 404 /notes/b && body_is 'Not Found' &&
	    is 404 /notes/b -X DELETE -H "$key" && body_is 'Not Found'
}

names_are_decoded() {
	is 201 '/notes/caf%c3%a9%20%2f' -X PUT -d x -H "$key" &&
	    is 200 '/notes/./x/../caf%C3%A9%20%2F' &&
	    body_is '{"name":"café /","text":"x"}' &&
	    is 400 '/notes/%zz' && is 400 '/notes/%00' && is 400 /.. &&
	    is 400 '/notes?with=%' &&
	    is 204 '/notes/caf%c3%a9%20%2f' -X DELETE -H "$key"
}

writers_are_asked_who_they_are() {
	is 401 /notes/x -X PUT -d x &&
	    has_field 'WWW-Authenticate: Bearer' &&
	    is 401 /notes/x -X DELETE -H 'Authorization: Bearer other' &&
	    is 404 /notes/x
}

tokens_are_exact() {
	local token
	for token in KEY Key ke keys 'key key' ''; do
		is 401 /notes/t -X PUT -d x -H "Authorization: Bearer $token" ||
		    return 1
	done
	is 401 /notes/t -X PUT -d x -H 'Authorization: key' &&
	    is 404 /notes/t && is 201 /notes/t -X PUT -d x -H "$key" &&
	    is 204 /notes/t -X DELETE -H 'Authorization: bearer key'
}

head_is_answered() {
	is 200 /notes -I && has_field 'Content-Length: 12' &&
	    has_field 'Content-Type: application/json'
}

other_methods_are_told() {
	is 405 /notes -X DELETE && has_field 'Allow: GET, HEAD, OPTIONS' &&
	    is 405 /notes/x -X POST -d x &&
	    has_field 'Allow: GET, PUT, DELETE, HEAD, OPTIONS' &&
	    is 204 /notes/x -X OPTIONS &&
	    has_field 'Allow: GET, PUT, DELETE, HEAD, OPTIONS' &&
	    is 404 /none
}

many_are_listed() {	# more than an exchange has memory for
	timeout 60 curl -sf -o "$scratch/body" -X PUT -d x -H "$key" \
	    "http://127.0.0.1:$port/notes/many[1-500]" && is 200 '/notes?with=x' &&
	    [ "$(grep -o '"many[0-9]*"' "$scratch/body" | wc -l)" -eq 500 ]
}

large_notes_are_refused() {
	head -c 5000 /dev/zero | tr '\0' a >"$scratch/large"
	is 413 /notes/large -X PUT -H "$key" --data-binary \
	    "@$scratch/large" || return 1
	head -c 3000000 /dev/zero >"$scratch/huge"
	is 413 /notes/huge -X PUT -H "$key" -H 'Expect:' --data-binary \
	    "@$scratch/huge" && body_is 'Content Too Large'
}

pipelines_are_answered() {
	local i
	for i in $(seq 300); do
		printf 'GET /notes/none%s HTTP/1.1\r\nHost: a\r\n\r\n' "$i"
		printf 'GET /notes/shopping HTTP/1.1\r\nHost: a\r\n\r\n'
	done >"$scratch/pipeline"
	printf 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' \
	    >>"$scratch/pipeline"
	exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
	cat "$scratch/pipeline" >&3
	timeout 20 cat <&3 | tr -d '\r' >"$scratch/answers"
	exec 3>&-
	[ "$(grep -a -o 'HTTP/1.1 404' "$scratch/answers" | wc -l)" \
	    -eq 300 ] &&
	    [ "$(grep -a -o '"name":"shopping"' "$scratch/answers" |
	    wc -l)" -eq 300 ] &&
	    tail -n 1 "$scratch/answers" | grep -q 'see /notes'
}

refusals_are_told() {
	is 404 /nothing/here && sleep 0.1 &&
	    grep -q 'notes: GET /nothing/here: 404: no route has this path' \
	    "$scratch/notes"
}

needs curl
fresh_port
claim "the example of a service starts" starts notes env NOTES_TOKEN=key \
    "$B/bin/notes" -r 2 -l "127.0.0.1:$port"
claim "notes are kept, listed, shown and deleted" notes_are_kept
claim "names are percent-decoded once" names_are_decoded
claim "who changes a note is asked for a token" writers_are_asked_who_they_are
claim "a token in another case, or a part of it, is refused" tokens_are_exact
claim "HEAD is answered as GET" head_is_answered
claim "other methods are refused with Allow" other_methods_are_told
claim "all of many notes are listed" many_are_listed
claim "large notes are refused" large_notes_are_refused
claim "pipelined requests are all answered" pipelines_are_answered
claim "what is refused is told to the operator" refusals_are_told
claim "it drains" ends "$pid"
[ $failed -eq 0 ]
