#!/bin/sh
# differential.sh - the simulation and the kernel that runs here agree about
# what scenarios come to. B: the build folder.
set -u
B=${B:-build}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

if "$B/tests/bin/sim" outcomes >"$work/simulated" &&
    "$B/tests/bin/sim_real" >"$work/real" && [ -s "$work/real" ] &&
    cmp -s "$work/simulated" "$work/real"; then
	echo "ok the simulation and $(uname -r) agree about" \
	    "$(grep -c ': ' "$work/real") scenarios"
else
	echo "FAILED the simulation and $(uname -r) agree"
	diff "$work/simulated" "$work/real"
	exit 1
fi
