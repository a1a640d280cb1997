#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# version.sh - each program that has options says its name and the version of
# torc, on one line of standard output, and ends well, whatever io_uring allows
# here.
#
# Programs are those of $B (build); CXX compiles the example in C++.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
CXX=${CXX:-c++}
number=$(sed -n 's/^VERSION := //p' Makefile)

# says PROGRAM: as its first line, and nothing on standard error.
says() {
	"$1" --version >"$scratch/out" 2>"$scratch/err" || return
	cat "$scratch/out" "$scratch/err"
	[ "$(head -n 1 "$scratch/out")" = "${1##*/} (torc) $number" ] &&
	    [ ! -s "$scratch/err" ]
}

one_line() {
	[ "$(wc -l <"$scratch/out")" -eq 1 ]
}

another_word() {
	! "$B/bin/hello" --versions >"$scratch/out" 2>&1 &&
	    grep -q "unknown option '--versions'" "$scratch/out"
}

kernel() {
	sed -n 2p "$scratch/out" | grep -qx "$(uname -s) $(uname -r)"
}

for source in tools/examples/*.c; do
	name=$(basename "$source" .c)
	# Not what several share, nor an example that takes no options.
	grep -q '^main(' "$source" &&
	    grep -qE 'cli_serve|getopt' "$source" || continue
	if [ -x "$B/bin/$name" ]; then
		claim "$name says its version" says "$B/bin/$name"
		claim "and no more" one_line
	else
		echo "SKIP: $name was not built: a library is missing"
	fi
done
claim "ringstat says its version" says "$B/bin/ringstat"
claim "and the kernel's" kernel
builds_talk() {
	"$CXX" -std=c++17 -O1 -I"$B/include" -o "$scratch/talk" \
	    tools/examples/talk.cc "$B/lib/libtorc.a" -pthread
}
claim "the example in C++ builds" builds_talk
claim "it says its version" says "$scratch/talk"
claim "another word is an option that there is not" another_word
[ $failed -eq 0 ]
