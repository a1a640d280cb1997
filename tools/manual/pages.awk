# SPDX-License-Identifier: MIT
# pages.awk - what stands on the pages of section 3: a group, or several that
# have the same name.

# Write all pages.
function pages_out(	p, e) {
	for (e = 1; e <= entities; e++) {
		if (entity_kind[e] != "call")
			continue
		is_call[entity_name[e]] = 1
		note_users(entity_result[e] " " entity_params[e], \
		    page_name[entity_page[e]])
	}
	for (p = 1; p <= pages; p++)
		page_out(p)
}

function page_out(p,	n, i, groups_of, f) {
	split("", seen)
	split("", seen_module)
	f = page_file[p]
	out_begin(page_name[p], 3)
	n = split(page_groups[p], groups_of, " ")
	names_out(p, n, groups_of)
	library_out(f)
	synopsis_out(p, n, groups_of)
	returns_count = 0
	errors_count = 0
	threads_count = 0
	out_heading("DESCRIPTION")
	for (i = 1; i <= n; i++)
		group_out(groups_of[i])
	returns_out()
	threads_out(p)
	conventions_out(p)
	if (form != "mdoc")
		used_out(p)
	refer_users(p)
	see_also_out(f)
	out_end()
	if (form == "mdoc")
		links_out(p)
}

# ---- NAME, LIBRARY, SYNOPSIS ----

