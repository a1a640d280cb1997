#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# pooler_new.sh - the tests behind PgBouncer once more, with one that follows
# prepared statements (1.21 and later), which Debian 12 does not have: the
# source of Debian's next release is fetched by apt, with lists of its own, and
# what is built stays in $B. Needs the network, and libevent-dev.
set -eu
cd "$(dirname "$0")/../.."
B=${B:-build}
release=${RELEASE:-trixie}
mirror=${MIRROR:-http://deb.debian.org/debian}
program=$PWD/$B/pgbouncer
at=$(mktemp -d /tmp/torc-pooler-XXXXXX)
trap 'rm -rf "$at"' EXIT
chmod 755 "$at"

fetch() {
	mkdir -p "$at/lists/partial" "$at/cache/archives/partial"
	: >"$at/status"
	echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
	    "$mirror $release main" >"$at/sources.list"
	set -- -q -o "Dir::State::lists=$at/lists" \
	    -o "Dir::State::status=$at/status" -o "Dir::Cache=$at/cache" \
	    -o "Dir::Etc::SourceList=$at/sources.list" \
	    -o Dir::Etc::SourceParts=/dev/null
	apt-get "$@" update
	(cd "$at" && apt-get "$@" source --download-only pgbouncer &&
	    tar xzf pgbouncer_*.orig.tar.gz)
}

build() (
	cd "$at"/pgbouncer-*/ &&
	    ./configure --without-cares --without-systemd --without-pam &&
	    make -s pgbouncer && cp pgbouncer "$program"
)

if [ ! -x "$program" ]; then
	if [ ! -e /usr/include/event2/event.h ]; then
		echo "pooler_new.sh: apt-get install libevent-dev" >&2
		exit 1
	fi
	if ! { fetch && build; } >"$at/log" 2>&1; then
		tail -n 20 "$at/log" >&2
		exit 1
	fi
fi
"$program" --version | head -n 1
# The user of PostgreSQL runs it, and must find it.
cp "$program" "$at/pgbouncer"
PGBOUNCER=$at/pgbouncer "$B/tests/bin/test_pg_pooler"
