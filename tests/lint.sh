#!/usr/bin/env bash
# lint.sh - rules of the source that a machine can check: layers look down,
# shared words have their labels, errno stays in sys/, lines and functions
# are short.
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

up() {	# up LAYER PATTERN: includes of layers above
	grep -nE "#include \"($2)/" "$1"/*.[chS]
}

{ up sys 'ring|reactor|conn|tests|tools'; up ring 'reactor|conn|tests|tools'
  up reactor 'conn|tests|tools'; up conn 'tests|tools'; } |
    claim "a file includes its own layer or a lower one"

# The rooms of conn/: what each may use besides conn/ itself and kit/.
for room in conn conn/kit conn/http conn/redis conn/pg conn/file; do
	case $room in
	conn) may='conn/[^/]*' ;;
	conn/file) may='conn/((kit|file|http)/)?[^/]*' ;;
	*) may="conn/((kit|${room#conn/})/)?[^/]*" ;;
	esac
	grep -nE '#include "conn/' "$room"/*.[ch] |
	    grep -vE "#include \"$may\""
	# Those without a path are public.
	grep -nE '#include "[^/"]*"' "$room"/*.[ch] |
	    grep -vE '/torc[a-z_]*\.h:[0-9]*:#include "torc[a-z_]*\.h"'
done | claim "a room of conn/ includes itself, kit/ and conn/"

# Who writes a member of what many files look at. The tables are in the comments
# above the structures ("     FILE.c: member ..."); x.h is part of x.c, and the
# file of the header makes them all.
writes() {	# writes HEADER VARIABLE: "FILE:LINE: member" of each in conn/
	awk -v variable="$2" -v maker="${1%.h}" '
	NR == FNR {
		if (/^ \*     +[a-z_]+\.c: /) {
			owner = $2
			sub(/\.c:$/, "", owner)
			for (i = 3; i <= NF; i++)
				owner_of[$i] = "conn/" owner
		} else if (owner != "" && /^ \*         [a-z]/) {
			for (i = 2; i <= NF; i++)
				owner_of[$i] = "conn/" owner
		} else {
			owner = ""
		}
		next
	}
	/^[ \t]*(\/\*|\*)/ { next }
	{
		file = FILENAME
		sub(/\.[ch]$/, "", file)
		line = $0
		while (match(line, "(^|[^a-z_>.])(--|\\+\\+)?([a-z_]+->)?" \
		    variable "->[a-z_]+(\\[[^]]*\\])?" \
		    "( (=|[-+|&^]=|<<=|>>=) |\\+\\+|--)?")) {
			text = substr(line, RSTART, RLENGTH)
			line = substr(line, RSTART + RLENGTH)
			if (line ~ /^->/ || text !~ /= $|\+\+|--/)
				continue
			member = text
			sub(".*" variable "->", "", member)
			sub(/[^a-z_].*/, "", member)
			if (!(member in owner_of))
				print FILENAME ":" FNR ": " member \
				    " has no owner"
			else if (owner_of[member] != file && file != maker)
				print FILENAME ":" FNR ": " member \
				    " is written by " owner_of[member] ".c"
		}
	}' "$1" conn/*.[ch] conn/*/*.[ch]
}
{ writes conn/conn.h conn; writes conn/net.h net
  writes conn/listen.h listener; } |
    claim "a member that many files look at is written by its own file"

# What belongs to a layer below is changed by its own calls, but for counters.
grep -nE "\\b(reactor|fiber|ring|bufring|buffers)(->|\\.)[a-z_]+(\\[[^]]*\\])?( (=|[-+|&^]=) |\\+\\+|--)" \
    conn/*.[ch] conn/*/*.[ch] | grep -v -e 'counters->' -e ':[ 	]*\.' |
    claim "no structure of a lower layer is written to in conn/"

grep -rnE '#include <liburing' --include='*.[chS]' sys ring reactor conn tests \
    tools/examples | grep -v '^tests/ringstat/' |
    claim "nothing but peers of the benchmark and of ringstat know liburing"

grep -rnE '__atomic_|__ATOMIC_|_Atomic|__sync_|stdatomic|volatile' \
    sys ring reactor conn | grep -v -e '^sys/barrier.h' -e '__asm__' \
    -e ':[0-9]*:[ 	]*[/ ]\*' |
    claim "memory orders are named in sys/barrier.h only"

# Every use of a shared word has a label within the five lines before it.
awk 'FNR == 1 { label = -9 }
	/(^|[^A-Z])[SCFBMKV][1-9][:,]/ { label = FNR }
	/torc_(load|store|exchange|replace|add)_(relaxed|acquire|release|full)/ {
		if (FNR - label > 5)
			print FILENAME ":" FNR ": " $0
	}' ring/*.[ch] reactor/*.[ch] conn/*.[ch] conn/kit/*.[ch] |
    claim "each use of a shared word is labelled"

labels() {
	grep -ohE '(^|[^A-Z0-9])[SCFBMKV][1-9]:' ring/*.[ch] reactor/*.[ch] \
	    conn/*.[ch] conn/kit/*.[ch] | tr -dc 'A-Z0-9\n' | sort -u
}
rows() {
	sed -n 's/^| \([SCFBMKV][1-9]\) |.*/\1/p' ring/PROTOCOL.md | sort -u
}
{ labels; rows; } | sort | uniq -u | tr -d '\0' |
    { grep . || :; } |
    claim "PROTOCOL.md and the code have the same labels"

