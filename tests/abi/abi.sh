#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# abi.sh - a program that was compiled with the headers beside this script, of
# the last minor version, and linked with shared libraries, runs with those of
# today, and with later ones, whose structures have more fields.
#
# The later libraries are built of a copy of the tree in which fields were
# added, each with its bounds: a program that does not know them must not be
# refused for what lies behind its structures. Then each of the calls to which
# a structure travels with its size is broken in turn, and that is noticed.
# Shared libraries of today are those of $B (build). CC compiles.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
needs curl make
CC=${CC:-cc}
unset MAKEFLAGS MFLAGS MAKELEVEL
tree=$scratch/tree
later=$tree/b/lib

compiles() {
	"$CC" -std=c99 -Wall -Wextra -Werror -Itests/abi \
	    -o "$scratch/program" tests/abi/program.c -L"$B/lib" \
	    -ltorc-http -ltorc
}

# asks ENDPOINT PATH: the program at one of its two addresses; the answer.
asks() {
	curl -s -m 20 -w '%{http_code}\n' --unix-socket "$scratch/socket$1" \
	    "http://it/$2"
}

# behaves LIBRARIES FILE: what the program says with these goes to FILE.
behaves() {
	rm -f "$scratch"/socket?
	starts server env LD_LIBRARY_PATH="$1" "$scratch/program" \
	    "unix:$scratch/socket1" "unix:$scratch/socket2" || return 1
	{ asks 1 ''; asks 2 some/thing; asks 1 "$(printf %080d 0)"
	  asks 2 ''; } >"$2"
	cat "$2"
	ends "$pid"
}

is_right() {
	diff "$scratch/today" - <<-'END'
	reactors 1, connections 1 of 77, a second item none, observed 0
	200
	reactors 1, connections 1 of 77, a second item none, observed 1
	200
	URI Too Long414
	reactors 1, connections 1 of 77, a second item none, observed 3
	200
	END
}

# In the copy: puts FILE WHERE LINE, before what a line of FILE matches.
puts() {
	grep -q "$2" "$tree/$1" && sed -i "/$2/i\\
$3" "$tree/$1"
}

# grows FILE STRUCTURE: fields at its end.
grows() {
	grep -q "^struct $2 {" "$tree/$1" &&
	    sed -i "/^struct $2 {/,/^};/s/^};/${3:-	uint64_t more;\\
	unsigned later;\\
	unsigned latest;}\\
};/" "$tree/$1"
}

copies() {
	mkdir -p "$tree/tests" &&
	    cp -r Makefile sys ring reactor conn tools "$tree" &&
	    cp tests/rules.mk "$tree/tests" &&
	    { [ ! -e config.mak ] || cp config.mak "$tree"; }
}

# Of two bounds, one is a row of a table, and one a line of code.
adds_fields() {
	local row='	{ FIELD(later), 0, 1, 7, false },' word='	uint64_t later;'
	local line='	if (config->later > 7)\
		return torc_error_set(error, -EINVAL, "later is set");'

	grows reactor/torc_runtime.h torc_config &&
	    puts reactor/config.c 'FIELD(read_budget)' "$row" &&
	    grows reactor/torc_runtime.h torc_endpoint "$word" &&
	    grows reactor/torc_runtime.h torc_stats "$word" &&
	    puts reactor/stats.c 'COUNT(buffers_missed,' \
	    '	COUNT(later, turns),' &&
	    grows conn/kit/torc_client.h torc_pool_config &&
	    puts conn/kit/pool_life.c 'FIELD(aside_max)' "$row" &&
	    grows conn/http/torc_service.h torc_service_config &&
	    puts conn/http/routes.c '	return torc_http_config_check' "$line" &&
	    grows conn/http/torc_http.h torc_http_config &&
	    puts conn/http/server.c '	if (config->fields_max >' "$line" &&
	    sed -i '/^struct torc_http {/,/^}/s/reserved\[16\]/reserved[14]/' \
	    "$tree/conn/http/torc_http.h"
}

# Without what only debuggers and speed need; what is broken uses no size.
builds() {
	make -s -j2 -C "$tree" B=b CC="$CC" \
	    CFLAGS="-O0 -Wno-unused-parameter" \
	    b/lib/libtorc.so b/lib/libtorc-http.so
}

# Each structure is longer than that of the program.
have_grown() {
	local name
	for name in config endpoint stats pool_config service_config \
	    http_config; do
		echo "size_of(torc_$name)"
	done >"$scratch/list"
	{ printf '#include <torc_%s.h>\n' client service
	  echo '#include <stdio.h>'
	  echo '#define size_of(s) printf("%zu " #s "\n", sizeof(struct s));'
	  echo 'int main(void) {'
	  cat "$scratch/list"
	  echo 'return 0; }'; } >"$scratch/sizes.c"
	"$CC" -Itests/abi -o "$scratch/sizes" "$scratch/sizes.c" &&
	    "$scratch/sizes" >"$scratch/before" &&
	    "$CC" -I"$tree/reactor" -I"$tree/conn" \
	    -I"$tree/conn/kit" -I"$tree/conn/http" -o "$scratch/sizes" \
	    "$scratch/sizes.c" && "$scratch/sizes" >"$scratch/after" &&
	    paste "$scratch/before" "$scratch/after" |
	    awk '{ print } !($3 > $1) { short = 1 } END { exit short }'
}

as_before() {
	behaves "$later" "$scratch/then" &&
	    cmp "$scratch/today" "$scratch/then"
}

# notices FILE WHAT INSTEAD: if the later FILE says this instead, the program
# does not behave as before. Then FILE is as it was.
notices() {
	local status=1
	cp "$tree/$1" "$scratch/kept"
	grep -qF -- "$2" "$tree/$1" &&
	    awk -v what="$2" -v other="$3" '{ at = index($0, what) }
		at && !done { done = 1; $0 = substr($0, 1, at - 1) other \
		    substr($0, at + length(what)) } { print }' \
	    "$scratch/kept" >"$tree/$1" && builds && ! as_before && status=0
	cp "$scratch/kept" "$tree/$1"
	return $status
}

if [ ! -e "$B/lib/libtorc-http.so" ]; then
	echo "SKIP: libtorc-http.so was not built"
	exit 0
fi
claim "a program of the last version's headers builds" compiles
claim "it runs with libraries of today" behaves "$B/lib" "$scratch/today"
claim "it says what it should" is_right
claim "a later torc has more fields" eval 'copies && adds_fields'
claim "each of its structures is longer" have_grown
claim "its shared libraries build" builds
[ $failed -eq 0 ] || exit 1
claim "the program behaves with them as before" as_before
claim "a configuration whose size is not heeded is noticed" \
    notices conn/serve.c 'config, config_size,' 'config, sizeof(known),'
claim "an endpoint whose size is not heeded is noticed" \
    notices conn/serve.c 'endpoint_size = endpoint_size' \
    'endpoint_size = sizeof(struct torc_endpoint)'
claim "statistics whose size is not heeded are noticed" \
    notices reactor/stats.c 'stats, stats_size, &sum' 'stats, sizeof(sum), &sum'
claim "a pool whose size is not heeded is noticed" \
    notices conn/kit/pool_life.c 'from, from_size,' 'from, sizeof(*config),'
claim "a service whose size is not heeded is noticed" \
    notices conn/http/routes.c 'config, config_size,' 'config, sizeof(known),'
claim "bounds of HTTP whose size is not heeded are noticed" \
    notices conn/http/routes.c '    http_size, "torc' '    sizeof(http), "torc'
[ $failed -eq 0 ]
