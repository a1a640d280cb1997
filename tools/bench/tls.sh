#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tls.sh - CPU time of the server for a request or a handshake over TLS 1.3: the
# limit program (a bare ring, and OpenSSL over memory), torc's hello-tls and
# files-tls, nginx and haproxy. One CPU for the server, another for the
# generator; in turns; medians of ratios to the limit program.
#
# By environment:
#	CELLS	kept/64 kept/1024 16384/64 1048576/8 full/16 resumed/16
#		rsa-full/16 rsa-resumed/16 idle p99
#	SERVERS	limit torc nginx haproxy; REPS (5), SECONDS_EACH (1), IDLE (1000)
#	SERVER_CPU (0), LOAD_CPU (1), BIN (build/bin), OUT (build/bench)
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tools/bench/common.sh
. tools/bench/common.sh
PATH=$PATH:/usr/sbin:/sbin
ALL="kept/64 kept/1024 16384/64 1048576/8 full/16 resumed/16 \
rsa-full/16 rsa-resumed/16 idle p99"
CELLS=${CELLS:-$ALL}
SERVERS=${SERVERS:-limit torc nginx haproxy}
REPS=${REPS:-5}
SECONDS_EACH=${SECONDS_EACH:-1}
IDLE=${IDLE:-1000}
BIN=${BIN:-build/bin}
scratch=$(mktemp -d) || exit 1
results=$OUT/tls.txt

finish() {
	stop_all
	rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

make_certificate() {	# make_certificate NAME OPTION...
	local name=$1
	shift
	openssl req -x509 -nodes -subj /CN=localhost -days 2 "$@" \
	    -keyout "$scratch/$name.key" -out "$scratch/$name.pem" \
	    2>/dev/null || fail "openssl makes no certificate"
	cat "$scratch/$name.pem" "$scratch/$name.key" >"$scratch/$name.both"
}

make_files() {
	make_certificate ec -newkey ec -pkeyopt ec_paramgen_curve:P-256
	make_certificate rsa -newkey rsa:2048
	mkdir "$scratch/www"
	head -c 16384 /dev/zero >"$scratch/www/16384"
	head -c 1048576 /dev/zero >"$scratch/www/1048576"
	chmod -R a+rX "$scratch"
}

write_nginx() {	# write_nginx PORT KEY
	cat >"$scratch/nginx-$1.conf" <<-END
	worker_processes 1;
	daemon off;
	user $(id -un) $(id -gn);
	pid $scratch/nginx-$1.pid;
	error_log $scratch/nginx-$1.log crit;
	events { worker_connections 16384; }
	http {
		access_log off;
		sendfile on;
		open_file_cache max=16;
		keepalive_requests 4000000000;
		client_body_temp_path $scratch;
		proxy_temp_path $scratch;
		fastcgi_temp_path $scratch;
		uwsgi_temp_path $scratch;
		scgi_temp_path $scratch;
		server {
			listen 127.0.0.1:$1 ssl backlog=4096;
			ssl_certificate $scratch/$2.pem;
			ssl_certificate_key $scratch/$2.key;
			ssl_protocols TLSv1.2 TLSv1.3;
			root $scratch/www;
			location = / { return 200 "ok"; }
		}
	}
	END
}

write_haproxy() {	# write_haproxy PORT KEY
	cat >"$scratch/haproxy-$1.conf" <<-END
	global
		nbthread 1
		maxconn 4096
		tune.ssl.default-dh-param 2048
	defaults
		mode http
		timeout client 60s
		timeout server 60s
		timeout connect 5s
	frontend tls
		bind 127.0.0.1:$1 ssl crt $scratch/$2.both alpn http/1.1
		http-request return status 200 content-type text/plain string ok
	END
}

# start SERVER KEY KIND: sets at and pids.
declare -A at pids
start() {
	local as="$1 $2 $3" program=hello-tls
	[ "$3" = plain ] || program=files-tls
	pick_port
	case $1 in
	limit) command=("$OUT/limit_tls" "$port" "$scratch/$2.pem"
	    "$scratch/$2.key") ;;
	torc)
		command=(env FILES_ROOT="$scratch/www" "$BIN/$program" -r 1
		    -l "tls:127.0.0.1:$port" --cert "$scratch/$2.pem"
		    --key "$scratch/$2.key")
		;;
	nginx)
		write_nginx "$port" "$2"
		command=(nginx -p "$scratch" -c "$scratch/nginx-$port.conf" -e
		    "$scratch/nginx-$port.log")
		;;
	haproxy)
		write_haproxy "$port" "$2"
		command=(haproxy -db -f "$scratch/haproxy-$port.conf")
		;;
	esac
	start_process "$scratch/$port.log" "${command[@]}"
	wait_listening "$pid" "$port" 5 ||
	    fail "$1 does not start: $(head -c 300 "$scratch/$port.log")"
	[ "$1" != nginx ] || sleep 0.3
	at[$as]=$port
	pids[$as]=$(pids_of "$pid")
}

