#!/usr/bin/env bash
# valgrind.sh - memcheck finds nothing wrong in the echo server: no invalid or
# uninitialised access, no memory lost.
#
# Builds into build-valgrind/, where torc tells valgrind about its stacks. The
# load generator is that of $B (build); without it, nc makes the connections.
#
# valgrind lets one thread run at a time, and one that waits for the ring does
# not let go: the thread that waits for SIGTERM would never run. So there is
# somebody who connects and talks until the server has ended.
set -u
cd "$(dirname "$0")/.." || exit 1
B=${B:-build}
V=build-valgrind
server=$V/bin/echo
failed=0
pid=
talker=
scratch=$(mktemp -d) || exit 1

# Whether a child of ours still runs.
runs() {
	kill -0 "$1" 2>/dev/null
}

finish() {
	[ -z "$talker" ] || kill -9 "$talker" 2>/dev/null
	[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null
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
		sed 's/^/    /' "$scratch/said" | head -n 20
		failed=$((failed + 1))
	fi
}

is_free() {
	! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

starts() {
	local tries=300
	valgrind --error-exitcode=99 --leak-check=full \
	    --errors-for-leak-kinds=definite --fair-sched=yes \
	    --log-file="$scratch/valgrind" "$server" -r 1 \
	    -l "127.0.0.1:$port" >"$scratch/server" 2>&1 </dev/null &
	pid=$!
	while ! grep -q ready "$scratch/server"; do
		tries=$((tries - 1))
		if ! runs "$pid" || [ $tries -eq 0 ]; then
			break
		fi
		sleep 0.05
	done
	cat "$scratch/server"
	grep -q ready "$scratch/server"
}

# load SIZE CONNECTIONS MESSAGES: every one comes back, or there is an error.
load() {
	timeout -k 2 20 "$B/bench/load" -p "$port" -m echo -s "$1" -c "$2" \
	    -P 1 -n "$3"
}

# by_hand COUNT FILE: the file comes back so many times, by a new connection
# each, four at a time.
by_hand() {
	# The shell of xargs expands these.
	# shellcheck disable=SC2016
	seq "$1" | timeout -k 2 20 xargs -P 4 -I '{}' sh -c '
		timeout 10 nc -N 127.0.0.1 "$1" <"$2" | cmp - "$2"' \
		sh "$port" "$2"
}

# Talks until the server is gone, each time on a new connection.
talk() {
	local answer
	trap '' PIPE
	while runs "$1"; do
		if { exec 3<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null; then
			for _ in 1 2 3 4 5 6 7 8 9 10; do
				echo word >&3 || break
				read -r -t 1 answer <&3 || break
				[ "$answer" = word ] || break
				sleep 0.01
			done 2>/dev/null
			exec 3>&-
		else
			sleep 0.05
		fi
	done
}

ends() {
	local tries=1200
	talk "$pid" &
	talker=$!
	sleep 0.2
	kill -TERM "$pid"
	while runs "$pid" && [ $tries -gt 0 ]; do
		tries=$((tries - 1))
		sleep 0.05
	done
	if runs "$pid"; then
		echo "it still runs after 60 s"
		kill -9 "$pid"
	fi
	wait "$pid" 2>/dev/null
	status=$?
	pid=
	wait "$talker" 2>/dev/null
	talker=
	echo "status $status (99: there are errors)"
	[ $status -eq 0 ] || [ $status -eq 99 ]
}

# The last line of the report counts them; it is there when memcheck was.
clean() {
	sed 's/^==[0-9]*== //' "$scratch/valgrind"
	[ "$status" -eq 0 ] &&
	    grep -q 'ERROR SUMMARY: 0 errors' "$scratch/valgrind"
}

nothing_lost() {
	sed 's/^==[0-9]*== //' "$scratch/valgrind"
	grep -qE 'definitely lost: 0 bytes|no leaks are possible' \
	    "$scratch/valgrind"
}

claim "echo builds for valgrind" \
    make -s B=$V CFLAGS="-O1 -g -DTORC_VALGRIND" $V/bin/echo
# Not the one of an earlier build.
[ $failed -eq 0 ] || exit 1
for tool in valgrind nc; do
	if ! command -v $tool >/dev/null; then
		echo "SKIP: $tool is not installed"
		exit 0
	fi
done
port=$((20000 + $$ % 10000))
while ! is_free $port; do
	port=$((port + 1))
done
claim "it starts under memcheck" starts
if [ -z "$pid" ] || ! runs "$pid"; then
	exit 1
fi
head -c 102400 /dev/urandom >"$scratch/large"
head -c 100 /dev/urandom >"$scratch/small"
if [ -x "$B/bench/load" ]; then
	claim "200 connections, 64 bytes a message" load 64 200 5000
	claim "32 connections, 64 bytes a message" load 64 32 5000
	claim "4 connections, 100 KB a message" load 102400 4 40
else
	claim "200 connections of 100 bytes" by_hand 200 "$scratch/small"
fi
claim "8 connections of 100 KB that end with a FIN" by_hand 8 "$scratch/large"
claim "SIGTERM ends it, with nobody killed" ends
claim "no invalid access, nothing uninitialised" clean
claim "no memory is lost" nothing_lost
[ $failed -eq 0 ]
