#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# installed.sh - what `make install` puts into an empty folder is enough: each
# header is complete by itself, in C and in C++, and a program builds with each
# library, with the flags that pkg-config says, shared and statically, and each
# runs. That of torc itself is a guide's, that of HTTP is README.md's.
#
# What is missing in $B is made; CC and CXX compile. A tool that is not installed is a line "SKIP: why".
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
CC=${CC:-cc}
CXX=${CXX:-c++}
unset MAKEFLAGS MFLAGS MAKELEVEL
under=()			# what runs the program
root=$scratch/root		# what stands for /
prefix=$root/opt/torc
include=$prefix/include

# Beside each library of a client, the shared one, by all of its names.
each_is_shared() {
	local archive
	for archive in "$prefix"/lib/libtorc*.a; do
		[ -e "${archive%.a}.so" ] && [ -e "${archive%.a}.so.0" ] ||
		    return 1
	done
}

installs() {
	make -s B="$B" DESTDIR="$root" PREFIX=/opt/torc install &&
	    [ -e "$include/torc.h" ] && [ -e "$prefix/lib/libtorc.a" ] &&
	    [ -e "$prefix/lib/libtorc.so" ] && each_is_shared &&
	    [ -e "$prefix/lib/pkgconfig/torc.pc" ]
}

# alone LANGUAGE COMPILER...: each header is all of a translation unit.
alone() {
	local language=$1 header
	shift
	for header in "$include"/*.h; do
		echo "#include <${header##*/}>" | "$@" -Wall -Wextra -Werror \
		    -pedantic -x "$language" -I"$include" -fsyntax-only - ||
		    return 1
	done
}

# quiet LANGUAGE COMPILER...: a program may have globals of the names that
# parameters have in the headers, and be warned of what it shadows itself.
quiet() {
	local language=$1 names name header
	shift
	names=$(awk '/^static inline/ { on = 1 } /^{/ { on = 0 } on' \
	    "$include"/*.h | grep -oE '[a-z_]+[,)]' | tr -d ',)' | sort -u)
	[ -n "$names" ] || return 1
	{
		for name in $names; do
			[ "$name" = void ] || echo "extern int $name;"
		done
		for header in "$include"/*.h; do
			echo "#include <${header##*/}>"
		done
	} | "$@" -Wshadow -Werror -x "$language" -I"$include" -fsyntax-only -
}

flags() {	# flags ARGUMENT...: with the folder where they are now
	PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config "$@" |
	    sed "s|/opt/torc|$prefix|g"
}

# builds NAME LIBRARY [-static]: program NAME, with what pkg-config says.
# The flags are words.
# shellcheck disable=SC2046,SC2086
builds() {
	"$CC" ${3:-} -o "$scratch/$1" "$scratch/$1.c" \
	    $(flags ${3:+--static} --cflags --libs "$2")
}

needs_shared() {	# needs_shared NAME LIBRARY: and libtorc.so
	local library
	LD_LIBRARY_PATH=$prefix/lib ldd "$scratch/$1" >"$scratch/ldd"
	cat "$scratch/ldd"
	for library in torc "$2"; do
		grep -q "$prefix/lib/lib$library.so.0" "$scratch/ldd" ||
		    return 1
	done
}

needs_none() {
	! ldd "$scratch/$1" 2>/dev/null | grep torc
}

runs() {
	LD_LIBRARY_PATH=$prefix/lib "$scratch/$1"
}

# The program of README.md.
sample() {
	awk '/^```c$/ { in_it = 1; next } /^```$/ { in_it = 0 } in_it' README.md
}

# serves PROOF NAME: the program listens on a socket of ours, until PROOF.
serves() {
	rm -f "$scratch/socket"
	begins server env LD_LIBRARY_PATH="$prefix/lib" "${under[@]}" \
	    "$scratch/$2" "unix:$scratch/socket"
	# The file is there a little before somebody listens.
	until_it 300 "$1" && ends "$pid"
}

echoes() {	# echoes NAME: lines come back from it
	serves comes_back "$1"
}

greets() {	# greets NAME: it answers a request
	serves is_greeted "$1"
}

is_greeted() {
	[ "$(timeout 20 curl -s --unix-socket "$scratch/socket" \
	    http://any/hello/Ada)" = "hello, Ada" ]
}

