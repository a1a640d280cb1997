#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# cxx.sh - programs of C++ use torc: exceptions belong to fibers, with the
# runtime of gcc and with that of LLVM, from either library and statically.
#
# CXX compiles. What is not installed is a line "SKIP: why".
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
CXX=${CXX:-c++}

# try NAME COMMAND... -- LIBRARY...: the program, so built, does well.
try() {
	local name=$1 command=()
	shift
	while [ "$1" != -- ]; do
		command+=("$1")
		shift
	done
	shift
	if ! "${command[@]}" -std=c++11 -g -Wall -Wextra -Werror \
	    -o "$scratch/program" tests/reactor/exceptions.cc -I"$B/include" "$@" \
	    -pthread >"$scratch/said" 2>&1; then
		echo "FAILED $name: it builds"
		head -n 20 "$scratch/said" | sed 's/^/    /'
		failed=1
		return
	fi
	LD_LIBRARY_PATH=$B/lib timeout 120 "$scratch/program" \
	    >"$scratch/said" 2>&1 || failed=1
	sed -e "s/^ok /ok $name: /" -e "s/^FAILED /FAILED $name: /" \
	    "$scratch/said"
}

# can COMMAND...: it compiles and links a program with an exception.
can() {
	echo '#include <stdexcept>
int main() { try { throw std::runtime_error(""); }
	catch (const std::exception &) { } }' |
	    "$@" -x c++ - -o "$scratch/any" >/dev/null 2>&1
}

if ! can "$CXX"; then
	echo "SKIP: $CXX does not compile C++"
	exit 0
fi
try "libtorc.a" "$CXX" -O2 -- "$B/lib/libtorc.a"
try "libtorc.so" "$CXX" -O0 -- -L"$B/lib" -ltorc
if can "$CXX" -static; then
	try "all static" "$CXX" -O2 -static -- "$B/lib/libtorc.a"
else
	echo "SKIP: no static library of C++"
fi
if can clang++ -stdlib=libc++; then
	try "libc++" clang++ -stdlib=libc++ -O2 -- "$B/lib/libtorc.a"
else
	echo "SKIP: clang++ with libc++ is not installed"
fi
exit $failed
