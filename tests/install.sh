#!/bin/sh
# SPDX-License-Identifier: MIT
# install.sh - install what `make check` needs, if something is missing (on
# Debian, as root). Says nothing unless it fails.
set -u

# What is looked for, and the package that has it. A path is a file, anything
# else a command.
missing() {
	while read -r what package; do
		case $what in
		/*) [ -e "$what" ] ;;
		*) command -v "$what" >/dev/null 2>&1 ;;
		esac || echo "$package"
	done <<-LIST | sort -u
		/usr/include/cmocka.h libcmocka-dev
		/usr/include/cjson/cJSON.h libcjson-dev
		/usr/include/valgrind/valgrind.h valgrind
		/usr/include/http_parser.h libhttp-parser-dev
		/usr/include/hiredis/hiredis.h libhiredis-dev
		/usr/include/openssl/evp.h libssl-dev
		/usr/include/postgresql/libpq-fe.h libpq-dev
		/usr/include/linux/io_uring.h linux-libc-dev
		/usr/include/liburing.h liburing-dev
		/usr/include/uv.h libuv1-dev
		ab apache2-utils
		/usr/share/build-essential/list build-essential
		busybox busybox
		c++ g++
		clang-format clang-format
		cmake cmake
		ctags universal-ctags
		curl curl
		dh debhelper
		fio fio
		gdb gdb
		gnutls-cli gnutls-bin
		h2load nghttp2-client
		haproxy haproxy
		ip iproute2
		lintian lintian
		memcached memcached
		meson meson
		/usr/share/i18n/locales/ps_AF locales
		mandoc mandoc
		musl-gcc musl-tools
		/bin/nc.openbsd netcat-openbsd
		nginx nginx-light
		node nodejs
		openssl openssl
		perf linux-perf
		pkg-config pkgconf
		podman podman
		promtool prometheus
		python3 python3
		/usr/lib/python3/dist-packages/jsonschema python3-jsonschema
		redis-server redis-server
		shellcheck shellcheck
		sslscan sslscan
		/usr/lib/postgresql/15/bin/postgres postgresql-15
		/usr/share/i18n/locales/de_DE locales
		pgbouncer pgbouncer
		strace strace
		setpriv util-linux
		strip binutils
		taskset util-linux
		testssl testssl.sh
		tmux tmux
		valgrind valgrind
		wrk wrk
	LIST
}

# Servers are installed under sbin, where a user's PATH may not look.
PATH=$PATH:/usr/sbin:/sbin
packages=$(missing)
[ -n "$packages" ] || exit 0
# shellcheck disable=SC2086 # words on purpose
set -- $packages

if ! command -v apt-get >/dev/null 2>&1; then
	echo "install.sh: the tests need (as Debian calls it): $*" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "install.sh: the tests need: apt-get install $*" >&2
	exit 1
fi
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# The tests start the servers that they need: Debian is not to do it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$log" "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
fi
if ! { apt-get update &&
    apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1; then
	cat "$log" >&2
	echo "install.sh: could not install: $*" >&2
	exit 1
fi
packages=$(missing)
if [ -n "$packages" ]; then
	# shellcheck disable=SC2086
	echo "install.sh: installed, and still missing:" $packages >&2
	exit 1
fi
