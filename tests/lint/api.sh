# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# api.sh - what api.md asks of public headers, and of what leaves a library.

# What leaves a library has the name of torc.
for archive in "$B"/lib/libtorc*.a; do
	nm -g --defined-only "$archive" 2>/dev/null | awk -v a="$archive" \
	    'NF == 3 && $3 !~ /^torc_/ { print a ": " $3 }'
done | claim "no library has a global name without torc_"

# And a shared one has what its headers declare for users and for other
# libraries, each in its node, and nothing else.
exports() {	# exports LIBRARY HEADER...
	local library=$B/lib/$1
	shift
	[ -e "$library" ] || return 0
	{ awk -f tools/symbols.awk "$@" |
	    awk '/^TORC/ { node = $1 } /^\t\t[a-z]/ { sub(/;/, "")
		print $1 "@@" node }'
	  nm -D --defined-only "$library" |
	    awk '$2 != "A" { print $3 }'; } | sort | uniq -u |
	    sed "s|^|$library: |"
}
{ exports libtorc.so {sys,ring,reactor,conn,conn/kit}/*.h
  for client in tls http redis pg file; do
	exports libtorc-$client.so conn/$client/*.h
  done; } |
    claim "shared libraries export what headers say, in nodes of versions"

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

# A public header in one line, without comments.
code() {
	tr '\n\t' '  ' < "$1" |
	    sed 's|/\*|\x01|g; s|\*/|\x02|g; s|\x01[^\x02]*\x02| |g'
}
for header in "${public[@]}"; do
	code "$header" |
	    grep -oE '(\(\*[a-z_]+\)|typedef [a-z0-9_ *]+)\([^()]*\)' |
	    grep -E 'void \*arg\b' | grep -vE 'void \*arg\)$' |
	    sed "s|^|$header: |"
done | claim "a callback has \`arg\` last"
for header in "${public[@]}"; do
	code "$header" | grep -oE '.{0,40}\blong\b.{0,40}' |
	    sed "s|^|$header: |"
done | claim "numbers of the API have a width, and are not long"

# In C++ one of them would hide the other, and readers have to guess.
{ grep -hoE '^(struct|union|enum) torc_[a-z0-9_]+ \{' "${public[@]}" |
    awk '{ print $2 }' | sort -u
  { declarations; grep -hE '^torc_[a-z0-9_]+\(' "${public[@]}"; } |
    grep -oE '\btorc_[a-z0-9_]+\(' | tr -d '(' | sort -u; } | sort | uniq -d |
    claim "no name is both a structure and a function"

# A structure that programs have is frozen, or travels with its size: in a call
# that is given it, or an array of it (torc_endpoint). Or torc alone makes it.
made='torc_exchange_summary torc_exchange_head torc_pg_error'
grep -hoE '^struct torc_[a-z0-9_]+ \{' "${public[@]}" |
    awk '{ print $2 }' | while read -r name; do
	grep -qE "^TORC_FROZEN\\($name, " {reactor,conn,conn/*}/frozen.c \
	    2>/dev/null && continue
	declarations | grep -E '_sized\(' | grep -qE "struct $name \\*" &&
	    continue
	declarations | grep -E '_sized\(' |
	    grep -qE "size_t ${name#torc_}_size\b" && continue
	case " $made " in *" $name "*) continue ;; esac
	echo "$name is not frozen, and has no size"
done | claim "a public structure is frozen, or travels with its size"

declarations | sed 's/:/: /' | tr -s ' ' | awk -f tests/lint/order.awk |
    but order |
    claim "parameters are the object, what goes in, what comes out, a deadline"

# Verbs are pairs: both of each have the same words before and behind them, but
# for what is done for somebody ("_for").
functions() {
	declarations | grep -oE '\btorc_[a-z0-9_]+\(' |
	    sed 's/($//; s/_sized$//' | sort -u
}
pairs='create:destroy open:close begin:end acquire:release'
functions | awk -v pairs="$pairs" '
	{ names[$1] = 1 }
	END {
		n = split(pairs, pair, " ")
		for (name in names) for (i = 1; i <= n; i++) {
			split(pair[i], verb, ":")
			for (side = 1; side <= 2; side++) {
				other = name
				if (!sub("_" verb[side] "(_for)?$",
				    "_" verb[3 - side], other))
					continue
				if (!(other in names) && !((other "_for") in names))
					print name ": there is no " other
			}
		}
	}' | sort | but pairs | claim "verbs of the API are pairs"
