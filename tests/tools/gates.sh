#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# gates.sh - what a request costs, in units that do not depend on the speed of
# the machine: system calls and user instructions, counted exactly.
#
# A gate that fails is measured a second time, since another process on the
# shared CPU changes how many requests the server finds at once. Where counting
# is not possible or not permitted, the line is "SKIP: why".
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
export OUT=$B/bench
server=$B/bin/raw

# skip WHAT WHY
skip() {
	echo "SKIP: $1: $2"
}

# at_most LIMIT VALUE
at_most() {
	awk -v limit="$1" -v value="$2" 'BEGIN { exit !(value <= limit) }'
}

# measure KEY COMMAND...: sets value, or leaves it empty when nothing was
# counted; the reason is in $scratch/err then.
measure() {
	local key=$1
	shift
	local status=0
	value=
	timeout -k 5 60 "$@" >"$scratch/out" 2>"$scratch/err" </dev/null &
	children+=($!)
	wait $! || status=$?
	forget $!
	[ $status -eq 0 ] || return 0
	value=$(sed -n "s/.*\\<$key=\\(-\\{0,1\\}[0-9.]*\\).*/\\1/p" \
	    "$scratch/out" | head -n 1)
}

# gate TEXT LIMIT KEY COMMAND...: KEY of what COMMAND prints is at most LIMIT.
gate() {
	local text=$1 limit=$2 first
	shift 2
	measure "$@"
	first=${value:-nothing}
	if [ -n "$value" ] && at_most "$limit" "$value"; then
		echo "ok $text: $value, at most $limit"
		return
	fi
	measure "$@"
	if [ -n "$value" ] && at_most "$limit" "$value"; then
		echo "ok $text: $value, at most $limit" \
		    "(measured again: $first at first)"
		return
	fi
	echo "FAILED $text: $first, then ${value:-nothing}; at most $limit"
	sed 's/^/    /' "$scratch/err"
	failed=$((failed + 1))
}

# Why system calls cannot be counted here; nothing when they can.
no_syscalls() {
	if perf stat -e raw_syscalls:sys_enter true >/dev/null 2>&1; then
		return
	fi
	# strace slows the server down: it finds more requests at once, and
	# the number would say less than the gate does.
	if command -v perf >/dev/null; then
		echo "perf may not count raw_syscalls:sys_enter"
	else
		echo "perf is not installed"
	fi
}

# Why user instructions cannot be counted here; nothing when they can.
no_instructions() {
	if ! command -v valgrind >/dev/null; then
		echo "valgrind is not installed"
	elif ! command -v callgrind_control >/dev/null; then
		echo "callgrind_control is not installed"
	elif ! valgrind -q --tool=callgrind \
	    --callgrind-out-file="$scratch/callgrind" true \
	    >"$scratch/err" 2>&1; then
		echo "valgrind does not run: $(head -n 1 "$scratch/err")"
	elif [ "$(uname -m)" != x86_64 ]; then
		echo "the limits are of x86-64, this is $(uname -m)"
	elif ! dumps; then
		echo "callgrind_control does not reach a process that waits"
	fi
}

# Whether callgrind can be told to dump while the program waits (ptrace).
dumps() {
	local child tries=5 status=1
	valgrind -q --tool=callgrind --vgdb-prefix="$scratch/vgdb" \
	    --callgrind-out-file="$scratch/callgrind" sleep 20 \
	    >/dev/null 2>&1 &
	child=$!
	while [ $status -ne 0 ] && [ $tries -gt 0 ]; do
		sleep 0.3
		tries=$((tries - 1))
		timeout -k 1 3 callgrind_control \
		    --vgdb-prefix="$scratch/vgdb" --zero "$child" \
		    >/dev/null 2>&1 && status=0
	done
	kill -9 "$child" 2>/dev/null
	wait "$child" 2>/dev/null
	return $status
}

if [ ! -x "$server" ]; then
	echo "FAILED $server is built"
	exit 1
fi
echo "ok $server is built"

why=$(no_syscalls)
if [ -z "$why" ]; then
	while read -r connections pipeline limit; do
		gate "system calls per request, connections $connections, \
pipelined $pipeline" "$limit" syscalls_per_request \
		    tools/bench/count_syscalls.sh "$server" \
		    "$connections" "$pipeline"
	done <<-END
		1 1 1.02
		64 1 0.06
		64 16 0.004
	END
else
	skip "system calls per request" "$why"
fi

why=$(no_instructions)
if [ -z "$why" ]; then
	while read -r program pipeline limit; do
		gate "user instructions per request of $program, connections \
64, pipelined $pipeline" "$limit" instructions_per_request \
		    env CONNECTIONS=64 PIPELINES="$pipeline" \
		    tools/bench/count_instructions.sh "$B/bin/$program"
	done <<-END
		raw 1 306
		raw 16 52
		codec 1 1050
		codec 16 760
		hello 1 2700
		hello 16 2400
	END
else
	skip "user instructions per request" "$why"
fi
[ "$failed" -eq 0 ]
