#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# handlers.sh - what a request costs the server whose handler asks a backend,
# or sends a file, or passes the request on: torc, and what one would take
# instead, in turns, pinned to one CPU, with the generator and the backend on
# another.
#
#	tools/bench/clients/handlers.sh [SECONDS [REPETITIONS]]
#
# Microseconds of the server's CPU per request, of all of its threads and
# processes, HTTP and all; requests per second; and how busy its CPU was (where
# that is well below 1, the backend or the generator is what limits the rate).
# Ratios are taken within a repetition; medians are shown. A measurement with
# an error or an answer that is not 2xx refuses the run.
#
# By environment: B (build), CELLS (redis pg 4096 1048576 proxy),
# SERVER_CPU (0), LOAD_CPU (1).
set -u
cd "$(dirname "$0")/../../.." || exit 1
B=${B:-build}
# shellcheck source=tools/bench/common.sh
. tools/bench/common.sh
seconds=${1:-2}
repetitions=${2:-5}
CELLS=${CELLS:-redis pg 4096 1048576 proxy}
PATH=$PATH:/usr/sbin:/sbin
scratch=$(mktemp -d /tmp/torc-handlers-XXXXXX) || exit 1
trap 'stop_all; rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for tool in wrk nginx haproxy redis-server psql; do
	command -v $tool >/dev/null || fail "$tool is not installed"
done
chmod 755 "$scratch"
mkdir "$scratch/temp" "$scratch/4096" "$scratch/1048576"
for size in 4096 1048576; do
	head -c $size /dev/urandom >"$scratch/$size/index.html"
done

# ---- Servers: each sets pid, and listens on $port ----

start() {	# start NAME COMMAND...: on the server's CPU
	local name=$1
	shift
	start_process "$scratch/$name.out" "$@"
	wait_listening "$pid" "$port" 10 || {
		cat "$scratch/$name.out" >&2
		fail "$name does not listen"
	}
}

start_backend() {	# the same on the other CPU
	local SERVER_CPU=$LOAD_CPU
	start "$@"
}

# nginx SERVER: with what is said in its block server. (As root its workers
# are nobody, who may read what is below $scratch.)
start_nginx() {
	local name=nginx$port
	cat >"$scratch/$name.conf" <<-CONF
		worker_processes 1;
		daemon off;
		pid $scratch/$name.pid;
		error_log $scratch/$name.log crit;
		events { worker_connections 1024; use epoll; }
		http {
			types { text/html html; }
			access_log off;
			sendfile on;
			tcp_nopush on;
			keepalive_requests 100000000;
			open_file_cache max=1000 inactive=60s;
			open_file_cache_valid 60s;
			client_body_temp_path $scratch/temp/1;
			proxy_temp_path $scratch/temp/2;
			fastcgi_temp_path $scratch/temp/3;
			uwsgi_temp_path $scratch/temp/4;
			scgi_temp_path $scratch/temp/5;
			upstream origin {
				server 127.0.0.1:${origin:-1};
				keepalive 256;
				keepalive_requests 100000000;
			}
			server { listen 127.0.0.1:$port; $1 }
		}
	CONF
	start "$name" nginx -e "$scratch/$name.log" -c "$scratch/$name.conf"
}

start_haproxy() {
	cat >"$scratch/haproxy.cfg" <<-CONF
		global
		    nbthread 1
		defaults
		    mode http
		    timeout client 60s
		    timeout server 60s
		    timeout connect 5s
		    http-reuse always
		frontend front
		    bind 127.0.0.1:$port
		    default_backend back
		backend back
		    server origin 127.0.0.1:$origin
	CONF
	start haproxy haproxy -f "$scratch/haproxy.cfg"
}

start_redis() {
	pick_port
	redis=$port
	start_backend redis redis-server --port "$redis" --bind 127.0.0.1 \
	    --save "" --dir "$scratch"
	exec 3<>"/dev/tcp/127.0.0.1/$redis"
	printf 'SET key %0100d\r\n' 0 >&3
	read -r -t 10 _ <&3 || fail "redis takes no key"
	exec 3>&-
}

sql() {
	psql -q -h "$scratch/pg" -p 5432 -U bench -d postgres -c "$1"
}

# PostgreSQL refuses to run as root; it listens on a unix socket alone.
start_postgres() {
	local as=() tries=200 programs
	programs=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb |
	    tail -n 1)")
	mkdir "$scratch/pg"
	if [ "$(id -u)" -eq 0 ]; then
		chown postgres "$scratch/pg"
		as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
	fi
	"${as[@]}" "$programs/initdb" -D "$scratch/pg/data" -U bench -A trust \
	    -N --locale=C >"$scratch/initdb.out" 2>&1 || fail "initdb failed"
	SERVER_CPU=$LOAD_CPU start_process "$scratch/postgres.out" \
	    "${as[@]}" "$programs/postgres" -D "$scratch/pg/data" \
	    -k "$scratch/pg" -p 5432 -c listen_addresses= -c fsync=off \
	    -c autovacuum=off
	until sql "select 1" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || fail "postgres does not start"
		sleep 0.1
	done
	sql "create table pairs (key int primary key, value text);
	    insert into pairs select i, repeat('x', 100)
	    from generate_series(0, 999) i; analyze pairs" || fail "no table"
}

