#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# replay.sh - every fuzz target takes its seeds, under the sanitizers.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh

for source in tests/fuzz/fuzz_*.c; do
	name=$(basename "$source" .c)
	name=${name#fuzz_}
	claim "$name takes its seeds" timeout 60 "$B/tests/fuzz/$name" \
	    "tests/fuzz/$name"/*.txt
done
[ $failed -eq 0 ]
