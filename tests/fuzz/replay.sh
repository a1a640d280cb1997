#!/bin/sh
# replay.sh - every fuzz target takes its seeds, under the sanitizers.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
failed=0

for source in tests/fuzz/fuzz_*.c; do
	name=$(basename "$source" .c)
	name=${name#fuzz_}
	if timeout 60 "$B/tests/fuzz/$name" "tests/fuzz/$name"/*.txt; then
		echo "ok $name takes its seeds"
	else
		echo "FAILED $name takes its seeds"
		failed=1
	fi
done
exit $failed