function names_out(p, n, groups_of,	i, j, k, q, e, names, count, known,
    more) {
	count = 0
	split("", known)
	names[++count] = page_name[p]
	known[page_name[p]] = 1
	for (i = 1; i <= n; i++)
		for (q = group_from[groups_of[i]]; \
		    q <= group_to[groups_of[i]]; q++) {
			e = part_entity[q]
			if (!e)
				continue
			more[1] = entity_name[e]
			sub(/\(.*/, "", more[1])
			k = 1
			if (more[1] == "")
				k = constants(entity_body[e], more)
			for (j = 1; j <= k; j++) {
				if (!(more[j] in known))
					names[++count] = more[j]
				known[more[j]] = 1
			}
		}
	page_about[p] = summary(p, groups_of[main_group(n, groups_of)])
	out_names(names, count, page_about[p])
}

# The first group with calls, or the first one.
function main_group(n, groups_of,	i) {
	for (i = 1; i <= n; i++)
		if (group_calls[groups_of[i]])
			return i
	return 1
}

# What a group is about, in one line: the beginning of its first sentence.
function summary(p, g,	q, s, list, n, i) {
	s = ""
	for (q = group_from[g]; q <= group_to[g] && s == ""; q++)
		if (!part_entity[q])
			s = part_text[q]
	sub(/\n\n.*/, "", s)
	gsub(/\n/, " ", s)
	n = sentences(s, list)
	for (i = 1; i < n && kind_of(list[i], i == 1) != ""; i++)
		;
	if (n == 0)
		return tolower(section_title[page_section[p]])
	s = list[i]
	gsub(/`/, "", s)
	sub(/ [(].*/, "", s)
	s = first_clause(s)
	sub(/^Returns? /, "", s)
	if (s ~ /^[A-Z][a-z]*([ :,;]|$)/ && s !~ /^(HTTP|JSON)/)
		s = tolower(substr(s, 1, 1)) substr(s, 2)
	return s
}

# Up to the first colon or semicolon, but not one or two words alone.
function first_clause(s,	head, words) {
	sub(/[.?:]$/, "", s)
	head = ""
	while (match(s, /[:;] /)) {
		head = head substr(s, 1, RSTART - 1)
		if (split(head, words, " ") > 2)
			break
		head = head substr(s, RSTART, RLENGTH)
		s = substr(s, RSTART + RLENGTH)
	}
	if (!match(s, /[:;] /))
		head = head s
	while (length(head) > 80 && match(head, /, [^,]*$/))
		head = substr(head, 1, RSTART - 1)
	return head
}

function library_out(f) {
	out_heading("LIBRARY")
	out_paragraph()
	flags_out(f)
}

function flags_out(f,	lib) {
	lib = library_of(f)
	words_out("lib" lib ": compile and link with the flags that" \
	    " `pkg-config --cflags --libs " lib "` prints.")
}

# The library that a header is of: each room of conn/ but the kit has its own.
function library_of(f,	path) {
	path = file_path[f]
	if (path !~ /(^|\/)conn\/[a-z]+\/[a-z_]+\.h$/ || path ~ /conn\/kit\//)
		return "torc"
	sub(/\/[^\/]*$/, "", path)
	sub(/.*\//, "", path)
	return "torc-" path
}

# Who includes torc.h has the headers that it includes.
function header_of(f) {
	return ("torc", file_name[f]) in includes ? "torc" : file_name[f]
}

function synopsis_out(p, n, groups_of,	i, q, e, pass) {
	out_heading("SYNOPSIS")
	out_include(header_of(page_file[p]))
	# Calls come last, as they use the others.
	for (pass = 1; pass <= 2; pass++)
		for (i = 1; i <= n; i++)
			for (q = group_from[groups_of[i]]; \
			    q <= group_to[groups_of[i]]; q++) {
				e = part_entity[q]
				if (e && (entity_kind[e] == "call") == \
				    (pass == 2))
					declared_out(e)
			}
	out_synopsis_end()
}

function declared_out(e,	kind) {
	kind = entity_kind[e]
	if (kind == "call") {
		refer_code(entity_result[e] " " entity_params[e])
		out_prototype(entity_result[e], entity_name[e], \
		    entity_params[e])
	} else if (kind == "function") {
		out_prototype("typedef " entity_result[e], entity_name[e], \
		    entity_params[e])
	} else if (kind == "macro") {
		out_macro(entity_name[e] " " entity_body[e])
	} else if (entity_name[e] == "torc_deadline") {
		out_type("typedef struct torc_deadline torc_deadline")
	} else if (entity_name[e] != "") {
		out_type((kind == "enum" ? "enum " : "struct ") entity_name[e])
	}
}

# Each other name of a page is a link to it: a line of the file "links".
function links_out(p,	name) {
	for (name in page_of)
		if (page_of[name] == p && name != page_name[p])
			print name, page_name[p] > (out "/links")
}

# ---- DESCRIPTION ----

function group_out(g,	s, lists, item) {
	if (shares_page(g)) {
		out_list_begin()
		out_item("calls", all_calls(g))
		for (s = 0; s <= group_subs[g]; s++)
			sub_out(g, s)
		out_list_end()
		return
	}
	lists = listed(g)
	item = 0
	for (s = 1; s <= group_subs[g]; s++) {
		if (lists && in_list(g, s)) {
			if (!item)
				out_list_begin()
			item = 1
			out_item("calls", calls_of(g, s, ", "))
			sub_out(g, s)
			flush()
		} else {
			if (item)
				out_list_end()
			item = 0
			sub_out(g, s)
		}
	}
	if (item)
		out_list_end()
	sub_out(g, 0)
	if (extra[g] != "")
		text_out(substr(extra[g], 3), 1)
}

# Whether a group has calls, and types of the same name are on its page.
function shares_page(g,	list) {
	return group_calls[g] > 0 && group_page[g] && \
	    split(page_groups[group_page[g]], list, " ") > 1
}

function all_calls(g,	s, names, more) {
	names = ""
	for (s = 0; s <= group_subs[g]; s++) {
		more = calls_of(g, s, ", ")
		if (more != "")
			names = names (names == "" ? "" : ", ") more
	}
	return names
}

# Whether the comments of a group are about different calls: a list.
function listed(g,	s, n) {
	for (s = 1; s <= group_subs[g]; s++)
		if (calls_of(g, s, " ") != "")
			n++
	return n > 1
}

# A first comment with an empty line behind it is about the whole group.
function in_list(g, s,	q, e) {
	if (s == 0 || calls_of(g, s, " ") == "")
		return 0
	if (s > 1)
		return 1
	for (q = group_from[g]; q <= group_to[g]; q++) {
		e = part_entity[q]
		if (e && entity_sub[e] == 1)
			return entity_kind[e] == "call" && !entity_gap[e]
	}
	return 0
}

function calls_of(g, s, between,	q, e, names) {
	names = ""
	for (q = group_from[g]; q <= group_to[g]; q++) {
		e = part_entity[q]
		if (e && entity_sub[e] == s && entity_kind[e] == "call")
			names = names (names == "" ? "" : between) \
			    entity_name[e] (between == ", " ? "()" : "")
	}
	return names
}

# A comment of a group, and what is declared behind it.
function sub_out(g, s,	q, e) {
	for (q = group_from[g]; q <= group_to[g]; q++)
		if (part_sub[q] == s && !part_entity[q])
			sorted_out(part_text[q], g, s)
	constants_out(g, s)
	for (q = group_from[g]; q <= group_to[g]; q++) {
		e = part_entity[q]
		if (!e || part_sub[q] != s)
			continue
		if (entity_kind[e] == "type")
			fields_out(e)
		else if (entity_kind[e] == "enum")
			enum_out(e)
	}
}

# Macros that say something about themselves.
function constants_out(g, s,	q, e, any) {
	for (q = group_from[g]; q <= group_to[g]; q++) {
		e = part_entity[q]
		if (!e || part_sub[q] != s || entity_kind[e] != "macro" ||
		    entity_note[e] == "")
			continue
		if (!any)
			out_list_begin()
		any = 1
		out_item("constant", entity_name[e])
		words_out(sentence(entity_note[e]))
	}
	if (any)
		out_list_end()
}

# A note as a sentence.
function sentence(s) {
	if (s == "")
		return s
	if (s ~ /^[a-z]+([ ,;:]|$)/ && s !~ /^torc[ _]/)
		s = toupper(substr(s, 1, 1)) substr(s, 2)
	return s (s ~ /[.:!?]$/ ? "" : ".")
}

# Write a comment without what other sections say: results, threads.
function sorted_out(text, g, s,	n, i, pars, rest) {
	# What types are has no results.
	if (!page_calls(group_page[g])) {
		text_out(text, 0)
		return
	}
	n = split_paragraphs(text, pars)
	rest = ""
	for (i = 1; i <= n; i++)
		rest = rest (i > 1 ? "\n\n" : "") sorted(pars[i], g, s, i == 1)
	sub(/^\n+/, "", rest)
	text_out(rest, 0)
}

function split_paragraphs(text, pars,	n) {
	# An indented line belongs to the paragraph before it.
	gsub(/\n\n\t/, "\001\t", text)
	n = split(text, pars, "\n\n")
	return n
}

# A paragraph without the sentences that went to other sections.
function sorted(par, g, s, first,	n, i, list, kind, rest, last, tail) {
	tail = ""
	if ((i = index(par, "\001"))) {
		tail = replaced(substr(par, i), "\001", "\n\n")
		par = substr(par, 1, i - 1)
	}
	if (par ~ /^(\t|    )/)
		return par tail
	if ((i = match(par, /\n(\t|    )/))) {
		tail = substr(par, i) tail
		par = substr(par, 1, i - 1)
	}
	gsub(/\n/, " ", par)
	n = sentences(par, list)
	rest = ""
	last = ""
	for (i = 1; i <= n; i++) {
		kind = kind_of(list[i], first && i == 1)
		# What goes on about errors stays with them.
		if (kind == "" && last == "returns" && list[i] ~ /-E[A-Z]/)
			kind = "returns"
		last = kind
		if (kind == "threads")
			threads[++threads_count] = subject(g, s) "|" list[i]
		else if (kind == "returns")
			keep_result(list[i], g, s)
		else
			rest = rest (rest == "" ? "" : " ") list[i]
	}
	return rest tail
}

# What a sentence tells of: "threads", "returns", or "".
function kind_of(s, first) {
	if (first && s ~ /^Parks[.,;]/)
		return "threads"
	if (s ~ /^(Any thread|(The|A) reactor's thread)[.,;]/ ||
	    s ~ /^(On its reactor's thread|One fiber at a time)[.,;]/)
		return "threads"
	if (s ~ /^0 (or NULL )?has /)
		return ""
	if (!first && (s ~ /^(Returns |[01][,;.: ]|-E[A-Z])/ ||
	    s ~ /a negative errno/))
		return "returns"
	if (first && s ~ /^(0|1|-1)[,;: ]/)
		return "returns"
	return ""
}

# The calls that a comment is about, in words.
function subject(g, s,	names, n, list, i) {
	names = calls_of(g, s, " ")
	n = split(names, list, " ")
	if (n == 0)
		return "these functions"
	if (n == 1)
		return list[1] "()"
	if (listed(g) && !in_list(g, s))
		return "these functions"
	if (n > 4)
		return listed(g) ? "the functions from " list[1] "() to " \
		    list[n] "()" : "these functions"
	names = list[1] "()"
	for (i = 2; i <= n; i++)
		names = names (i < n ? ", " : " and ") list[i] "()"
	return names
}

# ---- CONVENTIONS: what a section of the header says of all its calls ----

function conventions_out(p,	text) {
	text = section_intro[page_section[p]]
	if (text == "")
		return
	out_heading("CONVENTIONS")
	text_out(text, 0)
}

# ---- RETURN VALUES and ERRORS ----

function keep_result(s, g, s_number,	who, many) {
	who = subject(g, s_number)
	if (s ~ /^[01]/)
		s = "Returns " s
	many = who ~ / and |^the(se)? functions/
	if (s ~ /^-E/ && returns_of[returns_count] != who)
		s = "Returns " s
	if (s ~ /^Returns /)
		s = capital(who) (many ? " return " : " returns ") \
		    substr(s, 9)
	returns[++returns_count] = s
	returns_of[returns_count] = who
}

function capital(s) {
	return s ~ /^torc/ ? s : toupper(substr(s, 1, 1)) substr(s, 2)
}

function returns_out(	i, n, listed_ones) {
	if (!returns_count)
		return
	n = 0
	out_heading("RETURN VALUES")
	for (i = 1; i <= returns_count; i++) {
		if (i == 1 || returns_of[i] != returns_of[i - 1])
			out_paragraph()
		if (listed_errors(returns[i])) {
			listed_ones[++n] = i
			words_out(result_head(returns[i]))
		} else {
			words_out(returns[i])
		}
	}
	if (n == 0)
		return
	out_heading("ERRORS")
	for (i = 1; i <= n; i++) {
		if (n > 1) {
			out_paragraph()
			words_out(capital(returns_of[listed_ones[i]]) ":")
		}
		result_list_out(returns[listed_ones[i]])
	}
}

# Whether a sentence is "... 0, or: -EA this; -EB that.", or "0; -EA: this".
function listed_errors(s,	at, n, i, items, found) {
	at = errors_at(s)
	if (!at)
		return 0
	n = split_items(substr(s, at), items)
	found = 0
	for (i = 1; i <= n; i++)
		if (items[i] ~ /^(or )?-E[A-Z0-9]+/)
			found++
	return (n > 1 && found * 2 > n) || s ~ /or: -E/
}

function errors_at(s) {
	if (match(s, /(r: |[01]; )-E[A-Z0-9]+/))
		return RSTART + 3
	return 0
}

# What stands between semicolons, but for those in parentheses.
function split_items(s, items,	n, i, k, parts_of, opened) {
	n = split(s, parts_of, /; /)
	split("", items)
	k = 0
	opened = 0
	for (i = 1; i <= n; i++) {
		if (opened > 0)
			items[k] = items[k] "; " parts_of[i]
		else
			items[++k] = parts_of[i]
		opened += gsub(/[(]/, "(", parts_of[i]) - \
		    gsub(/[)]/, ")", parts_of[i])
	}
	return k
}

function result_head(s) {
	s = substr(s, 1, errors_at(s) - 3)
	sub(/[,;]? or$/, "", s)
	return s (s ~ /, or, /  ? ", one" : ", or one") \
	    " of the negative errnos below."
}

function result_list_out(s,	n, i, items, tag, text, others) {
	n = split_items(substr(s, errors_at(s)), items)
	others = ""
	out_list_begin()
	for (i = 1; i <= n; i++) {
		sub(/^or /, "", items[i])
		if (items[i] !~ /^-E/) {
			others = others (others == "" ? "" : "; ") items[i]
			continue
		}
		match(items[i], /^-E[A-Z0-9]+((, | or |, or )-E[A-Z0-9]+)*/)
		tag = substr(items[i], 1, RLENGTH)
		gsub(/,? or /, ", ", tag)
		text = substr(items[i], RLENGTH + 1)
		sub(/^[:,]? */, "", text)
		sub(/^(if|and) /, "", text)
		if (text == "" || text == ".")
			text = usual(tag)
		out_item("error", tag)
		words_out(sentence(text))
	}
	out_list_end()
	if (others != "") {
		out_paragraph()
		words_out("Or else " others (others ~ /\.$/ ? "" : "."))
	}
}

# What an error that needs no words means.
function usual(tag) {
	if (tag ~ /ETIMEDOUT.*ECANCELED/)
		return "the deadline passed, or the fiber was cancelled"
	if (tag == "-ETIMEDOUT")
		return "the deadline passed"
	if (tag == "-ECANCELED")
		return "the fiber was cancelled"
	if (tag == "-ENOMEM")
		return "there is not enough memory"
	if (tag == "-ESHUTDOWN")
		return "the reactor is stopping"
	return "as for the system call"
}

# ---- THREADS ----

function threads_out(p,	i, who, s, parks, said, text, any, many) {
	any = parks = said = 0
	if (!page_calls(p))
		return
	for (i = 1; i <= threads_count; i++) {
		who = threads[i]
		sub(/\|.*/, "", who)
		s = substr(threads[i], length(who) + 2)
		if (!any)
			out_heading("THREADS")
		any = 1
		out_paragraph()
		if (s ~ /^Parks/) {
			parks = 1
			words_out(capital(who) (who ~ / and |^the/ ? " park" : \
			    " parks") substr(s, 6))
		} else {
			said = 1
			words_out(thread_sentence(who, s))
		}
	}
	if (parks) {
		text = "A call that parks must be made on a fiber. " \
		    "Other fibers of the same thread may run before it " \
		    "returns. If its deadline passes it returns " \
		    "-ETIMEDOUT, and if its fiber is cancelled " \
		    "-ECANCELED, unless this page says otherwise: see " \
		    "torc(7)."
		out_paragraph()
		words_out(text)
	}
	if (!parks && !said && !page_says(p, "thread")) {
		out_heading("THREADS")
		out_paragraph()
		many = page_calls(p) > 1
		words_out((page_says(p, "[Pp]ark|Waits") ? "" : many ? \
		    "These calls do not park. " : \
		    "This call does not park. ") \
		    "Call " (many ? "them" : "it") " on the thread that the" \
		    " arguments belong to: see torc(7).")
	}
}

function thread_sentence(who, s) {
	if (s ~ /^Any thread/)
		return "Any thread may call " who substr(s, 11)
	if (s ~ /^On /)
		return "Call " who " on" substr(s, 3)
	return "Call " who " on " tolower(substr(s, 1, 1)) substr(s, 2)
}

function page_calls(p,	n, i, groups_of, calls) {
	n = split(page_groups[p], groups_of, " ")
	calls = 0
	for (i = 1; i <= n; i++)
		calls += group_calls[groups_of[i]]
	return calls
}

function page_says(p, what,	n, i, q, groups_of) {
	n = split(page_groups[p], groups_of, " ")
	for (i = 1; i <= n; i++)
		for (q = group_from[groups_of[i]]; \
		    q <= group_to[groups_of[i]]; q++)
			if (part_text[q] ~ what)
				return 1
	return 0
}

# ---- SEE ALSO ----

# Which pages have a call that takes or returns what a name is.
function note_users(s, user,	name) {
	while (match(s, /torc_[a-z0-9_]+/)) {
		name = substr(s, RSTART, RLENGTH)
		s = substr(s, RSTART + RLENGTH)
		if (index(users[name] " ", " " user " "))
			continue
		users[name] = users[name] " " user
	}
}

# A page of types leads to the calls that use them, unless all do.
function refer_users(p,	name, n, i, list) {
	if (page_calls(p) > 0)
		return
	for (name in page_of) {
		if (page_of[name] != p || !(name in users))
			continue
		n = split(users[name], list, " ")
		if (n > 16)
			continue
		for (i = 1; i <= n; i++)
			refer(list[i])
	}
}

function see_also_out(f,	name, n, i, names, k, modules) {
	n = 0
	for (name in seen)
		names[++n] = name
	sort(names, n)
	seen_module["torc"] = 1
	seen_module[file_name[f]] = 1
	k = 0
	for (name in seen_module)
		modules[++k] = name
	sort(modules, k)
	out_heading("SEE ALSO")
	out_paragraph()
	for (i = 1; i <= n; i++)
		out_marked("page", names[i], 3, "", ",")
	for (i = 1; i <= k; i++)
		out_marked("page", modules[i], 7, "", i < k ? "," : "")
	flush()
}

function sort(list, n,	i, j, x) {
	for (i = 2; i <= n; i++) {
		x = list[i]
		for (j = i; j > 1 && comes_after(list[j - 1], x); j--)
			list[j] = list[j - 1]
		list[j] = x
	}
}

function comes_after(a, b) {
	return tolower(a) == tolower(b) ? a > b : tolower(a) > tolower(b)
}
