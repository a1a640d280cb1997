#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# browser.sh - hello-tls and files-tls as a browser sees them: Chromium without
# a window, which trusts a CA of this test's own. It asks no other machine.
#
# Chromium is large: `make check` does not install it. On Debian it takes the
# packages chromium and libnss3-tools.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/common.sh
shown=("$scratch/page" "$scratch/said_by_it" "$scratch/shaken" \
    "$scratch/server")
FILES=40	# of each of two kinds
HANDSHAKES=12	# at most: it has six connections to a host, twice if need be

for tool in chromium certutil; do
	has $tool && continue
	echo "SKIP: $tool is not installed (Debian: chromium, libnss3-tools)"
	echo "ok nothing to show without it"
	exit 0
done
needs openssl python3

# ---- Certificates ----

issue() {	# issue NAME OPTION...: a CA's
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -subj "/CN=$1" -days 2 -addext basicConstraints=critical,CA:TRUE \
	    -keyout "$scratch/$1.key" -out "$scratch/$1.pem"
}

sign() {	# sign NAME CA USE: for localhost
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -subj "/CN=$1" -keyout "$scratch/$1.key" -out "$scratch/csr" &&
	    openssl x509 -req -in "$scratch/csr" -CA "$scratch/$2.pem" \
	    -CAkey "$scratch/$2.key" -CAcreateserial -days 2 -extfile <(
		echo subjectAltName=DNS:localhost,DNS:second.test
		echo "extendedKeyUsage=$3"
	    ) -out "$scratch/$1.pem"
}

# The browser's home has what it trusts.
issues() {
	local store=$scratch/home/.pki/nssdb
	issue authority && issue stranger && sign good authority \
	    serverAuth && sign bad stranger serverAuth && mkdir -p "$store" &&
	    certutil -d "sql:$store" -N --empty-password &&
	    certutil -d "sql:$store" -A -t C,, -n authority \
	    -i "$scratch/authority.pem"
}

