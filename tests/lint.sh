#!/usr/bin/env bash
# lint.sh [SUBJECT] - rules of the source that a machine can check, by subject
# in tests/lint/.
#
# The libraries whose names are looked at are those of $B (build).
set -u
cd "$(dirname "$0")/.." || exit 1
B=${B:-build}
failed=0
shopt -s lastpipe	# claim, the end of a pipe, sets it

# claim TEXT: the standard input, where the text does not hold, is empty.
claim() {
	text=$1
	hits=$(cat)
	if [ -z "$hits" ]; then
		echo "ok $text"
	else
		echo "FAILED $text"
		echo "$hits" | head -20
		failed=1
	fi
}

for part in tests/lint/${1:-*}.sh; do
	# shellcheck source=/dev/null
	. "$part"
done
exit $failed
