# SPDX-License-Identifier: MIT
# modules.awk - the pages of section 7, one for each header: its opening
# comment, its calls by section, and a whole program. In HTML also the index.

function modules_out(	f) {
	for (f = 1; f <= files; f++)
		module_out(f)
	if (form != "mdoc")
		index_out()
	examples_out()
}

function module_out(f,	about) {
	split("", seen)
	split("", seen_module)
	out_begin(file_name[f], 7)
	about = module_about(f)
	out_heading("NAME")
	if (form == "mdoc") {
		put(".Nm " file_name[f])
		put(".Nd " mdoc_words(about))
	} else {
		out_paragraph()
		put("<b>" file_name[f] "</b> &mdash; " html(about))
	}
	out_heading("SYNOPSIS")
	out_include(header_of(f))
	out_synopsis_end()
	out_paragraph()
	flags_out(f)
	out_heading("DESCRIPTION")
	text_out(module_text(f), 1)
	if (file_name[f] == "torc")
		modules_list(f)
	sections_out(f)
	example_out(f)
	module_see_also(f)
	out_end()
}

# "torc_http.h - HTTP/1.1 for torc." is what it is about; the rest is the text.
function module_about(f,	s, list) {
	s = file_text[f]
	gsub(/\n/, " ", s)
	sub(/^[a-z_]+\.h - /, "", s)
	sentences(s, list)
	s = list[1]
	sub(/\.$/, "", s)
	if (length(s) > 72)
		sub(/[:;] .*/, "", s)
	return s
}

function module_text(f,	s, p, par) {
	s = file_text[f]
	if (!match(s, /^[a-z_]+\.h - /))
		return s
	s = substr(s, RLENGTH + 1)
	p = index(s, "\n\n")
	par = p ? substr(s, 1, p - 1) : s
	gsub(/\n/, " ", par)
	# A first paragraph of one sentence may be what NAME says already.
	if (p && par == module_about(f) ".")
		return substr(s, p + 2)
	return capital(s)
}

function modules_list(f,	i) {
	out_subheading("Modules")
	out_list_begin(1)
	for (i = 1; i <= files; i++) {
		if (i == f)
			continue
		refer_module(file_name[i])
		out_item("page", file_name[i] "(7)")
		words_out(sentence(module_about(i)))
	}
	out_item("page", "torc-examples(7)")
	words_out(examples_about())
	out_list_end()
}

# The sections of a header, with what its pages are about.
function sections_out(f,	s, p, any) {
	for (s = 1; s <= sections; s++) {
		if (section_file[s] != f)
			continue
		any = 0
		for (p = 1; p <= pages; p++)
			any += page_section[p] == s
		if (!any && section_intro[s] == "")
			continue
		out_subheading(section_title[s] == "" ? "Basics" : \
		    section_title[s])
		if (section_intro[s] != "") {
			text_out(section_intro[s], 0)
			if (any)
				out_paragraph()
		}
		if (any)
			section_pages(s)
	}
}

function section_pages(s,	p) {
	out_list_begin(1)
	for (p = 1; p <= pages; p++) {
		if (page_section[p] != s)
			continue
		refer(page_name[p])
		out_item("page", page_name[p] "(3)")
		words_out(sentence(page_about[p]))
	}
	out_list_end()
}

function module_see_also(f,	name, names, n, i) {
	if (file_name[f] != "torc")
		seen_module["torc"] = 1
	delete seen_module[file_name[f]]
	n = 0
	for (name in seen_module)
		names[++n] = name
	sort(names, n)
	out_heading("SEE ALSO")
	out_paragraph()
	for (i = 1; i <= n; i++)
		out_marked("page", names[i], 7, "", i < n ? "," : "")
	flush()
}

# ---- HTML alone ----

# The programs in which a name of a page is.
function used_out(p,	i, n, name, pattern) {
	n = 0
	for (name in page_of)
		if (page_of[name] == p)
			pattern = pattern (pattern == "" ? "" : "|") name
	pattern = "(^|[^A-Za-z0-9_])(" pattern ")([^A-Za-z0-9_]|$)"
	for (i = 1; i <= programs; i++) {
		if (program_text[i] !~ pattern)
			continue
		if (n++ == 0) {
			out_heading("EXAMPLES")
			out_paragraph()
		}
		put("<a href=\"examples.html#" program_name[i] "\">" \
		    program_name[i] ".c</a>")
	}
}

# What tools/guides/html.awk makes of the guides, by their first lines.
function guides_out(	n, i, paths, line, name) {
	n = split(guides, paths, " ")
	put("<h2 id=\"guides\">Guides</h2>\n<ul>")
	for (i = 1; i <= n; i++) {
		while ((getline line < paths[i]) > 0 && line !~ /^# /)
			;
		close(paths[i])
		name = paths[i]
		sub(/.*\//, "", name)
		sub(/\.md$/, "", name)
		put("<li><a href=\"guide-" name ".html\">" \
		    html(substr(line, 3)) "</a></li>")
	}
	put("</ul>")
}

function index_out(	i, n, name, names, p) {
	out_name = ""
	out_section = 0
	out_file = out "/index.html"
	html_head("Manual")
	out_list_begin()
	for (i = 1; i <= files; i++) {
		put("<dt><a href=\"" page_file_name(file_name[i], 7) "\">" \
		    file_name[i] "(7)</a></dt>\n<dd>")
		words_out(sentence(module_about(i)))
	}
	out_item("page", "torc-examples(7)")
	words_out(examples_about())
	out_list_end()
	guides_out()
	n = 0
	for (name in page_of)
		names[++n] = name
	sort(names, n)
	put("<h2 id=\"names\">All names</h2>\n<ul class=\"names\">")
	for (i = 1; i <= n; i++) {
		p = page_of[names[i]]
		put("<li><a href=\"" page_file_name(page_name[p], 3) "\">" \
		    names[i] "</a>" (names[i] == page_name[p] ? " " \
		    html(page_about[p]) : "") "</li>")
	}
	put("</ul>")
	out_end()
}

END {
	read_examples()
	pages_out()
	modules_out()
	exit failed
}
