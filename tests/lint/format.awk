# SPDX-License-Identifier: MIT
# format.awk - FILE FORMATTED: where spaces within lines differ, or how a
# statement is indented that is in both on a line of its own. Where one of them
# breaks a line, the other may do as it likes; so may a loop's empty parts.
function walk(text, n,    i, c, gap) {
	sub(/[ \t]*\\$/, "", text)
	gap = "break"
	match(text, /^[ \t]*/)
	indents[n, substr(text, RLENGTH + 1), substr(text, 1, RLENGTH)] = 1
	has[n, substr(text, RLENGTH + 1)] = 1
	for (i = RLENGTH + 1; i <= length(text); i++) {
		c = substr(text, i, 1)
		if (c == " " || c == "\t") {
			if (gap == "")
				gap = "space"
			continue
		}
		char[n, ++count[n]] = c
		before[n, count[n]] = gap
		if (n == 1)
			line[count[n]] = FNR
		gap = ""
	}
}
FNR == 1 && ++file == 1 { name = FILENAME }
file == 1 { ours[FNR] = $0 }
{ walk($0, file) }
END {
	for (i = 1; i <= count[1]; i++) {
		if (char[1, i] != char[2, i]) {
			print name ":" line[i] ": the formatter changes it"
			exit
		}
		one = before[1, i]
		other = before[2, i]
		if (one != other && one != "break" && other != "break" &&
		    char[1, i - 1] != ";" && line[i] != told) {
			told = line[i]
			print name ":" told ": spaces: " ours[told]
		}
	}
	for (i = 1; i in ours; i++) {
		text = ours[i]
		match(text, /^\t*/)
		rest = substr(text, RLENGTH + 1)
		if (rest ~ /^[a-z].*[;{:]$/ && ((2, rest) in has) &&
		    !((2, rest, substr(text, 1, RLENGTH)) in indents))
			print name ":" i ": indentation: " text
	}
}
