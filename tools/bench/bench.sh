#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# bench.sh - torc against the limit program and its peers. See README.md.
#
#	bench.sh [--quick]
#
# By environment:
#	CELLS	what is measured; all by default:
#		CONNECTIONS/PIPELINE	HTTP requests, as 64/1 or 1024/16
#		echo/BYTES		messages of BYTES on 64 connections
#		churn/CONNECTIONS	a connection for each request
#		one of these and +busy	the same, and the generator polls and
#					never sleeps: no server has to wake it
#		one of these and +one	the same, with the generator on the
#					server's CPU
#		latency			one connection, with and without spin
#		idle			memory of an idle connection
#	SERVERS	limit raw codec hello echo liburing epoll libuv libevent nginx
#	REPS (5), SECONDS_EACH (1.0), WARMUP (0.4), IDLE (10000),
#	SPIN_US (100), SERVER_CPU (0), LOAD_CPU (1)
#	BUSY=1	+busy for all cells
#	BIN (build/bin), OUT (build/bench), CC (cc)
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tools/bench/common.sh
. tools/bench/common.sh

ALL_CELLS="1/1 16/1 64/1 256/1 1024/1 1/16 16/16 64/16 256/16 1024/16 \
64/1+busy 1024/1+busy 64/1+one 1024/1+one 64/16+one 1024/16+one \
echo/64 echo/16384 churn/64 latency idle"
case ${1:-} in
--quick)
	: "${CELLS:=64/1 64/16 echo/64 echo/16384 churn/64 latency idle}"
	: "${REPS:=2}" "${SECONDS_EACH:=0.3}" "${WARMUP:=0.15}"
	;;
'') ;;
*)
	sed -n '3,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//'
	exit 2
	;;
esac
CELLS=${CELLS:-$ALL_CELLS}
SERVERS=${SERVERS:-limit raw codec hello echo liburing epoll libuv libevent nginx}
REPS=${REPS:-5}
SECONDS_EACH=${SECONDS_EACH:-1.0}
WARMUP=${WARMUP:-0.4}
IDLE=${IDLE:-10000}
SPIN_US=${SPIN_US:-100}
BIN=${BIN:-build/bin}
BUFFER_DEFAULT=2048	# of the ring responders; a larger message needs more

has() {
	[[ " $SERVERS " == *" $1 "* ]]
}

# ---- What is needed ----

SKIPPED=${SKIPPED:-}

install_package() {
	echo "installing $1" >&2
	if [ "$(id -u)" -eq 0 ]; then
		apt-get install -y -qq "$1" >/dev/null 2>&1
	else
		sudo -n apt-get install -y -qq "$1" >/dev/null 2>&1
	fi
}

# skip SERVER REASON...
skip() {
	local server=$1
	shift
	echo "$server: skipped: $*" >&2
	SKIPPED="${SKIPPED}$server: skipped: $*"$'\n'
	SERVERS=" $SERVERS "
	SERVERS=${SERVERS/ $server / }
}

# need_peer SERVER PACKAGE HEADER LIBRARY: builds a peer or skips it.
need_peer() {
	local check="#include <$3>"
	has "$1" || return 0
	echo "$check" | ${CC:-cc} -E - >/dev/null 2>&1 ||
	    install_package "$2"
	if ! echo "$check" | ${CC:-cc} -E - >/dev/null 2>&1; then
		skip "$1" "$2 is not installed and could not be"
	elif ! build "peer_$1" "$4"; then
		skip "$1" "tools/bench/peer_$1.c does not compile here"
	fi
}

need_nginx() {
	has nginx || return 0
	PATH=$PATH:/usr/sbin:/sbin
	command -v nginx >/dev/null || install_package nginx-light
	command -v nginx >/dev/null ||
	    skip nginx "nginx-light is not installed and could not be"
}

