# shellcheck shell=bash
# api.sh - what api.md asks of public headers, and of what leaves a library.

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
