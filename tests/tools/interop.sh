#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# interop.sh - other people's clients and proxies get on with torc: curl, wrk,
# ab, h2load and nc with codec, directly and behind haproxy and nginx; nc with
# echo.
#
# A tool that is not installed is a line "SKIP: why".
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh

# serves NAME: $B/bin/NAME on a fresh port and a local socket. Sets sock.
serves() {
	fresh_port
	sock=$scratch/$1.sock
	starts "$1" "$B/bin/$1" -l "127.0.0.1:$port" -l "unix:$sock" -r 2
}

# ---- curl ----

# curls EXPECTED ARGUMENT...: each answer is "ok" and its line of -w, and
# these together are what is expected. -v goes to $scratch/talk.
curls() {
	local expected=$1 got
	shift
	got=$(timeout -k 2 10 curl -sSv -m 8 -w ' %{http_code}\n' "$@" \
	    2>"$scratch/talk")
	if [ "$got" != "$expected" ]; then
		cat "$scratch/talk"
		printf 'expected: %s\ngot: %s\n' "$expected" "$got" |
		    uniq -c
		return 1
	fi
}

curl_twice() {
	curls $'ok 200\nok 200' "$url/first" "$url/second" || return 1
	cat "$scratch/talk"
	[ "$(grep -c 'Connected to' "$scratch/talk")" -eq 1 ]
}

curl_head() {
	curls ' 200' -o "$scratch/head" --head "$url/" || return 1
	cat "$scratch/head"
	tr -d '\r' <"$scratch/head" | grep -qix 'content-length: 2'
}

curl_chunked() {
	curls 'ok 200' -H 'Transfer-Encoding: chunked' --data-binary @- \
	    "$url/" <"$scratch/body" || return 1
	grep -i '^> transfer-encoding: chunked' "$scratch/talk"
}

curl_expects() {
	local start=$EPOCHREALTIME ms
	# It goes on without the 100, too, but only after six seconds.
	curls 'ok 200' -H 'Expect: 100-continue' --expect100-timeout 6 \
	    --data-binary "@$scratch/body" "$url/" || return 1
	ms=$(((${EPOCHREALTIME/[.,]/} - ${start/[.,]/}) / 1000))
	cat "$scratch/talk"
	echo "$ms ms"
	grep -q '^< HTTP/1.1 100' "$scratch/talk" && [ $ms -lt 5000 ]
}

# ---- Load ----

wrk_runs() {
	timeout -k 2 12 wrk -t1 -c256 -d2 "$url/" >"$scratch/wrk" 2>&1
	cat "$scratch/wrk"
	! grep -qE 'Socket errors|Non-2xx' "$scratch/wrk" &&
	    awk '$2 == "requests" && $3 == "in" { n = $1 }
	    END { exit !(n > 1000) }' "$scratch/wrk"
}

# ab_runs URL REQUESTS CONNECTIONS
ab_runs() {
	timeout -k 2 12 ab -q -k -n "$2" -c "$3" "$1" >"$scratch/ab" 2>&1
	cat "$scratch/ab"
	grep -qE "^Complete requests: +$2\$" "$scratch/ab" &&
	    grep -qE '^Failed requests: +0$' "$scratch/ab" &&
	    ! grep -q '^Non-2xx' "$scratch/ab"
}

h2load_runs() {
	timeout -k 2 12 h2load --h1 -n 20000 -c 64 "$url/" \
	    >"$scratch/h2load" 2>&1
	cat "$scratch/h2load"
	grep -q '20000 succeeded, 0 failed, 0 errored, 0 timeout' \
	    "$scratch/h2load" &&
	    grep -q 'status codes: 20000 2xx' "$scratch/h2load"
}

