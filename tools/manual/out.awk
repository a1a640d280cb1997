# SPDX-License-Identifier: MIT
# out.awk - writes a page, as mdoc(7) or as HTML (form): the rest knows neither.
#
# Text is given word by word. A word that means something is given with its
# kind, and what stands before and behind it without a space.

# ---- Pages ----

function out_begin(name, sec) {
	out_name = name
	out_section = sec
	out_text = ""
	if (form == "mdoc") {
		out_file = out "/man" sec "/" name "." sec
		put(".Dd " date)
		put(".Dt " toupper(name) " " sec)
		put(".Os torc " version)
	} else {
		out_file = out "/" page_file_name(name, sec)
		html_head(name "(" sec ")")
	}
}

function out_end() {
	flush()
	if (form != "mdoc")
		put("</main>\n</body>\n</html>")
	close(out_file)
}

function html_head(title) {
	put("<!DOCTYPE html>\n<html lang=\"en\">\n<head>")
	put("<meta charset=\"utf-8\">")
	put("<meta name=\"viewport\" content=\"width=device-width\">")
	put("<title>" title " - torc " version "</title>")
	put("<link rel=\"stylesheet\" href=\"style.css\">")
	put("</head>\n<body>\n<nav><a href=\"index.html\">torc " version \
	    "</a> <a href=\"torc.7.html\">Overview</a>" \
	    " <a href=\"examples.html\">Examples</a></nav>")
	put("<main>\n<h1>" title "</h1>")
}

function page_file_name(name, sec) {
	return name "." sec ".html"
}

# ---- Blocks ----

function out_heading(title) {
	flush()
	if (form == "mdoc")
		put(".Sh " title)
	else
		put("<h2 id=\"" anchor(title) "\">" title "</h2>")
	fresh = 1
}

function out_subheading(title) {
	flush()
	if (form == "mdoc")
		put(".Ss " mdoc_words(title))
	else
		put("<h3 id=\"" anchor(title) "\">" html(title) "</h3>")
	fresh = 1
}

function anchor(title) {
	title = tolower(title)
	gsub(/[^a-z0-9]+/, "-", title)
	return title
}

# A paragraph begins; the first one behind a heading needs no space.
function out_paragraph() {
	flush()
	if (form != "mdoc")
		put("<p>")
	else if (!fresh)
		put(".Pp")
	fresh = 0
}

function out_literal_begin() {
	flush()
	if (form == "mdoc")
		put(".Bd -literal -offset indent")
	else
		printf "<pre><code>" > out_file
}

function out_literal_line(s) {
	if (form == "mdoc")
		put(mdoc_literal(s))
	else
		put(html_code(s))
}

function out_literal_end() {
	put(form == "mdoc" ? ".Ed" : "</code></pre>")
	fresh = 0
}

function out_list_begin(compact) {
	flush()
	if (form == "mdoc")
		put(".Bl -tag -width Ds" (compact ? " -compact" : ""))
	else
		put("<dl>")
}

function out_list_end() {
	flush()
	put(form == "mdoc" ? ".El" : "</dl>")
	fresh = 0
}

# The tag of an item: of a kind, as that of a word.
function out_item(kind, text,	n, i, names) {
	flush()
	fresh = 1
	if (form != "mdoc") {
		put("<dt>" (text == "torc-examples(7)" ? examples_link() : \
		    html_code(text)) "</dt>\n<dd>")
	} else if (kind == "error") {
		gsub(/-/, "", text)
		n = split(text, names, ", ")
		text = ""
		for (i = 1; i <= n; i++)
			text = text (i > 1 ? " , " : "") names[i]
		put(".It Bq Er " text)
	} else if (kind == "page") {
		match(text, /\([0-9]\)$/)
		put(".It Xr " substr(text, 1, RSTART - 1) " " \
		    substr(text, RSTART + 1, 1))
	} else if (kind == "calls") {
		n = split(text, names, ", ")
		text = ""
		for (i = 1; i <= n; i++) {
			sub(/\(\)$/, "", names[i])
			text = text (i > 1 ? " , Fn " : "Fn ") names[i]
		}
		put(".It " text)
	} else {
		put(".It " (kind == "constant" ? "Dv " : "Vt ") \
		    mdoc_arg(text))
	}
}

