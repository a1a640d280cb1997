#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# static.sh - the static programs with TLS (`make static TLS=1`, in
# build-static/) where there is nothing but themselves and their certificates.
#
# Needs openssl and curl, and root or user namespaces for the empty root.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
bin=build-static/bin
root=$scratch/root
shown=("$scratch/server" "$scratch/proxy" "$scratch/out")

nothing() {	# nothing WHY: there is nothing to show
	echo "SKIP: $1"
	echo "ok nothing to show without it"
	exit 0
}

needs openssl curl
[ -x $bin/hello-tls ] ||
    nothing "no $bin/hello-tls: make check-static-tls builds it"
enter=(chroot)
[ "$(id -u)" -eq 0 ] || enter=(unshare --map-root-user chroot)
mkdir "$root"
"${enter[@]}" "$root" /none 2>/dev/null
[ $? -ne 127 ] && nothing "an empty root needs root or user namespaces"

issue() {	# issue NAME KIND...: and its key
	openssl req -x509 "${@:2}" -nodes -subj "/CN=$1" -days 2 \
	    -addext subjectAltName=DNS:first.test,IP:127.0.0.1 \
	    -keyout "$root/$1.key" -out "$root/$1.pem" 2>&1
}

issues() {
	issue ec -newkey ec -pkeyopt ec_paramgen_curve:P-256 &&
	    issue rsa -newkey rsa:2048 &&
	    cp $bin/hello-tls $bin/files-tls $bin/proxy-tls "$root"
}

# They need no loader, and the root has no more files than it was given.
alone() {
	local name
	for name in hello files proxy; do
		! readelf -l "$root/$name-tls" | grep -q INTERP || return 1
		name=$(wc -c <"$root/$name-tls") && echo "$name bytes"
	done
	[ "$(find "$root" -mindepth 1 | wc -l)" -eq 7 ]
}

own=(--cert /ec.pem --key /ec.key --cert /rsa.pem --key /rsa.key)

# serves NAME OPTION...: in there, with TLS on $secure.
serves() {
	fresh_port && secure=$port
	starts server env -u SSL_CERT_FILE FILES_ROOT=/ \
	    "${enter[@]}" "$root" "/$1" -r 1 -l "tls:127.0.0.1:$secure" \
	    "${own[@]}" "${@:2}" && server=$pid
}

# gets TEXT PATH OPTION...: by TLS
gets() {
	curl -sS -m 20 --cacert "$root/ec.pem" "${@:3}" --resolve \
	    "first.test:$secure:127.0.0.1" "https://first.test:$secure$2" \
	    >"$scratch/out" 2>&1
	grep -qxF -- "$1" "$scratch/out"
}

# agrees TEXT... -- OPTION...: s_client does on all of these.
agrees() {
	local text texts=()
	while [ "$1" != -- ]; do
		texts+=("$1")
		shift
	done
	timeout 20 openssl s_client -connect "127.0.0.1:$secure" "${@:2}" \
	    </dev/null >"$scratch/out" 2>&1
	for text in "${texts[@]}"; do
		grep -qF -- "$text" "$scratch/out" || return 1
	done
}

both_kinds() {
	agrees "subject=CN = ec" TLSv1.3 TLS_AES_128_GCM_SHA256 -- -tls1_3 \
	    -ciphersuites TLS_AES_128_GCM_SHA256 &&
	    agrees "subject=CN = rsa" TLSv1.3 -- -sigalgs rsa_pss_rsae_sha256 &&
	    agrees TLSv1.3 TLS_CHACHA20_POLY1305_SHA256 -- -ciphersuites \
	    TLS_CHACHA20_POLY1305_SHA256
}

no_older() {
	! agrees "Cipher is ECDHE" -- -tls1_1 -cipher ALL@SECLEVEL=0 &&
	    agrees "Cipher is ECDHE" -- -tls1_2 -cipher ALL@SECLEVEL=0
}

is_resumed() {
	rm -f "$scratch/session"
	printf 'GET / HTTP/1.0\r\n\r\n' | timeout 20 openssl s_client \
	    -connect "127.0.0.1:$secure" -sess_out "$scratch/session" \
	    -ign_eof >"$scratch/out" 2>&1
	agrees "Reused, TLSv1.3" -- -sess_in "$scratch/session"
}

reads_again() {
	cp "$root/rsa.pem" "$root/ec.pem"
	kill -HUP "$server" && until_it 200 grep -q \
	    "stay as they were: .*/ec.key" "$scratch/server" &&
	    agrees "subject=CN = ec" --
}

refuses() {	# refuses TEXT OPTION...: proxy-tls does not begin
	local status=0
	timeout 20 env -u SSL_CERT_FILE \
	    "PROXY_ORIGIN=https://127.0.0.1:$secure" \
	    "${enter[@]}" "$root" /proxy-tls -l 127.0.0.1:1 "${@:2}" \
	    >"$scratch/out" 2>&1 || status=$?
	[ $status -eq 1 ] && [ "$(wc -l <"$scratch/out")" -eq 1 ] &&
	    grep -qF -- "$1" "$scratch/out"
}

passes_on() {	# passes_on STATUS OPTION...: to the server above
	fresh_port
	starts proxy env -u SSL_CERT_FILE \
	    "PROXY_ORIGIN=https://127.0.0.1:$secure" \
	    "${enter[@]}" "$root" /proxy-tls -r 1 -l "127.0.0.1:$port" \
	    "${@:2}" && [ "$(curl -sS -m 20 -o "$scratch/out" \
	    -w '%{http_code}' "http://127.0.0.1:$port/")" = "$1" ] &&
	    ends "$pid"
}

names_openssl() {
	"${enter[@]}" "$root" /hello-tls --version | sed -n 2p |
	    grep "^OpenSSL 3\.[0-9.]* "
}

claim "certificates are made" issues
[ $failed -eq 0 ] || exit 1
claim "the programs and their certificates are all there is" alone
claim "hello-tls says which OpenSSL it has inside" names_openssl
claim "hello-tls starts there" serves hello-tls
claim "it serves TLS 1.3" gets hello / --tlsv1.3
claim "it serves TLS 1.2" gets hello / --tls-max 1.2
claim "each client gets the kind of key that it can use" both_kinds
claim "it has no older version" no_older
claim "sessions are resumed" is_resumed
claim "an origin of https needs certificates, and it says where it looked" \
    refuses "the system has no certificates to verify others with: there is \
no /etc/ssl/certs/ca-certificates.crt,"
claim "with a file of them proxy-tls asks such an origin" \
    passes_on 200 --ca /ec.pem
claim "and none that they have not signed" passes_on 502 --ca /rsa.pem
claim "files that do not fit leave the old ones in use" reads_again
claim "hello-tls drains" ends "$server"
issue ec -newkey ec -pkeyopt ec_paramgen_curve:P-256 >/dev/null
echo text >"$root/a.txt"
claim "files-tls starts there" serves files-tls
claim "it serves files" gets text /a.txt
claim "it drains" ends "$server"
[ $failed -eq 0 ]
