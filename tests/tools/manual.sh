#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# manual.sh - the manual: nothing public is without its page, pages are well
# formed, what they refer to is there, and what they say is what the headers
# say. What is public is found here by the compiler and by grep, and not by
# what makes the pages.
#
# The pages are made if need be; CC reads the headers. A tool that is not
# installed is a line "SKIP: why".
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
CC=${CC:-cc}
unset MAKEFLAGS MFLAGS MAKELEVEL
man=$B/manual
html=$B/manual/html
public=(reactor/torc_*.h conn/torc*.h conn/*/torc_*.h)

none() {	# none COMMAND...: it has nothing to say
	"$@" >"$scratch/hits" 2>&1
	cat "$scratch/hits"
	[ ! -s "$scratch/hits" ]
}

claim "the manual is made" make -s B="$B" "$man/links" manual
pages=()			# other names of a page left out
while read -r page; do
	pages+=("$page")
done < <(find "$man/man3" "$man/man7" -type f | sort)

# ---- What is public ----

# A header as the compiler sees it, in one line.
stripped() {
	grep -v '^#include' "$1" |
	    "$CC" -E -P -x c -D'TORC_API=TORC_API' - | tr '\n' ' '
}

calls() {
	local header
	for header in "${public[@]}"; do
		stripped "$header" |
		    grep -oE '(TORC_API|static inline)[^;{]*\btorc_[a-z0-9_]+ ?\(' |
		    grep -oE 'torc_[a-z0-9_]+ ?\($' | tr -d ' ('
	done | sort -u
}

# Fields of configurations, and of what else a program fills in, as "STRUCTURE
# FIELD".
fields() {
	local header name body
	local filled='config|limits|endpoint|kind|wish|forwarding|http_request'
	filled+='|event|pg_statement'
	for header in "${public[@]}"; do
		stripped "$header" |
		    grep -oE "struct torc_[a-z_]*($filled) \{[^}]*\}" |
		    while read -r _ name body; do
			tr ';' '\n' <<<"$body" |
			    sed -nE 's/.*\(\*([a-z_0-9]+)\)\(.*/\1/p; t
				s/.*[ *]([a-z_0-9]+)(\[[^]]*\])? *$/\1/p' |
			    sed "s/^/$name /"
		done
	done | sort
}

found() {
	calls >"$scratch/calls"
	fields >"$scratch/fields"
	wc -l "$scratch/calls" "$scratch/fields" | awk '$1 < 100'
}
claim "there are more than a hundred calls, and fields" none found

without_page() {	# by its own name, which may be a link
	grep -H '^\.Fo ' "$man"/man3/*.3 |
	    sed -nE 's|.*/([a-z0-9_]+)\.3:\.Fo \1$|\1|p' | sort -u |
	    comm -13 - "$scratch/calls"
}
claim "each public call has a page that declares it" none without_page

# A field is a tag with text behind it: "STRUCTURE FIELD" of those.
explained() {
	local name
	cut -d ' ' -f 1 "$scratch/fields" | uniq | while read -r name; do
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
	done | sort
}
unexplained() {
	explained | comm -13 - "$scratch/fields"
}
claim "each field that a program fills in is explained" none unexplained

silent() {
	awk 'FNR == 1 && file != "" && !said { print file }
		FNR == 1 { file = FILENAME; said = inside = 0 }
		/^\.Sh/ { inside = /DESCRIPTION/; next }
		inside && !/^\.(Pp|Bl|It|El)/ { said = 1 }
		END { if (!said) print file }' "${pages[@]}"
}
claim "each page says something" none silent

# ---- Form ----

# What it does not find is not installed: that is looked for here, below.
complaints() (
	cd "$man" && mandoc -T lint -W style "${pages[@]#"$man"/}" \
	    2>/dev/null | grep -v 'STYLE: referenced manual not found'
)
with mandoc "mandoc has nothing to say of a page" none complaints

astray() {
	local name section
	grep -hE '^\.(It |Pf [^ ]+ )?Xr torc' "${pages[@]}" |
	    sed -E 's/.*Xr (torc[a-z0-9_-]*) ([0-9]).*/\1 \2/' | sort -u |
	    while read -r name section; do
		[ -e "$man/man$section/$name.$section" ] ||
		    echo "$name($section)"
	done
}
claim "each page of torc that a page refers to is there" none astray

ill_named() {
	awk '/^\.Nd/ && (NF < 3 || length > 92) { print FILENAME ": " $0 }
		/^\.Nd (as|the same|parks|[0-9])/ { print FILENAME ": " $0 }' \
	    "${pages[@]}"
}
claim "each page says in a line what it is about" none ill_named

unsaid() {
	awk 'FNR == NR { names[$2] = names[$2] " " $1; next }
		FNR == 1 { page = FILENAME; gsub(/.*\/|\.[37]$/, "", page) }
		page in names { text[page] = text[page] " " $0 " " }
		END { for (page in names) {
			n = split(names[page], list, " ")
			for (i = 1; i <= n; i++)
				if (text[page] !~ ("[^A-Za-z0-9_]" list[i] \
				    "[^A-Za-z0-9_]"))
					print list[i] " in " page
		} }' "$man/links" "${pages[@]}"
}
claim "a page says something about each of its names" none unsaid

# ---- HTML ----

