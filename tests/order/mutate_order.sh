#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# mutate_order.sh [all] - show that each barrier of ring/PROTOCOL.md is
# needed: weaken every use of a shared word in turn, in a scratch copy, and
# require that a proof turns red there. The copy as it is must be green.
#
# The proofs: "threads", tests/order/test_order.c under ThreadSanitizer, and "all
# ways", tests/order/interleave.c. Without `all` (`make check`), only the second
# is asked, and the files that it does not run are left out.
#
# Weaker than acquire, release and full is relaxed; weaker than relaxed is a
# plain access. Of a full one it is shown besides which half is needed.
#
# By environment: CC; JOBS, compilers at a time (2).
set -u
cd "$(dirname "$0")/../.." || exit 1
extent=${1:-short}
# What a make above us was told is not for ours.
unset MAKEFLAGS MFLAGS MAKELEVEL
CC=${CC:-gcc}
# unneeded "FILE FUNCTION LABEL": why that use may be weakened all the same.
unneeded() {
	case "$1" in
	"conn/serve.c first_error V1")
		echo "the threads that store it have been joined" ;;
	esac
}

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
cp -r Makefile sys ring reactor conn tests tools "$scratch" || exit 1
cd "$scratch" || exit 1
failed=0

fail() {
	echo "FAILED $*"
	failed=1
}

# The weaker operations; for words of any size.
sed -i '$d' sys/barrier.h
cat >>sys/barrier.h <<'END'
#define plain_load(word) (*(word))
#define plain_store(word, value) (*(word) = (value))
#define plain_replace(word, expected, value) (*(word) == *(expected) ? \
	(*(word) = (value), true) : (*(expected) = *(word), false))
#define weak_load(order, word) __atomic_load_n(word, order)
#define weak_store(order, word, value) __atomic_store_n(word, value, order)
#define weak_exchange(order, word, value) \
	__atomic_exchange_n(word, value, order)
#define weak_add(order, word, value) __atomic_add_fetch(word, value, order)
#define weak_replace(order, word, expected, value) \
	__atomic_compare_exchange_n(word, expected, value, true, order, \
	    __ATOMIC_RELAXED)

#endif
END

