#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# count_instructions.sh - user instructions of a server per request, by
# callgrind.
#
#	count_instructions.sh PROGRAM [ARGUMENT...]
#
# The arguments are as in count_syscalls.sh. For each number of pipelined
# requests a server is started under callgrind and warmed up; then two runs
# with different exact numbers of requests are counted, and the difference is
# divided by the difference of the numbers. The server need not end for that:
# callgrind is told to dump its counts while it waits (that takes the right to
# ptrace it).
#
# The server and the generator share a CPU, so that they take turns: the
# generator sends on all connections, then the server answers all. Without
# that the number of requests in a turn, and so the share of a request in the
# cost of the turn, would be left to chance.
#
# Prints one line of key=value for each number of pipelined requests.
#
# By environment: CONNECTIONS (64), PIPELINES ("1 16"), MODE (http, echo), SIZE
# of a message, REQUESTS of the first run; the second makes twice as many.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tools/bench/common.sh
. tools/bench/common.sh

[ $# -ge 1 ] || fail "usage: PROGRAM [ARGUMENT...]"
program=$1
shift
[ -x "$program" ] || fail "$program: not built"
command -v valgrind >/dev/null || fail "valgrind is not installed"
build load || fail "the load generator does not compile"
connections=${CONNECTIONS:-64}
scratch=$(mktemp -d) || exit 1
trap 'stop_all; rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

generate() {
	taskset -c "$SERVER_CPU" "$OUT/load" -p "$port" \
	    -m "${MODE:-http}" -s "${SIZE:-64}" -c "$connections" \
	    -P "$pipeline" -n "$1" >"$scratch/load.out" ||
	    fail "the generator reports errors"
}

control() {
	timeout 20 callgrind_control --vgdb-prefix="$scratch/vgdb" "$1" \
	    "$pid" >/dev/null 2>&1 ||
	    fail "callgrind_control $1 does not reach the server"
}

# Sets instructions to those of a run of so many requests.
count_run() {
	local file
	control --zero
	generate "$1"
	rm -f "$scratch"/callgrind.out.*
	control --dump
	instructions=0
	for file in "$scratch"/callgrind.out.*; do
		instructions=$((instructions + $(awk '
		    /^summary:/ { n += $2 } END { printf "%.0f", n }' "$file")))
	done
	[ "$instructions" -gt 0 ] || fail "callgrind has counted nothing"
}

for pipeline in ${PIPELINES:-1 16}; do
	requests=${REQUESTS:-$((30000 * (pipeline > 4 ? 4 : 1)))}
	# A multiple of what is under way at once: whole turns only.
	step=$((connections * pipeline))
	requests=$(((requests + step - 1) / step * step))
	pick_port
	# port and pid are set by the functions of common.sh.
	# shellcheck disable=SC2154
	compose_command "$program" "$port" "$@"
	# It sleeps as it does without valgrind.
	export TORC_VALGRIND_ENTER=1
	start_process "$scratch/server.log" valgrind --tool=callgrind \
	    --vgdb-prefix="$scratch/vgdb" \
	    --callgrind-out-file="$scratch/callgrind.out" "${command[@]}"
	wait_listening "$pid" "$port" 30 ||
	    fail "$program does not start: $(tail -n 3 "$scratch/server.log")"
	generate $((step * 4))
	count_run $requests
	first=$instructions
	count_run $((2 * requests))
	awk -v first="$first" -v second="$instructions" \
	    -v requests="$requests" -v c="$connections" -v p="$pipeline" \
	    'BEGIN {
		printf "instructions_per_request=%.1f connections=%d " \
		    "pipeline=%d requests=%d\n",
		    (second - first) / requests, c, p, requests
	}'
	# Under valgrind a signal waits while the ring is waited for.
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
	forget_process "$pid"
done
