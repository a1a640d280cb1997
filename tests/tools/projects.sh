#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# projects.sh - projects that are built with CMake and with Meson find torc
# where it was installed, also when that was moved, build with each of its
# libraries, shared and static, and run. What is not there is refused with a
# sentence.
#
# What is missing in $B is made; CC compiles. A tool that is not installed is a
# line "SKIP: why".
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
needs make
export CC=${CC:-cc}
unset MAKEFLAGS MFLAGS MAKELEVEL
# One word: tools look for a compiler of that name.
CC=${CC##* }
prefix=$scratch/moved/torc
# As on Debian, where a compiler says so.
libraries=lib/$("$CC" -print-multiarch 2>/dev/null)
libraries=${libraries%/}
number=$(sed -n 's/^VERSION := //p' Makefile)

installs() {
	make -s B="$B" DESTDIR="$scratch/root" PREFIX=/opt/torc \
	    LIBDIR="/opt/torc/$libraries" install &&
	    mkdir "$scratch/moved" &&
	    mv "$scratch/root/opt/torc" "$prefix"
}

has_library() {	# has_library NAME
	[ -e "$prefix/$libraries/libtorc-$1.a" ]
}

# A call of each that is not reached, so that it must be linked.
program() {	# program NAME
	case $1 in
	torc) echo '#include <torc.h>
	#define CALL torc_version() == 0' ;;
	http) echo '#include <torc_http.h>
	#define CALL torc_http_forward(0, 0, 0, TORC_AT_ONCE)' ;;
	redis) echo '#include <torc_redis.h>
	#define CALL torc_redis_create(0, 0, 0)' ;;
	pg) echo '#include <torc_pg.h>
	#define CALL torc_pg_create(0, 0, 0)' ;;
	file) echo '#include <torc_file.h>
	#define CALL torc_file_serve(0, 0, TORC_AT_ONCE)' ;;
	tls) echo '#include <torc_tls.h>
	#define CALL torc_tls_create(0, 0, 0)' ;;
	esac
	echo 'int main(int argc, char **argv)
	{
		(void)argv;
		return argc > 1 && CALL;
	}'
}

# shows KIND PROGRAM: how it is linked, and that it runs. Where a library finds
# another one is for ldconfig to know, or for this variable.
shows() {
	local -x LD_LIBRARY_PATH=$prefix/$libraries
	ldd "$2" >"$scratch/ldd" 2>&1
	cat "$scratch/ldd"
	case $1 in
	shared) grep -q "libtorc.so.0 => $prefix" "$scratch/ldd" ;;
	*) ! grep -q torc "$scratch/ldd" ;;
	esac && "$2"
}

# ---- CMake ----

# cmake_finds WORDS: with find_package(torc WORDS); further lines are on stdin.
cmake_finds() {
	rm -rf "$scratch/cmake"
	mkdir "$scratch/cmake"
	{
		echo 'cmake_minimum_required(VERSION 3.13)'
		echo 'project(try C)'
		echo "find_package(torc $1)"
		cat
	} >"$scratch/cmake/CMakeLists.txt"
	cmake -S "$scratch/cmake" -B "$scratch/cmake/b" \
	    -DCMAKE_PREFIX_PATH="$prefix" \
	    >"$scratch/cmake.log" 2>&1
}

# by_cmake NAME KIND
by_cmake() {
	local suffix=
	[ "$2" = shared ] || suffix=_static
	cmake_finds "$number REQUIRED COMPONENTS $1" <<-END &&
		add_executable(try try.c)
		target_link_libraries(try torc::$1$suffix)
		file(WRITE \${CMAKE_SOURCE_DIR}/try.c [=[$(program "$1")]=])
	END
	    cmake --build "$scratch/cmake/b" >>"$scratch/cmake.log" 2>&1 &&
	    shows "$2" "$scratch/cmake/b/try"
}

accepts() {	# accepts WORDS
	cmake_finds "$1 REQUIRED" </dev/null
}

# refuses WORDS SENTENCE
refuses() {
	! cmake_finds "$1" </dev/null &&
	    tr -s ' \n' ' ' <"$scratch/cmake.log" | grep -qF "$2"
}

