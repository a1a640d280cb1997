# SPDX-License-Identifier: MIT
# read.awk - reads public headers, as they are written here, into what the
# manual is made of.
#
# A header is its opening comment, and sections ("---- Title ----"), which have
# groups. A group is what one page of the manual is about: a comment after an
# empty line, and what is declared behind it. A comment without an empty line
# before it is of what follows it in the group ("sub" 2, 3 ...; the first
# comment is 1). What is declared without a comment belongs to the group before
# it, or, if that has its call or its structure already, to the next one.
#
#	file_*[f]	name (torc_http), path, text
#	section_*[s]	file, title, intro
#	group_*[g]	file, section, subs; from, to: its parts; calls, types:
#			how many; page; gone (it became an intro or an extra)
#	part_*[p]	sub; text of a comment, or entity
#	entity_*[e]	kind (call, type, function, macro, enum, opaque), name,
#			group, sub, result, params, body, note, gap (an empty
#			line before it)

FNR == 1 { file_begin(FILENAME) }

{ sub(/[ \t]+$/, "") }

in_comment {
	line = $0
	if (line ~ /\*\/$/) {
		sub(/[ \t]*\*\/$/, "", line)
		in_comment = 0
	}
	sub(/^ \* ?/, "", line)
	comment = comment "\n" line
	if (!in_comment)
		comment_end(comment)
	next
}

in_body {
	if ($0 ~ /^}/) {
		in_body = 0
		entity(kind, name, "", "", body, "")
	} else {
		body = body $0 "\n"
	}
	next
}

in_inline {
	if ($0 ~ /^}/)
		in_inline = 0
	next
}

in_call {
	declaration = declaration " " $0
	if ($0 ~ /;$/ || $0 == "{")
		call_end()
	next
}

in_macro {
	line = $0
	sub(/^[ \t]+/, "", line)
	in_macro = macro_line(line)
	next
}

/^$/ { blank = 1; next }

/^\/\* ---- .* ---- \*\/$/ {
	title = $0
	sub(/^\/\* ---- /, "", title)
	sub(/ ---- \*\/$/, "", title)
	section_begin(title)
	next
}

/^\/\*/ {
	comment = $0
	sub(/^\/\* ?/, "", comment)
	if (comment ~ /\*\/$/) {
		sub(/[ \t]*\*\/$/, "", comment)
		comment_end(comment)
	} else {
		in_comment = 1
	}
	next
}

