#!/usr/bin/env bash
# pkgconfig.sh - what `make install` puts into an empty folder is enough to
# build a program with each library, with the flags that pkg-config says, on
# libtorc.so and statically, and each runs.
#
# The libraries are those of $B (build), which are made if need be. A tool that
# is not installed is a line "SKIP: why".
set -u
cd "$(dirname "$0")/.." || exit 1
B=${B:-build}
CC=${CC:-cc}
failed=0
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# claim TEXT COMMAND...: the command proves the text.
claim() {
	local text=$1
	shift
	if "$@" >"$scratch/said" 2>&1; then
		echo "ok $text"
	else
		echo "FAILED $text"
		tail -n 20 "$scratch/said" | sed 's/^/    /'
		failed=$((failed + 1))
	fi
}

installs() {
	make -s B="$B" DESTDIR="$scratch" PREFIX=/opt/torc install
}

flags() {	# flags ARGUMENT...: with the folder where they are now
	PKG_CONFIG_PATH=$scratch/opt/torc/lib/pkgconfig \
	    pkg-config "$@" |
	    sed "s|/opt/torc|$scratch/opt/torc|g"
}

# builds NAME LIBRARY [-static]: program NAME, with what pkg-config says.
# The flags are words.
# shellcheck disable=SC2046,SC2086
builds() {
	"$CC" ${3:-} -o "$scratch/$1" "$scratch/$1.c" \
	    $(flags ${3:+--static} --cflags --libs "$2")
}

runs() {
	LD_LIBRARY_PATH=$scratch/opt/torc/lib "$scratch/$1"
}

needs_shared() {
	LD_LIBRARY_PATH=$scratch/opt/torc/lib ldd "$scratch/$1" |
	    grep "$scratch/opt/torc/lib/libtorc.so.0"
}

# try NAME: the program on the standard input uses the library torc-NAME, or
# torc itself.
try() {
	local name=$1 library=torc-$1
	[ "$name" != torc ] || library=torc
	cat >"$scratch/$name.c"
	if [ ! -e "$scratch/opt/torc/lib/pkgconfig/$library.pc" ]; then
		echo "SKIP: $library was not built: its library is missing"
		return
	fi
	claim "$library: a program builds" builds "$name" "$library"
	claim "$library: it is linked with libtorc.so" needs_shared "$name"
	claim "$library: it runs" runs "$name"
	claim "$library: it builds statically, too" \
	    builds "$name" "$library" -static
	claim "$library: and runs" runs "$name"
}

for tool in pkg-config ldd; do
	command -v $tool >/dev/null && continue
	echo "SKIP: $tool is not installed"
	exit 0
done
claim "make install fills an empty folder" installs
[ $failed -eq 0 ] || exit 1

try torc <<-'END'
	#include <torc.h>
	int main(void) { return torc_reactor_self() != 0; }
END
# What is called must not be all that the library is: whatever it needs of
# torc is to be found.
try http <<-'END'
	#include <torc_http.h>
	int main(int argc, char **argv)
	{
		(void)argv;
		if (argc > 1)
			torc_http_forward(0, 0, 0, 0, 0, 0);
		return torc_http_reason(200)[0] != 'O';
	}
END
try redis <<-'END'
	#include <torc_redis.h>
	int main(int argc, char **argv)
	{
		(void)argv;
		return argc > 1 && torc_redis_open(0, 0, 0, 0);
	}
END
try pg <<-'END'
	#include <torc_pg.h>
	int main(int argc, char **argv)
	{
		(void)argv;
		return argc > 1 && torc_pg_create(0, 0, 0, 0);
	}
END
try file <<-'END'
	#include <torc_file.h>
	int main(int argc, char **argv)
	{
		(void)argv;
		if (argc > 1)
			torc_file_serve(0, 0, 0);
		return 0;
	}
END
[ $failed -eq 0 ]
