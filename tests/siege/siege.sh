#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# siege.sh - the programs of torc, and nginx in the same roles, besieged by
# clients with each of the bad manners of siege.c; what one good client has of
# them meanwhile. nginx has no role like that of api, which asks PostgreSQL.
#
# By environment: ROLES ("codec hello files proxy api"), MANNERS (all), PEERS (1000),
# SECONDS_EACH (3), BIN (build/bin), SIEGE (build/tests/bin/siege); SHORT=1: as
# in `make check`, torc alone, where every answer has to come, however late.
set -u
cd "$(dirname "$0")/../.." || exit 2
. tests/common.sh
BIN=${BIN:-$B/bin}
SIEGE=${SIEGE:-$B/tests/bin/siege}
ORIGIN=${ORIGIN:-$B/tests/bin/origin}
SHORT=${SHORT:-}
ROLES=${ROLES:-codec hello files proxy api}
MANNERS=${MANNERS:-nothing idle half trickle unread flood behind long slow-read upload chunks churn leave poison mixed}
PEERS=${PEERS:-1000}
SECONDS_EACH=${SECONDS_EACH:-3}

chmod 755 "$scratch"
ulimit -n "$(ulimit -Hn)"

await_port() {
	until_it 100 listens "$1" && return
	echo "siege.sh: nobody listens on port $1" >&2
	exit 2
}

# The server has a CPU of its own, where there are two.
pinned=()
besieging=()
if [ "$(nproc)" -gt 1 ]; then
	pinned=(taskset -c 0)
	besieging=(taskset -c 1)
fi

# What is behind the proxies.
start_origin() {
	fresh_port
	origin=$port
	"${besieging[@]}" "$ORIGIN" "$origin" &
	children+=($!)
	await_port "$origin"
}

# What is behind the API: PostgreSQL refuses to run as root.
start_postgresql() {
	local programs as=()
	programs=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
	[ -n "$programs" ] || return 1
	mkdir "$scratch/pg"
	if [ "$(id -u)" -eq 0 ]; then
		chown postgres "$scratch/pg"
		as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
	fi
	"${as[@]}" "$programs/initdb" -D "$scratch/pg/data" -U shop -N \
	    --locale=C -A trust >"$scratch/pg.log" 2>&1 || return 1
	"${besieging[@]}" "${as[@]}" "$programs/postgres" -D "$scratch/pg/data" \
	    -k "$scratch/pg" -c listen_addresses= -c fsync=off \
	    >>"$scratch/pg.log" 2>&1 &
	children+=($!)
	for _ in $(seq 100); do
		psql -q -h "$scratch/pg" -U shop -d postgres -c "
		    create table items (id int primary key, name text,
			price numeric);
		    insert into items select i, 'n', i
			from generate_series(1, 300) i" \
		    >>"$scratch/pg.log" 2>&1 && return 0
		sleep 0.1
	done
	return 1
}

start_torc() {	# start_torc ROLE: its port is in $port
	fresh_port
	FILES_ROOT=$scratch/root PROXY_ORIGIN=127.0.0.1:$origin \
	    PGADDRESS="unix:$scratch/pg/.s.PGSQL.5432" PGUSER=shop \
	    PGDATABASE=postgres \
	    "${pinned[@]}" "$BIN/$1" -r 1 -l "127.0.0.1:$port" \
	    2>"$scratch/torc.log" &
	server=$!
	children+=("$server")
	await_port "$port"
}

start_nginx() {	# start_nginx ROLE
	local location
	fresh_port
	case $1 in
	codec|hello) location='return 200 "hello, world\n";' ;;
	files) location="root $scratch/root; open_file_cache max=1000;" ;;
	proxy) location="proxy_pass http://backend; proxy_http_version 1.1;
		proxy_set_header Connection \"\";" ;;
	esac
	cat >"$scratch/nginx.conf" <<-CONF
	user root; worker_processes 1; worker_rlimit_nofile 65536;
	daemon off; pid $scratch/nginx.pid; error_log $scratch/nginx.log crit;
	events { worker_connections 16384; }
	http {
	    access_log off; keepalive_requests 1000000;
	    client_body_temp_path $scratch/body; proxy_temp_path $scratch/temp;
	    client_max_body_size 10m;
	    upstream backend { server 127.0.0.1:$origin; keepalive 256; }
	    server {
	        listen 127.0.0.1:$port backlog=2048;
	        location / { $location }
	    }
	}
	CONF
	"${pinned[@]}" nginx -c "$scratch/nginx.conf" 2>/dev/null &
	server=$!
	children+=("$server")
	await_port "$port"
}