prepare() {
	local program missing=
	[ "$(nproc)" -ge 2 ] || fail "two CPUs are needed"
	command -v taskset >/dev/null || fail "taskset (util-linux) is needed"
	for program in raw codec hello echo; do
		has "$program" && [ ! -x "$BIN/$program" ] &&
		    missing="$missing $BIN/$program"
	done
	[ -z "$missing" ] || fail "not built:$missing; run 'make' first"
	build limit || fail "the limit program does not compile"
	build load || fail "the load generator does not compile"
	if has epoll && ! build peer_epoll; then
		skip epoll "tools/bench/peer_epoll.c does not compile here"
	fi
	need_peer liburing liburing-dev liburing.h uring
	need_peer libuv libuv1-dev uv.h uv
	need_peer libevent libevent-dev event2/event.h event_core
	need_nginx
}

set_network() {
	echo "$2" 2>/dev/null >"/proc/sys/net/ipv4/$1"
}

# A network of our own with nothing else in it, where the system lets us. The
# packages are installed before, since that needs the other network.
enter_private_network() {
	local how=-n
	if [ -n "${BENCH_PRIVATE:-}" ]; then
		ip link set lo up || fail "the loopback interface stays down"
		# Churn uses up ports quickly; servers listen below these.
		set_network ip_local_port_range "30000 65535"
		set_network tcp_tw_reuse 1
		return
	fi
	command -v ip >/dev/null || return
	unshare $how true 2>/dev/null || how=-rn
	unshare $how true 2>/dev/null || return
	export BENCH_PRIVATE=1 CELLS SERVERS SKIPPED REPS SECONDS_EACH WARMUP
	export IDLE
	exec unshare $how -- tools/bench/bench.sh
}

# ---- Servers ----

# Sets command for a server, a cell and a port.
server_command() {
	local server=$1 cell=$2 at=$3 options=() size=0
	case $cell in
	echo/*)
		size=${cell#echo/}
		options=(-e)
		;;
	esac
	case $server in
	limit|liburing)
		[ "$size" -le $BUFFER_DEFAULT ] || options+=(-b "$size")
		;;
	esac
	case $server in
	limit) compose_command "$OUT/limit" "$at" "${options[@]}" ;;
	raw|codec|hello|echo) compose_command "$BIN/$server" "$at" ;;
	*+spin)
		compose_command "$BIN/${server%+spin}" "$at" -s "$SPIN_US"
		;;
	raw+unseen) compose_command "$BIN/raw" "$at" -n ;;
	codec+g) compose_command "$BIN/codec" "$at" -g ;;
	nginx)
		write_nginx_config "$at"
		command=(nginx -p "$scratch" -c "$scratch/nginx-$at.conf" -e
		    "$scratch/nginx-$at.log")
		;;
	*) compose_command "$OUT/peer_$server" "$at" "${options[@]}" ;;
	esac
}

write_nginx_config() {
	cat >"$scratch/nginx-$1.conf" <<-END
	worker_processes 1;
	daemon off;
	user $(id -un) $(id -gn);
	pid $scratch/nginx-$1.pid;
	error_log $scratch/nginx-$1.log crit;
	worker_rlimit_nofile $(ulimit -Hn);
	events { worker_connections 16384; }
	http {
		access_log off;
		keepalive_requests 4000000000;
		client_body_temp_path $scratch;
		proxy_temp_path $scratch;
		fastcgi_temp_path $scratch;
		uwsgi_temp_path $scratch;
		scgi_temp_path $scratch;
		server {
			listen 127.0.0.1:$1 backlog=4096;
			location / { return 200 "ok"; }
		}
	}
	END
}

# By server and kind of cell: the process, its port, and all its processes.
declare -A pid_of port_of all_pids_of

# start_server KEY SERVER CELL: False, with the reason in problem, if it fails.
start_server() {
	local key=$1
	pick_port
	server_command "$2" "$3" "$port"
	start_process "$scratch/$port.log" "${command[@]}"
	if ! wait_listening "$pid" "$port" 5; then
		problem="does not start: $(head -c 300 "$scratch/$port.log")"
		return 1
	fi
	# nginx starts its worker after it listens.
	[ "$2" != nginx ] || sleep 0.2
	pid_of[$key]=$pid
	port_of[$key]=$port
	all_pids_of[$key]=$(pids_of "$pid")
}

# torc's programs drain and exit with 0 when they get SIGTERM.
stop_server() {
	local key=$1 status
	stop_process "${pid_of[$key]}"
	status=$?
	forget_process "${pid_of[$key]}"
	unset "pid_of[$key]"
	case $key in
	raw*|codec*|hello*|echo*)
		[ "$status" -eq 0 ] || echo "${key%%:*}: exit status $status" \
		    "after SIGTERM" >>"$scratch/remarks"
		;;
	esac
}

# ---- Cells ----

# The servers of a cell, the limit program first. echo serves only echo, raw,
# codec, hello and nginx only HTTP.
servers_of() {
	local server
	for server in limit raw codec hello echo liburing epoll libuv \
	    libevent nginx; do
		has $server || continue
		case $1:$server in
		echo/*:raw|echo/*:codec|echo/*:hello|echo/*:nginx) continue ;;
		echo/*:echo) echo echo ;;
		*:echo|idle:raw) continue ;;
		64/*:raw) echo "raw raw+unseen" ;;
		latency:raw|latency:codec) echo "$server $server+spin" ;;
		*) echo $server ;;
		esac
	done
}

reversed() {
	local one all=
	for one in "$@"; do
		all="$one $all"
	done
	echo "$all"
}

# What the generator is told to do in a cell.
load_options() {
	local cell=${1%+*}
	[ -z "${BUSY:-}" ] && [[ $1 != *+busy ]] || echo "-b"
	case $cell in
	echo/*) echo "-m echo -c 64 -s ${cell#echo/}" ;;
	churn/*) echo "-m churn -c ${cell#churn/}" ;;
	latency) echo "-c 1" ;;
	*) echo "-c ${cell%/*} -P ${cell#*/}" ;;
	esac
}

