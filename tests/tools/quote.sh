#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# quote.sh - the example of a client answers by asking its server, also when
# that is stopped, killed and started again under load.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
shown=("$scratch/front")

# quotes NAME ADDRESS...: $B/bin/quote at these addresses.
quotes() {
	local name=$1 addresses=() address
	shift
	for address in "$@"; do
		addresses+=(-l "$address")
	done
	starts "$name" env "QUOTE_SERVER=localhost:$server" "$B/bin/quote" \
	    -r 1 "${addresses[@]}"
}

# halt PID: stop all of its threads, which takes effect late.
halt() {
	kill -STOP "$1" && until_it 600 all_stopped "$1"
}

all_stopped() {
	awk '{ sub(/.*\) /, ""); running += !/^T/ } END { exit running > 0 }' \
	    "/proc/$1"/task/*/stat
}

starts_front() {
	quotes front "unix:$scratch/front.sock" && front=$pid
}

starts_backend() {
	quotes backend "unix:$scratch/back.sock" "127.0.0.1:$server" &&
	    backend=$pid
}

# ask NAME: the answer.
ask() {
	echo "$1" | timeout 20 nc.openbsd -N -U "$scratch/front.sock"
}

is_told() {	# is_told NAME ANSWER
	local said
	said=$(ask "$1")
	echo "$said"
	[ "$said" = "$2" ]
}

all_are_told() {	# the prices of many at once
	local i pids=()
	for i in $(seq 40); do
		ask "name$i" >"$scratch/answer$i" &
		pids+=($!)
	done
	wait "${pids[@]}"
	for i in $(seq 40); do
		[ "$(cat "$scratch/answer$i")" = \
		    "name$i $((i > 9 ? 6 : 5)).09" ] || return 1
	done
}

recovers() {	# soon, on a slow machine
	until_it 400 is_told torc "torc 4.09"
}

drains() {
	ends "$front" && [ "$(wc -l <"$scratch/front")" -eq 1 ]
}

needs nc.openbsd
fresh_port
server=$port
claim "it starts without its server" starts_front
claim "it says so when there is no server" \
    is_told torc "torc is not known now"
claim "the server starts" starts_backend
claim "it finds the server by its name" recovers
claim "forty who ask at once get their own answers" all_are_told
halt "$backend"
claim "a server that does not answer is not waited for" \
    is_told torc "torc is not known now"
kill -CONT "$backend"
claim "the late answer is nobody else's" recovers
claim "and all is well" all_are_told
claim "the server is killed" dies "$backend"
claim "it goes on without it" is_told torc "torc is not known now"
claim "the server is started again" starts_backend
claim "it finds the server again" recovers
claim "idle connections do not hold up its drain" drains
[ $failed -eq 0 ]
