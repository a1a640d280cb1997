#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# differential.sh - the simulation and the kernel that runs here agree about
# what scenarios come to.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh

agree() {
	"$B/tests/bin/sim" outcomes >"$scratch/simulated" &&
	    [ -s "$scratch/real" ] && diff "$scratch/simulated" "$scratch/real"
}

"$B/tests/bin/sim_real" >"$scratch/real"
claim "the simulation and $(uname -r) agree about $(grep -c ': ' \
    "$scratch/real") scenarios" agree
[ $failed -eq 0 ]