dead_links() (
	cd "$html" && {
		find . -type f
		grep -oE 'id="[^"]*"' ./*.html | sed -E 's/:id="/#/; s/"$//'
		echo
		grep -oE '(href|src)="[^"]*"' ./*.html | sort -u |
		    grep -v '"https://' |
		    sed -E 's/:(href|src)="/ /; s/"$//'
	} | awk '$0 == "" { links = 1; next }
		!links { there[$1] = 1; next }
		{ to = ($2 ~ /^#/ ? $1 : "./") $2 }
		!(to in there) { print $1 ": " $2 }'
)
claim "each link of the HTML leads somewhere" none dead_links

not_led_to() (
	cd "$html" && { echo index.html
	    grep -oE 'href="[^"#]+' index.html | sed 's/.*"//'; } |
	    sort -u >"$scratch/led"
	find . -name '*.html' | sed 's/^..//' | sort | comm -23 - "$scratch/led"
)
claim "the index of the HTML leads to each page" none not_led_to

# ---- What a reader sees ----

plain() {	# without bold and underlined letters
	sed 's/.\x08//g'
}

# shows PAGE TEXT...: each text is on the page, whatever the lines.
shows() {
	local page=$1 text
	shift
	mandoc -T ascii "$man/$page" | plain | tr -s ' \n\t' ' ' \
	    >"$scratch/page"
	for text; do
		grep -qF -- "$text" "$scratch/page" || echo "$page: $text"
	done
}

misread() {
	shows man3/torc_listen.3 \
	    "int torc_listen(struct torc_reactor *reactor, const char" \
	    "RETURN VALUES torc_listen() returns the index" \
	    "ERRORS [EINVAL] The address cannot be parsed." \
	    "[ENOSPC] There are 1024 listeners." \
	    "Call torc_listen() on the reactor's thread" "torc(7)"
	shows man3/torc_config.3 "torc_config" \
	    "unsigned batch Completions handled in a turn. Default: 256. Range: 1 to" \
	    "int (*start)(struct torc_reactor *reactor, void *arg)"
	shows man3/torc_fd_poll.3 "torc_fd_read" \
	    "torc_fd_poll() Wait for POLLIN" "A call that parks must be made"
	shows man3/torc_pool_kind.3 "void *arg) Parks. Say goodbye if"
	shows man7/torc_redis.7 "[EREMOTEIO]" "Clusters" \
	    "torc_redis_call(3)" "pkg-config --cflags --libs torc-redis" \
	    "main(int argc, char **argv)"
}
with mandoc "five pages read as they should" none misread

# The commands of an example, as its source has them.
commands() {
	awk '/^ \*\// { exit }
		/^ \*     (cc|c\+\+) / { on = 1 }
		!/^ \*     / { on = 0 }
		on { sub(/^ \*     /, ""); print }' "$1"
}

# A program but for its commands: those are compared line by line.
not_shown() {
	local file line
	mandoc -T ascii -O width=200 "$man/man7/torc-examples.7" | plain \
	    >"$scratch/page"
	for file in tools/examples/*.c tools/examples/*.cc; do
		case $file in
		*/cli.c|*/cli_tls.c) continue ;;
		esac
		grep -qF "id=\"$(basename "${file%.*}")\"" \
		    "$html/examples.html" &&
		    grep -qx ".It Pa ${file##*/}" "$man/man7/torc-examples.7" ||
		    echo "$file"
		commands "$file" | while read -r line; do
			grep -qF -- "$line" "$scratch/page" ||
			    echo "$file: $line"
		done
	done
}
with mandoc "each example is on its page, with the commands that build and run it" \
    none not_shown

# From torc(7) on, by what pages refer to.
not_reached() {
	local page=torc.7 todo=(torc.7) name section
	declare -A reached=([torc.7]=1)
	while [ ${#todo[@]} -gt 0 ]; do
		page=${todo[0]}
		todo=("${todo[@]:1}")
		while read -r name section; do
			[ -n "${reached[$name.$section]:-}" ] && continue
			reached[$name.$section]=1
			todo+=("$name.$section")
		done < <(grep -hiE '^\.(It |Pf [^ ]+ )?Xr torc' \
		    "$man/man${page##*.}/$page" |
		    sed -E 's/.*Xr (torc[a-z0-9_-]*) ([0-9]).*/\1 \2/i' |
		    sort -u)
	done
	printf '%s\n' "${pages[@]##*/}" | while read -r page; do
		[ -n "${reached[$page]:-}" ] || echo "$page"
	done
}
claim "torc(7) leads to each page" none not_reached

# ---- Where it is made and installed ----

# differs AWK: in what it makes.
differs() {
	local other=$scratch/${1%% *}
	mkdir -p "$scratch/bin"
	printf '#!/bin/sh\nexec %s "$@"\n' "$1" >"$scratch/bin/awk"
	chmod 755 "$scratch/bin/awk"
	PATH=$scratch/bin:$PATH make -s B="$other" "$other/manual/links" \
	    manual 2>&1 | grep -v '^  MAN'
	sort "$other/manual/links" >"$scratch/links"
	sort "$man/links" | diff - "$scratch/links"
	diff -r -x links "$man" "$other/manual"
}
for awk in mawk gawk original-awk "busybox awk"; do
	with "${awk%% *}" "$awk makes the same manual" none differs "$awk"
done

installed=$scratch/root/usr/share/man
installs() {
	make -s B="$B" DESTDIR="$scratch/root" PREFIX=/usr install-manual &&
	    diff -r "$man/man3" "$installed/man3" &&
	    diff -r "$man/man7" "$installed/man7"
}
claim "what is installed is what was made" installs

not_found() {
	local call
	shuf -n 20 "$scratch/calls" | while read -r call; do
		mandoc -T ascii "$installed/man3/$call.3" 2>/dev/null | plain |
		    grep -q "$call" || echo "$call"
	done
}
with mandoc "calls are found by their names where they are installed" \
    none not_found

[ $failed -eq 0 ]
