#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# machine.sh - a build for a machine that torc does not know ends at once, with
# one error that says so; a known machine builds.
#
# The machines are imitated by the macros that the compiler predefines. Where
# clang is there, it stands for the compilers of other machines.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh

build() {	# build CC GOAL: its status, its words in $scratch/out
	rm -rf "$scratch/b"
	MAKEFLAGS='' make -j2 V=1 CC="$1" B="$scratch/b" "$scratch/b/$2" \
		>"$scratch/out" 2>&1
}

refused() {	# refused CC: one #error, and nothing was compiled
	! build "$1" lib/libtorc.so &&
		[ "$(grep -c '[0-9]: .*error: .*torc runs on' "$scratch/out")" \
			-eq 1 ] &&
		[ "$(grep -c 'error:' "$scratch/out")" -eq 1 ] &&
		[ -z "$(find "$scratch/b" -name '*.o' -o -name '*.so*')" ]
}

# Sources that are compiled without this Makefile.
header_refuses() {
	! echo '#include "sys/switch.h"' | cc -U__x86_64__ -U__aarch64__ \
		-iquote . -x c -fsyntax-only - >"$scratch/out" 2>&1 &&
		grep -q 'torc runs on' "$scratch/out"
}

claim "a machine that is neither x86-64 nor aarch64 is refused first" \
	refused "cc -U__x86_64__ -U__aarch64__"
claim "so is one of 32-bit pointers" \
	refused "cc -U__SIZEOF_POINTER__ -D__SIZEOF_POINTER__=4"
claim "so is another system" refused "cc -U__linux__"
claim "the header of the switch refuses by itself" header_refuses
claim "this machine builds" build cc sys/pages.o
if has clang; then
	for target in riscv64-linux-gnu i686-linux-gnu x86_64-linux-gnux32; do
		claim "clang for $target is refused" \
			refused "clang --target=$target"
	done
	claim "clang for aarch64-linux-gnu is not" \
		build "clang --target=aarch64-linux-gnu" machine
else
	echo "SKIP: other machines need clang"
fi
[ $failed -eq 0 ]
