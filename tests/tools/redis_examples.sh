#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# redis_examples.sh - the cache and the chat do what they say with a real
# Redis, and go on without it.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh

for tool in redis-server redis-cli curl nc.openbsd; do
	has $tool && continue
	echo "SKIP: $tool is not installed"
	echo "ok nothing to show without it"
	exit 0
done

answers() {
	[ "$(redis-cli -s "$scratch/redis.sock" PING 2>&1)" = PONG ]
}

starts_redis() {
	begins redis redis-server --port 0 --unixsocket "$scratch/redis.sock" \
	    --save "" --dir "$scratch"
	redis=$pid
	until_it 600 answers
}

example() {	# example NAME: on a local socket
	starts "$1" env "REDIS=unix:$scratch/redis.sock" "$B/bin/$1" -r 1 \
	    -l "unix:$scratch/$1.sock"
}

gets() {	# gets TARGET TEXT: in the answer with its head
	curl -sS -i -m 20 --unix-socket "$scratch/cache.sock" "http://x$1" \
	    >"$scratch/answer" && cat "$scratch/answer" &&
	    grep -q "$2" "$scratch/answer"
}

starts_users() {	# two of them, who say what is written to fds 8 and 9
	mkfifo "$scratch/in1" "$scratch/in2"
	for user in 1 2; do
		nc.openbsd -U "$scratch/chat.sock" <"$scratch/in$user" \
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
	until_it 600 said "$@"
}

from_first() { echo "hello" >&8; }
from_second() { echo "good day" >&9; }
long=$(printf 'ü%.0s' {1..300})
cut=$(printf 'ü%.0s' {1..255})
from_first_long() { echo "$long" >&8; }
starts_nothing_at() {	# starts_nothing_at ADDRESS TEXT STATUS
	REDIS=$1 timeout 20 "$B/bin/cache" -r 1 -l "unix:$scratch/none" \
	    >"$scratch/none.log" 2>&1 </dev/null
	[ $? -eq "$3" ] && grep "$2" "$scratch/none.log"
}
from_redis() { redis-cli -s "$scratch/redis.sock" PUBLISH chat "news"; }

claim "Redis starts" starts_redis
claim "an address that is none is refused in words" \
    starts_nothing_at redis://somewhere/x "cache: REDIS: .*database" 1
claim "the cache starts" example cache
cache=$pid
claim "what is asked for the first time is made" gets /a "X-Cache: miss"
claim "and then comes from the cache" gets /a "X-Cache: hit"
claim "as it was made" gets /a "made as number 1"
claim "something else is made" gets /b "made as number 2"
claim "the chat starts" example chat
chat=$pid
[ $failed -eq 0 ] || exit 1
claim "two users come" starts_users
claim "what one says, both hear" both_hear hello from_first
claim "what the other says, too" both_hear "good day" from_second
claim "a line that is too long is cut between characters" \
    both_hear "$cut" from_first_long
claim "and what others of Redis say" both_hear news from_redis
dies "$redis"
claim "without Redis the cache goes on" gets /a "X-Cache: none"
rm -f "$scratch/redis.sock"
claim "Redis comes back" starts_redis
claim "and with it the cache" until_it 600 gets /a "X-Cache: miss\|X-Cache: hit"
claim "the users are told" until_it 600 hears 1 "[*] some lines were lost"
claim "and hear again" both_hear "back" \
    redis-cli -s "$scratch/redis.sock" PUBLISH chat back
claim "the cache drains" ends "$cache"
claim "the chat drains" ends "$chat"
exec 8>&- 9>&-
[ $failed -eq 0 ]
