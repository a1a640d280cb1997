#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# programs.sh - the examples that are built with TLS, as their users meet them:
# options, hosts, kinds of keys, clients that must say who they are, and files
# that are replaced while they serve.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
out=$scratch/out
shown=("$scratch/server" "$out")

# ---- Certificates ----

# issue NAME KIND HOSTS: $scratch/NAME.pem and NAME.key, signed by themselves.
issue() {
	local kind=(-newkey ec -pkeyopt ec_paramgen_curve:P-256)
	[ "$2" = ec ] || kind=(-newkey rsa:2048)
	openssl req -x509 "${kind[@]}" -nodes -subj "/CN=$1" -days 2 \
	    ${3:+-addext "subjectAltName=$3"} \
	    -keyout "$scratch/$1.key" -out "$scratch/$1.pem" 2>&1
}

issues() {
	issue first ec DNS:first.test,IP:127.0.0.1 &&
	    issue rsa rsa DNS:FIRST.test && issue second ec \
	    DNS:second.test,DNS:*.second.test && issue later ec \
	    DNS:first.test,DNS:later.test && issue client ec "" &&
	    cat "$scratch/second.pem" "$scratch/second.key" \
	    >"$scratch/second.both"
}

# ---- The programs ----

serves() {	# serves PROGRAM OPTION...: and clear text beside it
	fresh_port && clear=$port
	fresh_port && secure=$port
	starts server env "FILES_ROOT=$scratch" \
	    "PROXY_ORIGIN=127.0.0.1:${origin:-1}" "$B/bin/$1" -r 1 \
	    -l "127.0.0.1:$clear" -l "tls:127.0.0.1:$secure" "${@:2}" &&
	    server=$pid && grep -q "ready on 127.0.0.1:$clear \
tls:127.0.0.1:$secure" "$scratch/server"
}

first=(--cert "$scratch/first.pem" --key "$scratch/first.key")
rsa=(--cert "$scratch/rsa.pem" --key "$scratch/rsa.key")

# gets PATH TEXT OPTION...: by TLS
gets() {
	curl -sS -m 20 --cacert "$scratch/first.pem" "${@:3}" --resolve \
	    "first.test:$secure:127.0.0.1" "https://first.test:$secure$1" \
	    >"$out" 2>&1
	grep -qxF -- "$2" "$out"
}

