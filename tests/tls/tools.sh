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

issues() {	# issues KEY CERTIFICATE
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -subj /CN=localhost -days 2 \
	    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
	    -keyout "$1" -out "$2"
}

compiles() {
	issues "$scratch/key" "$scratch/pem" &&
	    issues "$scratch/unused" "$scratch/other" &&
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
	answers hello curl -sS --cacert "$ca" "$@" "$(url /)"
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
	    -CAfile "$ca" -verify_return_error -ign_eof "$@"
}

s_client_resumes() {	# s_client_resumes OPTION VERSION
	s_client -sess_out "$scratch/session" "$1" &&
	    grep -q "^New, $2," "$scratch/answer" &&
	    s_client -sess_in "$scratch/session" "$1" &&
	    grep -q "^Reused, $2," "$scratch/answer"
}

# Versions that it speaks itself only if it is asked to.
is_too_old() {
	! s_client "$1" -cipher ALL:@SECLEVEL=0 &&
	    grep -q 'alert protocol version' "$scratch/answer"
}

gnutls() {	# gnutls OPTION...
	asks_with gnutls-cli --x509cafile "$ca" -p "$secure" \
	    "$@" localhost
}

# It asks on the second of its two connections.
gnutls_resumes() {
	gnutls --resume "$@" &&
	    grep -q 'This is a resumed session' "$scratch/answer"
}

loads() {
	timeout 15 wrk -t 1 -c 16 -d 1 "$(url /)" >"$scratch/answer" 2>&1 &&
	    ! grep -E 'Socket errors|Non-2xx' "$scratch/answer" &&
	    grep -Eq '^ +[1-9][0-9]* requests in' "$scratch/answer"
}

loads_h2load() {
	timeout 15 h2load --h1 -n 2000 -c 16 "$(url /)" \
	    >"$scratch/answer" 2>&1 &&
	    grep -q 'status codes: 2000 2xx' "$scratch/answer" &&
	    grep -q '^TLS Protocol: TLSv1.3' "$scratch/answer" &&
	    grep -q '^Application protocol: http/1.1' "$scratch/answer"
}

# Twice on one connection, and once on another one, with its session.
in_node() {
	cat >"$scratch/ask.js" <<-'END'
		const https = require('https'), fs = require('fs');
		const [port, ca] = process.argv.slice(2);
		const agent = new https.Agent({ keepAlive: true,
		    maxSockets: 1, ca: fs.readFileSync(ca) });
		const ask = (name, next) => https.get({ agent, port,
		    host: '127.0.0.1', servername: 'localhost' }, (answer) => {
			const socket = answer.socket;
			let text = '';
			answer.on('data', (bytes) => { text += bytes; });
			answer.on('end', () => {
				console.log(name, answer.statusCode,
				    text.trim(), socket.getProtocol(),
				    socket.isSessionReused());
				setImmediate(next, socket);
			});
		}).on('error', (error) => console.log(error.code));
		ask('first', (one) => ask('kept', (same) => {
			console.log(one === same ? 'same' : 'another');
			same.once('close', () => ask('new', () =>
			    agent.destroy()));
			same.destroy();
		}));
	END
	answers "new 200 hello TLSv1.3 true" node "$scratch/ask.js" \
	    "$secure" "$ca" && grep -qx same "$scratch/answer" &&
	    grep -qx "first 200 hello TLSv1.3 false" "$scratch/answer"
}

in_python() {
	cat >"$scratch/ask.py" <<-'END'
		import http.client, socket, ssl, sys
		context = ssl.create_default_context(cafile=sys.argv[2])
		client = http.client.HTTPSConnection('localhost',
		    int(sys.argv[1]), context=context, timeout=10)
		for i in range(3):
		    client.request('GET', '/')
		    answer = client.getresponse()
		    print(answer.status, answer.read().decode().strip(),
		        client.sock.version())
		session = client.sock.session
		client.close()
		with socket.create_connection(('localhost',
		    int(sys.argv[1])), 10) as plain:
		    with context.wrap_socket(plain, session=session,
		        server_hostname='localhost') as again:
		        print('resumed', again.session_reused)
	END
	answers "200 hello TLSv1.3" python3 "$scratch/ask.py" "$secure" \
	    "$ca" && grep -qx 'resumed True' "$scratch/answer"
}

# Connections and sessions of an upstream are shared by all locations: those
# that are to fail have none.
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
				location /distrusted {
					proxy_pass https://127.0.0.1:$secure;
					proxy_ssl_session_reuse off;
					proxy_ssl_verify on;
					proxy_ssl_name localhost;
					proxy_ssl_trusted_certificate $scratch/other;
				}
				location /misnamed {
					proxy_pass https://127.0.0.1:$secure;
					proxy_ssl_session_reuse off;
					proxy_ssl_verify on;
					proxy_ssl_name other.test;
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

nginx_verifies() {
	local place
	for place in distrusted misnamed; do
		answers 502 curl -sS -o "$scratch/page" -w '%{http_code}\n' \
		    "http://127.0.0.1:$front/$place" || return 1
	done
	grep -q 'certificate verify error' "$scratch/nginx.log" &&
	    grep -q 'does not match "other.test"' "$scratch/nginx.log"
}

# distrusts WORDS COMMAND...: given another certificate of the same name, it
# says so, and gets no answer.
distrusts() {
	local ca=$scratch/other
	! "${@:2}" && grep -q "$1" "$scratch/answer" &&
	    ! grep -q hello "$scratch/answer"
}

needs openssl curl
ca=$scratch/pem
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
claim "openssl s_client resumes a session of TLS 1.3" \
    s_client_resumes -tls1_3 TLSv1.3
claim "openssl s_client resumes a session of TLS 1.2" \
    s_client_resumes -tls1_2 TLSv1.2
claim "openssl s_client is refused in TLS 1.1" is_too_old -tls1_1
claim "openssl s_client is refused in TLS 1.0" is_too_old -tls1
with gnutls-cli "gnutls-cli is answered" gnutls
with gnutls-cli "gnutls-cli is answered in TLS 1.2" gnutls \
    --priority NORMAL:-VERS-ALL:+VERS-TLS1.2
with gnutls-cli "gnutls-cli resumes a session of TLS 1.3" gnutls_resumes
with gnutls-cli "gnutls-cli resumes a session of TLS 1.2" gnutls_resumes \
    --priority NORMAL:-VERS-ALL:+VERS-TLS1.2
with wrk "wrk has all of its answers" loads
with h2load "h2load has all of its answers" loads_h2load
with python3 "Python is answered, and resumes its session" in_python
with node "Node is answered, keeps its connection, and resumes" in_node
with nginx "nginx in front is answered" behind_nginx
with nginx "nginx in front verifies the certificate, and its name" \
    nginx_verifies
claim "curl distrusts another certificate" distrusts \
    'SSL certificate problem' curls
claim "openssl s_client distrusts it" distrusts 'verify error' s_client
with gnutls-cli "gnutls-cli distrusts it" distrusts 'NOT trusted' gnutls
with python3 "Python distrusts it" distrusts CERTIFICATE_VERIFY_FAILED \
    in_python
with node "Node distrusts it" distrusts SELF_SIGNED in_node
claim "it ends when it is told to" ends "${children[0]}"
[ $failed -eq 0 ]