# torc PROGRAM VARIABLE=VALUE...
start_torc() {
	local program=$1
	shift
	start "torc${program##*/}$port" env "$@" "$program" -r 1 \
	    -l "127.0.0.1:$port"
}

start_server() {	# start_server CELL NAME
	pick_port
	case $1/$2 in
	redis/torc) start_torc "$B/bench/handler" BACKEND=redis \
	    ADDRESS="127.0.0.1:$redis" ;;
	redis/hiredis-*) start "$2" "$B/bench/peer_hiredis" "$port" "$redis" \
	    "${2#hiredis-}" ;;
	pg/torc) start_torc "$B/bench/handler" BACKEND=pg \
	    ADDRESS="unix:$scratch/pg/.s.PGSQL.5432" ;;
	pg/libpq-*) start "$2" "$B/bench/peer_libpq" "$port" "$scratch/pg" \
	    5432 "${2#libpq-}" ;;
	proxy/torc) start_torc "$B/bin/proxy" \
	    PROXY_ORIGIN="127.0.0.1:$origin" ;;
	proxy/nginx) start_nginx "location / { proxy_pass http://origin;
	    proxy_http_version 1.1; proxy_set_header Connection ''; }" ;;
	proxy/haproxy) start_haproxy ;;
	*/torc) start_torc "$B/bin/files" FILES_ROOT="$scratch/$1" ;;
	*/nginx) start_nginx "root $scratch/$1;" ;;
	esac
	pids[$2]=$pid
	ports[$2]=$port
}

# The first is what the others are compared with.
servers_of() {
	case $1 in
	redis) echo torc hiredis-async hiredis-blocking ;;
	pg) echo torc libpq-pipeline libpq-blocking ;;
	proxy) echo torc nginx haproxy ;;
	*) echo torc nginx ;;
	esac
}

start_backend_of() {
	case $1 in
	redis) start_redis ;;
	pg) start_postgres ;;
	proxy)
		pick_port
		origin=$port
		start_backend origin "$B/bin/codec" -r 1 -l "127.0.0.1:$port"
		;;
	esac
}

# ---- Measuring ----

# Nanoseconds of CPU that processes have used: cpu_of PID,PID. (%d of some awks
# ends at 2^31.)
cpu_of() {
	local one
	for one in ${1//,/ }; do
		cat "/proc/$one/task/"*/schedstat
	done | awk '{ sum += $1 } END { printf "%.0f\n", sum }'
}

wrk_for() {	# wrk_for SECONDS PORT
	taskset -c "$LOAD_CPU" wrk -t 1 -c "$connections" -d "$1s" \
	    "http://127.0.0.1:$2/"
}

# measure NAME: a line "CPU RATE BUSY", in microseconds, per second, and of 1.
# wrk, since the generator of the main benchmark knows answers up to 64 KiB.
measure() {
	local all before after requests start end
	wrk_for 1 "${ports[$1]}" >/dev/null
	all=$(pids_of "${pids[$1]}")
	before=$(cpu_of "$all")
	start=$EPOCHREALTIME
	wrk_for "$seconds" "${ports[$1]}" >"$scratch/wrk"
	end=$EPOCHREALTIME
	after=$(cpu_of "$all")
	requests=$(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' "$scratch/wrk")
	if [ "${requests:-0}" -lt 100 ] || [ "$after" -le "$before" ] ||
	    grep -qE 'Non-2xx|Socket errors' "$scratch/wrk"; then
		cat "$scratch/wrk" >&2
		fail "$1 does not answer as it should"
	fi
	awk "BEGIN {
		cpu = ($after - $before) / 1000
		wall = ${end/[.,]/} - ${start/[.,]/}
		printf \"%.3f %.0f %.3f\n\", cpu / $requests,
		    $requests * 1000000 / wall, cpu / wall
	}"
}

median() {	# median COLUMN FILE
	awk -v column="$1" '{ print $column }' "$2" | sort -n |
	    awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'
}

report() {	# report CELL SERVER...
	local cell=$1 first=$2 name
	shift
	for name in "$@"; do
		paste -d ' ' "$scratch/$cell.$first" "$scratch/$cell.$name" |
		    awk '{ print $1 / $4 }' >"$scratch/ratios"
		printf '%-8s %-16s %9.2f %9s %7.2f %16.2f\n' "$cell" "$name" \
		    "$(median 1 "$scratch/$cell.$name")" \
		    "$(median 2 "$scratch/$cell.$name")" \
		    "$(median 3 "$scratch/$cell.$name")" \
		    "$(median 1 "$scratch/ratios")"
	done
}

run_cell() {
	local cell=$1 servers name
	declare -A pids=() ports=()
	read -ra servers < <(servers_of "$cell")
	connections=$([ "$cell" = 1048576 ] && echo 8 || echo 64)
	start_backend_of "$cell"
	for name in "${servers[@]}"; do
		start_server "$cell" "$name"
	done
	for _ in $(seq "$repetitions"); do
		for name in "${servers[@]}"; do
			measure "$name" >>"$scratch/$cell.$name" || exit 1
		done
	done
	stop_all
	report "$cell" "${servers[@]}"
}

printf '%-8s %-16s %9s %9s %7s %16s\n' handler server "us CPU" "req/s" busy \
    "torc's CPU of it"
for cell in $CELLS; do
	run_cell "$cell"
done
