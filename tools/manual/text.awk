# SPDX-License-Identifier: MIT
# text.awk - the text of comments: paragraphs, lists of errors, code, and the
# words in them that mean something.

# Write a text. A paragraph that begins with a few words and a period has these
# as its heading, if it is not the first one ("titles": also that one).
function text_out(text, titles,	n, i, lines, par) {
	n = split(text, lines, "\n")
	headings = titles
	par = ""
	for (i = 1; i <= n; i++) {
		if (lines[i] ~ /^[ \t]*$/ || lines[i] ~ /^(\t|    )/) {
			paragraph_out(par)
			par = ""
			if (lines[i] ~ /^(\t|    )/)
				i = block_out(lines, i, n)
		} else {
			par = par (par == "" ? "" : " ") lines[i]
		}
	}
	paragraph_out(par)
}

# What is indented: a list of errors, or code. Returns its last line.
function block_out(lines, i, n,	tag, rest, begun) {
	if (lines[i] !~ /^\t-E/)
		return code_out(lines, i, n)
	out_list_begin()
	for (; i <= n && lines[i] ~ /^\t/; i++) {
		if (lines[i] ~ /^\t-E/) {
			if (begun)
				words_out(sentence(trimmed(rest)))
			begun = 1
			tag = substr(lines[i], 2)
			rest = ""
			if (match(tag, /\t+/)) {
				rest = substr(tag, RSTART + RLENGTH)
				tag = substr(tag, 1, RSTART - 1)
			}
			error_item(tag)
		} else {
			rest = rest " " trimmed(lines[i])
		}
	}
	words_out(sentence(trimmed(rest)))
	out_list_end()
	return i - 1
}

# "-ECONNRESET ..." means that one, and others like it.
function error_item(tag) {
	sub(/ \.\.\.$/, ", ...", tag)
	out_item("error", tag)
}

function code_out(lines, i, n,	s, empty) {
	out_literal_begin()
	for (; i <= n; i++) {
		if (lines[i] ~ /^[ \t]*$/) {
			# An empty line is of the code if code follows.
			if (lines[i + 1] !~ /^(\t|    )/)
				break
			out_literal_line("")
			continue
		}
		if (lines[i] !~ /^(\t|    )/)
			break
		s = lines[i]
		sub(/^(\t|    )/, "", s)
		out_literal_line(s)
	}
	out_literal_end()
	return i - 1
}