# measure REPETITION CELL SERVER
measure() {
	local key=ec kind=plain mode=${2%/*} count=${2#*/} path=/ line as
	case $mode in
	rsa-*) key=rsa mode=${mode#rsa-} ;;
	16384|1048576) kind=files path=/$mode mode=kept ;;
	esac
	[ "$kind $3" != "files haproxy" ] || return
	as="$3 $key $kind"
	[ -n "${at[$as]:-}" ] || start "$3" "$key" "$kind"
	line=$(timeout 60 taskset -c "$LOAD_CPU" "$OUT/load_tls" -m "$mode" \
	    -c "$count" -u "$path" -d "$SECONDS_EACH" "${at[$as]}" \
	    "${pids[$as]}" 2>"$scratch/load.log")
	[ -n "$line" ] || line="refused=$(head -n 1 "$scratch/load.log")"
	echo "$1 $2 $3 $line" >>"$results"
}

# measure_p99 REPETITION SERVER: of 32 connections that make 2000 requests in a
# second, quiet and beside 200 whole handshakes of RSA in a second.
measure_p99() {
	local as="$2 rsa plain" beside how
	[ -n "${at[$as]:-}" ] || start "$2" rsa plain
	for how in quiet beside; do
		if [ $how = beside ]; then
			taskset -c "$LOAD_CPU" "$OUT/load_tls" -m full -c 64 \
			    -r 200 -w 0 -d $((SECONDS_EACH + 2)) \
			    "${at[$as]}" "${pids[$as]}" >/dev/null &
			beside=$!
			sleep 0.5
		fi
		echo "$1 p99-$how $2 $(timeout 60 taskset -c "$LOAD_CPU" \
		    "$OUT/load_tls" -m kept -c 32 -r 2000 -d "$SECONDS_EACH" \
		    "${at[$as]}" "${pids[$as]}")" >>"$results"
	done
	wait "$beside"
}

# The figures themselves: a ratio to the limit says nothing of them.
report_p99() {
	awk '$2 ~ /^p99-/ && match($0, /p99_us=[0-9]+/) {
		if (!($3 in known)) { known[$3] = 1; servers[++count] = $3 }
		got[$2, $3] = got[$2, $3] " " \
		    substr($0, RSTART + 7, RLENGTH - 7)
	}
	function median(text,   list, n, i, j, t) {
		n = split(text, list)
		for (i = 2; i <= n; i++)
			for (j = i; j > 1 && list[j] + 0 < list[j - 1] + 0; j--) {
				t = list[j]; list[j] = list[j - 1]
				list[j - 1] = t
			}
		return list[int((n + 1) / 2)]
	}
	END {
		if (count > 0)
			print "\np99 of established connections, us: quiet, " \
			    "and beside 200 handshakes of RSA-2048 a second"
		for (s = 1; s <= count; s++)
			printf "%-10s %7d %7d\n", servers[s],
			    median(got["p99-quiet", servers[s]]),
			    median(got["p99-beside", servers[s]])
	}' "$results"
}

