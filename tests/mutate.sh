#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# mutate.sh [--apply-only] [NAME...] - break torc's rules of lifetime one at a
# time, and see that the suite notices.
#
# A file of tests/mutations/ is one mutation: what rule it breaks; "try:" with
# the programs that should notice, which are run first; and for each place
# "in: FILE", the whole lines that stand there ("was:") and those that take
# their place ("now:" ... "end"). Lines that are not found exactly once are an
# error: the mutation is to be brought up to date. "survives: WHY" explains one
# that no test can notice.
#
# Each is applied to a scratch copy of the tree, which is built, and the test
# programs run until one of them is red. A program that is still running after
# $LIMIT seconds (240) has noticed nothing: a test has to have a limit of its
# own. One line for each mutation; the exit status is 0 if all were noticed, or
# are explained. --apply-only only looks whether all can still be applied.
#
# By environment: PROGRAMS, those of tests/ that are run (all of */test_*.c);
# JOBS, mutations at a time (2).
set -u
cd "$(dirname "$0")/.." || exit 2
LIMIT=${LIMIT:-240}
export LIMIT TORC_HANG=${TORC_HANG:-15}

mutations=$PWD/tests/mutations

die() {
	echo "mutate.sh: $*" >&2
	exit 2
}

# read_mutation NAME: try, survives, and the files that it changes.
read_mutation() {
	try=$(sed -n 's/^try://p' "$mutations/$1")
	survives=$(sed -n 's/^survives: //p' "$mutations/$1")
	mapfile -t file < <(sed -n 's/^in: //p' "$mutations/$1")
}

# apply_mutation NAME: to the tree that is the current folder.
apply_mutation() {
	awk -v write=1 -f "${mutations%/*}/mutate.awk" "$mutations/$1"
}

# build PROGRAM...: in the tree that is the current folder.
build() {
	# A mutation may leave something unused behind.
	"${MAKE:-make}" -s MODE=-w CFLAGS="-O1 -g" \
	    "${@/#/build/tests/bin/}" >build.log 2>&1
}

# run_program NAME: 0 green, 1 red, 2 ended by the limit; `test`, which one. A
# test that was not expected to notice has to be red twice: it may have failed
# for another reason.
run_program() {
	local status=0
	run_once "$1" || status=$?
	if [ $status -eq 1 ] && [[ " $try " != *" $1 "* ]]; then
		status=0
		run_once "$1" || status=$?
	fi
	return $status
}

# run_once NAME: the same, once.
run_once() {
	local pid status=0 log=$PWD/test.log
	: >"$log"
	timeout -k 1 "$LIMIT" "build/tests/bin/$1" >"$log" 2>&1 </dev/null &
	pid=$!
	# What comes after the first failure adds nothing.
	while kill -0 $pid 2>/dev/null; do
		if grep -q '^\[  FAILED  \]' "$log"; then
			kill $pid 2>/dev/null
			break
		fi
		sleep 0.2
	done
	wait $pid 2>/dev/null || status=$?
	test=$(sed -n 's/^\[  FAILED  \] \([a-z0-9_]*\)$/\1/p' "$log" |
	    head -n 1)
	[ -n "$test" ] || test=$(sed -n 's/^FAILED //p' "$log" | head -n 1)
	[ -z "$test" ] || return 1
	[ $status -ne 0 ] || return 0
	test=$(sed -n 's/^\[ RUN      \] //p' "$log" | tail -n 1)
	case $status in
	124|137) return 2 ;;
	esac
	return 1
}

# ordered: the programs of `try` first, then the others.
ordered() {
	local program
	for program in $try; do
		echo "$program"
	done
	for program in $PROGRAMS; do
		case " $try " in
		*" $program "*) ;;
		*) echo "$program" ;;
		esac
	done
}

# verdict_of NAME: in the tree that is the current folder.
verdict_of() {
	local program
	verdict=survived by=$survives
	for program in $(ordered); do
		if ! build "$program"; then
			verdict=BROKEN by=$(grep -m1 error build.log)
			return
		fi
		# The shell says of those that abort that they did.
		run_program "$program" 2>/dev/null
		case $? in
		1) verdict=caught by="$program: ${test:-its end}"; return ;;
		2) verdict=HUNG by="$program: $test"; return ;;
		esac
	done
	[ -n "$survives" ] || verdict=SURVIVED
}

# mutate.sh --one SCRATCH NAME: in the copy of this place in the queue.
one() {
	local i start=$EPOCHREALTIME ms
	mutations=$1/tree/tests/mutations
	cd "$1/work.$SLOT" || exit 2
	read_mutation "$2"
	apply_mutation "$2" || exit 1
	verdict_of "$2"
	for i in "${!file[@]}"; do
		cp "$1/tree/${file[i]}" "${file[i]}"
	done
	ms=$(((${EPOCHREALTIME/[.,]/} - ${start/[.,]/}) / 1000))
	printf '%-8s  %-42s %3d.%d s  %s\n' $verdict "$2" $((ms / 1000)) \
	    $((ms % 1000 / 100)) "$by"
	echo $verdict >>"$1/verdicts.$SLOT"
}

copy_tree() {
	mkdir -p "$1" &&
	    cp -r Makefile README.md sys ring reactor conn tests tools "$1"
}

if [ "${1:-}" = --one ]; then
	one "$2" "$3"
	exit
fi
only=
if [ "${1:-}" = --apply-only ]; then
	only=yes
	shift
fi
if [ $# -eq 0 ]; then
	set -- "$mutations"/*
	set -- "${@##*/}"
fi
if [ -n "$only" ]; then
	exec awk -f tests/mutate.awk "${@/#/$mutations/}"
fi
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
copy_tree "$scratch/tree" || exit 2
if [ -z "${PROGRAMS:-}" ]; then
	PROGRAMS=$(basename -s .c -a tests/*/test_*.c | tr '\n' ' ')
fi
export PROGRAMS

cp -r "$scratch/tree" "$scratch/work.0" && cd "$scratch/work.0" || exit 2
# shellcheck disable=SC2086 # words on purpose
MAKEFLAGS="${MAKEFLAGS:-} -j${JOBS:-2}" build $PROGRAMS || { cat build.log >&2; die "the tree does not build"; }
# shellcheck disable=SC2046,SC2086 # words on purpose
tests/run.sh $(printf 'build/tests/bin/%s ' $PROGRAMS) >test.log ||
    { cat test.log >&2; die "the suite is not green without a mutation"; }
echo "without a mutation: $(tail -n 1 test.log)"
cd - >/dev/null || exit 2
for i in $(seq 1 $((${JOBS:-2} - 1))); do
	cp -a "$scratch/work.0" "$scratch/work.$i" || exit 2
done
start=$SECONDS
printf '%s\0' "$@" | xargs -0 -n 1 -P "${JOBS:-2}" \
    --process-slot-var=SLOT \
    "$scratch/tree/tests/mutate.sh" --one "$scratch"
cat "$scratch"/verdicts.* | awk -v total=$# -v seconds=$((SECONDS - start)) '
	{ n[$1]++ }
	END {
		printf "%d mutations: %d caught, %d survived as explained, " \
		    "%d without being noticed, %d hung, %d broken (%d s)\n",
		    total, n["caught"], n["survived"], n["SURVIVED"],
		    n["HUNG"], total - NR + n["BROKEN"], seconds
		exit n["caught"] + n["survived"] < total
	}'
