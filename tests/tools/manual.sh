#!/usr/bin/env bash
# manual.sh - the manual: nothing public is without its page, pages are well
# formed, what they refer to is there, and what they say is what the headers
# say. What is public is found here by the compiler and by grep, and not by
# what makes the pages.
#
# The pages are those of $B (build), which are made if need be; CC reads the
# headers. An awk that is not installed is a line "SKIP: why".
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
CC=${CC:-cc}
unset MAKEFLAGS MFLAGS MAKELEVEL
failed=0
shopt -s lastpipe	# claim, the end of a pipe, sets it
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

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

make -s B="$B" "$B/manual/links" manual >"$scratch/made" 2>&1 ||
    { cat "$scratch/made"; echo "FAILED the manual is made"; exit 1; }
man=$B/manual
html=$B/manual/html
public=(reactor/torc_*.h conn/torc*.h conn/*/torc_*.h)
pages=()			# links left out
while read -r page; do
	pages+=("$page")
done < <(find "$man/man3" "$man/man7" -type f | sort)

# ---- What is public ----

# Headers as the compiler sees them: no comments, no macros of the system.
stripped() {
	grep -v '^#include' "$1" | "$CC" -E -P -x c -D'TORC_API=TORC_API' - |
	    tr '\n' ' '
}

calls() {
	for header in "${public[@]}"; do
		stripped "$header" |
		    grep -oE '(TORC_API|static inline)[^;{]*\btorc_[a-z0-9_]+ ?\(' |
		    grep -oE 'torc_[a-z0-9_]+ ?\($' | tr -d ' ('
	done | sort -u
}

# Fields of configurations and limits, as "STRUCTURE FIELD".
fields() {
	for header in "${public[@]}"; do
		stripped "$header" |
		    grep -oE 'struct torc_[a-z_]*(config|limits) \{[^}]*\}' |
		    while read -r _ name body; do
			tr ';' '\n' <<<"$body" |
			    sed -nE 's/.*\(\*([a-z_0-9]+)\)\(.*/\1/p; t
				s/.*[ *]([a-z_0-9]+)(\[[^]]*\])? *$/\1/p' |
			    sed "s/^/$name /"
		done
	done
}

calls >"$scratch/calls"
fields >"$scratch/fields"
wc -l "$scratch/calls" "$scratch/fields" | awk '$1 < 100 { print }' |
    claim "there are more than a hundred calls, and fields"

while read -r call; do
	grep -qx "\.Fo $call" "$man/man3/$call.3" 2>/dev/null || echo "$call"
done <"$scratch/calls" | claim "each public call has a page that declares it"

