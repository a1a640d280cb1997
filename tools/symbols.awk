# symbols.awk - the version script of libtorc.so, of the headers of the core.
# What public headers declare (TORC_API) is in the node of the version that
# first had it. What the libraries of clients need of the core beside that
# (TORC_BESIDE) is in a node of its own, which changes with each version.
# Nothing else leaves the library.

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
	printf "TORC_PRIVATE {\n\tglobal:\n%s};\n", names["TORC_BESIDE"]
}
