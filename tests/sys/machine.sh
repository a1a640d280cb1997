#!/bin/sh
# machine.sh - a build for a machine that torc does not know ends at once, with
# one error that says so; a known machine builds.
#
# The machines are imitated by the macros that the compiler predefines. Where
# clang is there, it stands for the compilers of other machines.
set -u
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

claim() {	# claim TEXT COMMAND...: the command proves the text
	text=$1
	shift
	if "$@"; then
		echo "ok $text"
	else
		echo "FAILED $text"
		cut -c 1-200 "$work/out" | head -20 | sed 's/^/    /'
		failed=1
	fi
}

build() {	# build CC GOAL: its status, its words in $work/out
	rm -rf "$work/b"
	MAKEFLAGS='' make -j2 V=1 CC="$1" B="$work/b" "$work/b/$2" \
		>"$work/out" 2>&1
}

refused() {	# refused CC: one #error, and nothing was compiled
	! build "$1" lib/libtorc.so &&
		[ "$(grep -c '[0-9]: .*error: .*torc runs on' "$work/out")" \
			-eq 1 ] &&
		[ "$(grep -c 'error:' "$work/out")" -eq 1 ] &&
		[ -z "$(find "$work/b" -name '*.o' -o -name '*.so*')" ]
}

# Sources that are compiled without this Makefile.
header_refuses() {
	! echo '#include "sys/switch.h"' | cc -U__x86_64__ -U__aarch64__ \
		-iquote . -x c -fsyntax-only - >"$work/out" 2>&1 &&
		grep -q 'torc runs on' "$work/out"
}

claim "a machine that is neither x86-64 nor aarch64 is refused first" \
	refused "cc -U__x86_64__ -U__aarch64__"
claim "so is one of 32-bit pointers" \
	refused "cc -U__SIZEOF_POINTER__ -D__SIZEOF_POINTER__=4"
claim "so is another system" refused "cc -U__linux__"
claim "the header of the switch refuses by itself" header_refuses
claim "this machine builds" build cc sys/pages.o
if command -v clang >/dev/null; then
	for target in riscv64-linux-gnu i686-linux-gnu x86_64-linux-gnux32; do
		claim "clang for $target is refused" \
			refused "clang --target=$target"
	done
	claim "clang for aarch64-linux-gnu is not" \
		build "clang --target=aarch64-linux-gnu" machine
else
	echo "SKIP: other machines need clang"
fi
exit $failed
