#!/bin/sh
# headers.sh - what `make install` puts down can be used: each header alone, in
# C and in C++, and README.md's handler with the shared and the static library.
#
# The libraries and programs are those of $B (build); CC and CXX compile.
set -u
cd "$(dirname "$0")/.." || exit 1
B=${B:-build}
CC=${CC:-cc}
CXX=${CXX:-c++}
unset MAKEFLAGS MFLAGS MAKELEVEL
scratch=$(mktemp -d) || exit 1
lib=$scratch/root/opt/torc/lib
include=$scratch/root/opt/torc/include
server=
failed=0

finish() {
	[ -z "$server" ] || kill -9 "$server" 2>/dev/null
	rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# claim TEXT COMMAND...: the command proves the text.
claim() {
	text=$1
	shift
	if "$@" >"$scratch/said" 2>&1; then
		echo "ok $text"
	else
		echo "FAILED $text"
		sed 's/^/    /' "$scratch/said" | tail -n 20
		failed=1
	fi
}

installs() {
	make B="$B" DESTDIR="$scratch/root" PREFIX=/opt/torc install &&
	    [ -e "$include/torc.h" ] && [ -e "$lib/pkgconfig/torc.pc" ]
}

# alone LANGUAGE COMPILER...: each header is all of a translation unit.
alone() {
	language=$1
	shift
	for header in "$include"/*.h; do
		echo "#include <${header##*/}>" | "$@" -Wall -Wextra -Werror \
		    -pedantic -x "$language" -I"$include" -fsyntax-only - ||
		    return 1
	done
}

# README.md's handler, on a socket of ours instead of port 7000.
handler() {
	awk '/^```c$/ { in_it = 1; next } /^```$/ { in_it = 0 } in_it' \
	    README.md | sed "s|127.0.0.1:7000|unix:$scratch/socket|" \
	    >"$scratch/server.c"
	grep -q "unix:$scratch" "$scratch/server.c"
}

# compiles [OPTION]: with what torc.pc says, below the folder that stands for
# the root.
compiles() {
	flags=$(sed -n "s|/opt/torc|$scratch/root&|g; s/^Cflags: //p
		s/^Libs: //p" "$lib/pkgconfig/torc.pc") || return 1
	# shellcheck disable=SC2086
	"$CC" -o "$scratch/server" "$scratch/server.c" "$@" $flags
}

echoes() {
	LD_LIBRARY_PATH=$lib "$scratch/server" &
	server=$!
	tries=0
	while [ ! -S "$scratch/socket" ] && [ $tries -lt 100 ]; do
		kill -0 "$server" || return 1
		sleep 0.1
		tries=$((tries + 1))
	done
	said=$(echo hello | timeout 20 nc -N -U "$scratch/socket")
	kill -TERM "$server"
	wait "$server" || return 1
	server=
	[ "$said" = hello ]
}

claim "make install puts headers, libraries and torc.pc below DESTDIR" installs
claim "each header is complete in C11" alone c "$CC" -std=c11
claim "each header is complete in C++11" alone c++ "$CXX" -std=c++11
claim "README.md has a handler" handler
claim "it compiles with what torc.pc says" compiles
claim "it echoes, with the shared library" echoes
claim "it links statically" compiles -static
claim "it echoes, with the static library" echoes
exit $failed
