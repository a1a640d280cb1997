# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# rooms.sh - what lies where, and what a file may include and write to.

up() {	# up LAYER PATTERN: includes of layers above
	grep -nE "#include \"($2)/" "$1"/*.[chS]
}

{ up sys 'ring|reactor|conn|tests|tools'; up ring 'reactor|conn|tests|tools'
  up reactor 'conn|tests|tools'; up conn 'tests|tools'; } |
    claim "a file includes its own layer or a lower one"

# The rooms of conn/: what each may use besides conn/ itself and kit/.
for room in conn conn/kit conn/tls conn/http conn/redis conn/pg conn/file; do
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

# What lies where.
{ git ls-files 2>/dev/null || ls; } | cut -d/ -f1 | sort -u |
    grep -vxE 'sys|ring|reactor|conn|tests|tools|Makefile|README\.md|LICENSE|build.*|config\.mak|tags|compile_commands\.json|\..*' |
    claim "the top of the tree has its rooms, Makefile, README.md and LICENSE"
ls tests/test_*.c 2>/dev/null |
    claim "a test lies in the room of what it tests"
grep -lE '^	?claim "' tests/*/*.sh | grep -v '^tests/lint/' |
    xargs grep -LE '^\. tests/common\.sh$' |
    claim "scripts that claim things share tests/common.sh"
grep -nE '^[a-z].*[ *]__(real|wrap)_[a-z_]+\([^;]*\);' tests/*.[ch] \
    tests/*/*.[ch] | but seam |
    claim "what stands in for a call is declared in tests/seam.h only"

# Where a maintainer looks first: what owns what, one page for each room.
for room in sys ring reactor conn conn/kit conn/http conn/redis conn/pg \
    conn/file; do
	for file in "$room"/*.c; do
		grep -qF "\`${file##*/}\`" "$room/README.md" ||
		    echo "$file is not in $room/README.md"
	done
	awk 'length > 100 { print FILENAME ":" FNR }' "$room/README.md"
done | claim "the page of each room names its files"

# Files that call each other, over whatever others: none, or as few as listed.
for room in sys ring reactor conn conn/kit conn/tls conn/http conn/file \
    conn/redis conn/pg; do
	for source in "$room"/*.c; do
		echo "$B/${source%.c}.o"
	done | xargs nm -A 2>/dev/null | awk -v room="$room" '
		{ file = $1; sub(/:.*/, "", file); name = $NF }
		$(NF - 1) ~ /^[TDBR]$/ { home[name] = file }
		$(NF - 1) == "U" { uses[file, name] }
		END {
			for (use in uses) {
				split(use, part, SUBSEP)
				to = home[part[2]]
				if (to != "" && to != part[1])
					reach[part[1], to] = 1
				files[part[1]]
			}
			for (by in files)
				for (from in files)
					if ((from, by) in reach)
						for (to in files)
							if ((by, to) in reach)
								reach[from, to]
			for (file in files)
				count += (file, file) in reach
			print room, count + 0
		}'
done | awk 'NR == FNR { if ($1 == "circles:") most[$2] = $3; next }
	$2 > most[$1] + 0 { print $1 ": " $2 " files call each other in circles"
	}' tests/lint/allowed - |
    claim "files of a room call each other in no new circle"