comes_back() {
	[ "$(echo hello | timeout 20 nc -N -U "$scratch/socket")" = hello ]
} 2>/dev/null

# try NAME [PROOF [LIBRARY]]: the program on the standard input uses the library
# (torc-NAME), and PROOF (runs) says that it does its work.
try() {
	local name=$1 proof=${2:-runs} library=${3:-torc-$1}
	cat >"$scratch/$name.c"
	if [ ! -e "$prefix/lib/pkgconfig/$library.pc" ]; then
		echo "SKIP: $library was not built: its library is missing"
		return
	fi
	claim "$name: a program builds" builds "$name" "$library"
	claim "$name: it is linked with lib$library.so" \
	    needs_shared "$name" "$library"
	claim "$name: it $proof" "$proof" "$name"
	claim "$name: it builds statically, too" \
	    builds "$name" "$library" -static
	claim "$name: it is linked with no library then" needs_none "$name"
	claim "$name: and $proof" "$proof" "$name"
}

# takes DEADLINE: a call that has this for its deadline compiles.
takes() {
	cat >"$scratch/deadline.c" <<-C
	#include <torc.h>

	int wait_for(struct torc_conn *conn, struct torc_slice *in);

	int
	wait_for(struct torc_conn *conn, struct torc_slice *in)
	{
		return torc_conn_recv(conn, in, $1);
	}
	C
	# shellcheck disable=SC2046
	"$CC" -c -o "$scratch/deadline.o" "$scratch/deadline.c" \
	    $(flags --cflags torc)
}

takes_not() {
	! takes "$1" 2>"$scratch/deadline.log" &&
	    grep -q torc_deadline "$scratch/deadline.log"
}

claim "make install fills an empty folder" installs
[ $failed -eq 0 ] || exit 1
claim "a deadline is a time from now, never, or at once" \
    takes "in->size == 0 ? torc_after_ms(5000) : TORC_NEVER" &&
    takes TORC_AT_ONCE
claim "a number is no deadline" takes_not 5000
claim "nor is a time of the clock" takes_not "torc_now()"
for standard in c99 c11 c17 c2x; do
	claim "each header is complete in ${standard^}" \
	    alone c "$CC" -std=$standard
done
for standard in 11 14 17 20 23; do
	claim "each header is complete in C++$standard" \
	    alone c++ "$CXX" -std=c++$standard
done

claim "a program's names are its own in C" quiet c "$CC" -std=c99
claim "a program's names are its own in C++" quiet c++ "$CXX" -std=c++11

for tool in pkg-config ldd nc curl; do
	has $tool && continue
	echo "SKIP: $tool is not installed: no program is built"
	exit $((failed > 0))
done
# minds_nothing NAME: memcheck has nothing to say of it, and SIGTERM ends it.
minds_nothing() {
	under=(valgrind -q --error-exitcode=99 --leak-check=full
	    --errors-for-leak-kinds=definite)
	builds "$1" "$1" && echoes "$1"
	local status=$?
	under=()
	return $status
}

try torc echoes torc <tools/guides/connections.c
with valgrind "valgrind has nothing to say of it" minds_nothing torc
try README.md greets torc-http < <(sample)
# What is called must not be all that the library is: whatever it needs of
# torc is to be found.
try http <<-'END'
	#include <torc_http.h>
	int main(int argc, char **argv)
	{
		(void)argv;
		if (argc > 1)
			torc_http_forward(0, 0, 0, TORC_AT_ONCE);
		return torc_http_reason(200)[0] != 'O';
	}
END
try redis <<-'END'
	#include <torc_redis.h>
	int main(int argc, char **argv)
	{
		(void)argv;
		return argc > 1 && torc_redis_create(0, 0, 0);
	}
END
try pg <<-'END'
	#include <torc_pg.h>
	int main(int argc, char **argv)
	{
		(void)argv;
		return argc > 1 && torc_pg_create(0, 0, 0);
	}
END
try tls <<-'END'
	#include <torc_tls.h>
	int main(int argc, char **argv)
	{
		(void)argv;
		return argc > 1 && torc_tls_create(0, 0, 0);
	}
END
try file <<-'END'
	#include <torc_file.h>
	int main(int argc, char **argv)
	{
		(void)argv;
		if (argc > 1)
			torc_file_serve(0, 0, TORC_AT_ONCE);
		return 0;
	}
END
[ $failed -eq 0 ]
