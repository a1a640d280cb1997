#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# redis.sh - the CPU time of a client for a GET of 100 bytes: torc with 64
# fibers on one connection and on 64, and with 1024 fibers on one and on 64,
# hiredis one at a time and pipelined by 16, in turns, against one Redis.
#
# By environment: REPS (5), COUNT (100000) GETs each, SERVER_CPU (1) for
# Redis, CLIENT_CPU (0), BIN (build/bench).
set -u
cd "$(dirname "$0")/../../.." || exit 1
BIN=${BIN:-build/bench}
REPS=${REPS:-5}
COUNT=${COUNT:-100000}
CLIENT_CPU=${CLIENT_CPU:-0}
SERVER_CPU=${SERVER_CPU:-1}
scratch=$(mktemp -d) || exit 1
redis=

finish() {
	[ -z "$redis" ] || kill -9 "$redis" 2>/dev/null
	wait 2>/dev/null
	rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

port=$((20000 + RANDOM % 10000))
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
	port=$((port + 1))
done
address=127.0.0.1:$port
taskset -c "$SERVER_CPU" redis-server --port "$port" --bind 127.0.0.1 \
    --save "" --dir "$scratch" >"$scratch/log" 2>&1 &
redis=$!
disown
tries=100
until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
	tries=$((tries - 1))
	kill -0 "$redis" 2>/dev/null && [ $tries -gt 0 ] || {
		echo "redis.sh: redis-server does not start" >&2
		exit 1
	}
	sleep 0.1
done

run() {	# run NAME COMMAND...
	local name=$1
	shift
	taskset -c "$CLIENT_CPU" timeout 120 "$@" >>"$scratch/$name" || {
		echo "redis.sh: $name failed" >&2
		exit 1
	}
}

for _ in $(seq "$REPS"); do
	run hiredis-1 "$BIN/redis_hiredis" "$port" 1 $((COUNT / 4))
	run torc-64-lines "$BIN/redis_torc" "$address" 64 64 "$COUNT"
	run hiredis-16 "$BIN/redis_hiredis" "$port" 16 "$COUNT"
	run torc-1-line "$BIN/redis_torc" "$address" 1 64 "$COUNT"
	run torc-64x16 "$BIN/redis_torc" "$address" 64 1024 "$COUNT"
	run torc-1x1024 "$BIN/redis_torc" "$address" 1 1024 "$COUNT"
done

median() {	# median FILE COLUMN
	awk -v column="$2" '{ print $column }' "$1" | sort -n |
	    awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

one=$(median "$scratch/hiredis-1" 1)
sixteen=$(median "$scratch/hiredis-16" 1)
printf '%-16s %10s %10s %12s %12s\n' client "us CPU" "us" "of hiredis 1" \
    "of hiredis 16"
for name in hiredis-1 hiredis-16 torc-64-lines torc-1-line \
    torc-64x16 torc-1x1024; do
	cpu=$(median "$scratch/$name" 1)
	awk -v name=$name -v cpu="$cpu" -v us="$(median "$scratch/$name" 2)" \
	    -v one="$one" -v sixteen="$sixteen" 'BEGIN {
		printf "%-16s %10.2f %10.2f %12.2f %12.2f\n", name, cpu, us,
		    cpu / one, cpu / sixteen }'
done