both_are_served() {
	gets "$1" "$2" &&
	    [ "$(curl -sS -m 20 "http://127.0.0.1:$clear$1")" = "$2" ]
}

# shows NAME OPTION...: s_client is shown this certificate.
shows() {
	timeout 15 openssl s_client -connect "127.0.0.1:$secure" "${@:2}" \
	    </dev/null >"$out" 2>&1
	grep -q "^subject=CN = $1$" "$out"
}

hosts_are_those_of_certificates() {
	shows second -servername second.test &&
	    shows second -servername any.SECOND.test &&
	    shows first -servername first.test &&
	    shows first -servername a.b.second.test && shows first -noservername
}

kinds_go_to_those_that_can() {
	local name
	for name in "-servername first.test" -noservername; do
		# shellcheck disable=SC2086
		shows first $name && shows rsa $name -sigalgs \
		    rsa_pss_rsae_sha256 && shows rsa $name -tls1_2 -cipher \
		    ECDHE-RSA-AES128-GCM-SHA256 || return 1
	done
}

# ---- Files that are replaced ----

places() {	# places NAME: what `first` is from now on
	cp "$scratch/$1.pem" "$scratch/now.pem" &&
	    cp "$scratch/$1.key" "$scratch/now.key"
}

# told TEXT: after a SIGHUP, which it outlives.
told() {
	local before
	before=$(grep -c "$1" "$scratch/server")
	kill -HUP "$server"
	until_it 200 told_more "$before" "$1" && kill -0 "$server"
}

told_more() {
	[ "$(grep -c "$2" "$scratch/server")" -gt "$1" ]
}

is_replaced() {
	shows first -servername first.test && places later &&
	    told "certificates were read again" &&
	    shows later -servername first.test &&
	    shows later -servername later.test
}

keeps_the_old() {
	shows later -servername first.test &&
	    told "certificates stay as they were: .*now" &&
	    shows later -servername first.test
}

half_is_refused() {
	head -c 200 "$scratch/first.pem" >"$scratch/now.pem"
	keeps_the_old
}

wrong_key_is_refused() {
	cp "$scratch/first.pem" "$scratch/now.pem"
	keeps_the_old
}

none_is_refused() {
	rm "$scratch/now.pem"
	keeps_the_old && grep -q "No such file" "$scratch/server"
}

is_good_again() {
	places first && told "certificates were read again" &&
	    shows first -servername first.test
}

# ---- What is refused ----

# refuses STATUS TEXT PROGRAM OPTION...
refuses() {
	timeout 15 "$B/bin/$3" "${@:4}" >"$out" 2>&1
	local status=$?
	cat "$out"
	[ $status -eq "$1" ] && grep -qF -- "$2" "$out"
}

programs_without_are_plain() {
	local at=tls:127.0.0.1:1
	refuses 64 "$at: this program has no TLS; hello-tls, files-tls" \
	    hello -l $at && refuses 64 "unknown option '--cert' (see --help; \
for TLS: hello-tls, files-tls, proxy-tls)" files --cert x
}

options_must_fit() {
	local at=tls:127.0.0.1:1
	refuses 64 "needs a certificate: --cert" hello-tls -l $at &&
	    refuses 64 "addresses with tls: in front" hello-tls \
	    "${first[@]}" && refuses 64 "addresses with tls: in front" \
	    hello-tls --client-ca "$scratch/client.pem" &&
	    refuses 64 "belongs behind the --cert" hello-tls --key x &&
	    refuses 64 "belongs behind the --cert" hello-tls "${first[@]}" \
	    --key x && refuses 64 "needs a value" hello-tls --cert
}

files_must_fit() {
	local at=tls:127.0.0.1:1
	refuses 1 "second.key: key values mismatch" hello-tls -l $at \
	    --cert "$scratch/first.pem" --key "$scratch/second.key" &&
	    refuses 1 "rsa.key: it is not that of" hello-tls -l $at \
	    --cert "$scratch/first.pem" --key "$scratch/rsa.key" &&
	    refuses 1 "$scratch/none: No such file" hello-tls -l $at \
	    "${first[@]}" --cert "$scratch/none" && refuses 1 \
	    "client_ca $scratch/none" hello-tls -l $at "${first[@]}" \
	    --client-ca "$scratch/none"
}

# The library that it runs with, not the one that it was compiled with.
names_openssl() {
	"$B/bin/$1" --version >"$out"
	sed -n 2p "$out" | grep -q '^OpenSSL 3\.[0-9.]* ' &&
	    [ "$(wc -l <"$out")" -eq 2 ]
}

# ---- What they say of themselves ----

page=tools/examples/hello-tls.1

# Options and variables, one in a line, of the texts of --help.
told_by_help() {
	local name
	for name in hello-tls files-tls proxy-tls; do
		"$B/bin/$name" --help
	done | grep -oE -- '^  -[^ ]+(, --[a-z]+)?|\$[A-Z_]+' |
	    tr -d ' $' | tr ',' '\n' | sort -u
}

# The same of the page. What OpenSSL reads is in no text of --help.
told_by_page() {
	sed -nE 's/^\.It Fl //p' $page | sed 's/ \(Ar\|Oo\).*//' |
	    tr -d ' ' | tr ',' '\n' | sed 's/^/-/' | sort -u
	sed -n 's/^\.It Ev //p' $page | grep -v SSL_CERT_FILE
}

page_is_complete() {
	told_by_page | sort -u >"$scratch/page"
	told_by_help | diff - "$scratch/page" &&
	    [ "$(wc -l <"$scratch/page")" -ge 17 ]
}

# The pages that it refers to are made elsewhere.
page_is_clean() {
	! mandoc -T lint -W style $page | grep -v 'referenced manual not found'
}

# ---- Clients that must say who they are ----

known_client_is_served() {
	gets / hello --cert "$scratch/client.pem" --key "$scratch/client.key"
}

others_are_not() {
	! gets / hello && ! gets / hello --cert "$scratch/second.pem" \
	    --key "$scratch/second.key" &&
	    until_it 100 grep -q "no TLS with" "$scratch/server"
}

needs openssl curl
claim "certificates are made" issues
[ $failed -eq 0 ] || exit 1

claim "a program without TLS says which one has it" programs_without_are_plain
claim "options that do not fit are refused" options_must_fit
claim "files that do not fit are refused" files_must_fit
for program in hello-tls files-tls proxy-tls; do
	claim "$program names OpenSSL's version" names_openssl $program
done

claim "the page has each option and variable of --help, and no other" \
    page_is_complete
with mandoc "mandoc has nothing to say of the page" page_is_clean

claim "hello-tls starts" serves hello-tls "${first[@]}" \
    --cert "$scratch/second.both" "${rsa[@]}"
origin=$clear
hello=$pid
claim "it serves TLS, and clear text beside it" both_are_served / hello
claim "hosts are those that the certificates name" \
    hosts_are_those_of_certificates
claim "each client gets the kind of key that it can use" \
    kinds_go_to_those_that_can

echo text >"$scratch/a.txt"
claim "files-tls starts" serves files-tls "${first[@]}"
claim "it serves files both ways" both_are_served /a.txt text
claim "it drains" ends "$pid"
claim "proxy-tls starts" serves proxy-tls "${first[@]}"
claim "it passes requests on both ways" both_are_served / hello
claim "it drains" ends "$pid"
claim "hello-tls drains" ends "$hello"

claim "hello-tls starts again" eval 'places first && serves hello-tls \
    --cert "$scratch/now.pem" --key "$scratch/now.key"'
claim "SIGHUP replaces a certificate, also its names" is_replaced
claim "half a file leaves the old one in use" half_is_refused
claim "so does a key of another one" wrong_key_is_refused
claim "so does a file that is gone" none_is_refused
claim "after that a good one is taken" is_good_again
claim "hello-tls drains" ends "$server"

claim "hello-tls starts with --client-ca" serves hello-tls "${first[@]}" \
    --client-ca "$scratch/client.pem"
claim "a client of it is served" known_client_is_served
claim "others are not, and the operator is told" others_are_not
claim "hello-tls drains" ends "$server"
[ $failed -eq 0 ]