# ---- The first sections of a page ----

function out_names(names, count, about,	i) {
	out_heading("NAME")
	if (form == "mdoc") {
		for (i = 1; i <= count; i++)
			put(".Nm " names[i] (i < count ? " ," : ""))
		put(".Nd " mdoc_words(about))
	} else {
		out_paragraph()
		for (i = 1; i <= count; i++)
			put("<b>" names[i] "</b>" (i < count ? "," : ""))
		put("&mdash; " html(about))
	}
}

function out_include(header) {
	if (form == "mdoc")
		put(".In " header ".h")
	else
		put("<pre>#include &lt;<a href=\"" \
		    page_file_name(header, 7) "\">" header ".h</a>&gt;\n")
}

function out_synopsis_end() {
	if (form != "mdoc")
		put("</pre>")
	fresh = 0
}

function out_macro(text) {
	if (form == "mdoc")
		put(".Fd #define " mdoc_words(text))
	else
		put("#define " html_code(text))
}

function out_type(text) {
	if (form == "mdoc")
		put(".Vt " mdoc_words(text) " ;")
	else
		put(html_code(text) ";")
}

function out_prototype(result, name, params,	n, i, list) {
	if (form != "mdoc") {
		html_prototype(result, name, params)
		return
	}
	put(".Ft " mdoc_words(result))
	put(".Fo " name)
	n = split_params(params, list)
	for (i = 1; i <= n; i++)
		put(".Fa " mdoc_arg(list[i]))
	put(".Fc")
}

function html_prototype(result, name, params,	n, i, list, text) {
	text = result (result ~ /\*$/ ? "" : " ")
	n = split_params(params, list)
	params = ""
	for (i = 1; i <= n; i++)
		params = params (i > 1 ? ",\n    " : "") list[i]
	put(html_code(text) "<b>" name "</b>(" html_code(params) ");")
}

# Parameters of a prototype, at the commas that are in no parentheses.
function split_params(params, list,	i, c, depth, n, from) {
	split("", list)
	if (params == "")
		return 0
	depth = 0
	from = 1
	n = 0
	for (i = 1; i <= length(params) + 1; i++) {
		c = substr(params, i, 1)
		if (c == "(")
			depth++
		else if (c == ")")
			depth--
		if ((c == "," && depth == 0) || i > length(params)) {
			list[++n] = trimmed(substr(params, from, i - from))
			from = i + 1
		}
	}
	return n
}

# ---- Words ----

function out_word(word) {
	add(form == "mdoc" ? mdoc_word(word) : html(word))
}

# A sentence has ended: in mdoc, the next one begins a line.
function out_sentence_end() {
	flush()
}

# kinds: page (name and section), call (on this page), parameter, constant,
# error, type, code.
function out_marked(kind, text, sec, before, behind) {
	if (form == "mdoc")
		mdoc_marked(kind, text, sec, before, behind)
	else
		add(html(before) html_marked(kind, text, sec) html(behind))
}

function examples_link() {
	return "<a href=\"examples.html\">torc-examples(7)</a>"
}

function html_marked(kind, text, sec,	name) {
	if (text == "torc-examples")
		return examples_link()
	name = text
	sub(/.* /, "", name)
	if (kind == "page" && (sec ~ /^[37]$/) && page_known(name, sec))
		return "<a href=\"" page_file_name(sec == 3 ? \
		    page_name[page_of[name]] : name, sec) "\">" text \
		    (sec == 3 ? (is_call[name] ? "()" : "") : \
		    "(" sec ")") "</a>"
	if (kind == "page")
		return text "(" sec ")"
	if (kind == "call")
		return "<b>" text "</b>()"
	if (kind == "parameter")
		return "<i>" html(text) "</i>"
	return "<code>" html_code(text) "</code>"
}

function page_known(name, sec) {
	return sec == 7 ? name in module : name in page_of
}

