#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# gdb.sh - the commands of tools/gdb/torc.py on a server with a fiber in each
# kind of wait (stalled.c): while it lives, stalled, and dead, from core files.
#
# The library is that of $B (build); CC compiles. What cannot be looked at here
# is a line "SKIP: why".
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
CC=${CC:-cc}
shown=("$scratch/gdb")
program=$scratch/stalled

# look ARGUMENT...: gdb with the commands of torc; what it says is shown.
look() {
	timeout -k 2 120 gdb -nx -batch -iex 'set auto-load off' \
	    -iex 'set width 0' -x "${script:-tools/gdb/torc.py}" "$@" \
	    >"$scratch/gdb" 2>&1 </dev/null
}

compiles() {
	"$CC" -g -O2 -o "$program" tests/tools/stalled.c -I"$B/include" \
	    "$B/lib/libtorc.a" -pthread
}

serves() {
	fresh_port
	starts server "$program" "127.0.0.1:$port" || return 1
	exec 5<>"/dev/tcp/127.0.0.1/$port" 6<>"/dev/tcp/127.0.0.1/$port" &&
	    printf 'hello' >&5 && printf 'load' >&6
}

# said PATTERN...: lines of gdb match the patterns, in this order.
said() {
	local pattern line
	while [ $# -gt 0 ]; do
		pattern=$1
		shift
		while IFS= read -r line; do
			[[ $line =~ $pattern ]] && continue 2
		done
		echo "not said: $pattern"
		return 1
	done <"$scratch/gdb"
}

quiet() {	# no command has failed
	! grep -E 'Python Exception|Error occurred|Traceback' "$scratch/gdb"
}

looks_alive() {
	look -p "$pid" -ex 'torc reactors' -ex 'torc fibers' -ex 'torc conn' \
	    -ex 'torc conn 0.0' -ex 'torc conn 1' && quiet
}

reactors_are_told() {
	said "^reactor 0: thread [0-9]+ \(LWP [0-9]+\), ring [0-9]+, running" \
	    "^  2 connections, 13 fibers, 1 operations, " "^  engine: .*SINGLE_ISSUER" \
	    "^  sleeps in the kernel"
}

# Those of stalled.c's start(), in order, and then the two handlers; the group's
# own fiber has the slot of start() itself, which has ended.
waits_are_told() {
	said '^0\.[0-9]+ +parked +sleeps, deadline in 3[0-9]{3}\.' \
	    '^ +daemon sleeps' \
	    'parked +waits for an item of channel 0x[0-9a-f]+ \(0 of 4 items\)' \
	    '^ +daemon waits_for_an_item' \
	    'parked +waits for room in channel 0x[0-9a-f]+ \(1 of 1 items\)' \
	    '^ +daemon waits_for_room' \
	    'waits for one of: room in channel .*; a time in 7[0-9]+\..* s; a drain' \
	    '^ +daemon waits_for_any' \
	    'waits for POLL_ADD on descriptor [0-9]+, no deadline' \
	    '^ +daemon waits_for_a_descriptor' \
	    'waits in the queue at 0x[0-9a-f]+ \(1 in it\), no' \
	    '^ +daemon waits_to_be_woken' \
	    'waits for fiber 0\.1 to end, no deadline' \
	    '^ +daemon waits_for_a_fiber' \
	    'waits for fibers of its group to end \(1 are alive\), no' \
	    '^ +daemon waits_for_its_group' \
	    'waits for work on another thread, no deadline' \
	    '^ +daemon waits_for_a_thread' \
	    'waits for a connection of pool ledger \(1 rented, 0 being' \
	    '^ +daemon waits_for_a_connection' \
	    "waits for input on connection 0\.0${1:-}, deadline in 3[0-9]{3}\." \
	    '^ +handler answer of connection 0\.0' \
	    "waits to send on connection 0\.1${1:-}, no deadline" \
	    '^ +handler answer of connection 0\.1'
}

connections_are_told() {
	said "^connection 0\.0: descriptor [0-9]+, accepted on port $port" \
	    "^connection 0\.1: descriptor" "^connection 0\.0: descriptor" \
	    "^  peer: ${1:-127\.0\.0\.1:[0-9]+}" '^  handler: answer' \
	    '^  input: a receive is in the kernel; [05] bytes in view' \
	    '^  output: nothing to be sent' \
	    '^  life: its handler runs on fiber 0\.[0-9]+' \
	    '^  fiber 0\.[0-9]+ waits to receive' \
	    '^connection 0\.1:' \
	    '^  input: .*4 bytes in view' \
	    '^  output: a send of [0-9]+ bytes waits in the kernel' \
	    '^  fiber 0\.[0-9]+ waits to send'
}

# frames: the one that waits for any, and the one that sends, to their ends.
backtraces_are_whole() {
	said '^#0 .*torc_' '^#[0-9]+ .* torc_choose \(' \
	    '^#[0-9]+ .* waits_for_any \(' '^#[0-9]+ .* run_entry \(' \
	    '^#[0-9]+ .* switch_entry \(' '^#0 .*torc_' \
	    '^#[0-9]+ .* write_directly \(' \
	    '^#[0-9]+ .* answer \(conn=' '^#[0-9]+ .* run_handler \(' \
	    '^#[0-9]+ .* switch_entry \(' && quiet
}

# Afterwards the thread has its own frames.
and_the_thread_is_itself() {
	look -p "$pid" -ex 'torc bt 4' -ex 'torc bt 0.12' -ex 'backtrace' &&
	    backtraces_are_whole && said 'switch_entry' 'switch_entry' \
	    '^#0 .*sig.*wait' '^#[0-9]+ .* main \('
}

stalls() {
	printf 'block' >&5
	until_it 100 in_the_oracle
}

in_the_oracle() {
	look -p "$pid" -ex 'torc reactors' && said 'in a turn'
}

stall_is_told() {
	look -p "$pid" -ex 'torc reactors' -ex 'torc fibers' \
	    -ex 'torc bt 0.11' && quiet && said '^reactor 0:' \
	    '^  in a turn, for [0-9.]+ s: fiber 0\.11 runs, handler answer of '\
'connection 0\.0' '^0\.11 +running +in a turn' \
	    '^#[0-9]+ .* ask_the_oracle \(' '^#[0-9]+ .* answer \(' \
	    '^#[0-9]+ .* switch_entry \('
}

# What differs from one run to the next, or with the compiler, is left out.
leave_out() {
	sed -E 's/0x[0-9a-f]+/0x/g; s/[0-9]+\.[0-9]{3} s/time/g
		s/LWP [0-9]+/LWP/; s/ring [0-9]+/ring/; s/port [0-9]+/port/
		s/127\.0\.0\.1:[0-9]+/peer/; s/descriptor [0-9]+/descriptor/
		s/[0-9]+ (timers|turns)/\1/g; /^  engine:/d
		s/ (at |\()tests\/tools\/stalled.*//
		s/^#[0-9]+ +(0x in )?([a-z_]+) \(.*/frame of \2/' "$1"
}

# The sessions in the guide, line by line.
guide_shows_that() {
	awk '!/^    / { inside = 0 }
		/^    \(gdb\)/ { inside = 1; next }
		inside { print substr($0, 5) }' tools/guides/debugging.md \
		>"$scratch/guide"
	[ "$(wc -l <"$scratch/guide")" -gt 20 ] || return 1
	look -p "$pid" -ex 'set print frame-arguments none' \
	    -ex 'torc reactors' -ex 'torc bt 11' -ex 'torc fibers' \
	    -ex 'torc bt 2' -ex 'torc conn 1' || return 1
	leave_out "$scratch/gdb" >"$scratch/is"
	! leave_out "$scratch/guide" | grep -v __libc |
	    grep -vxF -f "$scratch/is"
}

# The kernel's core file, where it has one of that name written.
dies() {
	# The shell that begins it expands this.
	# shellcheck disable=SC2016
	starts dead sh -c 'cd "$1" && ulimit -c unlimited && exec "$2" "$3"' \
	    sh "$scratch" "$program" "unix:$scratch/socket" || return 1
	kill -ABRT "$pid"
	await "$pid" >/dev/null
	core=$(find "$scratch" -name 'core*' -size +0 | head -n 1)
	[ -n "$core" ]
}

core_is_read() {
	look "$program" "$core" -ex 'torc reactors' -ex 'torc fibers' \
	    -ex 'torc bt 4' -ex 'torc bt 0.3' && quiet &&
	    said '^reactor 0: ' ' 11 fibers, ' 'waits for one of: room in channel' \
	    'waits for a connection of pool ledger' '^#[0-9]+ .* torc_choose' \
	    '^#[0-9]+ .* waits_for_any' '^#[0-9]+ .* switch_entry' \
	    '^#[0-9]+ .* torc_waiter_park' '^#[0-9]+ .* switch_entry'
}

# gdb's own writes what it can read: not stacks behind a page that it cannot.
gcore_is_read() {
	look -p "$pid" -ex "generate-core-file $scratch/own" || return 1
	look "$program" "$scratch/own" -ex 'torc reactors' -ex 'torc fibers' \
	    -ex 'torc conn 0.0' && quiet && said '^reactor 0: ' \
	    'waits for one of: room|its stack is not in this core file' \
	    '^  peer: unknown, a core file'
}

# says SENTENCE ARGUMENT...: nothing but this.
says() {
	local sentence=$1
	shift
	look "$@" -ex 'torc fibers'
	grep -qF "$sentence" "$scratch/gdb" && quiet
}

strips() {
	strip -g -o "$scratch/stripped" "$program"
}

# Each that the script names exists, and it looks at no other.
fields_exist() {
	cat >"$scratch/fields.py" <<-'END'
	import ast
	import gdb
	listed = {f for fields in NEEDS.values() for f in fields.split()}
	listed |= {"reactors", "forks"}
	for node in ast.walk(ast.parse(open("tools/gdb/torc.py").read())):
	    if isinstance(node, ast.Subscript) and isinstance(
	            node.slice, ast.Constant) and isinstance(
	            node.slice.value, str) and node.slice.value not in listed:
	        print("not listed:", node.slice.value)
	for name in NEEDS:
	    if look_up(name) is None:
	        print("unknown: struct", name)
	require_torc()
	print("all there")
	END
	look "$program" -ex 'break main' -ex run -x "$scratch/fields.py" &&
	    said 'all there' && ! grep -E '^(not listed|unknown)' "$scratch/gdb"
}

# A structure of another libtorc has other fields.
rename_is_noticed() {
	sed 's/deadline state/deadline_at state/' tools/gdb/torc.py \
	    >"$scratch/other.py"
	script=$scratch/other.py says \
	    "torc: this torc.py is not of this libtorc: struct torc_fiber has \
no field deadline_at" "$program" -ex 'break main' -ex run
}

# The library that is installed brings the commands along.
installs() {
	make -s B="$B" PREFIX="$scratch/opt" install >"$scratch/make" 2>&1 &&
	    "$CC" -g -O2 -o "$scratch/shared" tests/tools/stalled.c \
	    -I"$scratch/opt/include" -L"$scratch/opt/lib" -ltorc \
	    -Wl,-rpath,"$scratch/opt/lib"
}

come_with_the_library() {
	local share=$scratch/opt/share/gdb/auto-load
	timeout -k 2 120 gdb -nx -batch -iex "add-auto-load-safe-path $scratch" \
	    -iex "set auto-load scripts-directory $share" -ex 'break main' \
	    -ex run -ex 'torc reactors' "$scratch/shared" >"$scratch/gdb" 2>&1
	grep -q '^no reactors' "$scratch/gdb"
}

needs gdb "$CC"
claim "a server with a fiber in each kind of wait is built" compiles
claim "it serves" serves
[ $failed -eq 0 ] || exit 1
if look -p "$pid" && grep -q 'ptrace: ' "$scratch/gdb"; then
	echo "SKIP: gdb may not attach: $(grep -m 1 'ptrace: ' "$scratch/gdb")"
else
	until_it 100 looks_alive >/dev/null
	claim "gdb attaches, and no command fails" looks_alive
	claim "each reactor is told, with its thread, ring and engine" \
	    reactors_are_told
	claim "what each fiber waits for is told, with its peer" \
	    waits_are_told ' with 127\.0\.0\.1:[0-9]+'
	claim "the state of each connection is told" connections_are_told
	claim "fibers that are parked have whole backtraces, and threads theirs" \
	    and_the_thread_is_itself
	claim "a fiber that does not exist is refused" \
	    says "torc: there is no fiber 0.99" -p "$pid" -ex 'torc bt 99'
	claim "a handler blocks its thread" stalls
	claim "the stall is told: for how long, in which fiber, where" \
	    stall_is_told
	claim "the debugging guide shows what gdb says" guide_shows_that
	claim "a core file of gdb's is read, or said to have no stacks" \
	    gcore_is_read
	claim "each field that is looked at exists, and is listed" fields_exist
	claim "a field that was renamed is told by name" rename_is_noticed
fi
exec 5>&- 6>&-
pattern=$(cat /proc/sys/kernel/core_pattern)
case $pattern in
*[/\|]*) echo "SKIP: the kernel's core files go elsewhere: $pattern" ;;
*)	claim "a core file of the kernel's is written" dies
	claim "it has what each fiber waits for, and backtraces" core_is_read ;;
esac
with strip "without debug information, one sentence says so" strips
[ ! -e "$scratch/stripped" ] || claim "... which names what is missing" says \
    "torc: no debug information of libtorc here" "$scratch/stripped" \
    -ex 'break main' -ex run
claim "make install has them, and a program builds with that" installs
claim "gdb loads them with the library" come_with_the_library
claim "without a process, one sentence says so" \
    says "torc: there is no process" "$program"
[ $failed -eq 0 ]
