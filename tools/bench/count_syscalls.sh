#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# count_syscalls.sh - system calls of a server per request, exactly.
#
#	count_syscalls.sh PROGRAM CONNECTIONS PIPELINE [ARGUMENT...]
#
# The server is started with the arguments; one that contains PORT gets the
# port there, else the limit program and the peers get it as their last
# argument and torc's programs as -l 127.0.0.1:PORT with -r 1.
#
# The server and the generator share a CPU, so that they take turns: the
# generator sends on all connections, then the server answers all. That makes
# the count the same every time. On CPUs of their own (APART=1) the number of
# requests in a turn depends on which of them is faster at the moment.
#
# Two runs with different exact numbers of requests are counted; what each
# costs that is not a request (connecting, closing) is the same in both, and
# the difference leaves it out. Counts with perf, which does not disturb the
# server, or else with strace, which slows it down and so makes its batches
# larger. Prints one line of key=value.
#
# By environment: APART, MODE (http, echo), SIZE of a message, REQUESTS of the
# first run; the second makes twice as many.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tools/bench/common.sh
. tools/bench/common.sh

[ $# -ge 3 ] || fail "usage: PROGRAM CONNECTIONS PIPELINE [ARGUMENT...]"
program=$1
connections=$2
pipeline=$3
shift 3
[ -x "$program" ] || fail "$program: not built"
build load || fail "the load generator does not compile"
cpu=$SERVER_CPU
[ -z "${APART:-}" ] || cpu=$LOAD_CPU
batches=$((connections > 1 ? 80000 : 10000))
REQUESTS=${REQUESTS:-$((batches * pipeline))}
# A multiple of what is under way at once: whole turns only.
step=$((connections * pipeline))
REQUESTS=$(((REQUESTS + step - 1) / step * step))
scratch=$(mktemp -d) || exit 1
trap 'stop_all; rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs "$@" with the generator's command and its requests after it.
generate() {
	local requests=$1
	shift
	"$@" taskset -c "$cpu" "$OUT/load" -p "$port" \
	    -m "${MODE:-http}" -s "${SIZE:-64}" -c "$connections" \
	    -P "$pipeline" -n "$requests" >"$scratch/load.out" ||
	    fail "the generator reports errors"
}

# Both set calls.
count_with_perf() {
	generate "$1" perf stat -x, -e raw_syscalls:sys_enter -p "$pid" \
	    -o "$scratch/perf.out" --
	calls=$(awk -F, '/raw_syscalls/ { print $1 }' "$scratch/perf.out")
}

count_with_strace() {
	local tracer
	strace -c -U calls,name -f -p "$pid" -o "$scratch/strace.out" \
	    2>/dev/null &
	tracer=$!
	sleep 0.5
	generate "$1"
	kill -INT $tracer
	wait $tracer
	calls=$(awk '$2 == "total" { print $1 }' "$scratch/strace.out")
}

pick_port
# port and pid are set by the functions of common.sh.
# shellcheck disable=SC2154
compose_command "$program" "$port" "$@"
start_process "$scratch/server.log" "${command[@]}"
wait_listening "$pid" "$port" 5 ||
    fail "$program does not start: $(head -c 300 "$scratch/server.log")"

how=perf
if ! perf stat -e raw_syscalls:sys_enter true >/dev/null 2>&1; then
	how=strace
	command -v strace >/dev/null || fail "neither perf nor strace counts"
fi
generate 1000
count_with_$how "$REQUESTS"
first=$calls
count_with_$how $((2 * REQUESTS))
[[ $first$calls =~ ^[0-9]+$ ]] || fail "$how does not count"
awk -v first="$first" -v second="$calls" -v requests="$REQUESTS" \
    -v c="$connections" -v p="$pipeline" -v how="$how" 'BEGIN {
	printf "syscalls_per_request=%.4f connections=%d pipeline=%d " \
	    "requests=%d counted_by=%s\n", (second - first) / requests, c, p,
	    requests, how
}'
