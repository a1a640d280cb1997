#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh [PROGRAM...] - run test programs, and say in one line how it went.
#
# Without arguments, all of $B/tests/bin/test_* (B: build). A PROGRAM is one of
# them, or a script that prints "ok NAME" and "FAILED NAME" lines. A line for
# each; the output of those that failed; "N passed, N failed, N skipped" as the
# last line. A skip is a part of a test, or a whole one.
# What a program could not prove here ("SKIP: why") is printed, too. The exit
# status is 0 when nothing failed.
#
# By environment: JOBS, programs at a time (2); LIMIT, seconds that one program
# may take (300) before it is ended, by its own process group.
set -u
LIMIT=${LIMIT:-300}

# "PASSED FAILED" of the output in file $1. cmocka lists what failed a second
# time behind each group; what was running when the program died has failed.
count() {
	awk '
		/^\[==========\] Running/ { inside = 1 }
		/^\[==========\] .* run\.$/ { inside = 0 }
		/^\[ RUN      \]/ { running = 1 }
		/^\[  SKIPPED \]/ { running = 0 }
		/^(\[       OK \]|ok) / { passed++; running = 0 }
		/^FAILED / || (inside && /^\[  FAILED  \] /) {
			failed++
			running = 0
		}
		END { print passed + 0, failed + running }' "$1"
}

# run.sh --one LOGS PROGRAM: the log and the counts of it go to LOGS.
run_one() {
	local logs=$1 program=$2 name=${2##*/} start=$EPOCHREALTIME status=0
	local word=ok why="" ms passed failed
	{ timeout -k 5 "$LIMIT" "$program" >"$logs/$name" 2>&1 </dev/null; } \
	    2>/dev/null || status=$?
	ms=$(((${EPOCHREALTIME/[.,]/} - ${start/[.,]/}) / 1000))
	read -r passed failed < <(count "$logs/$name")
	if [ $status -ne 0 ] || [ "$failed" -gt 0 ] || [ "$passed" -eq 0 ]; then
		word=FAILED
		case $status in
		0) [ "$((passed + failed))" -gt 0 ] || why=", no tests" ;;
		124|137) why=", ended after $LIMIT s" ;;
		*) why=", status $status" ;;
		esac
		# It has died, or run nothing: that is a failure of its own.
		[ "$failed" -gt 0 ] || failed=1
		mv "$logs/$name" "$logs/$name.failed"
	fi
	printf '%-6s  %-20s %3d tests  %3d.%d s%s\n' $word "$name" \
	    $((passed + failed)) $((ms / 1000)) $((ms % 1000 / 100)) "$why"
	grep -hE '^ *SKIP' "$logs/$name" "$logs/$name.failed" 2>/dev/null |
	    sed 's/^ */        /'
	echo "$passed $failed" >"$logs/$name.count"
}

if [ "${1:-}" = --one ]; then
	run_one "$2" "$3"
	exit 0
fi
[ $# -gt 0 ] || set -- "${B:-build}"/tests/bin/test_*
for program in "$@"; do
	# Not the dependency files that lie beside them.
	[ -x "$program" ] || { echo "run.sh: $program: not built" >&2; exit 2; }
done
logs=$(mktemp -d) || exit 2
trap 'rm -rf "$logs"' EXIT
export LIMIT
printf '%s\0' "$@" |
    xargs -0 -n 1 -P "${JOBS:-2}" "$0" --one "$logs"
for log in "$logs"/*.failed; do
	[ -e "$log" ] || continue
	name=${log##*/}
	echo
	echo "---- ${name%.failed}"
	sed '/^\[ RUN      \]/d; /^\[       OK \]/d' "$log" | tail -n 200
done
# What could not be shown here: the reasons stand above.
skipped=$(cat "$logs"/* | grep -cE '^ *SKIP')
cat "$logs"/*.count | awk -v programs=$# -v skipped="$skipped" '
	{ passed += $1; failed += $2 }
	END {
		# One whose counts are missing was lost.
		failed += programs - NR
		printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
		exit failed > 0
	}'
