#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# reproducible.sh - two builds in two folders of different names are the same:
# libraries and programs, byte for byte, with what debuggers read.
#
# Both are built here, with CC, and without a cache that would make them one.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
needs make
unset MAKEFLAGS MFLAGS MAKELEVEL
export CC=${CC:-cc} CCACHE_DISABLE=1
first=$scratch/first
second=$scratch/a/second.and.longer

goals=(build/lib/libtorc.so build/lib/libtorc-http.so build/bin/hello
    build/bin/ringstat)

copies() {	# copies FOLDER
	mkdir -p "$1" && cp -r Makefile sys ring reactor conn tools tests "$1"
}

builds() {	# builds FOLDER
	nice make -s -j2 -C "$1" CC="$CC" CLIENTS=http "${goals[@]}"
}

sums() {
	(cd "$1/build" && find lib bin include \( -type f -o -type l \) \
	    ! -name '*.d' -exec cksum {} +) | sort -k 3
}

same() {
	sums "$first" >"$scratch/1"
	sums "$second" >"$scratch/2"
	diff "$scratch/1" "$scratch/2"
}

complete() {
	local what
	for what in lib/libtorc.a lib/libtorc.so.0 lib/libtorc-http.a \
	    lib/libtorc-http.so.0 bin/hello bin/ringstat; do
		grep -q " $what\$" "$scratch/1" || { echo "$what"; return 1; }
	done
}

# Debuggers read it: it is not the same for want of what could differ.
has_words() {
	readelf -wi "$first/build/lib/libtorc.so.0" 2>/dev/null |
	    grep -q 'DW_AT_comp_dir.*: \.$'
}

clean() {
	! grep -lrF "$scratch" "$first/build/lib" "$first/build/bin" \
	    --include='*.a' --include='*.so.0' --include=hello \
	    --include=ringstat
}

claim "the tree is copied to two folders" \
    eval 'copies "$first" && copies "$second"'
claim "torc builds in a folder" builds "$first"
claim "and in another, whose name is longer" builds "$second"
[ $failed -eq 0 ] || exit 1
claim "libraries and programs are the same, byte for byte" same
claim "all of them were compared" complete
claim "debuggers are told of files from the top of the tree" has_words
claim "nothing names the folder where it was built" clean
[ $failed -eq 0 ]
