#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# minimal.sh [HELLO [SECCOMP_EXEC]] - the static HELLO (of build-static/) is
# small, runs where there is nothing but itself, and says why when io_uring is
# refused to it.
#
# Needs curl and strip, and root or user namespaces for the empty root. Without
# SECCOMP_EXEC, tests/sys/seccomp_exec.c is compiled with $CC.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
LIMIT=153600	# bytes: 150 KB
hello=${1:-build-static/bin/hello}
root=$scratch/root
shown=("$scratch/err")

skip() {
	echo "SKIP: $1"
}

lines() {
	[ "$(wc -l <"$scratch/err")" -eq "$1" ]
}

start() {	# start COMMAND...: until it says that it is ready
	fresh_port
	: >"$scratch/err"
	"$@" -l "127.0.0.1:$port" -r 1 >"$scratch/out" 2>"$scratch/err" &
	pid=$!
	children+=("$pid")
	until_it 200 said_or_gone
	lines 1 && ! gone "$pid"
}

said_or_gone() {
	! lines 0 || gone "$pid"
}

answers() {
	[ "$(curl -s -m 10 -o /dev/null -w '%{http_code}' \
		"http://127.0.0.1:$port/")" = 200 ]
}

stops() {	# on SIGTERM, with status 0 and without another word
	ends "$pid" && lines 1
}

small() {
	cp "$hello" "$scratch/stripped"
	"${STRIP:-strip}" "$scratch/stripped"
	size=$(wc -c <"$scratch/stripped")
	echo "$size bytes of $LIMIT"
	[ "$size" -le $LIMIT ]
}

alone() {
	[ "$(find "$root" -mindepth 1)" = "$root/hello" ]
}

refused() {	# refused ERRNO COMMAND...: status 78 and one line with it
	name=$1
	shift
	status=0
	timeout -k 5 20 "$seccomp" "$name" "$@" -l "127.0.0.1:$port" -r 1 \
		> "$scratch/out" 2>"$scratch/err" || status=$?
	[ $status -eq 78 ] && lines 1 && [ ! -s "$scratch/out" ] &&
		grep -q "io_uring_setup: $name: blocked by a seccomp filter" \
			"$scratch/err" && grep -q 'Seccomp: 2' "$scratch/err" &&
		! grep -q 'too old\|CONFIG_IO_URING\|switched off' "$scratch/err"
}

# Room for the first of four rings: a user that no one else is, since rings
# are charged to their user.
# shellcheck disable=SC3045
refused_later() {
	status=0
	( ulimit -l 64 && exec timeout -k 5 20 setpriv --reuid=64321 \
		--regid=64321 --clear-groups --bounding-set=-all "$@" \
		-l "127.0.0.1:$port" -r 4 ) >"$scratch/out" 2>"$scratch/err" ||
		status=$?
	[ $status -eq 78 ] && lines 1 && [ ! -s "$scratch/out" ] && grep -q \
		'RLIMIT_MEMLOCK 64 KiB.*: raise RLIMIT_MEMLOCK' "$scratch/err"
}

seccomp=${2:-}
if [ -z "$seccomp" ]; then
	seccomp=$scratch/seccomp_exec
	${CC:-cc} -D_GNU_SOURCE -o "$seccomp" tests/sys/seccomp_exec.c
fi
mkdir "$root"
cp "$hello" "$root/hello"
chmod 755 "$scratch" "$root" "$root/hello"
if [ "$(id -u)" -eq 0 ]; then
	enter='chroot'
elif unshare --map-root-user true 2>/dev/null; then
	enter='unshare --map-root-user chroot'
else
	enter=
fi

claim "stripped, it has at most 150 KB" small

# $enter is a command and its options: it is to be split.
# shellcheck disable=SC2086
if [ -n "$enter" ]; then
	claim "the empty root has one file, the program" alone
	claim "it starts there and says so in one line" \
		start $enter "$root" /hello
	claim "it answers a request there" answers
	claim "SIGTERM ends it there with status 0" stops
	for name in EPERM ENOSYS; do
		claim "there too, a filter that returns $name is named" \
			refused $name $enter "$root" /hello
	done
else
	skip "an empty root needs root or user namespaces"
fi

claim "under a filter that refuses nothing, it starts" \
	start "$seccomp" allow "$hello"
claim "and answers" answers
claim "and SIGTERM ends it with status 0" stops
for name in EPERM ENOSYS EOPNOTSUPP; do
	claim "a filter that returns $name: status 78, one line that names it" \
		refused $name "$hello"
done

# Since Linux 6.14 (or a backport) the memory is charged.
if [ "$(id -u)" -ne 0 ] || ! has setpriv; then
	skip "a user whose locked memory is short needs root and setpriv"
elif [ "$(printf '%s\n' 6.14 "$(uname -r)" | sort -V | head -n 1)" != 6.14 ]
then
	skip "this kernel charges no locked memory for rings"
else
	claim "a later ring that may not be locked: status 78, one line" \
		refused_later "$root/hello"
fi

[ $failed -eq 0 ]
