#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# hardening.sh - what tools/flags.mk promises of all that is built, as readelf
# sees it, and what the switches between stacks are marked for.
#
# Libraries and programs are those of $B (build); CC compiles. What is built
# under sanitizers is not looked at. A tool that is not installed is a line
# "SKIP: why".
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
needs make readelf
CC=${CC:-cc}
unset MAKEFLAGS MFLAGS MAKELEVEL
export LC_ALL=C

none() {	# none COMMAND...: it has nothing to say
	"$@" >"$scratch/hits" 2>&1
	cat "$scratch/hits"
	[ ! -s "$scratch/hits" ]
}

built() {
	find "$B/lib" -name '*.so.0'
	find "$B/bin" -type f -perm -u+x
}

# each FILTER COMMAND...: of what is built, files for which the command on
# readelf's words, FILTER, fails.
unlike() {
	local option=$1 file
	shift
	built | while read -r file; do
		readelf -W "$option" "$file" | "$@" || echo "$file"
	done
}

not_executable() {
	awk '/GNU_STACK/ { seen = 1; bad = /RWE/ } END { exit bad || !seen }'
}

claim "no stack of a library or a program is executable" \
    none unlike -l not_executable
claim "tables with addresses are read-only" \
    none unlike -l grep -q GNU_RELRO
claim "nothing is bound late, where it could be written to" \
    none unlike -d grep -qE 'BIND_NOW|FLAGS_1.*NOW'
claim "programs are position-independent" \
    none unlike -h grep -qE 'Type: +DYN'

# What the compiler was told, as it says itself.
probes() {
	readelf -wi "$B/lib/libtorc.so.0" 2>/dev/null |
	    sed -n 's/.*DW_AT_producer.*: \(GNU C\)/\1/p' | sort -u >"$scratch/said"
	[ -s "$scratch/said" ] &&
	    ! grep -v fstack-clash-protection "$scratch/said"
}
if "$CC" --version | grep -q clang; then
	echo "SKIP: clang does not say how it was called"
else
	claim "each file of the library probes its stack" probes
fi

checked() {
	readelf -W --dyn-syms "$1" | grep -q 'snprintf_chk'
}
glibc() {
	echo '#include <features.h>' | "$CC" -E -dM -x c - |
	    grep -q __GLIBC__
}
if glibc; then
	claim "the library's calls of libc check their bounds" \
	    checked "$B/lib/libtorc.so.0"
	claim "so do those of programs" checked "$B/bin/ringstat"
else
	echo "SKIP: only glibc has calls that check their bounds"
fi

# builds VARIABLE=VALUE...: a file of the library; its command is kept.
builds() {
	rm -rf "$scratch/b"
	make -s V=1 B="$scratch/b" CC="$CC" "$@" "$scratch/b/sys/explain.o" \
	    >"$scratch/make" 2>&1 || { cat "$scratch/make"; return 1; }
	make -nB V=1 B="$scratch/b" CC="$CC" "$@" "$scratch/b/sys/explain.o" \
	    >"$scratch/make" 2>&1
}
fortified() {
	grep -q 'D_FORTIFY_SOURCE=[23].* -c ' "$scratch/make"
}
bare() {
	builds "$@" && ! fortified
}
claim "as it is, bounds are checked" eval 'builds && fortified'
claim "without optimisation there are none" \
    bare CFLAGS=-O0
claim "CFLAGS may choose a level of their own" \
    eval 'builds CFLAGS="-O2 -D_FORTIFY_SOURCE=1" &&
    [ "$(grep -o "FORTIFY_SOURCE=." "$scratch/make" | sort -u)" = \
    FORTIFY_SOURCE=1 ]'
claim "sanitizers see the calls as they are" \
    bare MODE="-O1 -fsanitize=address" CFLAGS=

# ---- The switch ----

# switch FLAGS NAME [COMPILER...]: its notes, and its code.
switch() {
	local flags=$1 name=$2
	shift 2
	# shellcheck disable=SC2086
	"${@:-$CC}" $flags -iquote . -c -o "$scratch/switch.o" "sys/switch_$name.S" &&
	    readelf -nW "$scratch/switch.o" >"$scratch/notes"
}
marked() {
	grep -q "feature: $1\$" "$scratch/notes"
}
starts_with() {
	objdump -d "$scratch/switch.o" |
	    awk -v what="$1" '/^[0-9a-f]* <torc_switch(_prepare)?>:/ {
		getline; if ($0 ~ what) good++ } END { exit good != 2 }'
}
jumps() {
	objdump -d "$scratch/switch.o" | grep -q "$1"
}
# Of all that is in libtorc.so: what libc adds to that may have no marks.
both() {
	make -s -j2 B="$scratch/cf" CC="$CC" CFLAGS="-O1 -fcf-protection" \
	    "$scratch/cf/lib/libtorc.so" >"$scratch/make" 2>&1 || return
	find "$scratch/cf/pic" "$scratch/cf/sys" -name '*.o' -exec ld -r -o "$scratch/all.o" {} + &&
	    readelf -nW "$scratch/all.o" >"$scratch/notes" && marked IBT
}

if [ "$(uname -m)" = x86_64 ]; then
	claim "unprotected, the switch has no mark" \
	    eval 'switch "" x86_64 && ! marked ".*"'
	claim "protected, it is marked for branches, and not shadow stacks" \
	    eval 'switch -fcf-protection x86_64 && marked IBT'
	claim "its calls begin where a branch may land" starts_with endbr64
	claim "its jump is exempt" jumps 'notrack jmp'
	claim "protection of returns alone gives it no mark" \
	    eval 'switch -fcf-protection=return x86_64 && ! marked ".*"'
	claim "the library has that mark when all of it is protected" both
else
	echo "SKIP: branches of x86-64 need an x86-64"
fi
if has clang; then
	arm() {
		switch "$1" aarch64 clang --target=aarch64-linux-gnu
	}
	claim "on aarch64 it is marked for branch targets, not signed addresses" \
	    eval 'arm -mbranch-protection=standard && marked BTI'
	claim "unprotected, it has no mark there" \
	    eval 'arm "" && ! marked ".*"'
else
	echo "SKIP: the switch of aarch64 needs clang"
fi
[ $failed -eq 0 ]
