#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# pg_over_tls.sh - what is proved of the client of PostgreSQL in clear text holds
# over TLS, too: the same programs, with a server that is verified.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
export TORC_PG_TLS=1

holds() {
	"$B/tests/bin/$1" >"$scratch/$1" 2>&1 &&
	    { grep -qx "over TLS" "$scratch/$1" || grep "^SKIP" "$scratch/$1"; }
}

for program in test_pg_client test_pg_shapes test_pg_fair; do
	shown=("$scratch/$program")
	claim "$program holds over TLS" holds "$program"
done
exit $((failed > 0))