# What leaves a library has the name of torc.
for archive in "$B"/lib/libtorc*.a; do
	nm -g --defined-only "$archive" 2>/dev/null | awk -v a="$archive" \
	    'NF == 3 && $3 !~ /^torc_/ { print a ": " $3 }'
done | claim "no library has a global name without torc_"

public=(reactor/torc_*.h conn/torc*.h conn/*/torc_*.h)
grep -LE '^TORC_API' "${public[@]}" |
    claim "every public header exports"
for header in "${public[@]}"; do
	grep -HnE '^(int|void|bool|long|size_t|unsigned|u?int[0-9]*_t|const |enum |struct [a-z_]+ \*)[^=;]*\btorc_[a-z0-9_]+\(' \
	    "$header"
done | claim "every public function says TORC_API"

# Declarations of public headers, one in a line.
declarations() {
	for header in "${public[@]}"; do
		awk -v f="$header" '/^TORC_API/ { text = "" ; inside = 1 }
			inside { text = text " " $0 }
			inside && /;/ { print f ":" text; inside = 0 }' \
		    "$header"
	done | tr -s ' \t'
}
declarations | grep -E '\bdeadline\b' |
    grep -vE 'torc_deadline deadline(, \.\.\.)?\)' |
    claim "a deadline is the last parameter"
awk '/^\/\*/ { parks = 0 }
	/^(\/\*| \*) Parks/ { parks = 1 }
	/^TORC_API/ { text = ""; inside = 1 }
	inside { text = text $0 }
	inside && /;/ {
		if (parks && text !~ /torc_deadline|torc_yield/)
			print FILENAME ": " text
		inside = 0; parks = 0
	}' "${public[@]}" |
    claim "what parks has a deadline"

grep -nE '(^|[^_a-z.>])errno([^._a-z]|$)' ring/*.[ch] reactor/*.[ch] \
    conn/*.[ch] conn/*/*.[ch] | grep -vE '<errno.h>|/?\*' |
    claim "errno is read in sys/ only"

# In the text, and in what the libraries of clients ask of libc.
crossings='syscall|mmap|munmap|madvise|close|socket|bind|listen|connect|setsockopt|getsockopt|clock_gettime|time|gettimeofday|getrandom|RAND_bytes|malloc|calloc|realloc|reallocarray|strdup|strndup|asprintf|vasprintf|free|read|write|open|openat|stat|fstat|getaddrinfo'
{ grep -nE "(^|[^_a-z>])($crossings)\(" ring/*.[ch] reactor/*.[ch] conn/*.[ch] \
    conn/*/*.[ch] | grep -vE ':[ 	]*[/ ]?\*|/\*.*\([23]\)|/torc[a-z_]*\.h:'
  nm -Au "$B"/lib/libtorc-*.a 2>/dev/null | grep -E " U ($crossings)\$"; } |
    claim "the kernel and the heap are reached through sys/ only"

for file in sys/*.[ch] ring/*.[ch] reactor/*.[ch] conn/*.[ch] conn/*/*.[ch] \
    tests/*.[ch] tests/*/*.[ch] tools/examples/*.[ch] tools/bench/*.[ch] \
    tools/ringstat/*.[ch]; do
	# A claim that is longer than a line stays in one piece.
	expand "$file" | awk -v f="$file" \
	    'length > 80 && NF > 1 { print f ":" NR }'
done | claim "lines have at most 80 columns"

awk 'FNR == 1 { start = 0 }
	/^{$/ { start = FNR }
	/^}/ { if (start && FNR - start > 61)
		print FILENAME ":" start ": " FNR - start - 1 " lines"
		start = 0 }' sys/*.c ring/*.c reactor/*.c conn/*.c conn/*/*.c \
    tests/*.c tests/*/*.c tools/examples/*.c tools/bench/*.c \
    tools/ringstat/*.c |
    claim "functions have at most 60 lines"

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
	for tens in 1-49 54-57 62-74 78-79 81-88; do
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
    tr -d '`' | sort -u | while IFS=: read -r program name; do
	grep -q "^$name(" tests/*/"$program.c" &&
	    grep -qE "^[^*]*[(	 ]${name}[,)]" tests/*/"$program.c" ||
	    echo "$program:$name"
done | claim "the tests that BUGS.md and CLAIMS.md name exist"

grep -ohE '`(sys|ring|reactor|conn)/[a-z_]+\.[ch]:[a-z_]+`' tests/BUGS.md \
    tests/CLAIMS.md | tr -d '`' | sort -u | while IFS=: read -r file name; do
	grep -q "^$name(" "$file" || echo "$file:$name"
done | claim "the functions that BUGS.md and CLAIMS.md name exist"

# Two words put together, so that this line does not find itself.
grep -rnE "\b(TO""DO|FIX""ME|X""XX|HA""CK)\b" --include='*.[chS]' \
    --include=Makefile --include='*.mk' --include='*.sh' . |
    claim "nothing is left to be done later"

tests/mutate.sh --apply-only 2>&1 >/dev/null |
    claim "every mutation of tests/mutations can be applied"

exit $failed
