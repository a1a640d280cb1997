# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# format.sh - spaces and indentation are those of .clang-format. Where lines
# are broken is decided by hand, to be read: there the formatter keeps quiet.
# The formatter is started once, on copies: it takes longer to start than to
# read a file.
if command -v clang-format >/dev/null; then
	formatted=$(mktemp -d)
	cp --parents .clang-format sys/*.[ch] ring/*.[ch] reactor/*.[ch] \
	    conn/*.[ch] conn/*/*.[ch] tools/examples/*.[ch] \
	    tools/ringstat/*.[ch] "$formatted"
	rm "$formatted/sys/marks.h"	# assembly, in a header
	(cd "$formatted" && find . -name '*.[ch]' -printf '%P\0' |
	    sort -z | tee .files | xargs -0 -P 2 -n 100 clang-format -i \
	    --style='{BasedOnStyle: InheritParentConfig, ColumnLimit: 0}')
	while read -rd '' file; do
		cmp -s "$file" "$formatted/$file" ||
		    awk -f tests/lint/format.awk "$file" "$formatted/$file"
	done <"$formatted/.files" | but format |
	    claim "spaces and indentation are those of .clang-format"
	rm -r "$formatted"
else
	echo "SKIP: spaces and indentation: clang-format is not installed"
fi
