#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# deb.sh - `make deb` makes five packages that lintian accepts, that have all
# that `make install` installs, each its part, and that a program builds with.
#
# The packages are made of what is built in $B, so that this is short; without
# DEB_BUILD, `make deb` builds all of it again, as Debian does. They are
# unpacked into a folder of their own. Where Debian's tools are not installed,
# it is a line "SKIP: why".
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
CC=${CC:-cc}
CC=${CC##* }
unset MAKEFLAGS MFLAGS MAKELEVEL
export LC_ALL=C DEB_BUILD_OPTIONS=noautodbgsym
made=$scratch/b/deb
root=$scratch/root
number=$(sed -n 's/^VERSION := //p' Makefile)
for tool in dpkg-buildpackage dh dpkg-deb lintian; do
	has $tool && continue
	echo "SKIP: $tool is not installed: no package is made"
	exit 0
done

makes() {
	make -s B="$scratch/b" DEB_BUILD="$B" deb &&
	    [ "$(ls "$made"/*.deb | wc -l)" -eq 5 ]
}

package() {	# package NAME: its file
	ls "$made/$1_${number}_"*.deb
}

versions() {
	local name
	for name in libtorc0 libtorc-dev torc-tools torc-servers torc-doc; do
		[ "$(dpkg-deb -f "$(package $name)" Version)" = "$number" ] ||
		    return 1
	done
}

# The pages are mandoc's: looking at them is half of lintian's time.
clean() {
	lintian --allow-root --no-cfg --fail-on error -X documentation/manual \
	    "$made"/*.changes
}

unpacks() {
	local file
	for file in "$made"/*.deb; do
		dpkg-deb -x "$file" "$root" || return 1
	done
}

# holds NAME PATTERN...: each is in it, and in no other package.
holds() {
	local name=$1 pattern file
	shift
	for pattern; do
		for file in "$made"/*.deb; do
			dpkg-deb -c "$file" | awk '{ print $6 }' |
			    grep -qE "^\\./$pattern\$" && echo "$file"
		done >"$scratch/holders"
		[ "$(cat "$scratch/holders")" = "$(package "$name")" ] || {
			echo "$pattern: $(cat "$scratch/holders")"
			return 1
		}
	done
}

depends() {	# depends NAME PACKAGE
	dpkg-deb -f "$(package "$1")" Depends | tr ',' '\n' |
	    grep -E "^ *$2( |\$)"
}

flags() {
	PKG_CONFIG_SYSROOT_DIR=$root PKG_CONFIG_LIBDIR=$(ls -d \
	    "$root"/usr/lib/*/pkgconfig) pkg-config "$@"
}

# builds LIBRARY [-static]
builds() {
	cat >"$scratch/try.c" <<-'C'
	#include <stdio.h>
	#include <torc_service.h>
	int main(int argc, char **argv)
	{
		struct torc_routes *routes;

		(void)argv;
		if (argc > 1 && torc_routes_create(&routes) < 0)
			return 1;
		return puts(torc_version()) < 0;
	}
	C
	# shellcheck disable=SC2046,SC2086
	"$CC" ${1:-} -o "$scratch/try" "$scratch/try.c" \
	    $(flags ${1:+--static} --cflags --libs torc-http)
}

runs() {
	[ "$(LD_LIBRARY_PATH=$(echo "$root"/usr/lib/*-gnu) \
	    "$scratch/try")" = "$number" ]
}

tools_run() {
	"$root/usr/bin/ringstat" --version | grep "$number"
}

index_leads() {
	local index
	index=$(sed -n 's/^Index: //p' "$root"/usr/share/doc-base/torc*)
	[ -s "$root/$index" ]
}

claim "make deb makes five packages" makes
[ $failed -eq 0 ] || exit 1
claim "they have the version of torc" versions
claim "lintian finds no error in them" clean
claim "they can be unpacked together" unpacks
claim "libtorc0 has the shared libraries" holds libtorc0 \
    'usr/lib/[^/]*/libtorc\.so\.0' 'usr/lib/[^/]*/libtorc-http\.so\.0'
claim "libtorc-dev has headers, static libraries, pkg-config and CMake" \
    holds libtorc-dev usr/include/torc.h 'usr/lib/[^/]*/libtorc\.a' \
    'usr/lib/[^/]*/libtorc\.so' 'usr/lib/[^/]*/pkgconfig/torc\.pc' \
    'usr/lib/[^/]*/cmake/torc/torc-config\.cmake'
claim "it needs libtorc0" depends libtorc-dev libtorc0
claim "libtorc0 needs libc" depends libtorc0 libc6
claim "torc-tools has ringstat with its manual" holds torc-tools \
    usr/bin/ringstat usr/share/man/man1/ringstat.1.gz
claim "torc-servers has the servers with TLS, with their manual" \
    holds torc-servers usr/bin/hello-tls usr/bin/files-tls \
    usr/bin/proxy-tls 'usr/share/man/man1/proxy-tls\.1\.gz.*'
claim "it needs libssl, which ringstat does not" \
    eval 'depends torc-servers libssl3 && ! depends torc-tools libssl3'
claim "torc-doc has the manual, also as HTML" holds torc-doc \
    usr/share/man/man3/torc_serve.3.gz usr/share/man/man7/torc.7.gz \
    usr/share/doc/torc/html/index.html
claim "its index leads there" index_leads
if has pkg-config; then
	claim "a program builds with them" builds
	claim "it runs with libtorc0's libraries" runs
	claim "it builds statically, too" builds -static
	claim "and runs" runs
else
	echo "SKIP: a program needs pkg-config"
fi
claim "ringstat runs" tools_run
[ $failed -eq 0 ]