resident() {
	local one sum=0
	for one in ${1//,/ }; do
		sum=$((sum + $(awk '/^Rss:/ { print $2 }' \
		    "/proc/$one/smaps_rollup")))
	done
	echo $sum
}

# measure_idle SERVER: in bytes for each connection.
measure_idle() {
	local before holder tries=600
	start "$1" ec plain
	before=$(resident "${pids["$1 ec plain"]}")
	mkfifo "$scratch/hold"
	taskset -c "$LOAD_CPU" "$OUT/load_tls" -m idle -c "$IDLE" "$port" 1 \
	    >"$scratch/idle" 2>&1 <"$scratch/hold" &
	holder=$!
	exec 5>"$scratch/hold"
	while ! grep -q ready "$scratch/idle" && [ $tries -gt 0 ]; do
		tries=$((tries - 1))
		sleep 0.05
	done
	sleep 0.3
	echo "1 idle $1 bytes=$((($(resident "${pids["$1 ec plain"]}") -
	    before) * 1024 / IDLE))" >>"$results"
	exec 5>&-
	wait $holder
	rm "$scratch/hold"
}

report() {
	awk '
	function median(list, n,   i, j, t) {
		for (i = 2; i <= n; i++)
			for (j = i; j > 1 && list[j] < list[j - 1]; j--) {
				t = list[j]; list[j] = list[j - 1]; list[j - 1] = t
			}
		i = int((n + 1) / 2)
		return (list[i] + list[n + 1 - i]) / 2
	}
	function value(   i) {
		for (i = 4; i <= NF; i++)
			if ($i ~ /^(cpu_us|bytes)=/)
				return substr($i, index($i, "=") + 1) + 0
		return 0
	}
	$2 !~ /^p99-/ {
		if (!($2 in seen)) { seen[$2] = 1; cells[++cell_count] = $2 }
		if (!($3 in known)) { known[$3] = 1; servers[++server_count] = $3 }
		got[$1, $2, $3] = value()
		reps = $1 > reps ? $1 : reps
	}
	END {
		if (cell_count > 0)
			printf "%-16s %12s", "cell", "limit"
		for (s = 1; s <= server_count; s++)
			if (servers[s] != "limit" && cell_count > 0)
				printf " %10s", servers[s]
		if (cell_count > 0)
			print ""
		for (c = 1; c <= cell_count; c++) {
			n = 0
			for (r = 1; r <= reps; r++)
				if (got[r, cells[c], "limit"] > 0)
					list[++n] = got[r, cells[c], "limit"]
			printf "%-16s %9.2f %s", cells[c], n ? median(list, n) : 0,
			    cells[c] == "idle" ? "B " : "us"
			for (s = 1; s <= server_count; s++) {
				if (servers[s] == "limit")
					continue
				n = 0
				for (r = 1; r <= reps; r++) {
					base = got[r, cells[c], "limit"]
					mine = got[r, cells[c], servers[s]]
					if (base > 0 && mine > 0)
						list[++n] = mine / base
				}
				printf " %10s", n ? sprintf("%.2f", median(list, n)) : "-"
			}
			print ""
		}
	}' "$results"
}

for program in limit_tls load_tls; do
	[ -x "$OUT/$program" ] || fail "$OUT/$program: run make bench-tls"
done
for server in nginx haproxy; do
	command -v $server >/dev/null || SERVERS=${SERVERS/$server/}
done
ulimit -Sn "$(ulimit -Hn)"
make_files
: >"$results"
for rep in $(seq 1 "$REPS"); do
	for cell in $CELLS; do
		for server in $SERVERS; do
			case $cell in
			idle) ;;
			p99) measure_p99 "$rep" "$server" ;;
			*) measure "$rep" "$cell" "$server" ;;
			esac
		done
	done
done
case " $CELLS " in
*' idle '*)
	for server in $SERVERS; do
		measure_idle "$server"
	done
	;;
esac
report
report_p99
echo "Every measurement: $results"