# A field is a tag with text behind it: "STRUCTURE FIELD" of those.
explained() {
	while read -r name; do
		awk -v name="$name" '
			tag != "" && (/^[^.]/ || /^\.[A-Z][a-z] / &&
			    !/^\.(It|El|Pp|Bl) /) { print name, tag; tag = "" }
			/^\.(It|El)/ { tag = "" }
			/^\.It Vt / {
				tag = $0
				if (!sub(/.*\(\*/, "", tag))
					sub(/.*[ *]/, "", tag)
				sub(/[^a-z0-9_].*/, "", tag)
			}' "$man/man3/$name.3"
	done < <(cut -d ' ' -f 1 "$scratch/fields" | sort -u)
}
explained | sort | comm -13 - <(sort "$scratch/fields") |
    claim "each field of a configuration is explained"

awk 'FNR == 1 && file != "" && !said { print file }
	FNR == 1 { file = FILENAME; said = inside = 0 }
	/^\.Sh/ { inside = /DESCRIPTION/; next }
	inside && !/^\.(Pp|Bl|It|El)/ { said = 1 }
	END { if (!said) print file }' "${pages[@]}" |
    claim "each page says something"

# ---- Form ----

# What it does not find is not installed: that is looked for here, below.
(cd "$man" && mandoc -T lint -W style "${pages[@]#"$man"/}" 2>"$scratch/err") |
    grep -vE 'STYLE: referenced manual not found' |
    claim "mandoc has nothing to say of a page"

grep -hE '^\.(It |Pf [^ ]+ )?Xr torc' "${pages[@]}" |
    sed -E 's/.*Xr (torc[a-z0-9_]*) ([0-9]).*/\1 \2/' | sort -u |
    while read -r name section; do
	[ -e "$man/man$section/$name.$section" ] || echo "$name($section)"
done | claim "each page of torc that a page refers to is there"

awk '/^\.Nd/ && (NF < 3 || length > 92) { print FILENAME ": " $0 }
	/^\.Nd (as|the same|parks|[0-9])/ { print FILENAME ": " $0 }' \
    "${pages[@]}" | claim "each page says in a line what it is about"

while read -r name page; do
	grep -qE "\b$name\b" "$man/man3/$page.3" || echo "$name in $page(3)"
done <"$man/links" | claim "a page says something about each of its names"

# ---- HTML ----

(cd "$html" && grep -oE '(href|src)="[^"]*"' ./*.html | sort -u |
    sed -E 's/:(href|src)="/ /; s/"$//' |
    while read -r from to; do
	file=${to%%#*}
	[ -e "${file:-$from}" ] || echo "$from: $to"
	case $to in
	*#*) grep -q "id=\"${to#*#}\"" "${file:-$from}" ||
	    echo "$from: $to" ;;
	esac
done) | claim "each link of the HTML leads somewhere"

(cd "$html" && grep -oE 'href="[^"#]+' index.html | sed 's/.*"//' |
    cat - <(echo index.html) | sort -u >"$scratch/led"
ls ./*.html | sed 's/^..//' | sort | comm -23 - "$scratch/led") |
    claim "the index of the HTML leads to each page"

# ---- What a reader sees ----

plain() {	# without bold and underlined letters
	sed 's/.\x08//g'
}

# shows PAGE TEXT...: each text is on the page, whatever the lines.
shows() {
	local page=$1
	shift
	mandoc -T ascii "$man/$page" | plain | tr -s ' \n\t' ' ' \
	    >"$scratch/page"
	for text; do
		grep -qF -- "$text" "$scratch/page" || echo "$page: $text"
	done
}

{ shows man3/torc_listen.3 \
    "int torc_listen(struct torc_reactor *reactor, const char *address," \
    "RETURN VALUES torc_listen() returns" \
    "[ENOSPC] There are 1024 listeners." \
    "Call torc_listen() on the reactor's thread" "torc(7)"
  shows man3/torc_config.3 "torc_config" \
    "unsigned batch Completions a turn. Default: 256. Range: 1 to 65536." \
    "int (*start)(struct torc_reactor *reactor, void *arg)"
  shows man3/torc_fd_poll.3 "torc_fd_read" \
    "torc_fd_poll() Wait for POLLIN" "A call that parks must be made"
  shows man7/torc_redis.7 "[EREMOTEIO]" "Clusters" "torc_redis_call(3)" \
    "pkg-config --cflags --libs torc-redis" "main(int argc, char **argv)"
} | claim "four pages read as they should"

# ---- Where it is made and installed ----

for awk in mawk gawk original-awk "busybox awk"; do
	if ! command -v "${awk%% *}" >/dev/null; then
		echo "SKIP: $awk is not installed" >&2
		continue
	fi
	mkdir -p "$scratch/bin"
	printf '#!/bin/sh\nexec %s "$@"\n' "$awk" >"$scratch/bin/awk"
	chmod 755 "$scratch/bin/awk"
	other=$scratch/${awk%% *}
	PATH=$scratch/bin:$PATH make -s B="$other" "$other/manual/links" \
	    manual 2>&1 | grep -v '^  MAN'
	sort "$other/manual/links" >"$scratch/links"
	sort "$man/links" | diff - "$scratch/links"
	diff -r -x links "$man" "$other/manual"
done | claim "each awk makes the same manual"

make -s B="$B" DESTDIR="$scratch/root" PREFIX=/usr install-manual \
    >"$scratch/made" 2>&1 || cat "$scratch/made"
installed=$scratch/root/usr/share/man
{ diff -r "$man/man3" "$installed/man3"
  diff -r "$man/man7" "$installed/man7"; } |
    claim "what is installed is what was made"
while read -r call; do
	mandoc -T ascii "$installed/man3/$call.3" 2>&1 | plain |
	    grep -q "$call" || echo "$call"
done < <(shuf -n 20 "$scratch/calls") |
    claim "calls are found by their names where they are installed"

exit $failed