function mdoc_marked(kind, text, sec, before, behind,	macro, tail) {
	flush()
	if (kind == "page")
		macro = "Xr " text " " sec
	else if (kind == "call")
		macro = "Fn " text
	else if (kind == "parameter")
		macro = "Fa " mdoc_arg(text)
	else if (kind == "constant")
		macro = "Dv " mdoc_arg(text)
	else if (kind == "error")
		macro = "Er " text
	else if (kind == "type")
		macro = "Vt " mdoc_words(text)
	else
		macro = "Ql " mdoc_arg(text)
	tail = ""
	while (behind ~ /^[.,:;)?!]/) {
		tail = tail " " substr(behind, 1, 1)
		behind = substr(behind, 2)
	}
	if (behind != "" && behind ~ /^\]/) {
		tail = tail " ]"
		behind = substr(behind, 2)
	}
	if (behind != "")
		tail = tail " Ns " mdoc_arg(behind)
	put("." (before != "" ? "Pf " mdoc_arg(before) " " : "") macro tail)
}

function add(word) {
	if (out_text != "" && length(out_text) + length(word) > 76)
		flush()
	out_text = out_text (out_text == "" ? "" : " ") word
}

function flush() {
	if (out_text == "")
		return
	if (form == "mdoc" && out_text ~ /^[.']/)
		out_text = "\\&" out_text
	put(out_text)
	out_text = ""
}

function put(s) {
	print s > out_file
}

# ---- Escapes ----

function replaced(s, from, to,	at, done) {
	done = ""
	while ((at = index(s, from))) {
		done = done substr(s, 1, at - 1) to
		s = substr(s, at + length(from))
	}
	return done s
}

function mdoc_word(s) {
	s = replaced(s, "\\", "\\e")
	s = replaced(s, "^", "\\(ha")
	s = replaced(s, "~", "\\(ti")
	s = replaced(s, "`", "\\(ga")
	if (s ~ /^[("]*-/)
		sub(/-/, "\\-", s)
	return s
}

# Words in the line of a macro.
function mdoc_words(s,	n, i, words) {
	n = split(s, words, " ")
	s = ""
	for (i = 1; i <= n; i++) {
		words[i] = replaced(mdoc_word(words[i]), "\"", "\\(dq")
		if (words[i] ~ /^[A-Z%][a-z1]?[a-z]?$/ ||
		    words[i] ~ /^[][().,:;?!|]$/)
			words[i] = "\\&" words[i]
		s = s (i > 1 ? " " : "") words[i]
	}
	return s
}

# One argument of a macro.
function mdoc_arg(s) {
	if (s !~ / /)
		return mdoc_words(s)
	return "\"" replaced(mdoc_word(s), "\"", "\\(dq") "\""
}

function mdoc_literal(s) {
	s = replaced(s, "\\", "\\e")
	s = replaced(s, "^", "\\(ha")
	s = replaced(s, "~", "\\(ti")
	s = replaced(s, "`", "\\(ga")
	s = replaced(s, "'", "\\(aq")
	s = replaced(s, "-", "\\-")
	return s ~ /^[.']/ ? "\\&" s : s
}

function html(s) {
	s = replaced(s, "&", "&amp;")
	s = replaced(s, "<", "&lt;")
	return replaced(s, ">", "&gt;")
}

# Code, in which what has a page leads to it.
function html_code(s,	done, word) {
	done = ""
	while (match(s, /(torc_|TORC_)[A-Za-z0-9_]+/)) {
		word = substr(s, RSTART, RLENGTH)
		done = done html(substr(s, 1, RSTART - 1))
		s = substr(s, RSTART + RLENGTH)
		if (substr(s, 1, 2) == ".h" && word in module)
			done = done "<a href=\"" page_file_name(word, 7) "\">" \
			    word "</a>"
		else if (word in page_of &&
		    page_name[page_of[word]] != out_name)
			done = done "<a href=\"" \
			    page_file_name(page_name[page_of[word]], 3) "\">" \
			    word "</a>"
		else
			done = done word
	}
	return done html(s)
}