half_closes() {
	local i got
	for ((i = 0; i < 20; i++)); do
		got=$(printf 'GET / HTTP/1.1\r\nHost: here\r\n\r\n' |
		    timeout -k 1 5 nc -N 127.0.0.1 "$port" | tr -d '\r')
		if [ "$(sed '/^Date: .* GMT$/d' <<<"$got")" != \
		    $'HTTP/1.1 200 OK\nContent-Length: 2\n\nok' ]
		then
			printf 'number %d got: %s\n' "$i" "$got"
			return 1
		fi
	done
}

# ---- Bytes as they are ----

# head_with LINE...: a request with these lines behind Host.
head_with() {
	printf 'POST / HTTP/1.1\r\nHost: here\r\n'
	[ $# -eq 0 ] || printf '%s\r\n' "$@"
	printf '\r\n'
}

# a_line SIZE: a field of so many bytes.
a_line() {
	head -c "$1" /dev/zero | tr '\0' x | sed 's/^..../X: x/'
}

# answers EXPECTED: the statuses of the answers to the standard input, and an
# end of the connection behind them.
answers() {
	local got
	got=$(timeout -k 1 5 nc -N 127.0.0.1 "$port" | tr -d '\r' |
	    awk '/^(ok)?HTTP\/1.1 / { printf "%s ", $2 }'
	    exit "${PIPESTATUS[0]}") || return 1
	echo "expected: $1, got: $got"
	[ "$got" = "$1 " ]
}

pipelines() {
	local i
	for ((i = 0; i < 20; i++)); do
		head_with
	done | answers "$(yes 200 | head -n 20 | tr '\n' ' ' | sed 's/ $//')"
}

# Each refusal with the control that comes before it in the same stream.
refuses() {
	local status=$1
	shift
	{ head_with && head_with "$@"; } | answers "200 $status"
}

# Old clients end a body with one line too many.
ignores_empty_lines() {
	{
		printf '\r\n' && head_with 'Content-Length: 5' &&
		printf 'hello\r\n' && head_with
	} | answers '200 200'
}

refuses_many_empty_lines() {
	{ head_with && printf '\r\n\r\n\r\n\r\n\r\n' && head_with; } |
	    answers '200 400'
}

takes_large_head() {
	head_with "$(a_line 30000)" | answers 200
}

codec_refusals() {
	with nc "nc: 20 requests in one write get 20 answers" pipelines
	with nc "nc: empty lines before requests are ignored" \
	    ignores_empty_lines
	with nc "nc: five of them are refused with 400" \
	    refuses_many_empty_lines
	with nc "nc: a head of 30 KB is answered" takes_large_head
	with nc "nc: a head of 40 KB is refused with 431" \
	    refuses 431 "$(a_line 40000)"
	with nc "nc: a body of more than 64 MiB is refused with 413" \
	    refuses 413 'Content-Length: 67108865'
	with nc "nc: two lengths of one body are refused with 400" \
	    refuses 400 'Content-Length: 1' 'Content-Length: 2'
	with nc "nc: a length and chunks are refused with 400" \
	    refuses 400 'Content-Length: 1' 'Transfer-Encoding: chunked'
	with nc "nc: an unknown coding is refused with 501" \
	    refuses 501 'Transfer-Encoding: gzip'
}

# ---- Proxies ----

haproxy_config() {
	cat <<-END
	defaults
	    mode http
	    timeout connect 5s
	    timeout client 10s
	    timeout server 10s
	    option http-keep-alive
	    http-reuse always
	frontend front
	    bind 127.0.0.1:$1
	    default_backend back
	backend back
	    server torc 127.0.0.1:$2
	END
}

nginx_config() {
	cat <<-END
	daemon off;
	master_process off;
	pid $scratch/nginx.pid;
	error_log stderr error;
	events { worker_connections 256; }
	http {
	    access_log off;
	    client_body_temp_path $scratch/nginx.body;
	    proxy_temp_path $scratch/nginx.proxy;
	    fastcgi_temp_path $scratch/nginx.fastcgi;
	    uwsgi_temp_path $scratch/nginx.uwsgi;
	    scgi_temp_path $scratch/nginx.scgi;
	    upstream torc { server 127.0.0.1:$2; keepalive 16; }
	    server {
	        listen 127.0.0.1:$1;
	        client_max_body_size 8m;
	        location / {
	            proxy_pass http://torc;
	            proxy_http_version 1.1;
	            proxy_set_header Connection "";
	        }
	    }
	}
	END
}

# proxy_starts NAME: in front of codec, on the port front. Sets proxy.
proxy_starts() {
	local at=$port
	fresh_port
	front=$port
	port=$at
	"$1_config" "$front" "$at" >"$scratch/$1.conf"
	case $1 in
	haproxy) begins haproxy haproxy -db -f "$scratch/haproxy.conf" ;;
	nginx) begins nginx nginx -e stderr -p "$scratch" \
	    -c "$scratch/nginx.conf" ;;
	esac
	proxy=$pid
	until_it 200 listens "$front" || { cat "$scratch/$1"; return 1; }
}

