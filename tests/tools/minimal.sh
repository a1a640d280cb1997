#!/bin/sh
# minimal.sh [HELLO [SECCOMP_EXEC]] - the static HELLO (of build-static/) is
# small, runs where there is nothing but itself, and says why when io_uring is
# refused to it.
#
# Needs curl and strip, and root or user namespaces for the empty root. Without
# SECCOMP_EXEC, tests/sys/seccomp_exec.c is compiled with $CC.
set -eu

LIMIT=153600	# bytes: 150 KB
cd "$(dirname "$0")/../.." || exit 1
hello=${1:-build-static/bin/hello}
root=$(mktemp -d)
work=$(mktemp -d)
failed=0
skipped=0
server=
port=$((20000 + $$ % 10000))

finish() {
	[ -z "$server" ] || kill -KILL "$server" 2>/dev/null || :
	rm -rf "$root" "$work"
}
trap finish EXIT

claim() {	# claim TEXT COMMAND...: the command proves the text
	text=$1
	shift
	if "$@"; then
		echo "ok      $text"
	else
		echo "FAILED  $text"
		[ ! -s "$work/err" ] || sed 's/^/        stderr: /' "$work/err"
		failed=$((failed + 1))
	fi
}

skip() {
	echo "SKIP: $1"
	skipped=$((skipped + 1))
}

lines() {
	[ "$(wc -l < "$work/err")" -eq "$1" ]
}

start() {	# start COMMAND...: until it says that it is ready
	port=$((port + 1))
	: > "$work/err"
	"$@" -l "127.0.0.1:$port" -r 1 > "$work/out" 2> "$work/err" &
	server=$!
	i=0
	while lines 0 && kill -0 "$server" 2>/dev/null && [ $i -lt 100 ]; do
		sleep 0.1
		i=$((i + 1))
	done
	lines 1 && kill -0 "$server" 2>/dev/null
}

answers() {
	code=$(curl -s -m 10 -o /dev/null -w '%{http_code}' \
		"http://127.0.0.1:$port/") || :
	[ "$code" = 200 ]
}

stops() {	# on SIGTERM, with status 0 and without another word
	status=0
	kill -TERM "$server" 2>/dev/null || :
	# A server that does not stop is killed, and its status is not 0.
	( sleep 10; kill -KILL "$server" ) > /dev/null 2>&1 &
	watchdog=$!
	wait "$server" || status=$?
	kill "$watchdog" 2>/dev/null || :
	server=
	[ $status -eq 0 ] && lines 1
}

small() {
	cp "$hello" "$work/stripped"
	"${STRIP:-strip}" "$work/stripped"
	size=$(wc -c < "$work/stripped")
	echo "        $size bytes of $LIMIT"
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
		> "$work/out" 2> "$work/err" || status=$?
	[ $status -eq 78 ] && lines 1 && [ ! -s "$work/out" ] &&
		grep -q "io_uring_setup: $name: blocked by a seccomp filter" \
			"$work/err" && grep -q 'Seccomp: 2' "$work/err" &&
		! grep -q 'too old\|CONFIG_IO_URING\|switched off' "$work/err"
}

# Room for the first of four rings: a user that no one else is, since rings
# are charged to their user.
# shellcheck disable=SC3045
refused_later() {
	status=0
	( ulimit -l 64 && exec timeout -k 5 20 setpriv --reuid=64321 \
		--regid=64321 --clear-groups --bounding-set=-all "$@" \
		-l "127.0.0.1:$port" -r 4 ) > "$work/out" 2> "$work/err" ||
		status=$?
	[ $status -eq 78 ] && lines 1 && [ ! -s "$work/out" ] && grep -q \
		'RLIMIT_MEMLOCK 64 KiB.*: raise RLIMIT_MEMLOCK' "$work/err"
}

seccomp=${2:-}
if [ -z "$seccomp" ]; then
	seccomp=$work/seccomp_exec
	${CC:-cc} -D_GNU_SOURCE -o "$seccomp" tests/sys/seccomp_exec.c
fi
cp "$hello" "$root/hello"
chmod 755 "$root" "$root/hello"
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
if [ "$(id -u)" -ne 0 ] || ! command -v setpriv > /dev/null; then
	skip "a user whose locked memory is short needs root and setpriv"
elif [ "$(printf '%s\n' 6.14 "$(uname -r)" | sort -V | head -n 1)" != 6.14 ]
then
	skip "this kernel charges no locked memory for rings"
else
	claim "a later ring that may not be locked: status 78, one line" \
		refused_later "$root/hello"
fi

echo "minimal: $failed failed, $skipped skipped"
[ $failed -eq 0 ]