optional() {
	cmake_finds "REQUIRED COMPONENTS http OPTIONAL_COMPONENTS mqtt" <<-'END'
		if(torc_mqtt_FOUND OR NOT torc_http_FOUND)
			message(FATAL_ERROR "not as it is")
		endif()
	END
}

quiet() {
	cmake_finds "QUIET COMPONENTS mqtt" <<-'END'
		if(torc_FOUND OR TARGET torc::torc)
			message(FATAL_ERROR "found all the same")
		endif()
	END
}

all_of_it() {
	cmake_finds "REQUIRED" <<-'END'
		if(NOT TARGET torc::torc OR NOT TARGET torc::http_static)
			message(FATAL_ERROR "a target is missing")
		endif()
	END
}

# ---- Meson ----

# by_meson NAME KIND
by_meson() {
	local name=torc-$1 static=false
	[ "$1" != torc ] || name=torc
	[ "$2" = shared ] || static=true
	rm -rf "$scratch/meson"
	mkdir "$scratch/meson"
	program "$1" >"$scratch/meson/try.c"
	cat >"$scratch/meson/meson.build" <<-END
		project('try', 'c')
		executable('try', 'try.c', dependencies: dependency('$name',
		    version: '>=$number', static: $static))
	END
	meson setup --prefix=/usr "$scratch/meson/b" "$scratch/meson" \
	    >"$scratch/meson.log" 2>&1 &&
	    meson compile -C "$scratch/meson/b" >>"$scratch/meson.log" 2>&1 &&
	    shows "$2" "$scratch/meson/b/try"
}

meson_refuses() {
	mkdir -p "$scratch/none"
	printf "project('try', 'c')\ndependency('torc-mqtt')\n" \
	    >"$scratch/none/meson.build"
	! meson setup "$scratch/none/b" "$scratch/none" \
	    >"$scratch/meson.log" 2>&1 &&
	    grep -q 'Dependency "torc-mqtt" not found' "$scratch/meson.log"
}

claim "torc is installed, and moved" installs
[ $failed -eq 0 ] || exit 1
components=(torc)
for name in http redis pg file tls; do
	if has_library $name; then
		components+=("$name")
	else
		echo "SKIP: torc-$name was not built: its library is missing"
	fi
done

if has cmake; then
	shown=("$scratch/cmake.log")
	for name in "${components[@]}"; do
		for kind in shared static; do
			claim "CMake: torc::$name, $kind: builds and runs" \
			    by_cmake "$name" $kind
		done
	done
	claim "CMake: without components, all of them are there" all_of_it
	claim "CMake: a component that is not there is refused" \
	    refuses "REQUIRED COMPONENTS http mqtt" \
	    "has no component 'mqtt'. It has: torc,"
	claim "CMake: one that is optional is not" optional
	claim "CMake: a quiet search says so" quiet
	claim "CMake: this version is accepted" accepts "$number"
	claim "CMake: its minor version is" accepts "${number%.*}"
	claim "CMake: it exactly is" accepts "$number EXACT"
	claim "CMake: a range around it is" accepts "0.1...<9"
	for other in 0.1 99.0 "${number%.*}.99" "0.0.1...<0.1"; do
		claim "CMake: $other is refused" \
		    refuses "$other REQUIRED" "$number"
	done
else
	echo "SKIP: cmake is not installed"
fi

if has meson && has pkg-config; then
	shown=("$scratch/meson.log")
	# As pkg-config is told of a folder that was moved.
	sed -i "s|/opt/torc|$prefix|g" "$prefix/$libraries"/pkgconfig/*.pc
	export PKG_CONFIG_PATH=$prefix/$libraries/pkgconfig
	for name in "${components[@]}"; do
		for kind in shared static; do
			claim "Meson: $name, $kind: builds and runs" \
			    by_meson "$name" $kind
		done
	done
	claim "Meson: what is not there is refused" meson_refuses
else
	echo "SKIP: meson or pkg-config is not installed"
fi
[ $failed -eq 0 ]
