#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# coverage.sh - which lines and branches of sys, ring, reactor and conn the
# programs have run that were built with gcc --coverage into $B.
#
# Says for each file and in total how many lines and branches there are, how
# many were reached, and how many of the lines that were not are explained in
# tests/COVERAGE.md (a row names functions of a file). Then the lines that
# were not reached, function by function. The exit status is 0 when at least
# $LEAST (95) per cent of the lines were reached.
set -u
cd "$(dirname "$0")/.." || exit 1
B=${B:-build/coverage}

# A line of a header is one line, however many objects have it: their counts
# are added. A branch is one by its line and its place in it.
find "$B/sys" "$B/ring" "$B/reactor" "$B/conn" "$B/debug" -name '*.gcda' \
    -not -path '*/pic/*' -print0 | sort -z |
    xargs -0 -r "${GCOV:-gcov}" --branch-probabilities --branch-counts \
    --stdout |
    LC_ALL=C awk -v least="${LEAST:-95}" -v table=tests/COVERAGE.md '
	BEGIN {
		while ((getline entry < table) > 0) {
			n = split(entry, cell, / *[|] */)
			functions = n > 3 ? split(cell[3], name, /, */) : 0
			for (i = 1; i <= functions; i++)
				explained[cell[2] ":" name[i]] = 1
		}
	}
	/^ *-: *0:Source:/ {
		file = $0
		sub(/.*Source:/, "", file)
		ours = file ~ /^(sys|ring|reactor|conn)\//
	}
	!ours { next }
	/^function / { function_name = $2; next }
	/^branch / {
		branch = file ":" number ":" $2
		if (!(branch in branches))
			branch_count[file]++
		if (!branches[branch] && $4 + 0 > 0)
			branch_reached[file]++
		branches[branch] += $4 + 0
		next
	}
	/^ *[0-9#=-][0-9#=*-]*: *[0-9]+:/ {
		split($0, part, ":")
		gsub(/ /, "", part[1])
		number = part[2] + 0
		if (part[1] == "-" || number == 0)
			next
		line = file ":" number
		if (!(line in lines)) {
			line_count[file]++
			in_function[line] = function_name
			text[line] = substr($0, index($0, part[2] ":") + \
			    length(part[2]) + 1)
			if (!(file in last)) {
				# By name.
				for (i = ++file_count; i > 1 &&
				    files[i - 1] > file; i--)
					files[i] = files[i - 1]
				files[i] = file
			}
			if (number > last[file])
				last[file] = number
		}
		if (!lines[line] && part[1] + 0 > 0)
			line_reached[file]++
		lines[line] += part[1] + 0
	}
	function say_row(name, l, lr, b, br, e) {
		printf "%-22s %5d %7.1f%% %9d %7.1f%% %10d\n", name, l,
		    l ? 100 * lr / l : 100, b, b ? 100 * br / b : 100, e
	}
	# The lines of a file that were not reached, by function.
	function missed(file, number, line, name, key) {
		for (number = 1; number <= last[file]; number++) {
			line = file ":" number
			if (!(line in lines) || lines[line] > 0)
				continue
			key = file ":" in_function[line]
			if (key in explained)
				excused[file]++
			if (key != name) {
				name = key
				list = list "\n" file ": " in_function[line] \
				    "()" (key in explained ? \
				    ", see tests/COVERAGE.md" : \
				    ", NOT EXPLAINED") "\n"
			}
			list = list sprintf("%6d:%s\n", number, text[line])
		}
	}
	END {
		printf "%-22s %5s %8s %9s %8s %10s\n", "file", "lines",
		    "reached", "branches", "taken", "explained"
		for (i = 1; i <= file_count; i++) {
			file = files[i]
			missed(file)
			say_row(file, line_count[file], line_reached[file],
			    branch_count[file], branch_reached[file],
			    excused[file])
			l += line_count[file]; lr += line_reached[file]
			b += branch_count[file]; br += branch_reached[file]
			e += excused[file]
		}
		say_row("all", l, lr, b, br, e)
		print list
		if (l == 0) {
			print "coverage.sh: nothing was run" > "/dev/stderr"
			exit 1
		}
		if (100 * lr < least * l) {
			printf "coverage.sh: %.1f%% of the lines, not %s%%\n",
			    100 * lr / l, least > "/dev/stderr"
			exit 1
		}
	}'
