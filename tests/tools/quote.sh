#!/usr/bin/env bash
# quote.sh - the example of a client answers by asking its server, also when
# that is stopped, killed and started again under load.
#
# The program is that of $B (build). Only processes that were started here are
# ended, by their pids.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
failed=0
front=
backend=
scratch=$(mktemp -d) || exit 1

finish() {
	for child in $front $backend; do
		kill -9 "$child" 2>/dev/null
	done
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
		sed 's/^/    /' "$scratch/said" "$scratch/front" | tail -n 20
		failed=$((failed + 1))
	fi
}

# Sets port to one that nobody listens on.
port=$((20000 + RANDOM % 10000))
fresh_port() {
	port=$((port + 1))
	while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
		port=$((port + 1))
	done
}

# starts NAME ADDRESSES...: until it says that it is ready. Sets pid.
starts() {
	local name=$1 tries=200 addresses=() address
	shift
	for address in "$@"; do
		addresses+=(-l "$address")
	done
	QUOTE_SERVER=localhost:$server "$B/bin/quote" -r 1 "${addresses[@]}" \
	    >"$scratch/$name" 2>&1 </dev/null &
	pid=$!
	while ! grep -q ready "$scratch/$name"; do
		tries=$((tries - 1))
		kill -0 "$pid" && [ $tries -gt 0 ] || return 1
		sleep 0.05
	done
}

# halt PID: stop all of its threads, which takes effect late.
halt() {
	local tries=600
	kill -STOP "$1"
	while awk '{ sub(/.*\) /, ""); running += !/^T/ } END { exit !running }' \
	    "/proc/$1"/task/*/stat && [ $tries -gt 0 ]; do
		tries=$((tries - 1))
		sleep 0.05
	done
}

starts_front() {
	starts front "unix:$scratch/front.sock" && front=$pid
}

starts_backend() {
	starts backend "unix:$scratch/back.sock" "127.0.0.1:$server" &&
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

recovers() {	# within 20 s, on a slow machine
	local tries=200
	until is_told torc "torc 4.09"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.1
	done
}

dies() {
	kill -9 "$backend" && wait "$backend"
	backend=
	true
}

drains() {
	local status=0
	kill -TERM "$front"
	wait "$front" || status=$?
	front=
	[ $status -eq 0 ] && [ "$(wc -l <"$scratch/front")" -eq 1 ]
}

if ! command -v nc.openbsd >/dev/null; then
	echo "FAILED nc.openbsd is installed"
	exit 1
fi
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
claim "the server is killed" dies
claim "it goes on without it" is_told torc "torc is not known now"
claim "the server is started again" starts_backend
claim "it finds the server again" recovers
claim "idle connections do not hold up its drain" drains
[ $failed -eq 0 ]