function paragraph_out(par,	title) {
	if (par == "")
		return
	if (headings && match(par, /^[A-Z][a-z']+( [a-z]+)?( [a-z]+)?\. /)) {
		title = substr(par, 1, RLENGTH - 2)
		par = substr(par, RLENGTH + 1)
		out_subheading(title)
	}
	headings = 1
	out_paragraph()
	words_out(par)
}

# The words of a paragraph, marked up where they mean something.
function words_out(text,	n, i, words) {
	# What stands in backquotes is one word.
	text = quoted_spaces(text)
	n = split(text, words, " ")
	for (i = 1; i <= n; i++) {
		gsub(/\001/, " ", words[i])
		if (words[i] ~ /^[("]*(struct|enum)$/ && i < n &&
		    words[i + 1] ~ /^torc_/) {
			words[i + 1] = words[i] " " words[i + 1]
			continue
		}
		word_out(words[i])
		if (i < n && ends_sentence(words[i], words[i + 1]))
			out_sentence_end()
	}
	flush()
}

function quoted_spaces(text,	done, from, to, quoted) {
	done = ""
	while ((from = index(text, "`"))) {
		to = index(substr(text, from + 1), "`")
		if (!to)
			break
		quoted = substr(text, from, to + 1)
		gsub(/ /, "\001", quoted)
		done = done substr(text, 1, from - 1) quoted
		text = substr(text, from + to + 1)
	}
	return done text
}

function ends_sentence(word, next_word) {
	return word ~ /[.?!][)"]*$/ && word !~ /\.\.\.$/ &&
	    next_word ~ /^([("`]*[A-Z0-9]|[("]*`|-E|torc)/
}

function word_out(word,	before, core, behind) {
	before = ""
	if (match(word, /^[(["{]+/)) {
		before = substr(word, 1, RLENGTH)
		word = substr(word, RLENGTH + 1)
	}
	# A call with its arguments is code.
	if (match(word, /^torc_[a-z0-9_]+\([A-Za-z0-9_]+\)/) &&
	    word !~ /^[a-z0-9_]+\([37]\)/) {
		out_marked("code", substr(word, 1, RLENGTH), "", before, \
		    substr(word, RLENGTH + 1))
		return
	}
	core = core_of(word)
	behind = substr(word, length(core) + 1)
	if (core == "" || !mark(core, before, behind))
		out_word(before word)
}

# The part of a word that may mean something.
function core_of(word) {
	if (match(word, /^`[^`]+`/) ||
	    match(word, /^(struct|enum) torc_[a-z0-9_]+/) ||
	    match(word, /^torc(_[a-z0-9]+)*\.h/) ||
	    match(word, /^torc_[a-z0-9_]+(\(\)|\([37]\))?/) ||
	    match(word, /^torc\(7\)/) ||
	    match(word, /^-E[A-Z0-9]+/) ||
	    match(word, /^[a-zA-Z_][a-zA-Z0-9_.]*\([1-8]?\)/) ||
	    match(word, /^TORC_[A-Z0-9_]+/) ||
	    match(word, /^[A-Z]+_[A-Z0-9_]*/) ||
	    match(word, /^(NULL|SIG[A-Z]+)/))
		return substr(word, 1, RLENGTH)
	return ""
}

function mark(core, before, behind,	name) {
	if (core ~ /^`/)
		return mark_quoted(substr(core, 2, length(core) - 2), before, \
		    behind)
	if (core ~ /^(struct|enum) /) {
		name = core
		sub(/^.* /, "", name)
		refer(name)
		out_marked("type", core, "", before, behind)
	} else if (core ~ /\.h$/) {
		name = substr(core, 1, length(core) - 2)
		if (!(name in module))
			return 0
		if (behind ~ /^[a-z]/)
			return 0
		module_marked(name, before, behind)
	} else if (core ~ /^torc[_(]/) {
		return mark_name(core, before, behind)
	} else if (core ~ /^-E/) {
		if (behind ~ /^[a-z]/)
			return 0
		# mdoc knows the constant, and the sign stands before it.
		out_marked("error", form == "mdoc" ? substr(core, 2) : core, \
		    "", form == "mdoc" ? before "-" : before, behind)
	} else if (core ~ /\(\)$/) {
		out_marked("call", substr(core, 1, length(core) - 2), "", \
		    before, behind)
	} else if (core ~ /\([1-8]\)$/) {
		name = core
		sub(/\(.*/, "", name)
		out_marked("page", name, substr(core, length(core) - 1, 1), \
		    before, behind)
	} else {
		if (behind ~ /^[a-z]/ && core !~ /_$/)
			return 0
		refer(core)
		out_marked("constant", core, "", before, behind)
	}
	return 1
}

function mark_quoted(text, before, behind) {
	if (text ~ /^(struct|enum) torc_[a-z0-9_]+$/ ||
	    text ~ /^torc_[a-z0-9_]+(\(\))?$/ ||
	    text ~ /^(-E|TORC_|SIG)[A-Z0-9_]+$/ || text == "NULL") {
		if (mark(text, before, behind))
			return 1
	}
	out_marked(text ~ /^[*&]*[a-z_][A-Za-z0-9_.>[*]*(-[>a-z_]+)*\]?$/ ? \
	    "parameter" : "code", text, "", before, behind)
	return 1
}

function module_marked(name, before, behind) {
	if (out_section == 7 && name == out_name) {
		out_word(before name ".h" behind)
		return
	}
	refer_module(name)
	out_marked("page", name, 7, before, behind)
}

# A name of torc's: of this page, or of another one.
function mark_name(core, before, behind,	name, sec) {
	name = core
	sub(/\(.*/, "", name)
	sec = core ~ /\(7\)$/ ? 7 : 3
	if (sec == 7 && name in module) {
		module_marked(name, before, behind)
	} else if (!(name in page_of)) {
		return 0
	} else if (out_section == 3 && page_name[page_of[name]] == out_name) {
		if (is_call[name])
			out_marked("call", name, "", before, behind)
		else
			out_marked("type", name, "", before, behind)
	} else {
		refer(name)
		out_marked("page", name, 3, before, behind)
	}
	return 1
}

# ---- What a page leads to ----

function refer(name) {
	if (name in page_of && (out_section != 3 ||
	    page_name[page_of[name]] != out_name))
		seen[page_name[page_of[name]]] = 1
}

function refer_module(name) {
	seen_module[name] = 1
}

# All names in what is declared.
function refer_code(s) {
	while (match(s, /torc_[a-z0-9_]+/)) {
		refer(substr(s, RSTART, RLENGTH))
		s = substr(s, RSTART + RLENGTH)
	}
}

# ---- Sentences ----

# The sentences of a paragraph. Returns how many.
function sentences(par, list,	n, i, words, k) {
	split("", list)
	par = quoted_spaces(par)
	n = split(par, words, " ")
	k = 1
	list[1] = ""
	for (i = 1; i <= n; i++) {
		list[k] = list[k] (list[k] == "" ? "" : " ") words[i]
		if (i < n && ends_sentence(words[i], words[i + 1]))
			list[++k] = ""
	}
	for (i = 1; i <= k; i++)
		gsub(/\001/, " ", list[i])
	return n ? k : 0
}
