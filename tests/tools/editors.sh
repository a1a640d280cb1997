#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# editors.sh - what editors are given is right: compile_commands.json has each
# file that is compiled, with a command that compiles it, and `tags` leads to
# definitions.
#
# Both are made in a copy of the tree: yours stay as they are. A tool that is
# not installed is a line "SKIP: why".
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
unset MAKEFLAGS MFLAGS MAKELEVEL
tree=$scratch/tree

copies() {
	mkdir "$tree" &&
	    cp -r Makefile sys ring reactor conn tools tests "$tree" &&
	    { [ ! -e config.mak ] || cp config.mak "$tree"; }
}

makes() {
	make -s -C "$tree" "$1" && [ -s "$tree/$1" ]
}

# database WHAT: of each entry, a field.
database() {
	python3 -c '
import json, sys
for entry in json.load(open(sys.argv[1])):
    print(entry[sys.argv[2]])' "$tree/compile_commands.json" "$1"
}

has_each_file() {
	(cd "$tree" && ls sys/*.[cS] ring/*.c reactor/*.c conn/*.c conn/*/*.c \
	    tools/ringstat/*.c tests/*/test_*.c) | sort >"$scratch/there"
	database file | sort >"$scratch/listed"
	comm -23 "$scratch/there" "$scratch/listed" >"$scratch/missing"
	uniq -d "$scratch/listed" >>"$scratch/missing"
	cat "$scratch/missing"
	[ ! -s "$scratch/missing" ]
}

in_the_tree() {
	[ "$(database directory | sort -u)" = "$(realpath "$tree")" ]
}

# compiles FILE: with its command, in its folder.
compiles() {
	local command
	command=$(paste <(database file) <(database command) |
	    sed -n "s|^$1	||p")
	[ -n "$command" ] && (cd "$tree" && mkdir -p \
	    "$(dirname "${command##* -o }")" && eval "$command" &&
	    [ -s "${command##* -o }" ])
}

# leads NAME FILE: its definition is there, a function's.
leads() {
	grep -P "^$1\t$2\t.*\tf\b" "$tree/tags"
}

claim "the tree is copied" copies
with python3 "make compile_commands.json makes it" makes compile_commands.json
if [ -s "$tree/compile_commands.json" ]; then
	claim "it has each file that is compiled, once" has_each_file
	claim "its folder is that of the tree" in_the_tree
	claim "its command compiles a file of the library" \
	    compiles reactor/reactor.c
	claim "and an example" compiles tools/examples/hello.c
fi
with ctags "make tags makes them" makes tags
if [ -s "$tree/tags" ]; then
	claim "they lead to a function" leads torc_serve_sized conn/serve.c
	claim "and to a static one" leads print_version \
	    tools/ringstat/options.c
fi
[ $failed -eq 0 ]
