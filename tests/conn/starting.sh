#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# starting.sh - what a program says when it is ready: where it listens, how many
# reactors it has and why, how many descriptors it may open.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
group=
# And the cgroup, when the programs have left it.
leave() {
	finish
	[ -z "$group" ] || rmdir "$group/below" "$group" 2>/dev/null
}
trap leave EXIT

# says PATTERN OPTION...: run echo (through $through) until it has said
# something, end it, and compare.
through=()
says() {
	local pattern=$1 said
	shift
	begins words "${through[@]}" "$B/bin/echo" "$@"
	until_it 400 grep -q . "$scratch/words"
	kill_all "$pid"
	forget "$pid"
	said=$(cat "$scratch/words")
	echo "$said"
	[[ $said =~ ^$pattern$ ]]
}

# quota TENTHS: of a CPU, for a cgroup above the one that `through` enters.
quota() {
	local base
	for base in /sys/fs/cgroup/cpu /sys/fs/cgroup; do
		group=$base/torc-starting-$$
		mkdir "$group" 2>/dev/null && mkdir "$group/below" || continue
		if [ -e "$group/cpu.cfs_quota_us" ]; then
			echo 100000 >"$group/cpu.cfs_period_us" &&
			    echo "$1"0000 >"$group/cpu.cfs_quota_us" && return
		elif [ -e "$group/cpu.max" ]; then
			echo "$1"0000 100000 >"$group/cpu.max" && return
		fi
		rmdir "$group/below" "$group"
	done
	group=
	return 1
}

cpus=$(nproc)
limit=$(ulimit -Hn)
[ "$limit" = unlimited ] && limit='[0-9]+'
any='[0-9]+'
where="echo: ready on unix:$scratch/s, with"

claim "a program says how many reactors it has, and why" says \
    "$where $any reactors? \((CPU quota [0-9.]+ of cgroup .*, and )?$cpus CPUs? (is|are) allowed\) and up to $any descriptors" \
    -l "unix:$scratch/s"
claim "a number that was asked for needs no reason" says \
    "$where 3 reactors and up to $any descriptors" -r 3 -l "unix:$scratch/s"
claim "it may open as many descriptors as the hard limit allows" says \
    ".* and up to $limit descriptors" -r 1 -l "unix:$scratch/s"
claim "all addresses are named, an abstract one as it was written" says \
    "echo: ready on 127.0.0.1:0 unix:@torc-starting-$$, with .*" -r 1 \
    -l 127.0.0.1:0 -l "unix:@torc-starting-$$"
if [ "$cpus" -lt 2 ] || ! quota 7 2>/dev/null; then
	echo "SKIP: a quota: there is one CPU, or no cgroup can be made"
else
	through=(sh -c "echo \$\$ >$group/below/cgroup.procs; exec \"\$@\"" sh)
	claim "in a cgroup with a quota there are as many as it has CPUs" says \
	    "$where 1 reactor \(CPU quota 0.70 of cgroup .*/torc-starting-$$, and $cpus CPUs are allowed\) and .*" \
	    -l "unix:$scratch/s"
fi
[ $failed -eq 0 ]
