# SPDX-License-Identifier: MIT
# mutate.awk - apply mutations (see mutate.sh) to the tree that is the current
# folder: awk -v write=1 -f mutate.awk FILE. Without `write`, only look whether
# each of the FILEs can be applied, and say how many.

function name(path) {
	sub(/.*\//, "", path)
	return path
}

function wrong(why) {
	print "mutate.sh: " name(mutation) ": " why > "/dev/stderr"
	failed = 1
	broken = 1
}

# The text of a file, with a line end in front of it.
function contents(path,	text, line, status) {
	if (!(path in known)) {
		text = "\n"
		while ((status = (getline line < path)) > 0)
			text = text line "\n"
		close(path)
		if (status < 0)
			wrong("there is no file " path)
		known[path] = text
	}
	return known[path]
}

# Replace the lines `was`, which stand in the file once.
function replace(	text, at, rest) {
	if (was == "") {
		wrong("nothing to replace")
		return
	}
	text = path in changed ? changed[path] : contents(path)
	at = index(text, "\n" was)
	if (at == 0) {
		wrong(path " has no such lines:\n" was)
		return
	}
	rest = substr(text, at + length(was))
	if (index(rest, "\n" was) > 0) {
		wrong(path " has these lines twice:\n" was)
		return
	}
	changed[path] = substr(text, 1, at) now substr(rest, 2)
}

function finish(	file) {
	if (mutation == "")
		return
	if (title == "" || places == 0 || state != "head")
		wrong("not a mutation")
	for (file in changed) {
		if (write && !broken)
			printf "%s", substr(changed[file], 2) > file
		delete changed[file]
	}
	count++
}

FNR == 1 {
	finish()
	mutation = FILENAME
	state = "head"
	title = path = was = now = ""
	places = broken = 0
}

state == "head" && /^(try|survives):/ { next }
state == "head" && /^in: / { path = substr($0, 5); was = now = ""; places++; next }
state == "head" && /^was:$/ { state = "was"; next }
state == "head" { title = title $0; next }
state == "was" && /^now:$/ { state = "now"; next }
state == "was" { was = was $0 "\n"; next }
state == "now" && /^end$/ { replace(); state = "head"; next }
state == "now" { now = now $0 "\n" }

END {
	finish()
	if (!failed && !write)
		print count " mutations can be applied"
	exit failed ? 2 : 0
}
