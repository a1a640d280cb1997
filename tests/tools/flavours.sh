#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# flavours.sh - `make install-asan` puts libraries under AddressSanitizer beside
# the others, and with the flags that pkg-config says a program is told what it
# does wrong on a fiber, and with torc's memory: a server reads what it has
# consumed, and another one writes behind an array on its stack.
#
# What is missing in build-asan is made; SAN_CC compiles.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
SAN_CC=${SAN_CC:-gcc}
unset MAKEFLAGS MFLAGS MAKELEVEL
prefix=$scratch/opt
shown=("$scratch/wrong")

# The core alone, which is all that the program needs.
installs() {
	make -s SAN_CC="$SAN_CC" CLIENTS= PREFIX="$prefix" install-asan &&
	    [ -e "$prefix/lib/torc/asan/libtorc.so" ] &&
	    [ ! -e "$prefix/lib/libtorc.a" ]
}

# The flags are words.
# shellcheck disable=SC2046
compiles() {
	cat >"$scratch/wrong.c" <<-'END'
	#include <torc.h>
	#include <stdio.h>
	#include <string.h>

	static volatile int sum;

	static void
	write_behind(size_t at)
	{
		volatile char array[16];

		array[at] = 1;
		sum += array[0];
	}

	static int
	serve(struct torc_conn *conn, void *arg)
	{
		struct torc_slice in;
		const uint8_t *first;

		(void)arg;
		while (torc_conn_recv(conn, &in, TORC_NEVER) > 0) {
			first = in.data;
			if (memcmp(in.data, "stack", 5) == 0)
				write_behind(in.size);
			if (torc_conn_write(conn, in.data, in.size,
			    TORC_NEVER) < 0)
				return -1;
			if (memcmp(in.data, "view", 4) != 0) {
				torc_conn_consume(conn, in.size);
				continue;
			}
			torc_conn_consume(conn, in.size);
			sum += first[0];
		}
		return TORC_CLOSE;
	}

	static void
	ready(void *arg)
	{
		(void)arg;
		fprintf(stderr, "ready\n");
	}

	int
	main(int argc, char **argv)
	{
		const char *const addresses[] = { argv[argc - 1], NULL };
		const struct torc_config config = {
			.listen = addresses, .handler = serve, .reactors = 1,
		};

		return torc_serve(&config, ready, NULL) < 0;
	}
	END
	"$SAN_CC" -g -o "$scratch/program" "$scratch/wrong.c" \
	    $(PKG_CONFIG_PATH=$prefix/lib/torc/asan/pkgconfig \
	    pkg-config --cflags --libs torc)
}

is_that_library() {
	ldd "$scratch/program" | grep "libtorc.so.0 => $prefix/lib/torc/asan/"
}

serves() {
	fresh_port
	starts wrong "$scratch/program" "127.0.0.1:$port"
}

say() {	# say TEXT: to the server; what comes back
	exec 5<>"/dev/tcp/127.0.0.1/$port" && printf '%s' "$1" >&5 &&
	    timeout 10 head -c ${#1} <&5
	exec 5>&-
}

comes_back() {
	[ "$(say 'nothing wrong')" = 'nothing wrong' ]
}

ends_well() {
	kill -TERM "$pid" && await "$pid" && ! grep -q ERROR "$scratch/wrong"
}

# stops TEXT ERROR FUNCTION: the sanitizer ends it over that, and says where.
stops() {
	serves || return 1
	say "$1" >/dev/null
	! await "$pid" && grep -q "ERROR: AddressSanitizer: $2" \
	    "$scratch/wrong" && grep -qE "#[0-9]+ .* in $3 .*wrong.c" \
	    "$scratch/wrong"
}

# The folder of the other one, without building it.
tsan_is_beside() {
	make -n CLIENTS= PREFIX="$prefix" install-tsan >"$scratch/would" 2>&1
	grep -q "lib/torc/tsan/pkgconfig" "$scratch/would" &&
	    grep -q -- "-fsanitize=thread" "$scratch/would"
}

needs "$SAN_CC" pkg-config ldd
claim "make install-asan installs, in a folder of its own" installs
claim "a program builds with what pkg-config says" compiles
[ $failed -eq 0 ] || exit 1
claim "it runs with that library" is_that_library
claim "it serves" serves
claim "a program that does nothing wrong is left alone" comes_back
claim "... to its end" ends_well
claim "a fiber that writes behind its array is stopped" \
    stops "stack behind an array" stack-buffer-overflow write_behind
claim "a handler that reads what it has consumed is stopped" \
    stops "view that is consumed" use-after-poison serve
claim "make install-tsan does the same for ThreadSanitizer" tsan_is_beside
[ $failed -eq 0 ]
