# SPDX-License-Identifier: MIT
# symbols.awk - the version script of a shared library, of its headers. What
# public ones declare (TORC_API) is in the node of the version that first had
# it. What other libraries of torc need beside that (TORC_BESIDE) is in a node
# of its own, which changes with each version. Nothing else leaves the library.

/^TORC_(API|BESIDE) / { node = $1; text = "" }

node != "" {
	text = text " " $0
	if (match(text, /torc_[a-z0-9_]+\(/)) {
		names[node] = names[node] "\t\t" \
		    substr(text, RSTART, RLENGTH - 1) ";\n"
		node = ""
	}
}

END {
	printf "TORC_0.2 {\n\tglobal:\n%s\tlocal:\n\t\t*;\n};\n", \
	    names["TORC_API"]
	if (names["TORC_BESIDE"] != "")
		printf "TORC_PRIVATE {\n\tglobal:\n%s};\n", \
		    names["TORC_BESIDE"]
}