# It is to show its certificate where it would ask its user which one: that
# only a policy of the whole machine can say. So it gets a folder of its own in
# the place of that one.
has_a_certificate() {
	local store=$scratch/home/.pki/nssdb managed=$scratch/etc/policies/managed
	sign visitor authority clientAuth && openssl pkcs12 -export \
	    -in "$scratch/visitor.pem" -inkey "$scratch/visitor.key" \
	    -passout pass:x -out "$scratch/visitor.p12" &&
	    pk12util -i "$scratch/visitor.p12" -d "sql:$store" -W x -K "" &&
	    mkdir -p "$managed" && cat >"$managed/visitor.json" <<-END
		{"AutoSelectCertificateForUrls":
		["{\\"pattern\\":\\"https://localhost:$port\\",\\"filter\\":{}}"]}
	END
	# shellcheck disable=SC2016 # it is for that shell
	start=(unshare -m sh -c 'mount --bind "$0" /etc/chromium && exec "$@"'
	    "$scratch/etc")
}

# ---- The browser ----

start=()	# what starts it
# browse URL OPTION...: $scratch/page is what it shows, and $scratch/shaken has
# a line for each handshake: its version, protocol, and whether it was resumed.
browse() {
	rm -rf "$scratch/profile"
	HOME=$scratch/home timeout -k 5 120 "${start[@]}" chromium \
	    --headless=new --no-sandbox --disable-gpu --no-first-run \
	    --disable-extensions --disable-background-networking \
	    --host-resolver-rules="MAP *.test 127.0.0.1, MAP * ~NOTFOUND, \
EXCLUDE localhost" \
	    --user-data-dir="$scratch/profile" \
	    --log-net-log="$scratch/net.json" "${@:2}" --dump-dom "$1" \
	    >"$scratch/page" 2>"$scratch/all" </dev/null
	grep -v '/bus\.cc\|object_proxy' "$scratch/all" >"$scratch/said_by_it"
	python3 - "$scratch/net.json" >"$scratch/shaken" <<-'END'
		import json, sys
		log = json.load(open(sys.argv[1]))
		kind = log["constants"]["logEventTypes"]["SSL_CONNECT"]
		for event in log["events"]:
		    how = event.get("params", {})
		    if event["type"] == kind and "version" in how:
		        print(how["version"], how.get("next_proto"),
		            "resumed" if how["is_resumed"] else "full")
	END
}

shows() {	# shows TEXT: on the page
	grep -qF -- "$1" "$scratch/page"
}

loads() {	# loads VERSION URL OPTION...: with hello on it
	browse "${@:2}" && shows hello &&
	    grep -qx "$1 http/1.1 [a-z]*" "$scratch/shaken" &&
	    ! grep -qv "^$1 " "$scratch/shaken"
}

# refuses REASON URL [TEXT]: there is no page, and the server says why.
refuses() {
	browse "$2"
	! shows hello &&
	    grep -qF "Page load failed: net::ERR_$1" "$scratch/said_by_it" &&
	    until_it 100 grep -q \
	    "no TLS with 127.0.0.1:[0-9]*: ${3:-.*alert certificate unknown}" \
	    "$scratch/server"
}

# A page with two files for each number, which says what has become of them.
makes_a_page() {
	local i
	mkdir "$scratch/www"
	cat >"$scratch/www/index.html" <<-'END'
		<!doctype html>
		<script>
		const ran = [];
		onload = () => {
			const seen = [...document.images].filter(i =>
			    i.naturalWidth > 0);
			const asked = performance.getEntriesByType("resource");
			const kept = asked.filter(e =>
			    e.connectStart == e.connectEnd);
			document.body.textContent = `scripts: ${ran.length}, ` +
			    `images: ${seen.length}, kept: ${kept.length}.`;
		};
		</script>
	END
	for i in $(seq $FILES); do
		echo "ran.push($i);" >"$scratch/www/$i.js"
		echo "<svg xmlns='http://www.w3.org/2000/svg' width='$i' \
height='9'/>" >"$scratch/www/$i.svg"
		echo "<script src=$i.js></script><img src=$i.svg>"
	done >>"$scratch/www/index.html"
}

loads_all() {
	local kept
	browse "https://localhost:$port/" &&
	    shows "scripts: $FILES, images: $FILES, " &&
	    ! grep -qv '^TLS 1.3 http/1.1 ' "$scratch/shaken" || return 1
	kept=$(sed -n 's/.*kept: \([0-9]*\)\..*/\1/p' "$scratch/page")
	echo "$kept of $((2 * FILES)) on kept connections"
	[ "$kept" -ge $((2 * FILES - HANDSHAKES)) ] &&
	    [ "$(wc -l <"$scratch/shaken")" -le $HANDSHAKES ]
}

# Its helpers have its profile or its home in their command lines.
ended() {
	! pgrep -f -- "$scratch/"
}

nothing_is_left() {
	until_it 200 ended
}

# ---- The servers ----

serves() {	# serves PROGRAM CERTIFICATE OPTION...
	fresh_port
	starts server env "FILES_ROOT=$scratch/www" "$B/bin/$1" -r 2 \
	    -l "tls:127.0.0.1:$port" --cert "$scratch/$2.pem" \
	    --key "$scratch/$2.key" "${@:3}" && server=$pid
}

claim "certificates are made, and the browser is to trust one" issues
[ $failed -eq 0 ] || exit 1
claim "hello-tls starts" serves hello-tls good
claim "its page loads over TLS 1.3" loads "TLS 1.3" "https://localhost:$port/"
claim "and over TLS 1.2, if the browser has no more" loads "TLS 1.2" \
    "https://localhost:$port/" --ssl-version-max=tls1.2
claim "and by another name of the certificate" loads "TLS 1.3" \
    "https://second.test:$port/"
claim "a name that the certificate does not have is refused" refuses \
    CERT_COMMON_NAME_INVALID "https://third.test:$port/"
claim "hello-tls drains" ends "$server"

claim "hello-tls starts with a certificate that the browser does not trust" \
    serves hello-tls bad
claim "its page is refused" refuses CERT_AUTHORITY_INVALID \
    "https://localhost:$port/"
claim "hello-tls drains" ends "$server"

claim "hello-tls starts with --client-ca" serves hello-tls good \
    --client-ca "$scratch/authority.pem"
# It may call this a socket that is not connected.
claim "a browser without a certificate is refused" refuses "" \
    "https://localhost:$port/" "peer did not return a certificate"
if [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
	claim "the browser gets a certificate" has_a_certificate
	claim "with that it is served" loads "TLS 1.3" "https://localhost:$port/"
	start=()
else
	echo "SKIP: a browser with a certificate needs root, for its policy"
fi
claim "hello-tls drains" ends "$server"

claim "there is a page with $((2 * FILES)) files" makes_a_page
claim "files-tls starts" serves files-tls good
claim "all of them load, over TLS 1.3 and on few connections, which are kept" \
    loads_all
claim "files-tls drains" ends "$server"
claim "no process of the browser is left" nothing_is_left
[ $failed -eq 0 ]
