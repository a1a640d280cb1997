#!/usr/bin/env bash
# fetch.sh - the example that fetches many URLs at once: all of them, and what
# it knows when the time is up and some have not answered.
#
# The program is that of $B (build). Only processes that were started here are
# ended, by their pids.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
unset http_proxy HTTP_PROXY all_proxy ALL_PROXY
failed=0
server=
silent=
scratch=$(mktemp -d) || exit 1

finish() {
	for child in $server $silent; do
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
		sed 's/^/    /' "$scratch/said" "$scratch/out" | tail -n 40
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

is_there() {	# is_there PORT: within 10 s
	local tries=200
	until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.05
	done
}

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

if ! command -v nc.openbsd >/dev/null; then
	echo "FAILED nc.openbsd is installed"
	exit 1
fi
fresh_port
server_port=$port
fresh_port
mute=$port
fresh_port
nobody=$port
"$B/bin/codec" -r 1 -l "127.0.0.1:$server_port" >/dev/null 2>&1 </dev/null &
server=$!
# One connection is served, and the others wait in its backlog: all in silence.
nc.openbsd -l -k 127.0.0.1 "$mute" >/dev/null </dev/null &
silent=$!
claim "a server starts" is_there "$server_port"
claim "one that never answers starts" is_there "$mute"
kill -STOP $silent
claim "twenty come at once" all_come
claim "and one after the other" all_come -n 1
claim "at the deadline there is what has come until then" some_come
claim "no more are begun than may be under way" few_at_once
claim "what is no URL is refused" fetch 64 ftp://127.0.0.1/
claim "and so is nothing at all" fetch 64
[ $failed -eq 0 ]
