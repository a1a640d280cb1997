#!/usr/bin/env bash
# files.sh - the server's CPU for a file of 4 KiB and one of 1 MiB: the example
# `files` beside nginx with sendfile and open_file_cache, taking turns, pinned
# to one CPU with the generator on another.
#
#     tools/bench/clients/files.sh [SECONDS [REPETITIONS]]
#
# Prints microseconds of CPU per request, medians, and their ratio.
set -u
cd "$(dirname "$0")/../../.." || exit 1
B=${B:-build}
. tools/bench/common.sh
seconds=${1:-3}
repetitions=${2:-3}
PATH=$PATH:/usr/sbin:/sbin
scratch=$(mktemp -d) || exit 1
trap 'stop_all; rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

command -v nginx >/dev/null || fail "nginx is not installed"
command -v wrk >/dev/null || fail "wrk is not installed"
[ -x "$B/bin/files" ] || fail "$B/bin/files is not built"
chmod 755 "$scratch"

write_nginx_conf() {	# write_nginx_conf FOLDER PORT
	cat >"$1.conf" <<-CONF
		worker_processes 1;
		daemon off;
		pid $1.pid;
		error_log $1.log crit;
		events { worker_connections 1024; use epoll; }
		http {
			types { text/html html; }
			access_log off;
			sendfile on;
			tcp_nopush on;
			keepalive_requests 100000000;
			open_file_cache max=1000 inactive=60s;
			open_file_cache_valid 60s;
			client_body_temp_path $1.t1;
			proxy_temp_path $1.t2;
			fastcgi_temp_path $1.t3;
			uwsgi_temp_path $1.t4;
			scgi_temp_path $1.t5;
			server { listen 127.0.0.1:$2; root $1; }
		}
	CONF
}

# start NAME FOLDER: sets pid and port.
start() {
	pick_port
	if [ "$1" = nginx ]; then
		write_nginx_conf "$2" "$port"
		start_process "$2.out" nginx -e "$2.log" -c "$2.conf"
	else
		FILES_ROOT=$2 start_process "$2.out" "$B/bin/files" -r 1 \
		    -l "127.0.0.1:$port"
	fi
	wait_listening "$pid" "$port" 10 || fail "$1 does not listen"
}

# Nanoseconds of CPU that processes have used: cpu_of PID,PID
cpu_of() {
	local one
	for one in ${1//,/ }; do
		cat "/proc/$one/task/"*/schedstat
	done | awk '{ sum += $1 } END { printf "%d\n", sum }'
}

# measure PID PORT: microseconds per request. wrk, since the generator of the
# main benchmark takes no answer of more than 64 KiB.
measure() {
	local all before requests
	all=$(pids_of "$1")
	wrk_for 1 "$2" >/dev/null
	before=$(cpu_of "$all")
	requests=$(wrk_for "$seconds" "$2" |
	    sed -n 's/^ *\([0-9]*\) requests in .*/\1/p')
	[ "${requests:-0}" -gt 0 ] || return 1
	awk "BEGIN { print ($(cpu_of "$all") - $before) / $requests / 1000 }"
}

wrk_for() {	# wrk_for SECONDS PORT
	taskset -c "$LOAD_CPU" wrk -t 1 -c "$connections" -d "$1s" \
	    "http://127.0.0.1:$2/"
}

median() {
	sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'
}

printf '%-10s %10s %10s %6s\n' file files nginx ratio
for size in 4096 1048576; do
	folder=$scratch/$size
	mkdir "$folder"
	head -c "$size" /dev/urandom >"$folder/index.html"
	start files "$folder"
	ours=$pid ours_port=$port
	start nginx "$folder"
	theirs=$pid theirs_port=$port
	connections=$((size > 65536 ? 8 : 64))
	for _ in $(seq "$repetitions"); do
		measure "$ours" "$ours_port" >>"$folder.files"
		measure "$theirs" "$theirs_port" >>"$folder.nginx"
	done
	stop_all
	a=$(median <"$folder.files")
	b=$(median <"$folder.nginx")
	[ -n "$a" ] && [ -n "$b" ] || fail "a measurement failed"
	printf '%-10s %10s %10s %6s\n' "$size" "$a" "$b" \
	    "$(awk "BEGIN { printf \"%.2f\", $a / $b }")"
done