record() {
	echo "$*" >>"$results"
}

# measure_cell REPETITION CELL SERVER: one line in the results.
measure_cell() {
	local rep=$1 cell=$2 server=$3 key count line cpu=$LOAD_CPU
	key=$server
	[[ $cell != echo/* ]] || key=$server:${cell%+*}
	[[ $cell != *+one ]] || cpu=$SERVER_CPU
	if [ -z "${pid_of[$key]:-}" ] &&
	    ! start_server "$key" "$server" "${cell%+*}"; then
		record "$rep $cell $server refused=$problem"
		return
	fi
	count=$(listeners "${port_of[$key]}")
	if [ "$count" -ne 1 ]; then
		record "$rep $cell $server refused=$count listeners on a port"
		return
	fi
	# shellcheck disable=SC2046
	line=$(timeout 100 taskset -c "$cpu" "$OUT/load" \
	    -p "${port_of[$key]}" -S "${all_pids_of[$key]}" -w "$WARMUP" \
	    -d "$SECONDS_EACH" $(load_options "$cell") \
	    2>"$scratch/load.log")
	if [ -z "$line" ]; then
		record "$rep $cell $server refused=$(head -n 1 \
		    "$scratch/load.log")"
	else
		record "$rep $cell $server $line"
	fi
}

measure_repetition() {
	local rep=$1 cell server order
	for cell in $CELLS; do
		[ "$cell" != idle ] || continue
		order=$(servers_of "$cell")
		# Words on purpose, here and below.
		# shellcheck disable=SC2086
		[ $((rep % 2)) -eq 1 ] || order=$(reversed $order)
		for server in $order; do
			progress "repetition $rep of $REPS: $cell $server"
			measure_cell "$rep" "$cell" "$server"
		done
	done
}

# ---- Idle memory ----

resident_kib() {
	local one sum=0 size
	for one in ${1//,/ }; do
		size=$(awk '/^Rss:/ { print $2 }' "/proc/$one/smaps_rollup" \
		    2>/dev/null)
		sum=$((sum + ${size:-0}))
	done
	echo $sum
}

# measure_idle SERVER: each connection makes one request and stays.
measure_idle() {
	local server=$1 key=$1:idle before after holder tries=500 log
	log=$scratch/$key.log
	: >"$log"
	if ! start_server "$key" "$server" idle; then
		record "1 idle $server refused=$problem"
		return
	fi
	before=$(resident_kib "${all_pids_of[$key]}")
	taskset -c "$LOAD_CPU" "$OUT/load" -m idle -c "$IDLE" -n 1 \
	    -p "${port_of[$key]}" >"$log" 2>&1 &
	holder=$!
	started+=("$holder")
	while ! grep -q ready "$log" && kill -0 $holder 2>/dev/null &&
	    [ $tries -gt 0 ]; do
		tries=$((tries - 1))
		sleep 0.05
	done
	sleep 0.3
	after=$(resident_kib "${all_pids_of[$key]}")
	if grep -q ready "$log"; then
		record "1 idle $server rss_before=$before rss_after=$after" \
		    "connections=$IDLE"
	else
		record "1 idle $server refused=not ready: $(head -n 1 "$log")"
	fi
	stop_process $holder
	forget_process $holder
	stop_server "$key"
}

measure_all_idle() {
	local server most
	most=$(($(ulimit -Hn) - 200))
	[ "$IDLE" -le $most ] || IDLE=$most
	for server in $(servers_of idle); do
		progress "idle connections: $server"
		measure_idle "$server"
		if [ "$server" = codec ]; then
			measure_idle codec+g
		fi
	done
}

# ---- The run ----

progress() {
	[ ! -t 2 ] || printf '\r\033[K%s' "$*" >&2
}

machine() {
	local cpu
	cpu=$(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)
	echo "${cpu:-$(uname -m)}, $(nproc) CPUs"
}

describe() {
	echo "Linux $(uname -r), $(machine)"
	echo "server on CPU $SERVER_CPU, generator on CPU $LOAD_CPU," \
	    "loopback${BENCH_PRIVATE:+ (a private network)};" \
	    "$REPS repetitions of $SECONDS_EACH s${BUSY:+; busy generator}"
}

# A chart of the ratios, and what it is drawn from.
draw() {
	touch "$scratch/ratios"
	{
		echo "machine $(machine)"
		echo "kernel Linux $(uname -r)"
		echo "commit $(git describe --always --dirty 2>/dev/null ||
			echo unknown), $(date +%Y-%m-%d)"
		cat "$scratch/ratios"
	} >"$OUT/ratios.txt"
	awk -f tools/bench/chart.awk "$OUT/ratios.txt" >"$OUT/ratios.svg"
}

cleanup() {
	stop_all
	rm -rf "$scratch"
}

if [ -z "${BENCH_PRIVATE:-}" ]; then
	prepare
	has limit || fail "the limit program must be among the servers"
fi
enter_private_network
ulimit -Sn "$(ulimit -Hn)"
scratch=$(mktemp -d) || exit 1
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$scratch"
results=$OUT/results.txt
: >"$results" || exit 1
: >"$scratch/remarks"
for rep in $(seq 1 "$REPS"); do
	measure_repetition "$rep"
done
for key in "${!pid_of[@]}"; do
	stop_server "$key"
done
case " $CELLS " in
*' idle '*) measure_all_idle ;;
esac
progress ''
describe
awk -v spin_us="$SPIN_US" -v ratios="$scratch/ratios" \
    -f tools/bench/report.awk "$results"
draw
printf %s "$SKIPPED"
sort -u "$scratch/remarks"
echo "Every measurement: $results; a chart: $OUT/ratios.svg"
