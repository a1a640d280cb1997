#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# scan.sh [--all] - hello-tls, files-tls and proxy-tls, judged by the scanners
# of other people: sslscan, and with --all (`make scan-tls`) also testssl.sh,
# which takes minutes. LIMIT: seconds that it may take (3600).
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
LIMIT=${LIMIT:-3600}
shown=("$scratch/server" "$scratch/weak" "$scratch/answer")
programs="hello-tls files-tls proxy-tls"
declare -A ports scans

# What a client may agree on with torc, and nothing else.
suites="
	TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256
	TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384
	TLSv1.2 ECDHE-ECDSA-CHACHA20-POLY1305
	TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256
	TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384
	TLSv1.2 ECDHE-RSA-CHACHA20-POLY1305
	TLSv1.3 TLS_AES_128_GCM_SHA256
	TLSv1.3 TLS_AES_256_GCM_SHA384
	TLSv1.3 TLS_CHACHA20_POLY1305_SHA256"

# ---- Servers ----

# signs NAME OPTION...: a key, and a certificate of the test's own CA.
signs() {
	openssl req "${@:2}" -nodes -subj /CN=localhost \
	    -keyout "$scratch/$1.key" -out "$scratch/$1.csr" &&
	    openssl x509 -req -in "$scratch/$1.csr" -days 90 \
	    -CA "$scratch/ca.pem" -CAkey "$scratch/ca.key" \
	    -set_serial "0x$(openssl rand -hex 16)" \
	    -extfile "$scratch/extensions" -out "$scratch/$1.pem"
}

issues() {
	cat >"$scratch/extensions" <<-END
		subjectAltName = DNS:localhost, IP:127.0.0.1
		basicConstraints = CA:false
		keyUsage = digitalSignature
		extendedKeyUsage = serverAuth
	END
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -subj "/CN=CA of a test" -days 365 -keyout "$scratch/ca.key" \
	    -out "$scratch/ca.pem" &&
	    signs ec -newkey ec -pkeyopt ec_paramgen_curve:P-256 &&
	    signs rsa -newkey rsa:2048
}

serves() {	# serves PROGRAM: in TLS, and clear text beside it
	fresh_port && local clear=$port
	fresh_port && ports[$1]=$port
	starts server env "FILES_ROOT=$scratch/root" \
	    "PROXY_ORIGIN=127.0.0.1:${origin:-1}" "$B/bin/$1" -r 1 \
	    -l "127.0.0.1:$clear" -l "tls:127.0.0.1:$port" \
	    --cert "$scratch/ec.pem" --key "$scratch/ec.key" \
	    --cert "$scratch/rsa.pem" --key "$scratch/rsa.key" || return 1
	origin=${origin:-$clear}
}

# Old versions, a suite that encrypts nothing, and renegotiation: what the
# scanners are there to find.
weak_serves() {
	fresh_port && ports[weak]=$port
	begins weak openssl s_server -accept "127.0.0.1:$port" -www \
	    -cert "$scratch/rsa.pem" -key "$scratch/rsa.key" -no_tls1_3 \
	    -cipher ECDHE-RSA-AES128-GCM-SHA256:NULL-SHA:@SECLEVEL=0 \
	    -client_renegotiation
	until_it 200 listens "$port"
}

# ---- sslscan ----

looks() {	# looks PROGRAM: with sslscan, into $scratch/xml
	timeout 60 sslscan --no-colour --sni-name=localhost \
	    --xml="$scratch/xml" "127.0.0.1:${ports[$1]}" &&
	    grep -q '</ssltest>' "$scratch/xml"
}

says() {	# says TEXT: a line of what sslscan found, as a pattern
	grep -q "$1" "$scratch/xml"
}

versions_are() {	# versions_are NUMBER...: those of TLS, and no SSL
	[ "$(sed -n 's/.*<protocol type="\(.*\)" version="\(.*\)" enabled="1".*/\1 \2/p' \
	    "$scratch/xml")" = "$(printf 'tls %s\n' "$@")" ]
}

suites_are_those() {
	diff <(sed -n 's/.*<cipher .* sslversion="\([^"]*\)".* cipher="\([^"]*\)".*/\1 \2/p' \
	    "$scratch/xml" | sort) <(sed '/./!d; s/^\t*//' <<<"$suites")
}

no_fault() {
	! says '<compression supported="1"' &&
	    says '<heartbleed .*vulnerable="0"' &&
	    ! says '<heartbleed .*vulnerable="1"'
}

is_sound() {
	looks "$1" && versions_are 1.2 1.3 && suites_are_those && no_fault
}

weak_is_told() {
	looks weak && versions_are 1.0 1.1 1.2 && ! suites_are_those
}

# sslscan tries to renegotiate with TLS 1.0 and 1.1 alone: s_client does with
# TLS 1.2. What it has heard since it asked:
heard() {
	sed '1,/^RENEGOTIATING/d' "$scratch/answer" | grep -q "$1"
}

