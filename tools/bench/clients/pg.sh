#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# pg.sh - the CPU time of a client for a select by key, of 100 bytes: torc with
# 64 fibers over one connection and over four, without and with 100 us to let
# answers gather (batch_us); 4 fibers and one that ask for 16 at once, with a
# Sync for them all (torc_pg_batch); and libpq's pipeline mode by 16 and by 64,
# with a Sync for each statement (as torc_pg_query has it) and one for all (of
# which one that fails takes the others with it), in turns, against one
# PostgreSQL, over a unix socket.
#
# By environment: REPS (5), COUNT (50000) selects each, SERVER_CPU (1) for
# PostgreSQL, CLIENT_CPU (0), BIN (build/bench).
set -u
cd "$(dirname "$0")/../../.." || exit 1
BIN=${BIN:-build/bench}
REPS=${REPS:-5}
COUNT=${COUNT:-50000}
CLIENT_CPU=${CLIENT_CPU:-0}
SERVER_CPU=${SERVER_CPU:-1}
programs=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb | tail -n 1)")
scratch=$(mktemp -d /tmp/torc-pg-bench-XXXXXX) || exit 1
server=
port=5432	# of the socket's name only: there is no TCP

fail() {
	echo "pg.sh: $*" >&2
	exit 1
}

finish() {
	[ -z "$server" ] || { kill -INT "$server" && wait "$server"; } 2>/dev/null
	rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# PostgreSQL refuses to run as root.
as=()
if [ "$(id -u)" -eq 0 ]; then
	chown postgres "$scratch"
	as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
fi
"${as[@]}" "$programs/initdb" -D "$scratch/data" -U bench -A trust -N \
    --locale=C >"$scratch/log" 2>&1 || fail "initdb failed"
taskset -c "$SERVER_CPU" "${as[@]}" "$programs/postgres" -D "$scratch/data" \
    -k "$scratch" -p $port -c listen_addresses= -c fsync=off \
    -c autovacuum=off >>"$scratch/log" 2>&1 &
server=$!
tries=100
sql() {
	psql -q -h "$scratch" -p $port -U bench -d postgres -c "$1" >/dev/null
}
until sql "select 1" 2>/dev/null; do
	tries=$((tries - 1))
	kill -0 "$server" 2>/dev/null && [ $tries -gt 0 ] ||
	    fail "postgres does not start"
	sleep 0.1
done
sql "create table pairs (key int primary key, value text);
    insert into pairs select i, repeat('x', 100)
    from generate_series(0, 999) i; analyze pairs" || fail "no table"

run() {	# run NAME COMMAND...
	local name=$1
	shift
	taskset -c "$CLIENT_CPU" timeout 120 "$@" >>"$scratch/$name" ||
	    fail "$name failed"
}

socket=unix:$scratch/.s.PGSQL.$port
for _ in $(seq "$REPS"); do
	run torc-1-conn "$BIN/pg_torc" "$socket" 1 64 "$COUNT" 0
	run torc-1-gather "$BIN/pg_torc" "$socket" 1 64 "$COUNT" 100
	run libpq-16-syncs "$BIN/pg_libpq" "$scratch" $port 16 16 "$COUNT"
	run libpq-64-syncs "$BIN/pg_libpq" "$scratch" $port 64 64 "$COUNT"
	run torc-4-conns "$BIN/pg_torc" "$socket" 4 64 "$COUNT" 0
	run torc-4-gather "$BIN/pg_torc" "$socket" 4 64 "$COUNT" 100
	run torc-4x16-one "$BIN/pg_torc" "$socket" 1 4 "$COUNT" 0 16
	run libpq-16-one "$BIN/pg_libpq" "$scratch" $port 16 1 "$COUNT"
	run torc-1x16-one "$BIN/pg_torc" "$socket" 1 1 "$COUNT" 0 16
	run libpq-64-one "$BIN/pg_libpq" "$scratch" $port 64 1 "$COUNT"
done

median() {	# median FILE COLUMN
	awk -v column="$2" '{ print $column }' "$1" | sort -n |
	    awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

best=$(median "$scratch/libpq-16-one" 1)
same=$(median "$scratch/libpq-64-syncs" 1)
printf '%-16s %8s %8s %15s %18s\n' client "us CPU" us "of libpq-16-one" \
    "of libpq-64-syncs"
for name in torc-1-conn torc-4-conns torc-1-gather torc-4-gather \
    torc-4x16-one torc-1x16-one libpq-16-syncs libpq-64-syncs libpq-16-one libpq-64-one; do
	awk -v name=$name -v cpu="$(median "$scratch/$name" 1)" \
	    -v us="$(median "$scratch/$name" 2)" -v best="$best" \
	    -v same="$same" 'BEGIN {
		printf "%-16s %8.2f %8.2f %15.2f %18.2f\n", name, cpu, us,
		    cpu / best, cpu / same }'
done
