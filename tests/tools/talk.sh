#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# talk.sh - the example in C++, compiled as its users would, and talked to.
#
# CXX compiles.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
CXX=${CXX:-c++}
shown=("$scratch/talk" "$scratch/heard1" "$scratch/heard2")

compiles() {
	"$CXX" -std=c++17 -g -O2 -Wall -Wextra -Wpedantic -Werror \
	    -I"$B/include" -o "$scratch/program" tools/examples/talk.cc \
	    "$B/lib/libtorc.a" -pthread
}

users_come() {	# two of them, who say what is written to fds 8 and 9
	mkfifo "$scratch/in1" "$scratch/in2"
	for user in 1 2; do
		nc.openbsd 127.0.0.1 "$port" <"$scratch/in$user" \
		    >"$scratch/heard$user" 2>/dev/null &
		children+=($!)
	done
	exec 8>"$scratch/in1" 9>"$scratch/in2"
	both_hear '[*] .* comes' && says 8 "/name anna" && both_hear '[*] .* is now anna' &&
	    says 9 "/name bert" && both_hear '[*] .* is now bert'
}

says() {	# says FD LINE
	echo "$2" >&"$1"
}

hears() {	# hears USER PATTERN: a whole line
	until_it 200 grep -qx "$2" "$scratch/heard$1"
}

both_hear() {
	hears 1 "$1" && hears 2 "$1"
}

talks() {
	says 8 "good morning" && both_hear "anna: good morning" &&
	    says 9 "good day" && both_hear "bert: good day"
}

# All at once, in the order of each.
talks_fast() {
	local i
	for i in $(seq 50); do
		says 8 "line $i"
	done
	hears 2 "anna: line 50" &&
	    diff <(grep "^anna: line" "$scratch/heard2") \
	    <(seq -f "anna: line %g" 50)
}

errors_are_told() {
	says 8 "/sing" && hears 1 "[*] no such command" &&
	    says 8 "/name two words" && hears 1 "[*] a name is one word" &&
	    ! grep -q "no such command" "$scratch/heard2" &&
	    says 8 "still here" && hears 2 "anna: still here"
}

is_listed() {
	says 8 /who && hears 1 "[*] here:.* anna.*"
}

# Its connection is reset while it has more to say.
ends_long_line() {
	local status=0
	head -c 5000 /dev/zero | tr '\0' a >"$scratch/long"
	(cat "$scratch/long"; sleep 20) |
	    timeout 10 nc.openbsd 127.0.0.1 "$port" >/dev/null || status=$?
	[ $status -ne 124 ] && hears 2 "[*] 127.0.0.1:[0-9]* comes" && says 9 "as before" &&
	    both_hear "bert: as before"
}

quits() {
	says 8 /quit && hears 2 "[*] anna goes"
}

is_written_down() {
	until_it 100 grep -qx "[*] anna goes" "$scratch/journal" &&
	    grep -qx "anna: good morning" "$scratch/journal" &&
	    [ "$(grep -c "^anna: line" "$scratch/journal")" -eq 50 ]
}

journal_is_refused() {
	local status=0
	timeout 10 "$scratch/program" 127.0.0.1:0 /none/journal || status=$?
	[ $status -eq 1 ]
}

needs "$CXX" nc.openbsd
claim "a chat in C++17 compiles as it is" compiles
fresh_port
claim "it starts" starts talk "$scratch/program" "127.0.0.1:$port" \
    "$scratch/journal"
talk=$pid
claim "two users come, and choose names" users_come
claim "what one says, both hear" talks
claim "in order, however fast it comes" talks_fast
claim "an exception is told to who has caused it" errors_are_told
claim "who is there is listed" is_listed
claim "a line that is too long ends one user, and no other" ends_long_line
claim "who quits is gone" quits
claim "all of it was written down by its thread" is_written_down
claim "what cannot be constructed is said" journal_is_refused
exec 8>&- 9>&-
claim "it drains" ends "$talk"
[ $failed -eq 0 ]
