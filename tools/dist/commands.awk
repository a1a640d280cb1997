# SPDX-License-Identifier: MIT
# commands.awk - of the commands that make would run, those that compile one
# file, as compile_commands.json wants them. `folder` is where they run.
function quoted(text) {
	gsub(/\\/, "\\\\", text)
	gsub(/"/, "\\\"", text)
	return "\"" text "\""
}
BEGIN { print "[" }
/ -c [^ ]+\.(c|cc|S) -o [^ ]+$/ {
	file = $(NF - 2)
	if (file in seen)
		next
	seen[file] = 1
	sub(/^[ \t]*ccache /, "")
	printf "%s{ \"directory\": %s,\n  \"file\": %s,\n  \"command\": %s }", \
	    separator, quoted(folder), quoted(file), quoted($0)
	separator = ",\n"
}
END { print "\n]" }
