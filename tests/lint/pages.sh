# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# pages.sh - Markdown: the README is short, links lead somewhere, code is that
# of files, and the chart is that of its figures.

pages() {
	find . -name .git -prune -o -name 'build*' -prune -o -name '*.md' \
	    -print | sed 's|^\./||' | sort
}

wc -l README.md | awk '$1 > 150' |
    claim "README.md has at most 150 lines"
pages | grep -E '^(README\.md|tools/guides/)' | while read -r page; do
	# A row of a table cannot be broken.
	awk -v page="$page" 'length > 100 && !(/^\|/ && page ~ /guides/) {
		print page ":" FNR ": " length }' "$page"
done | claim "README.md and the guides have at most 100 columns"

# Sample code stands behind a line "<!-- from FILE -->", and is a part of that
# file, line by line: one that the suite builds.
samples() {
	awk -v page="$1" '
	function read_file(name,	line) {
		text[name] = "\n"
		while ((getline line < name) > 0)
			text[name] = text[name] line "\n"
		close(name)
	}
	inside && /^```/ {
		if (source == "")
			print page ":" begun ": from which file?"
		else if (source !~ /^(tools\/(guides|examples)|tests\/sim)\/[^\/]*\.(c|cc|h)$/)
			print page ":" begun ": the suite does not build " source
		else {
			if (!(source in text))
				read_file(source)
			if (!index(text[source], "\n" block))
				print page ":" begun ": not in " source
		}
		inside = 0
		source = ""
		next
	}
	inside { block = block $0 "\n"; next }
	/^```(c|cc|cpp|c\+\+|C)$/ { inside = 1; begun = FNR; block = ""; next }
	/^```/ { print page ":" FNR ": a fence without c or cc" }
	/^<!-- from [^ ]* -->$/ { source = $3; next }
	{ source = "" }' "$1"
}
pages | while read -r page; do
	samples "$page"
done | claim "each sample of C in Markdown is a part of a file that is built"

# What links of a page lead to: "FILE" or "FILE#ANCHOR", of ours.
links() {
	awk '/^```/ { code = !code } code || /^    / { next }
		{ gsub(/`[^`]*`/, ""); print }' "$1" |
	    tr '\n' ' ' | grep -oE '\]\([^) ]+\)' |
	    sed 's/^](//; s/)$//' | grep -vE '^(https?|mailto):'
}
# As GitHub makes them of headings.
anchors() {
	awk '/^```/ { code = !code } !code && /^#+ / { print }' "$1" |
	    sed -E 's/^#+ +//; s/\[([^]]*)\]\([^)]*\)/\1/g' |
	    tr '[:upper:]' '[:lower:]' | sed -E 's/[^a-z0-9 _-]//g; s/ /-/g'
}
pages | while read -r page; do
	links "$page" | sort -u | while read -r link; do
		to=${link%%#*}
		file=$page
		[ -z "$to" ] || file=$(dirname "$page")/$to
		if [ ! -e "$file" ]; then
			echo "$page: $link"
		elif [[ $link = *"#"* ]]; then
			anchors "$file" | grep -qxF -- "${link#*#}" ||
			    echo "$page: $link"
		fi
	done
done | claim "each link of a Markdown page leads to a file and a heading"

# A guide that nobody finds is none.
for guide in tools/guides/*.md; do
	grep -qF "($guide)" README.md || echo "$guide"
done | claim "README.md leads to each guide"

# Fields of a server's configuration, and those that the guide has.
{ awk '/^struct torc_config \{/ { on = 1; next } /^};/ { on = 0 } on' \
    reactor/torc_runtime.h | tr '\n\t' '  ' |
    sed -E 's|/\*([^*]\|\*[^/])*\*/||g' | tr ';' '\n' |
    sed -nE 's/.*\(\*([a-z_]+)\)\(.*/\1/p; t
	s/.*[ *]([a-z_]+) *$/\1/p' | sort -u
  grep -oE '^(\| |- )(`[a-z_]+`(, )?)+' tools/guides/configuration.md |
    grep -oE '[a-z_]+'; } | sort | uniq -u |
    claim "the guide of configurations has each field of torc_config"

awk -f tools/bench/chart.awk tools/bench/ratios.txt |
    diff tools/bench/ratios.svg - |
    claim "the chart is that of the figures beside it"