# "FILE LINE LABEL FUNCTION OPERATION ORDER" of every use. Behind a comment
# with several labels, the uses have them in turn.
uses() {
	awk 'FNR == 1 { count = 0; at = -9 }
		/^[a-z][a-z_0-9]*\(/ { within = $0; sub(/\(.*/, "", within) }
		{
			text = $0
			if (text ~ /(^|[^A-Z])[SCFBMKV][1-9][:,]/) {
				count = 0
				at = FNR
				used = 0
				while (match(text, /[SCFBMKV][1-9]/)) {
					label[++count] = substr(text, RSTART, 2)
					text = substr(text, RSTART + 2)
				}
			}
		}
		match($0, /torc_(load|store|exchange|replace|add)_[a-z]+_/) {
			split(substr($0, RSTART, RLENGTH), name, "_")
			if (used < count)
				used++
			print FILENAME, FNR, (FNR - at > 5 ? "none" : \
			    label[used]), within, name[2], name[3]
		}' ring/*.[ch] reactor/*.[ch] conn/*.[ch] \
		    conn/kit/*.[ch]
}

make_quietly() {
	timeout 300 make -s -j "${JOBS:-2}" "$@" >make.log 2>&1
}

# run_proof PROGRAM [ARGUMENT]: whether it is red. To run out of time is
# neither.
run_proof() {
	timeout 200 "$@" >run.log 2>&1
	local status=$?
	[ $status -ne 124 ] || fail "$1 has not ended after 200 s"
	[ $status -ne 0 ] && [ $status -ne 124 ]
}

# threads, all_ways: build a proof and run it. What turned red is left in
# `caught`; empty: green.
threads() {
	caught=
	if ! make_quietly B=threads CC="$CC" CFLAGS= LDFLAGS=-fsanitize=thread \
	    MODE="-O1 -g -fsanitize=thread" threads/tests/bin/test_order; then
		fail "it does not build: $(grep -m 1 error make.log)"
		return
	fi
	run_proof threads/tests/bin/test_order || return
	caught=$(sed -n 's/^does not hold: //p; s/^torc: //p
		s/^WARNING: ThreadSanitizer: \(.*\) (pid=.*/\1/p' run.log |
	    head -n 1)
	caught=${caught:-it failed}
}

all_ways() {
	caught=
	if ! make_quietly B=ways CC="$CC" CFLAGS=-O1 ways/tests/bin/interleave
	then
		fail "it does not build: $(grep -m 1 error make.log)"
		return
	fi
	run_proof ways/tests/bin/interleave first || return
	caught=$(sed -n 's/^FAILED [^:]*: //p' run.log)
	caught=${caught:-it failed}
}

# weaken FILE LINE OPERATION ORDER WEAKER: in place.
weaken() {
	local to="weak_$3(__ATOMIC_${5^^}, "
	[ "$5" != plain ] || to="plain_$3("
	sed -i -E "$2s/torc_$3_$4_(u16|u32|u64|ptr)\\(/$to/" "$1"
}

# try FILE LINE OPERATION ORDER WEAKER: both proofs of one weakening; what they
# say is left in by_threads and by_all_ways.
try() {
	cp "$1" before
	weaken "$@"
	by_threads="" by_all_ways=""
	if cmp -s "$1" before; then
		fail "$1:$2 is not weakened: a form that is not known here"
	else
		[ "$extent" = short ] || { threads; by_threads=$caught; }
		all_ways
		by_all_ways=$caught
	fi
	# Newer than what was built of the weakened one.
	cat before >"$1"
}

# row VERDICT LABEL FILE:LINE FUNCTION OPERATION ORDER WEAKER REASON
row() {
	local by="threads: ${by_threads:--}; all ways: ${by_all_ways:--}"
	[ -n "$by_threads$by_all_ways" ] || by=$8
	printf '%-6s %-2s  %-21s %-23s %-8s %-7s -> %-7s  %s\n' \
	    "${@:1:7}" "$by"
}

red() {
	[ -n "$by_threads$by_all_ways" ]
}

weaker_than() {
	case $1 in
	relaxed) echo plain ;;
	acquire|release|full) echo relaxed ;;
	esac
}

caught=
# The control.
[ "$extent" = short ] || threads
[ -z "$caught" ] || fail "as it is, threads: $caught"
all_ways
[ -z "$caught" ] || fail "as it is, all ways: $caught"
[ $failed -eq 0 ] || exit 1
echo "ok     as it is, the copy is green"

seen=" "
while read -r file line label within operation order; do
	[ "$label" != none ] || { fail "$file:$line has no label"; continue; }
	seen="$seen$label "
	case $extent:$file in
	short:conn/*|short:reactor/reactor.c|short:reactor/clock.c) continue ;;
	esac
	weaker=$(weaker_than "$order")
	[ -n "$weaker" ] || { fail "$file:$line: order $order"; continue; }
	try "$file" "$line" "$operation" "$order" "$weaker"
	reason=$(unneeded "$file $within $label")
	word=ok
	if red; then
		[ -z "$reason" ] || fail "needed, though $reason"
	elif [ -z "$reason" ]; then
		word=FAILED reason="nothing needs it"
		failed=1
	fi
	row $word "$label" "$file:$line" "$within()" "$operation" "$order" \
	    "$weaker" "green: $reason"
	case $order$extent in
	fullall) ;;
	*) continue ;;
	esac
	for half in acquire release; do
		try "$file" "$line" "$operation" full $half
		row "" "$label" "$file:$line" "$within()" "$operation" full \
		    $half "green: the other half is not needed"
	done
done < <(uses)

while read -r label; do
	case $seen in
	*" $label "*) ;;
	*) fail "$label has a row in PROTOCOL.md, and no use to weaken" ;;
	esac
done < <(sed -n 's/^| \([SCFBMKV][1-9]\) |.*/\1/p' ring/PROTOCOL.md)
exit $failed
