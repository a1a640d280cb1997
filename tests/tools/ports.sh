#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ports.sh - the example of a handler for each port.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
shown=("$scratch/ports")

starts_ports() {
	fresh_port
	echo_port=$port
	fresh_port
	time_port=$port
	fresh_port
	PORTS_ECHO=127.0.0.1:$echo_port PORTS_TIME=127.0.0.1:$time_port \
	    starts ports "$B/bin/ports" -r 2 -l "127.0.0.1:$port" &&
	    grep -q "on 127.0.0.1:$port 127.0.0.1:$echo_port" "$scratch/ports"
}

echoes() {	# echoes TEXT
	[ "$(printf %s "$1" | timeout 10 nc.openbsd -N 127.0.0.1 \
	    "$echo_port")" = "$1" ]
}

tells_the_time() {
	timeout 10 nc.openbsd -d 127.0.0.1 "$time_port" |
	    grep -qE '^2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$'
}

counts() {	# counts BYTES TIMES
	local said
	said=$(curl -s -m 10 "http://127.0.0.1:$port/counts")
	[ "$said" = "$1 bytes echoed, the time told $2 times" ] || {
		echo "$said"
		return 1
	}
}

# Of one that cannot be had, nothing is served.
one_is_taken() {
	local status=0
	PORTS_ECHO=127.0.0.1:$1 PORTS_TIME=127.0.0.1:$2 timeout 10 \
	    "$B/bin/ports" -r 2 -l "127.0.0.1:$3" 2>"$scratch/taken" ||
	    status=$?
	[ $status -eq 1 ] && grep -q "cannot listen on 127.0.0.1:$2" \
	    "$scratch/taken"
}

needs curl nc.openbsd
claim "three ports are open" starts_ports
ports=$pid
claim "nothing is counted yet" counts 0 0
claim "one sends back" echoes "some words"
claim "one tells the time" tells_the_time
claim "again" tells_the_time
claim "one counts what the others did" counts 10 2
claim "none of them answers in place of another" \
    echoes 'GET /counts HTTP/1.1'
fresh_port
claim "when one port is taken, none is served" one_is_taken $((port + 1)) \
    "$time_port" $((port + 2))
claim "it drains" ends "$ports"
[ $failed -eq 0 ]
