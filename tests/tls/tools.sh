#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# tools.sh - clients of other people, and nginx in front, over TLS: each gets
# its answer from a server that also serves clear text.
#
# CC compiles the server. A tool that is not installed is a line "SKIP: why".
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
CC=${CC:-cc}
shown=("$scratch/serve" "$scratch/answer")

compiles() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -subj /CN=localhost -days 2 \
	    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
	    -keyout "$scratch/key" -out "$scratch/pem" &&
	    "$CC" -std=c11 -Wall -Wextra -Werror -I"$B/include" \
	    -o "$scratch/program" tests/tls/serve.c \
	    "$B/lib/libtorc-tls.a" "$B/lib/libtorc-http.a" \
	    "$B/lib/libtorc.a" -lssl -lcrypto -pthread
}

serves() {
	begins serve "$scratch/program" "$scratch/pem" "$scratch/key" \
	    "127.0.0.1:$secure" "127.0.0.1:$clear"
	until_it 200 listens "$secure" && until_it 200 listens "$clear"
}

# answers TEXT COMMAND...: its output has a line of this text.
answers() {
	local text=$1
	shift
	timeout 15 "$@" >"$scratch/answer" 2>&1 </dev/null
	tr -d '\r' <"$scratch/answer" | grep -qxF -- "$text"
}

url() {
	echo "https://localhost:$secure$1"
}

curls() {	# curls OPTION...
	answers hello curl -sS --cacert "$scratch/pem" "$@" "$(url /)"
}

# One connection for all.
curl_keeps() {
	yes "$(url /tls)" | head -n 20 | xargs curl -sS --cacert "$scratch/pem" -v >"$scratch/answer" 2>&1
	[ "$(grep -c '^304 http/1.1' "$scratch/answer")" -eq 20 ] &&
	    [ "$(grep -c 'SSL connection using' "$scratch/answer")" -eq 1 ]
}

# asks_with COMMAND...: it passes its input on to the server. It stays until
# the server has ended the connection.
asks_with() {
	printf 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' |
	    timeout 15 "$@" >"$scratch/answer" 2>&1
	tr -d '\r' <"$scratch/answer" | grep -qxF hello
}

s_client() {	# s_client OPTION...
	asks_with openssl s_client -connect "localhost:$secure" \
	    -CAfile "$scratch/pem" -verify_return_error -ign_eof "$@"
}

s_client_resumes() {
	s_client -sess_out "$scratch/session" "$@" &&
	    s_client -sess_in "$scratch/session" "$@" &&
	    grep -q '^Reused, ' "$scratch/answer"
}

gnutls() {	# gnutls OPTION...
	asks_with gnutls-cli --x509cafile "$scratch/pem" -p "$secure" \
	    "$@" localhost
}

loads() {
	timeout 15 wrk -t 1 -c 16 -d 1 "$(url /)" >"$scratch/answer" 2>&1 &&
	    ! grep -E 'Socket errors|Non-2xx' "$scratch/answer" &&
	    grep -Eq '^ +[1-9][0-9]* requests in' "$scratch/answer"
}

in_python() {
	cat >"$scratch/ask.py" <<-'END'
		import http.client, ssl, sys
		context = ssl.create_default_context(cafile=sys.argv[2])
		client = http.client.HTTPSConnection('localhost',
		    int(sys.argv[1]), context=context, timeout=10)
		for i in range(3):
		    client.request('GET', '/')
		    answer = client.getresponse()
		    print(answer.status, answer.read().decode().strip(),
		        client.sock.version())
		client.close()
	END
	answers "200 hello TLSv1.3" python3 "$scratch/ask.py" "$secure" \
	    "$scratch/pem"
}

nginx_starts() {
	cat >"$scratch/nginx.conf" <<-END
		daemon off;
		master_process off;
		pid $scratch/nginx.pid;
		error_log $scratch/nginx.log;
		events { }
		http {
			access_log off;
			client_body_temp_path $scratch/body;
			proxy_temp_path $scratch/proxied;
			fastcgi_temp_path $scratch/fastcgi;
			uwsgi_temp_path $scratch/uwsgi;
			scgi_temp_path $scratch/scgi;
			upstream torc { server 127.0.0.1:$secure; keepalive 4; }
			server {
				listen 127.0.0.1:$front;
				location / {
					proxy_pass https://torc;
					proxy_http_version 1.1;
					proxy_set_header Connection "";
					proxy_ssl_verify on;
					proxy_ssl_name localhost;
					proxy_ssl_trusted_certificate $scratch/pem;
				}
			}
		}
	END
	begins nginx nginx -c "$scratch/nginx.conf" -p "$scratch" \
	    -e "$scratch/nginx.log"
	until_it 200 listens "$front"
}

behind_nginx() {
	nginx_starts || { cat "$scratch/nginx"; return 1; }
	answers hello curl -sS "http://127.0.0.1:$front/" &&
	    answers hello curl -sS "http://127.0.0.1:$front/?again"
}

needs openssl curl
fresh_port && secure=$port
fresh_port && clear=$port
fresh_port && front=$port
claim "a program with TLS is compiled" compiles
claim "it listens" serves
[ $failed -eq 0 ] || exit 1
claim "curl is answered" curls
claim "curl is answered in TLS 1.2" curls --tls-max 1.2
claim "curl keeps its connection" curl_keeps
claim "clear text is answered beside it" answers hello \
    curl -sS "http://127.0.0.1:$clear/"
claim "clear text on the port of TLS is told so" answers \
    "This port speaks TLS: use https:// here." \
    curl -sS "http://127.0.0.1:$secure/"
claim "openssl s_client is answered in TLS 1.3" s_client -tls1_3
claim "openssl s_client is answered in TLS 1.2" s_client -tls1_2
claim "openssl s_client resumes a session of TLS 1.3" s_client_resumes -tls1_3
claim "openssl s_client resumes a session of TLS 1.2" s_client_resumes -tls1_2
with gnutls-cli "gnutls-cli is answered" gnutls
with gnutls-cli "gnutls-cli is answered in TLS 1.2" gnutls \
    --priority NORMAL:-VERS-ALL:+VERS-TLS1.2
with wrk "wrk has all of its answers" loads
with python3 "Python is answered" in_python
with nginx "nginx in front is answered" behind_nginx
claim "it ends when it is told to" ends "${children[0]}"
[ $failed -eq 0 ]