/^#include <torc|^#include "torc/ {
	included = $2
	gsub(/[<>"]|\.h$/, "", included)
	sub(/\.h$/, "", included)
	includes[file_name[files], included] = 1
}

/^#define[ \t]/ {
	macro_text = ""
	line = $0
	sub(/^#define[ \t]+/, "", line)
	in_macro = macro_line(line)
	next
}

/^#|^extern "C"|^}|^_Static_assert|^TORC_FROZEN/ { next }

/^(struct|union|enum)[^;(]*[{].*};?$/ {
	name = $2 == "{" ? "" : $2
	body = $0
	sub(/^[^{]*[{][ \t]*/, "", body)
	sub(/[ \t]*};?$/, "", body)
	entity($1 == "enum" ? "enum" : "type", name, "", "", body, "")
	next
}

/^(typedef )?(struct|union|enum)[^;(]*[{]$/ {
	kind = $1 == "enum" || $2 == "enum" ? "enum" : "type"
	name = $1 == "typedef" ? $3 : $2
	if (name == "{")
		name = ""
	body = ""
	in_body = 1
	next
}

/^struct [a-z0-9_]+;$/ {
	if (!blank) {
		name = $2
		sub(/;$/, "", name)
		entity("opaque", name, "", "", "", "")
	}
	next
}

/^(TORC_API|static inline|typedef)/ {
	declaration = $0
	in_call = 1
	if ($0 ~ /;$/)
		call_end()
	next
}

END {
	section_end()
	count_names()
}

function file_begin(path,	name) {
	section_end()
	name = path
	sub(/.*\//, "", name)
	sub(/\.h$/, "", name)
	files++
	file_name[files] = name
	file_path[files] = path
	file_text[files] = ""
	sections++
	section_file[sections] = files
	section_title[sections] = ""
	blank = 1
}

function section_begin(title) {
	section_end()
	sections++
	section_file[sections] = files
	section_title[sections] = title
	blank = 1
}

# The group that is read is over, and with it the section.
function section_end() {
	group_end()
	if (waiting_count > 0) {
		group_begin()
		group_end()
	}
}

function group_begin(	i) {
	group_end()
	group = ++groups
	group_file[group] = files
	group_section[group] = sections
	group_subs[group] = 0
	group_from[group] = parts + 1
	# Declarations without a comment that waited for this one.
	for (i = 1; i <= waiting_count; i++)
		adopt(waiting[i], group)
	waiting_count = 0
}

# A group without declarations tells about its section, if it comes first in
# it, and about the one before otherwise.
function group_end(	p, any) {
	if (!group)
		return
	group_to[group] = parts
	for (p = group_from[group]; p <= parts; p++)
		if (part_entity[p])
			any = 1
	if (any) {
		last_group[sections] = group
	} else if (last_group[sections]) {
		extra[last_group[sections]] = extra[last_group[sections]] \
		    "\n\n" part_text[group_from[group]]
		group_gone[group] = 1
	} else {
		section_intro[sections] = section_intro[sections] \
		    (section_intro[sections] == "" ? "" : "\n\n") \
		    part_text[group_from[group]]
		group_gone[group] = 1
	}
	group = 0
}

function comment_end(text,	i, n, lines, kept) {
	n = split(text, lines, "\n")
	kept = ""
	for (i = 1; i <= n; i++)
		if (lines[i] !~ /SPDX-License-Identifier|^Copyright /)
			kept = kept lines[i] "\n"
	sub(/^\n+/, "", kept)
	sub(/\n+$/, "", kept)
	if (kept == "") {
		blank = 1
		return
	}
	if (file_text[files] == "") {
		file_text[files] = kept
		blank = 1
		return
	}
	if (blank || !group)
		group_begin()
	group_subs[group]++
	part(group_subs[group], kept, 0)
	blank = 0
	to_waiting = 0
}

function part(sub_number, text, e) {
	parts++
	part_sub[parts] = sub_number
	part_text[parts] = text
	part_entity[parts] = e
}

function adopt(e, g) {
	entity_group[e] = g
	entity_sub[e] = group_subs[g]
	part(group_subs[g], "", e)
	if (entity_kind[e] == "call")
		group_calls[g]++
	else if (entity_kind[e] == "type")
		group_types[g]++
}

function entity(kind, name, result, params, body, note,	e) {
	e = ++entities
	entity_kind[e] = kind
	entity_name[e] = name
	entity_result[e] = result
	entity_params[e] = params
	entity_body[e] = body
	entity_note[e] = note
	entity_gap[e] = blank
	if (blank)
		to_waiting = waits(kind)
	else if (!group)
		to_waiting = 1
	if (to_waiting && kind == "call") {
		# A call without a comment, and what waited for one.
		group_begin()
		to_waiting = 0
	}
	if (to_waiting)
		waiting[++waiting_count] = e
	else
		adopt(e, group)
	blank = 0
}

# Whether a declaration without a comment waits for the next group.
function waits(kind) {
	if (!group)
		return 1
	if (kind == "macro")
		return 0
	if (waiting_count > 0)
		return 1
	if (kind == "call")
		return group_calls[group] > 0
	return group_calls[group] + group_types[group] > 0
}

function call_end(	text, at, depth, i, c, inline, type) {
	in_call = 0
	text = declaration
	gsub(/[ \t]+/, " ", text)
	inline = text ~ /^static inline/
	if (inline)
		in_inline = 1
	type = text ~ /^typedef/
	sub(/^(TORC_API|static inline|typedef) /, "", text)
	gsub(/__attribute__ ?\(\(.*\)\)/, "", text)
	while (text ~ /^TORC_[A-Z_]+ /)
		sub(/^TORC_[A-Z_]+ /, "", text)
	if (!match(text, /torc_[a-z0-9_]*\(/))
		return
	name = substr(text, RSTART, RLENGTH - 1)
	at = RSTART + RLENGTH
	depth = 1
	for (i = at; i <= length(text) && depth > 0; i++) {
		c = substr(text, i, 1)
		if (c == "(")
			depth++
		else if (c == ")")
			depth--
	}
	entity(type ? "function" : "call", name, \
	    trimmed(substr(text, 1, RSTART - 1)), \
	    trimmed(substr(text, at, i - at - 1)), "", "")
}

# A line of a macro; whether another one follows.
function macro_line(line,	more, at, value, note) {
	more = line ~ /\\$/
	sub(/[ \t]*\\$/, "", line)
	macro_text = macro_text (macro_text == "" ? "" : " ") line
	if (more || (index(macro_text, "/*") && !index(macro_text, "*/")))
		return 1
	match(macro_text, /^[A-Za-z0-9_]+(\([^)]*\))?/)
	name = substr(macro_text, 1, RLENGTH)
	value = substr(macro_text, RLENGTH + 1)
	if ((at = index(value, "/*"))) {
		note = substr(value, at + 2)
		sub(/[ \t]*\*\/.*/, "", note)
		gsub(/[ \t]+\* /, " ", note)
		value = substr(value, 1, at - 1)
	}
	value = trimmed(value)
	# Guards, and what is for the compiler, are of no page.
	if (value == "" || name !~ /^TORC_/ || value ~ /^__attribute__/) {
		if (group_from[group] == parts && !group_calls[group] &&
		    !blank && part_entity[parts] == 0)
			drop_comment()
		return 0
	}
	entity("macro", name, "", "", value, trimmed(note))
	return 0
}

# The comment of something that is of no page.
function drop_comment() {
	parts--
	groups--
	group = 0
	blank = 1
}

function trimmed(s) {
	gsub(/^[ \t]+|[ \t]+$/, "", s)
	return s
}

# Which page has what, and what the names on it are.
function count_names(	g, p, e, n, i, names) {
	for (e = 1; e <= entities; e++)
		if (entity_kind[e] == "call")
			group_of_call[entity_name[e]] = entity_group[e]
	for (g = 1; g <= groups; g++) {
		if (group_gone[g])
			continue
		n = group_title(g)
		# A type of the same name as a call is on that one's page.
		if (n in group_of_call)
			n = group_title(group_of_call[n])
		if (n in page_number) {
			p = page_number[n]
		} else {
			p = ++pages
			page_number[n] = p
			page_name[p] = n
			page_file[p] = group_file[g]
			page_section[p] = group_section[g]
		}
		page_groups[p] = page_groups[p] " " g
		group_page[g] = p
	}
	for (e = 1; e <= entities; e++) {
		if (!entity_group[e] || !(entity_group[e] in group_page))
			continue
		p = group_page[entity_group[e]]
		entity_page[e] = p
		n = entity_name[e]
		sub(/\(.*/, "", n)
		if (n != "" && !(n in page_of))
			page_of[n] = p
		if (entity_kind[e] == "enum") {
			i = constants(entity_body[e], names)
			for (; i > 0; i--)
				page_of[names[i]] = p
		}
	}
	for (i = 1; i <= files; i++)
		module[file_name[i]] = i
}

# What a group is called by: the structure that it begins with, else its first
# call, or the first of its types.
function group_title(g,	name, best, p, e, rank, names) {
	best = 99
	for (p = group_from[g]; p <= group_to[g]; p++) {
		e = part_entity[p]
		if (!e)
			continue
		rank = index("call type function opaque enum macro", \
		    entity_kind[e])
		if (entity_kind[e] == "type" && best == 99 && !entity_gap[e])
			rank = 0
		if (rank < best) {
			best = rank
			name = entity_name[e]
			if (name == "" && constants(entity_body[e], names))
				name = names[1]
		}
	}
	sub(/\(.*/, "", name)
	return name
}

# The names of an enumeration, in order.
function constants(body, names,	n, i, text, words) {
	text = body
	while (match(text, /\/\*[^*]*(\*[^\/][^*]*)*\*\//))
		text = substr(text, 1, RSTART - 1) \
		    substr(text, RSTART + RLENGTH)
	n = split(text, words, ",")
	split("", names)
	text = 0
	for (i = 1; i <= n; i++)
		if (match(words[i], /[A-Z][A-Z0-9_]+/))
			names[++text] = substr(words[i], RSTART, RLENGTH)
	return text + 0
}
