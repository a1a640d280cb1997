#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# origin.sh - proxy-tls in front of nginx that speaks TLS: it is verified, asked
# again and again on few connections, and resumed.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
shown=("$scratch/proxy" "$scratch/answer" "$scratch/nginx" "$scratch/nginx.log")

makes_certificates() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -subj /CN=origin -days 2 -addext "subjectAltName=DNS:localhost" \
	    -keyout "$scratch/origin.key" -out "$scratch/origin.pem" &&
	    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
	    -nodes -subj /CN=other -days 2 -keyout "$scratch/other.key" \
	    -out "$scratch/other.pem"
}

# A connection ends after 50 requests, so there are several.
nginx_starts() {
	mkdir "$scratch/root" &&
	    head -c 1000000 /dev/urandom >"$scratch/root/large" &&
	    echo hello >"$scratch/root/index.html"
	cat >"$scratch/nginx.conf" <<-END
		daemon off;
		master_process off;
		pid $scratch/nginx.pid;
		error_log $scratch/nginx.log;
		events { }
		http {
			log_format tls '\$ssl_protocol \$ssl_session_reused \$connection_requests \$ssl_server_name';
			access_log $scratch/access tls;
			client_body_temp_path $scratch/body;
			proxy_temp_path $scratch/proxied;
			fastcgi_temp_path $scratch/fastcgi;
			uwsgi_temp_path $scratch/uwsgi;
			scgi_temp_path $scratch/scgi;
			server {
				listen 127.0.0.1:$secure ssl;
				server_name localhost;
				ssl_certificate $scratch/origin.pem;
				ssl_certificate_key $scratch/origin.key;
				ssl_session_cache builtin:1000;
				ssl_protocols TLSv1.2 TLSv1.3;
				keepalive_requests 50;
				root $scratch/root;
				location /to-the-end {
					keepalive_timeout 0;
					default_type text/plain;
					return 200 "the end";
				}
			}
		}
	END
	begins nginx nginx -c "$scratch/nginx.conf" -p "$scratch" \
	    -e "$scratch/nginx.log"
	until_it 200 listens "$secure" || { cat "$scratch/nginx"; return 1; }
}

# serves URL OPTION...: a proxy with one reactor.
serves() {
	fresh_port && front=$port
	starts proxy env "PROXY_ORIGIN=$1" "SSL_CERT_FILE=${system:-}" \
	    "$B/bin/proxy-tls" -r 1 -l "127.0.0.1:$front" "${@:2}" &&
	    proxy=$pid
}

# answers STATUS PATH: that status, and the body in $scratch/answer.
answers() {
	[ "$(curl -sS -m 20 -o "$scratch/answer" -w '%{http_code}' \
	    "http://127.0.0.1:$front$2")" = "$1" ]
}

passes_on() {
	answers 200 / && grep -qx hello "$scratch/answer" &&
	    answers 200 /large && cmp "$scratch/answer" "$scratch/root/large" &&
	    answers 200 /to-the-end && grep -qx "the end" "$scratch/answer"
}

# 300 requests, one after the other.
keeps_few_connections() {
	: >"$scratch/access"
	yes "http://127.0.0.1:$front/" | head -n 300 |
	    xargs curl -sS -m 60 >"$scratch/answer" 2>&1
	[ "$(grep -cx hello "$scratch/answer")" -eq 300 ] &&
	    [ "$(grep -c '^TLSv1.3 [r.] [0-9]* localhost$' \
	    "$scratch/access")" -eq 300 ] &&
	    [ "$(grep -c ' 1 localhost$' "$scratch/access")" -le 8 ] &&
	    ! grep -q 'TLSv1.3 \. 1 localhost$' "$scratch/access"
}

refuses() {
	answers 502 / && ends "$proxy"
}

stays() {
	answers 200 / && ends "$proxy"
}

# The file of those who are trusted changes: a signal later it holds.
reads_again() {
	cp "$scratch/other.pem" "$scratch/ca.pem" &&
	    serves "https://localhost:$secure" --ca "$scratch/ca.pem" &&
	    answers 502 / && cp "$scratch/origin.pem" "$scratch/ca.pem" &&
	    kill -HUP "$proxy" &&
	    until_it 100 grep -q 'were read again' "$scratch/proxy" &&
	    until_it 100 answers 200 / &&
	    echo nonsense >"$scratch/ca.pem" && kill -HUP "$proxy" &&
	    until_it 100 grep -q 'stay as they were: ca ' "$scratch/proxy" &&
	    answers 200 / && ends "$proxy"
}

# says STATUS TEXT COMMAND...: it ends at once with these.
says() {
	local status=0
	timeout 20 "${@:3}" >"$scratch/answer" 2>&1 || status=$?
	[ "$status" -eq "$1" ] && grep -qF -- "$2" "$scratch/answer"
}

needs openssl curl nginx
fresh_port && secure=$port
claim "certificates are made" makes_certificates
claim "nginx serves TLS" nginx_starts
url=https://localhost:$secure
claim "a proxy begins with an origin of https" serves "$url" \
    --ca "$scratch/origin.pem"
claim "bodies are passed on, with a length and without" passes_on
claim "many requests share few connections, whose sessions are resumed" \
    keeps_few_connections
claim "the proxy ends in order" stays
claim "it begins with an origin that nobody trusted has signed" \
    serves "$url" --ca "$scratch/other.pem"
claim "such an origin is not asked" refuses
claim "it begins with an origin of another name" \
    serves "https://127.0.0.1:$secure" --ca "$scratch/origin.pem"
claim "such an origin is not asked, either" refuses
system=$scratch/origin.pem
claim "it begins with the certificates of the system" serves "$url"
claim "these are trusted without an option" stays
system=
claim "a signal reads the file of those who are trusted" reads_again
claim "a proxy without TLS refuses such an origin" says 64 \
    "does not have; proxy-tls has" env "PROXY_ORIGIN=$url" "$B/bin/proxy"
claim "a file that is not there is named" says 1 \
    "ca $scratch/none: No such file" env "PROXY_ORIGIN=$url" \
    "$B/bin/proxy-tls" --ca "$scratch/none"
claim "an origin in clear text has no use for it" says 64 \
    "--ca is for an origin" env "PROXY_ORIGIN=localhost:$secure" \
    "$B/bin/proxy-tls" --ca "$scratch/origin.pem"
exit $((failed > 0))
