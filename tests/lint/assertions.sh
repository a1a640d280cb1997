# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# assertions.sh - what functions take for granted is said in them.
#
# Assertions: one for each function on average, in conn/ one for two; and never
# fewer than tests/lint/assertions says ("LAYER AT-LEAST FUNCTIONS").

count() {	# count PATTERN LAYER
	cat "$2"/*.[ch] | grep -cE "$1"
}

exec 3>&1		# the numbers, beside what the claim reads
while read -r layer least per; do
	have=$(count '\btorc_(debug_)?(assert|require)\(' "$layer")
	functions=$(count '^\{$' "$layer")
	echo "   $layer: $have assertions in $functions functions" >&3
	[ "$have" -ge "$least" ] ||
	    echo "$layer: $have assertions, and $least before"
	[ $((have * per)) -ge "$functions" ] ||
	    echo "$layer: $have assertions in $functions functions"
done <tests/lint/assertions | claim "a layer has as many assertions as it had"
