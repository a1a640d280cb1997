#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# fetch.sh - the example that fetches many URLs at once: all of them, and what
# it knows when the time is up and some have not answered.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
shown=("$scratch/out")

# fetch STATUS OPTIONS...: it ends with that status, soon.
fetch() {
	local status=0 expected=$1
	shift
	timeout 30 "$B/bin/fetch" "$@" >"$scratch/out" || status=$?
	[ $status -eq "$expected" ]
}

# lines COUNT PATTERN: of what it said.
lines() {
	[ "$(grep -cE "$2" "$scratch/out")" -eq "$1" ]
}

urls() {	# urls COUNT PORT
	local i
	for i in $(seq "$1"); do
		echo "http://127.0.0.1:$2/$i"
	done
}

all_come() {
	# shellcheck disable=SC2046 # words on purpose
	fetch 0 "$@" $(urls 20 "$server_port") && lines 20 '^200 [1-9][0-9]* bytes'
}

some_come() {
	local since=$SECONDS
	# shellcheck disable=SC2046 # words on purpose
	fetch 1 -t 1000 $(urls 10 "$server_port") $(urls 9 "$mute") \
	    "http://127.0.0.1:$nobody/" &&
	    lines 10 '^200 [1-9][0-9]* bytes' &&
	    lines 9 "^late 0 bytes http://127.0.0.1:$mute/[1-9]$" &&
	    lines 1 '^failed \(Connection refused\) 0 bytes' &&
	    [ $((SECONDS - since)) -lt 15 ]
}

# The silent ones have all places: those behind them are not begun.
few_at_once() {
	# shellcheck disable=SC2046 # words on purpose
	fetch 1 -t 300 -n 2 $(urls 3 "$server_port") $(urls 2 "$mute") \
	    $(urls 4 "$server_port") &&
	    lines 3 '^200' && lines 6 '^late 0 bytes'
}

needs nc.openbsd
fresh_port
server_port=$port
fresh_port
mute=$port
fresh_port
nobody=$port
claim "a server starts" starts codec "$B/bin/codec" -r 1 \
    -l "127.0.0.1:$server_port"
# One connection is served, and the others wait in its backlog: all in silence.
begins mute nc.openbsd -l -k 127.0.0.1 "$mute"
claim "one that never answers starts" until_it 200 listens "$mute"
kill -STOP "$pid"
claim "twenty come at once" all_come
claim "and one after the other" all_come -n 1
claim "at the deadline there is what has come until then" some_come
claim "no more are begun than may be under way" few_at_once
claim "what is no URL is refused" fetch 64 ftp://127.0.0.1/
claim "and so is nothing at all" fetch 64
[ $failed -eq 0 ]