bad_path() {	# bad_path ROLE MANNER
	case $1:$2 in
	files:unread|files:behind|files:slow-read|files:leave|files:mixed)
		echo /big.bin ;;
	proxy:leave) echo /slow ;;
	proxy:poison) echo /poison ;;
	api:*) echo /items/2 ;;
	*) echo / ;;
	esac
}

good_path() {
	case $1 in
	files) echo /small.txt ;;
	api) echo /items/1 ;;
	*) echo / ;;
	esac
}

manner() {	# what siege.c calls it
	[ "$1" = poison ] && echo churn || echo "$1"
}

# measure ROLE MANNER: "answers failures p50 p99 longest" of the server there.
measure() {
	"${besieging[@]}" "$SIEGE" "$(manner "$2")" "$port" \
	    "$(good_path "$1")" "$PEERS" "$SECONDS_EACH" "$(bad_path "$1" "$2")"
}

stop_server() {
	kill_all "$server"
	forget "$server"
}

skip() {	# skip ROLE MANNER: it says nothing there
	case $1:$2 in
	codec:poison|hello:poison|files:poison|api:poison) return 0 ;;
	*) return 1 ;;
	esac
}

ms() { awk -v us="$1" 'BEGIN { printf "%.1f", us / 1000 }'; }

mkdir "$scratch/root"
head -c 64M /dev/zero >"$scratch/root/big.bin"
echo hi >"$scratch/root/small.txt"
echo hi >"$scratch/root/index.html"
start_origin
case " $ROLES " in
*" api "*)
	start_postgresql || {
		echo "siege.sh: PostgreSQL does not start:" >&2
		tail -n 5 "$scratch/pg.log" >&2
		exit 2
	}
	;;
esac
[ -n "$SHORT" ] || printf '| role | manner | torc p50, p99, longest (ms) | failed | nginx p50, p99, longest (ms) | failed |\n|---|---|---|---|---|---|\n'
for role in $ROLES; do
	for manner in $MANNERS; do
		skip "$role" "$manner" && continue
		start_torc "$role"
		read -r count bad p50 p99 longest < <(measure "$role" "$manner")
		stop_server
		if [ -n "$SHORT" ]; then
			claim="beside $PEERS of $manner, $role answers a good client"
			if [ "${count:-0}" -gt 0 ] && [ "$bad" -eq 0 ]; then
				echo "ok $claim"
			else
				echo "FAILED $claim: ${bad:-all} of ${count:-0} were not answered"
				failed=$((failed + 1))
			fi
			continue
		fi
		row="| $role | $manner | $(ms "$p50"), $(ms "$p99"), $(ms "$longest") | $bad of $count |"
		# Twice nginx, or 20 ms, and never above 100 ms.
		limit=100000
		if [ "$role" = api ]; then
			echo "$row | |"
		else
			start_nginx "$role"
			read -r ncount nbad n50 n99 nlongest \
			    < <(measure "$role" "$manner")
			stop_server
			echo "$row $(ms "$n50"), $(ms "$n99"), $(ms "$nlongest") | $nbad of $ncount |"
			limit=$((n99 * 2 > 20000 ? n99 * 2 : 20000))
			[ "$limit" -le 100000 ] || limit=100000
		fi
		if [ "$p99" -gt "$limit" ] || [ "$bad" -gt 0 ]; then
			echo "FAILED $role beside $manner: a p99 of $(ms "$p99") ms, at most $(ms $limit); $bad failures"
			failed=$((failed + 1))
		fi
	done
done
[ $failed -eq 0 ]
