# SPDX-License-Identifier: MIT
# fields.awk - the fields of structures, and the constants of enumerations,
# each with what its comment says.

# Read a body into field_*: decl (or "" for a comment about those that follow)
# and text. Stops at the fields that are torc's alone.
function read_fields(body,	n, i, lines, s, before, decl, note) {
	fields = 0
	fields_hidden = 0
	n = split(body, lines, "\n")
	before = ""
	for (i = 1; i <= n; i++) {
		s = trimmed(lines[i])
		if (s == "") {
			keep_comment(before)
			before = ""
			continue
		}
		if (s ~ /^\/\*/) {
			keep_comment(before)
			for (before = s; before !~ /\*\/$/ && i < n; )
				before = before " " trimmed(lines[++i])
			before = comment_words(before)
			if (before ~ /^(All of it is torc's|torc's)/) {
				fields_hidden = 1
				return
			}
			continue
		}
		if (s ~ /^(union|struct)? ?[{]$|^}/)
			continue
		decl = s
		while (decl !~ /[;,]/ && i < n && !is_last(decl, lines[i + 1]))
			decl = decl " " trimmed(lines[++i])
		while (decl !~ /[;,}]|\/\*/ && i < n)
			decl = decl " " trimmed(lines[++i])
		# A function's parameters have commas, too.
		while (decl ~ /\(/ && decl !~ /;/ && i < n)
			decl = decl " " trimmed(lines[++i])
		note = ""
		if (match(decl, /\/\*/)) {
			note = substr(decl, RSTART)
			decl = trimmed(substr(decl, 1, RSTART - 1))
			while (note !~ /\*\/$/ && i < n)
				note = note " " trimmed(lines[++i])
			note = comment_words(note)
		}
		sub(/[;,]$/, "", decl)
		if (note ~ /^torc's/)
			continue
		if (before != "" && note != "") {
			keep_comment(before)
			before = ""
		}
		keep_field(decl, note != "" ? note : before)
		before = ""
	}
	keep_comment(before)
}

# The last constant of a list may have no comma.
function is_last(decl, next_line) {
	return decl ~ /^[A-Z0-9_]+( = .*)?( *\/\*.*)?$/ ||
	    next_line ~ /^[ \t]*$/
}

function comment_words(s) {
	sub(/^\/\*[ \t]*(\*[ \t]+)?/, "", s)
	sub(/[ \t]*\*\/$/, "", s)
	gsub(/ \*[ \t]+/, " ", s)
	gsub(/[ \t]+/, " ", s)
	return s
}

function keep_comment(text) {
	if (text != "")
		keep_field("", text)
}

function keep_field(decl, text) {
	fields++
	field_decl[fields] = decl
	field_text[fields] = text
}

function fields_out(e,	i, n, open, config) {
	# The comment has said so.
	if (says_own(entity_group[e]))
		return
	read_fields(entity_body[e])
	for (i = n = 0; i < fields; i++)
		n += field_decl[i + 1] != ""
	config = entity_name[e] ~ /_(config|limits)$/
	if (n > 0) {
		out_paragraph()
		words_out("The fields of `struct " entity_name[e] "` are:")
	}
	open = 0
	for (i = 1; i <= fields; i++) {
		if (field_decl[i] == "") {
			if (open)
				out_list_end()
			open = 0
			out_paragraph()
			words_out(sentence(field_text[i]))
			continue
		}
		if (!open)
			out_list_begin()
		open = 1
		gsub(/[ \t]+/, " ", field_decl[i])
		out_item("field", field_decl[i])
		refer_code(field_decl[i])
		words_out(config ? bounds(field_text[i]) : \
		    sentence(field_text[i]))
	}
	if (open)
		out_list_end()
	if (fields_hidden || n == 0) {
		out_paragraph()
		words_out((n ? "The other fields" : "The fields of `struct " \
		    entity_name[e] "`") " are torc's own.")
	}
}

function says_own(g,	q, s) {
	for (q = group_from[g]; q <= group_to[g]; q++) {
		s = part_text[q]
		gsub(/\n/, " ", s)
		if (s ~ /Its fields are torc's\.|All of it is torc's/)
			return 1
	}
	return 0
}

# "what; 8; 1 to 4096" as sentences: the default, and the bounds.
function bounds(s,	n, i, items, text, ends) {
	sub(/\.$/, "", s)
	# A period may end a part, too.
	while (match(s, /\. [0-9]+( [KMG]iB)?(;|$)/))
		s = substr(s, 1, RSTART - 1) ";" substr(s, RSTART + 1)
	while (match(s, /[0-9] to [0-9^]+\. /))
		s = substr(s, 1, RSTART + RLENGTH - 3) ";" \
		    substr(s, RSTART + RLENGTH - 1)
	n = split(s, items, /; /)
	text = ""
	ends = 0
	for (i = 1; i <= n; i++) {
		s = bound(items[i])
		if (text != "")
			text = text (ends || s != items[i] ? ". " : "; ")
		text = text (ends ? capital(s) : s)
		ends = s != items[i]
	}
	return sentence(text)
}

# A part that is a default or a bound, in words; or as it is.
function bound(s,	number, most) {
	number = "[0-9]+(\\^[0-9]+)?( [KMG]iB)?"
	most = "(" number "|TORC_NO_LIMIT|`[a-z_]+`)"
	if (s ~ ("^" number "(, or .*)?$") || s ~ /^TORC_NO_LIMIT$/)
		return "Default: " s
	if (s ~ ("^" number " to " most "(, a power of two)?$"))
		return "Range: " s
	if (s ~ ("^to " most "$"))
		return "At most " substr(s, 4)
	return s
}

function enum_out(e,	i) {
	read_fields(one_per_line(entity_body[e]))
	if (fields == 0)
		return
	out_paragraph()
	words_out(entity_name[e] == "" ? "The constants are:" : \
	    "The constants of `enum " entity_name[e] "` are:")
	out_list_begin()
	for (i = 1; i <= fields; i++) {
		if (field_decl[i] == "")
			continue
		out_item("constant", field_decl[i])
		words_out(sentence(field_text[i]))
	}
	out_list_end()
}

# Constants in one line, such as "A = 0, B = 1".
function one_per_line(body) {
	if (body !~ /\n/)
		gsub(/, */, ",\n", body)
	return body
}
