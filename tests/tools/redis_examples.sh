#!/usr/bin/env bash
# redis_examples.sh - the cache and the chat do what they say with a real
# Redis, and go on without it.
#
# The programs are those of $B (build). Only processes that were started here
# are ended, by their pids.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
failed=0
children=()
scratch=$(mktemp -d) || exit 1
unset http_proxy HTTP_PROXY all_proxy ALL_PROXY

finish() {
	local child
	for child in "${children[@]}"; do
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
		sed 's/^/    /' "$scratch/said" | tail -n 20
		failed=$((failed + 1))
	fi
}

# until_true COMMAND...: within 30 s, on a slow machine.
until_true() {
	local tries=300
	until "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.1
	done
}

for tool in redis-server redis-cli curl nc.openbsd; do
	command -v $tool >/dev/null && continue
	echo "SKIP: $tool is not installed"
	echo "ok nothing to show without it"
	exit 0
done

answers() {
	[ "$(redis-cli -s "$scratch/redis" PING 2>&1)" = PONG ]
}

starts_redis() {
	redis-server --port 0 --unixsocket "$scratch/redis" --save "" \
	    --dir "$scratch" >"$scratch/redis.log" 2>&1 &
	redis=$!
	disown
	children+=("$redis")
	until_true answers
}

# starts NAME: on a local socket. Sets pid.
starts() {
	REDIS=unix:$scratch/redis "$B/bin/$1" -r 1 -l "unix:$scratch/$1" \
	    >"$scratch/$1.log" 2>&1 </dev/null &
	pid=$!
	children+=("$pid")
	until_true grep -q ready "$scratch/$1.log"
}

gets() {	# gets TARGET TEXT: in the answer with its head
	curl -sS -i -m 20 --unix-socket "$scratch/cache" "http://x$1" \
	    >"$scratch/answer" && cat "$scratch/answer" &&
	    grep -q "$2" "$scratch/answer"
}

drains() {	# drains PID
	local status=0
	kill -TERM "$1"
	wait "$1" || status=$?
	[ $status -eq 0 ]
}

starts_users() {	# two of them, who say what is written to fds 8 and 9
	mkfifo "$scratch/in1" "$scratch/in2"
	for user in 1 2; do
		nc.openbsd -U "$scratch/chat" <"$scratch/in$user" \
		    >"$scratch/heard$user" 2>/dev/null &
		children+=($!)
	done
	exec 8>"$scratch/in1" 9>"$scratch/in2"
}

hears() {	# hears USER TEXT
	grep -qx "$2" "$scratch/heard$1"
}

both_hear() {	# both_hear TEXT SAY...: said again until they do
	local text=$1
	shift
	said() {
		"$@"
		sleep 0.1
		hears 1 "$text" && hears 2 "$text"
	}
	until_true said "$@"
}

from_first() { echo "hello" >&8; }
from_second() { echo "good day" >&9; }
long=$(printf 'ü%.0s' {1..300})
cut=$(printf 'ü%.0s' {1..255})
from_first_long() { echo "$long" >&8; }
starts_nothing_at() {	# starts_nothing_at ADDRESS TEXT: in what it says
	REDIS=$1 timeout 20 "$B/bin/cache" -r 1 -l "unix:$scratch/none" \
	    >"$scratch/none.log" 2>&1 </dev/null
	[ $? -eq 1 ] && grep "$2" "$scratch/none.log"
}
from_redis() { redis-cli -s "$scratch/redis" PUBLISH chat "news"; }

claim "Redis starts" starts_redis
claim "an address that is none is refused in words" \
    starts_nothing_at rediss://somewhere "cache: REDIS: .*no TLS"
claim "the cache starts" starts cache
cache=$pid
claim "what is asked for the first time is made" gets /a "X-Cache: miss"
claim "and then comes from the cache" gets /a "X-Cache: hit"
claim "as it was made" gets /a "made as number 1"
claim "something else is made" gets /b "made as number 2"
claim "the chat starts" starts chat
chat=$pid
claim "two users come" starts_users
claim "what one says, both hear" both_hear hello from_first
claim "what the other says, too" both_hear "good day" from_second
claim "a line that is too long is cut between characters" \
    both_hear "$cut" from_first_long
claim "and what others of Redis say" both_hear news from_redis
kill -9 "$redis"
claim "without Redis the cache goes on" gets /a "X-Cache: none"
rm -f "$scratch/redis"
claim "Redis comes back" starts_redis
claim "and with it the cache" until_true gets /a "X-Cache: miss\|X-Cache: hit"
claim "the users are told" until_true hears 1 "[*] some lines were lost"
claim "and hear again" both_hear "back" \
    redis-cli -s "$scratch/redis" PUBLISH chat back
claim "the cache drains" drains "$cache"
claim "the chat drains" drains "$chat"
exec 8>&- 9>&-
[ $failed -eq 0 ]
