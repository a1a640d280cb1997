# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# claims.sh - what BUGS.md, CLAIMS.md and COVERAGE.md name is there, and mutations apply.

# BUGS.md and CLAIMS.md: each number once, and what is named is there.
span() {	# span PREFIX FROM TO
	seq -f "$1%0${4:-3}g" "$2" "$3"
}
bugs() {
	for tens in 1-15 20-29 30-48 50-59 60-73 80-87 90-97 100-103 110-112 \
	    120-126 130-139 140-147 150-157 160-165 170-176; do
		span R- "${tens%-*}" "${tens#*-}"
	done
}
claims() {
	for tens in 1-49 54-57 62-74 78-79 81-89; do
		span A "${tens%-*}" "${tens#*-}" 2
	done
}
{ bugs; sed -n 's/^| \(R-[0-9]*\) |.*/\1/p' tests/BUGS.md; } | sort |
    uniq -c | awk '$1 != 2 { print $2 }' |
    claim "each number of a bug is in tests/BUGS.md once"
sed -n 's/^| \(F-[0-9]*\) |.*/\1/p' tests/BUGS.md | sort | uniq -d |
    claim "no two faults of torc have the same number in tests/BUGS.md"
{ claims; sed -n 's/^| \(A[0-9]*\) |.*/\1/p' tests/CLAIMS.md; } | sort |
    uniq -c | awk '$1 != 2 { print $2 }' |
    claim "each number of a claim is in tests/CLAIMS.md once"

# A test is defined in its program, and is in its list.
grep -ohE '`test_[a-z_]+:[A-Za-z0-9_]+`' tests/BUGS.md tests/CLAIMS.md |
    tr -d '`' | sort -u | awk '
	NR == FNR { wanted[$0]; next }
	FNR == 1 {
		program = FILENAME
		gsub(/.*\/|\.c$/, "", program)
	}
	/^[A-Za-z0-9_]+\(/ {
		name = $0
		sub(/\(.*/, "", name)
		defined[program ":" name]
		next
	}
	/^[^*]*[(\t ][A-Za-z0-9_]+[,)]/ {
		gsub(/[^A-Za-z0-9_,)]/, " ")
		n = split($0, word, " ")
		for (i = 1; i <= n; i++) {
			if (word[i] !~ /^[A-Za-z0-9_]+[,)]/)
				continue
			sub(/[,)].*/, "", word[i])
			listed[program ":" word[i]]
		}
	}
	END {
		for (test in wanted) {
			if (!(test in defined) || !(test in listed))
				print test
		}
	}' - tests/*/test_*.c |
    claim "the tests that BUGS.md and CLAIMS.md name exist"

grep -ohE '`(sys|ring|reactor|conn)/[a-z_]+\.[ch]:[a-z_]+`' tests/BUGS.md \
    tests/CLAIMS.md | tr -d '`' | sort -u | while IFS=: read -r file name; do
	grep -q "^$name(" "$file" || echo "$file:$name"
done | claim "the functions that BUGS.md and CLAIMS.md name exist"

tests/mutate.sh --apply-only 2>&1 >/dev/null |
    claim "every mutation of tests/mutations can be applied"

sed -n 's/^try://p' tests/mutations/* | tr -s ' ' '\n' | sort -u |
    while read -r program; do
	[ -z "$program" ] || [ "$program" = sim ] ||
	    ls tests/*/"$program.c" >/dev/null 2>&1 || echo "$program"
done | claim "a mutation is tried with programs that there are"

# "| FILE | function, function | why |": each is a function of that file.
awk -F'|' '/^\| (sys|ring|reactor|conn)\// {
		gsub(/[ `()]/, "", $2)
		gsub(/[ `()]/, "", $3)
		n = split($3, name, ",")
		for (i = 1; i <= n; i++)
			print $2, name[i]
	}' tests/COVERAGE.md | while read -r file name; do
	grep -qs "^$name(" "$file" || echo "$file: $name"
done | claim "what COVERAGE.md names exists"
