# SPDX-License-Identifier: MIT
# examples.awk - whole programs: the page of all of them, and the one at the end
# of a page of section 7. What is said of a program is its opening comment: the
# first sentence, and the commands that build and run it.
#
# examples: "torc_http=proxy ...", which header has which; sources: their files.

function read_examples(	n, i, pairs, words, text, s) {
	n = split(examples, pairs, " ")
	for (i = 1; i <= n; i++) {
		split(pairs[i], words, "=")
		example_of[words[1]] = words[2]
	}
	programs = split(sources, program_path, " ")
	for (i = 1; i <= programs; i++) {
		s = program_path[i]
		sub(/.*\//, "", s)
		program_file[i] = s
		sub(/\.cc?$/, "", s)
		program_name[i] = s
		program_number[s] = i
		program_text[i] = ""
		while ((getline text < program_path[i]) > 0)
			program_text[i] = program_text[i] text "\n"
		close(program_path[i])
		if (program_text[i] == "") {
			print "manual: cannot read " program_path[i] \
			    > "/dev/stderr"
			failed = 1
		}
	}
}

function examples_about() {
	return "Whole programs, and the commands that build and run them."
}

# The page of all. In HTML it has their text, too.
function examples_out(	i) {
	split("", seen)
	split("", seen_module)
	if (form == "mdoc")
		out_begin("torc-examples", 7)
	else
		examples_html_begin()
	out_heading("NAME")
	if (form == "mdoc") {
		put(".Nm torc-examples")
		put(".Nd whole programs that use torc")
	} else {
		out_paragraph()
		put("<b>torc-examples</b> &mdash; whole programs that use" \
		    " torc")
	}
	out_heading("DESCRIPTION")
	out_paragraph()
	words_out("The examples are installed in `share/doc/torc/examples`" \
	    " below the prefix of torc. Copy the folder, and build a program" \
	    " with the first of the commands shown for it. The second runs" \
	    " it. The tests of torc use the same commands.")
	out_list_begin()
	for (i = 1; i <= programs; i++)
		example_item(i)
	out_list_end()
	if (form != "mdoc")
		for (i = 1; i <= programs; i++) {
			put("<h2 id=\"" program_name[i] "\">" \
			    program_file[i] "</h2>")
			program_out(i)
		}
	out_heading("SEE ALSO")
	out_paragraph()
	out_marked("page", "torc", 7, "", "")
	out_end()
}

function examples_html_begin() {
	out_name = ""
	out_section = 0
	out_file = out "/examples.html"
	html_head("torc-examples(7)")
}

# What is compiled into others has no commands.
function example_item(i,	n, k, lines) {
	n = program_commands(i, lines)
	if (form == "mdoc") {
		flush()
		put(".It Pa " program_file[i])
		fresh = 1
	} else {
		put("<dt><a href=\"#" program_name[i] "\">" \
		    program_file[i] "</a></dt>\n<dd>")
	}
	words_out(sentence(program_about(i)))
	if (n == 0)
		return
	out_literal_begin()
	for (k = 1; k <= n; k++)
		out_literal_line(lines[k])
	out_literal_end()
}

# The first sentence of its opening comment.
function program_about(i,	n, k, lines, s, list) {
	n = split(program_text[i], lines, "\n")
	s = ""
	for (k = 1; k <= n && lines[k] !~ /^ \*\//; k++) {
		if (lines[k] ~ /SPDX-License-Identifier|^\/\*$/)
			continue
		sub(/^ \* ?/, "", lines[k])
		if (lines[k] == "")
			break
		s = s (s == "" ? "" : " ") lines[k]
	}
	sub(/^[a-z_]+\.cc? - /, "", s)
	sentences(s, list)
	return list[1]
}

# The lines of its opening comment from the compiler's to an empty one: how many.
function program_commands(i, list,	n, k, m, lines) {
	split("", list)
	n = split(program_text[i], lines, "\n")
	m = 0
	for (k = 1; k <= n && lines[k] !~ /^ \*\//; k++) {
		if (lines[k] ~ /^ \*     (cc|c\+\+) / ||
		    (m > 0 && lines[k] ~ /^ \*     /)) {
			list[++m] = lines[k]
			sub(/^ \*     /, "", list[m])
		} else if (m > 0) {
			break
		}
	}
	return m
}

function example_out(f,	i, s) {
	if (!(file_name[f] in example_of))
		return
	s = example_of[file_name[f]]
	if (!(s in program_number)) {
		print "manual: no program " s ".c, the example of " \
		    file_name[f] > "/dev/stderr"
		failed = 1
		return
	}
	i = program_number[s]
	out_heading("EXAMPLES")
	out_paragraph()
	words_out("This is `" program_file[i] "`, one of the programs of")
	out_marked("page", "torc-examples", 7, "", ".")
	program_out(i)
}

function program_out(i,	n, k, lines) {
	n = split(program_text[i], lines, "\n")
	out_literal_begin()
	for (k = 1; k < n; k++)
		out_literal_line(lines[k])
	out_literal_end()
}
