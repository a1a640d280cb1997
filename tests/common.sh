# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# common.sh - what scripts of claims share, for bash; they source it at the top
# of the repository. The programs are those of $B (build). What a script starts
# ends with it, by its pid, and so does $scratch, where it writes.

B=${B:-build}
export PATH=$PATH:/usr/sbin:/sbin
# Nothing between a client and its server.
unset http_proxy HTTP_PROXY all_proxy ALL_PROXY
failed=0
children=()			# what was started, and has not ended
shown=()			# files that say more when a claim fails
scratch=$(mktemp -d) || exit 1

finish() {
	kill_all "${children[@]}"
	rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# Whom a script writes to may have gone; what it starts is told as ever.
trap : PIPE

# claim TEXT COMMAND...: the command proves the text.
claim() {
	local text=$1
	shift
	if "$@" >"$scratch/said" 2>&1; then
		echo "ok $text"
	else
		echo "FAILED $text"
		cat "$scratch/said" "${shown[@]}" 2>/dev/null | tail -n 30 |
		    awk '{ print "    " substr($0, 1, 200) }'
		failed=$((failed + 1))
	fi
}

has() {	# has TOOL: it is installed
	command -v "$1" >/dev/null
}

# with TOOL TEXT COMMAND...: a claim that takes the tool.
with() {
	local tool=$1
	shift
	if has "$tool"; then
		claim "$@"
	else
		echo "SKIP: $1: $tool is not installed"
	fi
}

# needs TOOL...: without them there is nothing to show.
needs() {
	local tool
	for tool in "$@"; do
		has "$tool" && continue
		echo "FAILED $tool is installed"
		exit 1
	done
}

# until_it TRIES COMMAND...: it succeeds in one of the tries, 50 ms apart.
until_it() {
	local tries=$1
	shift
	while ! "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.05
	done
}

listens() {	# listens PORT: somebody does
	(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Sets port to one that nobody listens on, and that was not given before.
port=$((20000 + RANDOM % 10000))
fresh_port() {
	port=$((port + 1))
	while listens $port; do
		port=$((port + 1))
	done
}

# begins NAME COMMAND...: in the background; $scratch/NAME has what it says.
# Sets pid.
begins() {
	local name=$1
	shift
	# What one of this name has said before is not for starts() to read.
	: >"$scratch/$name"
	"$@" >"$scratch/$name" 2>&1 </dev/null &
	pid=$!
	children+=("$pid")
}

# starts NAME COMMAND...: the same, until it says that it is ready.
starts() {
	begins "$@"
	until_it 300 ready_or_gone "$1" && grep -q ready "$scratch/$1" || {
		cat "$scratch/$1"
		return 1
	}
}

ready_or_gone() {
	grep -q ready "$scratch/$1" || gone "$pid"
}

gone() {	# gone PID: a child of ours runs no more
	! kill -0 "$1" 2>/dev/null
}

forget() {	# forget PID: its number may be somebody else's
	local child kept=()
	for child in "${children[@]}"; do
		[ "$child" = "$1" ] || kept+=("$child")
	done
	children=("${kept[@]}")
}

# await PID [TRIES]: it ends by itself in that time (15 s); its status.
await() {
	local status=0
	until_it "${2:-300}" gone "$1" || {
		echo "$1 still runs"
		kill -9 "$1"
	}
	wait "$1" 2>/dev/null || status=$?
	forget "$1"
	echo "status $status"
	return $status
}

ends() {	# ends PID: SIGTERM does it, with status 0
	kill -TERM "$1" && await "$1"
}

dies() {	# dies PID: SIGKILL does it
	kill -9 "$1" && { wait "$1" 2>/dev/null; forget "$1"; }
}

# kill_all PID...: as they like it, for two seconds; then at once.
kill_all() {
	local child
	[ $# -gt 0 ] || return 0
	kill -TERM "$@" 2>/dev/null
	kill -CONT "$@" 2>/dev/null
	until_it 40 all_gone "$@"
	for child in "$@"; do
		kill -9 "$child" 2>/dev/null
	done
	wait "$@" 2>/dev/null
}

all_gone() {
	local child
	for child in "$@"; do
		gone "$child" || return 1
	done
}
