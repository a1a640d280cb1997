# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# format.sh - spaces and indentation are those of .clang-format. Where lines
# are broken is decided by hand, to be read: there the formatter keeps quiet.
if command -v clang-format >/dev/null; then
	for file in sys/*.[ch] ring/*.[ch] reactor/*.[ch] conn/*.[ch] \
	    conn/*/*.[ch] tools/examples/*.[ch] tools/ringstat/*.[ch]; do
		# Assembly, in a header.
		[ "$file" = sys/marks.h ] && continue
		clang-format --style='{BasedOnStyle: InheritParentConfig,
		    ColumnLimit: 0}' <"$file" |
		    awk -f tests/lint/format.awk "$file" -
	done | but format |
	    claim "spaces and indentation are those of .clang-format"
else
	echo "SKIP: spaces and indentation: clang-format is not installed"
fi
