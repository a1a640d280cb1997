#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# lint.sh [SUBJECT] - rules of the source that a machine can check, by subject
# in tests/lint/. What may break one all the same stands in tests/lint/allowed.
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

# but RULE: of the standard input, what is not allowed to break the rule.
but() {
	awk -v rule="$1" 'NR == FNR {
			if ($1 == rule ":")
				allowed[$2] = 1
			next
		}
		{ key = $1; sub(/:.*/, "", key) }
		!(key in allowed)' tests/lint/allowed -
}

for part in tests/lint/${1:-*}.sh; do
	# shellcheck source=/dev/null
	. "$part"
done
exit $failed