# renegotiates PROGRAM TEXT: a client that asks for it hears this.
renegotiates() {
	: >"$scratch/answer"
	{
		until_it 200 grep -q 'Verify return code: 0' "$scratch/answer"
		echo R
		until_it 200 heard "$2"
	} | timeout 30 openssl s_client -connect "127.0.0.1:${ports[$1]}" \
	    -CAfile "$scratch/ca.pem" -tls1_2 >"$scratch/answer" 2>&1
	heard "$2"
}

# ---- testssl.sh ----

# What it may say, and why. The ID is without the number of a certificate.
allowed() {
	sed 's/\t.*//' <<-END
		cert_revocation	the CA of the test publishes no list, and has no OCSP
		engine_problem	of the scanner: its OpenSSL has no engine of GOST
		security_headers	of pages, for a browser: they are the program's
		sessionresumption_ticket	it leaves before TLS 1.3 has its ticket; tools.sh
	END
}

# What was looked at with success: other lines may be missing.
sound="SSLv2 SSLv3 TLS1_2 TLS1_3 cipherlist_NULL cipherlist_aNULL
	cipherlist_EXPORT cipherlist_LOW cipherlist_STRONG PFS cipher_order
	cert_trust cert_chain_of_trust cert_expirationStatus heartbleed CCS
	ticketbleed ROBOT secure_renego secure_client_renego CRIME_TLS BREACH
	POODLE_SSL fallback_SCSV SWEET32 FREAK DROWN LOGJAM BEAST LUCKY13 RC4"

# scan_begins NAME OPTION...: which sections; lists of suites and simulated
# clients have nothing to judge.
scan_begins() {
	mkdir "$scratch/$1.tmp" &&
	    begins "$1.log" env "TMPDIR=$scratch/$1.tmp" timeout "$LIMIT" \
	    testssl --quiet --color 0 --warnings off --nodns none \
	    --ip 127.0.0.1 --add-ca "$scratch/ca.pem" \
	    --csvfile "$scratch/$1.csv" "${@:2}" "localhost:${ports[$1]}"
	scans[$1]=$pid
}

scans_begin() {
	local program
	scan_begins weak -R
	for program in $programs; do
		scan_begins "$program" -p -s -f -P -S -h -U
	done
}

# Its status counts findings, too: 245 and more are faults of its own.
# A scan that has ended says so in its last line.
scan_ends() {
	local status=0
	await "${scans[$1]}" $((LIMIT * 20 + 200)) || status=$?
	[ $status -ne 124 ] && [ $status -lt 245 ] &&
	    grep -q '^ Done ' "$scratch/$1.log"
}

# findings NAME: ID and severity of those that are not to be.
findings() {
	awk -F '","' 'NR == FNR { allowed[$1] = 1; next }
		{ id = substr($1, 2); sub(/ <.*/, "", id) }
		$4 ~ /^(MEDIUM|HIGH|CRITICAL|WARN|FATAL)$/ &&
		    !(id in allowed) { print id, $4 }' \
	    <(allowed) "$scratch/$1.csv"
}

testssl_finds_what_is_weak() {
	findings weak >"$scratch/answer"
	grep -q '^secure_client_renego ' "$scratch/answer"
}

no_finding() {
	local id
	for id in $sound; do
		grep -q "^\"${id}[ \"].*,\"OK\"," "$scratch/$1.csv" ||
		    echo "$id is not OK"
	done >"$scratch/answer"
	findings "$1" >>"$scratch/answer"
	[ ! -s "$scratch/answer" ]
}

tallies() {
	awk -F '","' 'NR > 1 { count[$4]++ } END {
		for (level in count) printf "%s %d  ", level, count[level]
		print "" }' "$scratch/$1.csv"
}

needs openssl sslscan
claim "certificates are made" issues
mkdir "$scratch/root" && echo text >"$scratch/root/index.html"
for program in $programs; do
	claim "$program starts" serves "$program"
done
claim "a weak server starts" weak_serves
[ $failed -eq 0 ] || exit 1
claim "sslscan finds what is weak" weak_is_told
claim "a weak server renegotiates" renegotiates weak depth=0
for program in $programs; do
	claim "sslscan finds nothing weak in $program" is_sound "$program"
	claim "it does not renegotiate" renegotiates "$program" \
	    "no renegotiation"
done
[ "${1:-}" = --all ] || exit $((failed > 0))

needs testssl
claim "testssl.sh begins" scans_begin
claim "it has scanned a weak server" scan_ends weak
claim "it finds what is weak" testssl_finds_what_is_weak
for program in $programs; do
	claim "testssl.sh has scanned $program" scan_ends "$program"
	claim "it finds nothing above LOW" no_finding "$program"
	tallies "$program"
done
[ $failed -eq 0 ]
