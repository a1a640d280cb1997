# SPDX-License-Identifier: MIT
# html.awk - a guide as a page of the HTML manual. It knows the Markdown that
# the guides are written in: headings, paragraphs, lists, tables, code, links.
# A link to a page that is none of the manual's is left as its text.

BEGIN {
	block = ""		# what is open: p, li, pre, table
}

function escaped(s) {
	gsub(/&/, "\\&amp;", s)
	gsub(/</, "\\&lt;", s)
	gsub(/>/, "\\&gt;", s)
	return s
}

# The anchor of a heading, as GitHub makes it.
function anchor(s) {
	s = tolower(s)
	gsub(/[^a-z0-9 _-]/, "", s)
	gsub(/ /, "-", s)
	return s
}

function linked(text, to,	page) {
	if (to ~ /^https?:/)
		return "<a href=\"" to "\">" text "</a>"
	if (to ~ /^#/)
		return "<a href=\"" to "\">" text "</a>"
	if (to !~ /^[a-z-]+\.md(#.*)?$/)
		return text
	page = to
	sub(/\.md/, ".html", page)
	return "<a href=\"guide-" page "\">" text "</a>"
}

# A name that has a page of the manual, with its link.
function code(s,	name) {
	name = s
	sub(/^struct /, "", name)
	sub(/\(.*/, "", name)
	if (name in page_of)
		return "<a href=\"" page_of[name] "\"><code>" \
		    escaped(s) "</code></a>"
	return "<code>" escaped(s) "</code>"
}

# Text within a block.
function inline(s,	out, p, q, text) {
	out = ""
	while (match(s, /`[^`]*`|\[[^]]*\]\([^)]*\)|\*\*[^*]*\*\*/)) {
		out = out escaped(substr(s, 1, RSTART - 1))
		text = substr(s, RSTART, RLENGTH)
		s = substr(s, RSTART + RLENGTH)
		if (text ~ /^`/) {
			out = out code(substr(text, 2, length(text) - 2))
		} else if (text ~ /^\*/) {
			out = out "<b>" \
			    inline(substr(text, 3, length(text) - 4)) "</b>"
		} else {
			p = index(text, "](")
			q = length(text)
			out = out linked(escaped(substr(text, 2, p - 2)), \
			    substr(text, p + 2, q - p - 2))
		}
	}
	return out escaped(s)
}

function close_block() {
	if (block == "p")
		print "<p>" inline(text) "</p>"
	if (block == "li") {
		print "<li>" inline(text) "</li>"
		print "</" list ">"
		list = ""
	}
	if (block == "pre")
		print "</pre>"
	if (block == "table")
		print "</table>"
	block = ""
}

function row(line, tag,	n, i, cells) {
	gsub(/\\\|/, "\001", line)
	sub(/^\| */, "", line)
	sub(/ *\| *$/, "", line)
	n = split(line, cells, / *\| */)
	printf "<tr>"
	for (i = 1; i <= n; i++) {
		gsub(/\001/, "|", cells[i])
		printf "<%s>%s</%s>", tag, inline(cells[i]), tag
	}
	print "</tr>"
}

function item(kind, line) {
	if (block == "li")
		print "<li>" inline(text) "</li>"
	else
		close_block()
	if (list != kind) {
		print "<" kind ">"
		list = kind
	}
	block = "li"
	text = line
}

# First comes the index of the manual: which name has which page.
FILENAME ~ /index\.html$/ {
	if (match($0, /^<li><a href="[^"]*\.3\.html">[a-zA-Z0-9_]+</)) {
		split($0, quoted, /[">]/)
		name = quoted[5]
		sub(/<.*/, "", name)
		page_of[name] = quoted[3]
	}
	next
}
/^<!-- / { next }
/^# / {
	title = substr($0, 3)
	print "<!DOCTYPE html>\n<html lang=\"en\">\n<head>"
	print "<meta charset=\"utf-8\">"
	print "<meta name=\"viewport\" content=\"width=device-width\">"
	print "<title>" escaped(title) " - torc " version "</title>"
	print "<link rel=\"stylesheet\" href=\"style.css\">"
	print "</head>\n<body>\n<nav><a href=\"index.html\">torc " version \
	    "</a> <a href=\"torc.7.html\">Overview</a>" \
	    " <a href=\"examples.html\">Examples</a></nav>"
	print "<main>\n<h1>" inline(title) "</h1>"
	next
}
fenced && /^```/ { print "</pre>"; fenced = 0; next }
fenced { print escaped($0); next }
/^```/ { close_block(); printf "<pre>"; fenced = 1; next }
/^##+ / {
	close_block()
	level = match($0, /[^#]/) - 1
	sub(/^#+ /, "")
	print "<h" level " id=\"" anchor($0) "\">" inline($0) "</h" level ">"
	next
}
block == "pre" && /^$/ { gap = 1; next }
/^    / && block != "li" && block != "p" {
	if (block != "pre") {
		close_block()
		printf "<pre>"
		block = "pre"
		gap = 0
	}
	if (gap)
		print ""
	gap = 0
	print escaped(substr($0, 5))
	next
}
/^\|[-| ]*$/ { next }
/^\|/ {
	if (block != "table") {
		close_block()
		print "<table>"
		block = "table"
		row($0, "th")
	} else {
		row($0, "td")
	}
	next
}
/^- / { item("ul", substr($0, 3)); next }
/^[0-9]+\. / { sub(/^[0-9]+\. /, ""); item("ol", $0); next }
/^$/ { if (block != "li") close_block(); else ended = 1; next }
{
	sub(/^ +/, "")
	if (block == "li" && !ended) {
		text = text " " $0
		next
	}
	if (block == "p") {
		text = text " " $0
		next
	}
	close_block()
	block = "p"
	text = $0
}
{ ended = 0 }

END {
	close_block()
	print "</main>\n</body>\n</html>"
}
