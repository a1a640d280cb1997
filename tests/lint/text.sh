# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# text.sh - lines, functions and files are short, and nothing is left to be done.

# A claim that is longer than a line stays in one piece.
awk '{
		size = 0
		words = NF
		for (at = index($0, "\t"); at > 0; at = index($0, "\t")) {
			size = size + at + 7 - (size + at - 1) % 8
			$0 = substr($0, at + 1)
		}
		if (size + length > 80 && words > 1)
			print FILENAME ":" FNR
	}' sys/*.[ch] ring/*.[ch] reactor/*.[ch] conn/*.[ch] conn/*/*.[ch] \
    tests/*.[ch] tests/*/*.[ch] tools/examples/*.[ch] tools/bench/*.[ch] \
    tools/ringstat/*.[ch] tools/guides/*.[ch] |
    claim "lines have at most 80 columns"

awk 'FNR == 1 { start = 0 }
	/^{$/ { start = FNR }
	/^}/ { if (start && FNR - start > 61)
		print FILENAME ":" start ": " FNR - start - 1 " lines"
		start = 0 }' sys/*.c ring/*.c reactor/*.c conn/*.c conn/*/*.c \
    tests/*.c tests/*/*.c tools/examples/*.c tools/bench/*.c \
    tools/ringstat/*.c tools/guides/*.c |
    claim "functions have at most 60 lines"

# Two words put together, so that this line does not find itself.
grep -rnE "\b(TO""DO|FIX""ME|X""XX|HA""CK)\b" --include='*.[chS]' \
    --include=Makefile --include='*.mk' --include='*.sh' --exclude-dir='build*' \
    . |
    claim "nothing is left to be done later"

if command -v shellcheck >/dev/null; then
	find tests tools -name '*.sh' -exec shellcheck -x -S warning -f gcc \
	    {} + | claim "shellcheck has nothing to say of the scripts"
else
	echo "SKIP: shellcheck is not installed"
fi

# Of a library; a listed file may have so many.
wc -l sys/*.[chS] ring/*.[ch] reactor/*.[ch] conn/*.[ch] conn/*/*.[ch] |
    awk 'NR == FNR { if ($1 == "size:") most[$2] = $3; next }
	$2 != "total" && $1 > ($2 in most ? most[$2] : 500) {
		print $2 ": " $1 " lines"
	}' tests/lint/allowed - |
    claim "files of the library have at most 500 lines"
wc -l Makefile tests/lint.sh | awk '/Makefile/ && $1 > 150 ||
	/lint/ && $1 > 300 { print $2 ": " $1 " lines" }' |
    claim "the Makefile has at most 150 lines"

# A release has one number.
{ sed -n 's/^VERSION := //p' Makefile
  sed -n 's/^#define TORC_VERSION_[A-Z]* //p' conn/torc.h | paste -sd.
} | sort | uniq -u | claim "Makefile and torc.h have the same version"

# What has no place for such a line is listed in a REUSE.toml beside it.
git ls-files 2>/dev/null |
    grep -vE "^(LICENSE|tests/(mutations/.*|fuzz/.*\.txt)|tests/lint/[a-z]*|tools/dist/debian/(changelog|source/format))$" |
    xargs grep -LF 'SPDX-License-Identifier: MIT' |
    claim "each file says what licence it is under"
