# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# common.sh - what the scripts of the benchmark share, for bash: ports, and
# starting and stopping servers. They source it at the top of the repository.
# Nothing is ended that they did not start.

OUT=${OUT:-build/bench}
SERVER_CPU=${SERVER_CPU:-0}
LOAD_CPU=${LOAD_CPU:-1}

fail() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# Sockets listening on a port, of any address and process.
listeners() {
	cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
	    awk -v port="$(printf '%04X' "$1")" '
		$4 == "0A" { n = split($2, at, ":"); found += at[n] == port }
		END { print found + 0 }'
}

# Sets port to one that was not used before. A server that was killed may hold
# its port for some milliseconds, so no port is used twice.
port=$((20000 + RANDOM % 5000))
pick_port() {
	while :; do
		port=$((port + 1))
		[ "$(listeners "$port")" -ne 0 ] || break
	done
}

# Where programs of the benchmark take their port, and torc's take theirs.
# Sets command from a program, the port and further arguments; an argument
# PORT stands for the port.
compose_command() {
	local program=$1 at=$2 placed=0 argument
	shift 2
	command=("$program")
	for argument in "$@"; do
		[[ $argument != *PORT* ]] || placed=1
		command+=("${argument//PORT/$at}")
	done
	[ "$placed" -eq 0 ] || return 0
	case ${program##*/} in
	limit|peer_*) command+=("$at") ;;
	*) command+=(-r 1 -l "127.0.0.1:$at") ;;
	esac
}

# start_process LOG COMMAND...: starts it pinned to the server's CPU; sets pid.
started=()
start_process() {
	local log=$1
	shift
	taskset -c "$SERVER_CPU" "$@" >"$log" 2>&1 </dev/null &
	pid=$!
	started+=("$pid")
}

# wait_listening PID PORT SECONDS: fails when the process ends or is too slow.
wait_listening() {
	local tries=$(($3 * 50))
	while [ "$(listeners "$2")" -eq 0 ]; do
		kill -0 "$1" 2>/dev/null || return 1
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 0.02
	done
}

# Ends a process that start_process started. Its exit status; 137 if it had to
# be killed after three seconds.
stop_process() {
	local tries=150
	kill "$1" 2>/dev/null
	while kill -0 "$1" 2>/dev/null && [ "$tries" -gt 0 ]; do
		tries=$((tries - 1))
		sleep 0.02
	done
	kill -9 "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

stop_all() {
	local one
	for one in "${started[@]}"; do
		kill "$one" 2>/dev/null
	done
	for one in "${started[@]}"; do
		stop_process "$one"
	done
	started=()
}

# forget_process PID: it was stopped and its number may be somebody else's.
forget_process() {
	local one kept=()
	for one in "${started[@]}"; do
		[ "$one" = "$1" ] || kept+=("$one")
	done
	started=("${kept[@]}")
}

# pids_of PID: it and its children, with commas between.
pids_of() {
	local children
	children=$(cat "/proc/$1/task/$1/children" 2>/dev/null)
	echo "$1 $children" | awk '{ gsub(/ +/, ","); sub(/,$/, ""); print }'
}

BENCH_CFLAGS="-std=c11 -O2 -D_GNU_SOURCE -iquote . -Wall -Wextra -Wshadow \
-Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla"

# build NAME [LIBRARY]: compiles tools/bench/NAME.c when it is out of date.
build() {
	local target=$OUT/$1 source=tools/bench/$1.c newer
	newer=$(find "$source" tools/bench/*.h sys/*.h -newer "$target" \
	    2>/dev/null | head -n 1)
	if [ -x "$target" ] && [ -z "$newer" ]; then
		return 0
	fi
	mkdir -p "$OUT" || return 1
	# Words on purpose: flags.
	# shellcheck disable=SC2086
	${CC:-cc} $BENCH_CFLAGS -o "$target" "$source" ${2:+-l$2}
}