# 200 requests, one after the other, of one curl.
proxy_curls() {
	curls "$(yes 'ok 200' | head -n 200)" \
	    "http://127.0.0.1:$front/[1-200]"
}

proxy_posts() {
	curls 'ok 200' --data-binary "@$scratch/body" "http://127.0.0.1:$front/"
}

behind() {
	local failures=$failed
	if ! has "$1"; then
		echo "SKIP: behind $1: it is not installed"
		return
	fi
	claim "$1 starts in front of it" proxy_starts "$1"
	if [ "$failures" -eq "$failed" ]; then
		with curl "behind $1, 200 requests of curl" proxy_curls
		with curl "behind $1, a body of 2 MB" proxy_posts
		with ab "behind $1, 200 requests on 8 connections of ab" \
		    ab_runs "http://127.0.0.1:$front/" 200 8
	fi
	dies "$proxy"
}

# ---- echo ----

# comes_back COMMAND...: what it is given comes back from the server.
comes_back() {
	timeout -k 2 10 "$@" <"$scratch/random" >"$scratch/back"
	cmp "$scratch/random" "$scratch/back"
}

codec_checks() {
	server=$pid
	url=http://127.0.0.1:$port
	with curl "curl: a GET" curls 'ok 200' "$url/"
	with curl "curl: two on one connection" curl_twice
	with curl "curl: HEAD" curl_head
	with curl "curl: POST with Content-Length" \
	    curls 'ok 200' --data-binary some=thing "$url/"
	with curl "curl: POST in chunks" curl_chunked
	with curl "curl: HTTP/1.0" curls 'ok 200' --http1.0 "$url/"
	with curl "curl: 2 MB after 100 Continue" curl_expects
	with curl "curl: by a local socket" \
	    curls 'ok 200' --unix-socket "$sock" http://localhost/
	with wrk "wrk: 256 connections for 2 s" wrk_runs
	with ab "ab: 20000 requests on 64 connections" \
	    ab_runs "$url/" 20000 64
	with h2load "h2load: 20000 requests on 64 connections" h2load_runs
	with nc "nc: 20 times a FIN right behind the request" half_closes
	codec_refusals
	behind haproxy
	behind nginx
	claim "codec: SIGTERM ends it with status 0" ends "$server"
}

echo_checks() {
	with nc "nc: 1 MiB comes back by TCP" \
	    comes_back nc -N 127.0.0.1 "$port"
	with nc "nc: 1 MiB comes back by a local socket" \
	    comes_back nc -N -U "$sock"
	claim "echo: SIGTERM ends it with status 0" ends "$pid"
}

head -c 2000000 /dev/urandom >"$scratch/body"
head -c 1048576 /dev/urandom >"$scratch/random"
before=$failed
claim "codec starts on TCP and a local socket" serves codec
[ "$before" -ne "$failed" ] || codec_checks
before=$failed
claim "echo starts on TCP and a local socket" serves echo
[ "$before" -ne "$failed" ] || echo_checks
[ $failed -eq 0 ]
