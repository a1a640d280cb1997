#!/usr/bin/env bash
# starting.sh - what a program says when it is ready: where it listens, how many
# reactors it has and why, how many descriptors it may open.
#
# The program is echo of $B (build). Only processes and cgroups that were made
# here are ended.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
failed=0
child=
group=
scratch=$(mktemp -d) || exit 1

finish() {
	[ -z "$child" ] || kill -9 "$child" 2>/dev/null
	wait 2>/dev/null
	[ -z "$group" ] || rmdir "$group/below" "$group" 2>/dev/null
	rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# says PATTERN OPTION...: run echo (through $through) until it has said
# something, end it, and compare. $said is the line.
through=()
said=
says() {
	local pattern=$1 tries=400
	shift
	: >"$scratch/said"	# here: what was said before is no answer
	"${through[@]}" "$B/bin/echo" "$@" 2>>"$scratch/said" </dev/null &
	child=$!
	while ! grep -q . "$scratch/said" && [ $tries -gt 0 ]; do
		tries=$((tries - 1))
		sleep 0.05
	done
	kill "$child"
	wait "$child"
	child=
	said=$(cat "$scratch/said")
	[[ $said =~ ^$pattern$ ]]
}

# claim TEXT COMMAND...
claim() {
	local text=$1
	shift
	if "$@"; then
		echo "ok $text"
	else
		echo "FAILED $text"
		echo "    $said"
		failed=$((failed + 1))
	fi
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
exit $((failed > 0))
